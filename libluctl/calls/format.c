// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The journal of calls between struct and bytes; the contract is in calls.h. No I/O.
 *
 * The decoder trusts no byte: each length is compared with what is left before it is used, and what the encoder would
 * not have written is refused: reserved words, padding, a name that is no text. So there is one sequence of
 * bytes for a journal, and what was decoded and is encoded again is the same.
 *
 * What may be at the end, and what becomes of it:
 *  1. No seal: cut, or never finished. Refused.
 *  2. Behind the seal fewer bytes than a result has: torn, left out.
 *  3. Behind the seal anything else that does not fit: the results are damaged from there on, the calls are not.
 */
#include <endian.h>
#include <string.h>
#include <zlib.h>

#include "calls.h"

#define HINT_DAMAGED "nothing was done; the devices go on, and luctl restore can be tried again"
#define HINT_NEWER "use a luctl as new as the one that wrote it"
#define PADDED(n) (((n) + 7u) & ~(size_t)7u)

static uint32_t crc(uint32_t start, const void *data, size_t size)
{
	return (uint32_t)crc32_z(start, data, size);
}

static uint32_t header_crc(const uint8_t *data, uint32_t header_size)
{
	size_t at = offsetof(struct lu_calls_header, crc);
	uint32_t c = crc(crc32(0, NULL, 0), data, at);

	return crc(c, data + at + sizeof(uint32_t), header_size - at - sizeof(uint32_t));
}

static uint32_t record_crc(uint32_t chain, const void *record, size_t length)
{
	return crc(chain, (const uint8_t *)record + sizeof(uint32_t), length - sizeof(uint32_t));
}

