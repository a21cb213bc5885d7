// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A check collects findings and never stops at the first: an operator wants the
 * whole list. In this order: pkernfs is there; the image can be read, speaks our
 * ABI and gets a command line; it has the initrd and the modules that this host needs; the target lets devices go on if a VM
 * has such, and no other device is marked to go on; every declared VM that is not excluded answers, can be carried, and would
 * survive the stop of the ordinary units, with all reasons of one that can't.
 *
 * A VM at whose socket nobody listens is switched off if systemd says that its
 * unit (and the scope that an update left it in) is not active: it is told and left
 * out. In all other cases one that does not answer may be a guest in trouble: an
 * error, since going on would kill it.
 *
 * Last, if nothing speaks against it, the target is tried in a machine of its own (daemon/trial). Beside that, if pkernfs has
 * pages of memory that have gone bad, they are looked for in guests' memory. A VM with such a page goes along, and the page
 * stays bad. But with passed-through devices it can't: they reach all of the guest's memory, and no kernel gives a bad page to
 * a device anew (EHWPOISON). To leave the page out would be to change the table under a device that does DMA.
 *
 * Probes run in parallel; the check ends when the last has answered. Freeing it
 * earlier cancels them. A VM that somebody else looks at just now (`vm list`, a
 * daemon that has just started) is waited for. A check that is no update's gives way to one that
 * begins. The check holds references to its VMs: their definitions may change while it waits.
 *
 * A VM whose saved state waits to be restored is an error, whatever its unit says. If it is excluded, or need not go
 * along, its state stays in pkernfs and waits in the next kernel.
 *
 * A VM that need not go along (its policy) and can't is left out, with its reasons as warnings.
 */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "check.h"
#include "check-host.h"
#include "cmdline.h"
#include "filesystems.h"
#include "log.h"
#include "trial-jump.h"

#define CMDLINE_FALLBACK_MAX 2047
#define BUSY_RETRY_USEC 50000
#define BUSY_TRIES 300

struct lu_check *lu_check_free(struct lu_check *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < c->n_vms; i++) {
		if (c->vms[i].probed)
			lu_vm_op_cancel(c->vms[i].vm);
		lu_vm_unref(c->vms[i].vm);
		lu_reasons_clear(&c->vms[i].reasons);
	}
	sd_event_source_disable_unref(c->turn);
	lu_image_reader_free(c->reader);
	lu_worker_free(c->trial);
	lu_bad_memory_free(c->bad_memory);
	lu_error_clear(&c->image_error);
	lu_error_clear(&c->initrd_error);
	closep(&c->image_fd);
	lu_findings_clear(&c->findings);
	free(c->cmdline);
	lu_domains_clear(&c->domains);
	lu_error_clear(&c->refused);
	free(c->vms);
	free(c);
	return NULL;
}

/* The command line is "given, or the running kernel's", plus ours. */
static void check_cmdline(struct lu_check *c)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *running = NULL;
	size_t max = c->image.cmdline_max ?: CMDLINE_FALLBACK_MAX;
	_cleanup_free_ char *given = NULL;
	uint32_t tsc_khz = 0;
	int r = 0;

	/* who gives a command line may know better */
	if (!c->asked->cmdline || lu_cmdline_get(c->asked->cmdline, "tsc_early_khz", &given) == 0)
		tsc_khz = lu_tsc_khz();
	if (!c->asked->cmdline)
		r = lu_cmdline_running(AT_FDCWD, &running, &e);
	if (r == 0)
		r = lu_cmdline_target(c->asked->cmdline ?: running, c->image.abi.pkeep, tsc_khz, max, &c->cmdline, &e);
	if (r < 0)
		lu_findings_add_error(&c->findings, "command line", &e);
}

static void check_image(struct lu_check *c)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	const char *path = c->asked->kernel;

	if (c->asked->initrd && c->initrd_error.code)
		lu_findings_add_error(&c->findings, c->asked->initrd, &c->initrd_error);
	if (c->image_error.code) {
		lu_findings_add_error(&c->findings, path, &c->image_error);
		return;
	}
	if (lu_running_read(AT_FDCWD, &c->running, &e) < 0) {
		lu_findings_add_error(&c->findings, "running kernel", &e);
		return;
	}
	lu_target_check(&c->image, path, &c->running, &c->findings);
	check_cmdline(c);
	lu_target_check_boot(AT_FDCWD, &c->image, &c->running, c->asked->initrd, c->asked->no_initrd, &c->findings);
	if (access(LU_INIT_PATH, X_OK) < 0)
		lu_findings_add(&c->findings, LU_LEVEL_ERROR, LU_INIT_PATH, "install luctl completely",
				"the early init is missing: %s", strerror(errno));
}

