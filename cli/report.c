// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * luctl report: the timeline of the last update. All bars have one scale: the time around the
 * blackouts, which is what one wants to see of an update that takes ten times as long. '=' is a phase in the old kernel, '#' one
 * in the new, 'x' the time in which a VM stood still, '<' and '>' what lies beyond the picture.
 */
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

#define BAR_WIDTH 40

/* The part of the update that the picture shows, in microseconds since its start */
struct span {
	uint64_t from, to;
};

/* Around the blackouts, if there are any, with a tenth on both sides; else all of it. */
static struct span look_at(const struct luctl_report *rep)
{
	struct span all = { 0, luctl_report_duration(rep) }, s = { UINT64_MAX, 0 };
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

/* What of it can be seen; '<' and '>': it goes on beyond the picture. */
static const char *bar(uint64_t start, uint64_t length, const struct span *s, char mark, char buf[BAR_WIDTH + 1])
{
	uint64_t end, from, to, whole = s->to - s->from;

	if (whole == 0 || start == LUCTL_UNKNOWN || length == LUCTL_UNKNOWN)
		return "";
	end = length > UINT64_MAX - start ? UINT64_MAX : start + length;
	if (end <= s->from)
		return "<";
	memset(buf, ' ', BAR_WIDTH);
	buf[BAR_WIDTH] = '\0';
	if (start >= s->to) {
		buf[BAR_WIDTH - 1] = '>';
		return buf;
	}
	from = start <= s->from ? 0 : (uint64_t)((double)(start - s->from) / (double)whole * BAR_WIDTH);
	to = end >= s->to ? BAR_WIDTH : (uint64_t)((double)(end - s->from) / (double)whole * BAR_WIDTH + 0.5);
	if (from >= BAR_WIDTH)
		from = BAR_WIDTH - 1;
	if (to <= from)
		to = from + 1;
	memset(buf + from, mark, to - from);
	if (start < s->from)
		buf[0] = '<';
	if (end > s->to)
		buf[BAR_WIDTH - 1] = '>';
	else
		buf[to] = '\0';
	return buf;
}

/* The picture's axis, as its column's title: where it begins and where it ends */
static const char *axis(const struct span *s, char buf[BAR_WIDTH + 1])
{
	char from[32], to[32];
	int n = snprintf(buf, BAR_WIDTH + 1, "|%s", cli_usec(s->from, from));

	if (n > 0 && n < BAR_WIDTH)
		snprintf(buf + n, (size_t)(BAR_WIDTH + 1 - n), "%*s|", BAR_WIDTH - n - 1, cli_usec(s->to, to));
	return buf;
}

static int print_phases(const struct luctl_report *rep, const struct span *span)
{
	char title[BAR_WIDTH + 1];
	struct libscols_table *tb = scols_new_table();
	int r = tb && scols_table_enable_minout(tb, 1) == 0 ? 0 : -ENOMEM;

	if (r == 0 && (!scols_table_new_column(tb, "PHASE", 0, 0) || !scols_table_new_column(tb, "KERNEL", 0, 0) ||
		       !scols_table_new_column(tb, "START", 0, SCOLS_FL_RIGHT) ||
		       !scols_table_new_column(tb, "TIME", 0, SCOLS_FL_RIGHT) ||
		       !scols_table_new_column(tb, axis(span, title), 0, SCOLS_FL_TRUNC)))
		r = -ENOMEM;
	for (const struct luctl_phase *p = luctl_report_phase_first(rep); r == 0 && p;
	     p = luctl_report_phase_next(rep, p)) {
		struct libscols_line *ln = scols_table_new_line(tb, NULL);
		char start[32], time[32], buf[BAR_WIDTH + 1];
		bool new = luctl_phase_in_new_kernel(p);

		if (!ln || scols_line_set_data(ln, 0, luctl_phase_name(p)) ||
		    scols_line_set_data(ln, 1, new ? "new" : "old") ||
		    scols_line_set_data(ln, 2, cli_usec(luctl_phase_start(p), start)) ||
		    scols_line_set_data(ln, 3, cli_usec(luctl_phase_duration(p), time)) ||
		    scols_line_set_data(ln, 4,
					bar(luctl_phase_start(p), luctl_phase_duration(p), span, new ? '#' : '=', buf)))
			r = -ENOMEM;
	}
	if (r == 0 && scols_print_table(tb) != 0)
		r = -EIO;
	scols_unref_table(tb);
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

static int print_vms(const struct luctl_report *rep, const struct span *span)
{
	char title[BAR_WIDTH + 1];
	struct libscols_table *tb = scols_new_table();
	int r = tb && scols_table_enable_minout(tb, 1) == 0 ? 0 : -ENOMEM;

	if (r == 0 &&
	    (!scols_table_new_column(tb, "VM", 0, 0) || !scols_table_new_column(tb, "RESULT", 0, 0) ||
	     !scols_table_new_column(tb, "BY", 0, 0) || !scols_table_new_column(tb, "PAUSED AT", 0, SCOLS_FL_RIGHT) ||
	     !scols_table_new_column(tb, "BLACKOUT", 0, SCOLS_FL_RIGHT) ||
	     !scols_table_new_column(tb, "PREDICTED", 0, SCOLS_FL_RIGHT) ||
	     !scols_table_new_column(tb, "CLOCK", 0, 0) ||
	     !scols_table_new_column(tb, axis(span, title), 0, SCOLS_FL_TRUNC)))
		r = -ENOMEM;
	for (const struct luctl_vm_report *v = luctl_report_vm_first(rep); r == 0 && v;
	     v = luctl_report_vm_next(rep, v)) {
		struct libscols_line *ln = scols_table_new_line(tb, NULL);
		char pause[32], blackout[32], predicted[32], clock[64], buf[BAR_WIDTH + 1];

		if (!ln || scols_line_set_data(ln, 0, luctl_vm_report_name(v)) ||
		    scols_line_set_data(ln, 1, luctl_vm_report_result(v)) ||
		    scols_line_set_data(ln, 2, luctl_vm_report_by(v) ?: "-") ||
		    scols_line_set_data(ln, 3, cli_usec(luctl_vm_report_pause(v), pause)) ||
		    scols_line_set_data(ln, 4, cli_usec(luctl_vm_report_blackout(v), blackout)) ||
		    scols_line_set_data(ln, 5, cli_usec(luctl_vm_report_predicted(v), predicted)) ||
		    scols_line_set_data(ln, 6, clock_of(v, clock)) ||
		    scols_line_set_data(ln, 7,
					bar(luctl_vm_report_pause(v), luctl_vm_report_blackout(v), span, 'x', buf)))
			r = -ENOMEM;
	}
	if (r == 0 && scols_print_table(tb) != 0)
		r = -EIO;
	scols_unref_table(tb);
	return r;
}

static void print_qemus(const struct luctl_report *rep)
{
	for (const struct luctl_vm_report *v = luctl_report_vm_first(rep); v; v = luctl_report_vm_next(rep, v))
		cli_line(luctl_vm_report_name(v), "QEMU %s -> %s", luctl_vm_report_qemu_from(v) ?: "?",
			 luctl_vm_report_qemu_to(v) ?: "?");
}

static void print_vm_errors(const struct luctl_report *rep)
{
	for (const struct luctl_vm_report *v = luctl_report_vm_first(rep); v; v = luctl_report_vm_next(rep, v)) {
		if (luctl_vm_report_error(v))
			cli_line(luctl_vm_report_name(v), "%s", luctl_vm_report_error(v));
		if (luctl_vm_report_error(v) && luctl_vm_report_hint(v))
			cli_line("hint", "%s", luctl_vm_report_hint(v));
		if (luctl_vm_report_clock_error(v))
			cli_line(luctl_vm_report_name(v), "its clock is not set: %s", luctl_vm_report_clock_error(v));
	}
}

static int print_report(const struct luctl_report *rep)
{
	struct span span = look_at(rep);
	char when[64], took[32], blackout[32], predicted[32];
	int r;

	cli_line("Result", "%s", luctl_report_result(rep));
	if (luctl_report_error(rep))
		cli_line("Error", "%s", luctl_report_error(rep));
	if (luctl_report_hint(rep))
		cli_line("Hint", "%s", luctl_report_hint(rep));
	if (strcmp(luctl_report_kind(rep), "vmm") == 0)
		cli_line("Kernel", "%s, not replaced: this was an update of QEMU", luctl_report_from(rep));
	else if (luctl_report_rehearsal(rep))
		cli_line("Kernel", "%s, not replaced: this was a rehearsal", luctl_report_from(rep));
	else
		cli_line("Kernel", "%s -> %s", luctl_report_from(rep), luctl_report_to(rep) ?: "(not reached)");
	cli_line("Update", "%s", luctl_report_id(rep));
	cli_line("Began", "%s", cli_time(luctl_report_started(rep), when));
	cli_line("Took", "%s", cli_usec(luctl_report_duration(rep), took));
	if (luctl_report_predicted(rep) != LUCTL_UNKNOWN)
		cli_line("Blackout", "%s, %s was predicted", cli_usec(luctl_report_blackout(rep), blackout),
			 cli_usec(luctl_report_predicted(rep), predicted));
	else
		cli_line("Blackout", "%s", cli_usec(luctl_report_blackout(rep), blackout));
	putchar('\n');
	r = print_phases(rep, &span);
	if (r < 0 || !luctl_report_vm_first(rep))
		return r;
	putchar('\n');
	r = print_vms(rep, &span);
	if (r == 0 && strcmp(luctl_report_kind(rep), "vmm") == 0)
		print_qemus(rep);
	if (r == 0)
		print_vm_errors(rep);
	return r;
}

int verb_report(struct cli *cli)
{
	_cleanup_(luctl_report_freep) struct luctl_report *rep = NULL;

	if (luctl_report_get(cli->ctx, &rep) < 0)
		return cli_error_ctx(cli);
	if (cli->json)
		cli_print_json(luctl_report_json(rep));
	else if (print_report(rep) < 0)
		return cli_error(cli, EXIT_FAILED, NULL, "the report cannot be printed");
	return cli_result(luctl_report_result(rep));
}
