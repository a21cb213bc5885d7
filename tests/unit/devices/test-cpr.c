// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU's CPR state: a stream recorded from QEMU 11.1.3 and one with devices made here, read,
 * written, cut, damaged, sent in pieces, beyond the limits, and with each allocation and
 * system call failing. After every case the process has as many descriptors as before.
 */
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "cpr.h"

/* --- the n-th call fails; 0: none --- */

static unsigned int fail_at, fail_calls;

static bool fails(int err)
{
	if (!fail_at || ++fail_calls != fail_at)
		return false;
	errno = err;
	return true;
}

#define WRAP(_ret, _name, _params, _args, _err, _bad)             \
	_ret __real_##_name _params;                              \
	_ret __wrap_##_name _params;                              \
	_ret __wrap_##_name _params                               \
	{                                                         \
		return fails(_err) ? _bad : __real_##_name _args; \
	}
WRAP(void *, malloc, (size_t n), (n), ENOMEM, NULL)
WRAP(void *, realloc, (void *p, size_t n), (p, n), ENOMEM, NULL)
WRAP(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size), ENOMEM, NULL)
WRAP(char *, strndup, (const char *s, size_t n), (s, n), ENOMEM, NULL)
WRAP(int, memfd_create, (const char *s, unsigned int flags), (s, flags), EMFILE, -1)
WRAP(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n), ENOSPC, -1)
WRAP(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags), EIO, -1)

/* --- descriptors --- */

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void open_fds(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fds[i] = eventfd((unsigned int)i, EFD_CLOEXEC | EFD_NONBLOCK);
		assert_true(fds[i] >= 0);
	}
}

/* Is this the eventfd that open_fds() made as its @i-th? */
static void assert_fd(int fd, uint64_t i)
{
	uint64_t v;

	assert_true(fd >= 0);
	if (i)
		assert_int_equal(read(fd, &v, sizeof(v)), sizeof(v));
	else
		assert_int_equal(read(fd, &v, sizeof(v)), -1);
	assert_true(!i || v == i);
}

/* --- streams --- */

struct stream {
	uint8_t data[2U << 20];
	size_t len;
	size_t n_fds;
};

static struct stream s; /* too large for a stack */

static void put(const void *p, size_t n)
{
	assert_true(s.len + n <= sizeof(s.data));
	memcpy(s.data + s.len, p, n);
	s.len += n;
}

static void put8(unsigned int v)
{
	s.data[s.len++] = (uint8_t)v;
}

static void put32(uint32_t v)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		put8(v >> shift & 0xff);
}

static void put_name(const char *name)
{
	put32((uint32_t)strlen(name) + 1);
	put(name, strlen(name) + 1);
}

static void put_head(void)
{
	s.len = s.n_fds = 0;
	put("QCPR\0\0\0\1", 8);
}

static void put_fd(const char *name, int32_t id)
{
	put8(1);
	put_name(name);
	put32((uint32_t)id);
	put8(0x20);
	s.n_fds++;
}

static void put_section(void)
{
	put("\0\5\x15"
	    "CprState/vfio devices\0\0\0\1",
	    28);
}

static void put_device(const char *name, int32_t devid, uint32_t ioas, uint32_t hwpt)
{
	put8(1);
	put_name(name);
	put32((uint32_t)devid);
	put32(ioas);
	put32(hwpt);
}

/* QEMU 11.1.3, q35 with VGA and without devices */
static const char recorded[] = "QCPR\0\0\0\1"
			       "\1\0\0\0\x15/rom@etc/acpi/tables\0\0\0\0\0 "
			       "\1\0\0\0\x13/rom@etc/acpi/rsdp\0\0\0\0\0 "
			       "\1\0\0\0\x16"
			       "0000:00:01.0/vga.vram\0\0\0\0\0 "
			       "\1\0\0\0\x08pc.bios\0\0\0\0\0 "
			       "\1\0\0\0\x16/rom@etc/table-loader\0\0\0\0\0 "
			       "\1\0\0\0\x15"
			       "0000:00:01.0/vga.rom\0\0\0\0\0 "
			       "\1\0\0\0\x07pc.rom\0\0\0\0\0 "
			       "\0\5\x15"
			       "CprState/vfio devices\0\0\0\1\0";

