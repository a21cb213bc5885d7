// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * luctl report --trace: the update as a trace that Perfetto and Chrome's viewer open, in the "Trace Event Format" (JSON).
 *
 * One time axis, in microseconds since the update began. The host is one process of the trace, with a thread for each
 * kernel's phases, and more of them where phases overlap, since slices of a thread must not. Each VM is a process: what was
 * done to it, and beside that the time for which it stood still, with what had been predicted of it.
 *
 * The writer is json-c's: it escapes what comes from elsewhere.
 */
#include <json-c/json.h>
#include <string.h>

#include "json.h"
#include "plot.h"

#define LANES_MAX 16 /* of phases that overlap */
#define HOST 1       /* the trace's process; the VMs come after it */

struct trace {
	struct json_object *events;
	int error; /* the first one */
};

static void check(struct trace *t, int r)
{
	t->error = t->error ?: r < 0 ? r : 0;
}

/* Of what is not there for want of memory nothing is written, nor are its members. */
static void put_text(struct trace *t, struct json_object *o, const char *key, const char *value)
{
	check(t, o ? lu_json_add_string(o, key, value) : -ENOMEM);
}

static void put_number(struct trace *t, struct json_object *o, const char *key, uint64_t value)
{
	check(t, o ? lu_json_add_uint(o, key, value) : -ENOMEM);
}

/* A new object as a member of another one, which owns it */
static struct json_object *put_object(struct trace *t, struct json_object *o, const char *key)
{
	struct json_object *member = o ? json_object_new_object() : NULL;
	int r = member ? lu_json_add(o, key, member) : -ENOMEM;

	check(t, r);
	return r < 0 ? NULL : member;
}

static struct json_object *event(struct trace *t, const char *kind, const char *what, uint64_t process, uint64_t thread)
{
	struct json_object *o = json_object_new_object();

	if (!o || json_object_array_add(t->events, o) < 0) {
		json_object_put(o);
		check(t, -ENOMEM);
		return NULL;
	}
	put_text(t, o, "ph", kind);
	put_text(t, o, "name", what);
	put_number(t, o, "pid", process);
	put_number(t, o, "tid", thread);
	return o;
}

/* @what: "process_name" or "thread_name" */
static void put_name(struct trace *t, const char *what, const char *name, uint64_t process, uint64_t thread)
{
	put_text(t, put_object(t, event(t, "M", what, process, thread), "args"), "name", name);
}

static struct json_object *slice(struct trace *t, const char *what, uint64_t process, uint64_t thread, uint64_t start,
				 uint64_t length)
{
	struct json_object *o = event(t, "X", what, process, thread);

	put_number(t, o, "ts", start);
	put_number(t, o, "dur", length);
	return o;
}

/* Each phase in the first thread that is free by then; returns the number of the thread after the last. */
static uint64_t put_phases(struct trace *t, const struct luctl_report *rep, bool new, uint64_t thread)
{
	uint64_t busy[LANES_MAX] = { 0 };
	unsigned int lanes = 0;

	for (const struct luctl_phase *p = luctl_report_phase_first(rep); p; p = luctl_report_phase_next(rep, p)) {
		unsigned int lane = 0;

		if (luctl_phase_in_new_kernel(p) != new)
			continue;
		while (lane + 1 < LANES_MAX && lane < lanes && busy[lane] > luctl_phase_start(p))
			lane++;
		if (lane == lanes) {
			put_name(t, "thread_name", new ? "new kernel" : "old kernel", HOST, thread + lane);
			lanes++;
		}
		busy[lane] = luctl_phase_start(p) + luctl_phase_duration(p);
		(void)slice(t, luctl_phase_name(p), HOST, thread + lane, luctl_phase_start(p), luctl_phase_duration(p));
	}
	return thread + lanes;
}

static void put_vm(struct trace *t, const struct luctl_vm_report *v, uint64_t process)
{
	struct json_object *args;

	put_name(t, "process_name", luctl_vm_report_name(v), process, 1);
	put_name(t, "thread_name", "what was done", process, 1);
	for (const struct luctl_phase *p = luctl_vm_report_phase_first(v); p; p = luctl_vm_report_phase_next(v, p))
		(void)slice(t, luctl_phase_name(p), process, 1, luctl_phase_start(p), luctl_phase_duration(p));
	if (luctl_vm_report_pause(v) == LUCTL_UNKNOWN || luctl_vm_report_blackout(v) == LUCTL_UNKNOWN)
		return;
	put_name(t, "thread_name", "stands still", process, 2);
	args = put_object(t, slice(t, "blackout", process, 2, luctl_vm_report_pause(v), luctl_vm_report_blackout(v)),
			  "args");
	put_text(t, args, "result", luctl_vm_report_result(v));
	if (luctl_vm_report_predicted(v) != LUCTL_UNKNOWN)
		put_number(t, args, "predicted_usec", luctl_vm_report_predicted(v));
}

int cli_trace(const struct luctl_report *rep, char **ret, size_t *ret_size)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct trace t = { .events = json_object_new_array() };
	struct json_object *other;
	uint64_t process = HOST;

	if (!o || !t.events || lu_json_add(o, "traceEvents", json_object_get(t.events)) < 0)
		t.error = -ENOMEM;
	json_object_put(t.events); /* it is o's */
	if (t.error)
		return t.error;
	put_text(&t, o, "displayTimeUnit", "ms");
	other = put_object(&t, o, "otherData");
	put_text(&t, other, "update", luctl_report_id(rep));
	put_text(&t, other, "result", luctl_report_result(rep));
	put_text(&t, other, "from", luctl_report_from(rep));
	put_text(&t, other, "to", luctl_report_to(rep));
	put_number(&t, other, "started_realtime_usec", luctl_report_started(rep));
	put_name(&t, "process_name", "host", HOST, 1);
	(void)put_phases(&t, rep, true, put_phases(&t, rep, false, 1));
	for (const struct luctl_vm_report *v = luctl_report_vm_first(rep); v; v = luctl_report_vm_next(rep, v))
		put_vm(&t, v, ++process);
	check(&t, t.error ?: lu_json_text(o, ret));
	if (!t.error)
		*ret_size = strlen(*ret);
	return t.error;
}
