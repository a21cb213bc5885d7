// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The whole way with a real, unmodified QEMU (TCG, no guest but the firmware): probe,
 * prepare, pause, save, go back; again up to the save, then QEMU is killed as the
 * kexec would do, and lu-init restores it. Twice, since a chain must not grow.
 *
 * pkernfs is an ordinary directory here: RAM stays in the page cache, which for a
 * process is the same thing.
 *
 *	test-real-qemu LU-INIT
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#include "cores.h"
#include "journal.h"
#include "task.h"
#include "trace.h"
#include "vm-internal.h"

#define VCPUS 2
#define UUID "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c0001"
#define UPDATE_A "00000000-aaaa-4000-8000-000000000001"
#define UPDATE_B "00000000-bbbb-4000-8000-000000000002"

static const char *lu_init_path;
static char dir[] = "/tmp/luctl-real-qemu-XXXXXX";
static char path[512];

static const char *at(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static const char *reason_of(struct lu_vm *vm)
{
	const struct lu_reasons *why = &lu_vm_facts(vm)->reasons;

	return why->n ? why->list[0].what : "not judged";
}

static char qemu_path[600] = "/usr/bin/qemu-system-x86_64";

/* The socket's name is there a moment before QEMU listens. A connection that is closed at once does it no harm. */
static bool listens(const char *socket_path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(strlen(socket_path) < sizeof(sa.sun_path));
	strcpy(sa.sun_path, socket_path);
	return fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;
}

static pid_t start_qemu_with(bool stopped, char *const *more)
{
	char object[600], qmp[600], smp[8], *exe = qemu_path;
	char *argv[40];
	int n = 0;
	pid_t pid;

	snprintf(object, sizeof(object),
		 "memory-backend-file,id=ram0,size=64M,mem-path=%s/pkernfs/ram,share=on,align=2M", dir);
	snprintf(qmp, sizeof(qmp), "unix:%s/qmp.sock,server=on,wait=off", dir);
	snprintf(smp, sizeof(smp), "%d", VCPUS);
	argv[n++] = exe;
	argv[n++] = (char *)"-M";
	argv[n++] = (char *)"q35,memory-backend=ram0";
	argv[n++] = (char *)"-accel";
	argv[n++] = (char *)"tcg,thread=multi";
	argv[n++] = (char *)"-smp";
	argv[n++] = smp;
	argv[n++] = (char *)"-m";
	argv[n++] = (char *)"64";
	argv[n++] = (char *)"-object";
	argv[n++] = object;
	argv[n++] = (char *)"-uuid";
	argv[n++] = (char *)UUID;
	argv[n++] = (char *)"-name";
	argv[n++] = (char *)"real,debug-threads=on";
	argv[n++] = (char *)"-nodefaults";
	argv[n++] = (char *)"-display";
	argv[n++] = (char *)"none";
	argv[n++] = (char *)"-qmp";
	argv[n++] = qmp;
	if (stopped)
		argv[n++] = (char *)"-S";
	while (more && *more)
		argv[n++] = *more++;
	argv[n] = NULL;
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 0);
		dup2(null, 1);
		closefrom(3);
		execv(exe, argv);
		_exit(127);
	}
	for (int i = 0; i < 500 && !listens(at("qmp.sock")); i++)
		usleep(10000);
	return pid;
}

static pid_t start_qemu(bool stopped)
{
	return start_qemu_with(stopped, NULL);
}

struct outcome {
	bool done;
	int r;
	char what[1024];
};

static void on_done(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	struct outcome *o = userdata;

	o->done = true;
	o->r = r;
	snprintf(o->what, sizeof(o->what), "%s", e && e->what ? e->what : "");
}

static int run_op(sd_event *ev, struct lu_vm *vm, enum lu_vm_op op, const char *update)
{
	struct outcome o = { 0 };
	int r = lu_vm_op_start(vm, op, update, 0, on_done, &o);

	expect(r == 0, "%s: %d", lu_vm_op_to_string(op), r);
	while (!o.done)
		sd_event_run(ev, UINT64_MAX);
	if (o.r < 0)
		print_message("%s: %d %s\n", lu_vm_op_to_string(op), o.r, o.what);
	return o.r;
}

static void must(sd_event *ev, struct lu_vm *vm, enum lu_vm_op op, const char *update)
{
	expect(run_op(ev, vm, op, update) == 0, "%s failed", lu_vm_op_to_string(op));
}

