// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The command line anew, for a guest that has something else beneath its disks than it was started with: an overlay of
 * a live snapshot, a mirror's copy, the base after a commit, another medium or none.
 *
 *	a -drive		gets the image that is there now, and keeps all that is not about the image
 *	a -device with a node	gets the node that is there now; nodes that no word makes, or makes otherwise, get a
 *				-blockdev each, after those that they stand on
 *	a -blockdev		whose node is gone goes
 *
 * This only proposes. The proposal is then judged in place of the command line, by the same code: if one difference
 * is left, there is none. So what can't be told from QEMU's answers (a node without a name, an encrypted image, a
 * filter, options of a format) ends as a refusal.
 *
 * What QEMU does not tell of a node (discard, aio) is taken from the image that the words had in its place, or is QEMU's
 * default: that changes how much room an image takes, never what the guest reads.
 */
#include <stdio.h>
#include <string.h>

#include "argv.h"
#include "compare.h"
#include "json.h"

#define MADE_MAX 256u

/* What stands at an option of the old argv: its argument anew, or nothing. */
struct edit {
	size_t at;
	char *option, *value; /* option NULL: both words go */
};

struct rewriting {
	const struct lu_blocks *b;
	struct lu_block_words *w;
	char *const *argv;
	struct lu_block_comparison c;
	const struct lu_block_view *like; /* the word of the image that was in this place; or NULL */
	struct edit *edits;
	size_t n_edits;
	char **made; /* values of -blockdev to be added, in order */
	size_t n_made;
	char *names[MADE_MAX]; /* of their nodes */
	unsigned int depth;
};

static void clear(struct rewriting *r)
{
	for (size_t i = 0; i < r->n_edits; i++) {
		free(r->edits[i].option);
		free(r->edits[i].value);
	}
	for (size_t i = 0; i < r->n_made; i++) {
		free(r->made[i]);
		free(r->names[i]);
	}
	free(r->edits);
	free(r->made);
	lu_block_comparison_clear(&r->c);
}

/* Takes over @value. */
static int edit(struct rewriting *r, size_t at, const char *option, char *value)
{
	struct edit *p = NULL;

	for (size_t i = 0; i < r->n_edits && !p; i++)
		if (r->edits[i].at == at)
			p = &r->edits[i];
	if (!p) {
		p = reallocarray(r->edits, r->n_edits + 1, sizeof(*p));
		if (!p) {
			free(value);
			return -ENOMEM;
		}
		r->edits = p;
		p += r->n_edits++;
		*p = (struct edit){ .at = at };
	}
	free(p->option);
	free(p->value);
	p->option = option ? strdup(option) : NULL;
	p->value = value;
	return option && !p->option ? -ENOMEM : 1;
}

static bool is_file(const struct lu_block_now *n)
{
	return (!strcmp(n->driver, "file") || !strcmp(n->driver, "host_device") || !strcmp(n->driver, "host_cdrom")) &&
	       n->n_children == 0 && strncmp(n->file, "json:", 5) != 0;
}

static bool is_image(const struct lu_block_now *n)
{
	return (!strcmp(n->driver, "raw") || !strcmp(n->driver, "qcow2")) && !n->encrypted;
}

static const struct lu_block_now *child(const struct rewriting *r, const struct lu_block_now *n, const char *role)
{
	for (size_t i = 0; i < n->n_children; i++)
		if (!strcmp(n->children[i].role, role))
			return lu_blocks_node(r->b, n->children[i].node);
	return NULL;
}

/* --- -drive --- */

static bool is_kept(const char *key)
{
	static const char *const keys[] = {
		"id",      "if",      "media",         "index",        "bus",       "unit",           "cache",
		"aio",     "discard", "detect-zeroes", "copy-on-read", "read-only", "auto-read-only", "werror",
		"rerror",  "group",   "snapshot",      "bps",          "bps_rd",    "bps_wr",         "iops",
		"iops_rd", "iops_wr",
	};
	static const char *const below[] = { "cache.", "throttling.", "stats-" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(keys[i], key))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(below); i++)
		if (!strncmp(key, below[i], strlen(below[i])))
			return true;
	return false;
}

