// SPDX-License-Identifier: GPL-2.0-or-later
/* What the kernel has said of a jump that it refused, from records as /dev/kmsg gives them; whether the image is still ours. */
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "kexec.h"

static const char *said(const char *const *records, size_t size)
{
	static char buf[512];
	int pair[2];

	assert_true(size <= sizeof(buf));
	/* like the log: each read returns one record, and EAGAIN when there is no more */
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
	for (; *records; records++)
		assert_int_equal(write(pair[1], *records, strlen(*records)), strlen(*records));
	lu_kexec_said(pair[0], buf, size);
	close(pair[0]);
	close(pair[1]);
	return buf;
}

#define SAID(size, ...) said((const char *const[]){ __VA_ARGS__, NULL }, size)

static void test_reasons(void **state)
{
	assert_string_equal(
		SAID(512, "6,1150,52444000,-;kexec_core: Starting new kernel\n",
		     "3,1151,52445018,-;pkeep: memory at 0x1 to 0x2 can be reached but is not preserved\n",
		     "28,1152,52445100,-;systemd[1]: a warning, but none of the kernel's\n",
		     "4,1153,52445225,-;vfio-pci 0000:00:09.0: pkeep: can't go on\n SUBSYSTEM=pci\n DEVICE=+pci:0000:00:09.0\n"),
		"pkeep: memory at 0x1 to 0x2 can be reached but is not preserved; vfio-pci 0000:00:09.0: pkeep: can't go on");
}

static void test_nothing(void **state)
{
	assert_string_equal(SAID(512, "6,1,1,-;no warning\n"), "");
	assert_string_equal(SAID(512, "4", "4,", "x,1,1,-;y\n", "3,1,1,-"), "");
}

static void test_too_much(void **state)
{
	assert_string_equal(SAID(8, "3,1,1,-;0123456789\n", "3,2,2,-;more\n"), "0123456");
	assert_string_equal(SAID(13, "3,1,1,-;0123456789\n", "3,2,2,-;more\n"), "0123456789; ");
}

/* As the kernel tells it, below a directory of ours. */
static void test_changes(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	uint64_t n = 0;
	char dir[64], command[80];
	int fd;

	assert_non_null(test_mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(lu_kexec_changes(fd, &n), -ENOENT);
	assert_int_equal(lu_mkdir_p(fd, "sys/kernel/kexec", 0755), 0);
	assert_int_equal(lu_write_file(fd, "sys/kernel/kexec/changes", "41\n", 3, 0644), 0);
	assert_int_equal(lu_kexec_changes(fd, &n), 0);
	assert_int_equal(n, 41);
	assert_int_equal(lu_kexec_same(fd, 41, &e), 0);
	/* loaded by somebody else, and also if an older one is counted */
	assert_int_equal(lu_kexec_same(fd, 40, &e), -ESTALE);
	assert_non_null(strstr(e.what, "not the one that is loaded now"));
	assert_int_equal(lu_write_file(fd, "sys/kernel/kexec/changes", "x\n", 2, 0644), 0);
	assert_int_equal(lu_kexec_changes(fd, &n), -EBADMSG);
	close(fd);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
