// SPDX-License-Identifier: GPL-2.0-or-later
/* ListVMs and DescribeVM. While a VM is asked by somebody else it can't be asked, and what is known of it is old: so that is waited for. */
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "replies.h"
#include "update.h"
#include "vm-calls.h"

#define BUSY_RETRY_USEC 20000 /* in the time that a monitor has to answer a probe, and some more */
#define BUSY_TRIES 750

struct lu_vm_call {
	struct lu_vm_call *next;
	struct lu_vm_calls *calls;
	sd_bus_message *message;
	char *key;   /* of the one that is asked for, or NULL */
	size_t left; /* answers to come */
	sd_event_source *turn;
	unsigned int tries;
};

static void call_free(struct lu_vm_call *c)
{
	struct lu_vm_call **at = &c->calls->first;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	sd_event_source_disable_unref(c->turn);
	sd_bus_message_unref(c->message);
	free(c->key);
	free(c);
}

static void reply(struct lu_vm_call *c)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *text = NULL;
	struct lu_vm *vm;
	int r;

	if (!c->key) {
		r = lu_document_vms(c->calls->env, c->calls->update, &text, &e);
	} else {
		vm = lu_vms_find(c->calls->env->vms, c->key);
		r = vm ? lu_document_vm(c->calls->update, vm, &text, &e) :
			 lu_error_set(&e, -ENOENT, "see luctl vm list", "VM %s: not known", c->key);
	}
	if (r < 0)
		(void)lu_reply_error(c->message, NULL, r, &e);
	else
		(void)sd_bus_reply_method_return(c->message, "s", text);
	call_free(c);
}

static bool is_asked(const struct lu_vm_call *c, struct lu_vm *vm)
{
	return !lu_vm_error(vm) && (!c->key || vm == lu_vms_find(c->calls->env->vms, c->key));
}

/* An update's word is as fresh as it gets. */
static bool any_busy(const struct lu_vm_call *c)
{
	if (lu_update_info(c->calls->update)->running)
		return false;
	for (struct lu_vm *vm = lu_vms_first(c->calls->env->vms); vm; vm = lu_vm_next(vm))
		if (is_asked(c, vm) && lu_vm_op_busy(vm))
			return true;
	return false;
}

static int on_turn(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct lu_vm_call *c = userdata;

	if (any_busy(c) && c->tries++ < BUSY_TRIES && sd_event_source_set_time_relative(s, BUSY_RETRY_USEC) >= 0 &&
	    sd_event_source_set_enabled(s, SD_EVENT_ONESHOT) >= 0)
		return 0;
	reply(c);
	return 0;
}

static void one_less(struct lu_vm_call *c)
{
	if (--c->left > 0)
		return;
	if (any_busy(c) &&
	    sd_event_add_time_relative(c->calls->env->event, &c->turn, CLOCK_MONOTONIC, 0, 0, on_turn, c) >= 0)
		return;
	reply(c);
}

static void on_probed(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata)
{
	lu_vm_disconnect(vm);
	one_less(userdata);
}

int lu_vm_call_start(struct lu_vm_calls *calls, sd_bus_message *m, const char *key)
{
	bool running = lu_update_info(calls->update)->running;
	struct lu_vm_call *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	*c = (struct lu_vm_call){ .next = calls->first, .calls = calls, .message = sd_bus_message_ref(m), .left = 1 };
	calls->first = c;
	if (key && !(c->key = strdup(key))) {
		call_free(c);
		return -ENOMEM;
	}
	if (!running)
		(void)lu_vms_load(calls->env->vms, calls->env->config.vms_dir, NULL);
	for (struct lu_vm *vm = running ? NULL : lu_vms_first(calls->env->vms); vm; vm = lu_vm_next(vm))
		if (is_asked(c, vm) && lu_vm_op_start(vm, LU_VM_PROBE, NULL, 0, on_probed, c) == 0)
			c->left++;
	one_less(c);
	return 1;
}

void lu_vm_calls_clear(struct lu_vm_calls *calls)
{
	while (calls->first)
		call_free(calls->first);
}
