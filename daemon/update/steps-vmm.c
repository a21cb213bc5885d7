// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Replacing QEMU under running guests, in this kernel: one VM after the other, so that each stands
 * still only for the start of its own QEMU, and so that a QEMU that is no good is tried on one guest.
 *
 *	for each VM: prepare → pause → save → verify → replace → unprepare
 *
 * Unhappy paths: 1. anything up to save fails: the effect fails, and undo lets this guest go on in
 * the QEMU that it has. 2. The new QEMU does not take the guest over: the program of the old one, which
 * is held open, is started from the same saved state (restore.c); the guest goes on with that, the
 * effect fails, and no further VM is touched. 3. Neither does: the state is kept for luctl
 * restore. 4. The daemon dies: undo in the next one, by what the VM's record and its process say.
 * VMs that were replaced before stay on the new QEMU in all cases.
 */
#include <string.h>

#include "outcomes.h"
#include "restore.h"
#include "steps-before.h"
#include "steps-vmm.h"
#include "steps.h"

static const struct {
	enum lu_vm_op op;
	enum lu_phase phase;
} stages[] = {
	{ LU_VM_PREPARE, LU_PHASE_VM_PREPARE }, { LU_VM_PAUSE, LU_PHASE_VM_PAUSE },
	{ LU_VM_SAVE, LU_PHASE_VM_SAVE },       { LU_VM_VERIFY, 0 },
	{ LU_VM_REPLACE, LU_PHASE_VM_RESUME },  { LU_VM_UNPREPARE, 0 },
};

static int next(struct lu_update *u, struct lu_error *e);

static void trace(struct lu_update *u, enum lu_phase phase, enum lu_trace_kind kind, int r)
{
	if (phase)
		lu_trace_add(u->trace, phase, (unsigned int)u->vmm_vm, kind, r, NULL);
}

static void on_stage(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;
	struct lu_update *u = userdata;
	struct lu_outcome *o = &u->outcomes[u->vmm_vm];
	enum lu_vm_op op = stages[u->vmm_stage].op;

	trace(u, stages[u->vmm_stage].phase, LU_TRACE_END, r);
	if (r == 0 && op == LU_VM_PREPARE)
		lu_note_limits(u, u->vmm_vm);
	if (r == 0 && op == LU_VM_PAUSE)
		trace(u, LU_PHASE_VM_BLACKOUT, LU_TRACE_BEGIN, 0);
	if (r == 0 && op == LU_VM_REPLACE) {
		trace(u, LU_PHASE_VM_BLACKOUT, LU_TRACE_END, 0);
		/* asked by lu-init; what it said goes with the record */
		lu_outcome_read_clock(u, u->vmm_vm);
	}
	if (r == 0 && ++u->vmm_stage == ARRAY_SIZE(stages)) {
		lu_vm_disconnect(vm);
		u->vmm_stage = 0;
		u->vmm_vm++;
		r = o->fell_back ? o->error.code : 0;
		e = &o->error;
	}
	if (r == 0) {
		r = next(u, &error);
		if (r == 0)
			return;
		e = &error;
	}
	lu_step_done(u, r < 0 ? r : 0, e);
}

/* 0: an operation is under way; 1: nothing is left to do. */
static int next(struct lu_update *u, struct lu_error *e)
{
	uint64_t limit = 0;
	struct lu_vm *vm;
	int r;

	if (u->vmm_vm == u->doc.n_vms)
		return 1;
	vm = u->outcomes[u->vmm_vm].vm;
	if (u->vmm_stage == 0)
		lu_update_tell(u, lu_vm_name(vm), u->vmm_vm, u->doc.n_vms);
	trace(u, stages[u->vmm_stage].phase, LU_TRACE_BEGIN, 0);
	if (stages[u->vmm_stage].op == LU_VM_PAUSE || stages[u->vmm_stage].op == LU_VM_SAVE)
		limit = u->env->config.save_timeout_usec;
	r = lu_vm_op_start(vm, stages[u->vmm_stage].op, u->doc.id, limit, on_stage, u);
	return r < 0 ? lu_error_set(e, r, NULL, "VM %s: %s: %s", lu_vm_name(vm),
				    lu_vm_op_to_string(stages[u->vmm_stage].op), strerror(-r)) :
		       0;
}

int lu_step_replace(struct lu_update *u, struct lu_error *e)
{
	u->vmm_vm = u->vmm_stage = 0;
	return next(u, e);
}

/*
 * Undo, after RESUME: a guest that another QEMU has taken up, maybe asked for by a daemon before this one,
 * gets the scope that it would have got then.
 */
int lu_step_settle(struct lu_update *u, struct lu_error *e)
{
	for (size_t i = 0; i < u->doc.n_vms; i++)
		lu_outcome_settle(u, i);
	return 1;
}
