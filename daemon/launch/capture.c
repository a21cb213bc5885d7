// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A running process as launch.json: identity, words and limits here, what it has
 * open in capture_files.c, its namespaces in capture_space.c, what it loses in capture_identity.c, its TPM in capture_tpm.c.
 *
 * The aim is a second process that can't be told from the first by the guest. What
 * can't be had again from /proc (inherited descriptors, a network namespace, a
 * user that QEMU has changed to by itself) is a reason to refuse it, so that the
 * verdict comes before the update and not as a dead guest after it. All reasons are
 * collected; only what can't be read at all ends it early.
 *
 * argv[0] must lead to /proc/PID/exe: otherwise the words were written for another
 * program (a wrapper, ld.so) and would not start the same thing. " (deleted)" after
 * the path is fine as long as something stands at the path: QEMU was upgraded by a
 * package since it was started, and the new one is what will load the state.
 *
 * Variables that systemd gave to this one process (LISTEN_FDS, NOTIFY_SOCKET, …) are
 * dropped, they would be lies for the next one.
 *
 * The process may change while it is read. It is our VM and does not, but every
 * value is parsed with bounds and a process that ends meanwhile is -ESRCH.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "argv.h"
#include "capture.h"
#include "inherited.h"
#include "rlimits.h"

#define WORDS_MAX 4096u

