// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The way of a real process through /proc into launch.json and back into a process
 * that looks the same.
 */
#include <pthread.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/magic.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#include "argv.h"
#include "launch.h"
#include "store.h"

static char dir[] = "/var/tmp/luctl-launch-XXXXXX";
static const char *preloaded = "";

static char *joined(char *const *argv)
{
	static char text[4096];

	text[0] = '\0';
	for (; *argv; argv++) {
		strcat(text, *argv);
		strcat(text, argv[1] ? " " : "");
	}
	return text;
}

/* --- a real process --- */

enum {
	PLAIN,
	WRAPPED,
	WEAK, /* root, but by its exec it loses all capabilities */
	DELETED,
	NAMESPACE,
	SANDBOXED, /* as a unit is: read-only but for its directory, a private part, nicer than others */
	GIVEN,     /* what is set from outside: I/O priority, coredump_filter, timer slack */
	ON_TMPFS,
	SOCKET,
	CWD_GONE,
	CWD_RENAMED,
	CWD_ON_TMPFS,
	OTHER_DEV /* a device that was opened where /dev was another, which is gone */
};

static char tmpfs_dir[64];

static void child_does(int what)
{
	char path[128];
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	if (what == DELETED) {
		snprintf(path, sizeof(path), "%s/gone", dir);
		open(path, O_RDWR | O_CREAT, 0600);
		unlink(path);
	}
	if (what == WEAK && prctl(PR_SET_SECUREBITS, SECBIT_NOROOT) < 0)
		_exit(1);
	if (what == NAMESPACE && unshare(CLONE_NEWUTS) < 0)
		_exit(77);
	if (what == SANDBOXED) {
		char inner[140];

		snprintf(path, sizeof(path), "%s/private", dir);
		snprintf(inner, sizeof(inner), "%s/made", path);
		if (unshare(CLONE_NEWNS) < 0)
			_exit(77);
		if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 || mount(dir, dir, NULL, MS_BIND, NULL) < 0 ||
		    mount("x", path, "tmpfs", MS_NODEV, "size=1m,mode=0700") < 0 || mkdir(inner, 0751) < 0 ||
		    mount(NULL, "/", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0 || nice(4) != 4)
			_exit(1);
	}
	if (what == OTHER_DEV) {
		int ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

		snprintf(path, sizeof(path), "%s/private", dir);
		if (ns < 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("x", path, "tmpfs", 0, "size=1m") < 0)
			_exit(77);
		strcat(path, "/node");
		if (mknod(path, S_IFCHR | 0600, makedev(10, 200)) < 0 || open(path, O_RDWR) < 0 ||
		    setns(ns, CLONE_NEWNS) < 0 || chdir(dir) < 0)
			_exit(77);
	}
	if (what == ON_TMPFS) {
		snprintf(path, sizeof(path), "%s/data", tmpfs_dir);
		open(path, O_RDWR | O_CREAT, 0600);
	}
	if (what == CWD_GONE || what == CWD_RENAMED) {
		/* what /proc says of it then is a name that something else may have */
		snprintf(path, sizeof(path), "%s/cwd", dir);
		if (mkdir(path, 0755) < 0 || chdir(path) < 0 || rmdir(path) < 0)
			_exit(77);
		strcat(path, " (deleted)");
		if (what == CWD_RENAMED && mkdir(path, 0755) < 0)
			_exit(77);
	}
	if (what == CWD_ON_TMPFS && chdir(tmpfs_dir) < 0)
		_exit(77);
	if (what == SOCKET) {
		snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/sock", tmpfs_dir);
		unlink(sa.sun_path);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 1) < 0)
			_exit(1);
	}
}

