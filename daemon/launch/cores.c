// SPDX-License-Identifier: GPL-2.0-or-later
/* See cores.h. */
#include <errno.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cores.h"

int lu_cores_get(pid_t tid, uint64_t *ret)
{
	uint64_t cookie = 0;

	if (prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, (unsigned long)tid, PR_SCHED_CORE_SCOPE_THREAD,
		  (unsigned long)&cookie) < 0 &&
	    errno != EINVAL && errno != ENODEV)
		return -errno;
	*ret = cookie;
	return 0;
}

bool lu_cores_apart(void)
{
	uint64_t cookie;

	return prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0UL, PR_SCHED_CORE_SCOPE_THREAD, (unsigned long)&cookie) < 0 &&
	       errno == ENODEV;
}

int lu_cores_own(void)
{
	return prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0UL, PR_SCHED_CORE_SCOPE_THREAD_GROUP, 0UL) < 0 ? -errno : 0;
}

/* Only one's own cookie can be given to others: a process for it, so that the caller stays as it is. */
static int share_own(const pid_t *tids, size_t n)
{
	if (prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0UL, PR_SCHED_CORE_SCOPE_THREAD, 0UL) < 0)
		return errno;
	for (size_t i = 0; i < n; i++)
		if (prctl(PR_SCHED_CORE, PR_SCHED_CORE_SHARE_TO, (unsigned long)tids[i], PR_SCHED_CORE_SCOPE_THREAD,
			  0UL) < 0)
			return errno;
	return 0;
}

int lu_cores_share(const pid_t *tids, size_t n)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (pid == 0)
		_exit(share_own(tids, n));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECANCELED;
}
