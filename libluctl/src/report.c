// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The report of an update, and the list of those that are kept: one call, then getters over the decoded document.
 * Phases and VMs are parts of the report and live as long as it. There is no report
 * before the first update (-ENODATA); after that there always is, of the last one.
 */
#include <string.h>

#include "luctl-internal.h"

static int get_report(struct luctl_ctx *ctx, sd_bus_message *m, struct luctl_report **ret_report)
{
	struct luctl_report *report = calloc(1, sizeof(*report));
	int r;

	if (!report)
		return ctx_fail_oom(ctx);
	r = call_document(ctx, m, &lu_doc_report_table, &report->doc, &report->json);
	if (r < 0) {
		free(report);
		return r;
	}
	*ret_report = report;
	return 0;
}

PUBLIC int luctl_report_get(struct luctl_ctx *ctx, struct luctl_report **ret_report)
{
	_cleanup_message_ sd_bus_message *m = NULL;
	int r;

	ctx_begin(ctx);
	r = call_new(ctx, LU_BUS_PATH, LU_BUS_MANAGER, "GetReport", false, &m);
	return r < 0 ? r : get_report(ctx, m, ret_report);
}

PUBLIC int luctl_report_get_of(struct luctl_ctx *ctx, const char *update, struct luctl_report **ret_report)
{
	_cleanup_message_ sd_bus_message *m = NULL;
	int r;

	ctx_begin(ctx);
	r = call_new(ctx, LU_BUS_PATH, LU_BUS_MANAGER, "GetReportOf", false, &m);
	if (r < 0)
		return r;
	r = sd_bus_message_append(m, "s", update);
	return r < 0 ? ctx_fail_bus(ctx, r, NULL) : get_report(ctx, m, ret_report);
}

PUBLIC void luctl_report_free(struct luctl_report *report)
{
	if (!report)
		return;
	lu_json_free(&lu_doc_report_table, &report->doc);
	free(report->json);
	free(report);
}

PUBLIC const char *luctl_report_json(const struct luctl_report *report)
{
	return report->json;
}

PUBLIC const char *luctl_report_id(const struct luctl_report *report)
{
	return report->doc.id;
}

PUBLIC bool luctl_report_rehearsal(const struct luctl_report *report)
{
	return report->doc.rehearsal;
}

PUBLIC const char *luctl_report_kind(const struct luctl_report *report)
{
	return lu_doc_kinds[report->doc.kind];
}

PUBLIC const char *luctl_report_result(const struct luctl_report *report)
{
	return lu_doc_results[report->doc.result];
}

PUBLIC const char *luctl_report_from(const struct luctl_report *report)
{
	return report->doc.from;
}

PUBLIC const char *luctl_report_to(const struct luctl_report *report)
{
	return report->doc.to;
}

PUBLIC uint64_t luctl_report_started(const struct luctl_report *report)
{
	return report->doc.started;
}

PUBLIC uint64_t luctl_report_duration(const struct luctl_report *report)
{
	return report->doc.duration;
}

PUBLIC uint64_t luctl_report_blackout(const struct luctl_report *report)
{
	return report->doc.blackout;
}

PUBLIC uint64_t luctl_report_predicted(const struct luctl_report *report)
{
	return report->doc.predicted;
}

PUBLIC uint64_t luctl_report_tsc_khz(const struct luctl_report *report)
{
	return report->doc.tsc_khz;
}

PUBLIC const char *luctl_report_error(const struct luctl_report *report)
{
	return report->doc.error ? report->doc.error->what : NULL;
}

PUBLIC const char *luctl_report_hint(const struct luctl_report *report)
{
	return report->doc.error ? report->doc.error->hint : NULL;
}

PUBLIC const struct luctl_phase *luctl_report_phase_first(const struct luctl_report *report)
{
	return report->doc.n_phases > 0 ? report->doc.phase : NULL;
}

PUBLIC const struct luctl_phase *luctl_report_phase_next(const struct luctl_report *report,
							 const struct luctl_phase *phase)
{
	size_t i = (size_t)(phase - report->doc.phase) + 1;

	return i < report->doc.n_phases ? &report->doc.phase[i] : NULL;
}

PUBLIC const char *luctl_phase_name(const struct luctl_phase *phase)
{
	return phase->name;
}

