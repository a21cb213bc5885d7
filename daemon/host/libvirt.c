// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two sources, since either may be missing:
 *
 *	/run/libvirt/qemu/NAME.pid			written by libvirt for each QEMU; may be left by one that died
 *	…/machine.slice/machine-qemu\x2dN\x2dNAME.scope	its cgroup; the name is cut short and escaped
 *
 * The scope of a domain that has a pid file is not named again. A pid that is no process any more, or is
 * another one that is no QEMU, is no domain.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvirt.h"
#include "util.h"

#define SCOPE_PREFIX "machine-qemu\\x2d"

void lu_domains_clear(struct lu_domains *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->list[i].name);
	free(d->list);
	*d = (struct lu_domains)LU_DOMAINS_INIT;
}

static int add(struct lu_domains *d, const char *name, pid_t pid)
{
	struct lu_domain *list = reallocarray(d->list, d->n + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	d->list = list;
	list[d->n] = (struct lu_domain){ .name = strdup(name), .pid = pid };
	if (!list[d->n].name)
		return -ENOMEM;
	d->n++;
	return 0;
}

static int open_below(int root_fd, const char *path)
{
	/* without a root of its own a path is the host's */
	return openat(root_fd, root_fd == AT_FDCWD ? path : path + 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/*
 * Does the process of a pid file run? Pids are used again: what runs must be a QEMU. driver.pid is that of libvirt's
 * daemon, which may be virtqemud.
 */
static bool is_qemu(int root_fd, int pid)
{
	_cleanup_close_ int proc = open_below(root_fd, "/proc");
	_cleanup_free_ char *text = NULL;
	const char *name;
	char path[40];

	snprintf(path, sizeof(path), "%d/cmdline", pid);
	if (proc < 0 || lu_read_file(proc, path, 1 << 20, &text, &(size_t){ 0 }) < 0)
		return false;
	name = strrchr(text, '/') ? strrchr(text, '/') + 1 : text;
	return strcmp(name, "virtqemud") != 0 && (strstr(text, "qemu") || strstr(text, "kvm"));
}

static int read_pid_file(int root_fd, int dir, const char *file, struct lu_domains *ret)
{
	_cleanup_free_ char *text = NULL, *name = NULL;
	size_t n = strlen(file);
	int pid;

	if (n <= 4 || strcmp(file + n - 4, ".pid") != 0 || lu_read_file(dir, file, 64, &text, NULL) < 0 ||
	    sscanf(text, "%d", &pid) != 1 || pid <= 0 || !is_qemu(root_fd, pid))
		return 0;
	name = strndup(file, n - 4);
	return name ? add(ret, name, pid) : -ENOMEM;
}

/* "machine-qemu\x2d3\x2dweb\x2d1.scope" → "web-1" */
static bool name_of_scope(const char *scope, char name[static 256])
{
	const char *p = scope + strlen(SCOPE_PREFIX), *end;
	size_t n = 0;

	if (strncmp(scope, SCOPE_PREFIX, strlen(SCOPE_PREFIX)) != 0)
		return false;
	p += strspn(p, "0123456789");
	if (strncmp(p, "\\x2d", 4) != 0)
		return false;
	p += 4;
	end = strstr(p, ".scope");
	if (!end || end[6])
		return false;
	while (p < end && n < 255) {
		unsigned int c;

		if (!strncmp(p, "\\x", 2) && sscanf(p + 2, "%2x", &c) == 1) {
			name[n++] = (char)c;
			p += 4;
		} else {
			name[n++] = *p++;
		}
	}
	name[n] = '\0';
	return n > 0;
}

/* Is it the scope of one that has a pid file? Told by the process, since the scope's name need not be the domain's. */
static bool known(int root_fd, const struct lu_domains *d, const char *scope)
{
	_cleanup_close_ int proc = open_below(root_fd, "/proc");

	for (size_t i = 0; proc >= 0 && i < d->n; i++) {
		_cleanup_free_ char *text = NULL;
		char path[40];

		snprintf(path, sizeof(path), "%d/cgroup", (int)d->list[i].pid);
		if (lu_read_file(proc, path, 1 << 16, &text, NULL) == 0 && strstr(text, scope))
			return true;
	}
	return false;
}

static bool populated(int slice, const char *scope)
{
	_cleanup_free_ char *text = NULL;
	char path[400];

	snprintf(path, sizeof(path), "%s/cgroup.events", scope);
	/* without that file (cgroup v1) a scope that is there has a process */
	return lu_read_file(slice, path, 4096, &text, NULL) < 0 || !strstr(text, "populated 0");
}

static int each(int dir_fd, int (*fn)(int root_fd, int dir, const char *name, struct lu_domains *ret), int root_fd,
		struct lu_domains *ret)
{
	DIR *dir = fdopendir(dir_fd);
	struct dirent *d;
	int r = 0;

	if (!dir) {
		close(dir_fd);
		return -ENOMEM;
	}
	while (r >= 0 && (d = readdir(dir)))
		if (d->d_name[0] != '.')
			r = fn(root_fd, dirfd(dir), d->d_name, ret);
	closedir(dir);
	return r;
}

static int read_scope(int root_fd, int dir, const char *scope, struct lu_domains *ret)
{
	char name[256];

	if (!name_of_scope(scope, name) || known(root_fd, ret, scope) || !populated(dir, scope))
		return 0;
	return add(ret, name, 0);
}

int lu_domains_read(int root_fd, struct lu_domains *ret)
{
	static const char *const slices[] = { "/sys/fs/cgroup/machine.slice", "/sys/fs/cgroup/systemd/machine.slice",
					      "/sys/fs/cgroup/unified/machine.slice" };
	int fd, r = 0;

	*ret = (struct lu_domains)LU_DOMAINS_INIT;
	fd = open_below(root_fd, "/run/libvirt/qemu");
	if (fd >= 0)
		r = each(fd, read_pid_file, root_fd, ret);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(slices); i++) {
		fd = open_below(root_fd, slices[i]);
		if (fd >= 0)
			r = each(fd, read_scope, root_fd, ret);
	}
	if (r < 0)
		lu_domains_clear(ret);
	return r;
}
