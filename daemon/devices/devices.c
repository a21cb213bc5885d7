// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices.json between struct and file; its contract is in devices.h.
 *
 * The table says what each value may be, lu_devices_check() what they must be together. It is asked
 * before writing too: what we could not read back is never written. What passes it can be turned into calls
 * without further questions (plan.c relies on that): every index is in range, every id
 * names one object, what is attached is there, areas are in their memories and do not overlap. What is read of
 * version 2 is but an outline, and the rest of it is the journal's.
 *
 * Nothing here guards against a kernel or a file system that lies; a wrong document ends in an attach
 * that the kernel refuses, with the device going on in memory that stays reserved.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "devices-internal.h"

void lu_devices_clear(struct lu_devices *d)
{
	lu_json_free(&lu_devices_table, d);
}

int lu_devices_memory_fd(const struct lu_devices *d, size_t index)
{
	for (size_t i = 0; i < d->n_fds; i++)
		if (d->fds[i].kind == LU_FD_MEMORY && d->fds[i].memory == index)
			return (int)i;
	return -ENOENT;
}

/* --- what the table can't say --- */

#define bad(_e, ...) lu_error_set(_e, -EBADMSG, NULL, LU_DEVICES_FILE ": " __VA_ARGS__)

static int check_memories(const struct lu_devices *d, struct lu_error *e)
{
	for (size_t i = 0; i < d->n_memories; i++) {
		const struct lu_devices_memory *m = &d->memories[i];
		bool file = m->kind == LU_MEMORY_FILE;

		if (file != !!m->path || file != (m->inode != LU_DEVICES_NONE) ||
		    file != (m->token == LU_DEVICES_NONE) || (file && m->name))
			return bad(e, "memory %zu: what it has does not go with its kind", i);
		if (!file && !d->session)
			return bad(e, "memory %zu: a memfd, but there is no session", i);
		for (size_t k = 0; k < i; k++)
			if (d->memories[k].kind == m->kind &&
			    (file ? d->memories[k].inode == m->inode : d->memories[k].token == m->token))
				return bad(e, "memories %zu and %zu are the same", k, i);
	}
	return 0;
}

/* As it is read: everything else stands in the journal. */
static bool is_outline(const struct lu_devices *d)
{
	return d->journal && d->n_memories == 0 && d->n_iommufds == 0;
}

static int compare_fds(const void *a, const void *b)
{
	const struct lu_devices_fd *x = *(const struct lu_devices_fd *const *)a,
				   *y = *(const struct lu_devices_fd *const *)b;

	return strcmp(x->name, y->name) ?: (x->id > y->id) - (x->id < y->id);
}

static int check_fds(const struct lu_devices *d, struct lu_error *e)
{
	_cleanup_free_ const struct lu_devices_fd **sorted = calloc(d->n_fds + 1, sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < d->n_fds; i++) {
		const struct lu_devices_fd *f = &d->fds[i];

		sorted[i] = f;
		if (is_outline(d))
			continue;
		if ((f->kind == LU_FD_EVENTFD) != !!f->eventfd ||
		    (f->kind == LU_FD_MEMORY) != (f->memory != LU_DEVICES_NONE))
			return bad(e, "file %s: what it has does not go with its kind", f->name);
		if (f->kind == LU_FD_MEMORY && f->memory >= d->n_memories)
			return bad(e, "file %s: there is no memory %" PRIu64, f->name, f->memory);
	}
	qsort(sorted, d->n_fds, sizeof(*sorted), compare_fds);
	for (size_t i = 1; i < d->n_fds; i++)
		if (compare_fds(&sorted[i - 1], &sorted[i]) == 0)
			return bad(e, "file %s, id %d: is there twice", sorted[i]->name, sorted[i]->id);
	return 0;
}

