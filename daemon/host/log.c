// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See log.h. The journal is spoken to in its own protocol (one datagram of fields a line, systemd.io/JOURNAL_NATIVE_PROTOCOL) and
 * not by sd_journal_send(), which waits when the journal's socket is full: while file systems are frozen journald
 * may wait for one of them, and the daemon that is to thaw it must not wait for journald. Then a line is lost.
 */
#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "log.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

static char update_id[40];

void log_set_update(const char *id)
{
	snprintf(update_id, sizeof(update_id), "%s", id ?: "");
}

/* Is stderr what systemd has connected to the journal? It may have been sent elsewhere since. */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == dev && st.st_ino == ino;
}

static void put_field(FILE *f, const char *name, const char *value)
{
	uint64_t size = htole64(strlen(value));

	if (!strchr(value, '\n')) {
		fprintf(f, "%s=%s\n", name, value);
		return;
	}
	fprintf(f, "%s\n", name);
	fwrite(&size, sizeof(size), 1, f);
	fprintf(f, "%s\n", value);
}

/* Negative: it is to be told another way. */
static int to_journal(const char *prefix, const struct lu_log_about *about, const char *text)
{
	static const struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET };
	static int fd = -EBADF;
	_cleanup_free_ char *line = NULL;
	const char priority[] = { prefix[1], '\0' };
	size_t size = 0;
	FILE *f;

	if (fd < 0)
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	f = open_memstream(&line, &size);
	if (!f)
		return -ENOMEM;
	put_field(f, "MESSAGE", text);
	put_field(f, "PRIORITY", priority);
	put_field(f, "SYSLOG_IDENTIFIER", "luctld");
	if (*update_id)
		put_field(f, "LUCTL_UPDATE_ID", update_id);
	if (about && about->vm)
		put_field(f, "LUCTL_VM", about->vm);
	if (about && about->message_id)
		put_field(f, "MESSAGE_ID", about->message_id);
	if (fclose(f) != 0)
		return -ENOMEM;
	if (sendto(fd, line, size, MSG_NOSIGNAL, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return errno == EAGAIN ? 0 : -errno;
	return 0;
}

void lu_log(const char *prefix, const struct lu_log_about *about, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL, *line = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text && is_journal() && to_journal(prefix, about, text) >= 0)
		return;
	/* a log daemon that waits for a disk is not waited for: then a line is lost */
	if (text && (n = asprintf(&line, "%s%s\n", prefix, text)) >= 0 &&
	    send(STDERR_FILENO, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == ENOTSOCK)
		(void)!write(STDERR_FILENO, line, (size_t)n);
}

int log_failure(int r, const struct lu_error *e, const char *context)
{
	log_error("%s: %s%s%s%s", context, e->what ?: strerror(-r), e->hint && *e->hint ? " (hint: " : "",
		  e->hint && *e->hint ? e->hint : "", e->hint && *e->hint ? ")" : "");
	return r;
}
