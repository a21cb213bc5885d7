/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Shared by collect.c, compose.c, plan.c, calls_io.c and replay.c, and their tests. */
#include <linux/pkeep_state.h>

#include "devices.h"
#include "uapi.h"

/* flags of IOMMU_HWPT_ALLOC that need nothing beside them */
#define LU_HWPT_FLAGS (IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_DIRTY_TRACKING | IOMMU_HWPT_ALLOC_PASID)

extern const struct lu_devices_ops lu_devices_kernel_ops;

/* --- collecting: what was found out about each file, and the document made of it --- */

/** struct lu_unseen - of an iommufd, what IOMMU_STATE does not tell and is set again */
struct lu_unseen {
	bool by_process;    /* memory is accounted to processes and not to users */
	uint32_t stands_in; /* for a container of vfio's old interface: the IOAS that its ioctls are for, 0: none */
};

/** struct lu_fd_facts - about an entry of the CPR state; which members count goes by @kind */
struct lu_fd_facts {
	int kind; /* enum lu_devices_fd_kind */

	int eventfd_id;
	struct lu_devices_eventfd eventfd;

	uint64_t dev, inode, size; /* MEMORY: as stat() tells */
	char *path;                /* below pkernfs' root; NULL: a memfd */
	char *memfd_name;

	char bdf[LU_BDF_SIZE];
	int group;     /* of the IOMMU, -1: none; VFIO_GROUP: this one */
	bool by_group; /* it was opened by its group */
	struct vfio_device_irq *irqs;
	size_t n_irqs;

	struct lu_unseen unseen; /* IOMMUFD */
	unsigned char *records;  /* answer to IOMMU_STATE */
	size_t length;
};

struct lu_ram_facts {
	char *path; /* below pkernfs' root */
	uint64_t dev, inode, size;
};

/** struct lu_facts - all that a document is made of; @fds go with those of @cpr */
struct lu_facts {
	const struct lu_cpr *cpr;
	const char *session;
	struct lu_fd_facts *fds;
	struct lu_ram_facts *ram;
	size_t n_ram;
};

void lu_facts_clear(struct lu_facts *facts);

/** lu_iommufd_ask() - the records of IOMMU_STATE; free() them. @name: for messages. -EOPNOTSUPP if the kernel can't tell */
int lu_iommufd_ask(const struct lu_devices_ops *ops, int fd, const char *name, unsigned char **ret, size_t *ret_length,
		   struct lu_error *e);

/**
 * lu_iommufd_unseen() - is something set in an iommufd that IOMMU_STATE does not tell?
 * @may_stand_in: for a container of vfio's old interface
 *
 * Return: 0 with @ret, or -EOPNOTSUPP if it stands in and must not; @e says so.
 */
int lu_iommufd_unseen(const struct lu_devices_ops *ops, int fd, const char *name, bool may_stand_in,
		      struct lu_unseen *ret, struct lu_error *e);

#define LU_CPR_CONTAINER "vfio_container_for_group"
#define LU_CPR_GROUP "vfio_group"

/** lu_container_judge() - can a container of vfio's old interface be taken over by another process? Says nothing of other files */
void lu_container_judge(const struct lu_devices_ops *ops, int fd, struct lu_reasons *why);

/** lu_device_unseen() - the same of a device and VFIO_DEVICE_FEATURE_IRQS */
int lu_device_unseen(const struct lu_devices_ops *ops, int sys_fd, int fd, const char *bdf, struct lu_error *e);

/**
 * lu_peek_judge() - what of these records can't be set up again; asks nobody
 * @devs: st_dev of the file systems whose files go on: pkernfs, memfds
 */
void lu_peek_judge(const unsigned char *records, size_t length, const uint64_t *devs, size_t n_devs,
		   struct lu_reasons *why);

/** lu_devices_compose() - make the document, or say what can't be set up again; asks nobody */
int lu_devices_compose(const struct lu_facts *facts, struct lu_devices *ret, struct lu_error *e);

/* --- the calls that set it up again --- */

/** lu_devices_plan() - the calls for @d, which passed lu_devices_check(); without VM, boot id, stamp and salt. 0 or -ENOMEM */
int lu_devices_plan(const struct lu_devices *d, struct lu_calls *ret);

/** lu_calls_match() - by entry of fds: the number of the file that is to be it; free() it. -EBADMSG if they do not go together */
int lu_calls_match(const struct lu_devices *d, const struct lu_calls *c, uint32_t **ret, struct lu_error *e);

#define LU_CALLS_TRIES 1024 /* results that there is room for, beyond one for each call */

/** lu_devices_write_calls() - derive the calls and write them; durable on return. Sets @d's journal */
int lu_devices_write_calls(int dir_fd, const char *vm, struct lu_devices *d, struct lu_error *e);

/** lu_devices_read_calls() - the calls that go with @d, checked; without a journal (version 1) derived from it */
int lu_devices_read_calls(int dir_fd, const char *vm, const struct lu_devices *d, struct lu_calls *ret,
			  struct lu_error *e);
