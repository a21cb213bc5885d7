// SPDX-License-Identifier: LGPL-2.1-or-later
#include <search.h>

#include "claims.h"

#define PAGE_SHIFT 12
#define REGION_SHIFT 9 /* in pages: 2 MiB */
#define REGION_PAGES (1u << REGION_SHIFT)

struct region {
	uint64_t number;
	uint64_t owner;  /* of all of it, 0: look at @pages */
	uint64_t *pages; /* NULL: none is owned */
};

static int region_compare(const void *a, const void *b)
{
	const struct region *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static struct region *region_get(struct lu_claims *c, uint64_t number)
{
	struct region key = { .number = number }, *new;
	void *node = tfind(&key, &c->regions, region_compare);

	if (node)
		return *(struct region **)node;
	new = calloc(1, sizeof(*new));
	if (!new)
		return NULL;
	new->number = number;
	if (!tsearch(new, &c->regions, region_compare)) {
		free(new);
		return NULL;
	}
	return new;
}

/* Who has one of @n pages from @first on, 0: nobody */
static uint64_t region_owner(const struct region *r, unsigned int first, unsigned int n)
{
	if (r->owner || !r->pages)
		return r->owner;
	for (unsigned int i = first; i < first + n; i++)
		if (r->pages[i])
			return r->pages[i];
	return 0;
}

static int claim_small(struct lu_claims *c, uint64_t page, unsigned int n, uint64_t owner, uint64_t *ret_other)
{
	struct region *r = region_get(c, page >> REGION_SHIFT);
	unsigned int first = page & (REGION_PAGES - 1);
	uint64_t other;

	if (!r)
		return -ENOMEM;
	other = region_owner(r, first, n);
	if (other) {
		*ret_other = other;
		return 1;
	}
	if (!r->pages) {
		r->pages = calloc(REGION_PAGES, sizeof(*r->pages));
		if (!r->pages)
			return -ENOMEM;
	}
	for (unsigned int i = first; i < first + n; i++)
		r->pages[i] = owner;
	return 0;
}

static int claim_large(struct lu_claims *c, uint64_t first, uint64_t n, uint64_t owner, uint64_t *ret_other)
{
	for (uint64_t i = first; i < first + n; i++) {
		struct region *r = region_get(c, i);
		uint64_t other;

		if (!r)
			return -ENOMEM;
		other = region_owner(r, 0, REGION_PAGES);
		if (other) {
			*ret_other = other;
			return 1;
		}
	}
	for (uint64_t i = first; i < first + n; i++)
		region_get(c, i)->owner = owner;
	return 0;
}

int lu_claims_add(struct lu_claims *c, uint64_t addr, unsigned int order, uint64_t owner, uint64_t *ret_other)
{
	uint64_t page = addr >> PAGE_SHIFT;
	int r;

	if (order < REGION_SHIFT)
		r = claim_small(c, page, 1u << order, owner, ret_other);
	else
		r = claim_large(c, page >> REGION_SHIFT, 1ULL << (order - REGION_SHIFT), owner, ret_other);
	if (r == 0)
		c->pages += 1ULL << order;
	return r;
}

uint64_t lu_claims_owner(struct lu_claims *c, uint64_t addr)
{
	uint64_t page = addr >> PAGE_SHIFT;
	struct region key = { .number = page >> REGION_SHIFT };
	void *node = tfind(&key, &c->regions, region_compare);

	return node ? region_owner(*(struct region **)node, page & (REGION_PAGES - 1), 1) : 0;
}

static void region_free(void *p)
{
	struct region *r = p;

	free(r->pages);
	free(r);
}

void lu_claims_clear(struct lu_claims *c)
{
	tdestroy(c->regions, region_free);
	*c = (struct lu_claims){ 0 };
}
