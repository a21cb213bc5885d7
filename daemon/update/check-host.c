// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The host's part of a check; see check-host.h.
 *
 * Whose is a virtual machine? A declared VM is known by the process behind its monitor. One that is excluded was not asked, and one that
 * did not answer is not known: then the command line tells, which names its UUID or its monitor's socket. A process that
 * names neither is nobody's, and ends with this kernel.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "calls.h"
#include "check-host.h"
#include "cmdline.h"
#include "log.h"
#include "trial-jump.h"

#define COMMAND_MAX (2u << 20) /* the kernel's limit for arguments is a quarter of the stack limit, 2 MiB */
#define PID_PREFIX "pid:"
#define SYSTEMD_CARRIES 261 /* takes the store over a kexec, by a session of /dev/liveupdate */
#define LU_INIT_SIZE_MAX (64u << 20)

static bool names(char *const *list, const char *name)
{
	for (; list && *list; list++)
		if (!strcmp(*list, name))
			return true;
	return false;
}

/* The command line as one text; NULL if the process is gone or has none */
static char *command_of(pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	char path[32];
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	if (lu_read_file(AT_FDCWD, path, COMMAND_MAX, &text, &n) < 0 || !n)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (!text[i])
			text[i] = ' ';
	return steal_ptr(text);
}

static bool is_declared(struct lu_vms *vms, pid_t pid)
{
	_cleanup_free_ char *command = NULL;

	for (struct lu_vm *vm = lu_vms_first(vms); vm; vm = lu_vm_next(vm))
		if (lu_vm_facts(vm)->pid == pid)
			return true;
	command = command_of(pid);
	for (struct lu_vm *vm = lu_vms_first(vms); command && vm; vm = lu_vm_next(vm))
		if ((lu_vm_uuid(vm) && strcasestr(command, lu_vm_uuid(vm))) ||
		    (lu_vm_qmp(vm) && strstr(command, lu_vm_qmp(vm))))
			return true;
	return false;
}

static bool is_below(pid_t pid, const char *group)
{
	_cleanup_free_ char *cgroup = NULL;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	return lu_read_file(AT_FDCWD, path, 1 << 16, &cgroup, NULL) == 0 && strstr(cgroup, group);
}

/* Some are known by their scope alone (libvirt.h): machined's names of libvirt's machines begin so. */
static bool is_domain(const struct lu_domains *domains, pid_t pid)
{

	for (size_t i = 0; i < domains->n; i++)
		if (domains->list[i].pid == pid)
			return true;
	return domains->n && is_below(pid, "/machine-qemu");
}

/* Calls @found for each stranger, until it says 1 */
static int each_stranger(struct lu_vms *vms, const struct lu_domains *domains,
			 int (*found)(const struct lu_kvm_process *p, void *userdata), void *userdata, bool *ret_cut)
{
	struct lu_kvm_processes all;
	int r = lu_kvm_processes_read(AT_FDCWD, &all);

	if (r < 0)
		return r;
	for (size_t i = 0; i < all.n && r == 0; i++)
		if (!is_domain(domains, all.list[i].pid) && !is_declared(vms, all.list[i].pid) &&
		    !is_below(all.list[i].pid, "/" LU_TRIAL_UNIT))
			r = found(&all.list[i], userdata);
	if (ret_cut)
		*ret_cut = all.cut;
	lu_kvm_processes_clear(&all);
	return r;
}

struct telling {
	char *const *excluded;
	struct lu_findings *findings;
	struct lu_kvm_process *first;
};

static bool is_excluded(char *const *excluded, pid_t pid)
{
	char name[32];

	snprintf(name, sizeof(name), PID_PREFIX "%d", (int)pid);
	return names(excluded, name);
}

static int tell(const struct lu_kvm_process *p, void *userdata)
{
	struct telling *t = userdata;
	bool excluded = is_excluded(t->excluded, p->pid);
	char object[64], hint[160];

	snprintf(object, sizeof(object), "process %d (%s)", (int)p->pid, p->name);
	snprintf(hint, sizeof(hint),
		 "declare it (luctl-vms(5)), shut it down, or leave it out by --exclude " PID_PREFIX "%d", (int)p->pid);
	lu_findings_add(t->findings, excluded ? LU_LEVEL_WARNING : LU_LEVEL_ERROR, object,
			excluded ? "shut it down before, if it shall not end as by a power cut" : hint,
			excluded ? "left out as asked: its virtual machine ends with this kernel" :
				   "has a virtual machine that nobody has declared, which would end with this kernel");
	return 0;
}

void lu_check_strangers(struct lu_vms *vms, const struct lu_domains *domains, char *const *excluded,
			struct lu_findings *findings)
{
	struct telling t = { .excluded = excluded, .findings = findings };
	bool cut = false;
	int r = each_stranger(vms, domains, tell, &t, &cut);

	if (r < 0)
		lu_findings_add(findings, LU_LEVEL_ERROR, "/proc", NULL, "virtual machines can't be looked for: %s",
				strerror(-r));
	if (cut)
		lu_findings_add(findings, LU_LEVEL_WARNING, "/proc", "mount debugfs: there the kernel lists them",
				"not all processes could be looked at; one with a virtual machine may be missing here");
}

static int take(const struct lu_kvm_process *p, void *userdata)
{
	struct telling *t = userdata;

	if (is_excluded(t->excluded, p->pid))
		return 0;
	*t->first = *p;
	return 1;
}

int lu_check_stranger(struct lu_vms *vms, const struct lu_domains *domains, char *const *excluded,
		      struct lu_kvm_process *ret)
{
	struct telling t = { .excluded = excluded, .first = ret };

