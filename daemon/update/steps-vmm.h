/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The steps of replacing QEMU in this kernel. */
#include "update-internal.h"

int lu_step_replace(struct lu_update *u, struct lu_error *e);
int lu_step_settle(struct lu_update *u, struct lu_error *e);
