// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * launch.json as a table. What a field means is in doc-launch.h, what the document promises in daemon/launch/launch.h. Fields that
 * came later ("inherited", "view", "sched", "task", "apparmor", "cpr", "tpm") are left out or null where a VM does not need them, and have a word
 * in "features"
 * where it does: so an older luctl reads the documents of all VMs that it can start.
 */
#include <string.h>
#include <sys/resource.h>

#include "doc-devices.h"
#include "doc-launch.h"
#include "documents.h"

static bool path_valid(const char *s)
{
	return s[0] == '/' && strlen(s) < 4096;
}

static bool var_name_valid(const char *s)
{
	return s[0] && !strchr(s, '=');
}

static bool machine_valid(const char *s)
{
	return s[0] && strlen(s) <= 64 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_+") == strlen(s);
}

static bool cpus_valid(const char *s)
{
	return s[0] && strlen(s) < 4096 && strspn(s, "0123456789,-") == strlen(s);
}

static const struct lu_json_field var_fields[] = {
	{ "name", LU_JSON_STRING, offsetof(struct lu_launch_var, name), LU_JSON_REQUIRED, .check = var_name_valid,
	  .expect = "the name of a variable" },
	{ "value", LU_JSON_STRING, offsetof(struct lu_launch_var, value), LU_JSON_REQUIRED },
};
static const struct lu_json_table var_table = LU_JSON_TABLE("variable", struct lu_launch_var, var_fields);

static const struct lu_json_field limit_fields[] = {
	{ "name", LU_JSON_STRING, offsetof(struct lu_launch_limit, name), LU_JSON_REQUIRED, .min = 1, .max = 16 },
	{ "soft", LU_JSON_UINT, offsetof(struct lu_launch_limit, soft), LU_JSON_REQUIRED | LU_JSON_NULLABLE,
	  .def = -1 },
	{ "hard", LU_JSON_UINT, offsetof(struct lu_launch_limit, hard), LU_JSON_REQUIRED | LU_JSON_NULLABLE,
	  .def = -1 },
};
static const struct lu_json_table limit_table = LU_JSON_TABLE("limit", struct lu_launch_limit, limit_fields);

static const struct lu_json_field ram_fields[] = {
	{ "path", LU_JSON_STRING, offsetof(struct lu_launch_ram, path), LU_JSON_REQUIRED, .check = path_valid,
	  .expect = "an absolute path" },
	{ "size", LU_JSON_UINT, offsetof(struct lu_launch_ram, size), LU_JSON_REQUIRED, .min = 1, .max = 1ULL << 48 },
	{ "inode", LU_JSON_UINT, offsetof(struct lu_launch_ram, inode), LU_JSON_REQUIRED },
};
static const struct lu_json_table ram_table = LU_JSON_TABLE("ram", struct lu_launch_ram, ram_fields);

static const struct lu_json_field vcpu_fields[] = {
	{ "index", LU_JSON_UINT, offsetof(struct lu_launch_vcpu, index), LU_JSON_REQUIRED, .max = 1U << 20 },
	{ "cpus", LU_JSON_STRING, offsetof(struct lu_launch_vcpu, cpus), LU_JSON_REQUIRED, .check = cpus_valid,
	  .expect = "a list of CPUs" },
};
static const struct lu_json_table vcpu_table = LU_JSON_TABLE("vCPU", struct lu_launch_vcpu, vcpu_fields);

static bool profile_valid(const char *s)
{
	return s[0] && strlen(s) < 512 && !strpbrk(s, "\n\r");
}

static const char *const inherited_kinds[] = { "listen", "tap", "device", "pidfile", "cpr", NULL };

static bool interface_valid(const char *s)
{
	return s[0] && strlen(s) < 16 && !strchr(s, '/') && strspn(s, ".") != strlen(s);
}

static bool mac_valid(const char *s)
{
	for (size_t i = 0; i < 17; i++)
		if (i % 3 == 2 ? s[i] != ':' : !strchr("0123456789abcdef", s[i]) || !s[i])
			return false;
	return s[17] == '\0';
}

static const char *const need_kinds[] = { "file", "directory", "block", "char", NULL };

