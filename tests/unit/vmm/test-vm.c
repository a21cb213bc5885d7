// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The registry, and the operations against a scripted QEMU whose commands are judged
 * by the recorded schema of a real one. What a well-behaved QEMU does is tested with a
 * real one (test-real-qemu.c); here are the others.
 *
 *	test-vm QMP-COMMANDS.json
 */
#include <sys/vfs.h>

#include "fixture.h"

/* --- registry --- */

static void test_load(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_vm *a, *vm;

	put("vms.d/a.json", definition("a", UUID_A, "/a"));
	put("vms.d/b.json", definition("b", UUID_B, "/b"));
	put("vms.d/bad.json", "{\"version\": 1, \"name\": \"bad\"}");
	put("vms.d/other.json", definition("x", "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c000c", "/x"));
	put("vms.d/twin.json", definition("twin", UUID_A, "/twin"));
	put("vms.d/twinsock.json", definition("twinsock", "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c000d", "/b"));
	put("vms.d/ignored.txt", "hello");
	put("vms.d/.hidden.json", "hello");
	expect(lu_vms_load(vms, at("vms.d"), &e) == 0, "%s", e.what);
	assert_int_equal(lu_vms_count(vms), 6);
	a = lu_vms_find(vms, UUID_A);
	assert_ptr_equal(a, lu_vms_find(vms, "a"));
	assert_null(lu_vm_error(a));
	assert_string_equal(lu_vm_qmp(a), "/a");
	for (const char **p = (const char *[]){ "bad", "other", "twin", "twinsock", NULL }; *p; p++) {
		vm = lu_vms_find(vms, *p);
		expect(vm && lu_vm_error(vm) && lu_vm_error(vm)->what, "%s", *p);
		assert_null(lu_vm_uuid(vm));
	}
	assert_non_null(strstr(lu_vm_error(lu_vms_find(vms, "twin"))->what, "uuid is that of VM a"));
	assert_non_null(strstr(lu_vm_error(lu_vms_find(vms, "bad"))->what, "bad.json"));

	/* the same again keeps entries; a removed one goes and its twin can load now; one from the bus stays */
	put("bus", "");
	assert_int_equal(lu_vms_add(vms, definition("bus", "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c000e", "/bus"), &vm, &e),
			 0);
	assert_int_equal(lu_vms_load(vms, at("vms.d"), &e), 0);
	assert_ptr_equal(lu_vms_find(vms, "a"), a);
	unlink(at("vms.d/a.json"));
	put("vms.d/bad.json", definition("bad", "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c000f", "/bad"));
	assert_int_equal(lu_vms_load(vms, at("vms.d"), &e), 0);
	assert_null(lu_vms_find(vms, "a"));
	assert_null(lu_vm_error(lu_vms_find(vms, "bad")));
	assert_ptr_equal(lu_vms_find(vms, "bus"), vm);
	assert_int_equal(lu_vms_load(vms, at("vms.d"), &e), 0);
	assert_null(lu_vm_error(lu_vms_find(vms, "twin")));
	assert_int_equal(lu_vms_load(vms, at("nowhere"), &e), 0);
	assert_int_equal(lu_vms_count(vms), 1);
}

static void test_add_remove(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT, e2 = LU_ERROR_INIT, e3 = LU_ERROR_INIT;
	struct lu_vm *vm;

	assert_int_equal(lu_vms_add(vms, definition("b", "6A1D3A5E-0F0F-4B6E-9D5E-2F6F8F1C000A", "/b"), &vm, &e), 0);
	assert_string_equal(lu_vm_uuid(vm), UUID_A); /* one spelling, it becomes a path */
	assert_int_equal(lu_vms_add(vms, definition("a", UUID_B, "/a"), NULL, &e), 0);
	assert_string_equal(lu_vm_name(lu_vms_first(vms)), "a");
	assert_string_equal(lu_vm_name(lu_vm_next(lu_vms_first(vms))), "b");
	assert_int_equal(lu_vms_add(vms, definition("a", "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c000c", "/c"), NULL, &e),
			 -EEXIST);
	assert_int_equal(lu_vms_add(vms, "{", NULL, &e2), -EBADMSG);
	assert_int_equal(lu_vms_remove(vms, UUID_B, &e3), 0);
	assert_int_equal(lu_vms_remove(vms, "a", &e3), -ENOENT);
	assert_int_equal(lu_vms_count(vms), 1);
}

/* --- operations --- */

