// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * JSON by tables: struct lu_json_table describes a document once, and everything
 * here walks it. See json.h for what a table looks like.
 *
 * Decoding: members of the object are looked up in the table (a key that no field
 * has is an error that lists the known ones), then fields in the object. The result
 * grows in a zeroed struct of our own, so that lu_json_free() can take it back at
 * any point and the caller's struct is written only on success.
 *
 * Encoding builds the tree and then decodes it again with the same table: there is
 * one set of rules, and a document that we could not read back is never written.
 *
 * Ownership: every pointer in a decoded struct belongs to the struct; lu_json_free()
 * is the only one who needs to know which they are. Strings of a struct to be
 * encoded are only read.
 *
 * A document of a newer minor is decoded with the keys that are known. Nothing of the others is kept: who writes the
 * record again writes what he knows.
 *
 * Unhappy paths: (1) the document does not fit: the error names file and JSON path;
 * (2) out of memory: -ENOMEM without a text, everything is freed; (3) the table itself
 * is wrong (names missing, offsets off): not detectable here, unit tests of the
 * document's owner find it.
 *
 * Not handled: objects with free keys (use a list of {key, value}), fractions,
 * recursion of tables (depth is bounded by the tables).
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "json.h"

/* Where we are: a list through the stack frames, printed only for errors. */
struct path {
	const struct path *up;
	const char *key; /* NULL: an array's element */
	size_t index;
};

struct decode {
	const char *file;
	const struct lu_json_table *document;
	uint64_t at; /* LU_JSON_AT() of the document */
	bool newer;  /* its minor is newer than what we know */
	struct lu_error *e;
};

static void print_path(FILE *f, const struct path *p)
{
	if (!p)
		return;
	print_path(f, p->up);
	if (!p->key) {
		fprintf(f, "/%zu", p->index);
		return;
	}
	fputc('/', f);
	/* A key of the document may be anything; the message goes to a terminal. */
	for (size_t i = 0; p->key[i] && i < 64; i++)
		fputc((unsigned char)p->key[i] < 0x20 || p->key[i] == 0x7f ? '?' : p->key[i], f);
}

/* "FILE: /path: what"; with the document's name as the hint unless there is a better one. */
static int decode_error(const struct decode *d, const struct path *p, const char *hint, const char *fmt, ...)
	_printf_(4, 5);

static int decode_error(const struct decode *d, const struct path *p, const char *hint, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL, *schema = NULL;
	va_list ap;
	size_t n;
	FILE *f;

	f = open_memstream(&text, &n);
	if (!f)
		return -ENOMEM;
	fprintf(f, "%s: ", d->file);
	if (p) {
		print_path(f, p);
		fputs(": ", f);
	}
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	if (fclose(f) != 0)
		return -ENOMEM;
	if (!hint && asprintf(&schema, "compare it with the schema \"%s\"", d->document->name) < 0)
		schema = NULL;
	return lu_error_set(d->e, -EBADMSG, hint ?: schema, "%s", text);
}

static const char *type_name(struct json_object *o)
{
	switch (json_object_get_type(o)) {
	case json_type_null:
		return "null";
	case json_type_boolean:
		return "boolean";
	case json_type_double:
		return "a number with a fraction or exponent";
	case json_type_int:
		return "integer";
	case json_type_object:
		return "object";
	case json_type_array:
		return "array";
	case json_type_string:
		return "string";
	}
	return "something else";
}

static int want_type(const struct decode *d, const struct path *p, struct json_object *o, json_type type,
		     const char *name)
{
	if (json_object_is_type(o, type))
		return 0;
	return decode_error(d, p, NULL, "expected %s, got %s", name, type_name(o));
}

static int decode_string(const struct decode *d, const struct path *p, const struct lu_json_field *f,
			 struct json_object *o, size_t min, size_t max, char **ret)
{
	const char *s;
	size_t n;
	char *copy;
	int r;

	r = want_type(d, p, o, json_type_string, "string");
	if (r < 0)
		return r;
	s = json_object_get_string(o);
	n = (size_t)json_object_get_string_len(o);
	if (memchr(s, '\0', n) || lu_utf8_prefix(s, n) != n)
		return decode_error(d, p, NULL, "string contains NUL or is not UTF-8");
	if (n < min || n > max)
		return decode_error(d, p, NULL, "string of %zu bytes, expected %zu to %zu", n, min, max);
	if (f->check && !f->check(s))
		return decode_error(d, p, NULL, "expected %s", f->expect ?: "another text");
	copy = strdup(s);
	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}

