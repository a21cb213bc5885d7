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
	sd_event_source *timer;
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
	return 0;
}

void lu_libvirt_cancel(struct lu_libvirt *v)
{
	v->timer = sd_event_source_disable_unref(v->timer);
}

struct lu_libvirt *lu_libvirt_free(struct lu_libvirt *v)
{
	if (v)
		lu_libvirt_cancel(v);
	free(v);
	return NULL;
}

bool lu_libvirt_held(void)
{
	return access(LU_LIBVIRT_HELD, F_OK) == 0;
}

static int is_active(struct lu_libvirt *v, const char *unit, struct lu_error *e)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_free_ char *path = NULL, *state = NULL;
	int r;

	r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path);
	if (r >= 0)
		r = sd_bus_get_property_string(v->bus, "org.freedesktop.systemd1", path,
					       "org.freedesktop.systemd1.Unit", "ActiveState", &error, &state);
	if (r < 0)
		return lu_error_set(e, r, "see systemctl status", "%s: %s", unit, error.message ?: strerror(-r));
	return strcmp(state, "inactive") != 0 && strcmp(state, "failed") != 0;
}

static int command(struct lu_libvirt *v, const char *method, const char *unit, struct lu_error *e)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r;

	r = sd_bus_message_new_method_call(v->bus, &m, SYSTEMD, method);
	if (r >= 0)
		r = sd_bus_message_append(m, "ss", unit, "replace");
	if (r >= 0)
		r = sd_bus_call(v->bus, m, CALL_TIMEOUT_USEC, &error, NULL);
	return r < 0 ? lu_error_set(e, r, "see systemctl status", "%s: %s", unit, error.message ?: strerror(-r)) : 0;
}

static int any_active(struct lu_libvirt *v, struct lu_error *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(daemons); i++) {
		int r = is_active(v, daemons[i], e);

		if (r != 0)
			return r;
	}
	return 0;
}

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_libvirt *v = userdata;
	int r = any_active(v, &e);

	if (r > 0 && lu_clock_ns(CLOCK_MONOTONIC) / 1000 < v->until_usec) {
		r = sd_event_source_set_time_relative(s, POLL_USEC);
		if (r >= 0)
			r = sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
		if (r >= 0)
			return 0;
	}
	if (r > 0)
		r = lu_error_set(&e, -ETIMEDOUT, "see systemctl status libvirtd virtqemud",
				 "libvirt does not step aside");
	lu_libvirt_cancel(v);
	v->done(v->userdata, r, &e);
	return 0;
}

/* What was found first counts: a daemon before this one may have stopped them already. */
static int write_record(struct lu_libvirt *v, int pkernfs_fd, struct lu_error *e)
{
	_cleanup_(lu_libvirt_doc_clear) struct lu_libvirt_doc doc = { 0 };
	size_t n = 0;
	int r;

	if (lu_libvirt_held())
		return 0;
	doc.units = calloc(ARRAY_SIZE(daemons) + 1, sizeof(*doc.units));
	if (!doc.units)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(daemons); i++) {
		r = is_active(v, daemons[i], e);
		if (r < 0)
			return r;
		if (r > 0 && !(doc.units[n++] = strdup(daemons[i])))
			return -ENOMEM;
	}
	doc.autostarted = access(LU_LIBVIRT_STATE_DIR "/autostarted", F_OK) == 0;
	r = lu_json_store(pkernfs_fd, LU_LIBVIRT_RECORD, 0600, &lu_libvirt_table, &doc, e);
	return r < 0 ? r : lu_json_store(AT_FDCWD, LU_LIBVIRT_HELD, 0644, &lu_libvirt_table, &doc, e);
}

int lu_libvirt_hold(struct lu_libvirt *v, int pkernfs_fd, lu_worker_done_t done, void *userdata, struct lu_error *e)
{
	int r = write_record(v, pkernfs_fd, e);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(daemons); i++) {
		r = is_active(v, daemons[i], e);
		if (r > 0)
			r = command(v, "StopUnit", daemons[i], e);
	}
	if (r < 0)
		return r;
	v->done = done;
	v->userdata = userdata;
	v->until_usec = lu_clock_ns(CLOCK_MONOTONIC) / 1000 + STOP_TIMEOUT_USEC;
	lu_libvirt_cancel(v);
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
		_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

		/* it may take its time; its clients wait at its socket */
		r = sd_bus_message_new_method_call(v->bus, &m, SYSTEMD, "StartUnit");
		if (r >= 0)
			r = sd_bus_message_append(m, "ss", *unit, "replace");
		if (r >= 0)
			r = sd_bus_message_set_expect_reply(m, false);
		if (r >= 0)
			r = sd_bus_send(v->bus, m, NULL);
		if (r < 0)
			log_warning("%s: can't be started: %s", *unit, strerror(-r));
	}
	return 0;
}

