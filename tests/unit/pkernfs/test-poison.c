// SPDX-License-Identifier: GPL-2.0-or-later
/* The verifier and the list of memory that has gone bad: whose it is, and a list that is damaged or lies. */
#include "../test.h"

#include "judge.h"

/* Which pages are bad is told by file and offset; the filesystem is as good as any */
static void test_poisoned(void **state)
{
	static const uint64_t in_ram[] = { 0x5000, 0x207000 };

	for (int sealed = 0; sealed < 2; sealed++) {
		_cleanup_free_ char *text = NULL;
		struct lu_pkernfs_fs *fs;
		struct image image;
		struct verdict v;

		image_poisoned(&image);
		image_seal(&image, sealed);
		judge(&image, &v);
		if (refused(&v) || v.report.findings.n != 3)
			print_verdict(&v);
		assert_false(refused(&v));
		assert_int_equal(v.report.findings.n, 3);
		expect_warning(&v, "pkernfs \"\": inode 2 (/ram)",
			       "has 2 pages of bad memory, of 4 KiB, at 0x5000, 0x207000");
		expect_warning(&v, "pkernfs \"\": inode 3 (/state)", "has 1 page of bad memory, of 4 KiB, at 0");
		expect_warning(&v, "pkernfs \"\": list of bad memory", "has 1 page, of 4 KiB, in no file any more");
		fs = &v.report.fs[0];
		assert_int_equal(fs->state, LU_PKERNFS_INTACT);
		assert_int_equal(fs->bad_pages, 4);
		assert_int_equal(fs->bad_unowned, 1);
		assert_int_equal(fs->files_with_bad, 2);
		assert_int_equal(fs->n_bad_file, 2);
		assert_int_equal(fs->bad_file[0].ino, 2);
		assert_string_equal(fs->bad_file[0].path, "/ram");
		assert_int_equal(fs->bad_file[0].pages, 2);
		assert_int_equal(fs->bad_file[0].n_offset, 2);
		assert_memory_equal(fs->bad_file[0].offset, in_ram, sizeof(in_ram));
		/* the page in no file is the filesystem's, and so is the list */
		assert_int_equal(fs->metadata_pages, 5);
		assert_int_equal(fs->used, (5 + 1 + 1 + 2 * 512) * 4096);
		assert_int_equal(lu_pkernfs_report_text(&v.report, &text, &v.e), 0);
		verdict_clear(&v);
		image_free(&image);
	}
}

/* More than one page of the list, more files and offsets than are told, and a file that has no name */
static void test_poisoned_much(void **state)
{
	struct image_fs fs;
	struct image image;
	struct verdict v;
	uint64_t ino;
	char name[16];

	image_new(&image);
	image_fs_new(&image, "", &fs);
	ino = image_add(&fs, PKERNFS_ROOT_INO, "ram", S_IFREG | 0600);
	image_fill(&fs, ino, PKERNFS_ORDER_HUGE, 2);
	for (uint64_t i = 0; i < 1022; i++)
		image_bad(&fs, IMAGE_HUGE + (i * 5 % 1024) * PKERNFS_PAGE_SIZE);
	for (unsigned int i = 0; i < 70; i++) {
		snprintf(name, sizeof(name), "file%u", i);
		ino = image_add(&fs, PKERNFS_ROOT_INO, name, S_IFREG | 0600);
		image_fill(&fs, ino, PKERNFS_ORDER_SMALL, 1);
		image_bad(&fs, image_inode(&fs, ino)->map);
	}
	image_seal(&image, true);
	judge(&image, &v);
	if (refused(&v))
		print_verdict(&v);
	assert_false(refused(&v));
	assert_int_equal(v.report.fs[0].bad_pages, 1022 + 70);
	assert_int_equal(v.report.fs[0].files_with_bad, 71);
	assert_int_equal(v.report.fs[0].n_bad_file, LU_PKERNFS_BAD_FILES);
	assert_int_equal(v.report.fs[0].bad_file[0].n_offset, LU_PKERNFS_BAD_OFFSETS);
	assert_int_equal(v.report.fs[0].bad_file[0].offset[LU_PKERNFS_BAD_OFFSETS - 1], 0xf000);
	expect_warning(&v, "inode 2 (/ram)", "has 1022 pages of bad memory, of 4 KiB, at 0, 0x1000, 0x2000");
	expect_warning(&v, "inode 2 (/ram)", "0xf000 and 1006 more");
	expect_warning(&v, "list of bad memory", "has pages of 7 more files");
	verdict_clear(&v);
	image_free(&image);
}

