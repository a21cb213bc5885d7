// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The steps of the new kernel. lu-init has resumed what it could before this
 * process existed; its results are read here, never guessed. What it has not
 * touched, or could not bring up with the state still good, is tried once more
 * by `lu-init --restore` in a transient unit of its own, so that the QEMU does not
 * inherit this daemon's sandbox. A VM that fails again is left with its state for
 * `luctl restore`; it costs the update its "success", nothing else.
 *
 * All steps can be repeated by a new daemon process: results, scopes and
 * processes are looked up anew.
 */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>

#include "cmdline.h"
#include "log.h"
#include "update-internal.h"

static struct lu_outcome *outcome(struct lu_update *u, size_t i)
{
	return i == LU_OUTCOME_KEPT ? &u->kept : &u->outcomes[i];
}

static const char *name_of(const struct lu_update *u, size_t i)
{
	return i == LU_OUTCOME_KEPT ? lu_vm_name(u->kept.vm) : u->doc.vms[i].name;
}

static const char *uuid_of(const struct lu_update *u, size_t i)
{
	return i == LU_OUTCOME_KEPT ? lu_vm_uuid(u->kept.vm) : u->doc.vms[i].uuid;
}

/* By which its state was saved. */
static const char *update_of(const struct lu_update *u, size_t i)
{
	return i == LU_OUTCOME_KEPT ? u->kept_update : u->doc.id;
}

/* Connects the VMs of the request with the registry. */
void lu_outcomes_find(struct lu_update *u)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_daemon *d = u->daemon;

	if (lu_vms_load(d->vms, d->config.vms_dir, &e) < 0)
		log_warning("%s", e.what ?: d->config.vms_dir);
	lu_error_clear(&e);
	if (lu_vms_add_saved(d->vms, u->doc.id, &e) < 0)
		log_warning("%s", e.what ?: "saved VMs can't be listed");
	for (size_t i = 0; i < u->doc.n_vms; i++)
		u->outcomes[i].vm = lu_vm_ref(lu_vms_find(d->vms, u->doc.vms[i].uuid));
}

static void outcome_fail(struct lu_outcome *o, const char *hint, const char *what)
{
	lu_error_clear(&o->error);
	(void)lu_error_set(&o->error, -EIO, hint, "%s", what);
}

/* What its guest agent said, if it was asked in this update. */
void lu_outcome_read_clock(struct lu_update *u, size_t i)
{
	struct lu_clock *clock = &outcome(u, i)->clock;
	_cleanup_close_ int dir = lu_store_open(u->pkernfs_fd, uuid_of(u, i), false, NULL);

	lu_clock_clear(clock);
	if (dir < 0 || lu_clock_read(dir, clock, NULL) < 0)
		return;
	if (strcmp(clock->update, update_of(u, i)) != 0)
		lu_clock_clear(clock);
}

/* Reads what is on record about one VM; returns 1 if its QEMU is alive, else 0. */
int lu_outcome_read(struct lu_update *u, size_t i)
{
	struct lu_outcome *o = outcome(u, i);
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_(lu_saved_clear) struct lu_saved saved = { 0 };
	_cleanup_close_ int dir = -EBADF;

	if (!o->vm) {
		outcome_fail(o, "look into vm/ in pkernfs", "its record is gone");
		return 0;
	}
	dir = lu_store_open(u->pkernfs_fd, uuid_of(u, i), false, &e);
	if (dir >= 0 && lu_saved_read(dir, &saved, &e) == 0) {
		o->pause_tsc = saved.pause_tsc;
		o->paused = !saved.running;
	}
	if (o->read)
		lu_result_clear(&o->result);
	lu_error_clear(&e);
	o->read = lu_vm_result_read(o->vm, update_of(u, i), &o->result, &e) == 0;
	o->alive = o->read && lu_result_alive(&o->result);
	if (!o->read)
		outcome_fail(o, "luctl restore tries again", e.what ?: "it was not restored");
	else if (o->result.error)
		outcome_fail(o, o->result.error->hint, o->result.error->what);
	else if (!o->alive)
		outcome_fail(o, "see its log in /run/luctl/vm", "its QEMU has ended");
	else
		lu_error_clear(&o->error);
	lu_outcome_read_clock(u, i);
	return o->alive;
}

int lu_step_review(struct lu_update *u, struct lu_error *e)
{
	for (size_t i = 0; i < u->doc.n_vms; i++)
		(void)lu_outcome_read(u, i);
	return 1;
}

