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
 *	task	I/O priority, coredump_filter, timer slack or cores of its own were set for it, or for its TPM:
 *		task.h, cores.h
 *	apparmor	it is confined by a profile of AppArmor's, whose rules lie beside this document: confined.h
 *	tpm	its TPM is another process (swtpm), which is started before QEMU
 *	inherited	its command line names descriptors by their numbers, as libvirt's do: they are made again, under the
 *		same numbers
 *	handed	among those are files of passed-through devices, of the kind "cpr"
 * Everything else is fixed: unknown keys are refused, but for those of a newer minor, which a reader can do without.
 * Paths are absolute. Numbers
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
 * "argv" are the words of the process, but for what concerns its own start (lu_argv_restorable()), and but for disks: if
 * the guest has others beneath them by now, these are what the words open (daemon/blocks). Devices with an option ROM
 * are given its size (lu_argv_set_romsize()).
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
 * the node "path", a "pidfile" the file "path", which is locked and gets the number of the new process. A "cpr" is the
 * file that QEMU's CPR state calls "cpr" (id 0): an iommufd or a passed-through device that was handed in. It is set up
 * with all others of that state (daemon/devices), and what is said here is the number that it must have.
 *
 * "tpm" is that process, by the same members. It is started where nobody listens at "socket", and ends with its QEMU.
 * "unit" is the one that it was started by at first, which must not start a second one.
 *
 * "preload" are files that QEMU has mapped (itself, its libraries): lu-init has them read
 * while QEMU starts, since in a new kernel nothing is cached. One that is gone is no error.
 *
 * "needs" are in the host's terms, everything else that is a path in QEMU's own ("exe", "cwd", words of argv).
 *
 * Not carried, and named beforehand (capture_identity.c): affinity of other threads (I/O threads), scheduling and I/O
 * priority of single threads, cookies of core scheduling of some threads only, the memory policy, filters of system
 * calls that its unit gave it, labels of SELinux and Smack. Not carried: keyrings. Refused: namespaces other than PID 1's,
 * but for the mount namespace. Limits of its control group are daemon/'s affair.
 */
#include "doc-launch.h"
#include "reasons.h"
#include "view.h"

struct stat;

/* The features */
#define LU_LAUNCH_DEVICES "devices"
#define LU_LAUNCH_VIEW "view"
#define LU_LAUNCH_SCHED "sched"
#define LU_LAUNCH_TASK "task"
#define LU_LAUNCH_INHERITED "inherited"
#define LU_LAUNCH_APPARMOR "apparmor"
#define LU_LAUNCH_HANDED "handed"
#define LU_LAUNCH_TPM "tpm"
#define LU_LAUNCH_FEATURES_MAX 16

/* What lu_launch_argv() adds, and lu_argv_restorable() takes away */
#define LU_LAUNCH_FD_OPAQUE "opaque=luctl-state"
#define LU_LAUNCH_STATE_FD 3
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

/** lu_tpm_terminates() - does a swtpm with these words end when its QEMU has ended? */
bool lu_tpm_terminates(char *const *argv);

/**
 * struct lu_capture_from - where to capture
 * @proc_fd: /proc
 * @apparmor: AppArmor's directory; NULL: the kernel's
 * @reference: the process whose namespaces and root the VM must share (1); 0: not checked
 * @pkernfs: mount point; files below it survive
 * @reasons: gets all that speaks against it, and capturing goes on; NULL: the first ends it as an error
 * @losses: gets what its successor will not have, for the operator to know; may be NULL
 * @sys: NULL: /sys
 */
struct lu_capture_from {
	int proc_fd;
	const char *apparmor;
	pid_t reference;
	const char *pkernfs;
	struct lu_reasons *reasons;
	struct lu_reasons *losses;
	const char *sys;
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
 * lu_launch_find_firmware() - the file that a QEMU of these words takes for firmware @name, as process @pid sees it
 * @ret: its path for that process; free() it
 *
 * Return: 1; -ENOENT: none where QEMU looks, as far as is known here; -ESRCH, or another negative errno.
 */
int lu_launch_find_firmware(int proc_fd, pid_t pid, const struct lu_launch *l, const char *name, char **ret);

/** lu_launch_file_size() - how many bytes a file has that process @pid sees at @path; 0 or negative errno */
int lu_launch_file_size(int proc_fd, pid_t pid, const char *path, uint64_t *ret);

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
 * @fds: of one that is started from its CPR stream
 * @numbers: which they get, all different: the stream LU_LAUNCH_MORE_FD, the others greater ones
 * @variable: "NAME=value" that is added to the environment, or NULL
 * @exe: the program to execute, whatever stands at its path by now; 0: what stands there
 */
struct lu_launch_more {
	const int *fds, *numbers;
	size_t n_fds;
	const char *variable;
	int exe;
};

/**
 * lu_launch_spawn() - execute it
 * @state_fd: the device state, given to QEMU as LU_LAUNCH_STATE_FD; negative: start fresh
 * @more: or NULL; with it, @state_fd must be there
 * @log: file that gets its output, appended; its directory is made
 * @ret_pid, @ret_pidfd: a child of the caller, in a session of its own that it does not lead
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
