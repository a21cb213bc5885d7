// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which disks does the root file system need, and which devices of QEMU have the same drivers? From the mount's
 * device downwards: what has slaves (device mapper, RAID) is made of them, a partition belongs to its disk. The driver
 * is the nearest one above the disk in /sys/devices that we know: of the disk itself or of its adapter.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "trial.h"

#define DEPTH_MAX 16

static const struct trial_model models[] = {
	{ "virtio_blk", "virtio-blk-pci", NULL, NULL },
	{ "nvme", "nvme", NULL, NULL },
	{ "ahci", "ide-hd", "ahci.", "ich9-ahci,id=ahci" },
	{ "virtio_scsi", "scsi-hd", "scsi.0", "virtio-scsi-pci,id=scsi" },
	{ "megaraid_sas", "scsi-hd", "scsi.0", "megasas-gen2,id=scsi" },
};

/* A path without its leading "/", below @rootfd */
static const char *below(int rootfd, const char *path)
{
	return rootfd == AT_FDCWD ? path : path + 1;
}

/* Major and minor of the last mount on "/" */
static int root_device(int rootfd, unsigned int *ret_major, unsigned int *ret_minor)
{
	_cleanup_free_ char *text = NULL;
	int r = lu_read_file(rootfd, below(rootfd, "/proc/self/mountinfo"), 1 << 20, &text, NULL), found = -ENOENT;

	if (r < 0)
		return r;
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned int major, minor;
		char where[8];

		/* ID PARENT MAJOR:MINOR ROOT WHERE …: proc_pid_mountinfo(5) */
		if (sscanf(line, "%*u %*u %u:%u %*s %7s", &major, &minor, where) == 3 && !strcmp(where, "/")) {
			*ret_major = major;
			*ret_minor = minor;
			found = 0;
		}
	}
	return found;
}

static int add_disk(struct trial_disks *d, const char *name, struct lu_error *e)
{
	for (size_t i = 0; i < d->n; i++)
		if (!strcmp(d->list[i].name, name))
			return 0;
	if (d->n == LU_TRIAL_DISKS_MAX || strlen(name) >= sizeof(d->list[0].name))
		return lu_error_set(e, -EOPNOTSUPP, NULL, "the root file system is on more than %d disks",
				    LU_TRIAL_DISKS_MAX);
	d->list[d->n].fd = -EBADF;
	strcpy(d->list[d->n++].name, name);
	return 0;
}

