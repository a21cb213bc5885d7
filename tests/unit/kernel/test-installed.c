// SPDX-License-Identifier: GPL-2.0-or-later
/* Which installed kernel is meant, by a recorded root directory: made here, since all that counts are names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "installed.h"
#include "util.h"

struct root {
	char path[32];
	int fd;
};

static void put(struct root *root, const char *path)
{
	char full[128], *slash;
	int fd;

	snprintf(full, sizeof(full), "%s%s", root->path, path);
	for (slash = strchr(full + strlen(root->path) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0755);
		*slash = '/';
	}
	fd = open(full, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
}

static int setup(void **state)
{
	struct root *root = calloc(1, sizeof(*root));

	strcpy(root->path, "/tmp/installed-XXXXXX");
	assert_non_null(mkdtemp(root->path));
	root->fd = open(root->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = root;
	return root->fd < 0;
}

static int teardown(void **state)
{
	struct root *root = *state;
	char command[64];

	close(root->fd);
	snprintf(command, sizeof(command), "rm -rf %s", root->path);
	assert_int_equal(system(command), 0);
	free(root);
	return 0;
}

static void expect(struct root *root, const char *release, const char *image, const char *initrd)
{
	struct lu_installed k = { 0 };
	struct lu_error e = LU_ERROR_INIT;

	if (lu_installed_find(root->fd, release, &k, &e) != 0)
		fail_msg("%s: %s", release ?: "newest", e.what);
	assert_string_equal(k.image, image);
	if (initrd)
		assert_string_equal(k.initrd, initrd);
	else
		assert_null(k.initrd);
	lu_installed_clear(&k);
}

static void expect_error(struct root *root, const char *release, int code, const char *word)
{
	struct lu_installed k = { 0 };
	struct lu_error e = LU_ERROR_INIT;

	assert_int_equal(lu_installed_find(root->fd, release, &k, &e), code);
	assert_non_null(strstr(e.what, word));
	assert_non_null(e.hint);
	assert_null(k.image);
	lu_error_clear(&e);
}

static void test_newest(void **state)
{
	struct root *root = *state;

	expect_error(root, NULL, -ENOENT, "no kernel is installed");
	put(root, "/boot/vmlinuz-7.3.4-luctl");
	put(root, "/boot/initrd.img-7.3.4-luctl");
	expect(root, NULL, "/boot/vmlinuz-7.3.4-luctl", "/boot/initrd.img-7.3.4-luctl");
	/* ten is more than four, whatever the letters say */
	put(root, "/boot/vmlinuz-7.3.10-luctl");
	expect(root, NULL, "/boot/vmlinuz-7.3.10-luctl", NULL);
	/* an initrd without a kernel, a backup, a directory, a name without a release are no kernels */
	put(root, "/boot/initrd.img-9.0");
	put(root, "/boot/vmlinuz-9.0.old");
	put(root, "/boot/vmlinuz-");
	put(root, "/boot/vmlinuz-9.1/x");
	put(root, "/usr/lib/modules/9.2/kernel/x");
	expect(root, NULL, "/boot/vmlinuz-7.3.10-luctl", NULL);
	/* both places count */
	put(root, "/usr/lib/modules/7.10.1/vmlinuz");
	put(root, "/usr/lib/modules/7.10.1/initrd");
	expect(root, NULL, "/usr/lib/modules/7.10.1/vmlinuz", "/usr/lib/modules/7.10.1/initrd");
}

static void test_by_release(void **state)
{
	struct root *root = *state;

	put(root, "/boot/vmlinuz-7.2.1");
	put(root, "/boot/initramfs-7.2.1.img");
	put(root, "/boot/vmlinuz-7.3.1");
	expect(root, "7.2.1", "/boot/vmlinuz-7.2.1", "/boot/initramfs-7.2.1.img");
	put(root, "/boot/initrd.img-7.2.1");
	expect(root, "7.2.1", "/boot/vmlinuz-7.2.1", "/boot/initrd.img-7.2.1");
	/* the first place counts */
	put(root, "/usr/lib/modules/7.2.1/vmlinuz");
	expect(root, "7.2.1", "/boot/vmlinuz-7.2.1", "/boot/initrd.img-7.2.1");
	expect_error(root, "7.2.2", -ENOENT, "7.2.2");
	expect_error(root, "../boot/vmlinuz-7.2.1", -EINVAL, "not a release");
	expect_error(root, "", -EINVAL, "not a release");
	expect_error(root, "..", -EINVAL, "not a release");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_newest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_by_release, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
