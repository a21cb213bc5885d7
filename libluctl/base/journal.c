// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The engine's journal; format and contract in journal.h.
 *
 * One reader serves all: lu-init, luctld at its start and the writer, which reads
 * the whole file before it appends. It takes bytes in memory and trusts none: every
 * length is compared with what is left before it is used.
 *
 * What may be at the end of a file after a crash, and what becomes of it:
 *
 *  1. fewer bytes than a record's fixed part: torn, left out. (Its crc can't be checked,
 *     but a proper prefix is all that one interrupted append leaves.)
 *  2. a whole and valid fixed part whose text ends beyond the file: torn.
 *  3. only zeros: the size was extended, the data never arrived: torn.
 *  4. anything else that does not fit is damage, wherever it stands: -EBADMSG with
 *     the offset. In particular a complete last record with one wrong bit: to drop it
 *     would take a state back that was durable, and its effect may have run.
 *
 * A torn record was never durable, so its effect never ran: leaving it out is right.
 *
 * Appending: one write() at the end, then fdatasync(). If either fails the file is cut
 * back to where the record began; if that fails too, the journal is broken and says
 * so to every further append. Nothing is ever written behind a torn record.
 *
 * Locks: flock() on the open file, so that two daemons can't both append; the lock ends with
 * the process. Creating replaces the file by a rename, so the old file's lock
 * does not stand in the way of a new update (whoever calls it holds the old one).
 *
 * Not handled: readers beside a writer see a torn tail where a record is just being
 * written; that is what they should see. Several writers in turn (lu-init, then luctld)
 * each validate everything anew.
 */
#include <assert.h>
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <zlib.h>

#include "journal.h"

#define HINT_DAMAGED "the journal of an update is damaged; see the runbook, \"A damaged journal\""
#define ENTRY_SIZE ((uint32_t)sizeof(struct lu_journal_entry))
#define PADDED(n) (((n) + 7u) & ~7u)
#define RECORD_MAX (ENTRY_SIZE + PADDED(LU_JOURNAL_TEXT_MAX))

struct lu_journal {
	int fd;
	char *path;
	struct lu_journal_info info;
	uint8_t boot_id[16];
	size_t size; /* end of the last good record */
	uint32_t chain;
	uint32_t seq;
	bool broken;
};

static uint32_t crc(uint32_t start, const void *data, size_t size)
{
	return (uint32_t)crc32(start, data, (uInt)size);
}

static bool all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static uint32_t header_crc(const uint8_t *data, uint32_t header_size)
{
	size_t at = offsetof(struct lu_journal_header, crc);
	uint32_t c = crc(0, data, at);

	return crc(c, data + at + sizeof(uint32_t), header_size - at - sizeof(uint32_t));
}

static uint32_t entry_crc(uint32_t chain, const struct lu_journal_entry *entry)
{
	return crc(chain, (const uint8_t *)entry + sizeof(entry->crc), sizeof(*entry) - sizeof(entry->crc));
}

int lu_journal_reader_init(struct lu_journal_reader *rd, const void *data, size_t size, const char *path,
			   struct lu_error *e)
{
	struct lu_journal_header h;
	uint32_t header_size;

	if (size > LU_JOURNAL_SIZE_MAX)
		return lu_error_set(e, -EFBIG, HINT_DAMAGED, "%s: larger than %u bytes", path, LU_JOURNAL_SIZE_MAX);
	if (size < sizeof(h))
		return lu_error_set(e, -EBADMSG, HINT_DAMAGED, "%s: too short for a journal", path);
	memcpy(&h, data, sizeof(h));
	if (memcmp(h.magic, LU_JOURNAL_MAGIC, sizeof(h.magic)) != 0)
		return lu_error_set(e, -EBADMSG, HINT_DAMAGED, "%s: not a journal", path);
	header_size = le32toh(h.header_size);
	if (header_size < sizeof(h) || header_size > LU_JOURNAL_HEADER_MAX || header_size > size || header_size % 8)
		return lu_error_set(e, -EBADMSG, HINT_DAMAGED, "%s: header damaged (size %u)", path, header_size);
	if (header_crc(data, header_size) != le32toh(h.crc))
		return lu_error_set(e, -EBADMSG, HINT_DAMAGED, "%s: header damaged (checksum)", path);
	/* Only now, so that damage is not taken for another version. */
	if (le32toh(h.version) != LU_JOURNAL_VERSION || (le32toh(h.incompat) & ~LU_JOURNAL_INCOMPAT_KNOWN))
		return lu_error_set(e, -EPROTONOSUPPORT, "use a luctl as new as the one that wrote it",
				    "%s: journal version %u with features %#x is not supported", path,
				    le32toh(h.version), le32toh(h.incompat));