/* What says which image it is, and nothing else. */
static bool is_of_image(const char *key)
{
	static const char *const keys[] = { "filename", "driver", "node-name", "file.driver", "file.filename" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(keys[i], key))
			return true;
	return false;
}

static void write_item(FILE *f, const char *key, const char *value)
{
	fprintf(f, "%s%s=", ftell(f) ? "," : "", key);
	for (; *value; value++)
		fprintf(f, *value == ',' ? ",," : "%c", *value);
}

static int rewrite_drive(struct rewriting *r, const struct lu_block_front *front, const struct lu_block_drive *d)
{
	const struct lu_block_now *n = front->node ? lu_blocks_node(r->b, front->node) : NULL,
				  *file = n ? child(r, n, "file") : NULL;
	char *value = NULL;
	size_t size;
	FILE *f;

	if (d->snapshot || (front->node && (!n || !is_image(n) || !file || !is_file(file))) ||
	    (!front->node && !front->removable))
		return 0;
	f = open_memstream(&value, &size);
	if (!f)
		return -ENOMEM;
	for (size_t i = 0; i < d->o.n; i++) {
		const struct lu_block_option *o = &d->o.list[i];

		if (o->value && is_kept(o->key)) {
			write_item(f, o->key, o->value);
		} else if (!is_of_image(o->key)) {
			fclose(f);
			free(value);
			return 0;
		}
	}
	if (!strncmp(d->word, "-cdrom ", 7))
		write_item(f, "index", "2");
	if (n) {
		write_item(f, "file", file->file);
		write_item(f, "format", n->driver);
		if (n->name[0] != '#')
			write_item(f, "node-name", n->name);
	}
	if (fclose(f) != 0) {
		free(value);
		return -ENOMEM;
	}
	return edit(r, d->at, "-drive", value);
}

/* --- -blockdev --- */

static int ensure_node(struct rewriting *r, const struct lu_block_now *n);

static int add_cache(struct json_object *o, const struct lu_block_now *n)
{
	struct json_object *cache = json_object_new_object();

	if (cache && lu_json_add_bool(cache, "direct", n->direct) >= 0 &&
	    lu_json_add_bool(cache, "no-flush", n->no_flush) >= 0)
		return lu_json_add(o, "cache", cache);
	json_object_put(cache);
	return -ENOMEM;
}

static const struct lu_block_made *word_of(const struct rewriting *r, const char *name)
{
	for (size_t i = 0; i < r->w->n_nodes; i++) {
		struct lu_block_view v = { &r->w->nodes[i].o, (char *)"" };
		const char *its = lu_block_view_get(&v, "node-name");

		if (its && !strcmp(its, name))
			return &r->w->nodes[i];
	}
	return NULL;
}

/* As the image that was there, which had these by the word of whoever started it. */
static int add_alike(struct rewriting *r, struct json_object *o)
{
	static const char *const keys[] = { "discard", "detect-zeroes" };
	int k = 0;

	for (size_t i = 0; r->like && k >= 0 && i < ARRAY_SIZE(keys); i++)
		if (lu_block_view_get(r->like, keys[i]))
			k = lu_json_add_string(o, keys[i], lu_block_view_get(r->like, keys[i]));
	return k;
}

/* A part of an image that QEMU tells by its account of the node. */
static int add_part(struct json_object *o, const struct lu_block_now *n)
{
	static const char *const keys[] = { "offset", "size" };
	struct lu_block_options own = { 0 };
	struct lu_block_view v = { &own, (char *)"" };
	int k = 0;

	if (strcmp(n->driver, "raw") != 0 || strncmp(n->file, "json:", 5) != 0)
		return 0;
	k = lu_block_options_add_json(&own, n->file + 5);
	for (size_t i = 0; k >= 0 && i < ARRAY_SIZE(keys); i++)
		if (lu_block_view_get(&v, keys[i]))
			k = lu_json_add_uint(o, keys[i], strtoull(lu_block_view_get(&v, keys[i]), NULL, 10));
	lu_block_options_clear(&own);
	return k;
}

