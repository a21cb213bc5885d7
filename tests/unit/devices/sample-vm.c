// SPDX-License-Identifier: GPL-2.0-or-later
/* See vm.h. */
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "sample-vm.h"

static void ok(int r)
{
	assert_int_equal(r, 0);
}

static int call(struct vm *vm, int fd, unsigned long request, void *arg)
{
	return vm->f->ops.ioctl(vm->f, fd, request, arg);
}

static uint32_t ioas(struct vm *vm, int fd)
{
	struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };

	ok(call(vm, fd, IOMMU_IOAS_ALLOC, &cmd));
	return cmd.out_ioas_id;
}

static void drop(struct vm *vm, int fd, uint32_t id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	ok(call(vm, fd, IOMMU_DESTROY, &cmd));
}

static void map(struct vm *vm, int fd, uint32_t id, int file, uint64_t start, uint64_t length, uint64_t iova,
		bool write)
{
	struct iommu_ioas_map_file cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | (write ? IOMMU_IOAS_MAP_WRITEABLE : 0),
		.ioas_id = id,
		.fd = file,
		.start = start,
		.length = length,
		.iova = iova,
	};

	ok(call(vm, fd, IOMMU_IOAS_MAP_FILE, &cmd));
}

static uint32_t bind_device(struct vm *vm, int device, int iommufd)
{
	struct vfio_device_bind_iommufd cmd = { .argsz = sizeof(cmd), .iommufd = iommufd };

	ok(call(vm, device, VFIO_DEVICE_BIND_IOMMUFD, &cmd));
	return cmd.out_devid;
}

static uint32_t attach_device(struct vm *vm, int device, uint32_t pt)
{
	struct vfio_device_attach_iommufd_pt cmd = { .argsz = sizeof(cmd), .pt_id = pt };

	ok(call(vm, device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd));
	return cmd.pt_id;
}

static void irqs(struct vm *vm, int device, uint32_t action, uint32_t index, uint32_t count, const int32_t *fds)
{
	struct vfio_irq_set *set = calloc(1, sizeof(*set) + count * sizeof(*fds));

	assert_non_null(set);
	set->argsz = (uint32_t)(sizeof(*set) + count * sizeof(*fds));
	set->flags = VFIO_IRQ_SET_DATA_EVENTFD | action;
	set->index = index;
	set->count = count;
	memcpy(set->data, fds, count * sizeof(*fds));
	ok(call(vm, device, VFIO_DEVICE_SET_IRQS, set));
	free(set);
}

void vm_add(struct vm *vm, const char *name, int32_t id, int fd)
{
	assert_true(fd >= 0);
	vm->cpr.fds = reallocarray(vm->cpr.fds, vm->cpr.n_fds + 1, sizeof(*vm->cpr.fds));
	assert_non_null(vm->cpr.fds);
	vm->cpr.fds[vm->cpr.n_fds++] = (struct lu_cpr_fd){ .name = strdup(name), .id = id, .fd = fd };
}

static void add_device(struct vm *vm, const char *name, uint32_t devid, uint32_t ioas_id, uint32_t hwpt_id)
{
	vm->cpr.devices = reallocarray(vm->cpr.devices, vm->cpr.n_devices + 1, sizeof(*vm->cpr.devices));
	assert_non_null(vm->cpr.devices);
	vm->cpr.devices[vm->cpr.n_devices++] = (struct lu_cpr_device){
		.name = strdup(name), .devid = (int32_t)devid, .ioas_id = ioas_id, .hwpt_id = hwpt_id
	};
}

static int event(struct vm *vm, const char *name, int32_t id, unsigned int count, int flags)
{
	int fd = eventfd(count, EFD_CLOEXEC | flags);

	vm_add(vm, name, id, fd);
	return fd;
}

