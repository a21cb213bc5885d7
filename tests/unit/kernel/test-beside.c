// SPDX-License-Identifier: GPL-2.0-or-later
/* What else is on the host: root directories made here, a lock that a child holds, command lines. */
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
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "beside.h"

struct root {
	char path[32];
	int fd;
	struct lu_findings f;
};

static void full(struct root *root, const char *path, char out[static 160])
{
	char *slash;

	snprintf(out, 160, "%s%s", root->path, path);
	for (slash = strchr(out + strlen(root->path) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(out, 0755);
		*slash = '/';
	}
}

static void put(struct root *root, const char *path, const char *text, mode_t mode)
{
	char at[160];
	int fd;

	full(root, path, at);
	fd = open(at, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void put_link(struct root *root, const char *path, const char *target)
{
	char at[160];

	full(root, path, at);
	assert_int_equal(symlink(target, at), 0);
}

static int setup(void **state)
{
	struct root *root = calloc(1, sizeof(*root));

	strcpy(root->path, "/tmp/beside-XXXXXX");
	assert_non_null(mkdtemp(root->path));
	root->fd = open(root->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	root->f = LU_FINDINGS_INIT;
	*state = root;
	return root->fd < 0;
}

static int teardown(void **state)
{
	struct root *root = *state;
	char command[64];

	lu_findings_clear(&root->f);
	close(root->fd);
	snprintf(command, sizeof(command), "rm -rf %s", root->path);
	assert_int_equal(system(command), 0);
	free(root);
	return 0;
}

static void expect(struct root *root, enum lu_level level, const char *object, const char *word)
{
	for (size_t i = 0; i < root->f.n; i++)
		if (root->f.list[i].level == level && !strcmp(root->f.list[i].object, object) &&
		    strstr(root->f.list[i].what, word) && root->f.list[i].hint)
			return;
	fail_msg("no finding on %s says \"%s\"; the first of %zu: %s", object, word, root->f.n,
		 root->f.n ? root->f.list[0].what : "");
}

static void test_kvm_by_descriptors(void **state)
{
	struct lu_kvm_processes p;
	struct root *root = *state;

	put(root, "/proc/10/comm", "systemd\n", 0644);
	put_link(root, "/proc/10/fd/0", "/dev/null");
	put(root, "/proc/77/comm", "qemu-sys\x1b[2J\n", 0644);
	put_link(root, "/proc/77/fd/3", "/dev/kvm");
	put_link(root, "/proc/77/fd/9", "anon_inode:kvm-vm");
	put_link(root, "/proc/77/fd/10", "anon_inode:kvm-vm");
	put_link(root, "/proc/self/fd/10", "anon_inode:kvm-vm");
	/* has /dev/kvm open, and no machine */
	put_link(root, "/proc/78/fd/3", "/dev/kvm");
	put_link(root, "/proc/79/fd/3", "anon_inode:kvm-vm-stats");
	assert_int_equal(lu_kvm_processes_read(root->fd, &p), 0);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.list[0].pid, 77);
	assert_string_equal(p.list[0].name, "qemu-sys?[2J");
	assert_false(p.cut);
	lu_kvm_processes_clear(&p);
}

static void test_kvm_by_debugfs(void **state)
{
	struct lu_kvm_processes p;
	struct root *root = *state;

	put(root, "/proc/5/comm", "crosvm\n", 0644);
	put_link(root, "/proc/77/fd/9", "anon_inode:kvm-vm");
	put(root, "/sys/kernel/debug/kvm/exits", "0", 0644);
	put(root, "/sys/kernel/debug/kvm/5-11/exits", "0", 0644);
	put(root, "/sys/kernel/debug/kvm/5-12/exits", "0", 0644);
	put_link(root, "/proc/5/fd/11", "anon_inode:kvm-vm");
	put(root, "/proc/6/comm", "old\n", 0644);
	put_link(root, "/proc/6/fd/20", "anon_inode:kvm-vcpu:0");
	put(root, "/sys/kernel/debug/kvm/6-11/exits", "0", 0644);
	assert_int_equal(lu_kvm_processes_read(root->fd, &p), 0);
	/* the kernel's list counts, in any order: 77 was not looked at */
	assert_int_equal(p.n, 2);
	for (size_t i = 0; i < p.n; i++)
		assert_string_equal(p.list[i].name, p.list[i].pid == 5 ? "crosvm" : "old");
	lu_kvm_processes_clear(&p);

	/* who made it has ended, or is another process by now; a device refers to it. Whoever holds one is found */
	put(root, "/sys/kernel/debug/kvm/8-11/exits", "0", 0644);
	put(root, "/proc/9/comm", "cron\n", 0644);
	put_link(root, "/proc/9/fd/11", "/dev/null");
	put(root, "/sys/kernel/debug/kvm/9-11/exits", "0", 0644);
	assert_int_equal(lu_kvm_processes_read(root->fd, &p), 0);
	assert_int_equal(p.n, 3);
	for (size_t i = 0; i < p.n; i++)
		assert_true(p.list[i].pid == 5 || p.list[i].pid == 6 || p.list[i].pid == 77);
	lu_kvm_processes_clear(&p);
}

static void test_holder(void **state)
{
	struct lu_kvm_process who;
	struct root *root = *state;
	char own[64];

	put_link(root, "/proc/20/fd/3", "/dev/liveupdated");
	snprintf(own, sizeof(own), "/proc/%d/fd/7", (int)getpid());
	put_link(root, own, "/dev/liveupdate");
	assert_int_equal(lu_beside_holder(root->fd, "/dev/liveupdate", &who), 0);
	put(root, "/proc/21/comm", "luo-agent\n", 0644);
	put_link(root, "/proc/21/fd/3", "/dev/liveupdate");
	assert_int_equal(lu_beside_holder(root->fd, "/dev/liveupdate", &who), 1);
	assert_int_equal(who.pid, 21);
	assert_string_equal(who.name, "luo-agent");
}

/* A lock of one's own is none, so a child has to hold it. */
static pid_t hold(struct root *root, const char *path, int *ret_pipe)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int ready[2], stay[2];
	char at[160], c;
	pid_t pid;

	full(root, path, at);
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(stay), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(at, O_RDWR | O_CLOEXEC);

		close(stay[1]);
		if (fd < 0 || fcntl(fd, F_SETLK, &lock) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		(void)!read(stay[0], &c, 1);
		_exit(0);
	}
	close(stay[0]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	*ret_pipe = stay[1];
	return pid;
}

static void test_packages(void **state)
{
	struct root *root = *state;
	char word[64], stat[64];
	int stay, status;
	pid_t pid;

	lu_beside_check_packages(root->fd, 0, &root->f);
	put(root, "/var/lib/dpkg/lock-frontend", "", 0640);
	put(root, "/var/lib/dpkg/lock", "", 0640);
	lu_beside_check_packages(root->fd, 0, &root->f);
	assert_int_equal(root->f.n, 0);
	pid = hold(root, "/var/lib/dpkg/lock", &stay);
	snprintf(word, sizeof(word), "by process %d", (int)pid);
	lu_beside_check_packages(root->fd, 0, &root->f);
	expect(root, LU_LEVEL_ERROR, "dpkg", word);
	/* a hook of a package, two processes below it, and somebody else */
	snprintf(stat, sizeof(stat), "800 (a) package)) S %d 1 1", (int)pid);
	put(root, "/proc/800/stat", stat, 0444);
	put(root, "/proc/900/stat", "900 (luctl) S 800 1 1", 0444);
	put(root, "/proc/901/stat", "901 (luctl) S 1 1 1", 0444);
	put(root, "/proc/1/stat", "1 (systemd) S 0 1 1", 0444);
	lu_beside_check_packages(root->fd, 900, &root->f);
	expect(root, LU_LEVEL_WARNING, "dpkg", word);
	lu_beside_check_packages(root->fd, 901, &root->f);
	assert_int_equal(root->f.n, 3);
	assert_int_equal(root->f.list[2].level, LU_LEVEL_ERROR);
	close(stay);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void test_watchdogs(void **state)
{
	struct root *root = *state;

	lu_beside_check_watchdogs(root->fd, &root->f);
	put(root, "/sys/class/watchdog/watchdog0/state", "inactive\n", 0444);
	lu_beside_check_watchdogs(root->fd, &root->f);
	assert_int_equal(root->f.n, 0);
	put(root, "/sys/class/watchdog/watchdog1/state", "active\n", 0444);
	put(root, "/sys/class/watchdog/watchdog1/timeout", "10\n", 0444);
	lu_beside_check_watchdogs(root->fd, &root->f);
	assert_int_equal(root->f.n, 1);
	expect(root, LU_LEVEL_WARNING, "/dev/watchdog1", "for 10 s");
	assert_true(lu_findings_ok(&root->f));
}

static void test_root(void **state)
{
	static const struct {
		const char *crypttab;
		bool asks;
	} all[] = {
		{ "root_crypt UUID=1 none luks,discard\n", true },
		{ "# root_crypt UUID=1 /key\nroot_crypt UUID=1 -\n", true },
		{ "root_crypt UUID=1\n", true },
		{ "other UUID=1 /key\n", true },
		{ "swap UUID=2 none\nroot_crypt UUID=1 /etc/keys/root luks\n", false },
		{ "root_crypt UUID=1 none luks,tpm2-device=auto\n", false },
		{ "root_crypt UUID=1 none luks,keyscript=decrypt_derived\n", false },
	};
	const dev_t lv = makedev(253, 1), plain = makedev(8, 1);
	struct root *root = *state;

	/* a logical volume on a dm-crypt device on a partition; and a partition */
	put(root, "/sys/dev/block/253:1/dm/uuid", "LVM-x\n", 0444);
	put(root, "/sys/dev/block/253:1/slaves/dm-0/x", "", 0444);
	put(root, "/sys/class/block/dm-0/dm/uuid", "CRYPT-LUKS2-1-root_crypt\n", 0444);
	put(root, "/sys/class/block/dm-0/dm/name", "root_crypt\n", 0444);
	put(root, "/sys/dev/block/8:1/partition", "1\n", 0444);
	lu_beside_check_root(root->fd, plain, &root->f);
	lu_beside_check_root(root->fd, makedev(0, 42), &root->f);
	assert_int_equal(root->f.n, 0);
	lu_beside_check_root(root->fd, lv, &root->f);
	expect(root, LU_LEVEL_WARNING, "/dev/mapper/root_crypt", "waits for the passphrase");
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		size_t before = root->f.n;

		put(root, "/etc/crypttab", all[i].crypttab, 0644);
		lu_beside_check_root(root->fd, lv, &root->f);
		if ((root->f.n > before) != all[i].asks)
			fail_msg("%s", all[i].crypttab);
	}
	assert_true(lu_findings_ok(&root->f));
}

static void test_programs(void **state)
{
	struct root *root = *state;

	put(root, "/usr/sbin/kexec", "", 0755);
	lu_beside_check_programs(root->fd, &root->f);
	assert_int_equal(root->f.n, 0);
	put(root, "/usr/sbin/other", "", 0755);
	assert_int_equal(unlinkat(root->fd, "usr/sbin/kexec", 0), 0);
	lu_beside_check_programs(root->fd, &root->f);
	expect(root, LU_LEVEL_ERROR, "/usr/sbin/kexec", "can't be run");
}

static void test_cpu(void **state)
{
	static const struct {
		const char *running, *target, *word; /* NULL: nothing is taken */
	} all[] = {
		{ "root=a", "root=a", NULL },
		{ "root=a", "root=a clearcpuid=avx512f", "clearcpuid=avx512f" },
		{ "root=a clearcpuid=avx512f", "root=a clearcpuid=avx512f", NULL },
		{ "root=a clearcpuid=avx512f", "root=a clearcpuid=avx512f,avx2", "avx512f,avx2" },
		{ "root=a clearcpuid=avx512f", "root=a", NULL },
		{ "", "noxsave", "noxsave takes" },
		{ "", "tsx=on", NULL },
		{ "", "tsx=off", "tsx=off" },
		{ "", "kvm_intel.ept=0", "kvm-intel.ept=0" },
		{ "", "kvm_intel.ept=1", NULL },
		{ "", "-- noxsave", NULL },
	};
	struct root *root = *state;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		lu_findings_clear(&root->f);
		root->f = LU_FINDINGS_INIT;
		lu_beside_check_cpu(all[i].running, all[i].target, &root->f);
		if (all[i].word)
			expect(root, LU_LEVEL_ERROR, "command line", all[i].word);
		else if (root->f.n)
			fail_msg("\"%s\" under \"%s\": %s", all[i].target, all[i].running, root->f.list[0].what);
	}
}

static void test_scratch(void **state)
{
	static const struct {
		const char *running;
		uint64_t mib;
		bool refused;
	} all[] = {
		{ "kho_scratch=16M,512M,256M", 300, false },
		{ "kho_scratch=16M,512M,256M", 513, true },
		{ "kho_scratch=16M,0x2000000,64M", 65, true },
		{ "kho_scratch=1G", 900, false },
		{ "kho_scratch=200%", 900, false }, /* sizes are the kernel's own affair */
		{ "kho_scratch=bogus", 900, false },
		{ "kho=on", 900, false },
		{ "kho_scratch=1M,1M,1M", 0, false },
	};
	struct root *root = *state;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		lu_findings_clear(&root->f);
		root->f = LU_FINDINGS_INIT;
		lu_beside_check_scratch(all[i].running, all[i].mib << 20, &root->f);
		if ((root->f.n > 0) != all[i].refused)
			fail_msg("%s and %llu MiB", all[i].running, (unsigned long long)all[i].mib);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kvm_by_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kvm_by_debugfs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_holder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_packages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watchdogs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_root, setup, teardown),
		cmocka_unit_test_setup_teardown(test_programs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cpu, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scratch, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
