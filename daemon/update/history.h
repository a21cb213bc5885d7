/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * /var/lib/luctl/reports: the reports of this host's last updates, also of those that were undone, of QEMU alone, and of
 * rehearsals. A report is a file ID.json (schema report), replaced in one step. At most LU_HISTORY_MAX of them and
 * LU_HISTORY_BYTES_MAX bytes stay; the oldest goes first, the newest never.
 *
 * The folder is on a disk, which may be slow, full or gone: it is written and read by children, so that neither an update
 * nor a caller waits for it in luctld. What can't be kept is logged and costs nothing else; a daemon that starts keeps
 * what the one before could not.
 */
#include "update.h"

#define LU_HISTORY_DIR "/var/lib/luctl/reports"
#define LU_HISTORY_MAX 100
#define LU_HISTORY_BYTES_MAX (32u << 20)

/** lu_history_keep() - keep this report, of the update @id; a failure is logged. @id, @text: copied */
void lu_history_keep(struct lu_update *u, const char *id, const char *text);

/** lu_history_keep_last() - keep update/report.json, if there is one that is not kept yet */
void lu_history_keep_last(struct lu_update *u);

struct lu_history_call;

/** lu_history_told_t - called once; @text: a document, if @r is 0. It may free the call */
typedef void (*lu_history_told_t)(void *userdata, int r, const char *text, const struct lu_error *error);

/**
 * lu_history_ask() - what updates there were, or the report of one, in a child process
 * @id: of the update, or how it begins; NULL: all (schema report-list); what can't be read is named in it
 *
 * The last update's report counts, too, though it may not be kept (yet).
 * @told gets -ENODATA if there is no such report, -ENOTUNIQ if there are several, -EBADMSG if it is damaged.
 */
int lu_history_ask(const struct lu_update_env *env, const char *id, lu_history_told_t told, void *userdata,
		   struct lu_history_call **ret);

/** lu_history_call_free() - nobody is told any more */
struct lu_history_call *lu_history_call_free(struct lu_history_call *c);
