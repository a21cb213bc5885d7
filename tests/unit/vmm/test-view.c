// SPDX-License-Identifier: GPL-2.0-or-later
/* Views: recorded mountinfo of units' and libvirt's namespaces; and, as root, a namespace that is really made again. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "capture.h"
#include "test.h"
#include "view.h"

#define HOST                                                                                                        \
	"22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"                                                 \
	"23 22 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:2 - proc proc rw\n"                              \
	"24 22 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:3 - sysfs sysfs rw\n"                             \
	"25 22 0:6 / /dev rw,nosuid,relatime shared:4 - devtmpfs udev rw,mode=755\n"                                \
	"26 25 0:23 / /dev/pts rw,nosuid,noexec,relatime shared:5 - devpts devpts rw,gid=5,mode=620,ptmxmode=000\n" \
	"27 25 0:24 / /dev/shm rw,nosuid,nodev shared:6 - tmpfs tmpfs rw\n"                                         \
	"28 22 0:25 / /run rw,nosuid,nodev shared:7 - tmpfs tmpfs rw,size=800000k,mode=755\n"                       \
	"29 28 0:30 / /run/luctl/pkernfs rw,nosuid,nodev,noexec,relatime shared:9 - pkernfs pkernfs rw\n"           \
	"30 22 0:26 / /tmp rw,nosuid,nodev shared:8 - tmpfs tmpfs rw\n"                                             \
	"31 23 0:27 / /proc/sys/fs/binfmt_misc rw,relatime shared:10 - autofs systemd-1 rw,fd=36\n"                 \
	"32 31 0:28 / /proc/sys/fs/binfmt_misc rw,nosuid shared:11 - binfmt_misc binfmt_misc rw\n"

/* What ProtectSystem=strict, PrivateTmp=, ProtectKernelTunables=, ProtectHome= and ReadWritePaths= make of it. */
#define UNIT                                                                                                               \
	"122 21 254:1 / / ro,relatime master:1 - ext4 /dev/vda1 rw\n"                                                      \
	"123 122 0:21 / /proc rw,nosuid,nodev,noexec,relatime master:2 - proc proc rw\n"                                   \
	"124 122 0:22 / /sys ro,nosuid,nodev,noexec,relatime master:3 - sysfs sysfs rw\n"                                  \
	"125 122 0:6 / /dev rw,nosuid,relatime master:4 - devtmpfs udev rw,mode=755\n"                                     \
	"126 125 0:23 / /dev/pts rw,nosuid,noexec,relatime master:5 - devpts devpts rw,gid=5,mode=620,ptmxmode=000\n"      \
	"127 125 0:24 / /dev/shm rw,nosuid,nodev master:6 - tmpfs tmpfs rw\n"                                              \
	"128 122 0:25 / /run ro,nosuid,nodev master:7 - tmpfs tmpfs rw,size=800000k,mode=755\n"                            \
	"129 128 0:30 / /run/luctl/pkernfs ro,nosuid,nodev,noexec,relatime master:9 - pkernfs pkernfs rw\n"                \
	"130 122 0:26 / /tmp ro,nosuid,nodev master:8 - tmpfs tmpfs rw\n"                                                  \
	"140 129 0:30 /ram/web /run/luctl/pkernfs/ram/web rw,nosuid,nodev,noexec,relatime master:9 - pkernfs pkernfs rw\n" \
	"141 130 0:26 /systemd-private-0123-luctl-vm@web.service-XyZ/tmp /tmp rw,nosuid,nodev master:8 - tmpfs tmpfs rw\n" \
	"142 123 0:21 /sys /proc/sys ro,nosuid,nodev,noexec,relatime master:2 - proc proc rw\n"                            \
	"145 142 0:27 / /proc/sys/fs/binfmt_misc rw,relatime master:10 - autofs systemd-1 rw,fd=36\n"                      \
	"143 122 0:25 /systemd/inaccessible/dir /home ro,nosuid,nodev,noexec master:7 - tmpfs tmpfs rw\n"                  \
	"144 128 0:25 /luctl/vm/web /run/luctl/vm/web rw,nosuid,nodev master:7 - tmpfs tmpfs rw\n"

