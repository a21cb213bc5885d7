// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Builders on json-c. A member that could not be allocated makes json-c return
 * NULL somewhere below; add() then remembers it in the struct and the whole
 * document becomes NULL, so that nobody is handed a document with holes.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "filesystems.h"
#include "replies.h"
#include "update.h"

struct doc {
	struct json_object *root;
	bool failed;
};

static struct doc doc_new(bool version)
{
	struct doc o = { .root = json_object_new_object() };

	o.failed = !o.root;
	if (version && o.root)
		o.failed = json_object_object_add(o.root, "version", json_object_new_int(1)) < 0;
	return o;
}

static void add(struct doc *o, const char *key, struct json_object *value)
{
	if (o->root && json_object_object_add(o->root, key, value) == 0)
		return;
	o->failed = true;
	json_object_put(value);
}

/* Names come from others, too: one that is no text must not cost the whole document, which the bus would refuse. */
static void add_string(struct doc *o, const char *key, const char *value)
{
	_cleanup_free_ char *text = lu_text_dup(value);
	struct json_object *s = text ? json_object_new_string(text) : NULL;

	if (value && !s)
		o->failed = true;
	add(o, key, s);
}

static void add_int(struct doc *o, const char *key, uint64_t value)
{
	add(o, key, json_object_new_uint64(value));
}

static void add_bool(struct doc *o, const char *key, bool value)
{
	add(o, key, json_object_new_boolean(value));
}

static void add_doc(struct doc *o, const char *key, struct doc value)
{
	o->failed |= value.failed;
	add(o, key, value.root);
}

static void add_error(struct doc *o, const char *key, const struct lu_error *e)
{
	struct doc x;

	if (!e || !e->code) {
		add(o, key, NULL);
		return;
	}
	x = doc_new(false);
	add_string(&x, "what", e->what ?: strerror(-e->code));
	add_string(&x, "hint", e->hint && *e->hint ? e->hint : NULL);
	add_doc(o, key, x);
}

static char *doc_text(struct doc *o)
{
	const char *s = o->failed ? NULL :
				    json_object_to_json_string_ext(o->root, JSON_C_TO_STRING_PRETTY |
										    JSON_C_TO_STRING_NOSLASHESCAPE);
	char *text = s ? strdup(s) : NULL;

	json_object_put(o->root);
	return text;
}

static const char *vm_state(struct lu_vm *vm)
{
	const struct lu_vm_facts *f = lu_vm_facts(vm);

	if (f->state != LU_VM_RUNNING && f->state != LU_VM_PAUSED && lu_vm_waits(vm, NULL))
		return "saved";
	return lu_vm_state_to_string(f->state);
}

/* The last verdict, as long as the VM is there. */
static bool updatable(struct lu_vm *vm)
{
	const struct lu_vm_facts *f = lu_vm_facts(vm);

	return f->updatable && (f->state == LU_VM_RUNNING || f->state == LU_VM_PAUSED);
}

static struct doc vm_doc(struct lu_update *u, struct lu_vm *vm, bool version)
{
	const struct lu_vm_facts *f = lu_vm_facts(vm);
	struct json_object *ram = json_object_new_array(), *devices = json_object_new_array();
	_cleanup_error_ struct lu_error reason = LU_ERROR_INIT;
	struct doc o = doc_new(version);
	pid_t keeper = lu_vm_keeper(vm);
	char prefix[80];

