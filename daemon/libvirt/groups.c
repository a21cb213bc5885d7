// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cgroup v2 only. The order of making is the kernel's rule and libvirt's way: a group with processes in it can't hand
 * controllers on, so the process moves into the first group below the scope before the scope hands on; groups of
 * threads become "threaded" before they get any; values come last.
 *
 * Only files whose meaning is a setting are read, and only those that differ from what a new group has: "max", the
 * default weight and nothing at all are not written.
 */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "disk-names.h"
#include "groups.h"
#include "util.h"

#define CGROUP "/sys/fs/cgroup"
#define GROUPS_MAX 4200u /* vCPUs, I/O threads */
#define DEPTH_MAX 4u
#define VALUES_MAX 64u
#define LEFT_OUT_MAX 1024u

static const char *const setting_files[] = {
	"cpu.weight", "cpu.max",    "cpu.max.burst",   "cpuset.cpus", "cpuset.mems", "memory.max", "memory.high",
	"memory.low", "memory.min", "memory.swap.max", "io.weight",   "io.max",      "pids.max",
};

/* What a new group has. */
static bool is_default(const char *file, const char *value)
{
	return !*value || !strcmp(value, "max") || !strcmp(value, "max 100000") || !strcmp(value, "default 100") ||
	       !strcmp(value, "0") || (!strcmp(file, "cpu.weight") && !strcmp(value, "100"));
}

static bool path_valid(const char *s)
{
	return s[0] != '/' && strlen(s) < 512 && !strstr(s, "..");
}

static bool file_valid(const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(setting_files); i++)
		if (!strcmp(s, setting_files[i]))
			return true;
	return false;
}

static bool device_valid(const char *s)
{
	return !strncmp(s, "/dev/", 5) && !strstr(s, "..");
}

static const struct lu_json_field value_fields[] = {
	{ "file", LU_JSON_STRING, offsetof(struct lu_group_value, file), LU_JSON_REQUIRED, .check = file_valid,
	  .expect = "a setting of a control group" },
	{ "value", LU_JSON_STRING, offsetof(struct lu_group_value, value), LU_JSON_REQUIRED, .min = 1, .max = 4096 },
	/* left out where there is none */
	{ "device", LU_JSON_STRING, offsetof(struct lu_group_value, device), 0, .max = 4096, .check = device_valid,
	  .expect = "a path in /dev", .since = LU_JSON_AT(1, 1) },
};
static const struct lu_json_table value_table = LU_JSON_TABLE("setting", struct lu_group_value, value_fields);
static const struct lu_json_field group_fields[] = {
	{ "path", LU_JSON_STRING, offsetof(struct lu_group, path), LU_JSON_REQUIRED, .check = path_valid,
	  .expect = "a path below the scope" },
	{ "threaded", LU_JSON_BOOL, offsetof(struct lu_group, threaded), LU_JSON_REQUIRED },
	{ "control", LU_JSON_STRING, offsetof(struct lu_group, control), LU_JSON_REQUIRED, .max = 256 },
	{ "values", LU_JSON_OBJECTS, offsetof(struct lu_group, values), LU_JSON_REQUIRED, .max = VALUES_MAX,
	  .table = &value_table, .count_offset = offsetof(struct lu_group, n_values) },
};
static const struct lu_json_table group_table = LU_JSON_TABLE("group", struct lu_group, group_fields);
static const struct lu_json_field thread_fields[] = {
	{ "name", LU_JSON_STRING, offsetof(struct lu_group_thread, name), LU_JSON_REQUIRED, .min = 1, .max = 64 },
	{ "path", LU_JSON_STRING, offsetof(struct lu_group_thread, path), LU_JSON_REQUIRED, .check = path_valid,
	  .expect = "a path below the scope" },
};
static const struct lu_json_table thread_table = LU_JSON_TABLE("thread", struct lu_group_thread, thread_fields);
static const struct lu_json_field groups_fields[] = {
	{ "groups", LU_JSON_OBJECTS, offsetof(struct lu_groups, groups), LU_JSON_REQUIRED, .max = GROUPS_MAX,
	  .table = &group_table, .count_offset = offsetof(struct lu_groups, n_groups) },
	{ "threads", LU_JSON_OBJECTS, offsetof(struct lu_groups, threads), LU_JSON_REQUIRED, .max = GROUPS_MAX,
	  .table = &thread_table, .count_offset = offsetof(struct lu_groups, n_threads) },
};
const struct lu_json_table lu_groups_table = LU_JSON_DOCUMENT_AT("groups", struct lu_groups, groups_fields, 1, 1);

