// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Each disk of the guest with the word of the command line that is its own.
 *
 *	a name of -drive		the -drive with that id
 *	a name that QEMU made up	the -drive without id, in their order: QEMU makes them in that order
 *	no name, a device with id	the -device with that id
 *	no name, a device without	the -device without id, in their order: QEMU makes those in JSON last
 *	no name, part of the board	a node that -machine or -global names
 *
 * And the other way round: what the command line opens must still be there, or the next QEMU has one more.
 */
#include <stdio.h>
#include <string.h>

#include "compare.h"

static const char changed[] =
	"bring it back to what the command line says (QMP block-commit, block-stream, "
	"blockdev-change-medium), or shut it down and start it with what it has now; or exclude the VM";

struct verdict {
	struct lu_block_comparison c;
	const struct lu_blocks *b;
	struct lu_block_words *w;
	struct lu_reasons *why;
	struct lu_block_match *matches; /* of fronts; or NULL */
	bool *device_used, *board_used;
	size_t unnamed; /* drives without id that have been met */
	int64_t anonymous;
};

/* "/machine/peripheral/disk0/virtio-backend" is disk0 */
static const char *label(const struct lu_block_front *f)
{
	static const char below[] = "/machine/peripheral/";
	static char id[256];

	if (f->name[0] || !f->device || strncmp(f->device, below, strlen(below)) != 0)
		return f->name[0] ? f->name : f->device ?: "";
	snprintf(id, sizeof(id), "%.*s", (int)strcspn(f->device + strlen(below), "/"), f->device + strlen(below));
	return id;
}

static int refuse(struct verdict *v, const struct lu_block_front *f, const char *what)
{
	lu_reasons_add(v->why, NULL, changed, "its disk \"%s\" %s", label(f), what);
	return 0;
}

static const char *node_file(const struct verdict *v, const char *node)
{
	const struct lu_block_now *n = node ? lu_blocks_node(v->b, node) : NULL;

	return n ? lu_blocks_file_of(v->b, n) : node ?: "nothing";
}

static int compared(struct verdict *v, const struct lu_block_front *f, int r)
{
	if (r == 1)
		refuse(v, f, v->c.what ?: "can't be compared with the command line");
	lu_block_comparison_clear(&v->c);
	return r < 0 ? r : 0;
}

static int added(struct verdict *v, const struct lu_block_front *f)
{
	if (!f->node) /* a drive without medium, which the board has by default */
		return 0;
	lu_reasons_add(v->why, NULL, changed, "its disk \"%s\" is none that its command line opens (it has %.500s)",
		       label(f), node_file(v, f->node));
	return 0;
}

static int ejected(struct verdict *v, const struct lu_block_front *f, const char *want)
{
	lu_reasons_add(v->why, NULL, changed, "its drive \"%s\" is empty, where the command line has %.500s", label(f),
		       want);
	return 0;
}

static int read_only(struct verdict *v, const struct lu_block_front *f, const struct lu_block_view *view, bool may_be)
{
	const struct lu_block_now *n = lu_blocks_node(v->b, f->node);
	bool want = lu_block_value_on(lu_block_view_get(view, "read-only"));

	if (!n || n->read_only == want || (n->read_only && may_be))
		return 0;
	return refuse(v, f,
		      want ? "can be written, where the command line has it read-only" :
			     "is read-only, where the command line has it writable");
}

/* Of a drive; a node of -blockdev has none but by a filter. */
static int limits(struct verdict *v, const struct lu_block_front *f, const struct lu_block_view *view)
{
	for (size_t i = 0; i < LU_BLOCK_LIMITS; i++) {
		const char *want = view ? lu_block_view_get(view, lu_block_limits[i].option) : NULL;
		char have[24];

		want = want ?: view ? lu_block_view_get(view, lu_block_limits[i].old) : NULL;
		snprintf(have, sizeof(have), "%llu", (unsigned long long)f->limits[i]);
		if (lu_block_value_same(want ?: "0", have))
			continue;
		lu_reasons_add(
			v->why, NULL,
			"take the limit away for the update (QMP block_set_io_throttle), or have the command line give it",
			"its disk \"%s\" is limited (%s=%s), where the command line has %s", label(f),
			lu_block_limits[i].told, have, want ?: "no such limit");
	}
	return 0;
}

/* --- drives --- */

