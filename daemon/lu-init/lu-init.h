/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Shared by the files of lu-init. */
#include "devices.h"
#include "error.h"
#include "journal.h"
#include "launch.h"
#include "luo.h"
#include "request.h"
#include "store.h"
#include "trace.h"
#include "wire.h"

/** struct lu_init - what every part of lu-init needs to know */
struct lu_init {
	const char *pkernfs; /* "/run/luctl/pkernfs" */
	const char *run;     /* "/run/luctl" */
	bool any_fs;         /* tests: @pkernfs need not be pkernfs */
	bool early;          /* before the real init; else asked for by luctld */
	bool kmsg;           /* log to the kernel's log; else to stderr */
	bool keep_paused;    /* --paused */
	const char *veto;    /* LU_VETO_DIR; NULL (--no-veto): this is the kernel in which the guest was saved */
	const char *exe;     /* --exe: the program that luctld has open; NULL: what stands at its path */
	bool no_keeper;      /* --no-keeper: luctld keeps the devices, and will try again itself */
	const char *fds;     /* --fds: descriptors that luctld has open; NULL: made anew */
	bool kept;           /* a process was left that keeps a VM's devices */
	struct lu_stamp start;
	struct lu_trace *trace; /* NULL: none */
};

/* Time limits. A VM's own ends first, so that it can say what it was waiting for. */
#define LU_INIT_VM_MS 55000u    /* one VM, from its start to cont */
#define LU_INIT_NEEDS_MS 3000u  /* of which for devices to appear */
#define LU_INIT_TURN_MS 10000u  /* after which it no longer keeps others waiting */
#define LU_INIT_VETO_MS 5000u   /* of it for each of the administrator's programs */
#define LU_INIT_AGENT_MS 5000u  /* a guest agent, once its guest runs */
#define LU_INIT_TOTAL_MS 60000u /* all of them; then the real init is executed whatever they do */

/* --- command.c --- */

/** lu_init_command() - called with options, not as init; the process's exit code */
int lu_init_command(struct lu_init *i, int argc, char **argv);

/* --- log.c --- */

/** lu_log() - a line to the kernel's log or stderr, with "lu-init: " in front */
void lu_log(const struct lu_init *i, const char *fmt, ...) _printf_(2, 3);

/** lu_log_error() - the same for an error with its hint */
void lu_log_error(const struct lu_init *i, const char *prefix, const struct lu_error *e);

/* --- mounts.c --- */

/** lu_mounts_basic() - /proc, /sys, /dev, /run as the real init would make them; what is mounted is left alone */
void lu_mounts_basic(const struct lu_init *i);

/** lu_mounts_share() - as the real init will: QEMUs in mount namespaces of their own see what is mounted later */
void lu_mounts_share(const struct lu_init *i);

/** lu_mounts_pkernfs() - mount pkernfs unless it is mounted; negative errno if this kernel has none */
int lu_mounts_pkernfs(const struct lu_init *i);

/** lu_mounts_root_rw() - remount the root file system read-write */
int lu_mounts_root_rw(const struct lu_init *i);

/**
 * lu_loopback_up() - bring the loopback interface up, as the real init will; failing is logged
 *
 * The kernel gives it 127.0.0.1 then, at which QEMUs have displays: libvirt's do if nothing else is said.
 */
void lu_loopback_up(const struct lu_init *i);

/* --- trial.c --- */

/** lu_trial() - as PID 1 of a throw-away machine (trial-words.h) does what is asked there and never returns; else returns at once */
void lu_trial(struct lu_init *i);

/* --- veto.c --- */

#define LU_VETO_DIR "/etc/luctl/veto.d"

/**
 * lu_veto() - ask the administrator's programs whether a guest may go on here
 * @dir: with executables; 0 if it is not there
 * @limit_ms: for each
 *
 * Return: 0 if each of them ended with 0; -EPERM, -ETIMEDOUT or another errno with @e: it must not run.
 */
int lu_veto(const char *dir, const struct lu_saved *saved, int limit_ms, struct lu_error *e);

/* --- decide.c --- */

/**
 * lu_decide() - is it ours to resume VMs?
 * @last: last record of the journal
 * @boot_id: the running kernel's
 * @ret_why: one line for the log
 */
bool lu_decide(const struct lu_journal_record *last, const char *boot_id, const char **ret_why);

