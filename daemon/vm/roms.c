// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory that is as large as a file that QEMU has read at its start: a part of PROBE. A package may have put another one
 * there since, and a state with another size is not loaded.
 *
 *	option ROMs of PCI devices	their size is put into the next QEMU's words, which does not read the file then. QEMU
 *					tells it (romsize) of devices with id, without, and of those that no -device makes
 *	firmware (pc.bios)		has to have the size that it had: else the VM is refused by name
 *
 * Firmware in flash (-drive if=pflash) is a disk: disks.c; another file of its size will do, since what the guest has
 * comes with its state. Other files that are read at the start may be of any size; that they have changed is told as a
 * loss (launch/capture_files.c).
 *
 * The firmware's file is looked at again in PREPARE and in VERIFY, since packages are upgraded at any time. In this kernel
 * (update --vmm) it is what the old program needs, too, should the new one not take the guest over.
 */
#include <stdio.h>
#include <string.h>

#include "argv.h"
#include "json.h"
#include "vm-internal.h"

#define NO_ROM UINT32_MAX /* hw/core/qdev-properties: romsize=-1 */

static const char child[] = "child<";

static const char *type_of(struct json_object *o, size_t *ret_len)
{
	const char *type = lu_member_string(o, "type");

	if (!type || strncmp(type, child, strlen(child)) != 0)
		return NULL;
	type += strlen(child);
	*ret_len = strcspn(type, ">");
	return type;
}

static size_t length(struct json_object *list)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

/* --- option ROMs --- */

/* The -device that has made a device with this id; 0: none */
static size_t word_by_id(char *const *argv, const char *id)
{
	struct lu_arg arg = { 0 };

	while (lu_argv_next(argv, &arg)) {
		_cleanup_free_ char *v = NULL;

		if (!strcmp(arg.name, "device") && lu_argv_property(arg.value, "id", &v) > 0 && !strcmp(v, id))
			return arg.index;
	}
	return 0;
}

/* The word that has made the @nth device (from 0 on) of a type without an id; 0: none */
static int word_by_type(char *const *argv, const char *type, size_t len, size_t nth, size_t *ret)
{
	struct lu_arg arg = { 0 };

	*ret = 0;
	while (lu_argv_next(argv, &arg)) {
		_cleanup_free_ char *driver = NULL;
		int r = lu_runtime_made_by(&arg, &driver);

		if (r < 0)
			return r;
		if (r == 0 || !lu_runtime_is_kind(type, len, driver) || nth-- > 0)
			continue;
		*ret = strcmp(arg.name, "device") ? 0 : arg.index; /* a -drive has no ROM */
		return 0;
	}
	return 0;
}

/* One more to be asked for its ROM. */
static int add(struct lu_vm_job *j, const char *where, struct json_object *o, size_t word)
{
	struct json_object *entry = json_object_new_object();
	_cleanup_free_ char *path = NULL, *driver = NULL;
	size_t len = 0;
	const char *type = type_of(o, &len);
	int r = -ENOMEM;

	if (asprintf(&path, "/machine/%s/%s", where, lu_member_string(o, "name")) < 0)
		path = NULL;
	driver = strndup(type, len);
	if (entry && path && driver)
		r = lu_json_add_string(entry, "path", path);
	if (r >= 0)
		r = lu_json_add_string(entry, "driver", driver);
	if (r >= 0)
		r = lu_json_add_uint(entry, "word", word);
	if (r >= 0 && json_object_array_add(j->names, entry) < 0)
		r = -ENOMEM;
	if (r < 0)
		json_object_put(entry);
	return r;
}

static int add_anonymous(struct lu_vm_job *j, size_t i)
{
	struct json_object *o = json_object_array_get_idx(j->anonymous, i);
	size_t len, other, word, nth = 0;
	const char *type = type_of(o, &len), *before;
	int r;

	if (!type || !lu_member_string(o, "name"))
		return 0;
	for (size_t k = 0; k < i; k++) {
		before = type_of(json_object_array_get_idx(j->anonymous, k), &other);
		nth += before && other == len && !strncmp(before, type, len);
	}
	r = word_by_type(j->vm->argv, type, len, nth, &word);
	return r < 0 || !word ? r : add(j, "peripheral-anon", o, word);
}

/* Does it have cards or displays, which have ROMs, that no -device makes? */
static bool has_others(char *const *argv)
{
	static const char *const making[] = { "vga", "nic", "net", "readconfig" };
	struct lu_arg arg = { 0 };
	bool bare = false; /* without those that QEMU gives to everybody */

	while (lu_argv_next(argv, &arg)) {
		bare |= !strcmp(arg.name, "nodefaults");
		for (size_t i = 0; i < ARRAY_SIZE(making); i++)
			if (!strcmp(arg.name, making[i]))
				return true;
	}
	return !bare;
}

/* What is no device, or a processor, has no ROM. */
static bool may_have_rom(struct json_object *o)
{
	const char *name = lu_member_string(o, "name"), *type;
	size_t len;

	type = type_of(o, &len);
	return name && type && !strncmp(name, "device[", 7) && (len < 4 || strncmp(type + len - 4, "-cpu", 4) != 0);
}

static int ask_rom(struct lu_vm_job *j);

static int on_rom(struct lu_vm_job *j, struct json_object *data)
{
	struct json_object *o = json_object_array_get_idx(j->names, j->i++);
	int64_t size = json_object_is_type(data, json_type_int) ? json_object_get_int64(data) : 0;
	int r = 0;

	if (size > 0 && size < NO_ROM)
		r = lu_argv_set_romsize(&j->vm->argv, json_object_get_uint64(lu_member(o, "word", json_type_int)),
					lu_member_string(o, "driver"), (uint64_t)size);
	return r < 0 ? r : ask_rom(j);
}