static int check_ioas(const struct lu_devices *d, const struct lu_devices_ioas *ioas, struct lu_error *e)
{
	for (size_t i = 0; i < ioas->n_allowed; i++) {
		const struct lu_devices_range *r = &ioas->allowed[i];

		if (r->start >= r->last || (i && r->start <= r[-1].last))
			return bad(e, "IOAS %u: allowed range %zu is not in order", ioas->id, i);
	}
	for (size_t i = 0; i < ioas->n_areas; i++) {
		const struct lu_devices_area *a = &ioas->areas[i];

		if (a->iova + (a->length - 1) < a->iova || (i && a->iova <= a[-1].iova + (a[-1].length - 1)))
			return bad(e, "IOAS %u: area at 0x%" PRIx64 " is not in order", ioas->id, a->iova);
		if (!a->read && !a->write)
			return bad(e, "IOAS %u: area at 0x%" PRIx64 " can be neither read nor written", ioas->id,
				   a->iova);
		if (a->memory >= d->n_memories || a->offset > d->memories[a->memory].size ||
		    a->length > d->memories[a->memory].size - a->offset)
			return bad(e, "IOAS %u: area at 0x%" PRIx64 " is in no memory", ioas->id, a->iova);
	}
	return 0;
}

static bool is_eventfd(const struct lu_devices *d, uint64_t i)
{
	return i == LU_DEVICES_NONE || (i < d->n_fds && d->fds[i].kind == LU_FD_EVENTFD);
}

static int check_irqs(const struct lu_devices *d, const struct lu_devices_device *dev, struct lu_error *e)
{
	_cleanup_free_ bool *seen = calloc(VFIO_PCI_NUM_IRQS, LU_DEVICES_VECTORS_MAX);
	int used = -1;

	if (!seen)
		return -ENOMEM;
	for (size_t i = 0; i < dev->n_irqs; i++) {
		const struct lu_devices_irq *q = &dev->irqs[i];
		bool intx = q->index == VFIO_PCI_INTX_IRQ_INDEX, single = q->index >= VFIO_PCI_ERR_IRQ_INDEX;
		uint32_t max = q->index == VFIO_PCI_MSIX_IRQ_INDEX ? LU_DEVICES_VECTORS_MAX :
			       q->index == VFIO_PCI_MSI_IRQ_INDEX  ? 32 :
								     1;

		if (q->vector >= max)
			return bad(e, "device %s: %s has no vector %u", dev->bdf, lu_devices_irq_names[q->index],
				   q->vector);
		if (seen[q->index * LU_DEVICES_VECTORS_MAX + q->vector])
			return bad(e, "device %s: %s %u is there twice", dev->bdf, lu_devices_irq_names[q->index],
				   q->vector);
		seen[q->index * LU_DEVICES_VECTORS_MAX + q->vector] = true;
		if (!single && used >= 0 && used != q->index)
			return bad(e, "device %s: both %s and %s", dev->bdf, lu_devices_irq_names[used],
				   lu_devices_irq_names[q->index]);
		if (!single)
			used = q->index;
		if (!intx && (q->masked || q->mask != LU_DEVICES_NONE || q->unmask != LU_DEVICES_NONE))
			return bad(e, "device %s: %s can't be masked", dev->bdf, lu_devices_irq_names[q->index]);
		if (!is_eventfd(d, q->trigger) || !is_eventfd(d, q->mask) || !is_eventfd(d, q->unmask))
			return bad(e, "device %s: %s %u: no such eventfd", dev->bdf, lu_devices_irq_names[q->index],
				   q->vector);
	}
	return 0;
}

/* A file of this kind that nobody claimed before. */
static int claim(const struct lu_devices *d, bool *claimed, uint64_t i, int kind, struct lu_error *e)
{
	if (i >= d->n_fds || d->fds[i].kind != kind)
		return bad(e, "file %" PRIu64 " is no %s", i, lu_devices_fd_kinds[kind]);
	if (claimed[i])
		return bad(e, "file %s is described twice", d->fds[i].name);
	claimed[i] = true;
	return 0;
}

static int take_id(bool *ids, uint32_t id, struct lu_error *e)
{
	if (id == 0 || id > LU_DEVICES_ID_MAX || ids[id])
		return bad(e, "id %u is there twice", id);
	ids[id] = true;
	return 0;
}

