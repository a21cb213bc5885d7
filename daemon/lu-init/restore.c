// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Restoring one VM, the only code in the project that does it: early, in a child of
 * PID 1, and later as `lu-init --restore UUID` for luctld.
 *
 *	lock → may it be restored? → RAM and state intact? → needs → devices → TPM → spawn → monitor
 *	→ state loaded → the administrator's veto → result "loaded" → cont → result "running"
 *
 * The lock on the VM's directory keeps two restorers apart (flock: it goes away with
 * us, QEMU does not inherit it). result.json is written at every end:
 *  1. Not allowed (running, stale, not committed): nothing is written, whoever wrote
 *     the record before knew better.
 *  2. Anything up to cont fails: QEMU is killed, "failed" with retry, the state is as
 *     good as before. Loading does not touch RAM (QEMU skips ROM resets on incoming).
 *  3. "loaded" can't be written: as 2, cont is not sent, for if we died after it
 *     nobody would know that the guest has run.
 *  4. cont is refused: as 2. cont's answer does not come: QEMU died or hangs and
 *     may have run the guest: "failed" without retry, a hanging QEMU is left alone.
 *  5. "running" can't be written: the guest runs and "loaded" with its pid stands,
 *     which is what luctld needs to find it. Reported, not undone.
 * If we are killed in between, "loaded" or no record stands; both are read rightly.
 */
#include <assert.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "clock.h"
#include "confined.h"
#include "cores.h"
#include "lu-init.h"
#include "task.h"

/* QEMU takes its CPR state from this descriptor: LU_LAUNCH_MORE_FD */
#define LU_CPR_VARIABLE "QEMU_CPR_EXEC_STATE=4"
static_assert(LU_LAUNCH_MORE_FD == 4, "the numbers of descriptors are QEMU's arguments");

struct restore {
	const struct lu_init *init;
	int dir;
	struct lu_saved saved;
	struct lu_launch launch;
	struct lu_result result;
	struct lu_held held; /* if devices are passed through */
	struct lu_tpm tpm;   /* if it was started here */
	struct lu_monitor monitor;
	pid_t pid;
	int pidfd;
	char *log;
	bool may_have_run; /* cont was sent */
	unsigned int vm;   /* index in the flight recorder */
	int root;
	int exe;              /* --exe */
	struct lu_init again; /* of a keeper */
};

static void restore_done(struct restore *r)
{
	lu_monitor_close(&r->monitor);
	closep(&r->pidfd);
	closep(&r->tpm.pidfd);
	closep(&r->dir);
	closep(&r->exe);
	lu_saved_clear(&r->saved);
	lu_launch_clear(&r->launch);
	lu_result_clear(&r->result);
	lu_held_clear(&r->held);
	free(r->log);
}

static void trace(struct restore *r, enum lu_phase phase, enum lu_trace_kind kind, int result)
{
	lu_trace_add(r->init->trace, phase, r->vm, kind, result, r->saved.name);
}

static uint64_t tsc(void)
{
	return lu_stamp_now().tsc;
}

/* --- may it, can it? --- */

static int check_allowed(struct restore *r, const char *update, struct lu_error *e)
{
	_cleanup_(lu_result_clear) struct lu_result result = { 0 };
	_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
	int k;

	if (update && strcmp(r->saved.update, update) != 0)
		return lu_error_set(e, -ESTALE, NULL, "VM %s: its record is of another update", r->saved.name);
	k = lu_result_read(r->dir, &result, &why);
	if (k < 0 && k != -ENOENT)
		return lu_error_set(e, k,
				    "remove result.json only if you know that the guest has not run since the jump",
				    "VM %s: %s", r->saved.name, why.what ?: strerror(-k));
	switch (lu_may_restore(&r->saved, k < 0 ? NULL : &result, k == 0 && lu_result_alive(&result))) {
	case LU_MAY_RESTORE:
		return 0;
	case LU_MAY_NOT_INCOMPLETE:
		return lu_error_set(e, -ENODATA, NULL, "VM %s: there is no committed state to restore", r->saved.name);
	case LU_MAY_NOT_ALIVE:
		return lu_error_set(e, -EALREADY, NULL, "VM %s: its QEMU is there already, process %llu", r->saved.name,
				    (unsigned long long)result.pid);
	default:
		return lu_error_set(
			e, -ESTALE, "start the guest afresh from its disks",
			"VM %s: it ran since the jump and its QEMU is gone, so its saved state no longer fits its memory",
			r->saved.name);
	}
}

