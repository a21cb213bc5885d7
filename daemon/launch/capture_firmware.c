// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The firmware that the next QEMU would take. It must be as large as what the guest has: its memory is sized by the file,
 * and a state with another size is not loaded ("Size mismatch: pc.bios"). Its bytes do not matter, since those that the
 * guest has come with its state and stay, over its resets, too (seen with QEMU 10.0).
 *
 * QEMU looks for it as a path, then in the directories of -L, then in those that it was built with (qemu_find_file(),
 * "qemu -L help"). These are told by nothing but QEMU itself: here they are the distributions', and what lies beside
 * its program.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "argv.h"
#include "capture.h"

static int open_root(int proc_fd, pid_t pid)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "%d/root", (int)pid);
	fd = openat(proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? (errno == ENOENT ? -ESRCH : -errno) : fd;
}

/* 1 with @ret if there is a file of this name in @dir (relative ones: in @cwd), else 0 */
static int try_at(int root, const char *cwd, const char *dir, const char *name, char **ret)
{
	const char *below = dir[0] == '/' ? "" : cwd;
	_cleanup_free_ char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s%s%s%s%s", below, *below ? "/" : "", dir, *dir ? "/" : "", name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (lu_stat_in(root, path, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	*ret = steal_ptr(path);
	return 1;
}

int lu_launch_find_firmware(int proc_fd, pid_t pid, const struct lu_launch *l, const char *name, char **ret)
{
	static const char *const built_in[] = { "/usr/share/qemu", "/usr/share/seabios", "/usr/lib/ipxe/qemu",
						"/usr/local/share/qemu" };
	_cleanup_close_ int root = open_root(proc_fd, pid);
	_cleanup_free_ char *beside = NULL;
	struct lu_arg arg = { 0 };
	int r;

	if (root < 0)
		return root;
	if (name[0] == '/')
		return try_at(root, "", "", name, ret) ?: -ENOENT;
	r = try_at(root, l->cwd, "", name, ret);
	while (r == 0 && lu_argv_next(l->argv, &arg))
		if (!strcmp(arg.name, "L") && arg.value)
			r = try_at(root, l->cwd, arg.value, name, ret);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(built_in); i++)
		r = try_at(root, "", built_in[i], name, ret);
	if (r == 0 && asprintf(&beside, "%.*s/../share/qemu", (int)(strrchr(l->exe, '/') - l->exe), l->exe) < 0) {
		beside = NULL;
		return -ENOMEM;
	}
	if (r == 0)
		r = try_at(root, "", beside, name, ret);
	return r ?: -ENOENT;
}

int lu_launch_file_size(int proc_fd, pid_t pid, const char *path, uint64_t *ret)
{
	_cleanup_close_ int root = open_root(proc_fd, pid);
	struct stat st;
	int r = root < 0 ? root : lu_stat_in(root, path, &st);

	if (r >= 0)
		*ret = (uint64_t)st.st_size;
	return r;
}
