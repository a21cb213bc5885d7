// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The steps of the new kernel. lu-init has resumed what it could before this
 * process existed; its results are read here, never guessed. What it has not
 * touched, or could not bring up with the state still good, is tried once more
 * (restore.c). A VM that fails again is left with its state for
 * `luctl restore`; it costs the update its "success", nothing else.
 *
 * All steps can be repeated by a new daemon process: results, scopes and
 * processes are looked up anew.
 */
#include <stdio.h>
#include <string.h>

#include "cmdline.h"
#include "launch.h"
#include "log.h"
#include "outcomes.h"
#include "restore.h"
#include "steps-after.h"
#include "steps.h"

int lu_step_review(struct lu_update *u, struct lu_error *e)
{
	for (size_t i = 0; i < u->doc.n_left; i++)
		log_warning("VM %s was left behind: %s", u->doc.left[i].name, u->doc.left[i].what);
	for (size_t i = 0; i < u->doc.n_vms; i++)
		if (!u->outcomes[i].left)
			(void)lu_outcome_read(u, i);
	return 1;
}

struct view_call {
	struct lu_update *update;
	uint64_t cookie; /* of the effect that waits */
	char unit[128], name[80];
};

static void on_view(void *userdata, int r, struct lu_error *error)
{
	struct view_call *c = userdata;
	struct lu_update *u = c->update;
	bool awaited = u->cookie == c->cookie && u->effect == LU_EFFECT_ADOPT;

	if (r < 0)
		log_warning_vm(c->name, "its QEMU may see file systems otherwise than before: %s",
			       error && error->what ? error->what : strerror(-r));
	lu_host_stop_left(u->env->host, c->unit, 0);
	free(c);
	if (awaited && --u->pending == 0)
		lu_step_done(u, 0, NULL);
}

static void complete_view(struct lu_update *u, size_t i)
{
	const char *argv[] = { LU_INIT_PATH, "--sight", lu_outcome_uuid(u, i), NULL };
	_cleanup_(lu_launch_clear) struct lu_launch launch = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_close_ int dir = lu_store_open(u->pkernfs_fd, lu_outcome_uuid(u, i), false, NULL);
	struct view_call *c;

	if (dir < 0 || lu_launch_read(dir, &launch, NULL) < 0 || !launch.view)
		return;
	c = calloc(1, sizeof(*c));
	if (!c)
		return;
	c->update = u;
	c->cookie = u->cookie;
	snprintf(c->name, sizeof(c->name), "%s", lu_outcome_name(u, i));
	snprintf(c->unit, sizeof(c->unit), "luctl-sight-%s.service", c->name);
	if (lu_host_run(u->env->host, c->unit, argv, 0, on_view, free, c, &e) < 0) {
		log_warning_vm(c->name, "%s", e.what ?: c->unit);
		free(c);
		return;
	}
	u->pending++;
}

int lu_step_complete_views(struct lu_update *u, struct lu_error *e)
{
	for (size_t i = 0; i < u->doc.n_vms; i++)
		if (lu_outcome(u, i)->alive)
			complete_view(u, i);
	return u->pending ? 0 : 1;
}

int lu_step_adopt(struct lu_update *u, struct lu_error *e)
{
	for (size_t i = 0; i < u->doc.n_vms; i++) {
		if (lu_outcome(u, i)->alive)
			lu_outcome_adopt(u, i);
		else if (!lu_outcome(u, i)->left)
			(void)lu_keeper_adopt(u, u->outcomes[i].vm);
	}
	return 1;
}

struct restore_call {
	struct lu_update *update;
	size_t index;
};

static bool wants_restore(const struct lu_outcome *o)
{
	return o->vm && !o->alive && !o->left &&
	       (!o->read || (o->result.status == LU_RESULT_FAILED && o->result.retry));
}

/*
 * What a late VM needs (a network, a disk in it) comes up with the host's other units, and nobody tells us when: tried
 * again after so many seconds. All of it is less than the state's limit.
 */
static const unsigned int round_delays[] = { 5, 10, 20, 30, 60 };

/* It failed, it never ran, and it is one that needs what comes up later. */
static bool may_come_up(struct lu_update *u, size_t i)
{
	_cleanup_(lu_launch_clear) struct lu_launch launch = { 0 };
	_cleanup_close_ int dir = -EBADF;

	if (!wants_restore(&u->outcomes[i]) || !u->outcomes[i].read)
		return false;
	dir = lu_store_open(u->pkernfs_fd, lu_outcome_uuid(u, i), false, NULL);
	return dir >= 0 && lu_launch_read(dir, &launch, NULL) >= 0 && launch.late;
}

static void restore_more(struct lu_update *u);

static int on_round(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct lu_update *u = userdata;

	u->round_timer = sd_event_source_disable_unref(u->round_timer);
	u->restore_next = 0;
	restore_more(u);
	if (u->pending == 0)
		lu_step_done(u, 0, NULL);
	return 0;
}

/* true: there is another round, later */
static bool begin_round(struct lu_update *u)
{
	unsigned int delay = u->rounds < ARRAY_SIZE(round_delays) ? round_delays[u->rounds] : 0;
	bool any = false;

	for (size_t i = 0; delay && i < u->doc.n_vms; i++) {
		if (!may_come_up(u, i))
			continue;
		log_warning_vm(lu_outcome_name(u, i), "%s; tried again in %u s",
			       u->outcomes[i].error.what ?: "it could not be restored", delay);
		any = true;
	}
	if (!any || sd_event_add_time_relative(u->env->event, &u->round_timer, CLOCK_MONOTONIC,
					       delay * UINT64_C(1000000), 0, on_round, u) < 0)
		return false;
	u->rounds++;
	return true;
}

