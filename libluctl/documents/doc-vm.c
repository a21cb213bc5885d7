// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "doc-vm.h"
#include "documents.h"

static bool qmp_valid(const char *s)
{
	return s[0] == '/' && strlen(s) <= 107; /* sun_path */
}

static const char *const clock_names[] = { "leave", "agent", NULL };

const char *const lu_vm_policies[] = { "required", "best-effort", "excluded", NULL };

static const struct lu_json_field def_fields[] = {
	{ "name", LU_JSON_STRING, offsetof(struct lu_vm_def, name), LU_JSON_REQUIRED, .check = lu_name_valid,
	  .expect = "a name of 1 to 64 of [A-Za-z0-9_.-]" },
	{ "uuid", LU_JSON_STRING, offsetof(struct lu_vm_def, uuid), LU_JSON_REQUIRED, .check = lu_uuid_valid,
	  .expect = "a UUID" },
	{ "qmp", LU_JSON_STRING, offsetof(struct lu_vm_def, qmp), LU_JSON_REQUIRED, .check = qmp_valid,
	  .expect = "the absolute path of a socket, of at most 107 bytes" },
	{ "unit", LU_JSON_STRING, offsetof(struct lu_vm_def, unit), LU_JSON_NULLABLE, .check = lu_unit_valid,
	  .expect = "the name of a unit" },
	{ "pid", LU_JSON_UINT, offsetof(struct lu_vm_def, pid), LU_JSON_NULLABLE, .min = 1, .max = 1 << 22 },
	{ "agent", LU_JSON_STRING, offsetof(struct lu_vm_def, agent), LU_JSON_NULLABLE, .check = qmp_valid,
	  .expect = "the absolute path of a socket, of at most 107 bytes" },
	{ "clock", LU_JSON_ENUM, offsetof(struct lu_vm_def, clock), LU_JSON_NULLABLE, .names = clock_names,
	  .def = LU_VM_CLOCK_DEFAULT },
	{ "policy", LU_JSON_ENUM, offsetof(struct lu_vm_def, policy), LU_JSON_NULLABLE, .names = lu_vm_policies,
	  .def = LU_VM_REQUIRED, .since = LU_JSON_AT(1, 1) },
	{ "max_blackout_usec", LU_JSON_UINT, offsetof(struct lu_vm_def, max_blackout_usec), LU_JSON_NULLABLE, .min = 1,
	  .max = LU_VM_BLACKOUT_MAX, .since = LU_JSON_AT(1, 1) },
};
const struct lu_json_table lu_vm_def_table = LU_JSON_DOCUMENT_AT("vm", struct lu_vm_def, def_fields, 1, 1);
