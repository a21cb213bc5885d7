// SPDX-License-Identifier: GPL-2.0-or-later
/* See fake.h. */
#include <dirent.h>
#include <ftw.h>
#include <inttypes.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fake.h"

static const char *const nodes[] = { "/dev/zero", "/dev/full" };
static const unsigned int minors[] = { 5, 7 };

int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3; /* ".", ".." and the directory itself */
}

static bool fails(struct fake *f)
{
	return ++f->calls == f->fail_at;
}

static struct fake_file *file_of(struct fake *f, int fd)
{
	return fd >= 0 && fd < FAKE_FILES ? f->files[fd] : NULL;
}

static void rule(struct fake *f, bool kept, const char *text)
{
	if (!kept && !f->broken)
		f->broken = text;
}

/* --- iommufd --- */

static uint32_t new_object(struct fake *f, struct fake_file *u, uint32_t type)
{
	uint32_t id = 1;

	while (u->objects[id].type)
		id++;
	if (f->wrong_ids)
		id += 7;
	u->objects[id] = (struct fake_object){ .type = type };
	return id;
}

static struct fake_object *object(struct fake_file *u, uint32_t id, uint32_t type)
{
	return id < FAKE_OBJECTS && u->objects[id].type == type ? &u->objects[id] : NULL;
}

static int destroy(struct fake_file *u, uint32_t id)
{
	if (id >= FAKE_OBJECTS || !u->objects[id].type)
		return -ENOENT;
	if (u->objects[id].type == IOMMU_STATE_DEVICE)
		return -EBUSY;
	for (uint32_t i = 1; i < FAKE_OBJECTS; i++)
		if ((u->objects[i].type == IOMMU_STATE_DEVICE && u->objects[i].hwpt == id) ||
		    (u->objects[i].type == IOMMU_STATE_HWPT && u->objects[i].ioas == id))
			return -EBUSY;
	u->objects[id].type = 0;
	return 0;
}

static int map_file(struct fake *f, struct fake_file *u, const struct iommu_ioas_map_file *cmd)
{
	struct fake_object *o = object(u, cmd->ioas_id, IOMMU_STATE_IOAS);
	struct iommu_state_area a = {
		.head = { .type = IOMMU_STATE_AREA, .length = sizeof(a), .id = cmd->ioas_id },
		.iova = cmd->iova,
		.length = cmd->length,
		.offset = cmd->start,
		.prot = cmd->flags & (IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE),
		.kind = IOMMU_STATE_AREA_FILE,
	};
	struct stat st;
	size_t i = 0;

	if (!o || !(cmd->flags & IOMMU_IOAS_MAP_FIXED_IOVA) || !a.prot || o->n_areas == FAKE_AREAS)
		return -EINVAL;
	if (fstat(cmd->fd, &st) < 0)
		return -errno;
	rule(f, !o->populated, "mapped after a HWPT was made");
	a.dev = st.st_dev;
	a.inode = st.st_ino;
	while (i < o->n_areas && o->areas[i].iova + o->areas[i].length <= a.iova)
		i++;
	if (i < o->n_areas && a.iova + a.length > o->areas[i].iova)
		return -EEXIST;
	memmove(&o->areas[i + 1], &o->areas[i], (o->n_areas - i) * sizeof(a));
	o->areas[i] = a;
	o->n_areas++;
	return 0;
}

static int alloc_hwpt(struct fake *f, struct fake_file *u, struct iommu_hwpt_alloc *cmd)
{
	if (!object(u, cmd->dev_id, IOMMU_STATE_DEVICE) || !object(u, cmd->pt_id, IOMMU_STATE_IOAS))
		return -ENOENT;
	cmd->out_hwpt_id = new_object(f, u, IOMMU_STATE_HWPT);
	u->objects[cmd->out_hwpt_id].ioas = cmd->pt_id;
	u->objects[cmd->out_hwpt_id].flags = cmd->flags;
	u->objects[cmd->pt_id].populated = true;
	return 0;
}

static void put(unsigned char *to, size_t *n, const void *record, size_t size)
{
	memcpy(to + *n, record, size);
	*n += size;
}

