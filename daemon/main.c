// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * luctld: brings the parts together. Order matters at start: the bus name is
 * asked for only after recovery has begun, so nobody can start an update before
 * the last one's fate is known; READY=1 comes last.
 *
 * At exit (SIGTERM) a running update is cancelled first, so that no guest stays paused; after the
 * jump's point of no return there is no exit. SIGKILL is recovered from at the next start.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "argv.h"
#include "auth.h"
#include "bus.h"
#include "kept.h"
#include "log.h"
#include "manager.h"

#define STOP_TIMEOUT_USEC (40 * UINT64_C(1000000))

/* Who owns what: all of it is here. */
struct lu_daemon {
	sd_bus *bus;
	struct lu_update_env env;
	struct lu_update *update;
	struct lu_manager *manager;
};

static void daemon_clear(struct lu_daemon *d)
{
	lu_auth_end();
	d->update = lu_update_free(d->update);
	d->manager = lu_manager_free(d->manager);
	lu_vms_free(d->env.vms);
	d->env.libvirt = lu_libvirt_free(d->env.libvirt);
	d->env.host = lu_host_free(d->env.host);
	d->bus = sd_bus_flush_close_unref(d->bus);
	d->env.event = sd_event_unref(d->env.event);
	lu_config_clear(&d->env.config);
}

/* Waits until the cancelled update has come to rest. */
static int on_stopping(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct lu_daemon *d = userdata;

	if (!lu_update_info(d->update)->running)
		return sd_event_exit(d->env.event, 0);
	(void)sd_event_source_set_time_relative(s, 50 * 1000);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static int on_give_up(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct lu_daemon *d = userdata;

	log_error("the update could not be taken back in time; the next start of luctld does it");
	return sd_event_exit(d->env.event, 1);
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
	struct lu_daemon *d = userdata;

	if (!lu_update_info(d->update)->running)
		return sd_event_exit(d->env.event, 0);
	(void)lu_update_cancel(d->update, "luctld is being stopped", NULL);
	if (sd_event_add_time_relative(d->env.event, NULL, CLOCK_MONOTONIC, 0, 0, on_stopping, d) < 0 ||
	    sd_event_add_time_relative(d->env.event, NULL, CLOCK_MONOTONIC, STOP_TIMEOUT_USEC, 0, on_give_up, d) < 0)
		return sd_event_exit(d->env.event, 1);
	return 0;
}

static int setup_event(struct lu_daemon *d)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	(void)signal(SIGPIPE, SIG_IGN);
	r = sd_event_default(&d->env.event);
	if (r >= 0)
		r = sd_event_add_signal(d->env.event, NULL, SIGTERM, on_signal, d);
	if (r >= 0)
		r = sd_event_add_signal(d->env.event, NULL, SIGINT, on_signal, d);
	if (r >= 0)
		r = sd_event_set_watchdog(d->env.event, 1);
	return r;
}

/* What a daemon before this one left with systemd. Nobody else's descriptors are there. */
static void take_stored(struct lu_daemon *d)
{
	_cleanup_(lu_argv_freep) char **names = NULL;
	int n = sd_listen_fds_with_names(true, &names);

	for (int i = 0; i < n; i++)
		if (lu_vms_take_stored(d->env.vms, SD_LISTEN_FDS_START + i, names[i]) <= 0)
			close(SD_LISTEN_FDS_START + i);
}

static int setup(struct lu_daemon *d, struct lu_error *e)
{
	struct lu_vm_env env = { .run = LU_RUN_DIR, .restore = lu_update_restore_here };
	int r;

	r = lu_config_load("/etc/luctl", &d->env.config, e);
	if (r < 0)
		return r;
	env.pkernfs = d->env.config.pkernfs;
	env.domains = d->env.config.libvirt ? lu_libvirt_domains : NULL;
	env.restore_context = &d->update;
	env.held = lu_libvirt_held();
	r = setup_event(d);
	if (r >= 0)
		r = sd_bus_open_system(&d->bus);
	if (r < 0)
		return lu_error_set(e, r, "is dbus.service running?", "system bus: %s", strerror(-r));
	r = sd_bus_attach_event(d->bus, d->env.event, SD_EVENT_PRIORITY_NORMAL);
	if (r >= 0)
		r = lu_host_new(d->env.event, d->bus, &d->env.host) ?:
			    lu_libvirt_new(d->env.event, d->bus, &d->env.libvirt);
	if (r >= 0)
		r = lu_vms_new(&d->env.vms, d->env.event, &env);
	if (r >= 0)
		take_stored(d);
	if (r >= 0)
		r = lu_vms_load(d->env.vms, d->env.config.vms_dir, e);
	if (r >= 0)
		r = lu_manager_new(&d->env, d->bus, &d->manager)                             ?:
			    lu_update_new(&d->env, &lu_manager_news, d->manager, &d->update) ?:
			    lu_manager_export(d->manager, d->update);
	return r;
}

static int run(struct lu_daemon *d)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int r;

	r = setup(d, &e);
	if (r < 0)
		return log_failure(r, &e, "start");
	r = lu_update_recover(d->update, &e);
	if (r < 0)
		(void)log_failure(r, &e, "the last update can't be recovered");
	r = sd_bus_request_name(d->bus, LU_BUS_NAME, 0);
	if (r < 0) {
		(void)lu_error_set(&e, r, "is another luctld running?", "bus name " LU_BUS_NAME ": %s", strerror(-r));
		return log_failure(r, &e, "start");
	}
	(void)sd_notify(0, "READY=1");
	r = sd_event_loop(d->env.event);
	(void)sd_notify(0, "STOPPING=1");
	return r;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct lu_daemon d = { 0 };
	int c, r;

	while ((c = getopt_long(argc, argv, "hV", options, NULL)) >= 0) {
		switch (c) {
		case 'h':
			puts("luctld - live update of the host's kernel under running guests\n\n"
			     "Started by systemd (luctld.service); talk to it with luctl(1).\n"
			     "Settings: /etc/luctl/luctld.conf, see luctld(8).\n\n"
			     "  -h, --help     show this\n  -V, --version  show the version");
			return 0;
		case 'V':
			puts("luctld " PROJECT_VERSION);
			return 0;
		default:
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "luctld: unexpected argument %s\nhint: see luctld --help\n", argv[optind]);
		return 2;
	}
	r = run(&d);
	daemon_clear(&d);
	return r < 0 ? 1 : r;
}
