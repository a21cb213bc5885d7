// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a guest's agent answers: the guest chooses each byte. The first byte says how often it is asked. The
 * answers are in the socket before the first question, and then it is closed, so nothing is waited for.
 */
#include "fuzz.h"

/* its functions are its own; this is the only way to them that needs no guest */
#include "../../daemon/lu-init/agent.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(agent_close) struct agent a = { .fd = -EBADF };
	const struct reference now = { 0 };
	_cleanup_close_ int guest = -EBADF;
	int64_t behind;
	int ends[2];

	if (size < 1 || size > LINE_MAX_SIZE)
		return 0;
	promise(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	a.fd = ends[0];
	guest = ends[1];
	a.line = malloc(LINE_MAX_SIZE + 1);
	promise(a.line);
	a.deadline_ns = UINT64_MAX;
	promise(lu_write_all(guest, data + 1, size - 1) == 0);
	(void)shutdown(guest, SHUT_WR);
	for (unsigned int i = 0; i < data[0] % 8u + 1; i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		int r = i & 1 ? ask(&a, "guest-set-time", "time", 1, NULL, &e) : ask_behind(&a, &now, &behind, &e);

		promise(r >= 0 || e.what);
	}
	return 0;
}
