// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table of states: what each means, what it does on entry, where it leads, how long
 * it may take, and what a daemon does that finds it in the journal. It is the
 * only place that says so; tests/lint compares ARCHITECTURE.md with it.
 *
 * Rules that the rows follow (a unit test checks them):
 *
 *  - Before the jump every failure, time-out and cancel leads to aborting, and only
 *    jump leads to the other kernel.
 *  - After it every failure leads forward: a VM that could not be adopted is
 *    restored, one that could not be restored stays saved, and finishing tells. There is
 *    no way back, so there is no cancel.
 *  - aborting is tried twice before it gives up: its effect is idempotent, and a guest
 *    left paused is the worst that can happen. If it fails for good the update ends
 *    degraded, not aborted: "aborted" promises that every guest runs on.
 *  - jump has no time limit: its effect is a system call that does not come back, but in a rehearsal.
 *  - A rehearsal goes the whole way but for the system call: its jump succeeds, and only then "ok" leads on, to undo.
 *    It rests in aborted, without an error: every guest runs on, as was asked for.
 *  - Replacing QEMU in the same kernel is two more rows, not a table of its own: it has a check
 *    before it, and undo, recovery and cancel are the very same, since to the
 *    undo it makes no difference why a guest was saved. The limit of replacing is for all VMs together; each
 *    operation on one has its own.
 *
 * Found in the journal, written by this boot: the daemon died, the kernel did not. Up to jump
 * the update is undone, after it the new kernel's part starts over (its effects are idempotent).
 * Written by another boot: after jump that is the plan. Before it the host went down by
 * itself; the guests are gone but for what was saved, so the update is degraded and
 * what was saved is kept for luctl restore. After booted the host went down again: the part
 * starts over and may only restore VMs that have not run since they were saved, which
 * their own records tell.
 */
#include "engine.h"

#define S(name) LU_STATE_##name
#define LEADS(_ok, _failed, _timeout, _cancel)                                                                    \
	.ok = S(_ok), .failed = S(_failed), .timeout = S(_timeout), .cancel = S(_cancel), .start = LU_STATE_NONE, \
	.start_vmm = LU_STATE_NONE
#define REST                                                                                           \
	.ok = S(NONE), .failed = S(NONE), .timeout = S(NONE), .cancel = S(NONE), .start = S(CHECKING), \
	.start_vmm = S(EXAMINING)
#define FOUND(_same, _other) .found_same = S(_same), .found_other = S(_other)

