// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The QMP client against a scripted server: each way in which a peer can misbehave
 * ends every command once, with an error that says what happened.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "test.h"

#include "client.h"
#include "mock.h"

static char dir[] = "/tmp/luctl-client-XXXXXX";
static char sock[128];
static sd_event *ev;
static struct lu_qmp *q;

struct reply {
	int calls, r;
	char text[512], class[64], what[512], hint[256];
};

static int open_replies;

static void on_reply(struct lu_qmp *c, int r, struct json_object *data, const char *class, const struct lu_error *e,
		     void *userdata)
{
	struct reply *p = userdata;

	p->calls++;
	p->r = r;
	snprintf(p->text, sizeof(p->text), "%s", data ? json_object_to_json_string(data) : "");
	snprintf(p->class, sizeof(p->class), "%s", class ?: "");
	snprintf(p->what, sizeof(p->what), "%s", e ? e->what : "");
	snprintf(p->hint, sizeof(p->hint), "%s", e && e->hint ? e->hint : "");
	open_replies--;
}

static void give(const char *name, unsigned int timeout_ms, struct reply *p)
{
	assert_int_equal(lu_qmp_command(q, name, NULL, NULL, 0, timeout_ms * 1000, on_reply, p), 0);
	assert_int_equal(p->calls, 0); /* never from within */
	open_replies++;
}

static void run_all(void)
{
	while (open_replies > 0)
		assert_true(sd_event_run(ev, 5000000) > 0);
}

static int setup(void **state)
{
	mkdtemp(dir);
	snprintf(sock, sizeof(sock), "%s/q", dir);
	return 0;
}

static int teardown(void **state)
{
	unlink(sock);
	mock_schema(NULL);
	return rmdir(dir);
}

static int setup_client(void **state)
{
	open_replies = 0;
	return sd_event_new(&ev) < 0 || lu_qmp_new(&q, ev, "VM mock", sock) < 0;
}

static int teardown_client(void **state)
{
	lu_qmp_free(q);
	sd_event_unref(ev);
	return 0;
}

static void test_out_of_order(void **state)
{
	struct mock *m = mock_start(sock,
				    "hello\nexpect query-status\nexpect query-uuid\nsend {\"event\": \"RESUME\"}\n"
				    "replyto 2 {\"UUID\": \"u\"}\nreplyto 1 {\"status\": \"paused\"}\nwait");
	struct reply a = { 0 }, b = { 0 };
	struct ucred peer;
	const char *why;

	give("query-status", 5000, &a);
	give("query-uuid", 5000, &b);
	run_all();
	assert_int_equal(a.r, 0);
	assert_string_equal(a.text, "{ \"status\": \"paused\" }");
	assert_string_equal(b.text, "{ \"UUID\": \"u\" }");
	assert_string_equal(lu_qmp_version(q), "11.1.3");
	assert_int_equal(lu_qmp_peer(q, &peer), 0);
	assert_int_equal(peer.pid, getpid());
	lu_qmp_close(q);
	why = mock_end(m);
	expect(!why, "%s", why);
}

static void test_refused(void **state)
{
	struct mock *m =
		mock_start(sock, "hello\nexpect stop\nerror CommandNotFound no such luck\nexpect cont\nreply {}\nwait");
	struct reply a = { 0 }, b = { 0 };
	const char *why;

	give("stop", 5000, &a);
	give("cont", 5000, &b);
	run_all();
	assert_int_equal(a.r, -EREMOTEIO);
	assert_string_equal(a.class, "CommandNotFound");
	assert_string_equal(a.what, "VM mock: QEMU refuses stop: no such luck");
	assert_int_equal(b.r, 0);
	lu_qmp_close(q);
	why = mock_end(m);
	expect(!why, "%s", why);
}

