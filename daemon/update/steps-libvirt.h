/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The steps in which libvirt stands aside for its guests, and comes back. They do nothing in an update without such. */
#include "update-internal.h"

int lu_step_hold_libvirt(struct lu_update *u, struct lu_error *e);
int lu_step_keep_domains(struct lu_update *u, struct lu_error *e);
int lu_step_release_libvirt(struct lu_update *u, struct lu_error *e);
int lu_step_ask_moved(struct lu_update *u, struct lu_error *e);
int lu_step_return_moved(struct lu_update *u, struct lu_error *e);
int lu_step_ask_domains(struct lu_update *u, struct lu_error *e);
int lu_step_wait_machines(struct lu_update *u, struct lu_error *e);
int lu_step_give_memory_back(struct lu_update *u, struct lu_error *e);
int lu_step_give_domains_back(struct lu_update *u, struct lu_error *e);
