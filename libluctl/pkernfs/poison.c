// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Memory that has gone bad: the list that super.bad leads to (BAD MEMORY in the header).
 *
 *  1. with the inode table: its part of the sums (pk_crc_tree())
 *  2. before the inode table is claimed: the list is read, and what it says is in no block is claimed,
 *     so that a file that has such a page, too, is found. So are its own pages, and one that is listed twice
 *  3. while blocks of files are claimed: which file, and where in it, each of the others is
 *  4. when all names are known: what is left over is told, and which files have bad pages
 *
 * That memory is bad is a warning: nobody has done anything wrong, and kernels go on with it. An error is what would
 * have a kernel hand such a page to somebody.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "pkernfs-internal.h"

#define HINT "replace the memory module when the host is empty; see \"Memory has gone bad\" in the runbook"

struct list_walk {
	struct pk_walk walk;
	struct pk_fs *fs;
	uint64_t index; /* of the page that comes next */
	bool ended;     /* by a page that isn't full */
};

static int claim_node(struct pk_walk *walk, uint64_t addr, const uint8_t *page)
{
	struct list_walk *list = (struct list_walk *)walk;

	list->fs->out->metadata_pages++;
	return pk_claim(list->fs, addr, 0, 0);
}

static int add(struct pk_fs *fs, uint64_t word)
{
	struct pk_poison one = { .addr = word & ~PKERNFS_BAD_FREE, .is_free = word & PKERNFS_BAD_FREE };

	if (one.addr & ~PKERNFS_ADDR_MASK || !lu_memory_has(fs->ctx->m, one.addr, PKERNFS_PAGE_SIZE))
		return pk_bad(fs->ctx, "it names %#llx, which is no page of memory", (unsigned long long)word);
	if (fs->n_poison == fs->room_poison) {
		size_t room = fs->room_poison ? fs->room_poison * 2 : 64;
		struct pk_poison *list = reallocarray(fs->poison, room, sizeof(*list));

		if (!list)
			return lu_error_set(fs->ctx->e, -ENOMEM, NULL, "out of memory");
		fs->poison = list;
		fs->room_poison = room;
	}
	fs->poison[fs->n_poison++] = one;
	return one.is_free ? pk_claim(fs, one.addr, 0, PK_INO_POISON) : 0;
}

static int list_entry(struct pk_walk *walk, uint64_t index, uint64_t entry)
{
	struct list_walk *list = (struct list_walk *)walk;
	struct pkernfs_bad_page page;
	unsigned int n = 0;
	int r = claim_node(walk, entry, NULL);

	if (r == 0)
		r = pk_page(walk->ctx, entry, &page);
	if (r != 0)
		return r;
	if (index >= PKERNFS_MAX_BAD_PAGES || page.magic != PKERNFS_BAD_MAGIC || page.index != index)
		return pk_bad(walk->ctx, "its page %llu is none", (unsigned long long)index);
	if (index != list->index || list->ended)
		return pk_bad(walk->ctx, "there is a gap before its page %llu", (unsigned long long)index);
	list->index++;
	for (; r == 0 && n < PKERNFS_BAD_PER_PAGE && page.bad[n]; n++)
		r = add(list->fs, page.bad[n]);
	list->ended = n < PKERNFS_BAD_PER_PAGE;
	if (r == 0 && (page.reserved || !pk_zero(&page.bad[n], (PKERNFS_BAD_PER_PAGE - n) * sizeof(page.bad[0]))))
		list->fs->poison_junk = true;
	return r;
}

static int by_address(const void *a, const void *b)
{
	const struct pk_poison *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

int pk_poison_read(struct pk_fs *fs)
{
	struct list_walk list = {
		.walk = { .ctx = fs->ctx, .node = claim_node, .entry = list_entry },
		.fs = fs,
	};
	int r = pk_walk_tree(fs->super.bad, &list.walk);

	if (fs->n_poison)
		qsort(fs->poison, fs->n_poison, sizeof(*fs->poison), by_address);
	for (size_t i = 1; r == 0 && i < fs->n_poison; i++)
		if (fs->poison[i].addr == fs->poison[i - 1].addr)
			r = pk_bad(fs->ctx, "it names the page at %#llx twice", (unsigned long long)fs->poison[i].addr);
	if (r <= 0)
		return r;
	pk_tell(fs, LU_LEVEL_ERROR, NULL, "list of bad memory", fs->ctx->why);
	fs->damaged = true;
	return 0;
}

void pk_poison_in_block(struct pk_fs *fs, uint64_t ino, uint64_t addr, unsigned int order, uint64_t index)
{
	uint64_t size = PKERNFS_PAGE_SIZE << order;
	size_t low = 0, high = fs->n_poison;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (fs->poison[mid].addr < addr)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < fs->n_poison && fs->poison[low].addr - addr < size; low++) {
		fs->poison[low].ino = ino;
		fs->poison[low].offset = index * size + (fs->poison[low].addr - addr);
	}
}

