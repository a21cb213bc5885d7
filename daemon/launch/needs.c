// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What has to be there before QEMU is executed. In the early path neither udev nor
 * tmpfiles nor modules-load has run: /dev is what the kernel put there (nodes of
 * root, 0600), /run is empty. So modules are loaded by modprobe, directories of
 * sockets are made, and device nodes get the owner and mode that udev had given
 * them in the old kernel; udev does the same again later.
 *
 * Device nodes of slow buses may come late: they are polled for, all together
 * within one time limit. Files are not waited for, nobody mounts anything meanwhile.
 *
 * A directory that exists is left as it is. Only nodes below /dev get a new owner.
 *
 * The paths are QEMU's own words, and we are root: what gets an owner is opened first, by a way that no link leads
 * elsewhere, and changed by its descriptor. A node must be in devtmpfs itself, which only root writes (so not in /dev/shm),
 * a directory must be the one that was just made. A node that is reached otherwise keeps the owner that it has.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "clock.h"
#include "launch.h"

static void load_module(const char *name)
{
	static const char *const paths[] = { "/sbin/modprobe", "/usr/sbin/modprobe" };
	char sys[128];
	pid_t pid;

	if (snprintf(sys, sizeof(sys), "/sys/module/%s", name) >= (int)sizeof(sys) || access(sys, F_OK) == 0)
		return;
	pid = fork();
	if (pid == 0) {
		for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
			execl(paths[i], "modprobe", "-q", "-b", "--", name, (char *)NULL);
		_exit(127);
	}
	/* if it fails the node will be missing, and that is what is reported */
	if (pid > 0)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
}

/* Its parents are made or there already; /var/run is a link of old. */
static int open_made(const char *path)
{
	_cleanup_close_ int parent = -EBADF, fd = -EBADF;
	_cleanup_free_ char *dir = strdup(path);
	const char *slash;
	struct stat st;

	if (!dir)
		return -ENOMEM;
	*strrchr(dir, '/') = '\0';
	slash = path + strlen(dir);
	parent = open(*dir ? dir : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return -errno;
	if (mkdirat(parent, slash + 1, 0700) < 0)
		return -errno;
	fd = openat(parent, slash + 1, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	/* whoever owns the parent may have put one of his own there */
	return st.st_uid == geteuid() ? steal_fd(&fd) : -EPERM;
}

static int make_directory(const struct lu_launch *l, const struct lu_launch_need *n, struct lu_error *e)
{
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ char *path = strdup(n->path);
	char *slash;
	int r = 0;

	if (!path)
		return -ENOMEM;
	for (size_t i = strlen(path); i > 1 && path[i - 1] == '/'; i--)
		path[i - 1] = '\0';
	if (access(path, F_OK) == 0)
		return 0;
	slash = strrchr(path, '/');
	if (slash && slash != path) {
		*slash = '\0';
		r = lu_mkdir_p(AT_FDCWD, path, 0755);
		*slash = '/';
	}
	if (r == 0) {
		fd = open_made(path);
		r = fd < 0 ? fd : 0;
	}
	if (r == 0 && (fchown(fd, (uid_t)n->uid, (gid_t)n->gid) < 0 || fchmod(fd, (mode_t)n->mode) < 0))
		r = -errno;
	if (r == -EEXIST && access(path, F_OK) == 0) /* another VM's restorer was faster */
		return 0;
	if (r < 0)
		return lu_error_set(e, r, NULL, "VM %s: cannot make directory %s: %s", l->name, n->path, strerror(-r));
	return 0;
}

static int own_node(const struct lu_launch *l, const struct lu_launch_need *n, const struct stat *st,
		    struct lu_error *e)
{
	_cleanup_close_ int dev = -EBADF, fd = -EBADF;
	char self[48];
	struct stat now;

	if (strncmp(n->path, "/dev/", 5) != 0 ||
	    (st->st_uid == n->uid && st->st_gid == n->gid && (st->st_mode & 07777) == n->mode))
		return 0;
	dev = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd = dev < 0 ? -errno : lu_open_beneath(dev, n->path + 5, O_PATH);
	if (fd == -EXDEV || fd == -ELOOP)
		return 0;
	if (fd < 0 || fstat(fd, &now) < 0)
		return lu_error_set(e, fd < 0 ? fd : -errno, NULL, "VM %s: %s: %s", l->name, n->path,
				    strerror(fd < 0 ? -fd : errno));
	if ((now.st_mode & S_IFMT) != (st->st_mode & S_IFMT) || now.st_rdev != st->st_rdev)
		return lu_error_set(e, -ESTALE, "try again", "VM %s: %s is another device meanwhile", l->name, n->path);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if ((now.st_uid != n->uid || now.st_gid != n->gid) &&
	    fchownat(fd, "", (uid_t)n->uid, (gid_t)n->gid, AT_EMPTY_PATH) < 0)
		return lu_error_set(e, -errno, NULL, "VM %s: %s: chown: %s", l->name, n->path, strerror(errno));
	if ((now.st_mode & 07777) != n->mode && chmod(self, (mode_t)n->mode) < 0)
		return lu_error_set(e, -errno, NULL, "VM %s: %s: chmod: %s", l->name, n->path, strerror(errno));
	return 0;
}

static int meet(const struct lu_launch *l, const struct lu_launch_need *n, uint64_t deadline_ns, struct lu_error *e)
{
	mode_t type = n->kind == LU_NEED_BLOCK ? S_IFBLK : n->kind == LU_NEED_CHAR ? S_IFCHR : 0;
	struct statvfs vfs;
	struct stat st;

	if (n->kind == LU_NEED_DIRECTORY && (!n->write || access(n->path, F_OK) < 0))
		return make_directory(l, n, e);
	while (stat(n->path, &st) < 0) {
		if (errno != ENOENT || type == 0 || lu_clock_ns(CLOCK_MONOTONIC) >= deadline_ns)
			return lu_error_set(
				e, -errno,
				type ? "is the driver built in, or its module in the initrd or on the root file system?" :
				       "put it back, then: luctl restore",
				"VM %s needs %s: %s", l->name, n->path, strerror(errno));
		usleep(5000);
	}
	if (type && (st.st_mode & S_IFMT) != type)
		return lu_error_set(e, -ENODEV, NULL, "VM %s needs %s: it is no %s device", l->name, n->path,
				    n->kind == LU_NEED_BLOCK ? "block" : "character");
	if (type)
		return own_node(l, n, &st, e);
	if (n->write && statvfs(n->path, &vfs) == 0 && (vfs.f_flag & ST_RDONLY))
		return lu_error_set(e, -EROFS, NULL, "VM %s writes %s, which is on a read-only file system", l->name,
				    n->path);
	return 0;
}

int lu_launch_meet_needs(const struct lu_launch *l, unsigned int timeout_ms, struct lu_error *e)
{
	uint64_t deadline = lu_clock_ns(CLOCK_MONOTONIC) + (uint64_t)timeout_ms * 1000000;

	for (char **m = l->modules; m && *m; m++)
		load_module(*m);
	for (size_t i = 0; i < l->n_needs; i++) {
		int r = meet(l, &l->needs[i], deadline, e);

		if (r < 0)
			return r;
	}
	return 0;
}
