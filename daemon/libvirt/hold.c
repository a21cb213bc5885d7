// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libvirt's daemons end and stay away. The file that says so is written first, so that whoever asks for the daemon
 * from then on (a client at its socket, an administrator, a package that is upgraded) waits at the gate; then those
 * that run are stopped, and it is waited until they are gone. Their units stop the daemon only, never its guests.
 *
 * Only the daemons that run QEMUs are meant, the one of old and the one of its own. Others (networks, storage, logs)
 * go on.
 *
 * Unhappy paths: 1. a daemon does not end: its unit's TimeoutStopSec, then ours; the update is aborted and they are
 * let go; 2. ours dies: the file stays, and the daemon after it goes on or takes the update back; 3. the record can't
 * be written: nothing is stopped.
 */
#include <stdio.h>
#include <string.h>

#include "argv.h"
#include "clock.h"
#include "hold.h"
#include "log.h"
#include "machine.h"
#include "util.h"

#define CALL_TIMEOUT_USEC (10 * UINT64_C(1000000))
#define STOP_TIMEOUT_USEC (60 * UINT64_C(1000000))
#define POLL_USEC (50 * UINT64_C(1000))
#define DOC_MAX (64U << 10)

#define SYSTEMD "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"

static const char *const daemons[] = { "libvirtd.service", "virtqemud.service" };

static const struct lu_json_field doc_fields[] = {
	{ "units", LU_JSON_STRINGS, offsetof(struct lu_libvirt_doc, units), LU_JSON_REQUIRED, .max = 16 },
	{ "autostarted", LU_JSON_BOOL, offsetof(struct lu_libvirt_doc, autostarted), LU_JSON_REQUIRED },
};
const struct lu_json_table lu_libvirt_table = LU_JSON_DOCUMENT("libvirt", struct lu_libvirt_doc, doc_fields, 1);

struct lu_libvirt {
	sd_event *event;
	sd_bus *bus;
	struct lu_machines *machines;
	sd_event_source *timer;
	sd_bus_slot *slot; /* the question that is under way */
	size_t at;         /* of daemons[]: the one that is asked about */
	char **found;      /* those that ran */
	bool stopped;      /* they were told to stop */
	int pkernfs_fd;
	uint64_t until_usec;
	lu_worker_done_t done;
	void *userdata;
};

void lu_libvirt_doc_clear(struct lu_libvirt_doc *doc)
{
	lu_json_free(&lu_libvirt_table, doc);
}

int lu_libvirt_new(sd_event *event, sd_bus *bus, struct lu_libvirt **ret)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	(*ret)->event = event;
	(*ret)->bus = bus;
	return lu_machines_new(bus, &(*ret)->machines);
}

struct lu_machines *lu_libvirt_machines(struct lu_libvirt *v)
{
	return v->machines;
}

void lu_libvirt_cancel(struct lu_libvirt *v)
{
	v->timer = sd_event_source_disable_unref(v->timer);
	v->slot = sd_bus_slot_unref(v->slot);
	lu_argv_free(steal_ptr(v->found));
}

struct lu_libvirt *lu_libvirt_free(struct lu_libvirt *v)
{
	if (!v)
		return NULL;
	lu_libvirt_cancel(v);
	lu_machines_free(v->machines);
	free(v);
	return NULL;
}

bool lu_libvirt_held(void)
{
	return access(LU_LIBVIRT_HELD, F_OK) == 0;
}

static bool is_up(const char *state)
{
	return strcmp(state, "inactive") != 0 && strcmp(state, "failed") != 0;
}

/* A command whose answer nobody waits for: what comes of it is looked at. */
static int command(struct lu_libvirt *v, const char *method, const char *unit)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(v->bus, &m, SYSTEMD, method);

	if (r >= 0)
		r = sd_bus_message_append(m, "ss", unit, "replace");
	if (r >= 0)
		r = sd_bus_message_set_expect_reply(m, false);
	if (r >= 0)
		r = sd_bus_send(v->bus, m, NULL);
	return r < 0 ? r : 0;
}

static void held(struct lu_libvirt *v, int r, struct lu_error *e)
{
	lu_libvirt_cancel(v);
	v->done(v->userdata, r, e);
}

/* The record is written before anything is stopped. */
static int stop(struct lu_libvirt *v, struct lu_error *e)
{
	struct lu_libvirt_doc doc = { .units = v->found };
	int r = 0;

	if (!lu_libvirt_held()) {
		doc.autostarted = access(LU_LIBVIRT_STATE_DIR "/autostarted", F_OK) == 0;
		r = lu_json_store(v->pkernfs_fd, LU_LIBVIRT_RECORD, 0600, &lu_libvirt_table, &doc, e);
		if (r >= 0)
			r = lu_json_store(AT_FDCWD, LU_LIBVIRT_HELD, 0644, &lu_libvirt_table, &doc, e);
	}
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(daemons); i++)
		r = command(v, "StopUnit", daemons[i]);
	v->stopped = true;
	v->at = 0;
	return r;
}