static int lu_init(const char *a, const char *b, const char *c)
{
	char pkernfs[600], run[600];
	int status;
	pid_t pid;

	snprintf(pkernfs, sizeof(pkernfs), "%s/pkernfs", dir);
	snprintf(run, sizeof(run), "%s/run", dir);
	pid = fork();
	if (pid == 0) {
		execl(lu_init_path, "lu-init", "--pkernfs", pkernfs, "--run", run, "--any-fs", a, b, c, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* What luctld does for an operation that needs another QEMU: lu-init, with the old program if the new one fails. */
struct restorer {
	sd_event *ev;
	struct lu_vm *vm;
	lu_vm_restored_t done;
	void *userdata;
	unsigned int with_new, with_old;
};

static struct restorer restorer;

static int on_restore(sd_event_source *source, void *userdata)
{
	_cleanup_free_ char *exe = NULL, *option = NULL;
	struct restorer *r = userdata;
	int failed = lu_init("--restore", UUID, "--no-keeper");

	r->with_new += !failed;
	if (failed && lu_vm_old_program(r->vm, &exe) > 0 && asprintf(&option, "--exe=%s", exe) > 0) {
		failed = lu_init("--restore", UUID, option);
		r->with_old += !failed;
	}
	r->done(r->userdata, failed ? -EIO : 0, NULL);
	return 0;
}

static int restore_here(void *context, struct lu_vm *vm, lu_vm_restored_t done, void *userdata, struct lu_error *e)
{
	struct restorer *r = context;

	r->vm = vm;
	r->done = done;
	r->userdata = userdata;
	return sd_event_add_defer(r->ev, NULL, on_restore, r);
}

static struct lu_vms *new_vms(sd_event *ev, struct lu_vm **ret)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	char pkernfs[600], run[600], json[1200];
	struct lu_vms *vms;

	snprintf(pkernfs, sizeof(pkernfs), "%s/pkernfs", dir);
	snprintf(run, sizeof(run), "%s/run", dir);
	snprintf(
		json, sizeof(json),
		"{\"version\": 1, \"name\": \"real\", \"uuid\": \"%s\", \"qmp\": \"%s/qmp.sock\", \"unit\": \"luctl-vm@real.service\"}",
		UUID, dir);
	restorer = (struct restorer){ .ev = ev };
	assert_int_equal(lu_vms_new(&vms, ev,
				    &(struct lu_vm_env){ .pkernfs = pkernfs,
							 .run = run,
							 .any_fs = true,
							 .restore = restore_here,
							 .restore_context = &restorer }),
			 0);
	expect(lu_vms_add(vms, json, ret, &e) == 0, "%s", e.what);
	return vms;
}

static int count(pid_t tid)
{
	return 1;
}

static int is_on_first_cpu(pid_t tid)
{
	cpu_set_t set;

	return sched_getaffinity(tid, sizeof(set), &set) == 0 && CPU_COUNT(&set) == 1 && CPU_ISSET(0, &set);
}

static int pin_unless_pinned(pid_t tid)
{
	static bool pinned;
	cpu_set_t one;

	if (pinned)
		return 0;
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	assert_int_equal(sched_setaffinity(tid, sizeof(one), &one), 0);
	return pinned = true;
}

/* Keeps one vCPU, and no other, on CPU 0. */
static void pin_one(pid_t pid)
{
	int n = 0;

	/* the monitor's socket is there before the vCPUs are */
	for (int i = 0; i < 500 && (n = test_each_thread(pid, "CPU ", count)) < VCPUS; i++)
		usleep(10000);
	assert_int_equal(n, VCPUS);
	assert_int_equal(test_each_thread(pid, "CPU ", is_on_first_cpu), 0);
	assert_int_equal(test_each_thread(pid, "CPU ", pin_unless_pinned), 1);
}

static void kill_and_wait(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static size_t argv_length(pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	char file[64];
	size_t size;

	snprintf(file, sizeof(file), "/proc/%d/cmdline", (int)pid);
	assert_int_equal(lu_read_file(AT_FDCWD, file, 65536, &text, &size), 0);
	return size;
}

static void read_result(struct lu_vm *vm, const char *update, enum lu_result_status status, struct lu_result *ret)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	expect(lu_vm_result_read(vm, update, ret, &e) == 0, "%s", e.what);
	expect((enum lu_result_status)ret->status == status, "status %d: %s", ret->status,
	       ret->error ? ret->error->what : "");
}

/* Has the process the committed state open for writing, so that it could change it or make it larger? */
static bool can_write_state(pid_t pid)
{
	char fds[64], file[400];
	struct stat state, st;
	struct dirent *d;
	bool found = false;
	DIR *list;

	snprintf(fds, sizeof(fds), "/proc/%d/fd", (int)pid);
	list = opendir(fds);
	assert_non_null(list);
	assert_int_equal(stat(at("pkernfs/vm/" UUID "/state"), &state), 0);
	assert_true(state.st_size > 0);
	while ((d = readdir(list))) {
		snprintf(file, sizeof(file), "%s/%s", fds, d->d_name);
		/* the mode of the link is how it is open; to be read: it was started from it */
		if (stat(file, &st) == 0 && st.st_dev == state.st_dev && st.st_ino == state.st_ino)
			found |= lstat(file, &st) == 0 && (st.st_mode & 0200);
	}
	closedir(list);
	return found;
}

static bool committed(void)
{
	_cleanup_(lu_saved_clear) struct lu_saved saved = { 0 };
	int fd = open(at("pkernfs/vm/" UUID), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool complete;

	assert_int_equal(lu_saved_read(fd, &saved, NULL), 0);
	complete = saved.complete;
	close(fd);
	return complete;
}

/* Probe to save, going back once, then over to a new process; @running: what the guest did before. */
static pid_t one_update(const char *update, bool running)
{
	_cleanup_(sd_event_unrefp) sd_event *ev = NULL;
	_cleanup_(lu_result_clear) struct lu_result result = { 0 };
	enum lu_vm_state was = running ? LU_VM_RUNNING : LU_VM_PAUSED;
	struct lu_vms *vms;
	struct lu_vm *vm;
	pid_t old;

	assert_true(sd_event_new(&ev) >= 0);
	vms = new_vms(ev, &vm);
	must(ev, vm, LU_VM_PROBE, NULL);
	expect(lu_vm_facts(vm)->updatable, "%s", reason_of(vm));
	assert_int_equal(lu_vm_facts(vm)->state, was);
	assert_int_equal(lu_vm_facts(vm)->n_ram, 1);
	assert_true(lu_vm_facts(vm)->early || strstr(lu_vm_facts(vm)->late, "mounted later"));
	old = lu_vm_facts(vm)->pid;
	if (running) {
		/* back from every point, and from the last one twice */
		must(ev, vm, LU_VM_PREPARE, update);
		must(ev, vm, LU_VM_RESUME, update);
		must(ev, vm, LU_VM_PAUSE, update);
		assert_int_equal(lu_vm_facts(vm)->state, LU_VM_PAUSED);
		must(ev, vm, LU_VM_RESUME, update);
		assert_int_equal(lu_vm_facts(vm)->state, LU_VM_RUNNING);
		must(ev, vm, LU_VM_PAUSE, update);
		must(ev, vm, LU_VM_SAVE, update);
		must(ev, vm, LU_VM_VERIFY, update);
		assert_true(committed());
		assert_false(can_write_state(old));
		must(ev, vm, LU_VM_RESUME, update);
		assert_false(committed());
		must(ev, vm, LU_VM_RESUME, update);
		assert_int_equal(lu_vm_facts(vm)->state, LU_VM_RUNNING);
		assert_int_not_equal(lu_init("--restore", UUID, NULL), 0); /* nothing committed any more */
		must(ev, vm, LU_VM_UNPREPARE, update);
		assert_int_equal(run_op(ev, vm, LU_VM_PAUSE, update), -ENOENT);
		/* a daemon that was killed and started again has only the record */
		must(ev, vm, LU_VM_PREPARE, update);
		must(ev, vm, LU_VM_PAUSE, update);
		lu_vms_free(vms);
		vms = new_vms(ev, &vm);
		must(ev, vm, LU_VM_RESUME, update);
		assert_int_equal(lu_vm_facts(vm)->state, LU_VM_RUNNING);
		must(ev, vm, LU_VM_UNPREPARE, update);
		must(ev, vm, LU_VM_PROBE, NULL);
	}
	must(ev, vm, LU_VM_PREPARE, update);
	must(ev, vm, LU_VM_PAUSE, update);
	must(ev, vm, LU_VM_SAVE, update);
	must(ev, vm, LU_VM_VERIFY, update);
	assert_int_equal(lu_vm_result_read(vm, update, &result, NULL), -ENOENT);
	kill_and_wait(old);
	unlink(at("qmp.sock"));

	assert_int_equal(lu_init("--restore", UUID, NULL), 0);
	read_result(vm, update, running ? LU_RESULT_RUNNING : LU_RESULT_PAUSED, &result);
	assert_true(lu_vm_result_alive(&result));
	assert_true(!running || result.stamps.resumed > result.stamps.loaded);
	assert_int_not_equal(lu_init("--restore", UUID, NULL), 0); /* it runs */
	must(ev, vm, LU_VM_PROBE, NULL);
	assert_int_equal(lu_vm_facts(vm)->state, was);
	assert_int_equal((uint64_t)lu_vm_facts(vm)->pid, result.pid);
	expect(lu_vm_facts(vm)->updatable, "%s", reason_of(vm));
	lu_vms_free(vms);
	return (pid_t)result.pid;
}

static int make_dirs(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	return mkdir(at("pkernfs"), 0700);
}

static int remove_dirs(void **state)
{
	char command[600];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static const struct lu_launch_task given = {
	.io_class = IOPRIO_CLASS_BE, .io_priority = 6, .coredump_filter = 0x51, .timer_slack_ns = 200000
};

static int give_io(pid_t tid)
{
	return (int)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, tid, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 6));
}

/* What an administrator sets for a QEMU that runs. (Its slack it has set itself when it started.) */
static void give(pid_t pid)
{
	_cleanup_close_ int fd = -EBADF;
	char file[64];

	assert_int_equal(test_each_thread(pid, "", give_io), 0);
	assert_int_equal(lu_task_set_slack(&given, pid), 0);
	snprintf(file, sizeof(file), "/proc/%d/coredump_filter", (int)pid);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, "0x51", 4), 4);
}

