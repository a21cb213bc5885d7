// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A look at a running QEMU's iommufds, for the verdict before an update: the same question that
 * collect.c asks when the VM stands still, by descriptors that are borrowed from the process
 * (pidfd_getfd) and closed at once. The answer is judged by what compose.c would refuse:
 * memory of the process, dma-bufs, nested tables and the like, PASIDs, files that do not survive.
 *
 * A guest may map and unmap meanwhile. Then the kernel says EBUSY, or what is judged is
 * past; nothing is told in the first case, and in both the last word is that of collect.c.
 */
#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#include "devices-internal.h"

#define HINT_SHARE "start it with memory-backend-file,share=on in pkernfs, and -machine aux-ram-share=on"

/* What is mapped of one kind, told as one reason however often it is there. */
struct found {
	uint64_t areas, bytes, first;
};

struct peek {
	const uint64_t *devs;
	size_t n_devs;
	struct found user, dmabuf, lost;
	struct lu_reasons *why;
};

static void count(struct found *f, const struct iommu_state_area *a)
{
	if (f->areas++ == 0)
		f->first = a->iova;
	f->bytes += a->length;
}

static void judge_area(struct peek *p, const struct iommu_state_area *a)
{
	bool stays = false;

	for (size_t i = 0; i < p->n_devs; i++)
		stays |= a->dev == p->devs[i];
	if (a->kind == IOMMU_STATE_AREA_USER)
		count(&p->user, a);
	else if (a->kind == IOMMU_STATE_AREA_DMABUF)
		count(&p->dmabuf, a);
	else if (!stays)
		count(&p->lost, a);
}

static void judge_device(struct peek *p, const struct iommu_state_device *d)
{
	char address[LU_BDF_SIZE];

	if (!(d->head.flags & IOMMU_STATE_DEVICE_PCI)) {
		lu_reasons_add(p->why, NULL, "unplug it, or exclude the VM",
			       "a device that is no PCI function is passed through to it");
		return;
	}
	snprintf(address, sizeof(address), "%04x:%02x:%02x.%u", d->segment, d->bus, d->devfn >> 3, d->devfn & 7u);
	if (d->head.flags & IOMMU_STATE_DEVICE_PASIDS)
		lu_reasons_add(p->why, address, "don't use shared virtual addressing in the guest, or exclude the VM",
			       "address spaces of its own processes (PASIDs) are attached to it");
}

static void judge_record(struct peek *p, const unsigned char *data, const struct iommu_state_head *head)
{
	union {
		struct iommu_state_area area;
		struct iommu_state_device device;
		struct iommu_state_other other;
	} u = { 0 };

	memcpy(&u, data, head->length < sizeof(u) ? head->length : sizeof(u));
	if (head->type == IOMMU_STATE_AREA)
		judge_area(p, &u.area);
	else if (head->type == IOMMU_STATE_DEVICE)
		judge_device(p, &u.device);
	else if (head->type == IOMMU_STATE_OTHER)
		lu_reasons_add(
			p->why, NULL, "start it without a virtual IOMMU that the hardware has a part in",
			"its iommufd has an object that can't be set up again: a nested table, a fault queue, a virtual IOMMU or the like (the kernel's type %u)",
			u.other.kind);
	else if ((head->type < IOMMU_STATE_DEVICE || head->type > IOMMU_STATE_OTHER) &&
		 !(head->flags & IOMMU_STATE_OPTIONAL))
		lu_reasons_add(p->why, NULL, "install a luctl that fits this kernel",
			       "its iommufd has an object of a type that is not known here (%u)", head->type);
}

static void tell(struct peek *p, const struct found *f, const char *what, const char *hint)
{
	if (f->areas)
		lu_reasons_add(p->why, NULL, hint,
			       "its devices reach %s: %" PRIu64 " bytes in %" PRIu64 " pieces, first at 0x%" PRIx64,
			       what, f->bytes, f->areas, f->first);
}

void lu_peek_judge(const unsigned char *records, size_t length, const uint64_t *devs, size_t n_devs,
		   struct lu_reasons *why)
{
	struct peek p = { .devs = devs, .n_devs = n_devs, .why = why };

	for (size_t at = 0; at < length;) {
		struct iommu_state_head head;

		if (length - at >= sizeof(head))
			memcpy(&head, records + at, sizeof(head));
		if (length - at < sizeof(head) || head.length < sizeof(head) || head.length > length - at) {
			lu_reasons_add(why, NULL, NULL, "the kernel's list of its iommufd's objects is cut short");
			return;
		}
		judge_record(&p, records + at, &head);
		at += head.length;
	}
	tell(&p, &p.user, "memory of the process that is no file", HINT_SHARE);
	tell(&p, &p.lost, "files that do not survive", HINT_SHARE);
	tell(&p, &p.dmabuf, "dma-bufs, the registers of other devices",
	     "use a kernel without CONFIG_PCI_P2PDMA, or x-no-mmap=on for the device");
}

