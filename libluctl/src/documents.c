// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The tables of documents.h. Keys, types, bounds and nullability here are those of
 * schemas/, one table an object; tests/unit/cli/check-schemas gives both the same
 * examples, valid and invalid, and wants the same verdicts.
 *
 * Conventions: every key is required, as in the schemas. null becomes NULL for text
 * and objects, 0 for a pid, LUCTL_UNKNOWN for times, -1 for enums. Whoever adds a key
 * adds it in four places: schema, examples, this table, the daemon's encoder.
 */
#include "documents.h"

#define NAME_EXPECTED "a name of up to 64 of [A-Za-z0-9_.-]"
#define R LU_JSON_REQUIRED
#define N (LU_JSON_REQUIRED | LU_JSON_NULLABLE)
#define TEXT_MAX 4096

const char *const lu_doc_states[] = { "idle",      "checking", "loading",   "preparing", "pausing",
				      "saving",    "sealing",  "jump",      "booted",    "adopting",
				      "restoring", "resuming", "finishing", "done",      "aborting",
				      "aborted",   "degraded", "examining", "replacing", NULL };
const char *const lu_doc_results[] = { "success", "aborted", "degraded", NULL };
const char *const lu_doc_vm_states[] = { "running", "paused", "unreachable", "saved", "lost", NULL };
const char *const lu_doc_restorers[] = { "lu-init", "luctld", NULL };
const char *const lu_doc_levels[] = { "ok", "warning", "error", NULL };
const char *const lu_doc_verdicts[] = { "goes-along", "cannot", "left-out", "off", NULL };
const char *const lu_doc_bases[] = { "own", "others", "unknown", NULL };
const char *const lu_doc_kinds[] = { "kernel", "vmm", NULL };
const char *const lu_doc_kernels[] = { "old", "new", NULL };
const char *const lu_doc_clock_policies[] = { "leave", "agent", NULL };
const char *const lu_doc_vm_results[] = { "running", "paused", "lost", NULL };

#define STRING(_key, _struct, _member, _flags, _max)                                                        \
	{                                                                                                   \
		.key = _key, .type = LU_JSON_STRING, .offset = offsetof(_struct, _member), .flags = _flags, \
		.max = _max                                                                                 \
	}
#define UINT(_key, _struct, _member)                                                                \
	{                                                                                           \
		.key = _key, .type = LU_JSON_UINT, .offset = offsetof(_struct, _member), .flags = R \
	}
/* null becomes LUCTL_UNKNOWN */
#define UINT_OR_NULL(_key, _struct, _member)                                                                   \
	{                                                                                                      \
		.key = _key, .type = LU_JSON_UINT, .offset = offsetof(_struct, _member), .flags = N, .def = -1 \
	}
#define BOOL(_key, _struct, _member)                                                                \
	{                                                                                           \
		.key = _key, .type = LU_JSON_BOOL, .offset = offsetof(_struct, _member), .flags = R \
	}
#define ENUM(_key, _struct, _member, _flags, _names)                                                                 \
	{                                                                                                            \
		.key = _key, .type = LU_JSON_ENUM, .offset = offsetof(_struct, _member), .flags = _flags, .def = -1, \
		.names = _names                                                                                      \
	}
#define ERROR(_key, _struct, _member)                                                                      \
	{                                                                                                  \
		.key = _key, .type = LU_JSON_OBJECT_PTR, .offset = offsetof(_struct, _member), .flags = N, \
		.table = &error_table                                                                      \
	}
#define NAME(_struct)                                                                                 \
	{                                                                                             \
		.key = "name", .type = LU_JSON_STRING, .offset = offsetof(_struct, name), .flags = R, \
		.check = lu_name_valid, .expect = NAME_EXPECTED                                       \
	}
#define UUID(_key, _struct, _member, _flags)                                                                \
	{                                                                                                   \
		.key = _key, .type = LU_JSON_STRING, .offset = offsetof(_struct, _member), .flags = _flags, \
		.check = lu_uuid_valid, .expect = "a UUID"                                                  \
	}
#define OBJECT(_key, _struct, _member, _table)                                                                         \
	{                                                                                                              \
		.key = _key, .type = LU_JSON_OBJECT, .offset = offsetof(_struct, _member), .flags = R, .table = _table \
	}
#define LIST(_key, _struct, _member, _count, _table, _max)                                              \
	{                                                                                               \
		.key = _key, .type = LU_JSON_OBJECTS, .offset = offsetof(_struct, _member), .flags = R, \
		.count_offset = offsetof(_struct, _count), .table = _table, .max = _max                 \
	}

static const struct lu_json_field error_fields[] = {
	STRING("what", struct lu_doc_error, what, R, TEXT_MAX),
	STRING("hint", struct lu_doc_error, hint, N, TEXT_MAX),
};
static const struct lu_json_table error_table = LU_JSON_TABLE("error", struct lu_doc_error, error_fields);

