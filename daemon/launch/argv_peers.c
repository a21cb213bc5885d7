// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Options by which QEMU, when it starts, connects to somebody else: another process of this host, which ends with its
 * kernel and is stopped with ordinary services before the guests are paused, or a server in the network, which can't
 * be had before the network is up.
 *
 * Facts of QEMU 8 to 11 (chardev/char-socket.c, net/stream.c, block/nbd.c): a chardev or stream that connects fails QEMU's
 * start if nobody listens, unless it is told to try again (reconnect=, reconnect-ms=); then it starts without.
 * pr-manager-helper connects when it is needed, and again. swtpm's state is part of QEMU's; it is started again before
 * QEMU (capture_tpm.c).
 */
#include <json-c/json.h>
#include <string.h>

#include "argv-internal.h"

#define DEPTH_MAX 16u /* of a JSON option; QEMU's own are flatter */

static const char *const remote[] = { "nbd",   "nbd+tcp", "ssh",  "iscsi", "rbd",     "nfs",      "http",
				      "https", "ftp",     "ftps", "tftp",  "gluster", "sheepdog", NULL };

bool lu_argv_is_on(const char *value, const char *key, bool otherwise)
{
	_cleanup_free_ char *v = NULL;
	size_t n = strlen(key);

	if (lu_argv_property(value, key, &v) > 0)
		return !strcmp(v, "on") || !strcmp(v, "yes") || !strcmp(v, "true") || !strcmp(v, "y");
	for (const char *p = value; (p = strstr(p, key)); p += n)
		if ((p == value || p[-1] == ',') && (!p[n] || p[n] == ','))
			return true;
	return otherwise;
}

static bool tries_again(const char *value)
{
	_cleanup_free_ char *seconds = NULL, *ms = NULL;

	return (lu_argv_property(value, "reconnect", &seconds) > 0 && strcmp(seconds, "0") != 0) ||
	       (lu_argv_property(value, "reconnect-ms", &ms) > 0 && strcmp(ms, "0") != 0);
}

int lu_argv_tpm(char *const *argv, char **ret_chardev, char **ret_path)
{
	struct lu_arg arg = { 0 };
	int r = 0;

	while (lu_argv_next(argv, &arg) && r == 0)
		if (!strcmp(arg.name, "tpmdev") && lu_argv_kind_is(arg.value, "type", "emulator"))
			r = lu_argv_property(arg.value, "chardev", ret_chardev) ?: -ENODATA;
	arg = (struct lu_arg){ 0 };
	while (r > 0 && !*ret_path && lu_argv_next(argv, &arg)) {
		_cleanup_free_ char *id = NULL;

		if (strcmp(arg.name, "chardev") != 0 || !lu_argv_kind_is(arg.value, "backend", "socket") ||
		    lu_argv_property(arg.value, "id", &id) <= 0 || strcmp(id, *ret_chardev) != 0)
			continue;
		if (lu_argv_property(arg.value, "path", ret_path) < 0)
			return -ENOMEM;
	}
	return r;
}

static bool is_chardev(const struct lu_arg *arg, const char *name)
{
	_cleanup_free_ char *id = NULL;

	return name && !strcmp(arg->name, "chardev") && lu_argv_property(arg->value, "id", &id) > 0 &&
	       !strcmp(id, name);
}

/* Does it connect when it starts, once and for all? */
static bool connects(const struct lu_arg *arg)
{
	static const char *const lines[] = { "serial",    "parallel", "monitor", "qmp", "qmp-pretty",
					     "virtiocon", "debugcon", "gdb",     NULL };
	static const char *const kinds[] = { "unix:", "tcp:", "telnet:", "websocket:", NULL };
	_cleanup_free_ char *to = NULL;

	/* an inherited descriptor is another matter (inherited.h) */
	if (!arg->value || lu_argv_property(arg->value, "fd", &to) > 0)
		return false;
	if (!strcmp(arg->name, "chardev"))
		return lu_argv_kind_is(arg->value, "backend", "socket") &&
		       !lu_argv_is_on(arg->value, "server", false) && !tries_again(arg->value);
	if (!strcmp(arg->name, "netdev") || !strcmp(arg->name, "nic") || !strcmp(arg->name, "net")) {
		if (lu_argv_kind_is(arg->value, "type", "stream"))
			return !lu_argv_is_on(arg->value, "server", true) && !tries_again(arg->value);
		return lu_argv_kind_is(arg->value, "type", "socket") &&
		       lu_argv_property(arg->value, "connect", &to) > 0;
	}
	for (const char *const *line = lines; *line; line++)
		for (const char *const *kind = kinds; *kind && !strcmp(arg->name, *line); kind++)
			if (!strncmp(arg->value, *kind, strlen(*kind)))
				return !lu_argv_is_on(arg->value, "server", false) && !tries_again(arg->value);
	return false;
}

static bool is_remote(const char *driver, size_t n)
{
	for (const char *const *p = remote; *p; p++)
		if (strlen(*p) == n && !strncmp(*p, driver, n))
			return true;
	return false;
}