/* Saving fails in each way; then the guest is let run and everything is as before. */
static void test_save_fails(void **state)
{
	static const struct {
		const char *script;
		int r;
		const char *word;
		bool dead;
	} cases[] = {
		{ "expect query-migrate\nreply {\"status\": \"failed\", \"error-desc\": \"No space left on device\"}\n",
		  -EIO, "No space left", false },
		{ "expect query-migrate\nreply {\"status\": \"active\"}\nexpect query-migrate\nreply {\"status\": \"cancelled\"}\n",
		  -EIO, "cancelled", false },
		{ "expect query-migrate\nerror GenericError out of order\n", -EREMOTEIO, "out of order", false },
		{ "expect query-migrate\nclose\naccept\nhello\n", -ECONNRESET, "closed the connection", true },
		{ "expect query-migrate\nraw {\"return\": {\nclose\naccept\nhello\n", -ECONNRESET,
		  "closed the connection", true },
		{ "expect query-migrate\nsend 42\nclose\naccept\nhello\n", -EBADMSG, "does not talk QMP", true },
		/* QEMU says that it is done, but there is nothing in the file */
		{ "expect query-migrate\nreply {\"status\": \"completed\"}\n", -ENODATA, "state file", false },
	};

	mock_schema(schema_file);
	teardown_vms(NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(lu_saved_clear) struct lu_saved saved = { 0 };
		char script[4096];
		struct outcome o;
		struct mock *m;
		struct lu_vm *vm;
		const char *why;

		setup_vms(NULL);
		vm = new_vm();
		snprintf(script, sizeof(script), "%s%s%s%s%s%s%swait", PREPARE, PAUSE, SAVE, cases[i].script,
			 i == 0 ? RESUME("postmigrate") : RESUME("paused"), "expect remove-fd\nreply {}\n", UNPREPARE);
		m = mock_start(at("q"), script);
		expect(run_op(vm, LU_VM_PREPARE, 0, &o) == 0, "case %zu: %s", i, o.what);
		assert_int_equal(read_saved(&saved), 0);
		assert_true(saved.running && !saved.complete && !strcmp(saved.mode, "normal"));
		expect(run_op(vm, LU_VM_PAUSE, 0, &o) == 0, "case %zu: %s", i, o.what);
		expect(run_op(vm, LU_VM_SAVE, 0, &o) == cases[i].r, "case %zu: %d %s", i, o.r, o.what);
		expect(strstr(o.what, cases[i].word), "case %zu: %s", i, o.what);
		expect(strstr(o.what, "VM mock"), "case %zu: %s", i, o.what);
		lu_saved_clear(&saved);
		assert_int_equal(read_saved(&saved), 0);
		assert_false(saved.complete);
		expect(run_op(vm, LU_VM_RESUME, 0, &o) == 0, "case %zu: %s", i, o.what);
		assert_int_equal(lu_vm_facts(vm)->state, LU_VM_RUNNING);
		expect(run_op(vm, LU_VM_UNPREPARE, 0, &o) == 0, "case %zu: %s", i, o.what);
		assert_int_equal(access(at("pkernfs/vm/" UUID_A), F_OK), -1);
		lu_vm_disconnect(vm);
		why = mock_end(m);
		expect(!why, "case %zu: %s", i, why);
		teardown_vms(NULL);
	}
	setup_vms(NULL);
}

/* It hangs while saving: the operation ends by its limit, the way back ends the migration first. */
static void test_save_hangs(void **state)
{
	struct mock *m;
	struct lu_vm *vm = new_vm();
	struct outcome o;
	const char *why;

	mock_schema(schema_file);
	m = mock_start(
		at("q"),
		PREPARE PAUSE SAVE "expect query-migrate\nsleep 400\nreplyto 10 {\"status\": \"active\"}\n" STATUS(
			"finish-migrate") "expect query-migrate\nreply {\"status\": \"active\"}\nexpect migrate_cancel\nreply {}\n"
					  "expect query-migrate\nreply {\"status\": \"cancelling\"}\nexpect query-migrate\nreply {\"status\": \"cancelled\"}\n" STATUS(
						  "finish-migrate")
						  STATUS("postmigrate") "expect cont\nreply {}\nexpect announce-self\nerror GenericError no network\n" STATUS(
							  "running") "expect remove-fd\nreply {}\nwait");
	expect(run_op(vm, LU_VM_PREPARE, 0, &o) == 0, "%s", o.what);
	expect(run_op(vm, LU_VM_PAUSE, 0, &o) == 0, "%s", o.what);
	assert_int_equal(run_op(vm, LU_VM_SAVE, 200, &o), -ETIMEDOUT);
	expect(run_op(vm, LU_VM_RESUME, 0, &o) == 0, "%s", o.what);
	lu_vm_disconnect(vm);
	why = mock_end(m);
	expect(!why, "%s", why);
}

