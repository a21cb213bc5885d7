// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A stand-in for luctld: mock-luctld ADDRESS DIR serves org.luctl1 on that bus with
 * whatever lies in DIR. Its interface is held against schemas/org.luctl1.xml.
 *
 *	DIR/METHOD.json		what METHOD answers (GetStatus, ListVMs, …)
 *	DIR/METHOD.error	instead: name of the error, then its message
 *	DIR/job			what a job does, a line each:
 *				  progress STATE [DETAIL]
 *				  finish RESULT [WHAT|HINT]
 *				  cancel		wait for Cancel
 *				  hang			nothing more happens
 *				  exit			the daemon dies
 *				  rename FROM TO	of two files in DIR
 *				  eager			must be first: do all that follows before the reply
 *	DIR/journal		what OpenJournal opens
 *	DIR/committed		UUID BOOT-ID CALLS SUM that it says
 *	DIR/calls		written: every call with its arguments
 */
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "util.h"

#define STEP_USEC 20000u
#define JOB_PATH "/org/luctl1/job/7"
#define VM_PATH "/org/luctl1/vm/web1"

struct mock {
	sd_bus *bus;
	sd_event *event;
	int dir;
	FILE *script;
	bool cancelled;
	sd_event_source *timer;
};

static void log_call(struct mock *m, const char *fmt, ...) _printf_(2, 3);
static void log_call(struct mock *m, const char *fmt, ...)
{
	int fd = openat(m->dir, "calls", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	va_list ap;

	va_start(ap, fmt);
	vdprintf(fd, fmt, ap);
	va_end(ap);
	close(fd);
}

/* 0 if there is an error file: the call has been answered. */
static int answer_error(struct mock *m, sd_bus_message *call)
{
	_cleanup_free_ char *text = NULL;
	char name[64], *nl;

	snprintf(name, sizeof(name), "%s.error", sd_bus_message_get_member(call));
	if (lu_read_file(m->dir, name, 65536, &text, NULL) < 0)
		return 1;
	nl = strchr(text, '\n');
	if (!nl)
		return -EINVAL;
	*nl++ = '\0';
	nl[strcspn(nl, "") ? strlen(nl) - 1 : 0] = '\0';
	return sd_bus_reply_method_errorf(call, text, "%s", nl) < 0 ? -EIO : 0;
}

static int answer(struct mock *m, sd_bus_message *call, const char *types)
{
	_cleanup_free_ char *text = NULL;
	char name[64];
	int r;

	r = answer_error(m, call);
	if (r <= 0)
		return r;
	if (!*types)
		return sd_bus_reply_method_return(call, NULL);
	snprintf(name, sizeof(name), "%s.json", sd_bus_message_get_member(call));
	r = lu_read_file(m->dir, name, 16 << 20, &text, NULL);
	if (r < 0)
		return r;
	return sd_bus_reply_method_return(call, types, text);
}

static int on_plain(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct mock *m = userdata;

	log_call(m, "%s\n", sd_bus_message_get_member(call));
	return answer(m, call, strcmp(sd_bus_message_get_member(call), "Abort") == 0 ? "" : "s");
}

static int on_with_string(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const char *arg, *member = sd_bus_message_get_member(call);
	struct mock *m = userdata;
	int r = sd_bus_message_read(call, "s", &arg);

	if (r < 0)
		return r;
	log_call(m, "%s %s\n", member, arg);
	return answer(m, call, strcmp(member, "DescribeVM") == 0 || strcmp(member, "GetReportOf") == 0 ? "s" : "");
}

static int on_open_journal(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	char uuid[40] = "", boot_id[40] = "";
	unsigned long long calls = 0, sum = 0;
	_cleanup_free_ char *text = NULL;
	struct mock *m = userdata;
	const char *arg;
	int fd, r = sd_bus_message_read(call, "s", &arg);

	if (r < 0)
		return r;
	log_call(m, "OpenJournal %s\n", arg);
	r = answer_error(m, call);
	if (r <= 0)
		return r;
	fd = openat(m->dir, "journal", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (lu_read_file(m->dir, "committed", 256, &text, NULL) == 0)
		(void)sscanf(text, "%39s %39s %llu %llu", uuid, boot_id, &calls, &sum);
	r = sd_bus_reply_method_return(call, "hsstt", fd, uuid, boot_id, (uint64_t)calls, (uint64_t)sum);
	close(fd);
	return r;
}

static int log_plan(struct mock *m, sd_bus_message *call)
{
	const char *kernel, *key, *s;
	int r, b;

	r = sd_bus_message_read(call, "s", &kernel);
	if (r < 0)
		return r;
	log_call(m, "%s %s", sd_bus_message_get_member(call), kernel);
	r = sd_bus_message_enter_container(call, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(call, 'e', "sv")) > 0) {
		r = sd_bus_message_read(call, "s", &key);
		if (r < 0)
			return r;
		if (strcmp(key, "reuse-cmdline") == 0 || strcmp(key, "no-initrd") == 0 ||
		    strcmp(key, "rehearse") == 0) {
			r = sd_bus_message_read(call, "v", "b", &b);
			log_call(m, " %s=%d", key, b);
		} else if (strcmp(key, "max-blackout") == 0) {
			uint64_t usec;

			r = sd_bus_message_read(call, "v", "t", &usec);
			log_call(m, " max-blackout=%llu", (unsigned long long)usec);
		} else if (strcmp(key, "trial") == 0) {
			r = sd_bus_message_read(call, "v", "s", &s);
			log_call(m, " trial=%s", s);
		} else if (strcmp(key, "exclude") == 0) {
			r = sd_bus_message_enter_container(call, 'v', "as");
			if (r >= 0)
				r = sd_bus_message_enter_container(call, 'a', "s");
			while (r >= 0 && (r = sd_bus_message_read(call, "s", &s)) > 0)
				log_call(m, " %s=%s", key, s);
			if (r >= 0)
				r = sd_bus_message_exit_container(call);
			if (r >= 0)
				r = sd_bus_message_exit_container(call);
		} else if (strcmp(key, "kernel-fd") == 0 || strcmp(key, "initrd-fd") == 0) {
			char link[64], target[256] = "?";

			r = sd_bus_message_read(call, "v", "h", &b);
			snprintf(link, sizeof(link), "/proc/self/fd/%d", b);
			if (r >= 0 && readlink(link, target, sizeof(target) - 1) < 0)
				r = -errno;
			log_call(m, " %s=%s", key, target);
		} else {
			r = sd_bus_message_read(call, "v", "s", &s);
			log_call(m, " %s={%s}", key, r < 0 ? "?" : s);
		}
		if (r >= 0)
			r = sd_bus_message_exit_container(call);
	}
	log_call(m, "%s\n", sd_bus_message_get_allow_interactive_authorization(call) > 0 ? " (interactive)" : "");
	return r;
}

static int on_check(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct mock *m = userdata;
	int r = log_plan(m, call);

	return r < 0 ? r : answer(m, call, "s");
}

/* One line of the script; 1: there may be more, 0: stop for now. */
static int step(struct mock *m)
{
	char line[1024], *word, *rest, *more;

	if (!fgets(line, sizeof(line), m->script))
		return 0;
	line[strcspn(line, "\n")] = '\0';
	word = strtok_r(line, " ", &rest);
	if (!word)
		return 1;
	if (strcmp(word, "progress") == 0) {
		word = strtok_r(NULL, " ", &rest);
		(void)sd_bus_emit_signal(m->bus, JOB_PATH, "org.luctl1.Job", "Progress", "ss", word, rest);
	} else if (strcmp(word, "finish") == 0) {
		word = strtok_r(NULL, " ", &rest);
		more = strchr(rest, '|');
		if (more)
			*more++ = '\0';
		(void)sd_bus_emit_signal(m->bus, JOB_PATH, "org.luctl1.Job", "Finished", "sss", word, rest, more ?: "");
	} else if (strcmp(word, "rename") == 0) {
		word = strtok_r(NULL, " ", &rest);
		(void)renameat(m->dir, word, m->dir, rest);
	} else if (strcmp(word, "exit") == 0) {
		(void)sd_bus_flush(m->bus);
		_exit(0);
	} else if (strcmp(word, "hang") == 0) {
		return 0;
	} else if (strcmp(word, "cancel") == 0 && !m->cancelled) {
		/* Come back to this line until it is cancelled. */
		fseek(m->script, -7, SEEK_CUR);
	}
	return 1;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct mock *m = userdata;

	if (step(m) == 0)
		return 0;
	(void)sd_event_source_set_time_relative(s, STEP_USEC);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static int start_job(struct mock *m, sd_bus_message *call)
{
	char first[16];
	int fd, r;

	r = answer_error(m, call);
	if (r <= 0)
		return r;
	fd = openat(m->dir, "job", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	m->script = fdopen(fd, "r");
	if (fgets(first, sizeof(first), m->script) && strcmp(first, "eager\n") == 0) {
		while (step(m) > 0 && !feof(m->script))
			;
		return sd_bus_reply_method_return(call, "o", JOB_PATH);
	}
	rewind(m->script);
	r = sd_event_add_time_relative(m->event, &m->timer, CLOCK_MONOTONIC, STEP_USEC, 0, on_timer, m);
	return r < 0 ? r : sd_bus_reply_method_return(call, "o", JOB_PATH);
}

static int on_update(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct mock *m = userdata;
	int r = log_plan(m, call);

	return r < 0 ? r : start_job(m, call);
}

static int on_update_vmm(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct mock *m = userdata;
	const char *vm;
	int r = sd_bus_message_enter_container(call, 'a', "s");

	log_call(m, "UpdateVMM");
	while (r >= 0 && (r = sd_bus_message_read(call, "s", &vm)) > 0)
		log_call(m, " %s", vm);
	log_call(m, "\n");
	return r < 0 ? r : start_job(m, call);
}

static int on_restore(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct mock *m = userdata;
	const char *vm;
	int r = sd_bus_message_read(call, "s", &vm);

	if (r < 0)
		return r;
	log_call(m, "Restore %s\n", vm);
	return start_job(m, call);
}

static int on_cancel(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct mock *m = userdata;

	log_call(m, "Cancel\n");
	m->cancelled = true;
	return sd_bus_reply_method_return(call, NULL);
}

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
		    void *userdata, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "s", "");
}

static int get_zero(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
		    void *userdata, sd_bus_error *error)
{
	return strcmp(property, "API") == 0 ? sd_bus_message_append(reply, "u", 0u) :
					      sd_bus_message_append(reply, "t", UINT64_C(0));
}

static int get_job(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
		   void *userdata, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "o", JOB_PATH);
}