static void check_pkernfs(struct lu_check *c)
{
	if (!lu_pkernfs_mounted(c->env->config.pkernfs, NULL, NULL))
		lu_findings_add(
			&c->findings, LU_LEVEL_ERROR, c->env->config.pkernfs,
			"boot a kernel with the luctl series and kho=on; systemctl start run-luctl-pkernfs.mount",
			"pkernfs is not mounted here");
}

const char *lu_verdict_name(enum lu_verdict verdict)
{
	static const char *const names[LU_VERDICT_MAX] = {
		[LU_VERDICT_GOES] = "goes-along",
		[LU_VERDICT_CANT] = "cannot",
		[LU_VERDICT_LEFT_OUT] = "left-out",
		[LU_VERDICT_OFF] = "off",
	};

	return names[verdict];
}

/* Its unit must not be stopped when the ordinary ones are. */
static void check_unit(struct lu_check *c, struct lu_check_vm *v)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *unit = NULL;
	int r;

	if (!c->env->config.quiesce || c->asked->vmm)
		return;
	r = lu_host_survives(c->env->host, lu_vm_facts(v->vm)->pid, &unit, &e);
	if (r < 0)
		lu_reasons_add_error(&v->reasons, NULL, &e);
	else if (r == 0)
		lu_reasons_add(&v->reasons, NULL, "add a drop-in with [Unit] IgnoreOnIsolate=yes to that unit",
			       "its process runs in %s, which would be stopped with the ordinary units", unit);
}

/* What goes on without something that it has now is told, and goes on. */
static void check_losses(struct lu_check *c, struct lu_check_vm *v)
{
	static const char hint[] = "set it again after the update";
	_cleanup_(lu_limits_clear) struct lu_limits limits = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	const struct lu_reasons *losses = &lu_vm_facts(v->vm)->losses;
	char object[128], **lost = NULL;

	snprintf(object, sizeof(object), "VM %s", lu_vm_name(v->vm));
	for (size_t i = 0; i < losses->n; i++)
		lu_findings_add(&c->findings, LU_LEVEL_WARNING, object, losses->list[i].hint, "not carried: %s",
				losses->list[i].what);
	if (lu_host_limits(c->env->host, lu_vm_facts(v->vm)->pid, c->asked->vmm, &limits, &lost, &e) < 0 &&
	    c->env->config.quiesce)
		lu_findings_add(&c->findings, LU_LEVEL_WARNING, object, e.hint, "not carried: limits of its unit: %s",
				e.what ?: "they can't be read");
	for (char **p = lost; p && *p; p++) {
		lu_findings_add(&c->findings, LU_LEVEL_WARNING, object, hint, "not carried: %s%s of %s", *p,
				strchr(*p, '=') ? "" : "=", limits.unit);
		free(*p);
	}
	free(lost);
}

/* Its guest was told when it happened, and has to do without those pages in the next kernel, too. */
static void tell_bad_memory(struct lu_check *c, const struct lu_check_vm *v, const char *path, uint64_t n)
{
	char object[128];

	snprintf(object, sizeof(object), "VM %s", lu_vm_name(v->vm));
	if (n == LU_BAD_MEMORY_UNKNOWN)
		lu_findings_add(&c->findings, LU_LEVEL_WARNING, object, "luctl pkernfs show names such files",
				"whether its memory %s has bad pages can't be said", path);
	else if (n)
		lu_findings_add(
			&c->findings, LU_LEVEL_WARNING, object,
			"its QEMU saves it only if its guest has been reset since, which an update asks before the pause; see \"Memory has gone bad\" in the runbook",
			"goes along, but %llu page%s of its memory %s, of 4 KiB, %s gone bad and stay%s so",
			(unsigned long long)n, n == 1 ? "" : "s", path, n == 1 ? "has" : "have", n == 1 ? "s" : "");
}

/* Without an answer, too: if it were not so, its devices would be lost after the jump. */
static void refuse_bad_memory(struct lu_check_vm *v, const char *path, uint64_t n)
{
	static const char hint[] = "unplug its devices for the update, start it anew with other memory, or exclude it; "
				   "see \"Memory has gone bad\" in the runbook";

	if (n == LU_BAD_MEMORY_UNKNOWN)
		lu_reasons_add(
			&v->reasons, NULL, hint,
			"whether its memory %s has bad pages can't be said, and such a page can't be given to its "
			"devices in the next kernel",
			path);
	else if (n)
		lu_reasons_add(
			&v->reasons, NULL, hint,
			"%llu page%s of its memory %s, of 4 KiB, %s gone bad, and can't be given to its devices in "
			"the next kernel",
			(unsigned long long)n, n == 1 ? "" : "s", path, n == 1 ? "has" : "have");
}

