// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a unit is held to, from systemd's properties into a document and into the properties of a scope: the other end
 * of the bus is a child that plays systemd. The schema's examples against the C decoder.
 */
#include "test.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "unit-limits.h"

static const char *examples;

static int unit_of_pid(sd_bus_message *m)
{
	return sd_bus_reply_method_return(m, "o", "/org/freedesktop/systemd1/unit/web");
}

/* As systemd tells them: those that are set, defaults, and some that nobody asked for. */
static int all_properties(sd_bus_message *m)
{
	static const uint8_t cpus[] = { 0x0b, 0x80 }; /* 0,1,3,15 */
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

	assert_true(sd_bus_message_new_method_return(m, &reply) >= 0);
	assert_true(sd_bus_message_open_container(reply, 'a', "{sv}") >= 0);
	assert_true(sd_bus_message_append(reply, "{sv}", "MemoryMax", "t", UINT64_C(300) << 20) >= 0);
	assert_true(sd_bus_message_append(reply, "{sv}", "MemoryHigh", "t", UINT64_MAX) >= 0);
	assert_true(sd_bus_message_append(reply, "{sv}", "MemoryLow", "t", UINT64_C(0)) >= 0);
	assert_true(sd_bus_message_append(reply, "{sv}", "CPUWeight", "t", UINT64_C(250)) >= 0);
	assert_true(sd_bus_message_append(reply, "{sv}", "TasksMax", "t", UINT64_MAX) >= 0);
	assert_true(sd_bus_message_append(reply, "{sv}", "ExecMainPID", "u", 7) >= 0);
	assert_true(sd_bus_message_append(reply, "{sv}", "DevicePolicy", "s", "closed") >= 0);
	assert_true(sd_bus_message_append(reply, "{sv}", "OOMPolicy", "s", "continue") >= 0);
	assert_true(sd_bus_message_append(reply, "{sv}", "Slice", "s", "system.slice") >= 0);
	assert_true(sd_bus_message_append(reply, "{sv}", "DeviceAllow", "a(ss)", 2, "/dev/kvm", "rw", "char-rtc",
					  "r") >= 0);
	assert_true(sd_bus_message_append(reply, "{sv}", "IOReadBandwidthMax", "a(st)", 1, "/dev/vda",
					  UINT64_C(1000000)) >= 0);
	assert_true(sd_bus_message_append(reply, "{sv}", "IOWriteBandwidthMax", "a(st)", 0) >= 0);
	assert_true(sd_bus_message_append(reply, "{sv}", "IPAddressDeny", "a(iayu)", 1, 2, 4, 10, 0, 0, 0, 8) >= 0);
	assert_true(sd_bus_message_append(reply, "{sv}", "IPAddressAllow", "a(iayu)", 0) >= 0);
	assert_true(sd_bus_message_append(reply, "{sv}", "RestrictNetworkInterfaces", "(bas)", true, 1, "eth0") >= 0);
	assert_true(sd_bus_message_append(reply, "{sv}", "IPIngressFilterPath", "as", 0) >= 0);
	assert_true(sd_bus_message_open_container(reply, 'e', "sv") >= 0);
	assert_true(sd_bus_message_append(reply, "s", "AllowedCPUs") >= 0);
	assert_true(sd_bus_message_open_container(reply, 'v', "ay") >= 0);
	assert_true(sd_bus_message_append_array(reply, 'y', cpus, sizeof(cpus)) >= 0);
	assert_true(sd_bus_message_close_container(reply) >= 0);
	assert_true(sd_bus_message_close_container(reply) >= 0);
	assert_true(sd_bus_message_close_container(reply) >= 0);
	return sd_bus_send(NULL, reply, NULL);
}

static int serve(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	if (sd_bus_message_is_method_call(m, NULL, "GetUnitByPID"))
		return unit_of_pid(m);
	if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "GetAll"))
		return all_properties(m);
	if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "Get"))
		return sd_bus_reply_method_return(m, "v", "s", "luctl-vm@web.service");
	return 0;
}

static sd_bus *connect_to_systemd(pid_t *ret_pid)
{
	sd_bus *bus = NULL;
	sd_id128_t id;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	*ret_pid = fork();
	if (*ret_pid == 0) {
		close(pair[1]);
		if (sd_id128_randomize(&id) < 0 || sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, pair[0], pair[0]) < 0 ||
		    sd_bus_set_server(bus, 1, id) < 0 || sd_bus_start(bus) < 0 ||
		    sd_bus_add_filter(bus, NULL, serve, NULL) < 0)
			_exit(1);
		for (int r;;) {
			r = sd_bus_process(bus, NULL);
			if (r < 0 || (r == 0 && sd_bus_wait(bus, UINT64_MAX) < 0))
				_exit(0);
		}
	}
	close(pair[0]);
	assert_true(sd_bus_new(&bus) >= 0);
	assert_true(sd_bus_set_fd(bus, pair[1], pair[1]) >= 0);
	assert_true(sd_bus_start(bus) >= 0);
	return bus;
}

