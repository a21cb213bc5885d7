// SPDX-License-Identifier: GPL-2.0-or-later
/* See make-image.h. Little-endian hosts only, as the project. */
#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "linux/luctl_note.h"
#include "make-image.h"

#define VMLINUX_SIZE 12288
#define NOTES_AT 4096
#define BANNER_AT 8192
#define SETUP_SIZE (5 * 512)

static void put16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, 2);
}

static void put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
}

/* Without a NUL if it fills the room: the reader must see that. */
static void put_string(char *to, size_t room, const char *s)
{
	size_t n = strlen(s);

	memcpy(to, s, n < room ? n : room);
}

uint8_t *test_note(const struct test_note *n, size_t *ret_size)
{
	const char *owner = n->owner ?: "luctl";
	size_t owner_size = strlen(owner) + 1, at = (12 + owner_size + 3) & ~(size_t)3;
	struct luctl_note note = {
		.version = n->version ?: LUCTL_NOTE_VERSION,
		.size = n->size ?: (uint32_t)sizeof(note) + n->extra,
		.pkernfs_format_version = n->format,
		.pkernfs_min_version = n->min_version,
		.pkernfs_incompat_supported = n->incompat,
		.pkernfs_ro_compat_supported = n->ro_compat,
		.iommu = n->iommu,
	};
	uint8_t *p = calloc(1, at + sizeof(note) + n->extra);

	assert(p);
	put_string(note.kho_compat, sizeof(note.kho_compat), n->kho ?: "kho-v4");
	put_string(note.luo_compat, sizeof(note.luo_compat), n->luo ?: "luo-v5");
	put_string(note.pkeep_compat, sizeof(note.pkeep_compat), n->pkeep ?: "");
	put32(p, (uint32_t)owner_size);
	put32(p + 4, (uint32_t)sizeof(note) + n->extra);
	put32(p + 8, LUCTL_NOTE_TYPE);
	memcpy(p + 12, owner, owner_size);
	memcpy(p + at, &note, sizeof(note));
	*ret_size = at + sizeof(note) + n->extra;
	return p;
}

uint8_t *test_vmlinux(const struct test_image *t, size_t *ret_size)
{
	static const uint8_t gnu_note[] = { 4, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0, 1, 2, 3, 4 };
	uint8_t *p = calloc(1, VMLINUX_SIZE), *note;
	size_t note_size = 0;
	Elf64_Ehdr eh = { .e_type = ET_EXEC,
			  .e_machine = t->machine ?: EM_X86_64,
			  .e_version = EV_CURRENT,
			  .e_phoff = sizeof(eh),
			  .e_ehsize = sizeof(eh),
			  .e_phentsize = sizeof(Elf64_Phdr),
			  .e_phnum = 2,
			  .e_shentsize = sizeof(Elf64_Shdr) };
	Elf64_Phdr ph[2] = { { .p_type = PT_LOAD, .p_filesz = VMLINUX_SIZE, .p_memsz = VMLINUX_SIZE, .p_align = 4096 },
			     { .p_type = PT_NOTE, .p_offset = NOTES_AT, .p_align = 4 } };

	assert(p);
	memcpy(eh.e_ident, ELFMAG, SELFMAG);
	eh.e_ident[EI_CLASS] = ELFCLASS64;
	eh.e_ident[EI_DATA] = ELFDATA2LSB;
	eh.e_ident[EI_VERSION] = EV_CURRENT;
	memcpy(p + NOTES_AT, gnu_note, sizeof(gnu_note));
	if (!t->note.absent) {
		note = test_note(&t->note, &note_size);
		memcpy(p + NOTES_AT + sizeof(gnu_note), note, note_size);
		free(note);
	}
	ph[1].p_filesz = ph[1].p_memsz = sizeof(gnu_note) + note_size;
	memcpy(p, &eh, sizeof(eh));
	memcpy(p + sizeof(eh), ph, sizeof(ph));
	snprintf((char *)p + BANNER_AT, 256, "Linux version %%s\nLinux version %s (a@b) #1 SMP\n",
		 t->release ?: "7.3.4-lu");
	/* Something that does not compress to nothing, so that damage in the stream hits data. */
	for (unsigned int i = 0, x = 1; i < 2048; i++, x = x * 1103515245 + 12345)
		p[BANNER_AT + 256 + i] = (uint8_t)(x >> 16);
	*ret_size = VMLINUX_SIZE;
	return p;
}

