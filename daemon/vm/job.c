// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The runner of operations. An operation is a table of steps (vm-internal.h); this file
 * walks it: a step that waits hands control back to the event loop, and what it
 * waited for comes back here through its reply or its timer.
 *
 *	start → (defer) → step 0 → … → step n → end → done()
 *
 * Ends, each exactly once through job_end():
 *  1. the last step returned 0: success;
 *  2. a step, a handler or a command failed: its error; the connection's errors
 *     arrive as failures of the command under way;
 *  3. the operation's limit passed: -ETIMEDOUT; the command under way is forgotten;
 *  4. cancelled: no callback at all.
 * No end undoes anything. What a half-done operation leaves is for RESUME and
 * UNPREPARE, which look at the VM and at saved.json, not at what we remember.
 *
 * Ownership: the VM owns the job, the job owns everything in it. done() runs after
 * the job is unhooked from the VM, so that it may start the next one.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "clock.h"
#include "devices.h"
#include "vm-internal.h"

static const struct {
	const char *name;
	const lu_vm_step_t *steps;
	uint64_t limit_usec;
} ops[LU_VM_OP_MAX] = {
	[LU_VM_PROBE] = { "probe", lu_probe_steps, 10000000 },
	[LU_VM_PREPARE] = { "prepare", lu_prepare_steps, 10000000 },
	[LU_VM_PAUSE] = { "pause", lu_pause_steps, 10000000 },
	[LU_VM_SAVE] = { "save", lu_save_steps, 30000000 },
	[LU_VM_RESUME] = { "resume", lu_resume_steps, 60000000 },     /* may have to start a QEMU */
	[LU_VM_REPLACE] = { "replace", lu_replace_steps, 120000000 }, /* or two */
	[LU_VM_VERIFY] = { "look at it again", lu_verify_steps, 5000000 },
	[LU_VM_UNPREPARE] = { "unprepare", lu_unprepare_steps, 10000000 },
};

const char *lu_vm_op_to_string(enum lu_vm_op op)
{
	return op < LU_VM_OP_MAX ? ops[op].name : "?";
}

static void job_free(struct lu_vm_job *j)
{
	sd_event_source_disable_unref(j->timer);
	sd_event_source_disable_unref(j->again);
	sd_event_source_disable_unref(j->defer);
	lu_vm_job_forget_back(j);
	lu_error_clear(&j->error);
	lu_saved_clear(&j->saved);
	lu_launch_clear(&j->launch);
	free(j->status);
	free(j->refused);
	json_object_put(j->names);
	json_object_put(j->cpus);
	json_object_put(j->capabilities);
	json_object_put(j->parameters);
	lu_settings_clear(&j->settings);
	json_object_put(j->devices);
	json_object_put(j->anonymous);
	json_object_put(j->block_nodes);
	json_object_put(j->block_fronts);
	json_object_put(j->block_edges);
	closep(&j->pkernfs_fd);
	closep(&j->dir_fd);
	closep(&j->state_fd);
	closep(&j->ending_fd);
	free(j);
}

/* Takes the job off its VM; nothing that is under way reaches it any more. */
static void job_unhook(struct lu_vm_job *j)
{
	if (j->vm->qmp)
		lu_qmp_forget(j->vm->qmp, j);
	j->vm->job = NULL;
}

static void job_end(struct lu_vm_job *j, int r)
{
	struct lu_vm *vm = j->vm;

	job_unhook(j);
	lu_vm_facts_end(vm, true);
	lu_vms_tell(vm->vms);
	if (r < 0)
		lu_error_set(&j->error, r, NULL, "VM %s: %s: %s", vm->name, ops[j->op].name, strerror(-r));
	if (r < 0 && (r == -ENOENT || r == -ECONNREFUSED || r == -ECONNRESET) && !lu_qmp_connected(vm->qmp))
		vm->facts.state = LU_VM_UNREACHABLE;
	/* between PREPARE and the end of an update nobody else shall get hold of the monitor */
	if (j->op == LU_VM_PROBE || j->op == LU_VM_UNPREPARE)
		lu_qmp_set_idle(vm->qmp, 1000000);
	else
		lu_qmp_set_idle(vm->qmp, UINT64_MAX);
	j->done(vm, r, r < 0 ? &j->error : NULL, j->userdata);
	job_free(j);
}

/* Goes on after a step or handler that returned @r. */
static void job_run(struct lu_vm_job *j, int r)
{
	for (;;) {
		if (r == 0)
			j->step++;
		if (r == 0 && !j->steps[j->step] && j->then) {
			lu_vm_facts_end(j->vm, true);
			j->steps = j->then;
			j->then = NULL;
			j->step = 0;
		}
		if (r < 0 || (r == 0 && !j->steps[j->step])) {
			job_end(j, r);
			return;
		}
		if (r > 0)
			return;
		r = j->steps[j->step](j);
	}
}

