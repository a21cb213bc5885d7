/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The daemon's log. Where its stderr is the journal, a line goes there with fields: the update under way
 * (LUCTL_UPDATE_ID=), the VM that it is about (LUCTL_VM=), and for lines that somebody may wait for a MESSAGE_ID=, of
 * which systemd/luctl.catalog tells more. Else it is one line on stderr with the level that systemd reads from its prefix. Only
 * programs log.
 */
#include <systemd/sd-daemon.h>

#include "error.h"

/* Each is in systemd/luctl.catalog, once; a number is never given to another message. */
#define LU_MESSAGE_STATE "89b55e997d6e4265933039b3518a3a06"
#define LU_MESSAGE_SUCCESS "a9151bf4037e4458991d498250a0075f"
#define LU_MESSAGE_ABORTED "b2836e15906447aca4eeaa4664052547"
#define LU_MESSAGE_DEGRADED "e89eb4eef530495f9b7648b132b2fb99"
#define LU_MESSAGE_VM_THROUGH "9839d00024fd4f06ab890953dc535857"
#define LU_MESSAGE_VM_MISSING "fa2863ee5d684a45b400fb5caca5ea58"
#define LU_MESSAGE_VM_FORGOTTEN "e80f308b76a34f92b6f700fccb5b6363"

/* What a line is about; each may be NULL */
struct lu_log_about {
	const char *vm;
	const char *message_id;
};

void lu_log(const char *prefix, const struct lu_log_about *about, const char *fmt, ...) _printf_(3, 4);
/** log_set_update() - which update the lines that follow belong to; NULL: none */
void log_set_update(const char *id);

#define log_error(...) lu_log(SD_ERR, NULL, __VA_ARGS__)
#define log_warning(...) lu_log(SD_WARNING, NULL, __VA_ARGS__)
#define log_info(...) lu_log(SD_INFO, NULL, __VA_ARGS__)
/* "VM NAME: …" */
#define log_warning_vm(name, fmt, ...) \
	lu_log(SD_WARNING, &(struct lu_log_about){ .vm = (name) }, "VM %s: " fmt, (name), ##__VA_ARGS__)
#define log_info_vm(name, id, fmt, ...) \
	lu_log(SD_INFO, &(struct lu_log_about){ (name), (id) }, "VM %s: " fmt, (name), ##__VA_ARGS__)

/** log_failure() - log what went wrong and what to try; returns @r for use in a return statement */
int log_failure(int r, const struct lu_error *e, const char *context);
