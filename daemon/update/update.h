/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The update as the rest of the daemon sees it: one engine, its journal, its
 * effects. There is at most one update at a time; the last one is remembered.
 */
#include "asked.h"
#include "env.h"

struct lu_update;

/**
 * struct lu_progress - how far a piece of work is
 * @detail: for people; NULL or empty: nothing to add
 * @update: id of the update that it is part of; NULL: none
 * @done, @total: VMs that are through with this state, of how many; 0 of 0: not counted
 * @expected_usec: predicted of the blackout, or from the jump on of what is left of it; 0: nothing is
 */
struct lu_progress {
	const char *state, *detail, *update;
	uint64_t done, total, expected_usec;
};

/**
 * struct lu_update_news - what the update tells of itself; none of them may call it
 * @state: lu_update_info() has changed
 * @adopted: an update goes on that a daemon before this one was asked for: its job; NULL: there is none
 * @progress: of a piece of work that was asked for with @job; NULL: of nobody
 * @finished: the same; @job is not told anything after that. Not called if the start has failed
 */
struct lu_update_news {
	void (*state)(void *context);
	void *(*adopted)(void *context);
	void (*progress)(void *job, const struct lu_progress *progress);
	void (*finished)(void *job, const char *result, const struct lu_error *error);
};

/** lu_update_new() - @env, @news: must outlive it; @context: for news->state() and news->adopted() */
int lu_update_new(struct lu_update_env *env, const struct lu_update_news *news, void *context, struct lu_update **ret);
struct lu_update *lu_update_free(struct lu_update *u);
DEFINE_CLEANUP(struct lu_update *, lu_update_free)

/** lu_update_recover() - at start: go on from what the journal in pkernfs says; a missing or foreign one is no error */
int lu_update_recover(struct lu_update *u, struct lu_error *error);

/** lu_update_start() - begin; takes the contents of @q over on success. @job is told by news, maybe before this returns */
int lu_update_start(struct lu_update *u, struct lu_asked *q, void *job, struct lu_error *error);

/** lu_update_cancel() - end it, all guests go on with this kernel */
int lu_update_cancel(struct lu_update *u, const char *why, struct lu_error *error);

/** lu_update_restore() - bring up a VM whose state was kept, by whichever update; @job as for lu_update_start() */
int lu_update_restore(struct lu_update *u, struct lu_vm *vm, void *job, struct lu_error *error);

/** lu_update_forget() - by the operator's word: the VM's saved state is given up */
int lu_update_forget(struct lu_update *u, struct lu_vm *vm, struct lu_error *error);

/**
 * lu_update_restore_here() - a VM's saved state goes on in a new QEMU with descriptors of ours, as lu_vm_restore_t says
 * @context: struct lu_update **, since the registry is made before the update
 */
int lu_update_restore_here(void *context, struct lu_vm *vm, lu_vm_restored_t done, void *userdata,
			   struct lu_error *error);

struct lu_update_info {
	const char *state;  /* "idle", … */
	const char *result; /* of the last update: success, aborted, degraded; NULL if there was none */
	bool running;
	const char *id, *kernel;      /* NULL if there was none */
	uint64_t since_usec;          /* start, CLOCK_REALTIME */
	const struct lu_error *error; /* cause of the last failure */
};

/** lu_update_info() - valid until the next event */
const struct lu_update_info *lu_update_info(struct lu_update *u);

/** lu_update_vm_restored_by() - "lu-init", "luctld" or NULL */
const char *lu_update_vm_restored_by(struct lu_update *u, struct lu_vm *vm);