static void matched(struct verdict *v, const struct lu_block_front *f, int kind, size_t which)
{
	if (!v->matches)
		return;
	v->matches[f - v->b->fronts].kind = kind;
	v->matches[f - v->b->fronts].which = which;
}

static int judge_drive(struct verdict *v, const struct lu_block_front *f, const struct lu_block_drive *d)
{
	_cleanup_view_ struct lu_block_view view = { 0 };
	int r;

	matched(v, f, LU_BLOCK_DRIVE_WORD, (size_t)(d - v->w->drives));
	if (d->snapshot) /* said elsewhere */
		return 0;
	if (!f->node)
		return d->medium ? ejected(v, f, d->word) : 0;
	if (!d->medium) {
		lu_reasons_add(v->why, NULL, changed,
			       "its drive \"%s\" has a medium (%.500s), where the command line has none", label(f),
			       node_file(v, f->node));
		return 0;
	}
	r = lu_block_view_make(&view, &d->o, "");
	if (r < 0)
		return r;
	read_only(v, f, &view, true);
	limits(v, f, &view);
	return compared(v, f, lu_block_compare(&v->c, &view, NULL, f->node, LU_BLOCK_IMAGE));
}

static struct lu_block_drive *drive_by_id(struct verdict *v, const char *id)
{
	for (size_t i = 0; i < v->w->n_drives; i++)
		if (v->w->drives[i].id && !strcmp(v->w->drives[i].id, id))
			return &v->w->drives[i];
	return NULL;
}

static struct lu_block_drive *next_unnamed(struct verdict *v)
{
	while (v->unnamed < v->w->n_drives && v->w->drives[v->unnamed].id)
		v->unnamed++;
	return v->unnamed < v->w->n_drives ? &v->w->drives[v->unnamed++] : NULL;
}

/* --- devices with nodes of -blockdev --- */

static struct lu_block_drive *drive_by_node(struct verdict *v, const char *name)
{
	for (size_t i = 0; i < v->w->n_drives; i++) {
		struct lu_block_view view = { &v->w->drives[i].o, (char *)"" };
		const char *node = lu_block_view_get(&view, "node-name");

		if (node && !strcmp(node, name))
			return &v->w->drives[i];
	}
	return NULL;
}

static int judge_node(struct verdict *v, const struct lu_block_front *f, const char *want)
{
	_cleanup_view_ struct lu_block_view view = { 0 };
	struct lu_block_drive *d;
	char what[1200];
	int r;

	if (!f->node)
		return ejected(v, f, want);
	d = drive_by_node(v, want);
	if (d)
		return judge_drive(v, f, d);
	limits(v, f, NULL);
	if (strcmp(want, f->node) != 0) {
		snprintf(what, sizeof(what), "is on node \"%.200s\", %.500s, where the command line has \"%.200s\"",
			 f->node, node_file(v, f->node), want);
		return refuse(v, f, what);
	}
	r = lu_block_words_node(v->w, want, &view);
	if (r > 0)
		r = read_only(v, f, &view, lu_block_value_on(lu_block_view_get(&view, "auto-read-only")));
	if (r < 0)
		return r;
	return compared(v, f, lu_block_compare_root(&v->c, f->node));
}

/* The id of the device that has it: "disk0" itself, or "/machine/peripheral/disk0/virtio-backend" */
static bool is_device(const char *device, const char *id)
{
	static const char below[] = "/machine/peripheral/";
	size_t n = strlen(id);

	if (strncmp(device, below, strlen(below)) != 0)
		return !strcmp(device, id);
	device += strlen(below);
	return !strncmp(device, id, n) && (!device[n] || device[n] == '/');
}

/* A device with an id has the drive that its word names. */
static int judge_owner(struct verdict *v, const struct lu_block_front *f)
{
	char what[400];

	for (size_t i = 0; f->device && i < v->w->n_devices; i++) {
		const struct lu_block_device *d = &v->w->devices[i];

		if (!d->id || !is_device(f->device, d->id) || (d->drive && !strcmp(d->drive, f->name)))
			continue;
		snprintf(what, sizeof(what), "is the device \"%.200s\"'s, where the command line gives that %s", d->id,
			 d->drive ? "another one" : "none");
		return refuse(v, f, what);
	}
	return 0;
}

