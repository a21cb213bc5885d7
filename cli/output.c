// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Everything that is printed in more than one place. Text from elsewhere (the daemon,
 * QEMU, file names) goes through cli_safe() or libsmartcols, so that it cannot steer
 * the terminal.
 */
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <time.h>
#include <wchar.h>

#include "cli.h"
#include "json.h"

char *cli_safe(const char *s)
{
	char *copy = strdup(s);

	for (unsigned char *p = (unsigned char *)copy; p && *p; p++)
		if (*p < ' ' || *p == 0x7f)
			*p = '?';
	return copy;
}

size_t cli_width_of(const char *s)
{
	size_t width = 0;
	mbstate_t state = { 0 };

	while (*s) {
		wchar_t c;
		size_t n = mbrtowc(&c, s, MB_CUR_MAX, &state);
		int w = n > 0 && n < (size_t)-2 ? wcwidth(c) : -1;

		/* what is no character takes a column, as it does on most terminals */
		if (w < 0)
			memset(&state, 0, sizeof(state));
		width += w < 0 ? 1 : (size_t)w;
		s += w < 0 ? 1 : n;
	}
	return width;
}

char *cli_folded(const char *s, size_t width, size_t at, size_t indent)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	bool first = true;
	FILE *f;

	if (width == 0)
		return strdup(s);
	f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	for (size_t blanks, n; *s; s += blanks + n, first = false) {
		_cleanup_free_ char *word = NULL;
		size_t columns;

		blanks = strspn(s, " ");
		n = strcspn(s + blanks, " ");
		word = strndup(s + blanks, n);
		if (!word)
			break;
		columns = cli_width_of(word);
		if (!first && n > 0 && at + blanks + columns > width) {
			fprintf(f, "\n%*s%s", (int)indent, "", word);
			at = indent + columns;
		} else {
			fprintf(f, "%*s%s", (int)blanks, "", word);
			at += blanks + columns;
		}
	}
	if (fclose(f) != 0 || *s)
		return NULL;
	return steal_ptr(text);
}

void cli_say(struct cli *cli, size_t indent, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL, *safe = NULL, *folded = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	safe = text ? cli_safe(text) : NULL;
	folded = safe ? cli_folded(safe, cli->width, indent, indent) : NULL;
	printf("%*s%s\n", (int)indent, "", folded ?: "?");
}

const char *cli_color(bool on, enum cli_color color)
{
	static const char *const codes[] = {
		[COLOR_NONE] = "",          [COLOR_GOOD] = "\033[32m", [COLOR_WARN] = "\033[33m",
		[COLOR_BAD] = "\033[1;31m", [COLOR_DIM] = "\033[2m",
	};

	return on ? codes[color] : "";
}

const char *cli_color_off(bool on)
{
	return on ? "\033[0m" : "";
}

static void print_stderr(struct cli *cli, const char *head, enum cli_color color, const char *text)
{
	_cleanup_free_ char *safe = cli_safe(text), *folded = NULL;
	size_t at = strlen(head) + 1;

	folded = safe ? cli_folded(safe, cli->width_err, at, at) : NULL;
	fprintf(stderr, "%s%s%s %s\n", cli_color(cli->color_err, color), head, cli_color_off(cli->color_err),
		folded ?: "out of memory");
}

static void print_error(struct cli *cli, const char *what, const char *hint)
{
	fflush(stdout);
	print_stderr(cli, "luctl:", COLOR_BAD, what);
	if (hint)
		print_stderr(cli, "hint:", COLOR_DIM, hint);
}

int cli_error(struct cli *cli, int code, const char *hint, const char *fmt, ...)
{
	_cleanup_free_ char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&what, fmt, ap) < 0)
		what = NULL;
	va_end(ap);
	print_error(cli, what ?: "out of memory", hint);
	return code;
}

static bool is_denied(const char *name)
{
	return name && (!strcmp(name, "org.freedesktop.DBus.Error.AccessDenied") ||
			!strcmp(name, "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"));
}

int cli_error_ctx(struct cli *cli)
{
	print_error(cli, luctl_last_error(cli->ctx), luctl_last_hint(cli->ctx));
	if (luctl_last_unreachable(cli->ctx))
		return EXIT_UNREACHABLE;
	if (luctl_last_refused(cli->ctx))
		return EXIT_REFUSED;
	return is_denied(luctl_last_error_name(cli->ctx)) ? EXIT_DENIED : EXIT_FAILED;
}

int cli_result(const char *result)
{
	if (result && !strcmp(result, "aborted"))
		return EXIT_ABORTED;
	return result && !strcmp(result, "degraded") ? EXIT_DEGRADED : EXIT_OK;
}

void cli_print_json(const char *json)
{
	size_t n = strlen(json);

	fputs(json, stdout);
	if (n == 0 || json[n - 1] != '\n')
		putchar('\n');
}

int cli_outcome(struct cli *cli, int code, const char *result, const char *what, const char *hint)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *text = NULL;
	struct json_object *error = NULL;
	int r = -ENOMEM;

	if (!cli->json)
		return code;
	o = json_object_new_object();
	if (o)
		r = lu_json_add_uint(o, "version", 1);
	if (r == 0)
		r = lu_json_add_string(o, "verb", cli->verb->name);
	if (r == 0)
		r = lu_json_add_string(o, "update", *cli->update_id ? cli->update_id : NULL);
	if (r == 0)
		r = lu_json_add_string(o, "result", result);
	if (r == 0 && what) {
		error = json_object_new_object();
		if (!error)
			r = -ENOMEM;
		if (r == 0)
			r = lu_json_add_string(error, "what", what);
		if (r == 0)
			r = lu_json_add_string(error, "hint", hint);
		if (r < 0)
			json_object_put(error);
	}
	if (r == 0)
		r = lu_json_add(o, "error", error);
	if (r == 0)
		r = lu_json_text(o, &text);
	if (r < 0)
		return cli_error(cli, code ?: EXIT_FAILED, NULL, "the result cannot be printed as JSON: %s",
				 strerror(-r));
	cli_print_json(text);
	return code;
}

const char *cli_bytes(uint64_t n, char buf[32])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	unsigned int u = 0;
	double v = (double)n;

	while (v >= 1024 && u + 1 < ARRAY_SIZE(units)) {
		v /= 1024;
		u++;
	}
	snprintf(buf, 32, v < 10 && u > 0 && v != (double)(uint64_t)v ? "%.1f %s" : "%.0f %s", v, units[u]);
	return buf;
}

const char *cli_usec(uint64_t usec, char buf[32])
{
	if (usec == LUCTL_UNKNOWN)
		return "-";
	snprintf(buf, 32, "%llu.%03llu s", (unsigned long long)(usec / 1000000),
		 (unsigned long long)(usec / 1000 % 1000));
	return buf;
}

const char *cli_time(uint64_t usec, char buf[64])
{
	time_t t = (time_t)(usec / 1000000);
	struct tm tm;

	if (!localtime_r(&t, &tm) || strftime(buf, 64, "%F %T %Z", &tm) == 0)
		strcpy(buf, "?");
	return buf;
}

void cli_line(struct cli *cli, const char *name, const char *fmt, ...)
{
	size_t at = MAX(strlen(name) + 2, (size_t)12);
	_cleanup_free_ char *text = NULL, *safe = NULL, *folded = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	safe = text ? cli_safe(text) : NULL;
	folded = safe ? cli_folded(safe, cli->width, at, 12) : NULL;
	printf("%s:%*s%s\n", name, (int)(at - strlen(name) - 1), "", folded ?: "?");
}
