// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VM that need not go along and fails is left behind (leave.h): RESUME, then UNPREPARE, as undo does it for all. The
 * step in which it failed waits for that, since nothing of it may be half done at the jump; its limits are short, since
 * the others stand still meanwhile. It does not matter here whether the guest could be let run: it ends with this
 * kernel. What matters is that no saved state of it is left, whose guest has gone on.
 *
 * It stays among the VMs of the update: its number in the flight recorder is its place there, and if the update is
 * undone after all, undo tries once more what could not be done here.
 */
#include <string.h>

#include "leave.h"
#include "log.h"

/* While the others stand still: what a QEMU that is well needs ten times over. One that has to be started anew needs more. */
#define BACK_USEC (5 * UINT64_C(1000000))
#define BACK_SAVED_USEC (20 * UINT64_C(1000000))

static char *copy(const char *s, bool *failed)
{
	char *text = s ? strdup(s) : NULL;

	*failed |= s && !text;
	return text;
}

bool lu_left_named(const struct lu_request_doc *doc, const struct lu_vm *vm)
{
	for (size_t i = 0; i < doc->n_left; i++)
		if (!strcmp(doc->left[i].name, lu_vm_name(vm)))
			return true;
	return false;
}

static int add_memory(struct lu_request_doc *doc, const char *dir)
{
	size_t n = 0;
	char **list;

	if (!dir)
		return 0;
	while (doc->left_memory && doc->left_memory[n])
		n++;
	list = reallocarray(doc->left_memory, n + 2, sizeof(*list));
	if (!list)
		return -ENOMEM;
	doc->left_memory = list;
	list[n + 1] = NULL;
	list[n] = strdup(dir);
	return list[n] ? 0 : -ENOMEM;
}

int lu_left_add(struct lu_request_doc *doc, const struct lu_vm *vm, const char *what, const char *hint)
{
	struct luctl_left *left;
	bool failed = false;

	if (lu_left_named(doc, vm))
		return 0;
	if (add_memory(doc, lu_vm_domain_memory(vm)) < 0)
		return -ENOMEM;
	left = reallocarray(doc->left, doc->n_left + 1, sizeof(*left));
	if (!left)
		return -ENOMEM;
	doc->left = left;
	left += doc->n_left++;
	left->name = copy(lu_vm_name(vm), &failed);
	left->uuid = copy(lu_vm_uuid(vm), &failed);
	left->what = copy(what, &failed);
	left->hint = copy(hint, &failed);
	return failed ? -ENOMEM : 0;
}

void lu_left_find(struct lu_update *u)
{
	for (size_t i = 0; i < u->doc.n_vms; i++)
		for (size_t k = 0; k < u->doc.n_left; k++)
			u->outcomes[i].left |= u->doc.left[k].uuid && !strcmp(u->doc.left[k].uuid, u->doc.vms[i].uuid);
}

static uint64_t limit_of(const struct lu_update *u)
{
	return u->effect == LU_EFFECT_PREPARE ? 0 : u->effect == LU_EFFECT_PAUSE ? BACK_USEC : BACK_SAVED_USEC;
}

static size_t index_of(const struct lu_update *u, const struct lu_vm *vm)
{
	size_t i = 0;

	while (i < u->doc.n_vms && u->outcomes[i].vm != vm)
		i++;
	return i;
}

static void on_unprepared(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;
	struct lu_update *u = userdata;

	if (r < 0)
		log_warning("VM %s: %s; what is left of it is removed before the jump", lu_vm_name(vm),
			    e && e->what ? e->what : strerror(-r));
	r = 0;
	if (lu_vm_waits(vm, NULL))
		r = lu_error_set(&error, -EBUSY, LU_VM_WAITS_HINT,
				 "VM %s: can't be left behind: its state that was saved could not be taken back",
				 lu_vm_name(vm));
	if (r >= 0)
		r = lu_request_doc_write(u->pkernfs_fd, &u->doc, &error);
	lu_vm_disconnect(vm);
	u->left_done(u, r, &error);
}

static void unprepare(struct lu_update *u, struct lu_vm *vm)
{
	int r = lu_vm_op_start(vm, LU_VM_UNPREPARE, u->doc.id, u->effect == LU_EFFECT_PREPARE ? 0 : BACK_USEC,
			       on_unprepared, u);

	if (r < 0)
		on_unprepared(vm, r, NULL, u);
}

static void on_back(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	struct lu_update *u = userdata;
	unsigned int i = (unsigned int)index_of(u, vm);

	lu_trace_add(u->trace, LU_PHASE_VM_RESUME, i, LU_TRACE_END, r, NULL);
	if (r < 0)
		log_warning("VM %s: could not be let run again: %s", lu_vm_name(vm),
			    e && e->what ? e->what : strerror(-r));
	else if (u->effect > LU_EFFECT_PAUSE)
		lu_trace_add(u->trace, LU_PHASE_VM_BLACKOUT, i, LU_TRACE_END, 0, NULL);
	unprepare(u, vm);
}

static bool on_the_way(const struct lu_update *u)
{
	return u->effect >= LU_EFFECT_PREPARE && u->effect <= LU_EFFECT_JUMP;
}

/* What the error says but the VM's name, which stands beside it. */
static const char *without_name(const struct lu_vm *vm, const char *what)
{
	size_t n = strlen(lu_vm_name(vm));

	if (!strncmp(what, "VM ", 3) && !strncmp(what + 3, lu_vm_name(vm), n) && !strncmp(what + 3 + n, ": ", 2))
		what += 3 + n + 2;
	return what;
}

bool lu_leave(struct lu_update *u, struct lu_vm *vm, const struct lu_error *why,
	      void (*done)(struct lu_update *u, int r, const struct lu_error *e))
{
	const char *what = why->what ? without_name(vm, why->what) : strerror(-why->code);
	size_t i = index_of(u, vm);

	if (!on_the_way(u) || i == u->doc.n_vms || u->outcomes[i].left || lu_vm_policy(vm) != LU_VM_BEST_EFFORT ||
	    lu_left_add(&u->doc, vm, what, why->hint) < 0)
		return false;
	u->left_done = done;
	u->outcomes[i].left = true;
	log_warning("VM %s is left behind: %s", lu_vm_name(vm), what);
	lu_trace_add(u->trace, LU_PHASE_VM_RESUME, (unsigned int)i, LU_TRACE_BEGIN, 0, NULL);
	if (lu_vm_op_start(vm, LU_VM_RESUME, u->doc.id, limit_of(u), on_back, u) < 0)
		unprepare(u, vm);
	return true;
}

int lu_step_leave(struct lu_update *u, struct lu_error *e)
{
	for (size_t i = 0; i < u->doc.n_vms && !u->doc.rehearse; i++) {
		int r = u->outcomes[i].left ? lu_vm_leave(u->outcomes[i].vm, e) : 0;

		if (r < 0)
			return r;
	}
	return 1;
}