#define ID_MAX 0xfffffffeULL
static const struct lu_json_field need_fields[] = {
	{ "path", LU_JSON_STRING, offsetof(struct lu_launch_need, path), LU_JSON_REQUIRED, .check = path_valid,
	  .expect = "an absolute path" },
	{ "kind", LU_JSON_ENUM, offsetof(struct lu_launch_need, kind), LU_JSON_REQUIRED, .names = need_kinds },
	{ "write", LU_JSON_BOOL, offsetof(struct lu_launch_need, write), LU_JSON_REQUIRED },
	{ "uid", LU_JSON_UINT, offsetof(struct lu_launch_need, uid), LU_JSON_REQUIRED, .max = ID_MAX },
	{ "gid", LU_JSON_UINT, offsetof(struct lu_launch_need, gid), LU_JSON_REQUIRED, .max = ID_MAX },
	{ "mode", LU_JSON_UINT, offsetof(struct lu_launch_need, mode), LU_JSON_REQUIRED, .max = 07777 },
};
static const struct lu_json_table need_table = LU_JSON_TABLE("need", struct lu_launch_need, need_fields);

static const struct lu_json_field inherited_fields[] = {
	{ "fd", LU_JSON_UINT, offsetof(struct lu_launch_inherited, fd), LU_JSON_REQUIRED, .min = LU_LAUNCH_MORE_FD,
	  .max = LU_INHERITED_FD_MAX },
	{ "kind", LU_JSON_ENUM, offsetof(struct lu_launch_inherited, kind), LU_JSON_REQUIRED,
	  .names = inherited_kinds },
	{ "path", LU_JSON_STRING, offsetof(struct lu_launch_inherited, path), LU_JSON_NULLABLE, .check = path_valid,
	  .expect = "an absolute path" },
	{ "uid", LU_JSON_UINT, offsetof(struct lu_launch_inherited, uid), LU_JSON_REQUIRED, .max = ID_MAX },
	{ "gid", LU_JSON_UINT, offsetof(struct lu_launch_inherited, gid), LU_JSON_REQUIRED, .max = ID_MAX },
	{ "mode", LU_JSON_UINT, offsetof(struct lu_launch_inherited, mode), LU_JSON_REQUIRED, .max = 07777 },
	{ "name", LU_JSON_STRING, offsetof(struct lu_launch_inherited, name), LU_JSON_NULLABLE,
	  .check = interface_valid, .expect = "the name of a network interface" },
	{ "flags", LU_JSON_UINT, offsetof(struct lu_launch_inherited, flags), LU_JSON_REQUIRED, .max = 0xffff },
	{ "mac", LU_JSON_STRING, offsetof(struct lu_launch_inherited, mac), LU_JSON_NULLABLE, .check = mac_valid,
	  .expect = "an Ethernet address" },
	{ "mtu", LU_JSON_UINT, offsetof(struct lu_launch_inherited, mtu), LU_JSON_REQUIRED, .max = 65535 },
	{ "bridge", LU_JSON_STRING, offsetof(struct lu_launch_inherited, bridge), LU_JSON_NULLABLE,
	  .check = interface_valid, .expect = "the name of a network interface" },
	/* left out where it is not needed, so that an older luctl can read it */
	{ "cpr", LU_JSON_STRING, offsetof(struct lu_launch_inherited, cpr), 0, .check = lu_cpr_name_valid,
	  .expect = "1 to 1023 bytes without controls" },
};
static const struct lu_json_table inherited_table =
	LU_JSON_TABLE("inherited descriptor", struct lu_launch_inherited, inherited_fields);

/* by SCHED_*; Linux has no 4, and deadlines are not kept */
static const char *const policies[] = { "other", "fifo", "rr", "batch", "iso", "idle", NULL };

static const struct lu_json_field sched_fields[] = {
	{ "policy", LU_JSON_ENUM, offsetof(struct lu_launch_sched, policy), LU_JSON_REQUIRED, .names = policies },
	{ "nice", LU_JSON_INT, offsetof(struct lu_launch_sched, nice), LU_JSON_REQUIRED, .min = -20, .max = 19 },
	{ "priority", LU_JSON_UINT, offsetof(struct lu_launch_sched, priority), LU_JSON_REQUIRED, .max = 99 },
};
static const struct lu_json_table sched_table = LU_JSON_TABLE("sched", struct lu_launch_sched, sched_fields);

/* by IOPRIO_CLASS_* */
static const char *const io_classes[] = { "none", "realtime", "best-effort", "idle", NULL };

/* by LU_CORES_* */
static const char *const task_cores[] = { "any", "process", "vcpus", NULL };

