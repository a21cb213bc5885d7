// SPDX-License-Identifier: GPL-2.0-or-later
/* decode-document KIND FILE…: what the C decoder says of each file, a line each: "valid" or "invalid: why".
 */
#include <stdio.h>
#include <string.h>

#include "documents.h"
#include "verdict.h"

int main(int argc, char **argv)
{
	static const struct {
		const char *kind;
		const struct lu_json_table *table;
	} kinds[] = {
		{ "status", &lu_doc_status_table }, { "vm-info", &lu_doc_vm_table }, { "vm-list", &lu_doc_vms_table },
		{ "check", &lu_doc_check_table },   { "plan", &lu_doc_plan_table },  { "report", &lu_doc_report_table },
		{ "pkernfs", &lu_pkernfs_table },
	};
	const struct lu_json_table *table = NULL;

	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].kind, argv[1]) == 0)
			table = kinds[i].table;
	if (!table)
		return 2;
	for (int i = 2; i < argc; i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		_cleanup_free_ void *doc = calloc(1, table->size);

		if (!doc)
			return 1;
		if (lu_json_load(AT_FDCWD, argv[i], LU_DOCUMENT_MAX, table, doc, &e) < 0) {
			printf("invalid: %s\n", e.what ?: "?");
		} else {
			puts("valid");
			lu_json_free(table, doc);
		}
	}
	return 0;
}
