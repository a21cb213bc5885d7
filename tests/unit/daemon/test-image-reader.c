// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An image is read by a child: what it tells is what the file says, what is no regular file is never opened, what is
 * loaded is what was read whatever becomes of the file, and in the sandbox nothing else can be done.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "test.h"

#include "image-reader.h"
#include "make-image.h"
#include "sandbox.h"

static char dir[64];

static const char *at(const char *name)
{
	static char path[2][128];
	static int i;

	i = !i;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static int setup(void **state)
{
	uint8_t *data;
	sigset_t child;
	size_t size;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	if (!test_mkdtemp(dir))
		return -1;
	data = test_bzimage(&(struct test_image){ .compression = "gzip",
						  .is_signed = true,
						  .note = { .format = 3,
							    .min_version = 2,
							    .incompat = 6,
							    .ro_compat = 5,
							    .iommu = 0x7f,
							    .pkeep = "pkeep-v1" } },
			    &size);
	assert_int_equal(lu_write_file(AT_FDCWD, at("vmlinuz"), data, size, 0644), 0);
	free(data);
	return lu_write_file(AT_FDCWD, at("initrd"), "x", 1, 0600);
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

struct outcome {
	sd_event *event;
	int calls, fd, code, initrd_code;
	char what[512], initrd_what[512];
	struct lu_image image;
	unsigned int ticks;
};

static void on_read(void *userdata, struct lu_image_read *result)
{
	struct outcome *o = userdata;

	o->calls++;
	o->code = result->error.code;
	o->initrd_code = result->initrd_error.code;
	snprintf(o->what, sizeof(o->what), "%s", result->error.what ?: "");
	snprintf(o->initrd_what, sizeof(o->initrd_what), "%s", result->initrd_error.what ?: "");
	o->image = result->image;
	o->fd = steal_fd(&result->fd);
	sd_event_exit(o->event, 0);
}

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct outcome *o = userdata;

	o->ticks++;
	(void)sd_event_source_set_time_relative(s, 1000);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

/* The child is gone; a killed one may be left to the event loop. */
static void no_child_left(sd_event *event)
{
	siginfo_t si;

	for (int i = 0; i < 500 && waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0; i++)
		(void)sd_event_run(event, 10000);
	assert_int_equal(waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT), -1);
}

static void run(const struct lu_image_source *source, struct outcome *o)
{
	struct lu_image_reader *r = NULL;
	sd_event_source *tick = NULL;

	*o = (struct outcome){ .fd = -EBADF };
	assert_true(sd_event_new(&o->event) >= 0);
	assert_true(sd_event_add_time_relative(o->event, &tick, CLOCK_MONOTONIC, 0, 1, on_tick, o) >= 0);
	assert_int_equal(lu_image_reader_start(o->event, source, on_read, o, &r), 0);
	assert_true(sd_event_loop(o->event) >= 0);
	assert_int_equal(o->calls, 1);
	lu_image_reader_free(r);
	sd_event_source_disable_unref(tick);
	no_child_left(o->event);
	sd_event_unref(o->event);
}

static void test_found(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_image want;
	struct outcome o;

	run(&(struct lu_image_source){ .kernel = at("vmlinuz"), .initrd = at("initrd"), .may_open = true }, &o);
	expect(o.code == 0 && o.initrd_code == 0, "%s%s", o.what, o.initrd_what);
	assert_int_equal(lu_image_read(AT_FDCWD, at("vmlinuz"), &want, &e), 0);
	assert_string_equal(o.image.release, want.release);
	assert_string_equal(o.image.compression, "gzip");
	assert_int_equal(o.image.boot_protocol, want.boot_protocol);
	assert_int_equal(o.image.cmdline_max, want.cmdline_max);
	assert_true(o.image.relocatable == want.relocatable && o.image.loaded_high == want.loaded_high &&
		    o.image.entry_64 == want.entry_64 && o.image.above_4g == want.above_4g &&
		    o.image.level5 == want.level5 && o.image.is_signed && want.is_signed &&
		    o.image.kernel_size == want.kernel_size);
	assert_memory_equal(&o.image.abi, &want.abi, sizeof(want.abi));
	assert_true(want.abi.present && want.abi.pkernfs_version && want.abi.pkernfs_min_version &&
		    want.abi.pkernfs_incompat && want.abi.pkernfs_ro_compat && want.abi.iommu && want.abi.kho[0] &&
		    want.abi.luo[0] && want.abi.pkeep[0]);
	close(o.fd);
}

/* What stands in the file later is not what was judged; nor can the copy be changed, and nobody writes to it. */
static void test_cannot_change(void **state)
{
	_cleanup_free_ char *before = NULL, *copy = malloc(1 << 20);
	struct outcome o;
	char self[48];
	size_t size;
	int fd, writer;

	assert_int_equal(lu_read_file(AT_FDCWD, at("vmlinuz"), 1 << 20, &before, &size), 0);
	run(&(struct lu_image_source){ .kernel = at("vmlinuz"), .may_open = true }, &o);
	assert_int_equal(o.code, 0);
	fd = open(at("vmlinuz"), O_RDWR);
	assert_int_equal(pwrite(fd, "other", 5, 0), 5);
	assert_int_equal(pread(o.fd, copy, 1 << 20, 0), size);
	assert_memory_equal(copy, before, size);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", o.fd);
	assert_int_equal(fcntl(o.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	writer = open(self, O_RDWR);
	assert_int_equal(pwrite(writer, "other", 5, 0), -1);
	assert_int_equal(ftruncate(writer, 0), -1);
	assert_int_equal(ftruncate(writer, 1 << 20), -1);
	assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, writer, 0) == MAP_FAILED);
	close(writer);
	assert_int_equal(pwrite(fd, before, 5, 0), 5);
	close(fd);
	close(o.fd);
}

/* By a descriptor: what it was opened as counts, not what stands at the path. */
static void test_descriptors(void **state)
{
	_cleanup_close_ int good = open(at("vmlinuz"), O_RDONLY), place = open(at("vmlinuz"), O_PATH),
			    write_only = open(at("vmlinuz"), O_WRONLY), null = open("/dev/null", O_RDONLY);
	struct lu_image_source s = { .kernel = "/no/such/file", .initrd = "/no/initrd" };
	struct outcome o;

	s.kernel_fd = s.initrd_fd = good;
	(void)lseek(good, 7, SEEK_SET);
	run(&s, &o);
	expect(o.code == 0 && o.initrd_code == 0, "%s%s", o.what, o.initrd_what);
	close(o.fd);
	assert_int_equal(lseek(good, 0, SEEK_CUR), 7); /* the file stays the caller's */
	for (const int *bad = (const int[]){ place, write_only, null, 0 }; *bad; bad++) {
		s.kernel_fd = s.initrd_fd = *bad;
		run(&s, &o);
		expect(o.code < 0 && o.initrd_code < 0 && o.fd < 0, "descriptor %d", *bad);
		assert_non_null(strstr(o.what, "/no/such/file: is not a regular file that is open for reading"));
		assert_non_null(strstr(o.initrd_what, "/no/initrd: is not a regular file"));
	}
	/* none: only for root are paths opened */
	s = (struct lu_image_source){ .kernel = at("vmlinuz"), .initrd = at("initrd") };
	run(&s, &o);
	assert_true(o.code == -EACCES && o.initrd_code == -EACCES);
	assert_non_null(strstr(o.what, "vmlinuz: is not there, or not readable for the one who asks"));
}

/* Opening alone makes some devices do something. */
static void test_not_opened(void **state)
{
	static const struct {
		const char *name;
		mode_t mode;
	} nodes[] = { { "fifo", S_IFIFO }, { "null", S_IFCHR }, { "socket", S_IFSOCK }, { "directory", S_IFDIR } };
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct outcome o;
	char events[4096];

	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		const char *path = at(nodes[i].name);
		int r = nodes[i].mode == S_IFDIR ? mkdir(path, 0700) : mknod(path, nodes[i].mode | 0600, makedev(1, 3));

		if (r < 0) {
			print_message("%s can't be made: not tested\n", nodes[i].name);
			continue;
		}
		assert_true(inotify_add_watch(watch, path, IN_OPEN) >= 0);
		run(&(struct lu_image_source){ .kernel = path, .initrd = path, .may_open = true }, &o);
		expect(o.code < 0 && o.initrd_code < 0, "%s", nodes[i].name);
		expect(read(watch, events, sizeof(events)) < 0 && errno == EAGAIN, "%s was opened", nodes[i].name);
	}
	close(watch);
}

