// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See measured.h. The file is written at the end of an update that jumped, by the new
 * kernel's daemon, from the flight recorder; it is read by each check. VMs that were not part of
 * that update keep what was measured of them before; of more than LU_MEASURED_VMS_MAX the oldest goes.
 *
 * A VM that was never measured is predicted by the slowest of those that resemble it: with
 * passed-through devices or without, since setting devices up again is what differs most.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "measured.h"

#define MEASURED_MAX (4u << 20)

const char *lu_basis_name(enum lu_basis basis)
{
	static const char *const names[LU_BASIS_MAX] = {
		[LU_BASIS_OWN] = "own",
		[LU_BASIS_OTHERS] = "others",
		[LU_BASIS_UNKNOWN] = "unknown",
	};

	return names[basis];
}

void lu_measured_clear(struct lu_measured *m)
{
	lu_json_free(&lu_measured_table, m);
}

int lu_measured_read(int dirfd, const char *path, struct lu_measured *ret, struct lu_error *e)
{
	_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
	int r;

	*ret = (struct lu_measured){ 0 };
	r = lu_json_load(dirfd, path, MEASURED_MAX, &lu_measured_table, ret, &why);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		lu_error_move(e, &why);
	return r;
}

int lu_measured_write(int dirfd, const char *path, const struct lu_measured *m, struct lu_error *e)
{
	_cleanup_free_ char *text = NULL;
	int r = lu_json_encode_text(&lu_measured_table, m, &text, e);

	if (r >= 0)
		r = lu_write_file(dirfd, path, text, strlen(text), 0644);
	return r < 0 ? lu_error_set(e, r, NULL, "%s: %s", path, strerror(-r)) : 0;
}

static void vm_clear(struct lu_measured_vm *vm)
{
	free(vm->name);
	free(vm->uuid);
	*vm = (struct lu_measured_vm){ 0 };
}

/* Where a VM is to be noted: its own place, a new one, or the oldest's. */
static struct lu_measured_vm *place(struct lu_measured *m, const char *uuid)
{
	struct lu_measured_vm *list, *oldest = m->vms;

	for (size_t i = 0; i < m->n_vms; i++) {
		if (!strcasecmp(m->vms[i].uuid, uuid))
			return &m->vms[i];
		if (m->vms[i].at_usec < oldest->at_usec)
			oldest = &m->vms[i];
	}
	if (m->n_vms >= LU_MEASURED_VMS_MAX)
		return oldest;
	list = reallocarray(m->vms, m->n_vms + 1, sizeof(*list));
	if (!list)
		return NULL;
	m->vms = list;
	list[m->n_vms] = (struct lu_measured_vm){ 0 };
	return &list[m->n_vms++];
}

int lu_measured_note(struct lu_measured *m, struct lu_measured_vm *vm)
{
	struct lu_measured_vm *to = vm->name && vm->uuid ? place(m, vm->uuid) : NULL;

	if (!to) {
		vm_clear(vm);
		return -ENOMEM;
	}
	vm_clear(to);
	*to = *vm;
	*vm = (struct lu_measured_vm){ 0 };
	return 0;
}

static const struct lu_measured_vm *find(const struct lu_measured *m, const char *uuid)
{
	for (size_t i = 0; i < m->n_vms; i++)
		if (!strcasecmp(m->vms[i].uuid, uuid))
			return &m->vms[i];
	return NULL;
}

static uint64_t own_part(const struct lu_measured_vm *vm)
{
	return vm->before_usec + vm->after_usec;
}

static const struct lu_measured_vm *slowest_like(const struct lu_measured *m, bool devices)
{
	const struct lu_measured_vm *found = NULL;

	for (size_t i = 0; i < m->n_vms; i++)
		if ((m->vms[i].devices > 0) == devices && (!found || own_part(&m->vms[i]) > own_part(found)))
			found = &m->vms[i];
	return found;
}

static const char *day(uint64_t usec, char buf[32])
{
	time_t t = (time_t)(usec / 1000000);
	struct tm tm;

	if (!localtime_r(&t, &tm) || strftime(buf, 32, "%F %R", &tm) == 0)
		strcpy(buf, "?");
	return buf;
}

void lu_measured_predict(const struct lu_measured *m, const char *uuid, uint64_t devices, struct lu_prediction *ret)
{
	const struct lu_measured_vm *vm = find(m, uuid);
	char when[32], then[32];

	*ret = (struct lu_prediction){ .usec = LU_MEASURED_UNKNOWN,
				       .rest_usec = LU_MEASURED_UNKNOWN,
				       .basis = LU_BASIS_UNKNOWN };
	if (m->at_usec == 0) {
		snprintf(ret->text, sizeof(ret->text), "no update has been measured on this host yet");
		return;
	}
	ret->basis = vm ? LU_BASIS_OWN : LU_BASIS_OTHERS;
	if (!vm)
		vm = slowest_like(m, devices > 0);
	if (!vm) {
		ret->basis = LU_BASIS_UNKNOWN;
		snprintf(ret->text, sizeof(ret->text), "no VM %s passed-through devices has been measured yet",
			 devices ? "with" : "without");
		return;
	}
	ret->usec = m->kexec_usec + own_part(vm);
	ret->rest_usec = m->kexec_usec + vm->after_usec;
	if (ret->basis == LU_BASIS_OWN)
		snprintf(ret->text, sizeof(ret->text), "its own times of %s, kexec of %s with %llu VMs",
			 day(vm->at_usec, when), day(m->at_usec, then), (unsigned long long)m->vms_then);
	else
		snprintf(ret->text, sizeof(ret->text),
			 "never measured: times of %s, the slowest like it, of %s, kexec of %s with %llu VMs", vm->name,
			 day(vm->at_usec, when), day(m->at_usec, then), (unsigned long long)m->vms_then);
}
