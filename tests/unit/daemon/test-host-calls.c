// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is asked of systemd while guests stand still must not stop the event loop: the other end of this bus
 * connection is served by the very loop that asks, so whoever waited for it would wait until its time limit.
 */
#include "test.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "host.h"
#include "store.h"

#define UNIT "luctl-restore-test.service"

struct world {
	sd_event *event;
	sd_bus *daemon, *systemd;
	struct lu_host *host;
	int started, scopes, stopped, ticks;
	bool strict; /* refuses limits */
	int refused;
	int pids; /* in the scope */
	int kept; /* exit code that the unit takes for success */
	const char *job_state;
	int done, r, forgotten;
};

static int property(sd_bus_message *m, struct world *w)
{
	const char *interface, *name;

	assert_true(sd_bus_message_read(m, "ss", &interface, &name) >= 0);
	if (!strcmp(name, "Job"))
		return sd_bus_reply_method_return(m, "v", "(uo)", 0, "/");
	assert_string_equal(name, "ActiveState");
	return sd_bus_reply_method_return(m, "v", "s", w->job_state);
}

static int transient(sd_bus_message *m, struct world *w)
{
	const char *unit, *mode, *key, *contents;
	bool limited = false;
	char type;

	assert_true(sd_bus_message_read(m, "ss", &unit, &mode) >= 0);
	w->started += !strcmp(unit, UNIT);
	w->scopes += !strcmp(unit, "luctl-vm-test.scope");
	assert_true(sd_bus_message_enter_container(m, 'a', "(sv)") >= 0);
	while (sd_bus_message_enter_container(m, 'r', "sv") > 0) {
		assert_true(sd_bus_message_read(m, "s", &key) >= 0);
		if (!strcmp(key, "PIDs")) {
			const uint32_t *pids;
			size_t n;

			assert_true(sd_bus_message_enter_container(m, 'v', "au") >= 0);
			assert_true(sd_bus_message_read_array(m, 'u', (const void **)&pids, &n) >= 0);
			w->pids = (int)(n / sizeof(*pids));
			assert_true(sd_bus_message_exit_container(m) >= 0);
		} else if (!strcmp(key, "SuccessExitStatus")) {
			size_t n;
			const int32_t *codes;

			assert_true(sd_bus_message_enter_container(m, 'v', "(aiai)") >= 0);
			assert_true(sd_bus_message_enter_container(m, 'r', "aiai") >= 0);
			assert_true(sd_bus_message_read_array(m, 'i', (const void **)&codes, &n) >= 0);
			w->kept = n == sizeof(*codes) ? codes[0] : -1;
			assert_true(sd_bus_message_skip(m, "ai") >= 0);
			assert_true(sd_bus_message_exit_container(m) >= 0);
			assert_true(sd_bus_message_exit_container(m) >= 0);
		} else {
			limited |= !strcmp(key, "MemoryMax");
			assert_true(sd_bus_message_peek_type(m, &type, &contents) >= 0);
			assert_true(sd_bus_message_skip(m, "v") >= 0);
		}
		assert_true(sd_bus_message_exit_container(m) >= 0);
	}
	if (limited && w->strict) {
		w->refused++;
		w->scopes = 0;
		return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_INVALID_ARGS, "no such thing");
	}
	return sd_bus_reply_method_return(m, "o", "/job/1");
}

static int serve(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	struct world *w = userdata;

	if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "Get"))
		return property(m, w);
	if (sd_bus_message_is_method_call(m, NULL, "StartTransientUnit"))
		return transient(m, w);
	if (sd_bus_message_is_method_call(m, NULL, "StopUnit")) {
		w->stopped++;
		return sd_bus_reply_method_return(m, "o", "/job/2");
	}
	return 0;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct world *w = userdata;

	w->ticks++;
	(void)sd_event_source_set_time_relative(s, 10000);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static void world_new(struct world *w)
{
	sd_id128_t id;
	int pair[2];

	*w = (struct world){ .job_state = "active" };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	assert_true(sd_event_new(&w->event) >= 0);
	assert_true(sd_id128_randomize(&id) >= 0);
	assert_true(sd_bus_new(&w->systemd) >= 0);
	assert_true(sd_bus_set_fd(w->systemd, pair[0], pair[0]) >= 0);
	assert_true(sd_bus_set_server(w->systemd, 1, id) >= 0);
	assert_true(sd_bus_start(w->systemd) >= 0);
	assert_true(sd_bus_attach_event(w->systemd, w->event, 0) >= 0);
	assert_true(sd_bus_add_filter(w->systemd, NULL, serve, w) >= 0);
	assert_true(sd_bus_new(&w->daemon) >= 0);
	assert_true(sd_bus_set_fd(w->daemon, pair[1], pair[1]) >= 0);
	assert_true(sd_bus_start(w->daemon) >= 0);
	assert_true(sd_bus_attach_event(w->daemon, w->event, 0) >= 0);
	assert_true(sd_event_add_time_relative(w->event, NULL, CLOCK_MONOTONIC, 10000, 0, on_tick, w) >= 0);
	assert_true(lu_host_new(w->event, w->daemon, &w->host) >= 0);
}

