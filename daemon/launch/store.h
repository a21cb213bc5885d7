/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A VM's directory in pkernfs, vm/<uuid>/, and the records in it. It is what
 * luctld in the old kernel leaves to lu-init and luctld in the new one.
 *
 *	launch.json	how the VM is started (launch.h)
 *	saved.json	where the VM stands in the update; written by luctld
 *	state		QEMU's device state; counts only if saved.json says so
 *	journal		the calls that set passed-through devices up again (libluctl/calls/calls.h)
 *	devices.json	what a VM with passed-through devices has open (daemon/devices/devices.h)
 *	result.json	what became of the VM after the jump; written by lu-init
 *	apparmor	the rules that confine its QEMU, as AppArmor has them (confined.h)
 *	settings.json	how its QEMU was set to migrate before the update (daemon/vm/settings.c)
 *	clock.json	what the guest agent said when it was asked to set the guest's clock; written by lu-init
 *	libvirt.xml, groups.json, memory/	of a guest of libvirt (daemon/libvirt/kept.h)
 *	spare.N		room for the records that are still to be written; see below
 *
 * Each document has a schema in schemas/ and a table in libluctl/documents. They are replaced as a
 * whole (temporary, fsync, rename), so a reader sees the old or the new one.
 *
 * saved.json: "update" ties the record to one update, a record of another one
 * is never acted on. "running", "mode" and "ignore_shared" are what has to be
 * put back and are written before anything is changed. "complete" is written
 * last, after the state file is whole and synced, with the file's size and
 * crc32 (zlib), and those of devices.json if devices are passed through; it is taken back before a guest is let run again, because from
 * then on the state no longer fits the RAM.
 *
 * Room: pkernfs is the guests', too, and each QEMU can make its own files there larger. A record that can't be written costs the guest
 * that it is about, so room for each that is still to come is reserved as a file when the VM is prepared. When pkernfs is
 * full, a record is written into one of them, which then takes its place: from the first byte to the last
 * no block has to be found.
 *
 * result.json: "loaded" is written before the guest is let run, "running" or
 * "paused" after. The state must not be loaded again once "running" was reached,
 * nor when "loaded" stands and the process is gone: its RAM may have moved on.
 * After "failed" with "retry" true it was never let run and may be tried again.
 */
#include <linux/pkernfs.h>

#include "doc-records.h"

#define LU_STORE_JSON_MAX (1U << 20) /* largest document accepted here */
#define LU_STORE_MEMORY "memory"     /* a directory of memory files, while libvirt must not reach them */

/*
 * Device state is some 100 kB, or the video memory more. One that says that it is larger than this is none: it is refused
 * before it is read.
 */
#define LU_STORE_STATE_MAX (1ULL << 30)

/*
 * saved.json: committed, taken back, committed again and taken back again by a second attempt to undo; result.json: loaded,
 * running, and both again after a first attempt that failed; clock.json; one more. Each may hold two texts of an error (LU_TEXT_MAX), with every character escaped.
 */
#define LU_STORE_SPARES 10u
#define LU_STORE_SPARE_SIZE (64u << 10)

void lu_saved_clear(struct lu_saved *saved);
void lu_result_clear(struct lu_result *result);
void lu_clock_clear(struct lu_clock *clock);
void lu_settings_clear(struct lu_settings *settings);

/**
 * lu_store_ordinary_blocks() - take back what a directory of records has inherited of the size of its files' blocks
 *
 * Who wants the guests' memory in blocks of 1 GiB may have said so for all of pkernfs; each record would take one.
 */
void lu_store_ordinary_blocks(int dir_fd);

/** lu_store_open() - open (and with @create make, mode 0700) vm/@uuid below the directory @pkernfs_fd; an fd or negative errno */
int lu_store_open(int pkernfs_fd, const char *uuid, bool create, struct lu_error *e);

int lu_saved_read(int dir_fd, struct lu_saved *ret, struct lu_error *e);
int lu_saved_write(int dir_fd, const struct lu_saved *saved, struct lu_error *e);
int lu_result_read(int dir_fd, struct lu_result *ret, struct lu_error *e);
int lu_result_write(int dir_fd, const struct lu_result *result, struct lu_error *e);

