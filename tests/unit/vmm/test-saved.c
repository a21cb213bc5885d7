// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What becomes of a saved state, who may let a guest run, and which process is its QEMU, when QEMU dies, refuses, is
 * silent or in other hands; against the scripted QEMU of test-vm.c.
 *
 *	test-saved QMP-COMMANDS.json
 */
#include <sys/mman.h>

#include "fixture.h"

#define SAVED_FILES SAVE "save\nexpect query-migrate\nreply {\"status\": \"completed\"}\n"
#define PREPARE_PAUSED                                                                                                           \
	"hello\n" STATUS(                                                                                                        \
		"paused") "expect query-migrate-capabilities\nreply [{\"capability\": \"x-ignore-shared\", \"state\": false}]\n" \
			  "expect query-migrate-parameters\nreply {\"mode\": \"normal\"}\nexpect query-cpus-fast\nreply []\n"    \
			  "expect migrate-set-capabilities\nreply {}\nexpect migrate-set-parameters\nreply {}\n"
#define SETTLED STATUS("postmigrate") "expect query-migrate\nreply {\"status\": \"completed\"}\n" STATUS("postmigrate")

static struct mock *mock_saving(const char *before, const char *after)
{
	char script[8192];

	mock_schema(schema_file);
	snprintf(script, sizeof(script), "%s" SAVED_FILES "%s", before, after);
	return mock_start(at("q"), script);
}

static void save_it(struct lu_vm *vm)
{
	struct outcome o;

	expect(run_op(vm, LU_VM_PREPARE, 0, &o) == 0, "%s", o.what);
	expect(run_op(vm, LU_VM_PAUSE, 0, &o) == 0, "%s", o.what);
	expect(run_op(vm, LU_VM_SAVE, 0, &o) == 0, "%s", o.what);
}

static int restores;

static int failing_restore(void *context, struct lu_vm *vm, lu_vm_restored_t done, void *userdata, struct lu_error *e)
{
	restores++;
	return lu_error_set(e, -EIO, NULL, "neither the new nor the old QEMU takes it over");
}

static bool state_there(void)
{
	_cleanup_(lu_saved_clear) struct lu_saved saved = { 0 };

	return read_saved(&saved) == 0 && saved.complete && access(at("pkernfs/vm/" UUID_A "/state"), F_OK) == 0;
}

/* Paused by its user: undo may be tried as often as one likes. */
static void test_paused_stays_paused(void **state)
{
	struct lu_vm *vm = new_vm();
	struct outcome o;
	const char *why;
	struct mock *m =
		mock_saving(PREPARE_PAUSED STATUS("paused"),
			    SETTLED STATUS("postmigrate") "expect remove-fd\nreply {}\n" UNPREPARE SETTLED STATUS(
				    "postmigrate") "wait");

	save_it(vm);
	expect(run_op(vm, LU_VM_RESUME, 0, &o) == 0, "%s", o.what);
	assert_int_equal(lu_vm_facts(vm)->state, LU_VM_PAUSED);
	expect(run_op(vm, LU_VM_UNPREPARE, 0, &o) == 0, "%s", o.what);
	expect(run_op(vm, LU_VM_RESUME, 0, &o) == 0, "%s", o.what);
	assert_int_equal(lu_vm_facts(vm)->state, LU_VM_PAUSED);
	expect(run_op(vm, LU_VM_UNPREPARE, 0, &o) == 0, "%s", o.what);
	lu_vm_disconnect(vm);
	why = mock_end(m);
	expect(!why, "%s", why);
}

/* Migrated away by somebody between PREPARE and PAUSE: it runs elsewhere. */
static void test_moved_away(void **state)
{
	struct lu_vm *vm = new_vm();
	struct outcome o;
	const char *why;
	struct mock *m;

	mock_schema(schema_file);
	m = mock_start(at("q"), PREPARE STATUS("postmigrate") SETTLED STATUS("postmigrate") UNPREPARE "wait");
	expect(run_op(vm, LU_VM_PREPARE, 0, &o) == 0, "%s", o.what);
	assert_int_equal(run_op(vm, LU_VM_PAUSE, 0, &o), -EBUSY);
	expect(strstr(o.what, "postmigrate"), "%s", o.what);
	expect(run_op(vm, LU_VM_RESUME, 0, &o) == 0, "%s", o.what);
	assert_int_equal(lu_vm_facts(vm)->state, LU_VM_PAUSED);
	expect(run_op(vm, LU_VM_UNPREPARE, 0, &o) == 0, "%s", o.what);
	lu_vm_disconnect(vm);
	why = mock_end(m);
	expect(!why, "%s", why);
}

