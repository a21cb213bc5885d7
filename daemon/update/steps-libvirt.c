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

int lu_step_keep_domains(struct lu_update *u, struct lu_error *e)
{
	int r = 1;

	for (size_t i = 0; r > 0 && i < u->doc.n_vms; i++) {
		struct lu_vm *vm = u->outcomes[i].vm;

		if (!vm || !lu_vm_is_domain(vm))
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

/* Each has answered just now (lu_step_verify()), or is not alive. */
int lu_step_give_domains_back(struct lu_update *u, struct lu_error *e)
{
	if (!lu_libvirt_held())
		return 1;
	for (size_t i = 0; i < u->doc.n_vms; i++) {
		struct lu_outcome *o = &u->outcomes[i];
		_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
		int r;

		if (!o->vm || !lu_libvirt_is_kept(u->pkernfs_fd, lu_outcome_uuid(u, i)))
			continue;
		r = o->alive                 ? lu_domain_give_back(u, i, &why) :
		    lu_vm_waits(o->vm, NULL) ? lu_domain_protect(u, lu_outcome_uuid(u, i), &why) :
					       0;
		if (r < 0) {
			/* libvirt would end what it can't find, or take its memory */
			log_warning("VM %s: %s", lu_outcome_name(u, i), why.what ?: strerror(-r));
			return lu_error_set(e, r, why.hint, "VM %s: libvirt is kept from starting: %s",
					    lu_outcome_name(u, i), why.what ?: strerror(-r));
		}
		lu_vm_disconnect(o->vm);
	}
	lu_vms_hold_domains(u->env->vms, false);
	return lu_libvirt_release(u->env->libvirt, u->pkernfs_fd, e) < 0 ? -EIO : 1;
}
