// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Making the calls of a journal. Each either happens as a whole or not at all, so a replay that failed can
 * be run again from the call that failed. What came of each is appended to the journal.
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
 *     that was bound stays so, and the call fails again each time: the replay can't be completed, but
 *     while it is held the device goes on.
 *  4. Attaching is refused with EINVAL: the tables are not those that the device is using. It goes on
 *     with the old ones; the kernel's log says where they differ.
 *  5. Interrupts can't be set up: the device is attached and runs; nothing is taken back.
 *  6. A result can't be appended: from then on none is.
 *
 * Not handled: another process that allocates objects in the same iommufd at the same time; there is
 * none, since nobody else has it.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "devices-internal.h"

#define POLL_MS 5
#define BUSY_TIMES 10u /* as long as devices may take to appear */

struct lu_replay {
	const struct lu_devices *d;
	struct lu_calls *c;
	const struct lu_replay_from *from;
	const struct lu_devices_ops *ops;
	size_t next;
	int *fds;          /* by number */
	uint32_t *entries; /* as d->fds: numbers */
	uint32_t id;       /* that the kernel gave in the call that is being made, 0: none */
	int group;         /* that was opened last, as this kernel numbers it; -1: none */
	int32_t group_id;  /* as QEMU knows it */
	uint64_t deadline; /* of this run, ms */
	bool log_ends;
	bool taken;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* @cause: NULL: what @k means */
static int fail(const struct lu_replay *r, int k, const char *cause, const char *hint, struct lu_error *e)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return -ENOMEM;
	lu_call_describe(r->c, r->next, f);
	if (fclose(f) != 0)
		return -ENOMEM;
	return lu_error_set(e, k, hint, "%s: %s", text, cause ?: strerror(-k));
}

/* The kernel gave @id; must it be this one? */
static int check_id(struct lu_replay *r, const struct lu_call *c, uint32_t id, struct lu_error *e)
{
	char cause[64];

	r->id = id;
	if (id == c->expect)
		return 0;
	snprintf(cause, sizeof(cause), "the kernel gave id %u, but it must be %u", id, c->expect);
	return fail(r, -EPROTO, cause, NULL, e);
}

/* --- files --- */

static int fd_of(const struct lu_replay *r, uint64_t number)
{
	return number == LU_CALLS_NO_FILE ? -1 : r->fds[number];
}

static int do_ioctl(const struct lu_replay *r, const struct lu_call *c, unsigned long request, void *arg)
{
	int k = r->ops->ioctl(r->ops->context, fd_of(r, c->file), request, arg);

	return k < 0 ? k : 0;
}

/*
 * An inherited device is attached while nobody changes a table. Who does for seconds, as a VM of terabytes that ends, makes
 * the kernel say EBUSY: that passes, and the device goes on meanwhile.
 */
static int insist(const struct lu_replay *r, int fd, unsigned long request, void *arg)
{
	static const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	uint64_t end =
		now_ms() + BUSY_TIMES * r->from->timeout_ms; /* the kernel itself waits for 3 s before it says so */

	for (;;) {
		int k = r->ops->ioctl(r->ops->context, fd, request, arg);

		if (k != -EBUSY || now_ms() >= end)
			return k;
		nanosleep(&pause, NULL);
	}
}

static int duplicate(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? -errno : copy;
}

/* The file must be the one that it was. */
static int take_memory(struct lu_replay *r, const struct lu_call *c, int opened, struct lu_error *e)
{
	_cleanup_close_ int fd = opened;
	struct stat st;

	if (fd < 0)
		return fail(r, fd, NULL, NULL, e);
	if (fstat(fd, &st) < 0)
		return fail(r, -errno, NULL, NULL, e);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != c->args[LU_OPEN_FILE_SIZE] ||
	    (c->kind == LU_CALL_OPEN_FILE && st.st_ino != c->args[LU_OPEN_FILE_INODE]))
		return fail(r, -EBADMSG, "it is not the file that it was", NULL, e);
	r->fds[c->file] = steal_fd(&fd);
	return 0;
}

static int do_open_file(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	/* its directories may be QEMU's user's */
	return take_memory(r, c, lu_open_beneath(r->from->pkernfs_fd, c->name, O_RDWR | O_NOFOLLOW | O_NONBLOCK), e);
}