/* A daemon after the one that paused it knows only the record. */
static void test_run_by_next_daemon(void **state)
{
	struct lu_vm *vm = new_vm();
	struct outcome o;
	const char *why;
	struct mock *m;

	mock_schema(schema_file);
	m = mock_start(at("q"),
		       PREPARE PAUSE STATUS("paused") "expect query-migrate\nreply {}\n" STATUS(
			       "paused") "expect cont\nreply {}\nexpect announce-self\nreply {}\n" STATUS("running")
			       STATUS("paused") "expect query-migrate\nreply {}\n" STATUS("paused")
				       STATUS("paused") "wait");
	expect(run_op(vm, LU_VM_PREPARE, 0, &o) == 0, "%s", o.what);
	expect(run_op(vm, LU_VM_PAUSE, 0, &o) == 0, "%s", o.what);
	vm->stopped = false;
	expect(run_op(vm, LU_VM_RESUME, 0, &o) == 0, "%s", o.what);
	assert_int_equal(lu_vm_facts(vm)->state, LU_VM_RUNNING);
	/* its user has paused it meanwhile, and undo is tried once more */
	expect(run_op(vm, LU_VM_RESUME, 0, &o) == 0, "%s", o.what);
	assert_int_equal(lu_vm_facts(vm)->state, LU_VM_PAUSED);
	lu_vm_disconnect(vm);
	why = mock_end(m);
	expect(!why, "%s", why);
}

/* QEMU is gone and no other takes it up: what was saved is all that is left of the guest. */
static void test_state_is_kept(void **state)
{
	struct lu_vm *vm = new_vm();
	struct outcome o;
	struct mock *m = mock_saving(PREPARE PAUSE, "close");

	vms->restore = failing_restore;
	restores = 0;
	save_it(vm);
	(void)mock_end(m);
	unlink(at("q"));
	end_qemu(vm);
	for (int i = 1; i <= 2; i++) {
		assert_int_equal(run_op(vm, LU_VM_RESUME, 0, &o), -EIO);
		assert_int_equal(restores, i);
		assert_true(state_there());
		expect(run_op(vm, LU_VM_UNPREPARE, 0, &o) == 0, "%s", o.what);
		assert_true(state_there());
	}
	/* nor does the next update write over it */
	o = (struct outcome){ 0 };
	assert_int_equal(lu_vm_op_start(vm, LU_VM_PREPARE, OTHER, 0, on_done, &o), 0);
	while (o.calls == 0)
		sd_event_run(ev, 5000000);
	assert_int_equal(o.r, -EEXIST);
	assert_true(state_there());
}

/* QEMU refuses to let it run: it has not run, so its state is worth what it was; and the record stays for the next try. */
static void test_refused_cont(void **state)
{
	struct lu_vm *vm = new_vm();
	struct outcome o;
	const char *why;
	struct mock *m = mock_saving(PREPARE PAUSE, SETTLED
				     "expect cont\nerror GenericError Failed to get write lock\n" UNPREPARE SETTLED
				     "expect cont\nreply {}\nexpect announce-self\nreply {}\n" STATUS(
					     "running") "expect remove-fd\nreply {}\n" UNPREPARE "wait");

	save_it(vm);
	assert_int_equal(run_op(vm, LU_VM_RESUME, 0, &o), -EREMOTEIO);
	expect(strstr(o.what, "lock"), "%s", o.what);
	assert_true(state_there());
	expect(run_op(vm, LU_VM_UNPREPARE, 0, &o) == 0, "%s", o.what);
	assert_true(state_there());
	expect(run_op(vm, LU_VM_RESUME, 0, &o) == 0, "%s", o.what);
	assert_false(state_there());
	expect(run_op(vm, LU_VM_UNPREPARE, 0, &o) == 0, "%s", o.what);
	assert_int_equal(access(at("pkernfs/vm/" UUID_A), F_OK), -1);
	lu_vm_disconnect(vm);
	why = mock_end(m);
	expect(!why, "%s", why);
}

/* The name of its socket is gone, QEMU is not: no second one on the same memory, and nothing is lost. */
static void test_silent_qemu_lives(void **state)
{
	struct lu_vm *vm = new_vm();
	struct outcome o;
	struct mock *m = mock_saving(PREPARE PAUSE, "close");

	vms->restore = failing_restore;
	restores = 0;
	save_it(vm);
	(void)mock_end(m);
	unlink(at("q"));
	assert_int_equal(run_op(vm, LU_VM_RESUME, 0, &o), -EHOSTUNREACH);
	expect(strstr(o.what, "lives"), "%s", o.what);
	assert_int_equal(restores, 0);
	assert_true(state_there());
	/* a daemon after this one has no descriptor of it, but finds who has its memory */
	void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, open(at("pkernfs/ram"), O_RDONLY | O_CLOEXEC), 0);

	assert_true(map != MAP_FAILED);
	lu_vm_drop_process(vm);
	assert_int_equal(run_op(vm, LU_VM_RESUME, 0, &o), -EHOSTUNREACH);
	assert_int_equal(restores, 0);
	munmap(map, 4096);
	assert_int_equal(run_op(vm, LU_VM_RESUME, 0, &o), -EIO);
	assert_int_equal(restores, 1);
	assert_true(state_there());
}

