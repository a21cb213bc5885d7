/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Between compare.c and judge.c. */
#include "blocks-internal.h"

struct lu_block_comparison {
	const struct lu_blocks *blocks;
	const struct lu_block_words *words;
	const struct lu_block_files *files;
	unsigned int depth, visits;
	bool flash; /* of firmware, only read: its content is in the guest's state, so another file of its size will do */
	char *what; /* "has /b open, where …": after the name of a disk */
};

void lu_block_comparison_clear(struct lu_block_comparison *c);

/** enum lu_block_place - what QEMU makes of options without a driver */
enum lu_block_place {
	LU_BLOCK_IMAGE, /* an image, whose format is found out */
	LU_BLOCK_FILE,  /* what an image is in */
	LU_BLOCK_NODE,  /* nothing: -blockdev must name it */
};

/**
 * lu_block_compare() - the node @node, and all beneath it, with the options @v
 * @name: file name that the word gives in another place than @v; or NULL
 *
 * Return: 0 they are the same; 1 they are not, and c->what says in what; -ENOMEM.
 */
int lu_block_compare(struct lu_block_comparison *c, const struct lu_block_view *v, const char *name, const char *node,
		     enum lu_block_place place);

/** lu_block_compare_root() - the node @node with what the command line makes by that name */
int lu_block_compare_root(struct lu_block_comparison *c, const char *node);
