// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A keeper is what remains of a failed restore of a VM with passed-through devices: a process that
 * holds their descriptors, because a device whose descriptor is closed is stopped, and the lock on the
 * VM. `lu-init --restore UUID` finds it by its socket, RUN/keeper-UUID, and has it try again.
 *
 *	connect → one byte → the keeper tries again → it answers with the error (first what, then the hint on
 *	a line of its own), or with nothing if the guest runs, and closes
 *
 * Who only wants to know whether there is a keeper, and which process it is, connects and closes.
 * It ends when the guest runs. Killing it gives the devices up. So it must not share the fate of the unit
 * that it was started in, which ends with the restore: the exit code LU_INIT_KEPT keeps systemd from clearing that
 * unit away, and luctld then moves the keeper to luctl-keeper-UUID.scope.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "clock.h"
#include "lu-init.h"

static int address(const struct lu_init *i, const char *uuid, struct sockaddr_un *sa)
{
	*sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return snprintf(sa->sun_path, sizeof(sa->sun_path), "%s/keeper-%s", i->run, uuid) < (int)sizeof(sa->sun_path) ?
		       0 :
		       -ENAMETOOLONG;
}

int lu_keeper_ask(const struct lu_init *i, const char *uuid, struct lu_error *e)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa;
	char text[8192];
	size_t size = 0;
	char *hint;
	int r;

	r = fd < 0 ? -errno : address(i, uuid, &sa);
	if (r < 0)
		return r;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return errno == ENOENT || errno == ECONNREFUSED ? 0 : -errno;
	if (send(fd, "", 1, MSG_NOSIGNAL) < 0)
		return -errno;
	while (size < sizeof(text) - 1) {
		ssize_t n;

		if (poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, (int)LU_INIT_TOTAL_MS) != 1)
			return lu_error_set(e, -ETIMEDOUT, NULL, "the process that keeps its devices does not answer");
		n = read(fd, text + size, sizeof(text) - 1 - size);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		size += (size_t)n;
	}
	text[size] = '\0';
	if (size == 0)
		return 1;
	hint = strchr(text, '\n');
	if (hint)
		*hint++ = '\0';
	if (hint)
		hint[strcspn(hint, "\n")] = '\0';
	return lu_error_set(e, -EIO, hint && *hint ? hint : NULL, "%s", text);
}

static void serve(int listening, lu_keeper_try_t try, void *context)
{
	for (;;) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		_cleanup_close_ int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
		char byte;
		int r;

		if (fd < 0) {
			if (errno != EINTR && errno != ECONNABORTED)
				return;
			continue;
		}
		/* whoever has nothing to say shall not keep others waiting */
		if (poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 1000) != 1 || read(fd, &byte, 1) != 1)
			continue;
		r = try(context, &e);
		if (r < 0)
			dprintf(fd, "%s\n%s\n", e.what ?: strerror(-r), e.hint ?: "");
		else
			return;
	}
}

bool lu_keeper_start(const struct lu_init *i, const char *uuid, lu_keeper_try_t try, void *context)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ready[2] = { -EBADF, -EBADF };
	struct sockaddr_un sa;
	bool kept;
	mode_t mask;
	pid_t pid;
	char byte;
	int r;

	r = fd < 0 ? -errno : address(i, uuid, &sa);
	if (r >= 0) {
		(void)unlink(sa.sun_path);
		mask = umask(0177);
		if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 4) < 0)
			r = -errno;
		(void)umask(mask);
	}
	if (r < 0) {
		lu_log(i, "its devices can't be kept, so they stop: %s", strerror(-r));
		return false;
	}
	/* what it holds is the child's from now on: whoever waits for us sees us end */
	pid = pipe2(ready, O_CLOEXEC) < 0 ? -1 : fork();
	if (pid != 0) {
		/* by then who asks the socket whose it is gets the keeper's number, not ours */
		closep(&ready[1]);
		ready[1] = -EBADF;
		kept = pid > 0 && read(ready[0], &byte, 1) == 1;
		closep(&ready[0]);
		lu_log(i, kept ? "process %d keeps its devices" : "its devices can't be kept, so they stop", (int)pid);
		return kept;
	}
	(void)setsid();
	/* again: whoever connects is told the process that called it last */
	if (listen(fd, 4) < 0 || write(ready[1], "", 1) != 1)
		_exit(1);
	close(ready[0]);
	close(ready[1]);
	serve(fd, try, context);
	(void)unlink(sa.sun_path);
	_exit(0);
}
