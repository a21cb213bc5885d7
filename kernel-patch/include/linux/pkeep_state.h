/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * pkeep: what userspace has set up in iommufd and in vfio-pci.
 *
 * THE CONTRACT
 *
 * Two queries that change nothing.  Their answers are enough to set up in the
 * next kernel, by ordinary ioctls, what was there in this one: with the same
 * object ids, the same translations, the same interrupts.
 *
 *  /dev/iommu          ioctl IOMMU_STATE            struct iommu_state
 *  VFIO device, GET    VFIO_DEVICE_FEATURE_IRQS     struct vfio_device_feature_irqs
 *
 * They work on any iommufd and any device of vfio-pci, also if it does not and
 * did not go on over kexec.  Numbers are far from those that are given in order.
 *
 * Not told, since other ioctls tell it: IOMMU_OPTION_RLIMIT_MODE and the IOAS of
 * the VFIO compatibility (IOMMU_VFIO_IOAS).
 *
 * RULES FOR CHANGE
 *
 *  1. Fields are never moved, resized or given another meaning.  New ones are
 *     taken out of reserved space or added to the end of a record; zero means
 *     what was true before.
 *  2. A reader refuses what it does not know: a type, a flag, a kind, and bytes
 *     that are not zero behind the end of the record as it knows it.  Only a
 *     record with IOMMU_STATE_OPTIONAL may be passed over, by its length.
 *  3. The size of struct vfio_device_irq is fixed; more than its flags can say
 *     needs another feature.
 */
#ifndef _UAPI_LINUX_PKEEP_STATE_H
#define _UAPI_LINUX_PKEEP_STATE_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct iommu_state - ioctl(IOMMU_STATE)
 * @size: sizeof(struct iommu_state)
 * @flags: must be 0
 * @length: in: bytes of room at @records; out: bytes that the records need
 * @__reserved: must be 0
 * @records: user pointer to where the records go
 *
 * The records tell all objects of an iommufd as they were at one moment, in the
 * order of their ids.  Areas, in the order of their iova, then allowed ranges,
 * follow the IOAS they belong to.  An object that another thread is just making
 * is not there yet.
 *
 * Return: 0; or EMSGSIZE if the room is too small, then @length is what is needed
 * and nothing is written to @records; EBUSY if another thread is mapping or
 * unmapping, or objects change all the time; EOPNOTSUPP if @flags or @__reserved
 * is not 0.
 */
struct iommu_state {
	__u32 size;
	__u32 flags;
	__u32 length;
	__u32 __reserved;
	__aligned_u64 records;
};

#define IOMMU_STATE		_IO(';', 0xe0)	/* ';' is IOMMUFD_TYPE */

/* struct iommu_state_head::type */
#define IOMMU_STATE_DEVICE	1	/* struct iommu_state_device */
#define IOMMU_STATE_IOAS	2	/* struct iommu_state_ioas */
#define IOMMU_STATE_AREA	3	/* struct iommu_state_area */
#define IOMMU_STATE_HWPT	4	/* struct iommu_state_hwpt */
#define IOMMU_STATE_ALLOWED	5	/* struct iommu_state_allowed */
#define IOMMU_STATE_OTHER	6	/* struct iommu_state_other */

/**
 * struct iommu_state_head - start of each record
 * @type: IOMMU_STATE_*
 * @length: bytes of the record with this head, a multiple of 8
 * @id: of the object; in an area or allowed range: of its IOAS
 * @flags: those of the type, and IOMMU_STATE_OPTIONAL
 */
struct iommu_state_head {
	__u32 type;
	__u32 length;
	__u32 id;
	__u32 flags;
#define IOMMU_STATE_OPTIONAL	(1U << 31)	/* who doesn't know the type may pass over it */
};

/**
 * struct iommu_state_device - a device that is bound
 * @head: id is the devid; flags: IOMMU_STATE_DEVICE_*
 * @hwpt_id: what it is attached to, 0: nothing.  If it is attached to an IOAS, the
 *           table that was made for it, which has IOMMU_STATE_HWPT_AUTO
 * @segment: PCI domain
 * @bus: PCI bus number
 * @devfn: PCI device << 3 | function
 * @reserved: zero
 */
struct iommu_state_device {
	struct iommu_state_head head;
#define IOMMU_STATE_DEVICE_PCI		(1U << 0)	/* segment, bus and devfn are valid */
#define IOMMU_STATE_DEVICE_PASIDS	(1U << 1)	/* it is attached with PASIDs, too */
	__u32 hwpt_id;
	__u32 segment;
	__u8 bus;
	__u8 devfn;
	__u8 reserved[6];
};

/**
 * struct iommu_state_ioas - an IO address space
 * @head: flags: IOMMU_STATE_IOAS_*
 */
struct iommu_state_ioas {
	struct iommu_state_head head;
#define IOMMU_STATE_IOAS_NO_HUGE_PAGES	(1U << 0)	/* IOMMU_OPTION_HUGE_PAGES is 0 */
};

