// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * luctl metrics: what luctld knows, in Prometheus' text format (version 0.0.4), for node-exporter's textfile collector.
 *
 * All samples of a metric stand together, after one HELP and one TYPE line. What is not known has no sample, and no
 * zero in its place. A luctld that does not answer is a sample, too (luctl_up 0), so that the absence can be alerted on: the
 * file is written then, and the exit code says that it could not be reached.
 *
 * With --output the file is replaced by rename(2), so that the collector sees the old one or the new one.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "clock.h"

#define USEC 1e6

struct metrics {
	FILE *f;
	const char *name; /* of the metric that samples are written of */
};

static void metric(struct metrics *m, const char *name, const char *help)
{
	m->name = name;
	fprintf(m->f, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

/* A label's value: the format escapes these three. Control characters were never let in by the documents' decoder. */
static void label(struct metrics *m, const char *name, const char *value, char before)
{
	fprintf(m->f, "%c%s=\"", before, name);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", m->f);
		else if (*value == '\\' || *value == '"')
			fprintf(m->f, "\\%c", *value);
		else
			fputc(*value, m->f);
	}
	fputc('"', m->f);
}

/* @labels: name, value, …, NULL. A label without a value is left out. */
static void sample(struct metrics *m, double value, const char *const *labels)
{
	char before = '{';

	fputs(m->name, m->f);
	for (; labels && labels[0]; labels += 2) {
		if (!labels[1])
			continue;
		label(m, labels[0], labels[1], before);
		before = ',';
	}
	fprintf(m->f, "%s %.16g\n", before == ',' ? "}" : "", value);
}

#define LABELS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void one(struct metrics *m, const char *name, const char *help, double value)
{
	metric(m, name, help);
	sample(m, value, NULL);
}

/* Microseconds, if they are known */
static void seconds(struct metrics *m, const char *name, const char *help, uint64_t usec)
{
	if (usec != LUCTL_UNKNOWN)
		one(m, name, help, (double)usec / USEC);
}

/* Of a state that is one of several: a sample for each, one of which is 1 */
static void states(struct metrics *m, const char *label_name, const char *const *all, const char *is)
{
	for (; *all; all++)
		sample(m, is && strcmp(*all, is) == 0, LABELS(label_name, *all));
}

static const char *const results[] = { "success", "aborted", "degraded", NULL };
static const char *const vm_states[] = { "running", "paused", "unreachable", "saved", "lost", NULL };

static void put_status(struct metrics *m, const struct luctl_status *s)
{
	metric(m, "luctl_info", "The daemon and the kernel that runs.");
	sample(m, 1, LABELS("daemon", luctl_status_daemon(s), "kernel", luctl_status_kernel(s)));
	metric(m, "luctl_update_state", "The update's state; the label is the state.");
	sample(m, 1, LABELS("state", luctl_status_state(s)));
	one(m, "luctl_update_running", "1 while an update is under way.", luctl_status_updating(s));
	if (luctl_status_updating(s))
		one(m, "luctl_update_started_timestamp_seconds", "When the update under way began.",
		    (double)luctl_status_update_since(s) / USEC);
	one(m, "luctl_pkernfs_mounted", "1 if the file system that survives kexec is mounted.",
	    luctl_status_pkernfs_mounted(s));
	if (luctl_status_pkernfs_mounted(s)) {
		one(m, "luctl_pkernfs_size_bytes", "Size of the file system that survives kexec.",
		    (double)luctl_status_pkernfs_size(s));
		one(m, "luctl_pkernfs_free_bytes", "What is free of it; VMs' states are saved there.",
		    (double)luctl_status_pkernfs_free(s));
	}
	if (luctl_status_pkernfs_bad_pages(s) != LUCTL_UNKNOWN)
		one(m, "luctl_pkernfs_bad_pages", "Pages of 4 KiB in it that the machine has reported as bad memory.",
		    (double)luctl_status_pkernfs_bad_pages(s));
}

static void put_vms(struct metrics *m, const struct luctl_vms *vms)
{
	metric(m, "luctl_vms", "VMs by state; saved: its state waits to be restored, lost: its state is gone.");
	for (const char *const *state = vm_states; *state; state++) {
		unsigned int n = 0;

		for (const struct luctl_vm *vm = luctl_vms_first(vms); vm; vm = luctl_vms_next(vms, vm))
			n += strcmp(luctl_vm_state(vm), *state) == 0;
		sample(m, n, LABELS("state", *state));
	}
	metric(m, "luctl_vm_state", "The VM's state; the label is the state.");
	for (const struct luctl_vm *vm = luctl_vms_first(vms); vm; vm = luctl_vms_next(vms, vm))
		sample(m, 1, LABELS("vm", luctl_vm_name(vm), "state", luctl_vm_state(vm)));
	metric(m, "luctl_vm_updatable", "1 if the VM can go along in an update.");
	for (const struct luctl_vm *vm = luctl_vms_first(vms); vm; vm = luctl_vms_next(vms, vm))
		sample(m, luctl_vm_updatable(vm), LABELS("vm", luctl_vm_name(vm)));
}

static void put_vm_seconds(struct metrics *m, const struct luctl_report *rep, const char *name, const char *help,
			   uint64_t (*get)(const struct luctl_vm_report *vm))
{
	metric(m, name, help);
	for (const struct luctl_vm_report *v = luctl_report_vm_first(rep); v; v = luctl_report_vm_next(rep, v))
		if (get(v) != LUCTL_UNKNOWN)
			sample(m, (double)get(v) / USEC, LABELS("vm", luctl_vm_report_name(v)));
}

static void put_report(struct metrics *m, const struct luctl_report *rep)
{
	metric(m, "luctl_last_update_info", "The last update.");
	sample(m, 1,
	       LABELS("id", luctl_report_id(rep), "kind", luctl_report_kind(rep), "rehearsal",
		      luctl_report_rehearsal(rep) ? "true" : "false", "from", luctl_report_from(rep), "to",
		      luctl_report_to(rep) ?: ""));
	metric(m, "luctl_last_update_result", "How the last update ended: 1 for the result that it had.");
	states(m, "result", results, luctl_report_result(rep));
	one(m, "luctl_last_update_started_timestamp_seconds", "When the last update began.",
	    (double)luctl_report_started(rep) / USEC);
	seconds(m, "luctl_last_update_duration_seconds", "How long the last update took.", luctl_report_duration(rep));
	seconds(m, "luctl_last_update_blackout_seconds", "How long the VM stood still that did so longest.",
		luctl_report_blackout(rep));
	seconds(m, "luctl_last_update_predicted_blackout_seconds", "What had been predicted of that.",
		luctl_report_predicted(rep));
	put_vm_seconds(m, rep, "luctl_vm_last_blackout_seconds", "How long the VM stood still in the last update.",
		       luctl_vm_report_blackout);
	put_vm_seconds(m, rep, "luctl_vm_last_predicted_blackout_seconds", "What had been predicted of that.",
		       luctl_vm_report_predicted);
	metric(m, "luctl_vm_clock_behind_seconds", "By how much the guest's time of day was behind after it.");
	for (const struct luctl_vm_report *v = luctl_report_vm_first(rep); v; v = luctl_report_vm_next(rep, v))
		if (luctl_vm_report_clock(v))
			sample(m, (double)luctl_vm_report_clock_behind(v) / USEC,
			       LABELS("vm", luctl_vm_report_name(v)));
}

static bool no_report_yet(struct cli *cli)
{
	const char *name = luctl_last_error_name(cli->ctx);

	return name && strcmp(name, "System.Error.ENODATA") == 0;
}

/* Writes all that there is; what fails is told, and the rest is still written. Returns the exit code. */
static int put_all(struct cli *cli, struct metrics *m)
{
	_cleanup_(luctl_status_freep) struct luctl_status *status = NULL;
	_cleanup_(luctl_vms_freep) struct luctl_vms *vms = NULL;
	_cleanup_(luctl_report_freep) struct luctl_report *rep = NULL;
	int code = EXIT_OK;

	if (luctl_connect(cli->ctx, cli_value(cli, "bus")) < 0 || luctl_status_get(cli->ctx, &status) < 0)
		code = cli_error_ctx(cli);
	one(m, "luctl_up", "1 if luctld answered.", status != NULL);
	one(m, "luctl_metrics_timestamp_seconds", "When these metrics were made.",
	    (double)(lu_clock_ns(CLOCK_REALTIME) / 1000000) / 1e3);
	if (!status)
		return code;
	put_status(m, status);
	if (luctl_vms_get(cli->ctx, &vms) < 0)
		code = cli_error_ctx(cli);
	else
		put_vms(m, vms);
	if (luctl_report_get(cli->ctx, &rep) >= 0)
		put_report(m, rep);
	else if (!no_report_yet(cli))
		code = cli_error_ctx(cli);
	return code;
}

int verb_metrics(struct cli *cli)
{
	const char *output = cli_value(cli, "output");
	_cleanup_free_ char *text = NULL;
	struct metrics m = { 0 };
	size_t size = 0;
	int code, r;

	if (cli->json)
		return cli_error(cli, EXIT_USAGE, "luctl status, vm list and report print JSON",
				 "metrics are in Prometheus' text format, not in JSON");
	m.f = open_memstream(&text, &size);
	if (!m.f)
		return cli_error(cli, EXIT_FAILED, NULL, "out of memory");
	code = put_all(cli, &m);
	if (fclose(m.f) != 0)
		return cli_error(cli, EXIT_FAILED, NULL, "out of memory");
	if (!output) {
		fwrite(text, 1, size, stdout);
		return code;
	}
	r = lu_write_file(AT_FDCWD, output, text, size, 0644);
	if (r < 0)
		return cli_error(cli, EXIT_FAILED, "is its folder there, and may this user write to it?", "%s: %s",
				 output, strerror(-r));
	return code;
}
