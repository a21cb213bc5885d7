// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The verifier against images made from the shared header, against damage in each bit of a
 * sealed one, and against one that a real kernel left (real.core.gz, its metadata alone).
 */
#include <sys/mman.h>
#include <zlib.h>

#include "../test.h"
#include "claims.h"
#include "judge.h"

static void test_small_is_clean(void **state)
{
	for (int sealed = 0; sealed < 2; sealed++) {
		struct lu_pkernfs_fs *fs;
		struct image image;
		struct verdict v;

		image_small(&image);
		image_seal(&image, sealed);
		expect_clean(&image);
		judge(&image, &v);
		assert_int_equal(v.report.n_fs, 1);
		fs = &v.report.fs[0];
		assert_int_equal(fs->state, LU_PKERNFS_INTACT);
		assert_int_equal(fs->seal, sealed ? LU_SEAL_SEALED : LU_SEAL_OPEN);
		assert_int_equal(fs->generation, 7);
		assert_int_equal(fs->files, 2);
		assert_int_equal(fs->directories, 1);
		assert_int_equal(fs->others, 1);
		assert_int_equal(fs->huge_blocks, 2);
		assert_int_equal(fs->small_blocks, 1);
		/* super page, table page, directory page, node, symbolic link, attributes */
		assert_int_equal(fs->metadata_pages, 6);
		assert_int_equal(fs->used, (6 + 1 + 2 * 512) * 4096);
		assert_int_equal(fs->incompat, PKERNFS_INCOMPAT_XATTR);
		verdict_clear(&v);
		image_free(&image);
	}
}

static void test_large_is_clean(void **state)
{
	_cleanup_free_ char *text = NULL;
	struct image image;
	struct verdict v;

	image_large(&image);
	image_seal(&image, true);
	expect_clean(&image);
	judge_path(image.path, LU_PKERNFS_FIND, &v);
	assert_int_equal(v.r, 0);
	assert_int_equal(v.report.root, IMAGE_ROOT);
	assert_int_equal(v.report.n_fs, 2);
	assert_int_equal(v.report.fs[0].unlinked, 1);
	assert_string_equal(v.report.fs[1].name, "second");
	assert_int_equal(v.report.fs[1].node, 1);
	assert_int_equal(v.report.fs[1].limit, 16 << 20);
	assert_int_equal(lu_pkernfs_report_text(&v.report, &text, &v.e), 0);
	assert_non_null(strstr(text, "\"ok\": true"));
	verdict_clear(&v);
	image_free(&image);
}

/* Each bit, of four, of each byte of metadata: a sealed filesystem with it is never accepted */
static void each_bit(void (*make)(struct image *), uint64_t pages, unsigned int first)
{
	unsigned int accepted = 0, n = 0;
	struct image image;

	make(&image);
	image_seal(&image, true);
	for (uint64_t at = IMAGE_ROOT; at < image.next; at++) {
		/* the one page that is a file's contents */
		if (at >> 12 ==
		    image_inode(&(struct image_fs){ .image = &image, .super = image_at(&image, image.super[0]) }, 3)
				    ->map >>
			    12)
			continue;
		for (unsigned int bit = first; bit < first + 4; bit++, n++) {
			struct verdict v;

			image.mem[at] ^= (uint8_t)(1u << bit);
			judge(&image, &v);
			if (!refused(&v)) {
				print_error("bit %u of byte %#llx: accepted\n", bit, (unsigned long long)at);
				accepted++;
			}
			verdict_clear(&v);
			image.mem[at] ^= (uint8_t)(1u << bit);
		}
	}
	assert_int_equal(n, pages * 4096 * 4);
	assert_int_equal(accepted, 0);
	expect_ok(&image);
	image_free(&image);
}

static void test_each_low_bit(void **state)
{
	each_bit(image_small, 7, 0);
}

static void test_each_high_bit(void **state)
{
	each_bit(image_small, 7, 4);
}

static void test_each_bit_of_a_poisoned_one(void **state)
{
	each_bit(image_poisoned, 6, 0);
	each_bit(image_poisoned, 6, 4);
}

