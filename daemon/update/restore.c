// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Restoring one VM by `lu-init --restore` in a transient unit of its own, so that the QEMU does not inherit this
 * daemon's sandbox; what becomes of its unit, its scope and its keeper then. In the new kernel, in this one (going
 * back with passed-through devices, replacing QEMU), and by the operator's request. A VM that fails is left with its
 * state.
 *
 * All of it can be repeated by a new daemon process: results, scopes and processes are looked up anew.
 */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>

#include "cmdline.h"
#include "domains.h"
#include "hold.h"
#include "kept.h"
#include "launch.h"
#include "log.h"
#include "outcomes.h"
#include "peers.h"
#include "report.h"
#include "restore.h"

#define RESTORE_UNIT "luctl-restore-"

/* After adopting: a unit whose QEMU was ended on purpose is not failed. */
static void forgive_unit(struct lu_update *u, size_t i)
{
	const char *unit = lu_outcome(u, i)->vm ? lu_vm_unit(lu_outcome(u, i)->vm) : NULL;

	if (unit)
		lu_host_reset_failed(u->env->host, unit);
}

/*
 * The process that is its TPM, if lu-init has started it: it goes where QEMU goes. One that serves it in a unit of its own
 * (QEMU was replaced) stays there.
 */
static pid_t tpm_of(int dir)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(lu_launch_clear) struct lu_launch launch = { 0 };
	_cleanup_free_ char *unit = NULL;
	struct lu_peers at = { 0 };
	pid_t pid;

	if (proc < 0 || dir < 0 || lu_launch_read(dir, &launch, NULL) < 0 || !launch.tpm ||
	    lu_peers_at(proc, launch.tpm->socket, &at) < 0)
		return 0;
	pid = lu_peers_server(&at, launch.tpm->socket);
	lu_peers_clear(&at);
	unit = pid > 0 ? lu_peers_unit(proc, pid) : NULL;
	/* before systemd it was started in no unit, and systemd takes those with it to its own */
	if (pid <= 0 ||
	    (unit && strcmp(unit, "init.scope") != 0 && strncmp(unit, RESTORE_UNIT, strlen(RESTORE_UNIT)) != 0))
		return 0;
	return pid;
}

void lu_outcome_adopt(struct lu_update *u, size_t i)
{
	_cleanup_(lu_limits_clear) struct lu_limits limits = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_close_ int dir = -EBADF;
	struct lu_outcome *o = lu_outcome(u, i);
	char scope[128], description[128], **lost = NULL;

	snprintf(scope, sizeof(scope), "luctl-vm-%s.scope", lu_outcome_name(u, i));
	snprintf(description, sizeof(description), "Virtual machine %s", lu_outcome_name(u, i));
	dir = lu_store_open(u->pkernfs_fd, lu_outcome_uuid(u, i), false, NULL);
	if (dir >= 0 && lu_limits_read(dir, &limits, &e) < 0 && e.what)
		log_warning_vm(lu_outcome_name(u, i), "%s", e.what);
	(void)lu_limits_find_disks(AT_FDCWD, &limits, &lost);
	for (char **p = lost; p && *p; p++) {
		log_warning_vm(lu_outcome_name(u, i), "is not held to %s: there is no such device", *p);
		free(*p);
	}
	free(lost);
	if (!lu_domain_adopt(u, lu_outcome_uuid(u, i), (pid_t)o->result.pid, false))
		lu_host_scope(u->env->host, scope, description, (pid_t)o->result.pid, tpm_of(dir), &limits);
	if (i != LU_OUTCOME_KEPT)
		lu_trace_add(u->trace, LU_PHASE_VM_ADOPT, (unsigned int)i, LU_TRACE_MARK, 0, NULL);
}

