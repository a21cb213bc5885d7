// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Preloaded into luctld: the file system that is mounted at $LUCTL_TEST_PKERNFS says that it is
 * pkernfs when it is asked by statfs(2). Everything else about it is a tmpfs's. What lies there
 * without being a mount of its own is not meant, so that a test can take pkernfs away.
 *
 * The size and the free space are told as they are, but for $LUCTL_TEST_PKERNFS_FREE (bytes), which
 * is told instead of the free space.
 *
 * A page that begins with the words "BAD PAGE" is one for MADV_POPULATE_READ (madvise(2)).
 */
#undef _FILE_OFFSET_BITS /* with it, the two names of each call would be one */

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/pkernfs.h>

#define API __attribute__((visibility("default")))

/* Is @st on the file system that is mounted at the place that the test named? */
static int meant(const struct stat *st)
{
	const char *mount = getenv("LUCTL_TEST_PKERNFS");
	struct stat top, above;
	char parent[4096];

	if (!mount || snprintf(parent, sizeof(parent), "%s/..", mount) >= (int)sizeof(parent))
		return 0;
	return stat(mount, &top) == 0 && stat(parent, &above) == 0 && top.st_dev != above.st_dev &&
	       st->st_dev == top.st_dev;
}

static void disguise(struct statfs *fs)
{
	const char *left = getenv("LUCTL_TEST_PKERNFS_FREE");

	fs->f_type = PKERNFS_SUPER_MAGIC;
	if (left)
		fs->f_bavail = fs->f_bfree = strtoull(left, NULL, 0) / (unsigned long)fs->f_bsize;
}

static int path_statfs(const char *name, const char *path, struct statfs *fs)
{
	int (*real)(const char *, struct statfs *);
	struct stat st;
	int r;

	*(void **)&real = dlsym(RTLD_NEXT, name);
	r = real(path, fs);
	if (r == 0 && stat(path, &st) == 0 && meant(&st))
		disguise(fs);
	return r;
}

static int fd_statfs(const char *name, int fd, struct statfs *fs)
{
	int (*real)(int, struct statfs *);
	struct stat st;
	int r;

	*(void **)&real = dlsym(RTLD_NEXT, name);
	r = real(fd, fs);
	if (r == 0 && fstat(fd, &st) == 0 && meant(&st))
		disguise(fs);
	return r;
}

API int statfs(const char *path, struct statfs *fs)
{
	return path_statfs("statfs", path, fs);
}

API int fstatfs(int fd, struct statfs *fs)
{
	return fd_statfs("fstatfs", fd, fs);
}

/* On 64-bit machines the two kinds are one. */
_Static_assert(sizeof(struct statfs) == sizeof(struct statfs64), "statfs and statfs64 differ");

API int statfs64(const char *path, struct statfs64 *fs)
{
	return path_statfs("statfs64", path, (struct statfs *)fs);
}

API int fstatfs64(int fd, struct statfs64 *fs)
{
	return fd_statfs("fstatfs64", fd, (struct statfs *)fs);
}

API int madvise(void *addr, size_t size, int advice)
{
	int (*real)(void *, size_t, int);

	for (size_t at = 0; advice == MADV_POPULATE_READ && at < size; at += 4096)
		if (memcmp((char *)addr + at, "BAD PAGE", 8) == 0) {
			errno = EHWPOISON;
			return -1;
		}
	*(void **)&real = dlsym(RTLD_NEXT, "madvise");
	return real(addr, size, advice);
}
