// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The CPR state from QEMU's socket, and into a file for the next QEMU; what stands in such a file is read by who starts
 * that QEMU, since he has to see to the numbers.
 *
 * A socket gives descriptors with the bytes that they belong to, up to SCM_MOST at a time: room for that many is made
 * before each message. What can't be had (too many, too much) closes all of them. The file is a sealed memfd: nobody
 * who gets it can change what the next one reads.
 */
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "cpr.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define SCM_MOST 253 /* SCM_MAX_FD of the kernel: descriptors in one message */
#define CHUNK 16384U

static int new_memfd(void)
{
	int fd = memfd_create("luctl-cpr", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	/* before Linux 6.3 */
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("luctl-cpr", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 ? -errno : fd;
}

int lu_cpr_write_exec(const struct lu_cpr *cpr, const int *numbers, int *ret_fd, struct lu_error *e)
{
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ void *data = NULL;
	size_t len = 0;
	int r;

	r = lu_cpr_encode_exec(cpr, numbers, &data, &len, e);
	if (r < 0)
		return r;
	fd = new_memfd();
	r = fd < 0 ? fd : lu_write_all(fd, data, len);
	if (r >= 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		r = -errno;
	if (r < 0)
		return lu_error_set(e, r, NULL, "CPR state: can't write it into memory: %s", strerror(-r));
	*ret_fd = steal_fd(&fd);
	return 0;
}

int lu_cpr_read_exec(int fd, int *numbers, size_t n, struct lu_error *e)
{
	_cleanup_free_ char *data = malloc(LU_CPR_EXEC_BYTES_MAX + 1);
	_cleanup_free_ int *found = NULL;
	_cleanup_cpr_ struct lu_cpr cpr = LU_CPR_INIT;
	size_t len = 0;
	ssize_t k = 1;
	int r;

	if (!data)
		return -ENOMEM;
	while (k > 0 && len <= LU_CPR_EXEC_BYTES_MAX) {
		k = pread(fd, data + len, LU_CPR_EXEC_BYTES_MAX + 1 - len, (off_t)len);
		if (k < 0 && errno == EINTR)
			k = 1;
		else if (k < 0)
			return lu_error_set(e, -errno, NULL, "CPR state: can't read it: %s", strerror(errno));
		else
			len += (size_t)k;
	}
	r = lu_cpr_parse_exec(data, len, &cpr, &found, e);
	if (r < 0)
		return r;
	if (cpr.n_fds != n)
		return lu_error_set(e, -EBADMSG, NULL, "CPR state: %zu files, but %zu descriptors are held", cpr.n_fds,
				    n);
	memcpy(numbers, found, n * sizeof(*numbers));
	return 0;
}

void lu_cpr_receiver_clear(struct lu_cpr_receiver *r)
{
	for (size_t i = 0; i < r->n_fds; i++)
		closep(&r->fds[i]);
	free(r->fds);
	free(r->data);
	*r = LU_CPR_RECEIVER_INIT;
}

/* Room for the next message: one byte beyond the limit, which is how too much is noticed, and all descriptors that one may carry. */
static int make_room(struct lu_cpr_receiver *r)
{
	if (r->room - r->len < CHUNK && r->room < LU_CPR_BYTES_MAX + 1) {
		size_t room = r->room ? 2 * r->room : CHUNK;
		uint8_t *p;

		if (room > LU_CPR_BYTES_MAX + 1)
			room = LU_CPR_BYTES_MAX + 1;
		p = realloc(r->data, room);
		if (!p)
			return -ENOMEM;
		r->data = p;
		r->room = room;
	}
	if (r->room_fds - r->n_fds < SCM_MOST) {
		size_t room = r->room_fds + 2 * SCM_MOST;
		int *p = reallocarray(r->fds, room, sizeof(*p));

		if (!p)
			return -ENOMEM;
		r->fds = p;
		r->room_fds = room;
	}
	return 0;
}

static void take_descriptors(struct lu_cpr_receiver *r, struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		/* the control buffer holds no more than there is room for */
		memcpy(r->fds + r->n_fds, CMSG_DATA(c), n * sizeof(int));
		r->n_fds += n;
	}
}

/* 1: something came; 2: end of the stream; 0: nothing there. */
static int receive_one(int sock, struct lu_cpr_receiver *r, struct lu_error *e)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(SCM_MOST * sizeof(int))];
	} control;
	struct iovec iov;
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;
	int k;

	k = make_room(r);
	if (k < 0)
		return k;
	iov.iov_base = r->data + r->len;
	iov.iov_len = r->room - r->len;
	n = recvmsg(sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && errno == EINTR)
		return 1;
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0)
		return lu_error_set(e, -errno, NULL, "CPR state: can't receive it: %s", strerror(errno));
	take_descriptors(r, &m);
	r->len += (size_t)n;
	if (m.msg_flags & MSG_CTRUNC)
		return lu_error_set(e, -EMFILE, "raise LimitNOFILE= of the service",
				    "CPR state: a descriptor got lost after the first %zu", r->n_fds);
	if (r->n_fds > LU_CPR_FDS_MAX)
		return lu_error_set(e, -EFBIG, NULL, "CPR state: more than %u files", LU_CPR_FDS_MAX);
	if (r->len > LU_CPR_BYTES_MAX)
		return lu_error_set(e, -EFBIG, NULL, "CPR state: more than %u bytes", LU_CPR_BYTES_MAX);
	return n == 0 ? 2 : 1;
}

int lu_cpr_receive_some(int sock, struct lu_cpr_receiver *r, struct lu_error *e)
{
	int k;

	do
		k = receive_one(sock, r, e);
	while (k == 1);
	if (k < 0)
		lu_cpr_receiver_clear(r);
	return k < 0 ? k : k == 2;
}
