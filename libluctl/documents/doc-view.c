// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "doc-view.h"

static const char *const kinds[] = { "same", "bind", "fresh", "node", "absent", NULL };

static bool path_valid(const char *s)
{
	return s[0] == '/' && strlen(s) < 4096;
}

#define ID_MAX 0xfffffffeULL
static const struct lu_json_field mount_fields[] = {
	{ "path", LU_JSON_STRING, offsetof(struct lu_view_mount, path), LU_JSON_REQUIRED, .check = path_valid,
	  .expect = "an absolute path" },
	{ "kind", LU_JSON_ENUM, offsetof(struct lu_view_mount, kind), LU_JSON_REQUIRED, .names = kinds },
	{ "source", LU_JSON_STRING, offsetof(struct lu_view_mount, source), LU_JSON_NULLABLE, .check = path_valid,
	  .expect = "an absolute path" },
	{ "type", LU_JSON_STRING, offsetof(struct lu_view_mount, type), LU_JSON_NULLABLE, .min = 1, .max = 64 },
	{ "options", LU_JSON_STRING, offsetof(struct lu_view_mount, options), LU_JSON_NULLABLE, .max = 1024 },
	{ "flags", LU_JSON_STRINGS, offsetof(struct lu_view_mount, flags), LU_JSON_NULLABLE, .max = 16 },
	{ "optional", LU_JSON_BOOL, offsetof(struct lu_view_mount, optional), 0 },
	{ "mode", LU_JSON_UINT, offsetof(struct lu_view_mount, mode), 0, .max = 0177777 },
	{ "uid", LU_JSON_UINT, offsetof(struct lu_view_mount, uid), 0, .max = ID_MAX },
	{ "gid", LU_JSON_UINT, offsetof(struct lu_view_mount, gid), 0, .max = ID_MAX },
	{ "major", LU_JSON_UINT, offsetof(struct lu_view_mount, major), 0, .max = UINT32_MAX },
	{ "minor", LU_JSON_UINT, offsetof(struct lu_view_mount, minor), 0, .max = UINT32_MAX },
};
static const struct lu_json_table mount_table = LU_JSON_TABLE("mount", struct lu_view_mount, mount_fields);

static const struct lu_json_field entry_fields[] = {
	{ "path", LU_JSON_STRING, offsetof(struct lu_view_entry, path), LU_JSON_REQUIRED, .check = path_valid,
	  .expect = "an absolute path" },
	{ "target", LU_JSON_STRING, offsetof(struct lu_view_entry, target), LU_JSON_NULLABLE, .min = 1, .max = 4095 },
	{ "device", LU_JSON_STRING, offsetof(struct lu_view_entry, device), LU_JSON_NULLABLE, .min = 1, .max = 4095 },
	{ "label", LU_JSON_STRING, offsetof(struct lu_view_entry, label), LU_JSON_NULLABLE, .min = 1, .max = 4095 },
	{ "mode", LU_JSON_UINT, offsetof(struct lu_view_entry, mode), LU_JSON_REQUIRED, .max = 0177777 },
	{ "uid", LU_JSON_UINT, offsetof(struct lu_view_entry, uid), LU_JSON_REQUIRED, .max = ID_MAX },
	{ "gid", LU_JSON_UINT, offsetof(struct lu_view_entry, gid), LU_JSON_REQUIRED, .max = ID_MAX },
	{ "major", LU_JSON_UINT, offsetof(struct lu_view_entry, major), 0, .max = UINT32_MAX },
	{ "minor", LU_JSON_UINT, offsetof(struct lu_view_entry, minor), 0, .max = UINT32_MAX },
};
static const struct lu_json_table entry_table = LU_JSON_TABLE("entry", struct lu_view_entry, entry_fields);

static const struct lu_json_field view_fields[] = {
	{ "follows", LU_JSON_BOOL, offsetof(struct lu_view, follows), LU_JSON_REQUIRED },
	{ "mounts", LU_JSON_OBJECTS, offsetof(struct lu_view, mounts), LU_JSON_REQUIRED,
	  .count_offset = offsetof(struct lu_view, n_mounts), .max = LU_VIEW_MOUNTS_MAX, .table = &mount_table },
	{ "entries", LU_JSON_OBJECTS, offsetof(struct lu_view, entries), LU_JSON_REQUIRED,
	  .count_offset = offsetof(struct lu_view, n_entries), .max = LU_VIEW_ENTRIES_MAX, .table = &entry_table },
};
const struct lu_json_table lu_view_table = LU_JSON_TABLE("view", struct lu_view, view_fields);
