/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * QEMU's CPR state: the file descriptors that one QEMU leaves to the next, with
 * their names, and the ids of its passed-through devices. An entry is known by name
 * and id together; the order in the stream differs from run to run.
 *
 * Grammar, integers big-endian, as QEMU 11.1 writes it:
 *
 *	state	= u32 0x51435052 "QCPR"; u32 1; { u8 1; entry }; u8 0; section
 *	entry	= name; i32 id; file
 *	name	= u32 length with its NUL; bytes
 *	file	= transfer form: u8 0x20, sent by itself with one descriptor (SCM_RIGHTS)
 *		  exec form: i32 number of the descriptor in the new process
 *	section	= u8 5; u8 21; "CprState/vfio devices"; u32 1; { u8 1; device }; u8 0
 *	device	= name; i32 devid; u32 ioas; u32 hwpt
 *
 * The section is there without devices too; a stream without it broke off, or comes
 * from an older QEMU (10.0 has none), and is refused. The bytes that one
 * recvmsg() gives end with the byte that carried its descriptors, so their order alone
 * tells which descriptor belongs to which 0x20.
 *
 * Transfer out, exec in. A state captured in the transfer form is given to the next
 * QEMU in the exec form; the main stream does not say which mode it was made in. As
 * tests/unit/devices/test-cpr-qemu.c does it with QEMU 11.1.3:
 *
 *	old: stop; migrate-set-parameters mode=cpr-transfer; migrate with channels main and
 *	     cpr, both unix sockets on which we listen
 *	us:  take the cpr socket's stream to its end and close it, which is what QEMU waits
 *	     for; then take the main socket's. query-status: "postmigrate"
 *	new: the same words, -add-fd fd=3,set=N -incoming defer, QEMU_CPR_EXEC_STATE=<number of
 *	     lu_cpr_write_exec()'s file>, each descriptor at the number that stands in it
 *	     migrate-incoming file:/dev/fdset/N; query-status: "inmigrate", then "paused"; cont
 *
 * What was found by running 11.1.3:
 * - defer works, as do -incoming file:PATH and file:/dev/fdset/N at once. No parameter needs
 *   to be set: mode may stay normal (or be cpr-transfer or cpr-exec), and is kept after.
 * - x-ignore-shared must be off, before the capture and before loading, other than for
 *   a VM without devices: in these modes RAM is left out anyway. On one side only QEMU
 *   ends with "Capability x-ignore-shared is off, but received capability is on" or the
 *   reverse; on both sides with "Mismatched GPAs for block 0000:00:01.0/vga.vram".
 * - The main stream's file must be opened for reading only, as an fdset gives it out only so.
 * - QEMU reads the exec form before there is a monitor: what is wrong with it ends the
 *   process with a line on stderr, and a number without a file with SIGABRT. It does not
 *   look at what follows the end and takes a state without the section as one without devices.
 * - It sets close-on-exec on what it takes over, and closes the state's file. The variable
 *   is taken out of its environment but goes on standing in /proc/PID/environ, from where a
 *   capture of the process must not take it into launch.json.
 * - A QEMU started so can be captured again in the same way.
 * - A socket's buffer holds some 140 entries (measured on Linux with 208 KiB): with more of them,
 *   that is from some 60 vectors, `migrate` answers only after we have begun to read.
 */
#include "doc-devices.h"

struct lu_launch;

#define LU_CPR_BYTES_MAX (1U << 20) /* largest stream; 4096 entries with names of 40 bytes are 217 kB */
/* each entry is 3 bytes longer in the exec form */
#define LU_CPR_EXEC_BYTES_MAX (LU_CPR_BYTES_MAX + 3 * LU_CPR_FDS_MAX)
#define LU_CPR_EXEC_VARIABLE "QEMU_CPR_EXEC_STATE"

/** struct lu_cpr_fd - one entry; @fd belongs to it, -EBADF: none */
struct lu_cpr_fd {
	char *name;
	int32_t id;
	int fd;
};

struct lu_cpr {
	struct lu_cpr_fd *fds;
	size_t n_fds;
	struct lu_cpr_device *devices;
	size_t n_devices;
};

#define LU_CPR_INIT ((struct lu_cpr){ 0 })

/*
 * The entries in JSON, to be embedded: {"name", "id"} and {"name", "devid", "ioas", "hwpt"}. Descriptors are not in it: what was decoded must
 * go through lu_cpr_no_files() before anything else, since a zeroed fd would be descriptor 0. lu_json_free() closes none.
 */
extern const struct lu_json_table lu_cpr_fd_table;
/* lu_cpr_device_table: doc-devices.h */

