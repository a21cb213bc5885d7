// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "bus.h"
#include "job.h"

#define JOB_LINGER_USEC (60 * UINT64_C(1000000))

struct lu_job {
	struct lu_job *next;
	struct lu_jobs *jobs;
	char path[48];
	const char *kind;
	char *state;
	const char *result;
	lu_job_cancel_t cancel;
	void *userdata;
	sd_bus_slot *slot;
	sd_event_source *linger;
};

void lu_job_drop(struct lu_job *j)
{
	struct lu_job **at;

	for (at = &j->jobs->first; *at; at = &(*at)->next) {
		if (*at == j) {
			*at = j->next;
			break;
		}
	}
	sd_event_source_disable_unref(j->linger);
	sd_bus_slot_unref(j->slot);
	free(j->state);
	free(j);
}

void lu_jobs_clear(struct lu_jobs *jobs)
{
	while (jobs->first)
		lu_job_drop(jobs->first);
}

static int cancel_allowed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_job *j = userdata;
	int r;

	if (*j->result || !j->cancel)
		r = lu_error_set(&e, -EALREADY, NULL, "job %s: %s", j->path,
				 *j->result ? "has finished already" : "can't be canceled");
	else
		r = j->cancel(j->userdata, &e);
	return r < 0 ? lu_reply_error(m, NULL, r, &e) : sd_bus_reply_method_return(m, NULL);
}

static int method_cancel(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return lu_auth_then(m, "org.luctl1.update", cancel_allowed, userdata, error);
}

static const sd_bus_vtable job_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Cancel", "", "", method_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY("Kind", "s", NULL, offsetof(struct lu_job, kind), SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("State", "s", NULL, offsetof(struct lu_job, state), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Result", "s", NULL, offsetof(struct lu_job, result), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_SIGNAL_WITH_ARGS("Progress", SD_BUS_ARGS("s", state, "s", detail), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Finished", SD_BUS_ARGS("s", result, "s", what, "s", hint), 0),
	SD_BUS_VTABLE_END,
};

int lu_job_new(struct lu_jobs *jobs, const char *kind, lu_job_cancel_t cancel, void *userdata, struct lu_job **ret)
{
	struct lu_job *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return -ENOMEM;
	j->jobs = jobs;
	j->kind = kind;
	j->result = "";
	j->cancel = cancel;
	j->userdata = userdata;
	j->state = strdup("");
	snprintf(j->path, sizeof(j->path), LU_BUS_PATH "/job/%u", ++jobs->last);
	j->next = jobs->first;
	jobs->first = j;
	r = j->state ? sd_bus_add_object_vtable(jobs->bus, &j->slot, j->path, LU_BUS_JOB, job_vtable, j) : -ENOMEM;
	if (r < 0) {
		lu_job_drop(j);
		return r;
	}
	*ret = j;
	return 0;
}

const char *lu_job_path(const struct lu_job *j)
{
	return j->path;
}

void lu_job_progress(struct lu_job *j, const char *state, const char *detail)
{
	char *copy;

	if (!j)
		return;
	copy = strdup(state);
	if (!copy)
		return;
	free(j->state);
	j->state = copy;
	(void)sd_bus_emit_properties_changed(j->jobs->bus, j->path, LU_BUS_JOB, "State", NULL);
	(void)sd_bus_emit_signal(j->jobs->bus, j->path, LU_BUS_JOB, "Progress", "ss", state, detail ?: "");
}

static int on_linger(sd_event_source *s, uint64_t usec, void *userdata)
{
	lu_job_drop(userdata);
	return 0;
}

void lu_job_finish(struct lu_job *j, const char *result, const struct lu_error *error)
{
	if (!j)
		return;
	j->result = result;
	(void)sd_bus_emit_properties_changed(j->jobs->bus, j->path, LU_BUS_JOB, "Result", NULL);
	(void)sd_bus_emit_signal(j->jobs->bus, j->path, LU_BUS_JOB, "Finished", "sss", result,
				 error && error->what ? error->what : "", error && error->hint ? error->hint : "");
	if (sd_event_add_time_relative(j->jobs->event, &j->linger, CLOCK_MONOTONIC, JOB_LINGER_USEC, 0, on_linger, j) <
	    0)
		lu_job_drop(j);
}