static pid_t start_child(int what)
{
	char *env[] = { (char *)"PATH=/usr/bin:/bin", (char *)"WHO=me=you", (char *)"INVOCATION_ID=1",
			(char *)"LISTEN_FDS=3", NULL };
	char *argv[] = { (char *)"sleep", (char *)"1000", NULL };
	struct rlimit rl = { .rlim_cur = 100, .rlim_max = 200 };
	cpu_set_t cpus;
	char path[128];
	int p[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 0);
		dup2(null, 1);
		for (int fd = 3; fd < 64; fd++)
			if (fd != p[1])
				close(fd);
		setrlimit(RLIMIT_NOFILE, &rl);
		umask(027);
		CPU_ZERO(&cpus);
		CPU_SET(0, &cpus);
		sched_setaffinity(0, sizeof(cpus), &cpus);
		if (chdir(dir) < 0)
			_exit(1);
		snprintf(path, sizeof(path), "%s/disk", dir);
		open(path, O_RDWR | O_CREAT, 0600);
		child_does(what);
		if (what == WRAPPED)
			argv[0] = (char *)"/bin/true";
		execve("/usr/bin/sleep", argv, env);
		_exit(127);
	}
	close(p[1]);
	/* closed by exec (or by the end) */
	while (read(p[0], &c, 1) < 0)
		;
	close(p[0]);
	return pid;
}

static int stop_child(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return status;
}

static int capture(pid_t pid, pid_t reference, struct lu_launch *ret, struct lu_error *e)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct lu_capture_from from = { .proc_fd = proc, .reference = reference, .pkernfs = "/run/luctl/pkernfs" };

	test_wait_asleep(pid);
	return lu_launch_capture(&from, pid, ret, e);
}

/* What the caller of a capture adds, so that it can be encoded. */
static void complete(struct lu_launch *l)
{
	l->name = strdup("child");
	l->uuid = strdup("6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c0001");
	l->qmp = strdup("/run/q");
	l->ram = calloc(1, sizeof(*l->ram));
	l->n_ram = 1;
	l->ram[0] = (struct lu_launch_ram){ .path = strdup("/run/luctl/pkernfs/ram"), .size = 1 };
}

/* What a process has mapped grows while it starts; the program itself is there from the beginning. */
static void check_preload(struct lu_launch *l)
{
	bool itself = false;

	for (char **p = l->preload; *p; p++) {
		itself |= !strcmp(*p, "/usr/bin/sleep");
		free(*p);
		*p = NULL;
	}
	assert_true(itself);
}

static const char *env_of(const struct lu_launch *l, const char *name)
{
	for (size_t i = 0; i < l->n_env; i++)
		if (!strcmp(l->env[i].name, name))
			return l->env[i].value;
	return NULL;
}

static void test_round_trip(void **state)
{
	_cleanup_(lu_launch_clear) struct lu_launch a = { 0 }, b = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *text_a = NULL, *text_b = NULL;
	_cleanup_close_ int pidfd = -EBADF;
	char log[128], disk[128];
	struct rlimit rl;
	pid_t one, two;
	bool has_disk = false;

	one = start_child(PLAIN);
	expect(capture(one, getpid(), &a, &e) == 0, "%s", e.what);
	assert_string_equal(a.exe, "/usr/bin/sleep");
	assert_string_equal(joined(a.argv), "sleep 1000");
	assert_string_equal(a.cwd, dir);
	assert_string_equal(env_of(&a, "WHO"), "me=you");
	assert_null(env_of(&a, "INVOCATION_ID"));
	assert_null(env_of(&a, "LISTEN_FDS"));
	assert_int_equal(a.umask, 027);
	assert_string_equal(a.cpus, "0");
	assert_int_equal(a.uid, getuid());
	snprintf(disk, sizeof(disk), "%s/disk", dir);
	for (size_t i = 0; i < a.n_needs; i++)
		has_disk |= !strcmp(a.needs[i].path, disk) && a.needs[i].write && a.needs[i].kind == LU_NEED_FILE;
	assert_true(has_disk);
	/* nothing was set for it, so any luctl can start it */
	assert_null(a.features[0]);
	assert_null(a.task);
	check_preload(&a);
	complete(&a);
	expect(lu_json_encode_text(&lu_launch_table, &a, &text_a, &e) == 0, "%s", e.what);
	stop_child(one);

	assert_int_equal(lu_launch_meet_needs(&a, 0, &e), 0);
	snprintf(log, sizeof(log), "%s/logs/child/out.log", dir);
	expect(lu_launch_spawn(&a, -1, NULL, log, &two, &pidfd, &e) == 0, "%s", e.what);
	assert_int_not_equal(getsid(two), two);
	assert_int_not_equal(getsid(two), getsid(0));
	assert_int_equal(prlimit(two, RLIMIT_NOFILE, NULL, &rl), 0);
	assert_int_equal(rl.rlim_cur, 100);
	assert_int_equal(rl.rlim_max, 200);
	expect(capture(two, getpid(), &b, &e) == 0, "%s", e.what);
	check_preload(&b);
	complete(&b);
	/* sleep does not open the disk again: that is QEMU's own doing */
	for (size_t i = 0; i < a.n_needs; i++)
		if (!strcmp(a.needs[i].path, disk))
			lu_launch_add_need(&b, disk, LU_NEED_FILE, true, a.needs[i].uid, a.needs[i].gid,
					   a.needs[i].mode);
	expect(lu_json_encode_text(&lu_launch_table, &b, &text_b, &e) == 0, "%s", e.what);
	assert_string_equal(text_a, text_b);
	stop_child(two);
	/* a missing disk is found before QEMU is started */
	unlink(disk);
	assert_int_equal(lu_launch_meet_needs(&a, 0, &e), -ENOENT);
	assert_non_null(strstr(e.what, disk));
}