enum lu_may {
	LU_MAY_RESTORE,
	LU_MAY_NOT_INCOMPLETE, /* no committed state */
	LU_MAY_NOT_ALIVE,      /* its QEMU is there */
	LU_MAY_NOT_STALE,      /* it was let run once: the state no longer fits the RAM */
};

/**
 * lu_may_restore() - may the VM's state be loaded?
 * @result: NULL if there is none
 * @alive: lu_result_alive(@result)
 */
enum lu_may lu_may_restore(const struct lu_saved *saved, const struct lu_result *result, bool alive);

/**
 * lu_turn_free() - may one more VM be begun?
 * @begun_ns: when those were begun that are not done yet
 * @limit: how many at once
 *
 * One that takes longer than LU_INIT_TURN_MS waits for something else than a CPU, and does not count any more.
 */
bool lu_turn_free(const uint64_t *begun_ns, size_t n, size_t limit, uint64_t now_ns);

/** lu_real_init() - value of luctl.init= in a kernel command line; 1 with @ret, 0 if not there */
int lu_real_init(const char *cmdline, char **ret);

/* --- monitor.c --- */

/** struct lu_monitor - a QMP connection that blocks */
struct lu_monitor {
	int fd;
	int pidfd;            /* of QEMU: its end ends every wait; the caller's */
	uint64_t deadline_ns; /* CLOCK_MONOTONIC, for everything */
	uint64_t next_id;
	struct lu_wire *wire;
};

#define LU_MONITOR_INIT ((struct lu_monitor){ .fd = -EBADF, .pidfd = -EBADF })

/** lu_monitor_connect() - retry until QEMU listens at @path and greets; the peer must be @pid */
int lu_monitor_connect(struct lu_monitor *m, const char *path, pid_t pid, struct lu_error *e);

/**
 * lu_monitor_command() - one command, events skipped
 * @ret: what it returned, json_object_put() it; may be NULL
 *
 * Return: 0; -EREMOTEIO refused; -ESRCH QEMU has ended; -ETIMEDOUT; -ECONNRESET; -EBADMSG.
 */
int lu_monitor_command(struct lu_monitor *m, const char *name, struct json_object *args, struct json_object **ret,
		       struct lu_error *e);

void lu_monitor_close(struct lu_monitor *m);

/* --- settings.c --- */

/**
 * lu_settings_put_back() - migration capabilities and parameters as the QEMU before had them
 * @dir: the VM's directory in pkernfs, with settings.json
 * @saved: its record
 *
 * What this QEMU does not have, or has so already, is left alone.
 *
 * Return: 0; -ENOENT there is no settings.json; -ESTALE it is of another update; else as lu_monitor_command().
 */
int lu_settings_put_back(struct lu_monitor *m, int dir, const struct lu_saved *saved, struct lu_error *e);

/* --- restore.c --- */

/**
 * lu_restore_vm() - restore one VM, write its result.json
 * @root: pkernfs
 * @update: of which its record must be; NULL: any
 *
 * Return: 0 if the guest runs (or stays paused as it was), or a negative errno with @e; then @i->kept tells
 * whether a process keeps its devices.
 */
int lu_restore_vm(struct lu_init *i, int root, const char *uuid, const char *update, struct lu_error *e);

/* --- held.c --- */

/** struct lu_held - what is open of a VM with passed-through devices */
struct lu_held {
	bool read; /* @doc and @calls were */
	struct lu_devices doc;
	struct lu_calls calls;
	struct lu_luo session;
	struct lu_replay_memfd *memfds;
	size_t n_memfds;
	struct lu_replay_from from;
	struct lu_replay *replay;
	struct lu_cpr cpr;
	int *fds;     /* the CPR state, then its descriptors; NULL: not yet */
	int *numbers; /* that they get in QEMU */
	size_t n_fds;
};

#define LU_HELD_INIT                                                                                    \
	((struct lu_held){                                                                              \
		.session = { .fd = -EBADF },                                                            \
		.from = { .sys_fd = -EBADF, .dev_fd = -EBADF, .pkernfs_fd = -EBADF, .log_fd = -EBADF }, \
	})

/** lu_held_replay() - make all of it anew; after a failure it goes on where it stopped */
int lu_held_replay(struct lu_held *h, int root, int dir, const struct lu_saved *saved, const struct lu_launch *l,
		   struct lu_error *e);

