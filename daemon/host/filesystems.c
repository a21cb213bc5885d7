// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * FIFREEZE rather than a read-only remount: guests' disk images are still open
 * for writing (their QEMUs live until the jump), which makes a remount fail with
 * EBUSY, while a freeze flushes the journal, marks the super block clean
 * (fs/ext4/super.c: ext4_freeze() clears needs_recovery) and can be taken back.
 *
 * Order: the deepest mount first, so that an image on a loop device is clean
 * before the file system that holds the image is frozen. Thawing goes the other way:
 * it writes to the device, which for such an image waits until the file system
 * that holds it is thawed. One entry per device: bind mounts of the same
 * super block are skipped by st_dev.
 *
 * EBUSY from FIFREEZE means that it is frozen already, EINVAL from FITHAW that
 * it is not: both are fine here, since recovery may repeat either.
 *
 * Not handled: network file systems (nothing of theirs is dirty on this host
 * after sync), file systems in other mount namespaces.
 */
#include <linux/fs.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "filesystems.h"
#include <linux/pkernfs.h>

struct mount_list {
	char **dirs;
	dev_t *devs;
	size_t n;
};

static void mount_list_clear(struct mount_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->dirs[i]);
	free(l->dirs);
	free(l->devs);
}

static int mount_list_add(struct mount_list *l, const char *dir, dev_t dev)
{
	char **dirs;
	dev_t *devs;

	for (size_t i = 0; i < l->n; i++)
		if (l->devs[i] == dev)
			return 0;
	dirs = reallocarray(l->dirs, l->n + 1, sizeof(*dirs));
	if (!dirs)
		return -ENOMEM;
	l->dirs = dirs;
	devs = reallocarray(l->devs, l->n + 1, sizeof(*devs));
	if (!devs)
		return -ENOMEM;
	l->devs = devs;
	l->dirs[l->n] = strdup(dir);
	if (!l->dirs[l->n])
		return -ENOMEM;
	l->devs[l->n++] = dev;
	return 0;
}

/* Writable mounts whose source is a block device, in the order of mounting. */
static int mount_list_read(struct mount_list *l, struct lu_error *error)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	int r = 0;

	if (!f)
		return lu_error_set(error, -errno, NULL, "/proc/self/mounts: %s", strerror(errno));
	while (r == 0 && (m = getmntent(f))) {
		struct stat st, dev;

		if (m->mnt_fsname[0] != '/' || hasmntopt(m, "ro") || stat(m->mnt_dir, &st) < 0)
			continue;
		/* /dev/root has no node; btrfs has an anonymous st_dev but names its device */
		if (stat(m->mnt_fsname, &dev) < 0 ? major(st.st_dev) == 0 : !S_ISBLK(dev.st_mode))
			continue;
		r = mount_list_add(l, m->mnt_dir, st.st_dev);
	}
	endmntent(f);
	return r;
}

/* @thaw: in the order of mounting, and what fails does not keep the rest from its turn */
static int for_each_mount(int (*fn)(int fd, const char *dir, struct lu_error *error), bool thaw, struct lu_error *error)
{
	_cleanup_(mount_list_clear) struct mount_list l = { 0 };
	int r, ret;

	ret = mount_list_read(&l, error);
	for (size_t n = 0; n < l.n && (ret == 0 || thaw); n++) {
		const char *dir = l.dirs[thaw ? n : l.n - 1 - n];
		_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			r = lu_error_set(error, -errno, NULL, "%s: %s", dir, strerror(errno));
		else
			r = fn(fd, dir, error);
		if (ret == 0)
			ret = r;
	}
	return ret;
}

static int sync_one(int fd, const char *dir, struct lu_error *error)
{
	if (syncfs(fd) < 0)
		return lu_error_set(error, -errno, "look for errors of the disk in the kernel's log", "%s: syncfs: %s",
				    dir, strerror(errno));
	return 0;
}

static int freeze_one(int fd, const char *dir, struct lu_error *error)
{
	int r = sync_one(fd, dir, error);

	if (r < 0)
		return r;
	if (ioctl(fd, FIFREEZE, 0) < 0 && errno != EBUSY && errno != EOPNOTSUPP)
		return lu_error_set(error, -errno, "look for errors of the disk in the kernel's log",
				    "%s: can't be frozen: %s", dir, strerror(errno));
	return 0;
}

static int thaw_one(int fd, const char *dir, struct lu_error *error)
{
	if (ioctl(fd, FITHAW, 0) < 0 && errno != EINVAL && errno != EOPNOTSUPP)
		return lu_error_set(error, -errno, "thaw it with fsfreeze --unfreeze", "%s: can't be thawed: %s", dir,
				    strerror(errno));
	return 0;
}

int lu_filesystems_sync(struct lu_error *error)
{
	return for_each_mount(sync_one, false, error);
}

int lu_filesystems_freeze(struct lu_error *error)
{
	return for_each_mount(freeze_one, false, error);
}

int lu_filesystems_thaw(struct lu_error *error)
{
	return for_each_mount(thaw_one, true, error);
}

bool lu_pkernfs_mounted(const char *path, uint64_t *ret_size, uint64_t *ret_free)
{
	struct statfs st;

	if (statfs(path, &st) < 0 || (uint64_t)st.f_type != PKERNFS_SUPER_MAGIC)
		return false;
	if (ret_size)
		*ret_size = st.f_blocks * (uint64_t)st.f_bsize;
	if (ret_free)
		*ret_free = st.f_bavail * (uint64_t)st.f_bsize;
	return true;
}
