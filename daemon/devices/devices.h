/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Two files of a VM with passed-through devices, written when it stands still after QEMU's CPR migration:
 *
 *	journal		the calls that set up again, in the next kernel, what is set up in this one: opens and
 *			ioctls, in their order (libluctl/calls). A struct lu_replay executes it, and nothing else
 *	devices.json	what is no call: the files of QEMU's CPR state by name, the second half of that state,
 *			the session that memfds are in, and which journal goes with it
 *
 * Both are derived from struct lu_devices, which lu_devices_collect() takes from the kernel.
 *
 * Contract of devices.json. "version" is 2; "features" as in launch.json: a reader refuses the document if it does not
 * know one of them. Unknown keys are refused, but for those of a newer minor. Whether the file is the one that was committed is told by
 * its size and crc32 (zlib), which the caller keeps in saved.json; and that the journal is, by "journal": its boot id,
 * the count of its calls and the sum of its seal.
 *
 * "fds" are the entries of the CPR state in the order in which they came; an entry is known by name and
 * id together. What is open in it, by "kind":
 *	iommufd		/dev/iommu
 *	vfio-device	a PCI function
 *	eventfd		an eventfd
 *	memory		a file of the memories below
 *	vfio-group	the IOMMU group of a function that was opened by it. A lu-init that does not know this kind
 *			refuses the document; luctld looks for one that does (LU_CALLS_READER)
 *
 * "session" is the LUO session that memfds are in, "cpr_devices" is the second half of the CPR state, copied.
 *
 * Version 1 had no journal; it is read for the sake of a VM that was saved by the luctld before. Beside the above it has
 * "memories", files that guests' and QEMU's memory is in: those of the CPR state and those that QEMU opens by path
 * itself; of an fd of a memory its index, of an eventfd count and flags; and "iommufds": objects with the ids that they
 * must have again. "ioas" with their areas, which are never mappings of a process but parts of memories; "hwpts",
 * "auto" if the kernel made one for an IOAS that a device was attached to; "devices" with what they are attached to and
 * how their interrupts are set up. In memory, struct lu_devices has this in both versions until it was written.
 *
 * Another luctl. A lu-init that knows version 1 alone refuses version 2 by its number and says to use a newer one; the
 * devices go on and luctl restore can be tried with that. So that it does not come to this, luctld looks before the
 * update whether the lu-init that is installed executes journals (LU_CALLS_READER), and refuses if not.
 *
 * Maxima: 4096 fds, 1024 memories, 64 iommufds, 1024 IOAS and HWPTs and 256 devices in each, 65536 areas
 * and 1024 ranges in each IOAS, 2048 + 3 interrupts of a device, object ids up to 4096; the whole
 * document at most LU_DEVICES_JSON_MAX (16 MiB).
 *
 * Not carried, since it can't be set up again, and so refused by lu_devices_collect(): areas of process
 * memory, dma-bufs (BARs mapped for peers), nested HWPTs, fault queues, virtual IOMMUs, PASIDs, devices
 * without attachment, HWPTs without device, memfds of huge pages, type1's containers, more than one container; an
 * iommufd that stands in for a container without being QEMU's container; devices that can migrate or log DMA, are in
 * low power, or have virtual functions.
 */
#include "calls.h"
#include "cpr.h"
#include "doc-devices.h"
#include "reasons.h"

struct lu_launch;
struct stat;

#define LU_DEVICES_JSON_MAX (16U << 20)
#define LU_DEVICES_FILE "devices.json"
void lu_devices_clear(struct lu_devices *d);

/**
 * lu_devices_check() - what the table can't say: indices, ids and kinds fit together
 *
 * Return: 0 or -EBADMSG; part of reading and of writing.
 */
int lu_devices_check(const struct lu_devices *d, struct lu_error *e);