/* The state file is number 3 there, and nothing else of ours is. */
/* What it sees, and how it is scheduled, is what its successor has; twice, as in chained updates. */
static void test_sandboxed(void **state)
{
	_cleanup_(lu_launch_clear) struct lu_launch a = { 0 }, b = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *text_a = NULL, *text_b = NULL;
	_cleanup_close_ int pidfd = -EBADF;
	char log[128], path[300], probe[400];
	pid_t one, two;
	int status;

	snprintf(path, sizeof(path), "%s/private", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	one = start_child(SANDBOXED);
	if (waitpid(one, &status, WNOHANG) == one && WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	expect(capture(one, getpid(), &a, &e) == 0, "%s", e.what);
	assert_string_equal(a.features[0], LU_LAUNCH_VIEW);
	assert_string_equal(a.features[1], LU_LAUNCH_SCHED);
	assert_null(a.late);
	check_preload(&a);
	complete(&a);
	expect(lu_json_encode_text(&lu_launch_table, &a, &text_a, &e) == 0, "%s", e.what);
	stop_child(one);
	snprintf(log, sizeof(log), "%s/logs/sandboxed.log", dir);
	expect(lu_launch_spawn(&a, -1, NULL, log, &two, &pidfd, &e) == 0, "%s", e.what);
	assert_int_equal(getpriority(PRIO_PROCESS, (id_t)two), 4);
	snprintf(probe, sizeof(probe), "/proc/%d/root%s/made", (int)two, path);
	assert_int_equal(access(probe, F_OK), 0);
	snprintf(probe, sizeof(probe), "/proc/%d/root/var/luctl-test-file", (int)two);
	assert_int_equal(open(probe, O_WRONLY | O_CREAT, 0600), -1);
	assert_int_equal(errno, EROFS);
	expect(capture(two, getpid(), &b, &e) == 0, "%s", e.what);
	check_preload(&b);
	complete(&b);
	for (size_t i = 0; i < a.n_needs; i++)
		lu_launch_add_need(&b, a.needs[i].path, (enum lu_need_kind)a.needs[i].kind, a.needs[i].write,
				   a.needs[i].uid, a.needs[i].gid, a.needs[i].mode);
	expect(lu_json_encode_text(&lu_launch_table, &b, &text_b, &e) == 0, "%s", e.what);
	assert_string_equal(text_a, text_b);
	stop_child(two);
}

static void test_state_fd(void **state)
{
	char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)"cat <&3; ls /proc/self/fd | tr '\\n' ' '", NULL };
	struct lu_launch l = { .name = (char *)"sh",
			       .exe = (char *)"/bin/sh",
			       .argv = argv,
			       .cwd = (char *)"/",
			       .umask = 022,
			       .cpus = (char *)"8000-8191", /* not here: it runs on others */
			       .uid = getuid(),
			       .gid = getgid(),
			       .cap_bounding = UINT64_MAX };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *out = NULL;
	_cleanup_close_ int pidfd = -EBADF, state_fd = -EBADF;
	char log[128], file[128];
	int status;
	pid_t pid;

	snprintf(log, sizeof(log), "%s/state.log", dir);
	snprintf(file, sizeof(file), "%s/state", dir);
	assert_int_equal(lu_write_file(AT_FDCWD, file, "STATE ", 6, 0600), 0);
	state_fd = open(file, O_RDONLY | O_CLOEXEC);
	/* leaks of ours that must not pass on, at any number */
	for (int fd = 4; fd < 100; fd += 3)
		if (fcntl(fd, F_GETFD) < 0)
			assert_int_equal(dup2(STDOUT_FILENO, fd), fd);
	expect(lu_launch_spawn(&l, state_fd, NULL, log, &pid, &pidfd, &e) == 0, "%s", e.what);
	waitpid(pid, &status, 0);
	assert_int_equal(lu_read_file(AT_FDCWD, log, 4096, &out, NULL), 0);
	/* 0 1 2, the state, and what ls itself opened */
	assert_string_equal(out, "STATE 0 1 2 3 4 ");
	for (int fd = 4; fd < 100; fd += 3)
		if (fd != pidfd && fd != state_fd)
			close(fd);
}

