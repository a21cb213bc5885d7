// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The journal of calls as bytes. What was encoded is decoded and encoded to the same; up to the seal every truncation and
 * every flipped bit is refused, in words that name the file; what has right checksums and still can't be is refused for
 * what it is; results that are cut or damaged cost no call.
 *
 *	test-calls-format version-1.journal
 */
#include <endian.h>
#include <zlib.h>

#include "test.h"

#include "sample-calls.h"

static const char *version_1;

struct bytes {
	uint8_t *p;
	size_t n;
};

static struct bytes sample(const char *vm, uint32_t salt)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_calls_ struct lu_calls c;
	struct bytes b;
	void *p;

	sample_calls(&c);
	snprintf(c.vm, sizeof(c.vm), "%s", vm);
	c.salt = salt;
	expect(lu_calls_encode(&c, &p, &b.n, &e) == 0, "%s", e.what);
	assert_int_equal(c.sealed, b.n);
	b.p = p;
	return b;
}

/* Decoded from memory of exactly that size, so that a sanitizer sees each byte that is read beyond. */
static int decode(const uint8_t *data, size_t size, struct lu_calls *ret, struct lu_error *e)
{
	uint8_t *copy = malloc(size ?: 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, data, size);
	r = lu_calls_decode(copy, size, "web1/journal", ret, e);
	free(copy);
	return r;
}

static void refused(const struct bytes *b, int code, const char *text, const char *what)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_calls c;
	int r = decode(b->p, b->n, &c, &e);

	expect(r == code, "%s: %d, %s", what, r, e.what ?: "no words");
	expect(e.what && !strncmp(e.what, "web1/journal: ", 14) && e.hint, "%s: %s", what, e.what ?: "no words");
	expect(strstr(e.what, text), "%s: %s", what, e.what);
}

static void test_round(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct bytes b = sample(SAMPLE_VM, 7);
	_cleanup_calls_ struct lu_calls c, want;
	void *again;
	size_t n;

	sample_calls(&want);
	expect(decode(b.p, b.n, &c, &e) == 0, "%s", e.what);
	assert_string_equal(c.vm, SAMPLE_VM);
	assert_string_equal(c.boot_id, SAMPLE_BOOT);
	assert_true(c.salt == 7 && c.stamp.tsc == 1000000 && c.stamp.realtime_ns == 1700000000000000000);
	assert_int_equal(c.n, want.n);
	assert_int_equal(c.n_files, 9);
	assert_int_equal(c.n_binds, 2);
	expect(lu_calls_same(&c, &want, &e) == 0, "%s", e.what);
	expect(lu_calls_check(&c, "web1/journal", &e) == 0, "%s", e.what);
	assert_int_equal(lu_calls_encode(&c, &again, &n, &e), 0);
	assert_true(n == b.n && !memcmp(again, b.p, n));
	free(again);
	free(b.p);
}

/* Of a VM without calls: header and seal */
static void test_empty(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_calls c = { .vm = SAMPLE_VM, .boot_id = SAMPLE_BOOT }, back;
	size_t n;
	void *p;

	assert_int_equal(lu_calls_encode(&c, &p, &n, &e), 0);
	expect(lu_calls_decode(p, n, "journal", &back, &e) == 0, "%s", e.what);
	assert_int_equal(back.n, 0);
	assert_int_equal(lu_calls_check(&back, "journal", &e), 0);
	lu_calls_clear(&back);
	free(p);
	strcpy(c.vm, "no uuid");
	assert_int_equal(lu_calls_encode(&c, &p, &n, &e), -EINVAL);
}

static void test_every_truncation(void **state)
{
	struct bytes b = sample(SAMPLE_VM, 7);
	size_t whole = b.n;

	for (b.n = 0; b.n < whole; b.n++)
		refused(&b, -EBADMSG, "", "cut");
	b.n = whole - 1;
	refused(&b, -EBADMSG, "cut off", "cut in the seal");
	b.n = whole - sizeof(struct lu_calls_seal);
	refused(&b, -EBADMSG, "there is no seal", "cut before the seal");
	free(b.p);
}

