/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The host's part of a check (check.h): what else is on it that an update would meet.
 */
#include "beside.h"
#include "findings.h"
#include "host.h"
#include "libvirt.h"
#include "vm.h"

/**
 * lu_check_host() - findings on dpkg, inhibitors of others, descriptors that units keep in systemd, watchdogs, programs, the target's command line, room for its initrd
 * @asker: process that asks, or 0; a script of dpkg's gets a warning of what is being installed, no error
 * @cmdline: of the target; NULL: it could not be made, which was said
 * @initrd: path, for its size; NULL: none is given
 */
void lu_check_host(struct lu_host *host, pid_t asker, const char *cmdline, const char *initrd,
		   struct lu_findings *findings);

/** lu_check_apparmor() - an error if the target's command line turns AppArmor off, by which @vm is confined */
void lu_check_apparmor(const char *cmdline, const char *vm, struct lu_findings *findings);

/** lu_check_liveupdate() - an error if somebody else holds /dev/liveupdate, which VMs with passed-through devices need */
void lu_check_liveupdate(struct lu_findings *findings);

/** lu_check_reader() - an error if the early init that is installed does not execute the journals that are written here */
void lu_check_reader(const char *lu_init, struct lu_findings *findings);

/**
 * lu_check_strangers() - findings on processes with virtual machines that are neither declared VMs nor domains of libvirt
 * @excluded: names as given; a process is excluded as "pid:NUMBER"
 *
 * They end with this kernel.
 */
void lu_check_strangers(struct lu_vms *vms, const struct lu_domains *domains, char *const *excluded,
			struct lu_findings *findings);

/** lu_check_is_stranger() - does @name ("pid:NUMBER") mean a process that lu_check_strangers() would tell of? */
bool lu_check_is_stranger(const char *name);

/** lu_check_stranger() - the first that is not excluded: 1 with @ret, 0 if there is none, or a negative errno */
int lu_check_stranger(struct lu_vms *vms, const struct lu_domains *domains, char *const *excluded,
		      struct lu_kvm_process *ret);
