// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The steps of the old kernel, each beside the one that takes it back. Every
 * undo step is idempotent and looks at the world, not at a memory of what was
 * done: it also runs in a new daemon process that knows only the journal.
 *
 *	inhibit		↔ uninhibit
 *	prepare VMs	↔ unprepare VMs
 *	quiesce		↔ unquiesce
 *	pause, save	↔ resume VMs
 *	load		↔ unload
 *	freeze		↔ thaw, beside the guests' going on
 *
 * What guests wrote is flushed twice: while they run, so that little is left, and when they are saved.
 */
#include <stdio.h>
#include <string.h>

#include "check-host.h"
#include "clock.h"
#include "cmdline.h"
#include "disks.h"
#include "filesystems.h"
#include "kexec.h"
#include "leave.h"
#include "log.h"
#include "outcomes.h"
#include "peers.h"
#include "restore.h"
#include "steps-before.h"
#include "steps.h"

#define WORKER_TIMEOUT_USEC (120 * UINT64_C(1000000))

static int run_worker(struct lu_update *u, lu_worker_fn_t fn)
{
	return lu_worker_call(u->env->event, fn, NULL, WORKER_TIMEOUT_USEC, lu_step_worker_done, u, &u->worker);
}

/* Whose turn is first in the next kernel: as the operator says, then those whose devices go on meanwhile, then by name. */
static int by_turn(const void *a, const void *b, void *config)
{
	const struct lu_check_vm *x = a, *y = b;
	size_t turn_x = lu_config_turn(config, lu_vm_name(x->vm), lu_vm_uuid(x->vm) ?: ""),
	       turn_y = lu_config_turn(config, lu_vm_name(y->vm), lu_vm_uuid(y->vm) ?: "");
	bool devices_x = lu_vm_facts(x->vm)->devices, devices_y = lu_vm_facts(y->vm)->devices;

	if (turn_x != turn_y)
		return turn_x < turn_y ? -1 : 1;
	if (devices_x != devices_y)
		return devices_x ? -1 : 1;
	return strcmp(lu_vm_name(x->vm), lu_vm_name(y->vm));
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * How long guests may stand still in this kernel, if this one is to go on in time in the next one. One that need not
 * go along keeps nobody from it, but what was asked for all counts for it, too.
 */
static void take_limit(struct lu_update *u, const struct lu_check_vm *v)
{
	uint64_t asked = u->asked.max_blackout_usec, own = lu_vm_max_blackout(v->vm), rest = 0, limit;
	bool must = lu_vm_policy(v->vm) == LU_VM_REQUIRED;

	limit = asked && own && must ? min_of(asked, own) : asked ?: must ? own : 0;
	if (!limit)
		return;
	if (must && v->predicted.rest_usec != LU_MEASURED_UNKNOWN)
		rest = min_of(v->predicted.rest_usec, limit);
	if (u->limit.usec && limit - rest >= u->limit.usec - u->limit.rest_usec)
		return;
	u->limit = (struct lu_patience){ limit, rest, limit != asked ? lu_vm_name(v->vm) : NULL };
}

/* VMs that do not go along, for the report. What is not running, or waits, is not left behind. */
static int take_left(struct lu_update *u, const struct lu_check_vm *v)
{
	_cleanup_free_ char *more = NULL;

	if (v->verdict != LU_VERDICT_LEFT_OUT || v->waits || !(v->reasons.n || lu_vm_listens(v->vm)))
		return 0;
	if (!v->reasons.n)
		return lu_left_add(
			&u->doc, v->vm,
			lu_asked_names(u->asked.exclude, v->vm) ? "left out as asked" : "left out by its policy", NULL);
	log_warning("VM %s is left behind: %s", lu_vm_name(v->vm), v->reasons.list[0].what);
	if (v->reasons.n > 1 && asprintf(&more, "%s (and %zu more)", v->reasons.list[0].what, v->reasons.n - 1) < 0)
		return -ENOMEM;
	return lu_left_add(&u->doc, v->vm, more ?: v->reasons.list[0].what, v->reasons.list[0].hint);
}

/* The VMs that will come along become part of the request. */
static int take_check(struct lu_update *u, struct lu_check *c, struct lu_error *e)
{
	size_t n_excluded = 0;

	u->image = c->image;
	closep(&u->image_fd);
	u->image_fd = steal_fd(&c->image_fd);
	u->running = c->running;
	if (c->cmdline) {
		free(u->doc.cmdline);
		u->doc.cmdline = steal_ptr(c->cmdline);
	}
	u->doc.vms = calloc(c->n_vms ?: 1, sizeof(*u->doc.vms));
	u->outcomes = calloc(c->n_vms ?: 1, sizeof(*u->outcomes));
	if (!u->doc.vms || !u->outcomes)
		return -ENOMEM;
	u->doc.restores = u->env->config.restores;
	u->limit = (struct lu_patience){ 0 };
	u->rest_usec = LU_MEASURED_UNKNOWN;
	if (c->n_vms)
		qsort_r(c->vms, c->n_vms, sizeof(*c->vms), by_turn, &u->env->config);
	for (size_t i = 0; i < c->n_vms; i++) {
		size_t at = u->doc.n_vms;

		if (take_left(u, &c->vms[i]) < 0)
			return -ENOMEM;
		if (c->vms[i].verdict != LU_VERDICT_GOES)
			continue;
		u->doc.n_vms++;
		u->doc.vms[at] = (struct lu_request_vm){ .name = strdup(lu_vm_name(c->vms[i].vm)),
							 .uuid = strdup(lu_vm_uuid(c->vms[i].vm)),
							 .predicted_usec = c->vms[i].predicted.usec };
		take_limit(u, &c->vms[i]);
		if (c->vms[i].predicted.rest_usec != LU_MEASURED_UNKNOWN &&
		    (u->rest_usec == LU_MEASURED_UNKNOWN || c->vms[i].predicted.rest_usec > u->rest_usec))
			u->rest_usec = c->vms[i].predicted.rest_usec;
		if (!u->doc.vms[at].name || !u->doc.vms[at].uuid)
			return -ENOMEM;
		/* defined anew since it was looked at: what was said of it need not hold */
		if (lu_vms_find(u->env->vms, u->doc.vms[at].uuid) != c->vms[i].vm)
			return lu_error_set(e, -ESTALE, "try again",
					    "VM %s: its definition was changed during the check", u->doc.vms[at].name);
		u->outcomes[at].vm = lu_vm_ref(c->vms[i].vm);
		snprintf(u->outcomes[at].qemu, sizeof(u->outcomes[at].qemu), "%s",
			 lu_vm_facts(c->vms[i].vm)->qemu_version ?: "");
		lu_vm_set_index(c->vms[i].vm, (unsigned int)at);
		lu_vm_set_here(c->vms[i].vm, u->doc.vmm);
		lu_vm_set_bad_pages(c->vms[i].vm, c->bad_pages);
		lu_restore_clear(u, at);
	}
	while (u->asked.exclude && u->asked.exclude[n_excluded])
		n_excluded++;
	if (n_excluded) {
		free(u->doc.excluded);
		u->doc.excluded = steal_ptr(u->asked.exclude);
	}
	return lu_request_doc_write(u->pkernfs_fd, &u->doc, e);
}

static void on_check(struct lu_check *c, void *userdata)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_update *u = userdata;
	const struct lu_finding *f;
	int r;

	f = lu_findings_first_error(&c->findings);
	if (f)
		r = lu_error_set(&e, -EPERM, f->hint, "%s: %s", f->object, f->what);
	else if (!lu_findings_ok(&c->findings))
		r = -ENOMEM;
	else
		r = take_check(u, c, &e);
	u->check = lu_check_free(u->check);
	lu_step_done(u, r, &e);
}

