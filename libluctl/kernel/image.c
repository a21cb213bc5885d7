// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reading a boot image.
 *
 * A bzImage is: boot sector and setup code ((setup_sects + 1) × 512 bytes) that
 * begin with the setup header at 0x1f1, then the protected-mode part, in which the
 * header's payload_offset and payload_length mark the compressed kernel. After
 * that may follow anything (a signature). The header says what kexec_file_load
 * wants to know; the kernel inside carries the ABI note. The layout is the kernel's
 * Documentation/arch/x86/boot.rst and never changes for a given field.
 *
 *	file ─ read whole, bounded ─▶ setup header ─▶ payload ─ image_unpack.c ─▶
 *	kernel ELF ─ image_elf.c ─▶ note, release
 *
 * Unhappy paths, each with its own words and nothing left behind:
 *  1. not a regular file, unreadable, too large     → errno of the system, -EISDIR, -EFBIG
 *  2. neither "HdrS" nor ELF, too short             → -ENOEXEC
 *  3. protocol older than 2.08 (no payload fields)  → -ENOEXEC
 *  4. payload outside of the file, does not unpack,
 *     is no ELF file, notes malformed               → -EBADMSG
 *  5. compression we do not read                    → -EOPNOTSUPP
 *  6. no ABI note                                   → success; lu_target_check() judges
 *
 * The file is opened once and read into memory, so a file that changes meanwhile
 * gives one consistent verdict or an error, never a fault. Whether the bytes are the
 * ones that kexec loads is for the caller: lu_image_read_fd() on a file that nobody can change.
 *
 * Not handled: EFI unified kernel images (the kernel sits in a PE section), zImage,
 * other architectures. Of a signature is told that there is one; the kernel verifies it when it loads the image.
 */
#include <endian.h>
#include <string.h>
#include <sys/stat.h>

#include "image_unpack.h"

/* Offsets of the setup header's fields in the file. */
#define SETUP_SECTS 0x1f1
#define SETUP_BOOT_FLAG 0x1fe
#define SETUP_MAGIC 0x202
#define SETUP_VERSION 0x206
#define SETUP_KERNEL_VERSION 0x20e
#define SETUP_LOADFLAGS 0x211
#define SETUP_RELOCATABLE 0x234
#define SETUP_XLOADFLAGS 0x236
#define SETUP_CMDLINE_SIZE 0x238
#define SETUP_PAYLOAD_OFFSET 0x248
#define SETUP_PAYLOAD_LENGTH 0x24c
#define SETUP_END 0x250

#define LOADED_HIGH (1u << 0)
#define XLF_KERNEL_64 (1u << 0)
#define XLF_CAN_BE_LOADED_ABOVE_4G (1u << 1)
#define XLF_5LEVEL (1u << 5)

/*
 * kexec_file_load keeps 30 bytes free for "elfcorehdr=0x…", and counts the NUL
 * (arch/x86/kernel/kexec-bzimage64.c).
 */
#define KEXEC_CMDLINE_RESERVE 31u

/* The header of an EFI program, which a bzImage with an EFI stub is, too: the PE format, "Optional Header Data Directories" */
#define PE_AT 0x3c
#define PE_OPTIONAL 24
#define PE_PLUS 0x20b
#define PE_CERTIFICATES (112 + 4 * 8) /* offset in the file, then size */
#define PE_HEADER_SIZE (PE_OPTIONAL + PE_CERTIFICATES + 8)

#define VMLINUX_CMDLINE_MAX 2047u

#define HINT_GIVE_BZIMAGE "give the kernel's bzImage, usually /boot/vmlinuz-RELEASE"
#define HINT_DAMAGED "the file is damaged; rebuild or reinstall it"

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

