// SPDX-License-Identifier: GPL-2.0-or-later
#include "../test.h"

#include "judge.h"

void verdict_clear(struct verdict *v)
{
	lu_pkernfs_report_clear(&v->report);
	lu_error_clear(&v->e);
}

void judge_path(const char *path, uint64_t root, struct verdict *v)
{
	_cleanup_(lu_memory_freep) struct lu_memory *m = NULL;

	*v = (struct verdict){ .report = LU_PKERNFS_REPORT_INIT };
	v->r = lu_memory_open(path, &m, &v->e);
	if (v->r == 0)
		v->r = lu_pkernfs_verify(m, root, &v->report, NULL, &v->e);
}

void judge(struct image *image, struct verdict *v)
{
	judge_path(image->path, IMAGE_ROOT, v);
}

bool refused(const struct verdict *v)
{
	return v->r < 0 || !lu_findings_ok(&v->report.findings);
}

void print_verdict(const struct verdict *v)
{
	if (v->r < 0)
		print_error("  failed: %s\n", v->e.what);
	for (size_t i = 0; i < v->report.findings.n; i++)
		print_error("  %s: %s: %s\n", lu_level_name(v->report.findings.list[i].level),
			    v->report.findings.list[i].object, v->report.findings.list[i].what);
}

void expect_clean(struct image *image)
{
	struct verdict v;

	judge(image, &v);
	if (v.r < 0 || v.report.findings.n)
		print_verdict(&v);
	assert_int_equal(v.r, 0);
	assert_int_equal(v.report.findings.n, 0);
	verdict_clear(&v);
}

void expect_ok(struct image *image)
{
	struct verdict v;

	judge(image, &v);
	if (refused(&v))
		print_verdict(&v);
	assert_false(refused(&v));
	verdict_clear(&v);
}

void expect_error(struct image *image, const char *object, const char *what)
{
	const struct lu_finding *first;
	struct verdict v;

	judge(image, &v);
	first = lu_findings_first_error(&v.report.findings);
	if (v.r < 0 || !first || !strstr(first->object, object) || !strstr(first->what, what)) {
		print_error("expected %s: %s\n", object, what);
		print_verdict(&v);
		fail();
	}
	verdict_clear(&v);
}

struct image_fs first_fs(struct image *image)
{
	return (struct image_fs){ .image = image, .super = image_at(image, image->super[0]) };
}

void expect_warning(const struct verdict *v, const char *object, const char *what)
{
	for (size_t i = 0; i < v->report.findings.n; i++) {
		const struct lu_finding *f = &v->report.findings.list[i];

		if (f->level == LU_LEVEL_WARNING && strstr(f->object, object) && strstr(f->what, what))
			return;
	}
	print_error("expected %s: %s\n", object, what);
	print_verdict(v);
	fail();
}

void save(struct image *image, const char *path)
{
	_cleanup_(lu_memory_freep) struct lu_memory *m = NULL;
	_cleanup_pkernfs_report_ struct lu_pkernfs_report report = LU_PKERNFS_REPORT_INIT;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	assert_int_equal(lu_memory_open(image->path, &m, &e), 0);
	assert_int_equal(lu_pkernfs_verify(m, IMAGE_ROOT, &report, path, &e), 0);
}
