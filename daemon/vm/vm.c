// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Getters of a VM, and what is left of it after the jump. Strings belong to the VM; what its declaration says and what the
 * last operation saw are kept apart (lu_vm_facts()).
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "vm-internal.h"

const char *lu_vm_name(const struct lu_vm *vm)
{
	return vm->name;
}

const char *lu_vm_uuid(const struct lu_vm *vm)
{
	return vm->def.uuid;
}

const char *lu_vm_qmp(const struct lu_vm *vm)
{
	return vm->def.qmp;
}

const char *lu_vm_unit(const struct lu_vm *vm)
{
	return vm->def.unit;
}

const char *lu_vm_agent(const struct lu_vm *vm)
{
	return vm->def.clock == LU_VM_CLOCK_LEAVE ? NULL : vm->def.agent;
}

enum lu_vm_policy lu_vm_policy(const struct lu_vm *vm)
{
	return (enum lu_vm_policy)vm->def.policy;
}

uint64_t lu_vm_max_blackout(const struct lu_vm *vm)
{
	return vm->def.max_blackout_usec;
}

bool lu_vm_continued(const struct lu_vm *vm)
{
	return vm->continued;
}

bool lu_vm_stored(const struct lu_vm *vm)
{
	return vm->stored;
}

bool lu_vm_listens(const struct lu_vm *vm)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	if (fd < 0 || !vm->def.qmp)
		return false;
	if (lu_vm_in_other_hands(vm))
		return lu_vm_domain_lives(vm);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", vm->def.qmp);
	return connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 || errno == EAGAIN;
}

const char *lu_vm_origin(const struct lu_vm *vm)
{
	return vm->origin;
}

const struct lu_error *lu_vm_error(const struct lu_vm *vm)
{
	return vm->error.code ? &vm->error : NULL;
}

const struct lu_vm_facts *lu_vm_facts(const struct lu_vm *vm)
{
	return vm->probing ? &vm->before : &vm->facts;
}

void lu_vm_set_index(struct lu_vm *vm, unsigned int index)
{
	vm->index = index > 0xffff ? 0xffff : index;
}

void lu_vm_set_here(struct lu_vm *vm, bool here)
{
	vm->here = here;
}

void lu_vm_set_bad_pages(struct lu_vm *vm, uint64_t pages)
{
	vm->bad_pages = pages;
}

const char *lu_vm_state_to_string(enum lu_vm_state state)
{
	static const char *const names[LU_VM_STATE_MAX] = {
		[LU_VM_UNKNOWN] = "unreachable",
		[LU_VM_RUNNING] = "running",
		[LU_VM_PAUSED] = "paused",
		[LU_VM_UNREACHABLE] = "unreachable",
	};

	return state < LU_VM_STATE_MAX ? names[state] : "unreachable";
}

int lu_vm_result_read(struct lu_vm *vm, const char *update, struct lu_result *ret, struct lu_error *e)
{
	_cleanup_close_ int root = -EBADF, dir = -EBADF;
	struct lu_result result;
	int r;

	if (vm->error.code)
		return lu_error_set(e, vm->error.code, vm->error.hint, "%s", vm->error.what);
	root = lu_vms_pkernfs(vm->vms, e);
	if (root < 0)
		return root;
	dir = lu_store_open(root, vm->def.uuid, false, e);
	if (dir < 0)
		return dir;
	r = lu_result_read(dir, &result, e);
	if (r < 0)
		return r;
	if (strcmp(result.update, update) != 0) {
		lu_result_clear(&result);
		return lu_error_set(e, -ENOENT, NULL, "VM %s: its result is of another update", vm->name);
	}
	*ret = result;
	return 0;
}

bool lu_vm_result_alive(const struct lu_result *result)
{
	return lu_result_alive(result);
}

int lu_vm_clean(struct lu_vm *vm, struct lu_error *e)
{
	_cleanup_close_ int root = -EBADF;

	if (vm->error.code)
		return lu_error_set(e, vm->error.code, vm->error.hint, "%s", vm->error.what);
	root = lu_vms_pkernfs(vm->vms, e);
	if (root < 0)
		return root;
	/* descriptors that are held here: it was restored in the kernel that it was saved in */
	if (vm->passthrough)
		(void)lu_devices_unmark(root, vm->def.uuid, lu_vm_facts(vm)->devices, NULL);
	lu_vm_let_go(vm);
	vm->stopped = false;
	lu_store_keep_journal(root, vm->def.uuid);
	return lu_store_remove(root, vm->def.uuid, e);
}

int lu_vm_unmark(struct lu_vm *vm, struct lu_error *e)
{
	return vm->def.unit ? lu_marker_remove(vm->vms->run, vm->def.unit, e) : 0;
}