static void make_recorded(void)
{
	s.len = sizeof(recorded) - 1;
	memcpy(s.data, recorded, s.len);
	s.n_fds = 7;
}

static void make_with_devices(void)
{
	put_head();
	put_fd("iommufd0", 0);
	put_fd("0000:01:00.0", 0);
	put_fd("0000:01:00.0_kvm_interrupt", 0);
	put_fd("0000:01:00.0_kvm_interrupt", 1);
	put_fd("0000:01:00.0_req_notifier", -1);
	put_fd("gr\xc3\xbc\xc3\x9f", INT32_MIN);
	put_section();
	put_device("0000:01:00.0", 1, 2, 3);
	put_device("hostdev1", -1, UINT32_MAX, 0x80000000);
	put8(0);
}

static void (*const makers[])(void) = { make_recorded, make_with_devices };

/* Parses a copy of exactly @len bytes, so that the sanitizer sees each read beyond. */
static int parse(const uint8_t *data, size_t len, size_t n_fds, struct lu_cpr *ret, struct lu_error *e)
{
	_cleanup_free_ uint8_t *copy = len ? malloc(len) : NULL;
	_cleanup_free_ int *fds = calloc(n_fds + 1, sizeof(*fds));
	int r;

	if (len)
		memcpy(copy, data, len);
	open_fds(fds, n_fds);
	r = lu_cpr_parse(copy, len, fds, n_fds, ret, e);
	for (size_t i = 0; i < n_fds; i++)
		assert_int_equal(fds[i], -EBADF);
	return r;
}

static void test_recorded(void **state)
{
	static const char *const names[] = { "/rom@etc/acpi/tables",
					     "/rom@etc/acpi/rsdp",
					     "0000:00:01.0/vga.vram",
					     "pc.bios",
					     "/rom@etc/table-loader",
					     "0000:00:01.0/vga.rom",
					     "pc.rom" };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_cpr_ struct lu_cpr cpr = LU_CPR_INIT;

	make_recorded();
	expect(parse(s.data, s.len, 7, &cpr, &e) == 0, "%s", e.what);
	assert_int_equal(cpr.n_fds, 7);
	assert_int_equal(cpr.n_devices, 0);
	for (size_t i = 0; i < 7; i++) {
		assert_string_equal(cpr.fds[i].name, names[i]);
		assert_int_equal(cpr.fds[i].id, 0);
		assert_fd(cpr.fds[i].fd, i);
	}
	assert_ptr_equal(lu_cpr_find(&cpr, "pc.bios", 0), &cpr.fds[3]);
	assert_null(lu_cpr_find(&cpr, "pc.bios", 1));
	assert_null(lu_cpr_find(&cpr, "pc.bio", 0));
	assert_null(lu_cpr_find_device(&cpr, "pc.bios"));
}

static void test_devices(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_cpr_ struct lu_cpr cpr = LU_CPR_INIT;
	struct lu_cpr_device *d;

	make_with_devices();
	expect(parse(s.data, s.len, s.n_fds, &cpr, &e) == 0, "%s", e.what);
	assert_int_equal(cpr.n_fds, 6);
	assert_fd(lu_cpr_find(&cpr, "0000:01:00.0_kvm_interrupt", 1)->fd, 3);
	assert_fd(lu_cpr_find(&cpr, "0000:01:00.0_req_notifier", -1)->fd, 4);
	assert_int_equal(cpr.fds[5].id, INT32_MIN);
	d = lu_cpr_find_device(&cpr, "0000:01:00.0");
	assert_true(d && d->devid == 1 && d->ioas_id == 2 && d->hwpt_id == 3);
	d = lu_cpr_find_device(&cpr, "hostdev1");
	assert_true(d && d->devid == -1 && d->ioas_id == UINT32_MAX && d->hwpt_id == 0x80000000);
}

