// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine: drives an update along the table of states (table.c) by the ops of
 * its owner, and does nothing else. No clock, no file, no log.
 *
 * Every change of state goes one way, enter():
 *
 *	stop the effect that still runs (only after a time-out or a cancel)
 *	→ ->commit(), durable → the new state → ->entered() → ->arm_timer()
 *	→ ->start_effect(), which ends in lu_engine_complete(), now or later
 *
 * Events never nest. What is reported from within an op is kept (a completion, a time-out,
 * a cancel: one of each at most) and taken when the op has returned; so an
 * effect may complete within ->start_effect(). A cancel goes before a completion: who
 * cancels while sealing completes must not find himself in the next kernel.
 *
 * An effect is named by a cookie. The cookie dies with the effect, however it ends, so a
 * completion that comes late, twice or from an earlier update is refused.
 *
 * Unhappy paths:
 *
 *  1. An effect fails, cannot be started, or its time is over: the row says where to.
 *     Where the row has more than one try, failing enters the same state again.
 *  2. A commit fails on the way to the jump: the state is not entered, aborting is.
 *  3. A commit fails on the way back or after the jump: going on is the only thing that
 *     helps the guests, so it goes on; ->entered() learns that it is not durable. The journal
 *     then names an earlier state, whose recovery repeats idempotent effects. One case
 *     needs care of the undo effect: if "jump" stays the last record, the next
 *     kernel would restore the guests, so undo must also make what was saved unusable.
 *  4. The timer cannot be armed: on the way to the jump that is a failure, else it goes
 *     on without a limit.
 *  5. Cancel while ->commit(), ->entered() or ->arm_timer() of jump runs: the effect has not been
 *     started, so it counts. From the start of that effect on it is refused.
 *  6. The process dies anywhere: lu_engine_recover(), by the row's found_same and
 *     found_other.
 *
 * The first error of an update is kept until the next one starts; later ones are its
 * consequences more often than not.
 *
 * Ownership: the engine owns its errors and copies those it is given. Ops are called
 * with pointers that are valid during the call only.
 *
 * Not handled: a commit that hangs (it is a write to memory), effects that
 * ignore ->cancel_effect() (nothing here could make them).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

struct lu_engine {
	const struct lu_engine_ops *ops;
	void *userdata;
	enum lu_state state;
	unsigned int tries; /* of the present state's effect so far */
	bool fresh;         /* neither started nor recovered */
	bool busy;          /* within an op or between two */
	bool ending;        /* a state of rest is being entered */

	bool running;    /* an effect is */
	uint64_t cookie; /* of it, or of the last one */
	bool armed;      /* the timer is */
	uint64_t limits[LU_STATE_MAX];

	/* what was reported and waits for its turn */
	enum lu_event pending; /* OK, FAILED or TIMEOUT */
	struct lu_error pending_error;
	bool cancel;
	struct lu_error cancel_error;

	struct lu_error error; /* first one of this update */
};

int lu_engine_new(const struct lu_engine_ops *ops, void *userdata, struct lu_engine **ret)
{
	struct lu_engine *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->ops = ops;
	e->userdata = userdata;
	e->state = LU_STATE_IDLE;
	e->fresh = true;
	for (unsigned int i = 0; i < LU_STATE_MAX; i++)
		e->limits[i] = (uint64_t)lu_state_row(i)->limit_sec * 1000000;
	*ret = e;
	return 0;
}

void lu_engine_free(struct lu_engine *e)
{
	if (!e)
		return;
	lu_error_clear(&e->pending_error);
	lu_error_clear(&e->cancel_error);
	lu_error_clear(&e->error);
	free(e);
}

int lu_engine_set_limit(struct lu_engine *e, enum lu_state state, uint64_t usec)
{
	if (!lu_state_row(state) || lu_state_row(state)->no_return || lu_state_is_rest(state))
		return -EINVAL;
	e->limits[state] = usec;
	return 0;
}

enum lu_state lu_engine_state(const struct lu_engine *e)
{
	return e->state;
}

const struct lu_error *lu_engine_error(const struct lu_engine *e)
{
	return &e->error;
}

static void error_copy(struct lu_error *to, const struct lu_error *from)
{
	if (from && from->code)
		(void)lu_error_set(to, from->code, from->hint, "%s", from->what ?: strerror(-from->code));
}

/* On the way to the jump: here a failure of ours is a failure of the update. */
static bool can_abort(enum lu_state s)
{
	return lu_state_row(s)->failed == LU_STATE_ABORTING;
}

