// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The clock of a guest stands still while the guest does: QEMU saves it with the guest and
 * gives it back as it was. Nothing on the host's side may push it on, since a guest's monotonic
 * clock and its timers would jump with it. The time of day is another matter, and the guest's
 * own to set; if it has a QEMU guest agent and luctl was told its socket, it is asked to:
 *
 *	guest-sync (what was said before is read away) → guest-get-time → guest-set-time → guest-get-time
 *
 * What time it is: before the real init the host itself knows it to a second only (the RTC's
 * resolution), so it is reckoned from the moment of the pause by the TSC, which runs through
 * the kexec. Later and in the old kernel it is the host's time of day.
 *
 * The outcome is clock.json. It never fails a restore: the guest runs already. Early, a process
 * of its own asks, and nobody waits for it: an agent may take its time (it also sets the RTC).
 *
 * The answer to guest-set-time may come late (the agent sets the RTC as well, by a program of its own) or be a complaint
 * that the RTC can't be set; what counts is the time that the guest has then.
 *
 * Not handled: agents behind anything but a unix socket. Requests carry no id, which old agents
 * refuse; the channel must be luctl's own while it asks.
 */
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "clock.h"
#include "lu-init.h"

#define LINE_MAX_SIZE 65536u
#define SET_USEC 1000000 /* a clock that is so near was set */

struct agent {
	int fd;
	uint64_t deadline_ns; /* CLOCK_MONOTONIC */
	char *line;           /* what was read of the next one */
	size_t size;
};

static void agent_close(struct agent *a)
{
	closep(&a->fd);
	free(a->line);
}

