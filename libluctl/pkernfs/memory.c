// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Images of physical memory; see memory.h. Whatever an image is, it becomes a sorted
 * list of ranges that don't overlap, each with its place in the file. Pages are read
 * one at a time with pread(): metadata is little, images are large.
 *
 * ELF files are read by libelf, headers only. /proc/kcore shows some memory twice (the
 * kernel's text and the direct map) and address space that is no memory at all, whose
 * physical address is -1: hence the cutting, and the limit.
 *
 * Not handled: compressed kdump files, whose pages would have to be unpacked; an error
 * says how to get an ELF file in their place.
 */
#include <elf.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "memory.h"

#define PAGE 4096u
#define ADDR_MAX (1ULL << 52) /* x86-64's physical addresses */
#define RANGES_MAX (1u << 20) /* a dump with pages left out has some ten thousand */
#define CHUNK (1u << 20)      /* of a search */
#define IOMEM_MAX (16u << 20) /* 80 bytes a line */

struct range {
	uint64_t addr, size; /* memory */
	uint64_t offset;     /* in the file */
	uint64_t kept;       /* bytes that are in the file, from the range's start */
};

struct lu_memory {
	int fd;
	char *name;
	struct range *ranges;
	size_t n;
	uint64_t cut;
};

DEFINE_CLEANUP(Elf *, elf_end)

void lu_memory_free(struct lu_memory *m)
{
	if (!m)
		return;
	closep(&m->fd);
	free(m->name);
	free(m->ranges);
	free(m);
}

const char *lu_memory_name(const struct lu_memory *m)
{
	return m->name;
}

uint64_t lu_memory_size(const struct lu_memory *m)
{
	uint64_t size = 0;

	for (size_t i = 0; i < m->n; i++)
		size += m->ranges[i].size;
	return size;
}

uint64_t lu_memory_cut(const struct lu_memory *m)
{
	return m->cut;
}

static int range_add(struct lu_memory *m, uint64_t addr, uint64_t size, uint64_t offset, uint64_t kept)
{
	struct range *list;

	if (size == 0)
		return 0;
	if (m->n >= RANGES_MAX)
		return -E2BIG;
	if ((m->n & (m->n - 1)) == 0) {
		list = reallocarray(m->ranges, m->n ? m->n * 2 : 1, sizeof(*list));
		if (!list)
			return -ENOMEM;
		m->ranges = list;
	}
	m->ranges[m->n++] = (struct range){ .addr = addr, .size = size, .offset = offset, .kept = kept };
	return 0;
}

static int range_compare(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* Sort; where two overlap, the one that begins first wins */
static void ranges_settle(struct lu_memory *m)
{
	uint64_t end = 0;
	size_t n = 0;

	if (m->n)
		qsort(m->ranges, m->n, sizeof(*m->ranges), range_compare);
	for (size_t i = 0; i < m->n; i++) {
		struct range r = m->ranges[i];
		uint64_t skip = r.addr < end ? end - r.addr : 0;

		if (skip >= r.size)
			continue;
		r.addr += skip;
		r.size -= skip;
		r.offset += skip;
		r.kept -= skip < r.kept ? skip : r.kept;
		m->ranges[n++] = r;
		end = r.addr + r.size;
	}
	m->n = n;
}

static const struct range *range_at(const struct lu_memory *m, uint64_t addr)
{
	size_t low = 0, high = m->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (m->ranges[mid].addr + m->ranges[mid].size <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < m->n && m->ranges[low].addr <= addr ? &m->ranges[low] : NULL;
}

bool lu_memory_has(const struct lu_memory *m, uint64_t addr, uint64_t size)
{
	while (size > 0) {
		const struct range *r = range_at(m, addr);
		uint64_t there;

		if (!r)
			return false;
		there = r->addr + r->size - addr;
		if (there >= size)
			return true;
		addr += there;
		size -= there;
	}
	return true;
}

/* Return: bytes read, less than @size only at the file's end; or a negative errno */
static ssize_t read_at(int fd, uint8_t *buf, size_t size, uint64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, buf + done, size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int lu_memory_read(struct lu_memory *m, uint64_t addr, void *buf, size_t size)
{
	uint8_t *to = buf;

	while (size > 0) {
		const struct range *r = range_at(m, addr);
		uint64_t at;
		size_t part;
		ssize_t n;

		if (!r)
			return LU_MEMORY_NONE;
		at = addr - r->addr;
		if (at >= r->kept)
			return LU_MEMORY_LEFT_OUT;
		part = r->kept - at < size ? (size_t)(r->kept - at) : size;
		n = read_at(m->fd, to, part, r->offset + at);
		if (n < 0)
			return (int)n;
		if ((size_t)n < part)
			return LU_MEMORY_LEFT_OUT;
		addr += part;
		to += part;
		size -= part;
	}
	return 0;
}

static int find_in_chunk(const uint8_t *chunk, size_t size, uint64_t addr, uint64_t magic,
			 int (*found)(void *data, uint64_t addr), void *data)
{
	for (size_t at = 0; at + PAGE <= size; at += PAGE) {
		uint64_t word;
		int r;

		memcpy(&word, chunk + at, sizeof(word));
		if (word != magic)
			continue;
		r = found(data, addr + at);
		if (r != 0)
			return r;
	}
	return 0;
}

int lu_memory_find(struct lu_memory *m, uint64_t magic, int (*found)(void *data, uint64_t addr), void *data,
		   struct lu_error *e)
{
	_cleanup_free_ uint8_t *chunk = malloc(CHUNK);
	bool any = m->n == 0;
	int failed = 0;

	if (!chunk)
		return lu_error_set(e, -ENOMEM, NULL, "out of memory");
	for (size_t i = 0; i < m->n; i++) {
		const struct range *r = &m->ranges[i];
		uint64_t at = -r->addr & (PAGE - 1);

		while (at < r->kept) {
			size_t size = r->kept - at < CHUNK ? (size_t)(r->kept - at) : CHUNK;
			ssize_t n = read_at(m->fd, chunk, size, r->offset + at);
			int res;

			/* what this host doesn't let be read is skipped in steps, not given up */
			if (n < 0 && n != -EFAULT && n != -EPERM && n != -EIO)
				return lu_error_set(e, (int)n, NULL, "%s: reading at %#llx: %s", m->name,
						    (unsigned long long)(r->addr + at), strerror((int)-n));
			if (n == 0)
				break;
			if (n < 0)
				failed = (int)n;
			if (n > 0) {
				any = true;
				res = find_in_chunk(chunk, (size_t)n, r->addr + at, magic, found, data);
				if (res != 0)
					return res;
			}
			at += CHUNK;
		}
	}
	if (failed && !any)
		return lu_error_set(e, failed, "run it as root, on a kernel that isn't locked down and has /proc/kcore",
				    "%s: none of it can be read: %s", m->name, strerror(-failed));
	return 0;
}

static int elf_ranges(struct lu_memory *m, uint64_t file_size, struct lu_error *e)
{
	const char *hint = "give an ELF core of a host's memory, by QEMU's dump-guest-memory or kdump";
	_cleanup_(elf_endp) Elf *elf = NULL;
	GElf_Ehdr eh;
	size_t n;
	int r = 0;

	if (elf_version(EV_CURRENT) == EV_NONE)
		return lu_error_set(e, -EOPNOTSUPP, NULL, "libelf is too old");
	elf = elf_begin(m->fd, ELF_C_READ, NULL);
	if (!elf || !gelf_getehdr(elf, &eh) || elf_getphdrnum(elf, &n) != 0)
		return lu_error_set(e, -EBADMSG, hint, "%s: the ELF header cannot be read: %s", m->name,
				    elf_errmsg(-1));
	if (eh.e_type != ET_CORE || eh.e_machine != EM_X86_64)
		return lu_error_set(e, -ENOEXEC, hint, "%s: no core of an x86-64 machine (ELF type %u, machine %u)",
				    m->name, eh.e_type, eh.e_machine);
	for (size_t i = 0; r == 0 && i < n; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(elf, (int)i, &ph))
			return lu_error_set(e, -EBADMSG, hint, "%s: program header %zu cannot be read: %s", m->name, i,
					    elf_errmsg(-1));
		if (ph.p_type != PT_LOAD || ph.p_paddr >= ADDR_MAX || ph.p_memsz > ADDR_MAX - ph.p_paddr)
			continue;
		if (ph.p_filesz > ph.p_memsz)
			ph.p_filesz = ph.p_memsz;
		if (file_size && (ph.p_offset > file_size || ph.p_filesz > file_size - ph.p_offset)) {
			uint64_t left = ph.p_offset < file_size ? file_size - ph.p_offset : 0;

			m->cut += ph.p_filesz - left;
			ph.p_filesz = left;
		}
		r = range_add(m, ph.p_paddr, ph.p_memsz, ph.p_offset, ph.p_filesz);
	}
	if (r == 0 && m->n == 0)
		return lu_error_set(e, -EBADMSG, hint, "%s: contains no memory", m->name);
	return r < 0 ? lu_error_set(e, r, NULL, "%s: its program headers: %s", m->name, strerror(-r)) : 0;
}

static int memory_new(int rootfd, const char *path, const char *name, struct lu_memory **ret, struct lu_error *e)
{
	_cleanup_(lu_memory_freep) struct lu_memory *m = calloc(1, sizeof(*m));

	if (!m)
		return lu_error_set(e, -ENOMEM, NULL, "out of memory");
	m->fd = openat(rootfd, path, O_RDONLY | O_CLOEXEC);
	if (m->fd < 0)
		return lu_error_set(e, -errno, NULL, "%s: %s", name, strerror(errno));
	m->name = strdup(name);
	if (!m->name)
		return lu_error_set(e, -ENOMEM, NULL, "out of memory");
	*ret = steal_ptr(m);
	return 0;
}

static int open_image(struct lu_memory *m, struct lu_error *e)
{
	const char *packed = "makedumpfile -E, or dump-guest-memory without -z and -l, makes an ELF file";
	uint8_t head[16] = { 0 };
	uint64_t size = 0;
	struct statfs fs;
	struct stat st;
	ssize_t n;
	int r;

	if (fstat(m->fd, &st) < 0 || fstatfs(m->fd, &fs) < 0)
		return lu_error_set(e, -errno, NULL, "%s: %s", m->name, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return lu_error_set(e, -EISDIR, NULL, "%s: a directory", m->name);
	if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) {
		off_t end = lseek(m->fd, 0, SEEK_END);

		size = end > 0 ? (uint64_t)end : 0;
	}
	n = read_at(m->fd, head, sizeof(head), 0);
	if (n < 0)
		return lu_error_set(e, (int)n, NULL, "%s: %s", m->name, strerror((int)-n));
	if (memcmp(head, ELFMAG, SELFMAG) == 0) {
		/* what a file of /proc says of its size means nothing */
		r = elf_ranges(m, fs.f_type == PROC_SUPER_MAGIC ? 0 : size, e);
	} else if (memcmp(head, "KDUMP   ", 8) == 0 || memcmp(head, "makedumpfile", 12) == 0) {
		return lu_error_set(e, -EOPNOTSUPP, packed, "%s: a compressed dump", m->name);
	} else if (size < PAGE || size > ADDR_MAX) {
		return lu_error_set(e, -EBADMSG, NULL, "%s: no image of a memory: %llu bytes", m->name,
				    (unsigned long long)size);
	} else {
		r = range_add(m, 0, size, 0, size);
		if (r < 0)
			lu_error_set(e, r, NULL, "out of memory");
	}
	if (r == 0)
		ranges_settle(m);
	return r;
}

int lu_memory_open(const char *path, struct lu_memory **ret, struct lu_error *e)
{
	_cleanup_(lu_memory_freep) struct lu_memory *m = NULL;
	int r = memory_new(AT_FDCWD, path, path, &m, e);

	if (r == 0)
		r = open_image(m, e);
	if (r == 0)
		*ret = steal_ptr(m);
	return r;
}

/* "00100000-bfffffff : System RAM"; what is indented lies within */
static int iomem_ranges(int rootfd, struct lu_memory *m, struct lu_error *e)
{
	_cleanup_free_ char *text = NULL;
	int r = lu_read_file(rootfd, rootfd == AT_FDCWD ? "/proc/iomem" : "proc/iomem", IOMEM_MAX, &text, NULL);

	if (r < 0)
		return lu_error_set(e, r, NULL, "/proc/iomem: %s", strerror(-r));
	for (char *line = text, *end; r == 0 && *line; line = end) {
		unsigned long long from, to;
		int at = 0;

		end = line + strcspn(line, "\n");
		if (*end)
			*end++ = '\0';
		if (*line != ' ' && sscanf(line, "%llx-%llx : %n", &from, &to, &at) == 2 &&
		    strcmp(line + at, "System RAM") == 0 && from < to && to < ADDR_MAX)
			r = range_add(m, from, to - from + 1, from, to - from + 1);
	}
	if (r == 0 && m->n == 0)
		return lu_error_set(e, -EPERM, "run it as root", "/proc/iomem names no memory");
	if (r < 0)
		return lu_error_set(e, r, NULL, "out of memory");
	ranges_settle(m);
	return 0;
}

int lu_memory_open_host(int rootfd, struct lu_memory **ret, struct lu_error *e)
{
	_cleanup_(lu_memory_freep) struct lu_memory *kcore = NULL, *mem = NULL;
	_cleanup_error_ struct lu_error first = LU_ERROR_INIT;
	const char *hint =
		"run it as root, on a kernel with /proc/kcore or an unrestricted /dev/mem that isn't locked down";
	bool here = rootfd == AT_FDCWD;
	int r;

	r = memory_new(rootfd, here ? "/proc/kcore" : "proc/kcore", "/proc/kcore", &kcore, &first);
	if (r == 0)
		r = elf_ranges(kcore, 0, &first);
	if (r == 0) {
		ranges_settle(kcore);
		*ret = steal_ptr(kcore);
		return 0;
	}
	r = memory_new(rootfd, here ? "/dev/mem" : "dev/mem", "/dev/mem", &mem, NULL);
	if (r == 0)
		r = iomem_ranges(rootfd, mem, NULL);
	if (r == 0) {
		*ret = steal_ptr(mem);
		return 0;
	}
	return lu_error_set(e, r, hint, "this host's memory: %s", first.what ?: strerror(-r));
}

/* Segments of a saved image: pages that follow each other, and what lies between them */
struct saver {
	Elf64_Phdr *list;
	size_t n, room;
	uint64_t offset;
};

static int save_segment(struct saver *s, uint64_t addr, uint64_t size, bool kept)
{
	if (size == 0)
		return 0;
	if (s->n == s->room) {
		size_t room = s->room ? s->room * 2 : 64;
		Elf64_Phdr *list = reallocarray(s->list, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		s->list = list;
		s->room = room;
	}
	s->list[s->n++] = (Elf64_Phdr){ .p_type = PT_LOAD,
					.p_flags = PF_R,
					.p_offset = s->offset,
					.p_paddr = addr,
					.p_memsz = size,
					.p_filesz = kept ? size : 0,
					.p_align = PAGE };
	if (kept)
		s->offset += size;
	return 0;
}

static int save_layout(struct lu_memory *m, const uint64_t *pages, size_t n, struct saver *s)
{
	size_t at = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n; i++) {
		uint64_t pos = m->ranges[i].addr, end = pos + m->ranges[i].size;

		while (r == 0 && pos < end) {
			uint64_t run = pos;

			while (at < n && pages[at] == run && end - run >= PAGE) {
				run += PAGE;
				at++;
			}
			if (run > pos) {
				r = save_segment(s, pos, run - pos, true);
				pos = run;
				continue;
			}
			run = at < n && pages[at] > pos && pages[at] < end ? pages[at] : end;
			r = save_segment(s, pos, run - pos, false);
			pos = run;
		}
	}
	return r;
}

static int save_pages(struct lu_memory *m, const struct saver *s, int fd)
{
	uint8_t page[PAGE];
	int r = 0;

	for (size_t i = 0; i < s->n; i++)
		for (uint64_t at = 0; r == 0 && at < s->list[i].p_filesz; at += PAGE) {
			r = lu_memory_read(m, s->list[i].p_paddr + at, page, PAGE);
			r = r == 0 ? lu_write_all(fd, page, PAGE) : r > 0 ? -ENODATA : r;
		}
	return r;
}

int lu_memory_save(struct lu_memory *m, const uint64_t *pages, size_t n, const char *path, struct lu_error *e)
{
	struct saver s = { 0 };
	_cleanup_free_ Elf64_Phdr *list = NULL;
	_cleanup_close_ int fd = -EBADF;
	Elf64_Ehdr eh = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(eh),
		.e_ehsize = sizeof(eh),
		.e_phentsize = sizeof(Elf64_Phdr),
	};
	int r = save_layout(m, pages, n, &s);

	list = s.list;
	if (r == 0 && s.n >= PN_XNUM)
		return lu_error_set(e, -E2BIG, NULL, "%s: the metadata is in too many pieces for an ELF file", path);
	if (r < 0)
		return lu_error_set(e, r, NULL, "out of memory");
	eh.e_phnum = (Elf64_Half)s.n;
	for (size_t i = 0; i < s.n; i++)
		list[i].p_offset += sizeof(eh) + s.n * sizeof(*list);
	/* names of files are in it: not for everybody */
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return lu_error_set(e, -errno, NULL, "%s: %s", path, strerror(errno));
	r = lu_write_all(fd, &eh, sizeof(eh));
	if (r == 0)
		r = lu_write_all(fd, list, s.n * sizeof(*list));
	if (r == 0)
		r = save_pages(m, &s, fd);
	return r < 0 ? lu_error_set(e, r, NULL, "%s: %s", path, strerror(-r)) : 0;
}
