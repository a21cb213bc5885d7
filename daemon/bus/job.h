/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* org.luctl1.Job: a piece of long work on the bus, with progress, cancellation and a result that can be asked for later. */
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "update.h"

struct lu_job;

/**
 * struct lu_jobs - all jobs of this daemon, who owns them
 * @changed: which one is under way, if any (lu_jobs_running()), may be another one now
 */
struct lu_jobs {
	sd_event *event;
	sd_bus *bus;
	void (*changed)(struct lu_jobs *jobs);
	struct lu_job *first;
	unsigned int last; /* number given last */
};

/** lu_job_cancel_t - end the work; 0 or a negative errno with @error */
typedef int (*lu_job_cancel_t)(void *userdata, struct lu_error *error);

/**
 * lu_job_new() - a new job object
 * @kind: a constant
 * @cancel: NULL: it can't be canceled
 *
 * It is freed JOB_LINGER after lu_job_finish(), or by lu_job_drop(). It is announced (JobNew, InterfacesAdded) by its
 * first progress, so that nobody hears of work that could not even begin.
 */
int lu_job_new(struct lu_jobs *jobs, const char *kind, lu_job_cancel_t cancel, void *userdata, struct lu_job **ret);

const char *lu_job_path(const struct lu_job *j);

/** lu_jobs_running() - path of the one that is under way; "/": none is */
const char *lu_jobs_running(const struct lu_jobs *jobs);

/** lu_job_progress() - what goes on now; NULL job is fine */
void lu_job_progress(struct lu_job *j, const struct lu_progress *progress);

/** lu_job_finish() - @result: success, aborted, degraded or failed; the caller's pointer is dead afterwards. NULL job is fine */
void lu_job_finish(struct lu_job *j, const char *result, const struct lu_error *error);

/** lu_job_drop() - its work could not even begin, and nobody was told its path by a reply */
void lu_job_drop(struct lu_job *j);

/** lu_jobs_clear() - free all of them, at exit */
void lu_jobs_clear(struct lu_jobs *jobs);
