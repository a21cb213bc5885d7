/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The host's block file systems around the jump: written out while the guests
 * still run, frozen at the jump so that the next kernel finds a clean journal,
 * thawed if the jump does not happen.
 */
#include "error.h"

/** lu_filesystems_sync() - write out every writable block file system; blocks */
int lu_filesystems_sync(struct lu_error *error);

/**
 * lu_filesystems_freeze() - sync and freeze (FIFREEZE) every writable block file system; blocks
 *
 * A file system that can't be frozen (-EOPNOTSUPP) is synced and left. After any
 * other failure those frozen so far stay frozen; call lu_filesystems_thaw().
 */
int lu_filesystems_freeze(struct lu_error *error);

/** lu_filesystems_thaw() - thaw every frozen block file system; does nothing where none is */
int lu_filesystems_thaw(struct lu_error *error);

/** lu_pkernfs_mounted() - is pkernfs mounted at @path? @ret_size, @ret_free in bytes, may be NULL */
bool lu_pkernfs_mounted(const char *path, uint64_t *ret_size, uint64_t *ret_free);
