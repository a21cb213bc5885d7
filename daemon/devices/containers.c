// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Containers of vfio's old interface, for an update that stays in this kernel. QEMU does the work: the one that leaves
 * takes its addresses away from what is mapped, the one that comes gives its own (VFIO_DMA_UNMAP_FLAG_VADDR,
 * VFIO_DMA_MAP_FLAG_VADDR); what devices reach stays as it is. What is done here is what neither of them can:
 *
 *	to tell beforehand that it can't be done with what is mapped now: QEMU asks the kernel when it starts, and then
 *	fails when the guest stands still
 *	to take away the addresses of a QEMU that came and failed, for an address is only given where there is none
 *
 * Type1 takes all addresses away or none, so it does nothing where the last QEMU has got to give only some of them: it
 * died in the middle of giving them. Such a guest can't be brought up any more. An iommufd takes away what is left.
 */
#include <string.h>

#include "devices-internal.h"

static int ask(const struct lu_devices_ops *ops, int fd, unsigned long request, uintptr_t arg)
{
	return ops->ioctl(ops->context, fd, request, (void *)arg);
}

static bool is_container(const struct lu_devices_ops *ops, int fd)
{
	return ask(ops, fd, VFIO_GET_API_VERSION, 0) == VFIO_API_VERSION;
}

void lu_containers_forget(const int *fds, size_t n, const struct lu_devices_ops *ops)
{
	ops = ops ?: &lu_devices_kernel_ops;
	for (size_t i = 0; i < n; i++) {
		struct vfio_iommu_type1_dma_unmap all = {
			.argsz = sizeof(all),
			.flags = VFIO_DMA_UNMAP_FLAG_VADDR | VFIO_DMA_UNMAP_FLAG_ALL,
		};

		/* EINVAL: they were taken away already, as they should be */
		if (is_container(ops, fds[i]) && ask(ops, fds[i], VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR) > 0)
			(void)ask(ops, fds[i], VFIO_IOMMU_UNMAP_DMA, (uintptr_t)&all);
	}
}

void lu_container_judge(const struct lu_devices_ops *ops, int fd, struct lu_reasons *why)
{
	if (!is_container(ops, fd) || ask(ops, fd, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR) > 0)
		return;
	lu_reasons_add(
		why, NULL,
		"start it with -object iommufd,id=iommufd0, and iommufd=iommufd0 for each vfio-pci; or boot a kernel with CONFIG_VFIO_IOMMU_TYPE1",
		"what its legacy container has mapped can't be given to another process: the kernel has no VFIO_UPDATE_VADDR for it, and QEMU refuses to be replaced");
}