static void set_pending(struct lu_engine *e, enum lu_event event, const struct lu_error *error)
{
	e->pending = event;
	lu_error_clear(&e->pending_error);
	error_copy(&e->pending_error, error);
}

static void start_effect(struct lu_engine *e)
{
	const struct lu_state_row *row = lu_state_row(e->state);
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;
	uint64_t cookie = ++e->cookie;
	int r;

	e->running = true;
	e->tries++;
	r = e->ops->start_effect(e->userdata, row->effect, cookie, &error);
	if (r >= 0 || !e->running)
		return;
	e->running = false;
	(void)lu_error_set(&error, r, NULL, "%s: can't be started: %s", lu_effect_name(row->effect), strerror(-r));
	set_pending(e, LU_EVENT_FAILED, &error);
}

/* Commits and enters @to. Fails only if nothing was entered, which is so at the start of an update. */
static int enter(struct lu_engine *e, enum lu_state to, enum lu_event event, const struct lu_error *cause)
{
	_cleanup_error_ struct lu_error journal = LU_ERROR_INIT, timer = LU_ERROR_INIT;
	struct lu_transition t = { .from = e->state, .to = to, .event = event };
	const struct lu_state_row *row;
	int r;

	e->armed = false;
	if (e->running) {
		e->running = false;
		e->ops->cancel_effect(e->userdata, lu_state_row(e->state)->effect, e->cookie);
	}
	e->ending = lu_state_is_rest(to);
	error_copy(&e->error, cause);
	t.cause = cause && cause->code ? cause : e->error.code ? &e->error : NULL;
	r = e->ops->commit(e->userdata, &t);
	if (r < 0 && (event == LU_EVENT_START || event == LU_EVENT_START_VMM))
		return r;
	if (r < 0 && can_abort(to)) {
		(void)lu_error_set(&journal, r, "make room in pkernfs, then start the update again",
				   "state %s can't be written to the update's journal: %s", lu_state_name(to),
				   strerror(-r));
		error_copy(&e->error, &journal);
		t.to = LU_STATE_ABORTING;
		t.event = LU_EVENT_FAILED;
		t.cause = &journal;
		r = e->ops->commit(e->userdata, &t);
	}
	t.durable = r >= 0;
	e->ending = false;
	if (t.to != e->state)
		e->tries = 0;
	e->state = t.to;
	e->fresh = false;
	row = lu_state_row(e->state);
	e->ops->entered(e->userdata, &t);

	if (row->effect == LU_EFFECT_NONE) {
		(void)e->ops->arm_timer(e->userdata, 0);
		return 0;
	}
	r = e->ops->arm_timer(e->userdata, e->limits[e->state]);
	e->armed = r >= 0 && e->limits[e->state] > 0;
	if (r < 0 && can_abort(e->state)) {
		(void)lu_error_set(&timer, r, NULL, "state %s: can't arm its time limit: %s", lu_state_name(e->state),
				   strerror(-r));
		set_pending(e, LU_EVENT_FAILED, &timer);
		return 0;
	}
	if (e->cancel && row->cancel != LU_STATE_NONE)
		return 0; /* taken next; the effect is not even begun */
	start_effect(e);
	return 0;
}

/* Takes events until none is left. */
static void run(struct lu_engine *e)
{
	if (e->busy)
		return;
	e->busy = true;
	for (;;) {
		_cleanup_error_ struct lu_error cause = LU_ERROR_INIT;
		const struct lu_state_row *row = lu_state_row(e->state);
		enum lu_event event;
		enum lu_state to;

		if (e->cancel && row->cancel != LU_STATE_NONE) {
			event = LU_EVENT_CANCEL;
			lu_error_move(&cause, &e->cancel_error);
			lu_error_clear(&e->pending_error);
		} else if (e->pending != LU_EVENT_NONE) {
			event = e->pending;
			lu_error_move(&cause, &e->pending_error);
		} else {
			break;
		}
		/* Also of a cancel that came while the update was turning back anyway. */
		e->cancel = false;
		lu_error_clear(&e->cancel_error);
		e->pending = LU_EVENT_NONE;

		to = lu_state_next(e->state, event);
		if (to == LU_STATE_NONE)
			continue;
		if (event == LU_EVENT_FAILED && e->tries < row->tries)
			to = e->state;
		(void)enter(e, to, event, &cause);
	}
	e->busy = false;
}

