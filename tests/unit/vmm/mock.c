// SPDX-License-Identifier: GPL-2.0-or-later
/* See mock.h. The listener exists before mock_start() returns, so the client never races with it. */
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "test.h"

#include "mock.h"

#define LINE_MAX_BYTES (1 << 16)

struct mock {
	pthread_t thread;
	int listener, fd;
	int passed; /* descriptor that came last with a command, or -1 */
	char *script;
	char in[1 << 16];
	size_t in_size;
	long long ids[64];
	size_t n_ids;
	char why[512];
};

static struct json_object *schema;

void mock_schema(const char *file)
{
	if (schema)
		json_object_put(schema);
	schema = file ? json_object_from_file(file) : NULL;
	if (file && !schema)
		abort();
}

static int give_up(struct mock *m, const char *what, const char *detail)
{
	if (!m->why[0])
		snprintf(m->why, sizeof(m->why), "%s: %.300s", what, detail);
	return -1;
}

static int put(struct mock *m, const char *text, const char *end)
{
	char buf[LINE_MAX_BYTES];
	size_t n = (size_t)snprintf(buf, sizeof(buf), "%s%s", text, end);

	for (size_t done = 0; done < n;) {
		ssize_t k = send(m->fd, buf + done, n - done, MSG_NOSIGNAL);

		if (k < 0)
			return give_up(m, "send", text);
		done += (size_t)k;
	}
	return 0;
}

/* Are the arguments of @cmd what the recorded schema has for it? */
static int judge(struct mock *m, struct json_object *cmd, const char *name)
{
	struct json_object *commands, *known, *args = NULL, *v;

	if (!schema)
		return 0;
	if (!json_object_object_get_ex(schema, "commands", &commands) ||
	    !json_object_object_get_ex(commands, name, &known))
		return give_up(m, "QEMU knows no command", name);
	json_object_object_get_ex(cmd, "arguments", &args);
	json_object_object_foreach (known, key, kind) {
		if (!strcmp(json_object_get_string(kind), "required") && !json_object_object_get_ex(args, key, &v))
			return give_up(m, "missing argument", key);
	}
	if (args) {
		json_object_object_foreach (args, arg, value) {
			(void)value;
			if (!json_object_object_get_ex(known, arg, &v))
				return give_up(m, "unknown argument", arg);
		}
	}
	json_object_object_foreach (cmd, top, any) {
		(void)any;
		if (strcmp(top, "execute") != 0 && strcmp(top, "arguments") != 0 && strcmp(top, "id") != 0)
			return give_up(m, "unknown member", top);
	}
	return 0;
}

/* Bytes, and the descriptor that may come with them. */
static ssize_t receive(struct mock *m)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { m->in + m->in_size, sizeof(m->in) - m->in_size };
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	ssize_t n = recvmsg(m->fd, &mh, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&mh) : NULL;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		if (m->passed >= 0)
			close(m->passed);
		memcpy(&m->passed, CMSG_DATA(c), sizeof(int));
	}
	return n;
}

static int read_line(struct mock *m, char line[static LINE_MAX_BYTES])
{
	for (;;) {
		char *nl = memchr(m->in, '\n', m->in_size);
		struct pollfd p = { .fd = m->fd, .events = POLLIN };
		ssize_t n;

		if (nl) {
			size_t used = (size_t)(nl - m->in) + 1;

			memcpy(line, m->in, used - 1);
			line[used - 1] = '\0';
			memmove(m->in, m->in + used, m->in_size - used);
			m->in_size -= used;
			return 0;
		}
		if (poll(&p, 1, 10000) <= 0)
			return give_up(m, "the client", "sent nothing for 10 s");
		n = receive(m);
		if (n <= 0)
			return give_up(m, "the client", "closed");
		m->in_size += (size_t)n;
	}
}

static int expect_command(struct mock *m, const char *name)
{
	static __thread char line[LINE_MAX_BYTES];
	struct json_object *cmd, *v;
	int r = -1;

	if (read_line(m, line) < 0)
		return -1;
	cmd = json_tokener_parse(line);
	if (!cmd || !json_object_object_get_ex(cmd, "execute", &v))
		give_up(m, "no command", line);
	else if (strcmp(json_object_get_string(v), name) != 0)
		give_up(m, name, line);
	else if (!json_object_object_get_ex(cmd, "id", &v) || m->n_ids == 64)
		give_up(m, "no id", line);
	else
		r = judge(m, cmd, name);
	if (r == 0)
		m->ids[m->n_ids++] = json_object_get_int64(v);
	json_object_put(cmd);
	return r;
}

