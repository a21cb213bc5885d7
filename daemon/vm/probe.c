// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PROBE: can this VM be carried over a kexec? It asks QEMU, /proc and /sys, and collects all
 * reasons against it. Every one names the thing and what to do about it. Nothing is changed, with two exceptions: if QEMU reports
 * migration blockers, the mode is set to cpr-reboot for one question and put back,
 * because QEMU lists the blockers of the present mode only and some (vhost) do
 * not block CPR.
 *
 * What is asked, in this order:
 *	query-status		running or paused; not in the middle of something
 *	query-uuid		is it the VM that the definition means?
 *	qom-get /machine type	versioned machine type, for launch.json
 *	qom-list /objects	every memory backend: file, share=on, in pkernfs, whole
 *	qom-list /machine/peripheral{,-anon}	devices whose other half does not survive
 *	qom-get /machine aux-ram-share	what passed-through devices need
 *	query-migrate		blockers
 *	migrate			only where memory of pkernfs has gone bad: to a descriptor that is not there. QEMU saves no guest that it has told of
 *				bad memory until that is reset, says so by no query, and looks at that before anything else
 *	/proc			can it be started again? (launch/capture.c) And does its command line name the
 *				devices that it has? Those plugged in or out later would be missing or too many.
 *	query-jobs and others	is something under way, or there, that ends with this QEMU (runtime.c)?
 *	query-block and others	is what is beneath its disks what its command line would open (disks.c)?
 *	qom-get romsize, firmware	do the files that it was started from still fit (roms.c)?
 *
 * A VM that does not answer is no verdict but a failure of the operation.
 *
 * Passed-through devices go on during the jump (daemon/devices). What that asks of them is looked at
 * here as far as it can be seen beforehand (pci.c, peek.c there); the kernel judges their tables at the jump.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "argv.h"
#include "confined.h"
#include "devices.h"
#include "image.h"
#include "pci.h"
#include "vm-internal.h"

#define RAM_MAX 64
#define HUGETLBFS_TYPE 0x958458f6UL

/* QEMU finds passed-through devices in its CPR stream by exec since 10.2 */
#define QEMU_CPR_MAJOR 10
#define QEMU_CPR_MINOR 2

static int begin(struct lu_vm_job *j)
{
	lu_vm_facts_begin(j->vm);
	if (lu_vm_is_domain(j->vm)) {
		lu_reasons_copy(&j->vm->facts.reasons, &j->vm->domain.reasons);
		lu_reasons_copy(&j->vm->facts.losses, &j->vm->domain.losses);
	}
	if (j->vm->defined_twice)
		lu_vm_refuse(j->vm, "remove its definition: luctl finds libvirt's guests by itself",
			     "it is a guest of libvirt, and has a definition of its own");
	return 0;
}

static int judge_status(struct lu_vm_job *j)
{
	static const char *const fine[] = { "running", "paused", "prelaunch", "suspended" };
	struct lu_vm *vm = j->vm;

	for (size_t i = 0; i < ARRAY_SIZE(fine); i++)
		if (!strcmp(j->status, fine[i]))
			goto pid;
	if (!strcmp(j->status, "postmigrate"))
		lu_vm_refuse(vm, "if it runs nowhere else let it run once (QMP cont), then try again",
			     "its state was saved by an earlier attempt, or moved elsewhere, and it has not run since");
	else
		lu_vm_refuse(vm, NULL, "QEMU is in state \"%s\"", j->status);
pid:
	if (vm->def.pid && (pid_t)vm->def.pid != vm->facts.pid)
		lu_vm_refuse(vm, "correct \"pid\" or \"qmp\" in its definition, or leave \"pid\" out",
			     "the definition says pid %d, but pid %d listens at %s", (int)vm->def.pid,
			     (int)vm->facts.pid, vm->def.qmp);
	return 0;
}

