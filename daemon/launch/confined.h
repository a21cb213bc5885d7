/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A QEMU that AppArmor confines, as libvirt's are, is confined by the same rules in the next kernel, from its first
 * instruction on. There no policy is loaded before the host's services; so the rules travel with the VM: AppArmor tells
 * what was loaded, byte by byte (CONFIG_SECURITY_APPARMOR_EXPORT_BINARY, default of Debian's kernels), lu-init loads it
 * again and has QEMU executed under it (the same as aa_change_onexec(3)).
 *
 * Facts (security/apparmor/, 7.2 and 7.3): policy/profiles/NAME.N/ has "name" and "raw_data"; what is written to
 * ".replace" at once is loaded, which takes CAP_MAC_ADMIN. At the exec each open file that the rules do not allow is
 * replaced by one that is nothing (aa_inherit_files()); memfds are not judged (path_mediated_fs()), so the state is given
 * as one. The log is lost if no rule names it: apparmor/luctl does, for domains that are started after it is installed.
 *
 * A saved policy that the next kernel has already (a VM that is restored later) is left as it is there.
 */
#include <stddef.h>

#include "error.h"

#define LU_CONFINED_FILE "apparmor" /* of a VM's directory in pkernfs */
#define LU_CONFINED_DIR "/sys/kernel/security/apparmor"
#define LU_CONFINED_MAX (8U << 20) /* a domain's rules are some 100 kB */

/**
 * lu_confined_parse() - the profile in a text of /proc/PID/attr/apparmor/current
 * @ret: NULL if there is none: "unconfined"; free() it
 *
 * Return: 0; -EOPNOTSUPP for profiles over each other or of a policy namespace; -EBADMSG.
 */
int lu_confined_parse(const char *text, char **ret);

/**
 * lu_confined_policy() - open what was loaded for @profile
 * @dir: AppArmor's directory; NULL: LU_CONFINED_DIR
 *
 * Return: a descriptor; -ENOENT: there is no such profile; -EOPNOTSUPP: this kernel does not tell; or another negative errno.
 */
int lu_confined_policy(const char *dir, const char *profile);

/**
 * lu_confined_allows() - do the rules of @profile let a process open @path?
 * @writing: for writing, too
 *
 * Asked of the kernel (".access", as aa_query_file_path(3)). Rules for owners count as if they were met.
 *
 * Return: 1 they do, 0 they do not, or a negative errno: it can't be asked.
 */
int lu_confined_allows(const char *dir, const char *profile, const char *path, bool writing);

/** lu_confined_verdict() - the same from the kernel's answer; -EBADMSG */
int lu_confined_verdict(const char *answer, bool write);

/** lu_confined_save() - keep the rules of @profile in the directory @dir_fd of a VM, or remove what is there (NULL) */
int lu_confined_save(const char *dir, const char *profile, int dir_fd, struct lu_error *e);

/** lu_confined_load() - have the rules of @profile in this kernel; mounts securityfs if it is not, for LU_CONFINED_DIR */
int lu_confined_load(const char *dir, const char *profile, int dir_fd, struct lu_error *e);

/** lu_confined_at_exec() - what the caller executes next is confined by @profile; 0 or negative errno */
int lu_confined_at_exec(const char *profile);
