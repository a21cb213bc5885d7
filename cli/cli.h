/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What the verbs of luctl share. A verb is a row of the table in verbs.c: dispatch,
 * --help, completion and `luctl help --json` all come from it. A verb gets what was
 * typed, calls libluctl and returns an exit code.
 */
#include "luctl/luctl.h"
#include "util.h"

/* Exit codes; the list for people is cli_exit_codes in verbs.c. */
enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_REFUSED = 3,
	EXIT_UNREACHABLE = 4,
	EXIT_ABORTED = 5,
	EXIT_DEGRADED = 6,
	EXIT_DENIED = 7,
};

struct cli;

struct cli_option {
	const char *name; /* without dashes */
	const char *arg;  /* name of its argument, NULL: it is a flag */
	const char *help;
	bool repeat;
	char letter; /* short form; 0: none */
};

struct cli_verb {
	const char *name; /* one word, or two */
	const char *args; /* for the synopsis, NULL: none */
	const char *help; /* one line */
	int (*run)(struct cli *cli);
	int min_args, max_args;
	bool no_bus;                      /* needs no connection */
	const struct cli_option *options; /* ends with a NULL name; may be NULL */
	const char *about;                /* more lines for its --help; may be NULL */
};

#define CLI_ARGS_MAX 4096 /* any number */

struct cli_exit_code {
	int code;
	const char *help;
};

extern const struct cli_verb cli_verbs[];            /* ends with a NULL name */
extern const struct cli_option cli_global_options[]; /* likewise */
extern const struct cli_exit_code cli_exit_codes[];  /* ends with a NULL help */

struct cli_value {
	const struct cli_option *option;
	const char *value; /* NULL for a flag */
};

struct cli {
	struct luctl_ctx *ctx;
	const struct cli_verb *verb; /* NULL: none was given */
	bool json;
	bool helped;               /* a group of verbs was explained: nothing is left to do */
	bool color_out, color_err; /* is that stream a terminal that wants colours? */
	size_t width, width_err;   /* of the terminal; 0: it is none, and nothing is cut or folded */
	int n_args;
	char **args;
	struct cli_value *values;
	size_t n_values;
	char update_id[37]; /* of the update that this command began; empty: none yet */
	uint64_t back_usec; /* after the last jump, until luctld answered again; 0: not known */
};

/* args.c */
/** cli_parse() - understand the command line; 0, or the exit code of what was wrong, which has been told */
int cli_parse(struct cli *cli, int argc, char **argv);
bool cli_flag(const struct cli *cli, const char *name);
/** cli_value() - the last one given, or NULL */
const char *cli_value(const struct cli *cli, const char *name);
/** cli_value_each() - walk over a repeated option; start with *@i = 0; NULL at the end */
const char *cli_value_each(const struct cli *cli, const char *name, size_t *i);
void cli_clear(struct cli *cli);

/* output.c */
/** cli_error() - "luctl: …" and "hint: …" on stderr; returns @code */
int cli_error(struct cli *cli, int code, const char *hint, const char *fmt, ...) _printf_(4, 5);
/** cli_error_ctx() - the same with the library's last error; returns the exit code that fits it */
int cli_error_ctx(struct cli *cli);
/** cli_safe() - copy without control characters, for a terminal; free() it */
char *cli_safe(const char *s);
/** cli_print_json() - a document, with a newline at its end */
void cli_print_json(const char *json);
/** cli_result() - the exit code that tells how an update ended; @result: as in its report, or NULL */
int cli_result(const char *result);
/** cli_outcome() - with --json: the document of a changing verb. Returns @code, changed if that failed */
int cli_outcome(struct cli *cli, int code, const char *result, const char *what, const char *hint);
/** cli_bytes() - "1.5 GiB" */
const char *cli_bytes(uint64_t n, char buf[32]);
/** cli_usec() - "3.190 s"; "-" for LUCTL_UNKNOWN */
const char *cli_usec(uint64_t usec, char buf[32]);
/** cli_time() - local time of CLOCK_REALTIME in µs */
const char *cli_time(uint64_t usec, char buf[64]);
/** cli_line() - "Name:     value" on stdout, without control characters, folded to the terminal's width */
void cli_line(struct cli *cli, const char *name, const char *fmt, ...) _printf_(3, 4);
/** cli_width_of() - how many columns of a terminal a text takes */
size_t cli_width_of(const char *s);
/**
 * cli_folded() - copy of a text that is broken at blanks; free() it
 * @width: of the terminal; 0: it is not broken
 * @at: column in which it begins
 * @indent: blanks at the start of each further line
 */
char *cli_folded(const char *s, size_t width, size_t at, size_t indent);
/** cli_say() - a line on stdout that begins with @indent blanks, without control characters, folded */
void cli_say(struct cli *cli, size_t indent, const char *fmt, ...) _printf_(3, 4);
enum cli_color {
	COLOR_NONE,
	COLOR_GOOD,
	COLOR_WARN,
	COLOR_BAD,
	COLOR_DIM
};
const char *cli_color(bool on, enum cli_color color);
const char *cli_color_off(bool on);

/* job.c */
/** cli_job_run() - show a job's progress until it ends; prints errors and outcome; returns the exit code */
int cli_job_run(struct cli *cli, struct luctl_job *job);

/* update.c, used by check.c too */
/** cli_plan() - a plan from --kernel, --initrd, …; 0 or an exit code, told. @may_lack_kernel: --kernel may be missing */
int cli_plan(struct cli *cli, bool may_lack_kernel, struct luctl_plan **ret);

/* check.c, used by plan.c and update.c too */
void cli_finding(struct cli *cli, const struct luctl_finding *f);

/* help.c */
void cli_help(struct cli *cli);
/** cli_help_group() - the verbs that begin with this word, such as "vm"; false: there are none */
bool cli_help_group(const char *word);

/* The verbs, one file each. */
int verb_abort(struct cli *cli);
int verb_bugreport(struct cli *cli);
int verb_check(struct cli *cli);
int verb_help(struct cli *cli);
int verb_pkernfs_show(struct cli *cli);
int verb_pkernfs_verify(struct cli *cli);
int verb_pkernfs_set_blocks(struct cli *cli);
int verb_journal_show(struct cli *cli);
int verb_journal_verify(struct cli *cli);
int verb_metrics(struct cli *cli);
int verb_plan(struct cli *cli);
int verb_report(struct cli *cli);
int verb_restore(struct cli *cli);
int verb_status(struct cli *cli);
int verb_update(struct cli *cli);
int verb_vm_add(struct cli *cli);
int verb_vm_forget(struct cli *cli);
int verb_vm_list(struct cli *cli);
int verb_vm_remove(struct cli *cli);
int verb_vm_show(struct cli *cli);

DEFINE_CLEANUP(struct luctl_status *, luctl_status_free)
DEFINE_CLEANUP(struct luctl_vms *, luctl_vms_free)
DEFINE_CLEANUP(struct luctl_vm *, luctl_vm_free)
DEFINE_CLEANUP(struct luctl_plan *, luctl_plan_free)
DEFINE_CLEANUP(struct luctl_check *, luctl_check_free)
DEFINE_CLEANUP(struct luctl_job *, luctl_job_free)
DEFINE_CLEANUP(struct luctl_judgement *, luctl_judgement_free)
DEFINE_CLEANUP(struct luctl_report *, luctl_report_free)
DEFINE_CLEANUP(struct luctl_reports *, luctl_reports_free)
DEFINE_CLEANUP(struct luctl_pkernfs *, luctl_pkernfs_free)
DEFINE_CLEANUP(struct luctl_journal *, luctl_journal_free)
