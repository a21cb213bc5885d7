// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU's options start with one or two dashes; each takes exactly one argument
 * except those of the table below, which take none (qemu-options.hx: entries
 * without HAS_ARG, of QEMU 8 to 11). An option that is unknown here is taken to
 * have an argument, as nearly all have; should a later QEMU add one without, its
 * successor would be hidden from us, which at worst lets a check miss it.
 *
 * Values are either QemuOpts ("tap,id=n0,fd=7") or, since QEMU 6, JSON objects for
 * -object, -device, -netdev, -blockdev. lu_argv_property() reads the first form
 * only; for the second lu_argv_check() looks at members of the parsed object, one
 * level deep, which is where the options that we ask about stand.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "argv-internal.h"
#include "json.h"
#include "launch.h"

static const char *const flags[] = {
	"h",
	"help",
	"version",
	"snapshot",
	"full-screen",
	"no-frame",
	"alt-grab",
	"ctrl-grab",
	"no-quit",
	"sdl",
	"nographic",
	"curses",
	"S",
	"s",
	"daemonize",
	"no-reboot",
	"no-shutdown",
	"no-fd-bootchk",
	"no-acpi",
	"no-hpet",
	"nodefaults",
	"no-user-config",
	"enable-kvm",
	"mem-prealloc",
	"only-migratable",
	"preconfig",
	"singlestep",
	"one-insn-per-tb",
	"usb",
	"win2k-hack",
	"old-param",
	"semihosting",
	"enable-sync-profile",
	"xen-domid-restrict",
	"xen-attach",
	"portrait",
	"enable-fips",
	"show-cursor",
	"no-kvm",
	"no-kvm-irqchip",
	"no-kvm-pit",
};

static bool is_flag(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (!strcmp(flags[i], name))
			return true;
	return false;
}

bool lu_argv_next(char *const *argv, struct lu_arg *arg)
{
	size_t i = arg->name ? arg->index + 1 : 1;
	const char *word;

	if (arg->name && arg->value && arg->name[0])
		i++;
	if (!argv[0] || !argv[i])
		return false;
	word = argv[i];
	arg->index = i;
	if (word[0] != '-') {
		arg->name = "";
		arg->value = word;
		return true;
	}
	arg->name = word + (word[1] == '-' ? 2 : 1);
	arg->value = is_flag(arg->name) ? NULL : argv[i + 1];
	return true;
}

void lu_argv_free(char **argv)
{
	if (!argv)
		return;
	for (char **p = argv; *p; p++)
		free(*p);
	free(argv);
}

/* Is this option one that lu_launch_argv() adds, or one that says how the present process was started? */
static bool is_transient(const struct lu_arg *arg)
{
	if (!strcmp(arg->name, "incoming") || !strcmp(arg->name, "loadvm") || !strcmp(arg->name, "daemonize"))
		return true;
	return arg->value && !strcmp(arg->name, "add-fd") && strstr(arg->value, LU_LAUNCH_FD_OPAQUE);
}