static void expect_given(pid_t pid)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_reasons_ struct lu_reasons lost = { 0 };

	lu_task_compare(&given, proc, pid, &lost);
	expect(lost.n == 0, "%s", lost.list[0].what);
}

static void test_chain(void **state)
{
	size_t length;
	pid_t qemu;
	cpu_set_t set;
	bool pins, gives = geteuid() == 0;

	/* with one CPU every thread is kept on it */
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	pins = CPU_COUNT(&set) > 1;
	if (!pins)
		print_message("only one CPU here: pins of vCPUs are not tested\n");
	qemu = start_qemu(false);
	if (pins)
		pin_one(qemu);
	if (gives)
		give(qemu);
	qemu = one_update(UPDATE_A, true);
	if (pins)
		assert_int_equal(test_each_thread(qemu, "CPU ", is_on_first_cpu), 1);
	length = argv_length(qemu);
	if (gives)
		expect_given(qemu);
	qemu = one_update(UPDATE_B, true);
	if (gives)
		expect_given(qemu);
	assert_int_equal(argv_length(qemu), length);
	kill_and_wait(qemu);
	/* it ran since the jump: never again with the old state */
	assert_int_not_equal(lu_init("--restore", UUID, NULL), 0);
}

/* As subreaper we are the parent of what lu-init leaves behind, so nothing outlives a failed test. */
static int kill_children(void **state)
{
	_cleanup_free_ char *text = NULL;
	char file[64];
	int pid, used;

	snprintf(file, sizeof(file), "/proc/self/task/%d/children", (int)getpid());
	if (lu_read_file(AT_FDCWD, file, 65536, &text, NULL) < 0)
		return -1;
	for (const char *p = text; sscanf(p, " %d%n", &pid, &used) == 1; p += used)
		kill_and_wait(pid);
	unlink(at("qmp.sock"));
	return 0;
}

