/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* machined knows each domain of libvirt as a machine in a scope of its own; in a new kernel it has to be told again. */
#include <systemd/sd-bus.h>

#include "unit-limits.h"
#include "worker.h"

struct lu_machines;

int lu_machines_new(sd_bus *bus, struct lu_machines **ret);
struct lu_machines *lu_machines_free(struct lu_machines *s);

/**
 * lu_machines_make() - have machined know the guest again, as libvirt had told it; failures are logged
 * @cgroup: the control group that its QEMU was in, "/machine.slice/machine-qemu\x2d1\x2dweb.scope/libvirt/emulator"
 * @limits: what systemd held it to (libvirt sets cpu_shares and the weight of I/O by systemd)
 * @wait: until it does; to be asked for when no guest stands still
 *
 * Nothing is done for a group that is none of machined's, nor if the process is in its scope.
 */
void lu_machines_make(struct lu_machines *s, const char *cgroup, const char *uuid, pid_t pid,
		      const struct lu_limits *limits, bool wait);

/** lu_machines_wait() - until each that was asked for is there, or will not be: 1 at once, or 0 and @done is called */
int lu_machines_wait(struct lu_machines *s, lu_worker_done_t done, void *userdata);

/** lu_machines_cancel() - whoever waits is not told any more */
void lu_machines_cancel(struct lu_machines *s);

/** lu_machine_name() - "qemu-1-web" of that group; free() it. NULL if it is none of machined's */
char *lu_machine_name(const char *cgroup);
