// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Doing the steps of a plan (plan.c) by ordinary ioctls. Each step either happens as a whole or not at
 * all, so a replay that failed can be run again from the step that failed.
 *
 * Ownership: struct lu_replay has every file that it opened, until lu_replay_take() hands those of the
 * CPR state over; files of memory that are not in it are closed by lu_replay_free().
 *
 * Unhappy paths:
 *  1. A memory is not the one it was, a memfd is missing, no eventfd can be made: no device was opened,
 *     giving up costs nothing.
 *  2. A device's node does not appear, or it is another device's: waited for up to the limit, then an
 *     error; devices opened before stay open. A device that no kernel handed over is not opened.
 *  3. An object gets another id than it must have: it is destroyed again, if that is possible. A device
 *     that was bound stays so, and the step fails again each time: the replay can't be completed, but
 *     while it is held the device goes on.
 *  4. Attaching is refused with EINVAL: the tables are not those that the device is using. It goes on
 *     with the old ones; the kernel's log says where they differ.
 *  5. Interrupts can't be set up: the device is attached and runs; nothing is taken back.
 *
 * Not handled: another process that allocates objects in the same iommufd at the same time; there is
 * none, since nobody else has it.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "devices-internal.h"

#define POLL_MS 5

struct lu_replay {
	const struct lu_devices *d;
	const struct lu_replay_from *from;
	const struct lu_devices_ops *ops;
	struct lu_step *steps;
	size_t n_steps, next;
	int *fds;          /* as d->fds */
	int *memories;     /* as d->memories */
	uint64_t deadline; /* of this run, ms */
	bool taken;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- what a step is called in an error --- */

static const char *const irq_names[] = { "INTx", "MSI", "MSI-X", "error", "request" };

static const struct lu_devices_iommufd *iommufd_of(const struct lu_replay *r, const struct lu_step *s)
{
	return &r->d->iommufds[s->iommufd];
}

static const struct lu_devices_device *device_of(const struct lu_replay *r, const struct lu_step *s)
{
	return &iommufd_of(r, s)->devices[s->index];
}

static const char *memory_name(const struct lu_devices_memory *m)
{
	return m->kind == LU_MEMORY_FILE ? m->path : m->name;
}

static void print_memory(FILE *f, const struct lu_replay *r, const struct lu_step *s)
{
	const struct lu_devices_memory *m = &r->d->memories[s->index];

	fprintf(f, "memory %s: opening %s", memory_name(m), m->kind == LU_MEMORY_FILE ? "its file" : "its memfd");
}

/* An iommufd is known by its name in QEMU and by the devices that it is for. */
static void print_iommufd(FILE *f, const struct lu_replay *r, const struct lu_step *s)
{
	const struct lu_devices_iommufd *u = iommufd_of(r, s);

	fputs(r->d->fds[u->fd].name, f);
	for (size_t i = 0; i < u->n_devices; i++)
		fprintf(f, "%s%s", i ? ", " : " of device ", u->devices[i].bdf);
	fputs(": ", f);
}

static void print_map(FILE *f, const struct lu_replay *r, const struct lu_step *s)
{
	const struct lu_devices_ioas *ioas = &iommufd_of(r, s)->ioas[s->index];
	const struct lu_devices_area *a = &ioas->areas[s->sub];

	fprintf(f, "mapping %" PRIu64 " bytes of %s at 0x%" PRIx64 " into IOAS %u", a->length,
		memory_name(&r->d->memories[a->memory]), a->iova, ioas->id);
}

static void print_step(FILE *f, const struct lu_replay *r, const struct lu_step *s)
{
	const struct lu_devices_iommufd *u = r->d->n_iommufds ? iommufd_of(r, s) : NULL;

	if (s->kind >= LU_STEP_IOMMUFD && s->kind <= LU_STEP_MAP)
		print_iommufd(f, r, s);
	else if (s->kind == LU_STEP_FREE)
		print_iommufd(f, r, s);
	else if (s->kind == LU_STEP_HWPT)
		fprintf(f, "device %s: ", u->devices[s->sub].bdf);
	else if (s->kind >= LU_STEP_OPEN && s->kind <= LU_STEP_UNMASK)
		fprintf(f, "device %s: ", device_of(r, s)->bdf);
	switch (s->kind) {
	case LU_STEP_MEMORY:
		print_memory(f, r, s);
		break;
	case LU_STEP_MEMORY_FD:
	case LU_STEP_EVENTFD:
		fprintf(f, "file %s: making it", r->d->fds[s->index].name);
		break;
	case LU_STEP_IOMMUFD:
		fputs("opening /dev/iommu", f);
		break;
	case LU_STEP_FILL:
		fprintf(f, "making IOAS %u", s->id);
		break;
	case LU_STEP_OPTION:
		fprintf(f, "turning huge pages off in IOAS %u", u->ioas[s->index].id);
		break;
	case LU_STEP_ALLOW:
		fprintf(f, "setting the allowed ranges of IOAS %u", u->ioas[s->index].id);
		break;
	case LU_STEP_MAP:
		print_map(f, r, s);
		break;
	case LU_STEP_OPEN:
		fputs("opening it", f);
		break;
	case LU_STEP_FREE:
		fprintf(f, "freeing id %u", s->id);
		break;
	case LU_STEP_BIND:
		fprintf(f, "binding it to %s", r->d->fds[u->fd].name);
		break;
	case LU_STEP_HWPT:
		fprintf(f, "making HWPT %u", s->id);
		break;
	case LU_STEP_ATTACH:
		fprintf(f, "attaching it to HWPT %u of IOAS %u", s->id, u->hwpts[s->sub].ioas);
		break;
	case LU_STEP_TRIGGER:
		fprintf(f, "setting up its %s interrupts", irq_names[s->sub]);
		break;
	case LU_STEP_MASK:
		fputs("setting up what masks its interrupt", f);
		break;
	case LU_STEP_UNMASK:
		fputs("setting up what unmasks its interrupt", f);
		break;
	case LU_STEP_ADD:
		fprintf(f, "file %s: adding %" PRIu64 " to it", r->d->fds[s->index].name, s->count);
		break;
	}
}

/* @cause: NULL: what @k means */
static int fail(const struct lu_replay *r, const struct lu_step *s, int k, const char *cause, const char *hint,
		struct lu_error *e)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return -ENOMEM;
	print_step(f, r, s);
	if (fclose(f) != 0)
		return -ENOMEM;
	return lu_error_set(e, k, hint, "%s: %s", text, cause ?: strerror(-k));
}

