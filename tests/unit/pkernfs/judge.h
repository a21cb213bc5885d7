/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* What the verifier says of an image, and what a test expects of that. */
#include "make-pkernfs.h"
#include "verify.h"

struct verdict {
	struct lu_pkernfs_report report;
	struct lu_error e;
	int r;
};

void verdict_clear(struct verdict *v);
void judge_path(const char *path, uint64_t root, struct verdict *v);
/* With the root page where it is */
void judge(struct image *image, struct verdict *v);
bool refused(const struct verdict *v);
void print_verdict(const struct verdict *v);
/* No finding at all, warnings included */
void expect_clean(struct image *image);
/* No error */
void expect_ok(struct image *image);
/* One error at least, and the first is this one */
void expect_error(struct image *image, const char *object, const char *what);
/* The first filesystem of an image */
struct image_fs first_fs(struct image *image);
void expect_warning(const struct verdict *v, const char *object, const char *what);
/* The metadata alone, as an ELF core */
void save(struct image *image, const char *path);

#define RESEALED(object, what)    \
	image_seal(&image, true); \
	expect_error(&image, object, what);