/**
 * lu_devices_read() - devices.json of a VM's directory and the journal that goes with it
 * @vm: its UUID
 * @size, @crc32: of devices.json, as lu_devices_write() gave them
 * @ret_calls: what is to be executed
 *
 * Return: 0; -EBADMSG if one of them is another file or makes no sense; -EOPNOTSUPP or -EPROTONOSUPPORT if it needs
 * what we don't know; @e names the file and the place.
 */
int lu_devices_read(int dir_fd, const char *vm, uint64_t size, uint32_t crc32, struct lu_devices *ret,
		    struct lu_calls *ret_calls, struct lu_error *e);

/** lu_devices_write() - replace both; durable on return. @d gets the journal's boot id, count and sum */
int lu_devices_write(int dir_fd, const char *vm, struct lu_devices *d, uint64_t *ret_size, uint32_t *ret_crc32,
		     struct lu_error *e);

/**
 * lu_devices_still() - would the same be written now?
 * @now: collected anew
 *
 * Return: 0; -EBUSY with the first call that differs; what lu_devices_read() returns if the files are not as they were.
 */
int lu_devices_still(int dir_fd, const char *vm, uint64_t size, uint32_t crc32, const struct lu_devices *now,
		     struct lu_error *e);

/** lu_devices_committed() - which journal goes with the devices.json that was committed; free its boot_id. -ENODATA: none (version 1) */
int lu_devices_committed(int dir_fd, uint64_t size, uint32_t crc32, struct lu_devices_journal *ret);

/** lu_devices_open_log() - open the journal for results, a torn tail cut off; -ENODATA if there is none to write to, or another errno */
int lu_devices_open_log(int dir_fd, const struct lu_devices *d, const struct lu_calls *c);

/** struct lu_devices_ops - how the kernel is asked; tests have their own. All return a value or negative errno */
struct lu_devices_ops {
	void *context;
	int (*ioctl)(void *context, int fd, unsigned long request, void *arg);
	/* opens a device node below /dev and tells its device number; an fd, or negative errno */
	int (*open_node)(void *context, int dev_fd, const char *path, dev_t *ret_device);
	int (*eventfd)(void *context, int flags);
	int (*add)(void *context, int eventfd, uint64_t count); /* write() to an eventfd */
};

/**
 * lu_containers_forget() - before a QEMU is started that takes them over: no address of one before it stands in them
 * @fds: files of a CPR state; those that are no container of vfio's old interface are left alone
 * @ops: NULL: the kernel's
 */
void lu_containers_forget(const int *fds, size_t n, const struct lu_devices_ops *ops);

/**
 * struct lu_collect_from - where to look
 * @proc_fd, @sys_fd: /proc and /sys
 * @pkernfs_fd, @pkernfs: its root, and where it is mounted
 * @launch: launch.json: whose process it is, its name and its RAM files
 * @other, @other_context: names another VM to which a file of pkernfs belongs, NULL: to none. May be NULL
 * @session: LUO session that the caller will put the memfds into; NULL: memfds are refused
 * @bad_pages: of all memory in pkernfs, when this VM's was looked through and none of it was bad; UINT64_MAX: it was not
 * @ops: NULL: the kernel's
 */
struct lu_collect_from {
	int proc_fd, sys_fd, pkernfs_fd;
	const char *pkernfs;
	const struct lu_launch *launch;
	const char *(*other)(void *context, const char *path, const struct stat *st);
	void *other_context;
	const char *session;
	uint64_t bad_pages;
	const struct lu_devices_ops *ops;
};

/**
 * lu_devices_collect() - everything about the files of a CPR state
 *
 * The VM must stand still and its QEMU must have gone through CPR. Nothing is changed, nothing stays
 * open, counts of eventfds are not taken away. Each memfd got a token in @ret (memories): the caller
 * preserves the file under it; lu_devices_memory_fd() finds the file.
 *
 * Return: 0; -EOPNOTSUPP if something is there that can't be set up again, or the kernel can't tell; @e
 * names it; -EBADMSG if what the kernel says makes no sense.
 */
int lu_devices_collect(const struct lu_cpr *cpr, const struct lu_collect_from *from, struct lu_devices *ret,
		       struct lu_error *e);

