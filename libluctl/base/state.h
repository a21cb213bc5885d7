/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The states of an update and the events between them. The numbers are part of the journal's and the trace's
 * format: a number is never used again for something else, new ones go to the end.
 * What each state does and where it leads: daemon/engine/table.c.
 */
#include <stdbool.h>

enum lu_state {
	LU_STATE_IDLE = 0,
	LU_STATE_CHECKING = 1,
	LU_STATE_LOADING = 2,
	LU_STATE_PREPARING = 3,
	LU_STATE_PAUSING = 4,
	LU_STATE_SAVING = 5,
	LU_STATE_SEALING = 6,
	LU_STATE_JUMP = 7,   /* last state of the old kernel */
	LU_STATE_BOOTED = 8, /* first state of the new kernel */
	LU_STATE_ADOPTING = 9,
	LU_STATE_RESTORING = 10,
	LU_STATE_RESUMING = 11,
	LU_STATE_FINISHING = 12,
	LU_STATE_DONE = 13,
	LU_STATE_ABORTING = 14,
	LU_STATE_ABORTED = 15,
	LU_STATE_DEGRADED = 16,
	LU_STATE_EXAMINING = 17, /* first state of an update of QEMU in the same kernel */
	LU_STATE_REPLACING = 18, /* its second and last */
	LU_STATE_MAX
};

/* What makes an update change its state; numbers as above. */
enum lu_event {
	LU_EVENT_NONE = 0,
	LU_EVENT_START = 1,     /* an update was asked for */
	LU_EVENT_OK = 2,        /* the state's effect is complete */
	LU_EVENT_FAILED = 3,    /* it failed, or could not be started, or the state could not be committed */
	LU_EVENT_TIMEOUT = 4,   /* the state's time limit has passed */
	LU_EVENT_CANCEL = 5,    /* somebody wants it to end */
	LU_EVENT_RECOVER = 6,   /* a daemon, or lu-init, found the update half done */
	LU_EVENT_START_VMM = 7, /* an update of QEMU in this kernel was asked for */
	LU_EVENT_MAX
};

/** lu_event_name() - "start", "ok", …; NULL for a number that is none of ours */
const char *lu_event_name(unsigned int event);

/** lu_state_name() - "idle", "checking", …; NULL for a number that is none of ours */
const char *lu_state_name(unsigned int state);

/** lu_state_from_name() - the reverse; -ENOENT if there is no such state */
int lu_state_from_name(const char *name);

/** lu_state_is_rest() - does nothing happen in it: idle, done, aborted, degraded? */
bool lu_state_is_rest(unsigned int state);
