// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * AppArmor's rules of a QEMU, from one kernel to the next: confined.h.
 *
 * luctld reads them from where AppArmor tells what was loaded, by the profile's name, while the guest still runs. lu-init
 * writes them to where AppArmor takes policy, in one piece, before it executes QEMU. What is there already stays.
 *
 * Unhappy paths: 1. the kernel does not tell: refused before the update; 2. the next kernel has no AppArmor, or does not
 * take the rules: the guest waits with its state, and is never run unconfined instead.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "confined.h"

/* "libvirt-4dea22b3-… (enforce)"; a name may have spaces in it, and anything but a newline */
int lu_confined_parse(const char *text, char **ret)
{
	_cleanup_free_ char *label = strndup(text, strcspn(text, "\n"));
	char *mode;

	*ret = NULL;
	if (!label)
		return -ENOMEM;
	if (!*label || !strcmp(label, "unconfined"))
		return 0;
	mode = strrchr(label, '(');
	if (!mode || mode < label + 2 || mode[-1] != ' ' || label[strlen(label) - 1] != ')')
		return -EBADMSG;
	mode[-1] = '\0';
	if (strstr(label, "//&") || label[0] == ':')
		return -EOPNOTSUPP;
	*ret = steal_ptr(label);
	return 0;
}

static bool is_called(int fd, const char *entry, const char *profile)
{
	_cleanup_free_ char *path = NULL, *text = NULL;

	if (asprintf(&path, "%s/name", entry) < 0) {
		path = NULL;
		return false;
	}
	if (lu_read_file(fd, path, 4096, &text, NULL) < 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return !strcmp(text, profile);
}

int lu_confined_policy(const char *dir, const char *profile)
{
	_cleanup_free_ char *path = NULL, *file = NULL;
	struct dirent *d;
	DIR *all;
	int fd, r = -ENOENT;

	if (asprintf(&path, "%s/policy/profiles", dir ?: LU_CONFINED_DIR) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	all = opendir(path);
	if (!all)
		return -errno;
	while (r == -ENOENT && (d = readdir(all))) {
		if (d->d_name[0] == '.' || !is_called(dirfd(all), d->d_name, profile))
			continue;
		if (asprintf(&file, "%s/raw_data", d->d_name) < 0) {
			file = NULL;
			r = -ENOMEM;
			break;
		}
		fd = openat(dirfd(all), file, O_RDONLY | O_CLOEXEC);
		r = fd >= 0 ? fd : errno == ENOENT ? -EOPNOTSUPP : -errno;
	}
	closedir(all);
	return r;
}

int lu_confined_verdict(const char *answer, bool write)
{
	const unsigned int may_write = 2, may_read = 4; /* security/apparmor/include/perms.h */
	unsigned int wanted = may_read | (write ? may_write : 0), allow, deny;

	if (sscanf(answer, "allow %x deny %x", &allow, &deny) != 2)
		return -EBADMSG;
	return (allow & wanted) == wanted && !(deny & wanted);
}

int lu_confined_allows(const char *dir, const char *profile, const char *path, bool writing)
{
	static const char command[] =
		"label"; /* then the label, a byte for files, and the path: NUL between the first two */
	size_t at = sizeof(command), n = strlen(profile) + 1, size = at + n + 1 + strlen(path);
	_cleanup_free_ char *file = NULL, *query = malloc(size + 1);
	_cleanup_close_ int fd = -EBADF;
	char answer[256];
	ssize_t got;

	if (!query || asprintf(&file, "%s/.access", dir ?: LU_CONFINED_DIR) < 0) {
		file = NULL;
		return -ENOMEM;
	}
	memcpy(query, command, at);
	memcpy(query + at, profile, n);
	query[at + n] = 2; /* AA_CLASS_FILE */
	memcpy(query + at + n + 1, path, strlen(path) + 1);
	fd = open(file, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	got = write(fd, query, size);
	if (got >= 0)
		got = pread(fd, answer, sizeof(answer) - 1, 0);
	if (got < 0)
		return -errno;
	answer[got] = '\0';
	return lu_confined_verdict(answer, writing);
}

int lu_confined_save(const char *dir, const char *profile, int dir_fd, struct lu_error *e)
{
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ char *data = NULL;
	char self[48];
	size_t size = 0;
	int r;

	if (!profile)
		return unlinkat(dir_fd, LU_CONFINED_FILE, 0) < 0 && errno != ENOENT ? -errno : 0;
	r = fd = lu_confined_policy(dir, profile);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (r >= 0)
		r = lu_read_file(AT_FDCWD, self, LU_CONFINED_MAX, &data, &size);
	if (r >= 0 && !size)
		r = -ENODATA;
	if (r < 0)
		return lu_error_set(e, r, "apparmor_parser -r loads it again",
				    "AppArmor's profile %s can't be read: %s", profile, strerror(-r));
	r = lu_write_file(dir_fd, LU_CONFINED_FILE, data, size, 0600);
	return r < 0 ? lu_error_set(e, r, NULL, "pkernfs: AppArmor's profile %s can't be kept: %s", profile,
				    strerror(-r)) :
		       0;
}

static int have_securityfs(struct lu_error *e)
{
	static const char path[] = "/sys/kernel/security";

	if (access(LU_CONFINED_DIR, F_OK) == 0)
		return 0;
	if (mount("securityfs", path, "securityfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 && errno != EBUSY &&
	    errno != ENOENT && errno != ENODEV)
		return lu_error_set(e, -errno, NULL, "%s can't be mounted: %s", path, strerror(errno));
	return 0;
}

int lu_confined_load(const char *dir, const char *profile, int dir_fd, struct lu_error *e)
{
	static const char hint[] = "boot a kernel that has AppArmor (apparmor=1 security=apparmor), then luctl restore";
	_cleanup_free_ char *data = NULL, *path = NULL;
	_cleanup_close_ int fd = -EBADF, to = -EBADF;
	size_t size = 0;
	ssize_t n;
	int r = dir ? 0 : have_securityfs(e);

	if (r < 0)
		return r;
	fd = lu_confined_policy(dir, profile);
	if (fd >= 0 || fd == -EOPNOTSUPP)
		return 0;
	if (fd != -ENOENT || access(dir ?: LU_CONFINED_DIR, F_OK) < 0)
		return lu_error_set(e, fd, hint, "AppArmor is not there, and its QEMU is to be confined by %s",
				    profile);
	r = lu_read_file(dir_fd, LU_CONFINED_FILE, LU_CONFINED_MAX, &data, &size);
	if (r < 0)
		return lu_error_set(e, r, NULL, "pkernfs: AppArmor's profile %s that was kept: %s", profile,
				    strerror(-r));
	if (asprintf(&path, "%s/.replace", dir ?: LU_CONFINED_DIR) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	to = open(path, O_WRONLY | O_CLOEXEC);
	n = to < 0 ? -1 : write(to, data, size);
	if (n == (ssize_t)size)
		return 0;
	r = n < 0 ? -errno : -EIO;
	return lu_error_set(e, r, "see the kernel's log; apparmor_parser -r loads it, then luctl restore",
			    "AppArmor's profile %s can't be loaded: %s", profile, strerror(-r));
}

int lu_confined_at_exec(const char *profile)
{
	_cleanup_close_ int fd = open("/proc/self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;

	if (fd < 0)
		return -errno;
	if (asprintf(&text, "exec %s", profile) < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}