static int tell_state(struct fake *f, struct fake_file *u, struct iommu_state *cmd)
{
	static unsigned char buf[1 << 20];
	size_t n = 0;

	if (f->mute)
		return -ENOTTY;
	for (uint32_t id = 1; id < FAKE_OBJECTS; id++) {
		const struct fake_object *o = &u->objects[id];
		struct iommu_state_head head = { .type = o->type, .id = id };

		if (o->type == IOMMU_STATE_DEVICE) {
			struct iommu_state_device r = { head, .hwpt_id = o->hwpt, .devfn = (__u8)((4 + o->slot) << 3) };

			r.head.length = sizeof(r);
			r.head.flags = IOMMU_STATE_DEVICE_PCI;
			put(buf, &n, &r, sizeof(r));
		} else if (o->type == IOMMU_STATE_HWPT) {
			struct iommu_state_hwpt r = { head, .ioas_id = o->ioas, .alloc_flags = o->flags };

			r.head.length = sizeof(r);
			r.head.flags = o->auto_made ? IOMMU_STATE_HWPT_AUTO : 0;
			put(buf, &n, &r, sizeof(r));
		} else if (o->type == IOMMU_STATE_IOAS) {
			head.length = sizeof(head);
			head.flags = o->no_huge_pages ? IOMMU_STATE_IOAS_NO_HUGE_PAGES : 0;
			put(buf, &n, &head, sizeof(head));
			put(buf, &n, o->areas, o->n_areas * sizeof(o->areas[0]));
			for (size_t i = 0; i < o->n_allowed; i++) {
				struct iommu_state_allowed r = { .start = o->allowed[i].start,
								 .last = o->allowed[i].last };

				r.head = (struct iommu_state_head){ IOMMU_STATE_ALLOWED, sizeof(r), id, 0 };
				put(buf, &n, &r, sizeof(r));
			}
		}
	}
	/* as if there were much more: the first room never is enough */
	while (n < 20000) {
		struct iommu_state_head pad = { 99, 1024, 0, IOMMU_STATE_OPTIONAL };

		memset(buf + n, 0, 1024);
		memcpy(buf + n, &pad, sizeof(pad));
		n += 1024;
	}
	if (cmd->length < n) {
		cmd->length = (uint32_t)n;
		return -EMSGSIZE;
	}
	cmd->length = (uint32_t)n;
	memcpy((void *)(uintptr_t)cmd->records, buf, n);
	return 0;
}

static int allow(struct fake_file *u, const struct iommu_ioas_allow_iovas *cmd)
{
	struct fake_object *o = object(u, cmd->ioas_id, IOMMU_STATE_IOAS);

	if (!o || cmd->num_iovas > ARRAY_SIZE(o->allowed))
		return -EINVAL;
	memcpy(o->allowed, (void *)(uintptr_t)cmd->allowed_iovas, cmd->num_iovas * sizeof(o->allowed[0]));
	o->n_allowed = cmd->num_iovas;
	return 0;
}

static int set_option(const struct fake *f, struct fake_file *u, struct iommu_option *cmd)
{
	struct fake_object *o = object(u, cmd->object_id, IOMMU_STATE_IOAS);

	if (cmd->option_id == IOMMU_OPTION_RLIMIT_MODE && cmd->op == IOMMU_OPTION_OP_SET && !cmd->object_id) {
		for (uint32_t i = 1; i < FAKE_OBJECTS; i++)
			if (u->objects[i].type)
				return -EBUSY;
		u->by_process = cmd->val64;
		return 0;
	}
	if (cmd->option_id == IOMMU_OPTION_RLIMIT_MODE && cmd->op == IOMMU_OPTION_OP_GET && !cmd->object_id) {
		cmd->val64 = u->by_process;
		return f->old ? -EOPNOTSUPP : 0;
	}
	if (!o || cmd->option_id != IOMMU_OPTION_HUGE_PAGES || cmd->op != IOMMU_OPTION_OP_SET)
		return -EINVAL;
	o->no_huge_pages = !cmd->val64;
	return 0;
}

/* --- vfio --- */

static int bind(struct fake *f, struct fake_file *v, struct vfio_device_bind_iommufd *cmd)
{
	struct fake_file *u = file_of(f, cmd->iommufd);

	if (cmd->argsz < 16 || cmd->flags || !u || !u->iommufd || v->bound_to >= 0)
		return -EINVAL;
	v->bound_to = cmd->iommufd;
	v->devid = cmd->out_devid = new_object(f, u, IOMMU_STATE_DEVICE);
	u->objects[v->devid].slot = v->slot;
	return 0;
}

