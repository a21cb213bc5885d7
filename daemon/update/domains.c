// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What an update, and a restore by request, do about one guest of libvirt (daemon/libvirt/kept.h), and when libvirt is let
 * go: not while a process has a guest of which its status file does not tell. Who is kept in pkernfs decides that, not the
 * last request, since a guest of an update before may still be in the way.
 */
#include <dirent.h>
#include <string.h>

#include "domains.h"
#include "groups.h"
#include "hold.h"
#include "kept.h"
#include "launch.h"
#include "log.h"
#include "machine.h"
#include "outcomes.h"

int lu_domain_protect(struct lu_update *u, const char *uuid, struct lu_error *e)
{
	return lu_libvirt_is_kept(u->pkernfs_fd, uuid) ?
		       lu_libvirt_protect(u->pkernfs_fd, u->env->config.pkernfs, uuid, e) :
		       0;
}

/* A guest without its limits is better than none; libvirt goes on without the groups, too. */
static void make_groups(struct lu_update *u, const struct lu_vm *vm, pid_t pid)
{
	_cleanup_close_ int dir = lu_store_open(u->pkernfs_fd, lu_vm_uuid(vm), false, NULL);
	_cleanup_(lu_groups_clear) struct lu_groups groups = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int r = dir < 0 ? dir : lu_json_load(dir, LU_GROUPS_FILE, LU_STORE_JSON_MAX, &lu_groups_table, &groups, &e);

	if (r >= 0)
		r = lu_groups_make(AT_FDCWD, pid, &groups, u->effect == LU_EFFECT_UNDO, &e);
	if (r < 0 || e.code)
		log_warning_vm(lu_vm_name(vm), "limits of its control groups: %s", e.what ?: strerror(-r));
}

void lu_domain_note_groups(struct lu_update *u, size_t i)
{
	_cleanup_close_ int dir = lu_store_open(u->pkernfs_fd, lu_outcome_uuid(u, i), false, NULL);
	_cleanup_(lu_groups_clear) struct lu_groups groups = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int r = dir < 0 ? dir : lu_groups_read(AT_FDCWD, lu_vm_facts(lu_outcome(u, i)->vm)->pid, &groups, &e);

	if (r >= 0)
		r = lu_json_store(dir, LU_GROUPS_FILE, 0600, &lu_groups_table, &groups, &e);
	if (r < 0)
		log_warning_vm(lu_outcome_name(u, i), "the limits of its control groups will be lost: %s",
			       e.what ?: strerror(-r));
}

/* The terminals that the new QEMU has got, as libvirt calls them. */
int lu_domain_give_back(struct lu_update *u, struct lu_vm *vm, pid_t pid, struct lu_error *e)
{
	const struct lu_vm_facts *f = lu_vm_facts(vm);
	_cleanup_free_ struct lu_status_pty *ptys = calloc(f->n_ptys + 1, sizeof(*ptys));

	if (!ptys)
		return -ENOMEM;
	(void)lu_domain_adopt(u, lu_vm_uuid(vm), pid, true);
	make_groups(u, vm, pid);
	for (size_t k = 0; k < f->n_ptys; k++)
		ptys[k] = (struct lu_status_pty){ .alias = f->ptys[k].name, .path = f->ptys[k].path };
	return lu_libvirt_give_back(u->pkernfs_fd, lu_vm_uuid(vm), pid, ptys, f->n_ptys, e);
}

bool lu_domain_moved(struct lu_update *u, size_t i)
{
	const struct lu_outcome *o = lu_outcome(u, i);

	return o->vm && o->alive && lu_libvirt_is_kept(u->pkernfs_fd, lu_outcome_uuid(u, i)) &&
	       !lu_libvirt_knows(u->pkernfs_fd, lu_outcome_uuid(u, i), (pid_t)o->result.pid);
}

/* --- letting libvirt go: what is in pkernfs decides, whichever update it is of --- */

static int is_uuid_dir(const struct dirent *d)
{
	return lu_uuid_valid(d->d_name);
}

static int each_kept(struct lu_update *u, int (*fn)(struct lu_update *u, const char *uuid, struct lu_error *e),
		     struct lu_error *e)
{
	struct dirent **list = NULL;
	int n = scandirat(u->pkernfs_fd, "vm", &list, is_uuid_dir, alphasort), r = 0;

	if (n < 0)
		return errno == ENOENT ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		if (r >= 0 && lu_libvirt_is_kept(u->pkernfs_fd, list[i]->d_name))
			r = fn(u, list[i]->d_name, e);
		free(list[i]);
	}
	free(list);
	return r;
}

/* The process that has taken the guest up, if libvirt's status file does not tell of it; else 0. */
static pid_t moved_to(struct lu_update *u, const char *uuid)
{
	_cleanup_close_ int dir = lu_store_open(u->pkernfs_fd, uuid, false, NULL);
	_cleanup_(lu_result_clear) struct lu_result result = { 0 };

	if (dir < 0 || lu_result_read(dir, &result, NULL) < 0 || !lu_result_alive(&result) ||
	    lu_libvirt_knows(u->pkernfs_fd, uuid, (pid_t)result.pid))
		return 0;
	return (pid_t)result.pid;
}