/* The loop goes on meanwhile, however long it takes: here a payload that unpacks for long. */
static void test_loop_goes_on(void **state)
{
	uint8_t *kernel = calloc(1, 64 << 20), *data;
	struct test_image t = { .compression = "none" };
	struct outcome o;
	size_t size;

	data = test_bzimage(&t, &size);
	kernel = realloc(kernel, (64 << 20) + size);
	memcpy(kernel, data, size);
	/* behind the image, where a signature may be */
	assert_int_equal(lu_write_file(AT_FDCWD, at("large"), kernel, 64 << 20, 0600), 0);
	free(kernel);
	free(data);
	run(&(struct lu_image_source){ .kernel = at("large"), .may_open = true }, &o);
	expect(o.code == 0, "%s", o.what);
	expect(o.ticks > 3, "%u ticks", o.ticks);
	close(o.fd);
}

static void test_bad_images(void **state)
{
	struct outcome o;

	assert_int_equal(lu_write_file(AT_FDCWD, at("text"), "no kernel\n", 10, 0600), 0);
	run(&(struct lu_image_source){ .kernel = at("text"), .may_open = true }, &o);
	assert_true(o.code == -ENOEXEC && o.fd < 0);
	assert_non_null(strstr(o.what, "text: not a Linux boot image"));
	run(&(struct lu_image_source){ .kernel = at("none"), .initrd = at("none"), .may_open = true }, &o);
	assert_true(o.code == -ENOENT && o.initrd_code == -ENOENT);
	assert_non_null(strstr(o.what, "none: No such file or directory"));
	assert_int_equal(lu_write_file(AT_FDCWD, at("empty"), "", 0, 0600), 0);
	run(&(struct lu_image_source){ .kernel = at("empty"), .initrd = at("empty"), .may_open = true }, &o);
	assert_true(o.code == -ENOEXEC && o.initrd_code == -ENODATA);
	assert_non_null(strstr(o.initrd_what, "empty: is empty"));
	/* larger than any image, and sparse */
	assert_int_equal(lu_write_file(AT_FDCWD, at("huge"), "", 0, 0600), 0);
	assert_int_equal(truncate(at("huge"), (off_t)LU_IMAGE_FILE_MAX + 1), 0);
	run(&(struct lu_image_source){ .kernel = at("huge"), .may_open = true }, &o);
	assert_int_equal(o.code, -EFBIG);
}

