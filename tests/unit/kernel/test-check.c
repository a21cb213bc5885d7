// SPDX-License-Identifier: GPL-2.0-or-later
/* Can the target take over? Each condition broken alone; the running kernel read from a recorded tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "image.h"
#include "linux/luctl_note.h"
#include "linux/pkernfs.h"
#include "make-image.h"

static const struct lu_abi abi = { .present = true,
				   .pkernfs_version = 2,
				   .pkernfs_min_version = 1,
				   .pkernfs_incompat = 1,
				   .kho = "kho-v4",
				   .luo = "luo-v5" };

static struct lu_image good_image(void)
{
	return (struct lu_image){
		.kind = LU_IMAGE_BZIMAGE,
		.release = "7.3.4-lu",
		.compression = "gzip",
		.boot_protocol = 0x20f,
		.cmdline_max = 2016,
		.relocatable = true,
		.loaded_high = true,
		.entry_64 = true,
		.above_4g = true,
		.level5 = true,
		.abi = abi,
	};
}

static struct lu_running good_running(void)
{
	return (struct lu_running){ .release = "7.3.4-lu", .abi = abi };
}

static void expect(const struct lu_image *t, const struct lu_running *r, const char *object, const char *what)
{
	_cleanup_findings_ struct lu_findings f = LU_FINDINGS_INIT;
	const struct lu_finding *bad;

	lu_target_check(t, "IMG", r, &f);
	assert_true(f.n > 0);
	bad = lu_findings_first_error(&f);
	if (!object) {
		if (bad)
			print_error("%s: %s\n", bad->object, bad->what);
		assert_true(lu_findings_ok(&f));
		return;
	}
	assert_false(lu_findings_ok(&f));
	assert_string_equal(bad->object, object);
	if (!strstr(bad->what, what))
		print_error("%s\n", bad->what);
	assert_non_null(strstr(bad->what, what));
	assert_non_null(bad->hint);
}

static void test_accepts(void **state)
{
	struct lu_image t = good_image();
	struct lu_running r = good_running();

	expect(&t, &r, NULL, NULL);
	/* An older kernel may take over what is really in use, not only what could be. */
	t.abi.pkernfs_version = 1;
	t.abi.pkernfs_incompat = 0;
	r.pkernfs_known = true;
	r.pkernfs_version = 1;
	expect(&t, &r, NULL, NULL);
	/* Both without LUO. */
	t.abi.luo[0] = r.abi.luo[0] = '\0';
	expect(&t, &r, NULL, NULL);
}

