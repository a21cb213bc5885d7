// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Starting a QEMU as it was started before. The child gets, in this order: a
 * session of its own that it does not lead, default signals, its OOM score, CPUs, scheduling, I/O priority and its like, inherited descriptors, mount namespace,
 * limits, cgroup-free (who moves it into a scope does so later), log and state file on their numbers, all
 * other descriptors closed, umask, bounding set, groups, ids, ambient
 * capabilities, no_new_privs, working directory, AppArmor's profile, exec. What fails is reported
 * through a close-on-exec pipe as (step, errno), so that the parent can name it;
 * end of file on the pipe means that QEMU runs.
 *
 * The working directory is entered as the user, as the unit would: a directory
 * that the user may not enter is an error then as now.
 *
 * Works as PID 1 and as an ordinary process, needs no library but libc, and does
 * not log. Not handled: see "Not carried" in launch.h.
 */
#include <dirent.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "argv.h"
#include "clock.h"
#include "confined.h"
#include "inherited.h"
#include "launch.h"
#include "rlimits.h"
#include "task.h"

#define HURRY_NICE -10

struct failure {
	char step[24];
	int err;
	char what[400]; /* what exactly, or "" */
};

static _Noreturn void die(int fd, const char *step)
{
	struct failure f = { .err = errno };

	snprintf(f.step, sizeof(f.step), "%s", step);
	if (write(fd, &f, sizeof(f)) != (ssize_t)sizeof(f))
		_exit(126);
	_exit(127);
}

static _Noreturn void die_of(int fd, const char *step, int err, const struct lu_error *e)
{
	struct failure f = { .err = err };

	snprintf(f.step, sizeof(f.step), "%s", step);
	snprintf(f.what, sizeof(f.what), "%s", e->what ?: "");
	if (write(fd, &f, sizeof(f)) != (ssize_t)sizeof(f))
		_exit(126);
	_exit(127);
}

static int set_ambient(uint64_t caps)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d) < 0)
		return -1;
	for (int i = 0; i < 2; i++)
		d[i].inheritable = (uint32_t)(caps >> (32 * i));
	for (int i = 0; i < 2; i++) {
		d[i].permitted |= d[i].inheritable;
		d[i].effective |= d[i].inheritable;
	}
	if (syscall(SYS_capset, &h, d) < 0)
		return -1;
	for (int c = 0; c < 64; c++)
		if ((caps >> c & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0) < 0)
			return -1;
	return 0;
}

