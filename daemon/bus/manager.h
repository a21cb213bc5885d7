/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* org.luctl1.Manager, the object that callers talk to, and the jobs that it hands out. */
#include <systemd/sd-bus.h>

#include "update.h"

struct lu_manager;

/** lu_manager_news - what the update tells, with a struct lu_manager as context, becomes signals and properties */
extern const struct lu_update_news lu_manager_news;

/** lu_manager_new() - @env: must outlive it; @bus: attached to the event loop */
int lu_manager_new(struct lu_update_env *env, sd_bus *bus, struct lu_manager **ret);

/** lu_manager_export() - put it on the bus; @update: what it works with from now on */
int lu_manager_export(struct lu_manager *mgr, struct lu_update *update);

/** lu_manager_free() - forget jobs and the calls that wait for VMs to answer; their callers see the daemon leave the bus */
struct lu_manager *lu_manager_free(struct lu_manager *mgr);
