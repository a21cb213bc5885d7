// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Views, the part that makes one, in a process that executes QEMU next, before the host has services.
 *
 *	unshare → nothing goes back to the host → take hold of every source → take away what is absent
 *	→ mount in the order of paths, with what a fresh file system holds → flags → is it as recorded?
 *
 * Sources are held before anything is mounted over them. Targets are opened without following a link: mountinfo names
 * none. The last step compares the namespace with the record, so what was forgotten here is a failed restore and not a
 * QEMU that sees more than before.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "view.h"

#ifndef MOUNT_ATTR_NOSYMFOLLOW /* glibc 2.36 */
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif
#define SCRATCH "/run" /* covered for a moment: nodes are made there to be bound */

static const struct {
	const char *name;
	uint64_t attr;
} flags[] = {
	{ "ro", MOUNT_ATTR_RDONLY },         { "nosuid", MOUNT_ATTR_NOSUID },
	{ "nodev", MOUNT_ATTR_NODEV },       { "noexec", MOUNT_ATTR_NOEXEC },
	{ "noatime", MOUNT_ATTR_NOATIME },   { "nodiratime", MOUNT_ATTR_NODIRATIME },
	{ "relatime", MOUNT_ATTR_RELATIME }, { "nosymfollow", MOUNT_ATTR_NOSYMFOLLOW },
};