int lu_proc_link(int proc_fd, pid_t pid, const char *what, char **ret)
{
	char path[64], buf[PATH_MAX + 1];
	ssize_t n;

	snprintf(path, sizeof(path), "%d/%s", (int)pid, what);
	n = readlinkat(proc_fd, path, buf, sizeof(buf));
	if (n < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	if (n >= PATH_MAX)
		return -ENAMETOOLONG;
	buf[n] = '\0';
	*ret = strdup(buf);
	return *ret ? 0 : -ENOMEM;
}

int lu_proc_read(int proc_fd, pid_t pid, const char *what, char **ret, size_t *ret_size)
{
	char path[64];
	int r;

	snprintf(path, sizeof(path), "%d/%s", (int)pid, what);
	r = lu_read_file(proc_fd, path, 2U << 20, ret, ret_size);
	return r == -ENOENT ? -ESRCH : r;
}

/* NUL-separated words to a list. */
static int split_words(const char *data, size_t size, char ***ret)
{
	_cleanup_(lu_argv_freep) char **list = NULL;
	size_t n = 0, room = 0;

	for (const char *p = data; p < data + size; p += strlen(p) + 1) {
		if (n + 2 > room) {
			char **q = reallocarray(list, room += 64, sizeof(*q));

			if (!q)
				return -ENOMEM;
			list = q;
		}
		list[n + 1] = NULL;
		list[n] = strdup(p);
		if (!list[n++])
			return -ENOMEM;
		if (n > WORDS_MAX)
			return -E2BIG;
	}
	if (!list && !(list = calloc(1, sizeof(*list))))
		return -ENOMEM;
	*ret = steal_ptr(list);
	return 0;
}

/* JSON can't carry anything else, and it is better said now than when the guest stands still. */
static void check_utf8(const char *word, struct lu_reasons *why)
{
	if (lu_utf8_prefix(word, strlen(word)) != strlen(word))
		lu_reasons_add(why, NULL, "use UTF-8 in its command line and environment",
			       "its command line or environment is not UTF-8");
}

static bool is_per_process(const char *name)
{
	static const char *const names[] = { "QEMU_CPR_EXEC_STATE",
					     "INVOCATION_ID",
					     "JOURNAL_STREAM",
					     "NOTIFY_SOCKET",
					     "MAINPID",
					     "MANAGERPID",
					     "SYSTEMD_EXEC_PID",
					     "CREDENTIALS_DIRECTORY",
					     "MEMORY_PRESSURE_WATCH",
					     "MEMORY_PRESSURE_WRITE",
					     "LISTEN_FDS",
					     "LISTEN_PID",
					     "LISTEN_FDNAMES",
					     "LISTEN_PIDFDID",
					     "WATCHDOG_PID",
					     "WATCHDOG_USEC",
					     "QEMU_CPR_EXEC_STATE",
					     "MANAGERPIDFDID",
					     "FDSTORE" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

static int capture_env(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l, struct lu_reasons *why)
{
	_cleanup_free_ char *data = NULL;
	_cleanup_(lu_argv_freep) char **words = NULL;
	size_t size, n = 0;
	int r;

	r = lu_proc_read(from->proc_fd, pid, "environ", &data, &size);
	if (r < 0)
		return r;
	r = split_words(data, size, &words);
	if (r < 0)
		return r;
	while (words[n])
		n++;
	l->env = calloc(n + 1, sizeof(*l->env));
	if (!l->env)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct lu_launch_var *v = &l->env[l->n_env];
		char *eq = strchr(words[i], '=');

		if (!eq || eq == words[i])
			continue;
		*eq = '\0';
		if (is_per_process(words[i]))
			continue;
		check_utf8(words[i], why);
		check_utf8(eq + 1, why);
		l->n_env++;
		v->name = strdup(words[i]);
		v->value = strdup(eq + 1);
		if (!v->name || !v->value)
			return -ENOMEM;
	}
	return 0;
}

/* What a path is for the process, if it could execute it: 1, or 0. */
static int program_at(int root, const char *path, struct stat *ret)
{
	return lu_stat_in(root, path, ret) == 0 && S_ISREG(ret->st_mode) && (ret->st_mode & 0111);
}

/* Finds the program that argv[0] means for this process; 1 with *ret, 0 if there is none. */
static int resolve(int root, const struct lu_launch *l, struct stat *ret)
{
	const char *name = l->argv[0], *path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	char buf[PATH_MAX];

	if (strchr(name, '/')) {
		if (snprintf(buf, sizeof(buf), "%s%s%s", name[0] == '/' ? "" : l->cwd, name[0] == '/' ? "" : "/",
			     name) >= (int)sizeof(buf))
			return -ENAMETOOLONG;
		return program_at(root, buf, ret);
	}
	for (size_t i = 0; i < l->n_env; i++)
		if (!strcmp(l->env[i].name, "PATH"))
			path = l->env[i].value;
	for (const char *p = path; p && *p; p += strcspn(p, ":"), p += *p == ':') {
		if (snprintf(buf, sizeof(buf), "%.*s/%s", (int)strcspn(p, ":"), p, name) >= (int)sizeof(buf))
			continue;
		if (program_at(root, buf, ret))
			return 1;
	}
	return 0;
}

static int capture_words(const struct lu_capture_from *from, pid_t pid, int root, struct lu_launch *l,
			 struct lu_reasons *why)
{
	static const char deleted[] = " (deleted)";
	_cleanup_free_ char *data = NULL;
	struct stat found, real;
	size_t size, n;
	int r;

	r = lu_proc_read(from->proc_fd, pid, "cmdline", &data, &size);
	if (r < 0)
		return r;
	if (size == 0)
		return -ESRCH; /* a zombie or a kernel thread */
	r = split_words(data, size, &l->argv);
	if (r < 0)
		return r;
	for (char **p = l->argv; *p; p++)
		check_utf8(*p, why);
	r = lu_proc_link(from->proc_fd, pid, "exe", &l->exe);
	if (r < 0)
		return r;
	n = strlen(l->exe);
	if (n > strlen(deleted) && !strcmp(l->exe + n - strlen(deleted), deleted))
		l->exe[n - strlen(deleted)] = '\0';
	r = lu_stat_in(root, l->exe, &real);
	if (r < 0) {
		lu_reasons_add(why, NULL, "install it again at this place", "its program %s is gone: %s", l->exe,
			       strerror(-r));
		return 0;
	}
	r = resolve(root, l, &found);
	if (r < 0)
		return r;
	if (r == 0 || found.st_dev != real.st_dev || found.st_ino != real.st_ino)
		lu_reasons_add(why, NULL, "start it directly, not through a wrapper that changes its name",
			       "it calls itself %s, but its program is %s", l->argv[0], l->exe);
	return 0;
}

const char *lu_status_field(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = text; p; p = strchr(p, '\n')) {
		if (*p == '\n')
			p++;
		if (!strncmp(p, key, n) && p[n] == ':')
			return p + n + 1;
	}
	return NULL;
}

static int capture_groups(const char *p, struct lu_launch *l)
{
	unsigned long v;
	int used;

	while (sscanf(p, "%*[ \t]%lu%n", &v, &used) == 1 && l->n_groups < 1024) {
		uint64_t *g = reallocarray(l->groups, l->n_groups + 1, sizeof(*g));

		if (!g)
			return -ENOMEM;
		l->groups = g;
		g[l->n_groups++] = v;
		p += used;
	}
	return 0;
}

static int capture_status(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l, struct lu_reasons *why)
{
	_cleanup_free_ char *text = NULL;
	unsigned long u[4], g[4];
	unsigned long long bnd, amb, prm;
	unsigned int mask, nnp;
	const char *p;
	int r;

	r = lu_proc_read(from->proc_fd, pid, "status", &text, NULL);
	if (r < 0)
		return r;
#define SCAN(_key, _n, ...) (!(p = lu_status_field(text, _key)) || sscanf(p, __VA_ARGS__) != (_n))
	if (SCAN("Uid", 4, "%lu %lu %lu %lu", &u[0], &u[1], &u[2], &u[3]) ||
	    SCAN("Gid", 4, "%lu %lu %lu %lu", &g[0], &g[1], &g[2], &g[3]) || SCAN("Umask", 1, "%o", &mask) ||
	    SCAN("CapPrm", 1, "%llx", &prm) || SCAN("CapBnd", 1, "%llx", &bnd) || SCAN("CapAmb", 1, "%llx", &amb) ||
	    SCAN("NoNewPrivs", 1, "%u", &nnp) || SCAN("Cpus_allowed_list", 1, " %m[0-9,-]", &l->cpus) ||
	    !(p = lu_status_field(text, "Groups")))
		return -EBADMSG;
#undef SCAN
	r = capture_groups(p, l);
	if (r < 0)
		return r;
	if (u[0] != u[1] || u[0] != u[2] || g[0] != g[1] || g[0] != g[2])
		lu_reasons_add(why, NULL, "let systemd change the user (User= of the unit)",
			       "its real, effective and saved ids differ (uid %lu %lu %lu)", u[0], u[1], u[2]);
	if (u[0] != 0 && (prm & ~amb))
		lu_reasons_add(why, NULL, "use AmbientCapabilities= of the unit",
			       "user %lu holds capabilities that are not ambient", u[0]);
	l->uid = u[0];
	l->gid = g[0];
	l->umask = mask & 0777;
	/* root gets back by its exec what the bounding set admits: no more than it has now */
	l->cap_bounding = u[0] == 0 ? bnd & prm : bnd;
	l->cap_ambient = amb;
	l->no_new_privs = nnp != 0;
	return 0;
}

int lu_launch_add_vcpu(struct lu_launch *l, int proc_fd, pid_t pid, pid_t tid, uint64_t index)
{
	_cleanup_free_ char *text = NULL, *cpus = NULL;
	struct lu_launch_vcpu *v;
	char what[48];
	const char *p;
	int r;

	snprintf(what, sizeof(what), "task/%d/status", (int)tid);
	r = lu_proc_read(proc_fd, pid, what, &text, NULL);
	if (r < 0)
		return r;
	p = lu_status_field(text, "Cpus_allowed_list");
	if (!p || sscanf(p, " %m[0-9,-]", &cpus) != 1)
		return -EBADMSG;
	v = reallocarray(l->vcpus, l->n_vcpus + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	l->vcpus = v;
	v[l->n_vcpus++] = (struct lu_launch_vcpu){ .index = index, .cpus = steal_ptr(cpus) };
	return 0;
}

static int limit_value(const char **p, uint64_t *ret)
{
	unsigned long long v;
	int used = 0;

	(void)sscanf(*p, " unlimited%n", &used);
	if (used > 0) {
		*ret = UINT64_MAX;
	} else if (sscanf(*p, " %llu%n", &v, &used) == 1) {
		*ret = v;
	} else {
		return -EBADMSG;
	}
	*p += used;
	return 0;
}

static int capture_limits(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l)
{
	_cleanup_free_ char *text = NULL;
	int r;

	r = lu_proc_read(from->proc_fd, pid, "limits", &text, NULL);
	if (r < 0)
		return r;
	l->limits = calloc(ARRAY_SIZE(lu_limit_names), sizeof(*l->limits));
	if (!l->limits)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(lu_limit_names); i++) {
		struct lu_launch_limit *limit = &l->limits[l->n_limits];
		const char *p = strstr(text, lu_limit_names[i].proc);

		if (!p)
			continue;
		p += strlen(lu_limit_names[i].proc);
		if (limit_value(&p, &limit->soft) < 0 || limit_value(&p, &limit->hard) < 0)
			return -EBADMSG;
		limit->name = strdup(lu_limit_names[i].name);
		if (!limit->name)
			return -ENOMEM;
		l->n_limits++;
	}
	return 0;
}

static int capture_cgroup(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l)
{
	_cleanup_free_ char *text = NULL;
	char *p;
	int r;

	r = lu_proc_read(from->proc_fd, pid, "cgroup", &text, NULL);
	if (r < 0)
		return r;
	for (p = text; p; p = strchr(p, '\n')) {
		if (*p == '\n')
			p++;
		if (strncmp(p, "0::/", 4) != 0)
			continue;
		l->cgroup = strndup(p + 3, strcspn(p + 3, "\n"));
		return l->cgroup ? 0 : -ENOMEM;
	}
	return 0;
}

static int capture_devices(struct lu_launch *l, struct lu_reasons *why)
{
	_cleanup_(lu_argv_freep) char **devices = NULL;
	int r = lu_argv_devices(l->argv, &devices, why);

	if (r < 0 || !devices[0])
		return r;
	l->devices = steal_ptr(devices);
	return lu_launch_add_feature(l, LU_LAUNCH_DEVICES);
}

int lu_capture_process(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l, int *ret_root,
		       struct lu_reasons *why)
{
	_cleanup_close_ int root = -EBADF;
	_cleanup_free_ char *oom = NULL;
	int r;

	l->features = calloc(LU_LAUNCH_FEATURES_MAX + 1, sizeof(*l->features));
	if (!l->features)
		return -ENOMEM;
	r = lu_capture_spaces(from, pid, l, &root, why);
	if (r >= 0)
		r = lu_proc_link(from->proc_fd, pid, "cwd", &l->cwd);
	if (r >= 0)
		r = capture_env(from, pid, l, why);
	if (r >= 0)
		r = capture_words(from, pid, root, l, why);
	if (r >= 0)
		r = capture_status(from, pid, l, why);
	if (r >= 0)
		r = capture_limits(from, pid, l);
	if (r >= 0)
		r = capture_cgroup(from, pid, l);
	if (r >= 0)
		r = lu_proc_read(from->proc_fd, pid, "oom_score_adj", &oom, NULL);
	if (r < 0)
		return r;
	l->oom_score_adj = strtol(oom, NULL, 10);
	*ret_root = steal_fd(&root);
	return 0;
}

static int capture_all(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l, struct lu_reasons *why)
{
	_cleanup_close_ int root = -EBADF;
	const char *late;
	int r;

	r = lu_capture_process(from, pid, l, &root, why);
	if (r >= 0)
		r = lu_argv_check(l->argv, why);
	if (r < 0)
		return r;
	r = capture_devices(l, why);
	if (r < 0)
		return r;
	r = lu_capture_identity(from, pid, l, why);
	if (r >= 0)
		r = lu_inherited_capture(from, pid, l, why);
	if (r < 0)
		return r;
	late = lu_argv_late(l->argv, l->uid == 0);
	if (late) {
		free(l->late);
		l->late = strdup(late);
		if (!l->late)
			return -ENOMEM;
	}
	r = lu_capture_files(from, pid, root, l, why);
	if (r >= 0)
		r = lu_capture_tpm(from, pid, l, why);
	if (r < 0)
		return r;
	l->early = l->late == NULL;
	return 0;
}

int lu_launch_capture(const struct lu_capture_from *from, pid_t pid, struct lu_launch *ret, struct lu_error *e)
{
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	struct lu_launch l = { 0 };
	int r = capture_all(from, pid, &l, &why);

	if (r >= 0 && !from->reasons)
		r = lu_reasons_first(&why, NULL, e);
	else if (r >= 0)
		lu_reasons_move(from->reasons, &why);
	if (r < 0) {
		lu_launch_clear(&l);
		return lu_error_set(e, r,
				    r == -EACCES || r == -EPERM ?
					    "luctld needs CAP_SYS_PTRACE to read about other users' processes" :
					    NULL,
				    "process %d: cannot read how it was started: %s", (int)pid, strerror(-r));
	}
	*ret = l;
	return 0;
}
