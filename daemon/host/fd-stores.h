/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stdbool.h>
#include <systemd/sd-bus.h>

/** struct lu_fd_store - a unit that has given systemd descriptors to keep for it */
struct lu_fd_store {
	const char *unit;
	uint32_t n;
	bool outlives; /* FileDescriptorStorePreserve=: also when the unit is stopped; else only while it is restarted */
};

/** lu_fd_stores_list() - lu_host_fd_stores(), asked at @bus */
int lu_fd_stores_list(sd_bus *bus, uint64_t timeout_usec, unsigned int *ret_version,
		      void (*found)(const struct lu_fd_store *store, void *userdata), void *userdata);
