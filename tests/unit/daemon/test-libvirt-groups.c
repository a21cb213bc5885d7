// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Control groups of a domain, read from a tree of files that looks as /proc and /sys/fs/cgroup do (recorded: libvirt
 * 11.3); the examples of what is kept of it against the C decoder.
 *
 *	test-libvirt-groups schemas/examples
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "test.h"

#include "groups.h"
#include "hold.h"
#include "machine.h"
#include "util.h"

#define SCOPE "sys/fs/cgroup/machine.slice/machine-qemu\\x2d1\\x2dred.scope"
#define GROUP "0::/machine.slice/machine-qemu\\x2d1\\x2dred.scope"

static int root;
static const char *examples;

static void put(const char *path, const char *text)
{
	_cleanup_free_ char *dir = strdup(path);

	*strrchr(dir, '/') = '\0';
	assert_int_equal(lu_mkdir_p(root, dir, 0755), 0);
	assert_int_equal(lu_write_file(root, path, text, strlen(text), 0644), 0);
}

static int setup(void **state)
{
	static char dir[] = "/tmp/luctl-groups-XXXXXX";

	if (!mkdtemp(dir))
		return -1;
	*state = dir;
	root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put("proc/209/cgroup", GROUP "/libvirt/emulator\n");
	put("proc/209/task/209/comm", "qemu-system-x86\n");
	put("proc/209/task/209/cgroup", GROUP "/libvirt/emulator\n");
	put("proc/209/task/216/comm", "CPU 0/KVM\n");
	put("proc/209/task/216/cgroup", GROUP "/libvirt/vcpu0\n");
	put("proc/300/cgroup", "0::/system.slice/x.service\n");
	put(SCOPE "/cgroup.subtree_control", "cpuset cpu io memory pids\n");
	put(SCOPE "/pids.max", "16384\n");
	put(SCOPE "/libvirt/cgroup.type", "domain threaded\n");
	put(SCOPE "/libvirt/cgroup.subtree_control", "cpuset cpu\n");
	put(SCOPE "/libvirt/cpu.weight", "200\n");
	put(SCOPE "/libvirt/memory.max", "max\n");
	put(SCOPE "/libvirt/cpu.max", "max 100000\n");
	put(SCOPE "/libvirt/memory.current", "4096\n");
	put(SCOPE "/libvirt/io.max",
	    "8:16 rbps=max wbps=1048576 riops=max wiops=max\n8:0 rbps=2097152 wbps=max riops=max wiops=max\n");
	put(SCOPE "/libvirt/io.weight", "default 100\n8:16 200\n");
	put("sys/class/block/sdb/dev", "8:16\n");
	assert_int_equal(lu_mkdir_p(root, "dev/disk/by-id", 0755), 0);
	if (symlinkat("../../sdb", root, "dev/disk/by-id/ata-1") < 0)
		return -1;
	put(SCOPE "/libvirt/emulator/cgroup.type", "threaded\n");
	put(SCOPE "/libvirt/emulator/cpuset.cpus", "0-1\n");
	put(SCOPE "/libvirt/vcpu0/cgroup.type", "threaded\n");
	put(SCOPE "/libvirt/vcpu0/cpu.max", "50000 100000\n");
	return root < 0;
}

static int teardown(void **state)
{
	char command[80];

	snprintf(command, sizeof(command), "rm -rf %s", (char *)*state);
	close(root);
	return system(command) ? -1 : 0;
}

static void test_read(void **state)
{
	_cleanup_(lu_groups_clear) struct lu_groups g = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *text = NULL;
	static const char *const paths[] = { "", "libvirt", "libvirt/emulator", "libvirt/vcpu0" };
	static const struct {
		const char *file, *value;
	} values[] = {
		{ "cpu.weight", "200" },
		/* one for each disk */
		{ "io.weight", "8:16 200" },
		{ "io.max", "8:16 rbps=max wbps=1048576 riops=max wiops=max" },
		{ "io.max", "8:0 rbps=2097152 wbps=max riops=max wiops=max" },
	};

	expect(lu_groups_read(root, 209, &g, &e) == 0, "%s", e.what);
	assert_int_equal(g.n_groups, ARRAY_SIZE(paths));
	for (size_t i = 0; i < g.n_groups; i++)
		assert_string_equal(g.groups[i].path, paths[i]);
	/* the scope's are systemd's; what a new group has is no setting; what is used is none */
	assert_int_equal(g.groups[0].n_values, 0);
	assert_int_equal(g.groups[1].n_values, ARRAY_SIZE(values));
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		assert_string_equal(g.groups[1].values[i].file, values[i].file);
		assert_string_equal(g.groups[1].values[i].value, values[i].value);
	}
	assert_string_equal(g.groups[1].control, "cpuset cpu");
	assert_false(g.groups[1].threaded);
	assert_true(g.groups[3].threaded);
	assert_string_equal(g.groups[3].values[0].value, "50000 100000");
	assert_int_equal(g.n_threads, 2);
	assert_int_equal(lu_json_encode_text(&lu_groups_table, &g, &text, &e), 0);
}

#define NEXT "sys/fs/cgroup/machine.slice/machine-qemu\\x2d2\\x2dred.scope"

static char *text_at(const char *path)
{
	char *text = NULL;

	assert_int_equal(lu_read_file(root, path, 4096, &text, NULL), 0);
	return text;
}