/* script → the errno that both of two commands get, and a word of the error */
static void test_misbehaviour(void **state)
{
	static const struct {
		const char *script;
		int r;
		const char *word;
	} cases[] = {
		{ "wait", -ETIMEDOUT, "no greeting" },
		{ "greet\nexpect qmp_capabilities\nwait", -ETIMEDOUT, "no greeting" },
		{ "close", -ECONNRESET, "before it was set up" },
		{ "raw {\"QMP\": {\"ver\nclose", -ECONNRESET, "before it was set up" },
		{ "greet\nexpect qmp_capabilities\nclose", -ECONNRESET, "before it was set up" },
		{ "hello\nexpect query-status\nclose", -ECONNRESET, "closed the connection" },
		{ "hello\nexpect query-status\nraw {\"return\": {\"sta\nclose", -ECONNRESET, "closed the connection" },
		{ "send HTTP/1.1 400 Bad Request\nwait", -EBADMSG, "does not talk QMP" },
		{ "send {\"return\": {}, \"id\": 1}\nwait", -EBADMSG, "before it greeted" },
		{ "greet\ngreet\nwait", -EBADMSG, "greeted twice" },
		{ "greet\nexpect qmp_capabilities\nerror GenericError no\nsleep 100", -EREMOTEIO, ": no" },
		{ "hello\nexpect query-status\nsend []\nsleep 100", -EBADMSG, "does not talk QMP" },
		{ "hello\nexpect query-status\nsend {\"return\": {}, \"id\": 99}\nsleep 100", -EBADMSG, "never given" },
		{ "hello\nexpect query-status\nsend {\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error\"}}\nsleep 100",
		  -EBADMSG, "JSON parse error" },
		{ "hello\nexpect query-status\nhuge", -EBADMSG, "more than 4 MiB" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mock *m = mock_start(sock, cases[i].script);
		struct reply a = { 0 }, b = { 0 };

		give("query-status", cases[i].r == -ETIMEDOUT ? 200 : 5000, &a);
		give("query-uuid", 5000, &b);
		run_all();
		expect(a.r == cases[i].r && b.r == cases[i].r, "%s: %d %d %s", cases[i].script, a.r, b.r, a.what);
		/* who closes with a command unread resets the connection */
		expect(strstr(a.what, cases[i].word) || (a.r == -ECONNRESET && strstr(a.what, "reset by peer")),
		       "%s: %s", cases[i].script, a.what);
		expect(!strncmp(a.what, "VM mock: QMP socket ", 20), "%s", a.what);
		assert_int_equal(a.calls, 1);
		assert_int_equal(b.calls, 1);
		assert_false(lu_qmp_connected(q));
		(void)mock_end(m); /* where the client hung up a script may be cut short */
		/* nothing may come later */
		assert_int_equal(sd_event_run(ev, 20000), 0);
	}
}

static void test_nobody(void **state)
{
	struct reply a = { 0 };

	unlink(sock);
	give("query-status", 5000, &a);
	run_all();
	assert_int_equal(a.r, -ENOENT);
	assert_true(a.hint[0] != '\0');
}

/* QEMU serves one client and lets the others wait in the backlog. */
static void test_busy(void **state)
{
	struct mock *m = mock_start(sock, "sleep 400\nclose");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct reply a = { 0 };
	int other[3];

	strcpy(sa.sun_path, sock);
	for (int i = 0; i < 3; i++) {
		other[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(other[i], (struct sockaddr *)&sa, sizeof(sa));
	}
	usleep(50000);
	give("query-status", 200, &a);
	run_all();
	assert_int_equal(a.r, -ETIMEDOUT);
	assert_non_null(strstr(a.hint, "one QMP client"));
	for (int i = 0; i < 3; i++)
		close(other[i]);
	(void)mock_end(m);
}

/* One command's time is over; its late answer is dropped and the next is served. */
static void test_late(void **state)
{
	struct mock *m = mock_start(sock, "hello\nexpect stop\nsleep 300\nreplyto 1 {}\nexpect cont\nreply {}\nwait");
	struct reply a = { 0 }, b = { 0 };
	const char *why;

	give("stop", 150, &a);
	run_all();
	assert_int_equal(a.r, -ETIMEDOUT);
	assert_non_null(strstr(a.what, "no reply to stop"));
	give("cont", 5000, &b);
	run_all();
	assert_int_equal(b.r, 0);
	assert_int_equal(a.calls, 1);
	lu_qmp_close(q);
	why = mock_end(m);
	expect(!why, "%s", why);
}

static void test_reconnect(void **state)
{
	struct mock *m = mock_start(sock,
				    "hello\nexpect stop\nreply {}\nwait\naccept\nhello\nexpect cont\nreply {}\nclose\n"
				    "accept\nhello\nexpect query-status\nreply {}\nwait");
	struct reply a = { 0 }, b = { 0 }, c = { 0 };
	const char *why;

	lu_qmp_set_idle(q, 50000);
	give("stop", 5000, &a);
	run_all();
	while (lu_qmp_connected(q)) /* idle: the monitor is given back */
		assert_true(sd_event_run(ev, 2000000) > 0);
	lu_qmp_set_idle(q, UINT64_MAX);
	give("cont", 5000, &b);
	run_all();
	usleep(50000); /* the peer is gone and we have not looked */
	give("query-status", 5000, &c);
	run_all();
	assert_int_equal(a.r, 0);
	assert_int_equal(b.r, 0);
	assert_int_equal(c.r, 0);
	lu_qmp_close(q);
	why = mock_end(m);
	expect(!why, "%s", why);
}

static void free_in_reply(struct lu_qmp *c, int r, struct json_object *data, const char *class,
			  const struct lu_error *e, void *userdata)
{
	open_replies--;
	lu_qmp_free(c);
	q = NULL;
}

static void on_last_word(struct lu_qmp *client, const char *name, struct json_object *data, void *userdata)
{
	*(bool *)userdata |= !strcmp(name, "SHUTDOWN");
}

/* It went with an event that nobody has read: that is heard, and the next command is for the next one. */
static void test_last_word(void **state)
{
	struct reply a = { 0 }, b = { 0 };
	char script[1024], gone[200];
	bool heard = false;
	struct mock *m;
	const char *why;
	struct stat st;

	snprintf(gone, sizeof(gone), "%s/gone", dir);
	close(open(gone, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
	snprintf(script, sizeof(script),
		 "hello\nexpect cont\nreply {}\nsleep 20\n"
		 "send {\"event\": \"SHUTDOWN\", \"timestamp\": {\"seconds\": 1, \"microseconds\": 2}}\n"
		 "close\nfile %s\naccept\nhello\nexpect query-status\nreply {}\nwait",
		 gone);
	m = mock_start(sock, script);
	lu_qmp_set_idle(q, UINT64_MAX);
	lu_qmp_set_event_handler(q, on_last_word, &heard);
	give("cont", 5000, &a);
	run_all();
	while (stat(gone, &st) == 0 && st.st_size == 0)
		usleep(10000);
	give("query-status", 5000, &b);
	run_all();
	unlink(gone);
	assert_int_equal(a.r, 0);
	assert_int_equal(b.r, 0);
	assert_true(heard);
	lu_qmp_close(q);
	why = mock_end(m);
	expect(!why, "%s", why);
}

static void test_free_in_callback(void **state)
{
	static const char *const scripts[] = { "hello\nexpect stop\nreply {}\nwait", "hello\nexpect stop\nclose" };

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		struct mock *m = mock_start(sock, scripts[i]);
		struct reply never = { 0 };

		if (!q)
			assert_int_equal(lu_qmp_new(&q, ev, "VM mock", sock), 0);
		assert_int_equal(lu_qmp_command(q, "stop", NULL, NULL, 0, 5000000, free_in_reply, NULL), 0);
		open_replies = 1;
		assert_int_equal(lu_qmp_command(q, "cont", NULL, NULL, 0, 5000000, on_reply, &never), 0);
		run_all();
		(void)mock_end(m);
		assert_int_equal(sd_event_run(ev, 20000), 0);
		assert_int_equal(never.calls, 0);
	}
}

static void test_forget(void **state)
{
	struct mock *m = mock_start(sock, "hello\nexpect stop\nreply {}\nexpect cont\nreply {}\nwait");
	struct reply a = { 0 }, b = { 0 };
	const char *why;

	give("stop", 5000, &a);
	lu_qmp_forget(q, &a);
	open_replies--;
	give("cont", 5000, &b);
	run_all();
	assert_int_equal(a.calls, 0);
	assert_int_equal(b.r, 0);
	lu_qmp_close(q);
	why = mock_end(m);
	expect(!why, "%s", why);
}

/* The events go to their handler and disturb no one. */
static void on_event(struct lu_qmp *c, const char *name, struct json_object *data, void *userdata)
{
	strcat(userdata, name);
}

static void test_events(void **state)
{
	struct mock *m = mock_start(sock,
				    "hello\nexpect stop\nsend {\"event\": \"STOP\", \"timestamp\": {}}\nreply {}\n"
				    "send {\"event\": \"X\", \"data\": {}}\nsleep 50\nclose");
	struct reply a = { 0 };
	char names[64] = "";

	lu_qmp_set_event_handler(q, on_event, names);
	give("stop", 5000, &a);
	run_all();
	while (lu_qmp_connected(q))
		sd_event_run(ev, 1000000);
	assert_string_equal(names, "STOPX");
	(void)mock_end(m);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup_client, teardown_client)
	static const struct CMUnitTest tests[] = {
		T(test_out_of_order), T(test_refused),   T(test_misbehaviour), T(test_nobody),           T(test_busy),
		T(test_late),         T(test_reconnect), T(test_last_word),    T(test_free_in_callback), T(test_forget),
		T(test_events),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
