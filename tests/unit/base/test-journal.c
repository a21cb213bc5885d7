// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The journal: every truncation and every flipped bit of a sample, records in
 * wrong places, and every system call of the writer failing once. The linker wraps the
 * calls (see meson.build), fault_at counts down to the one that fails.
 */
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "journal.h"

#define UPDATE "01234567-89ab-cdef-0123-456789abcdef"
#define BOOT_A "aaaaaaaa-0000-0000-0000-00000000000a"
#define BOOT_B "bbbbbbbb-0000-0000-0000-00000000000b"

static char dir[64];
static int dfd = -EBADF;
static long fault_at;    /* the how-manieth call fails; 0: none */
static bool fault_twice; /* and the one after it */

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size);
int __real_renameat(int a, const char *b, int c, const char *d);
int __wrap_renameat(int a, const char *b, int c, const char *d);

static bool fault(void)
{
	if (fault_at == 0 || --fault_at > 0)
		return false;
	if (fault_twice) {
		fault_twice = false;
		fault_at = 1;
	}
	errno = ENOSPC;
	return true;
}

/* A failing write has written half of it before, as a full disk would. */
ssize_t __wrap_write(int fd, const void *p, size_t n)
{
	if (!fault())
		return __real_write(fd, p, n);
	if (n > 1 && __real_write(fd, p, n / 2) > 0)
		errno = ENOSPC;
	return -1;
}

int __wrap_fsync(int fd)
{
	return fault() ? -1 : __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
	return fault() ? -1 : __real_fdatasync(fd);
}

int __wrap_ftruncate(int fd, off_t size)
{
	return fault() ? -1 : __real_ftruncate(fd, size);
}

int __wrap_renameat(int a, const char *b, int c, const char *d)
{
	return fault() ? -1 : __real_renameat(a, b, c, d);
}

static int setup(void **state)
{
	if (!test_mkdtemp(dir))
		return -1;
	dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dfd < 0;
}

static int teardown(void **state)
{
	unlinkat(dfd, "j", 0);
	close(dfd);
	return rmdir(dir);
}

/* Five records, with and without texts; written by two boots. */
static void write_sample(char **ret, size_t *ret_size)
{
	struct lu_error cause = { .code = -EIO,
				  .what = (char *)"VM web1: save failed",
				  .hint = (char *)"try \xc3\xa4" };
	struct lu_journal_record last;
	struct lu_journal *j;

	assert_int_equal(lu_journal_create(dfd, "j", UPDATE, BOOT_A, &j, NULL), 0);
	assert_int_equal(lu_journal_append(j, LU_STATE_CHECKING, 1, NULL, NULL), 0);
	assert_int_equal(lu_journal_append(j, LU_STATE_LOADING, 2, NULL, NULL), 0);
	assert_int_equal(lu_journal_append(j, LU_STATE_ABORTING, 3, &cause, NULL), 0);
	lu_journal_free(j);
	assert_int_equal(lu_journal_open(dfd, "j", BOOT_B, &j, &last, NULL), 0);
	assert_int_equal(last.seq, 3);
	assert_int_equal(lu_journal_append(j, LU_STATE_JUMP, 2, NULL, NULL), 0);
	cause.hint = NULL;
	assert_int_equal(lu_journal_append(j, LU_STATE_BOOTED, 6, &cause, NULL), 0);
	lu_journal_free(j);
	assert_int_equal(lu_read_file(dfd, "j", LU_JOURNAL_SIZE_MAX, ret, ret_size), 0);
}

/* All bytes through the reader: the number of records, or the error. Exact-size copy, so that ASan sees a step too far. */
static int read_bytes(const void *data, size_t size, size_t *ret_torn, size_t *ret_end, struct lu_error *e)
{
	_cleanup_free_ char *copy = malloc(size ?: 1);
	struct lu_journal_record record;
	struct lu_journal_reader rd;
	int r, n = 0;

	memcpy(copy, data, size);
	r = lu_journal_reader_init(&rd, copy, size, "FILE", e);
	if (r < 0)
		return r;
	while ((r = lu_journal_reader_next(&rd, &record, e)) > 0) {
		n++;
		assert_int_equal(record.seq, n);
		assert_true(strlen(record.text) <= LU_JOURNAL_TEXT_MAX);
	}
	if (r < 0)
		return r;
	assert_int_equal(rd.offset + rd.torn, size);
	if (ret_torn)
		*ret_torn = rd.torn;
	if (ret_end)
		*ret_end = rd.offset;
	return n;
}

