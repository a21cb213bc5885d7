// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * launch.json between struct and file; its contract is in launch.h. Also the words
 * that QEMU is started with, which are the captured ones plus our suffix:
 *
 *	-machine type=pc-q35-11.1			(if argv only has an alias)
 *	-add-fd fd=3,set=N,opaque=luctl-state
 *	-incoming defer
 *
 * The state comes through a file descriptor, so QEMU's user needs no way to the
 * state file; QEMU drops the set by itself once the monitor is closed and the guest
 * runs. The capability x-ignore-shared, which must be set before loading, is given
 * over the monitor: as -global only QEMU 11 takes it. A capture takes the last two
 * away again (argv.c), the machine type stays and is found equal the next time, so
 * chained updates do not grow the line.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "argv.h"
#include "inherited.h"
#include "launch.h"
#include "store.h"

void lu_launch_clear(struct lu_launch *l)
{
	lu_json_free(&lu_launch_table, l);
}

int lu_launch_read(int dir_fd, struct lu_launch *ret, struct lu_error *e)
{
	static const char *const known[] = { LU_LAUNCH_DEVICES,  LU_LAUNCH_VIEW,   LU_LAUNCH_SCHED, LU_LAUNCH_INHERITED,
					     LU_LAUNCH_APPARMOR, LU_LAUNCH_HANDED, LU_LAUNCH_TPM,   LU_LAUNCH_TASK };
	struct lu_launch l = { 0 };
	int r;

	r = lu_json_load(dir_fd, "launch.json", LU_STORE_JSON_MAX, &lu_launch_table, &l, e);
	if (r < 0)
		return r;
	for (char **p = l.features; p && *p; p++) {
		bool knows = false;

		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			knows |= !strcmp(*p, known[i]);
		if (knows)
			continue;
		r = lu_error_set(e, -EOPNOTSUPP, "update luctl in the system that is booted",
				 "launch.json of VM %s: needs feature \"%s\", which this luctl does not know", l.name,
				 *p);
		lu_launch_clear(&l);
		return r;
	}
	r = lu_inherited_check(&l, e);
	if (r < 0) {
		lu_launch_clear(&l);
		return r;
	}
	*ret = l;
	return 0;
}

bool lu_tpm_terminates(char *const *argv)
{
	for (size_t i = 1; argv[0] && argv[i]; i++)
		if (!strcmp(argv[i], "-t") || !strcmp(argv[i], "--terminate"))
			return true;
	return false;
}

int lu_launch_add_feature(struct lu_launch *l, const char *feature)
{
	size_t n = 0;

	for (; l->features && l->features[n]; n++)
		if (!strcmp(l->features[n], feature))
			return 0;
	if (!l->features && !(l->features = calloc(LU_LAUNCH_FEATURES_MAX + 1, sizeof(*l->features))))
		return -ENOMEM;
	if (n == LU_LAUNCH_FEATURES_MAX)
		return -E2BIG;
	l->features[n] = strdup(feature);
	return l->features[n] ? 0 : -ENOMEM;
}

int lu_launch_write(int dir_fd, const struct lu_launch *l, struct lu_error *e)
{
	return lu_json_store(dir_fd, "launch.json", 0600, &lu_launch_table, l, e);
}

bool lu_launch_may_write(const struct lu_launch *l, const struct stat *st)
{
	bool member = st->st_gid == l->gid;

	if (l->uid == 0)
		return true;
	if (st->st_uid == l->uid)
		return (st->st_mode & 0600) == 0600;
	for (size_t i = 0; i < l->n_groups; i++)
		member |= st->st_gid == l->groups[i];
	return member ? (st->st_mode & 060) == 060 : (st->st_mode & 06) == 06;
}

int lu_launch_add_need(struct lu_launch *l, const char *path, enum lu_need_kind kind, bool write, uint64_t uid,
		       uint64_t gid, uint64_t mode)
{
	struct lu_launch_need *p;

	for (size_t i = 0; i < l->n_needs; i++) {
		if (!strcmp(l->needs[i].path, path)) {
			l->needs[i].write |= write;
			return 0;
		}
	}
	p = reallocarray(l->needs, l->n_needs + 1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	l->needs = p;
	p += l->n_needs;
	*p = (struct lu_launch_need){
		.path = strdup(path), .kind = kind, .write = write, .uid = uid, .gid = gid, .mode = mode
	};
	if (!p->path)
		return -ENOMEM;
	l->n_needs++;
	return 0;
}

/* Does the command line itself end up with this machine type? The last -machine or -M that has a type wins. */
static int names_machine(char *const *argv, const char *machine)
{
	struct lu_arg arg = { 0 };
	int same = 0;

	while (lu_argv_next(argv, &arg)) {
		_cleanup_free_ char *type = NULL;
		int r;

		if ((strcmp(arg.name, "machine") != 0 && strcmp(arg.name, "M") != 0) || !arg.value)
			continue;
		r = lu_argv_property(arg.value, "type", &type);
		if (r < 0)
			return r;
		if (r == 0) {
			size_t n = strcspn(arg.value, ",");

			if (memchr(arg.value, '=', n))
				continue; /* only properties */
			type = strndup(arg.value, n);
			if (!type)
				return -ENOMEM;
		}
		same = !strcmp(type, machine);
	}
	return same;
}

int lu_launch_argv(const struct lu_launch *l, bool incoming, char ***ret)
{
	const char *suffix[8];
	_cleanup_free_ char *type = NULL, *fd = NULL;
	_cleanup_(lu_argv_freep) char **argv = NULL;
	char **p;
	size_t n = 0, k = 0;
	int r;

	r = lu_argv_restorable(l->argv, &argv);
	if (r < 0)
		return r;
	while (argv[n])
		n++;
	r = l->machine ? names_machine(argv, l->machine) : 1;
	if (r < 0)
		return r;
	if (r == 0) {
		if (asprintf(&type, "type=%s", l->machine) < 0) {
			type = NULL;
			return -ENOMEM;
		}
		suffix[k++] = "-machine";
		suffix[k++] = type;
	}
	if (incoming) {
		if (asprintf(&fd, "fd=%d,set=%s,%s", LU_LAUNCH_STATE_FD, strrchr(LU_LAUNCH_STATE_URI, '/') + 1,
			     LU_LAUNCH_FD_OPAQUE) < 0) {
			fd = NULL;
			return -ENOMEM;
		}
		suffix[k++] = "-add-fd";
		suffix[k++] = fd;
		suffix[k++] = "-incoming";
		suffix[k++] = "defer";
	}
	p = reallocarray(argv, n + k + 1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	argv = p;
	for (size_t i = 0; i < k; i++) {
		argv[n + i] = strdup(suffix[i]);
		if (!argv[n + i])
			return -ENOMEM;
		argv[n + i + 1] = NULL;
	}
	*ret = steal_ptr(argv);
	return 0;
}
