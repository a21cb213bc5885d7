// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table of states against a second writing of it, the rules that it follows, and the
 * engine in every state under every event.
 */
#include "../test.h"

#include "world.h"

#define NO LU_STATE_NONE
#define S(n) LU_STATE_##n

/* Written from the description, not from the table. */
static const struct {
	enum lu_state ok, failed, timeout, cancel, start, same, other;
	enum lu_effect effect;
	enum lu_state start_vmm; /* 0: none */
} want[LU_STATE_MAX] = {
	[S(IDLE)] = { NO, NO, NO, NO, S(CHECKING), S(IDLE), S(IDLE), LU_EFFECT_NONE, S(EXAMINING) },
	[S(CHECKING)] = { S(LOADING), S(ABORTING), S(ABORTING), S(ABORTING), NO, S(ABORTING), S(DEGRADED),
			  LU_EFFECT_CHECK },
	[S(LOADING)] = { S(PREPARING), S(ABORTING), S(ABORTING), S(ABORTING), NO, S(ABORTING), S(DEGRADED),
			 LU_EFFECT_LOAD },
	[S(PREPARING)] = { S(PAUSING), S(ABORTING), S(ABORTING), S(ABORTING), NO, S(ABORTING), S(DEGRADED),
			   LU_EFFECT_PREPARE },
	[S(PAUSING)] = { S(SAVING), S(ABORTING), S(ABORTING), S(ABORTING), NO, S(ABORTING), S(DEGRADED),
			 LU_EFFECT_PAUSE },
	[S(SAVING)] = { S(SEALING), S(ABORTING), S(ABORTING), S(ABORTING), NO, S(ABORTING), S(DEGRADED),
			LU_EFFECT_SAVE },
	[S(SEALING)] = { S(JUMP), S(ABORTING), S(ABORTING), S(ABORTING), NO, S(ABORTING), S(DEGRADED), LU_EFFECT_SEAL },
	[S(JUMP)] = { S(ABORTING), S(ABORTING), NO, S(ABORTING), NO, S(ABORTING), S(BOOTED), LU_EFFECT_JUMP },
	[S(BOOTED)] = { S(ADOPTING), S(DEGRADED), S(DEGRADED), NO, NO, S(BOOTED), S(BOOTED), LU_EFFECT_REVIEW },
	[S(ADOPTING)] = { S(RESTORING), S(RESTORING), S(RESTORING), NO, NO, S(BOOTED), S(BOOTED), LU_EFFECT_ADOPT },
	[S(RESTORING)] = { S(RESUMING), S(RESUMING), S(RESUMING), NO, NO, S(BOOTED), S(BOOTED), LU_EFFECT_RESTORE },
	[S(RESUMING)] = { S(FINISHING), S(FINISHING), S(FINISHING), NO, NO, S(BOOTED), S(BOOTED), LU_EFFECT_RESUME },
	[S(FINISHING)] = { S(DONE), S(DEGRADED), S(DEGRADED), NO, NO, S(BOOTED), S(BOOTED), LU_EFFECT_FINISH },
	[S(DONE)] = { NO, NO, NO, NO, S(CHECKING), S(DONE), S(DONE), LU_EFFECT_NONE, S(EXAMINING) },
	[S(ABORTING)] = { S(ABORTED), S(DEGRADED), S(DEGRADED), NO, NO, S(ABORTING), S(DEGRADED), LU_EFFECT_UNDO },
	[S(ABORTED)] = { NO, NO, NO, NO, S(CHECKING), S(ABORTED), S(ABORTED), LU_EFFECT_NONE, S(EXAMINING) },
	[S(DEGRADED)] = { NO, NO, NO, NO, S(CHECKING), S(DEGRADED), S(DEGRADED), LU_EFFECT_NONE, S(EXAMINING) },
	[S(EXAMINING)] = { S(REPLACING), S(ABORTING), S(ABORTING), S(ABORTING), NO, S(ABORTING), S(DEGRADED),
			   LU_EFFECT_EXAMINE },
	[S(REPLACING)] = { S(DONE), S(ABORTING), S(ABORTING), S(ABORTING), NO, S(ABORTING), S(DEGRADED),
			   LU_EFFECT_REPLACE },
};