/**
 * lu_devices_peek() - beforehand: what does a running QEMU have set up that can't be set up again?
 * @proc_fd: /proc
 * @pkernfs_fd: root of pkernfs
 *
 * Where iommufds stand in for all of its containers, reasons in @why that keep from another kernel only are removed:
 * they are about containers, and told from names.
 *
 * Its iommufds are borrowed for a question that changes nothing. The guest may change the answer until
 * it stands still, so lu_devices_collect() has the last word; what can't be asked now is not told.
 */
void lu_devices_peek(int proc_fd, int pkernfs_fd, pid_t pid, struct lu_reasons *why);

/** lu_devices_stand_in() - are a QEMU's containers of vfio's old interface iommufds, all of them? Then they are carried, too */
bool lu_devices_stand_in(int proc_fd, pid_t pid);

/** lu_devices_memory_fd() - index into fds of an entry that has memory @index open; -ENOENT if it is only in launch.json */
int lu_devices_memory_fd(const struct lu_devices *d, size_t index);

struct lu_replay_memfd {
	uint64_t token;
	int fd; /* stays the caller's */
};

/**
 * struct lu_replay_from - where to make it
 * @sys_fd, @dev_fd: /sys and /dev
 * @pkernfs_fd: root of pkernfs
 * @memfds: what the LUO session had, by token
 * @timeout_ms: for all waiting for devices together, in each lu_replay_run()
 * @log_fd: where results go (lu_devices_open_log()); negative: nowhere
 * @boot: first 8 bytes of this kernel's boot id, for the results
 * @ops: NULL: the kernel's
 *
 * Everything in it must stay until lu_replay_free().
 */
struct lu_replay_from {
	int sys_fd, dev_fd, pkernfs_fd;
	const struct lu_replay_memfd *memfds;
	size_t n_memfds;
	unsigned int timeout_ms;
	int log_fd;
	uint64_t boot;
	const struct lu_devices_ops *ops;
};

/**
 * struct lu_replay - a replay that may be under way, and all files that it has opened
 *
 * A device that went on over the kexec does DMA with the tables of the old kernel until it is attached.
 * If its file is closed before, the kernel stops it for good. So after a failure keep the object:
 *	- lu_replay_run() again tries the call that failed and goes on from there;
 *	- lu_replay_free() closes everything, and so gives up the devices that were not attached.
 * What was verified and opened before the first device (memory, eventfds) costs nothing to give up:
 * lu_replay_holds_devices() tells.
 */
struct lu_replay;

/**
 * lu_replay_new() - nothing is opened yet
 * @d, @c: as lu_devices_read() gave them; both must stay until lu_replay_free(). @c is told what was appended
 *
 * Return: 0, -EBADMSG or -ENOMEM.
 */
int lu_replay_new(struct lu_replay **ret, const struct lu_devices *d, struct lu_calls *c,
		  const struct lu_replay_from *from, struct lu_error *e);

/**
 * lu_replay_run() - make the calls that are not made yet
 *
 * Return: 0 if all is done, also if it was before; or a negative errno, @e names the device or file, the
 * call and the cause.
 */
int lu_replay_run(struct lu_replay *r, struct lu_error *e);

/** lu_replay_holds_devices() - is a device's file open, so that freeing @r may stop the device? */
bool lu_replay_holds_devices(const struct lu_replay *r);

/**
 * lu_replay_take() - hand over the files as a CPR state, in the document's order
 * @ret: names, ids and files for lu_cpr_clear(); files are close-on-exec
 *
 * Return: 0; -EBUSY before lu_replay_run() returned 0; -ENOMEM, then nothing was handed over.
 */
int lu_replay_take(struct lu_replay *r, struct lu_cpr *ret);

/** lu_replay_free() - close what was not handed over; NULL is fine */
void lu_replay_free(struct lu_replay *r);
DEFINE_CLEANUP(struct lu_replay *, lu_replay_free)
