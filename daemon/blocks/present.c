// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU's block graph from its answers. Which node is beneath which is told by the nodes themselves since QEMU 10.1
 * ("children"); of an older one by x-debug-query-block-graph, which numbers nodes and edges.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "blocks-internal.h"

struct lu_blocks *lu_blocks_free(struct lu_blocks *b)
{
	if (!b)
		return NULL;
	for (size_t i = 0; i < b->n_nodes; i++) {
		struct lu_block_now *n = &b->nodes[i];

		for (size_t k = 0; k < n->n_children; k++) {
			free(n->children[k].role);
			free(n->children[k].node);
		}
		free(n->children);
		free(n->name);
		free(n->driver);
		free(n->file);
		free(n->backing);
		free(n->backing_format);
		free(n->data_file);
	}
	for (size_t i = 0; i < b->n_fronts; i++) {
		free(b->fronts[i].name);
		free(b->fronts[i].device);
		free(b->fronts[i].node);
	}
	free(b->nodes);
	free(b->fronts);
	free(b);
	return NULL;
}

static struct json_object *member(struct json_object *o, const char *key, enum json_type type)
{
	struct json_object *v = NULL;

	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &v) ||
	    !json_object_is_type(v, type))
		return NULL;
	return v;
}

static const char *text(struct json_object *o, const char *key)
{
	struct json_object *v = member(o, key, json_type_string);

	return v ? json_object_get_string(v) : NULL;
}

/* 0; an absent one is NULL */
static int copy(struct json_object *o, const char *key, char **ret)
{
	const char *s = text(o, key);

	*ret = s ? strdup(s) : NULL;
	return s && !*ret ? -ENOMEM : 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct lu_block_now *)a)->name, ((const struct lu_block_now *)b)->name);
}

static struct lu_block_now *node(const struct lu_blocks *b, const char *name)
{
	struct lu_block_now key = { .name = (char *)name };

	return b->n_nodes ? bsearch(&key, b->nodes, b->n_nodes, sizeof(key), by_name) : NULL;
}

const struct lu_block_now *lu_blocks_node(const struct lu_blocks *b, const char *name)
{
	return node(b, name);
}

const char *lu_blocks_file_of(const struct lu_blocks *b, const struct lu_block_now *n)
{
	for (unsigned int depth = 0; depth < DEPTH_MAX; depth++) {
		const struct lu_block_now *below = NULL;

		for (size_t i = 0; i < n->n_children; i++)
			if (!strcmp(n->children[i].role, "file"))
				below = node(b, n->children[i].node);
		if (!below)
			break;
		n = below;
	}
	return n->file;
}

static int add_child(struct lu_block_now *n, const char *role, const char *child, size_t *total)
{
	struct lu_block_child *p;

	if (++*total > CHILDREN_MAX)
		return -E2BIG;
	p = reallocarray(n->children, n->n_children + 1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	n->children = p;
	p += n->n_children++;
	*p = (struct lu_block_child){ strdup(role), strdup(child) };
	return p->role && p->node ? 0 : -ENOMEM;
}

static int read_children(struct lu_block_now *n, struct json_object *list, size_t *total)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *role = text(o, "child"), *child = text(o, "node-name");

		r = role && child ? add_child(n, role, child, total) : -EBADMSG;
	}
	return r;
}

static int read_node(struct lu_block_now *n, struct json_object *o, bool *tells, size_t *total)
{
	struct json_object *image = member(o, "image", json_type_object),
			   *children = member(o, "children", json_type_array), *ro = member(o, "ro", json_type_boolean),
			   *size = member(image, "virtual-size", json_type_int),
			   *cache = member(o, "cache", json_type_object);
	struct json_object *data = member(member(image, "format-specific", json_type_object), "data", json_type_object);

	if (!ro || copy(o, "node-name", &n->name) < 0 || copy(o, "drv", &n->driver) < 0 ||
	    copy(o, "file", &n->file) < 0 || copy(image, "backing-filename-format", &n->backing_format) < 0 ||
	    copy(image, "full-backing-filename", &n->backing) < 0 || copy(data, "data-file", &n->data_file) < 0)
		return ro ? -ENOMEM : -EBADMSG;
	if (!n->backing && copy(image, "backing-filename", &n->backing) < 0)
		return -ENOMEM;
	if (!n->name || !n->driver || !n->file)
		return -EBADMSG;
	n->read_only = json_object_get_boolean(ro);
	n->size = size ? json_object_get_uint64(size) : 0;
	n->encrypted = json_object_get_boolean(member(o, "encrypted", json_type_boolean));
	n->direct = json_object_get_boolean(member(cache, "direct", json_type_boolean));
	n->no_flush = json_object_get_boolean(member(cache, "no-flush", json_type_boolean));
	*tells &= children != NULL;
	return children ? read_children(n, children, total) : 0;
}

