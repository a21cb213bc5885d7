// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The Linux guest's only program, /init of its initramfs: a witness that uses what a real guest uses.
 *
 * Each 100 ms it writes a short line, each half second a long one, like the bare-metal ticker:
 *
 *	T <n>
 *	TICK <n> boot=<boot id> ram=<MiB> mem=ok|BAD hash=<64 hex digits' worth of blob> passes=<n> mono=<s> real=<s> tsc=<n> clock=<source> set=<times> gap=<ms> disk=ok|BAD|none:<writes> net=<sent>/<answered> rx=<came>/<newest>
 *	     flow=ok|BAD|none:<reads>/<writes>/<interrupts>
 *
 *  - memory: a blob of a third of RAM, filled once from a generator seeded with the boot id, compared bit by bit and hashed over and over.
 *  - disk: /dev/vda in 4 KiB records {sequence, crc}; each round writes one record, fsyncs, and reads the previous one back past the page cache.
 *  - network: eth0 gets the address from the command line (ip=); numbered UDP datagrams to port 7 of gw=, each answer is counted once.
 *  - stream: numbered UDP datagrams, from 1 on, that come to port 9 are counted. None was lost when as many came as the newest one's number
 *    says; one that comes twice or too late makes rx BAD. The card's receive ring is made as large as it goes, so that frames of a few seconds fit.
 *  - flow: 64 reads of an NVMe disk in flight at all times, of blocks whose content tells their number, and writes, some read back; with flow=one on the command
 *    line one read at a time and nothing else, so that each has an interrupt of its own. Interrupts are those of its queue for them. A command that Linux had to
 *    time out is BAD: its interrupt was lost.
 *
 *  - bulk: with bulk=<MiB> on the command line the second disk, /dev/vdb, is filled so far with words that say where they lie, once, before the first line. "bulk=BAD" if it can't be.
 *  - clocks: what they say, and how often somebody set the time of day. If there is a guest agent in the archive (qemu-ga), and a port for it, it is started.
 *  - touch: with touch=<address> on the command line (of memory that the kernel does not use, mem=) a process waits until the host writes something into that
 *    page, then reads the one behind it: "touch: ok" or "touch: SIGBUS", at the console; again when it has been zeroed.
 *  - attended: with that word on the command line each line typed at the console is answered ("console: …").
 *  - shutdown: called by that name, as the agent does, it turns the guest off.
 *
 * Whatever is absent is reported as none and not held against the guest. BAD stays BAD. The program does not exit: a guest that panics shows it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <linux/aio_abi.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/route.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 100000000L
#define REPORT 5
#define RECORD 4096
#define RECORDS 2048
#define AGENT "/usr/sbin/qemu-ga"
#define CLOCKS_APART 0.02
#define LATE 0.5

static char boot_id[64] = "?";
static char cmdline[1024];

static double clock_seconds(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t generator_next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* -- memory */

static uint64_t *blob, blob_words, blob_at, blob_state, blob_hash, blob_seed, last_hash, passes;
static int mem_bad;

static void blob_init(void)
{
	struct sysinfo info;

	sysinfo(&info);
	blob_words = (uint64_t)info.totalram * info.mem_unit / 3 / 8;
	blob = malloc(blob_words * 8);
	for (const char *p = boot_id; *p; p++)
		blob_seed = (blob_seed ^ (uint64_t)*p) * 0x100000001b3ULL;
	blob_seed |= 1;
	blob_state = blob_seed;
	for (uint64_t i = 0; i < blob_words; i++)
		blob[i] = generator_next(&blob_state);
	blob_state = blob_seed;
}

static void blob_verify(uint64_t words)
{
	while (words--) {
		uint64_t v = ((volatile uint64_t *)blob)[blob_at];

		mem_bad |= v != generator_next(&blob_state);
		blob_hash = (blob_hash ^ v) * 0x100000001b3ULL;
		if (++blob_at < blob_words)
			continue;
		blob_at = 0;
		blob_state = blob_seed;
		last_hash = blob_hash;
		blob_hash = 0;
		passes++;
	}
}

/* -- disk */

struct record {
	uint64_t sequence, seed, sum;
	uint64_t fill[RECORD / 8 - 3];
};

static int disk_fd = -1, disk_bad;
static uint64_t disk_writes;
static struct record *record;

static void record_fill(struct record *r, uint64_t sequence)
{
	uint64_t x = (sequence + 1) * 0x9e3779b97f4a7c15ULL ^ blob_seed;

	r->sequence = sequence;
	r->seed = blob_seed;
	r->sum = sequence;
	for (size_t i = 0; i < RECORD / 8 - 3; i++) {
		r->fill[i] = generator_next(&x);
		r->sum = (r->sum ^ r->fill[i]) * 0x100000001b3ULL;
	}
}

static void disk_init(void)
{
	disk_fd = open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC);
	if (posix_memalign((void **)&record, RECORD, RECORD))
		abort();
}

