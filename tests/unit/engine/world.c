// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See world.h. The checks that run at every call, whatever a test is after:
 *
 *  - a commit comes while no effect runs, and its .from is the engine's state;
 *  - an effect starts only when none runs, and only if its state is the last thing in the
 *    journal, or the engine has told that it could not be (which it may do only
 *    on the way back and after the jump);
 *  - the jump finds every VM paused and saved, the host clean and the kernel loaded;
 *  - no VM's saved state is resumed twice;
 *  - no more than a bounded number of transitions.
 */
#include "../test.h"

#include "world.h"

/* One step of an op: 0, a negative errno (it fails), or 1 (the process is dead and does nothing). */
static int step(struct world *w)
{
	if (w->dead)
		return 1;
	w->step++;
	if (w->step == w->crash_at) {
		w->dead = true;
		return 1;
	}
	if (w->step == w->cancel_at)
		w->cancel_result = lu_engine_cancel(w->engine, "cancelled by the test", NULL);
	for (unsigned int i = 0; i < FAULTS; i++) {
		if (w->step == w->fail_at[i]) {
			w->failed++;
			return -EIO;
		}
	}
	return 0;
}

static void write_record(struct world *w, enum lu_state state, enum lu_event event, int error)
{
	assert_true(w->n_journal < RECORDS);
	w->journal[w->n_journal++] = (struct record){ state, event, error, w->kernel };
}

static int op_commit(void *ud, const struct lu_transition *t)
{
	struct world *w = ud;
	int r;

	if (w->dead)
		return 0;
	assert_int_equal(w->active, LU_EFFECT_NONE);
	assert_int_equal(t->from, lu_engine_state(w->engine));
	assert_true(++w->transitions < 100);
	if (t->event == LU_EVENT_FAILED || t->event == LU_EVENT_TIMEOUT || t->event == LU_EVENT_CANCEL)
		assert_true(t->cause && t->cause->code < 0 && t->cause->what);
	r = step(w);
	if (r != 0)
		return r < 0 ? r : 0;
	if (t->event == LU_EVENT_START || t->event == LU_EVENT_START_VMM)
		w->n_journal = 0;
	write_record(w, t->to, t->event, t->cause ? t->cause->code : 0);
	(void)step(w); /* died or cancelled between the record and whatever comes next; can't fail any more */
	return 0;
}

static void op_entered(void *ud, const struct lu_transition *t)
{
	struct world *w = ud;

	if (w->dead)
		return;
	assert_int_equal(t->to, lu_engine_state(w->engine));
	w->entered = t->to;
	w->durable = t->durable;
	if (!t->durable)
		assert_int_not_equal(lu_state_row(t->to)->failed, LU_STATE_ABORTING);
}

static int op_arm_timer(void *ud, uint64_t usec)
{
	struct world *w = ud;
	int r = step(w);

	if (r < 0)
		return r;
	w->timer = usec;
	return 0;
}

/* What @effect does to one VM. */
static void act_on_vm(struct world *w, enum lu_effect effect, int i)
{
	switch (effect) {
	case LU_EFFECT_PAUSE:
		assert_int_equal(w->vm[i], VM_RUNNING);
		w->vm[i] = VM_PAUSED;
		break;
	case LU_EFFECT_SAVE:
		assert_int_equal(w->vm[i], VM_PAUSED);
		w->saved[i] = true;
		break;
	case LU_EFFECT_REPLACE:
		assert_int_equal(w->vm[i], VM_RUNNING);
		w->vm[i] = VM_PAUSED;
		w->saved[i] = true;
		/* killed, failed or cancelled here: undo has to let it run */
		if (step(w) != 0) {
			(void)lu_error_set(&w->effect_error, -EIO, NULL, "VM %d: no new QEMU", i);
			break;
		}
		w->saved[i] = false;
		w->vm[i] = VM_RUNNING;
		break;
	case LU_EFFECT_UNDO:
		w->saved[i] = false;
		if (w->vm[i] == VM_PAUSED)
			w->vm[i] = VM_RUNNING;
		break;
	case LU_EFFECT_RESTORE:
		if (w->vm[i] == VM_GONE && w->saved[i])
			w->vm[i] = VM_LOADED;
		break;
	case LU_EFFECT_RESUME:
		if (w->vm[i] == VM_LOADED) {
			w->saved[i] = false;
			assert_int_equal(w->resumed[i]++, 0);
			w->vm[i] = VM_RUNNING;
		}
		break;
	default:
		break;
	}
}

