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
 * Otherwise: `lu-init --restore UUID [--paused] [--fds PID:N,N,…] [--exe PID:N] [--no-keeper]`
 * restores one VM, for luctld, `lu-init --sight UUID` gives what its QEMU sees the flags that it had, and
 * `lu-init --clock UUID...` has guest agents set clocks; error text on stderr, first what, then the hint.
 *
 * Everything it needs is linked in: when it runs, no library of the root file system
 * has to be read.
 */
#include <getopt.h>
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

static int as_command(struct lu_init *i, int argc, char **argv)
{
	enum {
		RESTORE = 256,
		SIGHT,
		CLOCK,
		PAUSED,
		FDS,
		EXE,
		NO_KEEPER,
		EARLY,
		PKERNFS,
		RUN,
		ANY_FS
	};
	static const struct option options[] = {
		{ "restore", required_argument, NULL, RESTORE },
		{ "sight", required_argument, NULL, SIGHT },
		{ "clock", no_argument, NULL, CLOCK },
		{ "paused", no_argument, NULL, PAUSED },
		{ "fds", required_argument, NULL, FDS },
		{ "exe", required_argument, NULL, EXE },
		{ "no-keeper", no_argument, NULL, NO_KEEPER },
		{ "early", no_argument, NULL, EARLY },
		{ "pkernfs", required_argument, NULL, PKERNFS },
		{ "run", required_argument, NULL, RUN },
		{ "any-fs", no_argument, NULL, ANY_FS },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_close_ int root = -EBADF;
	const char *uuid = NULL, *sight = NULL;
	bool clock = false;
	int c, r;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case RESTORE:
			uuid = optarg;
			break;
		case SIGHT:
			sight = optarg;
			break;
		case CLOCK:
			clock = true;
			break;
		case PAUSED:
			i->keep_paused = true;
			break;
		case FDS:
			i->fds = optarg;
			break;
		case EXE:
			i->exe = optarg;
			break;
		case NO_KEEPER:
			i->no_keeper = true;
			break;
		case EARLY:
			i->early = true;
			break;
		case PKERNFS:
			i->pkernfs = optarg;
			break;
		case RUN:
			i->run = optarg;
			break;
		case ANY_FS:
			i->any_fs = true;
			break;
		case 'V':
			puts("lu-init " PROJECT_VERSION);
			return 0;
		default:
			return 2;
		}
	}
	if ((optind != argc) != clock || (uuid != NULL) + (sight != NULL) + clock + i->early != 1) {
		fprintf(stderr,
			"usage: lu-init --restore UUID [--paused] [--fds PID:FD,...] [--exe PID:FD] [--no-keeper] | --clock UUID... | --sight UUID\n"
			"for tests: --early, --pkernfs DIR, --run DIR, --any-fs\n");
		return 2;
	}
	if (i->early)
		return lu_early(i) < 0 ? 1 : 0;
	root = lu_open_pkernfs(i, &e);
	r = root;
	if (r >= 0 && clock) {
		r = lu_agent_clocks(i, root, argv + optind, &e);
	} else if (r >= 0 && sight) {
		r = lu_sight_complete(i, root, sight, &e);
	} else if (r >= 0) {
		/* the recorder is a witness: without it the VM is restored just as well */
		if (lu_trace_open(root, "update/trace", NULL, LU_TRACE_LU_INIT, &i->trace, NULL) < 0)
			i->trace = NULL;
		r = lu_restore_vm(i, root, uuid, NULL, &e);
	}
	lu_trace_free(steal_ptr(i->trace));
	if (r < 0)
		fprintf(stderr, "%s\n%s%s", e.what ?: strerror(-r), e.hint ?: "", e.hint ? "\n" : "");
	return r < 0 ? (i->kept ? LU_INIT_KEPT : 1) : 0;
}

int main(int argc, char **argv)
{
	struct lu_init i = { .pkernfs = "/run/luctl/pkernfs", .run = "/run/luctl", .start = lu_stamp_now() };

	return getpid() == 1 ? as_init(&i, argv) : as_command(&i, argc, argv);
}
