/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Strict JSON on top of json-c. A document is described once, by a table of
 * fields, and the table decodes it into a struct, encodes the struct again and
 * frees it. Example:
 *
 *	struct disk { char *path; uint64_t size; bool ro; };
 *	struct vm { char *name, *uuid, *unit; int state; struct disk *disk; size_t n_disk; };
 *
 *	static const struct lu_json_field disk_fields[] = {
 *		{ "path", LU_JSON_STRING, offsetof(struct disk, path), LU_JSON_REQUIRED },
 *		{ "size", LU_JSON_UINT, offsetof(struct disk, size), LU_JSON_REQUIRED, .max = 1ULL << 50 },
 *		{ "ro", LU_JSON_BOOL, offsetof(struct disk, ro), .def = true },
 *	};
 *	static const struct lu_json_table disk_table = LU_JSON_TABLE("disk", struct disk, disk_fields);
 *	static const struct lu_json_field vm_fields[] = {
 *		{ "name", LU_JSON_STRING, offsetof(struct vm, name), LU_JSON_REQUIRED,
 *		  .check = lu_name_valid, .expect = "a name of [A-Za-z0-9_.-]" },
 *		{ "unit", LU_JSON_STRING, offsetof(struct vm, unit), LU_JSON_NULLABLE, .max = 255 },
 *		{ "state", LU_JSON_ENUM, offsetof(struct vm, state), .names = state_names, .def = STATE_OFF },
 *		{ "disks", LU_JSON_OBJECTS, offsetof(struct vm, disk), .count_offset = offsetof(struct vm, n_disk),
 *		  .table = &disk_table, .max = 64 },
 *	};
 *	static const struct lu_json_table vm_table = LU_JSON_DOCUMENT("vm", struct vm, vm_fields, 1);
 *
 *	struct vm vm;
 *	r = lu_json_load(dirfd, "web1.json", 65536, &vm_table, &vm, &e);
 *	…
 *	lu_json_free(&vm_table, &vm);
 *
 * Refused, each with an error that names the file and the JSON path or the line:
 * unknown keys, keys given twice, a value of another type (nothing is coerced:
 * neither "1" nor 1.0 nor true is the integer 1), numbers out of range, strings
 * that hold NUL or are not UTF-8, more than LU_JSON_DEPTH_MAX levels, anything
 * after the document, a document larger than the caller allows, another version.
 *
 * Versions: writers write one, readers take a range. A document says "version" and, if it is not 0, "minor". A
 * table reads the versions from .oldest to .version; in one of a newer minor it passes over keys that it does not
 * know, in all others such a key is an error. When a key may be added by a new minor, and when it takes a new
 * version, is said in schemas/README.md. A field that is there .since some later version or minor is not
 * missed in an earlier document; one that was there .until then is read in earlier documents, and never written.
 *
 * A text for people (LU_JSON_TEXT) can't keep a document from being written: what is not UTF-8 is replaced, what is
 * too long is cut between characters, and one that must be there and is not reads LU_JSON_NO_TEXT.
 */
#include "error.h"

struct json_object;

#define LU_JSON_DEPTH_MAX 16
#define LU_JSON_STRING_MAX (1U << 20) /* bytes of a string, where the field gives no .max */
#define LU_JSON_ARRAY_MAX 65536U      /* elements of an array, where the field gives no .max */
#define LU_JSON_NO_TEXT "(nothing is known)"

/* A version and minor as one number that grows */
#define LU_JSON_AT(version, minor) ((uint64_t)(version) << 32 | (minor))

enum lu_json_type {
	LU_JSON_STRING,     /* char *; .min/.max: length in bytes; .check */
	LU_JSON_BOOL,       /* bool */
	LU_JSON_INT,        /* int64_t; .min/.max, both 0: no bounds */
	LU_JSON_UINT,       /* uint64_t; .min/.max, .max 0: no upper bound */
	LU_JSON_INT32,      /* int32_t; as LU_JSON_INT, and never beyond the member */
	LU_JSON_UINT32,     /* uint32_t; as LU_JSON_UINT, and never beyond the member */
	LU_JSON_ENUM,       /* int, index into .names */
	LU_JSON_OBJECT,     /* the struct of .table itself, embedded */
	LU_JSON_OBJECT_PTR, /* pointer to the struct of .table, NULL if absent or null */
	LU_JSON_STRINGS,    /* char **, NULL-terminated (NULL only if absent); .min/.max: count; .check each */
	LU_JSON_UINTS,      /* uint64_t *, count at .count_offset; .min/.max: count */
	LU_JSON_OBJECTS,    /* pointer to structs of .table, size_t count at .count_offset; .min/.max: count */
	LU_JSON_ANY,        /* struct json_object *, a reference; any value */
};

enum {
	LU_JSON_REQUIRED = 1 << 0, /* the key must be there */
	LU_JSON_NULLABLE = 1 << 1, /* null is allowed and means .def, NULL or an empty array */
	LU_JSON_TEXT = 1 << 2,     /* STRING: for people; written whatever it is. .max at least 64, or none */
};