/* After adopting: a unit whose QEMU was ended on purpose is not failed. */
static void forgive_unit(struct lu_update *u, size_t i)
{
	const char *unit = outcome(u, i)->vm ? lu_vm_unit(outcome(u, i)->vm) : NULL;

	if (unit)
		lu_host_reset_failed(u->daemon->host, unit);
}

static void adopt(struct lu_update *u, size_t i)
{
	struct lu_outcome *o = outcome(u, i);
	char scope[128], description[128];

	snprintf(scope, sizeof(scope), "luctl-vm-%s.scope", name_of(u, i));
	snprintf(description, sizeof(description), "Virtual machine %s", name_of(u, i));
	lu_host_scope(u->daemon->host, scope, description, (pid_t)o->result.pid);
	if (i != LU_OUTCOME_KEPT)
		lu_trace_add(u->trace, LU_PHASE_VM_ADOPT, (unsigned int)i, LU_TRACE_MARK, 0, NULL);
}

/* A keeper lives in a unit of its own: the one it was started in ends. */
static pid_t adopt_keeper(struct lu_update *u, const struct lu_vm *vm)
{
	pid_t pid = vm ? lu_vm_keeper(vm) : 0;
	char scope[64], description[128];

	if (pid <= 0)
		return 0;
	snprintf(scope, sizeof(scope), "luctl-keeper-%s.scope", lu_vm_uuid(vm));
	snprintf(description, sizeof(description), "Devices of virtual machine %s, which is to be restored",
		 lu_vm_name(vm));
	lu_host_scope(u->daemon->host, scope, description, pid);
	return pid;
}

int lu_step_adopt(struct lu_update *u, struct lu_error *e)
{
	for (size_t i = 0; i < u->doc.n_vms; i++) {
		if (outcome(u, i)->alive)
			adopt(u, i);
		else
			(void)adopt_keeper(u, u->outcomes[i].vm);
	}
	return 1;
}

/* --- restoring what is not there --- */

/* With which program a restore is tried. */
enum program {
	PROGRAM_ONLY,  /* what stands at QEMU's path; a keeper stays if it fails */
	PROGRAM_FIRST, /* the same, but there is another try */
	PROGRAM_OLD,   /* what the QEMU before had */
};

static void restore_unit(struct lu_update *u, size_t i, enum program program, char buf[static 128])
{
	snprintf(buf, 128, "luctl-restore-%s%s.service", program == PROGRAM_OLD ? "old-" : "", name_of(u, i));
}

static int start_restore(struct lu_update *u, size_t i, enum program program, lu_worker_done_t done,
			 sd_event_destroy_t forget, void *userdata, struct lu_error *e)
{
	_cleanup_free_ char *fds = NULL, *exe = NULL;
	const char *argv[8] = { LU_INIT_PATH, "--restore", uuid_of(u, i) };
	size_t n = 3;
	char unit[128];
	int r = lu_vm_list_fds(outcome(u, i)->vm, &fds);

	if (r > 0) {
		argv[n++] = "--fds";
		argv[n++] = fds;
	}
	if (r >= 0 && program == PROGRAM_OLD)
		r = lu_vm_old_program(outcome(u, i)->vm, &exe);
	if (r < 0)
		return r;
	if (program == PROGRAM_FIRST)
		argv[n++] = "--no-keeper";
	if (exe) {
		argv[n++] = "--exe";
		argv[n++] = exe;
	}
	restore_unit(u, i, program, unit);
	return lu_host_run(u->daemon->host, unit, argv, done, forget, userdata, e);
}

static void restored(struct lu_update *u, size_t i, enum program program)
{
	struct lu_outcome *o = outcome(u, i);
	char unit[128];

	restore_unit(u, i, program, unit);
	if (lu_outcome_read(u, i)) {
		adopt(u, i);
		forgive_unit(u, i);
	}
	if (o->alive)
		lu_host_stop_left(u->daemon->host, unit, (pid_t)o->result.pid);
	else
		lu_host_stop_left(u->daemon->host, unit, adopt_keeper(u, o->vm));
}

void lu_outcome_settle(struct lu_update *u, size_t i)
{
	struct lu_outcome *o = outcome(u, i);

	/* no result: nobody has started another QEMU */
	if (!o->vm || o->fell_back || lu_outcome_read(u, i)) {
		if (o->alive) {
			adopt(u, i);
			forgive_unit(u, i);
		}
		return;
	}
	if (!o->read)
		lu_error_clear(&o->error);
}

struct restore_call {
	struct lu_update *update;
	size_t index;
};

