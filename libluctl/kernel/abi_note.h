/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The ELF note by which a kernel tells which ABIs it speaks (KHO, LUO, pkernfs),
 * taken apart and checked. The layout is the kernel's: struct luctl_note in
 * <linux/luctl_note.h> of the series. Sources: an ELF image (image.h) and
 * /sys/kernel/notes of the running kernel.
 */
#include "error.h"

#define LU_ABI_STRING_MAX 31u /* longest compat string that is accepted */

struct lu_abi {
	bool present;                      /* false: the kernel has no such note; the rest is 0 */
	uint32_t pkernfs_version;          /* newest pkernfs format it reads and may write; 0: no pkernfs */
	uint32_t pkernfs_min_version;      /* oldest format it reads */
	uint64_t pkernfs_incompat;         /* incompat features it understands */
	uint64_t pkernfs_ro_compat;        /* ro_compat features it understands */
	uint64_t iommu;                    /* LUCTL_NOTE_IOMMU_* of <linux/luctl_note.h>; 0: it doesn't say */
	char kho[LU_ABI_STRING_MAX + 1];   /* "kho-v4" */
	char luo[LU_ABI_STRING_MAX + 1];   /* "luo-v5"; empty: built without LUO */
	char pkeep[LU_ABI_STRING_MAX + 1]; /* "pkeep-v1"; empty: devices can't go on */
};

/**
 * lu_abi_from_notes() - find and decode our note among ELF notes
 * @notes: contents of a note section or segment, notes padded to @align (4 or 8)
 * @object: what errors call it: a path
 *
 * Return: 0 (also when there is none: @ret->present is false) or -EBADMSG when the
 * notes run over their end, our note is malformed or stands there twice differently.
 */
int lu_abi_from_notes(const void *notes, size_t size, size_t align, const char *object, struct lu_abi *ret,
		      struct lu_error *e);

/**
 * lu_abi_running() - the running kernel's note
 * @rootfd: directory in place of /, or AT_FDCWD for the real one
 *
 * Return: 0 (see lu_abi_from_notes()), or a negative errno.
 */
int lu_abi_running(int rootfd, struct lu_abi *ret, struct lu_error *e);
