// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libvirt's hook for QEMU domains (/etc/libvirt/hooks/qemu.d/luctl): a domain  whose saved state waits to be restored,
 * or is being carried over just now, can't be started. libvirt gives the operation as an argument and the domain's
 * XML on its standard input; what is written to the standard error stands in the error that virsh shows.
 *
 *	luctl NAME OPERATION SUBOPERATION EXTRA
 *
 * Only "prepare" and "start" are ever refused. A hook that fails at "reconnect" would end the guest, so whatever goes
 * wrong there, and anywhere else, is success.
 */
#include <stdio.h>
#include <string.h>

#include "status.h"
#include "store.h"

#ifndef PKERNFS
#define PKERNFS "/run/luctl/pkernfs"
#endif

static char *read_all(size_t *ret_size)
{
	char *text = malloc(LU_STATUS_MAX);

	if (text)
		*ret_size = fread(text, 1, LU_STATUS_MAX, stdin);
	return text;
}

int main(int argc, char **argv)
{
	_cleanup_close_ int root = -EBADF, dir = -EBADF;
	_cleanup_(lu_saved_clear) struct lu_saved saved = { 0 };
	_cleanup_free_ char *text = NULL, *uuid = NULL;
	size_t size = 0;

	if (argc < 3 || (strcmp(argv[2], "prepare") != 0 && strcmp(argv[2], "start") != 0))
		return 0;
	text = read_all(&size);
	if (!text || lu_status_uuid(text, size, &uuid) < 0)
		return 0;
	root = open(PKERNFS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = root < 0 ? root : lu_store_open(root, uuid, false, NULL);
	if (dir < 0 || !lu_store_waits(dir, &saved, NULL))
		return 0;
	fprintf(stderr,
		"its state was saved for a live update of the kernel and waits to be restored: "
		"luctl restore %s brings it up, luctl vm forget %s gives it up\n",
		uuid, uuid);
	return 1;
}
