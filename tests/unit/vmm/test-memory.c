// SPDX-License-Identifier: GPL-2.0-or-later
/* Whose a file in pkernfs is, and that a VM which names another one's memory is refused before anything is changed. */
#include <sys/stat.h>

#include "test.h"

#include "mock.h"
#include "vm-internal.h"

#define UUID_A "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c000a"
#define UUID_B "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c000b"
#define UPDATE "00000000-aaaa-4000-8000-000000000001"

static char dir[64], pkernfs[96];
static const char *schema_file;
static sd_event *ev;
static struct lu_vms *vms;

static void put(const char *path)
{
	char whole[256], *slash;

	snprintf(whole, sizeof(whole), "%s/%s", pkernfs, path);
	slash = strrchr(whole, '/');
	*slash = '\0';
	assert_int_equal(lu_mkdir_p(AT_FDCWD, whole, 0755), 0);
	*slash = '/';
	assert_int_equal(lu_write_file(AT_FDCWD, whole, "x", 1, 0600), 0);
}

static struct lu_vm *add_vm(const char *name, const char *uuid, const char *ram)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	char text[512], path[256];
	struct lu_vm *vm;

	snprintf(text, sizeof(text), "{\"version\": 1, \"name\": \"%s\", \"uuid\": \"%s\", \"qmp\": \"%s/%s.sock\"}\n",
		 name, uuid, dir, name);
	expect(lu_vms_add(vms, text, &vm, &e) == 0, "%s", e.what);
	snprintf(path, sizeof(path), "%s/%s", pkernfs, ram);
	vm->facts.updatable = true;
	vm->facts.n_ram = 1;
	vm->facts.ram = calloc(1, sizeof(*vm->facts.ram));
	assert_non_null(vm->facts.ram);
	vm->facts.ram[0] = (struct lu_vm_ram){ .path = strdup(path), .size = 1 };
	return vm;
}

static int setup(void **state)
{
	if (!test_mkdtemp(dir))
		return -1;
	snprintf(pkernfs, sizeof(pkernfs), "%s/pkernfs", dir);
	put("ram/web1/ram");
	put("ram/web2/ram");
	put("pool/b");
	if (sd_event_new(&ev) < 0)
		return -1;
	return lu_vms_new(&vms, ev, &(struct lu_vm_env){ .pkernfs = pkernfs, .run = dir, .any_fs = true });
}

static int teardown(void **state)
{
	char command[128];

	lu_vms_free(vms);
	sd_event_unref(ev);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static const char *owner(struct lu_vm *vm, const char *path)
{
	char whole[256];
	struct stat st;

	snprintf(whole, sizeof(whole), "%s/%s", pkernfs, path);
	assert_int_equal(stat(whole, &st), 0);
	return lu_vm_memory_owner(vm, whole, &st);
}

static void test_owner(void **state)
{
	struct lu_vm *a = add_vm("web1", UUID_A, "ram/web1/ram"), *b = add_vm("web2", UUID_B, "pool/b");
	char link_path[128], target[128];

	assert_null(owner(a, "ram/web1/ram"));
	assert_null(owner(b, "pool/b"));
	/* by what the other one has, by any name that leads there, and by the directory's name */
	assert_string_equal(owner(a, "pool/b"), "web2");
	snprintf(link_path, sizeof(link_path), "%s/ram/web1/alias", pkernfs);
	snprintf(target, sizeof(target), "%s/pool/b", pkernfs);
	assert_int_equal(link(target, link_path), 0);
	assert_string_equal(owner(a, "ram/web1/alias"), "web2");
	/* also while the other one is asked itself, as all are at a check */
	lu_vm_facts_begin(b);
	assert_string_equal(owner(a, "pool/b"), "web2");
	lu_vm_facts_end(b, false);
	assert_string_equal(owner(a, "pool/b"), "web2");
	assert_string_equal(owner(a, "ram/web2/ram"), "web2");
	assert_string_equal(owner(b, "ram/web1/ram"), "web1");
	/* not by a name that only begins like it */
	put("ram/web10/ram");
	assert_null(owner(b, "ram/web10/ram"));
	assert_null(owner(a, "ram/web10/ram"));
}

struct outcome {
	int calls, r;
	char what[512];
};

static void on_done(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	struct outcome *o = userdata;

	o->calls++;
	o->r = r;
	snprintf(o->what, sizeof(o->what), "%s", e ? e->what : "");
}

static void test_prepare(void **state)
{
	struct lu_vm *a = add_vm("web1", UUID_A, "pool/b");
	struct outcome o = { 0 };
	char path[128];
	struct mock *m;
	const char *why;

	add_vm("web2", UUID_B, "pool/b");
	mock_schema(schema_file);
	/* questions only: no setting is changed */
	m = mock_start(
		lu_vm_qmp(a),
		"hello\nexpect query-status\nreply {\"status\": \"running\"}\n"
		"expect query-migrate-capabilities\nreply [{\"capability\": \"x-ignore-shared\", \"state\": false}]\n"
		"expect query-migrate-parameters\nreply {\"mode\": \"normal\"}\nexpect query-cpus-fast\nreply []\nwait");
	assert_int_equal(lu_vm_op_start(a, LU_VM_PREPARE, UPDATE, 0, on_done, &o), 0);
	while (o.calls == 0)
		assert_true(sd_event_run(ev, 20000000) > 0);
	assert_int_equal(o.r, -EPERM);
	expect(strstr(o.what, "VM web1: its memory file") && strstr(o.what, "belongs to VM web2"), "%s", o.what);
	lu_vm_disconnect(a);
	why = mock_end(m);
	expect(!why, "%s", why);
	snprintf(path, sizeof(path), "%s/vm", pkernfs);
	assert_int_equal(access(path, F_OK), -1);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(test_prepare, setup, teardown),
	};

	if (argc > 1)
		schema_file = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