static const struct lu_limit *find(const struct lu_limits *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->list[i].name, name))
			return &l->list[i];
	return NULL;
}

static void words(const struct lu_limits *l, const char *name, const char *const *want)
{
	const struct lu_limit *one = find(l, name);
	size_t i;

	expect(one && one->words, "%s", name);
	for (i = 0; want[i]; i++)
		assert_string_equal(one->words[i], want[i]);
	assert_null(one->words[i]);
}
#define WORDS(_l, _name, ...) words(_l, _name, (const char *const[]){ __VA_ARGS__, NULL })

static void judge(const struct lu_limits *l)
{
	assert_string_equal(l->unit, "luctl-vm@web.service");
	assert_int_equal(l->n, 8);
	assert_true(find(l, "MemoryMax")->number == UINT64_C(300) << 20);
	assert_int_equal(find(l, "CPUWeight")->number, 250);
	assert_true(find(l, "TasksMax")->number == UINT64_MAX);
	WORDS(l, "DevicePolicy", "closed");
	WORDS(l, "AllowedCPUs", "0-1,3,15");
	WORDS(l, "DeviceAllow", "/dev/kvm", "rw", "char-rtc", "r");
	WORDS(l, "IOReadBandwidthMax", "/dev/vda", "1000000");
}

/* What is sent to systemd: each property with the type that it has there. */
static void judge_sent(sd_bus *bus, const struct lu_limits *l)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	const char *name, *contents, *device, *allowed;
	const void *mask;
	size_t size, n = 0;
	uint64_t number;
	char type;

	assert_true(sd_bus_message_new_signal(bus, &m, "/a", "a.b", "C") >= 0);
	assert_true(sd_bus_message_open_container(m, 'a', "(sv)") >= 0);
	assert_int_equal(lu_limits_append(l, m) < 0, 0);
	assert_true(sd_bus_message_close_container(m) >= 0);
	assert_true(sd_bus_message_seal(m, 1, 0) >= 0);
	assert_true(sd_bus_message_rewind(m, true) >= 0);
	assert_true(sd_bus_message_enter_container(m, 'a', "(sv)") >= 0);
	while (sd_bus_message_enter_container(m, 'r', "sv") > 0) {
		assert_true(sd_bus_message_read(m, "s", &name) >= 0);
		assert_true(sd_bus_message_peek_type(m, &type, &contents) >= 0);
		if (!strcmp(name, "MemoryMax")) {
			assert_true(sd_bus_message_read(m, "v", "t", &number) >= 0);
			assert_true(number == UINT64_C(300) << 20);
		} else if (!strcmp(name, "AllowedCPUs")) {
			assert_true(sd_bus_message_enter_container(m, 'v', "ay") >= 0);
			assert_true(sd_bus_message_read_array(m, 'y', &mask, &size) >= 0);
			assert_int_equal(size, 2);
			assert_memory_equal(mask, "\x0b\x80", 2);
			assert_true(sd_bus_message_exit_container(m) >= 0);
		} else if (!strcmp(name, "DeviceAllow")) {
			assert_true(sd_bus_message_read(m, "v", "a(ss)", 2, &device, &allowed, &device, &allowed) >= 0);
			assert_string_equal(device, "char-rtc");
		} else if (!strcmp(name, "IOReadBandwidthMax")) {
			assert_true(sd_bus_message_read(m, "v", "a(st)", 1, &device, &number) >= 0);
			assert_int_equal(number, 1000000);
		} else {
			assert_true(sd_bus_message_skip(m, "v") >= 0);
		}
		assert_true(sd_bus_message_exit_container(m) >= 0);
		n++;
	}
	assert_int_equal(n, l->n);
}

