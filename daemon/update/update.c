// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Between the engine, which knows no I/O, and the world. Here: the engine's ops
 * (journal, timer, progress), the list of steps that make up each effect, start,
 * cancel and recovery. What a step does is in steps-before.c and steps-after.c.
 *
 * An effect is a list of steps run one after the other. The first that fails
 * ends the effect, except in undo, where every step is tried and the first error
 * is kept. Hooks of the administrator are the first step; in undo they come after
 * the guests run again, which are not to wait for them. Nor are they to wait for
 * the thawing of file systems, which goes on beside them.
 *
 * Life: start → the engine commits "checking" (which makes journal, trace and
 * request anew) → steps → … → the jump, where this process ends; or a state of
 * rest. A new process recovers from the journal: request.json tells the VMs, the
 * records in vm/<uuid>/ how far each of them is.
 *
 * Unhappy paths: 1. pkernfs missing at start: refused, nothing happened;
 * 2. journal damaged at recovery: refused with its error, VMs stay as they are,
 * a new update may be started once the operator has removed it; 3. anything
 * else: the engine's table.
 *
 * VMs that are added while one runs would not survive: the manager refuses them, and right before the
 * reboot call the definitions, and every VM, are looked at again (lu_step_look_again()).
 *
 * A saved state is found by what is in pkernfs, never by the last request: that is overwritten by each update,
 * also by one that is refused.
 *
 * Not handled: two updates at once (refused).
 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>

#include "hooks.h"
#include "log.h"
#include "update-internal.h"

#define JOURNAL_PATH "update/journal"
#define TRACE_PATH "update/trace"
#define HOOK_TIMEOUT_USEC (60 * UINT64_C(1000000))
#define HOOK_BLACKOUT_TIMEOUT_USEC (10 * UINT64_C(1000000))
#define STEPS_MAX 12

static int step_hooks(struct lu_update *u, struct lu_error *e);

static const struct effect_steps {
	bool go_on; /* try every step, whatever failed before */
	lu_step_t steps[STEPS_MAX];
} effect_steps[LU_EFFECT_MAX] = {
	[LU_EFFECT_CHECK] = { .steps = { step_hooks, lu_step_check } },
	[LU_EFFECT_LOAD] = { .steps = { step_hooks, lu_step_load } },
	[LU_EFFECT_PREPARE] = { .steps = { step_hooks, lu_step_inhibit, lu_step_prepare_vms, lu_step_quiesce,
					   lu_step_sync } },
	[LU_EFFECT_PAUSE] = { .steps = { step_hooks, lu_step_pause_vms } },
	[LU_EFFECT_SAVE] = { .steps = { step_hooks, lu_step_save_vms } },
	[LU_EFFECT_SEAL] = { .steps = { step_hooks, lu_step_flush, lu_step_freeze } },
	[LU_EFFECT_JUMP] = { .steps = { step_hooks, lu_step_look_again, lu_step_check_again, lu_step_jump } },
	[LU_EFFECT_UNDO] = { .go_on = true,
			     .steps = { lu_step_thaw, lu_step_resume_vms, lu_step_settle, lu_step_clocks,
					lu_step_thawed, step_hooks, lu_step_unload, lu_step_unprepare_vms,
					lu_step_unquiesce, lu_step_uninhibit, lu_step_report } },
	[LU_EFFECT_REVIEW] = { .steps = { step_hooks, lu_step_review } },
	[LU_EFFECT_ADOPT] = { .steps = { step_hooks, lu_step_adopt } },
	[LU_EFFECT_RESTORE] = { .steps = { step_hooks, lu_step_restore } },
	[LU_EFFECT_RESUME] = { .steps = { step_hooks, lu_step_resume_loaded, lu_step_verify } },
	[LU_EFFECT_FINISH] = { .steps = { step_hooks, lu_step_report, lu_step_measure, lu_step_cleanup } },
	[LU_EFFECT_EXAMINE] = { .steps = { step_hooks, lu_step_check } },
	[LU_EFFECT_REPLACE] = { .steps = { step_hooks, lu_step_replace, lu_step_report } },
};

