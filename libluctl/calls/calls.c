// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What calls there are, and lists of them; the contract is in calls.h.
 *
 * The table is part of the format: names, numbers and the order of arguments. How a call is made from it is
 * daemon/devices/replay.c's, how a list of calls comes about daemon/devices/plan.c's.
 */
#include <inttypes.h>
#include <string.h>

#include "calls.h"
#include "uapi.h"

#define BDF_MAX ((1ULL << 48) - 1)
#define ID(_name)                                      \
	{                                              \
		_name, LU_CALL_NUMBER, LU_CALLS_ID_MAX \
	}
#define NUMBER32(_name)                           \
	{                                         \
		_name, LU_CALL_NUMBER, UINT32_MAX \
	}
#define HEX32(_name)                           \
	{                                      \
		_name, LU_CALL_HEX, UINT32_MAX \
	}
#define LONG(_name)                      \
	{                                \
		_name, LU_CALL_NUMBER, 0 \
	}
#define ADDRESS(_name)                \
	{                             \
		_name, LU_CALL_HEX, 0 \
	}
#define BDF(_name)                          \
	{                                   \
		_name, LU_CALL_BDF, BDF_MAX \
	}
#define FILE_NUMBER(_name)             \
	{                              \
		_name, LU_CALL_FILE, 0 \
	}

const struct lu_call_type lu_call_types[LU_CALL_KINDS] = {
	[LU_CALL_OPEN_FILE] = { .name = "open",
				.makes = LU_CALL_MEMORY,
				.args = { LONG("size"), LONG("inode") },
				.n_args = 2 },
	[LU_CALL_MEMFD] = { .name = "LIVEUPDATE_SESSION_RETRIEVE_FD",
			    .request = 0xba41,
			    .makes = LU_CALL_MEMORY,
			    .args = { LONG("size"), LONG("token") },
			    .n_args = 2 },
	[LU_CALL_DUP] = { .name = "dup", .makes = LU_CALL_QEMU_MEMORY, .args = { FILE_NUMBER("file") }, .n_args = 1 },
	[LU_CALL_EVENTFD] = { .name = "eventfd2",
			      .makes = LU_CALL_AN_EVENTFD,
			      .args = { HEX32("flags") },
			      .n_args = 1 },
	[LU_CALL_OPEN_IOMMU] = { .name = "open-iommu", .makes = LU_CALL_IOMMUFD },
	[LU_CALL_OPEN_DEVICE] = { .name = "open-device",
				  .makes = LU_CALL_DEVICE,
				  .args = { BDF("device") },
				  .n_args = 1 },
	[LU_CALL_IOAS] = { .name = "IOMMU_IOAS_ALLOC", .request = 0x3b81, .on = LU_CALL_IOMMUFD, .has_id = true },
	[LU_CALL_DESTROY] = { .name = "IOMMU_DESTROY",
			      .request = 0x3b80,
			      .on = LU_CALL_IOMMUFD,
			      .args = { ID("id") },
			      .n_args = 1 },
	[LU_CALL_OPTION] = { .name = "IOMMU_OPTION",
			     .request = 0x3b87,
			     .on = LU_CALL_IOMMUFD,
			     .args = { ID("ioas"), NUMBER32("option"), LONG("value") },
			     .n_args = 3 },
	[LU_CALL_ALLOW] = { .name = "IOMMU_IOAS_ALLOW_IOVAS",
			    .request = 0x3b82,
			    .on = LU_CALL_IOMMUFD,
			    .args = { ID("ioas") },
			    .n_args = 1,
			    .list = ADDRESS("ranges"),
			    .list_step = 2,
			    .list_max = 2048 },
	[LU_CALL_MAP] = { .name = "IOMMU_IOAS_MAP_FILE",
			  .request = 0x3b8f,
			  .on = LU_CALL_IOMMUFD,
			  .args = { ID("ioas"), HEX32("flags"), ADDRESS("iova"), ADDRESS("length"), FILE_NUMBER("file"),
				    ADDRESS("offset") },
			  .n_args = 6 },
	[LU_CALL_BIND] = { .name = "VFIO_DEVICE_BIND_IOMMUFD",
			   .request = 0x3b76,
			   .on = LU_CALL_DEVICE,
			   .has_id = true,
			   .args = { FILE_NUMBER("iommufd") },
			   .n_args = 1 },
	[LU_CALL_HWPT] = { .name = "IOMMU_HWPT_ALLOC",
			   .request = 0x3b89,
			   .on = LU_CALL_IOMMUFD,
			   .has_id = true,
			   .args = { HEX32("flags"), ID("device"), ID("ioas") },
			   .n_args = 3 },
	[LU_CALL_ATTACH] = { .name = "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
			     .request = 0x3b77,
			     .on = LU_CALL_DEVICE,
			     .has_id = true,
			     .args = { ID("pt") },
			     .n_args = 1 },
	[LU_CALL_IRQS] = { .name = "VFIO_DEVICE_SET_IRQS",
			   .request = 0x3b6e,
			   .on = LU_CALL_DEVICE,
			   .args = { HEX32("flags"), NUMBER32("index") },
			   .n_args = 2,
			   .list = FILE_NUMBER("eventfds"),
			   .list_step = 1,
			   .list_max = LU_CALLS_VECTORS_MAX },
	[LU_CALL_ADD] = { .name = "write", .on = LU_CALL_AN_EVENTFD, .args = { LONG("count") }, .n_args = 1 },
	[LU_CALL_OPEN_GROUP] = { .name = "open-group", .makes = LU_CALL_GROUP, .args = { BDF("device") }, .n_args = 1 },
	[LU_CALL_STAND_IN] = { .name = "IOMMU_VFIO_IOAS",
			       .request = 0x3b88,
			       .on = LU_CALL_IOMMUFD,
			       .args = { ID("ioas") },
			       .n_args = 1 },
	[LU_CALL_SET_CONTAINER] = { .name = "VFIO_GROUP_SET_CONTAINER",
				    .request = 0x3b68,
				    .on = LU_CALL_GROUP,
				    .args = { FILE_NUMBER("iommufd") },
				    .n_args = 1 },
	[LU_CALL_GET_DEVICE] = { .name = "VFIO_GROUP_GET_DEVICE_FD",
				 .request = 0x3b6a,
				 .makes = LU_CALL_DEVICE,
				 .has_id = true,
				 .args = { BDF("device"), FILE_NUMBER("group"), ID("hwpt") },
				 .n_args = 3 },
};

