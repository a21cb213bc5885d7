// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The flight recorder: parallel writers, the bound, damage, and the computation of
 * intervals and of the TSC's rate over two kernels.
 */
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trace.h"

#define UPDATE "01234567-89ab-cdef-0123-456789abcdef"
#define BOOT_A "aaaaaaaa-0000-0000-0000-00000000000a"
#define BOOT_B "bbbbbbbb-0000-0000-0000-00000000000b"

static char dir[64];
static int dfd = -EBADF;

static int setup(void **state)
{
	if (!test_mkdtemp(dir))
		return -1;
	dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dfd < 0;
}

static int teardown(void **state)
{
	unlinkat(dfd, "t", 0);
	close(dfd);
	return rmdir(dir);
}

static struct lu_stamp at(uint64_t tsc, uint64_t ns)
{
	return (struct lu_stamp){ .tsc = tsc, .boottime_ns = ns, .realtime_ns = 1 };
}

/* Two kernels at 2 GHz, the second one's boottime begins anew; written out of order. */
static void write_sample(void)
{
	struct lu_trace *t;
	struct lu_stamp s;

	assert_int_equal(lu_trace_create(dfd, "t", UPDATE, 0, LU_TRACE_LUCTLD, &t, NULL), 0);
	lu_trace_free(t);
	assert_int_equal(lu_trace_open(dfd, "t", BOOT_A, LU_TRACE_LUCTLD, &t, NULL), 0);
	s = at(2000000000, 1000000000);
	lu_trace_add_at(t, &s, LU_PHASE_UPDATE, LU_TRACE_NO_VM, LU_TRACE_BEGIN, 0, NULL);
	s = at(4000000000, 2000000000);
	lu_trace_add_at(t, &s, LU_PHASE_VM_SAVE, 0, LU_TRACE_BEGIN, 0, "web1");
	s = at(4000002000, 2000001000);
	lu_trace_add_at(t, &s, LU_PHASE_VM_SAVE, 1, LU_TRACE_BEGIN, 0, "a tag that is far too long");
	s = at(4000006000, 2000003000);
	lu_trace_add_at(t, &s, LU_PHASE_VM_SAVE, 1, LU_TRACE_END, -EIO, NULL);
	s = at(4000005000, 2000002500);
	lu_trace_add_at(t, &s, LU_PHASE_VM_SAVE, 0, LU_TRACE_END, 0, NULL);
	s = at(4000008000, 2000004000);
	lu_trace_add_at(t, &s, LU_PHASE_KEXEC, LU_TRACE_NO_VM, LU_TRACE_BEGIN, 0, NULL);
	s = at(4000008001, 2000004000);
	lu_trace_add_at(t, &s, LU_STATE_JUMP, LU_TRACE_NO_VM, LU_TRACE_BEGIN, 0, NULL);
	lu_trace_free(t);

	assert_int_equal(lu_trace_open(dfd, "t", BOOT_B, LU_TRACE_LU_INIT, &t, NULL), 0);
	s = at(6000008000, 500000000);
	lu_trace_add_at(t, &s, LU_PHASE_KEXEC, LU_TRACE_NO_VM, LU_TRACE_END, 0, NULL);
	s = at(6000010000, 500001000);
	lu_trace_add_at(t, &s, LU_PHASE_LU_INIT, LU_TRACE_NO_VM, LU_TRACE_MARK, 0, NULL);
	s = at(6000012000, 500002000);
	lu_trace_add_at(t, &s, LU_PHASE_VM_LOAD, 0, LU_TRACE_END, 0, "no begin");
	lu_trace_free(t);
}

static void test_intervals(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ struct lu_trace_interval *iv = NULL;
	struct lu_trace_log log;
	size_t n;

	write_sample();
	assert_int_equal(lu_trace_load(dfd, "t", &log, &e), 0);
	assert_int_equal(log.n_records, 10);
	assert_int_equal(log.damaged, 0);
	assert_int_equal(log.dropped, 0);
	assert_string_equal(log.update, UPDATE);
	assert_int_equal(lu_tsc_rate_khz(&log.rate), 2000000);
	for (size_t i = 1; i < log.n_records; i++)
		assert_true(log.records[i - 1].stamp.tsc <= log.records[i].stamp.tsc);
	assert_string_equal(log.records[2].tag, "a tag that is far to");
	assert_int_equal(log.records[0].source, LU_TRACE_LUCTLD);
	assert_int_equal(log.records[9].source, LU_TRACE_LU_INIT);
	assert_int_equal(log.records[9].vm, 0);

	assert_int_equal(lu_trace_intervals(&log, &iv, &n), 0);
	assert_int_equal(n, 5);
	assert_int_equal(iv[0].begin->phase, LU_PHASE_UPDATE);
	assert_null(iv[0].end);
	assert_int_equal(iv[1].begin->vm, 0);
	assert_int_equal(lu_tsc_to_usec(&log.rate, iv[1].end->stamp.tsc - iv[1].begin->stamp.tsc), 3); /* 2.5 */
	assert_int_equal(iv[2].begin->vm, 1);
	assert_int_equal(iv[2].end->result, -EIO);
	assert_int_equal(lu_tsc_to_usec(&log.rate, iv[2].end->stamp.tsc - iv[2].begin->stamp.tsc), 2);
	/* over the jump */
	assert_int_equal(iv[3].begin->phase, LU_PHASE_KEXEC);
	assert_true(iv[3].begin->boot != iv[3].end->boot);
	assert_int_equal(lu_tsc_to_usec(&log.rate, iv[3].end->stamp.tsc - iv[3].begin->stamp.tsc), 1000000);
	assert_int_equal(iv[4].begin->phase, LU_STATE_JUMP);
	lu_trace_log_done(&log);
	assert_null(log.records);
}