struct thread {
	const char *name;
	int ready;
};

static void *pinned(void *userdata)
{
	const struct thread *t = userdata;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (prctl(PR_SET_NAME, t->name) < 0 || sched_setaffinity(0, sizeof(one), &one) < 0 ||
	    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 7)) < 0 ||
	    write(t->ready, "x", 1) != 1)
		_exit(1);
	for (;;)
		(void)sleep(1000);
}

/* A thread that somebody has pinned is told as a loss, KVM's own is not. */
static void test_threads(void **state)
{
	struct thread threads[] = { { .name = "IO iothread0" }, { .name = "kvm-nx-lpage-re" } };
	_cleanup_(lu_reasons_clear) struct lu_reasons losses = { 0 };
	_cleanup_(lu_launch_clear) struct lu_launch l = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct lu_capture_from from = {
		.proc_fd = proc, .reference = getpid(), .pkernfs = "/run/luctl/pkernfs", .losses = &losses
	};
	cpu_set_t all;
	int p[2], told = 0, told_io = 0, r;
	pid_t pid;
	char c;

	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	if (CPU_COUNT(&all) < 2 || !CPU_ISSET(0, &all))
		skip();
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		pthread_t t;

		for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
			threads[i].ready = p[1];
			if (pthread_create(&t, NULL, pinned, &threads[i]) != 0)
				_exit(1);
		}
		for (;;)
			(void)sleep(1000);
	}
	close(p[1]);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(read(p[0], &c, 1), 1);
	close(p[0]);
	r = lu_launch_capture(&from, pid, &l, &e);
	stop_child(pid);
	expect(r == 0, "%s", e.what);
	for (size_t i = 0; i < losses.n; i++) {
		told += strstr(losses.list[i].what, "\"IO iothread0\" runs on CPUs 0 only") != NULL;
		told_io += strstr(losses.list[i].what,
				  "the I/O priority of 1 of its threads, the first is \"IO iothread0\"") != NULL;
		expect(!strstr(losses.list[i].what, "kvm-nx"), "%s", losses.list[i].what);
	}
	assert_int_equal(told, 1);
	assert_int_equal(told_io, 1);
	assert_null(l.task);
}

