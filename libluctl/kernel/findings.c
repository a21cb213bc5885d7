// SPDX-License-Identifier: LGPL-2.1-or-later
/* See findings.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "findings.h"

static const char *const level_names[_LU_LEVEL_N] = {
	[LU_LEVEL_OK] = "ok",
	[LU_LEVEL_WARNING] = "warning",
	[LU_LEVEL_ERROR] = "error",
};

const char *lu_level_name(enum lu_level level)
{
	return (unsigned int)level < _LU_LEVEL_N ? level_names[level] : "error";
}

static void finding_clear(struct lu_finding *one)
{
	free(one->object);
	free(one->what);
	free(one->hint);
}

static int finding_append(struct lu_findings *f, enum lu_level level, const char *object, const char *hint,
			  const char *what)
{
	struct lu_finding one = { .level = level };
	struct lu_finding *list;

	if (f->n >= LU_FINDINGS_MAX)
		return -E2BIG;
	one.object = lu_text_dup(object);
	one.what = lu_text_dup(what);
	one.hint = lu_text_dup(hint);
	if (!one.object || !one.what || (hint && !one.hint))
		goto fail;
	list = reallocarray(f->list, f->n + 1, sizeof(*list));
	if (!list)
		goto fail;
	f->list = list;
	f->list[f->n++] = one;
	return 0;
fail:
	finding_clear(&one);
	return -ENOMEM;
}

void lu_findings_add(struct lu_findings *f, enum lu_level level, const char *object, const char *hint, const char *fmt,
		     ...)
{
	_cleanup_free_ char *what = NULL;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&what, fmt, ap);
	va_end(ap);
	if (r < 0) {
		what = NULL;
		f->failed = -ENOMEM;
		return;
	}
	r = finding_append(f, level, object, hint, what);
	if (r < 0)
		f->failed = r;
}

void lu_findings_add_error(struct lu_findings *f, const char *object, const struct lu_error *e)
{
	const char *what = e->what ?: strerror(-e->code);
	size_t n = strlen(object);

	/* An error names its object by itself; a finding has a field for it. */
	if (strncmp(what, object, n) == 0 && what[n] == ':' && what[n + 1] == ' ')
		what += n + 2;
	lu_findings_add(f, LU_LEVEL_ERROR, object, e->hint, "%s", what);
}

bool lu_findings_ok(const struct lu_findings *f)
{
	return f->failed == 0 && !lu_findings_first_error(f);
}

const struct lu_finding *lu_findings_first_error(const struct lu_findings *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->list[i].level == LU_LEVEL_ERROR)
			return &f->list[i];
	return NULL;
}

void lu_findings_clear(struct lu_findings *f)
{
	for (size_t i = 0; i < f->n; i++)
		finding_clear(&f->list[i]);
	free(f->list);
	*f = LU_FINDINGS_INIT;
}
