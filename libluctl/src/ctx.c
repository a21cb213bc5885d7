// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The context: connection, settings and the words of the last error.
 *
 * The connection is opened by luctl_connect() and opened again, to the same place,
 * by the first call after it broke, so that a program that outlives a restart of the
 * bus needs no code for it. Nothing is ever sent when the context is freed.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config-version.h"
#include "luctl-internal.h"

PUBLIC const char *luctl_version(void)
{
	return LUCTL_VERSION;
}

PUBLIC int luctl_new(struct luctl_ctx **ret_ctx)
{
	struct luctl_ctx *ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		return -ENOMEM;
	*ret_ctx = ctx;
	return 0;
}

PUBLIC void luctl_free(struct luctl_ctx *ctx)
{
	if (!ctx)
		return;
	sd_bus_close_unref(ctx->bus);
	lu_error_clear(&ctx->error);
	free(ctx->error_name);
	free(ctx->address);
	free(ctx);
}

PUBLIC void luctl_set_log(struct luctl_ctx *ctx, luctl_log_fn log, void *userdata)
{
	ctx->log = log;
	ctx->log_userdata = userdata;
}

PUBLIC void luctl_set_timeout(struct luctl_ctx *ctx, uint64_t usec)
{
	ctx->timeout = usec;
}

PUBLIC void luctl_set_interactive(struct luctl_ctx *ctx, bool interactive)
{
	ctx->interactive = interactive;
}

void ctx_log(struct luctl_ctx *ctx, int priority, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int r;

	if (!ctx->log)
		return;
	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0) {
		text = NULL;
		return;
	}
	ctx->log(ctx->log_userdata, priority, text);
}

void ctx_begin(struct luctl_ctx *ctx)
{
	lu_error_clear(&ctx->error);
	free(ctx->error_name);
	ctx->error_name = NULL;
	ctx->unreachable = false;
	ctx->slow = false;
}

int ctx_fail(struct luctl_ctx *ctx, int code, const char *hint, const char *fmt, ...)
{
	_cleanup_free_ char *what = NULL;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&what, fmt, ap);
	va_end(ap);
	if (r < 0)
		what = NULL;
	ctx_log(ctx, LOG_DEBUG, "%s", what ?: strerror(-code));
	return lu_error_set(&ctx->error, code, hint, "%s", what ?: strerror(-code));
}

int ctx_fail_oom(struct luctl_ctx *ctx)
{
	return ctx_fail(ctx, -ENOMEM, NULL, "out of memory");
}

static int connect_now(struct luctl_ctx *ctx, sd_bus **ret)
{
	sd_bus *bus = NULL;
	int r;

	if (!ctx->address)
		return sd_bus_open_system(ret);
	r = sd_bus_new(&bus);
	if (r >= 0)
		r = sd_bus_set_address(bus, ctx->address);
	if (r >= 0)
		r = sd_bus_set_bus_client(bus, 1);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r < 0) {
		sd_bus_unref(bus);
		return r;
	}
	*ret = bus;
	return 0;
}

static int reconnect(struct luctl_ctx *ctx)
{
	sd_bus *bus;
	int r;

	r = connect_now(ctx, &bus);
	if (r < 0) {
		ctx->unreachable = true;
		return ctx_fail(ctx, r, ctx->address ? "is the address right?" : "is dbus.service running?",
				"%s: cannot connect: %s", ctx->address ?: "system bus", strerror(-r));
	}
	sd_bus_close_unref(ctx->bus);
	ctx->bus = bus;
	return 0;
}

PUBLIC int luctl_connect(struct luctl_ctx *ctx, const char *address)
{
	char *copy = NULL;

	ctx_begin(ctx);
	if (address) {
		copy = strdup(address);
		if (!copy)
			return ctx_fail_oom(ctx);
	}
	free(ctx->address);
	ctx->address = copy;
	ctx->connected_once = true;
	return reconnect(ctx);
}

int ctx_need_bus(struct luctl_ctx *ctx)
{
	if (!ctx->connected_once)
		return ctx_fail(ctx, -ENOTCONN, "call luctl_connect() first", "not connected");
	if (ctx->bus && sd_bus_is_open(ctx->bus) > 0)
		return 0;
	return reconnect(ctx);
}

PUBLIC const char *luctl_last_error(struct luctl_ctx *ctx)
{
	return ctx->error.what ?: (ctx->error.code ? strerror(-ctx->error.code) : "");
}

PUBLIC const char *luctl_last_hint(struct luctl_ctx *ctx)
{
	return ctx->error.hint;
}

PUBLIC const char *luctl_last_error_name(struct luctl_ctx *ctx)
{
	return ctx->error_name;
}

PUBLIC bool luctl_last_unreachable(struct luctl_ctx *ctx)
{
	return ctx->unreachable;
}

PUBLIC bool luctl_last_refused(struct luctl_ctx *ctx)
{
	return ctx->error_name && strcmp(ctx->error_name, LU_BUS_REFUSED) == 0;
}

/* The last error stays: these are called over and over. */
static int open_bus(struct luctl_ctx *ctx)
{
	return ctx->bus && sd_bus_is_open(ctx->bus) > 0 ? 0 : -ENOTCONN;
}

PUBLIC int luctl_fd(struct luctl_ctx *ctx)
{
	return open_bus(ctx) < 0 ? -ENOTCONN : sd_bus_get_fd(ctx->bus);
}

PUBLIC int luctl_events(struct luctl_ctx *ctx)
{
	return open_bus(ctx) < 0 ? -ENOTCONN : sd_bus_get_events(ctx->bus);
}

PUBLIC int luctl_timeout(struct luctl_ctx *ctx, uint64_t *ret_usec)
{
	uint64_t usec = LUCTL_FOREVER;
	int r = open_bus(ctx);

	if (r == 0)
		r = sd_bus_get_timeout(ctx->bus, &usec);
	if (r < 0)
		return r;
	*ret_usec = usec;
	return 0;
}

PUBLIC int luctl_process(struct luctl_ctx *ctx)
{
	int r = open_bus(ctx);

	if (r == 0)
		r = sd_bus_process(ctx->bus, NULL);
	if (r < 0) {
		ctx_begin(ctx);
		ctx->unreachable = true;
		return ctx_fail(ctx, -ECONNRESET, "luctl_connect() connects again",
				"the connection to the bus is gone");
	}
	return r > 0;
}
