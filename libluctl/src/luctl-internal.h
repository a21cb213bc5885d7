/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* What the files of the library share. Nothing here is visible outside. */
#include <signal.h>
#include <syslog.h>
#include <systemd/sd-bus.h>

#include "doc-bus.h"
#include "doc-report.h"
#include "luctl/luctl.h"

#define PUBLIC __attribute__((visibility("default")))

#define LU_BUS_NAME "org.luctl1"
#define LU_BUS_PATH "/org/luctl1"
#define LU_BUS_MANAGER "org.luctl1.Manager"
#define LU_BUS_JOB "org.luctl1.Job"
#define LU_BUS_REFUSED "org.luctl1.Error.Refused"

#define _cleanup_message_ _cleanup_(sd_bus_message_unrefp)
#define _cleanup_bus_error_ _cleanup_(sd_bus_error_free)

struct luctl_ctx {
	sd_bus *bus;
	char *address; /* NULL: the system bus */
	bool connected_once;
	bool interactive;
	uint64_t timeout; /* 0: default */
	bool slow;        /* this call may take minutes */
	luctl_log_fn log;
	void *log_userdata;
	struct lu_error error;
	char *error_name;
	bool unreachable;
};

struct luctl_status {
	struct lu_doc_status doc;
	char *json;
};

struct luctl_vms {
	struct lu_doc_vms doc;
	char *json;
};

struct luctl_plan {
	struct luctl_ctx *ctx;
	char *kernel; /* NULL: for a judgement only */
	char *initrd, *cmdline;
	bool reuse, no_initrd;
	enum luctl_trial trial;
	uint64_t max_blackout; /* microseconds; 0: any */
	char **exclude;
	size_t n_exclude;
};

struct luctl_check {
	struct lu_doc_check doc;
	char *json;
};

struct luctl_judgement {
	struct lu_doc_plan doc;
	char *json;
};

struct luctl_report {
	struct lu_doc_report doc;
	char *json;
};

struct luctl_reports {
	struct lu_doc_reports doc;
	char *json;
};

/* ctx.c */
void ctx_log(struct luctl_ctx *ctx, int priority, const char *fmt, ...) _printf_(3, 4);
/** ctx_begin() - a public call starts: forget the last error */
void ctx_begin(struct luctl_ctx *ctx);
/** ctx_fail() - note an error of our own; returns @code */
int ctx_fail(struct luctl_ctx *ctx, int code, const char *hint, const char *fmt, ...) _printf_(4, 5);
/** ctx_fail_oom() - returns -ENOMEM */
int ctx_fail_oom(struct luctl_ctx *ctx);
/** ctx_need_bus() - 0, or -ENOTCONN with words; reconnects if the connection broke */
int ctx_need_bus(struct luctl_ctx *ctx);

/* call.c */
/** ctx_fail_bus() - note what a call was answered with, or why it was not; returns a negative errno */
int ctx_fail_bus(struct luctl_ctx *ctx, int r, const sd_bus_error *error);
/** call_new() - begin a method call on @path; @changes: it changes something, so polkit may ask */
int call_new(struct luctl_ctx *ctx, const char *path, const char *interface, const char *member, bool changes,
	     sd_bus_message **ret);
/** call_send() - send and wait; @ret_reply may be NULL */
int call_send(struct luctl_ctx *ctx, sd_bus_message *m, sd_bus_message **ret_reply);
/**
 * call_document() - send, and decode the document in the reply
 * @ret_json: its text; free() it
 */
int call_document(struct luctl_ctx *ctx, sd_bus_message *m, const struct lu_json_table *table, void *ret,
		  char **ret_json);

/* plan.c */
/** plan_append() - "sa{sv}", the arguments of Update, Check and Plan; @rehearse for Update alone */
int plan_append(const struct luctl_plan *plan, bool rehearse, sd_bus_message *m);

/* job.c */
/** job_call() - send @m, which starts a job and is answered by its path ("o"): the job, listened to from before the call on */
int job_call(struct luctl_ctx *ctx, sd_bus_message *m, struct luctl_job **ret);
DEFINE_CLEANUP(struct luctl_job *, luctl_job_free)
DEFINE_CLEANUP(struct luctl_pkernfs *, luctl_pkernfs_free)
DEFINE_CLEANUP(struct luctl_journal *, luctl_journal_free)
