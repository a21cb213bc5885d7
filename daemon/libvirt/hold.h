/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Guests of libvirt go through an update as they are. libvirt steps aside meanwhile: while its daemon is not there,
 * its guests' monitors are free, and nobody thinks that a guest has ended when its QEMU does.
 *
 *	old kernel	hold → keep (kept.h) → the update works at the monitors → jump
 *	going back	release: the daemon starts again and reconnects by itself
 *	new kernel	lu-init holds before anything starts → machines (machine.h), give back (kept.h) → release
 *
 * Held means that the file LU_LIBVIRT_HELD is there: as long as it is, systemd does not start libvirt's daemon
 * (luctl-libvirt-gate.service). Its sockets may listen, clients wait.
 */
#include <systemd/sd-bus.h>

#include "error.h"
#include "json.h"
#include "worker.h"

#ifndef LU_LIBVIRT_STATE_DIR
#define LU_LIBVIRT_STATE_DIR "/run/libvirt/qemu"
#endif
#ifndef LU_LIBVIRT_HELD
#define LU_LIBVIRT_HELD "/run/luctl/libvirt-held"
#endif
#define LU_LIBVIRT_RECORD "update/libvirt.json" /* in pkernfs: lu-init makes LU_LIBVIRT_HELD of it */

/** struct lu_libvirt_doc - what was there when libvirt stepped aside (schema libvirt) */
struct lu_libvirt_doc {
	char **units;     /* daemons that ran */
	bool autostarted; /* what starts with libvirt was started in this boot, so it is not to be started again */
};

extern const struct lu_json_table lu_libvirt_table;
void lu_libvirt_doc_clear(struct lu_libvirt_doc *doc);

struct lu_libvirt;
struct lu_machines;

int lu_libvirt_new(sd_event *event, sd_bus *bus, struct lu_libvirt **ret);
struct lu_libvirt *lu_libvirt_free(struct lu_libvirt *v);

/** lu_libvirt_machines() - what machined is told by (machine.h) */
struct lu_machines *lu_libvirt_machines(struct lu_libvirt *v);

/** lu_libvirt_held() - does libvirt stand aside? */
bool lu_libvirt_held(void);

/**
 * lu_libvirt_hold() - have libvirt's daemons end, and keep them from starting again; asynchronous
 * @pkernfs_fd: the record is kept in it
 *
 * Guests run on: libvirt's units leave them alone when they stop. Repeatable.
 */
int lu_libvirt_hold(struct lu_libvirt *v, int pkernfs_fd, lu_worker_done_t done, void *userdata, struct lu_error *e);

/** lu_libvirt_cancel() - forget a hold that is under way; its callback is not called any more */
void lu_libvirt_cancel(struct lu_libvirt *v);

/** lu_libvirt_release() - let them start again, and start those that ran; nobody waits for them */
int lu_libvirt_release(struct lu_libvirt *v, int pkernfs_fd, struct lu_error *e);
