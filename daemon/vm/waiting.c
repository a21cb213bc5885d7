// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A saved state that waits: from its commit until its guest runs. What is in pkernfs decides (lu_store_waits()), not
 * what anybody remembers. A record that can't be read waits, too: it is about a state that may be good.
 *
 * Forgetting is the operator's word, and the only one: whoever keeps its devices is ended first, since he holds
 * the lock on the VM; then the marks of its devices, its files, the descriptors that are held of it, and the
 * markers of its units go. The markers stay if its QEMU lives, against a second one beside it.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "devices.h"
#include "vm-internal.h"

/* The VM's directory, with its record if a state waits there. */
static int open_waiting(struct lu_vm *vm, int *ret_root, struct lu_saved *ret, struct lu_error *why)
{
	_cleanup_close_ int root = -EBADF, dir = -EBADF;

	*ret = (struct lu_saved){ 0 };
	root = vm->def.uuid ? lu_vms_pkernfs(vm->vms, why) : -ENODATA;
	if (root < 0)
		return root;
	dir = lu_store_open(root, vm->def.uuid, false, NULL);
	if (dir < 0)
		return dir == -ENOENT ? -ENODATA : dir;
	if (!lu_store_waits(dir, ret, NULL))
		return -ENODATA;
	if (ret_root)
		*ret_root = steal_fd(&root);
	return steal_fd(&dir);
}

bool lu_vm_waits(struct lu_vm *vm, bool *ret_devices)
{
	_cleanup_(lu_saved_clear) struct lu_saved saved = { 0 };
	_cleanup_close_ int dir = open_waiting(vm, NULL, &saved, NULL);
	_cleanup_free_ char *fds = NULL;

	if (ret_devices)
		*ret_devices = dir >= 0 && (saved.devices_size > 0 || lu_vm_list_fds(vm, &fds) > 0);
	return dir >= 0;
}

char *lu_vm_saved_by(struct lu_vm *vm)
{
	_cleanup_(lu_saved_clear) struct lu_saved saved = { 0 };
	_cleanup_close_ int dir = open_waiting(vm, NULL, &saved, NULL);

	return dir >= 0 ? steal_ptr(saved.update) : NULL;
}

