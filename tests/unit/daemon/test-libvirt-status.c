// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Status files of libvirt: what is read from recorded ones (libvirt 11.3), what is refused by them, and that nothing
 * but the process and the terminals is changed when one is rewritten.
 *
 *	test-libvirt-status FOLDER
 */
#include <string.h>

#include "test.h"

#include "status.h"

static const char *folder;

static char *load(const char *name, size_t *ret_size)
{
	char path[512], *text = NULL;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_int_equal(lu_read_file(AT_FDCWD, path, LU_STATUS_MAX, &text, ret_size), 0);
	return text;
}

static void test_read(void **state)
{
	_cleanup_(lu_vm_domain_clear) struct lu_vm_domain d = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *dir = NULL, *text = NULL;
	size_t size, n = 0;

	text = load("red.xml", &size);
	expect(lu_status_read(text, size, "red.xml", &d, &e) == 0, "%s", e.what);
	assert_string_equal(d.name, "red");
	assert_string_equal(d.uuid, "11111111-2222-3333-4444-555555555501");
	assert_string_equal(d.monitor, "/var/lib/libvirt/qemu/domain-1-red/monitor.sock");
	assert_string_equal(d.agent, "/run/libvirt/qemu/channel/1-red/org.qemu.guest_agent.0");
	assert_int_equal(d.pid, 209);
	assert_true(d.running);
	expect(!lu_reasons_any(&d.reasons), "%s", d.reasons.n ? d.reasons.list[0].what : "");
	while (d.devices[n])
		n++;
	assert_int_equal(n, 7);
	assert_int_equal(d.n_disks, 1);
	assert_string_equal(d.disks[0].alias, "virtio-disk0");
	assert_string_equal(d.disks[0].nodes[0], "libvirt-1-storage");
	assert_null(d.disks[0].nodes[1]);
	assert_int_equal(lu_status_memory_dir(text, size, &dir), 0);
	assert_string_equal(dir, "/run/luctl/pkernfs/libvirt/qemu/1-red");
}

/* Replaces a piece of the recorded file. */
static char *changed(const char *from, const char *to, size_t *ret_size)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	char *p, *out;

	text = load("red.xml", &size);
	p = strstr(text, from);
	assert_non_null(p);
	assert_true(asprintf(&out, "%.*s%s%s", (int)(p - text), text, to, p + strlen(from)) > 0);
	*ret_size = strlen(out);
	return out;
}

static void read_changed(const char *from, const char *to, struct lu_vm_domain *ret)
{
	_cleanup_free_ char *text = NULL;
	size_t size;

	text = changed(from, to, &size);
	assert_int_equal(lu_status_read(text, size, "red.xml", ret, NULL), 0);
}

