// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See table.h. Lines are kept as texts until all of them are known, for only then it is known which columns there is something
 * to say in, and how much room is left. What is still too wide is the first column, a long name in a narrow terminal, and libsmartcols cuts that.
 */
#include <stdio.h>
#include <string.h>
#include <sys/param.h>

#include "table.h"

#define REST_MIN 16 /* of the last column; less tells nothing */

DEFINE_CLEANUP(struct libscols_table *, scols_unref_table)

static const char *cell(const struct cli_table *t, size_t line, size_t column)
{
	return t->cells[line * t->n_columns + column];
}

int cli_table_add(struct cli_table *t, const char *const *cells, size_t colored, enum cli_color color)
{
	size_t n = t->n_columns, at = t->n_lines * n;
	enum cli_color *colors;
	char **list;

	if (n > CLI_COLUMNS_MAX)
		return -EINVAL;
	list = reallocarray(t->cells, at + n, sizeof(*list));
	if (!list)
		return -ENOMEM;
	t->cells = list;
	colors = reallocarray(t->colors, at + n, sizeof(*colors));
	if (!colors)
		return -ENOMEM;
	t->colors = colors;
	memset(list + at, 0, n * sizeof(*list));
	t->n_lines++;
	for (size_t i = 0; i < n; i++) {
		colors[at + i] = i == colored ? color : COLOR_NONE;
		list[at + i] = cli_safe(cells[i] ?: "-");
		if (!list[at + i])
			return -ENOMEM;
	}
	return 0;
}

static bool shown(const struct cli_table *t, size_t column)
{
	if (!t->columns[column].optional || t->cli->width == 0)
		return true;
	for (size_t i = 0; i < t->n_lines; i++)
		if (strcmp(cell(t, i, column), "-") != 0)
			return true;
	return false;
}

size_t cli_table_rest(const struct cli_table *t)
{
	size_t used = 0;

	if (t->cli->width == 0)
		return 0;
	for (size_t i = 0; i + 1 < t->n_columns; i++) {
		size_t widest = cli_width_of(t->columns[i].name);

		if (!shown(t, i))
			continue;
		for (size_t line = 0; line < t->n_lines; line++)
			widest = MAX(widest, cli_width_of(cell(t, line, i)));
		used += widest + 1;
	}
	return used + REST_MIN < t->cli->width ? t->cli->width - used : REST_MIN;
}

static int add_line(struct cli_table *t, struct libscols_table *tb, size_t line, size_t rest)
{
	struct libscols_line *ln = scols_table_new_line(tb, NULL);
	int r = ln ? 0 : -ENOMEM;

	for (size_t i = 0, at = 0; r == 0 && i < t->n_columns; i++) {
		_cleanup_free_ char *folded = NULL;
		enum cli_color color = t->colors[line * t->n_columns + i];
		const char *text = cell(t, line, i);

		if (!shown(t, i))
			continue;
		if (t->columns[i].fold && rest > 0) {
			folded = cli_folded(text, rest, 0, 0);
			text = folded;
		}
		if (!text || scols_line_set_data(ln, at, text) ||
		    (color != COLOR_NONE && scols_cell_set_color(scols_line_get_cell(ln, at), cli_color(true, color))))
			r = -ENOMEM;
		at++;
	}
	return r;
}

static int add_column(struct libscols_table *tb, const struct cli_column *c, bool first)
{
	int flags = (c->right ? SCOLS_FL_RIGHT : 0) | (c->fold ? SCOLS_FL_WRAP : first ? SCOLS_FL_TRUNC : 0);
	struct libscols_column *column = scols_table_new_column(tb, c->name, 0, flags);

	if (!column)
		return -ENOMEM;
	if (!c->fold)
		return 0;
	/* line breaks are this program's own: those in the text were taken out */
	return scols_column_set_wrapfunc(column, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL) ?:
		       scols_column_set_safechars(column, "\n");
}

int cli_table_print(struct cli_table *t)
{
	_cleanup_(scols_unref_tablep) struct libscols_table *tb = scols_new_table();
	size_t rest = cli_table_rest(t);
	int r = tb && scols_table_enable_minout(tb, 1) == 0 ? 0 : -ENOMEM;

	if (r == 0)
		r = scols_table_enable_colors(tb, t->cli->color_out);
	if (r == 0)
		r = scols_table_set_termforce(tb, t->cli->width ? SCOLS_TERMFORCE_ALWAYS : SCOLS_TERMFORCE_NEVER);
	if (r == 0 && t->cli->width)
		r = scols_table_set_termwidth(tb, t->cli->width);
	for (size_t i = 0; r == 0 && i < t->n_columns; i++)
		if (shown(t, i))
			r = add_column(tb, &t->columns[i], i == 0);
	for (size_t i = 0; r == 0 && i < t->n_lines; i++)
		r = add_line(t, tb, i, rest);
	if (r == 0 && scols_print_table(tb) != 0)
		r = -EIO;
	return r;
}

void cli_table_clear(struct cli_table *t)
{
	for (size_t i = 0; t->cells && i < t->n_lines * t->n_columns; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t->colors);
	t->cells = NULL;
	t->colors = NULL;
	t->n_lines = 0;
}
