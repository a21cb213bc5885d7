/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* org.luctl1.Job: a piece of long work on the bus, with progress, cancellation and a result that can be asked for later. */
#include "daemon.h"

/** lu_job_new() - a new job object; freed by the daemon's list, JOB_LINGER after it has finished */
int lu_job_new(struct lu_daemon *d, const char *kind, int (*cancel)(struct lu_daemon *d, struct lu_error *error),
	       struct lu_job **ret);

const char *lu_job_path(const struct lu_job *j);

/** lu_job_progress() - what goes on now; NULL job is fine */
void lu_job_progress(struct lu_job *j, const char *state, const char *detail);

/** lu_job_finish() - @result: success, aborted, degraded or failed; the caller's pointer is dead afterwards */
void lu_job_finish(struct lu_job *j, const char *result, const struct lu_error *error);

/** lu_jobs_free() - all of them, at exit */
void lu_jobs_free(struct lu_daemon *d);
