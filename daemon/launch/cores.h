/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Core scheduling: threads with the same cookie may run beside one another on the hardware threads of a core, those
 * with another one, or none, may not (Documentation/admin-guide/hw-vuln/core-scheduling.rst in the kernel). Guests are
 * kept apart by it: sched_core in libvirt's qemu.conf, coresched(1). A cookie has no name by which the next kernel could
 * give the same one: each process gets one of its own there, in place of whatever it shared with other processes.
 *
 * A kernel without CONFIG_SCHED_CORE answers EINVAL, one that sees no hardware threads ENODEV.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** lu_cores_apart() - no two threads share a core: this kernel sees no hardware threads */
bool lu_cores_apart(void);

/** lu_cores_get() - the cookie of a thread, 0: none, also where there are no cookies; 0 or negative errno */
int lu_cores_get(pid_t tid, uint64_t *ret);

/** lu_cores_own() - a cookie of its own for the caller, which its threads and what it executes have, too; 0 or negative errno */
int lu_cores_own(void);

/**
 * lu_cores_share() - one cookie, which nobody else has, for these threads
 *
 * Return: 0, or a negative errno: then some of them may have it.
 */
int lu_cores_share(const pid_t *tids, size_t n);
