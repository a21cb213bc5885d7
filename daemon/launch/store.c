// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See store.h for the contract of the records. This file only moves them between
 * structs and files; who may write which, and when, is decided by its callers:
 * daemon/vm in the old kernel, lu-init in the new one.
 */
#include <dirent.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <zlib.h>

#include "store.h"

void lu_settings_clear(struct lu_settings *settings)
{
	lu_json_free(&lu_settings_table, settings);
}

void lu_clock_clear(struct lu_clock *clock)
{
	lu_json_free(&lu_clock_table, clock);
}

void lu_saved_clear(struct lu_saved *saved)
{
	lu_json_free(&lu_saved_table, saved);
}

void lu_result_clear(struct lu_result *result)
{
	lu_json_free(&lu_result_table, result);
}

void lu_store_ordinary_blocks(int dir_fd)
{
	struct fsxattr attr;

	if (ioctl(dir_fd, FS_IOC_FSGETXATTR, &attr) < 0 || !(attr.fsx_xflags & FS_XFLAG_EXTSZINHERIT))
		return;
	attr.fsx_xflags &= ~(uint32_t)FS_XFLAG_EXTSZINHERIT;
	attr.fsx_extsize = 0;
	(void)ioctl(dir_fd, FS_IOC_FSSETXATTR, &attr);
}

