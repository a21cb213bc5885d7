// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Descriptors that a process was given by who started it: from /proc into launch.json, and again under the same
 * numbers in a second process. The process is a Python that sleeps and that has QEMU's options after its own.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#include "argv.h"
#include "cpr.h"
#include "inherited.h"

static char dir[] = "/tmp/luctl-inherited-XXXXXX";
/* the machine's, so each run has its own */
static char tap_name[IFNAMSIZ], pid_file[64];

static int n_listeners; /* more than the one at 40, from 50 on */

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

	strcpy(ifr.ifr_name, tap_name);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* @tap: a descriptor or -1; @own_view: it sees nothing of what lies in @dir */
static pid_t start_seeing(int tap, const char *more, bool own_view)
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
		int fd = open(pid_file, O_WRONLY | O_CREAT | O_TRUNC, 0644);

		if (tap >= 0)
			dup2(tap, 45);
		listen_at("monitor", 40);
		for (int i = 0; i < n_listeners; i++) {
			snprintf(number, sizeof(number), "more%d", i);
			listen_at(number, 50 + i);
		}
		n = snprintf(number, sizeof(number), "%d", (int)getpid());
		if (fd >= 0 && (write(fd, number, (size_t)n) != n || dup2(fd, 41) < 0))
			_exit(1);
		if (own_view && (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
				 mount("private", dir, "tmpfs", 0, NULL) < 0))
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

static pid_t start(int tap, const char *more)
{
	return start_seeing(tap, more, false);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* @reference: as in struct lu_capture_from */
static int capture_beside(pid_t reference, pid_t pid, struct lu_launch *ret, struct lu_reasons *why)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct lu_capture_from from = {
		.proc_fd = proc, .reference = reference, .pkernfs = "/run/luctl/pkernfs", .reasons = why
	};

	test_wait_asleep(pid);
	return lu_launch_capture(&from, pid, ret, NULL);
}

static int capture(pid_t pid, struct lu_launch *ret, struct lu_reasons *why)
{
	return capture_beside(0, pid, ret, why);
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
	_cleanup_close_ int fd = open(pid_file, O_RDWR);
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
		assert_string_equal(of(&a, LU_INHERITED_TAP)->name, tap_name);
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
	unlink(pid_file);
}

/* What it was given lies where its own view shows nothing: it is found and opened in what the host shows. */
static void test_own_view(void **state)
{
	_cleanup_(lu_launch_clear) struct lu_launch l = { 0 };
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_close_ int pidfd = -EBADF;
	char log[64], inside[128];
	pid_t pid;

	if (geteuid() != 0)
		skip();
	pid = start_seeing(-1, NULL, true);
	if (waitpid(pid, NULL, WNOHANG) == pid)
		skip();
	assert_int_equal(capture_beside(getpid(), pid, &l, &why), 0);
	end(pid);
	expect(!lu_reasons_any(&why), "%s", why.n ? why.list[0].what : "");
	assert_non_null(l.view);
	assert_non_null(of(&l, LU_INHERITED_LISTEN));
	l.name = strdup("child");
	snprintf(log, sizeof(log), "%s/log", dir);
	expect(lu_launch_spawn(&l, -1, NULL, log, &pid, &pidfd, &e) == 0, "%s", e.what);
	check_listener(of(&l, LU_INHERITED_LISTEN), pid);
	snprintf(inside, sizeof(inside), "/proc/%d/root%s/monitor", (int)pid, dir);
	assert_int_equal(access(inside, F_OK), -1);
	end(pid);
	unlink(of(&l, LU_INHERITED_LISTEN)->path);
	unlink(pid_file);
}

/*
 * By the name of its socket the next one is made as root, in the place of what is there. So a name that is another
 * process's by now, or was never this one's but in a view of its own, is refused.
 */
static void test_not_its_own(void **state)
{
	_cleanup_(lu_launch_clear) struct lu_launch l = { 0 };
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/monitor", dir);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		pid_t pid = start(-1, NULL);
		int fd = socket(AF_UNIX, types[i], 0);

		assert_int_equal(unlink(sa.sun_path), 0);
		assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
		assert_true(types[i] == SOCK_DGRAM || listen(fd, 1) == 0);
		assert_int_equal(capture(pid, &l, &why), 0);
		expect(lu_reasons_any(&why) && strstr(why.list[0].what, "descriptor 40 can't be opened again"),
		       "%zu: %s", i, why.n ? why.list[0].what : "nothing");
		assert_null(of(&l, LU_INHERITED_LISTEN));
		lu_launch_clear(&l);
		lu_reasons_clear(&why);
		close(fd);
		unlink(sa.sun_path);
		end(pid);
	}
	unlink(pid_file);
}

