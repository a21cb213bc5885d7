/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * libvirt's status file of a running domain, /run/libvirt/qemu/NAME.xml: what libvirt knows when its daemon starts again.
 * Read by its elements, rewritten by its elements; what is not ours to change stays as it is.
 */
#include "vm.h"

/** struct lu_status_pty - the terminal that a new QEMU has got for one of the domain's consoles */
struct lu_status_pty {
	char *alias; /* "serial0" */
	char *path;  /* "/dev/pts/3" */
};

#define LU_STATUS_MAX (4U << 20)
#define LU_STATUS_NAMESPACE "urn:luctl:1" /* of our element in a domain's <metadata> */

/**
 * lu_status_read() - a status file as a domain of the registry
 * @text: its content
 * @file: what errors call it
 *
 * What can't be carried over by what the file says is a reason of the domain's, not an error.
 *
 * Return: 0, -EBADMSG if it is no status file of a domain that runs, or -ENOMEM.
 */
int lu_status_read(const char *text, size_t size, const char *file, struct lu_vm_domain *ret, struct lu_error *e);

/**
 * lu_status_rewrite() - the same file for the process @pid
 * @ptys: its new terminals
 * @ret: free() it
 */
int lu_status_rewrite(const char *text, size_t size, const char *file, pid_t pid, const struct lu_status_pty *ptys,
		      size_t n_ptys, char **ret, size_t *ret_size, struct lu_error *e);

/** lu_status_memory_dir() - the directory that libvirt removes with all in it when the domain ends; free() it. 0, also with NULL */
int lu_status_memory_dir(const char *text, size_t size, char **ret);

/** lu_status_uuid() - /domain/uuid or /domstatus/domain/uuid of a document; free() it. -EBADMSG if there is none */
int lu_status_uuid(const char *text, size_t size, char **ret);
