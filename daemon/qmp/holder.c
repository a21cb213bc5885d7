// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel lists a listener's connections under the listener's path (/proc/net/unix). The one that was accepted has an
 * inode, whose number the descriptors of the process that serves it show ("socket:[NUMBER]"); a copy of that
 * descriptor tells who is at its other end (SO_PEERCRED). One that waits in the backlog has no inode.
 *
 * Who listens is not who made the socket: libvirt hands a QEMU its monitor. So the descriptors of all processes are
 * looked at, and no more than LINKS_MAX of them. It is asked only when a monitor has not answered in time.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "holder.h"
#include "util.h"

#define TABLE_MAX (16u << 20)
#define INODES_MAX 16
#define LINKS_MAX 65536u
#define CONNECTED 3 /* SS_CONNECTED */

/* Lines of /proc/net/unix: Num RefCount Protocol Flags Type St Inode Path */
static size_t find_inodes(char *table, const char *path, uint64_t inodes[static INODES_MAX])
{
	size_t n = 0;

	for (char *line = strtok(table, "\n"); line && n < INODES_MAX; line = strtok(NULL, "\n")) {
		unsigned int state;
		uint64_t inode;
		int at = 0;

		if (sscanf(line, "%*s %*x %*x %*x %*x %x %" SCNu64 " %n", &state, &inode, &at) == 2 && at > 0 &&
		    state == CONNECTED && inode && !strcmp(line + at, path))
			inodes[n++] = inode;
	}
	return n;
}

static bool is_wanted(const char *link, const uint64_t *inodes, size_t n)
{
	uint64_t inode;

	for (size_t i = 0; i < n && sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1; i++)
		if (inodes[i] == inode)
			return true;
	return false;
}

/* Who is at the other end of this descriptor of another process? 0: nobody else */
static pid_t other_end(pid_t pid, int fd)
{
	_cleanup_close_ int process = pidfd_open(pid, 0);
	_cleanup_close_ int copy = process < 0 ? -EBADF : pidfd_getfd(process, fd, 0);
	socklen_t size = sizeof(struct ucred);
	struct ucred peer;

	if (copy < 0 || getsockopt(copy, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return 0;
	return peer.pid == getpid() ? 0 : peer.pid;
}

static pid_t look_into(pid_t pid, const uint64_t *inodes, size_t n, unsigned int *links)
{
	char path[32], link[64];
	struct dirent *d;
	pid_t found = 0;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	fds = opendir(path);
	while (fds && !found && *links < LINKS_MAX && (d = readdir(fds))) {
		ssize_t size = readlinkat(dirfd(fds), d->d_name, link, sizeof(link) - 1);

		if (size < 0)
			continue;
		(*links)++;
		link[size] = '\0';
		if (is_wanted(link, inodes, n))
			found = other_end(pid, atoi(d->d_name));
	}
	if (fds)
		closedir(fds);
	return found;
}

static void fill(pid_t pid, struct lu_qmp_client *ret)
{
	_cleanup_free_ char *comm = NULL;
	char path[32];

	*ret = (struct lu_qmp_client){ .pid = pid, .name = "?" };
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (lu_read_file(AT_FDCWD, path, 64, &comm, NULL) < 0)
		return;
	snprintf(ret->name, sizeof(ret->name), "%.*s", (int)strcspn(comm, "\n"), comm);
	for (char *p = ret->name; *p; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
			*p = '?';
}

int lu_qmp_holder(const char *path, struct lu_qmp_client *ret)
{
	_cleanup_free_ char *table = NULL;
	uint64_t inodes[INODES_MAX];
	unsigned int links = 0;
	pid_t found = 0;
	struct dirent *d;
	DIR *proc;
	size_t n;
	int r = lu_read_file(AT_FDCWD, "/proc/net/unix", TABLE_MAX, &table, NULL);

	if (r < 0)
		return r;
	n = find_inodes(table, path, inodes);
	if (!n)
		return 0;
	proc = opendir("/proc");
	if (!proc)
		return -errno;
	while (!found && (d = readdir(proc))) {
		pid_t pid = atoi(d->d_name);

		if (pid > 0)
			found = look_into(pid, inodes, n, &links);
	}
	closedir(proc);
	if (!found)
		return 0;
	fill(found, ret);
	return 1;
}
