/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The picture of a report, as SVG, and as a trace for programs that show such. */
#include "cli.h"

/* The part of the update that a picture shows, in microseconds since its start */
struct cli_span {
	uint64_t from, to;
};

/** cli_plot() - @ret: the SVG's text, to be freed */
int cli_plot(const struct luctl_report *rep, struct cli_span span, char **ret, size_t *ret_size);

/** cli_trace() - all of it in the Trace Event Format of Chrome and Perfetto; @ret: the JSON's text, to be freed. Return: 0 or negative errno */
int cli_trace(const struct luctl_report *rep, char **ret, size_t *ret_size);