/* libvirt's: a private /dev, the host's other file systems below it moved there. */
#define LIBVIRT                                                                                                       \
	"222 21 254:1 / / rw,relatime master:1 - ext4 /dev/vda1 rw\n"                                                 \
	"223 222 0:21 / /proc rw,nosuid,nodev,noexec,relatime master:2 - proc proc rw\n"                              \
	"225 222 0:6 / /dev rw,nosuid,relatime master:4 - devtmpfs udev rw,mode=755\n"                                \
	"240 225 0:77 / /dev rw,nosuid,relatime - tmpfs devfs rw,size=64k,mode=755\n"                                 \
	"226 240 0:23 / /dev/pts rw,nosuid,noexec,relatime master:5 - devpts devpts rw,gid=5,mode=620,ptmxmode=000\n" \
	"227 240 0:24 / /dev/shm rw,nosuid,nodev master:6 - tmpfs tmpfs rw\n"                                         \
	"228 222 0:25 / /run rw,nosuid,nodev master:7 - tmpfs tmpfs rw,size=800000k,mode=755\n"

/* ProtectProc= with ProtectKernelTunables=: a /proc of its own, and a part of that bound to be read-only. */
#define PROC                                                                                             \
	"322 21 254:1 / / rw,relatime master:1 - ext4 /dev/vda1 rw\n"                                    \
	"323 322 0:91 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw,hidepid=invisible\n"        \
	"324 323 0:91 /sys /proc/sys ro,nosuid,nodev,noexec,relatime - proc proc rw,hidepid=invisible\n" \
	"325 323 0:25 /systemd/inaccessible/reg /proc/kcore ro,nosuid,nodev,noexec master:7 - tmpfs tmpfs rw\n"

static const struct lu_view_mount *find(const struct lu_view *v, const char *path)
{
	for (size_t i = 0; i < v->n_mounts; i++)
		if (!strcmp(v->mounts[i].path, path))
			return &v->mounts[i];
	return NULL;
}

static void compose(const char *host, const char *own, struct lu_view *ret, struct lu_reasons *why)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *text = NULL;

	assert_int_equal(lu_view_compose(host, own, ret, why), 0);
	if (!lu_reasons_any(why))
		expect(lu_json_encode_text(&lu_view_table, ret, &text, &e) == 0, "%s", e.what);
}

static void is(const struct lu_view *v, const char *path, enum lu_view_kind kind, const char *source, const char *flag)
{
	const struct lu_view_mount *m = find(v, path);

	expect(m, "%s is not in the record", path);
	expect(m->kind == (int)kind, "%s is of kind %d", path, m->kind);
	if (source)
		assert_string_equal(m->source, source);
	else
		assert_null(m->source);
	if (flag)
		assert_string_equal(m->flags[0], flag);
}

static void test_unit(void **state)
{
	_cleanup_(lu_view_clear) struct lu_view v = { 0 };
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	_cleanup_free_ char *ram = NULL, *etc = NULL, *tmp = NULL;
	struct lu_view_mount *m;

	compose(HOST, UNIT, &v, &why);
	expect(!lu_reasons_any(&why), "%s", why.list[0].what);
	assert_true(v.follows);
	is(&v, "/", LU_VIEW_SAME, NULL, "ro");
	is(&v, "/sys", LU_VIEW_SAME, NULL, "ro");
	is(&v, "/run/luctl/pkernfs/ram/web", LU_VIEW_BIND, "/run/luctl/pkernfs/ram/web", "nosuid");
	is(&v, "/proc/sys", LU_VIEW_BIND, "/proc/sys", "ro");
	is(&v, "/home", LU_VIEW_BIND, "/run/systemd/inaccessible/dir", "ro");
	is(&v, "/tmp", LU_VIEW_FRESH, "/tmp/systemd-private-0123-luctl-vm@web.service-XyZ/tmp", "nosuid");
	/* its place is where something else was mounted: it can't be the host's any more */
	m = (struct lu_view_mount *)find(&v, "/proc/sys/fs/binfmt_misc");
	assert_true(m && m->optional);
	ram = lu_view_host_path(&v, "/run/luctl/pkernfs/ram/web/ram0");
	etc = lu_view_host_path(&v, "/etc/x");
	tmp = lu_view_host_path(&v, "/tmp/x");
	assert_string_equal(ram, "/run/luctl/pkernfs/ram/web/ram0");
	assert_string_equal(etc, "/etc/x");
	assert_null(tmp);
}

