// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pages, trees, sums and claims: what pkernfs.h says about them, for an image of any quality.
 * Each address is judged before it is used; depth is bounded by PKERNFS_MAX_HEIGHT, the
 * number of pages by the memory there is. @ctx->why says what was wrong with the last one.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "pkernfs-internal.h"

int pk_bad(struct pk_ctx *ctx, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ctx->why, sizeof(ctx->why), fmt, ap);
	va_end(ap);
	return PK_BAD;
}

static int page_note(struct pk_ctx *ctx, uint64_t addr)
{
	if (ctx->n_pages == ctx->room_pages) {
		size_t room = ctx->room_pages ? ctx->room_pages * 2 : 64;
		uint64_t *pages = reallocarray(ctx->pages, room, sizeof(*pages));

		if (!pages)
			return lu_error_set(ctx->e, -ENOMEM, NULL, "out of memory");
		ctx->pages = pages;
		ctx->room_pages = room;
	}
	ctx->pages[ctx->n_pages++] = addr;
	return 0;
}

int pk_page(struct pk_ctx *ctx, uint64_t addr, void *page)
{
	int r;

	if (!addr || addr & ~PKERNFS_ADDR_MASK)
		return pk_bad(ctx, "%#llx is no address of a page", (unsigned long long)addr);
	if (ctx->budget == 0)
		return pk_bad(ctx, "it has more pages than there is memory");
	r = lu_memory_read(ctx->m, addr, page, PKERNFS_PAGE_SIZE);
	if (r == LU_MEMORY_NONE)
		return pk_bad(ctx, "there is no memory at %#llx", (unsigned long long)addr);
	if (r == LU_MEMORY_LEFT_OUT)
		return pk_bad(ctx, "the page at %#llx is not in the image", (unsigned long long)addr);
	if (r < 0)
		return lu_error_set(ctx->e, r, NULL, "%s: reading at %#llx: %s", lu_memory_name(ctx->m),
				    (unsigned long long)addr, strerror(-r));
	ctx->budget--;
	return page_note(ctx, addr);
}

static int walk_node(struct pk_walk *walk, uint64_t addr, unsigned int level, uint64_t index)
{
	uint64_t span = 1ULL << (PKERNFS_NODE_SHIFT * (level - 1));
	uint64_t words[PKERNFS_NODE_WORDS];
	int r = pk_page(walk->ctx, addr, words);

	if (r == 0 && walk->node)
		r = walk->node(walk, addr, (const uint8_t *)words);
	for (unsigned int i = 0; r == 0 && i < PKERNFS_NODE_WORDS; i++, index += span) {
		if (!words[i])
			continue;
		if (level > 1)
			r = walk_node(walk, words[i], level - 1, index);
		else if (walk->entry)
			r = walk->entry(walk, index, words[i]);
	}
	return r;
}

int pk_walk_tree(uint64_t tree, struct pk_walk *walk)
{
	unsigned int height = tree & PKERNFS_HEIGHT_MASK;

	if (!tree)
		return 0;
	if (!height)
		return walk->entry ? walk->entry(walk, 0, tree) : 0;
	if (height > PKERNFS_MAX_HEIGHT || tree & ~(PKERNFS_ADDR_MASK | PKERNFS_HEIGHT_MASK))
		return pk_bad(walk->ctx, "%#llx is no tree", (unsigned long long)tree);
	return walk_node(walk, tree & PKERNFS_ADDR_MASK, height, 0);
}

struct crc_walk {
	struct pk_walk walk;
	uint32_t crc;
};

static int crc_node(struct pk_walk *walk, uint64_t addr, const uint8_t *page)
{
	struct crc_walk *cw = (struct crc_walk *)walk;

	cw->crc = (uint32_t)crc32(cw->crc, page, PKERNFS_PAGE_SIZE);
	return 0;
}

static int crc_entry(struct pk_walk *walk, uint64_t index, uint64_t entry)
{
	uint8_t page[PKERNFS_PAGE_SIZE];
	int r = pk_page(walk->ctx, entry, page);

	return r ?: crc_node(walk, entry, page);
}