int lu_argv_restorable(char *const *argv, char ***ret)
{
	_cleanup_(lu_argv_freep) char **copy = NULL;
	struct lu_arg arg = { 0 };
	size_t n = 0, used = 0;

	while (argv[n])
		n++;
	copy = calloc(n + 1, sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	if (argv[0] && !(copy[used++] = strdup(argv[0])))
		return -ENOMEM;
	while (lu_argv_next(argv, &arg)) {
		if (is_transient(&arg))
			continue;
		if (!(copy[used++] = strdup(argv[arg.index])))
			return -ENOMEM;
		if (arg.name[0] && arg.value && !(copy[used++] = strdup(arg.value)))
			return -ENOMEM;
	}
	*ret = steal_ptr(copy);
	return 0;
}

/* The item at @p ends at a single comma; ",," stands for a comma. Returns where the next item starts, or NULL. */
static const char *item_end(const char *p, size_t *ret_len)
{
	const char *q = p;

	while (*q) {
		if (*q == ',') {
			if (q[1] != ',')
				break;
			q++;
		}
		q++;
	}
	*ret_len = (size_t)(q - p);
	return *q ? q + 1 : NULL;
}

static int json_property(const char *value, const char *key, char **ret)
{
	struct json_object *root = json_tokener_parse(value), *v;
	const char *s = NULL;
	int r = 0;

	if (root && json_object_is_type(root, json_type_object) && json_object_object_get_ex(root, key, &v))
		s = json_object_get_string(v);
	if (s) {
		*ret = strdup(s);
		r = *ret ? 1 : -ENOMEM;
	}
	json_object_put(root);
	return r;
}

int lu_argv_property(const char *value, const char *key, char **ret)
{
	size_t klen = strlen(key), len;

	if (!value)
		return 0;
	if (value[0] == '{')
		return json_property(value, key, ret);
	for (const char *p = value, *next; p; p = next) {
		char *out, *o;

		next = item_end(p, &len);
		if (len <= klen || strncmp(p, key, klen) != 0 || p[klen] != '=')
			continue;
		out = o = malloc(len - klen);
		if (!out)
			return -ENOMEM;
		for (const char *q = p + klen + 1; q < p + len; q++) {
			*o++ = *q;
			if (*q == ',')
				q++;
		}
		*o = '\0';
		*ret = out;
		return 1;
	}
	return 0;
}

static int add_romsize(char **value, uint64_t size)
{
	struct json_object *o = NULL;
	char *more = NULL;
	int r = 0;

	if ((*value)[0] != '{') {
		if (asprintf(&more, "%s,romsize=%llu", *value, (unsigned long long)size) < 0)
			return -ENOMEM;
	} else if ((o = json_tokener_parse(*value))) {
		r = lu_json_add_uint(o, "romsize", size);
		if (r >= 0)
			more = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
		json_object_put(o);
		if (r < 0 || !more)
			return -ENOMEM;
	}
	if (more) {
		free(*value);
		*value = more;
	}
	return 0;
}

int lu_argv_set_romsize(char ***argv, size_t index, const char *driver, uint64_t size)
{
	_cleanup_free_ char *have = NULL, *global = NULL, *option = NULL;
	struct lu_arg arg = { 0 };
	size_t n = 0;
	char **p;
	int r;

	if (index) {
		r = lu_argv_property((*argv)[index + 1], "romsize", &have);
		return r != 0 ? (r < 0 ? r : 0) : add_romsize(&(*argv)[index + 1], size);
	}
	if (asprintf(&global, "%s.romsize=%llu", driver, (unsigned long long)size) < 0) {
		global = NULL;
		return -ENOMEM;
	}
	while (lu_argv_next(*argv, &arg))
		if (!strcmp(arg.name, "global") && arg.value && !strcmp(arg.value, global))
			return 0;
	while ((*argv)[n])
		n++;
	option = strdup("-global");
	p = reallocarray(*argv, n + 3, sizeof(*p));
	if (p)
		*argv = p;
	if (!p || !option)
		return -ENOMEM;
	p[n] = steal_ptr(option);
	p[n + 1] = steal_ptr(global);
	p[n + 2] = NULL;
	return 0;
}

/* The first item of "tap,id=…", or member @key of the JSON form. */
bool lu_argv_kind_is(const char *value, const char *key, const char *kind)
{
	_cleanup_free_ char *v = NULL;
	size_t len;

	if (!value)
		return false;
	if (lu_argv_property(value, key, &v) > 0)
		return !strcmp(v, kind);
	if (value[0] == '{')
		return false;
	(void)item_end(value, &len);
	return len == strlen(kind) && !strncmp(value, kind, len);
}

void lu_argv_refuse(struct lu_reasons *r, const char *device, const struct lu_arg *arg, const char *why,
		    const char *hint)
{
	lu_reasons_add(r, device, hint, "-%s %s: %s", arg->name, arg->value ?: "", why);
}

static bool one_of(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(name, *list))
			return true;
	return false;
}

