// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices.json between struct and file; its contract is in devices.h.
 *
 * The table says what each value may be, lu_devices_check() what they must be together. It is asked
 * before writing too: what we could not read back is never written. A document that passes it can be
 * turned into steps without further questions (plan.c relies on that): every index is in range, every id
 * names one object, what is attached is there, areas are in their memories and do not overlap.
 *
 * Nothing here guards against a kernel or a file system that lies; a wrong document ends in an attach
 * that the kernel refuses, with the device going on in memory that stays reserved.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "devices-internal.h"

#define VECTORS_MAX 2048 /* of MSI-X, by its capability's 11 bits */

/* "0000:00:04.0"; a domain may have up to eight digits */
bool lu_bdf_valid(const char *s)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = strspn(s, hex);

	if (n < 4 || n > 8 || s[n] != ':')
		return false;
	s += n + 1;
	return strspn(s, hex) == 2 && s[2] == ':' && strspn(s + 3, hex) == 2 && s[5] == '.' && s[6] >= '0' &&
	       s[6] <= '7' && !s[7];
}

/* Relative, and none of its parts empty, "." or "..". */
static bool path_valid(const char *s)
{
	if (strlen(s) >= 4096)
		return false;
	for (;;) {
		size_t n = strcspn(s, "/");

		if (n == 0 || (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		if (!s[n])
			return true;
		s += n + 1;
	}
}

#define FIELD(_struct, _key, _type, _flags, ...)                                  \
	{                                                                         \
#_key, _type, offsetof(struct _struct, _key), _flags, __VA_ARGS__ \
	}
#define LIST(_struct, _key, ...)                                                                                \
	{                                                                                                       \
#_key, LU_JSON_OBJECTS, offsetof(struct _struct, _key), LU_JSON_REQUIRED,                       \
			.count_offset = offsetof(struct _struct, n_##_key), .table = &_key##_table, __VA_ARGS__ \
	}
#define INDEX_OR_NONE(_struct, _key) \
	FIELD(_struct, _key, LU_JSON_UINT, LU_JSON_REQUIRED | LU_JSON_NULLABLE, .max = LU_CPR_FDS_MAX - 1, .def = -1)
#define ID(_struct, _key) FIELD(_struct, _key, LU_JSON_UINT32, LU_JSON_REQUIRED, .min = 1, .max = LU_DEVICES_ID_MAX)

static const char *const memory_kinds[] = { "file", "memfd", NULL };
static const struct lu_json_field memory_fields[] = {
	FIELD(lu_devices_memory, kind, LU_JSON_ENUM, LU_JSON_REQUIRED, .names = memory_kinds),
	FIELD(lu_devices_memory, size, LU_JSON_UINT, LU_JSON_REQUIRED, .min = 1, .max = 1ULL << 48),
	FIELD(lu_devices_memory, path, LU_JSON_STRING, LU_JSON_NULLABLE, .check = path_valid,
	      .expect = "a path below the root of pkernfs"),
	FIELD(lu_devices_memory, inode, LU_JSON_UINT, LU_JSON_NULLABLE, .def = -1),
	FIELD(lu_devices_memory, token, LU_JSON_UINT, LU_JSON_NULLABLE, .def = -1),
	FIELD(lu_devices_memory, name, LU_JSON_STRING, LU_JSON_NULLABLE, .max = 255),
};
static const struct lu_json_table memories_table = LU_JSON_TABLE("memory", struct lu_devices_memory, memory_fields);

static const struct lu_json_field eventfd_fields[] = {
	FIELD(lu_devices_eventfd, count, LU_JSON_UINT, LU_JSON_REQUIRED, .max = UINT64_MAX - 1),
	FIELD(lu_devices_eventfd, nonblock, LU_JSON_BOOL, LU_JSON_REQUIRED),
	FIELD(lu_devices_eventfd, semaphore, LU_JSON_BOOL, LU_JSON_REQUIRED),
};
static const struct lu_json_table eventfd_table = LU_JSON_TABLE("eventfd", struct lu_devices_eventfd, eventfd_fields);

static const char *const fd_kinds[] = { "iommufd", "vfio-device", "eventfd", "memory", NULL };
static const struct lu_json_field fd_fields[] = {
	FIELD(lu_devices_fd, name, LU_JSON_STRING, LU_JSON_REQUIRED, .min = 1, .max = LU_CPR_NAME_MAX),
	FIELD(lu_devices_fd, id, LU_JSON_INT32, LU_JSON_REQUIRED),
	FIELD(lu_devices_fd, kind, LU_JSON_ENUM, LU_JSON_REQUIRED, .names = fd_kinds),
	FIELD(lu_devices_fd, eventfd, LU_JSON_OBJECT_PTR, LU_JSON_NULLABLE, .table = &eventfd_table),
	FIELD(lu_devices_fd, memory, LU_JSON_UINT, LU_JSON_NULLABLE, .max = 1023, .def = -1),
};
static const struct lu_json_table fds_table = LU_JSON_TABLE("file", struct lu_devices_fd, fd_fields);

static const struct lu_json_field range_fields[] = {
	FIELD(lu_devices_range, start, LU_JSON_UINT, LU_JSON_REQUIRED),
	FIELD(lu_devices_range, last, LU_JSON_UINT, LU_JSON_REQUIRED),
};
static const struct lu_json_table allowed_table = LU_JSON_TABLE("range", struct lu_devices_range, range_fields);

static const struct lu_json_field area_fields[] = {
	FIELD(lu_devices_area, iova, LU_JSON_UINT, LU_JSON_REQUIRED),
	FIELD(lu_devices_area, length, LU_JSON_UINT, LU_JSON_REQUIRED, .min = 1, .max = 1ULL << 48),
	FIELD(lu_devices_area, memory, LU_JSON_UINT, LU_JSON_REQUIRED, .max = 1023),
	FIELD(lu_devices_area, offset, LU_JSON_UINT, LU_JSON_REQUIRED, .max = 1ULL << 48),
	FIELD(lu_devices_area, read, LU_JSON_BOOL, LU_JSON_REQUIRED),
	FIELD(lu_devices_area, write, LU_JSON_BOOL, LU_JSON_REQUIRED),
};
static const struct lu_json_table areas_table = LU_JSON_TABLE("area", struct lu_devices_area, area_fields);

static const struct lu_json_field ioas_fields[] = {
	ID(lu_devices_ioas, id),
	FIELD(lu_devices_ioas, huge_pages, LU_JSON_BOOL, LU_JSON_REQUIRED),
	LIST(lu_devices_ioas, allowed, .max = 1024),
	LIST(lu_devices_ioas, areas, .max = 65536),
};
static const struct lu_json_table ioas_table = LU_JSON_TABLE("IOAS", struct lu_devices_ioas, ioas_fields);

static const struct lu_json_field hwpt_fields[] = {
	ID(lu_devices_hwpt, id),
	ID(lu_devices_hwpt, ioas),
	FIELD(lu_devices_hwpt, flags, LU_JSON_UINT32, LU_JSON_REQUIRED),
	{ "auto", LU_JSON_BOOL, offsetof(struct lu_devices_hwpt, auto_made), LU_JSON_REQUIRED },
};
static const struct lu_json_table hwpts_table = LU_JSON_TABLE("HWPT", struct lu_devices_hwpt, hwpt_fields);

/* as VFIO_PCI_INTX_IRQ_INDEX and so on */
static const char *const irq_names[] = { "intx", "msi", "msix", "err", "req", NULL };
static const struct lu_json_field irq_fields[] = {
	FIELD(lu_devices_irq, index, LU_JSON_ENUM, LU_JSON_REQUIRED, .names = irq_names),
	FIELD(lu_devices_irq, vector, LU_JSON_UINT32, LU_JSON_REQUIRED, .max = VECTORS_MAX - 1),
	FIELD(lu_devices_irq, masked, LU_JSON_BOOL, LU_JSON_REQUIRED),
	INDEX_OR_NONE(lu_devices_irq, trigger),
	INDEX_OR_NONE(lu_devices_irq, mask),
	INDEX_OR_NONE(lu_devices_irq, unmask),
};
static const struct lu_json_table irqs_table = LU_JSON_TABLE("interrupt", struct lu_devices_irq, irq_fields);

static const struct lu_json_field device_fields[] = {
	ID(lu_devices_device, id),
	FIELD(lu_devices_device, bdf, LU_JSON_STRING, LU_JSON_REQUIRED, .check = lu_bdf_valid,
	      .expect = "a PCI address as 0000:00:04.0"),
	FIELD(lu_devices_device, fd, LU_JSON_UINT, LU_JSON_REQUIRED, .max = LU_CPR_FDS_MAX - 1),
	ID(lu_devices_device, hwpt),
	LIST(lu_devices_device, irqs, .max = VECTORS_MAX + 3),
};
static const struct lu_json_table devices_table = LU_JSON_TABLE("device", struct lu_devices_device, device_fields);

static const struct lu_json_field iommufd_fields[] = {
	FIELD(lu_devices_iommufd, fd, LU_JSON_UINT, LU_JSON_REQUIRED, .max = LU_CPR_FDS_MAX - 1),
	LIST(lu_devices_iommufd, ioas, .max = 1024),
	LIST(lu_devices_iommufd, hwpts, .max = 1024),
	LIST(lu_devices_iommufd, devices, .max = LU_CPR_DEVICES_MAX),
};
static const struct lu_json_table iommufds_table = LU_JSON_TABLE("iommufd", struct lu_devices_iommufd, iommufd_fields);

static const struct lu_json_field document_fields[] = {
	FIELD(lu_devices, features, LU_JSON_STRINGS, LU_JSON_REQUIRED, .max = 64),
	FIELD(lu_devices, session, LU_JSON_STRING, LU_JSON_REQUIRED | LU_JSON_NULLABLE, .min = 1, .max = 63),
	LIST(lu_devices, memories, .max = 1024),
	LIST(lu_devices, fds, .max = LU_CPR_FDS_MAX),
	{ "cpr_devices", LU_JSON_OBJECTS, offsetof(struct lu_devices, cpr_devices), LU_JSON_REQUIRED,
	  .count_offset = offsetof(struct lu_devices, n_cpr_devices), .table = &lu_cpr_device_table,
	  .max = LU_CPR_DEVICES_MAX },
	LIST(lu_devices, iommufds, .max = 64),
};
const struct lu_json_table lu_devices_table = LU_JSON_DOCUMENT("devices", struct lu_devices, document_fields, 1);

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

		if ((f->kind == LU_FD_EVENTFD) != !!f->eventfd ||
		    (f->kind == LU_FD_MEMORY) != (f->memory != LU_DEVICES_NONE))
			return bad(e, "file %s: what it has does not go with its kind", f->name);
		if (f->kind == LU_FD_MEMORY && f->memory >= d->n_memories)
			return bad(e, "file %s: there is no memory %" PRIu64, f->name, f->memory);
		sorted[i] = f;
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
	_cleanup_free_ bool *seen = calloc(VFIO_PCI_NUM_IRQS, VECTORS_MAX);
	int used = -1;

	if (!seen)
		return -ENOMEM;
	for (size_t i = 0; i < dev->n_irqs; i++) {
		const struct lu_devices_irq *q = &dev->irqs[i];
		bool intx = q->index == VFIO_PCI_INTX_IRQ_INDEX, single = q->index >= VFIO_PCI_ERR_IRQ_INDEX;
		uint32_t max = q->index == VFIO_PCI_MSIX_IRQ_INDEX ? VECTORS_MAX :
			       q->index == VFIO_PCI_MSI_IRQ_INDEX  ? 32 :
								     1;

		if (q->vector >= max)
			return bad(e, "device %s: %s has no vector %u", dev->bdf, irq_names[q->index], q->vector);
		if (seen[q->index * VECTORS_MAX + q->vector])
			return bad(e, "device %s: %s %u is there twice", dev->bdf, irq_names[q->index], q->vector);
		seen[q->index * VECTORS_MAX + q->vector] = true;
		if (!single && used >= 0 && used != q->index)
			return bad(e, "device %s: both %s and %s", dev->bdf, irq_names[used], irq_names[q->index]);
		if (!single)
			used = q->index;
		if (!intx && (q->masked || q->mask != LU_DEVICES_NONE || q->unmask != LU_DEVICES_NONE))
			return bad(e, "device %s: %s can't be masked", dev->bdf, irq_names[q->index]);
		if (!is_eventfd(d, q->trigger) || !is_eventfd(d, q->mask) || !is_eventfd(d, q->unmask))
			return bad(e, "device %s: %s %u: no such eventfd", dev->bdf, irq_names[q->index], q->vector);
	}
	return 0;
}

/* A file of this kind that nobody claimed before. */
static int claim(const struct lu_devices *d, bool *claimed, uint64_t i, int kind, struct lu_error *e)
{
	if (i >= d->n_fds || d->fds[i].kind != kind)
		return bad(e, "file %" PRIu64 " is no %s", i, fd_kinds[kind]);
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

int lu_devices_check(const struct lu_devices *d, struct lu_error *e)
{
	_cleanup_free_ bool *claimed = calloc(d->n_fds + 1, sizeof(bool));
	int r;

	if (!claimed)
		return -ENOMEM;
	r = check_memories(d, e);
	if (r == 0)
		r = check_fds(d, e);
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
		if (!claimed[i] && (d->fds[i].kind == LU_FD_IOMMUFD || d->fds[i].kind == LU_FD_VFIO_DEVICE))
			return bad(e, "file %s: nothing says what is in it", d->fds[i].name);
	for (size_t i = 0; i < d->n_cpr_devices; i++) {
		bool there = false;

		for (size_t k = 0; k < d->n_fds; k++)
			there |= d->fds[k].kind == LU_FD_VFIO_DEVICE && !strcmp(d->fds[k].name, d->cpr_devices[i].name);
		if (!there)
			return bad(e, "device %s of the CPR state has no file", d->cpr_devices[i].name);
	}
	return 0;
}

/* --- files --- */

int lu_devices_read(int dir_fd, uint64_t size, uint32_t crc, struct lu_devices *ret, struct lu_error *e)
{
	_cleanup_free_ char *text = NULL;
	struct lu_devices d;
	size_t n;
	int r;

	r = lu_read_file(dir_fd, LU_DEVICES_FILE, LU_DEVICES_JSON_MAX, &text, &n);
	if (r < 0)
		return lu_error_set(e, r, NULL, LU_DEVICES_FILE ": can't read it: %s", strerror(-r));
	if (n != size || crc32_z(crc32(0, NULL, 0), (const unsigned char *)text, n) != crc)
		return bad(e, "damaged (%zu bytes; committed were %" PRIu64 " bytes, crc %08x)", n, size, crc);
	r = lu_json_decode_text(text, n, LU_DEVICES_JSON_MAX, LU_DEVICES_FILE, &lu_devices_table, &d, e);
	if (r < 0)
		return r;
	if (d.features[0])
		r = lu_error_set(e, -EOPNOTSUPP, "update luctl in the system that is booted",
				 LU_DEVICES_FILE ": needs feature \"%s\", which this luctl does not know",
				 d.features[0]);
	else
		r = lu_devices_check(&d, e);
	if (r < 0) {
		lu_devices_clear(&d);
		return r;
	}
	*ret = d;
	return 0;
}

int lu_devices_write(int dir_fd, const struct lu_devices *d, uint64_t *ret_size, uint32_t *ret_crc32,
		     struct lu_error *e)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	int r;

	r = lu_devices_check(d, e);
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
