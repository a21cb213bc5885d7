// SPDX-License-Identifier: GPL-2.0-or-later
/* What a QEMU's monitor sends, in pieces whose size the first byte gives. Each message is whole, and none comes after an error. */
#include <json-c/json.h>

#include "fuzz.h"
#include "wire.h"

static void judge(const struct lu_wire_message *m)
{
	promise(m->kind != LU_WIRE_EVENT || m->event);
	promise(m->kind != LU_WIRE_ERROR || (m->error_class && m->error_desc));
	promise(m->kind != LU_WIRE_RETURN || m->has_id);
	promise(m->root);
}

/* False once the wire is broken. */
static bool drain(struct lu_wire *w)
{
	for (;;) {
		_cleanup_wire_message_ struct lu_wire_message m = LU_WIRE_MESSAGE_INIT;
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT, again = LU_ERROR_INIT;
		struct lu_wire_message none = LU_WIRE_MESSAGE_INIT;
		int r = lu_wire_next(w, &m, &e);

		if (r < 0)
			promise(e.what && lu_wire_next(w, &none, &again) < 0);
		if (r <= 0)
			return r == 0;
		judge(&m);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(lu_wire_freep) struct lu_wire *w = NULL;
	size_t step;

	if (size < 1)
		return 0;
	step = data[0] % 64 + 1;
	promise(lu_wire_new(&w) == 0);
	for (size_t at = 1; at < size; at += step) {
		size_t n = size - at < step ? size - at : step;
		_cleanup_free_ void *piece = exact(data + at, n);

		if (lu_wire_push(w, piece, n) < 0 || !drain(w))
			break;
	}
	return 0;
}
