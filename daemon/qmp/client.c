// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client is a queue of commands in front of a connection that may or may not
 * exist. Life of the connection:
 *
 *	closed → connecting → greeting → capabilities → ready → closed
 *
 * A command starts it from closed. connect() on a unix socket either succeeds or
 * fails at once, or says EAGAIN while the listener's backlog is full; then it is
 * tried again every 20 ms until the commands' time is over. QEMU answers one
 * client and leaves the others in the backlog without a word, so silence instead
 * of a greeting is reported as "somebody else holds the monitor", and by whom if that can be told (holder.c).
 *
 * Commands are numbered; replies are matched by number, in any order. Bytes are
 * sent when the connection is ready, file descriptors with the first byte of
 * their command.
 *
 * Unhappy paths:
 *  1. connecting fails: all commands end with that errno.
 *  2. The peer closes, dies or talks nonsense: the connection is closed and all
 *     commands end, each once. A later command connects anew.
 *  3. A command's time is over: it alone ends, with -ETIMEDOUT. Its late reply is
 *     dropped: its number is known to have been given. If the greeting has not
 *     come, the connection is closed with it.
 *  4. A reply with a number that was never given: nonsense, see 2.
 *
 * Reentrancy: callbacks may do anything to the client. Every entry from the event
 * loop holds a reference, and a list of failed commands is detached before the
 * first callback runs. lu_qmp_free() drops all callbacks and the owner's
 * reference.
 *
 * Not handled: out-of-band execution, which no command we use allows; TLS and TCP
 * monitors.
 */
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>

#include "clock.h"
#include "client.h"
#include "holder.h"
#include "wire.h"

#define RETRY_USEC 20000u
#define IDLE_USEC 1000000u

enum state {
	CLOSED,
	CONNECTING,
	GREETING,
	CAPABILITIES,
	READY,
};

struct command {
	struct command *next;
	uint64_t id;
	char *name;
	char *text;
	size_t size, sent;
	int fds[LU_QMP_FDS_MAX];
	size_t n_fds;
	uint64_t deadline;
	lu_qmp_reply_t callback; /* NULL: forgotten */
	void *userdata;
};

struct lu_qmp {
	unsigned int refs;
	sd_event *event;
	char *label, *path;
	enum state state;
	int fd;
	struct ucred peer;
	char *version;
	struct lu_wire *wire;
	sd_event_source *io;     /* on fd */
	sd_event_source *timer;  /* earliest deadline, retry of connect, or idle */
	sd_event_source *defer;  /* ends commands outside of the caller's stack */
	struct lu_error failure; /* that defer reports */
	struct command *pending; /* in order of ids */
	struct command *hello;   /* qmp_capabilities: sent before all others */
	struct command *failed;  /* detached by close, callback not called yet */
	uint64_t next_id;
	uint64_t idle_usec, idle_since;
	lu_qmp_event_t on_event;
	void *on_event_userdata;
	bool freed;
};

static void arm(struct lu_qmp *q);
static void fail_all(struct lu_qmp *q, struct lu_error *why);

static uint64_t now_usec(void)
{
	return lu_clock_ns(CLOCK_MONOTONIC) / 1000;
}

static void command_free(struct command *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_fds; i++)
		close(c->fds[i]);
	free(c->name);
	free(c->text);
	free(c);
}

static void commands_free(struct command **list)
{
	while (*list) {
		struct command *c = *list;

		*list = c->next;
		command_free(c);
	}
}

static void connection_close(struct lu_qmp *q)
{
	q->io = sd_event_source_disable_unref(q->io);
	closep(&q->fd);
	q->fd = -EBADF;
	lu_wire_free(steal_ptr(q->wire));
	command_free(steal_ptr(q->hello));
	q->peer = (struct ucred){ 0 };
	q->state = CLOSED;
}

static void client_unref(struct lu_qmp *q)
{
	if (--q->refs > 0)
		return;
	connection_close(q);
	commands_free(&q->pending);
	commands_free(&q->failed);
	sd_event_source_disable_unref(q->timer);
	sd_event_source_disable_unref(q->defer);
	sd_event_unref(q->event);
	lu_error_clear(&q->failure);
	free(q->version);
	free(q->label);
	free(q->path);
	free(q);
}

static void client_unrefp(struct lu_qmp **q)
{
	client_unref(*q);
}
#define HOLD(q) _cleanup_(client_unrefp) __attribute__((unused)) struct lu_qmp *_held = ((q)->refs++, (q))

