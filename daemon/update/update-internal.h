/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Inside of the update: shared by update.c (engine and bookkeeping), the steps-*.c (what effects do) and report.c. */
#include "check.h"
#include "engine.h"
#include "request.h"
#include "store.h"
#include "trace.h"
#include "update.h"
#include "worker.h"

/* What became of a VM in the new kernel. */
struct lu_outcome {
	struct lu_vm *vm;        /* a reference; NULL: its definition and record are gone */
	bool read;               /* a result was found */
	struct lu_result result; /* if @read */
	bool alive;              /* its QEMU is there */
	bool paused;             /* and was paused before the update, so it still is */
	uint64_t pause_tsc;      /* 0: unknown */
	struct lu_clock clock;   /* what its guest agent said; no update: nothing */
	bool fell_back;          /* its new QEMU did not take it over, the old one goes on; @error says why */
	char qemu[32];           /* version before; "" if unknown */
	struct lu_error error;
	sd_event_source *watch; /* of its QEMU's end */
};

struct lu_update {
	struct lu_daemon *daemon;
	struct lu_engine *engine;
	int pkernfs_fd; /* directory, -EBADF until an update needs it */
	struct lu_journal *journal;
	struct lu_trace *trace;
	struct lu_job *job;
	sd_event_source *timer;

	/* the update, running or last */
	struct lu_request asked;     /* until it comes to rest */
	struct lu_request_doc doc;   /* request.json */
	struct lu_outcome *outcomes; /* one a VM of doc, in its order */
	struct lu_check *check;
	struct lu_image image; /* what the check saw */
	int image_fd;          /* and what is loaded: it can't be another one by then */
	struct lu_running running;
	struct lu_update_info info;

	/* the effect that runs */
	enum lu_effect effect;
	uint64_t cookie;
	size_t step;
	size_t pending;      /* VMs that have not answered yet */
	size_t restore_next; /* of restore: the VM whose turn is next */
	bool hooks;          /* are there any? As seen when no guest stood still */
	struct lu_worker *worker;
	struct lu_error error; /* first error of this step */
	struct lu_thaw {
		struct lu_worker *worker; /* NULL: has ended, or was not needed */
		bool awaited;             /* by lu_step_thawed() */
		struct lu_error error;
	} thaw;                   /* of undo: goes on beside its other steps */
	size_t vmm_vm, vmm_stage; /* of replace: which VM, and how far it is */

	/* Restore by request, outside of an update; of whichever update the state is */
	struct lu_job *restore_job;
	struct lu_outcome kept;
	char *kept_update;
};

/* In place of an index: the VM that is restored by request. */
#define LU_OUTCOME_KEPT SIZE_MAX

/*
 * A step of an effect: returns 1 if it is done, 0 if lu_step_done() will be
 * called, or a negative errno with @e filled.
 */
typedef int (*lu_step_t)(struct lu_update *u, struct lu_error *e);

/** lu_update_open_pkernfs() - into u->pkernfs_fd, if it is not open yet */
int lu_update_open_pkernfs(struct lu_update *u, struct lu_error *e);

/** lu_step_vms_if() - lu_step_vms() for those VMs only of which @wanted says so */
int lu_step_vms_if(struct lu_update *u, enum lu_vm_op op, enum lu_phase phase,
		   bool (*wanted)(const struct lu_outcome *o), struct lu_error *e);

void lu_outcome_clear(struct lu_outcome *o);

void lu_step_done(struct lu_update *u, int r, const struct lu_error *e);

/** lu_step_worker_done() - a lu_worker_done_t that ends the step */
void lu_step_worker_done(void *userdata, int r, struct lu_error *error);

/** lu_step_vms() - one operation on all VMs of the update in parallel; ends the step when the last has answered */
int lu_step_vms(struct lu_update *u, enum lu_vm_op op, enum lu_phase phase, struct lu_error *e);

/* steps-before.c */
int lu_step_check(struct lu_update *u, struct lu_error *e);
int lu_step_load(struct lu_update *u, struct lu_error *e);
int lu_step_inhibit(struct lu_update *u, struct lu_error *e);
int lu_step_prepare_vms(struct lu_update *u, struct lu_error *e);
int lu_step_quiesce(struct lu_update *u, struct lu_error *e);
int lu_step_sync(struct lu_update *u, struct lu_error *e);
int lu_step_pause_vms(struct lu_update *u, struct lu_error *e);
int lu_step_save_vms(struct lu_update *u, struct lu_error *e);
int lu_step_flush(struct lu_update *u, struct lu_error *e);
int lu_step_freeze(struct lu_update *u, struct lu_error *e);
int lu_step_look_again(struct lu_update *u, struct lu_error *e);
int lu_step_check_again(struct lu_update *u, struct lu_error *e);
int lu_step_jump(struct lu_update *u, struct lu_error *e);
int lu_step_thaw(struct lu_update *u, struct lu_error *e);
int lu_step_thawed(struct lu_update *u, struct lu_error *e);
void lu_thaw_forget(struct lu_update *u);
int lu_step_resume_vms(struct lu_update *u, struct lu_error *e);
int lu_step_clocks(struct lu_update *u, struct lu_error *e);
int lu_step_unload(struct lu_update *u, struct lu_error *e);
int lu_step_unprepare_vms(struct lu_update *u, struct lu_error *e);
int lu_step_unquiesce(struct lu_update *u, struct lu_error *e);
int lu_step_uninhibit(struct lu_update *u, struct lu_error *e);

/* steps-after.c */
int lu_step_review(struct lu_update *u, struct lu_error *e);
int lu_step_adopt(struct lu_update *u, struct lu_error *e);
int lu_step_restore(struct lu_update *u, struct lu_error *e);
int lu_step_resume_loaded(struct lu_update *u, struct lu_error *e);
int lu_step_verify(struct lu_update *u, struct lu_error *e);
int lu_step_cleanup(struct lu_update *u, struct lu_error *e);
void lu_outcome_settle(struct lu_update *u, size_t i);
void lu_outcomes_find(struct lu_update *u);
void lu_outcome_read_clock(struct lu_update *u, size_t i);
int lu_outcome_read(struct lu_update *u, size_t i);
void lu_outcome_watch(struct lu_update *u, size_t i);
void lu_watch_all(struct lu_update *u);

/* steps-vmm.c */
int lu_step_replace(struct lu_update *u, struct lu_error *e);
int lu_step_settle(struct lu_update *u, struct lu_error *e);

/* report.c */
int lu_step_report(struct lu_update *u, struct lu_error *e);
int lu_step_measure(struct lu_update *u, struct lu_error *e);
int lu_report_write(struct lu_update *u, const char *result, struct lu_error *e);
