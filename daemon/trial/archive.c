// SPDX-License-Identifier: GPL-2.0-or-later
/* The initramfs of the first kernel, and what is put behind the target's; libarchive knows the format. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trial.h"

#define PIECE (1u << 20)

DEFINE_CLEANUP(struct archive *, archive_write_free)
DEFINE_CLEANUP(struct archive_entry *, archive_entry_free)

static int copy(int from, int (*put)(void *to, const void *data, size_t size), void *to)
{
	_cleanup_free_ char *buf = malloc(PIECE);
	off_t at = 0;
	ssize_t n;
	int r = 0;

	if (!buf)
		return -ENOMEM;
	/* by offset, since others may read the same open file */
	while (r == 0 && (n = pread(from, buf, PIECE, at)) != 0) {
		if (n < 0)
			return -errno;
		r = put(to, buf, (size_t)n);
		at += n;
	}
	return r;
}

static int put_plain(void *to, const void *data, size_t size)
{
	return lu_write_all(*(int *)to, data, size);
}

static int put_entry(void *to, const void *data, size_t size)
{
	return archive_write_data(to, data, size) == (la_ssize_t)size ? 0 : -EIO;
}

static int add(struct archive *a, const char *path, mode_t mode, int fd, const char *text)
{
	_cleanup_(archive_entry_freep) struct archive_entry *entry = archive_entry_new();
	struct stat st = { .st_size = text ? (off_t)strlen(text) : 0 };

	if (!entry)
		return -ENOMEM;
	if (fd >= 0 && fstat(fd, &st) < 0)
		return -errno;
	archive_entry_set_pathname(entry, path);
	archive_entry_set_filetype(entry, mode & S_IFMT);
	archive_entry_set_perm(entry, mode & 07777);
	archive_entry_set_nlink(entry, 1);
	archive_entry_set_size(entry, st.st_size);
	if (archive_write_header(a, entry) != ARCHIVE_OK)
		return -EIO;
	return fd >= 0 ? copy(fd, put_entry, a) : text ? put_entry(a, text, strlen(text)) : 0;
}

/* The folder that a file is in, if any; folders within folders are not needed */
static int add_folder_of(struct archive *a, const char *path, const char *before)
{
	size_t n = strcspn(path, "/");
	char folder[64];

	if (!path[n] || n >= sizeof(folder) || (before && !strncmp(before, path, n + 1)))
		return 0;
	memcpy(folder, path, n);
	folder[n] = '\0';
	return add(a, folder, S_IFDIR | 0755, -EBADF, NULL);
}

int trial_archive_write(const char *path, int before, const struct trial_file *files, size_t n, struct lu_error *e)
{
	_cleanup_(archive_write_freep) struct archive *a = archive_write_new();
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r = !a ? -ENOMEM : fd < 0 ? -errno : 0;

	if (r == 0 && before >= 0)
		r = copy(before, put_plain, &fd);
	/* an initramfs begins at a multiple of four bytes: Documentation/driver-api/early-userspace/buffer-format.rst */
	if (r == 0 && before >= 0)
		r = put_plain(&fd, "\0\0\0", (size_t)(-lseek(fd, 0, SEEK_CUR) & 3));
	if (r == 0 &&
	    (archive_write_set_format_cpio_newc(a) != ARCHIVE_OK || archive_write_open_fd(a, fd) != ARCHIVE_OK))
		r = -EIO;
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = add_folder_of(a, files[i].path, i ? files[i - 1].path : NULL);
		if (r == 0)
			r = add(a, files[i].path, S_IFREG | (files[i].executable ? 0755 : 0644), files[i].fd,
				files[i].text);
	}
	if (r == 0 && archive_write_close(a) != ARCHIVE_OK)
		r = -EIO;
	return r < 0 ? lu_error_set(e, r, "is there room in /tmp?", "%s: %s", path,
				    a && archive_error_string(a) ? archive_error_string(a) : strerror(-r)) :
		       0;
}
