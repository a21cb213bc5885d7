// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "doc-bus.h"
#include "doc-devices.h"
#include "doc-journal.h"
#include "doc-launch.h"
#include "doc-measured.h"
#include "doc-records.h"
#include "doc-report.h"
#include "doc-request.h"
#include "doc-vm.h"

const struct lu_json_table *const lu_documents[] = {
	&lu_request_table,    &lu_saved_table,       &lu_result_table,
	&lu_clock_table,      &lu_settings_table,    &lu_launch_table,
	&lu_devices_table,    &lu_vm_def_table,      &lu_measured_table,
	&lu_doc_report_table, &lu_doc_reports_table, &lu_doc_status_table,
	&lu_doc_vm_table,     &lu_doc_vms_table,     &lu_doc_check_table,
	&lu_doc_plan_table,   &lu_doc_journal_table, NULL,
};