static int by_file(const void *a, const void *b)
{
	const struct pk_poison *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void tell_file(struct pk_fs *fs, const struct lu_pkernfs_bad_file *file)
{
	char list[LU_PKERNFS_BAD_OFFSETS * 24 + 32] = "";
	size_t n = 0;

	for (size_t i = 0; i < file->n_offset; i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%#llx", i ? ", " : "",
				      (unsigned long long)file->offset[i]);
	if (file->pages > file->n_offset)
		snprintf(list + n, sizeof(list) - n, " and %llu more",
			 (unsigned long long)(file->pages - file->n_offset));
	pk_blame(fs, file->ino, LU_LEVEL_WARNING, HINT, "has %llu page%s of bad memory, of 4 KiB, at %s",
		 (unsigned long long)file->pages, file->pages == 1 ? "" : "s", list);
}

/* @n pages of one file */
static int add_file(struct pk_fs *fs, const struct pk_poison *list, size_t n)
{
	struct lu_pkernfs_fs *out = fs->out;
	struct lu_pkernfs_bad_file *files, *file;
	_cleanup_free_ char *path = NULL;

	out->files_with_bad++;
	if (out->n_bad_file == LU_PKERNFS_BAD_FILES)
		return 0;
	files = reallocarray(out->bad_file, out->n_bad_file + 1, sizeof(*files));
	if (!files)
		return -ENOMEM;
	out->bad_file = files;
	file = &files[out->n_bad_file++];
	*file = (struct lu_pkernfs_bad_file){ .ino = list->ino, .pages = n };
	path = pk_path(fs, list->ino);
	file->offset = calloc(LU_PKERNFS_BAD_OFFSETS, sizeof(*file->offset));
	if (!path || !file->offset)
		return -ENOMEM;
	if (*path)
		file->path = steal_ptr(path);
	for (; file->n_offset < n && file->n_offset < LU_PKERNFS_BAD_OFFSETS; file->n_offset++)
		file->offset[file->n_offset] = list[file->n_offset].offset;
	tell_file(fs, file);
	return 0;
}

/* It should be in a block, and in none that can be believed */
static void tell_lost(struct pk_fs *fs, const struct pk_poison *p)
{
	uint64_t owner = lu_claims_owner(&fs->ctx->claims, p->addr);
	bool perhaps = !owner && (fs->damaged || !fs->sealed);
	char what[160];

	snprintf(what, sizeof(what), "says that the page at %#llx is in a file, and %s", (unsigned long long)p->addr,
		 owner   ? "it is used for something else" :
		 perhaps ? "there is none; it may be in one that is damaged, or was just given up" :
			   "there is none: nobody would keep it from being used");
	pk_tell(fs, perhaps ? LU_LEVEL_WARNING : LU_LEVEL_ERROR, NULL, "list of bad memory", what);
}

int pk_poison_end(struct pk_fs *fs)
{
	struct lu_pkernfs_fs *out = fs->out;
	size_t n, lost = 0;
	char what[160];
	int r = 0;

	out->bad_pages = fs->n_poison;
	out->bad_unowned = out->files_with_bad = 0;
	if (fs->n_poison)
		qsort(fs->poison, fs->n_poison, sizeof(*fs->poison), by_file);
	for (size_t i = 0; r == 0 && i < fs->n_poison; i += n) {
		n = 1;
		if (fs->poison[i].is_free) {
			out->bad_unowned++;
			continue;
		}
		if (!fs->poison[i].ino) {
			if (!lost++)
				tell_lost(fs, &fs->poison[i]);
			continue;
		}
		while (i + n < fs->n_poison && fs->poison[i + n].ino == fs->poison[i].ino)
			n++;
		r = add_file(fs, &fs->poison[i], n);
	}
	if (r < 0)
		return lu_error_set(fs->ctx->e, r, NULL, "out of memory");
	if (lost > 1) {
		snprintf(what, sizeof(what), "has %zu more such pages", lost - 1);
		pk_tell(fs, LU_LEVEL_WARNING, NULL, "list of bad memory", what);
	}
	if (out->files_with_bad > out->n_bad_file) {
		snprintf(what, sizeof(what), "has pages of %llu more files",
			 (unsigned long long)(out->files_with_bad - out->n_bad_file));
		pk_tell(fs, LU_LEVEL_WARNING, NULL, "list of bad memory", what);
	}
	if (out->bad_unowned) {
		snprintf(what, sizeof(what),
			 "has %llu page%s, of 4 KiB, in no file any more: out of use until the machine is reset",
			 (unsigned long long)out->bad_unowned, out->bad_unowned == 1 ? "" : "s");
		pk_tell(fs, LU_LEVEL_WARNING, HINT, "list of bad memory", what);
	}
	return 0;
}
