/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A small world for the engine: three VMs, one host, a journal that is only a list,
 * and ops that check whether the engine keeps its promises. Everything an op does
 * is divided into numbered steps; at a chosen step it fails, the process dies, or somebody cancels.
 */
#include <stdbool.h>
#include <stdint.h>

#include "engine.h"

#define VMS 3
#define FAULTS 3
#define RECORDS 64

enum vm_state {
	VM_RUNNING,
	VM_PAUSED,
	VM_GONE,   /* its QEMU ended with the old kernel */
	VM_LOADED, /* in the new kernel, before cont */
};

struct record {
	enum lu_state state;
	enum lu_event event;
	int error;
	unsigned int kernel;
};

struct world {
	/* how it behaves */
	bool sync;            /* effects complete within start_effect() */
	bool vmm;             /* updates replace QEMU in this kernel */
	bool rehearse;        /* the jump's effect leaves the reboot call out */
	bool lu_init;         /* there is one, and it resumes the first VM */
	long fail_at[FAULTS]; /* steps that fail, 0: none */
	long crash_at;        /* step at which the process dies */
	long cancel_at;       /* step at which somebody cancels */

	/* the host */
	struct lu_engine *engine;
	unsigned int kernel; /* 0 the old one, 1 the new one */
	bool loaded, prepared, frozen;
	enum vm_state vm[VMS];
	bool saved[VMS];
	unsigned int resumed[VMS]; /* how often from a saved state */
	struct record journal[RECORDS];
	unsigned int n_journal;

	/* the process */
	long step;
	unsigned int failed; /* faults that have struck */
	bool dead;
	int cancel_result; /* 1: nobody has cancelled */
	enum lu_effect active;
	uint64_t cookie;
	struct lu_error effect_error;
	enum lu_state entered;
	bool durable;
	uint64_t timer;
	unsigned int started[LU_EFFECT_MAX];
	unsigned int cancelled[LU_EFFECT_MAX];
	unsigned int transitions;
};

extern const struct lu_engine_ops world_ops;

void world_init(struct world *w);
void world_done(struct world *w);

/* A new process in the same world; recovers as luctld would. */
void world_restart(struct world *w);

/* Completes effects until none runs. */
void world_run(struct world *w);

/* Completes the effect that runs as its steps went. */
void world_complete(struct world *w);

/* start, run, and if it jumped the life in the new kernel; the process is restarted each time it died. */
void world_update(struct world *w);

/* The last record as the journal's reader would give it; false if there is none. */
bool world_last(const struct world *w, struct lu_journal_record *ret);

/* Fails the test unless the world is as the engine's state of rest says. */
void world_check(const struct world *w, const char *where);
