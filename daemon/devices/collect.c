// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From open files to facts: the half of collecting that asks the kernel. Each file of the CPR state is
 * looked at and nothing is changed by that; what the answers mean is compose.c's business.
 *
 *	what /proc/self/fd and stat() say			then
 *	anon_inode:[eventfd]					fdinfo: id, count, flags
 *	character device, misc/iommu in /sys/dev/char		IOMMU_STATE, and what it does not tell (unseen.c)
 *	…, <BDF>/vfio-dev/vfioN					VFIO_DEVICE_FEATURE_IRQS, IOMMU group, likewise
 *	regular file in pkernfs					path, inode, size
 *	regular file, memfd in tmpfs				name, inode, size
 *	anything else						refused by name
 *
 * QEMU gets back what is its own, and no more than it had: root opens these files for it in the next kernel. So
 * a descriptor must be open for what it will be opened for again, which O_PATH and read-only ones are not, and a file in
 * pkernfs must be RAM of this VM, or lie in ram/NAME/ and be of QEMU's user. QEMU's word for its RAM files
 * counts only if its user may write them and no other VM has them.
 *
 * A count of an eventfd is taken from fdinfo since read() would take it away, and going back to the old
 * kernel's VM must stay possible. A path is believed only if it leads to the inode that is open.
 *
 * A page of memory in which the machine has reported an error can't be given to a device anew (EHWPOISON), so the next
 * kernel could not make its table. Guests' memory was looked through for such pages before the pause, which takes too long
 * now; if there are more in pkernfs by now than there were then, that no longer holds.
 *
 * The kernel is asked again when an answer did not fit, a few times: the VM stands still, so a list
 * that grows all the time is an error.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "launch.h"
#include "devices-internal.h"

#define TRIES 8
#define RECORDS_MAX (64U << 20)
#define IRQS_MAX 65536U
#define HUGETLBFS_TYPE 0x958458f6

#define HINT_KERNEL "boot a kernel with the patches for passed-through devices"

/* --- one file --- */

struct collect {
	const struct lu_collect_from *from;
	const struct lu_devices_ops *ops;
	uint64_t pkernfs_dev;
	struct lu_error *e;
};

/* readlink() into a new string; -ENAMETOOLONG rather than a part */
static int read_link(int dir_fd, const char *path, char **ret)
{
	char text[4097];
	ssize_t n = readlinkat(dir_fd, path, text, sizeof(text));

	if (n < 0)
		return -errno;
	if ((size_t)n == sizeof(text))
		return -ENAMETOOLONG;
	*ret = strndup(text, (size_t)n);
	return *ret ? 0 : -ENOMEM;
}

/* "NAME:" at the start of a line of fdinfo, its value in @base */
static int info_value(const char *text, const char *name, int base, uint64_t *ret)
{
	size_t n = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		char *end;

		if (strncmp(line, name, n) != 0 || line[n] != ':')
			continue;
		errno = 0;
		*ret = strtoull(line + n + 1, &end, base);
		return errno || end == line + n + 1 || (*end != '\n' && *end) ? -EBADMSG : 0;
	}
	return -ENOENT;
}

static int look_at_eventfd(struct collect *c, const struct lu_cpr_fd *f, struct lu_fd_facts *facts)
{
	_cleanup_free_ char *text = NULL;
	uint64_t id = 0, flags = 0, semaphore = 0;
	char path[48];
	int r;

	facts->kind = LU_FD_EVENTFD;
	snprintf(path, sizeof(path), "self/fdinfo/%d", f->fd);
	r = lu_read_file(c->from->proc_fd, path, 65536, &text, NULL);
	if (r == 0)
		r = info_value(text, "eventfd-id", 10, &id);
	if (r == 0)
		r = info_value(text, "eventfd-count", 16, &facts->eventfd.count);
	if (r == 0)
		r = info_value(text, "flags", 8, &flags);
	if (r == 0 && info_value(text, "eventfd-semaphore", 10, &semaphore) == -EBADMSG)
		r = -EBADMSG;
	if (r == 0 && id > INT32_MAX)
		r = -EBADMSG;
	if (r < 0)
		return lu_error_set(c->e, r, NULL, "file %s of QEMU: its /proc/%s: %s", f->name, path, strerror(-r));
	facts->eventfd_id = (int)id;
	facts->eventfd.nonblock = flags & O_NONBLOCK;
	facts->eventfd.semaphore = semaphore != 0;
	return 0;
}

