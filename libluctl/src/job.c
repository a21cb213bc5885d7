// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Jobs: long work of the daemon, watched by its signals.
 *
 * job_call() subscribes, then sends the call that starts the work, then takes the
 * job's path and the daemon's unique name from the reply.
 * Signals that came before the reply wait in sd-bus' queue, which is only read in
 * luctl_job_wait(), so none is lost. Signals are believed only if they come from the
 * connection that answered the call: on a system bus anybody may send one.
 *
 * Life:  begun ─ reply ─▶ watched ─ Finished ─▶ ended
 * Unhappy paths:
 *  1. the call fails: the job is freed, the subscriptions go with it
 *  2. the daemon loses its name: ended without a result, luctl_job_wait() fails with
 *     -ECONNRESET. It may be restarting, or the host may be about to jump
 *  3. the bus goes away (the jump, mostly): the same
 *  4. the time is over: -ETIMEDOUT, luctl_job_wait() can be called again
 *
 * Freeing a job stops the watching, not the work.
 *
 * luctl_job_attach() does the same to a job that is there already: it subscribes, then asks what the job is now.
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "luctl-internal.h"

struct luctl_job {
	struct luctl_ctx *ctx;
	sd_bus *bus; /* the connection it was begun on */
	sd_bus_slot *signals, *property_changes, *owner_changes;
	char *path, *owner;
	char *state, *detail, *update, *result, *what, *hint;
	uint64_t done, total, expected;
	bool lost;
	luctl_progress_fn progress;
	void *progress_userdata;
};

static bool replace(char **p, const char *s)
{
	char *copy = strdup(s);

	if (!copy)
		return false;
	free(*p);
	*p = copy;
	return true;
}

