// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See unit-limits.h. systemd tells all properties of a unit at once; the table says which of them are kept and in what form.
 * A property that a later systemd has renamed is not found and so not kept: it is at its default then for us, too.
 */
#include <stdio.h>
#include <string.h>

#include "disk-names.h"
#include "unit-limits.h"

#define LIMITS_MAX (1U << 20)
#define WORDS_MAX 1024u

enum form {
	NUMBER, /* t */
	TEXT,   /* s */
	CPUS,   /* ay: a bit mask */
	PAIRS,  /* a(ss) */
	COUNTS, /* a(st) */
	LOST,   /* whatever it is: can't be kept */
};

static const struct {
	const char *name;
	enum form form;
	uint64_t def;     /* NUMBER: worth nothing */
	const char *word; /* TEXT: the same; LOST: or an empty list */
} properties[] = {
	{ "AllowedCPUs", CPUS, 0, NULL },
	{ "AllowedMemoryNodes", CPUS, 0, NULL },
	{ "CPUQuotaPerSecUSec", NUMBER, UINT64_MAX, NULL },
	{ "CPUQuotaPeriodUSec", NUMBER, UINT64_MAX, NULL },
	{ "CPUWeight", NUMBER, UINT64_MAX, NULL },
	{ "DeviceAllow", PAIRS, 0, NULL },
	{ "DevicePolicy", TEXT, 0, "auto" },
	{ "IODeviceLatencyTargetUSec", COUNTS, 0, NULL },
	{ "IODeviceWeight", COUNTS, 0, NULL },
	{ "IOReadBandwidthMax", COUNTS, 0, NULL },
	{ "IOReadIOPSMax", COUNTS, 0, NULL },
	{ "IOWeight", NUMBER, UINT64_MAX, NULL },
	{ "IOWriteBandwidthMax", COUNTS, 0, NULL },
	{ "IOWriteIOPSMax", COUNTS, 0, NULL },
	{ "ManagedOOMMemoryPressure", TEXT, 0, "auto" },
	{ "ManagedOOMPreference", TEXT, 0, "none" },
	{ "ManagedOOMSwap", TEXT, 0, "auto" },
	{ "MemoryHigh", NUMBER, UINT64_MAX, NULL },
	{ "MemoryLow", NUMBER, 0, NULL },
	{ "MemoryMax", NUMBER, UINT64_MAX, NULL },
	{ "MemoryMin", NUMBER, 0, NULL },
	{ "MemorySwapMax", NUMBER, UINT64_MAX, NULL },
	{ "OOMPolicy", TEXT, 0, "" },
	{ "Slice", TEXT, 0, "system.slice" },
	{ "TasksMax", NUMBER, 0, NULL },
	{ "BPFProgram", LOST, 0, NULL },
	{ "IPAddressAllow", LOST, 0, NULL },
	{ "IPAddressDeny", LOST, 0, NULL },
	{ "IPEgressFilterPath", LOST, 0, NULL },
	{ "IPIngressFilterPath", LOST, 0, NULL },
	{ "NFTSet", LOST, 0, NULL },
	{ "RestrictNetworkInterfaces", LOST, 0, NULL },
	{ "SocketBindAllow", LOST, 0, NULL },
	{ "SocketBindDeny", LOST, 0, NULL },
};

static bool name_valid(const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(properties); i++)
		if (!strcmp(s, properties[i].name) && properties[i].form != LOST)
			return true;
	return false;
}

static const struct lu_json_field limit_fields[] = {
	{ "name", LU_JSON_STRING, offsetof(struct lu_limit, name), LU_JSON_REQUIRED, .check = name_valid,
	  .expect = "a property that is carried over" },
	{ "number", LU_JSON_UINT, offsetof(struct lu_limit, number), LU_JSON_NULLABLE, .def = -1 },
	{ "words", LU_JSON_STRINGS, offsetof(struct lu_limit, words), LU_JSON_NULLABLE, .max = WORDS_MAX },
};
static const struct lu_json_table limit_table = LU_JSON_TABLE("limit", struct lu_limit, limit_fields);

