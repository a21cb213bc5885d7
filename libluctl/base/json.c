// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * JSON text: strict parsing, and building by hand. Tables are in json_table.c.
 *
 * json-c does the parsing, not in its strict mode: that of 0.18 takes whatever is not ASCII for a
 * control character. What it lets through (seen with 0.16 to 0.18) is looked for
 * in the text itself, by a scan that knows strings, numbers and words but no structure:
 *
 *  1. Of a key given twice the last one wins. The scan counts colons outside strings:
 *     one for each member that the text holds. The tree holds fewer if a key was
 *     given twice; only then is it found out which.
 *  2. Integers beyond 64 bits are clamped. The scan converts each by strtoull().
 *  3. "NaN" and "Infinity" pass. The scan admits the words true, false and null.
 *  4. "1." and the like pass, depending on the version. The scan knows JSON's numbers.
 *  5. Strings in single quotes and comments pass. To the scan they are unexpected characters.
 *  6. UTF-8 is checked superficially, lone surrogates become U+FFFD, control
 *     characters pass within strings, \u0000 makes strings that end early in C.
 *  7. A comma before a closing bracket passes. The scan remembers the last token.
 *
 * The scan runs after json-c has accepted the text, so it may rely on strings being
 * closed and well-formed. It reports the line; the tree is gone by then, and in hand-written
 * files the line is what people look for.
 *
 * Ownership: lu_json_parse() hands out one reference. lu_json_add() consumes the
 * value in every case, as json-c's own json_object_object_add() does not.
 *
 * Not handled: fractions are parsed, but no table type takes them; big documents
 * (everything is in memory several times); streams of documents (QMP has its own
 * incremental use of json-c's tokener).
 */
#include <json-c/json.h>
#include <limits.h>
#include <string.h>

#include "json.h"

#define HINT_JSON "the file must be one JSON object (RFC 8259) in UTF-8"

struct json_scan {
	const char *text;
	size_t size;
	const char *file;
	size_t members;
	struct json_object *keys; /* if set: key → how often it occurs in the text */
	struct lu_error *e;
};

void lu_json_putp(struct json_object **obj)
{
	json_object_put(*obj);
}

static void tokener_freep(struct json_tokener **tok)
{
	if (*tok)
		json_tokener_free(*tok);
}

static size_t line_at(const char *text, size_t offset)
{
	size_t line = 1;

	for (size_t i = 0; i < offset; i++)
		line += text[i] == '\n';
	return line;
}

static int scan_error(const struct json_scan *s, size_t offset, const char *hint, const char *what)
{
	return lu_error_set(s->e, -EBADMSG, hint, "%s: line %zu: %s", s->file, line_at(s->text, offset), what);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Value of the four hex digits after "\u"; json-c has seen that they are hex digits. */
static unsigned int escape_value(const char *p)
{
	char hex[5] = { p[0], p[1], p[2], p[3], '\0' };

	return (unsigned int)strtoul(hex, NULL, 16);
}

/* s->text[at] is the opening quote; *ret_end is behind the closing one. */
static int scan_string(const struct json_scan *s, size_t at, size_t *ret_end)
{
	const char *t = s->text;
	size_t i = at + 1;

	while (i < s->size && t[i] != '"') {
		if ((unsigned char)t[i] < 0x20)
			return scan_error(s, i, "write it as \\u00XX", "control character in a string");
		if (t[i] != '\\') {
			i++;
			continue;
		}
		if (i + 1 < s->size && t[i + 1] == 'u' && i + 6 <= s->size) {
			unsigned int c = escape_value(t + i + 2);
			bool low_follows = i + 12 <= s->size && t[i + 6] == '\\' && t[i + 7] == 'u' &&
					   (escape_value(t + i + 8) & 0xfc00) == 0xdc00;

			if (c == 0)
				return scan_error(s, i, NULL, "string contains \\u0000");
			if ((c & 0xf800) == 0xd800) {
				if ((c & 0xfc00) != 0xd800 || !low_follows)
					return scan_error(s, i, NULL, "string contains half a surrogate pair");
				i += 6;
			}
			i += 6;
			continue;
		}
		i += 2;
	}
	*ret_end = i + 1;
	return 0;
}

/* JSON's grammar of numbers, and the range of integers. */
static int scan_number(const struct json_scan *s, size_t at, size_t *ret_end)
{
	const char *t = s->text;
	size_t i = at, digits;
	bool integer = true, negative = t[i] == '-';
	char buf[24];

	i += negative;
	digits = i;
	while (i < s->size && is_digit(t[i]))
		i++;
	if (i == digits || (i - digits > 1 && t[digits] == '0'))
		return scan_error(s, at, HINT_JSON, "not a JSON number");
	if (i < s->size && t[i] == '.') {
		size_t fraction = ++i;

		integer = false;
		while (i < s->size && is_digit(t[i]))
			i++;
		if (i == fraction)
			return scan_error(s, at, HINT_JSON, "not a JSON number");
	}
	if (i < s->size && (t[i] == 'e' || t[i] == 'E')) {
		size_t exponent;

		integer = false;
		i++;
		if (i < s->size && (t[i] == '+' || t[i] == '-'))
			i++;
		exponent = i;
		while (i < s->size && is_digit(t[i]))
			i++;
		if (i == exponent)
			return scan_error(s, at, HINT_JSON, "not a JSON number");
	}
	if (i < s->size && (is_digit(t[i]) || is_letter(t[i]) || strchr("+-._", t[i])))
		return scan_error(s, at, HINT_JSON, "not a JSON number");
	*ret_end = i;
	if (!integer)
		return 0;
	if (i - at >= sizeof(buf))
		return scan_error(s, at, NULL, "integer does not fit into 64 bits");
	memcpy(buf, t + at, i - at);
	buf[i - at] = '\0';
	errno = 0;
	if (negative)
		(void)strtoll(buf, NULL, 10);
	else
		(void)strtoull(buf, NULL, 10);
	if (errno)
		return scan_error(s, at, NULL, "integer does not fit into 64 bits");
	return 0;
}

static int scan_word(const struct json_scan *s, size_t at, size_t *ret_end)
{
	static const char *const words[] = { "true", "false", "null" };
	size_t i = at;

	while (i < s->size && is_letter(s->text[i]))
		i++;
	*ret_end = i;
	for (size_t k = 0; k < ARRAY_SIZE(words); k++)
		if (strlen(words[k]) == i - at && memcmp(words[k], s->text + at, i - at) == 0)
			return 0;
	return scan_error(s, at, HINT_JSON, "only true, false and null may stand without quotes");
}

/* The string token [at, end) as json-c reads it. */
static struct json_object *token_string(const struct json_scan *s, size_t at, size_t end)
{
	_cleanup_(tokener_freep) struct json_tokener *tok = json_tokener_new();

	return tok ? json_tokener_parse_ex(tok, s->text + at, (int)(end - at)) : NULL;
}

static int count_key(struct json_object *keys, const char *key, int add)
{
	struct json_object *v;

	if (json_object_object_get_ex(keys, key, &v))
		return json_object_int_inc(v, add) ? 0 : -ENOMEM;
	return lu_json_add(keys, key, json_object_new_int64(add));
}

static int scan_text(struct json_scan *s)
{
	size_t string_at = 0, string_end = 0;
	char last = '\0';

	s->members = 0;
	for (size_t i = 0; i < s->size;) {
		char c = s->text[i];
		int r = 0;

		if (c == '"') {
			string_at = i;
			r = scan_string(s, i, &i);
			string_end = i;
		} else if (c == '-' || is_digit(c)) {
			r = scan_number(s, i, &i);
		} else if (is_letter(c)) {
			r = scan_word(s, i, &i);
		} else if (c == ':') {
			s->members++;
			i++;
			if (s->keys) {
				_cleanup_json_ struct json_object *key = token_string(s, string_at, string_end);

				r = key ? count_key(s->keys, json_object_get_string(key), 1) : -ENOMEM;
			}
		} else if (strchr(" \t\r\n", c)) {
			i++;
			continue;
		} else if (strchr("}]", c) && last == ',') {
			r = scan_error(s, i, HINT_JSON, "a comma has nothing after it");
		} else if (strchr("{}[],", c)) {
			i++;
		} else {
			r = scan_error(s, i, HINT_JSON, "unexpected character");
		}
		if (r < 0)
			return r;
		last = c;
	}
	return 0;
}

/* Members of the whole tree; if @keys is set each of them is subtracted there. -E2BIG: too deep */
static int count_tree(struct json_object *o, struct json_object *keys, unsigned int level, size_t *count)
{
	if (level > LU_JSON_DEPTH_MAX &&
	    (json_object_is_type(o, json_type_object) || json_object_is_type(o, json_type_array)))
		return -E2BIG;
	if (json_object_is_type(o, json_type_object)) {
		json_object_object_foreach (o, key, value) {
			int r = keys ? count_key(keys, key, -1) : 0;

			if (r == 0)
				r = count_tree(value, keys, level + 1, count);
			if (r < 0)
				return r;
			++*count;
		}
	} else if (json_object_is_type(o, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(o); i++) {
			int r = count_tree(json_object_array_get_idx(o, i), keys, level + 1, count);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

/*
 * Some key is in the text more often than in the tree. Any such key will do for the
 * message, but the keys of an object that was replaced are missing too: the first one in
 * the text's order is taken, since an outer key stands before the inner ones.
 */
static int report_duplicate(struct json_scan *s, struct json_object *root)
{
	_cleanup_json_ struct json_object *keys = json_object_new_object();
	size_t count = 0;
	int r;

	if (!keys)
		return -ENOMEM;
	s->keys = keys;
	r = scan_text(s);
	s->keys = NULL;
	if (r == 0)
		r = count_tree(root, keys, 1, &count);
	if (r < 0)
		return r;
	json_object_object_foreach (keys, key, left) {
		if (json_object_get_int64(left) > 0)
			return lu_error_set(s->e, -EBADMSG, "give each key of an object once",
					    "%s: key \"%.64s\" is given twice in one object", s->file, key);
	}
	return lu_error_set(s->e, -EBADMSG, "give each key of an object once", "%s: a key is given twice in one object",
			    s->file);
}

int lu_json_parse(const char *text, size_t size, size_t max, const char *file, struct json_object **ret,
		  struct lu_error *e)
{
	_cleanup_(tokener_freep) struct json_tokener *tok = NULL;
	_cleanup_json_ struct json_object *root = NULL;
	struct json_scan s = { .text = text, .size = size, .file = file, .e = e };
	enum json_tokener_error error;
	size_t n, end, members = 0;
	int r;

	if (size > max || size > INT_MAX)
		return lu_error_set(e, -EFBIG, NULL, "%s: larger than the limit of %zu bytes", file, max);
	if (memchr(text, '\0', size))
		return lu_error_set(e, -EBADMSG, HINT_JSON, "%s: contains a NUL byte", file);
	n = lu_utf8_prefix(text, size);
	if (n < size)
		return scan_error(&s, n, HINT_JSON, "not UTF-8");

	/* One more, since json-c counts the values in the innermost object as a level. */
	tok = json_tokener_new_ex(LU_JSON_DEPTH_MAX + 1);
	if (!tok)
		return -ENOMEM;
	json_tokener_set_flags(tok, JSON_TOKENER_ALLOW_TRAILING_CHARS);
	root = json_tokener_parse_ex(tok, text, (int)size);
	error = json_tokener_get_error(tok);
	end = json_tokener_get_parse_end(tok);
	if (error == json_tokener_error_depth)
		return lu_error_set(e, -EBADMSG, NULL, "%s: nested deeper than %d levels", file, LU_JSON_DEPTH_MAX);
	if (error == json_tokener_continue)
		return lu_error_set(e, -EBADMSG, HINT_JSON, "%s: %s", file,
				    size ? "ends in the middle of the document" : "is empty");
	if (error != json_tokener_success)
		return lu_error_set(e, -EBADMSG, HINT_JSON, "%s: line %zu: not JSON: %s", file, line_at(text, end),
				    json_tokener_error_desc(error));
	for (; end < size; end++)
		if (!strchr(" \t\r\n", text[end]))
			return scan_error(&s, end, HINT_JSON, "something follows the document");
	if (!json_object_is_type(root, json_type_object))
		return lu_error_set(e, -EBADMSG, HINT_JSON, "%s: is not a JSON object", file);

	r = scan_text(&s);
	if (r < 0)
		return r;
	r = count_tree(root, NULL, 1, &members);
	if (r == -E2BIG)
		return lu_error_set(e, -EBADMSG, NULL, "%s: nested deeper than %d levels", file, LU_JSON_DEPTH_MAX);
	if (r < 0)
		return r;
	if (members != s.members)
		return report_duplicate(&s, root);
	*ret = steal_ptr(root);
	return 0;
}

int lu_json_add(struct json_object *obj, const char *key, struct json_object *value)
{
	_cleanup_json_ struct json_object *v = value;

	if (lu_utf8_prefix(key, strlen(key)) != strlen(key))
		return -EINVAL;
	if (json_object_object_get_ex(obj, key, NULL))
		return -EEXIST;
	if (json_object_object_add(obj, key, v) < 0)
		return -ENOMEM;
	v = NULL;
	return 0;
}

int lu_json_add_string(struct json_object *obj, const char *key, const char *value)
{
	struct json_object *v = NULL;

	if (value) {
		if (lu_utf8_prefix(value, strlen(value)) != strlen(value))
			return -EINVAL;
		v = json_object_new_string(value);
		if (!v)
			return -ENOMEM;
	}
	return lu_json_add(obj, key, v);
}

/* For values that json-c has just made: NULL means that it ran out of memory. */
static int add_new(struct json_object *obj, const char *key, struct json_object *value)
{
	return value ? lu_json_add(obj, key, value) : -ENOMEM;
}

int lu_json_add_uint(struct json_object *obj, const char *key, uint64_t value)
{
	return add_new(obj, key, json_object_new_uint64(value));
}

int lu_json_add_int(struct json_object *obj, const char *key, int64_t value)
{
	return add_new(obj, key, json_object_new_int64(value));
}

int lu_json_add_bool(struct json_object *obj, const char *key, bool value)
{
	return add_new(obj, key, json_object_new_boolean(value));
}

int lu_json_text(struct json_object *obj, char **ret)
{
	const char *s;
	size_t n;
	char *text;

	s = json_object_to_json_string_length(
		obj, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
	if (!s)
		return -ENOMEM;
	text = malloc(n + 2);
	if (!text)
		return -ENOMEM;
	memcpy(text, s, n);
	text[n] = '\n';
	text[n + 1] = '\0';
	*ret = text;
	return 0;
}
