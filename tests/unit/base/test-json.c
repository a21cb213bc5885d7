// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Strict JSON. One table of texts with the verdict and a piece of the error; a
 * round trip through every type; and any truncation or changed byte of a document,
 * which must never crash, leak, or be accepted as something that cannot be encoded again.
 */
#include "test.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <unistd.h>

#include "json.h"

struct part {
	char *path;
	uint64_t size;
	bool ro;
};

struct doc {
	char *name, *uuid, *unit;
	bool on;
	int64_t delta, pid;
	uint64_t big;
	int color;
	struct part first;
	struct part *why;
	char **argv;
	uint64_t *groups;
	size_t n_groups;
	struct part *parts;
	size_t n_parts;
	struct json_object *any;
	int32_t small;
	uint32_t word;
};

static const char *const colors[] = { "red", "green", "blue", NULL };

static const struct lu_json_field part_fields[] = {
	{ "path", LU_JSON_STRING, offsetof(struct part, path), LU_JSON_REQUIRED, .min = 1, .max = 8 },
	{ "size", LU_JSON_UINT, offsetof(struct part, size), .min = 1, .max = 100, .def = 7 },
	{ "ro", LU_JSON_BOOL, offsetof(struct part, ro), .def = true },
};
static const struct lu_json_table part_table = LU_JSON_TABLE("part", struct part, part_fields);

static const struct lu_json_field doc_fields[] = {
	{ "name", LU_JSON_STRING, offsetof(struct doc, name), LU_JSON_REQUIRED, .check = lu_name_valid,
	  .expect = "a name of [A-Za-z0-9_.-]" },
	{ "uuid", LU_JSON_STRING, offsetof(struct doc, uuid), .check = lu_uuid_valid, .expect = "a UUID" },
	{ "unit", LU_JSON_STRING, offsetof(struct doc, unit), LU_JSON_NULLABLE },
	{ "on", LU_JSON_BOOL, offsetof(struct doc, on) },
	{ "delta", LU_JSON_INT, offsetof(struct doc, delta), .min = -5, .max = 5 },
	{ "pid", LU_JSON_INT, offsetof(struct doc, pid), LU_JSON_NULLABLE, .def = -1 },
	{ "big", LU_JSON_UINT, offsetof(struct doc, big) },
	{ "color", LU_JSON_ENUM, offsetof(struct doc, color), LU_JSON_NULLABLE, .names = colors, .def = -1 },
	{ "first", LU_JSON_OBJECT, offsetof(struct doc, first), .table = &part_table },
	{ "why", LU_JSON_OBJECT_PTR, offsetof(struct doc, why), LU_JSON_NULLABLE, .table = &part_table },
	{ "argv", LU_JSON_STRINGS, offsetof(struct doc, argv), .max = 3 },
	{ "groups", LU_JSON_UINTS, offsetof(struct doc, groups), .max = 3,
	  .count_offset = offsetof(struct doc, n_groups) },
	{ "parts", LU_JSON_OBJECTS, offsetof(struct doc, parts), .max = 2, .table = &part_table,
	  .count_offset = offsetof(struct doc, n_parts) },
	{ "any", LU_JSON_ANY, offsetof(struct doc, any) },
	{ "small", LU_JSON_INT32, offsetof(struct doc, small), LU_JSON_NULLABLE, .def = -3 },
	{ "word", LU_JSON_UINT32, offsetof(struct doc, word), .min = 1, .max = 1ULL << 40, .def = 9 },
};
static const struct lu_json_table doc_table = LU_JSON_DOCUMENT("doc", struct doc, doc_fields, 1);

#define V "{\"version\":1,\"name\":\"a\""

