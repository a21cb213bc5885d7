// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices.json: examples and decoder say the same, what is written is read again, a damaged file is
 * noticed, and each thing that a schema can't say is refused.
 *
 *	test-devices EXAMPLES
 */
#include <dirent.h>
#include <sys/stat.h>

#include "test.h"

#include "devices-internal.h"

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

	snprintf(path, sizeof(path), "%s/valid-two-devices.json", examples);
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
	close(s->fd);
	assert_int_equal(rmdir(s->path), 0);
}

static void test_files(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *text = NULL, *again = NULL, *bytes = NULL;
	struct lu_devices d, back;
	struct scratch s;
	struct stat st;
	uint64_t size;
	uint32_t crc;
	size_t n;

	load_whole(&d);
	scratch_new(&s);
	assert_int_equal(lu_devices_read(s.fd, 0, 0, &back, &e), -ENOENT);
	lu_error_clear(&e);
	expect(lu_devices_write(s.fd, &d, &size, &crc, &e) == 0, "%s", e.what);
	assert_int_equal(fstatat(s.fd, LU_DEVICES_FILE, &st, 0), 0);
	assert_true((uint64_t)st.st_size == size && (st.st_mode & 07777) == 0600);
	expect(lu_devices_read(s.fd, size, crc, &back, &e) == 0, "%s", e.what);
	assert_int_equal(lu_json_encode_text(&lu_devices_table, &d, &text, &e), 0);
	assert_int_equal(lu_json_encode_text(&lu_devices_table, &back, &again, &e), 0);
	assert_string_equal(text, again);
	lu_devices_clear(&back);

	/* another size, another sum, one byte that is still JSON */
	assert_int_equal(lu_devices_read(s.fd, size + 1, crc, &back, &e), -EBADMSG);
	expect(strstr(e.what, "damaged"), "%s", e.what);
	lu_error_clear(&e);
	assert_int_equal(lu_devices_read(s.fd, size, crc + 1, &back, &e), -EBADMSG);
	lu_error_clear(&e);
	assert_int_equal(lu_read_file(s.fd, LU_DEVICES_FILE, LU_DEVICES_JSON_MAX, &bytes, &n), 0);
	*strstr(bytes, "hostdev0") = 'H';
	assert_int_equal(lu_write_file(s.fd, LU_DEVICES_FILE, bytes, n, 0600), 0);
	assert_int_equal(lu_devices_read(s.fd, size, crc, &back, &e), -EBADMSG);
	lu_error_clear(&e);

	/* what could not be read back is not written, and what was there stays */
	d.iommufds[0].devices[0].hwpt = 999;
	assert_int_equal(lu_devices_write(s.fd, &d, &size, &crc, &e), -EBADMSG);
	assert_int_equal(fstatat(s.fd, LU_DEVICES_FILE, &st, 0), 0);
	lu_devices_clear(&d);
	scratch_free(&s);
}

static void test_feature(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_devices d, back;
	struct scratch s;
	uint64_t size;
	uint32_t crc;

	load_whole(&d);
	scratch_new(&s);
	free(d.features);
	d.features = calloc(2, sizeof(char *));
	assert_non_null(d.features);
	d.features[0] = strdup("tea");
	expect(lu_devices_write(s.fd, &d, &size, &crc, &e) == 0, "%s", e.what);
	assert_int_equal(lu_devices_read(s.fd, size, crc, &back, &e), -EOPNOTSUPP);
	expect(strstr(e.what, "feature \"tea\"") && e.hint, "%s", e.what);
	lu_devices_clear(&d);
	scratch_free(&s);
}

/* --- what a schema can't say; numbers are those of valid-two-devices.json --- */

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
		cmocka_unit_test(test_examples), cmocka_unit_test(test_files), cmocka_unit_test(test_feature),
		cmocka_unit_test(test_cases),    cmocka_unit_test(test_bdf),
	};

	examples = argc == 2 ? argv[1] : ".";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
