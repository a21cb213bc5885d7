// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

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

/*
 * A child that SIGKILL does not end, as if it waited for a disk: a process that traces it holds it in its exit
 * until it is ended itself.
 */
static int to_tracer[2], from_tracer[2];

static int held_in_exit(void *arg, struct lu_error *error)
{
	pid_t self = getpid();
	char c;

	(void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	if (write(to_tracer[1], &self, sizeof(self)) != sizeof(self) || read(from_tracer[0], &c, 1) != 1)
		_exit(9);
	pause();
	return 0;
}

static pid_t start_tracer(void)
{
	pid_t pid;

	assert_int_equal(pipe(to_tracer), 0);
	assert_int_equal(pipe(from_tracer), 0);
	pid = fork();
	if (pid == 0) {
		pid_t child;

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (read(to_tracer[0], &child, sizeof(child)) != sizeof(child) ||
		    ptrace(PTRACE_SEIZE, child, NULL, PTRACE_O_TRACEEXIT) < 0 || write(from_tracer[1], "", 1) != 1)
			_exit(9);
		for (;;)
			pause();
	}
	return pid;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void what_does_not_die_is_left(void **state)
{
	pid_t tracer = start_tracer();
	struct outcome o = { 0 };
	struct lu_worker *w = NULL;
	double start = seconds();

	/* 1: its time limit ends the wait, whatever the child does */
	assert_true(sd_event_new(&o.event) >= 0);
	assert_int_equal(lu_worker_call(o.event, held_in_exit, NULL, 300000, on_done, &o, &w), 0);
	/* 2: a child that is held must not hold the one who is done with it; if it did, the alarm would end the test */
	alarm(20);
	assert_true(sd_event_loop(o.event) >= 0);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.r, -ETIME);
	assert_non_null(strstr(o.error.what, "it is left"));
	lu_error_clear(&o.error);
	w = lu_worker_free(w);
	expect(seconds() - start < 5, "%f s", seconds() - start);
	alarm(0);
	/* its number is logged after a while; and when it dies it is reaped, without a callback */
	sd_event_unref(o.event);
	(void)kill(tracer, SIGKILL);
	assert_int_equal(waitpid(tracer, NULL, 0), tracer);
	assert_int_equal(o.calls, 1);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static void one_that_is_left_is_reaped(void **state)
{
	pid_t tracer = start_tracer();
	struct outcome o = { 0 };
	struct lu_worker *w;
	double start;

	assert_true(sd_event_new(&o.event) >= 0);
	assert_int_equal(lu_worker_call(o.event, held_in_exit, NULL, 0, on_done, &o, &w), 0);
	usleep(300000); /* by then it is traced */
	start = seconds();
	alarm(20);
	lu_worker_free(w);
	expect(seconds() - start < 1, "%f s", seconds() - start);
	alarm(0);
	(void)kill(tracer, SIGKILL);
	assert_int_equal(waitpid(tracer, NULL, 0), tracer);
	assert_true(sd_event_add_time_relative(o.event, NULL, CLOCK_MONOTONIC, 300000, 0, on_tick, o.event) >= 0);
	assert_true(sd_event_loop(o.event) >= 0);
	/* nobody is left to wait for */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(o.calls, 0);
	sd_event_unref(o.event);
}

/* What a child has started may hold its standard error open for as long as it likes. */
static void a_grandchild_is_not_waited_for(void **state)
{
	static const char *const leaves[] = { "/bin/sh", "-c", "sleep 15 >/dev/null & echo gone >&2; exit 3", NULL };
	double start = seconds();
	struct outcome o;

	run(&o, NULL, leaves, 0);
	assert_string_equal(o.error.what, "/bin/sh: exit code 3: gone");
	lu_error_clear(&o.error);
	expect(seconds() - start < 10, "%f s", seconds() - start);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results_travel),
		cmocka_unit_test(programs_tell_by_stderr),
		cmocka_unit_test(freed_is_silent),
		cmocka_unit_test(what_does_not_die_is_left),
		cmocka_unit_test(one_that_is_left_is_reaped),
		cmocka_unit_test(a_grandchild_is_not_waited_for),
	};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