int lu_step_check(struct lu_update *u, struct lu_error *e)
{
	return lu_check_start(u->env, &u->asked, NULL, on_check, u, &u->check);
}

static void on_loaded(void *userdata, int r, struct lu_error *e)
{
	_cleanup_error_ struct lu_error other = LU_ERROR_INIT;
	struct lu_update *u = userdata;

	/* ours is one more; with two somebody else was there, too */
	if (r >= 0 && u->changes) {
		r = lu_kexec_same(AT_FDCWD, u->changes, &other);
		e = &other;
	}
	u->loaded = r >= 0 && u->changes;
	lu_step_done(u, r, e);
}

/* The files that were checked, not what stands at their paths by now. */
int lu_step_load(struct lu_update *u, struct lu_error *e)
{
	uint64_t before = 0;
	struct lu_kexec_files files = { .kernel_fd = u->image_fd,
					.initrd = u->doc.initrd,
					.initrd_fd = u->asked.initrd_fd };

	u->changes = lu_kexec_changes(AT_FDCWD, &before) == 0 ? before + 1 : 0;
	return lu_kexec_load(u->env->event, &files, u->doc.cmdline, on_loaded, u, &u->worker);
}

/* What somebody else has loaded over ours meanwhile is his. */
int lu_step_unload(struct lu_update *u, struct lu_error *e)
{
	_cleanup_error_ struct lu_error other = LU_ERROR_INIT;
	int r;

	if (u->loaded && lu_kexec_loaded() > 0 && lu_kexec_same(AT_FDCWD, u->changes, &other) == -ESTALE) {
		log_warning("the kernel image that is loaded is another one's, and stays");
		return 1;
	}
	r = lu_kexec_unload(e);
	return r < 0 ? r : 1;
}

