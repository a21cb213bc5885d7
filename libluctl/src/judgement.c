// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What would become of each VM in an update: one call, then getters over the decoded
 * document (schema plan). Verdicts, reasons and devices are parts of the judgement and
 * live as long as it. It is made by the code that refuses an update, so both agree.
 */
#include "luctl-internal.h"

PUBLIC int luctl_judge(struct luctl_plan *plan, struct luctl_judgement **ret_judgement)
{
	_cleanup_message_ sd_bus_message *m = NULL;
	struct luctl_judgement *j;
	int r;

	ctx_begin(plan->ctx);
	r = call_new(plan->ctx, LU_BUS_PATH, LU_BUS_MANAGER, "Plan", true, &m);
	if (r < 0)
		return r;
	r = plan_append(plan, false, m);
	if (r < 0)
		return r;
	j = calloc(1, sizeof(*j));
	if (!j)
		return ctx_fail_oom(plan->ctx);
	r = call_document(plan->ctx, m, &lu_doc_plan_table, &j->doc, &j->json);
	if (r < 0) {
		free(j);
		return r;
	}
	*ret_judgement = j;
	return 0;
}

PUBLIC void luctl_judgement_free(struct luctl_judgement *j)
{
	if (!j)
		return;
	lu_json_free(&lu_doc_plan_table, &j->doc);
	free(j->json);
	free(j);
}

PUBLIC const char *luctl_judgement_json(const struct luctl_judgement *j)
{
	return j->json;
}

PUBLIC bool luctl_judgement_ok(const struct luctl_judgement *j)
{
	return j->doc.ok;
}

PUBLIC const char *luctl_judgement_kernel(const struct luctl_judgement *j)
{
	return j->doc.kernel;
}

PUBLIC const char *luctl_judgement_release(const struct luctl_judgement *j)
{
	return j->doc.release;
}

PUBLIC const struct luctl_finding *luctl_judgement_finding_first(const struct luctl_judgement *j)
{
	return j->doc.n_findings > 0 ? j->doc.finding : NULL;
}

PUBLIC const struct luctl_finding *luctl_judgement_finding_next(const struct luctl_judgement *j,
								const struct luctl_finding *finding)
{
	size_t i = (size_t)(finding - j->doc.finding) + 1;

	return i < j->doc.n_findings ? &j->doc.finding[i] : NULL;
}

PUBLIC const struct luctl_vm_verdict *luctl_judgement_vm_first(const struct luctl_judgement *j)
{
	return j->doc.n_vms > 0 ? j->doc.vm : NULL;
}

PUBLIC const struct luctl_vm_verdict *luctl_judgement_vm_next(const struct luctl_judgement *j,
							      const struct luctl_vm_verdict *vm)
{
	size_t i = (size_t)(vm - j->doc.vm) + 1;

	return i < j->doc.n_vms ? &j->doc.vm[i] : NULL;
}

PUBLIC uint64_t luctl_judgement_blackout(const struct luctl_judgement *j)
{
	return j->doc.predicted ? j->doc.predicted->blackout : LUCTL_UNKNOWN;
}

PUBLIC const char *luctl_judgement_basis(const struct luctl_judgement *j)
{
	return j->doc.predicted ? j->doc.predicted->text : NULL;
}

PUBLIC const char *luctl_vm_verdict_name(const struct luctl_vm_verdict *vm)
{
	return vm->name;
}

PUBLIC const char *luctl_vm_verdict_uuid(const struct luctl_vm_verdict *vm)
{
	return vm->uuid;
}

PUBLIC const char *luctl_vm_verdict_verdict(const struct luctl_vm_verdict *vm)
{
	return lu_doc_verdicts[vm->verdict];
}

PUBLIC const char *luctl_vm_verdict_policy(const struct luctl_vm_verdict *vm)
{
	return lu_vm_policies[vm->policy];
}

PUBLIC const char *luctl_vm_verdict_late(const struct luctl_vm_verdict *vm)
{
	return vm->late;
}

PUBLIC uint64_t luctl_vm_verdict_blackout(const struct luctl_vm_verdict *vm)
{
	return vm->predicted ? vm->predicted->blackout : LUCTL_UNKNOWN;
}

PUBLIC const char *luctl_vm_verdict_basis(const struct luctl_vm_verdict *vm)
{
	return vm->predicted ? vm->predicted->text : NULL;
}

PUBLIC const struct luctl_reason *luctl_vm_verdict_reason_first(const struct luctl_vm_verdict *vm)
{
	return vm->n_reasons > 0 ? vm->reason : NULL;
}

PUBLIC const struct luctl_reason *luctl_vm_verdict_reason_next(const struct luctl_vm_verdict *vm,
							       const struct luctl_reason *reason)
{
	size_t i = (size_t)(reason - vm->reason) + 1;

	return i < vm->n_reasons ? &vm->reason[i] : NULL;
}

PUBLIC const struct luctl_device_verdict *luctl_vm_verdict_device_first(const struct luctl_vm_verdict *vm)
{
	return vm->n_devices > 0 ? vm->device : NULL;
}

PUBLIC const struct luctl_device_verdict *luctl_vm_verdict_device_next(const struct luctl_vm_verdict *vm,
								       const struct luctl_device_verdict *device)
{
	size_t i = (size_t)(device - vm->device) + 1;

	return i < vm->n_devices ? &vm->device[i] : NULL;
}

PUBLIC const char *luctl_device_verdict_address(const struct luctl_device_verdict *device)
{
	return device->address;
}

PUBLIC bool luctl_device_verdict_goes_on(const struct luctl_device_verdict *device)
{
	return device->goes_on;
}

PUBLIC const struct luctl_reason *luctl_device_verdict_reason_first(const struct luctl_device_verdict *device)
{
	return device->n_reasons > 0 ? device->reason : NULL;
}

PUBLIC const struct luctl_reason *luctl_device_verdict_reason_next(const struct luctl_device_verdict *device,
								   const struct luctl_reason *reason)
{
	size_t i = (size_t)(reason - device->reason) + 1;

	return i < device->n_reasons ? &device->reason[i] : NULL;
}

PUBLIC const char *luctl_reason_what(const struct luctl_reason *reason)
{
	return reason->what;
}

PUBLIC const char *luctl_reason_hint(const struct luctl_reason *reason)
{
	return reason->hint;
}
