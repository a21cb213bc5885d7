/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * update/request.json (schema request): what was asked for, as the next kernel
 * needs to know it. A VM's place in "vms" is its index in the flight recorder, and its turn when VMs are restored.
 */
#include "json.h"

struct lu_request_vm {
	char *name;
	char *uuid;
	uint64_t predicted_usec; /* its blackout; UINT64_MAX: not known */
};

struct lu_request_doc {
	char *id;
	bool vmm;      /* QEMU is replaced, the kernel is not */
	char *kernel;  /* path of the image; if @vmm, the release that runs */
	char *initrd;  /* or NULL */
	char *cmdline; /* complete; "" until the image has been read */
	char *from;    /* release of the kernel that began the update */
	struct lu_request_vm *vms;
	size_t n_vms;
	char **excluded;
	uint64_t restores; /* how many VMs are restored at once; 0: as many as there are CPUs */
};

#define LU_REQUEST_RESTORES_MAX 4096u

/** lu_request_restores() - how many at once in this kernel, at least 1 */
size_t lu_request_restores(const struct lu_request_doc *doc);

void lu_request_doc_clear(struct lu_request_doc *doc);

/** lu_request_doc_read(), lu_request_doc_write() - update/request.json below the directory @pkernfs_fd */
int lu_request_doc_read(int pkernfs_fd, struct lu_request_doc *ret, struct lu_error *e);
int lu_request_doc_write(int pkernfs_fd, const struct lu_request_doc *doc, struct lu_error *e);
