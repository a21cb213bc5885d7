// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU with the running kernel. It gets no network, no device of the host but /dev/kvm, and its disks are overlays that
 * go away: what it writes never reaches the host's. Its first serial port is the kernels' console, in a file; the
 * second, lu-init's lines, is its standard output.
 */
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "lu-init/trial-words.h"
#include "trial.h"

#define ARGS_MAX 96
#define CONSOLE_MAX (4u << 20)
#define LAST_LINES 3

struct args {
	char *list[ARGS_MAX + 1];
	size_t n;
	bool failed;
};

static void args_clear(struct args *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->list[i]);
}

static void arg(struct args *a, const char *fmt, ...) _printf_(2, 3);

static void arg(struct args *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (a->n == ARGS_MAX || vasprintf(&a->list[a->n], fmt, ap) < 0)
		a->failed = true;
	else
		a->n++;
	va_end(ap);
}

static bool adapter_is_new(const struct trial_disks *d, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (d->list[k].model->adapter && !strcmp(d->list[k].model->adapter, d->list[i].model->adapter))
			return false;
	return true;
}

/* Kept open over the exec as descriptor 10 and on */
static int disk_fd(size_t i)
{
	return 10 + (int)i;
}

static void disk_args(struct args *a, const struct trial_disks *d)
{
	for (size_t i = 0; i < d->n; i++) {
		const struct trial_model *m = d->list[i].model;
		size_t at = m->bus ? strlen(m->bus) : 0;
		char bus[48] = "";

		if (m->bus && m->bus[at - 1] == '.')
			snprintf(bus, sizeof(bus), ",bus=%s%zu", m->bus, i);
		else if (m->bus)
			snprintf(bus, sizeof(bus), ",bus=%s", m->bus);
		if (m->adapter && adapter_is_new(d, i)) {
			arg(a, "-device");
			arg(a, "%s", m->adapter);
		}
		arg(a, "-add-fd");
		arg(a, "fd=%d,set=%zu", disk_fd(i), i + 1);
		arg(a, "-drive");
		arg(a,
		    "if=none,id=d%zu,file.driver=host_device,file.filename=/dev/fdset/%zu,format=raw,cache.direct=on,snapshot=on",
		    i, i + 1);
		arg(a, "-device");
		arg(a, "%s,drive=d%zu,serial=trial%zu%s", m->device, i, i, bus);
	}
}

static void machine_args(struct args *a, const struct trial_machine *m)
{
	const char *const fixed[] = { m->qemu,      "-nodefaults", "-no-user-config", "-display", "none",
				      "-no-reboot", "-M",          "q35,accel=kvm",   "-cpu",     "host",
				      "-smp",       "1",           "-kernel",         m->kernel,  "-initrd",
				      m->initrd };

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		arg(a, "%s", fixed[i]);
	arg(a, "-m");
	arg(a, "%u", m->memory_mib);
	arg(a, "-append");
	arg(a, "%s", m->cmdline);
	arg(a, "-serial");
	arg(a, "file:%s/console", m->folder);
	arg(a, "-serial");
	arg(a, "stdio");
	arg(a, "-monitor");
	arg(a, "none");
	disk_args(a, m->disks);
}

