/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* cmocka and what it wants to be included before it, plus a few checks that name the case. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* Fails with a text that says which case of a table it was. */
#define fail_case(...)                    \
	do {                              \
		print_error(__VA_ARGS__); \
		print_error("\n");        \
		fail();                   \
	} while (0)

#define expect(cond, ...)                           \
	do {                                        \
		if (!(cond)) {                      \
			print_error("%s: ", #cond); \
			fail_case(__VA_ARGS__);     \
		}                                   \
	} while (0)

static inline size_t test_read_proc(pid_t pid, const char *name, char text[static 64])
{
	char path[48];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	f = fopen(path, "re");
	n = f ? fread(text, 1, 63, f) : 0;
	text[n] = '\0';
	if (f)
		fclose(f);
	return n;
}

/* Calls @fn for each thread of a process whose name begins like this; the sum of what it returns. */
static inline int test_each_thread(pid_t pid, const char *begin, int (*fn)(pid_t tid))
{
	char name[64], file[48];
	struct dirent *d;
	DIR *list;
	int n = 0;

	snprintf(file, sizeof(file), "/proc/%d/task", (int)pid);
	list = opendir(file);
	assert_non_null(list);
	while ((d = readdir(list)))
		if (atoi(d->d_name) > 0 && test_read_proc(atoi(d->d_name), "comm", name) &&
		    !strncmp(name, begin, strlen(begin)))
			n += fn(atoi(d->d_name));
	closedir(list);
	return n;
}

/*
 * Waits until a child that was to execute a program which sleeps does sleep. The end of a descriptor that is closed by
 * exec says less: the kernel closes it before /proc has the program's words, and then its libraries are still to be mapped.
 */
static inline void test_wait_asleep(pid_t pid)
{
	char text[64];

	for (int tries = 0; tries < 6000; tries++) {
		/* gone, or ended */
		if (!test_read_proc(pid, "stat", text) || strstr(text, ") Z "))
			return;
		(void)test_read_proc(pid, "syscall", text);
		if (atoi(text) == SYS_clock_nanosleep)
			return;
		usleep(10000);
	}
	fail_msg("process %d does not come to sleep", (int)pid);
}

/* A directory of the test's own, in memory if the machine has /dev/shm: thousands of syncs are made in it. */
static inline char *test_mkdtemp(char path[64])
{
	snprintf(path, 64, "%s/luctl-test-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	return mkdtemp(path);
}
