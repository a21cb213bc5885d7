// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guests of another manager (libvirt), which holds their monitors: how they get into the registry, and PROBE of one
 * while its monitor is in the manager's hands. Nothing is asked of QEMU then. Its command line, /proc and what the
 * manager has noted about it tell nearly all; the rest (blockers, what was plugged in by somebody else) is asked in
 * PREPARE, when the manager has stepped aside and before any guest stands still.
 *
 *	manager works		PROBE looks from outside; every other operation has nothing to do
 *	manager stands aside	(lu_vms_hold_domains()) all operations as for other VMs; PREPARE begins with a whole PROBE
 *
 * The process is who the manager says: it made the socket at which QEMU listens, so SO_PEERCRED names the manager.
 *
 * A VM that has a definition and is a domain, too, is refused: two who each think that the guest is theirs.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "argv.h"
#include "vm-internal.h"

void lu_vm_domain_clear(struct lu_vm_domain *d)
{
	free(d->name);
	free(d->uuid);
	free(d->monitor);
	free(d->agent);
	free(d->memory);
	lu_argv_free(d->devices);
	for (size_t i = 0; i < d->n_disks; i++) {
		free(d->disks[i].alias);
		lu_argv_free(d->disks[i].nodes);
	}
	free(d->disks);
	lu_reasons_clear(&d->reasons);
	lu_reasons_clear(&d->losses);
	*d = (struct lu_vm_domain){ 0 };
}

bool lu_vm_is_domain(const struct lu_vm *vm)
{
	return vm->domain.uuid != NULL;
}

const struct lu_vm_domain *lu_vm_domain(const struct lu_vm *vm)
{
	return &vm->domain;
}

const char *lu_vm_domain_memory(const struct lu_vm *vm)
{
	const char *dir = vm->domain.memory;
	size_t n = strlen(vm->vms->pkernfs);

	return dir && !strncmp(dir, vm->vms->pkernfs, n) && dir[n] == '/' && lu_relative_path_valid(dir + n + 1) ?
		       dir + n + 1 :
		       NULL;
}

void lu_vms_hold_domains(struct lu_vms *vms, bool held)
{
	vms->held = held;
	for (struct lu_vm *vm = vms->first; vm; vm = vm->next)
		if (!held && lu_vm_is_domain(vm))
			lu_vm_disconnect(vm);
}

bool lu_vms_domains_held(const struct lu_vms *vms)
{
	return vms->held;
}

bool lu_vm_in_other_hands(const struct lu_vm *vm)
{
	return lu_vm_is_domain(vm) && !vm->vms->held;
}

bool lu_vm_domain_lives(const struct lu_vm *vm)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)vm->domain.pid);
	return lu_vm_is_domain(vm) && vm->domain.pid > 0 && access(path, F_OK) == 0;
}

/* --- terminals --- */

/* {"label": "charserial0", "filename": "pty:/dev/pts/3"} */
static int note_pty(struct lu_vm_facts *f, struct json_object *o)
{
	const char *label = lu_member_string(o, "label"), *file = lu_member_string(o, "filename");
	struct lu_vm_pty *p;

	if (!label || !file || strncmp(label, "char", 4) != 0 || strncmp(file, "pty:/", 5) != 0)
		return 0;
	p = reallocarray(f->ptys, f->n_ptys + 1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	f->ptys = p;
	p += f->n_ptys++;
	*p = (struct lu_vm_pty){ .name = strdup(label + 4), .path = strdup(file + 4) };
	return p->name && p->path ? 0 : -ENOMEM;
}

static int on_chardevs(struct lu_vm_job *j, struct json_object *data)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && json_object_is_type(data, json_type_array) && i < json_object_array_length(data);
	     i++)
		r = note_pty(&j->vm->facts, json_object_array_get_idx(data, i));
	return r;
}

/* A new QEMU has other terminals than the one before, and libvirt does not ask it for them again. */
int lu_domain_ask_ptys(struct lu_vm_job *j)
{
	if (!lu_vm_is_domain(j->vm) && !j->vm->stored)
		return 0;
	return lu_vm_job_try(j, "query-chardev", NULL, LU_TOLERATE_REFUSAL, on_chardevs);
}

