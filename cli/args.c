// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From words to a verb with its options, by getopt_long in two passes: global options
 * up to the first word that is none, then the verb, then its options and the global
 * ones again in any order. Values point into argv.
 *
 * A mistake costs one line and a hint, never the whole help.
 */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>

#include "cli.h"

#define OPTIONS_MAX 32
#define WORD_MAX 32     /* longer words are nobody's verb */
#define OPTION_BASE 256 /* getopt's val for the first of our options */

struct option_set {
	struct option longopts[OPTIONS_MAX + 1];
	const struct cli_option *options[OPTIONS_MAX];
	int n;
	char letters[2 * OPTIONS_MAX + 3]; /* as getopt wants them */
};

/* @order: how getopt is to take words that are no options, "+" or "" */
static void set_letters(struct option_set *set, const char *order)
{
	char *p = stpcpy(stpcpy(set->letters, order), ":");

	for (int i = 0; i < set->n; i++) {
		if (!set->options[i]->letter)
			continue;
		*p++ = set->options[i]->letter;
		if (set->options[i]->arg)
			*p++ = ':';
	}
	*p = '\0';
}

static void set_add(struct option_set *set, const struct cli_option *list)
{
	for (; list && list->name && set->n < OPTIONS_MAX; list++, set->n++) {
		set->options[set->n] = list;
		set->longopts[set->n] = (struct option){
			.name = list->name,
			.has_arg = list->arg ? required_argument : no_argument,
			.val = OPTION_BASE + set->n,
		};
	}
}

static int add_value(struct cli *cli, const struct cli_option *option, const char *value)
{
	struct cli_value *list = reallocarray(cli->values, cli->n_values + 1, sizeof(*list));

	if (!list)
		return cli_error(cli, EXIT_FAILED, NULL, "out of memory");
	cli->values = list;
	list[cli->n_values++] = (struct cli_value){ .option = option, .value = value };
	if (strcmp(option->name, "json") == 0)
		cli->json = true;
	return 0;
}

static const struct cli_option *option_of(const struct option_set *set, int c)
{
	for (int i = 0; i < set->n; i++)
		if (set->options[i]->letter && set->options[i]->letter == c)
			return set->options[i];
	return c >= OPTION_BASE && c < OPTION_BASE + set->n ? set->options[c - OPTION_BASE] : NULL;
}

static int usage_error(struct cli *cli, const char *what, const char *word)
{
	char hint[64];

	snprintf(hint, sizeof(hint), "luctl%s%s --help", cli->verb ? " " : "", cli->verb ? cli->verb->name : "");
	return cli_error(cli, EXIT_USAGE, hint, "%s %s", what, word);
}

/* Matches one or two words; *@ret_words says how many. */
static const struct cli_verb *verb_find(int n, char **words, int *ret_words)
{
	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		const char *blank = strchr(v->name, ' ');
		size_t first = blank ? (size_t)(blank - v->name) : strlen(v->name);

		if (strlen(words[0]) != first || strncmp(words[0], v->name, first) != 0)
			continue;
		if (blank && (n < 2 || strcmp(words[1], blank + 1) != 0))
			continue;
		*ret_words = blank ? 2 : 1;
		return v;
	}
	return NULL;
}

/* How many letters have to be put in, left out or exchanged to make one word of the other; words are short. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[WORD_MAX + 1], above, left;
	size_t m = strlen(b);

	if (m > WORD_MAX || strlen(a) > WORD_MAX)
		return UINT_MAX;
	for (size_t j = 0; j <= m; j++)
		row[j] = (unsigned int)j;
	for (size_t i = 0; a[i]; i++) {
		left = row[0]++;
		for (size_t j = 0; j < m; j++) {
			above = row[j + 1];
			row[j + 1] = MIN(MIN(row[j], above) + 1, left + (a[i] != b[j]));
			left = above;
		}
	}
	return row[m];
}

/* "--kernl": the one that was probably meant, if any */
static int unknown_option(struct cli *cli, const struct option_set *set, const char *word)
{
	unsigned int best = 3;
	const char *near = NULL;
	char hint[96];

	for (int i = 0; word[0] == '-' && word[1] == '-' && i < set->n; i++) {
		char name[WORD_MAX + 1];
		unsigned int d;

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
		d = distance(name, set->options[i]->name);
		if (d < best && d < (strlen(name) + 1) / 2) {
			best = d;
			near = set->options[i]->name;
		}
	}
	if (!near)
		return usage_error(cli, "unknown option", word);
	snprintf(hint, sizeof(hint), "--%s is one; luctl%s%s --help lists all", near, cli->verb ? " " : "",
		 cli->verb ? cli->verb->name : "");
	return cli_error(cli, EXIT_USAGE, hint, "unknown option %s", word);
}

