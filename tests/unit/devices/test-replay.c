// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The plan's order, and what comes of it on the fake kernel: what was replayed from the files is collected again and
 * must give the same calls. Every call and every allocation fails once; a second run must complete what
 * the first began; no file may be left over; and what came of each call stands in the journal.
 */
#include <limits.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "sample-vm.h"

static unsigned int allocations, no_memory_at; /* 0: none fails */

static bool fails(void)
{
	return no_memory_at && ++allocations == no_memory_at;
}

#define WRAP(_type, _name, _args, _call)       \
	_type __real_##_name _args;            \
	_type __wrap_##_name _args;            \
	_type __wrap_##_name _args             \
	{                                      \
		return fails() ? NULL : _call; \
	}
WRAP(void *, malloc, (size_t n), __real_malloc(n))
WRAP(void *, calloc, (size_t n, size_t size), __real_calloc(n, size))
WRAP(void *, reallocarray, (void *p, size_t n, size_t size), __real_reallocarray(p, n, size))
WRAP(char *, strdup, (const char *s), __real_strdup(s))

#define VM_UUID "11111111-2222-4333-8444-555555555555"

/* A VM, what was collected and written of it, and its files gone as after a kexec; the session still has the memfd. */
struct after {
	struct vm vm;
	struct lu_devices d, read;
	struct lu_calls calls;
	uint64_t size;
	uint32_t crc;
	int dir; /* of the VM in pkernfs */
	struct lu_replay_memfd memfd;
	struct lu_replay_from from;
	int fds; /* that were open before any replay */
};

/* Written as it is now, and read again. */
static void write_again(struct after *a)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	lu_devices_clear(&a->read);
	lu_calls_clear(&a->calls);
	expect(lu_devices_write(a->dir, VM_UUID, &a->d, &a->size, &a->crc, &e) == 0, "%s", e.what);
	expect(lu_devices_read(a->dir, VM_UUID, a->size, a->crc, &a->read, &a->calls, &e) == 0, "%s", e.what);
}

static void after_kexec(struct after *a, bool two)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	const struct lu_cpr_fd *bios;

	memset(a, 0, sizeof(*a));
	vm_new(&a->vm, two);
	vm_iommufd(&a->vm)->by_process = two;
	expect(lu_devices_collect(&a->vm.cpr, &a->vm.from, &a->d, &e) == 0, "%s", e.what);
	assert_int_equal(mkdirat(a->vm.f->pkernfs_fd, "vm", 0700), 0);
	a->dir = openat(a->vm.f->pkernfs_fd, "vm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(a->dir >= 0);
	write_again(a);
	bios = lu_cpr_find(&a->vm.cpr, "pc.bios", 0);
	a->memfd = (struct lu_replay_memfd){ .token = 1, .fd = fcntl(bios->fd, F_DUPFD_CLOEXEC, 3) };
	a->from = (struct lu_replay_from){
		.sys_fd = a->vm.f->sys_fd,
		.dev_fd = -EBADF,
		.pkernfs_fd = a->vm.f->pkernfs_fd,
		.memfds = &a->memfd,
		.n_memfds = 1,
		.timeout_ms = 30,
		.log_fd = -EBADF,
		.ops = &a->vm.f->ops,
	};
	lu_cpr_clear(&a->vm.cpr);
	fake_forget(a->vm.f);
	a->fds = count_fds();
}

static void after_free(struct after *a)
{
	close(a->memfd.fd);
	close(a->dir);
	lu_devices_clear(&a->d);
	lu_devices_clear(&a->read);
	lu_calls_clear(&a->calls);
	vm_free(&a->vm);
}

static int start(struct after *a, struct lu_replay **ret, struct lu_error *e)
{
	return lu_replay_new(ret, &a->read, &a->calls, &a->from, e);
}

static void encode(const struct lu_devices *d, void **ret, size_t *ret_size)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_calls_ struct lu_calls c;

	assert_int_equal(lu_devices_plan(d, &c), 0);
	strcpy(c.vm, VM_UUID);
	strcpy(c.boot_id, VM_UUID);
	expect(lu_calls_encode(&c, ret, ret_size, &e) == 0, "%s", e.what);
}