static void what_is_set_is_kept(void **state)
{
	_cleanup_(lu_limits_clear) struct lu_limits l = { 0 }, copy = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	char dir[64], **lost = NULL, command[80];
	_cleanup_close_ int fd = -EBADF;
	pid_t pid;
	sd_bus *bus = connect_to_systemd(&pid);

	expect(lu_limits_ask(bus, 1, 10000000, &l, &lost, &e) == 0, "%s", e.what);
	judge(&l);
	assert_string_equal(lost[0], "IPAddressDeny");
	assert_string_equal(lost[1], "RestrictNetworkInterfaces");
	assert_null(lost[2]);
	for (char **p = lost; *p; p++)
		free(*p);
	free(lost);
	judge_sent(bus, &l);
	assert_non_null(test_mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	expect(lu_limits_write(fd, &l, &e) == 0, "%s", e.what);
	lu_limits_clear(&l);
	expect(lu_limits_read(fd, &l, &e) == 0, "%s", e.what);
	assert_int_equal(lu_limits_copy(&l, &copy), 0);
	judge(&copy);
	assert_true(lu_limits_soften(&copy));
	assert_int_equal(copy.n, 7);
	assert_null(find(&copy, "OOMPolicy"));
	assert_non_null(find(&copy, "MemoryMax"));
	assert_false(lu_limits_soften(&copy));
	sd_bus_close_unref(bus);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
	lu_limits_clear(&copy);
	assert_int_equal(lu_limits_read(AT_FDCWD, &copy, &e), -ENOENT);
}

static void examples_of_the_schema(void **state)
{
	DIR *dir = opendir(examples);
	struct dirent *d;
	size_t n = 0;

	assert_non_null(dir);
	while ((d = readdir(dir))) {
		_cleanup_(lu_limits_clear) struct lu_limits l = { 0 };
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		bool valid = !strncmp(d->d_name, "valid-", 6);
		char at[64], path[600], command[700];
		_cleanup_close_ int fd = -EBADF;

		if (d->d_name[0] == '.')
			continue;
		assert_non_null(test_mkdtemp(at));
		snprintf(path, sizeof(path), "%s/%s", examples, d->d_name);
		snprintf(command, sizeof(command), "cp %s %s/limits.json", path, at);
		assert_int_equal(system(command), 0);
		fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		expect((lu_limits_read(fd, &l, &e) == 0) == valid, "%s: %s", d->d_name, e.what);
		snprintf(command, sizeof(command), "rm -rf %s", at);
		assert_int_equal(system(command), 0);
		n++;
	}
	closedir(dir);
	assert_true(n > 5);
}

static void free_words(char **words)
{
	for (char **p = words; p && *p; p++)
		free(*p);
	free(words);
}

/* A disk goes by what it is, for vda may be another one in the next kernel; a file and what is no disk stay as they are. */
static void disks_by_name(void **state)
{
	static const char text[] =
		"{\"version\": 1, \"unit\": \"u.service\", \"limits\": ["
		"{\"name\": \"IOReadBandwidthMax\", \"words\": [\"/dev/vda\", \"1\", \"/dev/loop0\", \"2\", "
		"\"/var/disk.img\", \"3\"]}, {\"name\": \"IOWeight\", \"number\": 5}, "
		"{\"name\": \"IOWriteIOPSMax\", \"words\": [\"/dev/loop0\", \"2\"]}, "
		"{\"name\": \"DeviceAllow\", \"words\": [\"/dev/kvm\", \"rw\", \"/dev/by-hand\", \"r\"]}]}";
	_cleanup_(lu_limits_clear) struct lu_limits l = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_close_ int root = -EBADF;
	char dir[64], command[300], **lost = NULL;

	assert_non_null(test_mkdtemp(dir));
	snprintf(
		command, sizeof(command),
		"cd %s && mkdir -p dev/disk/by-id sys/class/block/vda sys/class/block/loop0 && echo 254:0 >sys/class/block/vda/dev && "
		"echo 7:0 >sys/class/block/loop0/dev && ln -s ../../vda dev/disk/by-id/virtio-1 && ln -s vda dev/by-hand",
		dir);
	assert_int_equal(system(command), 0);
	root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(lu_write_file(root, "limits.json", text, sizeof(text) - 1, 0600), 0);
	expect(lu_limits_read(root, &l, &e) == 0, "%s", e.what);
	assert_int_equal(lu_limits_name_disks(root, &l, &lost), 0);
	WORDS(&l, "IOReadBandwidthMax", "/dev/disk/by-id/virtio-1", "1", "/var/disk.img", "3");
	WORDS(&l, "DeviceAllow", "/dev/kvm", "rw", "/dev/disk/by-id/virtio-1", "r");
	assert_int_equal(find(&l, "IOWeight")->number, 5);
	assert_null(find(&l, "IOWriteIOPSMax"));
	assert_string_equal(lost[0], "IOReadBandwidthMax=/dev/loop0");
	assert_string_equal(lost[1], "IOWriteIOPSMax=/dev/loop0");
	assert_null(lost[2]);
	free_words(lost);
	lost = NULL;
	assert_int_equal(lu_limits_find_disks(root, &l, &lost), 0);
	assert_null(lost);
	snprintf(command, sizeof(command), "rm %s/dev/disk/by-id/virtio-1", dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(lu_limits_find_disks(root, &l, &lost), 0);
	WORDS(&l, "IOReadBandwidthMax", "/var/disk.img", "3");
	WORDS(&l, "DeviceAllow", "/dev/kvm", "rw");
	assert_string_equal(lost[0], "IOReadBandwidthMax=/dev/disk/by-id/virtio-1");
	assert_string_equal(lost[1], "DeviceAllow=/dev/disk/by-id/virtio-1");
	free_words(lost);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_set_is_kept),
		cmocka_unit_test(disks_by_name),
		cmocka_unit_test(examples_of_the_schema),
	};

	examples = argc > 1 ? argv[1] : "schemas/examples/limits";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