/** lu_cpr_no_files() - say of all entries that they have no descriptor; closes nothing */
void lu_cpr_no_files(struct lu_cpr *cpr);

/** lu_cpr_clear() - close the descriptors, free the rest */
void lu_cpr_clear(struct lu_cpr *cpr);
#define _cleanup_cpr_ _cleanup_(lu_cpr_clear)

/** lu_cpr_find() - the entry of this name and id, or NULL */
struct lu_cpr_fd *lu_cpr_find(const struct lu_cpr *cpr, const char *name, int32_t id);

/** lu_cpr_has_container() - is a device passed through by a container of vfio's old interface among what it has? */
bool lu_cpr_has_container(const struct lu_cpr *cpr);

/** lu_cpr_find_device() - the device of this name, or NULL */
struct lu_cpr_device *lu_cpr_find_device(const struct lu_cpr *cpr, const char *name);

/**
 * lu_cpr_parse() - the transfer form
 * @fds: descriptors in the order in which they came; all are taken over, whatever the outcome, and the array is filled with -EBADF
 * @ret: written only on success
 *
 * Names are UTF-8 without control characters, no two entries have the same name and id, no two devices the same name.
 *
 * Return: 0; -EBADMSG: damaged, broken off, more or fewer descriptors than entries; -EPROTONOSUPPORT: another version or an unknown section;
 * -EFBIG: beyond the limits above; -ENOMEM.
 */
int lu_cpr_parse(const void *data, size_t len, int *fds, size_t n_fds, struct lu_cpr *ret, struct lu_error *e);

/**
 * lu_cpr_encode_exec() - the exec form
 * @numbers: for each entry of cpr->fds the number that its descriptor will have in the new process: all different, none below 3
 * @ret: free() it
 *
 * Return: 0; -EINVAL: numbers or names that won't do; -EFBIG; -ENOMEM.
 */
int lu_cpr_encode_exec(const struct lu_cpr *cpr, const int *numbers, void **ret, size_t *ret_len, struct lu_error *e);

/**
 * lu_cpr_parse_exec() - the exec form
 * @ret: entries without descriptors; written only on success
 * @ret_numbers: for each entry the number that stands there; free() it
 *
 * Return: as lu_cpr_parse(); -EBADMSG also for a number below 3 or one that is there twice.
 */
int lu_cpr_parse_exec(const void *data, size_t len, struct lu_cpr *ret, int **ret_numbers, struct lu_error *e);

/**
 * lu_cpr_number() - which numbers the files have in the next QEMU
 * @l: how it is started. What its command line names has the number that stands there, all others avoid those
 * @numbers: for each entry
 *
 * Return: 0; -ENOENT if the command line names a file that @cpr doesn't have.
 */
int lu_cpr_number(const struct lu_cpr *cpr, const struct lu_launch *l, int *numbers, struct lu_error *e);

/* --- with I/O: cpr_io.c --- */

/** lu_cpr_read_exec() - lu_cpr_parse_exec() of a file: @numbers of its @n entries; -EBADMSG if there are more or fewer */
int lu_cpr_read_exec(int fd, int *numbers, size_t n, struct lu_error *e);

/** lu_cpr_write_exec() - lu_cpr_encode_exec() into a sealed memfd (close-on-exec); QEMU reads it from its start wherever it stands */
int lu_cpr_write_exec(const struct lu_cpr *cpr, const int *numbers, int *ret_fd, struct lu_error *e);

/** struct lu_cpr_receiver - what came so far; @data and @fds then go to lu_cpr_parse() */
struct lu_cpr_receiver {
	uint8_t *data;
	size_t len, room;
	int *fds;
	size_t n_fds, room_fds;
};

#define LU_CPR_RECEIVER_INIT ((struct lu_cpr_receiver){ 0 })

/** lu_cpr_receiver_clear() - close what was not taken over, free the rest */
void lu_cpr_receiver_clear(struct lu_cpr_receiver *r);
#define _cleanup_cpr_receiver_ _cleanup_(lu_cpr_receiver_clear)

/**
 * lu_cpr_receive_some() - take what is there of the transfer form, without waiting
 * @sock: a connected unix stream socket; its closing is what QEMU waits for before it goes on to stop and to save
 *
 * Return: 1 at the end of the stream; 0: call again when there is more; or an error, after which @r is empty: -EFBIG: beyond the limits;
 * -EMFILE: descriptors were lost, the process may not have that many; or the errno of recvmsg().
 */
int lu_cpr_receive_some(int sock, struct lu_cpr_receiver *r, struct lu_error *e);
