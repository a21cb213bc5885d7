/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What a guest has beneath its disks, and what a QEMU with the same command line would open there. The second is what
 * the guest gets after the update; if it is another file, layer, part or order, the guest would go on on a disk that is
 * not its own.
 *
 *	lu_blocks_read()	what QEMU says of itself, as a graph of nodes
 *	lu_block_words_read()	what its command line opens
 *	lu_block_files_read()	which files the names mean, and which it has open
 *	lu_blocks_judge()	all in which they differ, as reasons
 *	lu_blocks_text()	the graph as a text, to see that nothing has changed since
 *
 * What can't be compared counts as different. A QEMU's answers are a peer's: sizes and depths are bounded.
 */
#include <json-c/json.h>

#include "reasons.h"

struct stat;

/* --- what is there --- */

struct lu_block_child {
	char *role; /* "file", "backing", "data-file", … */
	char *node;
};

/** struct lu_block_now - a node of QEMU's block graph */
struct lu_block_now {
	char *name;
	char *driver;
	char *file; /* a file name, or "json:{…}" */
	bool read_only, encrypted;
	uint64_t size;         /* bytes that its user sees */
	bool direct, no_flush; /* how it is cached */
	char *backing;         /* what the image's header says of the layer below, as QEMU would open it; or NULL */
	char *backing_format;
	char *data_file; /* the same of a qcow2's external data file */
	struct lu_block_child *children;
	size_t n_children;
};

#define LU_BLOCK_LIMITS 12 /* bytes and requests, in all, to read and to write; the same for a burst */

/** struct lu_block_front - what a guest's device has as its disk */
struct lu_block_front {
	char *name;   /* of -drive, or "" */
	char *device; /* id of the device or its path, or NULL: none has it */
	char *node;   /* NULL: no medium */
	bool removable;
	uint64_t limits[LU_BLOCK_LIMITS]; /* 0: none */
};

struct lu_blocks {
	struct lu_block_now *nodes; /* by name */
	size_t n_nodes;
	struct lu_block_front *fronts; /* in QEMU's order */
	size_t n_fronts;
};

/**
 * lu_blocks_read() - from QEMU's answers
 * @nodes: of query-named-block-nodes with flat=true
 * @fronts: of query-block
 * @edges: of x-debug-query-block-graph; used where nodes do not tell their children (before QEMU 10.1), else may be NULL
 *
 * Return: 0; -EBADMSG, @e says what is wrong with them; -E2BIG; -ENOMEM.
 */
int lu_blocks_read(struct json_object *nodes, struct json_object *fronts, struct json_object *edges,
		   struct lu_blocks **ret, struct lu_error *e);
struct lu_blocks *lu_blocks_free(struct lu_blocks *b);
DEFINE_CLEANUP(struct lu_blocks *, lu_blocks_free)

/** lu_blocks_node() - by name, or NULL */
const struct lu_block_now *lu_blocks_node(const struct lu_blocks *b, const char *name);

/** lu_blocks_file_of() - for people: the file at the bottom of a node, rather than QEMU's account of what lies over it */
const char *lu_blocks_file_of(const struct lu_blocks *b, const struct lu_block_now *n);

/* --- what the names mean --- */

/** struct lu_block_files - the files of a process: how it sees paths, and what it has open */
struct lu_block_files;

/** lu_block_files_read() - of process @pid in /proc; -ESRCH if it is gone */
int lu_block_files_read(int proc_fd, pid_t pid, struct lu_block_files **ret);
struct lu_block_files *lu_block_files_free(struct lu_block_files *f);
DEFINE_CLEANUP(struct lu_block_files *, lu_block_files_free)

/** lu_block_files_stat() - what @path, also a relative one, means for the process now */
int lu_block_files_stat(const struct lu_block_files *f, const char *path, struct stat *ret);

/** lu_block_files_same() - is it the same file, or device, under two names? */
bool lu_block_files_same(const struct stat *a, const struct stat *b);

/** lu_block_files_has() - does the process have this very file (or device) open? */
bool lu_block_files_has(const struct lu_block_files *f, const struct stat *st);

/* --- the verdict --- */

/**
 * lu_blocks_judge() - all in which @b differs from what @argv would open
 *
 * Return: 0, also if @why has got something; -ENOMEM.
 */
int lu_blocks_judge(const struct lu_blocks *b, char *const *argv, const struct lu_block_files *files,
		    struct lu_reasons *why);

/**
 * lu_blocks_rewrite() - words with which the next QEMU opens what is beneath the disks now
 * @ret: free by lu_argv_free()
 *
 * What is proposed is judged as the command line itself would be, so it is right or there is none: only what
 * QEMU tells all of can be written down (files, raw and qcow2 without encryption).
 *
 * Return: 1; 0 there is none; -ENOMEM.
 */
int lu_blocks_rewrite(const struct lu_blocks *b, char *const *argv, const struct lu_block_files *files, char ***ret);

/** lu_blocks_text() - the graph beneath the guest's devices and the identity of its files; free() it */
int lu_blocks_text(const struct lu_blocks *b, const struct lu_block_files *files, char **ret);
