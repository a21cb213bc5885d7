// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What /proc tells of a process that says to be a QEMU: it chooses most of it. The input is the files below, one
 * after the other, each ended by FF FE. What is judged fit to be started again can be written down and be started.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "argv.h"
#include "fuzz.h"
#include "launch.h"
#include "reasons.h"

static const char *const files[] = { "cmdline", "environ",  "status",   "limits",    "cgroup", "oom_score_adj",
				     "maps",    "fdinfo/5", "net/unix", "mountinfo", "stat" };
static int proc = -EBADF, process = -EBADF;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char path[] = "/dev/shm/luctl-fuzz-XXXXXX";

	promise(mkdtemp(path));
	proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	promise(proc >= 0 && mkdirat(proc, "7", 0700) == 0);
	process = openat(proc, "7", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	promise(process >= 0 && mkdirat(process, "fd", 0700) == 0 && mkdirat(process, "fdinfo", 0700) == 0 &&
		mkdirat(process, "net", 0700) == 0);
	promise(symlinkat("/bin/cat", process, "exe") == 0 && symlinkat("/", process, "cwd") == 0 &&
		symlinkat("/", process, "root") == 0 && symlinkat("/bin/cat", process, "fd/5") == 0);
	return 0;
}

static void put(const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_close_ int fd = openat(process, files[i], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		const uint8_t *stop = memmem(data, (size_t)(end - data), "\xff\xfe", 2);
		size_t n = (size_t)((stop ?: end) - data);

		promise(fd >= 0 && lu_write_all(fd, data, n) == 0);
		data = stop ? stop + 2 : end;
	}
}

static char *copy(const char *s)
{
	return exact_text(s, strlen(s));
}

/* What the caller of the capture adds, and then everybody's next steps. */
static void start_again(struct lu_launch *l)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *text = NULL;
	char **argv = NULL;

	l->name = copy("a");
	l->uuid = copy("6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c000a");
	l->qmp = copy("/q");
	l->ram = calloc(1, sizeof(*l->ram));
	promise(l->ram);
	l->n_ram = 1;
	l->ram[0] = (struct lu_launch_ram){ .path = copy("/x"), .size = 1 };
	if (lu_json_encode_text(&lu_launch_table, l, &text, &e) < 0) {
		promise(e.what);
		return;
	}
	promise(lu_launch_argv(l, true, &argv) == 0);
	lu_argv_free(argv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_reasons why = { 0 };
	struct lu_launch l = { 0 };
	const struct lu_capture_from from = { .proc_fd = proc, .pkernfs = "/run/luctl/pkernfs", .reasons = &why };

	put(data, size);
	if (lu_launch_capture(&from, 7, &l, &e) < 0)
		promise(e.what);
	else if (!lu_reasons_any(&why))
		start_again(&l);
	lu_launch_clear(&l);
	lu_reasons_clear(&why);
	return 0;
}