void lu_vm_job_continue(struct lu_vm_job *j, int r)
{
	job_run(j, r);
}

static int on_limit(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct lu_vm_job *j = userdata;

	if (lu_qmp_held(j->vm->qmp, &j->error)) {
		job_end(j, j->error.code);
		return 0;
	}
	job_end(j, lu_error_set(&j->error, -ETIMEDOUT, "QEMU hangs or is overloaded; see its log",
				"VM %s: %s took longer than its time limit", j->vm->name, ops[j->op].name));
	return 0;
}

static int on_again(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct lu_vm_job *j = userdata;

	job_run(j, j->steps[j->step](j));
	return 0;
}

static int on_first(sd_event_source *s, void *userdata)
{
	struct lu_vm_job *j = userdata;

	job_run(j, j->error.code ? j->error.code : j->steps[0](j));
	return 0;
}

static void on_reply(struct lu_qmp *q, int r, struct json_object *data, const char *class, const struct lu_error *e,
		     void *userdata)
{
	struct lu_vm_job *j = userdata;

	if (((j->tolerant & LU_TOLERATE_REFUSAL) && r == -EREMOTEIO) ||
	    ((j->tolerant & LU_TOLERATE_DEATH) && (r == -ENOENT || r == -ECONNREFUSED || r == -ECONNRESET))) {
		free(j->refused);
		j->refused = strdup(e->what);
		job_run(j, j->reply(j, NULL));
		return;
	}
	if (r < 0) {
		lu_error_set(&j->error, r, e->hint, "%s", e->what);
		job_run(j, r);
		return;
	}
	job_run(j, j->reply(j, data));
}

static int command(struct lu_vm_job *j, const char *name, struct json_object *args, int fd, lu_vm_reply_t reply,
		   unsigned int tolerant)
{
	uint64_t now = lu_clock_ns(CLOCK_MONOTONIC) / 1000;
	int r;

	j->reply = reply;
	j->tolerant = tolerant;
	r = lu_qmp_command(j->vm->qmp, name, args, &fd, fd >= 0 ? 1 : 0,
			   j->deadline_usec > now ? j->deadline_usec - now : 1, on_reply, j);
	json_object_put(args);
	return r < 0 ? r : 1;
}

int lu_vm_job_command(struct lu_vm_job *j, const char *name, struct json_object *args, lu_vm_reply_t reply)
{
	return command(j, name, args, -1, reply, 0);
}

int lu_vm_job_try(struct lu_vm_job *j, const char *name, struct json_object *args, unsigned int tolerate,
		  lu_vm_reply_t reply)
{
	return command(j, name, args, -1, reply, tolerate);
}

int lu_vm_job_command_fd(struct lu_vm_job *j, const char *name, struct json_object *args, int fd, lu_vm_reply_t reply)
{
	return command(j, name, args, fd, reply, 0);
}

int lu_vm_job_again(struct lu_vm_job *j, uint64_t usec)
{
	int r;

	j->again = sd_event_source_disable_unref(j->again);
	r = sd_event_add_time_relative(j->vm->vms->event, &j->again, CLOCK_MONOTONIC, usec, 100, on_again, j);
	return r < 0 ? r : 1;
}

/* Any monitor that lets the guest run makes QEMU say so at all of them. */
static void on_event(struct lu_qmp *q, const char *name, struct json_object *data, void *userdata)
{
	struct lu_vm *vm = userdata;

	if (!strcmp(name, "RESUME"))
		vm->ran = true;
}

