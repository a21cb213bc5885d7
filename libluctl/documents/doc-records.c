// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "doc-records.h"

static bool by_valid(const char *s)
{
	return !strcmp(s, "lu-init") || !strcmp(s, "luctld");
}

static bool mode_valid(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= 32 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

#define UUID(_struct, _key)                                                                                      \
	{                                                                                                        \
#_key, LU_JSON_STRING, offsetof(struct _struct, _key), LU_JSON_REQUIRED, .check = lu_uuid_valid, \
											 .expect = "a UUID"      \
	}

static const struct lu_json_field saved_fields[] = {
	UUID(lu_saved, update),
	UUID(lu_saved, uuid),
	{ "name", LU_JSON_STRING, offsetof(struct lu_saved, name), LU_JSON_REQUIRED, .check = lu_name_valid,
	  .expect = "a name of [A-Za-z0-9_.-]" },
	{ "unit", LU_JSON_STRING, offsetof(struct lu_saved, unit), LU_JSON_NULLABLE, .check = lu_unit_valid,
	  .expect = "the name of a unit" },
	{ "running", LU_JSON_BOOL, offsetof(struct lu_saved, running), LU_JSON_REQUIRED },
	{ "mode", LU_JSON_STRING, offsetof(struct lu_saved, mode), LU_JSON_NULLABLE, .check = mode_valid,
	  .expect = "a migration mode" },
	{ "ignore_shared", LU_JSON_BOOL, offsetof(struct lu_saved, ignore_shared), LU_JSON_REQUIRED },
	{ "complete", LU_JSON_BOOL, offsetof(struct lu_saved, complete), LU_JSON_REQUIRED },
	{ "size", LU_JSON_UINT, offsetof(struct lu_saved, size), LU_JSON_REQUIRED, .max = 1ULL << 40 },
	{ "crc32", LU_JSON_UINT, offsetof(struct lu_saved, crc32), LU_JSON_REQUIRED, .max = UINT32_MAX },
	{ "index", LU_JSON_UINT, offsetof(struct lu_saved, index), LU_JSON_REQUIRED, .max = 0xffff },
	{ "pause_tsc", LU_JSON_UINT, offsetof(struct lu_saved, pause_tsc), LU_JSON_REQUIRED },
	{ "saved_tsc", LU_JSON_UINT, offsetof(struct lu_saved, saved_tsc), LU_JSON_REQUIRED },
	{ "pause_realtime_usec", LU_JSON_UINT, offsetof(struct lu_saved, pause_realtime_usec), 0, .max = INT64_MAX },
	{ "devices_size", LU_JSON_UINT, offsetof(struct lu_saved, devices_size), 0, .max = 1 << 24 },
	{ "devices_crc32", LU_JSON_UINT, offsetof(struct lu_saved, devices_crc32), 0, .max = UINT32_MAX },
};
const struct lu_json_table lu_saved_table = LU_JSON_DOCUMENT("saved", struct lu_saved, saved_fields, 1);

static const struct lu_json_field error_fields[] = {
	{ "what", LU_JSON_STRING, offsetof(struct lu_doc_error, what), LU_JSON_REQUIRED | LU_JSON_TEXT, .min = 1,
	  .max = LU_DOC_TEXT_MAX },
	{ "hint", LU_JSON_STRING, offsetof(struct lu_doc_error, hint), LU_JSON_NULLABLE | LU_JSON_TEXT,
	  .max = LU_DOC_TEXT_MAX },
};
static const struct lu_json_table error_table = LU_JSON_TABLE("error", struct lu_doc_error, error_fields);

#define STAMP(_key)                                                                            \
	{                                                                                      \
#_key, LU_JSON_UINT, offsetof(struct lu_result_stamps, _key), LU_JSON_REQUIRED \
	}
static const struct lu_json_field stamp_fields[] = {
	STAMP(start), STAMP(spawned), STAMP(connected), STAMP(loaded), STAMP(resumed),
};
static const struct lu_json_table stamp_table = LU_JSON_TABLE("stamps", struct lu_result_stamps, stamp_fields);

static const char *const status_names[] = { "loaded", "running", "paused", "failed", NULL };

static const struct lu_json_field result_fields[] = {
	UUID(lu_result, update),
	UUID(lu_result, uuid),
	UUID(lu_result, boot_id),
	{ "by", LU_JSON_STRING, offsetof(struct lu_result, by), LU_JSON_REQUIRED, .check = by_valid,
	  .expect = "\"lu-init\" or \"luctld\"" },
	{ "status", LU_JSON_ENUM, offsetof(struct lu_result, status), LU_JSON_REQUIRED, .names = status_names },
	{ "retry", LU_JSON_BOOL, offsetof(struct lu_result, retry), LU_JSON_REQUIRED },
	{ "pid", LU_JSON_UINT, offsetof(struct lu_result, pid), LU_JSON_REQUIRED | LU_JSON_NULLABLE, .max = 1 << 22 },
	{ "start_time", LU_JSON_UINT, offsetof(struct lu_result, start_time), LU_JSON_REQUIRED },
	{ "error", LU_JSON_OBJECT_PTR, offsetof(struct lu_result, error), LU_JSON_REQUIRED | LU_JSON_NULLABLE,
	  .table = &error_table },
	{ "stamps", LU_JSON_OBJECT, offsetof(struct lu_result, stamps), LU_JSON_REQUIRED, .table = &stamp_table },
};
const struct lu_json_table lu_result_table = LU_JSON_DOCUMENT("result", struct lu_result, result_fields, 1);

#define BEHIND_MAX (INT64_MAX / 2)
static const struct lu_json_field clock_fields[] = {
	UUID(lu_clock, update),
	{ "set", LU_JSON_BOOL, offsetof(struct lu_clock, set), LU_JSON_REQUIRED },
	{ "was_behind_usec", LU_JSON_INT, offsetof(struct lu_clock, was_behind_usec), LU_JSON_REQUIRED,
	  .min = -BEHIND_MAX, .max = BEHIND_MAX },
	{ "behind_usec", LU_JSON_INT, offsetof(struct lu_clock, behind_usec), LU_JSON_REQUIRED, .min = -BEHIND_MAX,
	  .max = BEHIND_MAX },
	{ "error", LU_JSON_OBJECT_PTR, offsetof(struct lu_clock, error), LU_JSON_REQUIRED | LU_JSON_NULLABLE,
	  .table = &error_table },
};
const struct lu_json_table lu_clock_table = LU_JSON_DOCUMENT("clock", struct lu_clock, clock_fields, 1);

static const struct lu_json_field setting_fields[] = {
	{ "name", LU_JSON_STRING, offsetof(struct lu_setting, name), LU_JSON_REQUIRED, .min = 1, .max = 255 },
	{ "value", LU_JSON_ANY, offsetof(struct lu_setting, value), LU_JSON_REQUIRED },
};
static const struct lu_json_table setting_table = LU_JSON_TABLE("setting", struct lu_setting, setting_fields);

static const struct lu_json_field settings_fields[] = {
	UUID(lu_settings, update),
	{ "capabilities", LU_JSON_OBJECTS, offsetof(struct lu_settings, capabilities), LU_JSON_REQUIRED,
	  .count_offset = offsetof(struct lu_settings, n_capabilities), .table = &setting_table, .max = 1024 },
	{ "parameters", LU_JSON_OBJECTS, offsetof(struct lu_settings, parameters), LU_JSON_REQUIRED,
	  .count_offset = offsetof(struct lu_settings, n_parameters), .table = &setting_table, .max = 1024 },
};
const struct lu_json_table lu_settings_table = LU_JSON_DOCUMENT("settings", struct lu_settings, settings_fields, 1);
