// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a QEMU has inherited. What is behind a number, as libvirt gives them:
 *
 *	a Unix socket that listens	its name's owner and mode
 *	a queue of a tap		TUNGETIFF through a copy of the descriptor; address, MTU and bridge from sysfs
 *	/dev/vhost-net			opened
 *	an iommufd, a device of vfio	known by its device number in /sys/dev/char, set up with QEMU's CPR state, which
 *					calls it by the id of its option; the address of the function from the same link
 *	a pid file			not named on the command line: found as a file below /run that is open for
 *					writing and holds the process's number
 *
 * Everything else is a reason against the VM.
 */
#include <dirent.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "argv-internal.h"
#include "capture.h"
#include "doc-devices.h"
#include "inherited.h"
#include "unix_sockets.h"

static const char hint_other[] = "name the interface or the path instead, e.g. ifname=";

static struct lu_launch_inherited *add(struct lu_launch *l, int fd, int kind)
{
	struct lu_launch_inherited *p = reallocarray(l->inherited, l->n_inherited + 1, sizeof(*p));

	if (!p)
		return NULL;
	l->inherited = p;
	p += l->n_inherited++;
	*p = (struct lu_launch_inherited){ .fd = (uint64_t)fd, .kind = kind };
	return p;
}

static int add_path(struct lu_launch *l, int fd, int kind, const char *path, const struct stat *st)
{
	struct lu_launch_inherited *in = add(l, fd, kind);

	if (!in)
		return -ENOMEM;
	in->uid = st->st_uid;
	in->gid = st->st_gid;
	in->mode = st->st_mode & 07777;
	in->path = strdup(path);
	return in->path ? 0 : -ENOMEM;
}

/*
 * What is read once for all descriptors of a process.
 * @own: Unix sockets where the process is
 * @host: where we are, which is where its name is looked for in the next kernel
 */
struct socket_look {
	const struct lu_capture_from *from;
	pid_t pid;
	struct lu_unix_sockets own, host;
};

static void look_done(struct socket_look *look)
{
	lu_unix_sockets_clear(&look->own);
	lu_unix_sockets_clear(&look->host);
}

static int read_sockets(struct socket_look *look)
{
	int r = 0;

	if (!look->own.text)
		r = lu_unix_sockets_read(look->from->proc_fd, look->pid, &look->own);
	if (r >= 0 && !look->host.text)
		r = lu_unix_sockets_read(look->from->proc_fd, 0, &look->host);
	return r;
}

/*
 * Has somebody else a socket of that name? It was bound in the place of this one, or in another view, where the name is
 * another one's. Those that a listener has accepted have its name, too.
 */
static bool has_other(const struct lu_unix_sockets *all, unsigned long inode, const char *path)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct lu_unix_socket *at = &all->list[i];

		if (at->inode != inode && !strcmp(at->path, path) && (at->listens || at->type != SOCK_STREAM))
			return true;
	}
	return false;
}

/* 1 with its path if a Unix socket of this inode listens at one, and nobody else does; else 0 */
static int listens_at(struct socket_look *look, unsigned long inode, char **ret)
{
	const char *path = NULL;
	int r = read_sockets(look);

	if (r < 0)
		return r;
	for (size_t i = 0; i < look->own.n && !path; i++) {
		const struct lu_unix_socket *at = &look->own.list[i];

		if (at->inode == inode && at->listens && at->type == SOCK_STREAM)
			path = at->path;
	}
	if (!path || has_other(&look->own, inode, path) || has_other(&look->host, inode, path))
		return 0;
	*ret = strdup(path);
	return *ret ? 1 : -ENOMEM;
}

static int copy_of(pid_t pid, int fd)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int copy;

	if (pidfd < 0)
		return -errno;
	copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	return copy < 0 ? -errno : copy;
}

