// SPDX-License-Identifier: LGPL-2.1-or-later
/* Kernels as packages install them; see installed.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "image.h"
#include "installed.h"
#include "util.h"

/* Where images are, and what is beside them; each %s is the release. */
static const struct place {
	const char *dir, *prefix,
		*inside; /* an entry of dir is the prefix and the release; inside: the image is in it */
	const char *initrd[2];
} places[] = {
	{ "/boot", "vmlinuz-", NULL, { "/boot/initrd.img-%s", "/boot/initramfs-%s.img" } },
	{ "/usr/lib/modules", "", "vmlinuz", { "/usr/lib/modules/%s/initrd" } },
};

static const char *below(int rootfd, const char *path)
{
	return rootfd == AT_FDCWD ? path : path + 1;
}

static bool is_file(int rootfd, const char *path)
{
	struct stat st;

	return fstatat(rootfd, below(rootfd, path), &st, 0) == 0 && S_ISREG(st.st_mode);
}

/* The formats are those of the table above. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static char *initrd_of(int rootfd, const struct place *place, const char *release)
{
	for (size_t i = 0; i < ARRAY_SIZE(place->initrd) && place->initrd[i]; i++) {
		_cleanup_free_ char *path = NULL;

		if (asprintf(&path, place->initrd[i], release) < 0)
			return NULL;
		if (is_file(rootfd, path))
			return steal_ptr(path);
	}
	return NULL;
}
#pragma GCC diagnostic pop

static int image_of(int rootfd, const struct place *place, const char *release, char **ret)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s/%s%s%s%s", place->dir, place->prefix, release, place->inside ? "/" : "",
		     place->inside ?: "") < 0)
		return -ENOMEM;
	if (!is_file(rootfd, path))
		return -ENOENT;
	*ret = steal_ptr(path);
	return 0;
}

/* An older one, kept by the package that replaced it, is nobody's choice. */
static bool is_release(const char *s)
{
	size_t n = strlen(s);

	return n && n < LU_RELEASE_MAX && !strchr(s, '/') && s[0] != '.' && !(n > 4 && !strcmp(s + n - 4, ".old"));
}

static int newest(int rootfd, const struct place *place, char **best)
{
	int fd = openat(rootfd, below(rootfd, place->dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	size_t prefix = strlen(place->prefix);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir) {
		r = errno == ENOENT ? 0 : -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	for (struct dirent *d; r == 0 && (d = readdir(dir));) {
		const char *release = d->d_name + prefix;
		_cleanup_free_ char *image = NULL;

		if (strncmp(d->d_name, place->prefix, prefix) || !is_release(release) ||
		    image_of(rootfd, place, release, &image) < 0)
			continue;
		if (*best && strverscmp(release, *best) <= 0)
			continue;
		free(*best);
		*best = strdup(release);
		r = *best ? 0 : -ENOMEM;
	}
	closedir(dir);
	return r;
}

int lu_installed_find(int rootfd, const char *release, struct lu_installed *ret, struct lu_error *e)
{
	_cleanup_free_ char *found = NULL, *image = NULL;
	int r = 0;

	if (release && !is_release(release))
		return lu_error_set(e, -EINVAL, "uname -r says what a release looks like; a path has a slash",
				    "kernel %s: not a release", release);
	if (!release) {
		for (size_t i = 0; i < ARRAY_SIZE(places) && r == 0; i++)
			r = newest(rootfd, &places[i], &found);
		if (r < 0)
			return lu_error_set(e, r, NULL, "looking for installed kernels: %s", strerror(-r));
		if (!found)
			return lu_error_set(e, -ENOENT, "install a kernel, or give its image by --kernel PATH",
					    "no kernel is installed in /boot or /usr/lib/modules");
		release = found;
	}
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		r = image_of(rootfd, &places[i], release, &image);
		if (r == -ENOENT)
			continue;
		if (r == 0) {
			struct lu_installed k = { strdup(release), steal_ptr(image),
						  initrd_of(rootfd, &places[i], release) };

			if (k.release) {
				*ret = k;
				return 0;
			}
			lu_installed_clear(&k);
		}
		return lu_error_set(e, -ENOMEM, NULL, "out of memory");
	}
	return lu_error_set(e, -ENOENT, "ls /boot/vmlinuz-* lists those that are; a path has a slash",
			    "kernel %s: is not installed in /boot or /usr/lib/modules", release);
}

void lu_installed_clear(struct lu_installed *k)
{
	free(k->release);
	free(k->image);
	free(k->initrd);
	*k = (struct lu_installed){ 0 };
}
