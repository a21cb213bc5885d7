// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices.json and the journal beside it: examples and decoder say the same, what is written is read again, a damaged
 * file and one that does not go with the other is noticed, and each thing that a schema can't say is refused.
 *
 *	test-devices EXAMPLES
 */
#include <dirent.h>
#include <sys/stat.h>
#include <zlib.h>

#include "test.h"

#include "devices-internal.h"

#define VM_UUID "11111111-2222-4333-8444-555555555555"

static const char *examples;

static int load(const char *path, struct lu_devices *ret, struct lu_error *e)
{
	int r = lu_json_load(AT_FDCWD, path, LU_DEVICES_JSON_MAX, &lu_devices_table, ret, e);

	if (r < 0)
		return r;
	r = lu_devices_check(ret, e);
	if (r < 0)
		lu_devices_clear(ret);
	return r;
}

static void test_examples(void **state)
{
	DIR *list = opendir(examples);
	struct dirent *entry;
	int n = 0;

	expect(list, "%s", examples);
	while ((entry = readdir(list))) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		bool want = strncmp(entry->d_name, "invalid-", 8) != 0;
		struct lu_devices d;
		char path[1024];
		int r;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", examples, entry->d_name);
		r = load(path, &d, &e);
		expect((r == 0) == want, "%s: %s", path, e.what ?: "accepted");
		if (r == 0)
			lu_devices_clear(&d);
		n++;
	}
	closedir(list);
	assert_true(n > 15);
}

static void load_whole(struct lu_devices *ret)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	char path[1024];

	snprintf(path, sizeof(path), "%s/older-1-two-devices.json", examples);
	expect(load(path, ret, &e) == 0, "%s", e.what);
}

struct scratch {
	char path[64];
	int fd;
};

static void scratch_new(struct scratch *s)
{
	assert_non_null(test_mkdtemp(s->path));
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(s->fd >= 0);
}

static void scratch_free(struct scratch *s)
{
	unlinkat(s->fd, LU_DEVICES_FILE, 0);
	unlinkat(s->fd, LU_CALLS_FILE, 0);
	close(s->fd);
	assert_int_equal(rmdir(s->path), 0);
}

/* Written, and what it takes to read it. */
struct written {
	struct scratch s;
	struct lu_devices d;
	uint64_t size;
	uint32_t crc;
};

static void write_sample(struct written *w)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	load_whole(&w->d);
	scratch_new(&w->s);
	expect(lu_devices_write(w->s.fd, VM_UUID, &w->d, &w->size, &w->crc, &e) == 0, "%s", e.what);
}

static void written_free(struct written *w)
{
	lu_devices_clear(&w->d);
	scratch_free(&w->s);
}

static void refused(const struct written *w, int code, const char *text)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_devices back;
	struct lu_calls calls;
	int r = lu_devices_read(w->s.fd, VM_UUID, w->size, w->crc, &back, &calls, &e);

	expect(r == code, "%s: %d %s", text, r, e.what ?: "");
	expect(strstr(e.what, text), "%s: %s", text, e.what);
}

