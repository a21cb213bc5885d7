// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See make-pkernfs.h. Trees here have height 0 or 1. Nothing of the verifier is used, so
 * that both read the header by themselves.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <zlib.h>

#include "make-pkernfs.h"

void image_new(struct image *image)
{
	struct pkernfs_root *root;

	*image = (struct image){ .fd = memfd_create("image", MFD_CLOEXEC),
				 .next = IMAGE_ROOT + 0x1000,
				 .next_huge = IMAGE_HUGE };
	assert(image->fd >= 0 && ftruncate(image->fd, IMAGE_SIZE) == 0);
	image->mem = mmap(NULL, IMAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, image->fd, 0);
	assert(image->mem != MAP_FAILED);
	snprintf(image->path, sizeof(image->path), "/proc/self/fd/%d", image->fd);
	root = image_at(image, IMAGE_ROOT);
	root->magic = PKERNFS_ROOT_MAGIC;
	root->version = PKERNFS_VERSION_MIN;
	root->page_size = PKERNFS_PAGE_SIZE;
}

void image_free(struct image *image)
{
	munmap(image->mem, IMAGE_SIZE);
	close(image->fd);
}

void *image_at(struct image *image, uint64_t addr)
{
	assert(addr < IMAGE_SIZE);
	return image->mem + addr;
}

uint64_t image_page(struct image *image)
{
	uint64_t addr = image->next;

	image->next += PKERNFS_PAGE_SIZE;
	assert(image->next <= IMAGE_HUGE);
	return addr;
}

/* Where the entry of an index stands; the tree grows to height 1 */
static uint64_t *tree_slot(struct image_fs *fs, uint64_t *tree, uint64_t index)
{
	uint64_t node, *words;

	assert(index < PKERNFS_NODE_WORDS);
	if (index == 0 && (*tree & PKERNFS_HEIGHT_MASK) == 0)
		return tree;
	if ((*tree & PKERNFS_HEIGHT_MASK) == 0) {
		node = image_page(fs->image);
		words = image_at(fs->image, node);
		words[0] = *tree;
		*tree = node | 1;
		fs->super->nr_pages++;
	}
	words = image_at(fs->image, *tree & PKERNFS_ADDR_MASK);
	return &words[index];
}

static uint64_t *tree_find(struct image_fs *fs, uint64_t *tree, uint64_t index)
{
	if ((*tree & PKERNFS_HEIGHT_MASK) == 0)
		return index ? NULL : tree;
	return (uint64_t *)image_at(fs->image, *tree & PKERNFS_ADDR_MASK) + index;
}

struct pkernfs_inode *image_inode(struct image_fs *fs, uint64_t ino)
{
	uint64_t *slot = tree_slot(fs, (uint64_t *)&fs->super->inodes, ino / PKERNFS_INODES_PER_PAGE);
	struct pkernfs_inode_page *page;

	if (!*slot) {
		*slot = image_page(fs->image);
		fs->super->nr_pages++;
	}
	page = image_at(fs->image, *slot);
	return &page->inode[ino % PKERNFS_INODES_PER_PAGE];
}

static uint64_t inode_new(struct image_fs *fs, mode_t mode)
{
	uint64_t ino = fs->next_ino++;
	struct pkernfs_inode *rec = image_inode(fs, ino);

	*rec = (struct pkernfs_inode){
		.ino = ino,
		.mode = mode,
		.nlink = S_ISDIR(mode) ? 2 : 0,
		.block_order = S_ISREG(mode) ? PKERNFS_ORDER_UNSET : PKERNFS_ORDER_SMALL,
		.generation = fs->super->next_generation++,
		.mtime_ns = 1700000000000000000LL + (int64_t)ino,
	};
	fs->super->nr_inodes++;
	return ino;
}

