/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The kernel's resource limits: number, our name, and how /proc/PID/limits calls them. */
#include <string.h>
#include <sys/resource.h>

#include "util.h"

static const struct {
	int number;
	const char *name, *proc;
} lu_limit_names[] = {
	{ RLIMIT_CPU, "cpu", "Max cpu time" },
	{ RLIMIT_FSIZE, "fsize", "Max file size" },
	{ RLIMIT_DATA, "data", "Max data size" },
	{ RLIMIT_STACK, "stack", "Max stack size" },
	{ RLIMIT_CORE, "core", "Max core file size" },
	{ RLIMIT_RSS, "rss", "Max resident set" },
	{ RLIMIT_NPROC, "nproc", "Max processes" },
	{ RLIMIT_NOFILE, "nofile", "Max open files" },
	{ RLIMIT_MEMLOCK, "memlock", "Max locked memory" },
	{ RLIMIT_AS, "as", "Max address space" },
	{ RLIMIT_LOCKS, "locks", "Max file locks" },
	{ RLIMIT_SIGPENDING, "sigpending", "Max pending signals" },
	{ RLIMIT_MSGQUEUE, "msgqueue", "Max msgqueue size" },
	{ RLIMIT_NICE, "nice", "Max nice priority" },
	{ RLIMIT_RTPRIO, "rtprio", "Max realtime priority" },
	{ RLIMIT_RTTIME, "rttime", "Max realtime timeout" },
};

static inline int lu_limit_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(lu_limit_names); i++)
		if (!strcmp(lu_limit_names[i].name, name))
			return lu_limit_names[i].number;
	return -EINVAL;
}
