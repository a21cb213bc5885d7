// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Core scheduling: which cookies a process has, and that its successor has such again. Few machines can make cookies
 * (it takes CONFIG_SCHED_CORE and hardware threads), so prctl(PR_SCHED_CORE) is played here, by the rules of
 * kernel/sched/core_sched.c. What the kernel does with cookies is not shown by it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#include "cores.h"
#include "launch.h"
#include "task.h"

/* --- the kernel's part, seen by all processes of the test --- */

static struct kernel {
	int fails; /* with this errno; 0: there are cookies */
	uint64_t next;
	struct {
		pid_t tid;
		uint64_t cookie;
	} threads[32]; /* others have none */
} * kernel;

static uint64_t cookie_of(pid_t tid)
{
	for (size_t i = 0; i < ARRAY_SIZE(kernel->threads); i++)
		if (kernel->threads[i].tid == tid)
			return kernel->threads[i].cookie;
	return 0;
}

static int give(pid_t tid, uint64_t cookie)
{
	if (kill(tid, 0) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(kernel->threads); i++) {
		if (kernel->threads[i].tid && kernel->threads[i].tid != tid)
			continue;
		kernel->threads[i].tid = tid;
		kernel->threads[i].cookie = cookie;
		return 0;
	}
	abort();
}

static int give_process(pid_t pid, uint64_t cookie)
{
	struct dirent *d;
	char path[32];
	int r = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && (d = readdir(dir)))
		if (atoi(d->d_name) > 0)
			r |= give(atoi(d->d_name), cookie);
	if (dir)
		closedir(dir);
	return r;
}

int __real_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int __wrap_prctl(int option, ...);

int __wrap_prctl(int option, ...)
{
	unsigned long arg[4];
	pid_t tid;
	va_list ap;

	va_start(ap, option);
	for (size_t i = 0; i < ARRAY_SIZE(arg); i++)
		arg[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if (option != PR_SCHED_CORE)
		return __real_prctl(option, arg[0], arg[1], arg[2], arg[3]);
	tid = arg[1] ? (pid_t)arg[1] : gettid();
	errno = kernel->fails;
	if (errno)
		return -1;
	errno = EINVAL;
	if (arg[2] > PR_SCHED_CORE_SCOPE_PROCESS_GROUP || (arg[0] != PR_SCHED_CORE_GET && arg[3]))
		return -1;
	if (arg[0] == PR_SCHED_CORE_CREATE && arg[2] == PR_SCHED_CORE_SCOPE_THREAD_GROUP)
		return give_process(tid, ++kernel->next);
	if (arg[2] != PR_SCHED_CORE_SCOPE_THREAD)
		return -1;
	switch (arg[0]) {
	case PR_SCHED_CORE_CREATE:
		return give(tid, ++kernel->next);
	case PR_SCHED_CORE_SHARE_TO:
		return give(tid, cookie_of(gettid()));
	case PR_SCHED_CORE_GET:
		if (kill(tid, 0) < 0)
			return -1;
		*(uint64_t *)arg[3] = cookie_of(tid);
		return 0;
	default:
		return -1;
	}
}

static int boot(void **state)
{
	if (!kernel)
		kernel = mmap(NULL, sizeof(*kernel), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (kernel == MAP_FAILED)
		return -1;
	*kernel = (struct kernel){ .next = 100 };
	return 0;
}

/* --- a process with threads as QEMU's --- */

static const char *const names[] = { NULL /* the main thread */, "CPU 0/KVM", "CPU 1/KVM", "IO iothread0",
				     "kvm-nx-lpage-re" };
#define THREADS ARRAY_SIZE(names)

struct process {
	pid_t pid;
	pid_t tids[THREADS];
};

struct thread {
	size_t number;
	int tell;
};

struct told {
	size_t number;
	pid_t tid;
};

static void *run(void *userdata)
{
	struct thread *t = userdata;
	struct told told = { .number = t->number, .tid = gettid() };

	if (prctl(PR_SET_NAME, names[t->number], 0, 0, 0) < 0 || write(t->tell, &told, sizeof(told)) != sizeof(told))
		_exit(1);
	for (;;)
		pause();
}

static struct process start(void)
{
	struct process p;
	struct told told;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	p.pid = fork();
	assert_true(p.pid >= 0);
	if (p.pid == 0) {
		struct thread threads[THREADS];
		pthread_t t;

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		for (size_t i = 1; i < THREADS; i++) {
			threads[i] = (struct thread){ .number = i, .tell = fds[1] };
			if (pthread_create(&t, NULL, run, &threads[i]) != 0)
				_exit(1);
		}
		for (;;)
			pause();
	}
	close(fds[1]);
	p.tids[0] = p.pid;
	for (size_t i = 1; i < THREADS; i++) {
		assert_int_equal(read(fds[0], &told, sizeof(told)), sizeof(told));
		p.tids[told.number] = told.tid;
	}
	close(fds[0]);
	return p;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

#define LOSS (-1)

static const struct {
	uint64_t cookies[THREADS];
	int cores;
} cases[] = {
	{ { 0, 0, 0, 0, 0 }, LU_CORES_ANY },
	{ { 5, 5, 5, 5, 5 }, LU_CORES_PROCESS },
	{ { 5, 5, 5, 5, 0 }, LU_CORES_PROCESS }, /* KVM's own is nobody's affair */
	{ { 0, 5, 5, 0, 0 }, LU_CORES_VCPUS },
	{ { 0, 5, 5, 5, 5 }, LU_CORES_VCPUS }, /* made by a vCPU */
	{ { 0, 5, 6, 0, 0 }, LOSS },
	{ { 0, 5, 0, 0, 0 }, LOSS },
	{ { 0, 0, 5, 0, 0 }, LOSS },
	{ { 5, 0, 0, 5, 5 }, LOSS },
	{ { 5, 6, 6, 5, 5 }, LOSS },
	{ { 0, 5, 5, 7, 0 }, LOSS },
	{ { 0, 0, 0, 5, 0 }, LOSS },
	{ { 5, 5, 5, 0, 5 }, LOSS },
};

static void test_capture(void **state)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct process p = start();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(lu_reasons_clear) struct lu_reasons losses = { 0 };
		_cleanup_(lu_launch_clear) struct lu_launch l = { 0 };
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct lu_capture_from from = {
			.proc_fd = proc, .reference = getpid(), .pkernfs = "/run/luctl/pkernfs", .losses = &losses
		};
		size_t told = 0;

		boot(NULL);
		for (size_t t = 0; t < THREADS; t++)
			give(p.tids[t], cases[i].cookies[t]);
		expect(lu_launch_capture(&from, p.pid, &l, &e) == 0, "%zu: %s", i, e.what);
		for (size_t n = 0; n < losses.n; n++)
			told += strstr(losses.list[n].what, "the cookies of core scheduling") != NULL;
		expect(told == (cases[i].cores == LOSS), "%zu: told %zu times", i, told);
		if (cases[i].cores > 0) {
			expect(l.task && l.task->cores == cases[i].cores, "%zu: %d", i, l.task ? l.task->cores : -1);
			assert_string_equal(l.features[0], LU_LAUNCH_TASK);
		} else {
			expect(!l.task, "%zu", i);
			assert_null(l.features[0]);
		}
	}
	stop(p.pid);
}

/* A machine without cookies is one on which nothing is lost. */
static void test_no_cookies(void **state)
{
	static const int answers[] = { EINVAL, ENODEV };
	uint64_t cookie;

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		cookie = 7;
		kernel->fails = answers[i];
		assert_int_equal(lu_cores_get(getpid(), &cookie), 0);
		assert_int_equal(cookie, 0);
		assert_int_equal(lu_cores_own(), -answers[i]);
		assert_int_equal(lu_cores_share((pid_t[]){ getpid() }, 1), -answers[i]);
	}
	kernel->fails = EPERM;
	assert_int_equal(lu_cores_get(getpid(), &cookie), -EPERM);
}

