// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A QEMU that was started before the host's services sees what they mount later, with the flags that the host gives it:
 * what its unit had made read-only has to be made so again. luctld asks for it when the host is up.
 */
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lu-init.h"
#include "peers.h"

/* Its TPM, if that was started here: in a process of its own, for there is no way back out of a mount namespace. */
static void complete_tpm(const struct lu_init *i, const struct lu_launch *l)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), pidfd = -EBADF;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_peers at = { 0 };
	pid_t child, pid;

	if (!l->tpm || !l->tpm->process.view || proc < 0 || lu_peers_at(proc, l->tpm->socket, &at) < 0)
		return;
	pid = lu_peers_server(&at, l->tpm->socket);
	lu_peers_clear(&at);
	pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	if (pidfd < 0)
		return;
	child = fork();
	if (child == 0) {
		int r = setns(pidfd, CLONE_NEWNS) < 0 ? -errno : lu_view_complete(l->tpm->process.view, &e);

		if (r < 0)
			lu_log(i, "VM %s: what its TPM, process %d, sees: %s", l->name, (int)pid,
			       e.what ?: strerror(-r));
		_exit(r < 0 ? 1 : 0);
	}
	if (child > 0)
		(void)waitpid(child, NULL, 0);
}

int lu_sight_complete(const struct lu_init *i, int root, const char *uuid, struct lu_error *e)
{
	_cleanup_(lu_launch_clear) struct lu_launch launch = { 0 };
	_cleanup_(lu_result_clear) struct lu_result result = { 0 };
	_cleanup_close_ int dir = lu_store_open(root, uuid, false, e), pidfd = -EBADF;
	int r = dir;

	if (r >= 0)
		r = lu_launch_read(dir, &launch, e);
	if (r >= 0)
		complete_tpm(i, &launch);
	if (r < 0 || !launch.view)
		return r < 0 ? r : 0;
	r = lu_result_read(dir, &result, e);
	if (r < 0)
		return r;
	/* first the pidfd: whose it is is known when the process is still the one of the record */
	pidfd = (int)syscall(SYS_pidfd_open, (pid_t)result.pid, 0);
	if (pidfd < 0 || !lu_result_alive(&result))
		return lu_error_set(e, -ESRCH, NULL, "VM %s: its QEMU has ended", launch.name);
	if (setns(pidfd, CLONE_NEWNS) < 0)
		return lu_error_set(e, -errno, NULL, "VM %s: mount namespace of process %llu: %s", launch.name,
				    (unsigned long long)result.pid, strerror(errno));
	return lu_view_complete(launch.view, e);
}