static int walk(int rootfd, const char *folder, unsigned int depth, struct trial_disks *d, struct lu_error *e)
{
	_cleanup_free_ char *slaves = NULL, *partition = NULL, *up = NULL;
	char real[PATH_MAX], self[64];
	struct dirent *entry;
	bool any = false;
	ssize_t n;
	DIR *dir;
	int r = 0;

	if (depth == DEPTH_MAX)
		return lu_error_set(e, -ELOOP, NULL, "%s: devices stand on one another too deep", folder);
	if (asprintf(&slaves, "%s/slaves", folder) < 0 || asprintf(&partition, "%s/partition", folder) < 0 ||
	    asprintf(&up, "%s/..", folder) < 0)
		return -ENOMEM;
	r = openat(rootfd, below(rootfd, slaves), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = r < 0 ? NULL : fdopendir(r);
	r = 0;
	while (dir && r == 0 && (entry = readdir(dir))) {
		_cleanup_free_ char *next = NULL;

		if (entry->d_name[0] == '.')
			continue;
		any = true;
		if (asprintf(&next, "/sys/class/block/%s", entry->d_name) < 0)
			r = -ENOMEM;
		else
			r = walk(rootfd, next, depth + 1, d, e);
	}
	if (dir)
		closedir(dir);
	if (r < 0 || any)
		return r;
	/* links of /sys/class/block and /sys/dev/block: …/block/vda or …/block/vda/vda1 */
	n = readlinkat(rootfd, below(rootfd, folder), real, sizeof(real) - 1);
	if (n <= 0)
		return lu_error_set(e, n < 0 ? -errno : -EINVAL, NULL, "%s: not a device of this host", folder);
	real[n] = '\0';
	if (faccessat(rootfd, below(rootfd, partition), F_OK, 0) == 0 && strrchr(real, '/'))
		*strrchr(real, '/') = '\0';
	snprintf(self, sizeof(self), "%.63s", strrchr(real, '/') ? strrchr(real, '/') + 1 : real);
	return add_disk(d, self, e);
}

/* The nearest driver above that is known; else the nearest of all, for the message */
static void find_driver(int rootfd, struct trial_disk *disk)
{
	char path[PATH_MAX];
	size_t at;

	at = (size_t)snprintf(path, sizeof(path), "/sys/class/block/%s/device", disk->name);
	for (unsigned int up = 0; up < DEPTH_MAX && at + 16 < sizeof(path); up++) {
		char link[PATH_MAX], *name;
		ssize_t n;

		strcpy(path + at, "/driver");
		n = readlinkat(rootfd, below(rootfd, path), link, sizeof(link) - 1);
		strcpy(path + at, "/..");
		at += 3;
		if (n <= 0)
			continue;
		link[n] = '\0';
		name = strrchr(link, '/') ? strrchr(link, '/') + 1 : link;
		if (!disk->driver[0] && strcmp(name, "sd") != 0)
			snprintf(disk->driver, sizeof(disk->driver), "%.31s", name);
		for (size_t k = 0; k < ARRAY_SIZE(models); k++)
			if (!strcmp(models[k].driver, name)) {
				snprintf(disk->driver, sizeof(disk->driver), "%.31s", name);
				disk->model = &models[k];
				return;
			}
	}
}

static int by_name(const void *a, const void *b)
{
	const struct trial_disk *x = a, *y = b;

	return strverscmp(x->name, y->name);
}

int trial_disks_find(int rootfd, struct trial_disks *ret, struct lu_error *e)
{
	struct trial_disks d = TRIAL_DISKS_INIT;
	unsigned int major, minor;
	char folder[64];
	int r = root_device(rootfd, &major, &minor);

	if (r < 0)
		return lu_error_set(e, r, NULL, "/proc/self/mountinfo does not tell where / is: %s", strerror(-r));
	snprintf(folder, sizeof(folder), "/sys/dev/block/%u:%u", major, minor);
	if (major == 0 || faccessat(rootfd, below(rootfd, folder), F_OK, 0) < 0)
		return lu_error_set(e, -EOPNOTSUPP, NULL, "the root file system is on no single block device");
	r = walk(rootfd, folder, 0, &d, e);
	if (r < 0)
		return r;
	qsort(d.list, d.n, sizeof(d.list[0]), by_name);
	for (size_t i = 0; i < d.n; i++) {
		find_driver(rootfd, &d.list[i]);
		if (!d.list[i].model)
			return lu_error_set(
				e, -EOPNOTSUPP, NULL,
				"disk %s of the root file system has the driver %s, for which there is no device in QEMU",
				d.list[i].name, *d.list[i].driver ? d.list[i].driver : "?");
	}
	*ret = d;
	return 0;
}

/*
 * Around the page cache, where a file system that is in use has what is not in its journal yet, such as a super block
 * without its new checksum: what is on the disk is what a crash would leave behind.
 */
int trial_disks_open(struct trial_disks *d, struct lu_error *e)
{
	for (size_t i = 0; i < d->n; i++) {
		char path[48];

		snprintf(path, sizeof(path), "/dev/%s", d->list[i].name);
		d->list[i].fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
		if (d->list[i].fd < 0)
			return lu_error_set(e, -errno, NULL, "%s: %s", path, strerror(errno));
	}
	return 0;
}

void trial_disks_close(struct trial_disks *d)
{
	for (size_t i = 0; i < d->n; i++)
		closep(&d->list[i].fd);
	d->n = 0;
}
