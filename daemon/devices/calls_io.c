// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The journal of calls as a file of a VM's directory, and what ties it to devices.json; the format is in
 * libluctl/calls/calls.h.
 *
 * Written once, as a whole, when the VM stands still; durable before devices.json, which has its boot id, count and
 * sum, and which saved.json commits. So what is executed is what was committed, or nothing.
 *
 * Results are appended behind the seal. pkernfs may be full by then, so there is room for them from the start. If one
 * can't be written the restore goes on without: a witness costs no guest.
 *
 * A devices.json of version 1, of the luctld before the one that has journals, has no journal: the calls are derived
 * from it here, as they were then.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "devices-internal.h"

#define bad(_e, ...)                                                                                            \
	lu_error_set(_e, -EBADMSG, "nothing was done; the devices go on, and luctl restore can be tried again", \
		     LU_CALLS_FILE ": " __VA_ARGS__)

/* Blocks behind the end of the file; a file system that can't do that has none to give away either. */
static int reserve(int dir_fd, const struct lu_calls *c)
{
	_cleanup_close_ int fd = openat(dir_fd, LU_CALLS_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	off_t room = (off_t)(c->n + LU_CALLS_TRIES) * (off_t)sizeof(struct lu_calls_result);

	if (fd < 0)
		return -errno;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)c->sealed + room) == 0 || errno == EOPNOTSUPP)
		return 0;
	return -errno;
}

int lu_devices_write_calls(int dir_fd, const char *vm, struct lu_devices *d, struct lu_error *e)
{
	_cleanup_calls_ struct lu_calls c = LU_CALLS_INIT;
	_cleanup_free_ void *data = NULL;
	size_t size;
	int r = lu_devices_plan(d, &c);

	if (r < 0)
		return r;
	snprintf(c.vm, sizeof(c.vm), "%s", vm);
	c.stamp = lu_stamp_now();
	r = lu_boot_id(c.boot_id);
	if (r >= 0 && getrandom(&c.salt, sizeof(c.salt), 0) != sizeof(c.salt))
		r = -EIO;
	if (r < 0)
		return lu_error_set(e, r, NULL, LU_CALLS_FILE ": boot id or salt: %s", strerror(-r));
	/* what could not be executed is never written */
	r = lu_calls_check(&c, LU_CALLS_FILE, e);
	if (r >= 0)
		r = lu_calls_encode(&c, &data, &size, e);
	if (r < 0)
		return r;
	r = lu_write_file(dir_fd, LU_CALLS_FILE, data, size, 0600);
	if (r >= 0)
		r = reserve(dir_fd, &c);
	if (r < 0)
		return lu_error_set(e, r, r == -ENOSPC ? "make room in pkernfs" : NULL,
				    LU_CALLS_FILE ": can't write it: %s", strerror(-r));
	if (!d->journal)
		d->journal = calloc(1, sizeof(*d->journal));
	if (!d->journal)
		return -ENOMEM;
	free(d->journal->boot_id);
	*d->journal = (struct lu_devices_journal){ .boot_id = strdup(c.boot_id), .calls = c.n, .sum = c.sum };
	return d->journal->boot_id ? 0 : -ENOMEM;
}

static bool goes_with(const struct lu_devices_fd *f, const struct lu_call *call)
{
	static const int kinds[LU_CALL_KINDS] = {
		[LU_CALL_DUP] = LU_FD_MEMORY + 1,
		[LU_CALL_EVENTFD] = LU_FD_EVENTFD + 1,
		[LU_CALL_OPEN_IOMMU] = LU_FD_IOMMUFD + 1,
		[LU_CALL_OPEN_DEVICE] = LU_FD_VFIO_DEVICE + 1,
		[LU_CALL_GET_DEVICE] = LU_FD_VFIO_DEVICE + 1,
		[LU_CALL_OPEN_GROUP] = LU_FD_VFIO_GROUP + 1,
	};

	return f->kind + 1 == kinds[call->kind] && f->id == call->file_id && !strcmp(f->name, call->name);
}

int lu_calls_match(const struct lu_devices *d, const struct lu_calls *c, uint32_t **ret, struct lu_error *e)
{
	_cleanup_free_ uint32_t *files = calloc(d->n_fds + 1, sizeof(*files));
	uint32_t at = 0, n = 0;

	if (!files)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->n_files; i++) {
		enum lu_call_kind kind = c->list[c->opened[i]].kind;

		n += lu_call_types[kind].makes != LU_CALL_MEMORY;
		if (kind == LU_CALL_MEMFD && !d->session)
			return bad(e, "it has memfds, but " LU_DEVICES_FILE " names no session");
	}
	if (n != d->n_fds)
		return bad(e, "its calls open %u files of QEMU, " LU_DEVICES_FILE " has %zu", n, d->n_fds);
	for (size_t i = 0; i < d->n_fds; i++) {
		uint32_t tried = 0;

		/* mostly the next one */
		while (tried < c->n_files && !goes_with(&d->fds[i], &c->list[c->opened[at]])) {
			at = (at + 1) % c->n_files;
			tried++;
		}
		if (tried == c->n_files)
			return bad(e, "no call makes file %s, id %d", d->fds[i].name, d->fds[i].id);
		files[i] = at;
	}
	*ret = steal_ptr(files);
	return 0;
}

int lu_devices_read_calls(int dir_fd, const char *vm, const struct lu_devices *d, struct lu_calls *ret,
			  struct lu_error *e)
{
	_cleanup_calls_ struct lu_calls c = LU_CALLS_INIT;
	_cleanup_free_ uint32_t *files = NULL;
	_cleanup_free_ char *data = NULL;
	size_t size;
	int r;

	if (!d->journal) {
		r = lu_devices_plan(d, &c);
	} else {
		r = lu_read_file(dir_fd, LU_CALLS_FILE, LU_CALLS_FILE_MAX, &data, &size);
		if (r < 0)
			return lu_error_set(e, r, NULL, LU_CALLS_FILE ": can't read it: %s", strerror(-r));
		r = lu_calls_decode(data, size, LU_CALLS_FILE, &c, e);
		if (r >= 0 && strcasecmp(c.vm, vm) != 0)
			return bad(e, "it is of VM %s, not of this one", c.vm);
		if (r >= 0 && strcasecmp(c.boot_id, d->journal->boot_id) != 0)
			return bad(e, "it was written in boot %s, but this VM was saved in boot %s", c.boot_id,
				   d->journal->boot_id);
		if (r >= 0 && (c.n != d->journal->calls || c.sum != d->journal->sum))
			return bad(e,
				   "it is not the one that was committed (%zu calls, sum %08x; committed were %" PRIu64
				   " calls, sum %08x)",
				   c.n, c.sum, d->journal->calls, (unsigned int)d->journal->sum);
	}
	if (r >= 0)
		r = lu_calls_check(&c, LU_CALLS_FILE, e);
	if (r >= 0)
		r = lu_calls_match(d, &c, &files, e);
	if (r < 0)
		return r;
	*ret = c;
	c = LU_CALLS_INIT;
	return 0;
}

int lu_devices_open_log(int dir_fd, const struct lu_devices *d, const struct lu_calls *c)
{
	_cleanup_close_ int fd = -EBADF;

	if (!d->journal || c->outcomes_damaged)
		return -ENODATA;
	fd = openat(dir_fd, LU_CALLS_FILE, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || (c->torn && ftruncate(fd, (off_t)c->end) < 0))
		return -errno;
	return steal_fd(&fd);
}