static int wrong_id(const struct lu_replay *r, const struct lu_step *s, uint32_t got, struct lu_error *e)
{
	char cause[64];

	snprintf(cause, sizeof(cause), "the kernel gave id %u, but it must be %u", got, s->id);
	return fail(r, s, -EPROTO, cause, NULL, e);
}

/* --- files --- */

static int do_ioctl(const struct lu_replay *r, int fd, unsigned long request, void *arg)
{
	int k = r->ops->ioctl(r->ops->context, fd, request, arg);

	return k < 0 ? k : 0;
}

static int duplicate(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? -errno : copy;
}

static int do_memory(struct lu_replay *r, const struct lu_step *s, struct lu_error *e)
{
	const struct lu_devices_memory *m = &r->d->memories[s->index];
	_cleanup_close_ int fd = -EBADF;
	struct stat st;

	if (m->kind == LU_MEMORY_FILE) {
		/* its directories may be QEMU's user's */
		fd = lu_open_beneath(r->from->pkernfs_fd, m->path, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
	} else {
		const struct lu_replay_memfd *memfd = NULL;

		for (size_t i = 0; i < r->from->n_memfds; i++)
			if (r->from->memfds[i].token == m->token)
				memfd = &r->from->memfds[i];
		if (!memfd)
			return fail(r, s, -ENOENT, "the LUO session does not have it", NULL, e);
		fd = duplicate(memfd->fd);
	}
	if (fd < 0)
		return fail(r, s, fd, NULL, NULL, e);
	if (fstat(fd, &st) < 0)
		return fail(r, s, -errno, NULL, NULL, e);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != m->size ||
	    (m->kind == LU_MEMORY_FILE && st.st_ino != m->inode))
		return fail(r, s, -EBADMSG, "it is not the file that it was", NULL, e);
	r->memories[s->index] = steal_fd(&fd);
	return 0;
}

static int do_memory_fd(struct lu_replay *r, const struct lu_step *s, struct lu_error *e)
{
	int fd = duplicate(r->memories[r->d->fds[s->index].memory]);

	if (fd < 0)
		return fail(r, s, fd, NULL, NULL, e);
	r->fds[s->index] = fd;
	return 0;
}

