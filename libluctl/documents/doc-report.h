/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* update/report.json, and what GetReport returns (schema report). */
#include "documents.h"

#define LU_DOC_VM_PHASES_MAX 64 /* of one VM */

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
	struct luctl_phase *phase;
	size_t n_phases;
	struct lu_doc_error *error;
};

struct lu_doc_report {
	char *id, *from, *to;
	int kind, result;
	bool rehearsal;
	uint64_t started, duration, tsc_khz, blackout, predicted;
	struct luctl_phase *phase;
	size_t n_phases;
	struct luctl_vm_report *vm;
	size_t n_vms;
	struct luctl_left *left;
	size_t n_left;
	struct lu_doc_error *error;
};

extern const struct lu_json_table lu_doc_report_table;

extern const char *const lu_doc_kinds[];
extern const char *const lu_doc_kernels[];
extern const char *const lu_doc_vm_results[];
extern const char *const lu_doc_clock_policies[];
