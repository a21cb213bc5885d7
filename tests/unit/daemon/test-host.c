// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The host's units, against a systemd that a child of this test plays on a connection of its own: it has
 * a list of active units and a list of jobs that change as the test wants it.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>

#include "test.h"

#include "clock.h"
#include "host.h"
#include "util.h"

#define DIR "/dev/shm/luctl-test-host" /* as meson.build has it */

/* Shared with the child. */
static struct {
	unsigned int own_jobs;   /* how often a job of app.service is still listed */
	bool foreign_job;        /* somebody else's, that does not end */
	unsigned int unanswered; /* how often the question for jobs gets no answer in time */
	bool isolated;
	char started[512]; /* by StartUnit, but for the isolation */
} * host;

static sd_event *ev;
static sd_bus *bus;
static pid_t child;

/* --- systemd --- */

static int on_start(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	const char *unit, *mode;

	if (sd_bus_message_read(m, "ss", &unit, &mode) < 0)
		return -EINVAL;
	if (!strcmp(mode, "isolate")) {
		host->isolated = !strcmp(unit, "luctl-jump.target");
	} else {
		strcat(host->started, unit);
		strcat(host->started, " ");
	}
	return sd_bus_reply_method_return(m, "o", "/org/freedesktop/systemd1/job/1");
}

static int on_jobs(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	sd_bus_message *reply = NULL;
	int r;

	if (host->unanswered > 0) {
		host->unanswered--;
		return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_NO_REPLY, "Method call timed out");
	}
	r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(usssoo)");
	if (r >= 0 && host->foreign_job)
		r = sd_bus_message_append(reply, "(usssoo)", 7, "backup.service", "start", "running", "/j/7", "/u/7");
	if (r >= 0 && host->own_jobs > 0) {
		host->own_jobs--;
		r = sd_bus_message_append(reply, "(usssoo)", 8, "app.service", "stop", "running", "/j/8", "/u/8");
	}
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	if (r >= 0)
		r = sd_bus_send(NULL, reply, NULL);
	sd_bus_message_unref(reply);
	return r;
}

static int on_units(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	static const char *const units[] = { "app.service", "app.service.more", "libvirt-guests.service",
					     "rpcbind.service" };
	sd_bus_message *reply = NULL;
	int r = sd_bus_message_new_method_return(m, &reply);

	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(ssssssouso)");
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(units); i++)
		r = sd_bus_message_append(reply, "(ssssssouso)", units[i], "", "loaded", "active", "running", "", "/u",
					  0, "", "/");
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	if (r >= 0)
		r = sd_bus_send(NULL, reply, NULL);
	sd_bus_message_unref(reply);
	return r;
}

