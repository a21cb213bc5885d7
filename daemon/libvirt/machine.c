// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is asked while other guests may wait is asked without waiting. On a host that is just starting machined and
 * systemd have much to do, so an answer may take its time: until it is there libvirt is not let go (lu_machines_wait()),
 * since it would take a guest that is in no scope yet for one without control groups.
 */
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "machine.h"
#include "util.h"

#define CALL_TIMEOUT_USEC (10 * UINT64_C(1000000))
#define SLOW_TIMEOUT_USEC (30 * UINT64_C(1000000)) /* below the limit of the state in which it is waited for */

struct lu_machines {
	sd_bus *bus;
	size_t pending;
	lu_worker_done_t done; /* who waits for them, or NULL */
	void *userdata;
};

int lu_machines_new(sd_bus *bus, struct lu_machines **ret)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	(*ret)->bus = bus;
	return 0;
}

struct lu_machines *lu_machines_free(struct lu_machines *s)
{
	free(s);
	return NULL;
}

void lu_machines_cancel(struct lu_machines *s)
{
	s->done = NULL;
}

int lu_machines_wait(struct lu_machines *s, lu_worker_done_t done, void *userdata)
{
	if (s->pending == 0)
		return 1;
	s->done = done;
	s->userdata = userdata;
	return 0;
}

static char *unescape(const char *text, size_t n)
{
	char *out = malloc(n + 1), *o = out;

	for (size_t i = 0; out && i < n;) {
		unsigned int c;

		if (i + 4 <= n && text[i] == '\\' && text[i + 1] == 'x' && sscanf(text + i + 2, "%2x", &c) == 1 && c) {
			*o++ = (char)c;
			i += 4;
		} else {
			*o++ = text[i++];
		}
	}
	if (out)
		*o = '\0';
	return out;
}

char *lu_machine_name(const char *cgroup)
{
	static const char prefix[] = "/machine-", suffix[] = ".scope";
	const char *p = cgroup ? strstr(cgroup, prefix) : NULL, *end;

	if (!p)
		return NULL;
	p += strlen(prefix);
	end = strstr(p, suffix);
	if (!end || memchr(p, '/', (size_t)(end - p)) || (end[strlen(suffix)] && end[strlen(suffix)] != '/'))
		return NULL;
	return unescape(p, (size_t)(end - p));
}

static int on_machine(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const sd_bus_error *e = sd_bus_message_get_error(m);
	struct lu_machines *s = userdata;
	lu_worker_done_t done = s->done;

	if (e)
		log_warning("machined: a guest of libvirt has no machine yet: %s", e->message ?: e->name);
	if (--s->pending == 0 && done) {
		s->done = NULL;
		done(s->userdata, 0, NULL);
	}
	return 0;
}

/* Is it in the scope that it was in? */
static bool in_scope(const char *cgroup, pid_t pid)
{
	_cleanup_free_ char *text = NULL, *scope = strdup(cgroup);
	char path[32], *end = scope ? strstr(scope, ".scope") : NULL;

	if (!end)
		return false;
	end[6] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	return lu_read_file(AT_FDCWD, path, 65536, &text, NULL) == 0 && strstr(text, scope);
}

void lu_machines_make(struct lu_machines *s, const char *cgroup, const char *uuid, pid_t pid,
		      const struct lu_limits *limits, bool wait)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	_cleanup_free_ char *name = lu_machine_name(cgroup);
	uint8_t id[16];
	int r;

	if (!name || lu_uuid_parse(uuid, id) < 0 || in_scope(cgroup, pid))
		return;
	r = sd_bus_message_new_method_call(s->bus, &m, "org.freedesktop.machine1", "/org/freedesktop/machine1",
					   "org.freedesktop.machine1.Manager", "CreateMachine");
	if (r >= 0)
		r = sd_bus_message_append(m, "s", name);
	if (r >= 0)
		r = sd_bus_message_append_array(m, 'y', id, sizeof(id));
	if (r >= 0)
		r = sd_bus_message_append(m, "ssus", "libvirt-qemu", "vm", (uint32_t)pid, "");
	/* as libvirt does, but for After=: its daemon waits for us, so the scope must not wait for it */
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "(sv)");
	if (r >= 0)
		r = sd_bus_message_append(m, "(sv)(sv)", "Slice", "s", "machine.slice", "Before", "as", 1,
					  "virt-guest-shutdown.target");
	if (r >= 0)
		r = lu_limits_append(limits, m);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r >= 0)
		r = wait ? sd_bus_call(s->bus, m, CALL_TIMEOUT_USEC, &error, NULL) :
			   sd_bus_call_async(s->bus, NULL, m, on_machine, s, SLOW_TIMEOUT_USEC);
	if (r >= 0 && !wait)
		s->pending++;
	if (r < 0)
		log_warning("machined: %s: it runs without a machine and its limits: %s", name,
			    error.message ?: strerror(-r));
}
