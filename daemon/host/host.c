// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * systemd and logind as the daemon needs them. What may be asked while a guest stands
 * still (transient units, scopes, stopping them) is asked asynchronously. Calls
 * made while all guests run are synchronous with a time limit of CALL_TIMEOUT_USEC,
 * well below the watchdog's: PID 1 answers at once or the host is in
 * trouble. Waiting (for jobs to end, for a transient unit) is a timer that asks
 * again, so the event loop goes on and no signal can be missed.
 *
 * Quiescing, step by step: the names of all active units that an isolation may
 * stop go into /run/luctl/quiesced (one a line, replaced atomically); those among
 * them that guests lean on (keep.h: network, storage, log daemons; whom their QEMUs are
 * connected to) become wants of luctl-jump.target, in /run only and only if they are active, because a
 * want would start one that is merely installed; isolate that target; wait until
 * none of the names, nor the target, has a job left. Undo: start each of the names that is not active (mode
 * "fail"), wait for their jobs, remove the file. Both may be repeated at any point,
 * also by a new daemon process. Jobs of other units are none of ours: some last for hours.
 *
 * Unhappy paths: 1. a unit hangs at stop: its own TimeoutStopSec ends that, else
 * the engine's time limit; 2. a unit can't be started again: the error names it,
 * the others are started all the same; 3. no logind: no inhibitor, the caller
 * decides; 4. a unit takes its time to start again, as a oneshot that was at work does:
 * after UNDO_WAIT_USEC undo no longer waits, systemd goes on by itself.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "host.h"
#include "inhibitors.h"
#include "keep.h"
#include "log.h"

#define CALL_TIMEOUT_USEC (10 * UINT64_C(1000000))
#define RELOAD_TIMEOUT_USEC (90 * UINT64_C(1000000))
#define UNDO_WAIT_USEC (60 * UINT64_C(1000000))
#define POLL_USEC (50 * UINT64_C(1000))
#define RESET_TRIES 100u /* times POLL_USEC */
#define SCOPE_TRIES 20u  /* times POLL_USEC */
#ifndef QUIESCED_FILE
#define QUIESCED_FILE "/run/luctl/quiesced"
#endif
#define JUMP_TARGET "luctl-jump.target"

#define SYSTEMD "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"
#define LOGIND "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"

#define UNIT_EXISTS "org.freedesktop.systemd1.UnitExists"

/*
 * Asks check() every POLL_USEC until it returns other than -EAGAIN. One that has to ask systemd first does so by
 * poll_ask(), returns ASKED and goes on in poll_answer() when the answer comes: the loop has other guests to serve.
 */
#define ASKED 1
struct lu_poll {
	struct lu_poll *next;
	struct lu_host *host;
	char *unit;
	sd_event_source *timer;
	int (*check)(struct lu_poll *p, struct lu_error *error);
	lu_worker_done_t done;
	sd_event_destroy_t forget; /* if @done will never be called; or NULL */
	void *userdata;
	bool undo;
	char *units;         /* (un)quiesce: those whose jobs are waited for, one a line, each after a newline */
	uint64_t until_usec; /* when waiting is given up, CLOCK_MONOTONIC; 0: never */
	unsigned int tries;
	pid_t pid;         /* that is to leave the unit first, or to be in it */
	pid_t with;        /* that is to be in it, too, if it lives; 0: none */
	char *description; /* of the unit to be made */
	void (*found)(const char *unit, void *userdata);
	struct lu_limits limits;
	sd_bus_slot *slot; /* the question that is under way */
};

struct lu_host {
	sd_event *event;
	sd_bus *bus;
	int inhibitor;
	uint64_t undo_wait_usec;
	struct lu_poll *polls;
	struct lu_keep keep; /* for the next quiescing */
};

