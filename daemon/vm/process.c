// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which process is the VM's QEMU, and does it live? A second QEMU on the same memory is the worst
 * that could be done to a guest, so "nobody answers at its socket" is never taken for "it has ended":
 * the socket's name may be gone, its monitor may be in other hands, QEMU may hang.
 *
 * From PREPARE on a pidfd of it is held: what SO_PEERCRED named when QEMU had just answered. systemd
 * keeps it for a daemon that comes after one that died. A daemon that has none, from whatever
 * reason, looks who has the guest's memory mapped (all of /proc, so only then).
 */
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "vm-internal.h"

#define STORE_PIDFD "process" /* as in passthrough.c */

static bool ended(int pidfd)
{
	return poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, 0) != 0;
}

int lu_vm_job_hold_process(struct lu_vm_job *j)
{
	struct lu_vm *vm = j->vm;

	if (vm->pidfd >= 0 && vm->pidfd_pid == vm->facts.pid && !ended(vm->pidfd))
		return 0;
	lu_vm_drop_process(vm);
	vm->pidfd = pidfd_open(vm->facts.pid, 0);
	if (vm->pidfd < 0)
		return lu_error_set(&j->error, -errno, NULL, "VM %s: its QEMU, process %d: %s", vm->name,
				    (int)vm->facts.pid, strerror(errno));
	vm->pidfd_pid = vm->facts.pid;
	lu_vm_store_fd(vm->def.uuid, STORE_PIDFD, vm->pidfd);
	return 0;
}

int lu_vm_job_same_process(struct lu_vm_job *j)
{
	const struct lu_vm *vm = j->vm;

	if (vm->pidfd < 0 || (vm->facts.pid == lu_vm_process(vm) && !ended(vm->pidfd)))
		return 0;
	return lu_error_set(&j->error, -ESTALE, "only one program may manage a VM; try again",
			    "VM %s: process %d answers at its socket, its QEMU was process %d", vm->name,
			    (int)vm->facts.pid, (int)lu_vm_process(vm));
}

void lu_vm_drop_process(struct lu_vm *vm)
{
	if (vm->pidfd >= 0)
		lu_vm_store_fd(vm->def.uuid, STORE_PIDFD, -EBADF);
	closep(&vm->pidfd);
	vm->pidfd = -EBADF;
	vm->pidfd_pid = 0;
}

/* The number that a pidfd stands for, 0: it has ended, or can't be told. */
static pid_t number_of(int pidfd)
{
	_cleanup_free_ char *text = NULL;
	const char *line;
	char path[48];
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	if (lu_read_file(AT_FDCWD, path, 65536, &text, NULL) < 0)
		return 0;
	line = strstr(text, "\nPid:");
	if (!line || sscanf(line, "\nPid: %d", &pid) != 1)
		return 0;
	return pid > 0 ? pid : 0;
}

static bool maps(const char *pid, const struct stat *ram)
{
	unsigned int major, minor;
	unsigned long inode;
	bool found = false;
	char path[300], *line = NULL;
	size_t size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	f = fopen(path, "re");
	while (f && !found && getline(&line, &size, f) > 0)
		found = sscanf(line, "%*s %*s %*s %x:%x %lu", &major, &minor, &inode) == 3 &&
			inode == (unsigned long)ram->st_ino && major == major(ram->st_dev) &&
			minor == minor(ram->st_dev);
	free(line);
	if (f)
		fclose(f);
	return found;
}

/* Who has one of these files mapped; 0: nobody. */
static pid_t user_of(const struct stat *files, size_t n)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	pid_t pid = 0;

	while (proc && pid == 0 && (d = readdir(proc))) {
		if (d->d_name[0] < '1' || d->d_name[0] > '9')
			continue;
		for (size_t i = 0; pid == 0 && i < n; i++)
			if (maps(d->d_name, &files[i]))
				(void)sscanf(d->d_name, "%d", &pid);
	}
	if (proc)
		closedir(proc);
	return pid;
}

/* Who has one of the guest's memory files mapped; 0: nobody. */
pid_t lu_vms_user_of_memory(const struct lu_vms *vms, const char *uuid)
{
	_cleanup_close_ int root = lu_vms_pkernfs(vms, NULL), dir = -EBADF;
	_cleanup_(lu_launch_clear) struct lu_launch launch = { 0 };
	_cleanup_free_ struct stat *files = NULL;
	size_t n = 0;

	dir = root < 0 ? root : lu_store_open(root, uuid, false, NULL);
	if (dir < 0 || lu_launch_read(dir, &launch, NULL) < 0)
		return 0;
	files = calloc(launch.n_ram ?: 1, sizeof(*files));
	for (size_t i = 0; files && i < launch.n_ram; i++)
		n += stat(launch.ram[i].path, &files[n]) == 0;
	return user_of(files, n);
}

int lu_memory_user(int dir_fd, pid_t *ret)
{
	_cleanup_free_ struct stat *files = NULL;
	struct dirent **list = NULL;
	int n = scandirat(dir_fd, ".", &list, NULL, NULL);
	size_t found = 0;

	if (n < 0)
		return -errno;
	files = calloc(n > 0 ? (size_t)n : 1, sizeof(*files));
	for (int i = 0; i < n; i++) {
		if (files)
			found += fstatat(dir_fd, list[i]->d_name, &files[found], AT_SYMLINK_NOFOLLOW) == 0;
		free(list[i]);
	}
	free(list);
	if (!files)
		return -ENOMEM;
	*ret = user_of(files, found);
	return 0;
}

pid_t lu_vm_process(const struct lu_vm *vm)
{
	if (vm->pidfd < 0)
		return vm->def.uuid ? lu_vms_user_of_memory(vm->vms, vm->def.uuid) : 0;
	return vm->pidfd_pid ?: number_of(vm->pidfd);
}

bool lu_vm_lives(const struct lu_vm *vm)
{
	return vm->pidfd >= 0 ? !ended(vm->pidfd) : lu_vm_process(vm) > 0;
}
