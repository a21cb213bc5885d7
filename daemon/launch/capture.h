/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Between capture.c and capture_files.c. */
#include "launch.h"

/** lu_proc_link() - target of /proc/@pid/@what */
int lu_proc_link(int proc_fd, pid_t pid, const char *what, char **ret);

/** lu_capture_files() - needs, modules and the verdict on open files */
int lu_capture_files(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l, struct lu_reasons *why);
