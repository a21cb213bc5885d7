// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * luctl report --plot: the update as a picture, an SVG that a browser shows light or dark as its reader likes it.
 *
 * One axis for all, in seconds since the update began, over the time around the blackouts (the whole update, if no VM was
 * paused). First the phases of both kernels, one below the other where they overlap; then a row for each VM:
 * what was done to it, the time in which its state lay in memory and no QEMU ran it as "kernel", and as a ghost how long it
 * was predicted to stand still. What lies beyond the picture is cut at its edges. Each bar has its numbers as a tooltip.
 *
 * The writer is libxml2's: it escapes what comes from elsewhere.
 */
#include <libxml/xmlwriter.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>

#include "plot.h"

#define WIDTH 1000.0
#define LEFT 170.0 /* of the axis */
#define RIGHT 980.0
#define TOP 86.0
#define ROW 26.0
#define BAR 16.0
#define LANES_MAX 16 /* of phases that overlap */

/* Classes of bars, in the order of the legend; their colours stand in the style sheet. */
static const struct {
	const char *class, *legend, *of; /* the phase's name in a report, NULL: none */
} kinds[] = {
	{ "old", "old kernel", NULL },          { "new", "new kernel", NULL },
	{ "prepare", "prepare", "vm-prepare" }, { "pause", "pause", "vm-pause" },
	{ "save", "save", "vm-save" },          { "kernel", "kernel", NULL },
	{ "devices", "devices", "vm-devices" }, { "spawn", "QEMU's start", "vm-spawn" },
	{ "load", "load", "vm-load" },          { "resume", "resume", "vm-resume" },
	{ "ghost", "predicted", NULL },
};

/* Plain colours and no variables: renderers that are no browser know the light ones, at least. */
static const char style[] =
	"text{font:13px system-ui,sans-serif}.title{font-size:17px;font-weight:600}.end{text-anchor:end}"
	".mid{text-anchor:middle}.ghost{stroke-dasharray:4 3}"
	"text{fill:#1b1f24}.faint{fill:#57606a}.grid{stroke:#d8dee4}.ghost{fill:none;stroke:#1b1f24}"
	".paper{fill:#ffffff}.old{fill:#8c959f}.new{fill:#2da44e}.prepare{fill:#b6bfc8}"
	".pause{fill:#bf8700}.save{fill:#d4761a}.kernel{fill:#cf222e}.devices{fill:#8250df}"
	".spawn{fill:#0969da}.load{fill:#54aeff}.resume{fill:#1a7f37}"
	"@media(prefers-color-scheme:dark){"
	"text{fill:#e6edf3}.faint{fill:#9198a1}.grid{stroke:#30363d}.ghost{fill:none;stroke:#e6edf3}"
	".paper{fill:#0d1117}.old{fill:#6e7681}.new{fill:#238636}.prepare{fill:#484f58}"
	".pause{fill:#d29922}.save{fill:#f0883e}.kernel{fill:#f85149}.devices{fill:#a371f7}"
	".spawn{fill:#388bfd}.load{fill:#79c0ff}.resume{fill:#56d364}"
	"}";

struct plot {
	xmlTextWriterPtr w;
	struct cli_span span;
	double y; /* of the row that comes next */
	bool failed;
};

static void check(struct plot *p, int r)
{
	p->failed = p->failed || r < 0;
}

static void begin(struct plot *p, const char *element, const char *class)
{
	check(p, xmlTextWriterStartElement(p->w, BAD_CAST element));
	if (class)
		check(p, xmlTextWriterWriteAttribute(p->w, BAD_CAST "class", BAD_CAST class));
}

static void end(struct plot *p)
{
	check(p, xmlTextWriterEndElement(p->w));
}

static void number(struct plot *p, const char *name, double value)
{
	check(p, xmlTextWriterWriteFormatAttribute(p->w, BAD_CAST name, "%.1f", value));
}

