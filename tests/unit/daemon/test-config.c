// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <sys/stat.h>

#include "config.h"

static char dir[64];

static void put(const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(lu_write_file(AT_FDCWD, path, text, strlen(text), 0600), 0);
}

static int make_dir(void **state)
{
	char path[128];

	strcpy(dir, "/tmp/luctl-config-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/luctld.conf.d", dir);
	return mkdir(path, 0700);
}

static int remove_dir(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static void defaults_without_files(void **state)
{
	_cleanup_(lu_config_clear) struct lu_config c = { 0 };

	assert_int_equal(lu_config_load(dir, &c, NULL), 0);
	assert_string_equal(c.pkernfs, "/run/luctl/pkernfs");
	assert_true(c.quiesce);
	assert_true(c.freeze);
	assert_int_equal(c.save_timeout_usec, 30000000);
	assert_int_equal(c.trial, LU_CONFIG_AUTO);
	assert_int_equal(c.trial_usec, 240000000);
	assert_null(c.trial_running);
}

static void later_files_win(void **state)
{
	_cleanup_(lu_config_clear) struct lu_config c = { 0 };

	put("luctld.conf",
	    "[update]\nquiesce=no\nsave-timeout=5\ntrial=no\ntrial-timeout=900\ntrial-running=/boot/a\n");
	put("luctld.conf.d/20-b.conf", "[update]\nsave-timeout=7\n");
	put("luctld.conf.d/10-a.conf", "[paths]\nvms=/tmp/vms\n[update]\nsave-timeout=6\n");
	put("luctld.conf.d/30-ignored", "nonsense");
	assert_int_equal(lu_config_load(dir, &c, NULL), 0);
	assert_false(c.quiesce);
	assert_int_equal(c.trial, LU_CONFIG_NO);
	assert_int_equal(c.trial_usec, 900000000);
	assert_string_equal(c.trial_running, "/boot/a");
	assert_int_equal(c.save_timeout_usec, 7000000);
	assert_string_equal(c.vms_dir, "/tmp/vms");
}

/* The state's own limit must not end before the one that the operator gave each VM. */
static void limits_follow(void **state)
{
	_cleanup_(lu_config_clear) struct lu_config c = { 0 };

	put("luctld.conf", "[update]\nsave-timeout=600\ntrial-timeout=400\n");
	assert_int_equal(lu_config_load(dir, &c, NULL), 0);
	assert_true(lu_config_limit(&c, 30) > 600000000);
	assert_true(lu_config_limit(&c, 3000) == 3000000000);
	/* a trial may be made twice */
	assert_true(lu_config_check_limit(&c, 600) > 800000000);
	assert_true(lu_config_check_limit(&c, 3000) == 3000000000);
}

static void order_of_restores(void **state)
{
	_cleanup_(lu_config_clear) struct lu_config c = { 0 };

	assert_int_equal(lu_config_load(dir, &c, NULL), 0);
	assert_int_equal(c.restores, 0);
	assert_true(lu_config_turn(&c, "a", "") == SIZE_MAX);
	lu_config_clear(&c);
	put("luctld.conf", "[update]\nrestores=12\norder=db  6A1D3A5E-0f0f-4b6e-9d5e-2f6f8f1c0001 web1\n");
	assert_int_equal(lu_config_load(dir, &c, NULL), 0);
	assert_int_equal(c.restores, 12);
	assert_int_equal(lu_config_turn(&c, "db", "00000000-0f0f-4b6e-9d5e-2f6f8f1c0001"), 0);
	assert_int_equal(lu_config_turn(&c, "x", "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c0001"), 1);
	assert_int_equal(lu_config_turn(&c, "web1", ""), 2);
	assert_true(lu_config_turn(&c, "web", "") == SIZE_MAX);
	lu_config_clear(&c);
	put("luctld.conf", "[update]\nrestores=cpus\norder=\n");
	assert_int_equal(lu_config_load(dir, &c, NULL), 0);
	assert_int_equal(c.restores, 0);
}

static void bad_settings_are_named(void **state)
{
	static const struct {
		const char *text, *what;
	} cases[] = {
		{ "[update]\nquiesce=maybe\n", "quiesce=maybe: expected yes or no" },
		{ "[update]\nlibvirt=perhaps\n", "libvirt=perhaps: expected yes or no" },
		{ "[update]\nsave-timeout=0\n", "save-timeout=0: expected seconds" },
		{ "[update]\ntrial-timeout=0\n", "trial-timeout=0: expected seconds" },
		{ "[update]\nsave-timeout=-1\n", "save-timeout=-1: expected seconds" },
		{ "[update]\nsave-timeout=5s\n", "save-timeout=5s: expected seconds" },
		{ "[paths]\npkernfs=here\n", "pkernfs=here: expected an absolute path" },
		{ "[update]\nrestores=0\n", "restores=0: expected cpus, or a number" },
		{ "[update]\nrestores=4097\n", "restores=4097: expected cpus" },
		{ "[update]\norder=a/b\n", "order=a/b: expected names" },
		{ "[update]\nquiet=yes\n", "unknown setting [update] quiet" },
		{ "[upgrade]\nquiesce=yes\n", "unknown setting [upgrade] quiesce" },
		{ "just words\n", "luctld.conf:1: not a setting" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct lu_config c = { 0 };
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

		put("luctld.conf", cases[i].text);
		expect(lu_config_load(dir, &c, &e) < 0, "%s", cases[i].text);
		expect(e.what && strstr(e.what, cases[i].what), "%s: %s", cases[i].text, e.what ?: "(null)");
		assert_non_null(e.hint);
		assert_null(c.pkernfs);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(defaults_without_files, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(later_files_win, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(limits_follow, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(order_of_restores, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(bad_settings_are_named, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