int lu_vm_op_start(struct lu_vm *vm, enum lu_vm_op op, const char *update, uint64_t timeout_usec, lu_vm_done_t done,
		   void *userdata)
{
	struct lu_vm_job *j;
	int r;

	if (vm->job)
		return -EBUSY;
	if (op >= LU_VM_OP_MAX || (update && !lu_uuid_valid(update)) || (!update && op != LU_VM_PROBE))
		return -EINVAL;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	j->vm = vm;
	j->op = op;
	j->steps = lu_domain_steps(vm, op) ?: ops[op].steps;
	/* as long as others hold its monitor it can be seen from outside only */
	if (lu_vm_is_domain(vm) && op == LU_VM_PREPARE && j->steps == lu_prepare_steps) {
		j->steps = lu_probe_steps;
		j->then = lu_prepare_steps;
	}
	j->pkernfs_fd = j->dir_fd = j->state_fd = j->ending_fd = -EBADF;
	j->done = done;
	j->userdata = userdata;
	if (update)
		strcpy(j->update, update);
	if (timeout_usec == 0)
		timeout_usec = ops[op].limit_usec;
	j->deadline_usec = lu_clock_ns(CLOCK_MONOTONIC) / 1000 + timeout_usec;
	if (vm->error.code)
		lu_error_set(&j->error, vm->error.code, vm->error.hint, "%s", vm->error.what);
	r = sd_event_add_time(vm->vms->event, &j->timer, CLOCK_MONOTONIC, j->deadline_usec, 1000, on_limit, j);
	if (r >= 0)
		r = sd_event_add_defer(vm->vms->event, &j->defer, on_first, j);
	if (r >= 0 && !vm->qmp) {
		char label[80];

		snprintf(label, sizeof(label), "VM %s", vm->name);
		r = lu_qmp_new(&vm->qmp, vm->vms->event, label, vm->def.qmp ?: "");
		if (r >= 0)
			lu_qmp_set_event_handler(vm->qmp, on_event, vm);
	}
	if (r < 0) {
		job_free(j);
		return r;
	}
	lu_qmp_set_idle(vm->qmp, UINT64_MAX);
	vm->job = j;
	return 0;
}

void lu_vm_job_cancel(struct lu_vm_job *j)
{
	if (!j)
		return;
	job_unhook(j);
	lu_vm_facts_end(j->vm, false);
	job_free(j);
}

void lu_vm_op_cancel(struct lu_vm *vm)
{
	lu_vm_job_cancel(vm->job);
}

bool lu_vm_op_busy(const struct lu_vm *vm)
{
	return vm->job != NULL;
}

void lu_vm_disconnect(struct lu_vm *vm)
{
	if (vm->qmp && !vm->job)
		lu_qmp_close(vm->qmp);
}

/* --- steps and helpers that several operations share --- */

struct json_object *lu_member(struct json_object *obj, const char *key, enum json_type type)
{
	struct json_object *v = NULL;

	if (!json_object_is_type(obj, json_type_object) || !json_object_object_get_ex(obj, key, &v) ||
	    !json_object_is_type(v, type))
		return NULL;
	return v;
}

const char *lu_member_string(struct json_object *obj, const char *key)
{
	struct json_object *v = lu_member(obj, key, json_type_string);

	return v ? json_object_get_string(v) : NULL;
}

struct json_object *lu_json_args(const char *key, ...)
{
	struct json_object *obj = json_object_new_object();
	va_list ap;

	va_start(ap, key);
	for (; obj && key; key = va_arg(ap, const char *)) {
		if (lu_json_add_string(obj, key, va_arg(ap, const char *)) < 0) {
			json_object_put(obj);
			obj = NULL;
		}
	}
	va_end(ap);
	return obj;
}

int lu_vm_job_note_peer(struct lu_vm_job *j)
{
	struct lu_vm_facts *f = &j->vm->facts;
	const char *version = lu_qmp_version(j->vm->qmp);
	struct ucred peer;
	int r;

	r = lu_qmp_peer(j->vm->qmp, &peer);
	if (r < 0)
		return r;
	/* who made the socket is not who listens at it */
	f->pid = lu_vm_domain_lives(j->vm) ? j->vm->domain.pid : peer.pid;
	free(f->qemu_version);
	f->qemu_version = version ? strdup(version) : NULL;
	return version && !f->qemu_version ? -ENOMEM : 0;
}

static int on_status(struct lu_vm_job *j, struct json_object *data)
{
	const char *status = lu_member_string(data, "status");
	int r;

	if (!status)
		return lu_error_set(&j->error, -EBADMSG, NULL, "VM %s: QEMU's answer to query-status has no status",
				    j->vm->name);
	r = lu_vm_job_note_peer(j);
	if (r < 0)
		return r;
	free(j->status);
	j->status = strdup(status);
	if (!j->status)
		return -ENOMEM;
	j->vm->facts.state = !strcmp(status, "running") ? LU_VM_RUNNING : LU_VM_PAUSED;
	snprintf(j->vm->facts.run_state, sizeof(j->vm->facts.run_state), "%s", status);
	return 0;
}

int lu_vm_job_query_status(struct lu_vm_job *j)
{
	return lu_vm_job_command(j, "query-status", NULL, on_status);
}

int lu_vm_job_set_mode(struct lu_vm_job *j, const char *mode, unsigned int tolerate, lu_vm_reply_t reply)
{
	return lu_vm_job_try(j, "migrate-set-parameters", lu_json_args("mode", mode, NULL), tolerate, reply);
}