int lu_iommufd_ask(const struct lu_devices_ops *ops, int fd, const char *name, unsigned char **ret, size_t *ret_length,
		   struct lu_error *e)
{
	_cleanup_free_ unsigned char *records = NULL;
	uint32_t room = 16384;
	int r = -EMSGSIZE;

	for (int i = 0; i < TRIES && (r == -EMSGSIZE || r == -EBUSY); i++) {
		struct iommu_state s = { .size = sizeof(s), .length = room };

		free(records);
		records = malloc(room);
		if (!records)
			return -ENOMEM;
		s.records = (uintptr_t)records;
		r = ops->ioctl(ops->context, fd, IOMMU_STATE, &s);
		if (r == -EMSGSIZE && (s.length <= room || s.length > RECORDS_MAX))
			break;
		if (r == -EMSGSIZE)
			room = s.length;
		if (r >= 0 && s.length > room)
			r = -EBADMSG;
		if (r >= 0)
			*ret_length = s.length;
	}
	if (r == -ENOTTY)
		return lu_error_set(e, -EOPNOTSUPP, HINT_KERNEL,
				    "%s: the kernel can't tell what is set up in an iommufd", name);
	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: asking the kernel what is set up in it: %s", name, strerror(-r));
	*ret = steal_ptr(records);
	return 0;
}

static int refuse_legacy(struct collect *c, const struct lu_cpr_fd *f, const char *link)
{
	return lu_error_set(c->e, -EOPNOTSUPP, "give QEMU -object iommufd and the device iommufd=",
			    "file %s of QEMU: %s is a container or group of vfio's old interface", f->name, link);
}

static int look_at_iommufd(struct collect *c, const struct lu_cpr_fd *f, const char *link, struct lu_fd_facts *facts)
{
	bool container = !strcmp(f->name, LU_CPR_CONTAINER);
	int r = lu_iommufd_unseen(c->ops, f->fd, f->name, container, &facts->unseen, c->e);

	facts->kind = LU_FD_IOMMUFD;
	if (r >= 0 && container && !facts->unseen.stands_in)
		return refuse_legacy(c, f, link);
	return r < 0 ? r : lu_iommufd_ask(c->ops, f->fd, f->name, &facts->records, &facts->length, c->e);
}

static int ask_irqs(struct collect *c, const struct lu_cpr_fd *f, struct lu_fd_facts *facts)
{
	uint32_t room = 64;
	int r = -ENOSPC;

	for (int i = 0; i < TRIES && r == -ENOSPC; i++) {
		size_t size = sizeof(struct vfio_device_feature) + sizeof(struct vfio_device_feature_irqs) +
			      room * sizeof(struct vfio_device_irq);
		_cleanup_free_ struct vfio_device_feature *feature = calloc(1, size);
		struct vfio_device_feature_irqs head = { .room = room };

		if (!feature)
			return -ENOMEM;
		feature->argsz = (uint32_t)size;
		feature->flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_IRQS;
		memcpy(feature->data, &head, sizeof(head));
		r = c->ops->ioctl(c->ops->context, f->fd, VFIO_DEVICE_FEATURE, feature);
		memcpy(&head, feature->data, sizeof(head));
		if (r == -ENOSPC && (head.count <= room || head.count > IRQS_MAX))
			break;
		if (r == -ENOSPC)
			room = head.count;
		if (r >= 0 && head.count > room)
			r = -EBADMSG;
		if (r >= 0 && head.count) {
			facts->irqs = calloc(head.count, sizeof(*facts->irqs));
			if (!facts->irqs)
				return -ENOMEM;
			facts->n_irqs = head.count;
			memcpy(facts->irqs, feature->data + sizeof(head), head.count * sizeof(*facts->irqs));
		}
	}
	if (r == -ENOTTY)
		return lu_error_set(c->e, -EOPNOTSUPP, HINT_KERNEL,
				    "device %s: the kernel can't tell how its interrupts are set up", facts->bdf);
	if (r < 0)
		return lu_error_set(c->e, r, NULL, "device %s: asking the kernel for its interrupts: %s", facts->bdf,
				    strerror(-r));
	return 0;
}