static void poll_free(struct lu_poll *p)
{
	struct lu_poll **at;

	if (!p)
		return;
	for (at = &p->host->polls; *at; at = &(*at)->next) {
		if (*at == p) {
			*at = p->next;
			break;
		}
	}
	sd_event_source_disable_unref(p->timer);
	sd_bus_slot_unref(p->slot);
	free(p->unit);
	free(p->units);
	free(p->description);
	lu_limits_clear(&p->limits);
	free(p);
}

/* A check has come to @r: again, wait, or the end. */
static void poll_go_on(struct lu_poll *p, int r, struct lu_error *error)
{
	lu_worker_done_t done = p->done;
	void *ud = p->userdata;

	if (r == ASKED)
		return;
	if (r == -EAGAIN) {
		r = sd_event_source_set_time_relative(p->timer, POLL_USEC);
		if (r >= 0)
			r = sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT);
		if (r >= 0)
			return;
	}
	poll_free(p);
	done(ud, r, error);
}

static int poll_tick(sd_event_source *s, uint64_t usec, void *userdata)
{
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;
	struct lu_poll *p = userdata;

	poll_go_on(p, p->check(p, &error), &error);
	return 0;
}

static int poll_ask(struct lu_poll *p, sd_bus_message *m, uint64_t timeout_usec, sd_bus_message_handler_t answer)
{
	int r;

	p->slot = sd_bus_slot_unref(p->slot);
	r = sd_bus_call_async(p->host->bus, &p->slot, m, answer, p, timeout_usec);
	return r < 0 ? r : ASKED;
}

/* Asks for a property of a unit. */
static int poll_ask_unit(struct lu_poll *p, const char *property, sd_bus_message_handler_t answer)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	_cleanup_free_ char *path = NULL;
	int r;

	r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", p->unit, &path);
	if (r >= 0)
		r = sd_bus_message_new_method_call(p->host->bus, &m, "org.freedesktop.systemd1", path,
						   "org.freedesktop.DBus.Properties", "Get");
	if (r >= 0)
		r = sd_bus_message_append(m, "ss", "org.freedesktop.systemd1.Unit", property);
	return r < 0 ? r : poll_ask(p, m, CALL_TIMEOUT_USEC, answer);
}

static int answer_failed(sd_bus_message *m, const char *unit, const char *hint, struct lu_error *error)
{
	const sd_bus_error *e = sd_bus_message_get_error(m);

	if (!e)
		return 0;
	return lu_error_set(error, -sd_bus_message_get_errno(m), hint, "%s: %s", unit, e->message ?: e->name);
}

static int poll_new(struct lu_host *h, const char *unit, int (*check)(struct lu_poll *, struct lu_error *),
		    lu_worker_done_t done, void *userdata, struct lu_poll **ret)
{
	struct lu_poll *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->host = h;
	p->check = check;
	p->done = done;
	p->userdata = userdata;
	p->unit = unit ? strdup(unit) : NULL;
	p->next = h->polls;
	h->polls = p;
	r = unit && !p->unit ? -ENOMEM : 0;
	if (r == 0)
		r = sd_event_add_time_relative(h->event, &p->timer, CLOCK_MONOTONIC, POLL_USEC, 0, poll_tick, p);
	if (r < 0) {
		poll_free(p);
		return r;
	}
	if (ret)
		*ret = p;
	return 0;
}

int lu_host_new(sd_event *event, sd_bus *bus, struct lu_host **ret)
{
	struct lu_host *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->event = event;
	h->bus = bus;
	h->inhibitor = -EBADF;
	h->undo_wait_usec = UNDO_WAIT_USEC;
	*ret = h;
	return 0;
}

struct lu_host *lu_host_free(struct lu_host *h)
{
	if (!h)
		return NULL;
	lu_host_cancel(h);
	closep(&h->inhibitor);
	lu_keep_clear(&h->keep);
	free(h);
	return NULL;
}

void lu_host_set_undo_wait(struct lu_host *h, uint64_t usec)
{
	h->undo_wait_usec = usec;
}

