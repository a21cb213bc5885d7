// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Making again what a QEMU has inherited.
 *
 * A socket is made in place of the old name. Its backlog can't be read from /proc; QEMU serves one client at a time,
 * so it is 1, as libvirt's.
 *
 * A tap is put into its bridge if the bridge is there, which it seldom is before the host's services: then whoever
 * manages the guest puts it there later (libvirt does, when it reconnects). What QEMU itself sets at a tap
 * (offloads, header size, send buffer) it sets again.
 */
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "inherited.h"

#define LISTEN_BACKLOG 1

int lu_inherited_check(const struct lu_launch *l, struct lu_error *e)
{
	for (size_t i = 0; i < l->n_inherited; i++) {
		const struct lu_launch_inherited *in = &l->inherited[i];

		if (i > 0 && in->fd <= in[-1].fd)
			return lu_error_set(e, -EBADMSG, NULL, "launch.json of VM %s: descriptor %llu is out of order",
					    l->name, (unsigned long long)in->fd);
		if (in->kind == LU_INHERITED_CPR ? !in->cpr :
		    in->kind == LU_INHERITED_TAP ? !in->name || !in->mac :
						   !in->path)
			return lu_error_set(e, -EBADMSG, NULL,
					    "launch.json of VM %s: it is not said what descriptor %llu is", l->name,
					    (unsigned long long)in->fd);
	}
	return 0;
}

int lu_inherited_top(const struct lu_launch *l)
{
	return l->n_inherited ? (int)l->inherited[l->n_inherited - 1].fd : -1;
}

const struct lu_launch_inherited *lu_inherited_at(const struct lu_launch *l, int fd)
{
	for (size_t i = 0; i < l->n_inherited; i++)
		if (l->inherited[i].fd == (uint64_t)fd)
			return &l->inherited[i];
	return NULL;
}

static int make_listener(const struct lu_launch_inherited *in)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(in->path) >= sizeof(sa.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(sa.sun_path, in->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/*
	 * Its directory may be QEMU's user's, who may put anything in its place as soon as it is there: it has its mode from
	 * the beginning. Nobody can connect before it listens, and then it is whose it should be.
	 */
	(void)umask(0777 & ~(mode_t)in->mode);
	if ((unlink(in->path) < 0 && errno != ENOENT) || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    lchown(in->path, (uid_t)in->uid, (gid_t)in->gid) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
		return -1;
	return fd;
}

static int set_up(const struct lu_launch_inherited *in)
{
	_cleanup_close_ int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { 0 }, bridge = { 0 };

	if (s < 0)
		return -1;
	strncpy(ifr.ifr_name, in->name, IFNAMSIZ - 1);
	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	for (int i = 0; i < 6; i++)
		ifr.ifr_hwaddr.sa_data[i] = (char)strtoul(in->mac + (size_t)i * 3, NULL, 16);
	if (ioctl(s, SIOCSIFHWADDR, &ifr) < 0)
		return -1;
	ifr.ifr_mtu = (int)in->mtu;
	if (in->mtu && ioctl(s, SIOCSIFMTU, &ifr) < 0)
		return -1;
	/* without its bridge it is an interface all the same, which is put there later */
	if (in->bridge) {
		char path[48];
		unsigned int index = 0;
		_cleanup_free_ char *text = NULL;

		snprintf(path, sizeof(path), "/sys/class/net/%s/ifindex", in->name);
		if (lu_read_file(AT_FDCWD, path, 32, &text, NULL) == 0 && sscanf(text, "%u", &index) == 1) {
			strncpy(bridge.ifr_name, in->bridge, IFNAMSIZ - 1);
			bridge.ifr_ifindex = (int)index;
			(void)ioctl(s, SIOCBRADDIF, &bridge);
		}
	}
	if (ioctl(s, SIOCGIFFLAGS, &ifr) < 0)
		return -1;
	ifr.ifr_flags |= IFF_UP;
	return ioctl(s, SIOCSIFFLAGS, &ifr);
}

static int make_tap(const struct lu_launch_inherited *in)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq ifr = { .ifr_flags = (short)in->flags };

	if (fd < 0)
		return -1;
	strncpy(ifr.ifr_name, in->name, IFNAMSIZ - 1);
	return ioctl(fd, TUNSETIFF, &ifr) < 0 || set_up(in) < 0 ? -1 : fd;
}

/*
 * Held by a lock for as long as QEMU lives, as libvirt's are: a second QEMU of that name can't be started.
 * Closing any descriptor of the file would give the lock up, so it is taken when there is one only.
 */
int lu_inherited_settle(const struct lu_launch_inherited *in, int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (in->kind != LU_INHERITED_PIDFILE)
		return 0;
	return fcntl(fd, F_SETLK, &lock) < 0 || ftruncate(fd, 0) < 0 || dprintf(fd, "%d", (int)getpid()) < 0 ||
			       fchown(fd, (uid_t)in->uid, (gid_t)in->gid) < 0 ?
		       -1 :
		       0;
}

int lu_inherited_make(const struct lu_launch_inherited *in, char step[static 24])
{
	mode_t mask = umask(0077);
	int fd = -1, err;

	switch (in->kind) {
	case LU_INHERITED_LISTEN:
		snprintf(step, 24, "socket, fd %u", (unsigned int)in->fd);
		fd = make_listener(in);
		break;
	case LU_INHERITED_TAP:
		snprintf(step, 24, "tap %.15s", in->name);
		fd = make_tap(in);
		break;
	case LU_INHERITED_DEVICE:
		snprintf(step, 24, "device, fd %u", (unsigned int)in->fd);
		fd = open(in->path, O_RDWR | O_CLOEXEC);
		break;
	default:
		snprintf(step, 24, "pid file");
		fd = open(in->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, (mode_t)in->mode);
	}
	err = errno;
	(void)umask(mask);
	errno = err;
	return fd;
}
