/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What is known of each VM of the update, by its number there or LU_OUTCOME_KEPT. The registry owns the VMs; an
 * outcome holds a reference, lu_outcome_clear() gives it back.
 */
#include "update-internal.h"

struct lu_outcome *lu_outcome(struct lu_update *u, size_t i);
const char *lu_outcome_name(const struct lu_update *u, size_t i);
const char *lu_outcome_uuid(const struct lu_update *u, size_t i);
/** lu_outcome_update() - the update by which its state was saved */
const char *lu_outcome_update(const struct lu_update *u, size_t i);

/** lu_update_open_pkernfs() - into u->pkernfs_fd, if it is not open yet */
int lu_update_open_pkernfs(struct lu_update *u, struct lu_error *e);

/**
 * lu_outcomes_guess_request() - make u->doc of what the VMs' records say of an update whose request can't be read
 *
 * A guest that stands still is not to wait for somebody who mends a file.
 */
int lu_outcomes_guess_request(struct lu_update *u, const char *update);

/** lu_outcomes_find() - connect the VMs of the request with the registry */
void lu_outcomes_find(struct lu_update *u);

/** lu_outcomes_free() - of the last update, and its request */
void lu_outcomes_free(struct lu_update *u);
void lu_outcome_clear(struct lu_outcome *o);

/** lu_outcome_fail() - why it does not run */
void lu_outcome_fail(struct lu_outcome *o, const char *hint, const char *what);

/** lu_outcome_read() - read what is on record about one VM; 1 if its QEMU is alive, else 0 */
int lu_outcome_read(struct lu_update *u, size_t i);

/** lu_outcome_read_clock() - what its guest agent said, if it was asked in this update */
void lu_outcome_read_clock(struct lu_update *u, size_t i);