/* Frames in a dump (pcap) that say where a card is: RARP. */
static unsigned int announcements(const char *file)
{
	_cleanup_free_ char *data = NULL;
	unsigned int found = 0;
	size_t size;

	if (lu_read_file(AT_FDCWD, file, 1 << 24, &data, &size) < 0)
		return 0;
	for (size_t at = 24, n; at + 16 <= size; at += 16 + n) {
		uint32_t length;

		memcpy(&length, data + at + 8, sizeof(length));
		n = length;
		if (at + 16 + n <= size && n >= 14 && !memcmp(data + at + 16 + 12, "\x80\x35", 2))
			found++;
	}
	return found;
}

#define ANNOUNCED_USEC 2500000 /* 50 + 150 + 250 + 350 + 450 ms, and what a busy machine adds */

/* A guest that is let run says on its network where it is: in the old kernel, where nobody else does, and once more than QEMU itself after it was loaded. */
static void test_announced(void **state)
{
	char dump[600];
	char *more[] = { (char *)"-netdev",
			 (char *)"user,id=net",
			 (char *)"-device",
			 (char *)"virtio-net-pci,netdev=net,romfile=",
			 (char *)"-object",
			 dump,
			 NULL };
	const char *file = dump + strlen("filter-dump,id=dump,netdev=net,file=");
	unsigned int seen[2];

	snprintf(dump, sizeof(dump), "filter-dump,id=dump,netdev=net,file=%s/pcap", dir);
	for (int paused = 1; paused >= 0; paused--) {
		_cleanup_(sd_event_unrefp) sd_event *ev = NULL;
		struct lu_vms *vms;
		struct lu_vm *vm;
		pid_t qemu = start_qemu_with(false, more);

		assert_true(sd_event_new(&ev) >= 0);
		vms = new_vms(ev, &vm);
		must(ev, vm, LU_VM_PROBE, NULL);
		must(ev, vm, LU_VM_PREPARE, UPDATE_A);
		must(ev, vm, LU_VM_RESUME, UPDATE_A); /* it was not stopped */
		must(ev, vm, LU_VM_PAUSE, UPDATE_A);
		usleep(ANNOUNCED_USEC);
		assert_int_equal(announcements(file), 0);
		must(ev, vm, LU_VM_RESUME, UPDATE_A);
		usleep(ANNOUNCED_USEC);
		expect(announcements(file) > 0, "not announced after RESUME");
		must(ev, vm, LU_VM_PAUSE, UPDATE_A);
		must(ev, vm, LU_VM_SAVE, UPDATE_A);
		must(ev, vm, LU_VM_VERIFY, UPDATE_A);
		lu_vms_free(vms);
		kill_and_wait(qemu);
		unlink(at("qmp.sock"));
		assert_int_equal(lu_init("--restore", UUID, paused ? "--paused" : NULL), 0);
		usleep(ANNOUNCED_USEC);
		seen[paused] = announcements(file);
		print_message("%s: %u announcements\n", paused ? "restored, not let run" : "restored", seen[paused]);
		assert_int_equal(kill_children(NULL), 0);
	}
	expect(seen[0] > seen[1], "restored: %u announcements, without being let run %u", seen[0], seen[1]);
}