static int ask_rom(struct lu_vm_job *j)
{
	if (j->i == length(j->names))
		return 0;
	return lu_vm_job_try(j, "qom-get",
			     lu_json_args("path", lu_member_string(json_object_array_get_idx(j->names, j->i), "path"),
					  "property", "romsize", NULL),
			     LU_TOLERATE_REFUSAL, on_rom);
}

static int on_board(struct lu_vm_job *j, struct json_object *data)
{
	struct lu_vm *vm = j->vm;
	int r = vm->argv ? 0 : lu_argv_restorable(j->launch.argv, &vm->argv);

	json_object_put(j->names);
	j->names = json_object_new_array();
	j->i = 0;
	if (!j->names)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < length(j->devices); i++) {
		struct json_object *o = json_object_array_get_idx(j->devices, i);
		const char *name = lu_member_string(o, "name");
		size_t len, word = name && type_of(o, &len) ? word_by_id(vm->argv, name) : 0;

		if (word)
			r = add(j, "peripheral", o, word);
	}
	for (size_t i = 0; r >= 0 && i < length(j->anonymous); i++)
		r = add_anonymous(j, i);
	for (size_t i = 0; r >= 0 && i < length(data); i++)
		if (may_have_rom(json_object_array_get_idx(data, i)))
			r = add(j, "unattached", json_object_array_get_idx(data, i), 0);
	return r < 0 ? r : ask_rom(j);
}

int lu_roms_carry(struct lu_vm_job *j)
{
	if (!j->launch.argv) /* which has a reason of its own */
		return 0;
	if (!has_others(j->launch.argv))
		return on_board(j, NULL);
	return lu_vm_job_try(j, "qom-list", lu_json_args("path", "/machine/unattached", NULL), LU_TOLERATE_REFUSAL,
			     on_board);
}

/* --- firmware --- */

static int look(const struct lu_vm *vm, uint64_t *ret)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return proc < 0 ? -errno : lu_launch_file_size(proc, vm->facts.pid, vm->firmware, ret);
}

static int judge(struct lu_vm_job *j)
{
	struct lu_vm *vm = j->vm;
	uint64_t size = 0;
	int r = look(vm, &size);

	if (r < 0)
		return lu_vm_refuse(vm, NULL, "its firmware %s: %s", vm->firmware, strerror(-r));
	if (size == vm->firmware_size)
		return 0;
	return lu_vm_refuse(
		vm,
		"for the update put the old file back, or another one of that size (what is in it comes with the "
		"guest); or shut it down and start it with the new one",
		"its firmware %s has %llu bytes by now, of %llu when its QEMU read it: the next one could not "
		"take the guest over",
		vm->firmware, (unsigned long long)size, (unsigned long long)vm->firmware_size);
}

static int on_firmware_size(struct lu_vm_job *j, struct json_object *data)
{
	_cleanup_close_ int proc = -EBADF;
	_cleanup_free_ char *name = NULL;
	struct lu_vm *vm = j->vm;
	int r;

	/* none: its firmware is in flash */
	if (!json_object_is_type(data, json_type_int) || json_object_get_int64(data) <= 0)
		return 0;
	proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return -errno;
	name = steal_ptr(vm->firmware);
	r = lu_launch_find_firmware(proc, vm->facts.pid, &j->launch, name, &vm->firmware);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return lu_vm_refuse(vm, "install it again; if it is in a directory of its own, name that by -L",
				    "its firmware %s is not found: %s", name, strerror(-r));
	vm->firmware_size = (uint64_t)json_object_get_int64(data);
	return judge(j);
}

static int on_firmware(struct lu_vm_job *j, struct json_object *data)
{
	const char *name = json_object_is_type(data, json_type_string) ? json_object_get_string(data) : NULL;

	if (!name)
		return 0;
	/* microvm does not tell its own (hw/i386/microvm.c) */
	j->vm->firmware = strdup(*name ? name : "bios-microvm.bin");
	if (!j->vm->firmware)
		return -ENOMEM;
	return lu_vm_job_try(j, "qom-get",
			     lu_json_args("path", "/machine/unattached/pc.bios[0]", "property", "size", NULL),
			     LU_TOLERATE_REFUSAL, on_firmware_size);
}

int lu_roms_judge_firmware(struct lu_vm_job *j)
{
	struct lu_vm *vm = j->vm;

	free(vm->firmware);
	vm->firmware = NULL;
	vm->firmware_size = 0;
	if (!j->launch.argv)
		return 0;
	return lu_vm_job_try(j, "qom-get", lu_json_args("path", "/machine", "property", "firmware", NULL),
			     LU_TOLERATE_REFUSAL, on_firmware);
}

int lu_roms_same(struct lu_vm_job *j)
{
	const struct lu_vm *vm = j->vm;
	uint64_t size = 0;
	int r;

	if (!vm->firmware_size || !lu_vm_job_answers(j))
		return 0;
	r = look(vm, &size);
	if (r >= 0 && size == vm->firmware_size)
		return 0;
	return lu_error_set(&j->error, -EBUSY, "do not change packages during an update; try again",
			    "VM %s: its firmware %s has changed since the check: %s", vm->name, vm->firmware,
			    r < 0 ? strerror(-r) : "another size");
}