static void test_refuses_each(void **state)
{
	struct lu_running r = good_running();
	struct lu_image t;

	t = good_image(), t.kind = LU_IMAGE_VMLINUX;
	expect(&t, &r, "IMG", "only a bzImage");
	t = good_image(), t.boot_protocol = 0x20b;
	expect(&t, &r, "IMG", "2.12");
	t = good_image(), t.loaded_high = false;
	expect(&t, &r, "IMG", "LOADED_HIGH");
	t = good_image(), t.entry_64 = false;
	expect(&t, &r, "IMG", "64-bit entry");
	t = good_image(), t.relocatable = false;
	expect(&t, &r, "IMG", "CONFIG_RELOCATABLE");
	t = good_image(), t.above_4g = false;
	expect(&t, &r, "IMG", "ABOVE_4G");
	t = good_image(), t.level5 = false;
	expect(&t, &r, NULL, NULL);
	r.level5 = true;
	expect(&t, &r, "IMG", "5-level");
	r = good_running();

	t = good_image(), t.abi = (struct lu_abi){ 0 };
	expect(&t, &r, "IMG", "7.3.4-lu has no luctl ABI note");
	t = good_image(), strcpy(t.abi.kho, "kho-v5");
	expect(&t, &r, "KHO", "speaks kho-v4, the target speaks kho-v5");
	t = good_image(), strcpy(t.abi.luo, "");
	expect(&t, &r, "LUO", "the target speaks none");
	t = good_image(), t.abi.pkernfs_version = 1;
	expect(&t, &r, "pkernfs", "may write format 2, the target reads formats 1 to 1");
	t = good_image(), t.abi.pkernfs_min_version = 3, t.abi.pkernfs_version = 3;
	expect(&t, &r, "pkernfs", "formats 3 to 3");
	/* bad memory, of which an older target knows nothing: only if there is some */
	t = good_image(), r = good_running();
	r.pkernfs_known = true, r.pkernfs_version = 1, r.pkernfs_incompat = PKERNFS_INCOMPAT_POISON;
	r.abi.pkernfs_incompat |= PKERNFS_INCOMPAT_POISON;
	expect(&t, &r, "pkernfs", "in use with incompatible features 0x8 that the target does not know");
	t.abi.pkernfs_incompat |= PKERNFS_INCOMPAT_POISON;
	expect(&t, &r, NULL, NULL);
	t = good_image(), r.pkernfs_incompat = 0;
	expect(&t, &r, NULL, NULL);
	/* blocks of 1 GiB likewise */
	r.abi.pkernfs_incompat |= PKERNFS_INCOMPAT_1G, r.pkernfs_incompat = PKERNFS_INCOMPAT_1G;
	t.abi.pkernfs_incompat &= ~PKERNFS_INCOMPAT_1G;
	expect(&t, &r, "pkernfs", "in use with incompatible features 0x1 that the target does not know");
	t.abi.pkernfs_incompat |= PKERNFS_INCOMPAT_1G;
	expect(&t, &r, NULL, NULL);
	r = good_running();
	t = good_image(), t.abi.pkernfs_incompat = 6;
	expect(&t, &r, "pkernfs", "features 0x1");
	r.pkernfs_known = true, r.pkernfs_version = 2, r.pkernfs_incompat = 8;
	expect(&t, &r, "pkernfs", "in use with incompatible features 0x8");
	r = good_running(), r.abi.pkernfs_ro_compat = 4;
	t = good_image();
	expect(&t, &r, "pkernfs", "features 0x4, with which the target could only read");
	r = good_running(), t = good_image(), t.abi.pkernfs_version = t.abi.pkernfs_min_version = 0;
	expect(&t, &r, "pkernfs", "no pkernfs");
	r = good_running(), r.abi.present = false, t = good_image();
	expect(&t, &r, "running kernel", "7.3.4-lu has no luctl ABI note");
}

