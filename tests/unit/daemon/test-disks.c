// SPDX-License-Identifier: GPL-2.0-or-later
/* Which files of a process are written out, and what is said when one can't be. Writing out itself is wrapped: it is counted, and fails on demand. */
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disks.h"

static char dir[] = "/tmp/luctl-disks-XXXXXX";
static int synced, fail;
static dev_t synced_dev;

int __wrap_syncfs(int fd);
int __wrap_fsync(int fd);

int __wrap_syncfs(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	synced++;
	synced_dev = st.st_dev;
	errno = fail;
	return fail ? -1 : 0;
}

int __wrap_fsync(int fd)
{
	fail_msg("no block device is open in this test");
	return -1;
}

/* A process that has just these files open: name → flags of open(). */
struct opened {
	const char *name;
	int flags;
};

static pid_t owner_start(const struct opened *files, size_t n)
{
	int ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close_range(0, ready[1] - 1, 0);
		close_range(ready[1] + 1, ~0U, 0);
		for (size_t i = 0; i < n; i++) {
			char path[128];

			snprintf(path, sizeof(path), "%s/%s", files[i].name[0] == '/' ? "" : dir, files[i].name);
			if (open(path, files[i].flags | O_CREAT, 0600) < 0)
				_exit(1);
		}
		if (write(ready[1], "r", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

static int flush(pid_t pid, struct lu_error *e)
{
	struct lu_disk_owner owner = { "web", pid };

	synced = 0;
	return lu_disks_flush(&owner, 1, e);
}

static void end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_each_file_system_once(void **state)
{
	const struct opened files[] = { { "a", O_RDWR }, { "b", O_WRONLY }, { "c", O_RDONLY } };
	pid_t pid = owner_start(files, 3);
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct stat st;

	assert_int_equal(flush(pid, &e), 0);
	assert_int_equal(synced, 1);
	assert_int_equal(stat(dir, &st), 0);
	assert_true(synced_dev == st.st_dev);
	end(pid);
}

static void test_what_is_only_read_costs_nothing(void **state)
{
	const struct opened files[] = { { "c", O_RDONLY }, { "a", O_PATH } };
	pid_t pid = owner_start(files, 2);
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	assert_int_equal(flush(pid, &e), 0);
	assert_int_equal(synced, 0);
	end(pid);
}

static void test_failure_names_vm_and_file(void **state)
{
	const struct opened files[] = { { "a", O_RDWR } };
	pid_t pid = owner_start(files, 1);
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	fail = EIO;
	assert_int_equal(flush(pid, &e), -EIO);
	fail = 0;
	assert_non_null(strstr(e.what, "VM web: "));
	assert_non_null(strstr(e.what, "/a can't be written out"));
	assert_non_null(e.hint);
	end(pid);
}

static void test_a_process_that_is_gone_is_an_error(void **state)
{
	const struct opened files[] = { { "a", O_RDWR } };
	pid_t pid = owner_start(files, 1);
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	end(pid);
	assert_int_equal(flush(pid, &e), -ESRCH);
	assert_non_null(strstr(e.what, "VM web"));
}

static int setup(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	for (const char *name = "abc"; *name; name++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/%c", dir, *name);
		(void)unlink(path);
	}
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_file_system_once),
		cmocka_unit_test(test_what_is_only_read_costs_nothing),
		cmocka_unit_test(test_failure_names_vm_and_file),
		cmocka_unit_test(test_a_process_that_is_gone_is_an_error),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
