/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The control groups that libvirt makes below a domain's scope: one for all of QEMU, in it one for each vCPU, each I/O
 * thread and the rest. What schedinfo, vcpupin, emulatorpin, memtune and blkiotune say stands there. libvirt does not make them again
 * when it reconnects, so they are carried: which there are, what is set in them, and which thread was in which.
 *
 * Threads are known by their names ("CPU 0/KVM"): libvirt has QEMU name them.
 */
#include "error.h"
#include "json.h"

struct lu_group_value {
	char *file;
	char *value;
	char *device; /* of a line that is about a disk: its name in the next kernel, where numbers differ; NULL: it has none */
};

struct lu_group {
	char *path; /* below the scope: "libvirt/vcpu0"; "": the scope's own settings */
	bool threaded;
	char *control; /* controllers of what is below: "cpu cpuset", or "" */
	struct lu_group_value *values;
	size_t n_values;
};

struct lu_group_thread {
	char *name;
	char *path;
};

/** struct lu_groups - vm/<uuid>/groups.json (schema groups); parents stand before what is below them */
struct lu_groups {
	struct lu_group *groups;
	size_t n_groups;
	struct lu_group_thread *threads;
	size_t n_threads;
};

#define LU_GROUPS_FILE "groups.json"

extern const struct lu_json_table lu_groups_table;
void lu_groups_clear(struct lu_groups *g);

/**
 * lu_groups_read() - the groups below the scope that a process is in
 * @root_fd: directory that /proc and /sys are looked for in, or AT_FDCWD: the host's
 *
 * Return: 0, also with none where the process is in no scope; or a negative errno.
 */
int lu_groups_read(int root_fd, pid_t pid, struct lu_groups *ret, struct lu_error *e);

/**
 * lu_groups_make() - make them again for a process that is in its scope and nowhere below
 *
 * @here: they are of this kernel, in which numbers of disks are what they were
 *
 * What this kernel does not have (a controller, a file, a disk) is left out.
 *
 * Return: 0, with *@e saying what was left out or being empty; or a negative errno.
 */
int lu_groups_make(int root_fd, pid_t pid, const struct lu_groups *g, bool here, struct lu_error *e);
