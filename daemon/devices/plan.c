// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From what the kernel told to the calls that set it up again: pure, so that tests can look at the order. They are
 * written into the journal (calls_io.c) and made in the next kernel (replay.c).
 *
 *	memories, eventfds				fail before any device is touched
 *	iommufd: how it accounts, as long as nothing is in it; fill ids 1 to the highest with IOAS; options, ranges, areas of those that are wanted
 *	devices: open, free the id, bind
 *	HWPTs:   free the id, make it (it is populated at once, so areas come before)
 *	attach;  for a HWPT of the kernel's own: free the id, attach to the IOAS
 *	in place of a container: say for which IOAS; then instead of open, bind and attach: group, container,
 *		 free the ids, get the device from its group
 *	free the ids that are left over
 *	interrupts, then counts of eventfds, one more for each that MSI or MSI-X signals
 *
 * Ids. iommufd gives each new object the lowest id that is free. QEMU's ids need not be in the order in
 * which objects can be made, and have holes, once a device was unplugged. So all ids up to the highest
 * are taken by IOAS first, cheap objects which depend on nothing; those that are to be an IOAS stay. Before
 * an object is made, the IOAS that keeps its id is destroyed: then this id is the lowest that is free.
 *
 * Attaching comes after all that makes the tables, because this is when the kernel compares them with
 * those that the device is using, and moves it over.
 *
 * An interrupt may have come while nobody had set it up: MSI and MSI-X are edges, so one signal is added
 * for each eventfd. INTx is a level, it comes again by itself, and so it is left unmasked whether or not
 * it was masked: one that waited for a lost unmask would never come.
 */
#include <string.h>
#include <sys/eventfd.h>

#include "devices-internal.h"

struct plan {
	const struct lu_devices *d;
	struct lu_calls *c;
	uint32_t *files; /* by entry of fds: number of the file; memories have theirs as number */
	uint32_t n_files;
	bool failed; /* no memory */
};

static struct lu_call *add(struct plan *p, enum lu_call_kind kind, uint32_t file, const char *name, int32_t id)
{
	static struct lu_call nowhere;
	struct lu_call *call = p->failed ? NULL : lu_calls_add(p->c, kind, file, name, id);

	if (call)
		return call;
	p->failed = true;
	nowhere = (struct lu_call){ 0 };
	return &nowhere;
}

/* A call on an entry of the CPR state, by its index. */
static struct lu_call *on(struct plan *p, enum lu_call_kind kind, uint64_t fd)
{
	return add(p, kind, p->files[fd], p->d->fds[fd].name, p->d->fds[fd].id);
}

static struct lu_call *open_fd(struct plan *p, enum lu_call_kind kind, uint64_t fd)
{
	p->files[fd] = p->n_files++;
	return on(p, kind, fd);
}

static uint64_t *make_list(struct plan *p, struct lu_call *call, size_t n)
{
	static uint64_t nowhere[LU_CALLS_VECTORS_MAX];

	call->list = p->failed ? NULL : calloc(n, sizeof(*call->list));
	if (!call->list) {
		p->failed = true;
		return nowhere;
	}
	call->n_list = n;
	return call->list;
}

static void free_id(struct plan *p, size_t u, uint32_t id)
{
	on(p, LU_CALL_DESTROY, p->d->iommufds[u].fd)->args[LU_DESTROY_ID] = id;
}

static void add_memory(struct plan *p, const struct lu_devices_memory *m)
{
	bool file = m->kind == LU_MEMORY_FILE;
	struct lu_call *call = add(p, file ? LU_CALL_OPEN_FILE : LU_CALL_MEMFD, p->n_files++,
				   file    ? m->path :
				   m->name ?:
					     "",
				   0);

	call->args[LU_OPEN_FILE_SIZE] = m->size;
	call->args[LU_OPEN_FILE_INODE] = file ? m->inode : m->token;
}