int lu_store_open(int pkernfs_fd, const char *uuid, bool create, struct lu_error *e)
{
	char path[3 + 36 + 1];
	int fd;

	if (!lu_uuid_valid(uuid))
		return lu_error_set(e, -EINVAL, NULL, "\"%s\" is no UUID", uuid ?: "");
	snprintf(path, sizeof(path), "vm/%s", uuid);
	if (create) {
		int r = lu_mkdir_p(pkernfs_fd, path, 0700);

		if (r < 0)
			return lu_error_set(
				e, r,
				r == -ENOSPC ?
					"pkernfs is full: remove files that nobody needs or mount it with more room" :
					NULL,
				"pkernfs: cannot create directory %s: %s", path, strerror(-r));
	}
	fd = openat(pkernfs_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return lu_error_set(e, -errno, NULL, "pkernfs: cannot open directory %s: %s", path, strerror(errno));
	if (create)
		lu_store_ordinary_blocks(fd);
	return fd;
}

int lu_store_lock(int dir_fd, struct lu_error *e)
{
	if (flock(dir_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return lu_error_set(e, -EBUSY, "wait for it", "somebody else is restoring this VM");
	return lu_error_set(e, -errno, NULL, "pkernfs: flock: %s", strerror(errno));
}

static void spare_name(unsigned int i, char ret[static 16])
{
	snprintf(ret, 16, "spare.%u", i);
}

int lu_store_reserve(int dir_fd, struct lu_error *e)
{
	for (unsigned int i = 0; i < LU_STORE_SPARES; i++) {
		_cleanup_close_ int fd = -EBADF;
		char name[16];

		spare_name(i, name);
		fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0 || fallocate(fd, 0, 0, LU_STORE_SPARE_SIZE) < 0 || fsync(fd) < 0)
			return lu_error_set(e, -errno, "remove files that nobody needs or mount it with more room",
					    "pkernfs: no room for the VM's records: %s", strerror(errno));
	}
	return 0;
}

/* Into a spare, which becomes @name; its size is cut when all is written, so its blocks are there all the time. */
static int write_spare(int dir_fd, const char *name, const char *text)
{
	size_t n = strlen(text);

	for (unsigned int i = 0; i < LU_STORE_SPARES && n <= LU_STORE_SPARE_SIZE; i++) {
		_cleanup_close_ int fd = -EBADF;
		char spare[16];
		int r;

		spare_name(i, spare);
		fd = openat(dir_fd, spare, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			continue;
		r = lu_write_all(fd, text, n);
		if (r >= 0 && (ftruncate(fd, (off_t)n) < 0 || fsync(fd) < 0 ||
			       renameat(dir_fd, spare, dir_fd, name) < 0 || fsync(dir_fd) < 0))
			r = -errno;
		return r;
	}
	return -ENOSPC;
}

static int write_record(int dir_fd, const char *name, const struct lu_json_table *table, const void *data,
			struct lu_error *e)
{
	_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
	_cleanup_free_ char *text = NULL;
	int r;

	r = lu_json_store(dir_fd, name, 0600, table, data, &why);
	/* of blocks of 1 GiB, and of memory as such, there may be none with room left */
	if ((r == -ENOSPC || r == -ENOMEM) && lu_json_encode_text(table, data, &text, NULL) >= 0 &&
	    write_spare(dir_fd, name, text) >= 0)
		return 0;
	if (r < 0)
		lu_error_move(e, &why);
	return r;
}

int lu_saved_read(int dir_fd, struct lu_saved *ret, struct lu_error *e)
{
	return lu_json_load(dir_fd, "saved.json", LU_STORE_JSON_MAX, &lu_saved_table, ret, e);
}

int lu_saved_write(int dir_fd, const struct lu_saved *saved, struct lu_error *e)
{
	return write_record(dir_fd, "saved.json", &lu_saved_table, saved, e);
}

int lu_result_read(int dir_fd, struct lu_result *ret, struct lu_error *e)
{
	return lu_json_load(dir_fd, "result.json", LU_STORE_JSON_MAX, &lu_result_table, ret, e);
}

int lu_result_write(int dir_fd, const struct lu_result *result, struct lu_error *e)
{
	return write_record(dir_fd, "result.json", &lu_result_table, result, e);
}

int lu_clock_read(int dir_fd, struct lu_clock *ret, struct lu_error *e)
{
	return lu_json_load(dir_fd, "clock.json", LU_STORE_JSON_MAX, &lu_clock_table, ret, e);
}

int lu_settings_read(int dir_fd, struct lu_settings *ret, struct lu_error *e)
{
	return lu_json_load(dir_fd, "settings.json", LU_STORE_JSON_MAX, &lu_settings_table, ret, e);
}

int lu_settings_write(int dir_fd, const struct lu_settings *settings, struct lu_error *e)
{
	return write_record(dir_fd, "settings.json", &lu_settings_table, settings, e);
}

int lu_clock_write(int dir_fd, const struct lu_clock *clock, struct lu_error *e)
{
	return write_record(dir_fd, "clock.json", &lu_clock_table, clock, e);
}

int lu_store_waits(int dir_fd, struct lu_saved *ret, struct lu_error *why)
{
	_cleanup_(lu_result_clear) struct lu_result result = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct stat st;
	int r;

	*ret = (struct lu_saved){ 0 };
	r = lu_saved_read(dir_fd, ret, &e);
	if (r == -ENOENT)
		return 0;
	if (r < 0) {
		*ret = (struct lu_saved){ 0 };
		lu_error_move(why, &e);
		return 1;
	}
	if (!ret->complete || fstatat(dir_fd, "state", &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_size == 0)
		return 0;
	r = lu_result_read(dir_fd, &result, &e);
	if (r < 0) {
		result = (struct lu_result){ 0 };
		if (r != -ENOENT)
			lu_error_move(why, &e);
		return 1;
	}
	return strcmp(result.update, ret->update) != 0 || (result.status == LU_RESULT_FAILED && result.retry);
}

int lu_store_sum_some(int fd, uint64_t bytes, struct lu_sum *sum)
{
	_cleanup_free_ unsigned char *buf = malloc(1 << 17);
	uint64_t until = sum->size + bytes;
	struct stat st;

	if (!buf)
		return -ENOMEM;
	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size > LU_STORE_STATE_MAX || sum->size > LU_STORE_STATE_MAX)
		return -EFBIG;
	if (sum->size == 0)
		sum->crc32 = (uint32_t)crc32(0, NULL, 0);
	while (sum->size < until) {
		ssize_t n = pread(fd, buf, 1 << 17, (off_t)sum->size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 1;
		sum->crc32 = (uint32_t)crc32(sum->crc32, buf, (uInt)n);
		sum->size += (uint64_t)n;
	}
	return 0;
}

int lu_store_sum(int fd, uint64_t *ret_size, uint32_t *ret_crc)
{
	struct lu_sum sum = { 0 };
	int r;

	do
		r = lu_store_sum_some(fd, LU_STORE_STATE_MAX, &sum);
	while (r == 0);
	if (r < 0)
		return r;
	*ret_size = sum.size;
	*ret_crc = sum.crc32;
	return 0;
}

#define KEPT "update/calls"

static int journal_path(char ret[64], const char *dir, const char *uuid, const char *name)
{
	if (!lu_uuid_valid(uuid))
		return -EINVAL;
	snprintf(ret, 64, "%s/%s%s", dir, uuid, name);
	return 0;
}

void lu_store_keep_journal(int pkernfs_fd, const char *uuid)
{
	char from[64], to[64];

	if (journal_path(from, "vm", uuid, "/journal") < 0 || journal_path(to, KEPT, uuid, "") < 0 ||
	    faccessat(pkernfs_fd, from, F_OK, 0) < 0)
		return;
	(void)mkdirat(pkernfs_fd, KEPT, 0700);
	(void)renameat(pkernfs_fd, from, pkernfs_fd, to);
}

void lu_store_drop_journals(int pkernfs_fd)
{
	int fd = openat(pkernfs_fd, KEPT, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;

	if (!dir) {
		closep(&fd);
		return;
	}
	while ((d = readdir(dir)))
		if (lu_uuid_valid(d->d_name))
			(void)unlinkat(dirfd(dir), d->d_name, 0);
	closedir(dir);
}

int lu_store_open_journal(int pkernfs_fd, const char *uuid)
{
	char path[64];
	int fd, r = journal_path(path, "vm", uuid, "/journal");

	if (r < 0)
		return r;
	fd = openat(pkernfs_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT) {
		(void)journal_path(path, KEPT, uuid, "");
		fd = openat(pkernfs_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	}
	return fd < 0 ? -errno : fd;
}

int lu_store_remove(int pkernfs_fd, const char *uuid, struct lu_error *e)
{
	static const char *const files[] = { "saved.json",  ".saved.json.tmp",  "result.json",   ".result.json.tmp",
					     "launch.json", ".launch.json.tmp", "devices.json",  ".devices.json.tmp",
					     "journal",     ".journal.tmp",     "clock.json",    ".clock.json.tmp",
					     "limits.json", ".limits.json.tmp", "libvirt.xml",   ".libvirt.xml.tmp",
					     "groups.json", ".groups.json.tmp", "settings.json", ".settings.json.tmp",
					     "apparmor",    ".apparmor.tmp",    "state" };
	_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
	_cleanup_close_ int fd = -EBADF;
	char path[3 + 36 + 1];

	fd = lu_store_open(pkernfs_fd, uuid, false, &why);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0) {
		lu_error_move(e, &why);
		return fd;
	}
	for (unsigned int i = 0; i < LU_STORE_SPARES; i++) {
		char spare[16];

		spare_name(i, spare);
		(void)unlinkat(fd, spare, 0);
	}
	/* saved.json goes first: without it the rest means nothing */
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (unlinkat(fd, files[i], 0) < 0 && errno != ENOENT)
			return lu_error_set(e, -errno, NULL, "pkernfs: cannot remove vm/%s/%s: %s", uuid, files[i],
					    strerror(errno));
	snprintf(path, sizeof(path), "vm/%s", uuid);
	if (unlinkat(pkernfs_fd, path, AT_REMOVEDIR) < 0 && errno != ENOENT && errno != ENOTEMPTY)
		return lu_error_set(e, -errno, NULL, "pkernfs: cannot remove directory %s: %s", path, strerror(errno));
	return 0;
}

int lu_store_remove_memory(int dir_fd, struct lu_error *e)
{
	_cleanup_close_ int fd = openat(dir_fd, LU_STORE_MEMORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct dirent **list = NULL;
	int n, r = 0;

	if (fd < 0 && errno == ENOENT)
		return 0;
	n = fd < 0 ? -1 : scandirat(fd, ".", &list, NULL, NULL);
	if (n < 0)
		r = -errno;
	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name;

		if (r == 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && unlinkat(fd, name, 0) < 0)
			r = -errno;
		free(list[i]);
	}
	free(list);
	if (r == 0 && unlinkat(dir_fd, LU_STORE_MEMORY, AT_REMOVEDIR) < 0)
		r = -errno;
	return r < 0 ? lu_error_set(e, r, "remove it by hand, then try again",
				    "pkernfs: the memory that is kept in the VM's directory can't be removed: %s",
				    strerror(-r)) :
		       0;
}

int lu_proc_start_time(int proc_fd, pid_t pid, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long v;
	char path[32], *p;
	int r;

	snprintf(path, sizeof(path), "%d/stat", (int)pid);
	r = lu_read_file(proc_fd, path, 65536, &text, NULL);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	/* the name in field 2 may hold blanks and parentheses: count from the last ')' */
	p = strrchr(text, ')');
	for (int field = 2; p && field < 22; field++) {
		p = strchr(p, ' ');
		if (p)
			p++;
	}
	if (!p || sscanf(p, "%llu", &v) != 1)
		return -EBADMSG;
	*ret = v;
	return 0;
}

bool lu_result_alive(const struct lu_result *result)
{
	_cleanup_close_ int proc = -EBADF;
	uint64_t start;
	char boot[37];

	if (result->pid == 0 || lu_boot_id(boot) < 0 || strcmp(boot, result->boot_id) != 0)
		return false;
	proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return proc >= 0 && lu_proc_start_time(proc, (pid_t)result->pid, &start) == 0 && start == result->start_time;
}

static int marker_path(const char *run, const char *unit, char **ret, struct lu_error *e)
{
	if (!lu_unit_valid(unit))
		return lu_error_set(e, -EINVAL, NULL, "\"%s\" is no unit name", unit);
	return asprintf(ret, "%s/resumed/%s", run, unit) < 0 ? -ENOMEM : 0;
}

static int marker_create(const char *run, const char *unit, const char *with, struct lu_error *e)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -EBADF;
	int r = marker_path(run, unit, &path, e);

	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return lu_error_set(e, -errno, NULL, "%s: %s", path, strerror(errno));
	r = with ? lu_write_all(fd, with, strlen(with)) : 0;
	return r < 0 ? lu_error_set(e, r, NULL, "%s: %s", path, strerror(-r)) : 0;
}

int lu_marker_write(const char *run, const char *unit, const char *with, struct lu_error *e)
{
	_cleanup_free_ char *dir = NULL;
	int r;

	if (asprintf(&dir, "%s/resumed", run) < 0) {
		dir = NULL;
		return -ENOMEM;
	}
	r = lu_mkdir_p(AT_FDCWD, dir, 0755);
	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: %s", dir, strerror(-r));
	r = marker_create(run, unit, with, e);
	return r < 0 || !with ? r : marker_create(run, with, NULL, e);
}

static int marker_unlink(const char *run, const char *unit, struct lu_error *e)
{
	_cleanup_free_ char *path = NULL;
	int r = marker_path(run, unit, &path, e);

	if (r < 0)
		return r;
	if (unlink(path) < 0 && errno != ENOENT)
		return lu_error_set(e, -errno, NULL, "%s: %s", path, strerror(errno));
	return 0;
}

int lu_marker_remove(const char *run, const char *unit, struct lu_error *e)
{
	_cleanup_free_ char *path = NULL, *with = NULL;
	int r = marker_path(run, unit, &path, e);

	if (r < 0)
		return r;
	(void)lu_read_file(AT_FDCWD, path, 512, &with, NULL);
	r = with && *with && lu_unit_valid(with) ? marker_unlink(run, with, e) : 0;
	return marker_unlink(run, unit, r < 0 ? NULL : e) ?: r;
}