static int judge_device(struct verdict *v, const struct lu_block_front *f)
{
	for (size_t i = 0; i < v->w->n_devices; i++) {
		struct lu_block_device *d = &v->w->devices[i];

		if (!d->id || !is_device(f->device, d->id))
			continue;
		v->device_used[i] = true;
		matched(v, f, LU_BLOCK_DEVICE_WORD, i);
		if (d->drive)
			return judge_node(v, f, d->drive);
		return f->node ? added(v, f) : 0;
	}
	return added(v, f);
}

static int judge_board(struct verdict *v, const struct lu_block_front *f)
{
	for (size_t i = 0; f->node && i < v->w->n_board; i++)
		if (!v->board_used[i] && !strcmp(v->w->board[i], f->node)) {
			v->board_used[i] = true;
			return judge_node(v, f, v->w->board[i]);
		}
	return added(v, f);
}

static int64_t anonymous(const struct lu_block_front *f)
{
	static const char below[] = "/machine/peripheral-anon/device[";
	char *end;
	long long n;

	if (f->name[0] || !f->device || strncmp(f->device, below, strlen(below)) != 0)
		return -1;
	n = strtoll(f->device + strlen(below), &end, 10);
	return *end == ']' && n >= 0 ? n : -1;
}

/* The next -device without id that has a node: those in JSON are made when all others are. */
static struct lu_block_device *next_anonymous(struct verdict *v)
{
	for (int json = 0; json < 2; json++)
		for (size_t i = 0; i < v->w->n_devices; i++) {
			struct lu_block_device *d = &v->w->devices[i];

			if (d->id || !d->drive || d->json != (json == 1) || v->device_used[i] ||
			    drive_by_id(v, d->drive))
				continue;
			v->device_used[i] = true;
			return d;
		}
	return NULL;
}

struct turn {
	int64_t number;
	size_t front;
};

static int by_number(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static int judge_anonymous(struct verdict *v)
{
	_cleanup_free_ struct turn *turns = calloc(v->b->n_fronts ?: 1, sizeof(*turns));
	size_t n = 0;
	int r = 0;

	if (!turns)
		return -ENOMEM;
	for (size_t i = 0; i < v->b->n_fronts; i++)
		if (anonymous(&v->b->fronts[i]) >= 0 && v->b->fronts[i].node)
			turns[n++] = (struct turn){ anonymous(&v->b->fronts[i]), i };
	qsort(turns, n, sizeof(*turns), by_number);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		struct lu_block_device *d = next_anonymous(v);
		const struct lu_block_front *f = &v->b->fronts[turns[i].front];

		size_t reasons = v->why->n;

		if (d)
			matched(v, f, LU_BLOCK_DEVICE_WORD, (size_t)(d - v->w->devices));
		r = d ? judge_node(v, f, d->drive) : added(v, f);
		if (v->matches)
			v->matches[turns[i].front].differs = v->why->n > reasons;
	}
	return r;
}

/* --- all --- */

/* What pc_sysfw.c of QEMU makes of -drive if=pflash and -machine pflash0=, if it is only read */
static bool is_flash(const struct verdict *v, const struct lu_block_front *f)
{
	static const char flash[] = "/machine/system.flash";
	const struct lu_block_now *n = f->node ? lu_blocks_node(v->b, f->node) : NULL;

	return n && n->read_only && f->device && !strncmp(f->device, flash, strlen(flash));
}

static int judge_front(struct verdict *v, const struct lu_block_front *f)
{
	struct lu_block_drive *d;

	v->c.flash = is_flash(v, f);
	if (!f->name[0]) {
		if (!f->device || anonymous(f) >= 0)
			return 0;
		if (f->device[0] == '/' && strncmp(f->device, "/machine/peripheral/", 20) != 0)
			return judge_board(v, f);
		return judge_device(v, f);
	}
	d = drive_by_id(v, f->name);
	if (d)
		judge_owner(v, f);
	d = d ?: next_unnamed(v);
	return d ? judge_drive(v, f, d) : added(v, f);
}

static bool has_front(const struct lu_blocks *b, const char *name)
{
	for (size_t i = 0; i < b->n_fronts; i++)
		if (!strcmp(b->fronts[i].name, name))
			return true;
	return false;
}

static void reach(const struct lu_blocks *b, const char *name, bool *used, unsigned int depth)
{
	const struct lu_block_now *n = lu_blocks_node(b, name);

	if (!n || used[n - b->nodes] || depth == DEPTH_MAX)
		return;
	used[n - b->nodes] = true;
	for (size_t i = 0; i < n->n_children; i++)
		reach(b, n->children[i].node, used, depth + 1);
}