/* json-c holds integers as int64 or uint64; reading them in the other form clamps. */
static int decode_int(const struct decode *d, const struct path *p, const struct lu_json_field *f,
		      struct json_object *o, int64_t *ret)
{
	int64_t v = json_object_get_int64(o), min = INT64_MIN, max = INT64_MAX;
	int r;

	if (f->type == LU_JSON_INT32) {
		min = INT32_MIN;
		max = INT32_MAX;
	}
	if (f->min != 0 || f->max != 0) {
		min = f->min > min ? f->min : min;
		max = (int64_t)f->max < max ? (int64_t)f->max : max;
	}
	r = want_type(d, p, o, json_type_int, "integer");
	if (r < 0)
		return r;
	if (v > 0 && json_object_get_uint64(o) > INT64_MAX)
		return decode_error(d, p, NULL, "integer %" PRIu64 " is too large", json_object_get_uint64(o));
	if (v < min || v > max)
		return decode_error(d, p, NULL, "integer %" PRId64 ", expected %" PRId64 " to %" PRId64, v, min, max);
	*ret = v;
	return 0;
}

static int decode_uint(const struct decode *d, const struct path *p, struct json_object *o, uint64_t min, uint64_t max,
		       uint64_t *ret)
{
	uint64_t v = json_object_get_uint64(o);
	int r;

	r = want_type(d, p, o, json_type_int, "integer");
	if (r < 0)
		return r;
	if (json_object_get_int64(o) < 0)
		return decode_error(d, p, NULL, "integer %" PRId64 " is negative", json_object_get_int64(o));
	if (v < min || v > max)
		return decode_error(d, p, NULL, "integer %" PRIu64 ", expected %" PRIu64 " to %" PRIu64, v, min, max);
	*ret = v;
	return 0;
}

static int decode_enum(const struct decode *d, const struct path *p, const struct lu_json_field *f,
		       struct json_object *o, int *ret)
{
	_cleanup_free_ char *hint = NULL;
	const char *s;
	size_t n;
	FILE *m;
	int r;

	r = want_type(d, p, o, json_type_string, "string");
	if (r < 0)
		return r;
	s = json_object_get_string(o);
	n = (size_t)json_object_get_string_len(o);
	for (int i = 0; f->names[i]; i++) {
		if (strlen(f->names[i]) == n && memcmp(f->names[i], s, n) == 0) {
			*ret = i;
			return 0;
		}
	}
	m = open_memstream(&hint, &n);
	if (!m)
		return -ENOMEM;
	fputs("allowed:", m);
	for (int i = 0; f->names[i]; i++)
		fprintf(m, "%s %s", i ? "," : "", f->names[i]);
	if (fclose(m) != 0)
		return -ENOMEM;
	return decode_error(d, p, hint, "unknown value");
}

static int decode_object(const struct decode *d, const struct path *p, const struct lu_json_table *t,
			 struct json_object *o, char *base);

static int decode_array(const struct decode *d, const struct path *p, const struct lu_json_field *f,
			struct json_object *o, char *base)
{
	size_t n, max = f->max ?: LU_JSON_ARRAY_MAX, one;
	char **at = (char **)(base + f->offset), *data;
	int r;

	r = want_type(d, p, o, json_type_array, "array");
	if (r < 0)
		return r;
	n = json_object_array_length(o);
	if (n < (size_t)f->min || n > max)
		return decode_error(d, p, NULL, "%zu elements, expected %" PRId64 " to %zu", n, f->min, max);
	one = f->type == LU_JSON_STRINGS ? sizeof(char *) :
	      f->type == LU_JSON_UINTS   ? sizeof(uint64_t) :
					   f->table->size;
	if (n == 0 && f->type != LU_JSON_STRINGS)
		return 0;
	data = calloc(n + (f->type == LU_JSON_STRINGS), one);
	if (!data)
		return -ENOMEM;
	*at = data;
	if (f->type != LU_JSON_STRINGS)
		*(size_t *)(base + f->count_offset) = n;

