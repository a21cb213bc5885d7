/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* org.luctl1.VM: an object for each VM of the registry. */
#include <systemd/sd-bus.h>

#include "update.h"

struct lu_vm_objects;

/** lu_vm_objects_new() - @env, @update: must outlive it. None is there before the first lu_vm_objects_refresh() has come to effect */
int lu_vm_objects_new(struct lu_update_env *env, struct lu_update *update, sd_bus *bus, struct lu_vm_objects **ret);

/**
 * lu_vm_objects_refresh() - something may have changed: soon the objects are compared with the registry
 *
 * Many such calls make one comparison, at most twenty a second: what was so for less than that is not told. NULL is fine.
 */
void lu_vm_objects_refresh(struct lu_vm_objects *o);

/** lu_vm_objects_flush() - if something may have changed, compare now: what is told next is told after it. NULL is fine */
void lu_vm_objects_flush(struct lu_vm_objects *o);

struct lu_vm_objects *lu_vm_objects_free(struct lu_vm_objects *o);
