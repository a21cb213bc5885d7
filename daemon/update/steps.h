/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The runner of effects, and what steps end with. */
#include "update-internal.h"

#define LU_STEPS_MAX 14

/*
 * A step of an effect: returns 1 if it is done, 0 if lu_step_done() will be
 * called, or a negative errno with @e filled.
 */
typedef int (*lu_step_t)(struct lu_update *u, struct lu_error *e);

struct lu_effect_steps {
	bool go_on; /* try every step, whatever failed before */
	lu_step_t steps[LU_STEPS_MAX];
};

/** lu_steps_begin() - run the steps of an effect; the engine is told the end, by @cookie */
void lu_steps_begin(struct lu_update *u, enum lu_effect effect, uint64_t cookie);

/** lu_steps_forget() - end what runs of the effect; nothing of it is heard any more */
void lu_steps_forget(struct lu_update *u);

/** lu_step_done() - what a step that returned 0 waited for has ended */
void lu_step_done(struct lu_update *u, int r, const struct lu_error *e);

/** lu_step_worker_done() - a lu_worker_done_t that ends the step */
void lu_step_worker_done(void *userdata, int r, struct lu_error *error);

/** lu_step_vms() - one operation on all VMs of the update in parallel; ends the step when the last has answered */
int lu_step_vms(struct lu_update *u, enum lu_vm_op op, enum lu_phase phase, struct lu_error *e);

/** lu_step_vms_if() - the same for those VMs only of which @wanted says so */
int lu_step_vms_if(struct lu_update *u, enum lu_vm_op op, enum lu_phase phase,
		   bool (*wanted)(const struct lu_outcome *o), struct lu_error *e);

/** lu_thaw_forget() - end the thawing that goes on beside undo's other steps */
void lu_thaw_forget(struct lu_update *u);

/**
 * lu_update_tell() - how far the update is, to whoever asked for it
 * @detail: NULL: what is predicted of the state that it is in
 * @done, @total: VMs, as struct lu_progress says
 */
void lu_update_tell(struct lu_update *u, const char *detail, uint64_t done, uint64_t total);