/* In this kernel nothing becomes of it. */
static bool bad_memory_matters(const struct lu_check *c)
{
	return !c->asked->vmm && c->bad_pages && c->bad_pages != UINT64_MAX;
}

/* @refuse: first those that it keeps from going along, then what is told of the others */
static void check_bad_memory(struct lu_check *c, bool refuse)
{
	for (size_t i = 0; bad_memory_matters(c) && i < c->n_vms; i++) {
		struct lu_check_vm *v = &c->vms[i];
		const struct lu_vm_facts *facts = lu_vm_facts(v->vm);

		for (size_t k = 0; v->verdict == LU_VERDICT_GOES && v->devices == refuse && k < facts->n_ram; k++) {
			uint64_t n = lu_bad_memory_pages(c->bad_memory, facts->ram[k].path);

			if (refuse)
				refuse_bad_memory(v, facts->ram[k].path, n);
			else
				tell_bad_memory(c, v, facts->ram[k].path, n);
		}
	}
}

/* An error names its VM by itself; a reason belongs to one. */
static void add_error(struct lu_check_vm *v, const struct lu_error *e)
{
	const char *what = e->what ?: strerror(-e->code);
	char prefix[80];

	snprintf(prefix, sizeof(prefix), "VM %s: ", lu_vm_name(v->vm));
	if (!strncmp(what, prefix, strlen(prefix)))
		what += strlen(prefix);
	lu_reasons_add(&v->reasons, NULL, e->hint, "%s", what);
}

/* Has a VM that goes along, or should, passed-through ones? */
static bool any_devices(const struct lu_check *c)
{
	for (size_t i = 0; i < c->n_vms; i++)
		if (c->vms[i].verdict != LU_VERDICT_LEFT_OUT && c->vms[i].devices)
			return true;
	return false;
}

/* What devices that go on ask of the target, beyond what every guest does. */
static void check_devices(struct lu_check *c)
{
	_cleanup_free_ char *liveupdate = NULL;

	/* if the image can't be read, that was said */
	if (!any_devices(c) || !c->cmdline)
		return;
	lu_target_check_devices(&c->image, &c->running, &c->findings);
	lu_target_check_iommu(&c->image, c->asked->kernel, c->cmdline, &c->findings);
	lu_check_liveupdate(&c->findings);
	lu_check_reader(LU_INIT_PATH, &c->findings);
	if (lu_cmdline_get(c->cmdline, "liveupdate", &liveupdate) <= 0 || strcmp(liveupdate, "on") != 0)
		lu_findings_add(
			&c->findings, LU_LEVEL_ERROR, "command line", "add liveupdate=on",
			"without liveupdate=on the target loses the firmware's memory of guests with passed-through devices");
}

/* A target with an older pkeep would lose them after the jump: it takes devices over by iommufd alone. */
static void check_containers(struct lu_check *c)
{
	for (size_t i = 0; c->cmdline && i < c->n_vms; i++)
		if (c->vms[i].devices && lu_vm_facts(c->vms[i].vm)->stand_in && !lu_target_takes_groups(&c->image))
			lu_reasons_add(
				&c->vms[i].reasons, NULL,
				"update to a kernel with the current series; or give its devices an iommufd of "
				"their own (-object iommufd)",
				"its devices are in a container of vfio's old interface, and the target can't take "
				"such ones over");
}

static bool names(char *const *list, const char *name)
{
	for (; list && *list; list++)
		if (!strcmp(*list, name))
			return true;
	return false;
}

static const char *shared(const struct lu_check_vm *a, const struct lu_check_vm *b)
{
	char *const *of_b = lu_vm_facts(b->vm)->devices;

	for (; a->devices && b->devices && of_b && *of_b; of_b++)
		if (names(lu_vm_facts(a->vm)->devices, *of_b))
			return *of_b;
	return NULL;
}

/* The mark of a function that goes on is one, and so is who takes it over. The first by name may keep it. */
static void check_shared(struct lu_check *c)
{
	for (size_t i = 0; i < c->n_vms; i++)
		for (size_t k = 0; k < i; k++) {
			const char *address = shared(&c->vms[k], &c->vms[i]);

			if (address)
				lu_reasons_add(&c->vms[i].reasons, address,
					       "start one of them without it, or exclude one",
					       "it is passed through to VM %s, too", lu_vm_name(c->vms[k].vm));
		}
}

/* A guest that AppArmor confines does not run without it (confined.h). */
static void check_confined(struct lu_check *c)
{
	for (size_t i = 0; c->cmdline && i < c->n_vms; i++)
		if (c->vms[i].verdict == LU_VERDICT_GOES && lu_vm_facts(c->vms[i].vm)->confined) {
			lu_check_apparmor(c->cmdline, lu_vm_name(c->vms[i].vm), &c->findings);
			return;
		}
}

