// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Watching a job, for update and restore. One line a state, with the time since the
 * command began; on a terminal the details of a state change in place.
 *
 * How it can end:
 *  1. Finished: the exit code follows the result. "aborted" without ever having left
 *     the check is a refusal, since nothing was touched.
 *  2. Ctrl-C: the first one cancels the job (and says so), the second one leaves it.
 *  3. The daemon goes away. In an update that is either the jump, which ends this
 *     process too, or the daemon died: systemd starts it again and it undoes the update.
 *     So wait for it and tell what it says.
 *  4. The jump ends us. Nothing to do; luctl report tells. A rehearsal goes on, in the states after it.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "clock.h"

#define SLICE_USEC 200000u
#define COMEBACK_USEC (90u * 1000000u) /* for a daemon that died to be started again and to undo */

static volatile sig_atomic_t interrupts;

static void on_interrupt(int sig)
{
	interrupts = interrupts + 1;
}

struct watch {
	struct cli *cli;
	uint64_t begin_ns;
	char state[32];
	char word[32]; /* what a person is told in its place */
	char *held;    /* in a pipe: the last detail of the state, told when the next state comes */
	bool in_place; /* the cursor stands behind a line that may be overwritten */
	bool left_check;
	bool rehearsing;
	bool rehearsed; /* it came to the jump */
	bool jumping;
};

static void tell_held(struct watch *w)
{
	if (w->held)
		puts(w->held);
	free(w->held);
	w->held = NULL;
}

/*
 * A rehearsal that has come to the jump is not aborted, whatever the engine calls its way back. If something went
 * wrong, that is said when the state is entered; details that come later are counts.
 */
static const char *word_of(const struct watch *w, const char *state, const char *detail)
{
	if (!w->rehearsed || *detail)
		return state;
	return strcmp(state, "aborting") == 0 ? "returning" : strcmp(state, "aborted") == 0 ? "rehearsed" : state;
}

/* Before the jump: when to come back, and what to type then. */
static void tell_farewell(struct watch *w)
{
	char back[64] = "";

	if (w->cli->back_usec)
		snprintf(back, sizeof(back), " for about %llu s, as the last time",
			 (unsigned long long)(w->cli->back_usec / 1000000 + 1));
	cli_say(w->cli, 0, "The host jumps now: this terminal ends, and nobody can log in%s.", back);
	cli_say(w->cli, 0, "Then: luctl status --wait; luctl report");
}

static void on_progress(void *userdata, const char *state, const char *detail)
{
	struct watch *w = userdata;
	bool same = *state && strcmp(state, w->state) == 0, tty = w->cli->color_out;
	uint64_t ms = (lu_clock_ns(CLOCK_MONOTONIC) - w->begin_ns) / 1000000;
	_cleanup_free_ char *s = NULL, *d = cli_safe(detail);

	if (strcmp(state, "checking") != 0 && strcmp(state, "examining") != 0 && strcmp(state, "aborting") != 0 &&
	    strcmp(state, "aborted") != 0)
		w->left_check = true;
	w->jumping = strcmp(state, "jump") == 0 && !w->rehearsing;
	w->rehearsed = w->rehearsed || (w->rehearsing && strcmp(state, "jump") == 0);
	if (!same) {
		snprintf(w->state, sizeof(w->state), "%s", state);
		snprintf(w->word, sizeof(w->word), "%s", word_of(w, state, detail));
	}
	if (w->cli->json)
		return;
	s = cli_safe(w->word);
	if (!tty && same) {
		free(w->held);
		w->held = NULL;
		if (asprintf(&w->held, "%4llu.%03llu  %-10s %s", (unsigned long long)(ms / 1000),
			     (unsigned long long)(ms % 1000), s ?: "?", d ?: "") < 0)
			w->held = NULL;
		return;
	}
	tell_held(w);
	if (w->in_place)
		fputs(same ? "\r\033[K" : "\n", stdout);
	printf("%s%4llu.%03llu%s  ", cli_color(tty, COLOR_DIM), (unsigned long long)(ms / 1000),
	       (unsigned long long)(ms % 1000), cli_color_off(tty));
	printf(d && *d ? "%-10s %s" : "%s", s ?: "?", d);
	if (tty)
		w->in_place = true;
	else
		putchar('\n');
	if (w->jumping && !same) {
		if (tty)
			putchar('\n');
		w->in_place = false;
		tell_farewell(w);
	}
	fflush(stdout);
}

static void line_end(struct watch *w)
{
	tell_held(w);
	if (w->in_place)
		putchar('\n');
	w->in_place = false;
}