int lu_engine_start(struct lu_engine *e, enum lu_event event, struct lu_error *ret_error)
{
	enum lu_state to = lu_state_next(e->state, event);
	_cleanup_error_ struct lu_error before = LU_ERROR_INIT;
	int r;

	if (e->busy || to == LU_STATE_NONE)
		return lu_error_set(ret_error, -EBUSY, "wait for it, or luctl abort", "an update is in state %s",
				    lu_state_name(e->state));
	lu_error_move(&before, &e->error);
	e->busy = true;
	r = enter(e, to, event, NULL);
	e->busy = false;
	if (r < 0) {
		lu_error_move(&e->error, &before);
		return lu_error_set(ret_error, r, "is pkernfs mounted, and has it room?",
				    "the update's journal can't be begun: %s", strerror(-r));
	}
	run(e);
	return 0;
}

int lu_engine_complete(struct lu_engine *e, uint64_t cookie, const struct lu_error *error)
{
	bool failed = error && error->code;

	if (!e->running || cookie != e->cookie)
		return -ESTALE;
	e->running = false;
	set_pending(e, failed ? LU_EVENT_FAILED : LU_EVENT_OK, error);
	run(e);
	return 0;
}

int lu_engine_timeout(struct lu_engine *e)
{
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;

	if (!e->armed || e->pending != LU_EVENT_NONE)
		return -ESTALE;
	e->armed = false;
	(void)lu_error_set(&error, -ETIMEDOUT, NULL, "state %s: not complete within %g seconds",
			   lu_state_name(e->state), (double)e->limits[e->state] / 1e6);
	set_pending(e, LU_EVENT_TIMEOUT, &error);
	run(e);
	return 0;
}

int lu_engine_cancel(struct lu_engine *e, const char *why, struct lu_error *ret_error)
{
	const struct lu_state_row *row = lu_state_row(e->state);

	if (row->effect == LU_EFFECT_NONE || (e->ending && row->cancel != LU_STATE_NONE))
		return lu_error_set(ret_error, -ENOENT, NULL, "no update is under way");
	if (e->state == LU_STATE_ABORTING || e->fresh)
		return lu_error_set(ret_error, -EALREADY, NULL, "the update is being %s already",
				    e->fresh ? "recovered" : "aborted");
	if (row->cancel == LU_STATE_NONE || (row->no_return && e->tries > 0))
		return lu_error_set(
			ret_error, -EINPROGRESS, "wait for its end; luctl restore serves VMs that do not come up",
			"the update is in state %s, beyond the point of no return", lu_state_name(e->state));
	e->cancel = true;
	(void)lu_error_set(&e->cancel_error, -ECANCELED, NULL, "%s", why);
	run(e);
	return 0;
}

/* The error of a record, "what\nhint". */
static void record_error(const struct lu_journal_record *record, struct lu_error *ret)
{
	const char *nl = strchr(record->text, '\n');

	if (record->error < 0 && record->text[0])
		(void)lu_error_set(ret, record->error, nl ? nl + 1 : NULL, "%.*s",
				   nl ? (int)(nl - record->text) : (int)strlen(record->text), record->text);
}

int lu_engine_recover(struct lu_engine *e, const struct lu_journal_record *last, bool same_boot)
{
	_cleanup_error_ struct lu_error cause = LU_ERROR_INIT;
	const struct lu_state_row *row;
	enum lu_state to;

	if (!e->fresh || e->busy)
		return -EBUSY;
	if (!last)
		return 0;
	row = lu_state_row(last->state);
	if (!row)
		return -EINVAL;
	e->state = row->state;
	record_error(last, &e->error);
	if (row->effect == LU_EFFECT_NONE) {
		e->fresh = false;
		return 0;
	}
	to = same_boot ? row->found_same : row->found_other;
	if (to == LU_STATE_ABORTING && row->state != LU_STATE_ABORTING)
		(void)lu_error_set(&cause, -EINTR, "see the journal of luctld.service",
				   "luctld ended while the update was in state %s", lu_state_name(row->state));
	else if (to == LU_STATE_DEGRADED)
		(void)lu_error_set(&cause, -EHOSTDOWN, "luctl vm list tells which VMs can be restored",
				   "the host went down while the update was in state %s", lu_state_name(row->state));
	e->busy = true;
	(void)enter(e, to, LU_EVENT_RECOVER, &cause);
	e->busy = false;
	run(e);
	return 0;
}

int lu_engine_undo_again(struct lu_engine *e)
{
	_cleanup_error_ struct lu_error cause = LU_ERROR_INIT;

	if (e->busy || e->state != LU_STATE_DEGRADED)
		return -EBUSY;
	error_copy(&cause, &e->error);
	e->busy = true;
	(void)enter(e, LU_STATE_ABORTING, LU_EVENT_RECOVER, &cause);
	e->busy = false;
	run(e);
	return 0;
}