void image_fs_new(struct image *image, const char *name, struct image_fs *ret)
{
	struct pkernfs_root *root = image_at(image, IMAGE_ROOT);
	struct pkernfs_slot *slot = &root->slot[image->n_fs];
	uint64_t addr = image_page(image);
	struct pkernfs_super *super = image_at(image, addr);

	slot->super = addr;
	strcpy(slot->name, name);
	slot->node = -1;
	*super = (struct pkernfs_super){
		.magic = PKERNFS_SB_MAGIC,
		.version = PKERNFS_VERSION_MIN,
		.page_size = PKERNFS_PAGE_SIZE,
		.nr_pages = 1,
		.next_generation = 1,
		.uuid = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, (uint8_t)image->n_fs },
	};
	image->super[image->n_fs++] = addr;
	*ret = (struct image_fs){ .image = image, .super = super, .next_ino = PKERNFS_ROOT_INO };
	inode_new(ret, S_IFDIR | 0755);
}

void image_link(struct image_fs *fs, uint64_t dir, const char *name, uint64_t ino)
{
	struct pkernfs_inode *parent = image_inode(fs, dir), *rec = image_inode(fs, ino);

	for (uint64_t index = 0;; index++) {
		uint64_t *slot = tree_slot(fs, (uint64_t *)&parent->map, index);
		struct pkernfs_dir_page *page;

		if (!*slot) {
			*slot = image_page(fs->image);
			fs->super->nr_pages++;
			parent->nr_pages++;
			parent->size += PKERNFS_PAGE_SIZE;
			page = image_at(fs->image, *slot);
			*page = (struct pkernfs_dir_page){ .magic = PKERNFS_DIR_MAGIC,
							   .index = (uint32_t)index,
							   .ino = dir };
		}
		page = image_at(fs->image, *slot);
		for (unsigned int i = 0; i < PKERNFS_DIRENTS_PER_PAGE; i++) {
			struct pkernfs_dirent *de = &page->entry[i];

			if (de->ino)
				continue;
			de->ino = ino;
			de->type = (uint8_t)(rec->mode >> 12);
			de->len = (uint8_t)strlen(name);
			strcpy(de->name, name);
			if (!S_ISDIR(rec->mode))
				rec->nlink++;
			else
				parent->nlink++;
			return;
		}
	}
}

uint64_t image_add(struct image_fs *fs, uint64_t dir, const char *name, mode_t mode)
{
	uint64_t ino = inode_new(fs, mode);

	image_link(fs, dir, name, ino);
	return ino;
}

void image_fill(struct image_fs *fs, uint64_t ino, unsigned int order, unsigned int n)
{
	struct pkernfs_inode *rec = image_inode(fs, ino);

	rec->block_order = (uint8_t)order;
	for (unsigned int i = 0; i < n; i++) {
		uint64_t *slot = tree_slot(fs, (uint64_t *)&rec->map, i);

		if (order) {
			*slot = fs->image->next_huge;
			fs->image->next_huge += PKERNFS_PAGE_SIZE << order;
			assert(fs->image->next_huge <= IMAGE_SIZE);
		} else {
			*slot = image_page(fs->image);
		}
		rec->nr_pages += 1ULL << order;
		fs->super->nr_pages += 1ULL << order;
		rec->size += PKERNFS_PAGE_SIZE << order;
	}
}

void image_symlink(struct image_fs *fs, uint64_t ino, const char *target)
{
	struct pkernfs_inode *rec = image_inode(fs, ino);

	rec->map = image_page(fs->image);
	strcpy(image_at(fs->image, rec->map), target);
	rec->size = strlen(target);
	rec->nr_pages = 1;
	fs->super->nr_pages++;
}

void image_xattr(struct image_fs *fs, uint64_t ino, const char *name, const char *value)
{
	struct pkernfs_inode *rec = image_inode(fs, ino);
	struct pkernfs_xattr_page *page;
	struct pkernfs_xattr *x;

	if (!rec->xattr) {
		rec->xattr = image_page(fs->image);
		fs->super->nr_pages++;
		fs->super->incompat |= PKERNFS_INCOMPAT_XATTR;
		page = image_at(fs->image, rec->xattr);
		page->magic = PKERNFS_XATTR_MAGIC;
		page->ino = ino;
		page->used = offsetof(struct pkernfs_xattr_page, attr);
	}
	page = image_at(fs->image, rec->xattr);
	x = (struct pkernfs_xattr *)((uint8_t *)page + page->used);
	x->name_len = (uint8_t)strlen(name);
	x->value_len = (uint16_t)strlen(value);
	x->size = (uint16_t)((sizeof(*x) + x->name_len + 1u + x->value_len + 7) & ~7u);
	strcpy(x->name, name);
	memcpy(x->name + x->name_len + 1, value, x->value_len);
	page->used += x->size;
}