/* Numbers of disks are given anew in the next kernel: a limit follows its disk, and one of a disk that has no name is told. */
static void test_disks(void **state)
{
	static const struct {
		bool here, there;
		const char *max, *weight, *told, *not_told;
	} cases[] = {
		{ false, true, "8:32 rbps=max wbps=1048576 riops=max wiops=max", "8:32 200", "8:0 rbps=2097152",
		  "8:16" },
		{ false, false, "", "", "ata-1 is not there", NULL },
		{ true, true, "8:0 rbps=2097152 wbps=max riops=max wiops=max", "8:16 200", NULL, NULL },
	};

	static const char *const files[] = {
		NEXT "/cgroup.subtree_control",
		NEXT "/libvirt/cgroup.procs",
		NEXT "/libvirt/cgroup.subtree_control",
		NEXT "/libvirt/cpu.weight",
		NEXT "/libvirt/io.max",
		NEXT "/libvirt/io.weight",
		NEXT "/libvirt/emulator/cgroup.type",
		NEXT "/libvirt/emulator/cpuset.cpus",
		NEXT "/libvirt/vcpu0/cgroup.type",
		NEXT "/libvirt/vcpu0/cpu.max",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *max = NULL, *weight = NULL, *document = NULL;
		_cleanup_(lu_groups_clear) struct lu_groups g = { 0 }, kept = { 0 };
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		size_t n = strlen(cases[i].max);

		put("sys/class/block/sdb/dev", "8:16\n");
		expect(lu_groups_read(root, 209, &g, &e) == 0, "%s", e.what);
		assert_int_equal(lu_json_encode_text(&lu_groups_table, &g, &document, &e), 0);
		assert_int_equal(
			lu_json_decode_text(document, strlen(document), 1 << 20, "groups", &lu_groups_table, &kept, &e),
			0);
		if (cases[i].there)
			put("sys/class/block/sdb/dev", "8:32\n");
		else
			assert_int_equal(unlinkat(root, "sys/class/block/sdb/dev", 0), 0);
		put("proc/210/cgroup", "0::/machine.slice/machine-qemu\\x2d2\\x2dred.scope\n");
		for (size_t k = 0; k < ARRAY_SIZE(files); k++)
			put(files[k], "");
		assert_int_equal(lu_groups_make(root, 210, &kept, cases[i].here, &e), 0);
		max = text_at(NEXT "/libvirt/io.max");
		weight = text_at(NEXT "/libvirt/io.weight");
		expect(!strncmp(max, cases[i].max, n) && (n || !*max), "%zu: %s", i, max);
		expect(!strcmp(weight, cases[i].weight), "%zu: %s", i, weight);
		expect(!cases[i].told || strstr(e.what, cases[i].told), "%zu: %s", i, e.what ?: "nothing");
		expect(!cases[i].not_told || !strstr(e.what, cases[i].not_told), "%zu: %s", i, e.what);
	}
	put("sys/class/block/sdb/dev", "8:16\n");
}

static void test_no_scope(void **state)
{
	_cleanup_(lu_groups_clear) struct lu_groups g = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	assert_int_equal(lu_groups_read(root, 300, &g, &e), 0);
	assert_int_equal(g.n_groups, 0);
	assert_int_equal(lu_groups_make(root, 300, &g, false, &e), -ENOENT);
	lu_error_clear(&e);
	assert_int_equal(lu_groups_read(root, 301, &g, &e), -ESRCH);
}

static void test_machine_name(void **state)
{
	static const struct {
		const char *group, *name;
	} cases[] = {
		{ "/machine.slice/machine-qemu\\x2d1\\x2dred.scope/libvirt/emulator", "qemu-1-red" },
		{ "/machine.slice/machine-qemu\\x2d1\\x2dred.scope", "qemu-1-red" },
		{ "/machine.slice/machine-qemu\\x2d12\\x2dweb_1.scope", "qemu-12-web_1" },
		{ "/system.slice/luctl-vm@web.service", NULL },
		{ "/machine.slice/machine-a/b.scope", NULL },
		{ NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *name = lu_machine_name(cases[i].group);

		assert_string_equal(name ?: "none", cases[i].name ?: "none");
	}
}

/* One table, and the folder of its schema's examples. Returns how many there were. */
static size_t judge(const char *kind, const struct lu_json_table *table, void *document)
{
	_cleanup_free_ char *path = NULL;
	struct dirent *d;
	size_t n = 0;
	DIR *dir;

	assert_true(asprintf(&path, "%s/%s", examples, kind) > 0);
	dir = opendir(path);
	assert_non_null(dir);
	while ((d = readdir(dir))) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		bool valid = !strncmp(d->d_name, "valid-", 6);

		if (d->d_name[0] == '.')
			continue;
		expect((lu_json_load(dirfd(dir), d->d_name, 1 << 20, table, document, &e) == 0) == valid, "%s/%s: %s",
		       kind, d->d_name, e.what ?: "was taken");
		lu_json_free(table, document);
		n++;
	}
	closedir(dir);
	return n;
}

static void test_examples(void **state)
{
	struct lu_libvirt_doc doc = { 0 };
	struct lu_groups groups = { 0 };

	assert_true(judge("groups", &lu_groups_table, &groups) > 1);
	assert_true(judge("libvirt", &lu_libvirt_table, &doc) > 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),         cmocka_unit_test(test_disks),    cmocka_unit_test(test_no_scope),
		cmocka_unit_test(test_machine_name), cmocka_unit_test(test_examples),
	};

	examples = argc > 1 ? argv[1] : "schemas/examples";
	return cmocka_run_group_tests(tests, setup, teardown);
}