static int check_ram(struct restore *r, struct lu_error *e)
{
	for (size_t i = 0; i < r->launch.n_ram; i++) {
		const struct lu_launch_ram *ram = &r->launch.ram[i];
		struct stat st;

		if (stat(ram->path, &st) < 0)
			return lu_error_set(e, -errno, NULL, "VM %s: its memory %s: %s", r->saved.name, ram->path,
					    strerror(errno));
		if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < ram->size || st.st_ino != ram->inode)
			return lu_error_set(e, -EBADMSG, NULL, "VM %s: %s is not the memory file that it had",
					    r->saved.name, ram->path);
	}
	return 0;
}

static int open_state(struct restore *r, int *ret_fd, struct lu_error *e)
{
	int fd = openat(r->dir, "state", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return lu_error_set(e, -errno, NULL, "VM %s: its state file: %s", r->saved.name, strerror(errno));
	*ret_fd = fd;
	return 0;
}

/* AppArmor's rules of a QEMU do not know our files: it gets the state as memory, which they do not judge (confined.h). */
static int open_state_for(struct restore *r, int file, int *ret_fd, struct lu_error *e)
{
	_cleanup_close_ int fd = -EBADF;
	char self[48];
	off_t at = 0;
	ssize_t n;

	*ret_fd = -EBADF;
	if (!r->launch.apparmor || file < 0)
		return 0;
	fd = memfd_create("luctl-state", MFD_CLOEXEC);
	n = fd < 0 ? -1 : 1;
	while (n > 0) {
		n = sendfile(fd, file, &at, 64 << 20);
		if (n < 0 && errno == EINTR)
			n = 1;
	}
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	*ret_fd = n < 0 ? -1 : open(self, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? lu_error_set(e, -errno, NULL, "VM %s: memory for its state: %s", r->saved.name,
					  strerror(errno)) :
			     0;
}

/* Compares the state with what was committed. QEMU starts meanwhile, it does not read before it is told to. */
static int check_state(struct restore *r, int fd, struct lu_error *e)
{
	uint64_t size;
	uint32_t crc;
	int k;

	k = lu_store_sum(fd, &size, &crc);
	if (k < 0)
		return lu_error_set(e, k, NULL, "VM %s: its state file: %s", r->saved.name, strerror(-k));
	if (size == r->saved.size && crc == r->saved.crc32)
		return 0;
	return lu_error_set(
		e, -EBADMSG, "start the guest afresh from its disks",
		"VM %s: its state file is damaged (%llu bytes, crc %08x; committed were %llu bytes, crc %08x)",
		r->saved.name, (unsigned long long)size, crc, (unsigned long long)r->saved.size,
		(unsigned int)r->saved.crc32);
}

int lu_init_meet_needs(const struct lu_init *i, const struct lu_launch *l, struct lu_error *e)
{
	_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
	int k;

	k = lu_launch_meet_needs(l, LU_INIT_NEEDS_MS, &why);
	if (k == -EROFS && i->early && lu_mounts_root_rw(i) == 0) {
		lu_error_clear(&why);
		k = lu_launch_meet_needs(l, LU_INIT_NEEDS_MS, &why);
	}
	if (k < 0)
		lu_error_move(e, &why);
	return k;
}

void lu_init_settle_task(const struct lu_init *i, const struct lu_launch *of, pid_t pid, const char *whose)
{
	_cleanup_reasons_ struct lu_reasons lost = { 0 };
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (!of->task)
		return;
	(void)lu_task_set_slack(of->task, pid);
	lu_task_compare(of->task, proc, pid, &lost);
	for (size_t n = 0; n < lost.n; n++)
		lu_log(i, "%s is not as it was before: %s", whose, lost.list[n].what);
}

/* --- QEMU --- */

char *lu_init_last_line(const char *log)
{
	_cleanup_free_ char *text = NULL;
	char *end, *line;

	if (lu_read_file(AT_FDCWD, log, 1 << 20, &text, NULL) < 0 || !*text)
		return NULL;
	for (end = text + strlen(text); end > text && end[-1] == '\n';)
		*--end = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
			*p = '?'; /* the result must be UTF-8 whatever was printed */
	return *line ? strndup(line, 500) : NULL;
}

/* The last line of its log is where QEMU says why it gave up. */
static void add_log(struct restore *r, struct lu_error *e)
{
	_cleanup_free_ char *line = e->what ? lu_init_last_line(r->log) : NULL, *old = NULL;

	if (!line)
		return;
	old = e->what;
	if (asprintf(&e->what, "%s: %s", old, line) < 0)
		e->what = steal_ptr(old);
}

static struct json_object *ignore_shared(bool on)
{
	return json_tokener_parse(on ? "{\"capabilities\": [{\"capability\": \"x-ignore-shared\", \"state\": true}]}" :
				       "{\"capabilities\": [{\"capability\": \"x-ignore-shared\", \"state\": false}]}");
}

static int command(struct restore *r, const char *name, struct json_object *args, struct lu_error *e)
{
	int k = args ? lu_monitor_command(&r->monitor, name, args, NULL, e) : -ENOMEM;

	json_object_put(args);
	return k;
}

static const char *pin_of(const struct lu_launch *l, uint64_t index)
{
	for (size_t i = 0; i < l->n_vcpus; i++)
		if (l->vcpus[i].index == index)
			return l->vcpus[i].cpus;
	return NULL;
}

/* The threads of vCPUs go where their predecessors were, apart from others. A guest on another CPU is better than none. */
static int place_vcpus(struct restore *r, struct lu_error *e)
{
	bool apart = r->launch.task && r->launch.task->cores == LU_CORES_VCPUS;
	_cleanup_free_ pid_t *tids = NULL;
	struct json_object *list = NULL;
	size_t n = 0;
	int k;

	if (r->launch.n_vcpus == 0 && !apart)
		return 0;
	k = lu_monitor_command(&r->monitor, "query-cpus-fast", NULL, &list, e);
	if (k < 0)
		return k;
	if (json_object_is_type(list, json_type_array))
		tids = calloc(json_object_array_length(list) ?: 1, sizeof(*tids));
	for (size_t i = 0; tids && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i), *index, *tid;
		const char *cpus;

		/* thread 0 would be ourselves */
		if (!json_object_object_get_ex(o, "cpu-index", &index) ||
		    !json_object_object_get_ex(o, "thread-id", &tid) || json_object_get_int(tid) <= 0)
			continue;
		tids[n++] = json_object_get_int(tid);
		cpus = pin_of(&r->launch, json_object_get_uint64(index));
		k = cpus ? lu_launch_set_cpus(json_object_get_int(tid), cpus) : 0;
		if (k < 0)
			lu_log(r->init, "VM %s: vCPU %llu can't be kept on CPUs %s: %s", r->saved.name,
			       (unsigned long long)json_object_get_uint64(index), cpus, strerror(-k));
	}
	json_object_put(list);
	if (apart) {
		k = !n ? -ENODATA : lu_cores_share(tids, n);
		if (k < 0 && k != -ENODEV) /* no core has two threads here */
			lu_log(r->init, "VM %s: its vCPUs share cores with other processes: no core scheduling: %s",
			       r->saved.name, strerror(-k));
	}
	return 0;
}

/* What it was given from outside is no reason to do without the guest either. */
static void settle_task(struct restore *r)
{
	char whose[96];

	snprintf(whose, sizeof(whose), "VM %s: its QEMU", r->saved.name);
	lu_init_settle_task(r->init, &r->launch, r->pid, whose);
}

static int load(struct restore *r, struct lu_error *e)
{
	int k;

	/* as it was when the state was saved */
	k = command(r, "migrate-set-capabilities", ignore_shared(!r->launch.devices), e);
	if (k >= 0)
		k = command(r, "migrate-incoming", json_tokener_parse("{\"uri\": \"" LU_LAUNCH_STATE_URI "\"}"), e);
	if (k < 0)
		return k;
	for (unsigned int n = 0;; n++) {
		struct json_object *data = NULL, *v;
		const char *status = NULL;
		bool loading, fine;

		k = lu_monitor_command(&r->monitor, "query-status", NULL, &data, e);
		if (k < 0)
			return k;
		if (json_object_is_type(data, json_type_object) && json_object_object_get_ex(data, "status", &v))
			status = json_object_get_string(v);
		loading = status && !strcmp(status, "inmigrate");
		fine = status && (!strcmp(status, "paused") || !strcmp(status, "prelaunch"));
		if (!loading && !fine)
			lu_error_set(e, -EIO, NULL, "after loading QEMU is in state \"%s\"", status ?: "");
		json_object_put(data);
		if (!loading)
			return fine ? 0 : -EIO;
		usleep(n < 20 ? 1000 : 5000);
	}
}

static void kill_qemu(struct restore *r)
{
	if (r->pidfd < 0)
		return;
	(void)syscall(SYS_pidfd_send_signal, r->pidfd, SIGKILL, NULL, 0);
	(void)waitpid(r->pid, NULL, 0);
	closep(&r->pidfd);
	r->pidfd = -EBADF;
}

static int write_result(struct restore *r, enum lu_result_status status, struct lu_error *e)
{
	r->result.status = status;
	return lu_result_write(r->dir, &r->result, e);
}

/* Later migrations shall go as they did; the guest runs already, so failing is only a pity. */
static void put_settings_back(struct restore *r)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int k = lu_settings_put_back(&r->monitor, r->dir, &r->saved, &e);

	if (k >= 0)
		return;
	/* there is no such record of a luctld that was older */
	if (k != -ENOENT)
		lu_log(r->init, "VM %s: QEMU's migration settings are not as before: %s", r->saved.name,
		       e.what ?: strerror(-k));
	if (r->saved.ignore_shared == !r->launch.devices)
		return;
	if (command(r, "migrate-set-capabilities", ignore_shared(r->saved.ignore_shared), NULL) < 0)
		lu_log(r->init, "VM %s: migration capability x-ignore-shared stays %s", r->saved.name,
		       r->saved.ignore_shared ? "off" : "on");
}