static const char *watched; /* how often a file whose path ends so is read is counted */
static unsigned int readings;

int __real_lu_read_file(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_size);
int __wrap_lu_read_file(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_size);
int __wrap_lu_read_file(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_size)
{
	size_t n = strlen(path);

	if (watched && n >= strlen(watched) && !strcmp(path + n - strlen(watched), watched))
		readings++;
	return __real_lu_read_file(dir_fd, path, max, ret, ret_size);
}

/* The table of all sockets of the host grows with its guests: a guest that listens more often does not read it more often. */
static void test_reads_once(void **state)
{
	static const char *const more[] = { "socket,id=c,server=on,fds=50",
					    "socket,id=c,server=on,fds=50:51:52:53:54:55" };
	unsigned int before = 0;

	watched = "/net/unix";
	for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
		_cleanup_(lu_launch_clear) struct lu_launch l = { 0 };
		_cleanup_reasons_ struct lu_reasons why = { 0 };
		unsigned int listeners = 0;
		pid_t pid;

		n_listeners = 6;
		pid = start(-1, more[i]);
		n_listeners = 0;
		readings = 0;
		assert_int_equal(capture(pid, &l, &why), 0);
		expect(!lu_reasons_any(&why), "%s", why.list[0].what);
		for (size_t k = 0; k < l.n_inherited; k++)
			listeners += l.inherited[k].kind == LU_INHERITED_LISTEN;
		expect(listeners == (i ? 7 : 2), "%zu: %u of them listen", i, listeners);
		expect(readings > 0 && (!i || readings == before), "%zu: %u readings", i, readings);
		before = readings;
		end(pid);
		for (size_t k = 0; k < l.n_inherited; k++)
			unlink(l.inherited[k].path);
		for (int k = 0; k < 6; k++) {
			char path[64];

			snprintf(path, sizeof(path), "%s/more%d", dir, k);
			unlink(path);
		}
	}
	watched = NULL;
}

static const char *swapped; /* what is put in the place of a socket as soon as it is there */

int __real_bind(int fd, const struct sockaddr *sa, socklen_t size);
int __wrap_bind(int fd, const struct sockaddr *sa, socklen_t size);
int __wrap_bind(int fd, const struct sockaddr *sa, socklen_t size)
{
	const char *path = ((const struct sockaddr_un *)(const void *)sa)->sun_path;
	int r = __real_bind(fd, sa, size);

	if (r == 0 && swapped)
		r = unlink(path) < 0 || symlink(swapped, path) < 0 ? -1 : 0;
	return r;
}

