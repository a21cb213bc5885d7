// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See transfer.h. The two sockets one after the other:
 *
 *	cpr: accept → receive to the end → parse → have it kept → close (QEMU waits for this)
 *	main: accept → receive to the end, into the state file
 *
 * The sockets' directory is root's and stays so: QEMU's user may go through it (mode 0711) and connect to what is
 * his in it (0600), but nobody but root names, removes or replaces anything there. So what root binds and then gives away
 * by its name is what it bound.
 *
 * Whatever goes wrong closes everything, which QEMU notices and calls a failed
 * migration; the guest stays with it. The error is told by lu_transfer_done().
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "json.h"
#include "transfer.h"

#define PIECE 65536 /* what a pipe holds */

enum {
	CPR,
	MAIN,
	SOCKETS
};

static const char *const names[SOCKETS] = { "cpr", "main" };

struct socket {
	struct lu_transfer *transfer;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	sd_event_source *source; /* of the listening socket, then of the connection; owns its fd */
	bool done;
};

struct lu_transfer {
	char *dir;
	pid_t pid;
	struct socket sockets[SOCKETS];
	struct lu_cpr_receiver receiver;
	struct lu_cpr cpr;
	struct lu_transfer_keeper keeper;
	int state_fd, pipe[2];
	struct lu_error error;
};

static void give_up(struct lu_transfer *t, int r, const char *what)
{
	if (!t->error.code)
		lu_error_set(&t->error, r, NULL, "%s: %s", what, strerror(-r));
	for (int i = 0; i < SOCKETS; i++) {
		/* who else keeps it must not keep QEMU waiting */
		if (t->sockets[i].source)
			(void)shutdown(sd_event_source_get_io_fd(t->sockets[i].source), SHUT_RDWR);
		t->sockets[i].source = sd_event_source_disable_unref(t->sockets[i].source);
	}
}

static void end(struct socket *s)
{
	s->done = true;
	s->source = sd_event_source_disable_unref(s->source);
}

static void keep(struct lu_transfer *t, enum lu_transfer_fd which, int fd)
{
	if (t->keeper.keep)
		t->keeper.keep(t->keeper.context, which, fd);
}

/* The socket last: QEMU can connect to it from then on without us, and must not before the rest is safe. */
static int keep_all(struct lu_transfer *t)
{
	int r = t->keeper.cpr ? t->keeper.cpr(t->keeper.context, &t->error) : 0;

	if (r < 0)
		return r;
	keep(t, LU_TRANSFER_STATE, t->state_fd);
	keep(t, LU_TRANSFER_OUT, t->pipe[0]);
	keep(t, LU_TRANSFER_IN, t->pipe[1]);
	keep(t, LU_TRANSFER_LISTEN, sd_event_source_get_io_fd(t->sockets[MAIN].source));
	return 0;
}

static int on_cpr(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct socket *s = userdata;
	struct lu_transfer *t = s->transfer;
	int r;

	r = lu_cpr_receive_some(fd, &t->receiver, &t->error);
	if (r > 0)
		r = lu_cpr_parse(t->receiver.data, t->receiver.len, t->receiver.fds, t->receiver.n_fds, &t->cpr, &t->error) ?:
			    1;
	if (r > 0) {
		s->done = true;
		r = keep_all(t) ?: 1;
	}
	if (r < 0)
		give_up(t, r, "QEMU's CPR state");
	else if (r > 0)
		end(s);
	return 0;
}

/* What is in the pipe goes into the file. */
static int drain(struct lu_transfer *t)
{
	ssize_t n;

	do
		n = splice(t->pipe[0], NULL, t->state_fd, NULL, PIECE, SPLICE_F_NONBLOCK);
	while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0 && errno != EAGAIN)
		return -errno;
	return lseek(t->state_fd, 0, SEEK_CUR) > LU_TRANSFER_ROOM ? -EFBIG : 0;
}

