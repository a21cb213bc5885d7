// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From facts to the document: records made by hand, every reason to refuse, every truncation, every
 * flipped bit, every allocation that fails.
 */
#include "sample.h"

static unsigned int allocations, fail_at; /* 0: none fails */

static bool fails(void)
{
	return fail_at && ++allocations == fail_at;
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

static void test_whole(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct sample s;
	struct lu_devices d;
	const struct lu_devices_iommufd *u;

	sample_init(&s);
	expect(lu_devices_compose(&s.facts, &d, &e) == 0, "%s", e.what);
	assert_string_equal(d.session, "luctl-web1");
	assert_int_equal(d.n_memories, 2);
	assert_int_equal(d.memories[0].kind, LU_MEMORY_FILE);
	assert_string_equal(d.memories[0].path, "ram/web1/ram0");
	assert_true(d.memories[0].size == RAM_SIZE && d.memories[0].inode == RAM_INODE);
	assert_int_equal(d.memories[1].kind, LU_MEMORY_MEMFD);
	assert_string_equal(d.memories[1].name, "pc.bios");
	assert_int_equal(d.memories[1].token, 1);
	assert_int_equal(lu_devices_memory_fd(&d, 0), -ENOENT);
	assert_int_equal(lu_devices_memory_fd(&d, 1), F_BIOS);

	assert_int_equal(d.n_fds, SAMPLE_FDS);
	assert_string_equal(d.fds[F_INTERRUPT2].name, "0000:00:04.0_interrupt");
	assert_int_equal(d.fds[F_INTERRUPT2].id, 2);
	assert_int_equal(d.fds[F_INTERRUPT2].eventfd->count, 5);
	assert_int_equal(d.fds[F_BIOS].memory, 1);

	assert_int_equal(d.n_iommufds, 1);
	u = &d.iommufds[0];
	assert_int_equal(u->fd, F_IOMMUFD);
	assert_int_equal(u->n_ioas, 1);
	assert_true(u->ioas[0].id == 2 && u->ioas[0].huge_pages);
	assert_int_equal(u->ioas[0].n_areas, 3);
	assert_true(u->ioas[0].areas[1].iova == 0x100000 && u->ioas[0].areas[1].offset == 0x100000);
	assert_true(u->ioas[0].areas[2].memory == 1 && u->ioas[0].areas[2].read && !u->ioas[0].areas[2].write);
	assert_true(u->ioas[0].n_allowed == 1 && u->ioas[0].allowed[0].last == 0xfedfffff);
	assert_true(u->n_hwpts == 1 && u->hwpts[0].id == 3 && u->hwpts[0].ioas == 2 && !u->hwpts[0].auto_made);
	assert_int_equal(u->hwpts[0].flags, IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
	assert_int_equal(u->n_devices, 1);
	assert_string_equal(u->devices[0].bdf, "0000:00:04.0");
	assert_true(u->devices[0].id == 1 && u->devices[0].hwpt == 3 && u->devices[0].fd == F_DEVICE);
	assert_int_equal(u->devices[0].n_irqs, 4);
	assert_int_equal(u->devices[0].irqs[0].trigger, F_KVM_INTERRUPT0);
	assert_true(u->devices[0].irqs[1].trigger == LU_DEVICES_NONE);
	assert_int_equal(u->devices[0].irqs[2].trigger, F_INTERRUPT2);
	assert_int_equal(u->devices[0].irqs[3].trigger, F_REQ);
	assert_int_equal(d.n_cpr_devices, 1);
	assert_true(d.cpr_devices[0].hwpt_id == 3);
	lu_devices_clear(&d);
}

/* --- cases: what is changed in the sample, and what comes of it --- */

static void no_change(struct sample *s)
{
}

static void auto_hwpt(struct sample *s)
{
	sample_no_records(s);
	sample_device(s, 1, 4, 3);
	sample_ioas(s, 2)->head.flags = IOMMU_STATE_IOAS_NO_HUGE_PAGES;
	sample_hwpt(s, 3, 2, IOMMU_STATE_HWPT_AUTO);
	s->cpr_devices[0].hwpt_id = 0; /* QEMU made none */
}

static void optional_record(struct sample *s)
{
	sample_put(s, 77, 9, IOMMU_STATE_OPTIONAL, 48);
}

static void longer_record(struct sample *s)
{
	sample_put(s, IOMMU_STATE_IOAS, 9, 0, sizeof(struct iommu_state_ioas) + 16);
}

static void empty_ioas(struct sample *s)
{
	sample_ioas(s, 5);
}

static void intx(struct sample *s)
{
	s->fds[F_DEVICE].n_irqs = 1;
	s->irqs[0] = (struct vfio_device_irq){ VFIO_PCI_INTX_IRQ_INDEX, 0, VFIO_DEVICE_IRQ_MASKED, 11, -1, 12 };
}

static void no_memfd_no_session(struct sample *s)
{
	s->facts.session = NULL;
	s->fds[F_BIOS].path = (char *)"bios";
}

static void same_memory_twice(struct sample *s)
{
	s->fds[F_SPARE] = s->fds[F_BIOS];
}

static void second_device(struct sample *s)
{
	s->cpr_fds[F_SPARE] = (struct lu_cpr_fd){ .name = (char *)"0000:00:05.0", .fd = -EBADF };
	s->fds[F_SPARE] = (struct lu_fd_facts){ .kind = LU_FD_VFIO_DEVICE, .group = 8 };
	strcpy(s->fds[F_SPARE].bdf, "0000:00:05.0");
	s->cpr_devices[1] =
		(struct lu_cpr_device){ .name = (char *)"0000:00:05.0", .devid = 4, .ioas_id = 2, .hwpt_id = 3 };
	s->cpr.n_devices = 2;
	sample_device(s, 4, 5, 3);
}

static void group_shares(struct sample *s)
{
	second_device(s);
	s->fds[F_SPARE].group = 7;
}

static void group_torn(struct sample *s)
{
	group_shares(s);
	sample_no_records(s);
	sample_device(s, 1, 4, 3);
	sample_ioas(s, 2);
	sample_hwpt(s, 3, 2, 0);
	sample_device(s, 4, 5, 5);
	sample_hwpt(s, 5, 2, 0);
	s->cpr_devices[1].hwpt_id = 5;
}

static void no_group_torn(struct sample *s)
{
	group_torn(s);
	s->fds[F_DEVICE].group = s->fds[F_SPARE].group = -1;
}

static void user_memory(struct sample *s)
{
	sample_no_records(s);
	sample_ioas(s, 2);
	sample_area(s, 2, 0x1000, 0x1000, 0x7f0000000000, true)->kind = IOMMU_STATE_AREA_USER;
}

static void dma_buf(struct sample *s)
{
	user_memory(s);
	((struct iommu_state_area *)(s->records + sizeof(struct iommu_state_ioas)))->kind = IOMMU_STATE_AREA_DMABUF;
}

static void unknown_area(struct sample *s)
{
	user_memory(s);
	((struct iommu_state_area *)(s->records + sizeof(struct iommu_state_ioas)))->kind = 4;
}

static void foreign_file(struct sample *s)
{
	s->ram[0].inode++;
}

static void foreign_dev(struct sample *s)
{
	s->ram[0].dev++;
}

static void other_object(struct sample *s)
{
	struct iommu_state_other *o = sample_put(s, IOMMU_STATE_OTHER, 9, 0, sizeof(*o));

	o->kind = 3;
}

static void unknown_type(struct sample *s)
{
	sample_put(s, 77, 9, 0, 24);
}

static void unknown_flag(struct sample *s)
{
	sample_put(s, IOMMU_STATE_IOAS, 9, 4, sizeof(struct iommu_state_ioas));
}

static void unknown_tail(struct sample *s)
{
	unsigned char *p = sample_put(s, IOMMU_STATE_IOAS, 9, 0, sizeof(struct iommu_state_ioas) + 8);

	p[sizeof(struct iommu_state_ioas) + 7] = 1;
}

static void unknown_reserved(struct sample *s)
{
	sample_no_records(s);
	sample_device(s, 1, 4, 3)->reserved[5] = 1;
}

static void short_record(struct sample *s)
{
	sample_put(s, IOMMU_STATE_HWPT, 9, 0, sizeof(struct iommu_state_hwpt) - 8);
}

static void zero_length(struct sample *s)
{
	struct iommu_state_ioas *i = sample_ioas(s, 9);

	i->head.length = 0;
}

static void odd_length(struct sample *s)
{
	struct iommu_state_ioas *i = sample_put(s, IOMMU_STATE_IOAS, 9, 0, 20);

	(void)i;
}

static void pasids(struct sample *s)
{
	sample_no_records(s);
	sample_device(s, 1, 4, 3)->head.flags |= IOMMU_STATE_DEVICE_PASIDS;
}

static void no_pci(struct sample *s)
{
	sample_no_records(s);
	sample_device(s, 1, 4, 3)->head.flags = 0;
}

static void not_attached(struct sample *s)
{
	sample_no_records(s);
	sample_device(s, 1, 4, 0);
}

static void no_such_hwpt(struct sample *s)
{
	sample_no_records(s);
	sample_device(s, 1, 4, 2);
	sample_ioas(s, 2);
}

static void hwpt_unused(struct sample *s)
{
	sample_hwpt(s, 9, 2, 0);
}

static void hwpt_fault(struct sample *s)
{
	sample_hwpt(s, 9, 2, 0)->alloc_flags = IOMMU_HWPT_FAULT_ID_VALID;
}

static void hwpt_auto_flags(struct sample *s)
{
	sample_hwpt(s, 9, 2, IOMMU_STATE_HWPT_AUTO)->alloc_flags = IOMMU_HWPT_ALLOC_PASID;
}

static void hwpt_no_ioas(struct sample *s)
{
	sample_no_records(s);
	sample_device(s, 1, 4, 3);
	sample_hwpt(s, 3, 2, 0);
}

static void id_zero(struct sample *s)
{
	sample_ioas(s, 0);
}

static void id_high(struct sample *s)
{
	sample_ioas(s, LU_DEVICES_ID_MAX + 1);
}

static void id_huge(struct sample *s)
{
	sample_ioas(s, UINT32_MAX);
}

static void id_twice(struct sample *s)
{
	sample_ioas(s, 3);
}

static void area_stray(struct sample *s)
{
	sample_area(s, 3, 0, 0x1000, 0, true);
}

static void area_first(struct sample *s)
{
	sample_no_records(s);
	sample_area(s, 0, 0, 0x1000, 0, true);
}

static void allowed_stray(struct sample *s)
{
	sample_allowed(s, 7, 0, 0x1000);
}

static void area_beyond(struct sample *s)
{
	sample_area(s, 2, 0x200000000, RAM_SIZE, 0x1000, true);
}

static void area_wraps(struct sample *s)
{
	sample_area(s, 2, UINT64_MAX - 0xfff, 0x2000, 0, true);
}

static void area_no_length(struct sample *s)
{
	sample_area(s, 2, 0x200000000, 0, 0, true);
}

static void area_no_prot(struct sample *s)
{
	sample_area(s, 2, 0x200000000, 0x1000, 0, true)->prot = 0;
}

static void area_order(struct sample *s)
{
	sample_area(s, 2, 0x1000, 0x1000, 0, true);
}

static void allowed_order(struct sample *s)
{
	sample_allowed(s, 2, 0x1000, 0x2000);
}

static void no_session(struct sample *s)
{
	s->facts.session = NULL;
}

static void empty_memfd(struct sample *s)
{
	s->fds[F_BIOS].size = 0;
}

static void same_eventfd(struct sample *s)
{
	s->fds[F_SPARE].eventfd_id = 11;
}

static void stray_eventfd(struct sample *s)
{
	s->irqs[2].trigger = 99;
}

static void stray_unmask(struct sample *s)
{
	intx(s);
	s->irqs[0].unmask = 99;
}

static void strange_index(struct sample *s)
{
	s->irqs[0].index = VFIO_PCI_NUM_IRQS;
}

static void strange_flags(struct sample *s)
{
	s->irqs[0].flags = 2;
}

static void strange_vector(struct sample *s)
{
	s->irqs[3].vector = 1;
}

static void huge_vector(struct sample *s)
{
	s->irqs[2].vector = UINT32_MAX;
}

static void vector_twice(struct sample *s)
{
	s->irqs[1].vector = 2;
}

static void two_modes(struct sample *s)
{
	s->irqs[0].index = VFIO_PCI_MSI_IRQ_INDEX;
}

static void not_handed_over(struct sample *s)
{
	strcpy(s->fds[F_DEVICE].bdf, "0000:00:05.0");
}

static void handed_over_twice(struct sample *s)
{
	s->fds[F_SPARE] = s->fds[F_DEVICE];
}

static void not_bound(struct sample *s)
{
	second_device(s);
	sample_no_records(s);
	sample_device(s, 1, 4, 3);
	sample_ioas(s, 2);
	sample_hwpt(s, 3, 2, 0);
}

static void cpr_without(struct sample *s)
{
	s->cpr.n_devices = 0;
}

static void cpr_devid(struct sample *s)
{
	s->cpr_devices[0].devid = 4;
}

static void cpr_devid_negative(struct sample *s)
{
	s->cpr_devices[0].devid = -1;
}

static void cpr_ioas(struct sample *s)
{
	s->cpr_devices[0].ioas_id = 4;
}

static void cpr_hwpt(struct sample *s)
{
	s->cpr_devices[0].hwpt_id = 4;
}

static void cpr_more(struct sample *s)
{
	s->cpr_devices[1] = (struct lu_cpr_device){ .name = (char *)"hostdev9" };
	s->cpr.n_devices = 2;
}

static void name_twice(struct sample *s)
{
	s->cpr_fds[F_INTERRUPT2].id = 0;
}

static void two_iommufds(struct sample *s)
{
	/* the second shows the same objects: QEMU was given one file under two names */
	s->fds[F_SPARE] = s->fds[F_IOMMUFD];
}

#define CASE(_change, ...)                     \
	{                                      \
#_change, _change, __VA_ARGS__ \
	}
static const struct {
	const char *name;
	void (*change)(struct sample *s);
	int code;
	const char *text; /* part of the error */
} cases[] = {
	CASE(no_change, 0, NULL),
	CASE(auto_hwpt, 0, NULL),
	CASE(optional_record, 0, NULL),
	CASE(longer_record, 0, NULL),
	CASE(empty_ioas, 0, NULL),
	CASE(intx, 0, NULL),
	CASE(no_memfd_no_session, 0, NULL),
	CASE(same_memory_twice, 0, NULL),
	CASE(second_device, 0, NULL),
	CASE(group_shares, 0, NULL),
	CASE(no_group_torn, 0, NULL),
	/* can't be set up again */
	CASE(group_torn, -EOPNOTSUPP, "devices 0000:00:04.0 and 0000:00:05.0: are in one IOMMU group"),
	CASE(user_memory, -EOPNOTSUPP,
	     "iommufd0: what its devices see at 0x1000 (4096 bytes) is memory of the process"),
	CASE(dma_buf, -EOPNOTSUPP, "iommufd0: what its devices see at 0x1000 (4096 bytes) is a dma-buf"),
	CASE(foreign_file, -EOPNOTSUPP, "is a file (inode 50) that is neither"),
	CASE(foreign_dev, -EOPNOTSUPP, "is a file (inode 50) that is neither"),
	CASE(other_object, -EOPNOTSUPP, "iommufd0: its object 9 is one that can't be set up again"),
	CASE(pasids, -EOPNOTSUPP, "device 0000:00:04.0: address spaces"),
	CASE(no_pci, -EOPNOTSUPP, "device 1 is no PCI function"),
	CASE(not_attached, -EOPNOTSUPP, "device 0000:00:04.0: is not attached"),
	CASE(hwpt_unused, -EOPNOTSUPP, "HWPT 9 is attached to no device"),
	CASE(hwpt_fault, -EOPNOTSUPP, "HWPT 9 was made with flags 0x4"),
	CASE(hwpt_auto_flags, -EOPNOTSUPP, "HWPT 9 was made with flags 0x8"),
	CASE(id_high, -EOPNOTSUPP, "object 4097 can't get this id again"),
	CASE(no_session, -EOPNOTSUPP, "file pc.bios of QEMU: a memfd, and there is no session"),
	CASE(empty_memfd, -EOPNOTSUPP, "file pc.bios of QEMU: memory of no size"),
	CASE(same_eventfd, -EOPNOTSUPP, "0000:00:04.0_interrupt and spare of QEMU: are the same eventfd"),
	CASE(stray_eventfd, -EOPNOTSUPP, "device 0000:00:04.0: interrupt 2 of index 2 goes to an eventfd that is not"),
	CASE(stray_unmask, -EOPNOTSUPP, "goes to an eventfd that is not among"),
	CASE(strange_index, -EOPNOTSUPP, "interrupt of an unknown kind (index 5"),
	CASE(strange_flags, -EOPNOTSUPP, "interrupt of an unknown kind (index 2, flags 0x2)"),
	CASE(not_handed_over, -EOPNOTSUPP, "device 0000:00:04.0: is bound, but not among QEMU's files"),
	CASE(handed_over_twice, -EOPNOTSUPP, "device 0000:00:04.0: is among QEMU's files twice"),
	CASE(not_bound, -EOPNOTSUPP, "device 0000:00:05.0: is bound to none"),
	CASE(two_iommufds, -EOPNOTSUPP, "device 0000:00:04.0: is in both iommufd0 and spare"),
	CASE(cpr_without, -EOPNOTSUPP, "CPR state does not speak of 0000:00:04.0"),
	/* makes no sense */
	CASE(unknown_area, -EBADMSG, "unknown kind"),
	CASE(unknown_type, -EBADMSG, "unknown type"),
	CASE(unknown_flag, -EBADMSG, "unknown flags"),
	CASE(unknown_tail, -EBADMSG, "more than is known"),
	CASE(unknown_reserved, -EBADMSG, "more than is known"),
	CASE(short_record, -EBADMSG, "too short"),
	CASE(zero_length, -EBADMSG, "cut short"),
	CASE(odd_length, -EBADMSG, "cut short"),
	CASE(no_such_hwpt, -EBADMSG, "attached to 2, which is no HWPT"),
	CASE(hwpt_no_ioas, -EBADMSG, "but QEMU's CPR state says|HWPT 3: its IOAS"),
	CASE(id_zero, -EBADMSG, "out of range"),
	CASE(id_huge, -EBADMSG, "out of range"),
	CASE(id_twice, -EBADMSG, "an id is there twice"),
	CASE(area_stray, -EBADMSG, "does not follow its IOAS"),
	CASE(area_first, -EBADMSG, "does not follow its IOAS"),
	CASE(allowed_stray, -EBADMSG, "does not follow its IOAS"),
	CASE(area_beyond, -EBADMSG, "beyond its file"),
	CASE(area_wraps, -EBADMSG, "makes no sense"),
	CASE(area_no_length, -EBADMSG, "makes no sense"),
	CASE(area_no_prot, -EBADMSG, "makes no sense"),
	CASE(area_order, -EBADMSG, "area at 0x1000 is not in order"),
	CASE(allowed_order, -EBADMSG, "allowed range 1 is not in order"),
	CASE(strange_vector, -EBADMSG, "req has no vector 1"),
	CASE(huge_vector, -EBADMSG, "msix has no vector"),
	CASE(vector_twice, -EBADMSG, "msix 2 is there twice"),
	CASE(two_modes, -EBADMSG, "both msi and msix"),
	CASE(cpr_devid, -EBADMSG, "CPR state says 4, 2 and 3"),
	CASE(cpr_devid_negative, -EBADMSG, "CPR state says -1, 2 and 3"),
	CASE(cpr_ioas, -EBADMSG, "CPR state says 1, 4 and 3"),
	CASE(cpr_hwpt, -EBADMSG, "CPR state says 1, 2 and 4"),
	CASE(cpr_more, -EBADMSG, "device hostdev9 of the CPR state has no file"),
	CASE(name_twice, -EBADMSG, "0000:00:04.0_interrupt, id 0: is there twice"),
};

static bool has_one_of(const char *text, const char *parts)
{
	char copy[256], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", parts);
	for (char *p = strtok_r(copy, "|", &save); p; p = strtok_r(NULL, "|", &save))
		if (strstr(text, p))
			return true;
	return false;
}

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct lu_devices d;
		struct sample s;
		int r;

		sample_init(&s);
		cases[i].change(&s);
		r = lu_devices_compose(&s.facts, &d, &e);
		expect(r == cases[i].code, "%s: %d, %s", cases[i].name, r, e.what ?: "no error");
		if (r == 0) {
			_cleanup_calls_ struct lu_calls calls;

			/* can be set up again */
			assert_int_equal(lu_devices_plan(&d, &calls), 0);
			expect(lu_calls_check(&calls, LU_CALLS_FILE, &e) == 0, "%s: %s", cases[i].name, e.what);
			lu_devices_clear(&d);
			continue;
		}
		expect(e.what && has_one_of(e.what, cases[i].text), "%s: %s", cases[i].name, e.what ?: "no text");
	}
}

