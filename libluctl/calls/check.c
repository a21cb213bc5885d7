// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Could these calls be made? They are, in a model of what a process has open and of what is in each of its iommufds:
 * as much of the kernel as decides what a call can be made on and which id comes of it.
 *
 *	files		opened in the order of their numbers, each of one kind
 *	iommufd		id → device, IOAS or HWPT; a new object gets the lowest id that is free
 *	device		bound once, attached once, its interrupts set up after that
 *
 * Stricter than the kernel where the order matters for what goes on meanwhile: areas come before the table that they
 * are in, and in the order of their addresses; an IOAS that is in use is not destroyed; nothing is closed. A list that
 * passes can fail in the kernel for what the kernel alone knows: whether the tables are those that the device uses.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "calls.h"
#include "uapi.h"

#define HINT "nothing was done; the devices go on, and luctl restore can be tried again"
#define EFD_FLAGS 0x801U /* EFD_NONBLOCK, EFD_SEMAPHORE */
#define MEMORY_SIZE_MAX (1ULL << 48)

enum object {
	NOTHING,
	AN_IOAS,
	A_HWPT,
	A_DEVICE,
};

struct slot {
	enum object object;
	bool made_by_attach; /* HWPT */
	bool used;           /* IOAS: a table was made of it; its areas are complete */
	bool any;            /* IOAS: it has an area */
	uint32_t ioas;       /* HWPT */
	uint64_t last;       /* IOAS: last address of its last area */
};

struct iommufd {
	struct slot slots[LU_CALLS_ID_MAX + 2];
	uint32_t lowest; /* none below it is free */
};

struct file {
	enum lu_call_file kind;
	uint64_t size;           /* memory */
	struct iommufd *iommufd; /* iommufd; device: that it is bound to */
	uint32_t id;             /* device: its id, 0: not bound */
	uint32_t hwpt;           /* device: 0: not attached */
	unsigned int triggers;   /* device: bits, which interrupts were set up */
	bool added;              /* eventfd */
	uint32_t stands_in;      /* iommufd: IOAS of the container, 0: none */
	struct file *container;  /* group */
	uint64_t bdf;            /* group */
};

struct check {
	const struct lu_calls *c;
	const char *path;
	struct file *files;
	uint32_t n;
	size_t at;
	struct lu_error *e;
};

static int wrong(const struct check *k, const char *fmt, ...) _printf_(2, 3);
static int wrong(const struct check *k, const char *fmt, ...)
{
	_cleanup_free_ char *why = NULL, *text = NULL;
	size_t size;
	va_list ap;
	FILE *f = open_memstream(&text, &size);
	int r;

	if (!f)
		return -ENOMEM;
	lu_call_describe(k->c, k->at, f);
	if (fclose(f) != 0)
		return -ENOMEM;
	va_start(ap, fmt);
	r = vasprintf(&why, fmt, ap);
	va_end(ap);
	if (r < 0) {
		why = NULL;
		return -ENOMEM;
	}
	return lu_error_set(k->e, -EBADMSG, HINT, "%s: call %zu, %s: %s", k->path, k->at + 1, text, why);
}

static struct file *file_of(const struct check *k, uint64_t number, enum lu_call_file kind)
{
	return number < k->n && k->files[number].kind == kind ? &k->files[number] : NULL;
}

static struct slot *slot_of(struct iommufd *u, uint64_t id, enum object object)
{
	return id > 0 && id <= LU_CALLS_ID_MAX && u->slots[id].object == object ? &u->slots[id] : NULL;
}

/* The lowest id that is free becomes this object; it must be what is expected. */
static int new_id(const struct check *k, struct iommufd *u, uint32_t expect, enum object object)
{
	while (u->lowest <= LU_CALLS_ID_MAX && u->slots[u->lowest].object != NOTHING)
		u->lowest++;
	if (u->lowest != expect)
		return wrong(k, "it would get id %u, not %u", u->lowest, expect);
	u->slots[expect] = (struct slot){ .object = object };
	return 0;
}

/*
 * An IOAS has one table of the kernel's own, or more if its devices' IOMMUs differ: which one a device ends at, only the
 * kernel knows. It is one that is there, or a new one.
 */
