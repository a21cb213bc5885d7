// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a QEMU has open, and what its words name, as the needs of its successor.
 *
 * Two sources, since neither is enough: /proc/PID/fd knows disks and devices by the
 * file that they are, whatever spelling was used; argv knows what was read at the
 * start and closed (kernel, initrd, firmware). A word is looked at piece by piece
 * (between commas and equal signs) and counts if it is the absolute path of
 * something that exists.
 *
 * Verdicts, by the file system that the file is on:
 *	pkernfs		survives, nothing to do
 *	tmpfs, ramfs	its contents are gone after kexec: refused if QEMU reads it
 *			(files that it only writes, and its pid file, are made anew)
 *	the root's	there when lu-init runs
 *	/dev		a node of devtmpfs: waited for and given its owner; those of VFIO are daemon/devices' business. Nodes that udev
 *			or a service makes (symlinks, device mapper, md, loop, nbd, rbd): late
 *	any other	mounted later, so the VM is late
 * A deleted file that is open (snapshot=on, an upgraded image) is refused: its
 * contents have no name by which the next QEMU could find them.
 *
 * Its working directory is entered before the exec, so it must be there like a file.
 *
 * Unix sockets that it listens at: their directory in /run is made again.
 *
 * A second name for the same thing only adds a need. What is missed here is found
 * after the jump, by QEMU, and ends as a VM that is kept for `luctl restore`.
 */
#include <dirent.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "argv.h"
#include "capture.h"
#include "clock.h"
#include "inherited.h"
#include "store.h"
#include "unix_sockets.h"

#define PRELOAD_MAX 1024u
#define NSEC_PER_SEC 1000000000ull

struct scan {
	const struct lu_capture_from *from;
	pid_t pid;
	int root; /* its root directory: paths are what they are for it */
	struct lu_launch *l;
	struct lu_reasons *why;
	char *pidfile;
	struct lu_unix_sockets sockets;
	char **open; /* paths of regular files that are open */
	size_t n_open;
	dev_t root_dev;
	uint64_t started_ns; /* CLOCK_REALTIME; 0: not known */
};

static void scan_done(struct scan *s)
{
	free(s->pidfile);
	lu_unix_sockets_clear(&s->sockets);
	lu_argv_free(s->open);
}

static bool below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (path[n] == '/' || path[n] == '\0');
}

