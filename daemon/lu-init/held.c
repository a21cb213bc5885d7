// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a VM with passed-through devices needs before its QEMU is started: the descriptors of its
 * CPR state. Either they are made anew by the calls of its journal (the next kernel), or luctld has them open
 * still (this kernel, going back) and they are copied from it.
 *
 *	session of the orchestrator → memfds → the journal's calls (daemon/devices) → CPR state with the new numbers
 *
 * All that was got is kept in struct lu_held over a failed attempt: a session can be retrieved once,
 * and a device whose descriptor is closed is stopped by the kernel.
 */
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "lu-init.h"

/* luctld looks for it in the program before a jump */
__attribute__((used)) static const char reader[] = LU_CALLS_READER LU_CALLS_READER_CONTAINERS;

#define LUO_WAIT_MS 10000u /* other VMs open the device for moments */

static int fetch_memfds(struct lu_held *h, const char *uuid, struct lu_error *e)
{
	_cleanup_close_ int device = -EBADF;
	int r;

	if (!h->doc.session || h->session.fd >= 0)
		return 0;
	h->memfds = calloc(h->calls.n_files + 1, sizeof(*h->memfds));
	if (!h->memfds)
		return -ENOMEM;
	device = lu_luo_open(LU_LUO_DEVICE, LUO_WAIT_MS, e);
	if (device < 0)
		return device;
	r = lu_luo_retrieve(device, uuid, &h->session, e);
	for (size_t i = 0; r >= 0 && i < h->calls.n; i++) {
		struct lu_replay_memfd *m = &h->memfds[h->n_memfds];

		if (h->calls.list[i].kind != LU_CALL_MEMFD)
			continue;
		m->token = h->calls.list[i].args[LU_MEMFD_TOKEN];
		m->fd = lu_luo_retrieve_fd(&h->session, m->token, e);
		r = m->fd;
		h->n_memfds += r >= 0;
	}
	return r < 0 ? r : 0;
}

/* For the results: whose they are, and where they go. Without it the VM is restored just as well. */
static void open_log(struct lu_held *h, int dir)
{
	char boot_id[37];
	uint8_t bytes[16];

	if (lu_boot_id(boot_id) == 0 && lu_uuid_parse(boot_id, bytes) == 0)
		memcpy(&h->from.boot, bytes, sizeof(h->from.boot));
	h->from.log_fd = lu_devices_open_log(dir, &h->doc, &h->calls);
}

static int replay(struct lu_held *h, int root, int dir, struct lu_error *e)
{
	struct lu_replay_from *from = &h->from;
	int r = 0;

	if (!h->replay) {
		from->sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		from->dev_fd = open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		from->pkernfs_fd = fcntl(root, F_DUPFD_CLOEXEC, 3);
		if (from->sys_fd < 0 || from->dev_fd < 0 || from->pkernfs_fd < 0)
			return -errno;
		from->memfds = h->memfds;
		from->n_memfds = h->n_memfds;
		from->timeout_ms = LU_INIT_NEEDS_MS;
		open_log(h, dir);
		r = lu_replay_new(&h->replay, &h->doc, &h->calls, from, e);
	}
	if (r >= 0)
		r = lu_replay_run(h->replay, e);
	if (r >= 0)
		r = lu_replay_take(h->replay, &h->cpr);
	return r;
}

/* The CPR state first, then its descriptors: the numbers that they get in QEMU follow from it. */
static int list(struct lu_held *h, const struct lu_launch *l, struct lu_error *e)
{
	_cleanup_free_ int *numbers = calloc(h->cpr.n_fds + 1, sizeof(*numbers)),
			   *fds = calloc(h->cpr.n_fds + 1, sizeof(*fds));
	int r;

	if (!fds || !numbers)
		return -ENOMEM;
	numbers[0] = LU_LAUNCH_MORE_FD;
	r = lu_cpr_number(&h->cpr, l, numbers + 1, e);
	if (r >= 0)
		r = lu_cpr_write_exec(&h->cpr, numbers + 1, &fds[0], e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < h->cpr.n_fds; i++)
		fds[i + 1] = steal_fd(&h->cpr.fds[i].fd);
	h->fds = steal_ptr(fds);
	h->numbers = steal_ptr(numbers);
	h->n_fds = h->cpr.n_fds + 1;
	return 0;
}

