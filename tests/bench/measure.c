// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The program that tests/bench/pkernfs runs as the only process of a virtual host: measures, prints, kexecs.
 *
 *	bench=ROUNDS,MIB		measure memory and state files ROUNDS times, then begin to kexec
 *	bench=ROUNDS,MIB,CONTENT,HOP	the kernel after the HOP-th kexec with that content of pkernfs
 *	large=1				of blocks of 1 GiB, beside those of 2 MiB, with RAM files of 1 GiB
 *
 * One line for each figure, on the console: "ROW|what|where|nanoseconds"; before one whose duration by the
 * build machine's clock is wanted, too, "BEGIN". Before a kexec "KEXEC|content|TSC",
 * after it "USERSPACE|TSC|ticks a millisecond": the one clock that goes on over it. The kernel's own words on
 * what it restored follow as "LOG|…". Ends with "END".
 *
 * Places: /pk (pkernfs), /huge (hugetlbfs), /gig (the same with pages of 1 GiB), /thp (tmpfs with huge=always), /tmp (tmpfs). Every round
 * visits all places one after the other, so that a noisy moment hits all of them alike.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MIB (1UL << 20)
#define HUGE (2 * MIB)
#define GIB (1024 * MIB)
#define PAGE 4096UL
#define PIECE (256UL << 10)
#define STATE (32 * MIB)
#define RANDOM (1u << 21) /* accesses */
#define CHASE (1u << 22)  /* accesses */
#define LINE 64UL

static unsigned int rounds = 5, ram_mib = 512;
static int large;
static volatile uint64_t sink;

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list ap;

	printf("FAILED: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf(": %s\n", strerror(errno));
	fflush(stdout);
	sync();
	for (;;)
		syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF, NULL);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t tsc(void)
{
	return __builtin_ia32_rdtsc();
}

static uint64_t tsc_khz(void)
{
	uint64_t start = now(), from = tsc(), ns;

	do
		ns = now() - start;
	while (ns < 20000000);
	return (tsc() - from) * 1000000 / ns;
}

static void row(const char *what, const char *where, uint64_t from)
{
	printf("ROW|%s|%s|%llu\n", what, where, (unsigned long long)(now() - from));
}

/* How much of a mapping is mapped by entries of 2 MiB or more, in kB */
static unsigned long pmd_mapped(const void *at)
{
	char line[256], start[32];
	unsigned long kb, total = 0;
	int within = 0;
	FILE *f = fopen("/proc/self/smaps", "r");

	snprintf(start, sizeof(start), "%lx-", (unsigned long)at);
	while (f && fgets(line, sizeof(line), f)) {
		if (strchr(line, '-') && strchr(line, '-') < strchr(line, ' '))
			within = strncmp(line, start, strlen(start)) == 0;
		else if (within && (sscanf(line, "ShmemPmdMapped: %lu", &kb) == 1 ||
				    sscanf(line, "FilePmdMapped: %lu", &kb) == 1 ||
				    sscanf(line, "Shared_Hugetlb: %lu", &kb) == 1 ||
				    sscanf(line, "Private_Hugetlb: %lu", &kb) == 1))
			total += kb;
	}
	if (f)
		fclose(f);
	return total;
}

static uint8_t *map(int fd, size_t size)
{
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

/* Of blocks of this size, whatever the file's; what knows of no other sizes has them anyway */
static void set_blocks(int fd, size_t block)
{
	struct fsxattr attr = { .fsx_xflags = FS_XFLAG_EXTSIZE, .fsx_extsize = (uint32_t)block };

	if (ioctl(fd, FS_IOC_FSSETXATTR, &attr) < 0 && errno != ENOTTY && errno != EOPNOTSUPP)
		die("extent size");
}

static int make(const char *dir, const char *name, size_t size, size_t block)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		die("%s", path);
	if (block != HUGE)
		set_blocks(fd, block);
	if (ftruncate(fd, (off_t)size) < 0)
		die("%s", path);
	return fd;
}

static void drop(const char *dir, const char *name, int fd)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	close(fd);
	if (unlink(path) < 0)
		die("%s", path);
}

static void sequential(const char *kind, const char *where, uint8_t *p, size_t size)
{
	const uint64_t *words = (const uint64_t *)p;
	uint64_t start = now(), sum = 0;
	char what[64];

	memset(p, 0x5a, size);
	snprintf(what, sizeof(what), "%s: sequential write", kind);
	row(what, where, start);
	start = now();
	for (size_t i = 0; i < size / 8; i++)
		sum += words[i];
	sink = sum;
	snprintf(what, sizeof(what), "%s: sequential read", kind);
	row(what, where, start);
}