static_assert(IOMMU_DESTROY == 0x3b80 && IOMMU_IOAS_ALLOC == 0x3b81 && IOMMU_IOAS_ALLOW_IOVAS == 0x3b82 &&
		      IOMMU_OPTION == 0x3b87 && IOMMU_HWPT_ALLOC == 0x3b89 && IOMMU_IOAS_MAP_FILE == 0x3b8f &&
		      VFIO_DEVICE_SET_IRQS == 0x3b6e && VFIO_DEVICE_BIND_IOMMUFD == 0x3b76 &&
		      VFIO_DEVICE_ATTACH_IOMMUFD_PT == 0x3b77 && IOMMU_VFIO_IOAS == 0x3b88 &&
		      VFIO_GROUP_SET_CONTAINER == 0x3b68 && VFIO_GROUP_GET_DEVICE_FD == 0x3b6a,
	      "the numbers are the kernel's");

bool lu_calls_is_reader(const void *program, size_t size)
{
	return memmem(program, size, LU_CALLS_READER, strlen(LU_CALLS_READER)) &&
	       memmem(program, size, LU_CALLS_READER_CONTAINERS, strlen(LU_CALLS_READER_CONTAINERS));
}

void lu_calls_clear(struct lu_calls *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->list[i].name);
		free(c->list[i].list);
	}
	free(c->list);
	free(c->opened);
	free(c->binds);
	free(c->outcomes);
	*c = LU_CALLS_INIT;
}