static const struct {
	const char *text;
	int r;
	const char *what, *hint; /* pieces of the error */
} cases[] = {
	{ V "}", 0 },
	{ " \n" V "} \r\n\t", 0 },
	{ V ",\"delta\":-5}", 0 },
	{ V ",\"big\":18446744073709551615}", 0 },
	{ V ",\"unit\":null,\"pid\":null,\"color\":null,\"why\":null}", 0 },
	{ V ",\"unit\":\"\\ud83d\\ude00 \xf0\x9f\x98\x80 \\\" \\\\ : 'x'\"}", 0 },
	{ V ",\"argv\":[],\"groups\":[],\"parts\":[]}", 0 },
	{ V ",\"any\":{\"a\":{\"a\":[1.5,-2e3,0,true,null]}}}", 0 },
	{ V ",\"any\":{\"a:b\":\":\",\"c\":\"\\\":\"}}", 0 },
	{ V ",\"any\":[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}", 0 },
	{ V ",\"small\":-2147483648,\"word\":4294967295}", 0 },
	{ V ",\"small\":2147483647,\"word\":1}", 0 },
	{ V ",\"unit\":\"\xe2\x80\xa6\"}", 0 },
	{ V ",\"any\":[\",]\",[]]}", 0 },

	/* text */
	{ "", -EBADMSG, "is empty" },
	{ "  ", -EBADMSG, "in the middle" },
	{ "{", -EBADMSG, "in the middle" },
	{ V, -EBADMSG, "in the middle" },
	{ "[]", -EBADMSG, "not a JSON object" },
	{ "1", -EBADMSG, "" },
	{ "null", -EBADMSG, "" },
	{ V "}x", -EBADMSG, "line 1: something follows" },
	{ V "}\n\n{}", -EBADMSG, "line 3: something follows" },
	{ V "}/* */", -EBADMSG, "unexpected character" },
	{ V ",}", -EBADMSG, "a comma has nothing after it" },
	{ V ",\"argv\":[\"a\",]}", -EBADMSG, "a comma has nothing after it" },
	{ V ",\"argv\":[\"a\" ,\n ]}", -EBADMSG, "line 2: a comma has nothing after it" },
	{ V ",\"argv\":[,]}", -EBADMSG, "not JSON" },
	{ V "/* */}", -EBADMSG, "unexpected character" },
	{ V "/* \"a\" */}", -EBADMSG, "unexpected character" },
	{ V "//\n}", -EBADMSG, "unexpected character" },
	{ V ",'on':true}", -EBADMSG, "unexpected character" },
	{ V ",\"unit\":'x'}", -EBADMSG, "unexpected character" },
	{ V ",\"on\":TRUE}", -EBADMSG, "only true, false and null" },
	{ V ",\"any\":NaN}", -EBADMSG, "only true, false and null" },
	{ V ",\"any\":-Infinity}", -EBADMSG, "not a JSON number" },
	{ V ",\"any\":1.}", -EBADMSG, "not a JSON number" },
	{ V ",\"any\":[-]}", -EBADMSG, "" },
	{ V ",\"any\":01}", -EBADMSG, "" },
	{ V ",\"any\":-01}", -EBADMSG, "" },
	{ V ",\"any\":1e}", -EBADMSG, "" },
	{ V ",\"any\":+1}", -EBADMSG, "" },
	{ V ",\"any\":0x10}", -EBADMSG, "" },
	{ V ",\"big\":18446744073709551616}", -EBADMSG, "does not fit into 64 bits" },
	{ V ",\"delta\":-9223372036854775809}", -EBADMSG, "does not fit into 64 bits" },
	{ V ",\"any\":99999999999999999999999999999999999999}", -EBADMSG, "does not fit into 64 bits" },
	{ V ",\"unit\":\"\\u0000\"}", -EBADMSG, "\\u0000" },
	{ V ",\"unit\":\"a\tb\"}", -EBADMSG, "control character" },
	{ V ",\"unit\":\"\\ud800\"}", -EBADMSG, "surrogate" },
	{ V ",\"unit\":\"\\ud800\\u0041\"}", -EBADMSG, "surrogate" },
	{ V ",\"unit\":\"\\udc00\\ud800\"}", -EBADMSG, "surrogate" },
	{ V ",\"unit\":\"\\x\"}", -EBADMSG, "" },
	{ V ",\n\"unit\":\"\xff\"}", -EBADMSG, "line 2: not UTF-8" },
	{ V ",\"unit\":\"\xc0\xaf\"}", -EBADMSG, "not UTF-8" },
	{ V ",\"unit\":\"\xed\xa0\x80\"}", -EBADMSG, "not UTF-8" },
	{ V ",\"unit\":\"\xf4\x90\x80\x80\"}", -EBADMSG, "not UTF-8" },
	{ "\xef\xbb\xbf" V "}", -EBADMSG, "not JSON" },
	{ V ",\"any\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}", -EBADMSG, "deeper than 16" },
	{ V ",\"any\":[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]}", -EBADMSG, "deeper than 16" },

	/* keys given twice */
	{ V ",\"name\":\"a\"}", -EBADMSG, "key \"name\" is given twice", "once" },
	{ V ",\"on\":true,\"on\":true}", -EBADMSG, "\"on\"" },
	{ V ",\"any\":{\"x\":[{\"y\":1,\"y\":2}]}}", -EBADMSG, "\"y\"" },
	{ V ",\"any\":{\"x\":{\"y\":1,\"z\":2},\"x\":3}}", -EBADMSG, "\"x\"" },
	{ V ",\"\\u006fn\":true,\"on\":true}", -EBADMSG, "\"on\"" },
	{ V ",\"any\":{\"x\":{\"x\":1},\"y\":{\"x\":1}}}", 0 },

	/* version */
	{ "{\"name\":\"a\"}", -EBADMSG, "\"version\" is missing" },
	{ "{\"version\":2,\"new\":1}", -EPROTONOSUPPORT, "version 2", "as new as" },
	{ "{\"version\":\"1\",\"name\":\"a\"}", -EBADMSG, "/version: expected integer, got string" },
	{ "{\"version\":true,\"name\":\"a\"}", -EBADMSG, "/version: expected integer, got boolean" },
	{ "{\"version\":1.0,\"name\":\"a\"}", -EBADMSG, "/version: expected integer, got a number with" },
	{ "{\"version\":-1,\"name\":\"a\"}", -EBADMSG, "/version: integer -1 is negative" },

	/* table */
	{ "{\"version\":1}", -EBADMSG, "FILE: key \"name\" is missing", "schema \"doc\"" },
	{ V ",\"naem\":1}", -EBADMSG, "/naem: unknown key", "keys of \"doc\": version, name, uuid" },
	{ V ",\"\\n\\u001b[31m\":1}", -EBADMSG, "/??[31m: unknown key" },
	{ V ",\"uuid\":3}", -EBADMSG, "/uuid: expected string, got integer" },
	{ V ",\"uuid\":null}", -EBADMSG, "/uuid: expected string, got null" },
	{ V ",\"uuid\":\"x\"}", -EBADMSG, "/uuid: expected a UUID" },
	{ V ",\"unit\":false}", -EBADMSG, "/unit: expected string, got boolean" },
	{ V ",\"on\":1}", -EBADMSG, "/on: expected boolean, got integer" },
	{ V ",\"on\":\"true\"}", -EBADMSG, "/on: expected boolean, got string" },
	{ V ",\"delta\":\"1\"}", -EBADMSG, "/delta: expected integer, got string" },
	{ V ",\"delta\":1.0}", -EBADMSG, "/delta: expected integer, got a number" },
	{ V ",\"delta\":true}", -EBADMSG, "/delta: expected integer, got boolean" },
	{ V ",\"delta\":6}", -EBADMSG, "/delta: integer 6, expected -5 to 5" },
	{ V ",\"delta\":-6}", -EBADMSG, "/delta: integer -6, expected -5 to 5" },
	{ V ",\"delta\":18446744073709551615}", -EBADMSG, "/delta: integer 18446744073709551615 is too large" },
	{ V ",\"big\":-1}", -EBADMSG, "/big: integer -1 is negative" },
	{ V ",\"big\":null}", -EBADMSG, "/big: expected integer, got null" },
	{ V ",\"color\":\"gree\"}", -EBADMSG, "/color: unknown value", "red, green, blue" },
	{ V ",\"color\":1}", -EBADMSG, "/color: expected string" },
	{ V ",\"first\":[]}", -EBADMSG, "/first: expected object, got array" },
	{ V ",\"first\":null}", -EBADMSG, "/first: expected object, got null" },
	{ V ",\"first\":{}}", -EBADMSG, "/first: key \"path\" is missing" },
	{ V ",\"first\":{\"path\":\"\"}}", -EBADMSG, "/first/path: string of 0 bytes" },
	{ V ",\"first\":{\"path\":\"123456789\"}}", -EBADMSG, "/first/path: string of 9 bytes, expected 1 to 8" },
	{ V ",\"first\":{\"path\":\"a\",\"version\":1}}", -EBADMSG, "/first/version: unknown key" },
	{ V ",\"why\":3}", -EBADMSG, "/why: expected object, got integer" },
	{ V ",\"why\":{\"path\":\"a\",\"size\":0}}", -EBADMSG, "/why/size: integer 0, expected 1 to 100" },
	{ V ",\"argv\":\"a\"}", -EBADMSG, "/argv: expected array, got string" },
	{ V ",\"argv\":[\"a\",null]}", -EBADMSG, "/argv/1: expected string, got null" },
	{ V ",\"argv\":[\"a\",\"b\",\"c\",\"d\"]}", -EBADMSG, "/argv: 4 elements, expected 0 to 3" },
	{ V ",\"small\":-2147483649}", -EBADMSG, "/small: integer -2147483649, expected -2147483648 to 2147483647" },
	{ V ",\"small\":2147483648}", -EBADMSG, "/small: integer 2147483648, expected" },
	{ V ",\"small\":9223372036854775808}", -EBADMSG, "/small: integer 9223372036854775808 is too large" },
	{ V ",\"word\":4294967296}", -EBADMSG, "/word: integer 4294967296, expected 1 to 4294967295" },
	{ V ",\"word\":0}", -EBADMSG, "/word: integer 0, expected 1" },
	{ V ",\"word\":-1}", -EBADMSG, "/word: integer -1 is negative" },
	{ V ",\"groups\":[1,-1]}", -EBADMSG, "/groups/1: integer -1 is negative" },
	{ V ",\"groups\":{}}", -EBADMSG, "/groups: expected array, got object" },
	{ V ",\"parts\":[{\"path\":\"a\"},{\"path\":\"b\",\"x\":1}]}", -EBADMSG, "/parts/1/x: unknown key" },
	{ V ",\"parts\":[{\"path\":\"a\"},7]}", -EBADMSG, "/parts/1: expected object, got integer" },
};

