// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A bare-metal guest as a witness. It boots at once under KVM (-kernel ticker) and needs nothing but RAM, the PIT and a serial port.
 *
 * At start it draws a seed from the TSC, fills all RAM behind its own image with a pattern made of seed and address, and from then on only reads it.
 * Every interrupt of the PIT (10 ms unless told otherwise) it writes a short line, so that the time between two lines, stamped by whoever reads the port outside,
 * is the time for which the guest did not run; a part of RAM is compared with the pattern at each tick. Every REPORT ticks it writes a long line:
 *
 *	T <n>
 *	TICK <n> boot=<seed> ram=<MiB> mem=ok|BAD hash=<of the last complete pass, 0 before> passes=<n> tsc=<n> gap=<largest TSC step between two ticks>
 *
 * n counts interrupts and starts at 1, so a reset shows as a smaller number and another seed; the hash is over what was read, not over what was expected.
 * Between ticks the guest halts. The serial port is written with one string instruction a line (one exit to the VMM instead of one for each byte);
 * the line status register is not polled: QEMU's port keeps up, and a byte lost would only spoil a line, which the reader then does not accept.
 *
 * Command line: tick=<ms> (1 to 50), report=<ticks>, tpm=<reports> (ticker-tpm.c; 0: it has no TPM), each optional.
 *
 * Not handled: more than one CPU, RAM above 8 GiB, a VMM without PIT and PIC.
 */
#include <stdint.h>

#include "ticker.h"

#define PIT_HZ 1193182
#define COM1 0x3f8

struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

struct memmap_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};

struct region {
	uint64_t start, end;
};

#define REGIONS_MAX 8
#define MAPPED_END (8ULL << 30)

extern char image_end[];
extern void irq0_entry(void);

volatile uint64_t ticks;

static struct region regions[REGIONS_MAX];
static unsigned int nr_regions;
static uint64_t seed, ram_bytes, pass_hash, last_hash, passes, gap;
static int mem_bad;
static char line[192];
static unsigned int line_len;

static inline void outb(uint16_t port, uint8_t value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint64_t tsc_read(void)
{
	uint32_t lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

void put_char(char c)
{
	if (line_len < sizeof(line))
		line[line_len++] = c;
}

void put_text(const char *s)
{
	while (*s)
		put_char(*s++);
}

void put_hex(uint64_t value)
{
	for (int shift = 60; shift >= 0; shift -= 4)
		put_char("0123456789abcdef"[value >> shift & 15]);
}

void put_number(uint64_t value)
{
	char digits[20];
	int n = 0;

	do {
		digits[n++] = '0' + value % 10;
		value /= 10;
	} while (value);
	while (n)
		put_char(digits[--n]);
}

void line_end(void)
{
	const char *p = line;
	uint64_t left;

	put_char('\n');
	left = line_len;
	asm volatile("rep outsb" : "+S"(p), "+c"(left) : "d"((uint16_t)COM1) : "memory");
	line_len = 0;
}

static uint64_t pattern(uint64_t addr)
{
	uint64_t x = (addr ^ seed) * 0x9e3779b97f4a7c15ULL;

	return x ^ x >> 29;
}

static void ram_find(const struct start_info *si)
{
	const struct memmap_entry *map = (void *)si->memmap;

	for (unsigned int i = 0; i < si->memmap_entries && nr_regions < REGIONS_MAX; i++) {
		uint64_t start = map[i].addr, end = start + map[i].size;

		if (map[i].type != 1 || start >= MAPPED_END)
			continue;
		/* the first 2 MiB beyond the image stay free: start_info, command line and the map itself are below */
		if (start < (uint64_t)image_end)
			start = (uint64_t)image_end;
		start = (start + 4095) & ~4095ULL;
		end = (end < MAPPED_END ? end : MAPPED_END) & ~4095ULL;
		if (start >= end)
			continue;
		regions[nr_regions++] = (struct region){ start, end };
		ram_bytes += end - start;
	}
}

static void ram_fill(void)
{
	for (unsigned int i = 0; i < nr_regions; i++)
		for (uint64_t a = regions[i].start; a < regions[i].end; a += 8)
			*(volatile uint64_t *)a = pattern(a);
}

/* compare the next part; whole regions in order, then a pass is complete */
static void ram_verify(uint64_t bytes)
{
	static unsigned int region;
	static uint64_t at;

	while (bytes) {
		uint64_t end;

		if (!at)
			at = regions[region].start;
		end = regions[region].end - at < bytes ? regions[region].end : at + bytes;
		bytes -= end - at;
		for (; at < end; at += 8) {
			uint64_t v = *(volatile uint64_t *)at;

			mem_bad |= v != pattern(at);
			pass_hash = (pass_hash ^ v) * 0x100000001b3ULL;
		}
		if (at < regions[region].end)
			continue;
		at = 0;
		if (++region < nr_regions)
			continue;
		region = 0;
		last_hash = pass_hash;
		pass_hash = 0;
		passes++;
		return;
	}
}

static uint64_t option(const char *text, const char *name, uint64_t value)
{
	for (; text && *text; text++) {
		const char *t = text, *n = name;

		while (*n && *t == *n)
			t++, n++;
		if (*n)
			continue;
		value = 0;
		while (*t >= '0' && *t <= '9')
			value = value * 10 + (uint64_t)(*t++ - '0');
		break;
	}
	return value;
}

static void timer_start(uint64_t ms)
{
	static uint64_t idt[2 * 33];
	static struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} idt_ptr;
	uint64_t entry = (uint64_t)irq0_entry;
	unsigned int divisor = (unsigned int)(PIT_HZ * ms / 1000);

	idt[64] = (entry & 0xffff) | 8ULL << 16 | 0x8eULL << 40 | (entry & 0xffff0000) << 32;
	idt[65] = entry >> 32;
	idt_ptr.limit = sizeof(idt) - 1;
	idt_ptr.base = (uint64_t)idt;
	asm volatile("lidt %0" : : "m"(idt_ptr));

	outb(0x20, 0x11); /* PIC: vectors from 32, only IRQ 0 open */
	outb(0x21, 32);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0x21, 0xfe);
	outb(0xa1, 0xff);
	outb(0x43, 0x34); /* PIT: channel 0, rate generator */
	outb(0x40, divisor & 0xff);
	outb(0x40, (uint8_t)(divisor >> 8));
	asm volatile("sti");
}