static void set_identity(const struct lu_launch *l, int errfd)
{
	gid_t *groups = calloc(l->n_groups + 1, sizeof(*groups));

	if (!groups)
		die(errfd, "groups");
	for (int c = 0; c < 64; c++)
		if (!(l->cap_bounding >> c & 1) && prctl(PR_CAPBSET_READ, c, 0, 0, 0) == 1 &&
		    prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0)
			die(errfd, "capability bounding set");
	for (size_t i = 0; i < l->n_groups; i++)
		groups[i] = (gid_t)l->groups[i];
	/* an ordinary user (tests) can't, and need not if he is who he should be */
	if (geteuid() == 0 || l->uid != geteuid()) {
		if (setgroups(l->n_groups, groups) < 0)
			die(errfd, "groups");
		if (setresgid((gid_t)l->gid, (gid_t)l->gid, (gid_t)l->gid) < 0)
			die(errfd, "group id");
		if (l->cap_ambient && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
			die(errfd, "capabilities");
		if (setresuid((uid_t)l->uid, (uid_t)l->uid, (uid_t)l->uid) < 0)
			die(errfd, "user id");
	}
	if (l->cap_ambient && set_ambient(l->cap_ambient) < 0)
		die(errfd, "ambient capabilities");
	if (l->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		die(errfd, "no_new_privs");
	free(groups);
}

/*
 * How high the number of open files may be is itself a setting, which systemd raises
 * when it starts. Before that the limit of a unit may be too high to be set.
 */
static void clamp_nofile(struct rlimit *rl)
{
	_cleanup_free_ char *text = NULL;
	rlim_t most = 1024 * 1024;

	if (lu_read_file(AT_FDCWD, "/proc/sys/fs/nr_open", 64, &text, NULL) == 0)
		most = strtoull(text, NULL, 10);
	if (rl->rlim_max > most)
		rl->rlim_max = most;
	if (rl->rlim_cur > rl->rlim_max)
		rl->rlim_cur = rl->rlim_max;
}

static void set_limits(const struct lu_launch *l, int errfd)
{
	for (size_t i = 0; i < l->n_limits; i++) {
		struct rlimit rl = { .rlim_cur = l->limits[i].soft, .rlim_max = l->limits[i].hard }, now;
		int which = lu_limit_number(l->limits[i].name);

		if (which < 0) {
			errno = EINVAL;
			die(errfd, "limits");
		}
		if (which == RLIMIT_NOFILE)
			clamp_nofile(&rl);
		if (getrlimit((__rlimit_resource_t)which, &now) == 0 && now.rlim_cur == rl.rlim_cur &&
		    now.rlim_max == rl.rlim_max)
			continue;
		if (setrlimit((__rlimit_resource_t)which, &rl) < 0)
			die(errfd, l->limits[i].name);
	}
}

static void reset_signals(void)
{
	sigset_t none;

	for (int s = 1; s < _NSIG; s++)
		(void)signal(s, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void set_oom(const struct lu_launch *l)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	/* worth having, not worth losing a guest for */
	if (fd >= 0) {
		dprintf(fd, "%d\n", (int)l->oom_score_adj);
		close(fd);
	}
}

/* A guest that is scheduled otherwise is better than none. */
static void set_sched(const struct lu_launch *l)
{
	struct sched_param p = { .sched_priority = l->sched ? (int)l->sched->priority : 0 };

	if (!l->sched)
		return;
	(void)sched_setscheduler(0, l->sched->policy, &p);
	(void)setpriority(PRIO_PROCESS, 0, (int)l->sched->nice);
}

static void see(const struct lu_launch *l, int errfd)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int r = l->view ? lu_view_make(l->view, &e) : 0;

	if (r < 0)
		die_of(errfd, "mount namespace", -r, &e);
}

int lu_launch_set_cpus(pid_t tid, const char *cpus)
{
	enum {
		MOST = 8192
	}; /* NR_CPUS of the largest kernels */
	cpu_set_t *set = CPU_ALLOC(MOST);
	size_t size = CPU_ALLOC_SIZE(MOST);
	int r;

	if (!set)
		return -ENOMEM;
	CPU_ZERO_S(size, set);
	for (const char *p = cpus; *p; p += strcspn(p, ","), p += *p == ',') {
		unsigned int first, last;
		int n = sscanf(p, "%u-%u", &first, &last);

		if (n == 1)
			last = first;
		for (unsigned int c = first; n >= 1 && c <= last && c < MOST; c++)
			CPU_SET_S(c, size, set);
	}
	/* the kernel takes those that are there; none is EINVAL */
	r = sched_setaffinity(tid, size, set) < 0 ? -errno : 0;
	CPU_FREE(set);
	return r;
}

/* Above all numbers that are to be filled, so that none is overwritten before it was moved. */
static int move_up(int fd, int above, int errfd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, above);

	if (moved < 0)
		die(errfd, "file descriptors");
	return moved;
}

static int *move_more(const struct lu_launch_more *more, int above, int errfd)
{
	int *moved = calloc(more->n_fds ?: 1, sizeof(*moved));

	if (!moved)
		die(errfd, "file descriptors");
	for (size_t i = 0; i < more->n_fds; i++)
		moved[i] = move_up(more->fds[i], above, errfd);
	return moved;
}

static void place_more(const struct lu_launch_more *more, const int *moved, int errfd)
{
	for (size_t i = 0; i < more->n_fds; i++)
		if (dup2(moved[i], more->numbers[i]) < 0)
			die(errfd, "file descriptors");
}

/* The highest of all numbers that are to be filled. */
static int highest(const struct lu_launch *l, const struct lu_launch_more *more)
{
	int top = lu_inherited_top(l);

	if (top < LU_LAUNCH_MORE_FD)
		top = LU_LAUNCH_MORE_FD;
	for (size_t i = 0; more && i < more->n_fds; i++)
		if (top < more->numbers[i])
			top = more->numbers[i];
	return top;
}

static bool is_among(const struct lu_launch_more *more, int number)
{
	for (size_t i = 0; more && i < more->n_fds; i++)
		if (more->numbers[i] == number)
			return true;
	return false;
}

/* Its command line names numbers, and so does its CPR state: who wrote that has seen to it that both can be had. */
static int check_numbers(const struct lu_launch *l, const struct lu_launch_more *more, struct lu_error *e)
{
	for (size_t i = 0; i < l->n_inherited; i++) {
		const struct lu_launch_inherited *in = &l->inherited[i];

		if ((in->kind == LU_INHERITED_CPR) == is_among(more, (int)in->fd))
			continue;
		if (in->kind == LU_INHERITED_CPR)
			return lu_error_set(e, -EBADMSG, "start the VM anew",
					    "VM %s: descriptor %llu of its command line, %s, is not in its CPR state",
					    l->name, (unsigned long long)in->fd, in->cpr);
		return lu_error_set(e, -EBUSY, "start the VM anew",
				    "VM %s: its descriptor %llu has a number that one of its devices needs", l->name,
				    (unsigned long long)in->fd);
	}
	return 0;
}

/*
 * Opened now, so that they are the new process's own, and here, in what the host shows: so did who started its predecessor,
 * whose own view may have no such node. Above all numbers that are to be filled.
 */
static int *open_inherited(const struct lu_launch *l, int above, int errfd)
{
	int *moved = calloc(l->n_inherited ?: 1, sizeof(*moved));
	char step[24] = "file descriptors";

	if (!moved)
		die(errfd, step);
	for (size_t i = 0; i < l->n_inherited; i++) {
		int fd;

		if (l->inherited[i].kind == LU_INHERITED_CPR)
			continue;
		fd = lu_inherited_make(&l->inherited[i], step);
		if (fd < 0)
			die(errfd, step);
		/* dup2() of a number to itself would leave it to be closed by the exec */
		moved[i] = move_up(fd, above, errfd);
		close(fd);
	}
	return moved;
}

static void place_inherited(const struct lu_launch *l, const int *moved, int errfd)
{
	for (size_t i = 0; i < l->n_inherited; i++) {
		int number = (int)l->inherited[i].fd;

		if (l->inherited[i].kind == LU_INHERITED_CPR)
			continue;
		if (dup2(moved[i], number) < 0)
			die(errfd, "file descriptors");
		close(moved[i]);
		if (lu_inherited_settle(&l->inherited[i], number) < 0)
			die(errfd, "file descriptors");
	}
}

static _Noreturn void child(const struct lu_launch *l, char **argv, char **env, int state_fd,
			    const struct lu_launch_more *more, int log_fd, int errfd)
{
	int null_fd, exe_fd = -EBADF, top = highest(l, more), *moved = NULL, *inherited;

	reset_signals();
	set_oom(l);
	if (l->cpus) /* a guest on another CPU is better than none */
		(void)lu_launch_set_cpus(0, l->cpus);
	set_sched(l);
	if (l->task)
		lu_task_set(l->task);
	/* first everything above the numbers to be filled, then down */
	errfd = move_up(errfd, top + 1, errfd);
	inherited = open_inherited(l, top + 1, errfd);
	see(l, errfd);
	set_limits(l, errfd);
	log_fd = move_up(log_fd, top + 1, errfd);
	if (state_fd >= 0)
		state_fd = move_up(state_fd, top + 1, errfd);
	if (more && more->exe > 0)
		exe_fd = move_up(more->exe, top + 1, errfd);
	if (more)
		moved = move_more(more, top + 1, errfd);
	null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0)
		die(errfd, "standard files");
	if (null_fd == 0)
		(void)fcntl(0, F_SETFD, 0);
	if (state_fd >= 0 && dup2(state_fd, LU_LAUNCH_STATE_FD) < 0)
		die(errfd, "state file");
	/* whatever else is open closes with the exec, and so do errfd and exe_fd */
	if (syscall(SYS_close_range, state_fd < 0 ? LU_LAUNCH_STATE_FD : LU_LAUNCH_MORE_FD, ~0U, CLOSE_RANGE_CLOEXEC) <
	    0)
		die(errfd, "file descriptors");
	if (more)
		place_more(more, moved, errfd);
	free(moved);
	place_inherited(l, inherited, errfd);
	free(inherited);
	(void)umask((mode_t)l->umask);
	set_identity(l, errfd);
	if (chdir(l->cwd) < 0)
		die(errfd, "working directory");
	if (l->apparmor) {
		errno = -lu_confined_at_exec(l->apparmor);
		if (errno)
			die(errfd, "AppArmor profile");
	}
	if (exe_fd >= 0)
		(void)execveat(exe_fd, "", argv, env, AT_EMPTY_PATH);
	else
		execve(l->exe, argv, env);
	die(errfd, "exec");
}

