// SPDX-License-Identifier: GPL-2.0-or-later
/* What lu-init decides, over all states and records. */
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* A program of the administrator's, in @dir */
static void put(const char *dir, const char *name, const char *text, mode_t mode)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fchmod(fd, mode) == 0);
	close(fd);
}

static void test_veto(void **state)
{
	struct lu_saved saved = { .name = (char *)"web1", .uuid = (char *)BOOT_OLD, .update = (char *)BOOT_NEW };
	char dir[] = "/tmp/luctl-veto-XXXXXX", said[64], text[128], command[64];
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	FILE *f;

	assert_non_null(mkdtemp(dir));
	/* nobody to ask */
	assert_int_equal(lu_veto("/nonexistent/veto.d", &saved, 1000, &e), 0);
	assert_int_equal(lu_veto(dir, &saved, 1000, &e), 0);
	/* who can't be executed is not asked: a note, an editor's backup */
	put(dir, "20-note", "exit 1\n", 0644);
	put(dir, ".hidden", "#!/bin/sh\nexit 1\n", 0755);
	snprintf(said, sizeof(said), "%s/said", dir);
	snprintf(text, sizeof(text), "#!/bin/sh\necho \"$@\" >> %s\n", said);
	put(dir, "10-yes", text, 0755);
	put(dir, "30-yes", text, 0755);
	assert_int_equal(lu_veto(dir, &saved, 5000, &e), 0);
	f = fopen(said, "r");
	assert_non_null(f);
	for (int i = 0; i < 2; i++) {
		assert_non_null(fgets(text, sizeof(text), f));
		assert_string_equal(text, "web1 " BOOT_OLD " " BOOT_NEW "\n");
	}
	fclose(f);
	assert_int_equal(unlink(said), 0);
	/* no, and no one behind it is asked */
	put(dir, "20-no", "#!/bin/sh\nexit 3\n", 0755);
	assert_int_equal(lu_veto(dir, &saved, 5000, &e), -EPERM);
	assert_non_null(strstr(e.what, "/20-no does not let it run (exit code 3)"));
	assert_non_null(strstr(e.hint, "luctl restore"));
	lu_error_clear(&e);
	f = fopen(said, "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	assert_null(fgets(text, sizeof(text), f));
	fclose(f);
	/* silence, a crash, and what is no program, are a no */
	put(dir, "20-no", "#!/bin/sh\nsleep 60\n", 0755);
	assert_int_equal(lu_veto(dir, &saved, 300, &e), -ETIMEDOUT);
	lu_error_clear(&e);
	put(dir, "20-no", "#!/bin/sh\nkill -SEGV $$\n", 0755);
	assert_int_equal(lu_veto(dir, &saved, 5000, &e), -EPERM);
	assert_non_null(strstr(e.what, "signal 11"));
	lu_error_clear(&e);
	put(dir, "20-no", "#!/nonexistent/interpreter\n", 0755);
	assert_int_equal(lu_veto(dir, &saved, 5000, &e), -EPERM);
	lu_error_clear(&e);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
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

static bool loopback_is_up(int fd)
{
	struct ifreq request = { .ifr_name = "lo" };

	return ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP);
}

/* As in a kernel that has just started: the loopback interface is there, and down. */
static void test_loopback(void **state)
{
	struct lu_init i = { 0 };
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	pid = fork();
	if (pid == 0) {
		int fd = unshare(CLONE_NEWNET) < 0 ? -1 : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		bool before = fd >= 0 && loopback_is_up(fd);

		if (fd < 0)
			_exit(77);
		lu_loopback_up(&i);
		_exit(before || !loopback_is_up(fd));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decide), cmocka_unit_test(test_may_restore), cmocka_unit_test(test_real_init),
		cmocka_unit_test(test_veto),   cmocka_unit_test(test_turns),       cmocka_unit_test(test_loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
