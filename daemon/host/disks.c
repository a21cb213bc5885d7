// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU flushes its disks when it stops the guest, but not with cache=unsafe, and freezing file
 * systems (filesystems.c) reaches neither raw devices nor what has no block device below it.
 * A write that is still in the page cache at reboot(KEXEC) is lost: nothing syncs there.
 *
 * The disks are found by what QEMU has open, not by its command line, which does not know what
 * was plugged or pivoted to since. A block device is opened anew and synced: the new descriptor
 * also tells of a failed write that nobody has been told of, and QEMU's own still does, too. For
 * a file, QEMU's own descriptor is borrowed (pidfd_getfd), since root may be nobody at an NFS
 * server, and its whole file system is synced: fsync would take the error from QEMU.
 *
 * Not handled: disks that QEMU reaches over a socket of its own (nbd, rbd, iscsi), whose cache is
 * not this kernel's, and those of helper processes (vhost-user).
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disks.h"
#include "util.h"

/* What was synced already: block devices, or the devices of file systems. */
struct seen {
	dev_t *devs;
	size_t n;
};

struct flush {
	struct seen blocks, filesystems;
};

static void flush_clear(struct flush *f)
{
	free(f->blocks.devs);
	free(f->filesystems.devs);
}

/* Return: 1 if @dev is new, 0 if it was there, -ENOMEM */
static int seen_add(struct seen *s, dev_t dev)
{
	dev_t *devs;

	for (size_t i = 0; i < s->n; i++)
		if (s->devs[i] == dev)
			return 0;
	devs = reallocarray(s->devs, s->n + 1, sizeof(*devs));
	if (!devs)
		return -ENOMEM;
	s->devs = devs;
	s->devs[s->n++] = dev;
	return 1;
}

static int failed(const struct lu_disk_owner *o, const char *link, int r, struct lu_error *error)
{
	char path[512] = "";

	if (readlink(link, path, sizeof(path) - 1) < 0)
		snprintf(path, sizeof(path), "%s", link);
	return lu_error_set(error, r, "look for errors of the disk in the kernel's log, and whether its server answers",
			    "VM %s: %s can't be written out: %s", o->name, path, strerror(-r));
}

/* May a write through this descriptor be under way? /proc/PID/fdinfo says how it was opened. */
static bool is_writable(const struct lu_disk_owner *o, int fd)
{
	char path[64], line[128];
	unsigned int flags = O_RDWR;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", o->pid, fd);
	f = fopen(path, "re");
	if (!f)
		return true;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "flags: %o", &flags) == 1)
			break;
	fclose(f);
	return !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY;
}

static int flush_one(const struct lu_disk_owner *o, int pidfd, int fd, struct flush *f, struct lu_error *error)
{
	_cleanup_close_ int disk = -EBADF;
	char link[64];
	struct stat st;
	bool block;
	int r;

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", o->pid, fd);
	if (stat(link, &st) < 0)
		return errno == ENOENT ? 0 : failed(o, link, -errno, error);
	block = S_ISBLK(st.st_mode);
	if ((!block && !S_ISREG(st.st_mode)) || !is_writable(o, fd))
		return 0;
	r = block ? seen_add(&f->blocks, st.st_rdev) : seen_add(&f->filesystems, st.st_dev);
	if (r <= 0)
		return r;
	disk = block ? open(link, O_RDONLY | O_CLOEXEC) : pidfd_getfd(pidfd, fd, 0);
	if (disk < 0)
		return errno == EBADF ? 0 : failed(o, link, -errno, error);
	if ((block ? fsync(disk) : syncfs(disk)) < 0)
		return failed(o, link, -errno, error);
	return 0;
}

static int flush_owner(const struct lu_disk_owner *o, struct flush *f, struct lu_error *error)
{
	_cleanup_close_ int pidfd = pidfd_open(o->pid, 0);
	char path[64];
	struct dirent *de;
	int r = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", o->pid);
	dir = pidfd < 0 ? NULL : opendir(path);
	if (!dir)
		return lu_error_set(error, errno == ENOENT ? -ESRCH : -errno, "look into QEMU's log for why it ended",
				    "VM %s: QEMU's files (%s) can't be looked at: %s", o->name, path, strerror(errno));
	while (r == 0 && (de = readdir(dir)))
		if (de->d_name[0] != '.')
			r = flush_one(o, pidfd, atoi(de->d_name), f, error);
	closedir(dir);
	return r;
}

int lu_disks_flush(const struct lu_disk_owner *owners, size_t n, struct lu_error *error)
{
	_cleanup_(flush_clear) struct flush f = { 0 };
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = flush_owner(&owners[i], &f, error);
	return r;
}
