/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The JSON documents that the bus hands out, see schemas/. Each function returns text to free(), NULL when memory ran out. */
#include "check.h"
#include "update.h"

char *lu_document_status(const struct lu_update_env *env, struct lu_update *u);
char *lu_document_vm(struct lu_update *u, struct lu_vm *vm);
char *lu_document_vms(const struct lu_update_env *env, struct lu_update *u);
/** lu_document_plan() - schema plan */
char *lu_document_plan(const struct lu_check *c);
char *lu_document_check(const struct lu_check *c, const char *kernel);