	return each_stranger(vms, domains, take, &t, NULL);
}

bool lu_check_is_stranger(const char *name)
{
	size_t n = strlen(PID_PREFIX);

	return !strncmp(name, PID_PREFIX, n) && name[n] && strspn(name + n, "0123456789") == strlen(name + n);
}

void lu_check_liveupdate(struct lu_findings *findings)
{
	struct lu_kvm_process who;

	if (lu_beside_holder(AT_FDCWD, "/dev/liveupdate", &who) > 0)
		lu_findings_add(findings, LU_LEVEL_ERROR, "/dev/liveupdate",
				"stop it, or have it leave the device alone",
				"is held by process %d (%s); guests with passed-through devices need it", (int)who.pid,
				who.name);
}

void lu_check_apparmor(const char *cmdline, const char *vm, struct lu_findings *findings)
{
	_cleanup_free_ char *word = NULL;

	if (lu_cmdline_without_lsm(cmdline, "apparmor", &word) > 0)
		lu_findings_add(findings, LU_LEVEL_ERROR, "command line", "take it out of the target's command line",
				"%s: the target has no AppArmor, by which VM %s and perhaps others are confined", word,
				vm);
}

void lu_check_reader(const char *lu_init, struct lu_findings *findings)
{
	_cleanup_free_ char *program = NULL;
	size_t size;
	int r = lu_read_file(AT_FDCWD, lu_init, LU_INIT_SIZE_MAX, &program, &size);

	if (r < 0 && r != -ENOENT)
		lu_findings_add(findings, LU_LEVEL_ERROR, lu_init, NULL, "can't be read: %s", strerror(-r));
	else if (r == 0 && !lu_calls_is_reader(program, size))
		lu_findings_add(
			findings, LU_LEVEL_ERROR, lu_init,
			"install luctl completely and in one version, then systemctl restart luctld",
			"is older than this luctld and can't set passed-through devices up from what it would leave");
}

static void tell_inhibitor(const char *who, const char *why, pid_t pid, void *userdata)
{
	lu_findings_add(userdata, LU_LEVEL_ERROR, "logind", "systemd-inhibit --list shows it; let it end",
			"%s (process %d) keeps this host from being shut down: %s", who, (int)pid, why);
}

static void check_scratch(const char *initrd, const char *running, struct lu_findings *findings)
{
	struct stat st;

	if (initrd && stat(initrd, &st) == 0 && S_ISREG(st.st_mode))
		lu_beside_check_scratch(running, (uint64_t)st.st_size, findings);
}

#define STORES_TOLD 512

struct stores {
	struct lu_findings *later; /* of those that outlive their unit, until the version is known */
	char others[STORES_TOLD];  /* "a.service (2), b.service (1)" */
};

static void tell_store(const struct lu_fd_store *store, void *userdata)
{
	struct stores *s = userdata;
	size_t used = strlen(s->others);

	if (store->outlives)
		lu_findings_add(s->later, LU_LEVEL_WARNING, store->unit, NULL, "%u", store->n);
	else
		snprintf(s->others + used, sizeof(s->others) - used, "%s%s (%u)", used ? ", " : "", store->unit,
			 store->n);
}

/*
 * What a restart of the service gets back is lost with every boot. What is to outlive its unit is another matter: a
 * systemd that would take it over a kexec is gone past.
 */
static void check_stores(struct lu_host *host, struct lu_findings *findings)
{
	_cleanup_findings_ struct lu_findings later = LU_FINDINGS_INIT;
	struct stores s = { .later = &later };
	unsigned int version = 0;
	bool carried;

	if (lu_host_fd_stores(host, &version, tell_store, &s) < 0)
		log_info("systemd does not tell who has given it descriptors to keep");
	carried = version >= SYSTEMD_CARRIES && access("/dev/liveupdate", F_OK) == 0;
	for (size_t i = 0; i < later.n; i++)
		lu_findings_add(
			findings, carried ? LU_LEVEL_ERROR : LU_LEVEL_WARNING, later.list[i].object,
			carried ? "stop it and empty its store (systemctl clean --what=fdstore), or give it "
				  "FileDescriptorStorePreserve=restart if it can do without" :
				  "nothing, if it can do without: it is so with every boot",
			"has %s descriptors in systemd's store that are to outlive it (FileDescriptorStorePreserve=); %s",
			later.list[i].what,
			carried ?
				"systemd would take them over a kexec of its own, but not over this one: they are lost" :
				"they are lost");
	if (s.others[0])
		lu_findings_add(findings, LU_LEVEL_OK, "systemd's store of descriptors", NULL,
				"what these units have there for their next start is lost, as with every boot: %s",
				s.others);
}

void lu_check_host(struct lu_host *host, pid_t asker, const char *cmdline, const char *initrd,
		   struct lu_findings *findings)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *running = NULL;
	struct stat st;

	lu_beside_check_programs(AT_FDCWD, findings);
	lu_beside_check_packages(AT_FDCWD, asker, findings);
	lu_beside_check_watchdogs(AT_FDCWD, findings);
	if (stat("/", &st) == 0)
		lu_beside_check_root(AT_FDCWD, st.st_dev, findings);
	if (lu_cmdline_running(AT_FDCWD, &running, &e) == 0) {
		if (cmdline)
			lu_beside_check_cpu(running, cmdline, findings);
		check_scratch(initrd, running, findings);
	}
	if (lu_host_inhibitors(host, tell_inhibitor, findings) < 0)
		log_info("logind does not tell who inhibits a shutdown");
	check_stores(host, findings);
}