static void text(struct plot *p, double x, double y, const char *class, const char *fmt, ...) _printf_(5, 6);
static void text(struct plot *p, double x, double y, const char *class, const char *fmt, ...)
{
	_cleanup_free_ char *raw = NULL, *safe = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&raw, fmt, ap) < 0)
		raw = NULL;
	va_end(ap);
	safe = raw ? cli_safe(raw) : NULL;
	begin(p, "text", class);
	number(p, "x", x);
	number(p, "y", y);
	check(p, safe ? xmlTextWriterWriteString(p->w, BAD_CAST safe) : -1);
	end(p);
}

/* Where a time stands on the axis; beyond its ends: there */
static double x_of(const struct plot *p, uint64_t usec)
{
	double all = (double)(p->span.to - p->span.from);
	double at = usec <= p->span.from ? 0 : (double)(MIN(usec, p->span.to) - p->span.from);

	return LEFT + (all > 0 ? at / all : 0) * (RIGHT - LEFT);
}

/* A bar of the row at @y, if it can be seen; @name is its tooltip's */
static void bar(struct plot *p, double y, const char *class, const char *name, uint64_t start, uint64_t length)
{
	uint64_t stop = length > UINT64_MAX - start ? UINT64_MAX : start + length;
	double from = x_of(p, start), to = x_of(p, stop);
	char at[32], time[32];

	if (stop < p->span.from || start > p->span.to)
		return;
	begin(p, "rect", class);
	number(p, "x", from);
	number(p, "y", y);
	number(p, "width", MAX(to - from, 1.0));
	number(p, "height", BAR);
	check(p, xmlTextWriterWriteFormatElement(p->w, BAD_CAST "title", "%s: %s, from %s", name,
						 cli_usec(length, time), cli_usec(start, at)));
	end(p);
}

/* A step between ticks that divides the axis into four to ten: 1, 2 or 5 times a power of ten */
static double step_of(double seconds)
{
	double power = pow(10, floor(log10(seconds / 4)));

	return seconds / 4 >= 5 * power ? 5 * power : seconds / 4 >= 2 * power ? 2 * power : power;
}

static void put_axis(struct plot *p, double bottom)
{
	double from = (double)p->span.from / 1e6, to = (double)p->span.to / 1e6, step;

	if (p->span.to <= p->span.from)
		return;
	step = step_of(to - from);
	for (double t = ceil(from / step) * step; t <= to; t += step) {
		double x = x_of(p, (uint64_t)(t * 1e6 + 0.5));

		begin(p, "line", "grid");
		number(p, "x1", x);
		number(p, "x2", x);
		number(p, "y1", TOP - 8);
		number(p, "y2", bottom);
		end(p);
		text(p, x, TOP - 14, "faint mid", "%g s", t);
	}
}

/* Phases that overlap stand below each other: each in the first lane that is free by then. */
static double put_phases(struct plot *p, const struct luctl_report *rep, bool new, bool draw, double y)
{
	uint64_t busy[LANES_MAX] = { 0 };
	unsigned int lanes = 0;

	for (const struct luctl_phase *ph = luctl_report_phase_first(rep); ph; ph = luctl_report_phase_next(rep, ph)) {
		uint64_t start = luctl_phase_start(ph), length = luctl_phase_duration(ph);
		unsigned int lane = 0;

		if (luctl_phase_in_new_kernel(ph) != new || start > p->span.to || start + length < p->span.from)
			continue;
		while (lane + 1 < LANES_MAX && lane < lanes && busy[lane] > start)
			lane++;
		lanes = MAX(lanes, lane + 1);
		busy[lane] = start + length;
		if (!draw)
			continue;
		bar(p, y + lane * ROW, new ? "new" : "old", luctl_phase_name(ph), start, length);
		/* its name inside it, if there is room; else its tooltip tells */
		if (x_of(p, start + length) - x_of(p, start) > 8.0 * (double)strlen(luctl_phase_name(ph)))
			text(p, x_of(p, start) + 4, y + lane * ROW + 12.5, NULL, "%s", luctl_phase_name(ph));
	}
	if (draw && lanes)
		text(p, LEFT - 10, y + 12.5, "end", "%s kernel", new ? "new" : "old");
	return y + lanes * ROW;
}