void lu_host_cancel(struct lu_host *h)
{
	while (h->polls) {
		sd_event_destroy_t forget = h->polls->forget;
		void *ud = h->polls->userdata;

		poll_free(h->polls);
		if (forget)
			forget(ud);
	}
}

/* Calls a method of systemd or logind; the reply may be NULL. */
static int host_call(struct lu_host *h, sd_bus_message *m, sd_bus_message **reply, const char *object,
		     struct lu_error *error)
{
	_cleanup_(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
	int r;

	r = sd_bus_call(h->bus, m, CALL_TIMEOUT_USEC, &e, reply);
	if (r < 0)
		return lu_error_set(error, r, "see systemctl status and the host's journal", "%s: %s", object,
				    e.message ?: strerror(-r));
	return 0;
}

int lu_host_inhibit(struct lu_host *h, struct lu_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
	int fd, r;

	if (h->inhibitor >= 0)
		return 0;
	r = sd_bus_message_new_method_call(h->bus, &m, LOGIND, "Inhibit");
	if (r >= 0)
		r = sd_bus_message_append(m, "ssss", "shutdown:sleep", "luctld", "The host's kernel is being replaced",
					  "block");
	if (r < 0)
		return r;
	r = host_call(h, m, &reply, "logind inhibitor", error);
	if (r < 0)
		return r;
	r = sd_bus_message_read(reply, "h", &fd);
	if (r < 0)
		return r;
	h->inhibitor = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return h->inhibitor < 0 ? -errno : 0;
}

void lu_host_uninhibit(struct lu_host *h)
{
	closep(&h->inhibitor);
	h->inhibitor = -EBADF;
}

int lu_host_inhibitors(struct lu_host *h, void (*found)(const char *who, const char *why, pid_t pid, void *userdata),
		       void *userdata)
{
	return lu_inhibitors_list(h->bus, CALL_TIMEOUT_USEC, found, userdata);
}

int lu_host_fd_stores(struct lu_host *h, unsigned int *ret_version,
		      void (*found)(const struct lu_fd_store *store, void *userdata), void *userdata)
{
	return lu_fd_stores_list(h->bus, CALL_TIMEOUT_USEC, ret_version, found, userdata);
}

/* 0 when none of @units has a job left in systemd's list of them, else -EAGAIN with the name of one that has */
static int jobs_left(sd_bus_message *reply, const char *units, char name[static 128])
{
	const char *unit;
	int r = sd_bus_message_enter_container(reply, 'a', "(usssoo)");

	while (r >= 0 && (r = sd_bus_message_read(reply, "(usssoo)", NULL, &unit, NULL, NULL, NULL, NULL)) > 0) {
		if (!lu_keep_line_in(unit, units))
			continue;
		snprintf(name, 128, "%s", unit);
		return -EAGAIN;
	}
	return r;
}

/* A command whose answer nobody waits for. */
static int unit_command(struct lu_host *h, const char *method, const char *unit, const char *mode)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r;

	r = sd_bus_message_new_method_call(h->bus, &m, SYSTEMD, method);
	if (r >= 0)
		r = sd_bus_message_append(m, "ss", unit, mode);
	if (r >= 0)
		r = sd_bus_message_set_expect_reply(m, false);
	return r < 0 ? r : sd_bus_send(h->bus, m, NULL);
}

/* The names of active units of the kinds that an isolation stops, one a line. */
static int active_units(struct lu_host *h, char **ret, struct lu_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
	_cleanup_free_ char *text = NULL;
	const char *name;
	size_t size = 0;
	FILE *f;
	int r;

	r = sd_bus_message_new_method_call(h->bus, &m, SYSTEMD, "ListUnitsByPatterns");
	if (r >= 0)
		r = sd_bus_message_append(m, "asas", 2, "active", "activating", 5, "*.service", "*.socket", "*.timer",
					  "*.path", "*.target");
	if (r < 0)
		return r;
	r = host_call(h, m, &reply, "systemd units", error);
	if (r < 0)
		return r;
	f = open_memstream(&text, &size);
	if (!f)
		return -ENOMEM;
	fputc('\n', f);
	r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
	while (r > 0) {
		r = sd_bus_message_read(reply, "(ssssssouso)", &name, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
					NULL);
		if (r > 0)
			fprintf(f, "%s\n", name);
	}
	if (fclose(f) != 0)
		r = -ENOMEM;
	if (r < 0)
		return r;
	*ret = steal_ptr(text);
	return 0;
}

