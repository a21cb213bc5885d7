/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Private to the image reader: unpacking the payload, and reading the kernel inside. */
#include "image.h"

/* Anonymous memory; pages that are never touched cost nothing. */
struct lu_map {
	uint8_t *data;
	size_t size;
};

#define LU_MAP_INIT ((struct lu_map){ 0 })
void lu_map_clear(struct lu_map *map);
#define _cleanup_map_ _cleanup_(lu_map_clear)

/** lu_map_alloc() - zeroed, page-aligned; 0 or -ENOMEM */
int lu_map_alloc(size_t size, struct lu_map *ret);

/**
 * lu_payload_unpack() - unpack a bzImage's payload
 * @data: payload_length bytes, whose last four say how large the kernel is
 * @ret_compression: name of the compression, static text
 */
int lu_payload_unpack(const uint8_t *data, size_t size, const char *name, struct lu_map *ret,
		      const char **ret_compression, struct lu_error *e);

/** lu_kernel_elf_read() - fill @image's release (if still empty), kernel_size and abi from a kernel's ELF
 * file */
int lu_kernel_elf_read(const uint8_t *data, size_t size, const char *name, struct lu_image *image, struct lu_error *e);
