// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * pkernfs of this host or of an image of memory; see ../pkernfs. Needs no daemon and no bus: it
 * must work where those don't. Findings are given out as those of a check are, by pointers
 * into the report; luctl_pkernfs_fs is the report's own struct under a public name.
 * One call changes something: luctl_pkernfs_set_blocks().
 */
#include <string.h>

#include "luctl-internal.h"
#include "this-host.h"
#include "verify.h"

struct luctl_pkernfs {
	struct lu_pkernfs_report report;
	struct luctl_finding *findings; /* the report's texts */
	char *json;
};

static int read_image(const char *image, uint64_t root, const char *save, struct lu_pkernfs_report *report,
		      struct lu_error *e)
{
	_cleanup_(lu_memory_freep) struct lu_memory *m = NULL;
	int r = lu_memory_open(image, &m, e);

	return r < 0 ? r : lu_pkernfs_verify(m, root == LUCTL_UNKNOWN ? LU_PKERNFS_FIND : root, report, save, e);
}

PUBLIC int luctl_pkernfs_read(struct luctl_ctx *ctx, const char *image, uint64_t root, const char *save, bool need,
			      struct luctl_pkernfs **ret)
{
	_cleanup_(luctl_pkernfs_freep) struct luctl_pkernfs *p = calloc(1, sizeof(*p));
	struct lu_findings *f;
	int r;

	ctx_begin(ctx);
	if (!p)
		return ctx_fail_oom(ctx);
	p->report = LU_PKERNFS_REPORT_INIT;
	if (image)
		r = read_image(image, root, save, &p->report, &ctx->error);
	else
		r = lu_pkernfs_host(AT_FDCWD, root, save, need, &p->report, &ctx->error);
	if (r == 0)
		r = lu_pkernfs_report_text(&p->report, &p->json, &ctx->error);
	if (r < 0)
		return r;
	f = &p->report.findings;
	p->findings = calloc(f->n + 1, sizeof(*p->findings));
	if (!p->findings)
		return ctx_fail_oom(ctx);
	for (size_t i = 0; i < f->n; i++)
		p->findings[i] = (struct luctl_finding){ .level = (int)f->list[i].level,
							 .object = f->list[i].object,
							 .what = f->list[i].what,
							 .hint = f->list[i].hint };
	*ret = steal_ptr(p);
	return 0;
}

PUBLIC void luctl_pkernfs_free(struct luctl_pkernfs *pkernfs)
{
	if (!pkernfs)
		return;
	lu_pkernfs_report_clear(&pkernfs->report);
	free(pkernfs->findings);
	free(pkernfs->json);
	free(pkernfs);
}

PUBLIC const char *luctl_pkernfs_json(const struct luctl_pkernfs *pkernfs)
{
	return pkernfs->json;
}

PUBLIC const char *luctl_pkernfs_source(const struct luctl_pkernfs *pkernfs)
{
	return pkernfs->report.source;
}

PUBLIC bool luctl_pkernfs_ok(const struct luctl_pkernfs *pkernfs)
{
	return pkernfs->report.ok;
}

PUBLIC const struct luctl_finding *luctl_pkernfs_finding_next(const struct luctl_pkernfs *pkernfs,
							      const struct luctl_finding *finding)
{
	size_t i = finding ? (size_t)(finding - pkernfs->findings) + 1 : 0;

	return i < pkernfs->report.findings.n ? &pkernfs->findings[i] : NULL;
}

/* The public name of the report's struct */
static const struct lu_pkernfs_fs *of(const struct luctl_pkernfs_fs *fs)
{
	return (const struct lu_pkernfs_fs *)fs;
}

PUBLIC const struct luctl_pkernfs_fs *luctl_pkernfs_fs_next(const struct luctl_pkernfs *pkernfs,
							    const struct luctl_pkernfs_fs *fs)
{
	size_t i = fs ? (size_t)(of(fs) - pkernfs->report.fs) + 1 : 0;

	return i < pkernfs->report.n_fs ? (const struct luctl_pkernfs_fs *)&pkernfs->report.fs[i] : NULL;
}

PUBLIC const char *luctl_pkernfs_fs_name(const struct luctl_pkernfs_fs *fs)
{
	return of(fs)->name;
}

PUBLIC const char *luctl_pkernfs_fs_state(const struct luctl_pkernfs_fs *fs)
{
	return lu_pkernfs_states[of(fs)->state];
}

PUBLIC const char *luctl_pkernfs_fs_seal(const struct luctl_pkernfs_fs *fs)
{
	return lu_pkernfs_seals[of(fs)->seal];
}

PUBLIC const char *const *luctl_pkernfs_fs_mounted(const struct luctl_pkernfs_fs *fs)
{
	return (const char *const *)of(fs)->mounted;
}

PUBLIC uint64_t luctl_pkernfs_fs_number(const struct luctl_pkernfs_fs *fs, enum luctl_pkernfs_number number)
{
	const struct lu_pkernfs_fs *f = of(fs);

	switch (number) {
	case LUCTL_PKERNFS_FORMAT:
		return f->version;
	case LUCTL_PKERNFS_COMPAT:
		return f->compat;
	case LUCTL_PKERNFS_RO_COMPAT:
		return f->ro_compat;
	case LUCTL_PKERNFS_INCOMPAT:
		return f->incompat;
	case LUCTL_PKERNFS_NODE:
		return f->node;
	case LUCTL_PKERNFS_LIMIT:
		return f->limit;
	case LUCTL_PKERNFS_POOL:
		return f->pool;
	case LUCTL_PKERNFS_USED:
		return f->used;
	case LUCTL_PKERNFS_AVAILABLE:
		return f->available;
	case LUCTL_PKERNFS_FILES:
		return f->files;
	case LUCTL_PKERNFS_DIRECTORIES:
		return f->directories;
	case LUCTL_PKERNFS_OTHERS:
		return f->others;
	case LUCTL_PKERNFS_UNLINKED:
		return f->unlinked;
	case LUCTL_PKERNFS_SMALL_BLOCKS:
		return f->small_blocks;
	case LUCTL_PKERNFS_HUGE_BLOCKS:
		return f->huge_blocks;
	case LUCTL_PKERNFS_METADATA_PAGES:
		return f->metadata_pages;
	case LUCTL_PKERNFS_GENERATION:
		return f->generation;
	case LUCTL_PKERNFS_SEAL_DURATION:
		return f->duration_nsec;
	case LUCTL_PKERNFS_BAD_PAGES:
		return f->bad_pages;
	case LUCTL_PKERNFS_BAD_UNOWNED:
		return f->bad_unowned;
	}
	return LUCTL_UNKNOWN;
}

PUBLIC int luctl_pkernfs_set_blocks(struct luctl_ctx *ctx, const char *path, uint64_t size)
{
	ctx_begin(ctx);
	return lu_pkernfs_set_blocks(path, size, &ctx->error);
}
