// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the kernel's own ELF file tells: the luctl ABI note and, where the setup
 * header was no help, the release.
 *
 * libelf reads the headers (it checks them against the size of the memory it was
 * given). Where a segment lies is checked again here before a byte of it is
 * touched, and only LU_NOTE_SEGMENTS_MAX segments of LU_NOTES_MAX bytes are walked,
 * so that headers which all point at the same large area cost nothing.
 *
 * The note sits in a PT_NOTE segment of every vmlinux. Sections are only looked at
 * if no segment is a note: objcopy can strip program headers' meaning, not ours.
 */
#include <elf.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>

#include "image_unpack.h"

#define LU_NOTE_SEGMENTS_MAX 16u
#define LU_NOTES_MAX (1u << 20) /* bytes of one segment; a kernel has some hundred */

DEFINE_CLEANUP(Elf *, elf_end)

struct note_search {
	const uint8_t *data;
	size_t size;
	const char *name;
	unsigned int n;
	struct lu_abi abi;
};

static int note_area(struct note_search *s, uint64_t offset, uint64_t size, uint64_t align, struct lu_error *e)
{
	struct lu_abi abi;
	int r;

	if (s->n++ >= LU_NOTE_SEGMENTS_MAX)
		return lu_error_set(e, -EBADMSG, "the file is damaged; rebuild or reinstall it",
				    "%s: more than %u note segments", s->name, LU_NOTE_SEGMENTS_MAX);
	if (offset > s->size || size > s->size - offset)
		return lu_error_set(e, -EBADMSG, "the file is damaged; rebuild or reinstall it",
				    "%s: a note segment lies beyond the end of the kernel", s->name);
	if (size > LU_NOTES_MAX)
		return lu_error_set(e, -EBADMSG, "the file is damaged; rebuild or reinstall it",
				    "%s: a note segment of %llu bytes", s->name, (unsigned long long)size);
	r = lu_abi_from_notes(s->data + offset, size, align, s->name, &abi, e);
	if (r < 0)
		return r;
	if (abi.present)
		s->abi = abi;
	return 0;
}

static int notes_in_segments(Elf *elf, struct note_search *s, struct lu_error *e)
{
	size_t n;
	int r;

	if (elf_getphdrnum(elf, &n) != 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(elf, (int)i, &ph))
			break;
		if (ph.p_type != PT_NOTE)
			continue;
		r = note_area(s, ph.p_offset, ph.p_filesz, ph.p_align, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int notes_in_sections(Elf *elf, struct note_search *s, struct lu_error *e)
{
	Elf_Scn *scn = NULL;
	int r;

	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr sh;

		if (!gelf_getshdr(scn, &sh) || sh.sh_type != SHT_NOTE)
			continue;
		r = note_area(s, sh.sh_offset, sh.sh_size, sh.sh_addralign, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* "Linux version 7.3.4-lu (user@host) …" stands in every kernel's read-only data. */
static void release_find(const uint8_t *data, size_t size, char release[LU_RELEASE_MAX + 1])
{
	static const char banner[] = "Linux version ";
	const size_t skip = sizeof(banner) - 1;

	while (size > skip) {
		const uint8_t *p = memmem(data, size, banner, skip);
		size_t left, n = 0;

		if (!p)
			return;
		p += skip;
		left = size - (size_t)(p - data);
		while (n < left && n <= LU_RELEASE_MAX && p[n] > ' ' && p[n] <= '~')
			n++;
		if (n > 0 && n < left && n <= LU_RELEASE_MAX && p[n] == ' ' && p[0] >= '0' && p[0] <= '9') {
			memcpy(release, p, n);
			release[n] = '\0';
			return;
		}
		data = p;
		size = left;
	}
}

int lu_kernel_elf_read(const uint8_t *data, size_t size, const char *name, struct lu_image *image, struct lu_error *e)
{
	_cleanup_(elf_endp) Elf *elf = NULL;
	struct note_search s = { .data = data, .size = size, .name = name };
	GElf_Ehdr eh;
	int r;

	if (size < sizeof(Elf64_Ehdr) || memcmp(data, ELFMAG, SELFMAG) != 0)
		return lu_error_set(e, -EBADMSG, "the file is damaged; rebuild or reinstall it",
				    "%s: the kernel inside is not an ELF file", name);
	if (data[EI_CLASS] != ELFCLASS64 || data[EI_DATA] != ELFDATA2LSB)
		return lu_error_set(e, -ENOEXEC, "give a kernel built for x86-64",
				    "%s: not a 64-bit little-endian kernel", name);
	if (elf_version(EV_CURRENT) == EV_NONE)
		return lu_error_set(e, -EOPNOTSUPP, NULL, "libelf is too old");
	/* libelf does not write to memory it was handed, its prototype is just older than const. */
	elf = elf_memory((char *)(uintptr_t)data, size);
	if (!elf || !gelf_getehdr(elf, &eh))
		return lu_error_set(e, -EBADMSG, "the file is damaged; rebuild or reinstall it",
				    "%s: the kernel's ELF header cannot be read: %s", name, elf_errmsg(-1));
	if (eh.e_machine != EM_X86_64)
		return lu_error_set(e, -ENOEXEC, "give a kernel built for x86-64",
				    "%s: a kernel for another machine (ELF machine %u)", name, eh.e_machine);
	r = notes_in_segments(elf, &s, e);
	if (r == 0 && s.n == 0)
		r = notes_in_sections(elf, &s, e);
	if (r < 0)
		return r;
	image->abi = s.abi;
	image->kernel_size = size;
	if (!image->release[0])
		release_find(data, size, image->release);
	return 0;
}
