// SPDX-License-Identifier: GPL-2.0-or-later
/* What lu-init decides, over all states and records. */
#include "test.h"

#include "lu-init.h"

#define BOOT_OLD "11111111-2222-4333-8444-555555555555"
#define BOOT_NEW "99999999-2222-4333-8444-555555555555"

static void test_decide(void **state)
{
	for (unsigned int s = 0; s <= LU_STATE_MAX; s++) {
		struct lu_journal_record last = { .state = s };
		const char *why = NULL;

		strcpy(last.boot_id, BOOT_OLD);
		expect(lu_decide(&last, BOOT_NEW, &why) == (s == LU_STATE_JUMP), "%s", lu_state_name(s) ?: "?");
		assert_non_null(why);
		/* its own kernel's: the jump came back, or another program runs us */
		expect(!lu_decide(&last, BOOT_OLD, &why), "%s", lu_state_name(s) ?: "?");
	}
}

static void test_may_restore(void **state)
{
	struct lu_saved saved = { .update = (char *)"u1", .complete = true };

	assert_int_equal(lu_may_restore(&saved, NULL, false), LU_MAY_RESTORE);
	for (int status = LU_RESULT_LOADED; status <= LU_RESULT_FAILED; status++) {
		for (int retry = 0; retry <= 1; retry++) {
			for (int alive = 0; alive <= 1; alive++) {
				struct lu_result r = { .update = (char *)"u1", .status = status, .retry = retry };
				enum lu_may want = alive                               ? LU_MAY_NOT_ALIVE :
						   status == LU_RESULT_FAILED && retry ? LU_MAY_RESTORE :
											 LU_MAY_NOT_STALE;

				expect(lu_may_restore(&saved, &r, alive) == want, "status %d retry %d alive %d", status,
				       retry, alive);
				/* a result of another update says nothing */
				r.update = (char *)"u0";
				assert_int_equal(lu_may_restore(&saved, &r, alive), LU_MAY_RESTORE);
				saved.complete = false;
				assert_int_equal(lu_may_restore(&saved, &r, alive), LU_MAY_NOT_INCOMPLETE);
				saved.complete = true;
			}
		}
	}
}

static void test_turns(void **state)
{
	const uint64_t turn = LU_INIT_TURN_MS * 1000000ULL, now = 10 * turn;
	const uint64_t young[] = { now, now - turn / 2, now - 1 },
		       old[] = { now - turn, now - 2 * turn, now - turn / 2 };

	assert_true(lu_turn_free(NULL, 0, 1, now));
	assert_false(lu_turn_free(young, 3, 3, now));
	assert_true(lu_turn_free(young, 3, 4, now));
	assert_false(lu_turn_free(young, 1, 1, now));
	/* one that hangs keeps nobody waiting for ever */
	assert_true(lu_turn_free(old, 2, 1, now));
	assert_false(lu_turn_free(old, 3, 1, now));
}

static void test_real_init(void **state)
{
	static const struct {
		const char *cmdline, *want;
	} cases[] = {
		{ "", NULL },
		{ "root=/dev/vda init=/usr/lib/luctl/lu-init luctl.init=/sbin/init quiet\n", "/sbin/init" },
		{ "luctl.init=/a luctl.init=/b", "/b" },
		{ "xluctl.init=/a", NULL },
		{ "luctl.init=relative", NULL },
		{ "luctl.init=", NULL },
		{ "foo=\"x luctl.init=/evil y\" luctl.init=/good", "/good" },
		{ "luctl.init=/good -- luctl.init=/late", "/good" },
		{ "luctl.init=/good --", "/good" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *real = NULL;
		int r = lu_real_init(cases[i].cmdline, &real);

		expect(r == (cases[i].want != NULL), "%s: %d", cases[i].cmdline, r);
		if (r)
			assert_string_equal(real, cases[i].want);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decide),
		cmocka_unit_test(test_may_restore),
		cmocka_unit_test(test_real_init),
		cmocka_unit_test(test_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
