// SPDX-License-Identifier: GPL-2.0-or-later
/* What calls mean together: each way in which a list can't be executed is refused, with the call by number and name. */
#include "test.h"

#include "sample-calls.h"

#define FIND(_kind, _n) sample_find(c, LU_CALL_##_kind, _n)

/* Of the n-th call of a kind: taken out; or exchanged with the one behind it */
static void leave_out(struct lu_calls *c, struct lu_call *call)
{
	size_t i = (size_t)(call - c->list);

	free(call->name);
	free(call->list);
	memmove(call, call + 1, (c->n - i - 1) * sizeof(*call));
	c->n--;
}

static void swap(struct lu_call *call)
{
	struct lu_call copy = call[0];

	call[0] = call[1];
	call[1] = copy;
}

static void rename_file(struct lu_call *call, const char *name)
{
	free(call->name);
	call->name = strdup(name);
	assert_non_null(call->name);
}

#define SAY(_name, _text, ...)                \
	static void _name(struct lu_calls *c) \
	{                                     \
		__VA_ARGS__;                  \
	}
#define CASES(X)                                                                                                    \
	X(path_up, "no path below", rename_file(FIND(OPEN_FILE, 0), "../etc/passwd"))                               \
	X(path_absolute, "no path below", rename_file(FIND(OPEN_FILE, 0), "/etc/passwd"))                           \
	X(path_empty, "no path below", rename_file(FIND(OPEN_FILE, 0), ""))                                         \
	X(memory_empty, "memory of 0 bytes", FIND(MEMFD, 0)->args[LU_MEMFD_SIZE] = 0)                               \
	X(dup_of, "file pc.bios: making it: file 2 is no memory", FIND(DUP, 0)->args[0] = 2)                        \
	X(eventfd_flags, "flags 0x2 of an eventfd", FIND(EVENTFD, 0)->args[0] = 2)                                  \
	X(no_name, "it has no name", rename_file(FIND(EVENTFD, 0), ""))                                             \
	X(name_twice, "is there twice", rename_file(FIND(EVENTFD, 2), FIND(EVENTFD, 1)->name))                      \
	X(other_name, "file 6 is not iommufd1, id 0", rename_file(FIND(MAP, 0), "iommufd1"))                        \
	X(file_beyond, "is not iommufd0", FIND(MAP, 0)->file = 99)                                                  \
	X(file_later, "is not hostdev0", FIND(MAP, 0)->file = S_DEVICE0; rename_file(FIND(MAP, 0), "hostdev0"))     \
	X(file_kind, "file 3 is no iommufd", FIND(MAP, 0)->file = S_INTERRUPT; FIND(MAP, 0)->file_id = 2;           \
	  rename_file(FIND(MAP, 0), "hostdev0_interrupt"))                                                          \
	X(id_taken, "it would get id 3, not 4", FIND(IOAS, 2)->expect = 4)                                          \
	X(id_left_out, "it would get id 3, not 4", leave_out(c, FIND(IOAS, 2)))                                     \
	X(ids_swapped, "it would get id 1, not 2", swap(FIND(IOAS, 0)))                                             \
	X(destroy_none, "no address space of this id", FIND(DESTROY, 1)->args[0] = 1)                               \
	X(destroy_used, "it is in use", FIND(DESTROY, 3)->args[0] = 3)                                              \
	X(destroy_left_out, "making HWPT 2: it would get id 7, not 2", leave_out(c, FIND(DESTROY, 2)))              \
	X(option_unknown, "option 2 with value 0", FIND(OPTION, 0)->args[LU_OPTION_OPTION] = 2)                     \
	X(option_ioas, "there is no such IOAS", FIND(OPTION, 0)->args[LU_OPTION_IOAS] = 7)                          \
	X(option_process, "it comes after objects",                                                                 \
	  memcpy(FIND(OPTION, 0)->args, ((uint64_t[]){ 0, 0, 1 }), 3 * sizeof(uint64_t)))                           \
	X(option_late, "it comes after areas", FIND(OPTION, 0)->args[LU_OPTION_IOAS] = 3; swap(FIND(OPTION, 0));    \
	  swap(FIND(OPTION, 0)))                                                                                    \
	X(allow_ioas, "there is no such IOAS", FIND(ALLOW, 0)->args[LU_ALLOW_IOAS] = 7)                             \
	X(allow_order, "range 1 is not in order", FIND(ALLOW, 0)->list[2] = 5)                                      \
	X(map_ioas, "mapping 134217728 bytes of ram/web1/ram0 at 0x0 into IOAS 7: there is no such IOAS",           \
	  FIND(MAP, 0)->args[LU_MAP_IOAS] = 7)                                                                      \
	X(map_file, "file 3 is no memory", FIND(MAP, 0)->args[LU_MAP_FILE] = S_INTERRUPT)                           \
	X(map_none, "is no memory", FIND(MAP, 0)->args[LU_MAP_FILE] = LU_CALLS_NO_FILE)                             \
	X(map_flags, "flags 0x6 can't be", FIND(MAP, 0)->args[LU_MAP_FLAGS] = 6)                                    \
	X(map_dead, "flags 0x1 can't be", FIND(MAP, 0)->args[LU_MAP_FLAGS] = 1)                                     \
	X(map_beyond, "beyond its file", FIND(MAP, 2)->args[LU_MAP_OFFSET] += 4096)                                 \
	X(map_long, "beyond its file", FIND(MAP, 0)->args[LU_MAP_LENGTH] = UINT64_MAX)                              \
	X(map_empty, "beyond its file", FIND(MAP, 0)->args[LU_MAP_LENGTH] = 0)                                      \
	X(map_wraps, "not in the order", FIND(MAP, 1)->args[LU_MAP_IOVA] = UINT64_MAX - 1)                          \
	X(map_overlaps, "not in the order", FIND(MAP, 1)->args[LU_MAP_IOVA] = 0x7ffffff)                            \
	X(maps_swapped, "not in the order", swap(FIND(MAP, 0)))                                                     \
	X(map_late, "a table was made of it before", for (int i = 0; i < 11; i++) swap(FIND(MAP, 2)))               \
	X(device_twice, "call 19 opens the same", FIND(OPEN_DEVICE, 1)->args[0] = 4 << 3)                           \
	X(bind_none, "there is no such iommufd", FIND(BIND, 0)->args[0] = S_RAM)                                    \
	X(bind_twice, "device 0000:00:04.0: binding it to iommufd0: it is bound already",                           \
	  FIND(BIND, 1)->file = S_DEVICE0;                                                                          \
	  rename_file(FIND(BIND, 1), "hostdev0"))                                                                   \
	X(bind_left_out, "binding it to iommufd0: it would get id 1, not 5", leave_out(c, FIND(BIND, 0)))           \
	X(hwpt_flags, "flags 0x4 need more", FIND(HWPT, 0)->args[LU_TABLE_FLAGS] = 4)                               \
	X(hwpt_ioas, "there is no such IOAS", FIND(HWPT, 0)->args[LU_TABLE_IOAS] = 5)                               \
	X(hwpt_device, "there is no such device", FIND(HWPT, 0)->args[LU_TABLE_DEVICE] = 3)                         \
	X(hwpt_left_out, "no table or address space 2", leave_out(c, FIND(HWPT, 0)))                                \
	X(attach_early, "no table or address space 2", swap(FIND(HWPT, 0)))                                         \
	X(attach_to, "it would end at 2", FIND(ATTACH, 0)->expect = 3)                                              \
	X(attach_id, "it would get id 6, not 7", FIND(ATTACH, 1)->expect = 7)                                       \
	X(attach_twice, "attached already", FIND(ATTACH, 1)->file = S_DEVICE0;                                      \
	  rename_file(FIND(ATTACH, 1), "hostdev0"))                                                                 \
	X(attach_left_out, "device 0000:00:05.0: setting up its INTx interrupts: it is not attached",               \
	  leave_out(c, FIND(ATTACH, 1)))                                                                            \
	X(never_attached, "device 0000:00:05.0: opening it: no call attaches it", leave_out(c, FIND(IRQS, 2));      \
	  leave_out(c, FIND(IRQS, 1)); leave_out(c, FIND(ATTACH, 1)))                                               \
	X(irq_file, "file 6 is no eventfd", FIND(IRQS, 0)->list[0] = S_IOMMUFD)                                     \
	X(irq_index, "no interrupt 5", FIND(IRQS, 0)->args[LU_IRQS_INDEX] = 5)                                      \
	X(irq_vectors, "no interrupt 0 with 3 vectors", FIND(IRQS, 0)->args[LU_IRQS_INDEX] = 0)                     \
	X(irq_flags, "flags 0x5 are not known", FIND(IRQS, 0)->args[LU_IRQS_FLAGS] = 5)                             \
	X(irq_twice, "were set up before", FIND(IRQS, 2)->args[LU_IRQS_FLAGS] = FIND(IRQS, 1)->args[LU_IRQS_FLAGS]) \
	X(irqs_swapped, "it can't be masked, or is not set up", swap(FIND(IRQS, 1)))                                \
	X(mask_msix, "it can't be masked", FIND(IRQS, 2)->args[LU_IRQS_INDEX] = 2)                                  \
	X(add_none, "that can't be added", FIND(ADD, 0)->args[0] = 0)                                               \
	X(add_max, "that can't be added", FIND(ADD, 0)->args[0] = UINT64_MAX)                                       \
	X(add_where, "it is no eventfd", FIND(ADD, 0)->file = S_RAM; FIND(ADD, 0)->file_id = 0;                     \
	  rename_file(FIND(ADD, 0), "ram/web1/ram0"))