static int find_group(struct collect *c, struct lu_fd_facts *facts)
{
	_cleanup_free_ char *link = NULL;
	char path[64], *end;
	unsigned long group;
	int r;

	snprintf(path, sizeof(path), "bus/pci/devices/%s/iommu_group", facts->bdf);
	facts->group = -1;
	r = read_link(c->from->sys_fd, path, &link);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return lu_error_set(c->e, r, NULL, "device %s: its IOMMU group: %s", facts->bdf, strerror(-r));
	end = strrchr(link, '/');
	errno = 0;
	group = strtoul(end ? end + 1 : link, &end, 10);
	if (errno || *end || group > INT32_MAX)
		return lu_error_set(c->e, -EBADMSG, NULL, "device %s: its IOMMU group is \"%s\"", facts->bdf, link);
	facts->group = (int)group;
	return 0;
}

/* The name of a component of a path, counted from its end; its length, 0 (and an empty name) if there is none. */
static size_t component(const char *path, unsigned int from_end, const char **ret)
{
	const char *end = path + strlen(path);

	for (;;) {
		const char *start = end;

		while (start > path && start[-1] != '/')
			start--;
		if (from_end-- == 0) {
			*ret = start;
			return (size_t)(end - start);
		}
		if (start == path) {
			*ret = "";
			return 0;
		}
		end = start - 1;
	}
}

static bool component_is(const char *path, unsigned int from_end, const char *name)
{
	const char *s;
	size_t n = component(path, from_end, &s);

	return n == strlen(name) && !strncmp(s, name, n);
}

/* A device that came from its group: QEMU calls it by its address. Which one it is has no other name that can be asked for. */
static int look_at_device(struct collect *c, const struct lu_cpr_fd *f, struct lu_fd_facts *facts)
{
	int r = find_group(c, facts);

	facts->kind = LU_FD_VFIO_DEVICE;
	if (r >= 0)
		r = lu_device_unseen(c->ops, c->from->sys_fd, f->fd, facts->bdf, c->e);
	return r < 0 ? r : ask_irqs(c, f, facts);
}

static int look_at_group_device(struct collect *c, const struct lu_cpr_fd *f, struct lu_fd_facts *facts)
{
	if (!lu_bdf_valid(f->name))
		return lu_error_set(c->e, -EOPNOTSUPP, "name it by host= on QEMU's command line",
				    "file %s of QEMU: a device of a group that is not named by its address", f->name);
	snprintf(facts->bdf, sizeof(facts->bdf), "%s", f->name);
	facts->by_group = true;
	return look_at_device(c, f, facts);
}

/* /dev/vfio/vfio is an iommufd in a kernel with CONFIG_IOMMUFD_VFIO_CONTAINER */
static bool is_stand_in(struct collect *c, const struct lu_cpr_fd *f, const char *where)
{
	struct iommu_vfio_ioas get = { .size = sizeof(get), .op = IOMMU_VFIO_IOAS_GET };

	return component_is(where, 0, "vfio") && component_is(where, 1, "misc") &&
	       c->ops->ioctl(c->ops->context, f->fd, IOMMU_VFIO_IOAS, &get) >= 0;
}

static int look_at_node(struct collect *c, const struct lu_cpr_fd *f, dev_t device, const char *link,
			struct lu_fd_facts *facts)
{
	_cleanup_free_ char *where = NULL;
	char path[64];
	const char *s = "";
	size_t n;
	int r;