static bool goes_with_vm(const struct lu_check *c, const char *address)
{
	for (size_t i = 0; i < c->n_vms; i++) {
		char **device = lu_vm_facts(c->vms[i].vm)->devices;

		for (; c->vms[i].verdict == LU_VERDICT_GOES && device && *device; device++)
			if (!strcmp(*device, address))
				return true;
	}
	return false;
}

static void tell_marked(const char *address, void *userdata)
{
	struct lu_check *c = userdata;
	char hint[128];

	snprintf(hint, sizeof(hint), "if nobody needs that: echo 0 > /sys/bus/pci/devices/%s/pkeep", address);
	if (!goes_with_vm(c, address))
		lu_findings_add(
			&c->findings, LU_LEVEL_WARNING, address, hint,
			"is marked to go on over the jump, but belongs to no VM that goes along: the kernel refuses the jump "
			"if memory that it can reach is not preserved, and nobody takes it over afterwards");
}

/* Marks that aren't ours: luctld sets them in the state preparing. */
static void check_marks(struct lu_check *c)
{
	if (c->asked->kernel)
		lu_devices_marked(tell_marked, c);
}

static void tell_reasons(struct lu_check *c, enum lu_level level, const char *object, const struct lu_reasons *why)
{
	for (size_t i = 0; i < why->n; i++) {
		const struct lu_reason *r = &why->list[i];

		lu_findings_add(&c->findings, level, object, r->hint, "%s%s%s%s", r->device ? "device " : "",
				r->device ?: "", r->device ? ": " : "", r->what);
	}
	if (why->lost)
		lu_findings_add(&c->findings, level, object, NULL, "there are more reasons than can be told");
}

static void tell_left(struct lu_check *c, const struct lu_check_vm *v, const char *object)
{
	const char *end = c->asked->vmm ? "its QEMU is not replaced" : "it ends with this kernel",
		   *hint = c->asked->vmm ? NULL : "shut it down before, if it shall not end as by a power cut";

	if (v->waits)
		lu_findings_add(&c->findings, LU_LEVEL_WARNING, object, LU_VM_WAITS_HINT,
				"left out: its saved state stays where it is and waits to be restored");
	else if (lu_reasons_any(&v->reasons))
		lu_findings_add(&c->findings, LU_LEVEL_WARNING, object, hint,
				"can't go along and need not (best effort), so it is left behind: %s", end);
	else
		lu_findings_add(&c->findings, LU_LEVEL_WARNING, object, hint, "left out %s: %s",
				lu_asked_names(c->asked->exclude, v->vm) ? "as asked" : "by its policy", end);
	tell_reasons(c, LU_LEVEL_WARNING, object, &v->reasons);
}

static void tell(struct lu_check *c, const struct lu_check_vm *v)
{
	const struct lu_vm_facts *facts = lu_vm_facts(v->vm);
	char object[128];

	snprintf(object, sizeof(object), "VM %s", lu_vm_name(v->vm));
	switch (v->verdict) {
	case LU_VERDICT_GOES:
		lu_findings_add(
			&c->findings, LU_LEVEL_OK, object, NULL, "can be carried over%s%s%s",
			facts->early ? "" : ", after the host's units are up: ", facts->early ? "" : facts->late,
			lu_vm_policy(v->vm) == LU_VM_BEST_EFFORT && !c->asked->vmm ?
				"; if it fails before the jump it is left behind (best effort)" :
				"");
		break;
	case LU_VERDICT_LEFT_OUT:
		tell_left(c, v, object);
		break;
	case LU_VERDICT_OFF:
		lu_findings_add(&c->findings, LU_LEVEL_OK, object, NULL, "is not running, left out");
		break;
	default:
		tell_reasons(c, LU_LEVEL_ERROR, object, &v->reasons);
	}
}

#define SECONDS(usec) (double)(usec) / 1e6

/*
 * Longer than what was asked for, or than its declaration says; or nobody knows, which is said. A guest that need not
 * go along is not ended for standing still too long.
 */