/* Between PREPARE and PAUSE somebody paused the guest: it is not ours to let run again. */
static void test_paused_meanwhile(void **state)
{
	_cleanup_(lu_saved_clear) struct lu_saved saved = { 0 };
	struct mock *m;
	struct lu_vm *vm = new_vm();
	struct outcome o;
	const char *why;

	mock_schema(schema_file);
	m = mock_start(at("q"), PREPARE STATUS("paused") STATUS("paused") "expect query-migrate\nreply {}\n" STATUS(
					"paused") STATUS("paused") "wait");
	expect(run_op(vm, LU_VM_PREPARE, 0, &o) == 0, "%s", o.what);
	expect(run_op(vm, LU_VM_PAUSE, 0, &o) == 0, "%s", o.what);
	assert_int_equal(read_saved(&saved), 0);
	assert_false(saved.running);
	expect(run_op(vm, LU_VM_RESUME, 0, &o) == 0, "%s", o.what);
	assert_int_equal(lu_vm_facts(vm)->state, LU_VM_PAUSED);
	lu_vm_disconnect(vm);
	why = mock_end(m);
	expect(!why, "%s", why);
}

static void test_other_update(void **state)
{
	struct mock *m;
	struct lu_vm *vm = new_vm();
	struct outcome o = { 0 };
	const char *why;

	mock_schema(schema_file);
	m = mock_start(at("q"), PREPARE "wait");
	expect(run_op(vm, LU_VM_PREPARE, 0, &o) == 0, "%s", o.what);
	o = (struct outcome){ 0 };
	assert_int_equal(lu_vm_op_start(vm, LU_VM_PAUSE, OTHER, 0, on_done, &o), 0);
	assert_int_equal(lu_vm_op_start(vm, LU_VM_PAUSE, OTHER, 0, on_done, &o), -EBUSY);
	while (o.calls == 0)
		sd_event_run(ev, 5000000);
	assert_int_equal(o.r, -ENOENT);
	/* and its undo does not touch what is not its own */
	o = (struct outcome){ 0 };
	assert_int_equal(lu_vm_op_start(vm, LU_VM_UNPREPARE, OTHER, 0, on_done, &o), 0);
	while (o.calls == 0)
		sd_event_run(ev, 5000000);
	assert_int_equal(o.r, 0);
	assert_int_equal(access(at("pkernfs/vm/" UUID_A "/saved.json"), F_OK), 0);
	lu_vm_disconnect(vm);
	why = mock_end(m);
	expect(!why, "%s", why);
}

static void test_dead_qemu(void **state)
{
	struct lu_vm *vm = new_vm();
	struct mock *m;
	struct outcome o;

	mock_schema(schema_file);
	m = mock_start(at("q"), PREPARE PAUSE "close");
	expect(run_op(vm, LU_VM_PREPARE, 0, &o) == 0, "%s", o.what);
	expect(run_op(vm, LU_VM_PAUSE, 0, &o) == 0, "%s", o.what);
	(void)mock_end(m);
	unlink(at("q"));
	assert_int_equal(run_op(vm, LU_VM_RESUME, 0, &o), -ENOENT);
	assert_int_equal(lu_vm_facts(vm)->state, LU_VM_UNREACHABLE);
	/* as long as it lives, the next try needs the record */
	expect(run_op(vm, LU_VM_UNPREPARE, 0, &o) == 0, "%s", o.what);
	assert_int_equal(access(at("pkernfs/vm/" UUID_A), F_OK), 0);
	end_qemu(vm);
	/* its settings died with it; the files go all the same */
	expect(run_op(vm, LU_VM_UNPREPARE, 0, &o) == 0, "%s", o.what);
	assert_int_equal(access(at("pkernfs/vm/" UUID_A), F_OK), -1);
	assert_int_equal(run_op(vm, LU_VM_PROBE, 0, &o), -ENOENT);
}

