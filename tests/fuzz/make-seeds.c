// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Seeds that are no text: make-seeds DIR writes DIR/TARGET/NAME. Boot images in each compression, a journal and a
 * flight recorder of a small update, a journal of calls, a CPR stream, changes to a pkernfs. The first byte is for the
 * target.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#include "cpr.h"
#include "journal.h"
#include "make-image.h"
#include "sample-calls.h"
#include "trace.h"

#define UPDATE "00000000-aaaa-4000-8000-000000000001"

static int out;

static void put(const char *target, const char *name, char first, const void *data, size_t size)
{
	char path[128];
	int fd;

	(void)mkdirat(out, target, 0755);
	snprintf(path, sizeof(path), "%s/%s", target, name);
	fd = openat(out, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	promise(fd >= 0 && lu_write_all(fd, &first, 1) == 0 && lu_write_all(fd, data, size) == 0 && close(fd) == 0);
}

static void images(void)
{
	static const char *const kinds[] = { "gzip", "bzip2", "lzma", "xz", "lz4", "none", "zstd" };
	struct test_image plain = { 0 };
	size_t size;
	uint8_t *p;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct test_image t = { .compression = kinds[i] };

		p = test_bzimage(&t, &size);
		put("image", kinds[i], '0', p, size);
		free(p);
	}
	p = test_vmlinux(&plain, &size);
	put("image", "vmlinux", '0', p, size);
	put("image", "vmlinux-in-setup", '1', p, size);
	free(p);
}

static void from_file(const char *target, const char *file)
{
	char *data;
	size_t size;

	promise(lu_read_file(out, file, 1 << 20, &data, &size) == 0 && unlinkat(out, file, 0) == 0);
	put(target, "update", '0', data, size);
	put(target, "update-right", '1', data, size);
	free(data);
}

static void records(void)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT, cause = LU_ERROR_INIT;
	struct lu_journal *j;
	struct lu_trace *t;

	promise(lu_journal_create(out, "journal.tmp", UPDATE, NULL, &j, &e) == 0);
	(void)lu_error_set(&cause, -EIO, "try again", "VM a: saving its state: %s", strerror(EIO));
	for (unsigned int s = 1; s < 8; s++)
		promise(lu_journal_append(j, (enum lu_state)s, LU_EVENT_OK, s == 7 ? &cause : NULL, &e) == 0);
	lu_journal_free(j);
	from_file("journal", "journal.tmp");
	promise(lu_trace_create(out, "trace.tmp", UPDATE, 64, LU_TRACE_LUCTLD, &t, &e) == 0);
	for (unsigned int s = 1; s < 8; s++) {
		lu_trace_add(t, s, 0, LU_TRACE_BEGIN, 0, "tag");
		lu_trace_add(t, s, 0, LU_TRACE_END, 0, NULL);
	}
	lu_trace_free(t);
	from_file("trace", "trace.tmp");
}

static void calls(void)
{
	_cleanup_calls_ struct lu_calls c;
	struct lu_calls_outcome outcome = { .tsc = 1, .boot = 2, .call = 3, .error = -EINVAL };
	struct lu_calls_result result;
	uint8_t data[8192];
	size_t size;
	void *p;

	sample_calls(&c);
	promise(lu_calls_encode(&c, &p, &size, NULL) == 0 && size + sizeof(result) <= sizeof(data));
	memcpy(data, p, size);
	free(p);
	put("calls", "sealed", '0', data, size);
	put("calls", "right", '1', data, size);
	put("calls", "right-lengths", '2', data, size);
	lu_calls_encode_outcome(&c, &outcome, &result);
	memcpy(data + size, &result, sizeof(result));
	put("calls", "result", '0', data, size + sizeof(result));
	put("calls", "torn", '0', data, size + 9);
}

static void streams(void)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_cpr_fd fds[] = { { (char *)"pc.bios", 0, 5 },
				   { (char *)"hostpci0", 0, 6 },
				   { (char *)"hostpci0", 1, 7 } };
	struct lu_cpr_device device = { (char *)"hostpci0", 1, 2, 3 };
	struct lu_cpr cpr = { .fds = fds, .n_fds = ARRAY_SIZE(fds), .devices = &device, .n_devices = 1 };
	const int numbers[] = { 5, 6, 7 };
	size_t size;
	void *p;

	promise(lu_cpr_encode_exec(&cpr, numbers, &p, &size, &e) == 0);
	put("cpr", "three", 3, p, size);
	free(p);
}

static void changes(void)
{
	uint8_t c[22] = { 0, 0, 4, 0, 1, 2, 3 };

	for (char kind = '0'; kind < '6'; kind++) {
		char name[] = { 'c', kind, '\0' };

		c[11] = (uint8_t)kind;
		put("pkernfs", name, kind, c, sizeof(c));
	}
}

int main(int argc, char **argv)
{
	promise(argc == 2);
	(void)mkdir(argv[1], 0755);
	out = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	promise(out >= 0);
	images();
	records();
	calls();
	streams();
	changes();
	return 0;
}
