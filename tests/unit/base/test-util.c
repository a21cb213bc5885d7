// SPDX-License-Identifier: GPL-2.0-or-later
/* Errors, files, names, UUIDs, UTF-8 and state names. */
#include "test.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "state.h"
#include "util.h"

static char dir[64];
static int dirfd_ = -EBADF;

static int setup(void **state)
{
	if (!test_mkdtemp(dir))
		return -1;
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dirfd_ < 0;
}

static int teardown(void **state)
{
	close(dirfd_);
	return rmdir(dir); /* fails if a test left something */
}

static void test_error(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT, f = LU_ERROR_INIT;

	assert_int_equal(lu_error_set(NULL, -EIO, "h", "x"), -EIO);
	assert_int_equal(lu_error_set(&e, -EIO, "try %s", "VM %s: gone", "web1"), -EIO);
	assert_string_equal(e.what, "VM web1: gone");
	assert_string_equal(e.hint, "try %s"); /* a hint is no format */
	/* the first error is the cause */
	assert_int_equal(lu_error_set(&e, -ENOENT, NULL, "later"), -ENOENT);
	assert_int_equal(e.code, -EIO);
	lu_error_move(&f, &e);
	assert_int_equal(e.code, 0);
	assert_null(e.what);
	assert_int_equal(f.code, -EIO);
	lu_error_set(&e, -ENOENT, NULL, "second");
	lu_error_move(&f, &e);
	assert_int_equal(f.code, -EIO);
	assert_null(e.what);
	lu_error_set(&e, -ENOENT, NULL, "dropped");
	lu_error_move(NULL, &e);
	assert_null(e.what);
}

/* What is no regular file is told by its kind and not opened. */
static void test_open_regular(void **state)
{
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), fd;
	char path[128], events[1024];

	assert_int_equal(lu_write_file(dirfd_, "regular", "x", 1, 0600), 0);
	fd = lu_open_regular(dirfd_, "regular");
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
	assert_int_equal(symlinkat("regular", dirfd_, "link"), 0);
	fd = lu_open_regular(dirfd_, "link");
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(mkfifoat(dirfd_, "fifo", 0600), 0);
	snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_true(inotify_add_watch(watch, path, IN_OPEN) >= 0);
	assert_int_equal(lu_open_regular(dirfd_, "fifo"), -EMEDIUMTYPE);
	assert_int_equal(read(watch, events, sizeof(events)), -1);
	assert_int_equal(lu_open_regular(dirfd_, "."), -EISDIR);
	assert_int_equal(lu_open_regular(dirfd_, "none"), -ENOENT);
	close(watch);
	unlinkat(dirfd_, "regular", 0);
	unlinkat(dirfd_, "link", 0);
	unlinkat(dirfd_, "fifo", 0);
}

/* A path in a folder that others write to leads nowhere else. */
static void test_open_beneath(void **state)
{
	int fd;

	assert_int_equal(mkdirat(dirfd_, "sub", 0700), 0);
	assert_int_equal(lu_write_file(dirfd_, "sub/file", "x", 1, 0600), 0);
	assert_int_equal(symlinkat("sub", dirfd_, "inside"), 0);
	assert_int_equal(symlinkat(dir, dirfd_, "absolute"), 0);
	assert_int_equal(symlinkat("../..", dirfd_, "up"), 0);
	fd = lu_open_beneath(dirfd_, "inside/file", O_RDONLY);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	assert_int_equal(lu_open_beneath(dirfd_, "absolute/sub/file", O_RDONLY), -EXDEV);
	assert_int_equal(lu_open_beneath(dirfd_, "up", O_PATH), -EXDEV);
	assert_int_equal(lu_open_beneath(dirfd_, "../x", O_RDONLY), -EXDEV);
	assert_int_equal(lu_open_beneath(dirfd_, "/etc", O_PATH), -EXDEV);
	assert_int_equal(lu_open_beneath(dirfd_, "none", O_RDONLY), -ENOENT);
	unlinkat(dirfd_, "sub/file", 0);
	unlinkat(dirfd_, "sub", AT_REMOVEDIR);
	unlinkat(dirfd_, "inside", 0);
	unlinkat(dirfd_, "absolute", 0);
	unlinkat(dirfd_, "up", 0);
}