/* What parses must hold together: as many entries as descriptors, none twice, and it can be written. */
static void check_consistent(const struct lu_cpr *cpr, size_t n_fds)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ int *numbers = calloc(n_fds + 1, sizeof(*numbers));
	_cleanup_free_ void *data = NULL;
	size_t len;

	assert_int_equal(cpr->n_fds, n_fds);
	for (size_t i = 0; i < n_fds; i++) {
		assert_true(fcntl(cpr->fds[i].fd, F_GETFD) >= 0);
		assert_ptr_equal(lu_cpr_find(cpr, cpr->fds[i].name, cpr->fds[i].id), &cpr->fds[i]);
		numbers[i] = (int)i + 10;
	}
	for (size_t i = 0; i < cpr->n_devices; i++)
		assert_ptr_equal(lu_cpr_find_device(cpr, cpr->devices[i].name), &cpr->devices[i]);
	expect(lu_cpr_encode_exec(cpr, numbers, &data, &len, &e) == 0, "%s", e.what);
}

static void try_any(size_t len, size_t n_fds, bool may_pass, const char *what, size_t at)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_cpr_ struct lu_cpr cpr = LU_CPR_INIT;
	int before = count_fds(), r;

	r = parse(s.data, len, n_fds, &cpr, &e);
	if (r == 0) {
		expect(may_pass, "%s %zu passed", what, at);
		check_consistent(&cpr, n_fds);
		lu_cpr_clear(&cpr);
	} else {
		expect(r == e.code && e.what && !strncmp(e.what, "CPR state: ", 11), "%s %zu: %d %s", what, at, r,
		       e.what);
		assert_true(!cpr.fds && !cpr.devices);
	}
	expect(count_fds() == before, "%s %zu: descriptors leak", what, at);
}

static void test_every_cut(void **state)
{
	for (size_t m = 0; m < ARRAY_SIZE(makers); m++) {
		makers[m]();
		for (size_t len = 0; len < s.len; len++)
			try_any(len, s.n_fds, false, "cut at", len);
		for (size_t n = 0; n < s.n_fds + 3; n++)
			try_any(s.len, n, n == s.n_fds, "descriptors", n);
		put8(0);
		try_any(s.len, s.n_fds, false, "one byte more than", s.len - 1);
	}
}

static void test_every_byte(void **state)
{
	for (size_t m = 0; m < ARRAY_SIZE(makers); m++) {
		makers[m]();
		for (size_t i = 0; i < s.len; i++) {
			uint8_t was = s.data[i];

			for (int bit = 0; bit < 8; bit++) {
				s.data[i] = was ^ (uint8_t)(1 << bit);
				try_any(s.len, s.n_fds, true, "changed byte", i);
			}
			s.data[i] = 0xff;
			try_any(s.len, s.n_fds, true, "byte of ones", i);
			s.data[i] = was ? 0 : 0x20;
			try_any(s.len, s.n_fds, true, "byte of zeros", i);
			s.data[i] = was;
		}
	}
}

/* The same numbers in each run; several changes at once, parts doubled and left out. */
static void test_random_damage(void **state)
{
	uint64_t x = 88172645463325252ULL;

#define RANDOM(_n) (x ^= x << 13, x ^= x >> 7, x ^= x << 17, (size_t)(x % (_n)))
	for (int round = 0; round < 20000; round++) {
		makers[round % 2]();
		for (size_t n = RANDOM(4) + 1; n; n--) {
			size_t a = RANDOM(s.len), b = RANDOM(s.len), len = RANDOM(40) + 1;

			if (a + len > s.len || b + len > s.len)
				continue;
			switch (RANDOM(4)) {
			case 0:
				s.data[a] = (uint8_t)RANDOM(256);
				break;
			case 1:
				memmove(s.data + a, s.data + b, len);
				break;
			case 2:
				memmove(s.data + a + len, s.data + a, s.len - a);
				s.len += len;
				break;
			default:
				memmove(s.data + a, s.data + a + len, s.len - a - len);
				s.len -= len;
				break;
			}
		}
		try_any(s.len, RANDOM(9), true, "round", (size_t)round);
	}
}

