// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A real QEMU with a real swtpm (Debian's), from the check to the next QEMU. The TPM is the witness: a PCR that was extended
 * and an NV index that was written.
 *
 *	test-tpm LU-INIT
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fixture.h"
#include "peers.h"
#include "qemu.h"
#include "tis.h"

static const char *lu_init_path;
static const char *const qemu = "/usr/bin/qemu-system-x86_64", *const swtpm = "/usr/bin/swtpm",
			 *const qsd = "/usr/bin/qemu-storage-daemon";
static const char nv[] = "luctl-NV";
static const enum lu_vm_op way[] = { LU_VM_PREPARE, LU_VM_PAUSE, LU_VM_SAVE, LU_VM_VERIFY };

/* Its words after "socket --tpm2"; "@" stands for the test's directory. */
static void start_swtpm(const char *words)
{
	char command[1024], text[600];
	size_t n = 0;

	for (const char *p = words; *p && n < sizeof(text) - 64; p++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s", *p == '@' ? 63 : 1, *p == '@' ? test_dir : p);
	snprintf(command, sizeof(command),
		 "mkdir -p %s/state %s/sockets && cd / && exec %s socket --tpm2 --tpmstate dir=%s/state %s --daemon",
		 test_dir, test_dir, swtpm, test_dir, text);
	assert_int_equal(system(command), 0);
}

static const char *const plain = "--ctrl type=unixio,path=@/sockets/tpm --pid file=@/sockets/pid";

/* @chardev: "@" stands for the test's directory */
static void start_with(const char *chardev, const char *const more[4])
{
	char object[400], qmp[300], ours[300], qtest[300], socket[400], bios[300];
	const char *argv[] = { qemu,         "-M",        "q35,memory-backend=ram0",
			       "-accel",     "tcg",       "-m",
			       "64",         "-uuid",     UUID_A,
			       "-display",   "none",      "-object",
			       object,       "-qmp",      qmp,
			       "-qmp",       ours,        "-bios",
			       bios,         "-qtest",    qtest,
			       "-qtest-log", "/dev/null", "-nodefaults",
			       "-chardev",   socket,      more[0],
			       more[1],      more[2],     more[3],
			       NULL };
	static uint8_t halt[65536];
	int fd;

	/* firmware that does nothing: cli; hlt; jmp back */
	memcpy(halt + 0xfff0, "\xfa\xf4\xeb\xfd", 4);
	fd = open(at("halt.bin"), O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_int_equal(write(fd, halt, sizeof(halt)), sizeof(halt));
	close(fd);
	snprintf(object, sizeof(object), "memory-backend-file,id=ram0,size=64M,mem-path=%s/pkernfs/ram,share=on",
		 test_dir);
	snprintf(qmp, sizeof(qmp), "unix:%s/qmp,server=on,wait=off", test_dir);
	snprintf(ours, sizeof(ours), "unix:%s/q,server=on,wait=off", test_dir);
	snprintf(qtest, sizeof(qtest), "unix:%s/qtest,server=on,wait=off", test_dir);
	snprintf(socket, sizeof(socket), "%s", chardev);
	if (strchr(chardev, '@'))
		snprintf(socket, sizeof(socket), "%.*s%s%s", (int)strcspn(chardev, "@"), chardev, test_dir,
			 strchr(chardev, '@') + 1);
	snprintf(bios, sizeof(bios), "%s/halt.bin", test_dir);
	qemu_start(test_dir, (char *const *)argv);
}

static void start_qemu(const char *chardev)
{
	static const char *const tpm[4] = { "-tpmdev", "emulator,id=t0,chardev=c0", "-device", "tpm-tis,tpmdev=t0" };

	start_with(chardev ?: "socket,id=c0,path=@/sockets/tpm", tpm);
}

static const char *first(const struct lu_reasons *list)
{
	return list->n ? list->list[0].what : "nothing";
}

static bool says(const struct lu_reasons *list, const char *text)
{
	for (size_t i = 0; i < list->n; i++)
		if (strstr(list->list[i].what, text))
			return true;
	return false;
}

static struct lu_vm *probed(void)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct outcome o;
	struct lu_vm *vm;

	expect(lu_vms_add(vms, definition("mock", UUID_A, at("q")), &vm, &e) == 0, "%s", e.what);
	expect(run_op(vm, LU_VM_PROBE, 0, &o) == 0, "%s: %s", qemu_case, o.what);
	return vm;
}

static int lu_init(void)
{
	char pkernfs[300], run[300];
	int status;
	pid_t pid;

	snprintf(pkernfs, sizeof(pkernfs), "%s/pkernfs", test_dir);
	snprintf(run, sizeof(run), "%s/run", test_dir);
	pid = fork();
	if (pid == 0) {
		execl(lu_init_path, "lu-init", "--pkernfs", pkernfs, "--run", run, "--any-fs", "--restore", UUID_A,
		      (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

/* Who serves the TPM now; 0: nobody */
static pid_t server(void)
{
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct lu_peers peers;
	pid_t pid;

	assert_int_equal(lu_peers_at(proc, at("sockets/tpm"), &peers), 0);
	pid = lu_peers_server(&peers, at("sockets/tpm"));
	lu_peers_clear(&peers);
	close(proc);
	return pid;
}

static void await_end(pid_t pid)
{
	for (int i = 0; i < 1000; i++) {
		(void)waitpid(pid, NULL, WNOHANG);
		if (kill(pid, 0) < 0)
			return;
		usleep(10000);
	}
	fail_case("process %d does not end", (int)pid);
}

static void end(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	await_end(pid);
}

static void end_qemu_now(struct lu_vm *vm)
{
	pid_t pid = lu_vm_facts(vm)->pid;

	tis_close();
	assert_int_equal(lu_vms_remove(vms, "mock", NULL), 0);
	if (pid == qemu_pid)
		qemu_end(NULL);
	else
		end(pid);
	unlink(at("q"));
	unlink(at("qmp"));
	unlink(at("qtest"));
}

static void save(struct lu_vm *vm)
{
	struct outcome o;

	for (size_t k = 0; k < ARRAY_SIZE(way); k++)
		expect(run_op(vm, way[k], 0, &o) == 0, "%s", o.what);
}

static bool has_word(pid_t pid, const char *word)
{
	_cleanup_free_ char *text = NULL;
	char path[32];
	size_t size;
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	assert_int_equal(lu_read_file(AT_FDCWD, path, 65536, &text, &size), 0);
	for (const char *p = text; p < text + size; p += strlen(p) + 1)
		found |= !strcmp(p, word);
	return found;
}

static void same_tpm(const char *pcr)
{
	tis_connect(at("qtest"));
	expect(!strcmp(tis_pcr(), pcr), "%s: PCR 10 is %s, and was %s", qemu_case, tis_pcr(), pcr);
	expect(!strcmp(tis_nv(), nv), "%s: the NV index holds \"%s\"", qemu_case, tis_nv());
}

static struct lu_vm *with_tpm(const char *words, char pcr[static 65])
{
	struct lu_vm *vm;

	setup_vms(NULL);
	start_swtpm(words);
	start_qemu(NULL);
	tis_connect(at("qtest"));
	tis_startup();
	tis_extend(0x11);
	tis_extend(0x22);
	tis_nv_write(nv);
	snprintf(pcr, 65, "%s", tis_pcr());
	vm = probed();
	expect(lu_vm_facts(vm)->updatable, "%s: %s", qemu_case, first(&lu_vm_facts(vm)->reasons));
	assert_string_equal(vm->firmware, at("halt.bin"));
	return vm;
}

static void over(struct lu_vm *vm)
{
	end_qemu_now(vm);
	end(server());
	teardown_vms(NULL);
}

/* Over the jump everybody has ended; the permanent state on the disk may be older than the guest's. */
static void test_carried(void **state)
{
	struct lu_vm *vm;
	struct outcome o;
	char pcr[65];
	pid_t tpm;

	qemu_case = "carried";
	vm = with_tpm(plain, pcr);
	save(vm);
	/* undone */
	assert_int_equal(run_op(vm, LU_VM_RESUME, 0, &o), 0);
	assert_int_equal(run_op(vm, LU_VM_UNPREPARE, 0, &o), 0);
	tis_close();
	same_tpm(pcr);
	tis_extend(0x33);
	snprintf(pcr, sizeof(pcr), "%s", tis_pcr());
	for (int i = 0; i < 2; i++) {
		save(vm);
		tpm = server();
		assert_true(tpm > 0);
		end_qemu_now(vm);
		if (i == 0) {
			end(tpm);
			assert_int_equal(unlink(at("state/tpm2-00.permall")), 0);
			assert_int_equal(unlink(at("sockets/tpm")), 0);
		} else {
			/* it was started to end with its QEMU */
			await_end(tpm);
		}
		assert_int_equal(lu_init(), 0);
		qemu_case = i == 0 ? "the first update" : "the second update";
		same_tpm(pcr);
		vm = probed();
		expect(lu_vm_facts(vm)->updatable, "%s: %s", qemu_case, first(&lu_vm_facts(vm)->reasons));
		assert_true(server() != tpm && has_word(server(), "--terminate") && !has_word(server(), "--daemon"));
	}
	tpm = server();
	over(vm);
	await_end(tpm);
}

/* QEMU alone is replaced: a swtpm that does not end with it serves the next one. */
static void test_serves_on(void **state)
{
	struct lu_vm *vm;
	char pcr[65];
	pid_t tpm;

	qemu_case = "serves on";
	vm = with_tpm(plain, pcr);
	save(vm);
	tpm = server();
	end_qemu_now(vm);
	assert_int_equal(lu_init(), 0);
	same_tpm(pcr);
	assert_int_equal(server(), tpm);
	vm = probed();
	over(vm);
}

/* One that ends with its QEMU, and takes its time: the next QEMU must not get at it. */
static void test_ends_late(void **state)
{
	struct lu_vm *vm;
	char pcr[65];
	pid_t tpm, helper;

	qemu_case = "ends late";
	vm = with_tpm("--ctrl type=unixio,path=@/sockets/tpm --terminate", pcr);
	save(vm);
	tpm = server();
	assert_true(tpm > 0);
	kill(tpm, SIGSTOP);
	end_qemu_now(vm);
	helper = fork();
	if (helper == 0) {
		usleep(1000000);
		kill(tpm, SIGCONT);
		_exit(0);
	}
	assert_int_equal(lu_init(), 0);
	waitpid(helper, NULL, 0);
	await_end(tpm);
	same_tpm(pcr);
	assert_true(server() != tpm);
	vm = probed();
	over(vm);
}

/* What can't be started is named, and what was saved waits. */
static void test_waits(void **state)
{
	_cleanup_(lu_result_clear) struct lu_result result = { 0 };
	struct lu_vm *vm;
	char pcr[65];
	int dir;

	qemu_case = "waits";
	vm = with_tpm(plain, pcr);
	save(vm);
	end(server());
	end_qemu_now(vm);
	assert_int_equal(rename(at("state"), at("gone")), 0);
	put("state", "no directory");
	assert_int_equal(lu_init(), 1);
	dir = open(at("pkernfs/vm/" UUID_A), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(lu_result_read(dir, &result, NULL), 0);
	close(dir);
	assert_int_equal(result.status, LU_RESULT_FAILED);
	assert_true(result.retry);
	expect(result.error && strstr(result.error->what, "its TPM"), "%s", result.error ? result.error->what : "none");
	expect(result.error->hint && strstr(result.error->hint, "luctl restore"), "%s", result.error->hint ?: "none");
	assert_int_equal(server(), 0);
	assert_int_equal(unlink(at("state")), 0);
	assert_int_equal(rename(at("gone"), at("state")), 0);
	assert_int_equal(lu_init(), 0);
	same_tpm(pcr);
	vm = probed();
	over(vm);
}

/* Words of swtpm that can't be had again. */
static void test_refused(void **state)
{
	static const struct {
		const char *words, *chardev, *reason;
	} cases[] = {
		{ "--ctrl type=unixio,path=@/sockets/tpm --pid fd=9 9>@/swtpm.pid", NULL,
		  "an inherited file descriptor" },
		{ "--ctrl type=unixio,path=@/sockets/tpm --runas root", NULL, "the user it was started as is unknown" },
		{ "--ctrl type=unixio,path=@/sockets/tpm --tpmstate dir=/dev/shm", NULL,
		  "in memory that does not survive" },
		{ "--ctrl type=unixio,path=@/sockets/tpm", "socket,id=c0,path=sockets/tpm",
		  "not at a socket with an absolute path" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct lu_vm *vm;
		const struct lu_reasons *why;

		qemu_case = cases[i].words;
		setup_vms(NULL);
		start_swtpm(cases[i].words);
		start_qemu(cases[i].chardev);
		vm = probed();
		why = &lu_vm_facts(vm)->reasons;
		expect(says(why, cases[i].reason) && !lu_vm_facts(vm)->updatable, "%s: %s", qemu_case, first(why));
		assert_int_equal(lu_vms_remove(vms, "mock", NULL), 0);
		qemu_command("{\"execute\": \"quit\"}"); /* which ends swtpm, too */
		qemu_end(NULL);
		teardown_vms(NULL);
	}
}

/* A disk of a real qemu-storage-daemon: whether QEMU tries again or not, what serves it does not survive. */
static void test_vhost_user(void **state)
{
	static const char *const chardevs[] = { "socket,id=c0,path=@/sockets/disk",
						"socket,id=c0,path=@/sockets/disk,reconnect-ms=1000" };
	static const char *const device[4] = { "-device", "vhost-user-blk-pci,chardev=c0,id=disk" };

	if (access(qsd, X_OK) < 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(chardevs); i++) {
		const struct lu_reasons *why;
		char command[1200];
		struct lu_vm *vm;

		qemu_case = chardevs[i];
		setup_vms(NULL);
		snprintf(
			command, sizeof(command),
			"cd %s && mkdir -p sockets && truncate -s 1M disk.img && %s --daemonize --blockdev "
			"driver=file,node-name=d,filename=disk.img --export "
			"type=vhost-user-blk,id=e,node-name=d,addr.type=unix,addr.path=%s/sockets/disk --pidfile %s/qsd.pid",
			test_dir, qsd, test_dir, test_dir);
		assert_int_equal(system(command), 0);
		start_with(chardevs[i], device);
		vm = probed();
		why = &lu_vm_facts(vm)->reasons;
		assert_false(lu_vm_facts(vm)->updatable);
		expect(says(why, "(vhost-user-blk-pci) is served by another process"), "%s", first(why));
		expect(says(why, "connects to another process") == (i == 0), "%s", first(why));
		for (size_t k = 0; k < why->n; k++)
			assert_non_null(why->list[k].hint);
		assert_int_equal(lu_vms_remove(vms, "mock", NULL), 0);
		qemu_end(NULL);
		snprintf(command, sizeof(command), "kill $(cat %s/qsd.pid)", test_dir);
		assert_int_equal(system(command), 0);
		teardown_vms(NULL);
	}
}

static int end_all(void **state)
{
	tis_close();
	end(server());
	return qemu_end(NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_carried, end_all),    cmocka_unit_test_teardown(test_serves_on, end_all),
		cmocka_unit_test_teardown(test_waits, end_all),      cmocka_unit_test_teardown(test_refused, end_all),
		cmocka_unit_test_teardown(test_vhost_user, end_all), cmocka_unit_test_teardown(test_ends_late, end_all),
	};

	if (argc != 2 || access(qemu, X_OK) < 0 || access(swtpm, X_OK) < 0)
		return 77;
	lu_init_path = argv[1];
	/* QEMUs and TPMs that lu-init leaves, and daemons, are ours to wait for */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	return cmocka_run_group_tests(tests, setup, teardown);
}
