/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Why a VM can't go along: a list, since an operator who removes one reason must not
 * find the next one only then. Everything that judges a VM adds to the same list.
 */
#include "error.h"

/**
 * struct lu_reason
 * @device: the passed-through function that it is about, NULL: the VM as such
 * @kernel: it keeps the VM from going over to another kernel, not from going over to another QEMU in this one
 */
struct lu_reason {
	char *device;
	char *what;
	char *hint; /* what to change; may be NULL */
	bool kernel;
};

struct lu_reasons {
	struct lu_reason *list;
	size_t n;
	bool lost; /* one could not be kept: there is one all the same */
};

#define LU_REASONS_MAX 256u /* more of one VM are not kept */

/**
 * lu_reasons_add() - add one, unless it is there already
 *
 * Never fails towards the caller: what can't be kept makes lu_reasons_any() true for good.
 */
void lu_reasons_add(struct lu_reasons *r, const char *device, const char *hint, const char *fmt, ...) _printf_(4, 5);

/** lu_reasons_add_kernel() - the same for one that keeps from another kernel only; one that is there already for both stays so */
void lu_reasons_add_kernel(struct lu_reasons *r, const char *device, const char *hint, const char *fmt, ...)
	_printf_(4, 5);

/** lu_reasons_add_error() - the same from an error, which is cleared */
void lu_reasons_add_error(struct lu_reasons *r, const char *device, struct lu_error *e);

bool lu_reasons_any(const struct lu_reasons *r);

/** lu_reasons_first() - the first as an error of -EOPNOTSUPP; @prefix goes before its text, may be NULL. Returns its code, or 0 if there is none */
int lu_reasons_first(const struct lu_reasons *r, const char *prefix, struct lu_error *e);

/** lu_reasons_move() - add what is in @from, which is empty then */
void lu_reasons_move(struct lu_reasons *to, struct lu_reasons *from);

/** lu_reasons_copy() - add what is in @from, which keeps it */
void lu_reasons_copy(struct lu_reasons *to, const struct lu_reasons *from);

/** lu_reasons_here() - only those that are left if the kernel stays: the others are removed */
void lu_reasons_here(struct lu_reasons *r);

void lu_reasons_clear(struct lu_reasons *r);
#define _cleanup_reasons_ _cleanup_(lu_reasons_clear)
