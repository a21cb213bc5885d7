// SPDX-License-Identifier: LGPL-2.1-or-later
#include "doc-request.h"

static const struct lu_json_field vm_fields[] = {
	{ "name", LU_JSON_STRING, offsetof(struct lu_request_vm, name), LU_JSON_REQUIRED, .check = lu_name_valid,
	  .expect = "a name" },
	{ "uuid", LU_JSON_STRING, offsetof(struct lu_request_vm, uuid), LU_JSON_REQUIRED, .check = lu_uuid_valid,
	  .expect = "a UUID" },
	{ "predicted_usec", LU_JSON_UINT, offsetof(struct lu_request_vm, predicted_usec), LU_JSON_NULLABLE, .def = -1 },
};
static const struct lu_json_table vm_table = LU_JSON_TABLE("vm", struct lu_request_vm, vm_fields);

static const struct lu_json_field doc_fields[] = {
	{ "id", LU_JSON_STRING, offsetof(struct lu_request_doc, id), LU_JSON_REQUIRED, .check = lu_uuid_valid,
	  .expect = "a UUID" },
	{ "vmm", LU_JSON_BOOL, offsetof(struct lu_request_doc, vmm) },
	{ "rehearse", LU_JSON_BOOL, offsetof(struct lu_request_doc, rehearse), .since = LU_JSON_AT(1, 1) },
	{ "kernel", LU_JSON_STRING, offsetof(struct lu_request_doc, kernel), LU_JSON_REQUIRED },
	{ "initrd", LU_JSON_STRING, offsetof(struct lu_request_doc, initrd), LU_JSON_REQUIRED | LU_JSON_NULLABLE },
	{ "cmdline", LU_JSON_STRING, offsetof(struct lu_request_doc, cmdline), LU_JSON_REQUIRED },
	{ "from", LU_JSON_STRING, offsetof(struct lu_request_doc, from), LU_JSON_REQUIRED },
	{ "vms", LU_JSON_OBJECTS, offsetof(struct lu_request_doc, vms), LU_JSON_REQUIRED, .max = 4096,
	  .table = &vm_table, .count_offset = offsetof(struct lu_request_doc, n_vms) },
	{ "excluded", LU_JSON_STRINGS, offsetof(struct lu_request_doc, excluded), LU_JSON_REQUIRED, .max = 4096 },
	{ "left_behind", LU_JSON_OBJECTS, offsetof(struct lu_request_doc, left), .max = 4096,
	  .table = &lu_doc_left_table, .count_offset = offsetof(struct lu_request_doc, n_left),
	  .since = LU_JSON_AT(1, 2) },
	{ "left_memory", LU_JSON_STRINGS, offsetof(struct lu_request_doc, left_memory), .max = 4096,
	  .check = lu_relative_path_valid, .expect = "a path in pkernfs", .since = LU_JSON_AT(1, 3) },
	{ "restores", LU_JSON_UINT, offsetof(struct lu_request_doc, restores), .max = LU_REQUEST_RESTORES_MAX },
};
const struct lu_json_table lu_request_table = LU_JSON_DOCUMENT_AT("request", struct lu_request_doc, doc_fields, 1, 3);