static int decode(const char *text, size_t size, struct doc *ret, struct lu_error *e)
{
	return lu_json_decode_text(text, size, 4096, "FILE", &doc_table, ret, e);
}

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		/* A copy without a terminating NUL, so that ASan sees a step too far. */
		size_t n = strlen(cases[i].text);
		_cleanup_free_ char *text = malloc(n ?: 1);
		struct doc d = { .delta = 77 };
		int r;

		memcpy(text, cases[i].text, n);
		r = decode(text, n, &d, &e);
		expect(r == cases[i].r, "%s: %d, %s", cases[i].text, r, e.what ?: "no error");
		if (r == 0) {
			assert_string_equal(d.name, "a");
			lu_json_free(&doc_table, &d);
			continue;
		}
		assert_int_equal(d.delta, 77); /* untouched */
		assert_int_equal(e.code, r);
		expect(strncmp(e.what, "FILE: ", 6) == 0, "%s: %s", cases[i].text, e.what);
		expect(!cases[i].what || strstr(e.what, cases[i].what), "%s: %s", cases[i].text, e.what);
		expect(!cases[i].hint || (e.hint && strstr(e.hint, cases[i].hint)), "%s: %s", cases[i].text, e.hint);
	}
}

static void test_limits(void **state)
{
	static const char nul[] = V "}\0";
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct json_object *o;
	struct doc d;

	assert_int_equal(lu_json_parse("{\"a\":1}", 7, 6, "FILE", &o, &e), -EFBIG);
	assert_non_null(strstr(e.what, "limit of 6 bytes"));
	assert_int_equal(lu_json_parse("{\"a\":1}", 7, 7, "FILE", &o, NULL), 0);
	json_object_put(o);
	assert_int_equal(decode(nul, sizeof(nul) - 1, &d, NULL), -EBADMSG);
}