static bool is_kicked(const struct lu_devices_fd *f)
{
	return !strcmp(f->name, "hostdev0_kvm_interrupt") || (!strcmp(f->name, "hostdev0_interrupt") && f->id == 2);
}

/* @cpr is as it was when @a was collected, but for one more signal of each MSI-X interrupt. */
static void check_same(struct after *a, const struct lu_cpr *cpr)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ void *before = NULL, *after = NULL;
	unsigned int kicked = 0;
	struct lu_devices d;
	size_t n, m;

	expect(!a->vm.f->broken, "%s", a->vm.f->broken);
	expect(lu_devices_collect(cpr, &a->vm.from, &d, &e) == 0, "%s", e.what);
	for (size_t i = 0; i < d.n_fds; i++) {
		if (is_kicked(&d.fds[i])) {
			d.fds[i].eventfd->count--;
			kicked++;
		}
	}
	assert_int_equal(kicked, 2);
	encode(&a->d, &before, &n);
	encode(&d, &after, &m);
	assert_true(n == m && !memcmp(before, after, n));
	lu_devices_clear(&d);
	for (size_t i = 0; i < cpr->n_fds; i++)
		assert_true(cpr->fds[i].fd >= 0 && (fcntl(cpr->fds[i].fd, F_GETFD) & FD_CLOEXEC));
}

static void test_round(void **state)
{
	for (int two = 0; two < 2; two++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct lu_replay *r = NULL;
		struct lu_cpr cpr = LU_CPR_INIT;
		struct after a;

		after_kexec(&a, two);
		expect(start(&a, &r, &e) == 0, "%s", e.what);
		assert_int_equal(count_fds(), a.fds);
		assert_false(lu_replay_holds_devices(r));
		assert_int_equal(lu_replay_take(r, &cpr), -EBUSY);
		expect(lu_replay_run(r, &e) == 0, "%s", e.what);
		assert_true(lu_replay_holds_devices(r));
		assert_int_equal(lu_replay_run(r, &e), 0);
		assert_int_equal(lu_replay_take(r, &cpr), 0);
		assert_int_equal(lu_replay_take(r, &cpr), -EBUSY);
		assert_false(lu_replay_holds_devices(r));
		lu_replay_free(r);
		check_same(&a, &cpr);
		assert_int_equal(count_fds(), a.fds + (int)cpr.n_fds);
		lu_cpr_clear(&cpr);
		after_free(&a);
	}
}

/* A vector that the document doesn't have is left out, and those behind it keep their places. */
static void test_hole(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_replay *r = NULL;
	struct lu_cpr cpr = LU_CPR_INIT;
	struct lu_devices_device *dev;
	const struct fake_file *v;
	struct after a;

	after_kexec(&a, false);
	dev = &a.d.iommufds[0].devices[0];
	assert_true(dev->irqs[1].index == VFIO_PCI_MSIX_IRQ_INDEX && dev->irqs[1].vector == 1);
	memmove(&dev->irqs[1], &dev->irqs[2], (--dev->n_irqs - 1) * sizeof(dev->irqs[0]));
	write_again(&a);
	assert_int_equal(start(&a, &r, &e), 0);
	expect(lu_replay_run(r, &e) == 0, "%s", e.what);
	assert_int_equal(lu_replay_take(r, &cpr), 0);
	v = a.vm.f->files[lu_cpr_find(&cpr, "hostdev0", 0)->fd];
	assert_int_equal(v->n_vectors, 3);
	assert_int_equal(v->triggers[0], lu_cpr_find(&cpr, "hostdev0_kvm_interrupt", 0)->fd);
	assert_int_equal(v->triggers[1], -1);
	assert_int_equal(v->triggers[2], lu_cpr_find(&cpr, "hostdev0_interrupt", 2)->fd);
	lu_replay_free(r);
	lu_cpr_clear(&cpr);
	after_free(&a);
}

/* --- the plan --- */

