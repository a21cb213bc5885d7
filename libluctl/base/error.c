// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"

int lu_error_set(struct lu_error *e, int code, const char *hint, const char *fmt, ...)
{
	va_list ap;

	if (!e || e->code)
		return code;
	e->code = code;
	va_start(ap, fmt);
	if (vasprintf(&e->what, fmt, ap) < 0)
		e->what = NULL;
	va_end(ap);
	if (e->what)
		lu_text_clean(e->what);
	e->hint = lu_text_dup(hint);
	return code;
}

void lu_error_clear(struct lu_error *e)
{
	free(e->what);
	free(e->hint);
	*e = LU_ERROR_INIT;
}

void lu_error_move(struct lu_error *to, struct lu_error *from)
{
	if (!to || to->code)
		lu_error_clear(from);
	else
		*to = *from;
	*from = LU_ERROR_INIT;
}
