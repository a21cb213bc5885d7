// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "kexec.h"

#define KEXEC_TOOL "/usr/sbin/kexec"
#define LOAD_TIMEOUT_USEC (120 * UINT64_C(1000000))

int lu_kexec_load(sd_event *event, const char *kernel, const char *initrd, const char *cmdline, lu_worker_done_t done,
		  void *userdata, struct lu_worker **ret)
{
	_cleanup_free_ char *cmd = NULL, *ini = NULL;
	const char *argv[8] = { KEXEC_TOOL, "--kexec-file-syscall", "--load", kernel };
	int n = 4;

	if (asprintf(&cmd, "--command-line=%s", cmdline) < 0) {
		cmd = NULL;
		return -ENOMEM;
	}
	argv[n++] = cmd;
	if (initrd) {
		if (asprintf(&ini, "--initrd=%s", initrd) < 0) {
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

int lu_kexec_unload(struct lu_error *error)
{
	if (lu_kexec_loaded() == 0)
		return 0;
	if (syscall(SYS_kexec_file_load, -1, -1, 0UL, NULL, (unsigned long)KEXEC_FILE_UNLOAD) < 0)
		return lu_error_set(error, -errno, "unload it with kexec -s -u",
				    "loaded kernel image can't be unloaded: %s", strerror(errno));
	return 0;
}

int lu_kexec_jump(struct lu_error *error)
{
	int r;

	if (lu_kexec_loaded() == 0)
		return lu_error_set(error, -ENOENT, "something unloaded it during the update; try again",
				    "kexec: no image is loaded any more");
	(void)syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
	r = -errno;
	return lu_error_set(error, r, "look into the kernel's log for what refused it", "reboot(KEXEC): %s",
			    strerror(-r));
}