/* Where a call of this kind is for the first (or last) time; -1: nowhere */
static int find_call(const struct lu_calls *c, enum lu_call_kind kind, bool last)
{
	int at = -1;

	for (size_t i = 0; i < c->n; i++)
		if (c->list[i].kind == kind && (at < 0 || last))
			at = (int)i;
	return at;
}

static void check_order(const struct lu_calls *c, enum lu_call_kind a, enum lu_call_kind b)
{
	int x = find_call(c, a, true), y = find_call(c, b, false);

	expect(x >= 0 && y >= 0 && x < y, "kind %d up to %d, kind %d from %d", a, x, b, y);
}

static void test_plan(void **state)
{
	static const enum lu_call_kind order[] = { LU_CALL_OPEN_FILE, LU_CALL_DUP,  LU_CALL_OPEN_IOMMU, LU_CALL_IOAS,
						   LU_CALL_MAP,       LU_CALL_BIND, LU_CALL_HWPT,       LU_CALL_ATTACH,
						   LU_CALL_IRQS,      LU_CALL_ADD };
	struct after a;
	struct lu_calls *c = &a.calls;
	uint32_t filled = 0, freed = 0;

	after_kexec(&a, false);
	/* 1 device, 2 HWPT, 3 hole, 4 and 5 IOAS, 6 device, 7 HWPT of the kernel's own */
	assert_int_equal(a.d.iommufds[0].devices[0].id, 1);
	assert_int_equal(a.d.iommufds[0].hwpts[0].id, 2);
	assert_int_equal(a.d.iommufds[0].devices[1].id, 6);
	assert_true(a.d.iommufds[0].hwpts[1].id == 7 && a.d.iommufds[0].hwpts[1].auto_made);

	for (size_t i = 1; i < ARRAY_SIZE(order); i++)
		check_order(c, order[i - 1], order[i]);
	check_order(c, LU_CALL_EVENTFD, LU_CALL_OPEN_IOMMU);
	check_order(c, LU_CALL_MAP, LU_CALL_OPEN_DEVICE);
	check_order(c, LU_CALL_IOAS, LU_CALL_OPTION);
	check_order(c, LU_CALL_IOAS, LU_CALL_ALLOW);

	for (size_t i = 0; i < c->n; i++) {
		const struct lu_call *s = &c->list[i];
		uint32_t id = s->kind == LU_CALL_DESTROY ? (uint32_t)s->args[LU_DESTROY_ID] : 0;

		if (s->kind == LU_CALL_IOAS)
			assert_int_equal(s->expect, ++filled);
		if (s->kind == LU_CALL_BIND || s->kind == LU_CALL_HWPT || (s->kind == LU_CALL_ATTACH && s->expect == 7))
			assert_true(s[-1].kind == LU_CALL_DESTROY && s[-1].args[LU_DESTROY_ID] == s->expect);
		if (s->kind == LU_CALL_BIND)
			assert_true(s[-2].kind == LU_CALL_OPEN_DEVICE && s[-2].file == s->file);
		if (s->kind == LU_CALL_DESTROY) {
			assert_false(freed & 1U << id);
			freed |= 1U << id;
		}
		if (id == 3)
			assert_true((int)i > find_call(c, LU_CALL_ATTACH, true));
		if (s->kind == LU_CALL_IRQS)
			assert_int_equal(s->args[LU_IRQS_FLAGS] & VFIO_IRQ_SET_ACTION_MASK, 0);
	}
	assert_int_equal(filled, 7);
	assert_int_equal(freed, 1U << 1 | 1U << 2 | 1U << 3 | 1U << 6 | 1U << 7);
	after_free(&a);
}