static int on_reload(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("StartUnit", "ss", "o", on_start, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("ListJobs", "", "a(usssoo)", on_jobs, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("ListUnitsByPatterns", "asas", "a(ssssssouso)", on_units, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Reload", "", "", on_reload, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static _Noreturn void play_systemd(int fd)
{
	sd_id128_t id = SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10);
	sd_bus *b = NULL;
	int r = sd_bus_new(&b);

	if (r >= 0)
		r = sd_bus_set_fd(b, fd, fd);
	if (r >= 0)
		r = sd_bus_set_server(b, 1, id);
	if (r >= 0)
		r = sd_bus_add_object_vtable(b, NULL, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
					     vtable, NULL);
	if (r >= 0)
		r = sd_bus_start(b);
	while (r >= 0) {
		r = sd_bus_process(b, NULL);
		if (r == 0)
			r = sd_bus_wait(b, UINT64_MAX);
	}
	_exit(0);
}

/* --- tests --- */

static struct {
	int calls, r;
} outcome;

static void on_done(void *userdata, int r, struct lu_error *error)
{
	outcome.calls++;
	outcome.r = r;
}

/* Returns after how many milliseconds it was done, or -1: not within @limit_ms */
static int wait_done(int limit_ms)
{
	uint64_t begin = lu_clock_ns(CLOCK_MONOTONIC);
	int ms = 0;

	while (!outcome.calls && ms < limit_ms) {
		assert_true(sd_event_run(ev, 10000) >= 0);
		ms = (int)((lu_clock_ns(CLOCK_MONOTONIC) - begin) / 1000000);
	}
	return outcome.calls ? ms : -1;
}

/* A job of somebody else does not keep an update from going on, nor one that is being undone; jobs of ours do. */
static void test_other_jobs(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_(lu_host_freep) struct lu_host *h = NULL;

	host->foreign_job = true;
	host->own_jobs = 4;
	assert_int_equal(lu_host_new(ev, bus, &h), 0);
	expect(lu_host_quiesce(h, on_done, NULL, &e) >= 0, "%s", e.what);
	expect(wait_done(5000) >= 0, "waits for a job of another unit");
	assert_int_equal(outcome.r, 0);
	assert_int_equal(host->own_jobs, 0);
	assert_true(host->isolated);

	outcome.calls = 0;
	host->own_jobs = 4;
	expect(lu_host_unquiesce(h, on_done, NULL, &e) >= 0, "%s", e.what);
	expect(wait_done(5000) >= 0, "undo waits for a job of another unit");
	assert_int_equal(outcome.r, 0);
	assert_int_equal(host->own_jobs, 0);
	assert_non_null(strstr(host->started, "app.service "));
	assert_false(lu_host_quiesced());
}

/* A unit that takes its time to start again does not keep undo from its end. */
static void test_slow_start(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_(lu_host_freep) struct lu_host *h = NULL;

	assert_int_equal(lu_host_new(ev, bus, &h), 0);
	expect(lu_host_quiesce(h, on_done, NULL, &e) >= 0, "%s", e.what);
	assert_true(wait_done(5000) >= 0);
	outcome.calls = 0;
	host->own_jobs = 1000000;
	lu_host_set_undo_wait(h, 300000);
	expect(lu_host_unquiesce(h, on_done, NULL, &e) >= 0, "%s", e.what);
	expect(wait_done(5000) >= 200, "undo did not wait");
	assert_int_equal(outcome.r, 0);
	assert_false(lu_host_quiesced());
}

/* A systemd that is too busy to answer in time has said nothing: undo goes on asking, and ends as it should. */
static void test_busy(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_(lu_host_freep) struct lu_host *h = NULL;

	assert_int_equal(lu_host_new(ev, bus, &h), 0);
	host->unanswered = 2;
	expect(lu_host_quiesce(h, on_done, NULL, &e) >= 0, "%s", e.what);
	assert_true(wait_done(5000) >= 0);
	assert_int_equal(outcome.r, 0);
	outcome.calls = 0;
	host->unanswered = 2;
	host->own_jobs = 2;
	expect(lu_host_unquiesce(h, on_done, NULL, &e) >= 0, "%s", e.what);
	assert_true(wait_done(5000) >= 0);
	assert_int_equal(outcome.r, 0);
	assert_int_equal(host->own_jobs, 0);
	assert_false(lu_host_quiesced());
}

/* What guests of others depend on stays up: libvirt-guests.service shuts them down when it is stopped. */
static void test_kept(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_(lu_host_freep) struct lu_host *h = NULL;

	assert_int_equal(lu_host_new(ev, bus, &h), 0);
	expect(lu_host_quiesce(h, on_done, NULL, &e) >= 0, "%s", e.what);
	assert_true(wait_done(5000) >= 0);
	assert_int_equal(faccessat(AT_FDCWD, DIR "/wants/libvirt-guests.service", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(faccessat(AT_FDCWD, DIR "/wants/rpcbind.service", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(faccessat(AT_FDCWD, DIR "/wants/app.service", F_OK, AT_SYMLINK_NOFOLLOW), -1);
	/* merely installed: a want would start it */
	assert_int_equal(faccessat(AT_FDCWD, DIR "/wants/multipathd.service", F_OK, AT_SYMLINK_NOFOLLOW), -1);
}

/* Whom a guest is connected to stays, as long as it is active; what an earlier update has kept is nobody's any more. */
static void test_kept_by_name(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_(lu_host_freep) struct lu_host *h = NULL;

	assert_int_equal(system("mkdir -p " DIR "/wants && ln -s ../ended.service " DIR "/wants/ended.service"), 0);
	assert_int_equal(lu_host_new(ev, bus, &h), 0);
	assert_int_equal(lu_host_keep(h, "app.service"), 0);
	assert_int_equal(lu_host_keep(h, "app.service"), 0);
	assert_int_equal(lu_host_keep(h, "ended.service"), 0);
	for (int i = 0; i < 2; i++) {
		expect(lu_host_quiesce(h, on_done, NULL, &e) >= 0, "%s", e.what);
		assert_true(wait_done(5000) >= 0);
		/* named for the first of them only */
		assert_int_equal(faccessat(AT_FDCWD, DIR "/wants/app.service", F_OK, AT_SYMLINK_NOFOLLOW), i ? -1 : 0);
		assert_int_equal(faccessat(AT_FDCWD, DIR "/wants/ended.service", F_OK, AT_SYMLINK_NOFOLLOW), -1);
		assert_int_equal(faccessat(AT_FDCWD, DIR "/wants/rpcbind.service", F_OK, AT_SYMLINK_NOFOLLOW), 0);
		outcome.calls = 0;
		expect(lu_host_unquiesce(h, on_done, NULL, &e) >= 0, "%s", e.what);
		assert_true(wait_done(5000) >= 0);
		outcome.calls = 0;
	}
}

static int setup(void **state)
{
	int fds[2];

	if (system("rm -rf " DIR "; mkdir -p " DIR) != 0)
		return -1;
	memset(host, 0, sizeof(*host));
	outcome.calls = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -1;
	child = fork();
	if (child == 0) {
		close(fds[0]);
		play_systemd(fds[1]);
	}
	close(fds[1]);
	if (sd_event_new(&ev) < 0 || sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fds[0], fds[0]) < 0 ||
	    sd_bus_start(bus) < 0 || sd_bus_attach_event(bus, ev, 0) < 0)
		return -1;
	return 0;
}

static int teardown(void **state)
{
	bus = sd_bus_flush_close_unref(bus);
	ev = sd_event_unref(ev);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return system("rm -rf " DIR);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = { T(test_other_jobs), T(test_slow_start), T(test_busy), T(test_kept),
						   T(test_kept_by_name) };

	host = mmap(NULL, sizeof(*host), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (host == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
