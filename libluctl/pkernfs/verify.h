/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The offline verifier: does an image of memory hold a pkernfs that the next kernel can
 * take over, and if not, what of it is damaged? It reads the format by the header that the
 * kernel has (kernel-patch/include/linux/pkernfs.h) and writes nothing.
 *
 * Verdicts: an "error" is what a kernel refuses, or what no kernel may leave behind; a
 * "warning" what a kernel puts right or doesn't look at.
 */
#include "memory.h"
#include "verdict.h"

#define LU_PKERNFS_FIND UINT64_MAX /* as the address of the root page: look for it */

/**
 * lu_pkernfs_verify() - read and judge everything
 * @root: address of the root page, or LU_PKERNFS_FIND
 * @report: filesystems and findings are added; damage is a finding, not a failure
 * @save: write the metadata there as an image of its own; NULL: don't
 *
 * Return: 0; -ENODATA if there is no root page, -ENOENT if it isn't where @root says, -ENOTUNIQ if
 * there are several, with words; or another negative errno with words, such as -EIO.
 */
int lu_pkernfs_verify(struct lu_memory *m, uint64_t root, struct lu_pkernfs_report *report, const char *save,
		      struct lu_error *e);
