// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An object is a copy of what is known of its VM. The registry says only that something has changed; then all copies are
 * made anew and compared, and what differs becomes signals: a VM that has come or gone InterfacesAdded or
 * InterfacesRemoved, a property that has another value PropertiesChanged. What a caller reads is what signals have told.
 *
 * A VM is known by its uuid. One whose definition is replaced keeps its object.
 *
 * Unhappy path: memory runs out: the object stays as it is until the next comparison.
 */
#include <stdlib.h>
#include <string.h>

#include "argv.h"
#include "bus.h"
#include "doc-bus.h"
#include "replies.h"
#include "vm-object.h"

#define REFRESH_USEC 50000

enum {
	NAME,
	UUID,
	QMP,
	UNIT,
	POLICY,
	STATE,
	REASON,
	HINT,
	RESTORED_BY,
	N_TEXTS
};

struct values {
	char *text[N_TEXTS]; /* never NULL */
	int updatable;       /* as D-Bus has it */
	uint64_t pid, ram;
	char **devices; /* NULL: none */
};

struct lu_vm_object {
	struct lu_vm_object *next;
	char *path;
	sd_bus_slot *slot;
	struct values values;
	bool seen;
};

struct lu_vm_objects {
	struct lu_update_env *env;
	struct lu_update *update;
	sd_bus *bus;
	struct lu_vm_object *first;
	sd_event_source *timer;
	bool armed;
};

#define TEXT(_name, _index, _flags) \
	SD_BUS_PROPERTY(_name, "s", NULL, offsetof(struct lu_vm_object, values.text[_index]), _flags)

