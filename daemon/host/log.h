/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The daemon's log: one line on stderr with the level that systemd reads from its prefix. Only programs log. */
#include <systemd/sd-daemon.h>

#include "error.h"

void lu_log(const char *prefix, const char *fmt, ...) _printf_(2, 3);

#define log_error(...) lu_log(SD_ERR, __VA_ARGS__)
#define log_warning(...) lu_log(SD_WARNING, __VA_ARGS__)
#define log_info(...) lu_log(SD_INFO, __VA_ARGS__)

/** log_failure() - log what went wrong and what to try; returns @r for use in a return statement */
int log_failure(int r, const struct lu_error *e, const char *context);