static int check_objects(const struct lu_devices *d, const struct lu_devices_iommufd *u, bool *claimed,
			 struct lu_error *e)
{
	bool ids[LU_DEVICES_ID_MAX + 1] = { false };
	int r = 0;

	for (size_t i = 0; i < u->n_ioas && r == 0; i++) {
		r = take_id(ids, u->ioas[i].id, e);
		if (r == 0)
			r = check_ioas(d, &u->ioas[i], e);
	}
	for (size_t i = 0; i < u->n_hwpts && r == 0; i++)
		r = take_id(ids, u->hwpts[i].id, e);
	for (size_t i = 0; i < u->n_devices && r == 0; i++) {
		r = take_id(ids, u->devices[i].id, e);
		if (r == 0)
			r = claim(d, claimed, u->devices[i].fd, LU_FD_VFIO_DEVICE, e);
		if (r == 0 && u->devices[i].via)
			r = claim(d, claimed, u->devices[i].via - 1, LU_FD_VFIO_GROUP, e);
		if (r == 0)
			r = check_irqs(d, &u->devices[i], e);
	}
	if (r < 0)
		return r;

	for (size_t i = 0; i < u->n_hwpts; i++) {
		const struct lu_devices_hwpt *h = &u->hwpts[i];
		bool ioas = false, device = false;

		for (size_t k = 0; k < u->n_ioas; k++)
			ioas |= u->ioas[k].id == h->ioas;
		for (size_t k = 0; k < u->n_devices; k++)
			device |= u->devices[k].hwpt == h->id;
		if (!ioas || !device)
			return bad(e, "HWPT %u: its IOAS or a device attached to it is missing", h->id);
		if (h->flags & ~(uint32_t)LU_HWPT_FLAGS || (h->auto_made && h->flags))
			return bad(e, "HWPT %u: can't be made with flags 0x%x", h->id, h->flags);
	}
	for (size_t i = 0; i < u->n_devices; i++) {
		bool hwpt = false;

		for (size_t k = 0; k < u->n_hwpts; k++)
			hwpt |= u->hwpts[k].id == u->devices[i].hwpt;
		if (!hwpt)
			return bad(e, "device %s: there is no HWPT %u", u->devices[i].bdf, u->devices[i].hwpt);
	}
	return 0;
}

static int check_bdfs(const struct lu_devices *d, struct lu_error *e)
{
	const char *seen[64 * LU_CPR_DEVICES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < d->n_iommufds; i++) {
		for (size_t k = 0; k < d->iommufds[i].n_devices; k++) {
			const char *bdf = d->iommufds[i].devices[k].bdf;

			for (size_t j = 0; j < n; j++)
				if (!strcmp(seen[j], bdf))
					return bad(e, "device %s is there twice", bdf);
			seen[n++] = bdf;
		}
	}
	return 0;
}

static int check_cpr_devices(const struct lu_devices *d, struct lu_error *e)
{
	for (size_t i = 0; i < d->n_cpr_devices; i++) {
		bool there = false;

		for (size_t k = 0; k < d->n_fds; k++)
			there |= d->fds[k].kind == LU_FD_VFIO_DEVICE && !strcmp(d->fds[k].name, d->cpr_devices[i].name);
		if (!there)
			return bad(e, "device %s of the CPR state has no file", d->cpr_devices[i].name);
	}
	return 0;
}

int lu_devices_check(const struct lu_devices *d, struct lu_error *e)
{
	_cleanup_free_ bool *claimed = calloc(d->n_fds + 1, sizeof(bool));
	int r;

	if (!claimed)
		return -ENOMEM;
	r = check_memories(d, e);
	if (r == 0)
		r = check_fds(d, e);
	if (r == 0 && is_outline(d))
		return check_cpr_devices(d, e);
	for (size_t i = 0; i < d->n_iommufds && r == 0; i++) {
		r = claim(d, claimed, d->iommufds[i].fd, LU_FD_IOMMUFD, e);
		if (r == 0)
			r = check_objects(d, &d->iommufds[i], claimed, e);
	}
	if (r == 0)
		r = check_bdfs(d, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < d->n_fds; i++)
		if (!claimed[i] && d->fds[i].kind != LU_FD_EVENTFD && d->fds[i].kind != LU_FD_MEMORY)
			return bad(e, "file %s: nothing says what is in it", d->fds[i].name);
	return check_cpr_devices(d, e);
}