static int attach_to_ioas(const struct check *k, struct iommufd *u, uint64_t ioas, uint32_t hwpt)
{
	const struct slot *s = slot_of(u, hwpt, A_HWPT);
	int r;

	if (s && s->made_by_attach && s->ioas == ioas)
		return 0;
	r = new_id(k, u, hwpt, A_HWPT);
	if (r < 0)
		return r;
	u->slots[hwpt].made_by_attach = true;
	u->slots[hwpt].ioas = (uint32_t)ioas;
	u->slots[ioas].used = true;
	return 0;
}

/* --- files --- */

static int check_memory(const struct check *k, const struct lu_call *call, struct file *f)
{
	bool memfd = call->kind == LU_CALL_MEMFD;

	if (!memfd && !lu_relative_path_valid(call->name))
		return wrong(k, "no path below the root of pkernfs");
	f->size = call->args[LU_OPEN_FILE_SIZE];
	if (f->size == 0 || f->size > MEMORY_SIZE_MAX)
		return wrong(k, "memory of %" PRIu64 " bytes", f->size);
	for (size_t i = 0; i < k->at; i++)
		if (k->c->list[i].kind == call->kind &&
		    k->c->list[i].args[LU_OPEN_FILE_INODE] == call->args[LU_OPEN_FILE_INODE])
			return wrong(k, "call %zu opens the same", i + 1);
	return 0;
}

/* One call that opens, binds and attaches */
static int check_get_device(const struct check *k, const struct lu_call *call, struct file *f)
{
	const struct file *group = file_of(k, call->args[LU_GET_DEVICE_GROUP], LU_CALL_GROUP);
	int r;

	if (!group || !group->container)
		return wrong(k, group ? "its group is in no container" : "there is no such group");
	if (group->bdf != f->bdf)
		return wrong(k, "the group is another device's");
	f->iommufd = group->container->iommufd;
	f->id = call->expect;
	f->hwpt = (uint32_t)call->args[LU_GET_DEVICE_HWPT];
	r = new_id(k, f->iommufd, f->id, A_DEVICE);
	return r < 0 ? r : attach_to_ioas(k, f->iommufd, group->container->stands_in, f->hwpt);
}

static int check_open(struct check *k, const struct lu_call *call)
{
	struct file *f = &k->files[k->n++], *memory;
	int r;

	f->kind = lu_call_types[call->kind].makes;
	if (f->kind == LU_CALL_MEMORY)
		return check_memory(k, call, f);
	if (call->kind == LU_CALL_DUP) {
		memory = file_of(k, call->args[LU_DUP_FILE], LU_CALL_MEMORY);
		if (!memory)
			return wrong(k, "file %" PRIu64 " is no memory", call->args[LU_DUP_FILE]);
		f->size = memory->size;
	}
	if (call->kind == LU_CALL_EVENTFD && (call->args[LU_EVENTFD_FLAGS] & ~(uint64_t)EFD_FLAGS))
		return wrong(k, "flags 0x%" PRIx64 " of an eventfd are not known", call->args[LU_EVENTFD_FLAGS]);
	if (f->kind == LU_CALL_DEVICE || f->kind == LU_CALL_GROUP)
		for (size_t i = 0; i < k->at; i++)
			if (lu_call_types[k->c->list[i].kind].makes == f->kind &&
			    k->c->list[i].args[LU_OPEN_DEVICE_BDF] == call->args[LU_OPEN_DEVICE_BDF])
				return wrong(k, "call %zu opens the same", i + 1);
	f->bdf = call->args[LU_OPEN_DEVICE_BDF];
	if (call->kind == LU_CALL_GET_DEVICE) {
		r = check_get_device(k, call, f);
		if (r < 0)
			return r;
	}
	if (call->kind == LU_CALL_OPEN_IOMMU) {
		f->iommufd = calloc(1, sizeof(*f->iommufd));
		if (!f->iommufd)
			return -ENOMEM;
		f->iommufd->lowest = 1;
	}
	return call->name[0] ? 0 : wrong(k, "it has no name");
}

/* --- an iommufd --- */

