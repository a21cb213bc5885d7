// SPDX-License-Identifier: LGPL-2.1-or-later
/* Whether the host comes up on the target: what it boots with beside its image; see image.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "image.h"

static void check_initrd(const struct lu_running *running, bool initrd, bool no_initrd, struct lu_findings *f)
{
	if (!initrd && running->initrd && !no_initrd)
		lu_findings_add(
			f, LU_LEVEL_ERROR, "initrd",
			"give the target's with --initrd; say --no-initrd if it finds its root file system without",
			"none is given, but the running kernel was booted with one");
}

static void check_modules(int rootfd, const struct lu_image *target, const struct lu_running *running,
			  struct lu_findings *f)
{
	char path[sizeof("/lib/modules/") + LU_RELEASE_MAX];
	struct stat st;

	if (!running->modules || !target->release[0])
		return;
	snprintf(path, sizeof(path), "/lib/modules/%s", target->release);
	if (fstatat(rootfd, rootfd == AT_FDCWD ? path : path + 1, &st, 0) < 0)
		lu_findings_add(f, LU_LEVEL_ERROR, path, "install the target's package, which brings its modules",
				"this host uses modules, and the target's are not there: %s", strerror(errno));
	else
		lu_findings_add(f, LU_LEVEL_OK, path, NULL, "the target's modules are there");
}

static void check_signature(const struct lu_image *target, const struct lu_running *running, struct lu_findings *f)
{
	if (!running->only_signed)
		return;
	if (target->is_signed)
		lu_findings_add(f, LU_LEVEL_OK, "signature", NULL,
				"the target is signed; whether by a key of this kernel's is seen when it is loaded, "
				"before any guest is paused");
	else
		lu_findings_add(
			f, LU_LEVEL_ERROR, "signature",
			"sign it by a key that this kernel trusts (sbsign), or boot this host without secure boot and lockdown",
			"this kernel loads none but signed images, since %s, and the target is not signed",
			running->only_signed);
}

void lu_target_check_boot(int rootfd, const struct lu_image *target, const struct lu_running *running, bool initrd,
			  bool no_initrd, struct lu_findings *findings)
{
	check_initrd(running, initrd, no_initrd, findings);
	check_modules(rootfd, target, running, findings);
	check_signature(target, running, findings);
	if (running->kexec_disabled)
		lu_findings_add(findings, LU_LEVEL_ERROR, "kernel.kexec_load_disabled",
				"it can't be set back; boot without it",
				"this kernel was told to load no other kernel");
}