static void test_roundtrip(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *data = NULL;
	struct lu_journal_reader rd;
	struct lu_journal_record r, last;
	struct lu_journal_info info;
	size_t size;

	write_sample(&data, &size);
	assert_int_equal(lu_journal_reader_init(&rd, data, size, "j", &e), 0);
	assert_string_equal(rd.info.update, UPDATE);
	assert_string_equal(rd.info.boot_id, BOOT_A);
	assert_int_equal(lu_journal_reader_next(&rd, &r, &e), 1);
	assert_int_equal(r.state, LU_STATE_CHECKING);
	assert_int_equal(r.event, 1);
	assert_string_equal(r.boot_id, BOOT_A);
	assert_string_equal(r.text, "");
	assert_true(r.stamp.tsc > rd.info.stamp.tsc && r.stamp.boottime_ns > 0 && r.stamp.realtime_ns > 0);
	assert_int_equal(lu_journal_reader_next(&rd, &r, &e), 1);
	assert_int_equal(lu_journal_reader_next(&rd, &r, &e), 1);
	assert_int_equal(r.error, -EIO);
	assert_string_equal(r.text, "VM web1: save failed\ntry \xc3\xa4");
	assert_int_equal(lu_journal_reader_next(&rd, &r, &e), 1);
	assert_string_equal(r.boot_id, BOOT_B);
	assert_int_equal(lu_journal_reader_next(&rd, &r, &e), 1);
	assert_string_equal(r.text, "VM web1: save failed");
	assert_int_equal(lu_journal_reader_next(&rd, &r, &e), 0);
	assert_int_equal(rd.torn, 0);

	assert_int_equal(lu_journal_load(dfd, "j", &info, &last, &e), 0);
	assert_int_equal(last.state, LU_STATE_BOOTED);
	assert_string_equal(info.update, UPDATE);
	assert_int_equal(lu_journal_load(dfd, "nosuch", &info, &last, &e), -ENOENT);
}

/* Cut anywhere: what is whole counts, the rest is torn, a writer cuts it off and goes on. */
static void test_truncations(void **state)
{
	_cleanup_free_ char *data = NULL;
	size_t size, prev_end = 0;

	write_sample(&data, &size);
	for (size_t n = 0; n <= size; n++) {
		size_t torn = 0, end = 0;
		int r = read_bytes(data, n, &torn, &end, NULL);
		struct lu_journal_record last;
		struct lu_journal *j;

		if (n < sizeof(struct lu_journal_header)) {
			expect(r == -EBADMSG, "cut at %zu: %d", n, r);
			continue;
		}
		expect(r >= 0, "cut at %zu: %d", n, r);
		expect(end >= prev_end && end <= n, "cut at %zu: end %zu", n, end);
		expect((torn == 0) == (end == n), "cut at %zu", n);
		prev_end = end;

		assert_int_equal(lu_write_file(dfd, "j", data, n, 0600), 0);
		if (r == 0)
			assert_int_equal(lu_journal_load(dfd, "j", NULL, &last, NULL), -ENODATA);
		assert_int_equal(lu_journal_open(dfd, "j", BOOT_A, &j, &last, NULL), 0);
		assert_int_equal(last.seq, r);
		assert_int_equal(lu_journal_append(j, LU_STATE_DONE, 2, NULL, NULL), 0);
		lu_journal_free(j);
		assert_int_equal(lu_journal_load(dfd, "j", NULL, &last, NULL), 0);
		assert_int_equal(last.seq, r + 1);
		assert_int_equal(last.state, LU_STATE_DONE);
	}
	assert_int_equal(read_bytes(data, size, NULL, NULL, NULL), 5);
}

