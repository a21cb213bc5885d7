// SPDX-License-Identifier: GPL-2.0-or-later
/* Kernel command lines: what becomes of one for the target has what it needs, and is its own result. */
#include "cmdline.h"
#include "fuzz.h"

static void has(const char *line, const char *param, const char *want)
{
	_cleanup_free_ char *value = NULL;

	promise(lu_cmdline_get(line, param, &value) == 1);
	promise(!want || !strcmp(value, want));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = exact_text(data, size), *line = NULL, *again = NULL, *value = NULL;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	uint32_t khz = size & 1 ? 2400000 : 0;

	(void)lu_cmdline_get(text, "root", &value);
	if (lu_cmdline_target(text, "pkeep-v1", khz, 2047, &line, &e) < 0) {
		promise(e.what);
		return 0;
	}
	promise(strlen(line) <= 2047);
	promise(lu_cmdline_target(line, "pkeep-v1", khz, 1 << 16, &again, &e) == 0);
	promise(!strcmp(line, again));
	has(line, "kho", NULL);
	has(line, "init", LU_INIT_PATH);
	return 0;
}