/* --- PROBE from outside --- */

static int begin(struct lu_vm_job *j)
{
	struct lu_vm *vm = j->vm;
	struct lu_vm_facts *f = &vm->facts;

	lu_vm_facts_begin(vm);
	if (!lu_vm_domain_lives(vm))
		return lu_error_set(&j->error, -ECONNREFUSED, "virsh list shows what libvirt thinks of it",
				    "VM %s: its QEMU, process %d, has ended", vm->name, (int)vm->domain.pid);
	f->pid = vm->domain.pid;
	f->state = vm->domain.running ? LU_VM_RUNNING : LU_VM_PAUSED;
	snprintf(f->run_state, sizeof(f->run_state), "%s", vm->domain.running ? "running" : "paused");
	lu_reasons_copy(&f->reasons, &vm->domain.reasons);
	lu_reasons_copy(&f->losses, &vm->domain.losses);
	return 0;
}

/* @value is "memory-backend-file,id=…" or JSON with "qom-type" */
static int kind_of(const char *value, const char *key, char **ret)
{
	int r = lu_argv_property(value, key, ret);

	if (r != 0)
		return r;
	if (value[0] == '{')
		return 0;
	*ret = strndup(value, strcspn(value, ","));
	return *ret ? 1 : -ENOMEM;
}

