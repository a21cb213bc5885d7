/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* What the parts of the daemon share. main.c owns all of it; everything runs in one thread on one event loop. */
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "config.h"
#include "host.h"
#include "vm.h"

#define LU_RUN_DIR "/run/luctl"
#define LU_MEASURED_DIR "/var/lib/luctl"
#define LU_MEASURED_PATH LU_MEASURED_DIR "/measured.json"
#define LU_BUS_NAME "org.luctl1"
#define LU_BUS_PATH "/org/luctl1"
#define LU_ERROR_REFUSED "org.luctl1.Error.Refused"

struct lu_job;
struct lu_pending;
struct lu_update;

struct lu_daemon {
	sd_event *event;
	sd_bus *bus;
	struct lu_config config;
	struct lu_host *host;
	struct lu_vms *vms;
	struct lu_update *update;
	struct lu_pending *pending;
	struct lu_job *jobs;
	unsigned int last_job;
};

/* What Update, Check and Plan were asked for. */
struct lu_request {
	char *kernel;   /* NULL: Plan, of this host and its VMs only */
	char *initrd;   /* or NULL */
	bool no_initrd; /* that there is none is meant */
	int kernel_fd;  /* what these two paths are for the one who asks, opened by him; 0: he gave none */
	int initrd_fd;
	bool may_open;  /* he is root: then the paths are opened here */
	char *cmdline;  /* as given, or NULL for the running kernel's */
	char **exclude; /* NULL-terminated names or UUIDs, or NULL */
	bool vmm;       /* QEMU shall be replaced, not the kernel */
	char **only;    /* if @vmm: of these VMs, as in @exclude; NULL: of all that run */
};

void lu_request_clear(struct lu_request *q);
bool lu_request_concerns(const struct lu_request *q, const struct lu_vm *vm);
bool lu_request_excludes(const struct lu_request *q, const struct lu_vm *vm);

/** lu_manager_export() - put org.luctl1.Manager on the bus */
int lu_manager_export(struct lu_daemon *d);

/** lu_manager_clear() - forget the calls that wait for VMs to answer; their callers see the daemon leave the bus */
void lu_manager_clear(struct lu_daemon *d);

/** lu_reply_error() - answer @m with @e as "what\nhint"; for the return of a method handler */
int lu_reply_error(sd_bus_message *m, const char *name, int r, const struct lu_error *e);
