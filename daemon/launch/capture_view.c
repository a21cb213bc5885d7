// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Views, the part that looks: what is bound is the same thing in both namespaces; what stands in memory is recorded.
 *
 * Paths are resolved in the root directory of the process that is looked at, so a symbolic link leads where it leads there.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "capture.h"
#include "view.h"

#define DEPTH_MAX 16

struct look {
	const struct lu_view_from *from;
	struct lu_view *v;
	char **late;
	struct lu_reasons *why;
	dev_t root_dev;
};

/* Puts "component" or what a link says in front of what is left to be walked. */
static int put_before(char rest[static PATH_MAX], const char *first)
{
	char both[2 * PATH_MAX];

	if (snprintf(both, sizeof(both), "%s/%s", first, rest) >= PATH_MAX)
		return -ENAMETOOLONG;
	strcpy(rest, both);
	return 0;
}

/*
 * openat2() would do this, but where a unit has RestrictSUIDSGID= (as luctld's has) systemd takes that call away. @real is
 * free of links and ".." at any time, so that the last open follows none.
 */
int lu_open_in(int root, const char *path, int flags)
{
	char rest[PATH_MAX], real[PATH_MAX] = "", link[PATH_MAX], name[NAME_MAX + 1];
	unsigned int links = 0;

	if (snprintf(rest, sizeof(rest), "%s", path) >= (int)sizeof(rest))
		return -ENAMETOOLONG;
	for (;;) {
		size_t skip = strspn(rest, "/"), n = strcspn(rest + skip, "/"), used = strlen(real);
		bool last;
		ssize_t k;

		if (n == 0)
			break;
		if (n > NAME_MAX)
			return -ENAMETOOLONG;
		snprintf(name, sizeof(name), "%.*s", (int)n, rest + skip);
		memmove(rest, rest + skip + n, strlen(rest + skip + n) + 1);
		last = rest[strspn(rest, "/")] == '\0';
		if (!strcmp(name, "."))
			continue;
		if (!strcmp(name, "..")) {
			*(strrchr(real, '/') ?: real) = '\0';
			continue;
		}
		if (snprintf(real + used, sizeof(real) - used, "/%s", name) >= (int)(sizeof(real) - used))
			return -ENAMETOOLONG;
		if (last && (flags & O_NOFOLLOW))
			continue;
		k = readlinkat(root, real + 1, link, sizeof(link) - 1);
		if (k < 0 && errno == EINVAL) /* no link */
			continue;
		if (k < 0)
			return -errno;
		if (++links > 40)
			return -ELOOP;
		link[k] = '\0';
		real[link[0] == '/' ? 0 : used] = '\0';
		if (put_before(rest, link) < 0)
			return -ENAMETOOLONG;
	}
	root = openat(root, real[0] ? real + 1 : ".", flags | O_NOFOLLOW | O_CLOEXEC);
	return root < 0 ? -errno : root;
}

int lu_stat_in(int root, const char *path, struct stat *ret)
{
	_cleanup_close_ int fd = lu_open_in(root, path, O_PATH);

	if (fd < 0)
		return fd;
	return fstat(fd, ret) < 0 ? -errno : 0;
}

static int read_mountinfo(int proc_fd, pid_t pid, char **ret)
{
	char path[32];
	int r;

	snprintf(path, sizeof(path), "%d/mountinfo", (int)pid);
	r = lu_read_file(proc_fd, path, 4U << 20, ret, NULL);
	return r == -ENOENT ? -ESRCH : r;
}