static const struct lu_json_field limits_fields[] = {
	{ "unit", LU_JSON_STRING, offsetof(struct lu_limits, unit), LU_JSON_REQUIRED, .min = 1, .max = 255 },
	{ "limits", LU_JSON_OBJECTS, offsetof(struct lu_limits, list), LU_JSON_REQUIRED, .max = 64,
	  .table = &limit_table, .count_offset = offsetof(struct lu_limits, n) },
};
static const struct lu_json_table table = LU_JSON_DOCUMENT("limits", struct lu_limits, limits_fields, 1);

void lu_limits_clear(struct lu_limits *l)
{
	lu_json_free(&table, l);
}

int lu_limits_read(int dir_fd, struct lu_limits *ret, struct lu_error *e)
{
	*ret = (struct lu_limits){ 0 };
	return lu_json_load(dir_fd, "limits.json", LIMITS_MAX, &table, ret, e);
}

int lu_limits_write(int dir_fd, const struct lu_limits *l, struct lu_error *e)
{
	return lu_json_store(dir_fd, "limits.json", 0600, &table, l, e);
}

int lu_limits_copy(const struct lu_limits *l, struct lu_limits *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = lu_json_encode_text(&table, l, &text, NULL);

	return r < 0 ? r : lu_json_decode_text(text, strlen(text), LIMITS_MAX, "limits", &table, ret, NULL);
}

/* --- from systemd --- */

static int add_word(struct lu_limit *l, const char *word)
{
	size_t n = 0;
	char **words;

	while (l->words && l->words[n])
		n++;
	if (n >= WORDS_MAX)
		return -E2BIG;
	words = reallocarray(l->words, n + 2, sizeof(*words));
	if (!words)
		return -ENOMEM;
	l->words = words;
	words[n + 1] = NULL;
	words[n] = strdup(word);
	return words[n] ? 0 : -ENOMEM;
}

/* Bit n of a mask, least significant byte first, as "0-3,8"; "" if none is set. */
static int mask_to_list(const uint8_t *mask, size_t size, char **ret)
{
	size_t used = 0, bits = size * 8;
	char *text = NULL;
	FILE *f = open_memstream(&text, &used);

	if (!f)
		return -ENOMEM;
	for (size_t i = 0; i < bits; i++) {
		size_t last = i;

		if (!(mask[i / 8] >> i % 8 & 1))
			continue;
		while (last + 1 < bits && (mask[(last + 1) / 8] >> (last + 1) % 8 & 1))
			last++;
		fprintf(f, ftello(f) ? ",%zu" : "%zu", i);
		if (last > i)
			fprintf(f, "-%zu", last);
		i = last;
	}
	if (fclose(f) != 0) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	return 0;
}