static int on_uuid(struct lu_vm_job *j, struct json_object *data)
{
	const char *uuid = lu_member_string(data, "UUID");

	/* all zero: QEMU was started without -uuid */
	if (uuid && strcmp(uuid, "00000000-0000-0000-0000-000000000000") != 0 && strcasecmp(uuid, j->vm->def.uuid) != 0)
		lu_vm_refuse(j->vm, "correct \"uuid\" or \"qmp\" in its definition",
			     "the QEMU at %s has uuid %s, not %s", j->vm->def.qmp, uuid, j->vm->def.uuid);
	return 0;
}

static int ask_uuid(struct lu_vm_job *j)
{
	return lu_vm_job_try(j, "query-uuid", NULL, LU_TOLERATE_REFUSAL, on_uuid);
}

static int on_machine(struct lu_vm_job *j, struct json_object *data)
{
	const char *type = json_object_is_type(data, json_type_string) ? json_object_get_string(data) : NULL;
	static const char suffix[] = "-machine";
	size_t n = type ? strlen(type) : 0;

	free(j->vm->machine);
	j->vm->machine = NULL;
	if (n <= strlen(suffix) || strcmp(type + n - strlen(suffix), suffix) != 0)
		return 0;
	j->vm->machine = strndup(type, n - strlen(suffix));
	return j->vm->machine ? 0 : -ENOMEM;
}

static int ask_machine(struct lu_vm_job *j)
{
	return lu_vm_job_try(j, "qom-get", lu_json_args("path", "/machine", "property", "type", NULL),
			     LU_TOLERATE_REFUSAL, on_machine);
}

/* --- memory --- */

const char *lu_probe_memory_hint(const struct lu_vm *vm)
{
	if (lu_vm_is_domain(vm))
		return "in /etc/libvirt/qemu.conf: memory_backing_dir = \"/run/luctl/pkernfs\"; in its XML: "
		       "<memoryBacking><source type='file'/><access mode='shared'/></memoryBacking>, and no <hugepages/>; "
		       "then shut it down and start it again";
	return "use memory-backend-file with share=on and mem-path=<a file below the pkernfs mount>";
}

static int on_names(struct lu_vm_job *j, struct json_object *data)
{
	json_object_put(j->names);
	j->names = NULL;
	j->i = 0;
	if (data && !json_object_is_type(data, json_type_array))
		return lu_error_set(&j->error, -EBADMSG, NULL, "VM %s: QEMU's answer to qom-list is no list",
				    j->vm->name);
	j->names = json_object_get(data);
	return 0;
}

static int list_objects(struct lu_vm_job *j)
{
	return lu_vm_job_command(j, "qom-list", lu_json_args("path", "/objects", NULL), on_names);
}

/* The object under the cursor: its name, and T of type "child<T>"; NULL at the end. */
static const char *cursor(struct lu_vm_job *j, const char **ret_type, size_t *ret_len)
{
	static const char child[] = "child<";

	for (; j->names && j->i < json_object_array_length(j->names); j->i++) {
		struct json_object *o = json_object_array_get_idx(j->names, j->i);
		const char *name = lu_member_string(o, "name"), *type = lu_member_string(o, "type");

		if (!name || !type || strncmp(type, child, strlen(child)) != 0)
			continue;
		*ret_type = type + strlen(child);
		*ret_len = strcspn(*ret_type, ">");
		return name;
	}
	return NULL;
}

static bool type_is(const char *type, size_t len, const char *want)
{
	return len == strlen(want) && !strncmp(type, want, len);
}

static int judge_memory(struct lu_vm_job *j);

static int next_object(struct lu_vm_job *j)
{
	j->i++;
	return judge_memory(j);
}

static int ask_object(struct lu_vm_job *j, const char *property, lu_vm_reply_t reply)
{
	const char *type, *name;
	char path[300];
	size_t len;

	name = cursor(j, &type, &len);
	if (!name || snprintf(path, sizeof(path), "/objects/%s", name) >= (int)sizeof(path))
		return -EBADMSG;
	return lu_vm_job_try(j, "qom-get", lu_json_args("path", path, "property", property, NULL), LU_TOLERATE_REFUSAL,
			     reply);
}

