// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What others have set for a QEMU from outside: how it is scheduled, by which rules of the kernel's it is confined. What
 * its successor can't be given is no reason to refuse the VM, but it is told beforehand.
 *
 * Filters of system calls: those of the unit can't be read by a daemon that has one itself, and QEMU can't be executed by
 * systemd again. QEMU's own (-sandbox on) is part of its command line. A label is given by whoever executes QEMU, and before the
 * host's services there is no policy that knows it: AppArmor's travels with the VM (confined.h), others are lost.
 */
#include <dirent.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "argv.h"
#include "capture.h"
#include "confined.h"
#include "cores.h"
#include "task.h"

#define KVM_THREAD "kvm-nx-lpage-re" /* what fits of it */
#define VCPU_THREAD "CPU "           /* QEMU's name for it, as with -name debug-threads=on */

static int read_sched(const struct lu_capture_from *from, pid_t pid, const char *what, struct lu_launch_sched *ret)
{
	_cleanup_free_ char *text = NULL;
	const char *p;
	unsigned int priority, policy;
	int nice, r = lu_proc_read(from->proc_fd, pid, what, &text, NULL);

	if (r < 0 || !*text)
		return r < 0 ? r : -ESRCH;
	/* the name may hold anything; fields 19 (nice), 40 and 41 */
	p = strrchr(text, ')');
	if (!p ||
	    sscanf(p + 1,
		   " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %d %*s %*s %*s %*s %*s %*s %*s "
		   "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %u %u",
		   &nice, &priority, &policy) != 3)
		return -EBADMSG;
	*ret = (struct lu_launch_sched){ .nice = nice, .policy = (int)policy, .priority = priority };
	return 0;
}

static bool same_sched(const struct lu_launch_sched *a, const struct lu_launch_sched *b)
{
	return a->nice == b->nice && a->policy == b->policy && a->priority == b->priority;
}

static int capture_sched(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l)
{
	static const struct lu_launch_sched ordinary = { .policy = SCHED_OTHER };
	struct lu_launch_sched now;
	int r = read_sched(from, pid, "stat", &now);

	if (r == -ESRCH) /* whether it is there others find out */
		return 0;
	if (r < 0 || same_sched(&now, &ordinary))
		return r;
	if (now.nice < -20 || now.nice > 19 || now.priority > 99)
		return -EBADMSG;
	if (now.policy != SCHED_OTHER && now.policy != SCHED_BATCH && now.policy != SCHED_IDLE &&
	    now.policy != SCHED_FIFO && now.policy != SCHED_RR) {
		if (from->losses)
			lu_reasons_add(from->losses, NULL, "set it again after the update",
				       "its scheduling policy (number %d)", now.policy);
		return 0;
	}
	l->sched = calloc(1, sizeof(*l->sched));
	if (!l->sched)
		return -ENOMEM;
	*l->sched = now;
	return lu_launch_add_feature(l, LU_LAUNCH_SCHED);
}

/* What a thread is called: "CPU 0/KVM", "IO iothread0". */
static void name_thread(const struct lu_capture_from *from, pid_t pid, int tid, char buf[static 40])
{
	_cleanup_free_ char *text = NULL;
	char what[64];

	snprintf(what, sizeof(what), "task/%d/comm", tid);
	if (lu_proc_read(from->proc_fd, pid, what, &text, NULL) < 0) {
		snprintf(buf, 40, "%d", tid);
		return;
	}
	snprintf(buf, 40, "%.*s", (int)strcspn(text, "\n"), text);
}

struct of_process {
	const struct lu_launch *launch;
	struct lu_launch_sched sched;
};

