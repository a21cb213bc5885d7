// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The walk over ELF notes, by hand and in one place, because one of the two
 * sources (/sys/kernel/notes) is no ELF file that libelf could open.
 *
 * A note is { u32 namesz, u32 descsz, u32 type }, the name and the descriptor, each
 * padded to the alignment of its section. All three sizes come from the input and
 * are only ever compared with what is left, never added up first.
 *
 * Unhappy paths:
 *  1. A note runs over the end: the source is damaged, -EBADMSG. Trailing padding
 *     of less than a header is fine.
 *  2. Our note has another version, says that it is longer than it is, or is shorter
 *     than what version 1 always had: -EBADMSG. Longer is fine, fields are only ever
 *     added; what a note does not reach is zero, "not supported".
 *  3. A compat string without NUL or with unprintable bytes: -EBADMSG.
 *  4. Two of our notes: accepted if they are equal. The linker may merge an object
 *     twice, but two that differ leave no way to tell which one is true.
 *
 * Not handled: other byte orders and 32-bit kernels; the series is for x86-64.
 */
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "abi_note.h"
#include "linux/luctl_note.h"

#define NOTE_NAME LUCTL_NOTE_OWNER
#define NOTE_SIZE_MIN offsetof(struct luctl_note, pkeep_compat) /* what the first version-1 note had */
#define NOTES_MAX (1u << 20) /* bytes of /sys/kernel/notes; some hundred in practice */

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static int compat_copy(char *to, const char *from, size_t size)
{
	size_t n = strnlen(from, size);

	if (n == size || n > LU_ABI_STRING_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < n; i++)
		if (from[i] <= ' ' || from[i] > '~')
			return -EBADMSG;
	memcpy(to, from, n);
	to[n] = '\0';
	return 0;
}

static int note_decode(const uint8_t *desc, size_t size, const char *object, struct lu_abi *ret, struct lu_error *e)
{
	struct luctl_note note = { 0 };
	struct lu_abi abi = { .present = true };
	uint32_t version = size >= 8 ? get32(desc) : 0, says = size >= 8 ? get32(desc + 4) : 0;

	if (version != LUCTL_NOTE_VERSION)
		return lu_error_set(e, -EBADMSG, "it was built for another version of luctl; update luctl",
				    "%s: luctl ABI note has version %u, this program knows %u", object, version,
				    LUCTL_NOTE_VERSION);
	if (says > size || says > LUCTL_NOTE_MAX)
		return lu_error_set(e, -EBADMSG, "rebuild or reinstall the kernel",
				    "%s: luctl ABI note says it is %u bytes, but it is %zu", object, says, size);
	if (says < NOTE_SIZE_MIN)
		return lu_error_set(e, -EBADMSG, "rebuild or reinstall the kernel",
				    "%s: luctl ABI note is %u bytes, at least %zu expected", object, says,
				    NOTE_SIZE_MIN);
	memcpy(&note, desc, says < sizeof(note) ? says : sizeof(note));
	abi.pkernfs_version = le32toh(note.pkernfs_format_version);
	abi.pkernfs_min_version = le32toh(note.pkernfs_min_version);
	abi.pkernfs_incompat = le64toh(note.pkernfs_incompat_supported);
	abi.pkernfs_ro_compat = le64toh(note.pkernfs_ro_compat_supported);
	abi.iommu = le64toh(note.iommu);
	if (compat_copy(abi.kho, note.kho_compat, sizeof(note.kho_compat)) < 0 ||
	    compat_copy(abi.luo, note.luo_compat, sizeof(note.luo_compat)) < 0 ||
	    compat_copy(abi.pkeep, note.pkeep_compat, sizeof(note.pkeep_compat)) < 0 || !abi.kho[0])
		return lu_error_set(e, -EBADMSG, "rebuild or reinstall the kernel",
				    "%s: luctl ABI note holds a malformed compat string", object);
	if (abi.pkernfs_min_version > abi.pkernfs_version)
		return lu_error_set(e, -EBADMSG, "rebuild or reinstall the kernel",
				    "%s: luctl ABI note says pkernfs formats %u to %u", object, abi.pkernfs_min_version,
				    abi.pkernfs_version);
	*ret = abi;
	return 0;
}

static bool abi_equal(const struct lu_abi *a, const struct lu_abi *b)
{
	return a->pkernfs_version == b->pkernfs_version && a->pkernfs_min_version == b->pkernfs_min_version &&
	       a->pkernfs_incompat == b->pkernfs_incompat && a->pkernfs_ro_compat == b->pkernfs_ro_compat &&
	       a->iommu == b->iommu && strcmp(a->kho, b->kho) == 0 && strcmp(a->luo, b->luo) == 0 &&
	       strcmp(a->pkeep, b->pkeep) == 0;
}

static int notes_overrun(const char *object, struct lu_error *e)
{
	return lu_error_set(e, -EBADMSG, "the file is damaged; rebuild or reinstall it",
			    "%s: an ELF note runs over the end of its section", object);
}

int lu_abi_from_notes(const void *notes, size_t size, size_t align, const char *object, struct lu_abi *ret,
		      struct lu_error *e)
{
	const uint8_t *p = notes;
	struct lu_abi found = { 0 };
	int r;

	if (align != 8)
		align = 4;
	while (size >= 12) {
		uint32_t namesz = get32(p), descsz = get32(p + 4), type = get32(p + 8);
		uint64_t name_pad = ((uint64_t)12 + namesz + align - 1) & ~(uint64_t)(align - 1);
		uint64_t desc_pad = ((uint64_t)descsz + align - 1) & ~(uint64_t)(align - 1);
		const uint8_t *desc;

		if (namesz == 0 && descsz == 0 && type == 0) {
			/* The fill between two input sections of another alignment. */
			p += 4;
			size -= 4;
			continue;
		}
		if (name_pad > size || descsz > size - name_pad)
			return notes_overrun(object, e);
		desc = p + name_pad;
		if (type == LUCTL_NOTE_TYPE && namesz == sizeof(NOTE_NAME) &&
		    memcmp(p + 12, NOTE_NAME, sizeof(NOTE_NAME)) == 0) {
			struct lu_abi abi;

			r = note_decode(desc, descsz, object, &abi, e);
			if (r < 0)
				return r;
			if (found.present && !abi_equal(&found, &abi))
				return lu_error_set(e, -EBADMSG, "rebuild the kernel from a clean tree",
						    "%s: two luctl ABI notes that differ", object);
			found = abi;
		}
		if (desc_pad >= size - name_pad)
			break;
		p += name_pad + desc_pad;
		size -= name_pad + desc_pad;
	}
	*ret = found;
	return 0;
}

int lu_abi_running(int rootfd, struct lu_abi *ret, struct lu_error *e)
{
	_cleanup_free_ char *data = NULL;
	size_t size;
	int r;

	r = lu_read_file(rootfd, rootfd == AT_FDCWD ? "/sys/kernel/notes" : "sys/kernel/notes", NOTES_MAX, &data,
			 &size);
	if (r == -ENOENT) {
		*ret = (struct lu_abi){ 0 };
		return 0;
	}
	if (r < 0)
		return lu_error_set(e, r, "is /sys mounted?", "/sys/kernel/notes: %s", strerror(-r));
	return lu_abi_from_notes(data, size, 4, "/sys/kernel/notes", ret, e);
}