static void check_blackout(struct lu_check *c, struct lu_check_vm *v)
{
	uint64_t most = c->asked->max_blackout_usec, own = lu_vm_max_blackout(v->vm);
	bool declared = own && (!most || own < most);
	const char *whose = declared ? "will do for it" : "were asked for";
	char object[128];

	most = declared ? own : most;
	if (!most)
		return;
	if (v->predicted.usec > most && v->predicted.usec != LU_MEASURED_UNKNOWN &&
	    lu_vm_policy(v->vm) == LU_VM_BEST_EFFORT) {
		snprintf(object, sizeof(object), "VM %s", lu_vm_name(v->vm));
		lu_findings_add(&c->findings, LU_LEVEL_WARNING, object, NULL,
				"goes along (best effort), though its predicted blackout, %.3f s, is longer than the "
				"%.3f s that %s",
				SECONDS(v->predicted.usec), SECONDS(most), whose);
	} else if (v->predicted.usec == LU_MEASURED_UNKNOWN) {
		snprintf(object, sizeof(object), "VM %s", lu_vm_name(v->vm));
		lu_findings_add(&c->findings, LU_LEVEL_WARNING, object,
				"a rehearsal tells the old kernel's part; the new one's is known after an update",
				"whether its blackout is longer than %.3f s can't be said beforehand: %s",
				SECONDS(most), v->predicted.text);
	} else if (v->predicted.usec > most) {
		lu_reasons_add(&v->reasons, NULL,
			       declared ? "allow more by max_blackout_usec in its declaration, or exclude it" :
					  "allow more by --max-blackout, or exclude it",
			       "its predicted blackout, %.3f s, is longer than the %.3f s that %s (%s)",
			       SECONDS(v->predicted.usec), SECONDS(most), whose, v->predicted.text);
		v->verdict = LU_VERDICT_CANT;
	}
}

static void predict(struct lu_check *c)
{
	_cleanup_(lu_measured_clear) struct lu_measured m = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	if (lu_measured_read(AT_FDCWD, LU_MEASURED_PATH, &m, &e) < 0)
		log_warning("%s; blackouts can't be predicted", e.what ?: LU_MEASURED_PATH);
	for (size_t i = 0; i < c->n_vms; i++) {
		char **devices = lu_vm_facts(c->vms[i].vm)->devices;
		size_t n = 0;

		while (devices && devices[n])
			n++;
		if (c->vms[i].verdict != LU_VERDICT_GOES)
			continue;
		lu_measured_predict(&m, lu_vm_uuid(c->vms[i].vm), n, &c->vms[i].predicted);
		check_blackout(c, &c->vms[i]);
	}
}

/* One that is declared here, too, is judged as a VM. */
static bool is_declared(struct lu_vms *vms, const struct lu_domain *d)
{
	for (struct lu_vm *vm = lu_vms_first(vms); vm; vm = lu_vm_next(vm))
		if (d->pid > 0 && (lu_vm_facts(vm)->pid == d->pid || lu_vm_domain(vm)->pid == d->pid))
			return true;
	return false;
}

char *lu_check_domain(struct lu_vms *vms, const struct lu_domains *domains, char *const *excluded)
{
	for (size_t i = 0; i < domains->n; i++)
		if (!is_declared(vms, &domains->list[i]) && !names(excluded, domains->list[i].name))
			return strdup(domains->list[i].name);
	return NULL;
}

/* Guests of libvirt that are none of the VMs, since libvirt's notes on them can't be read: each is named. In this kernel nothing happens to them. */
static void check_domains(struct lu_check *c)
{
	for (size_t i = 0; i < c->domains.n && !c->asked->vmm; i++) {
		const struct lu_domain *d = &c->domains.list[i];
		bool excluded = names(c->asked->exclude, d->name);
		char object[128];

		if (is_declared(c->env->vms, d))
			continue;
		snprintf(object, sizeof(object), "libvirt domain %s", d->name);
		lu_findings_add(
			&c->findings, excluded ? LU_LEVEL_WARNING : LU_LEVEL_ERROR, object,
			excluded ? "shut it down before, if it shall not end as by a power cut" :
				   "shut it down, migrate it away, or exclude it",
			excluded ?
				"left out as asked: it ends with this kernel" :
			c->env->config.libvirt ?
				"runs, and can't be carried over: there is no status file of libvirt's that tells of it" :
				"runs, and guests of libvirt are not carried over, since [update] libvirt=no is set");
	}
}

/* What keeps it from going along keeps nobody else, unless it was asked for by name. A state that waits is not its alone. */
static bool may_be_left(const struct lu_check *c, const struct lu_check_vm *v)
{
	return lu_vm_policy(v->vm) == LU_VM_BEST_EFFORT && !v->waits && !lu_asked_names(c->asked->only, v->vm);
}

