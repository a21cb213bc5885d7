// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine in a world where things go wrong: the n-th step of everything that is
 * done fails, for one, two and three faults; the process dies at the n-th step; somebody
 * cancels at the n-th step; a state runs out of time. And the journal, a real
 * one, cut after every byte. After each run world_check() must hold.
 */
#include "../test.h"

#include <fcntl.h>
#include <unistd.h>

#include "world.h"

/* 4: QEMU is replaced in this kernel */
#define MODES 6

static void set_mode(struct world *w, int mode)
{
	w->sync = mode & 1;
	w->lu_init = mode & 2;
	w->vmm = mode & 4;
}

/* Steps of an undisturbed update, in both kernels. */
static long count_steps(int mode)
{
	struct world w;
	long n;

	world_init(&w);
	set_mode(&w, mode);
	world_update(&w);
	assert_int_equal(lu_engine_state(w.engine), LU_STATE_DONE);
	assert_int_equal(lu_engine_error(w.engine)->code, 0);
	world_check(&w, "undisturbed");
	for (unsigned int i = LU_EFFECT_CHECK; i < LU_EFFECT_UNDO; i++)
		assert_int_equal(w.started[i], w.vmm == (i == LU_EFFECT_EXAMINE || i == LU_EFFECT_REPLACE));
	assert_int_equal(w.started[LU_EFFECT_UNDO], 0);
	n = w.step;
	world_done(&w);
	return n;
}

static const char *where(const char *what, int mode, long a, long b, long c)
{
	static char text[100];

	snprintf(text, sizeof(text), "%s at steps %ld %ld %ld, %s, %s", what, a, b, c, mode & 1 ? "sync" : "async",
		 mode & 4 ? "QEMU only" :
		 mode & 2 ? "lu-init" :
			    "no lu-init");
	return text;
}

static enum lu_state run_faults(int mode, long a, long b, long c, unsigned int *ret_failed)
{
	enum lu_state s;
	struct world w;

	world_init(&w);
	set_mode(&w, mode);
	w.fail_at[0] = a;
	w.fail_at[1] = b;
	w.fail_at[2] = c;
	world_update(&w);
	world_check(&w, where("fault", mode, a, b, c));
	s = lu_engine_state(w.engine);
	*ret_failed = w.failed;
	/* in the old kernel it takes three faults to leave a guest behind: one to abort, two against undo */
	if (w.kernel == 0 && w.failed < 3)
		expect(s == LU_STATE_ABORTED || s == LU_STATE_IDLE || (w.vmm && s == LU_STATE_DONE), "%s: %s",
		       where("fault", mode, a, b, c), lu_state_name(s));
	/* whatever happened, the next update works */
	if (s != LU_STATE_DEGRADED) {
		memset(w.fail_at, 0, sizeof(w.fail_at));
		memset(w.resumed, 0, sizeof(w.resumed));
		w.kernel = 0;
		world_update(&w);
		expect(lu_engine_state(w.engine) == LU_STATE_DONE, "%s: next update ends %s",
		       where("fault", mode, a, b, c), lu_state_name(lu_engine_state(w.engine)));
	}
	world_done(&w);
	return s;
}

/* One fault at every step, until a run has none. */
static void test_one_fault(void **state)
{
	for (int mode = 0; mode < MODES; mode++) {
		unsigned int ends[LU_STATE_MAX] = { 0 }, failed;

		for (long n = 1;; n++) {
			ends[run_faults(mode, n, 0, 0, &failed)]++;
			if (!failed)
				break;
		}
		/* all ends were seen, so the sweep did reach the new kernel */
		if (mode & 4)
			assert_true(ends[LU_STATE_IDLE] == 1 && ends[LU_STATE_ABORTED] > 8 && ends[LU_STATE_DONE] > 0 &&
				    ends[LU_STATE_DEGRADED] == 0);
		else
			assert_true(ends[LU_STATE_IDLE] == 1 && ends[LU_STATE_ABORTED] > 20 &&
				    ends[LU_STATE_DONE] > 5 && ends[LU_STATE_DEGRADED] > 3);
	}
}

static void test_two_and_three_faults(void **state)
{
	unsigned int failed, degraded = 0;

	for (int mode = 0; mode < MODES; mode += mode == 3 ? 1 : 3) {
		long n = count_steps(mode) + 30; /* failing takes steps of its own */

		for (long a = 1; a <= n; a++)
			for (long b = a + 1; b <= n; b++)
				(void)run_faults(mode, a, b, 0, &failed);
		for (long a = 1; a <= n; a += 3)
			for (long b = a + 1; b <= a + 30; b++)
				for (long c = b + 1; c <= b + 15; c++)
					degraded += run_faults(mode, a, b, c, &failed) == LU_STATE_DEGRADED;
	}
	assert_true(degraded > 0);
}

