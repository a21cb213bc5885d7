// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "state.h"
#include "util.h"

static const char *const names[] = {
	[LU_STATE_IDLE] = "idle",           [LU_STATE_CHECKING] = "checking",   [LU_STATE_LOADING] = "loading",
	[LU_STATE_PREPARING] = "preparing", [LU_STATE_PAUSING] = "pausing",     [LU_STATE_SAVING] = "saving",
	[LU_STATE_SEALING] = "sealing",     [LU_STATE_JUMP] = "jump",           [LU_STATE_BOOTED] = "booted",
	[LU_STATE_ADOPTING] = "adopting",   [LU_STATE_RESTORING] = "restoring", [LU_STATE_RESUMING] = "resuming",
	[LU_STATE_FINISHING] = "finishing", [LU_STATE_DONE] = "done",           [LU_STATE_ABORTING] = "aborting",
	[LU_STATE_ABORTED] = "aborted",     [LU_STATE_DEGRADED] = "degraded",   [LU_STATE_EXAMINING] = "examining",
	[LU_STATE_REPLACING] = "replacing",
};
_Static_assert(ARRAY_SIZE(names) == LU_STATE_MAX, "every state has a name");

static const char *const event_names[] = {
	[LU_EVENT_NONE] = "none",       [LU_EVENT_START] = "start",         [LU_EVENT_OK] = "ok",
	[LU_EVENT_FAILED] = "failed",   [LU_EVENT_TIMEOUT] = "timeout",     [LU_EVENT_CANCEL] = "cancel",
	[LU_EVENT_RECOVER] = "recover", [LU_EVENT_START_VMM] = "start-vmm",
};
_Static_assert(ARRAY_SIZE(event_names) == LU_EVENT_MAX, "every event has a name");

const char *lu_event_name(unsigned int event)
{
	return event < LU_EVENT_MAX ? event_names[event] : NULL;
}

const char *lu_state_name(unsigned int state)
{
	return state < LU_STATE_MAX ? names[state] : NULL;
}

int lu_state_from_name(const char *name)
{
	for (int i = 0; i < LU_STATE_MAX; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -ENOENT;
}

bool lu_state_is_rest(unsigned int state)
{
	return state == LU_STATE_IDLE || state == LU_STATE_DONE || state == LU_STATE_ABORTED ||
	       state == LU_STATE_DEGRADED;
}
