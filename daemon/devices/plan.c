// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From devices.json to steps: pure, so that tests can look at the order. replay.c does them.
 *
 *	memories, eventfds				fail before any device is touched
 *	iommufd: fill ids 1 to the highest with IOAS; options, ranges, areas of those that are wanted
 *	devices: open, free the id, bind
 *	HWPTs:   free the id, make it (it is populated at once, so areas come before)
 *	attach;  for a HWPT of the kernel's own: free the id, attach to the IOAS
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
#include "devices-internal.h"

struct plan {
	const struct lu_devices *d;
	struct lu_step *steps;
	size_t n, room;
	bool failed; /* no memory */
};

static struct lu_step *add(struct plan *p, enum lu_step_kind kind, size_t iommufd, size_t index, size_t sub)
{
	static struct lu_step nowhere;
	struct lu_step *s = &nowhere;

	if (p->n == p->room && !p->failed) {
		size_t room = p->room ? p->room * 2 : 64;
		struct lu_step *steps = reallocarray(p->steps, room, sizeof(*steps));

		p->failed = !steps;
		if (steps) {
			p->steps = steps;
			p->room = room;
		}
	}
	if (!p->failed)
		s = &p->steps[p->n++];
	*s = (struct lu_step){
		.kind = kind, .iommufd = (uint32_t)iommufd, .index = (uint32_t)index, .sub = (uint32_t)sub
	};
	return s;
}

static void free_id(struct plan *p, size_t u, uint32_t id)
{
	add(p, LU_STEP_FREE, u, 0, 0)->id = id;
}

static void add_files(struct plan *p)
{
	for (size_t i = 0; i < p->d->n_memories; i++)
		add(p, LU_STEP_MEMORY, 0, i, 0);
	for (size_t i = 0; i < p->d->n_fds; i++) {
		if (p->d->fds[i].kind == LU_FD_MEMORY)
			add(p, LU_STEP_MEMORY_FD, 0, i, 0);
		else if (p->d->fds[i].kind == LU_FD_EVENTFD)
			add(p, LU_STEP_EVENTFD, 0, i, 0);
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

static void add_ioas(struct plan *p, size_t u)
{
	const struct lu_devices_iommufd *iommufd = &p->d->iommufds[u];

	add(p, LU_STEP_IOMMUFD, u, 0, 0);
	for (uint32_t id = 1; id <= max_id(iommufd); id++)
		add(p, LU_STEP_FILL, u, 0, 0)->id = id;
	for (size_t i = 0; i < iommufd->n_ioas; i++) {
		if (!iommufd->ioas[i].huge_pages)
			add(p, LU_STEP_OPTION, u, i, 0);
		if (iommufd->ioas[i].n_allowed)
			add(p, LU_STEP_ALLOW, u, i, 0);
		for (size_t k = 0; k < iommufd->ioas[i].n_areas; k++)
			add(p, LU_STEP_MAP, u, i, k);
	}
}

static void add_devices(struct plan *p, size_t u)
{
	const struct lu_devices_iommufd *iommufd = &p->d->iommufds[u];

	for (size_t i = 0; i < iommufd->n_devices; i++) {
		add(p, LU_STEP_OPEN, u, i, 0);
		free_id(p, u, iommufd->devices[i].id);
		add(p, LU_STEP_BIND, u, i, 0)->id = iommufd->devices[i].id;
	}
}

/* A HWPT is made for a device, which one of those that it served is not known: their IOMMU is the same. */
static void add_hwpts(struct plan *p, size_t u)
{
	const struct lu_devices_iommufd *iommufd = &p->d->iommufds[u];

	for (size_t i = 0; i < iommufd->n_hwpts; i++) {
		size_t k = 0;

		if (iommufd->hwpts[i].auto_made)
			continue;
		while (iommufd->devices[k].hwpt != iommufd->hwpts[i].id)
			k++;
		free_id(p, u, iommufd->hwpts[i].id);
		add(p, LU_STEP_HWPT, u, i, k)->id = iommufd->hwpts[i].id;
	}
}

static void add_attach(struct plan *p, size_t u)
{
	const struct lu_devices_iommufd *iommufd = &p->d->iommufds[u];

	for (size_t i = 0; i < iommufd->n_hwpts; i++) {
		bool first = true;

		for (size_t k = 0; k < iommufd->n_devices; k++) {
			if (iommufd->devices[k].hwpt != iommufd->hwpts[i].id)
				continue;
			if (first && iommufd->hwpts[i].auto_made)
				free_id(p, u, iommufd->hwpts[i].id);
			first = false;
			add(p, LU_STEP_ATTACH, u, k, i)->id = iommufd->hwpts[i].id;
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
				add(p, LU_STEP_TRIGGER, u, device, (size_t)index);
			any = true;
			if (q->mask != LU_DEVICES_NONE)
				add(p, LU_STEP_MASK, u, device, i);
			if (q->unmask != LU_DEVICES_NONE)
				add(p, LU_STEP_UNMASK, u, device, i);
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
			add(p, LU_STEP_ADD, 0, i, 0)->count = count;
	}
}

int lu_replay_plan(const struct lu_devices *d, struct lu_step **ret, size_t *ret_n)
{
	_cleanup_free_ bool *kick = calloc(d->n_fds + 1, sizeof(bool));
	struct plan p = { .d = d, .failed = !kick };

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
	for (size_t u = 0; u < d->n_iommufds && kick; u++)
		for (size_t i = 0; i < d->iommufds[u].n_devices; i++)
			add_irqs(&p, u, i, kick);
	if (kick)
		add_counts(&p, kick);
	if (p.failed) {
		free(p.steps);
		return -ENOMEM;
	}
	*ret = p.steps;
	*ret_n = p.n;
	return 0;
}
