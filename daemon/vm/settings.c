// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How a QEMU migrates is set by whoever uses its monitor, and stays set. What somebody needed for a migration over a
 * network (channels of multifd, TLS, a limit, a pause before the switch-over) keeps a save from ending, or makes a state
 * that does not load.
 *
 * PREPARE	notes all capabilities and parameters as they are in settings.json, before it changes any. Then each
 *		capability is switched off but those that the save is made with, also one that we have never heard of, and
 *		parameters get what a save into a file needs.
 * UNPREPARE	asks again, and sets what is not as it was noted. In a QEMU that has taken a guest over (update --vmm)
 *		that makes it what the one before was.
 *
 * A record of a daemon that knew only of the mode and one capability has no settings.json; these two are put back.
 */
#include <string.h>

#include "vm-internal.h"

/* As libvirt sets it for "no limit": the largest that is a whole number of MiB */
#define NO_LIMIT (INT64_MAX / (1024 * 1024) * (1024 * 1024))
#define SETTINGS_MAX (32u << 10)

static int keep(struct json_object **to, struct json_object *data)
{
	json_object_put(*to);
	*to = json_object_get(data);
	return 0;
}

/* [{"capability": "events", "state": true}] as {"events": true} */
static int as_object(struct json_object *list, struct json_object **ret)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	int r = o ? 0 : -ENOMEM;

	if (!json_object_is_type(list, json_type_array))
		return -EBADMSG;
	for (size_t i = 0; r >= 0 && i < json_object_array_length(list); i++) {
		struct json_object *c = json_object_array_get_idx(list, i),
				   *state = lu_member(c, "state", json_type_boolean);
		const char *name = lu_member_string(c, "capability");

		r = name && state ? lu_json_add_bool(o, name, json_object_get_boolean(state)) : -EBADMSG;
	}
	if (r < 0)
		return r;
	*ret = steal_ptr(o);
	return 0;
}

static int on_capabilities(struct lu_vm_job *j, struct json_object *data)
{
	_cleanup_json_ struct json_object *o = NULL;
	int r;

	if (!data) /* it has ended */
		return keep(&j->capabilities, NULL);
	r = as_object(data, &o);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return lu_error_set(&j->error, -EBADMSG, NULL,
				    "VM %s: QEMU's answer on its migration capabilities can't be read", j->vm->name);
	if (!lu_member(o, "x-ignore-shared", json_type_boolean))
		return lu_error_set(&j->error, -EOPNOTSUPP, "QEMU 10 or newer is needed",
				    "VM %s: QEMU has no migration capability x-ignore-shared", j->vm->name);
	return keep(&j->capabilities, o);
}

static int on_parameters(struct lu_vm_job *j, struct json_object *data)
{
	if (data && !json_object_is_type(data, json_type_object))
		return lu_error_set(&j->error, -EBADMSG, NULL,
				    "VM %s: QEMU's answer on its migration parameters can't be read", j->vm->name);
	return keep(&j->parameters, data);
}

int lu_settings_ask_capabilities(struct lu_vm_job *j)
{
	return lu_vm_job_command(j, "query-migrate-capabilities", NULL, on_capabilities);
}

int lu_settings_ask_parameters(struct lu_vm_job *j)
{
	return lu_vm_job_command(j, "query-migrate-parameters", NULL, on_parameters);
}

static bool capability(struct json_object *all, const char *name)
{
	return json_object_get_boolean(lu_member(all, name, json_type_boolean));
}

/* The members stay the object's. */
static int as_list(struct json_object *o, struct lu_setting **ret, size_t *ret_n)
{
	struct lu_setting *list = calloc((size_t)json_object_object_length(o) + 1, sizeof(*list));
	size_t n = 0;

	if (!list)
		return -ENOMEM;
	json_object_object_foreach (o, name, value)
		list[n++] = (struct lu_setting){ name, value };
	*ret = list;
	*ret_n = n;
	return 0;
}

static int note(struct lu_vm_job *j)
{
	_cleanup_free_ struct lu_setting *capabilities = NULL, *parameters = NULL;
	struct lu_settings s = { .update = j->update };
	int r = as_list(j->capabilities, &capabilities, &s.n_capabilities);

	if (r >= 0)
		r = as_list(j->parameters, &parameters, &s.n_parameters);
	if (r < 0)
		return r;
	s.capabilities = capabilities;
	s.parameters = parameters;
	return lu_settings_write(j->dir_fd, &s, &j->error);
}

int lu_settings_note(struct lu_vm_job *j)
{
	const char *mode = lu_member_string(j->parameters, "mode");
	size_t size =
		strlen(json_object_to_json_string(j->capabilities)) + strlen(json_object_to_json_string(j->parameters));

	if (j->have_saved)
		return 0;
	if (size > SETTINGS_MAX)
		return lu_error_set(&j->error, -E2BIG, NULL,
				    "VM %s: its migration parameters are %zu bytes, more than %u", j->vm->name, size,
				    SETTINGS_MAX);
	free(j->saved.mode);
	j->saved.mode = mode ? strdup(mode) : NULL;
	if (mode && !j->saved.mode)
		return -ENOMEM;
	j->saved.ignore_shared = capability(j->capabilities, "x-ignore-shared");
	return note(j);
}

/* --- to be set --- */

static int on_set(struct lu_vm_job *j, struct json_object *data)
{
	return 0;
}

static int add_capability(struct json_object *list, const char *name, bool on)
{
	struct json_object *c = lu_json_args("capability", name, NULL);

	if (c && lu_json_add_bool(c, "state", on) >= 0 && json_object_array_add(list, c) >= 0)
		return 0;
	json_object_put(c);
	return -ENOMEM;
}

