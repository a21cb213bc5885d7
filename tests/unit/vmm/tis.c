// SPDX-License-Identifier: GPL-2.0-or-later
/* See tis.h. Registers are those of locality 0 (TCG PC Client, FIFO interface). */
#include <endian.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "test.h"

#include "tis.h"
#include "util.h"

enum {
	ACCESS = 0xfed40000,
	STS = ACCESS + 0x18,
	FIFO = ACCESS + 0x24,
	REQUEST_USE = 0x02,
	READY = 0x40,
	GO = 0x20,
	AVAILABLE = 0x10,
	RC_RETRY = 0x922,
	NV_INDEX = 0x01000010,
};

static FILE *in, *out;

void tis_connect(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = -1;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	for (int i = 0; i < 1000 && fd < 0; i++) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
			close(fd);
			fd = -1;
			usleep(10000);
		}
	}
	assert_true(fd >= 0);
	out = fdopen(dup(fd), "w");
	in = fdopen(fd, "r");
	assert_true(in && out);
}

void tis_close(void)
{
	if (in)
		fclose(in);
	if (out)
		fclose(out);
	in = out = NULL;
}

static unsigned long ask(const char *command, unsigned long address, unsigned int value, bool write)
{
	char line[128];
	unsigned long v = 0;

	if (write)
		fprintf(out, "%s 0x%lx 0x%x\n", command, address, value);
	else
		fprintf(out, "%s 0x%lx\n", command, address);
	fflush(out);
	do
		expect(fgets(line, sizeof(line), in), "QEMU has ended");
	while (!strncmp(line, "IRQ", 3));
	expect(!strncmp(line, "OK", 2), "qtest: %s", line);
	(void)sscanf(line, "OK %lx", &v);
	return v;
}

static void set(unsigned long address, uint8_t v)
{
	ask("writeb", address, v, true);
}

static uint8_t get(unsigned long address)
{
	return (uint8_t)ask("readb", address, 0, false);
}

static void await(uint8_t bit)
{
	for (int i = 0; i < 3000; i++) {
		if (get(STS) & bit)
			return;
		usleep(1000);
	}
	fail_case("the TPM does not answer");
}

/* A command whose length is filled in here; the answer, and its code. */
static uint32_t command(uint8_t *c, size_t size, uint8_t *answer, size_t room)
{
	uint32_t length = htobe32((uint32_t)size), code;
	size_t n = 10;

	memcpy(c + 2, &length, 4);
	set(ACCESS, REQUEST_USE);
	set(STS, READY);
	await(READY);
	for (size_t i = 0; i < size; i++)
		set(FIFO, c[i]);
	set(STS, GO);
	await(AVAILABLE);
	for (size_t i = 0; i < n; i++) {
		assert_true(i < room);
		answer[i] = get(FIFO);
		if (i == 5) {
			memcpy(&length, answer + 2, 4);
			n = be32toh(length);
		}
	}
	set(STS, READY);
	memcpy(&code, answer + 6, 4);
	return be32toh(code);
}

static size_t run(uint8_t *c, size_t size, uint8_t answer[static 512])
{
	uint32_t code = RC_RETRY, length;

	for (int i = 0; i < 10 && code == RC_RETRY; i++)
		code = command(c, size, answer, 512);
	expect(code == 0, "TPM command %02x%02x: 0x%x", c[8], c[9], code);
	memcpy(&length, answer + 2, 4);
	return be32toh(length);
}

#define TAG 0x80, 0x01, 0, 0, 0, 0
#define TAG_SESSION 0x80, 0x02, 0, 0, 0, 0
#define PASSWORD 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0
#define INDEX 0x01, 0, 0, 0x10
#define RUN(_answer, ...)                       \
	({                                      \
		uint8_t _c[] = { __VA_ARGS__ }; \
		run(_c, sizeof(_c), _answer);   \
	})

void tis_startup(void)
{
	uint8_t answer[512];

	RUN(answer, TAG, 0, 0, 0x01, 0x44, 0, 0);
}

void tis_extend(uint8_t v)
{
	uint8_t answer[512];

	RUN(answer, TAG_SESSION, 0, 0, 0x01, 0x82, 0, 0, 0, 10, PASSWORD, 0, 0, 0, 1, 0, 0x0b, v, v, v, v, v, v, v, v,
	    v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v);
}

const char *tis_pcr(void)
{
	static char text[4][65];
	static int k;
	uint8_t answer[512];
	size_t n = RUN(answer, TAG, 0, 0, 0x01, 0x7e, 0, 0, 0, 1, 0, 0x0b, 3, 0, 0x04, 0);

	assert_true(n > 42);
	k = (k + 1) % 4;
	for (size_t i = 0; i < 32; i++)
		snprintf(text[k] + 2 * i, 3, "%02x", answer[n - 32 + i]);
	return text[k];
}

void tis_nv_write(const char text[static 8])
{
	uint8_t answer[512];
	const uint8_t *t = (const uint8_t *)text;

	/* attributes: AUTHREAD, AUTHWRITE, OWNERREAD, OWNERWRITE */
	RUN(answer, TAG_SESSION, 0, 0, 0x01, 0x2a, 0x40, 0, 0, 1, PASSWORD, 0, 0, 0, 14, INDEX, 0, 0x0b, 0, 0x06, 0,
	    0x06, 0, 0, 0, 8);
	RUN(answer, TAG_SESSION, 0, 0, 0x01, 0x37, INDEX, INDEX, PASSWORD, 0, 8, t[0], t[1], t[2], t[3], t[4], t[5],
	    t[6], t[7], 0, 0);
}

const char *tis_nv(void)
{
	static char text[9];
	uint8_t answer[512];
	size_t n = RUN(answer, TAG_SESSION, 0, 0, 0x01, 0x4e, INDEX, INDEX, PASSWORD, 0, 8, 0, 0);

	/* header, size of the parameters, size of the data, data, sessions */
	assert_true(n >= 10 + 4 + 2 + 8);
	memcpy(text, answer + 16, 8);
	return text;
}