/* --- what is refused, and in which words --- */

static void bad_version(void)
{
	make_recorded();
	s.data[7] = 2;
}

static void bad_magic(void)
{
	make_recorded();
	s.data[0] = 'q';
}

static void bad_exec_form(void)
{
	put_head();
	put8(1);
	put_name("ram0");
	put32(0);
	put32(7);
	put_section();
	put8(0);
	s.n_fds = 1;
}

static void bad_twice(void)
{
	put_head();
	put_fd("a", 1);
	put_fd("a", 2);
	put_fd("a", 1);
	put_section();
	put8(0);
}

static void bad_device_twice(void)
{
	put_head();
	put_section();
	put_device("a", 1, 2, 3);
	put_device("a", 2, 2, 3);
	put8(0);
}

static void bad_no_section(void)
{
	put_head();
	put_fd("a", 1);
	put8(0);
}

static void bad_other_section(void)
{
	make_recorded();
	s.data[s.len - 6] = 'S';
}

static void bad_section_version(void)
{
	make_recorded();
	s.data[s.len - 2] = 2;
}

static void bad_more(void)
{
	make_recorded();
	s.data[8] = 2;
}

static void name_is(const char *name, uint32_t len)
{
	put_head();
	put8(1);
	put32(len);
	put(name, strlen(name) + 1);
	put32(0);
	put8(0x20);
	put_section();
	put8(0);
	s.n_fds = 1;
}

static void bad_name_empty(void)
{
	name_is("", 1);
}

static void bad_name_none(void)
{
	put_head();
	put8(1);
	put32(0);
	put32(0);
	put8(0x20);
	put_section();
	put8(0);
	s.n_fds = 1;
}

static void bad_name_open(void)
{
	name_is("ab", 2);
}

static void bad_name_nul(void)
{
	name_is("abc", 4);
	s.data[14] = 0;
}

static void bad_name_control(void)
{
	name_is("a\nb", 4);
}

static void bad_name_bytes(void)
{
	name_is("a\xff", 3);
}

static void bad_name_length(void)
{
	name_is("a", UINT32_MAX);
}

static void bad_trailing(void)
{
	make_recorded();
	put("QCPR", 4);
}

static const struct {
	void (*make)(void);
	int r;
	const char *what;
} refused[] = {
	{ bad_magic, -EBADMSG, "begins with 71435052, not with QCPR" },
	{ bad_version, -EPROTONOSUPPORT, "version 2, this luctl knows 1" },
	{ bad_exec_form, -EBADMSG, "file ram0 0 comes without a descriptor" },
	{ bad_twice, -EBADMSG, "file a 1 is there twice" },
	{ bad_device_twice, -EBADMSG, "device a is there twice" },
	{ bad_no_section, -EBADMSG, "ends without the section of devices" },
	{ bad_other_section, -EPROTONOSUPPORT, "a section that this luctl does not know" },
	{ bad_section_version, -EPROTONOSUPPORT, "devices in version 2" },
	{ bad_more, -EBADMSG, "byte 8: 2 where 0 or 1 has to stand, in the list of files" },
	{ bad_name_empty, -EBADMSG, "byte 9: not a name" },
	{ bad_name_none, -EBADMSG, "byte 9: not a name" },
	{ bad_name_open, -EBADMSG, "not a name" },
	{ bad_name_nul, -EBADMSG, "not a name" },
	{ bad_name_control, -EBADMSG, "not a name" },
	{ bad_name_bytes, -EBADMSG, "not a name" },
	{ bad_name_length, -EFBIG, "a name of 4294967295 bytes, at most 1024" },
	{ bad_trailing, -EPROTONOSUPPORT, "byte 227: 4 bytes follow its end" },
};