static int do_eventfd(struct lu_replay *r, const struct lu_step *s, struct lu_error *e)
{
	const struct lu_devices_eventfd *want = r->d->fds[s->index].eventfd;
	int fd = r->ops->eventfd(r->ops->context, EFD_CLOEXEC | (want->nonblock ? EFD_NONBLOCK : 0) |
							  (want->semaphore ? EFD_SEMAPHORE : 0));

	if (fd < 0)
		return fail(r, s, fd, NULL, NULL, e);
	r->fds[s->index] = fd;
	return 0;
}

static int do_add(struct lu_replay *r, const struct lu_step *s, struct lu_error *e)
{
	int k = r->ops->add(r->ops->context, r->fds[s->index], s->count);

	return k < 0 ? fail(r, s, k, NULL, NULL, e) : 0;
}

/* --- iommufd --- */

static int iommufd_fd(const struct lu_replay *r, const struct lu_step *s)
{
	return r->fds[iommufd_of(r, s)->fd];
}

static int do_iommufd(struct lu_replay *r, const struct lu_step *s, struct lu_error *e)
{
	dev_t device = 0;
	int fd = r->ops->open_node(r->ops->context, r->from->dev_fd, "iommu", &device);

	if (fd < 0)
		return fail(r, s, fd, NULL, fd == -ENOENT ? "is the module iommufd loaded?" : NULL, e);
	r->fds[iommufd_of(r, s)->fd] = fd;
	return 0;
}

static int destroy(const struct lu_replay *r, const struct lu_step *s, uint32_t id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	return do_ioctl(r, iommufd_fd(r, s), IOMMU_DESTROY, &cmd);
}

static int do_fill(struct lu_replay *r, const struct lu_step *s, struct lu_error *e)
{
	struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };
	int k = do_ioctl(r, iommufd_fd(r, s), IOMMU_IOAS_ALLOC, &cmd);

	if (k < 0)
		return fail(r, s, k, NULL, NULL, e);
	if (cmd.out_ioas_id == s->id)
		return 0;
	destroy(r, s, cmd.out_ioas_id);
	return wrong_id(r, s, cmd.out_ioas_id, e);
}

static int do_free(struct lu_replay *r, const struct lu_step *s, struct lu_error *e)
{
	int k = destroy(r, s, s->id);

	return k < 0 ? fail(r, s, k, NULL, NULL, e) : 0;
}

static int do_option(struct lu_replay *r, const struct lu_step *s, struct lu_error *e)
{
	struct iommu_option cmd = {
		.size = sizeof(cmd),
		.option_id = IOMMU_OPTION_HUGE_PAGES,
		.op = IOMMU_OPTION_OP_SET,
		.object_id = iommufd_of(r, s)->ioas[s->index].id,
		.val64 = 0,
	};
	int k = do_ioctl(r, iommufd_fd(r, s), IOMMU_OPTION, &cmd);

	return k < 0 ? fail(r, s, k, NULL, NULL, e) : 0;
}

static int do_allow(struct lu_replay *r, const struct lu_step *s, struct lu_error *e)
{
	const struct lu_devices_ioas *ioas = &iommufd_of(r, s)->ioas[s->index];
	_cleanup_free_ struct iommu_iova_range *ranges = calloc(ioas->n_allowed, sizeof(*ranges));
	struct iommu_ioas_allow_iovas cmd = {
		.size = sizeof(cmd),
		.ioas_id = ioas->id,
		.num_iovas = (uint32_t)ioas->n_allowed,
		.allowed_iovas = (uintptr_t)ranges,
	};
	int k;

	if (!ranges)
		return -ENOMEM;
	for (size_t i = 0; i < ioas->n_allowed; i++)
		ranges[i] = (struct iommu_iova_range){ ioas->allowed[i].start, ioas->allowed[i].last };
	k = do_ioctl(r, iommufd_fd(r, s), IOMMU_IOAS_ALLOW_IOVAS, &cmd);
	return k < 0 ? fail(r, s, k, NULL, NULL, e) : 0;
}

static int do_map(struct lu_replay *r, const struct lu_step *s, struct lu_error *e)
{
	const struct lu_devices_ioas *ioas = &iommufd_of(r, s)->ioas[s->index];
	const struct lu_devices_area *a = &ioas->areas[s->sub];
	struct iommu_ioas_map_file cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | (a->read ? IOMMU_IOAS_MAP_READABLE : 0) |
			 (a->write ? IOMMU_IOAS_MAP_WRITEABLE : 0),
		.ioas_id = ioas->id,
		.fd = r->memories[a->memory],
		.start = a->offset,
		.length = a->length,
		.iova = a->iova,
	};
	int k = do_ioctl(r, iommufd_fd(r, s), IOMMU_IOAS_MAP_FILE, &cmd);

	return k < 0 ? fail(r, s, k, NULL, NULL, e) : 0;
}

