/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * vm/<uuid>/limits.json (schema limits): what systemd holds a VM's process to, by the properties of its unit. The process
 * that goes on with the guest, in this kernel or the next, gets a scope with the same.
 *
 * Taken over are those properties that a scope admits and that are not at their default (the table in unit-limits.c). What a
 * unit has beyond that and that would be missed is told by name.
 */
#include <systemd/sd-bus.h>

#include "json.h"

/** struct lu_limit - one property; a list of pairs ("/dev/kvm", "rw") stands in @words one after the other */
struct lu_limit {
	char *name;
	uint64_t number; /* of a property that is one; UINT64_MAX: infinity */
	char **words;    /* of others: a text, CPUs as "0-3,8", pairs; NULL: it is a number */
};

struct lu_limits {
	char *unit; /* where they come from */
	struct lu_limit *list;
	size_t n;
};

/**
 * lu_limits_ask() - what systemd says of the unit of a process; waits for the answer
 * @ret_lost: names of properties that are set and can't be taken over, NULL-terminated; free each and the list
 */
int lu_limits_ask(sd_bus *bus, pid_t pid, uint64_t timeout_usec, struct lu_limits *ret, char ***ret_lost,
		  struct lu_error *e);

/**
 * lu_limits_name_disks() - call disks by names that hold in the next kernel (disk-names.h), in which sda may be another one
 * @root_fd: directory that /dev and /sys are looked for in, or AT_FDCWD: the host's
 * @lost: "IOReadBandwidthMax=/dev/loop0" of each that has none, and is left out, goes there, too
 *
 * Return: 0 or -ENOMEM.
 */
int lu_limits_name_disks(int root_fd, struct lu_limits *l, char ***lost);

/** lu_limits_find_disks() - there: leave out, and tell, those whose name nobody has */
int lu_limits_find_disks(int root_fd, struct lu_limits *l, char ***lost);

/** lu_limits_append() - to the properties of a unit to be made, in the open array of a message */
int lu_limits_append(const struct lu_limits *l, sd_bus_message *m);

/** lu_limits_read() - of a VM's directory; -ENOENT if there are none */
int lu_limits_read(int dir_fd, struct lu_limits *ret, struct lu_error *e);
int lu_limits_write(int dir_fd, const struct lu_limits *l, struct lu_error *e);

/** lu_limits_soften() - leave out what a scope of an older systemd does not know (who is ended when memory is short); was there any? */
bool lu_limits_soften(struct lu_limits *l);

int lu_limits_copy(const struct lu_limits *l, struct lu_limits *ret);
void lu_limits_clear(struct lu_limits *l);
