/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* A journal of calls of a VM with two devices, one with a table of its own and MSI-X, one with the kernel's and INTx. */
#include <string.h>

#include "calls.h"
#include "uapi.h"

#define SAMPLE_VM "11111111-2222-4333-8444-555555555555"
#define SAMPLE_BOOT "99999999-aaaa-4bbb-8ccc-dddddddddddd"

enum {
	S_RAM,
	S_BIOS,
	S_QEMU_BIOS,
	S_INTERRUPT,
	S_INTX,
	S_UNMASK,
	S_IOMMUFD,
	S_DEVICE0,
	S_DEVICE1,
};

static inline struct lu_call *sample_add(struct lu_calls *c, enum lu_call_kind kind, uint32_t file, uint32_t expect,
					 const uint64_t *args, size_t n_args)
{
	static const char *const names[] = {
		"ram/web1/ram0",        "pc.bios",  "pc.bios",  "hostdev0_interrupt", "hostdev1_intx-interrupt",
		"hostdev1_intx-unmask", "iommufd0", "hostdev0", "hostdev1",
	};
	struct lu_call *call = lu_calls_add(c, kind, file, names[file], file == S_INTERRUPT ? 2 : 0);

	if (!call)
		abort();
	call->expect = expect;
	memcpy(call->args, args, n_args * sizeof(*args));
	return call;
}

#define ADD(_kind, _file, _expect, ...)                                                 \
	({                                                                              \
		const uint64_t _args[] = { 0 __VA_OPT__(, ) __VA_ARGS__ };              \
		sample_add(c, _kind, _file, _expect, _args + 1, ARRAY_SIZE(_args) - 1); \
	})

static inline void sample_list(struct lu_call *call, const uint64_t *list, size_t n)
{
	call->list = malloc(n * sizeof(*list));
	if (!call->list)
		abort();
	memcpy(call->list, list, n * sizeof(*list));
	call->n_list = n;
}

/* ids: 1 device, 2 HWPT, 3 and 4 IOAS, 5 device, 6 HWPT of the kernel's own */
static inline void sample_calls(struct lu_calls *c)
{
	static const uint64_t vectors[] = { S_INTERRUPT, LU_CALLS_NO_FILE, S_INTERRUPT }, intx[] = { S_INTX },
			      unmask[] = { S_UNMASK }, ranges[] = { 0, 0xfedfffff, 0x100000000, 0xffffffffff };
	const uint64_t rw = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
	const uint64_t trigger = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;

	*c = LU_CALLS_INIT;
	strcpy(c->vm, SAMPLE_VM);
	strcpy(c->boot_id, SAMPLE_BOOT);
	c->salt = 0x12345678;
	c->stamp = (struct lu_stamp){ 1000000, 2000000, 1700000000000000000 };
	ADD(LU_CALL_OPEN_FILE, S_RAM, 0, 0x10000000, 77);
	ADD(LU_CALL_MEMFD, S_BIOS, 0, 0x40000, 1);
	ADD(LU_CALL_DUP, S_QEMU_BIOS, 0, S_BIOS);
	ADD(LU_CALL_EVENTFD, S_INTERRUPT, 0, 0x800);
	ADD(LU_CALL_EVENTFD, S_INTX, 0, 0x800);
	ADD(LU_CALL_EVENTFD, S_UNMASK, 0, 0x800);
	ADD(LU_CALL_OPEN_IOMMU, S_IOMMUFD, 0);
	for (uint32_t id = 1; id <= 6; id++)
		ADD(LU_CALL_IOAS, S_IOMMUFD, id);
	ADD(LU_CALL_OPTION, S_IOMMUFD, 0, 4, IOMMU_OPTION_HUGE_PAGES, 0);
	sample_list(ADD(LU_CALL_ALLOW, S_IOMMUFD, 0, 3), ranges, ARRAY_SIZE(ranges));
	ADD(LU_CALL_MAP, S_IOMMUFD, 0, 3, rw, 0, 0x8000000, S_RAM, 0);
	ADD(LU_CALL_MAP, S_IOMMUFD, 0, 3, IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE, 0xfffc0000, 0x40000,
	    S_BIOS, 0);
	ADD(LU_CALL_MAP, S_IOMMUFD, 0, 4, rw, 0, 0x8000000, S_RAM, 0x8000000);
	ADD(LU_CALL_OPEN_DEVICE, S_DEVICE0, 0, 4 << 3);
	ADD(LU_CALL_DESTROY, S_IOMMUFD, 0, 1);
	ADD(LU_CALL_BIND, S_DEVICE0, 1, S_IOMMUFD);
	ADD(LU_CALL_OPEN_DEVICE, S_DEVICE1, 0, 5 << 3);
	ADD(LU_CALL_DESTROY, S_IOMMUFD, 0, 5);
	ADD(LU_CALL_BIND, S_DEVICE1, 5, S_IOMMUFD);
	ADD(LU_CALL_DESTROY, S_IOMMUFD, 0, 2);
	ADD(LU_CALL_HWPT, S_IOMMUFD, 2, IOMMU_HWPT_ALLOC_DIRTY_TRACKING, 1, 3);
	ADD(LU_CALL_ATTACH, S_DEVICE0, 2, 2);
	ADD(LU_CALL_DESTROY, S_IOMMUFD, 0, 6);
	ADD(LU_CALL_ATTACH, S_DEVICE1, 6, 4);
	sample_list(ADD(LU_CALL_IRQS, S_DEVICE0, 0, trigger, VFIO_PCI_MSIX_IRQ_INDEX), vectors, ARRAY_SIZE(vectors));
	sample_list(ADD(LU_CALL_IRQS, S_DEVICE1, 0, trigger, VFIO_PCI_INTX_IRQ_INDEX), intx, ARRAY_SIZE(intx));
	sample_list(ADD(LU_CALL_IRQS, S_DEVICE1, 0, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK,
			VFIO_PCI_INTX_IRQ_INDEX),
		    unmask, ARRAY_SIZE(unmask));
	ADD(LU_CALL_ADD, S_INTERRUPT, 0, 3);
	if (lu_calls_index(c, NULL) < 0)
		abort();
}

/* The n-th call of a kind, from 0 */
static inline struct lu_call *sample_find(struct lu_calls *c, enum lu_call_kind kind, size_t n)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->list[i].kind == kind && n-- == 0)
			return &c->list[i];
	abort();
}