static void check_end(struct lu_check *c)
{
	check_bad_memory(c, true);
	for (size_t i = 0; i < c->n_vms; i++)
		if (lu_reasons_any(&c->vms[i].reasons))
			c->vms[i].verdict = may_be_left(c, &c->vms[i]) ? LU_VERDICT_LEFT_OUT : LU_VERDICT_CANT;
	predict(c);
	check_devices(c);
	check_confined(c);
	check_marks(c);
	for (size_t i = 0; i < c->n_vms; i++)
		if (c->vms[i].verdict == LU_VERDICT_GOES)
			check_losses(c, &c->vms[i]);
	check_bad_memory(c, false);
	if (!c->asked->vmm)
		lu_check_strangers(c->env->vms, &c->domains, c->asked->exclude, &c->findings);
	c->n_host = c->findings.n;
	for (size_t i = 0; i < c->n_vms; i++)
		tell(c, &c->vms[i]);
	check_domains(c);
	c->done(c, c->userdata);
}

static void one_less(struct lu_check *c);

static void on_trial(void *userdata, int r, struct lu_error *error)
{
	struct lu_check *c = userdata;
	bool must = c->asked->trial == LU_ASK_TRIAL_YES || c->env->config.trial == LU_CONFIG_YES;
	const char *what = error->what ?: strerror(-r);

	c->trial = lu_worker_free(c->trial);
	if (r == 0)
		lu_findings_add(&c->findings, LU_LEVEL_OK, "trial jump", NULL,
				"the target comes up in this kernel's place, and finds what was left for it");
	else if (r == LU_TRIAL_TARGET)
		lu_findings_add(&c->findings, LU_LEVEL_ERROR, "trial jump", error->hint, "%s", what);
	else if (r == LU_TRIAL_PARTLY)
		lu_findings_add(&c->findings, LU_LEVEL_WARNING, "trial jump", error->hint, "%s", what);
	else
		lu_findings_add(&c->findings, must ? LU_LEVEL_ERROR : LU_LEVEL_WARNING, "trial jump",
				error->hint ?: "--no-trial does without", "the target can't be tried here: %s", what);
	one_less(c);
}

static bool wants_trial(const struct lu_check *c)
{
	enum lu_ask_trial asked = c->asked->trial;

	if (asked == LU_ASK_TRIAL_UNSAID)
		asked = c->gives_way ? LU_ASK_TRIAL_NO : LU_ASK_TRIAL_AUTO;
	return asked == LU_ASK_TRIAL_YES || (asked == LU_ASK_TRIAL_AUTO && c->env->config.trial != LU_CONFIG_NO);
}

static bool refused(const struct lu_check *c)
{
	for (size_t i = 0; i < c->n_vms; i++)
		if (lu_reasons_any(&c->vms[i].reasons) && !may_be_left(c, &c->vms[i]))
			return true;
	return !lu_findings_ok(&c->findings);
}

/* A target that is refused anyway is not tried. When all VMs have answered: a machine that starts keeps CPUs busy. */
static void start_trial(struct lu_check *c)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_trial_ask ask = { .running = c->env->config.trial_running,
				    .usec = c->env->config.trial_usec,
				    .kernel_fd = c->image_fd,
				    .initrd_fd = c->asked->initrd_fd,
				    .initrd = c->asked->initrd,
				    .cmdline = c->cmdline };
	char running[sizeof("/boot/vmlinuz-") + sizeof(((struct utsname *)0)->release)];
	struct utsname name;
	int r;

	if (!c->cmdline || c->image_fd < 0 || !wants_trial(c) || refused(c))
		return;
	uname(&name);
	snprintf(running, sizeof(running), "/boot/vmlinuz-%s", name.release);
	ask.running = ask.running ?: running;
	c->pending++;
	r = lu_trial_start(c->env->event, &ask, on_trial, c, &c->trial);
	if (r < 0)
		on_trial(c, r, &e);
}

static void on_bad_memory(void *userdata, int r, struct lu_error *error)
{
	struct lu_check *c = userdata;

	if (r < 0)
		lu_findings_add(&c->findings, LU_LEVEL_WARNING, "bad memory", error->hint,
				"guests' memory can't be looked through for pages that have gone bad: %s",
				error->what ?: strerror(-r));
	one_less(c);
}

/* The kernel says how much of pkernfs it is. */
static void look_for_bad_memory(struct lu_check *c)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ const char **paths = NULL;
	size_t n = 0, room = 0;
	int r;

	c->bad_pages = lu_pkernfs_bad_pages(AT_FDCWD);
	if (!bad_memory_matters(c))
		return;
	for (size_t i = 0; i < c->n_vms; i++)
		room += lu_vm_facts(c->vms[i].vm)->n_ram;
	paths = calloc(room + 1, sizeof(*paths));
	for (size_t i = 0; paths && i < c->n_vms; i++)
		for (size_t k = 0; k < lu_vm_facts(c->vms[i].vm)->n_ram && c->vms[i].verdict == LU_VERDICT_GOES; k++)
			paths[n++] = lu_vm_facts(c->vms[i].vm)->ram[k].path;
	if (paths && !n)
		return;
	c->pending++;
	r = paths ? lu_bad_memory_start(c->env->event, paths, n, on_bad_memory, c, &c->bad_memory) : -ENOMEM;
	if (r < 0)
		on_bad_memory(c, r, &e);
}