	snprintf(path, sizeof(path), "dev/char/%u:%u", major(device), minor(device));
	r = read_link(c->from->sys_fd, path, &where);
	if (r < 0)
		return lu_error_set(c->e, r, NULL, "file %s of QEMU (%s): /sys/%s: %s", f->name, link, path,
				    strerror(-r));
	if (component_is(where, 0, "iommu") && component_is(where, 1, "misc"))
		return look_at_iommufd(c, f, link, facts);
	if (is_stand_in(c, f, where))
		return look_at_iommufd(c, f, link, facts);
	if (component_is(where, 1, "vfio-dev")) {
		n = component(where, 2, &s);
		if (n > 0 && n < sizeof(facts->bdf))
			memcpy(facts->bdf, s, n);
		if (!lu_bdf_valid(facts->bdf))
			return lu_error_set(c->e, -EOPNOTSUPP, NULL,
					    "file %s of QEMU: the device %.*s is no PCI function", f->name, (int)n, s);
		return look_at_device(c, f, facts);
	}
	if (component_is(where, 1, "vfio") && !strcmp(f->name, LU_CPR_GROUP) && component(where, 0, &s) > 0 &&
	    sscanf(s, "%d", &facts->group) == 1 && facts->group >= 0) {
		facts->kind = LU_FD_VFIO_GROUP;
		return 0;
	}
	if (strstr(where, "vfio"))
		return refuse_legacy(c, f, link);
	return lu_error_set(c->e, -EOPNOTSUPP, NULL,
			    "file %s of QEMU: %s is a device that can't be opened again for it", f->name, link);
}

