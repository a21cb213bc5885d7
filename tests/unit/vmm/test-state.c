// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The device state from QEMU's hands into pkernfs: all of it, in turns, and nothing that is no state. What a
 * well-behaved QEMU writes is tested with a real one (test-real-qemu.c).
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "test.h"

#include "vm-internal.h"

static char dir[64];
static struct lu_vms vms;
static struct lu_vm vm = { .vms = &vms, .name = (char *)"web1" };

static int setup(void **state)
{
	return test_mkdtemp(dir) && sd_event_new(&vms.event) >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
	sd_event_unref(vms.event);
	return rmdir(dir);
}

static int begin(struct lu_vm_job *j)
{
	*j = (struct lu_vm_job){ .vm = &vm, .pkernfs_fd = -EBADF, .state_fd = -EBADF };
	j->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(j->dir_fd >= 0);
	return lu_vm_job_open_state(j);
}

static void end(struct lu_vm_job *j, int fd)
{
	j->again = sd_event_source_disable_unref(j->again);
	unlinkat(j->dir_fd, "state", 0);
	close(j->dir_fd);
	closep(&j->state_fd);
	lu_error_clear(&j->error);
	close(fd);
}

/* Until it does not want another turn; how many it took. */
static int take(struct lu_vm_job *j, int *ret)
{
	int turns = 1;

	while ((*ret = lu_vm_job_take_state(j)) == 1)
		turns++;
	return turns;
}

static void test_copied(void **state)
{
	static const size_t sizes[] = { 0, 1, 300000, 8 << 20, (20 << 20) + 12345 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_free_ unsigned char *data = malloc(sizes[i] + 1), *got = malloc(sizes[i] + 1);
		struct lu_vm_job j;
		int fd = begin(&j), r, turns, file;

		assert_true(fd >= 0);
		assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_WRONLY);
		for (size_t k = 0; k < sizes[i]; k++)
			data[k] = (unsigned char)(k * 2654435761u >> 24);
		/* as QEMU begins */
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(lu_write_all(fd, data, sizes[i]), 0);
		/* what was there before does not stay behind it */
		file = openat(j.dir_fd, "state", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		assert_int_equal(ftruncate(file, 30 << 20), 0);
		turns = take(&j, &r);
		expect(r == 0, "%zu bytes: %s", sizes[i], j.error.what);
		expect(turns == (int)(sizes[i] / (8 << 20)) + 1, "%zu bytes: %d turns", sizes[i], turns);
		assert_int_equal(pread(file, got, sizes[i] + 1, 0), sizes[i]);
		assert_memory_equal(got, data, sizes[i]);
		/* QEMU writes on: nobody sees that */
		assert_int_equal(pwrite(fd, "other", 5, 0), 5);
		assert_int_equal(pread(file, got, sizes[i] + 1, 0), sizes[i]);
		assert_memory_equal(got, data, sizes[i]);
		assert_int_equal(lu_vm_job_take_state(&j), 0); /* there is nothing more to take */
		close(file);
		end(&j, fd);
	}
}

static void test_too_large(void **state)
{
	struct lu_vm_job j;
	int fd = begin(&j), r;
	struct stat st;

	assert_int_equal(ftruncate(fd, (off_t)LU_STORE_STATE_MAX + 1), 0);
	assert_int_equal(take(&j, &r), 1);
	assert_int_equal(r, -EFBIG);
	assert_non_null(strstr(j.error.what, "VM web1: its QEMU has written"));
	assert_int_equal(fstatat(j.dir_fd, "state", &st, 0), 0);
	assert_int_equal(st.st_size, 0);
	end(&j, fd);
}

/* It becomes larger while it is copied. */
static void test_grows(void **state)
{
	struct lu_vm_job j;
	int fd = begin(&j), r;

	assert_int_equal(ftruncate(fd, 9 << 20), 0);
	assert_int_equal(lu_vm_job_take_state(&j), 1);
	assert_int_equal(ftruncate(fd, (off_t)1 << 50), 0);
	assert_int_equal(take(&j, &r), 1);
	assert_int_equal(r, -EFBIG);
	end(&j, fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_copied), cmocka_unit_test(test_too_large),
						   cmocka_unit_test(test_grows) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
