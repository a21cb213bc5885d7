/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Shared by the files of daemon/blocks only. */
#include "blocks.h"

#define NODES_MAX 8192u
#define CHILDREN_MAX 32768u
#define FRONTS_MAX 4096u
#define OPTIONS_MAX 2048u /* of one word */
#define DEPTH_MAX 300u    /* layers below one another */

/*
 * Options of a node as QEMU itself flattens them: "file.driver" → "file", "children.0.filename" → "/x". A value is a
 * text, whatever it was in JSON; true and false are "on" and "off". NULL: null.
 */
struct lu_block_option {
	char *key, *value;
};

struct lu_block_options {
	struct lu_block_option *list;
	size_t n;
};

void lu_block_options_clear(struct lu_block_options *o);

/** lu_block_options_set() - replaces what is there; -E2BIG */
int lu_block_options_set(struct lu_block_options *o, const char *key, const char *value);

/** lu_block_options_add_json() - those that are there already stay; -EBADMSG if @text is no object */
int lu_block_options_add_json(struct lu_block_options *o, const char *text);

/**
 * lu_block_options_parse() - "a=b,c.d=e"; ",," is a comma
 * @implied: key of a first item that has none; NULL: such an item is a switch, as in -drive ("readonly", "noreadonly")
 */
int lu_block_options_parse(struct lu_block_options *o, const char *text, const char *implied);

/** lu_block_options_drop() - 1 with the value if it was there (free() it), else 0 */
int lu_block_options_drop(struct lu_block_options *o, const char *key, char **ret);

/** struct lu_block_view - the options of one node within those of a word */
struct lu_block_view {
	const struct lu_block_options *o;
	char *prefix; /* "", "file.", … */
};

void lu_block_view_clear(struct lu_block_view *v);
#define _cleanup_view_ _cleanup_(lu_block_view_clear)

int lu_block_view_make(struct lu_block_view *ret, const struct lu_block_options *o, const char *prefix);
/** lu_block_view_child() - what is below "KEY." */
int lu_block_view_child(const struct lu_block_view *v, const char *key, struct lu_block_view *ret);
/** lu_block_view_find() - the option itself, or NULL; its value may be NULL, too */
const struct lu_block_option *lu_block_view_find(const struct lu_block_view *v, const char *key);
const char *lu_block_view_get(const struct lu_block_view *v, const char *key);
/** lu_block_view_below() - is there any "KEY.…"? */
bool lu_block_view_below(const struct lu_block_view *v, const char *key);

/** lu_block_value_same() - "on" and "true", "1M" and "1048576" */
bool lu_block_value_same(const char *a, const char *b);
bool lu_block_value_on(const char *value);

/* As QEMU tells them, and what -drive calls them today and did long ago. */
struct lu_block_limit {
	const char *told, *option, *old;
};

extern const struct lu_block_limit lu_block_limits[LU_BLOCK_LIMITS];

/* --- the command line --- */

struct lu_block_drive {
	struct lu_block_options o; /* "filename" for what -drive calls "file" */
	char *id;                  /* NULL: QEMU makes one up */
	bool cdrom, medium, snapshot;
	char *word;
	size_t at; /* where the option stands in argv */
};

struct lu_block_made {
	struct lu_block_options o; /* of -blockdev */
	size_t at;
};

struct lu_block_device {
	char *id;    /* or NULL */
	char *drive; /* or NULL */
	bool json;   /* such are made last */
	size_t at;
};

struct lu_block_words {
	struct lu_block_drive *drives;
	size_t n_drives;
	struct lu_block_made *nodes;
	size_t n_nodes;
	struct lu_block_device *devices;
	size_t n_devices;
	char **board; /* nodes that -machine and -global name */
	size_t n_board;
};

void lu_block_words_clear(struct lu_block_words *w);

/** lu_block_words_read() - @why gets what can't be understood */
int lu_block_words_read(char *const *argv, struct lu_block_words *ret, struct lu_reasons *why);

/** lu_block_words_node() - the options of the node of that name, at whatever place; 1, or 0 if there is none */
int lu_block_words_node(const struct lu_block_words *w, const char *name, struct lu_block_view *ret);

/** struct lu_block_match - the word that a disk was compared with: drives[@which], devices[@which] */
struct lu_block_match {
	enum {
		LU_BLOCK_NO_WORD,
		LU_BLOCK_DRIVE_WORD,
		LU_BLOCK_DEVICE_WORD
	} kind;
	size_t which;
	bool differs;
};

/** lu_blocks_match() - lu_blocks_judge() with words that were read; @matches: one for each of fronts, or NULL */
int lu_blocks_match(const struct lu_blocks *b, struct lu_block_words *w, const struct lu_block_files *files,
		    struct lu_reasons *why, struct lu_block_match *matches);
