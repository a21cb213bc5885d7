// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libvirt's daemon steps aside and comes back, machined is told of its guests, against a systemd and a machined that are
 * served by the loop that asks: whoever waited for an answer would wait for ever.
 */
#include <sys/socket.h>
#include <systemd/sd-bus.h>

#include "test.h"

#include "clock.h"
#include "hold.h"
#include "machine.h"
#include "util.h"

#define DIR "/dev/shm/luctl-test-hold" /* as meson.build has it */
#define UNITS "/org/freedesktop/systemd1/unit/"

static const char record[] = "{\"version\": 1, \"units\": [\"libvirtd.service\"], \"autostarted\": true}";

struct world {
	sd_event *event;
	sd_bus *daemon, *systemd;
	struct lu_libvirt *libvirt;
	int dir;
	int lasts;      /* how often the daemon is still found on its way to its end */
	int unanswered; /* how often that question gets no answer in time */
	int stopped, started, ticks;
	sd_bus_message *asked; /* CreateMachine, which is not answered at once */
	int machines;
	int done, r;
};

static int on_get(sd_bus_message *m, struct world *w)
{
	bool libvirtd = !strcmp(sd_bus_message_get_path(m), UNITS "libvirtd_2eservice");

	if (w->unanswered > 0) {
		w->unanswered--;
		return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_NO_REPLY, "Method call timed out");
	}
	if (!libvirtd || w->lasts == 0)
		return sd_bus_reply_method_return(m, "v", "s", "inactive");
	if (!w->stopped)
		return sd_bus_reply_method_return(m, "v", "s", "active");
	w->lasts--;
	return sd_bus_reply_method_return(m, "v", "s", "deactivating");
}

static int serve(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	struct world *w = userdata;

	if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "Get"))
		return on_get(m, w);
	if (sd_bus_message_is_method_call(m, NULL, "CreateMachine")) {
		w->asked = sd_bus_message_ref(m);
		w->machines++;
		return 1;
	}
	if (sd_bus_message_is_method_call(m, NULL, "StopUnit"))
		w->stopped++;
	else if (sd_bus_message_is_method_call(m, NULL, "StartUnit"))
		w->started++;
	else
		return 0;
	return sd_bus_reply_method_return(m, "o", "/job/1");
}

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata)
{
	((struct world *)userdata)->ticks++;
	(void)sd_event_source_set_time_relative(s, 10000);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static void world_new(struct world *w)
{
	sd_id128_t id;
	int pair[2];

	*w = (struct world){ 0 };
	assert_int_equal(system("rm -rf " DIR " && mkdir -p " DIR "/update"), 0);
	w->dir = open(DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
	assert_true(lu_libvirt_new(w->event, w->daemon, &w->libvirt) >= 0);
}

static void world_free(struct world *w)
{
	lu_libvirt_free(w->libvirt);
	sd_bus_close_unref(w->daemon);
	sd_bus_close_unref(w->systemd);
	sd_event_unref(w->event);
	close(w->dir);
	assert_int_equal(system("rm -rf " DIR), 0);
}

static void turn(struct world *w, double limit, const int *until)
{
	uint64_t end = lu_clock_ns(CLOCK_MONOTONIC) + (uint64_t)(limit * 1e9);

	while (lu_clock_ns(CLOCK_MONOTONIC) < end && !*until)
		assert_true(sd_event_run(w->event, 20000) >= 0);
}

static void on_done(void *userdata, int r, struct lu_error *error)
{
	struct world *w = userdata;

	w->done++;
	w->r = r;
}

static void it_is_waited_for_while_the_loop_goes_on(void **state)
{
	static const char *const places[] = { "held", LU_LIBVIRT_RECORD };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	uint64_t begin = lu_clock_ns(CLOCK_MONOTONIC);
	struct world w;

	world_new(&w);
	w.lasts = 6;
	w.unanswered = 2;
	expect(lu_libvirt_hold(w.libvirt, w.dir, on_done, &w, &e) == 0, "%s", e.what);
	expect(lu_clock_ns(CLOCK_MONOTONIC) - begin < 2000000000, "it was waited for an answer");
	turn(&w, 8, &w.done);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.r, 0);
	assert_int_equal(w.lasts, 0);
	assert_true(w.ticks > 5);
	/* told to both, kept of the one that ran */
	assert_int_equal(w.stopped, 2);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_free_ char *text = NULL;

		assert_int_equal(lu_read_file(w.dir, places[i], 4096, &text, NULL), 0);
		expect(strstr(text, "\"libvirtd.service\"") && !strstr(text, "virtqemud"), "%s: %s", places[i], text);
	}
	world_free(&w);
}

/* A daemon that starts finds it held, maybe not stopped yet: what ran was written down by the one before. */
static void it_goes_on_after_another_daemon(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *text = NULL;
	struct world w;

	world_new(&w);
	assert_int_equal(lu_write_file(w.dir, "held", record, strlen(record), 0644), 0);
	expect(lu_libvirt_hold(w.libvirt, w.dir, on_done, &w, &e) == 0, "%s", e.what);
	turn(&w, 8, &w.done);
	assert_int_equal(w.r, 0);
	assert_int_equal(w.stopped, 2);
	assert_int_equal(lu_read_file(w.dir, "held", 4096, &text, NULL), 0);
	assert_string_equal(text, record);
	world_free(&w);
}

