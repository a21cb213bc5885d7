/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * devices.json (schema devices): what is no call of what has to be there again before QEMU is started. Its contract
 * is in daemon/devices/devices.h, what the names of QEMU's CPR state are in daemon/devices/cpr.h.
 */
#include "json.h"

#define LU_CPR_FDS_MAX 4096U /* 30 devices with 64 vectors, two eventfds each, and 4 more: 3960 */
#define LU_CPR_DEVICES_MAX 256U
#define LU_CPR_NAME_MAX 1023U      /* bytes of a name, without its NUL */
#define LU_DEVICES_ID_MAX 4096     /* highest id of an object; below it holes are filled while objects are made */
#define LU_DEVICES_NONE UINT64_MAX /* no index */

struct lu_cpr_device {
	char *name;
	int32_t devid;
	uint32_t ioas_id, hwpt_id;
};

enum lu_devices_memory_kind {
	LU_MEMORY_FILE,
	LU_MEMORY_MEMFD,
};

struct lu_devices_memory {
	int kind; /* enum lu_devices_memory_kind */
	uint64_t size;
	char *path; /* FILE: below pkernfs' root, without leading slash */
	uint64_t inode;
	uint64_t token; /* MEMFD */
	char *name;
};

enum lu_devices_fd_kind {
	LU_FD_IOMMUFD,
	LU_FD_VFIO_DEVICE,
	LU_FD_EVENTFD,
	LU_FD_MEMORY,
	LU_FD_VFIO_GROUP,
};

struct lu_devices_eventfd {
	uint64_t count;
	bool nonblock;
	bool semaphore;
};

struct lu_devices_fd {
	char *name;
	int32_t id;
	int kind;                           /* enum lu_devices_fd_kind */
	struct lu_devices_eventfd *eventfd; /* EVENTFD, else NULL */
	uint64_t memory;                    /* MEMORY: index into memories, else LU_DEVICES_NONE */
};

struct lu_devices_range {
	uint64_t start, last;
};

struct lu_devices_area {
	uint64_t iova, length;
	uint64_t memory; /* index into memories */
	uint64_t offset; /* in it */
	bool read, write;
};

struct lu_devices_ioas {
	uint32_t id;
	bool huge_pages;
	struct lu_devices_range *allowed;
	size_t n_allowed;
	struct lu_devices_area *areas; /* by iova */
	size_t n_areas;
};

struct lu_devices_hwpt {
	uint32_t id;
	uint32_t ioas;
	uint32_t flags; /* of IOMMU_HWPT_ALLOC */
	bool auto_made;
};

struct lu_devices_irq {
	int index;                      /* VFIO_PCI_*_IRQ_INDEX */
	uint32_t vector;                /* 0 but for MSI and MSI-X */
	bool masked;                    /* INTx */
	uint64_t trigger, mask, unmask; /* indices into fds, or LU_DEVICES_NONE */
};

struct lu_devices_device {
	uint32_t id;
	char *bdf;     /* "0000:00:04.0" */
	uint64_t fd;   /* index into fds */
	uint64_t via;  /* 1 + index into fds of the group that it was opened by, 0: by its own node */
	uint32_t hwpt; /* id */
	struct lu_devices_irq *irqs;
	size_t n_irqs;
};

struct lu_devices_iommufd {
	uint64_t fd; /* index into fds */
	struct lu_devices_ioas *ioas;
	size_t n_ioas;
	struct lu_devices_hwpt *hwpts;
	size_t n_hwpts;
	struct lu_devices_device *devices;
	size_t n_devices;
	/* calls, so they are in no file of this format */
	uint32_t stands_in; /* IOAS of the container that it stands in for, 0: for none */
	bool by_process;    /* memory is accounted to processes and not to users */
};

/** struct lu_devices_journal - which journal goes with the document */
struct lu_devices_journal {
	char *boot_id;
	uint64_t calls;
	uint64_t sum;
};

struct lu_devices {
	struct lu_devices_journal *journal; /* NULL: not written yet, or read from version 1 */
	char **features;
	char *session; /* of LUO, or NULL: no memfds */
	struct lu_devices_memory *memories;
	size_t n_memories;
	struct lu_devices_fd *fds;
	size_t n_fds;
	struct lu_cpr_device *cpr_devices;
	size_t n_cpr_devices;
	struct lu_devices_iommufd *iommufds;
	size_t n_iommufds;
};

extern const struct lu_json_table lu_devices_table;

#define LU_DEVICES_VECTORS_MAX 2048 /* of MSI-X, by its capability's 11 bits */
extern const char *const lu_devices_fd_kinds[], *const lu_devices_irq_names[];

/** lu_cpr_device_table - an entry of the second half of a CPR state */
extern const struct lu_json_table lu_cpr_device_table;

/** lu_cpr_name_valid() - a name that can be printed, compared as a string, and written into JSON; lu_cpr_bytes_valid() - the same without NUL */
bool lu_cpr_name_valid(const char *s);
bool lu_cpr_bytes_valid(const char *s, size_t n);

#define LU_BDF_SIZE 24 /* of such an address with its NUL */

/** lu_bdf_valid() - an address of a PCI function: "0000:00:04.0"; a domain may have up to eight digits */
bool lu_bdf_valid(const char *s);