static void test_rate(void **state)
{
	struct lu_stamp a = at(100, 1000), b = at(3100, 2000), max = at(UINT64_MAX, UINT64_MAX);
	struct lu_tsc_rate r = lu_tsc_rate_between(&a, &b), unset = lu_tsc_rate_between(&b, &a);

	assert_int_equal(lu_tsc_rate_khz(&r), 3000000);
	assert_int_equal(lu_tsc_to_usec(&r, 3000000), 1000);
	assert_int_equal(lu_tsc_rate_khz(&unset), 0);
	assert_int_equal(lu_tsc_to_usec(&unset, 1000), 0);
	unset = lu_tsc_rate_between(&a, &a);
	assert_int_equal(lu_tsc_rate_khz(&unset), 0);
	/* no overflow: 2^64 cycles at 3 GHz are 195 years */
	assert_int_equal(lu_tsc_to_usec(&r, UINT64_MAX), UINT64_MAX / 3000);
	r = lu_tsc_rate_between(&a, &max);
	assert_true(lu_tsc_rate_khz(&r) == 1000000);
	/* the real clock: between 0.5 and 10 GHz */
	a = lu_stamp_now();
	usleep(20000);
	b = lu_stamp_now();
	r = lu_tsc_rate_between(&a, &b);
	assert_in_range(lu_tsc_rate_khz(&r), 500000, 10000000);
	assert_in_range(lu_tsc_to_usec(&r, b.tsc - a.tsc), 20000, 2000000);
}

static void test_parallel(void **state)
{
	enum {
		WRITERS = 6,
		EACH = 300
	};
	unsigned int seen[WRITERS] = { 0 };
	struct lu_trace_log log;
	struct lu_trace *t;

	assert_int_equal(lu_trace_create(dfd, "t", UPDATE, 0, LU_TRACE_LU_INIT, &t, NULL), 0);
	for (unsigned int w = 0; w < WRITERS; w++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			for (unsigned int i = 0; i < EACH; i++)
				lu_trace_add(t, LU_PHASE_VM_LOAD, w, LU_TRACE_MARK, -(int)i, "child");
			_exit(0);
		}
	}
	for (unsigned int w = 0; w < WRITERS; w++) {
		int status;

		assert_true(wait(&status) > 0 && status == 0);
	}
	assert_int_equal(lu_trace_dropped(t), 0);
	lu_trace_free(t);
	assert_int_equal(lu_trace_load(dfd, "t", &log, NULL), 0);
	assert_int_equal(log.n_records, WRITERS * EACH);
	assert_int_equal(log.damaged, 0);
	for (size_t i = 0; i < log.n_records; i++) {
		const struct lu_trace_record *r = &log.records[i];

		/* each writer's records in its own order, none missing */
		assert_in_range(r->vm, 0, WRITERS - 1);
		assert_int_equal(-r->result, seen[r->vm]++);
	}
	lu_trace_log_done(&log);
}

static void test_bound(void **state)
{
	struct lu_trace_log log;
	struct lu_trace *t;
	struct stat st;

	assert_int_equal(lu_trace_create(dfd, "t", UPDATE, LU_TRACE_RECORDS_MAX + 1, LU_TRACE_LUCTLD, &t, NULL),
			 -EINVAL);
	assert_int_equal(lu_trace_create(dfd, "t", UPDATE, 5, LU_TRACE_LUCTLD, &t, NULL), 0);
	for (int i = 0; i < 8; i++)
		lu_trace_add(t, LU_STATE_SAVING, LU_TRACE_NO_VM, LU_TRACE_MARK, i, NULL);
	assert_int_equal(lu_trace_dropped(t), 3);
	lu_trace_free(t);
	assert_int_equal(fstatat(dfd, "t", &st, 0), 0);
	assert_int_equal(st.st_size, 4096 + 5 * 64);
	assert_int_equal(lu_trace_load(dfd, "t", &log, NULL), 0);
	assert_int_equal(log.n_records, 5);
	assert_int_equal(log.dropped, 3);
	assert_int_equal(log.records[4].result, 4);
	lu_trace_log_done(&log);
	/* without a recorder nothing happens */
	lu_trace_add(NULL, LU_STATE_SAVING, 0, LU_TRACE_MARK, 0, NULL);
	assert_int_equal(lu_trace_dropped(NULL), 0);
	lu_trace_free(NULL);
}

