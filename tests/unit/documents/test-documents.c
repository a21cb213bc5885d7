// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Each table of libluctl/documents: the decoder and the names of the examples in schemas/examples say the same; what is
 * decoded is encoded again to something equal; a newer minor is read, an unknown key within the minor that is known is
 * not, nor is a newer version, which says what to do; and no text for people keeps a document from being written.
 * (That the examples and the schemas agree is checked with a reference validator elsewhere.)
 *
 *	test-documents EXAMPLES
 */
#include <dirent.h>
#include <json-c/json.h>

#include "test.h"

#include "doc-devices.h"
#include "documents.h"

static const char *examples;

static bool starts(const char *name, const char *with)
{
	return !strncmp(name, with, strlen(with));
}

/* Calls @fn for each example of @table whose name starts with @with; how many there were. */
static int each_example(const struct lu_json_table *table, const char *with,
			void (*fn)(const struct lu_json_table *table, const char *path))
{
	char dir[512], path[1024];
	struct dirent *d;
	DIR *list;
	int n = 0;

	snprintf(dir, sizeof(dir), "%s/%s", examples, table->name);
	list = opendir(dir);
	expect(list, "%s", dir);
	while ((d = readdir(list))) {
		if (d->d_name[0] == '.' || !starts(d->d_name, with))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, d->d_name);
		fn(table, path);
		n++;
	}
	closedir(list);
	return n;
}

static void accepted(const struct lu_json_table *table, const char *path)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *text = NULL, *again = NULL;
	_cleanup_free_ void *data = calloc(1, table->size), *copy = calloc(1, table->size);
	char version[32];
	int r;

	r = lu_json_load(AT_FDCWD, path, LU_DOCUMENT_MAX, table, data, &e);
	expect(r == 0, "%s: %s", path, e.what ?: "");
	r = lu_json_encode_text(table, data, &text, &e);
	expect(r == 0, "%s: %s", path, e.what);
	snprintf(version, sizeof(version), "\"version\": %u", table->version);
	assert_non_null(strstr(text, version));
	assert_null(strstr(text, "from_a_newer_minor"));
	r = lu_json_decode_text(text, strlen(text), LU_DOCUMENT_MAX, path, table, copy, &e);
	expect(r == 0, "%s: what we wrote: %s", path, e.what);
	assert_int_equal(lu_json_encode_text(table, copy, &again, &e), 0);
	assert_string_equal(text, again);
	lu_json_free(table, data);
	lu_json_free(table, copy);
}

/* Of a version that is read and no longer written. */
static void older(const struct lu_json_table *table, const char *path)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ void *data = calloc(1, table->size);

	expect(lu_json_load(AT_FDCWD, path, LU_DOCUMENT_MAX, table, data, &e) == 0, "%s: %s", path, e.what ?: "");
	lu_json_free(table, data);
}

static void refused(const struct lu_json_table *table, const char *path)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ void *data = calloc(1, table->size);

	if (lu_json_load(AT_FDCWD, path, LU_DOCUMENT_MAX, table, data, &e) == 0) {
		/* what must hold between its values is not the table's: tests/unit/devices */
		expect(table == &lu_devices_table, "%s: accepted", path);
		lu_json_free(table, data);
		return;
	}
	expect(e.what && strstr(e.what, path), "%s: the error does not name the file: %s", path, e.what ?: "");
}

static void test_examples(void **state)
{
	int n = 0;

	for (size_t i = 0; lu_documents[i]; i++) {
		int valid = each_example(lu_documents[i], "valid-", accepted);
		int invalid = each_example(lu_documents[i], "invalid-", refused);
		int newer = each_example(lu_documents[i], "newer-", accepted);
		int old = each_example(lu_documents[i], "older-", older);

		expect(valid > 0 && invalid > 2 && newer > 0, "%s: %d, %d, %d", lu_documents[i]->name, valid, invalid,
		       newer);
		expect((old > 0) == (lu_documents[i]->oldest > 0), "%s: %d", lu_documents[i]->name, old);
		n += valid + invalid + newer;
	}
	assert_true(n > 200);
}

/* --- other versions --- */

static int decode(const struct lu_json_table *table, struct json_object *root, struct lu_error *e)
{
	_cleanup_free_ void *data = calloc(1, table->size);
	_cleanup_free_ char *text = NULL;
	int r;

	assert_int_equal(lu_json_text(root, &text), 0);
	r = lu_json_decode_text(text, strlen(text), LU_DOCUMENT_MAX, "file", table, data, e);
	if (r == 0)
		lu_json_free(table, data);
	return r;
}