/* No single bit may be wrong anywhere, and the file is left as it is. */
static void test_flips(void **state)
{
	_cleanup_free_ char *data = NULL;
	size_t size;

	write_sample(&data, &size);
	for (size_t bit = 0; bit < size * 8; bit++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		int r;

		data[bit / 8] ^= (char)(1 << bit % 8);
		r = read_bytes(data, size, NULL, NULL, &e);
		expect(r == -EBADMSG, "bit %zu: %d", bit, r);
		expect(e.code == r && e.hint && strncmp(e.what, "FILE: ", 6) == 0, "bit %zu: %s", bit, e.what);
		if (bit / 8 >= sizeof(struct lu_journal_header))
			expect(strstr(e.what, "damaged at offset "), "bit %zu: %s", bit, e.what);
		if (bit % 97 == 0) {
			struct lu_journal *j = NULL;
			_cleanup_free_ char *after = NULL;
			size_t n;

			assert_int_equal(lu_write_file(dfd, "j", data, size, 0600), 0);
			assert_int_equal(lu_journal_open(dfd, "j", BOOT_A, &j, NULL, NULL), -EBADMSG);
			assert_null(j);
			assert_int_equal(lu_read_file(dfd, "j", 65536, &after, &n), 0);
			assert_true(n == size && memcmp(after, data, n) == 0);
		}
		data[bit / 8] ^= (char)(1 << bit % 8);
	}
}

static void test_misplaced(void **state)
{
	_cleanup_free_ char *data = NULL, *other = NULL, *mix = NULL;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	const size_t h = sizeof(struct lu_journal_header), rec = sizeof(struct lu_journal_entry);
	size_t size, other_size, torn;

	write_sample(&data, &size);
	write_sample(&other, &other_size);
	mix = malloc(size * 2);

	/* the same records under another journal's header */
	memcpy(mix, other, h);
	memcpy(mix + h, data + h, size - h);
	assert_int_equal(read_bytes(mix, size, NULL, NULL, &e), -EBADMSG);
	assert_non_null(strstr(e.what, "offset 128"));
	/* second record missing */
	memcpy(mix, data, h + rec);
	memcpy(mix + h + rec, data + h + 2 * rec, size - h - 2 * rec);
	assert_int_equal(read_bytes(mix, size - rec, NULL, NULL, NULL), -EBADMSG);
	/* first two exchanged */
	memcpy(mix, data, size);
	memcpy(mix + h, data + h + rec, rec);
	memcpy(mix + h + rec, data + h, rec);
	assert_int_equal(read_bytes(mix, size, NULL, NULL, NULL), -EBADMSG);
	/* the whole chain once more behind itself */
	memcpy(mix, data, size);
	memcpy(mix + size, data + h, size - h);
	assert_int_equal(read_bytes(mix, 2 * size - h, NULL, NULL, NULL), -EBADMSG);
	/* zeros behind it, of any length */
	memset(mix + size, 0, size);
	for (size_t n = 1; n < size; n++) {
		assert_int_equal(read_bytes(mix, size + n, &torn, NULL, NULL), 5);
		assert_int_equal(torn, n);
	}
	/* other bytes behind it: torn while they could be part of a record, else damage */
	memset(mix + size, 'x', size);
	for (size_t n = 1; n < size; n++)
		assert_int_equal(read_bytes(mix, size + n, &torn, NULL, NULL), n < rec ? 5 : -EBADMSG);
	/* zeros instead of the last record's text: it was there, and is damaged */
	memcpy(mix, data, size);
	memset(mix + size - 8, 0, 8);
	assert_int_equal(read_bytes(mix, size, NULL, NULL, NULL), -EBADMSG);
}

/* Words of the header that a newer writer may set; the checksum is right. */
static void test_versions(void **state)
{
	static const struct {
		size_t offset;
		uint32_t value;
		int r;
	} t[] = {
		{ offsetof(struct lu_journal_header, compat), 1, 0 },
		{ offsetof(struct lu_journal_header, incompat), 1u << 31, -EPROTONOSUPPORT },
		{ offsetof(struct lu_journal_header, version), 2, -EPROTONOSUPPORT },
		{ offsetof(struct lu_journal_header, header_size), 120, -EBADMSG },
		{ offsetof(struct lu_journal_header, header_size), 132, -EBADMSG },
		{ offsetof(struct lu_journal_header, header_size), 0xfffffff8, -EBADMSG },
	};
	_cleanup_free_ char *data = NULL;
	size_t size;

	write_sample(&data, &size);
	size = sizeof(struct lu_journal_header);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		_cleanup_free_ char *copy = malloc(size);
		uint32_t crc;

		memcpy(copy, data, size);
		memcpy(copy + t[i].offset, &t[i].value, 4);
		crc = (uint32_t)crc32(0, (const Bytef *)copy, offsetof(struct lu_journal_header, crc));
		memcpy(copy + offsetof(struct lu_journal_header, crc), &crc, 4);
		expect(read_bytes(copy, size, NULL, NULL, NULL) == t[i].r, "case %zu", i);
	}
}

