// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A line is "Num: RefCount Protocol Flags Type St Inode Path". The table has a line for each socket of the host: with many
 * guests whoever reads it for each of theirs reads for as long as there are guests times guests.
 */
#include <stdio.h>
#include <string.h>

#include "unix_sockets.h"
#include "util.h"

#define ACCEPTS 0x10000 /* __SO_ACCEPTCON */
#define TEXT_MAX (16u << 20)

void lu_unix_sockets_clear(struct lu_unix_sockets *s)
{
	free(s->text);
	free(s->list);
	*s = (struct lu_unix_sockets){ 0 };
}

static bool read_line(const char *line, struct lu_unix_socket *ret)
{
	unsigned long flags;
	int at = 0;

	if (sscanf(line, "%*s %*s %*s %lx %lx %*s %lu %n", &flags, &ret->type, &ret->inode, &at) != 3 || !at)
		return false;
	ret->listens = (flags & ACCEPTS) != 0;
	ret->path = line + at;
	return ret->path[0] == '/';
}

static size_t count_lines(const char *text)
{
	size_t n = 1;

	while ((text = strchr(text, '\n'))) {
		text++;
		n++;
	}
	return n;
}

int lu_unix_sockets_read(int proc_fd, pid_t pid, struct lu_unix_sockets *ret)
{
	struct lu_unix_sockets s = { 0 };
	char what[32], *save = NULL;
	int r;

	snprintf(what, sizeof(what), pid ? "%d/net/unix" : "self/net/unix", (int)pid);
	r = lu_read_file(proc_fd, what, TEXT_MAX, &s.text, NULL);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	s.list = calloc(count_lines(s.text), sizeof(*s.list));
	if (!s.list) {
		lu_unix_sockets_clear(&s);
		return -ENOMEM;
	}
	for (char *line = strtok_r(s.text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (read_line(line, &s.list[s.n]))
			s.n++;
	*ret = s;
	return 0;
}