static int attach(struct fake *f, struct fake_file *v, struct vfio_device_attach_iommufd_pt *cmd)
{
	struct fake_file *u = file_of(f, v->bound_to);
	uint32_t id = cmd->pt_id;

	if (cmd->argsz < 12 || cmd->flags || !u || f->refuse_attach)
		return -EINVAL;
	if (object(u, id, IOMMU_STATE_IOAS)) {
		uint32_t ioas = id;

		for (id = 1; id < FAKE_OBJECTS; id++)
			if (object(u, id, IOMMU_STATE_HWPT) && u->objects[id].auto_made && u->objects[id].ioas == ioas)
				break;
		if (id == FAKE_OBJECTS) {
			id = new_object(f, u, IOMMU_STATE_HWPT);
			u->objects[id].ioas = ioas;
			u->objects[id].auto_made = true;
			u->objects[ioas].populated = true;
		}
	} else if (!object(u, id, IOMMU_STATE_HWPT)) {
		return -ENOENT;
	}
	u->objects[v->devid].hwpt = id;
	cmd->pt_id = id + f->wrong_table;
	return 0;
}

static bool is_attached(struct fake *f, const struct fake_file *v)
{
	struct fake_file *u = file_of(f, v->bound_to);

	return u && u->objects[v->devid].hwpt;
}

static int set_irqs(struct fake *f, struct fake_file *v, const struct vfio_irq_set *set)
{
	uint32_t action = set->flags & ~(uint32_t)VFIO_IRQ_SET_DATA_EVENTFD;
	int fds[FAKE_VECTORS];

	rule(f, is_attached(f, v), "interrupts of a device that is not attached");
	if (!(set->flags & VFIO_IRQ_SET_DATA_EVENTFD) || set->start || set->count == 0 || set->count > FAKE_VECTORS ||
	    set->argsz != sizeof(*set) + set->count * sizeof(int32_t))
		return -EINVAL;
	memcpy(fds, set->data, set->count * sizeof(int32_t));
	if (action == VFIO_IRQ_SET_ACTION_UNMASK && set->index == VFIO_PCI_INTX_IRQ_INDEX && v->index == 0) {
		v->unmask = fds[0];
		return 0;
	}
	if (action != VFIO_IRQ_SET_ACTION_TRIGGER)
		return -ENOTTY;
	if (set->index >= VFIO_PCI_ERR_IRQ_INDEX) {
		v->single[set->index] = fds[0];
		return 0;
	}
	if (v->index >= 0)
		return -EINVAL;
	v->index = (int)set->index;
	v->n_vectors = (int)set->count;
	memcpy(v->triggers, fds, sizeof(fds));
	return 0;
}

