/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* What the files of the verifier share; see verify.c for the order of things. */
#include "claims.h"
#include "verify.h"
#include "linux/pkernfs.h"

/*
 * Positive returns of the functions below: @why says in words what is wrong with the image.
 * Negative ones are failures of reading it, or of memory, and end the verification.
 */
#define PK_BAD 1

/* In place of an inode that has a page: it is bad, and in no block */
#define PK_INO_POISON 0xffffffffffULL

struct pk_ctx {
	struct lu_memory *m;
	struct lu_pkernfs_report *report;
	struct lu_error *e;
	struct lu_claims claims;
	uint64_t *pages; /* that were read, in any order */
	size_t n_pages, room_pages;
	bool root_sealed;
	bool root_bad;   /* the root page does not match its checksum: slots have to by themselves */
	uint64_t budget; /* pages that may still be read: no tree has more than there is memory */
	char why[160];
};

/* One inode that is in the table */
struct pk_inode {
	uint64_t ino;
	uint64_t table;     /* address of the page with its record */
	uint64_t dir_pages; /* of a directory: index of the last one + 1 */
	uint32_t mode, nlink;
	uint32_t links, subdirs; /* as found in directories */
	size_t name;             /* index of its first name, SIZE_MAX: none */
	bool bad;
	bool reached;
};

struct pk_name {
	uint64_t parent, ino;
	char *name;
};

/* A verdict about an inode; told when all names are known */
struct pk_blame {
	uint64_t ino;
	enum lu_level level;
	const char *hint;
	char *what;
};

/* A page of memory that has gone bad */
struct pk_poison {
	uint64_t addr;
	bool is_free;         /* says the list: it is in no block */
	uint64_t ino, offset; /* the file that it was found in, 0: none; in bytes */
};

struct pk_fs {
	struct pk_ctx *ctx;
	unsigned int slot;
	char name[4 * (PKERNFS_SLOT_NAME_MAX + 1) + 16]; /* quoted, as objects begin */
	struct lu_pkernfs_fs *out;
	struct pkernfs_super super;
	bool sealed;
	bool damaged;
	bool usable;
	bool half_named; /* a directory is damaged, so names are missing */
	uint64_t nr_pages, nr_xattr, nr_1g;
	struct pk_inode *inode; /* ascending */
	size_t n_inodes, room_inodes;
	struct pk_name *names;
	size_t n_names, room_names;
	struct pk_blame *blame;
	size_t n_blames;
	struct pk_poison *poison; /* ascending by address, until pk_poison_end() */
	size_t n_poison, room_poison;
	bool poison_junk; /* the list has bytes set that mean nothing */
};

/* A page that begins as a root page */
struct pk_root {
	uint64_t addr;
	bool in_file; /* of a filesystem of another one */
};

struct pk_walk {
	struct pk_ctx *ctx;
	/* with the contents of the node, before what it points to; NULL: not wanted */
	int (*node)(struct pk_walk *walk, uint64_t addr, const uint8_t *page);
	int (*entry)(struct pk_walk *walk, uint64_t index, uint64_t entry);
};

/* tree.c */
/** pk_bad() - note what is wrong; returns PK_BAD */
int pk_bad(struct pk_ctx *ctx, const char *fmt, ...) _printf_(2, 3);
/** pk_page() - read a page of metadata */
int pk_page(struct pk_ctx *ctx, uint64_t addr, void *page);
/** pk_walk_tree() - call back for each node and entry, from low to high */
int pk_walk_tree(uint64_t tree, struct pk_walk *walk);
/** pk_crc_tree() - go on with a sum over a tree, nodes and what they lead to */
int pk_crc_tree(struct pk_ctx *ctx, uint64_t tree, uint32_t *crc);
/** pk_crc_record() - the sum of an inode, see SEAL in the header */
int pk_crc_record(struct pk_ctx *ctx, const struct pkernfs_inode *rec, uint32_t *ret_crc);
/** pk_crc_page() - the sum of a page with a seal in it, not yet inverted if more follows */
uint32_t pk_crc_page(const void *page, size_t seal);
/** pk_crc_super_page() - the first part of the sum of a super page and the nodes of its inode table */
uint32_t pk_crc_super_page(const struct pkernfs_super *super);
/** pk_crc_slot() - the sum of a slot of the root page */
uint32_t pk_crc_slot(const struct pkernfs_slot *slot);
/** pk_claim() - this filesystem has a block at @addr, for @ino (0: for itself) */
int pk_claim(struct pk_fs *fs, uint64_t addr, unsigned int order, uint64_t ino);
/** pk_owned_by_file() - has an inode the page, or had one, by what lu_claims_owner() says of it? Then guests may have written to it */
bool pk_owned_by_file(uint64_t owner);

/* root.c */
/** pk_find_root() - the only page of @m that can be the root page; -ENODATA, -ENOTUNIQ or another errno, with words */
int pk_find_root(struct lu_memory *m, uint64_t *ret, struct lu_error *e);

/* poison.c */
/** pk_poison_read() - read the list, claim what it consists of and what is in no block; before anything but the super page. Damage is told */
int pk_poison_read(struct pk_fs *fs);
/** pk_poison_in_block() - note which bad pages are in a block of a file, which stands at @index of its map */
void pk_poison_in_block(struct pk_fs *fs, uint64_t ino, uint64_t addr, unsigned int order, uint64_t index);
/** pk_poison_end() - count, and tell, when all blocks and names are known; 0 or -ENOMEM */
int pk_poison_end(struct pk_fs *fs);

/* verify.c */
/** pk_tell() - a verdict about a part of a filesystem; "": all of it */
void pk_tell(struct pk_fs *fs, enum lu_level level, const char *hint, const char *part, const char *what);
/** pk_disown_roots() - set in_file of those that are in a file of a filesystem of @roots[@i] */
int pk_disown_roots(struct lu_memory *m, struct pk_root *roots, size_t n, size_t i, struct lu_error *e);

/* inode.c */
/** pk_check_sum() - judge an inode by its sum and its record */
int pk_check_sum(struct pk_fs *fs, struct pk_inode *inode, const struct pkernfs_inode *rec);
/** pk_check_blocks() - claim what an inode consists of, look at what is metadata */
int pk_check_blocks(struct pk_fs *fs, struct pk_inode *inode, const struct pkernfs_inode *rec);
struct pk_inode *pk_inode_find(struct pk_fs *fs, uint64_t ino);
/** pk_blame() - a verdict about an inode; an error makes it a damaged one if @bad says so */
void pk_blame(struct pk_fs *fs, uint64_t ino, enum lu_level level, const char *hint, const char *fmt, ...)
	_printf_(5, 6);
bool pk_zero(const void *data, size_t size);

/* names.c */
/** pk_dir_page() - take up the names of a page of a directory */
int pk_dir_page(struct pk_fs *fs, struct pk_inode *dir, uint64_t index, const struct pkernfs_dir_page *page);
/** pk_check_names() - each inode has the names that its link count says, and can be reached */
int pk_check_names(struct pk_fs *fs);
/** pk_path() - "/vm/…/state", "" if it has none; free() it */
char *pk_path(struct pk_fs *fs, uint64_t ino);
/** pk_safe() - text of the image as valid UTF-8 without control characters, cut if long; free() it */
char *pk_safe(const char *text, size_t size);
