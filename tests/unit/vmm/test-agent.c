// SPDX-License-Identifier: GPL-2.0-or-later
/* Setting a guest's clock, against a guest agent that is scripted: what the real one (scenario clock-and-network) does not do on demand. */
#include "test.h"

#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "clock.h"
#include "lu-init.h"

#define UUID "0f6f6d1c-1111-4222-8333-444455556666"
#define BEHIND_USEC 5650000

enum {
	NOISE = 1 << 0,      /* answers to others come first */
	SPLIT = 1 << 1,      /* a byte at a time */
	RTC_FAILS = 1 << 2,  /* sets the clock, but complains */
	REFUSES = 1 << 3,    /* does not set it */
	WRONG_FORM = 1 << 4, /* answers guest-get-time with a string */
	HANGS_UP = 1 << 5,   /* at guest-set-time */
	LONG_LINE = 1 << 6,  /* never ends it */
	LIES = 1 << 7,       /* says that it has set the clock, and has not */
	FAR_OFF = 1 << 8,    /* says the smallest number for the time of day */
};

static char dir[64];

static void say(int fd, int how, const char *text)
{
	for (size_t n = strlen(text), step = how & SPLIT ? 1 : n; n > 0; n -= step, text += step)
		if (send(fd, text, step, MSG_NOSIGNAL) < 0)
			_exit(1);
}

static void answer(int fd, int how, struct json_object *o)
{
	static int64_t behind_ns = BEHIND_USEC * 1000LL;
	const char *name = json_object_get_string(json_object_object_get(o, "execute"));
	struct json_object *args = json_object_object_get(o, "arguments");
	char text[256] = "{\"return\": {}}\n";

	/* old agents refuse what they don't know */
	if (json_object_object_length(o) != (args ? 2 : 1))
		_exit(1);
	if (!strcmp(name, "guest-sync")) {
		if (how & NOISE)
			say(fd, how,
			    "\xff{\"return\": 1}\n{\"return\": \"x\"}\nnoise\n[1]\n{\"error\": {\"desc\": \"not for you\"}}\n");
		snprintf(text, sizeof(text), "{\"return\": %lld}\n",
			 (long long)json_object_get_int64(json_object_object_get(args, "id")));
	} else if (!strcmp(name, "guest-get-time") && (how & FAR_OFF)) {
		strcpy(text, "{\"return\": -9223372036854775808}\n");
	} else if (!strcmp(name, "guest-get-time")) {
		snprintf(text, sizeof(text), how & WRONG_FORM ? "{\"return\": \"%lld\"}\n" : "{\"return\": %lld}\n",
			 (long long)lu_clock_ns(CLOCK_REALTIME) - (long long)behind_ns);
	} else if (!strcmp(name, "guest-set-time")) {
		int64_t t = json_object_get_int64(json_object_object_get(args, "time"));

		if (how & HANGS_UP)
			_exit(0);
		if (!(how & (REFUSES | LIES)))
			behind_ns = (int64_t)lu_clock_ns(CLOCK_REALTIME) - t;
		if (how & (REFUSES | RTC_FAILS))
			strcpy(text, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no hwclock\\nat all\"}}\n");
	}
	if (how & LONG_LINE)
		for (;;)
			say(fd, 0, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	say(fd, how, text);
}

static pid_t agent_start(const char *path, int how)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char line[4096];
	FILE *in;
	pid_t pid;

	strcpy(sa.sun_path, path);
	(void)unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 1), 0);
	pid = fork();
	if (pid != 0) {
		close(fd);
		return pid;
	}
	fd = accept(fd, NULL, NULL);
	in = fdopen(dup(fd), "r");
	while (in && fgets(line, sizeof(line), in)) {
		struct json_object *o = json_tokener_parse(line);

		answer(fd, how, o);
		json_object_put(o);
	}
	_exit(0);
}

