// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Documents that are only read as files, with what their readers look at beyond the table: request.json of an update ('q'),
 * measured.json ('m') and limits.json ('u').
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#include "../../daemon/host/unit-limits.h"
#include "../../daemon/update/measured.h"
#include "../../daemon/launch/request.h"

static int dir = -EBADF;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char path[] = "/dev/shm/luctl-fuzz-XXXXXX";

	promise(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	promise(dir >= 0 && mkdirat(dir, "update", 0700) == 0);
	return 0;
}

static void put(const char *name, const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	promise(fd >= 0 && lu_write_all(fd, data, size) == 0);
}

static void request(void)
{
	struct lu_request_doc doc = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	if (lu_request_doc_read(dir, &doc, &e) < 0)
		promise(e.what);
	else
		promise(lu_request_doc_write(dir, &doc, &e) == 0);
	lu_request_doc_clear(&doc);
}

static void measured(void)
{
	struct lu_measured m = { 0 };
	struct lu_prediction p = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	if (lu_measured_read(dir, "measured.json", &m, &e) < 0)
		promise(e.what);
	else
		lu_measured_predict(&m, "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c0001", 2, &p);
	lu_measured_clear(&m);
}

static void limits(void)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_limits l = { 0 }, copy = { 0 };

	if (lu_limits_read(dir, &l, &e) < 0) {
		promise(e.what);
		return;
	}
	promise(lu_limits_copy(&l, &copy) == 0 && copy.n == l.n);
	lu_limits_clear(&copy);
	lu_limits_clear(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	if (data[0] == 'q') {
		put("update/request.json", data + 1, size - 1);
		request();
	} else if (data[0] == 'm') {
		put("measured.json", data + 1, size - 1);
		measured();
	} else if (data[0] == 'u') {
		put("limits.json", data + 1, size - 1);
		limits();
	}
	return 0;
}