static const char full[] =
	"{\"version\":1,\"name\":\"a-1\",\"uuid\":\"01234567-89ab-cdef-0123-456789abcdef\",\"unit\":\"\\u00e4\",\"on\":true,"
	"\"delta\":-3,\"pid\":4,\"big\":18446744073709551615,\"color\":\"blue\",\"first\":{\"path\":\"/x\"},"
	"\"why\":{\"path\":\"/y\",\"size\":9,\"ro\":false},\"argv\":[\"a\",\"\",\"c\"],\"groups\":[0,9223372036854775808],"
	"\"parts\":[{\"path\":\"p\"},{\"path\":\"q\",\"ro\":false}],\"any\":{\"k\":[null,1.5]},\"small\":-7,"
	"\"word\":4294967295}";

static void test_roundtrip(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *text = NULL, *again = NULL;
	struct doc d;

	assert_int_equal(decode(full, strlen(full), &d, &e), 0);
	assert_string_equal(d.unit, "\xc3\xa4");
	assert_true(d.on && d.delta == -3 && d.pid == 4 && d.big == UINT64_MAX && d.color == 2);
	assert_true(d.small == -7 && d.word == UINT32_MAX);
	assert_string_equal(d.first.path, "/x");
	assert_true(d.first.size == 7 && d.first.ro);
	assert_true(d.why && d.why->size == 9 && !d.why->ro);
	assert_string_equal(d.argv[2], "c");
	assert_null(d.argv[3]);
	assert_true(d.n_groups == 2 && d.groups[1] == 9223372036854775808u);
	assert_true(d.n_parts == 2 && d.parts[0].ro && !d.parts[1].ro && d.parts[1].size == 7);

	assert_int_equal(lu_json_encode_text(&doc_table, &d, &text, &e), 0);
	lu_json_free(&doc_table, &d);
	assert_null(d.parts);
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_int_equal(decode(text, strlen(text), &d, &e), 0);
	assert_int_equal(lu_json_encode_text(&doc_table, &d, &again, &e), 0);
	assert_string_equal(text, again);
	lu_json_free(&doc_table, &d);
}