static void write_records(const char *socket)
{
	struct lu_launch launch = { 0 };
	struct lu_saved saved = {
		.update = (char *)UUID,
		.uuid = (char *)UUID,
		.name = (char *)"web1",
		.running = true,
		.complete = true,
		.size = 1,
	};
	_cleanup_close_ int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), vm = -EBADF;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	vm = lu_store_open(root, UUID, true, NULL);
	assert_true(vm >= 0);
	expect(lu_json_load(AT_FDCWD, LAUNCH_EXAMPLE, 1 << 20, &lu_launch_table, &launch, &e) == 0, "%s", e.what);
	free(launch.agent);
	launch.agent = socket ? strdup(socket) : NULL;
	expect(lu_launch_write(vm, &launch, &e) == 0, "%s", e.what);
	expect(lu_saved_write(vm, &saved, &e) == 0, "%s", e.what);
	lu_launch_clear(&launch);
	(void)unlinkat(vm, "clock.json", 0);
}

static void test_agents(void **state)
{
	static const struct {
		const char *title;
		int how;
		bool set;
		const char *error;
	} cases[] = {
		{ "as it should be", 0, true, NULL },
		{ "noise before", NOISE, true, NULL },
		{ "byte by byte", SPLIT | NOISE, true, NULL },
		{ "the RTC can't be set", RTC_FAILS, true, NULL },
		{ "refused", REFUSES, false, "guest-set-time: no hwclock" },
		{ "not what it says", LIES, false, "still" },
		{ "another form", WRONG_FORM, false, "another form" },
		{ "hangs up", HANGS_UP, false, "guest-set-time: " },
		{ "a number that is no time", FAR_OFF, false, "no time of day" },
		{ "no end of line", LONG_LINE, false, "too long" },
	};
	struct lu_init init = { .pkernfs = dir, .run = dir, .any_fs = true };
	char path[96];

	snprintf(path, sizeof(path), "%s/agent.sock", dir);
	write_records(path);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		_cleanup_(lu_clock_clear) struct lu_clock clock = { 0 };
		_cleanup_close_ int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), vm = -EBADF;
		pid_t pid = agent_start(path, cases[i].how);
		int r = lu_agent_clock(&init, root, UUID, &e);

		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		expect((r == 0) == (cases[i].error == NULL), "%s: %d %s", cases[i].title, r, e.what ?: "");
		vm = lu_store_open(root, UUID, false, NULL);
		assert_int_equal(lu_clock_read(vm, &clock, NULL), 0);
		expect(clock.set == cases[i].set, "%s", cases[i].title);
		expect((clock.error != NULL) == (cases[i].error != NULL), "%s", cases[i].title);
		if (clock.error)
			expect(strstr(clock.error->what, cases[i].error), "%s: %s", cases[i].title, clock.error->what);
		if (!cases[i].set)
			continue;
		expect(llabs(clock.was_behind_usec - BEHIND_USEC) < 500000, "%s: was %lld", cases[i].title,
		       (long long)clock.was_behind_usec);
		expect(llabs(clock.behind_usec) < 500000, "%s: is %lld", cases[i].title, (long long)clock.behind_usec);
	}
}

static void test_nobody(void **state)
{
	struct lu_init init = { .pkernfs = dir, .run = dir, .any_fs = true };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_close_ int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char path[160];

	snprintf(path, sizeof(path), "%s/agent.sock", dir);
	(void)unlink(path);
	write_records(path);
	assert_int_equal(lu_agent_clock(&init, root, UUID, &e), -ENOENT);
	assert_non_null(strstr(e.what, path));
	lu_error_clear(&e);
	/* none is declared: nothing is done */
	write_records(NULL);
	assert_int_equal(lu_agent_clock(&init, root, UUID, &e), 0);
	snprintf(path, sizeof(path), "%s/vm/" UUID "/clock.json", dir);
	assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_agents), cmocka_unit_test(test_nobody) };
	int r;

	snprintf(dir, sizeof(dir), "/tmp/luctl-agent-XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	for (size_t i = 0; i < 2; i++) {
		_cleanup_close_ int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		(void)lu_store_remove(root, UUID, NULL);
		(void)unlinkat(root, "vm", AT_REMOVEDIR);
		(void)unlinkat(root, "agent.sock", 0);
	}
	(void)rmdir(dir);
	return r;
}
