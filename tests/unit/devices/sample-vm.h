/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* A VM with two passed-through devices on the fake kernel (fake.h), as a QEMU that saw some hot-plugging leaves it. */
#include "fake.h"

#define VM_RAM (4U << 20)
#define VM_BIOS (256U << 10)

struct vm {
	struct fake *f;
	struct lu_cpr cpr;
	struct lu_launch_ram ram;
	char ram_path[128];
	struct lu_launch launch;
	struct lu_collect_from from;
};

/** vm_new() - @two: each device has an iommufd of its own */
void vm_new(struct vm *vm, bool two);
void vm_free(struct vm *vm);

/** vm_add() - one more file; it is the VM's then */
void vm_add(struct vm *vm, const char *name, int32_t id, int fd);

/** vm_iommufd() - what is behind its (first) iommufd */
struct fake_file *vm_iommufd(struct vm *vm);
