/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * QMP client on sd-event. It connects when the first command is given and gives
 * the monitor back when nothing is pending for a while, since QEMU admits one
 * QMP client at a time.
 */
#include <sys/socket.h>
#include <systemd/sd-event.h>

#include "error.h"

struct json_object;
struct lu_qmp;

#define LU_QMP_FDS_MAX 4

/**
 * lu_qmp_reply_t - a command has ended; called exactly once, from the event loop only
 * @r: 0; -EREMOTEIO: QEMU refused the command (@error_class is set, @e has its words);
 *	-ETIMEDOUT; -ECONNRESET: the peer closed or died; -EBADMSG: it talks no QMP;
 *	or the negative errno of connecting
 * @data: what it returned, if @r is 0; valid during the call
 * @e: NULL if @r is 0
 *
 * It may give further commands, close or free the client.
 */
typedef void (*lu_qmp_reply_t)(struct lu_qmp *q, int r, struct json_object *data, const char *error_class,
			       const struct lu_error *e, void *userdata);

/** lu_qmp_event_t - an event came; same freedom as lu_qmp_reply_t */
typedef void (*lu_qmp_event_t)(struct lu_qmp *q, const char *name, struct json_object *data, void *userdata);

/** lu_qmp_new() - a client for the socket @path, not connected yet; @label names the VM in errors ("VM web1") */
int lu_qmp_new(struct lu_qmp **ret, sd_event *event, const char *label, const char *path);

/** lu_qmp_free() - closes; callbacks that are pending are not called. Allowed within callbacks */
void lu_qmp_free(struct lu_qmp *q);
DEFINE_CLEANUP(struct lu_qmp *, lu_qmp_free)

void lu_qmp_set_event_handler(struct lu_qmp *q, lu_qmp_event_t handler, void *userdata);

/** lu_qmp_set_idle() - close the connection @usec after the last command ended; UINT64_MAX: keep it. Default 1 s */
void lu_qmp_set_idle(struct lu_qmp *q, uint64_t usec);

/**
 * lu_qmp_command() - send a command, connecting first if need be
 * @args: object or NULL; the caller keeps its reference
 * @fds: passed along (SCM_RIGHTS); duplicated, so the caller may close them at once
 * @timeout_usec: from now to the reply, connecting included; must not be 0
 * @userdata: also identifies the command for lu_qmp_forget()
 *
 * Return: 0, -EINVAL, -ENOMEM, -EMFILE…; then the callback is not called. Everything else comes through it.
 */
int lu_qmp_command(struct lu_qmp *q, const char *name, struct json_object *args, const int *fds, size_t n_fds,
		   uint64_t timeout_usec, lu_qmp_reply_t callback, void *userdata);

/** lu_qmp_forget() - the callbacks of the commands given with @userdata shall not come; the commands themselves go on */
void lu_qmp_forget(struct lu_qmp *q, void *userdata);

/** lu_qmp_close() - give the monitor back now; pending callbacks get -ECANCELED from the event loop */
void lu_qmp_close(struct lu_qmp *q);

bool lu_qmp_connected(const struct lu_qmp *q);

/** lu_qmp_held() - 1 if we are not served since another process is, with @e saying which; 0: we are, or nobody is known */
int lu_qmp_held(const struct lu_qmp *q, struct lu_error *e);

/** lu_qmp_peer() - who listens at the socket, by SO_PEERCRED: the QEMU process; -ENOTCONN if not connected */
int lu_qmp_peer(const struct lu_qmp *q, struct ucred *ret);

/** lu_qmp_version() - QEMU's version of the greeting, e.g. "11.1.3"; NULL before the first connection */
const char *lu_qmp_version(const struct lu_qmp *q);
