// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What IOMMU_STATE and VFIO_DEVICE_FEATURE_IRQS do not tell and somebody may have set all the same. What can be asked
 * otherwise is asked, and set again or refused, since it would not be there in the next kernel; what can't be known is in
 * docs/devices.md.
 *
 *	iommufd	IOMMU_OPTION_RLIMIT_MODE	told by IOMMU_OPTION, GET; carried: libvirt sets it
 *		IOMMU_VFIO_IOAS			told by its GET: the iommufd stands in for a legacy container
 *	device	migration, logging of DMA	told is only whether the driver can: then nobody knows whether it is on
 *		low power			told by sysfs: a device that is in use is active otherwise
 *		virtual functions of it		told by sysfs; they, and the token that guards them, are not carried
 *
 * A kernel that does not know a question does not know what it is about either.
 */
#include <stdio.h>
#include <string.h>

#include "devices-internal.h"

static bool unknown_to_kernel(int r)
{
	return r == -ENOTTY || r == -EOPNOTSUPP;
}

int lu_iommufd_unseen(const struct lu_devices_ops *ops, int fd, const char *name, bool may_stand_in,
		      struct lu_unseen *ret, struct lu_error *e)
{
	struct iommu_option option = {
		.size = sizeof(option),
		.option_id = IOMMU_OPTION_RLIMIT_MODE,
		.op = IOMMU_OPTION_OP_GET,
	};
	struct iommu_vfio_ioas compat = { .size = sizeof(compat), .op = IOMMU_VFIO_IOAS_GET };
	int r = ops->ioctl(ops->context, fd, IOMMU_OPTION, &option);

	if (r < 0 && !unknown_to_kernel(r))
		return lu_error_set(e, r, NULL, "%s: asking the kernel how it accounts memory: %s", name, strerror(-r));
	*ret = (struct lu_unseen){ .by_process = r >= 0 && option.val64 };
	r = ops->ioctl(ops->context, fd, IOMMU_VFIO_IOAS, &compat);
	if (r < 0)
		return r == -ENODEV || unknown_to_kernel(r) ?
			       0 :
			       lu_error_set(e, r, NULL, "%s: asking the kernel for its legacy container: %s", name,
					    strerror(-r));
	if (!may_stand_in)
		return lu_error_set(e, -EOPNOTSUPP, "give QEMU -object iommufd and the device iommufd=",
				    "%s: stands in for a legacy container (its IOAS is %u), which is not carried", name,
				    compat.ioas_id);
	ret->stands_in = compat.ioas_id;
	return 0;
}

static int refuse_feature(const struct lu_devices_ops *ops, int fd, uint32_t feature, const char *bdf, const char *what,
			  struct lu_error *e)
{
	struct vfio_device_feature f = { .argsz = sizeof(f), .flags = VFIO_DEVICE_FEATURE_PROBE | feature };
	int r = ops->ioctl(ops->context, fd, VFIO_DEVICE_FEATURE, &f);

	if (unknown_to_kernel(r))
		return 0;
	if (r < 0)
		return lu_error_set(e, r, NULL, "device %s: asking the kernel for %s: %s", bdf, what, strerror(-r));
	return lu_error_set(e, -EOPNOTSUPP, "bind the device to vfio-pci itself",
			    "device %s: its driver can do %s, and the kernel does not tell whether that is on", bdf,
			    what);
}

/* The first word of a file of the function; empty if there is none */
static int read_word(int sys_fd, const char *bdf, const char *file, char ret[32], struct lu_error *e)
{
	_cleanup_free_ char *text = NULL;
	char path[96];
	int r;

	ret[0] = '\0';
	snprintf(path, sizeof(path), "bus/pci/devices/%s/%s", bdf, file);
	r = lu_read_file(sys_fd, path, 64, &text, NULL);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return lu_error_set(e, r, NULL, "device %s: /sys/%s: %s", bdf, path, strerror(-r));
	(void)sscanf(text, "%31s", ret);
	return 0;
}

int lu_device_unseen(const struct lu_devices_ops *ops, int sys_fd, int fd, const char *bdf, struct lu_error *e)
{
	char word[32];
	int r = refuse_feature(ops, fd, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIGRATION, bdf, "migration", e);

	if (r >= 0)
		r = refuse_feature(ops, fd, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START, bdf,
				   "logging of DMA", e);
	if (r >= 0)
		r = read_word(sys_fd, bdf, "power/runtime_status", word, e);
	if (r >= 0 && (!strcmp(word, "suspended") || !strcmp(word, "suspending")))
		return lu_error_set(e, -EOPNOTSUPP, "try again when the guest uses it",
				    "device %s: is in low power, and would be awake in the next kernel", bdf);
	if (r >= 0)
		r = read_word(sys_fd, bdf, "sriov_numvfs", word, e);
	if (r >= 0 && word[0] && strcmp(word, "0") != 0)
		return lu_error_set(e, -EOPNOTSUPP, "remove them: echo 0 > sriov_numvfs",
				    "device %s: has %s virtual functions, which are not carried, nor is their token",
				    bdf, word);
	return r;
}
