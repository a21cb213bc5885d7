// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "inhibitors.h"
#include "util.h"

/* As /proc tells of other people's words: for one line on a terminal */
static void printable(const char *text, char out[static 128])
{
	snprintf(out, 128, "%s", text);
	for (char *p = out; *p; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
			*p = '?';
}

int lu_inhibitors_list(sd_bus *bus, uint64_t timeout_usec,
		       void (*found)(const char *who, const char *why, pid_t pid, void *userdata), void *userdata)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
	const char *what, *who, *why, *mode;
	uint32_t uid, pid;
	int r = sd_bus_message_new_method_call(bus, &m, "org.freedesktop.login1", "/org/freedesktop/login1",
					       "org.freedesktop.login1.Manager", "ListInhibitors");

	if (r >= 0)
		r = sd_bus_call(bus, m, timeout_usec, NULL, &reply);
	if (r >= 0)
		r = sd_bus_message_enter_container(reply, 'a', "(ssssuu)");
	while (r >= 0 && (r = sd_bus_message_read(reply, "(ssssuu)", &what, &who, &why, &mode, &uid, &pid)) > 0) {
		char by[128], because[128];

		/* "what" is words with colons between; delaying ones are not asked at a jump */
		if (!strstr(what, "shutdown") || strncmp(mode, "block", 5) != 0 || pid == (uint32_t)getpid())
			continue;
		printable(who, by);
		printable(why, because);
		found(by, because, (pid_t)pid, userdata);
	}
	return r < 0 ? r : 0;
}