static uint64_t xorshift(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void at_random(const char *kind, const char *where, const uint8_t *p, size_t size)
{
	uint64_t x = 88172645463325252ULL, sum = 0, start = now();
	char what[64];

	for (unsigned int i = 0; i < RANDOM; i++)
		sum += p[xorshift(&x) % size];
	sink = sum;
	snprintf(what, sizeof(what), "%s: random read", kind);
	row(what, where, start);
}

static void **slot(uint8_t *p, size_t page)
{
	return (void **)(p + page * PAGE + page * 7 % (PAGE / LINE) * LINE);
}

/*
 * Each access needs a translation that was last used as many accesses ago as there are pages, and the next
 * address is known only after it: one pointer in each 4 KiB page, in a line of its own, all in one circle.
 */
static void chase(const char *kind, const char *where, uint8_t *p, size_t pages)
{
	uint32_t *order =
		mmap(NULL, pages * sizeof(*order), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t x = 88172645463325252ULL, start;
	char what[64];
	void **at;

	if (order == MAP_FAILED)
		die("mmap");
	for (uint32_t i = 0; i < pages; i++)
		order[i] = i;
	for (size_t i = pages - 1; i > 0; i--) { /* Sattolo: one circle */
		size_t other = xorshift(&x) % i;
		uint32_t was = order[i];

		order[i] = order[other];
		order[other] = was;
	}
	for (uint32_t i = 0; i < pages; i++)
		*slot(p, i) = slot(p, order[i]);
	at = slot(p, 0);
	munmap(order, pages * sizeof(*order));
	for (size_t i = 0; i < pages; i++) /* once around: caches are as warm as they get */
		at = *at;
	printf("BEGIN\n");
	start = now();
	for (size_t i = 0; i < CHASE; i++)
		at = *(void *volatile *)at;
	sink = (uint64_t)(uintptr_t)at;
	snprintf(what, sizeof(what), "%s: pointer chase", kind);
	row(what, where, start);
}

/* Guest memory as a VMM uses it: shared mapping of a file */
static void ram(const char *kind, const char *where, const char *dir, size_t size, size_t block)
{
	int fd = make(dir, "ram", size, block);
	uint64_t start = now();
	char what[64];
	uint8_t *p = map(fd, size);

	for (size_t at = 0; at < size; at += PAGE)
		p[at] = 1;
	snprintf(what, sizeof(what), "%s: first touch", kind);
	row(what, where, start);
	if (block != PAGE && pmd_mapped(p) != size >> 10)
		printf("NOTE: %s, %s: %lu of %zu kB are mapped by larger entries than 4 KiB\n", kind, where,
		       pmd_mapped(p), size >> 10);
	munmap(p, size);
	p = map(fd, size);
	start = now();
	for (size_t at = 0; at < size; at += block == PAGE ? PAGE : HUGE)
		sink = p[at];
	snprintf(what, sizeof(what), "%s: fault of what is there", kind);
	row(what, where, start);
	sequential(kind, where, p, size);
	at_random(kind, where, p, size);
	/* in both sorts of files over the same number of pages */
	chase(kind, where, p, ram_mib * MIB / 2 / PAGE);
	munmap(p, size);
	start = now();
	drop(dir, "ram", fd);
	snprintf(what, sizeof(what), "%s: unlink", kind);
	row(what, where, start);
	fd = make(dir, "ram", size, block);
	start = now();
	if (fallocate(fd, 0, 0, (off_t)size) < 0)
		die("fallocate in %s", dir);
	snprintf(what, sizeof(what), "%s: fallocate", kind);
	row(what, where, start);
	drop(dir, "ram", fd);
}

/* Device state as a VMM writes it */
static void state(const char *where, const char *dir)
{
	static uint8_t piece[PIECE];
	int fd = make(dir, "state", 0, HUGE);
	uint64_t start = now();

	memset(piece, 0x33, sizeof(piece));
	for (size_t at = 0; at < STATE; at += PIECE)
		if (write(fd, piece, PIECE) != (ssize_t)PIECE)
			die("write in %s", dir);
	row("state file: write", where, start);
	lseek(fd, 0, SEEK_SET);
	start = now();
	for (size_t at = 0; at < STATE; at += PIECE)
		if (read(fd, piece, PIECE) != (ssize_t)PIECE)
			die("read in %s", dir);
	row("state file: read", where, start);
	start = now();
	for (size_t at = 0; at < STATE; at += PIECE)
		if (pwrite(fd, piece, PIECE, (off_t)at) != (ssize_t)PIECE)
			die("pwrite in %s", dir);
	row("state file: rewrite", where, start);
	drop(dir, "state", fd);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die("%s", path);
	close(fd);
}

static void measure(void)
{
	size_t size = ram_mib * MIB;
	char pages[32];

	if (!size)
		return;
	snprintf(pages, sizeof(pages), "%zu", size / HUGE);
	put("/proc/sys/vm/nr_hugepages", pages);
	for (unsigned int i = 0; i < rounds; i++) {
		if (large) {
			ram("1 GiB", "pkernfs", "/pk", size, GIB);
			ram("1 GiB", "hugetlbfs", "/gig", size, GIB);
		}
		ram("2 MiB", "pkernfs", "/pk", size, HUGE);
		ram("2 MiB", "hugetlbfs", "/huge", size, HUGE);
		if (!large) {
			ram("2 MiB", "tmpfs", "/thp", size, HUGE);
			ram("4 KiB", "pkernfs", "/pk", size / 2, PAGE);
			ram("4 KiB", "tmpfs", "/tmp", size / 2, PAGE);
			state("pkernfs", "/pk");
			state("tmpfs", "/tmp");
		}
		printf("ROUND %u\n", i + 1);
	}
	put("/proc/sys/vm/nr_hugepages", "0");
}

/* What pkernfs holds while the kernel is replaced */
struct content {
	const char *name; /* NULL: the last one */
	size_t mib, block;
	const char *cmdline; /* for the next kernel */
};

static const struct content usual[] = {
	{ "nothing", 0, HUGE, "" },
	{ "1 GiB in 2 MiB blocks", 1024, HUGE, "" },
	{ "4 GiB in 2 MiB blocks", 4096, HUGE, "" },
	{ "4 GiB in 2 MiB blocks, by one CPU", 4096, HUGE, " pkernfs.restore_parallel=0" },
	{ "1 GiB in 4 KiB blocks", 1024, PAGE, "" },
	{ NULL, 0, 0, NULL },
};

static const struct content of_large[] = {
	{ "nothing", 0, HUGE, "" },
	{ "4 GiB in 2 MiB blocks", 4096, HUGE, "" },
	{ "4 GiB in 1 GiB blocks", 4096, GIB, "" },
	{ NULL, 0, 0, NULL },
};

static const struct content *contents = usual;

static void fill(unsigned int content)
{
	size_t size = contents[content].mib * MIB;
	int fd;

	unlink("/pk/content");
	if (!contents[content].mib)
		return;
	fd = make("/pk", "content", size, contents[content].block);
	if (fallocate(fd, 0, 0, (off_t)size) < 0)
		die("fallocate of %zu MiB", contents[content].mib);
	close(fd);
}

/* The kernel's lines about pkernfs */
static void print_log(unsigned int content)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	char line[1024];
	ssize_t n;

	while (fd >= 0 && ((n = read(fd, line, sizeof(line) - 1)) > 0 || errno == EPIPE)) {
		char *at;

		line[n > 0 ? n : 0] = '\0';
		line[strcspn(line, "\n")] = '\0';
		at = strstr(line, "pkernfs: ");
		if (at)
			printf("LOG|%s|%s\n", contents[content].name, at);
	}
	close(fd);
}

static void jump(unsigned int content, unsigned int hop)
{
	char cmdline[1024], *bench;
	int fd = open("/proc/cmdline", O_RDONLY), kernel = open("/kernel", O_RDONLY);
	ssize_t n = read(fd, cmdline, 512);

	if (n < 0 || kernel < 0)
		die("/proc/cmdline, /kernel");
	cmdline[n] = '\0';
	bench = strstr(cmdline, " bench=");
	sprintf(bench ?: cmdline + n, " bench=%u,%u,%u,%u%s", rounds, ram_mib, content, hop, contents[content].cmdline);
	if (syscall(SYS_kexec_file_load, kernel, -1, strlen(cmdline) + 1, cmdline, KEXEC_FILE_NO_INITRAMFS) < 0)
		die("kexec_file_load");
	close(fd);
	close(kernel);
	printf("KEXEC|%s|%llu\n", contents[content].name, (unsigned long long)tsc());
	fflush(stdout);
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
	die("kexec");
}

static void mounts(void)
{
	static const struct {
		const char *type, *dir, *data;
	} list[] = {
		{ "proc", "/proc", "" },
		{ "devtmpfs", "/dev", "" },
		{ "tmpfs", "/tmp", "size=4G" },
		{ "tmpfs", "/thp", "size=4G,huge=always" },
		{ "hugetlbfs", "/huge", "" },
		{ "pkernfs", "/pk", "" },
		{ "hugetlbfs", "/gig", "pagesize=1G" },
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]) - !large; i++)
		if (mount(list[i].type, list[i].dir, list[i].type, 0, list[i].data) < 0 && errno != EBUSY)
			die("mount of %s", list[i].type);
}

int main(void)
{
	const char *bench = getenv("bench"); /* what the kernel doesn't know goes to init's environment */
	unsigned int content = 0, hop = 0;
	uint64_t start = tsc();
	int n;

	printf("USERSPACE|%llu|%llu\n", (unsigned long long)start, (unsigned long long)tsc_khz());
	fflush(stdout);
	setvbuf(stdout, NULL, _IOLBF, 0);
	large = getenv("large") != NULL;
	if (large)
		contents = of_large;
	mounts();
	n = bench ? sscanf(bench, "%u,%u,%u,%u", &rounds, &ram_mib, &content, &hop) : 0;
	if (n < 4) {
		measure();
	} else {
		print_log(content);
		if (hop == rounds)
			content++, hop = 0;
	}
	if (!contents[content].name) {
		printf("END\n");
		fflush(stdout);
		syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF, NULL);
	}
	if (hop == 0)
		fill(content);
	jump(content, hop + 1);
	return 0;
}