	*rd = (struct lu_journal_reader){
		.data = data,
		.size = size,
		.path = path,
		.offset = header_size,
		.chain = le32toh(h.crc),
		.info.salt = le32toh(h.salt),
		.info.stamp = { le64toh(h.tsc), le64toh(h.boottime_ns), le64toh(h.realtime_ns) },
	};
	lu_uuid_format(h.update, rd->info.update);
	lu_uuid_format(h.boot_id, rd->info.boot_id);
	return 0;
}

static int damaged(const struct lu_journal_reader *rd, struct lu_error *e, const char *what)
{
	return lu_error_set(e, -EBADMSG, HINT_DAMAGED, "%s: damaged at offset %zu: %s", rd->path, rd->offset, what);
}

int lu_journal_reader_next(struct lu_journal_reader *rd, struct lu_journal_record *ret, struct lu_error *e)
{
	size_t left = rd->size - rd->offset;
	const uint8_t *at = rd->data + rd->offset;
	struct lu_journal_entry entry;
	uint32_t length, text_size;

	rd->torn = 0;
	if (left == 0)
		return 0;
	if (left < ENTRY_SIZE || all_zero(at, left)) {
		rd->torn = left;
		return 0;
	}
	memcpy(&entry, at, sizeof(entry));
	if (entry_crc(rd->chain, &entry) != le32toh(entry.crc))
		return damaged(rd, e, "checksum of a record");
	length = le32toh(entry.length);
	text_size = le32toh(entry.text_size);
	if (le32toh(entry.salt) != rd->info.salt)
		return damaged(rd, e, "record of another journal");
	if (le32toh(entry.seq) != rd->seq + 1)
		return damaged(rd, e, "sequence number");
	if (text_size > LU_JOURNAL_TEXT_MAX || length != ENTRY_SIZE + PADDED(text_size))
		return damaged(rd, e, "length of a record");
	if (length > left) {
		rd->torn = left;
		return 0;
	}
	if (crc(0, at + ENTRY_SIZE, length - ENTRY_SIZE) != le32toh(entry.text_crc))
		return damaged(rd, e, "checksum of a text");

	*ret = (struct lu_journal_record){
		.seq = le32toh(entry.seq),
		.type = le32toh(entry.type),
		.state = le32toh(entry.state),
		.event = le32toh(entry.event),
		.error = (int)le32toh((uint32_t)entry.error),
		.stamp = { le64toh(entry.tsc), le64toh(entry.boottime_ns), le64toh(entry.realtime_ns) },
	};
	lu_uuid_format(entry.boot_id, ret->boot_id);
	/* Valid by its crc, but a record's text goes to terminals: hold our own word about UTF-8 and NUL. */
	text_size = (uint32_t)lu_utf8_prefix((const char *)at + ENTRY_SIZE, text_size);
	memcpy(ret->text, at + ENTRY_SIZE, text_size);
	ret->text[text_size] = '\0';

	rd->seq++;
	rd->chain = le32toh(entry.crc);
	rd->offset += length;
	return 1;
}

/* Reads to the end; *ret_last is the last state record, .seq 0 if there is none. */
static int read_all(struct lu_journal_reader *rd, struct lu_journal_record *ret_last, struct lu_error *e)
{
	struct lu_journal_record r, last = { 0 };
	int n;

	while ((n = lu_journal_reader_next(rd, &r, e)) > 0)
		if (r.type == LU_JOURNAL_STATE)
			last = r;
	if (n < 0)
		return n;
	*ret_last = last;
	return 0;
}

int lu_journal_load(int dirfd, const char *path, struct lu_journal_info *ret_info, struct lu_journal_record *ret_last,
		    struct lu_error *e)
{
	_cleanup_free_ char *data = NULL;
	struct lu_journal_reader rd;
	struct lu_journal_record last;
	size_t size;
	int r;