static int do_memfd(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	for (size_t i = 0; i < r->from->n_memfds; i++)
		if (r->from->memfds[i].token == c->args[LU_MEMFD_TOKEN])
			return take_memory(r, c, duplicate(r->from->memfds[i].fd), e);
	return fail(r, -ENOENT, "the LUO session does not have it", NULL, e);
}

static int do_dup(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	int fd = duplicate(fd_of(r, c->args[LU_DUP_FILE]));

	if (fd < 0)
		return fail(r, fd, NULL, NULL, e);
	r->fds[c->file] = fd;
	return 0;
}

static int do_eventfd(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	int fd = r->ops->eventfd(r->ops->context, EFD_CLOEXEC | (int)c->args[LU_EVENTFD_FLAGS]);

	if (fd < 0)
		return fail(r, fd, NULL, NULL, e);
	r->fds[c->file] = fd;
	return 0;
}

static int do_add(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	int k = r->ops->add(r->ops->context, fd_of(r, c->file), c->args[LU_ADD_COUNT]);

	return k < 0 ? fail(r, k, NULL, NULL, e) : 0;
}

/* --- iommufd --- */

static int do_open_iommu(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	dev_t device = 0;
	int fd = r->ops->open_node(r->ops->context, r->from->dev_fd, "iommu", &device);

	if (fd < 0)
		return fail(r, fd, NULL, fd == -ENOENT ? "is the module iommufd loaded?" : NULL, e);
	r->fds[c->file] = fd;
	return 0;
}

static int destroy(const struct lu_replay *r, const struct lu_call *c, uint32_t id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	return do_ioctl(r, c, IOMMU_DESTROY, &cmd);
}

static int do_ioas(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };
	int k = do_ioctl(r, c, IOMMU_IOAS_ALLOC, &cmd);

	if (k < 0)
		return fail(r, k, NULL, NULL, e);
	if (cmd.out_ioas_id != c->expect)
		destroy(r, c, cmd.out_ioas_id);
	return check_id(r, c, cmd.out_ioas_id, e);
}

static int do_destroy(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	int k = destroy(r, c, (uint32_t)c->args[LU_DESTROY_ID]);

	return k < 0 ? fail(r, k, NULL, NULL, e) : 0;
}

static int do_option(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	struct iommu_option cmd = {
		.size = sizeof(cmd),
		.option_id = (uint32_t)c->args[LU_OPTION_OPTION],
		.op = IOMMU_OPTION_OP_SET,
		.object_id = (uint32_t)c->args[LU_OPTION_IOAS],
		.val64 = c->args[LU_OPTION_VALUE],
	};
	int k = do_ioctl(r, c, IOMMU_OPTION, &cmd);

	return k < 0 ? fail(r, k, NULL, NULL, e) : 0;
}

static int do_allow(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	size_t n = c->n_list / 2;
	_cleanup_free_ struct iommu_iova_range *ranges = calloc(n, sizeof(*ranges));
	struct iommu_ioas_allow_iovas cmd = {
		.size = sizeof(cmd),
		.ioas_id = (uint32_t)c->args[LU_ALLOW_IOAS],
		.num_iovas = (uint32_t)n,
		.allowed_iovas = (uintptr_t)ranges,
	};
	int k;

	if (!ranges)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		ranges[i] = (struct iommu_iova_range){ c->list[2 * i], c->list[2 * i + 1] };
	k = do_ioctl(r, c, IOMMU_IOAS_ALLOW_IOVAS, &cmd);
	return k < 0 ? fail(r, k, NULL, NULL, e) : 0;
}

static int do_map(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	struct iommu_ioas_map_file cmd = {
		.size = sizeof(cmd),
		.flags = (uint32_t)c->args[LU_MAP_FLAGS],
		.ioas_id = (uint32_t)c->args[LU_MAP_IOAS],
		.fd = fd_of(r, c->args[LU_MAP_FILE]),
		.start = c->args[LU_MAP_OFFSET],
		.length = c->args[LU_MAP_LENGTH],
		.iova = c->args[LU_MAP_IOVA],
	};
	int k = do_ioctl(r, c, IOMMU_IOAS_MAP_FILE, &cmd);

	return k < 0 ? fail(r, k, NULL, NULL, e) : 0;
}