static int new_file(struct vm *vm, const char *path, off_t size)
{
	int fd;

	fake_write(vm->f, path, "");
	fd = openat(vm->f->pkernfs_fd, strchr(path, '/') + 1, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	ok(ftruncate(fd, size));
	return fd;
}

static int new_memfd(struct vm *vm, const char *name, off_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	vm_add(vm, name, 0, fd);
	ok(ftruncate(fd, size));
	return fd;
}

void vm_new(struct vm *vm, bool two)
{
	int u, u1, dev0, dev1, ram0, ram1, bios;
	uint32_t keep[3], a, b, hwpt, id0, id1;
	struct iommu_hwpt_alloc alloc = { .size = sizeof(alloc), .flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING };
	struct iommu_option option = { .size = sizeof(option), .option_id = IOMMU_OPTION_HUGE_PAGES };
	struct iommu_iova_range range = { 0, 0xfedfffff };
	struct iommu_ioas_allow_iovas allow = { .size = sizeof(allow),
						.num_iovas = 1,
						.allowed_iovas = (uintptr_t)&range };
	struct stat st;
	int32_t fds[3];

	*vm = (struct vm){ .f = fake_new(), .cpr = LU_CPR_INIT };
	ram0 = new_file(vm, "pkernfs/ram/web1/ram0", VM_RAM);
	ram1 = new_file(vm, "pkernfs/ram/web1/ram1", VM_RAM);
	ok(fstat(ram0, &st));
	snprintf(vm->ram_path, sizeof(vm->ram_path), "%s/ram/web1/ram0", vm->f->pkernfs);
	vm->ram = (struct lu_launch_ram){ .path = vm->ram_path, .size = VM_RAM, .inode = st.st_ino };
	vm->launch = (struct lu_launch){
		.name = (char *)"web1", .uid = getuid(), .gid = getgid(), .ram = &vm->ram, .n_ram = 1
	};
	vm->from = (struct lu_collect_from){
		.proc_fd = vm->f->proc_fd,
		.sys_fd = vm->f->sys_fd,
		.pkernfs_fd = vm->f->pkernfs_fd,
		.pkernfs = vm->f->pkernfs,
		.launch = &vm->launch,
		.session = "luctl-web1",
		.ops = &vm->f->ops,
	};

	u = fake_open_iommufd(vm->f);
	u1 = two ? fake_open_iommufd(vm->f) : u;
	dev0 = fake_open_device(vm->f, 0);
	dev1 = fake_open_device(vm->f, 1);
	bios = new_memfd(vm, "pc.bios", VM_BIOS);
	vm_add(vm, "iommufd0", 0, u);
	if (two)
		vm_add(vm, "iommufd1", 0, u1);
	vm_add(vm, "hostdev0", 0, dev0);
	vm_add(vm, "hostdev1", 0, dev1);
	vm_add(vm, "ram1", 0, ram1);

	/* ids that are not in the order in which objects can be made, and a hole */
	for (int i = 0; i < 3; i++)
		keep[i] = ioas(vm, u);
	a = ioas(vm, u);
	map(vm, u, a, ram0, 0, 0xc0000, 0, true);
	map(vm, u, a, ram0, 0xc0000, 0x28000, 0xc0000, false);
	map(vm, u, a, ram0, 0x100000, VM_RAM - 0x100000, 0x100000, true);
	map(vm, u, a, bios, 0, VM_BIOS, 0xfffc0000, false);
	allow.ioas_id = a;
	ok(call(vm, u, IOMMU_IOAS_ALLOW_IOVAS, &allow));
	drop(vm, u, keep[0]);
	id0 = bind_device(vm, dev0, u);
	drop(vm, u, keep[1]);
	alloc.dev_id = id0;
	alloc.pt_id = a;
	ok(call(vm, u, IOMMU_HWPT_ALLOC, &alloc));
	hwpt = alloc.out_hwpt_id;
	assert_int_equal(attach_device(vm, dev0, hwpt), hwpt);
	b = ioas(vm, u1);
	map(vm, u1, b, ram1, 0x1000, 0x2000, 0x40000000, true);
	option.object_id = b;
	ok(call(vm, u1, IOMMU_OPTION, &option));
	id1 = bind_device(vm, dev1, u1);
	attach_device(vm, dev1, b);
	drop(vm, u, keep[2]);
	add_device(vm, "hostdev0", id0, a, hwpt);
	add_device(vm, "hostdev1", id1, b, 0);

	fds[0] = event(vm, "hostdev0_kvm_interrupt", 0, 0, EFD_NONBLOCK);
	event(vm, "hostdev0_interrupt", 0, 2, EFD_NONBLOCK);
	fds[1] = -1;
	fds[2] = event(vm, "hostdev0_interrupt", 2, 5, EFD_NONBLOCK);
	irqs(vm, dev0, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_PCI_MSIX_IRQ_INDEX, 3, fds);
	fds[0] = event(vm, "hostdev0_err_notifier", 0, 0, EFD_NONBLOCK);
	irqs(vm, dev0, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_PCI_ERR_IRQ_INDEX, 1, fds);
	fds[0] = event(vm, "hostdev0_req_notifier", 0, 1, EFD_SEMAPHORE);
	irqs(vm, dev0, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_PCI_REQ_IRQ_INDEX, 1, fds);
	fds[0] = event(vm, "hostdev1_intx-interrupt", 0, 0, EFD_NONBLOCK);
	irqs(vm, dev1, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_PCI_INTX_IRQ_INDEX, 1, fds);
	fds[0] = event(vm, "hostdev1_intx-unmask", 0, 0, EFD_NONBLOCK);
	irqs(vm, dev1, VFIO_IRQ_SET_ACTION_UNMASK, VFIO_PCI_INTX_IRQ_INDEX, 1, fds);
	close(ram0); /* QEMU has it by path */
	assert_null(vm->f->broken);
	vm->f->calls = 0;
}

void vm_free(struct vm *vm)
{
	lu_cpr_clear(&vm->cpr);
	fake_free(vm->f);
}

struct fake_file *vm_iommufd(struct vm *vm)
{
	return vm->f->files[lu_cpr_find(&vm->cpr, "iommufd0", 0)->fd];
}
