/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Settings of the daemon: /etc/luctl/luctld.conf, then luctld.conf.d/NAME.conf in the order of their names. */
#include "error.h"

#define LU_RUN_DIR "/run/luctl"

enum lu_config_trial {
	LU_CONFIG_AUTO,
	LU_CONFIG_YES,
	LU_CONFIG_NO
};

struct lu_config {
	char *pkernfs;              /* mount point of pkernfs */
	char *vms_dir;              /* directory of declared VMs */
	bool quiesce;               /* stop ordinary units before the guests are paused */
	bool freeze;                /* freeze the block file systems at the jump */
	bool libvirt;               /* take guests of libvirt along */
	uint64_t save_timeout_usec; /* for pausing and for saving one VM */
	enum lu_config_trial trial; /* try the target in a machine of its own: AUTO: where that is possible */
	uint64_t trial_usec;        /* how long a trial may take */
	char *trial_running;        /* image of the running kernel; NULL: /boot/vmlinuz-RELEASE */
	uint64_t restores;          /* how many VMs are restored at once; 0: as many as there are CPUs */
	char **order;               /* names or UUIDs of the VMs that come first, NULL-terminated; or NULL */
};

/**
 * lu_config_load() - defaults, overridden by what the files of @dir say
 * @dir: "/etc/luctl"; missing files are fine
 *
 * An unknown section or key and a bad value are errors that name file and line.
 */
int lu_config_load(const char *dir, struct lu_config *ret, struct lu_error *error);
void lu_config_clear(struct lu_config *c);

/** lu_config_turn() - place of a VM in the order, or SIZE_MAX if it is not named there */
size_t lu_config_turn(const struct lu_config *c, const char *name, const char *uuid);

/** lu_config_limit() - time limit of a state in which VMs are paused or saved; each VM's own ends first, so that it is named */
uint64_t lu_config_limit(const struct lu_config *c, unsigned int default_sec);

/** lu_config_check_limit() - time limit of the check, in which a trial may be made twice */
uint64_t lu_config_check_limit(const struct lu_config *c, unsigned int default_sec);