static int do_hwpt(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.flags = (uint32_t)c->args[LU_TABLE_FLAGS],
		.dev_id = (uint32_t)c->args[LU_TABLE_DEVICE],
		.pt_id = (uint32_t)c->args[LU_TABLE_IOAS],
	};
	int k = do_ioctl(r, c, IOMMU_HWPT_ALLOC, &cmd);

	if (k < 0)
		return fail(r, k, NULL, NULL, e);
	if (cmd.out_hwpt_id != c->expect)
		destroy(r, c, cmd.out_hwpt_id);
	return check_id(r, c, cmd.out_hwpt_id, e);
}

/* --- devices --- */

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
static int check_kept(const struct lu_replay *r, const char *bdf, struct lu_error *e)
{
	_cleanup_free_ char *state = NULL;
	char path[128];
	int k;

	snprintf(path, sizeof(path), "bus/pci/devices/%s/pkeep_state", bdf);
	k = lu_read_file(r->from->sys_fd, path, 64, &state, NULL);
	if (k == -ENOENT)
		return 0; /* no such device, which opening it waits for, or no pkeep, and then attaching is all there is */
	if (k < 0)
		return fail(r, k, NULL, NULL, e);
	if (!strncmp(state, "none", 4))
		return fail(r, -EXDEV, "it is not among the devices that went on from the kernel before",
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

static int do_open_device(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	static const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	char bdf[LU_BDF_SIZE];
	int fd;

	lu_call_bdf(c->args[LU_OPEN_DEVICE_BDF], bdf);
	fd = check_kept(r, bdf, e);
	if (fd < 0)
		return fd;
	for (;;) {
		fd = try_open(r, bdf);
		/* not there yet, or just being registered, or its node is still that of another one */
		if ((fd != -ENOENT && fd != -ENODEV && fd != -ENXIO && fd != -ESTALE) || now_ms() >= r->deadline)
			break;
		nanosleep(&pause, NULL);
	}
	if (fd == -ENOENT)
		return fail(r, fd, "vfio-pci does not offer it, or its node in /dev/vfio/devices is missing",
			    "see what driver has it: /sys/bus/pci/devices/…/driver", e);
	if (fd == -ESTALE)
		return fail(r, fd, "its node in /dev/vfio/devices is another device's", NULL, e);
	if (fd < 0)
		return fail(r, fd, NULL, fd == -EBUSY ? "somebody else has it open" : NULL, e);
	r->fds[c->file] = fd;
	return 0;
}

/* Which group it is in: the kernel numbers them as it finds them, and may find them in another order. */
static int find_group(const struct lu_replay *r, const char *bdf, dev_t *ret_device)
{
	_cleanup_free_ char *text = NULL;
	unsigned int major_number, minor_number;
	char path[128], link[256], *end;
	ssize_t n;
	int group, k;

	snprintf(path, sizeof(path), "bus/pci/devices/%s/iommu_group", bdf);
	n = readlinkat(r->from->sys_fd, path, link, sizeof(link) - 1);
	if (n < 0)
		return -errno;
	link[n] = '\0';
	end = strrchr(link, '/');
	if (sscanf(end ? end + 1 : link, "%d", &group) != 1 || group < 0)
		return -EBADMSG;
	snprintf(path, sizeof(path), "class/vfio/%d/dev", group);
	k = lu_read_file(r->from->sys_fd, path, 64, &text, NULL);
	if (k < 0)
		return k;
	if (sscanf(text, "%u:%u", &major_number, &minor_number) != 2)
		return -EBADMSG;
	*ret_device = makedev(major_number, minor_number);
	return group;
}

static int try_open_group(struct lu_replay *r, const char *bdf)
{
	dev_t want = 0, got = 0;
	char path[64];
	int group = find_group(r, bdf, &want), k;

	if (group < 0)
		return group;
	snprintf(path, sizeof(path), "vfio/%d", group);
	k = r->ops->open_node(r->ops->context, r->from->dev_fd, path, &got);
	if (k >= 0 && got != want) {
		close(k);
		return -ESTALE;
	}
	r->group = group;
	return k;
}

static int do_open_group(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	static const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	char bdf[LU_BDF_SIZE];
	int fd;

	lu_call_bdf(c->args[LU_OPEN_GROUP_BDF], bdf);
	for (;;) {
		fd = try_open_group(r, bdf);
		if ((fd != -ENOENT && fd != -ENODEV && fd != -ENXIO && fd != -ESTALE) || now_ms() >= r->deadline)
			break;
		nanosleep(&pause, NULL);
	}
	if (fd < 0)
		return fail(r, fd, NULL, fd == -EBUSY ? "somebody else has it open" : NULL, e);
	r->fds[c->file] = fd;
	r->group_id = c->file_id;
	return 0;
}

static int do_stand_in(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	struct iommu_vfio_ioas cmd = {
		.size = sizeof(cmd),
		.ioas_id = (uint32_t)c->args[LU_STAND_IN_IOAS],
		.op = IOMMU_VFIO_IOAS_SET,
	};
	int k = do_ioctl(r, c, IOMMU_VFIO_IOAS, &cmd);

	return k < 0 ? fail(r, k, NULL, NULL, e) : 0;
}

static int do_set_container(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	int32_t fd = fd_of(r, c->args[LU_SET_CONTAINER_IOMMUFD]);
	int k = do_ioctl(r, c, VFIO_GROUP_SET_CONTAINER, &fd);

	return k < 0 ? fail(r, k, NULL, NULL, e) : 0;
}

/* Which ids it got the kernel does not tell. If the tables differ the device is closed by the kernel, and so stopped. */
static int do_get_device(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	char bdf[LU_BDF_SIZE];
	int k;

	lu_call_bdf(c->args[LU_GET_DEVICE_BDF], bdf);
	k = check_kept(r, bdf, e);
	if (k < 0)
		return k;
	k = insist(r, fd_of(r, c->args[LU_GET_DEVICE_GROUP]), VFIO_GROUP_GET_DEVICE_FD, bdf);
	if (k < 0)
		return fail(r, k,
			    k == -EINVAL ?
				    "the kernel refuses: it translates differently from what the device was using" :
				    NULL,
			    k == -EINVAL ? "the kernel's log says where; the device has been stopped" : NULL, e);
	r->fds[c->file] = k;
	return 0;
}

static int do_bind(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	struct vfio_device_bind_iommufd cmd = {
		.argsz = offsetof(struct vfio_device_bind_iommufd, token_uuid_ptr),
		.iommufd = fd_of(r, c->args[LU_BIND_IOMMUFD]),
	};
	int k = do_ioctl(r, c, VFIO_DEVICE_BIND_IOMMUFD, &cmd);

	if (k < 0)
		return fail(r, k, NULL, k == -EBUSY ? "somebody else uses it" : NULL, e);
	return check_id(r, c, cmd.out_devid, e);
}

static int do_attach(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	struct vfio_device_attach_iommufd_pt cmd = {
		.argsz = offsetof(struct vfio_device_attach_iommufd_pt, pasid),
		.pt_id = (uint32_t)c->args[LU_ATTACH_PT],
	};
	int k = insist(r, fd_of(r, c->file), VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd);

	if (k == -EINVAL)
		return fail(
			r, k, "the kernel refuses: it translates differently from what the device is using",
			"the kernel's log says where; the device goes on with the old tables while its file is open",
			e);
	if (k < 0)
		return fail(r, k, NULL, NULL, e);
	return check_id(r, c, cmd.pt_id, e);
}

static int do_irqs(struct lu_replay *r, const struct lu_call *c, struct lu_error *e)
{
	size_t size = sizeof(struct vfio_irq_set) + c->n_list * sizeof(int32_t);
	_cleanup_free_ struct vfio_irq_set *set = calloc(1, size);
	int k;

	if (!set)
		return -ENOMEM;
	set->argsz = (uint32_t)size;
	set->flags = (uint32_t)c->args[LU_IRQS_FLAGS];
	set->index = (uint32_t)c->args[LU_IRQS_INDEX];
	set->count = (uint32_t)c->n_list;
	for (size_t i = 0; i < c->n_list; i++) {
		int32_t fd = fd_of(r, c->list[i]);

		memcpy(set->data + i * sizeof(fd), &fd, sizeof(fd));
	}
	k = do_ioctl(r, c, VFIO_DEVICE_SET_IRQS, set);
	return k < 0 ? fail(r, k, NULL, NULL, e) : 0;
}

/* --- the whole --- */

static int (*const actions[LU_CALL_KINDS])(struct lu_replay *r, const struct lu_call *c, struct lu_error *e) = {
	[LU_CALL_OPEN_FILE] = do_open_file,
	[LU_CALL_MEMFD] = do_memfd,
	[LU_CALL_DUP] = do_dup,
	[LU_CALL_EVENTFD] = do_eventfd,
	[LU_CALL_OPEN_IOMMU] = do_open_iommu,
	[LU_CALL_OPEN_DEVICE] = do_open_device,
	[LU_CALL_IOAS] = do_ioas,
	[LU_CALL_DESTROY] = do_destroy,
	[LU_CALL_OPTION] = do_option,
	[LU_CALL_ALLOW] = do_allow,
	[LU_CALL_MAP] = do_map,
	[LU_CALL_BIND] = do_bind,
	[LU_CALL_HWPT] = do_hwpt,
	[LU_CALL_ATTACH] = do_attach,
	[LU_CALL_IRQS] = do_irqs,
	[LU_CALL_ADD] = do_add,
	[LU_CALL_OPEN_GROUP] = do_open_group,
	[LU_CALL_STAND_IN] = do_stand_in,
	[LU_CALL_SET_CONTAINER] = do_set_container,
	[LU_CALL_GET_DEVICE] = do_get_device,
};

int lu_replay_new(struct lu_replay **ret, const struct lu_devices *d, struct lu_calls *c,
		  const struct lu_replay_from *from, struct lu_error *e)
{
	_cleanup_(lu_replay_freep) struct lu_replay *r = NULL;
	int k = lu_calls_check(c, LU_CALLS_FILE, e);

	if (k < 0)
		return k;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->d = d;
	r->c = c;
	r->from = from;
	r->ops = from->ops ?: &lu_devices_kernel_ops;
	r->group = -1;
	r->fds = calloc(c->n_files + 1, sizeof(*r->fds));
	if (!r->fds)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->n_files; i++)
		r->fds[i] = -EBADF;
	k = lu_calls_match(d, c, &r->entries, e);
	if (k < 0)
		return k;
	*ret = steal_ptr(r);
	return 0;
}

/* Each result is one write(), so that a kernel that dies leaves whole ones. */
static void note(struct lu_replay *r, int result)
{
	struct lu_calls_outcome outcome = {
		.tsc = lu_stamp_now().tsc,
		.boot = r->from->boot,
		.call = (uint32_t)r->next + 1,
		.error = result,
		.id = r->id,
	};
	struct lu_calls_result record;

	if (r->from->log_fd < 0 || r->log_ends || r->c->end + sizeof(record) > LU_CALLS_FILE_MAX)
		return;
	lu_calls_encode_outcome(r->c, &outcome, &record);
	r->log_ends = write(r->from->log_fd, &record, sizeof(record)) != sizeof(record);
}

int lu_replay_run(struct lu_replay *r, struct lu_error *e)
{
	r->deadline = now_ms() + r->from->timeout_ms;
	for (; r->next < r->c->n; r->next++) {
		const struct lu_call *c = &r->c->list[r->next];
		int k;

		r->id = 0;
		k = actions[c->kind](r, c, e);
		note(r, k);
		if (k < 0)
			return k;
	}
	return 0;
}

bool lu_replay_holds_devices(const struct lu_replay *r)
{
	for (uint32_t i = 0; i < r->c->n_files; i++)
		if (lu_call_types[r->c->list[r->c->opened[i]].kind].makes == LU_CALL_DEVICE && r->fds[i] >= 0)
			return true;
	return false;
}

/* QEMU finds what it has of a group by the group's number, which it reads from sysfs. */
static bool is_of_group(const struct lu_replay *r, const struct lu_devices_fd *f)
{
	return r->group >= 0 && f->id == r->group_id &&
	       (!strcmp(f->name, LU_CPR_GROUP) || !strcmp(f->name, LU_CPR_CONTAINER));
}

int lu_replay_take(struct lu_replay *r, struct lu_cpr *ret)
{
	struct lu_cpr cpr = LU_CPR_INIT;

	if (r->next < r->c->n || r->taken)
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
		if (is_of_group(r, &r->d->fds[i]))
			cpr.fds[i].id = r->group;
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
		cpr.fds[i].fd = steal_fd(&r->fds[r->entries[i]]);
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
	for (uint32_t i = 0; r->fds && i < r->c->n_files; i++)
		closep(&r->fds[i]);
	free(r->fds);
	free(r->entries);
	free(r);
}
