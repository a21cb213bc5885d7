// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The flight recorder; format and contract in trace.h.
 *
 * Writers: any number of processes. What they share is the file alone: O_APPEND
 * makes each record land at the end, the inode lock keeps records whole, and the
 * count of dropped ones is an atomic in the header page, which every writer has
 * mapped. lu_trace_add() takes no lock and allocates nothing, so a forked child of
 * lu-init can use what its parent opened.
 *
 * The bound is soft: each writer looks at the size before it appends, so n writers at the same
 * moment may exceed it by n - 1 records. Readers accept that much and more.
 *
 * Reading: records are sorted by TSC (appends of parallel writers may be a few
 * microseconds out of order). Two kernels share the TSC but nothing else; which
 * records belong to one kernel is told by .boot. The TSC's rate comes from the two
 * records of one kernel that are farthest apart: boottime and TSC are read some
 * tens of nanoseconds apart, which over a second is nothing.
 *
 * Unhappy paths: (1) file full or no space: dropped and counted; (2) the header page can't
 * be mapped: opening fails, callers go on with NULL; (3) damaged records: skipped
 * and counted; (4) a torn last record: cut off by the next lu_trace_open(), left out
 * by readers.
 *
 * Not handled: a TSC that is not invariant or differs between CPUs (the report would be wrong;
 * every CPU that can run KVM for which luctl is meant has an invariant one).
 */
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <zlib.h>

#include "trace.h"

#define FILE_MAX (LU_TRACE_HEADER_SIZE + 2 * (size_t)LU_TRACE_RECORDS_MAX * LU_TRACE_RECORD_SIZE)

struct lu_trace {
	int fd;
	struct lu_trace_header *header; /* mapped shared */
	enum lu_trace_source source;
	uint64_t boot;
	off_t max_size;
	uint32_t salt;
};

static const char *const names[] = {
	[LU_PHASE_UPDATE - LU_PHASE_UPDATE] = "update",       [LU_PHASE_KEXEC - LU_PHASE_UPDATE] = "kexec",
	[LU_PHASE_LU_INIT - LU_PHASE_UPDATE] = "lu-init",     [LU_PHASE_VM_PREPARE - LU_PHASE_UPDATE] = "vm-prepare",
	[LU_PHASE_VM_PAUSE - LU_PHASE_UPDATE] = "vm-pause",   [LU_PHASE_VM_SAVE - LU_PHASE_UPDATE] = "vm-save",
	[LU_PHASE_VM_SPAWN - LU_PHASE_UPDATE] = "vm-spawn",   [LU_PHASE_VM_LOAD - LU_PHASE_UPDATE] = "vm-load",
	[LU_PHASE_VM_RESUME - LU_PHASE_UPDATE] = "vm-resume", [LU_PHASE_VM_BLACKOUT - LU_PHASE_UPDATE] = "vm-blackout",
	[LU_PHASE_VM_ADOPT - LU_PHASE_UPDATE] = "vm-adopt",   [LU_PHASE_UNITS - LU_PHASE_UPDATE] = "units",
	[LU_PHASE_SYNC - LU_PHASE_UPDATE] = "sync",           [LU_PHASE_VM_DEVICES - LU_PHASE_UPDATE] = "vm-devices",
};
static_assert(ARRAY_SIZE(names) == LU_PHASE_MAX - LU_PHASE_UPDATE, "every phase has a name");

const char *lu_phase_name(unsigned int phase)
{
	if (phase >= LU_PHASE_UPDATE && phase < LU_PHASE_MAX)
		return names[phase - LU_PHASE_UPDATE];
	return lu_state_name(phase);
}

static uint32_t header_crc(const struct lu_trace_header *h)
{
	return (uint32_t)crc32(0, (const Bytef *)h, offsetof(struct lu_trace_header, crc));
}

static uint32_t entry_crc(uint32_t salt, const void *entry)
{
	return (uint32_t)crc32(salt, entry, offsetof(struct lu_trace_entry, crc));
}