void image_bad(struct image_fs *fs, uint64_t addr)
{
	uint64_t nr = fs->n_bad++;
	uint64_t *slot = tree_slot(fs, (uint64_t *)&fs->super->bad, nr / PKERNFS_BAD_PER_PAGE);
	struct pkernfs_bad_page *page;

	if (!*slot) {
		*slot = image_page(fs->image);
		fs->super->nr_pages++;
		fs->super->incompat |= PKERNFS_INCOMPAT_POISON;
		page = image_at(fs->image, *slot);
		page->magic = PKERNFS_BAD_MAGIC;
		page->index = (uint32_t)(nr / PKERNFS_BAD_PER_PAGE);
	}
	page = image_at(fs->image, *slot);
	page->bad[nr % PKERNFS_BAD_PER_PAGE] = addr;
	if (addr & PKERNFS_BAD_FREE)
		fs->super->nr_pages++;
}

struct pkernfs_bad_page *image_bad_page(struct image_fs *fs, uint64_t index)
{
	return image_at(fs->image, *tree_slot(fs, (uint64_t *)&fs->super->bad, index));
}

static uint32_t crc_tree(struct image_fs *fs, uint64_t tree, bool blocks, uint32_t crc)
{
	const uint64_t *words = &tree;
	size_t n = 1;

	if (tree & PKERNFS_HEIGHT_MASK) {
		words = image_at(fs->image, tree & PKERNFS_ADDR_MASK);
		n = PKERNFS_NODE_WORDS;
		crc = (uint32_t)crc32(crc, (const uint8_t *)words, PKERNFS_PAGE_SIZE);
	}
	for (size_t i = 0; blocks && i < n; i++)
		if (words[i])
			crc = (uint32_t)crc32(crc, image_at(fs->image, words[i]), PKERNFS_PAGE_SIZE);
	return crc;
}

static void seal_fs(struct image_fs *fs, bool sealed)
{
	struct pkernfs_super *super = fs->super;
	uint32_t crc;

	for (uint64_t ino = 1; sealed && ino < PKERNFS_NODE_WORDS * PKERNFS_INODES_PER_PAGE; ino++) {
		uint64_t inodes = super->inodes, *slot = tree_find(fs, &inodes, ino / PKERNFS_INODES_PER_PAGE);
		struct pkernfs_inode *rec;

		if (!slot || !*slot)
			continue;
		rec = &((struct pkernfs_inode_page *)image_at(fs->image, *slot))->inode[ino % PKERNFS_INODES_PER_PAGE];
		if (!rec->ino)
			rec->crc = PKERNFS_FREE_CRC;
		if (!rec->ino || rec->flags & PKERNFS_I_DAMAGED)
			continue;
		rec->crc = 0;
		crc = (uint32_t)crc32(0, (const uint8_t *)rec, sizeof(*rec));
		crc = crc_tree(fs, rec->map, !S_ISREG(rec->mode), crc);
		rec->crc = crc_tree(fs, rec->xattr, true, crc);
	}
	super->seal = (struct pkernfs_seal){ .generation = 7, .boottime_ns = 1000, .tsc = 5000, .duration_ns = 300 };
	if (!sealed)
		return;
	super->compat |= PKERNFS_COMPAT_TREE_SUM;
	super->tree_crc = 0;
	crc = crc_tree(fs, super->inodes, false, (uint32_t)crc32(0, (const uint8_t *)super, sizeof(*super)));
	super->tree_crc = crc_tree(fs, super->bad, true, crc);
	crc = crc_tree(fs, super->inodes, true, (uint32_t)crc32(0, (const uint8_t *)super, sizeof(*super)));
	super->seal.crc = crc_tree(fs, super->bad, true, crc);
	super->seal.state = PKERNFS_SEALED;
}

