// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guests of libvirt in the registry: they come and go with what libvirt says, are judged from outside while it holds
 * their monitors, and nothing is done at those. The QEMU is a Python that sleeps and has QEMU's options after its own.
 */
#include <signal.h>
#include <sys/wait.h>

#include "argv.h"
#include "fixture.h"

static pid_t start(const char *memory, const char *more)
{
	char object[512], kernel[300],
		*argv[] = { (char *)"python3",
			    (char *)"-c",
			    (char *)"import time; time.sleep(1000)",
			    (char *)"-object",
			    object,
			    (char *)"-device",
			    (char *)"{\"driver\": \"virtio-balloon-pci\", \"id\": \"balloon0\"}",
			    (char *)"-kernel",
			    kernel,
			    more ? (char *)"-device" : NULL,
			    (char *)more,
			    NULL };
	char *env[] = { (char *)"PATH=/usr/bin:/bin", NULL };
	int p[2];
	pid_t pid;
	char c;

	snprintf(object, sizeof(object), "%s", memory);
	snprintf(kernel, sizeof(kernel), "%s", at("kernel"));
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		if (chdir("/") == 0)
			execve("/usr/bin/python3", argv, env);
		_exit(127);
	}
	close(p[1]);
	while (read(p[0], &c, 1) < 0)
		;
	close(p[0]);
	return pid;
}

static const char *memory_at(const char *path)
{
	static char text[512];

	snprintf(
		text, sizeof(text),
		"{\"qom-type\": \"memory-backend-file\", \"id\": \"pc.ram\", \"mem-path\": \"%s\", \"share\": true, \"size\": 1}",
		path);
	return text;
}

static struct lu_vm_domain domain(const char *name, const char *uuid, pid_t pid)
{
	struct lu_vm_domain d = {
		.name = strdup(name), .uuid = strdup(uuid), .monitor = strdup(at(name)), .pid = pid, .running = true
	};

	d.devices = calloc(2, sizeof(*d.devices));
	d.devices[0] = strdup("balloon0");
	return d;
}

static void tell(struct lu_vm_domain d)
{
	assert_int_equal(lu_vms_set_domains(vms, &d, 1), 0);
	lu_vm_domain_clear(&d);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static const char *reasons(const struct lu_vm *vm)
{
	static char text[2048];

	text[0] = '\0';
	for (size_t i = 0; i < vm->facts.reasons.n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s [%s]\n", vm->facts.reasons.list[i].what,
			 vm->facts.reasons.list[i].hint ?: "");
	return text;
}

static void test_comes_and_goes(void **state)
{
	struct lu_vm *vm;

	tell(domain("red", UUID_A, getpid()));
	vm = lu_vms_find(vms, "red");
	assert_non_null(vm);
	assert_true(lu_vm_is_domain(vm));
	assert_string_equal(lu_vm_qmp(vm), at("red"));
	/* what it was is the same, so the entry stays, with its reasons of today */
	tell(domain("red", UUID_A, getpid()));
	assert_ptr_equal(lu_vms_find(vms, "red"), vm);
	/* its name is no name of ours */
	tell(domain("a name", UUID_A, getpid()));
	assert_non_null(lu_vms_find(vms, UUID_A));
	assert_int_equal(lu_vms_set_domains(vms, NULL, 0), 0);
	assert_int_equal(lu_vms_count(vms), 0);
}

/* Two who think that the guest is theirs. */
static void test_defined_twice(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_vm *vm;

	assert_int_equal(lu_vms_add(vms, definition("mine", UUID_A, at("q")), &vm, &e), 0);
	tell(domain("red", UUID_A, getpid()));
	assert_int_equal(lu_vms_count(vms), 1);
	assert_true(vm->defined_twice);
	assert_false(lu_vm_is_domain(vm));
	assert_int_equal(lu_vms_set_domains(vms, NULL, 0), 0);
	assert_false(vm->defined_twice);
}

static void test_judged(void **state)
{
	const struct {
		const char *memory, *more, *word;
	} cases[] = {
		{ memory_at(at("pkernfs/ram")), NULL, NULL },
		{ "{\"qom-type\": \"memory-backend-ram\", \"id\": \"pc.ram\", \"size\": 1}", NULL,
		  "memory_backing_dir" },
		{ "{\"qom-type\": \"memory-backend-memfd\", \"id\": \"pc.ram\", \"share\": true, \"size\": 1}", NULL,
		  "<source type='file'/>" },
		{ "memory-backend-file,id=pc.ram,mem-path=/var/lib/libvirt/qemu/ram/x,share=on,size=1", NULL,
		  "not below" },
		{ memory_at(at("pkernfs/ram")), "{\"driver\": \"vhost-user-fs-pci\", \"id\": \"fs0\"}", "vhost-user" },
		{ memory_at(at("pkernfs/ram")), "{\"driver\": \"virtio-rng-pci\", \"id\": \"rng0\"}", "unplugged" },
	};

	put("pkernfs/ram", "x");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		pid_t pid = start(i == 0 || i > 3 ? memory_at(at("pkernfs/ram")) : cases[i].memory, cases[i].more);
		struct outcome o;
		struct lu_vm *vm;

		tell(domain("red", UUID_A, pid));
		vm = lu_vms_find(vms, "red");
		expect(run_op(vm, LU_VM_PROBE, 0, &o) == 0, "%s", o.what);
		expect(vm->facts.updatable == !cases[i].word, "case %zu: %s", i, reasons(vm));
		expect(!cases[i].word || strstr(reasons(vm), cases[i].word), "case %zu: %s", i, reasons(vm));
		assert_int_equal(vm->facts.pid, pid);
		assert_int_equal(vm->facts.state, LU_VM_RUNNING);
		end(pid);
	}
}

