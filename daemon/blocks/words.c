// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a command line opens as disks: -blockdev, -drive and its short forms, and which device has which of them.
 *
 * -drive calls the file "file"; here it is "filename", as in QEMU's own options: with a format's driver that is the
 * file beneath it. A name "json:{…}" is the options that it holds, where the word has not given them.
 *
 * What only a file of settings (-readconfig) or -set says is not looked at: a disk from there is none of the command
 * line's, and the verdict says so.
 */
#include <stdio.h>
#include <string.h>

#include "argv.h"
#include "blocks-internal.h"

#define THINGS_MAX 4096u

void lu_block_words_clear(struct lu_block_words *w)
{
	for (size_t i = 0; i < w->n_drives; i++) {
		lu_block_options_clear(&w->drives[i].o);
		free(w->drives[i].id);
		free(w->drives[i].word);
	}
	for (size_t i = 0; i < w->n_nodes; i++)
		lu_block_options_clear(&w->nodes[i].o);
	for (size_t i = 0; i < w->n_devices; i++) {
		free(w->devices[i].id);
		free(w->devices[i].drive);
	}
	for (size_t i = 0; i < w->n_board; i++)
		free(w->board[i]);
	free(w->drives);
	free(w->nodes);
	free(w->devices);
	free(w->board);
	*w = (struct lu_block_words){ 0 };
}

/* Room for one more member of a list; what is in it is zero. */
static void *grow(void *list, size_t *n, size_t size)
{
	void **where = list, *p;

	if (*n == THINGS_MAX)
		return NULL;
	p = reallocarray(*where, *n + 1, size);
	if (!p)
		return NULL;
	*where = p;
	p = (char *)p + size * (*n)++;
	memset(p, 0, size);
	return p;
}

static int rename_option(struct lu_block_options *o, const char *from, const char *to)
{
	_cleanup_free_ char *value = NULL;

	if (lu_block_options_drop(o, from, &value) == 0)
		return 0;
	return lu_block_options_set(o, to, value);
}

static const char *get(const struct lu_block_options *o, const char *key)
{
	for (size_t i = 0; i < o->n; i++)
		if (!strcmp(o->list[i].key, key))
			return o->list[i].value;
	return NULL;
}

static int open_json(struct lu_block_options *o, const char *key)
{
	_cleanup_free_ char *name = NULL;

	if (!get(o, key) || strncmp(get(o, key), "json:", 5) != 0)
		return 0;
	lu_block_options_drop(o, key, &name);
	return lu_block_options_add_json(o, name + 5);
}

static bool has_below(const struct lu_block_options *o, const char *prefix)
{
	for (size_t i = 0; i < o->n; i++)
		if (!strncmp(o->list[i].key, prefix, strlen(prefix)))
			return true;
	return false;
}

static int finish_drive(struct lu_block_drive *d)
{
	static const struct {
		const char *from, *to;
	} names[] = { { "file", "filename" }, { "readonly", "read-only" }, { "format", "driver" } };
	const char *media = get(&d->o, "media"), *file;
	int r = 0;

	d->cdrom = media && !strcmp(media, "cdrom");
	d->snapshot = lu_block_value_on(get(&d->o, "snapshot"));
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(names); i++)
		r = rename_option(&d->o, names[i].from, names[i].to);
	if (r < 0)
		return r;
	file = get(&d->o, "filename");
	if (file && !*file)
		lu_block_options_drop(&d->o, "filename", NULL);
	d->medium = get(&d->o, "filename") || has_below(&d->o, "file.") || get(&d->o, "driver");
	if (d->cdrom && !get(&d->o, "read-only"))
		r = lu_block_options_set(&d->o, "read-only", "on");
	if (r < 0)
		return r;
	d->id = get(&d->o, "id") ? strdup(get(&d->o, "id")) : NULL;
	if (get(&d->o, "id") && !d->id)
		return -ENOMEM;
	return open_json(&d->o, "filename");
}

static int add_drive(struct lu_block_words *w, const struct lu_arg *arg)
{
	struct lu_block_drive *d = grow(&w->drives, &w->n_drives, sizeof(*d));
	int r;

	if (!d)
		return w->n_drives == THINGS_MAX ? -E2BIG : -ENOMEM;
	d->at = arg->index;
	if (asprintf(&d->word, "-%s %s", arg->name, arg->value) < 0) {
		d->word = NULL;
		return -ENOMEM;
	}
	if (!strcmp(arg->name, "drive"))
		r = lu_block_options_parse(&d->o, arg->value, NULL);
	else
		r = lu_block_options_set(&d->o, "file", arg->value);
	if (r >= 0 && !strcmp(arg->name, "cdrom"))
		r = lu_block_options_set(&d->o, "media", "cdrom");
	return r < 0 ? r : finish_drive(d);
}

static int parse(struct lu_block_options *o, const char *text, const char *implied)
{
	return text[0] == '{' ? lu_block_options_add_json(o, text) : lu_block_options_parse(o, text, implied);
}

