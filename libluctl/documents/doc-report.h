/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* update/report.json, what GetReport returns (schema report), and the list of such (schema report-list). */
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

#define LU_DOC_REPORTS_MAX 1024 /* in a list */

/* A report, in short. */
struct luctl_report_entry {
	char *id, *from, *to;
	int kind, result;
	bool rehearsal;
	uint64_t started, duration, blackout, vms, lost;
	struct lu_doc_error *error;
};

/* A file that is no report, or none that can be read. */
struct luctl_report_damage {
	char *file, *what;
};

struct lu_doc_reports {
	struct luctl_report_entry *report; /* newest first */
	size_t n_reports;
	struct luctl_report_damage *damaged;
	size_t n_damaged;
};

extern const struct lu_json_table lu_doc_reports_table;

extern const char *const lu_doc_kinds[];
extern const char *const lu_doc_kernels[];
extern const char *const lu_doc_vm_results[];
extern const char *const lu_doc_clock_policies[];
