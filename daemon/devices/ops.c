// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel as collect.c and replay.c see it. */
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "devices-internal.h"

static int kernel_ioctl(void *context, int fd, unsigned long request, void *arg)
{
	int r = ioctl(fd, request, arg);

	return r < 0 ? -errno : r;
}

static int kernel_open_node(void *context, int dev_fd, const char *path, dev_t *ret_device)
{
	_cleanup_close_ int fd = openat(dev_fd, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISCHR(st.st_mode))
		return -ENOTTY;
	*ret_device = st.st_rdev;
	return steal_fd(&fd);
}

static int kernel_eventfd(void *context, int flags)
{
	int fd = eventfd(0, flags);

	return fd < 0 ? -errno : fd;
}

static int kernel_add(void *context, int fd, uint64_t count)
{
	return write(fd, &count, sizeof(count)) < 0 ? -errno : 0;
}

const struct lu_devices_ops lu_devices_kernel_ops = {
	.ioctl = kernel_ioctl,
	.open_node = kernel_open_node,
	.eventfd = kernel_eventfd,
	.add = kernel_add,
};