/* One of an open filesystem: nothing to compare with, so only that nothing breaks, and that most pointers don't pass */
static void test_each_byte_of_an_open_one(void **state)
{
	unsigned int accepted = 0;
	struct image image;

	image_large(&image);
	image_seal(&image, false);
	for (uint64_t at = IMAGE_ROOT; at < image.next; at += 1) {
		struct verdict v;

		if (!image.mem[at] && at % 61)
			continue;
		image.mem[at] ^= (uint8_t)(1u << at % 8);
		judge(&image, &v);
		accepted += !refused(&v) && v.report.findings.n == 0;
		verdict_clear(&v);
		image.mem[at] ^= (uint8_t)(1u << at % 8);
	}
	print_message("open, and nothing said: %u\n", accepted);
	expect_clean(&image);
	image_free(&image);
}

static void test_damage_has_a_name(void **state)
{
	struct pkernfs_inode *rec;
	struct image_fs fs;
	struct image image;
	uint64_t table;

	image_large(&image);
	image_seal(&image, true);
	fs = first_fs(&image);
	rec = image_inode(&fs, 3);
	table = fs.super->inodes;

	rec->mtime_ns ^= 1;
	expect_error(&image, "pkernfs \"\": inode table", "checksum");
	rec->mtime_ns ^= 1;
	/* a node of a file's map */
	((uint64_t *)image_at(&image, rec->map & PKERNFS_ADDR_MASK))[1] ^= 1 << 21;
	expect_error(&image, "pkernfs \"\": inode 3 (/vm/ram)", "checksum");
	((uint64_t *)image_at(&image, rec->map & PKERNFS_ADDR_MASK))[1] ^= 1 << 21;
	/* a directory */
	((struct pkernfs_dir_page *)image_at(&image, image_inode(&fs, 2)->map))->entry[0].name[0] ^= 1;
	expect_error(&image, "pkernfs \"\": inode 2 (/vm)", "checksum");
	((struct pkernfs_dir_page *)image_at(&image, image_inode(&fs, 2)->map))->entry[0].name[0] ^= 1;
	/* attributes */
	((uint8_t *)image_at(&image, image_inode(&fs, 4)->xattr))[20] ^= 1;
	expect_error(&image, "pkernfs \"\": inode 4 (/hard)", "checksum");
	((uint8_t *)image_at(&image, image_inode(&fs, 4)->xattr))[20] ^= 1;
	/* the table itself can't be walked */
	((uint64_t *)image_at(&image, table & PKERNFS_ADDR_MASK))[1] |= 1ULL << 40;
	expect_error(&image, "pkernfs \"\": super page or inode table", "checksum");
	((uint64_t *)image_at(&image, table & PKERNFS_ADDR_MASK))[1] &= ~(1ULL << 40);
	/* features of the future */
	fs.super->incompat |= 1ULL << 50;
	expect_error(&image, "pkernfs \"\": super page", "features");
	fs.super->incompat &= ~(1ULL << 50);
	expect_clean(&image);
	image_free(&image);
}