int lu_step_inhibit(struct lu_update *u, struct lu_error *e)
{
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;

	if (lu_host_inhibit(u->env->host, &error) < 0)
		log_warning("%s; others could shut the host down during the update", error.what ?: "no inhibitor");
	return 1;
}

int lu_step_uninhibit(struct lu_update *u, struct lu_error *e)
{
	lu_host_uninhibit(u->env->host);
	return 1;
}

int lu_step_prepare_vms(struct lu_update *u, struct lu_error *e)
{
	return lu_step_vms(u, LU_VM_PREPARE, LU_PHASE_VM_PREPARE, e);
}

void lu_note_limits(struct lu_update *u, size_t i)
{
	_cleanup_(lu_limits_clear) struct lu_limits limits = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_vm *vm = u->outcomes[i].vm;
	_cleanup_close_ int dir = lu_store_open(u->pkernfs_fd, u->doc.vms[i].uuid, false, &e);
	char **lost = NULL;
	int r = dir < 0 ? dir : lu_host_limits(u->env->host, lu_vm_facts(vm)->pid, u->doc.vmm, &limits, &lost, &e);

	/* what is lost was told by the check */
	for (char **p = lost; p && *p; p++)
		free(*p);
	free(lost);
	if (r >= 0)
		r = lu_limits_write(dir, &limits, &e);
	if (r < 0)
		log_warning_vm(lu_vm_name(vm), "what its unit holds it to will be lost: %s", e.what ?: strerror(-r));
}

int lu_step_note_limits(struct lu_update *u, struct lu_error *e)
{
	for (size_t i = 0; i < u->doc.n_vms; i++)
		if (!u->outcomes[i].left)
			lu_note_limits(u, i);
	return 1;
}

static bool may_be_unprepared(const struct lu_outcome *o)
{
	return !o->moved;
}

int lu_step_unprepare_vms(struct lu_update *u, struct lu_error *e)
{
	return lu_step_vms_if(u, LU_VM_UNPREPARE, 0, may_be_unprepared, e);
}

static uint64_t budget_usec(const struct lu_update *u)
{
	return u->limit.usec - u->limit.rest_usec;
}

static int over_budget(const struct lu_update *u, struct lu_error *e)
{
	uint64_t now = lu_clock_ns(CLOCK_MONOTONIC);
	double stood = u->paused_ns ? (double)(now - u->paused_ns) / 1e9 : 0;

	if (!u->limit.usec || !u->paused_ns || stood * 1e6 <= (double)budget_usec(u))
		return 0;
	return lu_error_set(
		e, -ETIME,
		u->limit.vm ? "allow more by max_blackout_usec of that VM; luctl report tells what took how long" :
			      "allow more by --max-blackout; luctl report tells what took how long",
		"guests stand still for %.3f s already, and %.3f s more are predicted: longer than the %.3f s "
		"that %s%s",
		stood, (double)u->limit.rest_usec / 1e6, (double)u->limit.usec / 1e6,
		u->limit.vm ? "will do for VM " : "were asked for", u->limit.vm ?: "");
}

