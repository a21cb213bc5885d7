/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * /var/lib/luctl/measured.json (schema measured): what parts of a blackout took in the last update that
 * went through, and what that says about the next one. Nothing here is estimated: a part that was never
 * measured makes the whole unknown, or is taken from other VMs, and the prediction says so.
 *
 *	blackout of a VM = before (its pause → the jump) + kexec + after (first instruction of
 *	the new kernel's userspace → it runs)
 */
#include "doc-measured.h"

#define LU_MEASURED_DIR "/var/lib/luctl"
#define LU_MEASURED_PATH LU_MEASURED_DIR "/measured.json"
#define LU_MEASURED_UNKNOWN UINT64_MAX

enum lu_basis {
	LU_BASIS_OWN,     /* the VM's own parts */
	LU_BASIS_OTHERS,  /* of the slowest VM like it */
	LU_BASIS_UNKNOWN, /* @text says why */
	LU_BASIS_MAX
};

struct lu_prediction {
	uint64_t usec;      /* LU_MEASURED_UNKNOWN */
	uint64_t rest_usec; /* of it, from the jump on; the same */
	enum lu_basis basis;
	char text[200]; /* what it is based on, for people */
};

const char *lu_basis_name(enum lu_basis basis);

void lu_measured_clear(struct lu_measured *m);

/** lu_measured_read() - 0, also if there is none; or a negative errno with @e */
int lu_measured_read(int dirfd, const char *path, struct lu_measured *ret, struct lu_error *e);
int lu_measured_write(int dirfd, const char *path, const struct lu_measured *m, struct lu_error *e);

/** lu_measured_note() - @vm was measured: takes its strings over (frees them if that fails); replaces what was known of it */
int lu_measured_note(struct lu_measured *m, struct lu_measured_vm *vm);

/** lu_measured_predict() - the blackout of a VM with @devices passed-through devices */
void lu_measured_predict(const struct lu_measured *m, const char *uuid, uint64_t devices, struct lu_prediction *ret);