/* A terminal that it opens, as QEMU does a serial line of the host, is nobody's controlling one, and outlives it for others. */
static void test_terminal(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)"exec 9<>\"$0\"; echo opened; sleep 1000", NULL, NULL };
	struct lu_launch l = { .name = (char *)"tty",
			       .exe = (char *)"/bin/sh",
			       .argv = argv,
			       .cwd = (char *)"/",
			       .uid = getuid(),
			       .gid = getgid(),
			       .cap_bounding = UINT64_MAX };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *out = NULL;
	_cleanup_close_ int pidfd = -EBADF;
	char log[128], path[64], stat[512], slave[64];
	int other, tty = -1;
	pid_t pid;
	FILE *f;

	assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	assert_int_equal(ptsname_r(master, slave, sizeof(slave)), 0);
	argv[3] = slave;
	other = open(slave, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(other >= 0);
	snprintf(log, sizeof(log), "%s/tty.log", dir);
	expect(lu_launch_spawn(&l, -1, NULL, log, &pid, &pidfd, &e) == 0, "%s", e.what);
	for (int tries = 0; tries < 1000 && (!out || !strstr(out, "opened")); tries++) {
		free(out);
		out = NULL;
		(void)usleep(10000);
		(void)lu_read_file(AT_FDCWD, log, 4096, &out, NULL);
	}
	expect(out && !strcmp(out, "opened\n"), "it says %s", out ?: "nothing");
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(stat, sizeof(stat), f));
	fclose(f);
	assert_int_equal(sscanf(strrchr(stat, ')'), ") %*c %*d %*d %*d %d", &tty), 1);
	assert_int_equal(tty, 0);
	stop_child(pid);
	assert_int_equal(write(other, "on\n", 3), 3);
	close(other);
	close(master);
}

static void test_spawn_fails(void **state)
{
	char *argv[] = { (char *)"none", NULL };
	struct lu_launch l = { .name = (char *)"none",
			       .exe = (char *)"/nonexistent/qemu",
			       .argv = argv,
			       .cwd = (char *)"/",
			       .uid = getuid(),
			       .gid = getgid(),
			       .cap_bounding = UINT64_MAX };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT, e2 = LU_ERROR_INIT;
	char log[128];
	pid_t pid = -1;
	int pidfd = -1;

	snprintf(log, sizeof(log), "%s/none.log", dir);
	assert_int_equal(lu_launch_spawn(&l, -1, NULL, log, &pid, &pidfd, &e), -ENOENT);
	assert_non_null(strstr(e.what, "cannot execute /nonexistent/qemu"));
	l.exe = (char *)"/bin/true";
	l.cwd = (char *)"/nonexistent";
	assert_int_equal(lu_launch_spawn(&l, -1, NULL, log, &pid, &pidfd, &e2), -ENOENT);
	assert_non_null(strstr(e2.what, "working directory"));
	assert_int_equal(pid, -1);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
}

/* What a process has in its environment takes effect in its successor, and there as its user only. */
static void test_preload(void **state)
{
	char *argv[] = { (char *)"true", NULL };
	struct lu_launch_var env[2];
	struct lu_launch l = { .name = (char *)"true",
			       .exe = (char *)"/bin/true",
			       .argv = argv,
			       .env = env,
			       .n_env = 2,
			       .cwd = (char *)"/",
			       .uid = getuid() ?: 65534,
			       .gid = getuid() ? getgid() : 65534,
			       .cap_bounding = UINT64_MAX };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *out = NULL;
	_cleanup_close_ int pidfd = -EBADF;
	char log[128], told[128], module[128], want[64], command[512];
	int status;
	pid_t pid;

	snprintf(log, sizeof(log), "%s/preload.log", dir);
	snprintf(module, sizeof(module), "%s/preloaded.so", dir);
	snprintf(command, sizeof(command), "cp %s %s && chmod 0755 %s", preloaded, module, module);
	assert_int_equal(system(command), 0);
	snprintf(told, sizeof(told), "%s/told", dir);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(lu_write_file(AT_FDCWD, told, "", 0, 0600), 0);
	assert_int_equal(chown(told, (uid_t)l.uid, (gid_t)l.gid), 0);
	env[0] = (struct lu_launch_var){ (char *)"LD_PRELOAD", module };
	env[1] = (struct lu_launch_var){ (char *)"LU_TEST_PRELOADED", told };
	expect(lu_launch_spawn(&l, -1, NULL, log, &pid, &pidfd, &e) == 0, "%s", e.what);
	waitpid(pid, &status, 0);
	assert_int_equal(lu_read_file(AT_FDCWD, told, 4096, &out, NULL), 0);
	snprintf(want, sizeof(want), "%d %d\n", (int)l.uid, (int)l.uid);
	assert_string_equal(out, want);
}

