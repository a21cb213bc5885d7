// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Services can give systemd descriptors to keep (FDSTORE=1). By default these are there for the next start of the unit,
 * and given up when it is stopped. With FileDescriptorStorePreserve=yes, or on-success, they outlive the unit. A systemd
 * of version 261 or newer takes those over a kexec, too, by a session of /dev/liveupdate; but that is done by the
 * shutdown that systemd makes, and a jump goes past it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fd-stores.h"
#include "util.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define SERVICE SYSTEMD ".Service"
#define OURS "luctld.service" /* only while an update holds something */

static void look_at(sd_bus *bus, const char *unit, const char *path,
		    void (*found)(const struct lu_fd_store *store, void *userdata), void *userdata)
{
	_cleanup_free_ char *preserve = NULL;
	struct lu_fd_store store = { .unit = unit };
	int r = sd_bus_get_property_trivial(bus, SYSTEMD, path, SERVICE, "NFileDescriptorStore", NULL, 'u', &store.n);

	/* gone meanwhile */
	if (r < 0 || !store.n)
		return;
	/* before version 254 there is no such property, and nothing outlives its unit */
	if (sd_bus_get_property_string(bus, SYSTEMD, path, SERVICE, "FileDescriptorStorePreserve", NULL, &preserve) >=
	    0)
		store.outlives = strcmp(preserve, "restart") != 0 && strcmp(preserve, "no") != 0;
	found(&store, userdata);
}

int lu_fd_stores_list(sd_bus *bus, uint64_t timeout_usec, unsigned int *ret_version,
		      void (*found)(const struct lu_fd_store *store, void *userdata), void *userdata)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
	const char *unit, *path;
	_cleanup_free_ char *version = NULL;
	int r = sd_bus_get_property_string(bus, SYSTEMD, "/org/freedesktop/systemd1", SYSTEMD ".Manager", "Version",
					   NULL, &version);

	if (r >= 0)
		r = sd_bus_message_new_method_call(bus, &m, SYSTEMD, "/org/freedesktop/systemd1", SYSTEMD ".Manager",
						   "ListUnitsByPatterns");
	if (r >= 0)
		r = sd_bus_message_append(m, "asas", 0, 1, "*.service");
	if (r >= 0)
		r = sd_bus_call(bus, m, timeout_usec, NULL, &reply);
	if (r >= 0)
		r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
	while (r >= 0 && (r = sd_bus_message_read(reply, "(ssssssouso)", &unit, NULL, NULL, NULL, NULL, NULL, &path,
						  NULL, NULL, NULL)) > 0)
		if (strcmp(unit, OURS) != 0)
			look_at(bus, unit, path, found, userdata);
	*ret_version = version ? (unsigned int)strtoul(version, NULL, 10) : 0;
	return r < 0 ? r : 0;
}