	for (size_t i = 0; i < n; i++) {
		struct path here = { .up = p, .index = i };
		struct json_object *v = json_object_array_get_idx(o, i);

		if (f->type == LU_JSON_STRINGS)
			r = decode_string(d, &here, f, v, 0, LU_JSON_STRING_MAX, (char **)data + i);
		else if (f->type == LU_JSON_UINTS)
			r = decode_uint(d, &here, v, 0, UINT64_MAX, (uint64_t *)(void *)data + i);
		else
			r = decode_object(d, &here, f->table, v, data + i * one);
		if (r < 0)
			return r;
	}
	return 0;
}

static int decode_value(const struct decode *d, const struct path *p, const struct lu_json_field *f,
			struct json_object *v, char *base)
{
	void *at = base + f->offset;
	int r;

	switch (f->type) {
	case LU_JSON_STRING:
		return decode_string(d, p, f, v, (size_t)f->min, f->max ?: LU_JSON_STRING_MAX, at);
	case LU_JSON_BOOL:
		r = want_type(d, p, v, json_type_boolean, "boolean");
		if (r == 0)
			*(bool *)at = json_object_get_boolean(v);
		return r;
	case LU_JSON_INT:
		return decode_int(d, p, f, v, at);
	case LU_JSON_UINT:
		return decode_uint(d, p, v, (uint64_t)f->min, f->max ?: UINT64_MAX, at);
	case LU_JSON_INT32: {
		int64_t i = 0;

		r = decode_int(d, p, f, v, &i);
		*(int32_t *)at = (int32_t)i;
		return r;
	}
	case LU_JSON_UINT32: {
		uint64_t u = 0, max = f->max && f->max < UINT32_MAX ? f->max : UINT32_MAX;

		r = decode_uint(d, p, v, (uint64_t)f->min, max, &u);
		*(uint32_t *)at = (uint32_t)u;
		return r;
	}
	case LU_JSON_ENUM:
		return decode_enum(d, p, f, v, at);
	case LU_JSON_OBJECT:
		return decode_object(d, p, f->table, v, at);
	case LU_JSON_OBJECT_PTR:
		*(void **)at = calloc(1, f->table->size);
		if (!*(void **)at)
			return -ENOMEM;
		return decode_object(d, p, f->table, v, *(char **)at);
	case LU_JSON_STRINGS:
	case LU_JSON_UINTS:
	case LU_JSON_OBJECTS:
		return decode_array(d, p, f, v, base);
	case LU_JSON_ANY:
		*(struct json_object **)at = json_object_get(v);
		return 0;
	}
	return -EINVAL;
}

static void set_default(const struct lu_json_field *f, char *base)
{
	void *at = base + f->offset;

	switch (f->type) {
	case LU_JSON_BOOL:
		*(bool *)at = f->def != 0;
		break;
	case LU_JSON_INT:
		*(int64_t *)at = f->def;
		break;
	case LU_JSON_UINT:
		*(uint64_t *)at = (uint64_t)f->def;
		break;
	case LU_JSON_INT32:
		*(int32_t *)at = (int32_t)f->def;
		break;
	case LU_JSON_UINT32:
		*(uint32_t *)at = (uint32_t)f->def;
		break;
	case LU_JSON_ENUM:
		*(int *)at = (int)f->def;
		break;
	case LU_JSON_OBJECT:
		for (size_t i = 0; i < f->table->n_fields; i++)
			set_default(&f->table->fields[i], at);
		break;
	default:
		break; /* pointers stay NULL, counts 0 */
	}
}

static const struct lu_json_field *find_field(const struct lu_json_table *t, const char *key)
{
	for (size_t i = 0; i < t->n_fields; i++)
		if (strcmp(t->fields[i].key, key) == 0)
			return &t->fields[i];
	return NULL;
}

static int unknown_key(const struct decode *d, const struct path *p, const struct lu_json_table *t)
{
	_cleanup_free_ char *hint = NULL;
	size_t n;
	FILE *f;

	f = open_memstream(&hint, &n);
	if (!f)
		return -ENOMEM;
	fprintf(f, "keys of \"%s\":", t->name);
	if (t->version)
		fputs(" version", f);
	for (size_t i = 0; i < t->n_fields; i++)
		fprintf(f, "%s %s", i || t->version ? "," : "", t->fields[i].key);
	if (fclose(f) != 0)
		return -ENOMEM;
	return decode_error(d, p, hint, "unknown key");
}