static int on_jobs(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;
	struct lu_poll *p = userdata;
	char name[128] = "one of the units";
	int r = answer_failed(m, "systemd jobs", "see systemctl status and the host's journal", &error);

	/* busy with all of them systemd may not answer for long, which says nothing about them: it is asked again */
	if (r == -ETIMEDOUT) {
		lu_error_clear(&error);
		r = -EAGAIN;
	} else if (r >= 0) {
		r = jobs_left(m, p->units, name);
	}
	if (r == -EAGAIN && p->until_usec && lu_clock_ns(CLOCK_MONOTONIC) / 1000 >= p->until_usec) {
		log_warning("%s is still being started again; not waiting for it any more", name);
		r = 0;
	}
	if (r == 0 && p->undo && unlink(QUIESCED_FILE) < 0 && errno != ENOENT)
		r = lu_error_set(&error, -errno, NULL, QUIESCED_FILE ": %s", strerror(errno));
	poll_go_on(p, r, &error);
	return 0;
}

static int check_quiesced(struct lu_poll *p, struct lu_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(p->host->bus, &m, SYSTEMD, "ListJobs");

	return r < 0 ? r : poll_ask(p, m, CALL_TIMEOUT_USEC, on_jobs);
}

int lu_host_keep(struct lu_host *h, const char *unit)
{
	return lu_keep_add(&h->keep, unit);
}

static int on_isolated(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;
	struct lu_poll *p = userdata;
	int r = answer_failed(m, JUMP_TARGET, "see systemctl status and the host's journal", &error);

	poll_go_on(p, r < 0 ? r : -EAGAIN, &error);
	return 0;
}

static int isolate(struct lu_poll *p)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r;

	r = sd_bus_message_new_method_call(p->host->bus, &m, SYSTEMD, "StartUnit");
	if (r >= 0)
		r = sd_bus_message_append(m, "ss", JUMP_TARGET, "isolate");
	return r < 0 ? r : poll_ask(p, m, CALL_TIMEOUT_USEC, on_isolated);
}

static int on_reloaded(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;
	struct lu_poll *p = userdata;
	int r = answer_failed(m, "systemd can't reload", "see systemctl daemon-reload", &error);

	poll_go_on(p, r < 0 ? r : isolate(p), &error);
	return 0;
}

/* On a large host this takes longer than a watchdog has patience. */
static int reload(struct lu_poll *p)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(p->host->bus, &m, SYSTEMD, "Reload");

	return r < 0 ? r : poll_ask(p, m, RELOAD_TIMEOUT_USEC, on_reloaded);
}

int lu_host_quiesce(struct lu_host *h, lu_worker_done_t done, void *userdata, struct lu_error *error)
{
	_cleanup_free_ char *units = NULL, *all = NULL;
	bool changed = false;
	struct lu_poll *p;
	int r;

	if (access(QUIESCED_FILE, F_OK) < 0) {
		r = active_units(h, &units, error);
		if (r < 0)
			return r;
		r = lu_write_file(AT_FDCWD, QUIESCED_FILE, units, strlen(units), 0644);
		if (r < 0)
			return lu_error_set(error, r, NULL, QUIESCED_FILE ": %s", strerror(-r));
		r = lu_keep_link(&h->keep, units, &changed, error);
		if (r < 0)
			return r;
	}
	r = units ? 0 : lu_read_file(AT_FDCWD, QUIESCED_FILE, 1 << 20, &units, NULL);
	if (r < 0)
		return lu_error_set(error, r, NULL, QUIESCED_FILE ": %s", strerror(-r));
	if (asprintf(&all, "\n" JUMP_TARGET "\n%s", units) < 0) {
		all = NULL;
		return -ENOMEM;
	}
	r = poll_new(h, NULL, check_quiesced, done, userdata, &p);
	if (r < 0)
		return r;
	p->units = steal_ptr(all);
	/* jobs are asked for when there are any */
	(void)sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
	r = changed ? reload(p) : isolate(p);
	if (r < 0)
		poll_free(p);
	return r < 0 ? r : 0;
}