static void test_matrix(void **state)
{
	for (unsigned int s = 0; s < LU_STATE_MAX; s++) {
		const struct lu_state_row *row = lu_state_row(s);

		expect(row->state == s, "row %u", s);
		expect(row->meaning && row->meaning[0], "row %u", s);
		expect(lu_state_next(s, LU_EVENT_OK) == want[s].ok, "%s", lu_state_name(s));
		expect(lu_state_next(s, LU_EVENT_FAILED) == want[s].failed, "%s", lu_state_name(s));
		expect(lu_state_next(s, LU_EVENT_TIMEOUT) == want[s].timeout, "%s", lu_state_name(s));
		expect(lu_state_next(s, LU_EVENT_CANCEL) == want[s].cancel, "%s", lu_state_name(s));
		expect(lu_state_next(s, LU_EVENT_START) == want[s].start, "%s", lu_state_name(s));
		expect(lu_state_next(s, LU_EVENT_START_VMM) == (want[s].start_vmm ?: NO), "%s", lu_state_name(s));
		expect(lu_state_next(s, LU_EVENT_NONE) == NO, "%s", lu_state_name(s));
		expect(lu_state_next(s, LU_EVENT_RECOVER) == NO, "%s", lu_state_name(s));
		expect(lu_state_next(s, LU_EVENT_MAX) == NO, "%s", lu_state_name(s));
		expect(row->found_same == want[s].same && row->found_other == want[s].other, "%s", lu_state_name(s));
		expect(row->effect == want[s].effect, "%s", lu_state_name(s));
	}
	assert_null(lu_state_row(LU_STATE_MAX));
	assert_int_equal(lu_state_next(LU_STATE_MAX, LU_EVENT_OK), NO);
	for (unsigned int i = 0; i < LU_EFFECT_MAX; i++)
		assert_non_null(lu_effect_name(i));
	for (unsigned int i = 0; i < LU_EVENT_MAX; i++)
		assert_non_null(lu_event_name(i));
	assert_null(lu_effect_name(LU_EFFECT_MAX));
	assert_null(lu_event_name(LU_EVENT_MAX));
}

static bool reaches(enum lu_state from, enum lu_state to, unsigned int depth)
{
	if (from == to)
		return true;
	if (depth == 0)
		return false;
	for (unsigned int ev = LU_EVENT_OK; ev <= LU_EVENT_CANCEL; ev++) {
		enum lu_state next = lu_state_next(from, ev);

		if (next != NO && reaches(next, to, depth - 1))
			return true;
	}
	return false;
}

static void test_rules(void **state)
{
	for (unsigned int s = 0; s < LU_STATE_MAX; s++) {
		const struct lu_state_row *row = lu_state_row(s);
		const char *name = lu_state_name(s);

		/* a state acts or rests */
		expect((row->effect == LU_EFFECT_NONE) == lu_state_is_rest(s), "%s", name);
		expect((row->start != NO) == lu_state_is_rest(s), "%s", name);
		expect((row->start_vmm != NO) == lu_state_is_rest(s), "%s", name);
		/* what acts has a way out on failure, and a time limit but for the jump */
		if (!lu_state_is_rest(s)) {
			expect(row->failed != NO, "%s", name);
			expect((row->limit_sec > 0) == !row->no_return, "%s", name);
			expect((row->timeout != NO) == !row->no_return, "%s", name);
		}
		/* cancelling is for what can be undone */
		expect((row->cancel != NO) == ((s >= S(CHECKING) && s <= S(JUMP)) || s >= S(EXAMINING)), "%s", name);
		/* QEMU is replaced in this kernel: nothing leads from there to the jump, or past it */
		if (s >= S(EXAMINING))
			for (unsigned int b = S(CHECKING); b <= S(FINISHING); b++)
				expect(!reaches(s, b, 12), "%s", name);
		/* after the jump there is no way back to the old kernel's states, before it none past it */
		if (s >= S(BOOTED) && s <= S(FINISHING))
			for (unsigned int b = S(CHECKING); b <= S(JUMP); b++)
				expect(!reaches(s, b, 12) && !reaches(s, S(ABORTING), 12), "%s", name);
		if (s >= S(CHECKING) && s <= S(JUMP))
			expect(!reaches(s, S(BOOTED), 12), "%s", name);
		/* everything comes to rest */
		expect(reaches(s, S(IDLE), 12) || reaches(s, S(DONE), 12) || reaches(s, S(ABORTED), 12) ||
			       reaches(s, S(DEGRADED), 12),
		       "%s", name);
		/* recovery of a recovered state changes nothing more */
		expect(lu_state_row(row->found_same)->found_same == row->found_same, "%s", name);
	}
	/* effects belong to one state each */
	for (unsigned int a = 0; a < LU_STATE_MAX; a++)
		for (unsigned int b = 0; b < a; b++)
			expect(lu_state_row(a)->effect == LU_EFFECT_NONE ||
				       lu_state_row(a)->effect != lu_state_row(b)->effect,
			       "%s and %s", lu_state_name(a), lu_state_name(b));
}

