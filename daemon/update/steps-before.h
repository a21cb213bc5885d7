/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The steps of the old kernel, and those that take them back. */
#include "update-internal.h"

int lu_step_check(struct lu_update *u, struct lu_error *e);
int lu_step_load(struct lu_update *u, struct lu_error *e);
int lu_step_inhibit(struct lu_update *u, struct lu_error *e);
int lu_step_prepare_vms(struct lu_update *u, struct lu_error *e);
/** lu_step_note_limits() - what units hold VMs to, into their directories; a failure is logged */
int lu_step_note_limits(struct lu_update *u, struct lu_error *e);
/** lu_note_limits() - the same of one VM */
void lu_note_limits(struct lu_update *u, size_t i);
int lu_step_quiesce(struct lu_update *u, struct lu_error *e);
int lu_step_sync(struct lu_update *u, struct lu_error *e);
int lu_step_pause_vms(struct lu_update *u, struct lu_error *e);
int lu_step_save_vms(struct lu_update *u, struct lu_error *e);
int lu_step_flush(struct lu_update *u, struct lu_error *e);
int lu_step_freeze(struct lu_update *u, struct lu_error *e);
int lu_step_look_again(struct lu_update *u, struct lu_error *e);
int lu_step_check_again(struct lu_update *u, struct lu_error *e);
int lu_step_jump(struct lu_update *u, struct lu_error *e);
int lu_step_thaw(struct lu_update *u, struct lu_error *e);
int lu_step_thawed(struct lu_update *u, struct lu_error *e);
int lu_step_resume_vms(struct lu_update *u, struct lu_error *e);
int lu_step_clocks(struct lu_update *u, struct lu_error *e);
int lu_step_unload(struct lu_update *u, struct lu_error *e);
int lu_step_unprepare_vms(struct lu_update *u, struct lu_error *e);
int lu_step_unquiesce(struct lu_update *u, struct lu_error *e);
int lu_step_uninhibit(struct lu_update *u, struct lu_error *e);