void lu_groups_clear(struct lu_groups *g)
{
	lu_json_free(&lu_groups_table, g);
}

static int open_dir(int root_fd, const char *path)
{
	/* without a root of its own a path is the host's */
	return openat(root_fd, root_fd == AT_FDCWD ? path : path + 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A small file's text; NULL: it is not there. */
static char *lines_of(int dir, const char *file)
{
	char *text = NULL;

	return lu_read_file(dir, file, 65536, &text, NULL) < 0 ? NULL : text;
}

/* The same of one line, without its end. */
static char *text_of(int dir, const char *file)
{
	char *text = lines_of(dir, file);

	if (text)
		text[strcspn(text, "\n")] = '\0';
	return text;
}

/* "0::/machine.slice/x.scope/libvirt/emulator" → the scope's part and what is below it; false: in no scope */
static bool split(char *group, const char **ret_below)
{
	char *end = strstr(group, ".scope");

	if (!end || (end[6] && end[6] != '/'))
		return false;
	*ret_below = end[6] ? end + 7 : "";
	end[6] = '\0';
	return true;
}

static int group_of(int proc, const char *file, char **ret)
{
	_cleanup_free_ char *text = NULL;
	char *p;
	int r = lu_read_file(proc, file, 65536, &text, NULL);

	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	p = strstr(text, "0::/");
	if (!p || (p > text && p[-1] != '\n'))
		return -EOPNOTSUPP;
	p += 3;
	*ret = strndup(p, strcspn(p, "\n"));
	return *ret ? 0 : -ENOMEM;
}

static int open_scope(int root_fd, const char *scope)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, CGROUP "%s", scope) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return open_dir(root_fd, path);
}

/* --- reading --- */

/* "8:16 rbps=1048576": how long the number is, 0: the line is about no disk */
static size_t number_of(const char *value)
{
	size_t n = strspn(value, "0123456789:");

	return n && value[n] == ' ' && memchr(value, ':', n) ? n : 0;
}

