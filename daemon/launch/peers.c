// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See peers.h. Two sources: a copy of each socket of the process (pidfd_getfd), which knows its peer's name and who had bound
 * it, and /proc/net/unix with the descriptors of all processes, which knows who has it now.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "peers.h"
#include "unix_sockets.h"
#include "util.h"

#define INODES_MAX 256u

void lu_peers_clear(struct lu_peers *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->list[i].path);
	free(p->list);
	*p = (struct lu_peers){ 0 };
}

/* --- sockets of a name --- */

struct inodes {
	unsigned long list[INODES_MAX];
	size_t n;
	bool listens;
};

/* The one that listens, and those that it has accepted. */
static void sockets_at(const struct lu_unix_sockets *all, const char *path, struct inodes *ret)
{
	ret->n = 0;
	ret->listens = false;
	for (size_t i = 0; i < all->n; i++) {
		if (strcmp(all->list[i].path, path) != 0)
			continue;
		ret->listens |= all->list[i].listens;
		if (ret->n < INODES_MAX)
			ret->list[ret->n++] = all->list[i].inode;
	}
}

static int own_sockets_at(int proc_fd, const char *path, struct inodes *ret)
{
	_cleanup_(lu_unix_sockets_clear) struct lu_unix_sockets all = { 0 };
	int r = lu_unix_sockets_read(proc_fd, 0, &all);

	if (r >= 0)
		sockets_at(&all, path, ret);
	return r;
}

int lu_peers_listens(int proc_fd, const char *path)
{
	struct inodes at;
	int r = own_sockets_at(proc_fd, path, &at);

	return r < 0 ? r : at.listens;
}

static DIR *open_fds(int proc_fd, const char *pid)
{
	char path[NAME_MAX + 4];
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "%s/fd", pid);
	fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	dir = fdopendir(fd);
	if (!dir)
		close(fd);
	return dir;
}

/* Inode of the socket behind a descriptor of the directory, 0 if it is none. */
static unsigned long socket_inode(DIR *dir, const char *name)
{
	unsigned long inode = 0;
	char link[64];
	ssize_t n = readlinkat(dirfd(dir), name, link, sizeof(link) - 1);

	if (n <= 0)
		return 0;
	link[n] = '\0';
	return sscanf(link, "socket:[%lu]", &inode) == 1 ? inode : 0;
}

