/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Block devices by names that hold in the next kernel, too: numbers and names like sda are given in the order of finding. */
#include <stdbool.h>

/**
 * lu_disk_name() - what udev calls a block device after what it is: by-id, by-partuuid, by-uuid or by-path
 * @root_fd: directory that /dev and /sys are looked for in, or AT_FDCWD: the host's
 * @number: "8:16"
 * @ret: "/dev/disk/by-id/…"; free() it
 *
 * Return: 1, 0 if it has no such name, or -ENOMEM.
 */
int lu_disk_name(int root_fd, const char *number, char **ret);

/** lu_disk_number() - the device that has this name now; 1 with its number, or 0: there is none */
int lu_disk_number(int root_fd, const char *name, char ret[static 32]);

/** lu_disk_name_holds() - is it no name of a block device, or one that holds in the next kernel? A file stands for its own device */
bool lu_disk_name_holds(int root_fd, const char *name);