static int check_header(const struct lu_trace_header *h, size_t size, const char *path, struct lu_error *e)
{
	if (size < sizeof(*h) || memcmp(h->magic, LU_TRACE_MAGIC, sizeof(h->magic)) != 0)
		return lu_error_set(e, -EBADMSG, NULL, "%s: not a trace", path);
	if (header_crc(h) != le32toh(h->crc))
		return lu_error_set(e, -EBADMSG, NULL, "%s: header damaged", path);
	if (le32toh(h->version) != LU_TRACE_VERSION || (le32toh(h->incompat) & ~LU_TRACE_INCOMPAT_KNOWN) ||
	    le32toh(h->header_size) != LU_TRACE_HEADER_SIZE || le32toh(h->record_size) != LU_TRACE_RECORD_SIZE)
		return lu_error_set(e, -EPROTONOSUPPORT, "use a luctl as new as the one that wrote it",
				    "%s: trace version %u with features %#x is not supported", path,
				    le32toh(h->version), le32toh(h->incompat));
	if (le32toh(h->max_records) > LU_TRACE_RECORDS_MAX)
		return lu_error_set(e, -EBADMSG, NULL, "%s: header damaged (%u records)", path,
				    le32toh(h->max_records));
	return 0;
}

int lu_trace_create(int dirfd, const char *path, const char *update, uint32_t max_records, enum lu_trace_source source,
		    struct lu_trace **ret, struct lu_error *e)
{
	struct lu_trace_header h = {
		.magic = LU_TRACE_MAGIC,
		.version = htole32(LU_TRACE_VERSION),
		.header_size = htole32(LU_TRACE_HEADER_SIZE),
		.record_size = htole32(LU_TRACE_RECORD_SIZE),
		.max_records = htole32(max_records ?: LU_TRACE_RECORDS_MAX),
	};
	int r;

	if (max_records > LU_TRACE_RECORDS_MAX)
		return lu_error_set(e, -EINVAL, NULL, "%s: more than %u records", path, LU_TRACE_RECORDS_MAX);
	r = lu_uuid_parse(update, h.update);
	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: update id \"%.40s\" is not a UUID", path, update);
	if (getrandom(&h.salt, sizeof(h.salt), 0) != sizeof(h.salt))
		return lu_error_set(e, -EIO, NULL, "%s: no random number for the salt", path);
	h.crc = htole32(header_crc(&h));
	r = lu_write_file(dirfd, path, &h, sizeof(h), 0600);
	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: can't create the trace: %s", path, strerror(-r));
	return lu_trace_open(dirfd, path, NULL, source, ret, e);
}

int lu_trace_open(int dirfd, const char *path, const char *boot_id, enum lu_trace_source source, struct lu_trace **ret,
		  struct lu_error *e)
{
	_cleanup_(lu_trace_freep) struct lu_trace *t = calloc(1, sizeof(*t));
	char own[37];
	uint8_t id[16];
	struct stat st;
	void *p;
	int r;

	if (!t)
		return -ENOMEM;
	t->fd = -EBADF;
	t->source = source;
	if (!boot_id) {
		r = lu_boot_id(own);
		if (r < 0)
			return lu_error_set(e, r, NULL, "can't read the kernel's boot id: %s", strerror(-r));
		boot_id = own;
	}
	r = lu_uuid_parse(boot_id, id);
	if (r < 0)
		return lu_error_set(e, r, NULL, "boot id \"%.40s\" is not a UUID", boot_id);
	memcpy(&t->boot, id, sizeof(t->boot));

