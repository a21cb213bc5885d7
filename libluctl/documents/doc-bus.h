/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What the bus hands out: status, vm-info, vm-list, check, plan. Objects of the library are these structs as they are.
 * A number that is not known is UINT64_MAX, the library's LUCTL_UNKNOWN.
 */
#include "doc-vm.h"
#include "documents.h"

#define LU_DOC_VMS_MAX 4096 /* elements of lists */
#define LU_DOC_RAM_MAX 64
#define LU_DOC_DEVICES_MAX 64
#define LU_DOC_REASONS_MAX 256

struct luctl_ram {
	char *path;
	uint64_t size;
};

struct luctl_vm {
	char *name, *uuid, *qmp, *unit;
	uint64_t pid;
	int state;
	bool updatable;
	int policy; /* enum lu_vm_policy */
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
	uint64_t bad_pages; /* UINT64_MAX: the kernel does not tell */
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
	int policy; /* enum lu_vm_policy */
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

extern const struct lu_json_table lu_doc_status_table, lu_doc_vm_table, lu_doc_vms_table, lu_doc_check_table,
	lu_doc_plan_table;

/* Names of the enums, indexed by what the structs hold; -1 is null. */
extern const char *const lu_doc_states[];
extern const char *const lu_doc_results[];
extern const char *const lu_doc_vm_states[];
extern const char *const lu_doc_restorers[];
extern const char *const lu_doc_levels[];
extern const char *const lu_doc_verdicts[];
extern const char *const lu_doc_bases[];
