// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A guest's TPM, a swtpm of its own (launch.h). In the next kernel nobody is there, so it is started; its state comes with
 * QEMU's. In this one, when QEMU is replaced or going back, it may be there still: one that ends with its QEMU is given
 * the time for it, any other serves the next QEMU, in the unit that it is in.
 *
 * Who listens is asked of /proc/net/unix, for a connection that is closed again ends a swtpm that ends with its QEMU.
 * Another one may come up beside ours (a unit with Restart=): whoever listens in the end will do.
 */
#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "argv.h"
#include "clock.h"
#include "lu-init.h"
#include "peers.h"

#define POLL_USEC 5000
#define END_NS 3000000000ULL    /* for the one before to end */
#define LISTEN_NS 5000000000ULL /* for the next one to listen */
#define STARTS 2

/* Is this process a swtpm at that socket, and does it end with its QEMU? Of one that has ended nothing is left to read. */
static bool serves(int proc, const char *pid, const char *socket, bool *ret_ends)
{
	_cleanup_free_ char *text = NULL;
	char path[NAME_MAX + 16];
	size_t size;
	bool at = false;

	snprintf(path, sizeof(path), "%s/cmdline", pid);
	if (lu_read_file(proc, path, 1u << 20, &text, &size) < 0 || !size)
		return false;
	if (strcmp(strrchr(text, '/') ? strrchr(text, '/') + 1 : text, "swtpm") != 0)
		return false;
	*ret_ends = false;
	for (const char *p = text; p < text + size; p += strlen(p) + 1) {
		_cleanup_free_ char *value = NULL;

		at |= lu_argv_property(p, "path", &value) > 0 && !strcmp(value, socket);
		*ret_ends |= lu_tpm_terminates((char *const[]){ (char *)"", (char *)p, NULL });
	}
	return at;
}

/* 0: there is none */
static pid_t find_other(int proc, const char *socket, bool *ret_ends)
{
	_cleanup_close_ int fd = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;
	pid_t found = 0;

	if (!dir)
		return 0;
	(void)steal_fd(&fd);
	while (!found && (d = readdir(dir)))
		if (d->d_name[0] >= '1' && d->d_name[0] <= '9' && serves(proc, d->d_name, socket, ret_ends))
			found = atoi(d->d_name);
	closedir(dir);
	return found;
}

/*
 * 1: one serves the next QEMU; 0: none is there; -EAGAIN: one that is about to end. Until that has ended nobody else can have
 * its socket: it takes the name away last.
 */
static int look(int proc, const char *socket, uint64_t since_ns)
{
	bool ends = false;
	pid_t other = find_other(proc, socket, &ends);
	int listens = lu_peers_listens(proc, socket); /* in this order: who ends in between is seen to */

	if (listens < 0)
		return listens;
	/* one that was begun anew by its unit does not end: nobody was connected to it */
	if (other && (ends || !listens) && lu_clock_ns(CLOCK_MONOTONIC) - since_ns < END_NS)
		return -EAGAIN;
	return listens;
}

void lu_tpm_end(struct lu_tpm *t)
{
	if (t->pidfd < 0)
		return;
	(void)syscall(SYS_pidfd_send_signal, t->pidfd, SIGKILL, NULL, 0);
	(void)waitpid(t->pid, NULL, 0);
	closep(&t->pidfd);
	*t = LU_TPM_INIT;
}

static bool has_ended(const struct lu_tpm *t)
{
	return poll(&(struct pollfd){ .fd = t->pidfd, .events = POLLIN }, 1, 0) == 1;
}

static int start(const struct lu_init *i, const struct lu_launch *l, const char *log, struct lu_tpm *t,
		 struct lu_error *e)
{
	struct lu_launch process = l->tpm->process;
	_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
	char whose[96];
	int r;

	/* errors are the VM's */
	process.name = l->name;
	r = lu_init_meet_needs(i, &process, &why);
	if (r >= 0)
		r = lu_launch_spawn(&process, -EBADF, NULL, log, &t->pid, &t->pidfd, &why);
	if (r < 0)
		lu_error_set(e, r, why.hint ?: "is swtpm still installed? Then: luctl restore",
			     "VM %s: its TPM can't be started: %s", l->name, why.what ?: strerror(-r));
	snprintf(whose, sizeof(whose), "VM %s: its TPM", l->name);
	if (r >= 0)
		lu_init_settle_task(i, &process, t->pid, whose);
	return r;
}

static int gave_up(const struct lu_launch *l, const char *log, int r, const char *what, struct lu_error *e)
{
	_cleanup_free_ char *line = lu_init_last_line(log), *hint = NULL;

	if (asprintf(&hint, "see %s; when the cause is gone: luctl restore", log) < 0)
		hint = NULL;
	return lu_error_set(e, r, hint, "VM %s: its TPM (%s) %s at %s%s%s", l->name, l->tpm->process.exe, what,
			    l->tpm->socket, line ? ": " : "", line ?: "");
}

int lu_tpm_ensure(const struct lu_init *i, const struct lu_launch *l, struct lu_tpm *t, struct lu_error *e)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t since = lu_clock_ns(CLOCK_MONOTONIC), started = 0;
	_cleanup_free_ char *log = NULL;
	unsigned int starts = 0;
	int r;

	if (!l->tpm)
		return 0;
	if (proc < 0)
		return -errno;
	if (asprintf(&log, "%s/vm/%s/swtpm.log", i->run, l->name) < 0) {
		log = NULL;
		return -ENOMEM;
	}
	for (;; usleep(POLL_USEC)) {
		bool ours = t->pidfd >= 0, ended = ours && has_ended(t);

		r = ours && !ended ? lu_peers_listens(proc, l->tpm->socket) : look(proc, l->tpm->socket, since);
		if (r < 0 && r != -EAGAIN)
			return r;
		if (r > 0)
			return 0;
		if (r == -EAGAIN)
			continue;
		if (ended)
			lu_tpm_end(t);
		if (ended && starts == STARTS)
			return gave_up(l, log, -ECHILD, "ended before it listened", e);
		if (!ours || ended) {
			r = start(i, l, log, t, e);
			if (r < 0)
				return r;
			starts++;
			started = lu_clock_ns(CLOCK_MONOTONIC);
		} else if (lu_clock_ns(CLOCK_MONOTONIC) - started > LISTEN_NS) {
			lu_tpm_end(t);
			return gave_up(l, log, -ETIMEDOUT, "did not begin to listen", e);
		}
	}
}
