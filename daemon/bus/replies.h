/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The JSON documents that the bus hands out, see schemas/. Each is text to free(); or a negative errno, with @e if there is more to say. */
#include "check.h"
#include "update.h"

/** lu_reply_vm_state() - "running", …, "saved", as documents have it */
const char *lu_reply_vm_state(struct lu_vm *vm);
/** lu_reply_vm_updatable() - the last verdict, as long as the VM is there */
bool lu_reply_vm_updatable(struct lu_vm *vm);

int lu_document_status(const struct lu_update_env *env, struct lu_update *u, char **ret, struct lu_error *e);
int lu_document_vm(struct lu_update *u, struct lu_vm *vm, char **ret, struct lu_error *e);
int lu_document_vms(const struct lu_update_env *env, struct lu_update *u, char **ret, struct lu_error *e);
int lu_document_plan(const struct lu_check *c, char **ret, struct lu_error *e);
int lu_document_check(const struct lu_check *c, const char *kernel, char **ret, struct lu_error *e);