/* Wrong although every sum is right: what only a bug in a kernel could leave */
static void test_sealed_and_wrong(void **state)
{
	struct pkernfs_dir_page *dir;
	struct pkernfs_inode *rec;
	struct image_fs fs;
	struct image image;
	uint64_t *map, was;

	image_large(&image);
	fs = first_fs(&image);
	rec = image_inode(&fs, 4);
	map = image_at(&image, rec->map & PKERNFS_ADDR_MASK);
	dir = image_at(&image, image_inode(&fs, 2)->map);
	/* a block used twice, by two files and by two filesystems */
	was = map[3];
	map[3] = ((uint64_t *)image_at(&image, image_inode(&fs, 6)->map & PKERNFS_ADDR_MASK))[0];
	RESEALED("inode 6", "is used by inode 4, too");
	map[3] = map[4];
	RESEALED("inode 4 (/hard)", "is used by inode 4, too");
	map[3] = image.super[0];
	RESEALED("inode 4", "is part of the inode table or the super page");
	map[3] = IMAGE_ROOT;
	RESEALED("inode 4", "is the root page");
	map[3] = image.next_huge - PKERNFS_PAGE_SIZE; /* the other filesystem's */
	image_seal(&image, true);
	{
		struct verdict v;

		judge(&image, &v);
		assert_true(refused(&v));
		assert_string_equal(lu_findings_first_error(&v.report.findings)->object,
				    "pkernfs \"second\": inode 2 (/ram)");
		verdict_clear(&v);
	}
	map[3] = IMAGE_SIZE;
	RESEALED("inode 4", "no memory");
	map[3] = was | 0x10;
	RESEALED("inode 4", "no address");
	map[3] = was;
	((uint64_t *)image_at(&image, image_inode(&fs, 3)->map & PKERNFS_ADDR_MASK))[0] += PKERNFS_PAGE_SIZE;
	RESEALED("inode 3 (/vm/ram)", "no address of a block of 2048 KiB");
	((uint64_t *)image_at(&image, image_inode(&fs, 3)->map & PKERNFS_ADDR_MASK))[0] -= PKERNFS_PAGE_SIZE;
	/* names and links */
	rec->nlink++;
	RESEALED("inode 4", "says 3 links and has 2");
	rec->nlink--;
	dir->entry[1].ino = 99;
	RESEALED("inode 2 (/vm)", "for inode 99, which does not exist");
	dir->entry[1].ino = 1;
	RESEALED("inode 2 (/vm)", "for directory 1");
	dir->entry[1].ino = 4;
	dir->entry[1].len++;
	RESEALED("inode 2 (/vm)", "bad entry");
	dir->entry[1].len--;
	strcpy(dir->entry[1].name, "ram");
	dir->entry[1].len = 3;
	RESEALED("inode 2 (/vm)", "the name ram twice");
	strcpy(dir->entry[1].name, "state");
	dir->entry[1].len = 5;
	/* a record */
	rec->flags |= 1ULL << 40;
	RESEALED("inode 4", "unknown flags");
	rec->flags &= ~(1ULL << 40);
	rec->mode = 0;
	RESEALED("inode 4", "unknown type");
	rec->mode = S_IFREG | 0600;
	/* an attribute that runs out of its page */
	((struct pkernfs_xattr *)((struct pkernfs_xattr_page *)image_at(&image, rec->xattr))->attr)->value_len = 5000;
	RESEALED("inode 4", "bad extended attribute");
	((struct pkernfs_xattr *)((struct pkernfs_xattr_page *)image_at(&image, rec->xattr))->attr)->value_len = 3;
	/* two slots of one name */
	strcpy(((struct pkernfs_root *)image_at(&image, IMAGE_ROOT))->slot[1].name, "");
	RESEALED("root page", "same name");
	strcpy(((struct pkernfs_root *)image_at(&image, IMAGE_ROOT))->slot[1].name, "second");
	image_seal(&image, true);
	expect_clean(&image);
	image_free(&image);
}

/* How many filesystems are shown, and how many errors there are */
static void expect_counts(struct image *image, size_t n_fs, size_t errors)
{
	struct verdict v;
	size_t n = 0;

	judge(image, &v);
	for (size_t i = 0; i < v.report.findings.n; i++)
		n += v.report.findings.list[i].level == LU_LEVEL_ERROR;
	if (v.r < 0 || v.report.n_fs != n_fs || n != errors)
		print_verdict(&v);
	assert_int_equal(v.r, 0);
	assert_int_equal(v.report.n_fs, n_fs);
	assert_int_equal(n, errors);
	verdict_clear(&v);
}

/* Damage to the root page costs the filesystem whose slot it hits, and no other */
static void test_slots(void **state)
{
	struct pkernfs_root *root;
	struct image image;
	struct verdict v;

	image_large(&image);
	root = image_at(&image, IMAGE_ROOT);
	image_seal(&image, true);
	root->slot[1].name[0] ^= 1;
	expect_counts(&image, 1, 2);
	judge(&image, &v);
	assert_string_equal(v.report.fs[0].name, "");
	assert_int_equal(v.report.fs[0].state, LU_PKERNFS_INTACT);
	assert_non_null(strstr(v.report.findings.list[1].what, "slot 1 does not match its checksum"));
	verdict_clear(&v);
	root->slot[1].name[0] ^= 1;
	root->slot[0].super ^= 1 << 20;
	expect_counts(&image, 1, 2);
	root->slot[0].super ^= 1 << 20;
	/* that of a free one, and of the head, costs none */
	root->slot[40].super = 1 << 20;
	expect_counts(&image, 2, 1);
	root->slot[40].super = 0;
	root->seal.duration_ns ^= 1;
	expect_counts(&image, 2, 1);
	root->seal.duration_ns ^= 1;
	expect_clean(&image);

	/* as a kernel marks it that found that, with the feature bit that old ones refuse */
	root->slot[1].flags |= PKERNFS_SLOT_DAMAGED;
	RESEALED("root page", "slot 1 is out of use");
	expect_counts(&image, 1, 2);
	root->incompat |= PKERNFS_INCOMPAT_SLOT;
	image_seal(&image, true);
	expect_counts(&image, 1, 1);
	root->slot[1].flags = 0;
	root->incompat = 0;

	/* one that knows no sums of slots: changed in between; all are lost if the page is damaged */
	image_seal(&image, true);
	root->slot[1].node = 0;
	root->seal.state = root->seal.crc = 0;
	root->seal.crc = (uint32_t)crc32(0, (const uint8_t *)root, sizeof(*root));
	root->seal.state = PKERNFS_SEALED;
	expect_counts(&image, 2, 0);
	for (unsigned int i = 0; i < PKERNFS_SLOTS; i++)
		root->slot[i].flags = root->slot[i].crc = 0;
	root->slot[1].name[0] ^= 1;
	expect_counts(&image, 0, 1 + PKERNFS_SLOTS);
	image_free(&image);
}

