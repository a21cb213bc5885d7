// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The offline verifier; see verify.h. It does what the kernel does at boot
 * (fs/pkernfs/restore.c), in its order, and more:
 *
 *  1. the root page: looked for unless its address is given (root.c); format, sum; if that
 *     does not match, the sum of each slot
 *  2. for each filesystem: the super page can be read; sums of it, the inode table and the list of bad memory (poison.c)
 *  3. for each inode: its sum, its record
 *  4. for each inode that is intact: nodes and blocks are claimed, so that two words that
 *     point to one block are found, over all filesystems; directories and attributes are read
 *  5. names against link counts; counters; feature bits; bytes that must be zero
 *
 * An image of a host that runs isn't sealed: sums are not compared then, and whoever looks
 * at memory that changes may see things that are not so.
 *
 * Verdicts about inodes are kept until all names are known, so that damage is told with
 * a path where there is one.
 *
 * Not looked at: contents of files (the format has no sums for them), whether KHO really
 * preserves each page (its own map is the kernel's), NUMA nodes.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "pkernfs-internal.h"

void pk_tell(struct pk_fs *fs, enum lu_level level, const char *hint, const char *part, const char *what)
{
	_cleanup_free_ char *object = NULL;

	if (asprintf(&object, "%s%s%s", fs->name, *part ? ": " : "", part) < 0)
		object = NULL;
	lu_findings_add(&fs->ctx->report->findings, level, object ?: fs->name, hint, "%s", what);
}

static void unusable(struct pk_fs *fs, const char *hint, const char *part, const char *what)
{
	pk_tell(fs, LU_LEVEL_ERROR, hint, part, what);
	fs->usable = false;
}

static int super_read(struct pk_fs *fs, uint64_t addr)
{
	struct pkernfs_super *super = &fs->super;
	const char *newer = "use the luctl that belongs to the kernel that wrote it";
	char what[160];
	int r = pk_page(fs->ctx, addr, super);

	if (r < 0)
		return r;
	if (r > 0) {
		unusable(fs, NULL, "super page", fs->ctx->why);
		return 0;
	}
	if (super->magic != PKERNFS_SB_MAGIC || super->page_size != PKERNFS_PAGE_SIZE) {
		unusable(fs, NULL, "super page", "is none");
		return 0;
	}
	fs->out->version = super->version;
	fs->out->compat = super->compat;
	fs->out->ro_compat = super->ro_compat;
	fs->out->incompat = super->incompat;
	if (super->version < PKERNFS_VERSION_MIN || super->version > PKERNFS_VERSION) {
		snprintf(what, sizeof(what), "has version %u; versions %u to %u can be read", super->version,
			 PKERNFS_VERSION_MIN, PKERNFS_VERSION);
		unusable(fs, newer, "super page", what);
	} else if (super->incompat & ~PKERNFS_INCOMPAT_SUPP || super->ro_compat & ~PKERNFS_RO_COMPAT_SUPP) {
		snprintf(what, sizeof(what), "has features %#llx, %#llx; %#llx, %#llx are known",
			 (unsigned long long)super->incompat, (unsigned long long)super->ro_compat,
			 (unsigned long long)PKERNFS_INCOMPAT_SUPP, (unsigned long long)PKERNFS_RO_COMPAT_SUPP);
		unusable(fs, newer, "super page", what);
	}
	return 0;
}

static void super_show(struct pk_fs *fs, const struct pkernfs_slot *slot)
{
	const struct pkernfs_super *super = &fs->super;
	struct lu_pkernfs_fs *out = fs->out;

	out->uuid = calloc(1, 37);
	if (out->uuid)
		lu_uuid_format(super->uuid, out->uuid);
	out->node = slot->node < 0 ? LU_UNKNOWN : (uint64_t)slot->node;
	out->limit = super->max_pages && super->max_pages < 1ULL << 52 ? super->max_pages << PKERNFS_PAGE_SHIFT :
									 LU_UNKNOWN;
	out->pool = super->pool_pages && super->pool_pages < 1ULL << 52 ? super->pool_pages << PKERNFS_PAGE_SHIFT :
									  LU_UNKNOWN;
	out->seal = super->seal.state == PKERNFS_SEALED ? LU_SEAL_SEALED :
		    super->seal.state == PKERNFS_OPEN   ? LU_SEAL_OPEN :
							  LU_SEAL_UNKNOWN;
	out->generation = super->seal.generation;
	out->duration_nsec = super->seal.duration_ns;
	out->files = out->directories = out->others = out->unlinked = 0;
	out->small_blocks = out->huge_blocks = out->metadata_pages = 0;
}

struct table_walk {
	struct pk_walk walk;
	struct pk_fs *fs;
	uint32_t crc;
	bool claim;
	int (*page)(struct table_walk *table, uint64_t index, uint64_t addr, const struct pkernfs_inode_page *page);
};

static int table_node(struct pk_walk *walk, uint64_t addr, const uint8_t *page)
{
	struct table_walk *table = (struct table_walk *)walk;

	table->crc = (uint32_t)crc32(table->crc, page, PKERNFS_PAGE_SIZE);
	if (!table->claim)
		return 0;
	table->fs->out->metadata_pages++;
	return pk_claim(table->fs, addr, 0, 0);
}

static int table_entry(struct pk_walk *walk, uint64_t index, uint64_t entry)
{
	struct table_walk *table = (struct table_walk *)walk;
	struct pkernfs_inode_page page;
	int r = pk_page(walk->ctx, entry, &page);

	if (r == 0)
		r = table_node(walk, entry, (const uint8_t *)&page);
	return r == 0 && table->page ? table->page(table, index, entry, &page) : r;
}

static int inode_add(struct table_walk *table, uint64_t index, uint64_t addr, const struct pkernfs_inode_page *page)
{
	struct pk_fs *fs = table->fs;

	for (unsigned int i = 0; i < PKERNFS_INODES_PER_PAGE; i++) {
		const struct pkernfs_inode *rec = &page->inode[i];

		if (!rec->ino)
			continue;
		if (fs->n_inodes == fs->room_inodes) {
			size_t room = fs->room_inodes ? fs->room_inodes * 2 : 64;
			struct pk_inode *list = reallocarray(fs->inode, room, sizeof(*list));

			if (!list)
				return lu_error_set(fs->ctx->e, -ENOMEM, NULL, "out of memory");
			fs->inode = list;
			fs->room_inodes = room;
		}
		fs->inode[fs->n_inodes++] = (struct pk_inode){
			.ino = index * PKERNFS_INODES_PER_PAGE + i,
			.table = addr,
			.mode = rec->mode,
			.nlink = rec->nlink,
			.name = SIZE_MAX,
		};
	}
	return 0;
}

/* Records that read as free although none of these was: what their place says is damaged */
static int check_free(struct table_walk *table, uint64_t index, uint64_t addr, const struct pkernfs_inode_page *page)
{
	for (unsigned int i = 0; i < PKERNFS_INODES_PER_PAGE; i++)
		if (!page->inode[i].ino && page->inode[i].crc != PKERNFS_FREE_CRC && index + i)
			pk_blame(
				table->fs, index * PKERNFS_INODES_PER_PAGE + i, LU_LEVEL_ERROR, NULL,
				"was in use, or is damaged: its record reads as free and does not say so in its checksum");
	return 0;
}

/* What the large sum is over */
static const char *summed(const struct pk_fs *fs)
{
	return fs->super.bad ? "super page or inode table or list of bad memory" : "super page or inode table";
}

/* The large sum does not match: is it single records, so that kernels go on with the rest? */
static int check_tree(struct pk_fs *fs)
{
	struct table_walk table = {
		.walk = { .ctx = fs->ctx, .node = table_node },
		.fs = fs,
		.crc = pk_crc_super_page(&fs->super),
	};
	bool known = fs->super.compat & PKERNFS_COMPAT_TREE_SUM;
	int r = known ? pk_walk_tree(fs->super.inodes, &table.walk) : 0;

	if (known && r == 0)
		r = pk_crc_tree(fs->ctx, fs->super.bad, &table.crc);
	if (r < 0)
		return r;
	if (!known || r > 0 || table.crc != fs->super.tree_crc) {
		pk_tell(fs, LU_LEVEL_ERROR, NULL, summed(fs), "does not match its checksum");
		return 0;
	}
	pk_tell(fs, LU_LEVEL_ERROR, NULL, "inode table", "does not match its checksum");
	table.walk.node = NULL;
	table.walk.entry = table_entry;
	table.page = check_free;
	r = pk_walk_tree(fs->super.inodes, &table.walk);
	return r < 0 ? r : 0;
}

/* Sums of super page and inode table; learns which inodes there are */
static int check_table(struct pk_fs *fs, const struct pkernfs_slot *slot)
{
	struct table_walk table = {
		.walk = { .ctx = fs->ctx, .node = table_node, .entry = table_entry },
		.fs = fs,
		.crc = pk_crc_page(&fs->super, offsetof(struct pkernfs_super, seal)),
		.page = inode_add,
	};
	int r, listed = 0;

	if (fs->super.seal.state != PKERNFS_SEALED && fs->super.seal.state != PKERNFS_OPEN)
		pk_tell(fs, LU_LEVEL_ERROR, NULL, "super page", "has a seal that is neither open nor closed");
	fs->sealed = fs->super.seal.state != PKERNFS_OPEN;
	r = pk_walk_tree(fs->super.inodes, &table.walk);
	if (r == 0)
		listed = pk_crc_tree(fs->ctx, fs->super.bad, &table.crc);
	if (r < 0 || listed < 0)
		return r < 0 ? r : listed;
	if (fs->sealed && (r > 0 || listed > 0)) {
		pk_tell(fs, LU_LEVEL_ERROR, NULL, summed(fs), "does not match its checksum");
		fs->damaged = true;
	} else if (fs->sealed && table.crc != fs->super.seal.crc) {
		fs->damaged = true;
		r = check_tree(fs);
		if (r < 0)
			return r;
	}
	if (r > 0) {
		unusable(fs, NULL, "inode table", fs->ctx->why);
		return 0;
	}
	table.claim = true;
	table.page = NULL;
	r = pk_claim(fs, slot->super, 0, 0);
	if (r == 0) {
		fs->out->metadata_pages++;
		r = pk_poison_read(fs);
	}
	if (r == 0)
		r = pk_walk_tree(fs->super.inodes, &table.walk);
	if (r > 0) {
		unusable(fs, NULL, "inode table", fs->ctx->why);
		return 0;
	}
	return r;
}

/* Call for each inode; table pages are read as often as that takes */
static int each_inode(struct pk_fs *fs,
		      int (*call)(struct pk_fs *fs, struct pk_inode *inode, const struct pkernfs_inode *rec))
{
	struct pkernfs_inode_page page;
	uint64_t have = 0;

	for (size_t i = 0; i < fs->n_inodes; i++) {
		struct pk_inode *inode = &fs->inode[i];
		int r = 0;

		if (inode->table != have)
			r = lu_memory_read(fs->ctx->m, inode->table, &page, sizeof(page));
		if (r != 0)
			return lu_error_set(fs->ctx->e, r < 0 ? r : -EIO, NULL, "%s: an inode table page went away",
					    lu_memory_name(fs->ctx->m));
		have = inode->table;
		if (inode->bad)
			continue;
		r = call(fs, inode, &page.inode[inode->ino % PKERNFS_INODES_PER_PAGE]);
		if (r < 0)
			return r;
	}
	return 0;
}

static void check_root_directory(struct pk_fs *fs)
{
	struct pk_inode *root = pk_inode_find(fs, PKERNFS_ROOT_INO);

	if (!root || root->bad || !S_ISDIR(root->mode))
		unusable(fs, NULL, "root directory", "is damaged or missing");
}

static void check_super_words(struct pk_fs *fs, const struct pkernfs_slot *slot)
{
	const struct pkernfs_super *super = &fs->super;
	char what[160];

	if (fs->sealed && (super->nr_inodes != fs->n_inodes || super->nr_pages != fs->nr_pages)) {
		snprintf(what, sizeof(what),
			 "says %llu inodes and %llu pages and has %zu and %llu; the next kernel counts anew",
			 (unsigned long long)super->nr_inodes, (unsigned long long)super->nr_pages, fs->n_inodes,
			 (unsigned long long)fs->nr_pages);
		pk_tell(fs, LU_LEVEL_WARNING, NULL, "super page", what);
	}
	if (super->incompat & PKERNFS_INCOMPAT_XATTR && !fs->nr_xattr)
		pk_tell(fs, LU_LEVEL_WARNING, NULL, "super page",
			"has the bit for extended attributes, of which there are none");
	/* a kernel leaves it there if it doesn't know what a damaged inode has */
	if (super->incompat & PKERNFS_INCOMPAT_1G && !fs->nr_1g && !fs->damaged)
		pk_tell(fs, LU_LEVEL_WARNING, NULL, "super page",
			"has the bit for blocks of 1 GiB, of which there are none");
	if (super->incompat & PKERNFS_INCOMPAT_POISON && !super->bad)
		pk_tell(fs, LU_LEVEL_WARNING, NULL, "super page", "has the bit for bad memory, of which there is none");
	if (super->bad && !(super->incompat & PKERNFS_INCOMPAT_POISON))
		pk_tell(fs, LU_LEVEL_ERROR, "an older kernel would use it", "super page",
			"lists bad memory, of which the feature bits say nothing");
	if (!(super->compat & PKERNFS_COMPAT_NODE) != (slot->node == -1))
		pk_tell(fs, LU_LEVEL_WARNING, NULL, "super page",
			"has a feature bit for its node that its slot disagrees with");
	if (!(super->compat & PKERNFS_COMPAT_POOL) != !super->pool_pages)
		pk_tell(fs, LU_LEVEL_WARNING, NULL, "super page",
			"has a feature bit for its pool that its size disagrees with");
	if (super->compat & ~PKERNFS_COMPAT_SUPP)
		pk_tell(fs, LU_LEVEL_OK, NULL, "super page", "has features that may be ignored");
	else if (slot->flags & ~PKERNFS_SLOT_SUPP || slot->reserved || super->pad || fs->poison_junk ||
		 !pk_zero(super->reserved, sizeof(super->reserved)))
		pk_tell(fs, LU_LEVEL_WARNING, NULL, "super page",
			"or its slot or its list of bad memory has bytes set that this format does not define");
}

static void tell_blames(struct pk_fs *fs)
{
	for (size_t i = 0; i < fs->n_blames; i++) {
		const struct pk_blame *b = &fs->blame[i];
		_cleanup_free_ char *path = pk_path(fs, b->ino), *object = NULL;

		if (asprintf(&object, "%s: inode %llu%s%s%s", fs->name, (unsigned long long)b->ino,
			     path && *path ? " (" : "", path ?: "", path && *path ? ")" : "") < 0)
			object = NULL;
		lu_findings_add(&fs->ctx->report->findings, b->level, object ?: fs->name, b->hint, "%s", b->what);
	}
}

static void fs_clear(struct pk_fs *fs)
{
	for (size_t i = 0; i < fs->n_names; i++)
		free(fs->names[i].name);
	for (size_t i = 0; i < fs->n_blames; i++)
		free(fs->blame[i].what);
	free(fs->names);
	free(fs->blame);
	free(fs->poison);
	free(fs->inode);
}

static int check_inodes(struct pk_fs *fs)
{
	int r = each_inode(fs, pk_check_sum);

	if (r == 0)
		r = each_inode(fs, pk_check_blocks);
	if (r == 0) {
		check_root_directory(fs);
		r = pk_check_names(fs);
	}
	if (r == 0)
		r = pk_poison_end(fs);
	return r;
}

static int check_fs(struct pk_ctx *ctx, const struct pkernfs_slot *slot, unsigned int n)
{
	size_t len = strnlen(slot->name, sizeof(slot->name));
	_cleanup_free_ char *name = pk_safe(slot->name, len);
	_cleanup_(fs_clear) struct pk_fs fs = { .ctx = ctx, .slot = n, .usable = true };
	int r;

	if (name)
		fs.out = lu_pkernfs_fs_add(ctx->report, name);
	if (!fs.out)
		return lu_error_set(ctx->e, -ENOMEM, NULL, "out of memory");
	snprintf(fs.name, sizeof(fs.name), "pkernfs \"%s\"", name);
	r = super_read(&fs, slot->super);
	if (r == 0 && fs.usable) {
		super_show(&fs, slot);
		r = check_table(&fs, slot);
	}
	if (r == 0 && fs.usable)
		r = check_inodes(&fs);
	if (r < 0)
		return r;
	if (fs.usable && !fs.damaged)
		check_super_words(&fs, slot);
	tell_blames(&fs);
	if (fs.out->metadata_pages != LU_UNKNOWN)
		fs.out->used = fs.nr_pages << PKERNFS_PAGE_SHIFT;
	fs.out->state = !fs.usable ? LU_PKERNFS_UNUSABLE : fs.damaged ? LU_PKERNFS_DAMAGED : LU_PKERNFS_INTACT;
	return 0;
}

static int check_root(struct pk_ctx *ctx, uint64_t addr, struct pkernfs_root *root)
{
	struct lu_findings *f = &ctx->report->findings;
	int r = pk_page(ctx, addr, root);
	uint64_t other;

	if (r != 0)
		return r < 0 ? r :
			       lu_error_set(ctx->e, -ENOENT, "leave --root away to have it looked for",
					    "%s: root page: %s", lu_memory_name(ctx->m), ctx->why);
	if (root->magic != PKERNFS_ROOT_MAGIC || root->page_size != PKERNFS_PAGE_SIZE)
		return lu_error_set(ctx->e, -ENOENT, "leave --root away to have it looked for",
				    "%s: there is no root page at %#llx", lu_memory_name(ctx->m),
				    (unsigned long long)addr);
	if (root->version < PKERNFS_VERSION_MIN || root->version > PKERNFS_VERSION ||
	    root->incompat & ~PKERNFS_INCOMPAT_SUPP) {
		lu_findings_add(f, LU_LEVEL_ERROR, "pkernfs root page",
				"use the luctl that belongs to the kernel that wrote it",
				"has version %u and features %#llx; versions %u to %u and %#llx are known",
				root->version, (unsigned long long)root->incompat, PKERNFS_VERSION_MIN, PKERNFS_VERSION,
				(unsigned long long)PKERNFS_INCOMPAT_SUPP);
		return PK_BAD;
	}
	ctx->root_sealed = root->seal.state != PKERNFS_OPEN;
	if (ctx->root_sealed) {
		ctx->root_bad = pk_crc_page(root, offsetof(struct pkernfs_root, seal)) != root->seal.crc;
		if (ctx->root_bad)
			lu_findings_add(f, LU_LEVEL_ERROR, "pkernfs root page", NULL, "does not match its checksum");
		if (root->seal.state != PKERNFS_SEALED)
			lu_findings_add(f, LU_LEVEL_ERROR, "pkernfs root page", NULL,
					"has a seal that is neither open nor closed");
	}
	r = lu_claims_add(&ctx->claims, addr, 0, 1, &other);
	return r < 0 ? lu_error_set(ctx->e, r, NULL, "out of memory") : 0;
}

/* Clears what a kernel would not use, so that the rest is looked at */
static void check_slot(struct pk_ctx *ctx, struct pkernfs_slot *slot, unsigned int i)
{
	const struct pkernfs_slot none = { .flags = PKERNFS_SLOT_SUM };
	bool matches = slot->flags & PKERNFS_SLOT_SUM && pk_crc_slot(slot) == slot->crc;
	const char *what = NULL;
	enum lu_level level = LU_LEVEL_ERROR;

	if (slot->flags & PKERNFS_SLOT_DAMAGED)
		what = "is out of use since an earlier kernel found it damaged";
	else if (memchr(slot->name, '\0', sizeof(slot->name)) == NULL)
		what = "has no name";
	else if (ctx->root_bad && !matches && slot->crc == pk_crc_slot(&none))
		level = LU_LEVEL_WARNING, what = "is damaged, but was free";
	else if (ctx->root_bad && !matches)
		what = "does not match its checksum, if it has one: what was in it is not available";
	if (what) {
		lu_findings_add(&ctx->report->findings, level, "pkernfs root page", NULL, "slot %u %s", i, what);
		*slot = none;
	} else if (slot->flags & PKERNFS_SLOT_SUM && !matches && !ctx->root_bad && slot->crc && ctx->root_sealed) {
		lu_findings_add(&ctx->report->findings, LU_LEVEL_WARNING, "pkernfs root page", NULL,
				"slot %u does not match its checksum, though the page does: an older kernel changed it",
				i);
	}
}

static void check_slots(struct pk_ctx *ctx, struct pkernfs_root *root)
{
	bool marked = false;

	for (unsigned int i = 0; i < PKERNFS_SLOTS; i++) {
		marked |= root->slot[i].flags & PKERNFS_SLOT_DAMAGED;
		check_slot(ctx, &root->slot[i], i);
	}
	if (!ctx->root_bad && marked != !!(root->incompat & PKERNFS_INCOMPAT_SLOT))
		lu_findings_add(&ctx->report->findings, marked ? LU_LEVEL_ERROR : LU_LEVEL_WARNING, "pkernfs root page",
				marked ? "an older kernel would use such a slot" : NULL,
				"has a feature bit for damaged slots that its slots disagree with");
	for (unsigned int i = 0; i < PKERNFS_SLOTS; i++)
		for (unsigned int k = 0; root->slot[i].super && k < i; k++)
			if (root->slot[k].super && strcmp(root->slot[i].name, root->slot[k].name) == 0)
				lu_findings_add(&ctx->report->findings, LU_LEVEL_ERROR, "pkernfs root page", NULL,
						"slots %u and %u have the same name", k, i);
}

static int page_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int save_metadata(struct pk_ctx *ctx, const char *path)
{
	size_t n = 0;

	if (ctx->n_pages)
		qsort(ctx->pages, ctx->n_pages, sizeof(*ctx->pages), page_compare);
	for (size_t i = 0; i < ctx->n_pages; i++)
		if (n == 0 || ctx->pages[n - 1] != ctx->pages[i])
			ctx->pages[n++] = ctx->pages[i];
	return lu_memory_save(ctx->m, ctx->pages, n, path, ctx->e);
}

static void ctx_clear(struct pk_ctx *ctx)
{
	lu_claims_clear(&ctx->claims);
	free(ctx->pages);
}

/* All that hangs on one root page */
static int check_all(struct pk_ctx *ctx, uint64_t root_addr)
{
	struct pkernfs_root root;
	int r = check_root(ctx, root_addr, &root);

	if (r == 0)
		check_slots(ctx, &root);
	for (unsigned int i = 0; r == 0 && i < PKERNFS_SLOTS; i++)
		if (root.slot[i].super)
			r = check_fs(ctx, &root.slot[i], i);
	return r;
}

/* Each page is read up to three times */
#define CTX_INIT(memory, into, error)                                             \
	{                                                                         \
		.m = (memory), .report = (into), .e = (error),                    \
		.budget = 64 + 3 * (lu_memory_size(memory) >> PKERNFS_PAGE_SHIFT) \
	}

int pk_disown_roots(struct lu_memory *m, struct pk_root *roots, size_t n, size_t i, struct lu_error *e)
{
	_cleanup_(lu_pkernfs_report_clear) struct lu_pkernfs_report report = LU_PKERNFS_REPORT_INIT;
	_cleanup_(ctx_clear) struct pk_ctx ctx = CTX_INIT(m, &report, e);
	int r = check_all(&ctx, roots[i].addr);

	for (size_t k = 0; r >= 0 && k < n; k++)
		if (k != i && pk_owned_by_file(lu_claims_owner(&ctx.claims, roots[k].addr)))
			roots[k].in_file = true;
	/* what is no root page after all owns nothing */
	if (r == -ENOENT)
		lu_error_clear(e);
	return r < 0 && r != -ENOENT ? r : 0;
}

int lu_pkernfs_verify(struct lu_memory *m, uint64_t root_addr, struct lu_pkernfs_report *report, const char *save,
		      struct lu_error *e)
{
	_cleanup_(ctx_clear) struct pk_ctx ctx = CTX_INIT(m, report, e);
	int r = 0;

	if (root_addr == LU_PKERNFS_FIND)
		r = pk_find_root(m, &root_addr, e);
	if (r < 0)
		return r;
	report->root = root_addr;
	if (!report->source)
		report->source = strdup(lu_memory_name(m));
	if (lu_memory_cut(m))
		lu_findings_add(&report->findings, LU_LEVEL_WARNING, lu_memory_name(m),
				"make it again, with room for all of it", "ends %llu bytes early",
				(unsigned long long)lu_memory_cut(m));
	r = check_all(&ctx, root_addr);
	if (r >= 0 && save)
		r = save_metadata(&ctx, save);
	return r < 0 ? r : 0;
}