/* Brings a fresh world into @s, its effect running. */
static void reach(struct world *w, enum lu_state s)
{
	world_init(w);
	if (s == S(IDLE))
		return;
	if (s == S(ABORTING) || s == S(ABORTED) || s <= S(JUMP) || s >= S(EXAMINING)) {
		assert_int_equal(
			lu_engine_start(w->engine, s >= S(EXAMINING) ? LU_EVENT_START_VMM : LU_EVENT_START, NULL), 0);
		if (s == S(ABORTING) || s == S(ABORTED))
			assert_int_equal(lu_engine_cancel(w->engine, "reach", NULL), 0);
	} else {
		struct lu_journal_record last = { .seq = 1, .state = S(JUMP) };

		w->kernel = 1;
		for (int i = 0; i < VMS; i++)
			w->saved[i] = true, w->vm[i] = VM_GONE;
		if (s == S(DEGRADED))
			last.state = S(SAVING);
		assert_int_equal(lu_engine_recover(w->engine, &last, false), 0);
	}
	while (lu_engine_state(w->engine) != s) {
		if (s == S(JUMP) && lu_engine_state(w->engine) == S(SEALING)) {
			/* its reboot call fails, so that the world stays */
			w->fail_at[0] = w->step + 5;
			world_complete(w);
			break;
		}
		world_complete(w);
	}
	assert_int_equal(lu_engine_state(w->engine), s);
	w->failed = 0;
	memset(w->fail_at, 0, sizeof(w->fail_at));
}

static const struct lu_error an_error = { .code = -EIO, .what = (char *)"it failed", .hint = (char *)"try" };

/* Every state under every event: where it goes, what runs afterwards, what is refused. */
static void test_state_event(void **state)
{
	for (unsigned int s = 0; s < LU_STATE_MAX; s++) {
		for (unsigned int ev = LU_EVENT_START; ev <= LU_EVENT_START_VMM; ev++) {
			bool rest = lu_state_is_rest(s), starts = ev == LU_EVENT_START || ev == LU_EVENT_START_VMM;
			enum lu_state to = lu_state_next(s, ev);
			_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
			unsigned int records, cancelled;
			struct world w;
			int r = 0;

			if (ev == LU_EVENT_RECOVER)
				continue;
			reach(&w, s);
			records = w.n_journal;
			cancelled = w.cancelled[lu_state_row(s)->effect];
			switch (ev) {
			case LU_EVENT_START:
			case LU_EVENT_START_VMM:
				r = lu_engine_start(w.engine, ev, &e);
				assert_int_equal(r, rest ? 0 : -EBUSY);
				break;
			case LU_EVENT_OK:
			case LU_EVENT_FAILED:
				w.active = LU_EFFECT_NONE;
				r = lu_engine_complete(w.engine, w.cookie, ev == LU_EVENT_FAILED ? &an_error : NULL);
				assert_int_equal(r, rest ? -ESTALE : 0);
				break;
			case LU_EVENT_TIMEOUT:
				r = lu_engine_timeout(w.engine);
				assert_int_equal(r, rest || s == S(JUMP) ? -ESTALE : 0);
				break;
			case LU_EVENT_CANCEL:
				r = lu_engine_cancel(w.engine, "the test", &e);
				if (rest)
					assert_int_equal(r, -ENOENT);
				else if (s == S(ABORTING))
					assert_int_equal(r, -EALREADY);
				else if (s >= S(JUMP) && s < S(EXAMINING))
					assert_int_equal(r, -EINPROGRESS);
				else
					assert_int_equal(r, 0);
				break;
			}
			if (r < 0) {
				/* refused: nothing happened */
				expect(lu_engine_state(w.engine) == s, "%s", lu_state_name(s));
				assert_int_equal(w.n_journal, records);
				if (starts || ev == LU_EVENT_CANCEL)
					assert_true(e.code == r && e.what);
				world_done(&w);
				continue;
			}
			/* the first failure of undo is not the last word */
			if (s == S(ABORTING) && ev == LU_EVENT_FAILED)
				to = S(ABORTING);
			expect(lu_engine_state(w.engine) == to, "%s on %s: %s", lu_state_name(s), lu_event_name(ev),
			       lu_state_name(lu_engine_state(w.engine)));
			assert_int_equal(w.entered, to);
			if (starts)
				assert_int_equal(w.n_journal, 1);
			else
				assert_int_equal(w.n_journal, records + 1);
			assert_int_equal(w.journal[w.n_journal - 1].state, to);
			assert_int_equal(w.journal[w.n_journal - 1].event, ev);
			if (!w.dead)
				assert_int_equal(w.active, lu_state_row(to)->effect);
			/* a running effect was stopped exactly if it had not ended by itself */
			expect(w.cancelled[lu_state_row(s)->effect] - cancelled ==
				       (ev == LU_EVENT_TIMEOUT || ev == LU_EVENT_CANCEL),
			       "%s on %s", lu_state_name(s), lu_event_name(ev));
			if (!w.dead && lu_state_row(to)->limit_sec)
				assert_int_equal(w.timer, lu_state_row(to)->limit_sec * UINT64_C(1000000));
			else if (!w.dead)
				assert_int_equal(w.timer, 0);
			if (ev != LU_EVENT_OK && !starts)
				assert_true(lu_engine_error(w.engine)->code < 0);
			if (starts)
				assert_int_equal(lu_engine_error(w.engine)->code, 0);
			world_done(&w);
		}
	}
}

