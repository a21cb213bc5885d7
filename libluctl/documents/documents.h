/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The documents that programs of luctl hand to each other, over the bus, through pkernfs or on a disk: one struct and
 * one table each, for both directions. schemas/ says the same for others; a test holds both against the same examples.
 */
#include "json.h"

#define LU_DOCUMENT_MAX (16u << 20) /* bytes; 4096 VMs of 1 kB: 4 MiB */
#define LU_DOC_TEXT_MAX 4096        /* bytes of a text for people */

/** struct lu_doc_error - what went wrong, and what to try; @hint may be NULL */
struct lu_doc_error {
	char *what;
	char *hint;
};

/** lu_doc_error_new() - a copy; NULL: out of memory */
struct lu_doc_error *lu_doc_error_new(const char *what, const char *hint);

/** lu_doc_error_of() - of an error that happened; NULL also if there is none */
struct lu_doc_error *lu_doc_error_of(const struct lu_error *e);

/** struct luctl_left - a VM that does not go along, and why; @uuid may be NULL, so may @hint */
struct luctl_left {
	char *name;
	char *uuid;
	char *what;
	char *hint;
};

extern const struct lu_json_table lu_doc_left_table;

/** lu_unit_valid() - a name of systemd's set of characters; without a slash, so that it is safe as a file name */
bool lu_unit_valid(const char *s);

/** lu_doc_index() - place of a word among an enum's names; -1: it is none of them, or NULL */
int lu_doc_index(const char *const *names, const char *word);

/** lu_documents - all tables of this folder, NULL-terminated; a table's name is its schema's */
extern const struct lu_json_table *const lu_documents[];