static void test_plan_counts(void **state)
{
	struct lu_devices_eventfd eventfds[] = { { .count = 0 }, { .count = UINT64_MAX - 1 }, { .count = 3 } };
	struct lu_devices_fd fds[] = {
		{ .name = (char *)"a", .kind = LU_FD_EVENTFD, .eventfd = &eventfds[0], .memory = LU_DEVICES_NONE },
		{ .name = (char *)"b", .kind = LU_FD_EVENTFD, .eventfd = &eventfds[1], .memory = LU_DEVICES_NONE },
		{ .name = (char *)"c", .kind = LU_FD_EVENTFD, .eventfd = &eventfds[2], .memory = LU_DEVICES_NONE },
		{ .name = (char *)"u", .kind = LU_FD_IOMMUFD, .memory = LU_DEVICES_NONE },
		{ .name = (char *)"v", .kind = LU_FD_VFIO_DEVICE, .memory = LU_DEVICES_NONE },
	};
	/* two vectors share a; MSI; b can't take one more */
	struct lu_devices_irq irqs[] = {
		{ VFIO_PCI_MSI_IRQ_INDEX, 0, false, 0, LU_DEVICES_NONE, LU_DEVICES_NONE },
		{ VFIO_PCI_MSI_IRQ_INDEX, 1, false, 0, LU_DEVICES_NONE, LU_DEVICES_NONE },
		{ VFIO_PCI_MSI_IRQ_INDEX, 3, false, 1, LU_DEVICES_NONE, LU_DEVICES_NONE },
		{ VFIO_PCI_REQ_IRQ_INDEX, 0, false, 2, LU_DEVICES_NONE, LU_DEVICES_NONE },
	};
	struct lu_devices_device device = {
		.id = 9, .bdf = (char *)"0000:00:04.0", .fd = 4, .hwpt = 3, .irqs = irqs, .n_irqs = ARRAY_SIZE(irqs)
	};
	struct lu_devices_ioas ioas = { .id = 2, .huge_pages = true };
	struct lu_devices_hwpt hwpt = { .id = 3, .ioas = 2 };
	struct lu_devices_iommufd u = {
		.fd = 3, .ioas = &ioas, .n_ioas = 1, .hwpts = &hwpt, .n_hwpts = 1, .devices = &device, .n_devices = 1
	};
	struct lu_devices d = { .fds = fds, .n_fds = ARRAY_SIZE(fds), .iommufds = &u, .n_iommufds = 1 };
	static const uint64_t want[] = { 1, UINT64_MAX - 1, 3 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_calls_ struct lu_calls c;
	int n = 0, triggers = 0;

	expect(lu_devices_check(&d, &e) == 0, "%s", e.what);
	assert_int_equal(lu_devices_plan(&d, &c), 0);
	for (size_t i = 0; i < c.n; i++) {
		triggers += c.list[i].kind == LU_CALL_IRQS;
		if (c.list[i].kind != LU_CALL_ADD)
			continue;
		assert_true(c.list[i].name[0] == "abc"[n] && c.list[i].args[LU_ADD_COUNT] == want[n]);
		n++;
	}
	assert_int_equal(n, 3);
	assert_int_equal(triggers, 2);
}

/* --- failures --- */

static bool names_something(const char *text)
{
	return !strncmp(text, "file ", 5) || !strncmp(text, "device 0000:00:0", 16) ||
	       !strncmp(text, "iommufd0 of device 0000:00:04.0, 0000:00:05.0: ", 47);
}

/* Each call of the kernel fails once; then the same replay is run again, or given up. */
static void test_fail_everywhere(void **state)
{
	for (int again = 0; again < 2; again++) {
		unsigned int n = 1;

		for (bool failed = true; failed; n++) {
			_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
			struct lu_replay *r = NULL;
			struct lu_cpr cpr = LU_CPR_INIT;
			struct after a;
			int k;

			after_kexec(&a, false);
			assert_int_equal(start(&a, &r, &e), 0);
			a.vm.f->fail_at = n;
			k = lu_replay_run(r, &e);
			failed = k < 0;
			if (failed) {
				expect(k == -EIO && e.code == -EIO && strstr(e.what, ": Input/output error"), "%u: %s",
				       n, e.what ?: "");
				expect(names_something(e.what), "%u: %s", n, e.what);
				assert_int_equal(lu_replay_take(r, &cpr), -EBUSY);
			}
			if (failed && again) {
				lu_error_clear(&e);
				expect(lu_replay_run(r, &e) == 0, "after %u: %s", n, e.what);
			}
			if (!failed || again) {
				assert_int_equal(lu_replay_take(r, &cpr), 0);
				a.vm.f->fail_at = 0;
				check_same(&a, &cpr);
				lu_cpr_clear(&cpr);
			}
			lu_replay_free(r);
			assert_int_equal(count_fds(), a.fds);
			after_free(&a);
		}
		expect(n > 40, "only %u calls failed", n);
	}
}

static void test_no_memory(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_cpr cpr = LU_CPR_INIT;
	struct after a;
	int k;

	for (unsigned int n = 1;; n++) {
		struct lu_replay *r = NULL;

		after_kexec(&a, false);
		allocations = 0;
		no_memory_at = n;
		k = start(&a, &r, &e);
		if (k == 0)
			k = lu_replay_run(r, &e);
		if (k == 0)
			k = lu_replay_take(r, &cpr);
		no_memory_at = 0;
		lu_replay_free(r);
		if (k == 0) {
			expect(n > 20, "only %u allocations failed", n);
			break;
		}
		expect(k == -ENOMEM, "allocation %u: %d, %s", n, k, e.what ?: "");
		assert_int_equal(count_fds(), a.fds);
		after_free(&a);
		lu_error_clear(&e);
	}
	check_same(&a, &cpr);
	lu_cpr_clear(&cpr);
	after_free(&a);
}

/* --- one thing is wrong --- */

static void no_node(struct after *a)
{
	a->vm.f->missing = UINT32_MAX;
}

static void no_cdev(struct after *a)
{
	assert_int_equal(unlinkat(a->vm.f->sys_fd, "bus/pci/devices/0000:00:05.0/vfio-dev/vfio1/dev", 0), 0);
	assert_int_equal(unlinkat(a->vm.f->sys_fd, "bus/pci/devices/0000:00:05.0/vfio-dev/vfio1", AT_REMOVEDIR), 0);
}

static void bad_cdev(struct after *a)
{
	fake_write(a->vm.f, "sys/bus/pci/devices/0000:00:05.0/vfio-dev/vfio1/dev", "none\n");
}

static void not_kept(struct after *a)
{
	fake_write(a->vm.f, "sys/bus/pci/devices/0000:00:05.0/pkeep_state", "none\n");
}

static void wrong_node(struct after *a)
{
	a->vm.f->wrong_node = true;
}

static void refused(struct after *a)
{
	a->vm.f->refuse_attach = true;
}

static void wrong_table(struct after *a)
{
	a->vm.f->wrong_table = true;
}

static void wrong_ids(struct after *a)
{
	a->vm.f->wrong_ids = true;
}

static void memory_gone(struct after *a)
{
	assert_int_equal(unlinkat(a->vm.f->pkernfs_fd, "ram/web1/ram0", 0), 0);
}

static void memory_other(struct after *a)
{
	/* while the old one is held, the new one can't get its inode number */
	assert_int_equal(renameat(a->vm.f->pkernfs_fd, "ram/web1/ram0", a->vm.f->pkernfs_fd, "ram/web1/old"), 0);
	fake_write(a->vm.f, "pkernfs/ram/web1/ram0", "");
	assert_int_equal(truncate(a->vm.ram_path, VM_RAM), 0);
}

static void memory_short(struct after *a)
{
	assert_int_equal(truncate(a->vm.ram_path, VM_RAM - 4096), 0);
}

static void memory_link(struct after *a)
{
	assert_int_equal(renameat(a->vm.f->pkernfs_fd, "ram/web1/ram0", a->vm.f->pkernfs_fd, "ram/web1/old"), 0);
	assert_int_equal(symlinkat("old", a->vm.f->pkernfs_fd, "ram/web1/ram0"), 0);
}

static void memfd_gone(struct after *a)
{
	a->from.n_memfds = 0;
}

static void memfd_other(struct after *a)
{
	a->memfd.token = 2;
}

static void memfd_short(struct after *a)
{
	assert_int_equal(ftruncate(a->memfd.fd, VM_BIOS / 2), 0);
}

static void memfd_closed(struct after *a)
{
	close(a->memfd.fd);
	a->memfd.fd = -EBADF;
}

#define CASE(_change, ...)                     \
	{                                      \
#_change, _change, __VA_ARGS__ \
	}
static const struct {
	const char *name;
	void (*change)(struct after *a);
	int code;
	bool holds;
	const char *text;
} cases[] = {
	CASE(no_node, -ENOENT, false, "device 0000:00:04.0: opening it: vfio-pci does not offer it"),
	CASE(no_cdev, -ENOENT, true, "device 0000:00:05.0: opening it: vfio-pci does not offer it"),
	CASE(bad_cdev, -EBADMSG, true, "device 0000:00:05.0: opening it: Bad message"),
	CASE(not_kept, -EXDEV, true, "device 0000:00:05.0: opening it: it is not among the devices that went on"),
	CASE(wrong_node, -ESTALE, false, "device 0000:00:04.0: opening it: its node in /dev/vfio/devices is another"),
	CASE(refused, -EINVAL, true, "device 0000:00:04.0: attaching it to HWPT 2 of IOAS 4: the kernel refuses"),
	CASE(wrong_table, -EPROTO, true,
	     "device 0000:00:04.0: attaching it to HWPT 2 of IOAS 4: the kernel gave id 3, but it must be 2"),
	CASE(wrong_ids, -EPROTO, false,
	     "iommufd0 of device 0000:00:04.0, 0000:00:05.0: making IOAS 1: the kernel gave id 8, but it must be 1"),
	CASE(memory_gone, -ENOENT, false, "memory ram/web1/ram0: opening its file: No such file"),
	CASE(memory_other, -EBADMSG, false, "memory ram/web1/ram0: opening its file: it is not the file that it was"),
	CASE(memory_short, -EBADMSG, false, "memory ram/web1/ram0: opening its file: it is not the file that it was"),
	CASE(memory_link, -ELOOP, false, "memory ram/web1/ram0: opening its file"),
	CASE(memfd_gone, -ENOENT, false, "memory pc.bios: opening its memfd: the LUO session does not have it"),
	CASE(memfd_other, -ENOENT, false, "memory pc.bios: opening its memfd: the LUO session does not have it"),
	CASE(memfd_short, -EBADMSG, false, "memory pc.bios: opening its memfd: it is not the file that it was"),
	CASE(memfd_closed, -EBADF, false, "memory pc.bios: opening its memfd: Bad file descriptor"),
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct lu_replay *r = NULL;
		struct after a;
		int k, before;

		after_kexec(&a, false);
		cases[i].change(&a);
		before = count_fds();
		assert_int_equal(start(&a, &r, &e), 0);
		k = lu_replay_run(r, &e);
		expect(k == cases[i].code, "%s: %d, %s", cases[i].name, k, e.what ?: "no error");
		expect(e.what && strstr(e.what, cases[i].text), "%s: %s", cases[i].name, e.what ?: "no text");
		expect(lu_replay_holds_devices(r) == cases[i].holds, "%s", cases[i].name);
		lu_replay_free(r);
		assert_int_equal(count_fds(), before);
		after_free(&a);
	}
}