/* "a{sv}": what a job is now. What this library does not know it passes over. */
static int read_properties(struct luctl_job *job, sd_bus_message *m)
{
	const struct {
		const char *name;
		char **text;
		uint64_t *number;
	} known[] = {
		{ .name = "State", .text = &job->state },         { .name = "Detail", .text = &job->detail },
		{ .name = "Update", .text = &job->update },       { .name = "Result", .text = &job->result },
		{ .name = "What", .text = &job->what },           { .name = "Hint", .text = &job->hint },
		{ .name = "Done", .number = &job->done },         { .name = "Total", .number = &job->total },
		{ .name = "Expected", .number = &job->expected },
	};
	const char *name, *text;
	int r = sd_bus_message_enter_container(m, 'a', "{sv}");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		size_t i = 0;

		r = sd_bus_message_read(m, "s", &name);
		while (r >= 0 && i < ARRAY_SIZE(known) && strcmp(known[i].name, name) != 0)
			i++;
		if (r >= 0 && i == ARRAY_SIZE(known))
			r = sd_bus_message_skip(m, "v");
		else if (r >= 0 && known[i].number)
			r = sd_bus_message_read(m, "v", "t", known[i].number);
		else if (r >= 0) {
			r = sd_bus_message_read(m, "v", "s", &text);
			/* there is no result, and no error, before it ends */
			if (r >= 0 && (*text || known[i].text == &job->detail) && !replace(known[i].text, text))
				r = -ENOMEM;
		}
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static bool is_from(const struct luctl_job *job, sd_bus_message *m)
{
	const char *path = sd_bus_message_get_path(m), *sender = sd_bus_message_get_sender(m);

	return job->path && path && !strcmp(path, job->path) && sender && !strcmp(sender, job->owner);
}

/* Comes before the signals that stand for the same, so that these find numbers in their place. */
static int on_properties(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct luctl_job *job = userdata;
	const char *interface;

	if (is_from(job, m) && sd_bus_message_read(m, "s", &interface) >= 0 && !strcmp(interface, LU_BUS_JOB))
		(void)read_properties(job, m);
	return 0;
}

static int on_job_signal(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct luctl_job *job = userdata;
	const char *a, *b, *c;

	if (!is_from(job, m))
		return 0;
	if (sd_bus_message_is_signal(m, LU_BUS_JOB, "Progress")) {
		if (sd_bus_message_read(m, "ss", &a, &b) < 0)
			return 0;
		(void)replace(&job->state, a);
		(void)replace(&job->detail, b);
		if (job->progress)
			job->progress(job->progress_userdata, a, b);
	} else if (sd_bus_message_is_signal(m, LU_BUS_JOB, "Finished")) {
		if (sd_bus_message_read(m, "sss", &a, &b, &c) < 0)
			return 0;
		if (*b)
			(void)replace(&job->what, b);
		if (*c)
			(void)replace(&job->hint, c);
		if (!replace(&job->result, a))
			job->lost = true;
	}
	return 0;
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct luctl_job *job = userdata;
	const char *name, *old, *new;

	if (sd_bus_message_read(m, "sss", &name, &old, &new) < 0)
		return 0;
	if (strcmp(name, LU_BUS_NAME) == 0 && job->owner && strcmp(old, job->owner) == 0)
		job->lost = true;
	return 0;
}

static int job_begin(struct luctl_ctx *ctx, struct luctl_job **ret)
{
	_cleanup_(luctl_job_freep) struct luctl_job *job = calloc(1, sizeof(*job));
	int r;

	if (!job)
		return ctx_fail_oom(ctx);
	job->ctx = ctx;
	job->bus = sd_bus_ref(ctx->bus);
	job->state = strdup("");
	job->detail = strdup("");
	if (!job->state || !job->detail)
		return ctx_fail_oom(ctx);
	r = sd_bus_add_match(ctx->bus, &job->signals,
			     "type='signal',interface='" LU_BUS_JOB "',path_namespace='" LU_BUS_PATH "/job'",
			     on_job_signal, job);
	if (r >= 0)
		r = sd_bus_add_match(ctx->bus, &job->property_changes,
				     "type='signal',interface='org.freedesktop.DBus.Properties',"
				     "member='PropertiesChanged',path_namespace='" LU_BUS_PATH "/job',arg0='" LU_BUS_JOB
				     "'",
				     on_properties, job);
	if (r >= 0)
		r = sd_bus_add_match(ctx->bus, &job->owner_changes,
				     "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
				     "member='NameOwnerChanged',arg0='" LU_BUS_NAME "'",
				     on_owner_changed, job);
	if (r < 0)
		return ctx_fail_bus(ctx, r, NULL);
	*ret = steal_ptr(job);
	return 0;
}

static int job_started(struct luctl_job *job, sd_bus_message *reply)
{
	const char *path, *sender = sd_bus_message_get_sender(reply);
	int r;

	r = sd_bus_message_read(reply, "o", &path);
	if (r < 0)
		return ctx_fail_bus(job->ctx, r, NULL);
	if (!sender)
		return ctx_fail(job->ctx, -EPROTO, NULL, "the bus does not name the sender of a reply");
	job->path = strdup(path);
	job->owner = strdup(sender);
	if (!job->path || !job->owner)
		return ctx_fail_oom(job->ctx);
	return 0;
}

int job_call(struct luctl_ctx *ctx, sd_bus_message *m, struct luctl_job **ret)
{
	_cleanup_(luctl_job_freep) struct luctl_job *job = NULL;
	_cleanup_message_ sd_bus_message *reply = NULL;
	int r;

	r = job_begin(ctx, &job);
	if (r < 0)
		return r;
	r = call_send(ctx, m, &reply);
	if (r < 0)
		return r;
	r = job_started(job, reply);
	if (r < 0)
		return r;
	*ret = steal_ptr(job);
	return 0;
}

static int running_job(struct luctl_ctx *ctx, char **ret)
{
	_cleanup_message_ sd_bus_message *m = NULL, *reply = NULL;
	const char *path;
	int r = call_new(ctx, LU_BUS_PATH, "org.freedesktop.DBus.Properties", "Get", false, &m);

	if (r < 0)
		return r;
	r = sd_bus_message_append(m, "ss", LU_BUS_MANAGER, "Job");
	if (r < 0)
		return ctx_fail_bus(ctx, r, NULL);
	r = call_send(ctx, m, &reply);
	if (r < 0)
		return r;
	r = sd_bus_message_read(reply, "v", "o", &path);
	if (r < 0)
		return ctx_fail_bus(ctx, r, NULL);
	if (strcmp(path, "/") == 0)
		return ctx_fail(ctx, -ENOENT, NULL, "no job is under way");
	*ret = strdup(path);
	return *ret ? 0 : ctx_fail_oom(ctx);
}

PUBLIC int luctl_job_attach(struct luctl_ctx *ctx, const char *path, struct luctl_job **ret_job)
{
	_cleanup_(luctl_job_freep) struct luctl_job *job = NULL;
	_cleanup_message_ sd_bus_message *m = NULL, *reply = NULL;
	_cleanup_free_ char *found = NULL;
	const char *sender;
	int r;

	ctx_begin(ctx);
	if (!path) {
		r = running_job(ctx, &found);
		if (r < 0)
			return r;
		path = found;
	}
	r = ctx_need_bus(ctx);
	if (r >= 0)
		r = job_begin(ctx, &job);
	if (r >= 0)
		r = call_new(ctx, path, "org.freedesktop.DBus.Properties", "GetAll", false, &m);
	if (r < 0)
		return r;
	r = sd_bus_message_append(m, "s", LU_BUS_JOB);
	if (r < 0)
		return ctx_fail_bus(ctx, r, NULL);
	r = call_send(ctx, m, &reply);
	if (r < 0) {
		const char *name = luctl_last_error_name(ctx);

		if (!name || (strcmp(name, SD_BUS_ERROR_UNKNOWN_OBJECT) != 0 &&
			      strcmp(name, SD_BUS_ERROR_UNKNOWN_INTERFACE) != 0))
			return r;
		ctx_begin(ctx);
		return ctx_fail(ctx, -ENOENT, "luctl status tells how the last update ended",
				"%s: there is no such job (any more)", path);
	}
	sender = sd_bus_message_get_sender(reply);
	if (!sender)
		return ctx_fail(ctx, -EPROTO, NULL, "the bus does not name the sender of a reply");
	job->path = strdup(path);
	job->owner = strdup(sender);
	if (!job->path || !job->owner)
		return ctx_fail_oom(ctx);
	r = read_properties(job, reply);
	if (r < 0)
		return ctx_fail_bus(ctx, r, NULL);
	*ret_job = steal_ptr(job);
	return 0;
}

PUBLIC void luctl_job_set_progress(struct luctl_job *job, luctl_progress_fn progress, void *userdata)
{
	job->progress = progress;
	job->progress_userdata = userdata;
}

PUBLIC bool luctl_job_lost(const struct luctl_job *job)
{
	return !job->result && (job->lost || sd_bus_is_open(job->bus) <= 0);
}

static int fail_lost(struct luctl_job *job)
{
	job->lost = true;
	job->ctx->unreachable = true;
	return ctx_fail(job->ctx, -ECONNRESET,
			"luctl status --wait waits until it is back; luctl report tells the result",
			"luctld went away%s%s", *job->state ? " while " : "", job->state);
}

PUBLIC int luctl_job_wait(struct luctl_job *job, luctl_progress_fn progress, void *userdata, uint64_t timeout_usec)
{
	uint64_t begin = lu_clock_ns(CLOCK_MONOTONIC) / 1000;
	int r;

	ctx_begin(job->ctx);
	job->progress = progress;
	job->progress_userdata = userdata;
	for (;;) {
		uint64_t spent;

		if (job->result)
			return 0;
		if (job->lost)
			return fail_lost(job);
		r = sd_bus_process(job->bus, NULL);
		if (r < 0)
			return fail_lost(job);
		if (r > 0)
			continue;
		spent = lu_clock_ns(CLOCK_MONOTONIC) / 1000 - begin;
		if (spent >= timeout_usec)
			return ctx_fail(job->ctx, -ETIMEDOUT, "luctl status tells how far it is",
					"the job has not ended yet (%s)", job->state);
		r = sd_bus_wait(job->bus, timeout_usec == LUCTL_FOREVER ? UINT64_MAX : timeout_usec - spent);
		if (r < 0 && r != -EINTR)
			return fail_lost(job);
	}
}

PUBLIC int luctl_job_cancel(struct luctl_job *job)
{
	_cleanup_message_ sd_bus_message *m = NULL;
	int r;

	ctx_begin(job->ctx);
	r = call_new(job->ctx, job->path, LU_BUS_JOB, "Cancel", true, &m);
	if (r < 0)
		return r;
	return call_send(job->ctx, m, NULL);
}

PUBLIC void luctl_job_free(struct luctl_job *job)
{
	if (!job)
		return;
	sd_bus_slot_unref(job->signals);
	sd_bus_slot_unref(job->property_changes);
	sd_bus_slot_unref(job->owner_changes);
	sd_bus_unref(job->bus);
	free(job->path);
	free(job->owner);
	free(job->state);
	free(job->detail);
	free(job->update);
	free(job->result);
	free(job->what);
	free(job->hint);
	free(job);
}

PUBLIC const char *luctl_job_path(const struct luctl_job *job)
{
	return job->path;
}

PUBLIC const char *luctl_job_state(const struct luctl_job *job)
{
	return job->state;
}

PUBLIC const char *luctl_job_result(const struct luctl_job *job)
{
	return job->result;
}

PUBLIC const char *luctl_job_detail(const struct luctl_job *job)
{
	return job->detail;
}

PUBLIC const char *luctl_job_update_id(const struct luctl_job *job)
{
	return job->update;
}

PUBLIC uint64_t luctl_job_done(const struct luctl_job *job)
{
	return job->done;
}

PUBLIC uint64_t luctl_job_total(const struct luctl_job *job)
{
	return job->total;
}

PUBLIC uint64_t luctl_job_expected(const struct luctl_job *job)
{
	return job->expected ?: LUCTL_UNKNOWN;
}

PUBLIC const char *luctl_job_error(const struct luctl_job *job)
{
	return job->what;
}

PUBLIC const char *luctl_job_hint(const struct luctl_job *job)
{
	return job->hint;
}

PUBLIC int luctl_restore(struct luctl_ctx *ctx, const char *vm, struct luctl_job **ret_job)
{
	_cleanup_message_ sd_bus_message *m = NULL;
	int r;

	ctx_begin(ctx);
	r = call_new(ctx, LU_BUS_PATH, LU_BUS_MANAGER, "Restore", true, &m);
	if (r < 0)
		return r;
	r = sd_bus_message_append(m, "s", vm);
	if (r < 0)
		return ctx_fail_bus(ctx, r, NULL);
	return job_call(ctx, m, ret_job);
}

PUBLIC int luctl_abort(struct luctl_ctx *ctx)
{
	_cleanup_message_ sd_bus_message *m = NULL;
	int r;

	ctx_begin(ctx);
	r = call_new(ctx, LU_BUS_PATH, LU_BUS_MANAGER, "Abort", true, &m);
	if (r < 0)
		return r;
	return call_send(ctx, m, NULL);
}