static void test_silent(void **state)
{
	struct lu_vm *vm = new_vm();
	struct mock *m = mock_start(at("q"), "wait");
	struct outcome o;

	assert_int_equal(run_op(vm, LU_VM_PROBE, 200, &o), -ETIMEDOUT);
	lu_vm_disconnect(vm);
	(void)mock_end(m);
}

static void test_cancel(void **state)
{
	struct lu_vm *vm = new_vm();
	struct mock *m =
		mock_start(at("q"), "hello\nexpect query-status\nsleep 50\nreply {\"status\": \"running\"}\nwait");
	struct outcome o = { 0 };

	assert_int_equal(lu_vm_op_start(vm, LU_VM_PROBE, NULL, 0, on_done, &o), 0);
	for (int i = 0; i < 10; i++)
		sd_event_run(ev, 5000);
	assert_int_equal(lu_vms_remove(vms, "mock", NULL), -EBUSY);
	lu_vm_op_cancel(vm);
	assert_false(lu_vm_op_busy(vm));
	for (int i = 0; i < 10; i++)
		sd_event_run(ev, 20000);
	assert_int_equal(o.calls, 0);
	lu_vm_disconnect(vm);
	(void)mock_end(m);
}

static bool has_reason(const struct lu_vm_facts *f, const char *word)
{
	for (size_t k = 0; k < f->reasons.n; k++)
		if (strstr(f->reasons.list[k].what, word))
			return true;
	return false;
}

/* No test machine has hugetlbfs mounted: a file "huge/…" is told to be on it. */
int __real_statfs64(const char *path, struct statfs64 *ret);
int __wrap_statfs64(const char *path, struct statfs64 *ret);
int __wrap_statfs64(const char *path, struct statfs64 *ret)
{
	if (!strstr(path, "/huge/"))
		return __real_statfs64(path, ret);
	*ret = (struct statfs64){ .f_type = 0x958458f6 };
	return 0;
}

