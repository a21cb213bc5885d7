/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A trial jump: luctl-trial (daemon/trial) in a service of its own, since QEMU and the host's disks have no place in
 * the daemon's sandbox.
 */
#include "worker.h"

/* What the callback gets for luctl-trial's exit codes; what else is negative is as if it could not be tried */
#define LU_TRIAL_TARGET (-ENOEXEC)
#define LU_TRIAL_CANT (-EOPNOTSUPP)
#define LU_TRIAL_PARTLY (-EXDEV)

#define LU_TRIAL_FOLDER "/var/lib/luctl/trials" /* what went well is remembered there */
#define LU_TRIAL_UNIT "luctl-trial-"            /* names of its services begin so */

/**
 * struct lu_trial_ask - what to try
 * @running: path of the running kernel's image
 * @usec: how long it may take; on a host it takes ten to twenty seconds. It may be made twice
 * @kernel_fd, @initrd_fd: open files of ours; @initrd_fd 0: @initrd is a path, or NULL for none
 */
struct lu_trial_ask {
	const char *running;
	uint64_t usec;
	int kernel_fd, initrd_fd;
	const char *initrd;
	const char *cmdline;
};

/** lu_trial_start() - asynchronous; 0 goes to @done if the target came up, now or in an earlier trial */
int lu_trial_start(sd_event *event, const struct lu_trial_ask *ask, lu_worker_done_t done, void *userdata,
		   struct lu_worker **ret);