static int make_env(const struct lu_launch *l, const char *variable, char ***ret)
{
	_cleanup_(lu_argv_freep) char **env = calloc(l->n_env + 2, sizeof(*env));

	if (!env)
		return -ENOMEM;
	for (size_t i = 0; i < l->n_env; i++) {
		if (asprintf(&env[i], "%s=%s", l->env[i].name, l->env[i].value) < 0) {
			env[i] = NULL;
			return -ENOMEM;
		}
	}
	if (variable && !(env[l->n_env] = strdup(variable)))
		return -ENOMEM;
	*ret = steal_ptr(env);
	return 0;
}

static int open_log(const char *log, struct lu_error *e)
{
	_cleanup_free_ char *dir = strdup(log);
	struct stat st;
	char *slash;
	int fd, r;

	if (!dir)
		return -ENOMEM;
	slash = strrchr(dir, '/');
	if (slash && slash != dir) {
		*slash = '\0';
		r = lu_mkdir_p(AT_FDCWD, dir, 0755);
		if (r < 0)
			return lu_error_set(e, r, NULL, "%s: %s", dir, strerror(-r));
	}
	/* the directory is QEMU's, whose user may have put something else there */
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
	if (fd < 0)
		return lu_error_set(e, -errno, NULL, "log %s: %s", log, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1) {
		close(fd);
		return lu_error_set(e, -EMEDIUMTYPE, "remove it", "log %s is no file of its own", log);
	}
	return fd;
}

