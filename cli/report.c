// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * luctl report: what happened in the last update, or in one that is named; and which ones there were. The picture has one scale for the phases of both kernels and for
 * the time in which each VM stood still: the time around the blackouts, which is what one wants to see of an update that takes ten
 * times as long. '=' is a phase in the old kernel, '#' one in the new, 'x' the time in which a VM stood still, '<' and
 * '>' what lies beyond the picture.
 */
#include <stdio.h>
#include <string.h>
#include <sys/param.h>

#include "plot.h"
#include "table.h"

#define BAR_PIPE 40 /* where no terminal says how much room there is */
#define BAR_MAX 120

/* Around the blackouts, if there are any, with a tenth on both sides; else all of it. */
static struct cli_span look_at(const struct luctl_report *rep)
{
	struct cli_span all = { 0, luctl_report_duration(rep) }, s = { UINT64_MAX, 0 };
	uint64_t margin;

	for (const struct luctl_vm_report *v = luctl_report_vm_first(rep); v; v = luctl_report_vm_next(rep, v)) {
		uint64_t from = luctl_vm_report_pause(v), length = luctl_vm_report_blackout(v);

		if (from == LUCTL_UNKNOWN || length == LUCTL_UNKNOWN || from > all.to || length > all.to - from)
			continue;
		s.from = from < s.from ? from : s.from;
		s.to = from + length > s.to ? from + length : s.to;
	}
	if (s.from >= s.to)
		return all;
	margin = (s.to - s.from) / 10;
	s.from -= s.from > margin ? margin : s.from;
	s.to += all.to - s.to > margin ? margin : all.to - s.to;
	return s;
}

/* What of it can be seen; '<' and '>': it goes on beyond the picture. @buf: as wide as the picture, and a zero */
static const char *bar(uint64_t start, uint64_t length, const struct cli_span *s, char mark, size_t width, char *buf)
{
	uint64_t end, whole = s->to - s->from;
	size_t from, to;

	if (whole == 0 || start == LUCTL_UNKNOWN || length == LUCTL_UNKNOWN)
		return "";
	end = length > UINT64_MAX - start ? UINT64_MAX : start + length;
	if (end <= s->from)
		return "<";
	memset(buf, ' ', width);
	buf[width] = '\0';
	if (start >= s->to) {
		buf[width - 1] = '>';
		return buf;
	}
	from = start <= s->from ? 0 : (size_t)((double)(start - s->from) / (double)whole * (double)width);
	to = end >= s->to ? width : (size_t)((double)(end - s->from) / (double)whole * (double)width + 0.5);
	if (from >= width)
		from = width - 1;
	if (to <= from)
		to = from + 1;
	memset(buf + from, mark, to - from);
	if (start < s->from)
		buf[0] = '<';
	if (end > s->to)
		buf[width - 1] = '>';
	else
		buf[to] = '\0';
	return buf;
}

/* The picture's axis, as its column's title: where it begins and where it ends */
static const char *axis(const struct cli_span *s, size_t width, char *buf)
{
	char from[32], to[32];
	int n = snprintf(buf, width + 1, "|%s", cli_usec(s->from, from));

	if (n > 0 && (size_t)n < width)
		snprintf(buf + n, width + 1 - (size_t)n, "%*s|", (int)width - n - 1, cli_usec(s->to, to));
	return buf;
}

enum {
	PICTURE_NAME,
	PICTURE_IN,
	PICTURE_START,
	PICTURE_TIME,
	PICTURE_BAR,
	N_PICTURE
};

struct picture {
	struct cli_column columns[N_PICTURE];
	struct cli_table t;
	struct cli_span span;
	size_t width; /* of the bars; 0: not known yet, and none are drawn */
	char title[BAR_MAX + 1];
};