static void test_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct lu_cpr cpr = LU_CPR_INIT;
		int r;

		refused[i].make();
		r = parse(s.data, s.len, s.n_fds, &cpr, &e);
		expect(r == refused[i].r && strstr(e.what, refused[i].what), "\"%s\": %d \"%s\"", refused[i].what, r,
		       e.what);
	}
}

/* --- limits --- */

static void many(size_t fds, size_t devices, size_t name)
{
	char text[2000];

	put_head();
	for (size_t i = 0; i < fds; i++)
		put_fd("interrupt", (int32_t)i);
	put_section();
	for (size_t i = 0; i < devices; i++) {
		snprintf(text, sizeof(text), "%0*zu", (int)name, i);
		put_device(text, 1, 2, 3);
	}
	put8(0);
}

static void test_limits(void **state)
{
	static const struct {
		size_t fds, devices, name;
		int r;
		const char *what;
	} cases[] = {
		{ LU_CPR_FDS_MAX, LU_CPR_DEVICES_MAX, LU_CPR_NAME_MAX, 0, "" },
		{ LU_CPR_FDS_MAX + 1, 0, 1, -EFBIG, "more than 4096 files" },
		{ 0, LU_CPR_DEVICES_MAX + 1, 3, -EFBIG, "more than 256 devices" },
		{ 0, 1, LU_CPR_NAME_MAX + 1, -EFBIG, "a name of 1025 bytes" },
	};
	int before = count_fds();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		_cleanup_cpr_ struct lu_cpr cpr = LU_CPR_INIT;
		int r;

		many(cases[i].fds, cases[i].devices, cases[i].name);
		r = parse(s.data, s.len, s.n_fds, &cpr, &e);
		expect(r == cases[i].r && (r == 0 || strstr(e.what, cases[i].what)), "case %zu: %d %s", i, r, e.what);
		if (r == 0)
			check_consistent(&cpr, cases[i].fds);
	}
	put_head();
	s.len = LU_CPR_BYTES_MAX + 1;
	assert_int_equal(parse(s.data, s.len, 3, &(struct lu_cpr){ 0 }, NULL), -EFBIG);
	assert_int_equal(lu_cpr_parse(NULL, 0, NULL, 0, &(struct lu_cpr){ 0 }, NULL), -EBADMSG);
	assert_int_equal(count_fds(), before);
}

/* --- the exec form --- */

static void test_exec(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_cpr_ struct lu_cpr cpr = LU_CPR_INIT;
	_cleanup_free_ void *data = NULL;
	int numbers[6] = { 100, 3, 0x01020304, 7, 8, 9 }, fd = -1;
	static uint8_t back[4096];
	size_t len;

	make_with_devices();
	assert_int_equal(parse(s.data, s.len, s.n_fds, &cpr, &e), 0);
	put_head();
	for (size_t i = 0; i < 6; i++) {
		put_fd(cpr.fds[i].name, cpr.fds[i].id);
		s.len--;
		put32((uint32_t)numbers[i]);
	}
	put_section();
	put_device("0000:01:00.0", 1, 2, 3);
	put_device("hostdev1", -1, UINT32_MAX, 0x80000000);
	put8(0);

	assert_int_equal(lu_cpr_encode_exec(&cpr, numbers, &data, &len, &e), 0);
	assert_int_equal(len, s.len);
	assert_memory_equal(data, s.data, len);
	assert_int_equal(lu_cpr_write_exec(&cpr, numbers, &fd, &e), 0);
	assert_int_equal(pread(fd, back, sizeof(back), 0), len);
	assert_memory_equal(back, data, len);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	close(fd);

	numbers[1] = 2;
	assert_int_equal(lu_cpr_write_exec(&cpr, numbers, &fd, &e), -EINVAL);
	expect(strstr(e.what, "file 0000:01:00.0 0 can't have the number 2"), "%s", e.what);
	lu_error_clear(&e);
	numbers[1] = 9;
	assert_int_equal(lu_cpr_write_exec(&cpr, numbers, &fd, &e), -EINVAL);
	expect(strstr(e.what, "two files have the number 9"), "%s", e.what);
	lu_error_clear(&e);
	numbers[1] = 3;
	cpr.fds[2].name[0] = '\n';
	assert_int_equal(lu_cpr_write_exec(&cpr, numbers, &fd, &e), -EINVAL);
	cpr.fds[2].name[0] = '0';
	cpr.devices[1].name[0] = '\xff';
	assert_int_equal(lu_cpr_write_exec(&cpr, numbers, &fd, NULL), -EINVAL);
}

