/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * pkernfs: ioctls on its files; see Documentation/filesystems/pkernfs.rst
 */
#ifndef _UAPI_LINUX_PKERNFS_IOCTL_H
#define _UAPI_LINUX_PKERNFS_IOCTL_H

#include <linux/ioctl.h>

#define PKERNFS_IOC_MAGIC	0xB9

/*
 * Freeze and thaw a regular file.  A file is frozen as long as one open file
 * description has frozen it and neither thawed it nor been closed.  For its
 * owner and CAP_FOWNER.
 *
 * FREEZE: EBUSY if this description has done so already; THAW: EINVAL if not.
 */
#define PKERNFS_IOC_FREEZE	_IO(PKERNFS_IOC_MAGIC, 0)
#define PKERNFS_IOC_THAW	_IO(PKERNFS_IOC_MAGIC, 1)

#endif /* _UAPI_LINUX_PKERNFS_IOCTL_H */