/* --- devices --- */

static int device_fd(const struct lu_replay *r, const struct lu_step *s)
{
	return r->fds[device_of(r, s)->fd];
}

/* Name and number of a function's cdev, from sysfs; -ENOENT if it has none (yet). */
static int find_cdev(const struct lu_replay *r, const char *bdf, char ret_name[32], dev_t *ret_device)
{
	_cleanup_free_ char *text = NULL;
	unsigned int major_number, minor_number;
	char path[128], name[32] = "";
	struct dirent *entry;
	DIR *dir;
	int fd, k;

	snprintf(path, sizeof(path), "bus/pci/devices/%s/vfio-dev", bdf);
	fd = openat(r->from->sys_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		k = -errno;
		close(fd);
		return k;
	}
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, "vfio", 4) && strlen(entry->d_name) < sizeof(name))
			strcpy(name, entry->d_name);
	closedir(dir);
	if (!name[0])
		return -ENOENT;
	snprintf(path, sizeof(path), "bus/pci/devices/%s/vfio-dev/%s/dev", bdf, name);
	k = lu_read_file(r->from->sys_fd, path, 64, &text, NULL);
	if (k < 0)
		return k;
	if (sscanf(text, "%u:%u", &major_number, &minor_number) != 2)
		return -EBADMSG;
	*ret_device = makedev(major_number, minor_number);
	strcpy(ret_name, name);
	return 0;
}

/* That a function is one of those that the kernel before handed over; whether it could go on is for attaching to see. */
static int check_kept(const struct lu_replay *r, const struct lu_step *s, struct lu_error *e)
{
	_cleanup_free_ char *state = NULL;
	char path[128];
	int k;

	snprintf(path, sizeof(path), "bus/pci/devices/%s/pkeep_state", device_of(r, s)->bdf);
	k = lu_read_file(r->from->sys_fd, path, 64, &state, NULL);
	if (k == -ENOENT)
		return 0; /* no such device, which opening it waits for, or no pkeep, and then attaching is all there is */
	if (k < 0)
		return fail(r, s, k, NULL, NULL, e);
	if (!strncmp(state, "none", 4))
		return fail(r, s, -EXDEV, "it is not among the devices that went on from the kernel before",
			    "a device that was moved or exchanged can't take the place of the one the VM had", e);
	return 0;
}

static int try_open(const struct lu_replay *r, const char *bdf)
{
	char name[32], path[64];
	dev_t want = 0, got = 0;
	int k = find_cdev(r, bdf, name, &want);

	if (k < 0)
		return k;
	snprintf(path, sizeof(path), "vfio/devices/%s", name);
	k = r->ops->open_node(r->ops->context, r->from->dev_fd, path, &got);
	if (k >= 0 && got != want) {
		close(k);
		return -ESTALE;
	}
	return k;
}

static int do_open(struct lu_replay *r, const struct lu_step *s, struct lu_error *e)
{
	static const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	int fd = check_kept(r, s, e);

	if (fd < 0)
		return fd;
	for (;;) {
		fd = try_open(r, device_of(r, s)->bdf);
		/* not there yet, or just being registered, or its node is still that of another one */
		if ((fd != -ENOENT && fd != -ENODEV && fd != -ENXIO && fd != -ESTALE) || now_ms() >= r->deadline)
			break;
		nanosleep(&pause, NULL);
	}
	if (fd == -ENOENT)
		return fail(r, s, fd, "vfio-pci does not offer it, or its node in /dev/vfio/devices is missing",
			    "see what driver has it: /sys/bus/pci/devices/…/driver", e);
	if (fd == -ESTALE)
		return fail(r, s, fd, "its node in /dev/vfio/devices is another device's", NULL, e);
	if (fd < 0)
		return fail(r, s, fd, NULL, fd == -EBUSY ? "somebody else has it open" : NULL, e);
	r->fds[device_of(r, s)->fd] = fd;
	return 0;
}

static int do_bind(struct lu_replay *r, const struct lu_step *s, struct lu_error *e)
{
	struct vfio_device_bind_iommufd cmd = {
		.argsz = offsetof(struct vfio_device_bind_iommufd, token_uuid_ptr),
		.iommufd = iommufd_fd(r, s),
	};
	int k = do_ioctl(r, device_fd(r, s), VFIO_DEVICE_BIND_IOMMUFD, &cmd);

	if (k < 0)
		return fail(r, s, k, NULL, k == -EBUSY ? "somebody else uses it" : NULL, e);
	return cmd.out_devid == s->id ? 0 : wrong_id(r, s, cmd.out_devid, e);
}

