// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QMP for one command after the other, blocking in poll() on two things: the socket
 * and QEMU's pidfd, so that a QEMU that dies ends the wait at once. One deadline holds
 * for everything. The protocol is daemon/qmp/wire.c.
 *
 * The socket of a QEMU that was just started appears after some 10 ms, and it accepts
 * before it answers; both are waited for. A socket that belongs to another process
 * (a leftover, a second QEMU) is an error, its words would be about another VM.
 */
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "clock.h"
#include "lu-init.h"

#define RETRY_MS 2

/* 1: readable; 0: @ms passed; -ESRCH: QEMU has ended; -ETIMEDOUT: the deadline. */
static int wait_for(struct lu_monitor *m, int fd, short events, int ms)
{
	for (;;) {
		struct pollfd p[2] = { { .fd = m->pidfd, .events = POLLIN }, { .fd = fd, .events = events } };
		uint64_t now = lu_clock_ns(CLOCK_MONOTONIC);
		int64_t left = now >= m->deadline_ns ? 0 : (int64_t)((m->deadline_ns - now) / 1000000) + 1;
		int n;

		if (left == 0)
			return -ETIMEDOUT;
		n = poll(p, 2, (int)(ms >= 0 && ms < left ? ms : left > 1000 ? 1000 : left));
		if (n < 0 && errno != EINTR)
			return -errno;
		/* a last word before the end is worth reading */
		if (n > 0 && fd >= 0 && p[1].revents)
			return 1;
		if (n > 0 && p[0].revents)
			return -ESRCH;
		if (n == 0 && ms >= 0)
			return 0;
	}
}

static int failed(struct lu_monitor *m, int r, const char *what, struct lu_error *e)
{
	if (r == -ESRCH)
		return lu_error_set(e, r, NULL, "QEMU ended while %s", what);
	if (r == -ETIMEDOUT)
		return lu_error_set(e, r, NULL, "QEMU did not answer in time while %s", what);
	return lu_error_set(e, r, NULL, "%s: %s", what, strerror(-r));
}

/* The next message that is no event. */
static int next_message(struct lu_monitor *m, struct lu_wire_message *ret, const char *what, struct lu_error *e)
{
	char buf[8192];

	for (;;) {
		int r = lu_wire_next(m->wire, ret, e);
		ssize_t n;

		if (r < 0)
			return r;
		if (r > 0 && ret->kind != LU_WIRE_EVENT)
			return 0;
		if (r > 0) {
			lu_wire_message_clear(ret);
			continue;
		}
		r = wait_for(m, m->fd, POLLIN, -1);
		if (r < 0)
			return failed(m, r, what, e);
		n = recv(m->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0) {
			/* closed: most likely it is dying; then say so */
			if (wait_for(m, -1, 0, 200) == -ESRCH)
				return failed(m, -ESRCH, what, e);
			return failed(m, n < 0 ? -errno : -ECONNRESET, what, e);
		}
		r = lu_wire_push(m->wire, buf, (size_t)n);
		if (r < 0)
			return failed(m, r, what, e);
	}
}

int lu_monitor_command(struct lu_monitor *m, const char *name, struct json_object *args, struct json_object **ret,
		       struct lu_error *e)
{
	_cleanup_wire_message_ struct lu_wire_message msg = LU_WIRE_MESSAGE_INIT;
	_cleanup_free_ char *text = NULL;
	size_t size, sent = 0;
	int r;

	r = lu_wire_command(name, args, m->next_id, &text, &size);
	if (r < 0)
		return r;
	while (sent < size) {
		ssize_t n = send(m->fd, text + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0) {
			sent += (size_t)n;
			continue;
		}
		if (errno == EPIPE || errno == ECONNRESET)
			break; /* reading says why */
		r = errno == EAGAIN ? wait_for(m, m->fd, POLLOUT, -1) : errno == EINTR ? 0 : -errno;
		if (r < 0)
			return failed(m, r, name, e);
	}
	r = next_message(m, &msg, name, e);
	if (r < 0)
		return r;
	if (msg.kind == LU_WIRE_GREETING || !msg.has_id || msg.id != m->next_id)
		return lu_error_set(e, -EBADMSG, NULL, "%s: the answer belongs to no question", name);
	m->next_id++;
	if (msg.kind == LU_WIRE_ERROR)
		return lu_error_set(e, -EREMOTEIO, NULL, "QEMU refuses %s: %s", name, msg.error_desc);
	if (ret)
		*ret = json_object_get(msg.data);
	return 0;
}

static int try_connect(struct lu_monitor *m, const struct sockaddr_un *sa)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0)
		return -errno;
	m->fd = steal_fd(&fd);
	return 0;
}

int lu_monitor_connect(struct lu_monitor *m, const char *path, pid_t pid, struct lu_error *e)
{
	_cleanup_wire_message_ struct lu_wire_message msg = LU_WIRE_MESSAGE_INIT;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(struct ucred);
	struct ucred peer;
	int r;

	if (strlen(path) >= sizeof(sa.sun_path))
		return lu_error_set(e, -ENAMETOOLONG, NULL, "QMP socket %s: %s", path, strerror(ENAMETOOLONG));
	strcpy(sa.sun_path, path);
	for (;;) {
		r = try_connect(m, &sa);
		if (r >= 0)
			break;
		if (r != -ENOENT && r != -ECONNREFUSED && r != -EAGAIN && r != -EINTR)
			return lu_error_set(e, r, NULL, "QMP socket %s: %s", path, strerror(-r));
		r = wait_for(m, -1, 0, RETRY_MS);
		if (r < 0)
			return failed(m, r, "its monitor was not there yet", e);
	}
	if (getsockopt(m->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.pid != pid)
		return lu_error_set(e, -EADDRINUSE, "end that process, then: luctl restore",
				    "QMP socket %s belongs to process %d, not to the QEMU that was started (%d)", path,
				    (int)peer.pid, (int)pid);
	r = lu_wire_new(&m->wire);
	if (r < 0)
		return r;
	r = next_message(m, &msg, "it did not greet yet", e);
	if (r < 0)
		return r;
	if (msg.kind != LU_WIRE_GREETING)
		return lu_error_set(e, -EBADMSG, NULL, "QMP socket %s: no greeting", path);
	m->next_id = 1;
	return lu_monitor_command(m, "qmp_capabilities", NULL, NULL, e);
}

void lu_monitor_close(struct lu_monitor *m)
{
	closep(&m->fd);
	m->fd = -EBADF;
	lu_wire_free(steal_ptr(m->wire));
}