static void test_undo_twice(void **state)
{
	struct world w;

	reach(&w, S(ABORTING));
	w.active = LU_EFFECT_NONE;
	assert_int_equal(lu_engine_complete(w.engine, w.cookie, &an_error), 0);
	assert_int_equal(lu_engine_state(w.engine), S(ABORTING));
	assert_int_equal(w.started[LU_EFFECT_UNDO], 2);
	w.active = LU_EFFECT_NONE;
	assert_int_equal(lu_engine_complete(w.engine, w.cookie, &an_error), 0);
	assert_int_equal(lu_engine_state(w.engine), S(DEGRADED));
	/* the first error is the cause */
	assert_int_equal(lu_engine_error(w.engine)->code, -ECANCELED);
	/* and the next update has its own tries again */
	assert_int_equal(lu_engine_start(w.engine, LU_EVENT_START, NULL), 0);
	assert_int_equal(lu_engine_cancel(w.engine, "again", NULL), 0);
	w.active = LU_EFFECT_NONE;
	assert_int_equal(lu_engine_complete(w.engine, w.cookie, &an_error), 0);
	assert_int_equal(lu_engine_state(w.engine), S(ABORTING));
	world_complete(&w);
	assert_int_equal(lu_engine_state(w.engine), S(ABORTED));
	world_done(&w);
}

/* A start that can't be committed changes nothing: neither the state nor what the last update left behind. */
static void test_start_refused(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct world w;

	reach(&w, S(ABORTED));
	w.fail_at[0] = w.step + 1;
	assert_int_equal(lu_engine_start(w.engine, LU_EVENT_START, &e), -EIO);
	assert_true(e.code == -EIO && e.what && e.hint);
	assert_int_equal(lu_engine_state(w.engine), S(ABORTED));
	assert_int_equal(lu_engine_error(w.engine)->code, -ECANCELED);
	assert_int_equal(w.active, LU_EFFECT_NONE);
	assert_int_equal(lu_engine_start(w.engine, LU_EVENT_START, NULL), 0);
	assert_int_equal(lu_engine_error(w.engine)->code, 0);
	world_done(&w);
}

/* Completions that come late, twice, or from elsewhere. */
static void test_stale(void **state)
{
	struct world w;
	uint64_t old;

	reach(&w, S(SAVING));
	old = w.cookie;
	assert_int_equal(lu_engine_timeout(w.engine), 0);
	assert_int_equal(lu_engine_state(w.engine), S(ABORTING));
	assert_int_equal(w.cancelled[LU_EFFECT_SAVE], 1);
	assert_int_equal(lu_engine_complete(w.engine, old, NULL), -ESTALE);
	assert_int_equal(lu_engine_complete(w.engine, old, &an_error), -ESTALE);
	assert_int_equal(lu_engine_complete(w.engine, w.cookie + 1, NULL), -ESTALE);
	assert_int_equal(lu_engine_state(w.engine), S(ABORTING));
	old = w.cookie;
	world_complete(&w);
	assert_int_equal(lu_engine_state(w.engine), S(ABORTED));
	assert_int_equal(lu_engine_complete(w.engine, old, NULL), -ESTALE);
	assert_int_equal(lu_engine_timeout(w.engine), -ESTALE);
	assert_true(strstr(lu_engine_error(w.engine)->what, "saving") &&
		    strstr(lu_engine_error(w.engine)->what, "120"));
	world_done(&w);
}

