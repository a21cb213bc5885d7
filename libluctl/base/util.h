/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Small helpers that every part uses: ownership by cleanup attributes, file
 * descriptors, whole-file reads and durable writes. Functions return 0 or a
 * negative errno and never log.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _warn_unused_ __attribute__((warn_unused_result))

/* Declares NAMEp(), the cleanup handler for a pointer freed by func(). */
#define DEFINE_CLEANUP(type, func)          \
	static inline void func##p(type *p) \
	{                                   \
		if (*p)                     \
			func(*p);           \
	}

/* Hands a pointer over to the caller; the variable no longer owns it. */
#define steal_ptr(p)                    \
	({                              \
		__typeof__(p) _p = (p); \
		(p) = NULL;             \
		_p;                     \
	})

static inline int steal_fd(int *fd)
{
	int r = *fd;

	*fd = -EBADF;
	return r;
}

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)

/**
 * lu_read_file() - read a whole file
 * @dirfd: directory that @path is relative to, or AT_FDCWD
 * @path: file to read; files of /proc and /sys (size 0) are fine
 * @max: largest accepted size in bytes
 * @ret_data: the contents plus a terminating NUL that @ret_size does not count; free() it
 * @ret_size: length in bytes; may be NULL, then a NUL byte in the file is -EINVAL
 *
 * Return: 0, -EFBIG if the file is larger than @max, or a negative errno.
 */
int lu_read_file(int dirfd, const char *path, size_t max, char **ret_data, size_t *ret_size);

/**
 * lu_open_beneath() - open a path whose every component is below @dirfd and on its file system
 * @flags: as of open(); O_CLOEXEC is added
 *
 * For directories that somebody else writes to as well: no ".." and no symbolic link leads out of @dirfd, nothing
 * that is mounted below it is entered. A link in the last place is followed unless @flags has O_NOFOLLOW.
 *
 * Return: a descriptor; -EXDEV or -ELOOP if the path leads elsewhere; or another negative errno.
 */
int lu_open_beneath(int dirfd, const char *path, int flags);

/**
 * lu_open_regular() - open a file for reading, and nothing that is none
 *
 * What it is is looked at before it is opened: opening alone makes some devices do something (a watchdog, a tape), and a
 * FIFO waits.
 *
 * Return: a descriptor; -EISDIR, or -EMEDIUMTYPE for anything else that is no regular file; or another negative errno.
 */
int lu_open_regular(int dirfd, const char *path);

/**
 * lu_write_file() - replace a file so that readers see the old or the new contents, never a part
 *
 * Writes a temporary file beside @path, syncs it, renames it over @path and syncs
 * the directory. On failure the old file is untouched.
 *
 * Return: 0 or a negative errno.
 */
int lu_write_file(int dirfd, const char *path, const void *data, size_t size, mode_t mode);

/** lu_write_all() - write() until everything is written; 0 or negative errno */
int lu_write_all(int fd, const void *data, size_t size);

/** lu_mkdir_p() - mkdir @path and its missing parents; 0 also if it exists as a directory, else -ENOTDIR */
int lu_mkdir_p(int dirfd, const char *path, mode_t mode);

/** lu_uuid_valid() - is @s a UUID in canonical lower- or upper-case form (8-4-4-4-12)? */
bool lu_uuid_valid(const char *s);

/** lu_name_valid() - may @s name an object of ours: 1..64 of [A-Za-z0-9_.-], not starting with . or -? */
bool lu_name_valid(const char *s);

/** lu_relative_path_valid() - a path below some folder: relative, less than 4096 bytes, no part empty, "." or ".." */
bool lu_relative_path_valid(const char *s);

/**
 * lu_utf8_prefix() - length of the longest prefix of @data that is whole, valid UTF-8
 *
 * No overlong forms, no surrogates, nothing above U+10FFFF. It is all valid if the result is @size.
 */
size_t lu_utf8_prefix(const char *data, size_t size);

#define LU_TEXT_MAX 3500u /* bytes of a text; documents admit 4096 characters of one, with what is put around it */

/**
 * lu_text_clean() - make a text for people of any bytes, in place
 *
 * What an error, a reason or a finding says may hold names that others chose: of files, of devices, from QEMU. So it
 * becomes valid UTF-8 (what is not is '?'), one line (white space is a blank, control characters are '?'), and at most
 * LU_TEXT_MAX bytes, cut between characters. One that is fine is left as it is.
 */
void lu_text_clean(char *s);

/** lu_text_dup() - a cleaned copy, to be freed; NULL if out of memory, or of NULL */
char *lu_text_dup(const char *s);

/** lu_uuid_parse() - the 16 bytes of a UUID; 0 or -EINVAL */
int lu_uuid_parse(const char *s, uint8_t ret_bytes[16]);

/** lu_uuid_format() - the reverse, lower case */
void lu_uuid_format(const uint8_t bytes[16], char ret[37]);

/** lu_boot_id() - the running kernel's boot id as 36 characters plus NUL; 0 or negative errno */
int lu_boot_id(char ret_id[37]);
