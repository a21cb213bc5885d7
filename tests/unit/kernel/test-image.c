// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The image reader against images made from nothing, against damage at every byte
 * and, when the machine has kernels in /boot, against real ones.
 */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"
#include "make-image.h"

static const struct test_note good_note = { .format = 2, .min_version = 1, .incompat = 5 };

static int parse(const struct test_image *t, bool vmlinux, struct lu_image *ret, struct lu_error *e)
{
	size_t size;
	_cleanup_free_ uint8_t *data = vmlinux ? test_vmlinux(t, &size) : test_bzimage(t, &size);

	return lu_image_parse(data, size, "img", ret, e);
}

static void test_reads_every_compression(void **state)
{
	static const char *const all[] = { "gzip", "bzip2", "lzma", "xz", "lz4", "zstd", "none" };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct test_image t = { .compression = all[i], .note = good_note };
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct lu_image image;
		int r = parse(&t, false, &image, &e);

		if (r < 0)
			print_error("%s: %s\n", all[i], e.what);
		assert_int_equal(r, 0);
		assert_string_equal(image.compression, all[i]);
		assert_int_equal(image.kind, LU_IMAGE_BZIMAGE);
		assert_string_equal(image.release, "7.3.4-lu");
		assert_int_equal(image.boot_protocol, 0x20f);
		assert_int_equal(image.cmdline_max, 2016);
		assert_true(image.relocatable && image.loaded_high && image.entry_64 && image.above_4g && image.level5);
		assert_true(image.abi.present);
		assert_int_equal(image.abi.pkernfs_version, 2);
		assert_int_equal(image.abi.pkernfs_min_version, 1);
		assert_int_equal(image.abi.pkernfs_incompat, 5);
		assert_string_equal(image.abi.kho, "kho-v4");
		assert_string_equal(image.abi.luo, "luo-v5");
	}
}