static int read_pairs(sd_bus_message *m, bool counts, struct lu_limit *l)
{
	const char *name, *text;
	char number[24];
	uint64_t value;
	int r = sd_bus_message_enter_container(m, 'a', counts ? "(st)" : "(ss)");

	while (r >= 0) {
		r = counts ? sd_bus_message_read(m, "(st)", &name, &value) :
			     sd_bus_message_read(m, "(ss)", &name, &text);
		if (r <= 0)
			break;
		if (counts) {
			snprintf(number, sizeof(number), "%llu", (unsigned long long)value);
			text = number;
		}
		r = add_word(l, name);
		if (r >= 0)
			r = add_word(l, text);
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* The value, in its container: 1 it is worth keeping, 0 it is the default. */
static int read_value(sd_bus_message *m, size_t which, struct lu_limit *l)
{
	_cleanup_free_ char *list = NULL;
	const void *mask;
	const char *text;
	size_t size;
	int r;

	switch (properties[which].form) {
	case NUMBER:
		r = sd_bus_message_read(m, "t", &l->number);
		return r < 0 ? r : l->number != properties[which].def;
	case TEXT:
		r = sd_bus_message_read(m, "s", &text);
		if (r >= 0)
			r = add_word(l, text);
		return r < 0 ? r : text[0] && strcmp(text, properties[which].word) != 0;
	case CPUS:
		r = sd_bus_message_read_array(m, 'y', &mask, &size);
		if (r >= 0)
			r = mask_to_list(mask, size, &list);
		if (r >= 0)
			r = add_word(l, list);
		return r < 0 ? r : list[0] != '\0';
	default:
		r = read_pairs(m, properties[which].form == COUNTS, l);
		return r < 0 ? r : l->words != NULL;
	}
}

static void limit_clear(struct lu_limit *l)
{
	for (char **w = l->words; w && *w; w++)
		free(*w);
	free(l->words);
	free(l->name);
}

static int add_limit(struct lu_limits *to, size_t which, sd_bus_message *m)
{
	struct lu_limit one = { .number = UINT64_MAX }, *list;
	int r = read_value(m, which, &one);

	if (r > 0) {
		one.name = strdup(properties[which].name);
		list = reallocarray(to->list, to->n + 1, sizeof(*list));
		if (list)
			to->list = list;
		if (!one.name || !list) {
			limit_clear(&one);
			return -ENOMEM;
		}
		list[to->n++] = one;
		return 0;
	}
	limit_clear(&one);
	return r;
}

/* Is anything in the variant? Its contents are skipped. */
static int is_set(sd_bus_message *m, const char *contents)
{
	int r, empty;

	if (contents[0] != 'a' && contents[0] != '(')
		return sd_bus_message_skip(m, contents);
	if (contents[0] == '(') { /* (bas): a list after a flag */
		const char *inner = contents + 1;
		int flag = 0;

		r = sd_bus_message_enter_container(m, 'r', "bas");
		if (r >= 0)
			r = sd_bus_message_read(m, "b", &flag);
		if (r >= 0)
			r = is_set(m, inner + 1);
		return r < 0 ? r : sd_bus_message_exit_container(m) < 0 ? -EBADMSG : r;
	}
	r = sd_bus_message_enter_container(m, 'a', contents[1] == 's' ? "s" : contents + 1);
	if (r < 0)
		return r;
	empty = sd_bus_message_at_end(m, 0);
	while (empty == 0 && sd_bus_message_at_end(m, 0) == 0)
		if ((r = sd_bus_message_skip(m, NULL)) < 0)
			return r;
	r = sd_bus_message_exit_container(m);
	return r < 0 ? r : empty == 0;
}

static int add_lost(char ***lost, const char *name)
{
	struct lu_limit l = { .words = *lost };
	int r = add_word(&l, name);

	*lost = l.words;
	return r;
}

static int one_property(sd_bus_message *m, struct lu_limits *to, char ***lost)
{
	const char *name, *contents;
	size_t which;
	char type;
	int r = sd_bus_message_read(m, "s", &name);

	for (which = 0; r >= 0 && which < ARRAY_SIZE(properties); which++)
		if (!strcmp(name, properties[which].name))
			break;
	if (r < 0 || which == ARRAY_SIZE(properties))
		return r < 0 ? r : sd_bus_message_skip(m, "v");
	r = sd_bus_message_peek_type(m, &type, &contents);
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'v', contents);
	if (r < 0)
		return r;
	if (properties[which].form == LOST) {
		r = is_set(m, contents);
		if (r > 0)
			r = add_lost(lost, name);
	} else {
		r = add_limit(to, which, m);
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_properties(sd_bus_message *m, struct lu_limits *to, char ***lost)
{
	int r = sd_bus_message_enter_container(m, 'a', "{sv}");

	while (r >= 0) {
		r = sd_bus_message_enter_container(m, 'e', "sv");
		if (r <= 0)
			return r;
		r = one_property(m, to, lost);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r;
}

static int call(sd_bus *bus, sd_bus_message *m, uint64_t timeout, sd_bus_message **reply, struct lu_error *error)
{
	_cleanup_(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
	int r = sd_bus_call(bus, m, timeout, &e, reply);

	return r < 0 ? lu_error_set(error, r, "see systemctl status and the host's journal",
				    "unit of the VM's process: %s", e.message ?: strerror(-r)) :
		       0;
}

static int ask_unit(sd_bus *bus, const char *path, uint64_t timeout, struct lu_limits *to, char ***lost,
		    struct lu_error *e)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
	const char *suffix = strrchr(to->unit, '.');
	char interface[64];
	int r;

	if (!suffix || (strcmp(suffix, ".service") != 0 && strcmp(suffix, ".scope") != 0))
		return 0;
	snprintf(interface, sizeof(interface), "org.freedesktop.systemd1.%s",
		 !strcmp(suffix, ".scope") ? "Scope" : "Service");
	r = sd_bus_message_new_method_call(bus, &m, "org.freedesktop.systemd1", path, "org.freedesktop.DBus.Properties",
					   "GetAll");
	if (r >= 0)
		r = sd_bus_message_append(m, "s", interface);
	if (r >= 0)
		r = call(bus, m, timeout, &reply, e);
	if (r >= 0)
		r = read_properties(reply, to, lost);
	return r < 0 ? lu_error_set(e, r, NULL, "properties of %s: %s", to->unit, strerror(-r)) : 0;
}

int lu_limits_ask(sd_bus *bus, pid_t pid, uint64_t timeout_usec, struct lu_limits *ret, char ***ret_lost,
		  struct lu_error *e)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(lu_limits_clear) struct lu_limits l = { 0 };
	const char *path;
	int r;

	r = sd_bus_message_new_method_call(bus, &m, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
					   "org.freedesktop.systemd1.Manager", "GetUnitByPID");
	if (r >= 0)
		r = sd_bus_message_append(m, "u", (uint32_t)pid);
	if (r >= 0)
		r = call(bus, m, timeout_usec, &reply, e);
	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &path);
	if (r < 0)
		return r;
	r = sd_bus_get_property_string(bus, "org.freedesktop.systemd1", path, "org.freedesktop.systemd1.Unit", "Id",
				       &error, &l.unit);
	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: %s", path, error.message ?: strerror(-r));
	r = ask_unit(bus, path, timeout_usec, &l, ret_lost, e);
	if (r < 0)
		return r;
	*ret = l;
	l = (struct lu_limits){ 0 };
	return 0;
}

/* --- disks --- */

/* The word as it shall be, *@ret NULL: as it is; 0: it can't be. */
typedef int (*disk_fn_t)(int root_fd, const char *word, char **ret);

static int name_disk(int root_fd, const char *word, char **ret)
{
	char number[32];

	if (lu_disk_name_holds(root_fd, word))
		return 1;
	return lu_disk_number(root_fd, word, number) > 0 ? lu_disk_name(root_fd, number, ret) : 0;
}

static int find_disk(int root_fd, const char *word, char **ret)
{
	char number[32];

	return strncmp(word, "/dev/disk/", 10) != 0 || lu_disk_number(root_fd, word, number) > 0;
}

static int tell_lost(const struct lu_limit *l, const char *word, char ***lost)
{
	_cleanup_free_ char *text = NULL;

	if (asprintf(&text, "%s=%s", l->name, word) < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return add_lost(lost, text);
}

/* The pairs of one property; those that can't be are left out and told. */
static int each_pair(int root_fd, struct lu_limit *l, disk_fn_t fn, char ***lost)
{
	size_t to = 0;
	int r = 0;

	for (size_t i = 0; l->words && l->words[i] && l->words[i + 1]; i += 2) {
		char *name = NULL, *word = l->words[i], *value = l->words[i + 1];
		int k = r < 0 ? r : fn(root_fd, word, &name);

		l->words[i] = l->words[i + 1] = NULL;
		if (k == 0)
			k = tell_lost(l, word, lost);
		if (k <= 0) {
			r = k < 0 ? k : r;
			free(word);
			free(value);
			continue;
		}
		if (name) {
			free(word);
			word = name;
		}
		l->words[to++] = word;
		l->words[to++] = value;
	}
	return r;
}

static int each_disk(int root_fd, struct lu_limits *l, disk_fn_t fn, char ***lost)
{
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < l->n; i++) {
		bool pairs = false;

		for (size_t k = 0; k < ARRAY_SIZE(properties); k++)
			pairs |= !strcmp(properties[k].name, l->list[i].name) &&
				 (properties[k].form == COUNTS || properties[k].form == PAIRS);
		if (pairs && r >= 0)
			r = each_pair(root_fd, &l->list[i], fn, lost);
		if (pairs && (!l->list[i].words || !l->list[i].words[0]))
			limit_clear(&l->list[i]);
		else
			l->list[n++] = l->list[i];
	}
	l->n = n;
	return r;
}

int lu_limits_name_disks(int root_fd, struct lu_limits *l, char ***lost)
{
	return each_disk(root_fd, l, name_disk, lost);
}

int lu_limits_find_disks(int root_fd, struct lu_limits *l, char ***lost)
{
	return each_disk(root_fd, l, find_disk, lost);
}

/* --- to systemd --- */

bool lu_limits_soften(struct lu_limits *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (!strcmp(l->list[i].name, "OOMPolicy") || !strncmp(l->list[i].name, "ManagedOOM", 10))
			limit_clear(&l->list[i]);
		else
			l->list[n++] = l->list[i];
	}
	if (n == l->n)
		return false;
	l->n = n;
	return true;
}

static int append_mask(sd_bus_message *m, const char *list)
{
	uint8_t mask[1024] = { 0 };
	size_t size = 0;

	for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',') {
		unsigned int first, last;
		int n = sscanf(p, "%u-%u", &first, &last);

		if (n == 1)
			last = first;
		for (unsigned int c = first; n >= 1 && c <= last && c < sizeof(mask) * 8; c++) {
			mask[c / 8] = (uint8_t)(mask[c / 8] | 1u << c % 8);
			size = c / 8 + 1;
		}
	}
	return sd_bus_message_append_array(m, 'y', mask, size);
}

