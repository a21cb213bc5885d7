// SPDX-License-Identifier: LGPL-2.1-or-later
#include "doc-journal.h"

#define R LU_JSON_REQUIRED
#define N (LU_JSON_REQUIRED | LU_JSON_NULLABLE)
#define NAME_MAX_BYTES 4095
#define ARGS_MAX 2056 /* six, or two and the vectors of MSI-X */
#define CALLS_MAX 262144

#define FIELD(_struct, _key, _type, _flags, ...)                                  \
	{                                                                         \
#_key, _type, offsetof(struct _struct, _key), _flags, __VA_ARGS__ \
	}
#define LIST(_struct, _key, _max)                                                                    \
	FIELD(_struct, _key, LU_JSON_OBJECTS, R, .count_offset = offsetof(struct _struct, n_##_key), \
	      .table = &_key##_table, .max = _max)

static const char *const levels[] = { "ok", "warning", "error", NULL };

static const struct lu_json_field arg_fields[] = {
	FIELD(lu_doc_call_arg, name, LU_JSON_STRING, R, .min = 1, .max = 32),
	FIELD(lu_doc_call_arg, value, LU_JSON_UINT, N, .def = -1),
	FIELD(lu_doc_call_arg, text, LU_JSON_STRING, R, .max = NAME_MAX_BYTES),
};
static const struct lu_json_table args_table = LU_JSON_TABLE("argument", struct lu_doc_call_arg, arg_fields);

static const struct lu_json_field result_fields[] = {
	FIELD(lu_doc_call_result, tsc, LU_JSON_UINT, R),
	FIELD(lu_doc_call_result, boot, LU_JSON_UINT, R),
	FIELD(lu_doc_call_result, error, LU_JSON_INT, R, .min = INT32_MIN, .max = INT32_MAX),
	FIELD(lu_doc_call_result, id, LU_JSON_UINT, N, .def = -1),
};
static const struct lu_json_table results_table = LU_JSON_TABLE("result", struct lu_doc_call_result, result_fields);

static const struct lu_json_field call_fields[] = {
	FIELD(lu_doc_call, number, LU_JSON_UINT, R, .min = 1, .max = CALLS_MAX),
	FIELD(lu_doc_call, object, LU_JSON_STRING, R, .max = NAME_MAX_BYTES),
	FIELD(lu_doc_call, object_id, LU_JSON_INT32, R),
	FIELD(lu_doc_call, file, LU_JSON_UINT, R, .max = UINT32_MAX),
	FIELD(lu_doc_call, call, LU_JSON_STRING, R, .min = 1, .max = 64),
	FIELD(lu_doc_call, request, LU_JSON_UINT, N, .def = -1),
	LIST(lu_doc_call, args, ARGS_MAX),
	FIELD(lu_doc_call, id, LU_JSON_UINT, N, .def = -1),
	FIELD(lu_doc_call, text, LU_JSON_STRING, R | LU_JSON_TEXT, .min = 1, .max = LU_DOC_TEXT_MAX),
	LIST(lu_doc_call, results, CALLS_MAX),
};
static const struct lu_json_table calls_table = LU_JSON_TABLE("call", struct lu_doc_call, call_fields);

static const struct lu_json_field finding_fields[] = {
	FIELD(lu_doc_journal_finding, level, LU_JSON_ENUM, R, .names = levels),
	FIELD(lu_doc_journal_finding, object, LU_JSON_STRING, R | LU_JSON_TEXT, .min = 1, .max = LU_DOC_TEXT_MAX),
	FIELD(lu_doc_journal_finding, what, LU_JSON_STRING, R | LU_JSON_TEXT, .min = 1, .max = LU_DOC_TEXT_MAX),
	FIELD(lu_doc_journal_finding, hint, LU_JSON_STRING, N | LU_JSON_TEXT, .max = LU_DOC_TEXT_MAX),
};
static const struct lu_json_table findings_table =
	LU_JSON_TABLE("finding", struct lu_doc_journal_finding, finding_fields);

static const struct lu_json_field journal_fields[] = {
	FIELD(lu_doc_journal, source, LU_JSON_STRING, R | LU_JSON_TEXT, .min = 1, .max = LU_DOC_TEXT_MAX),
	FIELD(lu_doc_journal, ok, LU_JSON_BOOL, R),
	FIELD(lu_doc_journal, vm, LU_JSON_STRING, N, .check = lu_uuid_valid, .expect = "a UUID"),
	FIELD(lu_doc_journal, boot_id, LU_JSON_STRING, N, .check = lu_uuid_valid, .expect = "a UUID"),
	FIELD(lu_doc_journal, written_usec, LU_JSON_UINT, N, .def = -1),
	FIELD(lu_doc_journal, tsc, LU_JSON_UINT, N, .def = -1),
	FIELD(lu_doc_journal, compat, LU_JSON_UINT, N, .def = -1),
	FIELD(lu_doc_journal, sum, LU_JSON_UINT, N, .def = -1),
	LIST(lu_doc_journal, calls, CALLS_MAX),
	LIST(lu_doc_journal, findings, 16),
};
const struct lu_json_table lu_doc_journal_table = LU_JSON_DOCUMENT("journal", struct lu_doc_journal, journal_fields, 1);
