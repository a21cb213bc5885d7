// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One inode: its sum, its record, its blocks, its extended attributes. The conditions are
 * the kernel's (fs/pkernfs/record.c), in its order, so that both accuse the same inodes;
 * what goes beyond them is a warning.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "pkernfs-internal.h"

bool pk_zero(const void *data, size_t size)
{
	const uint8_t *p = data;

	return size == 0 || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
}

void pk_blame(struct pk_fs *fs, uint64_t ino, enum lu_level level, const char *hint, const char *fmt, ...)
{
	struct lu_findings *findings = &fs->ctx->report->findings;
	struct pk_blame *list, one = { .ino = ino, .level = level, .hint = hint };
	va_list ap;

	if (fs->n_blames >= LU_FINDINGS_MAX) {
		findings->failed = -E2BIG;
		return;
	}
	list = reallocarray(fs->blame, fs->n_blames + 1, sizeof(*list));
	va_start(ap, fmt);
	if (!list || vasprintf(&one.what, fmt, ap) < 0)
		findings->failed = -ENOMEM;
	else
		list[fs->n_blames++] = one;
	va_end(ap);
	if (list)
		fs->blame = list;
}

struct pk_inode *pk_inode_find(struct pk_fs *fs, uint64_t ino)
{
	size_t low = 0, high = fs->n_inodes;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (fs->inode[mid].ino < ino)
			low = mid + 1;
		else
			high = mid;
	}
	return low < fs->n_inodes && fs->inode[low].ino == ino ? &fs->inode[low] : NULL;
}

static int accuse(struct pk_fs *fs, struct pk_inode *inode, const char *what)
{
	pk_blame(fs, inode->ino, LU_LEVEL_ERROR, NULL, "%s", what);
	inode->bad = true;
	fs->damaged = true;
	if (S_ISDIR(inode->mode))
		fs->half_named = true;
	return 0;
}

static bool known_order(unsigned int order)
{
	return order == PKERNFS_ORDER_SMALL || order == PKERNFS_ORDER_HUGE || order == PKERNFS_ORDER_1G;
}

static const char *file_check(const struct pkernfs_inode *rec)
{
	if (rec->block_order == PKERNFS_ORDER_UNSET) {
		if (rec->map || rec->size || rec->flags & PKERNFS_I_EXTSIZE)
			return "has blocks of no size";
	} else if (!known_order(rec->block_order)) {
		return "has blocks of an unknown size";
	}
	return rec->size > PKERNFS_MAX_FILE_SIZE ? "is larger than a file may be" : NULL;
}

static const char *record_check(const struct pkernfs_inode *rec, uint64_t ino)
{
	const char *what = NULL;

	if (rec->flags & PKERNFS_I_DAMAGED)
		return "was found damaged by an earlier kernel, and is out of use";
	if (rec->ino != ino || ino > PKERNFS_MAX_INO)
		return "has a number that does not match its place in the table";
	switch (rec->mode & S_IFMT) {
	case S_IFREG:
		what = file_check(rec);
		break;
	case S_IFDIR:
		if (!known_order(rec->inherit_order))
			what = "has blocks of an unknown size";
		else if (rec->block_order != PKERNFS_ORDER_SMALL || rec->size & (PKERNFS_PAGE_SIZE - 1) ||
			 rec->size >> PKERNFS_PAGE_SHIFT > PKERNFS_MAX_DIR_PAGES)
			what = "has a size that a directory can't have";
		break;
	case S_IFLNK:
		if (rec->block_order != PKERNFS_ORDER_SMALL || rec->size > PKERNFS_SYMLINK_MAX)
			what = "has a size that a symbolic link can't have";
		break;
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		if (rec->map || rec->size)
			what = "is a special file with contents";
		break;
	default:
		return "is of an unknown type";
	}
	if (!what && rec->flags & ~PKERNFS_I_SUPP)
		what = "has unknown flags";
	if (!what && rec->xattr & ~PKERNFS_ADDR_MASK)
		what = "has extended attributes in more than a page";
	return what;
}

