// SPDX-License-Identifier: GPL-2.0-or-later
/* Guests of libvirt, from files as libvirt and systemd write them. */
#include <fcntl.h>
#include <sys/stat.h>

#include "test.h"

#include "libvirt.h"
#include "util.h"

static char dir[64];

static void put(const char *path, const char *text, size_t size)
{
	char full[300], *slash;

	snprintf(full, sizeof(full), "%s/%s", dir, path);
	slash = strrchr(full, '/');
	*slash = '\0';
	assert_int_equal(lu_mkdir_p(AT_FDCWD, full, 0755), 0);
	*slash = '/';
	assert_int_equal(lu_write_file(AT_FDCWD, full, text, size, 0644), 0);
}

static void put_text(const char *path, const char *text)
{
	put(path, text, strlen(text));
}

#define VIRTQEMUD "/usr/sbin/virtqemud\0--timeout\000120"
#define QEMU "/usr/bin/qemu-system-x86_64\0-name\0guest=web 1"

static void test_domains(void **state)
{
	_cleanup_(lu_domains_clear) struct lu_domains d = LU_DOMAINS_INIT;
	_cleanup_close_ int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(lu_domains_read(root, &d), 0);
	assert_int_equal(d.n, 0);

	/* one with both; its scope has another name */
	put_text("run/libvirt/qemu/web 1.pid", "100\n");
	put("proc/100/cmdline", QEMU, sizeof(QEMU));
	put_text("proc/100/cgroup", "0::/machine.slice/machine-qemu\\x2d3\\x2dweb1.scope/libvirt/emulator\n");
	put_text("sys/fs/cgroup/machine.slice/machine-qemu\\x2d3\\x2dweb1.scope/cgroup.events",
		 "populated 1\nfrozen 0\n");
	/* one without a pid file; one whose scope is empty; a container */
	put_text("sys/fs/cgroup/machine.slice/machine-qemu\\x2d4\\x2ddb\\x2d2.scope/cgroup.events", "populated 1\n");
	put_text("sys/fs/cgroup/machine.slice/machine-qemu\\x2d5\\x2dgone.scope/cgroup.events", "populated 0\n");
	put_text("sys/fs/cgroup/machine.slice/machine-lxc\\x2d6\\x2dbox.scope/cgroup.events", "populated 1\n");
	/* left by one that died, its pid nobody's or another's */
	put_text("run/libvirt/qemu/dead.pid", "101\n");
	put_text("run/libvirt/qemu/other.pid", "102\n");
	put_text("proc/102/cmdline", "/usr/sbin/cron");
	put_text("run/libvirt/qemu/nonsense.pid", "-1\n");
	/* libvirt's own */
	put_text("run/libvirt/qemu/driver.pid", "103\n");
	put("proc/103/cmdline", VIRTQEMUD, sizeof(VIRTQEMUD));
	put_text("run/libvirt/qemu/web 1.xml", "<domain/>");

	assert_int_equal(lu_domains_read(root, &d), 0);
	assert_int_equal(d.n, 2);
	assert_string_equal(d.list[0].name, "web 1");
	assert_int_equal(d.list[0].pid, 100);
	assert_string_equal(d.list[1].name, "db-2");
	assert_int_equal(d.list[1].pid, 0);
}

static int setup(void **state)
{
	return test_mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_domains) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