static void test_files(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *text = NULL, *again = NULL, *bytes = NULL;
	struct lu_devices back;
	struct lu_calls calls;
	struct written w;
	struct stat st;
	size_t n;

	load_whole(&w.d);
	scratch_new(&w.s);
	refused(&w, -ENOENT, "devices.json: can't read it");
	expect(lu_devices_write(w.s.fd, VM_UUID, &w.d, &w.size, &w.crc, &e) == 0, "%s", e.what);
	assert_int_equal(fstatat(w.s.fd, LU_DEVICES_FILE, &st, 0), 0);
	assert_true((uint64_t)st.st_size == w.size && (st.st_mode & 07777) == 0600);
	assert_int_equal(fstatat(w.s.fd, LU_CALLS_FILE, &st, 0), 0);
	assert_true((st.st_mode & 07777) == 0600);
	expect(lu_devices_read(w.s.fd, VM_UUID, w.size, w.crc, &back, &calls, &e) == 0, "%s", e.what);
	assert_int_equal(lu_json_encode_text(&lu_devices_table, &w.d, &text, &e), 0);
	assert_int_equal(lu_json_encode_text(&lu_devices_table, &back, &again, &e), 0);
	assert_string_equal(text, again);
	/* no call is left in it */
	assert_true(!strstr(text, "iova") && !strstr(text, "msix") && !strstr(text, "ram/web1"));
	assert_true(back.n_iommufds == 0 && back.n_memories == 0 && back.n_fds == w.d.n_fds);
	assert_true(calls.n == w.d.journal->calls && calls.sum == w.d.journal->sum && calls.stamp.tsc);
	lu_devices_clear(&back);
	lu_calls_clear(&calls);

	/* another size, another sum, one byte that is still JSON */
	w.size++;
	refused(&w, -EBADMSG, "damaged");
	w.size--;
	w.crc++;
	refused(&w, -EBADMSG, "damaged");
	w.crc--;
	assert_int_equal(lu_read_file(w.s.fd, LU_DEVICES_FILE, LU_DEVICES_JSON_MAX, &bytes, &n), 0);
	*strstr(bytes, "hostdev0") = 'H';
	assert_int_equal(lu_write_file(w.s.fd, LU_DEVICES_FILE, bytes, n, 0600), 0);
	refused(&w, -EBADMSG, "damaged");

	/* what could not be read back is not written, and what was there stays */
	w.d.iommufds[0].devices[0].hwpt = 999;
	assert_int_equal(lu_devices_write(w.s.fd, VM_UUID, &w.d, &w.size, &w.crc, &e), -EBADMSG);
	assert_int_equal(fstatat(w.s.fd, LU_DEVICES_FILE, &st, 0), 0);
	written_free(&w);
}

/* What the luctld before wrote has no journal: the calls are derived from it, and they are the same. */
static void test_version_1(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *bytes = NULL;
	_cleanup_calls_ struct lu_calls calls, now;
	struct lu_devices back;
	struct written w;
	char path[1024];
	size_t n;

	write_sample(&w);
	expect(lu_devices_read(w.s.fd, VM_UUID, w.size, w.crc, &back, &now, &e) == 0, "%s", e.what);
	lu_devices_clear(&back);
	assert_int_equal(unlinkat(w.s.fd, LU_CALLS_FILE, 0), 0);
	snprintf(path, sizeof(path), "%s/older-1-two-devices.json", examples);
	assert_int_equal(lu_read_file(AT_FDCWD, path, LU_DEVICES_JSON_MAX, &bytes, &n), 0);
	assert_int_equal(lu_write_file(w.s.fd, LU_DEVICES_FILE, bytes, n, 0600), 0);
	w.size = n;
	w.crc = (uint32_t)crc32_z(crc32(0, NULL, 0), (const unsigned char *)bytes, n);
	expect(lu_devices_read(w.s.fd, VM_UUID, w.size, w.crc, &back, &calls, &e) == 0, "%s", e.what);
	assert_null(back.journal);
	assert_int_equal(lu_devices_open_log(w.s.fd, &back, &calls), -ENODATA);
	expect(lu_calls_same(&now, &calls, &e) == 0, "%s", e.what);
	lu_devices_clear(&back);
	written_free(&w);
}

/* --- a journal that does not go with the document --- */

static void journal_gone(struct written *w)
{
	assert_int_equal(unlinkat(w->s.fd, LU_CALLS_FILE, 0), 0);
}

static void journal_cut(struct written *w)
{
	struct stat st;
	int fd = openat(w->s.fd, LU_CALLS_FILE, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0 && fstat(fd, &st) == 0 && ftruncate(fd, st.st_size - 1) == 0);
	close(fd);
}

static void journal_flipped(struct written *w)
{
	int fd = openat(w->s.fd, LU_CALLS_FILE, O_RDWR | O_CLOEXEC);
	char c;

	assert_true(fd >= 0 && pread(fd, &c, 1, 1000) == 1);
	c ^= 4;
	assert_int_equal(pwrite(fd, &c, 1, 1000), 1);
	close(fd);
}

/* Whole and sealed, and yet another one */
static void other_journal(struct written *w, const char *vm, const char *boot_id, void (*change)(struct lu_calls *c))
{
	_cleanup_calls_ struct lu_calls c;
	_cleanup_free_ void *data = NULL;
	size_t n;

	assert_int_equal(lu_devices_plan(&w->d, &c), 0);
	strcpy(c.vm, vm);
	strcpy(c.boot_id, boot_id);
	if (change)
		change(&c);
	assert_int_equal(lu_calls_encode(&c, &data, &n, NULL), 0);
	assert_int_equal(lu_write_file(w->s.fd, LU_CALLS_FILE, data, n, 0600), 0);
}

