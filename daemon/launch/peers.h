/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Who is at the other end of the Unix sockets that a process has connected to: the processes of this host that its guest
 * needs. The process decides, not its command line: what was plugged in later counts, too.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** struct lu_peer - a process that serves @path; @pid 0: nobody was found there */
struct lu_peer {
	char *path;
	pid_t pid;
};

struct lu_peers {
	struct lu_peer *list;
	size_t n;
};

void lu_peers_clear(struct lu_peers *p);

/**
 * lu_peers_find() - whom process @pid is connected to by Unix sockets with a name
 *
 * Not those who have connected to it. A server is told by the kernel (SO_PEERCRED of a copy of the socket), or, where that one
 * has handed the socket on or has ended (a daemon that forks, activation by systemd), by who has it open now.
 *
 * Return: 0; -ESRCH if the process is gone; -EPERM without the right to look into it.
 */
int lu_peers_find(int proc_fd, pid_t pid, struct lu_peers *ret);

/** lu_peers_server() - of @p, who serves @path; 0: nobody, or several */
pid_t lu_peers_server(const struct lu_peers *p, const char *path);

/** lu_peers_at() - who has the socket @path open (its words as they were bound), whether or not anybody is connected */
int lu_peers_at(int proc_fd, const char *path, struct lu_peers *ret);

/** lu_peers_listens() - does anybody listen at @path (its words as they were bound)? Asks nobody; 1, 0 or a negative errno */
int lu_peers_listens(int proc_fd, const char *path);

/** lu_peers_unit() - the unit of systemd's that a process is in (a service or scope of the system's); free() it; NULL: none */
char *lu_peers_unit(int proc_fd, pid_t pid);