static bool is_volatile(struct scan *s, const char *path)
{
	_cleanup_close_ int fd = lu_open_in(s->root, path, O_PATH);
	struct statfs fs;

	return fd >= 0 && fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/* The path itself may be a link. */
static int link_stat(struct scan *s, const char *path, struct stat *ret)
{
	_cleanup_close_ int fd = lu_open_in(s->root, path, O_PATH | O_NOFOLLOW);

	return fd < 0 || fstat(fd, ret) < 0 ? -1 : 0;
}

/*
 * A need in the host's terms. What is in a file system that is the VM's own is made with that, so long as it is not a file
 * with contents: of which the record of the view has said so.
 */
static int add_need(struct scan *s, const char *path, enum lu_need_kind kind, bool write, const struct stat *st)
{
	_cleanup_free_ char *host = NULL;
	struct stat node;

	if (!s->l->view)
		return lu_launch_add_need(s->l, path, kind, write, st->st_uid, st->st_gid, st->st_mode & 07777);
	host = lu_view_host_path(s->l->view, path);
	if (host)
		return lu_launch_add_need(s->l, host, kind, write, st->st_uid, st->st_gid, st->st_mode & 07777);
	if (errno)
		return -errno;
	/* a node of a private /dev is made like the host's, which has an owner of its own */
	if ((kind == LU_NEED_BLOCK || kind == LU_NEED_CHAR) && stat(path, &node) == 0 && node.st_rdev == st->st_rdev)
		return lu_launch_add_need(s->l, path, kind, write, node.st_uid, node.st_gid, node.st_mode & 07777);
	if (kind == LU_NEED_FILE)
		lu_reasons_add(s->why, NULL, "move it to a directory that is not private to its unit",
			       "it uses %s in its unit's private part of the file system, which does not survive",
			       path);
	return 0;
}

static int set_late(struct lu_launch *l, const char *path, const char *why)
{
	if (l->late)
		return 0;
	if (asprintf(&l->late, "%s %s", path, why) < 0) {
		l->late = NULL;
		return -ENOMEM;
	}
	return 0;
}

static bool is_private(const struct lu_view *v, const char *path)
{
	const struct lu_view_mount *m = lu_view_mount_of(v, path);

	return m && m->kind == LU_VIEW_FRESH;
}

static bool is_made(const struct lu_view *v, const char *path)
{
	for (size_t i = 0; i < v->n_entries; i++)
		if (!strcmp(v->entries[i].path, path))
			return true;
	return !strcmp(lu_view_mount_of(v, path)->path, path);
}

/* Directories of sockets and pid files: only those that vanish with the kernel have to be made. */
static int need_directory_of(struct scan *s, const char *path)
{
	_cleanup_free_ char *dir = strdup(path);
	struct stat st;
	char *slash;

	if (!dir)
		return -ENOMEM;
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	if (lu_stat_in(s->root, dir, &st) < 0 || !is_volatile(s, dir))
		return 0;
	if (s->l->view && is_private(s->l->view, dir)) {
		if (!is_made(s->l->view, dir))
			lu_reasons_add(
				s->why, NULL, "have it in a directory of /run",
				"it has %s in its unit's private part of the file system, which does not survive",
				path);
		return 0;
	}
	if (!below(dir, "/run") && !below(dir, "/var/run")) {
		int r = set_late(s->l, dir, "is made by the host's services");

		if (r < 0)
			return r;
	}
	return add_need(s, dir, LU_NEED_DIRECTORY, false, &st);
}

/* Of a socket on a disk: its name is made again, so the directory is written. */
static int need_place_of(struct scan *s, const char *path)
{
	_cleanup_free_ char *dir = strdup(path);
	struct stat st;
	char *slash;
	int r;

	if (!dir)
		return -ENOMEM;
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	if (lu_stat_in(s->root, dir, &st) < 0 || is_volatile(s, dir) ||
	    (s->from->pkernfs && below(dir, s->from->pkernfs)))
		return 0;
	r = add_need(s, dir, LU_NEED_DIRECTORY, true, &st);
	if (r < 0)
		return r;
	return st.st_dev == s->root_dev ? 0 : set_late(s->l, dir, "is on a file system that is mounted later");
}

static int need_regular(struct scan *s, const char *path, const struct stat *st, bool write)
{
	int r;

	if (s->from->pkernfs && below(path, s->from->pkernfs))
		return 0;
	r = add_need(s, path, LU_NEED_FILE, write, st);
	if (r < 0)
		return r;
	return st->st_dev == s->root_dev ? 0 : set_late(s->l, path, "is on a file system that is mounted later");
}

/* A directory in which files are made and replaced. */
static int need_state(struct scan *s, const char *path, const struct stat *st)
{
	int r;

	if (is_volatile(s, path)) {
		lu_reasons_add(s->why, NULL, "move it to a disk", "its state is in %s, in memory that does not survive",
			       path);
		return 0;
	}
	r = add_need(s, path, LU_NEED_DIRECTORY, true, st);
	if (r < 0)
		return r;
	return st->st_dev == s->root_dev ? 0 : set_late(s->l, path, "is on a file system that is mounted later");
}

/* Block devices that only exist once userspace has set them up. */
static bool is_made_later(const struct stat *st)
{
	static const char *const dirs[] = { "dm", "md", "loop", "bcache" };
	char path[80];

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(st->st_rdev), minor(st->st_rdev),
			 dirs[i]);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

static const char vfio[] = "/dev/vfio";

static int need_node(struct scan *s, const char *path, const struct stat *st, bool write)
{
	enum lu_need_kind kind = S_ISBLK(st->st_mode) ? LU_NEED_BLOCK : LU_NEED_CHAR;
	struct stat link;
	int r;

	/* their numbers are the kernel's affair; they are found by the address of the device */
	if (below(path, vfio))
		return 0;
	/* /dev/null and the like; terminals and ptys are made anew */
	if (kind == LU_NEED_CHAR && (major(st->st_rdev) == 1 || major(st->st_rdev) == 5 || below(path, "/dev/pts")))
		return 0;
	r = add_need(s, path, kind, write, st);
	if (r < 0)
		return r;
	if (!below(path, "/dev") || (link_stat(s, path, &link) == 0 && S_ISLNK(link.st_mode)) ||
	    (kind == LU_NEED_BLOCK &&
	     (is_made_later(st) || !strncmp(path, "/dev/nbd", 8) || !strncmp(path, "/dev/rbd", 8))))
		return set_late(s->l, path, "is made by the host's services");
	return 0;
}

static int open_add(struct scan *s, const char *path)
{
	char **p = reallocarray(s->open, s->n_open + 2, sizeof(*p));

	if (!p)
		return -ENOMEM;
	s->open = p;
	p[s->n_open + 1] = NULL;
	p[s->n_open] = strdup(path);
	if (!p[s->n_open])
		return -ENOMEM;
	s->n_open++;
	return 0;
}

static bool is_open(const struct scan *s, const char *path)
{
	for (size_t i = 0; i < s->n_open; i++)
		if (!strcmp(s->open[i], path))
			return true;
	return false;
}

static int open_flags(struct scan *s, const char *fd)
{
	_cleanup_free_ char *text = NULL;
	char path[NAME_MAX + 32];
	unsigned int flags;
	const char *p;

	snprintf(path, sizeof(path), "%d/fdinfo/%s", (int)s->pid, fd);
	if (lu_read_file(s->from->proc_fd, path, 1 << 20, &text, NULL) < 0)
		return O_RDWR;
	p = strstr(text, "flags:");
	return p && sscanf(p + 6, "%o", &flags) == 1 ? (int)flags : O_RDWR;
}

static int unix_socket(struct scan *s, const char *link)
{
	unsigned long inode;

	if (sscanf(link, "socket:[%lu]", &inode) != 1)
		return 0;
	for (size_t i = 0; i < s->sockets.n; i++)
		if (s->sockets.list[i].inode == inode)
			return need_directory_of(s, s->sockets.list[i].path) ?:
									       need_place_of(s, s->sockets.list[i].path);
	return 0;
}

/* What can be told from the name alone: files of the kernel that no successor can open again. */
static bool is_refused(struct scan *s, const char *link)
{
	static const char vdpa[] = "/dev/vhost-vdpa";

	if (below(link, vfio) && !below(link, "/dev/vfio/devices"))
		lu_reasons_add_kernel(
			s->why, NULL,
			"start it with -object iommufd,id=iommufd0, and iommufd=iommufd0 for each vfio-pci; luctl update --vmm can be done",
			"it has %s open, a legacy container or group of vfio, whose tables can't be handed over", link);
	else if (!strncmp(link, vdpa, strlen(vdpa)))
		lu_reasons_add(s->why, NULL, "unplug it, or exclude the VM",
			       "it has %s open, a vDPA device: what it does by itself can't be handed over", link);
	else if (!strncmp(link, "/dmabuf:", 8) || !strcmp(link, "anon_inode:dmabuf"))
		lu_reasons_add(s->why, NULL, "unplug what shares it (a virtio-gpu with blob=on, a device's registers)",
			       "it has a dma-buf open, memory of another device that can't be handed over");
	else
		return false;
	return true;
}

/*
 * A device that it was given open, by a process that saw another /dev, which is gone with it: passed-through devices come so
 * from the QEMU before, in whose unit /dev was a private one. Then the link is no path that leads anywhere. The kernel
 * tells what the node is called; it must be the same device where this QEMU looks. 1 with @link, 0: it is none.
 */
static int find_node(struct scan *s, const char *fd, char **link, struct stat *st)
{
	_cleanup_free_ char *text = NULL;
	char path[NAME_MAX + 32], *path_of_node, *name;
	struct stat named;

	snprintf(path, sizeof(path), "%d/fd/%s", (int)s->pid, fd);
	if (fstatat(s->from->proc_fd, path, st, 0) < 0 || (!S_ISCHR(st->st_mode) && !S_ISBLK(st->st_mode)))
		return 0;
	snprintf(path, sizeof(path), "/sys/dev/%s/%u:%u/uevent", S_ISBLK(st->st_mode) ? "block" : "char",
		 major(st->st_rdev), minor(st->st_rdev));
	if (lu_read_file(AT_FDCWD, path, 1 << 16, &text, NULL) < 0)
		return 0;
	name = strstr(text, "DEVNAME=");
	if (!name || (name > text && name[-1] != '\n'))
		return 0;
	name += strlen("DEVNAME=");
	if (asprintf(&path_of_node, "/dev/%.*s", (int)strcspn(name, "\n"), name) < 0)
		return -ENOMEM;
	if (lu_stat_in(s->root, path_of_node, &named) < 0 || named.st_rdev != st->st_rdev ||
	    (named.st_mode & S_IFMT) != (st->st_mode & S_IFMT)) {
		free(path_of_node);
		return 0;
	}
	*st = named;
	free(*link);
	*link = path_of_node;
	return 1;
}

/*
 * A node that whoever started it has opened for it, perhaps seeing another /dev (libvirt's guests have one with little in
 * it): it is opened again before its successor gets its view, so what counts is what the host shows. 1: it is one.
 */
static int inherited_node(struct scan *s, const char *fd, const char *link)
{
	const struct lu_launch_inherited *in = NULL;
	char path[NAME_MAX + 32];
	struct stat open, st;
	int r;

	for (size_t i = 0; i < s->l->n_inherited; i++)
		if (s->l->inherited[i].fd == strtoul(fd, NULL, 10))
			in = &s->l->inherited[i];
	if (!in || (in->kind != LU_INHERITED_TAP && in->kind != LU_INHERITED_DEVICE && in->kind != LU_INHERITED_CPR))
		return 0;
	snprintf(path, sizeof(path), "%d/fd/%s", (int)s->pid, fd);
	if (fstatat(s->from->proc_fd, path, &open, 0) < 0 || stat(link, &st) < 0 || !S_ISCHR(open.st_mode) ||
	    !S_ISCHR(st.st_mode) || open.st_rdev != st.st_rdev)
		return 0;
	if (below(link, vfio)) /* as in need_node() */
		return 1;
	r = lu_launch_add_need(s->l, link, LU_NEED_CHAR, true, st.st_uid, st.st_gid, st.st_mode & 07777);
	return r < 0 ? r : 1;
}

/*
 * A file that is only read, and whose name another one of its size has by now, as packages do it. What it is for is judged
 * elsewhere: firmware in flash is in the guest's state, and a disk must be the very file (daemon/blocks).
 */
static bool is_replaced(struct scan *s, const char *fd, const char *path)
{
	char name[NAME_MAX + 32];
	struct stat open, st;

	snprintf(name, sizeof(name), "%d/fd/%s", (int)s->pid, fd);
	return (open_flags(s, fd) & O_ACCMODE) == O_RDONLY && fstatat(s->from->proc_fd, name, &open, 0) == 0 &&
	       S_ISREG(open.st_mode) && lu_stat_in(s->root, path, &st) == 0 && S_ISREG(st.st_mode) &&
	       open.st_size == st.st_size;
}

static int one_fd(struct scan *s, const char *fd)
{
	static const char deleted[] = " (deleted)";
	_cleanup_free_ char *link = NULL;
	char what[NAME_MAX + 4];
	struct stat st;
	size_t n;
	bool gone;
	int r, mode;

	snprintf(what, sizeof(what), "fd/%s", fd);
	r = lu_proc_link(s->from->proc_fd, s->pid, what, &link);
	if (r < 0)
		return r == -ESRCH ? 0 : r; /* closed meanwhile */
	if (!strncmp(link, "socket:", 7))
		return unix_socket(s, link);
	if (is_refused(s, link))
		return 0;
	if (link[0] != '/' || !strncmp(link, "/memfd:", 7) || below(link, "/proc") || below(link, "/sys"))
		return 0;
	/* RAM files are judged by name elsewhere; a state file of an earlier attempt may be open still */
	if (s->from->pkernfs && below(link, s->from->pkernfs))
		return 0;
	n = strlen(link);
	gone = n > strlen(deleted) && !strcmp(link + n - strlen(deleted), deleted);
	/* shared anonymous memory; a memfd that came over an earlier jump, which has no name */
	if (gone && (!strncmp(link, "/dev/zero", 9) || !strcmp(link, "/ (deleted)")))
		return 0;
	if (gone)
		link[n - strlen(deleted)] = '\0';
	if (gone && !is_replaced(s, fd, link)) {
		lu_reasons_add(s->why, NULL,
			       "start the VM without snapshot=on; an image that was replaced must be closed first",
			       "it has a file open that has no name any more: %s", link);
		return 0;
	}
	r = inherited_node(s, fd, link);
	if (r != 0)
		return r < 0 ? r : 0;
	r = lu_stat_in(s->root, link, &st);
	if (r == -ENOENT) {
		r = find_node(s, fd, &link, &st);
		if (r == -ENOMEM)
			return r;
		r = r > 0 ? 0 : -ENOENT;
	}
	if (r < 0) {
		lu_reasons_add(s->why, NULL, NULL, "it has %s open: %s", link, strerror(-r));
		return 0;
	}
	mode = open_flags(s, fd) & O_ACCMODE;
	if (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode))
		return need_node(s, link, &st, mode != O_RDONLY);
	if (!S_ISREG(st.st_mode))
		return 0;
	r = open_add(s, link);
	if (r < 0)
		return r;
	if (!is_volatile(s, link))
		return need_regular(s, link, &st, mode != O_RDONLY);
	if (mode == O_WRONLY || (s->pidfile && !strcmp(link, s->pidfile)))
		return need_directory_of(s, link);
	lu_reasons_add(s->why, NULL, "move it to a disk", "it uses %s, which is in memory that does not survive", link);
	return 0;
}