/* A flipped bit costs its record; in the header it is noticed. A cut costs what is cut. */
static void test_damage(void **state)
{
	_cleanup_free_ char *data = NULL;
	struct lu_trace_log log;
	size_t size;

	write_sample();
	assert_int_equal(lu_read_file(dfd, "t", 1 << 20, &data, &size), 0);
	assert_int_equal(size, 4096 + 10 * 64);
	for (size_t bit = 0; bit < size * 8; bit++) {
		size_t byte = bit / 8;
		int r;

		data[byte] ^= (char)(1 << bit % 8);
		r = lu_trace_decode(data, size, "FILE", &log, NULL);
		if (byte < offsetof(struct lu_trace_header, dropped)) {
			expect(r == -EBADMSG, "bit %zu: %d", bit, r);
		} else {
			expect(r == 0, "bit %zu: %d", bit, r);
			expect(log.damaged == (byte >= 4096), "bit %zu", bit);
			expect(log.n_records + log.damaged == 10, "bit %zu", bit);
			lu_trace_log_done(&log);
		}
		data[byte] ^= (char)(1 << bit % 8);
	}
	for (size_t n = 0; n < size; n++) {
		_cleanup_free_ char *copy = malloc(n ?: 1);
		int r;

		memcpy(copy, data, n);
		r = lu_trace_decode(copy, n, "FILE", &log, NULL);
		if (n < 4096) {
			expect(r == -EBADMSG, "cut at %zu: %d", n, r);
			continue;
		}
		expect(r == 0 && log.n_records == (n - 4096) / 64 && log.damaged == 0, "cut at %zu", n);
		lu_trace_log_done(&log);
	}
}

static void test_torn(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *data = NULL;
	struct lu_trace_log log;
	struct lu_trace *t = NULL;
	size_t size;

	write_sample();
	assert_int_equal(lu_read_file(dfd, "t", 1 << 20, &data, &size), 0);
	assert_int_equal(lu_write_file(dfd, "t", data, size - 1, 0600), 0);
	assert_int_equal(lu_trace_open(dfd, "t", NULL, LU_TRACE_LUCTLD, &t, NULL), 0);
	lu_trace_add(t, LU_STATE_SAVING, LU_TRACE_NO_VM, LU_TRACE_MARK, 0, "after");
	lu_trace_free(steal_ptr(t));
	assert_int_equal(lu_trace_load(dfd, "t", &log, NULL), 0);
	assert_int_equal(log.n_records, 10);
	assert_int_equal(log.damaged, 0);
	assert_int_equal(lu_phase_name(log.records[0].phase) != NULL, 1);
	lu_trace_log_done(&log);

	assert_int_equal(lu_write_file(dfd, "t", "short", 5, 0600), 0);
	assert_int_equal(lu_trace_open(dfd, "t", NULL, LU_TRACE_LUCTLD, &t, &e), -EBADMSG);
	assert_null(t);
	data[9] ^= 1;
	assert_int_equal(lu_write_file(dfd, "t", data, size, 0600), 0);
	assert_int_equal(lu_trace_open(dfd, "t", NULL, LU_TRACE_LUCTLD, &t, NULL), -EBADMSG);
	assert_int_equal(lu_trace_open(dfd, "nosuch", NULL, LU_TRACE_LUCTLD, &t, NULL), -ENOENT);
}

static void test_names(void **state)
{
	for (unsigned int i = LU_PHASE_UPDATE; i < LU_PHASE_MAX; i++)
		assert_non_null(lu_phase_name(i));
	assert_string_equal(lu_phase_name(LU_PHASE_SYNC), "sync");
	assert_string_equal(lu_phase_name(LU_STATE_JUMP), "jump");
	assert_null(lu_phase_name(LU_PHASE_MAX));
	assert_null(lu_phase_name(LU_STATE_MAX));
	assert_int_equal(LU_PHASE_VM_BLACKOUT, 73); /* stands in files */
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_intervals), cmocka_unit_test(test_rate),   cmocka_unit_test(test_parallel),
		cmocka_unit_test(test_bound),     cmocka_unit_test(test_damage), cmocka_unit_test(test_torn),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("trace", tests, setup, teardown);
}
