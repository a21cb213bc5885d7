// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A passed-through function before an update. The kernel has the last word when it freezes
 * the tables (kernel-patch/pkeep); what it would refuse then is told here while nothing
 * stands still, as far as sysfs shows it:
 *
 *	bus/pci/devices/ADDRESS/
 *		physfn				a virtual function
 *		driver, vfio-dev/		vfio-pci has it, by a node of its own
 *		pkeep				it can be marked
 *		iommu, iommu/intel-iommu/ecap	by which IOMMU, and may it have ATS?
 *		iommu_group/devices/		alone in its group?
 *		config				capabilities
 *
 * How it can be reset does not matter: for a function that is marked or inherited the kernel says what keeps
 * the next QEMU from resetting it (kernel-patch/pkeep). Neither does the kind of its interrupts.
 *
 * Lists of capabilities are the device's: each is followed for as many steps as fit into
 * the space at most.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "pci.h"

#define CONFIG_SIZE 4096u
#define CONFIG_LEGACY 256u

/* of the kernel's pci_regs.h, which programs have too, but not all of it everywhere */
#define PCI_COMMAND_STATUS 0x04u
#define PCI_STATUS_CAPABILITIES (0x10u << 16)
#define PCI_HEADER 0x0cu
#define PCI_CAPABILITIES 0x34u
#define CAP_PM 0x01u
#define EXT_CAP_ATS 0x0fu

struct config {
	uint8_t data[CONFIG_SIZE];
	size_t size;
};

static uint32_t word(const struct config *c, size_t at)
{
	uint32_t v = 0;

	for (unsigned int i = 0; i < 4 && at + i < c->size; i++)
		v |= (uint32_t)c->data[at + i] << (8 * i);
	return v;
}

/* Offset of a capability, 0: none. */
static size_t capability(const struct config *c, uint32_t id)
{
	size_t at = word(c, PCI_CAPABILITIES) & 0xfc;

	if (!(word(c, PCI_COMMAND_STATUS) & PCI_STATUS_CAPABILITIES))
		return 0;
	for (unsigned int n = 0; at >= 0x40 && at < CONFIG_LEGACY && n < CONFIG_LEGACY / 4; n++) {
		if ((word(c, at) & 0xff) == id)
			return at;
		at = word(c, at) >> 8 & 0xfc;
	}
	return 0;
}

static size_t extended_capability(const struct config *c, uint32_t id)
{
	size_t at = CONFIG_LEGACY;

	for (unsigned int n = 0; at >= CONFIG_LEGACY && at + 4 <= c->size && n < CONFIG_SIZE / 8; n++) {
		uint32_t head = word(c, at);

		if (head == 0 || head == UINT32_MAX)
			return 0;
		if ((head & 0xffff) == id)
			return at;
		at = head >> 20 & 0xffc;
	}
	return 0;
}

static void read_capabilities(const struct config *c, struct lu_pci *f)
{
	size_t pm = capability(c, CAP_PM);

	f->bridge = (word(c, PCI_HEADER) >> 16 & 0x7f) != 0;
	f->low_power = pm && (word(c, pm + 4) & 3);
	f->ats = extended_capability(c, EXT_CAP_ATS) != 0;
}

static void read_config(int dir_fd, struct lu_pci *f)
{
	_cleanup_close_ int fd = openat(dir_fd, "config", O_RDONLY | O_CLOEXEC);
	struct config c = { .size = 0 };

	while (fd >= 0 && c.size < CONFIG_SIZE) {
		ssize_t n = read(fd, c.data + c.size, CONFIG_SIZE - c.size);

		if (n <= 0)
			break;
		c.size += (size_t)n;
	}
	/* 64 bytes are what those get who may not see more */
	f->config_read = c.size >= CONFIG_LEGACY;
	if (f->config_read)
		read_capabilities(&c, f);
}

/* The last component of what a link leads to; "" if there is none. */
static void link_name(int dir_fd, const char *name, char ret[static LU_PCI_NAME])
{
	char target[4096];
	ssize_t n = readlinkat(dir_fd, name, target, sizeof(target) - 1);
	const char *slash;

	ret[0] = '\0';
	if (n <= 0)
		return;
	target[n] = '\0';
	slash = strrchr(target, '/');
	snprintf(ret, LU_PCI_NAME, "%.*s", LU_PCI_NAME - 1, slash ? slash + 1 : target);
}