/* One that is not as the process is. CPUs of vCPUs are carried over, how they are scheduled is not. */
static void look_at_thread(const struct lu_capture_from *from, pid_t pid, int tid, void *userdata)
{
	static const char hint[] = "set it again after the update";
	_cleanup_free_ char *text = NULL, *cpus = NULL;
	const struct of_process *of = userdata;
	struct lu_launch_sched now;
	char what[64], name[40];
	const char *p;

	snprintf(what, sizeof(what), "task/%d/status", tid);
	if (lu_proc_read(from->proc_fd, pid, what, &text, NULL) < 0)
		return;
	name_thread(from, pid, tid, name);
	/* KVM's own, which no command of QEMU's or the host's makes (kvm_mmu_start_lpage_recovery() in the kernel) */
	if (!strncmp(name, KVM_THREAD, strlen(KVM_THREAD)))
		return;
	p = lu_status_field(text, "Cpus_allowed_list");
	if (p && sscanf(p, " %m[0-9,-]", &cpus) == 1 && of->launch->cpus && strcmp(cpus, of->launch->cpus) != 0 &&
	    strncmp(name, VCPU_THREAD, strlen(VCPU_THREAD)) != 0)
		lu_reasons_add(from->losses, NULL, hint, "that its thread \"%s\" runs on CPUs %s only", name, cpus);
	snprintf(what, sizeof(what), "task/%d/stat", tid);
	if (read_sched(from, pid, what, &now) == 0 && !same_sched(&now, &of->sched))
		lu_reasons_add(from->losses, NULL, hint,
			       "how its thread \"%s\" is scheduled (policy %d, priority %u, nice %d)", name, now.policy,
			       (unsigned int)now.priority, (int)now.nice);
}

/* What is told of one thread of a process */
typedef void (*thread_t)(const struct lu_capture_from *from, pid_t pid, int tid, void *userdata);

static void each_thread(const struct lu_capture_from *from, pid_t pid, thread_t look, void *userdata)
{
	struct dirent *d;
	char path[32];
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "%d/task", (int)pid);
	fd = openat(from->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		closep(&fd);
		return;
	}
	while ((d = readdir(dir)))
		if (atoi(d->d_name) > 0)
			look(from, pid, atoi(d->d_name), userdata);
	closedir(dir);
}

static void look_at_threads(const struct lu_capture_from *from, pid_t pid, const struct lu_launch *l)
{
	struct of_process of = { .launch = l };

	if (read_sched(from, pid, "stat", &of.sched) < 0)
		return;
	each_thread(from, pid, look_at_thread, &of);
}

/* Cookies of core scheduling, as libvirt and coresched(1) give them */
struct cookies {
	uint64_t process; /* of the main thread */
	uint64_t vcpus;   /* of the vCPUs' threads, if they all have one */
	size_t n_vcpus;
	bool as_process, vcpus_differ; /* all threads are as the main thread; or vCPUs are not even as one another */
	bool other;                    /* another thread has yet another one */
};

static void note_cookie(const struct lu_capture_from *from, pid_t pid, int tid, void *userdata)
{
	struct cookies *c = userdata;
	uint64_t cookie;
	char name[40];

	if (lu_cores_get(tid, &cookie) < 0)
		return;
	name_thread(from, pid, tid, name);
	if (!strncmp(name, KVM_THREAD, strlen(KVM_THREAD)))
		return;
	c->as_process &= cookie == c->process;
	if (strncmp(name, VCPU_THREAD, strlen(VCPU_THREAD)) != 0)
		return;
	c->vcpus_differ |= c->n_vcpus && cookie != c->vcpus;
	c->vcpus = cookie;
	c->n_vcpus++;
}

/* A thread that a vCPU has made has its cookie. */
static void note_other(const struct lu_capture_from *from, pid_t pid, int tid, void *userdata)
{
	struct cookies *c = userdata;
	uint64_t cookie;

	if (lu_cores_get(tid, &cookie) == 0)
		c->other |= cookie && cookie != c->vcpus;
}

/* What it shares with other processes can't be told, and ends: each gets a cookie of its own. */
static enum lu_launch_cores capture_cores(const struct lu_capture_from *from, pid_t pid)
{
	struct cookies c = { .as_process = true };

	if (lu_cores_get(pid, &c.process) < 0)
		return LU_CORES_ANY;
	each_thread(from, pid, note_cookie, &c);
	if (c.as_process)
		return c.process ? LU_CORES_PROCESS : LU_CORES_ANY;
	each_thread(from, pid, note_other, &c);
	if (!c.process && c.vcpus && !c.vcpus_differ && !c.other)
		return LU_CORES_VCPUS;
	if (from->losses)
		lu_reasons_add(
			from->losses, NULL,
			"set them again after the update, or give all its threads, or all its vCPUs, one cookie",
			"the cookies of core scheduling of its threads, which differ: afterwards they share cores "
			"with other guests");
	return LU_CORES_ANY;
}