/*
 * A child of the caller, in a session that another process has begun and left. Whoever leads one gets a terminal that
 * he opens, as a serial line of the host, for his controlling one: he ends when that hangs up, and when he ends it
 * hangs up for all others. QEMU opens it without O_NOCTTY, and libvirt's QEMU leads none.
 */
static pid_t fork_into_session(void)
{
	_cleanup_close_ int rd = -EBADF, wr = -EBADF;
	pid_t between, pid = 0;
	int p[2];
	ssize_t n;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -1;
	rd = p[0];
	wr = p[1];
	between = fork();
	if (between < 0)
		return -1;
	if (between == 0) {
		(void)setsid();
		pid = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, 0UL);
		if (pid > 0)
			_exit(0);
		/* it tells itself who it is: nobody must start a second QEMU, since he does not know of the first */
		pid = pid < 0 ? -errno : getpid();
		if (write(wr, &pid, sizeof(pid)) != (ssize_t)sizeof(pid) || pid < 0)
			_exit(126);
		return 0;
	}
	close(steal_fd(&wr));
	do
		n = read(rd, &pid, sizeof(pid));
	while (n < 0 && errno == EINTR);
	(void)waitpid(between, NULL, 0);
	if (n == (ssize_t)sizeof(pid) && pid > 0)
		return pid;
	errno = n == (ssize_t)sizeof(pid) ? -pid : EIO;
	return -1;
}

