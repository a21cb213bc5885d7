// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "bus.h"

int lu_reply_error(sd_bus_message *m, const char *name, int r, const struct lu_error *e)
{
	const char *what = e && e->what ? e->what : strerror(-r);
	const char *hint = e && e->hint ? e->hint : "";

	if (name)
		return sd_bus_reply_method_errorf(m, name, "%s%s%s", what, *hint ? "\n" : "", hint);
	return sd_bus_reply_method_errnof(m, -r, "%s%s%s", what, *hint ? "\n" : "", hint);
}
