// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * udev's links are relative ones to the kernel's name of the device ("../../sdb"), and sysfs tells the number of that. So
 * no node is opened, and no device is woken.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "disk-names.h"
#include "util.h"

/* Best first: what it is, what is in it, where it is. by-diskseq counts, and by-label is the guest's to change. */
static const char *const folders[] = { "/dev/disk/by-id/", "/dev/disk/by-partuuid/", "/dev/disk/by-uuid/",
				       "/dev/disk/by-path/", "/dev/mapper/" };

/* Without a root of its own a path is the host's. */
static const char *below(int root_fd, const char *path)
{
	return root_fd == AT_FDCWD ? path : path + 1;
}

int lu_disk_number(int root_fd, const char *name, char ret[static 32])
{
	_cleanup_free_ char *text = NULL;
	char link[512], path[600];
	ssize_t n = readlinkat(root_fd, below(root_fd, name), link, sizeof(link) - 1);
	const char *last;

	if (n >= 0)
		link[n] = '\0';
	last = strrchr(n >= 0 ? link : name, '/');
	snprintf(path, sizeof(path), "/sys/class/block/%s/dev", last ? last + 1 : n >= 0 ? link : name);
	if (lu_read_file(root_fd, below(root_fd, path), 64, &text, NULL) < 0)
		return 0;
	snprintf(ret, 32, "%.*s", (int)strcspn(text, "\n"), text);
	return 1;
}

static int find_in(int root_fd, const char *folder, const char *number, char **ret)
{
	_cleanup_close_ int fd = openat(root_fd, below(root_fd, folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **list = NULL;
	int n = fd < 0 ? 0 : scandirat(fd, ".", &list, NULL, alphasort), r = 0;

	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *name = NULL;
		char found[32];

		if (r == 0 && asprintf(&name, "%s%s", folder, list[i]->d_name) < 0) {
			name = NULL;
			r = -ENOMEM;
		}
		if (r == 0 && list[i]->d_name[0] != '.' && lu_disk_number(root_fd, name, found) > 0 &&
		    !strcmp(found, number)) {
			*ret = steal_ptr(name);
			r = 1;
		}
		free(list[i]);
	}
	free(list);
	return r;
}

int lu_disk_name(int root_fd, const char *number, char **ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(folders); i++)
		r = find_in(root_fd, folders[i], number, ret);
	return r;
}

bool lu_disk_name_holds(int root_fd, const char *name)
{
	char number[32];

	if (strncmp(name, "/dev/", 5) != 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (!strncmp(name, folders[i], strlen(folders[i])))
			return true;
	return lu_disk_number(root_fd, name, number) == 0;
}