/* --- steps --- */

static void effect_forget(struct lu_update *u)
{
	u->worker = lu_worker_free(u->worker);
	lu_thaw_forget(u);
	u->check = lu_check_free(u->check);
	lu_error_clear(&u->error);
	u->pending = 0;
	u->effect = LU_EFFECT_NONE;
}

static void effect_complete(struct lu_update *u)
{
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;

	lu_error_move(&error, &u->error);
	effect_forget(u);
	(void)lu_engine_complete(u->engine, u->cookie, error.code ? &error : NULL);
}

/* Runs steps until one has to wait or there is none left. */
static void steps_run(struct lu_update *u)
{
	const struct effect_steps *es = &effect_steps[u->effect];
	uint64_t cookie = u->cookie;

	while (u->step < STEPS_MAX && es->steps[u->step]) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		int r = es->steps[u->step++](u, &e);

		if (u->cookie != cookie || u->effect == LU_EFFECT_NONE || r == 0)
			return;
		if (r > 0)
			continue;
		if (!e.code)
			(void)lu_error_set(&e, r, NULL, "%s: %s", lu_effect_name(u->effect), strerror(-r));
		if (es->go_on)
			(void)log_failure(r, &e, "going on");
		lu_error_move(&u->error, &e);
		if (!es->go_on)
			break;
	}
	effect_complete(u);
}

void lu_step_done(struct lu_update *u, int r, const struct lu_error *e)
{
	bool go_on = effect_steps[u->effect].go_on;

	u->worker = lu_worker_free(u->worker);
	if (r < 0) {
		(void)lu_error_set(&u->error, r, e ? e->hint : NULL, "%s", e && e->what ? e->what : strerror(-r));
		if (go_on && e)
			(void)log_failure(r, e, "going on");
	}
	if (r < 0 && !go_on)
		effect_complete(u);
	else
		steps_run(u);
}

void lu_step_worker_done(void *userdata, int r, struct lu_error *error)
{
	lu_step_done(userdata, r, error);
}

/* On the way back and after the jump hooks are told, not asked. */
static int hooks_result(struct lu_update *u, int r, struct lu_error *e)
{
	if (r < 0 && (u->effect == LU_EFFECT_UNDO || (u->effect > LU_EFFECT_JUMP && u->effect < LU_EFFECT_EXAMINE))) {
		(void)log_failure(r, e, "hook");
		lu_error_clear(e);
		return 1;
	}
	return r;
}

static void on_hooks(void *userdata, int r, struct lu_error *error)
{
	struct lu_update *u = userdata;

	lu_step_done(u, hooks_result(u, r, error), error);
}

static int step_hooks(struct lu_update *u, struct lu_error *e)
{
	bool paused = u->effect >= LU_EFFECT_PAUSE && u->effect <= LU_EFFECT_JUMP;
	int r;

	/* reading a directory may have to wait for the disk: not while guests stand still */
	if (!paused)
		u->hooks = lu_hooks_present();
	if (!u->hooks)
		return 1;
	r = lu_hooks_run(u->daemon->event, u->info.state, u->doc.id,
			 paused ? HOOK_BLACKOUT_TIMEOUT_USEC : HOOK_TIMEOUT_USEC, on_hooks, u, &u->worker);
	return hooks_result(u, r, e);
}

static int op_start_effect(void *ud, enum lu_effect effect, uint64_t cookie, struct lu_error *e)
{
	struct lu_update *u = ud;

	u->effect = effect;
	u->cookie = cookie;
	u->step = 0;
	steps_run(u);
	return 0;
}

static void op_cancel_effect(void *ud, enum lu_effect effect, uint64_t cookie)
{
	struct lu_update *u = ud;

	for (size_t i = 0; i < u->doc.n_vms; i++)
		if (u->outcomes && u->outcomes[i].vm)
			lu_vm_op_cancel(u->outcomes[i].vm);
	lu_host_cancel(u->daemon->host);
	effect_forget(u);
}

