// SPDX-License-Identifier: GPL-2.0-or-later
/* What an update, and a restore by request, do about one guest of libvirt (daemon/libvirt/kept.h). */
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
static void make_groups(struct lu_update *u, size_t i)
{
	_cleanup_close_ int dir = lu_store_open(u->pkernfs_fd, lu_outcome_uuid(u, i), false, NULL);
	_cleanup_(lu_groups_clear) struct lu_groups groups = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int r = dir < 0 ? dir : lu_json_load(dir, LU_GROUPS_FILE, LU_STORE_JSON_MAX, &lu_groups_table, &groups, &e);

	if (r >= 0)
		r = lu_groups_make(AT_FDCWD, (pid_t)lu_outcome(u, i)->result.pid, &groups, &e);
	if (r < 0 || e.code)
		log_warning_vm(lu_outcome_name(u, i), "limits of its control groups: %s", e.what ?: strerror(-r));
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
int lu_domain_give_back(struct lu_update *u, size_t i, struct lu_error *e)
{
	const struct lu_vm_facts *f = lu_vm_facts(lu_outcome(u, i)->vm);
	_cleanup_free_ struct lu_status_pty *ptys = calloc(f->n_ptys + 1, sizeof(*ptys));

	if (!ptys)
		return -ENOMEM;
	(void)lu_domain_adopt(u, i, true);
	make_groups(u, i);
	for (size_t k = 0; k < f->n_ptys; k++)
		ptys[k] = (struct lu_status_pty){ .alias = f->ptys[k].name, .path = f->ptys[k].path };
	return lu_libvirt_give_back(u->pkernfs_fd, lu_outcome_uuid(u, i), (pid_t)lu_outcome(u, i)->result.pid, ptys,
				    f->n_ptys, e);
}

bool lu_domain_adopt(struct lu_update *u, size_t i, bool wait)
{
	_cleanup_close_ int dir = lu_store_open(u->pkernfs_fd, lu_outcome_uuid(u, i), false, NULL);
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
	lu_machines_make(lu_libvirt_machines(u->env->libvirt), launch.cgroup, lu_outcome_uuid(u, i),
			 (pid_t)lu_outcome(u, i)->result.pid, &limits, wait);
	return true;
}

int lu_domain_restore_begin(struct lu_update *u, lu_worker_done_t done, void *userdata, struct lu_error *e)
{
	if (!lu_libvirt_is_kept(u->pkernfs_fd, lu_outcome_uuid(u, LU_OUTCOME_KEPT)))
		return 1;
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
		r = lu_domain_give_back(u, LU_OUTCOME_KEPT, &e);
	else if (lu_vm_waits(o->vm, NULL))
		r = lu_domain_protect(u, lu_outcome_uuid(u, LU_OUTCOME_KEPT), &e);
	if (r < 0) {
		(void)log_failure(r, &e, "libvirt is kept from starting");
		return;
	}
	lu_vm_disconnect(o->vm);
	lu_vms_hold_domains(u->env->vms, false);
	if (lu_libvirt_release(u->env->libvirt, u->pkernfs_fd, &e) < 0)
		(void)log_failure(-EIO, &e, "libvirt is kept from starting");
}
