// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libvirt during an update (daemon/libvirt/hold.h). In the old kernel it steps aside before anything is asked of its
 * guests' monitors, and comes back when all of them run again. In the new kernel it has not started yet: it is let go
 * when each of its guests has answered at its monitor, or was put where libvirt can't reach it.
 *
 * What libvirt knows of a guest is its status file. One that is not there any more is a guest that libvirt would end.
 */
#include <string.h>

#include "domains.h"
#include "hold.h"
#include "kept.h"
#include "log.h"
#include "machine.h"
#include "outcomes.h"
#include "steps-libvirt.h"
#include "steps.h"

#define ASK_TIMEOUT_USEC (40 * UINT64_C(1000000))

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

int lu_step_keep_domains(struct lu_update *u, struct lu_error *e)
{
	int r = 1;

	for (size_t i = 0; r > 0 && i < u->doc.n_vms; i++) {
		struct lu_vm *vm = u->outcomes[i].vm;

		if (!vm || !lu_vm_is_domain(vm) || u->outcomes[i].left)
			continue;
		r = lu_libvirt_keep(vm, u->pkernfs_fd, e) < 0 ? -EIO : 1;
		lu_domain_note_groups(u, i);
	}
	return r < 0 && e->code ? e->code : r;
}

int lu_step_release_libvirt(struct lu_update *u, struct lu_error *e)
{
	int r = 0;

	if (!lu_libvirt_held())
		return 1;
	for (size_t i = 0; r >= 0 && i < u->doc.n_vms; i++) {
		struct lu_vm *vm = u->outcomes ? u->outcomes[i].vm : NULL;

		if (vm && lu_vm_uuid(vm) && lu_vm_waits(vm, NULL) && lu_vm_process_lives(vm) <= 0)
			r = lu_domain_protect(u, lu_vm_uuid(vm), e);
	}
	if (r < 0)
		return r;
	lu_vms_hold_domains(u->env->vms, false);
	r = lu_libvirt_release(u->env->libvirt, u->pkernfs_fd, e);
	return r < 0 ? r : 1;
}

/* A process that has the guest, of which nobody knows yet whether libvirt could reconnect to it. */
static bool is_silent(struct lu_update *u, size_t i)
{
	struct lu_outcome *o = &u->outcomes[i];

	return o->vm && !o->alive && !o->answered && o->read && lu_result_alive(&o->result) &&
	       lu_libvirt_is_kept(u->pkernfs_fd, lu_outcome_uuid(u, i));
}

static int ask(struct lu_update *u, lu_vm_done_t done)
{
	int n = 0;

	for (size_t i = 0; i < u->doc.n_vms; i++)
		if (is_silent(u, i) &&
		    lu_vm_op_start(u->outcomes[i].vm, LU_VM_PROBE, NULL, ASK_TIMEOUT_USEC, done, u) == 0)
			n++;
	return n;
}

static void note_answer(struct lu_update *u, const struct lu_vm *vm, int r)
{
	for (size_t i = 0; i < u->doc.n_vms; i++)
		if (u->outcomes[i].vm == vm)
			u->outcomes[i].answered = r >= 0;
}

static void on_asked(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	struct lu_update *u = userdata;

	note_answer(u, vm, r);
	if (--u->pending == 0)
		lu_step_done(u, 0, NULL);
}

/*
 * One that did not answer in time may only be slow, and one that was found stopped is libvirt's all the same. To take
 * either for gone would leave a QEMU that libvirt does not know of.
 */
int lu_step_ask_domains(struct lu_update *u, struct lu_error *e)
{
	if (!lu_libvirt_held())
		return 1;
	u->pending = (size_t)ask(u, on_asked);
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

static int give_one(struct lu_update *u, size_t i, struct lu_error *e)
{
	struct lu_outcome *o = &u->outcomes[i];

	if (o->alive || o->answered)
		return lu_domain_give_back(u, i, e);
	if (is_silent(u, i))
		return lu_error_set(e, -EBUSY, "if it stays so end that process; then systemctl restart luctld",
				    "process %llu has the guest and does not answer at its monitor",
				    (unsigned long long)o->result.pid);
	return lu_vm_waits(o->vm, NULL) ? lu_domain_protect(u, lu_outcome_uuid(u, i), e) : 0;
}

/* Each has answered just now, or its process is not there. */
int lu_step_give_domains_back(struct lu_update *u, struct lu_error *e)
{
	if (!lu_libvirt_held())
		return 1;
	for (size_t i = 0; i < u->doc.n_vms; i++) {
		_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
		int r;

		if (!u->outcomes[i].vm || !lu_libvirt_is_kept(u->pkernfs_fd, lu_outcome_uuid(u, i)))
			continue;
		r = give_one(u, i, &why);
		/* libvirt would end what it can't reach, and take the memory of what it does not know */
		if (r < 0)
			return lu_error_set(e, r, why.hint, "VM %s: libvirt is kept from starting: %s",
					    lu_outcome_name(u, i), why.what ?: strerror(-r));
		lu_vm_disconnect(u->outcomes[i].vm);
	}
	lu_vms_hold_domains(u->env->vms, false);
	return lu_libvirt_release(u->env->libvirt, u->pkernfs_fd, e) < 0 ? -EIO : 1;
}

static void settle(struct lu_update *u)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int r = lu_step_give_domains_back(u, &e);

	if (r < 0)
		(void)log_failure(r, &e, "libvirt stands aside");
}

static void on_settling(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	struct lu_update *u = userdata;

	note_answer(u, vm, r);
	/* an update that has begun meanwhile has libvirt in hand itself, or goes without its guests */
	if (--u->settling == 0 && !u->info.running)
		settle(u);
}

void lu_domains_settle(struct lu_update *u)
{
	if (!lu_libvirt_held())
		return;
	for (size_t i = 0; i < u->doc.n_vms; i++) {
		(void)lu_outcome_read(u, i);
		/* of what was so when another daemon looked nothing is known */
		u->outcomes[i].alive = false;
	}
	u->settling = (size_t)ask(u, on_settling);
	if (u->settling == 0)
		settle(u);
}