/* Single records that are damaged are told from a table that is */
static void test_records(void **state)
{
	struct pkernfs_inode *rec;
	struct image_fs fs;
	struct image image;

	image_large(&image);
	image_seal(&image, true);
	fs = first_fs(&image);
	rec = image_inode(&fs, 3);
	rec->mode ^= 1;
	expect_error(&image, "pkernfs \"\": inode table", "checksum");
	expect_counts(&image, 2, 2);
	rec->mode ^= 1;
	/* in use, and reads as free; its name leads nowhere then */
	rec->ino = 0;
	expect_error(&image, "pkernfs \"\": inode table", "checksum");
	{
		struct verdict v;
		bool found = false;

		judge(&image, &v);
		for (size_t i = 0; i < v.report.findings.n; i++)
			found |= strstr(v.report.findings.list[i].object, "inode 3") &&
				 strstr(v.report.findings.list[i].what, "reads as free");
		assert_true(found);
		verdict_clear(&v);
	}
	rec->ino = 3;
	expect_clean(&image);
	/* the super page is not a record */
	fs.super->reserved[100] = 1;
	expect_error(&image, "pkernfs \"\": super page or inode table", "checksum");
	fs.super->reserved[100] = 0;
	/* what was found damaged stays so, whatever its sum */
	rec->flags |= PKERNFS_I_DAMAGED;
	rec->map = PKERNFS_ADDR_MASK | 7;
	RESEALED("inode 3 (/vm/ram)", "by an earlier kernel");
	expect_counts(&image, 2, 1);
	image_free(&image);
}

/* Trees that lead into themselves end, and are found */
static void test_loops(void **state)
{
	struct image_fs fs;
	struct image image;
	uint64_t node, *words;

	image_large(&image);
	fs = first_fs(&image);
	image_seal(&image, false);
	node = image_inode(&fs, 4)->map & PKERNFS_ADDR_MASK;
	words = image_at(&image, node);
	for (unsigned int i = 0; i < PKERNFS_NODE_WORDS; i++)
		words[i] = node;
	image_inode(&fs, 4)->map = node | PKERNFS_MAX_HEIGHT;
	expect_error(&image, "inode 4", "is used by inode 4, too");
	/* with a sum, the tree is walked before blocks are claimed */
	fs.super->seal.state = PKERNFS_SEALED;
	expect_error(&image, "super page or inode table", "checksum");
	image_free(&image);
}

static void test_torn_is_a_warning(void **state)
{
	struct image_fs fs;
	struct image image;
	struct verdict v;

	image_large(&image);
	fs = first_fs(&image);
	image_inode(&fs, 4)->nlink = 9;
	image_seal(&image, false);
	judge(&image, &v);
	assert_int_equal(v.r, 0);
	assert_true(lu_findings_ok(&v.report.findings));
	assert_int_equal(v.report.findings.n, 1);
	assert_non_null(strstr(v.report.findings.list[0].what, "says 9 links and has 2"));
	verdict_clear(&v);
	image_free(&image);
}