/* "01:00.0" or "0000:01:00.0" as sysfs writes it */
static int pci_address(const char *text, char **ret)
{
	unsigned int segment = 0, bus, slot, function;
	int end = 0;

	/* scanf() takes signs and 0x for numbers */
	if (strspn(text, "0123456789abcdefABCDEF:.") != strlen(text))
		return -EINVAL;
	if ((sscanf(text, "%x:%x:%x.%x%n", &segment, &bus, &slot, &function, &end) != 4 || text[end]) &&
	    (segment = 0, sscanf(text, "%x:%x.%x%n", &bus, &slot, &function, &end) != 3 || text[end]))
		return -EINVAL;
	if (segment > 0xffff || bus > 0xff || slot > 0x1f || function > 7)
		return -EINVAL;
	if (asprintf(ret, "%04x:%02x:%02x.%x", segment, bus, slot, function) < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* A mediated device has a UUID where others have an address. */
static bool is_mediated(const char *sysfsdev)
{
	const char *name = sysfsdev ? strrchr(sysfsdev, '/') : NULL;

	return name && lu_uuid_valid(name + 1);
}

/* One vfio-pci: its address, NULL where it has none, and all that speaks against it. */
static int one_device(const struct lu_arg *arg, char **ret, struct lu_reasons *why)
{
	_cleanup_free_ char *host = NULL, *iommufd = NULL, *id = NULL, *sysfsdev = NULL, *fd = NULL;
	int r;

	r = lu_argv_property(arg->value, "host", &host);
	if (r >= 0)
		r = lu_argv_property(arg->value, "sysfsdev", &sysfsdev);
	if (r >= 0)
		r = lu_argv_property(arg->value, "iommufd", &iommufd);
	if (r >= 0)
		r = lu_argv_property(arg->value, "id", &id);
	if (r >= 0)
		r = lu_argv_property(arg->value, "fd", &fd);
	if (r >= 0 && host) {
		r = pci_address(host, ret);
		if (r == -EINVAL) {
			lu_argv_refuse(why, NULL, arg, "a passed-through device with an address that is none", NULL);
			r = 0;
		}
	}
	if (r < 0)
		return r;
	if (is_mediated(sysfsdev)) {
		lu_argv_refuse(
			why, NULL, arg,
			"a mediated device (mdev): what its driver set up for it in the hardware can't be handed over",
			"unplug it, or exclude the VM");
		return 0;
	}
	/* one that was handed in is known by what it is (capture_inherited.c) */
	if (!host && !fd)
		lu_argv_refuse(why, NULL, arg, "a passed-through device that is not named by its address",
			       "name it by host=");
	if (!iommufd)
		lu_reasons_add_kernel(
			why, *ret,
			"start it with -object iommufd,id=iommufd0 and iommufd=iommufd0; luctl update --vmm can be done",
			"-%s %s: a device that is passed through by a legacy container, whose tables can't be handed over",
			arg->name, arg->value);
	if (!id)
		lu_argv_refuse(why, *ret, arg, "a passed-through device without a name of its own", "give it an id=");
	return 0;
}

int lu_argv_devices(char *const *argv, char ***ret, struct lu_reasons *why)
{
	_cleanup_(lu_argv_freep) char **list = calloc(1, sizeof(*list));
	struct lu_arg arg = { 0 };
	size_t n = 0;

	if (!list)
		return -ENOMEM;
	while (lu_argv_next(argv, &arg)) {
		char **p;
		int r;

		if (strcmp(arg.name, "device") != 0 || (!lu_argv_kind_is(arg.value, "driver", "vfio-pci") &&
							!lu_argv_kind_is(arg.value, "driver", "vfio-pci-nohotplug")))
			continue;
		p = reallocarray(list, n + 2, sizeof(*p));
		if (!p)
			return -ENOMEM;
		list = p;
		list[n] = list[n + 1] = NULL;
		r = one_device(&arg, &list[n], why);
		if (r < 0)
			return r;
		n += list[n] != NULL;
	}
	*ret = steal_ptr(list);
	return 0;
}

static int add_fds(const struct lu_arg *arg, const char *numbers, struct lu_argv_fd **list, size_t *n)
{
	for (const char *p = numbers; *p; p += strcspn(p, ":"), p += *p == ':') {
		struct lu_argv_fd *more = reallocarray(*list, *n + 1, sizeof(*more));
		char *end;

		if (!more)
			return -ENOMEM;
		*list = more;
		/* what is no number is a name that was given to it over the monitor: nothing that we know */
		more[*n] = (struct lu_argv_fd){ (int)strtoul(p, &end, 10), arg->name, arg->value };
		if (end == p || (*end && *end != ':'))
			more[*n].fd = -1;
		(*n)++;
	}
	return 0;
}

int lu_argv_fds(char *const *argv, struct lu_argv_fd **ret, size_t *ret_n)
{
	static const char *const with_fds[] = { "netdev", "nic",     "net",    "chardev", "device", "object",   "mon",
						"qmp",    "monitor", "serial", "vnc",     "spice",  "incoming", NULL };
	static const char *const keys[] = { "fd", "fds", "vhostfd", "vhostfds", "sockfd" };
	_cleanup_free_ struct lu_argv_fd *list = NULL;
	struct lu_arg arg = { 0 };
	size_t n = 0;

	while (lu_argv_next(argv, &arg)) {
		if (is_transient(&arg) || !one_of(arg.name, with_fds))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			_cleanup_free_ char *v = NULL;
			int r = lu_argv_property(arg.value, keys[i], &v);

			if (r > 0)
				r = add_fds(&arg, v, &list, &n);
			if (r < 0)
				return r;
		}
	}
	*ret = steal_ptr(list);
	*ret_n = n;
	return 0;
}

/* Network and disks whose other half is hardware or another process. */
static void check_backend(const struct lu_arg *arg, struct lu_reasons *why)
{
	if ((!strcmp(arg->name, "netdev") || !strcmp(arg->name, "nic")) &&
	    lu_argv_kind_is(arg->value, "type", "vhost-vdpa"))
		lu_argv_refuse(why, NULL, arg, "a vDPA device: what it does by itself can't be handed over",
			       "unplug it, or exclude the VM");
	if ((!strcmp(arg->name, "netdev") || !strcmp(arg->name, "nic")) &&
	    lu_argv_kind_is(arg->value, "type", "vhost-user"))
		lu_argv_refuse(why, NULL, arg, "is served by another process (vhost-user), which does not survive",
			       "unplug it, or exclude the VM");
	if (!strcmp(arg->name, "blockdev") && lu_argv_kind_is(arg->value, "driver", "virtio-blk-vhost-vdpa"))
		lu_argv_refuse(why, NULL, arg, "a vDPA device: what it does by itself can't be handed over",
			       "unplug it, or exclude the VM");
}

int lu_argv_check(char *const *argv, struct lu_reasons *why)
{
	_cleanup_free_ char *tpm = NULL, *socket = NULL;
	struct lu_arg arg = { 0 };

	if (lu_argv_tpm(argv, &tpm, &socket) == -ENOMEM)
		return -ENOMEM;

	while (lu_argv_next(argv, &arg)) {
		if (is_transient(&arg))
			continue;
		if (!strcmp(arg.name, "snapshot"))
			lu_argv_refuse(why, NULL, &arg,
				       "the guest's writes are in a temporary file that does not survive",
				       "start the VM without -snapshot");
		if (!strcmp(arg.name, "drive") && arg.value && lu_argv_is_on(arg.value, "snapshot", false))
			lu_argv_refuse(why, NULL, &arg,
				       "the guest's writes are in a temporary file that does not survive",
				       "start the VM without snapshot=on; QMP block-commit saves what it has written");
		if (!strcmp(arg.name, "global") && arg.value &&
		    (!strncmp(arg.value, "migration.", 10) || !strncmp(arg.value, "driver=migration,", 17)))
			lu_argv_refuse(why, NULL, &arg,
				       "the next QEMU would be set to migrate by it while it loads the state",
				       "leave it out; what a migration needs can be set over the monitor");
		if (!strcmp(arg.name, "add-fd"))
			lu_argv_refuse(why, NULL, &arg, "an inherited file descriptor can't be opened again",
				       "name the file by its path instead");
		if (!strcmp(arg.name, "runas") || !strcmp(arg.name, "chroot"))
			lu_argv_refuse(why, NULL, &arg, "the user it was started as is unknown",
				       "let systemd change the user (User= of the unit)");
		if (!strcmp(arg.name, "run-with") && arg.value &&
		    (strstr(arg.value, "user=") || strstr(arg.value, "chroot=")))
			lu_argv_refuse(why, NULL, &arg, "the user it was started as is unknown",
				       "let systemd change the user (User= of the unit)");
		if ((!strcmp(arg.name, "qmp") || !strcmp(arg.name, "chardev") || !strcmp(arg.name, "serial") ||
		     !strcmp(arg.name, "monitor")) &&
		    arg.value && (!strncmp(arg.value, "fd:", 3)))
			lu_argv_refuse(why, NULL, &arg, "an inherited file descriptor can't be opened again", NULL);
		check_backend(&arg, why);
		lu_argv_check_peer(&arg, tpm, why);
	}
	return 0;
}

const char *lu_argv_late(char *const *argv, bool root)
{
	struct lu_arg arg = { 0 };

	while (lu_argv_next(argv, &arg)) {
		_cleanup_free_ char *script = NULL, *fd = NULL;
		const char *disk = lu_argv_late_disk(&arg);

		if (disk)
			return disk;
		if (strcmp(arg.name, "netdev") != 0 && strcmp(arg.name, "nic") != 0 && strcmp(arg.name, "net") != 0)
			continue;
		if (lu_argv_kind_is(arg.value, "type", "bridge"))
			return "its network needs a bridge that exists only once the host's network is up";
		/* whose descriptor it inherits is made with it (inherited.h) */
		if (!lu_argv_kind_is(arg.value, "type", "tap") || lu_argv_property(arg.value, "fd", &fd) > 0 ||
		    lu_argv_property(arg.value, "fds", &fd) > 0)
			continue;
		if (!root)
			return "its tap device belongs to a user and is made by the host's network set-up";
		if (lu_argv_property(arg.value, "script", &script) <= 0 || strcmp(script, "no") != 0)
			return "its tap device is set up by a script that needs the host's network";
	}
	return NULL;
}