/* The process dies at every step, and once more at every step of what follows. */
static void test_crash(void **state)
{
	for (int mode = 0; mode < MODES; mode++) {
		long n = count_steps(mode);
		unsigned int ends[LU_STATE_MAX] = { 0 };

		for (long a = 1; a <= n + 1; a++) {
			for (long again = 0; again < 40; again++) {
				struct world w;
				enum lu_state s;

				world_init(&w);
				set_mode(&w, mode);
				w.crash_at = a;
				assert_int_equal(
					lu_engine_start(w.engine, w.vmm ? LU_EVENT_START_VMM : LU_EVENT_START, NULL),
					0);
				world_run(&w);
				for (int i = 0; w.dead; i++) {
					assert_true(i < 6);
					if (w.step == a && again)
						w.crash_at = a + again;
					world_restart(&w);
				}
				world_check(&w, where("crash", mode, a, again, 0));
				s = lu_engine_state(w.engine);
				expect(s != LU_STATE_DEGRADED, "%s", where("crash", mode, a, again, 0));
				ends[s]++;
				world_done(&w);
			}
		}
		assert_true(ends[LU_STATE_ABORTED] > 0 && ends[LU_STATE_DONE] > 0 && ends[LU_STATE_IDLE] > 0);
	}
}

/* A rehearsal comes to the jump and back; fault, death or cancel, nothing of it gets to another kernel. */
static void test_rehearsal(void **state)
{
	for (int sync = 0; sync < 2; sync++) {
		unsigned int whole = 0, ended = 0, degraded = 0;

		for (long a = 0; a < 90; a++) {
			for (int how = 0; how < 4; how++) {
				char text[64];
				struct world w;

				snprintf(text, sizeof(text), "rehearsal, way %d, step %ld", how, a);
				world_init(&w);
				w.sync = sync;
				w.rehearse = true;
				w.fail_at[0] = how == 0 || how == 3 ? a : 0;
				w.fail_at[1] = how == 3 && a ? a + 3 : 0;
				w.fail_at[2] = how == 3 && a ? a + 9 : 0;
				w.crash_at = how == 1 ? a : 0;
				w.cancel_at = how == 2 ? a : 0;
				world_update(&w);
				world_check(&w, text);
				assert_int_equal(w.kernel, 0);
				assert_int_equal(w.started[LU_EFFECT_REVIEW], 0);
				degraded += lu_engine_state(w.engine) == LU_STATE_DEGRADED;
				if (lu_engine_state(w.engine) == LU_STATE_ABORTED) {
					bool good = lu_engine_error(w.engine)->code == 0;

					/* it is good only if it came to the jump, and nobody ended it */
					expect(!good || w.started[LU_EFFECT_JUMP], "%s", text);
					expect(!good || w.cancel_result != 0, "%s", text);
					whole += good;
					ended += !good;
				}
				if (a == 0) {
					expect(lu_engine_error(w.engine)->code == 0, "%s", text);
					assert_int_equal(w.started[LU_EFFECT_JUMP], 1);
					assert_int_equal(w.started[LU_EFFECT_UNDO], 1);
				}
				world_done(&w);
			}
		}
		assert_true(whole > 8 && ended > 50 && degraded > 0);
	}
}

/* Cancelled from within any op: undone, unless the jump was under way. */
static void test_cancel(void **state)
{
	for (int mode = 0; mode < MODES; mode++) {
		long n = count_steps(mode);
		unsigned int accepted = 0, refused = 0;

		for (long a = 1; a <= n; a++) {
			struct world w;

			world_init(&w);
			set_mode(&w, mode);
			w.cancel_at = a;
			world_update(&w);
			world_check(&w, where("cancel", mode, a, 0, 0));
			assert_int_not_equal(w.cancel_result, 1);
			if (w.cancel_result == 0) {
				expect(lu_engine_state(w.engine) == LU_STATE_ABORTED, "%s",
				       where("cancel", mode, a, 0, 0));
				assert_int_equal(lu_engine_error(w.engine)->code, -ECANCELED);
				accepted++;
			} else {
				expect(lu_engine_state(w.engine) == LU_STATE_DONE, "%s",
				       where("cancel", mode, a, 0, 0));
				refused++;
			}
			/* it is over: the next update is not cancelled by it */
			memset(w.resumed, 0, sizeof(w.resumed));
			w.kernel = 0;
			w.cancel_at = 0;
			world_update(&w);
			assert_int_equal(lu_engine_state(w.engine), LU_STATE_DONE);
			world_done(&w);
		}
		assert_true(accepted > (mode & 4 ? 8u : 25u) && refused > (mode & 4 ? 0u : 10u));
	}
}

