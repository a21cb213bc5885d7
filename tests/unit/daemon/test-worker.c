// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <signal.h>

#include "worker.h"

struct outcome {
	sd_event *event;
	int calls;
	int r;
	struct lu_error error;
};

static void on_done(void *userdata, int r, struct lu_error *error)
{
	struct outcome *o = userdata;

	o->calls++;
	o->r = r;
	lu_error_move(&o->error, error);
	sd_event_exit(o->event, 0);
}

static int works(void *arg, struct lu_error *error)
{
	return *(int *)arg == 7 ? 0 : -EINVAL;
}

static int fails(void *arg, struct lu_error *error)
{
	return lu_error_set(error, -ENOSPC, "make room", "disk vda: full");
}

static int hangs(void *arg, struct lu_error *error)
{
	pause();
	return 0;
}

static int crashes(void *arg, struct lu_error *error)
{
	raise(SIGKILL);
	return 0;
}

static void run(struct outcome *o, lu_worker_fn_t fn, const char *const *argv, uint64_t timeout)
{
	_cleanup_(lu_worker_freep) struct lu_worker *w = NULL;
	int arg = 7, r;

	*o = (struct outcome){ 0 };
	assert_true(sd_event_new(&o->event) >= 0);
	if (fn)
		r = lu_worker_call(o->event, fn, &arg, timeout, on_done, o, &w);
	else
		r = lu_worker_exec(o->event, argv, timeout, on_done, o, &w);
	assert_int_equal(r, 0);
	assert_true(sd_event_loop(o->event) >= 0);
	assert_int_equal(o->calls, 1);
	lu_worker_free(steal_ptr(w));
	sd_event_unref(o->event);
}

static void results_travel(void **state)
{
	struct outcome o;

	run(&o, works, NULL, 0);
	assert_int_equal(o.r, 0);
	assert_null(o.error.what);

	run(&o, fails, NULL, 0);
	assert_int_equal(o.r, -ENOSPC);
	assert_string_equal(o.error.what, "disk vda: full");
	assert_string_equal(o.error.hint, "make room");
	lu_error_clear(&o.error);

	run(&o, hangs, NULL, 50000);
	assert_int_equal(o.r, -ETIME);
	lu_error_clear(&o.error);

	run(&o, crashes, NULL, 0);
	assert_int_equal(o.r, -ECHILD);
	assert_non_null(strstr(o.error.what, "signal 9"));
	lu_error_clear(&o.error);
}

static void programs_tell_by_stderr(void **state)
{
	static const char *const good[] = { "/bin/sh", "-c", "echo chatter >&2", NULL };
	static const char *const bad[] = { "/bin/sh", "-c", "echo no such image >&2; exit 3", NULL };
	static const char *const none[] = { "/nonexistent/program", NULL };
	struct outcome o;

	run(&o, NULL, good, 0);
	assert_int_equal(o.r, 0);

	run(&o, NULL, bad, 0);
	assert_int_equal(o.r, -EIO);
	assert_string_equal(o.error.what, "/bin/sh: exit code 3: no such image");
	lu_error_clear(&o.error);

	run(&o, NULL, none, 0);
	assert_int_equal(o.r, -EIO);
	assert_non_null(strstr(o.error.what, "No such file"));
	lu_error_clear(&o.error);
}

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata)
{
	return sd_event_exit(userdata, 0);
}

static void freed_is_silent(void **state)
{
	struct outcome o = { 0 };
	struct lu_worker *w;

	assert_true(sd_event_new(&o.event) >= 0);
	assert_int_equal(lu_worker_call(o.event, hangs, NULL, 0, on_done, &o, &w), 0);
	lu_worker_free(w);
	assert_true(sd_event_add_time_relative(o.event, NULL, CLOCK_MONOTONIC, 100000, 0, on_tick, o.event) >= 0);
	assert_true(sd_event_loop(o.event) >= 0);
	assert_int_equal(o.calls, 0);
	sd_event_unref(o.event);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results_travel),
		cmocka_unit_test(programs_tell_by_stderr),
		cmocka_unit_test(freed_is_silent),
	};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
