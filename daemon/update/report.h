/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* update/report.json, and what the next prediction is made of. */
#include "update-internal.h"

/**
 * lu_report_at_rest() - the update is about to be at rest with this result: write the report. Failing is logged
 *
 * Called once an update, right before that is committed, so that an update that is at rest has its report, and that
 * says the same as the status.
 */
void lu_report_at_rest(struct lu_update *u, const char *result);

/** lu_step_measure() - a step: note what the parts of blackouts took (measured.h) */
int lu_step_measure(struct lu_update *u, struct lu_error *e);

/** lu_report_write() - also into the history; @result: success, aborted or degraded; NULL: as the update's own report said */
int lu_report_write(struct lu_update *u, const char *result, struct lu_error *e);
