// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fills in the structs of libluctl/documents, whose tables write them; the library reads them back by the same tables.
 * Strings are copied, so that the table can free what was filled in. One that could not be copied is remembered, and
 * the whole document fails, so that nobody is handed a document with holes.
 *
 * Lists are cut where the document's maxima are: a VM with more of something is refused for that elsewhere.
 */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "doc-bus.h"
#include "filesystems.h"
#include "replies.h"

struct fill {
	bool failed; /* out of memory */
};

static char *copy(struct fill *f, const char *s)
{
	char *text = s ? strdup(s) : NULL;

	f->failed |= s && !text;
	return text;
}

/* Room for @n elements; *ret_n is how many there will be. */
static void *list(struct fill *f, size_t n, size_t max, size_t size, size_t *ret_n)
{
	void *p;

	n = n < max ? n : max;
	p = n ? calloc(n, size) : NULL;
	f->failed |= n && !p;
	*ret_n = p ? n : 0;
	return p;
}

static struct lu_doc_error *error_of(struct fill *f, const struct lu_error *e)
{
	struct lu_doc_error *x = lu_doc_error_of(e);

	f->failed |= e && e->code && !x;
	return x;
}

/* Writes @doc and frees it. */
static int finish(struct fill *f, const struct lu_json_table *table, void *doc, char **ret, struct lu_error *e)
{
	int r = f->failed ? -ENOMEM : lu_json_encode_text(table, doc, ret, e);

	lu_json_free(table, doc);
	return r;
}

const char *lu_reply_vm_state(struct lu_vm *vm)
{
	const struct lu_vm_facts *facts = lu_vm_facts(vm);

	if (facts->state != LU_VM_RUNNING && facts->state != LU_VM_PAUSED && lu_vm_waits(vm, NULL))
		return "saved";
	return lu_vm_state_to_string(facts->state);
}

bool lu_reply_vm_updatable(struct lu_vm *vm)
{
	const struct lu_vm_facts *facts = lu_vm_facts(vm);

	return facts->updatable && (facts->state == LU_VM_RUNNING || facts->state == LU_VM_PAUSED);
}

static char **copy_devices(struct fill *f, char *const *devices)
{
	size_t n = 0;
	char **out;

	while (devices && devices[n] && n < LU_DOC_DEVICES_MAX)
		n++;
	out = calloc(n + 1, sizeof(*out));
	f->failed |= !out;
	for (size_t i = 0; out && i < n; i++)
		out[i] = copy(f, devices[i]);
	return out;
}

static void fill_vm(struct fill *f, struct lu_update *u, struct lu_vm *vm, struct luctl_vm *ret)
{
	const struct lu_vm_facts *facts = lu_vm_facts(vm);
	_cleanup_error_ struct lu_error reason = LU_ERROR_INIT;
	pid_t keeper = lu_vm_keeper(vm);
	char prefix[80];

	ret->name = copy(f, lu_vm_name(vm));
	ret->uuid = copy(f, lu_vm_uuid(vm));
	ret->qmp = copy(f, lu_vm_qmp(vm));
	ret->unit = copy(f, lu_vm_unit(vm));
	ret->pid = facts->pid > 0 ? (uint64_t)facts->pid : 0;
	ret->state = lu_doc_index(lu_doc_vm_states, lu_reply_vm_state(vm));
	ret->updatable = lu_reply_vm_updatable(vm);
	ret->policy = lu_vm_policy(vm);
	snprintf(prefix, sizeof(prefix), "VM %s: ", lu_vm_name(vm));
	if (keeper > 0)
		(void)lu_error_set(
			&reason, -EBUSY,
			"luctl report says why it was not restored; remove the cause, then luctl restore. Ending that process stops the devices",
			"%swaits to be restored; process %d keeps its devices going", prefix, (int)keeper);
	else
		(void)lu_reasons_first(&facts->reasons, prefix, &reason);
	ret->reason = error_of(f, lu_vm_error(vm) ?: &reason);
	ret->ram = list(f, facts->n_ram, LU_DOC_RAM_MAX, sizeof(*ret->ram), &ret->n_ram);
	for (size_t i = 0; i < ret->n_ram; i++)
		ret->ram[i] = (struct luctl_ram){ copy(f, facts->ram[i].path), facts->ram[i].size };
	ret->devices = copy_devices(f, facts->devices);
	ret->keeper = keeper > 0 ? (uint64_t)keeper : 0;
	ret->restored_by = lu_doc_index(lu_doc_restorers, lu_update_vm_restored_by(u, vm));
}