static int do_hwpt(struct lu_replay *r, const struct lu_step *s, struct lu_error *e)
{
	const struct lu_devices_iommufd *u = iommufd_of(r, s);
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.flags = u->hwpts[s->index].flags,
		.dev_id = u->devices[s->sub].id,
		.pt_id = u->hwpts[s->index].ioas,
	};
	int k = do_ioctl(r, iommufd_fd(r, s), IOMMU_HWPT_ALLOC, &cmd);

	if (k < 0)
		return fail(r, s, k, NULL, NULL, e);
	if (cmd.out_hwpt_id == s->id)
		return 0;
	destroy(r, s, cmd.out_hwpt_id);
	return wrong_id(r, s, cmd.out_hwpt_id, e);
}

static int do_attach(struct lu_replay *r, const struct lu_step *s, struct lu_error *e)
{
	const struct lu_devices_hwpt *h = &iommufd_of(r, s)->hwpts[s->sub];
	struct vfio_device_attach_iommufd_pt cmd = {
		.argsz = offsetof(struct vfio_device_attach_iommufd_pt, pasid),
		.pt_id = h->auto_made ? h->ioas : h->id,
	};
	int k = do_ioctl(r, device_fd(r, s), VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd);

	if (k == -EINVAL)
		return fail(
			r, s, k, "the kernel refuses: it translates differently from what the device is using",
			"the kernel's log says where; the device goes on with the old tables while its file is open",
			e);
	if (k < 0)
		return fail(r, s, k, NULL, NULL, e);
	return cmd.pt_id == s->id ? 0 : wrong_id(r, s, cmd.pt_id, e);
}

/* --- interrupts --- */

static int set_irqs(const struct lu_replay *r, const struct lu_step *s, uint32_t action, uint32_t index, uint32_t count,
		    const int32_t *fds)
{
	size_t size = sizeof(struct vfio_irq_set) + count * sizeof(*fds);
	_cleanup_free_ struct vfio_irq_set *set = calloc(1, size);

	if (!set)
		return -ENOMEM;
	set->argsz = (uint32_t)size;
	set->flags = VFIO_IRQ_SET_DATA_EVENTFD | action;
	set->index = index;
	set->count = count;
	memcpy(set->data, fds, count * sizeof(*fds));
	return do_ioctl(r, device_fd(r, s), VFIO_DEVICE_SET_IRQS, set);
}

static int32_t eventfd_of(const struct lu_replay *r, uint64_t index)
{
	return index == LU_DEVICES_NONE ? -1 : r->fds[index];
}