static void act_on_host(struct world *w, enum lu_effect effect)
{
	switch (effect) {
	case LU_EFFECT_LOAD:
		w->loaded = true;
		break;
	case LU_EFFECT_PREPARE:
		w->prepared = true;
		break;
	case LU_EFFECT_SEAL:
		w->frozen = true;
		break;
	case LU_EFFECT_JUMP:
		assert_true(w->loaded && w->prepared && w->frozen);
		for (int i = 0; i < VMS; i++)
			assert_true(w->vm[i] == VM_PAUSED && w->saved[i]);
		assert_int_equal(w->journal[w->n_journal - 1].state, LU_STATE_JUMP);
		if (w->rehearse)
			break;
		w->kernel++;
		w->loaded = w->prepared = w->frozen = false;
		for (int i = 0; i < VMS; i++)
			w->vm[i] = VM_GONE;
		w->dead = true; /* with all that ran in the old kernel */
		break;
	case LU_EFFECT_UNDO:
		w->loaded = w->prepared = w->frozen = false;
		break;
	case LU_EFFECT_FINISH:
		for (int i = 0; i < VMS; i++)
			if (w->vm[i] != VM_RUNNING)
				(void)lu_error_set(&w->effect_error, -ENOENT, NULL, "VM %d is missing", i);
		break;
	default:
		break;
	}
}

static int op_start_effect(void *ud, enum lu_effect effect, uint64_t cookie, struct lu_error *e)
{
	struct world *w = ud;
	int r;

	if (w->dead)
		return 0;
	assert_int_equal(w->active, LU_EFFECT_NONE);
	assert_int_equal(effect, lu_state_row(w->entered)->effect);
	if (w->durable)
		assert_int_equal(w->journal[w->n_journal - 1].state, w->entered);
	w->started[effect]++;
	r = step(w);
	if (r < 0)
		return r;
	w->active = effect;
	w->cookie = cookie;
	lu_error_clear(&w->effect_error);
	/* one VM's failure does not keep the others from it; the host's part is idempotent and comes first in undo */
	if (effect == LU_EFFECT_UNDO || effect == LU_EFFECT_FINISH || effect == LU_EFFECT_JUMP) {
		r = step(w);
		if (r == 0)
			act_on_host(w, effect);
		else if (r < 0)
			(void)lu_error_set(&w->effect_error, r, NULL, "host failed");
	}
	for (int i = 0; i < VMS && effect != LU_EFFECT_JUMP; i++) {
		r = step(w);
		if (r == 0)
			act_on_vm(w, effect, i);
		else if (r < 0)
			(void)lu_error_set(&w->effect_error, r, NULL, "VM %d failed", i);
	}
	if (effect != LU_EFFECT_UNDO && effect != LU_EFFECT_FINISH && effect != LU_EFFECT_JUMP && !w->dead)
		act_on_host(w, effect);
	if (w->sync && !w->dead)
		world_complete(w);
	return 0;
}

static void op_cancel_effect(void *ud, enum lu_effect effect, uint64_t cookie)
{
	struct world *w = ud;

	if (w->dead)
		return;
	assert_int_equal(effect, w->active);
	assert_true(cookie == w->cookie);
	assert_int_not_equal(effect, LU_EFFECT_JUMP);
	w->active = LU_EFFECT_NONE;
	w->cancelled[effect]++;
}

const struct lu_engine_ops world_ops = {
	.commit = op_commit,
	.start_effect = op_start_effect,
	.cancel_effect = op_cancel_effect,
	.arm_timer = op_arm_timer,
	.entered = op_entered,
};

void world_init(struct world *w)
{
	*w = (struct world){ .cancel_result = 1 };
	assert_int_equal(lu_engine_new(&world_ops, w, &w->engine), 0);
}

void world_done(struct world *w)
{
	lu_error_clear(&w->effect_error);
	lu_engine_free(w->engine);
	w->engine = NULL;
}

void world_complete(struct world *w)
{
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;

	lu_error_move(&error, &w->effect_error);
	w->active = LU_EFFECT_NONE;
	assert_int_equal(lu_engine_complete(w->engine, w->cookie, error.code ? &error : NULL), 0);
}

