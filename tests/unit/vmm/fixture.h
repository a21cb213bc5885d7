/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* What test-vm.c and test-saved.c share: a registry in a directory of its own, a VM that was judged well, and scripts for the mock. */
#include <fcntl.h>
#include <unistd.h>

#include "test.h"

#include "mock.h"
#include "vm-internal.h"

#define UUID_A "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c000a"
#define UUID_B "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c000b"
#define UPDATE "00000000-aaaa-4000-8000-000000000001"
#define OTHER "00000000-bbbb-4000-8000-000000000002"

extern char test_dir[];
extern const char *schema_file;
extern sd_event *ev;
extern struct lu_vms *vms;

/** at() - a path below the test's directory; the last four stay valid */
const char *at(const char *name);
void put(const char *name, const char *text);

int setup(void **state);
int teardown(void **state);
int setup_vms(void **state);
int teardown_vms(void **state);

/** definition() - of schema vm; the last four stay valid */
const char *definition(const char *name, const char *uuid, const char *qmp);

struct outcome {
	int calls, r;
	char what[1024];
};

void on_done(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata);

/** run_op() - an operation until its end; its result */
int run_op(struct lu_vm *vm, enum lu_vm_op op, unsigned int timeout_ms, struct outcome *o);

/** new_vm() - a VM that was judged well, with its RAM; the QEMU is this very process */
struct lu_vm *new_vm(void);
int read_saved(struct lu_saved *ret);

/** end_qemu() - the QEMU that this test plays has ended, as far as the VM can see */
void end_qemu(struct lu_vm *vm);

#define STATUS(_s) "expect query-status\nreply {\"status\": \"" _s "\"}\n"
/* Settings as they are by default, and as PREPARE leaves them */
#define CAPABILITIES(_on) "[{\"capability\": \"x-ignore-shared\", \"state\": " _on "}]"
#define PARAMETERS(_mode) "{\"mode\": \"" _mode "\"}"
#define PREPARE                                                                                                                                                             \
	"hello\n" STATUS("running") "expect query-migrate-capabilities\nreply " CAPABILITIES(                                                                               \
		"false") "\nexpect query-migrate-parameters\nreply " PARAMETERS("normal") "\nexpect query-cpus-fast\nreply []\nexpect migrate-set-capabilities\nreply {}\n" \
											  "expect migrate-set-parameters\nreply {}\n"
#define PAUSE STATUS("running") "expect stop\nreply {}\n"
#define SAVE STATUS("paused") "expect add-fd\nreply {\"fdset-id\": 4, \"fd\": 20}\nexpect migrate\nreply {}\n"
#define RESUME(_from)                                                    \
	STATUS(_from)                                                    \
	"expect query-migrate\nreply {\"status\": \"failed\"}\n" STATUS( \
		_from) "expect cont\nreply {}\nexpect announce-self\nreply {}\n" STATUS("running")
#define UNPREPARE                                             \
	"expect query-migrate-parameters\nreply " PARAMETERS( \
		"cpr-reboot") "\nexpect migrate-set-parameters\nreply {}\nexpect query-migrate-capabilities\nreply " CAPABILITIES("true") "\nexpect migrate-set-capabilities\nreply {}\n"
#define DISKS(_nodes, _fronts) \
	"expect query-named-block-nodes\nreply " _nodes "\nexpect query-block\nreply " _fronts "\n"
#define RUNTIME(_jobs, _exports, _cpus)                                                   \
	"expect query-jobs\nreply " _jobs "\nexpect query-block-exports\nreply " _exports \
	"\nexpect query-cpus-fast\nreply " _cpus "\n"
#define ROMS(_board, _firmware) "expect qom-list\nreply " _board "\nexpect qom-get\n" _firmware "\n"
#define FLASH "error GenericError none"