static void test_every_bit(void **state)
{
	struct bytes b = sample(SAMPLE_VM, 7);

	for (size_t i = 0; i < b.n * 8; i++) {
		char what[32];

		snprintf(what, sizeof(what), "byte %zu, bit %zu", i / 8, i % 8);
		b.p[i / 8] ^= (uint8_t)(1U << i % 8);
		refused(&b, -EBADMSG, "", what);
		b.p[i / 8] ^= (uint8_t)(1U << i % 8);
	}
	free(b.p);
}

/* --- records in other places --- */

/* Where record @n begins, from 0; the one behind the last is the end. */
static size_t record_at(const struct bytes *b, size_t n)
{
	size_t at = sizeof(struct lu_calls_header);

	while (n-- > 0) {
		struct lu_calls_head head;

		memcpy(&head, b->p + at, sizeof(head));
		at += le32toh(head.length);
	}
	return at;
}

static void cut_out(struct bytes *b, size_t n)
{
	size_t from = record_at(b, n), to = record_at(b, n + 1);

	memmove(b->p + from, b->p + to, b->n - to);
	b->n -= to - from;
}

/* Records @n and @n + 1 in the other order */
static void swap(struct bytes *b, size_t n)
{
	size_t a = record_at(b, n), m = record_at(b, n + 1), z = record_at(b, n + 2);
	uint8_t *copy = malloc(m - a);

	assert_non_null(copy);
	memcpy(copy, b->p + a, m - a);
	memmove(b->p + a, b->p + m, z - m);
	memcpy(b->p + a + (z - m), copy, m - a);
	free(copy);
}

/* What somebody writes who knows the format: numbers, checksums and seal are right. */
static void reseal(struct bytes *b)
{
	struct lu_calls_header h;
	uint32_t chain, seq = 0, count = 0;
	size_t size;

	memcpy(&h, b->p, sizeof(h));
	size = le32toh(h.header_size);
	chain = (uint32_t)crc32(0, b->p, offsetof(struct lu_calls_header, crc));
	chain = (uint32_t)crc32(chain, b->p + sizeof(h), (uInt)(size - sizeof(h)));
	h.crc = htole32(chain);
	memcpy(b->p, &h, sizeof(h));
	for (size_t at = size; at < b->n;) {
		struct lu_calls_head head;
		uint32_t length;

		memcpy(&head, b->p + at, sizeof(head));
		length = le32toh(head.length);
		head.seq = htole32(++seq);
		memcpy(b->p + at, &head, sizeof(head));
		if (le32toh(head.type) == LU_CALLS_SEAL) {
			struct lu_calls_seal *seal = (void *)(b->p + at);

			seal->count = htole32(count);
			seal->sum = htole32((uint32_t)crc32(0, b->p, (uInt)at));
		}
		chain = (uint32_t)crc32(chain, b->p + at + 4, length - 4);
		memcpy(b->p + at, &chain, 4);
		count++;
		at += length;
	}
}

static void test_other_places(void **state)
{
	for (size_t n = 0; n < 30; n++) {
		struct bytes b = sample(SAMPLE_VM, 7);

		swap(&b, n);
		refused(&b, -EBADMSG, "left out, or they were swapped", "swapped");
		free(b.p);
		b = sample(SAMPLE_VM, 7);
		cut_out(&b, n);
		refused(&b, -EBADMSG, "left out, or they were swapped", "left out");
		free(b.p);
	}
}

static void test_anothers(void **state)
{
	struct bytes b = sample(SAMPLE_VM, 7), other = sample("11111111-2222-4333-8444-555555555556", 7);
	size_t at = record_at(&b, 9);

	/* the same calls of another VM, from some record on; even the salt is the same */
	memcpy(b.p + at, other.p + at, b.n - at);
	refused(&b, -EBADMSG, "not the one that belongs here", "another VM's records");
	free(other.p);
	other = sample(SAMPLE_VM, 8);
	memcpy(b.p + at, other.p + at, b.n - at);
	refused(&b, -EBADMSG, "is of another journal", "another time's records");
	free(b.p);
	free(other.p);
}

