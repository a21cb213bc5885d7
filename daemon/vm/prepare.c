// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PREPARE and UNPREPARE: all work that needs no pause, and its undo.
 *
 * PREPARE writes, in this order:
 *	apparmor	the rules that confine its QEMU, if there are any
 *	launch.json	how to start the VM again
 *	state		an empty file; result.json of an earlier update goes away
 *	settings.json	how QEMU migrates, as somebody may have set it (settings.c)
 *	saved.json	what has to be put back: did the guest run, mode, capability
 * and only then changes QEMU's settings (x-ignore-shared, mode cpr-reboot or, with
 * passed-through devices, cpr-transfer, and what would be in the way) and marks the devices: from then on the
 * kernel jumps with them going on or not at all. So whoever finds a changed setting
 * also finds the record of what it was. Repeated for the same update it keeps the
 * settings that were recorded first.
 *
 * Room for the records is reserved (store.h). Room for the state: it is some 100 kB, or the video memory more; a pkernfs with less
 * than STATE_ROOM left is refused here, before any guest stands still. (It is not
 * reserved: most are much smaller, and many VMs are prepared at once.)
 *
 * A saved state of an earlier update that still waits is not written over: PREPARE refuses.
 *
 * UNPREPARE puts the settings back, takes the marks away and removes the directory.
 * Without a record of this update there is nothing to undo. A QEMU that is gone has no
 * settings: then only the marks and files are removed. Two things stay, with all that belongs to them: a
 * saved state whose guest nobody runs, and the record of a guest that RESUME could not let run yet, since
 * the next try needs it.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "argv.h"
#include "confined.h"
#include "devices.h"
#include "pci.h"
#include "vm-internal.h"

#define STATE_ROOM (32ULL << 20)

static int check_verdict(struct lu_vm_job *j)
{
	const struct lu_vm_facts *f = &j->vm->facts;
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	char prefix[80];

	if (f->updatable)
		return 0;
	snprintf(prefix, sizeof(prefix), "VM %s: ", j->vm->name);
	if (!lu_reasons_any(&f->reasons))
		return lu_error_set(&j->error, -EOPNOTSUPP, NULL, "%sit has not been judged yet", prefix);
	lu_reasons_copy(&why, &f->reasons);
	if (j->vm->here)
		lu_reasons_here(&why);
	return lu_reasons_first(&why, prefix, &j->error);
}

static int capture(struct lu_vm_job *j)
{
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = lu_vm_job_capture(j, &why, &j->launch, &j->error);

	if (j->vm->here || (proc >= 0 && lu_devices_stand_in(proc, j->vm->facts.pid)))
		lu_reasons_here(&why);
	return r < 0 ? r : lu_reasons_first(&why, NULL, &j->error);
}

static int on_cpus(struct lu_vm_job *j, struct json_object *data)
{
	json_object_put(j->cpus);
	j->cpus = json_object_get(data);
	return 0;
}

static int ask_cpus(struct lu_vm_job *j)
{
	return lu_vm_job_command(j, "query-cpus-fast", NULL, on_cpus);
}

/* Where each vCPU's thread may run: libvirt and administrators pin them one by one. */
static int fill_vcpus(struct lu_vm_job *j)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = proc < 0 ? -errno : 0;

	for (size_t i = 0;
	     r >= 0 && json_object_is_type(j->cpus, json_type_array) && i < json_object_array_length(j->cpus); i++) {
		struct json_object *o = json_object_array_get_idx(j->cpus, i),
				   *index = lu_member(o, "cpu-index", json_type_int),
				   *tid = lu_member(o, "thread-id", json_type_int);

		if (!index || !tid)
			return lu_error_set(&j->error, -EBADMSG, NULL,
					    "VM %s: QEMU's answer to query-cpus-fast names no thread", j->vm->name);
		r = lu_launch_add_vcpu(&j->launch, proc, j->vm->facts.pid, json_object_get_int(tid),
				       json_object_get_uint64(index));
	}
	return r;
}