int lu_launch_spawn(const struct lu_launch *l, int state_fd, const struct lu_launch_more *more, const char *log,
		    pid_t *ret_pid, int *ret_pidfd, struct lu_error *e)
{
	_cleanup_(lu_argv_freep) char **argv = NULL, **env = NULL;
	_cleanup_close_ int log_fd = -EBADF, rd = -EBADF, wr = -EBADF, pidfd = -EBADF;
	struct failure f = { 0 };
	int p[2], r;
	ssize_t n;
	pid_t pid;

	r = lu_launch_argv(l, state_fd >= 0, &argv);
	if (r < 0)
		return r;
	r = check_numbers(l, more, e);
	if (r < 0)
		return r;
	r = make_env(l, more ? more->variable : NULL, &env);
	if (r < 0)
		return r;
	log_fd = open_log(log, e);
	if (log_fd < 0)
		return log_fd;
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	rd = p[0];
	wr = p[1];
	pid = fork_into_session();
	if (pid < 0)
		return lu_error_set(e, -errno, NULL, "VM %s: cannot fork: %s", l->name, strerror(errno));
	if (pid == 0)
		child(l, argv, env, state_fd, more, log_fd, wr);
	close(steal_fd(&wr));
	do
		n = read(rd, &f, sizeof(f));
	while (n < 0 && errno == EINTR);
	if (n != 0) {
		(void)waitpid(pid, NULL, 0);
		if (n != (ssize_t)sizeof(f))
			return lu_error_set(e, -EIO, NULL, "VM %s: the child process died before it became QEMU",
					    l->name);
		f.step[sizeof(f.step) - 1] = '\0';
		if (!strcmp(f.step, "exec"))
			return lu_error_set(e, -f.err, f.err == ENOENT ? "is QEMU still installed?" : NULL,
					    "VM %s: cannot execute %s: %s", l->name, l->exe, strerror(f.err));
		f.what[sizeof(f.what) - 1] = '\0';
		return lu_error_set(e, -f.err, NULL, "VM %s: cannot set the %s of its QEMU: %s", l->name, f.step,
				    f.what[0] ? f.what : strerror(f.err));
	}
	/* our child, not waited for yet: the number is still its own */
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		r = -errno;
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return lu_error_set(e, r, NULL, "VM %s: pidfd_open: %s", l->name, strerror(-r));
	}
	*ret_pid = pid;
	*ret_pidfd = steal_fd(&pidfd);
	return 0;
}

void lu_launch_hurry(const struct lu_launch *l, pid_t pid, bool on)
{
	int ordinary = l->sched ? (int)l->sched->nice : 0;
	char path[32], nice[8];
	int fd;

	/* a thread that is made by another one while the list is read is met by the second reading */
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	for (int times = 0; times < 2; times++) {
		DIR *dir = opendir(path);
		struct dirent *d;

		while (dir && (d = readdir(dir)))
			if (atoi(d->d_name) > 0)
				(void)setpriority(PRIO_PROCESS, (id_t)atoi(d->d_name), on ? HURRY_NICE : ordinary);
		if (dir)
			closedir(dir);
	}
	/* it has a session of its own, so where the kernel groups by sessions this is what counts */
	snprintf(path, sizeof(path), "/proc/%d/autogroup", (int)pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	snprintf(nice, sizeof(nice), "%d", on ? HURRY_NICE : 0);
	(void)!write(fd, nice, strlen(nice));
	close(fd);
}