/* A keeper lives in a unit of its own: the one it was started in ends. */
pid_t lu_keeper_adopt(struct lu_update *u, const struct lu_vm *vm)
{
	pid_t pid = vm ? lu_vm_keeper(vm) : 0;
	char scope[64], description[128];

	if (pid <= 0)
		return 0;
	snprintf(scope, sizeof(scope), "luctl-keeper-%s.scope", lu_vm_uuid(vm));
	snprintf(description, sizeof(description), "Devices of virtual machine %s, which is to be restored",
		 lu_vm_name(vm));
	lu_host_scope(u->env->host, scope, description, pid, 0, NULL);
	return pid;
}

/* --- restoring what is not there --- */

static void unit_of(const char *name, enum lu_program program, char buf[static 128])
{
	snprintf(buf, 128, RESTORE_UNIT "%s%s.service", program == LU_PROGRAM_OLD ? "old-" : "", name);
}

static void restore_unit(struct lu_update *u, size_t i, enum lu_program program, char buf[static 128])
{
	unit_of(lu_outcome_name(u, i), program, buf);
}

/* In the next kernel, and by request, which may be then, too. On the way to a jump and back the host has been here. */
static bool was_away(const struct lu_update *u)
{
	return u->effect == LU_EFFECT_NONE || (u->effect > LU_EFFECT_JUMP && u->effect <= LU_EFFECT_FINISH);
}

int lu_restore_start(struct lu_update *u, size_t i, enum lu_program program, lu_worker_done_t done,
		     sd_event_destroy_t forget, void *userdata, struct lu_error *e)
{
	_cleanup_free_ char *fds = NULL, *exe = NULL;
	const char *argv[9] = { LU_INIT_PATH, "--restore", lu_outcome_uuid(u, i) };
	size_t n = 3;
	char unit[128];
	int r = lu_vm_list_fds(lu_outcome(u, i)->vm, &fds);

	if (r > 0) {
		argv[n++] = "--fds";
		argv[n++] = fds;
	}
	if (r >= 0 && program == LU_PROGRAM_OLD)
		r = lu_vm_old_program(lu_outcome(u, i)->vm, &exe);
	if (r < 0)
		return r;
	if (program == LU_PROGRAM_FIRST)
		argv[n++] = "--no-keeper";
	if (!was_away(u))
		argv[n++] = "--no-veto";
	if (exe) {
		argv[n++] = "--exe";
		argv[n++] = exe;
	}
	restore_unit(u, i, program, unit);
	return lu_host_run(u->env->host, unit, argv, LU_INIT_KEPT, done, forget, userdata, e);
}

void lu_restore_clear(struct lu_update *u, size_t i)
{
	const struct lu_vm *vm = lu_outcome(u, i)->vm;
	const pid_t pid = lu_vm_keeper(vm) ?: lu_vm_facts(vm)->pid;
	static const enum lu_program programs[] = { LU_PROGRAM_ONLY, LU_PROGRAM_OLD };
	char unit[128];

	for (size_t k = 0; k < ARRAY_SIZE(programs); k++) {
		restore_unit(u, i, programs[k], unit);
		lu_host_stop_left(u->env->host, unit, pid);
	}
}

void lu_restore_done(struct lu_update *u, size_t i, enum lu_program program)
{
	struct lu_outcome *o = lu_outcome(u, i);
	char unit[128];

	restore_unit(u, i, program, unit);
	if (lu_outcome_read(u, i)) {
		lu_outcome_adopt(u, i);
		forgive_unit(u, i);
	}
	if (o->alive)
		lu_host_stop_left(u->env->host, unit, (pid_t)o->result.pid);
	else
		lu_host_stop_left(u->env->host, unit, lu_keeper_adopt(u, o->vm));
}

void lu_outcome_settle(struct lu_update *u, size_t i)
{
	struct lu_outcome *o = lu_outcome(u, i);

	/* no result: nobody has started another QEMU */
	if (!o->vm || o->fell_back || lu_outcome_read(u, i)) {
		if (o->alive) {
			lu_outcome_adopt(u, i);
			forgive_unit(u, i);
		}
		return;
	}
	if (!o->read)
		lu_error_clear(&o->error);
}

/* --- the end of a QEMU that we brought over --- */

struct qemu_watch {
	struct lu_vms *vms;
	char uuid[37];
	pid_t pid;
};

