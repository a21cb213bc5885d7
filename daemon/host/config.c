// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Settings: one row of on_key() for each, with what it expects. Files are read in the order of config.h, and
 * a later one's value takes the place of an earlier one's. The first setting that is no good ends it, with its file and what
 * was expected; then nothing of what was read counts.
 */
#include <dirent.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

#define LU_CONFIG_RESTORES_MAX 4096u
#define LIMIT_MARGIN_USEC (20 * UINT64_C(1000000))  /* hooks come first, for up to ten seconds */
#define CHECK_MARGIN_USEC (120 * UINT64_C(1000000)) /* for all of the check but the trial */

struct parse {
	struct lu_config *config;
	const char *file;
	struct lu_error *error;
	int r;
};

static int parse_bool(const char *v, bool *ret)
{
	if (!strcmp(v, "yes") || !strcmp(v, "true"))
		*ret = true;
	else if (!strcmp(v, "no") || !strcmp(v, "false"))
		*ret = false;
	else
		return -EINVAL;
	return 0;
}

static int parse_trial(const char *v, enum lu_config_trial *ret)
{
	bool b;
	int r = parse_bool(v, &b);

	if (r < 0 && !strcmp(v, "auto"))
		*ret = LU_CONFIG_AUTO;
	else if (r < 0)
		return r;
	else
		*ret = b ? LU_CONFIG_YES : LU_CONFIG_NO;
	return 0;
}

static int parse_seconds(const char *v, uint64_t *ret_usec)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(v, &end, 10);
	if (errno || end == v || *end || *v == '-' || n < 1 || n > 3600)
		return -EINVAL;
	*ret_usec = n * UINT64_C(1000000);
	return 0;
}

static int parse_count(const char *v, uint64_t *ret)
{
	unsigned long n;
	char *end;

	if (!strcmp(v, "cpus")) {
		*ret = 0;
		return 0;
	}
	errno = 0;
	n = strtoul(v, &end, 10);
	if (errno || end == v || *end || *v == '-' || n < 1 || n > LU_CONFIG_RESTORES_MAX)
		return -EINVAL;
	*ret = n;
	return 0;
}

static void list_free(char **list)
{
	for (char **s = list; s && *s; s++)
		free(*s);
	free(list);
}

/* Words between blanks. A later file's list takes the place of an earlier one's. */
static int parse_names(const char *v, char ***ret)
{
	_cleanup_free_ char *copy = strdup(v);
	char **list = calloc(strlen(v) / 2 + 2, sizeof(*list));
	size_t n = 0;
	int r = copy && list ? 0 : -ENOMEM;

	for (char *save = NULL, *s = copy ? strtok_r(copy, " \t", &save) : NULL; r == 0 && s;
	     s = strtok_r(NULL, " \t", &save)) {
		if (!lu_name_valid(s) && !lu_uuid_valid(s))
			r = -EINVAL;
		else if (!(list[n++] = strdup(s)))
			r = -ENOMEM;
	}
	if (r < 0) {
		list_free(list);
		return r;
	}
	list_free(*ret);
	*ret = list;
	return 0;
}

static int parse_path(const char *v, char **ret)
{
	char *s;

	if (v[0] != '/')
		return -EINVAL;
	s = strdup(v);
	if (!s)
		return -ENOMEM;
	free(*ret);
	*ret = s;
	return 0;
}

