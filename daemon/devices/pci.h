/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What sysfs tells of a PCI function beforehand, and whether it can go on over a kexec.
 * Reader and verdict are apart: the verdict asks nobody.
 */
#include "reasons.h"

#define LU_PCI_NAME 32

struct lu_pci {
	bool present;
	bool virtual_function;
	char driver[LU_PCI_NAME];    /* "" if none */
	bool vfio_cdev;              /* it has a node in /dev/vfio/devices */
	bool markable;               /* the kernel has pkeep for it */
	char iommu[LU_PCI_NAME];     /* "dmar0"; "" if none */
	bool iommu_has_tlbs;         /* IOMMU and kernel command line allow the function a cache of its own (ATS) */
	size_t group_members;        /* functions in its IOMMU group, itself included; 0: no group */
	char neighbour[LU_PCI_NAME]; /* one of the others */

	/* from configuration space; false, if that could not be read as a whole */
	bool config_read;
	bool bridge;    /* header type other than that of an ordinary function */
	bool low_power; /* not in D0 */
	bool ats;       /* has the capability */
};

/**
 * lu_pci_read() - look at @address ("0000:01:00.0")
 * @sys_fd, @proc_fd: /sys and /proc
 *
 * What is not there or can't be read is told by the members; 0, or -ENOMEM.
 */
int lu_pci_read(int sys_fd, int proc_fd, const char *address, struct lu_pci *ret);

/**
 * lu_pci_marked() - functions that are marked to go on, whoever did so
 * @marked: called for each with its address, in no order
 *
 * Source: Documentation/driver-api/pkeep.rst, attribute "pkeep". What can't be read counts as not marked.
 */
void lu_pci_marked(int sys_fd, void (*marked)(const char *address, void *userdata), void *userdata);

/** lu_pci_judge() - all reasons for which it can't go on while it is passed through */
void lu_pci_judge(const struct lu_pci *f, const char *address, struct lu_reasons *why);
