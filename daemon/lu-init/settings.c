// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whoever manages a guest has set QEMU's migration capabilities and parameters over the monitor, and takes for granted
 * that they stay: libvirt turns the capability "events" on when it starts a domain, and never again. So a QEMU that has
 * taken a guest over gets what the one before had (settings.json).
 */
#include <json-c/json.h>
#include <string.h>

#include "lu-init.h"
#include "store.h"

/* What QEMU tells as [{capability, state}]; NULL: it has no such capability. */
static struct json_object *state_of(struct json_object *list, const char *name)
{
	for (size_t i = 0; json_object_is_type(list, json_type_array) && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i), *capability, *state;

		if (json_object_object_get_ex(o, "capability", &capability) &&
		    json_object_object_get_ex(o, "state", &state) &&
		    !strcmp(json_object_get_string(capability) ?: "", name))
			return state;
	}
	return NULL;
}

static int set(struct lu_monitor *m, const char *command, struct json_object *args, struct lu_error *e)
{
	int r = lu_monitor_command(m, command, args, NULL, e);

	json_object_put(args);
	return r;
}

/* All in one command: some may only be on together with others. */
static int set_capabilities(struct lu_monitor *m, const struct lu_settings *s, struct lu_error *e)
{
	struct json_object *now = NULL, *list = json_object_new_array(), *args = json_object_new_object();
	int r = list && args ? lu_monitor_command(m, "query-migrate-capabilities", NULL, &now, e) : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < s->n_capabilities; i++) {
		const struct lu_setting *then = &s->capabilities[i];
		struct json_object *state = state_of(now, then->name), *o;

		if (!state || json_object_equal(state, then->value))
			continue;
		o = json_object_new_object();
		json_object_object_add(o, "capability", json_object_new_string(then->name));
		json_object_object_add(o, "state", json_object_get(then->value));
		json_object_array_add(list, o);
	}
	json_object_put(now);
	if (r >= 0 && json_object_array_length(list) > 0) {
		json_object_object_add(args, "capabilities", list);
		return set(m, "migrate-set-capabilities", args, e);
	}
	json_object_put(list);
	json_object_put(args);
	return r;
}

static int set_parameters(struct lu_monitor *m, const struct lu_settings *s, struct lu_error *e)
{
	struct json_object *all = NULL, *args = json_object_new_object(), *now;
	int r = args ? lu_monitor_command(m, "query-migrate-parameters", NULL, &all, e) : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < s->n_parameters; i++)
		if (json_object_is_type(all, json_type_object) &&
		    json_object_object_get_ex(all, s->parameters[i].name, &now) &&
		    !json_object_equal(now, s->parameters[i].value))
			json_object_object_add(args, s->parameters[i].name, json_object_get(s->parameters[i].value));
	json_object_put(all);
	if (r >= 0 && json_object_object_length(args) > 0)
		return set(m, "migrate-set-parameters", args, e);
	json_object_put(args);
	return r;
}

int lu_settings_put_back(struct lu_monitor *m, int dir, const struct lu_saved *saved, struct lu_error *e)
{
	_cleanup_(lu_settings_clear) struct lu_settings s = { 0 };
	int r = lu_settings_read(dir, &s, e);

	if (r >= 0 && strcmp(s.update, saved->update) != 0)
		r = lu_error_set(e, -ESTALE, NULL, "settings.json is of another update");
	if (r >= 0)
		r = set_capabilities(m, &s, e);
	return r < 0 ? r : set_parameters(m, &s, e);
}
