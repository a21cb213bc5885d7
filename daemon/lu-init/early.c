// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The early path, in a child of PID 1: whatever goes wrong here, even a crash, costs
 * VMs but never the boot.
 *
 *	markers of what waits → journal → ours? → record "booted" → markers → a child per VM → wait → exit
 *
 * The committed VMs are those whose vm/<uuid>/saved.json belongs to the journal's
 * update and is complete. Each gets its marker first, also those that can't be
 * resumed now: their units must not start a second QEMU on the same RAM. A VM whose
 * record is damaged gets it by the unit that launch.json names.
 *
 * Then "booted" goes into the journal, so that no later lu-init takes up this update
 * again. If that can't be written we go on: result.json of each VM guards the same.
 *
 * VMs run in parallel, since most of a restore is waiting for QEMU's start. Children
 * that are not done at the total limit are left to finish in the background; they
 * hold their VM's lock, so luctld can't get in between.
 */
#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "clock.h"
#include "lu-init.h"

#define VMS_MAX 4096

int lu_open_pkernfs(const struct lu_init *i, struct lu_error *e)
{
	_cleanup_close_ int fd = open(i->pkernfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return lu_error_set(e, -errno, NULL, "%s: %s", i->pkernfs, strerror(errno));
	if (!i->any_fs && fs.f_type != PKERNFS_SUPER_MAGIC)
		return lu_error_set(e, -ENODEV, "start run-luctl-pkernfs.mount", "no pkernfs is mounted at %s",
				    i->pkernfs);
	return steal_fd(&fd);
}

static void mark(struct lu_init *i, const char *unit)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	if (unit && lu_marker_write(i->run, unit, &e) < 0)
		lu_log_error(i, "marker: ", &e);
}

static int is_uuid_dir(const struct dirent *d)
{
	return lu_uuid_valid(d->d_name);
}

/* What an earlier update saved and nobody has restored yet waits in this kernel, too, whether or not an update is on its way. */
static void mark_waiting(struct lu_init *i, int root)
{
	struct dirent **list = NULL;
	int n = scandirat(root, "vm", &list, is_uuid_dir, alphasort);

	for (int k = 0; k < n; k++) {
		_cleanup_(lu_saved_clear) struct lu_saved saved = { 0 };
		_cleanup_(lu_launch_clear) struct lu_launch launch = { 0 };
		_cleanup_close_ int dir = lu_store_open(root, list[k]->d_name, false, NULL);

		if (dir >= 0 && lu_store_waits(dir, &saved, NULL)) {
			mark(i, saved.unit);
			if (lu_launch_read(dir, &launch, NULL) >= 0)
				mark(i, launch.unit);
		}
		free(list[k]);
	}
	if (n >= 0)
		free(list);
}

/* Marks the VM and says whether it is to be resumed now. */
static bool consider(struct lu_init *i, int root, const char *uuid, const char *update, struct lu_preload *preload)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_(lu_saved_clear) struct lu_saved saved = { 0 };
	_cleanup_(lu_launch_clear) struct lu_launch launch = { 0 };
	_cleanup_close_ int dir = lu_store_open(root, uuid, false, &e);
	int r;

	if (dir < 0) {
		lu_log_error(i, "", &e);
		return false;
	}
	r = lu_saved_read(dir, &saved, &e);
	if (r == -ENOENT)
		return false;
	if (r >= 0 && strcmp(saved.update, update) != 0)
		return false;
	if (r >= 0)
		mark(i, saved.unit);
	else
		lu_log_error(i, "not resumed: ", &e);
	if (r >= 0 && !saved.complete) {
		lu_log(i, "VM %s: not resumed: no committed state", saved.name);
		return false;
	}
	lu_error_clear(&e);
	if (lu_launch_read(dir, &launch, &e) < 0) {
		lu_log_error(i, "", &e);
		return r >= 0; /* the attempt records the error where luctld finds it */
	}
	mark(i, launch.unit);
	if (r >= 0 && !launch.early)
		lu_log(i, "VM %s: left to luctld: %s", saved.name, launch.late ?: "");
	if (r < 0 || !launch.early)
		return false;
	lu_preload_add(preload, &launch);
	return true;
}

static pid_t start(struct lu_init *i, int root, const char *uuid, const char *update)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	pid_t pid = fork();
	int r;

	if (pid != 0)
		return pid;
	r = lu_restore_vm(i, root, uuid, update, &e);
	if (r < 0)
		lu_log_error(i, "not resumed: ", &e);
	lu_error_clear(&e);
	_exit(r < 0 ? 1 : 0);
}