CASES(SAY)

#define ROW(_name, _text, ...) { #_name, _name, _text },
static const struct {
	const char *name;
	void (*change)(struct lu_calls *c);
	const char *text;
} cases[] = { CASES(ROW) };

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		_cleanup_calls_ struct lu_calls c;
		int r;

		sample_calls(&c);
		expect(lu_calls_check(&c, "journal", &e) == 0, "%s", e.what);
		cases[i].change(&c);
		expect(lu_calls_index(&c, &e) == 0, "%s: %s", cases[i].name, e.what);
		r = lu_calls_check(&c, "journal", &e);
		expect(r == -EBADMSG, "%s: %d", cases[i].name, r);
		expect(strstr(e.what, cases[i].text), "%s: %s", cases[i].name, e.what);
		expect(!strncmp(e.what, "journal: call ", 14) && e.hint, "%s: %s", cases[i].name, e.what);
	}
}

/* Two devices at one IOAS: they end at one table of the kernel's own, or at two, where their IOMMUs differ. */
static void test_two_tables(void **state)
{
	for (uint32_t second = 2; second <= 6; second += 4) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		_cleanup_calls_ struct lu_calls c;

		sample_calls(&c);
		leave_out(&c, sample_find(&c, LU_CALL_HWPT, 0));
		sample_find(&c, LU_CALL_ATTACH, 0)->args[LU_ATTACH_PT] = 4;
		sample_find(&c, LU_CALL_ATTACH, 1)->expect = second;
		assert_int_equal(lu_calls_index(&c, &e), 0);
		expect(lu_calls_check(&c, "journal", &e) == 0, "%s", e.what);
	}
}