static int on_key(void *userdata, const char *section, const char *key, const char *value)
{
	struct parse *p = userdata;
	const char *expect = NULL;
	int r;

	if (!strcmp(section, "paths") && !strcmp(key, "pkernfs"))
		r = parse_path(value, &p->config->pkernfs), expect = "an absolute path";
	else if (!strcmp(section, "paths") && !strcmp(key, "vms"))
		r = parse_path(value, &p->config->vms_dir), expect = "an absolute path";
	else if (!strcmp(section, "update") && !strcmp(key, "libvirt"))
		r = parse_bool(value, &p->config->libvirt), expect = "yes or no";
	else if (!strcmp(section, "update") && !strcmp(key, "quiesce"))
		r = parse_bool(value, &p->config->quiesce), expect = "yes or no";
	else if (!strcmp(section, "update") && !strcmp(key, "freeze"))
		r = parse_bool(value, &p->config->freeze), expect = "yes or no";
	else if (!strcmp(section, "update") && !strcmp(key, "save-timeout"))
		r = parse_seconds(value, &p->config->save_timeout_usec), expect = "seconds from 1 to 3600";
	else if (!strcmp(section, "update") && !strcmp(key, "trial"))
		r = parse_trial(value, &p->config->trial), expect = "auto, yes or no";
	else if (!strcmp(section, "update") && !strcmp(key, "trial-timeout"))
		r = parse_seconds(value, &p->config->trial_usec), expect = "seconds from 1 to 3600";
	else if (!strcmp(section, "update") && !strcmp(key, "trial-running"))
		r = parse_path(value, &p->config->trial_running), expect = "an absolute path";
	else if (!strcmp(section, "update") && !strcmp(key, "restores"))
		r = parse_count(value, &p->config->restores), expect = "cpus, or a number from 1 to 4096";
	else if (!strcmp(section, "update") && !strcmp(key, "order"))
		r = parse_names(value, &p->config->order), expect = "names or UUIDs of VMs, with blanks between";
	else
		r = -ENOENT;
	if (r == 0)
		return 1;
	if (p->r == 0 && r == -ENOENT)
		p->r = lu_error_set(p->error, -EINVAL, "luctld(8) lists the settings", "%s: unknown setting [%s] %s",
				    p->file, section, key);
	else if (p->r == 0)
		p->r = lu_error_set(p->error, r, "luctld(8) lists the settings", "%s: [%s] %s=%s: expected %s", p->file,
				    section, key, value, expect);
	return 0;
}

static int load_file(struct lu_config *c, const char *path, struct lu_error *error)
{
	struct parse p = { .config = c, .file = path, .error = error };
	int r;

	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	r = ini_parse(path, on_key, &p);
	if (p.r < 0)
		return p.r;
	if (r < 0)
		return lu_error_set(error, -EIO, NULL, "%s: can't be read: %s", path, strerror(errno));
	if (r > 0)
		return lu_error_set(error, -EBADMSG, "luctld(8) lists the settings", "%s:%d: not a setting", path, r);
	return 0;
}

static int is_conf(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return d->d_name[0] != '.' && n > 5 && !strcmp(d->d_name + n - 5, ".conf");
}

int lu_config_load(const char *dir, struct lu_config *ret, struct lu_error *error)
{
	_cleanup_(lu_config_clear) struct lu_config c = {
		.pkernfs = strdup("/run/luctl/pkernfs"),
		.vms_dir = strdup("/etc/luctl/vms.d"),
		.quiesce = true,
		.libvirt = true,
		.freeze = true,
		.save_timeout_usec = 30 * UINT64_C(1000000),
		.trial_usec = 240 * UINT64_C(1000000),
	};
	struct dirent **list = NULL;
	char path[4096];
	int n, r;

	if (!c.pkernfs || !c.vms_dir)
		return -ENOMEM;
	snprintf(path, sizeof(path), "%s/luctld.conf", dir);
	r = load_file(&c, path, error);
	snprintf(path, sizeof(path), "%s/luctld.conf.d", dir);
	n = scandir(path, &list, is_conf, alphasort);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/luctld.conf.d/%s", dir, list[i]->d_name);
		if (r == 0)
			r = load_file(&c, path, error);
		free(list[i]);
	}
	free(list);
	if (r < 0)
		return r;
	*ret = c;
	c = (struct lu_config){ 0 };
	return 0;
}

void lu_config_clear(struct lu_config *c)
{
	free(c->pkernfs);
	free(c->vms_dir);
	free(c->trial_running);
	list_free(c->order);
	*c = (struct lu_config){ 0 };
}

static uint64_t at_least(uint64_t usec, unsigned int default_sec)
{
	return usec > default_sec * UINT64_C(1000000) ? usec : default_sec * UINT64_C(1000000);
}

uint64_t lu_config_limit(const struct lu_config *c, unsigned int default_sec)
{
	return at_least(c->save_timeout_usec + LIMIT_MARGIN_USEC, default_sec);
}

uint64_t lu_config_check_limit(const struct lu_config *c, unsigned int default_sec)
{
	return at_least(2 * c->trial_usec + CHECK_MARGIN_USEC, default_sec);
}

size_t lu_config_turn(const struct lu_config *c, const char *name, const char *uuid)
{
	for (size_t i = 0; c->order && c->order[i]; i++)
		if (!strcmp(c->order[i], name) || !strcasecmp(c->order[i], uuid))
			return i;
	return SIZE_MAX;
}