static void world_free(struct world *w)
{
	lu_host_free(w->host);
	sd_bus_close_unref(w->daemon);
	sd_bus_close_unref(w->systemd);
	sd_event_unref(w->event);
}

static void turn(struct world *w, double limit, const int *until)
{
	double end = seconds() + limit;

	while (seconds() < end && !*until)
		assert_true(sd_event_run(w->event, 20000) >= 0);
}

static void on_done(void *userdata, int r, struct lu_error *error)
{
	struct world *w = userdata;

	w->done++;
	w->r = r;
}

static void forget(void *userdata)
{
	((struct world *)userdata)->forgotten++;
}

static void a_program_is_run_while_the_loop_goes_on(void **state)
{
	static const char *const argv[] = { "/bin/true", NULL };
	double start = seconds();
	struct world w;

	world_new(&w);
	assert_int_equal(lu_host_run(w.host, UNIT, argv, LU_INIT_KEPT, on_done, NULL, &w, NULL), 0);
	expect(seconds() - start < 2, "the call took %f s", seconds() - start);
	turn(&w, 5, &w.done);
	assert_int_equal(w.started, 1);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.r, 0);
	/* a failed restore that left a process which keeps devices must not take it along */
	assert_int_equal(w.kept, LU_INIT_KEPT);
	world_free(&w);
}

static void one_that_fails_is_told(void **state)
{
	static const char *const argv[] = { "/bin/false", NULL };
	struct world w;

	world_new(&w);
	w.job_state = "failed";
	assert_int_equal(lu_host_run(w.host, UNIT, argv, LU_INIT_KEPT, on_done, NULL, &w, NULL), 0);
	turn(&w, 5, &w.done);
	assert_int_equal(w.r, -EIO);
	world_free(&w);
}

static void scopes_and_stops_are_not_waited_for(void **state)
{
	double start = seconds();
	struct world w;

	world_new(&w);
	lu_host_scope(w.host, "luctl-vm-test.scope", "test", getpid(), 0, NULL);
	lu_host_stop_left(w.host, UNIT, 0);
	expect(seconds() - start < 2, "the calls took %f s", seconds() - start);
	turn(&w, 5, &w.stopped);
	assert_int_equal(w.scopes, 1);
	assert_int_equal(w.stopped, 1);
	/* nobody is told after it was cancelled */
	assert_int_equal(lu_host_run(w.host, UNIT, (const char *const[]){ "/bin/true", NULL }, LU_INIT_KEPT, on_done,
				     forget, &w, NULL),
			 0);
	lu_host_cancel(w.host);
	turn(&w, 0.3, &w.done);
	assert_int_equal(w.done, 0);
	assert_int_equal(w.forgotten, 1);
	world_free(&w);
}

/* Limits that systemd does not take cost the limits, not the scope. */
static void a_scope_is_made_without_what_is_refused(void **state)
{
	struct lu_limit max = { .name = (char *)"MemoryMax", .number = 1 << 20 };
	struct lu_limits limits = { .unit = (char *)"x.service", .list = &max, .n = 1 };
	struct world w;

	world_new(&w);
	w.strict = true;
	lu_host_scope(w.host, "luctl-vm-test.scope", "test", getpid(), 0, &limits);
	turn(&w, 5, &w.scopes);
	turn(&w, 5, &w.scopes);
	assert_int_equal(w.refused, 1);
	assert_int_equal(w.scopes, 1);
	world_free(&w);
}

/* Nor does it cost the scope that nothing was noted of limits, or that what was can't be read. */
static void a_scope_is_made_without_limits(void **state)
{
	const struct lu_limits none = { 0 };
	struct world w;

	world_new(&w);
	lu_host_scope(w.host, "luctl-vm-test.scope", "test", getpid(), 0, &none);
	turn(&w, 5, &w.scopes);
	assert_int_equal(w.scopes, 1);
	world_free(&w);
}

/* A guest's TPM goes into its scope with it, if it still lives. */
static void a_scope_takes_two(void **state)
{
	pid_t ended = fork();
	struct world w;

	if (ended == 0)
		_exit(0);
	assert_int_equal(waitpid(ended, NULL, 0), ended);
	for (int i = 0; i < 2; i++) {
		world_new(&w);
		lu_host_scope(w.host, "luctl-vm-test.scope", "test", getpid(), i ? ended : getppid(), NULL);
		turn(&w, 5, &w.scopes);
		assert_int_equal(w.pids, i ? 1 : 2);
		world_free(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_scope_takes_two),
		cmocka_unit_test(a_program_is_run_while_the_loop_goes_on),
		cmocka_unit_test(one_that_fails_is_told),
		cmocka_unit_test(scopes_and_stops_are_not_waited_for),
		cmocka_unit_test(a_scope_is_made_without_what_is_refused),
		cmocka_unit_test(a_scope_is_made_without_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
