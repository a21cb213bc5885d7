// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The runner of effects. An effect is a list of steps run one after the other. The first that fails
 * ends the effect, except in undo, where every step is tried and the first error
 * is kept. Which steps make up which effect: effects.c.
 */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "leave.h"
#include "log.h"
#include "steps.h"

#define PAUSE_BEST_EFFORT_USEC (10 * UINT64_C(1000000))

void lu_thaw_forget(struct lu_update *u)
{
	lu_worker_free(u->thaw.worker);
	lu_error_clear(&u->thaw.error);
	u->thaw = (struct lu_thaw){ 0 };
}

void lu_steps_forget(struct lu_update *u)
{
	u->worker = lu_worker_free(u->worker);
	lu_thaw_forget(u);
	u->round_timer = sd_event_source_disable_unref(u->round_timer);
	u->check = lu_check_free(u->check);
	lu_error_clear(&u->error);
	u->pending = 0;
	u->effect = LU_EFFECT_NONE;
}

static void effect_complete(struct lu_update *u)
{
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;

	lu_error_move(&error, &u->error);
	lu_steps_forget(u);
	(void)lu_engine_complete(u->engine, u->cookie, error.code ? &error : NULL);
}

/* Runs steps until one has to wait or there is none left. */
static void steps_run(struct lu_update *u)
{
	const struct lu_effect_steps *es = &u->effects[u->effect];
	uint64_t cookie = u->cookie;

	while (u->step < LU_STEPS_MAX && es->steps[u->step]) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		int r = es->steps[u->step++](u, &e);

		if (u->cookie != cookie || u->effect == LU_EFFECT_NONE || r == 0)
			return;
		if (r > 0)
			continue;
		if (!e.code)
			(void)lu_error_set(&e, r, NULL, "%s: %s", lu_effect_name(u->effect), strerror(-r));
		if (es->go_on)
			(void)log_failure(r, &e, "going on");
		lu_error_move(&u->error, &e);
		if (!es->go_on)
			break;
	}
	effect_complete(u);
}

void lu_steps_begin(struct lu_update *u, enum lu_effect effect, uint64_t cookie)
{
	u->effect = effect;
	u->cookie = cookie;
	u->step = 0;
	steps_run(u);
}

void lu_step_done(struct lu_update *u, int r, const struct lu_error *e)
{
	bool go_on = u->effects[u->effect].go_on;

	u->worker = lu_worker_free(u->worker);
	if (r < 0) {
		(void)lu_error_set(&u->error, r, e ? e->hint : NULL, "%s", e && e->what ? e->what : strerror(-r));
		if (go_on && e)
			(void)log_failure(r, e, "going on");
	}
	if (r < 0 && !go_on)
		effect_complete(u);
	else
		steps_run(u);
}

void lu_step_worker_done(void *userdata, int r, struct lu_error *error)
{
	lu_step_done(userdata, r, error);
}

/* --- VMs in parallel --- */

static void trace_vm(struct lu_update *u, struct lu_vm *vm, enum lu_phase phase, enum lu_trace_kind kind, int r)
{
	for (size_t i = 0; i < u->doc.n_vms; i++)
		if (u->outcomes[i].vm == vm)
			lu_trace_add(u->trace, phase, (unsigned int)i, kind, r, NULL);
}

/* In microseconds; 0: nothing is predicted of the state that the update is in. */
static uint64_t expected(const struct lu_update *u)
{
	enum lu_state s = lu_engine_state(u->engine);
	uint64_t most = 0;

	for (size_t i = 0; i < u->doc.n_vms; i++)
		if (u->doc.vms[i].predicted_usec != LU_MEASURED_UNKNOWN && u->doc.vms[i].predicted_usec > most)
			most = u->doc.vms[i].predicted_usec;
	if (!most || u->doc.rehearse)
		return 0;
	if (s == LU_STATE_PAUSING || s == LU_STATE_SAVING)
		return most;
	return s == LU_STATE_JUMP && u->rest_usec != LU_MEASURED_UNKNOWN ? u->rest_usec : 0;
}

