/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The journal of calls, vm/<uuid>/journal in pkernfs: what has to be done in the next kernel so that a VM's
 * passed-through devices and their address spaces are there again, call by call. It is written when the VM stands
 * still, from what the kernel told about itself, and it is what lu-init executes: nothing else. Whoever executes a
 * call appends what came of it.
 *
 * Grammar: journal = header call* seal result* [torn tail]. All integers little-endian.
 *
 *	header  struct lu_calls_header, .header_size bytes
 *	call    struct lu_calls_call, the call's name, the object's name, zeros up to a multiple of 8, then
 *	        arguments: 64-bit numbers, those of lu_call_types[] and then the elements of its list
 *	seal    struct lu_calls_seal
 *	result  struct lu_calls_result
 *
 * Contract:
 *  - Files are numbered from 0 in the order of the calls that open them. Where the kernel's struct has a descriptor,
 *    an argument has such a number (LU_CALLS_NO_FILE: none), and memory is a file and an offset, never an address.
 *    Objects of an iommufd have their ids. What a call opens or makes must get the number or id that stands there.
 *  - A call is known by name and number (that of the ioctl; 0: a system call of its own); one that is not, or whose
 *    name and number do not go together, is refused, and so are more or fewer arguments than it has.
 *  - Records are chained: each has the header's salt, the next number, and a crc32 (zlib) that starts from the crc
 *    of the record before it, the first one's from the header's. So a record of another journal, another place or
 *    another order never counts.
 *  - The seal has the count of the calls and the crc32 of all bytes before it. Nothing without a seal is executed.
 *    devices.json (version 2) has count, sum and boot id, so that the one can't be exchanged without the other.
 *  - Up to the seal every byte counts: what is cut, changed or does not fit is refused, and nothing is done.
 *  - Results are appended one at a time, each by one write(), also for calls that are tried again. They are a
 *    witness of both kernels, never needed: a proper prefix of one is a torn tail, which readers leave out and the
 *    next writer cuts off. Damage in them is told, and nothing is appended behind it, but costs no guest.
 *  - What calls mean together (each file and object exists, each id is the lowest that is free, tables before
 *    devices are attached) is lu_calls_check()'s.
 *
 * Rule for change:
 *	another call			none is needed: a reader that does not know it refuses it by name
 *	what a reader may ignore	a bit in .compat; it may make .header_size larger
 *	anything else that is new	a bit in .incompat, written only if it is used
 *	another meaning of what is there	another .version
 * Numbers and names in this file and in calls.c never change.
 *
 * Maxima: LU_CALLS_MAX calls, LU_CALLS_FILES_MAX files, names of 4095 bytes, ids up to LU_CALLS_ID_MAX;
 * LU_CALLS_SIZE_MAX bytes up to the seal, LU_CALLS_FILE_MAX with results, which are no longer written then.
 */
#include <assert.h>
#include <stdio.h>

#include "clock.h"
#include "error.h"

#define LU_CALLS_FILE "journal"
#define LU_CALLS_MAGIC "LUcalls\n"
#define LU_CALLS_VERSION 1
#define LU_CALLS_INCOMPAT_KNOWN 0u
#define LU_CALLS_HEADER_MAX 4096u
#define LU_CALLS_SIZE_MAX (32U << 20)
#define LU_CALLS_FILE_MAX (64U << 20)
#define LU_CALLS_MAX (1U << 18)
#define LU_CALLS_FILES_MAX 8192u
#define LU_CALLS_NAME_MAX 4095u
#define LU_CALLS_ID_MAX 4096u
#define LU_CALLS_VECTORS_MAX 2048u
#define LU_CALLS_NO_FILE UINT64_MAX

struct lu_calls_header {
	char magic[8];
	uint32_t version;
	uint32_t header_size;
	uint32_t compat;
	uint32_t incompat;
	uint32_t salt; /* random */
	uint32_t reserved0;
	uint64_t tsc; /* struct lu_stamp of the writing */
	uint64_t boottime_ns;
	uint64_t realtime_ns;
	uint8_t vm[16];      /* UUID */
	uint8_t boot_id[16]; /* of the kernel that told it */
	uint8_t reserved1[36];
	uint32_t crc; /* crc32 of everything before; of a larger header, then of everything after */
};
static_assert(sizeof(struct lu_calls_header) == 128, "as it is stored");

enum lu_calls_record {
	LU_CALLS_CALL = 1,
	LU_CALLS_SEAL = 2,
	LU_CALLS_RESULT = 3,
};

struct lu_calls_head {
	uint32_t crc;    /* of the rest of the record, started from the crc before */
	uint32_t length; /* of the whole record, a multiple of 8 */
	uint32_t salt;
	uint32_t seq; /* 1, 2, … over all records */
	uint32_t type;
	uint32_t reserved;
};
static_assert(sizeof(struct lu_calls_head) == 24, "as it is stored");