/* clang-format off: read as a table, also by tests/lint */
static const struct lu_state_row table[] = {
	{ S(IDLE), "no update since the journal was begun", LU_EFFECT_NONE, REST, FOUND(IDLE, IDLE) },

	{ S(CHECKING), "the target image and every VM are examined", LU_EFFECT_CHECK,
	  LEADS(LOADING, ABORTING, ABORTING, ABORTING), .limit_sec = 600, FOUND(ABORTING, DEGRADED) },
	{ S(LOADING), "the target kernel is loaded", LU_EFFECT_LOAD, LEADS(PREPARING, ABORTING, ABORTING, ABORTING),
	  .limit_sec = 120, FOUND(ABORTING, DEGRADED) },
	{ S(PREPARING), "all that needs no pause: records, settings, ordinary units stopped", LU_EFFECT_PREPARE,
	  LEADS(PAUSING, ABORTING, ABORTING, ABORTING), .limit_sec = 300, FOUND(ABORTING, DEGRADED) },
	{ S(PAUSING), "guests are being paused: the blackout begins", LU_EFFECT_PAUSE,
	  LEADS(SAVING, ABORTING, ABORTING, ABORTING), .limit_sec = 30, FOUND(ABORTING, DEGRADED) },
	{ S(SAVING), "device state goes into pkernfs", LU_EFFECT_SAVE, LEADS(SEALING, ABORTING, ABORTING, ABORTING),
	  .limit_sec = 120, FOUND(ABORTING, DEGRADED) },
	{ S(SEALING), "the host's file systems are made clean", LU_EFFECT_SEAL,
	  LEADS(JUMP, ABORTING, ABORTING, ABORTING), .limit_sec = 30, FOUND(ABORTING, DEGRADED) },
	{ S(JUMP), "the reboot call: the point of no return", LU_EFFECT_JUMP, LEADS(ABORTING, ABORTING, NONE, ABORTING),
	  .no_return = true, FOUND(ABORTING, BOOTED) },

	{ S(BOOTED), "the new kernel runs; what lu-init did is read", LU_EFFECT_REVIEW,
	  LEADS(ADOPTING, DEGRADED, DEGRADED, NONE), .limit_sec = 60, FOUND(BOOTED, BOOTED) },
	{ S(ADOPTING), "VMs that run already are taken over", LU_EFFECT_ADOPT,
	  LEADS(RESTORING, RESTORING, RESTORING, NONE), .limit_sec = 60, FOUND(BOOTED, BOOTED) },
	{ S(RESTORING), "VMs that do not run yet are started and loaded", LU_EFFECT_RESTORE,
	  LEADS(RESUMING, RESUMING, RESUMING, NONE), .limit_sec = 300, FOUND(BOOTED, BOOTED) },
	{ S(RESUMING), "they go on", LU_EFFECT_RESUME, LEADS(FINISHING, FINISHING, FINISHING, NONE), .limit_sec = 60,
	  FOUND(BOOTED, BOOTED) },
	{ S(FINISHING), "the report is written, the update's files are removed", LU_EFFECT_FINISH,
	  LEADS(DONE, DEGRADED, DEGRADED, NONE), .limit_sec = 60, FOUND(BOOTED, BOOTED) },
	{ S(DONE), "the update succeeded, every VM runs", LU_EFFECT_NONE, REST, FOUND(DONE, DONE) },

	{ S(ABORTING), "everything is undone, the guests go on in the old kernel", LU_EFFECT_UNDO,
	  LEADS(ABORTED, DEGRADED, DEGRADED, NONE), .tries = 2, .limit_sec = 300, FOUND(ABORTING, DEGRADED) },
	{ S(ABORTED), "the update was undone, every VM runs on in the old kernel", LU_EFFECT_NONE, REST,
	  FOUND(ABORTED, ABORTED) },
	{ S(DEGRADED), "a VM is missing; what was saved of it is kept for luctl restore", LU_EFFECT_NONE, REST,
	  FOUND(DEGRADED, DEGRADED) },

	{ S(EXAMINING), "the VMs whose QEMU shall be replaced are examined", LU_EFFECT_EXAMINE,
	  LEADS(REPLACING, ABORTING, ABORTING, ABORTING), .limit_sec = 120, FOUND(ABORTING, DEGRADED) },
	{ S(REPLACING), "one VM after the other goes on in a new QEMU", LU_EFFECT_REPLACE,
	  LEADS(DONE, ABORTING, ABORTING, ABORTING), .limit_sec = 3600, FOUND(ABORTING, DEGRADED) },
};
/* clang-format on */
static_assert(ARRAY_SIZE(table) == LU_STATE_MAX, "every state has a row");

static const char *const effect_names[] = {
	[LU_EFFECT_NONE] = "none",       [LU_EFFECT_CHECK] = "check",     [LU_EFFECT_LOAD] = "load",
	[LU_EFFECT_PREPARE] = "prepare", [LU_EFFECT_PAUSE] = "pause",     [LU_EFFECT_SAVE] = "save",
	[LU_EFFECT_SEAL] = "seal",       [LU_EFFECT_JUMP] = "jump",       [LU_EFFECT_REVIEW] = "review",
	[LU_EFFECT_ADOPT] = "adopt",     [LU_EFFECT_RESTORE] = "restore", [LU_EFFECT_RESUME] = "resume",
	[LU_EFFECT_FINISH] = "finish",   [LU_EFFECT_EXAMINE] = "examine", [LU_EFFECT_REPLACE] = "replace",
	[LU_EFFECT_UNDO] = "undo",
};
static_assert(ARRAY_SIZE(effect_names) == LU_EFFECT_MAX, "every effect has a name");

const char *lu_effect_name(unsigned int effect)
{
	return effect < LU_EFFECT_MAX ? effect_names[effect] : NULL;
}

const struct lu_state_row *lu_state_row(unsigned int state)
{
	return state < LU_STATE_MAX ? &table[state] : NULL;
}

enum lu_state lu_state_next(unsigned int state, unsigned int event)
{
	const struct lu_state_row *row = lu_state_row(state);

	if (!row)
		return LU_STATE_NONE;
	switch (event) {
	case LU_EVENT_START:
		return row->start;
	case LU_EVENT_START_VMM:
		return row->start_vmm;
	case LU_EVENT_OK:
		return row->ok;
	case LU_EVENT_FAILED:
		return row->failed;
	case LU_EVENT_TIMEOUT:
		return row->timeout;
	case LU_EVENT_CANCEL:
		return row->cancel;
	default:
		return LU_STATE_NONE;
	}
}
