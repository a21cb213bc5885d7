// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Answers that no real QEMU gives: of other types, cut off, circular, of any size. Each ends, by a verdict against the
 * guest or by an error with words. And command lines in all their ways to say the same.
 */
#include <fcntl.h>
#include <time.h>

#include "test.h"

#include "blocks-internal.h"

static struct lu_block_files *files;

static int setup(void **state)
{
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
	    image = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), r;

	r = lu_block_files_read(proc, getpid(), &files);
	close(proc);
	close(image);
	return r;
}

static int teardown(void **state)
{
	files = lu_block_files_free(files);
	return 0;
}

#define NODE(_name, _driver, _file, _children)                                        \
	"{\"node-name\": \"" _name "\", \"drv\": \"" _driver "\", \"file\": \"" _file \
	"\", \"ro\": false, \"children\": [" _children "]}"
#define CHILD(_role, _node) "{\"child\": \"" _role "\", \"node-name\": \"" _node "\"}"
#define FRONT(_node) "[{\"device\": \"d0\", \"inserted\": {\"node-name\": \"" _node "\"}}]"

static int judged(const char *nodes, const char *fronts, const char *edges, const char *drive, struct lu_reasons *why,
		  struct lu_error *e)
{
	struct json_object *n = json_tokener_parse(nodes), *f = json_tokener_parse(fronts),
			   *g = json_tokener_parse(edges);
	char *argv[] = { (char *)"qemu", (char *)"-drive", (char *)drive, NULL };
	_cleanup_(lu_blocks_freep) struct lu_blocks *b = NULL;
	int r = lu_blocks_read(n, f, g, &b, e);

	json_object_put(n);
	json_object_put(f);
	json_object_put(g);
	return r < 0 ? r : lu_blocks_judge(b, argv, files, why);
}

