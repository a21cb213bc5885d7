// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

void lu_log(const char *prefix, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text)
		dprintf(STDERR_FILENO, "%s%s\n", prefix, text);
}

int log_failure(int r, const struct lu_error *e, const char *context)
{
	log_error("%s: %s%s%s%s", context, e->what ?: strerror(-r), e->hint && *e->hint ? " (hint: " : "",
		  e->hint && *e->hint ? e->hint : "", e->hint && *e->hint ? ")" : "");
	return r;
}