static int add_value(int root_fd, struct lu_group *g, const char *file, char *value)
{
	struct lu_group_value *p;
	size_t n = strncmp(file, "io.", 3) == 0 ? number_of(value) : 0;
	char number[32];
	int r = 0;

	if (g->n_values == VALUES_MAX)
		return -E2BIG;
	p = reallocarray(g->values, g->n_values + 1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	g->values = p;
	p += g->n_values++;
	*p = (struct lu_group_value){ .file = strdup(file), .value = strdup(value) };
	if (n && n < sizeof(number)) {
		snprintf(number, sizeof(number), "%.*s", (int)n, value);
		r = lu_disk_name(root_fd, number, &p->device);
	}
	return p->file && p->value && r >= 0 ? 0 : -ENOMEM;
}

/* Those of I/O have a line for each disk, which the kernel takes one by one. */
static int add_values(int root_fd, struct lu_group *g, const char *file, char *lines)
{
	int r = 0;

	for (char *save = NULL, *line = strtok_r(lines, "\n", &save); r >= 0 && line;
	     line = strtok_r(NULL, "\n", &save))
		if (!is_default(file, line))
			r = add_value(root_fd, g, file, line);
	return r;
}

static int read_group(int root_fd, int dir, const char *path, struct lu_groups *ret)
{
	_cleanup_free_ char *type = text_of(dir, "cgroup.type");
	struct lu_group *g, *list;
	int r = 0;

	if (ret->n_groups == GROUPS_MAX)
		return -E2BIG;
	list = reallocarray(ret->groups, ret->n_groups + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	ret->groups = list;
	g = &list[ret->n_groups++];
	*g = (struct lu_group){ .path = strdup(path), .threaded = type && !strcmp(type, "threaded") };
	g->control = text_of(dir, "cgroup.subtree_control") ?: strdup("");
	if (!g->path || !g->control)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(setting_files); i++) {
		_cleanup_free_ char *lines = *path ? lines_of(dir, setting_files[i]) : NULL;

		/* the scope's own are systemd's */
		if (lines)
			r = add_values(root_fd, g, setting_files[i], lines);
	}
	return r;
}

static int read_below(int root_fd, int dir_fd, const char *path, unsigned int depth, struct lu_groups *ret)
{
	struct dirent **list = NULL;
	int n, r = read_group(root_fd, dir_fd, path, ret);

	if (r < 0 || depth == DEPTH_MAX)
		return r;
	n = scandirat(dir_fd, ".", &list, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		_cleanup_close_ int sub = -EBADF;
		_cleanup_free_ char *below = NULL;

		if (r >= 0 && list[i]->d_name[0] != '.' && list[i]->d_type == DT_DIR) {
			sub = openat(dir_fd, list[i]->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			if (asprintf(&below, "%s%s%s", path, *path ? "/" : "", list[i]->d_name) < 0) {
				below = NULL;
				r = -ENOMEM;
			}
			if (r >= 0 && sub >= 0)
				r = read_below(root_fd, sub, below, depth + 1, ret);
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return r;
}

static int add_thread(struct lu_groups *g, const char *name, const char *path)
{
	struct lu_group_thread *p;

	for (size_t i = 0; i < g->n_threads; i++)
		if (!strcmp(g->threads[i].name, name))
			return 0;
	p = reallocarray(g->threads, g->n_threads + 1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	g->threads = p;
	p[g->n_threads] = (struct lu_group_thread){ .name = strdup(name), .path = strdup(path) };
	g->n_threads++;
	return p[g->n_threads - 1].name && p[g->n_threads - 1].path ? 0 : -ENOMEM;
}

typedef int (*thread_fn_t)(int proc, const char *tid, const char *name, void *userdata);

static int each_thread(int root_fd, pid_t pid, thread_fn_t fn, void *userdata)
{
	_cleanup_close_ int proc = -EBADF;
	struct dirent *d;
	char path[48];
	DIR *dir;
	int fd, r = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	proc = open_dir(root_fd, path);
	fd = proc < 0 ? -1 : openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -ESRCH;
	while (r >= 0 && (d = readdir(dir))) {
		_cleanup_free_ char *name = NULL;
		char file[300];

		if (d->d_name[0] < '0' || d->d_name[0] > '9')
			continue;
		snprintf(file, sizeof(file), "%s/comm", d->d_name);
		name = text_of(proc, file);
		if (name)
			r = fn(proc, d->d_name, name, userdata);
	}
	closedir(dir);
	return r;
}

static int read_thread(int proc, const char *tid, const char *name, void *userdata)
{
	_cleanup_free_ char *group = NULL;
	const char *below;
	char file[300];
	int r;

	snprintf(file, sizeof(file), "%s/cgroup", tid);
	r = group_of(proc, file, &group);
	if (r < 0)
		return r == -ESRCH ? 0 : r;
	return split(group, &below) ? add_thread(userdata, name, below) : 0;
}

static int scope_of(int root_fd, pid_t pid, char **ret_group, const char **ret_below)
{
	_cleanup_close_ int proc = open_dir(root_fd, "/proc");
	char file[32];
	int r;

	if (proc < 0)
		return -errno;
	snprintf(file, sizeof(file), "%d/cgroup", (int)pid);
	r = group_of(proc, file, ret_group);
	if (r < 0)
		return r;
	return split(*ret_group, ret_below) ? 1 : 0;
}

int lu_groups_read(int root_fd, pid_t pid, struct lu_groups *ret, struct lu_error *e)
{
	_cleanup_free_ char *scope = NULL;
	_cleanup_close_ int dir = -EBADF;
	struct lu_groups g = { 0 };
	const char *below;
	int r = scope_of(root_fd, pid, &scope, &below);

	if (r > 0) {
		dir = open_scope(root_fd, scope);
		r = dir < 0 ? -errno : read_below(root_fd, dir, "", 0, &g);
		if (r >= 0)
			r = each_thread(root_fd, pid, read_thread, &g);
	}
	if (r < 0) {
		lu_groups_clear(&g);
		return lu_error_set(e, r, NULL, "process %d: its control groups can't be read: %s", (int)pid,
				    strerror(-r));
	}
	*ret = g;
	return 0;
}

/* --- making --- */

struct make {
	int root_fd;
	int dir; /* the scope */
	bool here;
	const struct lu_groups *groups;
	struct lu_error *left_out;
};

/* All that is left out is told, as far as there is room for it. */
static int leave_out(struct make *m, int r, const char *fmt, ...)
{
	_cleanup_free_ char *before = m->left_out->what ? strdup(m->left_out->what) : NULL;
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (before && strlen(before) > LEFT_OUT_MAX)
		return r;
	lu_error_clear(m->left_out);
	return lu_error_set(m->left_out, r, NULL, "%s%s%s", before ?: "", before ? "; " : "", text);
}

static int write_to(struct make *m, const char *path, const char *file, const char *value)
{
	_cleanup_free_ char *name = NULL;
	_cleanup_close_ int fd = -EBADF;
	size_t n = strlen(value);

	if (asprintf(&name, "%s%s%s", path, *path ? "/" : "", file) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	fd = openat(m->dir, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && write(fd, value, n) == (ssize_t)n)
		return 0;
	return leave_out(m, -errno, "%s: %s: %s", name, value, strerror(errno));
}

/* A disk that has no name may be another one's number by now: to hold the guest to that would be worse than to nothing. */
static void write_value(struct make *m, const char *path, const struct lu_group_value *v)
{
	size_t n = strncmp(v->file, "io.", 3) == 0 ? number_of(v->value) : 0;
	_cleanup_free_ char *line = NULL;
	char number[32];

	if (!n || m->here) {
		(void)write_to(m, path, v->file, v->value);
		return;
	}
	if (!v->device || lu_disk_number(m->root_fd, v->device, number) <= 0)
		(void)leave_out(m, -ENODEV, "%s/%s: %s: %s%s", path, v->file, v->value, v->device ?: "its disk",
				v->device ? " is not there" : " has no name but a number");
	else if (asprintf(&line, "%s%s", number, v->value + n) < 0)
		line = NULL;
	else
		(void)write_to(m, path, v->file, line);
}

/* Controllers one by one: what this kernel does not have keeps none of the others away. */
static void hand_on(struct make *m, const struct lu_group *g)
{
	_cleanup_free_ char *list = strdup(g->control);
	char word[64];

	for (char *save = NULL, *c = list ? strtok_r(list, " ", &save) : NULL; c; c = strtok_r(NULL, " ", &save)) {
		snprintf(word, sizeof(word), "+%.60s", c);
		(void)write_to(m, g->path, "cgroup.subtree_control", word);
	}
}

static const char *place_of(const struct lu_groups *g, const char *name)
{
	for (size_t i = 0; i < g->n_threads; i++)
		if (!strcmp(g->threads[i].name, name))
			return g->threads[i].path;
	return NULL;
}

static int place_thread(int proc, const char *tid, const char *name, void *userdata)
{
	struct make *m = userdata;
	const char *path = place_of(m->groups, name);

	if (path && *path)
		(void)write_to(m, path, "cgroup.threads", tid);
	return 0;
}

int lu_groups_make(int root_fd, pid_t pid, const struct lu_groups *g, bool here, struct lu_error *e)
{
	_cleanup_free_ char *scope = NULL;
	_cleanup_close_ int dir = -EBADF;
	struct make m = { .root_fd = root_fd, .here = here, .groups = g, .left_out = e };
	const char *below;
	char number[16];
	int r = scope_of(root_fd, pid, &scope, &below);

	if (r == 0)
		return lu_error_set(e, -ENOENT, NULL, "process %d is in no scope", (int)pid);
	if (r < 0)
		return r;
	if (*below || g->n_groups < 2)
		return 0; /* made already, or there were none */
	dir = m.dir = open_scope(root_fd, scope);
	if (dir < 0)
		return lu_error_set(e, -errno, NULL, "%s: %s", scope, strerror(errno));
	snprintf(number, sizeof(number), "%d", (int)pid);
	for (size_t i = 0; i < g->n_groups; i++) {
		const struct lu_group *group = &g->groups[i];

		if (!*group->path)
			continue;
		if (mkdirat(dir, group->path, 0755) < 0 && errno != EEXIST)
			return lu_error_set(e, -errno, NULL, "%s/%s: %s", scope, group->path, strerror(errno));
		if (group->threaded) {
			(void)write_to(&m, group->path, "cgroup.type", "threaded");
		} else if (i == 1) {
			r = write_to(&m, group->path, "cgroup.procs", number);
			if (r < 0)
				return r;
		}
		/* the parent can hand on once it holds no process itself */
		if (i == 1)
			hand_on(&m, &g->groups[0]);
	}
	for (size_t i = 1; i < g->n_groups; i++)
		hand_on(&m, &g->groups[i]);
	/* a thread that is made by another one while the list is read is met by the second reading */
	for (int times = 0; times < 2; times++)
		(void)each_thread(root_fd, pid, place_thread, &m);
	for (size_t i = 1; i < g->n_groups; i++)
		for (size_t k = 0; k < g->groups[i].n_values; k++)
			write_value(&m, g->groups[i].path, &g->groups[i].values[k]);
	return 0;
}
