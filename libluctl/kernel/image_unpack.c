// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The payload of a bzImage is the kernel's ELF file (and its relocations),
 * compressed by one of seven programs, then four bytes: the unpacked size, little
 * endian. gzip's own trailer ends in just that, so there nothing was added.
 *
 * The magic decides which single filter of libarchive is switched on, so hostile
 * bytes can neither nest compressions nor make libarchive run an external program
 * (which it would do for lzop). Memory: the size the trailer names, at most
 * LU_IMAGE_KERNEL_MAX, plus the decoder's window (libarchive limits xz to 1 GiB,
 * zstd to 128 MiB); output is compared with the trailer as it comes, so a bomb
 * stops at the first byte too many.
 *
 * Unhappy paths: unknown magic and LZO are -EOPNOTSUPP; a decoder error, too few
 * or too many bytes are -EBADMSG. All name the file.
 */
#include <archive.h>
#include <endian.h>
#include <string.h>
#include <sys/mman.h>

#include "image_unpack.h"

DEFINE_CLEANUP(struct archive *, archive_read_free)

struct compression {
	const char *name;
	const char *magic;
	size_t magic_size;
	int (*enable)(struct archive *a); /* NULL: known, but not read */
	bool size_is_own;                 /* the last four bytes belong to the format itself */
};

static const struct compression compressions[] = {
	{ "gzip", "\x1f\x8b", 2, archive_read_support_filter_gzip, true },
	{ "bzip2", "BZh", 3, archive_read_support_filter_bzip2, false },
	{ "lzma", "\x5d\x00\x00", 3, archive_read_support_filter_lzma, false },
	{ "xz",
	  "\xfd"
	  "7zXZ\x00",
	  6, archive_read_support_filter_xz, false },
	{ "lzo", "\x89LZO", 4, NULL, false },
	{ "lz4", "\x02\x21\x4c\x18", 4, archive_read_support_filter_lz4, false },
	{ "zstd", "\x28\xb5\x2f\xfd", 4, archive_read_support_filter_zstd, false },
	{ "none",
	  "\x7f"
	  "ELF",
	  4, archive_read_support_filter_none, false },
};

void lu_map_clear(struct lu_map *map)
{
	if (map->data)
		munmap(map->data, map->size);
	*map = LU_MAP_INIT;
}

int lu_map_alloc(size_t size, struct lu_map *ret)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	*ret = (struct lu_map){ .data = p, .size = size };
	return 0;
}

static const struct compression *compression_find(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < ARRAY_SIZE(compressions); i++)
		if (size >= compressions[i].magic_size &&
		    memcmp(data, compressions[i].magic, compressions[i].magic_size) == 0)
			return &compressions[i];
	return NULL;
}

static int unpack_failed(struct archive *a, const struct compression *c, const char *name, struct lu_error *e)
{
	const char *why = archive_error_string(a);

	return lu_error_set(e, -EBADMSG, "the file is damaged; rebuild or reinstall it",
			    "%s: cannot unpack the kernel inside (%s): %s", name, c->name, why ?: "damaged data");
}

static int unpack_into(struct archive *a, const struct compression *c, const char *name, struct lu_map *map,
		       struct lu_error *e)
{
	struct archive_entry *entry;
	size_t done = 0;
	char extra;

	if (archive_read_next_header(a, &entry) < ARCHIVE_WARN)
		return unpack_failed(a, c, name, e);
	while (done < map->size) {
		ssize_t n = archive_read_data(a, map->data + done, map->size - done);

		if (n < 0)
			return unpack_failed(a, c, name, e);
		if (n == 0)
			return lu_error_set(e, -EBADMSG, "the file is damaged; rebuild or reinstall it",
					    "%s: the kernel inside unpacks to %zu bytes instead of %zu", name, done,
					    map->size);
		done += (size_t)n;
	}
	if (archive_read_data(a, &extra, 1) > 0)
		return lu_error_set(e, -EBADMSG, "the file is damaged; rebuild or reinstall it",
				    "%s: the kernel inside unpacks to more than the %zu bytes it claims", name,
				    map->size);
	return 0;
}

int lu_payload_unpack(const uint8_t *data, size_t size, const char *name, struct lu_map *ret,
		      const char **ret_compression, struct lu_error *e)
{
	_cleanup_(archive_read_freep) struct archive *a = NULL;
	_cleanup_map_ struct lu_map map = LU_MAP_INIT;
	const struct compression *c = compression_find(data, size);
	uint32_t expected;
	int r;

	if (size < 16)
		return lu_error_set(e, -EBADMSG, "the file is damaged; rebuild or reinstall it",
				    "%s: the kernel inside is only %zu bytes", name, size);
	if (!c)
		return lu_error_set(e, -EOPNOTSUPP, "use a kernel compressed with gzip, xz, zstd or lz4",
				    "%s: unknown compression (first bytes %02x %02x %02x %02x)", name, data[0], data[1],
				    data[2], data[3]);
	if (!c->enable)
		return lu_error_set(e, -EOPNOTSUPP, "use a kernel compressed with gzip, xz, zstd or lz4",
				    "%s: compression %s is not supported", name, c->name);
	memcpy(&expected, data + size - 4, 4);
	expected = le32toh(expected);
	if (expected == 0 || expected > LU_IMAGE_KERNEL_MAX)
		return lu_error_set(e, -EBADMSG, "the file is damaged; rebuild or reinstall it",
				    "%s: claims to hold a kernel of %u bytes; the maximum is %llu", name, expected,
				    LU_IMAGE_KERNEL_MAX);

	a = archive_read_new();
	if (!a)
		return -ENOMEM;
	if (c->enable(a) < ARCHIVE_OK)
		return lu_error_set(e, -EOPNOTSUPP, "use a kernel compressed with gzip, xz, zstd or lz4",
				    "%s: this libarchive cannot unpack %s", name, c->name);
	if (archive_read_support_format_raw(a) < ARCHIVE_OK)
		return unpack_failed(a, c, name, e);
	r = lu_map_alloc(expected, &map);
	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: no memory for a kernel of %u bytes", name, expected);
	if (archive_read_open_memory(a, data, c->size_is_own ? size : size - 4) < ARCHIVE_OK)
		return unpack_failed(a, c, name, e);
	r = unpack_into(a, c, name, &map, e);
	if (r < 0)
		return r;
	*ret = map;
	map = LU_MAP_INIT;
	*ret_compression = c->name;
	return 0;
}
