// SPDX-License-Identifier: GPL-2.0-or-later
/* Before the real init there is only the kernel's log; later, stderr. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lu-init.h"

void lu_log(const struct lu_init *i, const char *fmt, ...)
{
	char line[900];
	int n, fd = i->kmsg ? open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY) : -1;
	va_list ap;

	n = snprintf(line, sizeof(line), "%slu-init: ", fd >= 0 ? "<5>" : "");
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	/* a record of the kernel's log is one line */
	for (char *p = line; *p; p++)
		if (*p == '\n')
			*p = ' ';
	strcat(line, "\n");
	(void)lu_write_all(fd >= 0 ? fd : STDERR_FILENO, line, strlen(line));
	closep(&fd);
}

void lu_log_error(const struct lu_init *i, const char *prefix, const struct lu_error *e)
{
	lu_log(i, "%s%s%s%s%s", prefix, e->what ?: strerror(-e->code), e->hint ? " (" : "", e->hint ?: "",
	       e->hint ? ")" : "");
}