static void test_defaults(void **state)
{
	_cleanup_free_ char *text = NULL;
	struct doc d;

	assert_int_equal(decode(V "}", strlen(V "}"), &d, NULL), 0);
	assert_true(d.pid == -1 && d.color == -1 && d.first.size == 7 && d.first.ro && !d.on && d.small == -3 &&
		    d.word == 9);
	assert_true(!d.argv && !d.groups && !d.parts && !d.why && !d.any && !d.first.path);
	lu_json_free(&doc_table, &d);
}

/* What the table refuses is refused on writing too, and says where. */
static void test_encode_refuses(void **state)
{
	struct part parts[3] = { { (char *)"p", 1, true }, { (char *)"q", 101, true }, { (char *)"r", 1, true } };
	char *bad_argv[] = { (char *)"\xff", NULL };
	struct doc good = { .name = (char *)"n", .first = { (char *)"p", 1, true }, .color = -1, .word = 1 };
	struct {
		struct doc d;
		const char *what;
	} t[] = {
		{ good, NULL },
		{ good, "/name: expected string, got null" },
		{ good, "/delta: integer 6" },
		{ good, "/color: " },
		{ good, "/parts/1/size: integer 101" },
		{ good, "/parts: 3 elements" },
		{ good, "/argv/0: string contains NUL or is not UTF-8" },
		{ good, "/name: expected a name" },
	};

	t[1].d.name = NULL;
	t[2].d.delta = 6;
	t[3].d.color = 3;
	t[4].d.parts = parts, t[4].d.n_parts = 2;
	t[5].d.parts = parts, t[5].d.n_parts = 3;
	t[6].d.argv = bad_argv;
	t[7].d.name = (char *)"../x";
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		char *text = NULL;
		int r = lu_json_encode_text(&doc_table, &t[i].d, &text, &e);

		if (!t[i].what) {
			assert_int_equal(r, 0);
			/* optional ones that are NULL are left out, nullable ones are null */
			assert_null(strstr(text, "uuid"));
			assert_non_null(strstr(text, "\"unit\": null"));
			free(text);
			continue;
		}
		expect(r == -EINVAL && e.code == -EINVAL, "%zu: %d", i, r);
		expect(strstr(e.what, t[i].what), "%zu: %s", i, e.what);
		assert_null(text);
	}
}

