/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Shared by the files of luctl-trial: a throw-away machine in which the running kernel's image jumps into the target's.
 * trial.c has the order of things.
 */
#include <sys/types.h>

#include "error.h"

/** struct trial_options - what luctl-trial was told */
struct trial_options {
	const char *running, *kernel, *initrd, *cmdline, *qemu, *user;
	const char *init;     /* lu-init, for tests another one */
	const char *remember; /* folder in which trials that went well are remembered; NULL: none is */
	unsigned int seconds;
};

/** trial_run() - the whole trial; says on standard error what came of it, and returns the exit code */
int trial_run(const struct trial_options *o);

#define LU_TRIAL_DISKS_MAX 16

/** struct trial_model - a device of QEMU that a driver drives */
struct trial_model {
	const char *driver;  /* "virtio_blk", as sysfs calls it */
	const char *device;  /* "virtio-blk-pci" */
	const char *bus;     /* "scsi.0"; with "." at the end the disk's number follows; NULL: any */
	const char *adapter; /* a device that makes the bus; or NULL */
};

/** struct trial_disk - a whole disk of the host that its root file system needs */
struct trial_disk {
	char name[32];   /* "vda" */
	char driver[32]; /* "" if none was found */
	const struct trial_model *model;
	int fd; /* open for reading */
};

struct trial_disks {
	struct trial_disk list[LU_TRIAL_DISKS_MAX];
	size_t n;
};

#define TRIAL_DISKS_INIT ((struct trial_disks){ .n = 0 })

/**
 * trial_disks_find() - the disks under the root file system, in the order of their names
 * @rootfd: directory that stands for "/" (for /proc and /sys), or AT_FDCWD
 *
 * Nothing is opened. Return: 0; -EOPNOTSUPP with words if the root is on something that a trial can't show (a network, a
 * driver that QEMU has no device for); or another errno.
 */
int trial_disks_find(int rootfd, struct trial_disks *ret, struct lu_error *e);

/** trial_disks_open() - open them for reading */
int trial_disks_open(struct trial_disks *d, struct lu_error *e);
void trial_disks_close(struct trial_disks *d);

/** struct trial_file - what goes into an archive: @fd's contents from the start, or @text */
struct trial_file {
	const char *path; /* without a leading "/" */
	int fd;
	const char *text;
	bool executable;
};

/**
 * trial_archive_write() - an initramfs (cpio "newc")
 * @before: bytes that come first, such as another initramfs; -EBADF: none
 */
int trial_archive_write(const char *path, int before, const struct trial_file *files, size_t n, struct lu_error *e);

/** struct trial_machine - what to run */
struct trial_machine {
	const char *qemu;
	const char *folder; /* of our own: console, standard error and overlays of the disks go there */
	const char *kernel; /* path */
	const char *initrd; /* path */
	const char *cmdline;
	unsigned int memory_mib;
	const struct trial_disks *disks;
	uid_t uid;
	gid_t gid;
	unsigned int seconds; /* limit for all */
};

enum trial_stage {
	TRIAL_NOTHING, /* the first kernel did not get to lu-init */
	TRIAL_FIRST,
	TRIAL_LOAD, /* what was to be left is there */
	TRIAL_JUMP,
	TRIAL_SECOND,
	TRIAL_OK,
};

struct trial_result {
	enum trial_stage stage;
	char release[66]; /* of the second kernel */
	char failed[400]; /* what the stage says about why it is the last; "" if it says nothing */
	char last[400];   /* the console's last words */
	bool late;        /* it was ended at the limit */
};

/** trial_machine_run() - from start to end; negative errno only if there was no machine */
int trial_machine_run(const struct trial_machine *m, struct trial_result *ret, struct lu_error *e);

#define TRIAL_KEY_SIZE 65

/**
 * trial_key() - SHA-256 over files and texts, as 64 digits
 * @fds: read from their start; a negative one counts as "none"
 * @texts: NULL-terminated
 */
int trial_key(const int *fds, size_t n, const char *const *texts, char ret[static TRIAL_KEY_SIZE], struct lu_error *e);

/** trial_remembered() - did a trial with this key go well? false if @folder is NULL */
bool trial_remembered(const char *folder, const char *key);

/** trial_remember() - an empty file in @folder, named by the key; the oldest go. It can fail, then the next trial is made */
void trial_remember(const char *folder, const char *key);
