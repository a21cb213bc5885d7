// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespaces of a QEMU. A mount namespace of its own is recorded and made again (view.h). The others are refused: who
 * made them is gone with the host's services, and what is in them (an interface, a user mapping) can't be told from here.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "capture.h"

static const struct {
	const char *name, *hint;
} spaces[] = {
	{ "net", "leave PrivateNetwork= and NetworkNamespacePath= out of its unit" },
	{ "user", "leave PrivateUsers= out of its unit" },
	{ "pid", "leave PrivatePIDs= out of its unit" },
	{ "ipc", "leave PrivateIPC= and IPCNamespacePath= out of its unit" },
	{ "uts", "leave ProtectHostname= out of its unit" },
	{ "cgroup", "let its unit have ProtectControlGroups=yes, not private or strict" },
	{ "time", NULL },
};

/* 1 it has one of its own, 0 it has not; one that this kernel does not know is nobody's own. */
static int is_own(const struct lu_capture_from *from, pid_t pid, const char *name)
{
	_cleanup_free_ char *ours = NULL, *theirs = NULL;
	char what[16];
	int r;

	snprintf(what, sizeof(what), "ns/%s", name);
	r = lu_proc_link(from->proc_fd, from->reference, what, &ours);
	if (r == -ESRCH)
		return 0;
	if (r >= 0)
		r = lu_proc_link(from->proc_fd, pid, what, &theirs);
	return r < 0 ? r : strcmp(ours, theirs) != 0;
}

/* Where something is mounted in a file system in memory: the host's services may not have made the place yet. */
static int need_place(struct lu_launch *l, struct lu_view_mount *m)
{
	_cleanup_free_ char *up = strndup(m->path, (size_t)(strrchr(m->path, '/') - m->path)), *host = NULL;
	const struct lu_view_mount *on;
	struct stat st;

	if (!up)
		return -ENOMEM;
	on = lu_view_mount_of(l->view, *up ? up : "/");
	if (!on || !on->type || (strcmp(on->type, "tmpfs") != 0 && strcmp(on->type, "ramfs") != 0))
		return 0;
	host = lu_view_host_path(l->view, *up ? up : "/");
	if (!host)
		return -errno; /* 0: it is in a file system of its own */
	free(up);
	up = NULL;
	if (asprintf(&up, "%s%s", host, strrchr(m->path, '/')) < 0) {
		up = NULL;
		return -ENOMEM;
	}
	if (stat(up, &st) == 0 && S_ISDIR(st.st_mode))
		return lu_launch_add_need(l, up, LU_NEED_DIRECTORY, false, st.st_uid, st.st_gid, st.st_mode & 07777);
	/* a file that is not there yet need not be hidden */
	m->optional = true;
	return 0;
}

static int capture_view(const struct lu_capture_from *from, pid_t pid, int root, struct lu_launch *l,
			struct lu_reasons *why)
{
	const struct lu_view_from look = { .proc_fd = from->proc_fd, .host = from->reference, .root = root };
	int r;

	l->view = calloc(1, sizeof(*l->view));
	if (!l->view)
		return -ENOMEM;
	r = lu_view_capture(&look, pid, l->view, &l->late, why);
	/* directories in memory that something is bound from */
	for (size_t i = 0; r >= 0 && i < l->view->n_mounts; i++) {
		struct lu_view_mount *m = &l->view->mounts[i];

		if (m->kind == LU_VIEW_BIND && S_ISDIR(m->mode))
			r = lu_launch_add_need(l, m->source, LU_NEED_DIRECTORY, false, m->uid, m->gid, m->mode & 07777);
		if (r >= 0 && m->kind != LU_VIEW_SAME && m->kind != LU_VIEW_ABSENT)
			r = need_place(l, m);
	}
	return r < 0 ? r : lu_launch_add_feature(l, LU_LAUNCH_VIEW);
}

int lu_capture_spaces(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l, int *ret_root,
		      struct lu_reasons *why)
{
	_cleanup_free_ char *link = NULL;
	_cleanup_close_ int root = -EBADF;
	char path[32];
	int r;

	r = lu_proc_link(from->proc_fd, pid, "root", &link);
	if (r < 0)
		return r;
	for (size_t i = 0; from->reference && i < ARRAY_SIZE(spaces); i++) {
		r = is_own(from, pid, spaces[i].name);
		if (r < 0)
			return r;
		if (r > 0)
			lu_reasons_add(why, NULL, spaces[i].hint, "it runs in a %s namespace of its own",
				       spaces[i].name);
	}
	if (from->reference && strcmp(link, "/") != 0) {
		lu_reasons_add(why, NULL, "leave RootDirectory= and RootImage= out of its unit",
			       "it runs in a root directory of its own, %s", link);
		*ret_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		return *ret_root < 0 ? -errno : 0;
	}
	snprintf(path, sizeof(path), "%d/root", (int)pid);
	root = openat(from->proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	r = from->reference ? is_own(from, pid, "mnt") : 0;
	if (r > 0)
		r = capture_view(from, pid, root, l, why);
	if (r >= 0)
		*ret_root = steal_fd(&root);
	return r;
}