	r = lu_read_file(dirfd, path, LU_JOURNAL_SIZE_MAX, &data, &size);
	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: can't read the journal: %s", path, strerror(-r));
	r = lu_journal_reader_init(&rd, data, size, path, e);
	if (r < 0)
		return r;
	r = read_all(&rd, &last, e);
	if (r < 0)
		return r;
	if (ret_info)
		*ret_info = rd.info;
	if (last.seq == 0)
		return lu_error_set(e, -ENODATA, NULL, "%s: the journal has no record", path);
	*ret_last = last;
	return 0;
}

static int boot_id_bytes(const char *boot_id, uint8_t ret[16], struct lu_error *e)
{
	char own[37];
	int r;

	if (!boot_id) {
		r = lu_boot_id(own);
		if (r < 0)
			return lu_error_set(e, r, NULL, "can't read the kernel's boot id: %s", strerror(-r));
		boot_id = own;
	}
	r = lu_uuid_parse(boot_id, ret);
	if (r < 0)
		return lu_error_set(e, r, NULL, "boot id \"%.40s\" is not a UUID", boot_id);
	return 0;
}

/* Blocks behind the end of the file; a file system that can't do that has none to give away either. */
static int reserve(const struct lu_journal *j)
{
	if (fallocate(j->fd, FALLOC_FL_KEEP_SIZE, 0, LU_JOURNAL_ROOM) == 0 || errno == EOPNOTSUPP)
		return 0;
	return -errno;
}

int lu_journal_create(int dirfd, const char *path, const char *update, const char *boot_id, struct lu_journal **ret,
		      struct lu_error *e)
{
	_cleanup_(lu_journal_freep) struct lu_journal *j = NULL;
	struct lu_stamp now = lu_stamp_now();
	struct lu_journal_header h = {
		.magic = LU_JOURNAL_MAGIC,
		.version = htole32(LU_JOURNAL_VERSION),
		.header_size = htole32(sizeof(h)),
		.tsc = htole64(now.tsc),
		.boottime_ns = htole64(now.boottime_ns),
		.realtime_ns = htole64(now.realtime_ns),
	};
	int r;

	r = lu_uuid_parse(update, h.update);
	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: update id \"%.40s\" is not a UUID", path, update);
	r = boot_id_bytes(boot_id, h.boot_id, e);
	if (r < 0)
		return r;
	if (getrandom(&h.salt, sizeof(h.salt), 0) != sizeof(h.salt))
		return lu_error_set(e, -EIO, NULL, "%s: no random number for the salt", path);
	h.crc = htole32(header_crc((const uint8_t *)&h, sizeof(h)));
	r = lu_write_file(dirfd, path, &h, sizeof(h), 0600);
	if (r < 0)
		return lu_error_set(e, r, r == -ENOSPC ? "make room in pkernfs" : NULL,
				    "%s: can't create the journal: %s", path, strerror(-r));
	r = lu_journal_open(dirfd, path, boot_id, &j, NULL, e);
	if (r < 0)
		return r;
	r = reserve(j);
	if (r < 0)
		return lu_error_set(e, r, r == -ENOSPC ? "make room in pkernfs" : NULL,
				    "%s: no room for the records to come: %s", path, strerror(-r));
	*ret = steal_ptr(j);
	return 0;
}

int lu_journal_open(int dirfd, const char *path, const char *boot_id, struct lu_journal **ret,
		    struct lu_journal_record *ret_last, struct lu_error *e)
{
	_cleanup_(lu_journal_freep) struct lu_journal *j = calloc(1, sizeof(*j));
	_cleanup_free_ char *data = NULL;
	struct lu_journal_reader rd;
	struct lu_journal_record last;
	struct stat st;
	size_t size;
	char self[32];
	int r;

