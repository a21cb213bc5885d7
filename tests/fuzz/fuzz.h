/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What the fuzz targets share. A target is one reader of bytes that come from outside; libFuzzer calls it
 * with bytes of its own making. The sanitizers look for bad memory accesses, the target itself for promises
 * that are broken: an error without words, what was read and can't be written again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define promise(cond)                                                                      \
	do {                                                                               \
		if (!(cond)) {                                                             \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                           \
		}                                                                          \
	} while (0)

/* A copy of just that size, so that a byte too far is seen; free() it. */
static inline void *exact(const void *data, size_t size)
{
	void *p = malloc(size ?: 1);

	promise(p);
	return memcpy(p, data, size);
}

/* The same as a string. */
static inline char *exact_text(const void *data, size_t size)
{
	char *p = malloc(size + 1);

	promise(p);
	memcpy(p, data, size);
	p[size] = '\0';
	return p;
}