/* Switches may have forgotten where the guest is, or learnt it from nobody since the host came up. */
static void announce(struct restore *r)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	if (command(r, "announce-self", json_tokener_parse(LU_LAUNCH_ANNOUNCE), &e) < 0)
		lu_log_error(r->init, "not announced on its network: ", &e);
}

static int let_run(struct restore *r, struct lu_error *e)
{
	int k;

	if (r->init->veto && r->saved.running && !r->init->keep_paused) {
		k = lu_veto(r->init->veto, &r->saved, LU_INIT_VETO_MS, e);
		if (k < 0)
			return k;
	}
	k = write_result(r, LU_RESULT_LOADED, e);
	if (k < 0)
		return k;
	/* those who still wait for their start go first */
	lu_launch_hurry(&r->launch, r->pid, false);
	if (!r->saved.running || r->init->keep_paused) {
		put_settings_back(r);
		return write_result(r, LU_RESULT_PAUSED, e);
	}
	trace(r, LU_PHASE_VM_RESUME, LU_TRACE_BEGIN, 0);
	r->may_have_run = true;
	k = lu_monitor_command(&r->monitor, "cont", NULL, NULL, e);
	if (k == -EREMOTEIO)
		r->may_have_run = false;
	r->result.stamps.resumed = k < 0 ? 0 : tsc();
	trace(r, LU_PHASE_VM_RESUME, LU_TRACE_END, k);
	if (k < 0)
		return k;
	trace(r, LU_PHASE_VM_BLACKOUT, LU_TRACE_END, 0);
	lu_log(r->init, "VM %s: runs, process %d", r->saved.name, (int)r->pid);
	k = write_result(r, LU_RESULT_RUNNING, e);
	if (k < 0)
		lu_log_error(r->init, "result.json: ", e);
	announce(r);
	put_settings_back(r);
	if (r->launch.agent)
		lu_agent_start(r->init, r->root, r->saved.uuid);
	return 0;
}

