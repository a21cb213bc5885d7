/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* A VM with one passed-through device, as facts; and records of IOMMU_STATE made by hand. */
#include "test.h"

#include "devices-internal.h"

#define SAMPLE_FDS 8
#define SAMPLE_RECORDS 4096

enum {
	F_IOMMUFD,
	F_DEVICE,
	F_INTERRUPT0,
	F_KVM_INTERRUPT0,
	F_INTERRUPT2,
	F_REQ,
	F_BIOS,
	F_SPARE, /* an eventfd that nothing uses */
};

#define RAM_DEV 2
#define RAM_INODE 50
#define RAM_SIZE (16ULL << 20)
#define BIOS_DEV 1
#define BIOS_INODE 100
#define BIOS_SIZE 0x40000ULL

struct sample {
	struct lu_cpr_fd cpr_fds[SAMPLE_FDS + 1];
	struct lu_cpr_device cpr_devices[2];
	struct lu_cpr cpr;
	struct lu_fd_facts fds[SAMPLE_FDS + 1];
	struct lu_ram_facts ram[2];
	struct vfio_device_irq irqs[8];
	struct lu_facts facts;
	unsigned char records[SAMPLE_RECORDS];
	size_t length;
};

/* Appends a record, and returns it to be changed. Its head's length is @size. */
static inline void *sample_put(struct sample *s, uint32_t type, uint32_t id, uint32_t flags, size_t size)
{
	struct iommu_state_head head = { .type = type, .length = (uint32_t)size, .id = id, .flags = flags };
	unsigned char *p = s->records + s->length;

	if (s->length + size > sizeof(s->records))
		abort();
	memset(p, 0, size);
	memcpy(p, &head, sizeof(head));
	s->length += size;
	s->fds[F_IOMMUFD].length = s->length;
	return p;
}

static inline struct iommu_state_device *sample_device(struct sample *s, uint32_t id, unsigned int slot, uint32_t hwpt)
{
	struct iommu_state_device *d = sample_put(s, IOMMU_STATE_DEVICE, id, IOMMU_STATE_DEVICE_PCI, sizeof(*d));

	d->hwpt_id = hwpt;
	d->devfn = (__u8)(slot << 3);
	return d;
}

static inline struct iommu_state_ioas *sample_ioas(struct sample *s, uint32_t id)
{
	return sample_put(s, IOMMU_STATE_IOAS, id, 0, sizeof(struct iommu_state_ioas));
}

static inline struct iommu_state_area *sample_area(struct sample *s, uint32_t ioas, uint64_t iova, uint64_t length,
						   uint64_t offset, bool ram)
{
	struct iommu_state_area *a = sample_put(s, IOMMU_STATE_AREA, ioas, 0, sizeof(*a));

	a->iova = iova;
	a->length = length;
	a->offset = offset;
	a->dev = ram ? RAM_DEV : BIOS_DEV;
	a->inode = ram ? RAM_INODE : BIOS_INODE;
	a->prot = IOMMU_IOAS_MAP_READABLE | (ram ? IOMMU_IOAS_MAP_WRITEABLE : 0);
	a->kind = IOMMU_STATE_AREA_FILE;
	return a;
}

static inline struct iommu_state_allowed *sample_allowed(struct sample *s, uint32_t ioas, uint64_t start, uint64_t last)
{
	struct iommu_state_allowed *a = sample_put(s, IOMMU_STATE_ALLOWED, ioas, 0, sizeof(*a));

	a->start = start;
	a->last = last;
	return a;
}

static inline struct iommu_state_hwpt *sample_hwpt(struct sample *s, uint32_t id, uint32_t ioas, uint32_t flags)
{
	struct iommu_state_hwpt *h = sample_put(s, IOMMU_STATE_HWPT, id, flags, sizeof(*h));

	h->ioas_id = ioas;
	return h;
}

static inline void sample_eventfd(struct sample *s, int i, int id, uint64_t count)
{
	s->fds[i].kind = LU_FD_EVENTFD;
	s->fds[i].eventfd_id = id;
	s->fds[i].eventfd = (struct lu_devices_eventfd){ .count = count, .nonblock = true };
}