static bool all_zero(const void *data, size_t n)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static bool is_text(const char *s, size_t n)
{
	if (n > LU_CALLS_NAME_MAX || lu_utf8_prefix(s, n) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			return false;
	return true;
}

/* --- writing --- */

static size_t n_args(const struct lu_call *call)
{
	return lu_call_types[call->kind].n_args + call->n_list;
}

static size_t call_length(const struct lu_call *call)
{
	return sizeof(struct lu_calls_call) + PADDED(strlen(lu_call_types[call->kind].name) + strlen(call->name)) +
	       n_args(call) * sizeof(uint64_t);
}

static void put_head(struct lu_calls *c, void *record, size_t length, uint32_t type)
{
	struct lu_calls_head head = {
		.length = htole32((uint32_t)length),
		.salt = htole32(c->salt),
		.seq = htole32(++c->seq),
		.type = htole32(type),
	};

	memcpy(record, &head, sizeof(head));
	c->chain = record_crc(c->chain, record, length);
	head.crc = htole32(c->chain);
	memcpy(record, &head, sizeof(head));
	c->end += length;
}

static void put_call(struct lu_calls *c, const struct lu_call *call, uint8_t *to)
{
	const struct lu_call_type *type = &lu_call_types[call->kind];
	size_t call_size = strlen(type->name), name_size = strlen(call->name);
	struct lu_calls_call fixed = {
		.request = htole32(type->request),
		.file = htole32(call->file),
		.file_id = (int32_t)htole32((uint32_t)call->file_id),
		.expect = htole32(call->expect),
		.call_size = htole16((uint16_t)call_size),
		.name_size = htole16((uint16_t)name_size),
		.n_args = htole32((uint32_t)n_args(call)),
	};
	uint8_t *at = to + sizeof(fixed);

	memcpy(to, &fixed, sizeof(fixed));
	memcpy(at, type->name, call_size);
	memcpy(at + call_size, call->name, name_size);
	at += PADDED(call_size + name_size);
	for (size_t i = 0; i < n_args(call); i++, at += sizeof(uint64_t)) {
		uint64_t v = htole64(i < type->n_args ? call->args[i] : call->list[i - type->n_args]);

		memcpy(at, &v, sizeof(v));
	}
	put_head(c, to, call_length(call), LU_CALLS_CALL);
}

static int put_header(struct lu_calls *c, uint8_t *to, struct lu_error *e)
{
	struct lu_calls_header h = {
		.magic = LU_CALLS_MAGIC,
		.version = htole32(LU_CALLS_VERSION),
		.header_size = htole32(sizeof(h)),
		.salt = htole32(c->salt),
		.tsc = htole64(c->stamp.tsc),
		.boottime_ns = htole64(c->stamp.boottime_ns),
		.realtime_ns = htole64(c->stamp.realtime_ns),
	};

	if (lu_uuid_parse(c->vm, h.vm) < 0 || lu_uuid_parse(c->boot_id, h.boot_id) < 0)
		return lu_error_set(e, -EINVAL, NULL, LU_CALLS_FILE ": VM \"%s\" or boot id \"%s\" is no UUID", c->vm,
				    c->boot_id);
	memcpy(to, &h, sizeof(h));
	c->chain = header_crc(to, sizeof(h));
	h.crc = htole32(c->chain);
	memcpy(to, &h, sizeof(h));
	c->end = sizeof(h);
	c->seq = 0;
	return 0;
}

int lu_calls_encode(struct lu_calls *c, void **ret, size_t *ret_size, struct lu_error *e)
{
	size_t size = sizeof(struct lu_calls_header) + sizeof(struct lu_calls_seal);
	struct lu_calls_seal seal = { 0 };
	_cleanup_free_ uint8_t *data = NULL;
	int r;

	if (c->n > LU_CALLS_MAX)
		return lu_error_set(e, -EFBIG, NULL, LU_CALLS_FILE ": %zu calls are more than the %u it may have", c->n,
				    LU_CALLS_MAX);
	for (size_t i = 0; i < c->n; i++) {
		if (!is_text(c->list[i].name, strlen(c->list[i].name)))
			return lu_error_set(e, -EINVAL, NULL, LU_CALLS_FILE ": call %zu: its name can't be written",
					    i + 1);
		size += call_length(&c->list[i]);
	}
	if (size > LU_CALLS_SIZE_MAX)
		return lu_error_set(e, -EFBIG, NULL, LU_CALLS_FILE ": %zu bytes are more than the %u it may have", size,
				    LU_CALLS_SIZE_MAX);
	data = calloc(1, size);
	if (!data)
		return -ENOMEM;
	r = put_header(c, data, e);
	for (size_t i = 0; i < c->n && r == 0; i++)
		put_call(c, &c->list[i], data + c->end);
	if (r < 0)
		return r;
	c->sum = crc(crc32(0, NULL, 0), data, c->end);
	seal.count = htole32((uint32_t)c->n);
	seal.sum = htole32(c->sum);
	memcpy(data + c->end, &seal, sizeof(seal));
	put_head(c, data + c->end, sizeof(seal), LU_CALLS_SEAL);
	c->sealed = c->end;
	*ret = steal_ptr(data);
	*ret_size = size;
	return 0;
}

void lu_calls_encode_outcome(struct lu_calls *c, const struct lu_calls_outcome *outcome, struct lu_calls_result *ret)
{
	*ret = (struct lu_calls_result){
		.tsc = htole64(outcome->tsc),
		.boot = outcome->boot,
		.call = htole32(outcome->call),
		.error = (int32_t)htole32((uint32_t)outcome->error),
		.id = htole32(outcome->id),
	};
	put_head(c, ret, sizeof(*ret), LU_CALLS_RESULT);
}

/* --- reading --- */

struct reader {
	const uint8_t *data;
	size_t size;
	const char *path;
	struct lu_calls *c;
	struct lu_error *e;
};

#define bad(_rd, _fmt, ...) \
	lu_error_set((_rd)->e, -EBADMSG, HINT_DAMAGED, "%s: " _fmt, (_rd)->path __VA_OPT__(, ) __VA_ARGS__)
#define bad_record(_rd, _fmt, ...) \
	bad(_rd, "record %u, byte %zu: " _fmt, (_rd)->c->seq + 1, (_rd)->c->end __VA_OPT__(, ) __VA_ARGS__)

static int get_header(struct reader *rd)
{
	struct lu_calls_header h;
	uint32_t header_size;

	if (rd->size < sizeof(h))
		return bad(rd, "%zu bytes are too short for a journal of calls", rd->size);
	memcpy(&h, rd->data, sizeof(h));
	if (memcmp(h.magic, LU_CALLS_MAGIC, sizeof(h.magic)) != 0)
		return bad(rd, "no journal of calls");
	header_size = le32toh(h.header_size);
	if (header_size < sizeof(h) || header_size > LU_CALLS_HEADER_MAX || header_size > rd->size || header_size % 8)
		return bad(rd, "header damaged (size %u)", header_size);
	if (header_crc(rd->data, header_size) != le32toh(h.crc))
		return bad(rd, "header damaged (checksum)");
	/* only now, so that damage is not taken for another version */
	if (le32toh(h.version) != LU_CALLS_VERSION || (le32toh(h.incompat) & ~LU_CALLS_INCOMPAT_KNOWN))
		return lu_error_set(rd->e, -EOPNOTSUPP, HINT_NEWER,
				    "%s: version %u with features %#x is not known here", rd->path, le32toh(h.version),
				    le32toh(h.incompat));
	/* without a compat bit nothing can be meant by these */
	if (!h.compat && (h.reserved0 || !all_zero(h.reserved1, sizeof(h.reserved1)) || header_size != sizeof(h)))
		return bad(rd, "header says more than is known here");
	rd->c->compat = le32toh(h.compat);
	rd->c->salt = le32toh(h.salt);
	rd->c->stamp = (struct lu_stamp){ le64toh(h.tsc), le64toh(h.boottime_ns), le64toh(h.realtime_ns) };
	lu_uuid_format(h.vm, rd->c->vm);
	lu_uuid_format(h.boot_id, rd->c->boot_id);
	rd->c->chain = le32toh(h.crc);
	rd->c->end = header_size;
	return 0;
}

/* The record at c->end as a whole, its head checked. */
static int get_head(struct reader *rd, struct lu_calls_head *ret)
{
	size_t left = rd->size - rd->c->end;
	const uint8_t *at = rd->data + rd->c->end;
	uint32_t length;

	if (left < sizeof(*ret))
		return bad_record(rd, "cut off: there is no seal");
	memcpy(ret, at, sizeof(*ret));
	length = le32toh(ret->length);
	if (length < sizeof(*ret) || length % 8)
		return bad_record(rd, "damaged (length %u)", length);
	if (length > left)
		return bad_record(rd, "cut off or damaged: %u bytes, but %zu are left", length, left);
	if (le32toh(ret->salt) != rd->c->salt)
		return bad_record(rd, "is of another journal, or damaged");
	if (le32toh(ret->seq) != rd->c->seq + 1)
		return bad_record(rd, "has number %u: one was left out, or they were swapped", le32toh(ret->seq));
	if (record_crc(rd->c->chain, at, length) != le32toh(ret->crc))
		return bad_record(rd, "damaged, or not the one that belongs here (checksum)");
	if (ret->reserved)
		return bad_record(rd, "says more than is known here");
	return 0;
}

static void go_on(struct reader *rd, const struct lu_calls_head *head)
{
	rd->c->seq++;
	rd->c->chain = le32toh(head->crc);
	rd->c->end += le32toh(head->length);
}

static bool is_call(const struct lu_call_type *type, const char *name, size_t size, uint32_t request)
{
	return request == type->request && strlen(type->name) == size && !memcmp(type->name, name, size);
}

static int unknown_call(const struct reader *rd, const char *name, size_t size, uint32_t request)
{
	return lu_error_set(rd->e, -EOPNOTSUPP, HINT_NEWER, "%s: call %u: \"%.*s\" (number 0x%x) is not known here",
			    rd->path, rd->c->seq + 1, is_text(name, size) ? (int)size : 1,
			    is_text(name, size) ? name : "?", request);
}

static int get_args(struct reader *rd, struct lu_call *call, const uint8_t *at, size_t n)
{
	const struct lu_call_type *type = &lu_call_types[call->kind];
	size_t list = n - type->n_args; /* may wrap, see below */

	if (n < type->n_args || (!type->list.name && list) || list > type->list_max ||
	    (type->list.name && (list == 0 || list % type->list_step)))
		return bad_record(rd, "%s has %zu arguments, which can't be", type->name, n);
	if (list) {
		call->list = calloc(list, sizeof(*call->list));
		if (!call->list)
			return -ENOMEM;
		call->n_list = list;
	}
	for (size_t i = 0; i < n; i++, at += sizeof(uint64_t)) {
		const struct lu_call_arg *arg = i < type->n_args ? &type->args[i] : &type->list;
		uint64_t v;

		memcpy(&v, at, sizeof(v));
		v = le64toh(v);
		if (arg->max && v > arg->max)
			return bad_record(rd, "%s: %s is 0x%llx, which can't be", type->name, arg->name,
					  (unsigned long long)v);
		if (i < type->n_args)
			call->args[i] = v;
		else
			call->list[i - type->n_args] = v;
	}
	return 0;
}

static int get_call(struct reader *rd, const struct lu_calls_head *head)
{
	size_t length = le32toh(head->length), call_size, name_size, names, n;
	const uint8_t *at = rd->data + rd->c->end;
	_cleanup_free_ char *name = NULL;
	struct lu_calls_call fixed;
	struct lu_call *call;
	const char *text;
	int kind = 0;

	if (length < sizeof(fixed))
		return bad_record(rd, "too short for a call");
	if (rd->c->n == LU_CALLS_MAX)
		return lu_error_set(rd->e, -EFBIG, NULL, "%s: more than %u calls", rd->path, LU_CALLS_MAX);
	memcpy(&fixed, at, sizeof(fixed));
	text = (const char *)at + sizeof(fixed);
	call_size = le16toh(fixed.call_size);
	name_size = le16toh(fixed.name_size);
	names = PADDED(call_size + name_size);
	n = le32toh(fixed.n_args);
	if (n > length / sizeof(uint64_t) || length != sizeof(fixed) + names + n * sizeof(uint64_t))
		return bad_record(rd, "its parts are not as long as it is");
	if (!all_zero(text + call_size + name_size, names - call_size - name_size))
		return bad_record(rd, "says more than is known here");
	while (kind < LU_CALL_KINDS && !is_call(&lu_call_types[kind], text, call_size, le32toh(fixed.request)))
		kind++;
	if (kind == LU_CALL_KINDS)
		return unknown_call(rd, text, call_size, le32toh(fixed.request));
	if (!is_text(text + call_size, name_size))
		return bad_record(rd, "the name of its object is no text");
	name = strndup(text + call_size, name_size);
	call = name ? lu_calls_add(rd->c, (enum lu_call_kind)kind, le32toh(fixed.file), name,
				   (int32_t)le32toh((uint32_t)fixed.file_id)) :
		      NULL;
	if (!call)
		return -ENOMEM;
	call->expect = le32toh(fixed.expect);
	if (lu_call_types[kind].has_id ? !call->expect || call->expect > LU_CALLS_ID_MAX : call->expect)
		return bad_record(rd, "%s: id %u can't be", lu_call_types[kind].name, call->expect);
	return get_args(rd, call, at + sizeof(fixed) + names, n);
}

static int get_seal(struct reader *rd, const struct lu_calls_head *head)
{
	struct lu_calls_seal seal;

	if (le32toh(head->length) != sizeof(seal))
		return bad_record(rd, "no seal: %u bytes", le32toh(head->length));
	memcpy(&seal, rd->data + rd->c->end, sizeof(seal));
	if (le32toh(seal.count) != rd->c->n)
		return bad_record(rd, "the seal is for %u calls, but there are %zu", le32toh(seal.count), rd->c->n);
	rd->c->sum = crc(crc32(0, NULL, 0), rd->data, rd->c->end);
	if (le32toh(seal.sum) != rd->c->sum)
		return bad_record(rd, "the seal is for other calls (sum %08x, but it is %08x)", le32toh(seal.sum),
				  rd->c->sum);
	return 0;
}

static int get_outcomes(struct reader *rd)
{
	struct lu_calls *c = rd->c;
	size_t room = (rd->size - c->end) / sizeof(struct lu_calls_result);

	c->outcomes = calloc(room + 1, sizeof(*c->outcomes));
	if (!c->outcomes)
		return -ENOMEM;
	while (rd->size - c->end >= sizeof(struct lu_calls_result)) {
		struct lu_calls_result result;

		memcpy(&result, rd->data + c->end, sizeof(result));
		if (le32toh(result.head.length) != sizeof(result) || le32toh(result.head.salt) != c->salt ||
		    le32toh(result.head.seq) != c->seq + 1 || le32toh(result.head.type) != LU_CALLS_RESULT ||
		    record_crc(c->chain, &result, sizeof(result)) != le32toh(result.head.crc) || result.head.reserved ||
		    result.reserved || le32toh(result.call) == 0 || le32toh(result.call) > c->n) {
			c->outcomes_damaged = true;
			return 0;
		}
		c->outcomes[c->n_outcomes++] = (struct lu_calls_outcome){
			.tsc = le64toh(result.tsc),
			.boot = result.boot,
			.call = le32toh(result.call),
			.error = (int)le32toh((uint32_t)result.error),
			.id = le32toh(result.id),
		};
		go_on(rd, &result.head);
	}
	c->torn = rd->size - c->end;
	return 0;
}

static int decode(struct reader *rd)
{
	struct lu_calls_head head;
	int r = get_header(rd);

	if (r < 0)
		return r;
	for (;;) {
		r = get_head(rd, &head);
		if (r < 0)
			return r;
		if (le32toh(head.type) == LU_CALLS_SEAL)
			break;
		if (le32toh(head.type) != LU_CALLS_CALL)
			return bad_record(rd, "is of type %u, where a call or the seal must be", le32toh(head.type));
		r = get_call(rd, &head);
		if (r < 0)
			return r;
		go_on(rd, &head);
	}
	r = get_seal(rd, &head);
	if (r < 0)
		return r;
	go_on(rd, &head);
	rd->c->sealed = rd->c->end;
	r = get_outcomes(rd);
	return r < 0 ? r : lu_calls_index(rd->c, rd->e);
}

int lu_calls_decode(const void *data, size_t size, const char *path, struct lu_calls *ret, struct lu_error *e)
{
	_cleanup_calls_ struct lu_calls c = LU_CALLS_INIT;
	struct reader rd = { .data = data, .size = size, .path = path, .c = &c, .e = e };
	int r;

	if (size > LU_CALLS_FILE_MAX)
		return lu_error_set(e, -EFBIG, HINT_DAMAGED, "%s: larger than %u bytes", path, LU_CALLS_FILE_MAX);
	r = decode(&rd);
	if (r < 0)
		return r;
	*ret = c;
	c = LU_CALLS_INIT;
	return 0;
}
