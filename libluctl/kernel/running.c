// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Facts of the running kernel that a target is compared with; see image.h. Each is read where the kernel itself tells it, in
 * /proc and /sys, but for one: that it was built to load none but signed images stands in /boot/config-RELEASE only.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"

#define CPUINFO_MAX (64u << 20) /* 1.5 kB a CPU, 8192 CPUs: 12 MiB */
#define MODULES_MAX (4u << 20)  /* a line of some 80 bytes each */
#define CONFIG_MAX (4u << 20)   /* Debian's has 300 kB */

static const char *below(int rootfd, const char *path)
{
	return rootfd == AT_FDCWD ? path : path + 1;
}

static bool flag_in_cpuinfo(const char *text, const char *flag)
{
	const char *line = strstr(text, "\nflags"), *end;
	size_t n = strlen(flag);

	if (!line)
		return false;
	line++;
	end = line + strcspn(line, "\n");
	for (const char *p = line; (p = strstr(p, flag)) && p < end; p += n)
		if (p[-1] == ' ' && (p[n] == ' ' || p[n] == '\n' || p[n] == '\0'))
			return true;
	return false;
}

/* One number out of /sys/fs/pkernfs. 1: there is none, because the kernel has no such file or no pkernfs to tell about. */
static int pkernfs_number(int rootfd, const char *name, uint64_t *ret, struct lu_error *e)
{
	_cleanup_free_ char *text = NULL;
	char path[64], *end;
	uint64_t n;
	int r;

	snprintf(path, sizeof(path), "/sys/fs/pkernfs/%s", name);
	r = lu_read_file(rootfd, below(rootfd, path), 4096, &text, NULL);
	if (r == -ENOENT || r == -EOPNOTSUPP)
		return 1;
	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: %s", path, strerror(-r));
	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno || end == text || strcmp(end, "\n") || *text == '-')
		return lu_error_set(e, -EBADMSG, NULL, "%s: not a number", path);
	*ret = n;
	return 0;
}

int lu_running_read_pkernfs(int rootfd, struct lu_running *running, struct lu_error *e)
{
	uint64_t version, incompat, ro_compat;
	int r;

	r = pkernfs_number(rootfd, "version", &version, e);
	if (r == 0)
		r = pkernfs_number(rootfd, "incompat", &incompat, e);
	if (r == 0)
		r = pkernfs_number(rootfd, "ro_compat", &ro_compat, e);
	if (r != 0)
		return r < 0 ? r : 0;
	if (version > UINT32_MAX)
		return lu_error_set(e, -EBADMSG, NULL, "/sys/fs/pkernfs/version: too large");
	running->pkernfs_known = true;
	running->pkernfs_version = (uint32_t)version;
	running->pkernfs_incompat = incompat;
	running->pkernfs_ro_compat = ro_compat;
	return 0;
}

uint64_t lu_pkernfs_bad_pages(int rootfd)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	uint64_t n;

	return pkernfs_number(rootfd, "bad_kib", &n, &e) == 0 ? n / 4 : UINT64_MAX;
}

/*
 * How this kernel came up: the boot loader's, or kexec's, header of struct boot_params (Documentation/arch/x86/boot.rst:
 * ramdisk_size at 0x21c, its upper half at 0x0c4). A kernel that doesn't show it counts as one without initrd.
 */
static int read_boot(int rootfd, struct lu_running *running, struct lu_error *e)
{
	_cleanup_free_ char *params = NULL, *modules = NULL, *disabled = NULL;
	uint32_t size = 0, upper = 0;
	size_t n;
	int r;

	r = lu_read_file(rootfd, below(rootfd, "/sys/kernel/boot_params/data"), 4096, &params, &n);
	if (r < 0 && r != -ENOENT)
		return lu_error_set(e, r, NULL, "/sys/kernel/boot_params/data: %s", strerror(-r));
	if (r == 0 && n >= 0x220) {
		memcpy(&size, params + 0x21c, sizeof(size));
		memcpy(&upper, params + 0x0c4, sizeof(upper));
	}
	running->initrd = size || upper;
	r = lu_read_file(rootfd, below(rootfd, "/proc/modules"), MODULES_MAX, &modules, NULL);
	if (r < 0 && r != -ENOENT)
		return lu_error_set(e, r, NULL, "/proc/modules: %s", strerror(-r));
	running->modules = r == 0 && modules[0];
	r = lu_read_file(rootfd, below(rootfd, "/proc/sys/kernel/kexec_load_disabled"), 16, &disabled, NULL);
	running->kexec_disabled = r == 0 && disabled[0] == '1';
	return 0;
}

/*
 * kimage_validate_signature() of the kernel: without a signature that it can verify it loads no image if it was built to
 * insist on one, or is locked down. (Its third way, a file that IMA appraises, is not open to us, who load a copy.)
 */
static int read_signatures(int rootfd, struct lu_running *running, struct lu_error *e)
{
	_cleanup_free_ char *lockdown = NULL, *config = NULL;
	char path[sizeof("/boot/config-") + LU_RELEASE_MAX];
	int r;

	r = lu_read_file(rootfd, below(rootfd, "/sys/kernel/security/lockdown"), 256, &lockdown, NULL);
	if (r < 0 && r != -ENOENT)
		return lu_error_set(e, r, NULL, "/sys/kernel/security/lockdown: %s", strerror(-r));
	snprintf(path, sizeof(path), "/boot/config-%s", running->release);
	if (r == 0 && (strstr(lockdown, "[integrity]") || strstr(lockdown, "[confidentiality]")))
		running->only_signed = "it is locked down";
	else if (lu_read_file(rootfd, below(rootfd, path), CONFIG_MAX, &config, NULL) == 0 &&
		 strstr(config, "\nCONFIG_KEXEC_SIG_FORCE=y\n"))
		running->only_signed = "it is built with CONFIG_KEXEC_SIG_FORCE";
	return 0;
}

int lu_running_read(int rootfd, struct lu_running *ret, struct lu_error *e)
{
	_cleanup_free_ char *release = NULL, *cpuinfo = NULL;
	struct lu_running running = { 0 };
	int r;

	r = lu_read_file(rootfd, below(rootfd, "/proc/sys/kernel/osrelease"), 4096, &release, NULL);
	if (r < 0)
		return lu_error_set(e, r, "is /proc mounted?", "/proc/sys/kernel/osrelease: %s", strerror(-r));
	release[strcspn(release, "\n")] = '\0';
	if (strlen(release) > LU_RELEASE_MAX)
		return lu_error_set(e, -EBADMSG, NULL, "/proc/sys/kernel/osrelease: longer than %u characters",
				    LU_RELEASE_MAX);
	strcpy(running.release, release);
	r = lu_read_file(rootfd, below(rootfd, "/proc/cpuinfo"), CPUINFO_MAX, &cpuinfo, NULL);
	if (r < 0)
		return lu_error_set(e, r, "is /proc mounted?", "/proc/cpuinfo: %s", strerror(-r));
	/* The kernel shows la57 only while it uses 5-level page tables. */
	running.level5 = flag_in_cpuinfo(cpuinfo, "la57");
	r = lu_abi_running(rootfd, &running.abi, e);
	if (r < 0)
		return r;
	r = read_boot(rootfd, &running, e);
	if (r < 0)
		return r;
	r = read_signatures(rootfd, &running, e);
	if (r < 0)
		return r;
	r = lu_running_read_pkernfs(rootfd, &running, e);
	if (r < 0)
		return r;
	*ret = running;
	return 0;
}