bool lu_host_quiesced(void)
{
	return access(QUIESCED_FILE, F_OK) == 0;
}

int lu_host_unquiesce(struct lu_host *h, lu_worker_done_t done, void *userdata, struct lu_error *error)
{
	_cleanup_free_ char *units = NULL, *all = NULL;
	struct lu_poll *p;
	int r;

	r = lu_read_file(AT_FDCWD, QUIESCED_FILE, 1 << 20, &units, NULL);
	if (r < 0 && r != -ENOENT)
		return lu_error_set(error, r, NULL, QUIESCED_FILE ": %s", strerror(-r));
	all = strdup(units ?: "");
	if (!all)
		return -ENOMEM;
	for (char *save = NULL, *u = units ? strtok_r(units, "\n", &save) : NULL; u; u = strtok_r(NULL, "\n", &save)) {
		/* Units that may not be started by hand say so: their triggers start them. So no answer is waited for. */
		(void)unit_command(h, "StartUnit", u, "fail");
	}
	r = poll_new(h, NULL, check_quiesced, done, userdata, &p);
	if (r < 0)
		return r;
	p->undo = true;
	p->units = steal_ptr(all);
	p->until_usec = lu_clock_ns(CLOCK_MONOTONIC) / 1000 + h->undo_wait_usec;
	return 0;
}

int lu_host_survives(struct lu_host *h, pid_t pid, char **ret_unit, struct lu_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
	_cleanup_(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
	_cleanup_free_ char *unit = NULL;
	const char *path;
	int r, ignore = 0;

	r = sd_bus_message_new_method_call(h->bus, &m, SYSTEMD, "GetUnitByPID");
	if (r >= 0)
		r = sd_bus_message_append(m, "u", (uint32_t)pid);
	if (r < 0)
		return r;
	r = host_call(h, m, &reply, "unit of the VM's process", error);
	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &path);
	if (r < 0)
		return r;
	r = sd_bus_get_property_trivial(h->bus, "org.freedesktop.systemd1", path, "org.freedesktop.systemd1.Unit",
					"IgnoreOnIsolate", &e, 'b', &ignore);
	if (r >= 0)
		r = sd_bus_get_property_string(h->bus, "org.freedesktop.systemd1", path,
					       "org.freedesktop.systemd1.Unit", "Id", &e, &unit);
	if (r < 0)
		return lu_error_set(error, r, NULL, "%s: %s", path, e.message ?: strerror(-r));
	*ret_unit = steal_ptr(unit);
	return ignore;
}

int lu_host_limits(struct lu_host *h, pid_t pid, bool here, struct lu_limits *ret, char ***ret_lost,
		   struct lu_error *error)
{
	int r = lu_limits_ask(h->bus, pid, CALL_TIMEOUT_USEC, ret, ret_lost, error);

	return r < 0 || here ? r : lu_limits_name_disks(AT_FDCWD, ret, ret_lost);
}

int lu_host_unit_active(struct lu_host *h, const char *unit, struct lu_error *error)
{
	_cleanup_(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
	_cleanup_free_ char *path = NULL, *state = NULL;
	int r;

	r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path);
	if (r < 0)
		return r;
	r = sd_bus_get_property_string(h->bus, "org.freedesktop.systemd1", path, "org.freedesktop.systemd1.Unit",
				       "ActiveState", &e, &state);
	if (r < 0)
		return lu_error_set(error, r, NULL, "%s: %s", unit, e.message ?: strerror(-r));
	return strcmp(state, "inactive") != 0 && strcmp(state, "failed") != 0;
}