static int on_end(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	struct qemu_watch *w = userdata;
	struct lu_vm *vm = lu_vms_find(w->vms, w->uuid);

	/* Its unit may start it again, unless another QEMU goes on with it or is about to. */
	if (vm && (lu_vm_op_busy(vm) || (lu_vm_facts(vm)->pid > 0 && lu_vm_facts(vm)->pid != w->pid)))
		return sd_event_source_set_enabled(s, SD_EVENT_OFF);
	if (vm && lu_vm_unmark(vm, NULL) == 0)
		log_info_vm(lu_vm_name(vm), NULL, "has ended");
	return sd_event_source_set_enabled(s, SD_EVENT_OFF);
}

static void watch_pid(struct lu_update *u, struct lu_vm *vm, pid_t pid)
{
	_cleanup_free_ struct qemu_watch *w = calloc(1, sizeof(*w));
	_cleanup_close_ int fd = pid > 0 ? pidfd_open(pid, 0) : -1;
	sd_event_source *s = NULL;

	if (!w || fd < 0)
		return;
	w->vms = u->env->vms;
	w->pid = pid;
	snprintf(w->uuid, sizeof(w->uuid), "%s", lu_vm_uuid(vm));
	if (sd_event_add_io(u->env->event, &s, fd, EPOLLIN, on_end, w) < 0)
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
	watch_pid(u, lu_outcome(u, i)->vm, lu_vm_facts(lu_outcome(u, i)->vm)->pid);
}

static void on_found(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	struct lu_update *u = userdata;

	lu_vm_disconnect(vm);
	if (lu_vm_facts(vm)->pid > 0)
		watch_pid(u, vm, lu_vm_facts(vm)->pid);
	else if ((r == -ENOENT || r == -ECONNREFUSED) && !lu_vm_waits(vm, NULL))
		(void)lu_vm_unmark(vm, NULL);
}

/* Who of those that came over is still there? */
static void watch_all(struct lu_update *u)
{
	for (size_t i = 0; i < u->doc.n_vms; i++) {
		struct lu_vm *vm = u->outcomes[i].vm;

		if (vm && !lu_vm_error(vm))
			(void)lu_vm_op_start(vm, LU_VM_PROBE, NULL, 0, on_found, u);
	}
}

/* --- another QEMU in this kernel: going back with passed-through devices, or replacing QEMU --- */

struct here_call {
	struct lu_update *update;
	size_t index;
	enum lu_program program;
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

	if (o->alive || c->program != LU_PROGRAM_FIRST || (o->read && !o->result.retry))
		return false;
	lu_error_move(&c->first, &o->error);
	(void)log_failure(-EIO, &c->first, "trying its old QEMU");
	c->program = LU_PROGRAM_OLD;
	return lu_restore_start(c->update, c->index, c->program, on_restored_here, here_forget, c, &o->error) >= 0;
}

