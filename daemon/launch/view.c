// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Views, the part that reads nothing but text: see view.h.
 *
 * Which of two mounts counts is told by their order of lookup: a mount is hidden by one that lies on its own root, and
 * by a mount on its parent that stands on the way to it. What is hidden can't be reached by any path, so it is not part
 * of the view, and the visible ones have each a path of its own.
 *
 * "same" means that the whole way is the host's: below a private /dev also /dev/pts has to be brought there, by binding.
 *
 * A unit's private /tmp is a directory that systemd removes with the next boot: a fresh file system takes its place.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "view.h"

#define LINES_MAX 4096u

static bool path_valid(const char *s)
{
	return s[0] == '/' && strlen(s) < 4096;
}

void lu_view_clear(struct lu_view *v)
{
	lu_json_free(&lu_view_table, v);
}

bool lu_view_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (n == 1) /* the root */
		return true;
	return !strncmp(path, dir, n) && (path[n] == '/' || path[n] == '\0');
}

/* --- mountinfo --- */

struct row {
	unsigned long id, parent, major, minor;
	char *root, *path, *options, *type, *super;
	bool slave, visible;
	struct row *up;
};

struct rows {
	char *text; /* all strings are in here */
	struct row *list;
	size_t n;
	struct row **map; /* the visible ones, by path */
	size_t n_map;
};

static void rows_clear(struct rows *rows)
{
	free(rows->text);
	free(rows->list);
	free(rows->map);
}

/* Blank, tab, newline and backslash come as three octal digits. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
		    s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static int parse_line(char *line, struct row *row)
{
	char *save = NULL, *word, *dash = strstr(line, " - ");
	int used = 0;

	if (!dash)
		return -EBADMSG;
	*dash = '\0';
	if (sscanf(line, "%lu %lu %lu:%lu %n", &row->id, &row->parent, &row->major, &row->minor, &used) != 4 || !used)
		return -EBADMSG;
	row->root = strtok_r(line + used, " ", &save);
	row->path = strtok_r(NULL, " ", &save);
	row->options = strtok_r(NULL, " ", &save);
	while (row->options && (word = strtok_r(NULL, " ", &save)))
		row->slave |= !strncmp(word, "master:", 7);
	row->type = strtok_r(dash + 3, " ", &save);
	if (!row->options || !row->type || row->path[0] != '/')
		return -EBADMSG;
	/* its source may be empty: two blanks */
	row->super = strrchr(save, ' ');
	row->super = row->super ? row->super + 1 : save;
	unescape(row->root);
	unescape(row->path);
	return 0;
}

static struct row *row_of(struct rows *rows, unsigned long id)
{
	for (size_t i = 0; i < rows->n; i++)
		if (rows->list[i].id == id)
			return &rows->list[i];
	return NULL;
}

/* Is lookup turned away before it comes to @x, or by what lies on it? */
static bool hidden(const struct rows *rows, const struct row *x)
{
	size_t steps = 0;

	for (size_t i = 0; i < rows->n; i++)
		if (rows->list[i].up == x && !strcmp(rows->list[i].path, x->path))
			return true;
	for (; x->up; x = x->up) {
		if (steps++ > rows->n)
			return true;
		for (size_t i = 0; i < rows->n; i++) {
			const struct row *s = &rows->list[i];

			if (s->up == x->up && strcmp(s->path, x->path) != 0 && lu_view_below(x->path, s->path))
				return true;
		}
	}
	return false;
}

static int by_path(const void *a, const void *b)
{
	return strcmp((*(struct row *const *)a)->path, (*(struct row *const *)b)->path);
}