/* Cancelled between the record of jump and its effect: the last moment. */
static void test_cancel_at_jump(void **state)
{
	struct world w;
	long at = 0;

	world_init(&w);
	assert_int_equal(lu_engine_start(w.engine, LU_EVENT_START, NULL), 0);
	while (lu_engine_state(w.engine) != LU_STATE_SEALING)
		world_complete(&w);
	at = w.step + 2; /* the commit's second step: the record is there */
	w.cancel_at = at;
	world_complete(&w);
	assert_int_equal(w.cancel_result, 0);
	assert_int_equal(w.started[LU_EFFECT_JUMP], 0);
	assert_int_equal(w.journal[w.n_journal - 2].state, LU_STATE_JUMP);
	assert_int_equal(w.journal[w.n_journal - 1].state, LU_STATE_ABORTING);
	world_run(&w);
	world_check(&w, "cancel at jump");
	assert_int_equal(lu_engine_state(w.engine), LU_STATE_ABORTED);
	world_done(&w);
}

/* No time limit can be armed: before the jump that is a failure, and the effect is not begun; after it no reason to stop. */
static void test_no_timer(void **state)
{
	struct lu_journal_record last = { .seq = 1, .state = LU_STATE_JUMP };
	struct world w;

	world_init(&w);
	w.fail_at[0] = 3; /* commit takes two steps */
	world_update(&w);
	assert_int_equal(w.failed, 1);
	assert_int_equal(w.started[LU_EFFECT_CHECK], 0);
	assert_int_equal(lu_engine_state(w.engine), LU_STATE_ABORTED);
	assert_non_null(strstr(lu_engine_error(w.engine)->what, "time limit"));
	world_check(&w, "no timer");
	world_done(&w);

	world_init(&w);
	w.kernel = 1;
	w.fail_at[0] = 3;
	for (int i = 0; i < VMS; i++)
		w.vm[i] = VM_GONE, w.saved[i] = true;
	assert_int_equal(lu_engine_recover(w.engine, &last, false), 0);
	assert_int_equal(w.failed, 1);
	assert_int_equal(w.started[LU_EFFECT_REVIEW], 1);
	assert_int_equal(lu_engine_timeout(w.engine), -ESTALE);
	world_run(&w);
	assert_int_equal(lu_engine_state(w.engine), LU_STATE_DONE);
	world_done(&w);
}

/* Each state in turn runs out of time; its effect's completion comes late. */
static void test_timeouts(void **state)
{
	for (unsigned int at = 0; at < 13; at++) {
		struct world w;
		unsigned int n = 0;

		world_init(&w);
		w.failed = 1; /* (as far as world_check() cares) */
		assert_int_equal(lu_engine_start(w.engine, LU_EVENT_START, NULL), 0);
		for (int i = 0; i < 40 && !lu_state_is_rest(lu_engine_state(w.engine)); i++) {
			if (w.dead)
				world_restart(&w), assert_int_equal(w.active, LU_EFFECT_NONE);
			else if (n++ == at) {
				uint64_t late = w.cookie;

				assert_int_equal(lu_engine_timeout(w.engine), 0);
				assert_int_equal(lu_engine_complete(w.engine, late, NULL), -ESTALE);
			} else {
				world_complete(&w);
			}
		}
		world_check(&w, where("timeout", 0, at, 0, 0));
		world_done(&w);
	}
}

/* In the new kernel each state runs out of time; VMs may be missing then, none may be lost. */
static void test_timeouts_after(void **state)
{
	for (unsigned int at = LU_STATE_BOOTED; at <= LU_STATE_FINISHING; at++) {
		struct lu_journal_record last = { .seq = 1, .state = LU_STATE_JUMP };
		struct world w;

		world_init(&w);
		w.kernel = 1;
		w.failed = 1;
		for (int i = 0; i < VMS; i++)
			w.vm[i] = VM_GONE, w.saved[i] = true;
		assert_int_equal(lu_engine_recover(w.engine, &last, false), 0);
		while (!lu_state_is_rest(lu_engine_state(w.engine))) {
			if (lu_engine_state(w.engine) == at)
				assert_int_equal(lu_engine_timeout(w.engine), 0);
			else
				world_complete(&w);
		}
		world_check(&w, lu_state_name(at));
		assert_int_equal(lu_engine_error(w.engine)->code, -ETIMEDOUT);
		world_done(&w);
	}
}

/*
 * A real journal of a whole update in both kernels, and the world before each of its
 * records was written. The file is cut at every length. What the reader then
 * finds is recovered in two worlds: the one in which the found state's effect was
 * complete, and the one in which it had not begun.
 */
#define BOOT_A "aaaaaaaa-0000-0000-0000-00000000000a"
#define BOOT_B "bbbbbbbb-0000-0000-0000-00000000000b"

