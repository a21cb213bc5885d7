// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * VMs as the daemon sees them; declaring one, and taking it back.
 *
 * struct luctl_vm is one thing with two owners: out of a list it is a part of it and
 * dies with it, by luctl_vm_get() it is the caller's and has a document of its own.
 * A definition is passed on unread: the daemon alone judges it.
 */
#include <string.h>

#include "luctl-internal.h"

PUBLIC int luctl_vms_get(struct luctl_ctx *ctx, struct luctl_vms **ret_vms)
{
	_cleanup_message_ sd_bus_message *m = NULL;
	struct luctl_vms *vms;
	int r;

	ctx_begin(ctx);
	r = call_new(ctx, LU_BUS_PATH, LU_BUS_MANAGER, "ListVMs", false, &m);
	if (r < 0)
		return r;
	vms = calloc(1, sizeof(*vms));
	if (!vms)
		return ctx_fail_oom(ctx);
	r = call_document(ctx, m, &lu_doc_vms_table, &vms->doc, &vms->json);
	if (r < 0) {
		free(vms);
		return r;
	}
	*ret_vms = vms;
	return 0;
}

PUBLIC void luctl_vms_free(struct luctl_vms *vms)
{
	if (!vms)
		return;
	lu_json_free(&lu_doc_vms_table, &vms->doc);
	free(vms->json);
	free(vms);
}

PUBLIC const char *luctl_vms_json(const struct luctl_vms *vms)
{
	return vms->json;
}

PUBLIC const struct luctl_vm *luctl_vms_first(const struct luctl_vms *vms)
{
	return vms->doc.n > 0 ? vms->doc.vm : NULL;
}

PUBLIC const struct luctl_vm *luctl_vms_next(const struct luctl_vms *vms, const struct luctl_vm *vm)
{
	size_t i = (size_t)(vm - vms->doc.vm) + 1;

	return i < vms->doc.n ? &vms->doc.vm[i] : NULL;
}

PUBLIC int luctl_vm_get(struct luctl_ctx *ctx, const char *name, struct luctl_vm **ret_vm)
{
	_cleanup_message_ sd_bus_message *m = NULL;
	_cleanup_free_ char *json = NULL;
	struct luctl_vm *vm;
	int r;

	ctx_begin(ctx);
	r = call_new(ctx, LU_BUS_PATH, LU_BUS_MANAGER, "DescribeVM", false, &m);
	if (r < 0)
		return r;
	r = sd_bus_message_append(m, "s", name);
	if (r < 0)
		return ctx_fail_bus(ctx, r, NULL);
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return ctx_fail_oom(ctx);
	r = call_document(ctx, m, &lu_doc_vm_table, vm, &json);
	if (r < 0) {
		free(vm);
		return r;
	}
	vm->json = steal_ptr(json);
	*ret_vm = vm;
	return 0;
}

PUBLIC void luctl_vm_free(struct luctl_vm *vm)
{
	if (!vm)
		return;
	free(vm->json);
	lu_json_free(&lu_doc_vm_table, vm);
	free(vm);
}

PUBLIC const char *luctl_vm_json(const struct luctl_vm *vm)
{
	return vm->json;
}

PUBLIC const char *luctl_vm_name(const struct luctl_vm *vm)
{
	return vm->name;
}

PUBLIC const char *luctl_vm_uuid(const struct luctl_vm *vm)
{
	return vm->uuid;
}

PUBLIC const char *luctl_vm_qmp(const struct luctl_vm *vm)
{
	return vm->qmp;
}

PUBLIC const char *luctl_vm_policy(const struct luctl_vm *vm)
{
	return lu_vm_policies[vm->policy];
}

PUBLIC const char *luctl_vm_unit(const struct luctl_vm *vm)
{
	return vm->unit;
}

PUBLIC uint64_t luctl_vm_pid(const struct luctl_vm *vm)
{
	return vm->pid;
}

PUBLIC const char *luctl_vm_state(const struct luctl_vm *vm)
{
	return lu_doc_vm_states[vm->state];
}

PUBLIC bool luctl_vm_updatable(const struct luctl_vm *vm)
{
	return vm->updatable;
}

PUBLIC const char *luctl_vm_reason(const struct luctl_vm *vm)
{
	return vm->reason ? vm->reason->what : NULL;
}

PUBLIC const char *luctl_vm_hint(const struct luctl_vm *vm)
{
	return vm->reason ? vm->reason->hint : NULL;
}

PUBLIC uint64_t luctl_vm_keeper(const struct luctl_vm *vm)
{
	return vm->keeper;
}

PUBLIC const char *luctl_vm_restored_by(const struct luctl_vm *vm)
{
	return vm->restored_by < 0 ? NULL : lu_doc_restorers[vm->restored_by];
}

PUBLIC const char *const *luctl_vm_devices(const struct luctl_vm *vm)
{
	static const char *const none[] = { NULL };

	return vm->devices ? (const char *const *)vm->devices : none;
}

PUBLIC const struct luctl_ram *luctl_vm_ram_first(const struct luctl_vm *vm)
{
	return vm->n_ram > 0 ? vm->ram : NULL;
}

PUBLIC const struct luctl_ram *luctl_vm_ram_next(const struct luctl_vm *vm, const struct luctl_ram *ram)
{
	size_t i = (size_t)(ram - vm->ram) + 1;

	return i < vm->n_ram ? &vm->ram[i] : NULL;
}

PUBLIC const char *luctl_ram_path(const struct luctl_ram *ram)
{
	return ram->path;
}

PUBLIC uint64_t luctl_ram_size(const struct luctl_ram *ram)
{
	return ram->size;
}

static int call_with_string(struct luctl_ctx *ctx, const char *member, const char *arg)
{
	_cleanup_message_ sd_bus_message *m = NULL;
	int r;

	ctx_begin(ctx);
	r = call_new(ctx, LU_BUS_PATH, LU_BUS_MANAGER, member, true, &m);
	if (r < 0)
		return r;
	r = sd_bus_message_append(m, "s", arg);
	if (r < 0)
		return ctx_fail(ctx, r, NULL, "%s: the argument is not UTF-8 text", member);
	return call_send(ctx, m, NULL);
}

PUBLIC int luctl_vm_add(struct luctl_ctx *ctx, const char *definition)
{
	return call_with_string(ctx, "AddVM", definition);
}

PUBLIC int luctl_vm_forget(struct luctl_ctx *ctx, const char *name)
{
	return call_with_string(ctx, "ForgetState", name);
}

PUBLIC int luctl_vm_remove(struct luctl_ctx *ctx, const char *name)
{
	return call_with_string(ctx, "RemoveVM", name);
}