int pk_check_sum(struct pk_fs *fs, struct pk_inode *inode, const struct pkernfs_inode *rec)
{
	const char *what;
	uint32_t crc;
	int r;

	if (fs->sealed && !(rec->flags & PKERNFS_I_DAMAGED)) {
		r = pk_crc_record(fs->ctx, rec, &crc);
		if (r < 0)
			return r;
		if (r > 0)
			return accuse(fs, inode, fs->ctx->why);
		if (crc != rec->crc)
			return accuse(fs, inode, "does not match its checksum");
	}
	what = record_check(rec, inode->ino);
	return what ? accuse(fs, inode, what) : 0;
}

struct block_walk {
	struct pk_walk walk;
	struct pk_fs *fs;
	struct pk_inode *inode;
	const struct pkernfs_inode *rec;
	unsigned int order;
	uint64_t entries, nodes;
};

static int block_node(struct pk_walk *walk, uint64_t addr, const uint8_t *page)
{
	struct block_walk *bw = (struct block_walk *)walk;

	bw->nodes++;
	return pk_claim(bw->fs, addr, 0, bw->inode->ino);
}

static int symlink_check(struct block_walk *bw, uint64_t index, const char *page)
{
	if (index || strnlen(page, PKERNFS_PAGE_SIZE) != bw->rec->size)
		return accuse(bw->fs, bw->inode, "is a symbolic link of another length than it says");
	return 0;
}

static int block_entry(struct pk_walk *walk, uint64_t index, uint64_t entry)
{
	struct block_walk *bw = (struct block_walk *)walk;
	_Alignas(struct pkernfs_dir_page) uint8_t page[PKERNFS_PAGE_SIZE];
	int r = pk_claim(bw->fs, entry, bw->order, bw->inode->ino);

	if (r != 0)
		return r;
	bw->entries++;
	if (S_ISREG(bw->rec->mode)) {
		pk_poison_in_block(bw->fs, bw->inode->ino, entry, bw->order, index);
		return 0;
	}
	r = pk_page(walk->ctx, entry, page);
	if (r != 0)
		return r;
	if (S_ISDIR(bw->rec->mode))
		return pk_dir_page(bw->fs, bw->inode, index, (const struct pkernfs_dir_page *)page);
	return symlink_check(bw, index, (const char *)page);
}

static const char *xattr_check(const struct pkernfs_xattr_page *page, uint64_t ino)
{
	const uint8_t *data = (const uint8_t *)page;
	size_t at = offsetof(struct pkernfs_xattr_page, attr);

	if (page->magic != PKERNFS_XATTR_MAGIC || page->ino != ino || page->used > PKERNFS_PAGE_SIZE)
		return "has a bad page of extended attributes";
	while (at < page->used) {
		const struct pkernfs_xattr *x = (const struct pkernfs_xattr *)(data + at);
		size_t want;

		if (at + sizeof(*x) > page->used)
			return "has a bad extended attribute";
		want = (sizeof(*x) + x->name_len + 1u + x->value_len + 7) & ~7ULL;
		if (!x->name_len || x->size != want || at + want > page->used ||
		    strnlen(x->name, x->name_len + 1u) != x->name_len)
			return "has a bad extended attribute";
		for (size_t other = offsetof(struct pkernfs_xattr_page, attr); other < at;) {
			const struct pkernfs_xattr *o = (const struct pkernfs_xattr *)(data + other);

			if (strcmp(o->name, x->name) == 0)
				return "has an extended attribute twice";
			other += o->size;
		}
		at += want;
	}
	return at == page->used ? NULL : "has a bad extended attribute";
}

static int check_xattr(struct pk_fs *fs, struct pk_inode *inode, const struct pkernfs_inode *rec)
{
	_Alignas(struct pkernfs_xattr_page) uint8_t page[PKERNFS_PAGE_SIZE];
	const char *what;
	int r = pk_claim(fs, rec->xattr, 0, inode->ino);

	if (r == 0)
		r = pk_page(fs->ctx, rec->xattr, page);
	if (r != 0)
		return r < 0 ? r : accuse(fs, inode, fs->ctx->why);
	fs->out->metadata_pages++;
	fs->nr_xattr++;
	what = xattr_check((const struct pkernfs_xattr_page *)page, inode->ino);
	if (what)
		return accuse(fs, inode, what);
	if (!(fs->super.incompat & PKERNFS_INCOMPAT_XATTR))
		pk_blame(fs, inode->ino, LU_LEVEL_ERROR, "an older kernel would lose them",
			 "has extended attributes, of which the feature bits say nothing");
	return 0;
}

