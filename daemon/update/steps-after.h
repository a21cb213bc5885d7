/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The steps of the new kernel. */
#include "update-internal.h"

int lu_step_review(struct lu_update *u, struct lu_error *e);
int lu_step_adopt(struct lu_update *u, struct lu_error *e);
/** lu_step_complete_views() - what QEMUs see of what the host has mounted since: as it was; a failure is logged */
int lu_step_complete_views(struct lu_update *u, struct lu_error *e);
int lu_step_restore(struct lu_update *u, struct lu_error *e);
int lu_step_resume_loaded(struct lu_update *u, struct lu_error *e);
int lu_step_verify(struct lu_update *u, struct lu_error *e);
int lu_step_cleanup(struct lu_update *u, struct lu_error *e);