static int set_late(struct look *l, const char *path, const char *why)
{
	if (*l->late)
		return 0;
	if (asprintf(l->late, "%s %s", path, why) < 0) {
		*l->late = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* --- what is bound --- */

static void set_node(struct lu_view_mount *m, const struct stat *st)
{
	m->kind = LU_VIEW_NODE;
	free(m->source);
	m->source = NULL;
	m->optional = false;
	m->mode = st->st_mode;
	m->uid = st->st_uid;
	m->gid = st->st_gid;
	m->major = S_ISBLK(st->st_mode) || S_ISCHR(st->st_mode) ? major(st->st_rdev) : 0;
	m->minor = S_ISBLK(st->st_mode) || S_ISCHR(st->st_mode) ? minor(st->st_rdev) : 0;
}

/* A directory in memory is made again where the host had it, before anything else. */
static int bind_in_memory(struct look *l, struct lu_view_mount *m, const struct stat *st)
{
	if (S_ISDIR(st->st_mode)) {
		m->mode = st->st_mode;
		m->uid = st->st_uid;
		m->gid = st->st_gid;
		return lu_view_below(m->source, "/run") || lu_view_below(m->source, "/dev/shm") ?
			       0 :
			       set_late(l, m->source, "is made by the host's services");
	}
	if (S_ISREG(st->st_mode) && st->st_size > 0)
		lu_reasons_add(l->why, NULL, "let its unit bind a file that is on a disk",
			       "its mount namespace has a file at %s that is in memory and does not survive", m->path);
	else if (major(st->st_rdev) != 0 && (S_ISBLK(st->st_mode) || S_ISCHR(st->st_mode)) &&
		 (!S_ISCHR(st->st_mode) || (major(st->st_rdev) != 1 && major(st->st_rdev) != 5)))
		lu_reasons_add(l->why, NULL, "let its unit bind the node in /dev",
			       "its mount namespace has a device node at %s that is in memory and does not survive",
			       m->path);
	else
		set_node(m, st);
	return 0;
}

static int look_at_node(struct look *l, struct lu_view_mount *m)
{
	struct stat st;
	int r = lu_stat_in(l->from->root, m->path, &st);

	if (r < 0 || S_ISDIR(st.st_mode)) {
		lu_reasons_add(l->why, NULL, "let the host mount it, too, or leave it out of its unit",
			       "its mount namespace has a part of a %s at %s that the host does not show", m->type,
			       m->path);
		return 0;
	}
	return bind_in_memory(l, m, &st);
}

static int look_at_bind(struct look *l, struct lu_view_mount *m)
{
	static const char *const early[] = { "proc", "sysfs", "devtmpfs", "devpts", "pkernfs" };
	struct stat there, here;
	int r;

	if (!m->source)
		return 0;
	r = lu_stat_in(l->from->root, m->path, &here);
	if (r >= 0 && stat(m->source, &there) < 0)
		r = -errno;
	if (r < 0) {
		lu_reasons_add(l->why, NULL, NULL, "its mount namespace has %s at %s, which can't be looked at: %s",
			       m->source, m->path, strerror(-r));
		return 0;
	}
	if (there.st_dev != here.st_dev || there.st_ino != here.st_ino) {
		lu_reasons_add(l->why, NULL, "start it again",
			       "what its mount namespace has at %s is not what the host has at %s", m->path, m->source);
		return 0;
	}
	if (m->optional || here.st_dev == l->root_dev)
		return 0;
	if (!strcmp(m->type, "tmpfs") || !strcmp(m->type, "ramfs"))
		return bind_in_memory(l, m, &here);
	for (size_t i = 0; i < ARRAY_SIZE(early); i++)
		if (!strcmp(m->type, early[i]))
			return 0;
	return set_late(l, m->source, "is on a file system that is mounted later");
}

/* --- what is in a file system of its own --- */

/* Which of the host's devices is it? */
static char *device_name(const char *path, const struct stat *st)
{
	char host[PATH_MAX];
	struct stat now;

	if (strncmp(path, "/dev/", 5) != 0 || snprintf(host, sizeof(host), "%s", path) >= (int)sizeof(host) ||
	    stat(host, &now) < 0 || (now.st_mode & S_IFMT) != (st->st_mode & S_IFMT) || now.st_rdev != st->st_rdev)
		return NULL;
	return strdup(path + 5);
}

static int set_device(struct look *l, struct lu_view_entry *e, const struct stat *st)
{
	unsigned int major = major(st->st_rdev);

	e->major = major;
	e->minor = minor(st->st_rdev);
	/* the kernel's own, whose numbers are fixed; 0:0 opens nothing */
	if (S_ISCHR(st->st_mode) && (major == 1 || major == 5 || st->st_rdev == 0))
		return 0;
	e->device = device_name(e->path, st);
	if (!e->device)
		lu_reasons_add(
			l->why, NULL, "give the node the name that it has in the host's /dev",
			"its mount namespace has a device node %s (%u:%u), which the host's /dev does not have there",
			e->path, major, (unsigned int)e->minor);
	return 0;
}

static int set_label(int dir, const char *name, struct lu_view_entry *e)
{
	_cleanup_close_ int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char path[48], label[1024];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = fd < 0 ? -1 : getxattr(path, "security.selinux", label, sizeof(label) - 1);
	if (n <= 0)
		return 0;
	label[n] = '\0';
	e->label = strdup(label);
	return e->label ? 0 : -ENOMEM;
}

static struct lu_view_entry *add_entry(struct look *l, const char *path, const struct stat *st)
{
	struct lu_view *v = l->v;
	struct lu_view_entry *list;

	if (v->n_entries == LU_VIEW_ENTRIES_MAX) {
		lu_reasons_add(l->why, NULL, NULL, "its mount namespace has more than %u files in memory",
			       LU_VIEW_ENTRIES_MAX);
		return NULL;
	}
	list = reallocarray(v->entries, v->n_entries + 1, sizeof(*list));
	if (!list)
		return NULL;
	v->entries = list;
	list += v->n_entries;
	*list = (struct lu_view_entry){
		.path = strdup(path), .mode = st->st_mode, .uid = st->st_uid, .gid = st->st_gid
	};
	if (!list->path)
		return NULL;
	v->n_entries++;
	return list;
}

static bool is_mounted(const struct look *l, const char *path)
{
	for (size_t i = 0; i < l->v->n_mounts; i++)
		if (l->v->mounts[i].kind != LU_VIEW_ABSENT && !strcmp(l->v->mounts[i].path, path))
			return true;
	return false;
}

static int walk(struct look *l, int dir, const char *path, dev_t dev, unsigned int depth);

static int one_entry(struct look *l, int dir, const char *name, const char *path, dev_t dev, unsigned int depth)
{
	_cleanup_close_ int sub = -EBADF;
	char target[PATH_MAX];
	struct lu_view_entry *e;
	struct stat st;
	ssize_t n;
	int r;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	/* sockets and pipes are made by who listens; something is mounted here: only the place is wanted */
	if (S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode))
		return 0;
	if (st.st_dev != dev || is_mounted(l, path)) {
		st.st_mode = S_ISDIR(st.st_mode) ? S_IFDIR | 0755 : S_IFREG | 0644;
		st.st_uid = st.st_gid = 0;
		return add_entry(l, path, &st) ? 0 : lu_reasons_any(l->why) ? 0 : -ENOMEM;
	}
	if (S_ISREG(st.st_mode) && st.st_size > 0) {
		lu_reasons_add(l->why, NULL, "let its unit have that file on a disk",
			       "its mount namespace has a file %s in memory that does not survive", path);
		return 0;
	}
	if (lu_utf8_prefix(path, strlen(path)) != strlen(path)) {
		lu_reasons_add(l->why, NULL, NULL, "its mount namespace has a file in memory whose name is not UTF-8");
		return 0;
	}
	e = add_entry(l, path, &st);
	if (!e)
		return lu_reasons_any(l->why) ? 0 : -ENOMEM;
	r = set_label(dir, name, e);
	if (r >= 0 && (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode)))
		r = set_device(l, e, &st);
	if (r >= 0 && S_ISLNK(st.st_mode)) {
		n = readlinkat(dir, name, target, sizeof(target) - 1);
		if (n <= 0)
			return n < 0 ? -errno : 0;
		target[n] = '\0';
		e->target = strdup(target);
		if (!e->target)
			return -ENOMEM;
		if (lu_utf8_prefix(target, (size_t)n) != (size_t)n)
			lu_reasons_add(l->why, NULL, NULL, "its link %s leads to a name that is not UTF-8", path);
	}
	if (r < 0 || !S_ISDIR(st.st_mode))
		return r;
	sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return sub < 0 ? -errno : walk(l, sub, path, dev, depth + 1);
}

