/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Between the files capture*.c. */
#include "launch.h"

/** lu_proc_link() - target of /proc/@pid/@what */
int lu_proc_link(int proc_fd, pid_t pid, const char *what, char **ret);

/** lu_proc_read() - text of /proc/@pid/@what; -ESRCH if the process is gone */
int lu_proc_read(int proc_fd, pid_t pid, const char *what, char **ret, size_t *ret_size);

/** lu_status_field() - what follows "KEY:" in the text of /proc/PID/status, or NULL */
const char *lu_status_field(const char *text, const char *key);

/**
 * lu_capture_process() - what any process has: namespaces, directory, words, environment, user, limits, control group
 * @ret_root: its root directory
 */
int lu_capture_process(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l, int *ret_root,
		       struct lu_reasons *why);

/** lu_capture_tpm() - the process that is the TPM of QEMU @pid, if it has one: to @l->tpm */
int lu_capture_tpm(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l, struct lu_reasons *why);

/**
 * lu_capture_spaces() - verdict on its namespaces, and its view if it has a mount namespace of its own
 * @ret_root: its root directory, in its mount namespace
 */
int lu_capture_spaces(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l, int *ret_root,
		      struct lu_reasons *why);

/** lu_capture_identity() - scheduling, I/O priority and its like, AppArmor's profile; and what of its identity will be lost, to @from->losses */
int lu_capture_identity(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l, struct lu_reasons *why);

/**
 * lu_capture_files() - needs, modules and the verdict on open files
 * @root: its root directory
 */
int lu_capture_files(const struct lu_capture_from *from, pid_t pid, int root, struct lu_launch *l,
		     struct lu_reasons *why);

/**
 * lu_capture_tpm_files() - the same of swtpm, whose words are not QEMU's
 * @state: directory that it writes its state to, or NULL
 * @pidfile: that it makes anew, or NULL
 */
int lu_capture_tpm_files(const struct lu_capture_from *from, pid_t pid, int root, struct lu_launch *l,
			 const char *state, const char *pidfile, struct lu_reasons *why);

/** lu_capture_tpm_identity() - how swtpm is scheduled, and what else was set for it; and what of its identity will be lost, to @from->losses */
int lu_capture_tpm_identity(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l);

/** lu_open_in() - open as a process with root directory @root would: links and ".." stay in it */
int lu_open_in(int root, const char *path, int flags);

/** lu_stat_in() - the same for stat() */
int lu_stat_in(int root, const char *path, struct stat *ret);
