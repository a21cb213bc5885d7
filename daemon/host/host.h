/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The host around the guests: ordinary units go down in order while the guests
 * still run, and come back if the update is given up; an inhibitor keeps others
 * from shutting the host down meanwhile; units that systemd makes for us.
 */
#include <systemd/sd-bus.h>

#include "fd-stores.h"
#include "unit-limits.h"
#include "worker.h"

struct lu_host;

/** lu_host_new() - @bus: connection to the system bus, attached to @event */
int lu_host_new(sd_event *event, sd_bus *bus, struct lu_host **ret);
struct lu_host *lu_host_free(struct lu_host *h);
DEFINE_CLEANUP(struct lu_host *, lu_host_free)

/** lu_host_inhibit() - block shutdown and sleep through logind until lu_host_uninhibit() */
int lu_host_inhibit(struct lu_host *h, struct lu_error *error);
void lu_host_uninhibit(struct lu_host *h);

/**
 * lu_host_inhibitors() - who else blocks a shutdown through logind
 * @found: called for each; its words are those that it gave logind, made printable
 *
 * Return: 0, or a negative errno if there is no logind to ask.
 */
int lu_host_inhibitors(struct lu_host *h, void (*found)(const char *who, const char *why, pid_t pid, void *userdata),
		       void *userdata);

/**
 * lu_host_keep() - a unit that the next lu_host_quiesce() leaves as it is, beside those that guests always lean on
 *
 * Only one that is active then. Units that are no services need not be named: scopes stay anyway.
 */
int lu_host_keep(struct lu_host *h, const char *unit);

/**
 * lu_host_fd_stores() - units that have given systemd descriptors to keep (fd-stores.h)
 * @ret_version: of systemd, 257; 0: not known
 *
 * Return: 0, or a negative errno if there is no systemd to ask.
 */
int lu_host_fd_stores(struct lu_host *h, unsigned int *ret_version,
		      void (*found)(const struct lu_fd_store *store, void *userdata), void *userdata);

/**
 * lu_host_quiesce() - isolate luctl-jump.target; asynchronous, @done when no unit that was active has a job left
 *
 * The names of the units that were active are kept in /run/luctl/quiesced first, so that even another daemon
 * process can bring them back.
 */
int lu_host_quiesce(struct lu_host *h, lu_worker_done_t done, void *userdata, struct lu_error *error);

/** lu_host_unquiesce() - start what lu_host_quiesce() stopped; done at once where nothing was */
int lu_host_unquiesce(struct lu_host *h, lu_worker_done_t done, void *userdata, struct lu_error *error);

/** lu_host_set_undo_wait() - how long lu_host_unquiesce() waits for units to be up again at most */
void lu_host_set_undo_wait(struct lu_host *h, uint64_t usec);

/** lu_host_quiesced() - did lu_host_quiesce() begin and nothing take it back yet, maybe in another process? */
bool lu_host_quiesced(void);

/** lu_host_cancel() - forget a running (un)quiesce; its callback is not called any more */
void lu_host_cancel(struct lu_host *h);

/**
 * lu_host_survives() - would the unit of process @pid survive lu_host_quiesce()?
 * @ret_unit: the unit's name; free() it
 *
 * Return: 1 yes, 0 no, or a negative errno.
 */
int lu_host_survives(struct lu_host *h, pid_t pid, char **ret_unit, struct lu_error *error);

/** lu_host_unit_active() - 1 if the unit is active (or on its way in or out), 0 if it is not or unknown, or a negative errno */
int lu_host_unit_active(struct lu_host *h, const char *unit, struct lu_error *error);

/**
 * lu_host_scope() - move a process into a scope of its own, unless it is there already; asynchronous, failures are logged
 * @with: another one that belongs to it; 0: none
 * @limits: what the scope is held to; NULL: to nothing. If systemd refuses that, the scope is made without
 */
void lu_host_scope(struct lu_host *h, const char *scope, const char *description, pid_t pid, pid_t with,
		   const struct lu_limits *limits);

/** lu_host_limits() - lu_limits_ask(), and lu_limits_name_disks() unless it is for this kernel: @here */
int lu_host_limits(struct lu_host *h, pid_t pid, bool here, struct lu_limits *ret, char ***ret_lost,
		   struct lu_error *error);

/** lu_host_holds() - is process @pid in the cgroup of @unit? */
bool lu_host_holds(const char *unit, pid_t pid);

/** lu_host_reset_failed() - once @unit has noticed that its process was ended, it is not to be called failed for that; asynchronous */
void lu_host_reset_failed(struct lu_host *h, const char *unit);

/**
 * lu_host_run() - run a program as a transient service outside of this daemon's sandbox; asynchronous
 * @kept: exit code by which the program says that it failed, but left a process that is to live on
 *
 * What the program leaves running stays in the unit's cgroup, as long as the program succeeded or said @kept
 * and nobody stops the unit. The callback gets its result; if lu_host_cancel() comes first,
 * @forget is called in its place.
 */
int lu_host_run(struct lu_host *h, const char *unit, const char *const *argv, int kept, lu_worker_done_t done,
		sd_event_destroy_t forget, void *userdata, struct lu_error *error);

/** lu_host_await() - the same of a unit that lu_host_run() has made in a daemon before this one: @done gets its result */
int lu_host_await(struct lu_host *h, const char *unit, lu_worker_done_t done, void *userdata);

/**
 * lu_host_find_units() - which units are there, in whatever state; asynchronous
 * @pattern: "luctl-restore-*.service"
 * @found: called for each, then @done, with a negative errno if systemd did not tell
 */
int lu_host_find_units(struct lu_host *h, const char *pattern, void (*found)(const char *unit, void *userdata),
		       lu_worker_done_t done, void *userdata);

/**
 * lu_host_stop_left() - stop a unit that lu_host_run() made, once nothing of use is in it
 * @pid: a process that has to leave it first, which takes a moment after lu_host_scope(); 0: none
 *
 * Asynchronous; failures do not matter.
 */
void lu_host_stop_left(struct lu_host *h, const char *unit, pid_t pid);
