/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What was set for a process from outside, beside its scheduling: I/O priority (ionice(1), IOSchedulingClass= of its
 * unit), what of it is dumped (core(5), CoredumpFilter=), timer slack (TimerSlackNSec=, timerslack_ns in proc(5)), cores of its own
 * (cores.h).
 * A capture reads it, the next start sets it, and whoever starts it compares afterwards: a guest that has less of this
 * is better than none, but the host's administrator is told.
 */
#include "doc-launch.h"
#include "reasons.h"

/**
 * lu_task_read() - what a process has now, its main thread's I/O priority, but for cores; what can't be read is as in
 * LU_TASK_ORDINARY
 *
 * Only who has CAP_SYS_NICE may read the timer slack of another process.
 *
 * Return: 0; -ESRCH: there is no such process; or another negative errno.
 */
int lu_task_read(int proc_fd, pid_t pid, struct lu_launch_task *ret);

/** lu_task_differs() - is any of it not as in LU_TASK_ORDINARY? */
bool lu_task_differs(const struct lu_launch_task *t);

/** lu_task_read_io() - I/O priority of one thread; 0 or negative errno */
int lu_task_read_io(pid_t tid, int *ret_class, uint64_t *ret_priority);

/** lu_task_set() - give it to the caller, who then executes the process; what can't be set stays as it is */
void lu_task_set(const struct lu_launch_task *t);

/** lu_task_set_slack() - give its timer slack to process @pid, if it has one of its own; 0 or negative errno */
int lu_task_set_slack(const struct lu_launch_task *t, pid_t pid);

/** lu_task_compare() - what of @t process @pid does not have, to @ret; nothing if it is gone */
void lu_task_compare(const struct lu_launch_task *t, int proc_fd, pid_t pid, struct lu_reasons *ret);