static int check_cwd(struct scan *s)
{
	const char *cwd = s->l->cwd;
	struct stat here, named;
	char path[32];

	snprintf(path, sizeof(path), "%d/cwd", (int)s->pid);
	if (fstatat(s->from->proc_fd, path, &here, 0) < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	if (lu_stat_in(s->root, cwd, &named) < 0 || here.st_dev != named.st_dev || here.st_ino != named.st_ino) {
		lu_reasons_add(s->why, NULL, "start it in a directory that stays (WorkingDirectory= of its unit)",
			       "its working directory was removed: %s", cwd);
		return 0;
	}
	if (named.st_dev == s->root_dev || (s->from->pkernfs && below(cwd, s->from->pkernfs)))
		return 0;
	if (is_volatile(s, cwd)) {
		lu_reasons_add(s->why, NULL, "start it in a directory on a disk (WorkingDirectory= of its unit)",
			       "its working directory %s is in memory that does not survive", cwd);
		return 0;
	}
	return set_late(s->l, cwd, "is on a file system that is mounted later");
}

static int scan_fds(struct scan *s)
{
	char path[32];
	struct dirent *d;
	DIR *dir;
	int fd, r = 0;

	snprintf(path, sizeof(path), "%d/fd", (int)s->pid);
	fd = openat(s->from->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while (r >= 0 && (d = readdir(dir))) {
		/* 0, 1, 2 become /dev/null and the log */
		if (d->d_name[0] < '0' || d->d_name[0] > '9' || atoi(d->d_name) <= 2)
			continue;
		r = one_fd(s, d->d_name);
	}
	closedir(dir);
	return r;
}

/* The kernel counts from the boot on, files by the time of day. */
static void note_start(struct scan *s)
{
	uint64_t ticks, since_boot, now = lu_clock_ns(CLOCK_BOOTTIME), today = lu_clock_ns(CLOCK_REALTIME);
	long hz = sysconf(_SC_CLK_TCK);

	if (hz <= 0 || lu_proc_start_time(s->from->proc_fd, s->pid, &ticks) < 0)
		return;
	since_boot = ticks / (uint64_t)hz * NSEC_PER_SEC;
	if (since_boot <= now && now - since_boot < today)
		s->started_ns = today - (now - since_boot);
}

/*
 * What QEMU has read and closed. The guest has what was in it, and gets what is in it now at its next reset: but for
 * firmware and option ROMs of devices, which come with its state (daemon/vm/roms.c). When it was last changed, or put there
 * by a package, is told by its ctime.
 */
static void judge_age(const struct scan *s, const struct lu_arg *arg, const char *path, const struct stat *st)
{
	static const char *const read_once[] = { "kernel",     "initrd",    "dtb",    "shim",
						 "option-rom", "acpitable", "fw_cfg", "device" };
	_cleanup_free_ char *rom = NULL;
	uint64_t changed = (uint64_t)st->st_ctim.tv_sec * NSEC_PER_SEC + (uint64_t)st->st_ctim.tv_nsec;

	if (!s->from->losses || !s->started_ns || changed < s->started_ns + 2 * NSEC_PER_SEC)
		return;
	if (!strcmp(arg->name, "device") && lu_argv_property(arg->value, "romfile", &rom) > 0 && !strcmp(rom, path))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(read_once); i++)
		if (!strcmp(arg->name, read_once[i]))
			lu_reasons_add(
				s->from->losses, NULL,
				"put the old file back for the update, or shut it down and start it with the new one",
				"what its QEMU has read from %s (-%s), which has changed since: the guest gets what is "
				"in it now at its next reset",
				path, arg->name);
}

static int one_word(struct scan *s, const struct lu_arg *arg, const char *path)
{
	struct stat st, link;

	if (lu_stat_in(s->root, path, &st) < 0 || (s->from->pkernfs && below(path, s->from->pkernfs)) ||
	    is_open(s, path) || below(path, "/proc") || below(path, "/sys"))
		return 0;
	if (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode))
		return need_node(s, path, &st, false);
	if (!S_ISREG(st.st_mode) || (s->pidfile && !strcmp(path, s->pidfile)))
		return 0;
	/* a symlink to something that is open is a second name of it, but must resolve early as well */
	if (link_stat(s, path, &link) == 0 && S_ISLNK(link.st_mode) && link.st_dev != s->root_dev)
		return set_late(s->l, path, "is on a file system that is mounted later");
	if (is_volatile(s, path)) {
		lu_reasons_add(s->why, NULL, "move it to a disk",
			       "it was started from %s, which is in memory that does not survive", path);
		return 0;
	}
	judge_age(s, arg, path, &st);
	return need_regular(s, path, &st, false);
}