void image_seal(struct image *image, bool sealed)
{
	struct pkernfs_root *root = image_at(image, IMAGE_ROOT);

	for (unsigned int i = 0; i < image->n_fs; i++) {
		struct image_fs fs = { .image = image, .super = image_at(image, image->super[i]) };

		seal_fs(&fs, sealed);
	}
	root->seal = (struct pkernfs_seal){ .generation = 7, .boottime_ns = 2000 };
	for (unsigned int i = 0; sealed && i < PKERNFS_SLOTS; i++) {
		root->slot[i].flags |= PKERNFS_SLOT_SUM;
		root->slot[i].crc = 0;
		root->slot[i].crc = (uint32_t)crc32(0, (const uint8_t *)&root->slot[i], sizeof(root->slot[i]));
	}
	if (sealed) {
		root->seal.crc = (uint32_t)crc32(0, (const uint8_t *)root, sizeof(*root));
		root->seal.state = PKERNFS_SEALED;
	}
}

void image_small(struct image *image)
{
	struct image_fs fs;
	uint64_t ino;

	image_new(image);
	image_fs_new(image, "", &fs);
	ino = image_add(&fs, PKERNFS_ROOT_INO, "guest", S_IFREG | 0600); /* 2 */
	image_fill(&fs, ino, PKERNFS_ORDER_HUGE, 2);
	ino = image_add(&fs, PKERNFS_ROOT_INO, "state", S_IFREG | 0600); /* 3 */
	image_fill(&fs, ino, PKERNFS_ORDER_SMALL, 1);
	image_xattr(&fs, ino, "user.a", "one");
	image_xattr(&fs, ino, "security.selinux", "system_u:object_r:x");
	ino = image_add(&fs, PKERNFS_ROOT_INO, "link", S_IFLNK | 0777); /* 4 */
	image_symlink(&fs, ino, "state");
}

void image_poisoned(struct image *image)
{
	struct image_fs fs;
	uint64_t ram, state;

	image_new(image);
	image_fs_new(image, "", &fs);
	ram = image_add(&fs, PKERNFS_ROOT_INO, "ram", S_IFREG | 0600); /* 2 */
	image_fill(&fs, ram, PKERNFS_ORDER_HUGE, 2);
	state = image_add(&fs, PKERNFS_ROOT_INO, "state", S_IFREG | 0600); /* 3 */
	image_fill(&fs, state, PKERNFS_ORDER_SMALL, 1);
	image_bad(&fs, IMAGE_HUGE + 0x207000);
	image_bad(&fs, (IMAGE_HUGE + 0x500000) | PKERNFS_BAD_FREE); /* two blocks after those of the file */
	image_bad(&fs, IMAGE_HUGE + 0x5000);
	image_bad(&fs, image_inode(&fs, state)->map);
}

void image_large(struct image *image)
{
	struct image_fs fs;
	uint64_t ino, dir;
	char name[32];

	image_new(image);
	image_fs_new(image, "", &fs);
	dir = image_add(&fs, PKERNFS_ROOT_INO, "vm", S_IFDIR | 0700); /* 2 */
	ino = image_add(&fs, dir, "ram", S_IFREG | 0600);             /* 3 */
	image_fill(&fs, ino, PKERNFS_ORDER_HUGE, 3);
	ino = image_add(&fs, dir, "state", S_IFREG | 0600); /* 4 */
	image_fill(&fs, ino, PKERNFS_ORDER_SMALL, 20);
	image_xattr(&fs, ino, "user.a", "one");
	image_link(&fs, PKERNFS_ROOT_INO, "hard", ino);
	image_add(&fs, PKERNFS_ROOT_INO, "pipe", S_IFIFO | 0600); /* 5 */
	ino = inode_new(&fs, S_IFREG | 0600);                     /* 6: unlinked */
	image_fill(&fs, ino, PKERNFS_ORDER_SMALL, 2);
	for (unsigned int i = 0; i < 40; i++) { /* 7 to 46 */
		snprintf(name, sizeof(name), "file%u", i);
		image_add(&fs, PKERNFS_ROOT_INO, name, S_IFREG | 0644);
	}
	image_fs_new(image, "second", &fs);
	ino = image_add(&fs, PKERNFS_ROOT_INO, "ram", S_IFREG | 0600); /* 2 */
	image_fill(&fs, ino, PKERNFS_ORDER_HUGE, 1);
	fs.super->max_pages = 4096;
	fs.super->compat |= PKERNFS_COMPAT_NODE;
	((struct pkernfs_root *)image_at(image, IMAGE_ROOT))->slot[1].node = 1;
}
