/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* What checks and updates work with. main.c owns all of it; everything runs in one thread on one event loop. */
#include <systemd/sd-event.h>

#include "config.h"
#include "hold.h"
#include "host.h"
#include "vm.h"

struct lu_update_env {
	sd_event *event;
	struct lu_config config;
	struct lu_host *host;
	struct lu_vms *vms;
	struct lu_libvirt *libvirt;
};