/* Devices stop and memory files go when their holder dies: rather let the kernel end another process. QEMU gets its own value back. */
static void let_live(void)
{
	_cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)!write(fd, "-1000\n", 6);
}

static int get_devices(struct restore *r, int root, struct lu_error *e)
{
	int k;

	if (!r->launch.devices)
		return 0;
	let_live();
	trace(r, LU_PHASE_VM_DEVICES, LU_TRACE_BEGIN, 0);
	k = r->init->fds ? lu_held_copy(&r->held, r->init->fds, e) :
			   lu_held_replay(&r->held, root, r->dir, &r->saved, &r->launch, e);
	if (k >= 0) /* of a QEMU that came before this one, and failed */
		lu_containers_forget(r->held.fds, r->held.n_fds, NULL);
	trace(r, LU_PHASE_VM_DEVICES, LU_TRACE_END, k);
	return k;
}

static const struct lu_launch_more *more(const struct restore *r, struct lu_launch_more *buf)
{
	*buf = (struct lu_launch_more){ .exe = r->exe > 0 ? r->exe : 0 };
	if (r->launch.devices) {
		buf->fds = r->held.fds;
		buf->numbers = r->held.numbers;
		buf->n_fds = r->held.n_fds;
		buf->variable = LU_CPR_VARIABLE;
	}
	return buf;
}