static void count_inode(struct pk_fs *fs, const struct block_walk *bw)
{
	const struct pkernfs_inode *rec = bw->rec;
	struct lu_pkernfs_fs *out = fs->out;

	out->files += S_ISREG(rec->mode);
	out->directories += S_ISDIR(rec->mode);
	out->others += !S_ISREG(rec->mode) && !S_ISDIR(rec->mode);
	out->unlinked += rec->nlink == 0;
	out->metadata_pages += bw->nodes;
	if (!S_ISREG(rec->mode))
		out->metadata_pages += bw->entries;
	else if (bw->order == PKERNFS_ORDER_SMALL)
		out->small_blocks += bw->entries;
	else
		out->huge_blocks += bw->entries << (bw->order - PKERNFS_ORDER_HUGE);
}

static void check_1g(struct pk_fs *fs, uint64_t ino, const struct pkernfs_inode *rec)
{
	if ((S_ISDIR(rec->mode) ? rec->inherit_order : rec->block_order) != PKERNFS_ORDER_1G)
		return;
	fs->nr_1g++;
	if (!(fs->super.incompat & PKERNFS_INCOMPAT_1G))
		pk_blame(fs, ino, LU_LEVEL_ERROR, "an older kernel would put it out of use",
			 "has blocks of 1 GiB, or hands them on, of which the feature bits say nothing");
}

static void check_words(struct pk_fs *fs, const struct block_walk *bw)
{
	const struct pkernfs_inode *rec = bw->rec;
	uint64_t ino = bw->inode->ino;

	if (rec->nr_pages != bw->entries << bw->order)
		pk_blame(fs, ino, LU_LEVEL_WARNING, NULL, "says %llu pages and has %llu; the next kernel counts anew",
			 (unsigned long long)rec->nr_pages, (unsigned long long)(bw->entries << bw->order));
	if (S_ISDIR(rec->mode) && rec->size != bw->inode->dir_pages << PKERNFS_PAGE_SHIFT)
		pk_blame(fs, ino, fs->sealed ? LU_LEVEL_ERROR : LU_LEVEL_WARNING, NULL,
			 "is a directory of %llu pages and says %llu bytes", (unsigned long long)bw->inode->dir_pages,
			 (unsigned long long)rec->size);
	if (rec->generation >= fs->super.next_generation)
		pk_blame(fs, ino, LU_LEVEL_WARNING, NULL, "has a generation that was not given out yet");
	if (!(fs->super.compat & ~PKERNFS_COMPAT_SUPP) &&
	    (!pk_zero(rec->reserved, sizeof(rec->reserved)) || rec->project || rec->pad[0] || rec->pad[1]))
		pk_blame(fs, ino, LU_LEVEL_WARNING, NULL, "has bytes set that this format does not define");
}

int pk_check_blocks(struct pk_fs *fs, struct pk_inode *inode, const struct pkernfs_inode *rec)
{
	struct block_walk bw = {
		.walk = { .ctx = fs->ctx, .node = block_node, .entry = block_entry },
		.fs = fs,
		.inode = inode,
		.rec = rec,
		.order = rec->block_order == PKERNFS_ORDER_UNSET ? PKERNFS_ORDER_SMALL : rec->block_order,
	};
	int r = pk_walk_tree(rec->map, &bw.walk);

	count_inode(fs, &bw);
	check_1g(fs, inode->ino, rec);
	if (r != 0)
		return r < 0 ? r : accuse(fs, inode, fs->ctx->why);
	if (S_ISLNK(rec->mode) && !bw.entries)
		accuse(fs, inode, "is a symbolic link to nowhere");
	check_words(fs, &bw);
	return rec->xattr ? check_xattr(fs, inode, rec) : 0;
}