static void expect_damaged_list(struct image *image, const char *what)
{
	struct verdict v;

	image_seal(image, true);
	expect_error(image, "pkernfs \"\": list of bad memory", what);
	judge(image, &v);
	assert_int_equal(v.report.fs[0].state, LU_PKERNFS_DAMAGED);
	verdict_clear(&v);
}

/* A list that is wrong although its sum is right */
static void test_poisoned_wrong(void **state)
{
	struct pkernfs_bad_page *page;
	struct image_fs fs;
	struct image image;
	struct verdict v;
	uint64_t was, *words;

	image_poisoned(&image);
	fs = first_fs(&image);
	page = image_bad_page(&fs, 0);
	page->magic ^= 1;
	expect_damaged_list(&image, "page 0 is none");
	page->magic ^= 1;
	page->index = 1;
	expect_damaged_list(&image, "page 0 is none");
	page->index = 0;
	was = page->bad[2];
	page->bad[2] = page->bad[0];
	expect_damaged_list(&image, "names the page at 0x607000 twice");
	page->bad[2] = page->bad[1];
	expect_damaged_list(&image, "has a bad page that is to be in no file");
	page->bad[2] = IMAGE_SIZE;
	expect_damaged_list(&image, "is no page of memory");
	page->bad[2] = was | 2;
	expect_damaged_list(&image, "is no page of memory");
	/* said to be in no block, and is in one; the file is accused, as in the kernel */
	page->bad[2] = was | PKERNFS_BAD_FREE;
	RESEALED("inode 2 (/ram)", "has a bad page that is to be in no file");
	/* the super page as one that is given up */
	page->bad[2] = image.super[0] | PKERNFS_BAD_FREE;
	expect_damaged_list(&image, "is part of the inode table or the super page");
	/* said to be in a block, and is in none, in metadata */
	page->bad[2] = page->bad[1] - PKERNFS_PAGE_SIZE - PKERNFS_BAD_FREE;
	RESEALED("list of bad memory", "is in a file, and there is none: nobody would keep it");
	page->bad[2] = image.super[0];
	RESEALED("list of bad memory", "it is used for something else");
	/* in one that is open, the block may just have been given up */
	page->bad[2] = page->bad[1] - PKERNFS_PAGE_SIZE - PKERNFS_BAD_FREE;
	image_seal(&image, false);
	expect_ok(&image);
	judge(&image, &v);
	expect_warning(&v, "list of bad memory", "was just given up");
	verdict_clear(&v);
	page->bad[2] = was;
	/* bytes that mean nothing */
	page->bad[9] = was + PKERNFS_PAGE_SIZE;
	image_seal(&image, true);
	judge(&image, &v);
	expect_warning(&v, "super page", "bytes set that this format does not define");
	assert_int_equal(v.report.fs[0].bad_pages, 4);
	verdict_clear(&v);
	page->bad[9] = 0;
	/* feature bit and list go together */
	fs.super->incompat &= ~PKERNFS_INCOMPAT_POISON;
	RESEALED("super page", "of which the feature bits say nothing");
	fs.super->incompat |= PKERNFS_INCOMPAT_POISON;
	was = fs.super->bad;
	fs.super->bad = 0;
	image_seal(&image, true);
	judge(&image, &v);
	expect_warning(&v, "super page", "has the bit for bad memory, of which there is none");
	verdict_clear(&v);
	/* a tree with a gap, and one that leads into itself */
	fs.super->bad = was;
	fs.n_bad = 4 + PKERNFS_BAD_PER_PAGE;
	image_bad(&fs, IMAGE_HUGE + 0x300000);
	expect_damaged_list(&image, "there is a gap before its page 1");
	words = image_at(&image, fs.super->bad & PKERNFS_ADDR_MASK);
	words[PKERNFS_NODE_WORDS - 1] = words[1];
	words[1] = 0;
	image_bad_page(&fs, PKERNFS_NODE_WORDS - 1)->index = PKERNFS_NODE_WORDS - 1;
	expect_damaged_list(&image, "there is a gap before its page 511");
	words[PKERNFS_NODE_WORDS - 1] = 0;
	words[0] = fs.super->bad & PKERNFS_ADDR_MASK;
	fs.super->bad += 1;
	image_seal(&image, false);
	expect_error(&image, "list of bad memory", "is part of the inode table or the super page");
	image_free(&image);
}