/* Ends one command that is in no list any more. */
static void command_end(struct lu_qmp *q, struct command *c, int r, struct json_object *data, const char *class,
			const struct lu_error *e)
{
	if (c->callback && !q->freed)
		c->callback(q, r, data, class, e, c->userdata);
	command_free(c);
}

static struct command *take(struct command **list, uint64_t id)
{
	for (struct command **p = list; *p; p = &(*p)->next) {
		struct command *c = *p;

		if (c->id != id)
			continue;
		*p = c->next;
		return c;
	}
	return NULL;
}

static void end_failed(struct lu_qmp *q)
{
	_cleanup_error_ struct lu_error why = LU_ERROR_INIT;

	lu_error_move(&why, &q->failure);
	while (q->failed) {
		struct command *c = q->failed;

		q->failed = c->next;
		command_end(q, c, why.code, NULL, NULL, &why);
	}
}

static int on_defer(sd_event_source *s, void *userdata)
{
	struct lu_qmp *q = userdata;
	HOLD(q);

	end_failed(q);
	arm(q);
	return 0;
}

/* Closes and ends everything that is pending, from the event loop. Takes over @why. */
static void fail_all(struct lu_qmp *q, struct lu_error *why)
{
	struct command **tail = &q->failed;

	connection_close(q);
	while (*tail)
		tail = &(*tail)->next;
	*tail = steal_ptr(q->pending);
	if (q->failure.code)
		lu_error_clear(why);
	else
		lu_error_move(&q->failure, why);
	if (q->failed)
		(void)sd_event_source_set_enabled(q->defer, SD_EVENT_ONESHOT);
	else
		lu_error_clear(&q->failure);
	arm(q);
}

static void fail(struct lu_qmp *q, int code, const char *hint, const char *what)
{
	struct lu_error e = LU_ERROR_INIT;

	lu_error_set(&e, code, hint, "%s: QMP socket %s: %s", q->label, q->path, what);
	fail_all(q, &e);
}

int lu_qmp_held(const struct lu_qmp *q, struct lu_error *e)
{
	struct lu_qmp_client holder;

	if (q->state == READY || lu_qmp_holder(q->path, &holder) <= 0)
		return 0;
	(void)lu_error_set(
		e, -ETIMEDOUT,
		"QEMU serves one QMP client at a time: end that connection, or give the VM a monitor for luctl alone",
		"%s: QMP socket %s: is held by process %d (%s)", q->label, q->path, (int)holder.pid, holder.name);
	return 1;
}

/* It serves one client at a time. Who that is can be told, if it is not QEMU that hangs. */
static void fail_ungreeted(struct lu_qmp *q)
{
	struct lu_error e = LU_ERROR_INIT;

	if (lu_qmp_held(q, &e))
		fail_all(q, &e);
	else
		fail(q, -ETIMEDOUT,
		     "QEMU serves one QMP client at a time: does somebody else (libvirt, a shell) hold this monitor? or QEMU hangs",
		     "no greeting in time");
}

static const char *connect_hint(int err)
{
	switch (err) {
	case ENOENT:
	case ECONNREFUSED:
		return "is the VM running? if its socket is elsewhere, correct \"qmp\" in its definition";
	case EACCES:
	case EPERM:
		return "luctld must be allowed to open the socket";
	default:
		return NULL;
	}
}

static void note_version(struct lu_qmp *q, struct json_object *greeting)
{
	struct json_object *v = NULL, *qemu = NULL, *part;
	static const char *const keys[] = { "major", "minor", "micro" };
	int n[3] = { 0 };
	char *text;

	if (!json_object_object_get_ex(greeting, "version", &v) || !json_object_is_type(v, json_type_object) ||
	    !json_object_object_get_ex(v, "qemu", &qemu) || !json_object_is_type(qemu, json_type_object))
		return;
	for (size_t i = 0; i < 3; i++)
		if (json_object_object_get_ex(qemu, keys[i], &part))
			n[i] = json_object_get_int(part);
	if (asprintf(&text, "%d.%d.%d", n[0], n[1], n[2]) < 0)
		return;
	free(q->version);
	q->version = text;
}

static struct command *command_new(struct lu_qmp *q, const char *name, struct json_object *args)
{
	struct command *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->id = q->next_id;
	c->name = strdup(name);
	if (!c->name || lu_wire_command(name, args, c->id, &c->text, &c->size) < 0) {
		command_free(c);
		return NULL;
	}
	q->next_id++;
	return c;
}