static int add_bar(struct picture *p, const char *name, const char *in, uint64_t start, uint64_t time, char mark)
{
	char from[32], length[32], buf[BAR_MAX + 1];
	const char *cells[N_PICTURE] = {
		[PICTURE_NAME] = name,
		[PICTURE_IN] = in,
		[PICTURE_START] = cli_usec(start, from),
		[PICTURE_TIME] = cli_usec(time, length),
		[PICTURE_BAR] = p->width ? bar(start, time, &p->span, mark, p->width, buf) : "",
	};

	return cli_table_add(&p->t, cells, PICTURE_BAR, mark == 'x' ? COLOR_BAD : mark == '#' ? COLOR_GOOD : COLOR_DIM);
}

static int fill_picture(struct picture *p, const struct luctl_report *rep)
{
	int r = 0;

	cli_table_clear(&p->t);
	for (const struct luctl_phase *ph = luctl_report_phase_first(rep); r == 0 && ph;
	     ph = luctl_report_phase_next(rep, ph)) {
		bool new = luctl_phase_in_new_kernel(ph);

		r = add_bar(p, luctl_phase_name(ph), new ? "new" : "old", luctl_phase_start(ph),
			    luctl_phase_duration(ph), new ? '#' : '=');
	}
	for (const struct luctl_vm_report *v = luctl_report_vm_first(rep); r == 0 && v;
	     v = luctl_report_vm_next(rep, v))
		if (luctl_vm_report_blackout(v) != LUCTL_UNKNOWN)
			r = add_bar(p, luctl_vm_report_name(v), "-", luctl_vm_report_pause(v),
				    luctl_vm_report_blackout(v), 'x');
	return r;
}

/* Twice: how much room there is for the bars is known when the other columns are. */
static int print_picture(struct cli *cli, const struct luctl_report *rep)
{
	struct picture p = {
		.columns = {
			[PICTURE_NAME] = { "PHASE, VM" },
			[PICTURE_IN] = { "KERNEL" },
			[PICTURE_START] = { "START", .right = true },
			[PICTURE_TIME] = { "TIME", .right = true },
			[PICTURE_BAR] = { p.title },
		},
		.t = { .cli = cli, .columns = p.columns, .n_columns = N_PICTURE },
		.span = look_at(rep),
	};
	int r = fill_picture(&p, rep);

	if (r == 0 && p.t.n_lines > 0) {
		p.width = cli->width ? MIN(cli_table_rest(&p.t), (size_t)BAR_MAX) : BAR_PIPE;
		axis(&p.span, p.width, p.title);
		r = fill_picture(&p, rep);
		if (r == 0)
			r = cli_table_print(&p.t);
		if (r == 0)
			cli_say(cli, 0, "= the old kernel, # the new one, x a VM stands still, < > beyond the picture");
	}
	cli_table_clear(&p.t);
	return r;
}

/* By how much the guest's time of day is behind. */
static const char *clock_of(const struct luctl_vm_report *v, char buf[64])
{
	int64_t behind = luctl_vm_report_clock_behind(v);
	char usec[32];

	if (!luctl_vm_report_clock(v))
		return "-";
	snprintf(buf, 64, "%s %s%s", cli_usec((uint64_t)(behind < 0 ? -behind : behind), usec),
		 behind < 0 ? "ahead" : "behind",
		 strcmp(luctl_vm_report_clock(v), "agent") == 0 && !luctl_vm_report_clock_error(v) ? ", set" : "");
	return buf;
}

enum {
	VM_NAME,
	VM_RESULT,
	VM_BY,
	VM_PAUSED,
	VM_BLACKOUT,
	VM_PREDICTED,
	VM_CLOCK,
	N_VM
};

static const struct cli_column vm_columns[N_VM] = {
	[VM_NAME] = { "VM" },
	[VM_RESULT] = { "RESULT" },
	[VM_BY] = { "BY", .optional = true },
	[VM_PAUSED] = { "PAUSED AT", .right = true },
	[VM_BLACKOUT] = { "BLACKOUT", .right = true },
	[VM_PREDICTED] = { "PREDICTED", .right = true, .optional = true },
	[VM_CLOCK] = { "CLOCK", .optional = true },
};