struct lu_call *lu_calls_add(struct lu_calls *c, enum lu_call_kind kind, uint32_t file, const char *name,
			     int32_t file_id)
{
	struct lu_call *list, *call;

	/* sizes double */
	if ((c->n & (c->n - 1)) == 0) {
		list = reallocarray(c->list, c->n ? c->n * 2 : 1, sizeof(*list));
		if (!list)
			return NULL;
		c->list = list;
	}
	call = &c->list[c->n];
	*call = (struct lu_call){ .kind = kind, .file = file, .name = strdup(name), .file_id = file_id };
	if (!call->name)
		return NULL;
	c->n++;
	return call;
}

int lu_calls_index(struct lu_calls *c, struct lu_error *e)
{
	size_t n_binds = 0, n_files = 0;
	size_t *opened, *binds;

	for (size_t i = 0; i < c->n; i++) {
		const struct lu_call *call = &c->list[i];

		n_binds += call->kind == LU_CALL_BIND;
		if (lu_call_types[call->kind].makes == LU_CALL_NO_FILE)
			continue;
		if (call->file != n_files || n_files == LU_CALLS_FILES_MAX)
			return lu_error_set(e, -EBADMSG, NULL,
					    LU_CALLS_FILE ": call %zu: opens file %u, but %zu would be the next", i + 1,
					    call->file, n_files);
		n_files++;
	}
	opened = calloc(n_files + 1, sizeof(*opened));
	binds = calloc(n_binds + 1, sizeof(*binds));
	if (!opened || !binds) {
		free(opened);
		free(binds);
		return -ENOMEM;
	}
	free(c->opened);
	free(c->binds);
	c->opened = opened;
	c->binds = binds;
	c->n_files = (uint32_t)n_files;
	c->n_binds = 0;
	for (size_t i = 0; i < c->n; i++) {
		if (lu_call_types[c->list[i].kind].makes != LU_CALL_NO_FILE)
			opened[c->list[i].file] = i;
		if (c->list[i].kind == LU_CALL_BIND)
			binds[c->n_binds++] = i;
	}
	return 0;
}

/* --- names --- */

void lu_call_bdf(uint64_t number, char ret[24])
{
	snprintf(ret, 24, "%04x:%02x:%02x.%u", (unsigned int)(number >> 16), (unsigned int)(number >> 8 & 0xff),
		 (unsigned int)(number >> 3 & 0x1f), (unsigned int)(number & 7));
}

uint64_t lu_call_bdf_number(const char *bdf)
{
	unsigned int domain = 0, bus = 0, slot = 0, function = 0;

	if (sscanf(bdf, "%x:%x:%x.%u", &domain, &bus, &slot, &function) != 4)
		return 0;
	return (uint64_t)domain << 16 | bus << 8 | (slot & 0x1f) << 3 | function;
}

/* The call that opens @file; NULL: none. */
static const struct lu_call *opener(const struct lu_calls *c, uint64_t file)
{
	return file < c->n_files ? &c->list[c->opened[file]] : NULL;
}

static const char *name_of(const struct lu_calls *c, uint64_t file)
{
	const struct lu_call *call = opener(c, file);

	return call ? call->name : "?";
}

static void print_device(FILE *f, const struct lu_calls *c, uint64_t file)
{
	const struct lu_call *call = opener(c, file);
	char bdf[24];

	/* for all three it is the first argument */
	if (!call || (call->kind != LU_CALL_OPEN_DEVICE && call->kind != LU_CALL_GET_DEVICE &&
		      call->kind != LU_CALL_OPEN_GROUP)) {
		fputs("?", f);
		return;
	}
	lu_call_bdf(call->args[LU_OPEN_DEVICE_BDF], bdf);
	fputs(bdf, f);
}