static void arm_budget(struct lu_update *u);

static int on_budget(sd_event_source *source, uint64_t usec, void *userdata)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT, refused = LU_ERROR_INIT;
	struct lu_update *u = userdata;

	u->budget = sd_event_source_disable_unref(u->budget);
	/* refused: it is undone already, or has jumped in this very moment */
	if (over_budget(u, &e) < 0)
		(void)lu_engine_cancel(u->engine, e.what, &refused);
	else
		arm_budget(u);
	return 0;
}

/* The loop's clock stands still while it works, so the time may not be over when the timer rings. */
static void arm_budget(struct lu_update *u)
{
	uint64_t stood = (lu_clock_ns(CLOCK_MONOTONIC) - u->paused_ns) / 1000, most = budget_usec(u);

	/* without a timer the last look judges alone */
	if (sd_event_add_time_relative(u->env->event, &u->budget, CLOCK_MONOTONIC,
				       (most > stood ? most - stood : 0) + 1000, 1000, on_budget, u) < 0)
		log_warning("no timer for --max-blackout; it is judged right before the jump");
}

int lu_step_pause_vms(struct lu_update *u, struct lu_error *e)
{
	u->paused_ns = lu_clock_ns(CLOCK_MONOTONIC);
	if (u->limit.usec)
		arm_budget(u);
	return lu_step_vms(u, LU_VM_PAUSE, LU_PHASE_VM_PAUSE, e);
}

int lu_step_save_vms(struct lu_update *u, struct lu_error *e)
{
	return lu_step_vms(u, LU_VM_SAVE, LU_PHASE_VM_SAVE, e);
}

int lu_step_resume_vms(struct lu_update *u, struct lu_error *e)
{
	return lu_step_vms(u, LU_VM_RESUME, LU_PHASE_VM_RESUME, e);
}

static void on_clocks(void *userdata, int r, struct lu_error *error)
{
	struct lu_update *u = userdata;

	for (size_t i = 0; i < u->doc.n_vms; i++)
		if (u->outcomes[i].vm)
			lu_outcome_read_clock(u, i);
	/* a guest that runs with a late clock is no failed undo; the report names it */
	lu_step_done(u, 0, NULL);
}

/* Guests that stood still and run on in this kernel. One that lu-init had to restore was asked by it. */
int lu_step_clocks(struct lu_update *u, struct lu_error *e)
{
	_cleanup_free_ const char **argv = calloc(u->doc.n_vms + 3, sizeof(*argv));
	size_t n = 0;

	if (!argv || !u->outcomes)
		return argv ? 1 : -ENOMEM;
	argv[n++] = LU_INIT_PATH;
	argv[n++] = "--clock";
	for (size_t i = 0; i < u->doc.n_vms; i++) {
		struct lu_outcome *o = &u->outcomes[i];

		if (!o->vm || !lu_vm_agent(o->vm) || !lu_vm_continued(o->vm))
			continue;
		lu_outcome_read_clock(u, i);
		if (!o->clock.update)
			argv[n++] = u->doc.vms[i].uuid;
	}
	return n == 2 ? 1 : lu_worker_exec(u->env->event, argv, WORKER_TIMEOUT_USEC, on_clocks, u, &u->worker);
}

static void on_units(void *userdata, int r, struct lu_error *error)
{
	struct lu_update *u = userdata;

	lu_trace_add(u->trace, LU_PHASE_UNITS, LU_TRACE_NO_VM, LU_TRACE_END, r, NULL);
	lu_step_done(u, r, error);
}