/* What was wrong is put right while the replay is held. */
static void test_again(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_replay *r = NULL;
	struct lu_cpr cpr = LU_CPR_INIT;
	struct after a;

	after_kexec(&a, true);
	a.from.timeout_ms = 2000;
	a.vm.f->missing = 3; /* the nodes come late */
	a.vm.f->refuse_attach = true;
	assert_int_equal(start(&a, &r, &e), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(lu_replay_run(r, &e), -EINVAL);
		assert_int_equal(a.vm.f->missing, 0);
		assert_true(lu_replay_holds_devices(r));
		lu_error_clear(&e);
	}
	a.vm.f->refuse_attach = false;
	expect(lu_replay_run(r, &e) == 0, "%s", e.what);
	assert_int_equal(lu_replay_take(r, &cpr), 0);
	lu_replay_free(r);
	check_same(&a, &cpr);
	lu_cpr_clear(&cpr);
	after_free(&a);
}

/* Somebody else changes tables for a while, or all the time. */
static void test_busy(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_replay *r = NULL;
	struct lu_cpr cpr = LU_CPR_INIT;
	struct after a;

	after_kexec(&a, true);
	assert_int_equal(start(&a, &r, &e), 0);
	a.vm.f->busy = UINT_MAX;
	assert_int_equal(lu_replay_run(r, &e), -EBUSY);
	expect(names_something(e.what), "%s", e.what);
	assert_true(lu_replay_holds_devices(r));
	lu_error_clear(&e);
	a.vm.f->busy = 9;
	expect(lu_replay_run(r, &e) == 0, "%s", e.what);
	assert_int_equal(a.vm.f->busy, 0);
	assert_int_equal(lu_replay_take(r, &cpr), 0);
	lu_replay_free(r);
	check_same(&a, &cpr);
	lu_cpr_clear(&cpr);
	after_free(&a);
}