/* vm-info, vm-list */

static const struct lu_json_field ram_fields[] = {
	STRING("path", struct luctl_ram, path, R, TEXT_MAX),
	UINT("size", struct luctl_ram, size),
};
static const struct lu_json_table ram_table = LU_JSON_TABLE("ram", struct luctl_ram, ram_fields);

static const struct lu_json_field vm_fields[] = {
	NAME(struct luctl_vm),
	UUID("uuid", struct luctl_vm, uuid, N),
	STRING("qmp", struct luctl_vm, qmp, N, TEXT_MAX),
	STRING("unit", struct luctl_vm, unit, N, TEXT_MAX),
	{ .key = "pid", .type = LU_JSON_UINT, .offset = offsetof(struct luctl_vm, pid), .flags = N, .min = 1 },
	ENUM("state", struct luctl_vm, state, R, lu_doc_vm_states),
	BOOL("updatable", struct luctl_vm, updatable),
	ERROR("reason", struct luctl_vm, reason),
	LIST("ram", struct luctl_vm, ram, n_ram, &ram_table, 64),
	{ .key = "keeper",
	  .type = LU_JSON_UINT,
	  .offset = offsetof(struct luctl_vm, keeper),
	  .flags = LU_JSON_NULLABLE,
	  .min = 1 },
	{ .key = "devices", .type = LU_JSON_STRINGS, .offset = offsetof(struct luctl_vm, devices), .max = 64 },
	ENUM("restored_by", struct luctl_vm, restored_by, N, lu_doc_restorers),
};
static const struct lu_json_table vm_member_table = LU_JSON_TABLE("vm", struct luctl_vm, vm_fields);
const struct lu_json_table lu_doc_vm_table = LU_JSON_DOCUMENT("vm-info", struct luctl_vm, vm_fields, 1);

static const struct lu_json_field vms_fields[] = {
	LIST("vms", struct lu_doc_vms, vm, n, &vm_member_table, 4096),
};
const struct lu_json_table lu_doc_vms_table = LU_JSON_DOCUMENT("vm-list", struct lu_doc_vms, vms_fields, 1);

/* status */

static const struct lu_json_field update_fields[] = {
	UUID("id", struct lu_doc_update, id, R),
	STRING("kernel", struct lu_doc_update, kernel, R, TEXT_MAX),
	UINT("since_usec", struct lu_doc_update, since),
};
static const struct lu_json_table update_table = LU_JSON_TABLE("update", struct lu_doc_update, update_fields);

static const struct lu_json_field pkernfs_fields[] = {
	STRING("path", struct lu_doc_pkernfs, path, R, TEXT_MAX),
	BOOL("mounted", struct lu_doc_pkernfs, mounted),
	UINT("size", struct lu_doc_pkernfs, size),
	UINT("free", struct lu_doc_pkernfs, free),
};
static const struct lu_json_table pkernfs_table = LU_JSON_TABLE("pkernfs", struct lu_doc_pkernfs, pkernfs_fields);

static const struct lu_json_field vm_counts_fields[] = {
	UINT("total", struct lu_doc_vm_counts, total),
	UINT("updatable", struct lu_doc_vm_counts, updatable),
};
static const struct lu_json_table vm_counts_table = LU_JSON_TABLE("vms", struct lu_doc_vm_counts, vm_counts_fields);

static const struct lu_json_field status_fields[] = {
	ENUM("state", struct lu_doc_status, state, R, lu_doc_states),
	ENUM("result", struct lu_doc_status, result, N, lu_doc_results),
	{ .key = "update",
	  .type = LU_JSON_OBJECT_PTR,
	  .offset = offsetof(struct lu_doc_status, update),
	  .flags = N,
	  .table = &update_table },
	STRING("kernel", struct lu_doc_status, kernel, R, TEXT_MAX),
	STRING("daemon", struct lu_doc_status, daemon, R, TEXT_MAX),
	OBJECT("pkernfs", struct lu_doc_status, pkernfs, &pkernfs_table),
	OBJECT("vms", struct lu_doc_status, vms, &vm_counts_table),
	ERROR("error", struct lu_doc_status, error),
};
const struct lu_json_table lu_doc_status_table = LU_JSON_DOCUMENT("status", struct lu_doc_status, status_fields, 1);

/* check */

static const struct lu_json_field finding_fields[] = {
	ENUM("level", struct luctl_finding, level, R, lu_doc_levels),
	STRING("object", struct luctl_finding, object, R, TEXT_MAX),
	STRING("what", struct luctl_finding, what, R, TEXT_MAX),
	STRING("hint", struct luctl_finding, hint, N, TEXT_MAX),
};
static const struct lu_json_table finding_table = LU_JSON_TABLE("finding", struct luctl_finding, finding_fields);