static int walk(struct look *l, int dir, const char *path, dev_t dev, unsigned int depth)
{
	struct dirent **list = NULL;
	int n, r = 0;

	if (depth > DEPTH_MAX) {
		lu_reasons_add(l->why, NULL, NULL, "its mount namespace has files in memory too deep below %s", path);
		return 0;
	}
	n = scandirat(dir, ".", &list, NULL, alphasort);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name;
		char below[PATH_MAX];

		if (r >= 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
			if (snprintf(below, sizeof(below), "%s/%s", path, name) >= (int)sizeof(below))
				r = -ENAMETOOLONG;
			else
				r = one_entry(l, dir, name, below, dev, depth);
		}
		free(list[i]);
	}
	free(list);
	return r;
}

static int look_at_fresh(struct look *l, struct lu_view_mount *m)
{
	_cleanup_close_ int dir = -EBADF;
	/* whoever puts things there knows that they do not stay */
	bool temporary = m->source || !strcmp(m->path, "/tmp") || !strcmp(m->path, "/var/tmp");
	struct stat st;

	if (strcmp(m->type, "tmpfs") != 0 && strcmp(m->type, "ramfs") != 0)
		return 0;
	dir = lu_open_in(l->from->root, m->path, O_RDONLY | O_DIRECTORY);
	if (dir < 0 || fstat(dir, &st) < 0) {
		lu_reasons_add(l->why, NULL, NULL, "its mount namespace has a %s at %s that can't be looked at: %s",
			       m->type, m->path, strerror(dir < 0 ? -dir : errno));
		return 0;
	}
	m->mode = st.st_mode;
	m->uid = st.st_uid;
	m->gid = st.st_gid;
	free(m->source);
	m->source = NULL;
	return temporary ? 0 : walk(l, dir, strcmp(m->path, "/") ? m->path : "", st.st_dev, 0);
}

