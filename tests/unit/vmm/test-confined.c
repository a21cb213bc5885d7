// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * AppArmor's rules of a QEMU, read, kept and loaded again, on a directory that looks as AppArmor's does. That a kernel
 * takes them is shown by the scenario libvirt-confined.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

#include "confined.h"

#define DOMAIN "libvirt-6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c0001"

static char dir[] = "/tmp/luctl-confined-XXXXXX", armor[64];
static int vm = -EBADF;

static void put(const char *name, const char *text)
{
	_cleanup_free_ char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", armor, name) > 0);
	assert_int_equal(lu_write_file(AT_FDCWD, path, text, strlen(text), 0644), 0);
}

static void make(const char *name)
{
	_cleanup_free_ char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", armor, name) > 0);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void test_parse(void **state)
{
	_cleanup_free_ char *profile = NULL;

	assert_int_equal(lu_confined_parse("unconfined\n", &profile), 0);
	assert_null(profile);
	assert_int_equal(lu_confined_parse("", &profile), 0);
	assert_null(profile);
	assert_int_equal(lu_confined_parse("one//&two (enforce)\n", &profile), -EOPNOTSUPP);
	assert_int_equal(lu_confined_parse(":lxd:one (enforce)\n", &profile), -EOPNOTSUPP);
	assert_int_equal(lu_confined_parse("system_u:system_r:svirt_t:s0\n", &profile), -EBADMSG);
	assert_int_equal(lu_confined_parse("(enforce)\n", &profile), -EBADMSG);
	assert_null(profile);
	assert_int_equal(lu_confined_parse(DOMAIN " (enforce)\n", &profile), 0);
	assert_string_equal(profile, DOMAIN);
	free(steal_ptr(profile));
	assert_int_equal(lu_confined_parse("a name (old) (complain)\n", &profile), 0);
	assert_string_equal(profile, "a name (old)");
}

static void test_policy(void **state)
{
	_cleanup_close_ int fd = -EBADF;

	assert_int_equal(lu_confined_policy(armor, DOMAIN), -ENOENT);
	make("policy");
	make("policy/profiles");
	make("policy/profiles/other.1");
	put("policy/profiles/other.1/name", "other\n");
	put("policy/profiles/other.1/raw_data", "rules of another");
	make("policy/profiles/" DOMAIN ".2");
	put("policy/profiles/" DOMAIN ".2/name", DOMAIN "\n");
	assert_int_equal(lu_confined_policy(armor, "libvirt-6a1d3a5e"), -ENOENT);
	assert_int_equal(lu_confined_policy(armor, DOMAIN), -EOPNOTSUPP);
	put("policy/profiles/" DOMAIN ".2/raw_data", "rules");
	fd = lu_confined_policy(armor, DOMAIN);
	assert_true(fd >= 0);
}

static void expect_kept(const char *wanted)
{
	_cleanup_free_ char *text = NULL;
	int r = lu_read_file(vm, LU_CONFINED_FILE, 4096, &text, NULL);

	if (!wanted) {
		assert_int_equal(r, -ENOENT);
		return;
	}
	assert_int_equal(r, 0);
	assert_string_equal(text, wanted);
}

static void test_save(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	assert_int_equal(lu_confined_save(armor, NULL, vm, &e), 0);
	expect(lu_confined_save(armor, DOMAIN, vm, &e) == 0, "%s", e.what);
	expect_kept("rules");
	/* a VM that is prepared again, without */
	assert_int_equal(lu_confined_save(armor, NULL, vm, &e), 0);
	expect_kept(NULL);
	assert_int_equal(lu_confined_save(armor, "libvirt-gone", vm, &e), -ENOENT);
	assert_non_null(strstr(e.what, "libvirt-gone"));
	expect_kept(NULL);
	lu_error_clear(&e);
	put("policy/profiles/" DOMAIN ".2/raw_data", "");
	assert_int_equal(lu_confined_save(armor, DOMAIN, vm, &e), -ENODATA);
	put("policy/profiles/" DOMAIN ".2/raw_data", "rules");
	lu_error_clear(&e);
	expect(lu_confined_save(armor, DOMAIN, vm, &e) == 0, "%s", e.what);
}

static void expect_loaded(const char *wanted)
{
	_cleanup_free_ char *path = NULL, *text = NULL;

	assert_true(asprintf(&path, "%s/.replace", armor) > 0);
	assert_int_equal(lu_read_file(AT_FDCWD, path, 4096, &text, NULL), 0);
	assert_string_equal(text, wanted);
}

static void test_load(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	char path[192];

	/* what is there is not replaced: it may be newer */
	put(".replace", "");
	expect(lu_confined_load(armor, DOMAIN, vm, &e) == 0, "%s", e.what);
	expect_loaded("");
	/* the next kernel, in which nobody has loaded anything */
	snprintf(path, sizeof(path), "%s/policy/profiles/" DOMAIN ".2/name", armor);
	assert_int_equal(unlink(path), 0);
	expect(lu_confined_load(armor, DOMAIN, vm, &e) == 0, "%s", e.what);
	expect_loaded("rules");
	/* nothing was kept */
	assert_int_equal(lu_confined_load(armor, "libvirt-gone", AT_FDCWD, &e), -ENOENT);
	assert_non_null(strstr(e.what, "libvirt-gone"));
	lu_error_clear(&e);
	/* a kernel without AppArmor: a guest does not run unconfined instead */
	assert_true(lu_confined_load("/nonexistent", DOMAIN, vm, &e) < 0);
	assert_non_null(strstr(e.what, "AppArmor is not there"));
	assert_non_null(strstr(e.hint, "luctl restore"));
}

static void test_verdict(void **state)
{
	static const char read[] = "allow 0x00000004\ndeny 0x00000000\naudit 0x00000000\nquiet 0x00000000\n";
	static const char both[] = "allow 0x0000405e\ndeny 0x00000000\naudit 0x00000000\nquiet 0x00000000\n";

	assert_int_equal(lu_confined_verdict(read, false), 1);
	assert_int_equal(lu_confined_verdict(read, true), 0);
	assert_int_equal(lu_confined_verdict(both, true), 1);
	assert_int_equal(lu_confined_verdict("allow 0x00000006\ndeny 0x00000002\n", true), 0);
	assert_int_equal(lu_confined_verdict("allow 0x00000006\ndeny 0x00000002\n", false), 1);
	assert_int_equal(lu_confined_verdict("allow 0x00000000\ndeny 0x00000000\n", false), 0);
	assert_int_equal(lu_confined_verdict("label", false), -EBADMSG);
	assert_true(lu_confined_allows("/nonexistent", DOMAIN, "/etc", false) < 0);
}

/* A process can't confine itself by a profile that is not there, or without AppArmor. */
static void test_exec(void **state)
{
	assert_true(lu_confined_at_exec("luctl-test-no-such-profile") < 0);
}

static int setup(void **state)
{
	assert_non_null(mkdtemp(dir));
	snprintf(armor, sizeof(armor), "%s/kernel", dir);
	assert_int_equal(mkdir(armor, 0755), 0);
	vm = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return vm < 0;
}

static int teardown(void **state)
{
	char command[128];

	close(vm);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse), cmocka_unit_test(test_policy),  cmocka_unit_test(test_save),
		cmocka_unit_test(test_load),  cmocka_unit_test(test_verdict), cmocka_unit_test(test_exec),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
