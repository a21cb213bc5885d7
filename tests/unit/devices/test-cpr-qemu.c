// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The CPR state of a real, unmodified QEMU (TCG, no guest but the firmware, no passed-through
 * devices): captured in the transfer form, given to the next QEMU in the exec form with all
 * descriptors at other numbers, with -incoming defer and the main stream from an fdset, as
 * lu-init starts one. It must load, use the very files that were handed over, and run. Twice,
 * since the second capture is of a QEMU that was started so.
 *
 *	LUCTL_TEST_QEMU=/path/of/qemu-system-x86_64 test-cpr-qemu
 *
 * Skipped where QEMU is missing or older than 10.2, which is the first that knows the exec form.
 */
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "test.h"

#include "clock.h"
#include "cpr.h"
#include "launch.h"
#include "lu-init.h"

#define EXEC_STATE 90
#define FIRST 100 /* numbers of the descriptors in the first new QEMU; the second has others */
#define SECONDS 60

static char dir[] = "/tmp/luctl-cpr-XXXXXX";
static char path[512];
static const char *qemu = "/usr/bin/qemu-system-x86_64";

static const char *at(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

struct vm {
	pid_t pid;
	int pidfd;
	struct lu_monitor monitor;
};

/* What the next QEMU starts from. */
struct captured {
	struct lu_cpr cpr;
	int main_fd;
	int numbers[LU_CPR_FDS_MAX];
};

static _Noreturn void child(const struct captured *from, int exec_fd)
{
	char object[700], qmp[600], number[16], add_fd[128];
	const char *argv[32];
	int n = 0, log = open(at("qemu.log"), O_WRONLY | O_CREAT | O_APPEND, 0600);

	snprintf(object, sizeof(object), "memory-backend-file,id=ram0,size=64M,mem-path=%s/ram,share=on,align=2M", dir);
	snprintf(qmp, sizeof(qmp), "unix:%s/qmp.sock,server=on,wait=off", dir);
	argv[n++] = qemu;
	argv[n++] = "-M";
	argv[n++] = "q35,memory-backend=ram0,aux-ram-share=on";
	argv[n++] = "-accel";
	argv[n++] = "tcg";
	argv[n++] = "-m";
	argv[n++] = "64";
	argv[n++] = "-object";
	argv[n++] = object;
	argv[n++] = "-nodefaults";
	argv[n++] = "-vga";
	argv[n++] = "std";
	argv[n++] = "-display";
	argv[n++] = "none";
	argv[n++] = "-qmp";
	argv[n++] = qmp;
	if (from) {
		snprintf(add_fd, sizeof(add_fd), "fd=%d,set=%s,%s", LU_LAUNCH_STATE_FD,
			 strrchr(LU_LAUNCH_STATE_URI, '/') + 1, LU_LAUNCH_FD_OPAQUE);
		argv[n++] = "-add-fd";
		argv[n++] = add_fd;
		argv[n++] = "-incoming";
		argv[n++] = "defer";
		snprintf(number, sizeof(number), "%d", EXEC_STATE);
		setenv(LU_CPR_EXEC_VARIABLE, number, 1);
		/* upwards first: 3 may be one of them */
		for (size_t i = 0; i < from->cpr.n_fds; i++)
			dup2(from->cpr.fds[i].fd, from->numbers[i]);
		dup2(exec_fd, EXEC_STATE);
		dup2(from->main_fd, LU_LAUNCH_STATE_FD);
	}
	argv[n] = NULL;
	dup2(log, 1);
	dup2(log, 2);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execv(qemu, (char **)argv);
	_exit(127);
}

static void print_log(void)
{
	_cleanup_free_ char *text = NULL;

	if (lu_read_file(AT_FDCWD, at("qemu.log"), 1 << 20, &text, NULL) == 0 && *text)
		print_message("QEMU says: %s", text);
}

static void command(struct vm *vm, const char *name, const char *args, struct json_object **ret)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct json_object *a = args ? json_tokener_parse(args) : NULL;

	assert_true(!args || a);
	if (lu_monitor_command(&vm->monitor, name, a, ret, &e) < 0) {
		print_log();
		fail_case("%s: %s", name, e.what);
	}
	json_object_put(a);
}

