// SPDX-License-Identifier: GPL-2.0-or-later
/* See qemu.h. */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "test.h"

#include "qemu.h"
#include "util.h"

const char *qemu_case = "";
pid_t qemu_pid;
static FILE *monitor, *commands;
static char at[96];

/* --- a monitor, one command after the other --- */

static struct json_object *read_answer(void)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	for (;;) {
		struct json_object *o, *v;

		expect(getline(&line, &size, monitor) > 0, "%s: QEMU has ended; its log is %s/log", qemu_case, at);
		o = json_tokener_parse(line);
		assert_non_null(o);
		if (json_object_object_get_ex(o, "return", &v)) {
			v = json_object_get(v);
			json_object_put(o);
			return v;
		}
		expect(!json_object_object_get_ex(o, "error", &v), "%s: QEMU: %s", qemu_case, line);
		json_object_put(o);
	}
}

static struct json_object *ask(const char *command)
{
	fprintf(commands, "%s\n", command);
	fflush(commands);
	return read_answer();
}

struct json_object *qemu_query(const char *name, const char *arguments)
{
	char text[256];

	snprintf(text, sizeof(text), "{\"execute\": \"%s\", \"arguments\": %s}", name, arguments);
	return ask(text);
}

/* "@ready", "@gone": until no job is under way */
static void wait_jobs(bool gone)
{
	for (int i = 0; i < 500; i++) {
		struct json_object *list = qemu_query("query-block-jobs", "{}"), *ready = NULL;
		bool done = json_object_array_length(list) == 0;

		if (!gone && !done && json_object_object_get_ex(json_object_array_get_idx(list, 0), "ready", &ready))
			done = json_object_get_boolean(ready);
		json_object_put(list);
		if (done)
			return;
		usleep(10000);
	}
	fail_case("a block job did not end");
}

void qemu_command(const char *command)
{
	if (command[0] == '@')
		wait_jobs(!strcmp(command, "@gone"));
	else if (command[0] == '!')
		expect(system(command + 1) == 0, "%s", command);
	else
		json_object_put(ask(command));
}

/* --- a QEMU --- */

static int in_dir(char *const *argv)
{
	char log[100];
	int fd;

	if (chdir(at) < 0)
		return -1;
	snprintf(log, sizeof(log), "%s/log", at);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, 1);
	dup2(fd, 2);
	return execv(argv[0], argv);
}

void qemu_connect(const char *dir)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = -1;

	snprintf(at, sizeof(at), "%s", dir);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/qmp", dir);
	for (int i = 0; i < 1000 && fd < 0; i++) {
		expect(!qemu_pid || waitpid(qemu_pid, NULL, WNOHANG) == 0, "%s: QEMU has ended; its log is %s/log",
		       qemu_case, at);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
			close(fd);
			fd = -1;
			usleep(10000);
		}
	}
	commands = fdopen(dup(fd), "w");
	monitor = fdopen(fd, "r");
	assert_true(monitor && commands);
	json_object_put(qemu_query("qmp_capabilities", "{}"));
}

void qemu_start(const char *dir, char *const *argv)
{
	char path[128];

	snprintf(at, sizeof(at), "%s", dir);
	snprintf(path, sizeof(path), "%s/qmp", dir);
	unlink(path);
	qemu_pid = fork();
	if (qemu_pid == 0) {
		closefrom(3);
		in_dir(argv);
		_exit(127);
	}
	qemu_connect(dir);
}

int qemu_end(void **state)
{
	if (monitor)
		fclose(monitor);
	if (commands)
		fclose(commands);
	monitor = commands = NULL;
	if (qemu_pid > 0) {
		kill(qemu_pid, SIGKILL);
		waitpid(qemu_pid, NULL, 0);
	}
	qemu_pid = 0;
	return 0;
}