/* The vCPUs have one cookie that nobody else has; who gave it to them has none. */
static void test_share(void **state)
{
	struct process p = start();
	uint64_t cookie;

	assert_int_equal(lu_cores_share(&p.tids[1], 2), 0);
	cookie = cookie_of(p.tids[1]);
	assert_int_not_equal(cookie, 0);
	assert_int_equal(cookie_of(p.tids[2]), cookie);
	assert_int_equal(cookie_of(p.tids[0]), 0);
	assert_int_equal(cookie_of(p.tids[3]), 0);
	assert_int_equal(cookie_of(getpid()), 0);
	assert_int_equal(lu_cores_share(&p.tids[1], 2), 0);
	assert_int_not_equal(cookie_of(p.tids[1]), cookie);
	stop(p.pid);
	assert_int_equal(lu_cores_share(&p.tids[1], 2), -ESRCH);
}

static void test_spawn(void **state)
{
	char *argv[] = { (char *)"sleep", (char *)"1000", NULL };
	struct lu_launch_task task = LU_TASK_ORDINARY;
	struct lu_launch l = { .name = (char *)"one",
			       .exe = (char *)"/usr/bin/sleep",
			       .argv = argv,
			       .cwd = (char *)"/",
			       .uid = getuid(),
			       .gid = getgid(),
			       .cap_bounding = UINT64_MAX,
			       .task = &task };
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(lu_reasons_clear) struct lu_reasons lost = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	uint64_t before = 0;
	char dir[64], log[80];

	assert_non_null(test_mkdtemp(dir));
	snprintf(log, sizeof(log), "%s/log", dir);
	/* those of vCPUs are given when there are such threads */
	for (int cores = LU_CORES_ANY; cores <= LU_CORES_VCPUS; cores++) {
		_cleanup_close_ int pidfd = -EBADF;
		pid_t pid;

		task.cores = cores;
		expect(lu_launch_spawn(&l, -1, NULL, log, &pid, &pidfd, &e) == 0, "%s", e.what);
		assert_int_equal(cookie_of(pid) != 0, cores == LU_CORES_PROCESS);
		assert_int_equal(cookie_of(getpid()), 0);
		lu_task_compare(&task, proc, pid, &lost);
		assert_int_equal(lost.n, 0);
		if (cores == LU_CORES_PROCESS) {
			assert_int_not_equal(cookie_of(pid), before);
			before = cookie_of(pid);
			/* where the kernel has made none */
			give(pid, 0);
			lu_task_compare(&task, proc, pid, &lost);
			assert_int_equal(lost.n, 1);
			assert_non_null(strstr(lost.list[0].what, "no core scheduling"));
			lu_reasons_clear(&lost);
		}
		stop(pid);
	}
	unlink(log);
	rmdir(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_capture, boot),
		cmocka_unit_test_setup(test_no_cookies, boot),
		cmocka_unit_test_setup(test_share, boot),
		cmocka_unit_test_setup(test_spawn, boot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
