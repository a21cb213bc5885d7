// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The wrapper of /dev/liveupdate against a stand-in that answers as kernel/liveupdate/ of 7.3
 * does: what it asks, what it hands out, and that each error names session, token and cause.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/liveupdate.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "luo.h"

#define UUID "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c0001"
#define NAME "luctl-" UUID

enum {
	DEVICE = 1000,
	SESSION
}; /* numbers that are no descriptors of ours */

static struct {
	bool created, retrieved, finished;
	uint64_t tokens[4];
	size_t n;
	int err;      /* answer everything so */
	int open_err; /* of the device */
	int opens_until_free;
} k;

int __wrap_ioctl(int fd, unsigned long request, ...);
/* with 64-bit offsets, which meson asks for, open() is this symbol */
int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

static int no(int err)
{
	errno = err;
	return -1;
}

static bool has(uint64_t token)
{
	for (size_t i = 0; i < k.n; i++)
		if (k.tokens[i] == token)
			return true;
	return false;
}

int __wrap_open64(const char *path, int flags, ...)
{
	if (strcmp(path, "/dev/fake") != 0)
		return __real_open64(path, flags, 0600);
	assert_int_equal(flags, O_RDWR | O_CLOEXEC);
	if (k.opens_until_free && --k.opens_until_free)
		return no(EBUSY);
	return k.open_err ? no(k.open_err) : __real_open64("/dev/null", O_RDWR | O_CLOEXEC);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	union {
		struct liveupdate_ioctl_create_session create;
		struct liveupdate_session_preserve_fd file;
		struct liveupdate_session_finish finish;
	} * arg;
	va_list ap;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (k.err)
		return no(k.err);
	switch (request) {
	case LIVEUPDATE_IOCTL_CREATE_SESSION:
	case LIVEUPDATE_IOCTL_RETRIEVE_SESSION:
		assert_int_equal(fd, DEVICE);
		assert_int_equal(arg->create.size, sizeof(arg->create));
		assert_string_equal((char *)arg->create.name, NAME);
		if (request == LIVEUPDATE_IOCTL_CREATE_SESSION && k.created)
			return no(EEXIST);
		if (request == LIVEUPDATE_IOCTL_RETRIEVE_SESSION && !k.created)
			return no(ENOENT);
		if (request == LIVEUPDATE_IOCTL_RETRIEVE_SESSION && k.retrieved)
			return no(EINVAL);
		k.retrieved = request == LIVEUPDATE_IOCTL_RETRIEVE_SESSION;
		k.created = true;
		arg->create.fd = SESSION;
		return 0;
	case LIVEUPDATE_SESSION_PRESERVE_FD:
		assert_int_equal(fd, SESSION);
		assert_int_equal(arg->file.size, sizeof(arg->file));
		if (has(arg->file.token))
			return no(EEXIST);
		if (fcntl(arg->file.fd, F_GET_SEALS) < 0)
			return no(ENOENT);
		k.tokens[k.n++] = arg->file.token;
		return 0;
	case LIVEUPDATE_SESSION_RETRIEVE_FD:
		assert_int_equal(fd, SESSION);
		assert_int_equal(arg->file.size, sizeof(arg->file));
		if (!has(arg->file.token))
			return no(ENOENT);
		arg->file.fd = 77;
		return 0;
	case LIVEUPDATE_SESSION_FINISH:
		assert_int_equal(fd, SESSION);
		assert_int_equal(arg->finish.size, sizeof(arg->finish));
		assert_int_equal(arg->finish.reserved, 0);
		k.finished = true;
		return 0;
	default:
		fail_case("ioctl %lx", request);
	}
	return no(ENOTTY);
}

static int reset(void **state)
{
	memset(&k, 0, sizeof(k));
	return 0;
}

static void test_both_kernels(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_luo out = LU_LUO_INIT, in = LU_LUO_INIT;
	int fd = memfd_create("x", MFD_CLOEXEC), other = memfd_create("y", MFD_CLOEXEC);

	assert_int_equal(lu_luo_create(DEVICE, UUID, &out, &e), 0);
	assert_int_equal(out.fd, SESSION);
	assert_string_equal(out.name, NAME);
	assert_int_equal(lu_luo_preserve(&out, 5, fd, &e), 0);
	assert_int_equal(lu_luo_preserve(&out, UINT64_MAX, other, &e), 0);
	assert_int_equal(lu_luo_retrieve(DEVICE, UUID, &in, &e), 0);
	assert_int_equal(lu_luo_retrieve_fd(&in, UINT64_MAX, &e), 77);
	assert_int_equal(lu_luo_finish(&in, &e), 0);
	assert_true(k.finished);
	assert_null(e.what);
	close(fd);
	close(other);
}

