/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * This host's own pkernfs: its metadata out of memory, where that can be read, and what
 * mount table and sysfs tell of it.
 */
#include "verdict.h"

/**
 * lu_pkernfs_host() - everything that is known
 * @rootfd: where proc, sys and dev are, AT_FDCWD: /
 * @root: address of the root page, or LU_UNKNOWN to ask the kernel or look for it
 * @save: as for lu_pkernfs_verify()
 * @need: metadata must be read; else that it could not be is a warning
 *
 * Memory that is in use changes while it is read: an error counts if it is there each of
 * three times.
 *
 * Return: 0 or negative errno with words.
 */
int lu_pkernfs_host(int rootfd, uint64_t root, const char *save, bool need, struct lu_pkernfs_report *report,
		    struct lu_error *e);

/**
 * lu_pkernfs_set_blocks() - of which size the blocks of a file without contents are to be, or of all that is made in a directory
 * @path: a symbolic link is not followed
 * @size: in bytes; 0: as where nobody has said anything
 *
 * Return: 0; with words -EOPNOTSUPP (not in pkernfs), -EINVAL (no such size, or the file has blocks of another) or
 * what the kernel answered.
 */
int lu_pkernfs_set_blocks(const char *path, uint64_t size, struct lu_error *e);
