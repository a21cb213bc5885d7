// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <unistd.h>

#include "request.h"

#define REQUEST_PATH "update/request.json"
#define REQUEST_MAX (1u << 20)

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
	{ "kernel", LU_JSON_STRING, offsetof(struct lu_request_doc, kernel), LU_JSON_REQUIRED },
	{ "initrd", LU_JSON_STRING, offsetof(struct lu_request_doc, initrd), LU_JSON_REQUIRED | LU_JSON_NULLABLE },
	{ "cmdline", LU_JSON_STRING, offsetof(struct lu_request_doc, cmdline), LU_JSON_REQUIRED },
	{ "from", LU_JSON_STRING, offsetof(struct lu_request_doc, from), LU_JSON_REQUIRED },
	{ "vms", LU_JSON_OBJECTS, offsetof(struct lu_request_doc, vms), LU_JSON_REQUIRED, .max = 4096,
	  .table = &vm_table, .count_offset = offsetof(struct lu_request_doc, n_vms) },
	{ "excluded", LU_JSON_STRINGS, offsetof(struct lu_request_doc, excluded), LU_JSON_REQUIRED, .max = 4096 },
	{ "restores", LU_JSON_UINT, offsetof(struct lu_request_doc, restores), .max = LU_REQUEST_RESTORES_MAX },
};
static const struct lu_json_table doc_table = LU_JSON_DOCUMENT("request", struct lu_request_doc, doc_fields, 1);

size_t lu_request_restores(const struct lu_request_doc *doc)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return doc->restores ? (size_t)doc->restores : cpus > 0 ? (size_t)cpus : 1;
}

void lu_request_doc_clear(struct lu_request_doc *doc)
{
	lu_json_free(&doc_table, doc);
}

int lu_request_doc_read(int pkernfs_fd, struct lu_request_doc *ret, struct lu_error *e)
{
	return lu_json_load(pkernfs_fd, REQUEST_PATH, REQUEST_MAX, &doc_table, ret, e);
}

int lu_request_doc_write(int pkernfs_fd, const struct lu_request_doc *doc, struct lu_error *e)
{
	_cleanup_free_ char *text = NULL;
	int r;

	r = lu_json_encode_text(&doc_table, doc, &text, e);
	if (r < 0)
		return r;
	r = lu_write_file(pkernfs_fd, REQUEST_PATH, text, strlen(text), 0600);
	return r < 0 ? lu_error_set(e, r, "see luctl status for the space in pkernfs", REQUEST_PATH ": %s",
				    strerror(-r)) :
		       0;
}