int pk_crc_tree(struct pk_ctx *ctx, uint64_t tree, uint32_t *crc)
{
	struct crc_walk cw = { .walk = { .ctx = ctx, .node = crc_node, .entry = crc_entry }, .crc = *crc };
	int r = pk_walk_tree(tree, &cw.walk);

	*crc = cw.crc;
	return r;
}

int pk_crc_record(struct pk_ctx *ctx, const struct pkernfs_inode *rec, uint32_t *ret_crc)
{
	struct crc_walk cw = { .walk = { .ctx = ctx, .node = crc_node } };
	struct pkernfs_inode copy = *rec;
	int r;

	copy.crc = 0;
	cw.crc = (uint32_t)crc32(0, (const uint8_t *)&copy, sizeof(copy));
	if ((rec->mode & S_IFMT) != S_IFREG)
		cw.walk.entry = crc_entry;
	r = pk_walk_tree(rec->map, &cw.walk);
	*ret_crc = cw.crc;
	return r ?: pk_crc_tree(ctx, rec->xattr, ret_crc);
}

uint32_t pk_crc_page(const void *page, size_t seal)
{
	uint8_t copy[PKERNFS_PAGE_SIZE];

	memcpy(copy, page, sizeof(copy));
	memset(copy + seal, 0, offsetof(struct pkernfs_seal, generation));
	return (uint32_t)crc32(0, copy, sizeof(copy));
}

uint32_t pk_crc_super_page(const struct pkernfs_super *super)
{
	struct pkernfs_super copy = *super;

	copy.tree_crc = 0;
	return pk_crc_page(&copy, offsetof(struct pkernfs_super, seal));
}

uint32_t pk_crc_slot(const struct pkernfs_slot *slot)
{
	struct pkernfs_slot copy = *slot;

	copy.crc = 0;
	return (uint32_t)crc32(0, (const uint8_t *)&copy, sizeof(copy));
}

/* Owners: filesystem + 1 above the inode's number, which has 31 bits and a bit */
static uint64_t owner_of(const struct pk_fs *fs, uint64_t ino)
{
	return (uint64_t)(fs->slot + 1) << 40 | (ino & 0xffffffffffULL);
}

bool pk_owned_by_file(uint64_t owner)
{
	return owner >> 40 && owner & 0xffffffffffULL;
}

int pk_claim(struct pk_fs *fs, uint64_t addr, unsigned int order, uint64_t ino)
{
	uint64_t size = PKERNFS_PAGE_SIZE << order, other;
	struct pk_ctx *ctx = fs->ctx;
	int r;

	if (!addr || addr & ~PKERNFS_ADDR_MASK || addr & (size - 1))
		return pk_bad(ctx, "%#llx is no address of a block of %llu KiB", (unsigned long long)addr,
			      (unsigned long long)(size >> 10));
	if (!lu_memory_has(ctx->m, addr, size))
		return pk_bad(ctx, "there is no memory at %#llx for a block of %llu KiB", (unsigned long long)addr,
			      (unsigned long long)(size >> 10));
	r = lu_claims_add(&ctx->claims, addr, order, owner_of(fs, ino), &other);
	if (r < 0)
		return lu_error_set(ctx->e, r, NULL, "out of memory");
	if (r == 0) {
		fs->nr_pages += 1ULL << order;
		return 0;
	}
	if (other >> 40 == 0)
		return pk_bad(ctx, "the block at %#llx is the root page", (unsigned long long)addr);
	if (other >> 40 != fs->slot + 1)
		return pk_bad(ctx, "the block at %#llx is used by another filesystem, in slot %u",
			      (unsigned long long)addr, (unsigned int)(other >> 40) - 1);
	if ((other & 0xffffffffffULL) == 0)
		return pk_bad(ctx, "the block at %#llx is part of the inode table or the super page",
			      (unsigned long long)addr);
	if ((other & 0xffffffffffULL) == PK_INO_POISON)
		return pk_bad(ctx, "the block at %#llx has a bad page that is to be in no file",
			      (unsigned long long)addr);
	return pk_bad(ctx, "the block at %#llx is used by inode %llu, too", (unsigned long long)addr,
		      (unsigned long long)(other & 0xffffffffffULL));
}