static void add_files(struct plan *p)
{
	for (size_t i = 0; i < p->d->n_memories; i++)
		add_memory(p, &p->d->memories[i]);
	for (size_t i = 0; i < p->d->n_fds; i++) {
		const struct lu_devices_fd *f = &p->d->fds[i];

		if (f->kind == LU_FD_MEMORY)
			open_fd(p, LU_CALL_DUP, i)->args[LU_DUP_FILE] = f->memory;
		else if (f->kind == LU_FD_EVENTFD)
			open_fd(p, LU_CALL_EVENTFD, i)->args[LU_EVENTFD_FLAGS] =
				(f->eventfd->nonblock ? EFD_NONBLOCK : 0) | (f->eventfd->semaphore ? EFD_SEMAPHORE : 0);
	}
}

static uint32_t max_id(const struct lu_devices_iommufd *u)
{
	uint32_t max = 0;

	for (size_t i = 0; i < u->n_ioas; i++)
		max = u->ioas[i].id > max ? u->ioas[i].id : max;
	for (size_t i = 0; i < u->n_hwpts; i++)
		max = u->hwpts[i].id > max ? u->hwpts[i].id : max;
	for (size_t i = 0; i < u->n_devices; i++)
		max = u->devices[i].id > max ? u->devices[i].id : max;
	return max;
}

static void add_area(struct plan *p, uint64_t fd, uint32_t ioas, const struct lu_devices_area *a)
{
	struct lu_call *call = on(p, LU_CALL_MAP, fd);

	call->args[LU_MAP_IOAS] = ioas;
	call->args[LU_MAP_FLAGS] = (uint64_t)(IOMMU_IOAS_MAP_FIXED_IOVA | (a->read ? IOMMU_IOAS_MAP_READABLE : 0) |
					      (a->write ? IOMMU_IOAS_MAP_WRITEABLE : 0));
	call->args[LU_MAP_IOVA] = a->iova;
	call->args[LU_MAP_LENGTH] = a->length;
	call->args[LU_MAP_FILE] = a->memory;
	call->args[LU_MAP_OFFSET] = a->offset;
}

static void add_ioas(struct plan *p, size_t u)
{
	const struct lu_devices_iommufd *iommufd = &p->d->iommufds[u];

	open_fd(p, LU_CALL_OPEN_IOMMU, iommufd->fd);
	if (iommufd->by_process) {
		struct lu_call *call = on(p, LU_CALL_OPTION, iommufd->fd);

		call->args[LU_OPTION_OPTION] = IOMMU_OPTION_RLIMIT_MODE;
		call->args[LU_OPTION_VALUE] = 1;
	}
	for (uint32_t id = 1; id <= max_id(iommufd); id++)
		on(p, LU_CALL_IOAS, iommufd->fd)->expect = id;
	for (size_t i = 0; i < iommufd->n_ioas; i++) {
		const struct lu_devices_ioas *ioas = &iommufd->ioas[i];

		if (!ioas->huge_pages) {
			struct lu_call *call = on(p, LU_CALL_OPTION, iommufd->fd);

			call->args[LU_OPTION_IOAS] = ioas->id;
			call->args[LU_OPTION_OPTION] = IOMMU_OPTION_HUGE_PAGES;
		}
		if (ioas->n_allowed) {
			struct lu_call *call = on(p, LU_CALL_ALLOW, iommufd->fd);
			uint64_t *ranges;

			call->args[LU_ALLOW_IOAS] = ioas->id;
			ranges = make_list(p, call, 2 * ioas->n_allowed);
			for (size_t k = 0; k < ioas->n_allowed; k++) {
				ranges[2 * k] = ioas->allowed[k].start;
				ranges[2 * k + 1] = ioas->allowed[k].last;
			}
		}
		for (size_t k = 0; k < ioas->n_areas; k++)
			add_area(p, iommufd->fd, ioas->id, &ioas->areas[k]);
	}
	if (iommufd->stands_in)
		on(p, LU_CALL_STAND_IN, iommufd->fd)->args[LU_STAND_IN_IOAS] = iommufd->stands_in;
}

static void add_devices(struct plan *p, size_t u)
{
	const struct lu_devices_iommufd *iommufd = &p->d->iommufds[u];

	for (size_t i = 0; i < iommufd->n_devices; i++) {
		const struct lu_devices_device *dev = &iommufd->devices[i];
		struct lu_call *call;

		if (dev->via)
			continue;
		open_fd(p, LU_CALL_OPEN_DEVICE, dev->fd)->args[LU_OPEN_DEVICE_BDF] = lu_call_bdf_number(dev->bdf);
		free_id(p, u, dev->id);
		call = on(p, LU_CALL_BIND, dev->fd);
		call->args[LU_BIND_IOMMUFD] = p->files[iommufd->fd];
		call->expect = dev->id;
	}
}

