/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <systemd/sd-bus.h>

#include "util.h"

/*
 * May the sender of a call do this? Reading what luctld knows is open to all; changing something asks polkit, and so does
 * having it look at files and at all VMs (Check, Plan). Root may always.
 */

/** lu_auth_is_root() - is the sender of @m root? */
bool lu_auth_is_root(sd_bus_message *m);

/** lu_auth_pid() - the process that sent @m, 0 if that is not known; by the bus's word, and gone perhaps */
pid_t lu_auth_pid(sd_bus_message *m);

typedef int (*lu_auth_then_t)(sd_bus_message *m, void *userdata, sd_bus_error *error);

/**
 * lu_auth_then() - call @then(@m) if the sender of @m may do @action, else answer AccessDenied
 * @action: polkit action, "org.luctl1.update"
 *
 * For use in a method handler: `return lu_auth_then(m, "…", then, userdata, error);`. Asks polkit asynchronously,
 * so @then may be called later; @m is kept meanwhile. A negative return of @then is answered with @error.
 */
int lu_auth_then(sd_bus_message *m, const char *action, lu_auth_then_t then, void *userdata, sd_bus_error *error);

/** lu_auth_end() - forget the questions that polkit has not answered; before the bus is closed */
void lu_auth_end(void);