PUBLIC bool luctl_phase_in_new_kernel(const struct luctl_phase *phase)
{
	return strcmp(lu_doc_kernels[phase->kernel], "new") == 0;
}

PUBLIC uint64_t luctl_phase_start(const struct luctl_phase *phase)
{
	return phase->start;
}

PUBLIC uint64_t luctl_phase_duration(const struct luctl_phase *phase)
{
	return phase->duration;
}

PUBLIC const struct luctl_vm_report *luctl_report_vm_first(const struct luctl_report *report)
{
	return report->doc.n_vms > 0 ? report->doc.vm : NULL;
}

PUBLIC const struct luctl_vm_report *luctl_report_vm_next(const struct luctl_report *report,
							  const struct luctl_vm_report *vm)
{
	size_t i = (size_t)(vm - report->doc.vm) + 1;

	return i < report->doc.n_vms ? &report->doc.vm[i] : NULL;
}

PUBLIC const char *luctl_vm_report_name(const struct luctl_vm_report *vm)
{
	return vm->name;
}

PUBLIC const char *luctl_vm_report_uuid(const struct luctl_vm_report *vm)
{
	return vm->uuid;
}

PUBLIC const char *luctl_vm_report_result(const struct luctl_vm_report *vm)
{
	return lu_doc_vm_results[vm->result];
}

PUBLIC const char *luctl_vm_report_by(const struct luctl_vm_report *vm)
{
	return vm->by < 0 ? NULL : lu_doc_restorers[vm->by];
}

PUBLIC uint64_t luctl_vm_report_pause(const struct luctl_vm_report *vm)
{
	return vm->pause;
}

PUBLIC uint64_t luctl_vm_report_resume(const struct luctl_vm_report *vm)
{
	return vm->resume;
}

PUBLIC uint64_t luctl_vm_report_blackout(const struct luctl_vm_report *vm)
{
	return vm->blackout;
}

PUBLIC uint64_t luctl_vm_report_predicted(const struct luctl_vm_report *vm)
{
	return vm->predicted;
}

PUBLIC const struct luctl_phase *luctl_vm_report_phase_first(const struct luctl_vm_report *vm)
{
	return vm->n_phases > 0 ? vm->phase : NULL;
}

PUBLIC const struct luctl_phase *luctl_vm_report_phase_next(const struct luctl_vm_report *vm,
							    const struct luctl_phase *phase)
{
	size_t i = (size_t)(phase - vm->phase) + 1;

	return i < vm->n_phases ? &vm->phase[i] : NULL;
}

PUBLIC const char *luctl_vm_report_clock(const struct luctl_vm_report *vm)
{
	return vm->clock ? lu_doc_clock_policies[vm->clock->policy] : NULL;
}

PUBLIC int64_t luctl_vm_report_clock_behind(const struct luctl_vm_report *vm)
{
	return vm->clock ? vm->clock->behind : 0;
}

PUBLIC const char *luctl_vm_report_clock_error(const struct luctl_vm_report *vm)
{
	return vm->clock && vm->clock->error ? vm->clock->error->what : NULL;
}

PUBLIC const char *luctl_vm_report_qemu_from(const struct luctl_vm_report *vm)
{
	return vm->qemu_from;
}

PUBLIC const char *luctl_vm_report_qemu_to(const struct luctl_vm_report *vm)
{
	return vm->qemu_to;
}

PUBLIC const char *luctl_vm_report_error(const struct luctl_vm_report *vm)
{
	return vm->error ? vm->error->what : NULL;
}

PUBLIC const char *luctl_vm_report_hint(const struct luctl_vm_report *vm)
{
	return vm->error ? vm->error->hint : NULL;
}

PUBLIC const struct luctl_left *luctl_report_left_first(const struct luctl_report *report)
{
	return report->doc.n_left > 0 ? report->doc.left : NULL;
}

PUBLIC const struct luctl_left *luctl_report_left_next(const struct luctl_report *report, const struct luctl_left *left)
{
	size_t i = (size_t)(left - report->doc.left) + 1;

	return i < report->doc.n_left ? &report->doc.left[i] : NULL;
}

PUBLIC const char *luctl_left_name(const struct luctl_left *left)
{
	return left->name;
}

PUBLIC const char *luctl_left_uuid(const struct luctl_left *left)
{
	return left->uuid;
}

