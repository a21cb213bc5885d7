// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "job.h"

#define JOB_LINGER_USEC (60 * UINT64_C(1000000))
#define JOB_INTERFACE "org.luctl1.Job"

struct lu_job {
	struct lu_job *next;
	struct lu_daemon *daemon;
	char path[48];
	const char *kind;
	char *state;
	const char *result;
	int (*cancel)(struct lu_daemon *d, struct lu_error *error);
	sd_bus_slot *slot;
	sd_event_source *linger;
};

static void job_free(struct lu_job *j)
{
	struct lu_job **at;

	for (at = &j->daemon->jobs; *at; at = &(*at)->next) {
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

void lu_jobs_free(struct lu_daemon *d)
{
	while (d->jobs)
		job_free(d->jobs);
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
		r = j->cancel(j->daemon, &e);
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

int lu_job_new(struct lu_daemon *d, const char *kind, int (*cancel)(struct lu_daemon *d, struct lu_error *error),
	       struct lu_job **ret)
{
	struct lu_job *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return -ENOMEM;
	j->daemon = d;
	j->kind = kind;
	j->result = "";
	j->cancel = cancel;
	j->state = strdup("");
	snprintf(j->path, sizeof(j->path), LU_BUS_PATH "/job/%u", ++d->last_job);
	j->next = d->jobs;
	d->jobs = j;
	r = j->state ? sd_bus_add_object_vtable(d->bus, &j->slot, j->path, JOB_INTERFACE, job_vtable, j) : -ENOMEM;
	if (r < 0) {
		job_free(j);
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
	(void)sd_bus_emit_properties_changed(j->daemon->bus, j->path, JOB_INTERFACE, "State", NULL);
	(void)sd_bus_emit_signal(j->daemon->bus, j->path, JOB_INTERFACE, "Progress", "ss", state, detail ?: "");
}

static int on_linger(sd_event_source *s, uint64_t usec, void *userdata)
{
	job_free(userdata);
	return 0;
}

void lu_job_finish(struct lu_job *j, const char *result, const struct lu_error *error)
{
	if (!j)
		return;
	j->result = result;
	(void)sd_bus_emit_properties_changed(j->daemon->bus, j->path, JOB_INTERFACE, "Result", NULL);
	(void)sd_bus_emit_signal(j->daemon->bus, j->path, JOB_INTERFACE, "Finished", "sss", result,
				 error && error->what ? error->what : "", error && error->hint ? error->hint : "");
	if (sd_event_add_time_relative(j->daemon->event, &j->linger, CLOCK_MONOTONIC, JOB_LINGER_USEC, 0, on_linger,
				       j) < 0)
		job_free(j);
}