static int reply_to(struct mock *m, size_t n, const char *kind, const char *text)
{
	char buf[LINE_MAX_BYTES];

	if (n >= m->n_ids)
		return give_up(m, "script", "reply to nothing");
	snprintf(buf, sizeof(buf), "{\"%s\": %s, \"id\": %lld}", kind, text, m->ids[n]);
	return put(m, buf, "\r\n");
}

static int greet(struct mock *m)
{
	m->n_ids = 0;
	return put(
		m,
		"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 3, \"minor\": 1, \"major\": 11}, \"package\": \"x\"}, \"capabilities\": [\"oob\"]}}",
		"\r\n");
}

static int accept_one(struct mock *m)
{
	struct pollfd p = { .fd = m->listener, .events = POLLIN };

	if (poll(&p, 1, 10000) <= 0)
		return give_up(m, "nobody", "connected for 10 s");
	m->fd = accept(m->listener, NULL, NULL);
	m->in_size = 0;
	return m->fd < 0 ? give_up(m, "accept", "failed") : 0;
}

static void close_one(struct mock *m)
{
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
}

static int wait_closed(struct mock *m)
{
	char c;
	struct pollfd p = { .fd = m->fd, .events = POLLIN };

	if (poll(&p, 1, 10000) <= 0)
		return give_up(m, "the client", "did not close for 10 s");
	return recv(m->fd, &c, 1, 0) > 0 ? give_up(m, "the client", "said more than it should") : 0;
}

static int huge(struct mock *m)
{
	static char block[65536];

	memset(block, 'x', sizeof(block));
	if (put(m, "{\"return\": \"", "") < 0)
		return -1;
	for (;;)
		if (send(m->fd, block, sizeof(block), MSG_NOSIGNAL) < 0)
			return 0; /* the client had enough */
}

static int write_file(struct mock *m, const char *path)
{
	static const char text[] = "what QEMU saves";
	FILE *f = fopen(path, "r+e");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		return give_up(m, "can't be written", path);
	return 0;
}

static int write_passed(struct mock *m)
{
	static const char text[] = "what QEMU saves";

	if (write(m->passed, text, sizeof(text) - 1) != sizeof(text) - 1)
		return give_up(m, "what was passed", "can't be written");
	close(m->passed);
	m->passed = -1;
	return 0;
}

static int play(struct mock *m, char *line)
{
	char *rest = strchr(line, ' ');

	if (rest)
		*rest++ = '\0';
	rest = rest ?: (char *)"";
	if (!strcmp(line, "send"))
		return put(m, rest, "\r\n");
	if (!strcmp(line, "raw"))
		return put(m, rest, "");
	if (!strcmp(line, "greet"))
		return greet(m);
	if (!strcmp(line, "hello"))
		return greet(m) || expect_command(m, "qmp_capabilities") || reply_to(m, 0, "return", "{}");
	if (!strcmp(line, "expect"))
		return expect_command(m, rest);
	if (!strcmp(line, "reply"))
		return reply_to(m, m->n_ids - 1, "return", rest);
	if (!strcmp(line, "replyto")) {
		size_t n = strtoul(rest, &rest, 10);

		return reply_to(m, n, "return", rest);
	}
	if (!strcmp(line, "error")) {
		char buf[1024];
		char *desc = strchr(rest, ' ');

		*desc++ = '\0';
		snprintf(buf, sizeof(buf), "{\"class\": \"%s\", \"desc\": \"%s\"}", rest, desc);
		return reply_to(m, m->n_ids - 1, "error", buf);
	}
	if (!strcmp(line, "file"))
		return write_file(m, rest);
	if (!strcmp(line, "save"))
		return write_passed(m);
	if (!strcmp(line, "huge"))
		return huge(m);
	if (!strcmp(line, "wait"))
		return wait_closed(m);
	if (!strcmp(line, "sleep"))
		return usleep((useconds_t)atoi(rest) * 1000);
	if (!strcmp(line, "close")) {
		close_one(m);
		return 0;
	}
	if (!strcmp(line, "accept")) {
		close_one(m);
		return accept_one(m);
	}
	return give_up(m, "script", line);
}

static void *run(void *arg)
{
	struct mock *m = arg;
	char *save = NULL;

	if (accept_one(m) == 0)
		for (char *line = strtok_r(m->script, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			if (play(m, line) != 0)
				break;
	close_one(m);
	return NULL;
}

struct mock *mock_start(const char *path, const char *script)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct mock *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	m->passed = -1;
	unlink(path);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	m->fd = -1;
	m->script = strdup(script);
	m->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(m->listener, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(m->listener, 1) < 0 ||
	    pthread_create(&m->thread, NULL, run, m) != 0)
		abort();
	return m;
}

const char *mock_end(struct mock *m)
{
	static char why[512];

	pthread_join(m->thread, NULL);
	strcpy(why, m->why);
	close(m->listener);
	free(m->script);
	free(m);
	return why[0] ? why : NULL;
}
