// SPDX-License-Identifier: GPL-2.0-or-later
/* See reasons.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "reasons.h"

static void reason_clear(struct lu_reason *one)
{
	free(one->device);
	free(one->what);
	free(one->hint);
}

static struct lu_reason *find(const struct lu_reasons *r, const char *device, const char *what)
{
	for (size_t i = 0; i < r->n; i++)
		if (!strcmp(r->list[i].what, what) && !strcmp(r->list[i].device ?: "", device ?: ""))
			return &r->list[i];
	return NULL;
}

static int append(struct lu_reasons *r, const char *device, const char *hint, const char *what, bool kernel)
{
	struct lu_reason one = { .what = lu_text_dup(what), .kernel = kernel }, *list;

	one.device = lu_text_dup(device);
	one.hint = lu_text_dup(hint);
	list = r->n < LU_REASONS_MAX ? reallocarray(r->list, r->n + 1, sizeof(*list)) : NULL;
	if (list)
		r->list = list;
	if (!list || !one.what || (device && !one.device) || (hint && !one.hint)) {
		reason_clear(&one);
		return -ENOMEM;
	}
	r->list[r->n++] = one;
	return 0;
}

static void add(struct lu_reasons *r, const char *device, const char *hint, const char *what, bool kernel)
{
	struct lu_reason *there = what ? find(r, device, what) : NULL;

	if (there)
		there->kernel &= kernel;
	else if (!what || append(r, device, hint, what, kernel) < 0)
		r->lost = true;
}

void lu_reasons_add(struct lu_reasons *r, const char *device, const char *hint, const char *fmt, ...)
{
	_cleanup_free_ char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&what, fmt, ap) < 0)
		what = NULL;
	va_end(ap);
	add(r, device, hint, what, false);
}

void lu_reasons_add_kernel(struct lu_reasons *r, const char *device, const char *hint, const char *fmt, ...)
{
	_cleanup_free_ char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&what, fmt, ap) < 0)
		what = NULL;
	va_end(ap);
	add(r, device, hint, what, true);
}

void lu_reasons_add_error(struct lu_reasons *r, const char *device, struct lu_error *e)
{
	lu_reasons_add(r, device, e->hint, "%s", e->what ?: strerror(-e->code));
	lu_error_clear(e);
}

bool lu_reasons_any(const struct lu_reasons *r)
{
	return r->n > 0 || r->lost;
}

int lu_reasons_first(const struct lu_reasons *r, const char *prefix, struct lu_error *e)
{
	if (!lu_reasons_any(r))
		return 0;
	if (r->n == 0)
		return lu_error_set(e, -ENOMEM, NULL, "%sout of memory", prefix ?: "");
	return lu_error_set(e, -EOPNOTSUPP, r->list[0].hint, "%s%s", prefix ?: "", r->list[0].what);
}

void lu_reasons_copy(struct lu_reasons *to, const struct lu_reasons *from)
{
	for (size_t i = 0; i < from->n; i++)
		add(to, from->list[i].device, from->list[i].hint, from->list[i].what, from->list[i].kernel);
	to->lost |= from->lost;
}

void lu_reasons_move(struct lu_reasons *to, struct lu_reasons *from)
{
	lu_reasons_copy(to, from);
	lu_reasons_clear(from);
}

void lu_reasons_here(struct lu_reasons *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++) {
		if (r->list[i].kernel)
			reason_clear(&r->list[i]);
		else
			r->list[n++] = r->list[i];
	}
	r->n = n;
}

void lu_reasons_clear(struct lu_reasons *r)
{
	for (size_t i = 0; i < r->n; i++)
		reason_clear(&r->list[i]);
	free(r->list);
	*r = (struct lu_reasons){ 0 };
}