bool lu_host_holds(const char *unit, pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	char path[40];
	size_t n = strlen(unit);

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	if (lu_read_file(AT_FDCWD, path, 1 << 16, &text, NULL) < 0)
		return false;
	for (const char *p = text; (p = strstr(p, unit)); p += n)
		if (p > text && p[-1] == '/' && (p[n] == '/' || p[n] == '\n' || !p[n]))
			return true;
	return false;
}

static void on_forgiven(void *userdata, int r, struct lu_error *error)
{
}

static int on_forgiving(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	poll_go_on(userdata, 0, NULL);
	return 0;
}

/* A command to systemd about the unit; whatever it answers is the end. */
static int poll_command(struct lu_poll *p, const char *method, const char *mode)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r;

	r = sd_bus_message_new_method_call(p->host->bus, &m, SYSTEMD, method);
	if (r >= 0)
		r = sd_bus_message_append(m, "s", p->unit);
	if (r >= 0 && mode)
		r = sd_bus_message_append(m, "s", mode);
	return r < 0 ? r : poll_ask(p, m, CALL_TIMEOUT_USEC, on_forgiving);
}

/* A unit learns of the end of its process when it comes round to it. */
static int on_activity(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	struct lu_poll *p = userdata;
	const char *state;
	int r = sd_bus_message_is_method_error(m, NULL) ? -EIO : sd_bus_message_read(m, "v", "s", &state);

	if (r >= 0 && strcmp(state, "inactive") != 0 && strcmp(state, "failed") != 0)
		r = p->tries++ < RESET_TRIES ? -EAGAIN : -ETIMEDOUT;
	else if (r >= 0)
		r = poll_command(p, "ResetFailedUnit", NULL);
	poll_go_on(p, r, NULL);
	return 0;
}

static int check_forgiven(struct lu_poll *p, struct lu_error *error)
{
	return poll_ask_unit(p, "ActiveState", on_activity);
}

void lu_host_reset_failed(struct lu_host *h, const char *unit)
{
	(void)poll_new(h, unit, check_forgiven, on_forgiven, NULL, NULL);
}

/* A call for a unit that systemd forgets once it has ended; its properties are left open for more. */
static int transient_new(struct lu_host *h, const char *unit, const char *mode, const char *description,
			 sd_bus_message **ret)
{
	int r = sd_bus_message_new_method_call(h->bus, ret, SYSTEMD, "StartTransientUnit");

	if (r >= 0)
		r = sd_bus_message_append(*ret, "ss", unit, mode);
	if (r >= 0)
		r = sd_bus_message_open_container(*ret, 'a', "(sv)");
	if (r >= 0)
		r = sd_bus_message_append(*ret, "(sv)", "Description", "s", description);
	if (r >= 0)
		r = sd_bus_message_append(*ret, "(sv)", "CollectMode", "s", "inactive-or-failed");
	return r;
}

/* Without other units. */
static int transient_start(struct lu_poll *p, sd_bus_message *m, sd_bus_message_handler_t answer)
{
	int r = sd_bus_message_append(m, "a(sa(sv))", 0);

	return r < 0 ? r : poll_ask(p, m, CALL_TIMEOUT_USEC, answer);
}

