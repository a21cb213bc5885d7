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
 * A child that waits in the kernel for a disk does not die of SIGKILL until the
 * disk answers. So nothing here waits for its end: at the time limit it gets
 * DEATH_USEC to die, then the callback comes all the same. A killed child
 * is left to the event loop, which reaps it when it ends, and logs its number if
 * that takes long.
 *
 * Not handled: output on stdout (goes to /dev/null), children of the child that
 * outlive it.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "log.h"
#include "worker.h"

#define WORKER_TEXT_MAX 4096
#define DEATH_USEC UINT64_C(1000000) /* to die of SIGKILL, unless the kernel holds it */

struct lu_worker {
	pid_t pid;
	int pidfd;
	int pipe_fd;
	char *name;
	sd_event_source *child;
	sd_event_source *timer;
	bool timed_out; /* killed for that */
	bool called;    /* its owner was told */
	lu_worker_done_t done;
	void *userdata;
};

static void worker_done(void *userdata)
{
	struct lu_worker *w = userdata;

	closep(&w->pidfd);
	closep(&w->pipe_fd);
	free(w->name);
	free(w);
}

/* What is needed to name a child that does not die; not the worker, which goes when the child does. */
struct late {
	int pidfd;
	pid_t pid;
	char name[64];
};

static void late_free(void *userdata)
{
	struct late *l = userdata;

	closep(&l->pidfd);
	free(l);
}

static int on_late(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct late *l = userdata;

	if (poll(&(struct pollfd){ .fd = l->pidfd, .events = POLLIN }, 1, 0) == 0)
		log_warning("%s: process %d was killed and does not end, since the kernel waits for something on its "
			    "behalf: see /proc/%d/stack; it is left",
			    l->name, (int)l->pid, (int)l->pid);
	sd_event_source_unref(s);
	return 0;
}

static void name_if_late(const struct lu_worker *w)
{
	struct late *l = calloc(1, sizeof(*l));
	sd_event_source *timer = NULL;

	if (!l)
		return;
	l->pid = w->pid;
	l->pidfd = fcntl(w->pidfd, F_DUPFD_CLOEXEC, 3);
	snprintf(l->name, sizeof(l->name), "%s", w->name);
	if (l->pidfd < 0 || sd_event_add_time_relative(sd_event_source_get_event(w->child), &timer, CLOCK_MONOTONIC,
						       DEATH_USEC, 0, on_late, l) < 0) {
		late_free(l);
		return;
	}
	(void)sd_event_source_set_destroy_callback(timer, late_free);
	(void)sd_event_source_set_floating(timer, 1);
	sd_event_source_unref(timer);
}

/* Hands a worker whose child was killed over to the event loop, which frees it when the child ends or when it ends itself. */
static void leave(struct lu_worker *w)
{
	sd_event_source *child = w->child;

	w->done = NULL;
	name_if_late(w);
	(void)sd_event_source_set_destroy_callback(child, worker_done);
	(void)sd_event_source_set_floating(child, 1);
	sd_event_source_unref(child);
}

struct lu_worker *lu_worker_free(struct lu_worker *w)
{
	if (!w)
		return NULL;
	w->timer = sd_event_source_disable_unref(w->timer);
	if (w->pid > 0) {
		(void)kill(w->pid, SIGKILL);
		if (w->child) {
			leave(w);
			return NULL;
		}
		/* just forked, and nothing of ours has run in it that could hold it */
		(void)waitpid(w->pid, NULL, 0);
	}
	sd_event_source_disable_unref(w->child);
	worker_done(w);
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

static int time_out(const struct lu_worker *w, struct lu_error *error)
{
	if (w->pid > 0)
		return lu_error_set(error, -ETIME, "see /proc/PID/stack of that process for what the kernel waits for",
				    "%s: did not end within its time limit, nor when process %d was killed; it is left",
				    w->name, (int)w->pid);
	return lu_error_set(error, -ETIME, "look into the journal of the host for what blocks it",
			    "%s: did not end within its time limit", w->name);
}

static int worker_result(struct lu_worker *w, const siginfo_t *si, struct lu_error *error)
{
	char text[WORKER_TEXT_MAX + 1];
	int code = -EIO, skip = 0;
	char *hint;

	worker_text(w, text);
	if (w->timed_out)
		return time_out(w, error);
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
	if (!done) {
		sd_event_source_unref(s);
		return 0;
	}
	if (w->called)
		return 0;
	w->timer = sd_event_source_disable_unref(w->timer);
	r = worker_result(w, si, &error);
	done(ud, r, &error);
	return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;
	struct lu_worker *w = userdata;
	int r;

	(void)kill(w->pid, SIGKILL);
	if (!w->timed_out && sd_event_source_set_time_relative(s, DEATH_USEC) >= 0 &&
	    sd_event_source_set_enabled(s, SD_EVENT_ONESHOT) >= 0) {
		w->timed_out = true;
		return 0;
	}
	/* it does not even die: no callback will come of its end; the owner frees the worker */
	w->timed_out = true;
	r = time_out(w, &error);
	w->called = true;
	w->done(w->userdata, r, &error);
	return 0;
}

static void child_setup(pid_t parent, int err_fd, bool keep_stderr)
{
	sigset_t none;
	int null;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* one that died before that sends no signal any more */
	if (getppid() != parent)
		_exit(1);
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
	pid_t parent = getpid();
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
	/* read when the child has ended: what a child of its own still holds open is not waited for */
	(void)fcntl(w->pipe_fd, F_SETFL, O_NONBLOCK);
	w->pid = fork();
	if (w->pid < 0) {
		r = -errno;
		w->pid = 0;
		close(fds[1]);
		return r;
	}
	if (w->pid == 0) {
		struct lu_error error = LU_ERROR_INIT;

		child_setup(parent, fds[1], fn != NULL);
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
