// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whose is a file in pkernfs? QEMU names its RAM files itself, and with passed-through devices root opens
 * them for it, so its word alone is not enough: a file that another VM has, or that lies in the directory that
 * carries another VM's name, is refused by that name.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "vm-internal.h"

static bool has_memory(const struct lu_vm *vm, const struct stat *st)
{
	/* it may be asked just now, as all are at a check: what it had then counts */
	const struct lu_vm_facts *facts = lu_vm_facts(vm);

	for (size_t i = 0; i < facts->n_ram; i++) {
		struct stat ram;

		if (stat(facts->ram[i].path, &ram) == 0 && ram.st_dev == st->st_dev && ram.st_ino == st->st_ino)
			return true;
	}
	return false;
}

static bool has_directory(const struct lu_vm *vm, const char *path)
{
	size_t n = strlen(vm->name);

	return !strncmp(path, "ram/", 4) && !strncmp(path + 4, vm->name, n) && path[4 + n] == '/';
}

const char *lu_vm_other_owner(void *context, const char *path, const struct stat *st)
{
	const struct lu_vm *self = context;

	for (const struct lu_vm *vm = self->vms->first; vm; vm = vm->next)
		if (vm != self && !vm->error.code && (has_memory(vm, st) || has_directory(vm, path)))
			return vm->name;
	return NULL;
}

const char *lu_vm_memory_owner(struct lu_vm *vm, const char *path, const struct stat *st)
{
	size_t n = strlen(vm->vms->pkernfs);

	return strncmp(path, vm->vms->pkernfs, n) || path[n] != '/' ? NULL : lu_vm_other_owner(vm, path + n + 1, st);
}