static const struct lu_json_field task_fields[] = {
	{ "io_class", LU_JSON_ENUM, offsetof(struct lu_launch_task, io_class), LU_JSON_REQUIRED, .names = io_classes },
	{ "io_priority", LU_JSON_UINT, offsetof(struct lu_launch_task, io_priority), LU_JSON_REQUIRED, .max = 0x1fff },
	{ "coredump_filter", LU_JSON_UINT, offsetof(struct lu_launch_task, coredump_filter),
	  LU_JSON_REQUIRED | LU_JSON_NULLABLE, .max = 0xffffffff, .def = -1 },
	{ "timer_slack_ns", LU_JSON_UINT, offsetof(struct lu_launch_task, timer_slack_ns),
	  LU_JSON_REQUIRED | LU_JSON_NULLABLE, .min = 1, .max = INT64_MAX, .def = -1 },
	{ "cores", LU_JSON_ENUM, offsetof(struct lu_launch_task, cores), LU_JSON_REQUIRED, .names = task_cores },
};
static const struct lu_json_table task_table = LU_JSON_TABLE("task", struct lu_launch_task, task_fields);

#define FIELD(_key, _type, _flags, ...)                                             \
	{                                                                           \
#_key, _type, offsetof(struct lu_launch, _key), _flags, __VA_ARGS__ \
	}