/* Something that was waited for has come. */
static void one_less(struct lu_check *c)
{
	if (--c->pending)
		return;
	if (!c->tried) {
		c->tried = true;
		check_containers(c);
		check_shared(c);
		c->pending++;
		start_trial(c);
		look_for_bad_memory(c);
		one_less(c);
		return;
	}
	check_end(c);
}

static bool is_off(struct lu_check *c, struct lu_vm *vm)
{
	char scope[128];

	snprintf(scope, sizeof(scope), "luctl-vm-%s.scope", lu_vm_name(vm));
	return lu_vm_unit(vm) && lu_host_unit_active(c->env->host, lu_vm_unit(vm), NULL) == 0 &&
	       lu_host_unit_active(c->env->host, scope, NULL) == 0;
}

static struct lu_check_vm *find(struct lu_check *c, struct lu_vm *vm)
{
	for (size_t i = 0; i < c->n_vms; i++)
		if (c->vms[i].vm == vm)
			return &c->vms[i];
	return NULL;
}

static void on_probe(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	const struct lu_vm_facts *facts = lu_vm_facts(vm);
	struct lu_check *c = userdata;
	struct lu_check_vm *v = find(c, vm);

	v->probed = false;
	lu_vm_disconnect(vm);
	if ((r == -ENOENT || r == -ECONNREFUSED) && is_off(c, vm)) {
		v->verdict = LU_VERDICT_OFF;
		if (c->asked->only)
			lu_reasons_add(&v->reasons, NULL, NULL, "is not running");
	} else if (r < 0) {
		add_error(v, e);
	} else {
		lu_reasons_copy(&v->reasons, &facts->reasons);
		if (c->asked->vmm)
			lu_reasons_here(&v->reasons);
		v->devices = facts->devices != NULL;
		check_unit(c, v);
	}
	one_less(c);
}

/* An update must not cost a state that waits. In this kernel nothing happens to it. */
static bool check_waiting(struct lu_check *c, struct lu_check_vm *v)
{
	bool devices;

	v->waits = lu_vm_waits(v->vm, &devices);
	if (!v->waits)
		return false;
	if (c->asked->vmm && !c->asked->only)
		v->verdict = LU_VERDICT_LEFT_OUT;
	else if (!lu_asked_excludes(c->asked, v->vm) && lu_vm_policy(v->vm) != LU_VM_BEST_EFFORT)
		lu_reasons_add(&v->reasons, NULL, LU_VM_WAITS_HINT, "its state that was saved waits to be restored");
	else if (devices)
		lu_reasons_add(
			&v->reasons, NULL, LU_VM_WAITS_HINT,
			"its state that was saved waits to be restored, and the devices that belong to it would stop");
	else
		v->verdict = LU_VERDICT_LEFT_OUT;
	return true;
}

static void check_vm(struct lu_check *c, struct lu_check_vm *v)
{
	int r;

	if (check_waiting(c, v))
		return;
	if (lu_asked_excludes(c->asked, v->vm)) {
		v->verdict = LU_VERDICT_LEFT_OUT;
		return;
	}
	if (lu_vm_error(v->vm)) {
		add_error(v, lu_vm_error(v->vm));
		return;
	}
	if (c->asked->vmm && lu_vm_is_domain(v->vm))
		lu_reasons_add(&v->reasons, NULL, "shut it down and start it again, or migrate it away",
			       "it is a guest of libvirt, whose QEMU luctl can't replace");
	r = lu_vm_op_start(v->vm, LU_VM_PROBE, NULL, 0, on_probe, c);
	if (r < 0) {
		lu_reasons_add(&v->reasons, NULL, "try again", "can't be probed: %s", strerror(-r));
		return;
	}
	v->probed = true;
	c->pending++;
}

static bool is_domain(const struct lu_check *c, const char *name)
{
	for (size_t i = 0; i < c->domains.n; i++)
		if (!strcmp(c->domains.list[i].name, name))
			return true;
	return false;
}

static void check_excluded(struct lu_check *c)
{
	for (char **p = c->asked->exclude; p && *p; p++)
		if (!lu_vms_find(c->env->vms, *p) && !is_domain(c, *p) && !lu_check_is_stranger(*p))
			lu_findings_add(&c->findings, LU_LEVEL_ERROR, *p, "see luctl vm list",
					"no such VM, so it can't be excluded");
	for (char **p = c->asked->only; p && *p; p++)
		if (!lu_vms_find(c->env->vms, *p))
			lu_findings_add(&c->findings, LU_LEVEL_ERROR, *p, "see luctl vm list", "no such VM");
}

