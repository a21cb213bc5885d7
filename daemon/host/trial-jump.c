// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trial-jump.h"
#include "trial/exit-codes.h"

#define TRIAL_PATH "/usr/lib/luctl/luctl-trial"
#define SAID_MAX 2048
#define SECOND_USEC UINT64_C(1000000)

/* A service that dies says what systemd says of it; one that does not start, what systemd-run does. */
static int judge(int status, char *said, struct lu_error *error)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	char *hint;

	hint = strchr(said, '\n');
	if (hint)
		*hint++ = '\0';
	if (hint)
		hint[strcspn(hint, "\n")] = '\0';
	if (code == 0)
		return 0;
	return lu_error_set(error,
			    code == LU_TRIAL_EXIT_TARGET ? LU_TRIAL_TARGET :
			    code == LU_TRIAL_EXIT_PARTLY ? LU_TRIAL_PARTLY :
							   LU_TRIAL_CANT,
			    hint && *hint ? hint : NULL, "%s", *said ? said : "luctl-trial ended without a word");
}

/* In a child process: waits for the service, and keeps what it says. */
static int run(void *arg, struct lu_error *error)
{
	char *const *argv = arg;
	char said[SAID_MAX + 1];
	size_t used = 0;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe(fds) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		(void)dup2(fds[1], STDERR_FILENO);
		(void)close(fds[0]);
		(void)close(fds[1]);
		execv(argv[0], argv);
		fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
		_exit(LU_TRIAL_EXIT_CANT);
	}
	(void)close(fds[1]);
	if (pid < 0)
		return -errno;
	/* until the last who could write is gone; what is too much is read and dropped */
	for (;;) {
		char more[256];

		n = used < SAID_MAX ? read(fds[0], said + used, SAID_MAX - used) : read(fds[0], more, sizeof(more));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += used < SAID_MAX ? (size_t)n : 0;
	}
	said[used] = '\0';
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return judge(status, said, error);
}

int lu_trial_start(sd_event *event, const struct lu_trial_ask *ask, lu_worker_done_t done, void *userdata,
		   struct lu_worker **ret)
{
	static unsigned int count;
	char kernel[48], initrd[48], seconds[16], limit[48], unit[64];
	const char *argv[] = { "/usr/bin/systemd-run",
			       unit,
			       "--quiet",
			       "--collect",
			       "--wait",
			       "--pipe",
			       "--description=Trial jump into the target kernel",
			       "--property=IgnoreOnIsolate=yes",
			       limit,
			       "--property=PrivateTmp=yes",
			       "--property=PrivateNetwork=yes",
			       "--property=ProtectSystem=strict",
			       "--property=StateDirectory=luctl/trials",
			       "--property=ProtectHome=yes",
			       "--property=NoNewPrivileges=yes",
			       "--property=OOMScoreAdjust=1000",
			       "--",
			       TRIAL_PATH,
			       "--running",
			       ask->running,
			       "--kernel",
			       kernel,
			       "--cmdline",
			       ask->cmdline,
			       "--seconds",
			       seconds,
			       "--remember",
			       LU_TRIAL_FOLDER,
			       NULL,
			       NULL,
			       NULL };
	const unsigned int most = (unsigned int)(ask->usec / SECOND_USEC);
	size_t n = ARRAY_SIZE(argv) - 3;

	snprintf(kernel, sizeof(kernel), "/proc/%d/fd/%d", (int)getpid(), ask->kernel_fd);
	snprintf(initrd, sizeof(initrd), "/proc/%d/fd/%d", (int)getpid(), ask->initrd_fd);
	snprintf(unit, sizeof(unit), "--unit=" LU_TRIAL_UNIT "%d-%u", (int)getpid(), count++);
	snprintf(seconds, sizeof(seconds), "%u", most);
	snprintf(limit, sizeof(limit), "--property=RuntimeMaxSec=%u", 2 * most + 30);
	if (ask->initrd) {
		argv[n++] = "--initrd";
		argv[n++] = ask->initrd_fd > 0 ? initrd : ask->initrd;
	}
	return lu_worker_call(event, run, argv, (2 * most + 60) * SECOND_USEC, done, userdata, ret);
}