/* An object with the wrong id is destroyed; a device that was bound as another one stays open and is never attached. */
static void test_wrong_ids(void **state)
{
	for (unsigned int n = 1; n < 60; n++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct lu_replay *r = NULL;
		struct lu_cpr cpr = LU_CPR_INIT;
		struct after a;
		bool bound;
		int k;

		after_kexec(&a, false);
		assert_int_equal(start(&a, &r, &e), 0);
		a.vm.f->fail_at = n; /* stop somewhere, and go on with other ids */
		k = lu_replay_run(r, &e);
		if (k == 0) {
			lu_replay_free(r);
			after_free(&a);
			break;
		}
		lu_error_clear(&e);
		a.vm.f->wrong_ids = true;
		k = lu_replay_run(r, &e);
		expect(k == 0 || k == -EPROTO, "%u: %d %s", n, k, e.what ?: "");
		bound = k < 0 && strstr(e.what, "binding it");
		expect(k == 0 || strstr(e.what, "the kernel gave id"), "%u: %s", n, e.what);
		expect(!bound || lu_replay_holds_devices(r), "%u", n);
		lu_error_clear(&e);
		a.vm.f->wrong_ids = false;
		k = lu_replay_run(r, &e);
		/* bound: never again; attached to a table of the kernel's own with a wrong id: stays so */
		if (bound)
			expect(k == -EINVAL, "%u: %d %s", n, k, e.what ?: "");
		else
			expect(k == 0 || (k == -EPROTO && strstr(e.what, "attaching it to HWPT 7")), "%u: %s", n,
			       e.what);
		/* and no object with a wrong id is left over */
		if (k == 0) {
			assert_int_equal(lu_replay_take(r, &cpr), 0);
			a.vm.f->fail_at = 0;
			check_same(&a, &cpr);
			lu_cpr_clear(&cpr);
		}
		lu_replay_free(r);
		assert_int_equal(count_fds(), a.fds);
		after_free(&a);
	}
}