static int on_main(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct socket *s = userdata;
	struct lu_transfer *t = s->transfer;
	ssize_t n;
	int r;

	r = drain(t); /* of a process that died */
	n = r < 0 ? r : splice(fd, NULL, t->pipe[1], NULL, PIECE, SPLICE_F_NONBLOCK);
	if (r >= 0 && n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (r >= 0)
		r = n < 0 ? -errno : drain(t);
	if (r >= 0 && n == 0 && ftruncate(t->state_fd, lseek(t->state_fd, 0, SEEK_CUR)) < 0)
		r = -errno;
	if (r < 0)
		give_up(t, r, "QEMU's device state");
	else if (n == 0)
		end(s);
	return 0;
}

static int on_connect(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct socket *s = userdata;
	struct lu_transfer *t = s->transfer;
	_cleanup_close_ int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	socklen_t len = sizeof(struct ucred);
	sd_event_source *next = NULL;
	struct ucred peer;
	int r;

	if (conn < 0 || getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return 0;
	if (t->pid && peer.pid != t->pid)
		return 0; /* somebody else of the same user */
	r = sd_event_add_io(sd_event_source_get_event(source), &next, conn, EPOLLIN, s == t->sockets ? on_cpr : on_main,
			    s);
	if (r >= 0)
		r = sd_event_source_set_io_fd_own(next, true);
	if (r < 0) {
		sd_event_source_unref(next);
		give_up(t, r, s->path);
		return 0;
	}
	if (s == &t->sockets[MAIN] && t->sockets[CPR].done)
		keep(t, LU_TRANSFER_MAIN, conn);
	(void)steal_fd(&conn);
	/* one connection only: the listening socket goes */
	sd_event_source_disable_unref(s->source);
	s->source = next;
	return 0;
}

/* The directory is ours, and nobody else gets in yet. */
static int listen_at(struct lu_transfer *t, sd_event *event, int dir_fd, int i, uid_t uid, gid_t gid)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct socket *s = &t->sockets[i];
	int r;

	strcpy(sa.sun_path, s->path);
	if (fd < 0 || (unlinkat(dir_fd, names[i], 0) < 0 && errno != ENOENT) ||
	    bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || fchmodat(dir_fd, names[i], 0600, 0) < 0 ||
	    fchownat(dir_fd, names[i], uid, gid, AT_SYMLINK_NOFOLLOW) < 0 || listen(fd, 1) < 0)
		return -errno;
	r = sd_event_add_io(event, &s->source, fd, EPOLLIN, on_connect, s);
	if (r >= 0)
		r = sd_event_source_set_io_fd_own(s->source, true);
	if (r >= 0)
		(void)steal_fd(&fd);
	return r;
}

/* One that is there already may be somebody else's: taken from him before anything is done in it. */
static int open_dir(const char *dir)
{
	_cleanup_close_ int fd = -EBADF;
	int r = lu_mkdir_p(AT_FDCWD, dir, 0711);

	if (r < 0)
		return r;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, 0700) < 0 || fchown(fd, geteuid(), getegid()) < 0)
		return -errno;
	return steal_fd(&fd);
}

static int transfer_new(struct lu_transfer **ret, const char *dir, pid_t pid)
{
	_cleanup_(lu_transfer_freep) struct lu_transfer *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->pid = pid;
	t->state_fd = t->pipe[0] = t->pipe[1] = -EBADF;
	t->dir = strdup(dir);
	if (!t->dir)
		return -ENOMEM;
	for (int i = 0; i < SOCKETS; i++) {
		struct socket *s = &t->sockets[i];

		s->transfer = t;
		if (snprintf(s->path, sizeof(s->path), "%s/%s", dir, names[i]) >= (int)sizeof(s->path))
			return -ENAMETOOLONG;
	}
	*ret = steal_ptr(t);
	return 0;
}

