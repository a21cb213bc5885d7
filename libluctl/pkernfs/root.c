// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The root page of an image whose address nobody gave. It begins with a magic, but so may
 * any page of a file: guest RAM is files, and a guest writes there what it likes. A page
 * that is in a file of another root page's filesystem is none. A guest can as well make up
 * filesystems with a file that the true root page is in: then each is in a file of the
 * other, nothing in the image tells them apart, and whoever asks has to say which it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pkernfs-internal.h"

#define FOUND_MAX 65536 /* pages that begin as a root page */
#define READ_MAX 64     /* of them, what hangs on it is read: each may take as long as a verification */
#define SAID_MAX 8

struct candidates {
	struct lu_memory *m;
	struct pk_root *list;
	size_t n, room;
};

static void found_clear(struct candidates *f)
{
	free(f->list);
}

static int found_add(void *data, uint64_t addr)
{
	struct candidates *f = data;
	struct pkernfs_root root;

	if (lu_memory_read(f->m, addr, &root, sizeof(root)) != 0)
		return 0;
	if (root.page_size != PKERNFS_PAGE_SIZE || root.version == 0)
		return 0;
	if (f->n == FOUND_MAX)
		return -E2BIG;
	if (f->n == f->room) {
		size_t room = f->room ? 2 * f->room : 16;
		struct pk_root *list = reallocarray(f->list, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		f->list = list;
		f->room = room;
	}
	f->list[f->n++] = (struct pk_root){ .addr = addr };
	return 0;
}

static int ambiguous(struct candidates *f, bool outside, struct lu_error *e)
{
	char list[SAID_MAX * 20 + 8] = "";
	size_t said = 0;

	for (size_t i = 0; i < f->n && said < SAID_MAX; i++)
		if (!outside || !f->list[i].in_file) {
			snprintf(list + strlen(list), sizeof(list) - strlen(list), " %#llx",
				 (unsigned long long)f->list[i].addr);
			said++;
		}
	if (said < f->n && said == SAID_MAX)
		strcat(list, " …");
	return lu_error_set(e, -ENOTUNIQ,
			    "say by --root which one it is; on the host itself /sys/fs/pkernfs/root tells",
			    "%s: %zu pages could be the root page, and guests can write such pages:%s",
			    lu_memory_name(f->m), f->n, list);
}

int pk_find_root(struct lu_memory *m, uint64_t *ret, struct lu_error *e)
{
	_cleanup_(found_clear) struct candidates f = { .m = m };
	int r = lu_memory_find(m, PKERNFS_ROOT_MAGIC, found_add, &f, e);
	const struct pk_root *only = NULL;
	size_t outside = 0;

	if (r == -ENOMEM)
		return lu_error_set(e, r, NULL, "out of memory");
	if (r == -E2BIG)
		return ambiguous(&f, false, e);
	if (r < 0)
		return r;
	if (f.n == 0)
		return lu_error_set(e, -ENODATA,
				    "is it all of a host's memory, and does the host's kernel have pkernfs and kho=on?",
				    "%s: there is no root page of a pkernfs", lu_memory_name(m));
	for (size_t i = 0; f.n > 1 && i < f.n && i < READ_MAX; i++) {
		r = pk_disown_roots(m, f.list, f.n, i, e);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < f.n; i++)
		if (!f.list[i].in_file) {
			only = &f.list[i];
			outside++;
		}
	if (outside != 1)
		return ambiguous(&f, outside != 0, e);
	*ret = only->addr;
	return 0;
}