static int end(struct watch *w, const char *result, const char *what, const char *hint)
{
	bool restore = strcmp(w->cli->verb->name, "restore") == 0;
	_cleanup_free_ char *what_copy = what ? strdup(what) : NULL, *hint_copy = hint ? strdup(hint) : NULL;
	int code = EXIT_FAILED;

	if (strcmp(result, "success") == 0) {
		if (!w->cli->json)
			puts(restore ? "The VM runs." :
			     w->rehearsing ?
				       "The rehearsal came to the jump and back; all guests run in this kernel. luctl "
				       "report tells how long they stood still." :
				       "The update is done. luctl report tells more.");
		return cli_outcome(w->cli, EXIT_OK, result, NULL, NULL);
	}
	if (strcmp(result, "aborted") == 0) {
		code = w->left_check ? EXIT_ABORTED : EXIT_REFUSED;
		if (!w->left_check)
			result = "refused";
	} else if (strcmp(result, "degraded") == 0) {
		code = EXIT_DEGRADED;
	} else {
		result = "failed";
	}
	cli_error(w->cli, code, hint_copy, "%s%s%s",
		  code == EXIT_ABORTED  ? "update aborted, the guests run on this kernel" :
		  code == EXIT_REFUSED  ? "update refused, nothing was touched" :
		  code == EXIT_DEGRADED ? "the update ended, but not every guest runs" :
		  restore               ? "the VM was not restored" :
					  "the update failed",
		  what_copy ? ": " : "", what_copy ?: "");
	return cli_outcome(w->cli, code, result, what_copy, hint_copy);
}

static int end_unreachable(struct watch *w)
{
	int code = cli_error_ctx(w->cli);

	return cli_outcome(w->cli, code, code == EXIT_UNREACHABLE ? "unreachable" : "failed",
			   luctl_last_error(w->cli->ctx), luctl_last_hint(w->cli->ctx));
}

static int after_loss(struct watch *w)
{
	_cleanup_(luctl_status_freep) struct luctl_status *status = NULL;

	if (strcmp(w->cli->verb->name, "update") != 0)
		return end_unreachable(w);
	if (!w->cli->json) {
		if (!w->jumping)
			printf("luctld went away while %s; waiting for it.\n", *w->state ? w->state : "starting");
		fflush(stdout);
	}
	if (luctl_status_wait(w->cli->ctx, COMEBACK_USEC, &status) < 0)
		return end_unreachable(w);
	if (!luctl_status_result(status))
		return end(w, "failed", "luctld came back and knows nothing of the update",
			   "journalctl -u luctld.service");
	return end(w, luctl_status_result(status), luctl_status_error(status), luctl_status_hint(status));
}

static int watch(struct watch *w, struct luctl_job *job)
{
	int cancels = 0, r;

	for (;;) {
		r = luctl_job_wait(job, on_progress, w, SLICE_USEC);
		if (r == 0) {
			line_end(w);
			return end(w, luctl_job_result(job), luctl_job_error(job), luctl_job_hint(job));
		}
		if (r != -ETIMEDOUT) {
			line_end(w);
			return after_loss(w);
		}
		if (interrupts > cancels) {
			line_end(w);
			if (++cancels > 1)
				return cli_error(w->cli, EXIT_FAILED,
						 "luctl status tells how it goes on, luctl abort aborts it",
						 "interrupted; it goes on without this command");
			if (luctl_job_cancel(job) < 0)
				(void)cli_error_ctx(w->cli);
			else
				fprintf(stderr, "Aborting; interrupt again to leave.\n");
		}
	}
}

/* Whose report is it, later? The update that goes on now is this one, since there is only one at a time. */
static void learn_id(struct cli *cli)
{
	_cleanup_(luctl_status_freep) struct luctl_status *status = NULL;

	if (strcmp(cli->verb->name, "update") != 0 || luctl_status_get(cli->ctx, &status) < 0 ||
	    !luctl_status_updating(status))
		return;
	snprintf(cli->update_id, sizeof(cli->update_id), "%s", luctl_status_update_id(status));
	if (!cli->json)
		printf("Update %s\n", cli->update_id);
}

int cli_job_run(struct cli *cli, struct luctl_job *job)
{
	struct sigaction sa = { .sa_handler = on_interrupt }, old;
	struct watch w = { .cli = cli,
			   .begin_ns = lu_clock_ns(CLOCK_MONOTONIC),
			   .rehearsing = strcmp(cli->verb->name, "update") == 0 && cli_flag(cli, "rehearse") };
	int code;

	interrupts = 0;
	(void)sigaction(SIGINT, &sa, &old);
	learn_id(cli);
	code = watch(&w, job);
	(void)sigaction(SIGINT, &old, NULL);
	free(w.held);
	return code;
}
