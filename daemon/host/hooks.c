// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Each hook runs in a transient service, through systemd-run: what an administrator
 * writes there (stop a service, remount, move a VIP) would fail in odd ways under the
 * daemon's capabilities and system call filter. Output comes to the daemon's log.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "hooks.h"

static int is_hook(const struct dirent *d)
{
	char path[sizeof(LU_HOOKS_DIR) + sizeof(d->d_name) + 1];
	struct stat st;

	if (!lu_name_valid(d->d_name))
		return 0;
	snprintf(path, sizeof(path), "%s/%s", LU_HOOKS_DIR, d->d_name);
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

bool lu_hooks_present(void)
{
	struct dirent **list;
	int n = scandir(LU_HOOKS_DIR, &list, is_hook, alphasort);

	for (int i = 0; i < n; i++)
		free(list[i]);
	if (n >= 0)
		free(list);
	return n > 0;
}

struct hook_call {
	const char *state;
	const char *id;
	const char *kind;
	uint64_t timeout_usec;
};

static int run_one(const char *name, const struct hook_call *c, struct lu_error *error)
{
	char path[512], limit[64];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/%s", LU_HOOKS_DIR, name);
	snprintf(limit, sizeof(limit), "--property=RuntimeMaxSec=%" PRIu64 "us", c->timeout_usec);
	pid = fork();
	if (pid < 0)
		return lu_error_set(error, -errno, NULL, "hook %s: %s", path, strerror(errno));
	if (pid == 0) {
		execl("/usr/bin/systemd-run", "systemd-run", "--quiet", "--collect", "--wait", "--pipe",
		      "--property=IgnoreOnIsolate=yes", limit, "--", path, c->state, c->id, c->kind, NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (status == 0)
		return 0;
	return lu_error_set(error, -ECANCELED, "look into the daemon's log for its output",
			    "hook %s failed in state %s: %s %d", path, c->state,
			    WIFEXITED(status) ? "exit code" : "signal",
			    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static int run_all(void *arg, struct lu_error *error)
{
	struct dirent **list;
	int n = scandir(LU_HOOKS_DIR, &list, is_hook, alphasort), r = 0;

	for (int i = 0; i < n; i++) {
		if (r == 0)
			r = run_one(list[i]->d_name, arg, error);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return r;
}

int lu_hooks_run(sd_event *event, const char *state, const char *id, const char *kind, uint64_t timeout_usec,
		 lu_worker_done_t done, void *userdata, struct lu_worker **ret)
{
	struct hook_call c = { state, id, kind, timeout_usec };

	return lu_worker_call(event, run_all, &c, timeout_usec, done, userdata, ret);
}
