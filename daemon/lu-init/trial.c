// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lu-init in a trial jump (trial-words.h): nothing here touches a guest, and the machine goes off at the end. The first
 * kernel leaves behind what a host would: a file as guests' RAM, one as a state file, and a memory file in a session of
 * /dev/liveupdate if there is one. The second looks whether it finds them, and what it would execute as the real init.
 */
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lu-init.h"
#include "trial-words.h"

#define RAM_SIZE (8u << 20)
#define STATE_SIZE (256u << 10)
#define MEMFD_SIZE (128u << 10)
#define SESSION "00000000-0000-4000-8000-000000000001"

static void say(int port, const char *word, const char *text)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "%s%s\n", word, text);

	if (n >= (int)sizeof(line)) {
		n = sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	if (write(port, line, (size_t)n) < 0)
		return;
	(void)syscall(SYS_fsync, port);
}

/* Word @k of a file that begins with @seed; no two pages are alike */
static uint64_t pattern(uint64_t seed, size_t k)
{
	return (seed + k + 1) * 0x9e3779b97f4a7c15ULL;
}

static uint64_t *map(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int fill(int fd, size_t size, uint64_t seed)
{
	uint64_t *words;

	if (ftruncate(fd, (off_t)size) < 0)
		return -errno;
	words = map(fd, size);
	if (!words)
		return -errno;
	for (size_t k = 0; k < size / sizeof(*words); k++)
		words[k] = pattern(seed, k);
	munmap(words, size);
	return 0;
}

/* 0, -EBADMSG if there is something else, or another errno */
static int compare(int fd, size_t size, uint64_t seed)
{
	uint64_t *words = map(fd, size);
	int r = 0;

	if (!words)
		return -errno;
	for (size_t k = 0; k < size / sizeof(*words) && r == 0; k++)
		if (words[k] != pattern(seed, k))
			r = -EBADMSG;
	munmap(words, size);
	return r;
}

static const struct {
	const char *name;
	size_t size;
	uint64_t seed;
} files[] = { { "trial-ram", RAM_SIZE, 1 }, { "trial-state", STATE_SIZE, 1 << 20 } };

static int leave_files(int root, struct lu_error *e)
{
	for (size_t k = 0; k < ARRAY_SIZE(files); k++) {
		_cleanup_close_ int fd = openat(root, files[k].name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		int r = fd < 0 ? -errno : fill(fd, files[k].size, files[k].seed);

		if (r < 0)
			return lu_error_set(e, r, NULL, "%s: can't be written in pkernfs: %s", files[k].name,
					    strerror(-r));
	}
	return 0;
}

/* The descriptor of the session keeps it, so it stays open. */
static int leave_session(struct lu_luo *session, struct lu_error *e)
{
	_cleanup_close_ int device = lu_luo_open(LU_LUO_DEVICE, 0, e), fd = -EBADF;
	int r;

	if (device == -EOPNOTSUPP) {
		lu_error_clear(e);
		return 0;
	}
	if (device < 0)
		return device;
	fd = memfd_create("trial", MFD_CLOEXEC);
	r = fd < 0 ? -errno : fill(fd, MEMFD_SIZE, 1 << 21);
	if (r < 0)
		return lu_error_set(e, r, NULL, "a memory file can't be made: %s", strerror(-r));
	r = lu_luo_create(device, SESSION, session, e);
	return r < 0 ? r : lu_luo_preserve(session, 1, fd, e);
}

static int load(struct lu_error *e)
{
	_cleanup_close_ int kernel = open(LU_TRIAL_KERNEL, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int initrd = open(LU_TRIAL_INITRD, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *cmdline = NULL;
	int r = lu_read_file(AT_FDCWD, LU_TRIAL_CMDLINE, 1 << 16, &cmdline, NULL);

	if (kernel < 0 || r < 0)
		return lu_error_set(e, kernel < 0 ? -errno : r, NULL, "the target is not in the trial's initramfs");
	if (syscall(SYS_kexec_file_load, kernel, initrd < 0 ? -1 : initrd, strlen(cmdline) + 1, cmdline,
		    initrd < 0 ? KEXEC_FILE_NO_INITRAMFS : 0UL) < 0)
		return lu_error_set(e, -errno, NULL, "the target can't be loaded: %s%s", strerror(errno),
				    errno == EADDRNOTAVAIL ? " (is kho_scratch= large enough for image and initrd?)" :
							     "");
	return 0;
}

static int first(struct lu_init *i, int port, struct lu_error *e)
{
	_cleanup_luo_ struct lu_luo session = LU_LUO_INIT;
	_cleanup_close_ int root = -EBADF;
	int r;

	say(port, LU_TRIAL_SAYS_FIRST, "");
	r = lu_mounts_pkernfs(i);
	if (r < 0)
		return lu_error_set(e, r, NULL, "pkernfs can't be mounted: %s", strerror(-r));
	root = lu_open_pkernfs(i, e);
	r = root < 0 ? root : leave_files(root, e);
	if (r >= 0)
		r = leave_session(&session, e);
	if (r < 0)
		return r;
	say(port, LU_TRIAL_SAYS_LOAD, "");
	r = load(e);
	if (r < 0)
		return r;
	say(port, LU_TRIAL_SAYS_JUMP, "");
	(void)syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
	return lu_error_set(e, -errno, NULL, "the kernel refuses the jump: %s", strerror(errno));
}

static int find_files(int root, struct lu_error *e)
{
	for (size_t k = 0; k < ARRAY_SIZE(files); k++) {
		_cleanup_close_ int fd = openat(root, files[k].name, O_RDWR | O_CLOEXEC);
		int r = fd < 0 ? -errno : compare(fd, files[k].size, files[k].seed);

		if (r < 0)
			return lu_error_set(e, r, NULL, "what was left in pkernfs is not found again: %s: %s",
					    files[k].name, r == -EBADMSG ? "its contents are others" : strerror(-r));
	}
	return 0;
}

static int find_session(struct lu_error *e)
{
	_cleanup_close_ int device = lu_luo_open(LU_LUO_DEVICE, 0, e), fd = -EBADF;
	_cleanup_luo_ struct lu_luo session = LU_LUO_INIT;
	int r;

	/* who needs it asks for it on the command line, which check looks at */
	if (device == -EOPNOTSUPP) {
		lu_error_clear(e);
		return 0;
	}
	if (device < 0)
		return device;
	r = lu_luo_retrieve(device, SESSION, &session, e);
	if (r == -ENOENT) {
		lu_error_clear(e);
		return 0;
	}
	if (r < 0)
		return r;
	fd = lu_luo_retrieve_fd(&session, 1, e);
	if (fd < 0)
		return fd;
	r = compare(fd, MEMFD_SIZE, 1 << 21);
	return r < 0 ? lu_error_set(e, r, NULL, "a memory file of /dev/liveupdate has other contents") : 0;
}

static int second(struct lu_init *i, int port, const char *cmdline, struct lu_error *e)
{
	_cleanup_free_ char *real = NULL;
	_cleanup_close_ int root = -EBADF;
	struct utsname name;
	int r;

	uname(&name);
	say(port, LU_TRIAL_SAYS_RELEASE, name.release);
	r = lu_mounts_pkernfs(i);
	if (r < 0)
		return lu_error_set(e, r, NULL, "pkernfs can't be mounted: %s", strerror(-r));
	root = lu_open_pkernfs(i, e);
	r = root < 0 ? root : find_files(root, e);
	if (r >= 0)
		r = find_session(e);
	/* without the host's root file system there is no other init */
	if (r >= 0 && access(LU_TRIAL_MARK, F_OK) < 0 && lu_real_init(cmdline, &real) > 0 && access(real, X_OK) < 0)
		return lu_error_set(e, -errno, NULL, "luctl.init=%s can't be executed: %s", real, strerror(errno));
	return r;
}

static bool says(const char *cmdline, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = strstr(cmdline, word); p; p = strstr(p + n, word))
		if ((p == cmdline || p[-1] == ' ') && strchr(" \n", p[n]))
			return true;
	return false;
}

void lu_trial(struct lu_init *i)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *cmdline = NULL;
	bool is_first;
	int port, r;

	if (lu_read_file(AT_FDCWD, "/proc/cmdline", 1 << 16, &cmdline, NULL) < 0)
		return;
	is_first = says(cmdline, LU_TRIAL_FIRST);
	if (!is_first && !says(cmdline, LU_TRIAL_SECOND))
		return;
	port = open(LU_TRIAL_PORT, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	if (port < 0)
		lu_log(i, "%s: %s", LU_TRIAL_PORT, strerror(errno));
	r = is_first ? first(i, port, &e) : second(i, port, cmdline, &e);
	if (r < 0)
		say(port, LU_TRIAL_SAYS_FAILED, e.what ?: strerror(-r));
	else
		say(port, LU_TRIAL_SAYS_OK, "");
	(void)syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF, NULL);
	/* a machine that can't be switched off is ended from outside */
	for (;;)
		(void)pause();
}