/** lu_held_copy() - take it from the process that has it: "PID:N,N,…", the CPR state first */
int lu_held_copy(struct lu_held *h, const char *text, struct lu_error *e);

/** lu_held_borrow() - the one descriptor of "PID:N"; an fd or negative errno */
int lu_held_borrow(const char *text, struct lu_error *e);

/** lu_held_any() - is something open that can't be had again once it is closed? */
bool lu_held_any(const struct lu_held *h);

/** lu_held_clear() - close it all, which stops devices that no other process has open */
void lu_held_clear(struct lu_held *h);

/* --- keep.c --- */

/** lu_keeper_try_t - try again to restore the VM */
typedef int (*lu_keeper_try_t)(void *context, struct lu_error *e);

/** lu_keeper_start() - leave a process behind that keeps everything open and tries again when asked. Returns in the caller only: is there one? */
bool lu_keeper_start(const struct lu_init *i, const char *uuid, lu_keeper_try_t try, void *context);

/** lu_keeper_ask() - have a keeper try again: 1 the guest runs, 0 there is no keeper, or a negative errno */
int lu_keeper_ask(const struct lu_init *i, const char *uuid, struct lu_error *e);

/* --- agent.c --- */

/**
 * lu_agent_clock() - have the guest agent set the clock of a VM, if launch.json names one; writes clock.json
 *
 * Return: 0, also if there is none; or a negative errno with @e.
 */
int lu_agent_clock(const struct lu_init *i, int root, const char *uuid, struct lu_error *e);

/** lu_agent_clocks() - the same for a NULL-terminated list of VMs, all at once; 0 if all went well */
int lu_agent_clocks(const struct lu_init *i, int root, char **uuids, struct lu_error *e);

/** lu_agent_start() - the same; before the real init by a process that nobody waits for */
void lu_agent_start(const struct lu_init *i, int root, const char *uuid);

/* --- restore.c --- */

/** lu_init_meet_needs() - lu_launch_meet_needs(), with the root file system made writable for it if that is early and needed */
int lu_init_meet_needs(const struct lu_init *i, const struct lu_launch *l, struct lu_error *e);

/**
 * lu_init_settle_task() - what of lu_launch_task a process sets for itself, once it has; what it does not have is logged
 * @of: how it was started
 * @whose: "VM web1: its QEMU"
 */
void lu_init_settle_task(const struct lu_init *i, const struct lu_launch *of, pid_t pid, const char *whose);

/** lu_init_last_line() - of a program's log, at most 500 characters of ASCII; free() it; NULL if there is none */
char *lu_init_last_line(const char *log);

/* --- tpm.c --- */

/** struct lu_tpm - a swtpm that was started; @pidfd is negative if none was */
struct lu_tpm {
	pid_t pid;
	int pidfd;
};

#define LU_TPM_INIT             \
	(struct lu_tpm)         \
	{                       \
		.pidfd = -EBADF \
	}

/**
 * lu_tpm_ensure() - if the guest's TPM is another process, have one listen at its socket
 * @t: gets it if it had to be started
 */
int lu_tpm_ensure(const struct lu_init *i, const struct lu_launch *l, struct lu_tpm *t, struct lu_error *e);

/** lu_tpm_end() - end it, if it was started here */
void lu_tpm_end(struct lu_tpm *t);

/* --- sight.c --- */

/** lu_sight_complete() - what a VM's QEMU sees and the host has mounted since it was started gets the flags that it had */
int lu_sight_complete(const struct lu_init *i, int root, const char *uuid, struct lu_error *e);

/* --- preload.c --- */

/** struct lu_preload - files to be read ahead, each once */
struct lu_preload {
	char **paths;
	size_t n;
};

/** lu_preload_add() - what @l's QEMU will read; out of memory only makes the start slower */
void lu_preload_add(struct lu_preload *p, const struct lu_launch *l);

/** lu_preload_start() - have them read by a process that nobody waits for; empties the list */
void lu_preload_start(struct lu_preload *p);

/* --- early.c --- */

/** lu_early() - all that belongs to this boot's update: decide, mark, resume in parallel. Runs in a child of PID 1 */
int lu_early(struct lu_init *i);

/** lu_open_pkernfs() - checked fd of the mount point */
int lu_open_pkernfs(const struct lu_init *i, struct lu_error *e);
