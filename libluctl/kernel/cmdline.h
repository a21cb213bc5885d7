/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The command line of the next kernel: a given one, or the running kernel's,
 * plus what luctl needs (lu-init as init, KHO on). Words are split and quoted as
 * the kernel's next_arg() does.
 */
#include "error.h"

#define LU_INIT_PATH "/usr/lib/luctl/lu-init"
#define LU_CMDLINE_READ_MAX 65536u /* /proc/cmdline may hold a bootconfig too */

/**
 * lu_cmdline_target() - build the target's command line
 * @base: the given command line, or the text of /proc/cmdline
 * @pkeep: the target's compat string of pkeep ("pkeep-v1"), "" if it has none
 * @tsc_khz: rate of the TSC that the target is to begin with (lu_tsc_khz()), 0: it measures, or @base says it
 * @max: longest line the target takes, without NUL (struct lu_image, cmdline_max)
 * @ret: free() it
 *
 * Dropped from @base: BOOT_IMAGE=, kexec_jump_back_entry=, luctl.*=, pkeep=, and every init= (the
 * last one that is not lu-init becomes luctl.init=, or else the luctl.init= that was
 * there). Added: kho=on if no kho= is there, pkeep= with the
 * version of @pkeep: the promise without which the kernel refuses to jump with devices that go on, init=LU_INIT_PATH, and luctl.init= if there
 * was an init. All of it stands before a "--". Doing it again to the result changes nothing.
 *
 * With @tsc_khz, tsc_early_khz= is replaced.
 *
 * Return: 0; -EINVAL (quotes that do not close, control characters, KHO not turned on,
 * an init= with white space);
 * -E2BIG (longer than the kernel takes); -ENOMEM.
 */
int lu_cmdline_target(const char *base, const char *pkeep, uint32_t tsc_khz, size_t max, char **ret,
		      struct lu_error *e);

/**
 * lu_tsc_khz() - the rate at which guests that are started now believe their TSC to run; 0: the target is told it by the processor or a hypervisor
 *
 * A kernel that is not has to measure it, and does so twice. The first result, with which guests that are resumed early
 * have to do, is off by some 100 ppm, on a busy machine by more.
 */
uint32_t lu_tsc_khz(void);

/** lu_cmdline_running() - text of /proc/cmdline below @rootfd (or AT_FDCWD), without the newline; free() it
 */
int lu_cmdline_running(int rootfd, char **ret, struct lu_error *e);

/**
 * lu_cmdline_each() - all values of a parameter before "--", in order
 * @found: called with each value without quotes, not NUL-terminated, "" for a flag
 *
 * For parameters that add up; of others the last one counts (lu_cmdline_get()).
 */
void lu_cmdline_each(const char *line, const char *param, void (*found)(const char *value, size_t size, void *userdata),
		     void *userdata);

/**
 * lu_cmdline_get() - value of a parameter, the last one before "--", as the kernel reads it
 * @ret: the value without quotes, "" for a flag; free() it
 *
 * Dash and underscore are the same in @param. Return: 1 found, 0 not there, or a negative errno.
 */
int lu_cmdline_get(const char *line, const char *param, char **ret);

/**
 * lu_cmdline_without_lsm() - does a command line leave a security module out that the kernel has?
 * @lsm: "apparmor"
 * @ret: the word that does, "lsm=yama,bpf"; free() it
 *
 * Facts (security/security.c, security/apparmor/lsm.c): NAME=0 turns it off; lsm= lists all that are used, and security=,
 * which names the one major module, counts only without it. Which are used by default is not on the command line.
 *
 * Return: 1 if it does, 0 if not, or a negative errno.
 */
int lu_cmdline_without_lsm(const char *line, const char *lsm, char **ret);