/* I/O priorities of a process's threads */
struct io {
	const struct lu_launch_task *main;
	size_t n_given; /* those that have one */
	char first[40]; /* of them */
	bool differ;
};

static void note_io(const struct lu_capture_from *from, pid_t pid, int tid, void *userdata)
{
	struct io *io = userdata;
	uint64_t priority;
	char name[40];
	int class;

	name_thread(from, pid, tid, name);
	if (lu_task_read_io(tid, &class, &priority) < 0 || !strncmp(name, KVM_THREAD, strlen(KVM_THREAD)))
		return;
	io->differ |= class != io->main->io_class || priority != io->main->io_priority;
	if (class != IOPRIO_CLASS_NONE && !io->n_given++)
		snprintf(io->first, sizeof(io->first), "%s", name);
}

/*
 * What is set before the exec all threads get, so it has to be what all of them have: ionice(1) on a QEMU that runs changes
 * one thread, and a disk whose thread became idle with it would wait for everybody else's.
 */
static void capture_io(const struct lu_capture_from *from, pid_t pid, struct lu_launch_task *now)
{
	struct io io = { .main = now };

	each_thread(from, pid, note_io, &io);
	if (!io.differ)
		return;
	now->io_class = IOPRIO_CLASS_NONE;
	now->io_priority = 0;
	if (from->losses)
		lu_reasons_add(from->losses, NULL, "set it again after the update, or give all its threads the same",
			       "the I/O priority of %zu of its threads, the first is \"%s\"", io.n_given, io.first);
}

/* What is as of process 1 is the kernel's own, and not recorded: the next kernel has its own. */
static int capture_task(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l)
{
	struct lu_launch_task now, usual;
	int r = lu_task_read(from->proc_fd, pid, &now);

	if (r < 0)
		return r == -ESRCH ? 0 : r;
	r = lu_task_read(from->proc_fd, from->reference ?: 1, &usual);
	if (r >= 0 && now.coredump_filter == usual.coredump_filter)
		now.coredump_filter = UINT64_MAX;
	capture_io(from, pid, &now);
	now.cores = capture_cores(from, pid);
	if (!lu_task_differs(&now))
		return 0;
	l->task = calloc(1, sizeof(*l->task));
	if (!l->task)
		return -ENOMEM;
	*l->task = now;
	return lu_launch_add_feature(l, LU_LAUNCH_TASK);
}

/*
 * The memory policy of its main thread, as libvirt's numatune without cells or NUMAPolicy= of its unit set it. The kernel
 * names it for each mapping that has no policy of its own, as has none of the program's own file, which comes first. Only that
 * is read, a byte at a time: to fill a buffer the kernel would go on, and walk through the pages of each mapping that it tells of.
 */
