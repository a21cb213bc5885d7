/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* /var/lib/luctl/measured.json (schema measured). Its contract is in daemon/update/measured.h. */
#include "json.h"

struct lu_measured_vm {
	char *name;
	char *uuid;
	uint64_t at_usec; /* CLOCK_REALTIME of that update */
	uint64_t before_usec;
	uint64_t after_usec;
	uint64_t devices; /* that were passed through */
};

struct lu_measured {
	uint64_t at_usec; /* of the kexec; 0: none was measured */
	uint64_t kexec_usec;
	char *kernel;      /* release that was booted, or NULL */
	uint64_t vms_then; /* how many went along */
	struct lu_measured_vm *vms;
	size_t n_vms;
};

#define LU_MEASURED_VMS_MAX 4096

extern const struct lu_json_table lu_measured_table;