static uint64_t permitted(pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	char name[40];
	const char *p;

	snprintf(name, sizeof(name), "/proc/%d/status", (int)pid);
	assert_int_equal(lu_read_file(AT_FDCWD, name, 1 << 16, &text, NULL), 0);
	p = strstr(text, "CapPrm:");
	assert_non_null(p);
	return strtoull(p + 7, NULL, 16);
}

/* Root without capabilities (SecureBits=noroot of its unit) is no stronger after a restore. */
static void test_weak_root(void **state)
{
	_cleanup_(lu_launch_clear) struct lu_launch l = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int pidfd = -1;
	char log[128];
	pid_t pid;

	if (geteuid() != 0)
		skip();
	pid = start_child(WEAK);
	assert_int_equal(permitted(pid), 0);
	expect(capture(pid, getpid(), &l, &e) == 0, "%s", e.what);
	stop_child(pid);
	complete(&l);
	snprintf(log, sizeof(log), "%s/weak.log", dir);
	expect(lu_launch_spawn(&l, -1, NULL, log, &pid, &pidfd, &e) == 0, "%s", e.what);
	assert_int_equal(permitted(pid), 0);
	close(pidfd);
	stop_child(pid);
	unlink(log);
}

static void refused(int what, const char *word)
{
	_cleanup_(lu_launch_clear) struct lu_launch l = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	pid_t pid = start_child(what);
	int r = capture(pid, getpid(), &l, &e), status = stop_child(pid);

	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_message("not allowed to make a namespace here: not tested\n");
		return;
	}
	expect(r == -EOPNOTSUPP, "%s: %d %s", word, r, e.what ?: "");
	expect(strstr(e.what, word), "%s", e.what);
}

static void test_refusals(void **state)
{
	_cleanup_(lu_launch_clear) struct lu_launch l = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	refused(WRAPPED, "calls itself");
	refused(DELETED, "no name any more");
	refused(NAMESPACE, "uts namespace");
	refused(CWD_GONE, "its working directory was removed");
	refused(CWD_RENAMED, "its working directory was removed");
	assert_int_equal(capture(0x3fffff, 0, &l, &e), -ESRCH);
}

/* As a passed-through device from the QEMU before, which lived in its unit's view: "/node" leads nowhere, and is /dev/net/tun. */
static void test_device_of_another_view(void **state)
{
	_cleanup_(lu_launch_clear) struct lu_launch l = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	bool found = false;
	int r, status;
	pid_t pid;

	if (geteuid() != 0 || access("/dev/net/tun", F_OK) < 0 || access("/sys/dev/char/10:200/uevent", F_OK) < 0) {
		print_message("no /dev/net/tun, or not root: not tested\n");
		skip();
	}
	pid = start_child(OTHER_DEV);
	r = capture(pid, getpid(), &l, &e);
	status = stop_child(pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_message("not allowed to make a namespace here: not tested\n");
		skip();
	}
	expect(r == 0, "%s", e.what);
	for (size_t i = 0; i < l.n_needs; i++)
		found |= !strcmp(l.needs[i].path, "/dev/net/tun") && l.needs[i].kind == LU_NEED_CHAR &&
			 l.needs[i].write;
	assert_true(found);
}