static void test_libvirt(void **state)
{
	_cleanup_(lu_view_clear) struct lu_view v = { 0 };
	_cleanup_reasons_ struct lu_reasons why = { 0 };

	compose(HOST, LIBVIRT, &v, &why);
	expect(!lu_reasons_any(&why), "%s", why.list[0].what);
	is(&v, "/dev", LU_VIEW_FRESH, NULL, "nosuid");
	assert_string_equal(find(&v, "/dev")->options, "size=64k,mode=755");
	/* the host's are covered by the private one */
	is(&v, "/dev/pts", LU_VIEW_BIND, "/dev/pts", "nosuid");
	is(&v, "/dev/shm", LU_VIEW_BIND, "/dev/shm", "nosuid");
	is(&v, "/tmp", LU_VIEW_ABSENT, NULL, NULL);
	is(&v, "/sys", LU_VIEW_ABSENT, NULL, NULL);
	is(&v, "/run/luctl/pkernfs", LU_VIEW_ABSENT, NULL, NULL);
}

static void test_proc(void **state)
{
	_cleanup_(lu_view_clear) struct lu_view v = { 0 };
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	_cleanup_free_ char *host = NULL;

	compose(HOST, PROC, &v, &why);
	expect(!lu_reasons_any(&why), "%s", why.list[0].what);
	is(&v, "/proc", LU_VIEW_FRESH, NULL, "nosuid");
	assert_string_equal(find(&v, "/proc")->options, "hidepid=invisible");
	is(&v, "/proc/sys", LU_VIEW_BIND, NULL, "ro");
	is(&v, "/proc/kcore", LU_VIEW_BIND, "/run/systemd/inaccessible/reg", "ro");
	host = lu_view_host_path(&v, "/proc/sys/kernel");
	assert_null(host);
}

static void refused(const char *line, const char *word)
{
	_cleanup_(lu_view_clear) struct lu_view v = { 0 };
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	_cleanup_free_ char *own = NULL;

	assert_true(asprintf(&own, "%s%s", UNIT, line) > 0);
	compose(HOST, own, &v, &why);
	expect(why.n == 1 && strstr(why.list[0].what, word), "%zu reasons: %s", why.n, why.n ? why.list[0].what : "");
}

static void test_refused(void **state)
{
	_cleanup_(lu_view_clear) struct lu_view v = { 0 };
	_cleanup_reasons_ struct lu_reasons why = { 0 };

	refused("150 122 0:90 / /srv rw,relatime - fuse.sshfs host: rw\n",
		"a fuse.sshfs at /srv that the host does not");
	refused("150 122 0:90 / /srv rw,relatime - overlay overlay rw\n", "a overlay at /srv that the host does not");
	refused("150 122 0:26 /gone//deleted /srv rw,relatime - tmpfs tmpfs rw\n", "at /srv was removed");
	refused("150 122 254:1 /a /srv rw,idmapped - ext4 /dev/vda1 rw\n", "id-mapped mount at /srv");
	compose(HOST, "5 1 254:7 / / rw - ext4 /dev/vdb rw\n", &v, &why);
	expect(why.n == 1 && strstr(why.list[0].what, "root directory"), "%zu", why.n);
	assert_int_equal(lu_view_compose(HOST, "5 1 254:7 / /x rw - ext4 /dev/vdb rw\n", &v, &why), -EBADMSG);
	assert_int_equal(lu_view_compose(HOST, "nonsense\n", &v, &why), -EBADMSG);
	assert_int_equal(lu_view_compose("", UNIT, &v, &why), -EBADMSG);
}