static inline void sample_no_records(struct sample *s)
{
	s->length = 0;
	s->fds[F_IOMMUFD].length = 0;
}

/* What every case starts from; nothing in it is allocated. */
static inline void sample_init(struct sample *s)
{
	static const struct {
		const char *name;
		int id;
	} names[SAMPLE_FDS] = {
		{ "iommufd0", 0 },
		{ "0000:00:04.0", 0 },
		{ "0000:00:04.0_interrupt", 0 },
		{ "0000:00:04.0_kvm_interrupt", 0 },
		{ "0000:00:04.0_interrupt", 2 },
		{ "0000:00:04.0_req_notifier", 0 },
		{ "pc.bios", 0 },
		{ "spare", 0 },
	};

	memset(s, 0, sizeof(*s));
	for (int i = 0; i < SAMPLE_FDS; i++)
		s->cpr_fds[i] = (struct lu_cpr_fd){ .name = (char *)names[i].name, .id = names[i].id, .fd = -EBADF };
	s->cpr_devices[0] =
		(struct lu_cpr_device){ .name = (char *)"0000:00:04.0", .devid = 1, .ioas_id = 2, .hwpt_id = 3 };
	s->cpr = (struct lu_cpr){ .fds = s->cpr_fds, .n_fds = SAMPLE_FDS, .devices = s->cpr_devices, .n_devices = 1 };
	s->facts =
		(struct lu_facts){ .cpr = &s->cpr, .session = "luctl-web1", .fds = s->fds, .ram = s->ram, .n_ram = 1 };
	s->ram[0] = (struct lu_ram_facts){
		.path = (char *)"ram/web1/ram0", .dev = RAM_DEV, .inode = RAM_INODE, .size = RAM_SIZE
	};

	s->fds[F_IOMMUFD].kind = LU_FD_IOMMUFD;
	s->fds[F_IOMMUFD].records = s->records;
	s->fds[F_DEVICE].kind = LU_FD_VFIO_DEVICE;
	strcpy(s->fds[F_DEVICE].bdf, "0000:00:04.0");
	s->fds[F_DEVICE].group = 7;
	s->fds[F_DEVICE].irqs = s->irqs;
	s->fds[F_DEVICE].n_irqs = 4;
	/* vector 1 is a hole, but allocated */
	s->irqs[0] = (struct vfio_device_irq){ VFIO_PCI_MSIX_IRQ_INDEX, 0, 0, 12, -1, -1 };
	s->irqs[1] = (struct vfio_device_irq){ VFIO_PCI_MSIX_IRQ_INDEX, 1, 0, -1, -1, -1 };
	s->irqs[2] = (struct vfio_device_irq){ VFIO_PCI_MSIX_IRQ_INDEX, 2, 0, 13, -1, -1 };
	s->irqs[3] = (struct vfio_device_irq){ VFIO_PCI_REQ_IRQ_INDEX, 0, 0, 14, -1, -1 };
	sample_eventfd(s, F_INTERRUPT0, 11, 0);
	sample_eventfd(s, F_KVM_INTERRUPT0, 12, 0);
	sample_eventfd(s, F_INTERRUPT2, 13, 5);
	sample_eventfd(s, F_REQ, 14, 0);
	sample_eventfd(s, F_SPARE, 15, 3);
	s->fds[F_BIOS].kind = LU_FD_MEMORY;
	s->fds[F_BIOS].dev = BIOS_DEV;
	s->fds[F_BIOS].inode = BIOS_INODE;
	s->fds[F_BIOS].size = BIOS_SIZE;
	s->fds[F_BIOS].memfd_name = (char *)"pc.bios";

	sample_device(s, 1, 4, 3);
	sample_ioas(s, 2);
	sample_area(s, 2, 0, 0xc0000, 0, true);
	sample_area(s, 2, 0x100000, RAM_SIZE - 0x100000, 0x100000, true);
	sample_area(s, 2, 0xfffc0000, BIOS_SIZE, 0, false);
	sample_allowed(s, 2, 0, 0xfedfffff);
	sample_hwpt(s, 3, 2, 0)->alloc_flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
}