static bool wants_restore(const struct lu_outcome *o)
{
	return o->vm && !o->alive && (!o->read || (o->result.status == LU_RESULT_FAILED && o->result.retry));
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

		if (!wants_restore(o))
			continue;
		lu_error_clear(&o->error);
		c = calloc(1, sizeof(*c));
		if (!c) {
			outcome_fail(o, "luctl restore tries again", strerror(ENOMEM));
			continue;
		}
		*c = (struct restore_call){ u, u->restore_next };
		r = start_restore(u, u->restore_next, PROGRAM_ONLY, on_restored, free, c, &o->error);
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

	restored(u, c->index, PROGRAM_ONLY);
	free(c);
	u->pending--;
	restore_more(u);
	if (u->pending == 0)
		lu_step_done(u, 0, NULL);
}

int lu_step_restore(struct lu_update *u, struct lu_error *e)
{
	u->restore_next = 0;
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
		outcome_fail(o, "continue it by its monitor", "it is paused");
		return;
	}
	snprintf(what, sizeof(what), "its QEMU has stopped it: %s", state);
	snprintf(hint, sizeof(hint), "see " LU_RUN_DIR "/vm/%s/qemu.log", lu_vm_name(vm));
	outcome_fail(o, hint, what);
}

static void on_verified(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	struct lu_update *u = userdata;

	for (size_t i = 0; i < u->doc.n_vms; i++) {
		struct lu_outcome *o = &u->outcomes[i];

		if (o->vm != vm)
			continue;
		if (r < 0)
			outcome_fail(o, e ? e->hint : NULL, e && e->what ? e->what : strerror(-r));
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
		r = lu_vm_op_start(o->vm, LU_VM_PROBE, NULL, 0, on_verified, u);
		if (r < 0)
			outcome_fail(o, NULL, strerror(-r));
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

		if (!o->alive)
			(void)lu_error_set(e, -EIO, hint_of(o), "VM %s: %s", u->doc.vms[i].name,
					   o->error.what ?: "is not running");
		else if (lu_vm_clean(o->vm, &error) < 0)
			log_warning("VM %s: %s", u->doc.vms[i].name, error.what ?: "its record can't be removed");
	}
	return e->code ? e->code : 1;
}

/* --- the end of a QEMU that we brought over --- */

struct watch {
	struct lu_daemon *daemon;
	char uuid[37];
	pid_t pid;
};

static int on_end(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	struct watch *w = userdata;
	struct lu_vm *vm = lu_vms_find(w->daemon->vms, w->uuid);

	/* Its unit may start it again, unless another QEMU goes on with it or is about to. */
	if (vm && (lu_vm_op_busy(vm) || (lu_vm_facts(vm)->pid > 0 && lu_vm_facts(vm)->pid != w->pid)))
		return sd_event_source_set_enabled(s, SD_EVENT_OFF);
	if (vm && lu_vm_unmark(vm, NULL) == 0)
		log_info("VM %s has ended", lu_vm_name(vm));
	return sd_event_source_set_enabled(s, SD_EVENT_OFF);
}

static void watch_pid(struct lu_daemon *d, struct lu_vm *vm, pid_t pid)
{
	_cleanup_free_ struct watch *w = calloc(1, sizeof(*w));
	_cleanup_close_ int fd = pid > 0 ? pidfd_open(pid, 0) : -1;
	sd_event_source *s = NULL;

	if (!w || fd < 0)
		return;
	w->daemon = d;
	w->pid = pid;
	snprintf(w->uuid, sizeof(w->uuid), "%s", lu_vm_uuid(vm));
	if (sd_event_add_io(d->event, &s, fd, EPOLLIN, on_end, w) < 0)
		return;
	(void)sd_event_source_set_io_fd_own(s, 1);
	(void)steal_fd(&fd);
	(void)sd_event_source_set_destroy_callback(s, free);
	(void)steal_ptr(w);
	(void)sd_event_source_set_floating(s, 1);
	sd_event_source_unref(s);
}

void lu_outcome_watch(struct lu_update *u, size_t i)
{
	watch_pid(u->daemon, outcome(u, i)->vm, lu_vm_facts(outcome(u, i)->vm)->pid);
}

static void on_found(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	struct lu_update *u = userdata;

	lu_vm_disconnect(vm);
	if (lu_vm_facts(vm)->pid > 0)
		watch_pid(u->daemon, vm, lu_vm_facts(vm)->pid);
	else if ((r == -ENOENT || r == -ECONNREFUSED) && !lu_vm_waits(vm, NULL))
		(void)lu_vm_unmark(vm, NULL);
}