/* Each verdict of PROBE that QEMU's answers lead to. */
static void test_verdicts(void **state)
{
#define HEAD(_status)                                                                    \
	"hello\n" STATUS(_status) "expect query-uuid\nreply {\"UUID\": \"" UUID_A        \
				  "\"}\nexpect qom-get\nreply \"pc-q35-11.1-machine\"\n" \
				  "expect qom-list\nreply "
#define RAM(_path, _share, _size, _discard)                                                                              \
	"[{\"name\": \"type\", \"type\": \"string\"}, {\"name\": \"ram0\", \"type\": \"child<memory-backend-file>\"}]\n" \
	"expect qom-get\nreply \"" _path "\"\nexpect qom-get\nreply " _share "\nexpect qom-get\nreply " _size            \
	"\nexpect qom-get\nreply " _discard "\n"
#define TAIL(_devices, _migrate)                                                                                      \
	"expect qom-list\nreply " _devices "\nexpect qom-list\nreply []\n"                                            \
	"expect query-migrate-parameters\nreply {\"mode\": \"normal\"}\n" DISKS("[]", "[]") RUNTIME("[]", "[]", "[]") \
		ROMS("[]", FLASH) "expect query-migrate\nreply " _migrate "\n"
#define GOOD RAM("@/pkernfs/ram", "true", "1", "false")
	static const struct {
		const char *script, *word; /* NULL: updatable */
		const char *more;          /* another reason of the same VM */
	} cases[] = {
		{ HEAD("running") GOOD TAIL("[]", "{}"), NULL },
		{ HEAD("paused") GOOD TAIL("[]", "{\"status\": \"failed\"}"), NULL },
		{ HEAD("postmigrate") GOOD TAIL("[]", "{}"), "has not run since" },
		{ HEAD("io-error") GOOD TAIL("[]", "{}"), "io-error" },
		{ HEAD("running") RAM("@/pkernfs/ram", "false", "1", "false") TAIL("[]", "{}"), "share=off" },
		{ HEAD("running") RAM("@/pkernfs/ram", "true", "1", "true") TAIL("[]", "{}"), "discard-data" },
		{ HEAD("running") RAM("@/pkernfs/ram", "true", "2", "false") TAIL("[]", "{}"), "less than" },
		{ HEAD("running") RAM("@/pkernfs", "true", "1", "false") TAIL("[]", "{}"), "not below" },
		{ HEAD("running") RAM("@/pkernfs/vm", "true", "1", "false") TAIL("[]", "{}"), "No such file" },
		{ HEAD("running") RAM("@/pkernfs/.", "true", "1", "false") TAIL("[]", "{}"),
		  "unnamed file in directory" },
		{ HEAD("running") RAM("/dev/shm/x", "true", "1", "false") TAIL("[]", "{}"), "not below" },
		{ HEAD("running") "[{\"name\": \"pc.ram\", \"type\": \"child<memory-backend-ram>\"}]\n" TAIL("[]",
													     "{}"),
		  "memory-backend-ram" },
		{ HEAD("running") "[]\n" TAIL("[]", "{}"), "none of its memory" },
		{ HEAD("running") GOOD TAIL("[{\"name\": \"hostdev0\", \"type\": \"child<vfio-pci>\"}]", "{}"),
		  "plugged in after the start" },
		{ HEAD("running") GOOD TAIL("[{\"name\": \"fs\", \"type\": \"child<vhost-user-fs-pci>\"}]", "{}"),
		  "vhost-user" },
		{ HEAD("running") GOOD TAIL("[]", "{\"status\": \"active\"}"), "under way" },
		{ HEAD("running") RAM("@/huge/ram", "true", "1", "false") TAIL("[]", "{}"), "huge pages of hugetlbfs" },
		{ HEAD("running") "[{\"name\": \"m\", \"type\": \"child<memory-backend-memfd>\"}]\nexpect qom-get\nreply true\n" TAIL(
			  "[]", "{}"),
		  "of huge pages (hugetlb)", "none of its memory" },
		{ HEAD("running") "[{\"name\": \"m\", \"type\": \"child<memory-backend-memfd>\"}]\nexpect qom-get\nreply false\n" TAIL(
			  "[]", "{}"),
		  "memory-backend-memfd, which" },
		/* one reason does not hide another */
		{ HEAD("io-error") RAM("/dev/shm/x", "false", "1", "true") TAIL("[]", "{}"), "io-error", "not below" },
		{ HEAD("running") RAM("/dev/shm/x", "false", "1", "true")
			  TAIL("[{\"name\": \"fs\", \"type\": \"child<vhost-user-fs-pci>\"}]", "{}"),
		  "discard-data", "vhost-user" },
		{ HEAD("running") RAM("/dev/shm/x", "false", "1", "true")
			  TAIL("[{\"name\": \"h\", \"type\": \"child<vfio-ap>\"}]", "{}"),
		  "share=off", "of a kind that can't be carried over" },
		{ HEAD("running") GOOD TAIL(
			  "[]",
			  "{\"blocked-reasons\": [\"x\"]}") "expect query-migrate-parameters\nreply {\"mode\": \"normal\"}\n"
							    "expect migrate-set-parameters\nreply {}\nexpect query-migrate\nreply {\"blocked-reasons\": [\"nvme says no\"]}\n"
							    "expect migrate-set-parameters\nreply {}\n",
		  "nvme says no" },
		{ HEAD("running") GOOD TAIL(
			  "[]",
			  "{\"blocked-reasons\": [\"vhost\"]}") "expect query-migrate-parameters\nreply {\"mode\": \"normal\"}\n"
								"expect migrate-set-parameters\nreply {}\nexpect query-migrate\nreply {}\nexpect migrate-set-parameters\nreply {}\n",
		  NULL },
	};

	mock_schema(schema_file);
	teardown_vms(NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct lu_vm_facts *f;
		char script[4096], *p = script;
		struct outcome o;
		struct mock *m;
		struct lu_vm *vm;
		const char *why;

		setup_vms(NULL);
		vm = new_vm();
		for (const char *s = cases[i].script; *s; s++)
			p += *s == '@' ? sprintf(p, "%s", test_dir) : sprintf(p, "%c", *s);
		strcpy(p, "wait");
		m = mock_start(at("q"), script);
		expect(run_op(vm, LU_VM_PROBE, 0, &o) == 0, "case %zu: %s", i, o.what);
		lu_vm_disconnect(vm);
		why = mock_end(m);
		expect(!why, "case %zu: %s", i, why);
		f = lu_vm_facts(vm);
		expect(f->updatable == !cases[i].word, "case %zu: %zu reasons", i, f->reasons.n);
		expect(!cases[i].word || has_reason(f, cases[i].word), "case %zu: %s", i, f->reasons.list[0].what);
		expect(!cases[i].more || has_reason(f, cases[i].more), "case %zu: %s", i, f->reasons.list[0].what);
		assert_int_equal(f->pid, getpid());
		assert_int_equal(access(at("pkernfs/vm"), F_OK), -1); /* nothing was changed */
		teardown_vms(NULL);
	}
	setup_vms(NULL);
}