static bool exists(int dir_fd, const char *name)
{
	return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static DIR *open_dir(int dir_fd, const char *path)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

static void read_group(int dir_fd, const char *address, struct lu_pci *f)
{
	DIR *dir = open_dir(dir_fd, "iommu_group/devices");
	struct dirent *d;

	if (!dir)
		return;
	while ((d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		f->group_members++;
		/* of several the first by name, so that the text is the same each time */
		if (strcmp(d->d_name, address) != 0 && (!f->neighbour[0] || strcmp(d->d_name, f->neighbour) < 0))
			snprintf(f->neighbour, sizeof(f->neighbour), "%.*s", LU_PCI_NAME - 1, d->d_name);
	}
	closedir(dir);
}

static int read_ats(int dir_fd, int proc_fd, struct lu_pci *f)
{
	_cleanup_free_ char *ecap = NULL, *cmdline = NULL;

	if (lu_read_file(proc_fd, "cmdline", 1 << 16, &cmdline, NULL) == -ENOMEM)
		return -ENOMEM;
	if (lu_read_file(dir_fd, "iommu/intel-iommu/ecap", 64, &ecap, NULL) == -ENOMEM)
		return -ENOMEM;
	/* bit 2: device TLBs; what can't be read is taken for yes */
	f->iommu_has_tlbs = !(cmdline && strstr(cmdline, "noats")) && (!ecap || (strtoull(ecap, NULL, 16) & 4));
	return 0;
}

int lu_pci_read(int sys_fd, int proc_fd, const char *address, struct lu_pci *ret)
{
	_cleanup_close_ int dir = -EBADF;
	char path[64];

	*ret = (struct lu_pci){ 0 };
	snprintf(path, sizeof(path), "bus/pci/devices/%s", address);
	dir = openat(sys_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 0;
	ret->present = true;
	ret->virtual_function = exists(dir, "physfn");
	ret->vfio_cdev = exists(dir, "vfio-dev");
	ret->markable = exists(dir, "pkeep");
	link_name(dir, "driver", ret->driver);
	link_name(dir, "iommu", ret->iommu);
	read_group(dir, address, ret);
	read_config(dir, ret);
	return read_ats(dir, proc_fd, ret);
}

void lu_pci_marked(int sys_fd, void (*marked)(const char *address, void *userdata), void *userdata)
{
	DIR *dir = open_dir(sys_fd, "bus/pci/devices");
	struct dirent *d;

	if (!dir)
		return;
	while ((d = readdir(dir))) {
		_cleanup_free_ char *value = NULL;
		char path[sizeof(d->d_name) + 8];

		snprintf(path, sizeof(path), "%s/pkeep", d->d_name);
		if (lu_read_file(dirfd(dir), path, 16, &value, NULL) >= 0 && value[0] == '1')
			marked(d->d_name, userdata);
	}
	closedir(dir);
}

static void judge_iommu(const struct lu_pci *f, const char *address, struct lu_reasons *why)
{
	if (!f->iommu[0])
		lu_reasons_add(why, address, "boot with intel_iommu=on", "no IOMMU translates for it");
	else if (strncmp(f->iommu, "dmar", 4) != 0)
		lu_reasons_add(why, address, "exclude the VM: only Intel VT-d is supported",
			       "its IOMMU %s is of a kind whose tables can't be handed over", f->iommu);
	if (f->group_members > 1)
		lu_reasons_add(why, address, "use a slot whose port isolates it (ACS), or exclude the VM",
			       "it shares its IOMMU group with %s%s", f->neighbour,
			       f->group_members > 2 ? " and others" : "");
	if (f->ats && f->iommu_has_tlbs)
		lu_reasons_add(
			why, address, "boot with pci=noats",
			"it may keep translations in a cache of its own (ATS), which the next kernel can't know");
}

void lu_pci_judge(const struct lu_pci *f, const char *address, struct lu_reasons *why)
{
	if (!f->present) {
		lu_reasons_add(why, address, "see lspci", "there is no such PCI function");
		return;
	}
	if (f->virtual_function)
		lu_reasons_add(why, address, "pass through a whole function, or exclude the VM",
			       "it is a virtual function (SR-IOV): its physical function would have to go on with it");
	if (!f->markable)
		lu_reasons_add(why, address, "boot a kernel with CONFIG_PKEEP, and kho=on",
			       "the kernel can't let it go on: it has no attribute pkeep in sysfs");
	if (strcmp(f->driver, "vfio-pci") != 0)
		lu_reasons_add(why, address, "use vfio-pci",
			       "it belongs to the driver %s, by which it can't be handed over",
			       f->driver[0] ? f->driver : "(none)");
	else if (!f->vfio_cdev)
		lu_reasons_add_kernel(
			why, address, "boot a kernel with CONFIG_VFIO_DEVICE_CDEV",
			"it has no node in /dev/vfio/devices, so it can only be passed through by a legacy container");
	judge_iommu(f, address, why);
	if (!f->config_read) {
		lu_reasons_add(why, address, "luctld needs CAP_SYS_ADMIN",
			       "its configuration space can't be read, so nobody knows what it can do");
		return;
	}
	if (f->bridge)
		lu_reasons_add(why, address, NULL, "it is a bridge");
	if (f->low_power)
		lu_reasons_add(why, address, "let the guest use it", "it is not in full power (D0) now");
}