PUBLIC const char *luctl_left_what(const struct luctl_left *left)
{
	return left->what;
}

PUBLIC const char *luctl_left_hint(const struct luctl_left *left)
{
	return left->hint;
}

PUBLIC int luctl_reports_get(struct luctl_ctx *ctx, struct luctl_reports **ret_reports)
{
	_cleanup_message_ sd_bus_message *m = NULL;
	struct luctl_reports *reports;
	int r;

	ctx_begin(ctx);
	r = call_new(ctx, LU_BUS_PATH, LU_BUS_MANAGER, "ListReports", false, &m);
	if (r < 0)
		return r;
	reports = calloc(1, sizeof(*reports));
	if (!reports)
		return ctx_fail_oom(ctx);
	r = call_document(ctx, m, &lu_doc_reports_table, &reports->doc, &reports->json);
	if (r < 0) {
		free(reports);
		return r;
	}
	*ret_reports = reports;
	return 0;
}

PUBLIC void luctl_reports_free(struct luctl_reports *reports)
{
	if (!reports)
		return;
	lu_json_free(&lu_doc_reports_table, &reports->doc);
	free(reports->json);
	free(reports);
}

PUBLIC const char *luctl_reports_json(const struct luctl_reports *reports)
{
	return reports->json;
}

PUBLIC const struct luctl_report_entry *luctl_reports_first(const struct luctl_reports *reports)
{
	return reports->doc.n_reports > 0 ? reports->doc.report : NULL;
}

PUBLIC const struct luctl_report_entry *luctl_reports_next(const struct luctl_reports *reports,
							   const struct luctl_report_entry *entry)
{
	size_t i = (size_t)(entry - reports->doc.report) + 1;

	return i < reports->doc.n_reports ? &reports->doc.report[i] : NULL;
}

PUBLIC const char *luctl_report_entry_id(const struct luctl_report_entry *entry)
{
	return entry->id;
}

PUBLIC const char *luctl_report_entry_kind(const struct luctl_report_entry *entry)
{
	return lu_doc_kinds[entry->kind];
}

PUBLIC bool luctl_report_entry_rehearsal(const struct luctl_report_entry *entry)
{
	return entry->rehearsal;
}

PUBLIC const char *luctl_report_entry_result(const struct luctl_report_entry *entry)
{
	return lu_doc_results[entry->result];
}

PUBLIC const char *luctl_report_entry_from(const struct luctl_report_entry *entry)
{
	return entry->from;
}

PUBLIC const char *luctl_report_entry_to(const struct luctl_report_entry *entry)
{
	return entry->to;
}

PUBLIC uint64_t luctl_report_entry_started(const struct luctl_report_entry *entry)
{
	return entry->started;
}

PUBLIC uint64_t luctl_report_entry_duration(const struct luctl_report_entry *entry)
{
	return entry->duration;
}

PUBLIC uint64_t luctl_report_entry_blackout(const struct luctl_report_entry *entry)
{
	return entry->blackout;
}

PUBLIC uint64_t luctl_report_entry_vms(const struct luctl_report_entry *entry)
{
	return entry->vms;
}

PUBLIC uint64_t luctl_report_entry_lost(const struct luctl_report_entry *entry)
{
	return entry->lost;
}

PUBLIC const char *luctl_report_entry_error(const struct luctl_report_entry *entry)
{
	return entry->error ? entry->error->what : NULL;
}

PUBLIC const char *luctl_report_entry_hint(const struct luctl_report_entry *entry)
{
	return entry->error ? entry->error->hint : NULL;
}

PUBLIC const struct luctl_report_damage *luctl_reports_damage_first(const struct luctl_reports *reports)
{
	return reports->doc.n_damaged > 0 ? reports->doc.damaged : NULL;
}

PUBLIC const struct luctl_report_damage *luctl_reports_damage_next(const struct luctl_reports *reports,
								   const struct luctl_report_damage *damage)
{
	size_t i = (size_t)(damage - reports->doc.damaged) + 1;

	return i < reports->doc.n_damaged ? &reports->doc.damaged[i] : NULL;
}

PUBLIC const char *luctl_report_damage_file(const struct luctl_report_damage *damage)
{
	return damage->file;
}

PUBLIC const char *luctl_report_damage_what(const struct luctl_report_damage *damage)
{
	return damage->what;
}