	add_string(&o, "name", lu_vm_name(vm));
	add_string(&o, "uuid", lu_vm_uuid(vm));
	add_string(&o, "qmp", lu_vm_qmp(vm));
	add_string(&o, "unit", lu_vm_unit(vm));
	add(&o, "pid", f->pid > 0 ? json_object_new_int64(f->pid) : NULL);
	add_string(&o, "state", vm_state(vm));
	add_bool(&o, "updatable", updatable(vm));
	snprintf(prefix, sizeof(prefix), "VM %s: ", lu_vm_name(vm));
	if (keeper > 0)
		(void)lu_error_set(
			&reason, -EBUSY,
			"luctl report says why it was not restored; remove the cause, then luctl restore. Ending that process stops the devices",
			"%swaits to be restored; process %d keeps its devices going", prefix, (int)keeper);
	else
		(void)lu_reasons_first(&f->reasons, prefix, &reason);
	add_error(&o, "reason", lu_vm_error(vm) ?: &reason);
	for (size_t i = 0; ram && i < f->n_ram; i++) {
		struct doc x = doc_new(false);

		add_string(&x, "path", f->ram[i].path);
		add_int(&x, "size", f->ram[i].size);
		o.failed |= x.failed || json_object_array_add(ram, x.root) < 0;
	}
	o.failed |= !ram;
	add(&o, "ram", ram);
	for (char **p = f->devices; devices && p && *p; p++)
		o.failed |= json_object_array_add(devices, json_object_new_string(*p)) < 0;
	o.failed |= !devices;
	add(&o, "devices", devices);
	add(&o, "keeper", keeper > 0 ? json_object_new_int64(keeper) : NULL);
	add_string(&o, "restored_by", lu_update_vm_restored_by(u, vm));
	return o;
}

char *lu_document_vm(struct lu_update *u, struct lu_vm *vm)
{
	struct doc o = vm_doc(u, vm, true);

	return doc_text(&o);
}

char *lu_document_vms(const struct lu_update_env *env, struct lu_update *u)
{
	struct json_object *list = json_object_new_array();
	struct doc o = doc_new(true);

	for (struct lu_vm *vm = list ? lu_vms_first(env->vms) : NULL; vm; vm = lu_vm_next(vm)) {
		struct doc x = vm_doc(u, vm, false);

		o.failed |= x.failed || json_object_array_add(list, x.root) < 0;
	}
	o.failed |= !list;
	add(&o, "vms", list);
	return doc_text(&o);
}

char *lu_document_status(const struct lu_update_env *env, struct lu_update *u)
{
	const struct lu_update_info *info = lu_update_info(u);
	struct doc o = doc_new(true), x;
	uint64_t size = 0, avail = 0, n = 0;
	struct utsname uts = { 0 };
	bool mounted;

	(void)uname(&uts);
	add_string(&o, "state", info->state);
	add_string(&o, "result", info->result);
	if (info->running) {
		x = doc_new(false);
		add_string(&x, "id", info->id);
		add_string(&x, "kernel", info->kernel);
		add_int(&x, "since_usec", info->since_usec);
		add_doc(&o, "update", x);
	} else {
		add(&o, "update", NULL);
	}
	add_string(&o, "kernel", uts.release);
	add_string(&o, "daemon", PROJECT_VERSION);
	mounted = lu_pkernfs_mounted(env->config.pkernfs, &size, &avail);
	x = doc_new(false);
	add_string(&x, "path", env->config.pkernfs);
	add_bool(&x, "mounted", mounted);
	add_int(&x, "size", size);
	add_int(&x, "free", avail);
	add_doc(&o, "pkernfs", x);
	for (struct lu_vm *vm = lu_vms_first(env->vms); vm; vm = lu_vm_next(vm))
		n += updatable(vm);
	x = doc_new(false);
	add_int(&x, "total", lu_vms_count(env->vms));
	add_int(&x, "updatable", n);
	add_doc(&o, "vms", x);
	add_error(&o, "error", info->error);
	return doc_text(&o);
}

char *lu_document_check(const struct lu_check *c, const char *kernel)
{
	struct json_object *findings = lu_findings_to_json(&c->findings);
	struct doc o = doc_new(true);

	add_string(&o, "kernel", kernel);
	add_string(&o, "release", c->image.release[0] ? c->image.release : NULL);
	add_bool(&o, "ok", lu_findings_ok(&c->findings));
	o.failed |= !findings;
	add(&o, "findings", findings);
	return doc_text(&o);
}

/* --- plan --- */

static void append(struct doc *o, struct json_object *list, struct doc x)
{
	o->failed |= !list || x.failed || json_object_array_add(list, x.root) < 0;
}

static struct doc reason_doc(const struct lu_reason *r, bool name_device)
{
	struct doc x = doc_new(false);
	_cleanup_free_ char *what = NULL;