/* All vectors in one call: what can't be resized later must be right at once (VFIO_IRQ_INFO_NORESIZE). */
static int do_trigger(struct lu_replay *r, const struct lu_step *s, struct lu_error *e)
{
	const struct lu_devices_device *dev = device_of(r, s);
	_cleanup_free_ int32_t *fds = NULL;
	uint32_t count = 0;
	int k;

	for (size_t i = 0; i < dev->n_irqs; i++)
		if (dev->irqs[i].index == (int)s->sub && dev->irqs[i].vector >= count)
			count = dev->irqs[i].vector + 1;
	fds = malloc(count * sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		fds[i] = -1;
	for (size_t i = 0; i < dev->n_irqs; i++)
		if (dev->irqs[i].index == (int)s->sub)
			fds[dev->irqs[i].vector] = eventfd_of(r, dev->irqs[i].trigger);
	k = set_irqs(r, s, VFIO_IRQ_SET_ACTION_TRIGGER, s->sub, count, fds);
	return k < 0 ? fail(r, s, k, NULL, NULL, e) : 0;
}

static int do_mask(struct lu_replay *r, const struct lu_step *s, struct lu_error *e)
{
	const struct lu_devices_irq *q = &device_of(r, s)->irqs[s->sub];
	bool mask = s->kind == LU_STEP_MASK;
	int32_t fd = eventfd_of(r, mask ? q->mask : q->unmask);
	int k = set_irqs(r, s, mask ? VFIO_IRQ_SET_ACTION_MASK : VFIO_IRQ_SET_ACTION_UNMASK, (uint32_t)q->index, 1,
			 &fd);

	return k < 0 ? fail(r, s, k, NULL, NULL, e) : 0;
}

/* --- the whole --- */

static int (*const actions[])(struct lu_replay *r, const struct lu_step *s, struct lu_error *e) = {
	[LU_STEP_MEMORY] = do_memory,   [LU_STEP_MEMORY_FD] = do_memory_fd,
	[LU_STEP_EVENTFD] = do_eventfd, [LU_STEP_IOMMUFD] = do_iommufd,
	[LU_STEP_FILL] = do_fill,       [LU_STEP_OPTION] = do_option,
	[LU_STEP_ALLOW] = do_allow,     [LU_STEP_MAP] = do_map,
	[LU_STEP_OPEN] = do_open,       [LU_STEP_FREE] = do_free,
	[LU_STEP_BIND] = do_bind,       [LU_STEP_HWPT] = do_hwpt,
	[LU_STEP_ATTACH] = do_attach,   [LU_STEP_TRIGGER] = do_trigger,
	[LU_STEP_MASK] = do_mask,       [LU_STEP_UNMASK] = do_mask,
	[LU_STEP_ADD] = do_add,
};

static int *no_files(size_t n)
{
	int *fds = calloc(n + 1, sizeof(int));

	for (size_t i = 0; fds && i < n; i++)
		fds[i] = -EBADF;
	return fds;
}

int lu_replay_new(struct lu_replay **ret, const struct lu_devices *d, const struct lu_replay_from *from,
		  struct lu_error *e)
{
	_cleanup_(lu_replay_freep) struct lu_replay *r = NULL;
	int k = lu_devices_check(d, e);

	if (k < 0)
		return k;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->d = d;
	r->from = from;
	r->ops = from->ops ?: &lu_devices_kernel_ops;
	r->fds = no_files(d->n_fds);
	r->memories = no_files(d->n_memories);
	k = r->fds && r->memories ? lu_replay_plan(d, &r->steps, &r->n_steps) : -ENOMEM;
	if (k < 0)
		return k;
	*ret = steal_ptr(r);
	return 0;
}

int lu_replay_run(struct lu_replay *r, struct lu_error *e)
{
	r->deadline = now_ms() + r->from->timeout_ms;
	for (; r->next < r->n_steps; r->next++) {
		int k = actions[r->steps[r->next].kind](r, &r->steps[r->next], e);

		if (k < 0)
			return k;
	}
	return 0;
}

bool lu_replay_holds_devices(const struct lu_replay *r)
{
	for (size_t i = 0; i < r->d->n_fds; i++)
		if (r->d->fds[i].kind == LU_FD_VFIO_DEVICE && r->fds[i] >= 0)
			return true;
	return false;
}

int lu_replay_take(struct lu_replay *r, struct lu_cpr *ret)
{
	struct lu_cpr cpr = LU_CPR_INIT;

	if (r->next < r->n_steps || r->taken)
		return -EBUSY;
	cpr.fds = calloc(r->d->n_fds + 1, sizeof(*cpr.fds));
	cpr.devices = calloc(r->d->n_cpr_devices + 1, sizeof(*cpr.devices));
	if (!cpr.fds || !cpr.devices)
		goto no_memory;
	for (size_t i = 0; i < r->d->n_fds; i++) {
		cpr.fds[i] =
			(struct lu_cpr_fd){ .name = strdup(r->d->fds[i].name), .id = r->d->fds[i].id, .fd = -EBADF };
		cpr.n_fds++;
		if (!cpr.fds[i].name)
			goto no_memory;
	}
	for (size_t i = 0; i < r->d->n_cpr_devices; i++) {
		cpr.devices[i] = r->d->cpr_devices[i];
		cpr.devices[i].name = strdup(r->d->cpr_devices[i].name);
		cpr.n_devices++;
		if (!cpr.devices[i].name)
			goto no_memory;
	}
	/* nothing fails from here on */
	for (size_t i = 0; i < r->d->n_fds; i++)
		cpr.fds[i].fd = steal_fd(&r->fds[i]);
	r->taken = true;
	*ret = cpr;
	return 0;
no_memory:
	lu_cpr_clear(&cpr);
	return -ENOMEM;
}

void lu_replay_free(struct lu_replay *r)
{
	if (!r)
		return;
	for (size_t i = 0; r->fds && i < r->d->n_fds; i++)
		closep(&r->fds[i]);
	for (size_t i = 0; r->memories && i < r->d->n_memories; i++)
		closep(&r->memories[i]);
	free(r->fds);
	free(r->memories);
	free(r->steps);
	free(r);
}
