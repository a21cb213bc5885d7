// SPDX-License-Identifier: LGPL-2.1-or-later
#include "doc-bus.h"
#include "doc-report.h"
#include "documents-internal.h"

const char *const lu_doc_kinds[] = { "kernel", "vmm", NULL };
const char *const lu_doc_kernels[] = { "old", "new", NULL };
const char *const lu_doc_clock_policies[] = { "leave", "agent", NULL };
const char *const lu_doc_vm_results[] = { "running", "paused", "lost", NULL };

static const struct lu_json_field phase_fields[] = {
	{ .key = "name",
	  .type = LU_JSON_STRING,
	  .offset = offsetof(struct luctl_phase, name),
	  .flags = R,
	  .min = 1,
	  .max = 32 },
	ENUM("kernel", struct luctl_phase, kernel, R, lu_doc_kernels),
	UINT("start_usec", struct luctl_phase, start),
	UINT("duration_usec", struct luctl_phase, duration),
};
static const struct lu_json_table phase_table = LU_JSON_TABLE("phase", struct luctl_phase, phase_fields);

static const struct lu_json_field clock_fields[] = {
	ENUM("policy", struct lu_doc_clock, policy, R, lu_doc_clock_policies),
	{ .key = "behind_usec", .type = LU_JSON_INT, .offset = offsetof(struct lu_doc_clock, behind), .flags = R },
	ERROR("error", struct lu_doc_clock, error),
};
static const struct lu_json_table clock_table = LU_JSON_TABLE("clock", struct lu_doc_clock, clock_fields);

static const struct lu_json_field vm_report_fields[] = {
	NAME(struct luctl_vm_report),
	UUID("uuid", struct luctl_vm_report, uuid, R),
	ENUM("result", struct luctl_vm_report, result, R, lu_doc_vm_results),
	ENUM("by", struct luctl_vm_report, by, N, lu_doc_restorers),
	UINT_OR_NULL("pause_usec", struct luctl_vm_report, pause),
	UINT_OR_NULL("resume_usec", struct luctl_vm_report, resume),
	UINT_OR_NULL("blackout_usec", struct luctl_vm_report, blackout),
	UINT_OR_NULL("predicted_usec", struct luctl_vm_report, predicted),
	{ .key = "clock",
	  .type = LU_JSON_OBJECT_PTR,
	  .offset = offsetof(struct luctl_vm_report, clock),
	  .flags = LU_JSON_NULLABLE,
	  .table = &clock_table },
	{ .key = "phases",
	  .type = LU_JSON_OBJECTS,
	  .offset = offsetof(struct luctl_vm_report, phase),
	  .count_offset = offsetof(struct luctl_vm_report, n_phases),
	  .table = &phase_table,
	  .max = LU_DOC_VM_PHASES_MAX,
	  .since = LU_JSON_AT(1, 2) },
	TEXT_UP_TO("qemu_from", struct luctl_vm_report, qemu_from, N, 64),
	TEXT_UP_TO("qemu_to", struct luctl_vm_report, qemu_to, N, 64),
	ERROR("error", struct luctl_vm_report, error),
};
static const struct lu_json_table vm_report_table = LU_JSON_TABLE("vm", struct luctl_vm_report, vm_report_fields);

static const struct lu_json_field report_fields[] = {
	UUID("id", struct lu_doc_report, id, R),
	ENUM("kind", struct lu_doc_report, kind, R, lu_doc_kinds),
	ENUM("result", struct lu_doc_report, result, R, lu_doc_results),
	{ .key = "rehearsal",
	  .type = LU_JSON_BOOL,
	  .offset = offsetof(struct lu_doc_report, rehearsal),
	  .since = LU_JSON_AT(1, 1) },
	TEXT_UP_TO("from", struct lu_doc_report, from, R, 64),
	TEXT_UP_TO("to", struct lu_doc_report, to, N, 64),
	UINT("started_realtime_usec", struct lu_doc_report, started),
	UINT("duration_usec", struct lu_doc_report, duration),
	UINT("tsc_khz", struct lu_doc_report, tsc_khz),
	UINT_OR_NULL("blackout_usec", struct lu_doc_report, blackout),
	UINT_OR_NULL("predicted_usec", struct lu_doc_report, predicted),
	LIST("phases", struct lu_doc_report, phase, n_phases, &phase_table, 256),
	LIST("vms", struct lu_doc_report, vm, n_vms, &vm_report_table, 4096),
	{ .key = "left_behind",
	  .type = LU_JSON_OBJECTS,
	  .offset = offsetof(struct lu_doc_report, left),
	  .count_offset = offsetof(struct lu_doc_report, n_left),
	  .table = &lu_doc_left_table,
	  .max = 4096,
	  .since = LU_JSON_AT(1, 2) },
	ERROR("error", struct lu_doc_report, error),
};
const struct lu_json_table lu_doc_report_table =
	LU_JSON_DOCUMENT_AT("report", struct lu_doc_report, report_fields, 1, 2);

static const struct lu_json_field entry_fields[] = {
	UUID("id", struct luctl_report_entry, id, R),
	ENUM("kind", struct luctl_report_entry, kind, R, lu_doc_kinds),
	ENUM("result", struct luctl_report_entry, result, R, lu_doc_results),
	BOOL("rehearsal", struct luctl_report_entry, rehearsal),
	TEXT_UP_TO("from", struct luctl_report_entry, from, R, 64),
	TEXT_UP_TO("to", struct luctl_report_entry, to, N, 64),
	UINT("started_realtime_usec", struct luctl_report_entry, started),
	UINT("duration_usec", struct luctl_report_entry, duration),
	UINT_OR_NULL("blackout_usec", struct luctl_report_entry, blackout),
	UINT("vms", struct luctl_report_entry, vms),
	UINT("lost", struct luctl_report_entry, lost),
	ERROR("error", struct luctl_report_entry, error),
};
static const struct lu_json_table entry_table = LU_JSON_TABLE("report", struct luctl_report_entry, entry_fields);

static const struct lu_json_field damage_fields[] = {
	TEXT_UP_TO("file", struct luctl_report_damage, file, R, 255),
	TEXT("what", struct luctl_report_damage, what, R),
};
static const struct lu_json_table damage_table = LU_JSON_TABLE("damage", struct luctl_report_damage, damage_fields);

static const struct lu_json_field reports_fields[] = {
	LIST("reports", struct lu_doc_reports, report, n_reports, &entry_table, LU_DOC_REPORTS_MAX),
	LIST("damaged", struct lu_doc_reports, damaged, n_damaged, &damage_table, LU_DOC_REPORTS_MAX),
};
const struct lu_json_table lu_doc_reports_table =
	LU_JSON_DOCUMENT("report-list", struct lu_doc_reports, reports_fields, 1);