	if (name_device && r->device && asprintf(&what, "device %s: %s", r->device, r->what) < 0) {
		what = NULL;
		x.failed = true;
	}
	add_string(&x, "what", what ?: r->what);
	add_string(&x, "hint", r->hint);
	return x;
}

/* Is it about this device, or (NULL) about none of @devices? */
static bool concerns(const struct lu_reason *r, const char *device, char *const *devices)
{
	if (device)
		return r->device && !strcmp(r->device, device);
	for (; r->device && devices && *devices; devices++)
		if (!strcmp(r->device, *devices))
			return false;
	return true;
}

static void add_reasons(struct doc *o, const struct lu_reasons *why, const char *device, char *const *devices)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < why->n; i++)
		if (concerns(&why->list[i], device, devices))
			append(o, list, reason_doc(&why->list[i], !device));
	o->failed |= !list;
	add(o, "reasons", list);
}

static void add_devices(struct doc *o, const struct lu_check_vm *v)
{
	struct json_object *list = json_object_new_array();
	char *const *devices =
		v->verdict == LU_VERDICT_GOES || v->verdict == LU_VERDICT_CANT ? lu_vm_facts(v->vm)->devices : NULL;

	for (char *const *p = devices; p && *p; p++) {
		struct doc x = doc_new(false);
		bool goes_on = true;

		for (size_t i = 0; i < v->reasons.n; i++)
			goes_on &= !concerns(&v->reasons.list[i], *p, NULL);
		add_string(&x, "address", *p);
		add_bool(&x, "goes_on", goes_on);
		add_reasons(&x, &v->reasons, *p, NULL);
		append(o, list, x);
	}
	o->failed |= !list;
	add(o, "devices", list);
}

static void add_prediction(struct doc *o, const struct lu_prediction *p)
{
	struct doc x;

	if (!p) {
		add(o, "predicted", NULL);
		return;
	}
	x = doc_new(false);
	add(&x, "blackout_usec", p->usec == LU_MEASURED_UNKNOWN ? NULL : json_object_new_uint64(p->usec));
	add_string(&x, "basis", lu_basis_name(p->basis));
	add_string(&x, "text", p->text);
	add_doc(o, "predicted", x);
}

static struct doc plan_vm_doc(const struct lu_check_vm *v)
{
	const struct lu_vm_facts *f = lu_vm_facts(v->vm);
	bool goes = v->verdict == LU_VERDICT_GOES;
	struct doc o = doc_new(false);

	add_string(&o, "name", lu_vm_name(v->vm));
	add_string(&o, "uuid", lu_vm_uuid(v->vm));
	add_string(&o, "verdict", lu_verdict_name(v->verdict));
	add_string(&o, "late", goes && !f->early ? f->late : NULL);
	add_reasons(&o, &v->reasons, NULL, f->devices);
	add_devices(&o, v);
	add_prediction(&o, goes ? &v->predicted : NULL);
	return o;
}

/* The VM that stands still longest; one of which nothing is known makes the whole unknown. */
static const struct lu_prediction *longest(const struct lu_check *c)
{
	const struct lu_prediction *p = NULL;

	for (size_t i = 0; i < c->n_vms; i++)
		if (c->vms[i].verdict == LU_VERDICT_GOES && (!p || c->vms[i].predicted.usec > p->usec))
			p = &c->vms[i].predicted;
	return p;
}

char *lu_document_plan(const struct lu_check *c)
{
	struct lu_findings host = { .list = c->findings.list, .n = c->n_host };
	struct json_object *findings = lu_findings_to_json(&host), *vms = json_object_new_array();
	struct doc o = doc_new(true);

	add_string(&o, "kernel", c->asked->kernel);
	add_string(&o, "release", c->image.release[0] ? c->image.release : NULL);
	add_bool(&o, "ok", lu_findings_ok(&c->findings));
	o.failed |= !findings;
	add(&o, "findings", findings);
	for (size_t i = 0; i < c->n_vms; i++)
		append(&o, vms, plan_vm_doc(&c->vms[i]));
	add(&o, "vms", vms);
	add_prediction(&o, longest(c));
	return doc_text(&o);
}