/* Nodes that no disk uses are opened, too: one whose file is gone or another keeps the next QEMU from starting. */
static int judge_unused(struct verdict *v)
{
	_cleanup_free_ bool *used = calloc(v->b->n_nodes ?: 1, sizeof(*used));
	int r = used ? 0 : -ENOMEM;

	for (size_t i = 0; used && i < v->b->n_fronts; i++)
		if (v->b->fronts[i].node)
			reach(v->b, v->b->fronts[i].node, used, 0);
	for (size_t i = 0; r >= 0 && i < v->w->n_nodes; i++) {
		struct lu_block_view view = { &v->w->nodes[i].o, (char *)"" };
		const char *name = lu_block_view_get(&view, "node-name");
		const struct lu_block_now *n = name ? lu_blocks_node(v->b, name) : NULL;

		if (!n || used[n - v->b->nodes])
			continue;
		r = lu_block_compare_root(&v->c, name);
		if (r == 1)
			lu_reasons_add(v->why, NULL, changed, "the node \"%s\" of its command line %s", name,
				       v->c.what ?: "can't be compared");
		lu_block_comparison_clear(&v->c);
	}
	return r < 0 ? r : 0;
}

/* What the next QEMU would open and this one no longer has. */
static int judge_missing(struct verdict *v)
{
	for (size_t i = 0; i < v->w->n_drives; i++) {
		const struct lu_block_drive *d = &v->w->drives[i];

		if (d->id ? !has_front(v->b, d->id) : i >= v->unnamed)
			lu_reasons_add(v->why, NULL, changed, "its disk \"%.500s\" was removed after the start",
				       d->word);
	}
	for (size_t i = 0; i < v->w->n_nodes; i++) {
		struct lu_block_view view = { &v->w->nodes[i].o, (char *)"" };
		const char *name = lu_block_view_get(&view, "node-name");

		if (name && !lu_blocks_node(v->b, name))
			lu_reasons_add(v->why, NULL, changed,
				       "the node \"%s\" of its command line was removed after the start", name);
	}
	for (size_t i = 0; i < v->w->n_devices; i++) {
		const struct lu_block_device *d = &v->w->devices[i];

		if (d->drive && !v->device_used[i] && !drive_by_id(v, d->drive))
			lu_reasons_add(v->why, NULL, changed,
				       "its disk on \"%s\" was removed after the start, or has no medium any more",
				       d->drive);
	}
	for (size_t i = 0; i < v->w->n_board; i++)
		if (!v->board_used[i])
			lu_reasons_add(v->why, NULL, changed, "no part of its board has \"%s\" any more",
				       v->w->board[i]);
	return 0;
}

int lu_blocks_match(const struct lu_blocks *b, struct lu_block_words *w, const struct lu_block_files *files,
		    struct lu_reasons *why, struct lu_block_match *matches)
{
	struct verdict v = {
		.b = b, .w = w, .why = why, .matches = matches, .c = { .blocks = b, .words = w, .files = files }
	};
	int r = 0;

	v.device_used = calloc(w->n_devices ?: 1, sizeof(bool));
	v.board_used = calloc(w->n_board ?: 1, sizeof(bool));
	if (!v.device_used || !v.board_used)
		r = -ENOMEM;
	for (size_t i = 0; r >= 0 && i < b->n_fronts; i++) {
		size_t n = why->n;

		r = judge_front(&v, &b->fronts[i]);
		if (matches)
			matches[i].differs = why->n > n;
	}
	v.c.flash = false;
	if (r >= 0)
		r = judge_anonymous(&v);
	if (r >= 0)
		r = judge_missing(&v);
	if (r >= 0)
		r = judge_unused(&v);
	free(v.device_used);
	free(v.board_used);
	return r < 0 ? r : 0;
}

int lu_blocks_judge(const struct lu_blocks *b, char *const *argv, const struct lu_block_files *files,
		    struct lu_reasons *why)
{
	struct lu_block_words w = { 0 };
	int r = lu_block_words_read(argv, &w, why);

	if (r >= 0)
		r = lu_blocks_match(b, &w, files, why, NULL);
	lu_block_words_clear(&w);
	return r;
}
