// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * luctl journal show, luctl journal verify: the calls that set a VM's passed-through devices up again in the next
 * kernel, and what came of them. By VM from luctld, or from a file without it. One document, two views: show is a
 * table of the calls, verify the list of what is wrong.
 */
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

static int read_journal(struct cli *cli, struct luctl_journal **ret)
{
	const char *file = cli_value(cli, "file"), *vm = cli->n_args ? cli->args[0] : NULL;

	if (!file == !vm)
		return cli_error(cli, EXIT_USAGE, "luctl journal show VM, or luctl journal show --file FILE",
				 file ? "both a VM and a file are given" : "a VM or a file is missing");
	if (vm && luctl_connect(cli->ctx, cli_value(cli, "bus")) < 0)
		return cli_error_ctx(cli);
	return luctl_journal_read(cli->ctx, vm, file, ret) < 0 ? cli_error_ctx(cli) : 0;
}

static void print_findings(struct cli *cli, const struct luctl_journal *j)
{
	for (const struct luctl_finding *f = luctl_journal_finding_next(j, NULL); f;
	     f = luctl_journal_finding_next(j, f))
		cli_finding(cli, f);
}

enum call_column {
	NUMBER,
	OBJECT,
	CALL,
	ARGUMENTS,
	ID,
	RESULT,
	N_COLUMNS
};

static const struct {
	const char *name;
	bool right;
} columns[N_COLUMNS] = {
	[NUMBER] = { "NO", true },  [OBJECT] = { "OBJECT", false },
	[CALL] = { "CALL", false }, [ARGUMENTS] = { "ARGUMENTS", false },
	[ID] = { "ID", true },      [RESULT] = { "RESULT", false },
};

static int set_text(struct libscols_line *ln, enum call_column column, const char *text)
{
	_cleanup_free_ char *safe = cli_safe(text);

	return safe ? scols_line_set_data(ln, column, safe) : -ENOMEM;
}

static int set_object(struct libscols_line *ln, const struct luctl_call *call)
{
	_cleanup_free_ char *text = NULL;
	int id, r;
	const char *name = luctl_call_object(call, &id);

	r = id ? asprintf(&text, "%s/%d", name, id) : asprintf(&text, "%s", *name ? name : "\"\"");
	if (r < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return set_text(ln, OBJECT, text);
}

/* "ioas=3 flags=0x7 …"; of a list the elements, separated by commas */
static int set_arguments(struct libscols_line *ln, const struct luctl_call *call)
{
	_cleanup_free_ char *text = NULL;
	const char *name, *before = NULL, *value;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return -ENOMEM;
	for (unsigned int i = 0; (value = luctl_call_arg(call, i, &name)); i++) {
		if (before && !strcmp(before, name))
			fprintf(f, ",%s", value);
		else
			fprintf(f, "%s%s=%s", before ? " " : "", name, value);
		before = name;
	}
	return fclose(f) == 0 ? set_text(ln, ARGUMENTS, text) : -ENOMEM;
}

static int set_result(struct libscols_line *ln, const struct luctl_call *call)
{
	unsigned int tries = luctl_call_tries(call);
	int error = luctl_call_error(call);
	char text[96] = "-";

	if (tries)
		snprintf(text, sizeof(text), "%s", error ? strerrorname_np(-error) ?: strerror(-error) : "ok");
	if (tries > 1)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " (%u tries)", tries);
	return set_text(ln, RESULT, text);
}

static int add_line(struct libscols_table *tb, const struct luctl_call *call)
{
	struct libscols_line *ln = scols_table_new_line(tb, NULL);
	uint64_t id = luctl_call_id(call);
	char text[32] = "";
	int r;

	if (!ln)
		return -ENOMEM;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)luctl_call_number(call));
	r = set_text(ln, NUMBER, text);
	if (r == 0)
		r = set_object(ln, call);
	if (r == 0)
		r = set_text(ln, CALL, luctl_call_name(call));
	if (r == 0)
		r = set_arguments(ln, call);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
	if (r == 0)
		r = set_text(ln, ID, id == LUCTL_UNKNOWN ? "" : text);
	return r ?: set_result(ln, call);
}

static int print_table(const struct luctl_journal *j)
{
	struct libscols_table *tb = scols_new_table();
	int r = tb ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < N_COLUMNS; i++)
		if (!scols_table_new_column(tb, columns[i].name, 0, columns[i].right ? SCOLS_FL_RIGHT : 0))
			r = -ENOMEM;
	for (const struct luctl_call *c = luctl_journal_call_next(j, NULL); r == 0 && c;
	     c = luctl_journal_call_next(j, c))
		r = add_line(tb, c);
	if (r == 0 && scols_print_table(tb) != 0)
		r = -EIO;
	scols_unref_table(tb);
	return r;
}

int verb_journal_show(struct cli *cli)
{
	_cleanup_(luctl_journal_freep) struct luctl_journal *j = NULL;
	char when[64];
	int r = read_journal(cli, &j);

	if (r != 0)
		return r;
	if (cli->json) {
		cli_print_json(luctl_journal_json(j));
		return luctl_journal_ok(j) ? EXIT_OK : EXIT_REFUSED;
	}
	print_findings(cli, j);
	if (luctl_journal_vm(j)) {
		cli_line(cli, "VM", "%s", luctl_journal_vm(j));
		cli_line(cli, "Boot", "%s", luctl_journal_boot_id(j));
		cli_line(cli, "Written", "%s", cli_time(luctl_journal_written(j), when));
	}
	if (luctl_journal_call_next(j, NULL) && print_table(j) < 0)
		return cli_error(cli, EXIT_FAILED, NULL, "the table cannot be printed");
	return luctl_journal_ok(j) ? EXIT_OK : EXIT_REFUSED;
}

int verb_journal_verify(struct cli *cli)
{
	_cleanup_(luctl_journal_freep) struct luctl_journal *j = NULL;
	unsigned int n = 0, tried = 0;
	int r = read_journal(cli, &j);

	if (r != 0)
		return r;
	if (cli->json) {
		cli_print_json(luctl_journal_json(j));
		return luctl_journal_ok(j) ? EXIT_OK : EXIT_REFUSED;
	}
	for (const struct luctl_call *c = luctl_journal_call_next(j, NULL); c; c = luctl_journal_call_next(j, c)) {
		n++;
		tried += luctl_call_tries(c) > 0;
	}
	print_findings(cli, j);
	{
		_cleanup_free_ char *source = cli_safe(luctl_journal_source(j));

		if (luctl_journal_ok(j))
			printf("%s: %u calls, %u of them made; chain and seal are whole, and they can be executed\n",
			       source ?: "?", n, tried);
		else
			printf("%s: not in order\n", source ?: "?");
	}
	return luctl_journal_ok(j) ? EXIT_OK : EXIT_REFUSED;
}
