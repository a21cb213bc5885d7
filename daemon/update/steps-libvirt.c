// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libvirt during an update (daemon/libvirt/hold.h). In the old kernel it steps aside before anything is asked of its
 * guests' monitors, and comes back when all of them run again. In the new kernel it has not started yet: it is let go
 * when each of its guests has answered at its monitor, or was put where libvirt can't reach it.
 *
 * What libvirt knows of a guest is its status file. One that is not there any more is a guest that libvirt would end.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "domains.h"
#include "hold.h"
#include "kept.h"
#include "leave.h"
#include "log.h"
#include "machine.h"
#include "outcomes.h"
#include "steps-libvirt.h"
#include "steps.h"

static bool any_domain(const struct lu_update *u)
{
	for (size_t i = 0; i < u->doc.n_vms; i++)
		if (u->outcomes[i].vm && lu_vm_is_domain(u->outcomes[i].vm))
			return true;
	return false;
}

static void on_held(void *userdata, int r, struct lu_error *error)
{
	struct lu_update *u = userdata;

	if (r >= 0)
		lu_vms_hold_domains(u->env->vms, true);
	lu_step_done(u, r, error);
}

int lu_step_hold_libvirt(struct lu_update *u, struct lu_error *e)
{
	if (!any_domain(u))
		return 1;
	return lu_libvirt_hold(u->env->libvirt, u->pkernfs_fd, on_held, u, e);
}

static void on_left(struct lu_update *u, int r, const struct lu_error *e);

/* One that need not go along and can't be kept is left behind; the others wait for that. */
static int keep_next(struct lu_update *u, struct lu_error *e)
{
	for (; u->turn < u->doc.n_vms; u->turn++) {
		const struct lu_outcome *o = &u->outcomes[u->turn];
		int r;

		if (!o->vm || !lu_vm_is_domain(o->vm) || o->left)
			continue;
		r = lu_libvirt_keep(o->vm, u->pkernfs_fd, e);
		if (r >= 0) {
			lu_domain_note_groups(u, u->turn);
			continue;
		}
		if (!e->code)
			(void)lu_error_set(e, r, NULL, "VM %s: what libvirt knows of it can't be kept: %s",
					   lu_vm_name(o->vm), strerror(-r));
		return lu_leave(u, o->vm, e, on_left) ? 0 : e->code;
	}
	return 1;
}

static void on_left(struct lu_update *u, int r, const struct lu_error *e)
{
	_cleanup_error_ struct lu_error why = LU_ERROR_INIT;

	if (r >= 0) {
		u->turn++;
		r = keep_next(u, &why);
		e = &why;
	}
	if (r != 0)
		lu_step_done(u, r < 0 ? r : 0, e);
}

int lu_step_keep_domains(struct lu_update *u, struct lu_error *e)
{
	u->turn = 0;
	return keep_next(u, e);
}

/* Of undo. A guest of this update that is in the way has failed a step before; one of an earlier update is none of its. */
int lu_step_release_libvirt(struct lu_update *u, struct lu_error *e)
{
	int r = lu_domains_release(u, e);

	if (r != -EBUSY)
		return r < 0 ? r : 1;
	(void)log_failure(r, e, "libvirt is kept from starting");
	lu_error_clear(e);
	return 1;
}

/* A process that has the guest, of which nobody knows yet whether libvirt could reconnect to it. */
static bool is_silent(struct lu_update *u, size_t i)
{
	struct lu_outcome *o = &u->outcomes[i];

	return o->vm && !o->alive && !o->answered && o->read && lu_result_alive(&o->result) &&
	       lu_libvirt_is_kept(u->pkernfs_fd, lu_outcome_uuid(u, i));
}

static void on_asked(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	struct lu_update *u = userdata;

	for (size_t i = 0; i < u->doc.n_vms; i++)
		if (u->outcomes[i].vm == vm)
			u->outcomes[i].answered = r >= 0;
	if (--u->pending == 0)
		lu_step_done(u, 0, NULL);
}

static void ask(struct lu_update *u, size_t i)
{
	if (lu_vm_op_start(u->outcomes[i].vm, LU_VM_PROBE, NULL, LU_DOMAIN_ASK_USEC, on_asked, u) == 0)
		u->pending++;
}

/*
 * One that did not answer in time may only be slow, and one that was found stopped is libvirt's all the same. To take
 * either for gone would leave a QEMU that libvirt does not know of.
 */
int lu_step_ask_domains(struct lu_update *u, struct lu_error *e)
{
	if (!lu_libvirt_held())
		return 1;
	for (size_t i = 0; i < u->doc.n_vms; i++)
		if (is_silent(u, i))
			ask(u, i);
	return u->pending ? 0 : 1;
}

static void on_machines(void *userdata, int r, struct lu_error *error)
{
	lu_step_done(userdata, 0, NULL);
}

int lu_step_wait_machines(struct lu_update *u, struct lu_error *e)
{
	return lu_libvirt_held() ? lu_machines_wait(lu_libvirt_machines(u->env->libvirt), on_machines, u) : 1;
}