/* The version string "7.3.4-lu (user@host) #1 SMP …" in the setup code; its first word is the release. */
static void release_from_setup(const uint8_t *data, size_t setup_size, char release[LU_RELEASE_MAX + 1])
{
	size_t at = get16(data + SETUP_KERNEL_VERSION), n = 0;

	if (at == 0 || at + 0x200 >= setup_size)
		return;
	at += 0x200;
	while (at + n < setup_size && n <= LU_RELEASE_MAX && data[at + n] > ' ' && data[at + n] <= '~')
		n++;
	if (n == 0 || n > LU_RELEASE_MAX || at + n == setup_size)
		return;
	memcpy(release, data + at, n);
	release[n] = '\0';
}

/* Whether there is what crypto/asymmetric_keys/verify_pefile.c of the kernel looks for */
static bool has_signature(const uint8_t *data, size_t size)
{
	uint64_t at = get32(data + PE_AT), offset, length;
	const uint8_t *pe;

	if (memcmp(data, "MZ", 2) != 0 || at > size || size - at < PE_HEADER_SIZE)
		return false;
	pe = data + at;
	if (memcmp(pe, "PE\0\0", 4) != 0 || get16(pe + PE_OPTIONAL) != PE_PLUS)
		return false;
	offset = get32(pe + PE_OPTIONAL + PE_CERTIFICATES);
	length = get32(pe + PE_OPTIONAL + PE_CERTIFICATES + 4);
	return offset && length && offset + length <= size;
}

static int bzimage_parse(const uint8_t *data, size_t size, const char *name, struct lu_image *ret, struct lu_error *e)
{
	_cleanup_map_ struct lu_map kernel = LU_MAP_INIT;
	struct lu_image image = { .kind = LU_IMAGE_BZIMAGE };
	size_t setup_size = ((size_t)(data[SETUP_SECTS] ?: 4) + 1) * 512;
	uint64_t payload, length;
	int r;

	image.boot_protocol = get16(data + SETUP_VERSION);
	if (image.boot_protocol < 0x0208)
		return lu_error_set(e, -ENOEXEC, HINT_GIVE_BZIMAGE,
				    "%s: boot protocol %u.%02u is too old, at least 2.08 is needed", name,
				    image.boot_protocol >> 8, image.boot_protocol & 0xff);
	if (get16(data + SETUP_BOOT_FLAG) != 0xaa55)
		return lu_error_set(e, -EBADMSG, HINT_DAMAGED, "%s: no boot sector signature", name);
	if (setup_size > size)
		return lu_error_set(e, -EBADMSG, HINT_DAMAGED, "%s: cut off within the setup code", name);
	payload = (uint64_t)setup_size + get32(data + SETUP_PAYLOAD_OFFSET);
	length = get32(data + SETUP_PAYLOAD_LENGTH);
	if (payload > size || length > size - payload)
		return lu_error_set(e, -EBADMSG, HINT_DAMAGED,
				    "%s: cut off: the kernel inside ends at byte %llu, the file at %zu", name,
				    (unsigned long long)(payload + length), size);

	image.relocatable = data[SETUP_RELOCATABLE] != 0;
	image.loaded_high = data[SETUP_LOADFLAGS] & LOADED_HIGH;
	if (image.boot_protocol >= 0x020c) {
		uint16_t xlf = get16(data + SETUP_XLOADFLAGS);

		image.entry_64 = xlf & XLF_KERNEL_64;
		image.above_4g = xlf & XLF_CAN_BE_LOADED_ABOVE_4G;
		image.level5 = xlf & XLF_5LEVEL;
	}
	image.cmdline_max = get32(data + SETUP_CMDLINE_SIZE);
	image.cmdline_max = image.cmdline_max > KEXEC_CMDLINE_RESERVE ? image.cmdline_max - KEXEC_CMDLINE_RESERVE : 0;
	release_from_setup(data, setup_size, image.release);
	image.is_signed = has_signature(data, size);

	r = lu_payload_unpack(data + payload, length, name, &kernel, &image.compression, e);
	if (r < 0)
		return r;
	r = lu_kernel_elf_read(kernel.data, kernel.size, name, &image, e);
	if (r < 0)
		return r;
	*ret = image;
	return 0;
}