/* All in one command: some may only be on or off together with others. */
static int send_capabilities(struct lu_vm_job *j, struct json_object *list, unsigned int tolerate)
{
	struct json_object *args;

	if (json_object_array_length(list) == 0)
		return 0;
	args = json_object_new_object();
	if (!args || lu_json_add(args, "capabilities", json_object_get(list)) < 0) {
		json_object_put(args);
		return -ENOMEM;
	}
	return lu_vm_job_try(j, "migrate-set-capabilities", args, tolerate, on_set);
}

int lu_settings_set_capabilities(struct lu_vm_job *j)
{
	_cleanup_json_ struct json_object *list = json_object_new_array();
	int r = list ? 0 : -ENOMEM;

	json_object_object_foreach (j->capabilities, name, state) {
		if (r < 0)
			return r;
		/* in the mode cpr-transfer memory is left out anyway, and with the capability QEMU does not load the state (cpr.h) */
		if (!strcmp(name, "x-ignore-shared"))
			r = add_capability(list, name, !j->vm->facts.devices);
		else if (strcmp(name, "events") != 0 && json_object_get_boolean(state)) /* they only tell */
			r = add_capability(list, name, false);
	}
	return r < 0 ? r : send_capabilities(j, list, 0);
}

/* A parameter that this QEMU has, and that is another. */
static int want(struct lu_vm_job *j, struct json_object *args, const char *name, struct json_object *value)
{
	struct json_object *now = NULL;

	if (!value)
		return -ENOMEM;
	if (!json_object_object_get_ex(j->parameters, name, &now) || json_object_equal(now, value)) {
		json_object_put(value);
		return 0;
	}
	return lu_json_add(args, name, value);
}

int lu_settings_set_parameters(struct lu_vm_job *j)
{
	static const char *const texts[] = { "tls-creds", "tls-hostname", "tls-authz" };
	struct json_object *args = lu_json_args("mode", lu_vm_mode(j->vm), NULL);
	int r = args ? 0 : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(texts); i++)
		r = want(j, args, texts[i], json_object_new_string(""));
	if (r >= 0)
		r = want(j, args, "max-bandwidth", json_object_new_int64(NO_LIMIT));
	if (r >= 0)
		r = want(j, args, "avail-switchover-bandwidth", json_object_new_int64(0));
	if (r >= 0)
		r = want(j, args, "direct-io", json_object_new_boolean(false));
	if (r < 0) {
		json_object_put(args);
		return r;
	}
	return lu_vm_job_try(j, "migrate-set-parameters", args, 0, on_set);
}

/* --- to be put back --- */

static int put_mode_back(struct lu_vm_job *j)
{
	return lu_vm_job_set_mode(j, j->saved.mode ?: "normal", LU_TOLERATE_DEATH, on_set);
}

static int read_noted(struct lu_vm_job *j)
{
	int r;

	lu_settings_clear(&j->settings);
	if (!j->have_saved)
		return -ENOENT;
	r = lu_settings_read(j->dir_fd, &j->settings, NULL);
	if (r < 0 || !strcmp(j->settings.update, j->update))
		return r;
	lu_settings_clear(&j->settings);
	return -ENOENT;
}

static int on_present_parameters(struct lu_vm_job *j, struct json_object *data)
{
	struct json_object *args;
	int r = on_parameters(j, data);

	if (r < 0 || !data)
		return r;
	args = json_object_new_object();
	if (!args)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < j->settings.n_parameters; i++) {
		const struct lu_setting *then = &j->settings.parameters[i];
		struct json_object *now = NULL;

		if (!json_object_object_get_ex(data, then->name, &now) || json_object_equal(now, then->value))
			continue;
		r = lu_json_add(args, then->name, json_object_get(then->value));
	}
	if (r < 0 || json_object_object_length(args) == 0) {
		json_object_put(args);
		return r;
	}
	return lu_vm_job_try(j, "migrate-set-parameters", args, LU_TOLERATE_DEATH, on_set);
}

int lu_settings_put_parameters_back(struct lu_vm_job *j)
{
	int r;

	if (!j->have_saved)
		return 0;
	r = read_noted(j);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return put_mode_back(j);
	return lu_vm_job_try(j, "query-migrate-parameters", NULL, LU_TOLERATE_DEATH, on_present_parameters);
}

static int on_present_capabilities(struct lu_vm_job *j, struct json_object *data)
{
	_cleanup_json_ struct json_object *list = json_object_new_array();
	int r = on_capabilities(j, data);

	if (r < 0 || !data)
		return r;
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < j->settings.n_capabilities; i++) {
		const struct lu_setting *then = &j->settings.capabilities[i];
		struct json_object *now = lu_member(j->capabilities, then->name, json_type_boolean);

		if (!now || json_object_equal(now, then->value))
			continue;
		r = add_capability(list, then->name, json_object_get_boolean(then->value));
		if (r < 0)
			return r;
	}
	return send_capabilities(j, list, LU_TOLERATE_DEATH);
}

int lu_settings_put_capabilities_back(struct lu_vm_job *j)
{
	if (!j->have_saved)
		return 0;
	if (!j->settings.update)
		return lu_vm_job_set_ignore_shared(j, j->saved.ignore_shared, LU_TOLERATE_DEATH, on_set);
	return lu_vm_job_try(j, "query-migrate-capabilities", NULL, LU_TOLERATE_DEATH, on_present_capabilities);
}
