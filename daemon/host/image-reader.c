// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading an image takes it apart with several decompressors, for seconds, and the file is somebody else's.
 * So it is done in a child, whose life has two parts:
 *
 *	as luctld	open (paths) or take (descriptors) → regular file? → copy it into the memfd → seal that
 *	in the sandbox	read the sealed copy → tell what it is, in memory that is shared with luctld
 *
 * Nothing but bytes is looked at before the sandbox; a file whose file system hangs costs the child, not the loop.
 * What the child tells is as good as hostile: fixed fields, each checked here, and nothing in it is a pointer.
 *
 * The copy is sealed before it is judged and is what kexec gets, so what is loaded is what was checked, whatever becomes of the
 * file. The initrd is not judged, only asked whether it can be read; it is loaded from the descriptor.
 *
 * Not handled: kernels whose signature stands in an extended attribute of the file (IMA) and not in the image: the
 * copy has none, so a host that demands one refuses to load it.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "image-reader.h"
#include "sandbox.h"
#include "worker.h"

#define TIMEOUT_USEC (100 * UINT64_C(1000000)) /* less than the state checking has */
#define PIECE (1u << 20)
#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define HINT_READABLE "give a regular file that you can read"

struct told_error {
	int32_t code;
	char what[LU_TEXT_MAX + 1], hint[512];
};

/* What the child says. */
struct told {
	uint32_t finished;
	struct told_error error, initrd_error;
	uint32_t kind, boot_protocol, cmdline_max;
	uint32_t relocatable, loaded_high, entry_64, above_4g, level5, is_signed;
	uint64_t kernel_size;
	char release[LU_RELEASE_MAX + 1];
	char compression[16];
	uint32_t abi_present, pkernfs_version, pkernfs_min_version;
	uint64_t pkernfs_incompat, pkernfs_ro_compat, iommu;
	char kho[LU_ABI_STRING_MAX + 1], luo[LU_ABI_STRING_MAX + 1], pkeep[LU_ABI_STRING_MAX + 1];
};

struct lu_image_reader {
	struct lu_worker *worker;
	struct told *told;
	int memfd; /* writable until the child has sealed it */
	char *kernel;
	lu_image_done_t done;
	void *userdata;
};

struct work {
	const struct lu_image_source *source;
	struct told *told;
	int memfd;
};

/* --- the child --- */

static void tell_error(struct told_error *to, int r, const struct lu_error *e)
{
	to->code = r;
	snprintf(to->what, sizeof(to->what), "%s", e->what ?: strerror(-r));
	snprintf(to->hint, sizeof(to->hint), "%s", e->hint ?: "");
}

/* Who adds a field has it told, too: what is not told looks like what an old image does not say. */
_Static_assert(sizeof(struct lu_abi) == 136, "a field of struct lu_abi that tell_image() and hear_image() do not know");

static void tell_image(struct told *t, const struct lu_image *i)
{
	t->kind = i->kind;
	t->boot_protocol = i->boot_protocol;
	t->cmdline_max = i->cmdline_max;
	t->relocatable = i->relocatable;
	t->loaded_high = i->loaded_high;
	t->entry_64 = i->entry_64;
	t->above_4g = i->above_4g;
	t->level5 = i->level5;
	t->is_signed = i->is_signed;
	t->kernel_size = i->kernel_size;
	memcpy(t->release, i->release, sizeof(t->release));
	snprintf(t->compression, sizeof(t->compression), "%s", i->compression ?: "");
	t->abi_present = i->abi.present;
	t->pkernfs_version = i->abi.pkernfs_version;
	t->pkernfs_min_version = i->abi.pkernfs_min_version;
	t->pkernfs_incompat = i->abi.pkernfs_incompat;
	t->pkernfs_ro_compat = i->abi.pkernfs_ro_compat;
	t->iommu = i->abi.iommu;
	memcpy(t->kho, i->abi.kho, sizeof(t->kho));
	memcpy(t->luo, i->abi.luo, sizeof(t->luo));
	memcpy(t->pkeep, i->abi.pkeep, sizeof(t->pkeep));
}

