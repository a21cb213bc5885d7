/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* One guest of libvirt in an update. */
#include "update-internal.h"

/** lu_domain_protect() - a guest that nobody runs is put out of libvirt's reach; 0 also if it is none of libvirt's */
int lu_domain_protect(struct lu_update *u, const char *uuid, struct lu_error *e);

/* A guest that has just come up beside others answers late; to take it for gone would cost it. */
#define LU_DOMAIN_ASK_USEC (40 * UINT64_C(1000000))

/** lu_domain_give_back() - libvirt gets the guest that the process @pid has, and that has answered at its monitor */
int lu_domain_give_back(struct lu_update *u, struct lu_vm *vm, pid_t pid, struct lu_error *e);

/** lu_domain_moved() - is the guest @i in a process, as its outcome says, of which libvirt's status file does not tell? */
bool lu_domain_moved(struct lu_update *u, size_t i);

/**
 * lu_domains_release() - let libvirt go, if each guest that it should know it knows, and can reach none that waits
 *
 * What is in pkernfs decides, whichever update it is of: a guest of an earlier one may still be without its status file.
 *
 * Return: 0, also if libvirt does not stand aside; -EBUSY, with whose guest is in the way.
 */
int lu_domains_release(struct lu_update *u, struct lu_error *e);

/** lu_domains_settle() - while no update runs: if libvirt still stands aside, ask those it does not know, and try to let it go */
void lu_domains_settle(struct lu_update *u);

/**
 * lu_domain_restore_begin() - before a domain's state is restored by request: libvirt steps aside, its memory comes back
 *
 * Return: 1 there is nothing to wait for, 0 @done will be called, or a negative errno.
 */
int lu_domain_restore_begin(struct lu_update *u, lu_worker_done_t done, void *userdata, struct lu_error *e);

/** lu_domain_restore_end() - afterwards, whether or not it runs: libvirt comes back and knows of it what is true */
void lu_domain_restore_end(struct lu_update *u);

/** lu_domain_adopt() - have machined know a domain's process again (@wait: until it does); false: it is no domain of machined's */
bool lu_domain_adopt(struct lu_update *u, const char *uuid, pid_t pid, bool wait);

/** lu_domain_note_groups() - keep what is set in the control groups that libvirt has made for it; a failure is logged */
void lu_domain_note_groups(struct lu_update *u, size_t i);
