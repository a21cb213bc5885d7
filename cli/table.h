/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Tables, by libsmartcols. What they have in common: the width of the terminal, or none in a pipe; and one last column
 * that gets what the others leave, so that names are what is cut last.
 *
 * A verb has its columns in one array and fills a line from an array of as many texts: a column more is a row in
 * the one and a text in the other.
 */
#include <libsmartcols/libsmartcols.h>

#include "cli.h"

#define CLI_COLUMNS_MAX 24

struct cli_column {
	const char *name;
	bool right;    /* numbers */
	bool optional; /* left out on a terminal if no line has anything there but "-" */
	bool fold;     /* folded at words to what the other columns leave; the last one only */
};

struct cli_table {
	struct cli *cli;
	const struct cli_column *columns;
	size_t n_columns;
	char **cells; /* n_lines * n_columns */
	enum cli_color *colors;
	size_t n_lines;
};

/**
 * cli_table_add() - a line; @cells: a text for each column, NULL is "-"; copied, without control characters
 * @color: of the column with the index @colored; COLOR_NONE: as all
 */
int cli_table_add(struct cli_table *t, const char *const *cells, size_t colored, enum cli_color color);
/** cli_table_rest() - how wide the last column may be, so that all fit; 0: as wide as it likes */
size_t cli_table_rest(const struct cli_table *t);
/** cli_table_print() - to stdout */
int cli_table_print(struct cli_table *t);
void cli_table_clear(struct cli_table *t);