static void test_signature(void **state)
{
	static const struct {
		struct test_image image;
		bool is_signed;
	} rows[] = {
		{ { .note = { .format = 2, .min_version = 1, .incompat = 5 } }, false },
		{ { .note = { .format = 2, .min_version = 1, .incompat = 5 }, .efi = true }, false },
		{ { .note = { .format = 2, .min_version = 1, .incompat = 5 }, .is_signed = true }, true },
		/* it would end behind the file */
		{ { .note = { .format = 2, .min_version = 1, .incompat = 5 }, .is_signed = true, .signature_lie = 1 },
		  false },
		{ { .note = { .format = 2, .min_version = 1, .incompat = 5 },
		    .is_signed = true,
		    .signature_lie = 0x7f000000 },
		  false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lu_image image;

		assert_int_equal(parse(&rows[i].image, false, &image, NULL), 0);
		assert_true(image.is_signed == rows[i].is_signed);
	}
}

/* The header of an EFI program is anywhere, or nowhere */
static void test_signature_header(void **state)
{
	static const uint32_t places[] = { 0x40, 0, 0x200, 0x10000000, UINT32_MAX };
	struct test_image t = { .note = { .format = 2, .min_version = 1, .incompat = 5 }, .is_signed = true };
	size_t size;
	_cleanup_free_ uint8_t *data = test_bzimage(&t, &size);

	for (size_t i = 0; i < ARRAY_SIZE(places) + 200; i++) {
		uint32_t at = i < ARRAY_SIZE(places) ? places[i] : (uint32_t)(size - 199 + (i - ARRAY_SIZE(places)));
		struct lu_image image;

		memcpy(data + 0x3c, &at, sizeof(at));
		assert_int_equal(lu_image_parse(data, size, "img", &image, NULL), 0);
		assert_true(image.is_signed == (at == 0x40));
	}
}

static void test_reads_vmlinux(void **state)
{
	struct test_image t = { .note = good_note, .release = "6.12.0-x" };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_image image;

	assert_int_equal(parse(&t, true, &image, &e), 0);
	assert_int_equal(image.kind, LU_IMAGE_VMLINUX);
	assert_string_equal(image.release, "6.12.0-x");
	assert_true(image.abi.present);
}

static void test_release_from_banner(void **state)
{
	struct test_image t = { .note = good_note, .no_setup_release = true };
	struct lu_image image;

	assert_int_equal(parse(&t, false, &image, NULL), 0);
	assert_string_equal(image.release, "7.3.4-lu");
}

static void test_no_note(void **state)
{
	struct test_image t = { .note = { .absent = true } };
	struct lu_image image;

	assert_int_equal(parse(&t, false, &image, NULL), 0);
	assert_false(image.abi.present);
	t.note = (struct test_note){ .owner = "luctk", .format = 1 };
	assert_int_equal(parse(&t, false, &image, NULL), 0);
	assert_false(image.abi.present);
}

/* Later kernels may add fields, earlier ones had fewer. */
static void test_note_sizes(void **state)
{
	struct test_image t = { .note = good_note };
	struct lu_image image;

	t.note.ro_compat = 8;
	t.note.iommu = 0x2b;
	t.note.extra = 64;
	assert_int_equal(parse(&t, false, &image, NULL), 0);
	assert_int_equal(image.abi.pkernfs_version, 2);
	assert_int_equal(image.abi.pkernfs_ro_compat, 8);
	assert_int_equal(image.abi.iommu, 0x2b);
	t.note.extra = 0;
	t.note.size = 56;
	assert_int_equal(parse(&t, false, &image, NULL), 0);
	assert_int_equal(image.abi.pkernfs_ro_compat, 0);
	assert_int_equal(image.abi.iommu, 0);
	assert_string_equal(image.abi.luo, "luo-v5");
}

struct refused {
	const char *name;
	struct test_image t;
	bool vmlinux;
	int code;
	const char *what; /* part of the message */
};

static void test_refuses(void **state)
{
	static const struct refused all[] = {
		{ "note of another version", { .note = { .version = 9 } }, false, -EBADMSG, "version 9" },
		{ "note shorter than it says",
		  { .note = { .size = 97 } },
		  false,
		  -EBADMSG,
		  "says it is 97 bytes, but it is 96" },
		{ "note without the compat strings", { .note = { .size = 40 } }, false, -EBADMSG, "at least 56" },
		{ "note longer than any", { .note = { .extra = 4004 } }, false, -EBADMSG, "says it is 4100 bytes" },
		{ "versions reversed",
		  { .note = { .format = 1, .min_version = 2 } },
		  false,
		  -EBADMSG,
		  "formats 2 to 1" },
		{ "compat not terminated",
		  { .note = { .kho = "kho-v4kho-v4kho-v4" } },
		  false,
		  -EBADMSG,
		  "compat string" },
		{ "compat with a blank", { .note = { .luo = "luo v5" } }, false, -EBADMSG, "compat string" },
		{ "no KHO", { .note = { .kho = "" } }, false, -EBADMSG, "compat string" },
		{ "other machine", { .machine = 183 }, false, -ENOEXEC, "another machine" },
		{ "other machine, vmlinux", { .machine = 183 }, true, -ENOEXEC, "another machine" },
		{ "old protocol", { .protocol = 0x207 }, false, -ENOEXEC, "2.07 is too old" },
		{ "trailer too small", { .size_lie = -1, .compression = "zstd" }, false, -EBADMSG, "more than" },
		{ "trailer too large", { .size_lie = 1, .compression = "xz" }, false, -EBADMSG, "instead of" },
		{ "trailer huge", { .size_lie = 0x7fffffff, .compression = "xz" }, false, -EBADMSG, "maximum" },
		{ "gzip trailer lies", { .size_lie = 4096 }, false, -EBADMSG, "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct lu_image image;
		int r = parse(&all[i].t, all[i].vmlinux, &image, &e);

		if (r != all[i].code || !e.what || !strstr(e.what, all[i].what))
			print_error("%s: %d, %s\n", all[i].name, r, e.what ?: "no message");
		assert_int_equal(r, all[i].code);
		assert_non_null(strstr(e.what, all[i].what));
		assert_int_equal(strncmp(e.what, "img: ", 5), 0);
		assert_non_null(e.hint);
	}
}

static void expect_file(const char *path, int code, const char *what)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_image image;
	int r = lu_image_read(AT_FDCWD, path, &image, &e);

	if (r != code)
		print_error("%s: %d, %s\n", path, r, e.what ?: "no message");
	assert_int_equal(r, code);
	assert_non_null(strstr(e.what, what));
}

static void test_foreign_files(void **state)
{
	char path[] = "/tmp/luctl-image-XXXXXX", fifo[64];
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	expect_file("/nonexistent/vmlinuz", -ENOENT, "/nonexistent/vmlinuz: No such file");
	expect_file("/", -EISDIR, "is a directory");
	expect_file("/dev/zero", -ENOEXEC, "not a regular file");
	expect_file(path, -ENOEXEC, "empty");
	assert_int_equal(write(fd, "#!/bin/sh\n", 10), 10);
	expect_file(path, -ENOEXEC, "not a Linux boot image (no HdrS signature)");
	assert_int_equal(pwrite(fd, "MZ", 2, 0), 2);
	expect_file(path, -ENOEXEC, "an EFI program");
	assert_int_equal(ftruncate(fd, (off_t)LU_IMAGE_FILE_MAX + 1), 0);
	expect_file(path, -EFBIG, "too large");
	expect_file("/proc/self/exe", -ENOEXEC, "not a Linux kernel");
	close(fd);
	unlink(path);
	snprintf(fifo, sizeof(fifo), "%s.fifo", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	expect_file(fifo, -ENOEXEC, "not a regular file");
	unlink(fifo);
}

/* Exactly as large as it says, so that ASan sees the first byte read beyond. */
static int parse_exact(const uint8_t *data, size_t size)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ uint8_t *copy = malloc(size ?: 1);
	struct lu_image image;
	int r;

	assert_non_null(copy);
	memcpy(copy, data, size);
	r = lu_image_parse(copy, size, "img", &image, &e);
	/* No failure without words. */
	if (r < 0)
		assert_non_null(e.what);
	return r;
}

static void test_every_truncation(void **state)
{
	struct test_image t = { .note = good_note };
	size_t size;
	_cleanup_free_ uint8_t *bz = test_bzimage(&t, &size), *vm = NULL;

	/* The last 64 bytes follow the payload and carry nothing. */
	assert_int_equal(parse_exact(bz, size), 0);
	for (size_t n = 0; n < size - 64; n++)
		assert_true(parse_exact(bz, n) < 0);
	vm = test_vmlinux(&t, &size);
	for (size_t n = 0; n < size; n++)
		(void)parse_exact(vm, n);
}

static void flip_all(uint8_t *data, size_t from, size_t to, size_t size, unsigned int *n_ok, unsigned int *n_bad)
{
	for (size_t i = from; i < to; i++)
		for (unsigned int bit = 0; bit < 8; bit++) {
			data[i] ^= (uint8_t)(1u << bit);
			if (parse_exact(data, size) < 0)
				++*n_bad;
			else
				++*n_ok;
			data[i] ^= (uint8_t)(1u << bit);
		}
}

static void test_every_flip(void **state)
{
	struct test_image t = { .note = good_note, .compression = "zstd" };
	unsigned int ok = 0, bad = 0;
	size_t size;
	_cleanup_free_ uint8_t *bz = test_bzimage(&t, &size), *vm = NULL;

	/* Setup header; then the first and last part of the payload. */
	flip_all(bz, 0x1f0, 0x260, size, &ok, &bad);
	flip_all(bz, 5 * 512 + 1024, 5 * 512 + 1024 + 64, size, &ok, &bad);
	flip_all(bz, size - 64 - 32, size, size, &ok, &bad);
	assert_true(bad > 100);
	ok = bad = 0;
	/* ELF header, program headers, notes: all that is parsed. */
	vm = test_vmlinux(&t, &size);
	flip_all(vm, 0, 256, size, &ok, &bad);
	flip_all(vm, 4096, 4096 + 176, size, &ok, &bad);
	assert_true(bad > 100 && ok > 100);
}

static void test_random_bytes_behind_magic(void **state)
{
	static const char *const magics[] = { "\x1f\x8b\x08",
					      "BZh9",
					      "\x5d\x00\x00\x00\x04",
					      "\xfd"
					      "7zXZ",
					      "\x02\x21\x4c\x18",
					      "\x28\xb5\x2f\xfd",
					      "\x7f"
					      "ELF" };
	static const size_t magic_sizes[] = { 3, 4, 5, 5, 4, 4, 4 };
	struct test_image t = { .note = good_note };
	unsigned int seed = 1;

	for (size_t m = 0; m < ARRAY_SIZE(magics); m++)
		for (int round = 0; round < 40; round++) {
			size_t size, at = 5 * 512 + 1024;
			_cleanup_free_ uint8_t *bz = test_bzimage(&t, &size);

			for (size_t i = at; i + 68 < size; i++)
				bz[i] = (uint8_t)(rand_r(&seed) >> 8);
			memcpy(bz + at, magics[m], magic_sizes[m]);
			assert_true(parse_exact(bz, size) < 0);
		}
}

static void test_real_kernels(void **state)
{
	const char *more = getenv("LUCTL_TEST_IMAGES");
	unsigned int n = 0;
	glob_t g;

	if (glob(more ?: "/boot/vmlinuz-*", 0, NULL, &g) != 0) {
		print_message("no kernel in /boot, LUCTL_TEST_IMAGES not set\n");
		skip();
	}
	for (size_t i = 0; i < g.gl_pathc; i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct lu_image image;
		int r = lu_image_read(AT_FDCWD, g.gl_pathv[i], &image, &e);

		print_message("%s: %s %s %s, %llu bytes, note %d (kho %s, pkernfs %u)\n", g.gl_pathv[i],
			      r < 0 ? e.what : "ok", r < 0 ? "" : image.release, r < 0 ? "" : image.compression,
			      r < 0 ? 0ull : (unsigned long long)image.kernel_size, r < 0 ? 0 : image.abi.present,
			      r < 0 ? "" : image.abi.kho, r < 0 ? 0 : image.abi.pkernfs_version);
		assert_int_equal(r, 0);
		assert_true(image.release[0] != '\0');
		n++;
	}
	globfree(&g);
	assert_true(n > 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_every_compression),
		cmocka_unit_test(test_signature),
		cmocka_unit_test(test_signature_header),
		cmocka_unit_test(test_reads_vmlinux),
		cmocka_unit_test(test_release_from_banner),
		cmocka_unit_test(test_no_note),
		cmocka_unit_test(test_note_sizes),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_foreign_files),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_every_flip),
		cmocka_unit_test(test_random_bytes_behind_magic),
		cmocka_unit_test(test_real_kernels),
	};

	return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