/* lz4's legacy frame, which the kernel uses and libarchive cannot write: one block of literals. */
static size_t lz4_legacy(const uint8_t *in, size_t size, uint8_t *out)
{
	uint8_t *p = out + 8;
	size_t left = size - 15;

	put32(out, 0x184c2102);
	*p++ = 0xf0;
	for (; left >= 255; left -= 255)
		*p++ = 255;
	*p++ = (uint8_t)left;
	memcpy(p, in, size);
	p += size;
	put32(out + 4, (uint32_t)(p - out - 8));
	return (size_t)(p - out);
}

static size_t compress_payload(const char *how, const uint8_t *in, size_t size, uint8_t *out, size_t room)
{
	struct archive_entry *entry;
	struct archive *a;
	size_t used = 0;

	if (strcmp(how, "none") == 0) {
		memcpy(out, in, size);
		return size;
	}
	if (strcmp(how, "lz4") == 0)
		return lz4_legacy(in, size, out);
	a = archive_write_new();
	assert(a && archive_write_add_filter_by_name(a, how) == ARCHIVE_OK);
	assert(archive_write_set_format_raw(a) == ARCHIVE_OK);
	archive_write_set_bytes_in_last_block(a, 1);
	assert(archive_write_open_memory(a, out, room, &used) == ARCHIVE_OK);
	entry = archive_entry_new();
	archive_entry_set_filetype(entry, AE_IFREG);
	assert(archive_write_header(a, entry) == ARCHIVE_OK);
	assert(archive_write_data(a, in, size) == (la_ssize_t)size);
	archive_entry_free(entry);
	assert(archive_write_close(a) == ARCHIVE_OK);
	archive_write_free(a);
	return used;
}

uint8_t *test_bzimage(const struct test_image *t, size_t *ret_size)
{
	const char *how = t->compression ?: "gzip", *release = t->release ?: "7.3.4-lu";
	size_t kernel_size, n, room = 65536;
	uint8_t *kernel = test_vmlinux(t, &kernel_size), *p = calloc(1, SETUP_SIZE + 1024 + room);
	uint8_t *payload;

	assert(p);
	payload = p + SETUP_SIZE + 1024;
	p[0x1f1] = 4;
	put16(p + 0x1fe, 0xaa55);
	memcpy(p + 0x202, "HdrS", 4);
	put16(p + 0x206, t->protocol ?: 0x020f);
	if (!t->no_setup_release) {
		put16(p + 0x20e, 0x600);
		snprintf((char *)p + 0x800, 128, "%s (a@b) #1 SMP", release);
	}
	p[0x211] = (uint8_t)(1 & ~t->loadflags_off);
	p[0x234] = !t->not_relocatable;
	put16(p + 0x236, (uint16_t)(0x6b & ~t->xloadflags_off));
	put32(p + 0x238, 2047);
	n = compress_payload(how, kernel, kernel_size, payload, room - 512);
	if (strcmp(how, "gzip") == 0)
		n -= 4;
	put32(payload + n, (uint32_t)((int64_t)kernel_size + t->size_lie));
	n += 4;
	put32(p + 0x248, 1024);
	put32(p + 0x24c, (uint32_t)n);
	free(kernel);
	*ret_size = SETUP_SIZE + 1024 + n + 64;
	if (t->efi || t->is_signed) {
		memcpy(p, "MZ", 2);
		put32(p + 0x3c, 0x40);
		memcpy(p + 0x40, "PE\0\0", 4);
		put16(p + 0x40 + 24, 0x20b);
	}
	/* the table of certificates: the fifth of the data directories; what is behind the kernel stands for it */
	if (t->is_signed) {
		put32(p + 0x40 + 24 + 112 + 32, (uint32_t)((int64_t)*ret_size - 64 + t->signature_lie));
		put32(p + 0x40 + 24 + 112 + 36, 64);
	}
	return p;
}
