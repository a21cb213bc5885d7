// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Is a node that is there what the command line would open in its place? The same driver, the same file (by what the
 * name leads to now, which the QEMU must have open), the same part of it, and the same nodes beneath it.
 *
 * A layer that the words do not name is one that QEMU finds in the header of the image above it, now as at the start.
 * It must be what that header says.
 *
 * Kinds of nodes:
 *	formats		a file, maybe a backing layer or a data file; nothing else beneath
 *	filters		of the words only; one that was put there since is a difference
 *	files		compared by identity
 *	remote ones	compared by QEMU's own account of them: each option that makes the node what it is
 *	others		can't be compared, which is a difference
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "compare.h"

#define VISITS_MAX 65536u

static const char *const formats[] = { "raw", "qcow2", "qcow",  "qed",   "vdi",       "vmdk",
				       "vpc", "vhdx",  "bochs", "cloop", "parallels", "luks" };
static const char *const filters[] = { "throttle", "copy-on-read", "compress", "blkdebug", "preallocate" };
static const char *const files[] = { "file", "host_device", "host_cdrom" };
static const char *const remotes[] = { "nbd",     "rbd",      "iscsi",         "nfs",     "ssh",
				       "http",    "https",    "ftp",           "ftps",    "nvme",
				       "gluster", "io_uring", "nvme-io_uring", "null-co", "null-aio" };

#define IS_ANY(_name, _list) is_any(_name, _list, ARRAY_SIZE(_list))

static bool is_any(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(name, list[i]))
			return true;
	return false;
}

void lu_block_comparison_clear(struct lu_block_comparison *c)
{
	free(c->what);
	c->what = NULL;
}

/* A difference is a result, 1; the first is told. */
static int differs(struct lu_block_comparison *c, const char *fmt, ...) _printf_(2, 3);
static int differs(struct lu_block_comparison *c, const char *fmt, ...)
{
	va_list ap;
	int n;

	free(c->what);
	va_start(ap, fmt);
	n = vasprintf(&c->what, fmt, ap);
	va_end(ap);
	if (n < 0) {
		c->what = NULL;
		return -ENOMEM;
	}
	return 1;
}

/* "file:/x" is /x; NULL if it is no file's name at all */
static const char *path_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		size_t n = strlen(files[i]);

		if (!strncmp(name, files[i], n) && name[n] == ':')
			return name + n + 1;
	}
	if (strchr(name, ':') && (!strchr(name, '/') || strchr(name, ':') < strchr(name, '/')))
		return NULL;
	return name;
}

static int same_file(struct lu_block_comparison *c, const char *want, const char *have, const struct lu_block_now *n)
{
	struct stat wanted, there;
	int r;

	if (!want)
		return differs(c, "has %s open, which the command line does not name", have);
	if (!path_of(want))
		return differs(c, "has %s open, where the command line opens %s", have, want);
	want = path_of(want);
	if (!strncmp(want, "/dev/fdset/", 11) || !strncmp(have, "/dev/fdset/", 11))
		return differs(c, "was given to it as a descriptor (%s), which can't be opened again", have);
	r = lu_block_files_stat(c->files, want, &wanted);
	if (r == -ENOENT)
		return differs(c, "is to be opened as %s, which is not there any more", want);
	if (r < 0)
		return differs(c, "is to be opened as %s, which can't be looked at: %s", want, strerror(-r));
	if (lu_block_files_stat(c->files, have, &there) < 0 || !lu_block_files_same(&wanted, &there))
		return differs(c, "has %s open, where the command line opens %s", have, want);
	if (lu_block_files_has(c->files, &wanted))
		return 0;
	if (!c->flash || !S_ISREG(wanted.st_mode))
		return differs(c, "is another file than what stands at %s now: it was moved or replaced", want);
	if ((uint64_t)wanted.st_size != n->size)
		return differs(c, "was replaced by a file of %llu bytes at %s, of %llu that it has",
			       (unsigned long long)wanted.st_size, want, (unsigned long long)n->size);
	return 0;
}

/* QEMU's account of a node: its own options, where they are more than a name. */
static int account(const struct lu_block_now *n, struct lu_block_options *ret)
{
	*ret = (struct lu_block_options){ 0 };
	if (strncmp(n->file, "json:", 5) != 0)
		return 0;
	return lu_block_options_add_json(ret, n->file + 5);
}

