// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See bad-memory.h. The kernel's list of bad pages is by address, and can be read only by who may read all memory. But
 * MADV_POPULATE_READ (madvise(2)) maps a range as if it were read, without reading it, and fails with EHWPOISON where
 * that would be a bad page. So a range is halved until it is one page. Holes of the file are passed over: they
 * would be filled.
 *
 * It is done in a child, which has the file mapped for that time only, and whose life an error that comes up meanwhile
 * may end. What it finds out it writes into memory that is shared with luctld: one number for each file.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "bad-memory.h"

#define TIMEOUT_USEC (60 * UINT64_C(1000000))
#define PIECE (1ull << 30) /* bytes that are asked for at once */

struct lu_bad_memory {
	struct lu_worker *worker;
	char **paths;
	size_t n;
	uint64_t *pages; /* of each; shared with the child */
};

static int count(char *at, size_t size, size_t page, uint64_t *pages)
{
	size_t half = size / 2 / page * page;
	int r;

	do
		r = madvise(at, size, MADV_POPULATE_READ) < 0 ? -errno : 0;
	while (r == -EINTR);
	if (r != -EHWPOISON)
		return r;
	if (size <= page) {
		++*pages;
		return 0;
	}
	r = count(at, half, page, pages);
	return r < 0 ? r : count(at + half, size - half, page, pages);
}

/* What of a mapped file is no hole */
static int count_data(int fd, char *map, uint64_t size, uint64_t *pages)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	off_t at = 0, end;
	int r = 0;

	while (r == 0 && (uint64_t)at < size) {
		at = lseek(fd, at, SEEK_DATA);
		if (at < 0)
			return errno == ENXIO ? 0 : -errno;
		end = lseek(fd, at, SEEK_HOLE);
		if (end < 0)
			return -errno;
		at -= at % (off_t)page;
		for (; r == 0 && at < end && (uint64_t)at < size; at += PIECE) {
			uint64_t left = ((uint64_t)end < size ? (uint64_t)end : size) - (uint64_t)at;

			r = count(map + at, left < PIECE ? (left + page - 1) / page * page : PIECE, page, pages);
		}
		at = end;
	}
	return r;
}

static int look(const char *path, uint64_t *ret, struct lu_error *e)
{
	_cleanup_close_ int fd = lu_open_regular(AT_FDCWD, path);
	uint64_t pages = 0;
	struct stat st;
	void *map;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return lu_error_set(e, fd < 0 ? fd : -errno, NULL, "%s: %s", path, strerror(fd < 0 ? -fd : errno));
	if (st.st_size > 0) {
		map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			return lu_error_set(e, -errno, NULL, "%s: %s", path, strerror(errno));
		r = count_data(fd, map, (uint64_t)st.st_size, &pages);
		munmap(map, (size_t)st.st_size);
		if (r < 0)
			return lu_error_set(e, r, NULL, "%s: %s", path, strerror(-r));
	}
	*ret = pages;
	return 0;
}

/* In the child: all of them, and the first error */
static int work(void *arg, struct lu_error *e)
{
	struct lu_bad_memory *b = arg;
	int first = 0;

	for (size_t i = 0; i < b->n; i++) {
		_cleanup_error_ struct lu_error one = LU_ERROR_INIT;
		int r = look(b->paths[i], &b->pages[i], &one);

		if (r < 0 && !first) {
			first = r;
			lu_error_move(e, &one);
		}
	}
	return first;
}

uint64_t lu_bad_memory_pages(const struct lu_bad_memory *b, const char *path)
{
	for (size_t i = 0; b && i < b->n; i++)
		if (strcmp(b->paths[i], path) == 0)
			return b->pages[i];
	return LU_BAD_MEMORY_UNKNOWN;
}

struct lu_bad_memory *lu_bad_memory_free(struct lu_bad_memory *b)
{
	if (!b)
		return NULL;
	lu_worker_free(b->worker);
	if (b->pages)
		munmap(b->pages, b->n * sizeof(*b->pages));
	for (size_t i = 0; b->paths && i < b->n; i++)
		free(b->paths[i]);
	free(b->paths);
	free(b);
	return NULL;
}

int lu_bad_memory_start(sd_event *event, const char *const *paths, size_t n, lu_worker_done_t done, void *userdata,
			struct lu_bad_memory **ret)
{
	_cleanup_(lu_bad_memory_freep) struct lu_bad_memory *b = calloc(1, sizeof(*b));
	int r;

	if (!b || !n)
		return b ? -EINVAL : -ENOMEM;
	b->paths = calloc(n, sizeof(*b->paths));
	if (!b->paths)
		return -ENOMEM;
	for (b->n = 0; b->n < n; b->n++) {
		b->paths[b->n] = strdup(paths[b->n]);
		if (!b->paths[b->n])
			return -ENOMEM;
	}
	b->pages = mmap(NULL, n * sizeof(*b->pages), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (b->pages == MAP_FAILED) {
		b->pages = NULL;
		return -errno;
	}
	for (size_t i = 0; i < n; i++)
		b->pages[i] = LU_BAD_MEMORY_UNKNOWN;
	r = lu_worker_call(event, work, b, TIMEOUT_USEC, done, userdata, &b->worker);
	if (r < 0)
		return r;
	*ret = steal_ptr(b);
	return 0;
}
