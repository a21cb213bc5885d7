/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Work that blocks (sync, freezing file systems, programs such as kexec) runs
 * in a child process, so that the event loop keeps answering and the watchdog
 * keeps being fed.
 */
#include <systemd/sd-event.h>

#include "error.h"

struct lu_worker;

/** lu_worker_done_t - called once when the worker has ended; @r is 0 or a negative errno, @error says why */
typedef void (*lu_worker_done_t)(void *userdata, int r, struct lu_error *error);

/** lu_worker_fn_t - runs in the child; returns 0 or a negative errno with @error filled */
typedef int (*lu_worker_fn_t)(void *arg, struct lu_error *error);

/**
 * lu_worker_call() - run @fn(@arg) in a child process
 * @timeout_usec: the child is killed after that, and @done called even if it does not die; 0 = none
 *
 * @arg is read in the child only (a copy by fork), so it needs to live until this returns.
 * Return: 0 or a negative errno; on failure @done is not called.
 */
int lu_worker_call(sd_event *event, lu_worker_fn_t fn, void *arg, uint64_t timeout_usec, lu_worker_done_t done,
		   void *userdata, struct lu_worker **ret);

/**
 * lu_worker_exec() - run a program; its standard error becomes the error's text if it fails
 * @argv: argv[0] is an absolute path
 */
int lu_worker_exec(sd_event *event, const char *const *argv, uint64_t timeout_usec, lu_worker_done_t done,
		   void *userdata, struct lu_worker **ret);

/** lu_worker_free() - kill the child if it still runs; its callback is not called any more. The event loop reaps it, whenever it dies */
struct lu_worker *lu_worker_free(struct lu_worker *w);
DEFINE_CLEANUP(struct lu_worker *, lu_worker_free)