/* 1: all sent; 0: socket full; negative errno. */
static int command_send(struct lu_qmp *q, struct command *c)
{
	while (c->sent < c->size) {
		struct iovec iov = { c->text + c->sent, c->size - c->sent };
		union {
			struct cmsghdr align;
			char space[CMSG_SPACE(sizeof(int) * LU_QMP_FDS_MAX)];
		} control = { 0 };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;

		if (c->n_fds > 0) {
			struct cmsghdr *h;

			msg.msg_control = control.space;
			msg.msg_controllen = CMSG_SPACE(sizeof(int) * c->n_fds);
			h = CMSG_FIRSTHDR(&msg);
			h->cmsg_level = SOL_SOCKET;
			h->cmsg_type = SCM_RIGHTS;
			h->cmsg_len = CMSG_LEN(sizeof(int) * c->n_fds);
			memcpy(CMSG_DATA(h), c->fds, sizeof(int) * c->n_fds);
		}
		n = sendmsg(q->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return errno == EAGAIN ? 0 : -errno;
		}
		c->sent += (size_t)n;
		for (; c->n_fds > 0; c->n_fds--)
			close(c->fds[c->n_fds - 1]);
	}
	return 1;
}

static void send_pending(struct lu_qmp *q)
{
	bool full = false;
	int r = 1;

	if (q->state < CAPABILITIES)
		return;
	if (q->hello)
		r = command_send(q, q->hello);
	if (q->state == READY)
		for (struct command *c = q->pending; c && r > 0; c = c->next)
			r = command_send(q, c);
	/* EPIPE also means that there may be a last word to read: the read path reports the end */
	if (r < 0 && r != -EPIPE && r != -ECONNRESET) {
		fail(q, r, NULL, strerror(-r));
		return;
	}
	full = r == 0;
	(void)sd_event_source_set_io_events(q->io, EPOLLIN | (full ? EPOLLOUT : 0));
}

static void on_message(struct lu_qmp *q, struct lu_wire_message *m)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct command *c;

	if (m->kind == LU_WIRE_EVENT) {
		if (q->on_event && !q->freed)
			q->on_event(q, m->event, m->data, q->on_event_userdata);
		return;
	}
	if (m->kind == LU_WIRE_GREETING) {
		if (q->state != GREETING) {
			fail(q, -EBADMSG, NULL, "the peer greeted twice");
			return;
		}
		note_version(q, m->data);
		q->hello = command_new(q, "qmp_capabilities", NULL);
		if (!q->hello) {
			fail(q, -ENOMEM, NULL, strerror(ENOMEM));
			return;
		}
		q->state = CAPABILITIES;
		send_pending(q);
		return;
	}
	if (q->state < CAPABILITIES) {
		fail(q, -EBADMSG, "is it really the QMP monitor of a QEMU?", "the peer answered before it greeted");
		return;
	}
	if (!m->has_id || m->id >= q->next_id) {
		fail(q, -EBADMSG, "is it really the QMP monitor of a QEMU?",
		     m->has_id ? "the peer answered a command that was never given" : m->error_desc);
		return;
	}
	if (q->hello && m->id == q->hello->id) {
		command_free(steal_ptr(q->hello));
		if (m->kind == LU_WIRE_ERROR) {
			fail(q, -EREMOTEIO, NULL, m->error_desc);
			return;
		}
		q->state = READY;
		send_pending(q);
		return;
	}
	c = take(&q->pending, m->id);
	if (!c)
		return; /* late: its time was over */
	if (!q->pending)
		q->idle_since = now_usec();
	if (m->kind == LU_WIRE_RETURN) {
		command_end(q, c, 0, m->data, NULL, NULL);
		return;
	}
	lu_error_set(&e, -EREMOTEIO, NULL, "%s: QEMU refuses %s: %s", q->label, c->name, m->error_desc);
	command_end(q, c, -EREMOTEIO, NULL, m->error_class, &e);
}