/* An iommufd is known by its name in QEMU and by the devices that it is for. */
static void print_iommufd(FILE *f, const struct lu_calls *c, uint64_t file)
{
	bool first = true;

	fputs(name_of(c, file), f);
	for (size_t i = 0; i < c->n_binds; i++) {
		const struct lu_call *bind = &c->list[c->binds[i]];

		if (bind->args[LU_BIND_IOMMUFD] != file)
			continue;
		fputs(first ? " of device " : ", ", f);
		print_device(f, c, bind->file);
		first = false;
	}
	fputs(": ", f);
}

static void print_hwpt(FILE *f, const struct lu_calls *c, const struct lu_call *call)
{
	for (size_t i = 0; i < c->n_binds; i++) {
		const struct lu_call *bind = &c->list[c->binds[i]];

		if (bind->args[LU_BIND_IOMMUFD] == call->file && bind->expect == call->args[LU_TABLE_DEVICE]) {
			fputs("device ", f);
			print_device(f, c, bind->file);
			fputs(": ", f);
		}
	}
	fprintf(f, "making HWPT %u", call->expect);
}

/* Either to a table that was made for it before, or to the address space, of which the kernel makes one. */
static void print_attach(FILE *f, const struct lu_calls *c, const struct lu_call *call)
{
	uint64_t ioas = call->args[LU_ATTACH_PT], iommufd = LU_CALLS_NO_FILE;

	for (size_t i = 0; i < c->n_binds; i++)
		if (c->list[c->binds[i]].file == call->file)
			iommufd = c->list[c->binds[i]].args[LU_BIND_IOMMUFD];
	for (size_t i = 0; i < c->n; i++)
		if (c->list[i].kind == LU_CALL_HWPT && c->list[i].file == iommufd && c->list[i].expect == ioas)
			ioas = c->list[i].args[LU_TABLE_IOAS];
	fprintf(f, "attaching it to HWPT %u of IOAS %" PRIu64, call->expect, ioas);
}

static void print_irqs(FILE *f, const struct lu_call *call)
{
	static const char *const names[] = { "INTx", "MSI", "MSI-X", "error", "request" };
	uint64_t index = call->args[LU_IRQS_INDEX];

	if (call->args[LU_IRQS_FLAGS] & VFIO_IRQ_SET_ACTION_MASK)
		fputs("setting up what masks its interrupt", f);
	else if (call->args[LU_IRQS_FLAGS] & VFIO_IRQ_SET_ACTION_UNMASK)
		fputs("setting up what unmasks its interrupt", f);
	else
		fprintf(f, "setting up its %s interrupts", index < ARRAY_SIZE(names) ? names[index] : "unknown");
}

