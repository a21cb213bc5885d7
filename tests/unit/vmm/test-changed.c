// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Real QEMUs, each changed in one way while it runs: PROBE says so, or says what will be lost. And one whose disk is
 * changed after it was saved: the last look says so.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "fixture.h"
#include "qemu.h"

static const char *lu_init_path;
static const char *const qemu = "/usr/bin/qemu-system-x86_64";

#define DISK                                                                                             \
	"-blockdev", "driver=qcow2,node-name=disk,file.driver=file,file.filename=disk.qcow2", "-device", \
		"virtio-blk-pci,drive=disk"

#define SNAPSHOT(_file, _node)        \
	CMD("blockdev-snapshot-sync", \
	    "\"node-name\":\"disk\",\"snapshot-file\":\"" _file ".qcow2\",\"snapshot-node-name\":\"" _node "\"")

/* As packages do it. */
#define REPLACE(_name, _size) "!cd $DIR/share && head -c " _size " /dev/urandom >new && mv new " _name

static const struct {
	const char *name, *words[12], *commands[6];
	const char *reason, *loss; /* NULL: none */
} cases[] = {
	{ "nothing", { DISK, "-smp", "2", "-vnc", "unix:vnc", "-device", "virtio-rng-pci" }, { 0 }, NULL, NULL },
	{ "snapshot",
	  { DISK },
	  { SNAPSHOT("over", "over") },
	  NULL,
	  "was started with: its disk \"/machine/peripheral-anon/device[0]/virtio-backend\" is on node \"over\", over.qcow2" },
	{ "medium-without-a-name",
	  { "-blockdev", "driver=file,node-name=c,filename=disk.qcow2,read-only=on", "-device",
	    "ide-cd,drive=c,id=cd" },
	  { CMD("blockdev-change-medium", "\"id\":\"cd\",\"filename\":\"disk.qcow2\",\"format\":\"qcow2\"") },
	  "its disk \"cd\" is on node",
	  NULL },
	{ "temporary",
	  { "-drive", "file=disk.qcow2,if=none,id=d0,snapshot=on", "-device", "virtio-blk-pci,drive=d0" },
	  { 0 },
	  "the guest's writes are in a temporary file",
	  NULL },
	{ "job",
	  { DISK },
	  { CMD("blockdev-add", "\"driver\":\"null-co\",\"node-name\":\"n\",\"size\":16777216"),
	    CMD("blockdev-mirror", "\"job-id\":\"copy\",\"device\":\"disk\",\"target\":\"n\",\"sync\":\"full\"") },
	  "its job \"copy\" (mirror) is under way",
	  NULL },
	{ "job-done",
	  { DISK },
	  { CMD("blockdev-create",
		"\"job-id\":\"new\",\"options\":{\"driver\":\"file\",\"filename\":\"new\",\"size\":512}"),
	    "@gone" },
	  NULL,
	  NULL },
	{ "export",
	  { DISK },
	  { CMD("nbd-server-start", "\"addr\":{\"type\":\"unix\",\"data\":{\"path\":\"nbd\"}}"),
	    CMD("block-export-add", "\"type\":\"nbd\",\"id\":\"e\",\"node-name\":\"disk\"") },
	  "its node \"disk\" is exported to others (nbd, \"e\")",
	  NULL },
	{ "bitmap",
	  { DISK },
	  { CMD("block-dirty-bitmap-add", "\"node\":\"disk\",\"name\":\"b\"") },
	  "its dirty bitmap \"b\" of node \"disk\" is in memory only",
	  NULL },
	{ "persistent",
	  { DISK },
	  { CMD("block-dirty-bitmap-add", "\"node\":\"disk\",\"name\":\"b\",\"persistent\":true") },
	  NULL,
	  NULL },
	{ "libvirt's",
	  { DISK },
	  { CMD("block-dirty-bitmap-add", "\"node\":\"disk\",\"name\":\"libvirt-tmp-activewrite\"") },
	  NULL,
	  NULL },
	{ "threshold",
	  { DISK },
	  { CMD("block-set-write-threshold", "\"node-name\":\"disk\",\"write-threshold\":1000000") },
	  NULL,
	  "write threshold of its node \"disk\"" },
	{ "device",
	  { "-device", "pcie-root-port,id=rp" },
	  { CMD("device_add", "\"driver\":\"virtio-rng-pci\",\"bus\":\"rp\"") },
	  "(virtio-rng-pci) was plugged in after the start",
	  NULL },
	{ "processor",
	  { "-smp", "1,maxcpus=2" },
	  { CMD("device_add", "\"driver\":\"qemu64-x86_64-cpu\",\"socket-id\":0,\"core-id\":1,\"thread-id\":0") },
	  "(qemu64-x86_64-cpu) was plugged in after the start",
	  NULL },
	{ "processor-named", { "-smp", "sockets=2,cores=2" }, { 0 }, NULL, NULL },
	{ "firmware",
	  { "-L", "share", "-bios", "fw" },
	  { "!truncate -s 0 $DIR/share/fw && truncate -s 256K $DIR/share/fw" },
	  NULL,
	  NULL },
	{ "firmware-grown",
	  { "-L", "share", "-bios", "fw" },
	  { "!truncate -s 512K $DIR/share/fw" },
	  "/share/fw has 524288 bytes by now, of 262144 when its QEMU read it",
	  NULL },
	{ "firmware-shrunk",
	  { "-bios", "share/fw" },
	  { "!truncate -s 128K $DIR/share/fw" },
	  "/share/fw has 131072 bytes by now, of 262144",
	  NULL },
	{ "firmware-by-default",
	  { "-L", "share" },
	  { "!truncate -s 512K $DIR/share/bios-256k.bin" },
	  "/share/bios-256k.bin has 524288 bytes by now",
	  NULL },
	{ "firmware-of-microvm",
	  { "-M", "microvm", "-L", "share" },
	  { "!truncate -s 64K $DIR/share/bios-microvm.bin" },
	  "/share/bios-microvm.bin has 65536 bytes by now, of 131072",
	  NULL },
	{ "firmware-gone",
	  { "-L", "share", "-bios", "fw" },
	  { "!rm $DIR/share/fw" },
	  "its firmware fw is not found",
	  NULL },
	{ "firmware-in-flash",
	  { "-drive", "if=pflash,format=raw,readonly=on,file=share/fw", "-L", "share" },
	  { "!truncate -s 512K $DIR/share/bios-256k.bin" },
	  NULL,
	  NULL },
#define FW_FLASH(_options) "-drive", "if=pflash,format=raw,file=share/fw" _options, "-L", "share"
	{ "flash-replaced", { FW_FLASH(",readonly=on") }, { REPLACE("fw", "256K") }, NULL, NULL },
	{ "flash-of-a-node-replaced",
	  { "-blockdev", "driver=file,node-name=f,filename=share/fw,auto-read-only=on", "-blockdev",
	    "driver=raw,node-name=code,file=f,read-only=on", "-M", "pflash0=code", "-L", "share" },
	  { REPLACE("fw", "256K") },
	  NULL,
	  NULL },
	{ "flash-replaced-by-a-larger-one",
	  { FW_FLASH(",readonly=on") },
	  { REPLACE("fw", "512K") },
	  "no name any more: ",
	  NULL },
	{ "flash-moved",
	  { FW_FLASH(",readonly=on") },
	  { "!mv $DIR/share/fw $DIR/share/old", REPLACE("fw", "256K") },
	  NULL,
	  NULL },
	{ "flash-moved-for-a-larger-one",
	  { FW_FLASH(",readonly=on") },
	  { "!mv $DIR/share/fw $DIR/share/old", REPLACE("fw", "512K") },
	  "was replaced by a file of 524288 bytes at share/fw, of 262144 that it has",
	  NULL },
	{ "flash-gone", { FW_FLASH(",readonly=on") }, { "!rm $DIR/share/fw" }, "no name any more: ", NULL },
	{ "writable-flash-replaced", { FW_FLASH("") }, { REPLACE("fw", "256K") }, "no name any more: ", NULL },
	{ "disk-replaced",
	  { "-blockdev", "driver=file,node-name=c,filename=share/rom,read-only=on", "-device", "ide-cd,drive=c,id=cd" },
	  { REPLACE("rom", "40K") },
	  "its disk \"cd\" is another file than what stands at share/rom now",
	  NULL },
	{ "password", { "-vnc", "unix:vnc,password=on" }, { 0 }, NULL, "the password of its VNC display" },
};