static bool holds(int proc_fd, const char *pid, const struct inodes *at)
{
	DIR *dir = open_fds(proc_fd, pid);
	bool found = false;
	struct dirent *d;

	while (dir && !found && (d = readdir(dir))) {
		unsigned long inode = d->d_name[0] == '.' ? 0 : socket_inode(dir, d->d_name);

		for (size_t i = 0; inode && i < at->n; i++)
			found |= at->list[i] == inode;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* --- the sockets of a process --- */

static int peers_add(struct lu_peers *p, const char *path, pid_t pid)
{
	struct lu_peer *list;

	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].pid == pid && !strcmp(p->list[i].path, path))
			return 0;
	list = reallocarray(p->list, p->n + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	p->list = list;
	list[p->n] = (struct lu_peer){ .path = strdup(path), .pid = pid };
	if (!list[p->n].path)
		return -ENOMEM;
	p->n++;
	return 0;
}

/* Everybody who has a socket of that name open, but systemd, which has it for others. */
static int add_holders(int proc_fd, const char *path, const struct inodes *at, struct lu_peers *ret)
{
	_cleanup_close_ int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;
	size_t before = ret->n;
	int r = 0;

	if (!dir)
		return -errno;
	(void)steal_fd(&fd);
	while (r >= 0 && (d = readdir(dir)))
		if (d->d_name[0] >= '1' && d->d_name[0] <= '9' && strcmp(d->d_name, "1") != 0 &&
		    holds(proc_fd, d->d_name, at))
			r = peers_add(ret, path, atoi(d->d_name));
	closedir(dir);
	return r < 0 || ret->n > before ? r : peers_add(ret, path, 0);
}

int lu_peers_at(int proc_fd, const char *path, struct lu_peers *ret)
{
	struct inodes at;
	int r = own_sockets_at(proc_fd, path, &at);

	*ret = (struct lu_peers){ 0 };
	if (r >= 0)
		r = add_holders(proc_fd, path, &at, ret);
	if (r < 0)
		lu_peers_clear(ret);
	return r;
}

static int add_server(int proc_fd, const struct lu_unix_sockets *all, const char *path, pid_t told,
		      struct lu_peers *ret)
{
	struct inodes at;
	char number[16];

	sockets_at(all, path, &at);
	snprintf(number, sizeof(number), "%d", (int)told);
	return told > 1 && holds(proc_fd, number, &at) ? peers_add(ret, path, told) :
							 add_holders(proc_fd, path, &at, ret);
}

/* A copy of one socket: is it a client's, and of what? 1 with the name and who the kernel says has bound it. */
static int look_at(int fd, char path[static sizeof(((struct sockaddr_un *)0)->sun_path) + 1], pid_t *ret_pid)
{
	struct sockaddr_un own = { 0 }, other = { 0 };
	socklen_t own_len = sizeof(own), len = sizeof(other), size = sizeof(struct ucred);
	struct ucred cred = { 0 };

	if (getsockname(fd, (struct sockaddr *)&own, &own_len) < 0 || own.sun_family != AF_UNIX ||
	    own_len > offsetof(struct sockaddr_un, sun_path) || getpeername(fd, (struct sockaddr *)&other, &len) < 0 ||
	    len <= offsetof(struct sockaddr_un, sun_path) || other.sun_path[0] != '/')
		return 0;
	len -= offsetof(struct sockaddr_un, sun_path);
	memcpy(path, other.sun_path, len);
	path[len] = '\0';
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		cred.pid = 0;
	*ret_pid = cred.pid;
	return 1;
}

int lu_peers_find(int proc_fd, pid_t pid, struct lu_peers *ret)
{
	char number[16], path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	_cleanup_(lu_unix_sockets_clear) struct lu_unix_sockets all = { 0 };
	struct lu_peers found = { 0 };
	struct dirent *d;
	DIR *dir;
	int r = 0;

	if (pidfd < 0)
		return -errno;
	snprintf(number, sizeof(number), "%d", (int)pid);
	dir = open_fds(proc_fd, number);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	while (r >= 0 && (d = readdir(dir))) {
		_cleanup_close_ int copy = -EBADF;
		pid_t told;

		if (d->d_name[0] == '.' || !socket_inode(dir, d->d_name))
			continue;
		copy = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(d->d_name), 0);
		if (copy < 0 && errno != EBADF) /* EBADF: closed meanwhile */
			r = -errno;
		if (copy < 0 || !look_at(copy, path, &told))
			continue;
		if (!all.text)
			r = lu_unix_sockets_read(proc_fd, pid, &all);
		if (r >= 0)
			r = add_server(proc_fd, &all, path, told, &found);
	}
	closedir(dir);
	if (r < 0) {
		lu_peers_clear(&found);
		return r;
	}
	*ret = found;
	return 0;
}

pid_t lu_peers_server(const struct lu_peers *p, const char *path)
{
	pid_t pid = 0;

	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->list[i].path, path) != 0)
			continue;
		if (pid)
			return 0;
		pid = p->list[i].pid;
	}
	return pid;
}

char *lu_peers_unit(int proc_fd, pid_t pid)
{
	static const char *const kinds[] = { ".service", ".scope" };
	_cleanup_free_ char *text = NULL;
	char what[32], *save = NULL, *p;

	snprintf(what, sizeof(what), "%d/cgroup", (int)pid);
	if (lu_read_file(proc_fd, what, 1u << 16, &text, NULL) < 0)
		return NULL;
	p = strstr(text, "0::/");
	if (!p)
		return NULL;
	p += strlen("0::/");
	p[strcspn(p, "\n")] = '\0';
	/* the first that is no slice: what is below it is the unit's own business */
	for (char *part = strtok_r(p, "/", &save); part; part = strtok_r(NULL, "/", &save))
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
			size_t n = strlen(part), m = strlen(kinds[i]);

			if (n > m && !strcmp(part + n - m, kinds[i]))
				return strdup(part);
		}
	return NULL;
}
