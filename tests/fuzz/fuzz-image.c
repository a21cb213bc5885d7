// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Boot images. The first byte says how much of the way is made for the fuzzer, which would else spend its
 * time on magic numbers: '0' nothing, '1' the rest is an uncompressed kernel behind a good setup header,
 * '2' the setup header's fixed fields are put right.
 */
#include "fuzz.h"
#include "image.h"

#define SETUP 1024u

static void put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void put_right(uint8_t *p, uint32_t payload, uint32_t size)
{
	p[0x1f1] = 1;
	p[0x1fe] = 0x55;
	p[0x1ff] = 0xaa;
	memcpy(p + 0x202, "HdrS", 4);
	p[0x206] = 0x0f;
	p[0x207] = 2;
	put32(p + 0x248, payload);
	put32(p + 0x24c, size);
}

static uint8_t *kernel_in_setup(const uint8_t *data, size_t size, size_t *ret_size)
{
	uint8_t *p = calloc(1, SETUP + size + 4);

	promise(p);
	put_right(p, 0, (uint32_t)size + 4);
	put32(p + 0x238, 2047);
	p[0x211] = 1;
	p[0x234] = 1;
	p[0x236] = 3;
	memcpy(p + SETUP, data, size);
	put32(p + SETUP + size, (uint32_t)size);
	*ret_size = SETUP + size + 4;
	return p;
}

static void judge(const struct lu_image *image)
{
	struct lu_running running = { .abi.present = true };
	struct lu_findings findings = { 0 };

	promise(strnlen(image->release, sizeof(image->release)) < sizeof(image->release));
	lu_target_check(image, "image", &running, &findings);
	lu_target_check_devices(image, &running, &findings);
	lu_findings_clear(&findings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ uint8_t *bytes = NULL;
	struct lu_image image = { 0 };
	char mode;

	if (size < 1)
		return 0;
	mode = (char)data[0];
	data++;
	size--;
	if (mode == '1')
		bytes = kernel_in_setup(data, size, &size);
	else
		bytes = exact(data, size);
	if (mode == '2' && size > SETUP)
		put_right(bytes, 0, (uint32_t)(size - SETUP));
	if (lu_image_parse(bytes, size, "image", &image, &e) == 0)
		judge(&image);
	else
		promise(e.what);
	return 0;
}
