/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* "view" of launch.json (schema launch): what a QEMU in a mount namespace of its own sees. Its contract is in daemon/launch/view.h. */
#include "json.h"

#define LU_VIEW_MOUNTS_MAX 1024u
#define LU_VIEW_ENTRIES_MAX 1024u

enum lu_view_kind {
	LU_VIEW_SAME,
	LU_VIEW_BIND,
	LU_VIEW_FRESH,
	LU_VIEW_NODE,
	LU_VIEW_ABSENT,
};

struct lu_view_mount {
	char *path;
	int kind;
	char *source;  /* bind */
	char *type;    /* file system type of all but absent ones */
	char *options; /* fresh, or NULL */
	char **flags;  /* as mountinfo names them; NULL: absent */
	bool optional;
	uint64_t mode, uid, gid; /* node: with its type; fresh tmpfs: of its root */
	uint64_t major, minor;   /* node */
};

/** struct lu_view_entry - something in a fresh tmpfs */
struct lu_view_entry {
	char *path;
	char *target;            /* of a symbolic link */
	char *device;            /* below /dev: which device the node is; NULL: the number that is given */
	char *label;             /* security.selinux, or NULL */
	uint64_t mode, uid, gid; /* with its type */
	uint64_t major, minor;
};

struct lu_view {
	bool follows;
	struct lu_view_mount *mounts; /* sorted by path: what is mounted on comes first */
	size_t n_mounts;
	struct lu_view_entry *entries;
	size_t n_entries;
};

extern const struct lu_json_table lu_view_table;
