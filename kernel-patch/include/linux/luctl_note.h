/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * ELF note by which a kernel image tells, before anybody boots it, what it
 * can take over from a kernel that kexecs into it.
 *
 * It is among the notes of vmlinux, thus in the payload of a bzImage and, of
 * the running kernel, in /sys/kernel/notes.  Little-endian, no padding.
 *
 * Rules for change: fields are only added, at the end, and @size says how far
 * a note reaches; a reader takes what is beyond as zero, which means "not
 * supported", and ignores what it doesn't know.  @version goes up only when
 * that isn't enough; a reader refuses a version it doesn't know.
 */
#ifndef _UAPI_LINUX_LUCTL_NOTE_H
#define _UAPI_LINUX_LUCTL_NOTE_H

#include <linux/types.h>

#define LUCTL_NOTE_OWNER	"luctl"
#define LUCTL_NOTE_TYPE		1
#define LUCTL_NOTE_VERSION	1
#define LUCTL_NOTE_SIZE		96	/* of version 1; a note may be longer */
#define LUCTL_NOTE_MAX		4096	/* a reader refuses longer ones */

/* What the image does with IOMMUs, if its command line says nothing else */
#define LUCTL_NOTE_IOMMU_TOLD	(1ULL << 0)	/* the other bits say so; else they are unknown */
#define LUCTL_NOTE_IOMMU_VTD	(1ULL << 1)	/* it has a driver for Intel VT-d */
#define LUCTL_NOTE_IOMMU_VTD_ON	(1ULL << 2)	/* which translates */
#define LUCTL_NOTE_IOMMU_VTD_SM	(1ULL << 3)	/* in scalable mode, if there is */
#define LUCTL_NOTE_IOMMU_IRQ	(1ULL << 4)	/* and remaps interrupts */
#define LUCTL_NOTE_IOMMU_KEEPS	(1ULL << 5)	/* it stays in the mode it finds */
#define LUCTL_NOTE_IOMMU_GROUPS	(1ULL << 6)	/* it takes devices of containers over, by their group */

/**
 * struct luctl_note - the note's descriptor
 * @version: LUCTL_NOTE_VERSION
 * @size: bytes of this structure that the image fills in
 * @pkernfs_format_version: highest pkernfs format version it reads, 0: no pkernfs
 * @pkernfs_min_version: lowest one it reads
 * @pkernfs_incompat_supported: incompat bits of pkernfs it knows
 * @kho_compat: KHO's compatible string, NUL padded
 * @luo_compat: LUO's compatible string, NUL padded; empty: no LUO
 * @pkeep_compat: compatible string of devices that go on over kexec, NUL
 *                padded; empty: none
 * @pkernfs_ro_compat_supported: ro_compat bits of pkernfs it knows
 * @iommu: LUCTL_NOTE_IOMMU_*
 * @reserved: zero
 */
struct luctl_note {
	__le32 version;
	__le32 size;
	__le32 pkernfs_format_version;
	__le32 pkernfs_min_version;
	__le64 pkernfs_incompat_supported;
	char   kho_compat[16];
	char   luo_compat[16];
	char   pkeep_compat[16];
	__le64 pkernfs_ro_compat_supported;
	__le64 iommu;
	__le64 reserved;
} __attribute__((packed));

#if defined(__KERNEL__) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L)
_Static_assert(sizeof(struct luctl_note) == LUCTL_NOTE_SIZE, "luctl_note");
#endif

#endif /* _UAPI_LINUX_LUCTL_NOTE_H */
