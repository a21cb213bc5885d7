/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* What Update, UpdateVMM, Check and Plan were asked for. What of it an update keeps is request.json. */
#include "vm.h"

/* Shall the target be tried in a machine of its own? What is not said is no for a question, and AUTO for an update. */
enum lu_ask_trial {
	LU_ASK_TRIAL_UNSAID,
	LU_ASK_TRIAL_NO,
	LU_ASK_TRIAL_YES,
	LU_ASK_TRIAL_AUTO /* as the settings say */
};

struct lu_asked {
	char *kernel;   /* NULL: Plan, of this host and its VMs only */
	char *initrd;   /* or NULL */
	bool no_initrd; /* that there is none is meant */
	int kernel_fd;  /* what these two paths are for the one who asks, opened by him; 0: he gave none */
	int initrd_fd;
	enum lu_ask_trial trial;
	bool may_open;              /* he is root: then the paths are opened here */
	uint64_t max_blackout_usec; /* of each VM; 0: any */
	char *cmdline;              /* as given, or NULL for the running kernel's */
	char **exclude;             /* NULL-terminated names or UUIDs, or NULL */
	bool vmm;                   /* QEMU shall be replaced, not the kernel */
	bool rehearse;              /* all but the reboot call */
	pid_t asker;                /* of a question, not of an update; 0: not known */
	char **only;                /* if @vmm: of these VMs, as in @exclude; NULL: of all that run */
};

void lu_asked_clear(struct lu_asked *q);
bool lu_asked_concerns(const struct lu_asked *q, const struct lu_vm *vm);
/** lu_asked_excludes() - by name, or by its policy */
bool lu_asked_excludes(const struct lu_asked *q, const struct lu_vm *vm);

/** lu_asked_names() - is @vm one of these names or UUIDs? @list may be NULL */
bool lu_asked_names(char *const *list, const struct lu_vm *vm);