/* --- VMs in parallel --- */

static void trace_vm(struct lu_update *u, struct lu_vm *vm, enum lu_phase phase, enum lu_trace_kind kind, int r)
{
	for (size_t i = 0; i < u->doc.n_vms; i++)
		if (u->outcomes[i].vm == vm)
			lu_trace_add(u->trace, phase, (unsigned int)i, kind, r, NULL);
}

static void on_vm(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	struct lu_update *u = userdata;
	enum lu_phase phase = (enum lu_phase)(uintptr_t)lu_vm_userdata(vm);

	if (phase)
		trace_vm(u, vm, phase, LU_TRACE_END, r);
	if (phase == LU_PHASE_VM_PAUSE && r == 0)
		trace_vm(u, vm, LU_PHASE_VM_BLACKOUT, LU_TRACE_BEGIN, 0);
	if (phase == LU_PHASE_VM_RESUME && r == 0)
		trace_vm(u, vm, LU_PHASE_VM_BLACKOUT, LU_TRACE_END, 0);
	if (r < 0)
		(void)lu_error_set(&u->error, r, e ? e->hint : NULL, "%s", e && e->what ? e->what : strerror(-r));
	if (--u->pending > 0)
		return;
	if (u->error.code && !effect_steps[u->effect].go_on)
		effect_complete(u);
	else
		steps_run(u);
}

int lu_step_vms_if(struct lu_update *u, enum lu_vm_op op, enum lu_phase phase,
		   bool (*wanted)(const struct lu_outcome *o), struct lu_error *e)
{
	uint64_t limit = op == LU_VM_PAUSE || op == LU_VM_SAVE ? u->daemon->config.save_timeout_usec : 0;
	int ret = 1;

	for (size_t i = 0; i < u->doc.n_vms; i++) {
		struct lu_vm *vm = u->outcomes[i].vm;
		int r;

		if (!vm || (wanted && !wanted(&u->outcomes[i])))
			continue;
		lu_vm_set_userdata(vm, (void *)(uintptr_t)phase);
		if (phase)
			lu_trace_add(u->trace, phase, (unsigned int)i, LU_TRACE_BEGIN, 0, NULL);
		r = lu_vm_op_start(vm, op, u->doc.id, limit, on_vm, u);
		if (r == 0) {
			u->pending++;
			ret = 0;
		} else {
			(void)lu_error_set(e, r, NULL, "VM %s: %s: %s", lu_vm_name(vm), lu_vm_op_to_string(op),
					   strerror(-r));
		}
	}
	/* What could not even be started fails the step, but only once the others have answered. */
	if (e->code && ret == 0)
		lu_error_move(&u->error, e);
	return e->code ? e->code : ret;
}

int lu_step_vms(struct lu_update *u, enum lu_vm_op op, enum lu_phase phase, struct lu_error *e)
{
	return lu_step_vms_if(u, op, phase, NULL, e);
}

/* --- the engine's ops --- */

