/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <sys/types.h>
#include <systemd/sd-bus.h>

/** lu_inhibitors_list() - lu_host_inhibitors(), asked at @bus */
int lu_inhibitors_list(sd_bus *bus, uint64_t timeout_usec,
		       void (*found)(const char *who, const char *why, pid_t pid, void *userdata), void *userdata);
