// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU's CPR stream. The first byte says how many descriptors come with it. They are taken over or closed, and what was
 * parsed can be written for QEMU again, and that be read. The same bytes are taken for the form without descriptors, too:
 * what is taken must be what would be written.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cpr.h"
#include "fuzz.h"

#define FDS 16u

static void encode(const struct lu_cpr *cpr)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ int *numbers = calloc(cpr->n_fds ?: 1, sizeof(int)), *found = NULL;
	_cleanup_cpr_ struct lu_cpr again = LU_CPR_INIT;
	_cleanup_free_ void *text = NULL;
	size_t size;

	promise(numbers);
	for (size_t i = 0; i < cpr->n_fds; i++)
		numbers[i] = 5 + (int)i;
	promise(lu_cpr_encode_exec(cpr, numbers, &text, &size, &e) == 0);
	promise(lu_cpr_parse_exec(text, size, &again, &found, &e) == 0);
	promise(again.n_fds == cpr->n_fds && again.n_devices == cpr->n_devices);
	for (size_t i = 0; i < cpr->n_fds; i++)
		promise(found[i] == numbers[i] && !strcmp(again.fds[i].name, cpr->fds[i].name));
}

/* The other form, from the same bytes */
static void parse_exec(const uint8_t *bytes, size_t size)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_cpr_ struct lu_cpr cpr = LU_CPR_INIT;
	_cleanup_free_ int *numbers = NULL;
	_cleanup_free_ void *text = NULL;
	size_t length;

	if (lu_cpr_parse_exec(bytes, size, &cpr, &numbers, &e) < 0) {
		promise(e.what);
		return;
	}
	promise(lu_cpr_encode_exec(&cpr, numbers, &text, &length, &e) == 0);
	promise(length == size && !memcmp(text, bytes, size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_cpr_ struct lu_cpr cpr = LU_CPR_INIT;
	_cleanup_free_ uint8_t *bytes = NULL;
	int fds[FDS];
	size_t n;

	if (size < 1)
		return 0;
	bytes = exact(data + 1, size - 1);
	parse_exec(bytes, size - 1);
	n = data[0] % FDS;
	for (size_t i = 0; i < n; i++) {
		fds[i] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
		promise(fds[i] >= 0);
	}
	if (lu_cpr_parse(bytes, size - 1, fds, n, &cpr, &e) == 0)
		encode(&cpr);
	else
		promise(e.what);
	for (size_t i = 0; i < n; i++)
		promise(fds[i] < 0);
	return 0;
}