static void test_noise(void **state)
{
	_cleanup_free_ char *data = NULL;
	size_t size;

	srand(1);
	write_sample(&data, &size);
	for (int round = 0; round < 20000; round++) {
		_cleanup_free_ char *copy = malloc(size);
		size_t n = (size_t)rand() % (size + 1);
		int r;

		memcpy(copy, data, size);
		for (int k = rand() % 8; k >= 0; k--)
			copy[(size_t)rand() % size] = (char)rand();
		r = read_bytes(copy, n, NULL, NULL, NULL);
		assert_true(r >= 0 || r == -EBADMSG);
	}
}

static void test_texts(void **state)
{
	char long_text[3 * LU_JOURNAL_TEXT_MAX];
	struct lu_error cause = { .code = -EIO, .what = long_text };
	_cleanup_(lu_journal_freep) struct lu_journal *j = NULL;
	_cleanup_free_ char *data = NULL;
	struct lu_journal_record last;
	struct lu_journal_entry entry;
	size_t size;

	/* euro signs from an odd offset: the cut falls into one */
	long_text[0] = '!';
	for (size_t i = 1; i + 3 < sizeof(long_text); i += 3)
		memcpy(long_text + i, "\xe2\x82\xac", 4);
	assert_int_equal(lu_journal_create(dfd, "j", UPDATE, BOOT_A, &j, NULL), 0);
	assert_int_equal(lu_journal_append(j, LU_STATE_ABORTING, 3, &cause, NULL), 0);
	assert_int_equal(lu_journal_load(dfd, "j", NULL, &last, NULL), 0);
	assert_int_equal(strlen(last.text), 1024);
	assert_int_equal(lu_utf8_prefix(last.text, 1024), 1024);
	cause.what = long_text + 1;
	assert_int_equal(lu_journal_append(j, LU_STATE_ABORTING, 3, &cause, NULL), 0);
	assert_int_equal(lu_journal_load(dfd, "j", NULL, &last, NULL), 0);
	assert_int_equal(strlen(last.text), 1023);
	/* cut where it is written, not only by the reader */
	assert_int_equal(lu_read_file(dfd, "j", LU_JOURNAL_SIZE_MAX, &data, &size), 0);
	memcpy(&entry, data + sizeof(struct lu_journal_header) + sizeof(entry) + 1024, sizeof(entry));
	assert_int_equal(entry.seq, 2);
	assert_int_equal(entry.text_size, 1023);
	/* an error without words still says something */
	cause.what = NULL;
	assert_int_equal(lu_journal_append(j, LU_STATE_ABORTING, 3, &cause, NULL), 0);
	assert_int_equal(lu_journal_load(dfd, "j", NULL, &last, NULL), 0);
	assert_string_equal(last.text, strerror(EIO));
}