static int start_and_load(struct restore *r, int state_fd, struct lu_error *e)
{
	_cleanup_close_ int proc = -EBADF, copy = -EBADF;
	struct lu_launch_more with;
	int k = 0;

	trace(r, LU_PHASE_VM_SPAWN, LU_TRACE_BEGIN, 0);
	if (r->launch.apparmor)
		k = lu_confined_load(NULL, r->launch.apparmor, r->dir, e);
	if (k >= 0)
		k = open_state_for(r, state_fd, &copy, e);
	if (k < 0)
		goto out;
	k = lu_launch_spawn(&r->launch, copy >= 0 ? copy : state_fd, more(r, &with), r->log, &r->pid, &r->pidfd, e);
	if (k < 0)
		goto out;
	lu_launch_hurry(&r->launch, r->pid, true);
	r->result.stamps.spawned = tsc();
	r->result.pid = (uint64_t)r->pid;
	proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	k = lu_proc_start_time(proc, r->pid, &r->result.start_time);
	if (k >= 0)
		k = check_state(r, state_fd, e);
	if (k < 0)
		goto out;
	r->monitor.pidfd = r->pidfd;
	k = lu_monitor_connect(&r->monitor, r->launch.qmp, r->pid, e);
out:
	trace(r, LU_PHASE_VM_SPAWN, LU_TRACE_END, k);
	if (k < 0)
		return k;
	r->result.stamps.connected = tsc();
	trace(r, LU_PHASE_VM_LOAD, LU_TRACE_BEGIN, 0);
	settle_task(r);
	k = place_vcpus(r, e);
	if (k >= 0)
		k = load(r, e);
	trace(r, LU_PHASE_VM_LOAD, LU_TRACE_END, k);
	r->result.stamps.loaded = k < 0 ? 0 : tsc();
	return k;
}

/* Ends a failed attempt: no QEMU that was not let run, and a record of why. */
static void give_up(struct restore *r, struct lu_error *e)
{
	_cleanup_error_ struct lu_error second = LU_ERROR_INIT;
	bool dead = r->pidfd >= 0 && poll(&(struct pollfd){ .fd = r->pidfd, .events = POLLIN }, 1, 0) == 1;

	r->result.retry = !r->may_have_run;
	if (dead)
		add_log(r, e);
	if (dead || !r->may_have_run) {
		kill_qemu(r);
		lu_tpm_end(&r->tpm);
		r->result.pid = r->result.start_time = 0;
	}
	free(r->result.error ? r->result.error->what : NULL);
	free(r->result.error ? r->result.error->hint : NULL);
	free(r->result.error);
	r->result.error = calloc(1, sizeof(*r->result.error));
	if (r->result.error) {
		r->result.error->what = strdup(e->what ?: strerror(-e->code));
		r->result.error->hint = e->hint ? strdup(e->hint) : NULL;
	}
	if (write_result(r, LU_RESULT_FAILED, &second) < 0)
		lu_log_error(r->init, "result.json: ", &second);
}

