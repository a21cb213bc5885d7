/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Before anything is paused: can this image take over from this kernel, and can
 * every VM come along? Used by the methods Check and Plan and by the first state of an
 * update, so what they say is what an update refuses.
 */
#include "asked.h"
#include "bad-memory.h"
#include "env.h"
#include "findings.h"
#include "image-reader.h"
#include "libvirt.h"
#include "measured.h"
#include "worker.h"

enum lu_verdict {
	LU_VERDICT_GOES,     /* along with an update */
	LU_VERDICT_CANT,     /* and an update is refused unless it is excluded */
	LU_VERDICT_LEFT_OUT, /* as asked, by its policy, or since it can't and need not: it ends with this kernel */
	LU_VERDICT_OFF,      /* it does not run */
	LU_VERDICT_MAX
};

const char *lu_verdict_name(enum lu_verdict verdict);

/** struct lu_check_vm - the verdict on one VM; @predicted only if it goes along */
struct lu_check_vm {
	struct lu_vm *vm; /* a reference */
	enum lu_verdict verdict;
	bool waits;   /* its saved state waits to be restored */
	bool probed;  /* PROBE of it is under way, for this check */
	bool devices; /* it has passed-through ones */
	struct lu_reasons reasons;
	struct lu_prediction predicted;
};

struct lu_check {
	struct lu_findings findings; /* first those on host and target, then those on VMs */
	size_t n_host;
	struct lu_image image;
	int image_fd; /* the image that was judged, which nobody can change; -EBADF if it can't be read */
	struct lu_running running;
	char *cmdline;           /* of the target, complete; NULL if the image can't be read */
	struct lu_check_vm *vms; /* all, by name */
	size_t n_vms;

	/* private */
	const struct lu_update_env *env;
	const struct lu_asked *asked;
	size_t pending;
	struct lu_domains domains; /* of libvirt, that run */
	sd_event_source *turn;
	struct lu_image_reader *reader;
	struct lu_worker *trial;          /* a trial jump, under way */
	struct lu_bad_memory *bad_memory; /* of guests; NULL: none of pkernfs is bad */
	uint64_t bad_pages; /* in pkernfs, before it was looked for; UINT64_MAX: the kernel does not tell */
	bool tried;         /* or there was nothing to try */
	bool image_asked;   /* and @image_error, @initrd_error are what was found */
	struct lu_error image_error, initrd_error;
	struct lu_error refused; /* an update has begun meanwhile: there is no verdict */
	unsigned int tries;      /* to find no VM busy */
	bool (*gives_way)(void *userdata);
	void (*done)(struct lu_check *c, void *userdata);
	void *userdata;
};

/**
 * lu_check_start() - look at everything; asynchronous
 * @q: must live until @done or lu_check_free(); without a kernel only this host and its VMs are judged
 * @gives_way: asked with @userdata now and then: has an update begun meanwhile, which this check would disturb? Then
 *	c->refused is set. NULL: it is an update's own check
 * @done: the verdict is lu_findings_ok(&c->findings); the caller frees @c
 *
 * Return: 0, or a negative errno if it can't even be tried.
 */
int lu_check_start(const struct lu_update_env *env, const struct lu_asked *q, bool (*gives_way)(void *userdata),
		   void (*done)(struct lu_check *c, void *userdata), void *userdata, struct lu_check **ret);
struct lu_check *lu_check_free(struct lu_check *c);
DEFINE_CLEANUP(struct lu_check *, lu_check_free)

/** lu_check_domain() - the name of a guest of libvirt that is neither excluded nor one of @vms' own (free() it), NULL: there is none */
char *lu_check_domain(struct lu_vms *vms, const struct lu_domains *domains, char *const *excluded);