/* --- files --- */

static int read_document(int dir_fd, uint64_t size, uint32_t crc, struct lu_devices *ret, struct lu_error *e)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	int r;

	r = lu_read_file(dir_fd, LU_DEVICES_FILE, LU_DEVICES_JSON_MAX, &text, &n);
	if (r < 0)
		return lu_error_set(e, r, NULL, LU_DEVICES_FILE ": can't read it: %s", strerror(-r));
	if (n != size || crc32_z(crc32(0, NULL, 0), (const unsigned char *)text, n) != crc)
		return bad(e, "damaged (%zu bytes; committed were %" PRIu64 " bytes, crc %08x)", n, size, crc);
	return lu_json_decode_text(text, n, LU_DEVICES_JSON_MAX, LU_DEVICES_FILE, &lu_devices_table, ret, e);
}

int lu_devices_read(int dir_fd, const char *vm, uint64_t size, uint32_t crc, struct lu_devices *ret,
		    struct lu_calls *ret_calls, struct lu_error *e)
{
	struct lu_devices d;
	int r = read_document(dir_fd, size, crc, &d, e);

	if (r < 0)
		return r;
	if (d.features[0])
		r = lu_error_set(e, -EOPNOTSUPP, "update luctl in the system that is booted",
				 LU_DEVICES_FILE ": needs feature \"%s\", which this luctl does not know",
				 d.features[0]);
	else
		r = lu_devices_check(&d, e);
	if (r >= 0)
		r = lu_devices_read_calls(dir_fd, vm, &d, ret_calls, e);
	if (r < 0) {
		lu_devices_clear(&d);
		return r;
	}
	*ret = d;
	return 0;
}

int lu_devices_committed(int dir_fd, uint64_t size, uint32_t crc, struct lu_devices_journal *ret)
{
	_cleanup_(lu_devices_clear) struct lu_devices d = { 0 };
	int r = read_document(dir_fd, size, crc, &d, NULL);

	if (r < 0)
		return r;
	if (!d.journal)
		return -ENODATA;
	*ret = *d.journal;
	d.journal->boot_id = NULL;
	return 0;
}

int lu_devices_write(int dir_fd, const char *vm, struct lu_devices *d, uint64_t *ret_size, uint32_t *ret_crc32,
		     struct lu_error *e)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	int r;

	r = lu_devices_check(d, e);
	if (r >= 0)
		r = lu_devices_write_calls(dir_fd, vm, d, e);
	if (r < 0)
		return r;
	r = lu_json_encode_text(&lu_devices_table, d, &text, e);
	if (r < 0)
		return r;
	n = strlen(text);
	if (n > LU_DEVICES_JSON_MAX)
		return lu_error_set(e, -EFBIG, NULL, LU_DEVICES_FILE ": %zu bytes are more than it may have", n);
	r = lu_write_file(dir_fd, LU_DEVICES_FILE, text, n, 0600);
	if (r < 0)
		return lu_error_set(e, r, NULL, LU_DEVICES_FILE ": can't write it: %s", strerror(-r));
	*ret_size = n;
	*ret_crc32 = (uint32_t)crc32_z(crc32(0, NULL, 0), (const unsigned char *)text, n);
	return 0;
}

int lu_devices_still(int dir_fd, const char *vm, uint64_t size, uint32_t crc, const struct lu_devices *now,
		     struct lu_error *e)
{
	_cleanup_(lu_devices_clear) struct lu_devices then = { 0 };
	_cleanup_calls_ struct lu_calls noted = LU_CALLS_INIT, told = LU_CALLS_INIT;
	int r = lu_devices_read(dir_fd, vm, size, crc, &then, &noted, e);

	if (r >= 0)
		r = lu_devices_plan(now, &told);
	return r < 0 ? r : lu_calls_same(&noted, &told, e);
}
