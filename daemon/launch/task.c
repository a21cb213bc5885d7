// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See task.h. All of it but the timer slack is set before the exec: threads inherit it from who makes them, and an exec
 * keeps it. QEMU sets the slack of its main thread to 1 ns when it starts (init_clocks()), whatever it was given. So a
 * slack of 1 is not recorded, and another one, which somebody has written since, is set again once QEMU answers. It can't
 * be told from the kernel's own 50 µs whether somebody has given a QEMU these: that is lost.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/ioprio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "cores.h"
#include "task.h"
#include "util.h"

#define SLACK_KERNEL 50000 /* timer_slack_ns in the kernel's init/init_task.c */
#define SLACK_QEMU 1       /* init_clocks() in QEMU's util/qemu-timer.c */

int lu_task_read_io(pid_t tid, int *ret_class, uint64_t *ret_priority)
{
	long v = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid);

	if (v < 0)
		return -errno;
	*ret_class = (int)IOPRIO_PRIO_CLASS(v);
	*ret_priority = IOPRIO_PRIO_DATA((uint64_t)v);
	/* of a later kernel, or by the nice value, whatever is beside it */
	if (*ret_class > IOPRIO_CLASS_IDLE)
		return -EBADMSG;
	if (*ret_class == IOPRIO_CLASS_NONE)
		*ret_priority = 0;
	return 0;
}

/* UINT64_MAX: can't be read */
static int read_number(int proc_fd, pid_t pid, const char *name, int base, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	char path[48], *end;
	int r;

	snprintf(path, sizeof(path), "%d/%s", (int)pid, name);
	r = lu_read_file(proc_fd, path, 64, &text, NULL);
	*ret = UINT64_MAX;
	if (r == -ENOMEM || r == -ESRCH)
		return r;
	if (r < 0) /* also a kernel without it (CONFIG_ELF_CORE) */
		return 0;
	if (!*text) /* it ends */
		return -ESRCH;
	errno = 0;
	*ret = strtoull(text, &end, base);
	if (errno || end == text || (*end && *end != '\n'))
		*ret = UINT64_MAX;
	return 0;
}

int lu_task_read(int proc_fd, pid_t pid, struct lu_launch_task *ret)
{
	struct lu_launch_task t = LU_TASK_ORDINARY;
	int r = lu_task_read_io(pid, &t.io_class, &t.io_priority);

	if (r < 0 && r != -ESRCH) {
		t.io_class = IOPRIO_CLASS_NONE;
		t.io_priority = 0;
		r = 0;
	}
	if (r >= 0)
		r = read_number(proc_fd, pid, "coredump_filter", 16, &t.coredump_filter);
	if (r >= 0)
		r = read_number(proc_fd, pid, "timerslack_ns", 10, &t.timer_slack_ns);
	if (r < 0)
		return r;
	/* real-time policies have none */
	if (t.timer_slack_ns != UINT64_MAX && t.timer_slack_ns > INT64_MAX)
		t.timer_slack_ns = INT64_MAX;
	if (t.timer_slack_ns == 0 || t.timer_slack_ns == SLACK_KERNEL || t.timer_slack_ns == SLACK_QEMU)
		t.timer_slack_ns = UINT64_MAX;
	*ret = t;
	return 0;
}

bool lu_task_differs(const struct lu_launch_task *t)
{
	return t->io_class != IOPRIO_CLASS_NONE || t->coredump_filter != UINT64_MAX ||
	       t->timer_slack_ns != UINT64_MAX || t->cores != LU_CORES_ANY;
}

static int write_number(const char *path, uint64_t v)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRIu64 "\n", v);

	return fd < 0 ? -errno : lu_write_all(fd, text, (size_t)n);
}

int lu_task_set_slack(const struct lu_launch_task *t, pid_t pid)
{
	char path[40];

	if (t->timer_slack_ns == UINT64_MAX)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/timerslack_ns", (int)pid);
	return write_number(path, t->timer_slack_ns);
}

void lu_task_set(const struct lu_launch_task *t)
{
	if (t->io_class != IOPRIO_CLASS_NONE)
		/* IOPRIO_PRIO_VALUE() of later headers takes no hint */
		(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
			      t->io_class << IOPRIO_CLASS_SHIFT | (int)t->io_priority);
	if (t->coredump_filter != UINT64_MAX)
		(void)write_number("/proc/self/coredump_filter", t->coredump_filter);
	(void)lu_task_set_slack(t, getpid());
	if (t->cores == LU_CORES_PROCESS)
		(void)lu_cores_own();
}

void lu_task_compare(const struct lu_launch_task *t, int proc_fd, pid_t pid, struct lu_reasons *ret)
{
	static const char *const classes[] = { "none", "realtime", "best-effort", "idle" };
	struct lu_launch_task now;
	uint64_t cookie;
	int r = lu_task_read(proc_fd, pid, &now);

	if (r < 0) {
		if (r != -ESRCH)
			lu_reasons_add(ret, NULL, NULL, "what it was given can't be read: %s", strerror(-r));
		return;
	}
	if (t->io_class != IOPRIO_CLASS_NONE && (t->io_class != now.io_class || t->io_priority != now.io_priority))
		lu_reasons_add(ret, NULL, NULL, "its I/O priority is %s %" PRIu64 ", was %s %" PRIu64,
			       classes[now.io_class], now.io_priority, classes[t->io_class], t->io_priority);
	if (t->coredump_filter != UINT64_MAX && t->coredump_filter != now.coredump_filter)
		lu_reasons_add(ret, NULL, NULL, "its coredump_filter is %#" PRIx64 ", was %#" PRIx64,
			       now.coredump_filter, t->coredump_filter);
	if (t->timer_slack_ns != UINT64_MAX && t->timer_slack_ns != now.timer_slack_ns)
		lu_reasons_add(ret, NULL, NULL, "its timer slack is not %" PRIu64 " ns any more", t->timer_slack_ns);
	if (t->cores == LU_CORES_PROCESS && !lu_cores_apart() && lu_cores_get(pid, &cookie) == 0 && !cookie)
		lu_reasons_add(ret, NULL, NULL, "it shares cores with other processes: no core scheduling");
}
