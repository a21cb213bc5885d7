// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From facts to devices.json: the pure half of collecting. What the kernel told (records of IOMMU_STATE,
 * interrupts of each device) and what the files are is put together, and every file gets its name. It
 * asks nobody, so that tests can feed it any bytes.
 *
 *	memories ← RAM files of launch.json, then files and memfds of the CPR state, each file once
 *	fds      ← the CPR state
 *	iommufds ← records; areas name their file by device and inode number, devices their function
 *	irqs     ← of the device with that function; eventfds are named by the kernel's ids
 *
 * Two kinds of failure. -EOPNOTSUPP: there is something that can't be set up again in the next kernel;
 * the text says what, so that somebody can start the VM differently. -EBADMSG: what the kernel said
 * makes no sense to us (cut short, an id twice). By the rules of <linux/pkeep_state.h> everything
 * unknown in the records is refused, also bytes behind the end of a known record unless they are zero;
 * only an unknown record that says it is optional is passed over.
 *
 * Not handled: the same eventfd under two names, which would have to stay one; QEMU has none.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "devices-internal.h"

void lu_facts_clear(struct lu_facts *f)
{
	for (size_t i = 0; f->fds && i < f->cpr->n_fds; i++) {
		free(f->fds[i].path);
		free(f->fds[i].memfd_name);
		free(f->fds[i].irqs);
		free(f->fds[i].records);
	}
	for (size_t i = 0; i < f->n_ram; i++)
		free(f->ram[i].path);
	free(f->fds);
	free(f->ram);
	*f = (struct lu_facts){ 0 };
}

#define refuse(_e, _hint, ...) lu_error_set(_e, -EOPNOTSUPP, _hint, __VA_ARGS__)

#define HINT_SHARE \
	"give QEMU all its memory as shared files: memory-backend-file with share=on, and -machine aux-ram-share=on"

/* Room for one more element, whose contents are zero; NULL: no memory. Sizes double. */
static void *more(void *array_ptr, size_t *n, size_t size)
{
	void **array = array_ptr;
	char *p = *array;

	if ((*n & (*n - 1)) == 0) {
		p = reallocarray(*array, *n ? *n * 2 : 1, size);
		if (!p)
			return NULL;
		*array = p;
	}
	return memset(p + (*n)++ * size, 0, size);
}

/* A file that memory is in, beside its entry in memories. */
struct known {
	uint64_t dev, inode;
};

struct compose {
	const struct lu_facts *facts;
	struct lu_devices *d;
	struct known *known; /* as memories */
	size_t n_known;
	struct lu_error *e;
};