static int parse(const char *text, struct rows *rows)
{
	size_t room = 0;
	char *save = NULL;

	rows->text = strdup(text);
	if (!rows->text)
		return -ENOMEM;
	for (const char *p = text; *p; p++)
		room += *p == '\n';
	if (room > LINES_MAX)
		return -E2BIG;
	rows->list = calloc(room + 1, sizeof(*rows->list));
	rows->map = calloc(room + 1, sizeof(struct row *));
	if (!rows->list || !rows->map)
		return -ENOMEM;
	for (char *line = strtok_r(rows->text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (parse_line(line, &rows->list[rows->n++]) < 0)
			return -EBADMSG;
	for (size_t i = 0; i < rows->n; i++) {
		struct row *up = row_of(rows, rows->list[i].parent);

		rows->list[i].up = up == &rows->list[i] ? NULL : up;
	}
	for (size_t i = 0; i < rows->n; i++)
		if (!hidden(rows, &rows->list[i]))
			rows->map[rows->n_map++] = &rows->list[i];
	if (rows->n_map)
		qsort(rows->map, rows->n_map, sizeof(*rows->map), by_path);
	for (size_t i = 1; i < rows->n_map; i++)
		if (!strcmp(rows->map[i - 1]->path, rows->map[i]->path))
			return -EBADMSG;
	return rows->n_map && !strcmp(rows->map[0]->path, "/") ? 0 : -EBADMSG;
}

static const struct row *at(const struct rows *rows, const char *path)
{
	for (size_t i = 0; i < rows->n_map; i++)
		if (!strcmp(rows->map[i]->path, path))
			return rows->map[i];
	return NULL;
}

/* The mount on which @path is. */
static const struct row *around(const struct rows *rows, const char *path)
{
	const struct row *best = NULL;

	for (size_t i = 0; i < rows->n_map; i++)
		if (lu_view_below(path, rows->map[i]->path) &&
		    (!best || strlen(rows->map[i]->path) > strlen(best->path)))
			best = rows->map[i];
	return best;
}

/* --- what is told of one mount --- */

static bool word_in(const char *word, size_t n, const char *const *list)
{
	for (; *list; list++)
		if (strlen(*list) == n && !strncmp(word, *list, n))
			return true;
	return false;
}

/* Words of a comma-separated list that are (up to '=') in @known. */
static int pick_words(const char *text, const char *const *known, char *joined, size_t size, char **words, size_t max)
{
	size_t n = 0;

	for (const char *p = text; *p; p += strcspn(p, ","), p += *p == ',') {
		size_t len = strcspn(p, ",");

		if (!word_in(p, strcspn(p, ",="), known))
			continue;
		if (joined) {
			size_t used = strlen(joined);

			if (used + len + 2 > size)
				return 0;
			snprintf(joined + used, size - used, "%s%.*s", used ? "," : "", (int)len, p);
		} else if (n < max) {
			words[n] = strndup(p, len);
			if (!words[n++])
				return -ENOMEM;
		}
	}
	return 0;
}

static const char *const flag_names[] = { "ro",         "nosuid",   "nodev",       "noexec", "noatime",
					  "nodiratime", "relatime", "nosymfollow", NULL };

/* Its file system may be read-only as a whole. Of one that is made again that becomes the mount's. */
static int set_flags(struct lu_view_mount *m, const struct row *x)
{
	int r;

	m->flags = calloc(ARRAY_SIZE(flag_names) + 1, sizeof(*m->flags));
	if (!m->flags)
		return -ENOMEM;
	r = pick_words(x->options, flag_names, NULL, 0, m->flags, ARRAY_SIZE(flag_names));
	if (r < 0 || m->kind != LU_VIEW_FRESH || (m->flags[0] && !strcmp(m->flags[0], "ro")))
		return r;
	if (!strcmp(x->super, "ro") || !strncmp(x->super, "ro,", 3)) {
		memmove(m->flags + 1, m->flags, (ARRAY_SIZE(flag_names) - 1) * sizeof(*m->flags));
		m->flags[0] = strdup("ro");
		return m->flags[0] ? 0 : -ENOMEM;
	}
	return 0;
}

static bool is_one_of(const char *type, const char *const *list)
{
	return word_in(type, strlen(type), list);
}

/* Mounted by the host's services, early or late; a QEMU does not start by them. */
static bool is_interface(const char *type)
{
	static const char *const types[] = { "autofs",     "binfmt_misc", "bpf",       "cgroup",  "cgroup2",
					     "configfs",   "debugfs",     "efivarfs",  "fusectl", "hugetlbfs",
					     "mqueue",     "nsfs",        "nfsd",      "pstore",  "tracefs",
					     "rpc_pipefs", "securityfs",  "selinuxfs", NULL };

	return is_one_of(type, types);
}

static int set_options(struct lu_view_mount *m, const struct row *x)
{
	static const char *const known[] = { "size",   "nr_inodes", "nr_blocks", "mode",    "uid",    "gid", "huge",
					     "noswap", "ptmxmode",  "max",       "hidepid", "subset", NULL };
	char text[1024] = "";
	int r = pick_words(x->super, known, text, sizeof(text), NULL, 0); /* too many of them: the last are left out */

	if (r < 0)
		return r;
	m->options = text[0] ? strdup(text) : NULL;
	return text[0] && !m->options ? -ENOMEM : 0;
}

/* Where the host shows the same thing; the same path if possible. */
static char *find_source(const struct rows *host, const struct row *x)
{
	char *best = NULL;

	for (size_t i = 0; i < host->n_map; i++) {
		const struct row *h = host->map[i];
		const char *rest;
		char *path;

		if (h->major != x->major || h->minor != x->minor || !lu_view_below(x->root, h->root))
			continue;
		rest = x->root + (strcmp(h->root, "/") ? strlen(h->root) : 0);
		if (!strcmp(rest, "/"))
			rest = "";
		if (asprintf(&path, "%s%s", strcmp(h->path, "/") || !*rest ? h->path : "", rest) < 0) {
			free(best);
			return NULL;
		}
		if (around(host, path) != h || !path_valid(path) || (best && strcmp(path, x->path) != 0)) {
			free(path);
			continue;
		}
		free(best);
		best = path;
	}
	return best;
}

static bool is_deleted(const char *root)
{
	size_t n = strlen(root);

	return n > 9 && !strcmp(root + n - 9, "//deleted");
}

/* Is it what lies at its place anyway, bound to get flags of its own? */
static bool is_place_itself(const struct rows *own, const struct row *x)
{
	const struct row *on = NULL;
	const char *rest, *root;

	for (size_t i = 0; i < own->n_map; i++)
		if (own->map[i] != x && lu_view_below(x->path, own->map[i]->path) &&
		    (!on || strlen(own->map[i]->path) > strlen(on->path)))
			on = own->map[i];
	if (!on || on->major != x->major || on->minor != x->minor || !lu_view_below(x->root, on->root))
		return false;
	rest = x->path + (strcmp(on->path, "/") ? strlen(on->path) : 0);
	root = x->root + (strcmp(on->root, "/") ? strlen(on->root) : 0);
	return !strcmp(rest, root);
}

static int classify(const struct rows *host, const struct rows *own, const struct row *x, bool on_hosts,
		    struct lu_view_mount *m, struct lu_reasons *why)
{
	static const char *const makable[] = { "tmpfs", "ramfs", "devpts", "proc", "mqueue", NULL };
	static const char *const memory[] = { "tmpfs", "ramfs", NULL };
	const struct row *h = at(host, x->path);

	m->optional = is_interface(x->type);
	m->kind = LU_VIEW_SAME;
	if (on_hosts && !strcmp(x->type, "autofs"))
		return 0;
	if (on_hosts && h && h->major == x->major && h->minor == x->minor && !strcmp(h->root, x->root))
		return 0;
	if (!strcmp(x->path, "/")) {
		lu_reasons_add(why, NULL, NULL, "the root directory of its mount namespace is not the host's");
		return 0;
	}
	if (is_deleted(x->root)) {
		lu_reasons_add(why, NULL, "start it again", "what its mount namespace has at %s was removed", x->path);
		return 0;
	}
	m->source = find_source(host, x);
	/* it comes by itself with the host's, or QEMU does without */
	if (!m->source && m->optional)
		return 0;
	m->kind = m->source ? LU_VIEW_BIND : LU_VIEW_FRESH;
	if (m->source && strstr(m->source, "/systemd-private-")) {
		m->kind = LU_VIEW_FRESH;
		free(m->type);
		m->type = strdup("tmpfs");
		return m->type ? 0 : -ENOMEM;
	}
	if (m->source)
		return 0;
	if (is_place_itself(own, x)) {
		m->kind = LU_VIEW_BIND;
		return 0;
	}
	/* a single file of a file system in memory: lu_view_capture() finds out what it is */
	if (is_one_of(x->type, memory) && strcmp(x->root, "/") != 0) {
		m->kind = LU_VIEW_NODE;
		return 0;
	}
	if (!is_one_of(x->type, makable) || strcmp(x->root, "/") != 0)
		lu_reasons_add(why, NULL, "let the host mount it, too, or leave it out of its unit",
			       "its mount namespace has a %s at %s that the host does not show", x->type, x->path);
	return set_options(m, x);
}

static struct lu_view_mount *add_mount(struct lu_view *v)
{
	struct lu_view_mount *list = reallocarray(v->mounts, v->n_mounts + 1, sizeof(*list));

	if (!list)
		return NULL;
	v->mounts = list;
	list[v->n_mounts] = (struct lu_view_mount){ 0 };
	return &list[v->n_mounts++];
}

static bool is_text(const char *s)
{
	return !s || lu_utf8_prefix(s, strlen(s)) == strlen(s);
}

static bool can_be_written(const struct lu_view_mount *m)
{
	return is_text(m->path) && is_text(m->source) && is_text(m->type) && is_text(m->options) &&
	       path_valid(m->path) && strlen(m->type) <= 64;
}

static int add_own(struct lu_view *v, const struct rows *host, const struct rows *own, const struct row *x,
		   struct lu_reasons *why)
{
	const struct lu_view_mount *on = lu_view_mount_of(v, x->path);
	bool on_hosts = !on || on->kind == LU_VIEW_SAME;
	struct lu_view_mount *m = add_mount(v);
	static const char *const mapped[] = { "idmapped", NULL };
	char *found = NULL;
	int r;

	if (!m)
		return -ENOMEM;
	m->path = strdup(x->path);
	m->type = strdup(x->type);
	if (!m->path || !m->type)
		return -ENOMEM;
	if (pick_words(x->options, mapped, NULL, 0, &found, 1) == 0 && found)
		lu_reasons_add(why, NULL, NULL, "its mount namespace has an id-mapped mount at %s", x->path);
	free(found);
	r = classify(host, own, x, on_hosts, m, why);
	if (!can_be_written(m))
		lu_reasons_add(why, NULL, NULL, "its mount namespace has a mount whose path is too long or not UTF-8");
	return r < 0 ? r : set_flags(m, x);
}

static int by_mount_path(const void *a, const void *b)
{
	return strcmp(((const struct lu_view_mount *)a)->path, ((const struct lu_view_mount *)b)->path);
}

/* What the host has and this one has not. */
static int add_absent(struct lu_view *v, const struct rows *host, const struct rows *own)
{
	for (size_t i = 0; i < host->n_map; i++) {
		const struct row *h = host->map[i];
		const struct lu_view_mount *on = lu_view_mount_of(v, h->path);
		struct lu_view_mount *m;

		if (at(own, h->path) || !on || (on->kind != LU_VIEW_SAME && on->kind != LU_VIEW_ABSENT) ||
		    !path_valid(h->path) || lu_utf8_prefix(h->path, strlen(h->path)) != strlen(h->path))
			continue;
		m = add_mount(v);
		if (!m)
			return -ENOMEM;
		m->kind = LU_VIEW_ABSENT;
		m->path = strdup(h->path);
		if (!m->path)
			return -ENOMEM;
	}
	if (v->n_mounts)
		qsort(v->mounts, v->n_mounts, sizeof(*v->mounts), by_mount_path);
	return 0;
}

int lu_view_compose(const char *host, const char *own, struct lu_view *ret, struct lu_reasons *why)
{
	_cleanup_(rows_clear) struct rows hosts = { 0 }, owns = { 0 };
	struct lu_view v = { 0 };
	int r = parse(host, &hosts);

	if (r >= 0)
		r = parse(own, &owns);
	for (size_t i = 0; r >= 0 && i < owns.n_map; i++)
		r = add_own(&v, &hosts, &owns, owns.map[i], why);
	if (r >= 0) {
		/* a namespace of its own that shares nothing has no master */
		v.follows = owns.map[0]->slave;
		r = add_absent(&v, &hosts, &owns);
	}
	if (r == -E2BIG || v.n_mounts > LU_VIEW_MOUNTS_MAX) {
		lu_reasons_add(why, NULL, NULL, "its mount namespace or the host's has too many mounts");
		lu_view_clear(&v);
		r = 0;
	}
	if (r < 0)
		lu_view_clear(&v);
	else
		*ret = v;
	return r;
}

/* --- the record and a namespace --- */

const struct lu_view_mount *lu_view_mount_of(const struct lu_view *v, const char *path)
{
	const struct lu_view_mount *best = NULL;

	for (size_t i = 0; i < v->n_mounts; i++)
		if (v->mounts[i].kind != LU_VIEW_ABSENT && lu_view_below(path, v->mounts[i].path) &&
		    (!best || strlen(v->mounts[i].path) > strlen(best->path)))
			best = &v->mounts[i];
	return best;
}

char *lu_view_host_path(const struct lu_view *v, const char *path)
{
	const struct lu_view_mount *m = lu_view_mount_of(v, path);
	char *host = NULL;

	errno = 0;
	if (m && m->kind == LU_VIEW_SAME)
		return strdup(path);
	if (m && m->kind == LU_VIEW_BIND && m->source &&
	    asprintf(&host, "%s%s", m->source, path + strlen(m->path)) < 0) {
		errno = ENOMEM;
		return NULL;
	}
	return host;
}

static bool same_flags(char *const *a, char *const *b)
{
	for (; *a && *b; a++, b++)
		if (strcmp(*a, *b) != 0)
			return false;
	return !*a && !*b;
}

static int check_mount(const struct lu_view_mount *m, const struct row *x, bool complete, struct lu_error *e)
{
	struct lu_view_mount now = { .kind = m->kind };
	bool same;
	int r;

	if (m->kind == LU_VIEW_ABSENT)
		return !x || !complete ?
			       0 :
			       lu_error_set(e, -EBADMSG, NULL, "there is a mount at %s that was not there", m->path);
	if (!x)
		return m->optional || m->kind == LU_VIEW_SAME ?
			       0 :
			       lu_error_set(e, -EBADMSG, NULL, "%s is not mounted", m->path);
	if (!strcmp(x->type, "autofs"))
		return 0;
	if (m->kind != LU_VIEW_NODE && m->kind != LU_VIEW_SAME && m->type && strcmp(m->type, x->type) != 0)
		return lu_error_set(e, -EBADMSG, NULL, "%s is a %s, it was a %s", m->path, x->type, m->type);
	r = set_flags(&now, x);
	same = r >= 0 && m->flags && same_flags(m->flags, now.flags);
	for (char **p = now.flags; p && *p; p++)
		free(*p);
	free(now.flags);
	if (r < 0)
		return r;
	return same ? 0 : lu_error_set(e, -EBADMSG, NULL, "%s has other flags than it had: %s", m->path, x->options);
}

static const struct lu_view_mount *mount_at(const struct lu_view *v, const char *path)
{
	for (size_t i = 0; i < v->n_mounts; i++)
		if (!strcmp(v->mounts[i].path, path))
			return &v->mounts[i];
	return NULL;
}

int lu_view_check(const struct lu_view *v, const char *own, bool complete, struct lu_error *e)
{
	_cleanup_(rows_clear) struct rows rows = { 0 };
	int r = parse(own, &rows);

	if (r < 0)
		return lu_error_set(e, r, NULL, "mountinfo: %s", strerror(-r));
	for (size_t i = 0; r >= 0 && i < v->n_mounts; i++)
		r = check_mount(&v->mounts[i], at(&rows, v->mounts[i].path), complete, e);
	for (size_t i = 0; r >= 0 && i < rows.n_map; i++) {
		const struct lu_view_mount *on = lu_view_mount_of(v, rows.map[i]->path);

		/* what the host mounts later may show up, but not in what is private */
		if (on && on->kind == LU_VIEW_FRESH && !mount_at(v, rows.map[i]->path))
			r = lu_error_set(e, -EBADMSG, NULL, "there is a mount at %s that was not there",
					 rows.map[i]->path);
	}
	return r;
}
