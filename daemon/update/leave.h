/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * VMs that do not go along: left out by the check, or left behind on the way, as their policy allows. What is left
 * behind ends with this kernel, as one that is excluded by name does. The request names each, with the reason, for the
 * report of the next kernel.
 */
#include "update-internal.h"

/** lu_left_add() - note that @vm does not go along, and why; once each. Return: 0 or -ENOMEM */
int lu_left_add(struct lu_request_doc *doc, const struct lu_vm *vm, const char *what, const char *hint);

/** lu_left_named() - is it noted? */
bool lu_left_named(const struct lu_request_doc *doc, const struct lu_vm *vm);

/** lu_left_find() - mark the outcomes of those VMs of the request that were left behind on the way */
void lu_left_find(struct lu_update *u);

/**
 * lu_leave() - something about @vm has failed before the jump: leave it behind, if it need not go along
 * @done: called when it is taken back, with 0 or why it could not be. The same one for all that are left at a time
 *
 * It is let run, if it was paused by us, and what was prepared for it is removed. If what was saved of it can't be
 * taken back, it can't be left behind either: a state that waits next to a guest that went on is worse than an update
 * that is undone.
 *
 * Return: true if @done will be called; false: it is required, or this is no step of the way to the jump.
 */
bool lu_leave(struct lu_update *u, struct lu_vm *vm, const struct lu_error *why,
	      void (*done)(struct lu_update *u, int r, const struct lu_error *e));

/** lu_step_leave() - the last step before the jump: nothing of those left behind is taken for a guest that goes along */
int lu_step_leave(struct lu_update *u, struct lu_error *e);
