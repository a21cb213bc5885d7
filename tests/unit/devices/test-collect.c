// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Looking at files: real eventfds, memfds and files, a fake iommufd and vfio-pci. What can't be had in the
 * next kernel is refused by name; the kernel's failures are told; nothing is changed by looking.
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include "sample-vm.h"

static void test_found(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_devices d;
	struct vm vm;
	int before;

	vm_new(&vm, false);
	before = count_fds();
	expect(lu_devices_collect(&vm.cpr, &vm.from, &d, &e) == 0, "%s", e.what);
	assert_int_equal(count_fds(), before);
	assert_int_equal(d.n_fds, vm.cpr.n_fds);
	assert_int_equal(d.n_memories, 3);
	assert_string_equal(d.memories[0].path, "ram/web1/ram0");
	assert_string_equal(d.memories[1].name, "pc.bios");
	assert_string_equal(d.memories[2].path, "ram/web1/ram1");
	assert_int_equal(d.iommufds[0].n_devices, 2);
	assert_string_equal(d.iommufds[0].devices[0].bdf, "0000:00:04.0");
	assert_int_equal(d.iommufds[0].devices[0].n_irqs, 5);
	for (size_t i = 0; i < d.n_fds; i++) {
		const struct lu_devices_eventfd *v = d.fds[i].eventfd;
		uint64_t count;

		if (!v)
			continue;
		if (!strcmp(d.fds[i].name, "hostdev0_req_notifier"))
			assert_true(v->count == 1 && !v->nonblock && v->semaphore);
		else if (!strcmp(d.fds[i].name, "hostdev0_interrupt"))
			assert_true(v->count == (d.fds[i].id ? 5 : 2) && v->nonblock && !v->semaphore);
		else
			assert_true(v->count == 0);
		/* it is still in there */
		if (v->count)
			assert_true(read(vm.cpr.fds[i].fd, &count, sizeof(count)) == sizeof(count) &&
				    count == v->count);
	}
	lu_devices_clear(&d);
	vm_free(&vm);
}

/* --- what is different, and what is said about it --- */

