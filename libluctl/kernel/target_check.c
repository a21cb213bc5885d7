// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Can the target kernel take over from the running one? Three questions, each
 * answered by findings (ok ones too, so that a person sees what was looked at):
 *
 *  1. Will kexec_file_load take the image at all? The kernel's own conditions
 *     (bzImage64_probe()), asked before anything is loaded.
 *  2. Do both kernels have our ABI, and do they hand over memory in the same words?
 *     KHO and LUO name their formats by compat strings and promise nothing between
 *     different ones, so they must be equal.
 *  3. Can the target read the pkernfs that is in use? Version within the target's
 *     range, no incompat feature in use that the target does not know.
 *
 * Everything is judged, not only up to the first error: a person wants the whole list.
 */
#include <stdio.h>
#include <string.h>

#include "image.h"

#define HINT_BUILD "build the target with luctl's kernel series and CONFIG_PKERNFS=y"
#define HINT_BASE "use a target kernel of the same series, or go through one that speaks both"

static const char *kind_name(enum lu_image_kind kind)
{
	return kind == LU_IMAGE_BZIMAGE ? "bzImage" : "vmlinux";
}

static void check_loadable(const struct lu_image *t, const char *path, const struct lu_running *running,
			   struct lu_findings *f)
{
	const char *missing = NULL;

	if (t->kind != LU_IMAGE_BZIMAGE) {
		lu_findings_add(f, LU_LEVEL_ERROR, path,
				"give the bzImage that was built with it (arch/x86/boot/bzImage)",
				"is a %s; kexec loads only a bzImage", kind_name(t->kind));
		return;
	}
	if (t->boot_protocol < 0x020c)
		missing = "boot protocol 2.12 (it is too old)";
	else if (!t->loaded_high)
		missing = "the flag LOADED_HIGH (it is a zImage)";
	else if (!t->entry_64)
		missing = "a 64-bit entry point";
	else if (!t->relocatable)
		missing = "CONFIG_RELOCATABLE";
	else if (!t->above_4g)
		missing = "the flag CAN_BE_LOADED_ABOVE_4G (CONFIG_RELOCATABLE)";
	else if (running->level5 && !t->level5)
		missing = "5-level paging, which the running kernel uses (CONFIG_X86_5LEVEL)";
	if (missing) {
		lu_findings_add(f, LU_LEVEL_ERROR, path, "rebuild the target as a relocatable 64-bit kernel",
				"kexec cannot load it: it lacks %s", missing);
		return;
	}
	lu_findings_add(f, LU_LEVEL_OK, path, NULL, "kexec can load it: relocatable %s, %s, boot protocol %u.%02u",
			kind_name(t->kind), t->compression, t->boot_protocol >> 8, t->boot_protocol & 0xff);
}

static void check_compat(const char *object, const char *old, const char *new, struct lu_findings *f)
{
	if (strcmp(old, new) != 0)
		lu_findings_add(f, LU_LEVEL_ERROR, object, HINT_BASE,
				"the running kernel speaks %s, the target speaks %s", old[0] ? old : "none",
				new[0] ? new : "none");
	else if (old[0])
		lu_findings_add(f, LU_LEVEL_OK, object, NULL, "both kernels speak %s", old);
	else
		lu_findings_add(f, LU_LEVEL_OK, object, NULL, "both kernels are built without it");
}

static void check_pkernfs(const struct lu_image *t, const struct lu_running *running, struct lu_findings *f)
{
	uint32_t version = running->pkernfs_known ? running->pkernfs_version : running->abi.pkernfs_version;
	uint64_t incompat = running->pkernfs_known ? running->pkernfs_incompat : running->abi.pkernfs_incompat;
	uint64_t ro_compat = running->pkernfs_known ? running->pkernfs_ro_compat : running->abi.pkernfs_ro_compat;
	uint64_t unknown = incompat & ~t->abi.pkernfs_incompat, unwritable = ro_compat & ~t->abi.pkernfs_ro_compat;
	const char *source = running->pkernfs_known ? "pkernfs is in use with" : "the running kernel may write";
	bool ok = true;

	if (t->abi.pkernfs_version == 0) {
		lu_findings_add(f, LU_LEVEL_ERROR, "pkernfs", HINT_BUILD, "the target has no pkernfs");
		return;
	}
	if (version < t->abi.pkernfs_min_version || version > t->abi.pkernfs_version) {
		lu_findings_add(f, LU_LEVEL_ERROR, "pkernfs", HINT_BASE,
				"%s format %u, the target reads formats %u to %u", source, version,
				t->abi.pkernfs_min_version, t->abi.pkernfs_version);
		ok = false;
	}
	if (unknown) {
		lu_findings_add(f, LU_LEVEL_ERROR, "pkernfs", HINT_BASE,
				"%s incompatible features 0x%llx that the target does not know", source,
				(unsigned long long)unknown);
		ok = false;
	}
	if (unwritable) {
		lu_findings_add(f, LU_LEVEL_ERROR, "pkernfs", HINT_BASE,
				"%s features 0x%llx, with which the target could only read it", source,
				(unsigned long long)unwritable);
		ok = false;
	}
	if (ok)
		lu_findings_add(f, LU_LEVEL_OK, "pkernfs", NULL, "the target reads format %u with features 0x%llx",
				version, (unsigned long long)incompat);
}

void lu_target_check_devices(const struct lu_image *target, const struct lu_running *running,
			     struct lu_findings *findings)
{
	if (running->abi.present && target->abi.present && !running->abi.pkeep[0])
		lu_findings_add(findings, LU_LEVEL_ERROR, "pkeep",
				"boot once, in the ordinary way, into one with CONFIG_PKEEP",
				"in the running kernel passed-through devices can't go on");
	else if (running->abi.present && target->abi.present)
		check_compat("pkeep", running->abi.pkeep, target->abi.pkeep, findings);
}

void lu_target_check(const struct lu_image *target, const char *path, const struct lu_running *running,
		     struct lu_findings *findings)
{
	check_loadable(target, path, running, findings);

	if (!running->abi.present)
		lu_findings_add(findings, LU_LEVEL_ERROR, "running kernel",
				"boot once, in the ordinary way, into a kernel with luctl's series",
				"%s has no luctl ABI note: it is built without CONFIG_PKERNFS", running->release);
	if (!target->abi.present)
		lu_findings_add(findings, LU_LEVEL_ERROR, path, HINT_BUILD,
				"%s has no luctl ABI note: it is built without CONFIG_PKERNFS",
				target->release[0] ? target->release : "kernel of unknown release");
	if (!running->abi.present || !target->abi.present)
		return;
	check_compat("KHO", running->abi.kho, target->abi.kho, findings);
	check_compat("LUO", running->abi.luo, target->abi.luo, findings);
	check_pkernfs(target, running, findings);
}
