// SPDX-License-Identifier: GPL-2.0-or-later
/* luctl-trial without a machine: which disks, what is in the archive, what QEMU is told and what is made of its words. */
#include "test.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include "trial.h"

static char dir[64];
static int dirfd_ = -EBADF;

static int make_dir(void **state)
{
	strcpy(dir, "/tmp/luctl-trial-test-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dirfd_ < 0;
}

static int remove_dir(void **state)
{
	char command[128];

	closep(&dirfd_);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static void put(const char *path, const char *text, mode_t mode)
{
	_cleanup_free_ char *folder = strdup(path);

	if (strrchr(folder, '/')) {
		*strrchr(folder, '/') = '\0';
		assert_int_equal(lu_mkdir_p(dirfd_, folder, 0755), 0);
	}
	assert_int_equal(lu_write_file(dirfd_, path, text, strlen(text), mode), 0);
}

static void link_to(const char *path, const char *target)
{
	_cleanup_free_ char *folder = strdup(path);

	*strrchr(folder, '/') = '\0';
	assert_int_equal(lu_mkdir_p(dirfd_, folder, 0755), 0);
	assert_int_equal(symlinkat(target, dirfd_, path), 0);
}

static void root_is(unsigned int major, unsigned int minor)
{
	char text[256];

	snprintf(
		text, sizeof(text),
		"22 1 0:20 / /proc rw - proc proc rw\n1 1 0:2 / / rw - rootfs rootfs rw\n23 1 %u:%u / / rw shared:1 - ext4 /dev/root rw\n",
		major, minor);
	put("proc/self/mountinfo", text, 0644);
}

/* /sys/devices/@bus/block/@name with a driver of @driver at its adapter, and the links to it */
static void disk(const char *name, const char *number, const char *driver)
{
	char path[256], target[256];

	snprintf(path, sizeof(path), "sys/devices/%s-bus/dev/block/%s/size", name, name);
	put(path, "1\n", 0644);
	snprintf(path, sizeof(path), "sys/devices/%s-bus/dev/block/%s/device", name, name);
	assert_int_equal(symlinkat("../..", dirfd_, path), 0);
	snprintf(path, sizeof(path), "sys/devices/%s-bus/driver", name);
	snprintf(target, sizeof(target), "../../bus/pci/drivers/%s", driver);
	link_to(path, target);
	snprintf(target, sizeof(target), "../../devices/%s-bus/dev/block/%s", name, name);
	snprintf(path, sizeof(path), "sys/class/block/%s", name);
	link_to(path, target);
	snprintf(path, sizeof(path), "sys/dev/block/%s", number);
	link_to(path, target);
}

static void test_disk(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct trial_disks d = TRIAL_DISKS_INIT;

	root_is(253, 1);
	disk("vda", "253:0", "virtio_blk");
	put("sys/devices/vda-bus/dev/block/vda/vda1/partition", "1\n", 0644);
	link_to("sys/dev/block/253:1", "../../devices/vda-bus/dev/block/vda/vda1");
	assert_int_equal(trial_disks_find(dirfd_, &d, &e), 0);
	assert_int_equal(d.n, 1);
	assert_string_equal(d.list[0].name, "vda");
	assert_string_equal(d.list[0].model->device, "virtio-blk-pci");
}

/* LVM on a RAID of two disks of different kinds, one of them twice below */
static void test_stacked(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct trial_disks d = TRIAL_DISKS_INIT;

	root_is(252, 0);
	disk("nvme0n1", "259:0", "nvme");
	disk("sda", "8:0", "ahci");
	put("sys/devices/sda-bus/dev/block/sda/sda2/partition", "2\n", 0644);
	link_to("sys/class/block/sda2", "../../devices/sda-bus/dev/block/sda/sda2");
	link_to("sys/devices/virtual/block/md0/slaves/sda2", "x");
	link_to("sys/devices/virtual/block/md0/slaves/nvme0n1", "x");
	link_to("sys/class/block/md0", "../../devices/virtual/block/md0");
	link_to("sys/devices/virtual/block/dm-0/slaves/md0", "x");
	link_to("sys/devices/virtual/block/dm-0/slaves/sda2", "x");
	link_to("sys/dev/block/252:0", "../../devices/virtual/block/dm-0");
	assert_int_equal(trial_disks_find(dirfd_, &d, &e), 0);
	assert_int_equal(d.n, 2);
	assert_string_equal(d.list[0].name, "nvme0n1");
	assert_string_equal(d.list[1].name, "sda");
	assert_string_equal(d.list[1].model->device, "ide-hd");
}

static void test_no_such_disk(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct trial_disks d = TRIAL_DISKS_INIT;

	root_is(0, 44);
	assert_int_equal(trial_disks_find(dirfd_, &d, &e), -EOPNOTSUPP);
	assert_non_null(strstr(e.what, "no single block device"));
	lu_error_clear(&e);
	root_is(8, 0);
	disk("sda", "8:0", "hpsa");
	assert_int_equal(trial_disks_find(dirfd_, &d, &e), -EOPNOTSUPP);
	assert_non_null(strstr(e.what, "driver hpsa"));
	lu_error_clear(&e);
	/* a loop of slaves ends */
	root_is(7, 0);
	link_to("sys/devices/virtual/block/dm-1/slaves/dm-1", "x");
	link_to("sys/class/block/dm-1", "../../devices/virtual/block/dm-1");
	link_to("sys/dev/block/7:0", "../../devices/virtual/block/dm-1");
	assert_int_equal(trial_disks_find(dirfd_, &d, &e), -ELOOP);
}

static void test_archive(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_close_ int first = -EBADF;
	struct trial_file files[] = { { .path = "init", .fd = -EBADF, .text = "#!x", .executable = true },
				      { .path = "a/b", .fd = -EBADF, .text = "1" },
				      { .path = "a/c", .fd = -EBADF, .text = "" } };
	static const char *const names[] = { "init", "a", "a/b", "a/c" };
	struct archive_entry *entry;
	struct archive *a;
	char one[128], both[128];

	snprintf(one, sizeof(one), "%s/one", dir);
	snprintf(both, sizeof(both), "%s/both", dir);
	put("before", "12345", 0600);
	first = openat(dirfd_, "before", O_RDONLY | O_CLOEXEC);
	assert_int_equal(trial_archive_write(one, -EBADF, files, 3, &e), 0);
	a = archive_read_new();
	assert_int_equal(archive_read_support_format_cpio(a), ARCHIVE_OK);
	assert_int_equal(archive_read_open_filename(a, one, 4096), ARCHIVE_OK);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(archive_read_next_header(a, &entry), ARCHIVE_OK);
		assert_string_equal(archive_entry_pathname(entry), names[i]);
	}
	assert_int_equal(archive_read_next_header(a, &entry), ARCHIVE_EOF);
	archive_read_free(a);

	/* behind other bytes it begins at a multiple of four */
	assert_int_equal(trial_archive_write(both, first, files, 1, &e), 0);
	a = archive_read_new();
	assert_int_equal(archive_read_support_format_raw(a), ARCHIVE_OK);
	assert_int_equal(archive_read_open_filename(a, both, 4096), ARCHIVE_OK);
	{
		char head[14];

		assert_int_equal(archive_read_next_header(a, &entry), ARCHIVE_OK);
		assert_int_equal(archive_read_data(a, head, sizeof(head)), sizeof(head));
		assert_memory_equal(head,
				    "12345\0\0\0"
				    "070701",
				    14);
	}
	archive_read_free(a);
	/* what is there is not written over */
	assert_int_equal(trial_archive_write(one, -EBADF, files, 1, &e), -EEXIST);
}

static void run_with(const char *script, unsigned int seconds, int expected, struct trial_result *ret,
		     struct lu_error *e)
{
	struct trial_disks disks = TRIAL_DISKS_INIT;
	char qemu[128];
	struct trial_machine m = { .qemu = qemu,
				   .folder = dir,
				   .kernel = "/k",
				   .initrd = "/i",
				   .cmdline = "a b",
				   .memory_mib = 1,
				   .disks = &disks,
				   .uid = geteuid(),
				   .gid = getegid(),
				   .seconds = seconds };
	_cleanup_free_ char *text = NULL;

	snprintf(qemu, sizeof(qemu), "%s/qemu.sh", dir);
	assert_true(asprintf(&text, "#!/bin/sh\nprintf '%%s\\n' \"$@\" > %s/args\n%s\n", dir, script) > 0);
	put("qemu.sh", text, 0700);
	assert_int_equal(trial_machine_run(&m, ret, e), expected);
}

static void test_words(void **state)
{
	static const struct {
		const char *script;
		enum trial_stage stage;
		const char *release, *failed;
	} rows[] = {
		{ "printf 'first\\njump\\nsecond 7.3.4-lu\\nok\\n'; sleep 100", TRIAL_OK, "7.3.4-lu", "" },
		{ "printf 'first\\r\\njump\\r\\nsecond 7\\r\\nfailed what was left\\r\\n'; sleep 100", TRIAL_SECOND,
		  "7", "what was left" },
		{ "echo first; echo jump", TRIAL_JUMP, "", "" },
		{ "echo first; echo failed no pkernfs", TRIAL_FIRST, "", "no pkernfs" },
		{ "echo first; echo load; echo failed no room", TRIAL_LOAD, "", "no room" },
		/* nobody gets there without the jump */
		{ "echo first; echo ok; echo jump", TRIAL_JUMP, "", "" },
		{ "head -c 5000 /dev/zero | tr '\\0' x; echo; echo first", TRIAL_FIRST, "", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct trial_result r;

		run_with(rows[i].script, 60, 0, &r, &e);
		if (r.stage != rows[i].stage || strcmp(r.failed, rows[i].failed) != 0 ||
		    strcmp(r.release, rows[i].release) != 0)
			print_error("row %zu: stage %d, \"%s\", \"%s\"\n", i, r.stage, r.release, r.failed);
		assert_int_equal(r.stage, rows[i].stage);
		assert_string_equal(r.failed, rows[i].failed);
		assert_string_equal(r.release, rows[i].release);
		assert_false(r.late);
	}
}

static void test_last_words(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct trial_result r;
	char script[512];

	snprintf(
		script, sizeof(script),
		"echo first; echo jump; printf 'a\\nKernel panic - not syncing: no root\\r\\nb\\nc\\nd\\ne\\n' > %s/console",
		dir);
	run_with(script, 60, 0, &r, &e);
	assert_string_equal(r.last, "Kernel panic - not syncing: no root");
	snprintf(script, sizeof(script), "printf 'one\\ntwo\\nthree\\nfour\\n' > %s/console", dir);
	run_with(script, 60, 0, &r, &e);
	assert_string_equal(r.last, "two three four");
	/* it hangs */
	run_with("echo first; sleep 100", 1, 0, &r, &e);
	assert_int_equal(r.stage, TRIAL_FIRST);
	assert_true(r.late);
}

static void test_no_machine(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct trial_result r;

	run_with("echo 'Could not access KVM kernel module' >&2; exit 1", 60, -EIO, &r, &e);
	assert_non_null(strstr(e.what, "Could not access KVM"));
}

static void test_key(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_close_ int a = -EBADF, b = -EBADF;
	char key[6][TRIAL_KEY_SIZE], folder[128], path[300];
	struct stat st;

	put("a", "ab", 0600);
	put("b", "c", 0600);
	a = openat(dirfd_, "a", O_RDONLY | O_CLOEXEC);
	b = openat(dirfd_, "b", O_RDONLY | O_CLOEXEC);
	assert_int_equal(trial_key((int[]){ a, b }, 2, (const char *[]){ "x", "y", NULL }, key[0], &e), 0);
	assert_int_equal(trial_key((int[]){ a, b }, 2, (const char *[]){ "xy", NULL }, key[1], &e), 0);
	assert_int_equal(trial_key((int[]){ b, a }, 2, (const char *[]){ "x", "y", NULL }, key[2], &e), 0);
	assert_int_equal(trial_key((int[]){ a, -1 }, 2, (const char *[]){ "x", "y", NULL }, key[3], &e), 0);
	assert_int_equal(trial_key((int[]){ a, b }, 2, (const char *[]){ "x", "y", NULL }, key[4], &e), 0);
	assert_string_equal(key[0], key[4]);
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < i; k++)
			assert_string_not_equal(key[i], key[k]);

	snprintf(folder, sizeof(folder), "%s/var/trials", dir);
	assert_false(trial_remembered(folder, key[0]));
	trial_remember(folder, key[0]);
	assert_true(trial_remembered(folder, key[0]));
	assert_false(trial_remembered(folder, key[1]));
	assert_false(trial_remembered(NULL, key[0]));
	/* the oldest go: forty older ones, and this one stays */
	for (int i = 0; i < 40; i++) {
		snprintf(path, sizeof(path), "%s/%064x", folder, i);
		assert_int_equal(close(creat(path, 0600)), 0);
		assert_int_equal(utimensat(AT_FDCWD, path,
					   (struct timespec[]){ { .tv_sec = 1000 + i }, { .tv_sec = 1000 + i } }, 0),
				 0);
	}
	snprintf(path, sizeof(path), "%s/note", folder);
	assert_int_equal(close(creat(path, 0600)), 0);
	trial_remember(folder, key[1]);
	assert_true(trial_remembered(folder, key[0]));
	assert_true(trial_remembered(folder, key[1]));
	for (int i = 0; i < 40; i++) {
		snprintf(path, sizeof(path), "%s/%064x", folder, i);
		assert_int_equal(stat(path, &st) == 0, i >= 10);
	}
	snprintf(path, sizeof(path), "%s/note", folder);
	assert_int_equal(stat(path, &st), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		TEST(test_disk),  TEST(test_stacked),    TEST(test_no_such_disk), TEST(test_archive),
		TEST(test_words), TEST(test_last_words), TEST(test_no_machine),   TEST(test_key),
	};

	return cmocka_run_group_tests_name("trial", tests, NULL, NULL);
}