/* --- receiving --- */

static void send_fds(int sock, const void *data, size_t len, const int *fds, size_t n)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(253 * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n) {
		struct cmsghdr *c;

		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	assert_int_equal(sendmsg(sock, &m, MSG_NOSIGNAL), len);
}

static void stream_pair(int p[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p), 0);
}

/* As QEMU does it: bytes, then 0x20 by itself with a descriptor; with @r it is received in between. */
static void send_as_qemu(int sock, struct lu_cpr_receiver *r, int receiver, int *fds)
{
	size_t from = 0, k = 0;

	for (size_t i = 13; i < s.len && k < s.n_fds; i++) {
		/* no name of the sample has a blank */
		if (s.data[i] != 0x20)
			continue;
		send_fds(sock, s.data + from, i - from, NULL, 0);
		send_fds(sock, s.data + i, 1, &fds[k++], 1);
		from = i + 1;
		if (r)
			assert_int_equal(lu_cpr_receive_some(receiver, r, NULL), 0);
	}
	send_fds(sock, s.data + from, s.len - from, NULL, 0);
}

static void test_receive(void **state)
{
	for (int in_pieces = 0; in_pieces < 2; in_pieces++) {
		_cleanup_cpr_receiver_ struct lu_cpr_receiver r = LU_CPR_RECEIVER_INIT;
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		_cleanup_cpr_ struct lu_cpr cpr = LU_CPR_INIT;
		int before = count_fds(), p[2], fds[6];

		make_with_devices();
		open_fds(fds, 6);
		stream_pair(p);
		assert_int_equal(lu_cpr_receive_some(p[0], &r, &e), 0);
		send_as_qemu(p[1], in_pieces ? &r : NULL, p[0], fds);
		for (int i = 0; i < 6; i++)
			close(fds[i]);
		assert_int_equal(lu_cpr_receive_some(p[0], &r, &e), 0);
		assert_int_equal(shutdown(p[1], SHUT_WR), 0);
		expect(lu_cpr_receive_some(p[0], &r, &e) == 1, "%s", e.what);
		expect(lu_cpr_parse(r.data, r.len, r.fds, r.n_fds, &cpr, &e) == 0, "%s", e.what);
		for (size_t i = 0; i < 6; i++) {
			assert_int_equal(fcntl(cpr.fds[i].fd, F_GETFD), FD_CLOEXEC);
			assert_fd(cpr.fds[i].fd, i);
		}
		close(p[0]);
		close(p[1]);
		lu_cpr_clear(&cpr);
		lu_cpr_receiver_clear(&r);
		assert_int_equal(count_fds(), before);
	}
}