static void disk_round(void)
{
	struct record want;

	if (disk_fd < 0)
		return;
	record_fill(record, disk_writes);
	if (pwrite(disk_fd, record, RECORD, (off_t)(disk_writes % RECORDS) * RECORD) != RECORD || fsync(disk_fd))
		disk_bad = 1;
	if (disk_writes) {
		record_fill(&want, disk_writes - 1);
		memset(record, 0, RECORD);
		if (pread(disk_fd, record, RECORD, (off_t)((disk_writes - 1) % RECORDS) * RECORD) != RECORD ||
		    memcmp(record, &want, RECORD))
			disk_bad = 1;
	}
	disk_writes++;
}

/* -- bulk */

static void bulk_write(void)
{
	const char *wanted = strstr(cmdline, "bulk=");
	size_t mib = wanted ? strtoul(wanted + 5, NULL, 10) : 0;
	uint64_t *piece, word = 0;
	int fd;

	if (!mib)
		return;
	fd = open("/dev/vdb", O_RDWR | O_DIRECT | O_CLOEXEC);
	if (posix_memalign((void **)&piece, RECORD, 1 << 20))
		abort();
	for (size_t i = 0; i < mib; i++) {
		for (size_t at = 0; at < (1 << 20) / 8; at++)
			piece[at] = word++;
		if (write(fd, piece, 1 << 20) != 1 << 20) {
			printf("bulk=BAD at MiB %zu: %s\n", i, strerror(errno));
			fflush(stdout);
			break;
		}
	}
	free(piece);
	close(fd);
}

/* -- network */

static int net_fd = -1;
static uint64_t net_sent, net_answered;
static struct sockaddr_in net_peer = { .sin_family = AF_INET };

static int option_read(const char *name, char *buf, size_t size)
{
	const char *p = strstr(cmdline, name);
	size_t n;

	if (!p)
		return 0;
	p += strlen(name);
	n = strcspn(p, " \n");
	if (n >= size)
		return 0;
	memcpy(buf, p, n);
	buf[n] = 0;
	return 1;
}

static int rx_fd = -1, rx_bad;
static uint64_t rx_came, rx_newest;

static void ring_enlarge(int fd, struct ifreq *r)
{
	struct ethtool_ringparam ring = { .cmd = ETHTOOL_GRINGPARAM };

	r->ifr_data = (void *)&ring;
	if (ioctl(fd, SIOCETHTOOL, r) == 0 && ring.rx_pending < ring.rx_max_pending) {
		ring.cmd = ETHTOOL_SRINGPARAM;
		ring.rx_pending = ring.rx_max_pending;
		if (ioctl(fd, SIOCETHTOOL, r))
			printf("receive ring: %s\n", strerror(errno));
	}
	r->ifr_data = NULL;
}

static void rx_init(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(9) };
	int size = 16 << 20;

	rx_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(rx_fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (bind(rx_fd, (void *)&any, sizeof(any)))
		printf("port 9: %s\n", strerror(errno));
}

static void rx_round(void)
{
	uint64_t number;

	while (rx_fd >= 0 && recv(rx_fd, &number, sizeof(number), 0) == sizeof(number)) {
		rx_bad |= number <= rx_newest;
		rx_newest = number;
		rx_came++;
	}
}

static void net_init(void)
{
	struct ifreq r = { 0 };
	struct sockaddr_in *a = (struct sockaddr_in *)&r.ifr_addr;
	char ip[32], gw[32];
	int fd;

	if (!option_read("ip=", ip, sizeof(ip)) || !option_read("gw=", gw, sizeof(gw)))
		return;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	strcpy(r.ifr_name, "eth0");
	ring_enlarge(fd, &r);
	a->sin_family = AF_INET;
	inet_pton(AF_INET, ip, &a->sin_addr);
	if (ioctl(fd, SIOCSIFADDR, &r)) {
		printf("no eth0: %s\n", strerror(errno));
		close(fd);
		return;
	}
	inet_pton(AF_INET, "255.255.255.0", &a->sin_addr);
	ioctl(fd, SIOCSIFNETMASK, &r);
	r.ifr_flags = IFF_UP | IFF_RUNNING;
	ioctl(fd, SIOCSIFFLAGS, &r);
	inet_pton(AF_INET, gw, &net_peer.sin_addr);
	net_peer.sin_port = htons(7);
	net_fd = fd;
	rx_init();
}