static int check_destroy(const struct check *k, const struct lu_call *call, struct iommufd *u)
{
	uint64_t id = call->args[LU_DESTROY_ID];
	struct slot *s = slot_of(u, id, AN_IOAS);

	if (!s || s->used)
		return wrong(k, s ? "it is in use" : "there is no address space of this id");
	s->object = NOTHING;
	if (id < u->lowest)
		u->lowest = (uint32_t)id;
	return 0;
}

static int check_option(const struct check *k, const struct lu_call *call, struct iommufd *u)
{
	struct slot *s = slot_of(u, call->args[LU_OPTION_IOAS], AN_IOAS);

	if (call->args[LU_OPTION_OPTION] == IOMMU_OPTION_RLIMIT_MODE && call->args[LU_OPTION_VALUE] == 1 &&
	    !call->args[LU_OPTION_IOAS])
		return u->slots[1].object == NOTHING ? 0 : wrong(k, "it comes after objects");
	if (!s || s->used || s->any)
		return wrong(k, s ? "it comes after areas" : "there is no such IOAS");
	if (call->args[LU_OPTION_OPTION] != IOMMU_OPTION_HUGE_PAGES || call->args[LU_OPTION_VALUE])
		return wrong(k, "option %" PRIu64 " with value %" PRIu64 " is not known", call->args[LU_OPTION_OPTION],
			     call->args[LU_OPTION_VALUE]);
	return 0;
}

static int check_allow(const struct check *k, const struct lu_call *call, struct iommufd *u)
{
	struct slot *s = slot_of(u, call->args[LU_ALLOW_IOAS], AN_IOAS);

	if (!s || s->used)
		return wrong(k, s ? "a table was made of it before" : "there is no such IOAS");
	for (size_t i = 0; i < call->n_list; i += 2)
		if (call->list[i] >= call->list[i + 1] || (i && call->list[i] <= call->list[i - 1]))
			return wrong(k, "range %zu is not in order", i / 2);
	return 0;
}

static int check_map(const struct check *k, const struct lu_call *call, struct iommufd *u)
{
	const uint64_t rights = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE, *a = call->args;
	struct slot *s = slot_of(u, a[LU_MAP_IOAS], AN_IOAS);
	const struct file *memory = file_of(k, a[LU_MAP_FILE], LU_CALL_MEMORY);
	uint64_t iova = a[LU_MAP_IOVA], length = a[LU_MAP_LENGTH];

	if (!s || s->used)
		return wrong(k, s ? "a table was made of it before" : "there is no such IOAS");
	if (!memory)
		return wrong(k, "file %" PRIu64 " is no memory", a[LU_MAP_FILE]);
	if ((a[LU_MAP_FLAGS] & ~rights) != IOMMU_IOAS_MAP_FIXED_IOVA || !(a[LU_MAP_FLAGS] & rights))
		return wrong(k, "flags 0x%" PRIx64 " can't be", a[LU_MAP_FLAGS]);
	if (length == 0 || length > memory->size || a[LU_MAP_OFFSET] > memory->size - length)
		return wrong(k, "it goes beyond its file");
	if (iova + (length - 1) < iova || (s->any && iova <= s->last))
		return wrong(k, "it is not in the order of addresses, or overlaps the one before");
	s->any = true;
	s->last = iova + (length - 1);
	return 0;
}

static int check_hwpt(const struct check *k, const struct lu_call *call, struct iommufd *u)
{
	const uint64_t known = IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_DIRTY_TRACKING | IOMMU_HWPT_ALLOC_PASID;
	struct slot *ioas = slot_of(u, call->args[LU_TABLE_IOAS], AN_IOAS);
	int r;

	if (!ioas || !slot_of(u, call->args[LU_TABLE_DEVICE], A_DEVICE))
		return wrong(k, "there is no such %s", ioas ? "device" : "IOAS");
	if (call->args[LU_TABLE_FLAGS] & ~known)
		return wrong(k, "flags 0x%" PRIx64 " need more than is known", call->args[LU_TABLE_FLAGS]);
	r = new_id(k, u, call->expect, A_HWPT);
	if (r < 0)
		return r;
	u->slots[call->expect].ioas = (uint32_t)call->args[LU_TABLE_IOAS];
	ioas->used = true;
	return 0;
}