/* Its directory is its user's, who may be faster: a link in its place leads root nowhere. */
static void test_swapped(void **state)
{
	struct lu_launch_inherited in = {
		.kind = LU_INHERITED_LISTEN, .uid = geteuid(), .gid = getegid(), .mode = 0775
	};
	char victim[64], path[64], step[24];
	struct stat st;
	int fd;

	snprintf(victim, sizeof(victim), "%s/victim", dir);
	snprintf(path, sizeof(path), "%s/monitor", dir);
	fd = open(victim, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	in.path = path;
	swapped = victim;
	fd = lu_inherited_make(&in, step);
	swapped = NULL;
	assert_int_equal(stat(victim, &st), 0);
	expect((st.st_mode & 07777) == 0600, "what the link leads to has mode %04o", (unsigned int)st.st_mode & 07777);
	if (fd >= 0)
		close(fd);
	unlink(path);
	unlink(victim);
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
	unlink(pid_file);
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

/* --- handed in: an iommufd and a device, for which /dev/zero and /dev/full stand in, in a sysfs that says so --- */

static void sys_link(unsigned int minor, const char *to)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/sys/dev/char/1:%u", dir, minor);
	assert_int_equal(symlink(to, path), 0);
}

static void make_sys(void)
{
	char path[128];

	snprintf(path, sizeof(path), "mkdir -p %s/sys/dev/char", dir);
	assert_int_equal(system(path), 0);
	sys_link(5, "../../devices/virtual/misc/iommu");
	sys_link(7, "../../devices/pci0000:00/0000:00:0c.0/vfio-dev/vfio0");
	sys_link(3, "../../devices/virtual/mem/null");
}

/* A process with these words, and at 24 and 25 these nodes; @own_dev: it sees a /dev with nothing but null */
static pid_t start_handed_seeing(const char *const *words, const char *at_24, const char *at_25, bool own_dev)
{
	char *argv[16] = { (char *)"python3", (char *)"-c", (char *)"import time; time.sleep(1000)" };
	char *env[] = { (char *)"PATH=/usr/bin:/bin", NULL };
	int p[2];
	pid_t pid;
	char c;

	for (size_t i = 0; words[i]; i++)
		argv[3 + i] = (char *)words[i];
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		const char *const nodes[] = { at_24, at_25 };

		for (int i = 0; i < 2; i++) {
			int fd = open(nodes[i], O_RDWR);

			if (fd < 0 || dup2(fd, 24 + i) < 0)
				_exit(1);
			close(fd);
		}
		if (own_dev && (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
				mount("private", "/dev", "tmpfs", 0, NULL) < 0 ||
				mknod("/dev/null", S_IFCHR | 0666, makedev(1, 3)) < 0))
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

static pid_t start_handed(const char *const *words, const char *at_24, const char *at_25)
{
	return start_handed_seeing(words, at_24, at_25, false);
}

/* @reference: as in struct lu_capture_from */
static int capture_handed_beside(pid_t reference, pid_t pid, struct lu_launch *ret, struct lu_reasons *why)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char sys[64];
	struct lu_capture_from from = {
		.proc_fd = proc, .reference = reference, .pkernfs = "/run/luctl/pkernfs", .reasons = why, .sys = sys
	};

	snprintf(sys, sizeof(sys), "%s/sys", dir);
	test_wait_asleep(pid);
	return lu_launch_capture(&from, pid, ret, NULL);
}

static int capture_handed(pid_t pid, struct lu_launch *ret, struct lu_reasons *why)
{
	return capture_handed_beside(0, pid, ret, why);
}

static const char *const libvirts_words[] = {
	"-object", "{\"qom-type\":\"iommufd\",\"id\":\"iommufd0\",\"fd\":\"24\"}", "-device",
	"{\"driver\":\"vfio-pci\",\"id\":\"hostdev0\",\"iommufd\":\"iommufd0\",\"fd\":\"25\",\"bus\":\"pci.4\"}", NULL
};

static void check_link(pid_t pid, int fd, const char *want)
{
	char path[64], link[128];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
	n = readlink(path, link, sizeof(link) - 1);
	link[n < 0 ? 0 : n] = '\0';
	expect(!strcmp(link, want), "descriptor %d is %s, not %s", fd, link, want);
}

/* What is behind the numbers goes by its names, and is at the same numbers again, whatever else needs some. */
static void test_handed(void **state)
{
	struct lu_cpr_fd entries[] = { { (char *)"hostdev0_interrupt", 0, -EBADF },
				       { (char *)"iommufd0", 0, -EBADF },
				       { (char *)"hostdev0", 0, -EBADF } };
	const struct lu_cpr cpr = { .fds = entries, .n_fds = ARRAY_SIZE(entries) };
	_cleanup_(lu_launch_clear) struct lu_launch a = { 0 }, b = { 0 };
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_close_ int pidfd = -EBADF, state_fd = open("/dev/random", O_RDONLY | O_CLOEXEC);
	int fds[4] = { -EBADF, open("/dev/null", O_RDWR | O_CLOEXEC), open("/dev/zero", O_RDWR | O_CLOEXEC),
		       open("/dev/full", O_RDWR | O_CLOEXEC) };
	int numbers[4] = { LU_LAUNCH_MORE_FD };
	struct lu_launch_more more = { .fds = fds, .numbers = numbers, .n_fds = 4 };
	pid_t one = start_handed(libvirts_words, "/dev/zero", "/dev/full"), two;
	char log[64];

	assert_int_equal(capture_handed(one, &a, &why), 0);
	expect(!lu_reasons_any(&why), "%s", why.n ? why.list[0].what : "");
	end(one);
	assert_int_equal(a.n_inherited, 2);
	assert_int_equal(a.inherited[0].fd, 24);
	assert_string_equal(a.inherited[0].cpr, "iommufd0");
	assert_int_equal(a.inherited[1].fd, 25);
	assert_string_equal(a.inherited[1].cpr, "hostdev0");
	assert_string_equal(a.devices[0], "0000:00:0c.0");
	assert_null(a.devices[1]);
	assert_int_equal(lu_inherited_check(&a, &e), 0);

	a.name = strdup("child");
	snprintf(log, sizeof(log), "%s/log", dir);
	assert_int_equal(lu_cpr_number(&cpr, &a, numbers + 1, &e), 0);
	assert_int_equal(lu_cpr_write_exec(&cpr, numbers + 1, &fds[0], &e), 0);
	/* the words that lu_launch_argv() adds mean nothing to a Python that has its program already */
	expect(lu_launch_spawn(&a, state_fd, &more, log, &two, &pidfd, &e) == 0, "%s", e.what);
	assert_int_equal(capture_handed(two, &b, &why), 0);
	same(&a, &b);
	assert_string_equal(b.devices[0], "0000:00:0c.0");
	check_link(two, 3, "/dev/random");
	check_link(two, 4, "/memfd:luctl-cpr (deleted)");
	check_link(two, 5, "/dev/null");
	check_link(two, 24, "/dev/zero");
	check_link(two, 25, "/dev/full");
	end(two);

	numbers[3] = 26;
	assert_int_equal(lu_launch_spawn(&a, state_fd, &more, log, &two, &pidfd, &e), -EBADMSG);
	expect(strstr(e.what, "descriptor 25 of its command line, hostdev0,"), "%s", e.what);
	for (size_t i = 0; i < 4; i++)
		close(fds[i]);
}

/* libvirt's guests have a /dev in which neither is: both were opened before, and are opened again, in what the host shows. */
static void test_handed_own_dev(void **state)
{
	_cleanup_(lu_launch_clear) struct lu_launch l = { 0 };
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	pid_t pid;

	if (geteuid() != 0)
		skip();
	pid = start_handed_seeing(libvirts_words, "/dev/zero", "/dev/full", true);
	if (waitpid(pid, NULL, WNOHANG) == pid)
		skip();
	assert_int_equal(capture_handed_beside(getpid(), pid, &l, &why), 0);
	end(pid);
	expect(!lu_reasons_any(&why), "%s", why.n ? why.list[0].what : "");
	assert_non_null(l.view);
	assert_int_equal(l.n_inherited, 2);
}

static void test_handed_wrong(void **state)
{
	const struct {
		const char *words[5], *at_24, *at_25, *word;
	} cases[] = {
		/* what it says is no iommufd, what it says is no device */
		{ { "-object", "iommufd,id=i,fd=24" },
		  "/dev/full",
		  "/dev/full",
		  "descriptor 24 can't be opened again" },
		{ { "-object", "iommufd,id=i,fd=24", "-device", "vfio-pci,iommufd=i,id=h,fd=25" },
		  "/dev/zero",
		  "/dev/null",
		  "descriptor 25 can't be opened again" },
		/* nobody but these takes a device's */
		{ { "-chardev", "socket,id=c,fd=25" },
		  "/dev/zero",
		  "/dev/full",
		  "descriptor 25 can't be opened again" },
		{ { "-device", "vfio-pci,host=00:0d.0,iommufd=i,id=h,fd=25" },
		  "/dev/zero",
		  "/dev/full",
		  "is not the function that it names" },
		{ { "-device", "vfio-pci,host=00:0c.0,iommufd=i,id=h,fd=25" }, "/dev/zero", "/dev/full", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(lu_launch_clear) struct lu_launch l = { 0 };
		_cleanup_reasons_ struct lu_reasons why = { 0 };
		pid_t pid = start_handed(cases[i].words, cases[i].at_24, cases[i].at_25);

		assert_int_equal(capture_handed(pid, &l, &why), 0);
		expect(lu_reasons_any(&why) == (cases[i].word != NULL), "case %zu", i);
		expect(!cases[i].word || strstr(why.list[0].what, cases[i].word), "case %zu: %s", i, why.list[0].what);
		end(pid);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),        cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refused),        cmocka_unit_test(test_handed),
		cmocka_unit_test(test_handed_wrong),   cmocka_unit_test(test_own_view),
		cmocka_unit_test(test_handed_own_dev), cmocka_unit_test(test_not_its_own),
		cmocka_unit_test(test_swapped),        cmocka_unit_test(test_reads_once),
	};
	char command[64];
	int r;

	if (!mkdtemp(dir))
		return 1;
	snprintf(tap_name, sizeof(tap_name), "lutest%d", (int)getpid() % 10000000);
	snprintf(pid_file, sizeof(pid_file), "/run/luctl-test-inherited-%d.pid", (int)getpid());
	make_sys();
	r = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	(void)!system(command);
	return r;
}
