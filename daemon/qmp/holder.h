/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Who is served at a monitor while others wait in its backlog. */
#include <sys/types.h>

/** struct lu_qmp_client - a process that is connected to a monitor; @name is for a line on a terminal */
struct lu_qmp_client {
	pid_t pid;
	char name[32];
};

/**
 * lu_qmp_holder() - another process that is connected to the socket @path, and was accepted
 *
 * Looks into /proc, and needs the right to take descriptors of whoever listens there (pidfd_getfd).
 *
 * Return: 1 with @ret, 0 if there is none or it can't be told, or a negative errno.
 */
int lu_qmp_holder(const char *path, struct lu_qmp_client *ret);