/* The directory is QEMU's user's: it leads to the same file by another name, outside. */
static void test_link_outside(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_replay *r = NULL;
	struct after a;
	char dir[128];

	after_kexec(&a, false);
	snprintf(dir, sizeof(dir), "%s/outside", a.vm.f->dir);
	assert_int_equal(renameat(a.vm.f->pkernfs_fd, "ram/web1", AT_FDCWD, dir), 0);
	assert_int_equal(symlinkat("../../outside", a.vm.f->pkernfs_fd, "ram/web1"), 0);
	assert_int_equal(start(&a, &r, &e), 0);
	assert_int_equal(lu_replay_run(r, &e), -EXDEV);
	expect(e.what && strstr(e.what, "ram/web1/ram0"), "%s", e.what ?: "no text");
	lu_replay_free(r);
	after_free(&a);
}

static void test_bad_calls(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_replay *r = NULL;
	struct after a;

	after_kexec(&a, false);
	a.calls.list[find_call(&a.calls, LU_CALL_ATTACH, false)].args[LU_ATTACH_PT] = 9;
	assert_int_equal(start(&a, &r, &e), -EBADMSG);
	expect(strstr(e.what, "there is no table or address space 9"), "%s", e.what);
	assert_null(r);
	lu_replay_free(r);
	after_free(&a);
}

/* --- results --- */

static void read_back(struct after *a, struct lu_calls *ret)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_devices d;

	expect(lu_devices_read(a->dir, VM_UUID, a->size, a->crc, &d, ret, &e) == 0, "%s", e.what);
	lu_devices_clear(&d);
}