#define METHOD(_name, _in, _out, _function) \
	SD_BUS_METHOD_WITH_ARGS(_name, SD_BUS_ARGS _in, SD_BUS_ARGS _out, _function, SD_BUS_VTABLE_UNPRIVILEGED)

static const sd_bus_vtable manager[] = {
	SD_BUS_VTABLE_START(0),
	METHOD("Update", ("s", kernel, "a{sv}", options), ("o", job), on_update),
	METHOD("UpdateVMM", ("as", vms), ("o", job), on_update_vmm),
	METHOD("Check", ("s", kernel, "a{sv}", options), ("s", result), on_check),
	METHOD("Plan", ("s", kernel, "a{sv}", options), ("s", result), on_check),
	SD_BUS_METHOD("Abort", NULL, NULL, on_plain, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("GetStatus", SD_BUS_NO_ARGS, SD_BUS_ARGS("s", status), on_plain,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ListVMs", SD_BUS_NO_ARGS, SD_BUS_ARGS("s", vms), on_plain, SD_BUS_VTABLE_UNPRIVILEGED),
	METHOD("DescribeVM", ("s", vm), ("s", info), on_with_string),
	SD_BUS_METHOD_WITH_ARGS("AddVM", SD_BUS_ARGS("s", definition), SD_BUS_NO_RESULT, on_with_string,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("RemoveVM", SD_BUS_ARGS("s", vm), SD_BUS_NO_RESULT, on_with_string,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ForgetState", SD_BUS_ARGS("s", vm), SD_BUS_NO_RESULT, on_with_string,
				SD_BUS_VTABLE_UNPRIVILEGED),
	METHOD("Restore", ("s", vm), ("o", job), on_restore),
	METHOD("OpenJournal", ("s", vm), ("h", journal, "s", uuid, "s", boot_id, "t", calls, "t", sum),
	       on_open_journal),
	SD_BUS_METHOD_WITH_ARGS("GetReport", SD_BUS_NO_ARGS, SD_BUS_ARGS("s", report), on_plain,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ListReports", SD_BUS_NO_ARGS, SD_BUS_ARGS("s", reports), on_plain,
				SD_BUS_VTABLE_UNPRIVILEGED),
	METHOD("GetReportOf", ("s", update), ("s", report), on_with_string),
	SD_BUS_PROPERTY("State", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Version", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("API", "u", get_zero, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Job", "o", get_job, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_SIGNAL_WITH_ARGS("JobNew", SD_BUS_ARGS("o", job, "s", kind), 0),
	SD_BUS_SIGNAL_WITH_ARGS("JobRemoved", SD_BUS_ARGS("o", job, "s", kind, "s", result), 0),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable job[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Cancel", NULL, NULL, on_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY("Kind", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Begun", "t", get_zero, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Update", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("State", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Detail", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Done", "t", get_zero, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Total", "t", get_zero, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Expected", "t", get_zero, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Result", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("What", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Hint", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_SIGNAL_WITH_ARGS("Progress", SD_BUS_ARGS("s", state, "s", detail), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Finished", SD_BUS_ARGS("s", result, "s", what, "s", hint), 0),
	SD_BUS_VTABLE_END,
};

#define TEXT(_name, _flags) SD_BUS_PROPERTY(_name, "s", get_text, 0, _flags)

static int get_none(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
		    void *userdata, sd_bus_error *error)
{
	return strcmp(property, "Devices") == 0 ? sd_bus_message_append(reply, "as", 0) :
						  sd_bus_message_append(reply, "b", 0);
}

static const sd_bus_vtable vm[] = {
	SD_BUS_VTABLE_START(0),
	TEXT("Name", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	TEXT("UUID", SD_BUS_VTABLE_PROPERTY_CONST),
	TEXT("QMP", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	TEXT("Unit", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	TEXT("Policy", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	TEXT("State", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	TEXT("Reason", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	TEXT("Hint", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	TEXT("RestoredBy", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Updatable", "b", get_none, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("PID", "t", get_zero, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("RAM", "t", get_zero, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Devices", "as", get_none, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_VTABLE_END,
};

int main(int argc, char **argv)
{
	struct mock m = { 0 };
	int r;

	if (argc != 3)
		return 2;
	m.dir = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m.dir < 0)
		return 2;
	r = sd_event_default(&m.event);
	if (r >= 0)
		r = sd_bus_new(&m.bus);
	if (r >= 0)
		r = sd_bus_set_address(m.bus, argv[1]);
	if (r >= 0)
		r = sd_bus_set_bus_client(m.bus, 1);
	if (r >= 0)
		r = sd_bus_start(m.bus);
	if (r >= 0)
		r = sd_bus_add_object_vtable(m.bus, NULL, "/org/luctl1", "org.luctl1.Manager", manager, &m);
	if (r >= 0)
		r = sd_bus_add_object_vtable(m.bus, NULL, JOB_PATH, "org.luctl1.Job", job, &m);
	if (r >= 0)
		r = sd_bus_add_object_vtable(m.bus, NULL, VM_PATH, "org.luctl1.VM", vm, &m);
	if (r >= 0)
		r = sd_bus_request_name(m.bus, "org.luctl1", 0);
	if (r >= 0)
		r = sd_bus_attach_event(m.bus, m.event, 0);
	if (r >= 0) {
		puts("ready");
		fflush(stdout);
		r = sd_event_loop(m.event);
	}
	if (r < 0)
		fprintf(stderr, "mock-luctld: %s\n", strerror(-r));
	return r < 0;
}
