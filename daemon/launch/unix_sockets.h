/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The kernel's table of Unix sockets that have a path (/proc/PID/net/unix), read once for all questions of one look. */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct lu_unix_socket {
	unsigned long inode;
	unsigned long type; /* SOCK_STREAM, … */
	bool listens;
	const char *path; /* as it was bound, in the table's text */
};

struct lu_unix_sockets {
	char *text;
	struct lu_unix_socket *list;
	size_t n;
};

void lu_unix_sockets_clear(struct lu_unix_sockets *s);

/**
 * lu_unix_sockets_read() - the table of the network namespace of process @pid, 0: of ours
 *
 * Sockets that a listener has accepted have its path, too. Return: 0; -ESRCH if the process is gone; or a negative errno.
 */
int lu_unix_sockets_read(int proc_fd, pid_t pid, struct lu_unix_sockets *ret);
