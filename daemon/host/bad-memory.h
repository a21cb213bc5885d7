/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Which files of guests' memory have pages that have gone bad, as the kernel tells whoever maps them. */
#include "worker.h"

#define LU_BAD_MEMORY_UNKNOWN UINT64_MAX

struct lu_bad_memory;

/**
 * lu_bad_memory_start() - look through files, in a child process
 * @paths: of regular files; copied
 * @done: then lu_bad_memory_pages() has an answer; also after an error, for what had been looked through
 *
 * What is in memory already is mapped, and nothing of it is read: two milliseconds for each GiB in blocks of 2 MiB.
 * Return: 0 or a negative errno, then @done is not called.
 */
int lu_bad_memory_start(sd_event *event, const char *const *paths, size_t n, lu_worker_done_t done, void *userdata,
			struct lu_bad_memory **ret);

/** lu_bad_memory_pages() - how many pages of 4 KiB of this file are bad; LU_BAD_MEMORY_UNKNOWN. @b may be NULL */
uint64_t lu_bad_memory_pages(const struct lu_bad_memory *b, const char *path);

/** lu_bad_memory_free() - end it; @done is not called any more. To be called after @done, too; NULL is fine */
struct lu_bad_memory *lu_bad_memory_free(struct lu_bad_memory *b);
DEFINE_CLEANUP(struct lu_bad_memory *, lu_bad_memory_free)
