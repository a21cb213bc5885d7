/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What a check found: a list of verdicts, each about one object. The list is
 * what stands under "findings" in the document of schemas/check.schema.json, so
 * everything that judges something before an update (image, VMs, pkernfs) adds
 * to the same list. Order is kept; nothing is removed.
 */
#include "error.h"

enum lu_level {
	LU_LEVEL_OK,      /* looked at and fine; worth telling */
	LU_LEVEL_WARNING, /* the update works, but a person should know */
	LU_LEVEL_ERROR,   /* the update must not start */
	_LU_LEVEL_N,
};

struct lu_finding {
	enum lu_level level;
	char *object; /* what it is about: "pkernfs", "VM web1", a path */
	char *what;   /* does not repeat the object */
	char *hint;   /* may be NULL */
};

struct lu_findings {
	struct lu_finding *list;
	size_t n;
	int failed; /* -ENOMEM once an entry could not be kept; lu_findings_ok() is false then */
};

#define LU_FINDINGS_INIT ((struct lu_findings){ 0 })
#define LU_FINDINGS_MAX 4096u /* later entries are dropped, and @failed is -E2BIG */

const char *lu_level_name(enum lu_level level);

/**
 * lu_findings_add() - append a verdict
 * @hint: what to try; may be NULL
 *
 * Never fails towards the caller: an entry that cannot be kept makes
 * lu_findings_ok() false for good, so a lost error cannot turn into a go-ahead.
 */
void lu_findings_add(struct lu_findings *f, enum lu_level level, const char *object, const char *hint, const char *fmt,
		     ...) _printf_(5, 6);

/** lu_findings_add_error() - append @e as LU_LEVEL_ERROR, less a leading "OBJECT: "; @e is left as it is */
void lu_findings_add_error(struct lu_findings *f, const char *object, const struct lu_error *e);

/** lu_findings_ok() - no error among them, and none lost */
bool lu_findings_ok(const struct lu_findings *f);

/** lu_findings_first_error() - the first LU_LEVEL_ERROR, or NULL */
const struct lu_finding *lu_findings_first_error(const struct lu_findings *f);

void lu_findings_clear(struct lu_findings *f);
#define _cleanup_findings_ _cleanup_(lu_findings_clear)