static int set_string(char **to, const char *from)
{
	free(*to);
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

/* Those of the running process open what was beneath its disks, and read the ROMs that were there, when it was started. */
static int take_words(const struct lu_vm *vm, struct lu_launch *l)
{
	lu_argv_free(l->argv);
	l->argv = NULL;
	return lu_argv_restorable(vm->argv, &l->argv);
}

static int fill_launch(struct lu_vm_job *j)
{
	struct lu_vm *vm = j->vm;
	struct lu_launch *l = &j->launch;
	int r;

	lu_launch_clear(l);
	r = capture(j);
	if (r >= 0 && vm->argv)
		r = take_words(vm, l);
	if (r >= 0)
		r = fill_vcpus(j);
	if (r < 0)
		return r;
	if (set_string(&l->name, vm->name) < 0 || set_string(&l->uuid, vm->def.uuid) < 0 ||
	    set_string(&l->unit, vm->def.unit) < 0 || set_string(&l->qmp, vm->def.qmp) < 0 ||
	    set_string(&l->agent, lu_vm_agent(vm)) < 0 || set_string(&l->machine, vm->machine) < 0 ||
	    set_string(&l->qemu_version, vm->facts.qemu_version) < 0)
		return -ENOMEM;
	l->ram = calloc(vm->facts.n_ram, sizeof(*l->ram));
	if (!l->ram)
		return -ENOMEM;
	for (size_t i = 0; i < vm->facts.n_ram; i++) {
		struct lu_vm_ram *ram = &vm->facts.ram[i];
		const char *other;
		struct stat st;

		if (stat(ram->path, &st) < 0)
			return lu_error_set(&j->error, -errno, NULL, "VM %s: %s: %s", vm->name, ram->path,
					    strerror(errno));
		other = lu_vm_memory_owner(vm, ram->path, &st);
		if (other)
			return lu_error_set(&j->error, -EPERM, "start one of them with memory of its own",
					    "VM %s: its memory file %s belongs to VM %s", vm->name, ram->path, other);
		l->ram[i] = (struct lu_launch_ram){ .path = strdup(ram->path), .size = ram->size, .inode = st.st_ino };
		if (!l->ram[i].path)
			return -ENOMEM;
		l->n_ram++;
	}
	return 0;
}

static int check_room(struct lu_vm_job *j)
{
	unsigned long long room;
	struct statfs fs;

	if (fstatfs(j->pkernfs_fd, &fs) < 0)
		return lu_error_set(&j->error, -errno, NULL, "pkernfs: statfs: %s", strerror(errno));
	room = (unsigned long long)fs.f_bavail * (unsigned long long)fs.f_bsize;
	if (room >= STATE_ROOM)
		return 0;
	return lu_error_set(&j->error, -ENOSPC, "remove files that nobody needs or mount it with more room",
			    "pkernfs is full: %llu KiB are left, VM %s needs up to %llu KiB for its state", room >> 10,
			    j->vm->name, STATE_ROOM >> 10);
}

static int fill_saved(struct lu_vm_job *j)
{
	struct lu_saved *s = &j->saved;

	j->vm->continued = j->vm->stopped = false;
	s->running = !strcmp(j->status, "running") || !strcmp(j->status, "suspended");
	s->complete = false;
	s->size = s->crc32 = 0;
	s->pause_tsc = s->pause_realtime_usec = s->saved_tsc = s->devices_size = s->devices_crc32 = 0;
	s->index = j->vm->index;
	if (set_string(&s->update, j->update) < 0 || set_string(&s->uuid, j->vm->def.uuid) < 0 ||
	    set_string(&s->name, j->vm->name) < 0 || set_string(&s->unit, j->vm->def.unit) < 0)
		return -ENOMEM;
	return 0;
}

static int write_files(struct lu_vm_job *j)
{
	_cleanup_close_ int state = -EBADF;
	int r;

	r = check_room(j);
	if (r >= 0)
		r = fill_launch(j);
	if (r < 0)
		return r;
	if (j->dir_fd < 0) {
		j->dir_fd = lu_store_open(j->pkernfs_fd, j->vm->def.uuid, true, &j->error);
		if (j->dir_fd < 0)
			return j->dir_fd;
	}
	r = lu_store_reserve(j->dir_fd, &j->error);
	if (r >= 0)
		r = lu_confined_save(NULL, j->launch.apparmor, j->dir_fd, &j->error);
	if (r >= 0)
		r = lu_launch_write(j->dir_fd, &j->launch, &j->error);
	if (r < 0)
		return r;
	if (unlinkat(j->dir_fd, "result.json", 0) < 0 && errno != ENOENT)
		return lu_error_set(&j->error, -errno, NULL, "pkernfs: cannot remove the old result.json of VM %s: %s",
				    j->vm->name, strerror(errno));
	(void)unlinkat(j->dir_fd, "clock.json", 0); /* names its update, so an old one does no harm */
	state = openat(j->dir_fd, "state", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (state < 0)
		return lu_error_set(&j->error, -errno, NULL, "pkernfs: cannot create the state file of VM %s: %s",
				    j->vm->name, strerror(errno));
	/* We receive this state (passthrough.c), so we can reserve: what QEMU has sent must not be lost for want of room. */
	if (j->launch.devices && fallocate(state, 0, 0, LU_TRANSFER_ROOM) < 0)
		return lu_error_set(&j->error, -errno, "remove files that nobody needs or mount it with more room",
				    "pkernfs: no room for the state of VM %s: %s", j->vm->name, strerror(errno));
	r = fill_saved(j);
	if (r >= 0)
		r = lu_settings_note(j);
	return r < 0 ? r : lu_vm_job_write_saved(j);
}

int lu_device_mark(const char *device, bool on, struct lu_error *e)
{
	_cleanup_close_ int fd = -EBADF;
	char path[96];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/pkeep", device);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, on ? "1" : "0", 1) == 1)
		return 0;
	return lu_error_set(e, -errno, "see the kernel's log", "%s: %s: %s", path,
			    on ? "the device can't be marked to go on" : "its mark can't be taken away",
			    strerror(errno));
}

static int is_uuid_dir(const struct dirent *d)
{
	return lu_uuid_valid(d->d_name);
}

/* Is it among the devices of a record, of this update or one that waits? */
static bool has_device(int pkernfs_fd, const char *uuid, const char *device)
{
	_cleanup_(lu_launch_clear) struct lu_launch launch = { 0 };
	_cleanup_close_ int dir = lu_store_open(pkernfs_fd, uuid, false, NULL);

	if (dir < 0 || faccessat(dir, "saved.json", F_OK, 0) < 0 || lu_launch_read(dir, &launch, NULL) < 0)
		return false;
	for (char **d = launch.devices; d && *d; d++)
		if (!strcmp(*d, device))
			return true;
	return false;
}

/* The mark is one for all that need it: the last takes it away. */
static bool others_need(int pkernfs_fd, const char *uuid, const char *device)
{
	struct dirent **list = NULL;
	int n = scandirat(pkernfs_fd, "vm", &list, is_uuid_dir, NULL);
	bool found = false;

	for (int i = 0; i < n; i++) {
		found = found ||
			(strcasecmp(list[i]->d_name, uuid) != 0 && has_device(pkernfs_fd, list[i]->d_name, device));
		free(list[i]);
	}
	free(list);
	return found;
}

int lu_devices_unmark(int pkernfs_fd, const char *uuid, char *const *devices, struct lu_error *e)
{
	int r = 0;

	for (; devices && *devices; devices++) {
		_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
		int k = others_need(pkernfs_fd, uuid, *devices) ? 0 : lu_device_mark(*devices, false, &why);

		if (k == 0 || k == -ENOENT)
			continue;
		r = k;
		lu_error_move(e, &why);
	}
	return r;
}

void lu_devices_marked(void (*marked)(const char *address, void *userdata), void *userdata)
{
	_cleanup_close_ int sys = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (sys >= 0)
		lu_pci_marked(sys, marked, userdata);
}

static int mark_devices(struct lu_vm_job *j)
{
	int r = 0;

	for (char **device = j->launch.devices; r >= 0 && device && *device; device++)
		r = lu_device_mark(*device, true, &j->error);
	return r;
}

/* What waits to be restored is not ours to write over, nor is a record that can't be read. */
static int load_saved(struct lu_vm_job *j)
{
	_cleanup_(lu_saved_clear) struct lu_saved waiting = { 0 };
	_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
	int r = lu_vm_job_load_saved(j);

	if (r == -ENOMEM)
		return r;
	lu_error_clear(&j->error);
	if (j->dir_fd < 0 || j->have_saved || !lu_store_waits(j->dir_fd, &waiting, &why))
		return 0;
	return lu_error_set(&j->error, -EEXIST, LU_VM_WAITS_HINT,
			    "VM %s: its state that an earlier update saved %s%s%s", j->vm->name,
			    waiting.name ? "still waits to be restored" : "can't be judged", why.what ? ": " : "",
			    why.what ?: "");
}

/* clang-format off */
const lu_vm_step_t lu_prepare_steps[] = {
	check_verdict,
	lu_vm_job_open_pkernfs,
	load_saved,
	lu_vm_job_query_status,
	lu_roms_same,
	lu_vm_job_hold_process,
	lu_settings_ask_capabilities,
	lu_settings_ask_parameters,
	ask_cpus,
	write_files,
	lu_settings_set_capabilities,
	lu_settings_set_parameters,
	mark_devices,
	NULL,
};
/* clang-format on */

/* --- undo --- */

/* Only the guest's own running or the operator's word may cost a state that is whole. */
static bool must_stay(const struct lu_vm_job *j)
{
	_cleanup_(lu_saved_clear) struct lu_saved saved = { 0 };

	if (j->dir_fd >= 0 && lu_store_waits(j->dir_fd, &saved, NULL))
		return true;
	return j->have_saved && j->vm->stopped && lu_vm_lives(j->vm);
}

/* A mark that stays would forbid other jumps; the record of which there are goes with the files. */
static int unmark_devices(struct lu_vm_job *j)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	if (!j->have_saved || must_stay(j) || lu_launch_read(j->dir_fd, &j->launch, &e) < 0)
		return 0;
	return lu_devices_unmark(j->pkernfs_fd, j->vm->def.uuid, j->launch.devices, &j->error);
}

static int remove_files(struct lu_vm_job *j)
{
	int r;

	if (must_stay(j))
		return 0;
	lu_vm_let_go(j->vm);
	if (!j->have_saved)
		return 0;
	r = lu_store_remove(j->pkernfs_fd, j->vm->def.uuid, &j->error);
	/* others that are unprepared beside this one have left the marks that it had, too, to whoever is the last */
	(void)lu_devices_unmark(j->pkernfs_fd, j->vm->def.uuid, j->launch.devices, NULL);
	return r;
}

/* clang-format off */
const lu_vm_step_t lu_unprepare_steps[] = {
	lu_vm_job_open_pkernfs,
	lu_vm_job_load_saved,
	lu_settings_put_parameters_back,
	lu_settings_put_capabilities_back,
	unmark_devices,
	remove_files,
	NULL,
};
/* clang-format on */
