// SPDX-License-Identifier: GPL-2.0-or-later
/* The records of a VM when somebody else has filled pkernfs, and a state file that somebody else has made of any size. */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <zlib.h>

#include "test.h"

#include "journal.h"
#include "store.h"

#define UUID "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c000a"
#define UPDATE "00000000-aaaa-4000-8000-000000000001"

static char dir[64];
static int root = -EBADF;

/* A file system of 4 MiB of its own, if that can be had here */
static int setup(void **state)
{
	if (!test_mkdtemp(dir))
		return -1;
	if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		*state = mount("small", dir, "tmpfs", 0, "size=4m") == 0 ? dir : NULL;
	root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return root < 0;
}

static int teardown(void **state)
{
	close(root);
	(void)umount2(dir, MNT_DETACH);
	return rmdir(dir);
}

static struct lu_saved saved_now(bool complete)
{
	return (struct lu_saved){ .update = (char *)UPDATE,
				  .uuid = (char *)UUID,
				  .name = (char *)"web1",
				  .running = true,
				  .complete = complete,
				  .size = complete ? 7 : 0 };
}

static void fill(void)
{
	int fd = openat(root, "ram", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	char page[4096];

	memset(page, 1, sizeof(page));
	while (write(fd, page, sizeof(page)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	close(fd);
}

static void write_result(int vm, int status, const char *what)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_(lu_result_clear) struct lu_result got = { 0 };
	struct lu_doc_error error = { .what = (char *)what, .hint = (char *)what };
	struct lu_result result = { .update = (char *)UPDATE,
				    .uuid = (char *)UUID,
				    .boot_id = (char *)UPDATE,
				    .by = (char *)"lu-init",
				    .status = status,
				    .error = what ? &error : NULL };
	int r = lu_result_write(vm, &result, &e);

	expect(r == 0, "status %d: %s", status, e.what);
	expect(lu_result_read(vm, &got, &e) == 0, "%s", e.what);
	assert_int_equal(got.status, status);
	assert_true(!got.error == !what && (!what || !strcmp(got.error->what, what)));
}

/* All that is written of a VM from its save to its running, while another one takes each block that becomes free. */
static void test_full(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_(lu_saved_clear) struct lu_saved got = { 0 };
	struct lu_saved saved = saved_now(false);
	static char text[LU_TEXT_MAX + 1];
	int vm;

	if (!*state) {
		print_message("no file system of its own: not tested\n");
		skip();
	}
	memset(text, '"', LU_TEXT_MAX); /* escaped twice as long */
	vm = lu_store_open(root, UUID, true, &e);
	assert_true(vm >= 0);
	expect(lu_store_reserve(vm, &e) == 0, "%s", e.what);
	expect(lu_store_reserve(vm, &e) == 0, "%s", e.what);
	expect(lu_saved_write(vm, &saved, &e) == 0, "%s", e.what);
	fill();
	saved = saved_now(true);
	expect(lu_saved_write(vm, &saved, &e) == 0, "%s", e.what);
	expect(lu_saved_read(vm, &got, &e) == 0 && got.complete, "%s", e.what);
	fill();
	write_result(vm, LU_RESULT_FAILED, text);
	fill();
	write_result(vm, LU_RESULT_LOADED, NULL);
	fill();
	write_result(vm, LU_RESULT_RUNNING, NULL);
	fill();
	expect(lu_clock_write(vm, &(struct lu_clock){ .update = (char *)UPDATE, .set = true }, &e) == 0, "%s", e.what);
	close(vm);
	/* nothing of it stays */
	assert_int_equal(unlinkat(root, "ram", 0), 0);
	assert_int_equal(lu_store_remove(root, UUID, &e), 0);
	assert_int_equal(unlinkat(root, "vm", AT_REMOVEDIR), 0);
}

/* Without room for the records a VM is not prepared. */
static void test_no_room(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int vm;

	if (!*state)
		skip();
	vm = lu_store_open(root, UUID, true, &e);
	assert_true(vm >= 0);
	fill();
	assert_int_equal(lu_store_reserve(vm, &e), -ENOSPC);
	assert_non_null(strstr(e.what, "no room for the VM's records"));
	close(vm);
	unlinkat(root, "ram", 0);
	assert_int_equal(lu_store_remove(root, UUID, &e), 0);
	unlinkat(root, "vm", AT_REMOVEDIR);
}

/* The next kernel's first record decides whether a guest may be resumed. */
static void test_journal(void **state)
{
	static char text[LU_JOURNAL_TEXT_MAX + 1];
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_error cause = { .code = -EIO, .what = text };
	struct lu_journal_record last;
	struct lu_journal *j;
	struct stat st;

	if (!*state)
		skip();
	memset(text, 'x', LU_JOURNAL_TEXT_MAX);
	expect(lu_journal_create(root, "journal", UPDATE, UPDATE, &j, &e) == 0, "%s", e.what);
	lu_journal_free(j);
	fill();
	for (int i = 0; i < 40; i++) {
		expect(lu_journal_open(root, "journal", UPDATE, &j, &last, &e) == 0, "%s", e.what);
		assert_int_equal(last.seq, i);
		expect(lu_journal_append(j, LU_STATE_BOOTED, LU_EVENT_RECOVER, &cause, &e) == 0, "record %d: %s", i,
		       e.what);
		lu_journal_free(j);
	}
	/* the reserve is behind its end */
	assert_int_equal(fstatat(root, "journal", &st, 0), 0);
	assert_true(st.st_size < 40 * 1200);
	unlinkat(root, "journal", 0);
	/* without room no update begins */
	fill();
	assert_int_equal(lu_journal_create(root, "journal", UPDATE, UPDATE, &j, &e), -ENOSPC);
	unlinkat(root, "journal", 0);
	unlinkat(root, "ram", 0);
}

/* A VM's journal of calls outlives its folder, until the next update begins; nothing else that lies there is touched. */
static void test_kept_journal(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int vm = lu_store_open(root, UUID, true, &e), fd;
	char text[8] = "";

	assert_true(vm >= 0 && mkdirat(root, "update", 0700) == 0);
	assert_int_equal(lu_store_open_journal(root, UUID), -ENOENT);
	assert_int_equal(lu_store_open_journal(root, "../etc"), -EINVAL);
	lu_store_keep_journal(root, UUID); /* there is none */
	assert_int_equal(faccessat(root, "update/calls", F_OK, 0), -1);
	assert_int_equal(lu_write_file(vm, "journal", "calls", 5, 0600), 0);
	fd = lu_store_open_journal(root, UUID);
	assert_true(fd >= 0 && read(fd, text, sizeof(text)) == 5);
	close(fd);
	lu_store_keep_journal(root, UUID);
	assert_int_equal(lu_store_remove(root, UUID, &e), 0);
	assert_int_equal(faccessat(root, "vm/" UUID, F_OK, 0), -1);
	fd = lu_store_open_journal(root, UUID);
	assert_true(fd >= 0 && read(fd, text, sizeof(text)) == 5 && !memcmp(text, "calls", 5));
	close(fd);
	assert_int_equal(lu_write_file(root, "update/calls/other", "", 0, 0600), 0);
	lu_store_drop_journals(root);
	assert_int_equal(lu_store_open_journal(root, UUID), -ENOENT);
	assert_int_equal(unlinkat(root, "update/calls/other", 0), 0);
	lu_store_drop_journals(root);
	close(vm);
	unlinkat(root, "update/calls", AT_REMOVEDIR);
	unlinkat(root, "update", AT_REMOVEDIR);
	unlinkat(root, "vm", AT_REMOVEDIR);
}

/* What QEMU has made of its state file must not keep the daemon busy. */
static void test_sum(void **state)
{
	int fd = openat(root, "state", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	unsigned char data[100000];
	struct lu_sum sum = { 0 };
	uint64_t size;
	uint32_t crc;
	int turns = 0;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 7);
	assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
	assert_int_equal(lu_store_sum(fd, &size, &crc), 0);
	assert_int_equal(size, sizeof(data));
	assert_int_equal(crc, crc32(crc32(0, NULL, 0), data, sizeof(data)));
	while (lu_store_sum_some(fd, 1, &sum) == 0 && turns++ < 10)
		;
	assert_true(sum.size == size && sum.crc32 == crc);
	sum = (struct lu_sum){ 0 };
	assert_int_equal(ftruncate(fd, (off_t)1 << 50), 0);
	assert_int_equal(lu_store_sum_some(fd, 1, &sum), -EFBIG);
	assert_int_equal(lu_store_sum(fd, &size, &crc), -EFBIG);
	/* that becomes larger meanwhile */
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	assert_int_equal(lu_store_sum_some(fd, 1, &sum), 0);
	assert_int_equal(ftruncate(fd, (off_t)LU_STORE_STATE_MAX + 1), 0);
	assert_int_equal(lu_store_sum_some(fd, 1, &sum), -EFBIG);
	close(fd);
	unlinkat(root, "state", 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_full), cmocka_unit_test(test_no_room),
						   cmocka_unit_test(test_journal), cmocka_unit_test(test_kept_journal),
						   cmocka_unit_test(test_sum) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