/* Cut anywhere, an image is refused or, where only contents of files are missing, as good as whole */
static void truncated(void (*make)(struct image *))
{
	char path[] = "/tmp/luctl-test-XXXXXX";
	struct image image;
	int fd = mkstemp(path);

	make(&image);
	image_seal(&image, true);
	assert_true(fd >= 0);
	for (uint64_t size = 0; size <= image.next; size += 2048) {
		struct verdict v;

		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, image.mem, size, 0), (ssize_t)size);
		judge_path(path, LU_PKERNFS_FIND, &v);
		expect(refused(&v), "cut at %llu", (unsigned long long)size);
		verdict_clear(&v);
	}
	unlink(path);
	close(fd);
	image_free(&image);
}

static void test_truncated(void **state)
{
	truncated(image_large);
	truncated(image_poisoned);
}

/* The metadata alone, as an ELF core: the same verdict; cut anywhere or flipped anywhere, nothing breaks */
static void test_saved(void **state)
{
	char path[] = "/tmp/luctl-test-XXXXXX";
	_cleanup_free_ char *data = NULL;
	struct image image;
	struct verdict v;
	int fd = mkstemp(path);
	size_t size;

	image_large(&image);
	image_seal(&image, true);
	assert_true(fd >= 0);
	save(&image, path);
	judge_path(path, LU_PKERNFS_FIND, &v);
	if (refused(&v))
		print_verdict(&v);
	assert_false(refused(&v));
	assert_int_equal(v.report.findings.n, 0);
	assert_int_equal(v.report.n_fs, 2);
	assert_int_equal(v.report.fs[0].files, 43);
	verdict_clear(&v);
	assert_int_equal(lu_read_file(AT_FDCWD, path, 1 << 20, &data, &size), 0);
	assert_true(size < 100000);
	for (size_t cut = 0; cut < size; cut += cut < 1024 ? 1 : 509) {
		assert_int_equal(ftruncate(fd, (off_t)cut), 0);
		judge_path(path, LU_PKERNFS_FIND, &v);
		expect(refused(&v), "cut at %zu", cut);
		verdict_clear(&v);
		assert_int_equal(pwrite(fd, data, size, 0), (ssize_t)size);
	}
	for (size_t at = 0; at < 1024; at++) {
		char flipped = (char)(data[at] ^ (1 << at % 8));

		assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
		judge_path(path, LU_PKERNFS_FIND, &v);
		verdict_clear(&v);
		assert_int_equal(pwrite(fd, &data[at], 1, (off_t)at), 1);
	}
	unlink(path);
	close(fd);
	image_free(&image);
}

static void test_roots(void **state)
{
	struct pkernfs_root *other;
	struct image image;
	struct verdict v;

	image_small(&image);
	image_seal(&image, true);
	other = image_at(&image, 0x200000);
	memcpy(other, image_at(&image, IMAGE_ROOT), PKERNFS_PAGE_SIZE);
	judge_path(image.path, LU_PKERNFS_FIND, &v);
	assert_int_equal(v.r, -ENOTUNIQ);
	assert_non_null(strstr(v.e.what, "0x3000 0x200000"));
	verdict_clear(&v);
	judge_path(image.path, 0x5000, &v);
	assert_int_equal(v.r, -ENOENT);
	verdict_clear(&v);
	memset(other, 0, PKERNFS_PAGE_SIZE);
	memset(image_at(&image, IMAGE_ROOT), 0, PKERNFS_PAGE_SIZE);
	judge_path(image.path, LU_PKERNFS_FIND, &v);
	assert_int_equal(v.r, -ENODATA);
	verdict_clear(&v);
	image_free(&image);
}

/* Guest RAM is full of pages that begin as a root page; the true one is found, wherever it stands among them */
static void test_roots_in_ram(void **state)
{
	struct image image;
	struct verdict v;

	image_small(&image);
	image_seal(&image, true);
	for (unsigned int i = 0; i < 40; i++)
		memcpy(image_at(&image, IMAGE_HUGE + i * 0x3000u), image_at(&image, IMAGE_ROOT), PKERNFS_PAGE_SIZE);
	judge_path(image.path, LU_PKERNFS_FIND, &v);
	if (v.r < 0)
		print_verdict(&v);
	assert_int_equal(v.r, 0);
	assert_int_equal(v.report.root, IMAGE_ROOT);
	assert_int_equal(v.report.findings.n, 0);
	verdict_clear(&v);
	image_free(&image);
}

