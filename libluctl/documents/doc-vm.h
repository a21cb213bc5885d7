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

/* What an update may cost. */
enum lu_vm_policy {
	LU_VM_REQUIRED,    /* it goes along, or there is no update */
	LU_VM_BEST_EFFORT, /* if it can't go along it is left behind, and the others go on */
	LU_VM_EXCLUDED,    /* as if it were excluded by name each time */
};

#define LU_VM_BLACKOUT_MAX (1000000ULL * 1000000) /* microseconds, as luctl update takes it */

/* Their names, by number */
extern const char *const lu_vm_policies[];

/** struct lu_vm_def - NAME.json, schema vm */
struct lu_vm_def {
	char *name;
	char *uuid;
	char *qmp;
	char *unit;
	uint64_t pid;
	char *agent;                /* socket of the guest agent, or NULL */
	int clock;                  /* enum lu_vm_clock */
	int policy;                 /* enum lu_vm_policy */
	uint64_t max_blackout_usec; /* 0: any */
};

extern const struct lu_json_table lu_vm_def_table;