/* What the sums say of a list that is damaged, with that of the tree and without */
static void test_poisoned_sums(void **state)
{
	struct image_fs fs;
	struct image image;

	image_poisoned(&image);
	fs = first_fs(&image);
	image_seal(&image, true);
	image_bad_page(&fs, 0)->bad[0] ^= 0x10000;
	expect_error(&image, "super page or inode table or list of bad memory", "checksum");
	image_bad_page(&fs, 0)->bad[0] ^= 0x10000;
	/* its pages count in the order of their addresses' place, and the sum of the tree has them, too */
	image_inode(&fs, 2)->mtime_ns ^= 1;
	expect_error(&image, "pkernfs \"\": inode table", "checksum");
	image_inode(&fs, 2)->mtime_ns ^= 1;
	fs.super->bad ^= 1ULL << 40;
	expect_error(&image, "super page or inode table or list of bad memory", "checksum");
	fs.super->bad ^= 1ULL << 40;
	expect_ok(&image);
	image_free(&image);
}

/* What a guest wrote is in a page that is given up, too: it is no root page */
static void test_poisoned_root(void **state)
{
	struct image image;
	struct verdict v;

	image_poisoned(&image);
	image_seal(&image, true);
	memcpy(image_at(&image, IMAGE_HUGE + 0x500000), image_at(&image, IMAGE_ROOT), PKERNFS_PAGE_SIZE);
	judge_path(image.path, LU_PKERNFS_FIND, &v);
	if (v.r < 0)
		print_verdict(&v);
	assert_int_equal(v.r, 0);
	assert_int_equal(v.report.root, IMAGE_ROOT);
	verdict_clear(&v);
	image_free(&image);
}

/* The list is metadata, and the memory that it names isn't needed */
static void test_saved_poisoned(void **state)
{
	char path[] = "/tmp/luctl-test-XXXXXX";
	struct image image;
	struct verdict v;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	image_poisoned(&image);
	image_seal(&image, true);
	save(&image, path);
	judge_path(path, LU_PKERNFS_FIND, &v);
	if (refused(&v))
		print_verdict(&v);
	assert_false(refused(&v));
	assert_int_equal(v.report.fs[0].bad_pages, 4);
	expect_warning(&v, "inode 2 (/ram)", "at 0x5000, 0x207000");
	verdict_clear(&v);
	unlink(path);
	image_free(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_poisoned),       cmocka_unit_test(test_poisoned_much),
		cmocka_unit_test(test_poisoned_wrong), cmocka_unit_test(test_poisoned_sums),
		cmocka_unit_test(test_poisoned_root),  cmocka_unit_test(test_saved_poisoned),
	};

	return cmocka_run_group_tests_name("bad memory", tests, NULL, NULL);
}
