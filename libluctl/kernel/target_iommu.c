// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the target does with IOMMUs. Devices that go on need one that translates from the
 * start and remaps interrupts all the time; a kernel that doesn't use it stops them, when
 * nobody can go back any more.
 *
 * The image's note tells what the kernel was built for, its command line what it is told
 * (drivers/iommu/intel/iommu.c, drivers/iommu/irq_remapping.c, arch/x86/kernel/pci-dma.c):
 * options are lists with commas, of which each word counts by how it begins, the last one
 * that says on or off wins, and the parameters are independent of each other.
 *
 * Not handled: what firmware says (DMAR table absent, opt-out flags). It is the same firmware
 * as that of the running kernel, whose IOMMU is in use.
 */
#include <string.h>

#include "cmdline.h"
#include "image.h"
#include "linux/luctl_note.h"

/* What a parameter says so far. */
struct setting {
	const char *on, *off; /* how options begin that switch it */
	bool value;
};

static void look(const char *value, size_t size, void *userdata)
{
	struct setting *s = userdata;

	for (const char *end = value + size, *p = value; p < end;) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		size_t n = (size_t)((comma ?: end) - p);

		if (s->on && n >= strlen(s->on) && !strncmp(p, s->on, strlen(s->on)))
			s->value = true;
		else if (n >= strlen(s->off) && !strncmp(p, s->off, strlen(s->off)))
			s->value = false;
		p += n + (comma != NULL);
	}
}

static void found(const char *value, size_t size, void *userdata)
{
	(void)value;
	(void)size;
	*(bool *)userdata = true;
}

static bool translates(const char *cmdline, bool by_default)
{
	struct setting vtd = { .on = "on", .off = "off", .value = by_default };
	struct setting all = { .off = "off", .value = true };

	lu_cmdline_each(cmdline, "intel_iommu", look, &vtd);
	lu_cmdline_each(cmdline, "iommu", look, &all);
	return vtd.value && all.value;
}

static bool remaps(const char *cmdline)
{
	struct setting remap = { .on = "on", .off = "off", .value = true };
	bool off = false;

	lu_cmdline_each(cmdline, "intremap", look, &remap);
	lu_cmdline_each(cmdline, "nointremap", found, &off);
	return remap.value && !off;
}

void lu_target_check_iommu(const struct lu_image *target, const char *path, const char *cmdline,
			   struct lu_findings *findings)
{
	uint64_t says = target->abi.iommu;
	bool told = says & LUCTL_NOTE_IOMMU_TOLD;

	if (!target->abi.present || !target->abi.pkeep[0])
		return;
	if (told && !(says & LUCTL_NOTE_IOMMU_VTD))
		lu_findings_add(findings, LU_LEVEL_ERROR, path, "build the target with CONFIG_INTEL_IOMMU=y",
				"has no driver for the IOMMU, and would stop all passed-through devices");
	else if (!translates(cmdline, !told || says & LUCTL_NOTE_IOMMU_VTD_ON))
		lu_findings_add(findings, LU_LEVEL_ERROR, "command line",
				"add intel_iommu=on, drop intel_iommu=off and iommu=off",
				"the target would not use the IOMMU, and stop all passed-through devices");
	else if (!told && !translates(cmdline, false))
		lu_findings_add(
			findings, LU_LEVEL_WARNING, path, "add intel_iommu=on to its command line",
			"doesn't tell whether it uses the IOMMU; if it doesn't, it stops all passed-through devices");
	if ((told && !(says & LUCTL_NOTE_IOMMU_IRQ)) || !remaps(cmdline))
		lu_findings_add(
			findings, LU_LEVEL_ERROR, "interrupts",
			"build the target with CONFIG_IRQ_REMAP=y, drop intremap=off and nointremap",
			"the target would not remap interrupts: a guest with a passed-through device could send it any");
	if (told && !(says & LUCTL_NOTE_IOMMU_KEEPS))
		lu_findings_add(
			findings, LU_LEVEL_WARNING, path, "use a target with the current series",
			"stops all passed-through devices if it would choose another mode of the IOMMU than the one in use");
}

bool lu_target_takes_groups(const struct lu_image *target)
{
	return target->abi.present && target->abi.iommu & LUCTL_NOTE_IOMMU_GROUPS;
}