int lu_vm_job_set_ignore_shared(struct lu_vm_job *j, bool on, unsigned int tolerate, lu_vm_reply_t reply)
{
	struct json_object *args = json_object_new_object(), *list = json_object_new_array(),
			   *cap = lu_json_args("capability", "x-ignore-shared", NULL);

	if (!args || !list || !cap || lu_json_add_bool(cap, "state", on) < 0 || json_object_array_add(list, cap) < 0) {
		json_object_put(args);
		json_object_put(list);
		json_object_put(cap);
		return -ENOMEM;
	}
	if (lu_json_add(args, "capabilities", list) < 0) {
		json_object_put(args);
		return -ENOMEM;
	}
	return lu_vm_job_try(j, "migrate-set-capabilities", args, tolerate, reply);
}

int lu_vm_job_capture(struct lu_vm_job *j, struct lu_reasons *reasons, struct lu_launch *ret, struct lu_error *e)
{
	struct lu_capture_from from = { .pkernfs = j->vm->vms->pkernfs,
					.reference = j->vm->vms->any_fs ? 0 : 1,
					.reasons = reasons,
					.losses = reasons ? &j->vm->facts.losses : NULL };
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (proc < 0)
		return -errno;
	from.proc_fd = proc;
	return lu_launch_capture(&from, j->vm->facts.pid, ret, e);
}

int lu_vm_job_judge_process(struct lu_vm_job *j)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_vm_facts *f = &j->vm->facts;
	int r;

	lu_launch_clear(&j->launch);
	r = lu_vm_job_capture(j, &f->reasons, &j->launch, &e);
	if (r < 0)
		return lu_vm_refuse(j->vm, e.hint, "%s", e.what ?: strerror(-r));
	f->early = j->launch.early;
	f->late = steal_ptr(j->launch.late);
	f->devices = steal_ptr(j->launch.devices);
	f->confined = j->launch.apparmor;
	f->stand_in = f->devices && proc >= 0 && lu_devices_stand_in(proc, f->pid);
	return 0;
}

int lu_vms_pkernfs(const struct lu_vms *vms, struct lu_error *e)
{
	_cleanup_close_ int fd = -EBADF;
	struct statfs fs;

	fd = open(vms->pkernfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return lu_error_set(e, -errno, "start run-luctl-pkernfs.mount", "pkernfs at %s: %s", vms->pkernfs,
				    strerror(errno));
	if (fstatfs(fd, &fs) < 0)
		return lu_error_set(e, -errno, NULL, "pkernfs at %s: statfs: %s", vms->pkernfs, strerror(errno));
	if (!vms->any_fs && fs.f_type != PKERNFS_SUPER_MAGIC)
		return lu_error_set(e, -ENODEV,
				    "start run-luctl-pkernfs.mount; it needs a kernel with CONFIG_PKERNFS and kho=on",
				    "no pkernfs is mounted at %s", vms->pkernfs);
	return steal_fd(&fd);
}

int lu_vm_job_open_pkernfs(struct lu_vm_job *j)
{
	j->pkernfs_fd = lu_vms_pkernfs(j->vm->vms, &j->error);
	return j->pkernfs_fd < 0 ? j->pkernfs_fd : 0;
}

int lu_vm_job_load_saved(struct lu_vm_job *j)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int r;

	j->dir_fd = lu_store_open(j->pkernfs_fd, j->vm->def.uuid, false, &e);
	if (j->dir_fd == -ENOENT)
		return 0;
	if (j->dir_fd < 0) {
		lu_error_move(&j->error, &e);
		return j->error.code;
	}
	r = lu_saved_read(j->dir_fd, &j->saved, &e);
	if (r == -ENOENT)
		return 0;
	if (r < 0) {
		lu_error_move(&j->error, &e);
		return r;
	}
	j->have_saved = !strcmp(j->saved.update, j->update) && !strcasecmp(j->saved.uuid, j->vm->def.uuid);
	return 0;
}

int lu_vm_job_write_saved(struct lu_vm_job *j)
{
	return lu_saved_write(j->dir_fd, &j->saved, &j->error);
}

/* Descriptors are told in the mode cpr-transfer only; without any, one file is all there is to it. */
const char *lu_vm_mode(const struct lu_vm *vm)
{
	return vm->facts.devices ? "cpr-transfer" : "cpr-reboot";
}

int lu_vm_refuse(struct lu_vm *vm, const char *hint, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	lu_reasons_add(&vm->facts.reasons, NULL, hint, "%s", text);
	return 0;
}
