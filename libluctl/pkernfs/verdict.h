/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What is known of the pkernfs of a host: the document of schemas/pkernfs.schema.json
 * as a struct. Numbers that nobody could find out are LU_UNKNOWN and null in JSON.
 */
#include "findings.h"
#include "json.h"

#define LU_UNKNOWN UINT64_MAX

enum lu_pkernfs_state {
	LU_PKERNFS_UNKNOWN,  /* its metadata was not read */
	LU_PKERNFS_INTACT,   /* no error was found */
	LU_PKERNFS_DAMAGED,  /* what is intact can be used, but perhaps only read: findings say what isn't */
	LU_PKERNFS_UNUSABLE, /* can't be mounted by a kernel of this format */
};

enum lu_pkernfs_seal {
	LU_SEAL_UNKNOWN,
	LU_SEAL_OPEN,   /* in use, or not closed before the kernel ended */
	LU_SEAL_SEALED, /* closed on the way to kexec; the sum may be right or wrong */
};

#define LU_PKERNFS_BAD_FILES 64   /* that are named */
#define LU_PKERNFS_BAD_OFFSETS 16 /* of each */

/* A file in memory that has gone bad */
struct lu_pkernfs_bad_file {
	uint64_t ino;
	char *path;       /* in the filesystem, NULL: it has no name */
	uint64_t pages;   /* of 4 KiB */
	uint64_t *offset; /* of the first of them, in bytes */
	size_t n_offset;
};

struct lu_pkernfs_fs {
	char *name;
	int state; /* enum lu_pkernfs_state */
	char *uuid;
	char **mounted; /* where, in this mount namespace */
	uint64_t version, compat, ro_compat, incompat;
	uint64_t node;      /* LU_UNKNOWN: any */
	uint64_t limit;     /* bytes, LU_UNKNOWN: none */
	uint64_t pool;      /* bytes set apart for 2 MiB blocks, in use or not; LU_UNKNOWN: none */
	uint64_t used;      /* bytes, with metadata */
	uint64_t available; /* bytes, as statfs() tells */
	uint64_t files, directories, others;
	uint64_t unlinked; /* given up by the next kernel */
	uint64_t small_blocks, huge_blocks, metadata_pages;
	int seal; /* enum lu_pkernfs_seal */
	uint64_t generation, duration_nsec;
	uint64_t bad_pages;   /* of 4 KiB, that the machine has reported */
	uint64_t bad_unowned; /* of them, in no file any more */
	uint64_t files_with_bad;
	struct lu_pkernfs_bad_file *bad_file; /* the first of them */
	size_t n_bad_file;
};

struct lu_pkernfs_report {
	char *source;  /* path of the image; NULL: nothing but what the kernel tells */
	uint64_t root; /* address of the root page */
	bool ok;       /* no error among the findings */
	struct lu_pkernfs_fs *fs;
	size_t n_fs;
	struct lu_findings findings;
};

extern const struct lu_json_table lu_pkernfs_table;
extern const char *const lu_pkernfs_states[], *const lu_pkernfs_seals[];

/** lu_pkernfs_report_init() - nothing known yet */
#define LU_PKERNFS_REPORT_INIT ((struct lu_pkernfs_report){ .root = LU_UNKNOWN })

/** lu_pkernfs_fs_add() - another filesystem, of which nothing but the name is known; NULL: out of memory */
struct lu_pkernfs_fs *lu_pkernfs_fs_add(struct lu_pkernfs_report *report, const char *name);

/** lu_pkernfs_report_text() - the document; free() it */
int lu_pkernfs_report_text(struct lu_pkernfs_report *report, char **ret, struct lu_error *e);

void lu_pkernfs_report_clear(struct lu_pkernfs_report *report);
#define _cleanup_pkernfs_report_ _cleanup_(lu_pkernfs_report_clear)