static int read_nodes(struct lu_blocks *b, struct json_object *list, bool *tells, size_t *total)
{
	size_t n;
	int r = 0;

	if (!json_object_is_type(list, json_type_array))
		return -EBADMSG;
	n = json_object_array_length(list);
	if (n > NODES_MAX)
		return -E2BIG;
	b->nodes = calloc(n ?: 1, sizeof(*b->nodes));
	if (!b->nodes)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = read_node(&b->nodes[b->n_nodes++], json_object_array_get_idx(list, i), tells, total);
	if (r < 0)
		return r;
	qsort(b->nodes, b->n_nodes, sizeof(*b->nodes), by_name);
	for (size_t i = 1; i < b->n_nodes; i++)
		if (!strcmp(b->nodes[i].name, b->nodes[i - 1].name))
			return -EBADMSG;
	return 0;
}

const struct lu_block_limit lu_block_limits[LU_BLOCK_LIMITS] = {
	{ "bps", "throttling.bps-total", "bps" },
	{ "bps_rd", "throttling.bps-read", "bps_rd" },
	{ "bps_wr", "throttling.bps-write", "bps_wr" },
	{ "iops", "throttling.iops-total", "iops" },
	{ "iops_rd", "throttling.iops-read", "iops_rd" },
	{ "iops_wr", "throttling.iops-write", "iops_wr" },
	{ "bps_max", "throttling.bps-total-max", "bps_max" },
	{ "bps_rd_max", "throttling.bps-read-max", "bps_rd_max" },
	{ "bps_wr_max", "throttling.bps-write-max", "bps_wr_max" },
	{ "iops_max", "throttling.iops-total-max", "iops_max" },
	{ "iops_rd_max", "throttling.iops-read-max", "iops_rd_max" },
	{ "iops_wr_max", "throttling.iops-write-max", "iops_wr_max" },
};

static int read_front(struct lu_block_front *f, struct json_object *o)
{
	struct json_object *inserted = member(o, "inserted", json_type_object);

	for (size_t i = 0; i < LU_BLOCK_LIMITS; i++) {
		struct json_object *limit = member(inserted, lu_block_limits[i].told, json_type_int);

		f->limits[i] = limit ? (uint64_t)json_object_get_int64(limit) : 0;
	}
	if (copy(o, "device", &f->name) < 0 || copy(o, "qdev", &f->device) < 0 ||
	    copy(inserted, "node-name", &f->node) < 0)
		return -ENOMEM;
	f->removable = json_object_get_boolean(member(o, "removable", json_type_boolean));
	return f->name && (!inserted || f->node) ? 0 : -EBADMSG;
}

static int read_fronts(struct lu_blocks *b, struct json_object *list)
{
	size_t n;
	int r = 0;

	if (!json_object_is_type(list, json_type_array))
		return -EBADMSG;
	n = json_object_array_length(list);
	if (n > FRONTS_MAX)
		return -E2BIG;
	b->fronts = calloc(n ?: 1, sizeof(*b->fronts));
	if (!b->fronts)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = read_front(&b->fronts[b->n_fronts++], json_object_array_get_idx(list, i));
	return r;
}

struct numbered {
	int64_t id;
	const char *name; /* of a node; other things have none */
};

static int by_id(const void *a, const void *b)
{
	int64_t x = ((const struct numbered *)a)->id, y = ((const struct numbered *)b)->id;

	return (x > y) - (x < y);
}

static const char *name_of(const struct numbered *list, size_t n, struct json_object *id)
{
	struct numbered key = { .id = json_object_get_int64(id) }, *found;

	found = id && n ? bsearch(&key, list, n, sizeof(key), by_id) : NULL;
	return found ? found->name : NULL;
}

