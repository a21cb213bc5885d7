// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lu-init: resumes the guests of an update before the host's real init is started.
 * The kernel runs it by init=/usr/lib/luctl/lu-init luctl.init=<real init>.
 *
 * As PID 1 there is one rule above all: the real init gets executed, whatever happens.
 * So PID 1 itself only mounts, forks, waits with a limit and executes; all work is
 * in a child that may crash or hang. QEMUs outlive the child, get PID 1 as parent, and
 * the real init inherits them with the rest of the process.
 *
 * Otherwise: `lu-init --restore UUID [--paused] [--fds PID:N,N,…] [--exe PID:N] [--no-keeper] [--no-veto]`
 * restores one VM, for luctld, `lu-init --sight UUID` gives what its QEMU sees the flags that it had, and
 * `lu-init --clock UUID...` has guest agents set clocks; error text on stderr, first what, then the hint.
 *
 * Everything it needs is linked in: when it runs, no library of the root file system
 * has to be read.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lu-init.h"

/* Executes the real init; returns only if there is none at all. */
static void exec_real_init(struct lu_init *i, char **argv)
{
	static const char *const fallbacks[] = { "/sbin/init", "/etc/init", "/bin/init", "/bin/sh" };
	_cleanup_free_ char *cmdline = NULL, *real = NULL;
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (lu_read_file(AT_FDCWD, "/proc/cmdline", 1 << 16, &cmdline, NULL) == 0 && lu_real_init(cmdline, &real) > 0) {
		argv[0] = real;
		execv(real, argv);
		lu_log(i, "cannot execute luctl.init=%s: %s", real, strerror(errno));
	}
	for (size_t k = 0; k < ARRAY_SIZE(fallbacks); k++) {
		argv[0] = (char *)fallbacks[k];
		execv(argv[0], argv);
	}
	lu_log(i, "no init could be executed");
}

/* Runs the early path in a child and waits for it, but not for ever. */
static void early_in_child(struct lu_init *i)
{
	struct pollfd p = { .fd = -EBADF, .events = POLLIN };
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(lu_early(i) < 0 ? 1 : 0);
	if (pid < 0) {
		lu_log(i, "fork: %s", strerror(errno));
		return;
	}
	p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (p.fd < 0 || poll(&p, 1, (int)(LU_INIT_TOTAL_MS + 2000)) <= 0) {
		lu_log(i, "gave up waiting for the VMs");
		(void)kill(pid, SIGKILL);
	}
	(void)waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		lu_log(i, "the resuming process died of signal %d", WTERMSIG(status));
	closep(&p.fd);
}

static int as_init(struct lu_init *i, char **argv)
{
	int r;

	i->early = i->kmsg = true;
	lu_mounts_basic(i);
	lu_trial(i);
	r = lu_mounts_pkernfs(i);
	lu_mounts_share(i);
	if (r < 0)
		lu_log(i, "no pkernfs, so no VMs to resume: %s", strerror(-r));
	else
		early_in_child(i);
	exec_real_init(i, argv);
	return 1; /* the kernel panics, as it does without us when there is no init */
}

int main(int argc, char **argv)
{
	struct lu_init i = {
		.pkernfs = "/run/luctl/pkernfs", .run = "/run/luctl", .veto = LU_VETO_DIR, .start = lu_stamp_now()
	};

	return getpid() == 1 ? as_init(&i, argv) : lu_init_command(&i, argc, argv);
}