/* Handles whole messages until there is none, or the connection has changed under us. */
static void drain(struct lu_qmp *q)
{
	while (q->wire && !q->freed) {
		_cleanup_wire_message_ struct lu_wire_message m = LU_WIRE_MESSAGE_INIT;
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		int r = lu_wire_next(q->wire, &m, &e);

		if (r == 0)
			return;
		if (r < 0) {
			fail(q, r, e.hint, e.what);
			return;
		}
		on_message(q, &m);
	}
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct lu_qmp *q = userdata;
	char buf[16384];
	HOLD(q);

	if (revents & EPOLLOUT)
		send_pending(q);
	/* one read a dispatch: level-triggered, so a flood can't starve the other VMs */
	if (q->fd == fd && (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			fail(q, -ECONNRESET, "has QEMU died? see its log", strerror(errno));
		} else if (n == 0) {
			fail(q, -ECONNRESET, "has QEMU died? see its log",
			     q->state < READY ? "the peer closed the connection before it was set up" :
						"the peer closed the connection");
		} else if (n > 0) {
			int r = lu_wire_push(q->wire, buf, (size_t)n);

			if (r < 0)
				fail(q, r, NULL, strerror(-r));
			else
				drain(q);
		}
	}
	if (!q->freed)
		arm(q);
	return 0;
}

static void try_connect(struct lu_qmp *q)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(q->peer);
	int r;

	if (strlen(q->path) >= sizeof(sa.sun_path)) {
		fail(q, -ENAMETOOLONG, "a socket's path has at most 107 bytes", strerror(ENAMETOOLONG));
		return;
	}
	strcpy(sa.sun_path, q->path);
	q->state = CONNECTING;
	if (q->fd < 0)
		q->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (q->fd < 0) {
		fail(q, -errno, NULL, strerror(errno));
		return;
	}
	if (connect(q->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		r = -errno;
		if (r == -EAGAIN || r == -EINTR)
			return; /* backlog is full: arm() tries again */
		fail(q, r, connect_hint(-r), strerror(-r));
		return;
	}
	if (getsockopt(q->fd, SOL_SOCKET, SO_PEERCRED, &q->peer, &len) < 0) {
		fail(q, -errno, NULL, strerror(errno));
		return;
	}
	r = lu_wire_new(&q->wire);
	if (r >= 0)
		r = sd_event_add_io(q->event, &q->io, q->fd, EPOLLIN, on_io, q);
	if (r < 0) {
		fail(q, r, NULL, strerror(-r));
		return;
	}
	q->state = GREETING;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct lu_qmp *q = userdata;
	uint64_t now = now_usec();
	struct command **p;
	HOLD(q);

	if (q->state == CONNECTING)
		try_connect(q);
	for (p = &q->pending; *p && !q->freed;) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct command *c = *p;

		if (c->deadline > now) {
			p = &c->next;
			continue;
		}
		if (q->state != READY) {
			fail_ungreeted(q);
			break;
		}
		if (c->sent > 0 && c->sent < c->size) {
			/* taken back now it would leave half a command in the stream */
			fail(q, -ETIMEDOUT, "QEMU hangs or is overloaded; see its log", "the peer does not read");
			break;
		}
		*p = c->next;
		if (!q->pending)
			q->idle_since = now;
		lu_error_set(&e, -ETIMEDOUT, "QEMU hangs or is overloaded; see its log",
			     "%s: QMP socket %s: no reply to %s in time", q->label, q->path, c->name);
		command_end(q, c, -ETIMEDOUT, NULL, NULL, &e);
		p = &q->pending; /* the callback may have changed the list */
	}
	if (!q->freed && q->state != CLOSED && !q->pending && q->idle_usec != UINT64_MAX &&
	    now >= q->idle_since + q->idle_usec)
		connection_close(q);
	if (!q->freed)
		arm(q);
	return 0;
}

/* Sets the one timer to what comes first. */
static void arm(struct lu_qmp *q)
{
	uint64_t when = UINT64_MAX;

	for (struct command *c = q->pending; c; c = c->next)
		if (c->deadline < when)
			when = c->deadline;
	if (q->state == CONNECTING && now_usec() + RETRY_USEC < when)
		when = now_usec() + RETRY_USEC;
	if (q->state != CLOSED && !q->pending && q->idle_usec != UINT64_MAX)
		when = q->idle_since + q->idle_usec;
	if (when == UINT64_MAX) {
		(void)sd_event_source_set_enabled(q->timer, SD_EVENT_OFF);
		return;
	}
	(void)sd_event_source_set_time(q->timer, when);
	(void)sd_event_source_set_enabled(q->timer, SD_EVENT_ONESHOT);
}

