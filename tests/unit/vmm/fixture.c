// SPDX-License-Identifier: GPL-2.0-or-later
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "fixture.h"

char test_dir[] = "/var/tmp/luctl-vm-XXXXXX";
const char *schema_file;
sd_event *ev;
struct lu_vms *vms;

const char *at(const char *name)
{
	static char path[4][256];
	static int i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", test_dir, name);
	return path[i];
}

void put(const char *name, const char *text)
{
	assert_int_equal(lu_write_file(AT_FDCWD, at(name), text, strlen(text), 0644), 0);
}

int setup(void **state)
{
	return mkdtemp(test_dir) ? 0 : -1;
}

int teardown(void **state)
{
	char command[300];

	mock_schema(NULL);
	snprintf(command, sizeof(command), "rm -rf %s", test_dir);
	return system(command);
}

int setup_vms(void **state)
{
	char pkernfs[256], command[600];

	snprintf(command, sizeof(command), "rm -rf %s/*; mkdir -p %s/vms.d %s/pkernfs", test_dir, test_dir, test_dir);
	if (system(command) != 0)
		return -1;
	snprintf(pkernfs, sizeof(pkernfs), "%s/pkernfs", test_dir);
	if (sd_event_new(&ev) < 0)
		return -1;
	return lu_vms_new(&vms, ev, &(struct lu_vm_env){ .pkernfs = pkernfs, .run = test_dir, .any_fs = true });
}

int teardown_vms(void **state)
{
	lu_vms_free(vms);
	sd_event_unref(ev);
	return 0;
}

const char *definition(const char *name, const char *uuid, const char *qmp)
{
	static char text[4][512];
	static int i;

	i = (i + 1) % 4;
	snprintf(text[i], sizeof(text[i]), "{\"version\": 1, \"name\": \"%s\", \"uuid\": \"%s\", \"qmp\": \"%s\"}\n",
		 name, uuid, qmp);
	return text[i];
}

void on_done(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	struct outcome *o = userdata;

	o->calls++;
	o->r = r;
	snprintf(o->what, sizeof(o->what), "%s", e ? e->what : "");
	assert_int_equal(e != NULL, r < 0);
}

int run_op(struct lu_vm *vm, enum lu_vm_op op, unsigned int timeout_ms, struct outcome *o)
{
	*o = (struct outcome){ 0 };
	assert_int_equal(lu_vm_op_start(vm, op, UPDATE, timeout_ms * 1000, on_done, o), 0);
	assert_int_equal(o->calls, 0);
	while (o->calls == 0)
		assert_true(sd_event_run(ev, 20000000) > 0);
	return o->r;
}

/* A VM that was judged well, with its RAM; the QEMU is this very process. */
struct lu_vm *new_vm(void)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_vm *vm;

	expect(lu_vms_add(vms, definition("mock", UUID_A, at("q")), &vm, &e) == 0, "%s", e.what);
	vm->facts.updatable = true;
	vm->facts.ram = calloc(1, sizeof(*vm->facts.ram));
	vm->facts.n_ram = 1;
	vm->facts.ram[0] = (struct lu_vm_ram){ .path = strdup(at("pkernfs/ram")), .size = 1 };
	put("pkernfs/ram", "x");
	return vm;
}

int read_saved(struct lu_saved *ret)
{
	_cleanup_close_ int dir_fd = open(at("pkernfs/vm/" UUID_A), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return dir_fd < 0 ? -errno : lu_saved_read(dir_fd, ret, NULL);
}

/* The QEMU that this test plays has ended, as far as the VM can see. */
void end_qemu(struct lu_vm *vm)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	closep(&vm->pidfd);
	vm->pidfd = pidfd_open(pid, 0);
	vm->pidfd_pid = pid;
	assert_true(vm->pidfd >= 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}