/* One attempt that fails at its @fail_at-th call of the kernel (0: none), as a process of its own. */
static void attempt(struct after *a, unsigned int fail_at)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_replay *r = NULL;
	struct lu_cpr cpr = LU_CPR_INIT;

	lu_devices_clear(&a->read);
	lu_calls_clear(&a->calls);
	expect(lu_devices_read(a->dir, VM_UUID, a->size, a->crc, &a->read, &a->calls, &e) == 0, "%s", e.what);
	a->from.boot = 42;
	a->from.log_fd = lu_devices_open_log(a->dir, &a->read, &a->calls);
	assert_true(a->from.log_fd >= 0);
	fake_forget(a->vm.f);
	assert_int_equal(start(a, &r, &e), 0);
	a->vm.f->fail_at = fail_at;
	assert_int_equal(lu_replay_run(r, &e), fail_at ? -EIO : 0);
	if (!fail_at)
		assert_int_equal(lu_replay_take(r, &cpr), 0);
	lu_replay_free(r);
	lu_cpr_clear(&cpr);
	close(a->from.log_fd);
	a->from.log_fd = -EBADF;
}

static void test_results(void **state)
{
	struct lu_calls c;
	struct after a;
	size_t failed;

	after_kexec(&a, false);
	attempt(&a, 20);
	read_back(&a, &c);
	failed = c.n_outcomes;
	assert_true(failed > 15 && c.outcomes[failed - 1].error == -EIO && c.outcomes[failed - 1].call == failed);
	for (size_t i = 0; i + 1 < failed; i++)
		assert_true(c.outcomes[i].error == 0 && c.outcomes[i].call == i + 1);
	lu_calls_clear(&c);

	/* a writer that died in the middle of one: the next cuts it off, and goes on behind */
	{
		int fd = openat(a.dir, "journal", O_WRONLY | O_APPEND | O_CLOEXEC);

		assert_true(fd >= 0 && write(fd, "torn", 4) == 4);
		close(fd);
	}
	attempt(&a, 0);
	read_back(&a, &c);
	assert_int_equal(c.n_outcomes, failed + c.n);
	assert_int_equal(c.torn, 0);
	for (size_t i = 0; i < c.n; i++) {
		const struct lu_calls_outcome *o = &c.outcomes[failed + i];

		assert_true(o->error == 0 && o->call == i + 1 && o->boot == 42);
		assert_true(i == 0 || o->tsc >= o[-1].tsc);
		assert_int_equal(o->id, c.list[i].expect);
	}
	lu_calls_clear(&c);
	after_free(&a);
}

/* They cost nothing: damaged ones are not written behind, and a replay goes on if none can be written. */
static void test_results_fail(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_replay *r = NULL;
	struct lu_cpr cpr = LU_CPR_INIT;
	struct lu_calls c;
	struct after a;
	int fd;

	after_kexec(&a, false);
	attempt(&a, 5);
	fd = openat(a.dir, "journal", O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0 && pwrite(fd, "x", 1, (off_t)a.calls.sealed + 60) == 1);
	close(fd);
	read_back(&a, &c);
	assert_true(c.outcomes_damaged && c.n_outcomes == 1);
	assert_int_equal(lu_devices_open_log(a.dir, &a.read, &c), -ENODATA);
	lu_calls_clear(&c);
	a.from.log_fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	fake_forget(a.vm.f);
	assert_int_equal(start(&a, &r, &e), 0);
	expect(lu_replay_run(r, &e) == 0, "%s", e.what);
	assert_int_equal(lu_replay_take(r, &cpr), 0);
	lu_replay_free(r);
	close(a.from.log_fd);
	check_same(&a, &cpr);
	lu_cpr_clear(&cpr);
	after_free(&a);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_hole),
		cmocka_unit_test(test_plan_counts),
		cmocka_unit_test(test_fail_everywhere),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_wrong_ids),
		cmocka_unit_test(test_link_outside),
		cmocka_unit_test(test_bad_calls),
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_results_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