/* The daemon at hand is @state: which ran is found out first, then each is waited for. */
static int judge(struct lu_libvirt *v, const char *state, uint64_t *ret_wait, struct lu_error *e)
{
	size_t n = 0;

	*ret_wait = 0;
	if (v->stopped && is_up(state)) {
		*ret_wait = POLL_USEC;
		return 0;
	}
	if (is_up(state)) {
		while (v->found[n])
			n++;
		v->found[n] = strdup(daemons[v->at]);
		if (!v->found[n])
			return -ENOMEM;
	}
	if (++v->at < ARRAY_SIZE(daemons))
		return 0;
	return v->stopped ? 1 : stop(v, e);
}

/* systemd that does not answer in time is asked again. */
static int on_state(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	const sd_bus_error *refused = sd_bus_message_get_error(m);
	struct lu_libvirt *v = userdata;
	uint64_t wait = POLL_USEC;
	const char *state;
	int r = 0;

	if (refused && !sd_bus_message_is_method_error(m, SD_BUS_ERROR_NO_REPLY))
		r = lu_error_set(&e, -sd_bus_message_get_errno(m), "see systemctl status", "%s: %s", daemons[v->at],
				 refused->message ?: refused->name);
	else if (!refused)
		r = sd_bus_message_read(m, "v", "s", &state);
	if (r >= 0 && !refused)
		r = judge(v, state, &wait, &e);
	if (r == 0 && lu_clock_ns(CLOCK_MONOTONIC) / 1000 >= v->until_usec)
		r = lu_error_set(&e, -ETIMEDOUT, "see systemctl status libvirtd virtqemud",
				 "libvirt does not step aside: %s is still there", daemons[v->at]);
	if (r == 0)
		r = sd_event_source_set_time_relative(v->timer, wait);
	if (r == 0)
		r = sd_event_source_set_enabled(v->timer, SD_EVENT_ONESHOT);
	if (r != 0)
		held(v, r < 0 ? r : 0, &e);
	return 0;
}

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *path = NULL;
	struct lu_libvirt *v = userdata;
	int r;

	v->slot = sd_bus_slot_unref(v->slot);
	r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", daemons[v->at], &path);
	if (r >= 0)
		r = sd_bus_message_new_method_call(v->bus, &m, "org.freedesktop.systemd1", path,
						   "org.freedesktop.DBus.Properties", "Get");
	if (r >= 0)
		r = sd_bus_message_append(m, "ss", "org.freedesktop.systemd1.Unit", "ActiveState");
	if (r >= 0)
		r = sd_bus_call_async(v->bus, &v->slot, m, on_state, v, CALL_TIMEOUT_USEC);
	if (r < 0)
		held(v, r, &e);
	return 0;
}

int lu_libvirt_hold(struct lu_libvirt *v, int pkernfs_fd, lu_worker_done_t done, void *userdata, struct lu_error *e)
{
	lu_libvirt_cancel(v);
	v->found = calloc(ARRAY_SIZE(daemons) + 1, sizeof(*v->found));
	if (!v->found)
		return -ENOMEM;
	v->done = done;
	v->userdata = userdata;
	v->pkernfs_fd = pkernfs_fd;
	v->until_usec = lu_clock_ns(CLOCK_MONOTONIC) / 1000 + STOP_TIMEOUT_USEC;
	v->stopped = false;
	v->at = 0;
	return sd_event_add_time_relative(v->event, &v->timer, CLOCK_MONOTONIC, 0, 0, on_tick, v);
}

int lu_libvirt_release(struct lu_libvirt *v, int pkernfs_fd, struct lu_error *e)
{
	_cleanup_(lu_libvirt_doc_clear) struct lu_libvirt_doc doc = { 0 };
	_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
	int r;

	lu_libvirt_cancel(v);
	if (!lu_libvirt_held())
		return 0;
	r = lu_json_load(AT_FDCWD, LU_LIBVIRT_HELD, DOC_MAX, &lu_libvirt_table, &doc, &why);
	if (r < 0)
		log_warning("%s; libvirt is not started again by luctld", why.what ?: LU_LIBVIRT_HELD);
	lu_error_clear(&why);
	/* in this boot already, or in the one before: domains that somebody has shut down are not started by an update */
	if (r >= 0 && doc.autostarted && access(LU_LIBVIRT_STATE_DIR "/autostarted", F_OK) < 0) {
		r = lu_mkdir_p(AT_FDCWD, LU_LIBVIRT_STATE_DIR, 0755);
		if (r >= 0)
			r = lu_write_file(AT_FDCWD, LU_LIBVIRT_STATE_DIR "/autostarted", "", 0, 0600);
		if (r < 0)
			return lu_error_set(e, r, NULL, LU_LIBVIRT_STATE_DIR "/autostarted: %s", strerror(-r));
	}
	if (unlink(LU_LIBVIRT_HELD) < 0 && errno != ENOENT)
		return lu_error_set(e, -errno, NULL, LU_LIBVIRT_HELD ": %s", strerror(errno));
	(void)unlinkat(pkernfs_fd, LU_LIBVIRT_RECORD, 0);
	for (char **unit = doc.units; unit && *unit; unit++) {
		/* it may take its time; its clients wait at its socket */
		r = command(v, "StartUnit", *unit);
		if (r < 0)
			log_warning("%s: can't be started: %s", *unit, strerror(-r));
	}
	return 0;
}
