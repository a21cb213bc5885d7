/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Shared by collect.c, compose.c, plan.c and replay.c, and their tests. */
#include <linux/pkeep_state.h>

#include "devices.h"
#include "uapi.h"

#define LU_BDF_SIZE 24 /* "0000:00:04.0" and NUL; a domain may have up to eight digits */

/* flags of IOMMU_HWPT_ALLOC that need nothing beside them */
#define LU_HWPT_FLAGS (IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_DIRTY_TRACKING | IOMMU_HWPT_ALLOC_PASID)

extern const struct lu_devices_ops lu_devices_kernel_ops;

/* --- collecting: what was found out about each file, and the document made of it --- */

/** struct lu_fd_facts - about an entry of the CPR state; which members count goes by @kind */
struct lu_fd_facts {
	int kind; /* enum lu_devices_fd_kind */

	int eventfd_id;
	struct lu_devices_eventfd eventfd;

	uint64_t dev, inode, size; /* MEMORY: as stat() tells */
	char *path;                /* below pkernfs' root; NULL: a memfd */
	char *memfd_name;

	char bdf[LU_BDF_SIZE];
	int group; /* of the IOMMU, -1: none */
	struct vfio_device_irq *irqs;
	size_t n_irqs;

	unsigned char *records; /* IOMMUFD: answer to IOMMU_STATE */
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
 * lu_peek_judge() - what of these records can't be set up again; asks nobody
 * @devs: st_dev of the file systems whose files go on: pkernfs, memfds
 */
void lu_peek_judge(const unsigned char *records, size_t length, const uint64_t *devs, size_t n_devs,
		   struct lu_reasons *why);

/** lu_devices_compose() - make the document, or say what can't be set up again; asks nobody */
int lu_devices_compose(const struct lu_facts *facts, struct lu_devices *ret, struct lu_error *e);

/* --- replaying: the steps, and how far they are done --- */

enum lu_step_kind {
	LU_STEP_MEMORY,    /* open and check memories[index] */
	LU_STEP_MEMORY_FD, /* fds[index] is one of them */
	LU_STEP_EVENTFD,   /* make fds[index] */
	LU_STEP_IOMMUFD,   /* open iommufds[iommufd] */
	LU_STEP_FILL,      /* make an IOAS, which must get id */
	LU_STEP_OPTION,    /* ioas[index]: no huge pages */
	LU_STEP_ALLOW,     /* ioas[index]: allowed ranges */
	LU_STEP_MAP,       /* ioas[index], areas[sub] */
	LU_STEP_OPEN,      /* open devices[index] */
	LU_STEP_FREE,      /* destroy the IOAS that fills id */
	LU_STEP_BIND,      /* devices[index], which must get id */
	LU_STEP_HWPT,      /* hwpts[index], for devices[sub], which must get id */
	LU_STEP_ATTACH,    /* devices[index] to hwpts[sub] */
	LU_STEP_TRIGGER,   /* devices[index], all triggers of interrupt index sub */
	LU_STEP_MASK,      /* devices[index], irqs[sub]: eventfd that masks */
	LU_STEP_UNMASK,    /* devices[index], irqs[sub]: eventfd that unmasks */
	LU_STEP_ADD,       /* fds[index]: add count */
};

struct lu_step {
	enum lu_step_kind kind;
	uint32_t iommufd; /* index into iommufds, where the step is about one */
	uint32_t index, sub;
	uint32_t id;
	uint64_t count;
};

/** lu_replay_plan() - the steps for @d, which passed lu_devices_check(); free() them */
int lu_replay_plan(const struct lu_devices *d, struct lu_step **ret, size_t *ret_n);