int lu_view_capture(const struct lu_view_from *from, pid_t pid, struct lu_view *ret, char **ret_late,
		    struct lu_reasons *why)
{
	_cleanup_free_ char *host = NULL, *own = NULL;
	struct lu_view v = { 0 };
	struct look l = { .from = from, .v = &v, .late = ret_late, .why = why };
	struct stat st;
	int r;

	if (stat("/", &st) < 0)
		return -errno;
	l.root_dev = st.st_dev;
	r = read_mountinfo(from->proc_fd, from->host, &host);
	if (r >= 0)
		r = read_mountinfo(from->proc_fd, pid, &own);
	if (r >= 0)
		r = lu_view_compose(host, own, &v, why);
	for (size_t i = 0; r >= 0 && i < v.n_mounts; i++) {
		if (v.mounts[i].kind == LU_VIEW_NODE)
			r = look_at_node(&l, &v.mounts[i]);
		else if (v.mounts[i].kind == LU_VIEW_BIND)
			r = look_at_bind(&l, &v.mounts[i]);
		else if (v.mounts[i].kind == LU_VIEW_FRESH)
			r = look_at_fresh(&l, &v.mounts[i]);
	}
	if (r < 0)
		lu_view_clear(&v);
	else
		*ret = v;
	return r;
}