int lu_image_parse(const void *buf, size_t size, const char *name, struct lu_image *ret, struct lu_error *e)
{
	const uint8_t *data = buf;
	int r;

	if (size >= SETUP_END && memcmp(data + SETUP_MAGIC, "HdrS", 4) == 0)
		return bzimage_parse(data, size, name, ret, e);
	if (size >= 4 && memcmp(data,
				"\x7f"
				"ELF",
				4) == 0) {
		struct lu_image image = {
			.kind = LU_IMAGE_VMLINUX,
			.compression = "none",
			.cmdline_max = VMLINUX_CMDLINE_MAX,
		};

		r = lu_kernel_elf_read(data, size, name, &image, e);
		if (r < 0)
			return r;
		if (!image.release[0])
			return lu_error_set(e, -ENOEXEC, HINT_GIVE_BZIMAGE, "%s: an ELF file, but not a Linux kernel",
					    name);
		*ret = image;
		return 0;
	}
	if (size >= 2 && memcmp(data, "MZ", 2) == 0)
		return lu_error_set(e, -ENOEXEC,
				    "unified kernel images are not supported; give the bzImage it was made from",
				    "%s: an EFI program, but not a Linux boot image (no HdrS signature)", name);
	return lu_error_set(e, -ENOEXEC, HINT_GIVE_BZIMAGE, "%s: not a Linux boot image (no HdrS signature)", name);
}

static int file_read(int fd, const char *name, struct lu_map *ret, struct lu_error *e)
{
	_cleanup_map_ struct lu_map map = LU_MAP_INIT;
	struct stat st;
	size_t done = 0;
	int r;

	if (fstat(fd, &st) < 0)
		return lu_error_set(e, -errno, NULL, "%s: %s", name, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return lu_error_set(e, -EISDIR, HINT_GIVE_BZIMAGE, "%s: is a directory", name);
	if (!S_ISREG(st.st_mode))
		return lu_error_set(e, -ENOEXEC, HINT_GIVE_BZIMAGE, "%s: is not a regular file", name);
	if ((uint64_t)st.st_size > LU_IMAGE_FILE_MAX)
		return lu_error_set(e, -EFBIG, HINT_GIVE_BZIMAGE, "%s: %lld bytes is too large for a boot image", name,
				    (long long)st.st_size);
	if (st.st_size == 0)
		return lu_error_set(e, -ENOEXEC, HINT_GIVE_BZIMAGE, "%s: the file is empty", name);
	r = lu_map_alloc((size_t)st.st_size, &map);
	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: no memory to read %lld bytes", name, (long long)st.st_size);
	while (done < (size_t)st.st_size) {
		ssize_t n = pread(fd, map.data + done, (size_t)st.st_size - done, (off_t)done);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return lu_error_set(e, -errno, NULL, "%s: %s", name, strerror(errno));
		}
		if (n == 0)
			return lu_error_set(e, -EBADMSG, "try again when nobody writes to it",
					    "%s: became shorter while it was read", name);
		done += (size_t)n;
	}
	*ret = map;
	map = LU_MAP_INIT;
	return 0;
}

int lu_image_read_fd(int fd, const char *name, struct lu_image *ret, struct lu_error *e)
{
	_cleanup_map_ struct lu_map file = LU_MAP_INIT;
	int r;

	r = file_read(fd, name, &file, e);
	if (r < 0)
		return r;
	return lu_image_parse(file.data, file.size, name, ret, e);
}

int lu_image_read(int dirfd, const char *path, struct lu_image *ret, struct lu_error *e)
{
	_cleanup_close_ int fd = lu_open_regular(dirfd, path);

	if (fd == -EISDIR)
		return lu_error_set(e, fd, HINT_GIVE_BZIMAGE, "%s: is a directory", path);
	if (fd == -EMEDIUMTYPE)
		return lu_error_set(e, -ENOEXEC, HINT_GIVE_BZIMAGE, "%s: is not a regular file", path);
	if (fd < 0)
		return lu_error_set(e, fd, fd == -ENOENT ? HINT_GIVE_BZIMAGE : NULL, "%s: %s", path, strerror(-fd));
	return lu_image_read_fd(fd, path, ret, e);
}