/* What a block device is behind: nothing, this host's own socket, or the network. */
enum place {
	HERE,
	BESIDE,
	AWAY
};

static enum place farther(enum place a, enum place b)
{
	/* a process of this host is the one that can't be helped */
	return a == BESIDE || b == BESIDE ? BESIDE : a == AWAY || b == AWAY ? AWAY : HERE;
}

static enum place of_json(struct json_object *o, unsigned int depth);

/* "nbd:unix:/path", "nbd+unix:///name?socket=/path", "nbd://server/name", "json:{…}"; a plain path is here */
static enum place of_name(const char *name, unsigned int depth)
{
	size_t n = strcspn(name, ":");

	if (!name[n] || memchr(name, '/', n))
		return HERE;
	if (!strncmp(name, "json:", 5)) {
		struct json_object *o = json_tokener_parse(name + 5);
		enum place p = of_json(o, depth + 1);

		json_object_put(o);
		return p;
	}
	if (!strncmp(name, "nbd:unix:", 9) || (n > 5 && !strncmp(name + n - 5, "+unix", 5)))
		return BESIDE;
	return is_remote(name, n) ? AWAY : HERE;
}

static enum place of_json(struct json_object *o, unsigned int depth)
{
	enum place ret = HERE;

	if (depth > DEPTH_MAX || !json_object_is_type(o, json_type_object))
		return HERE;
	json_object_object_foreach (o, key, v) {
		const char *text = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
		struct json_object *server, *type;

		if (!text) {
			ret = farther(ret, of_json(v, depth + 1));
		} else if (!strcmp(key, "filename") || !strcmp(key, "backing")) {
			ret = farther(ret, of_name(text, depth));
		} else if (!strcmp(key, "driver") && is_remote(text, strlen(text))) {
			bool local = json_object_object_get_ex(o, "server", &server) &&
				     json_object_object_get_ex(server, "type", &type) &&
				     !strcmp(json_object_get_string(type) ?: "", "unix");

			ret = farther(ret, local ? BESIDE : AWAY);
		}
	}
	return ret;
}

/* "file.driver=nbd,file.server.type=unix,…", "file=nbd://…" */
static enum place of_words(const char *value)
{
	bool local = strstr(value, "server.type=unix") != NULL;
	_cleanup_free_ char *file = NULL;
	enum place ret = HERE;

	for (const char *p = value; (p = strstr(p, "driver=")); p += 7)
		if ((p == value || p[-1] == ',' || p[-1] == '.') && is_remote(p + 7, strcspn(p + 7, ",")))
			ret = farther(ret, local ? BESIDE : AWAY);
	if (lu_argv_property(value, "file", &file) > 0 || lu_argv_property(value, "file.filename", &file) > 0)
		ret = farther(ret, of_name(file, 0));
	return ret;
}

static enum place of_disk(const struct lu_arg *arg)
{
	static const char *const disks[] = { "hda", "hdb",      "hdc", "hdd",    "cdrom", "fda",
					     "fdb", "mtdblock", "sd",  "pflash", "",      NULL };
	enum place ret;

	if (!arg->value)
		return HERE;
	if (!strcmp(arg->name, "blockdev") || !strcmp(arg->name, "drive")) {
		struct json_object *o = arg->value[0] == '{' ? json_tokener_parse(arg->value) : NULL;

		ret = o ? of_json(o, 0) : of_words(arg->value);
		json_object_put(o);
		return ret;
	}
	for (const char *const *p = disks; *p; p++)
		if (!strcmp(arg->name, *p))
			return of_name(arg->value, 0);
	return HERE;
}

void lu_argv_check_peer(const struct lu_arg *arg, const char *tpm, struct lu_reasons *why)
{
	static const char hint[] = "unplug it, or exclude the VM";

	if (connects(arg) && !is_chardev(arg, tpm))
		lu_argv_refuse(why, NULL, arg,
			       "connects to another process, which is not there when the next QEMU starts",
			       "let QEMU listen (server=on), or try again (reconnect-ms=1000)");
	if (!strcmp(arg->name, "object") && lu_argv_kind_is(arg->value, "qom-type", "cryptodev-vhost-user"))
		lu_argv_refuse(why, NULL, arg, "is served by another process (vhost-user), which does not survive",
			       hint);
	if (!strcmp(arg->name, "object") && lu_argv_kind_is(arg->value, "qom-type", "dbus-vmstate"))
		lu_argv_refuse(why, NULL, arg, "keeps the state of other processes, which do not survive",
			       "start it without, or exclude the VM");
	if (of_disk(arg) == BESIDE)
		lu_argv_refuse(why, NULL, arg,
			       "a disk that is served by another process of this host, which does not survive",
			       "give QEMU the image itself, or exclude the VM");
}

const char *lu_argv_late_disk(const struct lu_arg *arg)
{
	return of_disk(arg) == AWAY ? "a disk of it is reached by the host's network" : NULL;
}