static int wait_for(const struct agent *a, short events)
{
	for (;;) {
		uint64_t now = lu_clock_ns(CLOCK_MONOTONIC);
		int n;

		if (now >= a->deadline_ns)
			return -ETIMEDOUT;
		n = poll(&(struct pollfd){ .fd = a->fd, .events = events }, 1,
			 (int)((a->deadline_ns - now) / 1000000) + 1);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int agent_open(struct agent *a, const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	strcpy(sa.sun_path, path);
	a->line = malloc(LINE_MAX_SIZE + 1);
	if (!a->line)
		return -ENOMEM;
	a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->fd < 0 || connect(a->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	return 0;
}

static int send_all(struct agent *a, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t n = send(a->fd, text, size, MSG_NOSIGNAL);
		int r;

		if (n >= 0) {
			text += n;
			size -= (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		r = wait_for(a, POLLOUT);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The next line that is an object; what else comes is not meant for us. */
static int next_object(struct agent *a, struct json_object **ret)
{
	for (;;) {
		char *end = memchr(a->line, '\n', a->size);
		struct json_object *o;
		ssize_t n;
		int r;

		if (end) {
			*end = '\0';
			o = json_tokener_parse(a->line);
			a->size -= (size_t)(end + 1 - a->line);
			memmove(a->line, end + 1, a->size);
			if (json_object_is_type(o, json_type_object)) {
				*ret = o;
				return 0;
			}
			json_object_put(o);
			continue;
		}
		if (a->size == LINE_MAX_SIZE)
			return -EMSGSIZE;
		r = wait_for(a, POLLIN);
		if (r < 0)
			return r;
		n = recv(a->fd, a->line + a->size, LINE_MAX_SIZE - a->size, 0);
		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		a->size += n > 0 ? (size_t)n : 0;
	}
}

static int command(struct agent *a, const char *name, const char *key, int64_t value)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *args = key ? json_object_new_object() : NULL;
	const char *text;
	int r;

	r = o ? lu_json_add_string(o, "execute", name) : -ENOMEM;
	if (r >= 0 && key)
		r = args ? lu_json_add_int(args, key, value) : -ENOMEM;
	if (r >= 0 && key)
		r = lu_json_add(o, "arguments", steal_ptr(args));
	json_object_put(args);
	text = r < 0 ? NULL : json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	if (r >= 0)
		r = text ? send_all(a, text, strlen(text)) : -ENOMEM;
	return r < 0 ? r : send_all(a, "\n", 1);
}

static int lost(int r, const char *name, struct lu_error *e)
{
	return lu_error_set(e, r, r == -ETIMEDOUT ? "does the guest agent run in the guest?" : NULL,
			    "guest agent: %s: %s", name, r == -ETIMEDOUT ? "it did not answer in time" : strerror(-r));
}

/* One command and its answer; @ret_value, if wanted, must be an integer. */
static int ask(struct agent *a, const char *name, const char *key, int64_t value, int64_t *ret_value,
	       struct lu_error *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct json_object *x, *desc;
	int r;

	r = command(a, name, key, value);
	if (r >= 0)
		r = next_object(a, &o);
	if (r < 0)
		return lost(r, name, e);
	if (json_object_object_get_ex(o, "error", &x)) {
		const char *why = json_object_object_get_ex(x, "desc", &desc) ? json_object_get_string(desc) :
										"refused";

		return lu_error_set(e, -EREMOTEIO, NULL, "guest agent: %s: %.*s", name, (int)strcspn(why, "\n"), why);
	}
	if (!json_object_object_get_ex(o, "return", &x) || (ret_value && !json_object_is_type(x, json_type_int)))
		return lu_error_set(e, -EBADMSG, NULL, "guest agent: %s: an answer of another form", name);
	if (ret_value)
		*ret_value = json_object_get_int64(x);
	return 0;
}

/* Answers to what somebody before us asked may still be on their way. */
static int synchronize(struct agent *a, struct lu_error *e)
{
	int64_t id = (int64_t)(lu_stamp_now().tsc & 0x7fffffff), got = -1;
	int r = command(a, "guest-sync", "id", id);

	while (r >= 0 && got != id) {
		_cleanup_json_ struct json_object *o = NULL;
		struct json_object *x;

		r = next_object(a, &o);
		if (r >= 0 && json_object_object_get_ex(o, "return", &x) && json_object_is_type(x, json_type_int))
			got = json_object_get_int64(x);
	}
	return r < 0 ? lost(r, "guest-sync", e) : 0;
}

/* --- what time it is --- */

struct reference {
	uint64_t tsc; /* 0: the host's time of day is right */
	uint64_t realtime_ns;
	struct lu_tsc_rate rate;
};

static void reference_find(const struct lu_init *i, int root, const struct lu_saved *saved, struct reference *ret)
{
	_cleanup_(lu_trace_log_done) struct lu_trace_log log = { 0 };
	struct lu_stamp now = lu_stamp_now();

	*ret = (struct reference){ 0 };
	if (!i->early || !saved->pause_tsc || !saved->pause_realtime_usec)
		return;
	if (lu_trace_load(root, "update/trace", &log, NULL) >= 0)
		ret->rate = log.rate;
	if (ret->rate.ns == 0)
		ret->rate = lu_tsc_rate_between(&i->start, &now);
	if (ret->rate.tsc == 0)
		return;
	ret->tsc = saved->pause_tsc;
	ret->realtime_ns = saved->pause_realtime_usec * 1000;
}

static int64_t time_of_day(const struct reference *ref)
{
	uint64_t tsc = lu_stamp_now().tsc;

	if (ref->tsc == 0 || tsc < ref->tsc)
		return (int64_t)lu_clock_ns(CLOCK_REALTIME);
	return (int64_t)(ref->realtime_ns + lu_tsc_to_usec(&ref->rate, tsc - ref->tsc) * 1000);
}

/* How far behind is the guest? Its answer is from between the question and now. */
static int ask_behind(struct agent *a, const struct reference *ref, int64_t *ret_usec, struct lu_error *e)
{
	int64_t before = time_of_day(ref), guest, behind;
	int r = ask(a, "guest-get-time", NULL, 0, &guest, e);

	if (r < 0)
		return r;
	/* the number is the guest's to choose */
	if (__builtin_sub_overflow(before + (time_of_day(ref) - before) / 2, guest, &behind))
		return lu_error_set(e, -ERANGE, NULL, "guest agent: guest-get-time: %lld is no time of day",
				    (long long)guest);
	*ret_usec = behind / 1000;
	return 0;
}

static int set_clock(const struct lu_launch *l, const struct reference *ref, struct lu_clock *clock, struct lu_error *e)
{
	_cleanup_(agent_close) struct agent a = { .fd = -EBADF };
	_cleanup_error_ struct lu_error refused = LU_ERROR_INIT;
	int r, k;

	a.deadline_ns = lu_clock_ns(CLOCK_MONOTONIC) + LU_INIT_AGENT_MS * 1000000ULL;
	r = agent_open(&a, l->agent);
	if (r < 0)
		return lu_error_set(e, r, "is \"agent\" the socket of the guest agent's channel?", "guest agent %s: %s",
				    l->agent, strerror(-r));
	r = synchronize(&a, e);
	if (r >= 0)
		r = ask_behind(&a, ref, &clock->was_behind_usec, e);
	if (r < 0)
		return r;
	r = ask(&a, "guest-set-time", "time", time_of_day(ref), NULL, &refused);
	if (r < 0 && r != -EREMOTEIO) {
		lu_error_move(e, &refused);
		return r;
	}
	k = ask_behind(&a, ref, &clock->behind_usec, e);
	/* an agent also complains when only the guest's RTC could not be set */
	clock->set = k >= 0 && llabs(clock->behind_usec) < SET_USEC;
	if (clock->set || k < 0)
		return k;
	if (r < 0)
		lu_error_move(e, &refused);
	return r < 0 ? r :
		       lu_error_set(e, -EIO, NULL,
				    "guest agent: guest-set-time: the guest's clock is still %lld ms off",
				    (long long)clock->behind_usec / 1000);
}

int lu_agent_clock(const struct lu_init *i, int root, const char *uuid, struct lu_error *e)
{
	_cleanup_(lu_clock_clear) struct lu_clock clock = { 0 };
	_cleanup_(lu_launch_clear) struct lu_launch launch = { 0 };
	_cleanup_(lu_saved_clear) struct lu_saved saved = { 0 };
	_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
	_cleanup_close_ int dir = lu_store_open(root, uuid, false, e);
	struct reference ref;
	int r, k;

	if (dir < 0)
		return dir;
	r = lu_launch_read(dir, &launch, e);
	if (r >= 0)
		r = lu_saved_read(dir, &saved, e);
	if (r < 0 || !launch.agent)
		return r;
	reference_find(i, root, &saved, &ref);
	clock.update = strdup(saved.update);
	r = clock.update ? set_clock(&launch, &ref, &clock, &why) : -ENOMEM;
	if (r < 0) {
		clock.error = calloc(1, sizeof(*clock.error));
		if (clock.error) {
			clock.error->what = strdup(why.what ?: strerror(-r));
			clock.error->hint = why.hint ? strdup(why.hint) : NULL;
		}
		lu_log(i, "VM %s: its clock is not set: %s", saved.name, why.what ?: strerror(-r));
	} else {
		lu_log(i, "VM %s: its clock was %lld us behind and is set", saved.name,
		       (long long)clock.was_behind_usec);
	}
	k = lu_clock_write(dir, &clock, r < 0 ? NULL : e);
	if (r < 0)
		lu_error_move(e, &why);
	return r < 0 ? r : k;
}

int lu_agent_clocks(const struct lu_init *i, int root, char **uuids, struct lu_error *e)
{
	int status, r = 0;

	for (char **uuid = uuids; *uuid; uuid++) {
		_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
		pid_t pid = fork();

		if (pid == 0)
			_exit(lu_agent_clock(i, root, *uuid, &why) < 0 ? 1 : 0);
		if (pid < 0)
			r = lu_error_set(e, -errno, NULL, "fork: %s", strerror(errno));
	}
	while (wait(&status) > 0)
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			r = r < 0 ? r : lu_error_set(e, -EIO, NULL, "a clock was not set, see clock.json");
	return r;
}

void lu_agent_start(const struct lu_init *i, int root, const char *uuid)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	pid_t pid;

	if (!i->early) {
		(void)lu_agent_clock(i, root, uuid, &e);
		return;
	}
	pid = fork();
	/* a grandchild, which is PID 1's to reap */
	if (pid == 0) {
		if (fork() == 0) {
			/* the VM's lock, its monitor and its devices are not ours to keep */
			if (root > 3)
				(void)close_range(3, (unsigned int)root - 1, 0);
			(void)close_range((unsigned int)root + 1, ~0U, 0);
			(void)setsid();
			(void)lu_agent_clock(i, root, uuid, &e);
		}
		_exit(0);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
}
