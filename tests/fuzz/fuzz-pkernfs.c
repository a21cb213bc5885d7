// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pkernfs as it is found in memory. The first byte chooses: 'f' the rest is a file with an image of memory; '0' to '5' one of six
 * good images (small, large, with bad memory; '2', '3' and '5' sealed), and the rest is what is changed in it, eleven bytes a change: page, word in
 * the page, how, and a value. Whatever is found, there is a report, and it can be written.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "make-pkernfs.h"
#include "verify.h"

#define PAGE 4096u
#define CHANGES 16u

struct change {
	uint8_t page[2];
	uint8_t word;
	uint8_t how;
	uint8_t value[7];
} __attribute__((packed));

static struct image images[6];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static void (*const make[])(struct image *) = { image_small, image_large,    image_small,
							image_large, image_poisoned, image_poisoned };

	for (unsigned int i = 0; i < ARRAY_SIZE(images); i++) {
		make[i](&images[i]);
		image_seal(&images[i], i == 2 || i == 3 || i == 5);
	}
	return 0;
}

static void judge(const char *path, uint64_t root)
{
	struct lu_pkernfs_report report = LU_PKERNFS_REPORT_INIT;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *text = NULL;
	struct lu_memory *m = NULL;
	int r;

	r = lu_memory_open(path, &m, &e);
	if (r == 0)
		r = lu_pkernfs_verify(m, root, &report, NULL, &e);
	promise(r == 0 || e.what);
	if (r == 0)
		promise(lu_json_encode_text(&lu_pkernfs_table, &report, &text, &e) == 0);
	lu_pkernfs_report_clear(&report);
	lu_memory_free(m);
}

static uint64_t changed(const struct image *image, uint64_t old, const struct change *c)
{
	uint64_t value = 0, pages = (image->next - IMAGE_ROOT) / PAGE;

	memcpy(&value, c->value, sizeof(c->value));
	switch (c->how % 6) {
	case 0:
		return value;
	case 1:
		return old ^ value;
	case 2:
		return old + value;
	case 3: /* another page of metadata */
		return IMAGE_ROOT + value % pages * PAGE + (old & (PAGE - 1));
	case 4:
		return ~value;
	default:
		return value << 56 | (old & (UINT64_MAX >> 8));
	}
}

static void change_and_judge(struct image *image, const uint8_t *data, size_t size)
{
	uint64_t *at[CHANGES], before[CHANGES], pages = (image->next - IMAGE_ROOT) / PAGE;
	size_t n = size / sizeof(struct change);

	n = n < CHANGES ? n : CHANGES;
	for (size_t i = 0; i < n; i++) {
		struct change c;
		uint64_t page;

		memcpy(&c, data + i * sizeof(c), sizeof(c));
		page = (uint64_t)(c.page[0] | c.page[1] << 8) % pages;
		at[i] = (uint64_t *)(void *)(image->mem + IMAGE_ROOT + page * PAGE) + c.word * 2u;
		before[i] = *at[i];
		*at[i] = changed(image, before[i], &c);
	}
	judge(image->path, IMAGE_ROOT);
	while (n-- > 0)
		*at[n] = before[n];
}

static void judge_file(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC);
	char path[32];

	promise(fd >= 0 && lu_write_all(fd, data, size) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	judge(path, LU_PKERNFS_FIND);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	if (data[0] == 'f')
		judge_file(data + 1, size - 1);
	else if (data[0] >= '0' && data[0] < '0' + (int)ARRAY_SIZE(images))
		change_and_judge(&images[data[0] - '0'], data + 1, size - 1);
	return 0;
}