/* Waits until QEMU is in @state; any other but @meanwhile is a failure. */
static void wait_status(struct vm *vm, const char *state, const char *meanwhile1, const char *meanwhile2)
{
	for (;;) {
		struct json_object *data = NULL;
		const char *status;
		bool there;

		command(vm, "query-status", NULL, &data);
		status = json_object_get_string(json_object_object_get(data, "status"));
		there = !strcmp(status, state);
		expect(there || !strcmp(status, meanwhile1) || !strcmp(status, meanwhile2), "%s on the way to %s",
		       status, state);
		json_object_put(data);
		if (there)
			return;
		usleep(5000);
	}
}

static void start(struct vm *vm, const struct captured *from)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int exec_fd = -1;

	if (from)
		expect(lu_cpr_write_exec(&from->cpr, from->numbers, &exec_fd, &e) == 0, "%s", e.what);
	unlink(at("qmp.sock"));
	vm->pid = fork();
	assert_true(vm->pid >= 0);
	if (vm->pid == 0)
		child(from, exec_fd);
	if (exec_fd >= 0)
		close(exec_fd);
	vm->pidfd = (int)syscall(SYS_pidfd_open, vm->pid, 0);
	vm->monitor = LU_MONITOR_INIT;
	vm->monitor.pidfd = vm->pidfd;
	vm->monitor.deadline_ns = lu_clock_ns(CLOCK_MONOTONIC) + SECONDS * 1000000000ULL;
	if (lu_monitor_connect(&vm->monitor, at("qmp.sock"), vm->pid, &e) < 0) {
		print_log();
		fail_case("%s", e.what);
	}
}

static void stop(struct vm *vm)
{
	lu_monitor_close(&vm->monitor);
	kill(vm->pid, SIGKILL);
	waitpid(vm->pid, NULL, 0);
	close(vm->pidfd);
}