/* A guest makes up a filesystem with a file that the true root page is in: which one is true, only a human can say */
static void test_roots_in_each_other(void **state)
{
	struct pkernfs_root *true_root, *made_up;
	struct pkernfs_slot *slot;
	struct image_fs ours, theirs;
	struct image image;
	struct verdict v;
	uint64_t ram, file, page;

	image_new(&image);
	image_fs_new(&image, "ours", &ours);
	ram = image_add(&ours, PKERNFS_ROOT_INO, "ram", S_IFREG | 0600);
	image_fill(&ours, ram, PKERNFS_ORDER_SMALL, 1);
	page = image_inode(&ours, ram)->map & PKERNFS_ADDR_MASK;
	image_fs_new(&image, "theirs", &theirs);
	file = image_add(&theirs, PKERNFS_ROOT_INO, "file", S_IFREG | 0600);
	image_fill(&theirs, file, PKERNFS_ORDER_SMALL, 1);
	image_inode(&theirs, file)->map = IMAGE_ROOT | (image_inode(&theirs, file)->map & ~PKERNFS_ADDR_MASK);
	true_root = image_at(&image, IMAGE_ROOT);
	made_up = image_at(&image, page);
	memcpy(made_up, true_root, PKERNFS_PAGE_SIZE);
	slot = &true_root->slot[1];
	memset(slot, 0, sizeof(*slot));
	slot = &made_up->slot[0];
	memset(slot, 0, sizeof(*slot));
	image_seal(&image, false);

	judge_path(image.path, LU_PKERNFS_FIND, &v);
	assert_int_equal(v.r, -ENOTUNIQ);
	assert_non_null(strstr(v.e.what, "2 pages could be the root page"));
	verdict_clear(&v);
	judge_path(image.path, IMAGE_ROOT, &v);
	assert_int_equal(v.r, 0);
	assert_string_equal(v.report.fs[0].name, "ours");
	verdict_clear(&v);
	image_free(&image);
}

static void test_claims(void **state)
{
	struct lu_claims c = { 0 };
	uint64_t other = 0;

	assert_int_equal(lu_claims_add(&c, 0x200000, 9, 5, &other), 0);
	assert_int_equal(lu_claims_add(&c, 0x3ff000, 0, 6, &other), 1);
	assert_int_equal(other, 5);
	assert_int_equal(lu_claims_add(&c, 0x400000, 0, 6, &other), 0);
	assert_int_equal(lu_claims_add(&c, 0x400000, 9, 7, &other), 1);
	assert_int_equal(other, 6);
	assert_int_equal(lu_claims_add(&c, 0x401000, 0, 7, &other), 0);
	assert_int_equal(lu_claims_add(&c, 0x40000000, 18, 8, &other), 0);
	assert_int_equal(lu_claims_add(&c, 0x7ffff000, 0, 9, &other), 1);
	assert_int_equal(other, 8);
	assert_int_equal(lu_claims_add(&c, 0, 18, 8, &other), 1);
	assert_int_equal(c.pages, 512 + 2 + (1 << 18));
	assert_int_equal(lu_claims_owner(&c, 0x3ff000), 5);
	assert_int_equal(lu_claims_owner(&c, 0x401000), 7);
	assert_int_equal(lu_claims_owner(&c, 0x402000), 0);
	assert_int_equal(lu_claims_owner(&c, 0x80000000), 0);
	lu_claims_clear(&c);
}

