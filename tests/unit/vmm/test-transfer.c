// SPDX-License-Identifier: GPL-2.0-or-later
/* The receiving end of cpr-transfer against a peer that behaves, and against those that do not. */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "test.h"

#include <json-c/json.h>

#include "transfer.h"

/* QEMU's stream with one descriptor "ram" 7 and one device: CPR (daemon/devices/cpr.h) */
static const uint8_t head[] = { 'Q', 'C', 'P', 'R', 0, 0, 0, 1, 1, 0, 0, 0, 4, 'r', 'a', 'm', 0, 0, 0, 0, 7 };
static const uint8_t tail[] = "\0\5\25CprState/vfio devices\0\0\0\1"
			      "\1\0\0\0\2d\0\0\0\0\1\0\0\0\2\0\0\0\3";

static char dir[64], sub[80], state_path[80];
static sd_event *ev;
static struct lu_transfer *t;
static int state_fd;

/* What another process would have of it when this one dies. */
static int kept[LU_TRANSFER_FDS];
static bool cpr_first;

static int setup(void **state)
{
	assert_non_null(test_mkdtemp(dir));
	snprintf(sub, sizeof(sub), "%s/cpr", dir);
	snprintf(state_path, sizeof(state_path), "%s/state", dir);
	return sd_event_new(&ev) < 0;
}

static int teardown(void **state)
{
	lu_transfer_free(t);
	t = NULL;
	sd_event_unref(ev);
	for (int i = 0; i < LU_TRANSFER_FDS; i++)
		closep(&kept[i]);
	close(state_fd);
	unlink(state_path);
	/* fails if the transfer left something */
	return rmdir(dir);
}

static int on_cpr(void *context, struct lu_error *e)
{
	cpr_first = lu_transfer_cpr(t) && kept[LU_TRANSFER_LISTEN] < 0;
	return 0;
}

static void keep(void *context, enum lu_transfer_fd which, int fd)
{
	assert_true(kept[which] < 0);
	kept[which] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static void begin(pid_t pid)
{
	static const struct lu_transfer_keeper keeper = { .cpr = on_cpr, .keep = keep };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	for (int i = 0; i < LU_TRANSFER_FDS; i++)
		kept[i] = -EBADF;

	state_fd = open(state_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	expect(lu_transfer_new(&t, ev, sub, getuid(), getgid(), pid, state_fd, &keeper, &e) == 0, "%s", e.what);
}

static int dial(const char *name)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s", sub, name);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static void turn(void)
{
	while (sd_event_run(ev, 50000) > 0)
		;
}

static void send_cpr(int conn, int fd, size_t cut)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (char[]){ 0x20 }, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};

	control.h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
				      .cmsg_level = SOL_SOCKET,
				      .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.h), &fd, sizeof(fd));
	assert_int_equal(write(conn, head, sizeof(head)), sizeof(head));
	assert_int_equal(sendmsg(conn, &m, MSG_NOSIGNAL), 1);
	assert_int_equal(write(conn, tail, sizeof(tail) - cut), sizeof(tail) - cut);
	close(conn);
}

static void test_whole(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int fd = eventfd(5, EFD_CLOEXEC), conn;
	struct json_object *args;
	uint64_t count = 0;
	char buf[16] = "";

	begin(getpid());
	args = lu_transfer_args(t);
	assert_non_null(strstr(
		json_object_to_json_string_ext(args, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), sub));
	json_object_put(args);
	assert_int_equal(lu_transfer_done(t, &e), 0);
	send_cpr(dial("cpr"), fd, 0);
	turn();
	assert_int_equal(lu_transfer_done(t, &e), 0);
	assert_int_equal(lu_transfer_cpr(t)->n_fds, 1);
	assert_string_equal(lu_transfer_cpr(t)->fds[0].name, "ram");
	assert_int_equal(lu_transfer_cpr(t)->fds[0].id, 7);
	assert_int_equal(lu_transfer_cpr(t)->devices[0].hwpt_id, 3);
	assert_int_equal(read(lu_transfer_cpr(t)->fds[0].fd, &count, 8), 8);
	assert_int_equal(count, 5);
	conn = dial("main");
	turn();
	assert_int_equal(write(conn, "state", 5), 5);
	turn();
	assert_int_equal(lu_transfer_done(t, &e), 0);
	close(conn);
	turn();
	assert_int_equal(lu_transfer_done(t, &e), 1);
	assert_int_equal(pread(state_fd, buf, sizeof(buf), 0), 5);
	assert_string_equal(buf, "state");
	close(fd);
}

static void test_broken(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int fd = eventfd(0, EFD_CLOEXEC), conn;

	begin(getpid());
	conn = dial("main");
	send_cpr(dial("cpr"), fd, 2);
	turn();
	assert_true(lu_transfer_done(t, &e) < 0);
	assert_non_null(e.what);
	/* everything is closed, so QEMU does not wait for us */
	assert_int_equal(recv(conn, (char[1]){ 0 }, 1, 0) <= 0, 1);
	close(conn);
	close(fd);
}

/* Somebody else of the same user knocks first: not let in, and QEMU still is. */
static void test_stranger(void **state)
{
	int conn;

	begin(getpid() + 1);
	conn = dial("cpr");
	turn();
	assert_int_equal(recv(conn, (char[1]){ 0 }, 1, 0), 0);
	close(conn);
	assert_int_equal(lu_transfer_done(t, NULL), 0);
	conn = dial("cpr");
	close(conn);
}

