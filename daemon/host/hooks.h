/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Executables of the administrator in /etc/luctl/hooks.d, called with the name
 * of the state that is entered and the update's id. A hook that fails before
 * the jump aborts the update. They run as services of their own, with all rights.
 * From `pausing` to `jump` their time is blackout.
 */
#include "worker.h"

#define LU_HOOKS_DIR "/etc/luctl/hooks.d"

/** lu_hooks_present() - is there any hook? */
bool lu_hooks_present(void);

/** lu_hooks_run() - run all hooks in the order of their names, until one fails; asynchronous */
int lu_hooks_run(sd_event *event, const char *state, const char *id, uint64_t timeout_usec, lu_worker_done_t done,
		 void *userdata, struct lu_worker **ret);