/* The scope of the QEMU before may be there for moments after that has ended. */
static int on_scope(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	static const char hint[] = "it runs all the same, in the cgroup it was started in";
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;
	struct lu_poll *p = userdata;
	int r = 0;

	if (sd_bus_message_is_method_error(m, UNIT_EXISTS) && p->tries++ < SCOPE_TRIES)
		r = -EAGAIN;
	else if (sd_bus_message_is_method_error(m, UNIT_EXISTS))
		r = lu_error_set(&error, -EEXIST, hint, "%s: is still there, with another process", p->unit);
	else if (sd_bus_message_is_method_error(m, NULL) && p->limits.n) {
		/* a guest that is held to nothing is better than one that nobody finds */
		if (!lu_limits_soften(&p->limits)) {
			(void)answer_failed(m, p->unit, "set what it shall be held to with systemctl set-property",
					    &error);
			(void)log_failure(-EIO, &error, "the scope gets no limits");
			lu_error_clear(&error);
			lu_limits_clear(&p->limits);
		}
		r = -EAGAIN;
	} else
		r = answer_failed(m, p->unit, hint, &error);
	poll_go_on(p, r, &error);
	return 0;
}

static int check_scope(struct lu_poll *p, struct lu_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r;

	if (lu_host_holds(p->unit, p->pid))
		return 0;
	r = transient_new(p->host, p->unit, "fail", p->description, &m);
	/* one that has ended meanwhile would make the whole call fail */
	if (r >= 0 && p->with > 0 && kill(p->with, 0) == 0)
		r = sd_bus_message_append(m, "(sv)", "PIDs", "au", 2, (uint32_t)p->pid, (uint32_t)p->with);
	else if (r >= 0)
		r = sd_bus_message_append(m, "(sv)", "PIDs", "au", 1, (uint32_t)p->pid);
	if (r >= 0)
		r = lu_limits_append(&p->limits, m);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	return r < 0 ? r : transient_start(p, m, on_scope);
}

static void on_scope_made(void *userdata, int r, struct lu_error *error)
{
	if (r < 0)
		(void)log_failure(r, error, "scope");
}

void lu_host_scope(struct lu_host *h, const char *scope, const char *description, pid_t pid, pid_t with,
		   const struct lu_limits *limits)
{
	struct lu_poll *p;
	int r = poll_new(h, scope, check_scope, on_scope_made, NULL, &p);

	if (r < 0) {
		log_warning("%s: %s", scope, strerror(-r));
		return;
	}
	p->pid = pid;
	p->with = with;
	p->description = strdup(description);
	if (!p->description || (limits && limits->n && lu_limits_copy(limits, &p->limits) < 0)) {
		log_warning("%s: %s", scope, strerror(ENOMEM));
		poll_free(p);
		return;
	}
	(void)sd_event_source_set_time_relative(p->timer, 0);
}

/* A oneshot unit that remains: its job lasts, and it is activating, while the program runs; then it is active or failed. */
static int on_unit_state(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;
	struct lu_poll *p = userdata;
	const char *state;
	int r = answer_failed(m, p->unit, NULL, &error);

	if (r >= 0)
		r = sd_bus_message_read(m, "v", "s", &state);
	if (r >= 0 && !strcmp(state, "activating"))
		r = -EAGAIN;
	else if (r >= 0 && strcmp(state, "active") != 0)
		r = lu_error_set(&error, -EIO, "see journalctl -u for its output", "%s: %s", p->unit, state);
	poll_go_on(p, r > 0 ? 0 : r, &error);
	return 0;
}

/* Is a job of the unit queued or under way? One that was just asked for stands as inactive until it is. */
static int on_unit_job(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;
	struct lu_poll *p = userdata;
	uint32_t id = 0;
	int r = answer_failed(m, p->unit, NULL, &error);

	if (r >= 0)
		r = sd_bus_message_read(m, "v", "(uo)", &id, NULL);
	if (r >= 0)
		r = id ? -EAGAIN : poll_ask_unit(p, "ActiveState", on_unit_state);
	poll_go_on(p, r, &error);
	return 0;
}

static int check_unit(struct lu_poll *p, struct lu_error *error)
{
	return poll_ask_unit(p, "Job", on_unit_job);
}

/* A unit that is there was begun by us, or by a daemon before, for the same: what came of it is told by its result. */
static int on_run(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;
	struct lu_poll *p = userdata;
	int r = sd_bus_message_is_method_error(m, UNIT_EXISTS) ?
			0 :
			answer_failed(m, p->unit, "see systemctl status and the host's journal", &error);

	p->check = check_unit;
	poll_go_on(p, r < 0 ? r : -EAGAIN, &error);
	return 0;
}