/* A HWPT is made for a device, which one of those that it served is not known: their IOMMU is the same. */
static void add_hwpts(struct plan *p, size_t u)
{
	const struct lu_devices_iommufd *iommufd = &p->d->iommufds[u];

	for (size_t i = 0; i < iommufd->n_hwpts; i++) {
		const struct lu_devices_hwpt *h = &iommufd->hwpts[i];
		struct lu_call *call;
		size_t k = 0;

		if (h->auto_made)
			continue;
		while (iommufd->devices[k].hwpt != h->id)
			k++;
		free_id(p, u, h->id);
		call = on(p, LU_CALL_HWPT, iommufd->fd);
		call->args[LU_TABLE_FLAGS] = h->flags;
		call->args[LU_TABLE_DEVICE] = iommufd->devices[k].id;
		call->args[LU_TABLE_IOAS] = h->ioas;
		call->expect = h->id;
	}
}

/* Opened, bound and attached by one call: both ids are free then. The container's ioctls need no more than its IOAS. */
static void get_device(struct plan *p, size_t u, const struct lu_devices_device *dev)
{
	uint64_t group = dev->via - 1;
	struct lu_call *call;

	open_fd(p, LU_CALL_OPEN_GROUP, group)->args[LU_OPEN_GROUP_BDF] = lu_call_bdf_number(dev->bdf);
	on(p, LU_CALL_SET_CONTAINER, group)->args[LU_SET_CONTAINER_IOMMUFD] = p->files[p->d->iommufds[u].fd];
	free_id(p, u, dev->id);
	call = open_fd(p, LU_CALL_GET_DEVICE, dev->fd);
	call->args[LU_GET_DEVICE_BDF] = lu_call_bdf_number(dev->bdf);
	call->args[LU_GET_DEVICE_GROUP] = p->files[group];
	call->args[LU_GET_DEVICE_HWPT] = dev->hwpt;
	call->expect = dev->id;
}

static void add_attach(struct plan *p, size_t u)
{
	const struct lu_devices_iommufd *iommufd = &p->d->iommufds[u];

	for (size_t i = 0; i < iommufd->n_hwpts; i++) {
		const struct lu_devices_hwpt *h = &iommufd->hwpts[i];
		bool first = true;

		for (size_t k = 0; k < iommufd->n_devices; k++) {
			struct lu_call *call;

			if (iommufd->devices[k].hwpt != h->id)
				continue;
			if (first && h->auto_made)
				free_id(p, u, h->id);
			first = false;
			if (iommufd->devices[k].via) {
				get_device(p, u, &iommufd->devices[k]);
				continue;
			}
			call = on(p, LU_CALL_ATTACH, iommufd->devices[k].fd);
			call->args[LU_ATTACH_PT] = h->auto_made ? h->ioas : h->id;
			call->expect = h->id;
		}
	}
}

static void free_holes(struct plan *p, size_t u)
{
	const struct lu_devices_iommufd *iommufd = &p->d->iommufds[u];
	bool used[LU_DEVICES_ID_MAX + 1] = { false };

	for (size_t i = 0; i < iommufd->n_ioas; i++)
		used[iommufd->ioas[i].id] = true;
	for (size_t i = 0; i < iommufd->n_hwpts; i++)
		used[iommufd->hwpts[i].id] = true;
	for (size_t i = 0; i < iommufd->n_devices; i++)
		used[iommufd->devices[i].id] = true;
	for (uint32_t id = 1; id <= max_id(iommufd); id++)
		if (!used[id])
			free_id(p, u, id);
}

static bool is_edge(const struct lu_devices_irq *q)
{
	return q->index == VFIO_PCI_MSI_IRQ_INDEX || q->index == VFIO_PCI_MSIX_IRQ_INDEX;
}

static uint64_t file_of(const struct plan *p, uint64_t fd)
{
	return fd == LU_DEVICES_NONE ? LU_CALLS_NO_FILE : p->files[fd];
}