static int print_vms(struct cli *cli, const struct luctl_report *rep)
{
	_cleanup_(cli_table_clear) struct cli_table t = { .cli = cli, .columns = vm_columns, .n_columns = N_VM };
	int r = 0;

	for (const struct luctl_vm_report *v = luctl_report_vm_first(rep); r == 0 && v;
	     v = luctl_report_vm_next(rep, v)) {
		char pause[32], blackout[32], predicted[32], clock[64];
		const char *cells[N_VM] = {
			[VM_NAME] = luctl_vm_report_name(v),
			[VM_RESULT] = luctl_vm_report_result(v),
			[VM_BY] = luctl_vm_report_by(v),
			[VM_PAUSED] = cli_usec(luctl_vm_report_pause(v), pause),
			[VM_BLACKOUT] = cli_usec(luctl_vm_report_blackout(v), blackout),
			[VM_PREDICTED] = cli_usec(luctl_vm_report_predicted(v), predicted),
			[VM_CLOCK] = clock_of(v, clock),
		};

		r = cli_table_add(&t, cells, VM_RESULT,
				  strcmp(luctl_vm_report_result(v), "running") == 0 ? COLOR_GOOD :
				  strcmp(luctl_vm_report_result(v), "lost") == 0    ? COLOR_BAD :
										      COLOR_WARN);
	}
	return r < 0 ? r : cli_table_print(&t);
}

static void print_qemus(struct cli *cli, const struct luctl_report *rep)
{
	for (const struct luctl_vm_report *v = luctl_report_vm_first(rep); v; v = luctl_report_vm_next(rep, v))
		cli_line(cli, luctl_vm_report_name(v), "QEMU %s -> %s", luctl_vm_report_qemu_from(v) ?: "?",
			 luctl_vm_report_qemu_to(v) ?: "?");
}

static void print_vm_errors(struct cli *cli, const struct luctl_report *rep)
{
	for (const struct luctl_vm_report *v = luctl_report_vm_first(rep); v; v = luctl_report_vm_next(rep, v)) {
		if (luctl_vm_report_error(v))
			cli_line(cli, luctl_vm_report_name(v), "%s", luctl_vm_report_error(v));
		if (luctl_vm_report_error(v) && luctl_vm_report_hint(v))
			cli_line(cli, "hint", "%s", luctl_vm_report_hint(v));
		if (luctl_vm_report_clock_error(v))
			cli_line(cli, luctl_vm_report_name(v), "its clock is not set: %s",
				 luctl_vm_report_clock_error(v));
	}
}

/* In an update of QEMU, and if there was no jump, nothing has happened to them. */
static void print_left(struct cli *cli, const struct luctl_report *rep)
{
	bool ended = !strcmp(luctl_report_kind(rep), "kernel") && !luctl_report_rehearsal(rep) &&
		     strcmp(luctl_report_result(rep), "aborted") != 0;

	for (const struct luctl_left *l = luctl_report_left_first(rep); l; l = luctl_report_left_next(rep, l)) {
		cli_line(cli, luctl_left_name(l), "%s: %s",
			 ended ? "left behind, it ended with the old kernel" : "was not to go along",
			 luctl_left_what(l));
		if (luctl_left_hint(l))
			cli_line(cli, "hint", "%s", luctl_left_hint(l));
	}
}