int lu_document_vm(struct lu_update *u, struct lu_vm *vm, char **ret, struct lu_error *e)
{
	struct fill f = { 0 };
	struct luctl_vm doc = { 0 };

	fill_vm(&f, u, vm, &doc);
	return finish(&f, &lu_doc_vm_table, &doc, ret, e);
}

int lu_document_vms(const struct lu_update_env *env, struct lu_update *u, char **ret, struct lu_error *e)
{
	struct fill f = { 0 };
	struct lu_doc_vms doc = { 0 };
	size_t i = 0;

	doc.vm = list(&f, lu_vms_count(env->vms), LU_DOC_VMS_MAX, sizeof(*doc.vm), &doc.n);
	for (struct lu_vm *vm = lu_vms_first(env->vms); vm && i < doc.n; vm = lu_vm_next(vm))
		fill_vm(&f, u, vm, &doc.vm[i++]);
	return finish(&f, &lu_doc_vms_table, &doc, ret, e);
}

static struct lu_doc_update *update_of(struct fill *f, const struct lu_update_info *info)
{
	struct lu_doc_update *x = info->running ? calloc(1, sizeof(*x)) : NULL;

	f->failed |= info->running && !x;
	if (x)
		*x = (struct lu_doc_update){ copy(f, info->id), copy(f, info->kernel), info->since_usec };
	return x;
}

int lu_document_status(const struct lu_update_env *env, struct lu_update *u, char **ret, struct lu_error *e)
{
	const struct lu_update_info *info = lu_update_info(u);
	struct lu_doc_status doc = { 0 };
	struct utsname uts = { 0 };
	struct fill f = { 0 };

	(void)uname(&uts);
	doc.state = lu_doc_index(lu_doc_states, info->state);
	doc.result = lu_doc_index(lu_doc_results, info->result);
	doc.update = update_of(&f, info);
	doc.kernel = copy(&f, uts.release);
	doc.daemon = copy(&f, PROJECT_VERSION);
	doc.pkernfs.path = copy(&f, env->config.pkernfs);
	doc.pkernfs.mounted = lu_pkernfs_mounted(env->config.pkernfs, &doc.pkernfs.size, &doc.pkernfs.free);
	doc.pkernfs.bad_pages = lu_pkernfs_bad_pages(AT_FDCWD);
	for (struct lu_vm *vm = lu_vms_first(env->vms); vm; vm = lu_vm_next(vm))
		doc.vms.updatable += lu_reply_vm_updatable(vm);
	doc.vms.total = lu_vms_count(env->vms);
	doc.error = error_of(&f, info->error);
	return finish(&f, &lu_doc_status_table, &doc, ret, e);
}

static struct luctl_finding *fill_findings(struct fill *f, const struct lu_findings *findings, size_t n, size_t *ret_n)
{
	struct luctl_finding *out = list(f, n, LU_FINDINGS_MAX, sizeof(*out), ret_n);

	for (size_t i = 0; i < *ret_n; i++) {
		const struct lu_finding *one = &findings->list[i];

		out[i] = (struct luctl_finding){ .level = lu_doc_index(lu_doc_levels, lu_level_name(one->level)),
						 .object = copy(f, one->object),
						 .what = copy(f, one->what),
						 .hint = copy(f, one->hint) };
	}
	return out;
}

static char *release_of(struct fill *f, const struct lu_check *c)
{
	return copy(f, c->image.release[0] ? c->image.release : NULL);
}

int lu_document_check(const struct lu_check *c, const char *kernel, char **ret, struct lu_error *e)
{
	struct lu_doc_check doc = { .ok = lu_findings_ok(&c->findings) };
	struct fill f = { 0 };

	doc.kernel = copy(&f, kernel);
	doc.release = release_of(&f, c);
	doc.finding = fill_findings(&f, &c->findings, c->findings.n, &doc.n);
	return finish(&f, &lu_doc_check_table, &doc, ret, e);
}