static void start(const char *const *words, size_t n_words)
{
	char object[400], qmp[300], ours[300], command[700],
		*argv[40] = { (char *)qemu,
			      (char *)"-M",
			      (char *)"q35,memory-backend=ram0",
			      (char *)"-accel",
			      (char *)"tcg",
			      (char *)"-m",
			      (char *)"64",
			      (char *)"-nodefaults",
			      (char *)"-display",
			      (char *)"none",
			      (char *)"-uuid",
			      (char *)UUID_A,
			      (char *)"-object",
			      object,
			      (char *)"-qmp",
			      qmp,
			      (char *)"-qmp",
			      ours };
	size_t n = 18;

	snprintf(command, sizeof(command),
		 "cd %s && rm -f *.qcow2 && qemu-img create -q -f qcow2 disk.qcow2 16M && mkdir -p pkernfs share && "
		 "truncate -s 256K share/fw share/bios-256k.bin && truncate -s 128K share/bios-microvm.bin && "
		 "truncate -s 40K share/rom share/rom2 share/vgabios-stdvga.bin",
		 test_dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(setenv("DIR", test_dir, 1), 0);
	snprintf(object, sizeof(object), "memory-backend-file,id=ram0,size=64M,mem-path=%s/pkernfs/ram,share=on",
		 test_dir);
	snprintf(qmp, sizeof(qmp), "unix:%s/qmp,server=on,wait=off", test_dir);
	snprintf(ours, sizeof(ours), "unix:%s/q,server=on,wait=off", test_dir);
	for (size_t i = 0; i < n_words && words[i]; i++)
		argv[n++] = (char *)words[i];
	qemu_start(test_dir, argv);
}

static const char *find(const struct lu_reasons *list, const char *text)
{
	for (size_t i = 0; i < list->n; i++)
		if (strstr(list->list[i].what, text))
			return list->list[i].what;
	return NULL;
}

static const char *first(const struct lu_reasons *list)
{
	return list->n ? list->list[0].what : "nothing";
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

static void one_case(size_t i)
{
	const struct lu_vm_facts *f;
	struct lu_vm *vm;

	qemu_case = cases[i].name;
	setup_vms(NULL);
	start(cases[i].words, ARRAY_SIZE(cases[i].words));
	vm = probed();
	f = lu_vm_facts(vm);
	if (cases[i].commands[0] || !cases[i].reason)
		expect(f->updatable, "%s, as it was started: %s", qemu_case, first(&f->reasons));
	for (size_t k = 0; k < ARRAY_SIZE(cases[i].commands) && cases[i].commands[k]; k++)
		qemu_command(cases[i].commands[k]);
	lu_vms_remove(vms, "mock", NULL);
	vm = probed();
	f = lu_vm_facts(vm);
	expect(f->updatable == !cases[i].reason, "%s: %s", qemu_case, first(&f->reasons));
	expect(!cases[i].reason || find(&f->reasons, cases[i].reason), "%s: %s", qemu_case, first(&f->reasons));
	expect(!cases[i].loss || find(&f->losses, cases[i].loss), "%s: %s", qemu_case, first(&f->losses));
	teardown_vms(NULL);
	qemu_end(NULL);
}

static void test_probe(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		one_case(i);
}

/* The verdict is old when the guest is saved: what has changed since counts, too. */
static void test_last_look(void **state)
{
	static const char *const words[] = { "-blockdev", "driver=file,node-name=c,filename=disk.qcow2,read-only=on",
					     "-device", "ide-cd,drive=c,id=cd" };
	static const enum lu_vm_op way[] = { LU_VM_PREPARE, LU_VM_PAUSE, LU_VM_SAVE, LU_VM_VERIFY };
	struct outcome o;
	struct lu_vm *vm;

	qemu_case = "the last look";
	setup_vms(NULL);
	start(words, ARRAY_SIZE(words));
	vm = probed();
	expect(lu_vm_facts(vm)->updatable, "%s", first(&lu_vm_facts(vm)->reasons));
	for (size_t i = 0; i < ARRAY_SIZE(way); i++)
		expect(run_op(vm, way[i], 0, &o) == 0, "%s", o.what);
	qemu_command(CMD("blockdev-open-tray", "\"id\":\"cd\",\"force\":true"));
	qemu_command(CMD("blockdev-remove-medium", "\"id\":\"cd\""));
	assert_int_equal(run_op(vm, LU_VM_VERIFY, 0, &o), -EBUSY);
	expect(strstr(o.what, "what is beneath its disks has changed since the check: front"), "%s", o.what);
	assert_int_equal(run_op(vm, LU_VM_RESUME, 0, &o), 0);
	assert_int_equal(run_op(vm, LU_VM_UNPREPARE, 0, &o), 0);
	teardown_vms(NULL);
	qemu_end(NULL);
}

static int lu_init(const char *uuid)
{
	char pkernfs[300], run[300];
	int status;
	pid_t pid;

	snprintf(pkernfs, sizeof(pkernfs), "%s/pkernfs", test_dir);
	snprintf(run, sizeof(run), "%s/run", test_dir);
	pid = fork();
	if (pid == 0) {
		execl(lu_init_path, "lu-init", "--pkernfs", pkernfs, "--run", run, "--any-fs", "--restore", uuid,
		      (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Its QEMU has saved it and ends, and lu-init starts another one; @first: the one that the case itself was given */
static void jump(struct lu_vm *vm, bool first)
{
	pid_t old = lu_vm_facts(vm)->pid;

	assert_int_equal(lu_vms_remove(vms, "mock", NULL), 0);
	if (first) {
		qemu_end(NULL);
	} else {
		kill(old, SIGKILL);
		waitpid(old, NULL, 0);
	}
	unlink(at("q"));
	unlink(at("qmp"));
	assert_int_equal(lu_init(UUID_A), 0);
}

static char *settings(void);

/* As somebody else reads them of the one who has the guest now. */
static char *settings_now(void)
{
	char *text;

	qemu_connect(test_dir);
	text = settings();
	qemu_end(NULL);
	return text;
}

/* Two live snapshots before the update: the next QEMU goes on on the second, and so does the one after it. */
static void test_carried(void **state)
{
	static const enum lu_vm_op way[] = { LU_VM_PREPARE, LU_VM_PAUSE, LU_VM_SAVE, LU_VM_VERIFY };
	static const char *const words[] = { DISK };
	struct outcome o;
	struct lu_vm *vm;

	qemu_case = "carried";
	setup_vms(NULL);
	start(words, ARRAY_SIZE(words));
	qemu_command(SNAPSHOT("one", "one"));
	qemu_command(
		"{\"execute\": \"blockdev-snapshot-sync\", \"arguments\": {\"node-name\": \"one\", \"snapshot-file\": \"two.qcow2\", "
		"\"snapshot-node-name\": \"two\"}}");
	for (int i = 0; i < 2; i++) {
		vm = probed();
		expect(lu_vm_facts(vm)->updatable, "%s", first(&lu_vm_facts(vm)->reasons));
		expect((lu_vm_facts(vm)->losses.n > 0) == (i == 0), "%d: %s", i, first(&lu_vm_facts(vm)->losses));
		assert_non_null(
			strstr(vm->blocks, "front  /machine/peripheral-anon/device[0]/virtio-backend on two\n"));
		assert_non_null(strstr(vm->blocks, "node two qcow2"));
		for (size_t k = 0; k < ARRAY_SIZE(way); k++)
			expect(run_op(vm, way[k], 0, &o) == 0, "%s", o.what);
		jump(vm, i == 0);
	}
	vm = probed();
	expect(lu_vm_facts(vm)->updatable && lu_vm_facts(vm)->losses.n == 0, "%s", first(&lu_vm_facts(vm)->losses));
	assert_non_null(strstr(vm->blocks, "on two\n"));
	kill(lu_vm_facts(vm)->pid, SIGKILL);
	waitpid(lu_vm_facts(vm)->pid, NULL, 0);
	teardown_vms(NULL);
}

/* The guest's firmware in flash, in the words of QEMU's monitor: what the guest reads there. */
static void read_flash(const char *file)
{
	char command[300];

	snprintf(command, sizeof(command),
		 "{\"execute\": \"pmemsave\", \"arguments\": {\"val\": %lld, \"size\": 262144, \"filename\": \"%s\"}}",
		 0x100000000ll - 262144, at(file));
	qemu_command(command);
}

/* A package has replaced the firmware in flash: the guest goes on with what it has, twice, also after the second one. */
static void test_flash(void **state)
{
	static const enum lu_vm_op way[] = { LU_VM_PREPARE, LU_VM_PAUSE, LU_VM_SAVE, LU_VM_VERIFY };
	static const char *const words[] = { FW_FLASH(",readonly=on") };
	struct outcome o;
	struct lu_vm *vm;

	qemu_case = "flash";
	setup_vms(NULL);
	start(words, ARRAY_SIZE(words));
	read_flash("before");
	qemu_command(REPLACE("fw", "256K"));
	for (int i = 0; i < 2; i++) {
		vm = probed();
		expect(lu_vm_facts(vm)->updatable, "%s", first(&lu_vm_facts(vm)->reasons));
		for (size_t k = 0; k < ARRAY_SIZE(way); k++)
			expect(run_op(vm, way[k], 0, &o) == 0, "%s", o.what);
		jump(vm, i == 0);
		qemu_command(REPLACE("fw", "256K"));
	}
	qemu_connect(test_dir);
	read_flash("after");
	qemu_end(NULL);
	assert_int_equal(system("cd $DIR && cmp before after && ! cmp -s before share/fw"), 0);
	vm = probed();
	kill(lu_vm_facts(vm)->pid, SIGKILL);
	waitpid(lu_vm_facts(vm)->pid, NULL, 0);
	teardown_vms(NULL);
}

static size_t words_of(pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0, n = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	assert_int_equal(lu_read_file(AT_FDCWD, path, 65536, &text, &size), 0);
	for (size_t i = 0; i < size; i++)
		n += text[i] == '\0';
	return n;
}

/* Of each ROM's file another one is there, or none, when the next QEMU starts, and of the firmware one of the same size. */
static void test_roms(void **state)
{
	static const enum lu_vm_op way[] = { LU_VM_PREPARE, LU_VM_PAUSE, LU_VM_SAVE, LU_VM_VERIFY };
	static const char *const words[] = {
		"-L",      "share",
		"-bios",   "share/fw",
		"-vga",    "std",
		"-device", "e1000,romfile=share/rom",
		"-device", "e1000,romfile=share/rom2",
		"-device", "{\"driver\": \"e1000e\", \"id\": \"n0\", \"romfile\": \"share/rom\"}"
	};
	static const char *const changes[] = { "!cd $DIR/share && truncate -s 400K rom vgabios-stdvga.bin && rm rom2",
					       "!cd $DIR/share && truncate -s 4K rom && rm vgabios-stdvga.bin" };
	size_t n_words = 0;
	struct outcome o;
	struct lu_vm *vm;

	qemu_case = "roms";
	setup_vms(NULL);
	start(words, ARRAY_SIZE(words));
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		vm = probed();
		expect(lu_vm_facts(vm)->updatable, "%s", first(&lu_vm_facts(vm)->reasons));
		expect(lu_vm_facts(vm)->losses.n == 0, "%s", first(&lu_vm_facts(vm)->losses));
		for (size_t k = 0; k < ARRAY_SIZE(way); k++)
			expect(run_op(vm, way[k], 0, &o) == 0, "%s", o.what);
		qemu_command(changes[i]);
		if (i > 0)
			n_words = words_of(lu_vm_facts(vm)->pid);
		jump(vm, i == 0);
	}
	vm = probed();
	assert_int_equal(words_of(lu_vm_facts(vm)->pid), n_words);
	kill(lu_vm_facts(vm)->pid, SIGKILL);
	waitpid(lu_vm_facts(vm)->pid, NULL, 0);
	teardown_vms(NULL);
}

/* A package is upgraded between the verdict and the jump. */
static void test_firmware_meanwhile(void **state)
{
	static const enum lu_vm_op way[] = { LU_VM_PREPARE, LU_VM_PAUSE, LU_VM_SAVE };
	static const char *const words[] = { "-bios", "share/fw" };
	struct outcome o;
	struct lu_vm *vm;

	qemu_case = "firmware, meanwhile";
	setup_vms(NULL);
	start(words, ARRAY_SIZE(words));
	vm = probed();
	expect(lu_vm_facts(vm)->updatable, "%s", first(&lu_vm_facts(vm)->reasons));
	qemu_command("!truncate -s 512K $DIR/share/fw");
	assert_int_equal(run_op(vm, LU_VM_PREPARE, 0, &o), -EBUSY);
	expect(strstr(o.what, "share/fw has changed since the check: another size"), "%s", o.what);
	qemu_command("!truncate -s 256K $DIR/share/fw");
	for (size_t i = 0; i < ARRAY_SIZE(way); i++)
		expect(run_op(vm, way[i], 0, &o) == 0, "%s", o.what);
	qemu_command("!rm $DIR/share/fw");
	assert_int_equal(run_op(vm, LU_VM_VERIFY, 0, &o), -EBUSY);
	expect(strstr(o.what, "share/fw has changed since the check: No such file"), "%s", o.what);
	assert_int_equal(run_op(vm, LU_VM_RESUME, 0, &o), 0);
	assert_int_equal(run_op(vm, LU_VM_UNPREPARE, 0, &o), 0);
	teardown_vms(NULL);
	qemu_end(NULL);
}

/* What somebody has set for a migration of his own */
static const char *const settings_left[] = {
	CMD("migrate-set-parameters",
	    "\"max-bandwidth\":1,\"tls-creds\":\"nobody\",\"tls-hostname\":\"there\",\"multifd-channels\":7,"
	    "\"downtime-limit\":1,\"announce-rounds\":3,\"direct-io\":true,\"avail-switchover-bandwidth\":1"),
	CMD("migrate-set-capabilities",
	    "\"capabilities\":[{\"capability\":\"multifd\",\"state\":true},{\"capability\":\"events\",\"state\":true},"
	    "{\"capability\":\"mapped-ram\",\"state\":true}]"),
	CMD("migrate-set-capabilities",
	    "\"capabilities\":[{\"capability\":\"multifd\",\"state\":true},{\"capability\":\"mapped-ram\",\"state\":false},"
	    "{\"capability\":\"return-path\",\"state\":true},{\"capability\":\"pause-before-switchover\",\"state\":true}]"),
	CMD("migrate-set-capabilities",
	    "\"capabilities\":[{\"capability\":\"multifd\",\"state\":false},{\"capability\":\"postcopy-ram\",\"state\":true},"
	    "{\"capability\":\"postcopy-preempt\",\"state\":true},{\"capability\":\"dirty-bitmaps\",\"state\":true},"
	    "{\"capability\":\"xbzrle\",\"state\":true},{\"capability\":\"auto-converge\",\"state\":true}]"),
};

static char *settings(void)
{
	struct json_object *c = qemu_query("query-migrate-capabilities", "{}"),
			   *p = qemu_query("query-migrate-parameters", "{}");
	char *text = NULL;

	assert_true(asprintf(&text, "%s\n%s", json_object_to_json_string(c), json_object_to_json_string(p)) > 0);
	json_object_put(c);
	json_object_put(p);
	return text;
}

/* What somebody has set for a migration of his own neither keeps a guest from being saved nor is it gone afterwards. */
static void test_settings(void **state)
{
	static const char *const words[] = { "-vga", "std" };
	static const enum lu_vm_op way[] = { LU_VM_PREPARE, LU_VM_PAUSE,  LU_VM_SAVE,
					     LU_VM_VERIFY,  LU_VM_RESUME, LU_VM_UNPREPARE };
	struct outcome o;
	struct lu_vm *vm;

	qemu_case = "settings";
	setup_vms(NULL);
	start(words, ARRAY_SIZE(words));
	vm = probed();
	for (size_t i = 0; i < ARRAY_SIZE(settings_left); i++) {
		_cleanup_free_ char *before = NULL, *after = NULL;

		qemu_command(settings_left[i]);
		before = settings();
		expect(run_op(vm, LU_VM_PROBE, 0, &o) == 0 && lu_vm_facts(vm)->updatable, "%zu: %s", i,
		       first(&lu_vm_facts(vm)->reasons));
		for (size_t k = 0; k < ARRAY_SIZE(way); k++) {
			expect(run_op(vm, way[k], 0, &o) == 0, "%zu: %s", i, o.what);
			/* as a daemon after this one would: by what is noted */
			if (way[k] == LU_VM_RESUME) {
				lu_vms_remove(vms, "mock", NULL);
				vm = probed();
			}
		}
		after = settings();
		expect(!strcmp(before, after), "%zu: before %s\nafter %s", i, before, after);
	}
	teardown_vms(NULL);
	qemu_end(NULL);
}

/* The QEMU that takes it over has them, too: libvirt, for one, turns events on once and never again. A guest that was paused is none the less libvirt's. */
static void test_settings_carried(void **state)
{
	static const char *const words[] = { "-vga", "std" };
	static const enum lu_vm_op way[] = { LU_VM_PREPARE, LU_VM_PAUSE, LU_VM_SAVE, LU_VM_VERIFY };
	struct outcome o;
	struct lu_vm *vm;

	qemu_case = "settings-carried";
	for (int paused = 0; paused < 2; paused++) {
		_cleanup_free_ char *before = NULL, *after = NULL;

		setup_vms(NULL);
		start(words, ARRAY_SIZE(words));
		qemu_command(settings_left[0]);
		qemu_command(settings_left[1]);
		if (paused)
			qemu_command("{\"execute\": \"stop\"}");
		before = settings();
		vm = probed();
		for (size_t k = 0; k < ARRAY_SIZE(way); k++)
			expect(run_op(vm, way[k], 0, &o) == 0, "%s", o.what);
		jump(vm, true);
		after = settings_now();
		expect(!strcmp(before, after), "%d: before %s\nafter %s", paused, before, after);
		vm = probed();
		kill(lu_vm_facts(vm)->pid, SIGKILL);
		waitpid(lu_vm_facts(vm)->pid, NULL, 0);
		teardown_vms(NULL);
	}
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_probe, qemu_end),
		cmocka_unit_test_teardown(test_last_look, qemu_end),
		cmocka_unit_test_teardown(test_settings, qemu_end),
		cmocka_unit_test_teardown(test_settings_carried, qemu_end),
		cmocka_unit_test_teardown(test_carried, qemu_end),
		cmocka_unit_test_teardown(test_roms, qemu_end),
		cmocka_unit_test_teardown(test_firmware_meanwhile, qemu_end),
		cmocka_unit_test_teardown(test_flash, qemu_end),
	};

	if (access(qemu, X_OK) < 0 || system("qemu-img --version >/dev/null 2>&1") != 0) {
		printf("no %s, or no qemu-img, on this machine\n", qemu);
		return 77;
	}
	if (argc != 2)
		return 2;
	lu_init_path = argv[1];
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return cmocka_run_group_tests(tests, setup, teardown);
}