/* The paths in an argument. */
static int scan_value(struct scan *s, const struct lu_arg *arg)
{
	for (const char *p = arg->value; p && *p;) {
		size_t n = strcspn(p, ",=\"");
		_cleanup_free_ char *piece = strndup(p, n);
		const char *path;
		int r = 0;

		if (!piece)
			return -ENOMEM;
		path = strchr(piece, '/');
		/* "/x", "file:/x", "unix:/x" */
		if (path && (path == piece || path[-1] == ':'))
			r = one_word(s, arg, path);
		if (r < 0)
			return r;
		p += n + (p[n] != '\0');
	}
	return 0;
}

static int scan_words(struct scan *s)
{
	/* options whose argument is the guest's text or another program's, not our paths */
	static const char *const skip[] = { "append", "name", "uuid", "smbios", "pidfile", "D", "trace", "incoming" };
	struct lu_arg arg = { 0 };

	while (lu_argv_next(s->l->argv, &arg)) {
		bool skipped = !arg.value;
		int r;

		for (size_t i = 0; i < ARRAY_SIZE(skip); i++)
			skipped |= !strcmp(arg.name, skip[i]);
		r = skipped ? 0 : scan_value(s, &arg);
		if (r < 0)
			return r;
	}
	return 0;
}

static int note_pidfile(struct scan *s)
{
	struct lu_arg arg = { 0 };

	while (lu_argv_next(s->l->argv, &arg)) {
		if (strcmp(arg.name, "pidfile") != 0 || !arg.value)
			continue;
		free(s->pidfile);
		s->pidfile = realpath(arg.value, NULL);
		if (!s->pidfile && !(s->pidfile = strdup(arg.value)))
			return -ENOMEM;
	}
	return 0;
}

