/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Physical memory of a host, to be read by address, wherever it is kept:
 *
 *   ELF core    QEMU's dump-guest-memory, /proc/vmcore and what kdump copied of it,
 *               /proc/kcore of this host: program headers with physical addresses. A
 *               segment may be shorter in the file than in memory; what is missing of
 *               it was left out.
 *   raw         anything else, such as QEMU's pmemsave from address 0: the offset is
 *               the address
 *   /dev/mem    as raw, but only what /proc/iomem calls System RAM: reading a device's
 *               registers may have effects
 *
 * Nothing is trusted: headers are checked, ranges that overlap are cut, a file that
 * ends early is memory that was left out.
 */
#include "error.h"

struct lu_memory;

enum {
	LU_MEMORY_NONE = 1,     /* no memory at this address */
	LU_MEMORY_LEFT_OUT = 2, /* memory, but the image doesn't contain it */
};

/** lu_memory_open() - an image; 0, or negative errno with words */
int lu_memory_open(const char *path, struct lu_memory **ret, struct lu_error *e);

/** lu_memory_open_host() - this host's own: /proc/kcore or /dev/mem below @rootfd (AT_FDCWD: /) */
int lu_memory_open_host(int rootfd, struct lu_memory **ret, struct lu_error *e);

void lu_memory_free(struct lu_memory *m);
DEFINE_CLEANUP(struct lu_memory *, lu_memory_free)

/** lu_memory_name() - what errors call it: the path */
const char *lu_memory_name(const struct lu_memory *m);

/** lu_memory_size() - bytes of memory it knows of, contained or not */
uint64_t lu_memory_size(const struct lu_memory *m);

/** lu_memory_cut() - bytes that the headers promise beyond the file's end; 0: it is whole */
uint64_t lu_memory_cut(const struct lu_memory *m);

/** lu_memory_read() - 0 with @size bytes in @buf; LU_MEMORY_NONE, LU_MEMORY_LEFT_OUT; or the negative errno of reading */
int lu_memory_read(struct lu_memory *m, uint64_t addr, void *buf, size_t size);

/** lu_memory_has() - is all of this memory? */
bool lu_memory_has(const struct lu_memory *m, uint64_t addr, uint64_t size);

/**
 * lu_memory_find() - look through everything for pages that begin with @magic
 * @found: called with each page's address; 0 to go on
 *
 * Return: 0, what @found returned, or a negative errno with words.
 */
int lu_memory_find(struct lu_memory *m, uint64_t magic, int (*found)(void *data, uint64_t addr), void *data,
		   struct lu_error *e);

/**
 * lu_memory_save() - write some pages as an ELF core of their own
 * @pages: their addresses, ascending, each once
 *
 * The new image knows of the same memory and contains nothing but these pages.
 */
int lu_memory_save(struct lu_memory *m, const uint64_t *pages, size_t n, const char *path, struct lu_error *e);