static void test_store(void **state)
{
	char dir[64], path[80];
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct doc d;

	assert_non_null(test_mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/doc.json", dir);
	assert_int_equal(lu_json_load(AT_FDCWD, path, 4096, &doc_table, &d, &e), -ENOENT);
	assert_non_null(strstr(e.what, path));
	lu_error_clear(&e);
	assert_int_equal(decode(full, strlen(full), &d, &e), 0);
	assert_int_equal(lu_json_store(AT_FDCWD, path, 0600, &doc_table, &d, &e), 0);
	lu_json_free(&doc_table, &d);
	assert_int_equal(lu_json_load(AT_FDCWD, path, 10, &doc_table, &d, &e), -EFBIG);
	lu_error_clear(&e);
	assert_int_equal(lu_json_load(AT_FDCWD, path, 4096, &doc_table, &d, &e), 0);
	lu_json_free(&doc_table, &d);
	unlink(path);
	rmdir(dir);
}

/* Every proper prefix is refused; every changed byte gives an error or a document that can be written again. */
static void test_any_bytes(void **state)
{
	static const char replace[] = "\"\\{}[],:0-9ea.\x01\x80\xff u";
	size_t n = strlen(full), accepted = 0;
	struct doc d;

	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *text = malloc(i ?: 1);

		memcpy(text, full, i);
		assert_int_equal(decode(text, i, &d, NULL), -EBADMSG);
	}
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < sizeof(replace); k++) {
			_cleanup_free_ char *text = malloc(n), *out = NULL;
			_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
			int r;

			memcpy(text, full, n);
			text[i] = replace[k];
			r = decode(text, n, &d, &e);
			if (r < 0) {
				assert_int_equal(e.code, r);
				assert_true(lu_utf8_prefix(e.what, strlen(e.what)) == strlen(e.what));
				continue;
			}
			accepted++;
			r = lu_json_encode_text(&doc_table, &d, &out, &e);
			expect(r == 0, "%.*s: %s", (int)n, text, e.what);
			lu_json_free(&doc_table, &d);
		}
	}
	assert_true(accepted > 100);
}

static void test_add(void **state)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_free_ char *text = NULL;

	assert_int_equal(lu_json_add_string(o, "s", "/x"), 0);
	assert_int_equal(lu_json_add_string(o, "null", NULL), 0);
	assert_int_equal(lu_json_add_uint(o, "u", UINT64_MAX), 0);
	assert_int_equal(lu_json_add_int(o, "i", INT64_MIN), 0);
	assert_int_equal(lu_json_add_bool(o, "b", true), 0);
	assert_int_equal(lu_json_add_bool(o, "b", true), -EEXIST);
	assert_int_equal(lu_json_add(o, "\xff", NULL), -EINVAL);
	assert_int_equal(lu_json_add_string(o, "bad", "\xff"), -EINVAL);
	assert_int_equal(lu_json_text(o, &text), 0);
	assert_non_null(strstr(text, "18446744073709551615"));
	assert_non_null(strstr(text, "\"/x\""));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),          cmocka_unit_test(test_limits),
		cmocka_unit_test(test_roundtrip),      cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_encode_refuses), cmocka_unit_test(test_store),
		cmocka_unit_test(test_any_bytes),      cmocka_unit_test(test_add),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
