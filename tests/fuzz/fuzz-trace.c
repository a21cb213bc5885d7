// SPDX-License-Identifier: GPL-2.0-or-later
/* The flight recorder. The first byte: '0' as it is; '1' checksums and the header's fixed fields are put right. */
#include <zlib.h>

#include "fuzz.h"
#include "trace.h"

static void put_right(uint8_t *p, size_t size)
{
	struct lu_trace_header *h = (void *)p;

	if (size < sizeof(*h))
		return;
	memcpy(h->magic, LU_TRACE_MAGIC, sizeof(h->magic));
	h->version = LU_TRACE_VERSION;
	h->header_size = LU_TRACE_HEADER_SIZE;
	h->record_size = LU_TRACE_RECORD_SIZE;
	h->incompat = 0;
	h->crc = (uint32_t)crc32(0, p, offsetof(struct lu_trace_header, crc));
	for (size_t at = sizeof(*h); at + sizeof(struct lu_trace_entry) <= size; at += sizeof(struct lu_trace_entry)) {
		struct lu_trace_entry *t = (void *)(p + at);

		t->crc = (uint32_t)crc32(h->salt, (void *)t, offsetof(struct lu_trace_entry, crc));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(lu_trace_log_done) struct lu_trace_log log = { 0 };
	_cleanup_free_ struct lu_trace_interval *intervals = NULL;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t n = 0;

	if (size < 1)
		return 0;
	bytes = exact(data + 1, size - 1);
	if (data[0] == '1')
		put_right(bytes, size - 1);
	if (lu_trace_decode(bytes, size - 1, "trace", &log, &e) < 0) {
		promise(e.what);
		return 0;
	}
	promise(lu_trace_intervals(&log, &intervals, &n) == 0);
	for (size_t i = 0; i < n; i++)
		if (intervals[i].end)
			(void)lu_tsc_to_usec(&log.rate, intervals[i].end->stamp.tsc - intervals[i].begin->stamp.tsc);
	(void)lu_tsc_rate_khz(&log.rate);
	return 0;
}