/* What the target does with the IOMMU: image, command line, first finding that is no praise, or NULL */
static void test_iommu(void **state)
{
	enum {
		TOLD = 1,
		VTD = 2,
		ON = 4,
		SM = 8,
		IRQ = 16,
		KEEPS = 32,
		GOOD = TOLD | VTD | IRQ | KEEPS
	};
	static const struct {
		uint64_t iommu;
		const char *cmdline;
		enum lu_level level;
		const char *object;
	} all[] = {
		{ GOOD, "intel_iommu=on", LU_LEVEL_OK, NULL },
		{ GOOD | ON, "", LU_LEVEL_OK, NULL },
		{ GOOD | ON | SM, "intel_iommu=sm_off", LU_LEVEL_OK, NULL },
		{ GOOD, "intel_iommu=sm_on,on", LU_LEVEL_OK, NULL },
		{ GOOD, "intel_iommu=on intel_iommu=sm_on iommu=pt", LU_LEVEL_OK, NULL },
		{ GOOD, "intel_iommu=off intel_iommu=on", LU_LEVEL_OK, NULL },
		{ GOOD, "intremap=off intremap=on,nosid intel_iommu=on", LU_LEVEL_OK, NULL },
		{ GOOD | ON, "-- intel_iommu=off", LU_LEVEL_OK, NULL },
		{ GOOD, "", LU_LEVEL_ERROR, "command line" },
		{ GOOD, "intel_iommu=sm_on", LU_LEVEL_ERROR, "command line" },
		{ GOOD, "-- intel_iommu=on", LU_LEVEL_ERROR, "command line" },
		{ GOOD | ON, "intel_iommu=off", LU_LEVEL_ERROR, "command line" },
		{ GOOD | ON, "intel_iommu=on,sm_on,off", LU_LEVEL_ERROR, "command line" },
		{ GOOD | ON, "iommu=pt,off", LU_LEVEL_ERROR, "command line" },
		{ GOOD | ON, "intremap=off", LU_LEVEL_ERROR, "interrupts" },
		{ GOOD | ON, "nointremap", LU_LEVEL_ERROR, "interrupts" },
		{ (GOOD | ON) & ~IRQ, "", LU_LEVEL_ERROR, "interrupts" },
		{ (GOOD | ON) & ~VTD, "", LU_LEVEL_ERROR, "IMG" },
		{ (GOOD | ON) & ~KEEPS, "", LU_LEVEL_WARNING, "IMG" },
		{ 0, "intel_iommu=off", LU_LEVEL_ERROR, "command line" },
		{ 0, "", LU_LEVEL_WARNING, "IMG" },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		_cleanup_findings_ struct lu_findings f = LU_FINDINGS_INIT;
		struct lu_image t = good_image();

		t.abi.iommu = all[i].iommu;
		lu_target_check_iommu(&t, "IMG", all[i].cmdline, &f);
		assert_int_equal(f.n, 0); /* without pkeep this is no question */
		strcpy(t.abi.pkeep, "pkeep-v1");
		lu_target_check_iommu(&t, "IMG", all[i].cmdline, &f);
		if (!all[i].object) {
			assert_int_equal(f.n, 0);
			continue;
		}
		assert_true(f.n > 0);
		assert_int_equal(f.list[0].level, all[i].level);
		assert_string_equal(f.list[0].object, all[i].object);
		assert_non_null(f.list[0].hint);
	}
}

/* A target takes devices over by their group only if its note says so; one without a note says nothing. */
static void test_groups(void **state)
{
	struct lu_image t = good_image();

	assert_false(lu_target_takes_groups(&t));
	t.abi.iommu = ~(uint64_t)LUCTL_NOTE_IOMMU_GROUPS;
	assert_false(lu_target_takes_groups(&t));
	t.abi.iommu = LUCTL_NOTE_IOMMU_GROUPS;
	assert_true(lu_target_takes_groups(&t));
	t.abi.present = false;
	assert_false(lu_target_takes_groups(&t));
}

static void test_findings(void **state)
{
	_cleanup_findings_ struct lu_findings f = LU_FINDINGS_INIT;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	lu_findings_add(&f, LU_LEVEL_OK, "a", NULL, "fine %d", 1);
	lu_findings_add(&f, LU_LEVEL_WARNING, "b", "hint", "so so");
	assert_true(lu_findings_ok(&f));
	lu_error_set(&e, -EIO, "look", "c: broken");
	lu_findings_add_error(&f, "c", &e);
	assert_false(lu_findings_ok(&f));
	assert_int_equal(f.n, 3);
	assert_string_equal(f.list[0].what, "fine 1");
	assert_null(f.list[0].hint);
	assert_string_equal(lu_level_name(f.list[1].level), "warning");
	assert_string_equal(f.list[1].hint, "hint");
	assert_string_equal(f.list[2].object, "c");
	assert_string_equal(f.list[2].what, "broken");
	assert_string_equal(f.list[2].hint, "look");
}

static void test_findings_lost(void **state)
{
	_cleanup_findings_ struct lu_findings f = LU_FINDINGS_INIT;

	for (unsigned int i = 0; i < LU_FINDINGS_MAX; i++)
		lu_findings_add(&f, LU_LEVEL_OK, "a", NULL, "fine");
	assert_true(lu_findings_ok(&f));
	lu_findings_add(&f, LU_LEVEL_ERROR, "a", NULL, "lost");
	assert_int_equal(f.n, LU_FINDINGS_MAX);
	assert_false(lu_findings_ok(&f));
}