/* What others are given is not the file: it would stay open, and pkernfs in use. */
static int copy_journal(int from)
{
	_cleanup_free_ char *data = NULL;
	_cleanup_close_ int fd = -EBADF;
	char self[32];
	size_t size;
	int r;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", from);
	r = lu_read_file(AT_FDCWD, self, LU_CALLS_FILE_MAX, &data, &size);
	if (r < 0)
		return r;
	fd = memfd_create("journal", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	r = lu_write_all(fd, data, size);
	if (r >= 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		r = -errno;
	return r < 0 ? r : steal_fd(&fd);
}

int lu_vm_open_journal(struct lu_vm *vm, struct lu_vm_journal *ret, struct lu_error *e)
{
	_cleanup_close_ int root = vm->def.uuid ? lu_vms_pkernfs(vm->vms, e) : -ENOENT, file = -EBADF, dir = -EBADF;
	_cleanup_(lu_saved_clear) struct lu_saved saved = { 0 };
	struct lu_devices_journal committed = { 0 };

	*ret = (struct lu_vm_journal){ .fd = -EBADF };
	file = root < 0 ? root : lu_store_open_journal(root, vm->def.uuid);
	if (file == -ENOENT)
		return lu_error_set(e, file, "one is written when an update saves a VM with passed-through devices",
				    "VM %s: there is no journal of calls", vm->name);
	ret->fd = file < 0 ? file : copy_journal(file);
	if (ret->fd < 0)
		return lu_error_set(e, ret->fd, NULL, "VM %s: its journal of calls: %s", vm->name, strerror(-ret->fd));
	dir = lu_store_open(root, vm->def.uuid, false, NULL);
	if (dir >= 0 && lu_saved_read(dir, &saved, NULL) == 0 && saved.devices_size > 0 &&
	    lu_devices_committed(dir, saved.devices_size, (uint32_t)saved.devices_crc32, &committed) == 0) {
		snprintf(ret->boot_id, sizeof(ret->boot_id), "%s", committed.boot_id);
		ret->calls = committed.calls;
		ret->sum = committed.sum;
		free(committed.boot_id);
	}
	return 0;
}

bool lu_vm_taken_up(struct lu_vm *vm)
{
	_cleanup_close_ int root = vm->def.uuid ? lu_vms_pkernfs(vm->vms, NULL) : -EBADF, dir = -EBADF;
	_cleanup_(lu_result_clear) struct lu_result result = { 0 };

	dir = root < 0 ? root : lu_store_open(root, vm->def.uuid, false, NULL);
	if (dir < 0 || lu_result_read(dir, &result, NULL) < 0)
		return false;
	return lu_result_alive(&result);
}

pid_t lu_vm_process_lives(const struct lu_vm *vm)
{
	if (lu_vm_lives(vm))
		return lu_vm_process(vm);
	/* the one that was saved has ended; somebody may have started another by hand since */
	return vm->pidfd >= 0 && vm->def.uuid ? lu_vms_user_of_memory(vm->vms, vm->def.uuid) : 0;
}

/* The process that keeps its devices after a restore that failed (lu-init/keep.c); it holds the lock, too. */
static int end_keeper(struct lu_vm *vm, struct lu_error *e)
{
	_cleanup_close_ int fd = -EBADF;
	pid_t pid = lu_vm_keeper(vm);

	if (pid <= 0)
		return 0;
	fd = pidfd_open(pid, 0);
	if (fd < 0)
		return errno == ESRCH ? 0 : -errno;
	if ((pidfd_send_signal(fd, SIGKILL, NULL, 0) < 0 && errno != ESRCH) ||
	    poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 1000) != 1)
		return lu_error_set(e, -EBUSY, "end it by hand",
				    "VM %s: process %d, which keeps its devices, does not end", vm->name, (int)pid);
	return 0;
}

int lu_vm_forget(struct lu_vm *vm, struct lu_error *e)
{
	_cleanup_(lu_saved_clear) struct lu_saved saved = { 0 };
	_cleanup_(lu_launch_clear) struct lu_launch launch = { 0 };
	_cleanup_close_ int root = -EBADF, dir = -EBADF;
	bool lives;
	int r;

	dir = open_waiting(vm, &root, &saved, e);
	if (dir == -ENODATA)
		return lu_error_set(e, dir, "luctl vm list tells which VMs are saved",
				    "VM %s: no saved state of it waits", vm->name);
	if (dir < 0)
		return dir;
	r = end_keeper(vm, e);
	if (r >= 0)
		r = lu_store_lock(dir, e);
	if (r < 0)
		return r;
	lives = lu_vm_process_lives(vm) > 0;
	(void)lu_launch_read(dir, &launch, NULL);
	(void)lu_devices_unmark(root, vm->def.uuid, launch.devices, NULL);
	/* nobody else knows of it there: its record goes last, so that this can be asked for again */
	r = lives ? 0 : lu_store_remove_memory(dir, e);
	if (r >= 0)
		r = lu_store_remove(root, vm->def.uuid, e);
	if (r < 0)
		return r;
	lu_vm_let_go(vm);
	vm->stopped = false;
	/* a second QEMU beside one that lives is what the markers are against */
	for (const char *const *unit =
		     (const char *const[]){ saved.unit ?: "", launch.unit ?: "", vm->def.unit ?: "", NULL };
	     *unit; unit++)
		if (**unit && !lives)
			(void)lu_marker_remove(vm->vms->run, *unit, NULL);
	return 0;
}

int lu_vm_leave(struct lu_vm *vm, struct lu_error *e)
{
	_cleanup_close_ int root = lu_vms_pkernfs(vm->vms, e);
	int r;

	if (root < 0)
		return root;
	if (lu_vm_waits(vm, NULL))
		return lu_error_set(e, -EBUSY, LU_VM_WAITS_HINT,
				    "VM %s: its state that was saved could not be taken back", vm->name);
	r = lu_devices_unmark(root, vm->def.uuid, lu_vm_facts(vm)->devices, e);
	if (r < 0)
		return r;
	r = lu_store_remove(root, vm->def.uuid, e);
	if (r >= 0)
		lu_vm_let_go(vm);
	return r;
}

pid_t lu_vm_keeper(const struct lu_vm *vm)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(struct ucred);
	struct ucred peer;

	if (fd < 0 || !vm->def.uuid ||
	    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/keeper-%s", vm->vms->run, vm->def.uuid) >=
		    (int)sizeof(sa.sun_path) ||
	    connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return 0;
	return peer.pid;
}
