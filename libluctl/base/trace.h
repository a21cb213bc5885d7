/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The flight recorder, update/trace in pkernfs: what happened when, in both
 * kernels, on one clock. luctld and lu-init (also its children in parallel) append
 * to the same file; the report is computed from it. It is a witness, never needed
 * for recovery, so it is not synced and a full or damaged one fails nothing.
 *
 * Grammar: trace = header record*. All integers little-endian.
 *
 *	header  struct lu_trace_header, 4096 bytes
 *	record  struct lu_trace_entry, 64 bytes
 *
 * Contract:
 *  - One record is one write() of 64 bytes in append mode: the kernel's inode lock
 *    keeps records of different processes apart, and 4096 is a multiple of 64, so
 *    no record crosses a page.
 *  - A record counts if its crc32 (of the 60 bytes before it, started from the
 *    header's salt) fits; others are skipped and counted as damaged. A last piece
 *    shorter than 64 bytes is ignored, and cut off when a writer opens the file.
 *  - Unknown kinds and phases are kept (shown by number). Unknown .incompat bits or
 *    another .version refuse the file.
 *  - .phase is enum lu_state, or enum lu_phase below; .vm is the VM's index in
 *    request.json's "vms", LU_TRACE_NO_VM if it concerns none.
 *
 * Maxima: .max_records, at most 16384, so a file is at most 4096 + 16384 * 64 bytes =
 * 1 MiB + 4 KiB. Writers that find it full drop the record and count it in .dropped,
 * which is the only field that changes after creation (outside the header's crc).
 */
#include <assert.h>

#include "clock.h"
#include "error.h"
#include "state.h"

#define LU_TRACE_MAGIC "LUtrace\n"
#define LU_TRACE_VERSION 1
#define LU_TRACE_INCOMPAT_KNOWN 0u
#define LU_TRACE_HEADER_SIZE 4096u
#define LU_TRACE_RECORD_SIZE 64u
#define LU_TRACE_RECORDS_MAX 16384u
#define LU_TRACE_TAG_MAX 20u
#define LU_TRACE_NO_VM 0xffffu

/* Phases finer than states. Numbers are part of the format; new ones go to the end. */
enum lu_phase {
	LU_PHASE_UPDATE = 64, /* the whole update; begin in the old kernel, end in the new one */
	LU_PHASE_KEXEC,       /* from the reboot call to the first instruction of lu-init, or of luctld without it */
	LU_PHASE_LU_INIT,     /* lu-init from its start to the exec of the real init */
	LU_PHASE_VM_PREPARE,  /* the following concern one VM each */
	LU_PHASE_VM_PAUSE,
	LU_PHASE_VM_SAVE,
	LU_PHASE_VM_SPAWN,    /* QEMU started until its monitor answers */
	LU_PHASE_VM_LOAD,     /* until its state is loaded */
	LU_PHASE_VM_RESUME,   /* cont, in either kernel */
	LU_PHASE_VM_BLACKOUT, /* begin: stop was answered; end: cont was answered */
	LU_PHASE_VM_ADOPT,
	LU_PHASE_UNITS, /* ordinary units stopped, or started again */
	LU_PHASE_SYNC,
	LU_PHASE_VM_DEVICES, /* passed-through devices of one VM set up again */
	LU_PHASE_MAX
};

enum lu_trace_kind {
	LU_TRACE_BEGIN = 1,
	LU_TRACE_END = 2,
	LU_TRACE_MARK = 3,
};

enum lu_trace_source {
	LU_TRACE_LUCTLD = 1,
	LU_TRACE_LU_INIT = 2,
};

struct lu_trace_header {
	char magic[8];
	uint32_t version;
	uint32_t header_size; /* 4096 */
	uint32_t record_size; /* 64 */
	uint32_t max_records;
	uint32_t compat;
	uint32_t incompat;
	uint32_t salt;
	uint32_t reserved0;
	uint8_t update[16]; /* UUID of the update */
	uint32_t reserved1[15];
	uint32_t crc;     /* crc32 of everything before */
	uint64_t dropped; /* atomically counted by all writers */
	uint8_t zero[LU_TRACE_HEADER_SIZE - 128];
};
static_assert(sizeof(struct lu_trace_header) == LU_TRACE_HEADER_SIZE, "as it is stored");

struct lu_trace_entry {
	uint64_t tsc;
	uint64_t boottime_ns;
	uint64_t realtime_ns;
	uint64_t boot; /* first 8 bytes of the boot id: stamps of one kernel share it */
	uint16_t phase;
	uint16_t vm;
	uint8_t kind;
	uint8_t source;
	int16_t result;             /* 0 or a negative errno */
	char tag[LU_TRACE_TAG_MAX]; /* short free text, padded with zeros */
	uint32_t crc;
};
static_assert(sizeof(struct lu_trace_entry) == LU_TRACE_RECORD_SIZE, "as it is stored");
static_assert(LU_TRACE_HEADER_SIZE % LU_TRACE_RECORD_SIZE == 0, "records stay aligned");

/** lu_phase_name() - of a phase or state: "jump", "vm-save"; NULL if unknown */
const char *lu_phase_name(unsigned int phase);

/* Writing. */
struct lu_trace;

/**
 * lu_trace_create() - begin a new trace, replacing an old one
 * @update: UUID of the update
 * @max_records: 0 for LU_TRACE_RECORDS_MAX
 */
int lu_trace_create(int dirfd, const char *path, const char *update, uint32_t max_records, enum lu_trace_source source,
		    struct lu_trace **ret, struct lu_error *e);

/**
 * lu_trace_open() - append to an existing one; fork()ed children may go on using it
 * @boot_id: NULL for the running kernel's
 */
int lu_trace_open(int dirfd, const char *path, const char *boot_id, enum lu_trace_source source, struct lu_trace **ret,
		  struct lu_error *e);

/**
 * lu_trace_add() - record something now
 * @t: NULL is fine and records nothing, so that callers need no second path
 * @phase: enum lu_state or enum lu_phase
 * @vm: index or LU_TRACE_NO_VM
 * @tag: may be NULL; cut to LU_TRACE_TAG_MAX bytes
 *
 * Async-signal-safe, allocates nothing. A record that can't be written is counted as dropped.
 */
void lu_trace_add(struct lu_trace *t, unsigned int phase, unsigned int vm, enum lu_trace_kind kind, int result,
		  const char *tag);

/** lu_trace_add_at() - the same with a stamp taken earlier */
void lu_trace_add_at(struct lu_trace *t, const struct lu_stamp *stamp, unsigned int phase, unsigned int vm,
		     enum lu_trace_kind kind, int result, const char *tag);

/** lu_trace_dropped() - records dropped so far by all writers of the file */
uint64_t lu_trace_dropped(const struct lu_trace *t);

void lu_trace_free(struct lu_trace *t);
DEFINE_CLEANUP(struct lu_trace *, lu_trace_free)

/* Reading. */
struct lu_trace_record {
	struct lu_stamp stamp;
	uint64_t boot;
	unsigned int phase, vm;
	enum lu_trace_kind kind;
	enum lu_trace_source source;
	int result;
	char tag[LU_TRACE_TAG_MAX + 1];
};

/* Frequency of the TSC as two distances between the same two moments; unset while .ns is 0. */
struct lu_tsc_rate {
	uint64_t tsc;
	uint64_t ns;
};

struct lu_trace_log {
	char update[37];
	struct lu_trace_record *records; /* in the order of the TSC */
	size_t n_records;
	size_t damaged;
	uint64_t dropped;
	struct lu_tsc_rate rate; /* from the two records of one boot that are farthest apart */
};

/* A begin with its end. */
struct lu_trace_interval {
	const struct lu_trace_record *begin;
	const struct lu_trace_record *end; /* NULL: never ended */
};

/** lu_trace_decode() - any bytes to a log; 0, -EBADMSG, -EPROTONOSUPPORT, -ENOMEM */
int lu_trace_decode(const void *data, size_t size, const char *path, struct lu_trace_log *ret, struct lu_error *e);

/** lu_trace_load() - the same from a file */
int lu_trace_load(int dirfd, const char *path, struct lu_trace_log *ret, struct lu_error *e);

void lu_trace_log_done(struct lu_trace_log *log);

/**
 * lu_trace_intervals() - pair begins and ends, in the order of the begins
 *
 * An end belongs to the latest open begin of the same phase and VM, in whichever
 * kernel. An end without a begin is left out.
 *
 * @ret: free() it; points into @log
 */
int lu_trace_intervals(const struct lu_trace_log *log, struct lu_trace_interval **ret, size_t *ret_n);

/** lu_tsc_rate_between() - the rate from two stamps of the same kernel; unset if they are out of order or equal */
struct lu_tsc_rate lu_tsc_rate_between(const struct lu_stamp *a, const struct lu_stamp *b);

/** lu_tsc_rate_khz() - rounded; 0 if unset */
uint64_t lu_tsc_rate_khz(const struct lu_tsc_rate *rate);

/** lu_tsc_to_usec() - a difference of TSC values in microseconds, rounded; 0 if the rate is unset */
uint64_t lu_tsc_to_usec(const struct lu_tsc_rate *rate, uint64_t tsc);
