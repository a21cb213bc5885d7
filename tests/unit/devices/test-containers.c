// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Containers of vfio's old interface: what is told beforehand of one that can't be taken over, and what stands in one when
 * a QEMU is started that takes it over. The kernel's rules are those of vfio_dma_do_unmap() (Linux 7.3).
 */
#include "test.h"

#include "cpr.h"
#include "devices-internal.h"

enum {
	CONTAINER = 7,
	OLD = 8,     /* of a kernel that has no VFIO_UPDATE_VADDR */
	SCATTER = 9, /* some have an address, some have none */
	DEVICE = 10,
};

static bool gone, scatter[3];

/* All or none: one that has none already puts back what was taken away before. */
static int unmap(bool *none, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (none[i]) {
			for (size_t k = 0; k < i; k++)
				none[k] = false;
			return -EINVAL;
		}
		none[i] = true;
	}
	return 0;
}

static int fake_ioctl(void *context, int fd, unsigned long request, void *arg)
{
	const struct vfio_iommu_type1_dma_unmap *u = arg;

	if (fd != CONTAINER && fd != OLD && fd != SCATTER)
		return -ENOTTY;
	if (request == VFIO_GET_API_VERSION)
		return VFIO_API_VERSION;
	if (request == VFIO_CHECK_EXTENSION)
		return (uintptr_t)arg == VFIO_UPDATE_VADDR ? fd != OLD : 0;
	if (request != VFIO_IOMMU_UNMAP_DMA)
		return -ENOTTY;
	assert_int_equal(u->argsz, sizeof(*u));
	/* anything else would take the memory away */
	assert_int_equal(u->flags, VFIO_DMA_UNMAP_FLAG_VADDR | VFIO_DMA_UNMAP_FLAG_ALL);
	assert_int_equal(u->iova | u->size, 0);
	assert_int_not_equal(fd, OLD);
	return fd == CONTAINER ? unmap(&gone, 1) : unmap(scatter, ARRAY_SIZE(scatter));
}

static const struct lu_devices_ops ops = { .ioctl = fake_ioctl };

static void test_forget(void **state)
{
	const int fds[] = { DEVICE, CONTAINER, OLD };

	gone = false;
	lu_containers_forget(fds, ARRAY_SIZE(fds), &ops);
	assert_true(gone);
	/* as it should be already: nothing is given back */
	lu_containers_forget(fds, ARRAY_SIZE(fds), &ops);
	assert_true(gone);
	scatter[1] = true;
	lu_containers_forget((const int[]){ SCATTER }, 1, &ops);
	assert_true(!scatter[0] && scatter[1] && !scatter[2]);
}

static void test_judge(void **state)
{
	_cleanup_reasons_ struct lu_reasons why = { 0 };

	lu_container_judge(&ops, CONTAINER, &why);
	lu_container_judge(&ops, DEVICE, &why);
	assert_false(lu_reasons_any(&why));
	lu_container_judge(&ops, OLD, &why);
	assert_int_equal(why.n, 1);
	expect(strstr(why.list[0].what, "VFIO_UPDATE_VADDR"), "%s", why.list[0].what);
	assert_false(why.list[0].kernel);
}

static void test_has(void **state)
{
	struct lu_cpr_fd fds[] = { { (char *)"0000:00:0c.0", 0, -EBADF }, { (char *)"iommufd0", 0, -EBADF } };
	struct lu_cpr cpr = { .fds = fds, .n_fds = 2 };

	assert_false(lu_cpr_has_container(&cpr));
	fds[1] = (struct lu_cpr_fd){ (char *)"vfio_container_for_group", 12, -EBADF };
	assert_true(lu_cpr_has_container(&cpr));
}

/* What keeps from another kernel only is no reason where the kernel stays; what keeps from both stays one. */
static void test_reasons(void **state)
{
	_cleanup_reasons_ struct lu_reasons why = { 0 }, copy = { 0 };

	lu_reasons_add_kernel(&why, "0000:00:0c.0", NULL, "a container");
	lu_reasons_add_kernel(&why, NULL, NULL, "said twice");
	lu_reasons_add(&why, NULL, NULL, "said twice");
	lu_reasons_add(&why, NULL, NULL, "another");
	lu_reasons_add_kernel(&why, NULL, NULL, "another");
	assert_int_equal(why.n, 3);
	lu_reasons_copy(&copy, &why);
	assert_true(copy.list[0].kernel && !copy.list[1].kernel && !copy.list[2].kernel);
	lu_reasons_here(&copy);
	assert_int_equal(copy.n, 2);
	assert_string_equal(copy.list[0].what, "said twice");
	assert_int_equal(why.n, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forget),
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_has),
		cmocka_unit_test(test_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
