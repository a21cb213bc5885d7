/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * One clock over both kernels: the TSC. kexec does not reset it, every other
 * clock starts anew or may be stepped. A stamp holds the TSC next to the clocks
 * of its kernel, so that a rate can be computed from two stamps of one kernel.
 */
#include <stdint.h>
#include <time.h>
#include <x86intrin.h>

struct lu_stamp {
	uint64_t tsc;
	uint64_t boottime_ns; /* CLOCK_BOOTTIME of the kernel that took it */
	uint64_t realtime_ns;
};

static inline uint64_t lu_clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline struct lu_stamp lu_stamp_now(void)
{
	return (struct lu_stamp){
		.tsc = __rdtsc(),
		.boottime_ns = lu_clock_ns(CLOCK_BOOTTIME),
		.realtime_ns = lu_clock_ns(CLOCK_REALTIME),
	};
}
