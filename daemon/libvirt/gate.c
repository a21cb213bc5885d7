// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libvirt-gate: waits until libvirt need not stand aside any more (hold.h). luctl-libvirt-gate.service runs it before
 * libvirt's daemon is started. Who waits too long is ended by its unit's TimeoutStartSec.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define DIRECTORY "/run/luctl"
#define HELD DIRECTORY "/libvirt-held"

int main(void)
{
	char buf[4096];
	int fd;

	if (access(HELD, F_OK) < 0)
		return 0;
	puts("libvirt stands aside for a live update of the kernel; luctl status tells how far it is");
	fflush(stdout);
	fd = inotify_init1(IN_CLOEXEC);
	if (fd < 0 || inotify_add_watch(fd, DIRECTORY, IN_DELETE | IN_MOVED_FROM) < 0) {
		fprintf(stderr, DIRECTORY ": %s\n", strerror(errno));
		return 1;
	}
	while (access(HELD, F_OK) == 0)
		if (read(fd, buf, sizeof(buf)) < 0 && errno != EINTR)
			return 1;
	return 0;
}
