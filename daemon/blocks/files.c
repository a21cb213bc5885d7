// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which file a name means for a process, and which files it has open. A name of the command line is opened again by the
 * next QEMU; that is the guest's disk only if it still leads to the file that this QEMU has open: somebody may have
 * moved it away and put another one there.
 *
 * A device is the same if its number is: udev makes nodes anew.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "blocks-internal.h"
#include "capture.h"

#define OPEN_MAX 65536u

struct lu_block_files {
	int root;
	char *cwd;
	struct stat *open;
	size_t n_open;
};

struct lu_block_files *lu_block_files_free(struct lu_block_files *f)
{
	if (!f)
		return NULL;
	closep(&f->root);
	free(f->cwd);
	free(f->open);
	free(f);
	return NULL;
}

static int read_open(struct lu_block_files *f, int proc_fd, pid_t pid)
{
	size_t room = 0;
	struct dirent *d;
	char path[32];
	DIR *dir;
	int fd, r = 0;

	snprintf(path, sizeof(path), "%d/fd", (int)pid);
	fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while (r == 0 && (d = readdir(dir))) {
		struct stat st, *p;

		if (d->d_name[0] == '.' || fstatat(dirfd(dir), d->d_name, &st, 0) < 0 ||
		    (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode) && !S_ISCHR(st.st_mode)))
			continue;
		if (f->n_open == room) {
			room = room ? 2 * room : 64;
			p = room <= OPEN_MAX ? reallocarray(f->open, room, sizeof(*p)) : NULL;
			if (!p) {
				r = -ENOMEM;
				break;
			}
			f->open = p;
		}
		f->open[f->n_open++] = st;
	}
	closedir(dir);
	return r;
}

int lu_block_files_read(int proc_fd, pid_t pid, struct lu_block_files **ret)
{
	_cleanup_(lu_block_files_freep) struct lu_block_files *f = calloc(1, sizeof(*f));
	char path[32];
	int r;

	if (!f)
		return -ENOMEM;
	snprintf(path, sizeof(path), "%d/root", (int)pid);
	f->root = openat(proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (f->root < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	r = lu_proc_link(proc_fd, pid, "cwd", &f->cwd);
	if (r >= 0)
		r = read_open(f, proc_fd, pid);
	if (r < 0)
		return r;
	*ret = steal_ptr(f);
	return 0;
}

int lu_block_files_stat(const struct lu_block_files *f, const char *path, struct stat *ret)
{
	_cleanup_free_ char *whole = NULL;

	if (path[0] == '/')
		return lu_stat_in(f->root, path, ret);
	if (asprintf(&whole, "%s/%s", f->cwd, path) < 0) {
		whole = NULL;
		return -ENOMEM;
	}
	return lu_stat_in(f->root, whole, ret);
}

bool lu_block_files_same(const struct stat *a, const struct stat *b)
{
	if ((a->st_mode & S_IFMT) != (b->st_mode & S_IFMT))
		return false;
	if (S_ISBLK(a->st_mode) || S_ISCHR(a->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

bool lu_block_files_has(const struct lu_block_files *f, const struct stat *st)
{
	for (size_t i = 0; i < f->n_open; i++)
		if (lu_block_files_same(&f->open[i], st))
			return true;
	return false;
}