int lu_host_run(struct lu_host *h, const char *unit, const char *const *argv, int kept, lu_worker_done_t done,
		sd_event_destroy_t forget, void *userdata, struct lu_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	struct lu_poll *p;
	int r;

	r = transient_new(h, unit, "replace", "Restore a virtual machine after a live update", &m);
	if (r >= 0)
		r = sd_bus_message_append(m, "(sv)", "Type", "s", "oneshot");
	if (r >= 0)
		r = sd_bus_message_append(m, "(sv)", "RemainAfterExit", "b", true);
	if (r >= 0)
		r = sd_bus_message_append(m, "(sv)", "IgnoreOnIsolate", "b", true);
	/* a unit that fails takes with it what is in it: not one in which a process keeps devices */
	if (r >= 0)
		r = sd_bus_message_append(m, "(sv)", "SuccessExitStatus", "(aiai)", 1, kept, 0);
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'r', "sv");
	if (r >= 0)
		r = sd_bus_message_append(m, "s", "ExecStart");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'v', "a(sasb)");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "(sasb)");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'r', "sasb");
	if (r >= 0)
		r = sd_bus_message_append(m, "s", argv[0]);
	if (r >= 0)
		r = sd_bus_message_append_strv(m, (char **)argv);
	if (r >= 0)
		r = sd_bus_message_append(m, "b", false);
	for (int i = 0; r >= 0 && i < 5; i++)
		r = sd_bus_message_close_container(m);
	if (r >= 0)
		r = poll_new(h, unit, check_unit, done, userdata, &p);
	if (r < 0)
		return r;
	/* it is asked about when systemd has answered */
	(void)sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
	r = transient_start(p, m, on_run);
	if (r < 0) {
		poll_free(p);
		return r;
	}
	p->forget = forget;
	return 0;
}

int lu_host_await(struct lu_host *h, const char *unit, lu_worker_done_t done, void *userdata)
{
	return poll_new(h, unit, check_unit, done, userdata, NULL);
}

static int on_found(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;
	struct lu_poll *p = userdata;
	const char *unit;
	int r = answer_failed(m, p->unit, NULL, &error);

	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "(ssssssouso)");
	while (r >= 0 && (r = sd_bus_message_read(m, "(ssssssouso)", &unit, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
						  NULL, NULL)) > 0)
		p->found(unit, p->userdata);
	poll_go_on(p, r, &error);
	return 0;
}

static int check_found(struct lu_poll *p, struct lu_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(p->host->bus, &m, SYSTEMD, "ListUnitsByPatterns");

	if (r >= 0)
		r = sd_bus_message_append(m, "asas", 0, 1, p->unit);
	return r < 0 ? r : poll_ask(p, m, CALL_TIMEOUT_USEC, on_found);
}

int lu_host_find_units(struct lu_host *h, const char *pattern, void (*found)(const char *unit, void *userdata),
		       lu_worker_done_t done, void *userdata)
{
	struct lu_poll *p;
	int r = poll_new(h, pattern, check_found, done, userdata, &p);

	if (r < 0)
		return r;
	p->found = found;
	return sd_event_source_set_time_relative(p->timer, 0);
}

static int check_left(struct lu_poll *p, struct lu_error *error)
{
	if (p->pid <= 0 || !lu_host_holds(p->unit, p->pid))
		return poll_command(p, "StopUnit", "replace");
	/* stopping it would end what is in it */
	return p->tries++ < RESET_TRIES ? -EAGAIN : -ETIMEDOUT;
}

void lu_host_stop_left(struct lu_host *h, const char *unit, pid_t pid)
{
	struct lu_poll *p;

	if (poll_new(h, unit, check_left, on_forgiven, NULL, &p) >= 0)
		p->pid = pid;
}