/* The units of those to whom a QEMU is connected. One that has ended needs nobody. */
static int keep_peers_of(struct lu_update *u, int proc, pid_t pid)
{
	struct lu_peers peers = { 0 };
	int r = lu_peers_find(proc, pid, &peers);

	r = r == -ENOMEM ? r : 0;
	for (size_t i = 0; r >= 0 && i < peers.n; i++) {
		_cleanup_free_ char *unit = peers.list[i].pid > 0 ? lu_peers_unit(proc, peers.list[i].pid) : NULL;

		if (unit) {
			log_info("%s stays: process %d is connected to it at %s", unit, (int)pid, peers.list[i].path);
			r = lu_host_keep(u->env->host, unit);
		}
	}
	lu_peers_clear(&peers);
	return r;
}

/* Guests run on until they are paused, and if the update is undone: also those that are left out, and nobody's. */
static int keep_peers(struct lu_update *u)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct lu_kvm_processes all = { 0 };
	int r = proc < 0 ? -errno : 0;

	for (size_t i = 0; r >= 0 && i < u->doc.n_vms; i++)
		if (u->outcomes[i].vm && lu_vm_facts(u->outcomes[i].vm)->pid > 0)
			r = keep_peers_of(u, proc, lu_vm_facts(u->outcomes[i].vm)->pid);
	if (r >= 0 && lu_kvm_processes_read(AT_FDCWD, &all) < 0)
		all = (struct lu_kvm_processes){ 0 };
	for (size_t i = 0; r >= 0 && i < all.n; i++)
		r = keep_peers_of(u, proc, all.list[i].pid);
	lu_kvm_processes_clear(&all);
	return r;
}

int lu_step_quiesce(struct lu_update *u, struct lu_error *e)
{
	int r;

	if (!u->env->config.quiesce)
		return 1;
	r = keep_peers(u);
	if (r < 0)
		return r;
	lu_trace_add(u->trace, LU_PHASE_UNITS, LU_TRACE_NO_VM, LU_TRACE_BEGIN, 0, "stop");
	return lu_host_quiesce(u->env->host, on_units, u, e);
}

int lu_step_unquiesce(struct lu_update *u, struct lu_error *e)
{
	if (!lu_host_quiesced())
		return 1;
	lu_trace_add(u->trace, LU_PHASE_UNITS, LU_TRACE_NO_VM, LU_TRACE_BEGIN, 0, "start");
	return lu_host_unquiesce(u->env->host, on_units, u, e);
}

/* Those that need not go along are flushed each by itself, so that it is known which one fails. */
static bool flushed_alone(const struct lu_outcome *o)
{
	return o->vm && !o->left && lu_vm_facts(o->vm)->pid > 0 && lu_vm_policy(o->vm) == LU_VM_BEST_EFFORT;
}

static int do_flush(void *arg, struct lu_error *error)
{
	struct lu_update *u = arg;
	_cleanup_free_ struct lu_disk_owner *owners = calloc(u->doc.n_vms ?: 1, sizeof(*owners));
	size_t n = 0;

	if (!owners)
		return -ENOMEM;
	for (size_t i = 0; i < u->doc.n_vms; i++) {
		struct lu_vm *vm = u->outcomes[i].vm;

		if (vm && !flushed_alone(&u->outcomes[i]) && !u->outcomes[i].left && lu_vm_facts(vm)->pid > 0)
			owners[n++] = (struct lu_disk_owner){ lu_vm_name(vm), lu_vm_facts(vm)->pid };
	}
	return lu_disks_flush(owners, n, error);
}

static int do_sync(void *arg, struct lu_error *error)
{
	int r = do_flush(arg, error);

	return r < 0 ? r : lu_filesystems_sync(error);
}

static int do_flush_one(void *arg, struct lu_error *error)
{
	struct lu_update *u = arg;
	struct lu_vm *vm = u->outcomes[u->turn].vm;

	return lu_disks_flush(&(struct lu_disk_owner){ lu_vm_name(vm), lu_vm_facts(vm)->pid }, 1, error);
}

static void flush_next(struct lu_update *u);

static void on_left(struct lu_update *u, int r, const struct lu_error *e)
{
	u->turn++;
	if (r < 0) {
		lu_trace_add(u->trace, LU_PHASE_SYNC, LU_TRACE_NO_VM, LU_TRACE_END, r, NULL);
		lu_step_done(u, r, e);
		return;
	}
	flush_next(u);
}

