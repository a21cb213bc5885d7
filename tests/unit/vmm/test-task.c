// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is set for a process from outside, beside its scheduling: from a real process into launch.json, and set again
 * for its successor; what of it is told as a loss.
 */
#include <fcntl.h>
#include <linux/ioprio.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#include "launch.h"
#include "task.h"

#define MPOL_BIND 2 /* <linux/mempolicy.h>, in no header of libc's */

enum {
	PLAIN,
	GIVEN,   /* I/O priority, coredump_filter, timer slack */
	AS_QEMU, /* as QEMU sets it itself */
	BOUND,   /* to the first node's memory */
};

static int become(int what)
{
	const unsigned long first = 1;
	int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);

	switch (what) {
	case GIVEN:
		return syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 6)) == 0 &&
		       prctl(PR_SET_TIMERSLACK, 200000) == 0 && write(fd, "0x51\n", 5) == 5;
	case AS_QEMU:
		return prctl(PR_SET_TIMERSLACK, 1) == 0;
	case BOUND:
		return syscall(SYS_set_mempolicy, MPOL_BIND, &first, 8 * sizeof(first)) == 0;
	default:
		return 1;
	}
}

static pid_t start_child(int what)
{
	char *argv[] = { (char *)"/usr/bin/sleep", (char *)"1000", NULL }, *env[] = { NULL };
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		for (int fd = 0; fd < 3; fd++)
			dup2(null, fd);
		closefrom(3);
		if (!become(what) || chdir("/") < 0)
			_exit(1);
		execve(argv[0], argv, env);
		_exit(1);
	}
	test_wait_asleep(pid);
	return pid;
}

static void stop_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static struct lu_launch captured(pid_t pid, struct lu_reasons *losses)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct lu_capture_from from = {
		.proc_fd = proc, .reference = getpid(), .pkernfs = "/run/luctl/pkernfs", .losses = losses
	};
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_launch l = { 0 };

	expect(lu_launch_capture(&from, pid, &l, &e) == 0, "%s", e.what);
	return l;
}

/* What /proc says of a process in one word. */
static void expect_file(pid_t pid, const char *name, const char *value)
{
	char text[64];

	assert_true(test_read_proc(pid, name, text) > 0);
	text[strcspn(text, "\n")] = '\0';
	assert_string_equal(text, value);
}

/* What was set for a process is set for its successor; twice, as in chained updates. */
static void test_task(void **state)
{
	bool root = geteuid() == 0; /* others may not read the slack of a process */
	_cleanup_(lu_launch_clear) struct lu_launch a = { 0 }, b = { 0 };
	_cleanup_reasons_ struct lu_reasons lost = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_close_ int pidfd = -EBADF, proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char dir[64], log[80];
	pid_t one, two;

	one = start_child(GIVEN);
	a = captured(one, NULL);
	stop_child(one);
	assert_string_equal(a.features[0], LU_LAUNCH_TASK);
	assert_non_null(a.task);
	assert_int_equal(a.task->io_class, IOPRIO_CLASS_BE);
	assert_int_equal(a.task->io_priority, 6);
	assert_int_equal(a.task->coredump_filter, 0x51);
	assert_int_equal(a.task->timer_slack_ns, root ? 200000 : UINT64_MAX);

	assert_non_null(test_mkdtemp(dir));
	snprintf(log, sizeof(log), "%s/log", dir);
	a.name = strdup("given");
	expect(lu_launch_spawn(&a, -1, NULL, log, &two, &pidfd, &e) == 0, "%s", e.what);
	unlink(log);
	rmdir(dir);
	assert_int_equal(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, two), IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 6));
	expect_file(two, "coredump_filter", "00000051");
	if (root)
		expect_file(two, "timerslack_ns", "200000");
	lu_task_compare(a.task, proc, two, &lost);
	expect(lost.n == 0, "%s", lost.list[0].what);
	test_wait_asleep(two);
	b = captured(two, NULL);
	stop_child(two);
	assert_non_null(b.task);
	assert_int_equal(b.task->io_class, a.task->io_class);
	assert_int_equal(b.task->io_priority, a.task->io_priority);
	assert_int_equal(b.task->coredump_filter, a.task->coredump_filter);
	assert_int_equal(b.task->timer_slack_ns, a.task->timer_slack_ns);
}

/* Where nothing was set there is nothing in the record, so that any luctl can start it. */
static void test_ordinary(void **state)
{
	static const int ordinary[] = { PLAIN, AS_QEMU };

	for (size_t i = 0; i < ARRAY_SIZE(ordinary); i++) {
		_cleanup_(lu_launch_clear) struct lu_launch l = { 0 };
		pid_t pid = start_child(ordinary[i]);

		l = captured(pid, NULL);
		stop_child(pid);
		assert_null(l.task);
		assert_null(l.features[0]);
	}
}

/* What of it a process does not have is told. */
static void test_lost(void **state)
{
	static const struct lu_launch_task was = {
		.io_class = IOPRIO_CLASS_RT, .io_priority = 2, .coredump_filter = 0x7f, .timer_slack_ns = 300000
	};
	static const struct lu_launch_task ordinary = LU_TASK_ORDINARY;
	_cleanup_reasons_ struct lu_reasons lost = { 0 };
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid_t pid = start_child(GIVEN);

	lu_task_compare(&ordinary, proc, pid, &lost);
	assert_int_equal(lost.n, 0);
	lu_task_compare(&was, proc, pid, &lost);
	stop_child(pid);
	assert_int_equal(lost.n, 3);
	assert_string_equal(lost.list[0].what, "its I/O priority is best-effort 6, was realtime 2");
	assert_string_equal(lost.list[1].what, "its coredump_filter is 0x51, was 0x7f");
	assert_string_equal(lost.list[2].what, "its timer slack is not 300000 ns any more");
	/* nobody is missed who has gone */
	lu_task_compare(&was, proc, pid, &lost);
	assert_int_equal(lost.n, 3);
}

/* What was said of its memory policy, or NULL. */
static const char *policy_told(const struct lu_reasons *losses)
{
	for (size_t i = 0; i < losses->n; i++)
		if (strstr(losses->list[i].what, "memory policy"))
			return losses->list[i].what;
	return NULL;
}

static void test_memory_policy(void **state)
{
	static const int kinds[] = { PLAIN, BOUND };

	if (access("/proc/self/numa_maps", R_OK) < 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_(lu_launch_clear) struct lu_launch l = { 0 };
		_cleanup_reasons_ struct lu_reasons losses = { 0 };
		pid_t pid = start_child(kinds[i]);

		l = captured(pid, &losses);
		stop_child(pid);
		if (kinds[i] == PLAIN)
			expect(!policy_told(&losses), "%s", policy_told(&losses));
		else
			assert_string_equal(policy_told(&losses) ?: "",
					    "its memory policy, bind:0: what its QEMU takes anew comes from any node");
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_task),
		cmocka_unit_test(test_ordinary),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_memory_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
