/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The documents of the bus as structs, and the tables that decode them. They say in
 * C what schemas/{status,vm-info,vm-list,check,plan,report}.schema.json say; a test holds
 * both against the same examples.
 */
#include "json.h"
#include "luctl/luctl.h"

#define LU_DOCUMENT_MAX (16u << 20) /* bytes; 4096 VMs of 1 kB: 4 MiB */

struct lu_doc_error {
	char *what;
	char *hint;
};

struct luctl_ram {
	char *path;
	uint64_t size;
};

struct luctl_vm {
	char *name, *uuid, *qmp, *unit;
	uint64_t pid;
	int state;
	bool updatable;
	struct lu_doc_error *reason;
	struct luctl_ram *ram;
	size_t n_ram;
	char **devices;
	uint64_t keeper;
	int restored_by;
	char *json; /* only of a document of its own */
};

struct lu_doc_vms {
	struct luctl_vm *vm;
	size_t n;
};

struct lu_doc_update {
	char *id, *kernel;
	uint64_t since;
};

struct lu_doc_pkernfs {
	char *path;
	bool mounted;
	uint64_t size, free;
};

struct lu_doc_vm_counts {
	uint64_t total, updatable;
};

struct lu_doc_status {
	int state, result;
	struct lu_doc_update *update;
	char *kernel, *daemon;
	struct lu_doc_pkernfs pkernfs;
	struct lu_doc_vm_counts vms;
	struct lu_doc_error *error;
};

struct luctl_finding {
	int level;
	char *object, *what, *hint;
};

struct lu_doc_check {
	char *kernel, *release;
	bool ok;
	struct luctl_finding *finding;
	size_t n;
};

struct luctl_reason {
	char *what, *hint;
};

struct luctl_device_verdict {
	char *address;
	bool goes_on;
	struct luctl_reason *reason;
	size_t n_reasons;
};

struct lu_doc_predicted {
	uint64_t blackout;
	int basis;
	char *text;
};

struct luctl_vm_verdict {
	char *name, *uuid, *late;
	int verdict;
	struct luctl_reason *reason;
	size_t n_reasons;
	struct luctl_device_verdict *device;
	size_t n_devices;
	struct lu_doc_predicted *predicted;
};

struct lu_doc_plan {
	char *kernel, *release;
	bool ok;
	struct luctl_finding *finding;
	size_t n_findings;
	struct luctl_vm_verdict *vm;
	size_t n_vms;
	struct lu_doc_predicted *predicted;
};

struct luctl_phase {
	char *name;
	int kernel;
	uint64_t start, duration;
};

struct lu_doc_clock {
	int policy;
	int64_t behind;
	struct lu_doc_error *error;
};

struct luctl_vm_report {
	char *name, *uuid;
	int result, by;
	uint64_t pause, resume, blackout, predicted;
	struct lu_doc_clock *clock;
	char *qemu_from, *qemu_to;
	struct lu_doc_error *error;
};

struct lu_doc_report {
	char *id, *from, *to;
	int kind, result;
	uint64_t started, duration, tsc_khz, blackout, predicted;
	struct luctl_phase *phase;
	size_t n_phases;
	struct luctl_vm_report *vm;
	size_t n_vms;
	struct lu_doc_error *error;
};

extern const struct lu_json_table lu_doc_status_table, lu_doc_vm_table, lu_doc_vms_table, lu_doc_check_table,
	lu_doc_plan_table, lu_doc_report_table;

/* Names of the enums, indexed by what the structs hold; -1 is null. */
extern const char *const lu_doc_states[],
	*const lu_doc_results[],
		*const lu_doc_vm_states[],
			*const lu_doc_restorers[],
				*const lu_doc_levels[],
					*const lu_doc_verdicts[],
						*const lu_doc_bases[],
							*const lu_doc_kinds[],
								*const lu_doc_kernels[],
									*const lu_doc_vm_results[],
										*const lu_doc_clock_policies[];