/* --- machined --- */

static char *unescape(const char *text, size_t n)
{
	char *out = malloc(n + 1), *o = out;

	for (size_t i = 0; out && i < n;) {
		unsigned int c;

		if (i + 4 <= n && text[i] == '\\' && text[i + 1] == 'x' && sscanf(text + i + 2, "%2x", &c) == 1 && c) {
			*o++ = (char)c;
			i += 4;
		} else {
			*o++ = text[i++];
		}
	}
	if (out)
		*o = '\0';
	return out;
}

char *lu_libvirt_machine_name(const char *cgroup)
{
	static const char prefix[] = "/machine-", suffix[] = ".scope";
	const char *p = cgroup ? strstr(cgroup, prefix) : NULL, *end;

	if (!p)
		return NULL;
	p += strlen(prefix);
	end = strstr(p, suffix);
	if (!end || memchr(p, '/', (size_t)(end - p)) || (end[strlen(suffix)] && end[strlen(suffix)] != '/'))
		return NULL;
	return unescape(p, (size_t)(end - p));
}

static int on_machine(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const sd_bus_error *e = sd_bus_message_get_error(m);

	if (e)
		log_warning("machined: a guest of libvirt runs without a machine and its limits: %s",
			    e->message ?: e->name);
	return 0;
}

static int uuid_bytes(const char *uuid, uint8_t b[static 16])
{
	size_t n = 0;

	for (const char *p = uuid; *p && n < 16; p++) {
		unsigned int c;

		if (*p == '-')
			continue;
		if (sscanf(p, "%2x", &c) != 1)
			return -EINVAL;
		b[n++] = (uint8_t)c;
		p++;
	}
	return n == 16 ? 0 : -EINVAL;
}

/* Is it in the scope that it was in? */
static bool in_scope(const char *cgroup, pid_t pid)
{
	_cleanup_free_ char *text = NULL, *scope = strdup(cgroup);
	char path[32], *end = scope ? strstr(scope, ".scope") : NULL;

	if (!end)
		return false;
	end[6] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	return lu_read_file(AT_FDCWD, path, 65536, &text, NULL) == 0 && strstr(text, scope);
}

void lu_libvirt_machine(struct lu_libvirt *v, const char *cgroup, const char *uuid, pid_t pid, bool wait)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	_cleanup_free_ char *name = lu_libvirt_machine_name(cgroup);
	uint8_t id[16];
	int r;

	if (!name || uuid_bytes(uuid, id) < 0 || in_scope(cgroup, pid))
		return;
	r = sd_bus_message_new_method_call(v->bus, &m, "org.freedesktop.machine1", "/org/freedesktop/machine1",
					   "org.freedesktop.machine1.Manager", "CreateMachine");
	if (r >= 0)
		r = sd_bus_message_append(m, "s", name);
	if (r >= 0)
		r = sd_bus_message_append_array(m, 'y', id, sizeof(id));
	if (r >= 0)
		r = sd_bus_message_append(m, "ssus", "libvirt-qemu", "vm", (uint32_t)pid, "");
	/* as libvirt does, but for After=: its daemon waits for us, so the scope must not wait for it */
	if (r >= 0)
		r = sd_bus_message_append(m, "a(sv)", 2, "Slice", "s", "machine.slice", "Before", "as", 1,
					  "virt-guest-shutdown.target");
	if (r >= 0)
		r = wait ? sd_bus_call(v->bus, m, CALL_TIMEOUT_USEC, &error, NULL) :
			   sd_bus_call_async(v->bus, NULL, m, on_machine, v, CALL_TIMEOUT_USEC);
	if (r < 0)
		log_warning("machined: %s: %s", name, error.message ?: strerror(-r));
}
