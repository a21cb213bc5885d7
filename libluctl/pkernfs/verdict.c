// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The table of the document (schemas/pkernfs.schema.json), and its struct's beginning and end. What nobody could find
 * out is LU_UNKNOWN in the struct and null in the document. What names of files are is the image's word: pk_safe() has
 * made valid UTF-8 of them, and findings and paths are cut where they are too long.
 */
#include <string.h>

#include "verdict.h"

#define R LU_JSON_REQUIRED
#define N (LU_JSON_REQUIRED | LU_JSON_NULLABLE)
#define TEXT_MAX 4096

const char *const lu_pkernfs_states[] = {
	[LU_PKERNFS_UNKNOWN] = "unknown",   [LU_PKERNFS_INTACT] = "intact",   [LU_PKERNFS_DAMAGED] = "damaged",
	[LU_PKERNFS_UNUSABLE] = "unusable", [LU_PKERNFS_UNUSABLE + 1] = NULL,
};
const char *const lu_pkernfs_seals[] = {
	[LU_SEAL_UNKNOWN] = "unknown",
	[LU_SEAL_OPEN] = "open",
	[LU_SEAL_SEALED] = "sealed",
	[LU_SEAL_SEALED + 1] = NULL,
};
static const char *const levels[] = { "ok", "warning", "error", NULL };

/* null is LU_UNKNOWN */
#define NUMBER(_key, _struct, _member)                                                                         \
	{                                                                                                      \
		.key = _key, .type = LU_JSON_UINT, .offset = offsetof(_struct, _member), .flags = N, .def = -1 \
	}
#define TEXT(_key, _struct, _member, _flags)                                                                \
	{                                                                                                   \
		.key = _key, .type = LU_JSON_STRING, .offset = offsetof(_struct, _member), .flags = _flags, \
		.max = TEXT_MAX                                                                             \
	}
/* Of a number that came with minor 1 */
#define NUMBER_1(_key, _struct, _member)                                                                            \
	{                                                                                                           \
		.key = _key, .type = LU_JSON_UINT, .offset = offsetof(_struct, _member), .flags = LU_JSON_NULLABLE, \
		.def = -1, .since = LU_JSON_AT(1, 1)                                                                \
	}
#define ENUM(_key, _struct, _member, _names)                                                                         \
	{                                                                                                            \
		.key = _key, .type = LU_JSON_ENUM, .offset = offsetof(_struct, _member), .flags = R, .names = _names \
	}

static const struct lu_json_field bad_file_fields[] = {
	{ .key = "inode", .type = LU_JSON_UINT, .offset = offsetof(struct lu_pkernfs_bad_file, ino), .flags = R },
	TEXT("path", struct lu_pkernfs_bad_file, path, N | LU_JSON_TEXT),
	{ .key = "pages", .type = LU_JSON_UINT, .offset = offsetof(struct lu_pkernfs_bad_file, pages), .flags = R },
	{ .key = "offsets",
	  .type = LU_JSON_UINTS,
	  .offset = offsetof(struct lu_pkernfs_bad_file, offset),
	  .flags = R,
	  .count_offset = offsetof(struct lu_pkernfs_bad_file, n_offset),
	  .max = LU_PKERNFS_BAD_OFFSETS },
};
static const struct lu_json_table bad_file_table =
	LU_JSON_TABLE("file with bad memory", struct lu_pkernfs_bad_file, bad_file_fields);

static const struct lu_json_field fs_fields[] = {
	TEXT("name", struct lu_pkernfs_fs, name, R),
	ENUM("state", struct lu_pkernfs_fs, state, lu_pkernfs_states),
	{ .key = "uuid",
	  .type = LU_JSON_STRING,
	  .offset = offsetof(struct lu_pkernfs_fs, uuid),
	  .flags = N,
	  .check = lu_uuid_valid,
	  .expect = "a UUID" },
	{ .key = "mounted", .type = LU_JSON_STRINGS, .offset = offsetof(struct lu_pkernfs_fs, mounted), .flags = R },
	NUMBER("format", struct lu_pkernfs_fs, version),
	NUMBER("compat", struct lu_pkernfs_fs, compat),
	NUMBER("ro_compat", struct lu_pkernfs_fs, ro_compat),
	NUMBER("incompat", struct lu_pkernfs_fs, incompat),
	NUMBER("node", struct lu_pkernfs_fs, node),
	NUMBER("limit", struct lu_pkernfs_fs, limit),
	NUMBER("pool", struct lu_pkernfs_fs, pool),
	NUMBER("used", struct lu_pkernfs_fs, used),
	NUMBER("available", struct lu_pkernfs_fs, available),
	NUMBER("files", struct lu_pkernfs_fs, files),
	NUMBER("directories", struct lu_pkernfs_fs, directories),
	NUMBER("others", struct lu_pkernfs_fs, others),
	NUMBER("unlinked", struct lu_pkernfs_fs, unlinked),
	NUMBER("small_blocks", struct lu_pkernfs_fs, small_blocks),
	NUMBER("huge_blocks", struct lu_pkernfs_fs, huge_blocks),
	NUMBER("metadata_pages", struct lu_pkernfs_fs, metadata_pages),
	ENUM("seal", struct lu_pkernfs_fs, seal, lu_pkernfs_seals),
	NUMBER("generation", struct lu_pkernfs_fs, generation),
	NUMBER("seal_duration_nsec", struct lu_pkernfs_fs, duration_nsec),
	NUMBER_1("bad_pages", struct lu_pkernfs_fs, bad_pages),
	NUMBER_1("bad_pages_unowned", struct lu_pkernfs_fs, bad_unowned),
	NUMBER_1("files_with_bad_pages", struct lu_pkernfs_fs, files_with_bad),
	{ .key = "bad_files",
	  .type = LU_JSON_OBJECTS,
	  .offset = offsetof(struct lu_pkernfs_fs, bad_file),
	  .count_offset = offsetof(struct lu_pkernfs_fs, n_bad_file),
	  .table = &bad_file_table,
	  .max = LU_PKERNFS_BAD_FILES,
	  .since = LU_JSON_AT(1, 1) },
};
static const struct lu_json_table fs_table = LU_JSON_TABLE("filesystem", struct lu_pkernfs_fs, fs_fields);