/* Closes the sending end after @bytes and, with the first of them, @n descriptors; what the receiver says. */
static int receive(size_t bytes, size_t n, struct lu_cpr_receiver *r, struct lu_error *e)
{
	static int fds[253];
	int p[2], k = 0;

	stream_pair(p);
	open_fds(fds, n < 253 ? n : 253);
	for (size_t i = 0; i < n; i += 253)
		send_fds(p[1], "x", 1, fds, n - i < 253 ? n - i : 253);
	while (k == 0 && bytes) {
		size_t some = bytes < 65536 ? bytes : 65536;

		send_fds(p[1], s.data, some, NULL, 0);
		bytes -= some;
		k = lu_cpr_receive_some(p[0], r, e);
	}
	close(p[1]);
	if (k == 0)
		k = lu_cpr_receive_some(p[0], r, e);
	close(p[0]);
	for (size_t i = 0; i < (n < 253 ? n : 253); i++)
		close(fds[i]);
	return k;
}

static void test_receive_limits(void **state)
{
	static const struct {
		size_t bytes, fds;
		int r;
		const char *what;
	} cases[] = {
		{ 0, 0, 1, "" },
		{ 1, 0, 1, "" },
		{ LU_CPR_BYTES_MAX, 0, 1, "" },
		{ LU_CPR_BYTES_MAX + 1, 0, -EFBIG, "more than 1048576 bytes" },
		{ 0, 1, 1, "" },
		{ 0, 253, 1, "" },
		{ 10, 254, 1, "" },
		{ 0, LU_CPR_FDS_MAX, 1, "" },
		{ 0, LU_CPR_FDS_MAX + 1, -EFBIG, "more than 4096 files" },
	};
	struct rlimit old, less;
	int before = count_fds();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct lu_cpr_receiver r = LU_CPR_RECEIVER_INIT;
		int k = receive(cases[i].bytes, cases[i].fds, &r, &e);

		expect(k == cases[i].r && (k == 1 || strstr(e.what, cases[i].what)), "case %zu: %d %s", i, k, e.what);
		if (k == 1) {
			assert_int_equal(r.len, cases[i].bytes + (cases[i].fds + 252) / 253);
			assert_int_equal(r.n_fds, cases[i].fds);
		} else {
			assert_true(!r.data && !r.fds && !r.n_fds);
		}
		lu_cpr_receiver_clear(&r);
		assert_int_equal(count_fds(), before);
	}
	/* no room in our table: the kernel drops what does not fit, and says so */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	less = (struct rlimit){ .rlim_cur = (rlim_t)before + 120, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
	{
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct lu_cpr_receiver r = LU_CPR_RECEIVER_INIT;

		assert_int_equal(receive(1, 100, &r, &e), -EMFILE);
		expect(strstr(e.what, "got lost after the first "), "%s", e.what);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(count_fds(), before);
}

/* --- each allocation and system call fails once --- */

static int whole_way(void)
{
	_cleanup_cpr_receiver_ struct lu_cpr_receiver r = LU_CPR_RECEIVER_INIT;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_cpr_ struct lu_cpr cpr = LU_CPR_INIT;
	int numbers[6] = { 10, 11, 12, 13, 14, 15 }, p[2], fds[6], out = -1, k;

	make_with_devices();
	open_fds(fds, 6);
	stream_pair(p);
	send_as_qemu(p[1], NULL, -1, fds);
	close(p[1]);
	for (int i = 0; i < 6; i++)
		close(fds[i]);
	fail_calls = 0;
	k = lu_cpr_receive_some(p[0], &r, &e);
	close(p[0]);
	if (k == 1)
		k = lu_cpr_parse(r.data, r.len, r.fds, r.n_fds, &cpr, &e);
	if (k == 0)
		k = lu_cpr_write_exec(&cpr, numbers, &out, &e);
	if (k == 0)
		close(out);
	return k;
}

static void test_fail_everything(void **state)
{
	int before = count_fds(), n, k;

	for (n = 1;; n++) {
		fail_at = (unsigned int)n;
		k = whole_way();
		fail_at = 0;
		expect(count_fds() == before, "call %d: descriptors leak", n);
		if (k == 0)
			break;
		expect(k == -ENOMEM || k == -EMFILE || k == -ENOSPC || k == -EIO, "call %d: %d", n, k);
	}
	/* 8 messages, 8 names, 8 times more room, the file */
	expect(n > 24, "only %d calls", n);
}

/* --- JSON --- */

struct document {
	struct lu_cpr cpr;
};

static const struct lu_json_field document_fields[] = {
	{ "files", LU_JSON_OBJECTS, offsetof(struct document, cpr.fds), LU_JSON_REQUIRED,
	  .count_offset = offsetof(struct document, cpr.n_fds), .table = &lu_cpr_fd_table, .max = LU_CPR_FDS_MAX },
	{ "devices", LU_JSON_OBJECTS, offsetof(struct document, cpr.devices), LU_JSON_REQUIRED,
	  .count_offset = offsetof(struct document, cpr.n_devices), .table = &lu_cpr_device_table,
	  .max = LU_CPR_DEVICES_MAX },
};
static const struct lu_json_table document_table = LU_JSON_DOCUMENT("document", struct document, document_fields, 1);

static int decode(const char *text, struct document *ret)
{
	return lu_json_decode_text(text, strlen(text), 1 << 20, "text", &document_table, ret, NULL);
}

static void test_json(void **state)
{
	static const char *const bad[] = {
		"{\"version\":1,\"files\":[{\"name\":\"a\",\"id\":2147483648}],\"devices\":[]}",
		"{\"version\":1,\"files\":[{\"name\":\"\",\"id\":0}],\"devices\":[]}",
		"{\"version\":1,\"files\":[{\"name\":\"a\\n\",\"id\":0}],\"devices\":[]}",
		"{\"version\":1,\"files\":[{\"name\":\"a\",\"id\":0,\"fd\":3}],\"devices\":[]}",
		"{\"version\":1,\"files\":[],\"devices\":[{\"name\":\"a\",\"devid\":1,\"ioas\":-1,\"hwpt\":1}]}",
		"{\"version\":1,\"files\":[],\"devices\":[{\"name\":\"a\",\"devid\":1,\"ioas\":1,\"hwpt\":4294967296}]}",
	};
	_cleanup_free_ char *text = NULL;
	struct document d = { 0 }, again;
	int before = count_fds();

	make_with_devices();
	assert_int_equal(parse(s.data, s.len, s.n_fds, &d.cpr, NULL), 0);
	assert_int_equal(lu_json_encode_text(&document_table, &d, &text, NULL), 0);
	assert_int_equal(decode(text, &again), 0);
	lu_cpr_no_files(&again.cpr);
	assert_int_equal(again.cpr.n_fds, d.cpr.n_fds);
	for (size_t i = 0; i < d.cpr.n_fds; i++) {
		assert_string_equal(again.cpr.fds[i].name, d.cpr.fds[i].name);
		assert_int_equal(again.cpr.fds[i].id, d.cpr.fds[i].id);
		assert_int_equal(again.cpr.fds[i].fd, -EBADF);
	}
	assert_int_equal(again.cpr.n_devices, 2);
	assert_true(again.cpr.devices[1].devid == -1 && again.cpr.devices[1].ioas_id == UINT32_MAX);
	assert_true(again.cpr.devices[1].hwpt_id == 0x80000000);
	/* either way to free it closes nothing that is not its own */
	lu_cpr_clear(&again.cpr);
	lu_cpr_clear(&d.cpr);
	assert_int_equal(count_fds(), before);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect(decode(bad[i], &again) == -EBADMSG, "%s", bad[i]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded),        cmocka_unit_test(test_devices),
		cmocka_unit_test(test_every_cut),       cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_random_damage),   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),          cmocka_unit_test(test_exec),
		cmocka_unit_test(test_receive),         cmocka_unit_test(test_receive_limits),
		cmocka_unit_test(test_fail_everything), cmocka_unit_test(test_json),
	};
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_max < 3 * LU_CPR_FDS_MAX)
		return 77;
	rl.rlim_cur = 3 * LU_CPR_FDS_MAX;
	if (setrlimit(RLIMIT_NOFILE, &rl) < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