/*
 * Modules that QEMU's devices come from, if they are modules here. Nobody else loads them as early as lu-init needs them;
 * vfio_pci nobody loads at all, since a function that goes on is bound to it without asking for its module.
 */
static int note_modules(struct scan *s)
{
	static const char *const names[] = { "kvm_intel",   "kvm_amd",    "tun",     "vhost_net",
					     "vhost_vsock", "vhost_scsi", "vfio_pci" };
	size_t n = 0;

	s->l->modules = calloc(ARRAY_SIZE(names) + 1, sizeof(*s->l->modules));
	if (!s->l->modules)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[128];

		/* built-in ones have no initstate */
		snprintf(path, sizeof(path), "%.64s/module/%s/initstate", s->from->sys ?: "/sys", names[i]);
		if (access(path, F_OK) < 0)
			continue;
		s->l->modules[n] = strdup(names[i]);
		if (!s->l->modules[n++])
			return -ENOMEM;
	}
	return 0;
}

/*
 * Files that it has mapped, each once. /proc/PID/maps lists a file's mappings one after
 * the other, in whole lines; the path is the last column and may hold blanks.
 */
static int note_mapped(struct scan *s)
{
	_cleanup_free_ char *text = NULL;
	char what[32], *save = NULL;
	const char *last = "";
	size_t n = 0;
	int r;

	s->l->preload = calloc(PRELOAD_MAX + 1, sizeof(*s->l->preload));
	if (!s->l->preload)
		return -ENOMEM;
	snprintf(what, sizeof(what), "%d/maps", (int)s->pid);
	r = lu_read_file(s->from->proc_fd, what, 16U << 20, &text, NULL);
	if (r < 0) /* only a matter of speed: no reason to refuse a VM */
		return r == -ENOMEM ? r : 0;
	for (char *line = strtok_r(text, "\n", &save); line && n < PRELOAD_MAX; line = strtok_r(NULL, "\n", &save)) {
		const char *path = strchr(line, '/');
		struct stat st;

		if (!path || !strcmp(path, last) || stat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
		    st.st_dev != s->root_dev || lu_utf8_prefix(path, strlen(path)) != strlen(path))
			continue;
		last = path;
		s->l->preload[n] = strdup(path);
		if (!s->l->preload[n++])
			return -ENOMEM;
	}
	return 0;
}

