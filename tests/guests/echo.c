// SPDX-License-Identifier: GPL-2.0-or-later
/* UDP echo on port 7: the other end of a guest's network test. Runs in the host VM as lab-echo.service. */
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(7) }, from;
	char data[2048];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || bind(fd, (void *)&any, sizeof(any)))
		return 1;
	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, data, sizeof(data), 0, (void *)&from, &len);

		if (n > 0)
			(void)!sendto(fd, data, (size_t)n, 0, (void *)&from, len);
	}
}
