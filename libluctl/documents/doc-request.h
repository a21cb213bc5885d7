/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* update/request.json (schema request): what was asked for. Its contract is in daemon/launch/request.h. */
#include "documents.h"

struct lu_request_vm {
	char *name;
	char *uuid;
	uint64_t predicted_usec; /* its blackout; UINT64_MAX: not known */
};

struct lu_request_doc {
	char *id;
	bool vmm;      /* QEMU is replaced, the kernel is not */
	bool rehearse; /* all but the reboot call */
	char *kernel;  /* path of the image; if @vmm, the release that runs */
	char *initrd;  /* or NULL */
	char *cmdline; /* complete; "" until the image has been read */
	char *from;    /* release of the kernel that began the update */
	struct lu_request_vm *vms;
	size_t n_vms;
	char **excluded;
	struct luctl_left *left; /* VMs that do not go along, be it that they are among @vms, too: why */
	size_t n_left;
	char **left_memory; /* directories in pkernfs: memory of those of them that libvirt runs. Of no use after the jump */
	uint64_t restores; /* how many VMs are restored at once; 0: as many as there are CPUs */
};

#define LU_REQUEST_RESTORES_MAX 4096u

extern const struct lu_json_table lu_request_table;