static void report(uint64_t n, uint64_t now)
{
	put_text("TICK ");
	put_number(n);
	put_text(" boot=");
	put_hex(seed);
	put_text(" ram=");
	put_number((ram_bytes + (2 << 20)) >> 20);
	put_text(mem_bad ? " mem=BAD" : " mem=ok");
	put_text(" hash=");
	put_hex(last_hash);
	put_text(" passes=");
	put_number(passes);
	put_text(" tsc=");
	put_number(now);
	put_text(" gap=");
	put_number(gap);
	line_end();
	gap = 0;
}

void ticker_main(const struct start_info *si)
{
	const char *cmdline = (const char *)si->cmdline;
	uint64_t tick = option(cmdline, "tick=", 10);
	uint64_t every = option(cmdline, "report=", 25);
	uint64_t tpm = option(cmdline, "tpm=", 0);
	uint64_t seen = 0, reports = 0, last_tsc, chunk;

	if (tick < 1 || tick > 50)
		tick = 10;
	if (!every)
		every = 25;
	outb(COM1 + 2, 0x07); /* FIFOs on */
	outb(COM1 + 3, 0x03); /* 8N1 */
	seed = tsc_read() * 0x9e3779b97f4a7c15ULL;
	ram_find(si);
	put_text("START boot=");
	put_hex(seed);
	line_end();
	ram_fill();
	chunk = ram_bytes / 128 & ~4095ULL;
	if (chunk < 64 << 10)
		chunk = 64 << 10;
	if (chunk > 2 << 20)
		chunk = 2 << 20;

	if (tpm)
		tpm_start();
	last_tsc = tsc_read();
	timer_start(tick);
	for (;;) {
		uint64_t n, now;

		/* an interrupt between the test and hlt can't be missed: sti takes effect after the next instruction */
		asm volatile("cli");
		while (ticks == seen)
			asm volatile("sti; hlt; cli" : : : "memory");
		asm volatile("sti");
		n = ticks;
		now = tsc_read();
		if (now - last_tsc > gap)
			gap = now - last_tsc;
		last_tsc = now;
		if (n / every != seen / every) {
			report(n, now);
			if (tpm && reports++ % tpm == 0)
				tpm_step(seed);
		} else {
			put_text("T ");
			put_number(n);
			line_end();
		}
		seen = n;
		ram_verify(chunk);
	}
}