static void test_paused_stays_paused(void **state)
{
	start_qemu(true);
	one_update(UPDATE_A, false);
}

static void put_program(bool good)
{
	char command[2000];

	if (good)
		snprintf(command, sizeof(command), "cp /usr/bin/qemu-system-x86_64 %s/new", dir);
	else
		snprintf(command, sizeof(command), "printf '#!/bin/sh\\nexit 1\\n' > %s/new && chmod 755 %s/new", dir,
			 dir);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "%s/new", dir);
	assert_int_equal(rename(command, qemu_path), 0);
}

static void save(sd_event *ev, struct lu_vm *vm, const char *update)
{
	must(ev, vm, LU_VM_PROBE, NULL);
	expect(lu_vm_facts(vm)->updatable, "%s", reason_of(vm));
	must(ev, vm, LU_VM_PREPARE, update);
	must(ev, vm, LU_VM_PAUSE, update);
	must(ev, vm, LU_VM_SAVE, update);
	must(ev, vm, LU_VM_VERIFY, update);
}

/* The program of @pid is the file that stands at its path now. */
static bool is_installed(pid_t pid)
{
	char file[32];
	struct stat a, b;

	snprintf(file, sizeof(file), "/proc/%d/exe", (int)pid);
	return stat(file, &a) == 0 && stat(qemu_path, &b) == 0 && a.st_ino == b.st_ino;
}

