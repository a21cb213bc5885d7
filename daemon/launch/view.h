/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What a QEMU in a mount namespace of its own sees, as a record from which a namespace with the same view is made in
 * another kernel: by systemd's sandbox of a unit (ProtectSystem=, PrivateTmp=, …), or by libvirt (a private /dev).
 *
 * The record is taken by comparing /proc/PID/mountinfo with the host's. Of mounts that lie over each other only the
 * one on top counts, so a view is a map from path to mount. Each mount is one of
 *	same	the host's own at the same place; only its flags ("ro", "nosuid", …) may differ
 *	bind	a directory or file that the host shows, too: "source" is its path there; without a source it is what
 *		the mount below has at this place, bound for the sake of its flags
 *	fresh	a file system of its own that holds nothing worth keeping: an instance of "type" with "options"
 *	node	an empty file, a device node and the like that stands in memory: made again, then bound
 *	absent	the host has a mount there, this namespace has none
 * What is in a fresh tmpfs (directories, links, device nodes, empty files) is in "entries", in the order in which it is made.
 * "device" of a node is its name in /dev: its number may be another one in the next kernel.
 *
 * "follows": mounts that the host makes later appear here, too, as they did before (a slave, MountFlags=slave). One that
 * the record has as "same" but is not there yet gets its flags when it is: lu_view_complete().
 * "optional" mounts are those of kernel interfaces that the host's services mount: what is not there is left out.
 *
 * Maxima: 1024 mounts, 1024 entries. Everything else (a file system that the host does not show, a file with contents in
 * memory) is a reason to refuse the VM.
 */
#include "doc-view.h"
#include "reasons.h"

/**
 * lu_view_compose() - compare two texts of /proc/PID/mountinfo; reads nothing else
 * @why: gets what can't be made again
 * @ret: without entries and without nodes: see lu_view_capture()
 *
 * Return: 0, also if @why has got something; -EBADMSG if it is no mountinfo; -ENOMEM.
 */
int lu_view_compose(const char *host, const char *own, struct lu_view *ret, struct lu_reasons *why);

/**
 * lu_view_check() - is a namespace what the record says?
 * @own: its mountinfo
 * @complete: also those mounts that may come later must be right
 *
 * Return: 0, or -EBADMSG with @e naming the first difference.
 */
int lu_view_check(const struct lu_view *v, const char *own, bool complete, struct lu_error *e);

/** lu_view_mount_of() - the mount that @path is on; NULL if there is none */
const struct lu_view_mount *lu_view_mount_of(const struct lu_view *v, const char *path);

/** lu_view_host_path() - where the host has what this view shows at @path; NULL with errno 0: nowhere. free() it */
char *lu_view_host_path(const struct lu_view *v, const char *path);

/** lu_view_below() - is @path @dir itself or below it? */
bool lu_view_below(const char *path, const char *dir);

void lu_view_clear(struct lu_view *v);

/**
 * struct lu_view_from - where to capture
 * @proc_fd: /proc
 * @host: the process whose namespace is the host's
 * @root: the root directory of the one whose view it is
 */
struct lu_view_from {
	int proc_fd;
	pid_t host;
	int root;
};

/**
 * lu_view_capture() - the view of @pid, with what is in its own file systems
 * @ret_late: why it can't be made before the host's services are up, or NULL; free() it
 *
 * Return: 0, also if @why has got something; or a negative errno.
 */
int lu_view_capture(const struct lu_view_from *from, pid_t pid, struct lu_view *ret, char **ret_late,
		    struct lu_reasons *why);

/**
 * lu_view_make() - give the calling process a namespace with this view
 *
 * Its own must be the host's. For a child that executes something next: a failure leaves the namespace as it is then.
 */
int lu_view_make(const struct lu_view *v, struct lu_error *e);

/**
 * lu_view_complete() - in the namespace of the caller, give flags to mounts that were not there when it was made
 *
 * Return: 0 if the namespace is what the record says.
 */
int lu_view_complete(const struct lu_view *v, struct lu_error *e);
