// SPDX-License-Identifier: GPL-2.0-or-later
/* What the kernel has said of a jump that it refused, from records as /dev/kmsg gives them. */
#include "test.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
