/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Bringing a VM up from its saved state, and what becomes of its processes then. What others ask for is in update.h. */
#include "update-internal.h"

/* With which program a restore is tried. */
enum lu_program {
	LU_PROGRAM_ONLY,  /* what stands at QEMU's path; a keeper stays if it fails */
	LU_PROGRAM_FIRST, /* the same, but there is another try */
	LU_PROGRAM_OLD,   /* what the QEMU before had */
};

/** lu_restore_start() - `lu-init --restore` for VM @i; 0, then @done is called, or @forget if it is cancelled; or a negative errno */
int lu_restore_start(struct lu_update *u, size_t i, enum lu_program program, lu_worker_done_t done,
		     sd_event_destroy_t forget, void *userdata, struct lu_error *e);

/**
 * lu_restore_clear() - before an update: units of restores that ended long ago go
 *
 * A daemon that was killed had no time for it, and of a unit that is there already lu_restore_start() takes it that it was
 * begun for the same. What is in one that still has the VM's QEMU or keeper stays.
 */
void lu_restore_clear(struct lu_update *u, size_t i);

/** lu_restore_done() - to be called first in its @done: reads the outcome, gives the QEMU or the keeper its unit */
void lu_restore_done(struct lu_update *u, size_t i, enum lu_program program);

/** lu_outcome_adopt() - a QEMU that runs gets a scope of its own */
void lu_outcome_adopt(struct lu_update *u, size_t i);

/** lu_keeper_adopt() - so does a keeper: the unit it was started in ends. Return: its process, 0: there is none */
pid_t lu_keeper_adopt(struct lu_update *u, const struct lu_vm *vm);

/** lu_outcome_settle() - in undo: a guest that another QEMU has taken up gets the scope that it would have got then */
void lu_outcome_settle(struct lu_update *u, size_t i);

/** lu_outcome_watch() - see the end of a QEMU that was brought over: its unit may start again then */
void lu_outcome_watch(struct lu_update *u, size_t i);

/**
 * lu_restore_take_up() - once no update runs that a daemon before this one began: what else was it at, and who is there?
 *
 * A daemon that was killed has left the unit of its restore, and whoever is in it: what has come up gets its scope, what keeps
 * devices, too, and the unit is stopped, so that the next restore is not taken for that one. Until then nothing else is
 * begun. Then those that came over are looked for, and libvirt is let go if it may be.
 */
void lu_restore_take_up(struct lu_update *u);

/** lu_restore_forget_left() - forget those that are still to be taken up */
void lu_restore_forget_left(struct lu_update *u);
