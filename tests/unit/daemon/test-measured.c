// SPDX-License-Identifier: GPL-2.0-or-later
/* What is measured, and what is predicted from it; the schema's examples against the C decoder. */
#include "test.h"

#include <dirent.h>

#include "measured.h"

#define U(n) "6c0f9a5c-2d0a-4a53-9b25-8d6b2b1f0a1" #n

static const char *examples;

static void note(struct lu_measured *m, const char *name, const char *uuid, uint64_t before, uint64_t after,
		 uint64_t devices)
{
	struct lu_measured_vm vm = { .name = strdup(name),
				     .uuid = strdup(uuid),
				     .at_usec = 5,
				     .before_usec = before,
				     .after_usec = after,
				     .devices = devices };

	assert_int_equal(lu_measured_note(m, &vm), 0);
}

static void test_predict(void **state)
{
	_cleanup_(lu_measured_clear) struct lu_measured m = { 0 };
	struct lu_prediction p;

	/* nothing was ever measured: nothing is said */
	lu_measured_predict(&m, U(1), 0, &p);
	assert_true(p.usec == LU_MEASURED_UNKNOWN && p.basis == LU_BASIS_UNKNOWN &&
		    strstr(p.text, "no update has been"));
	m.at_usec = 7;
	m.kexec_usec = 3000;
	m.vms_then = 2;
	lu_measured_predict(&m, U(1), 0, &p);
	assert_true(p.usec == LU_MEASURED_UNKNOWN && p.basis == LU_BASIS_UNKNOWN);
	note(&m, "a", U(1), 100, 20, 0);
	note(&m, "b", U(2), 200, 40, 0);
	note(&m, "c", U(3), 900, 90, 2);
	/* its own times */
	lu_measured_predict(&m, U(1), 0, &p);
	assert_true(p.usec == 3120 && p.basis == LU_BASIS_OWN && strstr(p.text, "its own times"));
	/* a new one: those of the slowest like it, never of one with devices */
	lu_measured_predict(&m, U(4), 0, &p);
	assert_true(p.usec == 3240 && p.basis == LU_BASIS_OTHERS && strstr(p.text, "times of b"));
	lu_measured_predict(&m, U(4), 1, &p);
	assert_true(p.usec == 3990 && p.basis == LU_BASIS_OTHERS && strstr(p.text, "times of c"));
	/* measured again: the new times count */
	note(&m, "a", "6C0F9A5C-2D0A-4A53-9B25-8D6B2B1F0A11", 10, 2, 0);
	assert_int_equal(m.n_vms, 3);
	lu_measured_predict(&m, U(1), 0, &p);
	assert_int_equal(p.usec, 3012);
}

static void test_full(void **state)
{
	_cleanup_(lu_measured_clear) struct lu_measured m = { 0 };

	for (unsigned int i = 0; i < LU_MEASURED_VMS_MAX + 3; i++) {
		struct lu_measured_vm vm = { .name = strdup("x"), .at_usec = i };

		assert_true(asprintf(&vm.uuid, "6c0f9a5c-2d0a-4a53-9b25-%012x", i) > 0);
		assert_int_equal(lu_measured_note(&m, &vm), 0);
	}
	assert_int_equal(m.n_vms, LU_MEASURED_VMS_MAX);
	/* the oldest went */
	for (size_t i = 0; i < m.n_vms; i++)
		assert_true(m.vms[i].at_usec >= 3);
}

static void test_file(void **state)
{
	char dir[64], path[96], command[128];
	struct lu_measured m = { .at_usec = 7, .kexec_usec = 3000, .kernel = strdup("7.3.4-lu"), .vms_then = 1 }, back;

	assert_non_null(test_mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/m.json", dir);
	assert_int_equal(lu_measured_read(AT_FDCWD, path, &back, NULL), 0);
	assert_int_equal(back.at_usec, 0);
	note(&m, "a", U(1), 100, 20, 3);
	assert_int_equal(lu_measured_write(AT_FDCWD, path, &m, NULL), 0);
	assert_int_equal(lu_measured_read(AT_FDCWD, path, &back, NULL), 0);
	assert_true(back.kexec_usec == 3000 && back.n_vms == 1 && back.vms[0].devices == 3 &&
		    !strcmp(back.kernel, "7.3.4-lu"));
	lu_measured_clear(&back);
	assert_int_equal(lu_write_file(AT_FDCWD, path, "{}", 2, 0600), 0);
	assert_int_equal(lu_measured_read(AT_FDCWD, path, &back, NULL), -EBADMSG);
	lu_measured_clear(&m);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

static void test_examples(void **state)
{
	DIR *dir = opendir(examples);
	struct dirent *d;
	int n = 0;

	assert_non_null(dir);
	while ((d = readdir(dir))) {
		struct lu_measured m;
		int r;

		if (d->d_name[0] == '.')
			continue;
		r = lu_measured_read(dirfd(dir), d->d_name, &m, NULL);
		expect((r == 0) == (strncmp(d->d_name, "invalid-", 8) != 0), "%s: %d", d->d_name, r);
		if (r == 0)
			lu_measured_clear(&m);
		n++;
	}
	closedir(dir);
	assert_true(n >= 2);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_predict), cmocka_unit_test(test_full),
					    cmocka_unit_test(test_file), cmocka_unit_test(test_examples) };

	if (argc != 2)
		return 2;
	examples = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