static int try_open(unsigned int wait_ms, struct lu_error *e)
{
	return lu_luo_open("/dev/fake", wait_ms, e);
}

static int try_create(struct lu_error *e)
{
	return lu_luo_create(DEVICE, UUID, &(struct lu_luo){ 0 }, e);
}

static int try_retrieve(struct lu_error *e)
{
	return lu_luo_retrieve(DEVICE, UUID, &(struct lu_luo){ 0 }, e);
}

static const struct lu_luo session = { .fd = SESSION, .name = NAME };

static int try_preserve(struct lu_error *e)
{
	return lu_luo_preserve(&session, 42, 0, e);
}

static int try_retrieve_fd(struct lu_error *e)
{
	return lu_luo_retrieve_fd(&session, 42, e);
}

static int try_finish(struct lu_error *e)
{
	return lu_luo_finish(&session, e);
}

static const struct {
	int (*try)(struct lu_error *e);
	int err;
	const char *what;
} cases[] = {
	{ try_create, EEXIST, "session " NAME ": can't create it: there is one already" },
	{ try_create, ENOMEM, "session " NAME ": can't create it: Cannot allocate memory" },
	{ try_retrieve, ENOENT,
	  "session " NAME
	  ": can't retrieve it: the last kernel left none of this name, or a process that had it has ended" },
	{ try_retrieve, EINVAL, "session " NAME ": can't retrieve it: it has been retrieved already" },
	{ try_retrieve, EMFILE, "session " NAME ": can't retrieve it: Too many open files" },
	{ try_preserve, ENOENT, "session " NAME ": file 42 can't be preserved: not a memory file" },
	{ try_preserve, EBUSY, "session " NAME ": file 42 can't be preserved: it is preserved already" },
	{ try_preserve, EEXIST,
	  "session " NAME ": file 42 can't be preserved: there is a file of this number already" },
	{ try_preserve, ENOSPC, "session " NAME ": file 42 can't be preserved: No space left on device" },
	{ try_retrieve_fd, ENOENT, "session " NAME ": file 42 can't be retrieved: there is none of this number" },
	{ try_retrieve_fd, EIO, "session " NAME ": file 42 can't be retrieved: Input/output error" },
	{ try_finish, EBUSY, "session " NAME ": can't finish it: Device or resource busy" },
};

static void test_errors(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

		k.err = cases[i].err;
		expect(cases[i].try(&e) == -cases[i].err, "case %zu", i);
		expect(e.what && strstr(e.what, cases[i].what), "case %zu: \"%s\"", i, e.what);
		assert_int_equal(cases[i].try(NULL), -cases[i].err);
	}
}

static void test_names(void **state)
{
	static const char *const bad[] = { "", "x", UUID "0", "../../../../../../../../../../../../../../" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(lu_luo_create(DEVICE, bad[i], &(struct lu_luo){ 0 }, NULL), -EINVAL);
		assert_int_equal(lu_luo_retrieve(DEVICE, bad[i], &(struct lu_luo){ 0 }, NULL), -EINVAL);
	}
	assert_false(k.created);
}

static void test_open(void **state)
{
	static const struct {
		int err, r;
		const char *what;
	} t[] = {
		{ ENOENT, -EOPNOTSUPP, "this kernel carries no memory files over kexec" },
		{ ENXIO, -EOPNOTSUPP, "this kernel carries no memory files over kexec" },
		{ EBUSY, -EBUSY, "somebody else uses it" },
		{ EIO, -EIO, "can't read what the last one left" },
		{ EACCES, -EACCES, "/dev/fake: Permission denied" },
	};
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

		k.open_err = t[i].err;
		assert_int_equal(try_open(0, &e), t[i].r);
		expect(strstr(e.what, t[i].what), "\"%s\"", e.what);
		assert_int_equal(try_open(2, NULL), t[i].r);
	}
	k.open_err = 0;
	k.opens_until_free = 5;
	assert_int_equal(try_open(0, NULL), -EBUSY);
	fd = try_open(10000, NULL);
	assert_true(fd >= 0);
	assert_int_equal(k.opens_until_free, 0);
	close(fd);
}

static void test_close(void **state)
{
	struct lu_luo s = LU_LUO_INIT;

	lu_luo_close(&s);
	s.fd = memfd_create("x", MFD_CLOEXEC);
	lu_luo_close(&s);
	assert_int_equal(s.fd, -EBADF);
	assert_int_equal(s.name[0], 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_both_kernels, reset), cmocka_unit_test_setup(test_errors, reset),
		cmocka_unit_test_setup(test_names, reset),        cmocka_unit_test_setup(test_open, reset),
		cmocka_unit_test_setup(test_close, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
