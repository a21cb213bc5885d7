// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * In a kernel that has just booted nothing is cached: QEMU and its hundred libraries
 * come from the disk page by page, in the order in which its start touches them, and
 * each touch waits. Read in whole files by another process, on another CPU, they are there
 * when QEMU comes to them: in the lab its start takes 1.0 s instead of 1.8. (More than one
 * such process takes QEMU's CPU away.)
 *
 * Only a matter of speed: what is missing, or fails, is left to QEMU. Read are the
 * files that the old QEMU had mapped and those it needs for reading (firmware,
 * kernel, initrd); of each no more than FILE_MAX, since a CD image is such a file too.
 */
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lu-init.h"

#define FILE_MAX (64 << 20)
#define PATHS_MAX 4096u

static void add(struct lu_preload *p, const char *path)
{
	char **paths;

	for (size_t i = 0; i < p->n; i++)
		if (!strcmp(p->paths[i], path))
			return;
	if (p->n == PATHS_MAX)
		return;
	paths = reallocarray(p->paths, p->n + 1, sizeof(*paths));
	if (!paths)
		return;
	p->paths = paths;
	p->paths[p->n] = strdup(path);
	if (p->paths[p->n])
		p->n++;
}

void lu_preload_add(struct lu_preload *p, const struct lu_launch *l)
{
	for (char **path = l->preload; path && *path; path++)
		add(p, *path);
	for (size_t i = 0; i < l->n_needs; i++)
		if (l->needs[i].kind == LU_NEED_FILE && !l->needs[i].write)
			add(p, l->needs[i].path);
	if (l->tpm)
		lu_preload_add(p, &l->tpm->process);
}

static void read_ahead(const char *path)
{
	/* what stands at a path that QEMU had may be anything by now, also a device that opening does something to */
	_cleanup_close_ int fd = lu_open_regular(AT_FDCWD, path);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	(void)readahead(fd, 0, (size_t)(st.st_size < FILE_MAX ? st.st_size : FILE_MAX));
}

void lu_preload_start(struct lu_preload *p)
{
	pid_t pid = p->n ? fork() : -1;

	/* a grandchild, so that it is PID 1's to reap: ours are the VMs' restorers */
	if (pid == 0) {
		if (fork() == 0)
			for (size_t i = 0; i < p->n; i++)
				read_ahead(p->paths[i]);
		_exit(0);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	for (size_t i = 0; i < p->n; i++)
		free(p->paths[i]);
	free(p->paths);
	*p = (struct lu_preload){ 0 };
}
