// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VM with one device in a container of vfio's old interface for which an iommufd stands in: what is collected of it, and
 * what comes of its calls in a kernel that numbers groups otherwise. What can't be had again is refused by name.
 */
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "sample-vm.h"

#define BDF "0000:00:04.0"
#define VM_UUID "11111111-2222-4333-8444-555555555555"

enum {
	GROUP_BEFORE = 4,
	GROUP_AFTER = 9,
};

static void ok(int r)
{
	assert_int_equal(r, 0);
}

static int call(struct vm *vm, int fd, unsigned long request, void *arg)
{
	return vm->f->ops.ioctl(vm->f, fd, request, arg);
}

/* What sysfs says in a kernel */
static void number_group(struct fake *f, int group)
{
	char path[64], text[64];

	f->group = group;
	(void)unlinkat(f->sys_fd, "bus/pci/devices/" BDF "/iommu_group", 0);
	snprintf(text, sizeof(text), "../../../kernel/iommu_groups/%d", group);
	fake_link(f, "sys/bus/pci/devices/" BDF "/iommu_group", text);
	(void)unlinkat(f->sys_fd, "dev/char/1:8", 0);
	snprintf(text, sizeof(text), "../../devices/virtual/vfio/%d", group);
	fake_link(f, "sys/dev/char/1:8", text);
	snprintf(path, sizeof(path), "sys/class/vfio/%d/dev", group);
	fake_write(f, path, "1:8\n");
}

/* /proc, in which a device is called what the kernel calls one that came from a group */
static void make_proc(struct vm *vm)
{
	static unsigned int n;
	char dir[32], path[96], text[96];

	snprintf(dir, sizeof(dir), "proc%u", n++);
	for (size_t i = 0; i < vm->cpr.n_fds; i++) {
		ssize_t k;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", vm->cpr.fds[i].fd);
		k = readlink(path, text, sizeof(text) - 1);
		assert_true(k > 0);
		text[k] = '\0';
		snprintf(path, sizeof(path), "%s/self/fd/%d", dir, vm->cpr.fds[i].fd);
		fake_link(vm->f, path, strcmp(text, "/dev/zero") ? text : "anon_inode:[vfio-device]");
		snprintf(text, sizeof(text), "/proc/self/fdinfo/%d", vm->cpr.fds[i].fd);
		snprintf(path, sizeof(path), "%s/self/fdinfo/%d", dir, vm->cpr.fds[i].fd);
		fake_link(vm->f, path, text);
	}
	closep(&vm->f->proc_fd);
	snprintf(path, sizeof(path), "%s/%s", vm->f->dir, dir);
	vm->f->proc_fd = vm->from.proc_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(vm->from.proc_fd >= 0);
}

static uint32_t new_ioas(struct vm *vm, int u)
{
	struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };

	ok(call(vm, u, IOMMU_IOAS_ALLOC, &cmd));
	return cmd.out_ioas_id;
}

/* @swapped: a hole below the device's id, which its table gets */
static void vm_in_container(struct vm *vm, bool swapped)
{
	struct iommu_option option = {
		.size = sizeof(option), .option_id = IOMMU_OPTION_RLIMIT_MODE, .op = IOMMU_OPTION_OP_SET, .val64 = 1
	};
	struct iommu_vfio_ioas set = { .size = sizeof(set), .op = IOMMU_VFIO_IOAS_SET };
	struct iommu_ioas_map_file map = { .size = sizeof(map),
					   .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
						    IOMMU_IOAS_MAP_WRITEABLE,
					   .length = VM_RAM };
	struct vfio_irq_set *irqs = calloc(1, sizeof(*irqs) + sizeof(int32_t));
	int u, group, device, ram, event = eventfd(3, EFD_CLOEXEC | EFD_NONBLOCK);
	uint32_t hole = 0;
	struct stat st;

	assert_non_null(irqs);
	*vm = (struct vm){ .f = fake_new(), .cpr = LU_CPR_INIT };
	number_group(vm->f, GROUP_BEFORE);
	fake_write(vm->f, "pkernfs/ram/web1/ram0", "");
	ram = openat(vm->f->pkernfs_fd, "ram/web1/ram0", O_RDWR | O_CLOEXEC);
	ok(ftruncate(ram, VM_RAM));
	ok(fstat(ram, &st));
	snprintf(vm->ram_path, sizeof(vm->ram_path), "%s/ram/web1/ram0", vm->f->pkernfs);
	vm->ram = (struct lu_launch_ram){ .path = vm->ram_path, .size = VM_RAM, .inode = st.st_ino };
	vm->launch = (struct lu_launch){
		.name = (char *)"web1", .uid = getuid(), .gid = getgid(), .ram = &vm->ram, .n_ram = 1
	};
	vm->from = (struct lu_collect_from){ .sys_fd = vm->f->sys_fd,
					     .pkernfs_fd = vm->f->pkernfs_fd,
					     .pkernfs = vm->f->pkernfs,
					     .launch = &vm->launch,
					     .session = "luctl-web1",
					     .ops = &vm->f->ops };
	u = fake_open_iommufd(vm->f);
	group = fake_open_group(vm->f);
	ok(call(vm, u, IOMMU_OPTION, &option));
	if (swapped)
		hole = new_ioas(vm, u);
	set.ioas_id = map.ioas_id = new_ioas(vm, u);
	ok(call(vm, u, IOMMU_VFIO_IOAS, &set));
	ok(call(vm, group, VFIO_GROUP_SET_CONTAINER, &u));
	map.fd = ram;
	ok(call(vm, u, IOMMU_IOAS_MAP_FILE, &map));
	device = call(vm, group, VFIO_GROUP_GET_DEVICE_FD, (void *)BDF);
	assert_true(device >= 0);
	if (swapped) {
		struct fake_file *file = vm->f->files[u];

		file->objects[hole] = file->objects[4];
		file->objects[4].type = 0;
		file->objects[3].hwpt = hole;
	}
	irqs->argsz = sizeof(*irqs) + sizeof(int32_t);
	irqs->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	irqs->index = VFIO_PCI_MSIX_IRQ_INDEX;
	irqs->count = 1;
	memcpy(irqs->data, &event, sizeof(event));
	ok(call(vm, device, VFIO_DEVICE_SET_IRQS, irqs));
	free(irqs);
	close(ram);
	vm_add(vm, "vfio_container_for_group", GROUP_BEFORE, u);
	vm_add(vm, "vfio_group", GROUP_BEFORE, group);
	vm_add(vm, BDF, 0, device);
	vm_add(vm, BDF "_interrupt", 0, event);
	make_proc(vm);
	vm->f->calls = 0;
}