/* 1 with the options in @o; 0 if they can't be told. */
static int tell(struct rewriting *r, const struct lu_block_now *n, struct json_object *o);

static int read_only_json(const char *value, char **ret)
{
	struct json_object *o = json_tokener_parse(value);
	int r = json_object_is_type(o, json_type_object) ? 1 : 0;

	if (r > 0) {
		json_object_object_del(o, "read-only");
		r = lu_json_add_bool(o, "read-only", true) ?: 1;
	}
	if (r > 0) {
		*ret = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
		r = *ret ? 1 : -ENOMEM;
	}
	json_object_put(o);
	return r;
}

/* What was written once and lies below an overlay now is not opened for writing again. Its word stays what it is otherwise. */
static int seal(struct rewriting *r, const struct lu_block_now *n)
{
	const struct lu_block_made *word = word_of(r, n->name);
	struct lu_block_view v = { word ? &word->o : NULL, (char *)"" };
	const char *old = word ? r->argv[word->at + 1] : NULL;
	char *value = NULL;
	int k = 1;

	if (!word || !n->read_only || lu_block_value_on(lu_block_view_get(&v, "read-only")) ||
	    lu_block_value_on(lu_block_view_get(&v, "auto-read-only")))
		return 1;
	for (size_t i = 0; i < r->n_edits; i++)
		if (r->edits[i].at == word->at)
			return 1;
	if (old[0] == '{') {
		k = read_only_json(old, &value);
	} else if (asprintf(&value, "%s,read-only=on", old) < 0) {
		value = NULL;
		k = -ENOMEM;
	}
	return k > 0 ? edit(r, word->at, r->argv[word->at], value) : k;
}

static int tell_child(struct rewriting *r, const struct lu_block_now *n, const char *role, struct json_object *o)
{
	const struct lu_block_now *below = child(r, n, role);
	struct json_object *inner;
	int k;

	if (!below)
		return 0;
	if (below->name[0] != '#') {
		k = ensure_node(r, below);
		if (k > 0 && !strcmp(role, "backing"))
			k = seal(r, below);
		return k > 0 ? lu_json_add_string(o, role, below->name) ?: 1 : k;
	}
	/* QEMU finds it by the header; if that were wrong the judge would say so */
	if (strcmp(role, "file") != 0)
		return 1;
	inner = json_object_new_object();
	k = inner ? tell(r, below, inner) : -ENOMEM;
	if (k > 0)
		return lu_json_add(o, role, inner) ?: 1;
	json_object_put(inner);
	return k;
}

static int tell(struct rewriting *r, const struct lu_block_now *n, struct json_object *o)
{
	int k = lu_json_add_string(o, "driver", n->driver);

	if (k >= 0 && n->name[0] != '#')
		k = lu_json_add_string(o, "node-name", n->name);
	if (k >= 0)
		k = lu_json_add_bool(o, "read-only", n->read_only);
	if (k >= 0)
		k = add_cache(o, n);
	if (k < 0)
		return k;
	if (is_file(n))
		return lu_json_add_string(o, "filename", n->file) ?: 1;
	if (!is_image(n) || r->depth == DEPTH_MAX)
		return 0;
	k = add_part(o, n);
	if (k < 0)
		return k == -ENOMEM ? k : 0;
	r->depth++;
	k = tell_child(r, n, "file", o);
	if (k > 0 && child(r, n, "backing"))
		k = tell_child(r, n, "backing", o);
	else if (k > 0 && n->backing)
		k = lu_json_add(o, "backing", NULL) ?: 1;
	if (k > 0 && child(r, n, "data-file"))
		k = tell_child(r, n, "data-file", o);
	r->depth--;
	return k;
}

