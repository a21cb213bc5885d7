/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What a boot image is and what it can take over, read from the file alone: a
 * bzImage, or a plain vmlinux. Any bytes are safe to feed; memory is bounded by
 * the two maxima below.
 */
#include "abi_note.h"
#include "findings.h"

#define LU_IMAGE_FILE_MAX (256ull << 20)   /* bytes of the file; a Debian kernel has 12 MiB */
#define LU_IMAGE_KERNEL_MAX (512ull << 20) /* bytes of the unpacked kernel; Debian's has 60 MiB */
#define LU_RELEASE_MAX 64u                 /* as utsname: 64 characters */

enum lu_image_kind {
	LU_IMAGE_BZIMAGE,
	LU_IMAGE_VMLINUX, /* can be read, but kexec_file_load does not take it on x86 */
};

struct lu_image {
	enum lu_image_kind kind;
	char release[LU_RELEASE_MAX + 1]; /* "7.3.4-lu"; empty if the image does not say */
	const char *compression;          /* "gzip", "zstd", …, "none"; static text */
	uint16_t boot_protocol;           /* 0x020f: 2.15; 0 for vmlinux */
	uint32_t cmdline_max;             /* longest command line it takes, without NUL */
	/* What kexec_file_load wants of a bzImage; all false for vmlinux. */
	bool relocatable;
	bool loaded_high;
	bool entry_64;
	bool above_4g;
	bool level5;          /* runs when the old kernel uses 5-level page tables */
	bool is_signed;       /* as an EFI program, by whomever: only the kernel knows its keys */
	uint64_t kernel_size; /* unpacked, bytes */
	struct lu_abi abi;
};

/**
 * lu_image_read() - read and judge nothing: what is this file?
 * @dirfd: directory @path is relative to, or AT_FDCWD
 * @ret: no ownership inside, copy it as you like
 *
 * Return: 0; -ENOEXEC (no boot image, or not of this architecture); -EBADMSG
 * (damaged); -EFBIG; -EOPNOTSUPP (unknown compression); -EISDIR or another errno of
 * open and read. @e names the file and has a hint.
 */
int lu_image_read(int dirfd, const char *path, struct lu_image *ret, struct lu_error *e);

/** lu_image_read_fd() - the same on an open file, so that what is judged is what gets loaded; offset
 * unchanged */
int lu_image_read_fd(int fd, const char *name, struct lu_image *ret, struct lu_error *e);

/** lu_image_parse() - the same on bytes in memory (8-byte aligned); @name stands in for the path */
int lu_image_parse(const void *data, size_t size, const char *name, struct lu_image *ret, struct lu_error *e);

/*
 * What the target is compared with.
 *
 * The kernel writes the lowest pkernfs version that expresses the state, so if the
 * kernel tells what its filesystems really use (/sys/fs/pkernfs), that decides,
 * and going back to an older kernel is allowed as long as nothing newer is in use.
 * If not known, the running kernel's own note stands in, which is stricter.
 */
struct lu_running {
	char release[LU_RELEASE_MAX + 1];
	struct lu_abi abi;
	bool level5;  /* 5-level page tables in use */
	bool initrd;  /* it was booted with one */
	bool modules; /* parts of it are loadable modules that are loaded */
	bool kexec_disabled;
	const char *only_signed; /* why it loads none but signed images, static text; NULL: it loads any */
	bool pkernfs_known;
	uint32_t pkernfs_version;  /* highest format version of a filesystem in memory */
	uint64_t pkernfs_incompat; /* features in use there */
	uint64_t pkernfs_ro_compat;
};

/**
 * lu_running_read() - release, note, paging and pkernfs features of the running kernel
 * @rootfd: directory in place of / (/sys, /proc), or AT_FDCWD
 *
 * @ret->pkernfs_known is false if the kernel has no /sys/fs/pkernfs.
 */
int lu_running_read(int rootfd, struct lu_running *ret, struct lu_error *e);

/** lu_running_read_pkernfs() - only the pkernfs features again, which change while the kernel runs */
int lu_running_read_pkernfs(int rootfd, struct lu_running *running, struct lu_error *e);

/**
 * lu_pkernfs_bad_pages() - pages of 4 KiB of all filesystems in memory that have gone bad (/sys/fs/pkernfs/bad_kib)
 *
 * Return: UINT64_MAX if the kernel does not tell.
 */
uint64_t lu_pkernfs_bad_pages(int rootfd);

/**
 * lu_target_check() - can @target take over from @running?
 * @path: what the findings call the target
 *
 * Adds at least one finding. The verdict is lu_findings_ok().
 */
void lu_target_check(const struct lu_image *target, const char *path, const struct lu_running *running,
		     struct lu_findings *findings);

/**
 * lu_target_check_boot() - will the host come up on @target?
 * @rootfd: directory in place of / (/lib/modules), or AT_FDCWD
 * @initrd: it gets one
 * @no_initrd: that it gets none is meant
 *
 * A kernel that does not find its root, or lacks the modules that this host uses, loses every guest. One that this kernel
 * does not load costs nothing, but is better known before an update.
 */
void lu_target_check_boot(int rootfd, const struct lu_image *target, const struct lu_running *running, bool initrd,
			  bool no_initrd, struct lu_findings *findings);

/**
 * lu_target_check_iommu() - will the target translate for devices that go on, and remap their interrupts?
 * @path: what the findings call the target
 * @cmdline: its command line
 *
 * If it doesn't, it stops all of them. In which mode the IOMMU works is no question: it stays in the one it is in. Adds
 * nothing if the target has no ABI note or no pkeep.
 */
void lu_target_check_iommu(const struct lu_image *target, const char *path, const char *cmdline,
			   struct lu_findings *findings);

/** lu_target_takes_groups() - can devices that are in a container for which iommufd stands in go on in the target? */
bool lu_target_takes_groups(const struct lu_image *target);

/** lu_target_check_devices() - the same for passed-through devices that go on; adds nothing if there is no ABI note at all */
void lu_target_check_devices(const struct lu_image *target, const struct lu_running *running,
			     struct lu_findings *findings);