static void on_flushed_one(void *userdata, int r, struct lu_error *error)
{
	struct lu_update *u = userdata;

	u->worker = lu_worker_free(u->worker);
	if (r < 0 && !error->code)
		(void)lu_error_set(error, r, NULL, "its disks can't be flushed: %s", strerror(-r));
	if (r >= 0 || !lu_leave(u, u->outcomes[u->turn].vm, error, on_left))
		on_left(u, r, error);
}

static void flush_next(struct lu_update *u)
{
	int r = 0;

	while (u->turn < u->doc.n_vms && !flushed_alone(&u->outcomes[u->turn]))
		u->turn++;
	if (u->turn < u->doc.n_vms) {
		r = lu_worker_call(u->env->event, do_flush_one, u, WORKER_TIMEOUT_USEC, on_flushed_one, u, &u->worker);
		if (r >= 0)
			return;
	}
	lu_trace_add(u->trace, LU_PHASE_SYNC, LU_TRACE_NO_VM, LU_TRACE_END, r, NULL);
	lu_step_done(u, r, NULL);
}

static void on_sync(void *userdata, int r, struct lu_error *error)
{
	struct lu_update *u = userdata;

	if (r >= 0) {
		u->worker = lu_worker_free(u->worker);
		flush_next(u);
		return;
	}
	lu_trace_add(u->trace, LU_PHASE_SYNC, LU_TRACE_NO_VM, LU_TRACE_END, r, NULL);
	lu_step_done(u, r, error);
}

static int start_sync(struct lu_update *u, lu_worker_fn_t fn, const char *tag)
{
	u->turn = 0;
	lu_trace_add(u->trace, LU_PHASE_SYNC, LU_TRACE_NO_VM, LU_TRACE_BEGIN, 0, tag);
	return lu_worker_call(u->env->event, fn, u, WORKER_TIMEOUT_USEC, on_sync, u, &u->worker);
}

int lu_step_sync(struct lu_update *u, struct lu_error *e)
{
	return start_sync(u, do_sync, NULL);
}

/* Nothing syncs at reboot(KEXEC), and no guest writes any more. */
int lu_step_flush(struct lu_update *u, struct lu_error *e)
{
	return start_sync(u, do_flush, "disks");
}

static int do_freeze(void *arg, struct lu_error *error)
{
	return lu_filesystems_freeze(error);
}

int lu_step_freeze(struct lu_update *u, struct lu_error *e)
{
	return u->env->config.freeze ? run_worker(u, do_freeze) : 1;
}

static int do_thaw(void *arg, struct lu_error *error)
{
	return lu_filesystems_thaw(error);
}

static void on_thawed(void *userdata, int r, struct lu_error *error)
{
	struct lu_update *u = userdata;
	bool awaited = u->thaw.awaited;

	lu_thaw_forget(u);
	if (awaited)
		lu_step_done(u, r, error);
	else
		lu_error_move(&u->thaw.error, error);
}

/*
 * Only begun: a disk that does not answer holds the thawing of its file system, and no guest is to wait for that.
 * Nor does it wait for the guests, some of which may go on only when their disk's file system is thawed.
 */
int lu_step_thaw(struct lu_update *u, struct lu_error *e)
{
	int r;

	if (!u->env->config.freeze)
		return 1;
	lu_thaw_forget(u);
	r = lu_worker_call(u->env->event, do_thaw, NULL, WORKER_TIMEOUT_USEC, on_thawed, u, &u->thaw.worker);
	return r < 0 ? r : 1;
}

/* The steps that follow write to disks and start programs from them. */
int lu_step_thawed(struct lu_update *u, struct lu_error *e)
{
	u->thaw.awaited = u->thaw.worker != NULL;
	if (u->thaw.awaited)
		return 0;
	lu_error_move(e, &u->thaw.error);
	return e->code ? e->code : 1;
}

static bool takes_part(const struct lu_update *u, const struct lu_vm *vm)
{
	for (size_t i = 0; i < u->doc.n_vms; i++)
		if (u->outcomes[i].vm == vm)
			return true;
	return false;
}

