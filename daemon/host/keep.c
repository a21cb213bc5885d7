// SPDX-License-Identifier: GPL-2.0-or-later
/* See keep.h. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "keep.h"

#ifndef KEEP_DIR
#define KEEP_DIR "/run/systemd/system/luctl-jump.target.wants"
#endif

/* What running guests lean on: their network, their disks, the pipes their QEMUs log into. */
static const char *const keep_units[] = {
	"systemd-networkd.service",
	"NetworkManager.service",
	"networking.service",
	"wpa_supplicant.service",
	"openvswitch-switch.service",
	"ovs-vswitchd.service",
	"ovsdb-server.service",
	"frr.service",
	"iscsid.service",
	"open-iscsi.service",
	"multipathd.service",
	"lvm2-monitor.service",
	"dm-event.service",
	"rpcbind.service",
	"rpc-statd.service",
	"nfs-blkmap.service",
	"zfs-zed.service",
	"virtlogd.service",
	"virtlockd.service",
	/* whose stop shuts guests down, those of others; undo could not bring them back */
	"libvirt-guests.service",
	"pve-guests.service",
	/* and who keeps track of them */
	"systemd-machined.service",
	"libvirtd.service",
	"virtqemud.service",
	"dbus-broker.service",
};

bool lu_keep_line_in(const char *name, const char *lines)
{
	size_t n = strlen(name);

	for (const char *p = lines; p && (p = strstr(p, name)); p += n)
		if (p > lines && p[-1] == '\n' && p[n] == '\n')
			return true;
	return false;
}

void lu_keep_clear(struct lu_keep *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->list[i]);
	free(k->list);
	k->list = NULL;
	k->n = 0;
}

int lu_keep_add(struct lu_keep *k, const char *unit)
{
	char **list;

	for (size_t i = 0; i < k->n; i++)
		if (!strcmp(k->list[i], unit))
			return 0;
	list = reallocarray(k->list, k->n + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	k->list = list;
	list[k->n] = strdup(unit);
	return list[k->n] ? (k->n++, 0) : -ENOMEM;
}

/* A symbolic link, like `systemctl add-wants --runtime`. */
static int keep_one(const char *unit, struct lu_error *error)
{
	char path[512], line[280];
	int r = lu_mkdir_p(AT_FDCWD, KEEP_DIR, 0755);

	snprintf(path, sizeof(path), KEEP_DIR "/%s", unit);
	snprintf(line, sizeof(line), "../%s", unit);
	if (r == 0 && symlink(line, path) < 0 && errno != EEXIST)
		r = -errno;
	return r < 0 ? lu_error_set(error, r, NULL, "%s: %s", path, strerror(-r)) : 0;
}

/* Links of an earlier update: they would start what has ended since. */
static void drop_links(bool *ret_any)
{
	DIR *dir = opendir(KEEP_DIR);
	struct dirent *d;

	while (dir && (d = readdir(dir)))
		if (d->d_type == DT_LNK && unlinkat(dirfd(dir), d->d_name, 0) == 0)
			*ret_any = true;
	if (dir)
		closedir(dir);
}

/* If there are any a reload is needed, so that systemd sees the links. */
int lu_keep_link(struct lu_keep *k, const char *active, bool *ret_any, struct lu_error *error)
{
	bool any = false;

	drop_links(&any);
	for (size_t i = 0; i < ARRAY_SIZE(keep_units) + k->n; i++) {
		const char *unit = i < ARRAY_SIZE(keep_units) ? keep_units[i] : k->list[i - ARRAY_SIZE(keep_units)];
		int r = lu_keep_line_in(unit, active) ? keep_one(unit, error) : 0;

		if (r < 0)
			return r;
		any |= lu_keep_line_in(unit, active);
	}
	*ret_any = any;
	lu_keep_clear(k);
	return 0;
}
