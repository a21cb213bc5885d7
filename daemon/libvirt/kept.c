// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libvirt keeps a status file for each running domain and reads it when its daemon starts; what is in that file is
 * all it knows. So a domain is carried by carrying its file, with the number of the new process in it.
 *
 *	vm/<uuid>/libvirt.xml	the file, from PREPARE on
 *	vm/<uuid>/memory/	the domain's memory directory, only while its saved state waits and libvirt is about
 *
 * Memory files lie in libvirt's own directory (memory_backing_dir), <id>-<name> each. libvirt removes that directory
 * when it finds that the domain has ended, and gives the same name to a new domain. A guest that is not running while
 * libvirt is must not have its memory there, so it is moved away by one rename, and back before it is restored.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "argv.h"
#include "hold.h"
#include "kept.h"
#include "store.h"

#define DOMAINS_MAX 4096

static int is_status(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 4 && d->d_name[0] != '.' && !strcmp(d->d_name + n - 4, ".xml");
}

static bool lives(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	return access(path, F_OK) == 0;
}

int lu_libvirt_domains(struct lu_vms *vms, struct lu_error *e)
{
	_cleanup_close_ int dir = open(LU_LIBVIRT_STATE_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ struct lu_vm_domain *list = NULL;
	struct dirent **files = NULL;
	size_t used = 0;
	int n = 0, r = 0;

	if (dir >= 0)
		n = scandirat(dir, ".", &files, is_status, alphasort);
	list = calloc(n > 0 ? (size_t)n : 1, sizeof(*list));
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *text = NULL;
		size_t size;

		/* one that can't be read is found by its pid file or its scope, and refused by name (host/libvirt.c) */
		if (list && i < DOMAINS_MAX && lu_read_file(dir, files[i]->d_name, LU_STATUS_MAX, &text, &size) == 0 &&
		    lu_status_read(text, size, files[i]->d_name, &list[used], NULL) == 0) {
			if (lives(list[used].pid))
				used++;
			else
				lu_vm_domain_clear(&list[used]);
		}
		free(files[i]);
	}
	free(files);
	if (!list)
		return -ENOMEM;
	r = lu_vms_set_domains(vms, list, used);
	for (size_t i = 0; i < used; i++)
		lu_vm_domain_clear(&list[i]);
	return r;
}