/* A regular file that is open for reading, whoever opened it. A descriptor stays the caller's, so it is duplicated. */
static int open_file(const struct lu_image_source *s, int given, const char *path, struct lu_error *e)
{
	int fd, flags;
	struct stat st;

	if (given > 0)
		fd = fcntl(given, F_DUPFD_CLOEXEC, 3);
	else if (s->may_open)
		fd = lu_open_regular(AT_FDCWD, path);
	else
		return lu_error_set(e, -EACCES, HINT_READABLE, "%s: is not there, or not readable for the one who asks",
				    path);
	if (fd < 0) {
		fd = given > 0 ? -errno : fd;
		if (fd == -EMEDIUMTYPE)
			return lu_error_set(e, fd, HINT_READABLE, "%s: is not a regular file", path);
		return lu_error_set(e, fd, HINT_READABLE, "%s: %s", path, strerror(-fd));
	}
	flags = fcntl(fd, F_GETFL);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (flags & O_PATH) || (flags & O_ACCMODE) == O_WRONLY) {
		close(fd);
		return lu_error_set(e, -ENOEXEC, HINT_READABLE, "%s: is not a regular file that is open for reading",
				    path);
	}
	return fd;
}

static int copy(int from, int to, const char *path, struct lu_error *e)
{
	_cleanup_free_ char *piece = malloc(PIECE);
	off_t at = 0;

	if (!piece)
		return -ENOMEM;
	for (;;) {
		ssize_t n = pread(from, piece, PIECE, at);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return lu_error_set(e, -errno, NULL, "%s: %s", path, strerror(errno));
		if (n == 0)
			break;
		at += n;
		if ((uint64_t)at > LU_IMAGE_FILE_MAX)
			return lu_error_set(e, -EFBIG, "give the kernel's bzImage, usually /boot/vmlinuz-RELEASE",
					    "%s: more than %llu bytes, too large for a boot image", path,
					    LU_IMAGE_FILE_MAX);
		r = lu_write_all(to, piece, (size_t)n);
		if (r < 0)
			return lu_error_set(e, r, NULL, "copy of %s: %s", path, strerror(-r));
	}
	return fcntl(to, F_ADD_SEALS, SEALS) < 0 ? -errno : 0;
}

static int prepare(const struct work *w, struct lu_error *e)
{
	const struct lu_image_source *s = w->source;
	_cleanup_error_ struct lu_error initrd = LU_ERROR_INIT;
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (s->initrd) {
		_cleanup_close_ int initrd_fd = open_file(s, s->initrd_fd, s->initrd, &initrd);
		char byte;

		r = initrd_fd;
		if (r >= 0) {
			ssize_t n = pread(initrd_fd, &byte, 1, 0);

			r = n < 0 ? -errno : n == 0 ? -ENODATA : 0;
		}
		if (r == -ENODATA)
			(void)lu_error_set(&initrd, r, HINT_READABLE, "%s: is empty", s->initrd);
		else if (r < 0)
			(void)lu_error_set(&initrd, r, HINT_READABLE, "%s: %s", s->initrd, strerror(-r));
		if (r < 0)
			tell_error(&w->told->initrd_error, r, &initrd);
	}
	fd = open_file(s, s->kernel_fd, s->kernel, e);
	return fd < 0 ? fd : copy(fd, w->memfd, s->kernel, e);
}

/* Never returns an error of its own: all is told. */
static int work(void *arg, struct lu_error *unused)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct work *w = arg;
	struct lu_image image;
	int r;

	r = prepare(w, &e);
	if (r >= 0 && (dup2(w->memfd, 3) < 0 || syscall(SYS_close_range, 4, ~0U, 0) < 0))
		r = -errno;
	if (r >= 0)
		r = lu_sandbox_enter(&e);
	if (r >= 0)
		r = lu_image_read_fd(3, w->source->kernel, &image, &e);
	if (r >= 0)
		tell_image(w->told, &image);
	else
		tell_error(&w->told->error, r, &e);
	w->told->finished = 1;
	return 0;
}

/* --- luctld --- */

static void hear_error(const struct told_error *from, struct lu_error *e)
{
	if (from->code)
		(void)lu_error_set(e, from->code < 0 && from->code > -4096 ? from->code : -EIO,
				   from->hint[0] ? from->hint : NULL, "%s", from->what);
}

static const char *compression_name(const char *told)
{
	static const char *const names[] = { "gzip", "bzip2", "lzma", "xz", "lz4", "zstd", "none" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], told))
			return names[i];
	return "unknown";
}

#define hear_text(_to, _from)                    \
	({                                       \
		memcpy(_to, _from, sizeof(_to)); \
		(_to)[sizeof(_to) - 1] = '\0';   \
		lu_text_clean(_to);              \
	})