/* An update that is cancelled meanwhile goes back by itself: nobody may be told any more. */
static void it_is_forgotten(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct world w;
	int never = 0;

	world_new(&w);
	w.lasts = 4;
	expect(lu_libvirt_hold(w.libvirt, w.dir, on_done, &w, &e) == 0, "%s", e.what);
	turn(&w, 5, &w.stopped);
	lu_libvirt_cancel(w.libvirt);
	turn(&w, 0.5, &never);
	assert_int_equal(w.done, 0);
	/* what was begun is not undone by that */
	assert_int_equal(faccessat(w.dir, "held", F_OK, 0), 0);
	world_free(&w);
}

/* It is told to start, what had been started with it stays as it is, and nobody waits. */
static void it_is_let_go(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct world w;

	world_new(&w);
	assert_int_equal(lu_write_file(w.dir, "held", record, strlen(record), 0644), 0);
	expect(lu_libvirt_release(w.libvirt, w.dir, &e) == 0, "%s", e.what);
	turn(&w, 5, &w.started);
	assert_int_equal(w.started, 1);
	assert_int_equal(faccessat(w.dir, "held", F_OK, 0), -1);
	assert_int_equal(faccessat(w.dir, "qemu/autostarted", F_OK, 0), 0);
	world_free(&w);
}

/* The scope of the machine that is asked for is to have this weight. */
static void check_weight(sd_bus_message *m, uint64_t want)
{
	const char *name;
	uint64_t weight = 0;

	assert_true(sd_bus_message_rewind(m, true) >= 0);
	assert_true(sd_bus_message_skip(m, "sayssus") >= 0);
	assert_true(sd_bus_message_enter_container(m, 'a', "(sv)") > 0);
	while (sd_bus_message_enter_container(m, 'r', "sv") > 0) {
		assert_true(sd_bus_message_read(m, "s", &name) > 0);
		if (!strcmp(name, "CPUWeight"))
			assert_true(sd_bus_message_read(m, "v", "t", &weight) > 0);
		else
			assert_true(sd_bus_message_skip(m, "v") > 0);
		assert_true(sd_bus_message_exit_container(m) >= 0);
	}
	expect(weight == want, "%llu", (unsigned long long)weight);
}

/* Who waits for machined is told when it has answered, and not before; there is nothing to wait for where nothing was asked. */
static void machines_are_waited_for(void **state)
{
	static const char group[] = "/machine.slice/machine-qemu\\x2d1\\x2dred.scope/libvirt/emulator";
	static const char uuid[] = "11111111-2222-3333-4444-555555555501";
	struct lu_limit weight = { .name = (char *)"CPUWeight", .number = 512 };
	const struct lu_limits limits = { .list = &weight, .n = 1 };
	struct lu_machines *machines;
	int never = 0;
	struct world w;

	world_new(&w);
	machines = lu_libvirt_machines(w.libvirt);
	assert_int_equal(lu_machines_wait(machines, on_done, &w), 1);
	lu_machines_make(machines, "/system.slice/luctl-vm@blue.service", uuid, getpid(), &limits, false);
	assert_int_equal(lu_machines_wait(machines, on_done, &w), 1);
	lu_machines_make(machines, group, uuid, getpid(), &limits, false);
	assert_int_equal(lu_machines_wait(machines, on_done, &w), 0);
	turn(&w, 5, &w.machines);
	assert_int_equal(w.machines, 1);
	check_weight(w.asked, 512);
	turn(&w, 0.2, &never);
	assert_int_equal(w.done, 0);
	assert_true(sd_bus_reply_method_return(w.asked, "os", "/machine/red", "") >= 0);
	turn(&w, 5, &w.done);
	assert_int_equal(w.done, 1);
	assert_int_equal(lu_machines_wait(machines, on_done, &w), 1);
	sd_bus_message_unref(w.asked);
	/* one that is refused is an answer, too; nobody is told who has given up waiting */
	lu_machines_make(machines, group, uuid, getpid(), &limits, false);
	assert_int_equal(lu_machines_wait(machines, on_done, &w), 0);
	w.machines = 0;
	turn(&w, 5, &w.machines);
	lu_machines_cancel(machines);
	assert_true(sd_bus_reply_method_errorf(w.asked, "org.freedesktop.machine1.MachineExists", "it is there") >= 0);
	turn(&w, 0.2, &never);
	assert_int_equal(w.done, 1);
	assert_int_equal(lu_machines_wait(machines, on_done, &w), 1);
	sd_bus_message_unref(w.asked);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_waited_for_while_the_loop_goes_on),
		cmocka_unit_test(it_goes_on_after_another_daemon),
		cmocka_unit_test(it_is_forgotten),
		cmocka_unit_test(it_is_let_go),
		cmocka_unit_test(machines_are_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