#define LIST(_key, _type, ...)                                                            \
	{                                                                                 \
#_key, _type, offsetof(struct lu_launch, _key), LU_JSON_REQUIRED,         \
			.count_offset = offsetof(struct lu_launch, n_##_key), __VA_ARGS__ \
	}

#define TPM_FIELD(_key, _type, _flags, ...)                                                     \
	{                                                                                       \
#_key, _type, offsetof(struct lu_launch_tpm, process._key), _flags, __VA_ARGS__ \
	}
#define TPM_LIST(_key, _type, ...)                                                                    \
	{                                                                                             \
#_key, _type, offsetof(struct lu_launch_tpm, process._key), LU_JSON_REQUIRED,         \
			.count_offset = offsetof(struct lu_launch_tpm, process.n_##_key), __VA_ARGS__ \
	}

/* Of a process that is started before QEMU: what concerns the process, as below. */
static const struct lu_json_field tpm_fields[] = {
	{ "socket", LU_JSON_STRING, offsetof(struct lu_launch_tpm, socket), LU_JSON_REQUIRED, .check = path_valid,
	  .expect = "an absolute path" },
	{ "unit", LU_JSON_STRING, offsetof(struct lu_launch_tpm, unit), LU_JSON_NULLABLE, .min = 1, .max = 255 },
	TPM_FIELD(exe, LU_JSON_STRING, LU_JSON_REQUIRED, .check = path_valid, .expect = "an absolute path"),
	TPM_FIELD(argv, LU_JSON_STRINGS, LU_JSON_REQUIRED, .min = 1, .max = 4096),
	TPM_LIST(env, LU_JSON_OBJECTS, .max = 1024, .table = &var_table),
	TPM_FIELD(uid, LU_JSON_UINT, LU_JSON_REQUIRED, .max = ID_MAX),
	TPM_FIELD(gid, LU_JSON_UINT, LU_JSON_REQUIRED, .max = ID_MAX),
	TPM_LIST(groups, LU_JSON_UINTS, .max = 1024),
	TPM_FIELD(cwd, LU_JSON_STRING, LU_JSON_REQUIRED, .check = path_valid, .expect = "an absolute path"),
	TPM_LIST(limits, LU_JSON_OBJECTS, .max = RLIM_NLIMITS, .table = &limit_table),
	TPM_FIELD(oom_score_adj, LU_JSON_INT, LU_JSON_REQUIRED, .min = -1000, .max = 1000),
	TPM_FIELD(umask, LU_JSON_UINT, LU_JSON_REQUIRED, .max = 0777),
	TPM_FIELD(cap_bounding, LU_JSON_UINT, LU_JSON_REQUIRED),
	TPM_FIELD(cap_ambient, LU_JSON_UINT, LU_JSON_REQUIRED),
	TPM_FIELD(no_new_privs, LU_JSON_BOOL, LU_JSON_REQUIRED),
	TPM_FIELD(cpus, LU_JSON_STRING, LU_JSON_NULLABLE, .check = cpus_valid, .expect = "a list of CPUs"),
	TPM_LIST(needs, LU_JSON_OBJECTS, .max = 1024, .table = &need_table),
	TPM_FIELD(preload, LU_JSON_STRINGS, LU_JSON_REQUIRED, .max = 1024),
	TPM_FIELD(view, LU_JSON_OBJECT_PTR, 0, .table = &lu_view_table),
	TPM_FIELD(sched, LU_JSON_OBJECT_PTR, 0, .table = &sched_table),
	TPM_FIELD(task, LU_JSON_OBJECT_PTR, 0, .table = &task_table),
};
static const struct lu_json_table tpm_table = LU_JSON_TABLE("tpm", struct lu_launch_tpm, tpm_fields);

static const struct lu_json_field launch_fields[] = {
	FIELD(features, LU_JSON_STRINGS, LU_JSON_REQUIRED, .max = 64),
	FIELD(name, LU_JSON_STRING, LU_JSON_REQUIRED, .check = lu_name_valid, .expect = "a name of [A-Za-z0-9_.-]"),
	FIELD(uuid, LU_JSON_STRING, LU_JSON_REQUIRED, .check = lu_uuid_valid, .expect = "a UUID"),
	FIELD(unit, LU_JSON_STRING, LU_JSON_NULLABLE, .min = 1, .max = 255),
	FIELD(exe, LU_JSON_STRING, LU_JSON_REQUIRED, .check = path_valid, .expect = "an absolute path"),
	FIELD(argv, LU_JSON_STRINGS, LU_JSON_REQUIRED, .min = 1, .max = 4096),
	LIST(env, LU_JSON_OBJECTS, .max = 1024, .table = &var_table),
	FIELD(uid, LU_JSON_UINT, LU_JSON_REQUIRED, .max = ID_MAX),
	FIELD(gid, LU_JSON_UINT, LU_JSON_REQUIRED, .max = ID_MAX),
	LIST(groups, LU_JSON_UINTS, .max = 1024),
	FIELD(cwd, LU_JSON_STRING, LU_JSON_REQUIRED, .check = path_valid, .expect = "an absolute path"),
	FIELD(cgroup, LU_JSON_STRING, LU_JSON_NULLABLE, .check = path_valid, .expect = "a control group"),
	LIST(limits, LU_JSON_OBJECTS, .max = RLIM_NLIMITS, .table = &limit_table),
	FIELD(oom_score_adj, LU_JSON_INT, LU_JSON_REQUIRED, .min = -1000, .max = 1000),
	FIELD(umask, LU_JSON_UINT, LU_JSON_REQUIRED, .max = 0777),
	FIELD(cap_bounding, LU_JSON_UINT, LU_JSON_REQUIRED),
	FIELD(cap_ambient, LU_JSON_UINT, LU_JSON_REQUIRED),
	FIELD(no_new_privs, LU_JSON_BOOL, LU_JSON_REQUIRED),
	FIELD(cpus, LU_JSON_STRING, LU_JSON_NULLABLE, .check = cpus_valid, .expect = "a list of CPUs"),
	LIST(vcpus, LU_JSON_OBJECTS, .max = 4096, .table = &vcpu_table),
	FIELD(qmp, LU_JSON_STRING, LU_JSON_REQUIRED, .check = path_valid, .expect = "an absolute path"),
	FIELD(agent, LU_JSON_STRING, LU_JSON_NULLABLE, .check = path_valid, .expect = "an absolute path"),
	LIST(ram, LU_JSON_OBJECTS, .min = 1, .max = 64, .table = &ram_table),
	LIST(needs, LU_JSON_OBJECTS, .max = 1024, .table = &need_table),
	FIELD(inherited, LU_JSON_OBJECTS, LU_JSON_NULLABLE, .max = 256, .table = &inherited_table,
	      .count_offset = offsetof(struct lu_launch, n_inherited)),
	FIELD(preload, LU_JSON_STRINGS, LU_JSON_REQUIRED, .max = 1024),
	FIELD(devices, LU_JSON_STRINGS, LU_JSON_NULLABLE, .max = 64),
	/* left out where there is none, so that an older luctl can read it */
	FIELD(view, LU_JSON_OBJECT_PTR, 0, .table = &lu_view_table),
	FIELD(sched, LU_JSON_OBJECT_PTR, 0, .table = &sched_table),
	FIELD(task, LU_JSON_OBJECT_PTR, 0, .table = &task_table),
	FIELD(apparmor, LU_JSON_STRING, 0, .check = profile_valid, .expect = "the name of a profile"),
	FIELD(tpm, LU_JSON_OBJECT_PTR, 0, .table = &tpm_table),
	FIELD(modules, LU_JSON_STRINGS, LU_JSON_REQUIRED, .max = 64),
	FIELD(machine, LU_JSON_STRING, LU_JSON_NULLABLE, .check = machine_valid, .expect = "a machine type"),
	FIELD(qemu_version, LU_JSON_STRING, LU_JSON_NULLABLE, .max = 64),
	FIELD(early, LU_JSON_BOOL, LU_JSON_REQUIRED),
	FIELD(late, LU_JSON_STRING, LU_JSON_NULLABLE | LU_JSON_TEXT, .min = 1, .max = LU_DOC_TEXT_MAX),
};
const struct lu_json_table lu_launch_table = LU_JSON_DOCUMENT("launch", struct lu_launch, launch_fields, 1);