static int read_status(const char *name, char **ret, size_t *ret_size, struct lu_error *e)
{
	_cleanup_free_ char *path = NULL;
	int r;

	if (asprintf(&path, LU_LIBVIRT_STATE_DIR "/%s.xml", name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = lu_read_file(AT_FDCWD, path, LU_STATUS_MAX, ret, ret_size);
	return r < 0 ? lu_error_set(e, r, "systemctl restart libvirtd", "%s: %s", path, strerror(-r)) : 0;
}

int lu_libvirt_keep(const struct lu_vm *vm, int pkernfs_fd, struct lu_error *e)
{
	const struct lu_vm_domain *known = lu_vm_domain(vm);
	_cleanup_close_ int dir = lu_store_open(pkernfs_fd, lu_vm_uuid(vm), false, e);
	_cleanup_(lu_vm_domain_clear) struct lu_vm_domain now = { 0 };
	_cleanup_free_ char *text = NULL;
	char prefix[80];
	size_t size;
	int r;

	if (dir < 0)
		return dir;
	r = read_status(known->name, &text, &size, e);
	if (r >= 0)
		r = lu_status_read(text, size, known->name, &now, e);
	if (r < 0)
		return r;
	if (strcasecmp(now.uuid, known->uuid) != 0 || now.pid != known->pid)
		return lu_error_set(e, -ESTALE, "start the update again",
				    "VM %s: libvirt started it anew since the check", lu_vm_name(vm));
	/* what libvirt was at when it was asked to step aside; of containers its process tells more than libvirt does */
	if (lu_vm_facts(vm)->stand_in)
		lu_reasons_here(&now.reasons);
	snprintf(prefix, sizeof(prefix), "VM %s: ", lu_vm_name(vm));
	r = lu_reasons_first(&now.reasons, prefix, e);
	if (r < 0)
		return r;
	r = lu_write_file(dir, LU_LIBVIRT_SAVED, text, size, 0600);
	return r < 0 ? lu_error_set(e, r, NULL, "pkernfs: " LU_LIBVIRT_SAVED " of VM %s: %s", lu_vm_name(vm),
				    strerror(-r)) :
		       0;
}

static int load(int pkernfs_fd, const char *uuid, int *ret_dir, char **ret, size_t *ret_size, struct lu_error *e)
{
	_cleanup_close_ int dir = lu_store_open(pkernfs_fd, uuid, false, e);
	int r;

	if (dir < 0)
		return dir;
	r = lu_read_file(dir, LU_LIBVIRT_SAVED, LU_STATUS_MAX, ret, ret_size);
	if (r < 0)
		return lu_error_set(e, r, NULL, "pkernfs: vm/%s/" LU_LIBVIRT_SAVED ": %s", uuid, strerror(-r));
	*ret_dir = steal_fd(&dir);
	return 0;
}

bool lu_libvirt_is_kept(int pkernfs_fd, const char *uuid)
{
	_cleanup_close_ int dir = lu_store_open(pkernfs_fd, uuid, false, NULL);

	return dir >= 0 && faccessat(dir, LU_LIBVIRT_SAVED, F_OK, 0) == 0;
}

static int status_path(const char *text, size_t size, const char *end, char **ret, struct lu_error *e)
{
	_cleanup_(lu_vm_domain_clear) struct lu_vm_domain d = { 0 };
	int r = lu_status_read(text, size, LU_LIBVIRT_SAVED, &d, e);

	if (r < 0)
		return r;
	if (strchr(d.name, '/'))
		return lu_error_set(e, -EBADMSG, NULL, LU_LIBVIRT_SAVED ": the domain's name is none");
	if (asprintf(ret, LU_LIBVIRT_STATE_DIR "/%s%s", d.name, end) < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 0;
}

int lu_libvirt_give_back(int pkernfs_fd, const char *uuid, pid_t pid, const struct lu_status_pty *ptys, size_t n_ptys,
			 struct lu_error *e)
{
	_cleanup_free_ char *text = NULL, *path = NULL, *out = NULL;
	_cleanup_close_ int dir = -EBADF;
	size_t size, n;
	int r;

	r = load(pkernfs_fd, uuid, &dir, &text, &size, e);
	if (r >= 0)
		r = status_path(text, size, ".xml", &path, e);
	if (r >= 0)
		r = lu_status_rewrite(text, size, LU_LIBVIRT_SAVED, pid, ptys, n_ptys, &out, &n, e);
	if (r < 0)
		return r;
	r = lu_mkdir_p(AT_FDCWD, LU_LIBVIRT_STATE_DIR, 0755);
	if (r >= 0)
		r = lu_write_file(AT_FDCWD, path, out, n, 0600);
	return r < 0 ? lu_error_set(e, r, NULL, "%s: %s", path, strerror(-r)) : 0;
}

bool lu_libvirt_knows(int pkernfs_fd, const char *uuid, pid_t pid)
{
	_cleanup_free_ char *text = NULL, *path = NULL, *now = NULL;
	_cleanup_(lu_vm_domain_clear) struct lu_vm_domain d = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_close_ int dir = -EBADF;
	size_t size;

	return load(pkernfs_fd, uuid, &dir, &text, &size, &e) >= 0 && status_path(text, size, ".xml", &path, &e) >= 0 &&
	       lu_read_file(AT_FDCWD, path, LU_STATUS_MAX, &now, &size) >= 0 &&
	       lu_status_read(now, size, path, &d, &e) >= 0 && !strcasecmp(d.uuid, uuid) && d.pid == pid;
}

/* The directory as a path in pkernfs, with nothing above it that is none of ours; NULL: it has none there. */
static int memory_dir(const char *text, size_t size, const char *pkernfs, char **ret)
{
	_cleanup_free_ char *dir = NULL;
	size_t n = strlen(pkernfs);
	int r = lu_status_memory_dir(text, size, &dir);

	if (r < 0 || !dir || strncmp(dir, pkernfs, n) != 0 || dir[n] != '/' || strstr(dir, "/../"))
		return r;
	*ret = strdup(dir + n + 1);
	return *ret ? 0 : -ENOMEM;
}

static int move(int pkernfs_fd, const char *pkernfs, const char *uuid, bool away, struct lu_error *e)
{
	_cleanup_free_ char *text = NULL, *memory = NULL, *path = NULL;
	_cleanup_close_ int dir = -EBADF;
	size_t size;
	int r;

	r = load(pkernfs_fd, uuid, &dir, &text, &size, e);
	if (r >= 0)
		r = memory_dir(text, size, pkernfs, &memory);
	if (r >= 0 && away)
		r = status_path(text, size, ".xml", &path, e);
	if (r < 0)
		return r;
	if (path && unlink(path) < 0 && errno != ENOENT)
		return lu_error_set(e, -errno, NULL, "%s: %s", path, strerror(errno));
	if (!memory)
		return 0;
	/* the one name must be free: renaming onto an empty directory would be no error */
	r = away ? renameat2(pkernfs_fd, memory, dir, LU_LIBVIRT_MEMORY, RENAME_NOREPLACE) :
		   renameat2(dir, LU_LIBVIRT_MEMORY, pkernfs_fd, memory, RENAME_NOREPLACE);
	if (r == 0 || errno == ENOENT)
		return 0;
	return lu_error_set(e, -errno, away ? NULL : "is another domain there? virsh destroy it",
			    "pkernfs: the memory of vm/%s can't be moved %s %s: %s", uuid,
			    away ? "away from" : "back to", memory, strerror(errno));
}

int lu_libvirt_protect(int pkernfs_fd, const char *pkernfs, const char *uuid, struct lu_error *e)
{
	return move(pkernfs_fd, pkernfs, uuid, true, e);
}

int lu_libvirt_unprotect(int pkernfs_fd, const char *pkernfs, const char *uuid, struct lu_error *e)
{
	return move(pkernfs_fd, pkernfs, uuid, false, e);
}
