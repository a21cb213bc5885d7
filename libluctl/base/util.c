// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * See util.h. lu_write_file() is the only way in which the project replaces a
 * file that somebody may read after a crash: temporary, fsync, rename, fsync of
 * the directory. A leftover temporary (".name.tmp") is simply overwritten.
 */
#include <ctype.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "util.h"

int lu_read_file(int dirfd, const char *path, size_t max, char **ret_data, size_t *ret_size)
{
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ char *buf = NULL;
	size_t size = 0, room = 0;

	fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n;

		if (size == room) {
			char *p;

			room = room ? room * 2 : 4096;
			p = realloc(buf, room + 1);
			if (!p)
				return -ENOMEM;
			buf = p;
		}
		n = read(fd, buf + size, room - size);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (n == 0)
			break;
		size += (size_t)n;
		if (size > max)
			return -EFBIG;
	}
	buf[size] = '\0';
	if (!ret_size && memchr(buf, '\0', size))
		return -EINVAL;
	*ret_data = steal_ptr(buf);
	if (ret_size)
		*ret_size = size;
	return 0;
}

int lu_open_beneath(int dirfd, const char *path, int flags)
{
	struct open_how how = { .flags = (__u64)(flags | O_CLOEXEC),
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS };
	long fd = -1;

	/* EAGAIN: somebody renames a directory on the way */
	for (int tries = 0; tries < 100; tries++) {
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return fd < 0 ? -errno : (int)fd;
}

int lu_open_regular(int dirfd, const char *path)
{
	_cleanup_close_ int place = openat(dirfd, path, O_PATH | O_CLOEXEC);
	char self[48];
	struct stat st;
	int fd;

	if (place < 0 || fstat(place, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EMEDIUMTYPE;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", place);
	fd = open(self, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int lu_write_all(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = write(fd, p, size);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (n == 0)
			return -EIO;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

static int sync_parent(int dirfd, const char *path)
{
	_cleanup_free_ char *dir = NULL;
	_cleanup_close_ int fd = -EBADF;
	const char *slash = strrchr(path, '/');

	if (slash) {
		dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
		if (!dir)
			return -ENOMEM;
	}
	fd = openat(dirfd, dir ?: ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

int lu_write_file(int dirfd, const char *path, const void *data, size_t size, mode_t mode)
{
	const char *slash = strrchr(path, '/');
	int dirlen = slash ? (int)(slash - path) + 1 : 0;
	_cleanup_free_ char *tmp = NULL;
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (asprintf(&tmp, "%.*s.%s.tmp", dirlen, path, path + dirlen) < 0) {
		tmp = NULL;
		return -ENOMEM;
	}
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	r = lu_write_all(fd, data, size);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dirfd, tmp, dirfd, path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dirfd, tmp, 0);
		return r;
	}
	return sync_parent(dirfd, path);
}

int lu_mkdir_p(int dirfd, const char *path, mode_t mode)
{
	_cleanup_free_ char *copy = NULL;
	struct stat st;

	if (!*path)
		return -ENOENT;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdirat(dirfd, copy, mode) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	if (mkdirat(dirfd, copy, mode) == 0)
		return 0;
	if (errno != EEXIST || fstatat(dirfd, copy, &st, 0) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

bool lu_uuid_valid(const char *s)
{
	if (!s || strlen(s) != 36)
		return false;
	for (int i = 0; i < 36; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (s[i] != '-')
				return false;
		} else if (!isxdigit((unsigned char)s[i])) {
			return false;
		}
	}
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return (c | 0x20) - 'a' + 10;
}

int lu_uuid_parse(const char *s, uint8_t ret_bytes[16])
{
	if (!lu_uuid_valid(s))
		return -EINVAL;
	for (int i = 0; i < 16; i++, s += 2) {
		if (*s == '-')
			s++;
		ret_bytes[i] = (uint8_t)(hex_digit(s[0]) << 4 | hex_digit(s[1]));
	}
	return 0;
}

void lu_uuid_format(const uint8_t bytes[16], char ret[37])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*ret++ = '-';
		*ret++ = digits[bytes[i] >> 4];
		*ret++ = digits[bytes[i] & 15];
	}
	*ret = '\0';
}

size_t lu_utf8_prefix(const char *data, size_t size)
{
	const unsigned char *p = (const unsigned char *)data;
	size_t i = 0;

	while (i < size) {
		unsigned int c = p[i], n, low;

		if (c < 0x80) {
			i++;
			continue;
		}
		if (c >= 0xc2 && c <= 0xdf) {
			n = 1, c &= 0x1f, low = 0x80;
		} else if (c >= 0xe0 && c <= 0xef) {
			n = 2, c &= 0x0f, low = 0x800;
		} else if (c >= 0xf0 && c <= 0xf4) {
			n = 3, c &= 0x07, low = 0x10000;
		} else {
			return i;
		}
		if (n >= size - i)
			return i;
		for (unsigned int k = 1; k <= n; k++) {
			if ((p[i + k] & 0xc0) != 0x80)
				return i;
			c = c << 6 | (p[i + k] & 0x3f);
		}
		if (c < low || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return i;
		i += n + 1;
	}
	return i;
}

void lu_text_clean(char *s)
{
	size_t n = strlen(s), good = 0;

	/* each bad byte by itself, so that what follows it is kept */
	while ((good += lu_utf8_prefix(s + good, n - good)) < n)
		s[good] = '?';
	if (n > LU_TEXT_MAX) {
		n = lu_utf8_prefix(s, LU_TEXT_MAX - 3);
		memcpy(s + n, "...", 4);
		n += 3;
	}
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\n' || s[i] == '\t')
			s[i] = ' ';
		else if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			s[i] = '?';
	}
}

char *lu_text_dup(const char *s)
{
	char *copy = s ? strdup(s) : NULL;

	if (copy)
		lu_text_clean(copy);
	return copy;
}

bool lu_relative_path_valid(const char *s)
{
	if (strlen(s) >= 4096)
		return false;
	for (;;) {
		size_t n = strcspn(s, "/");

		if (n == 0 || (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		if (!s[n])
			return true;
		s += n + 1;
	}
}

bool lu_name_valid(const char *s)
{
	size_t n;

	if (!s || s[0] == '.' || s[0] == '-')
		return false;
	n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
	return n >= 1 && n <= 64 && s[n] == '\0';
}

int lu_boot_id(char ret_id[37])
{
	_cleanup_free_ char *s = NULL;
	int r;

	r = lu_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &s, NULL);
	if (r < 0)
		return r;
	s[strcspn(s, "\n")] = '\0';
	if (!lu_uuid_valid(s))
		return -EBADMSG;
	memcpy(ret_id, s, 37);
	return 0;
}