/* Which file system memfds are in has no name: ask one. */
static int memfd_dev(uint64_t *ret)
{
	_cleanup_close_ int fd = memfd_create("peek", MFD_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	*ret = st.st_dev;
	return 0;
}

static void peek_at(int fd, bool may_stand_in, const uint64_t *devs, size_t n_devs, struct lu_reasons *why)
{
	_cleanup_free_ unsigned char *records = NULL;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_unseen unseen;
	size_t length;
	int r;

	r = lu_iommufd_unseen(&lu_devices_kernel_ops, fd, "its iommufd", may_stand_in, &unseen, &e);
	if (r == 0)
		r = lu_iommufd_ask(&lu_devices_kernel_ops, fd, "its iommufd", &records, &length, &e);
	if (r == 0)
		lu_peek_judge(records, length, devs, n_devs, why);
	else if (r == -EOPNOTSUPP)
		lu_reasons_add_error(why, NULL, &e);
}

/* What a QEMU has open of what its devices' tables are in. */
enum holds {
	AN_IOMMUFD,
	A_CONTAINER, /* type1 */
	A_STAND_IN,  /* an iommufd in place of a container */
};

/* After an update it is /dev/iommu that stands in, and before it that was opened as /dev/vfio/vfio. */
static enum holds what_is(int fd, bool iommu)
{
	struct iommu_vfio_ioas get = { .size = sizeof(get), .op = IOMMU_VFIO_IOAS_GET };

	if (lu_devices_kernel_ops.ioctl(NULL, fd, IOMMU_VFIO_IOAS, &get) >= 0)
		return A_STAND_IN;
	return iommu ? AN_IOMMUFD : A_CONTAINER;
}

/*
 * Is a descriptor /dev/iommu or /dev/vfio/vfio? Whoever opened it, like the QEMU before, perhaps saw another /dev that is
 * gone: then its link is the path in that file system.
 */
static bool is_node(int dirfd, const char *fd, bool *ret_iommu)
{
	const char *p;
	struct stat st;
	char link[32];
	ssize_t n = readlinkat(dirfd, fd, link, sizeof(link) - 1);

	link[n < 0 ? 0 : n] = '\0';
	p = !strncmp(link, "/dev/", 5) ? link + 4 : link;
	*ret_iommu = !strcmp(p, "/iommu");
	return (*ret_iommu || !strcmp(p, "/vfio/vfio")) && fstatat(dirfd, fd, &st, 0) == 0 && S_ISCHR(st.st_mode);
}

static void for_each_held(int proc_fd, pid_t pid, void (*each)(void *context, int fd, enum holds what), void *context)
{
	_cleanup_close_ int pidfd = pidfd_open(pid, 0);
	struct dirent *d;
	char path[32];
	DIR *dir;
	int fd;

	if (pidfd < 0)
		return;
	snprintf(path, sizeof(path), "%d/fd", (int)pid);
	fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		closep(&fd);
		return;
	}
	while ((d = readdir(dir))) {
		_cleanup_close_ int copy = -EBADF;
		bool iommu;

		if (!is_node(fd, d->d_name, &iommu))
			continue;
		copy = pidfd_getfd(pidfd, atoi(d->d_name), 0);
		if (copy >= 0)
			each(context, copy, what_is(copy, iommu));
	}
	closedir(dir);
}

struct survey {
	const uint64_t *devs;
	size_t n_devs;
	struct lu_reasons *why;
	unsigned int containers, stand_ins;
};

static void count_held(void *context, int fd, enum holds what)
{
	struct survey *l = context;

	l->containers += what == A_CONTAINER;
	l->stand_ins += what == A_STAND_IN;
}

static void judge_held(void *context, int fd, enum holds what)
{
	struct survey *l = context;

	if (what != AN_IOMMUFD)
		lu_container_judge(&lu_devices_kernel_ops, fd, l->why);
	if (what != A_CONTAINER)
		peek_at(fd, what == A_STAND_IN, l->devs, l->n_devs, l->why);
}

bool lu_devices_stand_in(int proc_fd, pid_t pid)
{
	struct survey l = { 0 };

	for_each_held(proc_fd, pid, count_held, &l);
	return l.stand_ins && !l.containers;
}

void lu_devices_peek(int proc_fd, int pkernfs_fd, pid_t pid, struct lu_reasons *why)
{
	uint64_t devs[2];
	struct survey l = { .devs = devs, .n_devs = ARRAY_SIZE(devs), .why = why };
	struct stat st;

	if (fstat(pkernfs_fd, &st) < 0 || memfd_dev(&devs[1]) < 0)
		return;
	devs[0] = st.st_dev;
	if (lu_devices_stand_in(proc_fd, pid))
		lu_reasons_here(why);
	for_each_held(proc_fd, pid, judge_held, &l);
}