static int read_edges(struct lu_blocks *b, struct json_object *graph, size_t *total)
{
	struct json_object *nodes = member(graph, "nodes", json_type_array),
			   *edges = member(graph, "edges", json_type_array);
	size_t n = nodes ? json_object_array_length(nodes) : 0;
	_cleanup_free_ struct numbered *list = NULL;
	int r = 0;

	if (!nodes || !edges)
		return -EBADMSG;
	if (n > NODES_MAX + FRONTS_MAX || json_object_array_length(edges) > CHILDREN_MAX)
		return -E2BIG;
	list = calloc(n ?: 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(nodes, i), *id = member(o, "id", json_type_int);
		const char *type = text(o, "type"), *name = text(o, "name");

		if (!id || !type || !name)
			return -EBADMSG;
		list[i] = (struct numbered){ json_object_get_int64(id), strcmp(type, "block-driver") ? NULL : name };
	}
	qsort(list, n, sizeof(*list), by_id);
	for (size_t i = 0; r >= 0 && i < json_object_array_length(edges); i++) {
		struct json_object *o = json_object_array_get_idx(edges, i);
		const char *parent = name_of(list, n, member(o, "parent", json_type_int)),
			   *child = name_of(list, n, member(o, "child", json_type_int)), *role = text(o, "name");
		struct lu_block_now *from = parent ? node(b, parent) : NULL;

		if (!from) /* a device's, a job's */
			continue;
		r = child && role ? add_child(from, role, child, total) : -EBADMSG;
	}
	return r;
}

int lu_blocks_read(struct json_object *nodes, struct json_object *fronts, struct json_object *edges,
		   struct lu_blocks **ret, struct lu_error *e)
{
	_cleanup_(lu_blocks_freep) struct lu_blocks *b = calloc(1, sizeof(*b));
	bool tells = true;
	size_t total = 0;
	int r;

	if (!b)
		return -ENOMEM;
	r = read_nodes(b, nodes, &tells, &total);
	if (r >= 0)
		r = read_fronts(b, fronts);
	if (r >= 0 && !tells)
		r = edges ? read_edges(b, edges, &total) : -EOPNOTSUPP;
	if (r == -EBADMSG)
		return lu_error_set(e, r, "is it a QEMU?", "its answer on what is beneath its disks can't be read");
	if (r == -E2BIG)
		return lu_error_set(e, r, NULL, "it has more beneath its disks than luctl looks at");
	if (r == -EOPNOTSUPP)
		return lu_error_set(e, r, "QEMU 10.1 or newer is needed",
				    "its QEMU does not tell what is beneath its disks");
	if (r < 0)
		return r;
	*ret = steal_ptr(b);
	return 0;
}

/* --- as a text --- */

static void write_node(FILE *f, const struct lu_block_now *n, const struct lu_block_files *files)
{
	struct stat st;

	fprintf(f, "node %s %s %s header %s %s %s", n->name, n->driver, n->file, n->backing ?: "-",
		n->backing_format ?: "-", n->data_file ?: "-");
	for (size_t i = 0; i < n->n_children; i++)
		fprintf(f, " %s=%s", n->children[i].role, n->children[i].node);
	if (files && n->n_children == 0 && lu_block_files_stat(files, n->file, &st) == 0)
		fprintf(f, " is %llx:%llx:%llx", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino,
			(unsigned long long)st.st_rdev);
	fputc('\n', f);
}

int lu_blocks_text(const struct lu_blocks *b, const struct lu_block_files *files, char **ret)
{
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);
	bool bad;

	if (!f)
		return -ENOMEM;
	for (size_t i = 0; i < b->n_fronts; i++) {
		fprintf(f, "front %s %s on %s", b->fronts[i].name, b->fronts[i].device ?: "-",
			b->fronts[i].node ?: "-");
		for (size_t k = 0; k < LU_BLOCK_LIMITS; k++)
			if (b->fronts[i].limits[k])
				fprintf(f, " %s=%llu", lu_block_limits[k].told,
					(unsigned long long)b->fronts[i].limits[k]);
		fputc('\n', f);
	}
	for (size_t i = 0; i < b->n_nodes; i++)
		write_node(f, &b->nodes[i], files);
	bad = ferror(f);
	if (fclose(f) != 0 || bad) {
		free(out);
		return -ENOMEM;
	}
	*ret = out;
	return 0;
}
