// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <sys/stat.h>

#include "request.h"

#define ID "11111111-2222-4333-8444-555555555555"

static void round_trip(void **state)
{
	struct lu_request_vm vms[] = { { "web1", ID, 3190000 },
				       { "db", "aaaaaaaa-2222-4333-8444-555555555555", UINT64_MAX } };
	char *excluded[] = { "old", NULL };
	struct lu_request_doc doc = { ID,      false, true, "/boot/k", NULL,         "kho=on",
				      "7.3.4", vms,   2,    excluded,  .restores = 5 },
			      back = { 0 };
	char dir[] = "/tmp/luctl-request-XXXXXX", command[64];
	_cleanup_close_ int fd = -EBADF;

	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(mkdirat(fd, "update", 0700), 0);
	assert_int_equal(lu_request_doc_read(fd, &back, NULL), -ENOENT);
	assert_int_equal(lu_request_doc_write(fd, &doc, NULL), 0);
	assert_int_equal(lu_request_doc_read(fd, &back, NULL), 0);
	assert_int_equal(back.n_vms, 2);
	assert_true(back.rehearse && !back.vmm);
	assert_int_equal(back.restores, 5);
	assert_int_equal(lu_request_restores(&back), 5);
	back.restores = 0;
	assert_int_equal(lu_request_restores(&back), sysconf(_SC_NPROCESSORS_ONLN));
	assert_string_equal(back.vms[1].name, "db");
	assert_int_equal(back.vms[0].predicted_usec, 3190000);
	assert_true(back.vms[1].predicted_usec == UINT64_MAX);
	assert_null(back.initrd);
	assert_string_equal(back.excluded[0], "old");
	assert_null(back.excluded[1]);
	lu_request_doc_clear(&back);

	/* What could not be read back is not written. */
	vms[0].name = (char *)"../etc";
	assert_true(lu_request_doc_write(fd, &doc, NULL) < 0);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(round_trip) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
