// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine's journal. The first byte: '0' as it is; '1' checksums are put right, so that what stands behind
 * them is reached; '2' lengths, too.
 */
#include <zlib.h>

#include "fuzz.h"
#include "journal.h"

static uint32_t sum(uint32_t start, const void *data, size_t size)
{
	return (uint32_t)crc32(start, data, (uInt)size);
}

/* Whatever the fuzzer made becomes a chain of records whose sums are right. */
static void put_right(uint8_t *p, size_t size, bool lengths)
{
	struct lu_journal_header *h = (void *)p;
	size_t at = offsetof(struct lu_journal_header, crc), offset;
	uint32_t chain, seq = 0;

	if (size < sizeof(*h))
		return;
	memcpy(h->magic, LU_JOURNAL_MAGIC, sizeof(h->magic));
	h->version = LU_JOURNAL_VERSION;
	h->incompat = 0;
	if (h->header_size < sizeof(*h) || h->header_size > size || h->header_size > LU_JOURNAL_HEADER_MAX ||
	    h->header_size % 8)
		h->header_size = sizeof(*h);
	h->crc = sum(sum(0, p, at), p + at + 4, h->header_size - at - 4);
	chain = h->crc;
	for (offset = h->header_size; offset + sizeof(struct lu_journal_entry) <= size;) {
		struct lu_journal_entry *t = (void *)(p + offset);

		t->salt = h->salt;
		t->seq = ++seq;
		if (lengths) {
			t->text_size %= LU_JOURNAL_TEXT_MAX + 1;
			t->length = (uint32_t)sizeof(*t) + ((t->text_size + 7) & ~7u);
		}
		if (t->length >= sizeof(*t) && t->length <= size - offset)
			t->text_crc = sum(0, t + 1, t->length - sizeof(*t));
		t->crc = sum(chain, &t->length, sizeof(*t) - sizeof(t->crc));
		chain = t->crc;
		if (t->length < sizeof(*t) || t->length > size - offset || t->length % 8)
			break;
		offset += t->length;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ uint8_t *bytes = NULL;
	struct lu_journal_record record;
	struct lu_journal_reader rd;
	int r;

	if (size < 1)
		return 0;
	bytes = exact(data + 1, size - 1);
	size--;
	if (data[0] == '1' || data[0] == '2')
		put_right(bytes, size, data[0] == '2');
	r = lu_journal_reader_init(&rd, bytes, size, "journal", &e);
	while (r >= 0 && (r = lu_journal_reader_next(&rd, &record, &e)) > 0)
		promise(strnlen(record.text, sizeof(record.text)) < sizeof(record.text));
	promise(r == 0 ? rd.offset + rd.torn == size : e.what != NULL);
	return 0;
}