/* A daemon that starts while no update runs: who of those that came over is still there, and who is kept? */
void lu_watch_all(struct lu_update *u)
{
	for (size_t i = 0; i < u->doc.n_vms; i++) {
		struct lu_vm *vm = u->outcomes[i].vm;
		char unit[128];

		if (!vm || lu_vm_error(vm))
			continue;
		(void)lu_vm_op_start(vm, LU_VM_PROBE, NULL, 0, on_found, u);
		/* the daemon before us may have died when it had come about */
		restore_unit(u, i, PROGRAM_ONLY, unit);
		if (lu_host_holds(unit, lu_vm_keeper(vm)))
			lu_host_stop_left(u->daemon->host, unit, adopt_keeper(u, vm));
	}
}

/* --- another QEMU in this kernel: going back with passed-through devices, or replacing QEMU --- */

struct here_call {
	struct lu_update *update;
	size_t index;
	enum program program;
	struct lu_error first; /* why the new program did not do */
	lu_vm_restored_t done;
	void *userdata;
};

static void here_free(struct here_call *c)
{
	lu_error_clear(&c->first);
	free(c);
}

/* The operation that waits for it was cancelled before, and has its own to free. */
static void here_forget(void *userdata)
{
	struct here_call *c = userdata;

	c->done(c->userdata, -ECANCELED, NULL);
	here_free(c);
}

static void on_restored_here(void *userdata, int r, struct lu_error *error);

/* The program that stands at QEMU's path did not take the guest over: once more with the one that had it. */
static bool try_old(struct here_call *c)
{
	struct lu_outcome *o = &c->update->outcomes[c->index];

	if (o->alive || c->program != PROGRAM_FIRST || (o->read && !o->result.retry))
		return false;
	lu_error_move(&c->first, &o->error);
	(void)log_failure(-EIO, &c->first, "trying its old QEMU");
	c->program = PROGRAM_OLD;
	return start_restore(c->update, c->index, c->program, on_restored_here, here_forget, c, &o->error) >= 0;
}

static void on_restored_here(void *userdata, int r, struct lu_error *error)
{
	struct here_call *c = userdata;
	struct lu_outcome *o = &c->update->outcomes[c->index];

	restored(c->update, c->index, c->program);
	if (try_old(c))
		return;
	if (o->alive) {
		watch_pid(c->update->daemon, o->vm, (pid_t)o->result.pid);
		o->fell_back = c->program == PROGRAM_OLD;
	}
	if (o->alive && o->fell_back)
		(void)lu_error_set(&o->error, -EIO, c->first.hint,
				   "its new QEMU did not take it over, it goes on with the old one: %s",
				   c->first.what ?: "no reason is known");
	c->done(c->userdata, o->alive ? 0 : r < 0 ? r : -EIO, o->alive ? NULL : &o->error);
	here_free(c);
}

int lu_update_restore_here(void *context, struct lu_vm *vm, lu_vm_restored_t done, void *userdata,
			   struct lu_error *error)
{
	struct lu_update *u = ((struct lu_daemon *)context)->update;
	_cleanup_free_ char *exe = NULL;
	struct here_call *c;
	size_t i = 0;
	int r;

	while (i < u->doc.n_vms && u->outcomes[i].vm != vm)
		i++;
	if (i == u->doc.n_vms)
		return -ENOENT;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = (struct here_call){ .update = u, .index = i, .done = done, .userdata = userdata };
	c->program = lu_vm_old_program(vm, &exe) > 0 ? PROGRAM_FIRST : PROGRAM_ONLY;
	r = start_restore(u, i, c->program, on_restored_here, here_forget, c, error);
	if (r < 0)
		here_free(c);
	return r;
}

/* --- restore by request --- */

static bool same_vm(const struct lu_vm *a, const struct lu_vm *b)
{
	return a && b && lu_vm_uuid(a) && lu_vm_uuid(b) && !strcmp(lu_vm_uuid(a), lu_vm_uuid(b));
}

const char *lu_update_vm_restored_by(struct lu_update *u, struct lu_vm *vm)
{
	if (same_vm(u->kept.vm, vm) && u->kept.read && u->kept.alive)
		return u->kept.result.by;
	for (size_t i = 0; u->outcomes && i < u->doc.n_vms; i++)
		if (same_vm(u->outcomes[i].vm, vm) && u->outcomes[i].read && u->outcomes[i].alive)
			return u->outcomes[i].result.by;
	return NULL;
}

