// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Descriptors that a process was given by who started it: from /proc into launch.json, and again under the same
 * numbers in a second process. The process is a Python that sleeps and that has QEMU's options after its own.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#include "argv.h"
#include "inherited.h"

#define TAP "luctltest0"
#define PIDFILE "/run/luctl-test-inherited.pid"

static char dir[] = "/tmp/luctl-inherited-XXXXXX";

static void listen_at(const char *name, int number)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s", dir, name);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 1) < 0 || chmod(sa.sun_path, 0640) < 0 ||
	    dup2(fd, number) < 0)
		_exit(1);
	close(fd);
}

static int open_tap(void)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR);

	strcpy(ifr.ifr_name, TAP);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* @tap: a descriptor or -1 */
static pid_t start(int tap, const char *more)
{
	char *argv[] = { (char *)"python3",
			 (char *)"-c",
			 (char *)"import time; time.sleep(1000)",
			 (char *)"-chardev",
			 (char *)"socket,id=m,fd=40,server=on",
			 (char *)"-netdev",
			 tap >= 0 ? (char *)"{\"type\": \"tap\", \"id\": \"n\", \"fd\": \"45\"}" : (char *)"user,id=n",
			 more ? (char *)"-chardev" : NULL,
			 (char *)more,
			 NULL };
	char *env[] = { (char *)"PATH=/usr/bin:/bin", NULL };
	int p[2], n;
	pid_t pid;
	char c;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		char number[16];
		int fd = open(PIDFILE, O_WRONLY | O_CREAT | O_TRUNC, 0644);

		if (tap >= 0)
			dup2(tap, 45);
		listen_at("monitor", 40);
		n = snprintf(number, sizeof(number), "%d", (int)getpid());
		if (fd >= 0 && (write(fd, number, (size_t)n) != n || dup2(fd, 41) < 0))
			_exit(1);
		if (chdir("/") < 0)
			_exit(1);
		execve("/usr/bin/python3", argv, env);
		_exit(127);
	}
	close(p[1]);
	while (read(p[0], &c, 1) < 0)
		;
	close(p[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int capture(pid_t pid, struct lu_launch *ret, struct lu_reasons *why)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct lu_capture_from from = { .proc_fd = proc, .pkernfs = "/run/luctl/pkernfs", .reasons = why };

	return lu_launch_capture(&from, pid, ret, NULL);
}

static const struct lu_launch_inherited *of(const struct lu_launch *l, int kind)
{
	for (size_t i = 0; i < l->n_inherited; i++)
		if (l->inherited[i].kind == kind)
			return &l->inherited[i];
	return NULL;
}

static void same(const struct lu_launch *a, const struct lu_launch *b)
{
	assert_int_equal(a->n_inherited, b->n_inherited);
	for (size_t i = 0; i < a->n_inherited; i++) {
		const struct lu_launch_inherited *x = &a->inherited[i], *y = &b->inherited[i];

		assert_int_equal(x->fd, y->fd);
		assert_int_equal(x->kind, y->kind);
		assert_int_equal(x->mode, y->mode);
		assert_int_equal(x->flags, y->flags);
		assert_int_equal(x->mtu, y->mtu);
		assert_string_equal(x->path ?: "", y->path ?: "");
		assert_string_equal(x->name ?: "", y->name ?: "");
		assert_string_equal(x->mac ?: "", y->mac ?: "");
	}
}

/* Who listens at a socket is told by the kernel: it must be the process itself. */
static void check_listener(const struct lu_launch_inherited *in, pid_t pid)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	socklen_t len = sizeof(struct ucred);
	struct ucred peer;
	struct stat st;

	strcpy(sa.sun_path, in->path);
	assert_int_equal(stat(in->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len), 0);
	assert_int_equal(peer.pid, pid);
}

static void check_pid_file(pid_t pid)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	_cleanup_close_ int fd = open(PIDFILE, O_RDWR);
	char text[16] = "";

	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	assert_int_equal(atoi(text), pid);
	assert_int_equal(fcntl(fd, F_GETLK, &lock), 0);
	assert_int_equal(lock.l_type, F_WRLCK);
	assert_int_equal(lock.l_pid, pid);
}

static void test_round_trip(void **state)
{
	_cleanup_(lu_launch_clear) struct lu_launch a = { 0 }, b = { 0 };
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_close_ int pidfd = -EBADF;
	int tap = open_tap();
	char log[64];
	pid_t one, two;

	one = start(tap, NULL);
	assert_int_equal(capture(one, &a, &why), 0);
	expect(!lu_reasons_any(&why), "%s", why.n ? why.list[0].what : "");
	assert_string_equal(a.features[0], LU_LAUNCH_INHERITED);
	assert_non_null(of(&a, LU_INHERITED_LISTEN));
	assert_int_equal(of(&a, LU_INHERITED_LISTEN)->fd, 40);
	if (tap >= 0) {
		assert_non_null(of(&a, LU_INHERITED_TAP));
		assert_string_equal(of(&a, LU_INHERITED_TAP)->name, TAP);
	}
	assert_int_equal(lu_inherited_check(&a, &e), 0);
	end(one);
	if (tap >= 0)
		close(tap);

	a.name = strdup("child");
	snprintf(log, sizeof(log), "%s/log", dir);
	expect(lu_launch_spawn(&a, -1, NULL, log, &two, &pidfd, &e) == 0, "%s", e.what);
	assert_int_equal(capture(two, &b, &why), 0);
	expect(!lu_reasons_any(&why), "%s", why.n ? why.list[0].what : "");
	same(&a, &b);
	check_listener(of(&a, LU_INHERITED_LISTEN), two);
	if (of(&a, LU_INHERITED_PIDFILE))
		check_pid_file(two);
	else
		assert_true(geteuid() != 0);
	end(two);
	unlink(of(&a, LU_INHERITED_LISTEN)->path);
	unlink(PIDFILE);
}

/* A pipe under a number can't be had again, nor can what has no number. */
static void test_refused(void **state)
{
	const char *const more[] = { "socket,id=c,fd=47", "socket,id=c,fd=named", "socket,id=c,fd=2" };

	for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
		_cleanup_(lu_launch_clear) struct lu_launch l = { 0 };
		_cleanup_reasons_ struct lu_reasons why = { 0 };
		char path[64];
		pid_t pid = start(-1, more[i]);

		assert_int_equal(capture(pid, &l, &why), 0);
		expect(lu_reasons_any(&why) && strstr(why.list[0].what, "inherited"), "%s: %s", more[i],
		       why.n ? why.list[0].what : "nothing");
		end(pid);
		snprintf(path, sizeof(path), "%s/monitor", dir);
		unlink(path);
	}
	unlink(PIDFILE);
}

static void test_numbers(void **state)
{
	char *const argv[] = { (char *)"q",
			       (char *)"-netdev",
			       (char *)"{\"type\": \"tap\", \"fds\": \"30:31\", \"vhostfds\": \"32:33\"}",
			       (char *)"-append",
			       (char *)"fd=9",
			       (char *)"-chardev",
			       (char *)"socket,id=c,fd=34x",
			       NULL };
	const int want[] = { 30, 31, 32, 33, -1 };
	_cleanup_free_ struct lu_argv_fd *list = NULL;
	size_t n;

	assert_int_equal(lu_argv_fds(argv, &list, &n), 0);
	assert_int_equal(n, ARRAY_SIZE(want));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(list[i].fd, want[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refused),
	};
	int r;

	if (!mkdtemp(dir))
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)!system("rm -rf /tmp/luctl-inherited-*");
	return r;
}
