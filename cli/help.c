// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * luctl help: the table of verbs for people, and as data for other programs. All of it comes from the tables in verbs.c:
 * one verb, one group of verbs ("vm"), or everything with the exit codes.
 */
#include <ctype.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "json.h"

static void print_options(const struct cli_option *list)
{
	for (; list && list->name; list++) {
		char left[48];

		snprintf(left, sizeof(left), "%c%c%c --%s%s%s", list->letter ? '-' : ' ', list->letter ?: ' ',
			 list->letter ? ',' : ' ', list->name, list->arg ? " " : "", list->arg ?: "");
		printf("  %-24s %s%s\n", left, list->help, list->repeat ? "; may be repeated" : "");
	}
}

static void help_verb(const struct cli_verb *v)
{
	printf("Usage: luctl %s%s%s [OPTION]...\n\n%c%s.\n", v->name, v->args ? " " : "", v->args ?: "",
	       toupper((unsigned char)v->help[0]), v->help + 1);
	if (v->about)
		printf("\n%s\n", v->about);
	if (v->options) {
		puts("\nOptions:");
		print_options(v->options);
	}
	puts("\nWith every verb:");
	print_options(cli_global_options);
}

static void help_all(void)
{
	puts("Usage: luctl [OPTION]... VERB [ARGUMENT]...\n\nLive update of a KVM host's kernel under its "
	     "guests.\n\nVerbs:");
	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		char left[48];

		snprintf(left, sizeof(left), "%s%s%s", v->name, v->args ? " " : "", v->args ?: "");
		printf("  %-24s %s\n", left, v->help);
	}
	puts("\nOptions:");
	print_options(cli_global_options);
	puts("\nExit codes:");
	for (const struct cli_exit_code *x = cli_exit_codes; x->help; x++)
		printf("  %d  %s\n", x->code, x->help);
	puts("\nluctl VERB --help tells more about a verb; luctl(1) tells all.");
}

bool cli_help_group(const char *word)
{
	size_t n = strlen(word);
	bool found = false;

	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		char left[48];

		if (strncmp(v->name, word, n) != 0 || v->name[n] != ' ')
			continue;
		if (!found)
			printf("Usage: luctl %s VERB [ARGUMENT]...\n\nVerbs:\n", word);
		found = true;
		snprintf(left, sizeof(left), "%s%s%s", v->name, v->args ? " " : "", v->args ?: "");
		printf("  %-24s %s\n", left, v->help);
	}
	if (found)
		printf("\nluctl %s VERB --help tells more about one.\n", word);
	return found;
}

void cli_help(struct cli *cli)
{
	if (cli->verb && strcmp(cli->verb->name, "help") != 0)
		help_verb(cli->verb);
	else
		help_all();
}

static struct json_object *describe_options(const struct cli_option *list)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();

	for (; array && list && list->name; list++) {
		_cleanup_json_ struct json_object *o = json_object_new_object();
		char name[64], letter[] = { '-', list->letter, '\0' };

		snprintf(name, sizeof(name), "--%s", list->name);
		if (!o || lu_json_add_string(o, "name", name) < 0 ||
		    lu_json_add_string(o, "short", list->letter ? letter : NULL) < 0 ||
		    lu_json_add_string(o, "arg", list->arg) < 0 || lu_json_add_string(o, "help", list->help) < 0 ||
		    lu_json_add_bool(o, "repeat", list->repeat) < 0 || json_object_array_add(array, o) < 0)
			return NULL;
		o = NULL;
	}
	return steal_ptr(array);
}

static struct json_object *describe_verbs(void)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();

	for (const struct cli_verb *v = cli_verbs; array && v->name; v++) {
		_cleanup_json_ struct json_object *o = json_object_new_object();

		if (!o || lu_json_add_string(o, "name", v->name) < 0 || lu_json_add_string(o, "args", v->args) < 0 ||
		    lu_json_add_string(o, "help", v->help) < 0 ||
		    lu_json_add(o, "options", describe_options(v->options)) < 0 || json_object_array_add(array, o) < 0)
			return NULL;
		o = NULL;
	}
	return steal_ptr(array);
}

static struct json_object *describe_exit_codes(void)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();

	for (const struct cli_exit_code *x = cli_exit_codes; array && x->help; x++) {
		_cleanup_json_ struct json_object *o = json_object_new_object();

		if (!o || lu_json_add_int(o, "code", x->code) < 0 || lu_json_add_string(o, "help", x->help) < 0 ||
		    json_object_array_add(array, o) < 0)
			return NULL;
		o = NULL;
	}
	return steal_ptr(array);
}

static int help_json(struct cli *cli)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_free_ char *text = NULL;

	if (!o || lu_json_add_uint(o, "version", 1) < 0 || lu_json_add_uint(o, "minor", 1) < 0 ||
	    lu_json_add_string(o, "program", "luctl") < 0 || lu_json_add_string(o, "release", luctl_version()) < 0 ||
	    lu_json_add(o, "options", describe_options(cli_global_options)) < 0 ||
	    lu_json_add(o, "verbs", describe_verbs()) < 0 || lu_json_add(o, "exit_codes", describe_exit_codes()) < 0 ||
	    lu_json_text(o, &text) < 0)
		return cli_error(cli, EXIT_FAILED, NULL, "out of memory");
	cli_print_json(text);
	return EXIT_OK;
}

int verb_help(struct cli *cli)
{
	char name[64];

	if (cli->n_args == 0) {
		if (cli->json)
			return help_json(cli);
		help_all();
		return EXIT_OK;
	}
	snprintf(name, sizeof(name), "%s%s%s", cli->args[0], cli->n_args > 1 ? " " : "",
		 cli->n_args > 1 ? cli->args[1] : "");
	for (const struct cli_verb *v = cli_verbs; v->name; v++)
		if (strcmp(v->name, name) == 0) {
			help_verb(v);
			return EXIT_OK;
		}
	if (cli->n_args == 1 && cli_help_group(name))
		return EXIT_OK;
	return cli_error(cli, EXIT_USAGE, "luctl help lists the verbs", "unknown verb %s", name);
}
