// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The floor under every blackout: bare kexec to first userspace, with nothing of luctl's.
 *
 *	stamp jump	say KEXEC on the line, then make the reboot call (the image was loaded before)
 *	as init=	say USERSPACE on the line before anything else, then become the real init
 *
 * The line is ttyS1; whoever reads it outside takes the time.
 */
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

static void say(const char *text)
{
	int fd = open("/dev/ttyS1", O_WRONLY | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, text, strlen(text));
	tcdrain(fd);
	close(fd);
}

int main(int argc, char *argv[])
{
	if (getpid() == 1) {
		say("USERSPACE\n");
		execv("/sbin/init", argv);
		return 1;
	}
	if (argc != 2 || strcmp(argv[1], "jump") != 0)
		return 2;
	sync();
	say("KEXEC\n");
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
	perror("reboot");
	return 1;
}
