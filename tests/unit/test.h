/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* cmocka and what it wants to be included before it, plus a few checks that name the case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Fails with a text that says which case of a table it was. */
#define fail_case(...)                    \
	do {                              \
		print_error(__VA_ARGS__); \
		print_error("\n");        \
		fail();                   \
	} while (0)

#define expect(cond, ...)                           \
	do {                                        \
		if (!(cond)) {                      \
			print_error("%s: ", #cond); \
			fail_case(__VA_ARGS__);     \
		}                                   \
	} while (0)

/* A directory of the test's own, in memory if the machine has /dev/shm: thousands of syncs are made in it. */
static inline char *test_mkdtemp(char path[64])
{
	snprintf(path, 64, "%s/luctl-test-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	return mkdtemp(path);
}
