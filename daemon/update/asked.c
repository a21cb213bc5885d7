// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "argv.h"
#include "asked.h"

void lu_asked_clear(struct lu_asked *q)
{
	lu_argv_free(q->exclude);
	lu_argv_free(q->only);
	free(q->kernel);
	free(q->initrd);
	free(q->cmdline);
	if (q->kernel_fd > 0)
		close(q->kernel_fd);
	if (q->initrd_fd > 0)
		close(q->initrd_fd);
	*q = (struct lu_asked){ 0 };
}

bool lu_asked_names(char *const *list, const struct lu_vm *vm)
{
	for (; list && *list; list++)
		if (!strcmp(*list, lu_vm_name(vm)) || (lu_vm_uuid(vm) && !strcasecmp(*list, lu_vm_uuid(vm))))
			return true;
	return false;
}

bool lu_asked_excludes(const struct lu_asked *q, const struct lu_vm *vm)
{
	return lu_asked_names(q->exclude, vm) || (lu_vm_policy(vm) == LU_VM_EXCLUDED && !lu_asked_names(q->only, vm));
}

bool lu_asked_concerns(const struct lu_asked *q, const struct lu_vm *vm)
{
	return !q->only || lu_asked_names(q->only, vm);
}
