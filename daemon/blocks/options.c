// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Options of block nodes in QEMU's three ways to write them, as one flat list: JSON, "key=value" of -blockdev, where a
 * dot goes one level down, and "key=value" of -drive, where a word alone is a switch. QEMU flattens them in the same way
 * before it opens a node. See blocks-internal.h.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "blocks-internal.h"

void lu_block_options_clear(struct lu_block_options *o)
{
	for (size_t i = 0; i < o->n; i++) {
		free(o->list[i].key);
		free(o->list[i].value);
	}
	free(o->list);
	*o = (struct lu_block_options){ 0 };
}

static struct lu_block_option *find(const struct lu_block_options *o, const char *key)
{
	for (size_t i = 0; i < o->n; i++)
		if (!strcmp(o->list[i].key, key))
			return &o->list[i];
	return NULL;
}

int lu_block_options_set(struct lu_block_options *o, const char *key, const char *value)
{
	struct lu_block_option *p = find(o, key);
	char *copy = value ? strdup(value) : NULL;

	if (value && !copy)
		return -ENOMEM;
	if (!p) {
		if (o->n == OPTIONS_MAX) {
			free(copy);
			return -E2BIG;
		}
		p = reallocarray(o->list, o->n + 1, sizeof(*p));
		if (!p) {
			free(copy);
			return -ENOMEM;
		}
		o->list = p;
		p += o->n;
		*p = (struct lu_block_option){ .key = strdup(key) };
		if (!p->key) {
			free(copy);
			return -ENOMEM;
		}
		o->n++;
	}
	free(p->value);
	p->value = copy;
	return 0;
}

int lu_block_options_drop(struct lu_block_options *o, const char *key, char **ret)
{
	struct lu_block_option *p = find(o, key);

	if (!p)
		return 0;
	free(p->key);
	if (ret)
		*ret = p->value;
	else
		free(p->value);
	*p = o->list[--o->n];
	return 1;
}

static int add_tree(struct lu_block_options *o, const char *key, struct json_object *v);

static int add_below(struct lu_block_options *o, const char *key, const char *name, struct json_object *v)
{
	_cleanup_free_ char *whole = NULL;

	if (asprintf(&whole, "%s%s%s", key, *key ? "." : "", name) < 0) {
		whole = NULL;
		return -ENOMEM;
	}
	return add_tree(o, whole, v);
}

/* json-c has bounded the depth */
static int add_tree(struct lu_block_options *o, const char *key, struct json_object *v)
{
	char number[24];
	int r = 0;

	if (json_object_is_type(v, json_type_object)) {
		json_object_object_foreach (v, name, member) {
			r = add_below(o, key, name, member);
			if (r < 0)
				return r;
		}
		return 0;
	}
	if (json_object_is_type(v, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(v) && r >= 0; i++) {
			snprintf(number, sizeof(number), "%zu", i);
			r = add_below(o, key, number, json_object_array_get_idx(v, i));
		}
		return r;
	}
	if (find(o, key))
		return 0;
	if (json_object_is_type(v, json_type_boolean))
		return lu_block_options_set(o, key, json_object_get_boolean(v) ? "on" : "off");
	return lu_block_options_set(o, key, v ? json_object_get_string(v) : NULL);
}

int lu_block_options_add_json(struct lu_block_options *o, const char *text)
{
	struct json_object *root = json_tokener_parse(text);
	int r = -EBADMSG;

	if (json_object_is_type(root, json_type_object))
		r = add_tree(o, "", root);
	json_object_put(root);
	return r;
}

/* The item at @p ends at a single comma. */
static size_t item_length(const char *p)
{
	size_t n = 0;

	while (p[n] && (p[n] != ',' || p[n + 1] == ','))
		n += p[n] == ',' ? 2 : 1;
	return n;
}

static int one_item(struct lu_block_options *o, const char *p, size_t n, const char *implied)
{
	_cleanup_free_ char *item = malloc(n + 1);
	char *eq, *to = item;

	if (!item)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		*to++ = p[i];
		if (p[i] == ',')
			i++;
	}
	*to = '\0';
	eq = strchr(item, '=');
	if (eq) {
		*eq = '\0';
		return lu_block_options_set(o, item, eq + 1);
	}
	if (implied)
		return lu_block_options_set(o, implied, item);
	if (!strncmp(item, "no", 2) && strcmp(item, "node-name") != 0)
		return lu_block_options_set(o, item + 2, "off");
	return lu_block_options_set(o, item, "on");
}

int lu_block_options_parse(struct lu_block_options *o, const char *text, const char *implied)
{
	bool first = true;
	int r = 0;

	for (const char *p = text; *p && r >= 0;) {
		size_t n = item_length(p);

		if (n > 0)
			r = one_item(o, p, n, first ? implied : NULL);
		first = false;
		p += n + (p[n] == ',');
	}
	return r;
}

void lu_block_view_clear(struct lu_block_view *v)
{
	free(v->prefix);
	*v = (struct lu_block_view){ 0 };
}

int lu_block_view_make(struct lu_block_view *ret, const struct lu_block_options *o, const char *prefix)
{
	*ret = (struct lu_block_view){ o, strdup(prefix) };
	return ret->prefix ? 0 : -ENOMEM;
}

int lu_block_view_child(const struct lu_block_view *v, const char *key, struct lu_block_view *ret)
{
	*ret = (struct lu_block_view){ .o = v->o };
	if (asprintf(&ret->prefix, "%s%s.", v->prefix, key) < 0) {
		ret->prefix = NULL;
		return -ENOMEM;
	}
	return 0;
}

const struct lu_block_option *lu_block_view_find(const struct lu_block_view *v, const char *key)
{
	size_t n = strlen(v->prefix);

	for (size_t i = 0; i < v->o->n; i++)
		if (!strncmp(v->o->list[i].key, v->prefix, n) && !strcmp(v->o->list[i].key + n, key))
			return &v->o->list[i];
	return NULL;
}

const char *lu_block_view_get(const struct lu_block_view *v, const char *key)
{
	const struct lu_block_option *o = lu_block_view_find(v, key);

	return o ? o->value : NULL;
}

bool lu_block_view_below(const struct lu_block_view *v, const char *key)
{
	size_t n = strlen(v->prefix), k = strlen(key);

	for (size_t i = 0; i < v->o->n; i++) {
		const char *p = v->o->list[i].key;

		if (!strncmp(p, v->prefix, n) && !strncmp(p + n, key, k) && p[n + k] == '.')
			return true;
	}
	return false;
}

bool lu_block_value_on(const char *value)
{
	static const char *const yes[] = { "on", "true", "yes", "y" };

	for (size_t i = 0; value && i < ARRAY_SIZE(yes); i++)
		if (!strcmp(value, yes[i]))
			return true;
	return false;
}

/* "16M"; a fraction is none that we know, so it differs from everything else */
static bool size_of(const char *text, unsigned long long *ret)
{
	static const char units[] = "BKMGTPE";
	const char *unit;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 0);
	if (errno || !*end)
		return !errno;
	unit = strchr(units, *end >= 'a' ? *end - 'a' + 'A' : *end);
	if (!unit || end[1])
		return false;
	for (const char *u = units; u < unit; u++)
		if (__builtin_mul_overflow(*ret, 1024ULL, ret))
			return false;
	return true;
}

bool lu_block_value_same(const char *a, const char *b)
{
	unsigned long long x, y;

	if (!a || !b)
		return a == b;
	if (!strcmp(a, b) || (lu_block_value_on(a) && lu_block_value_on(b)))
		return true;
	return size_of(a, &x) && size_of(b, &y) && x == y;
}
