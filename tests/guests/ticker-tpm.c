// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bare-metal guest's TPM 2.0 (TIS, locality 0): PCR 10 is extended by the guest's seed, again and again, and an NV index holds
 * how often. The line
 *
 *	TPM <n> pcr=<PCR 10, SHA-256> nv=<what the index holds>
 *
 * says what the TPM itself tells after the n-th time. Whoever reads it computes the PCR anew: a TPM that lost an extension,
 * or went back to an older state, is told by the first line after that. Commands have an empty password.
 *
 * Each access is an exit to the VMM, so the FIFO is read and written by four bytes where it can be.
 */
#include "ticker.h"

#define TIS 0xfed40000UL
#define STS (TIS + 0x18)
#define FIFO (TIS + 0x24)
#define INDEX 0x01000011

enum {
	USE = 0x02,
	READY = 0x40,
	GO = 0x20,
	AVAILABLE = 0x10,
	RC_RETRY = 0x922,
	RC_INITIALIZE = 0x100,
	RC_NV_DEFINED = 0x14c,
	SPINS = 1000000
};

static uint8_t buf[256];
static unsigned int len;
static uint64_t count;

static void add(uint64_t value, unsigned int bytes)
{
	while (bytes--)
		buf[len++] = (uint8_t)(value >> (8 * bytes));
}

static void begin(uint16_t tag, uint32_t code)
{
	len = 0;
	add(tag, 2);
	add(0, 4);
	add(code, 4);
}

static void password(void)
{
	add(9, 4);
	add(0x40000009, 4);
	add(0, 2);
	add(0, 1);
	add(0, 2);
}

static uint32_t number(unsigned int at)
{
	return (uint32_t)buf[at] << 24 | (uint32_t)buf[at + 1] << 16 | (uint32_t)buf[at + 2] << 8 | buf[at + 3];
}

static int await(uint8_t bit)
{
	for (unsigned int i = 0; i < SPINS; i++)
		if (*(volatile uint8_t *)STS & bit)
			return 0;
	return -1;
}

/* the bytes [from, to) of the answer */
static void take(unsigned int from, unsigned int to)
{
	for (; from + 4 <= to; from += 4) {
		uint32_t v = *(volatile uint32_t *)FIFO;

		for (int i = 0; i < 4; i++)
			buf[from + i] = (uint8_t)(v >> (8 * i));
	}
	for (; from < to; from++)
		buf[from] = *(volatile uint8_t *)FIFO;
}

/* what is in buf; the answer is there afterwards. Its code, or ~0 if there is none */
static uint32_t send(void)
{
	unsigned int i = 0, size;

	buf[5] = (uint8_t)len;
	*(volatile uint8_t *)TIS = USE;
	*(volatile uint8_t *)STS = READY;
	if (await(READY))
		return ~0U;
	for (; i + 4 <= len; i += 4)
		*(volatile uint32_t *)FIFO = (uint32_t)buf[i] | (uint32_t)buf[i + 1] << 8 | (uint32_t)buf[i + 2] << 16 |
					     (uint32_t)buf[i + 3] << 24;
	for (; i < len; i++)
		*(volatile uint8_t *)FIFO = buf[i];
	*(volatile uint8_t *)STS = GO;
	if (await(AVAILABLE))
		return ~0U;
	take(0, 10);
	size = number(2);
	if (size > sizeof(buf))
		return ~0U;
	take(10, size);
	len = size;
	*(volatile uint8_t *)STS = READY;
	return number(6);
}

static uint32_t startup(void)
{
	begin(0x8001, 0x144);
	add(0, 2);
	return send();
}

static uint32_t define(void)
{
	begin(0x8002, 0x12a);
	add(0x40000001, 4);
	password();
	add(0, 2);
	add(14, 2);
	add(INDEX, 4);
	add(0x000b, 2);
	add(0x00060006, 4); /* owner and empty password may read and write */
	add(0, 2);
	add(8, 2);
	return send();
}

static uint32_t extend(uint64_t value)
{
	begin(0x8002, 0x182);
	add(10, 4);
	password();
	add(1, 4);
	add(0x000b, 2);
	for (int i = 0; i < 4; i++)
		add(value, 8);
	return send();
}

static uint32_t write_index(uint64_t value)
{
	uint32_t code = RC_RETRY;

	for (int i = 0; i < 10 && code == RC_RETRY; i++) {
		begin(0x8002, 0x137);
		add(INDEX, 4);
		add(INDEX, 4);
		password();
		add(8, 2);
		add(value, 8);
		add(0, 2);
		code = send();
	}
	return code;
}

/* the code; what it holds is in buf from 16 on */
static uint32_t read_index(void)
{
	begin(0x8002, 0x14e);
	add(INDEX, 4);
	add(INDEX, 4);
	password();
	add(8, 2);
	add(0, 2);
	return send();
}

/* the code; the digest is the end of the answer */
static uint32_t read_pcr(void)
{
	begin(0x8001, 0x17e);
	add(1, 4);
	add(0x000b, 2);
	add(3, 1);
	add(0x000400, 3);
	return send();
}

static void put_bytes(const uint8_t *p, unsigned int n)
{
	for (; n--; p++) {
		put_char("0123456789abcdef"[*p >> 4]);
		put_char("0123456789abcdef"[*p & 15]);
	}
}

static int failed(const char *what, uint32_t code)
{
	if (!code)
		return 0;
	put_text("TPM BAD ");
	put_text(what);
	put_text(" code=");
	put_hex(code);
	line_end();
	return 1;
}

void tpm_start(void)
{
	uint32_t code = startup();

	/* firmware may have done so; an earlier boot may have defined it */
	if (!failed("startup", code == RC_INITIALIZE ? 0 : code)) {
		code = define();
		failed("define", code == RC_NV_DEFINED ? 0 : code);
	}
}

void tpm_step(uint64_t value)
{
	if (failed("extend", extend(value)) || failed("write", write_index(count + 1)) || failed("PCR", read_pcr()))
		return;
	count++;
	put_text("TPM ");
	put_number(count);
	put_text(" pcr=");
	put_bytes(buf + len - 32, 32);
	if (read_index()) {
		put_text(" nv=BAD");
	} else {
		put_text(" nv=");
		put_bytes(buf + 16, 8);
	}
	line_end();
}
