/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Domains in libvirt's files, and what is kept of them in pkernfs while libvirt stands aside. */
#include "status.h"
#include "store.h"
#include "vm.h"

#define LU_LIBVIRT_SAVED "libvirt.xml"    /* in vm/<uuid>/: the status file as it was when libvirt had stepped aside */
#define LU_LIBVIRT_MEMORY LU_STORE_MEMORY /* in vm/<uuid>/: the domain's memory files while it is protected */

/** lu_libvirt_domains() - the domains that run into the registry; for lu_vm_env.domains */
int lu_libvirt_domains(struct lu_vms *vms, struct lu_error *e);

/** lu_libvirt_keep() - copy a domain's status file into its directory in pkernfs; the domain must be as it was when it was judged */
int lu_libvirt_keep(const struct lu_vm *vm, int pkernfs_fd, struct lu_error *e);

/** lu_libvirt_is_kept() - is there such a copy? */
bool lu_libvirt_is_kept(int pkernfs_fd, const char *uuid);

/**
 * lu_libvirt_give_back() - put the status file where libvirt looks for it, for the process that has the guest now
 *
 * To be called only when its monitor has answered: what libvirt can't reconnect to, it ends.
 */
int lu_libvirt_give_back(int pkernfs_fd, const char *uuid, pid_t pid, const struct lu_status_pty *ptys, size_t n_ptys,
			 struct lu_error *e);

/** lu_libvirt_knows() - does libvirt's status file of a domain that is kept tell of the process @pid? */
bool lu_libvirt_knows(int pkernfs_fd, const char *uuid, pid_t pid);

/**
 * lu_libvirt_protect() - libvirt is not to know of a domain, nor to reach its memory, while its saved state waits
 *
 * libvirt removes the memory of a domain that has ended, and a new one may get the same directory.
 */
int lu_libvirt_protect(int pkernfs_fd, const char *pkernfs, const char *uuid, struct lu_error *e);

/** lu_libvirt_unprotect() - its memory files back to where its QEMU looks for them; 0 also if they are there */
int lu_libvirt_unprotect(int pkernfs_fd, const char *pkernfs, const char *uuid, struct lu_error *e);
