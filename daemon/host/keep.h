/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Units that quiescing leaves as they are, since guests lean on them: wants of luctl-jump.target, in /run, and only
 * if they are active, because a want would start one that is merely installed.
 */
#include "error.h"

/** struct lu_keep - named ones, beside those that guests always lean on */
struct lu_keep {
	char **list;
	size_t n;
};

void lu_keep_clear(struct lu_keep *k);

/** lu_keep_add() - one more, unless it is there already */
int lu_keep_add(struct lu_keep *k, const char *unit);

/**
 * lu_keep_link() - make the links, in place of those of an earlier update, and clear @k
 * @active: the names of active units, one a line, each after a newline
 * @ret_any: systemd has to reload
 */
int lu_keep_link(struct lu_keep *k, const char *active, bool *ret_any, struct lu_error *error);

/** lu_keep_line_in() - is @name one of such @lines? */
bool lu_keep_line_in(const char *name, const char *lines);
