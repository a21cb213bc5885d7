/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Loading by kexec-tools, the jump by a reboot call of our own, so that a failing jump returns here with all guests
 * at hand and never ends in a cold reboot (systemctl kexec would go on to one).
 */
#include "worker.h"

/**
 * struct lu_kexec_files - what to load, as open files of ours
 * @kernel_fd: without a writer
 * @initrd, @initrd_fd: NULL: none; without a descriptor (0) by its path
 */
struct lu_kexec_files {
	int kernel_fd;
	const char *initrd;
	int initrd_fd;
};

/** lu_kexec_load() - load an image with `kexec -s`; asynchronous, see lu_worker_exec() */
int lu_kexec_load(sd_event *event, const struct lu_kexec_files *files, const char *cmdline, lu_worker_done_t done,
		  void *userdata, struct lu_worker **ret);

/** lu_kexec_loaded() - 1 if an image is loaded, 0 if not, negative errno if unknown (/sys/kernel/kexec_loaded) */
int lu_kexec_loaded(void);

/**
 * lu_kexec_changes() - how often the image was loaded, replaced or removed since boot
 * @rootfd: the root directory, or AT_FDCWD
 *
 * Of our kernel series (Documentation/ABI/testing/sysfs-kernel-kexec-kdump).
 *
 * Return: 0; -ENOENT: this kernel does not tell it; another negative errno.
 */
int lu_kexec_changes(int rootfd, uint64_t *ret);

/**
 * lu_kexec_same() - is the loaded image still the one after which there had been @changes of it?
 *
 * Return: 0; -ESTALE with @error set: somebody has loaded another one since; another negative errno.
 */
int lu_kexec_same(int rootfd, uint64_t changes, struct lu_error *error);

/** lu_kexec_unload() - drop the loaded image, if any; kexec_file_load(2) with KEXEC_FILE_UNLOAD */
int lu_kexec_unload(struct lu_error *error);

/**
 * lu_kexec_said() - what the kernel itself has said since, warnings and worse
 * @log: /dev/kmsg, not blocking, at the place to begin (Documentation/ABI/testing/dev-kmsg: one record a read)
 * @buf, @size: the texts go here, apart by "; ", as many as fit; "" if there are none
 */
void lu_kexec_said(int log, char *buf, size_t size);

/** lu_kexec_jump() - reboot into the loaded image; returns only if that failed, with all as it was */
int lu_kexec_jump(struct lu_error *error);