/* If it was the last update that left the VM behind, its report is told that it runs. */
static void report_restored(struct lu_update *u)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	size_t i = 0;

	while (i < u->doc.n_vms && strcmp(u->doc.vms[i].uuid, lu_vm_uuid(u->kept.vm)) != 0)
		i++;
	if (i == u->doc.n_vms || !u->outcomes || strcmp(u->doc.id, u->kept_update) != 0)
		return;
	lu_vm_unref(u->outcomes[i].vm);
	u->outcomes[i].vm = lu_vm_ref(u->kept.vm);
	(void)lu_outcome_read(u, i);
	if (lu_report_write(u, NULL, &e) < 0)
		log_warning("report: %s", e.what ?: "can't be written");
}

static void on_restore_request(void *userdata, int r, struct lu_error *error)
{
	struct lu_update *u = userdata;
	struct lu_outcome *o = &u->kept;
	struct lu_job *job = u->restore_job;

	u->restore_job = NULL;
	restored(u, LU_OUTCOME_KEPT, PROGRAM_ONLY);
	if (o->alive) {
		watch_pid(u->daemon, o->vm, (pid_t)o->result.pid);
		report_restored(u);
		/* what is held of it is held by its entry of today */
		(void)lu_vm_clean(lu_vms_find(u->daemon->vms, lu_vm_uuid(o->vm)) ?: o->vm, NULL);
	}
	lu_job_finish(job, o->alive ? "success" : "failed", &o->error);
}

static int busy(const struct lu_update *u, struct lu_error *error)
{
	if (!u->info.running && !u->restore_job)
		return 0;
	return lu_error_set(error, -EBUSY, "luctl status tells how far it is", "an update or a restore is under way");
}

/* Is there a state, of any update, and may it be loaded? Then it becomes u->kept. */
static int find_kept(struct lu_update *u, struct lu_vm *vm, struct lu_error *error)
{
	_cleanup_free_ char *update = lu_vm_saved_by(vm);
	pid_t pid;

	if (!update && lu_vm_waits(vm, NULL))
		return lu_error_set(error, -EBADMSG, "luctl vm forget gives it up",
				    "VM %s: its state was kept, but what is noted about it can't be read",
				    lu_vm_name(vm));
	if (!update && lu_vm_taken_up(vm))
		return lu_error_set(error, -EALREADY, "if the guest doesn't run, its QEMU's monitor says why",
				    "VM %s: its QEMU is there already", lu_vm_name(vm));
	if (!update)
		return lu_error_set(error, -ENODATA, "start it anew", "VM %s: no state of it was kept", lu_vm_name(vm));
	if (lu_vm_error(vm))
		return lu_error_set(error, lu_vm_error(vm)->code, lu_vm_error(vm)->hint, "%s",
				    lu_vm_error(vm)->what ?: lu_vm_name(vm));
	pid = lu_vm_process_lives(vm);
	if (pid > 0)
		return lu_error_set(error, -EALREADY, "if it does not run the guest, end that process first",
				    "VM %s: a process has its memory already: %d", lu_vm_name(vm), (int)pid);
	lu_outcome_clear(&u->kept);
	free(u->kept_update);
	u->kept_update = steal_ptr(update);
	u->kept.vm = lu_vm_ref(vm);
	return 0;
}

int lu_update_restore(struct lu_update *u, struct lu_vm *vm, struct lu_job **ret, struct lu_error *error)
{
	int r = busy(u, error);

	if (r >= 0)
		r = lu_update_open_pkernfs(u, error);
	if (r >= 0)
		r = find_kept(u, vm, error);
	if (r < 0)
		return r;
	if (lu_outcome_read(u, LU_OUTCOME_KEPT))
		return lu_error_set(error, -EALREADY, "if the guest doesn't run, its QEMU's monitor says why",
				    "VM %s: its QEMU is there already", lu_vm_name(vm));
	r = lu_job_new(u->daemon, "restore", NULL, &u->restore_job);
	if (r < 0)
		return r;
	*ret = u->restore_job;
	lu_job_progress(u->restore_job, "restoring", lu_vm_name(vm));
	r = start_restore(u, LU_OUTCOME_KEPT, PROGRAM_ONLY, on_restore_request, NULL, u, error);
	if (r < 0) {
		lu_job_finish(u->restore_job, "failed", error);
		u->restore_job = NULL;
	}
	return r;
}

int lu_update_forget(struct lu_update *u, struct lu_vm *vm, struct lu_error *error)
{
	int r = busy(u, error);

	if (r >= 0)
		r = lu_vm_forget(vm, error);
	if (r < 0)
		return r;
	log_info("VM %s: its saved state was given up by request", lu_vm_name(vm));
	/* of one that is not defined nothing is left */
	if (lu_vm_stored(vm))
		(void)lu_vms_remove(u->daemon->vms, lu_vm_uuid(vm), NULL);
	return 0;
}
