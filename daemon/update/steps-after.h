/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The steps of the new kernel. */
#include "update-internal.h"

int lu_step_review(struct lu_update *u, struct lu_error *e);
int lu_step_adopt(struct lu_update *u, struct lu_error *e);
int lu_step_restore(struct lu_update *u, struct lu_error *e);
int lu_step_resume_loaded(struct lu_update *u, struct lu_error *e);
int lu_step_verify(struct lu_update *u, struct lu_error *e);
int lu_step_cleanup(struct lu_update *u, struct lu_error *e);