static const sd_bus_vtable vm_vtable[] = {
	SD_BUS_VTABLE_START(0),
	TEXT("Name", NAME, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	TEXT("UUID", UUID, SD_BUS_VTABLE_PROPERTY_CONST),
	TEXT("QMP", QMP, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	TEXT("Unit", UNIT, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	TEXT("Policy", POLICY, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	TEXT("State", STATE, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Updatable", "b", NULL, offsetof(struct lu_vm_object, values.updatable),
			SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	TEXT("Reason", REASON, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	TEXT("Hint", HINT, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("PID", "t", NULL, offsetof(struct lu_vm_object, values.pid),
			SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("RAM", "t", NULL, offsetof(struct lu_vm_object, values.ram),
			SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Devices", "as", NULL, offsetof(struct lu_vm_object, values.devices),
			SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	TEXT("RestoredBy", RESTORED_BY, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_VTABLE_END,
};

/* In the order of the enum. */
static const char *const text_names[N_TEXTS] = { "Name",  "UUID",   "QMP",  "Unit",      "Policy",
						 "State", "Reason", "Hint", "RestoredBy" };

#define CHANGES_MAX (N_TEXTS + 4)

static void values_clear(struct values *v)
{
	for (size_t i = 0; i < N_TEXTS; i++)
		free(v->text[i]);
	lu_argv_free(v->devices);
	*v = (struct values){ 0 };
}

static int copy_list(char *const *list, char ***ret)
{
	_cleanup_(lu_argv_freep) char **copy = NULL;
	size_t n = 0;

	while (list && list[n])
		n++;
	copy = calloc(n + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = strdup(list[i]);
		if (!copy[i])
			return -ENOMEM;
	}
	if (!copy)
		return -ENOMEM;
	*ret = steal_ptr(copy);
	return 0;
}

static int values_of(struct lu_vm_objects *o, struct lu_vm *vm, struct values *ret)
{
	const struct lu_vm_facts *facts = lu_vm_facts(vm);
	const struct lu_error *error = lu_vm_error(vm);
	_cleanup_error_ struct lu_error first = LU_ERROR_INIT;
	const char *texts[N_TEXTS];
	struct values v = { 0 };

	if (!error) {
		(void)lu_reasons_first(&facts->reasons, "", &first);
		error = &first;
	}
	texts[NAME] = lu_vm_name(vm);
	texts[UUID] = lu_vm_uuid(vm);
	texts[QMP] = lu_vm_qmp(vm);
	texts[UNIT] = lu_vm_unit(vm);
	texts[POLICY] = lu_vm_policies[lu_vm_policy(vm)];
	texts[STATE] = lu_reply_vm_state(vm);
	texts[REASON] = error->what;
	texts[HINT] = error->hint;
	texts[RESTORED_BY] = lu_update_vm_restored_by(o->update, vm);
	for (size_t i = 0; i < N_TEXTS; i++) {
		v.text[i] = strdup(texts[i] ?: "");
		if (!v.text[i]) {
			values_clear(&v);
			return -ENOMEM;
		}
	}
	v.updatable = lu_reply_vm_updatable(vm);
	v.pid = facts->pid > 0 ? (uint64_t)facts->pid : 0;
	for (size_t i = 0; i < facts->n_ram; i++)
		v.ram += facts->ram[i].size;
	if (copy_list(facts->devices, &v.devices) < 0) {
		values_clear(&v);
		return -ENOMEM;
	}
	*ret = v;
	return 0;
}

static bool same_list(char *const *a, char *const *b)
{
	for (; a && b && *a && *b && !strcmp(*a, *b); a++, b++)
		;
	return (!a || !*a) && (!b || !*b);
}

/* Names of what differs, NULL-terminated. */
static void compare(const struct values *a, const struct values *b, char *names[static CHANGES_MAX + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < N_TEXTS; i++)
		if (strcmp(a->text[i], b->text[i]) != 0)
			names[n++] = (char *)text_names[i];
	if (a->updatable != b->updatable)
		names[n++] = (char *)"Updatable";
	if (a->pid != b->pid)
		names[n++] = (char *)"PID";
	if (a->ram != b->ram)
		names[n++] = (char *)"RAM";
	if (!same_list(a->devices, b->devices))
		names[n++] = (char *)"Devices";
	names[n] = NULL;
}

static void object_free(struct lu_vm_object *x)
{
	sd_bus_slot_unref(x->slot);
	values_clear(&x->values);
	free(x->path);
	free(x);
}

static struct lu_vm_object *find(struct lu_vm_objects *o, const char *path)
{
	struct lu_vm_object *x = o->first;

	while (x && strcmp(x->path, path) != 0)
		x = x->next;
	return x;
}

static void add(struct lu_vm_objects *o, struct lu_vm_object **at, const char *path, struct values *v)
{
	struct lu_vm_object *x = calloc(1, sizeof(*x));

	if (!x)
		return;
	x->path = strdup(path);
	x->values = *v;
	*v = (struct values){ 0 };
	x->seen = true;
	if (!x->path || sd_bus_add_object_vtable(o->bus, &x->slot, x->path, LU_BUS_VM, vm_vtable, x) < 0) {
		object_free(x);
		return;
	}
	x->next = *at;
	*at = x;
	(void)sd_bus_emit_object_added(o->bus, x->path);
}

static void update(struct lu_vm_objects *o, struct lu_vm_object *x, struct values *v)
{
	char *names[CHANGES_MAX + 1];
	struct values before = x->values;

	x->seen = true;
	compare(&before, v, names);
	x->values = *v;
	*v = before;
	if (names[0])
		(void)sd_bus_emit_properties_changed_strv(o->bus, x->path, LU_BUS_VM, names);
}

static void drop_unseen(struct lu_vm_objects *o)
{
	for (struct lu_vm_object **at = &o->first; *at;) {
		struct lu_vm_object *x = *at;

		if (x->seen) {
			at = &x->next;
			continue;
		}
		*at = x->next;
		(void)sd_bus_emit_object_removed(o->bus, x->path);
		object_free(x);
	}
}

static void refresh(struct lu_vm_objects *o)
{
	struct lu_vm_object **at = &o->first;

	o->armed = false;
	for (struct lu_vm_object *x = o->first; x; x = x->next)
		x->seen = false;
	for (struct lu_vm *vm = lu_vms_first(o->env->vms); vm; vm = lu_vm_next(vm)) {
		_cleanup_free_ char *path = NULL;
		struct lu_vm_object *x;
		struct values v;

		if (sd_bus_path_encode(LU_BUS_PATH "/vm", lu_vm_uuid(vm) ?: lu_vm_name(vm), &path) < 0)
			continue;
		/* both are in the same order, mostly */
		x = *at && !strcmp((*at)->path, path) ? *at : find(o, path);
		if (values_of(o, vm, &v) < 0) {
			if (x)
				x->seen = true;
			continue;
		}
		if (x)
			update(o, x, &v);
		else
			add(o, at, path, &v);
		values_clear(&v);
		if (*at && !strcmp((*at)->path, path))
			at = &(*at)->next;
	}
	drop_unseen(o);
}

static int on_refresh(sd_event_source *s, uint64_t usec, void *userdata)
{
	refresh(userdata);
	return 0;
}

void lu_vm_objects_flush(struct lu_vm_objects *o)
{
	if (!o || !o->armed)
		return;
	(void)sd_event_source_set_enabled(o->timer, SD_EVENT_OFF);
	refresh(o);
}

void lu_vm_objects_refresh(struct lu_vm_objects *o)
{
	if (!o || o->armed)
		return;
	o->armed = sd_event_source_set_time_relative(o->timer, REFRESH_USEC) >= 0 &&
		   sd_event_source_set_enabled(o->timer, SD_EVENT_ONESHOT) >= 0;
}

int lu_vm_objects_new(struct lu_update_env *env, struct lu_update *update, sd_bus *bus, struct lu_vm_objects **ret)
{
	struct lu_vm_objects *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	*o = (struct lu_vm_objects){ .env = env, .update = update, .bus = bus };
	r = sd_event_add_time_relative(env->event, &o->timer, CLOCK_MONOTONIC, 0, 0, on_refresh, o);
	if (r < 0) {
		free(o);
		return r;
	}
	o->armed = true;
	*ret = o;
	return 0;
}

struct lu_vm_objects *lu_vm_objects_free(struct lu_vm_objects *o)
{
	if (!o)
		return NULL;
	while (o->first) {
		struct lu_vm_object *x = o->first;

		o->first = x->next;
		object_free(x);
	}
	sd_event_source_disable_unref(o->timer);
	free(o);
	return NULL;
}