static void other_vm(struct written *w)
{
	other_journal(w, "11111111-2222-4333-8444-000000000000", w->d.journal->boot_id, NULL);
}

static void other_boot(struct written *w)
{
	other_journal(w, VM_UUID, "99999999-aaaa-4bbb-8ccc-dddddddddddd", NULL);
}

static void other_time(struct written *w)
{
	other_journal(w, VM_UUID, w->d.journal->boot_id, NULL);
}

/* --- and one that was committed with what can't be --- */

static void put_document(struct written *w)
{
	_cleanup_free_ char *text = NULL;

	assert_int_equal(lu_json_encode_text(&lu_devices_table, &w->d, &text, NULL), 0);
	w->size = strlen(text);
	w->crc = (uint32_t)crc32_z(crc32(0, NULL, 0), (const unsigned char *)text, w->size);
	assert_int_equal(lu_write_file(w->s.fd, LU_DEVICES_FILE, text, w->size, 0600), 0);
}

static void commit(struct written *w, void (*change)(struct lu_calls *c))
{
	_cleanup_calls_ struct lu_calls c;
	_cleanup_free_ char *data = NULL;
	size_t n;

	other_journal(w, VM_UUID, w->d.journal->boot_id, change);
	assert_int_equal(lu_read_file(w->s.fd, LU_CALLS_FILE, 1 << 20, &data, &n), 0);
	assert_int_equal(lu_calls_decode(data, n, "journal", &c, NULL), 0);
	w->d.journal->calls = c.n;
	w->d.journal->sum = c.sum;
	put_document(w);
}

static struct lu_call *find(struct lu_calls *c, enum lu_call_kind kind)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->list[i].kind == kind)
			return &c->list[i];
	abort();
}

static void swap_calls(struct lu_calls *c)
{
	struct lu_call *call = find(c, LU_CALL_HWPT), copy = *call;

	*call = call[1];
	call[1] = copy;
}

static void drop_bind(struct lu_calls *c)
{
	struct lu_call *call = find(c, LU_CALL_BIND);

	free(call->name);
	memmove(call, call + 1, (size_t)(c->list + --c->n - call) * sizeof(*call));
}

static void rename_eventfd(struct lu_calls *c)
{
	struct lu_call *call = find(c, LU_CALL_EVENTFD);

	for (size_t i = 0; i < c->n; i++)
		if (c->list[i].file == call->file)
			c->list[i].file_id = 77;
}

static void swapped(struct written *w)
{
	commit(w, swap_calls);
}

static void left_out(struct written *w)
{
	commit(w, drop_bind);
}

static void renamed(struct written *w)
{
	commit(w, rename_eventfd);
}

static void without_session(struct written *w)
{
	free(w->d.session);
	w->d.session = NULL;
	commit(w, NULL);
}

static void one_file_less(struct written *w)
{
	w->d.n_fds--;
	put_document(w);
	w->d.n_fds++;
}