static void socket_file(struct vm *vm)
{
	vm_add(vm, "net0", 0, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static void foreign_file(struct vm *vm)
{
	vm_add(vm, "ram9", 0, open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
}

static void directory(struct vm *vm)
{
	vm_add(vm, "ram9", 0, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static void other_node(struct vm *vm)
{
	vm_add(vm, "rng0", 0, open("/dev/random", O_RDONLY | O_CLOEXEC));
}

static void container(struct vm *vm)
{
	vm_add(vm, "vfio_container_for_group", 3, open("/dev/urandom", O_RDONLY | O_CLOEXEC));
}

static void unknown_node(struct vm *vm)
{
	assert_int_equal(unlinkat(vm->f->sys_fd, "dev/char/1:3", 0), 0);
}

static void no_pci(struct vm *vm)
{
	assert_int_equal(unlinkat(vm->f->sys_fd, "dev/char/1:5", 0), 0);
	assert_int_equal(symlinkat("../../devices/virtual/mtty/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001/vfio-dev/vfio0",
				   vm->f->sys_fd, "dev/char/1:5"),
			 0);
}

static void closed(struct vm *vm)
{
	vm_add(vm, "gone", 0, 1000000);
}

static void removed(struct vm *vm)
{
	assert_int_equal(unlinkat(vm->f->pkernfs_fd, "ram/web1/ram1", 0), 0);
}

static void removed_lookalike(struct vm *vm)
{
	/* what /proc says of a removed file is another one's name */
	removed(vm);
	fake_write(vm->f, "pkernfs/ram/web1/ram1 (deleted)", "x");
}

static void replaced(struct vm *vm)
{
	assert_int_equal(renameat(vm->f->pkernfs_fd, "ram/web1/ram1", vm->f->pkernfs_fd, "ram/web1/old"), 0);
	/* renamed and something else put there: the path that /proc tells is the new one, so it is found */
	fake_write(vm->f, "pkernfs/ram/web1/ram1", "x");
}

static void ram_elsewhere(struct vm *vm)
{
	vm->ram.path = (char *)"/dev/shm/ram0";
}

static void ram_beside(struct vm *vm)
{
	static char path[128];

	/* begins like the mount point, but is beside it */
	snprintf(path, sizeof(path), "%s2/ram0", vm->f->pkernfs);
	vm->ram.path = path;
}

static void ram_missing(struct vm *vm)
{
	assert_int_equal(unlinkat(vm->f->pkernfs_fd, "ram/web1/ram0", 0), 0);
}

static void ram_other(struct vm *vm)
{
	vm->ram.inode++;
}

static void ram_short(struct vm *vm)
{
	vm->ram.size++;
}

static void mute(struct vm *vm)
{
	vm->f->mute = true;
}

static void fails_first(struct vm *vm)
{
	vm->f->fail_at = 1;
}

static void fails_compat(struct vm *vm)
{
	vm->f->fail_at = 2;
}

static void fails_state(struct vm *vm)
{
	vm->f->fail_at = 3;
}

static void fails_probe(struct vm *vm)
{
	vm->f->fail_at = 5;
}

static void fails_irqs(struct vm *vm)
{
	vm->f->fail_at = 7;
}

/* --- what the two queries do not tell --- */

static void by_process(struct vm *vm)
{
	vm_iommufd(vm)->by_process = true;
}

static void compat(struct vm *vm)
{
	vm->f->compat = true;
}

static void old_kernel(struct vm *vm)
{
	vm->f->old = vm_iommufd(vm)->by_process = true;
}

static void can_migrate(struct vm *vm)
{
	vm->f->can = VFIO_DEVICE_FEATURE_MIGRATION;
}

static void can_log(struct vm *vm)
{
	vm->f->can = VFIO_DEVICE_FEATURE_DMA_LOGGING_START;
}

static void awake(struct vm *vm)
{
	fake_write(vm->f, "sys/bus/pci/devices/0000:00:05.0/power/runtime_status", "active\n");
	fake_write(vm->f, "sys/bus/pci/devices/0000:00:05.0/sriov_numvfs", "0\n");
}

static void asleep(struct vm *vm)
{
	fake_write(vm->f, "sys/bus/pci/devices/0000:00:05.0/power/runtime_status", "suspended\n");
}

static void has_functions(struct vm *vm)
{
	fake_write(vm->f, "sys/bus/pci/devices/0000:00:05.0/sriov_numvfs", "2\n");
}

static void no_group(struct vm *vm)
{
	assert_int_equal(unlinkat(vm->f->sys_fd, "bus/pci/devices/0000:00:04.0/iommu_group", 0), 0);
}

static void odd_group(struct vm *vm)
{
	no_group(vm);
	assert_int_equal(symlinkat("7x", vm->f->sys_fd, "bus/pci/devices/0000:00:04.0/iommu_group"), 0);
}

/* --- memory that has gone bad since it was looked through: the kernel tells KiB --- */

static void bad_as_before(struct vm *vm)
{
	fake_write(vm->f, "sys/fs/pkernfs/bad_kib", "12\n");
	vm->from.bad_pages = 3;
}

static void bad_since(struct vm *vm)
{
	fake_write(vm->f, "sys/fs/pkernfs/bad_kib", "16\n");
	vm->from.bad_pages = 3;
}

static void bad_first(struct vm *vm)
{
	fake_write(vm->f, "sys/fs/pkernfs/bad_kib", "4\n");
	vm->from.bad_pages = 0;
}

static void bad_unlooked(struct vm *vm)
{
	fake_write(vm->f, "sys/fs/pkernfs/bad_kib", "16\n");
	vm->from.bad_pages = UINT64_MAX;
}

static void bad_word(struct vm *vm)
{
	fake_write(vm->f, "sys/fs/pkernfs/bad_kib", "many\n");
}

/* --- what is not its own --- */

/* Another one's file, which nobody but its owner may open; a place in the file system can be named all the same. */
static void place(struct vm *vm)
{
	fake_write(vm->f, "pkernfs/ram/web2/ram0", "x");
	vm_add(vm, "ram9", 0, openat(vm->f->pkernfs_fd, "ram/web2/ram0", O_PATH | O_CLOEXEC));
}

static void own_place(struct vm *vm)
{
	vm_add(vm, "ram9", 0, openat(vm->f->pkernfs_fd, "ram/web1/ram0", O_PATH | O_CLOEXEC));
}

static void read_only(struct vm *vm)
{
	vm_add(vm, "ram9", 0, openat(vm->f->pkernfs_fd, "ram/web1/ram0", O_RDONLY | O_CLOEXEC));
}

static void memfd_again(struct vm *vm, int flags)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", vm->cpr.fds[0].fd);
	assert_string_equal(vm->cpr.fds[0].name, "pc.bios");
	vm_add(vm, "ram9", 0, open(path, flags | O_CLOEXEC));
}

static void memfd_place(struct vm *vm)
{
	memfd_again(vm, O_PATH);
}

static void memfd_read_only(struct vm *vm)
{
	memfd_again(vm, O_RDONLY);
}

static void node_place(struct vm *vm)
{
	/* of a device that is bound to nothing, else its own */
	for (size_t i = 0; i < vm->cpr.n_fds; i++) {
		if (strcmp(vm->cpr.fds[i].name, "iommufd0") != 0)
			continue;
		assert_true(dup3(open("/dev/null", O_RDONLY), vm->cpr.fds[i].fd, O_CLOEXEC) >= 0);
	}
}

static void add_file(struct vm *vm, const char *path)
{
	fake_write(vm->f, path, "x");
	vm_add(vm, "ram9", 0, openat(vm->f->pkernfs_fd, strchr(path, '/') + 1, O_RDWR | O_CLOEXEC));
}

static void others(struct vm *vm)
{
	add_file(vm, "pkernfs/ram/web2/ram0");
}

static void begins_alike(struct vm *vm)
{
	add_file(vm, "pkernfs/ram/web10/ram0");
}

static void record(struct vm *vm)
{
	add_file(vm, "pkernfs/vm/8f8d6b5e-1f0a-4f0e-9d7c-0c8c1f8a2b11/state");
}

static void own_of_root(struct vm *vm)
{
	/* in its directory, but of another user */
	vm->launch.uid++;
	assert_int_equal(fchmodat(vm->f->pkernfs_fd, "ram/web1/ram0", 0666, 0), 0);
}

static void not_writable(struct vm *vm)
{
	vm->launch.uid++;
	vm->launch.gid++;
	assert_int_equal(fchmodat(vm->f->pkernfs_fd, "ram/web1/ram0", 0664, 0), 0);
}

static const char *web2_has_all(void *context, const char *path, const struct stat *st)
{
	return "web2";
}

static void claimed(struct vm *vm)
{
	vm->from.other = web2_has_all;
}

static const char *web2_has_ram1(void *context, const char *path, const struct stat *st)
{
	return strcmp(path, "ram/web1/ram1") ? NULL : "web2";
}

static void claimed_fd(struct vm *vm)
{
	vm->from.other = web2_has_ram1;
}

#define CASE(_change, ...)                     \
	{                                      \
#_change, _change, __VA_ARGS__ \
	}
static const struct {
	const char *name;
	void (*change)(struct vm *vm);
	int code;
	const char *text;
} cases[] = {
	CASE(no_group, 0, NULL),
	CASE(replaced, 0, NULL),
	CASE(socket_file, -EOPNOTSUPP, "file net0 of QEMU: socket:["),
	CASE(foreign_file, -EOPNOTSUPP, "does not outlive the kernel"),
	CASE(directory, -EOPNOTSUPP, "file ram9 of QEMU: / can't be opened again"),
	CASE(other_node, -EOPNOTSUPP, "file rng0 of QEMU: /dev/random is a device that can't be opened again"),
	CASE(container, -EOPNOTSUPP, "is a container or group of vfio's old interface"),
	CASE(unknown_node, -ENOENT, "/sys/dev/char/1:3: No such file"),
	CASE(no_pci, -EOPNOTSUPP, "the device 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 is no PCI function"),
	CASE(closed, -EBADF, "file gone of QEMU: is not open"),
	CASE(removed, -EOPNOTSUPP, "is no longer to be found in pkernfs"),
	CASE(removed_lookalike, -EOPNOTSUPP, "is no longer to be found in pkernfs"),
	CASE(ram_elsewhere, -EOPNOTSUPP, "memory /dev/shm/ram0: is not in pkernfs"),
	CASE(ram_beside, -EOPNOTSUPP, "pkernfs2/ram0: is not in pkernfs"),
	CASE(ram_missing, -ENOENT, "ram/web1/ram0: No such file"),
	CASE(ram_other, -EBADMSG, "is not the file that the VM was started with"),
	CASE(ram_short, -EBADMSG, "is not the file that the VM was started with"),
	CASE(mute, -EOPNOTSUPP, "iommufd0: the kernel can't tell what is set up"),
	CASE(fails_first, -EIO, "iommufd0: asking the kernel how it accounts memory: Input/output error"),
	CASE(fails_compat, -EIO, "iommufd0: asking the kernel for its legacy container: Input/output error"),
	CASE(fails_state, -EIO, "iommufd0: asking the kernel what is set up in it: Input/output error"),
	CASE(fails_probe, -EIO, "device 0000:00:04.0: asking the kernel for migration: Input/output error"),
	CASE(by_process, 0, NULL),
	CASE(compat, -EOPNOTSUPP, "iommufd0: stands in for a legacy container"),
	CASE(old_kernel, 0, NULL),
	CASE(can_migrate, -EOPNOTSUPP, "device 0000:00:04.0: its driver can do migration"),
	CASE(can_log, -EOPNOTSUPP, "device 0000:00:04.0: its driver can do logging of DMA"),
	CASE(awake, 0, NULL),
	CASE(asleep, -EOPNOTSUPP, "device 0000:00:05.0: is in low power"),
	CASE(has_functions, -EOPNOTSUPP, "device 0000:00:05.0: has 2 virtual functions"),
	CASE(bad_as_before, 0, NULL),
	CASE(bad_since, -EHWPOISON, "memory of guests has gone bad since it was looked through"),
	CASE(bad_first, -EHWPOISON, "memory of guests has gone bad since it was looked through"),
	CASE(bad_unlooked, 0, NULL),
	CASE(bad_word, -EBADMSG, "/sys/fs/pkernfs/bad_kib: "),
	CASE(fails_irqs, -EIO, "device 0000:00:04.0: asking the kernel for its interrupts: Input/output error"),
	CASE(place, -EPERM, "file ram9 of QEMU: ram/web2/ram0 in pkernfs is not memory of this VM"),
	CASE(own_place, -EPERM, "ram/web1/ram0 is only a place (O_PATH), not an open file"),
	CASE(read_only, -EPERM, "ram/web1/ram0 is not open for reading and writing"),
	CASE(memfd_place, -EPERM, "file ram9 of QEMU: /memfd:pc.bios (deleted) is only a place"),
	CASE(memfd_read_only, -EPERM, "/memfd:pc.bios (deleted) is not open for reading and writing"),
	CASE(node_place, -EPERM, "file iommufd0 of QEMU: /dev/null is not open for reading and writing"),
	CASE(others, -EPERM, "file ram9 of QEMU: ram/web2/ram0 in pkernfs is not memory of this VM"),
	CASE(begins_alike, -EPERM, "ram/web10/ram0 in pkernfs is not memory of this VM"),
	CASE(record, -EPERM, "/state in pkernfs is not memory of this VM"),
	CASE(own_of_root, -EPERM, "file ram1 of QEMU: ram/web1/ram1 in pkernfs is not memory of this VM"),
	CASE(not_writable, -EPERM, "as whom QEMU runs, may not write it"),
	CASE(claimed, -EPERM, "ram/web1/ram0 in pkernfs belongs to VM web2"),
	CASE(claimed_fd, -EPERM, "file ram1 of QEMU: ram/web1/ram1 in pkernfs belongs to VM web2"),
	CASE(odd_group, -EBADMSG, "device 0000:00:04.0: its IOMMU group is \"7x\""),
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct lu_devices d;
		struct vm vm;
		int r, before;

		vm_new(&vm, false);
		cases[i].change(&vm);
		before = count_fds();
		r = lu_devices_collect(&vm.cpr, &vm.from, &d, &e);
		expect(count_fds() == before, "%s", cases[i].name);
		expect(r == cases[i].code, "%s: %d, %s", cases[i].name, r, e.what ?: "no error");
		if (r == 0)
			lu_devices_clear(&d);
		else
			expect(e.what && strstr(e.what, cases[i].text), "%s: %s", cases[i].name, e.what ?: "no text");
		for (size_t k = 0; k < vm.cpr.n_fds; k++)
			if (vm.cpr.fds[k].fd == 1000000)
				vm.cpr.fds[k].fd = -EBADF;
		vm_free(&vm);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_found), cmocka_unit_test(test_cases) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