static bool find_known(const struct compose *c, uint64_t dev, uint64_t inode, uint64_t *ret)
{
	for (size_t i = 0; i < c->n_known; i++) {
		if (c->known[i].dev == dev && c->known[i].inode == inode) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* memories[*ret] is this file, added if it is new; no path: a memfd */
static int add_memory(struct compose *c, uint64_t dev, uint64_t inode, uint64_t size, const char *path,
		      const char *memfd_name, uint64_t *ret)
{
	struct lu_devices_memory *m;
	struct known *k;

	if (find_known(c, dev, inode, ret))
		return 0;
	*ret = c->d->n_memories;
	m = more(&c->d->memories, &c->d->n_memories, sizeof(*m));
	k = m ? more(&c->known, &c->n_known, sizeof(*k)) : NULL;
	if (!k)
		return -ENOMEM;
	*k = (struct known){ dev, inode };
	*m = (struct lu_devices_memory){
		.kind = path ? LU_MEMORY_FILE : LU_MEMORY_MEMFD,
		.size = size,
		.inode = path ? inode : LU_DEVICES_NONE,
		.token = path ? LU_DEVICES_NONE : *ret,
	};
	if (path)
		m->path = strdup(path);
	else
		m->name = strdup(memfd_name ?: "");
	return m->path || m->name ? 0 : -ENOMEM;
}

static int add_ram(struct compose *c)
{
	uint64_t index;
	int r = 0;

	for (size_t i = 0; i < c->facts->n_ram && r == 0; i++) {
		const struct lu_ram_facts *ram = &c->facts->ram[i];

		r = add_memory(c, ram->dev, ram->inode, ram->size, ram->path, NULL, &index);
	}
	return r;
}

static int add_fd(struct compose *c, size_t i)
{
	const struct lu_cpr_fd *from = &c->facts->cpr->fds[i];
	const struct lu_fd_facts *facts = &c->facts->fds[i];
	struct lu_devices_fd *f = more(&c->d->fds, &c->d->n_fds, sizeof(*f));

	if (!f)
		return -ENOMEM;
	*f = (struct lu_devices_fd){
		.name = strdup(from->name), .id = from->id, .kind = facts->kind, .memory = LU_DEVICES_NONE
	};
	if (!f->name)
		return -ENOMEM;
	if (facts->kind == LU_FD_EVENTFD) {
		for (size_t k = 0; k < i; k++)
			if (c->facts->fds[k].kind == LU_FD_EVENTFD && c->facts->fds[k].eventfd_id == facts->eventfd_id)
				return refuse(c->e, NULL, "files %s and %s of QEMU: are the same eventfd",
					      c->facts->cpr->fds[k].name, from->name);
		f->eventfd = malloc(sizeof(*f->eventfd));
		if (!f->eventfd)
			return -ENOMEM;
		*f->eventfd = facts->eventfd;
	} else if (facts->kind == LU_FD_MEMORY) {
		if (!facts->path && !c->facts->session)
			return refuse(c->e, "LUO must be there: boot with liveupdate=on",
				      "file %s of QEMU: a memfd, and there is no session to preserve it in",
				      from->name);
		if (facts->size == 0)
			return refuse(c->e, NULL, "file %s of QEMU: memory of no size", from->name);
		return add_memory(c, facts->dev, facts->inode, facts->size, facts->path, facts->memfd_name, &f->memory);
	}
	return 0;
}

/* --- records of an iommufd --- */

struct records {
	struct compose *c;
	const char *name; /* of the iommufd */
	const unsigned char *data;
	size_t length, at;
	struct lu_devices_iommufd *u;
	uint32_t last_ioas;
	bool ids[LU_DEVICES_ID_MAX + 1];
};

static int broken(const struct records *r, const char *why)
{
	return lu_error_set(r->c->e, -EBADMSG, NULL, "%s: the kernel's list of its objects, byte %zu: %s", r->name,
			    r->at, why);
}

/* The record at r->at, as far as we know its type; what is behind must be zero. */
static int get_record(const struct records *r, void *ret, size_t size, uint32_t flags)
{
	struct iommu_state_head head;

	memcpy(&head, r->data + r->at, sizeof(head));
	if (head.length < size)
		return broken(r, "a record is too short");
	for (size_t i = size; i < head.length; i++)
		if (r->data[r->at + i])
			return broken(r, "a record says more than is known here");
	if (head.flags & ~(flags | IOMMU_STATE_OPTIONAL))
		return broken(r, "a record has unknown flags");
	memcpy(ret, r->data + r->at, size);
	return 0;
}

static int new_id(struct records *r, uint32_t id)
{
	if (id == 0 || id > INT32_MAX)
		return broken(r, "an id is out of range");
	if (id > LU_DEVICES_ID_MAX)
		return refuse(r->c->e, "restart the VM, then ids start low again",
			      "%s: its object %u can't get this id again, they may go up to %u", r->name, id,
			      LU_DEVICES_ID_MAX);
	if (r->ids[id])
		return broken(r, "an id is there twice");
	r->ids[id] = true;
	return 0;
}

static int get_device(struct records *r)
{
	struct iommu_state_device s;
	struct lu_devices_device *dev;
	int k = get_record(r, &s, sizeof(s), IOMMU_STATE_DEVICE_PCI | IOMMU_STATE_DEVICE_PASIDS);

	if (k == 0)
		k = new_id(r, s.head.id);
	if (k < 0)
		return k;
	for (size_t i = 0; i < sizeof(s.reserved); i++)
		if (s.reserved[i])
			return broken(r, "a record says more than is known here");
	if (!(s.head.flags & IOMMU_STATE_DEVICE_PCI))
		return refuse(r->c->e, NULL, "%s: its device %u is no PCI function", r->name, s.head.id);
	dev = more(&r->u->devices, &r->u->n_devices, sizeof(*dev));
	if (!dev)
		return -ENOMEM;
	*dev = (struct lu_devices_device){ .id = s.head.id, .hwpt = s.hwpt_id, .fd = LU_DEVICES_NONE };
	if (asprintf(&dev->bdf, "%04x:%02x:%02x.%u", s.segment, s.bus, s.devfn >> 3, s.devfn & 7) < 0) {
		dev->bdf = NULL;
		return -ENOMEM;
	}
	if (s.head.flags & IOMMU_STATE_DEVICE_PASIDS)
		return refuse(r->c->e, NULL,
			      "device %s: address spaces of its own processes (PASIDs) are attached to it", dev->bdf);
	if (s.hwpt_id == 0)
		return refuse(r->c->e, NULL, "device %s: is not attached to any address space", dev->bdf);
	return 0;
}

static int get_ioas(struct records *r)
{
	struct iommu_state_ioas s;
	struct lu_devices_ioas *ioas;
	int k = get_record(r, &s, sizeof(s), IOMMU_STATE_IOAS_NO_HUGE_PAGES);

	if (k == 0)
		k = new_id(r, s.head.id);
	if (k < 0)
		return k;
	ioas = more(&r->u->ioas, &r->u->n_ioas, sizeof(*ioas));
	if (!ioas)
		return -ENOMEM;
	ioas->id = s.head.id;
	ioas->huge_pages = !(s.head.flags & IOMMU_STATE_IOAS_NO_HUGE_PAGES);
	r->last_ioas = s.head.id;
	return 0;
}

static int get_area(struct records *r)
{
	struct iommu_state_area s;
	struct lu_devices_ioas *ioas;
	struct lu_devices_area *a;
	uint64_t memory, size;
	int k = get_record(r, &s, sizeof(s), 0);

	if (k < 0)
		return k;
	if (s.head.id != r->last_ioas || r->u->n_ioas == 0)
		return broken(r, "an area does not follow its IOAS");
	ioas = &r->u->ioas[r->u->n_ioas - 1];
	if (s.length == 0 || s.iova + (s.length - 1) < s.iova ||
	    (s.prot & ~(uint32_t)(IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)) || s.prot == 0)
		return broken(r, "an area makes no sense");
	if (s.kind == IOMMU_STATE_AREA_USER)
		return refuse(r->c->e, HINT_SHARE,
			      "%s: what its devices see at 0x%" PRIx64 " (%" PRIu64
			      " bytes) is memory of the process and no file",
			      r->name, (uint64_t)s.iova, (uint64_t)s.length);
	if (s.kind == IOMMU_STATE_AREA_DMABUF)
		return refuse(r->c->e, "use a kernel without CONFIG_PCI_P2PDMA, or x-no-mmap=on for the device",
			      "%s: what its devices see at 0x%" PRIx64 " (%" PRIu64
			      " bytes) is a dma-buf: the registers of a device, mapped for others",
			      r->name, (uint64_t)s.iova, (uint64_t)s.length);
	if (s.kind != IOMMU_STATE_AREA_FILE)
		return broken(r, "an area is of an unknown kind");
	if (!find_known(r->c, s.dev, s.inode, &memory))
		return refuse(r->c->e, HINT_SHARE,
			      "%s: what its devices see at 0x%" PRIx64 " (%" PRIu64 " bytes) is a file (inode %" PRIu64
			      ") that is neither among QEMU's files nor the VM's memory",
			      r->name, (uint64_t)s.iova, (uint64_t)s.length, (uint64_t)s.inode);
	size = r->c->d->memories[memory].size;
	if (s.offset > size || s.length > size - s.offset)
		return broken(r, "an area goes beyond its file");
	a = more(&ioas->areas, &ioas->n_areas, sizeof(*a));
	if (!a)
		return -ENOMEM;
	*a = (struct lu_devices_area){
		.iova = s.iova,
		.length = s.length,
		.memory = memory,
		.offset = s.offset,
		.read = s.prot & IOMMU_IOAS_MAP_READABLE,
		.write = s.prot & IOMMU_IOAS_MAP_WRITEABLE,
	};
	return 0;
}

static int get_allowed(struct records *r)
{
	struct iommu_state_allowed s;
	struct lu_devices_ioas *ioas;
	struct lu_devices_range *range;
	int k = get_record(r, &s, sizeof(s), 0);

	if (k < 0)
		return k;
	if (s.head.id != r->last_ioas || r->u->n_ioas == 0)
		return broken(r, "an allowed range does not follow its IOAS");
	ioas = &r->u->ioas[r->u->n_ioas - 1];
	range = more(&ioas->allowed, &ioas->n_allowed, sizeof(*range));
	if (!range)
		return -ENOMEM;
	*range = (struct lu_devices_range){ .start = s.start, .last = s.last };
	return 0;
}

static int get_hwpt(struct records *r)
{
	struct iommu_state_hwpt s;
	struct lu_devices_hwpt *h;
	int k = get_record(r, &s, sizeof(s), IOMMU_STATE_HWPT_AUTO);

	if (k == 0)
		k = new_id(r, s.head.id);
	if (k < 0)
		return k;
	if ((s.alloc_flags & ~(uint32_t)LU_HWPT_FLAGS) || ((s.head.flags & IOMMU_STATE_HWPT_AUTO) && s.alloc_flags))
		return refuse(r->c->e, NULL, "%s: its HWPT %u was made with flags 0x%x, which need more than is known",
			      r->name, s.head.id, s.alloc_flags);
	h = more(&r->u->hwpts, &r->u->n_hwpts, sizeof(*h));
	if (!h)
		return -ENOMEM;
	*h = (struct lu_devices_hwpt){
		.id = s.head.id,
		.ioas = s.ioas_id,
		.flags = s.alloc_flags,
		.auto_made = s.head.flags & IOMMU_STATE_HWPT_AUTO,
	};
	return 0;
}

static int get_other(struct records *r)
{
	struct iommu_state_other s;
	int k = get_record(r, &s, sizeof(s), 0);

	if (k < 0)
		return k;
	return refuse(
		r->c->e, "start QEMU without a virtual IOMMU that the hardware has a part in",
		"%s: its object %u is one that can't be set up again: a nested table, a fault queue, a virtual IOMMU or the like (the kernel's type %u)",
		r->name, s.head.id, s.kind);
}

static int get_records(struct records *r)
{
	while (r->at < r->length) {
		struct iommu_state_head head;
		int k;

		if (r->length - r->at < sizeof(head))
			return broken(r, "it is cut short");
		memcpy(&head, r->data + r->at, sizeof(head));
		if (head.length < sizeof(head) || head.length % 8 || head.length > r->length - r->at)
			return broken(r, "a record is cut short");
		switch (head.type) {
		case IOMMU_STATE_DEVICE:
			k = get_device(r);
			break;
		case IOMMU_STATE_IOAS:
			k = get_ioas(r);
			break;
		case IOMMU_STATE_AREA:
			k = get_area(r);
			break;
		case IOMMU_STATE_HWPT:
			k = get_hwpt(r);
			break;
		case IOMMU_STATE_ALLOWED:
			k = get_allowed(r);
			break;
		case IOMMU_STATE_OTHER:
			k = get_other(r);
			break;
		default:
			k = head.flags & IOMMU_STATE_OPTIONAL ? 0 : broken(r, "a record is of an unknown type");
			break;
		}
		if (k < 0)
			return k;
		r->at += head.length;
	}
	return 0;
}

static const struct lu_devices_hwpt *find_hwpt(const struct lu_devices_iommufd *u, uint32_t id)
{
	for (size_t i = 0; i < u->n_hwpts; i++)
		if (u->hwpts[i].id == id)
			return &u->hwpts[i];
	return NULL;
}

static int check_attached(const struct records *r)
{
	for (size_t i = 0; i < r->u->n_hwpts; i++) {
		bool used = false;

		for (size_t k = 0; k < r->u->n_devices; k++)
			used |= r->u->devices[k].hwpt == r->u->hwpts[i].id;
		if (!used)
			return refuse(
				r->c->e, NULL,
				"%s: its HWPT %u is attached to no device, so nobody can tell for which it was made",
				r->name, r->u->hwpts[i].id);
	}
	return 0;
}

static int add_iommufd(struct compose *c, size_t i)
{
	_cleanup_free_ struct records *r = calloc(1, sizeof(*r));
	struct lu_devices_iommufd *u;
	int k;

	u = r ? more(&c->d->iommufds, &c->d->n_iommufds, sizeof(*u)) : NULL;
	if (!u)
		return -ENOMEM;
	u->fd = i;
	u->stands_in = c->facts->fds[i].unseen.stands_in;
	u->by_process = c->facts->fds[i].unseen.by_process;
	r->c = c;
	r->name = c->d->fds[i].name;
	r->data = c->facts->fds[i].records;
	r->length = c->facts->fds[i].length;
	r->u = u;
	k = get_records(r);
	return k < 0 ? k : check_attached(r);
}

/* --- devices --- */

static int find_eventfd(struct compose *c, const struct lu_devices_device *dev, const struct vfio_device_irq *irq,
			int id, uint64_t *ret)
{
	*ret = LU_DEVICES_NONE;
	if (id == -1)
		return 0;
	for (size_t i = 0; i < c->d->n_fds; i++) {
		if (c->facts->fds[i].kind == LU_FD_EVENTFD && c->facts->fds[i].eventfd_id == id) {
			*ret = i;
			return 0;
		}
	}
	return refuse(c->e, NULL,
		      "device %s: interrupt %u of index %u goes to an eventfd that is not among QEMU's files", dev->bdf,
		      irq->vector, irq->index);
}

static int add_irqs(struct compose *c, struct lu_devices_device *dev, const struct lu_fd_facts *facts)
{
	for (size_t i = 0; i < facts->n_irqs; i++) {
		const struct vfio_device_irq *irq = &facts->irqs[i];
		struct lu_devices_irq *q;
		int r;

		if (irq->index >= VFIO_PCI_NUM_IRQS || (irq->flags & ~VFIO_DEVICE_IRQ_MASKED))
			return refuse(c->e, NULL,
				      "device %s: has an interrupt of an unknown kind (index %u, flags 0x%x)", dev->bdf,
				      irq->index, irq->flags);
		q = more(&dev->irqs, &dev->n_irqs, sizeof(*q));
		if (!q)
			return -ENOMEM;
		*q = (struct lu_devices_irq){
			.index = (int)irq->index,
			.vector = irq->vector,
			.masked = irq->flags & VFIO_DEVICE_IRQ_MASKED,
		};
		r = find_eventfd(c, dev, irq, irq->trigger, &q->trigger);
		if (r == 0)
			r = find_eventfd(c, dev, irq, irq->mask, &q->mask);
		if (r == 0)
			r = find_eventfd(c, dev, irq, irq->unmask, &q->unmask);
		if (r < 0)
			return r;
	}
	return 0;
}

static const struct lu_cpr_device *cpr_device(const struct compose *c, const char *name)
{
	return lu_cpr_find_device(c->facts->cpr, name);
}

/*
 * A device that came from its group: QEMU knows no ids. Opening it makes the device and then, if there is none yet, the
 * table of the container's IOAS, which get the lowest ids that are free.
 */
static int check_via_group(struct compose *c, const struct lu_devices_iommufd *u, struct lu_devices_device *dev)
{
	const struct lu_devices_hwpt *h = find_hwpt(u, dev->hwpt);

	for (size_t i = 0; i < c->d->n_fds; i++)
		if (c->facts->fds[i].kind == LU_FD_VFIO_GROUP && c->facts->fds[i].group == c->facts->fds[dev->fd].group)
			dev->via = i + 1;
	if (!dev->via)
		return refuse(c->e, NULL, "device %s: its group is not among QEMU's files", dev->bdf);
	if (!u->stands_in || !h || !h->auto_made || h->ioas != u->stands_in)
		return refuse(c->e, NULL, "device %s: is not attached to the address space of its container", dev->bdf);
	if (dev->id > h->id)
		return refuse(c->e, "restart the VM, then ids are in their order again",
			      "device %s: has id %u, and can't get it again beside its table's, which is %u", dev->bdf,
			      dev->id, h->id);
	return 0;
}

/* The ids that the new QEMU will go by must be those that the kernel has. A HWPT of 0 says that it has none of its own. */
static int check_cpr_ids(struct compose *c, const struct lu_devices_iommufd *u, const struct lu_devices_device *dev)
{
	const char *name = c->d->fds[dev->fd].name;
	const struct lu_cpr_device *cpr = cpr_device(c, name);
	const struct lu_devices_hwpt *h = find_hwpt(u, dev->hwpt);

	if (!cpr)
		return refuse(c->e, NULL, "device %s: QEMU's CPR state does not speak of %s", dev->bdf, name);
	if (!h)
		return lu_error_set(c->e, -EBADMSG, NULL, "device %s: is attached to %u, which is no HWPT", dev->bdf,
				    dev->hwpt);
	if (cpr->devid < 0 || (uint32_t)cpr->devid != dev->id || cpr->ioas_id != h->ioas ||
	    (cpr->hwpt_id && cpr->hwpt_id != h->id))
		return lu_error_set(
			c->e, -EBADMSG, NULL,
			"device %s: has id %u, IOAS %u and HWPT %u, but QEMU's CPR state says %d, %u and %u", dev->bdf,
			dev->id, h->ioas, h->id, cpr->devid, cpr->ioas_id, cpr->hwpt_id);
	return 0;
}

static int add_device(struct compose *c, const struct lu_devices_iommufd *u, struct lu_devices_device *dev)
{
	int r;

	for (size_t i = 0; i < c->d->n_fds; i++) {
		if (c->facts->fds[i].kind != LU_FD_VFIO_DEVICE || strcmp(c->facts->fds[i].bdf, dev->bdf) != 0)
			continue;
		if (dev->fd != LU_DEVICES_NONE)
			return refuse(c->e, NULL, "device %s: is among QEMU's files twice", dev->bdf);
		dev->fd = i;
	}
	if (dev->fd == LU_DEVICES_NONE)
		return refuse(c->e, "give the device an id and an iommufd on QEMU's command line",
			      "device %s: is bound, but not among QEMU's files", dev->bdf);
	for (const struct lu_devices_iommufd *v = c->d->iommufds; v <= u; v++)
		for (size_t k = 0; k < v->n_devices && &v->devices[k] != dev; k++)
			if (v->devices[k].fd == dev->fd)
				return refuse(c->e, NULL, "device %s: is in both %s and %s of QEMU", dev->bdf,
					      c->d->fds[v->fd].name, c->d->fds[u->fd].name);
	if (c->facts->fds[dev->fd].by_group)
		r = check_via_group(c, u, dev);
	else if (u->stands_in)
		r = refuse(c->e, NULL, "device %s: is in a container, but did not come from its group", dev->bdf);
	else
		r = check_cpr_ids(c, u, dev);
	return r < 0 ? r : add_irqs(c, dev, &c->facts->fds[dev->fd]);
}

/* What stands in a group shares one table; else the group would be torn apart by the order of attaching. */
static int check_groups(struct compose *c)
{
	const struct lu_devices_device *first = NULL;
	size_t first_iommufd = 0;

	for (size_t g = 0; g < c->d->n_fds; g++) {
		first = NULL;
		if (c->facts->fds[g].kind != LU_FD_VFIO_DEVICE || c->facts->fds[g].group < 0)
			continue;
		for (size_t i = 0; i < c->d->n_iommufds; i++) {
			for (size_t k = 0; k < c->d->iommufds[i].n_devices; k++) {
				const struct lu_devices_device *dev = &c->d->iommufds[i].devices[k];

				if (c->facts->fds[dev->fd].group != c->facts->fds[g].group)
					continue;
				if (first && (first_iommufd != i || first->hwpt != dev->hwpt))
					return refuse(
						c->e, NULL,
						"devices %s and %s: are in one IOMMU group but have different tables",
						first->bdf, dev->bdf);
				first = dev;
				first_iommufd = i;
			}
		}
	}
	return 0;
}

static int check_claimed(struct compose *c)
{
	for (size_t f = 0; f < c->d->n_fds; f++) {
		bool used = c->d->fds[f].kind != LU_FD_VFIO_DEVICE;

		for (size_t i = 0; i < c->d->n_iommufds; i++)
			for (size_t k = 0; k < c->d->iommufds[i].n_devices; k++)
				used |= c->d->iommufds[i].devices[k].fd == f;
		if (!used)
			return refuse(c->e, NULL, "device %s: is bound to none of QEMU's iommufds",
				      c->facts->fds[f].bdf);
	}
	return 0;
}

/* QEMU has one container for several groups under as many names; which of its files are the same is not known here */
static int check_containers(struct compose *c)
{
	unsigned int containers = 0, groups = 0;

	for (size_t i = 0; i < c->d->n_iommufds; i++)
		containers += c->d->iommufds[i].stands_in != 0;
	for (size_t i = 0; i < c->d->n_fds; i++)
		groups += c->d->fds[i].kind == LU_FD_VFIO_GROUP;
	if (containers > 1 || groups != containers)
		return refuse(c->e, "give QEMU -object iommufd and the devices iommufd=",
			      "it has %u legacy containers and %u groups; one of each can be carried", containers,
			      groups);
	return 0;
}

static int copy_cpr_devices(struct compose *c)
{
	for (size_t i = 0; i < c->facts->cpr->n_devices; i++) {
		const struct lu_cpr_device *from = &c->facts->cpr->devices[i];
		struct lu_cpr_device *to = more(&c->d->cpr_devices, &c->d->n_cpr_devices, sizeof(*to));

		if (!to)
			return -ENOMEM;
		*to = *from;
		to->name = strdup(from->name);
		if (!to->name)
			return -ENOMEM;
	}
	return 0;
}

static int compose(struct compose *c)
{
	int r;

	c->d->features = calloc(1, sizeof(char *));
	if (!c->d->features)
		return -ENOMEM;
	if (c->facts->session) {
		c->d->session = strdup(c->facts->session);
		if (!c->d->session)
			return -ENOMEM;
	}
	r = add_ram(c);
	for (size_t i = 0; i < c->facts->cpr->n_fds && r == 0; i++)
		r = add_fd(c, i);
	for (size_t i = 0; i < c->facts->cpr->n_fds && r == 0; i++)
		if (c->facts->fds[i].kind == LU_FD_IOMMUFD)
			r = add_iommufd(c, i);
	for (size_t i = 0; i < c->d->n_iommufds && r == 0; i++)
		for (size_t k = 0; k < c->d->iommufds[i].n_devices && r == 0; k++)
			r = add_device(c, &c->d->iommufds[i], &c->d->iommufds[i].devices[k]);
	if (r == 0)
		r = check_claimed(c);
	if (r == 0)
		r = check_groups(c);
	if (r == 0)
		r = check_containers(c);
	if (r == 0)
		r = copy_cpr_devices(c);
	return r < 0 ? r : lu_devices_check(c->d, c->e);
}

int lu_devices_compose(const struct lu_facts *facts, struct lu_devices *ret, struct lu_error *e)
{
	struct lu_devices d = { 0 };
	struct compose c = { .facts = facts, .d = &d, .e = e };
	int r = compose(&c);

	free(c.known);
	if (r < 0) {
		lu_devices_clear(&d);
		return r;
	}
	*ret = d;
	return 0;
}