static const struct lu_json_field check_fields[] = {
	STRING("kernel", struct lu_doc_check, kernel, R, TEXT_MAX),
	STRING("release", struct lu_doc_check, release, N, 64),
	BOOL("ok", struct lu_doc_check, ok),
	LIST("findings", struct lu_doc_check, finding, n, &finding_table, 4096),
};
const struct lu_json_table lu_doc_check_table = LU_JSON_DOCUMENT("check", struct lu_doc_check, check_fields, 1);

/* plan */

static const struct lu_json_field reason_fields[] = {
	STRING("what", struct luctl_reason, what, R, TEXT_MAX),
	STRING("hint", struct luctl_reason, hint, N, TEXT_MAX),
};
static const struct lu_json_table reason_table = LU_JSON_TABLE("reason", struct luctl_reason, reason_fields);

static const struct lu_json_field device_verdict_fields[] = {
	STRING("address", struct luctl_device_verdict, address, R, 32),
	BOOL("goes_on", struct luctl_device_verdict, goes_on),
	LIST("reasons", struct luctl_device_verdict, reason, n_reasons, &reason_table, 256),
};
static const struct lu_json_table device_verdict_table =
	LU_JSON_TABLE("device", struct luctl_device_verdict, device_verdict_fields);

static const struct lu_json_field predicted_fields[] = {
	UINT_OR_NULL("blackout_usec", struct lu_doc_predicted, blackout),
	ENUM("basis", struct lu_doc_predicted, basis, R, lu_doc_bases),
	STRING("text", struct lu_doc_predicted, text, R, TEXT_MAX),
};
static const struct lu_json_table predicted_table =
	LU_JSON_TABLE("predicted", struct lu_doc_predicted, predicted_fields);

#define PREDICTED(_struct)                                                                                          \
	{                                                                                                           \
		.key = "predicted", .type = LU_JSON_OBJECT_PTR, .offset = offsetof(_struct, predicted), .flags = N, \
		.table = &predicted_table                                                                           \
	}

static const struct lu_json_field vm_verdict_fields[] = {
	NAME(struct luctl_vm_verdict),
	UUID("uuid", struct luctl_vm_verdict, uuid, N),
	ENUM("verdict", struct luctl_vm_verdict, verdict, R, lu_doc_verdicts),
	STRING("late", struct luctl_vm_verdict, late, N, TEXT_MAX),
	LIST("reasons", struct luctl_vm_verdict, reason, n_reasons, &reason_table, 256),
	LIST("devices", struct luctl_vm_verdict, device, n_devices, &device_verdict_table, 64),
	PREDICTED(struct luctl_vm_verdict),
};
static const struct lu_json_table vm_verdict_table = LU_JSON_TABLE("vm", struct luctl_vm_verdict, vm_verdict_fields);

static const struct lu_json_field plan_fields[] = {
	STRING("kernel", struct lu_doc_plan, kernel, N, TEXT_MAX),
	STRING("release", struct lu_doc_plan, release, N, 64),
	BOOL("ok", struct lu_doc_plan, ok),
	LIST("findings", struct lu_doc_plan, finding, n_findings, &finding_table, 4096),
	LIST("vms", struct lu_doc_plan, vm, n_vms, &vm_verdict_table, 4096),
	PREDICTED(struct lu_doc_plan),
};
const struct lu_json_table lu_doc_plan_table = LU_JSON_DOCUMENT("plan", struct lu_doc_plan, plan_fields, 1);

/* report */

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
	STRING("qemu_from", struct luctl_vm_report, qemu_from, N, 64),
	STRING("qemu_to", struct luctl_vm_report, qemu_to, N, 64),
	ERROR("error", struct luctl_vm_report, error),
};
static const struct lu_json_table vm_report_table = LU_JSON_TABLE("vm", struct luctl_vm_report, vm_report_fields);

static const struct lu_json_field report_fields[] = {
	UUID("id", struct lu_doc_report, id, R),
	ENUM("kind", struct lu_doc_report, kind, R, lu_doc_kinds),
	ENUM("result", struct lu_doc_report, result, R, lu_doc_results),
	STRING("from", struct lu_doc_report, from, R, 64),
	STRING("to", struct lu_doc_report, to, N, 64),
	UINT("started_realtime_usec", struct lu_doc_report, started),
	UINT("duration_usec", struct lu_doc_report, duration),
	UINT("tsc_khz", struct lu_doc_report, tsc_khz),
	UINT_OR_NULL("blackout_usec", struct lu_doc_report, blackout),
	UINT_OR_NULL("predicted_usec", struct lu_doc_report, predicted),
	LIST("phases", struct lu_doc_report, phase, n_phases, &phase_table, 256),
	LIST("vms", struct lu_doc_report, vm, n_vms, &vm_report_table, 4096),
	ERROR("error", struct lu_doc_report, error),
};
const struct lu_json_table lu_doc_report_table = LU_JSON_DOCUMENT("report", struct lu_doc_report, report_fields, 1);
