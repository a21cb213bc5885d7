// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The decoders of the documents. The first byte is the document's letter in tables[] below. What a decoder takes, the encoder
 * writes; what that wrote, the decoder takes again, and the two texts are the same.
 */
#include "fuzz.h"

#include "devices-internal.h"
#include "doc-bus.h"
#include "doc-measured.h"
#include "doc-report.h"
#include "doc-request.h"
#include "doc-vm.h"
#include "launch.h"
#include "argv.h"
#include "verdict.h"
#include "store.h"

/* by letter; tests/fuzz/run-fuzz goes by the tables' names */
static const struct {
	char letter;
	const struct lu_json_table *table;
} tables[] = {
	{ 'v', &lu_vm_def_table },     { 'l', &lu_launch_table },     { 's', &lu_saved_table },
	{ 'r', &lu_result_table },     { 'c', &lu_clock_table },      { 'd', &lu_devices_table },
	{ 'p', &lu_pkernfs_table },    { 'S', &lu_doc_status_table }, { 'V', &lu_doc_vm_table },
	{ 'L', &lu_doc_vms_table },    { 'C', &lu_doc_check_table },  { 'P', &lu_doc_plan_table },
	{ 'R', &lu_doc_report_table }, { 'q', &lu_request_table },    { 'm', &lu_measured_table },
};

/* One of version 1 becomes calls, unless it is refused. */
static void use_devices(const struct lu_devices *d)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_calls_ struct lu_calls calls = LU_CALLS_INIT;

	if (lu_devices_check(d, &e) < 0) {
		promise(e.what);
		return;
	}
	/* of version 2: what would become calls stands in the journal */
	if (d->journal)
		return;
	promise(lu_devices_plan(d, &calls) == 0);
	promise(lu_calls_check(&calls, "calls", &e) == 0 || e.what);
}

/* What is done with some of them next, before anything else is looked at. */
static void use(const struct lu_json_table *table, void *document)
{
	char **argv = NULL;

	if (table == &lu_launch_table && lu_launch_argv(document, true, &argv) == 0)
		lu_argv_free(argv);
	if (table == &lu_devices_table)
		use_devices(document);
}

static void judge(const struct lu_json_table *table, const char *text, size_t size)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ void *a = calloc(1, table->size), *b = calloc(1, table->size);
	_cleanup_free_ char *first = NULL, *second = NULL;

	promise(a && b);
	if (lu_json_decode_text(text, size, 1 << 20, "document", table, a, &e) < 0) {
		promise(e.what);
		return;
	}
	/* of an older version: it is read, and not written */
	if (table == &lu_devices_table && !((struct lu_devices *)a)->journal) {
		use(table, a);
		lu_json_free(table, a);
		return;
	}
	promise(lu_json_encode_text(table, a, &first, &e) == 0);
	promise(lu_json_decode_text(first, strlen(first), 16 << 20, "document", table, b, &e) == 0);
	promise(lu_json_encode_text(table, b, &second, &e) == 0);
	promise(!strcmp(first, second));
	use(table, a);
	lu_json_free(table, a);
	lu_json_free(table, b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = NULL;

	if (size < 1)
		return 0;
	text = exact(data + 1, size - 1);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		if (tables[i].letter == (char)data[0])
			judge(tables[i].table, text, size - 1);
	return 0;
}