/* First of all, so that a newer document is told by its version and not by a key that we do not know. */
static int check_version(struct decode *d, const struct lu_json_table *t, struct json_object *o)
{
	struct path here = { .key = "version" };
	uint64_t version, minor = 0, oldest = t->oldest ?: t->version;
	struct json_object *v;
	int r;

	if (!json_object_object_get_ex(o, "version", &v))
		return decode_error(d, NULL, NULL, "key \"version\" is missing");
	r = decode_uint(d, &here, v, 0, UINT64_MAX, &version);
	if (r < 0)
		return r;
	if (version > t->version)
		return lu_error_set(d->e, -EPROTONOSUPPORT, "use a luctl as new as the one that wrote it",
				    "%s: version %" PRIu64 " of \"%s\" is not supported, this program knows %u",
				    d->file, version, t->name, t->version);
	if (version < oldest)
		return lu_error_set(d->e, -EPROTONOSUPPORT, "use a luctl as old as the one that wrote it",
				    "%s: version %" PRIu64
				    " of \"%s\" is not supported any more, this program knows %" PRIu64 " and later",
				    d->file, version, t->name, oldest);
	here.key = "minor";
	if (json_object_object_get_ex(o, "minor", &v))
		r = decode_uint(d, &here, v, 0, UINT32_MAX, &minor);
	if (r < 0)
		return r;
	d->at = LU_JSON_AT(version, minor);
	d->newer = d->at > LU_JSON_AT(t->version, t->minor);
	return 0;
}

/* Does the document's table have this field at all, at its version? */
static bool in_force(const struct decode *d, const struct lu_json_field *f)
{
	return !f->until || d->at < f->until;
}

static bool known_key(const struct decode *d, const struct lu_json_table *t, const char *key)
{
	const struct lu_json_field *f = find_field(t, key);

	if (t->version && (strcmp(key, "version") == 0 || strcmp(key, "minor") == 0))
		return true;
	return f && in_force(d, f);
}

static int decode_object(const struct decode *d, const struct path *p, const struct lu_json_table *t,
			 struct json_object *o, char *base)
{
	struct decode document;
	int r;

	r = want_type(d, p, o, json_type_object, "object");
	if (r < 0)
		return r;
	if (t->version) {
		document = *d;
		r = check_version(&document, t, o);
		if (r < 0)
			return r;
		d = &document;
	}
	json_object_object_foreach (o, key, unused) {
		struct path here = { .up = p, .key = key };

		(void)unused;
		if (!d->newer && !known_key(d, t, key))
			return unknown_key(d, &here, t);
	}
	for (size_t i = 0; i < t->n_fields; i++) {
		const struct lu_json_field *f = &t->fields[i];
		struct path here = { .up = p, .key = f->key };
		struct json_object *v;

		set_default(f, base);
		if (!in_force(d, f))
			continue;
		if (!json_object_object_get_ex(o, f->key, &v)) {
			if (f->flags & LU_JSON_REQUIRED && d->at >= f->since)
				return decode_error(d, p, NULL, "key \"%s\" is missing", f->key);
			continue;
		}
		if (!v && (f->flags & LU_JSON_NULLABLE))
			continue;
		r = decode_value(d, &here, f, v, base);
		if (r < 0)
			return r;
	}
	return 0;
}

static void free_fields(const struct lu_json_table *t, char *base);

static void free_field(const struct lu_json_field *f, char *base)
{
	void *at = base + f->offset;
	void *p;

	switch (f->type) {
	case LU_JSON_OBJECT:
		free_fields(f->table, at);
		return;
	case LU_JSON_BOOL:
	case LU_JSON_INT:
	case LU_JSON_UINT:
	case LU_JSON_INT32:
	case LU_JSON_UINT32:
	case LU_JSON_ENUM:
		return;
	default:
		break;
	}
	p = *(void **)at;
	if (!p)
		return;
	if (f->type == LU_JSON_ANY) {
		json_object_put(p);
		return;
	}
	if (f->type == LU_JSON_STRINGS)
		for (char **s = p; *s; s++)
			free(*s);
	if (f->type == LU_JSON_OBJECT_PTR)
		free_fields(f->table, p);
	if (f->type == LU_JSON_OBJECTS)
		for (size_t i = 0; i < *(size_t *)(base + f->count_offset); i++)
			free_fields(f->table, (char *)p + i * f->table->size);
	free(p);
}

