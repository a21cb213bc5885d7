// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A worker is a forked child whose only way to speak is a pipe: the text of its
 * error ("what\nhint"), at most WORKER_TEXT_MAX bytes. The exit status carries
 * success or failure, the errno travels as the first line of the text when the
 * child ran a function of ours.
 *
 * Life: fork → (child runs, writes text, exits) → SIGCHLD by pidfd → callback,
 * once. Unhappy paths: 1. the child is killed by its time limit: -ETIME; 2. it
 * is killed by somebody else or crashes: -ECHILD with the signal's name; 3. the
 * owner frees the worker: child killed, no callback.
 *
 * Not handled: output on stdout (goes to /dev/null), children of the child that
 * outlive it.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "worker.h"

#define WORKER_TEXT_MAX 4096

struct lu_worker {
	pid_t pid;
	int pidfd;
	int pipe_fd;
	char *name;
	sd_event_source *child;
	sd_event_source *timer;
	bool timed_out;
	lu_worker_done_t done;
	void *userdata;
};

struct lu_worker *lu_worker_free(struct lu_worker *w)
{
	if (!w)
		return NULL;
	sd_event_source_disable_unref(w->timer);
	sd_event_source_disable_unref(w->child);
	if (w->pid > 0) {
		(void)kill(w->pid, SIGKILL);
		(void)waitpid(w->pid, NULL, 0);
	}
	closep(&w->pidfd);
	closep(&w->pipe_fd);
	free(w->name);
	free(w);
	return NULL;
}

/* Reads what the child left in the pipe: "code\nwhat\nhint" or a program's stderr. */
static void worker_text(struct lu_worker *w, char text[static WORKER_TEXT_MAX + 1])
{
	size_t n = 0;

	while (n < WORKER_TEXT_MAX) {
		ssize_t k = read(w->pipe_fd, text + n, WORKER_TEXT_MAX - n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		n += (size_t)k;
	}
	while (n > 0 && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
}

static int worker_result(struct lu_worker *w, const siginfo_t *si, struct lu_error *error)
{
	char text[WORKER_TEXT_MAX + 1];
	int code = -EIO, skip = 0;
	char *hint;

	worker_text(w, text);
	if (w->timed_out)
		return lu_error_set(error, -ETIME, "look into the journal of the host for what blocks it",
				    "%s: did not end within its time limit", w->name);
	if (si->si_code != CLD_EXITED)
		return lu_error_set(error, -ECHILD, NULL, "%s: killed by signal %d", w->name, si->si_status);
	if (si->si_status == 0)
		return 0;
	if (sscanf(text, "errno %d\n%n", &code, &skip) == 1 && skip > 0) {
		hint = strchr(text + skip, '\n');
		if (hint)
			*hint++ = '\0';
		return lu_error_set(error, code, hint, "%s", text + skip);
	}
	return lu_error_set(error, -EIO, NULL, "%s: exit code %d%s%s", w->name, si->si_status, text[0] ? ": " : "",
			    text);
}

static int on_child(sd_event_source *s, const siginfo_t *si, void *userdata)
{
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;
	struct lu_worker *w = userdata;
	lu_worker_done_t done = w->done;
	void *ud = w->userdata;
	int r;

	w->pid = 0;
	r = worker_result(w, si, &error);
	done(ud, r, &error);
	return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct lu_worker *w = userdata;

	w->timed_out = true;
	(void)kill(w->pid, SIGKILL);
	return 0;
}

static void child_setup(int err_fd, bool keep_stderr)
{
	sigset_t none;
	int null;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	null = open("/dev/null", O_RDWR);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	if (!keep_stderr)
		dup2(err_fd, STDERR_FILENO);
}

static int worker_start(sd_event *event, const char *name, lu_worker_fn_t fn, void *arg, const char *const *argv,
			uint64_t timeout_usec, lu_worker_done_t done, void *userdata, struct lu_worker **ret)
{
	_cleanup_(lu_worker_freep) struct lu_worker *w = NULL;
	int fds[2], r;

	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->pidfd = w->pipe_fd = -EBADF;
	w->done = done;
	w->userdata = userdata;
	w->name = strdup(name);
	if (!w->name)
		return -ENOMEM;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	w->pipe_fd = fds[0];
	w->pid = fork();
	if (w->pid < 0) {
		r = -errno;
		w->pid = 0;
		close(fds[1]);
		return r;
	}
	if (w->pid == 0) {
		struct lu_error error = LU_ERROR_INIT;

		child_setup(fds[1], fn != NULL);
		if (argv) {
			execv(argv[0], (char *const *)argv);
			fprintf(stderr, "can't be started: %s\n", strerror(errno));
			_exit(127);
		}
		r = fn(arg, &error);
		if (r < 0)
			dprintf(fds[1], "errno %d\n%s\n%s\n", r, error.what ?: strerror(-r), error.hint ?: "");
		_exit(r < 0 ? 1 : 0);
	}
	close(fds[1]);
	w->pidfd = pidfd_open(w->pid, 0);
	if (w->pidfd < 0)
		return -errno;
	r = sd_event_add_child_pidfd(event, &w->child, w->pidfd, WEXITED, on_child, w);
	if (r < 0)
		return r;
	if (timeout_usec) {
		r = sd_event_add_time_relative(event, &w->timer, CLOCK_MONOTONIC, timeout_usec, 0, on_timer, w);
		if (r < 0)
			return r;
	}
	*ret = steal_ptr(w);
	return 0;
}

int lu_worker_call(sd_event *event, lu_worker_fn_t fn, void *arg, uint64_t timeout_usec, lu_worker_done_t done,
		   void *userdata, struct lu_worker **ret)
{
	return worker_start(event, "worker", fn, arg, NULL, timeout_usec, done, userdata, ret);
}

int lu_worker_exec(sd_event *event, const char *const *argv, uint64_t timeout_usec, lu_worker_done_t done,
		   void *userdata, struct lu_worker **ret)
{
	return worker_start(event, argv[0], NULL, NULL, argv, timeout_usec, done, userdata, ret);
}