static void look_at_memory(const struct lu_capture_from *from, pid_t pid)
{
	_cleanup_close_ int fd = -EBADF;
	char path[32], line[512], *policy, *end;
	size_t n = 0;

	snprintf(path, sizeof(path), "%d/numa_maps", (int)pid);
	fd = openat(from->proc_fd, path, O_RDONLY | O_CLOEXEC);
	/* a kernel without NUMA has none, or it is gone */
	while (fd >= 0 && n < sizeof(line) - 1 && read(fd, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
	policy = strchr(line, ' ');
	end = policy ? strstr(policy, " file=") : NULL;
	if (!end)
		return;
	*end = '\0';
	/* "local" is what the kernel does anyway */
	if (strcmp(policy, " default") != 0 && strcmp(policy, " local") != 0)
		lu_reasons_add(
			from->losses, NULL,
			"give its memory backends a policy (host-nodes=, policy=), or start it anew after the update",
			"its memory policy,%s: what its QEMU takes anew comes from any node", policy);
}

static bool filters_itself(char *const *argv)
{
	struct lu_arg arg = { 0 };

	while (lu_argv_next(argv, &arg))
		if (!strcmp(arg.name, "sandbox") && arg.value && !strncmp(arg.value, "on", 2))
			return true;
	return false;
}

/* swtpm filters itself unless it is told not to (--seccomp action=none). */
static bool tpm_filters_itself(char *const *argv)
{
	for (size_t i = 1; argv[0] && argv[i]; i++)
		if (strstr(argv[i], "action=none"))
			return false;
	return true;
}

static void look_at_rules(const struct lu_capture_from *from, pid_t pid, bool itself, bool carried, bool tpm)
{
	_cleanup_free_ char *status = NULL, *label = NULL;
	unsigned int mode = 0, n = 0;
	const char *p;

	if (lu_proc_read(from->proc_fd, pid, "status", &status, NULL) == 0) {
		p = lu_status_field(status, "Seccomp");
		if (p)
			(void)sscanf(p, "%u", &mode);
		p = lu_status_field(status, "Seccomp_filters");
		if (p)
			(void)sscanf(p, "%u", &n);
	}
	if (mode == 2 && (!itself || n > 1))
		lu_reasons_add(from->losses, NULL,
			       tpm    ? "swtpm's own filter is kept" :
			       itself ? "QEMU's own filter (-sandbox on) is kept" :
					"QEMU's own filter is kept: start it with -sandbox on",
			       "the filter of system calls that %s gave it",
			       tpm ? "the unit of its swtpm" : "its unit");
	if (lu_proc_read(from->proc_fd, pid, "attr/current", &label, NULL) < 0)
		return;
	label[strcspn(label, "\n")] = '\0';
	if (!carried && label[0] && strcmp(label, "unconfined") != 0 && strcmp(label, "kernel") != 0)
		lu_reasons_add(from->losses, NULL,
			       "do without the guest, or without the label, while the host is updated",
			       "its %slabel %s: it runs unconfined afterwards", tpm ? "swtpm's " : "", label);
}

/* Its rules must be there to be taken along: a guest that runs unconfined afterwards is none that was carried. */
static int capture_apparmor(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l, struct lu_reasons *why)
{
	static const char hint[] =
		"a kernel with CONFIG_SECURITY_APPARMOR_EXPORT_BINARY tells them (Debian's do), unless "
		"it is booted with apparmor.export_binary=0";
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ char *text = NULL;
	int r = lu_proc_read(from->proc_fd, pid, "attr/apparmor/current", &text, NULL);

	if (r < 0) /* no AppArmor, or it is off */
		return r == -ENOMEM ? r : 0;
	r = lu_confined_parse(text, &l->apparmor);
	if (r == -ENOMEM)
		return r;
	text[strcspn(text, "\n")] = '\0';
	if (r < 0) {
		lu_reasons_add(why, NULL, "let one profile confine it, without a namespace of AppArmor's",
			       "how AppArmor confines it can't be made again: %s", text);
		return 0;
	}
	if (!l->apparmor)
		return 0;
	fd = lu_confined_policy(from->apparmor, l->apparmor);
	if (fd < 0)
		lu_reasons_add(why, NULL, hint,
			       "the rules of AppArmor's profile %s, which confines it, can't be read: %s", l->apparmor,
			       strerror(-fd));
	return lu_launch_add_feature(l, LU_LAUNCH_APPARMOR);
}

int lu_capture_identity(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l, struct lu_reasons *why)
{
	int r = capture_sched(from, pid, l);

	if (r >= 0)
		r = capture_task(from, pid, l);
	if (r >= 0)
		r = capture_apparmor(from, pid, l, why);
	if (r < 0 || !from->losses)
		return r;
	look_at_threads(from, pid, l);
	look_at_memory(from, pid);
	look_at_rules(from, pid, filters_itself(l->argv), l->apparmor, false);
	return 0;
}

int lu_capture_tpm_identity(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l)
{
	int r = capture_sched(from, pid, l);

	if (r >= 0)
		r = capture_task(from, pid, l);
	if (r >= 0 && from->losses)
		look_at_rules(from, pid, tpm_filters_itself(l->argv), false, true);
	return r;
}
