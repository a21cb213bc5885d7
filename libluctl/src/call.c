// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Calls over the bus, and the one place where a D-Bus error becomes ours.
 *
 * An error's message is "what\nhint". Errors that do not come from the daemon itself
 * are reworded, since "The name org.luctl1 was not provided by any .service files"
 * helps nobody:
 *
 *  1. nobody owns the name, activation failed     → unreachable, start the unit
 *  2. no answer in time, connection lost          → unreachable, look at the journal
 *  3. access denied, authentication wanted        → become root
 *  4. a document that does not fit its schema     → daemon and library differ in version
 *
 * The errno comes from the error's name (System.Error.E…); names that sd-bus does not
 * know give EIO.
 */
#include <stdio.h>
#include <string.h>

#include "luctl-internal.h"

#define DEFAULT_TIMEOUT_USEC (120ull * 1000000)
#define SLOW_TIMEOUT_USEC (660ull * 1000000)

static bool error_is(const sd_bus_error *e, const char *name)
{
	return e->name && strcmp(e->name, name) == 0;
}

static bool error_begins(const sd_bus_error *e, const char *prefix)
{
	return e->name && strncmp(e->name, prefix, strlen(prefix)) == 0;
}

static int fail_message(struct luctl_ctx *ctx, int code, const char *message)
{
	const char *nl = strchr(message, '\n');
	const char *hint = nl && nl[1] ? nl + 1 : NULL;

	return ctx_fail(ctx, code, hint, "%.*s", (int)(nl ? nl - message : (ptrdiff_t)strlen(message)), message);
}

int ctx_fail_bus(struct luctl_ctx *ctx, int r, const sd_bus_error *error)
{
	if (!sd_bus_error_is_set(error)) {
		if (r == -ENOTCONN || r == -ECONNRESET || r == -EPIPE || r == -ESHUTDOWN || r == -ETIMEDOUT) {
			ctx->unreachable = true;
			return ctx_fail(ctx, r, "is dbus.service running?", "connection to the bus lost: %s",
					strerror(-r));
		}
		return ctx_fail(ctx, r, NULL, "D-Bus: %s", strerror(-r));
	}
	free(ctx->error_name);
	ctx->error_name = strdup(error->name);
	if (error_is(error, SD_BUS_ERROR_SERVICE_UNKNOWN) || error_is(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
	    error_begins(error, "org.freedesktop.DBus.Error.Spawn.") ||
	    error_begins(error, "org.freedesktop.systemd1.")) {
		ctx->unreachable = true;
		return ctx_fail(ctx, -EHOSTUNREACH, "systemctl start luctld.service", "luctld is not running");
	}
	if (error_is(error, SD_BUS_ERROR_NO_REPLY) || error_is(error, SD_BUS_ERROR_TIMEOUT) ||
	    error_is(error, SD_BUS_ERROR_DISCONNECTED)) {
		ctx->unreachable = true;
		return ctx_fail(ctx, -ETIMEDOUT, "journalctl -u luctld.service tells what it does",
				"luctld did not answer");
	}
	if (error_is(error, SD_BUS_ERROR_ACCESS_DENIED) || error_is(error, SD_BUS_ERROR_AUTH_FAILED) ||
	    error_is(error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
		return ctx_fail(ctx, -EACCES, "run it as root, or allow it in polkit's rules", "not allowed: %s",
				error->message && *error->message ? error->message : "access denied");
	r = sd_bus_error_get_errno(error);
	return fail_message(ctx, r > 0 ? -r : -EIO, error->message && *error->message ? error->message : error->name);
}

int call_new(struct luctl_ctx *ctx, const char *path, const char *interface, const char *member, bool changes,
	     sd_bus_message **ret)
{
	_cleanup_message_ sd_bus_message *m = NULL;
	int r;

	r = ctx_need_bus(ctx);
	if (r < 0)
		return r;
	r = sd_bus_message_new_method_call(ctx->bus, &m, LU_BUS_NAME, path, interface, member);
	if (r >= 0 && changes && ctx->interactive)
		r = sd_bus_message_set_allow_interactive_authorization(m, 1);
	if (r < 0)
		return ctx_fail_bus(ctx, r, NULL);
	*ret = steal_ptr(m);
	return 0;
}

int call_send(struct luctl_ctx *ctx, sd_bus_message *m, sd_bus_message **ret_reply)
{
	_cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
	uint64_t usec = ctx->slow ? SLOW_TIMEOUT_USEC : DEFAULT_TIMEOUT_USEC;
	int r;

	ctx_log(ctx, LOG_DEBUG, "call %s.%s", sd_bus_message_get_interface(m), sd_bus_message_get_member(m));
	r = sd_bus_call(ctx->bus, m, ctx->timeout ?: usec, &error, ret_reply);
	if (r < 0)
		return ctx_fail_bus(ctx, r, &error);
	return 0;
}

int call_document(struct luctl_ctx *ctx, sd_bus_message *m, const struct lu_json_table *table, void *ret,
		  char **ret_json)
{
	_cleanup_message_ sd_bus_message *reply = NULL;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *json = NULL;
	const char *text;
	int r;

	r = call_send(ctx, m, &reply);
	if (r < 0)
		return r;
	r = sd_bus_message_read(reply, "s", &text);
	if (r < 0)
		return ctx_fail_bus(ctx, r, NULL);
	json = strdup(text);
	if (!json)
		return ctx_fail_oom(ctx);
	r = lu_json_decode_text(text, strlen(text), LU_DOCUMENT_MAX, sd_bus_message_get_member(m), table, ret, &e);
	if (r < 0)
		return ctx_fail(ctx, r,
				"do luctld and luctl have the same version? restart luctld.service after an upgrade",
				"luctld sent a document that cannot be read: %s", e.what ?: strerror(-r));
	*ret_json = steal_ptr(json);
	return 0;
}
