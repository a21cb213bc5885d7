// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The C decoder and the names of the examples in schemas/examples say the same, for the
 * documents of this layer; and what is decoded is encoded again to something equal.
 * (That the examples and the schemas agree is checked with a reference validator elsewhere.)
 *
 *	test-documents EXAMPLES
 */
#include <dirent.h>

#include "test.h"

#include "vm-internal.h"

static const char *examples;

static void check_file(const struct lu_json_table *table, const char *path, bool want)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT, e2 = LU_ERROR_INIT;
	_cleanup_free_ char *text = NULL, *again = NULL;
	void *data = calloc(1, table->size), *copy = calloc(1, table->size);
	int r;

	assert_non_null(data);
	r = lu_json_load(AT_FDCWD, path, LU_STORE_JSON_MAX, table, data, &e);
	expect((r == 0) == want, "%s: %s", path, e.what ?: "accepted");
	if (r == 0) {
		assert_int_equal(lu_json_encode_text(table, data, &text, &e), 0);
		r = lu_json_decode_text(text, strlen(text), LU_STORE_JSON_MAX, path, table, copy, &e2);
		expect(r == 0, "%s: what we wrote: %s", path, e2.what);
		assert_int_equal(lu_json_encode_text(table, copy, &again, &e), 0);
		assert_string_equal(text, again);
		lu_json_free(table, data);
		lu_json_free(table, copy);
	} else {
		expect(e.what && strstr(e.what, path), "%s: the error does not name the file: %s", path, e.what ?: "");
	}
	free(data);
	free(copy);
}

static void test_examples(void **state)
{
	static const struct lu_json_table *const tables[] = { &lu_vm_def_table, &lu_launch_table, &lu_saved_table,
							      &lu_result_table, &lu_clock_table };
	int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		char dir[512], path[1024];
		struct dirent *d;
		DIR *list;

		snprintf(dir, sizeof(dir), "%s/%s", examples, tables[i]->name);
		list = opendir(dir);
		expect(list, "%s", dir);
		while ((d = readdir(list))) {
			if (d->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", dir, d->d_name);
			check_file(tables[i], path, !strncmp(d->d_name, "valid-", 6));
			n++;
		}
		closedir(list);
	}
	assert_true(n > 40);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_examples) };

	examples = argc == 2 ? argv[1] : ".";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
