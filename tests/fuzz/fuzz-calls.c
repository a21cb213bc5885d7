// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The journal of calls. The first byte: '0' as it is; '1' numbers, checksums and seal are put right, so that what
 * stands behind them is reached; '2' lengths, too. What is read can be written again to the same bytes, and each call
 * can be told in words.
 */
#include <zlib.h>

#include "calls.h"
#include "fuzz.h"

static uint32_t sum(uint32_t start, const void *data, size_t size)
{
	return (uint32_t)crc32_z(start, data, size);
}

static void put_head(uint8_t *p, struct lu_calls_head *head, uint32_t salt, uint32_t *seq, uint32_t *chain)
{
	head->salt = salt;
	head->seq = ++*seq;
	memcpy(p, head, sizeof(*head));
	*chain = sum(*chain, p + 4, head->length - 4);
	memcpy(p, chain, 4);
}

/* Whatever the fuzzer made becomes a chain of records whose sums are right. */
static void put_right(uint8_t *p, size_t size, bool lengths)
{
	struct lu_calls_header h;
	uint32_t chain, seq = 0, count = 0;

	if (size < sizeof(h))
		return;
	memcpy(&h, p, sizeof(h));
	memcpy(h.magic, LU_CALLS_MAGIC, sizeof(h.magic));
	h.version = LU_CALLS_VERSION;
	h.incompat = 0;
	if (h.header_size < sizeof(h) || h.header_size > size || h.header_size > LU_CALLS_HEADER_MAX ||
	    h.header_size % 8)
		h.header_size = sizeof(h);
	memcpy(p, &h, sizeof(h));
	chain = sum(sum(0, p, offsetof(struct lu_calls_header, crc)), p + sizeof(h), h.header_size - sizeof(h));
	memcpy(p + offsetof(struct lu_calls_header, crc), &chain, 4);
	for (size_t at = h.header_size; at + sizeof(struct lu_calls_head) <= size;) {
		size_t left = size - at;
		struct lu_calls_head head;
		struct lu_calls_call call;

		memcpy(&head, p + at, sizeof(head));
		if (lengths && left >= sizeof(call) && head.type == LU_CALLS_CALL) {
			memcpy(&call, p + at, sizeof(call));
			call.call_size %= 32;
			call.name_size %= 64;
			call.n_args %= 8;
			memcpy(p + at, &call, sizeof(call));
			head.length = (uint32_t)sizeof(call) + ((call.call_size + call.name_size + 7u) & ~7u) +
				      call.n_args * 8;
		}
		if (head.type == LU_CALLS_SEAL && left >= sizeof(struct lu_calls_seal)) {
			struct lu_calls_seal seal = { .count = count, .sum = sum(0, p, at) };

			memcpy(p + at + sizeof(head), (uint8_t *)&seal + sizeof(head), sizeof(seal) - sizeof(head));
			head.length = sizeof(seal);
		}
		if (head.length < sizeof(head) || head.length > left || head.length % 8)
			break;
		put_head(p + at, &head, h.salt, &seq, &chain);
		count++;
		at += head.length;
	}
}

static void in_words(const struct lu_calls *c)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	promise(f);
	for (size_t i = 0; i < c->n; i++)
		lu_call_describe(c, i, f);
	promise(fclose(f) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT, why = LU_ERROR_INIT;
	_cleanup_calls_ struct lu_calls c = LU_CALLS_INIT;
	_cleanup_free_ uint8_t *bytes = NULL;
	_cleanup_free_ void *again = NULL;
	size_t n;

	if (size < 1)
		return 0;
	bytes = exact(data + 1, size - 1);
	size--;
	if (data[0] == '1' || data[0] == '2')
		put_right(bytes, size, data[0] == '2');
	if (lu_calls_decode(bytes, size, "journal", &c, &e) < 0) {
		promise(e.what != NULL);
		return 0;
	}
	promise(c.end + c.torn == size || c.outcomes_damaged);
	in_words(&c);
	promise(lu_calls_check(&c, "journal", &why) == 0 || why.what);
	promise(lu_calls_same(&c, &c, NULL) == 0);
	n = c.sealed;
	/* of another version's header only what is known is written */
	if (!c.compat) {
		size_t size_again;

		promise(lu_calls_encode(&c, &again, &size_again, NULL) == 0);
		promise(size_again == n && !memcmp(again, bytes, n));
	}
	return 0;
}