/* Waits for all children that are still there, until the deadline. */
static void wait_all(struct lu_init *i, unsigned int n, uint64_t deadline_ns)
{
	unsigned int failed = 0, left = n;
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	while (left > 0) {
		uint64_t now = lu_clock_ns(CLOCK_MONOTONIC);
		struct timespec ts;
		int status;
		pid_t pid;

		pid = waitpid(-1, &status, WNOHANG);
		if (pid < 0)
			break;
		if (pid > 0) {
			left--;
			failed += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
			continue;
		}
		if (now >= deadline_ns)
			break;
		ts.tv_sec = (time_t)((deadline_ns - now) / 1000000000u);
		ts.tv_nsec = (long)((deadline_ns - now) % 1000000000u);
		(void)sigtimedwait(&chld, NULL, &ts); /* blocked since before the first fork, so none is missed */
	}
	lu_log(i, "%u of %u VMs resumed%s", n - failed - left, n, left ? ", the rest is still at it" : "");
}

static int resume_all(struct lu_init *i, int root, const char *update)
{
	uint64_t deadline = lu_clock_ns(CLOCK_MONOTONIC) + LU_INIT_TOTAL_MS * 1000000ULL;
	struct lu_preload preload = { 0 };
	struct dirent **list = NULL;
	unsigned int started = 0;
	sigset_t chld;
	int n;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &chld, NULL);
	n = scandirat(root, "vm", &list, is_uuid_dir, alphasort);
	if (n < 0)
		return -errno;
	/* all markers before the first child: a crash of ours must not leave one out */
	for (int k = 0; k < n; k++)
		if (k >= VMS_MAX || !consider(i, root, list[k]->d_name, update, &preload))
			list[k]->d_name[0] = '\0';
	lu_preload_start(&preload);
	for (int k = 0; k < n; k++) {
		if (list[k]->d_name[0] && start(i, root, list[k]->d_name, update) > 0)
			started++;
		free(list[k]);
	}
	free(list);
	wait_all(i, started, deadline);
	return 0;
}

int lu_early(struct lu_init *i)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT, second = LU_ERROR_INIT;
	_cleanup_(lu_journal_freep) struct lu_journal *journal = NULL;
	_cleanup_close_ int root = -EBADF;
	struct lu_journal_record last;
	struct lu_journal_info info;
	const char *why;
	char boot[37];
	int r;

	root = lu_open_pkernfs(i, &e);
	if (root >= 0)
		mark_waiting(i, root);
	r = root < 0 ? root : lu_boot_id(boot);
	if (r >= 0)
		r = lu_journal_load(root, "update/journal", &info, &last, &e);
	if (r == -ENOENT || r == -ENODATA) {
		lu_log(i, "no update is on its way");
		return 0;
	}
	if (r < 0) {
		lu_error_set(&e, r, NULL, "%s", strerror(-r));
		lu_log_error(i, "", &e);
		return r;
	}
	if (!lu_decide(&last, boot, &why)) {
		lu_log(i, "nothing to resume: %s", why);
		return 0;
	}
	lu_log(i, "%s: %s", why, info.update);
	if (lu_trace_open(root, "update/trace", NULL, LU_TRACE_LU_INIT, &i->trace, &second) < 0) {
		lu_log_error(i, "", &second);
		i->trace = NULL;
	}
	lu_trace_add_at(i->trace, &i->start, LU_PHASE_KEXEC, LU_TRACE_NO_VM, LU_TRACE_END, 0, NULL);
	lu_trace_add_at(i->trace, &i->start, LU_PHASE_LU_INIT, LU_TRACE_NO_VM, LU_TRACE_BEGIN, 0, NULL);
	r = lu_journal_open(root, "update/journal", NULL, &journal, NULL, &e);
	if (r >= 0)
		r = lu_journal_append(journal, LU_STATE_BOOTED, 0, NULL, &e);
	if (r < 0)
		lu_log_error(i, "journal: ", &e);
	/* QEMUs and children shall not hold its lock */
	lu_journal_free(steal_ptr(journal));
	r = resume_all(i, root, info.update);
	lu_trace_add(i->trace, LU_PHASE_LU_INIT, LU_TRACE_NO_VM, LU_TRACE_END, r, NULL);
	lu_trace_free(steal_ptr(i->trace));
	return r;
}