struct lu_json_field {
	const char *key;
	enum lu_json_type type;
	size_t offset; /* of the member in the struct */
	unsigned int flags;
	int64_t min;
	uint64_t max;                 /* LU_JSON_INT, _INT32: compared as int64_t */
	int64_t def;                  /* BOOL, INTs, UINTs, ENUM: value when absent or null */
	bool (*check)(const char *s); /* STRING, STRINGS: further condition, e.g. lu_uuid_valid */
	const char *expect;           /* how an error calls what @check wants: "a UUID" */
	const char *const *names;     /* ENUM: NULL-terminated */
	const struct lu_json_table *table;
	size_t count_offset;
	uint64_t since, until; /* LU_JSON_AT(), 0: from the first on, still */
};

struct lu_json_table {
	const char *name; /* of the document or object, for people */
	size_t size;      /* of the struct */
	const struct lu_json_field *fields;
	size_t n_fields;
	unsigned int version; /* of a document: value of its "version" key, checked before all others; 0: no such key */
	unsigned int oldest;  /* version that is read, too, and all between; 0: none but @version */
	unsigned int minor;   /* that is written, and known */
};

#define LU_JSON_TABLE(_name, _struct, _fields)                                                                 \
	{                                                                                                      \
		.name = (_name), .size = sizeof(_struct), .fields = (_fields), .n_fields = ARRAY_SIZE(_fields) \
	}
#define LU_JSON_DOCUMENT_AT(_name, _struct, _fields, _version, _minor)                                          \
	{                                                                                                       \
		.name = (_name), .size = sizeof(_struct), .fields = (_fields), .n_fields = ARRAY_SIZE(_fields), \
		.version = (_version), .minor = (_minor)                                                        \
	}
#define LU_JSON_DOCUMENT(_name, _struct, _fields, _version) LU_JSON_DOCUMENT_AT(_name, _struct, _fields, _version, 0)

/**
 * lu_json_parse() - text to tree, with every check that needs no table
 * @text: need not end in NUL
 * @max: largest accepted size in bytes
 * @file: what errors call it: a path, or words such as "argument definition"
 * @ret: an object (never another type); json_object_put() it
 *
 * Return: 0, -EFBIG (larger than @max), -EBADMSG (not JSON, or refused), -ENOMEM.
 */
int lu_json_parse(const char *text, size_t size, size_t max, const char *file, struct json_object **ret,
		  struct lu_error *e);

/**
 * lu_json_decode() - tree to struct
 * @ret: written only on success, wholly; free its contents with lu_json_free()
 *
 * The tree should come from lu_json_parse(), which alone sees keys given twice.
 *
 * Return: 0, -EBADMSG (does not fit @table), -EPROTONOSUPPORT (another version), -ENOMEM.
 */
int lu_json_decode(const struct lu_json_table *table, struct json_object *root, const char *file, void *ret,
		   struct lu_error *e);

/** lu_json_decode_text() - lu_json_parse() and lu_json_decode() in one */
int lu_json_decode_text(const char *text, size_t size, size_t max, const char *file, const struct lu_json_table *table,
			void *ret, struct lu_error *e);

/**
 * lu_json_load() - read, parse and decode a file
 * @dirfd: directory @path is relative to, or AT_FDCWD
 *
 * Return: as the above, or the negative errno of reading.
 */
int lu_json_load(int dirfd, const char *path, size_t max, const struct lu_json_table *table, void *ret,
		 struct lu_error *e);

/** lu_json_free() - free what lu_json_decode() put into the struct, and zero it; not the struct itself */
void lu_json_free(const struct lu_json_table *table, void *data);

/**
 * lu_json_encode() - struct to tree; what it writes lu_json_decode() accepts
 *
 * All checks of the table are applied here too, so a document that we could not
 * read back is never written. A NULLABLE member that is NULL or equals .def
 * becomes null; a NULL string, list or object pointer that is neither REQUIRED nor
 * NULLABLE is left out.
 *
 * Return: 0, -EINVAL (@data does not fit @table; @e names the path), -ENOMEM.
 */
int lu_json_encode(const struct lu_json_table *table, const void *data, struct json_object **ret, struct lu_error *e);

/** lu_json_encode_text() - the same as text with a final newline; free() it. Indented, keys in table order */
int lu_json_encode_text(const struct lu_json_table *table, const void *data, char **ret, struct lu_error *e);

/** lu_json_store() - the same into a file, by lu_write_file(); errors name the file */
int lu_json_store(int dirfd, const char *path, mode_t mode, const struct lu_json_table *table, const void *data,
		  struct lu_error *e);

/*
 * For trees built by hand. Each adds one member; @obj must be an object without
 * that key. lu_json_add() takes over @value (also on failure; NULL adds null).
 * Return: 0, -EINVAL (not UTF-8), -EEXIST or -ENOMEM.
 */
int lu_json_add(struct json_object *obj, const char *key, struct json_object *value);
int lu_json_add_string(struct json_object *obj, const char *key, const char *value); /* NULL adds null */
int lu_json_add_uint(struct json_object *obj, const char *key, uint64_t value);
int lu_json_add_int(struct json_object *obj, const char *key, int64_t value);
int lu_json_add_bool(struct json_object *obj, const char *key, bool value);

/** lu_json_text() - a tree as text with a final newline, indented; free() it */
int lu_json_text(struct json_object *obj, char **ret);

/* Cleanup attribute for references: _cleanup_json_ struct json_object *o = NULL; */
void lu_json_putp(struct json_object **obj);
#define _cleanup_json_ _cleanup_(lu_json_putp)