static void free_fields(const struct lu_json_table *t, char *base)
{
	for (size_t i = 0; i < t->n_fields; i++)
		free_field(&t->fields[i], base);
}

void lu_json_free(const struct lu_json_table *table, void *data)
{
	free_fields(table, data);
	memset(data, 0, table->size);
}

int lu_json_decode(const struct lu_json_table *table, struct json_object *root, const char *file, void *ret,
		   struct lu_error *e)
{
	struct decode d = { .file = file, .document = table, .e = e };
	_cleanup_free_ void *data = calloc(1, table->size);
	int r;

	if (!data)
		return -ENOMEM;
	r = decode_object(&d, NULL, table, root, data);
	if (r < 0) {
		lu_json_free(table, data);
		return r;
	}
	memcpy(ret, data, table->size);
	return 0;
}

int lu_json_decode_text(const char *text, size_t size, size_t max, const char *file, const struct lu_json_table *table,
			void *ret, struct lu_error *e)
{
	_cleanup_json_ struct json_object *root = NULL;
	int r;

	r = lu_json_parse(text, size, max, file, &root, e);
	if (r < 0)
		return r;
	return lu_json_decode(table, root, file, ret, e);
}

int lu_json_load(int dirfd, const char *path, size_t max, const struct lu_json_table *table, void *ret,
		 struct lu_error *e)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r;

	r = lu_read_file(dirfd, path, max, &text, &size);
	if (r == -EFBIG)
		return lu_error_set(e, r, NULL, "%s: larger than the limit of %zu bytes", path, max);
	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: can't read it: %s", path, strerror(-r));
	return lu_json_decode_text(text, size, max, path, table, ret, e);
}

static int encode_object(const struct lu_json_table *t, const char *base, struct json_object **ret);

static int append_new(struct json_object *array, struct json_object *v)
{
	if (!v)
		return -ENOMEM;
	if (json_object_array_add(array, v) == 0)
		return 0;
	json_object_put(v);
	return -ENOMEM;
}

static int encode_array(const struct lu_json_field *f, const char *base, struct json_object **ret)
{
	const void *p = *(void *const *)(base + f->offset);
	_cleanup_json_ struct json_object *array = json_object_new_array();
	size_t n = 0;
	int r = 0;

	if (!array)
		return -ENOMEM;
	if (f->type == LU_JSON_STRINGS)
		while (p && ((char *const *)p)[n])
			n++;
	else
		n = *(const size_t *)(base + f->count_offset);
	for (size_t i = 0; i < n && r == 0; i++) {
		struct json_object *v = NULL;

		if (f->type == LU_JSON_STRINGS)
			v = json_object_new_string(((char *const *)p)[i]);
		else if (f->type == LU_JSON_UINTS)
			v = json_object_new_uint64(((const uint64_t *)p)[i]);
		else
			r = encode_object(f->table, (const char *)p + i * f->table->size, &v);
		if (r == 0)
			r = append_new(array, v);
	}
	if (r < 0)
		return r;
	*ret = steal_ptr(array);
	return 0;
}

/* Whatever it is made of. */
static struct json_object *encode_text(const struct lu_json_field *f, const char *s)
{
	_cleanup_free_ char *text = lu_text_dup(s && *s ? s : f->min > 0 || !s ? LU_JSON_NO_TEXT : "");
	static const char cut[] = "...";
	size_t n;

	if (!text)
		return NULL;
	n = strlen(text);
	if (f->max && n > f->max) {
		n = lu_utf8_prefix(text, f->max - strlen(cut));
		memcpy(text + n, cut, sizeof(cut));
	}
	return json_object_new_string(text);
}

