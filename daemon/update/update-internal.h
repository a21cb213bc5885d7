/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Inside of daemon/update: the update itself. Types only; each file of the folder has a header of its own. */
#include "check.h"
#include "engine.h"
#include "request.h"
#include "store.h"
#include "trace.h"
#include "update.h"
#include "worker.h"

/* What became of a VM in the new kernel. */
struct lu_outcome {
	struct lu_vm *vm;        /* a reference (lu_vm_ref()); NULL: its definition and record are gone */
	bool read;               /* a result was found */
	struct lu_result result; /* if @read */
	bool alive;              /* its QEMU is there */
	bool answered;      /* a guest of libvirt, which was asked once more: its monitor answers, whatever it says */
	bool moved;         /* in undo: a guest of libvirt, which can't be told that another QEMU has it now */
	bool paused;        /* and was paused before the update, so it still is */
	bool left;          /* behind, on the way to the jump: it does not go along */
	bool slow;          /* it did not answer in time, and is asked once more */
	uint64_t pause_tsc; /* 0: unknown */
	struct lu_clock clock; /* what its guest agent said; no update: nothing */
	bool fell_back;        /* its new QEMU did not take it over, the old one goes on; @error says why */
	char qemu[32];         /* version before; "" if unknown */
	struct lu_error error;
	sd_event_source *watch; /* of its QEMU's end */
};

struct lu_update {
	struct lu_update_env *env;
	const struct lu_update_news *news;
	void *context;                         /* of news */
	const struct lu_effect_steps *effects; /* by effect */
	struct lu_engine *engine;
	int pkernfs_fd; /* directory, -EBADF until an update needs it */
	struct lu_journal *journal;
	struct lu_trace *trace;
	void *job; /* who asked for it, for news; NULL: a daemon before this one was asked */
	sd_event_source *timer;
	bool found; /* a daemon before this one began it */

	/* the update, running or last */
	struct lu_asked asked;       /* until it comes to rest */
	struct lu_request_doc doc;   /* request.json */
	struct lu_outcome *outcomes; /* one a VM of doc, in its order */
	struct lu_check *check;
	struct lu_image image; /* what the check saw */
	int image_fd;          /* and what is loaded: it can't be another one by then */
	bool loaded;      /* the image that is loaded was ours when it was loaded; @changes tells whether it still is */
	uint64_t changes; /* how often the kernel's image was changed, with ours; 0: the kernel does not tell */
	struct lu_running running;
	struct lu_update_info info;

	/* the effect that runs */
	enum lu_effect effect;
	uint64_t cookie;
	size_t step;
	enum lu_phase phase; /* of the VMs' operation */
	size_t pending;      /* VMs that have not answered yet */
	size_t started;      /* VMs that this step has begun with */
	uint64_t rest_usec;  /* what is predicted from the jump on, of the VM that waits longest; LU_MEASURED_UNKNOWN */
	struct lu_patience {
		uint64_t usec;      /* how long guests may stand still, by the one that leaves least time; 0: any */
		uint64_t rest_usec; /* of that, from the jump on, as predicted */
		const char *vm;     /* whose declaration says so; NULL: it was asked for */
	} limit;
	void (*left_done)(struct lu_update *u, int r, const struct lu_error *e); /* when a VM is taken back (leave.h) */
	size_t turn;             /* of steps that take one VM after the other: whose turn is next */
	uint64_t paused_ns;      /* CLOCK_MONOTONIC, when the first VM was told to stand still; 0: none was */
	sd_event_source *budget; /* of the blackout that was asked for: when it is used up */
	size_t restore_next;     /* of restore: the VM whose turn is next */
	unsigned int rounds;     /* of restore: how often late VMs were tried */
	sd_event_source *round_timer;
	bool hooks; /* are there any? As seen when no guest stood still */
	struct lu_worker *worker;
	struct lu_error error; /* first error of this step */
	struct lu_thaw {
		struct lu_worker *worker; /* NULL: has ended, or was not needed */
		bool awaited;             /* by lu_step_thawed() */
		struct lu_error error;
	} thaw;                   /* of undo: goes on beside its other steps */
	size_t settling;          /* guests of libvirt that are asked outside of an update: lu_domains_settle() */
	size_t vmm_vm, vmm_stage; /* of replace: which VM, and how far it is */

	struct lu_worker *history; /* keeps a report on the disk, whatever else goes on */

	/* Restore by request, outside of an update; of whichever update the state is */
	bool restoring;
	void *restore_job;
	struct lu_outcome kept;
	char *kept_update;
	char **left_units; /* of restores that a daemon before this one began (lu_restore_take_up()) */
	size_t n_left_units;
	int left_program; /* enum lu_program, of the one whose turn it is */
};

/* In place of an index: the VM that is restored by request. */
#define LU_OUTCOME_KEPT SIZE_MAX
