/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What else there is on a host that an update would meet: packages that are being installed, watchdogs, virtual machines that nobody
 * has declared, who holds /dev/liveupdate, what the target's command line takes from the CPU, room for the initrd.
 *
 * Readers take a root directory in place of / (or AT_FDCWD), so that tests use recorded trees.
 */
#include <sys/types.h>

#include "findings.h"

#define LU_BESIDE_LINKS_MAX 200000u /* descriptors that are looked at: 0.2 s at a microsecond each */

/** struct lu_kvm_process - a process that has virtual machines */
struct lu_kvm_process {
	pid_t pid;
	char name[16]; /* as /proc/PID/comm: a word for a person; control characters are "?" */
};

struct lu_kvm_processes {
	struct lu_kvm_process *list;
	size_t n;
	bool cut; /* there were more descriptors than LU_BESIDE_LINKS_MAX: some may be missing */
};

/**
 * lu_kvm_processes_read() - all processes that hold a virtual machine of KVM
 *
 * Told by the kernel's own list in debugfs (/sys/kernel/debug/kvm/PID-FD) where it is mounted, else by the descriptors of
 * all processes. Some may have come or gone meanwhile.
 *
 * Return: 0, @ret the caller's to clear; or a negative errno.
 */
int lu_kvm_processes_read(int rootfd, struct lu_kvm_processes *ret);
void lu_kvm_processes_clear(struct lu_kvm_processes *p);

/**
 * lu_beside_holder() - which process has this device open, other than this one
 * @device: "/dev/liveupdate"
 *
 * Return: 1 with @ret, 0 if nobody has, or a negative errno.
 */
int lu_beside_holder(int rootfd, const char *device, struct lu_kvm_process *ret);

/**
 * lu_beside_check_packages() - an error if dpkg works just now: what it replaces may be what the target boots with
 * @asker: process that asks, or 0; a script of the very packages gets a warning: it asks what will be when they are there
 */
void lu_beside_check_packages(int rootfd, pid_t asker, struct lu_findings *findings);

/**
 * lu_beside_check_watchdogs() - a warning for each that runs: nobody feeds it from the jump until the next system manager does
 *
 * Source: Documentation/ABI/testing/sysfs-class-watchdog, state and timeout (seconds).
 */
void lu_beside_check_watchdogs(int rootfd, struct lu_findings *findings);

/**
 * lu_beside_check_root() - a warning if the next kernel's root waits for a passphrase, and all guests with it
 * @device: of the root file system, st_dev; one that is no block device's (btrfs) tells nothing
 *
 * It does if a dm-crypt device lies below it whose line in /etc/crypttab has no key and names nothing that has one
 * (crypttab(5): tpm2-device=, fido2-device=, pkcs11-uri=, keyscript=). What asks the network for it (clevis) is not seen.
 */
void lu_beside_check_root(int rootfd, dev_t device, struct lu_findings *findings);

/** lu_beside_check_programs() - an error if kexec-tools' program, which loads the target, can't be run */
void lu_beside_check_programs(int rootfd, struct lu_findings *findings);

/**
 * lu_beside_check_cpu() - what the target's command line takes from the CPU, and the running one's does not
 * @running, @target: command lines
 *
 * A guest that has seen a feature goes on using it: an instruction that is gone then is its end.
 */
void lu_beside_check_cpu(const char *running, const char *target, struct lu_findings *findings);

/**
 * lu_beside_check_scratch() - an error if no area that the running kernel has set apart by kho_scratch= holds the initrd
 * @running: command line of the running kernel, on which the areas depend
 * @initrd_size: bytes, 0: none
 *
 * Adds nothing if the areas are not given by sizes: then the kernel has chosen, and does not tell.
 */
void lu_beside_check_scratch(const char *running, uint64_t initrd_size, struct lu_findings *findings);