static void net_round(void)
{
	static uint64_t newest;
	uint64_t number = net_sent + 1, answer;

	if (net_fd < 0)
		return;
	if (sendto(net_fd, &number, sizeof(number), 0, (void *)&net_peer, sizeof(net_peer)) == sizeof(number))
		net_sent++;
	while (recv(net_fd, &answer, sizeof(answer), 0) == sizeof(answer)) {
		if (answer <= newest || answer > net_sent)
			continue;
		newest = answer;
		net_answered++;
	}
}

/* -- flow: the disk's layout is that of tests/lab/nvme.py */

#define FLOW_DEPTH 64
#define FLOW_BLOCK 16384
#define FLOW_BLOCKS 1024
#define FLOW_WRITTEN (1ULL << 62)

/* One command in flight. The last slot writes, and reads each sixteenth block back; the others read what the lab has written. */
struct flow_slot {
	struct iocb cb;
	uint64_t *buf;
	uint64_t block; /* its number: the lab's, or how many we wrote before it */
};

static int flow_fd = -1, flow_log = -1, flow_bad;
static aio_context_t flow_context;
static struct flow_slot flow_slot[FLOW_DEPTH];
static uint64_t flow_reads, flow_writes, flow_random;

/* Word i of a block that the lab, or we, have written. */
static uint64_t flow_word(const struct flow_slot *s, uint64_t i)
{
	return ((s == &flow_slot[FLOW_DEPTH - 1] ? FLOW_WRITTEN : 0) | s->block << 16) + i;
}

static void flow_submit(struct flow_slot *s, int opcode)
{
	struct iocb *cb = &s->cb;
	uint64_t at = s == &flow_slot[FLOW_DEPTH - 1] ? FLOW_BLOCKS + s->block % FLOW_BLOCKS : s->block;

	if (opcode == IOCB_CMD_PWRITE)
		for (uint64_t i = 0; i < FLOW_BLOCK / 8; i++)
			s->buf[i] = flow_word(s, i);
	else
		memset(s->buf, 0xee, FLOW_BLOCK);
	*cb = (struct iocb){
		.aio_data = (uintptr_t)s,
		.aio_lio_opcode = (uint16_t)opcode,
		.aio_fildes = (uint32_t)flow_fd,
		.aio_buf = (uintptr_t)s->buf,
		.aio_nbytes = FLOW_BLOCK,
		.aio_offset = (int64_t)(at * FLOW_BLOCK),
	};
	if (syscall(SYS_io_submit, flow_context, 1, &cb) != 1)
		flow_bad = 1;
}

static void flow_next(struct flow_slot *s)
{
	s->block = generator_next(&flow_random) % FLOW_BLOCKS;
	flow_submit(s, IOCB_CMD_PREAD);
}

static void flow_init(void)
{
	int one = strstr(cmdline, "flow=one") != NULL;

	flow_fd = open("/dev/nvme0n1", O_RDWR | O_DIRECT | O_CLOEXEC);
	if (flow_fd < 0)
		return;
	flow_log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (flow_log < 0 || syscall(SYS_io_setup, FLOW_DEPTH, &flow_context))
		abort();
	flow_random = blob_seed;
	for (struct flow_slot *s = flow_slot; s < flow_slot + FLOW_DEPTH; s++) {
		if (posix_memalign((void **)&s->buf, FLOW_BLOCK, FLOW_BLOCK))
			abort();
		if (one && s > flow_slot)
			break;
		if (s < flow_slot + FLOW_DEPTH - 1)
			flow_next(s);
		else
			flow_submit(s, IOCB_CMD_PWRITE);
	}
}