static void check_vms(struct lu_check *c)
{
	_cleanup_error_ struct lu_error error = LU_ERROR_INIT;

	if (lu_vms_load(c->env->vms, c->env->config.vms_dir, &error) < 0)
		lu_findings_add_error(&c->findings, c->env->config.vms_dir, &error);
	if (lu_domains_read(AT_FDCWD, &c->domains) < 0)
		c->findings.failed = -ENOMEM;
	check_excluded(c);
	c->vms = calloc(lu_vms_count(c->env->vms) ?: 1, sizeof(*c->vms));
	if (!c->vms) {
		c->findings.failed = -ENOMEM;
		return;
	}
	for (struct lu_vm *vm = lu_vms_first(c->env->vms); vm; vm = lu_vm_next(vm))
		if (lu_asked_concerns(c->asked, vm) && !(c->asked->vmm && !c->asked->only && lu_vm_is_domain(vm)))
			c->vms[c->n_vms++].vm = lu_vm_ref(vm);
	for (size_t i = 0; i < c->n_vms; i++)
		check_vm(c, &c->vms[i]);
}

static bool any_busy(struct lu_check *c)
{
	for (struct lu_vm *vm = lu_vms_first(c->env->vms); vm; vm = lu_vm_next(vm))
		if (!lu_vm_error(vm) && lu_vm_op_busy(vm))
			return true;
	return false;
}

static void on_image(void *userdata, struct lu_image_read *result)
{
	struct lu_check *c = userdata;

	lu_error_move(&c->image_error, &result->error);
	lu_error_move(&c->initrd_error, &result->initrd_error);
	c->image = result->image;
	c->image_fd = steal_fd(&result->fd);
	(void)sd_event_source_set_time_relative(c->turn, 0);
	(void)sd_event_source_set_enabled(c->turn, SD_EVENT_ONESHOT);
}

/* Takes its time, so it is done by another process; false: no need to wait. */
static bool ask_image(struct lu_check *c)
{
	const struct lu_asked *q = c->asked;
	struct lu_image_source source = { .kernel = q->kernel,
					  .initrd = q->initrd,
					  .kernel_fd = q->kernel_fd,
					  .initrd_fd = q->initrd_fd,
					  .may_open = q->may_open };
	int r;

	if (!q->kernel || c->image_asked)
		return false;
	c->image_asked = true;
	r = lu_image_reader_start(c->env->event, &source, on_image, c, &c->reader);
	if (r < 0)
		(void)lu_error_set(&c->image_error, r, NULL, "%s: can't be read: %s", q->kernel, strerror(-r));
	return r >= 0;
}

/* What a question would ask of the VMs would disturb the update. */
static bool must_end(struct lu_check *c)
{
	if (!c->gives_way || !c->gives_way(c->userdata))
		return false;
	(void)lu_error_set(&c->refused, -EBUSY, "luctl status tells how far it is", "an update has begun meanwhile");
	return true;
}

static int on_turn(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct lu_check *c = userdata;

	if (must_end(c)) {
		c->done(c, c->userdata);
		return 0;
	}
	if (ask_image(c))
		return 0;
	if (any_busy(c) && c->tries++ < BUSY_TRIES) {
		if (sd_event_source_set_time_relative(s, BUSY_RETRY_USEC) >= 0 &&
		    sd_event_source_set_enabled(s, SD_EVENT_ONESHOT) >= 0)
			return 0;
	}
	check_pkernfs(c);
	if (c->asked->kernel) {
		check_image(c);
		lu_check_host(c->env->host, c->asked->asker, c->cmdline, c->asked->initrd, &c->findings);
	}
	/* held until all were begun */
	c->pending++;
	check_vms(c);
	one_less(c);
	return 0;
}

int lu_check_start(const struct lu_update_env *env, const struct lu_asked *q, bool (*gives_way)(void *userdata),
		   void (*done)(struct lu_check *c, void *userdata), void *userdata, struct lu_check **ret)
{
	struct lu_check *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->env = env;
	c->image_fd = -EBADF;
	c->bad_pages = UINT64_MAX;
	c->asked = q;
	c->gives_way = gives_way;
	c->done = done;
	c->userdata = userdata;
	r = sd_event_add_time_relative(env->event, &c->turn, CLOCK_MONOTONIC, 0, 0, on_turn, c);
	if (r < 0) {
		lu_check_free(c);
		return r;
	}
	*ret = c;
	return 0;
}
