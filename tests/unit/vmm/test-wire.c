// SPDX-License-Identifier: GPL-2.0-or-later
/* The QMP wire parser: every way to cut a stream, every kind of nonsense, the bounds. */
#include <json-c/json.h>
#include <malloc.h>

#include "test.h"

#include "wire.h"

static const char session[] =
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 3, \"minor\": 1, \"major\": 11}, \"package\": \"\"}, \"capabilities\": [\"oob\"]}}\r\n"
	"{\"return\": {}, \"id\": 1}\r\n"
	"{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"STOP\"}\r\n"
	"{\"id\": 2, \"error\": {\"class\": \"GenericError\", \"desc\": \"Gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\"}}\r\n"
	"{\"return\": [1, {\"a\": \"}{\"}], \"id\": 3}\n\n  "
	"{\"event\": \"MIGRATION\", \"data\": {\"status\": \"completed\"}, \"timestamp\": {}}";

static void check_session(const struct lu_wire_message *m, int n)
{
	switch (n) {
	case 0:
		assert_int_equal(m->kind, LU_WIRE_GREETING);
		break;
	case 1:
		assert_int_equal(m->kind, LU_WIRE_RETURN);
		assert_int_equal(m->id, 1);
		break;
	case 2:
		assert_int_equal(m->kind, LU_WIRE_EVENT);
		assert_string_equal(m->event, "STOP");
		assert_null(m->data);
		break;
	case 3:
		assert_int_equal(m->kind, LU_WIRE_ERROR);
		assert_int_equal(m->id, 2);
		assert_string_equal(m->error_class, "GenericError");
		assert_string_equal(m->error_desc, "Gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
		break;
	case 4:
		assert_int_equal(m->kind, LU_WIRE_RETURN);
		assert_int_equal(m->id, 3);
		assert_int_equal(json_object_array_length(m->data), 2);
		break;
	case 5:
		assert_int_equal(m->kind, LU_WIRE_EVENT);
		assert_string_equal(m->event, "MIGRATION");
		assert_non_null(m->data);
		break;
	default:
		fail_case("message %d", n);
	}
}

static int drain(struct lu_wire *w, int n)
{
	for (;;) {
		_cleanup_wire_message_ struct lu_wire_message m = LU_WIRE_MESSAGE_INIT;
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		int r = lu_wire_next(w, &m, &e);

		expect(r >= 0, "after %d messages: %s", n, e.what);
		if (r == 0)
			return n;
		check_session(&m, n++);
	}
}

static void test_every_cut(void **state)
{
	for (size_t cut = 0; cut < sizeof(session); cut++) {
		_cleanup_(lu_wire_freep) struct lu_wire *w = NULL;
		int n;

		assert_int_equal(lu_wire_new(&w), 0);
		assert_int_equal(lu_wire_push(w, session, cut), 0);
		n = drain(w, 0);
		assert_int_equal(lu_wire_push(w, session + cut, sizeof(session) - 1 - cut), 0);
		expect(drain(w, n) == 6, "cut at %zu", cut);
	}
}

static void test_byte_by_byte(void **state)
{
	_cleanup_(lu_wire_freep) struct lu_wire *w = NULL;
	int n = 0;

	assert_int_equal(lu_wire_new(&w), 0);
	for (size_t i = 0; i < sizeof(session) - 1; i++) {
		assert_int_equal(lu_wire_push(w, session + i, 1), 0);
		n = drain(w, n);
	}
	assert_int_equal(n, 6);
}

static void test_nonsense(void **state)
{
	static const char *const cases[] = {
		"hello",
		"[]",
		"1",
		"\"x\"",
		"null",
		"}",
		"HTTP/1.1 400 Bad Request\r\n",
		"{\"a\": }",
		"{\"a\" 1}",
		"{'a': 1}",
		"{\"QMP\": 1}",
		"{}",
		"{\"id\": 1}",
		"{\"return\": {}}",
		"{\"return\": {}, \"id\": \"1\"}",
		"{\"return\": {}, \"id\": -1}",
		"{\"return\": {}, \"id\": 1.5}",
		"{\"error\": {}, \"id\": 1}",
		"{\"error\": {\"class\": \"x\"}, \"id\": 1}",
		"{\"error\": \"x\", \"id\": 1}",
		"{\"event\": 1}",
		"{\"event\": \"a\\u0000b\"}",
		"{\"return\": {}, \"event\": \"STOP\", \"id\": 1}",
		"{\"QMP\": {}, \"return\": {}, \"id\": 1}",
		"\xff",
		"{\"\xff\": 1}",
		"{\"return\": {} \"id\": 1}",
		"{\"a\": 01}",
		"\n\n{\"return\": {}, \"id\": 1},",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(lu_wire_freep) struct lu_wire *w = NULL;
		int r;

		assert_int_equal(lu_wire_new(&w), 0);
		assert_int_equal(lu_wire_push(w, cases[i], strlen(cases[i])), 0);
		do {
			_cleanup_wire_message_ struct lu_wire_message m = LU_WIRE_MESSAGE_INIT;
			_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

			r = lu_wire_next(w, &m, &e);
			expect(r != -EBADMSG || (e.what && e.hint), "%s: no words", cases[i]);
		} while (r > 0);
		expect(r == -EBADMSG, "%s: %d", cases[i], r);
		/* the frame is lost for good */
		{
			_cleanup_wire_message_ struct lu_wire_message m = LU_WIRE_MESSAGE_INIT;

			assert_int_equal(lu_wire_push(w, session, sizeof(session) - 1), 0);
			assert_int_equal(lu_wire_next(w, &m, NULL), -EBADMSG);
		}
	}
}

static void test_too_deep(void **state)
{
	_cleanup_(lu_wire_freep) struct lu_wire *w = NULL;
	struct lu_wire_message m = LU_WIRE_MESSAGE_INIT;
	char deep[256] = "{\"return\": ";

	memset(deep + strlen(deep), '[', 200);
	assert_int_equal(lu_wire_new(&w), 0);
	assert_int_equal(lu_wire_push(w, deep, strlen(deep)), 0);
	assert_int_equal(lu_wire_next(w, &m, NULL), -EBADMSG);
}

static void test_too_large(void **state)
{
	_cleanup_(lu_wire_freep) struct lu_wire *w = NULL;
	static char block[65536];
	struct lu_wire_message m = LU_WIRE_MESSAGE_INIT;
	size_t sent = 0;
	int r = 0;

	memset(block, 'x', sizeof(block));
	assert_int_equal(lu_wire_new(&w), 0);
	assert_int_equal(lu_wire_push(w, "{\"return\": \"", 12), 0);
	while (r == 0 && sent < 3 * (size_t)LU_WIRE_MESSAGE_MAX) {
		r = lu_wire_push(w, block, sizeof(block));
		sent += sizeof(block);
		if (r == 0)
			r = lu_wire_next(w, &m, NULL);
	}
	assert_int_equal(r, -EBADMSG);
	assert_true(sent <= LU_WIRE_MESSAGE_MAX + 2 * sizeof(block));
	/* and a reader who never asks */
	lu_wire_free(steal_ptr(w));
	assert_int_equal(lu_wire_new(&w), 0);
	for (sent = 0; (r = lu_wire_push(w, block, sizeof(block))) == 0; sent += sizeof(block))
		assert_true(sent < 3 * (size_t)LU_WIRE_MESSAGE_MAX);
	assert_int_equal(r, -EMSGSIZE);
}

/* Any flip of any byte: no crash, no hang; what comes out is a message or an error. */
static void test_flips(void **state)
{
	for (size_t i = 0; i < sizeof(session) - 1; i++) {
		for (int bit = 0; bit < 8; bit++) {
			_cleanup_(lu_wire_freep) struct lu_wire *w = NULL;
			char copy[sizeof(session)];
			int r, n = 0;

			memcpy(copy, session, sizeof(session));
			copy[i] ^= (char)(1 << bit);
			assert_int_equal(lu_wire_new(&w), 0);
			assert_int_equal(lu_wire_push(w, copy, sizeof(session) - 1), 0);
			do {
				_cleanup_wire_message_ struct lu_wire_message m = LU_WIRE_MESSAGE_INIT;

				r = lu_wire_next(w, &m, NULL);
				n++;
			} while (r > 0);
			assert_true(r == 0 || r == -EBADMSG);
			assert_true(n <= 8);
		}
	}
}

/* @n times @what in a list, in one message; what lu_wire_next() says */
static int many(const char *what, size_t n, size_t piece, size_t *ret_memory)
{
	static const char head[] = "{\"return\": [", tail[] = "0], \"id\": 1}";
	_cleanup_(lu_wire_freep) struct lu_wire *w = NULL;
	_cleanup_wire_message_ struct lu_wire_message m = LU_WIRE_MESSAGE_INIT;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	size_t size = strlen(head) + n * strlen(what) + strlen(tail), before = mallinfo2().uordblks;
	char *text = malloc(size + 1), *p;
	int r = 0;

	p = stpcpy(text, head);
	for (size_t i = 0; i < n; i++)
		p = stpcpy(p, what);
	strcpy(p, tail);
	assert_int_equal(lu_wire_new(&w), 0);
	for (size_t i = 0; i < size && r == 0; i += piece) {
		assert_int_equal(lu_wire_push(w, text + i, piece < size - i ? piece : size - i), 0);
		r = lu_wire_next(w, &m, &e);
	}
	free(text);
	*ret_memory = mallinfo2().uordblks - before;
	if (r < 0)
		assert_non_null(strstr(e.what, "too many values"));
	return r;
}

/* Few bytes that become much memory are refused before they are that; what QEMU may send is not. */
static void test_too_many(void **state)
{
	size_t memory;

	/* 4 MiB in one piece, and as they come from a socket */
	assert_int_equal(many("{},", ((4u << 20) - 64) / 3, 4u << 20, &memory), -EBADMSG);
	expect(memory < 64u << 20, "%zu bytes", memory);
	assert_int_equal(many("{},", ((4u << 20) - 64) / 3, 65536, &memory), -EBADMSG);
	expect(memory < 64u << 20, "%zu bytes", memory);
	assert_int_equal(many("[],", 40000, 4096, &memory), -EBADMSG);
	assert_int_equal(many("1,", 600000, 65536, &memory), -EBADMSG);
	/* brackets and commas in strings are none, whatever is escaped; each message counts anew */
	assert_int_equal(many("\"{},[],\\\"{},\",", 10000, 999, &memory), 1);
	assert_int_equal(
		many("{\"cpu-index\": 1, \"props\": {\"core-id\": 1, \"thread-id\": 2}},", 4096, 65536, &memory), 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(many("{},", 20000, 65536, &memory), 1);
}

static void test_each_message_counts(void **state)
{
	_cleanup_(lu_wire_freep) struct lu_wire *w = NULL;
	_cleanup_free_ char *text = malloc(70000);
	char *p = stpcpy(text, "{\"return\": [");

	for (int i = 0; i < 20000; i++)
		p = stpcpy(p, "{},");
	strcpy(p, "0], \"id\": 1}\n");
	assert_int_equal(lu_wire_new(&w), 0);
	/* two at a time, cut in the middle of a third */
	for (int i = 0; i < 4; i++) {
		_cleanup_wire_message_ struct lu_wire_message m = LU_WIRE_MESSAGE_INIT;
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

		assert_int_equal(lu_wire_push(w, text, strlen(text)), 0);
		assert_int_equal(lu_wire_push(w, text, strlen(text)), 0);
		expect(lu_wire_next(w, &m, &e) == 1, "%s", e.what);
		lu_wire_message_clear(&m);
		expect(lu_wire_next(w, &m, &e) == 1, "%s", e.what);
	}
}

static void test_command(void **state)
{
	struct json_object *args = json_object_new_object();
	_cleanup_free_ char *a = NULL, *b = NULL;
	size_t size;

	json_object_object_add(args, "uri", json_object_new_string("file:/x"));
	assert_int_equal(lu_wire_command("migrate", args, 7, &a, &size), 0);
	assert_string_equal(a, "{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"file:\\/x\"},\"id\":7}\n");
	assert_int_equal(size, strlen(a));
	assert_int_equal(lu_wire_command("stop", NULL, 8, &b, &size), 0);
	assert_string_equal(b, "{\"execute\":\"stop\",\"id\":8}\n");
	/* the caller still owns them */
	assert_int_equal(json_object_put(args), 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_too_deep),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_flips),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_each_message_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