/* The same namespace fits its record, one that differs does not. */
static void differs(const struct lu_view *v, const char *from, const char *to, bool complete)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *own = NULL;
	const char *p = strstr(UNIT, from);

	expect(p, "%s", from);
	assert_true(asprintf(&own, "%.*s%s%s", (int)(p - UNIT), UNIT, to, p + strlen(from)) > 0);
	expect(lu_view_check(v, own, complete, &e) == -EBADMSG && e.what, "%s for %s is not noticed", to, from);
}

static void test_check(void **state)
{
	_cleanup_(lu_view_clear) struct lu_view v = { 0 };
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	compose(HOST, UNIT, &v, &why);
	expect(lu_view_check(&v, UNIT, true, &e) == 0, "%s", e.what);
	differs(&v, "/ / ro,", "/ / rw,", false);
	differs(&v, "/ /sys ro,", "/ /sys rw,", false);
	differs(&v, "/systemd/inaccessible/dir /home", "/systemd/inaccessible/dir /hom", false);
	differs(&v, "/proc/sys ro,nosuid,nodev,noexec,relatime master:2 - proc",
		"/proc/sys ro,nosuid,nodev,noexec,relatime master:2 - ext4", false);
	differs(&v, "144 128 0:25 /luctl", "150 141 0:99 / /tmp/x rw - ext4 /dev/x rw\n144 128 0:25 /luctl", false);
	/* the host's own may come later; in the next kernel /tmp is not mounted yet */
	lu_view_clear(&v);
	compose(HOST, LIBVIRT, &v, &why);
	expect(lu_view_check(&v, LIBVIRT, true, &e) == 0, "%s", e.what);
	assert_int_equal(lu_view_check(&v, HOST, true, &e), -EBADMSG);
}

/* --- a real one --- */

static char dir[] = "/var/tmp/luctl-view-XXXXXX";