/* From the time it was saved until a QEMU is started for it */
static void put_gap(struct plot *p, const struct luctl_vm_report *v, double y)
{
	uint64_t from = LUCTL_UNKNOWN, to = LUCTL_UNKNOWN;

	for (const struct luctl_phase *ph = luctl_vm_report_phase_first(v); ph;
	     ph = luctl_vm_report_phase_next(v, ph)) {
		if (!luctl_phase_in_new_kernel(ph) && strcmp(luctl_phase_name(ph), "vm-save") == 0)
			from = luctl_phase_start(ph) + luctl_phase_duration(ph);
		if (luctl_phase_in_new_kernel(ph) && luctl_phase_start(ph) < to)
			to = luctl_phase_start(ph);
	}
	if (from != LUCTL_UNKNOWN && to != LUCTL_UNKNOWN && from < to)
		bar(p, y, "kernel", "kernel", from, to - from);
}

static void put_vm(struct plot *p, const struct luctl_vm_report *v, double y)
{
	uint64_t pause = luctl_vm_report_pause(v), blackout = luctl_vm_report_blackout(v);
	char usec[32];
	bool any = false;

	text(p, LEFT - 10, y + 12.5, "end", "%.22s", luctl_vm_report_name(v));
	for (const struct luctl_phase *ph = luctl_vm_report_phase_first(v); ph; ph = luctl_vm_report_phase_next(v, ph))
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
			if (kinds[i].of && strcmp(kinds[i].of, luctl_phase_name(ph)) == 0) {
				bar(p, y, kinds[i].class, kinds[i].legend, luctl_phase_start(ph),
				    luctl_phase_duration(ph));
				any = true;
			}
	if (any)
		put_gap(p, v, y);
	else if (blackout != LUCTL_UNKNOWN) /* a report of an older luctld */
		bar(p, y, "kernel", "stood still", pause, blackout);
	if (pause != LUCTL_UNKNOWN && luctl_vm_report_predicted(v) != LUCTL_UNKNOWN)
		bar(p, y, "ghost", "predicted", pause, luctl_vm_report_predicted(v));
	if (blackout == LUCTL_UNKNOWN)
		text(p, LEFT + 4, y + 12.5, "faint", "%s",
		     strcmp(luctl_vm_report_result(v), "lost") == 0 ? "does not run" : "was not paused");
	else
		text(p,
		     MIN(x_of(p, pause + MAX(blackout, luctl_vm_report_predicted(v) == LUCTL_UNKNOWN ?
							       0 :
							       luctl_vm_report_predicted(v))) +
				 6,
			 RIGHT - 60),
		     y + 12.5, "faint", "%s", cli_usec(blackout, usec));
}

static void put_legend(struct plot *p, double y)
{
	double x = LEFT;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		double width = 26 + 7.5 * (double)strlen(kinds[i].legend);

		if (x + width > RIGHT) {
			x = LEFT;
			y += 22;
		}
		begin(p, "rect", kinds[i].class);
		number(p, "x", x);
		number(p, "y", y);
		number(p, "width", 12);
		number(p, "height", 12);
		end(p);
		text(p, x + 17, y + 11, "faint", "%s", kinds[i].legend);
		x += width;
	}
}