static void test_lock_and_limits(void **state)
{
	_cleanup_(lu_journal_freep) struct lu_journal *j = NULL;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_journal *other = NULL;
	struct lu_journal_record last;
	struct stat st;
	int r, n = 0;

	assert_int_equal(lu_journal_create(dfd, "j", "nouuid", NULL, &j, NULL), -EINVAL);
	assert_int_equal(lu_journal_create(dfd, "j", UPDATE, NULL, &j, NULL), 0);
	assert_int_equal(lu_journal_open(dfd, "j", NULL, &other, NULL, &e), -EBUSY);
	assert_non_null(strstr(e.what, "lock"));
	assert_null(other);
	lu_error_clear(&e);
	while ((r = lu_journal_append(j, LU_STATE_BOOTED, 6, NULL, &e)) == 0)
		n++;
	assert_int_equal(r, -EFBIG);
	assert_non_null(strstr(e.what, "full"));
	assert_int_equal(n, (LU_JOURNAL_SIZE_MAX - 128) / 96);
	assert_int_equal(fstatat(dfd, "j", &st, 0), 0);
	assert_true(st.st_size <= LU_JOURNAL_SIZE_MAX && st.st_mode == (S_IFREG | 0600));
	assert_int_equal(lu_journal_load(dfd, "j", NULL, &last, NULL), 0);
	assert_int_equal(last.seq, n);
	/* a new update may begin while the old journal is still open */
	assert_int_equal(lu_journal_create(dfd, "j", UPDATE, NULL, &other, NULL), 0);
	lu_journal_free(other);
}

/*
 * Each system call fails once. The file then holds exactly the records whose append
 * succeeded (at most one more where the failed one could not be taken back),
 * and an append after a failure works or says that nothing can be written any more.
 */
static void test_faults(void **state)
{
	for (long n = 1;; n++) {
		_cleanup_(lu_journal_freep) struct lu_journal *j = NULL;
		struct lu_journal_record last = { 0 };
		unsigned int good = 0;
		int r;

		unlinkat(dfd, "j", 0);
		fault_at = n;
		r = lu_journal_create(dfd, "j", UPDATE, BOOT_A, &j, NULL);
		for (unsigned int i = 0; r == 0 && i < 4; i++)
			good += lu_journal_append(j, LU_STATE_CHECKING + good, 1, NULL, NULL) == 0;
		if (fault_at > 0) {
			fault_at = 0;
			assert_int_equal(good, 4);
			assert_true(n > 8);
			return;
		}
		fault_at = 0;
		assert_int_equal(faccessat(dfd, ".j.tmp", F_OK, 0), -1);
		if (!j) {
			/* the rename has happened or not; what is there is whole */
			r = lu_journal_load(dfd, "j", NULL, &last, NULL);
			expect(r == -ENOENT || r == -ENODATA, "call %ld: %d", n, r);
			continue;
		}
		assert_int_equal(good, 3);
		assert_int_equal(lu_journal_load(dfd, "j", NULL, &last, NULL), 0);
		expect(last.seq == good && last.state == LU_STATE_CHECKING + good - 1, "call %ld: seq %u", n, last.seq);
	}
}

/* Failing to write and to take back what was written: nothing may follow. */
static void test_broken(void **state)
{
	_cleanup_(lu_journal_freep) struct lu_journal *j = NULL;
	struct lu_journal_record last;

	assert_int_equal(lu_journal_create(dfd, "j", UPDATE, BOOT_A, &j, NULL), 0);
	assert_int_equal(lu_journal_append(j, LU_STATE_CHECKING, 1, NULL, NULL), 0);
	fault_at = 1;
	assert_int_equal(lu_journal_append(j, LU_STATE_LOADING, 2, NULL, NULL), -ENOSPC);
	assert_int_equal(lu_journal_append(j, LU_STATE_LOADING, 2, NULL, NULL), 0);
	/* the write fails in the middle, then the truncation */
	fault_at = 1;
	fault_twice = true;
	assert_int_equal(lu_journal_append(j, LU_STATE_PREPARING, 2, NULL, NULL), -ENOSPC);
	assert_int_equal(fault_at, 0);
	assert_int_equal(lu_journal_append(j, LU_STATE_PREPARING, 2, NULL, NULL), -ENOTRECOVERABLE);
	assert_int_equal(lu_journal_load(dfd, "j", NULL, &last, NULL), 0);
	assert_int_equal(last.state, LU_STATE_LOADING);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roundtrip), cmocka_unit_test(test_truncations),     cmocka_unit_test(test_flips),
		cmocka_unit_test(test_misplaced), cmocka_unit_test(test_versions),        cmocka_unit_test(test_noise),
		cmocka_unit_test(test_texts),     cmocka_unit_test(test_lock_and_limits), cmocka_unit_test(test_faults),
		cmocka_unit_test(test_broken),
	};

	return cmocka_run_group_tests_name("journal", tests, setup, teardown);
}
