// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * polkit over the bus, as systemd's daemons ask it: subject "system-bus-name" of
 * the caller, interaction allowed if the message says so. One struct lives from
 * the question to the answer; those that wait when the daemon ends are freed by lu_auth_end(), since each holds a
 * message, which holds the bus, which holds the question.
 *
 * No polkit on the bus means that only root may change things.
 */
#include <stdlib.h>
#include <string.h>

#include "auth.h"

#define ASK_TIMEOUT_USEC (120 * UINT64_C(1000000)) /* a person may have to type a password */

struct question {
	struct question *next;
	sd_bus_message *message;
	sd_bus_slot *slot;
	lu_auth_then_t then;
	void *userdata;
};

static struct question *questions; /* not answered yet */

static void question_free(struct question *q)
{
	struct question **at = &questions;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	sd_bus_slot_unref(q->slot);
	sd_bus_message_unref(q->message);
	free(q);
}
DEFINE_CLEANUP(struct question *, question_free)

void lu_auth_end(void)
{
	while (questions)
		question_free(questions);
}

bool lu_auth_is_root(sd_bus_message *m)
{
	_cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
	uid_t uid;

	return sd_bus_query_sender_creds(m, SD_BUS_CREDS_EUID, &creds) >= 0 &&
	       sd_bus_creds_get_euid(creds, &uid) >= 0 && uid == 0;
}

pid_t lu_auth_pid(sd_bus_message *m)
{
	_cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
	pid_t pid;

	return sd_bus_query_sender_creds(m, SD_BUS_CREDS_PID, &creds) >= 0 && sd_bus_creds_get_pid(creds, &pid) >= 0 ?
		       pid :
		       0;
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *unused)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(question_freep) struct question *q = userdata;
	int authorized = 0, challenge = 0, r = 0;

	if (!sd_bus_message_is_method_error(reply, NULL)) {
		r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
		if (r >= 0)
			r = sd_bus_message_read(reply, "bb", &authorized, &challenge);
	}
	if (r < 0 || !authorized)
		return sd_bus_reply_method_errorf(q->message, SD_BUS_ERROR_ACCESS_DENIED, "you may not do this\n%s",
						  challenge ? "authenticate as an administrator" : "run it as root");
	r = q->then(q->message, q->userdata, &error);
	if (r < 0 || sd_bus_error_is_set(&error))
		return sd_bus_reply_method_errno(q->message, r, &error);
	return 0;
}

int lu_auth_then(sd_bus_message *m, const char *action, lu_auth_then_t then, void *userdata, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *ask = NULL;
	sd_bus *bus = sd_bus_message_get_bus(m);
	struct question *q;
	int r;

	if (lu_auth_is_root(m))
		return then(m, userdata, error);
	r = sd_bus_message_new_method_call(bus, &ask, "org.freedesktop.PolicyKit1",
					   "/org/freedesktop/PolicyKit1/Authority",
					   "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization");
	if (r >= 0)
		r = sd_bus_message_append(ask, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s",
					  sd_bus_message_get_sender(m), action, 0,
					  (uint32_t)(sd_bus_message_get_allow_interactive_authorization(m) > 0), "");
	if (r < 0)
		return r;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->next = questions;
	questions = q;
	q->message = sd_bus_message_ref(m);
	q->then = then;
	q->userdata = userdata;
	r = sd_bus_call_async(bus, &q->slot, ask, on_answer, q, ASK_TIMEOUT_USEC);
	if (r < 0) {
		question_free(q);
		return r;
	}
	return 1;
}
