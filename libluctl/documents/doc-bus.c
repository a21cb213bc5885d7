// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The tables of doc-bus.h. Keys, types, bounds and nullability here are those of
 * schemas/, one table an object; tests/unit/cli/check-schemas gives both the same
 * examples, valid and invalid, and wants the same verdicts.
 *
 * Conventions: every key is required, as in the schemas. null becomes NULL for text
 * and objects, 0 for a pid, LUCTL_UNKNOWN for times, -1 for enums. Whoever adds a key
 * adds it in three places: schema, examples, this table; and fills it in.
 */
#include "doc-bus.h"
#include "documents-internal.h"

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

/* Not known to earlier minors, where every VM was required */
#define POLICY(_struct)                                                                                              \
	{                                                                                                            \
		.key = "policy", .type = LU_JSON_ENUM, .offset = offsetof(_struct, policy), .names = lu_vm_policies, \
		.def = LU_VM_REQUIRED, .since = LU_JSON_AT(1, 1)                                                     \
	}

/* vm-info, vm-list */

static const struct lu_json_field ram_fields[] = {
	TEXT("path", struct luctl_ram, path, R),
	UINT("size", struct luctl_ram, size),
};
static const struct lu_json_table ram_table = LU_JSON_TABLE("ram", struct luctl_ram, ram_fields);

static const struct lu_json_field vm_fields[] = {
	NAME(struct luctl_vm),
	UUID("uuid", struct luctl_vm, uuid, N),
	TEXT("qmp", struct luctl_vm, qmp, N),
	TEXT("unit", struct luctl_vm, unit, N),
	{ .key = "pid", .type = LU_JSON_UINT, .offset = offsetof(struct luctl_vm, pid), .flags = N, .min = 1 },
	ENUM("state", struct luctl_vm, state, R, lu_doc_vm_states),
	BOOL("updatable", struct luctl_vm, updatable),
	ERROR("reason", struct luctl_vm, reason),
	LIST("ram", struct luctl_vm, ram, n_ram, &ram_table, LU_DOC_RAM_MAX),
	{ .key = "keeper",
	  .type = LU_JSON_UINT,
	  .offset = offsetof(struct luctl_vm, keeper),
	  .flags = LU_JSON_NULLABLE,
	  .min = 1 },
	{ .key = "devices",
	  .type = LU_JSON_STRINGS,
	  .offset = offsetof(struct luctl_vm, devices),
	  .max = LU_DOC_DEVICES_MAX },
	ENUM("restored_by", struct luctl_vm, restored_by, N, lu_doc_restorers),
	POLICY(struct luctl_vm),
};
static const struct lu_json_table vm_member_table = LU_JSON_TABLE("vm", struct luctl_vm, vm_fields);
const struct lu_json_table lu_doc_vm_table = LU_JSON_DOCUMENT_AT("vm-info", struct luctl_vm, vm_fields, 1, 1);

static const struct lu_json_field vms_fields[] = {
	LIST("vms", struct lu_doc_vms, vm, n, &vm_member_table, LU_DOC_VMS_MAX),
};
const struct lu_json_table lu_doc_vms_table = LU_JSON_DOCUMENT_AT("vm-list", struct lu_doc_vms, vms_fields, 1, 1);

/* status */

static const struct lu_json_field update_fields[] = {
	UUID("id", struct lu_doc_update, id, R),
	TEXT("kernel", struct lu_doc_update, kernel, R),
	UINT("since_usec", struct lu_doc_update, since),
};
static const struct lu_json_table update_table = LU_JSON_TABLE("update", struct lu_doc_update, update_fields);