static int check_on_iommufd(const struct check *k, const struct lu_call *call)
{
	struct file *f = file_of(k, call->file, LU_CALL_IOMMUFD);

	if (!f)
		return wrong(k, "file %u is no iommufd", call->file);
	switch (call->kind) {
	case LU_CALL_IOAS:
		return new_id(k, f->iommufd, call->expect, AN_IOAS);
	case LU_CALL_DESTROY:
		return check_destroy(k, call, f->iommufd);
	case LU_CALL_OPTION:
		return check_option(k, call, f->iommufd);
	case LU_CALL_ALLOW:
		return check_allow(k, call, f->iommufd);
	case LU_CALL_MAP:
		return check_map(k, call, f->iommufd);
	case LU_CALL_STAND_IN:
		if (f->stands_in || !slot_of(f->iommufd, call->args[LU_STAND_IN_IOAS], AN_IOAS))
			return wrong(k, f->stands_in ? "it was said before" : "there is no such IOAS");
		f->stands_in = (uint32_t)call->args[LU_STAND_IN_IOAS];
		return 0;
	default:
		return check_hwpt(k, call, f->iommufd);
	}
}

static int check_set_container(const struct check *k, const struct lu_call *call)
{
	struct file *group = file_of(k, call->file, LU_CALL_GROUP),
		    *u = file_of(k, call->args[LU_SET_CONTAINER_IOMMUFD], LU_CALL_IOMMUFD);

	if (!group)
		return wrong(k, "file %u is no group", call->file);
	if (group->container)
		return wrong(k, "it is in a container already");
	if (!u || !u->stands_in)
		return wrong(k, "file %" PRIu64 " stands in for no container", call->args[LU_SET_CONTAINER_IOMMUFD]);
	group->container = u;
	return 0;
}

/* --- a device --- */

static int check_bind(const struct check *k, const struct lu_call *call, struct file *f)
{
	struct file *u = file_of(k, call->args[LU_BIND_IOMMUFD], LU_CALL_IOMMUFD);
	int r;

	if (!u || f->id)
		return wrong(k, u ? "it is bound already" : "there is no such iommufd");
	r = new_id(k, u->iommufd, call->expect, A_DEVICE);
	f->iommufd = u->iommufd;
	f->id = call->expect;
	return r;
}

static int check_attach(const struct check *k, const struct lu_call *call, struct file *f)
{
	uint64_t pt = call->args[LU_ATTACH_PT];

	if (!f->id || f->hwpt)
		return wrong(k, f->id ? "it is attached already" : "it is not bound");
	f->hwpt = call->expect;
	if (slot_of(f->iommufd, pt, AN_IOAS))
		return attach_to_ioas(k, f->iommufd, pt, call->expect);
	if (!slot_of(f->iommufd, pt, A_HWPT))
		return wrong(k, "there is no table or address space %" PRIu64, pt);
	return pt == call->expect ? 0 : wrong(k, "it would end at %" PRIu64, pt);
}

static int check_irqs(const struct check *k, const struct lu_call *call, struct file *f)
{
	static const size_t max[VFIO_PCI_NUM_IRQS] = { 1, 32, LU_CALLS_VECTORS_MAX, 1, 1 };
	const unsigned int one_of = 1U << VFIO_PCI_INTX_IRQ_INDEX | 1U << VFIO_PCI_MSI_IRQ_INDEX |
				    1U << VFIO_PCI_MSIX_IRQ_INDEX;
	uint64_t index = call->args[LU_IRQS_INDEX], flags = call->args[LU_IRQS_FLAGS];
	unsigned int bit;

	if (!f->hwpt)
		return wrong(k, "it is not attached");
	if (index >= VFIO_PCI_NUM_IRQS || call->n_list > max[index])
		return wrong(k, "it has no interrupt %" PRIu64 " with %zu vectors", index, call->n_list);
	for (size_t i = 0; i < call->n_list; i++)
		if (call->list[i] != LU_CALLS_NO_FILE && !file_of(k, call->list[i], LU_CALL_AN_EVENTFD))
			return wrong(k, "file %" PRIu64 " is no eventfd", call->list[i]);
	bit = 1U << index;
	if (flags == (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER)) {
		if (f->triggers & bit || (bit & one_of && f->triggers & one_of))
			return wrong(k, "interrupts of this kind were set up before");
		f->triggers |= bit;
		return 0;
	}
	if (flags != (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_MASK) &&
	    flags != (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK))
		return wrong(k, "flags 0x%" PRIx64 " are not known", flags);
	if (index != VFIO_PCI_INTX_IRQ_INDEX || !(f->triggers & bit))
		return wrong(k, "it can't be masked, or is not set up");
	return 0;
}

