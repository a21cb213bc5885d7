// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The daemon's state, and waiting for the end of an update.
 *
 * Waiting asks again and again, because it has to work where signals cannot: through
 * a restart of the daemon, of the bus, and from a login after the jump until the
 * daemon is up. While nobody answers, that counts as "not yet"; any other failure ends
 * the waiting. At the end of the time the last reason is told.
 */
#include <string.h>
#include <time.h>

#include "clock.h"
#include "luctl-internal.h"

#define POLL_USEC 250000u

static int status_get(struct luctl_ctx *ctx, struct luctl_status **ret)
{
	_cleanup_message_ sd_bus_message *m = NULL;
	struct luctl_status *status;
	int r;

	r = call_new(ctx, LU_BUS_PATH, LU_BUS_MANAGER, "GetStatus", false, &m);
	if (r < 0)
		return r;
	status = calloc(1, sizeof(*status));
	if (!status)
		return ctx_fail_oom(ctx);
	r = call_document(ctx, m, &lu_doc_status_table, &status->doc, &status->json);
	if (r < 0) {
		free(status);
		return r;
	}
	*ret = status;
	return 0;
}

PUBLIC int luctl_status_get(struct luctl_ctx *ctx, struct luctl_status **ret_status)
{
	ctx_begin(ctx);
	return status_get(ctx, ret_status);
}

PUBLIC int luctl_status_wait(struct luctl_ctx *ctx, uint64_t timeout_usec, struct luctl_status **ret_status)
{
	uint64_t begin = lu_clock_ns(CLOCK_MONOTONIC) / 1000;

	for (;;) {
		struct timespec pause = { .tv_nsec = POLL_USEC * 1000 };
		struct luctl_status *status = NULL;
		uint64_t spent;
		int r;

		ctx_begin(ctx);
		r = status_get(ctx, &status);
		if (r < 0 && !ctx->unreachable)
			return r;
		if (r == 0 && !luctl_status_updating(status)) {
			*ret_status = status;
			return 0;
		}
		spent = lu_clock_ns(CLOCK_MONOTONIC) / 1000 - begin;
		if (spent >= timeout_usec) {
			if (r < 0)
				return r; /* with the words why nobody answers */
			r = ctx_fail(ctx, -ETIMEDOUT, "luctl status tells how far it is",
				     "an update is still under way (%s)", luctl_status_state(status));
			luctl_status_free(status);
			return r;
		}
		luctl_status_free(status);
		if (timeout_usec - spent < POLL_USEC)
			pause.tv_nsec = (long)(timeout_usec - spent) * 1000;
		(void)nanosleep(&pause, NULL);
	}
}

PUBLIC void luctl_status_free(struct luctl_status *status)
{
	if (!status)
		return;
	lu_json_free(&lu_doc_status_table, &status->doc);
	free(status->json);
	free(status);
}

PUBLIC const char *luctl_status_json(const struct luctl_status *status)
{
	return status->json;
}

PUBLIC const char *luctl_status_state(const struct luctl_status *status)
{
	return lu_doc_states[status->doc.state];
}

PUBLIC const char *luctl_status_result(const struct luctl_status *status)
{
	return status->doc.result < 0 ? NULL : lu_doc_results[status->doc.result];
}

PUBLIC const char *luctl_status_kernel(const struct luctl_status *status)
{
	return status->doc.kernel;
}

PUBLIC const char *luctl_status_daemon(const struct luctl_status *status)
{
	return status->doc.daemon;
}

PUBLIC bool luctl_status_updating(const struct luctl_status *status)
{
	return status->doc.update != NULL;
}

PUBLIC const char *luctl_status_update_id(const struct luctl_status *status)
{
	return status->doc.update ? status->doc.update->id : NULL;
}

PUBLIC const char *luctl_status_update_kernel(const struct luctl_status *status)
{
	return status->doc.update ? status->doc.update->kernel : NULL;
}

PUBLIC uint64_t luctl_status_update_since(const struct luctl_status *status)
{
	return status->doc.update ? status->doc.update->since : 0;
}

PUBLIC const char *luctl_status_pkernfs_path(const struct luctl_status *status)
{
	return status->doc.pkernfs.path;
}

PUBLIC bool luctl_status_pkernfs_mounted(const struct luctl_status *status)
{
	return status->doc.pkernfs.mounted;
}

PUBLIC uint64_t luctl_status_pkernfs_size(const struct luctl_status *status)
{
	return status->doc.pkernfs.size;
}

PUBLIC uint64_t luctl_status_pkernfs_free(const struct luctl_status *status)
{
	return status->doc.pkernfs.free;
}

PUBLIC uint64_t luctl_status_pkernfs_bad_pages(const struct luctl_status *status)
{
	return status->doc.pkernfs.bad_pages;
}

PUBLIC uint64_t luctl_status_vms_total(const struct luctl_status *status)
{
	return status->doc.vms.total;
}

PUBLIC uint64_t luctl_status_vms_updatable(const struct luctl_status *status)
{
	return status->doc.vms.updatable;
}

PUBLIC const char *luctl_status_error(const struct luctl_status *status)
{
	return status->doc.error ? status->doc.error->what : NULL;
}

PUBLIC const char *luctl_status_hint(const struct luctl_status *status)
{
	return status->doc.error ? status->doc.error->hint : NULL;
}