static void test_text(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "" },
		{ "VM web1: gone", "VM web1: gone" },
		{ "Gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", "Gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80" },
		{ "bad\xff.json and more", "bad?.json and more" },
		{ "\xc3", "?" },
		{ "a\xed\xa0\x80z", "a???z" }, /* a surrogate */
		{ "\xc0\xaf", "??" },
		{ "two\nlines\tand\x1b[31mred\x7f", "two lines and?[31mred?" },
	};
	static char big[3 * LU_TEXT_MAX];
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *out = lu_text_dup(cases[i].in);

		expect(!strcmp(out, cases[i].out), "case %zu: %s", i, out);
		expect(lu_utf8_prefix(out, strlen(out)) == strlen(out), "case %zu", i);
	}
	assert_null(lu_text_dup(NULL));
	/* cut between characters, wherever they begin */
	for (size_t shift = 0; shift < 4; shift++) {
		_cleanup_free_ char *out = NULL;

		memset(big, 'x', shift);
		for (size_t i = shift; i + 4 < sizeof(big); i += 4)
			memcpy(big + i, "\xf0\x9f\x98\x80", 5);
		out = lu_text_dup(big);
		assert_true(strlen(out) <= LU_TEXT_MAX && strlen(out) > LU_TEXT_MAX - 8);
		assert_int_equal(lu_utf8_prefix(out, strlen(out)), strlen(out));
		assert_string_equal(out + strlen(out) - 3, "...");
	}
	lu_error_set(&e, -EIO, "move /x\xff\ny", "/x\xff\ny: gone");
	assert_string_equal(e.what, "/x? y: gone");
	assert_string_equal(e.hint, "move /x? y");
}

static void test_files(void **state)
{
	_cleanup_free_ char *data = NULL;
	size_t size;

	assert_int_equal(lu_read_file(dirfd_, "f", 10, &data, &size), -ENOENT);
	assert_int_equal(lu_write_file(dirfd_, "f", "12345", 5, 0600), 0);
	assert_int_equal(lu_write_file(dirfd_, "f", "abcde", 5, 0600), 0);
	assert_int_equal(lu_read_file(dirfd_, "f", 4, &data, &size), -EFBIG);
	assert_null(data);
	assert_int_equal(lu_read_file(dirfd_, "f", 5, &data, &size), 0);
	assert_int_equal(size, 5);
	assert_string_equal(data, "abcde");
	/* a failing write leaves the old file and no temporary one */
	assert_int_equal(lu_write_file(dirfd_, "nodir/f", "x", 1, 0600), -ENOENT);
	assert_int_equal(faccessat(dirfd_, ".f.tmp", F_OK, 0), -1);
	assert_int_equal(lu_write_file(dirfd_, "f", "a\0b", 3, 0600), 0);
	free(steal_ptr(data));
	assert_int_equal(lu_read_file(dirfd_, "f", 5, &data, NULL), -EINVAL);
	assert_int_equal(lu_read_file(dirfd_, "f", 5, &data, &size), 0);
	assert_int_equal(size, 3);
	unlinkat(dirfd_, "f", 0);
	/* a file without a size */
	free(steal_ptr(data));
	assert_int_equal(lu_read_file(AT_FDCWD, "/proc/self/status", 65536, &data, NULL), 0);
	assert_non_null(strstr(data, "Name:"));
}

static void test_mkdir(void **state)
{
	assert_int_equal(lu_mkdir_p(dirfd_, "a/b/c", 0700), 0);
	assert_int_equal(lu_mkdir_p(dirfd_, "a/b/c", 0700), 0);
	assert_int_equal(lu_mkdir_p(dirfd_, "a//b/c/", 0700), 0);
	assert_int_equal(lu_mkdir_p(dirfd_, "", 0700), -ENOENT);
	assert_int_equal(lu_write_file(dirfd_, "a/b/c/f", "", 0, 0600), 0);
	assert_int_equal(lu_mkdir_p(dirfd_, "a/b/c/f", 0700), -ENOTDIR);
	assert_int_equal(lu_mkdir_p(dirfd_, "a/b/c/f/g", 0700), -ENOTDIR);
	unlinkat(dirfd_, "a/b/c/f", 0);
	unlinkat(dirfd_, "a/b/c", AT_REMOVEDIR);
	unlinkat(dirfd_, "a/b", AT_REMOVEDIR);
	unlinkat(dirfd_, "a", AT_REMOVEDIR);
}

