/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* /etc/luctl/vms.d/NAME.json (schema vm): the declaration of a VM, written by the administrator. */
#include "json.h"

/* What is done about the guest's clock, which stands still while the guest does. */
enum lu_vm_clock {
	LU_VM_CLOCK_DEFAULT = -1, /* agent if its socket is known, else leave */
	LU_VM_CLOCK_LEAVE,
	LU_VM_CLOCK_AGENT, /* set by the QEMU guest agent */
};

/** struct lu_vm_def - NAME.json, schema vm */
struct lu_vm_def {
	char *name;
	char *uuid;
	char *qmp;
	char *unit;
	uint64_t pid;
	char *agent; /* socket of the guest agent, or NULL */
	int clock;   /* enum lu_vm_clock */
};

extern const struct lu_json_table lu_vm_def_table;