/* What the domain's metadata say in our namespace, and in no other. */
static void test_policy(void **state)
{
	static const struct {
		const char *metadata;
		int policy;
		const char *word; /* of a reason; NULL: none */
	} cases[] = {
		{ "", LU_VM_REQUIRED, NULL },
		{ "<metadata><luctl:update xmlns:luctl='urn:luctl:1' policy='best-effort'/></metadata>",
		  LU_VM_BEST_EFFORT, NULL },
		{ "<metadata><x:update xmlns:x='urn:luctl:1' policy='excluded'/></metadata>", LU_VM_EXCLUDED, NULL },
		{ "<metadata><update policy='excluded'/></metadata>", LU_VM_REQUIRED, NULL },
		{ "<metadata><luctl:update xmlns:luctl='urn:other' policy='excluded'/></metadata>", LU_VM_REQUIRED,
		  NULL },
		{ "<metadata><luctl:update xmlns:luctl='urn:luctl:1' policy='maybe'/></metadata>", LU_VM_REQUIRED,
		  "\"maybe\", is none" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(lu_vm_domain_clear) struct lu_vm_domain d = { 0 };
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		_cleanup_free_ char *text = NULL, *to = NULL;
		size_t size;

		assert_true(asprintf(&to, "%s<os>", cases[i].metadata) > 0);
		text = changed("<os>", to, &size);
		expect(lu_status_read(text, size, "red.xml", &d, &e) == 0, "%zu: %s", i, e.what);
		expect(d.policy == cases[i].policy, "%zu: %d", i, d.policy);
		expect(lu_reasons_any(&d.reasons) == !!cases[i].word, "%zu", i);
		expect(!cases[i].word || strstr(d.reasons.list[0].what, cases[i].word), "%zu: %s", i,
		       d.reasons.list[0].what);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *from, *to, *word;
	} cases[] = {
		{ "<rememberOwner/>", "<job type='none' async='migration out' phase='perform3'/>", "migration out" },
		{ "<rememberOwner/>", "<job type='modify' async='none'/>", NULL },
		{ "<blockjobs active='no'/>", "<blockjobs active='yes'/>", "block job" },
		{ "<audio id='1'", "<tpm model='tpm-crb'><backend type='emulator'/></tpm><audio id='1'", "swtpm" },
		{ "<audio id='1'", "<hostdev mode='subsystem' type='pci'/><audio id='1'", "legacy" },
		{ "<audio id='1'",
		  "<hostdev mode='subsystem' type='pci'><driver name='vfio' iommufd='yes'/></hostdev><audio id='1'",
		  NULL },
		{ "    </devices>",
		  "    </devices><seclabel type='dynamic' model='selinux'><label>svirt_t</label></seclabel>",
		  "SELinux" },
		{ "    </devices>", "    </devices><seclabel type='none' model='selinux'/>", NULL },
		/* its rules travel with it */
		{ "    </devices>",
		  "    </devices><seclabel type='dynamic' model='apparmor'><label>libvirt-x</label></seclabel>", NULL },
		{ "<audio id='1'", "<interface type='direct'/><audio id='1'", "macvtap" },
		{ "<audio id='1'", "<interface type='bridge'><bandwidth/></interface><audio id='1'", "bandwidth" },
		{ "<audio id='1'", "<interface type='network'><source network='no-such'/></interface><audio id='1'",
		  "no-such" },
		{ "<audio id='1'", "<interface type='bridge'><source bridge='br0'/></interface><audio id='1'", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(lu_vm_domain_clear) struct lu_vm_domain d = { 0 };

		read_changed(cases[i].from, cases[i].to, &d);
		expect(lu_reasons_any(&d.reasons) == (cases[i].word != NULL), "%s: %zu reasons", cases[i].to,
		       d.reasons.n);
		if (cases[i].word)
			expect(strstr(d.reasons.list[0].what, cases[i].word), "%s: %s", cases[i].to,
			       d.reasons.list[0].what);
		/* only a container may turn out to be iommufd */
		lu_reasons_here(&d.reasons);
		expect(lu_reasons_any(&d.reasons) == (cases[i].word && strcmp(cases[i].word, "legacy") != 0),
		       "%s: %zu reasons are left", cases[i].to, d.reasons.n);
	}
}

/* What libvirt says to QEMU once and never again is told. */
static void test_losses(void **state)
{
	static const struct {
		const char *from, *to, *word;
	} cases[] = {
		{ "<audio id='1'", "<memballoon model='virtio'><stats period='10'/></memballoon><audio id='1'",
		  "statistics" },
		{ "<audio id='1'", "<memballoon model='virtio'/><audio id='1'", NULL },
		{ "<on_reboot>restart</on_reboot>", "<on_reboot>destroy</on_reboot>", "reboots" },
		{ "<rememberOwner/>", "<rememberOwner/>", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(lu_vm_domain_clear) struct lu_vm_domain d = { 0 };

		read_changed(cases[i].from, cases[i].to, &d);
		assert_int_equal(d.losses.n, cases[i].word != NULL);
		expect(!cases[i].word || strstr(d.losses.list[0].what, cases[i].word), "%s: %s", cases[i].to,
		       d.losses.list[0].what);
	}
}

static void test_no_status(void **state)
{
	static const char *const texts[] = {
		"",
		"no XML",
		"<domain/>",
		"<domstatus state='running' pid='0'/>",
		"<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><domstatus state='running' pid='1'>"
		"<monitor path='/m' type='unix'/><domain><name>&x;</name><uuid>x</uuid></domain></domstatus>",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		struct lu_vm_domain d = { 0 };

		expect(lu_status_read(texts[i], strlen(texts[i]), "f.xml", &d, &e) == -EBADMSG, "%s", texts[i]);
		assert_non_null(strstr(e.what, "f.xml"));
	}
}

/* Lines that differ, of two texts that have as many. */
static size_t differing(const char *a, const char *b)
{
	size_t n = 0;

	while (*a && *b) {
		size_t x = strcspn(a, "\n"), y = strcspn(b, "\n");

		n += x != y || strncmp(a, b, x) != 0;
		a += x + (a[x] != '\0');
		b += y + (b[y] != '\0');
	}
	assert_int_equal(*a, *b);
	return n;
}

static void test_rewrite(void **state)
{
	const struct lu_status_pty ptys[] = { { (char *)"serial0", (char *)"/dev/pts/7" },
					      { (char *)"serial9", (char *)"/dev/pts/8" } };
	_cleanup_free_ char *text = NULL, *same = NULL, *out = NULL;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	size_t size, n;

	/* libxml2's own way of writing, against which the second is compared */
	text = load("console.xml", &size);
	assert_int_equal(lu_status_rewrite(text, size, "f", 4711, NULL, 0, &same, &n, &e), 0);
	expect(lu_status_rewrite(text, size, "f", 815, ptys, 2, &out, &n, &e) == 0, "%s", e.what);
	assert_int_equal(n, strlen(out));
	assert_non_null(strstr(out, "pid=\"815\""));
	assert_null(strstr(out, "/dev/pts/0"));
	assert_null(strstr(out, "/dev/pts/8"));
	/* the process; of serial0 its <source>; of the <console> that is the same, tty and <source> */
	assert_int_equal(differing(same, out), 4);
	assert_int_equal(lu_status_rewrite("<domain/>", 9, "f", 1, NULL, 0, &out, &n, &e), -EBADMSG);
}

static void test_uuid(void **state)
{
	static const char domain[] = "<domain type='kvm'><uuid>11111111-2222-3333-4444-555555555501</uuid></domain>";
	char *uuid = NULL;

	assert_int_equal(lu_status_uuid(domain, strlen(domain), &uuid), 0);
	assert_string_equal(uuid, "11111111-2222-3333-4444-555555555501");
	free(uuid);
	assert_int_equal(lu_status_uuid("<domain/>", 9, &uuid), -EBADMSG);
	assert_int_equal(lu_status_uuid("<domain><uuid>../../x</uuid></domain>", 37, &uuid), -EBADMSG);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),   cmocka_unit_test(test_policy),    cmocka_unit_test(test_refused),
		cmocka_unit_test(test_losses), cmocka_unit_test(test_no_status), cmocka_unit_test(test_rewrite),
		cmocka_unit_test(test_uuid),
	};

	if (argc < 2)
		return 2;
	folder = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