/* A buffer of the exact size, so that a sanitizer sees a byte too many. */
static int compose_bytes(struct sample *s, const unsigned char *bytes, size_t n, struct lu_error *e)
{
	unsigned char *copy = malloc(n ?: 1);
	struct lu_devices d;
	int r;

	assert_non_null(copy);
	memcpy(copy, bytes, n);
	s->fds[F_IOMMUFD].records = copy;
	s->fds[F_IOMMUFD].length = n;
	r = lu_devices_compose(&s->facts, &d, e);
	if (r == 0) {
		expect(lu_devices_check(&d, e) == 0, "%s", e->what);
		lu_devices_clear(&d);
	}
	free(copy);
	return r;
}

static void test_truncated(void **state)
{
	struct sample s;
	size_t boundary = 0;

	sample_init(&s);
	for (size_t n = 0; n < s.length; n++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct iommu_state_head head;
		int r = compose_bytes(&s, s.records, n, &e);

		expect(r < 0 && e.what, "%zu of %zu bytes were accepted", n, s.length);
		if (n != boundary) {
			expect(r == -EBADMSG && strstr(e.what, "cut short"), "%zu bytes: %s", n, e.what);
			continue;
		}
		memcpy(&head, s.records + n, sizeof(head));
		boundary += head.length;
	}
	assert_int_equal(boundary, s.length);
}

static void test_flipped(void **state)
{
	struct sample s;

	sample_init(&s);
	for (size_t bit = 0; bit < s.length * 8; bit++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		unsigned char bytes[SAMPLE_RECORDS];
		int r;

		memcpy(bytes, s.records, s.length);
		bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
		r = compose_bytes(&s, bytes, s.length, &e);
		expect(r == 0 || e.what, "bit %zu: %d without a text", bit, r);
	}
}

static void test_no_memory(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_devices d;
	struct sample s;
	int r;

	sample_init(&s);
	for (fail_at = 1;; fail_at++) {
		allocations = 0;
		r = lu_devices_compose(&s.facts, &d, &e);
		if (r == 0)
			break;
		expect(r == -ENOMEM, "allocation %u: %d, %s", fail_at, r, e.what ?: "");
		lu_error_clear(&e);
	}
	expect(fail_at > 30, "only %u allocations failed", fail_at);
	fail_at = 0;
	lu_devices_clear(&d);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),   cmocka_unit_test(test_cases),     cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_flipped), cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