static int file_node(struct lu_block_comparison *c, const struct lu_block_view *v, const char *name,
		     const struct lu_block_now *n)
{
	struct lu_block_options own;
	struct lu_block_view view = { .o = &own, .prefix = (char *)"" };
	const char *have = n->file;
	int r = account(n, &own);

	if (r >= 0) {
		if (own.n)
			have = lu_block_view_get(&view, "filename");
		r = have ? same_file(c, lu_block_view_get(v, "filename") ?: name, have, n) : -EBADMSG;
	}
	lu_block_options_clear(&own);
	if (r == -EBADMSG || r == -E2BIG)
		return differs(c, "has %.200s open, which can't be compared", n->file);
	return r;
}

/* The address of an NBD server: "HOST:PORT/EXPORT" or "PATH:/EXPORT", whichever way it is written. */
static int nbd_of_view(const struct lu_block_view *v, char **ret)
{
	const char *path = lu_block_view_get(v, "server.path") ?: lu_block_view_get(v, "path"),
		   *host = lu_block_view_get(v, "server.host") ?: lu_block_view_get(v, "host"),
		   *port = lu_block_view_get(v, "server.port") ?: lu_block_view_get(v, "port"),
		   *export = lu_block_view_get(v, "export") ?: "";

	if (!path && !host)
		return 0;
	if (asprintf(ret, "%s:%s/%s", path ?: host, path ? "" : port ?: "10809", export) < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 1;
}

static int nbd_of_uri(const char *uri, char **ret)
{
	static const char tcp[] = "nbd://", local[] = "nbd+unix:///", socket[] = "?socket=";
	const char *p, *at;
	int n;

	if (strchr(uri, '%'))
		return 0;
	if (!strncmp(uri, tcp, strlen(tcp))) {
		p = uri + strlen(tcp);
		at = strchr(p, '/');
		n = at ? (int)(at - p) : (int)strlen(p);
		n = asprintf(ret, "%.*s%s/%s", n, p, memchr(p, ':', (size_t)n) ? "" : ":10809", at ? at + 1 : "");
	} else if (!strncmp(uri, local, strlen(local)) && (at = strstr(uri, socket))) {
		p = uri + strlen(local);
		n = asprintf(ret, "%s:/%.*s", at + strlen(socket), (int)(at - p), p);
	} else {
		return 0;
	}
	if (n < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 1;
}

static int nbd_node(struct lu_block_comparison *c, const struct lu_block_view *v, const char *name,
		    const struct lu_block_now *n)
{
	_cleanup_free_ char *want = NULL, *have = NULL;
	int r = nbd_of_view(v, &want);

	if (r == 0 && (name || lu_block_view_get(v, "filename")))
		r = nbd_of_uri(lu_block_view_get(v, "filename") ?: name, &want);
	if (r > 0)
		r = nbd_of_uri(n->file, &have);
	if (r < 0)
		return r;
	if (r == 0)
		return differs(c, "is on %.200s, which can't be compared", n->file);
	return strcmp(want, have) ? differs(c, "is on %s, where the command line opens nbd %s", n->file, want) : 0;
}

static int remote_node(struct lu_block_comparison *c, const struct lu_block_view *v, const char *name,
		       const struct lu_block_now *n)
{
	struct lu_block_options own;
	int r;

	if (!strcmp(n->driver, "nbd") && strncmp(n->file, "json:", 5) != 0)
		return nbd_node(c, v, name, n);
	r = account(n, &own);
	if (r >= 0 && own.n == 0) {
		const char *want = lu_block_view_get(v, "filename") ?: lu_block_view_get(v, "url") ?: name;

		if (!want || strcmp(want, n->file) != 0)
			r = differs(c, "is on %.200s, where the command line opens %s", n->file,
				    want ?: "what can't be compared");
	}
	for (size_t i = 0; r == 0 && i < own.n; i++) {
		const struct lu_block_option *o = &own.list[i];

		if (strcmp(o->key, "driver") != 0 && !lu_block_value_same(lu_block_view_get(v, o->key), o->value))
			r = differs(c, "is on a node (%s) with %s=%s, where the command line has %s", n->driver, o->key,
				    o->value ?: "nothing", lu_block_view_get(v, o->key) ?: "nothing");
	}
	lu_block_options_clear(&own);
	if (r == -EBADMSG || r == -E2BIG)
		return differs(c, "is on %.200s, which can't be compared", n->file);
	return r;
}

/* A part of what is beneath. */
static int raw_part(struct lu_block_comparison *c, const struct lu_block_view *v, const struct lu_block_now *n)
{
	static const char *const keys[] = { "offset", "size" };
	struct lu_block_options own;
	struct lu_block_view view = { .o = &own, .prefix = (char *)"" };
	int r = account(n, &own);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(keys); i++) {
		const char *want = lu_block_view_get(v, keys[i]), *have = lu_block_view_get(&view, keys[i]);

		if (!lu_block_value_same(want ?: (i ? NULL : "0"), have ?: (i ? NULL : "0")))
			r = differs(c, "has %s %s in what it is on, where the command line has %s", keys[i],
				    have ?: "of the whole", want ?: "none");
	}
	lu_block_options_clear(&own);
	if (r == -EBADMSG || r == -E2BIG)
		return differs(c, "is on %.200s, which can't be compared", n->file);
	return r;
}

/* The layer that a header names: what the words would say if they said it. */
static int implicit(struct lu_block_comparison *c, const char *header, const char *format, const char *child,
		    bool whole)
{
	struct lu_block_options o = { 0 };
	struct lu_block_view v = { .o = &o, .prefix = (char *)"" };
	int r;

	if (!strncmp(header, "json:", 5))
		r = lu_block_options_add_json(&o, header + 5);
	else
		r = lu_block_options_set(&o, "filename", header);
	if (r >= 0 && format && !lu_block_view_get(&v, "driver"))
		r = lu_block_options_set(&o, "driver", format);
	if (r == -EBADMSG || r == -E2BIG)
		r = differs(c, "has an image whose header names \"%.200s\", which can't be compared", header);
	if (r == 0)
		r = lu_block_compare(c, &v, NULL, child, whole ? LU_BLOCK_IMAGE : LU_BLOCK_FILE);
	lu_block_options_clear(&o);
	return r;
}

static int reference(struct lu_block_comparison *c, const char *want, const char *child)
{
	_cleanup_view_ struct lu_block_view v = { 0 };
	int r;

	if (strcmp(want, child) != 0)
		return differs(c, "is on node \"%s\"%s%s, where the command line has \"%s\"", child,
			       lu_blocks_node(c->blocks, child) ? ", " : "",
			       lu_blocks_node(c->blocks, child) ?
				       lu_blocks_file_of(c->blocks, lu_blocks_node(c->blocks, child)) :
				       "",
			       want);
	r = lu_block_words_node(c->words, want, &v);
	if (r < 0)
		return r;
	if (r == 0)
		return differs(c, "is on node \"%s\", which the command line does not make", want);
	return lu_block_compare(c, &v, NULL, child, LU_BLOCK_NODE);
}

int lu_block_compare_root(struct lu_block_comparison *c, const char *node)
{
	return reference(c, node, node);
}

static int one_child(struct lu_block_comparison *c, const struct lu_block_view *v, const char *name,
		     const struct lu_block_now *n, const struct lu_block_child *child)
{
	const struct lu_block_option *given = lu_block_view_find(v, child->role);
	_cleanup_view_ struct lu_block_view below = { 0 };
	int r;

	if (given && given->value && *given->value)
		return reference(c, given->value, child->node);
	if (given)
		return differs(c, "has a layer below %s, where the command line has none",
			       lu_blocks_file_of(c->blocks, n));
	r = lu_block_view_child(v, child->role, &below);
	if (r < 0)
		return r;
	if (!strcmp(child->role, "backing") && !lu_block_view_below(v, "backing")) {
		if (!n->backing)
			return differs(c, "has a layer below %s, of which its header does not tell",
				       lu_blocks_file_of(c->blocks, n));
		return implicit(c, n->backing, n->backing_format, child->node, true);
	}
	if (!strcmp(child->role, "data-file") && !lu_block_view_below(v, "data-file")) {
		if (!n->data_file)
			return differs(c, "has a data file beside %s, of which its header does not tell",
				       lu_blocks_file_of(c->blocks, n));
		return implicit(c, n->data_file, NULL, child->node, false);
	}
	if (!strcmp(child->role, "file") && !lu_block_view_below(v, "file"))
		return lu_block_compare(c, &below, lu_block_view_get(v, "filename") ?: name, child->node,
					LU_BLOCK_FILE);
	if (!lu_block_view_below(v, child->role))
		return differs(c, "has something beneath %s (%s), which the command line does not name",
			       lu_blocks_file_of(c->blocks, n), child->role);
	return lu_block_compare(c, &below, NULL, child->node,
				strcmp(child->role, "backing") ? LU_BLOCK_FILE : LU_BLOCK_IMAGE);
}

static bool has_child(const struct lu_block_now *n, const char *role)
{
	for (size_t i = 0; i < n->n_children; i++)
		if (!strcmp(n->children[i].role, role))
			return true;
	return false;
}

static int children(struct lu_block_comparison *c, const struct lu_block_view *v, const char *name,
		    const struct lu_block_now *n)
{
	static const char *const roles[] = { "file", "backing", "data-file" };
	const struct lu_block_option *backing = lu_block_view_find(v, "backing");
	int r = 0;

	for (size_t i = 0; r == 0 && i < n->n_children; i++)
		r = IS_ANY(n->children[i].role, roles) ?
			    one_child(c, v, name, n, &n->children[i]) :
			    differs(c, "has something beneath %s (%s) that can't be compared",
				    lu_blocks_file_of(c->blocks, n), n->children[i].role);
	if (r != 0)
		return r;
	if (!has_child(n, "file"))
		return differs(c, "is on a node (%s) with nothing beneath it", n->driver);
	if (!has_child(n, "backing") &&
	    (backing ? backing->value && *backing->value : lu_block_view_below(v, "backing") || n->backing))
		return differs(c, "has no layer below %s, where the next QEMU opens %s",
			       lu_blocks_file_of(c->blocks, n),
			       backing    ? backing->value :
			       n->backing ?:
					    "one");
	return 0;
}

/* Without a driver in the words QEMU finds it out: for a file by its name and what it is, for an image by its contents. */
static int same_driver(struct lu_block_comparison *c, const char *want, const struct lu_block_now *n,
		       enum lu_block_place place)
{
	if (want)
		return strcmp(want, n->driver) ? differs(c, "has %s as %s, where the command line opens %s",
							 lu_blocks_file_of(c->blocks, n), n->driver, want) :
						 0;
	if (place == LU_BLOCK_IMAGE ? IS_ANY(n->driver, formats) :
				      IS_ANY(n->driver, files) || IS_ANY(n->driver, remotes))
		return 0;
	return differs(c, "has %s as %s, which the command line does not name", lu_blocks_file_of(c->blocks, n),
		       n->driver);
}

static int same_name(struct lu_block_comparison *c, const struct lu_block_view *v, const struct lu_block_now *n)
{
	const char *want = lu_block_view_get(v, "node-name");

	if (want ? !strcmp(want, n->name) : n->name[0] == '#')
		return 0;
	return differs(c, "is on node \"%s\" (%s), which the command line does not make", n->name,
		       lu_blocks_file_of(c->blocks, n));
}

int lu_block_compare(struct lu_block_comparison *c, const struct lu_block_view *v, const char *name, const char *node,
		     enum lu_block_place place)
{
	const struct lu_block_now *n = lu_blocks_node(c->blocks, node);
	int r;

	if (!n)
		return differs(c, "is on node \"%s\", of which QEMU does not tell", node);
	if (c->depth == DEPTH_MAX || c->visits++ == VISITS_MAX)
		return differs(c, "has more layers than luctl looks at");
	r = same_name(c, v, n);
	if (r == 0)
		r = same_driver(c, lu_block_view_get(v, "driver"), n, place);
	if (r != 0)
		return r;
	if (IS_ANY(n->driver, files) || IS_ANY(n->driver, remotes)) {
		if (n->n_children)
			return differs(c, "has something beneath %s (%s) that can't be compared",
				       lu_blocks_file_of(c->blocks, n), n->children[0].role);
		return IS_ANY(n->driver, files) ? file_node(c, v, name, n) : remote_node(c, v, name, n);
	}
	if (!IS_ANY(n->driver, formats) && !IS_ANY(n->driver, filters))
		return differs(c, "is on a node of a kind that can't be compared (%s)", n->driver);
	if (!strcmp(n->driver, "raw"))
		r = raw_part(c, v, n);
	c->depth++;
	if (r == 0)
		r = children(c, v, name, n);
	c->depth--;
	return r;
}
