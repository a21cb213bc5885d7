// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * This host's pkernfs; see host.h. The mount table tells names and places, statvfs() space, metadata the
 * rest. Without the right to read memory the former two are all there is.
 *
 * Unhappy paths: 1. memory can't be opened or read: a warning, or the failure itself for who
 * needs it; 2. memory changes while it is read: read again, see TRIES; 3. a filesystem that nobody has
 * mounted is known from the metadata only, and one that metadata doesn't name from the mount table only.
 */
#include <linux/fs.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <time.h>

#include "linux/pkernfs.h"
#include "this-host.h"
#include "verify.h"

#define TRIES 3
#define PAUSE_NSEC 100000000

static const char *below(int rootfd, const char *path)
{
	return rootfd == AT_FDCWD ? path : path + 1;
}

/* A number out of /sys/fs/pkernfs; false: the kernel doesn't tell */
static bool sysfs_number(int rootfd, const char *name, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	char path[64], *end;
	uint64_t n;

	snprintf(path, sizeof(path), "/sys/fs/pkernfs/%s", name);
	if (lu_read_file(rootfd, below(rootfd, path), 4096, &text, NULL) < 0)
		return false;
	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno || end == text || strcmp(end, "\n") != 0)
		return false;
	*ret = n;
	return true;
}

/* "\054" is what the kernel writes for a comma */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
		    s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

static struct lu_pkernfs_fs *fs_named(struct lu_pkernfs_report *report, const char *name)
{
	for (size_t i = 0; i < report->n_fs; i++)
		if (strcmp(report->fs[i].name, name) == 0)
			return &report->fs[i];
	return lu_pkernfs_fs_add(report, name);
}

static int mounted_add(struct lu_pkernfs_fs *fs, const char *dir)
{
	size_t n = 0;
	char **list;

	while (fs->mounted[n])
		n++;
	list = reallocarray(fs->mounted, n + 2, sizeof(*list));
	if (!list)
		return -ENOMEM;
	fs->mounted = list;
	list[n] = strdup(dir);
	list[n + 1] = NULL;
	return list[n] ? 0 : -ENOMEM;
}

static void fill_from_statvfs(struct lu_pkernfs_fs *fs, const char *dir)
{
	struct statvfs st;

	if (statvfs(dir, &st) < 0)
		return;
	fs->available = (uint64_t)st.f_bavail * st.f_frsize;
	/* what follows is better known from the metadata */
	if (fs->used == LU_UNKNOWN)
		fs->used = (uint64_t)(st.f_blocks - st.f_bfree) * st.f_frsize;
}

/* An option with a value, its copy unescaped; NULL: it isn't there */
static char *option(const struct mntent *m, const char *name)
{
	const char *at = hasmntopt(m, name);
	size_t skip = strlen(name) + 1;
	char *value;

	if (!at || at[skip - 1] != '=')
		return NULL;
	value = strndup(at + skip, strcspn(at + skip, ","));
	if (value)
		unescape(value);
	return value;
}

static int mount_add(struct lu_pkernfs_report *report, const struct mntent *m)
{
	_cleanup_free_ char *name = option(m, "name"), *node = option(m, "node"), *size = option(m, "size");
	struct lu_pkernfs_fs *fs = fs_named(report, name ?: "");
	int r;

	if (!fs)
		return -ENOMEM;
	r = mounted_add(fs, m->mnt_dir);
	if (r < 0)
		return r;
	fill_from_statvfs(fs, m->mnt_dir);
	if (fs->node == LU_UNKNOWN && node && *node >= '0' && *node <= '9')
		fs->node = strtoull(node, NULL, 10);
	if (fs->limit == LU_UNKNOWN && size)
		fs->limit = strtoull(size, NULL, 10) << 10; /* always in KiB: "size=65536k" */
	return 0;
}

static int add_mounts(int rootfd, struct lu_pkernfs_report *report, struct lu_error *e)
{
	_cleanup_close_ int fd = openat(rootfd, below(rootfd, "/proc/self/mounts"), O_RDONLY | O_CLOEXEC);
	char line[8192];
	struct mntent m;
	int r = 0;
	FILE *f;

	f = fd >= 0 ? fdopen(fd, "r") : NULL;
	if (!f)
		return lu_error_set(e, -errno, "is /proc mounted?", "/proc/self/mounts: %s", strerror(errno));
	steal_fd(&fd);
	while (r == 0 && getmntent_r(f, &m, line, sizeof(line)))
		if (strcmp(m.mnt_type, "pkernfs") == 0)
			r = mount_add(report, &m);
	endmntent(f);
	return r < 0 ? lu_error_set(e, r, NULL, "out of memory") : 0;
}

