/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The engine's journal, update/journal in pkernfs: which state the update has
 * entered. A record is durable before the state's effect runs. The last record
 * tells whoever comes next (luctld after a crash, lu-init in the next kernel, luctld
 * in the next kernel) what may have happened, and so what to do.
 *
 * Grammar: journal = header record* [torn tail]. All integers little-endian.
 *
 *	header  the struct lu_journal_header below, .header_size bytes
 *	record  the struct lu_journal_entry below, then .text_size bytes of UTF-8,
 *	        then zeros up to a multiple of 8
 *
 * Contract:
 *  - A record counts only if its salt is the header's and its crc fits. The crc
 *    (zlib's crc32) starts from the crc of the record before it, the first one's
 *    from the header's, so a record of another journal, another place or another
 *    order never counts.
 *  - A writer appends one record by one write() and makes it durable (fdatasync)
 *    before the next. So a crash leaves at most a torn tail: a proper prefix of one
 *    record, or zeros. Readers leave it out, the next writer cuts it off. Anything
 *    else that does not fit, also in the last record, is damage and an error: a
 *    record that was durable is never silently dropped.
 *  - Unknown bits in .compat are ignored; unknown bits in .incompat, and another
 *    .version, refuse the file. .header_size may grow under a compat bit.
 *  - Records of an unknown .type are passed to the reader, who skips them.
 *  - .state is enum lu_state and .event enum lu_event, both of state.h.
 *  - .text is the error's "what went wrong\nwhat to try", the second line may be
 *    missing; empty if there is no error. It is cut at a character boundary.
 *
 * Maxima: text 1024, so a record is at most 96 + 1024 = 1120 bytes; a file is at most
 * 256 KiB, which is more than 230 of the largest records. A whole update writes 14;
 * every restart of the daemon in the new kernel at most 6 more, of 96 to 200 bytes.
 *
 * Room: LU_JOURNAL_ROOM bytes are reserved behind the end when a journal is made, for pkernfs may be full when the next kernel
 * writes. That is no part of the format: the file ends where its records end.
 *
 * Who writes: luctld; and lu-init one record, state booted (event recover), before it resumes the
 * first VM. From then on no lu-init will act on this journal again. That the saved state of a VM
 * that has run on is not used a second time does not hang on it: result.json of the VM says so (store.h).
 */
#include <assert.h>

#include "clock.h"
#include "error.h"
#include "state.h"

#define LU_JOURNAL_MAGIC "LUjrnl\r\n"
#define LU_JOURNAL_VERSION 1
#define LU_JOURNAL_INCOMPAT_KNOWN 0u
#define LU_JOURNAL_TEXT_MAX 1024u
#define LU_JOURNAL_SIZE_MAX (256u * 1024)
#define LU_JOURNAL_HEADER_MAX 4096u
#define LU_JOURNAL_ROOM (64u * 1024) /* an update with the largest records, and many restarts */

struct lu_journal_header {
	char magic[8];
	uint32_t version;
	uint32_t header_size;
	uint32_t compat;
	uint32_t incompat;
	uint32_t salt; /* random */
	uint32_t reserved0;
	uint64_t tsc; /* struct lu_stamp of the creation */
	uint64_t boottime_ns;
	uint64_t realtime_ns;
	uint8_t update[16];  /* UUID of the update */
	uint8_t boot_id[16]; /* of the kernel that began it */
	uint8_t reserved1[36];
	uint32_t crc; /* crc32 of everything before; of a larger header, then of everything after */
};
static_assert(sizeof(struct lu_journal_header) == 128, "as it is stored");

enum lu_journal_type {
	LU_JOURNAL_STATE = 1, /* the update entered .state */
};

struct lu_journal_entry {
	uint32_t crc;    /* crc32 of the rest of this struct, started from the crc before */
	uint32_t length; /* of the whole record: multiple of 8, 96…1120 */
	uint32_t salt;
	uint32_t seq; /* 1, 2, … */
	uint32_t type;
	uint32_t state;
	uint32_t event;
	int32_t error; /* 0 or a negative errno */
	uint64_t tsc;  /* struct lu_stamp */
	uint64_t boottime_ns;
	uint64_t realtime_ns;
	uint8_t boot_id[16]; /* of the kernel that wrote it */
	uint32_t text_size;
	uint32_t text_crc; /* crc32 of text and padding, from 0 */
	uint8_t reserved[16];
};
static_assert(sizeof(struct lu_journal_entry) == 96, "as it is stored");

/* What the header says. */
struct lu_journal_info {
	char update[37];
	char boot_id[37];
	uint32_t salt;
	struct lu_stamp stamp;
};

/* A record in memory. */
struct lu_journal_record {
	uint32_t seq;
	uint32_t type;
	uint32_t state;
	uint32_t event;
	int error;
	struct lu_stamp stamp;
	char boot_id[37];
	char text[LU_JOURNAL_TEXT_MAX + 1];
};

/*
 * Reading. The reader works on bytes in memory (read or mapped) and survives any:
 *
 *	r = lu_journal_reader_init(&rd, data, size, path, &e);
 *	while ((r = lu_journal_reader_next(&rd, &record, &e)) > 0)
 *		…
 */
struct lu_journal_reader {
	struct lu_journal_info info;
	size_t offset; /* after 0 from _next(): end of the last good record, where the next one goes */
	size_t torn;   /* after 0 from _next(): bytes of a torn tail */
	/* private */
	const uint8_t *data;
	size_t size;
	const char *path;
	uint32_t chain;
	uint32_t seq;
};

/**
 * lu_journal_reader_init() - check the header
 * @path: what errors call the file; kept by reference
 *
 * Return: 0, -EBADMSG (no journal, or damaged), -EPROTONOSUPPORT (of another version), -EFBIG.
 */
int lu_journal_reader_init(struct lu_journal_reader *rd, const void *data, size_t size, const char *path,
			   struct lu_error *e);

/**
 * lu_journal_reader_next() - the next record
 *
 * Return: 1 with *ret set; 0 at the end, see .offset and .torn; -EBADMSG on damage, @e names the offset.
 */
int lu_journal_reader_next(struct lu_journal_reader *rd, struct lu_journal_record *ret, struct lu_error *e);

/**
 * lu_journal_load() - read a file to its last record of type LU_JOURNAL_STATE
 * @ret_info: may be NULL
 *
 * What lu-init needs: @ret_last->state == LU_STATE_JUMP and another boot_id than ours.
 *
 * Return: 0, -ENOENT (no such file), -ENODATA (no record yet), -EBADMSG, -EPROTONOSUPPORT, ….
 */
int lu_journal_load(int dirfd, const char *path, struct lu_journal_info *ret_info, struct lu_journal_record *ret_last,
		    struct lu_error *e);

/* Writing. At most one writer: the file is locked (flock) while it is open. */
struct lu_journal;

/**
 * lu_journal_create() - begin a new journal, replacing an old one atomically
 * @update: UUID of the update
 * @boot_id: NULL for the running kernel's; every record written gets it
 *
 * Return: 0 or a negative errno; on failure the old journal is still there.
 */
int lu_journal_create(int dirfd, const char *path, const char *update, const char *boot_id, struct lu_journal **ret,
		      struct lu_error *e);

/**
 * lu_journal_open() - open for appending: validate everything, cut off a torn tail
 * @boot_id: as above
 * @ret_last: last record of type LU_JOURNAL_STATE, .seq 0 if there is none; may be NULL
 *
 * Return: 0, -ENOENT, -EBUSY (somebody else writes it), -EBADMSG, -EPROTONOSUPPORT, ….
 */
int lu_journal_open(int dirfd, const char *path, const char *boot_id, struct lu_journal **ret,
		    struct lu_journal_record *ret_last, struct lu_error *e);

/**
 * lu_journal_append() - write a state record and make it durable
 * @cause: its text and code are recorded; NULL or unset if all is well
 *
 * Return: 0 when durable; -EFBIG (journal full) or the errno of write/fdatasync. After a
 * failure the file is cut back to the last good record; when that fails too, every further
 * append fails with -ENOTRECOVERABLE, so that nothing is written behind a torn record.
 */
int lu_journal_append(struct lu_journal *j, enum lu_state state, enum lu_event event, const struct lu_error *cause,
		      struct lu_error *e);

const struct lu_journal_info *lu_journal_info(const struct lu_journal *j);

/** lu_journal_free() - close; NULL is fine */
void lu_journal_free(struct lu_journal *j);
DEFINE_CLEANUP(struct lu_journal *, lu_journal_free)
