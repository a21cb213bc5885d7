/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The QEMU Machine Protocol without any I/O: bytes in, messages out, and
 * commands made into bytes. Everything the peer sends is taken as hostile.
 */
#include "error.h"

struct json_object;

/*
 * Largest message taken from a peer: query-qmp-schema, the largest reply we know
 * of, has 250 kB in QEMU 11; 4 MiB leaves room and bounds what a peer makes us hold.
 */
#define LU_WIRE_MESSAGE_MAX (4U << 20)
#define LU_WIRE_DEPTH_MAX 32
/*
 * Objects and arrays of one message, and values of any kind. query-cpus-fast of 4096 vCPUs has 8,193 and some 60,000,
 * query-qmp-schema less than 10,000 and 40,000. As json-c keeps them that is at most 25 MiB and 50 MiB.
 */
#define LU_WIRE_CONTAINERS_MAX 32768u
#define LU_WIRE_VALUES_MAX 524288u

enum lu_wire_kind {
	LU_WIRE_GREETING, /* data: the object below "QMP" */
	LU_WIRE_RETURN,   /* data: what the command returned; id */
	LU_WIRE_ERROR,    /* error_class, error_desc; id (if has_id) */
	LU_WIRE_EVENT,    /* event; data: its data or NULL */
};

/** struct lu_wire_message - one message; the pointers live as long as @root */
struct lu_wire_message {
	enum lu_wire_kind kind;
	bool has_id;
	uint64_t id;
	struct json_object *data;
	const char *event;
	const char *error_class;
	const char *error_desc;
	struct json_object *root;
};

#define LU_WIRE_MESSAGE_INIT ((struct lu_wire_message){ 0 })

void lu_wire_message_clear(struct lu_wire_message *m);
#define _cleanup_wire_message_ _cleanup_(lu_wire_message_clear)

struct lu_wire;

int lu_wire_new(struct lu_wire **ret);
void lu_wire_free(struct lu_wire *w);
DEFINE_CLEANUP(struct lu_wire *, lu_wire_free)

/** lu_wire_push() - append received bytes; 0, -EMSGSIZE (too much unread), or -ENOMEM */
int lu_wire_push(struct lu_wire *w, const void *data, size_t size);

/**
 * lu_wire_next() - take the next whole message
 *
 * After an error the stream has lost its frame; every later call repeats the error.
 *
 * Return: 1 with @ret filled, 0 if more bytes are needed, -EBADMSG with @e if the peer talks no QMP.
 */
int lu_wire_next(struct lu_wire *w, struct lu_wire_message *ret, struct lu_error *e);

/**
 * lu_wire_command() - bytes of a command, ending in a newline
 * @args: object or NULL; stays the caller's
 * @ret: free() it; NUL-terminated
 */
int lu_wire_command(const char *name, struct json_object *args, uint64_t id, char **ret, size_t *ret_size);