	if (!j)
		return -ENOMEM;
	j->fd = -EBADF;
	j->path = strdup(path);
	if (!j->path)
		return -ENOMEM;
	r = boot_id_bytes(boot_id, j->boot_id, e);
	if (r < 0)
		return r;
	j->fd = openat(dirfd, path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	if (j->fd < 0 || fstat(j->fd, &st) < 0)
		return lu_error_set(e, -errno, NULL, "%s: can't open the journal: %s", path, strerror(errno));
	/* reading anything else could wait for ever */
	if (!S_ISREG(st.st_mode))
		return lu_error_set(e, -EBADMSG, HINT_DAMAGED, "%s: not a journal", path);
	if (flock(j->fd, LOCK_EX | LOCK_NB) < 0) {
		r = errno == EWOULDBLOCK ? -EBUSY : -errno;
		return lu_error_set(e, r, "is another luctld running?", "%s: can't lock the journal: %s", path,
				    strerror(-r));
	}
	/* The file that is locked, not what the name may mean by now. */
	snprintf(self, sizeof(self), "/proc/self/fd/%d", j->fd);
	r = lu_read_file(AT_FDCWD, self, LU_JOURNAL_SIZE_MAX, &data, &size);
	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: can't read the journal: %s", path, strerror(-r));
	r = lu_journal_reader_init(&rd, data, size, path, e);
	if (r < 0)
		return r;
	r = read_all(&rd, &last, e);
	if (r < 0)
		return r;
	if (rd.torn > 0 && (ftruncate(j->fd, (off_t)rd.offset) < 0 || fdatasync(j->fd) < 0))
		return lu_error_set(e, -errno, NULL, "%s: can't cut off a torn record: %s", path, strerror(errno));
	if (rd.torn > 0)
		(void)reserve(j);
	j->info = rd.info;
	j->size = rd.offset;
	j->chain = rd.chain;
	j->seq = rd.seq;
	if (ret_last)
		*ret_last = last;
	*ret = steal_ptr(j);
	return 0;
}

/* "what\nhint" into at most LU_JOURNAL_TEXT_MAX bytes; returns the length. */
static uint32_t cause_text(const struct lu_error *cause, char *buf)
{
	char text[LU_JOURNAL_TEXT_MAX + 1];
	size_t n;
	int r;

	if (!cause || !cause->code)
		return 0;
	r = snprintf(text, sizeof(text), "%s%s%s", cause->what ?: strerror(-cause->code), cause->hint ? "\n" : "",
		     cause->hint ?: "");
	if (r < 0)
		return 0;
	n = lu_utf8_prefix(text, strlen(text));
	memcpy(buf, text, n);
	return (uint32_t)n;
}

int lu_journal_append(struct lu_journal *j, enum lu_state state, enum lu_event event, const struct lu_error *cause,
		      struct lu_error *e)
{
	uint8_t record[RECORD_MAX] = { 0 };
	struct lu_stamp now = lu_stamp_now();
	uint32_t text_size = cause_text(cause, (char *)record + ENTRY_SIZE);
	uint32_t length = ENTRY_SIZE + PADDED(text_size);
	struct lu_journal_entry entry = {
		.length = htole32(length),
		.salt = htole32(j->info.salt),
		.seq = htole32(j->seq + 1),
		.type = htole32(LU_JOURNAL_STATE),
		.state = htole32(state),
		.event = htole32(event),
		.error = (int32_t)htole32((uint32_t)(cause ? cause->code : 0)),
		.tsc = htole64(now.tsc),
		.boottime_ns = htole64(now.boottime_ns),
		.realtime_ns = htole64(now.realtime_ns),
		.text_size = htole32(text_size),
		.text_crc = htole32(crc(0, record + ENTRY_SIZE, length - ENTRY_SIZE)),
	};
	int r;

	if (j->broken)
		return lu_error_set(e, -ENOTRECOVERABLE, HINT_DAMAGED,
				    "%s: an earlier write failed and could not be taken back", j->path);
	if (j->size + length > LU_JOURNAL_SIZE_MAX)
		return lu_error_set(e, -EFBIG, "restart the update", "%s: the journal is full", j->path);
	memcpy(entry.boot_id, j->boot_id, sizeof(entry.boot_id));
	entry.crc = htole32(entry_crc(j->chain, &entry));
	memcpy(record, &entry, sizeof(entry));

	r = lu_write_all(j->fd, record, length);
	if (r == 0 && fdatasync(j->fd) < 0)
		r = -errno;
	if (r < 0) {
		if (ftruncate(j->fd, (off_t)j->size) < 0 || fdatasync(j->fd) < 0)
			j->broken = true;
		(void)reserve(j); /* what was cut off took the reserve along */
		return lu_error_set(e, r, r == -ENOSPC ? "make room in pkernfs" : NULL,
				    "%s: can't write to the journal: %s", j->path, strerror(-r));
	}
	j->size += length;
	j->chain = le32toh(entry.crc);
	j->seq++;
	return 0;
}

const struct lu_journal_info *lu_journal_info(const struct lu_journal *j)
{
	return &j->info;
}

void lu_journal_free(struct lu_journal *j)
{
	if (!j)
		return;
	closep(&j->fd);
	free(j->path);
	free(j);
}