static int on_discard(struct lu_vm_job *j, struct json_object *data)
{
	if (data && json_object_get_boolean(data))
		lu_vm_refuse(j->vm, "start it with discard-data=off",
			     "its memory is discarded when QEMU ends (discard-data=on)");
	return next_object(j);
}

void lu_probe_judge_file(struct lu_vm *vm, const struct lu_vm_ram *ram)
{
	const char *hint = lu_probe_memory_hint(vm);
	_cleanup_close_ int fs = -EBADF;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct stat st, root;
	struct statfs where;
	size_t n = strlen(vm->vms->pkernfs);
	const char *other;

	fs = lu_vms_pkernfs(vm->vms, &e);
	if (fs < 0) {
		lu_vm_refuse(vm, e.hint, "%s", e.what);
		return;
	}
	if (statfs(ram->path, &where) == 0 && (unsigned long)where.f_type == HUGETLBFS_TYPE) {
		lu_vm_refuse(vm, hint, "its memory %s is in huge pages of hugetlbfs, which do not survive", ram->path);
		return;
	}
	if (strncmp(ram->path, vm->vms->pkernfs, n) != 0 || ram->path[n] != '/') {
		lu_vm_refuse(vm, hint, "its memory %s is not below %s", ram->path, vm->vms->pkernfs);
		return;
	}
	if (stat(ram->path, &st) < 0)
		lu_vm_refuse(vm, hint, "its memory file %s: %s", ram->path, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		lu_vm_refuse(vm, "name a file, not a directory, in mem-path",
			     "its memory is an unnamed file in directory %s, which can't be found again", ram->path);
	else if (fstat(fs, &root) < 0 || st.st_dev != root.st_dev || !S_ISREG(st.st_mode))
		lu_vm_refuse(vm, hint, "its memory file %s is not a file in pkernfs", ram->path);
	else if ((uint64_t)st.st_size < ram->size)
		lu_vm_refuse(vm, NULL, "its memory file %s has %lld bytes, less than the %llu of the memory", ram->path,
			     (long long)st.st_size, (unsigned long long)ram->size);
	else if ((other = lu_vm_memory_owner(vm, ram->path, &st)))
		lu_vm_refuse(vm, "start one of them with memory of its own", "its memory file %s belongs to VM %s",
			     ram->path, other);
}

static int on_size(struct lu_vm_job *j, struct json_object *data)
{
	struct lu_vm_facts *f = &j->vm->facts;
	struct lu_vm_ram *ram = &f->ram[f->n_ram - 1];

	if (data && json_object_get_int64(data) > 0)
		ram->size = (uint64_t)json_object_get_int64(data);
	lu_probe_judge_file(j->vm, ram);
	return ask_object(j, "discard-data", on_discard);
}

static int on_share(struct lu_vm_job *j, struct json_object *data)
{
	const char *type, *name;
	size_t len;

	name = cursor(j, &type, &len);
	if (!data || !json_object_get_boolean(data))
		lu_vm_refuse(j->vm, lu_vm_is_domain(j->vm) ? lu_probe_memory_hint(j->vm) : "add share=on to it",
			     "its memory \"%s\" is a private copy (share=off)", name ?: "");
	return ask_object(j, "size", on_size);
}

static int on_path(struct lu_vm_job *j, struct json_object *data)
{
	const char *path = json_object_is_type(data, json_type_string) ? json_object_get_string(data) : "";
	struct lu_vm_facts *f = &j->vm->facts;
	struct lu_vm_ram *p;

	if (f->n_ram == RAM_MAX) {
		lu_vm_refuse(j->vm, NULL, "it has more than %d memory files", RAM_MAX);
		return next_object(j);
	}
	if (path[0] != '/' || strlen(path) >= PATH_MAX) {
		lu_vm_refuse(j->vm, lu_probe_memory_hint(j->vm),
			     "one of its memory files has no absolute path of at most %d bytes", PATH_MAX - 1);
		return next_object(j);
	}
	p = reallocarray(f->ram, f->n_ram + 1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	f->ram = p;
	p[f->n_ram] = (struct lu_vm_ram){ .path = strdup(path) };
	if (!p[f->n_ram].path)
		return -ENOMEM;
	f->n_ram++;
	return ask_object(j, "share", on_share);
}

static int on_hugetlb(struct lu_vm_job *j, struct json_object *data)
{
	const char *type = "", *name, *hint = lu_probe_memory_hint(j->vm);
	size_t len = 0;

	name = cursor(j, &type, &len);
	lu_vm_refuse(j->vm, hint, "its memory \"%s\" is a %.*s%s, which does not survive", name ?: "", (int)len, type,
		     data && json_object_get_boolean(data) ? " of huge pages (hugetlb)" : "");
	return next_object(j);
}

static int judge_memory(struct lu_vm_job *j)
{
	struct lu_vm *vm = j->vm;
	const char *type, *name;
	size_t len;

	for (; (name = cursor(j, &type, &len)); j->i++) {
		if (strncmp(type, "memory-backend-", 15) != 0)
			continue;
		if (type_is(type, len, "memory-backend-file"))
			return ask_object(j, "mem-path", on_path);
		if (type_is(type, len, "memory-backend-memfd"))
			return ask_object(j, "hugetlb", on_hugetlb);
		lu_vm_refuse(vm, lu_probe_memory_hint(vm), "its memory \"%s\" is a %.*s, which does not survive", name,
			     (int)len, type);
	}
	if (vm->facts.n_ram == 0)
		lu_vm_refuse(vm, lu_probe_memory_hint(vm), "none of its memory is in pkernfs");
	return 0;
}

/* --- devices --- */

void lu_probe_judge_device(struct lu_vm *vm, const char *name, const char *type, size_t len)
{
	static const struct {
		const char *prefix, *what, *hint;
	} refused[] = {
		{ "vfio-", "is a passed-through device of a kind that can't be carried over",
		  "unplug it before the update, or exclude the VM" },
		{ "vhost-user-", "is served by another process (vhost-user), which does not survive",
		  "unplug it, or exclude the VM" },
		{ "vhost-vdpa-", "is a vDPA device", "unplug it, or exclude the VM" },
		{ "ivshmem", "shares memory with others (ivshmem)", "unplug it, or exclude the VM" },
		{ "virtio-9p", "shares a directory (9p), which QEMU can't migrate",
		  "unmount and unplug it, or exclude the VM" },
		{ "usb-host", "is a passed-through USB device", "unplug it, or exclude the VM" },
	};

	if (type_is(type, len, "vfio-pci") || type_is(type, len, "vfio-pci-nohotplug"))
		return; /* by the words of the process */
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (len >= strlen(refused[i].prefix) && !strncmp(type, refused[i].prefix, strlen(refused[i].prefix)))
			lu_vm_refuse(vm, refused[i].hint, "its device \"%s\" (%.*s) %s", name, (int)len, type,
				     refused[i].what);
}

static int on_devices(struct lu_vm_job *j, struct json_object *data)
{
	const char *type, *name;
	size_t len;
	int r;

	r = on_names(j, data);
	if (r < 0)
		return r;
	for (; (name = cursor(j, &type, &len)); j->i++)
		lu_probe_judge_device(j->vm, name, type, len);
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int lu_probe_plugged(struct json_object *data, char **ret)
{
	size_t n = json_object_is_type(data, json_type_array) ? json_object_array_length(data) : 0, size = 0;
	_cleanup_free_ const char **names = calloc(n ?: 1, sizeof(*names));
	char *text = NULL;
	FILE *f;

	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		names[i] = lu_member_string(json_object_array_get_idx(data, i), "name") ?: "";
	qsort(names, n, sizeof(*names), by_text);
	f = open_memstream(&text, &size);
	if (!f)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s%s", i ? " " : "", names[i]);
	if (fclose(f) != 0) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	return 0;
}

static int on_named_devices(struct lu_vm_job *j, struct json_object *data)
{
	json_object_put(j->devices);
	j->devices = json_object_get(data);
	free(j->vm->plugged);
	j->vm->plugged = NULL;
	return lu_probe_plugged(data, &j->vm->plugged) ?: on_devices(j, data);
}

static int list_named_devices(struct lu_vm_job *j)
{
	return lu_vm_job_try(j, "qom-list", lu_json_args("path", "/machine/peripheral", NULL), LU_TOLERATE_REFUSAL,
			     on_named_devices);
}

static int on_other_devices(struct lu_vm_job *j, struct json_object *data)
{
	json_object_put(j->anonymous);
	j->anonymous = json_object_get(data);
	return on_devices(j, data);
}

static int list_other_devices(struct lu_vm_job *j)
{
	return lu_vm_job_try(j, "qom-list", lu_json_args("path", "/machine/peripheral-anon", NULL), LU_TOLERATE_REFUSAL,
			     on_other_devices);
}

/* --- migration --- */

static struct json_object *blockers(struct json_object *data)
{
	struct json_object *list = lu_member(data, "blocked-reasons", json_type_array);

	return list && json_object_array_length(list) > 0 ? list : NULL;
}

static int done_here(struct lu_vm_job *j, struct json_object *data)
{
	return 0;
}

static int on_blockers_cpr(struct lu_vm_job *j, struct json_object *data)
{
	struct json_object *list = blockers(data);

	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		lu_vm_refuse(j->vm, NULL, "QEMU can't save it: %s",
			     json_object_get_string(json_object_array_get_idx(list, i)));
	return lu_vm_job_set_mode(j, j->mode[0] ? j->mode : "normal", LU_TOLERATE_REFUSAL, done_here);
}

static int on_mode_set(struct lu_vm_job *j, struct json_object *data)
{
	return lu_vm_job_command(j, "query-migrate", NULL, on_blockers_cpr);
}

static int on_mode(struct lu_vm_job *j, struct json_object *data)
{
	const char *mode = lu_member_string(data, "mode");

	snprintf(j->mode, sizeof(j->mode), "%s", mode ?: "");
	return lu_vm_job_set_mode(j, lu_vm_mode(j->vm), LU_TOLERATE_REFUSAL, on_mode_set);
}

static int on_migrate(struct lu_vm_job *j, struct json_object *data)
{
	static const char *const busy[] = { "setup",           "active",          "device",
					    "cancelling",      "pre-switchover",  "wait-unplug",
					    "postcopy-active", "postcopy-paused", "postcopy-recover" };
	const char *status = lu_member_string(data, "status");

	for (size_t i = 0; status && i < ARRAY_SIZE(busy); i++)
		if (!strcmp(status, busy[i]))
			return lu_vm_refuse(j->vm, "wait until it has ended", "a migration is under way (%s)", status);
	if (!blockers(data))
		return 0;
	return lu_vm_job_command(j, "query-migrate-parameters", NULL, on_mode);
}

static int ask_migration(struct lu_vm_job *j)
{
	return lu_vm_job_command(j, "query-migrate", NULL, on_migrate);
}

static int on_poisoned(struct lu_vm_job *j, struct json_object *data)
{
	if (data)
		return lu_error_set(
			&j->error, -EBADMSG, "see what query-migrate says; migrate_cancel ends it",
			"VM %s: QEMU says that it saves the guest through a descriptor that it was never given",
			j->vm->name);
	if (j->refused && strstr(j->refused, "poisoned"))
		lu_vm_refuse(
			j->vm,
			"reset the guest (virsh reset, or QMP system_reset), or exclude the VM; see \"Memory has "
			"gone bad\" in the runbook",
			"memory of its guest has gone bad, and a QEMU that has told its guest so does not save it: %s",
			j->refused);
	return 0;
}

/* After the answer of query-migrate, since it leaves a migration that has failed. */
static int ask_poisoned(struct lu_vm_job *j)
{
	uint64_t bad = lu_pkernfs_bad_pages(AT_FDCWD);

	if (!bad || bad == UINT64_MAX)
		return 0;
	return lu_vm_job_try(j, "migrate", lu_json_args("uri", "fd:luctl-was-never-given", NULL), LU_TOLERATE_REFUSAL,
			     on_poisoned);
}

static int on_parameters(struct lu_vm_job *j, struct json_object *data)
{
	/* the mode parameter came with cpr-reboot, in QEMU 8.2 */
	if (!lu_member_string(data, "mode"))
		lu_vm_refuse(j->vm, "QEMU 10 or newer is needed", "its QEMU %s knows no CPR",
			     j->vm->facts.qemu_version ?: "");
	return 0;
}

static int ask_parameters(struct lu_vm_job *j)
{
	return lu_vm_job_command(j, "query-migrate-parameters", NULL, on_parameters);
}

static bool has_device(struct json_object *list, const char *id)
{
	for (size_t i = 0; json_object_is_type(list, json_type_array) && i < json_object_array_length(list); i++) {
		const char *name = lu_member_string(json_object_array_get_idx(list, i), "name");

		if (name && !strcmp(name, id))
			return true;
	}
	return false;
}

static bool names_device(char *const *argv, const char *id)
{
	struct lu_arg arg = { 0 };

	while (lu_argv_next(argv, &arg)) {
		_cleanup_free_ char *v = NULL;

		if (!strcmp(arg.name, "device") && lu_argv_property(arg.value, "id", &v) > 0 && !strcmp(v, id))
			return true;
	}
	return false;
}

/* The next QEMU has the devices that the command line names, so these must be the ones that are there. */
static int judge_plugged(struct lu_vm_job *j)
{
	static const char child[] = "child<", *const hint = "put it on QEMU's command line, or exclude the VM";
	struct lu_arg arg = { 0 };

	for (size_t i = 0; json_object_is_type(j->devices, json_type_array) && i < json_object_array_length(j->devices);
	     i++) {
		struct json_object *o = json_object_array_get_idx(j->devices, i);
		const char *name = lu_member_string(o, "name"), *type = lu_member_string(o, "type");

		if (name && type && !strncmp(type, child, strlen(child)) && !names_device(j->launch.argv, name))
			lu_vm_refuse(j->vm, hint, "its device \"%s\" was plugged in after the start", name);
	}
	while (j->devices && lu_argv_next(j->launch.argv, &arg)) {
		_cleanup_free_ char *id = NULL;
		int r = strcmp(arg.name, "device") ? 0 : lu_argv_property(arg.value, "id", &id);

		if (r < 0)
			return r;
		if (r > 0 && !has_device(j->devices, id))
			lu_vm_refuse(j->vm, "take it off QEMU's command line at the next start, or exclude the VM",
				     "its device \"%s\" was unplugged after the start", id);
	}
	return 0;
}

static int on_aux_ram(struct lu_vm_job *j, struct json_object *data)
{
	if (!data || !json_object_get_boolean(data))
		lu_vm_refuse(j->vm, "start it with -machine aux-ram-share=on",
			     "a device is passed through to it, but its firmware's memory would be lost");
	return 0;
}

bool lu_probe_too_old(const char *version)
{
	unsigned int major, minor;

	return version && sscanf(version, "%u.%u", &major, &minor) == 2 &&
	       (major < QEMU_CPR_MAJOR || (major == QEMU_CPR_MAJOR && minor < QEMU_CPR_MINOR));
}

int lu_probe_judge_functions(struct lu_vm_job *j)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
			    sys = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
			    pkernfs = open(j->vm->vms->pkernfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct lu_vm_facts *f = &j->vm->facts;

	if (proc < 0 || sys < 0)
		return -errno;
	if (!f->devices)
		return 0;
	for (char **device = f->devices; *device; device++) {
		struct lu_pci pci;
		int r = lu_pci_read(sys, proc, *device, &pci);

		if (r < 0)
			return r;
		lu_pci_judge(&pci, *device, &f->reasons);
	}
	if (pkernfs >= 0)
		lu_devices_peek(proc, pkernfs, f->pid, &f->reasons);
	return 0;
}

/* Root opens them for the next QEMU, to map them for the devices: so this one must be allowed to. */
static void judge_access(struct lu_vm_job *j)
{
	const struct lu_vm_facts *f = &j->vm->facts;
	struct stat st;

	for (size_t i = 0; i < f->n_ram; i++)
		if (stat(f->ram[i].path, &st) == 0 && !lu_launch_may_write(&j->launch, &st))
			lu_vm_refuse(j->vm, "give the file to the user that QEMU runs as",
				     "its memory file %s may not be written by user %llu, as whom its QEMU runs",
				     f->ram[i].path, (unsigned long long)j->launch.uid);
}

static int judge_passed_through(struct lu_vm_job *j)
{
	struct lu_vm *vm = j->vm;
	int r;

	if (!vm->facts.devices)
		return 0;
	if (lu_probe_too_old(vm->facts.qemu_version))
		lu_vm_refuse(
			vm, "QEMU 10.2 or newer is needed",
			"a device is passed through to it, which its QEMU %s can't hand over (cpr-transfer, cpr-exec)",
			vm->facts.qemu_version);
	judge_access(j);
	r = lu_probe_judge_functions(j);
	if (r < 0)
		return r;
	return lu_vm_job_try(j, "qom-get", lu_json_args("path", "/machine", "property", "aux-ram-share", NULL),
			     LU_TOLERATE_REFUSAL, on_aux_ram);
}

static int judge_devices(struct lu_vm_job *j)
{
	if (!j->launch.argv) /* which has a reason of its own */
		return 0;
	return judge_plugged(j) ?: lu_runtime_judge_anonymous(j);
}

static int judge_rule(struct lu_vm_job *j, const char *path, bool writing)
{
	const char *profile = j->launch.apparmor;
	_cleanup_free_ char *hint = NULL;
	int r = lu_confined_allows(NULL, profile, path, writing);

	if (r > 0)
		return 0;
	if (asprintf(&hint,
		     "add a rule for it to /etc/apparmor.d/libvirt/%s.files, then apparmor_parser -r "
		     "/etc/apparmor.d/libvirt/%s; or start the guest anew",
		     profile, profile) < 0) {
		hint = NULL;
		return -ENOMEM;
	}
	return lu_vm_refuse(j->vm, hint,
			    "AppArmor's profile %s, which confines it, does not let its next QEMU open %s%s%s", profile,
			    path, r < 0 ? ": " : "", r < 0 ? strerror(-r) : "");
}

/* Files that are open stay open when the rules are changed (libvirt leaves its memory out after a snapshot), but the next QEMU opens them. */
int lu_probe_judge_rules(struct lu_vm_job *j)
{
	const struct lu_launch *l = &j->launch;
	int r = 0;

	for (size_t i = 0; l->apparmor && r >= 0 && i < j->vm->facts.n_ram; i++)
		r = judge_rule(j, j->vm->facts.ram[i].path, true);
	for (size_t i = 0; l->apparmor && r >= 0 && i < l->n_needs; i++)
		if (l->needs[i].kind == LU_NEED_FILE || l->needs[i].kind == LU_NEED_BLOCK)
			r = judge_rule(j, l->needs[i].path, l->needs[i].write);
	return r < 0 ? r : 0;
}

static int conclude(struct lu_vm_job *j)
{
	j->vm->facts.updatable = !lu_reasons_any(&j->vm->facts.reasons);
	return 0;
}

/* clang-format off */
const lu_vm_step_t lu_probe_steps[] = {
	begin,
	lu_vm_job_query_status,
	judge_status,
	ask_uuid,
	ask_machine,
	list_objects,
	judge_memory,
	list_named_devices,
	list_other_devices,
	ask_parameters,
	lu_vm_job_judge_process,
	judge_devices,
	lu_probe_judge_rules,
	lu_disks_ask_nodes,
	lu_disks_ask_fronts,
	lu_disks_ask_edges,
	lu_disks_judge,
	lu_runtime_judge_bitmaps,
	lu_runtime_ask_jobs,
	lu_runtime_ask_exports,
	lu_runtime_ask_cpus,
	lu_runtime_note_passwords,
	lu_roms_carry,
	lu_roms_judge_firmware,
	ask_migration,
	ask_poisoned,
	judge_passed_through,
	lu_domain_ask_ptys,
	conclude,
	NULL,
};
/* clang-format on */