static void test_limits(void **state)
{
	struct world w;

	world_init(&w);
	assert_int_equal(lu_engine_set_limit(w.engine, S(CHECKING), 7), 0);
	assert_int_equal(lu_engine_set_limit(w.engine, S(LOADING), 0), 0);
	assert_int_equal(lu_engine_set_limit(w.engine, S(JUMP), 7), -EINVAL);
	assert_int_equal(lu_engine_set_limit(w.engine, S(DONE), 7), -EINVAL);
	assert_int_equal(lu_engine_set_limit(w.engine, LU_STATE_MAX, 7), -EINVAL);
	assert_int_equal(lu_engine_start(w.engine, LU_EVENT_START, NULL), 0);
	assert_int_equal(w.timer, 7);
	world_complete(&w);
	assert_int_equal(w.timer, 0);
	assert_int_equal(lu_engine_timeout(w.engine), -ESTALE);
	world_done(&w);
}

/* What is found in the journal, by the same boot and by another. */
static void test_recover(void **state)
{
	for (unsigned int s = 0; s < LU_STATE_MAX; s++) {
		for (int same = 0; same < 2; same++) {
			struct lu_journal_record last = {
				.seq = 3, .state = s, .error = -ENOSPC, .text = "pkernfs is full\nmake room"
			};
			enum lu_state to = same ? want[s].same : want[s].other;
			struct world w;

			world_init(&w);
			w.kernel = to == S(BOOTED);
			assert_int_equal(lu_engine_recover(w.engine, &last, same), 0);
			expect(lu_engine_state(w.engine) == to, "%s, same boot %d: %s", lu_state_name(s), same,
			       lu_state_name(lu_engine_state(w.engine)));
			assert_int_equal(w.n_journal, lu_state_is_rest(s) ? 0 : 1);
			assert_int_equal(w.active, lu_state_row(to)->effect);
			assert_int_equal(lu_engine_error(w.engine)->code, -ENOSPC);
			assert_string_equal(lu_engine_error(w.engine)->what, "pkernfs is full");
			assert_string_equal(lu_engine_error(w.engine)->hint, "make room");
			/* only a fresh engine recovers */
			assert_int_equal(lu_engine_recover(w.engine, &last, same), -EBUSY);
			world_done(&w);

			/* without a recorded error the recovery itself is the cause, where it is one */
			world_init(&w);
			w.kernel = to == S(BOOTED);
			last.error = 0;
			last.text[0] = '\0';
			assert_int_equal(lu_engine_recover(w.engine, &last, same), 0);
			expect((lu_engine_error(w.engine)->code < 0) ==
				       (to != (enum lu_state)s && (to == S(ABORTING) || to == S(DEGRADED))),
			       "%s", lu_state_name(s));
			world_done(&w);
		}
	}
	struct lu_journal_record unknown = { .seq = 1, .state = LU_STATE_MAX };
	struct world w;

	world_init(&w);
	assert_int_equal(lu_engine_recover(w.engine, &unknown, true), -EINVAL);
	assert_int_equal(lu_engine_recover(w.engine, NULL, true), 0);
	assert_int_equal(lu_engine_state(w.engine), S(IDLE));
	world_done(&w);
}

/* What an undo that failed for good has left is undone by a new daemon, as long as nothing has jumped. */
static void test_undo_again(void **state)
{
	struct lu_journal_record last = { .seq = 3, .state = S(DEGRADED), .error = -EIO, .text = "VM a: hangs" };
	struct world w;

	world_init(&w);
	assert_int_equal(lu_engine_recover(w.engine, &last, true), 0);
	assert_int_equal(lu_engine_state(w.engine), S(DEGRADED));
	assert_int_equal(w.active, LU_EFFECT_NONE);
	assert_int_equal(lu_engine_undo_again(w.engine), 0);
	assert_int_equal(lu_engine_state(w.engine), S(ABORTING));
	assert_int_equal(w.active, LU_EFFECT_UNDO);
	assert_string_equal(lu_engine_error(w.engine)->what, "VM a: hangs");
	assert_int_equal(lu_engine_undo_again(w.engine), -EBUSY);
	world_complete(&w);
	assert_int_equal(lu_engine_state(w.engine), S(ABORTED));
	assert_int_equal(lu_engine_undo_again(w.engine), -EBUSY);
	world_done(&w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_undo_again), cmocka_unit_test(test_matrix),
		cmocka_unit_test(test_rules),      cmocka_unit_test(test_state_event),
		cmocka_unit_test(test_undo_twice), cmocka_unit_test(test_start_refused),
		cmocka_unit_test(test_stale),      cmocka_unit_test(test_limits),
		cmocka_unit_test(test_recover),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