static char *sys_net(const char *name, const char *what)
{
	char path[80], *text = NULL;

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, what);
	if (lu_read_file(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* The bridge that it is in; in a switch of another kind whoever put it there has to do so again. */
static int bridge_of(const char *name, char **ret)
{
	char path[64], link[256], what[80];
	const char *master;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/class/net/%s/master", name);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return 0;
	link[n] = '\0';
	master = strrchr(link, '/');
	master = master ? master + 1 : link;
	snprintf(what, sizeof(what), "/sys/class/net/%.15s/bridge", master);
	if (access(what, F_OK) < 0)
		return 0;
	*ret = strndup(master, IFNAMSIZ - 1);
	return *ret ? 0 : -ENOMEM;
}

static int add_tap(pid_t pid, int fd, struct lu_launch *l)
{
	_cleanup_close_ int copy = copy_of(pid, fd);
	_cleanup_free_ char *mtu = NULL;
	struct lu_launch_inherited *in;
	struct ifreq ifr = { 0 };
	unsigned long number;

	if (copy < 0)
		return copy;
	if (ioctl(copy, TUNGETIFF, &ifr) < 0)
		return -errno;
	in = add(l, fd, LU_INHERITED_TAP);
	if (!in)
		return -ENOMEM;
	/* that it stays without us is a property of the device, not of this queue */
	in->flags = (uint16_t)(ifr.ifr_flags & ~IFF_PERSIST);
	in->name = strndup(ifr.ifr_name, IFNAMSIZ - 1);
	if (!in->name)
		return -ENOMEM;
	in->mac = sys_net(in->name, "address");
	mtu = sys_net(in->name, "mtu");
	if (!in->mac || !mtu || sscanf(mtu, "%lu", &number) != 1)
		return -ENODEV;
	in->mtu = number;
	return bridge_of(in->name, &in->bridge);
}

/* --- files of passed-through devices --- */

static int add_cpr(struct lu_launch *l, const struct lu_argv_fd *named, const char *id)
{
	struct lu_launch_inherited *in = add(l, named->fd, LU_INHERITED_CPR);

	if (!in)
		return -ENOMEM;
	in->cpr = strdup(id);
	return in->cpr ? lu_launch_add_feature(l, LU_LAUNCH_HANDED) : -ENOMEM;
}

static int add_device(struct lu_launch *l, const char *address)
{
	size_t n = 0;
	char **p;

	for (; l->devices && l->devices[n]; n++)
		if (!strcmp(l->devices[n], address))
			return 0;
	p = reallocarray(l->devices, n + 2, sizeof(*p));
	if (!p)
		return -ENOMEM;
	l->devices = p;
	p[n + 1] = NULL;
	p[n] = strdup(address);
	return p[n] ? lu_launch_add_feature(l, LU_LAUNCH_DEVICES) : -ENOMEM;
}

/* Where sysfs has the device that is open: "…/virtual/misc/iommu", "…/0000:01:00.0/vfio-dev/vfio0"; 0: it is none */
static int place_of(const struct lu_capture_from *from, pid_t pid, int fd, char ret[static 512])
{
	char path[128];
	struct stat st;
	ssize_t n;

	snprintf(path, sizeof(path), "%d/fd/%d", (int)pid, fd);
	if (fstatat(from->proc_fd, path, &st, 0) < 0 || !S_ISCHR(st.st_mode))
		return 0;
	snprintf(path, sizeof(path), "%.64s/dev/char/%u:%u", from->sys ?: "/sys", major(st.st_rdev), minor(st.st_rdev));
	n = readlink(path, ret, 511);
	ret[n < 0 ? 0 : n] = '\0';
	return n > 0;
}

/* The function whose vfio device it is, 0: no function's */
static int function_of(const char *place, char ret[static LU_BDF_SIZE])
{
	static const char below[] = "/vfio-dev/vfio";
	const char *end = strstr(place, below), *start = end;

	if (!end || strchr(end + sizeof(below) - 1, '/'))
		return 0;
	while (start > place && start[-1] != '/')
		start--;
	if (end - start >= LU_BDF_SIZE)
		return 0;
	snprintf(ret, LU_BDF_SIZE, "%.*s", (int)(end - start), start);
	return lu_bdf_valid(ret);
}

/* "01:00.0" or "0000:01:00.0" */
static bool names(const char *host, const char *address)
{
	size_t n = strlen(address), m = strlen(host);

	return m <= n && !strcasecmp(address + (n - m), host);
}

/* The word says that it is one of these; is it? */
static int handed_in(const struct lu_capture_from *from, pid_t pid, const struct lu_argv_fd *named, struct lu_launch *l,
		     struct lu_reasons *why)
{
	bool iommufd = !strcmp(named->option, "object") && lu_argv_kind_is(named->value, "qom-type", "iommufd"),
	     device = !strcmp(named->option, "device") &&
		      (lu_argv_kind_is(named->value, "driver", "vfio-pci") ||
		       lu_argv_kind_is(named->value, "driver", "vfio-pci-nohotplug"));
	static const char misc[] = "/misc/iommu";
	_cleanup_free_ char *id = NULL, *host = NULL;
	char place[512], address[LU_BDF_SIZE];
	size_t n;
	int r;

	if ((!iommufd && !device) || !place_of(from, pid, named->fd, place))
		return 0;
	r = lu_argv_property(named->value, "id", &id);
	if (r <= 0)
		return r;
	n = strlen(place);
	if (iommufd)
		return n > sizeof(misc) - 1 && !strcmp(place + n - (sizeof(misc) - 1), misc) ?
			       add_cpr(l, named, id) ?: 1 :
			       0;
	if (!function_of(place, address))
		return 0;
	if (lu_argv_property(named->value, "host", &host) > 0 && !names(host, address))
		lu_reasons_add(why, address, "start it with the descriptor of the function that it names",
			       "-device %.500s: what is behind descriptor %d is not the function that it names",
			       named->value, named->fd);
	return add_cpr(l, named, id) ?: add_device(l, address) ?: 1;
}

/* Is it that device? A name may be of another view. */
static bool is_device(const struct lu_capture_from *from, pid_t pid, const char *fd, dev_t device)
{
	char path[48];
	struct stat st;

	snprintf(path, sizeof(path), "%d/%.24s", (int)pid, fd);
	return fstatat(from->proc_fd, path, &st, 0) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == device;
}

/* 1 if it was taken, 0 if it is of a kind that can't be made again */
static int classify(struct socket_look *look, int fd, struct lu_launch *l)
{
	const struct lu_capture_from *from = look->from;
	const pid_t pid = look->pid;
	_cleanup_free_ char *link = NULL, *path = NULL;
	unsigned long inode;
	struct stat st;
	char what[24];
	int r;

	snprintf(what, sizeof(what), "fd/%d", fd);
	r = lu_proc_link(from->proc_fd, pid, what, &link);
	if (r < 0)
		return r == -ESRCH ? 0 : r;
	if (sscanf(link, "socket:[%lu]", &inode) == 1) {
		r = listens_at(look, inode, &path);
		if (r <= 0)
			return r;
		/* somebody has taken its name away, or has another socket there */
		if (stat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
			return 0;
		r = add_path(l, fd, LU_INHERITED_LISTEN, path, &st);
		return r < 0 ? r : 1;
	}
	if (!strcmp(link, "/dev/net/tun")) {
		r = add_tap(pid, fd, l);
		return r < 0 ? r : 1;
	}
	if (!strcmp(link, "/dev/vhost-net") && stat(link, &st) == 0 && is_device(from, pid, what, st.st_rdev)) {
		r = add_path(l, fd, LU_INHERITED_DEVICE, link, &st);
		return r < 0 ? r : 1;
	}
	return 0;
}

static bool is_known(const struct lu_launch *l, int fd)
{
	for (size_t i = 0; i < l->n_inherited; i++)
		if (l->inherited[i].fd == (uint64_t)fd)
			return true;
	return false;
}

/* Numbers below are for what we give to it. */
static bool is_low(int fd)
{
	return fd < LU_LAUNCH_MORE_FD || fd > (int)LU_INHERITED_FD_MAX;
}

static int named_pid_file(const struct lu_launch *l, const char *path)
{
	struct lu_arg arg = { 0 };

	while (lu_argv_next(l->argv, &arg))
		if (!strcmp(arg.name, "pidfile") && arg.value && !strcmp(arg.value, path))
			return 1;
	return 0;
}

static int one_pid_file(const struct lu_capture_from *from, pid_t pid, const char *number, struct lu_launch *l)
{
	_cleanup_free_ char *link = NULL, *text = NULL, *flags = NULL;
	unsigned int mode = 0;
	struct stat st;
	const char *p;
	char what[64];
	int found = 0;
	size_t n;

	snprintf(what, sizeof(what), "fd/%.16s", number);
	if (lu_proc_link(from->proc_fd, pid, what, &link) < 0)
		return 0;
	n = strlen(link);
	if (strncmp(link, "/run/", 5) != 0 || n < 5 || strcmp(link + n - 4, ".pid") != 0 || is_low(atoi(number)) ||
	    is_known(l, atoi(number)) || named_pid_file(l, link))
		return 0;
	snprintf(what, sizeof(what), "%d/fdinfo/%.16s", (int)pid, number);
	if (lu_read_file(from->proc_fd, what, 65536, &flags, NULL) < 0 || !(p = strstr(flags, "flags:")) ||
	    sscanf(p + 6, "%o", &mode) != 1 || (mode & O_ACCMODE) == O_RDONLY ||
	    lu_read_file(AT_FDCWD, link, 64, &text, NULL) < 0 || sscanf(text, "%d", &found) != 1 || found != (int)pid ||
	    stat(link, &st) < 0)
		return 0;
	return add_path(l, atoi(number), LU_INHERITED_PIDFILE, link, &st);
}

static int find_pid_file(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l)
{
	char path[32];
	struct dirent *d;
	DIR *dir;
	int fd, r = 0;

	snprintf(path, sizeof(path), "%d/fd", (int)pid);
	fd = openat(from->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while (r >= 0 && (d = readdir(dir)))
		if (d->d_name[0] >= '0' && d->d_name[0] <= '9')
			r = one_pid_file(from, pid, d->d_name, l);
	closedir(dir);
	return r;
}

static int by_number(const void *a, const void *b)
{
	const struct lu_launch_inherited *x = a, *y = b;

	return x->fd < y->fd ? -1 : x->fd > y->fd;
}

int lu_inherited_capture(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l, struct lu_reasons *why)
{
	_cleanup_(look_done) struct socket_look look = { .from = from, .pid = pid };
	_cleanup_free_ struct lu_argv_fd *named = NULL;
	size_t n = 0;
	int r;

	r = lu_argv_fds(l->argv, &named, &n);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (is_known(l, named[i].fd))
			continue;
		r = is_low(named[i].fd) ? 0 : handed_in(from, pid, &named[i], l, why);
		if (r == 0 && !is_low(named[i].fd))
			r = classify(&look, named[i].fd, l);
		if (r == -ENOMEM || r == -ESRCH)
			return r;
		if (r < 0)
			lu_reasons_add(why, NULL, hint_other,
				       "-%s %.500s: what is behind descriptor %d can't be read: %s", named[i].option,
				       named[i].value, named[i].fd, strerror(-r));
		else if (r == 0)
			lu_reasons_add(why, NULL, hint_other,
				       "-%s %.500s: the inherited file descriptor %d can't be opened again",
				       named[i].option, named[i].value, named[i].fd);
		r = 0;
	}
	if (r >= 0 && l->n_inherited)
		r = find_pid_file(from, pid, l);
	if (r < 0 || !l->n_inherited)
		return r;
	qsort(l->inherited, l->n_inherited, sizeof(*l->inherited), by_number);
	if (l->devices && l->inherited[0].fd == LU_LAUNCH_MORE_FD)
		lu_reasons_add(why, NULL, "start the VM anew, with more descriptors open before",
			       "its inherited file descriptor %d has the number that the state of its devices gets",
			       LU_LAUNCH_MORE_FD);
	return lu_launch_add_feature(l, LU_LAUNCH_INHERITED);
}
