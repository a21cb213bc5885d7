/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * launch.json: how a VM's QEMU is started again, taken from the process that runs.
 *
 * Contract. "version" is 1. "features" lists what a reader must understand beyond
 * this text; a reader refuses the document if it does not know one of them, and a
 * writer adds one only if the VM needs it. There are
 *	devices	for a VM to which the PCI functions of "devices" are passed through. QEMU is then started from its CPR
 *		stream (daemon/devices), with everything in it set up before.
 *	view	its QEMU runs in a mount namespace of its own, which is made again: view.h
 *	sched	it is not scheduled as an ordinary process
 *	inherited	its command line names descriptors by their numbers, as libvirt's do: they are made again, under the
 *		same numbers
 * Everything else is fixed: unknown keys are refused. Paths are absolute. Numbers
 * that mean "unlimited" are null. The document is written while the guest runs and
 * read by lu-init before the host has services, network or udev.
 *
 * "needs" are the files that must be there before QEMU is executed:
 *	file		waited for
 *	directory	made if missing (it held a socket in /run), with owner and mode
 *	block, char	waited for, then given owner and mode, as udev would later
 * "write" says that QEMU opens it for writing, so its file system must be writable.
 *
 * "early" false: the VM can't be started before the host's services, "late" says
 * why; lu-init leaves it to luctld.
 *
 * Maxima: 4096 words of argv, 1024 variables, 1024 needs, 64 RAM files, 4096 vCPUs
 * (KVM_MAX_VCPUS), 1024 files to preload; the whole document at most LU_STORE_JSON_MAX (1 MiB).
 *
 * "cpus" are the CPUs that the main thread may run on, as the kernel lists them
 * ("0-3,8"); every thread of the new QEMU starts with them. "vcpus" are the same for
 * the thread of each vCPU, set once the new QEMU has it and before the guest runs. CPUs
 * that the new kernel does not have are left out; where none remains, any will do.
 *
 * "devices" are addresses as sysfs writes them ("0000:01:00.0"); absent if there are none.
 *
 * "inherited" are descriptors that whoever started QEMU had opened for it (inherited.h). A "listen" is a Unix socket
 * at "path", a "tap" the network interface "name" with the flags of TUNSETIFF and its address and MTU, a "device"
 * the node "path", a "pidfile" the file "path", which is locked and gets the number of the new process.
 *
 * "preload" are files that QEMU has mapped (itself, its libraries): lu-init has them read
 * while QEMU starts, since in a new kernel nothing is cached. One that is gone is no error.
 *
 * "needs" are in the host's terms, everything else that is a path in QEMU's own ("exe", "cwd", words of argv).
 *
 * Not carried, and named beforehand (capture_identity.c): affinity of other threads (I/O threads), scheduling of
 * single threads, filters of system calls that its unit gave it, labels of LSMs. Not carried: keyrings. Refused:
 * namespaces other than PID 1's, but for the mount namespace. Limits of its control group are daemon/'s affair.
 */
#include "json.h"
#include "reasons.h"
#include "view.h"

struct stat;

/** struct lu_launch_sched - how the kernel schedules it; @policy: SCHED_* */
struct lu_launch_sched {
	int policy;
	int64_t nice;
	uint64_t priority; /* of a real-time policy */
};

struct lu_launch_var {
	char *name;
	char *value;
};

struct lu_launch_limit {
	char *name;    /* as in /proc/PID/limits, in short: "nofile" */
	uint64_t soft; /* UINT64_MAX: unlimited */
	uint64_t hard;
};

struct lu_launch_vcpu {
	uint64_t index; /* cpu-index of query-cpus-fast */
	char *cpus;     /* as "cpus" of the whole process */
};

struct lu_launch_ram {
	char *path;
	uint64_t size;
	uint64_t inode;
};

enum lu_need_kind {
	LU_NEED_FILE,
	LU_NEED_DIRECTORY,
	LU_NEED_BLOCK,
	LU_NEED_CHAR,
};

struct lu_launch_need {
	char *path;
	int kind;
	bool write;
	uint64_t uid, gid, mode;
};