/* What is below the mount point of pkernfs, or NULL */
static const char *below(const struct collect *c, const char *path)
{
	size_t n = strlen(c->from->pkernfs);

	return strncmp(path, c->from->pkernfs, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

static bool is_ram(const struct collect *c, const struct stat *st)
{
	for (size_t i = 0; i < c->from->launch->n_ram; i++)
		if (c->from->launch->ram[i].inode == st->st_ino)
			return true;
	return false;
}

/* In ram/NAME/, and of the user that QEMU runs as. */
static bool is_own(const struct collect *c, const char *path, const struct stat *st)
{
	const struct lu_launch *l = c->from->launch;
	size_t n = strlen(l->name);

	return st->st_uid == l->uid && !strncmp(path, "ram/", 4) && !strncmp(path + 4, l->name, n) &&
	       path[4 + n] == '/';
}

/* @object: what it is called in the error */
static int check_owner(struct collect *c, const char *object, const char *path, const struct stat *st)
{
	const char *other = c->from->other ? c->from->other(c->from->other_context, path, st) : NULL;

	if (other)
		return lu_error_set(c->e, -EPERM, "start the VM with memory of its own",
				    "%s: %s in pkernfs belongs to VM %s", object, path, other);
	return 0;
}

static int check_file(struct collect *c, const struct lu_cpr_fd *f, const char *path, const struct stat *st)
{
	char object[LU_CPR_NAME_MAX + 32];
	int r;

	snprintf(object, sizeof(object), "file %s of QEMU", f->name);
	r = check_owner(c, object, path, st);
	if (r < 0 || is_ram(c, st) || is_own(c, path, st))
		return r;
	return lu_error_set(c->e, -EPERM, "start the VM with memory of its own",
			    "%s: %s in pkernfs is not memory of this VM", object, path);
}

static int look_at_memory(struct collect *c, const struct lu_cpr_fd *f, const struct stat *st, const char *link,
			  struct lu_fd_facts *facts)
{
	static const char memfd[] = "/memfd:", fetched[] = "/ (deleted)", deleted[] = " (deleted)";
	const char *path = below(c, link);
	struct statfs fs;
	struct stat st2;
	size_t n;

	facts->kind = LU_FD_MEMORY;
	facts->dev = st->st_dev;
	facts->inode = st->st_ino;
	facts->size = (uint64_t)st->st_size;
	if (st->st_dev == c->pkernfs_dev) {
		if (!path || fstatat(c->from->pkernfs_fd, path, &st2, AT_SYMLINK_NOFOLLOW) < 0 ||
		    st2.st_ino != st->st_ino || st2.st_dev != st->st_dev)
			return lu_error_set(c->e, -EOPNOTSUPP, NULL,
					    "file %s of QEMU: %s is no longer to be found in pkernfs", f->name, link);
		facts->path = strdup(path);
		return facts->path ? check_file(c, f, path, st) : -ENOMEM;
	}
	/* one that came over an earlier jump has no name (mm/memfd_luo.c: shmem_file_setup("")) */
	if (strncmp(link, memfd, sizeof(memfd) - 1) != 0 && strcmp(link, fetched) != 0)
		return lu_error_set(c->e, -EOPNOTSUPP, "put the VM's memory into pkernfs",
				    "file %s of QEMU: %s does not outlive the kernel", f->name, link);
	if (fstatfs(f->fd, &fs) < 0)
		return lu_error_set(c->e, -errno, NULL, "file %s of QEMU: %s: %s", f->name, link, strerror(errno));
	if ((unsigned long)fs.f_type == HUGETLBFS_TYPE)
		return lu_error_set(c->e, -EOPNOTSUPP, "put the VM's memory into pkernfs",
				    "file %s of QEMU: %s is memory of huge pages, which does not outlive the kernel",
				    f->name, link);
	link += strcmp(link, fetched) ? sizeof(memfd) - 1 : 1;
	n = strlen(link);
	if (n >= sizeof(deleted) - 1 && !strcmp(link + n - (sizeof(deleted) - 1), deleted))
		n -= sizeof(deleted) - 1;
	facts->memfd_name = strndup(link, n);
	if (!facts->memfd_name)
		return -ENOMEM;
	/* for people only, but the document must be UTF-8 */
	for (char *p = facts->memfd_name; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
			*p = '?';
	return 0;
}

/* It is opened for reading and writing again, by root: so QEMU must have it open like that. */
static int check_mode(struct collect *c, const struct lu_cpr_fd *f, const char *link)
{
	int flags = fcntl(f->fd, F_GETFL);

	if (flags < 0)
		return lu_error_set(c->e, -errno, NULL, "file %s of QEMU: %s: %s", f->name, link, strerror(errno));
	if (flags & O_PATH)
		return lu_error_set(c->e, -EPERM, NULL,
				    "file %s of QEMU: %s is only a place (O_PATH), not an open file", f->name, link);
	if ((flags & O_ACCMODE) != O_RDWR)
		return lu_error_set(c->e, -EPERM, NULL, "file %s of QEMU: %s is not open for reading and writing",
				    f->name, link);
	return 0;
}

static int look_at(struct collect *c, const struct lu_cpr_fd *f, struct lu_fd_facts *facts)
{
	_cleanup_free_ char *link = NULL;
	struct stat st;
	char path[48];
	int r;

	snprintf(path, sizeof(path), "self/fd/%d", f->fd);
	if (f->fd < 0 || fstat(f->fd, &st) < 0)
		return lu_error_set(c->e, -EBADF, NULL, "file %s of QEMU: is not open", f->name);
	r = read_link(c->from->proc_fd, path, &link);
	if (r < 0)
		return lu_error_set(c->e, r, NULL, "file %s of QEMU: /proc/%s: %s", f->name, path, strerror(-r));
	for (char *p = link; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = '?';
	if (!strcmp(link, "anon_inode:[eventfd]"))
		return look_at_eventfd(c, f, facts);
	if (!strcmp(link, "anon_inode:[vfio-device]"))
		return look_at_group_device(c, f, facts);
	if (S_ISCHR(st.st_mode))
		return look_at_node(c, f, st.st_rdev, link, facts) ?: check_mode(c, f, link);
	if (S_ISREG(st.st_mode))
		return look_at_memory(c, f, &st, link, facts) ?: check_mode(c, f, link);
	return lu_error_set(c->e, -EOPNOTSUPP, NULL, "file %s of QEMU: %s can't be opened again for it", f->name, link);
}

static int look_at_ram(struct collect *c, const struct lu_launch_ram *ram, struct lu_ram_facts *facts)
{
	const char *path = below(c, ram->path);
	char object[4096 + 16];
	struct stat st;
	int r;

	if (!path)
		return lu_error_set(c->e, -EOPNOTSUPP, "put the VM's memory into pkernfs",
				    "memory %s: is not in pkernfs", ram->path);
	if (fstatat(c->from->pkernfs_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return lu_error_set(c->e, -errno, NULL, "memory %s: %s", ram->path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_ino != ram->inode || (uint64_t)st.st_size < ram->size)
		return lu_error_set(c->e, -EBADMSG, NULL, "memory %s: is not the file that the VM was started with",
				    ram->path);
	snprintf(object, sizeof(object), "memory %s", ram->path);
	r = check_owner(c, object, path, &st);
	if (r < 0)
		return r;
	if (!lu_launch_may_write(c->from->launch, &st))
		return lu_error_set(c->e, -EPERM, "give the file to the user that QEMU runs as",
				    "memory %s: user %llu, as whom QEMU runs, may not write it", ram->path,
				    (unsigned long long)c->from->launch->uid);
	*facts = (struct lu_ram_facts){
		.path = strdup(path), .dev = st.st_dev, .inode = st.st_ino, .size = (uint64_t)st.st_size
	};
	return facts->path ? 0 : -ENOMEM;
}

/* A kernel that does not tell knows of no such pages in pkernfs. */
static int check_bad_memory(const struct collect *c)
{
	static const char path[] = "fs/pkernfs/bad_kib";
	_cleanup_free_ char *text = NULL;
	uint64_t now;
	int r = c->from->bad_pages == UINT64_MAX ? -ENOENT : lu_read_file(c->from->sys_fd, path, 64, &text, NULL);

	if (r == -ENOENT)
		return 0;
	if (r >= 0 && sscanf(text, "%" SCNu64, &now) != 1)
		r = -EBADMSG;
	if (r < 0)
		return lu_error_set(c->e, r, NULL, "/sys/%s: %s", path, strerror(-r));
	if (now / 4 <= c->from->bad_pages)
		return 0;
	return lu_error_set(
		c->e, -EHWPOISON, "luctl plan names the guests whose memory it is",
		"memory of guests has gone bad since it was looked through, and its devices might reach it: such "
		"a page can't be given to them in the next kernel");
}

int lu_devices_collect(const struct lu_cpr *cpr, const struct lu_collect_from *from, struct lu_devices *ret,
		       struct lu_error *e)
{
	_cleanup_(lu_facts_clear) struct lu_facts facts = { .cpr = cpr, .session = from->session };
	struct collect c = { .from = from, .ops = from->ops ?: &lu_devices_kernel_ops, .e = e };
	struct stat st;
	int r;

	if (fstat(from->pkernfs_fd, &st) < 0)
		return lu_error_set(e, -errno, NULL, "pkernfs: %s", strerror(errno));
	c.pkernfs_dev = st.st_dev;
	facts.fds = calloc(cpr->n_fds + 1, sizeof(*facts.fds));
	facts.ram = calloc(from->launch->n_ram + 1, sizeof(*facts.ram));
	if (!facts.fds || !facts.ram)
		return -ENOMEM;
	for (size_t i = 0; i < from->launch->n_ram; i++) {
		r = look_at_ram(&c, &from->launch->ram[i], &facts.ram[i]);
		if (r < 0)
			return r;
		facts.n_ram++;
	}
	for (size_t i = 0; i < cpr->n_fds; i++) {
		r = look_at(&c, &cpr->fds[i], &facts.fds[i]);
		if (r < 0)
			return r;
	}
	r = check_bad_memory(&c);
	return r < 0 ? r : lu_devices_compose(&facts, ret, e);
}