/**
 * struct iommu_state_area - memory that is mapped in an IOAS
 * @head: id is that of the IOAS
 * @iova: where
 * @length: bytes
 * @offset: in the file or dma-buf; of user memory: its address
 * @dev: of a file: st_dev, as stat(2) tells it
 * @inode: of a file: st_ino, as stat(2) tells it
 * @prot: IOMMU_IOAS_MAP_READABLE, IOMMU_IOAS_MAP_WRITEABLE
 * @kind: IOMMU_STATE_AREA_*
 *
 * Areas that lie side by side are told as they were mapped, not merged.
 */
struct iommu_state_area {
	struct iommu_state_head head;
	__aligned_u64 iova;
	__aligned_u64 length;
	__aligned_u64 offset;
	__aligned_u64 dev;
	__aligned_u64 inode;
	__u32 prot;
	__u32 kind;
#define IOMMU_STATE_AREA_FILE	1	/* IOMMU_IOAS_MAP_FILE */
#define IOMMU_STATE_AREA_USER	2	/* IOMMU_IOAS_MAP: of a process's address space */
#define IOMMU_STATE_AREA_DMABUF	3	/* IOMMU_IOAS_MAP_FILE with a dma-buf */
};

/**
 * struct iommu_state_hwpt - a translation table that maps an IOAS
 * @head: flags: IOMMU_STATE_HWPT_*
 * @ioas_id: the IOAS
 * @alloc_flags: as they were given to IOMMU_HWPT_ALLOC
 */
struct iommu_state_hwpt {
	struct iommu_state_head head;
#define IOMMU_STATE_HWPT_AUTO	(1U << 0)	/* made by attaching a device to the IOAS */
	__u32 ioas_id;
	__u32 alloc_flags;
};

/**
 * struct iommu_state_allowed - a range of IOMMU_IOAS_ALLOW_IOVAS
 * @head: id is that of the IOAS
 * @start: first address
 * @last: last address
 */
struct iommu_state_allowed {
	struct iommu_state_head head;
	__aligned_u64 start;
	__aligned_u64 last;
};

/**
 * struct iommu_state_other - any other object: nested table, fault queue, access, ...
 * @head: id of the object
 * @kind: the kernel's own number of its type, for a message
 * @reserved: zero
 */
struct iommu_state_other {
	struct iommu_state_head head;
	__u32 kind;
	__u32 reserved;
};

/*
 * VFIO_DEVICE_FEATURE, GET, of vfio-pci: how interrupts are set up.
 */
#define VFIO_DEVICE_FEATURE_IRQS	0x7f00

/**
 * struct vfio_device_irq - one interrupt that is set up
 * @index: VFIO_PCI_*_IRQ_INDEX
 * @vector: within the index
 * @flags: VFIO_DEVICE_IRQ_*
 * @trigger: id of the eventfd that is signalled, as "eventfd-id" of
 *           /proc/<pid>/fdinfo/<fd> tells it; -1: none.  One less than that, as
 *           there, names no eventfd: the kernel had no number left
 * @mask: id of the eventfd that masks it, -1: none
 * @unmask: id of the eventfd that unmasks it, -1: none
 */
struct vfio_device_irq {
	__u32 index;
	__u32 vector;
	__u32 flags;
/* INTx, now: masked by the user, by DisINTx, or because it came and waits for its unmask */
#define VFIO_DEVICE_IRQ_MASKED	(1U << 0)
	__s32 trigger;
	__s32 mask;
	__s32 unmask;
};

/**
 * struct vfio_device_feature_irqs - data of VFIO_DEVICE_FEATURE_IRQS
 * @room: in: how many there is room for in @irqs, argsz must say so too
 * @count: out: how many there are
 * @irqs: out: in the order of index and vector
 *
 * There is one for INTx if it is enabled; for each vector of MSI or MSI-X that is
 * allocated, also if it has no trigger; for ERR and REQ if they have a trigger.
 *
 * Return: 0; ENOSPC if there are more than @room, then nothing but @count is written;
 * EINVAL if argsz is less than @room needs; ENOTTY on kernels that can't tell.
 */
struct vfio_device_feature_irqs {
	__u32 room;
	__u32 count;
	struct vfio_device_irq irqs[];
};

#if defined(__KERNEL__) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L)
_Static_assert(sizeof(struct iommu_state) == 24, "iommu_state");
_Static_assert(sizeof(struct iommu_state_head) == 16, "iommu_state_head");
_Static_assert(sizeof(struct iommu_state_device) == 32, "iommu_state_device");
_Static_assert(sizeof(struct iommu_state_ioas) == 16, "iommu_state_ioas");
_Static_assert(sizeof(struct iommu_state_area) == 64, "iommu_state_area");
_Static_assert(sizeof(struct iommu_state_hwpt) == 24, "iommu_state_hwpt");
_Static_assert(sizeof(struct iommu_state_allowed) == 32, "iommu_state_allowed");
_Static_assert(sizeof(struct iommu_state_other) == 24, "iommu_state_other");
_Static_assert(sizeof(struct vfio_device_irq) == 24, "vfio_device_irq");
_Static_assert(sizeof(struct vfio_device_feature_irqs) == 8, "vfio_device_feature_irqs");
#endif

#endif /* _UAPI_LINUX_PKEEP_STATE_H */