/* A key that nobody knows into the object number *@left, counted from the outermost; *@left is negative once it was done. */
static void put_unknown(struct json_object *o, int *left)
{
	if (json_object_is_type(o, json_type_array))
		for (size_t i = 0; i < json_object_array_length(o); i++)
			put_unknown(json_object_array_get_idx(o, i), left);
	if (!json_object_is_type(o, json_type_object))
		return;
	if ((*left)-- == 0)
		json_object_object_add(o, "from_a_newer_minor", json_object_new_string("x"));
	if (*left < 0)
		return;
	{
		json_object_object_foreach (o, key, v) {
			(void)key;
			put_unknown(v, left);
		}
	}
}

static void other_versions(const struct lu_json_table *table, const char *path)
{
	for (int at = 0, left = -1; left < 0; at++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		_cleanup_json_ struct json_object *root = json_object_from_file(path);

		left = at;
		put_unknown(root, &left);
		if (left >= 0)
			break; /* there are not that many objects */
		expect(decode(table, root, &e) == -EBADMSG && strstr(e.what, "unknown key"), "%s, object %d", path, at);
		lu_error_clear(&e);
		json_object_object_add(root, "minor", json_object_new_int64(table->minor));
		assert_int_equal(decode(table, root, &e), -EBADMSG);
		lu_error_clear(&e);
		json_object_object_add(root, "minor", json_object_new_int64(table->minor + 1));
		expect(decode(table, root, &e) == 0, "%s, object %d: %s", path, at, e.what);
		json_object_object_add(root, "version", json_object_new_int64(table->version + 1));
		assert_int_equal(decode(table, root, &e), -EPROTONOSUPPORT);
		assert_non_null(strstr(e.hint, "as new as"));
	}
}

static void test_versions(void **state)
{
	for (size_t i = 0; lu_documents[i]; i++)
		assert_true(each_example(lu_documents[i], "valid-", other_versions) > 0);
}

/* --- texts --- */

/* Replaces every text for people below @data; how many there were. */
static int replace_texts(const struct lu_json_table *table, char *data, const char *with)
{
	int n = 0;

	for (size_t i = 0; i < table->n_fields; i++) {
		const struct lu_json_field *f = &table->fields[i];
		char **at = (char **)(data + f->offset);

		if (f->flags & LU_JSON_TEXT && *at) {
			free(*at);
			*at = strdup(with);
			n++;
		} else if (f->type == LU_JSON_OBJECT) {
			n += replace_texts(f->table, data + f->offset, with);
		} else if (f->type == LU_JSON_OBJECT_PTR && *at) {
			n += replace_texts(f->table, *at, with);
		} else if (f->type == LU_JSON_OBJECTS) {
			for (size_t k = 0; k < *(size_t *)(data + f->count_offset); k++)
				n += replace_texts(f->table, *at + k * f->table->size, with);
		}
	}
	return n;
}

static int replaced;

static void hostile_texts(const struct lu_json_table *table, const char *path)
{
	static char huge[3 * LU_DOC_TEXT_MAX + 1], wrong[2 * LU_DOC_TEXT_MAX + 1], quotes[2 * LU_DOC_TEXT_MAX + 1];
	const char *const texts[] = { "", "\xff\xfe", "a\nb\x1b[31m", huge, wrong, quotes };

	memset(huge, 'x', sizeof(huge) - 1);
	memset(wrong, '\xc3', sizeof(wrong) - 1);
	memset(quotes, '"', sizeof(quotes) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		_cleanup_free_ void *data = calloc(1, table->size), *copy = calloc(1, table->size);
		_cleanup_free_ char *text = NULL;
		int r;

		assert_int_equal(lu_json_load(AT_FDCWD, path, LU_DOCUMENT_MAX, table, data, &e), 0);
		replaced += replace_texts(table, data, texts[i]);
		r = lu_json_encode_text(table, data, &text, &e);
		expect(r == 0, "%s, text %zu: %s", path, i, e.what);
		r = lu_json_decode_text(text, strlen(text), LU_DOCUMENT_MAX, path, table, copy, &e);
		expect(r == 0, "%s, text %zu: %s", path, i, e.what);
		lu_json_free(table, data);
		lu_json_free(table, copy);
	}
}

static void test_texts(void **state)
{
	for (size_t i = 0; lu_documents[i]; i++)
		each_example(lu_documents[i], "valid-", hostile_texts);
	assert_true(replaced > 100);
}

static void test_index(void **state)
{
	static const char *const names[] = { "a", "b", NULL };

	assert_int_equal(lu_doc_index(names, "b"), 1);
	assert_int_equal(lu_doc_index(names, "c"), -1);
	assert_int_equal(lu_doc_index(names, NULL), -1);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_index),
	};

	examples = argc == 2 ? argv[1] : ".";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
