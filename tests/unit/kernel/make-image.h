/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Boot images for the tests, made from nothing: a kernel ELF file of a few kB with
 * note segment and banner, compressed as the kernel's build does it, behind a setup
 * header. Every field that the reader looks at can be set.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test_note {
	bool absent;
	const char *owner; /* NULL: "luctl" */
	uint32_t version;  /* 0: the right one */
	uint32_t size;     /* what it says; 0: the right one */
	uint32_t extra;    /* bytes behind what we know of it */
	uint32_t format, min_version;
	uint64_t incompat, ro_compat, iommu;
	const char *kho, *luo; /* NULL: "kho-v4", "luo-v5" */
	const char *pkeep;     /* NULL: "" */
};

struct test_image {
	const char *compression; /* NULL: gzip; "lz4" and "none" are written by hand */
	const char *release;     /* in the setup header and the banner; NULL: "7.3.4-lu" */
	bool no_setup_release;
	uint16_t protocol;     /* 0: 2.15 */
	uint8_t loadflags_off; /* bits cleared */
	uint16_t xloadflags_off;
	bool not_relocatable;
	bool efi;              /* is an EFI program, too */
	bool is_signed;        /* as such; implies efi */
	int64_t signature_lie; /* added to the place of its signature */
	uint16_t machine;      /* 0: x86-64 */
	int64_t size_lie;      /* added to the size in the trailer */
	struct test_note note;
};

/* Both return malloc()ed bytes. */
uint8_t *test_vmlinux(const struct test_image *t, size_t *ret_size);
uint8_t *test_bzimage(const struct test_image *t, size_t *ret_size);

/* A luctl note as it stands in a notes section, padded; malloc()ed. */
uint8_t *test_note(const struct test_note *n, size_t *ret_size);
