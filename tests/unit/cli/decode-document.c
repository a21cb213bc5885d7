// SPDX-License-Identifier: GPL-2.0-or-later
/* decode-document KIND FILE…: what the C decoder says of each file, a line each: "valid" or "invalid: why".
 */
#include <stdio.h>
#include <string.h>

#include "devices.h"
#include "documents.h"
#include "verdict.h"

int main(int argc, char **argv)
{
	const struct lu_json_table *table = NULL;

	for (size_t i = 0; argc > 1 && lu_documents[i]; i++)
		if (strcmp(lu_documents[i]->name, argv[1]) == 0)
			table = lu_documents[i];
	if (argc > 1 && !strcmp(lu_pkernfs_table.name, argv[1]))
		table = &lu_pkernfs_table;
	if (!table)
		return 2;
	for (int i = 2; i < argc; i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		_cleanup_free_ void *doc = calloc(1, table->size);

		if (!doc)
			return 1;
		if (lu_json_load(AT_FDCWD, argv[i], LU_DOCUMENT_MAX, table, doc, &e) < 0) {
			printf("invalid: %s\n", e.what ?: "?");
			continue;
		}
		/* what must hold between its values */
		if (table == &lu_devices_table && lu_devices_check(doc, &e) < 0)
			printf("invalid: %s\n", e.what ?: "?");
		else
			puts("valid");
		lu_json_free(table, doc);
	}
	return 0;
}