static int may_release(struct lu_update *u, const char *uuid, struct lu_error *e)
{
	struct lu_vm *vm = lu_vms_find(u->env->vms, uuid);
	pid_t pid = moved_to(u, uuid);

	/* libvirt would start it once more beside that one */
	if (pid > 0)
		return lu_error_set(e, -EBUSY, "systemctl restart luctld tries again; or end that process",
				    "VM %s: process %d has the guest, and libvirt can't be told of it yet",
				    vm ? lu_vm_name(vm) : uuid, (int)pid);
	if (vm && lu_vm_waits(vm, NULL) && lu_vm_process_lives(vm) <= 0)
		return lu_domain_protect(u, uuid, e);
	return 0;
}

int lu_domains_release(struct lu_update *u, struct lu_error *e)
{
	int r = lu_libvirt_held() ? each_kept(u, may_release, e) : 0;

	if (r < 0 || !lu_libvirt_held())
		return r;
	lu_vms_hold_domains(u->env->vms, false);
	return lu_libvirt_release(u->env->libvirt, u->pkernfs_fd, e);
}

static void settle(struct lu_update *u)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int r = lu_domains_release(u, &e);

	if (r < 0)
		(void)log_failure(r, &e, "libvirt is kept from starting");
}

static void on_settling(struct lu_vm *vm, int r, const struct lu_error *error, void *userdata)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_update *u = userdata;
	pid_t pid = r >= 0 ? moved_to(u, lu_vm_uuid(vm)) : 0;
	/* an update or a restore that has begun meanwhile has libvirt in hand itself */
	bool ours = !u->info.running && !u->restoring;

	if (ours && pid > 0) {
		r = lu_domain_give_back(u, vm, pid, &e);
		if (r < 0)
			(void)log_failure(r, &e, "libvirt can't be told of it");
	}
	lu_vm_disconnect(vm);
	if (--u->settling == 0 && ours)
		settle(u);
}

static int ask_moved(struct lu_update *u, const char *uuid, struct lu_error *e)
{
	_cleanup_close_ int dir = lu_store_open(u->pkernfs_fd, uuid, false, NULL);
	_cleanup_(lu_saved_clear) struct lu_saved saved = { 0 };
	struct lu_vm *vm = lu_vms_find(u->env->vms, uuid);

	if (moved_to(u, uuid) <= 0)
		return 0;
	/* of an update before the last one */
	if (!vm && dir >= 0 && lu_saved_read(dir, &saved, NULL) == 0 &&
	    lu_vms_add_saved(u->env->vms, saved.update, NULL) >= 0)
		vm = lu_vms_find(u->env->vms, uuid);
	if (vm && !lu_vm_error(vm) && lu_vm_op_start(vm, LU_VM_PROBE, NULL, LU_DOMAIN_ASK_USEC, on_settling, u) == 0)
		u->settling++;
	return 0;
}

void lu_domains_settle(struct lu_update *u)
{
	if (!lu_libvirt_held() || u->settling)
		return;
	(void)each_kept(u, ask_moved, NULL);
	if (u->settling == 0)
		settle(u);
}

bool lu_domain_adopt(struct lu_update *u, const char *uuid, pid_t pid, bool wait)
{
	_cleanup_close_ int dir = lu_store_open(u->pkernfs_fd, uuid, false, NULL);
	_cleanup_(lu_launch_clear) struct lu_launch launch = { 0 };
	_cleanup_(lu_limits_clear) struct lu_limits limits = { 0 };
	_cleanup_free_ char *name = NULL;

	if (dir < 0 || faccessat(dir, LU_LIBVIRT_SAVED, F_OK, 0) < 0 || lu_launch_read(dir, &launch, NULL) < 0)
		return false;
	name = lu_machine_name(launch.cgroup);
	if (!name)
		return false;
	/* without them it is better than not at all; why was said when its process was adopted */
	(void)lu_limits_read(dir, &limits, NULL);
	lu_machines_make(lu_libvirt_machines(u->env->libvirt), launch.cgroup, uuid, pid, &limits, wait);
	return true;
}

int lu_domain_restore_begin(struct lu_update *u, lu_worker_done_t done, void *userdata, struct lu_error *e)
{
	if (!lu_libvirt_is_kept(u->pkernfs_fd, lu_outcome_uuid(u, LU_OUTCOME_KEPT)))
		return 1;
	/* when all have answered libvirt is let go */
	if (u->settling)
		return lu_error_set(e, -EBUSY, "try again in a minute", "guests of libvirt are still being asked");
	return lu_libvirt_hold(u->env->libvirt, u->pkernfs_fd, done, userdata, e);
}

void lu_domain_restore_end(struct lu_update *u)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_outcome *o = &u->kept;
	int r = 0;

	if (!lu_libvirt_held())
		return;
	if (o->alive)
		r = lu_domain_give_back(u, o->vm, (pid_t)o->result.pid, &e);
	else if (lu_vm_waits(o->vm, NULL))
		r = lu_domain_protect(u, lu_outcome_uuid(u, LU_OUTCOME_KEPT), &e);
	if (r < 0) {
		(void)log_failure(r, &e, "libvirt is kept from starting");
		return;
	}
	lu_vm_disconnect(o->vm);
	lu_domains_settle(u);
}
