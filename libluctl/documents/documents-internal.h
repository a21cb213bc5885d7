/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Shorthands for the tables of what the bus hands out. null becomes NULL for text and objects, -1 for enums, UINT64_MAX for times. */
#include "documents.h"

#define NAME_EXPECTED "a name of up to 64 of [A-Za-z0-9_.-]"
#define R LU_JSON_REQUIRED
#define N (LU_JSON_REQUIRED | LU_JSON_NULLABLE)
#define TEXT_MAX LU_DOC_TEXT_MAX

#define STRING(_key, _struct, _member, _flags, _max)                                                        \
	{                                                                                                   \
		.key = _key, .type = LU_JSON_STRING, .offset = offsetof(_struct, _member), .flags = _flags, \
		.max = _max                                                                                 \
	}
#define TEXT_UP_TO(_key, _struct, _member, _flags, _max)                                                \
	{                                                                                               \
		.key = _key, .type = LU_JSON_STRING, .offset = offsetof(_struct, _member), .max = _max, \
		.flags = (_flags) | LU_JSON_TEXT                                                        \
	}
#define TEXT(_key, _struct, _member, _flags) TEXT_UP_TO(_key, _struct, _member, _flags, TEXT_MAX)
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
		.table = &lu_doc_error_table                                                               \
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

extern const struct lu_json_table lu_doc_error_table;