static int open_target(const char *path)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* Is it where something is mounted? */
static bool is_mount(int fd)
{
	struct statx stx;

	return statx(fd, "", AT_EMPTY_PATH, 0, &stx) == 0 && (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int set_flags(const struct lu_view_mount *m, int fd)
{
	struct mount_attr a = { .attr_clr = MOUNT_ATTR__ATIME | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
					    MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODIRATIME |
					    MOUNT_ATTR_NOSYMFOLLOW };
	bool atime = false;

	for (char **p = m->flags; p && *p; p++) {
		for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
			if (!strcmp(*p, flags[i].name))
				a.attr_set |= flags[i].attr;
		atime |= !strcmp(*p, "relatime") || !strcmp(*p, "noatime");
	}
	if (!atime)
		a.attr_set |= MOUNT_ATTR_STRICTATIME;
	return mount_setattr(fd, "", AT_EMPTY_PATH, &a, sizeof(a)) < 0 ? -errno : 0;
}

/* --- a fresh file system --- */

static int make_node(const struct lu_view_entry *n, const char *dev)
{
	mode_t type = n->mode & S_IFMT;
	struct stat st = { .st_rdev = makedev(n->major, n->minor) };
	char path[4200];

	if (n->device) {
		/* the host's services may not have made it: then it is not there for QEMU, either */
		if (snprintf(path, sizeof(path), "%s/%s", dev, n->device) >= (int)sizeof(path))
			return -ENAMETOOLONG;
		if (stat(path, &st) < 0 || (st.st_mode & S_IFMT) != type)
			return 0;
	}
	if (S_ISDIR(type))
		return mkdir(n->path, 0700) < 0 ? -errno : 1;
	if (S_ISLNK(type))
		return symlink(n->target ?: "", n->path) < 0 ? -errno : 1;
	return mknod(n->path, type | 0600, S_ISREG(type) ? 0 : st.st_rdev) < 0 ? -errno : 1;
}

static int make_entry(const struct lu_view_entry *n, const char *dev)
{
	int r = make_node(n, dev);

	if (r <= 0)
		return r;
	if (lchown(n->path, (uid_t)n->uid, (gid_t)n->gid) < 0 ||
	    (!S_ISLNK(n->mode) && chmod(n->path, (mode_t)n->mode & 07777) < 0))
		return -errno;
	/* without the LSM that it is of nobody asks for it */
	if (n->label && lsetxattr(n->path, "security.selinux", n->label, strlen(n->label) + 1, 0) < 0 &&
	    errno != EOPNOTSUPP && errno != EINVAL)
		return -errno;
	return 0;
}

static int make_fresh(const struct lu_view *v, const struct lu_view_mount *m, int target, const char *dev,
		      struct lu_error *e)
{
	char self[48];
	int r;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", target);
	if (mount(m->type, self, m->type, 0, m->options) < 0)
		return -errno;
	if (!strcmp(m->type, "tmpfs") || !strcmp(m->type, "ramfs"))
		if (chown(m->path, (uid_t)m->uid, (gid_t)m->gid) < 0 || chmod(m->path, (mode_t)m->mode & 07777) < 0)
			return -errno;
	for (size_t i = 0; i < v->n_entries; i++) {
		const char *path = v->entries[i].path;
		_cleanup_free_ char *up = strndup(path, (size_t)(strrchr(path, '/') - path));

		if (!up)
			return -ENOMEM;
		/* a place for another mount is in the file system that it lies on */
		r = lu_view_mount_of(v, *up ? up : "/") == m ? make_entry(&v->entries[i], dev) : 0;
		if (r < 0)
			return lu_error_set(e, r, NULL, "%s: %s", path, strerror(-r));
	}
	return 0;
}

/* --- sources --- */

static int hold_nodes(const struct lu_view *v, int *trees, struct lu_error *e)
{
	char path[48];
	int r = 0;

	if (mount("tmpfs", SCRATCH, "tmpfs", 0, "mode=0700") < 0)
		return lu_error_set(e, -errno, NULL, "a place for nodes: %s", strerror(errno));
	for (size_t i = 0; r >= 0 && i < v->n_mounts; i++) {
		const struct lu_view_mount *m = &v->mounts[i];

		if (m->kind != LU_VIEW_NODE)
			continue;
		snprintf(path, sizeof(path), SCRATCH "/%zu", i);
		if (mknod(path, (mode_t)m->mode, makedev(m->major, m->minor)) < 0 ||
		    lchown(path, (uid_t)m->uid, (gid_t)m->gid) < 0 || chmod(path, (mode_t)m->mode & 07777) < 0)
			r = -errno;
		if (r >= 0) {
			trees[i] = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
			r = trees[i] < 0 ? -errno : 0;
		}
		if (r < 0)
			lu_error_set(e, r, NULL, "a node for %s: %s", m->path, strerror(-r));
	}
	if (umount2(SCRATCH, MNT_DETACH) < 0 && r >= 0)
		r = lu_error_set(e, -errno, NULL, SCRATCH ": %s", strerror(errno));
	return r;
}

static int hold_sources(const struct lu_view *v, int *trees, struct lu_error *e)
{
	bool nodes = false;

	for (size_t i = 0; i < v->n_mounts; i++) {
		const struct lu_view_mount *m = &v->mounts[i];
		_cleanup_close_ int fd = -EBADF;

		nodes |= m->kind == LU_VIEW_NODE;
		if (m->kind != LU_VIEW_BIND || !m->source)
			continue;
		fd = open_target(m->source);
		if (fd >= 0)
			trees[i] = open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (trees[i] < 0 && !m->optional)
			return lu_error_set(e, fd < 0 ? fd : -errno, NULL, "%s, which it has at %s: %s", m->source,
					    m->path, strerror(fd < 0 ? -fd : errno));
	}
	return nodes ? hold_nodes(v, trees, e) : 0;
}

/* --- all of it --- */

/* Without a place to put it: 0. */
static int put(const struct lu_view *v, size_t i, int *trees, const char *dev, struct lu_error *e)
{
	const struct lu_view_mount *m = &v->mounts[i];
	_cleanup_close_ int target = -EBADF;
	int r;

	if (m->kind == LU_VIEW_SAME || (trees && trees[i] < 0 && (m->source || m->kind == LU_VIEW_NODE)))
		return 0;
	if (m->kind == LU_VIEW_ABSENT) {
		target = open_target(m->path);
		if (target >= 0 && is_mount(target) && umount2(m->path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return lu_error_set(e, -errno, NULL, "%s: %s", m->path, strerror(errno));
		return 0;
	}
	target = open_target(m->path);
	if (target < 0)
		return m->optional ? 0 : lu_error_set(e, target, NULL, "%s: %s", m->path, strerror(-target));
	if (m->kind == LU_VIEW_BIND && !m->source) {
		trees[i] = open_tree(target, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (trees[i] < 0)
			return lu_error_set(e, -errno, NULL, "%s: %s", m->path, strerror(errno));
	}
	if (m->kind == LU_VIEW_FRESH)
		r = make_fresh(v, m, target, dev, e);
	else
		r = move_mount(trees[i], "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0 ?
			    -errno :
			    0;
	return r < 0 ? lu_error_set(e, r, NULL, "%s: %s", m->path, strerror(-r)) : 0;
}

static int set_all_flags(const struct lu_view *v, struct lu_error *e)
{
	for (size_t i = 0; i < v->n_mounts; i++) {
		const struct lu_view_mount *m = &v->mounts[i];
		_cleanup_close_ int fd = -EBADF;
		int r;

		if (m->kind == LU_VIEW_ABSENT)
			continue;
		fd = open_target(m->path);
		/* it comes later, or not at all: the comparison knows */
		if (fd < 0 || !is_mount(fd))
			continue;
		r = set_flags(m, fd);
		if (r < 0)
			return lu_error_set(e, r, NULL, "flags of %s: %s", m->path, strerror(-r));
	}
	return 0;
}

static int compare(const struct lu_view *v, bool complete, struct lu_error *e)
{
	_cleanup_free_ char *own = NULL;
	int r = lu_read_file(AT_FDCWD, "/proc/self/mountinfo", 4U << 20, &own, NULL);

	return r < 0 ? lu_error_set(e, r, NULL, "mountinfo: %s", strerror(-r)) : lu_view_check(v, own, complete, e);
}

int lu_view_make(const struct lu_view *v, struct lu_error *e)
{
	_cleanup_free_ int *trees = calloc(v->n_mounts ?: 1, sizeof(*trees));
	_cleanup_close_ int dev = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char host_dev[48];
	int r;

	if (!trees)
		return -ENOMEM;
	for (size_t i = 0; i < v->n_mounts; i++)
		trees[i] = -EBADF;
	snprintf(host_dev, sizeof(host_dev), "/proc/self/fd/%d", dev);
	if (unshare(CLONE_NEWNS) < 0)
		return lu_error_set(e, -errno, NULL, "a mount namespace: %s", strerror(errno));
	if (mount(NULL, "/", NULL, MS_REC | (v->follows ? MS_SLAVE : MS_PRIVATE), NULL) < 0)
		return lu_error_set(e, -errno, NULL, "a mount namespace of its own: %s", strerror(errno));
	r = hold_sources(v, trees, e);
	for (size_t i = 0; r >= 0 && i < v->n_mounts; i++)
		r = put(v, i, trees, host_dev, e);
	for (size_t i = 0; i < v->n_mounts; i++)
		closep(&trees[i]);
	if (r >= 0)
		r = set_all_flags(v, e);
	return r < 0 ? r : compare(v, false, e);
}

int lu_view_complete(const struct lu_view *v, struct lu_error *e)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < v->n_mounts; i++)
		if (v->mounts[i].kind == LU_VIEW_ABSENT)
			r = put(v, i, NULL, NULL, e);
	if (r >= 0)
		r = set_all_flags(v, e);
	return r < 0 ? r : compare(v, true, e);
}
