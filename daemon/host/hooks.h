/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Executables of the administrator in /etc/luctl/hooks.d, called with the name
 * of the state that is entered, the update's id and, in a rehearsal, the word rehearsal. A hook that fails before
 * the jump aborts the update. They run as services of their own, with all rights.
 * From `pausing` to `jump` their time is blackout.
 */
#include "worker.h"

#define LU_HOOKS_DIR "/etc/luctl/hooks.d"

/** lu_hooks_present() - is there any hook? */
bool lu_hooks_present(void);

/**
 * lu_hooks_run() - run all hooks in the order of their names, until one fails; asynchronous
 * @kind: a third argument for them; NULL: none
 */
int lu_hooks_run(sd_event *event, const char *state, const char *id, const char *kind, uint64_t timeout_usec,
		 lu_worker_done_t done, void *userdata, struct lu_worker **ret);