/* A line of the kernel's log that says that an interrupt was missed. */
static void flow_listen(void)
{
	char line[1024];
	ssize_t n;

	while ((n = read(flow_log, line, sizeof(line) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		line[n > 0 ? n : 0] = 0;
		if (strstr(line, "nvme") && (strstr(line, "timeout") || strstr(line, "reset controller"))) {
			flow_bad = 1;
			printf("%s", line);
		}
	}
}

static void flow_round(void)
{
	struct io_event done[FLOW_DEPTH];
	struct timespec now = { 0 };
	long n;

	if (flow_fd < 0)
		return;
	n = syscall(SYS_io_getevents, flow_context, 0, FLOW_DEPTH, done, &now);
	for (long e = 0; e < n; e++) {
		struct flow_slot *s = (struct flow_slot *)(uintptr_t)done[e].data;

		flow_bad |= done[e].res != FLOW_BLOCK;
		if (s->cb.aio_lio_opcode == IOCB_CMD_PWRITE) {
			s->block = flow_writes++;
			if (s->block % 16 == 0) {
				flow_submit(s, IOCB_CMD_PREAD);
				continue;
			}
		} else {
			for (uint64_t i = 0; i < FLOW_BLOCK / 8; i++)
				flow_bad |= s->buf[i] != flow_word(s, i);
			flow_reads++;
		}
		if (s < flow_slot + FLOW_DEPTH - 1) {
			flow_next(s);
		} else {
			s->block = flow_writes;
			flow_submit(s, IOCB_CMD_PWRITE);
		}
	}
	flow_listen();
}

/* Interrupts so far of the queue that carries reads and writes; a line of INTx has those of others, too. */
static uint64_t flow_interrupts(void)
{
	FILE *f = flow_fd < 0 ? NULL : fopen("/proc/interrupts", "re");
	uint64_t sum = 0, n;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, "nvme0q1") && sscanf(line, " %*u: %lu", &n) == 1)
			sum += n;
	if (f)
		fclose(f);
	return sum;
}

/* -- clocks */

static void file_read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (n > 0)
		buf[n] = 0;
	if (fd >= 0)
		close(fd);
	buf[strcspn(buf, "\n")] = 0;
}

struct clocks {
	double mono, real; /* seconds */
	uint64_t tsc;
};

static int set_fd = -1;
static unsigned int set_times;

/* A timer that is cancelled when the time of day is set. */
static void set_init(void)
{
	struct itimerspec far = { .it_value.tv_sec = 1L << 33 };

	set_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	timerfd_settime(set_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL);
}

static void set_round(void)
{
	uint64_t expired;

	if (read(set_fd, &expired, sizeof(expired)) < 0 && errno == ECANCELED)
		set_times++;
}

/* All clocks at one moment: read anew when the guest stood still in between, or the time of day was set. */
static void clocks_read(struct clocks *now)
{
	for (unsigned int i = 0; i < 100; i++) {
		unsigned int times = set_times;

		now->mono = clock_seconds(CLOCK_MONOTONIC);
		now->real = clock_seconds(CLOCK_REALTIME);
		now->tsc = __builtin_ia32_rdtsc();
		set_round();
		if (set_times == times && clock_seconds(CLOCK_MONOTONIC) - now->mono < CLOCKS_APART)
			break;
	}
}

/* -- ports */

/* The device file of a virtio port, by the port's name. */
static int port_find(const char *port, char *device, size_t size)
{
	glob_t found;
	int there = 0;

	if (glob("/sys/class/virtio-ports/*/name", 0, NULL, &found))
		return 0;
	for (size_t i = 0; i < found.gl_pathc && !there; i++) {
		char name[64] = "";

		file_read(found.gl_pathv[i], name, sizeof(name));
		there = !strcmp(name, port);
		if (there)
			snprintf(device, size, "/dev/%s", basename(dirname(found.gl_pathv[i])));
	}
	globfree(&found);
	return there;
}

static void agent_init(void)
{
	char device[64];

	if (access(AGENT, X_OK) || !port_find("org.qemu.guest_agent.0", device, sizeof(device)) || fork() != 0)
		return;
	for (int std = 0, fd = open("/dev/null", O_RDWR); std < 3; std++)
		dup2(fd, std);
	execl(AGENT, AGENT, "-m", "virtio-serial", "-p", device, "-t", "/dev", NULL);
	_exit(1);
}

/* -- attended: a process of its own, at the console as it was when it was started */

static void attend(void)
{
	char line[256];
	ssize_t got;

	if (!strstr(cmdline, "attended") || fork() != 0)
		return;
	while ((got = read(STDIN_FILENO, line, sizeof(line) - 1)) > 0) {
		line[got] = '\0';
		line[strcspn(line, "\r\n")] = '\0';
		dprintf(STDOUT_FILENO, "console: %s\n", line);
	}
	_exit(0);
}

/* -- touch: a process of its own, at the console */

static sigjmp_buf touch_failed;

static void on_bus_error(int signal)
{
	(void)signal;
	siglongjmp(touch_failed, 1);
}