static int check_on_device(const struct check *k, const struct lu_call *call)
{
	struct file *f = file_of(k, call->file, LU_CALL_DEVICE);

	if (!f)
		return wrong(k, "file %u is no device", call->file);
	if (call->kind == LU_CALL_BIND)
		return check_bind(k, call, f);
	return call->kind == LU_CALL_ATTACH ? check_attach(k, call, f) : check_irqs(k, call, f);
}

/* --- the whole --- */

static int check_add(const struct check *k, const struct lu_call *call)
{
	struct file *f = file_of(k, call->file, LU_CALL_AN_EVENTFD);

	if (!f || f->added)
		return wrong(k, f ? "it was added to before" : "it is no eventfd");
	if (call->args[LU_ADD_COUNT] == 0 || call->args[LU_ADD_COUNT] == UINT64_MAX)
		return wrong(k, "that can't be added");
	f->added = true;
	return 0;
}

/* What a call is made on is named in it, too: people read that. */
static int check_call(struct check *k, const struct lu_call *call)
{
	const struct lu_call_type *type = &lu_call_types[call->kind];
	const struct lu_call *opener;

	if (type->makes != LU_CALL_NO_FILE)
		return check_open(k, call);
	opener = call->file < k->n ? &k->c->list[k->c->opened[call->file]] : NULL;
	if (!opener || strcmp(opener->name, call->name) != 0 || opener->file_id != call->file_id)
		return wrong(k, "file %u is not %s, id %d", call->file, call->name, call->file_id);
	if (type->on == LU_CALL_IOMMUFD)
		return check_on_iommufd(k, call);
	if (type->on == LU_CALL_GROUP)
		return check_set_container(k, call);
	return type->on == LU_CALL_DEVICE ? check_on_device(k, call) : check_add(k, call);
}

static int compare_names(const void *a, const void *b)
{
	const struct lu_call *x = *(const struct lu_call *const *)a, *y = *(const struct lu_call *const *)b;

	return (x->file_id > y->file_id) - (x->file_id < y->file_id) ?: strcmp(x->name, y->name);
}

/* QEMU's files are told apart by name and id. */
static int check_names(struct check *k)
{
	_cleanup_free_ const struct lu_call **sorted = calloc(k->n + 1, sizeof(*sorted));
	size_t n = 0;

	if (!sorted)
		return -ENOMEM;
	for (uint32_t i = 0; i < k->n; i++)
		if (k->files[i].kind != LU_CALL_MEMORY)
			sorted[n++] = &k->c->list[k->c->opened[i]];
	qsort(sorted, n, sizeof(*sorted), compare_names);
	for (size_t i = 1; i < n; i++) {
		if (compare_names(&sorted[i - 1], &sorted[i]) != 0)
			continue;
		k->at = (size_t)(sorted[i] - k->c->list);
		return wrong(k, "file %s, id %d: is there twice", sorted[i]->name, sorted[i]->file_id);
	}
	return 0;
}

int lu_calls_check(const struct lu_calls *c, const char *path, struct lu_error *e)
{
	struct check k = { .c = c, .path = path, .files = calloc(c->n_files + 1, sizeof(*k.files)), .e = e };
	int r = k.files ? 0 : -ENOMEM;

	for (k.at = 0; k.at < c->n && r == 0; k.at++)
		r = check_call(&k, &c->list[k.at]);
	for (uint32_t i = 0; i < k.n && r == 0; i++) {
		if (k.files[i].kind != LU_CALL_DEVICE || k.files[i].hwpt)
			continue;
		k.at = c->opened[i];
		r = wrong(&k, "no call attaches it");
	}
	if (r == 0)
		r = check_names(&k);
	for (uint32_t i = 0; k.files && i < k.n; i++)
		if (k.files[i].kind == LU_CALL_IOMMUFD)
			free(k.files[i].iommufd);
	free(k.files);
	return r;
}
