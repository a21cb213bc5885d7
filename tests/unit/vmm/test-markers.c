// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A saved state that waits keeps its unit from starting in the next kernel, whichever update it is of and whether or
 * not an update is on its way there.
 *
 *	test-markers LU-INIT
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "test.h"

#include "journal.h"
#include "store.h"
#include "util.h"

#define UUID "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c000a"
#define UPDATE "00000000-aaaa-4000-8000-000000000001"
#define OTHER "00000000-bbbb-4000-8000-000000000002"

static const char *lu_init;
static char dir[64];

static void run_lu_init(void)
{
	char command[600];

	snprintf(command, sizeof(command), "%s --early --pkernfs %s/pkernfs --run %s/run --any-fs 2>/dev/null", lu_init,
		 dir, dir);
	assert_int_equal(system(command), 0);
}

static bool marked_unit(const char *unit)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/run/resumed/%s", dir, unit);
	return access(path, F_OK) == 0;
}

static bool marked(void)
{
	return marked_unit("a.service");
}

static void test_waiting(void **state)
{
	static const struct {
		bool complete, result;
		int status;
		bool retry;
		const char *of;
		bool marked;
	} cases[] = {
		{ true, false, 0, false, UPDATE, true },
		{ false, false, 0, false, UPDATE, false },
		{ true, true, LU_RESULT_FAILED, true, UPDATE, true },
		{ true, true, LU_RESULT_FAILED, false, UPDATE, false },
		{ true, true, LU_RESULT_RUNNING, false, UPDATE, false },
		{ true, true, LU_RESULT_RUNNING, false, OTHER, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct lu_saved saved = { .update = (char *)UPDATE,
					  .uuid = (char *)UUID,
					  .name = (char *)"a",
					  .unit = (char *)"a.service",
					  .running = true,
					  .complete = cases[i].complete,
					  .size = 5,
					  .crc32 = 1 };
		struct lu_result result = { .update = (char *)cases[i].of,
					    .uuid = (char *)UUID,
					    .boot_id = (char *)OTHER,
					    .by = (char *)"lu-init",
					    .status = cases[i].status,
					    .retry = cases[i].retry };
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		_cleanup_close_ int root = -EBADF, vm = -EBADF;
		char path[200];

		assert_non_null(test_mkdtemp(dir));
		snprintf(path, sizeof(path), "%s/pkernfs", dir);
		assert_int_equal(lu_mkdir_p(AT_FDCWD, path, 0755), 0);
		root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		vm = lu_store_open(root, UUID, true, &e);
		expect(vm >= 0, "%s", e.what);
		assert_int_equal(lu_write_file(vm, "state", "state", 5, 0600), 0);
		expect(lu_saved_write(vm, &saved, &e) == 0, "%s", e.what);
		if (cases[i].result)
			expect(lu_result_write(vm, &result, &e) == 0, "%s", e.what);
		run_lu_init();
		expect(marked() == cases[i].marked, "case %zu: %s", i, marked() ? "marked" : "not marked");
		snprintf(path, sizeof(path), "rm -rf %s", dir);
		assert_int_equal(system(path), 0);
	}
}

/* A guest's TPM came with it: its unit is kept from starting as long as the guest's is. */
static void test_tpm(void **state)
{
	static const char *const units[] = { "a.service", "luctl-vm@web1.service", "luctl-tpm@web1.service" };
	struct lu_saved saved = { .update = (char *)UPDATE,
				  .uuid = (char *)UUID,
				  .name = (char *)"a",
				  .unit = (char *)units[0],
				  .complete = true,
				  .size = 5,
				  .crc32 = 1 };
	_cleanup_free_ char *text = NULL;
	char path[200];
	size_t size;
	int root, vm;

	assert_non_null(test_mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pkernfs", dir);
	assert_int_equal(lu_mkdir_p(AT_FDCWD, path, 0755), 0);
	root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	vm = lu_store_open(root, UUID, true, NULL);
	assert_int_equal(lu_read_file(AT_FDCWD, EXAMPLE, 1 << 20, &text, &size), 0);
	assert_int_equal(lu_write_file(vm, "launch.json", text, size, 0600), 0);
	assert_int_equal(lu_write_file(vm, "state", "state", 5, 0600), 0);
	assert_int_equal(lu_saved_write(vm, &saved, NULL), 0);
	run_lu_init();
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		expect(marked_unit(units[i]), "%s is not marked", units[i]);
	snprintf(path, sizeof(path), "%s/run", dir);
	assert_int_equal(lu_marker_remove(path, units[1], NULL), 0);
	assert_true(marked_unit(units[0]) && !marked_unit(units[1]) && !marked_unit(units[2]));
	assert_int_equal(lu_marker_remove(path, units[1], NULL), 0);
	close(vm);
	close(root);
	snprintf(path, sizeof(path), "rm -rf %s", dir);
	assert_int_equal(system(path), 0);
}

/*
 * The kernel that an update came to went down before libvirt had its guests back: luctld restores what is left of them in
 * this one, too, so libvirt stands aside here as well. Once it was let go nothing is left that says so.
 */
static void test_libvirt(void **state)
{
	static const enum lu_state states[] = { LU_STATE_JUMP, LU_STATE_BOOTED, LU_STATE_RESTORING, LU_STATE_SAVING };
	static const char record[] = "{\"version\": 1, \"units\": [\"libvirtd.service\"], \"autostarted\": true}";
	char path[200];

	for (size_t i = 0; i < 2 * ARRAY_SIZE(states); i++) {
		bool held = i % 2;
		_cleanup_free_ char *text = NULL;
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		_cleanup_close_ int root = -EBADF;
		struct lu_journal *journal;

		assert_non_null(test_mkdtemp(dir));
		snprintf(path, sizeof(path), "%s/pkernfs/update", dir);
		assert_int_equal(lu_mkdir_p(AT_FDCWD, path, 0755), 0);
		snprintf(path, sizeof(path), "%s/pkernfs/vm", dir);
		assert_int_equal(lu_mkdir_p(AT_FDCWD, path, 0755), 0);
		snprintf(path, sizeof(path), "%s/run", dir);
		assert_int_equal(lu_mkdir_p(AT_FDCWD, path, 0755), 0);
		snprintf(path, sizeof(path), "%s/pkernfs", dir);
		root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		expect(lu_journal_create(root, "update/journal", UPDATE, OTHER, &journal, &e) == 0, "%s", e.what);
		expect(lu_journal_append(journal, states[i / 2], 0, NULL, &e) == 0, "%s", e.what);
		lu_journal_free(journal);
		if (held)
			assert_int_equal(lu_write_file(root, "update/libvirt.json", record, strlen(record), 0600), 0);
		run_lu_init();
		snprintf(path, sizeof(path), "%s/run/libvirt-held", dir);
		expect((access(path, F_OK) == 0) == held, "%s: libvirt %s aside", lu_state_name(states[i / 2]),
		       held ? "does not stand" : "stands");
		/* what ended with that kernel libvirt starts as after any boot */
		if (held)
			assert_int_equal(lu_read_file(AT_FDCWD, path, 4096, &text, NULL), 0);
		expect(!held || !strstr(text, "\"autostarted\": true") == (states[i / 2] != LU_STATE_JUMP), "%s: %s",
		       lu_state_name(states[i / 2]), text);
		snprintf(path, sizeof(path), "rm -rf %s", dir);
		assert_int_equal(system(path), 0);
	}
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_waiting), cmocka_unit_test(test_tpm),
						   cmocka_unit_test(test_libvirt) };

	if (argc != 2)
		return 2;
	lu_init = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
