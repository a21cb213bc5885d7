// SPDX-License-Identifier: GPL-2.0-or-later
/* What has to be there before QEMU is executed: directories, device nodes; whose they may be. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "test.h"

#include "launch.h"

static char dir[] = "/var/tmp/luctl-needs-XXXXXX";

static void test_may_write(void **state)
{
	static const struct {
		uint64_t uid, gid, mode;
		bool may;
	} cases[] = {
		{ 5, 6, 0600, true },  { 5, 6, 0400, false }, { 5, 6, 0200, false }, { 5, 7, 0066, false },
		{ 1, 6, 0060, true },  { 1, 7, 0060, true },  { 1, 8, 0060, true },  { 1, 9, 0660, false },
		{ 1, 6, 0606, false }, { 1, 8, 0646, false }, { 1, 9, 0606, true },  { 1, 9, 0604, false },
		{ 0, 0, 0600, false },
	};
	struct lu_launch l = { .uid = 5, .gid = 6, .groups = (uint64_t[]){ 7, 8 }, .n_groups = 2 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct stat st = { .st_uid = (uid_t)cases[i].uid,
				   .st_gid = (gid_t)cases[i].gid,
				   .st_mode = S_IFREG | (mode_t)cases[i].mode };

		expect(lu_launch_may_write(&l, &st) == cases[i].may, "case %zu", i);
	}
	l.uid = 0;
	assert_true(lu_launch_may_write(&l, &(struct stat){ .st_uid = 1, .st_mode = S_IFREG }));
}

/* A node that QEMU named by a way of its own: what stands at its end must not get another owner and mode. */
static void test_foreign_node(void **state)
{
	char node[128], link_path[128], dotted[256];
	const char *paths[] = { link_path, dotted };
	struct stat st;

	snprintf(node, sizeof(node), "%s/node", dir);
	snprintf(link_path, sizeof(link_path), "/dev/shm/luctl-node-%d", (int)getpid());
	snprintf(dotted, sizeof(dotted), "/dev/..%s", node);
	if (getuid() != 0 || mknod(node, S_IFCHR | 0600, makedev(1, 3)) < 0 || symlink(node, link_path) < 0) {
		print_message("no device node can be made: not tested\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct lu_launch l = { .name = (char *)"x" };

		assert_int_equal(lu_launch_add_need(&l, paths[i], LU_NEED_CHAR, true, 65534, 65534, 0666), 0);
		expect(lu_launch_meet_needs(&l, 0, &e) == 0, "%s", e.what);
		assert_int_equal(stat(node, &st), 0);
		expect(st.st_uid == 0 && (st.st_mode & 07777) == 0600, "%s: uid %d, mode %o", paths[i], (int)st.st_uid,
		       st.st_mode & 07777);
		free(l.needs[0].path);
		free(l.needs);
	}
	unlink(link_path);
	/* and one of devtmpfs gets its owner: it has it already, so this changes nothing */
	if (stat("/dev/null", &st) == 0) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct lu_launch l = { .name = (char *)"x" };

		assert_int_equal(lu_launch_add_need(&l, "/dev/null", LU_NEED_CHAR, true, st.st_uid, st.st_gid,
						    st.st_mode & 07777),
				 0);
		expect(lu_launch_meet_needs(&l, 0, &e) == 0, "%s", e.what);
		free(l.needs[0].path);
		free(l.needs);
	}
}

/* A socket's directory: made with its parents; a link in its place is not taken for it. */
static void test_made_directory(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_launch l = { .name = (char *)"x" };
	char path[160], link_path[128], target[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/made/deep/sockets", dir);
	assert_int_equal(lu_launch_add_need(&l, path, LU_NEED_DIRECTORY, false, getuid(), getgid(), 0751), 0);
	expect(lu_launch_meet_needs(&l, 0, &e) == 0, "%s", e.what);
	assert_true(stat(path, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 07777) == 0751);
	expect(lu_launch_meet_needs(&l, 0, &e) == 0, "%s", e.what);
	free(l.needs[0].path);
	snprintf(link_path, sizeof(link_path), "%s/made/link", dir);
	snprintf(target, sizeof(target), "%s/made/elsewhere", dir);
	assert_int_equal(symlink(target, link_path), 0);
	l.needs[0].path = strdup(link_path);
	assert_true(lu_launch_meet_needs(&l, 0, &e) < 0);
	assert_non_null(strstr(e.what, "cannot make directory"));
	assert_int_equal(access(target, F_OK), -1);
	free(l.needs[0].path);
	free(l.needs);
}

static int setup(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_may_write),
		cmocka_unit_test(test_foreign_node),
		cmocka_unit_test(test_made_directory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
