// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The table of devices.json, from the leaves up. It says what each value may be; what they must be together, indices
 * and ids, is lu_devices_check()'s in daemon/devices/devices.c, which every reader and writer asks, too.
 */
#include <string.h>

#include "doc-devices.h"

bool lu_bdf_valid(const char *s)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = strspn(s, hex);

	if (n < 4 || n > 8 || s[n] != ':')
		return false;
	s += n + 1;
	return strspn(s, hex) == 2 && s[2] == ':' && strspn(s + 3, hex) == 2 && s[5] == '.' && s[6] >= '0' &&
	       s[6] <= '7' && !s[7];
}

bool lu_cpr_bytes_valid(const char *s, size_t n)
{
	if (n == 0 || n > LU_CPR_NAME_MAX || lu_utf8_prefix(s, n) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			return false;
	return true;
}

bool lu_cpr_name_valid(const char *s)
{
	return lu_cpr_bytes_valid(s, strlen(s));
}

static const struct lu_json_field cpr_device_fields[] = {
	{ "name", LU_JSON_STRING, offsetof(struct lu_cpr_device, name), LU_JSON_REQUIRED, .check = lu_cpr_name_valid,
	  .expect = "1 to 1023 bytes without controls" },
	{ "devid", LU_JSON_INT32, offsetof(struct lu_cpr_device, devid), LU_JSON_REQUIRED },
	{ "ioas", LU_JSON_UINT32, offsetof(struct lu_cpr_device, ioas_id), LU_JSON_REQUIRED },
	{ "hwpt", LU_JSON_UINT32, offsetof(struct lu_cpr_device, hwpt_id), LU_JSON_REQUIRED },
};
const struct lu_json_table lu_cpr_device_table = LU_JSON_TABLE("device", struct lu_cpr_device, cpr_device_fields);

#define FIELD(_struct, _key, _type, _flags, ...)                                  \
	{                                                                         \
#_key, _type, offsetof(struct _struct, _key), _flags, __VA_ARGS__ \
	}
#define LIST(_struct, _key, ...)                                                                                \
	{                                                                                                       \
#_key, LU_JSON_OBJECTS, offsetof(struct _struct, _key), LU_JSON_REQUIRED,                       \
			.count_offset = offsetof(struct _struct, n_##_key), .table = &_key##_table, __VA_ARGS__ \
	}
#define UNTIL_2 .until = LU_JSON_AT(2, 0) /* what became calls of the journal */
#define INDEX_OR_NONE(_struct, _key) \
	FIELD(_struct, _key, LU_JSON_UINT, LU_JSON_REQUIRED | LU_JSON_NULLABLE, .max = LU_CPR_FDS_MAX - 1, .def = -1)
#define ID(_struct, _key) FIELD(_struct, _key, LU_JSON_UINT32, LU_JSON_REQUIRED, .min = 1, .max = LU_DEVICES_ID_MAX)

static const char *const memory_kinds[] = { "file", "memfd", NULL };
static const struct lu_json_field memory_fields[] = {
	FIELD(lu_devices_memory, kind, LU_JSON_ENUM, LU_JSON_REQUIRED, .names = memory_kinds),
	FIELD(lu_devices_memory, size, LU_JSON_UINT, LU_JSON_REQUIRED, .min = 1, .max = 1ULL << 48),
	FIELD(lu_devices_memory, path, LU_JSON_STRING, LU_JSON_NULLABLE, .check = lu_relative_path_valid,
	      .expect = "a path below the root of pkernfs"),
	FIELD(lu_devices_memory, inode, LU_JSON_UINT, LU_JSON_NULLABLE, .def = -1),
	FIELD(lu_devices_memory, token, LU_JSON_UINT, LU_JSON_NULLABLE, .def = -1),
	FIELD(lu_devices_memory, name, LU_JSON_STRING, LU_JSON_NULLABLE, .max = 255),
};
static const struct lu_json_table memories_table = LU_JSON_TABLE("memory", struct lu_devices_memory, memory_fields);

static const struct lu_json_field eventfd_fields[] = {
	FIELD(lu_devices_eventfd, count, LU_JSON_UINT, LU_JSON_REQUIRED, .max = UINT64_MAX - 1),
	FIELD(lu_devices_eventfd, nonblock, LU_JSON_BOOL, LU_JSON_REQUIRED),
	FIELD(lu_devices_eventfd, semaphore, LU_JSON_BOOL, LU_JSON_REQUIRED),
};
static const struct lu_json_table eventfd_table = LU_JSON_TABLE("eventfd", struct lu_devices_eventfd, eventfd_fields);

const char *const lu_devices_fd_kinds[] = { "iommufd", "vfio-device", "eventfd", "memory", "vfio-group", NULL };
static const struct lu_json_field fd_fields[] = {
	FIELD(lu_devices_fd, name, LU_JSON_STRING, LU_JSON_REQUIRED, .min = 1, .max = LU_CPR_NAME_MAX),
	FIELD(lu_devices_fd, id, LU_JSON_INT32, LU_JSON_REQUIRED),
	FIELD(lu_devices_fd, kind, LU_JSON_ENUM, LU_JSON_REQUIRED, .names = lu_devices_fd_kinds),
	FIELD(lu_devices_fd, eventfd, LU_JSON_OBJECT_PTR, LU_JSON_NULLABLE, .table = &eventfd_table, UNTIL_2),
	FIELD(lu_devices_fd, memory, LU_JSON_UINT, LU_JSON_NULLABLE, .max = 1023, .def = -1, UNTIL_2),
};
static const struct lu_json_table fds_table = LU_JSON_TABLE("file", struct lu_devices_fd, fd_fields);

static const struct lu_json_field range_fields[] = {
	FIELD(lu_devices_range, start, LU_JSON_UINT, LU_JSON_REQUIRED),
	FIELD(lu_devices_range, last, LU_JSON_UINT, LU_JSON_REQUIRED),
};
static const struct lu_json_table allowed_table = LU_JSON_TABLE("range", struct lu_devices_range, range_fields);

static const struct lu_json_field area_fields[] = {
	FIELD(lu_devices_area, iova, LU_JSON_UINT, LU_JSON_REQUIRED),
	FIELD(lu_devices_area, length, LU_JSON_UINT, LU_JSON_REQUIRED, .min = 1, .max = 1ULL << 48),
	FIELD(lu_devices_area, memory, LU_JSON_UINT, LU_JSON_REQUIRED, .max = 1023),
	FIELD(lu_devices_area, offset, LU_JSON_UINT, LU_JSON_REQUIRED, .max = 1ULL << 48),
	FIELD(lu_devices_area, read, LU_JSON_BOOL, LU_JSON_REQUIRED),
	FIELD(lu_devices_area, write, LU_JSON_BOOL, LU_JSON_REQUIRED),
};
static const struct lu_json_table areas_table = LU_JSON_TABLE("area", struct lu_devices_area, area_fields);

static const struct lu_json_field ioas_fields[] = {
	ID(lu_devices_ioas, id),
	FIELD(lu_devices_ioas, huge_pages, LU_JSON_BOOL, LU_JSON_REQUIRED),
	LIST(lu_devices_ioas, allowed, .max = 1024),
	LIST(lu_devices_ioas, areas, .max = 65536),
};
static const struct lu_json_table ioas_table = LU_JSON_TABLE("IOAS", struct lu_devices_ioas, ioas_fields);

static const struct lu_json_field hwpt_fields[] = {
	ID(lu_devices_hwpt, id),
	ID(lu_devices_hwpt, ioas),
	FIELD(lu_devices_hwpt, flags, LU_JSON_UINT32, LU_JSON_REQUIRED),
	{ "auto", LU_JSON_BOOL, offsetof(struct lu_devices_hwpt, auto_made), LU_JSON_REQUIRED },
};
static const struct lu_json_table hwpts_table = LU_JSON_TABLE("HWPT", struct lu_devices_hwpt, hwpt_fields);

/* as VFIO_PCI_INTX_IRQ_INDEX and so on */
const char *const lu_devices_irq_names[] = { "intx", "msi", "msix", "err", "req", NULL };
static const struct lu_json_field irq_fields[] = {
	FIELD(lu_devices_irq, index, LU_JSON_ENUM, LU_JSON_REQUIRED, .names = lu_devices_irq_names),
	FIELD(lu_devices_irq, vector, LU_JSON_UINT32, LU_JSON_REQUIRED, .max = LU_DEVICES_VECTORS_MAX - 1),
	FIELD(lu_devices_irq, masked, LU_JSON_BOOL, LU_JSON_REQUIRED),
	INDEX_OR_NONE(lu_devices_irq, trigger),
	INDEX_OR_NONE(lu_devices_irq, mask),
	INDEX_OR_NONE(lu_devices_irq, unmask),
};
static const struct lu_json_table irqs_table = LU_JSON_TABLE("interrupt", struct lu_devices_irq, irq_fields);

static const struct lu_json_field device_fields[] = {
	ID(lu_devices_device, id),
	FIELD(lu_devices_device, bdf, LU_JSON_STRING, LU_JSON_REQUIRED, .check = lu_bdf_valid,
	      .expect = "a PCI address as 0000:00:04.0"),
	FIELD(lu_devices_device, fd, LU_JSON_UINT, LU_JSON_REQUIRED, .max = LU_CPR_FDS_MAX - 1),
	ID(lu_devices_device, hwpt),
	LIST(lu_devices_device, irqs, .max = LU_DEVICES_VECTORS_MAX + 3),
};
static const struct lu_json_table devices_table = LU_JSON_TABLE("device", struct lu_devices_device, device_fields);

static const struct lu_json_field iommufd_fields[] = {
	FIELD(lu_devices_iommufd, fd, LU_JSON_UINT, LU_JSON_REQUIRED, .max = LU_CPR_FDS_MAX - 1),
	LIST(lu_devices_iommufd, ioas, .max = 1024),
	LIST(lu_devices_iommufd, hwpts, .max = 1024),
	LIST(lu_devices_iommufd, devices, .max = LU_CPR_DEVICES_MAX),
};
static const struct lu_json_table iommufds_table = LU_JSON_TABLE("iommufd", struct lu_devices_iommufd, iommufd_fields);

static const struct lu_json_field journal_fields[] = {
	FIELD(lu_devices_journal, boot_id, LU_JSON_STRING, LU_JSON_REQUIRED, .check = lu_uuid_valid,
	      .expect = "a UUID"),
	FIELD(lu_devices_journal, calls, LU_JSON_UINT, LU_JSON_REQUIRED, .max = 1 << 18),
	FIELD(lu_devices_journal, sum, LU_JSON_UINT, LU_JSON_REQUIRED, .max = UINT32_MAX),
};
static const struct lu_json_table journal_table = LU_JSON_TABLE("journal", struct lu_devices_journal, journal_fields);

static const struct lu_json_field document_fields[] = {
	FIELD(lu_devices, journal, LU_JSON_OBJECT_PTR, LU_JSON_REQUIRED, .table = &journal_table,
	      .since = LU_JSON_AT(2, 0)),
	FIELD(lu_devices, features, LU_JSON_STRINGS, LU_JSON_REQUIRED, .max = 64),
	FIELD(lu_devices, session, LU_JSON_STRING, LU_JSON_REQUIRED | LU_JSON_NULLABLE, .min = 1, .max = 63),
	LIST(lu_devices, memories, .max = 1024, UNTIL_2),
	LIST(lu_devices, fds, .max = LU_CPR_FDS_MAX),
	{ "cpr_devices", LU_JSON_OBJECTS, offsetof(struct lu_devices, cpr_devices), LU_JSON_REQUIRED,
	  .count_offset = offsetof(struct lu_devices, n_cpr_devices), .table = &lu_cpr_device_table,
	  .max = LU_CPR_DEVICES_MAX },
	LIST(lu_devices, iommufds, .max = 64, UNTIL_2),
};
const struct lu_json_table lu_devices_table = { .name = "devices",
						.size = sizeof(struct lu_devices),
						.fields = document_fields,
						.n_fields = ARRAY_SIZE(document_fields),
						.version = 2,
						.oldest = 1 };
