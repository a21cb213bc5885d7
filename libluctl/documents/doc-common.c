// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "documents-internal.h"

struct lu_doc_error *lu_doc_error_new(const char *what, const char *hint)
{
	struct lu_doc_error *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->what = strdup(what);
	x->hint = hint && *hint ? strdup(hint) : NULL;
	if (x->what && (x->hint || !hint || !*hint))
		return x;
	free(x->what);
	free(x->hint);
	free(x);
	return NULL;
}

bool lu_unit_valid(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n < 256 && s[0] != '.' && s[0] != '-' &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.@\\") == n;
}

int lu_doc_index(const char *const *names, const char *word)
{
	for (int i = 0; word && names[i]; i++)
		if (!strcmp(names[i], word))
			return i;
	return -1;
}

struct lu_doc_error *lu_doc_error_of(const struct lu_error *e)
{
	return e && e->code ? lu_doc_error_new(e->what ?: strerror(-e->code), e->hint) : NULL;
}

static const struct lu_json_field error_fields[] = {
	TEXT("what", struct lu_doc_error, what, R),
	TEXT("hint", struct lu_doc_error, hint, N),
};
const struct lu_json_table lu_doc_error_table = LU_JSON_TABLE("error", struct lu_doc_error, error_fields);

static const struct lu_json_field left_fields[] = {
	NAME(struct luctl_left),
	UUID("uuid", struct luctl_left, uuid, N),
	TEXT("what", struct luctl_left, what, R),
	TEXT("hint", struct luctl_left, hint, N),
};
const struct lu_json_table lu_doc_left_table = LU_JSON_TABLE("left behind", struct luctl_left, left_fields);
