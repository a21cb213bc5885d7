/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * update/request.json (schema request): what was asked for, as the next kernel
 * needs to know it. A VM's place in "vms" is its index in the flight recorder, and its turn when VMs are restored.
 */
#include "doc-request.h"

/** lu_request_restores() - how many at once in this kernel, at least 1 */
size_t lu_request_restores(const struct lu_request_doc *doc);

void lu_request_doc_clear(struct lu_request_doc *doc);

/** lu_request_doc_read(), lu_request_doc_write() - update/request.json below the directory @pkernfs_fd */
int lu_request_doc_read(int pkernfs_fd, struct lu_request_doc *ret, struct lu_error *e);
int lu_request_doc_write(int pkernfs_fd, const struct lu_request_doc *doc, struct lu_error *e);
