// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <unistd.h>

#include "kexec.h"

#define KEXEC_TOOL "/usr/sbin/kexec"
#define LOAD_TIMEOUT_USEC (120 * UINT64_C(1000000))

int lu_kexec_load(sd_event *event, const struct lu_kexec_files *files, const char *cmdline, lu_worker_done_t done,
		  void *userdata, struct lu_worker **ret)
{
	_cleanup_free_ char *cmd = NULL, *ini = NULL;
	char kernel[48], initrd[48];
	const char *argv[8] = { KEXEC_TOOL, "--kexec-file-syscall", "--load", kernel };
	int n = 4;

	/* ours, not the program's own: it inherits none */
	snprintf(kernel, sizeof(kernel), "/proc/%d/fd/%d", (int)getpid(), files->kernel_fd);
	snprintf(initrd, sizeof(initrd), "/proc/%d/fd/%d", (int)getpid(), files->initrd_fd);
	if (asprintf(&cmd, "--command-line=%s", cmdline) < 0) {
		cmd = NULL;
		return -ENOMEM;
	}
	argv[n++] = cmd;
	if (files->initrd) {
		if (asprintf(&ini, "--initrd=%s", files->initrd_fd > 0 ? initrd : files->initrd) < 0) {
			ini = NULL;
			return -ENOMEM;
		}
		argv[n++] = ini;
	}
	return lu_worker_exec(event, argv, LOAD_TIMEOUT_USEC, done, userdata, ret);
}

int lu_kexec_loaded(void)
{
	_cleanup_free_ char *s = NULL;
	int r = lu_read_file(AT_FDCWD, "/sys/kernel/kexec_loaded", 16, &s, NULL);

	return r < 0 ? r : s[0] == '1';
}

int lu_kexec_changes(int rootfd, uint64_t *ret)
{
	static const char path[] = "/sys/kernel/kexec/changes";
	_cleanup_free_ char *s = NULL;
	char *end;
	int r = lu_read_file(rootfd, rootfd == AT_FDCWD ? path : path + 1, 32, &s, NULL);

	if (r < 0)
		return r;
	errno = 0;
	*ret = strtoull(s, &end, 10);
	return errno || end == s || *end != '\n' ? -EBADMSG : 0;
}

int lu_kexec_same(int rootfd, uint64_t changes, struct lu_error *error)
{
	uint64_t now = 0;
	int r = lu_kexec_changes(rootfd, &now);

	if (r < 0)
		return lu_error_set(error, r, NULL, "/sys/kernel/kexec/changes: %s", strerror(-r));
	if (now == changes)
		return 0;
	return lu_error_set(
		error, -ESTALE,
		"find out what loads kernels on this host (kexec -l, kdump-tools, kexec-load.service), keep it from "
		"that, and try again",
		"the kernel image that was checked and loaded is not the one that is loaded now: somebody has "
		"changed it during the update");
}

int lu_kexec_unload(struct lu_error *error)
{
	if (lu_kexec_loaded() == 0)
		return 0;
	if (syscall(SYS_kexec_file_load, -1, -1, 0UL, NULL, (unsigned long)KEXEC_FILE_UNLOAD) < 0)
		return lu_error_set(error, -errno, "unload it with kexec -s -u",
				    "loaded kernel image can't be unloaded: %s", strerror(errno));
	return 0;
}

void lu_kexec_said(int log, char *buf, size_t size)
{
	char record[8192];
	size_t used = 0;
	ssize_t n;

	buf[0] = '\0';
	while ((n = read(log, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		char *text, *end;
		unsigned long priority;

		if (n < 0)
			continue; /* some were overwritten before they were read */
		record[n] = '\0';
		priority = strtoul(record, &end, 10);
		text = strchr(record, ';');
		/* of the kernel itself, and at least a warning */
		if (*end != ',' || !text || priority > LOG_WARNING)
			continue;
		text[strcspn(text, "\n")] = '\0';
		n = snprintf(buf + used, size - used, "%s%s", used ? "; " : "", text + 1);
		if ((size_t)n >= size - used)
			return;
		used += (size_t)n;
	}
}

int lu_kexec_jump(struct lu_error *error)
{
	_cleanup_close_ int log = -EBADF;
	char said[512] = "";
	int r;

	if (lu_kexec_loaded() == 0)
		return lu_error_set(error, -ENOENT, "something unloaded it during the update; try again",
				    "kexec: no image is loaded any more");
	log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (log >= 0)
		(void)lseek(log, 0, SEEK_END);
	(void)syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
	r = -errno;
	if (log >= 0)
		lu_kexec_said(log, said, sizeof(said));
	return lu_error_set(error, r, *said ? "put right what the kernel names" : "look into its log: journalctl -k",
			    "reboot(KEXEC): %s%s%s", strerror(-r), *said ? "; the kernel says: " : "", said);
}
