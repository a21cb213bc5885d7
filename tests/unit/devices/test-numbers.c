// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which number each file of a CPR state gets in the next QEMU: what its command line names, has that number, and the exec
 * form, which says so, is read back, cut, and with each bit of it changed.
 */
#include "test.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "cpr.h"
#include "inherited.h"

static struct lu_cpr_fd entries[] = {
	{ (char *)"ram0", 0, -EBADF },     { (char *)"hostdev0", 0, -EBADF }, { (char *)"hostdev0", 1, -EBADF },
	{ (char *)"iommufd0", 0, -EBADF }, { (char *)"pc.bios", 0, -EBADF },
};
static struct lu_cpr_device device = { (char *)"hostdev0", 1, 2, 3 };
static const struct lu_cpr cpr = { entries, ARRAY_SIZE(entries), &device, 1 };

static void check(struct lu_launch_inherited *list, size_t n, const int *want)
{
	const struct lu_launch l = { .inherited = list, .n_inherited = n };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int numbers[ARRAY_SIZE(entries)];

	expect(lu_cpr_number(&cpr, &l, numbers, &e) == 0, "%s", e.what);
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		expect(numbers[i] == want[i], "file %zu has %d", i, numbers[i]);
}

static void test_numbers(void **state)
{
	struct lu_launch_inherited list[] = {
		{ .fd = 5, .kind = LU_INHERITED_PIDFILE, .path = (char *)"/run/p" },
		{ .fd = 7, .kind = LU_INHERITED_CPR, .cpr = (char *)"hostdev0" },
		{ .fd = 8, .kind = LU_INHERITED_LISTEN, .path = (char *)"/run/s" },
		{ .fd = 30, .kind = LU_INHERITED_CPR, .cpr = (char *)"iommufd0" },
	};
	const struct lu_launch l = { .inherited = list, .n_inherited = ARRAY_SIZE(list) };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int numbers[ARRAY_SIZE(entries)];

	check(NULL, 0, (const int[]){ 5, 6, 7, 8, 9 });
	/* of a name there may be more, by id: the file of the device itself is the one of id 0 */
	check(list, ARRAY_SIZE(list), (const int[]){ 6, 7, 9, 30, 10 });
	list[1].cpr = (char *)"hostdev1";
	assert_int_equal(lu_cpr_number(&cpr, &l, numbers, &e), -ENOENT);
	expect(strstr(e.what, "descriptor 7 of QEMU's command line, hostdev1,"), "%s", e.what);
}

static void test_exec(void **state)
{
	const int numbers[] = { 5, 24, 6, 30, 4095 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ void *data = NULL;
	int back[ARRAY_SIZE(numbers)] = { 0 };
	size_t len;

	expect(lu_cpr_write_exec(&cpr, numbers, &fd, &e) == 0, "%s", e.what);
	expect(lu_cpr_read_exec(fd, back, ARRAY_SIZE(back), &e) == 0, "%s", e.what);
	assert_memory_equal(back, numbers, sizeof(numbers));
	assert_int_equal(lu_cpr_read_exec(fd, back, ARRAY_SIZE(back) - 1, &e), -EBADMSG);
	expect(strstr(e.what, "5 files, but 4 descriptors are held"), "%s", e.what);
	lu_error_clear(&e);
	assert_int_equal(lu_cpr_read_exec(-EBADF, back, ARRAY_SIZE(back), &e), -EBADF);

	/* what is taken is what would be written; a cut is never taken */
	assert_int_equal(lu_cpr_encode_exec(&cpr, numbers, &data, &len, NULL), 0);
	for (size_t n = 0; n < len; n++) {
		_cleanup_cpr_ struct lu_cpr got = LU_CPR_INIT;
		_cleanup_free_ int *found = NULL;

		expect(lu_cpr_parse_exec(data, n, &got, &found, NULL) < 0, "%zu bytes of %zu are taken", n, len);
	}
	for (size_t bit = 0; bit < 8 * len; bit++) {
		_cleanup_cpr_ struct lu_cpr got = LU_CPR_INIT;
		_cleanup_free_ int *found = NULL;
		_cleanup_free_ void *again = NULL;
		unsigned char *bytes = data;
		size_t size = 0;

		bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
		if (lu_cpr_parse_exec(data, len, &got, &found, NULL) == 0) {
			assert_int_equal(lu_cpr_encode_exec(&got, found, &again, &size, NULL), 0);
			expect(size == len && !memcmp(again, data, len), "bit %zu", bit);
		}
		bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
}

static void test_same_number(void **state)
{
	const int numbers[] = { 5, 24, 6, 30, 31 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_cpr_ struct lu_cpr got = LU_CPR_INIT;
	_cleanup_free_ int *found = NULL;
	_cleanup_free_ void *data = NULL;
	unsigned char *bytes;
	size_t len;

	assert_int_equal(lu_cpr_encode_exec(&cpr, numbers, &data, &len, NULL), 0);
	bytes = memmem(data, len, "\0\0\0\x1e", 4);
	assert_non_null(bytes);
	bytes[3] = 24;
	assert_int_equal(lu_cpr_parse_exec(data, len, &got, &found, &e), -EBADMSG);
	expect(strstr(e.what, "two files have the number 24"), "%s", e.what);
	lu_error_clear(&e);
	bytes[3] = 2;
	assert_int_equal(lu_cpr_parse_exec(data, len, &got, &found, &e), -EBADMSG);
	expect(strstr(e.what, "iommufd0 0 has the number 2"), "%s", e.what);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_same_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
