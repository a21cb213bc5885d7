/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Guests of libvirt on the same host. They can't be carried over, so an update must know of them: it would end
 * them with this kernel, or stop them on its way. Read from files, without asking libvirt: its
 * daemon may be down while its guests run.
 */
#include <sys/types.h>

#include "error.h"

struct lu_domain {
	char *name;
	pid_t pid; /* of its QEMU; 0: not known */
};

struct lu_domains {
	struct lu_domain *list;
	size_t n;
};

#define LU_DOMAINS_INIT \
	{               \
		0       \
	}

/**
 * lu_domains_read() - the domains that run
 * @root_fd: directory that /run, /proc and /sys are looked for in, or AT_FDCWD: the host's
 *
 * Return: 0, also without libvirt, or a negative errno.
 */
int lu_domains_read(int root_fd, struct lu_domains *ret);
void lu_domains_clear(struct lu_domains *d);