static int listen_at(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(strlen(at(name)) < sizeof(a.sun_path));
	strcpy(a.sun_path, path);
	unlink(a.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void wait_for(int fd)
{
	expect(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, SECONDS * 1000) == 1, "nothing from QEMU");
}

static int accept_from(int listener)
{
	int fd;

	wait_for(listener);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void receive_cpr(int listener, struct lu_cpr *ret)
{
	_cleanup_cpr_receiver_ struct lu_cpr_receiver r = LU_CPR_RECEIVER_INIT;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int sock = accept_from(listener), k;

	do {
		wait_for(sock);
		k = lu_cpr_receive_some(sock, &r, &e);
	} while (k == 0);
	expect(k == 1, "%s", e.what);
	expect(lu_cpr_parse(r.data, r.len, r.fds, r.n_fds, ret, &e) == 0, "%s", e.what);
	/* this is what QEMU waits for before it sends the main stream */
	close(sock);
}

static int receive_main(int listener)
{
	int sock = accept_from(listener), fd = open(at("main"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char buf[65536];
	ssize_t n;

	assert_true(fd >= 0);
	while ((n = read(sock, buf, sizeof(buf))) > 0)
		assert_int_equal(lu_write_all(fd, buf, (size_t)n), 0);
	assert_int_equal(n, 0);
	assert_true(lseek(fd, 0, SEEK_CUR) > 10000);
	close(sock);
	close(fd);
	/* an fdset gives out a file only as it was opened, and QEMU asks for reading */
	fd = open(at("main"), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void capture(struct vm *vm, struct captured *ret)
{
	int cpr = listen_at("cpr.sock"), main_ = listen_at("main.sock");
	char channels[1500];

	snprintf(
		channels, sizeof(channels),
		"{\"channels\": [{\"channel-type\": \"main\", \"addr\": {\"transport\": \"socket\", \"type\": \"unix\", \"path\": \"%s/main.sock\"}},"
		" {\"channel-type\": \"cpr\", \"addr\": {\"transport\": \"socket\", \"type\": \"unix\", \"path\": \"%s/cpr.sock\"}}]}",
		dir, dir);
	command(vm, "stop", NULL, NULL);
	command(vm, "migrate-set-parameters", "{\"mode\": \"cpr-transfer\"}", NULL);
	command(vm, "migrate", channels, NULL);
	receive_cpr(cpr, &ret->cpr);
	ret->main_fd = receive_main(main_);
	close(cpr);
	close(main_);
	wait_status(vm, "postmigrate", "paused", "finish-migrate");
}

static void release(struct captured *c)
{
	lu_cpr_clear(&c->cpr);
	close(c->main_fd);
}

static void check_names(const struct lu_cpr *cpr)
{
	static const char *const names[] = { "pc.bios", "pc.rom", "/rom@etc/acpi/tables", "0000:00:01.0/vga.vram" };

	assert_int_equal(cpr->n_devices, 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct lu_cpr_fd *f = lu_cpr_find(cpr, names[i], 0);
		struct stat st;

		expect(f, "no %s among %zu files", names[i], cpr->n_fds);
		assert_int_equal(fstat(f->fd, &st), 0);
		assert_true(S_ISREG(st.st_mode) && st.st_size > 0);
	}
}

static ino_t inode_of(struct vm *vm, int number)
{
	char link[64];
	struct stat st;

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)vm->pid, number);
	expect(stat(link, &st) == 0, "%s is not there", link);
	return st.st_ino;
}

static void test_transfer_to_exec(void **state)
{
	static struct captured c; /* too large for a stack */
	struct vm vm;

	start(&vm, NULL);
	usleep(200000); /* let the firmware do something */
	capture(&vm, &c);
	for (int round = 0; round < 2; round++) {
		ino_t inodes[64];

		check_names(&c.cpr);
		assert_true(c.cpr.n_fds < ARRAY_SIZE(inodes));
		stop(&vm);
		for (size_t i = 0; i < c.cpr.n_fds; i++) {
			struct stat st;

			assert_int_equal(fstat(c.cpr.fds[i].fd, &st), 0);
			inodes[i] = st.st_ino;
			/* what is open otherwise is refused (collect.c), so a QEMU must have none */
			expect((fcntl(c.cpr.fds[i].fd, F_GETFL) & (O_ACCMODE | O_PATH)) == O_RDWR, "%s",
			       c.cpr.fds[i].name);
			assert_true(c.cpr.fds[i].fd < EXEC_STATE);
			c.numbers[i] = FIRST + 50 * round + 2 * (int)i;
		}
		start(&vm, &c);
		wait_status(&vm, "inmigrate", "", "");
		/* no capability, no mode: see cpr.h */
		command(&vm, "migrate-incoming", "{\"uri\": \"" LU_LAUNCH_STATE_URI "\"}", NULL);
		wait_status(&vm, "paused", "inmigrate", "prelaunch");
		for (size_t i = 0; i < c.cpr.n_fds; i++)
			assert_int_equal(inode_of(&vm, c.numbers[i]), inodes[i]);
		release(&c);
		command(&vm, "cont", NULL, NULL);
		wait_status(&vm, "running", "", "");
		usleep(200000);
		wait_status(&vm, "running", "", "");
		capture(&vm, &c);
	}
	stop(&vm);
	release(&c);
}

static bool new_enough(void)
{
	unsigned int major = 0, minor = 0;
	char line[256] = "", word[512];
	FILE *f;

	snprintf(word, sizeof(word), "'%s' --version", qemu);
	f = popen(word, "r");
	if (!f)
		return false;
	if (fgets(line, sizeof(line), f))
		(void)sscanf(line, "QEMU emulator version %u.%u", &major, &minor);
	pclose(f);
	printf("%s%s", line, major > 10 || (major == 10 && minor >= 2) ? "" : "too old: 10.2 is needed\n");
	return major > 10 || (major == 10 && minor >= 2);
}

static int make_dir(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char word[600];

	snprintf(word, sizeof(word), "rm -rf %s", dir);
	return system(word);
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_transfer_to_exec) };

	qemu = getenv("LUCTL_TEST_QEMU") ?: qemu;
	if (access(qemu, X_OK) < 0) {
		printf("no %s on this machine\n", qemu);
		return 77;
	}
	if (!new_enough())
		return 77;
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
