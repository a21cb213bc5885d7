// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What else there is on a host that an update would meet; see beside.h.
 *
 * Who holds a virtual machine: /proc/PID/fd has a link "anon_inode:kvm-vm" for each (virt/kvm/kvm_main.c, the name given to
 * anon_inode_getfile()); debugfs has a directory PID-FD for each, which is cheaper and complete. It is named by who made
 * the machine, and is there as long as anything refers to it: a device that went on to another QEMU refers to the
 * machine of the one before (vfio_device_get_kvm_safe()), whose process has ended. Texts from /proc are other people's: they are cut and made printable. Nothing here waits for anybody.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "beside.h"
#include "cmdline.h"

#define KVM_LINK "anon_inode:kvm-vm"
#define KVM_VCPU_LINK "anon_inode:kvm-vcpu:"

static const char *below(int rootfd, const char *path)
{
	return rootfd == AT_FDCWD ? path : path + 1;
}

static DIR *open_dir(int rootfd, const char *path)
{
	int fd = openat(rootfd, below(rootfd, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

static bool number(const char *s, pid_t *ret)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(s, &end, 10);
	if (errno || end == s || (*end && *end != '-') || n <= 0 || n > INT32_MAX)
		return false;
	*ret = (pid_t)n;
	return true;
}

static void fill(int rootfd, pid_t pid, struct lu_kvm_process *ret)
{
	_cleanup_free_ char *comm = NULL;
	char path[32];

	*ret = (struct lu_kvm_process){ .pid = pid, .name = "?" };
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (lu_read_file(rootfd, below(rootfd, path), 64, &comm, NULL) < 0)
		return;
	snprintf(ret->name, sizeof(ret->name), "%.*s", (int)strcspn(comm, "\n"), comm);
	for (char *p = ret->name; *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
}

static int add(int rootfd, pid_t pid, struct lu_kvm_processes *p)
{
	struct lu_kvm_process *list;

	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].pid == pid)
			return 0;
	list = reallocarray(p->list, p->n + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	p->list = list;
	fill(rootfd, pid, &list[p->n++]);
	return 0;
}

void lu_kvm_processes_clear(struct lu_kvm_processes *p)
{
	free(p->list);
	*p = (struct lu_kvm_processes){ 0 };
}

/* Has it a machine, or a vCPU of one, open? If it can't be told it is taken for one that has. */
static bool holds_machine(int rootfd, pid_t pid)
{
	char path[32], target[64];
	bool ret = false;
	struct dirent *d;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	fds = open_dir(rootfd, path);
	if (!fds)
		return errno != ENOENT;
	while (!ret && (d = readdir(fds))) {
		ssize_t n = readlinkat(dirfd(fds), d->d_name, target, sizeof(target) - 1);

		if (n < 0)
			continue;
		target[n] = '\0';
		ret = !strcmp(target, KVM_LINK) || !strncmp(target, KVM_VCPU_LINK, strlen(KVM_VCPU_LINK));
	}
	closedir(fds);
	return ret;
}

/* 1: told; 0: debugfs is not there, or it has a machine whose maker no longer holds it: then somebody else may */
static int by_debugfs(int rootfd, struct lu_kvm_processes *ret)
{
	bool others = false;

	DIR *dir = open_dir(rootfd, "/sys/kernel/debug/kvm");
	struct dirent *d;
	pid_t pid;
	int r = 0;

	if (!dir)
		return 0;
	while (r == 0 && (d = readdir(dir))) {
		if (strchr(d->d_name, '-') && number(d->d_name, &pid)) {
			if (holds_machine(rootfd, pid))
				r = add(rootfd, pid, ret);
			else
				others = true;
		}
	}
	closedir(dir);
	return r < 0 ? r : !others;
}

/* Calls @found for each process with a descriptor that links to @link; 1 from it ends the search */
static int each_holder(int rootfd, const char *link, int (*found)(int rootfd, pid_t pid, void *userdata),
		       void *userdata, bool *ret_cut)
{
	DIR *proc = open_dir(rootfd, "/proc");
	unsigned int links = 0;
	struct dirent *d;
	pid_t pid;
	int r = 0;

	if (!proc)
		return -errno;
	while (r == 0 && (d = readdir(proc))) {
		char path[32], target[64];
		struct dirent *fd;
		bool is = false;
		DIR *fds;

		if (!number(d->d_name, &pid) || strchr(d->d_name, '-'))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
		fds = open_dir(rootfd, path);
		while (fds && !is && links < LU_BESIDE_LINKS_MAX && (fd = readdir(fds))) {
			ssize_t n = readlinkat(dirfd(fds), fd->d_name, target, sizeof(target) - 1);

			if (n < 0)
				continue;
			links++;
			target[n] = '\0';
			is = !strcmp(target, link);
		}
		if (fds)
			closedir(fds);
		if (is)
			r = found(rootfd, pid, userdata);
	}
	closedir(proc);
	if (ret_cut)
		*ret_cut = links >= LU_BESIDE_LINKS_MAX;
	return r;
}

static int add_found(int rootfd, pid_t pid, void *userdata)
{
	return add(rootfd, pid, userdata);
}

int lu_kvm_processes_read(int rootfd, struct lu_kvm_processes *ret)
{
	struct lu_kvm_processes p = { 0 };
	int r = by_debugfs(rootfd, &p);

	if (r == 0)
		r = each_holder(rootfd, KVM_LINK, add_found, &p, &p.cut);
	if (r < 0) {
		lu_kvm_processes_clear(&p);
		return r;
	}
	*ret = p;
	return 0;
}

static int take_found(int rootfd, pid_t pid, void *userdata)
{
	if (pid == getpid())
		return 0;
	fill(rootfd, pid, userdata);
	return 1;
}

int lu_beside_holder(int rootfd, const char *device, struct lu_kvm_process *ret)
{
	return each_holder(rootfd, device, take_found, ret, NULL);
}

static pid_t parent_of(int rootfd, pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	int parent = 0;
	char path[32];
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (lu_read_file(rootfd, below(rootfd, path), 4096, &text, NULL) < 0)
		return 0;
	p = strrchr(text, ')');
	return p && sscanf(p, ") %*c %d", &parent) == 1 ? (pid_t)parent : 0;
}

#define ANCESTORS_MAX 64

static bool descends(int rootfd, pid_t pid, pid_t from)
{
	for (int steps = 0; pid > 0 && steps < ANCESTORS_MAX; steps++) {
		if (pid == from)
			return true;
		pid = parent_of(rootfd, pid);
	}
	return false;
}

void lu_beside_check_packages(int rootfd, pid_t asker, struct lu_findings *f)
{
	static const char *const locks[] = { "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock" };

	for (size_t i = 0; i < ARRAY_SIZE(locks); i++) {
		_cleanup_close_ int fd = openat(rootfd, below(rootfd, locks[i]), O_RDWR | O_CLOEXEC);
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		struct lu_kvm_process who;

		if (fd < 0 || fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
			continue;
		fill(rootfd, lock.l_pid, &who);
		lu_findings_add(
			f, descends(rootfd, asker, lock.l_pid) ? LU_LEVEL_WARNING : LU_LEVEL_ERROR, "dpkg",
			"wait until it has ended",
			"packages are being installed by process %d (%s): what the target boots with may be half there",
			(int)lock.l_pid, who.name);
		return;
	}
}

/* The first line of a file of a device's folder in sysfs */
static bool read_line(int rootfd, const char *device, const char *file, char line[static 256])
{
	_cleanup_free_ char *text = NULL;
	char path[400];

	snprintf(path, sizeof(path), "%s/%s", device, file);
	if (lu_read_file(rootfd, below(rootfd, path), 4096, &text, NULL) < 0)
		return false;
	snprintf(line, 256, "%.*s", (int)strcspn(text, "\n"), text);
	return true;
}

void lu_beside_check_watchdogs(int rootfd, struct lu_findings *f)
{
	DIR *dir = open_dir(rootfd, "/sys/class/watchdog");
	struct dirent *d;

	while (dir && (d = readdir(dir))) {
		char state[256], seconds[256], object[280], device[300];

		snprintf(device, sizeof(device), "/sys/class/watchdog/%s", d->d_name);
		if (d->d_name[0] == '.' || !read_line(rootfd, device, "state", state) || strcmp(state, "active") != 0)
			continue;
		if (!read_line(rootfd, device, "timeout", seconds))
			snprintf(seconds, sizeof(seconds), "?");
		snprintf(object, sizeof(object), "/dev/%s", d->d_name);
		lu_findings_add(
			f, LU_LEVEL_WARNING, object,
			"let its time be longer than the predicted blackout and the boot after it",
			"this watchdog runs; if nobody feeds it for %s s it resets the host, also during the jump",
			seconds);
	}
	if (dir)
		closedir(dir);
}

#define BLOCK_DEPTH_MAX 8u

/* The name of a dm-crypt device at or below a block device: drivers/md/dm-crypt.c is told by the uuid that cryptsetup gives */
static bool find_crypt(int rootfd, const char *device, unsigned int depth, char name[static 256])
{
	char uuid[256], path[400];
	bool found = false;
	struct dirent *d;
	DIR *dir;

	if (read_line(rootfd, device, "dm/uuid", uuid) && !strncmp(uuid, "CRYPT-", 6))
		return read_line(rootfd, device, "dm/name", name);
	snprintf(path, sizeof(path), "%s/slaves", device);
	dir = depth < BLOCK_DEPTH_MAX ? open_dir(rootfd, path) : NULL;
	while (dir && !found && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/class/block/%s", d->d_name);
		found = find_crypt(rootfd, path, depth + 1, name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Does its line say who has the key? One that has no line is asked for. */
static bool has_key(int rootfd, const char *name)
{
	static const char *const others[] = { "tpm2-device=", "fido2-device=", "pkcs11-uri=", "keyscript=" };
	_cleanup_free_ char *text = NULL;
	char *line, *rest;

	if (lu_read_file(rootfd, below(rootfd, "/etc/crypttab"), 1 << 20, &text, NULL) < 0)
		return false;
	for (rest = text; (line = strsep(&rest, "\n"));) {
		char own[256], key[256] = "none", options[1024] = "";

		if (sscanf(line, " %255s %*s %255s %1023s", own, key, options) < 1 || strcmp(own, name) != 0)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(others); i++)
			if (strstr(options, others[i]))
				return true;
		return strcmp(key, "none") != 0 && strcmp(key, "-") != 0;
	}
	return false;
}

void lu_beside_check_root(int rootfd, dev_t device, struct lu_findings *f)
{
	char path[64], name[256], object[280];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(device), minor(device));
	if (!find_crypt(rootfd, path, 0, name) || has_key(rootfd, name))
		return;
	snprintf(object, sizeof(object), "/dev/mapper/%s", name);
	lu_findings_add(
		f, LU_LEVEL_WARNING, object,
		"have the key found without anybody (systemd-cryptenroll --tpm2-device=auto, a key in the initrd), or be at the console",
		"the root file system is encrypted and /etc/crypttab names no key: the target waits for the passphrase, and each guest with it");
}

void lu_beside_check_programs(int rootfd, struct lu_findings *f)
{
	static const char path[] = "/usr/sbin/kexec";

	if (faccessat(rootfd, below(rootfd, path), X_OK, 0) < 0)
		lu_findings_add(f, LU_LEVEL_ERROR, path, "install kexec-tools",
				"the program that loads the target can't be run: %s", strerror(errno));
}

/* Parameters of Documentation/admin-guide/kernel-parameters.txt that take something from what guests see or use. */
static const struct {
	const char *param;
	const char *value; /* NULL: any */
} takes[] = {
	{ "clearcpuid", NULL },
	{ "noxsave", NULL },
	{ "noxsaveopt", NULL },
	{ "noxsaves", NULL },
	{ "nopku", NULL },
	{ "nofsgsbase", NULL },
	{ "noinvpcid", NULL },
	{ "nosgx", NULL },
	{ "tsx", "off" },
	{ "nosmp", NULL },
	{ "kvm-intel.ept", "0" },
	{ "kvm-intel.nested", "0" },
	{ "kvm-intel.unrestricted_guest", "0" },
	{ "kvm-amd.npt", "0" },
	{ "kvm-amd.nested", "0" },
	{ "kvm-amd.avic", "0" },
};

void lu_beside_check_cpu(const char *running, const char *target, struct lu_findings *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(takes); i++) {
		_cleanup_free_ char *now = NULL, *then = NULL;

		if (lu_cmdline_get(target, takes[i].param, &then) <= 0 ||
		    (takes[i].value && strcmp(then, takes[i].value) != 0))
			continue;
		if (lu_cmdline_get(running, takes[i].param, &now) > 0 && !strcmp(now, then))
			continue;
		lu_findings_add(f, LU_LEVEL_ERROR, "command line", "leave it out, or start the guests under it first",
				"%s%s%s takes from the CPU what guests were started with", takes[i].param,
				*then ? "=" : "", then);
	}
}

/* memparse() of lib/cmdline.c: a number in C's notation, and a power of 1024 */
static const char *parse_size(const char *s, uint64_t *ret)
{
	static const char units[] = "kmgtpe";
	const char *unit;
	char *end;

	errno = 0;
	*ret = strtoull(s, &end, 0);
	if (errno || end == s)
		return NULL;
	unit = *end ? strchr(units, *end | 0x20) : NULL;
	if (unit) {
		unsigned int shift = 10 * (unsigned int)(unit - units + 1);

		if (*ret > UINT64_MAX >> shift)
			return NULL;
		*ret <<= shift;
		end++;
	}
	return end;
}

/* kho_scratch=LOWMEM,GLOBAL,PERNODE; a segment of the next image lies in one area */
void lu_beside_check_scratch(const char *running, uint64_t initrd_size, struct lu_findings *f)
{
	_cleanup_free_ char *value = NULL;
	uint64_t largest = 0, size;
	const char *p;

	if (!initrd_size || lu_cmdline_get(running, "kho_scratch", &value) <= 0)
		return;
	p = value;
	for (int i = 0; i < 3 && p; i++) {
		p = parse_size(p, &size);
		if (!p || (*p && *p != ','))
			return;
		largest = size > largest ? size : largest;
		p = *p == ',' ? p + 1 : NULL;
	}
	if (initrd_size > largest)
		lu_findings_add(f, LU_LEVEL_ERROR, "kho_scratch",
				"boot the running kernel with larger areas, or make the initrd smaller",
				"no area of kho_scratch=%s holds the target's initrd of %llu MiB", value,
				(unsigned long long)((initrd_size + (1 << 20) - 1) >> 20));
}