static const char *at(const char *name)
{
	static char path[4][256];
	static unsigned int next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

/* In a child: cmocka's own would go on as a second test program. */
#define must(cond)                                                           \
	do {                                                                 \
		if (!(cond)) {                                               \
			fprintf(stderr, "%s: %s\n", #cond, strerror(errno)); \
			_exit(1);                                            \
		}                                                            \
	} while (0)

static void sandbox(void)
{
	must(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0);
	must(mount("devfs", at("dev"), "tmpfs", MS_NOSUID, "size=64k,mode=0750") == 0);
	must(mknod(at("dev/null"), S_IFCHR | 0666, makedev(1, 3)) == 0);
	must(chmod(at("dev/null"), 0606) == 0);
	must(lchown(at("dev/null"), 7, 8) == 0);
	must(symlink("/proc/self/fd", at("dev/fd")) == 0);
	must(mkdir(at("dev/sub"), 0711) == 0);
	must(mkdir(at("dev/place"), 0755) == 0);
	must(mount(at("src"), at("dev/place"), NULL, MS_BIND, NULL) == 0);
	must(mount(at("src"), at("dst"), NULL, MS_BIND, NULL) == 0);
	must(mount(NULL, at("dst"), NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOEXEC, NULL) == 0);
	must(mount("/dev/shm/luctl-view-empty", at("file"), NULL, MS_BIND, NULL) == 0);
	must(mount("proc", "/proc", "proc", MS_NOSUID, "hidepid=2") == 0);
	must(mount("/proc/sys", "/proc/sys", NULL, MS_BIND, NULL) == 0);
	must(mount(NULL, "/proc/sys", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0);
	must(mount("/dev/shm/luctl-view-empty", "/proc/version", NULL, MS_BIND, NULL) == 0);
}

/* A process that waits in a namespace of its own. */
static pid_t start(void (*inside)(void), const struct lu_view *v, struct lu_error *e)
{
	int up[2];
	char c = 0;
	pid_t pid;

	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		if (v ? lu_view_make(v, e) < 0 : unshare(CLONE_NEWNS) < 0) {
			if (v)
				fprintf(stderr, "%s\n", e->what ?: "?");
			_exit(77);
		}
		if (inside)
			inside();
		if (write(up[1], "x", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(up[1]);
	if (read(up[0], &c, 1) != 1) {
		int status = 0;

		waitpid(pid, &status, 0);
		expect(WIFEXITED(status) && WEXITSTATUS(status) == 77, "status %d", status);
		pid = -1;
	}
	close(up[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void look(pid_t pid, struct lu_view *ret, struct lu_reasons *why)
{
	struct lu_view_from from = { .proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), .host = getpid() };
	_cleanup_free_ char *late = NULL;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	from.root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(lu_view_capture(&from, pid, ret, &late, why), 0);
	assert_null(late);
	close(from.root);
	close(from.proc_fd);
}

static void same_inside(pid_t pid)
{
	struct stat st;
	char path[128];

	snprintf(path, sizeof(path), "/proc/%d/root%s", (int)pid, dir);
	assert_int_equal(chdir(path), 0);
	assert_int_equal(stat("dev", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(lstat("dev/null", &st), 0);
	assert_int_equal(st.st_mode, S_IFCHR | 0606);
	assert_true(st.st_rdev == makedev(1, 3) && st.st_uid == 7 && st.st_gid == 8);
	assert_int_equal(lstat("dev/fd", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat("dev/sub", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(access("dev/place/mark", F_OK), 0);
	assert_int_equal(access("dst/mark", F_OK), 0);
	assert_int_equal(open("dst/new", O_WRONLY | O_CREAT, 0600), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(stat("file", &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(stat("../../../proc/version", &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(open("../../../proc/sys/kernel/hostname", O_WRONLY), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(chdir("/"), 0);
}

static void cmp_text(const struct lu_view *a, const struct lu_view *b)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *x = NULL, *y = NULL;

	expect(lu_json_encode_text(&lu_view_table, a, &x, &e) == 0, "%s", e.what);
	expect(lu_json_encode_text(&lu_view_table, b, &y, &e) == 0, "%s", e.what);
	assert_string_equal(x, y);
}

static void test_made_again(void **state)
{
	_cleanup_(lu_view_clear) struct lu_view v = { 0 }, again = { 0 };
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	pid_t one, two;

	one = start(sandbox, NULL, &e);
	if (one < 0)
		skip();
	look(one, &v, &why);
	expect(!lu_reasons_any(&why), "%s", why.list[0].what);
	same_inside(one);
	end(one);
	two = start(NULL, &v, &e);
	assert_true(two > 0);
	same_inside(two);
	/* and a second capture of it says the same, but where the node stands now */
	look(two, &again, &why);
	end(two);
	for (size_t i = 0; i < why.n; i++)
		print_message("%s\n", why.list[i].what);
	assert_false(lu_reasons_any(&why));
	cmp_text(&v, &again);
	/* a source that is gone is named */
	assert_int_equal(rename(at("src"), at("gone")), 0);
	assert_int_equal(start(NULL, &v, &e), -1);
	assert_int_equal(rename(at("gone"), at("src")), 0);
}

static void with_contents(void)
{
	sandbox();
	must(lu_write_file(AT_FDCWD, at("dev/full"), "x", 1, 0600) == 0);
	must(mknod(at("dev/odd"), S_IFBLK | 0600, makedev(7, 123)) == 0);
	must(mount("/dev/shm/luctl-view-full", at("file"), NULL, MS_BIND, NULL) == 0);
	/* a directory of a file system that nobody shows as a whole */
	must(mount("x", at("dst"), "tmpfs", 0, NULL) == 0);
	must(mkdir(at("dst/a"), 0755) == 0);
	must(mount(at("dst/a"), at("src"), NULL, MS_BIND, NULL) == 0);
	must(umount2(at("dst"), MNT_DETACH) == 0);
}

static void test_contents(void **state)
{
	_cleanup_(lu_view_clear) struct lu_view v = { 0 };
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	pid_t pid = start(with_contents, NULL, &e);

	if (pid < 0)
		skip();
	look(pid, &v, &why);
	end(pid);
	expect(why.n == 4, "%zu", why.n);
	for (size_t i = 0; i < why.n; i++)
		expect(strstr(why.list[i].what, "dev/full") || strstr(why.list[i].what, "dev/odd (7:123)") ||
			       strstr(why.list[i].what, "a part of a tmpfs at") ||
			       strstr(why.list[i].what, "file at /var"),
		       "%s", why.list[i].what);
}

/* Paths as they are for a process with another root: no link and no ".." leads out of it. */
static void test_in_root(void **state)
{
	static const struct {
		const char *path;
		int flags, r;
	} cases[] = {
		{ "/in/a/file", O_PATH, 0 },          { "in/./a//../a/file", O_PATH, 0 },
		{ "/../../in/a/file", O_PATH, 0 },    { "/absolute/file", O_PATH, 0 },
		{ "/in/relative/file", O_PATH, 0 },   { "/in/up/file", O_PATH, 0 },
		{ "/in/to-file", O_PATH, 0 },         { "/in/a/missing", O_PATH, -ENOENT },
		{ "/in/a/file/x", O_PATH, -ENOTDIR }, { "/loop", O_PATH, -ELOOP },
		{ "/etc/passwd", O_PATH, -ENOENT },   { "/outside", O_PATH, -ENOENT },
		{ "/", O_RDONLY | O_DIRECTORY, 0 },   { "/in/to-file", O_PATH | O_NOFOLLOW, 1 },
		{ "/loop", O_PATH | O_NOFOLLOW, 1 },
	};
	struct stat want, st;
	int root;

	assert_int_equal(mkdir(at("root"), 0755), 0);
	assert_int_equal(mkdir(at("root/in"), 0755), 0);
	assert_int_equal(mkdir(at("root/in/a"), 0755), 0);
	assert_int_equal(lu_write_file(AT_FDCWD, at("root/in/a/file"), "", 0, 0644), 0);
	assert_int_equal(symlink("/in/a", at("root/absolute")), 0);
	assert_int_equal(symlink("a", at("root/in/relative")), 0);
	assert_int_equal(symlink("../../../../../in/a", at("root/in/up")), 0);
	assert_int_equal(symlink("../absolute/./file", at("root/in/to-file")), 0);
	assert_int_equal(symlink("loop", at("root/loop")), 0);
	assert_int_equal(symlink("/etc/passwd", at("root/outside")), 0);
	assert_int_equal(stat(at("root/in/a/file"), &want), 0);
	root = open(at("root"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = lu_open_in(root, cases[i].path, cases[i].flags);

		expect(cases[i].r < 0 ? fd == cases[i].r : fd >= 0, "%s: %d", cases[i].path, fd);
		if (fd < 0)
			continue;
		assert_int_equal(fstat(fd, &st), 0);
		expect(S_ISLNK(st.st_mode) == (cases[i].r == 1), "%s", cases[i].path);
		expect(!S_ISREG(st.st_mode) || st.st_ino == want.st_ino, "%s", cases[i].path);
		close(fd);
	}
	close(root);
}

/* As under RestrictSUIDSGID= of luctld's unit. */
static void test_without_openat2(void **state)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { .len = ARRAY_SIZE(code), .filter = code };
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct stat st;
		int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
			_exit(77);
		_exit(lu_stat_in(root, "/proc/self/status", &st) < 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

static int setup(void **state)
{
	if (!mkdtemp(dir) || mkdir(at("dev"), 0755) < 0 || mkdir(at("src"), 0755) < 0 || mkdir(at("dst"), 0755) < 0)
		return -1;
	umask(0);
	if (lu_write_file(AT_FDCWD, at("src/mark"), "", 0, 0644) < 0 ||
	    lu_write_file(AT_FDCWD, at("file"), "", 0, 0644) < 0 ||
	    lu_write_file(AT_FDCWD, "/dev/shm/luctl-view-empty", "", 0, 0640) < 0 ||
	    lu_write_file(AT_FDCWD, "/dev/shm/luctl-view-full", "x", 1, 0640) < 0)
		return -1;
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	unlink("/dev/shm/luctl-view-empty");
	unlink("/dev/shm/luctl-view-full");
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unit),
		cmocka_unit_test(test_libvirt),
		cmocka_unit_test(test_proc),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_in_root),
		cmocka_unit_test(test_without_openat2),
		cmocka_unit_test(test_made_again),
		cmocka_unit_test(test_contents),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
