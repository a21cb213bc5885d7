// SPDX-License-Identifier: GPL-2.0-or-later
/* QEMU's command line: what of it starts the next one, what is refused, what makes a VM late. */
#include "test.h"

#include "argv.h"
#include "launch.h"

/* A compound literal in a table that is not static: it lives as long as the function. */
#define ARGV(...) ((char **)(const char *[]){ __VA_ARGS__, NULL })

static char *joined(char *const *argv)
{
	static char text[4096];

	text[0] = '\0';
	for (; *argv; argv++) {
		strcat(text, *argv);
		strcat(text, argv[1] ? " " : "");
	}
	return text;
}

static void test_restorable(void **state)
{
	const struct {
		char **in;
		const char *out;
	} cases[] = {
		{ ARGV("q"), "q" },
		{ ARGV("q", "-m", "64", "-daemonize", "disk.img"), "q -m 64 disk.img" },
		{ ARGV("q", "-incoming", "defer", "-incoming", "tcp:0:1", "-S"), "q -S" },
		{ ARGV("q", "--incoming", "defer", "-name", "-incoming"), "q -name -incoming" },
		{ ARGV("q", "-append", "-daemonize", "-S", "-loadvm", "x"), "q -append -daemonize -S" },
		{ ARGV("q", "-add-fd", "fd=3,set=1819632756,opaque=luctl-state", "-add-fd", "fd=5,set=1"),
		  "q -add-fd fd=5,set=1" },
		{ ARGV("q", "-nographic", "-incoming"), "q -nographic" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(lu_argv_freep) char **out = NULL;

		assert_int_equal(lu_argv_restorable(cases[i].in, &out), 0);
		assert_string_equal(joined(out), cases[i].out);
	}
}

static void test_romsize(void **state)
{
	const struct {
		char **in;
		size_t index;
		const char *out;
	} cases[] = {
		{ ARGV("q", "-device", "e1000,id=a"), 1, "q -device e1000,id=a,romsize=65536" },
		{ ARGV("q", "-S", "-device", "{\"driver\": \"e1000\"}"), 2,
		  "q -S -device {\"driver\":\"e1000\",\"romsize\":65536}" },
		{ ARGV("q", "-device", "e1000,romsize=4096"), 1, "q -device e1000,romsize=4096" },
		{ ARGV("q", "-device", "{\"driver\": \"e1000\", \"romsize\": 4096}"), 1,
		  "q -device {\"driver\": \"e1000\", \"romsize\": 4096}" },
		{ ARGV("q", "-device", "{broken"), 1, "q -device {broken" },
		{ ARGV("q", "-nic", "user"), 0, "q -nic user -global VGA.romsize=65536" },
		{ ARGV("q", "-global", "VGA.romsize=65536"), 0, "q -global VGA.romsize=65536" },
		{ ARGV("q", "-global", "VGA.romsize=4096"), 0, "q -global VGA.romsize=4096 -global VGA.romsize=65536" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(lu_argv_freep) char **argv = NULL;

		assert_int_equal(lu_argv_restorable(cases[i].in, &argv), 0);
		/* twice: the line does not grow */
		for (int k = 0; k < 2; k++)
			assert_int_equal(lu_argv_set_romsize(&argv, cases[i].index, "VGA", 65536), 0);
		assert_string_equal(joined(argv), cases[i].out);
	}
}

static void test_property(void **state)
{
	static const struct {
		const char *value, *key, *want;
	} cases[] = {
		{ "tap,id=n0,fd=7", "fd", "7" },
		{ "tap,id=n0,fd=7", "f", NULL },
		{ "tap,fdx=1,fd=7", "fd", "7" },
		{ "file,path=/a,,b,id=x", "path", "/a,b" },
		{ "x=1,,fd=2", "fd", NULL },
		{ "fd=", "fd", "" },
		{ "{\"qom-type\": \"iommufd\", \"fd\": \"9\"}", "fd", "9" },
		{ "{\"a\": 1}", "fd", NULL },
		{ "{broken", "fd", NULL },
		{ "", "fd", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *v = NULL;
		int r = lu_argv_property(cases[i].value, cases[i].key, &v);

		expect(r == (cases[i].want != NULL), "%s: %d", cases[i].value, r);
		if (r)
			assert_string_equal(v, cases[i].want);
	}
}

static void test_check(void **state)
{
	const struct {
		char **argv;
		const char *word; /* NULL: fine */
	} cases[] = {
		{ ARGV("q", "-netdev", "tap,id=n0,ifname=tap0,script=no"), NULL },
		{ ARGV("q", "-add-fd", "fd=5,set=2"), "inherited" },
		{ ARGV("q", "-add-fd", "fd=3,set=1819632756,opaque=luctl-state", "-incoming", "defer"), NULL },
		{ ARGV("q", "-snapshot"), "temporary" },
		{ ARGV("q", "-append", "-snapshot"), NULL },
		{ ARGV("q", "-drive", "file=/x,snapshot=on"), "snapshot=on" },
		{ ARGV("q", "-global", "migration.multifd=on"), "set to migrate" },
		{ ARGV("q", "-global", "driver=migration,property=multifd,value=on"), "set to migrate" },
		{ ARGV("q", "-global", "kvm-pit.lost_tick_policy=discard"), NULL },
		{ ARGV("q", "-drive", "snapshot,file=/x"), "temporary file" },
		{ ARGV("q", "-drive", "file=snapshot,snapshot=off"), NULL },
		{ ARGV("q", "-run-with", "user=nobody"), "user" },
		{ ARGV("q", "-runas", "nobody"), "user" },
		{ ARGV("q", "-device", "virtio-net-pci,netdev=n0"), NULL },
		{ ARGV("q", "-netdev", "vhost-vdpa,id=n0,vhostdev=/dev/vhost-vdpa-0"), "vDPA" },
		{ ARGV("q", "-blockdev", "driver=virtio-blk-vhost-vdpa,path=/dev/vhost-vdpa-0"), "vDPA" },
		{ ARGV("q", "-netdev", "{\"type\": \"vhost-user\", \"id\": \"n0\", \"chardev\": \"c\"}"),
		  "vhost-user" },
		{ ARGV("q", "-netdev", "tap,id=n0,ifname=tap0,vhost=on"), NULL },
		/* who listens needs nobody, who tries again waits for nobody */
		{ ARGV("q", "-chardev", "socket,id=c,path=/run/a,server=on,wait=off"), NULL },
		{ ARGV("q", "-chardev", "socket,id=c,path=/run/a,server,nowait"), NULL },
		{ ARGV("q", "-chardev", "socket,id=c,path=/run/a,reconnect-ms=500"), NULL },
		{ ARGV("q", "-chardev", "serial,id=c,path=/dev/ttyS1"), NULL },
		{ ARGV("q", "-chardev", "socket,id=c,path=/run/a"), "connects" },
		{ ARGV("q", "-chardev", "socket,id=server,path=/run/server"), "connects" },
		{ ARGV("q", "-chardev", "socket,id=c,host=::1,port=7,server=off,reconnect=0"), "connects" },
		{ ARGV("q", "-chardev", "socket,id=c,fd=47"), NULL },
		{ ARGV("q", "-serial", "unix:/run/a"), "connects" },
		{ ARGV("q", "-qmp", "unix:/run/a,server=on,wait=off"), NULL },
		{ ARGV("q", "-qmp", "tcp:localhost:4444,server,nowait"), NULL },
		{ ARGV("q", "-serial", "chardev:c"), NULL },
		{ ARGV("q", "-netdev", "stream,id=n0,addr.type=unix,addr.path=/run/n"), NULL },
		{ ARGV("q", "-netdev", "stream,id=n0,server=off,addr.type=unix,addr.path=/run/n"), "connects" },
		{ ARGV("q", "-netdev", "{\"type\": \"stream\", \"id\": \"n0\", \"server\": false}"), "connects" },
		{ ARGV("q", "-netdev", "socket,id=n0,connect=127.0.0.1:99"), "connects" },
		{ ARGV("q", "-netdev", "socket,id=n0,listen=:99"), NULL },
		/* what serves a TPM is looked at as a process, and started again */
		{ ARGV("q", "-chardev", "socket,id=c,path=/run/a", "-tpmdev", "emulator,id=t0,chardev=c"), NULL },
		{ ARGV("q", "-tpmdev", "emulator,id=t0,chardev=c", "-chardev", "socket,id=c,path=/run/a", "-chardev",
		       "socket,id=d,path=/run/b"),
		  "/run/b: connects" },
		/* of qemu-storage-daemon and virtiofsd; what tries again is refused as a device (PROBE) */
		{ ARGV("q", "-chardev", "socket,id=c,path=/run/blk.sock", "-device", "vhost-user-blk-pci,chardev=c"),
		  "connects" },
		{ ARGV("q", "-object", "cryptodev-vhost-user,id=k,chardev=c"), "vhost-user" },
		{ ARGV("q", "-object", "{\"qom-type\": \"cryptodev-vhost-user\", \"id\": \"k\"}"), "vhost-user" },
		{ ARGV("q", "-object", "dbus-vmstate,id=v,addr=unix:path=/run/v"), "state of other processes" },
		{ ARGV("q", "-tpmdev", "passthrough,id=t0"), NULL },
		{ ARGV("q", "-blockdev", "driver=nbd,node-name=n,server.type=unix,server.path=/run/n"), "a disk" },
		{ ARGV("q", "-blockdev",
		       "{\"driver\": \"qcow2\", \"file\": {\"driver\": \"nbd\", \"server\": {\"type\": \"unix\"}}}"),
		  "a disk" },
		{ ARGV("q", "-drive", "file=nbd:unix:/run/n,if=virtio"), "a disk" },
		{ ARGV("q", "-hda", "nbd+unix:///x?socket=/run/n"), "a disk" },
		{ ARGV("q", "-drive", "file=/srv/nbd:unix:/a,if=virtio"), NULL },
		{ ARGV("q", "-drive", "file=nbd://server/a,if=virtio"), NULL },
		{ ARGV("q", "-blockdev", "driver=file,node-name=n,filename=/a"), NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_reasons_ struct lu_reasons why = { 0 };

		assert_int_equal(lu_argv_check(cases[i].argv, &why), 0);
		expect(lu_reasons_any(&why) == (cases[i].word != NULL), "%s: %zu", joined(cases[i].argv), why.n);
		expect(!cases[i].word || strstr(why.list[0].what, cases[i].word), "%s: %s", joined(cases[i].argv),
		       why.list[0].what);
	}
}

static void test_devices(void **state)
{
	const struct {
		char **argv;
		const char *want; /* addresses, also of those refused */
		const char *word; /* NULL: fine */
	} cases[] = {
		{ ARGV("q", "-device", "virtio-net-pci,netdev=n0"), "", NULL },
		{ ARGV("q", "-device", "vfio-pci,host=00:05.0,iommufd=i0,id=h0"), "0000:00:05.0", NULL },
		{ ARGV("q", "-device", "vfio-pci,host=0001:0a:1f.7,iommufd=i0,id=h0", "-device",
		       "{\"driver\": \"vfio-pci\", \"host\": \"0000:01:00.0\", \"iommufd\": \"i0\", \"id\": \"h1\"}"),
		  "0001:0a:1f.7 0000:01:00.0", NULL },
		{ ARGV("q", "-append", "-device vfio-pci,host=1", "-name", "vfio-pci"), "", NULL },
		{ ARGV("q", "-device", "vfio-pci,host=00:05.0,id=h0"), "0000:00:05.0", "legacy container" },
		{ ARGV("q", "-device", "{\"driver\": \"vfio-pci\", \"id\": \"h0\", \"iommufd\": \"i0\"}"), "",
		  "by its address" },
		/* one that was handed in is known by what it is: test-inherited.c */
		{ ARGV("q", "-device", "vfio-pci,iommufd=i0,id=h0,fd=9"), "", NULL },
		{ ARGV("q", "-device", "vfio-pci,iommufd=i0,fd=9"), "", "without a name" },
		{ ARGV("q", "-device", "vfio-pci,host=00:05.0,iommufd=i0"), "0000:00:05.0", "without a name" },
		{ ARGV("q", "-device", "vfio-pci,host=00:05,iommufd=i0,id=h0"), "", "is none" },
		{ ARGV("q", "-device", "vfio-pci,host=00:25.0,iommufd=i0,id=h0"), "", "is none" },
		{ ARGV("q", "-device", "vfio-pci,host=00:05.0x,iommufd=i0,id=h0"), "", "is none" },
		{ ARGV("q", "-device",
		       "vfio-pci,sysfsdev=/sys/bus/mdev/devices/6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c0001,id=h0"),
		  "", "mediated" },
		{ ARGV("q", "-device", "vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:00:05.0,iommufd=i0,id=h0"), "",
		  "by its address" },
		/* one that is fine does not hide the other */
		{ ARGV("q", "-device", "vfio-pci,host=00:05.0,iommufd=i0,id=h0", "-device",
		       "vfio-pci,host=00:06.0,id=h1"),
		  "0000:00:05.0 0000:00:06.0", "legacy container" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(lu_argv_freep) char **got = NULL;
		_cleanup_reasons_ struct lu_reasons why = { 0 };

		assert_int_equal(lu_argv_devices(cases[i].argv, &got, &why), 0);
		expect(!strcmp(joined(got), cases[i].want), "case %zu: %s", i, joined(got));
		expect(why.n == (cases[i].word != NULL), "case %zu: %zu", i, why.n);
		expect(!cases[i].word || strstr(why.list[0].what, cases[i].word), "case %zu: %s", i, why.list[0].what);
	}
}

static void test_late(void **state)
{
	const struct {
		char **argv;
		bool root, late;
	} cases[] = {
		{ ARGV("q", "-netdev", "user,id=n0"), false, false },
		{ ARGV("q", "-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no"), true, false },
		{ ARGV("q", "-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no"), false, true },
		{ ARGV("q", "-netdev", "tap,id=n0"), true, true },
		{ ARGV("q", "-nic", "bridge,br=br0"), true, true },
		{ ARGV("q", "-netdev", "{\"type\": \"tap\", \"id\": \"n0\", \"script\": \"no\"}"), true, false },
		{ ARGV("q", "-drive", "file=nbd://server/a,if=virtio"), true, true },
		{ ARGV("q", "-drive", "file=rbd:pool/image,if=virtio"), true, true },
		{ ARGV("q", "-drive", "file=json:{\"driver\":\"iscsi\",,\"portal\":\"s\"},if=virtio"), true, true },
		{ ARGV("q", "-blockdev", "driver=qcow2,node-name=n,file.driver=ssh,file.path=/a"), true, true },
		{ ARGV("q", "-blockdev", "{\"driver\": \"raw\", \"file\": {\"driver\": \"https\"}}"), true, true },
		{ ARGV("q", "-blockdev", "{\"driver\": \"raw\", \"file\": {\"driver\": \"file\"}}"), true, false },
		{ ARGV("q", "-drive", "file=/srv/http:/a,if=virtio"), true, false },
		{ ARGV("q", "ssh:///a.iso"), true, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect((lu_argv_late(cases[i].argv, cases[i].root) != NULL) == cases[i].late, "%s",
		       joined(cases[i].argv));
}

/* Twice through: the words do not grow. */
static void test_argv_stable(void **state)
{
	const struct {
		char **in;
		const char *machine, *out;
	} cases[] = {
		{ ARGV("q", "-M", "q35,accel=kvm"), "pc-q35-11.1",
		  "q -M q35,accel=kvm -machine type=pc-q35-11.1 -add-fd fd=3,set=1819632756,opaque=luctl-state -incoming defer" },
		{ ARGV("q", "-machine", "pc-q35-11.1,accel=kvm"), "pc-q35-11.1",
		  "q -machine pc-q35-11.1,accel=kvm -add-fd fd=3,set=1819632756,opaque=luctl-state -incoming defer" },
		{ ARGV("q", "-machine", "pc-q35-11.1", "-machine", "accel=kvm"), "pc-q35-11.1",
		  "q -machine pc-q35-11.1 -machine accel=kvm -add-fd fd=3,set=1819632756,opaque=luctl-state -incoming defer" },
		{ ARGV("q"), NULL, "q -add-fd fd=3,set=1819632756,opaque=luctl-state -incoming defer" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct lu_launch l = { .argv = cases[i].in, .machine = (char *)cases[i].machine };
		_cleanup_(lu_argv_freep) char **one = NULL, **two = NULL;

		assert_int_equal(lu_launch_argv(&l, true, &one), 0);
		assert_string_equal(joined(one), cases[i].out);
		l.argv = one;
		assert_int_equal(lu_launch_argv(&l, true, &two), 0);
		assert_string_equal(joined(two), cases[i].out);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_restorable),  cmocka_unit_test(test_romsize), cmocka_unit_test(test_property),
		cmocka_unit_test(test_check),       cmocka_unit_test(test_devices), cmocka_unit_test(test_late),
		cmocka_unit_test(test_argv_stable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
