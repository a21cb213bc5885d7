/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A small iommufd and vfio-pci behind struct lu_devices_ops, with a /sys, a /dev and a pkernfs of its own
 * in a temporary directory. Objects get the lowest free id, as in the kernel. Character devices that every
 * machine has stand in for /dev/iommu (null), for two functions (zero, full) and for a group (random); eventfds and memfds are
 * real ones. It tells its state by IOMMU_STATE and VFIO_DEVICE_FEATURE_IRQS, so what was replayed can be
 * collected again.
 */
#include "test.h"

#include "launch.h"
#include "devices-internal.h"

#define FAKE_FILES 1088
#define FAKE_OBJECTS 64
#define FAKE_AREAS 16
#define FAKE_VECTORS 16

struct fake_object {
	uint32_t type;        /* IOMMU_STATE_DEVICE, _IOAS, _HWPT; 0: free */
	int slot;             /* device: which function */
	uint32_t hwpt;        /* device */
	uint32_t ioas, flags; /* HWPT */
	bool auto_made;
	bool no_huge_pages; /* IOAS */
	bool populated;     /* IOAS: a HWPT was made of it */
	struct iommu_iova_range allowed[4];
	size_t n_allowed;
	struct iommu_state_area areas[FAKE_AREAS];
	size_t n_areas;
};

struct fake_file {
	bool iommufd, group;
	int container;                            /* group: fd of its iommufd, 0: none */
	uint32_t stands_in;                       /* iommufd: IOAS of the container, 0: none */
	bool by_process;                          /* iommufd */
	struct fake_object objects[FAKE_OBJECTS]; /* iommufd: by id */
	int slot;                                 /* device: 0 or 1 */
	int bound_to;                             /* device: fd of its iommufd */
	uint32_t devid;
	int index; /* INTx, MSI or MSI-X; -1: none */
	int n_vectors;
	int triggers[FAKE_VECTORS], single[VFIO_PCI_NUM_IRQS]; /* fds, -1: none */
	int unmask;
};

struct fake {
	struct lu_devices_ops ops;
	struct fake_file *files[FAKE_FILES]; /* by fd */
	unsigned int calls, fail_at;         /* the n-th call fails with EIO; 0: none */
	unsigned int missing;                /* so many times a device's node is not there */
	unsigned int busy;                   /* so many times a device can't be attached, since others change tables */
	bool wrong_node;                     /* nodes are those of another device */
	bool refuse_attach;                  /* the tables differ */
	bool wrong_table;                    /* attaching ends at another HWPT */
	bool wrong_ids;                      /* objects get another id than the lowest */
	bool mute;                           /* a kernel without the queries */
	bool compat;                         /* what IOMMU_STATE does not tell */
	bool old;                            /* and a kernel that does not know of it */
	int group;                           /* number of the one that there is, -1: none */
	uint32_t can;                        /* a feature that devices have, 0: none */
	const char *broken;                  /* a rule that was broken */
	char dir[64];
	int proc_fd, sys_fd, pkernfs_fd;
	char pkernfs[80];
};

struct fake *fake_new(void);
void fake_free(struct fake *f);

/** fake_forget() - as a kexec: all files of it are gone, sysfs and pkernfs stay */
void fake_forget(struct fake *f);

int fake_open_iommufd(struct fake *f);
int fake_open_device(struct fake *f, int slot);
int fake_open_group(struct fake *f);

/** fake_write() - make a file below the temporary directory, with what leads to it */
void fake_write(struct fake *f, const char *path, const char *text);

/** fake_link() - the same for a symlink */
void fake_link(struct fake *f, const char *path, const char *to);

/** count_fds() - how many this process has open */
int count_fds(void);