struct lu_calls_call {
	struct lu_calls_head head;
	uint32_t request; /* number of the ioctl, 0: a system call */
	uint32_t file;    /* that it is made on, or that it opens */
	int32_t file_id;  /* goes with the object's name */
	uint32_t expect;  /* id that the object gets, 0: makes none */
	uint16_t call_size;
	uint16_t name_size;
	uint32_t n_args; /* 64-bit numbers */
};
static_assert(sizeof(struct lu_calls_call) == 48, "as it is stored");

struct lu_calls_seal {
	struct lu_calls_head head;
	uint32_t count;
	uint32_t sum; /* crc32 of all bytes before this record */
};
static_assert(sizeof(struct lu_calls_seal) == 32, "as it is stored");

struct lu_calls_result {
	struct lu_calls_head head;
	uint64_t tsc;
	uint64_t boot; /* first 8 bytes of the boot id of the kernel that it was made in */
	uint32_t call; /* number of the call's record */
	int32_t error; /* 0 or a negative errno */
	uint32_t id;   /* that the kernel gave, 0: none */
	uint32_t reserved;
};
static_assert(sizeof(struct lu_calls_result) == 56, "as it is stored");

/* --- calls --- */

enum lu_call_kind {
	LU_CALL_OPEN_FILE,   /* a file of pkernfs; its name is the path */
	LU_CALL_MEMFD,       /* a file of the live update session */
	LU_CALL_DUP,         /* the same file under QEMU's name */
	LU_CALL_EVENTFD,     /* flags are NONBLOCK and SEMAPHORE; CLOEXEC goes without saying, here as elsewhere */
	LU_CALL_OPEN_IOMMU,  /* /dev/iommu */
	LU_CALL_OPEN_DEVICE, /* the node in /dev/vfio/devices of a PCI function: domain << 16 | bus << 8 | devfn */
	LU_CALL_IOAS,
	LU_CALL_DESTROY,
	LU_CALL_OPTION,
	LU_CALL_ALLOW, /* list: first and last address of each range */
	LU_CALL_MAP,
	LU_CALL_BIND,
	LU_CALL_HWPT,
	LU_CALL_ATTACH,
	LU_CALL_IRQS, /* list: a file for each vector */
	LU_CALL_ADD,  /* 8 bytes are written to an eventfd */
	/* of an iommufd that stands in for a container of vfio's old interface */
	LU_CALL_OPEN_GROUP,    /* the node in /dev/vfio of the IOMMU group that a PCI function is in */
	LU_CALL_STAND_IN,      /* for which of its IOAS the container's ioctls are */
	LU_CALL_SET_CONTAINER, /* of a group */
	LU_CALL_GET_DEVICE,    /* opens a function by its group, binds it and attaches it to that IOAS */
	LU_CALL_KINDS,
};

/* What is open in a file. */
enum lu_call_file {
	LU_CALL_NO_FILE,
	LU_CALL_MEMORY,
	LU_CALL_QEMU_MEMORY, /* under QEMU's name */
	LU_CALL_AN_EVENTFD,
	LU_CALL_IOMMUFD,
	LU_CALL_DEVICE,
	LU_CALL_GROUP,
};

enum lu_call_format {
	LU_CALL_NUMBER,
	LU_CALL_HEX,
	LU_CALL_FILE,
	LU_CALL_BDF,
};

#define LU_CALL_ARGS_MAX 6

/* Places of the arguments. */
enum {
	LU_OPEN_FILE_SIZE = 0,
	LU_OPEN_FILE_INODE,
	LU_MEMFD_SIZE = 0,
	LU_MEMFD_TOKEN,
	LU_DUP_FILE = 0,
	LU_EVENTFD_FLAGS = 0,
	LU_OPEN_DEVICE_BDF = 0,
	LU_DESTROY_ID = 0,
	LU_OPTION_IOAS = 0,
	LU_OPTION_OPTION,
	LU_OPTION_VALUE,
	LU_ALLOW_IOAS = 0,
	LU_MAP_IOAS = 0,
	LU_MAP_FLAGS,
	LU_MAP_IOVA,
	LU_MAP_LENGTH,
	LU_MAP_FILE,
	LU_MAP_OFFSET,
	LU_BIND_IOMMUFD = 0,
	LU_TABLE_FLAGS = 0,
	LU_TABLE_DEVICE,
	LU_TABLE_IOAS,
	LU_ATTACH_PT = 0,
	LU_IRQS_FLAGS = 0,
	LU_IRQS_INDEX,
	LU_ADD_COUNT = 0,
	LU_OPEN_GROUP_BDF = 0,
	LU_STAND_IN_IOAS = 0,
	LU_SET_CONTAINER_IOMMUFD = 0,
	LU_GET_DEVICE_BDF = 0,
	LU_GET_DEVICE_GROUP,
	LU_GET_DEVICE_HWPT,
};

struct lu_call_arg {
	const char *name;
	enum lu_call_format format;
	uint64_t max; /* 0: none */
};

/** struct lu_call_type - what is known of a call; part of the format */
struct lu_call_type {
	const char *name;
	uint32_t request;
	enum lu_call_file on, makes; /* one of them */
	bool has_id;                 /* makes an object, or attaching ends at one; of two, the device */
	struct lu_call_arg args[LU_CALL_ARGS_MAX];
	size_t n_args;
	struct lu_call_arg list; /* no name: none */
	size_t list_step;        /* numbers of one element */
	size_t list_max;         /* numbers */
};