static void put(int root, const char *path, const void *data, size_t size)
{
	assert_int_equal(lu_write_file(root, path, data, size, 0644), 0);
}

static void test_running(void **state)
{
	static const uint8_t other[] = { 4, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0, 1, 2, 3, 4 };
	struct test_note n = { .format = 1, .min_version = 1 };
	char dir[] = "/tmp/luctl-root-XXXXXX", cmd[64];
	struct lu_running r;
	size_t size;
	_cleanup_free_ uint8_t *note = test_note(&n, &size), *both = malloc(sizeof(other) + size);
	_cleanup_close_ int root = -EBADF;

	assert_non_null(mkdtemp(dir));
	root = open(dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	assert_int_equal(lu_mkdir_p(root, "proc/sys/kernel", 0755), 0);
	assert_int_equal(lu_mkdir_p(root, "sys/kernel", 0755), 0);
	assert_int_equal(lu_running_read(root, &r, NULL), -ENOENT);
	put(root, "proc/sys/kernel/osrelease", "7.3.4-lu\n", 9);
	put(root, "proc/cpuinfo", "processor\t: 0\nflags\t\t: la57x xla57\n", 35);
	assert_int_equal(lu_running_read(root, &r, NULL), 0);
	assert_false(r.abi.present);
	assert_false(r.level5);
	assert_string_equal(r.release, "7.3.4-lu");
	put(root, "proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu la57x la57\n", 37);
	memcpy(both, other, sizeof(other));
	memcpy(both + sizeof(other), note, size);
	put(root, "sys/kernel/notes", both, sizeof(other) + size);
	assert_int_equal(lu_running_read(root, &r, NULL), 0);
	assert_true(r.abi.present);
	assert_true(r.level5);
	assert_int_equal(r.abi.pkernfs_version, 1);
	assert_false(r.pkernfs_known);
	assert_int_equal(lu_mkdir_p(root, "sys/fs/pkernfs", 0755), 0);
	assert_true(lu_pkernfs_bad_pages(root) == UINT64_MAX);
	put(root, "sys/fs/pkernfs/bad_kib", "0\n", 2);
	assert_true(lu_pkernfs_bad_pages(root) == 0);
	put(root, "sys/fs/pkernfs/bad_kib", "68\n", 3);
	assert_true(lu_pkernfs_bad_pages(root) == 17);
	put(root, "sys/fs/pkernfs/bad_kib", "many\n", 5);
	assert_true(lu_pkernfs_bad_pages(root) == UINT64_MAX);
	put(root, "sys/fs/pkernfs/version", "1\n", 2);
	put(root, "sys/fs/pkernfs/ro_compat", "0\n", 2);
	assert_int_equal(lu_running_read(root, &r, NULL), 0);
	assert_false(r.pkernfs_known);
	put(root, "sys/fs/pkernfs/incompat", "0x20\n", 5);
	assert_int_equal(lu_running_read(root, &r, NULL), 0);
	assert_true(r.pkernfs_known);
	assert_int_equal(r.pkernfs_version, 1);
	assert_int_equal(r.pkernfs_incompat, 0x20);
	assert_int_equal(r.pkernfs_ro_compat, 0);
	static const char *const bad[] = { "", "\n", "x\n", "-1\n", "0x20", "1 2\n", "0x10000000000000000\n" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(root, "sys/fs/pkernfs/incompat", bad[i], strlen(bad[i]));
		assert_int_equal(lu_running_read(root, &r, NULL), -EBADMSG);
	}
	put(root, "sys/fs/pkernfs/incompat", "0\n", 2);
	put(root, "sys/fs/pkernfs/version", "4294967296\n", 11);
	assert_int_equal(lu_running_read(root, &r, NULL), -EBADMSG);
	put(root, "sys/fs/pkernfs/version", "1\n", 2);
	put(root, "sys/kernel/notes", both, sizeof(other) + size - 1);
	assert_int_equal(lu_running_read(root, &r, NULL), -EBADMSG);
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	assert_int_equal(system(cmd), 0);
}

static void test_two_notes(void **state)
{
	struct test_note a = { .format = 1 }, b = { .format = 2 };
	struct lu_abi got;
	size_t na, nb;
	_cleanup_free_ uint8_t *pa = test_note(&a, &na), *pb = test_note(&b, &nb), *both = malloc(na + nb);

	memcpy(both, pa, na);
	memcpy(both + na, pa, na);
	assert_int_equal(lu_abi_from_notes(both, na + nb, 4, "x", &got, NULL), 0);
	memcpy(both + na, pb, nb);
	assert_int_equal(lu_abi_from_notes(both, na + nb, 4, "x", &got, NULL), -EBADMSG);
}

static void boot_tree(const char *dir, const char *release, bool initrd, bool modules, const char *disabled)
{
	int root = open(dir, O_RDONLY | O_DIRECTORY);
	uint8_t params[4096] = { 0 };
	static const char *const folders[] = { "sys/kernel/boot_params", "proc/sys/kernel", "lib/modules" };
	char path[128];

	assert_true(root >= 0);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		assert_int_equal(lu_mkdir_p(root, folders[i], 0755), 0);
	params[0x21e] = initrd ? 0x40 : 0; /* 4 MiB */
	put(root, "sys/kernel/boot_params/data", params, sizeof(params));
	put(root, "proc/modules", "kvm_amd 200704 0 - Live 0x0000000000000000\n", modules ? 43 : 0);
	put(root, "proc/sys/kernel/kexec_load_disabled", disabled, strlen(disabled));
	snprintf(path, sizeof(path), "lib/modules/%s", release);
	assert_int_equal(lu_mkdir_p(root, path, 0755), 0);
	close(root);
}

/* What a host boots with beside the image: each thing missing alone. */
static void test_boot(void **state)
{
	static const struct {
		bool had_initrd, modules;
		const char *installed, *disabled;
		bool initrd, no_initrd;
		const char *object; /* NULL: fine */
	} rows[] = {
		{ false, false, "7.3.4-lu", "0\n", false, false, NULL },
		{ true, false, "7.3.4-lu", "0\n", false, false, "initrd" },
		{ true, false, "7.3.4-lu", "0\n", false, true, NULL },
		{ true, true, "7.3.4-lu", "0\n", true, false, NULL },
		{ false, true, "7.2.0", "0\n", false, false, "/lib/modules/7.3.4-lu" },
		{ false, false, "7.2.0", "0\n", false, false, NULL },
		{ false, false, "7.3.4-lu", "1\n", false, false, "kernel.kexec_load_disabled" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_cleanup_findings_ struct lu_findings f = LU_FINDINGS_INIT;
		char dir[] = "/tmp/luctl-boot-XXXXXX", cmd[64];
		struct lu_image t = good_image();
		struct lu_running r;
		const struct lu_finding *bad;
		_cleanup_close_ int root = -EBADF;
		size_t size;
		struct test_note note = { .format = 1 };
		_cleanup_free_ uint8_t *bytes = test_note(&note, &size);

		assert_non_null(mkdtemp(dir));
		boot_tree(dir, rows[i].installed, rows[i].had_initrd, rows[i].modules, rows[i].disabled);
		root = open(dir, O_RDONLY | O_DIRECTORY);
		put(root, "proc/sys/kernel/osrelease", "7.3.4-lu\n", 9);
		put(root, "proc/cpuinfo", "processor : 0\nflags : fpu\n", 26);
		put(root, "sys/kernel/notes", bytes, size);
		assert_int_equal(lu_running_read(root, &r, NULL), 0);
		assert_true(r.initrd == rows[i].had_initrd && r.modules == rows[i].modules);
		lu_target_check_boot(root, &t, &r, rows[i].initrd, rows[i].no_initrd, &f);
		bad = lu_findings_first_error(&f);
		if (!rows[i].object) {
			assert_null(bad);
		} else {
			assert_non_null(bad);
			assert_string_equal(bad->object, rows[i].object);
			assert_non_null(bad->hint);
		}
		snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
		assert_int_equal(system(cmd), 0);
	}
}

/* A kernel that loads none but signed images says so of one that is not; each way alone, and what only looks like it. */
static void test_only_signed(void **state)
{
	static const struct {
		const char *lockdown, *config; /* NULL: no such file */
		bool is_signed;
		const char *why; /* NULL: fine */
	} rows[] = {
		{ NULL, NULL, false, NULL },
		{ "[none] integrity confidentiality\n", "#\nCONFIG_KEXEC_SIG=y\n", false, NULL },
		{ "none [integrity] confidentiality\n", NULL, false, "locked down" },
		{ "none integrity [confidentiality]\n", NULL, false, "locked down" },
		{ "none [integrity] confidentiality\n", NULL, true, NULL },
		{ NULL, "#\nCONFIG_KEXEC_SIG_FORCE=y\n", false, "CONFIG_KEXEC_SIG_FORCE" },
		{ "[none] integrity confidentiality\n", "#\nCONFIG_KEXEC_SIG_FORCE=y\n", true, NULL },
		{ NULL, "#\n# CONFIG_KEXEC_SIG_FORCE is not set\n", false, NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_cleanup_findings_ struct lu_findings f = LU_FINDINGS_INIT;
		char dir[] = "/tmp/luctl-signed-XXXXXX", cmd[64];
		struct lu_image t = good_image();
		struct lu_running r;
		const struct lu_finding *bad;
		_cleanup_close_ int root = -EBADF;

		assert_non_null(mkdtemp(dir));
		boot_tree(dir, "7.3.4-lu", false, false, "0\n");
		root = open(dir, O_RDONLY | O_DIRECTORY);
		assert_int_equal(lu_mkdir_p(root, "sys/kernel/security", 0755), 0);
		assert_int_equal(lu_mkdir_p(root, "boot", 0755), 0);
		put(root, "proc/sys/kernel/osrelease", "7.3.4-lu\n", 9);
		put(root, "proc/cpuinfo", "processor : 0\nflags : fpu\n", 26);
		put(root, "sys/kernel/notes", "", 0);
		if (rows[i].lockdown)
			put(root, "sys/kernel/security/lockdown", rows[i].lockdown, strlen(rows[i].lockdown));
		if (rows[i].config)
			put(root, "boot/config-7.3.4-lu", rows[i].config, strlen(rows[i].config));
		assert_int_equal(lu_running_read(root, &r, NULL), 0);
		t.is_signed = rows[i].is_signed;
		lu_target_check_boot(root, &t, &r, false, false, &f);
		bad = lu_findings_first_error(&f);
		if (!rows[i].why) {
			assert_null(bad);
		} else {
			assert_non_null(bad);
			assert_string_equal(bad->object, "signature");
			assert_non_null(strstr(bad->what, rows[i].why));
			assert_non_null(bad->hint);
		}
		snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
		assert_int_equal(system(cmd), 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts),  cmocka_unit_test(test_refuses_each),
		cmocka_unit_test(test_findings), cmocka_unit_test(test_findings_lost),
		cmocka_unit_test(test_running),  cmocka_unit_test(test_two_notes),
		cmocka_unit_test(test_boot),     cmocka_unit_test(test_iommu),
		cmocka_unit_test(test_groups),   cmocka_unit_test(test_only_signed),
	};

	return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