/* --- right checksums --- */

/* The fixed part of the first record of a call with this name */
static struct lu_calls_call *find(const struct bytes *b, const char *name)
{
	for (size_t n = 0;; n++) {
		struct lu_calls_call *call = (void *)(b->p + record_at(b, n));

		assert_int_equal(le32toh(call->head.type), LU_CALLS_CALL);
		if (le16toh(call->call_size) == strlen(name) && !memcmp(call + 1, name, strlen(name)))
			return call;
	}
}

static void unknown_version(struct bytes *b)
{
	((struct lu_calls_header *)b->p)->version = htole32(2);
}

static void unknown_incompat(struct bytes *b)
{
	((struct lu_calls_header *)b->p)->incompat = htole32(1U << 31);
}

static void reserved_header(struct bytes *b)
{
	((struct lu_calls_header *)b->p)->reserved1[35] = 1;
}

static void unknown_name(struct bytes *b)
{
	memcpy(find(b, "IOMMU_DESTROY") + 1, "IOMMU_DESTROX", 13);
}

static void unknown_request(struct bytes *b)
{
	find(b, "IOMMU_DESTROY")->request = htole32(0x3b81);
}

static void other_request(struct bytes *b)
{
	find(b, "dup")->request = htole32(0x3b81);
}

static void no_text(struct bytes *b)
{
	memset(find(b, "open") + 1, '\n', 4);
}

static void bad_name(struct bytes *b)
{
	((char *)(find(b, "open") + 1))[4] = '\xff';
}

static void padding(struct bytes *b)
{
	((char *)(find(b, "dup") + 1))[3 + 7] = 1;
	find(b, "dup")->name_size = htole16(6);
}

static void more_args(struct bytes *b)
{
	find(b, "dup")->n_args = htole32(2);
}

static void args_wrap(struct bytes *b)
{
	find(b, "dup")->n_args = htole32(0x20000001);
}

static void no_list(struct bytes *b)
{
	struct lu_calls_call *call = find(b, "VFIO_DEVICE_SET_IRQS");

	/* what were vectors is name now */
	call->name_size = htole16((uint16_t)(le16toh(call->name_size) + 3 * 8));
	call->n_args = htole32(2);
}

static void odd_list(struct bytes *b)
{
	struct lu_calls_call *call = find(b, "IOMMU_IOAS_ALLOW_IOVAS");

	call->name_size = htole16((uint16_t)(le16toh(call->name_size) + 8));
	call->n_args = htole32(4);
	memset((char *)(call + 1) + 22 + 8, 'x', 8);
}

static void high_id(struct bytes *b)
{
	find(b, "IOMMU_IOAS_ALLOC")->expect = htole32(4097);
}

static void no_id(struct bytes *b)
{
	find(b, "IOMMU_IOAS_ALLOC")->expect = 0;
}

static void needless_id(struct bytes *b)
{
	find(b, "IOMMU_DESTROY")->expect = htole32(1);
}

static void high_arg(struct bytes *b)
{
	uint64_t v = htole64(4097);

	/* one argument, at the end */
	memcpy((char *)find(b, "IOMMU_DESTROY") + le32toh(find(b, "IOMMU_DESTROY")->head.length) - 8, &v, 8);
}

static void reserved_head(struct bytes *b)
{
	find(b, "dup")->head.reserved = 1;
}

static void unknown_type(struct bytes *b)
{
	find(b, "dup")->head.type = htole32(9);
}

static void result_inside(struct bytes *b)
{
	find(b, "dup")->head.type = htole32(LU_CALLS_RESULT);
}

static void file_number(struct bytes *b)
{
	find(b, "dup")->file = htole32(3);
}

#define CASE(_change, ...)                     \
	{                                      \
#_change, _change, __VA_ARGS__ \
	}