/* The QEMU that was saved has ended, and somebody has started one by hand on the same memory: no second one beside that. */
static void test_started_by_hand(void **state)
{
	struct lu_vm *vm = new_vm();
	struct mock *m = mock_saving(PREPARE PAUSE, "close");
	int fd = open(at("pkernfs/ram"), O_RDONLY | O_CLOEXEC);
	void *map;

	save_it(vm);
	(void)mock_end(m);
	unlink(at("q"));
	end_qemu(vm);
	assert_int_equal(lu_vm_process_lives(vm), 0);
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	assert_int_equal(lu_vm_process_lives(vm), getpid());
	munmap(map, 4096);
	assert_int_equal(lu_vm_process_lives(vm), 0);
	close(fd);
}

/* Whatever becomes of its definition, a state that waits is found, and its unit is kept from starting on its memory. */
static void test_waiting_is_found(void **state)
{
	static const char *const with_unit = "{\"version\": 1, \"name\": \"a\", \"uuid\": \"" UUID_A
					     "\", \"qmp\": \"%s\", \"unit\": \"%s\"}";
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_vm *vm = new_vm(), *old;
	char text[1024];
	struct mock *m = mock_saving(PREPARE PAUSE, "close");

	save_it(vm);
	(void)mock_end(m);
	unlink(at("q"));
	end_qemu(vm);
	/* the definition is gone: who had a pointer to it still may look at it, and what is held of it goes on being held */
	old = lu_vm_ref(vm);
	assert_int_equal(lu_vms_remove(vms, "mock", &e), 0);
	assert_int_equal(lu_vms_load(vms, at("vms.d"), &e), 0);
	vm = lu_vms_find(vms, "mock");
	assert_non_null(vm);
	assert_ptr_not_equal(vm, old);
	assert_string_equal(lu_vm_name(old), "mock");
	lu_vm_unref(old);
	assert_string_equal(lu_vm_uuid(vm), UUID_A);
	assert_true(vm->pidfd >= 0);
	assert_false(lu_vm_lives(vm));
	/* its name is in use by another */
	put("vms.d/mock.json", definition("mock", UUID_B, "/b"));
	assert_int_equal(lu_vms_load(vms, at("vms.d"), &e), 0);
	assert_string_equal(lu_vm_uuid(lu_vms_find(vms, "mock")), UUID_B);
	vm = lu_vms_find(vms, UUID_A);
	assert_non_null(vm);
	assert_null(lu_vm_error(vm));
	assert_string_equal(lu_vm_name(vm), UUID_A);
	/* its socket is */
	put("vms.d/mock.json", definition("mock", UUID_B, at("q")));
	assert_int_equal(lu_vms_load(vms, at("vms.d"), &e), 0);
	assert_int_equal(lu_vms_count(vms), 2);
	vm = lu_vms_find(vms, UUID_A);
	assert_non_null(lu_vm_error(vm));
	assert_string_equal(lu_vm_uuid(vm), UUID_A);
	/* it is defined again, under another name, with a unit; and that is edited */
	unlink(at("vms.d/mock.json"));
	snprintf(text, sizeof(text), with_unit, at("q"), "a.service");
	assert_int_equal(lu_vms_load(vms, at("vms.d"), &e), 0);
	put("vms.d/a.json", text);
	assert_int_equal(lu_vms_load(vms, at("vms.d"), &e), 0);
	assert_int_equal(lu_vms_count(vms), 1);
	assert_string_equal(lu_vm_uuid(lu_vms_find(vms, "a")), UUID_A);
	assert_int_equal(access(at("resumed/a.service"), F_OK), 0);
	snprintf(text, sizeof(text), with_unit, "/other", "b.service");
	put("vms.d/a.json", text);
	assert_int_equal(lu_vms_load(vms, at("vms.d"), &e), 0);
	assert_int_equal(lu_vms_count(vms), 1);
	assert_string_equal(lu_vm_qmp(lu_vms_find(vms, UUID_A)), "/other");
	assert_int_equal(access(at("resumed/b.service"), F_OK), 0);
	/* a record that can't be read waits, too */
	unlink(at("vms.d/a.json"));
	put("pkernfs/vm/" UUID_A "/saved.json", "{");
	assert_int_equal(lu_vms_load(vms, at("vms.d"), &e), 0);
	vm = lu_vms_find(vms, UUID_A);
	assert_non_null(vm);
	assert_non_null(lu_vm_error(vm));
	/* a guest that runs has its state no more */
	unlink(at("pkernfs/vm/" UUID_A "/saved.json"));
	assert_int_equal(lu_vms_remove(vms, UUID_A, &e), 0);
	assert_int_equal(lu_vms_load(vms, at("vms.d"), &e), 0);
	assert_int_equal(lu_vms_count(vms), 0);
}

