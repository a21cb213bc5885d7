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

#include <cmocka.h>

/* Fails with a text that says which case of a table it was. */
#define fail_case(...)                      \
	do {                                \
		print_error(__VA_ARGS__);   \
		print_error("\n");          \
		fail();                     \
	} while (0)

#define expect(cond, ...)                                    \
	do {                                                 \
		if (!(cond)) {                               \
			print_error("%s: ", #cond);          \
			fail_case(__VA_ARGS__);              \
		}                                            \
	} while (0)