static void test_other_journals(void **state)
{
	static const struct {
		void (*change)(struct written *w);
		int code;
		const char *text;
	} wrong[] = {
		{ journal_gone, -ENOENT, "journal: can't read it" },
		{ journal_cut, -EBADMSG, "cut off" },
		{ journal_flipped, -EBADMSG, "journal: record" },
		{ other_vm, -EBADMSG, "journal: it is of VM 11111111-2222-4333-8444-000000000000, not of this one" },
		{ other_boot, -EBADMSG, "journal: it was written in boot 99999999-aaaa" },
		{ other_time, -EBADMSG, "journal: it is not the one that was committed" },
		{ swapped, -EBADMSG, "there is no table or address space" },
		{ left_out, -EBADMSG, "journal: call" },
		{ renamed, -EBADMSG, "journal: no call makes file hostdev0_kvm_interrupt, id 0" },
		{ without_session, -EBADMSG, "journal: it has memfds" },
		{ one_file_less, -EBADMSG, "journal: its calls open 11 files of QEMU, devices.json has 10" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct written w;

		write_sample(&w);
		wrong[i].change(&w);
		refused(&w, wrong[i].code, wrong[i].text);
		written_free(&w);
	}
}

/* The kernel tells something else right before the jump */
static void test_still(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_devices_iommufd *u;
	struct written w;

	write_sample(&w);
	u = &w.d.iommufds[0];
	expect(lu_devices_still(w.s.fd, VM_UUID, w.size, w.crc, &w.d, &e) == 0, "%s", e.what);
	w.d.fds[4].eventfd->count = 9; /* interrupts come all the time */
	expect(lu_devices_still(w.s.fd, VM_UUID, w.size, w.crc, &w.d, &e) == 0, "%s", e.what);
	u->ioas[0].areas[1].length -= 4096;
	assert_int_equal(lu_devices_still(w.s.fd, VM_UUID, w.size, w.crc, &w.d, &e), -EBUSY);
	expect(strstr(e.what, "iommufd0 of device 0000:00:04.0, 0000:00:05.0: mapping 267386880 bytes"), "%s", e.what);
	lu_error_clear(&e);
	u->ioas[0].areas[1].length += 4096;
	u->devices[0].n_irqs--;
	assert_int_equal(lu_devices_still(w.s.fd, VM_UUID, w.size, w.crc, &w.d, &e), -EBUSY);
	expect(strstr(e.what, "device 0000:00:04.0: setting up its"), "%s", e.what);
	lu_error_clear(&e);
	u->devices[0].n_irqs++;
	journal_cut(&w);
	assert_int_equal(lu_devices_still(w.s.fd, VM_UUID, w.size, w.crc, &w.d, &e), -EBADMSG);
	written_free(&w);
}

static void test_feature(void **state)
{
	struct written w;

	load_whole(&w.d);
	scratch_new(&w.s);
	free(w.d.features);
	w.d.features = calloc(2, sizeof(char *));
	assert_non_null(w.d.features);
	w.d.features[0] = strdup("tea");
	assert_int_equal(lu_devices_write(w.s.fd, VM_UUID, &w.d, &w.size, &w.crc, NULL), 0);
	refused(&w, -EOPNOTSUPP, "feature \"tea\"");
	written_free(&w);
}

/* --- what a schema can't say; numbers are those of older-1-two-devices.json --- */

#define U (d->iommufds[0])
#define SAY(_name, _text, ...)                  \
	static void _name(struct lu_devices *d) \
	{                                       \
		__VA_ARGS__;                    \
	}
#define CASES(X)                                                                                             \
	X(memory_both, "memory 0: what it has", d->memories[0].token = 1)                                    \
	X(memory_neither, "memory 1: what it has", d->memories[1].token = LU_DEVICES_NONE)                   \
	X(memory_twice, "memories 0 and 2 are the same", d->memories[2].inode = d->memories[0].inode)        \
	X(no_session, "there is no session", free(d->session); d->session = NULL)                            \
	X(fd_kind, "file pc.bios: what it has", d->fds[3].kind = LU_FD_EVENTFD)                              \
	X(fd_memory, "there is no memory 3", d->fds[3].memory = 3)                                           \
	X(fd_twice, "hostdev0_interrupt, id 0: is there twice", d->fds[6].id = 0)                            \
	X(iommufd_fd, "file 1 is no iommufd", U.fd = 1)                                                      \
	X(iommufd_beyond, "is no iommufd", U.fd = d->n_fds)                                                  \
	X(iommufd_none, "file iommufd0: nothing says", d->n_iommufds = 0)                                    \
	X(device_fd, "file 0 is no vfio-device", U.devices[0].fd = 0)                                        \
	X(device_fd_twice, "file hostdev0 is described twice", U.devices[1].fd = U.devices[0].fd)            \
	X(device_twice, "device 0000:00:04.0 is there twice", strcpy(U.devices[1].bdf, U.devices[0].bdf))    \
	X(id_twice, "id 2 is there twice", U.devices[0].id = 2)                                              \
	X(id_zero, "id 0 is there twice", U.devices[0].id = 0)                                               \
	X(id_high, "id 4097 is there twice", U.ioas[0].id = 4097)                                            \
	X(hwpt_ioas, "HWPT 3: its IOAS or a device", U.hwpts[0].ioas = 1)                                    \
	X(hwpt_device, "HWPT 5: its IOAS or a device", U.devices[1].hwpt = 3)                                \
	X(hwpt_flags, "HWPT 3: can't be made with flags 0x4", U.hwpts[0].flags = 4)                          \
	X(hwpt_auto, "HWPT 5: can't be made with flags 0x2", U.hwpts[1].flags = 2)                           \
	X(device_hwpt, "device 0000:00:05.0: there is no HWPT 2|HWPT 5: its IOAS", U.devices[1].hwpt = 2)    \
	X(area_memory, "is in no memory", U.ioas[0].areas[0].memory = 3)                                     \
	X(area_offset, "is in no memory", U.ioas[0].areas[0].offset = 1ULL << 40)                            \
	X(area_length, "IOAS 2: area at 0x", U.ioas[0].areas[0].length = 1ULL << 40)                         \
	X(area_wraps, "is not in order", U.ioas[0].areas[1].iova = UINT64_MAX - 1)                           \
	X(area_overlaps, "area at 0xfff is not in order", U.ioas[0].areas[1].iova = 0xfff)                   \
	X(area_dead, "neither read nor written", U.ioas[0].areas[0].read = U.ioas[0].areas[0].write = false) \
	X(range, "allowed range 0 is not in order", U.ioas[0].allowed[0].last = 0)                           \
	X(irq_fd, "no such eventfd", U.devices[0].irqs[0].trigger = 0)                                       \
	X(irq_beyond, "no such eventfd", U.devices[0].irqs[0].trigger = d->n_fds)                            \
	X(irq_unmask, "msix can't be masked", U.devices[0].irqs[0].unmask = 4)                               \
	X(irq_masked, "msix can't be masked", U.devices[0].irqs[0].masked = true)                            \
	X(irq_twice, "msix 0 is there twice", U.devices[0].irqs[1].vector = 0)                               \
	X(irq_vector, "intx has no vector 1", U.devices[1].irqs[0].vector = 1)                               \
	X(irq_two, "both msix and intx", U.devices[0].irqs[1].index = 0; U.devices[0].irqs[1].vector = 0)    \
	X(cpr_name, "device hostdeW0 of the CPR state has no file", d->cpr_devices[0].name[6] = 'W')

CASES(SAY)

#define ROW(_name, _text, ...) { #_name, _name, _text },
static const struct {
	const char *name;
	void (*change)(struct lu_devices *d);
	const char *text;
} cases[] = { CASES(ROW) };

static bool has_one_of(const char *text, const char *parts)
{
	char copy[256], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", parts);
	for (char *p = strtok_r(copy, "|", &save); p; p = strtok_r(NULL, "|", &save))
		if (strstr(text, p))
			return true;
	return false;
}

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct lu_devices d;
		size_t n;
		int r;

		load_whole(&d);
		n = d.n_iommufds;
		cases[i].change(&d);
		r = lu_devices_check(&d, &e);
		d.n_iommufds = n; /* to be freed */
		expect(r == -EBADMSG, "%s: %d", cases[i].name, r);
		expect(has_one_of(e.what, cases[i].text), "%s: %s", cases[i].name, e.what);
		expect(!strncmp(e.what, "devices.json: ", 14), "%s: %s", cases[i].name, e.what);
		lu_devices_clear(&d);
	}
}

static void test_bdf(void **state)
{
	static const char *const good[] = { "0000:00:04.0", "10000:e1:1f.7", "deadbeef:ff:00.1" };
	static const char *const bad[] = { "",
					   "00:04.0",
					   "000:00:04.0",
					   "000000000:00:04.0",
					   "0000:00:04.8",
					   "0000:00:04",
					   "0000:00:04.",
					   "0000:00:04.00",
					   "0000:0:04.0",
					   "0000:00:4.0",
					   "0000:000:04.0",
					   "0000-00:04.0",
					   "0000:00:04,0",
					   "0000:0G:04.0",
					   "0000:00:0A.0",
					   "../../etc/04.0" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		expect(lu_bdf_valid(good[i]), "%s", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect(!lu_bdf_valid(bad[i]), "%s", bad[i]);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),       cmocka_unit_test(test_files),
		cmocka_unit_test(test_feature),        cmocka_unit_test(test_version_1),
		cmocka_unit_test(test_other_journals), cmocka_unit_test(test_still),
		cmocka_unit_test(test_cases),          cmocka_unit_test(test_bdf),
	};

	examples = argc == 2 ? argv[1] : ".";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
