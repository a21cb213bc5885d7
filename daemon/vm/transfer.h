/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The receiving end of QEMU's migration mode cpr-transfer. QEMU connects to two
 * unix sockets: the first gets its CPR state with the file descriptors of all
 * passed-through devices (daemon/devices), and when that is closed the second gets the
 * device state, which goes into a file (CPR: qmp_migrate() of QEMU's migration/migration.c).
 *
 * QEMU keeps its own copies of the descriptors. Ours are for the next QEMU, should the
 * jump not come about: the present one can't let a guest with such devices run again.
 *
 * From the moment that QEMU is let go on after its CPR state, nothing may be lost with this
 * process: what QEMU has sent can't be had again. So all that the rest needs is in descriptors, which
 * somebody else keeps too, and each byte is moved by the kernel (splice), from the socket into a pipe and
 * from there into the file, whose offset says how far it came. Whoever has them goes on.
 */
#include <systemd/sd-event.h>

#include "cpr.h"
#include "error.h"

struct lu_transfer;

/** enum lu_transfer_fd - what the rest of a transfer needs; the state file's offset is where it has come to */
enum lu_transfer_fd {
	LU_TRANSFER_STATE,
	LU_TRANSFER_OUT, /* the pipe */
	LU_TRANSFER_IN,
	LU_TRANSFER_LISTEN,
	LU_TRANSFER_MAIN, /* the connection, in place of listening */
	LU_TRANSFER_FDS
};

/**
 * struct lu_transfer_keeper - who keeps descriptors
 * @cpr: the CPR state has come, lu_transfer_cpr() has it; QEMU goes on when this has returned 0
 * @keep: @fd is needed from now on; it stays the transfer's
 */
struct lu_transfer_keeper {
	int (*cpr)(void *context, struct lu_error *e);
	void (*keep)(void *context, enum lu_transfer_fd which, int fd);
	void *context;
};

#define LU_TRANSFER_ROOM (32 << 20) /* some 100 kB of device state, or the video memory more; a longer one is refused */

/**
 * lu_transfer_new() - listen
 * @dir: directory to make for the sockets, root's; in one that only root writes; removed with the transfer
 * @uid, @gid, @pid: QEMU's; nobody else is let in
 * @state_fd: where the device state goes, over what is there; duplicated. LU_TRANSFER_ROOM bytes of it must be reserved:
 *	QEMU calls the migration completed when it has sent all, and what could not be written then is lost
 * @keeper: copied
 */
int lu_transfer_new(struct lu_transfer **ret, sd_event *event, const char *dir, uid_t uid, gid_t gid, pid_t pid,
		    int state_fd, const struct lu_transfer_keeper *keeper, struct lu_error *e);

/**
 * lu_transfer_resume() - receive the rest of the device state in place of a process that died
 * @dir: as above; removed with the transfer
 * @pid: QEMU's, 0 if it is not known any more
 * @fds: what was kept, -EBADF where nothing was; taken over if it succeeds
 *
 * There is no CPR state in this one.
 */
int lu_transfer_resume(struct lu_transfer **ret, sd_event *event, const char *dir, pid_t pid,
		       int fds[static LU_TRANSFER_FDS], struct lu_error *e);

/** lu_transfer_args() - the arguments of QMP's migrate; NULL if out of memory */
struct json_object *lu_transfer_args(const struct lu_transfer *t);

/** lu_transfer_done() - 1 if all has come, 0 if not yet, or the negative errno of what went wrong, with @e */
int lu_transfer_done(struct lu_transfer *t, struct lu_error *e);

/** lu_transfer_cpr() - what came by the first socket, NULL until all of that has; the files stay the transfer's */
struct lu_cpr *lu_transfer_cpr(struct lu_transfer *t);

/** lu_transfer_free() - close everything; NULL is fine */
void lu_transfer_free(struct lu_transfer *t);
DEFINE_CLEANUP(struct lu_transfer *, lu_transfer_free)