static void test_too_old(void **state)
{
	static const struct {
		const char *version;
		bool old;
	} cases[] = {
		{ "9.2.4", true },   { "10.0.2", true },  { "10.1.99", true }, { "10.2.0", false },
		{ "11.1.3", false }, { "12.0.0", false }, { NULL, false },     { "odd", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect(lu_probe_too_old(cases[i].version) == cases[i].old, "%s", cases[i].version);
}

static void test_saved_are_found(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct mock *m;
	struct lu_vm *vm = new_vm();
	struct outcome o;

	m = mock_start(at("q"), PREPARE "wait");
	expect(run_op(vm, LU_VM_PREPARE, 0, &o) == 0, "%s", o.what);
	lu_vm_disconnect(vm);
	(void)mock_end(m);
	assert_int_equal(lu_vms_remove(vms, "mock", &e), 0);
	assert_int_equal(lu_vms_add_saved(vms, OTHER, &e), 0);
	assert_int_equal(lu_vms_count(vms), 0);
	assert_int_equal(lu_vms_add_saved(vms, UPDATE, &e), 0);
	vm = lu_vms_find(vms, "mock");
	assert_non_null(vm);
	assert_null(lu_vm_error(vm));
	assert_string_equal(lu_vm_uuid(vm), UUID_A);
	assert_int_equal(lu_vms_add_saved(vms, UPDATE, &e), 0);
	assert_int_equal(lu_vms_count(vms), 1);
	/* a damaged record is an entry that says so */
	assert_int_equal(lu_vms_remove(vms, "mock", &e), 0);
	put("pkernfs/vm/" UUID_A "/launch.json", "{}");
	assert_int_equal(lu_vms_add_saved(vms, UPDATE, &e), 0);
	vm = lu_vms_find(vms, "mock");
	assert_non_null(vm);
	assert_non_null(lu_vm_error(vm));
}

/* What systemd kept for the daemon before this one, in any order, also of a VM that is not known yet. */
static void test_stored(void **state)
{
	_cleanup_free_ char *list = NULL;
	char want[64];
	int first = open("/dev/null", O_RDONLY | O_CLOEXEC), second = open("/dev/null", O_RDONLY | O_CLOEXEC),
	    third = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct lu_vm *vm;

	assert_int_equal(lu_vms_take_stored(vms, second, "cpr-" UUID_A "-1"), 1);
	assert_int_equal(lu_vms_take_stored(vms, first, "cpr-" UUID_A "-0"), 1);
	assert_int_equal(lu_vms_take_stored(vms, first, "cpr-" UUID_A "-0x"), 0);
	assert_int_equal(lu_vms_take_stored(vms, first, "cpr-" UUID_A "-4097"), 0);
	assert_int_equal(lu_vms_take_stored(vms, first, "stored"), 0);
	assert_int_equal(lu_vms_take_stored(vms, first, "cpr-" UUID_A "-elsewhere"), 0);
	assert_int_equal(lu_vms_take_stored(vms, third, "cpr-" UUID_A "-state"), 1);
	vm = new_vm();
	snprintf(want, sizeof(want), "%d:%d,%d", (int)getpid(), first, second);
	assert_int_equal(lu_vm_list_fds(vm, &list), 1);
	assert_string_equal(list, want);
	lu_vm_let_go(vm);
	assert_int_equal(fcntl(first, F_GETFD), -1);
	assert_int_equal(fcntl(second, F_GETFD), -1);
	assert_int_equal(fcntl(third, F_GETFD), -1);
	free(list);
	list = NULL;
	assert_int_equal(lu_vm_list_fds(vm, &list), 0);
}

int main(int argc, char **argv)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup_vms, teardown_vms)
	static const struct CMUnitTest tests[] = {
		T(test_load),
		T(test_add_remove),
		T(test_save_fails),
		T(test_save_hangs),
		T(test_paused_meanwhile),
		T(test_other_update),
		T(test_stored),
		T(test_dead_qemu),
		T(test_silent),
		T(test_cancel),
		T(test_verdicts),
		T(test_saved_are_found),
		cmocka_unit_test(test_too_old),
	};

	/* as this process plays QEMU, too, a bare word would be its disk */
	if (argc != 3)
		return 2;
	schema_file = argv[2];
	return cmocka_run_group_tests(tests, setup, teardown);
}