static void test_found(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	const struct lu_devices_iommufd *u;
	struct lu_devices d;
	struct vm vm;

	vm_in_container(&vm, false);
	expect(lu_devices_collect(&vm.cpr, &vm.from, &d, &e) == 0, "%s", e.what);
	assert_int_equal(d.n_iommufds, 1);
	u = &d.iommufds[0];
	assert_true(u->stands_in == 1 && u->by_process && u->n_devices == 1);
	assert_true(u->devices[0].id == 2 && u->devices[0].hwpt == 3 && u->devices[0].via == 2);
	assert_string_equal(u->devices[0].bdf, BDF);
	assert_int_equal(d.fds[1].kind, LU_FD_VFIO_GROUP);
	lu_devices_clear(&d);
	vm_free(&vm);
}

/* Each call fails once, then it is run again; in the end there is the same, by the numbers of this kernel. */
static void test_round(void **state)
{
	unsigned int failed = 0;

	for (unsigned int at = 0; at <= failed; at++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		_cleanup_calls_ struct lu_calls calls = LU_CALLS_INIT, again = LU_CALLS_INIT;
		struct lu_replay_from from = { .dev_fd = -EBADF, .timeout_ms = 30, .log_fd = -EBADF };
		struct lu_devices d, read, now;
		struct lu_replay *r = NULL;
		uint64_t size;
		uint32_t crc;
		struct vm vm;
		int dir, k;

		vm_in_container(&vm, false);
		expect(lu_devices_collect(&vm.cpr, &vm.from, &d, &e) == 0, "%s", e.what);
		ok(mkdirat(vm.f->pkernfs_fd, "vm", 0700));
		dir = openat(vm.f->pkernfs_fd, "vm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		expect(lu_devices_write(dir, VM_UUID, &d, &size, &crc, &e) == 0, "%s", e.what);
		expect(lu_devices_read(dir, VM_UUID, size, crc, &read, &calls, &e) == 0, "%s", e.what);
		lu_cpr_clear(&vm.cpr);
		fake_forget(vm.f);
		number_group(vm.f, GROUP_AFTER);

		from.sys_fd = vm.f->sys_fd;
		from.pkernfs_fd = vm.f->pkernfs_fd;
		from.ops = &vm.f->ops;
		expect(lu_replay_new(&r, &read, &calls, &from, &e) == 0, "%s", e.what);
		vm.f->fail_at = at;
		vm.f->busy = 2; /* others change tables */
		k = lu_replay_run(r, &e);
		expect((k < 0) == (at > 0), "call %u: %d", at, k);
		if (k < 0) {
			expect(strstr(e.what, "Input/output error"), "call %u: %s", at, e.what);
			lu_error_clear(&e);
			expect(lu_replay_run(r, &e) == 0, "%s", e.what);
		} else {
			failed = vm.f->calls;
			assert_true(failed > 10);
		}
		assert_true(lu_replay_holds_devices(r));
		ok(lu_replay_take(r, &vm.cpr));
		lu_replay_free(r);
		expect(!vm.f->broken, "%s", vm.f->broken);
		assert_int_equal(vm.cpr.fds[0].id, GROUP_AFTER);
		assert_int_equal(vm.cpr.fds[1].id, GROUP_AFTER);
		assert_int_equal(vm.cpr.fds[2].id, 0);
		make_proc(&vm);
		expect(lu_devices_collect(&vm.cpr, &vm.from, &now, &e) == 0, "%s", e.what);
		now.fds[0].id = now.fds[1].id = GROUP_BEFORE;
		ok(lu_devices_plan(&now, &again));
		expect(lu_calls_same(&calls, &again, &e) == 0, "%s", e.what);
		lu_devices_clear(&now);
		lu_devices_clear(&read);
		lu_devices_clear(&d);
		close(dir);
		vm_free(&vm);
	}
}

/* The tables differ: one call, after which the kernel has closed it. */
static void test_differs(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_calls_ struct lu_calls calls = LU_CALLS_INIT;
	struct lu_replay_from from = { .dev_fd = -EBADF, .timeout_ms = 30, .log_fd = -EBADF };
	struct lu_replay *r = NULL;
	struct lu_devices d;
	struct vm vm;

	vm_in_container(&vm, false);
	expect(lu_devices_collect(&vm.cpr, &vm.from, &d, &e) == 0, "%s", e.what);
	ok(lu_devices_plan(&d, &calls));
	lu_cpr_clear(&vm.cpr);
	fake_forget(vm.f);
	from.sys_fd = vm.f->sys_fd;
	from.pkernfs_fd = vm.f->pkernfs_fd;
	from.ops = &vm.f->ops;
	ok(lu_replay_new(&r, &d, &calls, &from, &e));
	vm.f->refuse_attach = true;
	assert_int_equal(lu_replay_run(r, &e), -EINVAL);
	expect(strstr(e.what, "device " BDF ": opening it by its group") && strstr(e.what, "translates differently"),
	       "%s", e.what);
	assert_false(lu_replay_holds_devices(r));
	lu_replay_free(r);
	lu_devices_clear(&d);
	vm_free(&vm);
}

static void rename_fd(struct vm *vm, size_t i, const char *name)
{
	free(vm->cpr.fds[i].name);
	vm->cpr.fds[i].name = strdup(name);
}

static void type1(struct vm *vm)
{
	vm->f->files[vm->cpr.fds[0].fd]->stands_in = 0;
}

static void plain_iommufd(struct vm *vm)
{
	rename_fd(vm, 0, "iommufd0");
}

static void device_without_address(struct vm *vm)
{
	rename_fd(vm, 2, "hostdev0");
}

static void group_by_another_name(struct vm *vm)
{
	rename_fd(vm, 1, "group");
}

static void two_groups(struct vm *vm)
{
	vm_add(vm, "vfio_group", 5, fake_open_group(vm->f));
	make_proc(vm);
}

static void other_group(struct vm *vm)
{
	number_group(vm->f, GROUP_AFTER);
	(void)unlinkat(vm->f->sys_fd, "dev/char/1:8", 0);
	fake_link(vm->f, "sys/dev/char/1:8", "../../devices/virtual/vfio/4");
}

static void other_ioas(struct vm *vm)
{
	struct iommu_vfio_ioas set = { .size = sizeof(set), .op = IOMMU_VFIO_IOAS_SET };

	set.ioas_id = new_ioas(vm, vm->cpr.fds[0].fd);
	ok(call(vm, vm->cpr.fds[0].fd, IOMMU_VFIO_IOAS, &set));
}

static void by_its_node(struct vm *vm)
{
	char path[64];

	/* its name in /proc, which is what tells it */
	snprintf(path, sizeof(path), "self/fd/%d", vm->cpr.fds[2].fd);
	ok(unlinkat(vm->from.proc_fd, path, 0));
	ok(symlinkat("/dev/vfio/devices/vfio0", vm->from.proc_fd, path));
}

#define CASE(_change, _text)             \
	{                                \
#_change, _change, _text \
	}
static const struct {
	const char *name;
	void (*change)(struct vm *vm);
	const char *text;
} cases[] = {
	CASE(type1, "is a container or group of vfio's old interface"),
	CASE(plain_iommufd, "iommufd0: stands in for a legacy container (its IOAS is 1), which is not carried"),
	CASE(device_without_address, "file hostdev0 of QEMU: a device of a group that is not named by its address"),
	CASE(group_by_another_name, "is a container or group of vfio's old interface"),
	CASE(two_groups, "1 legacy containers and 2 groups"),
	CASE(other_group, "device " BDF ": its group is not among QEMU's files"),
	CASE(other_ioas, "device " BDF ": is not attached to the address space of its container"),
	CASE(by_its_node, "device " BDF ": is in a container, but did not come from its group"),
	CASE(NULL, "device " BDF ": has id 3, and can't get it again beside its table's, which is 1"),
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct lu_devices d;
		struct vm vm;
		int r;

		vm_in_container(&vm, !cases[i].change);
		if (cases[i].change)
			cases[i].change(&vm);
		r = lu_devices_collect(&vm.cpr, &vm.from, &d, &e);
		expect(r == -EOPNOTSUPP && strstr(e.what, cases[i].text), "%s: %d, %s", cases[i].name, r, e.what);
		vm_free(&vm);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_differs),
		cmocka_unit_test(test_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