extern const struct lu_call_type lu_call_types[LU_CALL_KINDS];

struct lu_call {
	enum lu_call_kind kind;
	uint32_t file;
	int32_t file_id; /* of QEMU's name, else 0 */
	uint32_t expect;
	char *name; /* of the file, as QEMU has it, or a path in pkernfs; may be empty for a memfd */
	uint64_t args[LU_CALL_ARGS_MAX];
	uint64_t *list;
	size_t n_list; /* numbers */
};

struct lu_calls_outcome {
	uint64_t tsc, boot;
	uint32_t call; /* 1: the first */
	int error;
	uint32_t id;
};

/** struct lu_calls - a journal in memory */
struct lu_calls {
	char vm[37], boot_id[37];
	struct lu_stamp stamp;
	uint32_t salt, compat;
	struct lu_call *list;
	size_t n;
	/* what lu_calls_index() finds, decoding included */
	size_t *opened; /* by file: which call opens it */
	uint32_t n_files;
	size_t *binds; /* which calls bind */
	size_t n_binds;
	/* by encoding or decoding */
	uint32_t sum;
	size_t sealed; /* bytes up to the end of the seal */
	/* by decoding: what was appended */
	struct lu_calls_outcome *outcomes;
	size_t n_outcomes;
	size_t end;            /* of the last good record */
	size_t torn;           /* bytes of a torn tail behind it */
	uint32_t seq, chain;   /* of the last good record */
	bool outcomes_damaged; /* at @end */
};

#define LU_CALLS_INIT ((struct lu_calls){ 0 })

void lu_calls_clear(struct lu_calls *c);
#define _cleanup_calls_ _cleanup_(lu_calls_clear)

/** lu_calls_add() - a new call behind the others, to be filled in; NULL: no memory. The pointer is good until the next */
struct lu_call *lu_calls_add(struct lu_calls *c, enum lu_call_kind kind, uint32_t file, const char *name,
			     int32_t file_id);

/** lu_calls_index() - after the list has changed; 0, -ENOMEM, or -EBADMSG if files are not opened in their order */
int lu_calls_index(struct lu_calls *c, struct lu_error *e);

/** lu_call_bdf() - "0000:00:04.0" of what LU_CALL_OPEN_DEVICE has; lu_call_bdf_number() - the reverse, of a valid one */
void lu_call_bdf(uint64_t number, char ret[24]);
uint64_t lu_call_bdf_number(const char *bdf);

/** lu_call_describe() - "device 0000:00:04.0: attaching it to HWPT 2 of IOAS 4", for errors and lists */
void lu_call_describe(const struct lu_calls *c, size_t i, FILE *f);

/* --- who reads it --- */

/*
 * Stand in every program that executes journals of this version, so that the old kernel's luctld can look for them. Those
 * before there were calls of containers have the first only, and look for no more.
 */
#define LU_CALLS_READER "luctl: executes journals of calls, version 1\n"
#define LU_CALLS_READER_CONTAINERS "luctl: executes calls of containers\n"

/** lu_calls_is_reader() - does a program, as it lies in its file, execute what we write? */
bool lu_calls_is_reader(const void *program, size_t size);

/* --- bytes --- */

/** lu_calls_encode() - header, calls and seal; free() them. Sets @c's sum, sealed, end, seq and chain */
int lu_calls_encode(struct lu_calls *c, void **ret, size_t *ret_size, struct lu_error *e);

/**
 * lu_calls_decode() - any bytes to a journal, of which each call is known and has its arguments
 * @path: what errors call the file
 *
 * Return: 0; -EBADMSG (none, cut, damaged, not sealed), -EOPNOTSUPP (another version, an unknown call), -EFBIG,
 * -ENOMEM; @e names the place.
 */
int lu_calls_decode(const void *data, size_t size, const char *path, struct lu_calls *ret, struct lu_error *e);

/** lu_calls_encode_outcome() - the next record to be appended; moves @c's seq, chain and end on */
void lu_calls_encode_outcome(struct lu_calls *c, const struct lu_calls_outcome *outcome, struct lu_calls_result *ret);

/* --- meaning --- */

/**
 * lu_calls_check() - could these calls be made, one after the other, in an empty process?
 *
 * Each file and object is there when it is used, each new object gets the lowest id that is free and that is the one
 * that stands there, tables are complete before a device is attached, and in the end all devices are.
 *
 * Return: 0, -EBADMSG with the first call that could not, or -ENOMEM.
 */
int lu_calls_check(const struct lu_calls *c, const char *path, struct lu_error *e);

/**
 * lu_calls_same() - does the kernel tell the same now?
 * @now: derived from a fresh answer; what is counted in eventfds is passed over, for that moves by itself
 *
 * Return: 0; -EBUSY with the first difference.
 */
int lu_calls_same(const struct lu_calls *then, const struct lu_calls *now, struct lu_error *e);
