// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The device state on its way from QEMU into pkernfs, for VMs without passed-through devices (else: transfer.h).
 *
 * QEMU gets a memory file to write into and keeps it open as long as it likes. What it makes of that costs memory of its
 * own and nothing in pkernfs, where each guest's records need room. When it says that all is written the bytes are copied
 * into the state file, which nobody else has open: piece by piece, so that others are heard, and no more than a state can be.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "vm-internal.h"

#define PIECE (8u << 20) /* some 5 ms */

int lu_vm_job_open_state(struct lu_vm_job *j)
{
	char self[48];
	int fd;

	closep(&j->state_fd);
	j->copied = 0;
	j->state_fd = memfd_create("luctl-state", MFD_CLOEXEC);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", j->state_fd);
	/* QEMU looks for a descriptor of just this access mode */
	fd = j->state_fd < 0 ? -1 : open(self, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? lu_error_set(&j->error, -errno, NULL, "memory for the state of VM %s: %s", j->vm->name,
				     strerror(errno)) :
			fd;
}

int lu_vm_job_take_state(struct lu_vm_job *j)
{
	_cleanup_close_ int to = -EBADF;
	off_t at = (off_t)j->copied;
	struct stat st;
	ssize_t n = 0;

	if (j->state_fd < 0)
		return 0;
	to = openat(j->dir_fd, "state", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (j->copied ? 0 : O_TRUNC), 0600);
	if (to < 0 || fstat(j->state_fd, &st) < 0 || lseek(to, at, SEEK_SET) < 0)
		return lu_error_set(&j->error, -errno, NULL, "pkernfs: cannot open the state file of VM %s: %s",
				    j->vm->name, strerror(errno));
	if ((uint64_t)st.st_size > LU_STORE_STATE_MAX)
		return lu_error_set(&j->error, -EFBIG, "see the log of its QEMU",
				    "VM %s: its QEMU has written %lld bytes, which is no device state", j->vm->name,
				    (long long)st.st_size);
	while ((uint64_t)at < j->copied + PIECE && (n = sendfile(to, j->state_fd, &at, PIECE)) > 0)
		;
	if (n < 0)
		return lu_error_set(&j->error, -errno,
				    errno == ENOSPC ? "remove files that nobody needs or mount it with more room" :
						      NULL,
				    "pkernfs: the state file of VM %s: %s", j->vm->name, strerror(errno));
	j->copied = (uint64_t)at;
	if (n > 0)
		return lu_vm_job_again(j, 1);
	closep(&j->state_fd);
	j->state_fd = -EBADF;
	return 0;
}
