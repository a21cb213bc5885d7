/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Kernels as packages install them:
 *
 *   /boot/vmlinuz-RELEASE              with /boot/initrd.img-RELEASE (Debian) or /boot/initramfs-RELEASE.img
 *   /usr/lib/modules/RELEASE/vmlinuz   with /usr/lib/modules/RELEASE/initrd
 *
 * A release has at most one image; the first of these counts.
 */
#include "error.h"

struct lu_installed {
	char *release;
	char *image;  /* absolute path, as seen from the root that was looked at */
	char *initrd; /* NULL: none is installed beside it */
};

/**
 * lu_installed_find() - one kernel that is installed
 * @rootfd: where to look; AT_FDCWD: /
 * @release: as uname -r says it, or NULL for the newest: the one whose release strverscmp(3) puts last
 * @ret: the caller's to clear by lu_installed_clear(); set only on success
 *
 * Return: 0; -ENOENT with words if there is none such; another negative errno with words.
 */
int lu_installed_find(int rootfd, const char *release, struct lu_installed *ret, struct lu_error *e);

void lu_installed_clear(struct lu_installed *k);
