/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * An error as a person meets it: what went wrong (naming the object and the
 * cause) kept apart from what to try. Code passes the negative errno up; the
 * text travels beside it in a struct lu_error that the caller owns.
 */
#include "util.h"

struct lu_error {
	int code;   /* negative errno, 0 if unset */
	char *what; /* "VM web1: QMP socket /run/…: connection refused" */
	char *hint; /* "start the VM or remove …"; may be NULL */
};

#define LU_ERROR_INIT ((struct lu_error){ 0 })

/**
 * lu_error_set() - fill @e unless it is already filled (the first error is the cause)
 * @e: may be NULL
 * @code: negative errno
 * @hint: what to try, copied; may be NULL
 *
 * Both texts become what lu_text_clean() makes of them.
 *
 * Return: @code, so that it can stand in a return statement.
 */
int lu_error_set(struct lu_error *e, int code, const char *hint, const char *fmt, ...) _printf_(4, 5);

/** lu_error_clear() - free the texts and forget the error */
void lu_error_clear(struct lu_error *e);

/** lu_error_move() - move @from into @to (dropped if @to is NULL or already set) */
void lu_error_move(struct lu_error *to, struct lu_error *from);

#define _cleanup_error_ _cleanup_(lu_error_clear)