static int scan_begin(struct scan *s)
{
	struct stat st;
	int r;

	if (stat("/", &st) < 0)
		return -errno;
	s->root_dev = st.st_dev;
	r = lu_unix_sockets_read(s->from->proc_fd, s->pid, &s->sockets);
	if (r < 0 && r != -ESRCH)
		return r;
	note_start(s);
	r = check_cwd(s);
	if (r >= 0)
		r = note_mapped(s);
	if (r >= 0 && lu_stat_in(s->root, s->l->exe, &st) == 0)
		r = need_regular(s, s->l->exe, &st, false);
	return r;
}

int lu_capture_files(const struct lu_capture_from *from, pid_t pid, int root, struct lu_launch *l,
		     struct lu_reasons *why)
{
	_cleanup_(scan_done) struct scan s = { .from = from, .pid = pid, .root = root, .l = l, .why = why };
	int r = scan_begin(&s);

	if (r >= 0)
		r = note_pidfile(&s);
	if (r >= 0)
		r = note_modules(&s);
	if (r >= 0)
		r = scan_fds(&s);
	if (r >= 0)
		r = scan_words(&s);
	return r;
}

int lu_capture_tpm_files(const struct lu_capture_from *from, pid_t pid, int root, struct lu_launch *l,
			 const char *state, const char *pidfile, struct lu_reasons *why)
{
	_cleanup_(scan_done) struct scan s = { .from = from, .pid = pid, .root = root, .l = l, .why = why };
	struct stat st;
	int r = scan_begin(&s);

	if (r >= 0 && pidfile && !(s.pidfile = strdup(pidfile)))
		return -ENOMEM;
	if (r >= 0 && pidfile)
		r = need_directory_of(&s, pidfile);
	if (r >= 0 && state && lu_stat_in(root, state, &st) == 0)
		r = need_state(&s, state, &st);
	if (r >= 0)
		r = scan_fds(&s);
	for (size_t i = 1; r >= 0 && l->argv[0] && l->argv[i]; i++)
		r = scan_value(&s, &(struct lu_arg){ .index = i, .name = "", .value = l->argv[i] });
	return r;
}
