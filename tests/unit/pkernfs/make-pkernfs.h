/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Memory with a pkernfs in it, made from the shared header, page by page: what a kernel
 * would leave behind, and then whatever a test does to it.
 */
#include <sys/stat.h>

#include "linux/pkernfs.h"
#include "util.h"

#define IMAGE_SIZE (16u << 20)
#define IMAGE_ROOT 0x3000u
#define IMAGE_HUGE 0x400000u /* first block of 2 MiB */

struct image {
	uint8_t *mem; /* IMAGE_SIZE bytes, mapped from @fd */
	int fd;
	char path[64]; /* of @fd */
	uint64_t next, next_huge;
	uint64_t super[2];
	unsigned int n_fs;
};

/* A filesystem in it; inode numbers are given out one by one */
struct image_fs {
	struct image *image;
	struct pkernfs_super *super;
	uint64_t next_ino;
	uint64_t n_bad;
};

void image_new(struct image *image);
void image_free(struct image *image);
void *image_at(struct image *image, uint64_t addr);
uint64_t image_page(struct image *image);

void image_fs_new(struct image *image, const char *name, struct image_fs *ret);
struct pkernfs_inode *image_inode(struct image_fs *fs, uint64_t ino);
/* A file, directory, … in @dir; returns its number */
uint64_t image_add(struct image_fs *fs, uint64_t dir, const char *name, mode_t mode);
/* One more name for an inode */
void image_link(struct image_fs *fs, uint64_t dir, const char *name, uint64_t ino);
/* Blocks 0 to @n - 1 of a file */
void image_fill(struct image_fs *fs, uint64_t ino, unsigned int order, unsigned int n);
void image_symlink(struct image_fs *fs, uint64_t ino, const char *target);
void image_xattr(struct image_fs *fs, uint64_t ino, const char *name, const char *value);
/* One more page of bad memory, perhaps with PKERNFS_BAD_FREE; 512 list pages at most */
void image_bad(struct image_fs *fs, uint64_t addr);
struct pkernfs_bad_page *image_bad_page(struct image_fs *fs, uint64_t index);
/* What the kernel does on the way to kexec, or leaves undone */
void image_seal(struct image *image, bool sealed);

/* "/": ram/guest (2 MiB blocks), state (4 KiB, attributes), a link; nothing that needs another page of metadata */
void image_small(struct image *image);
/* "/": ram (2: 2 MiB blocks, bad at 0x5000 and 0x207000), state (3: 4 KiB, bad at 0), and a bad page that is in no file */
void image_poisoned(struct image *image);
/* Two filesystems, trees of height 1 everywhere, hard links, an unlinked file */
void image_large(struct image *image);