static int append_pairs(sd_bus_message *m, char *const *words, bool counts)
{
	int r = sd_bus_message_open_container(m, 'a', counts ? "(st)" : "(ss)");

	for (; r >= 0 && words && words[0] && words[1]; words += 2)
		r = counts ? sd_bus_message_append(m, "(st)", words[0], (uint64_t)strtoull(words[1], NULL, 10)) :
			     sd_bus_message_append(m, "(ss)", words[0], words[1]);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_one(sd_bus_message *m, const struct lu_limit *l, enum form form)
{
	static const char *const contents[] = {
		[NUMBER] = "t", [TEXT] = "s", [CPUS] = "ay", [PAIRS] = "a(ss)", [COUNTS] = "a(st)"
	};
	int r = sd_bus_message_open_container(m, 'r', "sv");

	if (r >= 0)
		r = sd_bus_message_append(m, "s", l->name);
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'v', contents[form]);
	if (r < 0)
		return r;
	if (form == NUMBER)
		r = sd_bus_message_append(m, "t", l->number);
	else if (form == TEXT)
		r = sd_bus_message_append(m, "s", l->words[0]);
	else if (form == CPUS)
		r = append_mask(m, l->words[0]);
	else
		r = append_pairs(m, l->words, form == COUNTS);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

int lu_limits_append(const struct lu_limits *l, sd_bus_message *m)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < l->n; i++) {
		for (size_t k = 0; r >= 0 && k < ARRAY_SIZE(properties); k++) {
			enum form form = properties[k].form;

			if (strcmp(properties[k].name, l->list[i].name) != 0 || form == LOST)
				continue;
			/* as a document from another hand may have it */
			if (form != NUMBER && (!l->list[i].words || !l->list[i].words[0]))
				continue;
			r = append_one(m, &l->list[i], form);
		}
	}
	return r;
}