static int parse_options(struct cli *cli, struct option_set *set, const char *order, int argc, char **argv)
{
	int c;

	opterr = 0;
	set_letters(set, order);
	while ((c = getopt_long(argc, argv, set->letters, set->longopts, NULL)) != -1) {
		const struct cli_option *o = option_of(set, c);
		int r;

		if (c == ':')
			return usage_error(cli, "missing argument of", argv[optind - 1]);
		if (!o && optopt >= OPTION_BASE) /* a flag that was given an argument */
			return usage_error(cli, "no argument belongs to", argv[optind - 1]);
		if (!o && optopt) {
			char word[] = { '-', (char)optopt, '\0' };

			return usage_error(cli, "unknown option", word);
		}
		if (!o)
			return unknown_option(cli, set, argv[optind - 1]);
		if (!o->repeat && o->arg && cli_value(cli, o->name)) {
			char word[64];

			snprintf(word, sizeof(word), "--%s", o->name);
			return usage_error(cli, "given more than once:", word);
		}
		r = add_value(cli, o, o->arg ? optarg : NULL);
		if (r != 0)
			return r;
	}
	return 0;
}

/* The verb that was probably meant: at most two letters are wrong, and less than half of them. */
static const char *nearest_verb(const char *word)
{
	unsigned int best = MIN(3u, (unsigned int)(strlen(word) + 1) / 2);
	const char *found = NULL;

	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		unsigned int d = distance(word, v->name);

		if (d < best) {
			best = d;
			found = v->name;
		}
	}
	return found;
}

static int unknown_verb(struct cli *cli, int n, char **words)
{
	size_t first = strlen(words[0]);
	char list[256] = "", whole[WORD_MAX + 1];
	const char *near;

	snprintf(whole, sizeof(whole), "%s%s%s", words[0], n > 1 ? " " : "", n > 1 ? words[1] : "");

	/* A group such as "vm": name its verbs. */
	for (const struct cli_verb *v = cli_verbs; v->name; v++)
		if (strncmp(v->name, words[0], first) == 0 && v->name[first] == ' ' &&
		    strlen(list) + strlen(v->name) + 3 < sizeof(list)) {
			strcat(list, *list ? ", " : "");
			strcat(list, v->name);
		}
	if (*list)
		return cli_error(cli, EXIT_USAGE, list, n > 1 ? "unknown verb %s %s" : "%s: a second word is missing",
				 words[0], n > 1 ? words[1] : "");
	near = nearest_verb(whole);
	if (!near)
		near = nearest_verb(words[0]);
	if (near) {
		char hint[96];

		snprintf(hint, sizeof(hint), "luctl %s is one; luctl --help lists all", near);
		return cli_error(cli, EXIT_USAGE, hint, "unknown verb %s", words[0]);
	}
	return usage_error(cli, "unknown verb", words[0]);
}

static bool is_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h");
}

int cli_parse(struct cli *cli, int argc, char **argv)
{
	struct option_set set = { 0 };
	int r, words = 0;

	set_add(&set, cli_global_options);
	r = parse_options(cli, &set, "+", argc, argv);
	if (r != 0)
		return r;
	if (optind >= argc)
		return 0;
	cli->verb = verb_find(argc - optind, argv + optind, &words);
	if (!cli->verb && argc - optind >= 2 && is_help(argv[optind + 1]) && cli_help_group(argv[optind]))
		return cli->helped = true, 0;
	if (!cli->verb)
		return unknown_verb(cli, argc - optind, argv + optind);
	set_add(&set, cli->verb->options);
	/* The verb's last word takes the place of argv[0]. */
	argv += optind + words - 1;
	argc -= optind + words - 1;
	optind = 0;
	r = parse_options(cli, &set, "", argc, argv);
	if (r != 0)
		return r;
	cli->args = argv + optind;
	cli->n_args = argc - optind;
	if (cli_flag(cli, "help") || cli_flag(cli, "version"))
		return 0;
	if (cli->n_args < cli->verb->min_args)
		return usage_error(cli, "missing argument:", cli->verb->args);
	if (cli->n_args > cli->verb->max_args)
		return usage_error(cli, "unexpected argument:", cli->args[cli->verb->max_args]);
	return 0;
}

const char *cli_value_each(const struct cli *cli, const char *name, size_t *i)
{
	while (*i < cli->n_values) {
		const struct cli_value *v = &cli->values[(*i)++];

		if (strcmp(v->option->name, name) == 0)
			return v->value ?: "";
	}
	return NULL;
}

const char *cli_value(const struct cli *cli, const char *name)
{
	const char *last = NULL, *s;
	size_t i = 0;

	while ((s = cli_value_each(cli, name, &i)))
		last = s;
	return last;
}

bool cli_flag(const struct cli *cli, const char *name)
{
	return cli_value(cli, name) != NULL;
}

void cli_clear(struct cli *cli)
{
	luctl_free(cli->ctx);
	free(cli->values);
}
