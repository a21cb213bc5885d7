/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Names on the bus, and how an error goes out. */
#include <systemd/sd-bus.h>

#include "error.h"

#define LU_BUS_NAME "org.luctl1"
#define LU_BUS_PATH "/org/luctl1"
#define LU_BUS_MANAGER "org.luctl1.Manager"
#define LU_BUS_JOB "org.luctl1.Job"
#define LU_BUS_VM "org.luctl1.VM"
#define LU_BUS_API 1 /* grows with each release that adds something to org.luctl1; nothing is taken away in it */

/** lu_reply_error() - answer @m with @e as "what\nhint"; for the return of a method handler */
int lu_reply_error(sd_bus_message *m, const char *name, int r, const struct lu_error *e);
