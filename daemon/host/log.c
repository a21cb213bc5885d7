// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"

void lu_log(const char *prefix, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL, *line = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	/* a log daemon that waits for a disk is not waited for: then a line is lost */
	if (text && (n = asprintf(&line, "%s%s\n", prefix, text)) >= 0 &&
	    send(STDERR_FILENO, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == ENOTSOCK)
		(void)!write(STDERR_FILENO, line, (size_t)n);
}

int log_failure(int r, const struct lu_error *e, const char *context)
{
	log_error("%s: %s%s%s%s", context, e->what ?: strerror(-r), e->hint && *e->hint ? " (hint: " : "",
		  e->hint && *e->hint ? e->hint : "", e->hint && *e->hint ? ")" : "");
	return r;
}