static const struct {
	const char *name;
	void (*change)(struct bytes *b);
	int code;
	const char *text;
} cases[] = {
	CASE(unknown_version, -EOPNOTSUPP, "version 2 with features 0"),
	CASE(unknown_incompat, -EOPNOTSUPP, "features 0x80000000"),
	CASE(reserved_header, -EBADMSG, "says more than is known"),
	CASE(unknown_name, -EOPNOTSUPP, "\"IOMMU_DESTROX\" (number 0x3b80) is not known"),
	CASE(unknown_request, -EOPNOTSUPP, "\"IOMMU_DESTROY\" (number 0x3b81) is not known"),
	CASE(other_request, -EOPNOTSUPP, "\"dup\" (number 0x3b81) is not known"),
	CASE(no_text, -EOPNOTSUPP, "\"?\" (number 0x0) is not known"),
	CASE(bad_name, -EBADMSG, "is no text"),
	CASE(padding, -EBADMSG, "says more than is known"),
	CASE(more_args, -EBADMSG, "not as long as it is"),
	CASE(args_wrap, -EBADMSG, "not as long as it is"),
	CASE(no_list, -EBADMSG, "is no text"),
	CASE(odd_list, -EBADMSG, "IOMMU_IOAS_ALLOW_IOVAS has 4 arguments"),
	CASE(high_id, -EBADMSG, "IOMMU_IOAS_ALLOC: id 4097 can't be"),
	CASE(no_id, -EBADMSG, "IOMMU_IOAS_ALLOC: id 0 can't be"),
	CASE(needless_id, -EBADMSG, "IOMMU_DESTROY: id 1 can't be"),
	CASE(high_arg, -EBADMSG, "IOMMU_DESTROY: id is 0x1001, which can't be"),
	CASE(reserved_head, -EBADMSG, "says more than is known"),
	CASE(unknown_type, -EBADMSG, "is of type 9"),
	CASE(result_inside, -EBADMSG, "is of type 3"),
};

static void test_cases(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_calls c;
	struct bytes b;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		b = sample(SAMPLE_VM, 7);
		cases[i].change(&b);
		reseal(&b);
		refused(&b, cases[i].code, cases[i].text, cases[i].name);
		free(b.p);
	}
	b = sample(SAMPLE_VM, 7);
	file_number(&b);
	reseal(&b);
	assert_int_equal(decode(b.p, b.n, &c, &e), -EBADMSG);
	expect(strstr(e.what, "opens file 3, but 2 would be the next"), "%s", e.what);
	free(b.p);
}

/* A seal for more or other calls than there are */
static void test_seal(void **state)
{
	static const char *const texts[] = { "the seal is for 99 calls", "the seal is for other calls", "no seal" };

	for (int i = 0; i < 3; i++) {
		struct bytes b = sample(SAMPLE_VM, 7);
		struct lu_calls_seal *seal = (void *)(b.p + b.n - sizeof(*seal));
		size_t at = b.n - sizeof(*seal), call_at = record_at(&b, 0);
		uint32_t chain;

		if (i == 0)
			seal->count = htole32(99);
		else if (i == 1)
			seal->sum ^= 1;
		else
			((struct lu_calls_call *)(b.p + call_at))->head.type = htole32(LU_CALLS_SEAL);
		if (i == 2) {
			reseal(&b);
			refused(&b, -EBADMSG, texts[i], texts[i]);
			free(b.p);
			continue;
		}
		/* the chain is right again, the seal is not */
		memcpy(&chain, b.p + record_at(&b, 33), 4);
		for (size_t n = 0; record_at(&b, n) < at; n++)
			memcpy(&chain, b.p + record_at(&b, n), 4);
		chain = (uint32_t)crc32(chain, b.p + at + 4, sizeof(*seal) - 4);
		memcpy(b.p + at, &chain, 4);
		refused(&b, -EBADMSG, texts[i], texts[i]);
		free(b.p);
	}
}

