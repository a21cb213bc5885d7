/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Descriptors that a QEMU did not open itself: whoever started it (libvirt) opened them and named their numbers on
 * its command line. The next QEMU gets the same words, so it has to find the same under the same numbers.
 *
 * They are made by the child that becomes QEMU, before it gives up being root. So a socket says of who listens at it
 * (SO_PEERCRED) what is true, and a lock on a pid file belongs to who is meant.
 *
 * Files of passed-through devices are set up before (daemon/devices): what is known here of one is its name in QEMU's
 * CPR state, by which it gets its number.
 */
#include "launch.h"

/**
 * lu_inherited_capture() - into @l what stands behind each number that @l->argv names, and its locked pid file
 *
 * A number behind which is something that can't be made again is a reason.
 *
 * Return: 0, also if @why has got something; -ESRCH; -ENOMEM.
 */
int lu_inherited_capture(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l, struct lu_reasons *why);

/** lu_inherited_check() - what a schema can't say about them: numbers differ, each kind has what it needs */
int lu_inherited_check(const struct lu_launch *l, struct lu_error *e);

/** lu_inherited_at() - the one that has this number, or NULL */
const struct lu_launch_inherited *lu_inherited_at(const struct lu_launch *l, int fd);

/** lu_inherited_top() - the highest number of them, or -1 */
int lu_inherited_top(const struct lu_launch *l);

/**
 * lu_inherited_make() - open one that is not of the CPR state; to be called by the process that becomes QEMU, as root
 * @step: says which in an error, 24 bytes
 *
 * Return: a descriptor of any number, or -1 with errno.
 */
int lu_inherited_make(const struct lu_launch_inherited *in, char step[static 24]);

/** lu_inherited_settle() - once it has its number, @fd, and no other; -1 with errno */
int lu_inherited_settle(const struct lu_launch_inherited *in, int fd);
