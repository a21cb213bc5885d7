/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Who owns which page of memory: what finds two words that point to one block. Memory it
 * takes: 4 kB for each 2 MiB in which single pages are owned, 40 bytes for a block of 2 MiB.
 */
#include "util.h"

struct lu_claims {
	void *regions; /* tree of tsearch(3) */
	uint64_t pages;
};

/**
 * lu_claims_add() - claim 2^@order pages
 * @owner: any number but 0
 * @ret_other: who has one of them already
 *
 * Return: 0, 1 if it is claimed (then nothing is changed), -ENOMEM.
 */
int lu_claims_add(struct lu_claims *c, uint64_t addr, unsigned int order, uint64_t owner, uint64_t *ret_other);

/** lu_claims_owner() - who has the page at @addr; 0: nobody */
uint64_t lu_claims_owner(struct lu_claims *c, uint64_t addr);

void lu_claims_clear(struct lu_claims *c);