/* A device in a container that an iommufd stands in for. Ids: 1 IOAS, 2 device, 3 HWPT of the kernel's own */
static void container_calls(struct lu_calls *c)
{
	const uint64_t rw = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
	static const struct {
		enum lu_call_kind kind;
		uint32_t file;
		const char *name;
		uint32_t expect;
		uint64_t args[LU_CALL_ARGS_MAX];
	} rows[] = {
		{ LU_CALL_OPEN_FILE, 0, "ram/web1/ram0", 0, { 0x10000000, 77 } },
		{ LU_CALL_OPEN_IOMMU, 1, "container", 0, { 0 } },
		{ LU_CALL_OPTION, 1, "container", 0, { 0, IOMMU_OPTION_RLIMIT_MODE, 1 } },
		{ LU_CALL_IOAS, 1, "container", 1, { 0 } },
		{ LU_CALL_IOAS, 1, "container", 2, { 0 } },
		{ LU_CALL_IOAS, 1, "container", 3, { 0 } },
		{ LU_CALL_MAP, 1, "container", 0, { 1, rw, 0, 0x10000000, 0, 0 } },
		{ LU_CALL_STAND_IN, 1, "container", 0, { 1 } },
		{ LU_CALL_DESTROY, 1, "container", 0, { 3 } },
		{ LU_CALL_OPEN_GROUP, 2, "group", 0, { 4 << 3 } },
		{ LU_CALL_SET_CONTAINER, 2, "group", 0, { 1 } },
		{ LU_CALL_DESTROY, 1, "container", 0, { 2 } },
		{ LU_CALL_GET_DEVICE, 3, "0000:00:04.0", 2, { 4 << 3, 2, 3 } },
	};

	*c = LU_CALLS_INIT;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lu_call *call = lu_calls_add(c, rows[i].kind, rows[i].file, rows[i].name, 0);

		assert_non_null(call);
		call->expect = rows[i].expect;
		memcpy(call->args, rows[i].args, sizeof(call->args));
	}
}

