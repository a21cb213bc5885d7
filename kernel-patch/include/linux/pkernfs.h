/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * pkernfs: in-memory format of the filesystem that survives kexec.
 *
 * THE CONTRACT
 *
 * Everything below describes memory that one kernel leaves to the next one
 * through Kexec HandOver (KHO).  The two may be of any version, older or
 * newer, so this is an on-disk format in all but the disk, and this header is
 * its only definition: kernel, offline verifier and tests include it.
 *
 *  KHO subtree "pkernfs" -> root page: slots of named filesystems
 *    slot[name] -> super page
 *      super.inodes -> tree of inode table pages, PKERNFS_INODES_PER_PAGE each
 *        inode.map -> tree of
 *          regular file: data blocks of 2^inode.block_order pages
 *          directory:    pages of struct pkernfs_dirent
 *          symlink:      one page with the target, NUL terminated
 *        inode.xattr -> tree of one page of extended attributes
 *
 * All integers are little-endian (pkernfs can't be built for anything else),
 * all addresses are physical, all pages are 4 KiB.  Every page named here is
 * preserved through KHO with the order it has here, for as long as something
 * points to it.  Unused fields and bytes are zero.
 *
 * A tree word is 0 (empty), or address of a 4 KiB node | height (1 to
 * PKERNFS_MAX_HEIGHT), or, with height 0, the entry of index 0 and no other.
 * A node is 512 words; above height 1 a word is 0 or the bare address of a node
 * one lower, at height 1 it is an entry.  An entry is 0 (hole) or address of a
 * block | PKERNFS_ENTRY_FLAGS, none of which is assigned yet.
 *
 * RULES FOR CHANGE
 *
 *  1. Fields are never moved, resized or given another meaning.  New ones are
 *     taken out of reserved space, and zero means what was true before.
 *  2. What an older kernel may ignore and still change the filesystem gets a
 *     compat bit; what it may ignore while it only reads, a ro_compat bit;
 *     everything else an incompat bit.  An unknown incompat bit refuses the
 *     mount, an unknown ro_compat bit a writable one.
 *  3. The writer states the lowest version and the fewest bits that express
 *     what is there, and takes a bit back when its last use is gone, so that
 *     going back to an older kernel works as long as it can work.
 *  4. Version goes up only when words and bits can't say it.
 *
 * COMMIT
 *
 * Memory is updated in place.  What is new is filled in completely, then one
 * aligned 64-bit store makes it reachable: a tree word, pkernfs_inode.ino,
 * pkernfs_dirent.ino, pkernfs_slot.super.  What goes is made unreachable by
 * such a store first and given up then.
 *
 * SEAL
 *
 * On the way to kexec, writers are stopped, then each pkernfs_inode.crc, the
 * super page's and the root page's seal are written, in this order, with
 * state PKERNFS_SEALED stored last.  The next kernel believes a sealed
 * filesystem whose sums match; it walks an unsealed one link by link.  Sums
 * are CRC-32 (polynomial 0xedb88320, start value ~0, result inverted: zlib's
 * crc32()) over the following, with pkernfs_inode.crc or pkernfs_seal.state
 * and .crc taken as zero:
 *
 *  inode: the record, then pages of its map, each node before what it points
 *         to, from low to high; of a directory or symlink also the blocks,
 *         not of a file; then likewise of its xattr tree, blocks included
 *  super: the page, then nodes and inode table pages of super.inodes likewise
 *  root:  the page
 */
#ifndef _UAPI_LINUX_PKERNFS_H
#define _UAPI_LINUX_PKERNFS_H

#include <linux/types.h>

#define PKERNFS_KHO_NAME	"pkernfs"	/* KHO subtree, blob = root page */
#define PKERNFS_SUPER_MAGIC	0x504b4653	/* statfs f_type, "PKFS" */

#define PKERNFS_ROOT_MAGIC	0x544f4f5253464b50ULL	/* "PKFSROOT" */
#define PKERNFS_SB_MAGIC	0x5245505553464b50ULL	/* "PKFSUPER" */
#define PKERNFS_DIR_MAGIC	0x44464b50U		/* "PKFD" */
#define PKERNFS_XATTR_MAGIC	0x58464b50U		/* "PKFX" */

#define PKERNFS_VERSION		1	/* highest version this header describes */
#define PKERNFS_VERSION_MIN	1	/* lowest version it still describes */

/* Feature bits */
#define PKERNFS_COMPAT_NODE		(1ULL << 0)	/* pkernfs_slot.node isn't -1 */
#define PKERNFS_INCOMPAT_XATTR		(1ULL << 5)	/* an inode has an xattr tree */
/* These are spoken for: */
#define PKERNFS_INCOMPAT_1G		(1ULL << 0)	/* blocks of order 18 */
#define PKERNFS_INCOMPAT_UNMAPPED	(1ULL << 1)	/* not in the direct map */
#define PKERNFS_INCOMPAT_GMEM		(1ULL << 2)	/* guest_memfd files */
#define PKERNFS_INCOMPAT_POISON		(1ULL << 3)	/* entries with bad memory */
#define PKERNFS_INCOMPAT_HVO		(1ULL << 4)	/* optimised vmemmap */
/* What the code next to this header can handle */
#define PKERNFS_COMPAT_SUPP		PKERNFS_COMPAT_NODE
#define PKERNFS_RO_COMPAT_SUPP		0ULL
#define PKERNFS_INCOMPAT_SUPP		PKERNFS_INCOMPAT_XATTR

/*
 * Sizes and maxima
 *
 *  node                512 words * 8 B = 4096 B
 *  inodes              512^3 pages * 16 records = 2^31 at height 3
 *  file, 4 KiB blocks  512^4 * 2^12 = 2^48 B (256 TiB) at height 4
 *  file, 2 MiB blocks  512^3 * 2^21 = 2^48 B           at height 3
 *  directory           15 entries a page * 2^20 pages = 15,728,640 entries
 *  extended attributes 4096 B - 16 B head = 4080 B an inode, 8 B head each
 *  filesystems         63 slots * 64 B + 64 B head = 4096 B
 */
#define PKERNFS_PAGE_SHIFT		12
#define PKERNFS_PAGE_SIZE		(1UL << PKERNFS_PAGE_SHIFT)
#define PKERNFS_NODE_SHIFT		9
#define PKERNFS_NODE_WORDS		(1UL << PKERNFS_NODE_SHIFT)
#define PKERNFS_MAX_HEIGHT		4
#define PKERNFS_HEIGHT_MASK		0x7ULL
#define PKERNFS_ENTRY_FLAGS		0xff8ULL
#define PKERNFS_ENTRY_FLAGS_SUPP	0ULL
#define PKERNFS_ADDR_MASK		0x000ffffffffff000ULL
#define PKERNFS_ORDER_SMALL		0	/* state file, 4 KiB */
#define PKERNFS_ORDER_HUGE		9	/* RAM file, 2 MiB */
#define PKERNFS_ORDER_UNSET		0xff	/* file without a size yet */
#define PKERNFS_MAX_FILE_SIZE		(1ULL << 48)
#define PKERNFS_MAX_INO			0x7fffffffULL
#define PKERNFS_ROOT_INO		1
#define PKERNFS_INODES_PER_PAGE		16
#define PKERNFS_DIRENTS_PER_PAGE	15
#define PKERNFS_MAX_DIR_PAGES		(1UL << 20)
#define PKERNFS_NAME_MAX		255
#define PKERNFS_SLOT_NAME_MAX		39
#define PKERNFS_SLOTS			63
#define PKERNFS_MAX_LINKS		1000000
#define PKERNFS_SYMLINK_MAX		4095

/**
 * struct pkernfs_seal - state of the metadata, written on the way to kexec
 * @state: one of the values below
 * @crc: see SEAL above; what of it counts depends on where the seal is
 * @generation: how often this was sealed, carried on from kernel to kernel
 * @boottime_ns: CLOCK_BOOTTIME of the kernel that sealed
 * @tsc: get_cycles() of the kernel that sealed
 * @duration_ns: how long sealing took up to here
 */
struct pkernfs_seal {
	__u32 state;
#define PKERNFS_OPEN		0U
#define PKERNFS_SEALED		0x4c414553U	/* "SEAL" */
	__u32 crc;
	__u64 generation;
	__u64 boottime_ns;
	__u64 tsc;
	__u64 duration_ns;
};

/**
 * struct pkernfs_slot - one named filesystem
 * @super: physical address of its super page, 0: the slot is free
 * @name: NUL terminated, unique; "" is the default filesystem
 * @node: NUMA node that new blocks of files come from, -1: any
 * @flags: zero
 * @reserved: zero
 */
struct pkernfs_slot {
	__u64 super;
	char  name[PKERNFS_SLOT_NAME_MAX + 1];
	__s32 node;
	__u32 flags;
	__u64 reserved;
};

/**
 * struct pkernfs_root - what KHO's subtree points to
 * @magic: PKERNFS_ROOT_MAGIC
 * @version: lowest version that describes the root page
 * @page_size: PKERNFS_PAGE_SIZE
 * @incompat: features without which the slots can't be read
 * @seal: seal of this page
 * @slot: the filesystems
 */
struct pkernfs_root {
	__u64 magic;
	__u32 version;
	__u32 page_size;
	__u64 incompat;
	struct pkernfs_seal seal;
	struct pkernfs_slot slot[PKERNFS_SLOTS];
};

/**
 * struct pkernfs_super - one filesystem
 * @magic: PKERNFS_SB_MAGIC
 * @version: lowest version that describes this filesystem
 * @page_size: PKERNFS_PAGE_SIZE
 * @compat: see RULES FOR CHANGE
 * @ro_compat: see RULES FOR CHANGE
 * @incompat: see RULES FOR CHANGE
 * @uuid: made up when the filesystem was
 * @inodes: tree of inode table pages; inode n is record n % 16 of page n / 16
 * @nr_inodes: records in use, as of the seal
 * @nr_pages: 4 KiB pages preserved for this filesystem, data and metadata
 *            without the root page, as of the seal
 * @max_pages: limit for nr_pages, 0: none
 * @next_generation: for the next inode
 * @created_ns: CLOCK_REALTIME
 * @seal: seal of this page and the inode table
 * @reserved: zero
 */
struct pkernfs_super {
	__u64 magic;
	__u32 version;
	__u32 page_size;
	__u64 compat;
	__u64 ro_compat;
	__u64 incompat;
	__u8  uuid[16];
	__u64 inodes;
	__u64 nr_inodes;
	__u64 nr_pages;
	__u64 max_pages;
	__u64 next_generation;
	__s64 created_ns;
	struct pkernfs_seal seal;
	__u8  reserved[4096 - 144];
};

/**
 * struct pkernfs_inode - one inode
 * @ino: its own number; 0: the record is free and the rest of no meaning
 * @mode: type and permissions as in struct stat
 * @nlink: directory entries that name it (a directory: 2 + subdirectories);
 *         0: unlinked while open, dropped by the next kernel
 * @uid: in the initial user namespace
 * @gid: in the initial user namespace
 * @rdev: device number, as new_encode_dev() makes it
 * @block_order: blocks of a file are 2^order pages, PKERNFS_ORDER_UNSET
 *               while the map is empty, the file has no size and nobody has
 *               asked for an order
 * @inherit_order: block_order of what is made in a directory, if flags say so
 * @pad: zero
 * @flags: PKERNFS_I_*
 * @size: in bytes; a directory: its pages * 4096
 * @nr_pages: 4 KiB pages in its blocks; tree nodes are not counted
 * @map: tree of blocks; there may be blocks beyond @size
 * @xattr: tree of one page, thus of height 0; 0: no extended attributes
 * @atime_ns: since 1970, like the three others
 * @mtime_ns: data changed
 * @ctime_ns: inode changed
 * @btime_ns: inode created
 * @generation: differs when a number is used again
 * @project: reserved
 * @reserved: zero
 * @crc: see SEAL
 */
struct pkernfs_inode {
	__u64 ino;
	__u32 mode;
	__u32 nlink;
	__u32 uid;
	__u32 gid;
	__u32 rdev;
	__u8  block_order;
	__u8  inherit_order;
	__u8  pad[2];
	__u64 flags;
#define PKERNFS_I_FROZEN	(1ULL << 0)	/* reserved: no change before the jump */
#define PKERNFS_I_EXTSIZE	(1ULL << 1)	/* file: block_order was asked for */
#define PKERNFS_I_EXTINHERIT	(1ULL << 2)	/* directory: inherit_order is valid */
#define PKERNFS_I_SUPP		(PKERNFS_I_EXTSIZE | PKERNFS_I_EXTINHERIT)
	__u64 size;
	__u64 nr_pages;
	__u64 map;
	__u64 xattr;
	__s64 atime_ns;
	__s64 mtime_ns;
	__s64 ctime_ns;
	__s64 btime_ns;
	__u64 generation;
	__u32 project;
	__u8  reserved[256 - 120];
	__u32 crc;
};

struct pkernfs_inode_page {
	struct pkernfs_inode inode[PKERNFS_INODES_PER_PAGE];
};

/**
 * struct pkernfs_dirent - one name in a directory
 * @ino: what it names, 0: the entry is free and the rest of no meaning
 * @type: DT_*
 * @len: length of name without NUL, 1 to PKERNFS_NAME_MAX
 * @reserved: zero
 * @name: NUL terminated
 */
struct pkernfs_dirent {
	__u64 ino;
	__u8  type;
	__u8  len;
	__u8  reserved[6];
	char  name[PKERNFS_NAME_MAX + 1];
};

/**
 * struct pkernfs_dir_page - one page of a directory; "." and ".." aren't stored
 * @magic: PKERNFS_DIR_MAGIC
 * @index: number of this page in the directory
 * @ino: the directory
 * @entry: names
 */
struct pkernfs_dir_page {
	__u32 magic;
	__u32 index;
	__u64 ino;
	struct pkernfs_dirent entry[PKERNFS_DIRENTS_PER_PAGE];
};

/**
 * struct pkernfs_xattr - one extended attribute
 * @size: of this one, up to the next, a multiple of 8
 * @value_len: length of the value
 * @name_len: length of the name without NUL, 1 to 255
 * @reserved: zero
 * @name: whole name ("user.x"), NUL terminated; the value follows, then zeros
 */
struct pkernfs_xattr {
	__u16 size;
	__u16 value_len;
	__u8  name_len;
	__u8  reserved[3];
	char  name[];
};

/**
 * struct pkernfs_xattr_page - all extended attributes of an inode
 * @magic: PKERNFS_XATTR_MAGIC
 * @used: bytes in use, from the start of the page
 * @ino: the inode
 * @attr: struct pkernfs_xattr, one after the other; names differ
 *
 * A page is never changed once the inode points to it, but replaced.
 */
struct pkernfs_xattr_page {
	__u32 magic;
	__u32 used;
	__u64 ino;
	__u8  attr[4096 - 16];
};

#if defined(__KERNEL__) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L)
_Static_assert(sizeof(struct pkernfs_xattr) == 8, "pkernfs_xattr");
_Static_assert(sizeof(struct pkernfs_xattr_page) == 4096, "pkernfs_xattr_page");
_Static_assert(sizeof(struct pkernfs_seal) == 40, "pkernfs_seal");
_Static_assert(sizeof(struct pkernfs_slot) == 64, "pkernfs_slot");
_Static_assert(sizeof(struct pkernfs_root) == 4096, "pkernfs_root");
_Static_assert(sizeof(struct pkernfs_super) == 4096, "pkernfs_super");
_Static_assert(sizeof(struct pkernfs_inode) == 256, "pkernfs_inode");
_Static_assert(sizeof(struct pkernfs_inode_page) == 4096, "pkernfs_inode_page");
_Static_assert(sizeof(struct pkernfs_dirent) == 272, "pkernfs_dirent");
_Static_assert(sizeof(struct pkernfs_dir_page) == 4096, "pkernfs_dir_page");
#endif

#endif /* _UAPI_LINUX_PKERNFS_H */
