// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a guest got while it ran and no command line knows, but for its disks (disks.c): a part of PROBE.
 *
 *	query-jobs, query-block-exports, dirty bitmaps	end with this QEMU, and nobody would be told
 *	query-cpus-fast					processors plugged in or out
 *	/machine/peripheral-anon			devices without id, by how many of a kind there are
 *
 * Not asked, since QEMU carries it in the state that it saves: links that were set down (the card's own state), what a
 * balloon or virtio-mem is to have. Passwords of displays can't be asked for: they are told as a loss.
 */
#include <stdio.h>
#include <string.h>

#include "argv.h"
#include "vm-internal.h"

#define LIBVIRT_TEMPORARY "libvirt-tmp-" /* qemuBlockCommit() of libvirt 11 */

/* --- jobs, exports, bitmaps --- */

static int unanswered(struct lu_vm_job *j, const char *command)
{
	return lu_vm_refuse(j->vm, "QEMU 10 or newer is needed", "its QEMU does not answer %s: %s", command,
			    j->refused ?: "");
}

static size_t length(struct json_object *list)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

/* One that has ended waits for nothing but to be dismissed. */
static int on_jobs(struct lu_vm_job *j, struct json_object *data)
{
	if (!data)
		return unanswered(j, "query-jobs");
	for (size_t i = 0; i < length(data); i++) {
		struct json_object *o = json_object_array_get_idx(data, i);
		const char *status = lu_member_string(o, "status") ?: "", *id = lu_member_string(o, "id") ?: "",
			   *type = lu_member_string(o, "type") ?: "job";

		if (strcmp(status, "concluded") != 0 && strcmp(status, "null") != 0)
			lu_vm_refuse(j->vm,
				     "wait until it has ended, or end it (QMP block-job-complete, block-job-cancel)",
				     "its job \"%.200s\" (%.60s) is under way: %.60s", id, type, status);
	}
	return 0;
}

static int on_exports(struct lu_vm_job *j, struct json_object *data)
{
	if (!data)
		return unanswered(j, "query-block-exports");
	for (size_t i = 0; i < length(data); i++) {
		struct json_object *o = json_object_array_get_idx(data, i);
		const char *id = lu_member_string(o, "id") ?: "", *node = lu_member_string(o, "node-name") ?: "",
			   *type = lu_member_string(o, "type") ?: "unknown";

		lu_vm_refuse(
			j->vm, "wait until its user has ended, then remove it (QMP block-export-del)",
			"its node \"%.200s\" is exported to others (%.60s, \"%.200s\"), which its next QEMU would not do",
			node, type, id);
	}
	return 0;
}

int lu_runtime_ask_jobs(struct lu_vm_job *j)
{
	return lu_vm_job_try(j, "query-jobs", NULL, LU_TOLERATE_REFUSAL, on_jobs);
}

int lu_runtime_ask_exports(struct lu_vm_job *j)
{
	return lu_vm_job_try(j, "query-block-exports", NULL, LU_TOLERATE_REFUSAL, on_exports);
}

static void one_bitmap(struct lu_vm_job *j, struct json_object *node, struct json_object *bitmap)
{
	const char *name = lu_member_string(bitmap, "name");

	/* one without a name is a job's own; one in the image is written there when the guest is saved */
	if (!name || !*name || json_object_get_boolean(lu_member(bitmap, "persistent", json_type_boolean)))
		return;
	/* what libvirt needs while a commit is under way, and leaves behind: nobody reads it any more once no job runs */
	if (!strncmp(name, LIBVIRT_TEMPORARY, strlen(LIBVIRT_TEMPORARY)))
		return;
	lu_vm_refuse(j->vm,
		     "remove it (QMP block-dirty-bitmap-remove), and begin with a full backup afterwards; "
		     "one that is made with persistent=true goes along",
		     "its dirty bitmap \"%.200s\" of node \"%.200s\" is in memory only and would be lost", name,
		     lu_member_string(node, "node-name") ?: "");
}

int lu_runtime_judge_bitmaps(struct lu_vm_job *j)
{
	for (size_t i = 0; i < length(j->block_nodes); i++) {
		struct json_object *node = json_object_array_get_idx(j->block_nodes, i),
				   *list = lu_member(node, "dirty-bitmaps", json_type_array),
				   *threshold = lu_member(node, "write_threshold", json_type_int);

		for (size_t k = 0; k < length(list); k++)
			one_bitmap(j, node, json_object_array_get_idx(list, k));
		if (threshold && json_object_get_int64(threshold) > 0)
			lu_reasons_add(&j->vm->facts.losses, NULL,
				       "set it again afterwards (QMP block-set-write-threshold)",
				       "the write threshold of its node \"%.200s\"",
				       lu_member_string(node, "node-name") ?: "");
	}
	return 0;
}

/* --- processors --- */

static bool number_of(const char *text, unsigned long *ret)
{
	char *end;

	*ret = strtoul(text, &end, 10);
	return end != text && !*end;
}

/* "4", "cpus=4,maxcpus=8", "sockets=2,cores=2"; 0: can't be told */
static unsigned long processors(const char *smp)
{
	static const char *const parts[] = { "drawers", "books",    "sockets", "dies",
					     "modules", "clusters", "cores",   "threads" };
	_cleanup_free_ char *cpus = NULL, *max = NULL, *first = strndup(smp, strcspn(smp, ","));
	unsigned long n, product = 1;
	bool any = false;

	if (!first || lu_argv_property(smp, "cpus", &cpus) < 0 || lu_argv_property(smp, "maxcpus", &max) < 0)
		return 0;
	if (number_of(cpus ?: first, &n))
		return n;
	if (max && number_of(max, &n))
		return n;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		_cleanup_free_ char *v = NULL;

		if (lu_argv_property(smp, parts[i], &v) <= 0)
			continue;
		if (!number_of(v, &n) || n == 0 || __builtin_mul_overflow(product, n, &product))
			return 0;
		any = true;
	}
	return any ? product : 0;
}