static int print_report(struct cli *cli, const struct luctl_report *rep)
{
	char when[64], took[32], blackout[32], predicted[32];
	int r;

	cli_line(cli, "Result", "%s", luctl_report_result(rep));
	if (luctl_report_error(rep))
		cli_line(cli, "Error", "%s", luctl_report_error(rep));
	if (luctl_report_hint(rep))
		cli_line(cli, "Hint", "%s", luctl_report_hint(rep));
	if (strcmp(luctl_report_kind(rep), "vmm") == 0)
		cli_line(cli, "Kernel", "%s, not replaced: this was an update of QEMU", luctl_report_from(rep));
	else if (luctl_report_rehearsal(rep))
		cli_line(cli, "Kernel", "%s, not replaced: this was a rehearsal", luctl_report_from(rep));
	else
		cli_line(cli, "Kernel", "%s -> %s", luctl_report_from(rep), luctl_report_to(rep) ?: "(not reached)");
	cli_line(cli, "Update", "%s", luctl_report_id(rep));
	cli_line(cli, "Began", "%s", cli_time(luctl_report_started(rep), when));
	cli_line(cli, "Took", "%s", cli_usec(luctl_report_duration(rep), took));
	if (luctl_report_predicted(rep) != LUCTL_UNKNOWN)
		cli_line(cli, "Blackout", "%s, %s was predicted", cli_usec(luctl_report_blackout(rep), blackout),
			 cli_usec(luctl_report_predicted(rep), predicted));
	else
		cli_line(cli, "Blackout", "%s", cli_usec(luctl_report_blackout(rep), blackout));
	putchar('\n');
	r = print_picture(cli, rep);
	if (r < 0 || (!luctl_report_vm_first(rep) && !luctl_report_left_first(rep)))
		return r;
	putchar('\n');
	if (luctl_report_vm_first(rep))
		r = print_vms(cli, rep);
	if (r == 0 && strcmp(luctl_report_kind(rep), "vmm") == 0)
		print_qemus(cli, rep);
	if (r == 0)
		print_vm_errors(cli, rep);
	if (r == 0)
		print_left(cli, rep);
	return r;
}

/* The exit code is whether that went well, not how the update did. */
static int write_file(struct cli *cli, const struct luctl_report *rep, const char *path, bool trace)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	int r = trace ? cli_trace(rep, &text, &size) : cli_plot(rep, look_at(rep), &text, &size);

	if (r >= 0 && strcmp(path, "-") == 0)
		fwrite(text, 1, size, stdout);
	else if (r >= 0)
		r = lu_write_file(AT_FDCWD, path, text, size, 0644);
	if (r < 0)
		return cli_error(cli, EXIT_FAILED, "is its folder there, and may this user write to it?", "%s: %s",
				 path, strerror(-r));
	return EXIT_OK;
}

enum {
	LIST_ID,
	LIST_BEGAN,
	LIST_OF,
	LIST_RESULT,
	LIST_KERNEL,
	LIST_VMS,
	LIST_BLACKOUT,
	N_LIST
};

static const struct cli_column list_columns[N_LIST] = {
	[LIST_ID] = { "UPDATE" },
	[LIST_BEGAN] = { "BEGAN" },
	[LIST_OF] = { "OF" },
	[LIST_RESULT] = { "RESULT" },
	[LIST_KERNEL] = { "KERNEL" },
	[LIST_VMS] = { "VMS", .right = true },
	[LIST_BLACKOUT] = { "BLACKOUT", .right = true },
};

static enum cli_color color_of_result(const char *result)
{
	return !strcmp(result, "success") ? COLOR_GOOD : !strcmp(result, "degraded") ? COLOR_BAD : COLOR_WARN;
}

#define ID_MAX 37

/* On a terminal as much of it as tells it from the others; --update takes that. */
static const char *short_id(const struct cli *cli, const struct luctl_report_entry *x, char buf[ID_MAX])
{
	snprintf(buf, cli->width ? 9 : ID_MAX, "%s", luctl_report_entry_id(x));
	return buf;
}