/* It would end with this kernel, and nobody was told; if its policy allows that, it is noted. */
static int note_newcomer(struct lu_update *u, const struct lu_vm *vm, struct lu_error *e)
{
	int r;

	if (lu_vm_policy(vm) == LU_VM_REQUIRED)
		return lu_error_set(e, -EBUSY, "start the update again", "VM %s: was started since the check",
				    lu_vm_name(vm));
	log_warning("VM %s is left behind: it was started since the check", lu_vm_name(vm));
	r = lu_left_add(&u->doc, vm, "was started since the check", NULL);
	return r < 0 ? r : lu_request_doc_write(u->pkernfs_fd, &u->doc, e);
}

static int look_for_others(struct lu_update *u, struct lu_error *e)
{
	_cleanup_free_ char *file = NULL, *domain = NULL;
	struct lu_kvm_process stranger;
	struct lu_domains domains;
	int r = lu_vms_changed(u->env->vms, u->env->config.vms_dir, &file);

	if (r > 0)
		return lu_error_set(e, -EBUSY, "start the update again", "%s: was changed since the check", file);
	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: %s", u->env->config.vms_dir, strerror(-r));
	for (size_t i = 0; i < u->doc.n_vms; i++)
		if (!u->outcomes[i].left && lu_vms_find(u->env->vms, u->doc.vms[i].uuid) != u->outcomes[i].vm)
			return lu_error_set(e, -EBUSY, "start the update again",
					    "VM %s: its definition was changed since the check", u->doc.vms[i].name);
	for (struct lu_vm *vm = lu_vms_first(u->env->vms); r >= 0 && vm; vm = lu_vm_next(vm))
		if (!takes_part(u, vm) && !lu_asked_names(u->doc.excluded, vm) && !lu_left_named(&u->doc, vm) &&
		    lu_vm_listens(vm))
			r = note_newcomer(u, vm, e);
	if (r < 0)
		return r;
	r = lu_domains_read(AT_FDCWD, &domains);
	if (r < 0)
		return r;
	domain = lu_check_domain(u->env->vms, &domains, u->doc.excluded);
	r = domain ? 0 : lu_check_stranger(u->env->vms, &domains, u->doc.excluded, &stranger);
	lu_domains_clear(&domains);
	if (r > 0)
		return lu_error_set(e, -EBUSY, "declare it, shut it down, or exclude it",
				    "process %d (%s): its virtual machine was started since the check",
				    (int)stranger.pid, stranger.name);
	if (r < 0)
		return r;
	return domain ? lu_error_set(e, -EBUSY, "shut it down, migrate it away, or exclude it",
				     "libvirt domain %s: was started since the check", domain) :
			0;
}

/*
 * The last look: much time has passed since the check, some since the guests were saved. Whoever let one of them run
 * has made its memory newer than its state.
 */
int lu_step_look_again(struct lu_update *u, struct lu_error *e)
{
	int r = look_for_others(u, e);

	return r < 0 ? r : lu_step_vms(u, LU_VM_VERIFY, 0, e);
}

/*
 * What pkernfs is in use with may have changed since the check: a feature that the
 * target does not know would cost every guest there. Asked when nobody writes any more.
 */
int lu_step_check_again(struct lu_update *u, struct lu_error *e)
{
	_cleanup_findings_ struct lu_findings findings = LU_FINDINGS_INIT;
	const struct lu_finding *f;
	int r;

	r = lu_running_read_pkernfs(AT_FDCWD, &u->running, e);
	if (r < 0)
		return r;
	lu_target_check(&u->image, u->doc.kernel, &u->running, &findings);
	f = lu_findings_first_error(&findings);
	if (f)
		return lu_error_set(e, -EPERM, f->hint, "%s: %s, which was not so at the check", f->object, f->what);
	r = over_budget(u, e);
	if (r < 0)
		return r;
	return lu_findings_ok(&findings) ? 1 : -ENOMEM;
}

int lu_step_jump(struct lu_update *u, struct lu_error *e)
{
	int r = u->changes ? lu_kexec_same(AT_FDCWD, u->changes, e) : 0;

	return r < 0 ? r : u->doc.rehearse ? 1 : lu_kexec_jump(e);
}