static int add_made(struct rewriting *r, const char *name, struct json_object *o)
{
	char **p = reallocarray(r->made, r->n_made + 1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	r->made = p;
	p[r->n_made] = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	r->names[r->n_made] = strdup(name);
	r->n_made++;
	return p[r->n_made - 1] && r->names[r->n_made - 1] ? 1 : -ENOMEM;
}

/* 1: a word makes it as it is. */
static int ensure_node(struct rewriting *r, const struct lu_block_now *n)
{
	const struct lu_block_made *word = word_of(r, n->name);
	struct json_object *o;
	int k;

	for (size_t i = 0; i < r->n_made; i++)
		if (!strcmp(r->names[i], n->name))
			return 1;
	k = lu_block_compare_root(&r->c, n->name);
	if (k <= 0)
		return k < 0 ? k : 1;
	if (r->n_made == MADE_MAX)
		return 0;
	o = json_object_new_object();
	k = o ? tell(r, n, o) : -ENOMEM;
	if (k > 0)
		k = add_alike(r, o) ?: 1;
	if (k > 0 && r->n_made == MADE_MAX)
		k = 0;
	if (k > 0)
		k = add_made(r, n->name, o);
	if (k > 0 && word)
		k = edit(r, word->at, NULL, NULL);
	json_object_put(o);
	return k;
}

/* --- -device --- */

static int device_json(const char *value, const char *node, char **ret)
{
	struct json_object *o = json_tokener_parse(value);
	int r = json_object_is_type(o, json_type_object) ? 1 : 0;

	if (r > 0) {
		json_object_object_del(o, "drive");
		if (node)
			r = lu_json_add_string(o, "drive", node) ?: 1;
	}
	if (r > 0) {
		*ret = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
		r = *ret ? 1 : -ENOMEM;
	}
	json_object_put(o);
	return r;
}

static int device_words(const char *value, const char *node, char **ret)
{
	struct lu_block_options o = { 0 };
	size_t size;
	FILE *f;
	int r = lu_block_options_parse(&o, value, "driver");

	if (r >= 0)
		lu_block_options_drop(&o, "drive", NULL);
	if (r < 0 || !(f = open_memstream(ret, &size))) {
		lu_block_options_clear(&o);
		return r == -E2BIG ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < o.n; i++)
		write_item(f, o.list[i].key, o.list[i].value);
	if (node)
		write_item(f, "drive", node);
	lu_block_options_clear(&o);
	return fclose(f) ? -ENOMEM : 1;
}

static int rewrite_device(struct rewriting *r, const struct lu_block_front *front, const struct lu_block_device *d)
{
	const struct lu_block_now *n = front->node ? lu_blocks_node(r->b, front->node) : NULL;
	_cleanup_view_ struct lu_block_view like = { 0 };
	char *value = NULL;
	int k = 1;

	if (front->node ? !n || n->name[0] == '#' : !front->removable)
		return 0;
	if (d->drive && front->node) {
		k = lu_block_words_node(r->w, d->drive, &like);
		if (k < 0)
			return k;
		r->like = k > 0 ? &like : NULL;
	}
	k = n ? ensure_node(r, n) : 1;
	r->like = NULL;
	if (k > 0 && front->node && d->drive && !strcmp(front->node, d->drive))
		return k;
	if (k > 0)
		k = (d->json ? device_json : device_words)(r->argv[d->at + 1], front->node, &value);
	return k > 0 ? edit(r, d->at, r->argv[d->at], value) : k;
}

/* --- all --- */

static int add_word(char **list, size_t *n, const char *word)
{
	list[*n] = strdup(word);
	return list[*n] ? (int)(++*n) : -ENOMEM;
}

static const struct edit *edit_at(const struct rewriting *r, size_t at)
{
	for (size_t i = 0; i < r->n_edits; i++)
		if (r->edits[i].at == at)
			return &r->edits[i];
	return NULL;
}

static int compose(const struct rewriting *r, char ***ret)
{
	char *const *argv = r->argv;
	_cleanup_(lu_argv_freep) char **list = NULL;
	struct lu_arg arg = { 0 };
	size_t n = 0, used = 0;
	int k;

	while (argv[n])
		n++;
	list = calloc(n + 2 * r->n_edits + 2 * r->n_made + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	k = add_word(list, &used, argv[0]);
	while (k >= 0 && lu_argv_next(argv, &arg)) {
		const struct edit *e = edit_at(r, arg.index);

		if (e && !e->option)
			continue;
		k = add_word(list, &used, e ? e->option : argv[arg.index]);
		if (k >= 0 && (e || (arg.name[0] && arg.value)))
			k = add_word(list, &used, e ? e->value : arg.value);
	}
	for (size_t i = 0; k >= 0 && i < r->n_made; i++) {
		k = add_word(list, &used, "-blockdev");
		if (k >= 0)
			k = add_word(list, &used, r->made[i]);
	}
	if (k < 0)
		return k;
	*ret = steal_ptr(list);
	return 1;
}

/* QEMU makes nodes in their order: each must find what it stands on. */
static bool in_order(const struct lu_block_words *w)
{
	for (size_t i = 0; i < w->n_nodes; i++)
		for (size_t k = 0; k < w->nodes[i].o.n; k++) {
			const struct lu_block_option *o = &w->nodes[i].o.list[k];
			const char *dot = strrchr(o->key, '.'), *key = dot ? dot + 1 : o->key;
			_cleanup_view_ struct lu_block_view v = { 0 };

			if ((strcmp(key, "file") != 0 && strcmp(key, "backing") != 0 &&
			     strcmp(key, "data-file") != 0) ||
			    !o->value || !*o->value)
				continue;
			if (lu_block_words_node(w, o->value, &v) <= 0)
				return false;
			for (size_t m = i + 1; m < w->n_nodes; m++)
				if (v.o == &w->nodes[m].o)
					return false;
		}
	return true;
}

static int verified(const struct lu_blocks *b, char *const *argv, const struct lu_block_files *files)
{
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	struct lu_block_words w = { 0 };
	int r = lu_block_words_read(argv, &w, &why);

	if (r >= 0)
		r = lu_blocks_match(b, &w, files, &why, NULL);
	if (r >= 0)
		r = !lu_reasons_any(&why) && in_order(&w);
	lu_block_words_clear(&w);
	return r;
}

static int propose(struct rewriting *r, const struct lu_block_match *matches)
{
	int k = 1;

	for (size_t i = 0; k > 0 && i < r->b->n_fronts; i++) {
		const struct lu_block_match *m = &matches[i];

		if (!m->differs)
			continue;
		if (m->kind == LU_BLOCK_DRIVE_WORD)
			k = rewrite_drive(r, &r->b->fronts[i], &r->w->drives[m->which]);
		else if (m->kind == LU_BLOCK_DEVICE_WORD)
			k = rewrite_device(r, &r->b->fronts[i], &r->w->devices[m->which]);
		else
			k = 0;
	}
	for (size_t i = 0; k > 0 && i < r->w->n_nodes; i++) {
		struct lu_block_view v = { &r->w->nodes[i].o, (char *)"" };
		const char *name = lu_block_view_get(&v, "node-name");

		if (name && !lu_blocks_node(r->b, name))
			k = edit(r, r->w->nodes[i].at, NULL, NULL);
	}
	return k;
}

int lu_blocks_rewrite(const struct lu_blocks *b, char *const *argv, const struct lu_block_files *files, char ***ret)
{
	_cleanup_free_ struct lu_block_match *matches = calloc(b->n_fronts ?: 1, sizeof(*matches));
	_cleanup_(lu_argv_freep) char **list = NULL;
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	struct lu_block_words w = { 0 };
	struct rewriting r = { .b = b, .w = &w, .argv = argv, .c = { .blocks = b, .words = &w, .files = files } };
	int k = matches ? lu_block_words_read(argv, &w, &why) : -ENOMEM;

	if (k >= 0)
		k = lu_reasons_any(&why) ? 0 : lu_blocks_match(b, &w, files, &why, matches) ?: 1;
	if (k > 0)
		k = propose(&r, matches);
	if (k > 0)
		k = compose(&r, &list);
	if (k > 0)
		k = verified(b, list, files);
	clear(&r);
	lu_block_words_clear(&w);
	if (k > 0)
		*ret = steal_ptr(list);
	/* what can't be written in JSON, a name that is no UTF-8, can't be proposed */
	return k < 0 && k != -ENOMEM ? 0 : k;
}