void lu_update_tell(struct lu_update *u, const char *detail, uint64_t done, uint64_t total)
{
	struct lu_progress p = { .state = u->info.state, .update = u->doc.id, .done = done, .total = total };
	char count[64] = "", hope[64] = "", text[160];

	p.expected_usec = expected(u);
	if (total)
		snprintf(count, sizeof(count), "%llu of %llu VMs", (unsigned long long)done, (unsigned long long)total);
	if (p.expected_usec)
		snprintf(hope, sizeof(hope),
			 lu_engine_state(u->engine) == LU_STATE_JUMP ? "guests go on in about %.1f s" :
								       "blackout about %.1f s",
			 (double)p.expected_usec / 1e6);
	snprintf(text, sizeof(text), "%s%s%s", count, *count && *hope ? ", " : "", hope);
	p.detail = detail ?: text;
	u->news->progress(u->job, &p);
}

static void vm_done(struct lu_update *u, int r, const struct lu_error *e)
{
	if (r < 0)
		(void)lu_error_set(&u->error, r, e ? e->hint : NULL, "%s", e && e->what ? e->what : strerror(-r));
	u->pending--;
	/* how far the state is that takes as long as its slowest VM */
	if (u->phase)
		lu_update_tell(u, NULL, u->started - u->pending, u->started);
	if (u->pending > 0)
		return;
	if (u->error.code && !u->effects[u->effect].go_on)
		effect_complete(u);
	else
		steps_run(u);
}

static void on_vm(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	struct lu_update *u = userdata;
	enum lu_phase phase = u->phase;

	if (phase)
		trace_vm(u, vm, phase, LU_TRACE_END, r);
	if (phase == LU_PHASE_VM_PAUSE && r == 0)
		trace_vm(u, vm, LU_PHASE_VM_BLACKOUT, LU_TRACE_BEGIN, 0);
	if (phase == LU_PHASE_VM_RESUME && r == 0)
		trace_vm(u, vm, LU_PHASE_VM_BLACKOUT, LU_TRACE_END, 0);
	if (r < 0 && e && lu_leave(u, vm, e, vm_done))
		return;
	vm_done(u, r, e);
}

/* One that was left behind is taken back by undo, like all others, and takes part in nothing else. */
static bool takes_part(const struct lu_update *u, const struct lu_outcome *o)
{
	return o->vm && (!o->left || u->effect == LU_EFFECT_UNDO);
}

/* The others stand still while one that need not go along is waited for; a QEMU that is well stops at once. */
static uint64_t limit_of(const struct lu_update *u, const struct lu_vm *vm, enum lu_vm_op op)
{
	uint64_t limit = u->env->config.save_timeout_usec;

	if (op == LU_VM_PAUSE && lu_vm_policy(vm) == LU_VM_BEST_EFFORT && limit > PAUSE_BEST_EFFORT_USEC)
		limit = PAUSE_BEST_EFFORT_USEC;
	return op == LU_VM_PAUSE || op == LU_VM_SAVE ? limit : 0;
}

int lu_step_vms_if(struct lu_update *u, enum lu_vm_op op, enum lu_phase phase,
		   bool (*wanted)(const struct lu_outcome *o), struct lu_error *e)
{
	int ret = 1;

	u->phase = phase;
	u->started = 0;
	for (size_t i = 0; i < u->doc.n_vms; i++) {
		struct lu_vm *vm = u->outcomes[i].vm;
		int r;

		if (!takes_part(u, &u->outcomes[i]) || (wanted && !wanted(&u->outcomes[i])))
			continue;
		if (phase)
			lu_trace_add(u->trace, phase, (unsigned int)i, LU_TRACE_BEGIN, 0, NULL);
		r = lu_vm_op_start(vm, op, u->doc.id, limit_of(u, vm, op), on_vm, u);
		if (r == 0) {
			u->pending++;
			u->started++;
			ret = 0;
		} else {
			(void)lu_error_set(e, r, NULL, "VM %s: %s: %s", lu_vm_name(vm), lu_vm_op_to_string(op),
					   strerror(-r));
		}
	}
	/* What could not even be started fails the step, but only once the others have answered. */
	if (e->code && ret == 0)
		lu_error_move(&u->error, e);
	return e->code ? e->code : ret;
}

int lu_step_vms(struct lu_update *u, enum lu_vm_op op, enum lu_phase phase, struct lu_error *e)
{
	return lu_step_vms_if(u, op, phase, NULL, e);
}