#define CONTAINER_CASES(X)                                                                                 \
	X(option_value, "there is no such IOAS", FIND(OPTION, 0)->args[LU_OPTION_VALUE] = 2)               \
	X(option_after, "it comes after objects", swap(FIND(OPTION, 0)))                                   \
	X(stand_in_none, "there is no such IOAS", FIND(STAND_IN, 0)->args[0] = 4)                          \
	X(stand_in_left_out, "stands in for no container", leave_out(c, FIND(STAND_IN, 0)))                \
	X(container_none, "file 0 stands in for no container", FIND(SET_CONTAINER, 0)->args[0] = 0)        \
	X(container_left_out, "its group is in no container", leave_out(c, FIND(SET_CONTAINER, 0)))        \
	X(group_none, "there is no such group", FIND(GET_DEVICE, 0)->args[LU_GET_DEVICE_GROUP] = 1)        \
	X(group_of_other, "the group is another device's", FIND(OPEN_GROUP, 0)->args[LU_OPEN_GROUP_BDF]++) \
	X(device_id, "it would get id 2, not 4", FIND(GET_DEVICE, 0)->expect = 4)                          \
	X(table_id, "it would get id 3, not 5", FIND(GET_DEVICE, 0)->args[LU_GET_DEVICE_HWPT] = 5)         \
	X(device_id_kept, "it would get id 3, not 2", leave_out(c, FIND(DESTROY, 1)))                      \
	X(table_id_kept, "it would get id 4, not 3", leave_out(c, FIND(DESTROY, 0)))

CONTAINER_CASES(SAY)

static const struct {
	const char *name;
	void (*change)(struct lu_calls *c);
	const char *text;
} container_cases[] = { CONTAINER_CASES(ROW) };

static void test_container(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(container_cases); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		_cleanup_calls_ struct lu_calls c;
		int r;

		container_calls(&c);
		expect(lu_calls_index(&c, &e) == 0 && lu_calls_check(&c, "journal", &e) == 0, "%s", e.what);
		container_cases[i].change(&c);
		expect(lu_calls_index(&c, &e) == 0, "%s: %s", container_cases[i].name, e.what);
		r = lu_calls_check(&c, "journal", &e);
		expect(r == -EBADMSG && strstr(e.what, container_cases[i].text), "%s: %d, %s", container_cases[i].name,
		       r, e.what);
	}
}

/* Each call left out, each two neighbours swapped: what passes is only what the kernel or the seal has to find. */
static void test_each(void **state)
{
	size_t n = 0;

	for (int how = 0; how < 2; how++) {
		for (size_t i = 0; i + 1 < 33; i++) {
			_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
			_cleanup_calls_ struct lu_calls c;

			sample_calls(&c);
			assert_int_equal(c.n, 33);
			if (how)
				swap(&c.list[i]);
			else
				leave_out(&c, &c.list[i]);
			if (lu_calls_index(&c, &e) < 0 || lu_calls_check(&c, "journal", &e) < 0)
				expect(e.what, "call %zu", i);
			else
				n++;
		}
	}
	assert_true(n > 5 && n < 30);
}

static void test_same(void **state)
{
	_cleanup_calls_ struct lu_calls a, b;

	sample_calls(&a);
	sample_calls(&b);
	/* counts move by themselves */
	sample_find(&b, LU_CALL_ADD, 0)->args[0] = 99;
	assert_int_equal(lu_calls_same(&a, &b, NULL), 0);
	leave_out(&b, sample_find(&b, LU_CALL_ADD, 0));
	assert_int_equal(lu_calls_same(&a, &b, NULL), 0);
	assert_int_equal(lu_calls_same(&b, &a, NULL), 0);
	for (size_t i = 0; i < b.n; i++) {
		for (int how = 0; how < 3; how++) {
			_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
			_cleanup_calls_ struct lu_calls c;

			sample_calls(&c);
			if (how == 0)
				leave_out(&c, &c.list[i]);
			else if (how == 1)
				c.list[i].args[0]++;
			else if (c.list[i].n_list)
				c.list[i].list[0]++;
			else
				c.list[i].expect++;
			expect(lu_calls_same(&a, &c, &e) == -EBUSY, "call %zu, %d", i, how);
			expect(strstr(e.what, "the kernel tells something else now") && e.hint, "%s", e.what);
		}
	}
}

static void test_bdf(void **state)
{
	static const char *const good[] = { "0000:00:04.0", "10000:e1:1f.7", "deadbeef:ff:00.1" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		char text[24];

		lu_call_bdf(lu_call_bdf_number(good[i]), text);
		assert_string_equal(text, good[i]);
	}
}

static void test_reader(void **state)
{
	static const char with[] =
		"\0\1 luctl: executes journals of calls, version 1\n#luctl: executes calls of containers\n x",
			  older[] = "\0\1 luctl: executes journals of calls, version 1\n x",
			  without[] = "luctl: executes";

	assert_true(lu_calls_is_reader(with, sizeof(with)));
	assert_false(lu_calls_is_reader(older, sizeof(older)));
	assert_false(lu_calls_is_reader(without, sizeof(without)));
	assert_false(lu_calls_is_reader("", 0));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),  cmocka_unit_test(test_two_tables), cmocka_unit_test(test_container),
		cmocka_unit_test(test_each),   cmocka_unit_test(test_same),       cmocka_unit_test(test_bdf),
		cmocka_unit_test(test_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