int lu_clock_read(int dir_fd, struct lu_clock *ret, struct lu_error *e);
int lu_clock_write(int dir_fd, const struct lu_clock *clock, struct lu_error *e);

int lu_settings_read(int dir_fd, struct lu_settings *ret, struct lu_error *e);
int lu_settings_write(int dir_fd, const struct lu_settings *settings, struct lu_error *e);

/**
 * lu_store_waits() - does a saved state wait here that may still be loaded?
 * @ret: the record, to be cleared by the caller in any case; its name is NULL if it can't be read
 *
 * What can't be read counts as one that waits: only its guest's own running and the operator's word may cost a state.
 * A state whose guest runs, or has run since, waits no longer.
 *
 * Return: 1 it does (then @why may say what is wrong with it), 0 none does.
 */
int lu_store_waits(int dir_fd, struct lu_saved *ret, struct lu_error *why);

/** lu_store_lock() - keep others from restoring this VM while @dir_fd is open; -EBUSY if somebody does */
int lu_store_lock(int dir_fd, struct lu_error *e);

/** lu_store_reserve() - make room for all records of a VM that is being prepared; again: what was used; -ENOSPC */
int lu_store_reserve(int dir_fd, struct lu_error *e);

/** struct lu_sum - size and crc32 of a file, as far as it was read */
struct lu_sum {
	uint64_t size;
	uint32_t crc32;
};

/**
 * lu_store_sum_some() - go on summing up a file from where @sum stands ({ 0 }: its start)
 * @bytes: at most so many at a time
 *
 * A file that is larger than LU_STORE_STATE_MAX is not read at all: QEMU has it open, too, and may have made it of any size.
 *
 * Return: 1 if all is read, 0 if there is more, -EFBIG, or another negative errno.
 */
int lu_store_sum_some(int fd, uint64_t bytes, struct lu_sum *sum);

/** lu_store_sum() - the same at once; 0 or negative errno */
int lu_store_sum(int fd, uint64_t *ret_size, uint32_t *ret_crc);

/** lu_store_remove() - remove vm/@uuid and the files we know in it; 0 also if there is none */
int lu_store_remove(int pkernfs_fd, const char *uuid, struct lu_error *e);

/**
 * lu_store_remove_memory() - remove the memory that lies in a VM's directory, as that of a guest of libvirt does while its
 * state waits
 * @dir_fd: of vm/<uuid>/
 *
 * Return: 0, also if there is none.
 */
int lu_store_remove_memory(int dir_fd, struct lu_error *e);

/**
 * lu_store_keep_journal() - before vm/@uuid is removed: its journal of calls, with what came of them, goes to update/calls/@uuid
 *
 * There it stays, like the report, until the next update begins (lu_store_drop_journals()).
 */
void lu_store_keep_journal(int pkernfs_fd, const char *uuid);
void lu_store_drop_journals(int pkernfs_fd);

/** lu_store_open_journal() - open it for reading, where it waits or where it was kept; an fd or negative errno */
int lu_store_open_journal(int pkernfs_fd, const char *uuid);

/** lu_proc_start_time() - field 22 of /proc/@pid/stat; -ESRCH if there is no such process */
int lu_proc_start_time(int proc_fd, pid_t pid, uint64_t *ret);

/** lu_result_alive() - is the process of @result still there, in this boot? */
bool lu_result_alive(const struct lu_result *result);

/* Exit code of `lu-init --restore`: it failed, and a process is left that keeps the VM's devices (lu-init/keep.c) */
#define LU_INIT_KEPT 3

/**
 * lu_marker_write() - create RUN/resumed/@unit, so that the unit starts no second QEMU
 * @with: the unit of the guest's TPM, which gets one, too, that goes with @unit's; or NULL
 */
int lu_marker_write(const char *run, const char *unit, const char *with, struct lu_error *e);

/** lu_marker_remove() - and that of the unit that it was written with; 0 also if there is none */
int lu_marker_remove(const char *run, const char *unit, struct lu_error *e);
