// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Documents of other versions, and texts for people that are anything. The table below has seen some: version 1 had
 * "speed", which version 2 called "rate"; minor 1 of version 2 added "note", minor 2 "parts/color".
 */
#include "test.h"

#include <json-c/json.h>

#include "json.h"

struct part {
	uint64_t size;
	int64_t color;
};

struct doc {
	char *name;
	uint64_t rate, speed;
	char *note;
	struct part *parts;
	size_t n_parts;
};

#define SINCE(_version, _minor) .since = LU_JSON_AT(_version, _minor)
static const struct lu_json_field part_fields[] = {
	{ "size", LU_JSON_UINT, offsetof(struct part, size), LU_JSON_REQUIRED },
	{ "color", LU_JSON_INT, offsetof(struct part, color), LU_JSON_REQUIRED, .def = -1, SINCE(2, 2) },
};
static const struct lu_json_table part_table = LU_JSON_TABLE("part", struct part, part_fields);

static const struct lu_json_field doc_fields[] = {
	{ "name", LU_JSON_STRING, offsetof(struct doc, name), LU_JSON_REQUIRED },
	{ "speed", LU_JSON_UINT, offsetof(struct doc, speed), LU_JSON_REQUIRED, .until = LU_JSON_AT(2, 0) },
	{ "rate", LU_JSON_UINT, offsetof(struct doc, rate), LU_JSON_REQUIRED, SINCE(2, 0) },
	{ "note", LU_JSON_STRING, offsetof(struct doc, note), LU_JSON_REQUIRED, SINCE(2, 1) },
	{ "parts", LU_JSON_OBJECTS, offsetof(struct doc, parts), .table = &part_table,
	  .count_offset = offsetof(struct doc, n_parts) },
};
static const struct lu_json_table doc_table = { .name = "doc",
						.size = sizeof(struct doc),
						.fields = doc_fields,
						.n_fields = ARRAY_SIZE(doc_fields),
						.version = 2,
						.oldest = 1,
						.minor = 2 };