static void test_freed_early(void **state)
{
	struct outcome o = { 0 };
	struct lu_image_reader *r;

	assert_true(sd_event_new(&o.event) >= 0);
	assert_int_equal(lu_image_reader_start(o.event,
					       &(struct lu_image_source){ .kernel = at("vmlinuz"), .may_open = true },
					       on_read, &o, &r),
			 0);
	lu_image_reader_free(r);
	no_child_left(o.event);
	assert_int_equal(o.calls, 0);
	sd_event_unref(o.event);
}

/* --- the sandbox by itself --- */

static int in_sandbox(int (*what)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct lu_error e = LU_ERROR_INIT;

		if (lu_sandbox_enter(&e) < 0)
			_exit(100);
		_exit(what());
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int nothing(void)
{
	return 0;
}

static int memory(void)
{
	char *p = mmap(NULL, 512 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return 1;
	p[0] = 1;
	return munmap(p, 512 << 20) < 0;
}

#define FAILS(_name, _call)                                             \
	static int _name(void)                                          \
	{                                                               \
		return (_call) < 0 && errno == EPERM ? 0 : errno ?: 99; \
	}
FAILS(opens, open("/dev/null", O_RDONLY))
FAILS(sends, socket(AF_UNIX, SOCK_STREAM, 0))
FAILS(forks, (int)fork())
FAILS(kills, kill(getpid(), 0))
FAILS(runs, execl("/bin/true", "true", (char *)NULL))
FAILS(sets_uid, setuid(0))
FAILS(makes, memfd_create("x", 0))

#if !defined(__SANITIZE_ADDRESS__)
static int too_much(void)
{
	return mmap(NULL, LU_SANDBOX_MEMORY, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) !=
	       MAP_FAILED;
}
#endif

static void test_sandbox(void **state)
{
	assert_int_equal(in_sandbox(nothing), 0);
	assert_int_equal(in_sandbox(memory), 0);
	assert_int_equal(in_sandbox(opens), 0);
	assert_int_equal(in_sandbox(sends), 0);
	assert_int_equal(in_sandbox(forks), 0);
	assert_int_equal(in_sandbox(kills), 0);
	assert_int_equal(in_sandbox(runs), 0);
	assert_int_equal(in_sandbox(sets_uid), 0);
	assert_int_equal(in_sandbox(makes), 0);
#if !defined(__SANITIZE_ADDRESS__)
	assert_int_equal(in_sandbox(too_much), 0);
#endif
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),        cmocka_unit_test(test_cannot_change),
		cmocka_unit_test(test_descriptors),  cmocka_unit_test(test_not_opened),
		cmocka_unit_test(test_loop_goes_on), cmocka_unit_test(test_bad_images),
		cmocka_unit_test(test_freed_early),  cmocka_unit_test(test_sandbox),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