int lu_transfer_new(struct lu_transfer **ret, sd_event *event, const char *dir, uid_t uid, gid_t gid, pid_t pid,
		    int state_fd, const struct lu_transfer_keeper *keeper, struct lu_error *e)
{
	_cleanup_(lu_transfer_freep) struct lu_transfer *t = NULL;
	_cleanup_close_ int dir_fd = -EBADF;
	int r = transfer_new(&t, dir, pid);

	if (r >= 0) {
		t->keeper = keeper ? *keeper : t->keeper;
		t->state_fd = fcntl(state_fd, F_DUPFD_CLOEXEC, 3);
		r = t->state_fd < 0 || pipe2(t->pipe, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
	}
	if (r >= 0)
		r = dir_fd = open_dir(dir);
	for (int i = 0; r >= 0 && i < SOCKETS; i++)
		r = listen_at(t, event, dir_fd, i, uid, gid);
	if (r >= 0 && fchmod(dir_fd, 0711) < 0)
		r = -errno;
	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: %s", dir, strerror(-r));
	*ret = steal_ptr(t);
	return 0;
}

int lu_transfer_resume(struct lu_transfer **ret, sd_event *event, const char *dir, pid_t pid,
		       int fds[static LU_TRANSFER_FDS], struct lu_error *e)
{
	_cleanup_(lu_transfer_freep) struct lu_transfer *t = NULL;
	bool connected = fds[LU_TRANSFER_MAIN] >= 0;
	int r = transfer_new(&t, dir, pid);

	if (r >= 0 && (fds[LU_TRANSFER_STATE] < 0 || fds[LU_TRANSFER_OUT] < 0 || fds[LU_TRANSFER_IN] < 0))
		r = -EBADF;
	if (r >= 0) {
		struct socket *s = &t->sockets[MAIN];

		t->sockets[CPR].done = true;
		r = sd_event_add_io(event, &s->source, fds[connected ? LU_TRANSFER_MAIN : LU_TRANSFER_LISTEN], EPOLLIN,
				    connected ? on_main : on_connect, s);
	}
	if (r < 0)
		return lu_error_set(e, r, NULL, "what was kept of QEMU's device state: %s", strerror(-r));
	(void)sd_event_source_set_io_fd_own(t->sockets[MAIN].source, true);
	if (connected)
		closep(&fds[LU_TRANSFER_LISTEN]);
	t->state_fd = fds[LU_TRANSFER_STATE];
	t->pipe[0] = fds[LU_TRANSFER_OUT];
	t->pipe[1] = fds[LU_TRANSFER_IN];
	for (int i = 0; i < LU_TRANSFER_FDS; i++)
		fds[i] = -EBADF;
	*ret = steal_ptr(t);
	return 0;
}

static struct json_object *channel(const struct socket *s, const char *type)
{
	struct json_object *o = json_object_new_object(), *addr = json_object_new_object();

	if (!o || !addr || lu_json_add_string(addr, "transport", "socket") < 0 ||
	    lu_json_add_string(addr, "type", "unix") < 0 || lu_json_add_string(addr, "path", s->path) < 0 ||
	    lu_json_add_string(o, "channel-type", type) < 0) {
		json_object_put(addr);
		json_object_put(o);
		return NULL;
	}
	if (lu_json_add(o, "addr", addr) < 0) {
		json_object_put(o);
		return NULL;
	}
	return o;
}

struct json_object *lu_transfer_args(const struct lu_transfer *t)
{
	struct json_object *args = json_object_new_object(), *list = json_object_new_array();

	for (int i = SOCKETS - 1; args && list && i >= 0; i--) {
		struct json_object *o = channel(&t->sockets[i], names[i]);

		if (!o || json_object_array_add(list, o) < 0) {
			json_object_put(o);
			json_object_put(list);
			list = NULL;
		}
	}
	if (!args || !list) {
		json_object_put(list);
		json_object_put(args);
		return NULL;
	}
	if (lu_json_add(args, "channels", list) < 0) {
		json_object_put(args);
		return NULL;
	}
	return args;
}

int lu_transfer_done(struct lu_transfer *t, struct lu_error *e)
{
	if (t->error.code)
		return lu_error_set(e, t->error.code, t->error.hint, "%s", t->error.what);
	return t->sockets[CPR].done && t->sockets[MAIN].done;
}

struct lu_cpr *lu_transfer_cpr(struct lu_transfer *t)
{
	return t->sockets[CPR].done ? &t->cpr : NULL;
}

void lu_transfer_free(struct lu_transfer *t)
{
	if (!t)
		return;
	for (int i = 0; i < SOCKETS; i++) {
		sd_event_source_disable_unref(t->sockets[i].source);
		if (t->sockets[i].path[0])
			(void)unlink(t->sockets[i].path);
	}
	lu_cpr_receiver_clear(&t->receiver);
	lu_cpr_clear(&t->cpr);
	closep(&t->state_fd);
	closep(&t->pipe[0]);
	closep(&t->pipe[1]);
	lu_error_clear(&t->error);
	if (t->dir)
		(void)rmdir(t->dir);
	free(t->dir);
	free(t);
}