void lu_call_describe(const struct lu_calls *c, size_t i, FILE *f)
{
	const struct lu_call *call = &c->list[i];
	const uint64_t *args = call->args;

	if (lu_call_types[call->kind].on == LU_CALL_IOMMUFD && call->kind != LU_CALL_HWPT) {
		print_iommufd(f, c, call->file);
	} else if (lu_call_types[call->kind].on == LU_CALL_DEVICE || lu_call_types[call->kind].on == LU_CALL_GROUP ||
		   lu_call_types[call->kind].makes == LU_CALL_DEVICE || call->kind == LU_CALL_OPEN_GROUP) {
		fputs("device ", f);
		print_device(f, c, call->file);
		fputs(": ", f);
	}
	switch (call->kind) {
	case LU_CALL_OPEN_FILE:
		fprintf(f, "memory %s: opening its file", call->name);
		break;
	case LU_CALL_MEMFD:
		fprintf(f, "memory %s: opening its memfd", call->name);
		break;
	case LU_CALL_DUP:
	case LU_CALL_EVENTFD:
		fprintf(f, "file %s: making it", call->name);
		break;
	case LU_CALL_OPEN_IOMMU:
		print_iommufd(f, c, call->file);
		fputs("opening /dev/iommu", f);
		break;
	case LU_CALL_OPEN_DEVICE:
		fputs("opening it", f);
		break;
	case LU_CALL_IOAS:
		fprintf(f, "making IOAS %u", call->expect);
		break;
	case LU_CALL_DESTROY:
		fprintf(f, "freeing id %" PRIu64, args[LU_DESTROY_ID]);
		break;
	case LU_CALL_OPTION:
		if (args[LU_OPTION_OPTION] == IOMMU_OPTION_RLIMIT_MODE)
			fputs("accounting memory by process", f);
		else
			fprintf(f, "turning huge pages off in IOAS %" PRIu64, args[LU_OPTION_IOAS]);
		break;
	case LU_CALL_ALLOW:
		fprintf(f, "setting the allowed ranges of IOAS %" PRIu64, args[LU_ALLOW_IOAS]);
		break;
	case LU_CALL_MAP:
		fprintf(f, "mapping %" PRIu64 " bytes of %s at 0x%" PRIx64 " into IOAS %" PRIu64, args[LU_MAP_LENGTH],
			name_of(c, args[LU_MAP_FILE]), args[LU_MAP_IOVA], args[LU_MAP_IOAS]);
		break;
	case LU_CALL_BIND:
		fprintf(f, "binding it to %s", name_of(c, args[LU_BIND_IOMMUFD]));
		break;
	case LU_CALL_HWPT:
		print_hwpt(f, c, call);
		break;
	case LU_CALL_ATTACH:
		print_attach(f, c, call);
		break;
	case LU_CALL_IRQS:
		print_irqs(f, call);
		break;
	case LU_CALL_ADD:
		fprintf(f, "file %s: adding %" PRIu64 " to it", call->name, args[LU_ADD_COUNT]);
		break;
	case LU_CALL_OPEN_GROUP:
		fputs("opening its group", f);
		break;
	case LU_CALL_STAND_IN:
		fprintf(f, "taking IOAS %" PRIu64 " for a container's", args[LU_STAND_IN_IOAS]);
		break;
	case LU_CALL_SET_CONTAINER:
		fprintf(f, "putting its group into %s", name_of(c, args[LU_SET_CONTAINER_IOMMUFD]));
		break;
	case LU_CALL_GET_DEVICE:
		fprintf(f, "opening it by its group, and attaching it to HWPT %" PRIu64, args[LU_GET_DEVICE_HWPT]);
		break;
	case LU_CALL_KINDS:
		break;
	}
}

/* --- two lists --- */

static bool same_list(const struct lu_call *a, const struct lu_call *b)
{
	return a->n_list == b->n_list && (!a->n_list || !memcmp(a->list, b->list, a->n_list * sizeof(*a->list)));
}

static bool same_call(const struct lu_call *a, const struct lu_call *b)
{
	return a->kind == b->kind && a->file == b->file && a->file_id == b->file_id && a->expect == b->expect &&
	       !strcmp(a->name, b->name) && !memcmp(a->args, b->args, sizeof(a->args)) && same_list(a, b);
}

/* The next call from @i on that is no count */
static size_t next_call(const struct lu_calls *c, size_t i)
{
	while (i < c->n && c->list[i].kind == LU_CALL_ADD)
		i++;
	return i;
}

int lu_calls_same(const struct lu_calls *then, const struct lu_calls *now, struct lu_error *e)
{
	_cleanup_free_ char *text = NULL;
	size_t i = 0, k = 0, size;
	FILE *f;

	for (;; i++, k++) {
		i = next_call(then, i);
		k = next_call(now, k);
		if (i == then->n && k == now->n)
			return 0;
		if (i == then->n || k == now->n || !same_call(&then->list[i], &now->list[k]))
			break;
	}
	f = open_memstream(&text, &size);
	if (!f)
		return -ENOMEM;
	if (i < then->n)
		lu_call_describe(then, i, f);
	else
		lu_call_describe(now, k, f);
	if (fclose(f) != 0)
		return -ENOMEM;
	return lu_error_set(e, -EBUSY, "nobody may change what is set up for a VM that was saved; try again",
			    "%s: this is call %zu of what was noted, and the kernel tells something else now", text,
			    i + 1);
}
