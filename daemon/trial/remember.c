// SPDX-License-Identifier: GPL-2.0-or-later
/* Trials that went well: a file for each, empty, named by a hash of all that the outcome hangs on. */
#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trial.h"

#define PIECE (1u << 20)
#define KEPT_MAX 32

DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)

static int add_file(EVP_MD_CTX *ctx, int fd, char *buf)
{
	uint64_t size = 0;
	ssize_t n;

	/* by offset, since others may read the same open file */
	while (fd >= 0 && (n = pread(fd, buf, PIECE, (off_t)size)) != 0) {
		if (n < 0)
			return -errno;
		if (EVP_DigestUpdate(ctx, buf, (size_t)n) != 1)
			return -EIO;
		size += (uint64_t)n;
	}
	if (fd < 0)
		size = UINT64_MAX;
	/* so that no two lists of files give the same bytes */
	return EVP_DigestUpdate(ctx, &size, sizeof(size)) == 1 ? 0 : -EIO;
}

int trial_key(const int *fds, size_t n, const char *const *texts, char ret[static TRIAL_KEY_SIZE], struct lu_error *e)
{
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	_cleanup_free_ char *buf = malloc(PIECE);
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int size = 0;
	int r = ctx && buf ? 0 : -ENOMEM;

	if (r == 0 && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		r = -EIO;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_file(ctx, fds[i], buf);
	for (; r == 0 && *texts; texts++)
		r = EVP_DigestUpdate(ctx, *texts, strlen(*texts) + 1) == 1 ? 0 : -EIO;
	if (r == 0 && EVP_DigestFinal_ex(ctx, sum, &size) != 1)
		r = -EIO;
	if (r < 0)
		return lu_error_set(e, r, NULL, "kernel and initrd can't be summed up: %s", strerror(-r));
	for (unsigned int i = 0; i < size && 2 * i + 2 < TRIAL_KEY_SIZE; i++)
		snprintf(ret + 2 * i, 3, "%02x", sum[i]);
	return 0;
}

bool trial_remembered(const char *folder, const char *key)
{
	char path[512];

	if (!folder)
		return false;
	snprintf(path, sizeof(path), "%s/%s", folder, key);
	return access(path, F_OK) == 0;
}

static int is_key(const struct dirent *d)
{
	return strlen(d->d_name) == TRIAL_KEY_SIZE - 1 && strspn(d->d_name, "0123456789abcdef") == TRIAL_KEY_SIZE - 1;
}

/* Until there are few enough, the oldest goes */
static void trim(const char *folder)
{
	struct dirent **list;
	int n = scandir(folder, &list, is_key, NULL), left = n, oldest;
	char path[512];

	do {
		time_t when = 0;

		oldest = -1;
		for (int i = 0; i < n; i++) {
			struct stat st;

			snprintf(path, sizeof(path), "%s/%s", folder, list[i]->d_name);
			if (stat(path, &st) == 0 && (oldest < 0 || st.st_mtime < when)) {
				oldest = i;
				when = st.st_mtime;
			}
		}
		if (left-- <= KEPT_MAX || oldest < 0)
			break;
		snprintf(path, sizeof(path), "%s/%s", folder, list[oldest]->d_name);
	} while (unlink(path) == 0);
	for (int i = 0; i < n; i++)
		free(list[i]);
	if (n >= 0)
		free(list);
}

void trial_remember(const char *folder, const char *key)
{
	char path[512];
	int fd;

	if (!folder || lu_mkdir_p(AT_FDCWD, folder, 0755) < 0)
		return;
	snprintf(path, sizeof(path), "%s/%s", folder, key);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return;
	(void)futimens(fd, NULL);
	(void)close(fd);
	trim(folder);
}