static int prepare_result(struct restore *r)
{
	char boot[37];
	int k = lu_boot_id(boot);

	if (k < 0)
		return k;
	r->result.stamps.start = tsc();
	r->result.update = strdup(r->saved.update);
	r->result.uuid = strdup(r->saved.uuid);
	r->result.boot_id = strdup(boot);
	r->result.by = strdup(r->init->early ? "lu-init" : "luctld");
	return r->result.update && r->result.uuid && r->result.boot_id && r->result.by ? 0 : -ENOMEM;
}

static int attempt(struct restore *r, int root, struct lu_error *e)
{
	_cleanup_close_ int state = -EBADF;
	_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
	int k;

	k = lu_launch_read(r->dir, &r->launch, &why);
	if (k >= 0)
		k = check_ram(r, &why);
	if (k >= 0)
		k = open_state(r, &state, &why);
	if (k >= 0 && asprintf(&r->log, "%s/vm/%s/qemu.log", r->init->run, r->saved.name) < 0) {
		r->log = NULL;
		k = -ENOMEM;
	}
	if (k >= 0)
		k = lu_init_meet_needs(r->init, &r->launch, &why);
	if (k >= 0)
		k = get_devices(r, root, &why);
	if (k >= 0)
		k = lu_tpm_ensure(r->init, &r->launch, &r->tpm, &why);
	if (k >= 0 && r->init->exe && r->exe < 0) {
		r->exe = lu_held_borrow(r->init->exe, &why);
		k = r->exe < 0 ? r->exe : 0;
	}
	if (k >= 0)
		k = start_and_load(r, state, &why);
	if (k >= 0)
		k = let_run(r, &why);
	if (k >= 0)
		return 0;
	lu_error_set(&why, k, NULL, "%s", strerror(-k));
	/* errors of below know no name */
	if (why.what && strncmp(why.what, "VM ", 3) != 0)
		lu_error_set(e, why.code, why.hint, "VM %s: %s", r->saved.name, why.what);
	else
		lu_error_move(e, &why);
	give_up(r, e);
	return k;
}

/* Asked by somebody after the first attempt: as luctld's, with a result and a time limit of its own. */
static int try_again(void *context, struct lu_error *e)
{
	struct restore *r = context;
	int k;

	r->again.early = false;
	r->again.fds = NULL;
	r->init = &r->again;
	lu_monitor_close(&r->monitor);
	r->monitor = LU_MONITOR_INIT;
	r->monitor.deadline_ns = lu_clock_ns(CLOCK_MONOTONIC) + LU_INIT_VM_MS * 1000000ULL;
	lu_launch_clear(&r->launch);
	lu_result_clear(&r->result);
	r->result = (struct lu_result){ 0 };
	free(r->log);
	r->log = NULL;
	k = check_allowed(r, NULL, e);
	if (k >= 0)
		k = prepare_result(r);
	return k < 0 ? k : attempt(r, r->root, e);
}

int lu_restore_vm(struct lu_init *i, int root, const char *uuid, const char *update, struct lu_error *e)
{
	_cleanup_(restore_done) struct restore r = {
		.init = i,
		.root = root,
		.dir = -EBADF,
		.exe = -EBADF,
		.pidfd = -EBADF,
		.held = LU_HELD_INIT,
		.tpm = LU_TPM_INIT,
		.monitor = LU_MONITOR_INIT,
	};
	int k;

	k = lu_keeper_ask(i, uuid, e);
	if (k != 0)
		return k < 0 ? k : 0;
	r.monitor.deadline_ns = lu_clock_ns(CLOCK_MONOTONIC) + LU_INIT_VM_MS * 1000000ULL;
	r.dir = lu_store_open(root, uuid, false, e);
	if (r.dir < 0)
		return r.dir;
	k = lu_store_lock(r.dir, e);
	if (k >= 0)
		k = lu_saved_read(r.dir, &r.saved, e);
	if (k >= 0)
		k = check_allowed(&r, update, e);
	if (k >= 0)
		k = prepare_result(&r);
	if (k < 0)
		return lu_error_set(e, k, NULL, "VM %s: %s", r.saved.name ?: uuid, strerror(-k));
	r.vm = (unsigned int)r.saved.index;
	r.again = *i;
	k = attempt(&r, root, e);
	if (k < 0 && r.result.retry && lu_held_any(&r.held) && !i->no_keeper)
		i->kept = lu_keeper_start(i, uuid, try_again, &r);
	return k;
}