static void recover_cut(const struct world *snapshot, const char *text, size_t n, const char *name)
{
	struct lu_journal_record record, last = { 0 };
	struct lu_journal_reader rd;
	struct world w = *snapshot;
	bool same;
	int r;

	r = lu_journal_reader_init(&rd, text, n, "cut", NULL);
	assert_int_equal(r, 0);
	while ((r = lu_journal_reader_next(&rd, &record, NULL)) > 0)
		last = record;
	assert_int_equal(r, 0);
	same = last.seq && strcmp(last.boot_id, w.kernel ? BOOT_B : BOOT_A) == 0;
	w.dead = false;
	w.active = LU_EFFECT_NONE;
	w.transitions = 0;
	w.effect_error = LU_ERROR_INIT;
	w.n_journal = 0;
	assert_int_equal(lu_engine_new(&world_ops, &w, &w.engine), 0);
	assert_int_equal(lu_engine_recover(w.engine, last.seq ? &last : NULL, same), 0);
	world_run(&w);
	world_check(&w, name);
	expect(lu_engine_state(w.engine) != LU_STATE_DEGRADED, "%s: cut at %zu, last %s: degraded", name, n,
	       lu_state_name(last.state));
	world_done(&w);
}

static void test_journal_cut(void **state)
{
	static const enum lu_state old[] = { LU_STATE_CHECKING, LU_STATE_LOADING, LU_STATE_PREPARING, LU_STATE_PAUSING,
					     LU_STATE_SAVING,   LU_STATE_SEALING, LU_STATE_JUMP };
	static const enum lu_state new[] = { LU_STATE_BOOTED,   LU_STATE_ADOPTING,  LU_STATE_RESTORING,
					     LU_STATE_RESUMING, LU_STATE_FINISHING, LU_STATE_DONE };
	char dir[64], path[80];
	struct world w, complete[16], begun[16];
	size_t ends[16], size, n_records = 0;
	_cleanup_free_ char *data = NULL;
	struct lu_journal *j;

	assert_non_null(test_mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/journal", dir);
	assert_int_equal(lu_journal_create(AT_FDCWD, path, "01234567-89ab-cdef-0123-456789abcdef", BOOT_A, &j, NULL),
			 0);
	ends[0] = sizeof(struct lu_journal_header);
	world_init(&w);
	complete[0] = begun[0] = w;
	assert_int_equal(lu_engine_start(w.engine, LU_EVENT_START, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(old) + ARRAY_SIZE(new); i++) {
		enum lu_state s = i < ARRAY_SIZE(old) ? old[i] : new[i - ARRAY_SIZE(old)];

		/* the world's ops have run the state's effect already: what was before it is what followed the last one */
		if (i == ARRAY_SIZE(old)) {
			lu_journal_free(j);
			assert_int_equal(lu_journal_open(AT_FDCWD, path, BOOT_B, &j, NULL, NULL), 0);
		}
		assert_int_equal(lu_journal_append(j, s, i ? LU_EVENT_OK : LU_EVENT_START, NULL, NULL), 0);
		n_records++;
		ends[n_records] = ends[n_records - 1] + sizeof(struct lu_journal_entry);
		begun[n_records] = complete[n_records - 1];
		if (i < ARRAY_SIZE(old)) {
			assert_int_equal(lu_engine_state(w.engine), s);
			complete[n_records] = w;
			if (s != LU_STATE_JUMP)
				world_complete(&w);
		} else {
			/* in the new kernel, by hand: the same engine is not there any more */
			for (int k = 0; k < VMS && s == LU_STATE_RESTORING; k++)
				w.vm[k] = VM_LOADED;
			for (int k = 0; k < VMS && s == LU_STATE_RESUMING; k++)
				w.vm[k] = VM_RUNNING, w.saved[k] = false, w.resumed[k]++;
			complete[n_records] = w;
		}
	}
	lu_journal_free(j);
	assert_int_equal(w.kernel, 1);
	assert_int_equal(lu_read_file(AT_FDCWD, path, LU_JOURNAL_SIZE_MAX, &data, &size), 0);
	assert_int_equal(size, ends[n_records]);
	unlink(path);
	rmdir(dir);

	for (size_t n = ends[0], k = 0; n <= size; n++) {
		while (k < n_records && ends[k + 1] <= n)
			k++;
		recover_cut(&complete[k], data, n, "effect complete");
		if (n == ends[k])
			recover_cut(&begun[k], data, n, "effect not begun");
	}
	world_done(&w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_fault),      cmocka_unit_test(test_two_and_three_faults),
		cmocka_unit_test(test_crash),          cmocka_unit_test(test_rehearsal),
		cmocka_unit_test(test_cancel),         cmocka_unit_test(test_cancel_at_jump),
		cmocka_unit_test(test_timeouts),       cmocka_unit_test(test_no_timer),
		cmocka_unit_test(test_timeouts_after), cmocka_unit_test(test_journal_cut),
	};

	return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