static void on_restored(void *userdata, int r, struct lu_error *error);

/* In the order of the request, and no more at once than it says. */
static void restore_more(struct lu_update *u)
{
	size_t limit = lu_request_restores(&u->doc);

	for (; u->restore_next < u->doc.n_vms && u->pending < limit; u->restore_next++) {
		struct lu_outcome *o = &u->outcomes[u->restore_next];
		struct restore_call *c;
		int r;

		if (!wants_restore(o) || (u->rounds && !may_come_up(u, u->restore_next)))
			continue;
		lu_error_clear(&o->error);
		c = calloc(1, sizeof(*c));
		if (!c) {
			lu_outcome_fail(o, "luctl restore tries again", strerror(ENOMEM));
			continue;
		}
		*c = (struct restore_call){ u, u->restore_next };
		r = lu_restore_start(u, u->restore_next, LU_PROGRAM_ONLY, on_restored, free, c, &o->error);
		if (r < 0)
			free(c);
		else
			u->pending++;
	}
}

static void on_restored(void *userdata, int r, struct lu_error *error)
{
	struct restore_call *c = userdata;
	struct lu_update *u = c->update;

	lu_restore_done(u, c->index, LU_PROGRAM_ONLY);
	free(c);
	u->pending--;
	restore_more(u);
	if (u->pending == 0 && !begin_round(u))
		lu_step_done(u, 0, NULL);
}

int lu_step_restore(struct lu_update *u, struct lu_error *e)
{
	u->restore_next = 0;
	u->rounds = 0;
	restore_more(u);
	return u->pending ? 0 : 1;
}

/* lu-init may have been killed between loading and cont. One that it let run and that is paused was paused by somebody else. */
static bool only_loaded(const struct lu_outcome *o)
{
	return o->alive && !o->paused && o->result.status == LU_RESULT_LOADED;
}

int lu_step_resume_loaded(struct lu_update *u, struct lu_error *e)
{
	return lu_step_vms_if(u, LU_VM_RESUME, LU_PHASE_VM_RESUME, only_loaded, e);
}

/* Somebody may have paused it; or QEMU has stopped it, for what happened to it or to KVM. */
static void fail_stopped(struct lu_outcome *o, const struct lu_vm *vm)
{
	const char *state = lu_vm_facts(vm)->run_state;
	char what[80], hint[128];

	if (!strcmp(state, "paused")) {
		lu_outcome_fail(o, "continue it by its monitor", "it is paused");
		return;
	}
	snprintf(what, sizeof(what), "its QEMU has stopped it: %s", state);
	snprintf(hint, sizeof(hint), "see " LU_RUN_DIR "/vm/%s/qemu.log", lu_vm_name(vm));
	lu_outcome_fail(o, hint, what);
}

static void on_verified(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	struct lu_update *u = userdata;

	for (size_t i = 0; i < u->doc.n_vms; i++) {
		struct lu_outcome *o = &u->outcomes[i];

		if (o->vm != vm)
			continue;
		/* all guests come back at once, and so do the host's services: one that is late is not missing */
		if (r == -ETIMEDOUT && !o->slow) {
			o->slow = true;
			lu_vm_disconnect(vm);
			if (lu_vm_op_start(vm, LU_VM_PROBE, NULL, 0, on_verified, u) == 0)
				return;
		}
		if (r < 0)
			lu_outcome_fail(o, e ? e->hint : NULL, e && e->what ? e->what : strerror(-r));
		else if (lu_vm_facts(vm)->state == LU_VM_PAUSED && !o->paused)
			fail_stopped(o, vm);
		if (o->error.code)
			o->alive = false;
		else
			lu_outcome_watch(u, i);
	}
	lu_vm_disconnect(vm);
	if (--u->pending == 0)
		lu_step_done(u, 0, NULL);
}

/* Asks each VM that is said to run whether it does. */
int lu_step_verify(struct lu_update *u, struct lu_error *e)
{
	for (size_t i = 0; i < u->doc.n_vms; i++) {
		struct lu_outcome *o = &u->outcomes[i];
		int r;

		if (!o->alive)
			continue;
		lu_error_clear(&o->error);
		o->slow = false;
		r = lu_vm_op_start(o->vm, LU_VM_PROBE, NULL, 0, on_verified, u);
		if (r < 0)
			lu_outcome_fail(o, NULL, strerror(-r));
		else
			u->pending++;
	}
	return u->pending ? 0 : 1;
}

/* What was saved of a guest that has run since no longer fits its memory. */
static const char *hint_of(const struct lu_outcome *o)
{
	if (o->vm && lu_vm_waits(o->vm, NULL))
		return "its state is kept: luctl restore VM";
	return o->error.hint ?: "start the guest afresh from its disks";
}

int lu_step_cleanup(struct lu_update *u, struct lu_error *e)
{
	for (size_t i = 0; i < u->doc.n_vms; i++) {
		_cleanup_error_ struct lu_error error = LU_ERROR_INIT;
		struct lu_outcome *o = &u->outcomes[i];

		if (o->left)
			continue;
		if (!o->alive)
			(void)lu_error_set(e, -EIO, hint_of(o), "VM %s: %s", u->doc.vms[i].name,
					   o->error.what ?: "is not running");
		else if (lu_vm_clean(o->vm, &error) < 0)
			log_warning_vm(u->doc.vms[i].name, "%s", error.what ?: "its record can't be removed");
	}
	return e->code ? e->code : 1;
}