static void hear_image(struct told *t, struct lu_image *i)
{
	t->compression[sizeof(t->compression) - 1] = '\0';
	*i = (struct lu_image){
		.kind = t->kind == LU_IMAGE_BZIMAGE ? LU_IMAGE_BZIMAGE : LU_IMAGE_VMLINUX,
		.compression = compression_name(t->compression),
		.boot_protocol = (uint16_t)t->boot_protocol,
		.cmdline_max = t->cmdline_max,
		.relocatable = t->relocatable != 0,
		.loaded_high = t->loaded_high != 0,
		.entry_64 = t->entry_64 != 0,
		.above_4g = t->above_4g != 0,
		.level5 = t->level5 != 0,
		.is_signed = t->is_signed != 0,
		.kernel_size = t->kernel_size,
		.abi = {
			.present = t->abi_present != 0,
			.pkernfs_version = t->pkernfs_version,
			.pkernfs_min_version = t->pkernfs_min_version,
			.pkernfs_incompat = t->pkernfs_incompat,
			.pkernfs_ro_compat = t->pkernfs_ro_compat,
			.iommu = t->iommu,
		},
	};
	hear_text(i->release, t->release);
	hear_text(i->abi.kho, t->kho);
	hear_text(i->abi.luo, t->luo);
	hear_text(i->abi.pkeep, t->pkeep);
}

/* Without a writer, whom the kernel does not tolerate when it reads an image to be loaded. */
static int open_sealed(const struct lu_image_reader *r)
{
	char path[48];
	int fd;

	if ((fcntl(r->memfd, F_GET_SEALS) & SEALS) != SEALS)
		return -EBADMSG;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", r->memfd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void on_worker(void *userdata, int k, struct lu_error *error)
{
	struct lu_image_reader *r = userdata;
	struct lu_image_read result = { .fd = -EBADF };
	struct told *t = malloc(sizeof(*t));

	if (t)
		memcpy(t, r->told, sizeof(*t));
	if (!t) {
		(void)lu_error_set(&result.error, -ENOMEM, NULL, "%s: no memory", r->kernel);
	} else if (k < 0 || t->finished != 1) {
		(void)lu_error_set(&result.error, k < 0 ? k : -EIO, "is it a kernel's bzImage?",
				   "%s: can't be read, the process that did was ended: %s", r->kernel,
				   error->what ?: "it did not finish");
	} else {
		t->error.what[LU_TEXT_MAX] = t->initrd_error.what[LU_TEXT_MAX] = '\0';
		t->error.hint[sizeof(t->error.hint) - 1] = t->initrd_error.hint[sizeof(t->error.hint) - 1] = '\0';
		hear_error(&t->error, &result.error);
		hear_error(&t->initrd_error, &result.initrd_error);
		if (!result.error.code) {
			hear_image(t, &result.image);
			result.fd = open_sealed(r);
			if (result.fd < 0)
				(void)lu_error_set(&result.error, result.fd, NULL, "copy of %s: %s", r->kernel,
						   strerror(-result.fd));
		}
	}
	free(t);
	closep(&r->memfd);
	r->memfd = -EBADF;
	r->done(r->userdata, &result);
	lu_error_clear(&result.error);
	lu_error_clear(&result.initrd_error);
	closep(&result.fd);
}

struct lu_image_reader *lu_image_reader_free(struct lu_image_reader *r)
{
	if (!r)
		return NULL;
	lu_worker_free(r->worker);
	if (r->told)
		munmap(r->told, sizeof(*r->told));
	closep(&r->memfd);
	free(r->kernel);
	free(r);
	return NULL;
}
DEFINE_CLEANUP(struct lu_image_reader *, lu_image_reader_free)

int lu_image_reader_start(sd_event *event, const struct lu_image_source *source, lu_image_done_t done, void *userdata,
			  struct lu_image_reader **ret)
{
	_cleanup_(lu_image_reader_freep) struct lu_image_reader *r = calloc(1, sizeof(*r));
	struct work w = { .source = source };
	int k;

	if (!r)
		return -ENOMEM;
	r->done = done;
	r->userdata = userdata;
	r->memfd = memfd_create("luctl-image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	r->kernel = strdup(source->kernel);
	if (r->memfd < 0 || !r->kernel)
		return r->memfd < 0 ? -errno : -ENOMEM;
	r->told = mmap(NULL, sizeof(*r->told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->told == MAP_FAILED) {
		r->told = NULL;
		return -errno;
	}
	w.told = r->told;
	w.memfd = r->memfd;
	k = lu_worker_call(event, work, &w, TIMEOUT_USEC, on_worker, r, &r->worker);
	if (k < 0)
		return k;
	*ret = steal_ptr(r);
	return 0;
}