static const struct lu_json_field pkernfs_fields[] = {
	TEXT("path", struct lu_doc_pkernfs, path, R),
	BOOL("mounted", struct lu_doc_pkernfs, mounted),
	UINT("size", struct lu_doc_pkernfs, size),
	UINT("free", struct lu_doc_pkernfs, free),
	{ .key = "bad_pages",
	  .type = LU_JSON_UINT,
	  .offset = offsetof(struct lu_doc_pkernfs, bad_pages),
	  .flags = LU_JSON_NULLABLE,
	  .def = -1,
	  .since = LU_JSON_AT(1, 1) },
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
	TEXT("kernel", struct lu_doc_status, kernel, R),
	TEXT("daemon", struct lu_doc_status, daemon, R),
	OBJECT("pkernfs", struct lu_doc_status, pkernfs, &pkernfs_table),
	OBJECT("vms", struct lu_doc_status, vms, &vm_counts_table),
	ERROR("error", struct lu_doc_status, error),
};
const struct lu_json_table lu_doc_status_table =
	LU_JSON_DOCUMENT_AT("status", struct lu_doc_status, status_fields, 1, 1);

/* check */

static const struct lu_json_field finding_fields[] = {
	ENUM("level", struct luctl_finding, level, R, lu_doc_levels),
	TEXT("object", struct luctl_finding, object, R),
	TEXT("what", struct luctl_finding, what, R),
	TEXT("hint", struct luctl_finding, hint, N),
};
static const struct lu_json_table finding_table = LU_JSON_TABLE("finding", struct luctl_finding, finding_fields);

static const struct lu_json_field check_fields[] = {
	TEXT("kernel", struct lu_doc_check, kernel, R),
	TEXT_UP_TO("release", struct lu_doc_check, release, N, 64),
	BOOL("ok", struct lu_doc_check, ok),
	LIST("findings", struct lu_doc_check, finding, n, &finding_table, 4096),
};
const struct lu_json_table lu_doc_check_table = LU_JSON_DOCUMENT("check", struct lu_doc_check, check_fields, 1);

/* plan */

static const struct lu_json_field reason_fields[] = {
	TEXT("what", struct luctl_reason, what, R),
	TEXT("hint", struct luctl_reason, hint, N),
};
static const struct lu_json_table reason_table = LU_JSON_TABLE("reason", struct luctl_reason, reason_fields);

static const struct lu_json_field device_verdict_fields[] = {
	STRING("address", struct luctl_device_verdict, address, R, 32),
	BOOL("goes_on", struct luctl_device_verdict, goes_on),
	LIST("reasons", struct luctl_device_verdict, reason, n_reasons, &reason_table, LU_DOC_REASONS_MAX),
};
static const struct lu_json_table device_verdict_table =
	LU_JSON_TABLE("device", struct luctl_device_verdict, device_verdict_fields);

static const struct lu_json_field predicted_fields[] = {
	UINT_OR_NULL("blackout_usec", struct lu_doc_predicted, blackout),
	ENUM("basis", struct lu_doc_predicted, basis, R, lu_doc_bases),
	TEXT("text", struct lu_doc_predicted, text, R),
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
	TEXT("late", struct luctl_vm_verdict, late, N),
	LIST("reasons", struct luctl_vm_verdict, reason, n_reasons, &reason_table, LU_DOC_REASONS_MAX),
	LIST("devices", struct luctl_vm_verdict, device, n_devices, &device_verdict_table, LU_DOC_DEVICES_MAX),
	PREDICTED(struct luctl_vm_verdict),
	POLICY(struct luctl_vm_verdict),
};
static const struct lu_json_table vm_verdict_table = LU_JSON_TABLE("vm", struct luctl_vm_verdict, vm_verdict_fields);

static const struct lu_json_field plan_fields[] = {
	TEXT("kernel", struct lu_doc_plan, kernel, N),
	TEXT_UP_TO("release", struct lu_doc_plan, release, N, 64),
	BOOL("ok", struct lu_doc_plan, ok),
	LIST("findings", struct lu_doc_plan, finding, n_findings, &finding_table, 4096),
	LIST("vms", struct lu_doc_plan, vm, n_vms, &vm_verdict_table, LU_DOC_VMS_MAX),
	PREDICTED(struct lu_doc_plan),
};
const struct lu_json_table lu_doc_plan_table = LU_JSON_DOCUMENT_AT("plan", struct lu_doc_plan, plan_fields, 1, 1);