static const struct lu_json_field finding_fields[] = {
	ENUM("level", struct lu_finding, level, levels),
	TEXT("object", struct lu_finding, object, R),
	TEXT("what", struct lu_finding, what, R),
	TEXT("hint", struct lu_finding, hint, N),
};
static const struct lu_json_table finding_table = LU_JSON_TABLE("finding", struct lu_finding, finding_fields);

static const struct lu_json_field report_fields[] = {
	TEXT("source", struct lu_pkernfs_report, source, N),
	NUMBER("root", struct lu_pkernfs_report, root),
	{ .key = "ok", .type = LU_JSON_BOOL, .offset = offsetof(struct lu_pkernfs_report, ok), .flags = R },
	{ .key = "filesystems",
	  .type = LU_JSON_OBJECTS,
	  .offset = offsetof(struct lu_pkernfs_report, fs),
	  .flags = R,
	  .count_offset = offsetof(struct lu_pkernfs_report, n_fs),
	  .table = &fs_table,
	  .max = 1024 },
	{ .key = "findings",
	  .type = LU_JSON_OBJECTS,
	  .offset = offsetof(struct lu_pkernfs_report, findings.list),
	  .flags = R,
	  .count_offset = offsetof(struct lu_pkernfs_report, findings.n),
	  .table = &finding_table,
	  .max = LU_FINDINGS_MAX },
};
const struct lu_json_table lu_pkernfs_table =
	LU_JSON_DOCUMENT_AT("pkernfs", struct lu_pkernfs_report, report_fields, 1, 1);

struct lu_pkernfs_fs *lu_pkernfs_fs_add(struct lu_pkernfs_report *report, const char *name)
{
	struct lu_pkernfs_fs *fs = reallocarray(report->fs, report->n_fs + 1, sizeof(*fs));

	if (!fs)
		return NULL;
	report->fs = fs;
	fs += report->n_fs;
	*fs = (struct lu_pkernfs_fs){
		.name = strdup(name),
		.mounted = calloc(1, sizeof(char *)),
		.version = LU_UNKNOWN,
		.compat = LU_UNKNOWN,
		.ro_compat = LU_UNKNOWN,
		.incompat = LU_UNKNOWN,
		.node = LU_UNKNOWN,
		.limit = LU_UNKNOWN,
		.pool = LU_UNKNOWN,
		.used = LU_UNKNOWN,
		.available = LU_UNKNOWN,
		.files = LU_UNKNOWN,
		.directories = LU_UNKNOWN,
		.others = LU_UNKNOWN,
		.unlinked = LU_UNKNOWN,
		.small_blocks = LU_UNKNOWN,
		.huge_blocks = LU_UNKNOWN,
		.metadata_pages = LU_UNKNOWN,
		.generation = LU_UNKNOWN,
		.duration_nsec = LU_UNKNOWN,
		.bad_pages = LU_UNKNOWN,
		.bad_unowned = LU_UNKNOWN,
		.files_with_bad = LU_UNKNOWN,
	};
	if (!fs->name || !fs->mounted) {
		free(fs->name);
		free(fs->mounted);
		return NULL;
	}
	report->n_fs++;
	return fs;
}

int lu_pkernfs_report_text(struct lu_pkernfs_report *report, char **ret, struct lu_error *e)
{
	report->ok = lu_findings_ok(&report->findings);
	return lu_json_encode_text(&lu_pkernfs_table, report, ret, e);
}

void lu_pkernfs_report_clear(struct lu_pkernfs_report *report)
{
	lu_json_free(&lu_pkernfs_table, report);
	*report = LU_PKERNFS_REPORT_INIT;
}