int lu_update_open_pkernfs(struct lu_update *u, struct lu_error *e)
{
	if (!lu_pkernfs_mounted(u->daemon, NULL, NULL))
		return lu_error_set(
			e, -ENODEV,
			"boot a kernel with the luctl series and kho=on; systemctl start run-luctl-pkernfs.mount",
			"%s: pkernfs is not mounted here", u->daemon->config.pkernfs);
	if (u->pkernfs_fd >= 0)
		return 0;
	u->pkernfs_fd = open(u->daemon->config.pkernfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (u->pkernfs_fd < 0)
		return lu_error_set(e, -errno, NULL, "%s: %s", u->daemon->config.pkernfs, strerror(errno));
	return 0;
}

static int begin_files(struct lu_update *u, struct lu_error *e)
{
	int r;

	r = lu_update_open_pkernfs(u, e);
	if (r < 0)
		return r;
	r = lu_mkdir_p(u->pkernfs_fd, "update", 0700);
	if (r < 0)
		return lu_error_set(e, r, "see luctl status for the space in pkernfs", "update/: %s", strerror(-r));
	if (unlinkat(u->pkernfs_fd, "update/report.json", 0) < 0 && errno != ENOENT)
		return lu_error_set(e, -errno, NULL, "update/report.json: %s", strerror(errno));
	r = lu_request_doc_write(u->pkernfs_fd, &u->doc, e);
	if (r == 0)
		r = lu_trace_create(u->pkernfs_fd, TRACE_PATH, u->doc.id, 0, LU_TRACE_LUCTLD, &u->trace, e);
	if (r == 0)
		r = lu_journal_create(u->pkernfs_fd, JOURNAL_PATH, u->doc.id, NULL, &u->journal, e);
	return r;
}

static int op_commit(void *ud, const struct lu_transition *t)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	bool starts = t->event == LU_EVENT_START || t->event == LU_EVENT_START_VMM;
	struct lu_update *u = ud;
	int r = 0;

	if (starts)
		r = begin_files(u, &e);
	if (r == 0 && u->journal)
		r = lu_journal_append(u->journal, t->to, t->event, t->cause, &e);
	else if (r == 0)
		r = -ENOTCONN;
	if (r < 0) {
		(void)log_failure(r, &e, "update journal");
		/* At start the caller tells it; later on the engine makes an error of its own. */
		if (starts)
			lu_error_move(&u->error, &e);
	}
	return r;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct lu_update *u = userdata;

	(void)lu_engine_timeout(u->engine);
	return 0;
}

static int op_arm_timer(void *ud, uint64_t usec)
{
	struct lu_update *u = ud;
	int r;

	if (usec == 0)
		return u->timer ? sd_event_source_set_enabled(u->timer, SD_EVENT_OFF) : 0;
	if (!u->timer)
		return sd_event_add_time_relative(u->daemon->event, &u->timer, CLOCK_MONOTONIC, usec, 0, on_timer, u);
	r = sd_event_source_set_time_relative(u->timer, usec);
	return r < 0 ? r : sd_event_source_set_enabled(u->timer, SD_EVENT_ONESHOT);
}

static const char *result_of(enum lu_state s)
{
	return s == LU_STATE_DONE     ? "success" :
	       s == LU_STATE_ABORTED  ? "aborted" :
	       s == LU_STATE_DEGRADED ? "degraded" :
					NULL;
}

static void come_to_rest(struct lu_update *u, enum lu_state s)
{
	u->info.running = false;
	u->info.result = result_of(s);
	u->info.error = lu_engine_error(u->engine);
	lu_trace_add(u->trace, LU_PHASE_UPDATE, LU_TRACE_NO_VM, LU_TRACE_END, u->info.error->code, NULL);
	lu_trace_free(u->trace);
	u->trace = NULL;
	lu_journal_free(u->journal);
	u->journal = NULL;
	lu_request_clear(&u->asked);
	closep(&u->image_fd);
	u->image_fd = -EBADF;
	for (size_t i = 0; i < u->doc.n_vms; i++)
		if (u->outcomes[i].vm)
			lu_vm_disconnect(u->outcomes[i].vm);
	lu_job_finish(u->job, u->info.result, u->info.error->code ? u->info.error : NULL);
	u->job = NULL;
}