/* In undo: a guest that another QEMU has taken up in this kernel. Its terminals are asked for, too. */
int lu_step_ask_moved(struct lu_update *u, struct lu_error *e)
{
	if (!lu_libvirt_held() || !u->outcomes)
		return 1;
	for (size_t i = 0; i < u->doc.n_vms; i++) {
		u->outcomes[i].answered = false;
		if (lu_domain_moved(u, i))
			ask(u, i);
	}
	return u->pending ? 0 : 1;
}

/* One that libvirt can't be told of keeps its record, and libvirt from starting: it would end what it does not reach. */
int lu_step_return_moved(struct lu_update *u, struct lu_error *e)
{
	int r = 1;

	if (!lu_libvirt_held() || !u->outcomes)
		return 1;
	for (size_t i = 0; i < u->doc.n_vms; i++) {
		_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
		struct lu_outcome *o = &u->outcomes[i];
		int k;

		o->moved = lu_domain_moved(u, i);
		if (!o->moved)
			continue;
		k = o->answered ? lu_domain_give_back(u, o->vm, (pid_t)o->result.pid, &why) :
				  lu_error_set(&why, -EBUSY, "systemctl restart luctld tries again",
					       "process %llu has the guest and does not answer at its monitor",
					       (unsigned long long)o->result.pid);
		o->moved = k < 0;
		if (k < 0)
			r = lu_error_set(e, k, why.hint, "VM %s: libvirt can't be told of it: %s",
					 lu_outcome_name(u, i), why.what ?: strerror(-k));
	}
	return r;
}

static int give_one(struct lu_update *u, size_t i, struct lu_error *e)
{
	struct lu_outcome *o = &u->outcomes[i];

	if (o->alive || o->answered)
		return lu_domain_give_back(u, o->vm, (pid_t)o->result.pid, e);
	if (is_silent(u, i))
		return lu_error_set(e, -EBUSY, "if it stays so end that process; then systemctl restart luctld",
				    "process %llu has the guest and does not answer at its monitor",
				    (unsigned long long)o->result.pid);
	return 0;
}

/*
 * Out of reach first: who starts on it now (a domain of the same number and name) has it already, which is seen, or finds
 * nothing there.
 */
static int give_memory_back(struct lu_update *u, int update, const char *dir, pid_t *ret_user, struct lu_error *e)
{
	_cleanup_close_ int moved = -EBADF;
	int r;

	if (renameat2(u->pkernfs_fd, dir, update, LU_STORE_MEMORY, RENAME_NOREPLACE) < 0)
		return errno == ENOENT ? 0 : -errno;
	moved = openat(update, LU_STORE_MEMORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	r = moved < 0 ? -errno : lu_memory_user(moved, ret_user);
	if (r >= 0 && !*ret_user) {
		r = lu_store_remove_memory(update, e);
		return r < 0 ? r : 1;
	}
	if (renameat2(update, LU_STORE_MEMORY, u->pkernfs_fd, dir, RENAME_NOREPLACE) < 0)
		r = -errno;
	return r;
}

/* Of guests that ended with the kernel before: nobody else knows of it, since libvirt does not. */
int lu_step_give_memory_back(struct lu_update *u, struct lu_error *e)
{
	_cleanup_close_ int update = openat(u->pkernfs_fd, "update", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (char **dir = u->doc.left_memory; update >= 0 && dir && *dir; dir++) {
		_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
		pid_t user = 0;
		int r = give_memory_back(u, update, *dir, &user, &why);

		if (r > 0)
			log_info("%s in pkernfs, memory of a guest that was left behind, is given back", *dir);
		else if (user)
			log_warning("%s in pkernfs, memory of a guest that was left behind, stays: process %d has it",
				    *dir, (int)user);
		else if (r < 0)
			log_warning("%s in pkernfs, memory of a guest that was left behind, can't be given back: %s",
				    *dir, why.what ?: strerror(-r));
	}
	return 1;
}

/* Each has answered just now, or its process is not there. */
int lu_step_give_domains_back(struct lu_update *u, struct lu_error *e)
{
	int r;

	if (!lu_libvirt_held())
		return 1;
	for (size_t i = 0; i < u->doc.n_vms; i++) {
		_cleanup_error_ struct lu_error why = LU_ERROR_INIT;

		if (!u->outcomes[i].vm || !lu_libvirt_is_kept(u->pkernfs_fd, lu_outcome_uuid(u, i)))
			continue;
		r = give_one(u, i, &why);
		/* libvirt would end what it can't reach, and take the memory of what it does not know */
		if (r < 0)
			return lu_error_set(e, r, why.hint, "VM %s: libvirt is kept from starting: %s",
					    lu_outcome_name(u, i), why.what ?: strerror(-r));
		lu_vm_disconnect(u->outcomes[i].vm);
	}
	r = lu_domains_release(u, e);
	return r < 0 ? r : 1;
}
