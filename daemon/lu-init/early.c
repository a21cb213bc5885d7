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
 * again. If that can't be written we go on, since result.json guards the same for each VM: "loaded" is
 * durable before its guest is let run, and a VM of which that can't be written is not let run.
 *
 * VMs are resumed in the order of the request, as many at once as it says, by default as many as there are CPUs: starting
 * a QEMU is work for a CPU, and more of them at once only make all of them late. A VM that takes
 * longer than LU_INIT_TURN_MS waits for something else and keeps nobody waiting. Children
 * that are not done at the total limit are left to finish in the background; they
 * hold their VM's lock, so luctld can't get in between. A VM whose turn had not come by then is luctld's.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "clock.h"
#include "lu-init.h"

#define VMS_MAX 4096
#define TURN_NSEC 200000000 /* how often it is looked whether somebody's turn has come */

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

static void mark(struct lu_init *i, const char *unit, const struct lu_launch *l)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	if (unit && lu_marker_write(i->run, unit, l && l->tpm ? l->tpm->unit : NULL, &e) < 0)
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
			mark(i, saved.unit, NULL);
			if (lu_launch_read(dir, &launch, NULL) >= 0)
				mark(i, launch.unit, &launch);
		}
		free(list[k]);
	}
	if (n >= 0)
		free(list);
}

/* A VM that is to be resumed. */
struct waiting {
	char uuid[37];
	uint64_t index; /* its turn */
};

/* Marks the VM and says whether it is to be resumed now. */
static bool consider(struct lu_init *i, int root, const char *uuid, const char *update, struct lu_preload *preload,
		     uint64_t *ret_index)
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
		mark(i, saved.unit, NULL);
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
	mark(i, launch.unit, &launch);
	if (r >= 0 && !launch.early)
		lu_log(i, "VM %s: left to luctld: %s", saved.name, launch.late ?: "");
	if (r < 0 || !launch.early)
		return false;
	lu_preload_add(preload, &launch);
	*ret_index = saved.index;
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

static int by_index(const void *a, const void *b)
{
	const struct waiting *x = a, *y = b;

	return x->index != y->index ? (x->index < y->index ? -1 : 1) : strcmp(x->uuid, y->uuid);
}

/* Those that are being resumed. */
struct crowd {
	pid_t *pids;
	uint64_t *begun_ns;
	size_t n;
	unsigned int failed;
};

/* Takes those off who are done. */
static void crowd_reap(struct crowd *c)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t k = 0; k < c->n; k++) {
			if (c->pids[k] != pid)
				continue;
			c->n--;
			c->pids[k] = c->pids[c->n];
			c->begun_ns[k] = c->begun_ns[c->n];
			c->failed += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
			break;
		}
	}
}

static void resume_in_turn(struct lu_init *i, int root, const char *update, const struct waiting *list, size_t n,
			   size_t limit)
{
	uint64_t now = lu_clock_ns(CLOCK_MONOTONIC), deadline = now + LU_INIT_TOTAL_MS * 1000000ULL;
	struct crowd c = { .pids = calloc(n ?: 1, sizeof(*c.pids)), .begun_ns = calloc(n ?: 1, sizeof(*c.begun_ns)) };
	size_t next = 0;
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	while (c.pids && c.begun_ns && (next < n || c.n > 0) && now < deadline) {
		struct timespec ts = { .tv_nsec = TURN_NSEC };

		for (; next < n && lu_turn_free(c.begun_ns, c.n, limit, now); next++) {
			pid_t pid = start(i, root, list[next].uuid, update);

			if (pid < 0) {
				lu_log(i, "VM %s: fork: %s", list[next].uuid, strerror(errno));
				c.failed++;
				continue;
			}
			c.pids[c.n] = pid;
			c.begun_ns[c.n++] = now;
		}
		(void)sigtimedwait(&chld, NULL, &ts); /* blocked since before the first fork, so none is missed */
		crowd_reap(&c);
		now = lu_clock_ns(CLOCK_MONOTONIC);
	}
	lu_log(i, "%zu of %zu VMs resumed%s%s", next - c.failed - c.n, n, c.n ? ", some are still at it" : "",
	       next < n ? ", the rest is luctld's" : "");
	free(c.pids);
	free(c.begun_ns);
}

static size_t how_many(int root)
{
	struct lu_request_doc doc = { 0 };
	size_t n;

	/* a request that can't be read says nothing about the VMs' own records */
	if (lu_request_doc_read(root, &doc, NULL) < 0)
		doc = (struct lu_request_doc){ 0 };
	n = lu_request_restores(&doc);
	lu_request_doc_clear(&doc);
	return n;
}

static int resume_all(struct lu_init *i, int root, const char *update)
{
	struct lu_preload preload = { 0 };
	struct waiting *waiting = NULL;
	struct dirent **list = NULL;
	size_t n_waiting = 0;
	sigset_t chld;
	int n;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &chld, NULL);
	n = scandirat(root, "vm", &list, is_uuid_dir, alphasort);
	if (n < 0)
		return -errno;
	waiting = calloc(n ? (size_t)n : 1, sizeof(*waiting));
	/* all markers before the first child: a crash of ours must not leave one out */
	for (int k = 0; k < n; k++) {
		uint64_t index = 0;

		if (k < VMS_MAX && consider(i, root, list[k]->d_name, update, &preload, &index) && waiting) {
			waiting[n_waiting].index = index;
			snprintf(waiting[n_waiting++].uuid, sizeof(waiting->uuid), "%.36s", list[k]->d_name);
		}
		free(list[k]);
	}
	free(list);
	lu_preload_start(&preload);
	if (n_waiting) {
		qsort(waiting, n_waiting, sizeof(*waiting), by_index);
		resume_in_turn(i, root, update, waiting, n_waiting, how_many(root));
	}
	free(waiting);
	return 0;
}

/*
 * libvirt's daemon would take its guests for dead before it knows their new processes. Which stood aside in the old
 * kernel must not start in this one until luctld says so.
 *
 * @jumped: an update came to this kernel. If not, the one before went down while libvirt stood aside: luctld still
 * restores what waits, but those that ended with it libvirt starts as after any other boot.
 */
static void hold_libvirt(struct lu_init *i, int root, bool jumped)
{
	static const char anew[] = "{\"version\": 1, \"units\": [], \"autostarted\": false}\n";
	_cleanup_free_ char *text = NULL, *path = NULL;
	size_t size;
	int r = lu_read_file(root, "update/libvirt.json", 64U << 10, &text, &size);

	if (r == -ENOENT)
		return;
	/* held also if it can't be read: then nobody knows which daemon is to be started */
	if (asprintf(&path, "%s/libvirt-held", i->run) < 0)
		path = NULL;
	if (path && jumped)
		r = lu_write_file(AT_FDCWD, path, text ?: "", text ? size : 0, 0644);
	else if (path)
		r = lu_write_file(AT_FDCWD, path, anew, strlen(anew), 0644);
	if (!path || r < 0)
		lu_log(i, "libvirt can't be kept from starting: %s", strerror(path ? -r : ENOMEM));
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
		hold_libvirt(i, root, false);
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
	hold_libvirt(i, root, true);
	lu_loopback_up(i);
	r = resume_all(i, root, info.update);
	lu_trace_add(i->trace, LU_PHASE_LU_INIT, LU_TRACE_NO_VM, LU_TRACE_END, r, NULL);
	lu_trace_free(steal_ptr(i->trace));
	return r;
}