static void op_entered(void *ud, const struct lu_transition *t)
{
	struct lu_update *u = ud;
	const char *what = t->cause && t->cause->what ? t->cause->what : "";

	u->info.state = lu_state_name(t->to);
	u->info.running = !lu_state_is_rest(t->to);
	if (t->event == LU_EVENT_START || t->event == LU_EVENT_START_VMM)
		lu_trace_add(u->trace, LU_PHASE_UPDATE, LU_TRACE_NO_VM, LU_TRACE_BEGIN, 0, NULL);
	if (!lu_state_is_rest(t->from))
		lu_trace_add(u->trace, t->from, LU_TRACE_NO_VM, LU_TRACE_END, t->cause ? t->cause->code : 0, NULL);
	if (u->info.running)
		lu_trace_add(u->trace, t->to, LU_TRACE_NO_VM, LU_TRACE_BEGIN, 0, NULL);
	if (t->to == LU_STATE_JUMP)
		lu_trace_add(u->trace, LU_PHASE_KEXEC, LU_TRACE_NO_VM, LU_TRACE_BEGIN, 0, NULL);
	log_info("update %s: %s%s%s", u->doc.id ?: "-", u->info.state, *what ? ", since " : "", what);
	(void)sd_notifyf(0, "STATUS=%s", u->info.state);
	lu_job_progress(u->job, u->info.state, what);
	(void)sd_bus_emit_properties_changed(u->daemon->bus, LU_BUS_PATH, "org.luctl1.Manager", "State", NULL);
	if (!u->info.running)
		come_to_rest(u, t->to);
}

static const struct lu_engine_ops engine_ops = {
	.commit = op_commit,
	.start_effect = op_start_effect,
	.cancel_effect = op_cancel_effect,
	.arm_timer = op_arm_timer,
	.entered = op_entered,
};

/* --- start, cancel, recover --- */

void lu_outcome_clear(struct lu_outcome *o)
{
	lu_error_clear(&o->error);
	lu_clock_clear(&o->clock);
	if (o->read)
		lu_result_clear(&o->result);
	lu_vm_unref(o->vm);
	*o = (struct lu_outcome){ 0 };
}

static void outcomes_free(struct lu_update *u)
{
	for (size_t i = 0; u->outcomes && i < u->doc.n_vms; i++)
		lu_outcome_clear(&u->outcomes[i]);
	free(u->outcomes);
	u->outcomes = NULL;
	lu_request_doc_clear(&u->doc);
}

int lu_update_new(struct lu_daemon *d, struct lu_update **ret)
{
	_cleanup_(lu_update_freep) struct lu_update *u = calloc(1, sizeof(*u));
	static const struct lu_error none = LU_ERROR_INIT;
	int r;

	if (!u)
		return -ENOMEM;
	u->daemon = d;
	u->pkernfs_fd = -EBADF;
	u->image_fd = -EBADF;
	u->info.state = lu_state_name(LU_STATE_IDLE);
	u->info.error = &none;
	r = lu_engine_new(&engine_ops, u, &u->engine);
	for (enum lu_state s = LU_STATE_PAUSING; r >= 0 && s <= LU_STATE_SAVING; s++)
		r = lu_engine_set_limit(u->engine, s, lu_config_limit(&d->config, lu_state_row(s)->limit_sec));
	if (r < 0)
		return r;
	*ret = steal_ptr(u);
	return 0;
}

struct lu_update *lu_update_free(struct lu_update *u)
{
	if (!u)
		return NULL;
	lu_engine_free(u->engine);
	effect_forget(u);
	sd_event_source_disable_unref(u->timer);
	lu_journal_free(u->journal);
	lu_trace_free(u->trace);
	lu_request_clear(&u->asked);
	outcomes_free(u);
	lu_outcome_clear(&u->kept);
	free(u->kept_update);
	closep(&u->pkernfs_fd);
	closep(&u->image_fd);
	free(u);
	return NULL;
}

static int new_uuid(char **ret)
{
	uint8_t b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return -EIO;
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	if (asprintf(ret, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
		     b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]) < 0)
		return -ENOMEM;
	return 0;
}

static int make_doc(const struct lu_request *q, struct lu_request_doc *doc)
{
	struct utsname uts;
	int r = new_uuid(&doc->id);

	(void)uname(&uts);
	if (r < 0)
		return r;
	doc->vmm = q->vmm;
	doc->kernel = strdup(q->vmm ? uts.release : q->kernel);
	doc->initrd = q->initrd ? strdup(q->initrd) : NULL;
	doc->cmdline = strdup("");
	doc->from = strdup(uts.release);
	doc->excluded = calloc(1, sizeof(char *));
	return doc->kernel && doc->cmdline && doc->from && doc->excluded && !q->initrd == !doc->initrd ? 0 : -ENOMEM;
}