static int on_cpus(struct lu_vm_job *j, struct json_object *data)
{
	static const char board[] = "/machine/unattached/";
	struct lu_arg arg = { 0 };
	unsigned long want = 1, have = 0;

	if (!data)
		return unanswered(j, "query-cpus-fast");
	while (lu_argv_next(j->launch.argv, &arg))
		if (!strcmp(arg.name, "smp") && arg.value)
			want = processors(arg.value);
	/* those that were plugged in are devices */
	for (size_t i = 0; i < length(data); i++) {
		const char *path = lu_member_string(json_object_array_get_idx(data, i), "qom-path");

		have += path && !strncmp(path, board, strlen(board));
	}
	if (want && have && want != have)
		lu_vm_refuse(j->vm, "shut it down and start it with the number that it is to have, or exclude the VM",
			     "it has %lu processors of the %lu that its command line gives it", have, want);
	return 0;
}

int lu_runtime_ask_cpus(struct lu_vm_job *j)
{
	if (!j->launch.argv)
		return 0;
	return lu_vm_job_try(j, "query-cpus-fast", NULL, LU_TOLERATE_REFUSAL, on_cpus);
}

/* --- devices without id --- */

/* Names that QEMU takes for others' */
bool lu_runtime_is_kind(const char *type, size_t len, const char *driver)
{
	static const struct {
		const char *alias, *type;
	} aliases[] = {
		{ "ac97", "AC97" },      { "e1000-82540em", "e1000" }, { "es1370", "ES1370" },
		{ "ahci", "ich9-ahci" }, { "lsi", "lsi53c895a" },
	};
	static const char *const buses[] = { "", "-pci", "-ccw", "-device" };
	char name[200];

	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
		if (!strcmp(aliases[i].alias, driver))
			driver = aliases[i].type;
	for (size_t i = 0; i < ARRAY_SIZE(buses); i++) {
		snprintf(name, sizeof(name), "%s%s", driver, buses[i]);
		if (strlen(name) == len && !strncmp(name, type, len))
			return true;
	}
	return false;
}