static void test_range(void **state)
{
	static const struct {
		const char *text;
		int r;
		const char *what, *hint;
	} cases[] = {
		/* what was written by each version that is known */
		{ "{\"version\":1,\"name\":\"a\",\"speed\":3}", 0 },
		{ "{\"version\":2,\"name\":\"a\",\"rate\":3}", 0 },
		{ "{\"version\":2,\"minor\":0,\"name\":\"a\",\"rate\":3}", 0 },
		{ "{\"version\":2,\"minor\":1,\"name\":\"a\",\"rate\":3,\"note\":\"n\"}", 0 },
		{ "{\"version\":2,\"minor\":1,\"name\":\"a\",\"rate\":3,\"note\":\"n\",\"parts\":[{\"size\":1}]}", 0 },
		{ "{\"version\":2,\"minor\":2,\"name\":\"a\",\"rate\":3,\"note\":\"n\",\"parts\":[{\"size\":1,\"color\":2}]}",
		  0 },
		/* each has what it must have, and nothing that is not its own */
		{ "{\"version\":1,\"name\":\"a\"}", -EBADMSG, "\"speed\" is missing" },
		{ "{\"version\":2,\"name\":\"a\",\"rate\":3,\"speed\":3}", -EBADMSG, "/speed: unknown key" },
		{ "{\"version\":2,\"minor\":1,\"name\":\"a\",\"rate\":3}", -EBADMSG, "\"note\" is missing" },
		{ "{\"version\":2,\"minor\":2,\"name\":\"a\",\"rate\":3,\"note\":\"n\",\"parts\":[{\"size\":1}]}",
		  -EBADMSG, "/parts/0: key \"color\" is missing" },
		{ "{\"version\":2,\"minor\":2,\"name\":\"a\",\"rate\":3,\"note\":\"n\",\"new\":1}", -EBADMSG,
		  "/new: unknown key", "keys of \"doc\"" },
		/* a newer minor: what is not known is passed over wherever it stands, what is known is judged */
		{ "{\"version\":2,\"minor\":3,\"name\":\"a\",\"rate\":3,\"note\":\"n\",\"new\":{\"a\":[1.5]}}", 0 },
		{ "{\"new\":1,\"version\":2,\"minor\":3,\"name\":\"a\",\"rate\":3,\"note\":\"n\",\"parts\":[{\"size\":1,\"color\":1,\"x\":0}]}",
		  0 },
		{ "{\"version\":2,\"minor\":4294967295,\"name\":\"a\",\"rate\":3,\"note\":\"n\",\"new\":null}", 0 },
		{ "{\"version\":2,\"minor\":3,\"name\":\"a\",\"rate\":\"3\",\"note\":\"n\",\"new\":1}", -EBADMSG,
		  "/rate: expected" },
		{ "{\"version\":2,\"minor\":3,\"name\":\"a\",\"note\":\"n\",\"new\":1}", -EBADMSG,
		  "\"rate\" is missing" },
		{ "{\"version\":2,\"minor\":3,\"name\":\"a\",\"rate\":3,\"note\":\"n\",\"new\":1,\"new\":2}", -EBADMSG,
		  "twice" },
		/* other versions */
		{ "{\"version\":3,\"name\":\"a\",\"rate\":3}", -EPROTONOSUPPORT, "version 3 of \"doc\"", "as new as" },
		{ "{\"version\":3,\"minor\":1,\"new\":1}", -EPROTONOSUPPORT, "knows 2", "as new as" },
		{ "{\"version\":0,\"name\":\"a\"}", -EPROTONOSUPPORT, "1 and later", "as old as" },
		{ "{\"version\":2,\"minor\":\"1\",\"name\":\"a\",\"rate\":3}", -EBADMSG, "/minor: expected integer" },
		{ "{\"version\":2,\"minor\":-1,\"name\":\"a\",\"rate\":3}", -EBADMSG,
		  "/minor: integer -1 is negative" },
		{ "{\"version\":2,\"minor\":4294967296,\"name\":\"a\",\"rate\":3}", -EBADMSG, "/minor: integer" },
		{ "{\"version\":2,\"minor\":null,\"name\":\"a\",\"rate\":3}", -EBADMSG, "/minor: expected integer" },
		{ "{\"minor\":3,\"name\":\"a\",\"rate\":3}", -EBADMSG, "\"version\" is missing" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct doc d;
		int r = lu_json_decode_text(cases[i].text, strlen(cases[i].text), 4096, "file", &doc_table, &d, &e);

		expect(r == cases[i].r, "%s: %d, %s", cases[i].text, r, e.what ?: "");
		expect(!cases[i].what || strstr(e.what, cases[i].what), "%s: %s", cases[i].text, e.what);
		expect(!cases[i].hint || strstr(e.hint, cases[i].hint), "%s: %s", cases[i].text, e.hint);
		if (r == 0)
			lu_json_free(&doc_table, &d);
	}
}

/* What an old one had is there, what it had not has its default; what is written is of today. */
static void test_old_to_new(void **state)
{
	static const char old[] = "{\"version\":1,\"name\":\"a\",\"speed\":3,\"parts\":[{\"size\":5}]}";
	_cleanup_free_ char *text = NULL;
	struct doc d;

	assert_int_equal(lu_json_decode_text(old, strlen(old), 4096, "file", &doc_table, &d, NULL), 0);
	assert_int_equal(d.speed, 3);
	assert_int_equal(d.parts[0].color, -1);
	assert_null(d.note);
	d.rate = d.speed * 2;
	d.note = strdup("n");
	assert_int_equal(lu_json_encode_text(&doc_table, &d, &text, NULL), 0);
	lu_json_free(&doc_table, &d);
	assert_non_null(strstr(text, "\"version\": 2"));
	assert_non_null(strstr(text, "\"minor\": 2"));
	assert_non_null(strstr(text, "\"rate\": 6"));
	assert_null(strstr(text, "speed"));
	assert_int_equal(lu_json_decode_text(text, strlen(text), 4096, "file", &doc_table, &d, NULL), 0);
	lu_json_free(&doc_table, &d);
}

struct told {
	char *what, *hint, *loose;
};

static const struct lu_json_field told_fields[] = {
	{ "what", LU_JSON_STRING, offsetof(struct told, what), LU_JSON_REQUIRED | LU_JSON_TEXT, .min = 1, .max = 64 },
	{ "hint", LU_JSON_STRING, offsetof(struct told, hint), LU_JSON_REQUIRED | LU_JSON_NULLABLE | LU_JSON_TEXT,
	  .max = 64 },
	{ "loose", LU_JSON_STRING, offsetof(struct told, loose), LU_JSON_TEXT },
};
static const struct lu_json_table told_table = LU_JSON_DOCUMENT("told", struct told, told_fields, 1);

static char *repeat(const char *s, size_t n)
{
	char *out = calloc(n, strlen(s) + 1);

	for (size_t i = 0; i < n; i++)
		memcpy(out + i * strlen(s), s, strlen(s));
	return out;
}

/* No text keeps a document from being written, and none is longer than the field allows. */
static void test_texts(void **state)
{
	_cleanup_free_ char *euro = repeat("\xe2\x82\xac", 30), *wrong = repeat("\xff", 100),
			    *huge = repeat("x", 1 << 20);
	_cleanup_free_ char *quotes = repeat("\"\\\n", 2000), *sixty_four = repeat("y", 64),
			    *sixty_five = repeat("z", 65);
	const struct {
		const char *in, *what;
	} cases[] = {
		{ "fine", "fine" },        { "\xc3\xa4 \xe2\x82", "\xc3\xa4 ??" },
		{ "a\nb\x01", "a b?" },    { "", LU_JSON_NO_TEXT },
		{ NULL, LU_JSON_NO_TEXT }, { sixty_four, sixty_four },
		{ sixty_five, NULL },      { euro, NULL },
		{ wrong, NULL },           { huge, NULL },
		{ quotes, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct told in = { (char *)cases[i].in, (char *)cases[i].in, (char *)cases[i].in }, out;
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		_cleanup_free_ char *text = NULL;
		int r = lu_json_encode_text(&told_table, &in, &text, &e);

		expect(r == 0, "case %zu: %s", i, e.what);
		assert_int_equal(lu_json_decode_text(text, strlen(text), 1 << 20, "file", &told_table, &out, &e), 0);
		assert_true(strlen(out.what) <= 64 && strlen(out.what) > 0);
		expect(!cases[i].what || !strcmp(out.what, cases[i].what), "case %zu: %s", i, out.what);
		if (!cases[i].what) {
			assert_string_equal(out.what + strlen(out.what) - 3, "...");
			assert_true(strlen(out.what) > 64 - 4);
		}
		assert_true(!cases[i].in == !out.hint);
		assert_true(!cases[i].in == !out.loose);
		assert_true(!out.loose || strlen(out.loose) <= LU_TEXT_MAX);
		lu_json_free(&told_table, &out);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_old_to_new),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests_name("json-versions", tests, NULL, NULL);
}