static void test_plugged_in(void **state)
{
	struct lu_vm_domain d;
	struct outcome o;
	pid_t pid;

	put("pkernfs/ram", "x");
	pid = start(memory_at(at("pkernfs/ram")), NULL);
	d = domain("red", UUID_A, pid);
	free(d.devices[0]);
	d.devices[0] = strdup("hot0");
	tell(d);
	assert_int_equal(run_op(lu_vms_find(vms, "red"), LU_VM_PROBE, 0, &o), 0);
	assert_non_null(strstr(reasons(lu_vms_find(vms, "red")), "\"hot0\" was plugged in"));
	assert_non_null(strstr(reasons(lu_vms_find(vms, "red")), "\"balloon0\" was unplugged"));
	end(pid);
	/* its process has ended: no verdict */
	assert_int_equal(run_op(lu_vms_find(vms, "red"), LU_VM_PROBE, 0, &o), -ECONNREFUSED);
}

/* The guest has what was in it; the next QEMU reads what is in it now. */
static void test_file_has_changed(void **state)
{
	char card[300];

	put("pkernfs/ram", "x");
	put("kernel", "x");
	put("rom", "x");
	snprintf(card, sizeof(card), "{\"driver\": \"e1000\", \"id\": \"n0\", \"romfile\": \"%s\"}", at("rom"));
	for (int changed = 0; changed < 2; changed++) {
		pid_t pid = start(memory_at(at("pkernfs/ram")), card);
		const struct lu_reasons *losses;
		struct outcome o;
		bool told = false;

		tell(domain("red", UUID_A, pid));
		if (changed) {
			sleep(4); /* a process' start is told in whole seconds, and some slack */
			put("kernel", "y");
			put("rom", "y");
		}
		assert_int_equal(run_op(lu_vms_find(vms, "red"), LU_VM_PROBE, 0, &o), 0);
		losses = &lu_vms_find(vms, "red")->facts.losses;
		for (size_t i = 0; i < losses->n; i++) {
			told |= strstr(losses->list[i].what, "/kernel (-kernel), which has changed since") != NULL;
			/* comes with the guest's state */
			expect(!strstr(losses->list[i].what, "/rom"), "%s", losses->list[i].what);
		}
		expect(told == changed, "%d: %zu losses", changed, losses->n);
		end(pid);
	}
}

/* A snapshot has given the disk another image: the command line's is an old one by now. */
static void test_another_image(void **state)
{
	static const char device[] =
		"{\"driver\": \"virtio-blk-pci\", \"id\": \"disk0\", \"drive\": \"libvirt-1-format\"}";
	const char *const nodes[] = { "libvirt-1-format", "libvirt-2-format", NULL };

	put("pkernfs/ram", "x");
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		pid_t pid = start(memory_at(at("pkernfs/ram")), device);
		struct lu_vm_domain d = domain("red", UUID_A, pid);
		struct outcome o;

		lu_argv_free(steal_ptr(d.devices));
		d.disks = calloc(1, sizeof(*d.disks));
		d.n_disks = 1;
		d.disks[0].alias = strdup("disk0");
		d.disks[0].nodes = calloc(2, sizeof(char *));
		d.disks[0].nodes[0] = nodes[i] ? strdup(nodes[i]) : NULL;
		tell(d);
		assert_int_equal(run_op(lu_vms_find(vms, "red"), LU_VM_PROBE, 0, &o), 0);
		expect(!strstr(reasons(lu_vms_find(vms, "red")), "another image") == (i == 0), "%zu: %s", i,
		       reasons(lu_vms_find(vms, "red")));
		end(pid);
	}
}

/* Nobody listens at that socket: whatever touched it would fail. */
static void test_other_hands(void **state)
{
	struct outcome o;
	struct lu_vm *vm;

	tell(domain("red", UUID_A, getpid()));
	vm = lu_vms_find(vms, "red");
	assert_int_equal(run_op(vm, LU_VM_RESUME, 0, &o), 0);
	assert_int_equal(run_op(vm, LU_VM_UNPREPARE, 0, &o), 0);
	assert_int_equal(run_op(vm, LU_VM_PREPARE, 0, &o), -EBUSY);
	assert_int_equal(run_op(vm, LU_VM_PAUSE, 0, &o), -EBUSY);
	lu_vms_hold_domains(vms, true);
	assert_int_equal(run_op(vm, LU_VM_PREPARE, 500, &o), -ENOENT);
	lu_vms_hold_domains(vms, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_comes_and_goes, setup_vms, teardown_vms),
		cmocka_unit_test_setup_teardown(test_defined_twice, setup_vms, teardown_vms),
		cmocka_unit_test_setup_teardown(test_judged, setup_vms, teardown_vms),
		cmocka_unit_test_setup_teardown(test_plugged_in, setup_vms, teardown_vms),
		cmocka_unit_test_setup_teardown(test_file_has_changed, setup_vms, teardown_vms),
		cmocka_unit_test_setup_teardown(test_another_image, setup_vms, teardown_vms),
		cmocka_unit_test_setup_teardown(test_other_hands, setup_vms, teardown_vms),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