	t->fd = openat(dirfd, path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	if (t->fd < 0 || fstat(t->fd, &st) < 0)
		return lu_error_set(e, -errno, NULL, "%s: can't open the trace: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size < LU_TRACE_HEADER_SIZE)
		return lu_error_set(e, -EBADMSG, NULL, "%s: not a trace", path);
	p = mmap(NULL, LU_TRACE_HEADER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	if (p == MAP_FAILED)
		return lu_error_set(e, -errno, NULL, "%s: can't map the trace: %s", path, strerror(errno));
	t->header = p;
	r = check_header(t->header, (size_t)st.st_size, path, e);
	if (r < 0)
		return r;
	t->salt = le32toh(t->header->salt);
	t->max_size = LU_TRACE_HEADER_SIZE + (off_t)le32toh(t->header->max_records) * LU_TRACE_RECORD_SIZE;
	if (st.st_size % LU_TRACE_RECORD_SIZE != 0 &&
	    ftruncate(t->fd, st.st_size - st.st_size % LU_TRACE_RECORD_SIZE) < 0)
		return lu_error_set(e, -errno, NULL, "%s: can't cut off a torn record: %s", path, strerror(errno));
	*ret = steal_ptr(t);
	return 0;
}

void lu_trace_add_at(struct lu_trace *t, const struct lu_stamp *stamp, unsigned int phase, unsigned int vm,
		     enum lu_trace_kind kind, int result, const char *tag)
{
	struct lu_trace_entry entry;
	struct stat st;
	ssize_t n = -1;

	if (!t)
		return;
	entry = (struct lu_trace_entry){
		.tsc = htole64(stamp->tsc),
		.boottime_ns = htole64(stamp->boottime_ns),
		.realtime_ns = htole64(stamp->realtime_ns),
		.boot = t->boot,
		.phase = htole16((uint16_t)phase),
		.vm = htole16((uint16_t)vm),
		.kind = (uint8_t)kind,
		.source = (uint8_t)t->source,
		.result = (int16_t)htole16((uint16_t)result),
	};
	for (size_t i = 0; tag && tag[i] && i < LU_TRACE_TAG_MAX; i++)
		entry.tag[i] = tag[i];
	entry.crc = htole32(entry_crc(t->salt, &entry));

	if (fstat(t->fd, &st) == 0 && st.st_size + (off_t)sizeof(entry) <= t->max_size)
		do {
			n = write(t->fd, &entry, sizeof(entry));
		} while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(entry))
		__atomic_fetch_add(&t->header->dropped, 1, __ATOMIC_RELAXED);
}

void lu_trace_add(struct lu_trace *t, unsigned int phase, unsigned int vm, enum lu_trace_kind kind, int result,
		  const char *tag)
{
	struct lu_stamp now;

	if (!t)
		return;
	now = lu_stamp_now();
	lu_trace_add_at(t, &now, phase, vm, kind, result, tag);
}

uint64_t lu_trace_dropped(const struct lu_trace *t)
{
	return t ? __atomic_load_n(&t->header->dropped, __ATOMIC_RELAXED) : 0;
}

void lu_trace_free(struct lu_trace *t)
{
	if (!t)
		return;
	if (t->header)
		munmap(t->header, LU_TRACE_HEADER_SIZE);
	closep(&t->fd);
	free(t);
}

static int compare_records(const void *a, const void *b)
{
	const struct lu_trace_record *x = a, *y = b;

	return (x->stamp.tsc > y->stamp.tsc) - (x->stamp.tsc < y->stamp.tsc);
}

static void decode_record(const struct lu_trace_entry *entry, struct lu_trace_record *ret)
{
	size_t n;

	*ret = (struct lu_trace_record){
		.stamp = { le64toh(entry->tsc), le64toh(entry->boottime_ns), le64toh(entry->realtime_ns) },
		.boot = entry->boot,
		.phase = le16toh(entry->phase),
		.vm = le16toh(entry->vm),
		.kind = entry->kind,
		.source = entry->source,
		.result = (int16_t)le16toh((uint16_t)entry->result),
	};
	n = lu_utf8_prefix(entry->tag, strnlen(entry->tag, sizeof(entry->tag)));
	memcpy(ret->tag, entry->tag, n);
}

/* In the order of the TSC one kernel's records follow another's: the longest run decides. */
static struct lu_tsc_rate find_rate(const struct lu_trace_record *records, size_t n)
{
	struct lu_tsc_rate best = { 0 };

	for (size_t first = 0, next; first < n; first = next) {
		struct lu_tsc_rate rate;

		next = first + 1;
		while (next < n && records[next].boot == records[first].boot)
			next++;
		rate = lu_tsc_rate_between(&records[first].stamp, &records[next - 1].stamp);
		if (rate.ns > best.ns)
			best = rate;
	}
	return best;
}

int lu_trace_decode(const void *data, size_t size, const char *path, struct lu_trace_log *ret, struct lu_error *e)
{
	_cleanup_free_ struct lu_trace_header *h = malloc(sizeof(*h));
	struct lu_trace_log log = { 0 };
	size_t n;
	int r;

	if (!h)
		return -ENOMEM;
	if (size > FILE_MAX)
		return lu_error_set(e, -EFBIG, NULL, "%s: larger than a trace may be", path);
	if (size < sizeof(*h))
		return lu_error_set(e, -EBADMSG, NULL, "%s: not a trace", path);
	memcpy(h, data, sizeof(*h));
	r = check_header(h, size, path, e);
	if (r < 0)
		return r;
	n = (size - sizeof(*h)) / LU_TRACE_RECORD_SIZE;
	log.records = calloc(n ?: 1, sizeof(*log.records));
	if (!log.records)
		return -ENOMEM;
	lu_uuid_format(h->update, log.update);
	log.dropped = h->dropped;
	for (size_t i = 0; i < n; i++) {
		struct lu_trace_entry entry;

		memcpy(&entry, (const uint8_t *)data + sizeof(*h) + i * sizeof(entry), sizeof(entry));
		if (entry_crc(le32toh(h->salt), &entry) == le32toh(entry.crc))
			decode_record(&entry, &log.records[log.n_records++]);
		else
			log.damaged++;
	}
	qsort(log.records, log.n_records, sizeof(*log.records), compare_records);
	log.rate = find_rate(log.records, log.n_records);
	*ret = log;
	return 0;
}

int lu_trace_load(int dirfd, const char *path, struct lu_trace_log *ret, struct lu_error *e)
{
	_cleanup_free_ char *data = NULL;
	size_t size;
	int r;

	r = lu_read_file(dirfd, path, FILE_MAX, &data, &size);
	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: can't read the trace: %s", path, strerror(-r));
	return lu_trace_decode(data, size, path, ret, e);
}

void lu_trace_log_done(struct lu_trace_log *log)
{
	free(log->records);
	*log = (struct lu_trace_log){ 0 };
}

int lu_trace_intervals(const struct lu_trace_log *log, struct lu_trace_interval **ret, size_t *ret_n)
{
	struct lu_trace_interval *list = calloc(log->n_records ?: 1, sizeof(*list));
	size_t n = 0;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < log->n_records; i++) {
		const struct lu_trace_record *r = &log->records[i];

		if (r->kind == LU_TRACE_BEGIN)
			list[n++].begin = r;
		if (r->kind != LU_TRACE_END)
			continue;
		for (size_t k = n; k-- > 0;) {
			if (!list[k].end && list[k].begin->phase == r->phase && list[k].begin->vm == r->vm) {
				list[k].end = r;
				break;
			}
		}
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

struct lu_tsc_rate lu_tsc_rate_between(const struct lu_stamp *a, const struct lu_stamp *b)
{
	if (b->tsc <= a->tsc || b->boottime_ns <= a->boottime_ns)
		return (struct lu_tsc_rate){ 0 };
	return (struct lu_tsc_rate){ .tsc = b->tsc - a->tsc, .ns = b->boottime_ns - a->boottime_ns };
}

uint64_t lu_tsc_rate_khz(const struct lu_tsc_rate *rate)
{
	if (rate->ns == 0)
		return 0;
	return (uint64_t)(((unsigned __int128)rate->tsc * 1000000u + rate->ns / 2) / rate->ns);
}

uint64_t lu_tsc_to_usec(const struct lu_tsc_rate *rate, uint64_t tsc)
{
	unsigned __int128 ns;

	if (rate->tsc == 0)
		return 0;
	ns = ((unsigned __int128)tsc * rate->ns + rate->tsc / 2) / rate->tsc;
	return (uint64_t)((ns + 500) / 1000);
}