/*
 * The receiver dies after each number of events, and another one goes on with what was kept: nothing is lost, nothing comes twice. What QEMU
 * sends is longer than a pipe and shorter than a socket, so it is done long before.
 */
static void test_dies(void **state)
{
	static char sent[150000], got[sizeof(sent) + 1];
	bool ended = false;

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (char)(i * 2654435761u >> 24);
	for (unsigned int events = 0; !ended; events++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		int fd = eventfd(0, EFD_CLOEXEC), conn, size = 1 << 20;

		begin(getpid());
		send_cpr(dial("cpr"), fd, 0);
		turn();
		assert_true(cpr_first);
		conn = dial("main");
		assert_int_equal(setsockopt(conn, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
		assert_int_equal(send(conn, sent, sizeof(sent), MSG_DONTWAIT), sizeof(sent));
		close(conn);
		for (unsigned int i = 0; i < events; i++)
			ended |= sd_event_run(ev, 0) == 0;
		/* some of it was on its way through the pipe when it died */
		if (events == 2) {
			assert_int_equal(splice(kept[LU_TRANSFER_MAIN], NULL, kept[LU_TRANSFER_IN], NULL, 65536, 0),
					 65536);
			assert_int_equal(splice(kept[LU_TRANSFER_OUT], NULL, kept[LU_TRANSFER_STATE], NULL, 1000, 0),
					 1000);
		}
		lu_transfer_free(t);
		t = NULL;
		assert_int_equal(mkdir(sub, 0700), 0);
		expect(lu_transfer_resume(&t, ev, sub, getpid(), kept, &e) == 0, "%s", e.what);
		turn();
		expect(lu_transfer_done(t, &e) == 1, "after %u events: %s", events, e.what ?: "not done");
		assert_int_equal(pread(state_fd, got, sizeof(got), 0), sizeof(sent));
		assert_memory_equal(got, sent, sizeof(sent));
		lu_transfer_free(t);
		t = NULL;
		close(state_fd);
		close(fd);
	}
	begin(getpid());
}

/* What was kept is not enough: refused, and it stays the caller's. */
static void test_not_enough(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int fd = eventfd(0, EFD_CLOEXEC);

	begin(getpid());
	assert_true(lu_transfer_resume(&t, ev, sub, getpid(), kept, &e) < 0);
	assert_non_null(e.what);
	close(fd);
}

/* 1 if a process of this user gets in */
static int gets_in(uid_t uid, const char *name)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int status = -1;
	pid_t pid;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s", sub, name);
	pid = fork();
	if (pid == 0) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		if (setgid(uid) < 0 || setuid(uid) < 0)
			_exit(2);
		_exit(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status);
}

/*
 * QEMU's user gets in and nobody else does; and he can put nothing in the place of what root works on by name, also
 * not with a directory that he prepared.
 */
static void test_directory(void **state)
{
	static const uid_t qemu = 65533, other = 65532;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	char path[128], victim[128];
	struct stat st;

	state_fd = -EBADF;
	for (int i = 0; i < LU_TRANSFER_FDS; i++)
		kept[i] = -EBADF;
	if (getuid() != 0) {
		print_message("only root can give sockets away: not tested\n");
		skip();
	}
	assert_int_equal(chmod(dir, 0711), 0);
	snprintf(victim, sizeof(victim), "%s/victim", dir);
	state_fd = open(victim, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	for (int prepared = 0; prepared < 2; prepared++) {
		if (prepared) {
			assert_int_equal(mkdir(sub, 0777), 0);
			assert_int_equal(chown(sub, qemu, qemu), 0);
			snprintf(path, sizeof(path), "%s/cpr", sub);
			assert_int_equal(symlink(victim, path), 0);
		}
		expect(lu_transfer_new(&t, ev, sub, qemu, qemu, 0, state_fd, NULL, &e) == 0, "%s", e.what);
		assert_int_equal(lstat(sub, &st), 0);
		expect(st.st_uid == 0 && (st.st_mode & 07777) == 0711, "directory: uid %d, mode %o", (int)st.st_uid,
		       st.st_mode & 07777);
		for (const char **name = (const char *[]){ "cpr", "main", NULL }; *name; name++) {
			snprintf(path, sizeof(path), "%s/%s", sub, *name);
			assert_int_equal(lstat(path, &st), 0);
			expect(S_ISSOCK(st.st_mode) && st.st_uid == qemu && (st.st_mode & 07777) == 0600,
			       "%s: uid %d, mode %o", *name, (int)st.st_uid, st.st_mode);
			assert_int_equal(gets_in(other, *name), 0);
			assert_int_equal(gets_in(qemu, *name), 1);
		}
		assert_int_equal(stat(victim, &st), 0);
		assert_int_equal(st.st_uid, 0);
		lu_transfer_free(t);
		t = NULL;
	}
	/* a link in the place of the directory is no directory */
	assert_int_equal(symlink(dir, sub), 0);
	assert_true(lu_transfer_new(&t, ev, sub, qemu, qemu, 0, state_fd, NULL, &e) < 0);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_uid, 0);
	unlink(sub);
	unlink(victim);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = { T(test_whole), T(test_broken),     T(test_stranger),
						   T(test_dies),  T(test_not_enough), T(test_directory) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