/* 1: *ret is the value, NULL for null; 0: leave the key out. */
static int encode_value(const struct lu_json_field *f, const char *base, struct json_object **ret)
{
	const void *at = base + f->offset;
	bool nullable = f->flags & LU_JSON_NULLABLE, required = f->flags & LU_JSON_REQUIRED;
	struct json_object *v = NULL;
	int r = 0;

	switch (f->type) {
	case LU_JSON_BOOL:
		if (!nullable || *(const bool *)at != (f->def != 0))
			v = json_object_new_boolean(*(const bool *)at);
		else
			goto null;
		break;
	case LU_JSON_INT:
		if (nullable && *(const int64_t *)at == f->def)
			goto null;
		v = json_object_new_int64(*(const int64_t *)at);
		break;
	case LU_JSON_UINT:
		if (nullable && *(const uint64_t *)at == (uint64_t)f->def)
			goto null;
		v = json_object_new_uint64(*(const uint64_t *)at);
		break;
	case LU_JSON_INT32:
		if (nullable && *(const int32_t *)at == (int32_t)f->def)
			goto null;
		v = json_object_new_int64(*(const int32_t *)at);
		break;
	case LU_JSON_UINT32:
		if (nullable && *(const uint32_t *)at == (uint32_t)f->def)
			goto null;
		v = json_object_new_uint64(*(const uint32_t *)at);
		break;
	case LU_JSON_ENUM: {
		int i = *(const int *)at, n = 0;

		if (nullable && i == (int)f->def)
			goto null;
		while (f->names[n])
			n++;
		/* A number that has no name is written as such, which the check by decoding refuses. */
		v = i >= 0 && i < n ? json_object_new_string(f->names[i]) : json_object_new_int(i);
		break;
	}
	case LU_JSON_OBJECT:
		r = encode_object(f->table, at, &v);
		break;
	case LU_JSON_STRING:
	case LU_JSON_OBJECT_PTR:
	case LU_JSON_STRINGS:
	case LU_JSON_UINTS:
	case LU_JSON_OBJECTS:
	case LU_JSON_ANY: {
		void *p = *(void *const *)at;
		bool array = f->type == LU_JSON_UINTS || f->type == LU_JSON_OBJECTS;

		if (f->flags & LU_JSON_TEXT && (p || (required && !nullable))) {
			v = encode_text(f, p);
			break;
		}
		if (!p && !array)
			goto null;
		if (f->type == LU_JSON_STRING)
			v = json_object_new_string(p);
		else if (f->type == LU_JSON_OBJECT_PTR)
			r = encode_object(f->table, p, &v);
		else if (f->type == LU_JSON_ANY)
			v = json_object_get(p);
		else
			r = encode_array(f, base, &v);
		break;
	}
	}
	if (r < 0)
		return r;
	if (!v)
		return -ENOMEM;
	*ret = v;
	return 1;
null:
	*ret = NULL;
	return nullable || required; /* required but not nullable: the check by decoding refuses it */
}

static int encode_object(const struct lu_json_table *t, const char *base, struct json_object **ret)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	int r;

	if (!o)
		return -ENOMEM;
	if (t->version) {
		r = lu_json_add_uint(o, "version", t->version);
		if (r >= 0 && t->minor)
			r = lu_json_add_uint(o, "minor", t->minor);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < t->n_fields; i++) {
		struct json_object *v;

		if (t->fields[i].until)
			continue;
		r = encode_value(&t->fields[i], base, &v);
		if (r > 0)
			r = lu_json_add(o, t->fields[i].key, v);
		if (r < 0)
			return r;
	}
	*ret = steal_ptr(o);
	return 0;
}

int lu_json_encode(const struct lu_json_table *table, const void *data, struct json_object **ret, struct lu_error *e)
{
	_cleanup_json_ struct json_object *root = NULL;
	_cleanup_free_ void *check = NULL;
	int r;

	r = encode_object(table, data, &root);
	if (r < 0)
		return r;
	check = calloc(1, table->size);
	if (!check)
		return -ENOMEM;
	r = lu_json_decode(table, root, table->name, check, e);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		if (e)
			e->code = -EINVAL;
		return -EINVAL;
	}
	lu_json_free(table, check);
	*ret = steal_ptr(root);
	return 0;
}

int lu_json_encode_text(const struct lu_json_table *table, const void *data, char **ret, struct lu_error *e)
{
	_cleanup_json_ struct json_object *root = NULL;
	int r;

	r = lu_json_encode(table, data, &root, e);
	if (r < 0)
		return r;
	return lu_json_text(root, ret);
}

int lu_json_store(int dirfd, const char *path, mode_t mode, const struct lu_json_table *table, const void *data,
		  struct lu_error *e)
{
	_cleanup_free_ char *text = NULL;
	int r;

	r = lu_json_encode_text(table, data, &text, e);
	if (r < 0)
		return r;
	r = lu_write_file(dirfd, path, text, strlen(text), mode);
	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: can't write it: %s", path, strerror(-r));
	return 0;
}