static void test_names(void **state)
{
	static const char *const good[] = { "a", "web1", "A_b.c-d", "0" };
	static const char *const bad[] = { "", ".", "..", ".a", "-a", "a/b", "a b", "a\n", "\xc3\xa4" };
	char name[66];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		expect(lu_name_valid(good[i]), "%s", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect(!lu_name_valid(bad[i]), "%s", bad[i]);
	memset(name, 'a', 65);
	name[65] = '\0';
	assert_false(lu_name_valid(name));
	name[64] = '\0';
	assert_true(lu_name_valid(name));
	assert_false(lu_name_valid(NULL));
}

static void test_uuid(void **state)
{
	static const char *const bad[] = { "",
					   "x",
					   "01234567-89ab-cdef-0123-456789abcde",
					   "01234567-89ab-cdef-0123-456789abcdeff",
					   "01234567x89ab-cdef-0123-456789abcdef",
					   "g1234567-89ab-cdef-0123-456789abcdef",
					   "0123456789abcdef0123456789abcdef0123" };
	uint8_t b[16];
	char s[37];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect(!lu_uuid_valid(bad[i]) && lu_uuid_parse(bad[i], b) == -EINVAL, "%s", bad[i]);
	assert_int_equal(lu_uuid_parse("01234567-89AB-cdef-0123-456789abcDEF", b), 0);
	assert_int_equal(b[0], 0x01);
	assert_int_equal(b[4], 0x89);
	assert_int_equal(b[15], 0xef);
	lu_uuid_format(b, s);
	assert_string_equal(s, "01234567-89ab-cdef-0123-456789abcdef");
	assert_int_equal(lu_boot_id(s), 0);
	assert_true(lu_uuid_valid(s));
}

static void test_utf8(void **state)
{
	static const struct {
		const char *s;
		size_t n;
	} t[] = {
		{ "", 0 },
		{ "abc", 3 },
		{ "\xc3\xa4", 2 },
		{ "a\xc3", 1 },
		{ "\xe2\x82\xac", 3 },
		{ "\xe2\x82", 0 },
		{ "\xf0\x9f\x98\x80!", 5 },
		{ "\xf0\x9f\x98", 0 },
		{ "\x80", 0 },
		{ "a\xc0\xaf", 1 },
		{ "\xc1\xbf", 0 },
		{ "\xe0\x9f\xbf", 0 },
		{ "\xe0\xa0\x80", 3 },
		{ "\xed\x9f\xbf", 3 },
		{ "\xed\xa0\x80", 0 },
		{ "\xf0\x8f\xbf\xbf", 0 },
		{ "\xf4\x8f\xbf\xbf", 4 },
		{ "\xf4\x90\x80\x80", 0 },
		{ "\xf5\x80\x80\x80", 0 },
		{ "\xc3\x28", 0 },
		{ "\xff", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		size_t n = strlen(t[i].s);
		_cleanup_free_ char *copy = malloc(n ?: 1);

		memcpy(copy, t[i].s, n);
		expect(lu_utf8_prefix(copy, n) == t[i].n, "case %zu: %zu", i, lu_utf8_prefix(copy, n));
	}
}

static void test_states(void **state)
{
	unsigned int rest = 0;

	for (unsigned int i = 0; i < LU_STATE_MAX; i++) {
		assert_int_equal(lu_state_from_name(lu_state_name(i)), i);
		rest += lu_state_is_rest(i);
	}
	assert_int_equal(rest, 4);
	assert_null(lu_state_name(LU_STATE_MAX));
	assert_int_equal(lu_state_from_name("none"), -ENOENT);
	/* numbers that stand in files */
	assert_int_equal(LU_STATE_JUMP, 7);
	assert_int_equal(LU_STATE_BOOTED, 8);
	assert_int_equal(LU_STATE_DEGRADED, 16);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error),        cmocka_unit_test(test_files), cmocka_unit_test(test_mkdir),
		cmocka_unit_test(test_names),        cmocka_unit_test(test_uuid),  cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_states),       cmocka_unit_test(test_text),  cmocka_unit_test(test_open_regular),
		cmocka_unit_test(test_open_beneath),
	};

	return cmocka_run_group_tests_name("util", tests, setup, teardown);
}
