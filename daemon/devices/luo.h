/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * /dev/liveupdate: memory files (memfd) that go over kexec with the same physical
 * pages, grouped into sessions; ours is called luctl-<uuid>, after the VM.
 *
 *	old kernel: open → create → preserve… → close the device, KEEP the session → jump
 *	new kernel: open → retrieve → retrieve_fd… → close the device → finish → close the session
 *
 * What the kernel does, read in 7.3.4 (7.2.13 has the same uapi and the same mm/memfd_luo.c):
 *
 * Device (kernel/liveupdate/luo_core.c). Exists only with kho=on and liveupdate=on. One
 * opener at a time, others get EBUSY; sessions live on without it, so it is opened, used
 * and closed. The first open in a boot takes over what the old kernel left; if that fails,
 * all opens of this boot say EIO and the memory is lost until the next boot.
 *
 * Limits. A name has 1 to 63 bytes and is unique among outgoing sessions (EEXIST). Sessions
 * and files are kept in chains of at most 10,000 pages (kho_block.c): 510,000 sessions, 630,000
 * files in each. A token is any number, unique in its session (EEXIST); a memfd can be in one
 * session once (EBUSY: it is told by its inode, so a second descriptor is no way around).
 *
 * What can be preserved (mm/memfd_luo.c). Memory files and other tmpfs files without a
 * name (ENOENT otherwise: hugetlb, pkernfs, ordinary files). Holes are fine but get filled,
 * so a sparse file costs its whole size; swapped pages come back; all is pinned and counts as
 * dirty. No seal is needed; those that 7.3 knows are carried, another one is EOPNOTSUPP.
 *
 * Between preserve and the jump the file stays usable: mapped, read, written by QEMU and by
 * DMA, for its pages are pinned where they are. Contents are those of the moment of the jump.
 * Refused with EPERM (mm/shmem.c, SHMEM_F_MAPPING_FROZEN): another size, write() beyond the
 * end, fallocate() and with it MADV_REMOVE, thus no balloon or discard in it. IOMMU_IOAS_MAP_FILE works before and after:
 * both use memfd_pin_folios() (mm/gup.c), whose pins add up, and unpreserving drops LUO's alone.
 *
 * Session closed in the old kernel, or its owner dead (luo_session.c): all is unpreserved,
 * as if it had never been. So the session must be held until the reboot call. Once that call has
 * frozen LUO, a jump that fails later leaves every close of a session waiting for ever; kexec
 * has no failure after that point, and pkeep freezes before it.
 *
 * New kernel. Retrieving a session works once (EINVAL the second time, ENOENT after it was
 * closed). A file can be retrieved in any order and again, which gives the same open file; a
 * failed retrieve is final, with the same error each time. It gives a memfd without a
 * name, of another inode number, with size, seals and position as at the jump, O_RDWR and
 * close-on-exec, its pages charged to the caller's memory cgroup.
 *
 * Finish needs no file to be retrieved (memfd has no can_finish): what was not retrieved is
 * freed, the rest belongs to its descriptors alone. Closing a retrieved session finishes it
 * likewise, so dying halfway loses what was not fetched. A session that nobody retrieves stays
 * in memory, out of reach of everybody else, until the next kexec, which does not carry it on.
 */
#include "error.h"

#define LU_LUO_DEVICE "/dev/liveupdate"

/** struct lu_luo - a session; @fd is -EBADF if there is none */
struct lu_luo {
	int fd;
	char name[64];
};

#define LU_LUO_INIT ((struct lu_luo){ .fd = -EBADF })

/** lu_luo_close() - in the old kernel this gives up what was preserved, in the new one it finishes */
void lu_luo_close(struct lu_luo *s);
#define _cleanup_luo_ _cleanup_(lu_luo_close)

/**
 * lu_luo_open() - open the device
 * @path: LU_LUO_DEVICE but in tests
 * @wait_ms: how long to wait for another opener to go
 *
 * Return: a descriptor; -EBUSY; -EOPNOTSUPP: this kernel has no such device; or another errno.
 */
int lu_luo_open(const char *path, unsigned int wait_ms, struct lu_error *e);

/** lu_luo_create() - a session for VM @uuid, to be carried over the jump; -EEXIST if there is one */
int lu_luo_create(int device, const char *uuid, struct lu_luo *ret, struct lu_error *e);

/** lu_luo_preserve() - @fd comes along as @token */
int lu_luo_preserve(const struct lu_luo *s, uint64_t token, int fd, struct lu_error *e);

/** lu_luo_retrieve() - the session that the old kernel left for VM @uuid; -ENOENT: none */
int lu_luo_retrieve(int device, const char *uuid, struct lu_luo *ret, struct lu_error *e);

/** lu_luo_retrieve_fd() - the file of @token: a descriptor (close-on-exec), or -ENOENT or another errno */
int lu_luo_retrieve_fd(const struct lu_luo *s, uint64_t token, struct lu_error *e);

/** lu_luo_finish() - all that was wanted has been retrieved; the rest is freed */
int lu_luo_finish(const struct lu_luo *s, struct lu_error *e);
