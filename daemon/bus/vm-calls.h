/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* ListVMs and DescribeVM: calls that wait for VMs to answer. */
#include <systemd/sd-bus.h>

struct lu_update;
struct lu_update_env;
struct lu_vm_call;

/** struct lu_vm_calls - those that are under way; both pointers are borrowed */
struct lu_vm_calls {
	struct lu_update_env *env;
	struct lu_update *update;
	struct lu_vm_call *first;
};

/**
 * lu_vm_call_start() - answer @m when all VMs, or the one with the name or UUID @key, have answered
 *
 * VMs are asked anew, and what somebody else asks them is waited for, so that the answer is fresh. During an update it
 * is what is known. Return: 1, it is or will be answered; -ENOMEM.
 */
int lu_vm_call_start(struct lu_vm_calls *calls, sd_bus_message *m, const char *key);

/** lu_vm_calls_clear() - drop those that still wait, unanswered */
void lu_vm_calls_clear(struct lu_vm_calls *calls);