int lu_qmp_new(struct lu_qmp **ret, sd_event *event, const char *label, const char *path)
{
	struct lu_qmp *q = calloc(1, sizeof(*q));
	int r = -ENOMEM;

	if (!q)
		return -ENOMEM;
	q->refs = 1;
	q->fd = -EBADF;
	q->next_id = 1;
	q->idle_usec = IDLE_USEC;
	q->event = sd_event_ref(event);
	q->label = strdup(label);
	q->path = strdup(path);
	if (!q->label || !q->path)
		goto fail;
	r = sd_event_add_time(event, &q->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, q);
	if (r < 0)
		goto fail;
	r = sd_event_source_set_enabled(q->timer, SD_EVENT_OFF);
	if (r < 0)
		goto fail;
	r = sd_event_add_defer(event, &q->defer, on_defer, q);
	if (r < 0)
		goto fail;
	r = sd_event_source_set_enabled(q->defer, SD_EVENT_OFF);
	if (r < 0)
		goto fail;
	*ret = q;
	return 0;
fail:
	client_unref(q);
	return r;
}

void lu_qmp_free(struct lu_qmp *q)
{
	if (!q)
		return;
	q->freed = true;
	connection_close(q);
	commands_free(&q->pending);
	commands_free(&q->failed);
	q->timer = sd_event_source_disable_unref(q->timer);
	q->defer = sd_event_source_disable_unref(q->defer);
	client_unref(q);
}

void lu_qmp_set_event_handler(struct lu_qmp *q, lu_qmp_event_t handler, void *userdata)
{
	q->on_event = handler;
	q->on_event_userdata = userdata;
}

void lu_qmp_set_idle(struct lu_qmp *q, uint64_t usec)
{
	q->idle_usec = usec;
	arm(q);
}

/*
 * Has the peer gone while nothing was asked? Then the next command shall connect anew rather than fail. What it has
 * said before it went, which can be events only, is listened to.
 */
static void drop_if_dead(struct lu_qmp *q)
{
	struct pollfd p = { .fd = q->fd, .events = POLLRDHUP };
	HOLD(q);

	if (q->state != READY || q->pending || poll(&p, 1, 0) != 1)
		return;
	while (q->fd == p.fd && !q->freed) {
		char buf[4096];
		ssize_t n = recv(p.fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n <= 0 || lu_wire_push(q->wire, buf, (size_t)n) < 0)
			break;
		drain(q);
	}
	if (q->fd == p.fd)
		connection_close(q);
}

int lu_qmp_command(struct lu_qmp *q, const char *name, struct json_object *args, const int *fds, size_t n_fds,
		   uint64_t timeout_usec, lu_qmp_reply_t callback, void *userdata)
{
	struct command *c, **tail;

	if (timeout_usec == 0 || n_fds > LU_QMP_FDS_MAX)
		return -EINVAL;
	drop_if_dead(q);
	c = command_new(q, name, args);
	if (!c)
		return -ENOMEM;
	for (size_t i = 0; i < n_fds; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);

		if (fd < 0) {
			int r = -errno;

			command_free(c);
			return r;
		}
		c->fds[c->n_fds++] = fd;
	}
	c->callback = callback;
	c->userdata = userdata;
	c->deadline = timeout_usec == UINT64_MAX ? UINT64_MAX : now_usec() + timeout_usec;
	for (tail = &q->pending; *tail; tail = &(*tail)->next)
		;
	*tail = c;
	if (q->state == CLOSED)
		try_connect(q);
	else if (q->state == READY)
		send_pending(q);
	arm(q);
	return 0;
}

void lu_qmp_forget(struct lu_qmp *q, void *userdata)
{
	for (struct command *c = q->pending; c; c = c->next)
		if (c->userdata == userdata)
			c->callback = NULL;
	for (struct command *c = q->failed; c; c = c->next)
		if (c->userdata == userdata)
			c->callback = NULL;
}

void lu_qmp_close(struct lu_qmp *q)
{
	fail(q, -ECANCELED, NULL, "closed by us");
}

bool lu_qmp_connected(const struct lu_qmp *q)
{
	return q->state == READY;
}

int lu_qmp_peer(const struct lu_qmp *q, struct ucred *ret)
{
	if (q->state < GREETING)
		return -ENOTCONN;
	*ret = q->peer;
	return 0;
}

const char *lu_qmp_version(const struct lu_qmp *q)
{
	return q->version;
}