enum lu_inherited_kind {
	LU_INHERITED_LISTEN,
	LU_INHERITED_TAP,
	LU_INHERITED_DEVICE,
	LU_INHERITED_PIDFILE,
};

struct lu_launch_inherited {
	uint64_t fd; /* its number */
	int kind;
	char *path; /* NULL: a tap */
	uint64_t uid, gid, mode;
	char *name;     /* of a tap's interface, or NULL */
	uint64_t flags; /* of a tap: IFF_VNET_HDR and the like */
	char *mac;      /* of a tap, or NULL */
	uint64_t mtu;   /* of a tap */
	char *bridge;   /* of a tap, or NULL: in none */
};

struct lu_launch {
	char **features;
	char *name;
	char *uuid;
	char *unit; /* or NULL */
	char *exe;
	char **argv;
	struct lu_launch_var *env;
	size_t n_env;
	uint64_t uid, gid;
	uint64_t *groups;
	size_t n_groups;
	char *cwd;
	char *cgroup; /* "/system.slice/luctl-vm@web1.service" */
	struct lu_launch_limit *limits;
	size_t n_limits;
	int64_t oom_score_adj;
	uint64_t umask;
	uint64_t cap_bounding;
	uint64_t cap_ambient;
	bool no_new_privs;
	char *cpus; /* or NULL: any */
	struct lu_launch_vcpu *vcpus;
	size_t n_vcpus;
	char *qmp;
	char *agent; /* socket of the guest agent that sets the guest's clock after a restore, or NULL */
	struct lu_launch_ram *ram;
	size_t n_ram;
	struct lu_launch_need *needs;
	size_t n_needs;
	struct lu_launch_inherited *inherited;
	size_t n_inherited;
	char **preload;
	struct lu_view *view;          /* of its own mount namespace; NULL: it sees what the host sees */
	struct lu_launch_sched *sched; /* NULL: as an ordinary process */
	char **devices;                /* PCI functions that are passed through; NULL if there are none */
	char **modules;                /* kernel modules that were loaded and that QEMU uses */
	char *machine;                 /* versioned type: "pc-q35-11.1"; NULL: as in argv */
	char *qemu_version;
	bool early;
	char *late; /* or NULL */
};

extern const struct lu_json_table lu_launch_table;

/* The features */
#define LU_LAUNCH_DEVICES "devices"
#define LU_LAUNCH_VIEW "view"
#define LU_LAUNCH_SCHED "sched"
#define LU_LAUNCH_INHERITED "inherited"
#define LU_LAUNCH_FEATURES_MAX 8

/* What lu_launch_argv() adds, and lu_argv_restorable() takes away */
#define LU_LAUNCH_FD_OPAQUE "opaque=luctl-state"
#define LU_LAUNCH_STATE_FD 3
#define LU_LAUNCH_MORE_FD 4 /* further ones from here on */
/* Arguments of announce-self: five times, as after a migration, milliseconds */
#define LU_LAUNCH_ANNOUNCE "{\"initial\": 50, \"max\": 550, \"rounds\": 5, \"step\": 100}"
#define LU_LAUNCH_STATE_URI "file:/dev/fdset/1819632756" /* "luct": a number in nobody's way */

void lu_launch_clear(struct lu_launch *l);

/** lu_launch_read() - launch.json of a VM's directory; -EOPNOTSUPP if it names a feature that we don't know */
int lu_launch_read(int dir_fd, struct lu_launch *ret, struct lu_error *e);
int lu_launch_write(int dir_fd, const struct lu_launch *l, struct lu_error *e);

/** lu_launch_add_feature() - a reader must know @feature; for a document that is being captured */
int lu_launch_add_feature(struct lu_launch *l, const char *feature);

/** lu_launch_may_write() - do the file's owner and mode let the VM's user read and write it? */
bool lu_launch_may_write(const struct lu_launch *l, const struct stat *st);

/** lu_launch_add_need() - add to needs unless the path is there already (then write is or-ed) */
int lu_launch_add_need(struct lu_launch *l, const char *path, enum lu_need_kind kind, bool write, uint64_t uid,
		       uint64_t gid, uint64_t mode);

