/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* A journal of calls as luctl shows it (schema journal); the format itself is in libluctl/calls/calls.h. */
#include "documents.h"

#define LU_DOC_UNKNOWN UINT64_MAX /* null in JSON */

struct lu_doc_call_arg {
	char *name;
	uint64_t value; /* LU_DOC_UNKNOWN: no file */
	char *text;     /* as people write it */
};

struct lu_doc_call_result {
	uint64_t tsc;
	uint64_t boot;
	int64_t error; /* 0 or a negative errno */
	uint64_t id;   /* LU_DOC_UNKNOWN: none */
};

struct lu_doc_call {
	uint64_t number;
	char *object; /* QEMU's name of the file, or its path */
	int32_t object_id;
	uint64_t file;
	char *call;
	uint64_t request; /* of an ioctl, else LU_DOC_UNKNOWN */
	struct lu_doc_call_arg *args;
	size_t n_args;
	uint64_t id; /* that the object must get; LU_DOC_UNKNOWN: makes none */
	char *text;
	struct lu_doc_call_result *results;
	size_t n_results;
};

struct lu_doc_journal_finding {
	int level;
	char *object, *what, *hint;
};

struct lu_doc_journal {
	char *source;
	bool ok;
	char *vm, *boot_id;         /* NULL: could not be read */
	uint64_t written_usec, tsc; /* LU_DOC_UNKNOWN: could not be read */
	uint64_t compat, sum;
	struct lu_doc_call *calls; /* none if it is damaged */
	size_t n_calls;
	struct lu_doc_journal_finding *findings;
	size_t n_findings;
};

enum lu_doc_journal_level {
	LU_DOC_JOURNAL_OK,
	LU_DOC_JOURNAL_WARNING,
	LU_DOC_JOURNAL_ERROR,
};

extern const struct lu_json_table lu_doc_journal_table;
