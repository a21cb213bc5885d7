// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See job.h. What a job tells goes out in three ways, for those who listen to one of them: the properties of its object,
 * with numbers; its signals Progress and Finished, in words; and the manager's JobNew and JobRemoved.
 *
 * Life: made, nobody knows of it → announced, by its first progress → finished → after JOB_LINGER its object goes.
 * Unhappy path: its work can't begin: dropped before it was announced. If memory runs out a text stays the old one.
 */
#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "bus.h"
#include "clock.h"
#include "job.h"

#define JOB_LINGER_USEC (60 * UINT64_C(1000000))

struct lu_job {
	struct lu_job *next;
	struct lu_jobs *jobs;
	char path[48];
	const char *kind;
	char *state, *detail, *update, *what, *hint;
	const char *result;
	uint64_t begun, done, total, expected; /* CLOCK_REALTIME in µs; VMs; µs */
	bool announced;
	lu_job_cancel_t cancel;
	void *userdata;
	sd_bus_slot *slot;
	sd_event_source *linger;
};

static void job_free(struct lu_job *j)
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
	free(j->detail);
	free(j->update);
	free(j->what);
	free(j->hint);
	free(j);
}

void lu_jobs_clear(struct lu_jobs *jobs)
{
	while (jobs->first)
		job_free(jobs->first);
}

/* Who may do that was asked, and thinking it over may have outlasted the job. */
static int cancel_allowed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	const char *path = sd_bus_message_get_path(m);
	const struct lu_jobs *jobs = userdata;
	struct lu_job *j = jobs->first;
	int r;

	while (j && strcmp(j->path, path) != 0)
		j = j->next;
	if (!j)
		r = lu_error_set(&e, -EALREADY, NULL, "job %s: has finished already", path);
	else if (*j->result || !j->cancel)
		r = lu_error_set(&e, -EALREADY, NULL, "job %s: %s", j->path,
				 *j->result ? "has finished already" : "can't be canceled");
	else
		r = j->cancel(j->userdata, &e);
	return r < 0 ? lu_reply_error(m, NULL, r, &e) : sd_bus_reply_method_return(m, NULL);
}

static int method_cancel(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const struct lu_job *j = userdata;

	return lu_auth_then(m, "org.luctl1.update", cancel_allowed, j->jobs, error);
}

static const sd_bus_vtable job_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Cancel", "", "", method_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY("Kind", "s", NULL, offsetof(struct lu_job, kind), SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Begun", "t", NULL, offsetof(struct lu_job, begun), SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Update", "s", NULL, offsetof(struct lu_job, update), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("State", "s", NULL, offsetof(struct lu_job, state), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Detail", "s", NULL, offsetof(struct lu_job, detail), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Done", "t", NULL, offsetof(struct lu_job, done), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Total", "t", NULL, offsetof(struct lu_job, total), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Expected", "t", NULL, offsetof(struct lu_job, expected), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Result", "s", NULL, offsetof(struct lu_job, result), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("What", "s", NULL, offsetof(struct lu_job, what), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Hint", "s", NULL, offsetof(struct lu_job, hint), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
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
	j->begun = lu_clock_ns(CLOCK_REALTIME) / 1000;
	j->state = strdup("");
	j->detail = strdup("");
	j->update = strdup("");
	j->what = strdup("");
	j->hint = strdup("");
	snprintf(j->path, sizeof(j->path), LU_BUS_PATH "/job/%u", ++jobs->last);
	j->next = jobs->first;
	jobs->first = j;
	r = j->state && j->detail && j->update && j->what && j->hint ?
		    sd_bus_add_object_vtable(jobs->bus, &j->slot, j->path, LU_BUS_JOB, job_vtable, j) :
		    -ENOMEM;
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

/* If memory runs out the old text stays. */
static void replace(char **p, const char *s)
{
	char *copy = strdup(s ?: "");

	if (!copy)
		return;
	free(*p);
	*p = copy;
}

/* With all that is known of it; false: that was done before. */
static bool announce(struct lu_job *j)
{
	if (j->announced)
		return false;
	j->announced = true;
	(void)sd_bus_emit_object_added(j->jobs->bus, j->path);
	(void)sd_bus_emit_signal(j->jobs->bus, LU_BUS_PATH, LU_BUS_MANAGER, "JobNew", "os", j->path, j->kind);
	j->jobs->changed(j->jobs);
	return true;
}

const char *lu_jobs_running(const struct lu_jobs *jobs)
{
	for (const struct lu_job *j = jobs->first; j; j = j->next)
		if (j->announced && !*j->result)
			return j->path;
	return "/";
}

void lu_job_progress(struct lu_job *j, const struct lu_progress *p)
{
	if (!j)
		return;
	replace(&j->state, p->state);
	replace(&j->detail, p->detail);
	replace(&j->update, p->update);
	j->done = p->done;
	j->total = p->total;
	j->expected = p->expected_usec;
	if (!announce(j))
		(void)sd_bus_emit_properties_changed(j->jobs->bus, j->path, LU_BUS_JOB, "State", "Detail", "Update",
						     "Done", "Total", "Expected", NULL);
	(void)sd_bus_emit_signal(j->jobs->bus, j->path, LU_BUS_JOB, "Progress", "ss", j->state, j->detail);
}

void lu_job_drop(struct lu_job *j)
{
	struct lu_jobs *jobs = j->jobs;
	bool announced = j->announced;

	if (announced) {
		(void)sd_bus_emit_object_removed(jobs->bus, j->path);
		(void)sd_bus_emit_signal(jobs->bus, LU_BUS_PATH, LU_BUS_MANAGER, "JobRemoved", "oss", j->path, j->kind,
					 *j->result ? j->result : "failed");
	}
	job_free(j);
	if (announced)
		jobs->changed(jobs);
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
	replace(&j->what, error ? error->what : NULL);
	replace(&j->hint, error ? error->hint : NULL);
	if (!announce(j))
		(void)sd_bus_emit_properties_changed(j->jobs->bus, j->path, LU_BUS_JOB, "Result", "What", "Hint", NULL);
	(void)sd_bus_emit_signal(j->jobs->bus, j->path, LU_BUS_JOB, "Finished", "sss", result, j->what, j->hint);
	j->jobs->changed(j->jobs);
	if (sd_event_add_time_relative(j->jobs->event, &j->linger, CLOCK_MONOTONIC, JOB_LINGER_USEC, 0, on_linger, j) <
	    0)
		lu_job_drop(j);
}