static void test_tmpfs(void **state)
{
	_cleanup_(lu_launch_clear) struct lu_launch l = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	bool found = false;
	struct statfs fs;
	pid_t pid;

	if (statfs("/dev/shm", &fs) < 0 || fs.f_type != TMPFS_MAGIC) {
		print_message("no tmpfs at /dev/shm: not tested\n");
		skip();
	}
	snprintf(tmpfs_dir, sizeof(tmpfs_dir), "/dev/shm/luctl-launch-%d", (int)getpid());
	assert_int_equal(mkdir(tmpfs_dir, 0750), 0);
	refused(ON_TMPFS, "does not survive");
	refused(CWD_ON_TMPFS, "its working directory /dev/shm/luctl-launch-");
	pid = start_child(SOCKET);
	expect(capture(pid, 0, &l, &e) == 0, "%s", e.what);
	stop_child(pid);
	for (size_t i = 0; i < l.n_needs; i++)
		found |= !strcmp(l.needs[i].path, tmpfs_dir) && l.needs[i].kind == LU_NEED_DIRECTORY &&
			 l.needs[i].mode == 0750;
	assert_true(found);
	/* not in /run: nobody makes it before the services do */
	assert_false(l.early);
	unlinkat(AT_FDCWD, strcat(tmpfs_dir, "/sock"), 0);
	*strrchr(tmpfs_dir, '/') = '\0';
	unlinkat(AT_FDCWD, strcat(tmpfs_dir, "/data"), 0);
	*strrchr(tmpfs_dir, '/') = '\0';
	assert_int_equal(rmdir(tmpfs_dir), 0);
	/* and it is made again, with owner and mode */
	complete(&l);
	expect(lu_launch_meet_needs(&l, 0, &e) == 0, "%s", e.what);
	assert_int_equal(rmdir(tmpfs_dir), 0);
}

/* --- a process in a /proc of our own: what no test machine has open --- */

static void put_proc(const char *name, const char *text)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/proc/77/%s", dir, name);
	assert_int_equal(lu_write_file(AT_FDCWD, path, text, strlen(text), 0644), 0);
}

static void link_proc(const char *name, const char *target)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/proc/77/%s", dir, name);
	assert_int_equal(symlink(target, path), 0);
}

static bool has_reason(const struct lu_reasons *why, const char *word)
{
	for (size_t i = 0; i < why->n; i++)
		if (strstr(why->list[i].what, word))
			return true;
	return false;
}

static void test_all_reasons(void **state)
{
	static const char *const words[] = { "/dev/vfio/vfio open, a legacy container",
					     "/dev/vfio/12 open, a legacy container",
					     "/dev/vhost-vdpa-3 open",
					     "a dma-buf open",
					     "ids differ",
					     "net namespace",
					     "uts namespace",
					     "root directory of its own",
					     "legacy container, whose",
					     "-snapshot" };
	static const char cmdline[] = "sleep\0-snapshot\0-device\0vfio-pci,host=00:05.0,id=h0";
	_cleanup_(lu_launch_clear) struct lu_launch l = { 0 };
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_close_ int proc = -EBADF;
	struct lu_capture_from from = { .reference = 1, .pkernfs = "/run/luctl/pkernfs", .reasons = &why };
	char path[256], name[16];

	snprintf(path, sizeof(path),
		 "mkdir -p %s/proc/77/fd %s/proc/77/fdinfo %s/proc/77/net %s/proc/77/ns %s/proc/1/ns", dir, dir, dir,
		 dir, dir);
	assert_int_equal(system(path), 0);
	for (const char *const *ns = (const char *const[]){ "mnt", "net", "user", "pid", "ipc", "uts", NULL }; *ns;
	     ns++) {
		snprintf(path, sizeof(path), "%s/proc/1/ns/%s", dir, *ns);
		assert_int_equal(symlink("x:[1]", path), 0);
		snprintf(name, sizeof(name), "ns/%s", *ns);
		link_proc(name, (*ns)[0] == 'n' || !strcmp(*ns, "uts") ? "x:[2]" : "x:[1]");
	}
	link_proc("root", "/srv/jail");
	link_proc("cwd", "/");
	link_proc("exe", "/usr/bin/sleep");
	put_proc("environ", "");
	snprintf(path, sizeof(path), "%s/proc/77/cmdline", dir);
	assert_int_equal(lu_write_file(AT_FDCWD, path, cmdline, sizeof(cmdline), 0644), 0);
	put_proc(
		"status",
		"Name:\tsleep\nUmask:\t0022\nUid:\t0\t5\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t0 \nCapPrm:\t0\nCapBnd:\t0\nCapAmb:\t0\n"
		"NoNewPrivs:\t0\nCpus_allowed_list:\t0-1\n");
	put_proc("limits", "");
	put_proc("cgroup", "0::/x\n");
	put_proc("oom_score_adj", "0\n");
	link_proc("fd/5", "/dev/vfio/vfio");
	link_proc("fd/6", "/dev/vfio/12");
	link_proc("fd/7", "/dev/vhost-vdpa-3");
	link_proc("fd/8", "/dmabuf:");
	link_proc("fd/9", "anon_inode:[eventfd]");
	snprintf(path, sizeof(path), "%s/proc", dir);
	proc = from.proc_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	expect(lu_launch_capture(&from, 77, &l, &e) == 0, "%s", e.what);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		expect(has_reason(&why, words[i]), "%s is not among %zu", words[i], why.n);
	assert_int_equal(why.n, ARRAY_SIZE(words));
	assert_string_equal(l.devices[0], "0000:00:05.0");
	/* who does not collect them gets the first as an error */
	lu_launch_clear(&l);
	from.reasons = NULL;
	assert_int_equal(lu_launch_capture(&from, 77, &l, &e), -EOPNOTSUPP);
	assert_non_null(strstr(e.what, "net namespace"));
}

