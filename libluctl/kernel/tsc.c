// SPDX-License-Identifier: LGPL-2.1-or-later
/* The rate of the TSC as KVM tells it to those who start guests; see cmdline.h. */
#include <cpuid.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cmdline.h"

/* Does a kernel read the rate off the processor (leaf 0x15), or hear it from the hypervisor, in place of measuring it? */
static bool is_told(void)
{
	unsigned int a, b, c, d;
	char name[13] = "";

	if (__get_cpuid(0x15, &a, &b, &c, &d) && a && b)
		return true;
	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 31))
		return false;
	__cpuid(0x40000000, a, b, c, d);
	memcpy(name, &b, 4);
	memcpy(name + 4, &c, 4);
	memcpy(name + 8, &d, 4);
	return strcmp(name, "TCGTCGTCGTCG") != 0; /* QEMU's emulation tells nothing */
}

uint32_t lu_tsc_khz(void)
{
	_cleanup_close_ int kvm = -EBADF, vm = -EBADF;
	int khz;

	if (is_told())
		return 0;
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	khz = vm < 0 ? -1 : ioctl(vm, KVM_GET_TSC_KHZ, 0);
	return khz > 0 ? (uint32_t)khz : 0;
}