/* 1 with the driver of a device that a word makes without an id, else 0 */
int lu_runtime_made_by(const struct lu_arg *arg, char **ret)
{
	_cleanup_free_ char *id = NULL, *kind = NULL;
	int r;

	if (!arg->value)
		return 0;
	if (!strcmp(arg->name, "drive")) {
		r = lu_argv_property(arg->value, "if", &kind);
		if (r <= 0 || strcmp(kind, "virtio") != 0)
			return r < 0 ? r : 0;
		*ret = strdup("virtio-blk");
		return *ret ? 1 : -ENOMEM;
	}
	if (strcmp(arg->name, "device") != 0)
		return 0;
	r = lu_argv_property(arg->value, "id", &id);
	if (r != 0)
		return r < 0 ? r : 0;
	r = lu_argv_property(arg->value, "driver", ret);
	if (r != 0 || arg->value[0] == '{')
		return r;
	*ret = strndup(arg->value, strcspn(arg->value, ","));
	return *ret ? 1 : -ENOMEM;
}

int lu_runtime_judge_anonymous(struct lu_vm_job *j)
{
	static const char child[] = "child<";
	size_t n = length(j->anonymous);
	_cleanup_free_ bool *known = calloc(n ?: 1, sizeof(*known));
	struct lu_arg arg = { 0 };

	if (!known)
		return -ENOMEM;
	while (j->anonymous && lu_argv_next(j->launch.argv, &arg)) {
		_cleanup_free_ char *driver = NULL;
		int r = lu_runtime_made_by(&arg, &driver);
		size_t i;

		if (r < 0)
			return r;
		for (i = 0; r > 0 && i < n; i++) {
			const char *type = lu_member_string(json_object_array_get_idx(j->anonymous, i), "type");

			if (known[i] || !type || strncmp(type, child, strlen(child)) != 0 ||
			    !lu_runtime_is_kind(type + strlen(child), strcspn(type + strlen(child), ">"), driver))
				continue;
			known[i] = true;
			break;
		}
		if (r > 0 && i == n)
			lu_vm_refuse(j->vm, "shut it down and start it again, or exclude the VM",
				     "a device of its command line was unplugged after the start: -%s %s", arg.name,
				     arg.value);
	}
	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(j->anonymous, i);
		const char *type = lu_member_string(o, "type");

		if (!known[i] && type && !strncmp(type, child, strlen(child)))
			lu_vm_refuse(j->vm, "put it on QEMU's command line, or exclude the VM",
				     "its device \"%s\" (%.*s) was plugged in after the start",
				     lu_member_string(o, "name") ?: "", (int)strcspn(type + strlen(child), ">"),
				     type + strlen(child));
	}
	return 0;
}

/* --- displays --- */

int lu_runtime_note_passwords(struct lu_vm_job *j)
{
	struct lu_arg arg = { 0 };

	while (j->launch.argv && lu_argv_next(j->launch.argv, &arg)) {
		_cleanup_free_ char *on = NULL, *secret = NULL, *open = NULL;
		bool vnc = !strcmp(arg.name, "vnc"), spice = !strcmp(arg.name, "spice");

		if ((!vnc && !spice) || !arg.value || lu_argv_property(arg.value, "password-secret", &secret) > 0)
			continue;
		(void)lu_argv_property(arg.value, "password", &on);
		(void)lu_argv_property(arg.value, "disable-ticketing", &open);
		if (vnc ? (on && strcmp(on, "off") != 0) || strstr(arg.value, ",password") :
			  !on && (!open || strcmp(open, "on") != 0) && !strstr(arg.value, "disable-ticketing,"))
			lu_reasons_add(&j->vm->facts.losses, NULL,
				       "set it again afterwards (QMP set_password), or give it by password-secret=",
				       "the password of its %s display: nobody gets in until it is set again",
				       vnc ? "VNC" : "SPICE");
	}
	return 0;
}