static int one_backend(struct lu_vm_job *j, const char *kind, const char *value)
{
	_cleanup_free_ char *path = NULL, *size = NULL, *share = NULL, *id = NULL;
	struct lu_vm_facts *f = &j->vm->facts;
	struct lu_vm_ram *p;

	if (lu_argv_property(value, "mem-path", &path) < 0 || lu_argv_property(value, "size", &size) < 0 ||
	    lu_argv_property(value, "share", &share) < 0 || lu_argv_property(value, "id", &id) < 0)
		return -ENOMEM;
	if (strcmp(kind, "memory-backend-file") != 0 || !path)
		return lu_vm_refuse(j->vm, lu_probe_memory_hint(j->vm),
				    "its memory \"%s\" is a %s, which does not survive", id ?: "", kind);
	p = reallocarray(f->ram, f->n_ram + 1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	f->ram = p;
	p[f->n_ram] = (struct lu_vm_ram){ .path = strdup(path), .size = size ? strtoull(size, NULL, 10) : 0 };
	if (!p[f->n_ram].path)
		return -ENOMEM;
	f->n_ram++;
	if (!share || (strcmp(share, "true") != 0 && strcmp(share, "on") != 0))
		lu_vm_refuse(j->vm, lu_probe_memory_hint(j->vm), "its memory \"%s\" is a private copy (share=off)",
			     id ?: "");
	lu_probe_judge_file(j->vm, &p[f->n_ram - 1]);
	return 0;
}

static int judge_words(struct lu_vm_job *j)
{
	struct lu_arg arg = { 0 };
	int r = 0;

	while (r >= 0 && j->launch.argv && lu_argv_next(j->launch.argv, &arg)) {
		_cleanup_free_ char *kind = NULL, *id = NULL;

		if (!arg.value)
			continue;
		if (!strcmp(arg.name, "object")) {
			r = kind_of(arg.value, "qom-type", &kind);
			if (r > 0 && !strncmp(kind, "memory-backend-", 15))
				r = one_backend(j, kind, arg.value);
		} else if (!strcmp(arg.name, "device")) {
			r = kind_of(arg.value, "driver", &kind);
			if (r > 0 && lu_argv_property(arg.value, "id", &id) >= 0)
				lu_probe_judge_device(j->vm, id ?: "", kind, strlen(kind));
		}
	}
	if (r >= 0 && j->vm->facts.n_ram == 0 && !lu_reasons_any(&j->vm->facts.reasons))
		lu_vm_refuse(j->vm, lu_probe_memory_hint(j->vm), "none of its memory is in pkernfs");
	return r < 0 ? r : 0;
}

static bool named(char *const *argv, const char *id)
{
	struct lu_arg arg = { 0 };

	while (lu_argv_next(argv, &arg)) {
		_cleanup_free_ char *v = NULL;

		if (!strcmp(arg.name, "device") && lu_argv_property(arg.value, "id", &v) > 0 && !strcmp(v, id))
			return true;
	}
	return false;
}

static bool listed(char *const *devices, const char *id)
{
	for (; devices && *devices; devices++)
		if (!strcmp(*devices, id))
			return true;
	return false;
}

/* What the manager has plugged in or out since it started it; QEMU itself is asked in PREPARE. */
static int judge_plugged(struct lu_vm_job *j)
{
	char *const *devices = j->vm->domain.devices;
	struct lu_arg arg = { 0 };

	if (!devices || !j->launch.argv)
		return 0;
	for (char *const *p = devices; *p; p++)
		if (!named(j->launch.argv, *p))
			lu_vm_refuse(j->vm, "shut it down and start it again, unplug it, or exclude the VM",
				     "its device \"%s\" was plugged in after the start", *p);
	while (lu_argv_next(j->launch.argv, &arg)) {
		_cleanup_free_ char *id = NULL;

		if (!strcmp(arg.name, "device") && lu_argv_property(arg.value, "id", &id) > 0 && !listed(devices, id))
			lu_vm_refuse(j->vm, "shut it down and start it again, or exclude the VM",
				     "its device \"%s\" was unplugged after the start", id);
	}
	return 0;
}

/* The next QEMU opens the images of the command line. If a disk has another one by now, it would write to an old one. */
static int judge_disks(struct lu_vm_job *j)
{
	struct lu_arg arg = { 0 };

	while (j->launch.argv && lu_argv_next(j->launch.argv, &arg)) {
		_cleanup_free_ char *id = NULL, *drive = NULL;
		const struct lu_vm_domain_disk *disk = NULL;

		if (strcmp(arg.name, "device") != 0 || lu_argv_property(arg.value, "id", &id) <= 0)
			continue;
		if (lu_argv_property(arg.value, "drive", &drive) < 0)
			return -ENOMEM;
		for (size_t i = 0; i < j->vm->domain.n_disks; i++)
			if (!strcmp(j->vm->domain.disks[i].alias, id))
				disk = &j->vm->domain.disks[i];
		if (disk && (drive ? !listed(disk->nodes, drive) : disk->nodes[0] != NULL))
			lu_vm_refuse(j->vm, "shut it down and start it again, or exclude the VM",
				     "its disk \"%s\" has another image than it was started with (a snapshot, a copy, "
				     "another medium)",
				     id);
	}
	return 0;
}

static int conclude(struct lu_vm_job *j)
{
	j->vm->facts.updatable = !lu_reasons_any(&j->vm->facts.reasons);
	return 0;
}

/* Of a VM whose monitor others hold nothing was changed. */
static int nothing(struct lu_vm_job *j)
{
	return 0;
}

static int refuse(struct lu_vm_job *j)
{
	return lu_error_set(&j->error, -EBUSY, NULL, "VM %s: libvirt holds its monitor", j->vm->name);
}

/* clang-format off */
const lu_vm_step_t lu_domain_probe_steps[] = {
	begin,
	lu_vm_job_judge_process,
	judge_words,
	lu_probe_judge_rules,
	lu_probe_judge_functions,
	judge_plugged,
	judge_disks,
	conclude,
	NULL,
};
static const lu_vm_step_t nothing_steps[] = { nothing, NULL };
static const lu_vm_step_t refuse_steps[] = { refuse, NULL };
/* clang-format on */

const lu_vm_step_t *lu_domain_steps(const struct lu_vm *vm, enum lu_vm_op op)
{
	if (!lu_vm_in_other_hands(vm))
		return NULL;
	if (op == LU_VM_PROBE)
		return lu_domain_probe_steps;
	return op == LU_VM_RESUME || op == LU_VM_UNPREPARE ? nothing_steps : refuse_steps;
}
