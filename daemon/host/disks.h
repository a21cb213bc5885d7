/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What guests have written is on their disks before the jump, whatever the disks lie on: a raw
 * device, a file on a network file system, ZFS; and whatever QEMU was told about caching.
 */
#include <sys/types.h>

#include "error.h"

/** struct lu_disk_owner - a QEMU whose disks are written out; @name is its VM's, for errors */
struct lu_disk_owner {
	const char *name;
	pid_t pid;
};

/**
 * lu_disks_flush() - write out everything that these processes have open for writing
 *
 * Of a block device its pages in the page cache, of a file everything dirty of its file system;
 * each device and file system once. What stays in memory over the jump (pkernfs, tmpfs) costs
 * nothing. Blocks until the last of it is written, so it belongs in a worker with a time limit.
 *
 * Return: 0; -ESRCH if a process is not there any more; the errno of a write that failed, with
 * the VM and the file in @error.
 */
int lu_disks_flush(const struct lu_disk_owner *owners, size_t n, struct lu_error *error);
