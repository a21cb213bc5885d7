/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* launch.json (schema launch): how a VM's QEMU is started again. Its contract is in daemon/launch/launch.h. */
#include "doc-view.h"
#include "json.h"

/** struct lu_launch_sched - how the kernel schedules it; @policy: SCHED_* */
struct lu_launch_sched {
	int policy;
	int64_t nice;
	uint64_t priority; /* of a real-time policy */
};

/** enum lu_launch_cores - who shares the cores of a CPU with nobody else (core scheduling) */
enum lu_launch_cores {
	LU_CORES_ANY, /* nobody: they are shared with all others */
	LU_CORES_PROCESS,
	LU_CORES_VCPUS, /* the threads of vCPUs among one another, and not with others of the process */
};

/**
 * struct lu_launch_task - what was set for a process from outside
 * @io_class: IOPRIO_CLASS_*; that of none: its nice value says how its I/O is served
 * @io_priority: within the class, as ioprio_set(2) takes it: the level, and a hint above it
 * @coredump_filter: as in core(5); UINT64_MAX: as processes have it
 * @timer_slack_ns: UINT64_MAX: what it has by itself
 * @cores: enum lu_launch_cores
 */
struct lu_launch_task {
	int io_class;
	uint64_t io_priority;
	uint64_t coredump_filter;
	uint64_t timer_slack_ns;
	int cores;
};
#define LU_TASK_ORDINARY                                                    \
	{                                                                   \
		.coredump_filter = UINT64_MAX, .timer_slack_ns = UINT64_MAX \
	}

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

/* Numbers below are QEMU's standard streams and its state; the CPR state and its descriptors come first from here on. */
#define LU_LAUNCH_MORE_FD 4
#define LU_INHERITED_FD_MAX 4095u

enum lu_inherited_kind {
	LU_INHERITED_LISTEN,
	LU_INHERITED_TAP,
	LU_INHERITED_DEVICE,
	LU_INHERITED_PIDFILE,
	LU_INHERITED_CPR,
};

struct lu_launch_inherited {
	uint64_t fd; /* its number */
	int kind;
	char *path; /* NULL: a tap, or of the CPR state */
	uint64_t uid, gid, mode;
	char *name;     /* of a tap's interface, or NULL */
	uint64_t flags; /* of a tap: IFF_VNET_HDR and the like */
	char *mac;      /* of a tap, or NULL */
	uint64_t mtu;   /* of a tap */
	char *bridge;   /* of a tap, or NULL: in none */
	char *cpr;      /* what QEMU's CPR state calls it, or NULL */
};

struct lu_launch_tpm;

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
	struct lu_launch_task *task;   /* NULL: nothing was set */
	char *apparmor;                /* the profile that confines it; NULL: none */
	struct lu_launch_tpm *tpm;     /* the process that is its TPM; NULL: none is */
	char **devices;                /* PCI functions that are passed through; NULL if there are none */
	char **modules;                /* kernel modules that were loaded and that QEMU uses */
	char *machine;                 /* versioned type: "pc-q35-11.1"; NULL: as in argv */
	char *qemu_version;
	bool early;
	char *late; /* or NULL */
};

/** struct lu_launch_tpm - swtpm, which is started before QEMU */
struct lu_launch_tpm {
	char *socket;             /* at which QEMU finds it */
	char *unit;               /* that it was started by, or NULL */
	struct lu_launch process; /* only the members that the table has */
};

extern const struct lu_json_table lu_launch_table;