static int eventfd_id(int fd)
{
	_cleanup_free_ char *text = NULL;
	char path[64], *p;

	if (fd < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (lu_read_file(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return -2;
	p = strstr(text, "eventfd-id:");
	return p ? atoi(p + 11) : -2;
}

static int probe(const struct fake *f, const struct vfio_device_feature *feature)
{
	return (feature->flags & 0xffff) == f->can ? 0 : -ENOTTY;
}

static int tell_irqs(struct fake *f, const struct fake_file *v, struct vfio_device_feature *feature)
{
	struct vfio_device_irq irqs[FAKE_VECTORS + 2];
	struct vfio_device_feature_irqs *to = (void *)feature->data;
	uint32_t n = 0, more = to->room <= 64 ? 65 : 0; /* the first room never is enough */

	if (f->mute)
		return -ENOTTY;
	if (feature->flags != (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_IRQS) ||
	    feature->argsz < sizeof(*feature) + sizeof(*to) + to->room * sizeof(irqs[0]))
		return -EINVAL;
	for (int i = 0; v->index >= 0 && i < v->n_vectors; i++)
		irqs[n++] = (struct vfio_device_irq){ (__u32)v->index,      (__u32)i, 0, eventfd_id(v->triggers[i]), -1,
						      eventfd_id(v->unmask) };
	for (__u32 i = VFIO_PCI_ERR_IRQ_INDEX; i < VFIO_PCI_NUM_IRQS; i++)
		if (v->single[i] >= 0)
			irqs[n++] = (struct vfio_device_irq){ i, 0, 0, eventfd_id(v->single[i]), -1, -1 };
	to->count = n + more;
	if (to->room < to->count)
		return -ENOSPC;
	memcpy(to->irqs, irqs, n * sizeof(irqs[0]));
	return 0;
}

/* --- a container of vfio's old interface, for which an iommufd stands in --- */

static int stand_in(const struct fake *f, struct fake_file *u, struct iommu_vfio_ioas *cmd)
{
	if (cmd->op == IOMMU_VFIO_IOAS_SET) {
		if (!object(u, cmd->ioas_id, IOMMU_STATE_IOAS))
			return -ENOENT;
		u->stands_in = cmd->ioas_id;
		return 0;
	}
	cmd->ioas_id = u->stands_in ?: f->compat ? 4 : 0;
	return cmd->ioas_id ? 0 : -ENODEV;
}

static int set_container(struct fake *f, struct fake_file *group, const int32_t *fd)
{
	struct fake_file *u = file_of(f, *fd);

	if (!u || !u->iommufd || group->container)
		return -EINVAL;
	rule(f, u->stands_in, "a group in a container whose IOAS the kernel would make");
	group->container = *fd;
	return 0;
}

static int get_device(struct fake *f, struct fake_file *group, const char *bdf)
{
	struct vfio_device_bind_iommufd to = { .argsz = 16, .iommufd = group->container };
	struct vfio_device_attach_iommufd_pt at = { .argsz = 12 };
	struct fake_file *u = file_of(f, group->container);
	int fd;

	if (!u || strcmp(bdf, "0000:00:04.0") != 0)
		return u ? -ENODEV : -EINVAL;
	if (f->refuse_attach)
		return -EINVAL;
	fd = fake_open_device(f, 0);
	at.pt_id = u->stands_in;
	assert_int_equal(bind(f, f->files[fd], &to), 0);
	assert_int_equal(attach(f, f->files[fd], &at), 0);
	return fd;
}

/* --- the table --- */

static int fake_ioctl(void *context, int fd, unsigned long request, void *arg)
{
	struct fake *f = context;
	struct fake_file *file = file_of(f, fd);

	if (fails(f))
		return -EIO;
	if (!file)
		return -EBADF;
	if (request == VFIO_GROUP_GET_DEVICE_FD && f->busy && f->busy--)
		return -EBUSY;
	if (file->group)
		return request == VFIO_GROUP_SET_CONTAINER ? set_container(f, file, arg) :
		       request == VFIO_GROUP_GET_DEVICE_FD ? get_device(f, file, arg) :
							     -ENOTTY;
	if (file->iommufd) {
		switch (request) {
		case IOMMU_IOAS_ALLOC:
			((struct iommu_ioas_alloc *)arg)->out_ioas_id = new_object(f, file, IOMMU_STATE_IOAS);
			return 0;
		case IOMMU_DESTROY:
			return destroy(file, ((struct iommu_destroy *)arg)->id);
		case IOMMU_OPTION:
			return set_option(f, file, arg);
		case IOMMU_VFIO_IOAS:
			return f->old ? -ENOTTY : stand_in(f, file, arg);
		case IOMMU_IOAS_ALLOW_IOVAS:
			return allow(file, arg);
		case IOMMU_IOAS_MAP_FILE:
			return map_file(f, file, arg);
		case IOMMU_HWPT_ALLOC:
			return alloc_hwpt(f, file, arg);
		case IOMMU_STATE:
			return tell_state(f, file, arg);
		}
		return -ENOTTY;
	}
	switch (request) {
	case VFIO_DEVICE_BIND_IOMMUFD:
		return bind(f, file, arg);
	case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		if (f->busy && f->busy--)
			return -EBUSY;
		return attach(f, file, arg);
	case VFIO_DEVICE_SET_IRQS:
		return set_irqs(f, file, arg);
	case VFIO_DEVICE_FEATURE:
		if (((struct vfio_device_feature *)arg)->flags & VFIO_DEVICE_FEATURE_PROBE)
			return probe(f, arg);
		return tell_irqs(f, file, arg);
	}
	return -ENOTTY;
}

static int fake_open_node(void *context, int dev_fd, const char *path, dev_t *ret_device)
{
	struct fake *f = context;
	int fd, slot = -1, group = -1;

	if (fails(f))
		return -EIO;
	if (sscanf(path, "vfio/%d", &group) == 1) {
		fd = group == f->group ? fake_open_group(f) : -ENOENT;
		*ret_device = makedev(1, 8);
		return fd;
	}
	if (strcmp(path, "iommu") != 0 && f->missing && f->missing--)
		return -ENOENT;
	if (strcmp(path, "iommu") != 0 && sscanf(path, "vfio/devices/vfio%d", &slot) != 1)
		return -ENOENT;
	fd = slot < 0 ? fake_open_iommufd(f) : fake_open_device(f, slot);
	*ret_device = makedev(1, slot < 0 ? 3 : minors[f->wrong_node ? !slot : slot]);
	return fd;
}

static int fake_eventfd(void *context, int flags)
{
	return fails(context) ? -EIO : eventfd(0, flags);
}

static int fake_add(void *context, int fd, uint64_t count)
{
	if (fails(context))
		return -EIO;
	return write(fd, &count, sizeof(count)) == sizeof(count) ? 0 : -errno;
}

static struct fake_file *new_file(struct fake *f, int fd)
{
	assert_true(fd >= 0 && fd < FAKE_FILES);
	/* not calloc(), which tests let fail; there may be one, of a file that was closed */
	f->files[fd] = realloc(f->files[fd], sizeof(*f->files[fd]));
	assert_non_null(f->files[fd]);
	return memset(f->files[fd], 0, sizeof(*f->files[fd]));
}

int fake_open_iommufd(struct fake *f)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	new_file(f, fd)->iommufd = true;
	return fd;
}

int fake_open_group(struct fake *f)
{
	int fd = open("/dev/random", O_RDWR | O_CLOEXEC);

	new_file(f, fd)->group = true;
	return fd;
}

int fake_open_device(struct fake *f, int slot)
{
	int fd = open(nodes[slot], O_RDWR | O_CLOEXEC);

	*new_file(f, fd) = (struct fake_file){ .slot = slot, .bound_to = -1, .index = -1, .unmask = -1 };
	for (int i = 0; i < VFIO_PCI_NUM_IRQS; i++)
		f->files[fd]->single[i] = -1;
	return fd;
}

void fake_forget(struct fake *f)
{
	for (int i = 0; i < FAKE_FILES; i++) {
		free(f->files[i]);
		f->files[i] = NULL;
	}
	f->calls = f->fail_at = 0;
}

void fake_write(struct fake *f, const char *path, const char *text)
{
	char whole[256], *slash;

	snprintf(whole, sizeof(whole), "%s/%s", f->dir, path);
	slash = strrchr(whole, '/');
	*slash = '\0';
	assert_int_equal(lu_mkdir_p(AT_FDCWD, whole, 0700), 0);
	*slash = '/';
	assert_int_equal(lu_write_file(AT_FDCWD, whole, text, strlen(text), 0600), 0);
}

void fake_link(struct fake *f, const char *path, const char *to)
{
	char whole[256];

	fake_write(f, path, ""); /* makes the directories */
	snprintf(whole, sizeof(whole), "%s/%s", f->dir, path);
	assert_int_equal(unlink(whole), 0);
	assert_int_equal(symlink(to, whole), 0);
}

static int open_below(struct fake *f, const char *path)
{
	char whole[256];
	int fd;

	snprintf(whole, sizeof(whole), "%s/%s", f->dir, path);
	assert_int_equal(lu_mkdir_p(AT_FDCWD, whole, 0700), 0);
	fd = open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

struct fake *fake_new(void)
{
	struct fake *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->ops = (struct lu_devices_ops){
		.context = f, .ioctl = fake_ioctl, .open_node = fake_open_node, .eventfd = fake_eventfd, .add = fake_add
	};
	assert_non_null(test_mkdtemp(f->dir));
	fake_link(f, "sys/dev/char/1:3", "../../devices/virtual/misc/iommu");
	for (int i = 0; i < 2; i++) {
		char path[128], text[128];

		snprintf(path, sizeof(path), "sys/dev/char/1:%u", minors[i]);
		snprintf(text, sizeof(text), "../../devices/pci0000:00/0000:00:0%d.0/vfio-dev/vfio%d", 4 + i, i);
		fake_link(f, path, text);
		snprintf(path, sizeof(path), "sys/bus/pci/devices/0000:00:0%d.0/vfio-dev/vfio%d/dev", 4 + i, i);
		snprintf(text, sizeof(text), "1:%u\n", minors[i]);
		fake_write(f, path, text);
		snprintf(path, sizeof(path), "sys/bus/pci/devices/0000:00:0%d.0/pkeep_state", 4 + i);
		fake_write(f, path, "inherited\n");
		snprintf(path, sizeof(path), "sys/bus/pci/devices/0000:00:0%d.0/iommu_group", 4 + i);
		snprintf(text, sizeof(text), "../../../kernel/iommu_groups/%d", 4 + i);
		fake_link(f, path, text);
	}
	fake_link(f, "sys/dev/char/1:8", "../../devices/virtual/mem/random");
	f->group = -1;
	fake_link(f, "sys/dev/char/1:9", "../../devices/virtual/misc/vfio");
	snprintf(f->pkernfs, sizeof(f->pkernfs), "%s/pkernfs", f->dir);
	f->sys_fd = open_below(f, "sys");
	f->pkernfs_fd = open_below(f, "pkernfs");
	f->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->proc_fd >= 0);
	return f;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	return remove(path);
}

void fake_free(struct fake *f)
{
	fake_forget(f);
	closep(&f->sys_fd);
	closep(&f->pkernfs_fd);
	closep(&f->proc_fd);
	nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
}