static void test_hostile(void **state)
{
	static const struct {
		const char *nodes, *fronts, *edges, *drive;
		int r;
		const char *word;
	} cases[] = {
		{ "{}", "[]", "", "file=/x,id=d0", -EBADMSG, "can't be read" },
		{ "[1]", "[]", "", "file=/x,id=d0", -EBADMSG, "can't be read" },
		{ "[]", "[1]", "", "file=/x,id=d0", -EBADMSG, "can't be read" },
		{ "[{\"node-name\": \"a\", \"drv\": \"file\", \"file\": \"/x\", \"ro\": 1, \"children\": []}]", "[]",
		  "", "", -EBADMSG, "can't be read" },
		{ "[" NODE("a", "file", "/x", "{\"child\": \"file\"}") "]", "[]", "", "", -EBADMSG, "can't be read" },
		{ "[" NODE("a", "file", "/x", "") "," NODE("a", "file", "/y", "") "]", "[]", "", "", -EBADMSG,
		  "can't be read" },
		{ "[{\"node-name\": \"a\", \"drv\": \"file\", \"file\": \"/x\", \"ro\": true}]", "[]", "", "",
		  -EOPNOTSUPP, "does not tell" },
		{ "[{\"node-name\": \"a\", \"drv\": \"file\", \"file\": \"/x\", \"ro\": true}]", "[]",
		  "{\"nodes\": [{\"id\": 1}], \"edges\": []}", "", -EBADMSG, "can't be read" },
		/* a medium without a node; one of which nothing is told */
		{ "[]", "[{\"device\": \"d0\", \"inserted\": {}}]", "", "file=/x,id=d0", -EBADMSG, "can't be read" },
		{ "[]", FRONT("a"), "", "file=/x,id=d0", 0, "of which QEMU does not tell" },
		/* circles */
		{ "[" NODE("#a", "raw", "/x", CHILD("file", "#a")) "]", FRONT("#a"), "", "file=/x,id=d0,format=raw", 0,
		  "has /x as raw, which the command line does not name" },
		{ "[" NODE("#a", "raw", "/x", CHILD("file", "#b")) "," NODE("#b", "raw", "/x", CHILD("file", "#a")) "]",
		  FRONT("#a"), "", "id=d0,driver=raw,file.driver=raw,file.file.driver=raw,file.file.filename=/x", 0,
		  "which the command line does not name" },
		/* an account that is cut off, or is none */
		{ "[" NODE("#a", "raw", "json:{\\\"driver\\\": \\\"raw\\\", \\\"offs...",
			   CHILD("file", "#b")) "," NODE("#b", "file", "/x", "") "]",
		  FRONT("#a"), "", "file=/x,id=d0,format=raw", 0, "which can't be compared" },
		{ "[" NODE("#a", "file", "json:[]", "") "]", FRONT("#a"), "", "driver=file,filename=/x,id=d0", 0,
		  "which can't be compared" },
		/* what the words do not know */
		{ "[" NODE("#a", "quorum", "", CHILD("children.0", "#b")) "," NODE("#b", "file", "/x", "") "]",
		  FRONT("#a"), "", "driver=quorum,id=d0", 0, "of a kind" },
		{ "[" NODE("#a", "raw", "/x", CHILD("file", "#b") "," CHILD("target", "#b")) "," NODE(
			  "#b", "file", "/proc/self/exe", "") "]",
		  FRONT("#a"), "", "file=/proc/self/exe,id=d0,format=raw", 0, "(target) that can't be compared" },
		{ "[" NODE("#a", "raw", "/x", CHILD("backing", "#b")) "," NODE("#b", "file", "/x", "") "]", FRONT("#a"),
		  "", "file=/x,id=d0,format=raw", 0, "of which its header does not tell" },
		{ "[" NODE("#a", "raw", "/x", "") "]", FRONT("#a"), "", "file=/x,id=d0,format=raw", 0,
		  "with nothing beneath it" },
		{ "[" NODE("#a", "raw", "/x", CHILD("file", "#b")) "," NODE("#b", "file", "/dev/fdset/7", "") "]",
		  FRONT("#a"), "", "file=/x,id=d0,format=raw", 0, "as a descriptor" },
		{ "[" NODE("#a", "raw", "/x", CHILD("file", "#b")) "," NODE("#b", "nbd", "nbd://h:1/e", "") "]",
		  FRONT("#a"), "", "file=nbd://h:1/e,id=d0,format=raw", 0, NULL },
		{ "[" NODE("#a", "raw", "/x", CHILD("file", "#b")) "," NODE("#b", "nbd", "nbd://h:10809/e", "") "]",
		  FRONT("#a"), "", "id=d0,driver=raw,file.driver=nbd,file.host=h,file.export=e", 0, NULL },
		{ "[" NODE("#a", "raw", "/x", CHILD("file", "#b")) "," NODE("#b", "nbd", "nbd+unix:///e?socket=/s",
									    "") "]",
		  FRONT("#a"), "",
		  "id=d0,driver=raw,file.driver=nbd,file.server.type=unix,file.server.path=/s,file.export=e", 0, NULL },
		{ "[" NODE("#a", "raw", "/x", CHILD("file", "#b")) "," NODE("#b", "nbd", "nbd://h:1/other", "") "]",
		  FRONT("#a"), "", "file=nbd://h:1/e,id=d0,format=raw", 0, "is on nbd://h:1/other" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_reasons_ struct lu_reasons why = { 0 };
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		int r = judged(cases[i].nodes, cases[i].fronts, cases[i].edges, cases[i].drive, &why, &e);
		const char *what = r < 0 ? e.what : why.n ? why.list[0].what : NULL;

		expect(r == cases[i].r, "case %zu: %d %s", i, r, what ?: "");
		expect(cases[i].word ? what && strstr(what, cases[i].word) : !what, "case %zu: %s", i,
		       what ?: "nothing");
	}
}

/* Layers that have two ways down each, 40 levels: 2^40 paths. And a chain that is longer than any. */
static void test_deep(void **state)
{
	for (int wide = 0; wide < 2; wide++) {
		_cleanup_reasons_ struct lu_reasons why = { 0 };
		_cleanup_free_ char *nodes = NULL;
		int levels = wide ? 40 : 2000;
		size_t size;
		FILE *f = open_memstream(&nodes, &size);
		time_t start = time(NULL);

		assert_non_null(f);
		fputc('[', f);
		for (int i = 0; i < levels; i++) {
			fprintf(f,
				"{\"node-name\": \"#%d\", \"drv\": \"qcow2\", \"file\": \"/x\", \"ro\": true, \"image\": {\"backing-filename\": \"/proc/self/exe\"}, "
				"\"children\": [" CHILD("file", "#leaf") "," CHILD("backing", "#%d"),
				i, i + 1);
			if (wide)
				fprintf(f, "," CHILD("backing", "#%d"), i + 1);
			fputs("]},", f);
		}
		fprintf(f,
			"{\"node-name\": \"#%d\", \"drv\": \"qcow2\", \"file\": \"/x\", \"ro\": true, \"children\": [" CHILD(
				"file", "#leaf") "]}," NODE("#leaf", "file", "/proc/self/exe", "") "]",
			levels);
		fclose(f);
		assert_int_equal(judged(nodes, FRONT("#0"), "", "file=/proc/self/exe,id=d0", &why, NULL), 0);
		expect(why.n == 1 && strstr(why.list[0].what, "more layers"), "%s",
		       why.n ? why.list[0].what : "nothing");
		expect(time(NULL) - start < 20, "%d: too long", wide);
	}
}

static void test_options(void **state)
{
	static const struct {
		const char *text, *implied, *key, *value;
	} cases[] = {
		{ "file=a,,b,id=x", NULL, "file", "a,b" },
		{ "file=a,readonly", NULL, "readonly", "on" },
		{ "file=a,noreadonly", NULL, "readonly", "off" },
		{ "file=a,id=x,file=b", NULL, "file", "b" },
		{ "qcow2,file.driver=file", "driver", "driver", "qcow2" },
		{ "{\"a\": {\"b\": [1, true, {\"c\": null}]}}", NULL, "a.b.1", "on" },
		{ "{\"a\": {\"b\": [1, true, {\"c\": null}]}}", NULL, "a.b.0", "1" },
		{ "{\"a\": {\"b\": [1, true, {\"c\": null}]}}", NULL, "a.b.2.c", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct lu_block_options o = { 0 };
		struct lu_block_view v = { &o, (char *)"" };
		const struct lu_block_option *found;

		assert_int_equal(cases[i].text[0] == '{' ? lu_block_options_add_json(&o, cases[i].text) :
							   lu_block_options_parse(&o, cases[i].text, cases[i].implied),
				 0);
		found = lu_block_view_find(&v, cases[i].key);
		expect(found &&
			       (cases[i].value ? found->value && !strcmp(found->value, cases[i].value) : !found->value),
		       "case %zu", i);
		lu_block_options_clear(&o);
	}
	assert_true(lu_block_value_same("1M", "1048576") && lu_block_value_same("on", "true") &&
		    lu_block_value_same("0x10", "16"));
	assert_false(lu_block_value_same("1.5M", "1572864") || lu_block_value_same("on", "off") ||
		     lu_block_value_same(NULL, "0") || lu_block_value_same("16E", "0"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_hostile), cmocka_unit_test(test_deep),
						   cmocka_unit_test(test_options) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
