/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * For a child process (worker.h) that takes apart what others wrote, such as a compressed kernel: it gets memory,
 * time, the files that it has open, and nothing else.
 */
#include "error.h"

#define LU_SANDBOX_MEMORY \
	(1280ull << 20) /* address space: an image file and the kernel in it at their maxima, and room to unpack */
#define LU_SANDBOX_CPU_SEC 60u

/**
 * lu_sandbox_enter() - for good, for the calling process, which must be one that was forked for it
 *
 * Without capabilities; with limits of memory and CPU time; no more system calls than reading and memory take:
 * no file can be opened, nothing sent, no process made or looked at. All others fail with EPERM.
 *
 * Return: 0, or a negative errno: then nothing foreign must be touched.
 */
int lu_sandbox_enter(struct lu_error *e);