/* --- plan --- */

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

static char *what_of(struct fill *f, const struct lu_reason *r, bool name_device)
{
	char *what;

	if (!name_device || !r->device)
		return copy(f, r->what);
	if (asprintf(&what, "device %s: %s", r->device, r->what) >= 0)
		return what;
	f->failed = true;
	return NULL;
}

static struct luctl_reason *fill_reasons(struct fill *f, const struct lu_reasons *why, const char *device,
					 char *const *devices, size_t *ret_n)
{
	struct luctl_reason *out = list(f, why->n, LU_DOC_REASONS_MAX, sizeof(*out), ret_n);
	size_t room = *ret_n, n = 0;

	for (size_t i = 0; i < why->n && n < room; i++) {
		const struct lu_reason *r = &why->list[i];

		if (concerns(r, device, devices))
			out[n++] = (struct luctl_reason){ what_of(f, r, !device), copy(f, r->hint) };
	}
	*ret_n = n;
	return out;
}

static void fill_devices(struct fill *f, const struct lu_check_vm *v, struct luctl_vm_verdict *ret)
{
	char *const *devices =
		v->verdict == LU_VERDICT_GOES || v->verdict == LU_VERDICT_CANT ? lu_vm_facts(v->vm)->devices : NULL;
	size_t n = 0;

	while (devices && devices[n])
		n++;
	ret->device = list(f, n, LU_DOC_DEVICES_MAX, sizeof(*ret->device), &ret->n_devices);
	for (size_t i = 0; i < ret->n_devices; i++) {
		struct luctl_device_verdict *d = &ret->device[i];

		d->address = copy(f, devices[i]);
		d->reason = fill_reasons(f, &v->reasons, devices[i], NULL, &d->n_reasons);
		d->goes_on = d->n_reasons == 0;
	}
}

static struct lu_doc_predicted *predicted(struct fill *f, const struct lu_prediction *p)
{
	struct lu_doc_predicted *x = p ? calloc(1, sizeof(*x)) : NULL;

	f->failed |= p && !x;
	if (x)
		*x = (struct lu_doc_predicted){ .blackout = p->usec, /* unknown is the same in both */
						.basis = lu_doc_index(lu_doc_bases, lu_basis_name(p->basis)),
						.text = copy(f, p->text) };
	return x;
}

static void fill_verdict(struct fill *f, const struct lu_check_vm *v, struct luctl_vm_verdict *ret)
{
	const struct lu_vm_facts *facts = lu_vm_facts(v->vm);
	bool goes = v->verdict == LU_VERDICT_GOES;

	ret->name = copy(f, lu_vm_name(v->vm));
	ret->uuid = copy(f, lu_vm_uuid(v->vm));
	ret->verdict = lu_doc_index(lu_doc_verdicts, lu_verdict_name(v->verdict));
	ret->policy = lu_vm_policy(v->vm);
	ret->late = copy(f, goes && !facts->early ? facts->late : NULL);
	/* those of devices stand with them, if they are shown */
	ret->reason = fill_reasons(f, &v->reasons, NULL, v->verdict != LU_VERDICT_LEFT_OUT ? facts->devices : NULL,
				   &ret->n_reasons);
	fill_devices(f, v, ret);
	ret->predicted = predicted(f, goes ? &v->predicted : NULL);
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

int lu_document_plan(const struct lu_check *c, char **ret, struct lu_error *e)
{
	struct lu_doc_plan doc = { .ok = lu_findings_ok(&c->findings) };
	struct fill f = { 0 };

	doc.kernel = copy(&f, c->asked->kernel);
	doc.release = release_of(&f, c);
	doc.finding = fill_findings(&f, &c->findings, c->n_host, &doc.n_findings);
	doc.vm = list(&f, c->n_vms, LU_DOC_VMS_MAX, sizeof(*doc.vm), &doc.n_vms);
	for (size_t i = 0; i < doc.n_vms; i++)
		fill_verdict(&f, &c->vms[i], &doc.vm[i]);
	doc.predicted = predicted(&f, longest(c));
	return finish(&f, &lu_doc_plan_table, &doc, ret, e);
}
