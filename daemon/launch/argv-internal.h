/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Shared by argv*.c. */
#include "argv.h"

/** lu_argv_kind_is() - is the first item of "tap,id=…", or member @key of the JSON form, @kind? */
bool lu_argv_kind_is(const char *value, const char *key, const char *kind);

/** lu_argv_is_on() - a switch of QemuOpts, "server" or "server=on"; @otherwise: it is not there */
bool lu_argv_is_on(const char *value, const char *key, bool otherwise);

/** lu_argv_refuse() - adds "-OPTION VALUE: @why" */
void lu_argv_refuse(struct lu_reasons *r, const char *device, const struct lu_arg *arg, const char *why,
		    const char *hint);

/**
 * lu_argv_check_peer() - refuses an option that needs another process of this host when QEMU starts
 * @tpm: the character device of its TPM, whose process is started again; NULL: it has none
 */
void lu_argv_check_peer(const struct lu_arg *arg, const char *tpm, struct lu_reasons *why);

/** lu_argv_late_disk() - why a disk can't be had before the host's network is up; NULL if it can */
const char *lu_argv_late_disk(const struct lu_arg *arg);