/**
 * lu_launch_argv() - the words to execute
 * @incoming: add what makes QEMU wait for migrate-incoming, with LU_LAUNCH_STATE_FD as LU_LAUNCH_STATE_URI
 *
 * If argv names the machine by an alias that may mean a newer version with the QEMU
 * installed now, the versioned type is added: the state fits that one only.
 */
int lu_launch_argv(const struct lu_launch *l, bool incoming, char ***ret);

/**
 * struct lu_capture_from - where to capture
 * @proc_fd: /proc
 * @reference: the process whose namespaces and root the VM must share (1); 0: not checked
 * @pkernfs: mount point; files below it survive
 * @reasons: gets all that speaks against it, and capturing goes on; NULL: the first ends it as an error
 * @losses: gets what its successor will not have, for the operator to know; may be NULL
 */
struct lu_capture_from {
	int proc_fd;
	pid_t reference;
	const char *pkernfs;
	struct lu_reasons *reasons;
	struct lu_reasons *losses;
};

/**
 * lu_launch_capture() - everything about @pid that /proc knows
 *
 * Leaves name, uuid, unit, qmp, ram, machine and qemu_version to the caller.
 *
 * Return: 0; without @from->reasons -EOPNOTSUPP if the process can't be started again so that it would be
 * the same, @e says why; -ESRCH if it is gone; or the negative errno of reading /proc.
 */
int lu_launch_capture(const struct lu_capture_from *from, pid_t pid, struct lu_launch *ret, struct lu_error *e);

/**
 * lu_launch_add_vcpu() - add to vcpus where the thread of a vCPU may run
 * @tid: of @pid
 *
 * Return: 0; -ESRCH if there is no such thread.
 */
int lu_launch_add_vcpu(struct lu_launch *l, int proc_fd, pid_t pid, pid_t tid, uint64_t index);

/** lu_launch_set_cpus() - let thread @tid (0: the caller) run on @cpus only; CPUs that are not there are left out */
int lu_launch_set_cpus(pid_t tid, const char *cpus);

/**
 * struct lu_launch_more - what a QEMU gets that is not started from launch.json alone
 * @fds: of one that is started from its CPR stream: become LU_LAUNCH_MORE_FD, the next number and so on
 * @variable: "NAME=value" that is added to the environment, or NULL
 * @exe: the program to execute, whatever stands at its path by now; 0: what stands there
 */
struct lu_launch_more {
	const int *fds;
	size_t n_fds;
	const char *variable;
	int exe;
};

/**
 * lu_launch_spawn() - execute it
 * @state_fd: the device state, given to QEMU as LU_LAUNCH_STATE_FD; negative: start fresh
 * @more: or NULL; with it, @state_fd must be there
 * @log: file that gets its output, appended; its directory is made
 * @ret_pid, @ret_pidfd: a child of the caller, in a session of its own
 *
 * Needs must be met before (lu_launch_meet_needs()). Errors of the child up to the exec
 * are reported here.
 */
int lu_launch_spawn(const struct lu_launch *l, int state_fd, const struct lu_launch_more *more, const char *log,
		    pid_t *ret_pid, int *ret_pidfd, struct lu_error *e);

/**
 * lu_launch_hurry() - while it starts, let a process and its threads go before those that run guests already; or no longer
 * @l: how it is scheduled otherwise
 *
 * A guest that stands still needs a CPU more than one that runs. That it can't be had makes nothing wrong.
 */
void lu_launch_hurry(const struct lu_launch *l, pid_t pid, bool on);

/**
 * lu_launch_meet_needs() - modules, directories, devices with their owners
 * @timeout_ms: for all waiting together
 *
 * Return: 0; -ENOENT naming what is missing; -EROFS if a file that is to be written stands on a file
 * system that is mounted read-only (the caller may remount it and ask again).
 */
int lu_launch_meet_needs(const struct lu_launch *l, unsigned int timeout_ms, struct lu_error *e);