/* A compat bit may bring a larger header; what it means is passed over. */
static void test_compat(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct bytes b = sample(SAMPLE_VM, 7);
	size_t at = sizeof(struct lu_calls_header);
	struct lu_calls_header *h;
	struct lu_calls c;

	b.p = realloc(b.p, b.n + 64);
	assert_non_null(b.p);
	memmove(b.p + at + 64, b.p + at, b.n - at);
	memset(b.p + at, 0xee, 64);
	b.n += 64;
	h = (void *)b.p;
	h->header_size = htole32(192);
	reseal(&b);
	refused(&b, -EBADMSG, "header says more", "larger without a bit");
	h->compat = htole32(1U << 9);
	h->reserved1[0] = 1;
	reseal(&b);
	expect(decode(b.p, b.n, &c, &e) == 0, "%s", e.what);
	assert_true(c.compat == 1U << 9 && c.n == 33);
	lu_calls_clear(&c);
	free(b.p);
}

/* --- results --- */

static void test_results(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct bytes b = sample(SAMPLE_VM, 7);
	struct lu_calls c, back;
	const size_t sealed = b.n;

	expect(decode(b.p, b.n, &c, &e) == 0, "%s", e.what);
	for (uint32_t i = 1; i <= 3; i++) {
		struct lu_calls_outcome o = {
			.tsc = 100 * i, .boot = 42, .call = i, .error = i == 2 ? -EINVAL : 0, .id = i
		};
		struct lu_calls_result result;

		lu_calls_encode_outcome(&c, &o, &result);
		b.p = realloc(b.p, b.n + sizeof(result));
		assert_non_null(b.p);
		memcpy(b.p + b.n, &result, sizeof(result));
		b.n += sizeof(result);
	}
	assert_int_equal(c.end, b.n);
	for (size_t n = sealed; n <= b.n; n++) {
		size_t whole = (n - sealed) / sizeof(struct lu_calls_result);

		expect(decode(b.p, n, &back, &e) == 0, "%s", e.what);
		assert_true(back.n == 33 && back.n_outcomes == whole && !back.outcomes_damaged);
		assert_true(back.end + back.torn == n && back.torn < sizeof(struct lu_calls_result));
		if (whole == 3) {
			assert_true(back.outcomes[1].error == -EINVAL && back.outcomes[1].call == 2);
			assert_true(back.outcomes[2].tsc == 300 && back.outcomes[2].id == 3);
			assert_true(back.seq == c.seq && back.chain == c.chain);
		}
		lu_calls_clear(&back);
	}
	/* each bit: what stands before it counts, nothing behind it */
	for (size_t i = sealed * 8; i < b.n * 8; i++) {
		b.p[i / 8] ^= (uint8_t)(1U << i % 8);
		expect(decode(b.p, b.n, &back, &e) == 0, "byte %zu: %s", i / 8, e.what);
		expect(back.n == 33 && back.outcomes_damaged, "byte %zu", i / 8);
		assert_int_equal(back.n_outcomes, (i / 8 - sealed) / sizeof(struct lu_calls_result));
		lu_calls_clear(&back);
		b.p[i / 8] ^= (uint8_t)(1U << i % 8);
	}
	lu_calls_clear(&c);
	free(b.p);
}

/* What version 1 wrote at its beginning is read for good, and written the same. */
static void test_version_1(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct bytes b = sample(SAMPLE_VM, 0x12345678);
	_cleanup_calls_ struct lu_calls c;
	_cleanup_free_ char *data = NULL;
	size_t n;

	expect(lu_read_file(AT_FDCWD, version_1, 1 << 20, &data, &n) == 0, "%s", version_1);
	expect(lu_calls_decode(data, n, version_1, &c, &e) == 0, "%s", e.what);
	assert_true(c.sealed == b.n && !memcmp(data, b.p, b.n));
	assert_true(c.n_outcomes == 1 && c.outcomes[0].call == 3 && c.outcomes[0].error == -EINVAL);
	free(b.p);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_other_places),
		cmocka_unit_test(test_anothers),
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_seal),
		cmocka_unit_test(test_compat),
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_version_1),
	};

	assert_int_equal(argc, 2);
	version_1 = argv[1];

	return cmocka_run_group_tests(tests, NULL, NULL);
}