void world_run(struct world *w)
{
	while (w->active != LU_EFFECT_NONE && !w->dead)
		world_complete(w);
}

bool world_last(const struct world *w, struct lu_journal_record *ret)
{
	const struct record *last;

	if (w->n_journal == 0)
		return false;
	last = &w->journal[w->n_journal - 1];
	*ret = (struct lu_journal_record){ .seq = w->n_journal,
					   .type = LU_JOURNAL_STATE,
					   .state = last->state,
					   .event = last->event,
					   .error = last->error };
	snprintf(ret->text, sizeof(ret->text), "%s", last->error ? "an error\na hint" : "");
	return true;
}

/* lu-init: its record first, then the VM. */
static void run_lu_init(struct world *w)
{
	if (!w->lu_init || w->n_journal == 0 || w->journal[w->n_journal - 1].state != LU_STATE_JUMP ||
	    w->journal[w->n_journal - 1].kernel == w->kernel)
		return;
	if (step(w) == 0)
		write_record(w, LU_STATE_BOOTED, LU_EVENT_RECOVER, 0);
	if (step(w) == 0 && w->saved[0]) {
		w->saved[0] = false;
		assert_int_equal(w->resumed[0]++, 0);
		w->vm[0] = VM_RUNNING;
	}
	w->dead = false; /* if it was killed, init goes on all the same */
}

void world_restart(struct world *w)
{
	unsigned int kernel = w->n_journal ? w->journal[w->n_journal - 1].kernel : 0;
	struct lu_journal_record last;
	bool any;

	w->dead = false;
	w->active = LU_EFFECT_NONE;
	w->transitions = 0;
	w->timer = 0;
	lu_engine_free(w->engine);
	assert_int_equal(lu_engine_new(&world_ops, w, &w->engine), 0);
	if (w->kernel != kernel)
		run_lu_init(w);
	any = world_last(w, &last);
	kernel = any ? w->journal[w->n_journal - 1].kernel : 0;
	assert_int_equal(lu_engine_recover(w->engine, any ? &last : NULL, kernel == w->kernel), 0);
	world_run(w);
}

void world_update(struct world *w)
{
	int r = lu_engine_start(w->engine, w->vmm ? LU_EVENT_START_VMM : LU_EVENT_START, NULL);

	if (r < 0) {
		assert_int_equal(lu_engine_state(w->engine), LU_STATE_IDLE);
		return;
	}
	world_run(w);
	for (int i = 0; w->dead; i++) {
		assert_true(i < 5);
		world_restart(w);
	}
}

void world_check(const struct world *w, const char *where)
{
	enum lu_state s = lu_engine_state(w->engine);
	unsigned int running = 0, saved = 0;

	for (int i = 0; i < VMS; i++) {
		running += w->vm[i] == VM_RUNNING;
		saved += w->saved[i];
		/* what does not run can still be brought back, by undo, restore or an operator */
		expect(w->vm[i] == VM_RUNNING || w->vm[i] == VM_PAUSED || w->vm[i] == VM_LOADED || w->saved[i],
		       "%s: VM %d is lost", where, i);
	}
	expect(lu_state_is_rest(s), "%s: rests in %s", where, lu_state_name(s));
	expect(w->active == LU_EFFECT_NONE, "%s: effect %d runs", where, w->active);
	expect(w->timer == 0 || w->failed, "%s: the timer is armed", where);
	if (s == LU_STATE_ABORTED || s == LU_STATE_IDLE) {
		expect(w->kernel == 0, "%s: %s in the new kernel", where, lu_state_name(s));
		expect(running == VMS && saved == 0, "%s: %u run, %u saved", where, running, saved);
		expect(!w->loaded && !w->prepared && !w->frozen, "%s: not undone", where);
	} else if (s == LU_STATE_DONE) {
		expect(w->kernel == !w->vmm && running == VMS && saved == 0, "%s: %u run, %u saved", where, running,
		       saved);
	} else {
		/* a failure that is told; without one there is no reason to be degraded */
		expect(w->failed > 0 && lu_engine_error(w->engine)->code < 0, "%s: degraded without an error", where);
	}
	if (s == LU_STATE_ABORTED && (!w->rehearse || !w->started[LU_EFFECT_JUMP]))
		expect(lu_engine_error(w->engine)->code < 0, "%s: aborted without a cause", where);
}