int lu_held_replay(struct lu_held *h, int root, int dir, const struct lu_saved *saved, const struct lu_launch *l,
		   struct lu_error *e)
{
	_cleanup_error_ struct lu_error finish = LU_ERROR_INIT;
	int r = 0;

	if (h->fds)
		return 0;
	if (!h->read)
		r = lu_devices_read(dir, saved->uuid, saved->devices_size, (uint32_t)saved->devices_crc32, &h->doc,
				    &h->calls, e);
	if (r < 0)
		return r;
	h->read = true;
	r = fetch_memfds(h, saved->uuid, e);
	if (r >= 0)
		r = replay(h, root, dir, e);
	if (r >= 0)
		r = list(h, l, e);
	if (r < 0)
		return r;
	/* what is in use is in QEMU's hands soon; the session has served its purpose whatever it says */
	(void)lu_luo_finish(&h->session, &finish);
	return 0;
}

/* "PID:N,N,…" */
static int copy(struct lu_held *h, const char *text, struct lu_error *e)
{
	_cleanup_close_ int pidfd = -EBADF;
	size_t room = 1;
	char *end;
	long pid;

	if (h->fds)
		return 0;
	pid = strtol(text, &end, 10);
	if (pid <= 0 || *end != ':')
		return lu_error_set(e, -EINVAL, NULL, "--fds %s: PID:FD,… is wanted", text);
	pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (pidfd < 0)
		return lu_error_set(e, -errno, NULL, "--fds: process %ld: %s", pid, strerror(errno));
	for (const char *p = end; *p; p++)
		room += *p == ',';
	h->fds = calloc(room, sizeof(*h->fds));
	if (!h->fds)
		return -ENOMEM;
	for (const char *p = end; *p; p = end) {
		long n = strtol(p + 1, &end, 10);
		int fd;

		if (end == p + 1 || (*end && *end != ','))
			return lu_error_set(e, -EINVAL, NULL, "--fds %s: PID:FD,… is wanted", text);
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, (int)n, 0);
		if (fd < 0)
			return lu_error_set(e, -errno, NULL, "--fds: descriptor %ld of process %ld: %s", n, pid,
					    strerror(errno));
		h->fds[h->n_fds++] = fd;
	}
	return 0;
}

int lu_held_copy(struct lu_held *h, const char *text, struct lu_error *e)
{
	int r = copy(h, text, e);

	if (r < 0 || h->numbers)
		return r;
	if (h->n_fds == 0)
		return lu_error_set(e, -EINVAL, NULL, "--fds %s: PID:FD,… is wanted", text);
	h->numbers = calloc(h->n_fds, sizeof(*h->numbers));
	if (!h->numbers)
		return -ENOMEM;
	h->numbers[0] = LU_LAUNCH_MORE_FD;
	r = lu_cpr_read_exec(h->fds[0], h->numbers + 1, h->n_fds - 1, e);
	if (r < 0) {
		free(h->numbers);
		h->numbers = NULL;
	}
	return r;
}

int lu_held_borrow(const char *text, struct lu_error *e)
{
	struct lu_held one = LU_HELD_INIT;
	int fd = -EBADF, r = copy(&one, text, e);

	if (r >= 0 && one.n_fds == 1)
		fd = steal_fd(&one.fds[0]);
	if (r >= 0 && fd < 0)
		r = lu_error_set(e, -EINVAL, NULL, "--exe %s: PID:FD is wanted", text);
	if (fd >= 0)
		one.n_fds = 0;
	lu_held_clear(&one);
	return r < 0 ? r : fd;
}

bool lu_held_any(const struct lu_held *h)
{
	return h->fds || h->session.fd >= 0 || (h->replay && lu_replay_holds_devices(h->replay));
}

void lu_held_clear(struct lu_held *h)
{
	for (size_t i = 0; i < h->n_fds; i++)
		close(h->fds[i]);
	free(h->fds);
	free(h->numbers);
	lu_replay_free(h->replay);
	lu_cpr_clear(&h->cpr);
	for (size_t i = 0; i < h->n_memfds; i++)
		close(h->memfds[i].fd);
	free(h->memfds);
	lu_luo_close(&h->session);
	closep(&h->from.sys_fd);
	closep(&h->from.dev_fd);
	closep(&h->from.pkernfs_fd);
	closep(&h->from.log_fd);
	lu_devices_clear(&h->doc);
	lu_calls_clear(&h->calls);
	*h = LU_HELD_INIT;
}