/* Another QEMU goes on with the guest in this kernel: what is installed now, or if that is no good the old one. */
static void test_replace(void **state)
{
	_cleanup_(sd_event_unrefp) sd_event *ev = NULL;
	struct lu_vms *vms;
	struct lu_vm *vm;
	pid_t old;

	assert_true(sd_event_new(&ev) >= 0);
	snprintf(qemu_path, sizeof(qemu_path), "%s/qemu-system-x86_64", dir);
	put_program(true);
	old = start_qemu(false);
	vms = new_vms(ev, &vm);

	/* a new program that does not even start: the old one, from its file that has no name any more */
	save(ev, vm, UPDATE_A);
	put_program(false);
	must(ev, vm, LU_VM_REPLACE, UPDATE_A);
	assert_true(restorer.with_new == 0 && restorer.with_old == 1);
	assert_int_equal(lu_vm_facts(vm)->state, LU_VM_RUNNING);
	assert_int_not_equal(lu_vm_facts(vm)->pid, old);
	assert_false(is_installed(lu_vm_facts(vm)->pid));
	assert_false(committed());
	must(ev, vm, LU_VM_UNPREPARE, UPDATE_A);

	/* a good one at the same path */
	put_program(true);
	save(ev, vm, UPDATE_B);
	old = lu_vm_facts(vm)->pid;
	must(ev, vm, LU_VM_REPLACE, UPDATE_B);
	assert_true(restorer.with_new == 1 && restorer.with_old == 1);
	assert_int_equal(lu_vm_facts(vm)->state, LU_VM_RUNNING);
	assert_int_not_equal(lu_vm_facts(vm)->pid, old);
	assert_true(is_installed(lu_vm_facts(vm)->pid));
	must(ev, vm, LU_VM_UNPREPARE, UPDATE_B);

	/* ended after the save, and the daemon is another one: it has not run since, so it goes on */
	save(ev, vm, UPDATE_A);
	old = lu_vm_facts(vm)->pid;
	lu_vms_free(vms);
	kill_and_wait(old);
	vms = new_vms(ev, &vm);
	must(ev, vm, LU_VM_RESUME, UPDATE_A);
	assert_int_equal(restorer.with_new, 1);
	assert_int_equal(lu_vm_facts(vm)->state, LU_VM_RUNNING);
	assert_false(committed());

	/* control: ended after it was let run, so its memory has moved on: never again from that state */
	kill_and_wait(lu_vm_facts(vm)->pid);
	unlink(at("qmp.sock"));
	assert_true(run_op(ev, vm, LU_VM_RESUME, UPDATE_A) < 0);
	assert_int_equal(restorer.with_new, 1);
	assert_int_not_equal(lu_init("--restore", UUID, NULL), 0);
	assert_int_equal(lu_vm_unmark(vm, NULL), 0);
	assert_int_equal(lu_vm_clean(vm, NULL), 0);
	lu_vms_free(vms);
	strcpy(qemu_path, "/usr/bin/qemu-system-x86_64");
}

/* Flips one byte of a file. */
static void flip(const char *file)
{
	int fd = open(file, O_RDWR);
	char c;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, 100), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, 100), 1);
	close(fd);
}

static void test_damage(void **state)
{
	_cleanup_(sd_event_unrefp) sd_event *ev = NULL;
	_cleanup_(lu_result_clear) struct lu_result result = { 0 };
	struct lu_vms *vms;
	struct lu_vm *vm;
	pid_t qemu = start_qemu(false);

	assert_true(sd_event_new(&ev) >= 0);
	vms = new_vms(ev, &vm);
	must(ev, vm, LU_VM_PROBE, NULL);
	must(ev, vm, LU_VM_PREPARE, UPDATE_A);
	must(ev, vm, LU_VM_PAUSE, UPDATE_A);
	must(ev, vm, LU_VM_SAVE, UPDATE_A);
	must(ev, vm, LU_VM_VERIFY, UPDATE_A);
	kill_and_wait(qemu);
	unlink(at("qmp.sock"));
	flip(at("pkernfs/vm/" UUID "/state"));
	assert_int_equal(lu_init("--restore", UUID, NULL), 1);
	read_result(vm, UPDATE_A, LU_RESULT_FAILED, &result);
	assert_non_null(strstr(result.error->what, "damaged"));
	assert_true(result.retry);
	lu_result_clear(&result);
	/* whole again: the failure took nothing away */
	flip(at("pkernfs/vm/" UUID "/state"));
	assert_int_equal(lu_init("--restore", UUID, "--paused"), 0);
	read_result(vm, UPDATE_A, LU_RESULT_PAUSED, &result);
	lu_vms_free(vms);
}

