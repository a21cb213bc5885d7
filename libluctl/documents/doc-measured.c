// SPDX-License-Identifier: LGPL-2.1-or-later
#include "doc-measured.h"

#define F(s, m) offsetof(struct s, m), LU_JSON_REQUIRED
static const struct lu_json_field vm_fields[] = {
	{ "name", LU_JSON_STRING, F(lu_measured_vm, name), .check = lu_name_valid, .expect = "a name" },
	{ "uuid", LU_JSON_STRING, F(lu_measured_vm, uuid), .check = lu_uuid_valid, .expect = "a UUID" },
	{ "at_usec", LU_JSON_UINT, F(lu_measured_vm, at_usec) },
	{ "before_usec", LU_JSON_UINT, F(lu_measured_vm, before_usec) },
	{ "after_usec", LU_JSON_UINT, F(lu_measured_vm, after_usec) },
	{ "devices", LU_JSON_UINT, F(lu_measured_vm, devices) },
};
static const struct lu_json_table vm_table = LU_JSON_TABLE("vm", struct lu_measured_vm, vm_fields);

static const struct lu_json_field fields[] = {
	{ "at_usec", LU_JSON_UINT, F(lu_measured, at_usec) },
	{ "kexec_usec", LU_JSON_UINT, F(lu_measured, kexec_usec) },
	{ "kernel", LU_JSON_STRING, F(lu_measured, kernel) | LU_JSON_NULLABLE, .max = 64 },
	{ "vms_then", LU_JSON_UINT, F(lu_measured, vms_then) },
	{ "vms", LU_JSON_OBJECTS, F(lu_measured, vms), .max = LU_MEASURED_VMS_MAX, .table = &vm_table,
	  .count_offset = offsetof(struct lu_measured, n_vms) },
};
const struct lu_json_table lu_measured_table = LU_JSON_DOCUMENT("measured", struct lu_measured, fields, 1);