int lu_update_start(struct lu_update *u, struct lu_request *q, struct lu_job **ret, struct lu_error *error)
{
	struct lu_request_doc doc = { 0 };
	int r;

	if (u->info.running || u->restore_job)
		return lu_error_set(error, -EBUSY, "luctl status tells how far it is", "an update is under way");
	r = make_doc(q, &doc);
	if (r < 0) {
		lu_request_doc_clear(&doc);
		return r;
	}
	outcomes_free(u);
	u->doc = doc;
	u->asked = *q;
	*q = (struct lu_request){ 0 };
	u->info.id = u->doc.id;
	u->info.kernel = u->doc.kernel;
	u->info.since_usec = lu_clock_ns(CLOCK_REALTIME) / 1000;
	r = lu_job_new(u->daemon, "update", lu_update_cancel_job, &u->job);
	if (r < 0)
		return r;
	*ret = u->job;
	r = lu_engine_start(u->engine, u->doc.vmm ? LU_EVENT_START_VMM : LU_EVENT_START, error);
	if (r < 0) {
		if (u->error.code) {
			lu_error_clear(error);
			lu_error_move(error, &u->error);
		}
		lu_job_finish(u->job, "failed", error);
		u->job = NULL;
		lu_request_clear(&u->asked);
	}
	lu_error_clear(&u->error);
	return r;
}

int lu_update_cancel(struct lu_update *u, const char *why, struct lu_error *error)
{
	return lu_engine_cancel(u->engine, why, error);
}

int lu_update_cancel_job(struct lu_daemon *d, struct lu_error *error)
{
	return lu_update_cancel(d->update, "cancelled by request", error);
}

int lu_update_recover(struct lu_update *u, struct lu_error *error)
{
	struct lu_journal_record last;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	char boot_id[37];
	int r;

	if (lu_update_open_pkernfs(u, &e) < 0 || faccessat(u->pkernfs_fd, JOURNAL_PATH, F_OK, 0) < 0)
		return 0;
	r = lu_boot_id(boot_id);
	if (r == 0)
		r = lu_journal_open(u->pkernfs_fd, JOURNAL_PATH, NULL, &u->journal, &last, error);
	if (r == 0)
		r = lu_request_doc_read(u->pkernfs_fd, &u->doc, error);
	if (r < 0)
		return r;
	if (lu_trace_open(u->pkernfs_fd, TRACE_PATH, NULL, LU_TRACE_LUCTLD, &u->trace, &e) < 0)
		log_warning("update/trace: %s; the report will lack times", e.what ?: "can't be opened");
	u->info.id = u->doc.id;
	u->info.kernel = u->doc.kernel;
	u->info.since_usec = lu_journal_info(u->journal)->stamp.realtime_ns / 1000;
	u->outcomes = calloc(u->doc.n_vms ?: 1, sizeof(*u->outcomes));
	if (!u->outcomes)
		return -ENOMEM;
	lu_outcomes_find(u);
	r = lu_engine_recover(u->engine, last.seq ? &last : NULL, last.seq && !strcmp(last.boot_id, boot_id));
	if (r >= 0 && lu_engine_state(u->engine) == LU_STATE_DEGRADED &&
	    !strcmp(lu_journal_info(u->journal)->boot_id, boot_id))
		(void)lu_engine_undo_again(u->engine);
	if (!u->info.running) {
		u->info.state = lu_state_name(lu_engine_state(u->engine));
		u->info.result = result_of(lu_engine_state(u->engine));
		lu_journal_free(u->journal);
		u->journal = NULL;
		lu_trace_free(u->trace);
		u->trace = NULL;
		lu_watch_all(u);
	}
	return r;
}

const struct lu_update_info *lu_update_info(struct lu_update *u)
{
	return &u->info;
}
