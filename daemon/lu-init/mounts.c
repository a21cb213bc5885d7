// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The mounts, and the interface, that QEMU and we need before the real init. Same types and options as
 * systemd uses, which then finds them mounted and leaves them. With an initrd all of
 * them are there already. Nothing here is fatal: what is missing shows as the
 * failure of whatever needed it.
 */
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lu-init.h"

/* Is @path a mount point? Its device differs from its parent's. */
static bool mounted(const char *path)
{
	char parent[256];
	struct stat a, b;

	if (strlen(path) + 4 > sizeof(parent))
		return false;
	strcpy(parent, path);
	strcat(parent, "/..");
	return stat(path, &a) == 0 && stat(parent, &b) == 0 && a.st_dev != b.st_dev;
}

void lu_mounts_basic(const struct lu_init *i)
{
	static const struct {
		const char *type, *path;
		unsigned long flags;
		const char *data;
	} table[] = {
		{ "proc", "/proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL },
		{ "sysfs", "/sys", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL },
		{ "devtmpfs", "/dev", MS_NOSUID | MS_STRICTATIME, "mode=0755" },
		{ "tmpfs", "/run", MS_NOSUID | MS_NODEV | MS_STRICTATIME, "mode=0755,size=20%,nr_inodes=800k" },
		{ "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5" },
		{ "tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV | MS_STRICTATIME, "mode=01777" },
	};

	for (size_t n = 0; n < ARRAY_SIZE(table); n++) {
		if (mounted(table[n].path))
			continue;
		(void)mkdir(table[n].path, 0755);
		if (mount(table[n].type, table[n].path, table[n].type, table[n].flags, table[n].data) < 0)
			lu_log(i, "cannot mount %s: %s", table[n].path, strerror(errno));
	}
}

void lu_mounts_share(const struct lu_init *i)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0)
		lu_log(i, "mounts can't be shared: %s", strerror(errno));
}

int lu_mounts_pkernfs(const struct lu_init *i)
{
	int r;

	if (mounted(i->pkernfs))
		return 0;
	r = lu_mkdir_p(AT_FDCWD, i->pkernfs, 0755);
	if (r < 0)
		return r;
	if (mount("pkernfs", i->pkernfs, "pkernfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return -errno;
	return 0;
}

int lu_mounts_root_rw(const struct lu_init *i)
{
	if (mount(NULL, "/", NULL, MS_REMOUNT, NULL) < 0) {
		int r = -errno;

		lu_log(i, "cannot remount / for writing: %s", strerror(-r));
		return r;
	}
	return 0;
}

void lu_loopback_up(const struct lu_init *i)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo" };

	if (fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0) {
		request.ifr_flags |= IFF_UP;
		if (ioctl(fd, SIOCSIFFLAGS, &request) == 0)
			return;
	}
	lu_log(i, "the loopback interface can't be brought up: %s", strerror(errno));
}