static int read_metadata(int rootfd, uint64_t root, const char *save, struct lu_pkernfs_report *report,
			 struct lu_error *e)
{
	_cleanup_(lu_memory_freep) struct lu_memory *m = NULL;
	int r = lu_memory_open_host(rootfd, &m, e);

	if (r < 0)
		return r;
	if (root == LU_UNKNOWN && !sysfs_number(rootfd, "root", &root))
		root = LU_PKERNFS_FIND;
	for (int i = 1;; i++) {
		lu_pkernfs_report_clear(report);
		r = lu_pkernfs_verify(m, root, report, save, e);
		if (r < 0 || lu_findings_ok(&report->findings) || i == TRIES)
			return r;
		root = report->root;
		nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NSEC }, NULL);
	}
}

int lu_pkernfs_host(int rootfd, uint64_t root, const char *save, bool need, struct lu_pkernfs_report *report,
		    struct lu_error *e)
{
	_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
	int r = read_metadata(rootfd, root, save, report, &why), unread;

	if (r < 0 && (need || r == -ENOMEM)) {
		lu_error_move(e, &why);
		return r;
	}
	unread = r;
	if (unread < 0)
		lu_pkernfs_report_clear(report);
	r = add_mounts(rootfd, report, e);
	/* a kernel without pkernfs has no root page */
	if (r == 0 && unread < 0 && (unread != -ENODATA || report->n_fs))
		lu_findings_add(&report->findings, LU_LEVEL_WARNING, "metadata", why.hint, "was not read: %s",
				why.what ?: "?");
	return r;
}

static bool has_content(const struct stat *st)
{
	return S_ISREG(st->st_mode) && (st->st_size || st->st_blocks);
}

/* Looked at before it is opened: a device may do something by that alone. 0, or an errno of why not */
static int open_in_pkernfs(const char *path, struct stat *st, int *ret_fd)
{
	_cleanup_close_ int place = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	struct statfs fs;
	char self[48];

	if (place < 0 || fstat(place, st) < 0 || fstatfs(place, &fs) < 0)
		return errno;
	if ((uint64_t)fs.f_type != PKERNFS_SUPER_MAGIC || (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)))
		return EOPNOTSUPP;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", place);
	*ret_fd = open(self, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? errno : 0;
}

int lu_pkernfs_set_blocks(const char *path, uint64_t size, struct lu_error *e)
{
	_cleanup_close_ int fd = -EBADF;
	struct fsxattr attr = { 0 };
	struct stat st = { 0 };
	int error;

	error = open_in_pkernfs(path, &st, &fd);
	if (error == EOPNOTSUPP)
		return lu_error_set(e, -error, "name one that is, such as a directory below /run/luctl/pkernfs",
				    "%s: not a file or a directory in pkernfs", path);
	if (!error) {
		if (size)
			attr.fsx_xflags = S_ISDIR(st.st_mode) ? FS_XFLAG_EXTSZINHERIT : FS_XFLAG_EXTSIZE;
		attr.fsx_extsize = (uint32_t)size;
		if (size > UINT32_MAX)
			error = EINVAL;
		else if (ioctl(fd, FS_IOC_FSSETXATTR, &attr) < 0)
			error = errno;
	}
	switch (error) {
	case 0:
		return 0;
	case EINVAL:
		if (has_content(&st))
			return lu_error_set(e, -error,
					    "do it before the file has a size, or for the directory that it is made in",
					    "%s: its blocks have another size already", path);
		return lu_error_set(e, -error, "4 KiB or 2 MiB; 1 GiB takes a kernel that has it",
				    "%s: this kernel has no blocks of %llu bytes", path, (unsigned long long)size);
	default:
		return lu_error_set(e, -error, error == EPERM || error == EACCES ? "ask as its owner or as root" : NULL,
				    "%s: %s", path, strerror(error));
	}
}