static void put_head(struct plot *p, const struct luctl_report *rep)
{
	bool vmm = strcmp(luctl_report_kind(rep), "vmm") == 0;
	char blackout[32], predicted[32], when[64];

	text(p, 20, 28, "title", "%s: %s%s%s%s", luctl_report_result(rep), luctl_report_from(rep),
	     vmm || luctl_report_rehearsal(rep) ? "" : " \342\206\222 ",
	     vmm || luctl_report_rehearsal(rep) ? "" :
	     luctl_report_to(rep)               ?:
						  "(not reached)",
	     vmm                         ? ", an update of QEMU" :
	     luctl_report_rehearsal(rep) ? ", a rehearsal" :
					   "");
	if (luctl_report_blackout(rep) == LUCTL_UNKNOWN)
		text(p, 20, 48, "faint", "%s, update %s", cli_time(luctl_report_started(rep), when),
		     luctl_report_id(rep));
	else if (luctl_report_predicted(rep) == LUCTL_UNKNOWN)
		text(p, 20, 48, "faint", "%s, update %s; blackout %s", cli_time(luctl_report_started(rep), when),
		     luctl_report_id(rep), cli_usec(luctl_report_blackout(rep), blackout));
	else
		text(p, 20, 48, "faint", "%s, update %s; blackout %s (%s predicted)",
		     cli_time(luctl_report_started(rep), when), luctl_report_id(rep),
		     cli_usec(luctl_report_blackout(rep), blackout), cli_usec(luctl_report_predicted(rep), predicted));
}

static void put_all(struct plot *p, const struct luctl_report *rep)
{
	double phases = put_phases(p, rep, true, false, put_phases(p, rep, false, false, TOP)), height = phases + 12, y;

	for (const struct luctl_vm_report *v = luctl_report_vm_first(rep); v; v = luctl_report_vm_next(rep, v))
		height += ROW;
	begin(p, "svg", NULL);
	check(p, xmlTextWriterWriteAttribute(p->w, BAD_CAST "xmlns", BAD_CAST "http://www.w3.org/2000/svg"));
	check(p, xmlTextWriterWriteFormatAttribute(p->w, BAD_CAST "viewBox", "0 0 %.0f %.0f", WIDTH, height + 66));
	check(p, xmlTextWriterWriteAttribute(p->w, BAD_CAST "role", BAD_CAST "img"));
	check(p, xmlTextWriterWriteFormatElement(p->w, BAD_CAST "title", "luctl: update %s", luctl_report_id(rep)));
	check(p, xmlTextWriterWriteElement(p->w, BAD_CAST "style", BAD_CAST style));
	begin(p, "rect", "paper");
	number(p, "width", WIDTH);
	number(p, "height", height + 66);
	end(p);
	put_head(p, rep);
	put_axis(p, height);
	y = put_phases(p, rep, true, true, put_phases(p, rep, false, true, TOP)) + 12;
	for (const struct luctl_vm_report *v = luctl_report_vm_first(rep); v;
	     v = luctl_report_vm_next(rep, v), y += ROW)
		put_vm(p, v, y);
	put_legend(p, height + 14);
	end(p);
}

int cli_plot(const struct luctl_report *rep, struct cli_span span, char **ret, size_t *ret_size)
{
	xmlBufferPtr buffer = xmlBufferCreate();
	struct plot p = { .w = buffer ? xmlNewTextWriterMemory(buffer, 0) : NULL, .span = span };
	int r = -ENOMEM;

	if (p.w) {
		check(&p, xmlTextWriterSetIndent(p.w, 1));
		check(&p, xmlTextWriterStartDocument(p.w, NULL, "UTF-8", NULL));
		put_all(&p, rep);
		check(&p, xmlTextWriterEndDocument(p.w));
		xmlFreeTextWriter(p.w); /* writes what is left into the buffer */
		if (!p.failed) {
			*ret_size = (size_t)xmlBufferLength(buffer);
			*ret = strndup((const char *)xmlBufferContent(buffer), *ret_size);
			r = *ret ? 0 : -ENOMEM;
		}
	}
	if (buffer)
		xmlBufferFree(buffer);
	return r;
}