/* In the child; returns only on failure */
static void become_qemu(const struct trial_machine *m, char **argv, int out)
{
	char path[256];
	int err, null = open("/dev/null", O_RDWR);

	snprintf(path, sizeof(path), "%s/qemu", m->folder);
	err = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (null < 0 || err < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(126);
	for (size_t i = 0; i < m->disks->n; i++)
		if (dup2(m->disks->list[i].fd, disk_fd(i)) < 0)
			_exit(126);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setenv("TMPDIR", m->folder, 1);
	if (m->uid != geteuid() && (setresgid(m->gid, m->gid, m->gid) < 0 || setresuid(m->uid, m->uid, m->uid) < 0))
		_exit(125);
	execv(m->qemu, argv);
	_exit(127);
}

static void take_line(struct trial_result *r, char *line)
{
	lu_text_clean(line);
	if (!strcmp(line, LU_TRIAL_SAYS_FIRST))
		r->stage = TRIAL_FIRST;
	else if (!strcmp(line, LU_TRIAL_SAYS_LOAD))
		r->stage = TRIAL_LOAD;
	else if (!strcmp(line, LU_TRIAL_SAYS_JUMP))
		r->stage = TRIAL_JUMP;
	else if (!strncmp(line, LU_TRIAL_SAYS_RELEASE, strlen(LU_TRIAL_SAYS_RELEASE))) {
		r->stage = TRIAL_SECOND;
		snprintf(r->release, sizeof(r->release), "%.65s", line + strlen(LU_TRIAL_SAYS_RELEASE));
	} else if (!strncmp(line, LU_TRIAL_SAYS_FAILED, strlen(LU_TRIAL_SAYS_FAILED)))
		snprintf(r->failed, sizeof(r->failed), "%.399s", line + strlen(LU_TRIAL_SAYS_FAILED));
	else if (!strcmp(line, LU_TRIAL_SAYS_OK) && r->stage == TRIAL_SECOND)
		r->stage = TRIAL_OK;
}

/* Until the port is closed, the time is over, or nobody listens to us any more */
static void listen_to(int port, uint64_t until_ns, struct trial_result *r)
{
	char buf[1024];
	size_t used = 0;

	for (;;) {
		struct pollfd p[] = { { .fd = port, .events = POLLIN }, { .fd = STDERR_FILENO } };
		uint64_t now = lu_clock_ns(CLOCK_MONOTONIC);
		ssize_t n;
		char *end;

		if (now >= until_ns) {
			r->late = true;
			return;
		}
		n = poll(p, 2, (int)((until_ns - now) / 1000000) + 1);
		if (n < 0 && errno != EINTR)
			return;
		if (n <= 0)
			continue;
		if (p[1].revents & (POLLERR | POLLHUP))
			return;
		n = read(port, buf + used, sizeof(buf) - 1 - used);
		if (n <= 0)
			return;
		used += (size_t)n;
		buf[used] = '\0';
		while ((end = strpbrk(buf, "\r\n"))) {
			*end++ = '\0';
			take_line(r, buf);
			used -= (size_t)(end - buf);
			memmove(buf, end, used + 1);
		}
		if (used == sizeof(buf) - 1)
			used = 0;
		/* what is said last is all that is needed; some machines can't be switched off */
		if (r->stage == TRIAL_OK || *r->failed)
			return;
	}
}

/* A panic's own line if there is one, else the last lines */
static void last_words(const struct trial_machine *m, const char *file, char *ret, size_t size)
{
	_cleanup_free_ char *text = NULL, *path = NULL;
	const char *panic, *from;
	size_t n, lines = 0;

	ret[0] = '\0';
	if (asprintf(&path, "%s/%s", m->folder, file) < 0 || lu_read_file(AT_FDCWD, path, CONSOLE_MAX, &text, &n) < 0)
		return;
	panic = strstr(text, "Kernel panic");
	if (panic) {
		snprintf(ret, size, "%.*s", (int)strcspn(panic, "\r\n"), panic);
	} else {
		while (n && strchr("\r\n ", text[n - 1]))
			text[--n] = '\0';
		for (from = text + n; from > text && lines < LAST_LINES; from--)
			lines += from[-1] == '\n';
		if ((size_t)(text + n - from) >= size)
			from = text + n - size + 1;
		snprintf(ret, size, "%s", from + (*from == '\n'));
	}
	lu_text_clean(ret);
}

int trial_machine_run(const struct trial_machine *m, struct trial_result *ret, struct lu_error *e)
{
	_cleanup_(args_clear) struct args a = { .n = 0 };
	_cleanup_close_ int port = -EBADF;
	int pipes[2], status = 0;
	char said[200];
	pid_t pid;

	*ret = (struct trial_result){ .stage = TRIAL_NOTHING };
	machine_args(&a, m);
	if (a.failed)
		return lu_error_set(e, -ENOMEM, NULL, "too much for a command line of QEMU");
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	port = pipes[0];
	pid = fork();
	if (pid == 0)
		become_qemu(m, a.list, pipes[1]);
	(void)close(pipes[1]);
	if (pid < 0)
		return lu_error_set(e, -errno, NULL, "fork: %s", strerror(errno));
	listen_to(port, lu_clock_ns(CLOCK_MONOTONIC) + m->seconds * 1000000000ULL, ret);
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	last_words(m, "console", ret->last, sizeof(ret->last));
	if (ret->stage == TRIAL_NOTHING && !*ret->last && !ret->late) {
		last_words(m, "qemu", said, sizeof(said));
		return lu_error_set(e, -EIO, "does it start a guest by hand?", "%s ended at once: %s", m->qemu,
				    *said ? said : "it said nothing");
	}
	return 0;
}