static int add_entry(struct cli_table *t, const struct luctl_report_entry *x)
{
	unsigned long long vms = luctl_report_entry_vms(x), lost = luctl_report_entry_lost(x);
	bool stays = !strcmp(luctl_report_entry_kind(x), "vmm") || luctl_report_entry_rehearsal(x);
	char id[ID_MAX], when[64], kernel[140], count[64], blackout[32];
	const char *cells[N_LIST] = {
		[LIST_ID] = short_id(t->cli, x, id),
		[LIST_BEGAN] = when,
		[LIST_OF] = luctl_report_entry_rehearsal(x)            ? "rehearsal" :
			    !strcmp(luctl_report_entry_kind(x), "vmm") ? "QEMU" :
									 "kernel",
		[LIST_RESULT] = luctl_report_entry_result(x),
		[LIST_KERNEL] = kernel,
		[LIST_VMS] = count,
		[LIST_BLACKOUT] = cli_usec(luctl_report_entry_blackout(x), blackout),
	};

	(void)cli_time(luctl_report_entry_started(x), when);
	when[strlen("2026-01-01 00:00")] = '\0';
	if (stays || !luctl_report_entry_to(x))
		snprintf(kernel, sizeof(kernel), "%s", luctl_report_entry_from(x));
	else
		snprintf(kernel, sizeof(kernel), "%s -> %s", luctl_report_entry_from(x), luctl_report_entry_to(x));
	if (lost)
		snprintf(count, sizeof(count), "%llu/%llu", vms - lost, vms);
	else
		snprintf(count, sizeof(count), "%llu", vms);
	return cli_table_add(t, cells, LIST_RESULT, color_of_result(luctl_report_entry_result(x)));
}

static int print_list(struct cli *cli, const struct luctl_reports *reports)
{
	_cleanup_(cli_table_clear) struct cli_table t = { .cli = cli, .columns = list_columns, .n_columns = N_LIST };
	char id[ID_MAX];
	int r = 0;

	for (const struct luctl_report_entry *x = luctl_reports_first(reports); r == 0 && x;
	     x = luctl_reports_next(reports, x))
		r = add_entry(&t, x);
	if (r == 0 && t.n_lines > 0)
		r = cli_table_print(&t);
	else if (r == 0)
		puts("No reports are kept.");
	for (const struct luctl_report_entry *x = luctl_reports_first(reports); r == 0 && x;
	     x = luctl_reports_next(reports, x))
		if (luctl_report_entry_error(x))
			cli_line(cli, short_id(cli, x, id), "%s", luctl_report_entry_error(x));
	for (const struct luctl_report_damage *d = luctl_reports_damage_first(reports); r == 0 && d;
	     d = luctl_reports_damage_next(reports, d))
		cli_line(cli, "Damaged", "%s: %s", luctl_report_damage_file(d), luctl_report_damage_what(d));
	return r;
}

static int report_list(struct cli *cli)
{
	_cleanup_(luctl_reports_freep) struct luctl_reports *reports = NULL;

	if (luctl_reports_get(cli->ctx, &reports) < 0)
		return cli_error_ctx(cli);
	if (cli->json)
		cli_print_json(luctl_reports_json(reports));
	else if (print_list(cli, reports) < 0)
		return cli_error(cli, EXIT_FAILED, NULL, "the table cannot be printed");
	return EXIT_OK;
}

int verb_report(struct cli *cli)
{
	const char *plot = cli_value(cli, "plot"), *trace = cli_value(cli, "trace"), *update = cli_value(cli, "update");
	_cleanup_(luctl_report_freep) struct luctl_report *rep = NULL;

	if (cli_flag(cli, "list") && (plot || trace || update))
		return cli_error(cli, EXIT_USAGE, "give one of them", "--list and %s",
				 plot  ? "--plot" :
				 trace ? "--trace" :
					 "--update");
	if (plot && trace)
		return cli_error(cli, EXIT_USAGE, "give one of them", "--plot and --trace");
	if (cli_flag(cli, "list"))
		return report_list(cli);
	if ((update ? luctl_report_get_of(cli->ctx, update, &rep) : luctl_report_get(cli->ctx, &rep)) < 0)
		return cli_error_ctx(cli);
	if (plot || trace)
		return write_file(cli, rep, plot ?: trace, trace != NULL);
	if (cli->json)
		cli_print_json(luctl_report_json(rep));
	else if (print_report(cli, rep) < 0)
		return cli_error(cli, EXIT_FAILED, NULL, "the report cannot be printed");
	return cli_result(luctl_report_result(rep));
}