/* Who came since the definitions were read. */
static void test_changed(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *first = NULL, *second = NULL, *third = NULL, *none = NULL;
	struct mock *m;

	put("vms.d/a.json", definition("a", UUID_A, at("q")));
	put("vms.d/bad.json", "{");
	assert_int_equal(lu_vms_load(vms, at("vms.d"), &e), 0);
	assert_int_equal(lu_vms_changed(vms, at("vms.d"), &none), 0);
	assert_null(none);
	put("vms.d/b.json", definition("b", UUID_B, "/b"));
	assert_int_equal(lu_vms_changed(vms, at("vms.d"), &first), 1);
	assert_string_equal(first, "b.json");
	unlink(at("vms.d/b.json"));
	put("vms.d/a.json", definition("a", UUID_A, "/other"));
	assert_int_equal(lu_vms_changed(vms, at("vms.d"), &second), 1);
	assert_string_equal(second, "a.json");
	unlink(at("vms.d/a.json"));
	assert_int_equal(lu_vms_changed(vms, at("vms.d"), &third), 1);
	assert_string_equal(third, at("vms.d/a.json"));

	assert_false(lu_vm_listens(lu_vms_find(vms, "a")));
	assert_false(lu_vm_listens(lu_vms_find(vms, "bad")));
	m = mock_start(at("q"), "wait");
	assert_true(lu_vm_listens(lu_vms_find(vms, "a")));
	(void)mock_end(m);
}

/* The last look before the jump. */
static void test_verify(void **state)
{
	static const struct {
		const char *script;
		int r;
		const char *word;
		bool other_process;
	} cases[] = {
		{ STATUS("postmigrate") "expect qom-list\nreply []\n" DISKS("[]", "[]"), 0, "" },
		{ STATUS("finish-migrate") STATUS("postmigrate") "expect qom-list\nreply []\n" DISKS("[]", "[]"), 0,
		  "" },
		{ STATUS("postmigrate") "expect qom-list\nreply []\n" DISKS(
			  "[]", "[{\"device\": \"cd0\", \"inserted\": {\"node-name\": \"other\"}}]"),
		  -EBUSY, "has changed since the check: front cd0" },
		{ STATUS("postmigrate") "expect qom-list\nreply []\n" DISKS("[]", "[{\"device\": 1}]"), -EBADMSG,
		  "can't be read" },
		{ STATUS("running"), -EBUSY, "not as it was" },
		{ STATUS("paused"), -EBUSY, "not as it was" },
		/* let run and saved again by somebody else */
		{ "send {\"event\": \"RESUME\", \"timestamp\": {\"seconds\": 1, \"microseconds\": 1}}\n" STATUS(
			  "postmigrate"),
		  -EBUSY, "has run" },
		{ STATUS("postmigrate") "expect qom-list\nreply [{\"name\": \"late\", \"type\": \"child<e1000>\"}]\n",
		  -EBUSY, "plugged" },
		{ STATUS("postmigrate"), -ESTALE, "was process", true },
		{ "close\naccept\nhello\n", -ECONNRESET, "" },
	};

	teardown_vms(NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct outcome o;
		struct lu_vm *vm;
		struct mock *m;
		char script[2048];

		setup_vms(NULL);
		vm = new_vm();
		vm->plugged = strdup("");
		vm->blocks = strdup("");
		snprintf(script, sizeof(script), "%swait", cases[i].script);
		m = mock_saving(PREPARE PAUSE, script);
		save_it(vm);
		if (cases[i].other_process)
			end_qemu(vm);
		expect(run_op(vm, LU_VM_VERIFY, 0, &o) == cases[i].r, "case %zu: %d %s", i, o.r, o.what);
		expect(strstr(o.what, cases[i].word), "case %zu: %s", i, o.what);
		expect(state_there(), "case %zu", i);
		lu_vm_disconnect(vm);
		(void)mock_end(m);
		teardown_vms(NULL);
	}
	setup_vms(NULL);
}

int main(int argc, char **argv)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup_vms, teardown_vms)
	static const struct CMUnitTest tests[] = {
		T(test_paused_stays_paused), T(test_moved_away),   T(test_run_by_next_daemon),
		T(test_state_is_kept),       T(test_refused_cont), T(test_silent_qemu_lives),
		T(test_waiting_is_found),    T(test_changed),      T(test_verify),
		T(test_started_by_hand),
	};

	if (argc != 2)
		return 2;
	schema_file = argv[1];
	return cmocka_run_group_tests(tests, setup, teardown);
}