/* Those that are loaded, not those that are built in, by the kernel's names. */
static void test_modules(void **state)
{
	static const char *const loaded[] = { "kvm_amd", "tun", "vfio_pci" };
	_cleanup_(lu_launch_clear) struct lu_launch l = { 0 };
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char sys[64], path[160];
	struct lu_capture_from from = { .proc_fd = proc, .pkernfs = "/run/luctl/pkernfs", .sys = sys };
	pid_t pid = start_child(PLAIN);
	int r;

	snprintf(sys, sizeof(sys), "%s/sys", dir);
	for (size_t i = 0; i < ARRAY_SIZE(loaded); i++) {
		snprintf(path, sizeof(path), "%s/module/%s", sys, loaded[i]);
		assert_int_equal(lu_mkdir_p(AT_FDCWD, path, 0755), 0);
		strcat(path, "/initstate");
		assert_int_equal(lu_write_file(AT_FDCWD, path, "live\n", 5, 0644), 0);
	}
	snprintf(path, sizeof(path), "%s/module/vhost_net/parameters", sys);
	assert_int_equal(lu_mkdir_p(AT_FDCWD, path, 0755), 0);
	r = lu_launch_capture(&from, pid, &l, NULL);
	stop_child(pid);
	assert_int_equal(r, 0);
	assert_string_equal(joined(l.modules), "kvm_amd tun vfio_pci");
}

static int setup(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* Who starts goes before who runs already. Needs the right to do so. */
static void test_hurry(void **state)
{
	struct lu_launch_sched sched = { .nice = 3 };
	struct lu_launch l = { .sched = &sched };
	pid_t pid = fork();
	int during, after;

	if (pid == 0) {
		pause();
		_exit(0);
	}
	lu_launch_hurry(&l, pid, true);
	during = getpriority(PRIO_PROCESS, (id_t)pid);
	lu_launch_hurry(&l, pid, false);
	after = getpriority(PRIO_PROCESS, (id_t)pid);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	if (geteuid() == 0)
		assert_int_equal(during, -10);
	assert_int_equal(after, 3);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hurry),     cmocka_unit_test(test_sandboxed),
		cmocka_unit_test(test_weak_root), cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_state_fd),  cmocka_unit_test(test_threads),
		cmocka_unit_test(test_terminal),  cmocka_unit_test(test_spawn_fails),
		cmocka_unit_test(test_refusals),  cmocka_unit_test(test_device_of_another_view),
		cmocka_unit_test(test_tmpfs),     cmocka_unit_test(test_all_reasons),
		cmocka_unit_test(test_preload),   cmocka_unit_test(test_modules),
	};

	if (argc > 1)
		preloaded = argv[1];

	return cmocka_run_group_tests(tests, setup, teardown);
}
