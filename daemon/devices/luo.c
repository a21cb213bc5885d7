// SPDX-License-Identifier: GPL-2.0-or-later
/* See luo.h for what the kernel promises. This file only makes ioctls and words of errors. */
#include <inttypes.h>
#include <linux/liveupdate.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "clock.h"
#include "luo.h"

_Static_assert(sizeof(((struct lu_luo *)NULL)->name) == LIVEUPDATE_SESSION_NAME_LENGTH, "length of a session's name");

void lu_luo_close(struct lu_luo *s)
{
	closep(&s->fd);
	*s = LU_LUO_INIT;
}

int lu_luo_open(const char *path, unsigned int wait_ms, struct lu_error *e)
{
	uint64_t end = lu_clock_ns(CLOCK_MONOTONIC) + wait_ms * 1000000ULL;

	for (;;) {
		int fd = open(path, O_RDWR | O_CLOEXEC);

		if (fd >= 0)
			return fd;
		if (errno == EBUSY && lu_clock_ns(CLOCK_MONOTONIC) < end) {
			usleep(1000);
			continue;
		}
		if (errno == ENOENT || errno == ENXIO || errno == ENODEV)
			return lu_error_set(e, -EOPNOTSUPP,
					    "boot a kernel with CONFIG_LIVEUPDATE, with kho=on and liveupdate=on",
					    "%s: this kernel carries no memory files over kexec", path);
		if (errno == EBUSY)
			return lu_error_set(e, -EBUSY, "see who has it open (fuser)", "%s: somebody else uses it",
					    path);
		if (errno == EIO)
			return lu_error_set(e, -EIO, "reboot once the guests may go; the kernel's log says more",
					    "%s: the kernel can't read what the last one left to it", path);
		return lu_error_set(e, -errno, NULL, "%s: %s", path, strerror(errno));
	}
}

static int set_name(struct lu_luo *s, const char *uuid, struct lu_error *e)
{
	if (!lu_uuid_valid(uuid))
		return lu_error_set(e, -EINVAL, NULL, "\"%s\" is no UUID", uuid ?: "");
	snprintf(s->name, sizeof(s->name), "luctl-%s", uuid);
	return 0;
}

int lu_luo_create(int device, const char *uuid, struct lu_luo *ret, struct lu_error *e)
{
	struct liveupdate_ioctl_create_session arg = { .size = sizeof(arg), .fd = -1 };
	struct lu_luo s = LU_LUO_INIT;
	int r;

	r = set_name(&s, uuid, e);
	if (r < 0)
		return r;
	memcpy(arg.name, s.name, sizeof(arg.name));
	if (ioctl(device, LIVEUPDATE_IOCTL_CREATE_SESSION, &arg) < 0)
		return lu_error_set(e, -errno, NULL, "live update session %s: can't create it: %s", s.name,
				    errno == EEXIST ? "there is one already" : strerror(errno));
	s.fd = arg.fd;
	*ret = s;
	return 0;
}

int lu_luo_retrieve(int device, const char *uuid, struct lu_luo *ret, struct lu_error *e)
{
	struct liveupdate_ioctl_retrieve_session arg = { .size = sizeof(arg), .fd = -1 };
	struct lu_luo s = LU_LUO_INIT;
	int r;

	r = set_name(&s, uuid, e);
	if (r < 0)
		return r;
	memcpy(arg.name, s.name, sizeof(arg.name));
	if (ioctl(device, LIVEUPDATE_IOCTL_RETRIEVE_SESSION, &arg) < 0)
		return lu_error_set(
			e, -errno, errno == ENOENT ? "start the guest afresh from its disks" : NULL,
			"live update session %s: can't retrieve it: %s", s.name,
			errno == ENOENT ? "the last kernel left none of this name, or a process that had it has ended" :
			errno == EINVAL ? "it has been retrieved already" :
					  strerror(errno));
	s.fd = arg.fd;
	*ret = s;
	return 0;
}

int lu_luo_preserve(const struct lu_luo *s, uint64_t token, int fd, struct lu_error *e)
{
	struct liveupdate_session_preserve_fd arg = { .size = sizeof(arg), .fd = fd, .token = token };

	if (ioctl(s->fd, LIVEUPDATE_SESSION_PRESERVE_FD, &arg) == 0)
		return 0;
	return lu_error_set(e, -errno, NULL, "live update session %s: file %" PRIu64 " can't be preserved: %s", s->name,
			    token,
			    errno == ENOENT ? "not a memory file" :
			    errno == EBUSY  ? "it is preserved already" :
			    errno == EEXIST ? "there is a file of this number already" :
					      strerror(errno));
}

int lu_luo_retrieve_fd(const struct lu_luo *s, uint64_t token, struct lu_error *e)
{
	struct liveupdate_session_retrieve_fd arg = { .size = sizeof(arg), .fd = -1, .token = token };

	if (ioctl(s->fd, LIVEUPDATE_SESSION_RETRIEVE_FD, &arg) == 0)
		return arg.fd;
	return lu_error_set(e, -errno, NULL, "live update session %s: file %" PRIu64 " can't be retrieved: %s", s->name,
			    token, errno == ENOENT ? "there is none of this number" : strerror(errno));
}

int lu_luo_finish(const struct lu_luo *s, struct lu_error *e)
{
	struct liveupdate_session_finish arg = { .size = sizeof(arg) };

	if (ioctl(s->fd, LIVEUPDATE_SESSION_FINISH, &arg) == 0)
		return 0;
	return lu_error_set(e, -errno, NULL, "live update session %s: can't finish it: %s", s->name, strerror(errno));
}
