// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A function in a /sys of our own, good at first; then one thing is wrong with it, and the verdict
 * names just that. And records of an iommufd, likewise. The configuration space is that of
 * an igb as QEMU makes it.
 */
#include <fcntl.h>
#include <linux/pkeep_state.h>
#include <sys/stat.h>

#include "test.h"

#include "pci.h"
#include "devices-internal.h"

#define ADDRESS "0000:00:0c.0"
#define BASE "sys/bus/pci/devices/" ADDRESS

static char dir[64];
static int sys_fd, proc_fd;

static const char *at(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *fmt, ...)
{
	char line[1024], command[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	snprintf(command, sizeof(command), "cd %s && %s", dir, line);
	assert_int_equal(system(command), 0);
}

/* --- configuration space: an igb's, capability by capability --- */

#define CONFIG 4096
static uint8_t config[CONFIG];

static void put32(size_t where, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		config[where + (size_t)i] = (uint8_t)(v >> (8 * i));
}

/* Offsets, order and contents as of QEMU 10's igb: PM at 0x40, MSI at 0x50, MSI-X at 0x70, PCIe at 0xa0; ARI after AER */
static void igb_config(void)
{
	memset(config, 0, sizeof(config));
	put32(0x00, 0x10c98086);
	put32(0x04, 0x00100546); /* capabilities; bus master */
	put32(0x34, 0x40);
	put32(0x40, 0x00235001);  /* PM → 0x50 */
	put32(0x44, 0x00000008);  /* D0, No_Soft_Reset */
	put32(0x50, 0x01807005);  /* MSI, 64 bit, maskable, off → 0x70 */
	put32(0x70, 0x8009a011);  /* MSI-X → 0xa0 */
	put32(0xa0, 0x00020010);  /* PCIe */
	put32(0xa4, 0x10008001);  /* FLR */
	put32(0x100, 0x14020001); /* AER → 0x140 */
	put32(0x140, 0x0001000e); /* ARI */
}

static void write_config(size_t size)
{
	int fd = open(at(BASE "/config"), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0 && write(fd, config, size) == (ssize_t)size);
	close(fd);
}

static void good(void)
{
	shell("rm -rf sys proc && mkdir -p " BASE "/vfio-dev sys/kernel/iommu_groups/7/devices "
	      "sys/devices/virtual/iommu/dmar0/intel-iommu sys/bus/pci/drivers/vfio-pci proc");
	shell("ln -s ../../../../bus/pci/drivers/vfio-pci " BASE "/driver; "
	      "ln -s ../../../../devices/virtual/iommu/dmar0 " BASE "/iommu; "
	      "ln -s ../../../../kernel/iommu_groups/7 " BASE "/iommu_group; "
	      "ln -s ../../../../bus/pci/devices/" ADDRESS " sys/kernel/iommu_groups/7/devices/" ADDRESS);
	shell("echo 0 > " BASE "/pkeep; echo f00f5e > " BASE
	      "/iommu/intel-iommu/ecap; echo root=/dev/vda > proc/cmdline");
	igb_config();
	write_config(CONFIG);
}

static void judge(struct lu_pci *f, struct lu_reasons *why)
{
	assert_int_equal(lu_pci_read(sys_fd, proc_fd, ADDRESS, f), 0);
	lu_pci_judge(f, ADDRESS, why);
	for (size_t i = 0; i < why->n; i++)
		assert_string_equal(why->list[i].device, ADDRESS);
}

static void open_tree(void)
{
	close(sys_fd);
	close(proc_fd);
	sys_fd = open(at("sys"), O_RDONLY | O_DIRECTORY);
	proc_fd = open(at("proc"), O_RDONLY | O_DIRECTORY);
	assert_true(sys_fd >= 0 && proc_fd >= 0);
}

static void test_good(void **state)
{
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	struct lu_pci f;

	good();
	open_tree();
	judge(&f, &why);
	expect(why.n == 0, "%s", why.list[0].what);
	assert_true(f.present && f.config_read && f.vfio_cdev && f.markable);
	assert_false(f.virtual_function || f.ats || f.low_power || f.bridge);
	assert_string_equal(f.iommu, "dmar0");
	assert_int_equal(f.group_members, 1);
}

static void ats(void)
{
	put32(0x140, 0x1501000e); /* ARI → 0x150 */
	put32(0x150, 0x0001000f);
}

static void d3hot(void)
{
	put32(0x44, 0x0000000b);
}

static void bridge(void)
{
	put32(0x0c, 0x00010000);
}

static void circle(void)
{
	put32(0x50, 0x01804005);
	put32(0x140, 0x1000000e);
}

static void test_each(void **state)
{
	static const struct {
		const char *change; /* of the tree */
		void (*configure)(void);
		const char *word; /* NULL: still fine */
		size_t n;         /* reasons, 0: one if there is a word */
	} cases[] = {
		{ "ln -s ../0000:00:0c.1 " BASE "/physfn", NULL, "virtual function" },
		{ "rm " BASE "/pkeep", NULL, "no attribute pkeep" },
		{ "rm " BASE "/driver && ln -s ../igb " BASE "/driver", NULL, "driver igb" },
		{ "rm " BASE "/driver", NULL, "driver (none)" },
		{ "rmdir " BASE "/vfio-dev", NULL, "legacy container" },
		{ "rm " BASE "/iommu", NULL, "no IOMMU" },
		{ "rm " BASE "/iommu && ln -s x/ivhd0 " BASE "/iommu", NULL, "ivhd0 is of a kind" },
		{ "rm " BASE "/iommu && ln -s x/smmu3.0x9050000 " BASE "/iommu", NULL, "smmu3.0x9050000 is of a kind" },
		{ "ln -s x sys/kernel/iommu_groups/7/devices/0000:00:0d.0", NULL, "group with 0000:00:0d.0" },
		{ "ln -s x sys/kernel/iommu_groups/7/devices/0000:00:0e.0; ln -s x sys/kernel/iommu_groups/7/devices/0000:00:0d.0",
		  NULL, "0000:00:0d.0 and others" },
		{ ":", ats, "cache of its own (ATS)" },
		{ "echo f00f58 > " BASE "/iommu/intel-iommu/ecap", ats, NULL },
		{ "rm " BASE "/iommu/intel-iommu/ecap", ats, "cache of its own (ATS)" },
		{ "echo quiet pci=noats > proc/cmdline", ats, NULL },
		{ ":", d3hot, "full power" },
		{ ":", bridge, "is a bridge" },
		/* lists of capabilities that never end: what is not found in them is not there */
		{ ":", circle, NULL },
		/* all of them at once */
		{ "ln -s ../0000:00:0c.1 " BASE "/physfn; rm " BASE "/pkeep " BASE
		  "/iommu; ln -s x sys/kernel/iommu_groups/7/devices/0000:00:0d.0",
		  NULL, "virtual function", 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_reasons_ struct lu_reasons why = { 0 };
		struct lu_pci f;

		good();
		shell("%s", cases[i].change);
		if (cases[i].configure)
			cases[i].configure();
		write_config(CONFIG);
		open_tree();
		judge(&f, &why);
		expect(why.n == (cases[i].n ?: cases[i].word != NULL), "case %zu: %zu, %s", i, why.n,
		       why.n ? why.list[0].what : "fine");
		expect(!cases[i].word || strstr(why.list[0].what, cases[i].word), "case %zu: %s", i, why.list[0].what);
		for (size_t k = 0; k < why.n; k++)
			expect(why.list[k].hint || cases[i].configure == bridge, "case %zu: %s: no hint", i,
			       why.list[k].what);
	}
}

/* A configuration space that is cut anywhere; who sees only its head knows nothing of resets. */
static void test_cut(void **state)
{
	for (size_t size = 0; size <= 300; size++) {
		_cleanup_reasons_ struct lu_reasons why = { 0 };
		struct lu_pci f;

		good();
		write_config(size);
		open_tree();
		judge(&f, &why);
		expect((why.n == 1) == (size < 256), "%zu: %zu", size, why.n);
	}
	shell("rm -r " BASE);
	{
		_cleanup_reasons_ struct lu_reasons why = { 0 };
		struct lu_pci f;

		judge(&f, &why);
		assert_int_equal(why.n, 1);
		assert_non_null(strstr(why.list[0].what, "no such"));
	}
}

/* Any bytes: it ends, and reads nothing that is not there (the sanitizer sees that). */
static void count_marked(const char *address, void *userdata)
{
	unsigned int *n = userdata;

	assert_string_equal(address, ADDRESS);
	++*n;
}

static void test_marked(void **state)
{
	unsigned int n = 0;

	good();
	shell("mkdir -p sys/bus/pci/devices/0000:02:00.0 sys/bus/pci/devices/0000:03:00.0/pkeep");
	open_tree();
	lu_pci_marked(sys_fd, count_marked, &n);
	assert_int_equal(n, 0);
	shell("echo 1 > " BASE "/pkeep");
	lu_pci_marked(sys_fd, count_marked, &n);
	assert_int_equal(n, 1);
	shell("rm -r sys/bus");
	lu_pci_marked(sys_fd, count_marked, &n);
	assert_int_equal(n, 1);
}

static void test_any(void **state)
{
	uint32_t seed = 1;

	good();
	open_tree();
	for (int i = 0; i < 200; i++) {
		_cleanup_reasons_ struct lu_reasons why = { 0 };
		struct lu_pci f;

		igb_config();
		for (int k = 0; k < 40; k++) {
			seed = seed * 1103515245 + 12345;
			config[seed >> 16 & 0x1ff] = (uint8_t)(seed >> 8);
		}
		write_config(CONFIG);
		judge(&f, &why);
	}
}

/* --- what is set up in an iommufd --- */

struct list {
	_Alignas(8) unsigned char data[1024];
	size_t n;
};

static void add(struct list *l, const void *record, size_t size)
{
	memcpy(l->data + l->n, record, size);
	l->n += size;
}

static void add_area(struct list *l, uint32_t kind, uint64_t dev)
{
	struct iommu_state_area a = { .head = { IOMMU_STATE_AREA, sizeof(a), 2, 0 },
				      .iova = 0x100000,
				      .length = 4096,
				      .dev = dev,
				      .inode = 5,
				      .prot = 3,
				      .kind = kind };

	add(l, &a, sizeof(a));
}

static void add_device(struct list *l, uint32_t flags)
{
	struct iommu_state_device d = {
		.head = { IOMMU_STATE_DEVICE, sizeof(d), 1, flags }, .hwpt_id = 3, .bus = 0, .devfn = 0x60
	};

	add(l, &d, sizeof(d));
}

static void test_peek(void **state)
{
	const uint64_t devs[] = { 10, 11 };
	struct iommu_state_other other = { .head = { IOMMU_STATE_OTHER, sizeof(other), 9, 0 }, .kind = 4 };
	struct iommu_state_head unknown = { 77, sizeof(unknown), 9, 0 },
				optional = { 77, sizeof(optional), 9, IOMMU_STATE_OPTIONAL };

	for (int i = 0; i < 9; i++) {
		static const char *const words[] = { NULL,     "no file",      "dma-bufs", "files that do not survive",
						     "PASIDs", "nested table", "no PCI",   "not known here",
						     NULL };
		_cleanup_reasons_ struct lu_reasons why = { 0 };
		struct list l = { 0 };

		add_device(&l, i == 6 ? 0 : IOMMU_STATE_DEVICE_PCI | (i == 4 ? IOMMU_STATE_DEVICE_PASIDS : 0));
		add_area(&l,
			 i == 1 ? IOMMU_STATE_AREA_USER :
			 i == 2 ? IOMMU_STATE_AREA_DMABUF :
				  IOMMU_STATE_AREA_FILE,
			 i == 3 ? 12 : 10);
		add_area(&l, IOMMU_STATE_AREA_FILE, 11);
		if (i == 5)
			add(&l, &other, sizeof(other));
		if (i == 7)
			add(&l, &unknown, sizeof(unknown));
		if (i == 8)
			add(&l, &optional, sizeof(optional));
		lu_peek_judge(l.data, l.n, devs, 2, &why);
		expect(why.n == (words[i] != NULL), "case %d: %zu", i, why.n);
		expect(!words[i] || strstr(why.list[0].what, words[i]), "case %d: %s", i, why.list[0].what);
		if (i == 4)
			assert_string_equal(why.list[0].device, ADDRESS);
	}
}

static void test_peek_cut(void **state)
{
	struct list l = { 0 };

	add_device(&l, IOMMU_STATE_DEVICE_PCI);
	add_area(&l, IOMMU_STATE_AREA_FILE, 10);
	for (size_t n = 0; n <= l.n; n++) {
		_cleanup_reasons_ struct lu_reasons why = { 0 };
		_cleanup_free_ unsigned char *exact = malloc(n ?: 1);
		bool whole = n == 0 || n == sizeof(struct iommu_state_device) || n == l.n;

		memcpy(exact, l.data, n);
		lu_peek_judge(exact, n, &(uint64_t){ 10 }, 1, &why);
		expect((why.n == 0) == whole, "%zu bytes: %zu", n, why.n);
	}
}

static void test_reasons(void **state)
{
	_cleanup_reasons_ struct lu_reasons a = { 0 }, b = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	assert_int_equal(lu_reasons_first(&a, NULL, &e), 0);
	lu_reasons_add(&a, NULL, "do", "it %d", 1);
	lu_reasons_add(&a, NULL, "do", "it %d", 1);
	lu_reasons_add(&a, ADDRESS, NULL, "it %d", 1);
	assert_int_equal(a.n, 2);
	lu_reasons_add(&b, NULL, NULL, "first");
	lu_reasons_move(&b, &a);
	assert_int_equal(a.n, 0);
	assert_int_equal(b.n, 3);
	assert_int_equal(lu_reasons_first(&b, "VM x: ", &e), -EOPNOTSUPP);
	assert_string_equal(e.what, "VM x: first");
	for (unsigned int i = 0; i < LU_REASONS_MAX + 10; i++)
		lu_reasons_add(&a, NULL, NULL, "%u", i);
	assert_int_equal(a.n, LU_REASONS_MAX);
	assert_true(a.lost);
	/* what could not be kept is a reason all the same */
	lu_reasons_clear(&b);
	b.lost = true;
	assert_true(lu_reasons_any(&b));
}

static int setup(void **state)
{
	return test_mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),    cmocka_unit_test(test_each),   cmocka_unit_test(test_cut),
		cmocka_unit_test(test_any),     cmocka_unit_test(test_peek),   cmocka_unit_test(test_peek_cut),
		cmocka_unit_test(test_reasons), cmocka_unit_test(test_marked),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
