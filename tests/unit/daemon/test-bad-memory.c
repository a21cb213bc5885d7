// SPDX-License-Identifier: GPL-2.0-or-later
/* Bad pages of files are counted, by what madvise() says. It is wrapped: a page that begins with 'B' is bad, and a hole must not be asked for. */
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bad-memory.h"

#define PAGE 4096u

static char dir[] = "/dev/shm/luctl-bad-XXXXXX";
static int broken; /* errno of each call */

int __wrap_madvise(char *at, size_t size, int advice);

int __wrap_madvise(char *at, size_t size, int advice)
{
	int bad = 0;

	if (advice != MADV_POPULATE_READ || size == 0 || size % PAGE || (uintptr_t)at % PAGE)
		bad = EINVAL;
	for (size_t i = 0; !bad && i < size; i += PAGE)
		bad = at[i] == 'B' ? EHWPOISON : at[i] == '\0' ? EDOM : 0;
	errno = broken ? broken : bad;
	return errno ? -1 : 0;
}

/* A letter a page: 'B' bad, 'g' good, '.' a hole */
static void make(const char *name, const char *pages, off_t more, char *ret_path)
{
	int fd;

	sprintf(ret_path, "%s/%s", dir, name);
	fd = open(ret_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	for (size_t i = 0; pages[i]; i++)
		if (pages[i] != '.')
			assert_int_equal(pwrite(fd, &pages[i], 1, (off_t)(i * PAGE)), 1);
	assert_int_equal(ftruncate(fd, (off_t)(strlen(pages) * PAGE) + more), 0);
	close(fd);
}

struct ended {
	sd_event *event;
	int r;
	char what[256];
};

static void on_done(void *userdata, int r, struct lu_error *e)
{
	struct ended *end = userdata;

	end->r = r;
	snprintf(end->what, sizeof(end->what), "%s", e->what ?: "");
	sd_event_exit(end->event, 0);
}

static struct lu_bad_memory *look(const char *const *paths, size_t n, struct ended *end)
{
	struct lu_bad_memory *b = NULL;

	*end = (struct ended){ .r = 1 };
	assert_int_equal(sd_event_new(&end->event), 0);
	assert_int_equal(lu_bad_memory_start(end->event, paths, n, on_done, end, &b), 0);
	assert_true(sd_event_loop(end->event) >= 0);
	return b;
}

static void test_counts(void **state)
{
	static const struct {
		const char *pages;
		off_t more; /* bytes beyond them */
		uint64_t bad;
	} files[] = {
		{ "", 0, 0 },
		{ "g", 0, 0 },
		{ "B", 0, 1 },
		{ "BgB", 0, 2 },
		{ "gggBggggBBggggggggggB", 0, 4 },
		{ "BBBBBBB", 0, 7 },
		{ "..gB..Bg....B...", 0, 3 },
		{ "........", 0, 0 },
		{ "ggB", -4000, 1 },
		{ "gB", 4000, 1 },
	};
	char path[ARRAY_SIZE(files)][64];
	const char *paths[ARRAY_SIZE(files)];
	struct lu_bad_memory *b;
	struct ended end;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char name[8];

		sprintf(name, "%zu", i);
		make(name, files[i].pages, files[i].more, path[i]);
		paths[i] = path[i];
	}
	b = look(paths, ARRAY_SIZE(files), &end);
	if (end.r)
		print_error("%s\n", end.what);
	assert_int_equal(end.r, 0);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (lu_bad_memory_pages(b, paths[i]) != files[i].bad)
			print_error("%s\n", files[i].pages);
		assert_int_equal(lu_bad_memory_pages(b, paths[i]), files[i].bad);
		unlink(paths[i]);
	}
	assert_true(lu_bad_memory_pages(b, "/elsewhere") == LU_BAD_MEMORY_UNKNOWN);
	assert_true(lu_bad_memory_pages(NULL, paths[0]) == LU_BAD_MEMORY_UNKNOWN);
	lu_bad_memory_free(b);
	sd_event_unref(end.event);
}

/* What can't be looked through is not known, and keeps nothing else from being */
static void test_errors(void **state)
{
	char good[64], missing[64];
	const char *paths[] = { missing, "/dev/zero", good };
	struct lu_bad_memory *b;
	struct ended end;

	make("good", "gBg", 0, good);
	sprintf(missing, "%s/missing", dir);
	b = look(paths, ARRAY_SIZE(paths), &end);
	assert_int_equal(end.r, -ENOENT);
	assert_non_null(strstr(end.what, missing));
	assert_true(lu_bad_memory_pages(b, missing) == LU_BAD_MEMORY_UNKNOWN);
	assert_true(lu_bad_memory_pages(b, "/dev/zero") == LU_BAD_MEMORY_UNKNOWN);
	assert_int_equal(lu_bad_memory_pages(b, good), 1);
	lu_bad_memory_free(b);
	sd_event_unref(end.event);
	/* a kernel without MADV_POPULATE_READ, or a fault that is none of memory's */
	broken = EFAULT;
	b = look(&paths[2], 1, &end);
	assert_int_equal(end.r, -EFAULT);
	assert_true(lu_bad_memory_pages(b, good) == LU_BAD_MEMORY_UNKNOWN);
	lu_bad_memory_free(b);
	sd_event_unref(end.event);
	broken = 0;
	unlink(good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_errors),
	};
	sigset_t child;
	int r;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &child, NULL) < 0 || !mkdtemp(dir))
		return 1;
	r = cmocka_run_group_tests_name("bad memory", tests, NULL, NULL);
	rmdir(dir);
	return r;
}