static int add_node(struct lu_block_words *w, const struct lu_arg *arg)
{
	struct lu_block_made *made = grow(&w->nodes, &w->n_nodes, sizeof(*made));

	if (!made)
		return w->n_nodes == THINGS_MAX ? -E2BIG : -ENOMEM;
	made->at = arg->index;
	return parse(&made->o, arg->value, "driver");
}

static int add_device(struct lu_block_words *w, const struct lu_arg *arg)
{
	struct lu_block_device *d = grow(&w->devices, &w->n_devices, sizeof(*d));

	if (!d)
		return w->n_devices == THINGS_MAX ? -E2BIG : -ENOMEM;
	d->at = arg->index;
	d->json = arg->value[0] == '{';
	if (lu_argv_property(arg->value, "id", &d->id) < 0 || lu_argv_property(arg->value, "drive", &d->drive) < 0)
		return -ENOMEM;
	return 0;
}

static int add_board(struct lu_block_words *w, const char *node)
{
	char **p = grow(&w->board, &w->n_board, sizeof(*p));

	if (!p)
		return w->n_board == THINGS_MAX ? -E2BIG : -ENOMEM;
	*p = strdup(node);
	return *p ? 0 : -ENOMEM;
}

/* "q35,pflash0=code"; "isa-fdc.driveA=floppy" or "driver=isa-fdc,property=driveA,value=floppy" */
static int add_boards(struct lu_block_words *w, const struct lu_arg *arg)
{
	bool global = !strcmp(arg->name, "global");
	struct lu_block_options o = { 0 };
	int r = parse(&o, arg->value, global ? "driver" : "type");

	for (size_t i = 0; r >= 0 && i < o.n; i++) {
		const char *key = o.list[i].key, *dot = strrchr(key, '.'), *value = o.list[i].value;

		if (!value)
			continue;
		if (global ? dot && !strncmp(dot, ".drive", 6) : !strncmp(key, "pflash", 6))
			r = add_board(w, value);
		else if (global && !strcmp(key, "property") && !strncmp(value, "drive", 5) && get(&o, "value"))
			r = add_board(w, get(&o, "value"));
	}
	lu_block_options_clear(&o);
	return r;
}

static bool is_any(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(name, list[i]))
			return true;
	return false;
}

static int one_word(struct lu_block_words *w, const struct lu_arg *arg)
{
	/* a bare word is -hda */
	static const char *const drives[] = { "",    "drive", "hda", "hdb",    "hdc",      "hdd",
					      "fda", "fdb",   "sd",  "pflash", "mtdblock", "cdrom" };

	if (!arg->value)
		return 0;
	if (is_any(arg->name, drives, ARRAY_SIZE(drives)))
		return add_drive(w, arg);
	if (!strcmp(arg->name, "blockdev"))
		return add_node(w, arg);
	if (!strcmp(arg->name, "device"))
		return add_device(w, arg);
	if (!strcmp(arg->name, "machine") || !strcmp(arg->name, "M") || !strcmp(arg->name, "global"))
		return add_boards(w, arg);
	return 0;
}

int lu_block_words_read(char *const *argv, struct lu_block_words *ret, struct lu_reasons *why)
{
	struct lu_arg arg = { 0 };

	*ret = (struct lu_block_words){ 0 };
	while (lu_argv_next(argv, &arg)) {
		int r = one_word(ret, &arg);

		if (r == -ENOMEM)
			return r;
		if (r < 0)
			lu_reasons_add(why, NULL, "exclude the VM",
				       "what \"-%s %s\" of its command line opens can't be told", arg.name,
				       arg.value ?: "");
		if (arg.value && !strcmp(arg.name, "set") && strstr(arg.value, "drive"))
			lu_reasons_add(why, NULL, "give the disk's options where the disk is given",
				       "what \"-set %s\" of its command line makes of a disk can't be told", arg.value);
	}
	return 0;
}

/* A child that is given in its parent's word may have a name, too. */
static int named_in(const struct lu_block_options *o, const char *name, struct lu_block_view *ret)
{
	static const char key[] = "node-name";

	for (size_t i = 0; i < o->n; i++) {
		size_t n = strlen(o->list[i].key), k = strlen(key);
		_cleanup_free_ char *prefix = NULL;

		if (n < k || strcmp(o->list[i].key + n - k, key) != 0 || (n > k && o->list[i].key[n - k - 1] != '.') ||
		    !o->list[i].value || strcmp(o->list[i].value, name) != 0)
			continue;
		prefix = strndup(o->list[i].key, n - k);
		if (!prefix)
			return -ENOMEM;
		return lu_block_view_make(ret, o, prefix) ?: 1;
	}
	return 0;
}

int lu_block_words_node(const struct lu_block_words *w, const char *name, struct lu_block_view *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->n_nodes; i++)
		r = named_in(&w->nodes[i].o, name, ret);
	for (size_t i = 0; r == 0 && i < w->n_drives; i++)
		r = named_in(&w->drives[i].o, name, ret);
	return r;
}