static void touch(void)
{
	const char *wanted = strstr(cmdline, "touch=");
	volatile uint64_t *flag, *page, sum = 0;
	int fd;

	if (!wanted || fork() != 0)
		return;
	fd = open("/dev/mem", O_RDONLY);
	flag = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, (off_t)strtoull(wanted + 6, NULL, 0));
	page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, (off_t)strtoull(wanted + 6, NULL, 0) + 4096);
	if (flag == MAP_FAILED || page == MAP_FAILED) {
		dprintf(STDOUT_FILENO, "touch: %m\n");
		_exit(1);
	}
	signal(SIGBUS, on_bus_error);
	for (;;) {
		while (!*flag)
			usleep(100000);
		if (!sigsetjmp(touch_failed, 1)) {
			sum += page[0];
			dprintf(STDOUT_FILENO, "touch: ok\n");
		} else {
			dprintf(STDOUT_FILENO, "touch: SIGBUS\n");
		}
		while (*flag)
			usleep(100000);
	}
}

/*
 * From here on what we print goes to a port that costs one exit a line, and not one a byte as the console does. Its name comes when the driver is done.
 * Where there is none (a kernel that is only to boot), the console does.
 */
static void lines_init(void)
{
	char device[64];
	int fd = -1;

	for (int n = 0; n < 50 && fd < 0; n++) {
		if (port_find("lab.lines", device, sizeof(device)))
			fd = open(device, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			usleep(100000);
	}
	if (fd < 0) {
		printf("no port for our lines\n");
		return;
	}
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	dup2(fd, STDOUT_FILENO);
	close(fd);
}

/* -- together */

int main(int argc, char **argv)
{
	struct timespec next;
	struct sysinfo info;
	double last, gap = 0;
	char clocksource[32] = "?";
	uint64_t words;

	(void)argc;
	if (strstr(argv[0], "shutdown")) {
		sync();
		return reboot(RB_POWER_OFF);
	}
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	setvbuf(stdout, NULL, _IOFBF, 4096);
	file_read("/proc/sys/kernel/random/boot_id", boot_id, sizeof(boot_id));
	file_read("/proc/cmdline", cmdline, sizeof(cmdline));
	file_read("/sys/devices/system/clocksource/clocksource0/current_clocksource", clocksource, sizeof(clocksource));
	sysinfo(&info);
	printf("\nSTART boot=%s\n", boot_id);
	fflush(stdout);
	blob_init();
	disk_init();
	bulk_write();
	net_init();
	set_init();
	agent_init();
	flow_init();
	attend();
	touch();
	lines_init();
	words = blob_words / 128;
	clock_gettime(CLOCK_MONOTONIC, &next);
	last = clock_seconds(CLOCK_MONOTONIC);
	for (uint64_t n = 1;; n++) {
		struct clocks at;
		double now;

		next.tv_nsec += TICK_NS;
		if (next.tv_nsec >= 1000000000L) {
			next.tv_nsec -= 1000000000L;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
		now = clock_seconds(CLOCK_MONOTONIC);
		/* what was missed is not made up for: a burst of lines would be written late, each of them */
		if (now - (double)next.tv_sec - (double)next.tv_nsec / 1e9 > LATE)
			clock_gettime(CLOCK_MONOTONIC, &next);
		if (now - last > gap)
			gap = now - last;
		last = now;
		clocks_read(&at);
		if (n % REPORT) {
			printf("T %llu\n", (unsigned long long)n);
		} else {
			printf("TICK %llu boot=%s ram=%lu mem=%s hash=%016llx passes=%llu mono=%.3f real=%.3f tsc=%llu clock=%s set=%u gap=%.0fms disk=%s:%llu net=%llu/%llu rx=%s%llu/%llu flow=%s:%llu/%llu/%llu\n",
			       (unsigned long long)n, boot_id, (unsigned long)(info.totalram * info.mem_unit >> 20),
			       mem_bad ? "BAD" : "ok", (unsigned long long)last_hash, (unsigned long long)passes,
			       at.mono, at.real, (unsigned long long)at.tsc, clocksource, set_times, gap * 1e3,
			       disk_fd < 0 ? "none" :
			       disk_bad    ? "BAD" :
					     "ok",
			       (unsigned long long)disk_writes, (unsigned long long)net_sent,
			       (unsigned long long)net_answered, rx_bad ? "BAD:" : "", (unsigned long long)rx_came,
			       (unsigned long long)rx_newest,
			       flow_fd < 0 ? "none" :
			       flow_bad    ? "BAD" :
					     "ok",
			       (unsigned long long)flow_reads, (unsigned long long)flow_writes,
			       (unsigned long long)flow_interrupts());
			gap = 0;
		}
		fflush(stdout);
		rx_round();
		flow_round();
		blob_verify(words);
		if (n % 2 == 0)
			disk_round();
		if (n % 3 == 0)
			net_round();
	}
}