static struct lu_call *set_irqs(struct plan *p, const struct lu_devices_device *dev, uint64_t action, int index)
{
	struct lu_call *call = on(p, LU_CALL_IRQS, dev->fd);

	call->args[LU_IRQS_FLAGS] = VFIO_IRQ_SET_DATA_EVENTFD | action;
	call->args[LU_IRQS_INDEX] = (uint64_t)index;
	return call;
}

/* All vectors in one call: what can't be resized later must be right at once (VFIO_IRQ_INFO_NORESIZE). */
static void add_triggers(struct plan *p, const struct lu_devices_device *dev, int index)
{
	uint64_t *vectors;
	uint32_t n = 0;

	for (size_t i = 0; i < dev->n_irqs; i++)
		if (dev->irqs[i].index == index && dev->irqs[i].vector >= n)
			n = dev->irqs[i].vector + 1;
	vectors = make_list(p, set_irqs(p, dev, VFIO_IRQ_SET_ACTION_TRIGGER, index), n);
	for (size_t i = 0; i < n; i++)
		vectors[i] = LU_CALLS_NO_FILE;
	for (size_t i = 0; i < dev->n_irqs; i++)
		if (dev->irqs[i].index == index)
			vectors[dev->irqs[i].vector] = file_of(p, dev->irqs[i].trigger);
}

static void add_irqs(struct plan *p, size_t u, size_t device, bool *kick)
{
	const struct lu_devices_device *dev = &p->d->iommufds[u].devices[device];

	for (int index = 0; index < VFIO_PCI_NUM_IRQS; index++) {
		bool any = false;

		for (size_t i = 0; i < dev->n_irqs; i++) {
			const struct lu_devices_irq *q = &dev->irqs[i];

			if (q->index != index)
				continue;
			if (!any)
				add_triggers(p, dev, index);
			any = true;
			if (q->mask != LU_DEVICES_NONE)
				*make_list(p, set_irqs(p, dev, VFIO_IRQ_SET_ACTION_MASK, index), 1) =
					file_of(p, q->mask);
			if (q->unmask != LU_DEVICES_NONE)
				*make_list(p, set_irqs(p, dev, VFIO_IRQ_SET_ACTION_UNMASK, index), 1) =
					file_of(p, q->unmask);
			if (is_edge(q) && q->trigger != LU_DEVICES_NONE)
				kick[q->trigger] = true;
		}
	}
}

static void add_counts(struct plan *p, const bool *kick)
{
	for (size_t i = 0; i < p->d->n_fds; i++) {
		uint64_t count;

		if (p->d->fds[i].kind != LU_FD_EVENTFD)
			continue;
		count = p->d->fds[i].eventfd->count;
		if (kick[i] && count < UINT64_MAX - 1)
			count++;
		if (count)
			on(p, LU_CALL_ADD, i)->args[LU_ADD_COUNT] = count;
	}
}

int lu_devices_plan(const struct lu_devices *d, struct lu_calls *ret)
{
	_cleanup_free_ bool *kick = calloc(d->n_fds + 1, sizeof(bool));
	_cleanup_free_ uint32_t *files = calloc(d->n_fds + 1, sizeof(*files));
	_cleanup_calls_ struct lu_calls c = LU_CALLS_INIT;
	struct plan p = { .d = d, .c = &c, .files = files, .failed = !kick || !files };
	int r;

	if (p.failed)
		return -ENOMEM;
	add_files(&p);
	for (size_t u = 0; u < d->n_iommufds; u++)
		add_ioas(&p, u);
	for (size_t u = 0; u < d->n_iommufds; u++)
		add_devices(&p, u);
	for (size_t u = 0; u < d->n_iommufds; u++)
		add_hwpts(&p, u);
	for (size_t u = 0; u < d->n_iommufds; u++)
		add_attach(&p, u);
	for (size_t u = 0; u < d->n_iommufds; u++)
		free_holes(&p, u);
	for (size_t u = 0; u < d->n_iommufds; u++)
		for (size_t i = 0; i < d->iommufds[u].n_devices; i++)
			add_irqs(&p, u, i, kick);
	add_counts(&p, kick);
	r = p.failed ? -ENOMEM : lu_calls_index(&c, NULL);
	if (r < 0)
		return r;
	*ret = c;
	c = LU_CALLS_INIT;
	return 0;
}