/* Blocks of 1 GiB, behind what else is in the image: memory that nobody reads */
static void test_1g(void **state)
{
	const uint64_t gib = 1ULL << 30;
	struct pkernfs_inode *rec, *dir;
	struct image_fs fs;
	struct image image;
	struct verdict v;

	image_small(&image);
	assert_int_equal(ftruncate(image.fd, 3 * (off_t)gib), 0);
	fs = first_fs(&image);
	rec = image_inode(&fs, 2);
	fs.super->nr_pages = fs.super->nr_pages + (1 << 18) - rec->nr_pages - 1; /* and no node */
	*rec = (struct pkernfs_inode){
		.ino = rec->ino,
		.mode = rec->mode,
		.nlink = rec->nlink,
		.generation = rec->generation,
		.block_order = PKERNFS_ORDER_1G,
		.flags = PKERNFS_I_EXTSIZE,
		.size = gib,
		.nr_pages = 1 << 18,
		.map = gib,
	};
	fs.super->incompat |= PKERNFS_INCOMPAT_1G;
	image_seal(&image, true);
	expect_clean(&image);
	judge(&image, &v);
	assert_int_equal(v.report.fs[0].huge_blocks, 512);
	assert_int_equal(v.report.fs[0].incompat, PKERNFS_INCOMPAT_1G | PKERNFS_INCOMPAT_XATTR);
	verdict_clear(&v);
	/* a page of it is bad */
	image_bad(&fs, gib + 0x123000);
	image_seal(&image, true);
	judge(&image, &v);
	assert_false(refused(&v));
	assert_int_equal(v.report.fs[0].n_bad_file, 1);
	verdict_clear(&v);
	/* where there can't be one */
	rec->map = gib + 0x200000;
	RESEALED("inode 2", "is no address of a block of 1048576 KiB");
	rec->map = 3 * gib;
	RESEALED("inode 2", "there is no memory");
	/* it covers what others have */
	rec->map = gib;
	image_inode(&fs, 3)->map = gib + 0x7000;
	RESEALED("inode 3", "is used by inode 2, too");
	image_free(&image);

	/* the bit and who needs it */
	image_small(&image);
	fs = first_fs(&image);
	dir = image_inode(&fs, PKERNFS_ROOT_INO);
	dir->flags |= PKERNFS_I_EXTINHERIT;
	dir->inherit_order = PKERNFS_ORDER_1G;
	RESEALED("inode 1", "of which the feature bits say nothing");
	fs.super->incompat |= PKERNFS_INCOMPAT_1G;
	image_seal(&image, true);
	expect_clean(&image);
	rec = image_inode(&fs, 2);
	rec->block_order = PKERNFS_ORDER_1G - 1;
	RESEALED("inode 2", "has blocks of an unknown size");
	rec->block_order = PKERNFS_ORDER_HUGE;
	dir->inherit_order = PKERNFS_ORDER_HUGE;
	image_seal(&image, true);
	judge(&image, &v);
	expect_warning(&v, "super page", "has the bit for blocks of 1 GiB, of which there are none");
	verdict_clear(&v);
	image_free(&image);
}

/* What a 7.3 kernel left on the way to kexec; `luctl pkernfs verify --save` made it */
static void test_real(void **state)
{
	char path[64];
	_cleanup_close_ int fd = memfd_create("real", MFD_CLOEXEC);
	gzFile gz = gzopen(REAL_CORE, "rb");
	uint8_t buf[4096];
	struct verdict v;
	off_t end;
	int n;

	assert_non_null(gz);
	while ((n = gzread(gz, buf, sizeof(buf))) > 0)
		assert_int_equal(write(fd, buf, (size_t)n), n);
	gzclose(gz);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	judge_path(path, LU_PKERNFS_FIND, &v);
	if (refused(&v) || v.report.findings.n)
		print_verdict(&v);
	assert_false(refused(&v));
	assert_int_equal(v.report.findings.n, 0);
	assert_int_equal(v.report.n_fs, 2);
	assert_int_equal(v.report.fs[0].seal, LU_SEAL_SEALED);
	verdict_clear(&v);
	end = lseek(fd, 0, SEEK_END);
	for (off_t at = 4096; at < end; at += 97) {
		uint8_t byte, flipped;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		flipped = byte ^ (uint8_t)(1u << at % 8);
		assert_int_equal(pwrite(fd, &flipped, 1, at), 1);
		judge_path(path, LU_PKERNFS_FIND, &v);
		expect(refused(&v), "byte %lld", (long long)at);
		verdict_clear(&v);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
}

/* The argument: a pattern of names; none: those that take no time */
int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_is_clean),
		cmocka_unit_test(test_large_is_clean),
		cmocka_unit_test(test_each_low_bit),
		cmocka_unit_test(test_each_high_bit),
		cmocka_unit_test(test_each_bit_of_a_poisoned_one),
		cmocka_unit_test(test_each_byte_of_an_open_one),
		cmocka_unit_test(test_damage_has_a_name),
		cmocka_unit_test(test_sealed_and_wrong),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_torn_is_a_warning),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_saved),
		cmocka_unit_test(test_roots),
		cmocka_unit_test(test_roots_in_ram),
		cmocka_unit_test(test_roots_in_each_other),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_1g),
		cmocka_unit_test(test_real),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	else
		cmocka_set_skip_filter("test_each_*");
	return cmocka_run_group_tests_name("pkernfs", tests, NULL, NULL);
}