static void on_restored_here(void *userdata, int r, struct lu_error *error)
{
	struct here_call *c = userdata;
	struct lu_outcome *o = &c->update->outcomes[c->index];

	lu_restore_done(c->update, c->index, c->program);
	if (try_old(c))
		return;
	if (o->alive) {
		watch_pid(c->update, o->vm, (pid_t)o->result.pid);
		o->fell_back = c->program == LU_PROGRAM_OLD;
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
	struct lu_update *u = *(struct lu_update **)context;
	_cleanup_free_ char *exe = NULL;
	struct here_call *c;
	size_t i = 0;
	int r;

	while (u && i < u->doc.n_vms && u->outcomes[i].vm != vm)
		i++;
	if (!u || i == u->doc.n_vms)
		return -ENOENT;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = (struct here_call){ .update = u, .index = i, .done = done, .userdata = userdata };
	c->program = lu_vm_old_program(vm, &exe) > 0 ? LU_PROGRAM_FIRST : LU_PROGRAM_ONLY;
	r = lu_restore_start(u, i, c->program, on_restored_here, here_forget, c, error);
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

static void take_up_next(struct lu_update *u);

static void restore_ended(struct lu_update *u)
{
	struct lu_outcome *o = &u->kept;
	void *job = u->restore_job;

	u->restoring = u->left_units != NULL;
	u->restore_job = NULL;
	lu_domain_restore_end(u);
	if (o->alive) {
		watch_pid(u, o->vm, (pid_t)o->result.pid);
		report_restored(u);
		/* what is held of it is held by its entry of today */
		(void)lu_vm_clean(lu_vms_find(u->env->vms, lu_vm_uuid(o->vm)) ?: o->vm, NULL);
	}
	if (u->restoring)
		take_up_next(u);
	else
		u->news->finished(job, o->alive ? "success" : "failed", &o->error);
}

/* Whoever manages it (libvirt) is told only of one that has answered; terminals are asked for, too. */
static void on_restore_probed(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	struct lu_update *u = userdata;

	if (r < 0) {
		u->kept.alive = false;
		lu_outcome_fail(&u->kept, e ? e->hint : NULL, e && e->what ? e->what : strerror(-r));
	}
	restore_ended(u);
}

static void restore_came_to_end(struct lu_update *u, enum lu_program program)
{
	lu_restore_done(u, LU_OUTCOME_KEPT, program);
	if (u->kept.alive && lu_libvirt_held() &&
	    lu_vm_op_start(u->kept.vm, LU_VM_PROBE, NULL, 0, on_restore_probed, u) == 0)
		return;
	restore_ended(u);
}

static void on_restore_request(void *userdata, int r, struct lu_error *error)
{
	restore_came_to_end(userdata, LU_PROGRAM_ONLY);
}

/* Nobody manages it now. */
static void on_restore_free(void *userdata, int r, struct lu_error *error)
{
	struct lu_update *u = userdata;

	if (r >= 0 && lu_libvirt_held()) {
		lu_vms_hold_domains(u->env->vms, true);
		r = lu_libvirt_unprotect(u->pkernfs_fd, u->env->config.pkernfs, lu_outcome_uuid(u, LU_OUTCOME_KEPT),
					 error);
	}
	if (r >= 0)
		r = lu_restore_start(u, LU_OUTCOME_KEPT, LU_PROGRAM_ONLY, on_restore_request, NULL, u, error);
	if (r >= 0)
		return;
	lu_outcome_fail(&u->kept, error->hint, error->what ?: strerror(-r));
	restore_ended(u);
}

/* --- what a daemon before this one was at --- */

/* One that has come up and whose record is gone: the daemon died when all was done but this. */
static void on_left_probed(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	struct lu_update *u = userdata;
	struct lu_outcome *o = &u->kept;
	char unit[128];

	lu_vm_disconnect(vm);
	restore_unit(u, LU_OUTCOME_KEPT, u->left_program, unit);
	o->result.pid = (uint64_t)lu_vm_facts(vm)->pid;
	if (o->result.pid && lu_host_holds(unit, (pid_t)o->result.pid))
		lu_outcome_adopt(u, LU_OUTCOME_KEPT);
	/* one that only does not answer may be in it */
	if (r >= 0 || r == -ENOENT || r == -ECONNREFUSED)
		lu_host_stop_left(u->env->host, unit, (pid_t)o->result.pid);
	take_up_next(u);
}

/* As if it had been asked of us. */
static void on_left_unit(void *userdata, int r, struct lu_error *error)
{
	struct lu_update *u = userdata;

	if (u->kept_update)
		restore_came_to_end(u, u->left_program);
	else if (lu_vm_op_start(u->kept.vm, LU_VM_PROBE, NULL, 0, on_left_probed, u) < 0)
		take_up_next(u);
}

static struct lu_vm *vm_of_unit(struct lu_update *u, const char *unit, enum lu_program *ret)
{
	static const enum lu_program programs[] = { LU_PROGRAM_ONLY, LU_PROGRAM_OLD };
	char name[128];

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		for (struct lu_vm *vm = lu_vms_first(u->env->vms); vm; vm = lu_vm_next(vm)) {
			unit_of(lu_vm_name(vm), programs[i], name);
			*ret = programs[i];
			if (lu_vm_uuid(vm) && !strcmp(name, unit))
				return vm;
		}
	return NULL;
}

/* By which its state was saved, whether or not that still waits; NULL: there is no record. */
static char *update_of(struct lu_update *u, const struct lu_vm *vm)
{
	_cleanup_close_ int dir = lu_store_open(u->pkernfs_fd, lu_vm_uuid(vm), false, NULL);
	_cleanup_(lu_saved_clear) struct lu_saved saved = { 0 };

	return dir >= 0 && lu_saved_read(dir, &saved, NULL) == 0 ? steal_ptr(saved.update) : NULL;
}

void lu_restore_forget_left(struct lu_update *u)
{
	while (u->n_left_units)
		free(u->left_units[--u->n_left_units]);
	free(u->left_units);
	u->left_units = NULL;
}

static bool take_up(struct lu_update *u, const char *unit)
{
	enum lu_program program;
	struct lu_vm *vm = vm_of_unit(u, unit, &program);

	if (!vm) {
		log_warning("%s: nobody knows the VM that it restores; it is left alone", unit);
		return false;
	}
	lu_outcome_clear(&u->kept);
	free(u->kept_update);
	u->kept_update = update_of(u, vm);
	u->kept.vm = lu_vm_ref(vm);
	u->left_program = program;
	log_info_vm(lu_vm_name(vm), NULL, "a daemon before this one was restoring it; %s is waited for", unit);
	return lu_host_await(u->env->host, unit, on_left_unit, u) >= 0;
}

static void take_up_next(struct lu_update *u)
{
	while (u->n_left_units) {
		_cleanup_free_ char *unit = u->left_units[--u->n_left_units];

		if (take_up(u, unit))
			return;
	}
	lu_restore_forget_left(u);
	u->restoring = false;
	lu_domains_settle(u);
	watch_all(u);
}

static void on_left_found(const char *unit, void *userdata)
{
	struct lu_update *u = userdata;
	char **list = reallocarray(u->left_units, u->n_left_units + 1, sizeof(*list));

	if (!list)
		return;
	u->left_units = list;
	list[u->n_left_units] = strdup(unit);
	if (list[u->n_left_units])
		u->n_left_units++;
}

/* Whoever has been quicker has a unit of his own among them, and waits for one that was there (lu_host_run()). */
static void on_all_found(void *userdata, int r, struct lu_error *error)
{
	struct lu_update *u = userdata;

	if (u->info.running || u->restoring) {
		lu_restore_forget_left(u);
		return;
	}
	u->restoring = true;
	take_up_next(u);
}

void lu_restore_take_up(struct lu_update *u)
{
	if (lu_host_find_units(u->env->host, RESTORE_UNIT "*.service", on_left_found, on_all_found, u) < 0)
		on_all_found(u, 0, NULL);
}

static int busy(const struct lu_update *u, struct lu_error *error)
{
	if (!u->info.running && !u->restoring)
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

int lu_update_restore(struct lu_update *u, struct lu_vm *vm, void *job, struct lu_error *error)
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
	u->restoring = true;
	u->restore_job = job;
	u->news->progress(
		job, &(struct lu_progress){
			     .state = "restoring", .detail = lu_vm_name(vm), .update = u->kept_update, .total = 1 });
	r = lu_domain_restore_begin(u, on_restore_free, u, error);
	if (r > 0)
		r = lu_restore_start(u, LU_OUTCOME_KEPT, LU_PROGRAM_ONLY, on_restore_request, NULL, u, error);
	if (r < 0) {
		u->restoring = false;
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
	log_info_vm(lu_vm_name(vm), LU_MESSAGE_VM_FORGOTTEN, "its saved state was given up by request");
	/* of one that is not defined nothing is left */
	if (lu_vm_stored(vm))
		(void)lu_vms_remove(u->env->vms, lu_vm_uuid(vm), NULL);
	return 0;
}
