/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The engine: which state an update is in, and what may follow. It holds no I/O;
 * all it wants done goes through struct lu_engine_ops. See engine.c for the life of
 * an update and table.c for the states.
 */
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "journal.h"
#include "state.h"

/* What a state does on entry. One at a time, ever. */
enum lu_effect {
	LU_EFFECT_NONE = 0,
	LU_EFFECT_CHECK,   /* read the target image, probe every VM */
	LU_EFFECT_LOAD,    /* kexec -s -l */
	LU_EFFECT_PREPARE, /* inhibitor; per VM launch.json and settings; stop ordinary units; sync */
	LU_EFFECT_PAUSE,   /* stop all VMs */
	LU_EFFECT_SAVE,    /* their device state into pkernfs */
	LU_EFFECT_SEAL,    /* freeze the block file systems */
	LU_EFFECT_JUMP,    /* reboot(KEXEC) */
	LU_EFFECT_REVIEW,  /* in the new kernel: read the request, find out what lu-init did */
	LU_EFFECT_ADOPT,   /* identify the VMs that run, a scope for each */
	LU_EFFECT_RESTORE, /* start and load the VMs that do not run yet */
	LU_EFFECT_RESUME,  /* cont */
	LU_EFFECT_FINISH,  /* report, clean up; fails if a VM is missing */
	LU_EFFECT_EXAMINE, /* as check, of those VMs whose QEMU shall be replaced, without an image */
	LU_EFFECT_REPLACE, /* one VM after the other: saved, and another QEMU in this kernel goes on with it */
	LU_EFFECT_UNDO,    /* back to before the update, every step idempotent and tried whatever failed before it */
	LU_EFFECT_MAX
};

const char *lu_effect_name(unsigned int effect);

/* One row of the table. A next state of LU_STATE_NONE: the event is not accepted here. */
#define LU_STATE_NONE ((enum lu_state) - 1)

struct lu_state_row {
	enum lu_state state;
	const char *meaning;
	enum lu_effect effect;
	enum lu_state ok, failed, timeout, cancel;
	enum lu_state start, start_vmm; /* of either kind of update */
	unsigned int tries;             /* how often the effect is tried before "failed" leads on; 0 is 1 */
	unsigned int limit_sec;         /* default time limit, 0: none */
	bool no_return;                 /* once its effect has been started nothing but its own failure leads out */
	enum lu_state found_same;       /* recovery: found in the journal, written by this boot */
	enum lu_state found_other;      /* recovery: found in the journal, written by another boot */
};

/** lu_state_row() - NULL for a number that is none of ours */
const struct lu_state_row *lu_state_row(unsigned int state);

/** lu_state_next() - the table as a function; LU_STATE_NONE if @event is not accepted in @state */
enum lu_state lu_state_next(unsigned int state, unsigned int event);

/* A change of state on its way. */
struct lu_transition {
	enum lu_state from, to;
	enum lu_event event;
	const struct lu_error
		*cause; /* of failed, timeout, cancel, recover; else the first error of this update, or NULL */
	bool durable;   /* for ->entered(): did ->commit() succeed? */
};

/*
 * What the engine needs from its owner. All are called from within the lu_engine_*()
 * calls and may call lu_engine_complete() and lu_engine_cancel() themselves.
 */
struct lu_engine_ops {
	/*
	 * Make the transition durable. Called before anything of the new state
	 * happens. For LU_EVENT_START and LU_EVENT_START_VMM this begins a new journal. Negative errno on
	 * failure: up to the entry of jump the update is then aborted (at start: refused);
	 * on the way back and after the jump the engine goes on without.
	 */
	int (*commit)(void *ud, const struct lu_transition *t);

	/*
	 * Start the effect; end it by lu_engine_complete(@cookie) now or later. A
	 * negative errno counts as failed and nothing may be left running; then
	 * @e may say why. An effect that fails leaves what it did to LU_EFFECT_UNDO.
	 */
	int (*start_effect)(void *ud, enum lu_effect effect, uint64_t cookie, struct lu_error *e);

	/*
	 * Stop the effect that runs. When this returns it does nothing any more to the
	 * world; its late completion is ignored by its cookie. Cannot fail.
	 */
	void (*cancel_effect)(void *ud, enum lu_effect effect, uint64_t cookie);

	/* Call lu_engine_timeout() in @usec from now, instead of any earlier wish; 0: no more */
	int (*arm_timer)(void *ud, uint64_t usec);

	/* The engine is in t->to now; for logs, progress, results. Before its effect is started. */
	void (*entered)(void *ud, const struct lu_transition *t);
};

struct lu_engine;

int lu_engine_new(const struct lu_engine_ops *ops, void *userdata, struct lu_engine **ret);
void lu_engine_free(struct lu_engine *e);
DEFINE_CLEANUP(struct lu_engine *, lu_engine_free)

/** lu_engine_set_limit() - another time limit for a state; 0: none */
int lu_engine_set_limit(struct lu_engine *e, enum lu_state state, uint64_t usec);

enum lu_state lu_engine_state(const struct lu_engine *e);

/** lu_engine_error() - the first error of the last update, its cause; .code 0 if there was none. Owned by the engine */
const struct lu_error *lu_engine_error(const struct lu_engine *e);

/**
 * lu_engine_start() - begin an update; allowed in idle, done, aborted and degraded
 * @event: LU_EVENT_START, or LU_EVENT_START_VMM to replace QEMU in this kernel
 *
 * Return: 0 once it is committed (it may have failed already, see the state);
 * -EBUSY if one runs; or the commit's errno, then the state is unchanged.
 */
int lu_engine_start(struct lu_engine *e, enum lu_event event, struct lu_error *ret_error);

/**
 * lu_engine_complete() - the effect has ended
 * @cookie: as given to ->start_effect()
 * @error: NULL or unset if it succeeded; copied
 *
 * Return: 0, or -ESTALE if that effect is not running any more (ignored).
 */
int lu_engine_complete(struct lu_engine *e, uint64_t cookie, const struct lu_error *error);

/** lu_engine_timeout() - the timer rang; 0, or -ESTALE if none is armed (ignored) */
int lu_engine_timeout(struct lu_engine *e);

/**
 * lu_engine_cancel() - end the update, all guests go on in this kernel
 * @why: for people: "cancelled by user root"
 *
 * Return: 0 if it is being aborted now; with @ret_error set: -ENOENT (no update runs), -EALREADY
 * (it is being aborted), -EINPROGRESS (the jump is under way or done).
 */
int lu_engine_cancel(struct lu_engine *e, const char *why, struct lu_error *ret_error);

/**
 * lu_engine_recover() - at start of the daemon: go on from what the journal says
 * @last: last state record, NULL if there is no journal or no record
 * @same_boot: was that record written by the running kernel?
 *
 * A state of rest is taken over without a word; else ->commit() and ->entered() are called with
 * LU_EVENT_RECOVER. The record's error stays the update's error.
 *
 * Return: 0; -EINVAL if the record's state is unknown; -EBUSY if the engine is not fresh.
 */
int lu_engine_recover(struct lu_engine *e, const struct lu_journal_record *last, bool same_boot);

/**
 * lu_engine_undo_again() - after lu_engine_recover(): undo what an undo left that failed for good
 *
 * For an update that is degraded and was begun in this boot: then nothing has jumped, the guests are those of
 * this kernel, and what kept them or the host from going back may be gone.
 *
 * Return: 0, or -EBUSY if it is not degraded.
 */
int lu_engine_undo_again(struct lu_engine *e);