static int has_cookie(pid_t tid)
{
	uint64_t cookie = 0;

	return lu_cores_get(tid, &cookie) == 0 && cookie;
}

static bool machine_has_cookies(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(lu_cores_own() < 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* A record that says that vCPUs have cores of their own: they have, or it is told that they have not. */
static void test_cores(void **state)
{
	static const char told[] = "VM real: its vCPUs share cores with other processes";
	_cleanup_(sd_event_unrefp) sd_event *ev = NULL;
	_cleanup_(lu_result_clear) struct lu_result result = { 0 };
	_cleanup_(lu_launch_clear) struct lu_launch launch = { 0 };
	_cleanup_close_ int record = -EBADF, log = -EBADF, err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	_cleanup_free_ char *text = NULL;
	struct lu_vms *vms;
	struct lu_vm *vm;
	pid_t qemu = start_qemu(false);

	assert_true(sd_event_new(&ev) >= 0);
	vms = new_vms(ev, &vm);
	save(ev, vm, UPDATE_A);
	kill_and_wait(qemu);
	unlink(at("qmp.sock"));
	record = open(at("pkernfs/vm/" UUID), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(lu_launch_read(record, &launch, NULL), 0);
	assert_null(launch.task);
	assert_null(launch.features[0]);
	free(launch.features);
	launch.features = NULL;
	launch.task = calloc(1, sizeof(*launch.task));
	assert_non_null(launch.task);
	*launch.task = (struct lu_launch_task)LU_TASK_ORDINARY;
	launch.task->cores = LU_CORES_VCPUS;
	assert_int_equal(lu_launch_add_feature(&launch, LU_LAUNCH_TASK), 0);
	assert_int_equal(lu_launch_write(record, &launch, NULL), 0);

	log = open(at("stderr"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(dup2(log, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(lu_init("--restore", UUID, "--paused"), 0);
	assert_int_equal(dup2(err, STDERR_FILENO), STDERR_FILENO);
	read_result(vm, UPDATE_A, LU_RESULT_PAUSED, &result);
	assert_int_equal(lu_read_file(AT_FDCWD, at("stderr"), 65536, &text, NULL), 0);
	if (machine_has_cookies()) {
		assert_int_equal(test_each_thread((pid_t)result.pid, "CPU ", has_cookie), VCPUS);
		assert_false(has_cookie((pid_t)result.pid));
		expect(!strstr(text, told), "%s", text);
	} else {
		expect(strstr(text, told), "%s", text);
	}
	lu_vms_free(vms);
}

/* As PID 1 of the next kernel would, less the mounts and the exec. */
static void test_early(void **state)
{
	static const char boot_old[] = "11111111-2222-4333-8444-555555555555";
	_cleanup_(sd_event_unrefp) sd_event *ev = NULL;
	_cleanup_(lu_result_clear) struct lu_result result = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_(lu_trace_log_done) struct lu_trace_log log = { 0 };
	struct lu_journal_record last;
	struct lu_journal *journal;
	struct lu_trace *trace;
	int pkernfs = open(at("pkernfs"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool blackout_ended = false;
	struct lu_vms *vms;
	struct lu_vm *vm;
	pid_t qemu = start_qemu(false);

	assert_true(sd_event_new(&ev) >= 0);
	vms = new_vms(ev, &vm);
	must(ev, vm, LU_VM_PROBE, NULL);
	if (!lu_vm_facts(vm)->early) {
		print_message("QEMU is not on the root file system here: not tested\n");
		lu_vms_free(vms);
		close(pkernfs);
		skip();
	}
	lu_vm_set_index(vm, 3);
	must(ev, vm, LU_VM_PREPARE, UPDATE_A);
	must(ev, vm, LU_VM_PAUSE, UPDATE_A);
	must(ev, vm, LU_VM_SAVE, UPDATE_A);
	must(ev, vm, LU_VM_VERIFY, UPDATE_A);
	assert_int_equal(lu_mkdir_p(pkernfs, "update", 0700), 0);
	assert_int_equal(lu_trace_create(pkernfs, "update/trace", UPDATE_A, 0, LU_TRACE_LUCTLD, &trace, &e), 0);
	lu_trace_free(trace);

	/* no journal; one that did not get to the jump; a jump of this kernel: not ours */
	assert_int_equal(lu_init("--early", NULL, NULL), 0);
	assert_int_equal(lu_journal_create(pkernfs, "update/journal", UPDATE_A, boot_old, &journal, &e), 0);
	assert_int_equal(lu_journal_append(journal, LU_STATE_SEALING, 0, NULL, &e), 0);
	assert_int_equal(lu_init("--early", NULL, NULL), 0);
	lu_journal_free(journal);
	assert_int_equal(lu_journal_create(pkernfs, "update/journal", UPDATE_A, NULL, &journal, &e), 0);
	assert_int_equal(lu_journal_append(journal, LU_STATE_JUMP, 0, NULL, &e), 0);
	lu_journal_free(journal);
	assert_int_equal(lu_init("--early", NULL, NULL), 0);
	unlink(at("run/resumed/luctl-vm@real.service"));
	/* of another update: the VM has no part in it, but its state waits, so its unit must not start on its memory */
	assert_int_equal(lu_journal_create(pkernfs, "update/journal", UPDATE_B, boot_old, &journal, &e), 0);
	assert_int_equal(lu_journal_append(journal, LU_STATE_JUMP, 0, NULL, &e), 0);
	lu_journal_free(journal);
	assert_int_equal(lu_init("--early", NULL, NULL), 0);
	assert_int_equal(access(at("run/resumed/luctl-vm@real.service"), F_OK), 0);
	unlink(at("run/resumed/luctl-vm@real.service"));
	assert_int_equal(lu_vm_result_read(vm, UPDATE_A, &result, NULL), -ENOENT);

	kill_and_wait(qemu);
	unlink(at("qmp.sock"));
	assert_int_equal(lu_journal_create(pkernfs, "update/journal", UPDATE_A, boot_old, &journal, &e), 0);
	assert_int_equal(lu_journal_append(journal, LU_STATE_JUMP, 0, NULL, &e), 0);
	lu_journal_free(journal);
	assert_int_equal(lu_init("--early", NULL, NULL), 0);
	assert_int_equal(access(at("run/resumed/luctl-vm@real.service"), F_OK), 0);
	read_result(vm, UPDATE_A, LU_RESULT_RUNNING, &result);
	assert_string_equal(result.by, "lu-init");
	assert_true(lu_vm_result_alive(&result));
	assert_int_equal(lu_journal_load(pkernfs, "update/journal", NULL, &last, &e), 0);
	assert_int_equal(last.state, LU_STATE_BOOTED);
	expect(lu_trace_load(pkernfs, "update/trace", &log, &e) == 0, "%s", e.what);
	for (size_t i = 0; i < log.n_records; i++)
		blackout_ended |= log.records[i].phase == LU_PHASE_VM_BLACKOUT && log.records[i].vm == 3 &&
				  log.records[i].kind == LU_TRACE_END;
	assert_true(blackout_ended);
	must(ev, vm, LU_VM_PROBE, NULL);
	assert_int_equal(lu_vm_facts(vm)->state, LU_VM_RUNNING);
	assert_int_equal((uint64_t)lu_vm_facts(vm)->pid, result.pid);
	assert_int_equal(lu_vm_unmark(vm, &e), 0);
	assert_int_equal(access(at("run/resumed/luctl-vm@real.service"), F_OK), -1);
	assert_int_equal(lu_vm_clean(vm, &e), 0);
	assert_int_equal(access(at("pkernfs/vm/" UUID), F_OK), -1);
	assert_int_equal(access(at("pkernfs/ram"), F_OK), 0);
	lu_vms_free(vms);
	close(pkernfs);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_chain, kill_children),
		cmocka_unit_test_teardown(test_paused_stays_paused, kill_children),
		cmocka_unit_test_teardown(test_replace, kill_children),
		cmocka_unit_test_teardown(test_damage, kill_children),
		cmocka_unit_test_teardown(test_cores, kill_children),
		cmocka_unit_test_teardown(test_announced, kill_children),
		cmocka_unit_test_teardown(test_early, kill_children),
	};

	if (access("/usr/bin/qemu-system-x86_64", X_OK) < 0) {
		puts("no qemu-system-x86_64 on this machine");
		return 77;
	}
	if (argc != 2)
		return 2;
	lu_init_path = argv[1];
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return cmocka_run_group_tests(tests, make_dirs, remove_dirs);
}
