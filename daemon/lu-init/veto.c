// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The last word before a guest goes on in another kernel: has somebody started it elsewhere while the host was away?
 * The administrator's programs in /etc/luctl/veto.d are asked, in the order of their names, each with the VM's name, its
 * UUID and the update's id. Two writers on one disk are worse than a guest that waits, so whatever is not a clear yes
 * (exit code 0 within the limit) is a no: the QEMU is ended, and the state waits for `luctl restore`.
 */
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lu-init.h"

static int is_program(const struct dirent *d)
{
	/* hidden files and editors' backups are none */
	return lu_name_valid(d->d_name);
}

static bool may_execute(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

static void __attribute__((noreturn)) execute(const char *path, const struct lu_saved *saved)
{
	static char *const env[] = { (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
				     NULL };
	char *const argv[] = { (char *)path, saved->name, saved->uuid, saved->update, NULL };
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	(void)setpgid(0, 0);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (null >= 0)
		(void)dup2(null, STDIN_FILENO);
	execve(path, argv, env);
	_exit(127);
}

static int ask(const char *path, const struct lu_saved *saved, int limit_ms, struct lu_error *e)
{
	static const char hint[] = "luctl restore asks again; luctl vm forget gives its state up";
	_cleanup_close_ int fd = -EBADF;
	pid_t pid = fork();
	int status;

	if (pid == 0)
		execute(path, saved);
	if (pid < 0)
		return lu_error_set(e, -errno, hint, "%s: can't be asked whether it may run: %s", path,
				    strerror(errno));
	fd = pidfd_open(pid, 0);
	if (fd < 0 || poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, limit_ms) != 1) {
		(void)kill(-pid, SIGKILL);
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		return lu_error_set(e, -ETIMEDOUT, hint, "%s has not said within %d ms whether it may run", path,
				    limit_ms);
	}
	if (waitpid(pid, &status, 0) != pid)
		return lu_error_set(e, -errno, hint, "%s: %s", path, strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return lu_error_set(e, -EPERM, hint, "%s does not let it run (%s %d)", path,
			    WIFEXITED(status) ? "exit code" : "signal",
			    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

int lu_veto(const char *dir, const struct lu_saved *saved, int limit_ms, struct lu_error *e)
{
	struct dirent **list;
	int n = scandir(dir, &list, is_program, alphasort), r = 0;

	if (n < 0)
		return errno == ENOENT ? 0 :
					 lu_error_set(e, -errno, "look at that folder", "%s: %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		char path[512];

		snprintf(path, sizeof(path), "%s/%s", dir, list[i]->d_name);
		if (r == 0 && may_execute(path))
			r = ask(path, saved, limit_ms, e);
		free(list[i]);
	}
	free(list);
	return r;
}
