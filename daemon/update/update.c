// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Between the engine, which knows no I/O, and the world. Here: the engine's ops
 * (journal, timer, progress), start, cancel and recovery. Which steps make up each
 * effect is in effects.c, who runs them in steps.c, what they do in steps-*.c.
 *
 * Life: start → the engine commits "checking" (which makes journal, trace and
 * request anew) → steps → … → the jump, where this process ends; or a state of
 * rest. A new process recovers from the journal: request.json tells the VMs, the
 * records in vm/<uuid>/ how far each of them is. If the request can't be read, the
 * records tell the VMs, too: guests may stand still.
 *
 * Unhappy paths: 1. pkernfs missing at start: refused, nothing happened;
 * 2. journal damaged at recovery: refused with its error, VMs stay as they are,
 * a new update may be started once the operator has removed it; 3. anything
 * else: the engine's table.
 *
 * VMs that are added while one runs would not survive: the manager refuses them, and right before the
 * reboot call the definitions, and every VM, are looked at again (lu_step_look_again()).
 *
 * A saved state is found by what is in pkernfs, never by the last request: that is overwritten by each update,
 * also by one that is refused.
 *
 * Not handled: two updates at once (refused).
 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>

#include "domains.h"
#include "effects.h"
#include "history.h"
#include "hold.h"
#include "leave.h"
#include "log.h"
#include "machine.h"
#include "outcomes.h"
#include "report.h"
#include "restore.h"
#include "steps.h"
#include "update.h"

#define JOURNAL_PATH "update/journal"
#define TRACE_PATH "update/trace"

/* --- the engine's ops --- */

static int op_start_effect(void *ud, enum lu_effect effect, uint64_t cookie, struct lu_error *e)
{
	struct lu_update *u = ud;

	lu_steps_begin(u, effect, cookie);
	return 0;
}

static void op_cancel_effect(void *ud, enum lu_effect effect, uint64_t cookie)
{
	struct lu_update *u = ud;

	for (size_t i = 0; i < u->doc.n_vms; i++)
		if (u->outcomes && u->outcomes[i].vm)
			lu_vm_op_cancel(u->outcomes[i].vm);
	lu_host_cancel(u->env->host);
	lu_libvirt_cancel(u->env->libvirt);
	lu_machines_cancel(lu_libvirt_machines(u->env->libvirt));
	lu_steps_forget(u);
}

static int begin_files(struct lu_update *u, struct lu_error *e)
{
	_cleanup_close_ int dir = -EBADF;
	int r;

	r = lu_update_open_pkernfs(u, e);
	if (r < 0)
		return r;
	r = lu_mkdir_p(u->pkernfs_fd, "update", 0700);
	if (r < 0)
		return lu_error_set(e, r, "see luctl status for the space in pkernfs", "update/: %s", strerror(-r));
	dir = openat(u->pkernfs_fd, "update", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lu_store_ordinary_blocks(dir);
	if (unlinkat(u->pkernfs_fd, "update/report.json", 0) < 0 && errno != ENOENT)
		return lu_error_set(e, -errno, NULL, "update/report.json: %s", strerror(errno));
	lu_store_drop_journals(u->pkernfs_fd);
	r = lu_request_doc_write(u->pkernfs_fd, &u->doc, e);
	if (r == 0)
		r = lu_trace_create(u->pkernfs_fd, TRACE_PATH, u->doc.id, 0, LU_TRACE_LUCTLD, &u->trace, e);
	if (r == 0)
		r = lu_journal_create(u->pkernfs_fd, JOURNAL_PATH, u->doc.id, NULL, &u->journal, e);
	return r;
}

/* A rehearsal that nothing has ended came to the jump: being taken back is what was asked for. */
static const char *result_of(const struct lu_update *u, enum lu_state s)
{
	return s == LU_STATE_DONE     ? "success" :
	       s == LU_STATE_ABORTED  ? u->doc.rehearse && !lu_engine_error(u->engine)->code ? "success" : "aborted" :
	       s == LU_STATE_DEGRADED ? "degraded" :
					NULL;
}

static int op_commit(void *ud, const struct lu_transition *t)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	bool starts = t->event == LU_EVENT_START || t->event == LU_EVENT_START_VMM;
	struct lu_update *u = ud;
	int r = 0;

	if (starts)
		r = begin_files(u, &e);
	if (lu_state_is_rest(t->to))
		lu_report_at_rest(u, result_of(u, t->to));
	if (r == 0 && u->journal)
		r = lu_journal_append(u->journal, t->to, t->event, t->cause, &e);
	else if (r == 0)
		r = -ENOTCONN;
	if (r < 0) {
		(void)log_failure(r, &e, "update journal");
		/* At start the caller tells it; later on the engine makes an error of its own. */
		if (starts)
			lu_error_move(&u->error, &e);
	}
	return r;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct lu_update *u = userdata;

	(void)lu_engine_timeout(u->engine);
	return 0;
}

static int op_arm_timer(void *ud, uint64_t usec)
{
	struct lu_update *u = ud;
	int r;

	if (usec == 0)
		return u->timer ? sd_event_source_set_enabled(u->timer, SD_EVENT_OFF) : 0;
	if (!u->timer)
		return sd_event_add_time_relative(u->env->event, &u->timer, CLOCK_MONOTONIC, usec, 0, on_timer, u);
	r = sd_event_source_set_time_relative(u->timer, usec);
	return r < 0 ? r : sd_event_source_set_enabled(u->timer, SD_EVENT_ONESHOT);
}

static void come_to_rest(struct lu_update *u, enum lu_state s)
{
	u->info.running = false;
	u->info.result = result_of(u, s);
	u->info.error = lu_engine_error(u->engine);
	lu_trace_add(u->trace, LU_PHASE_UPDATE, LU_TRACE_NO_VM, LU_TRACE_END, u->info.error->code, NULL);
	lu_trace_free(u->trace);
	u->trace = NULL;
	lu_journal_free(u->journal);
	u->journal = NULL;
	lu_asked_clear(&u->asked);
	closep(&u->image_fd);
	u->image_fd = -EBADF;
	for (size_t i = 0; i < u->doc.n_vms; i++)
		if (u->outcomes[i].vm)
			lu_vm_disconnect(u->outcomes[i].vm);
	u->news->finished(u->job, u->info.result, u->info.error->code ? u->info.error : NULL);
	u->job = NULL;
	u->paused_ns = 0;
	u->budget = sd_event_source_disable_unref(u->budget);
	if (u->found)
		lu_restore_take_up(u);
	else
		lu_domains_settle(u);
	u->found = false;
}

static void log_state(const struct lu_update *u, enum lu_state s, const char *why)
{
	static const struct {
		const char *result, *level, *message_id;
	} ends[] = {
		{ "success", SD_INFO, LU_MESSAGE_SUCCESS },
		{ "aborted", SD_WARNING, LU_MESSAGE_ABORTED },
		{ "degraded", SD_ERR, LU_MESSAGE_DEGRADED },
	};
	const char *result = result_of(u, s), *level = SD_INFO, *id = LU_MESSAGE_STATE;

	for (size_t i = 0; result && i < ARRAY_SIZE(ends); i++)
		if (strcmp(result, ends[i].result) == 0) {
			level = ends[i].level;
			id = ends[i].message_id;
		}
	log_set_update(u->doc.id);
	lu_log(level, &(struct lu_log_about){ .message_id = id }, "update %s: %s%s%s", u->doc.id ?: "-",
	       lu_state_name(s), *why ? ", since " : "", why);
}

static void op_entered(void *ud, const struct lu_transition *t)
{
	struct lu_update *u = ud;
	const char *what = t->cause && t->cause->what ? t->cause->what : "";

	u->info.state = lu_state_name(t->to);
	u->info.running = !lu_state_is_rest(t->to);
	if (u->info.running && !u->job)
		u->job = u->news->adopted(u->context);
	if (t->event == LU_EVENT_START || t->event == LU_EVENT_START_VMM)
		lu_trace_add(u->trace, LU_PHASE_UPDATE, LU_TRACE_NO_VM, LU_TRACE_BEGIN, 0, NULL);
	if (!lu_state_is_rest(t->from))
		lu_trace_add(u->trace, t->from, LU_TRACE_NO_VM, LU_TRACE_END, t->cause ? t->cause->code : 0, NULL);
	if (u->info.running)
		lu_trace_add(u->trace, t->to, LU_TRACE_NO_VM, LU_TRACE_BEGIN, 0, NULL);
	if (t->to == LU_STATE_JUMP && !u->doc.rehearse)
		lu_trace_add(u->trace, LU_PHASE_KEXEC, LU_TRACE_NO_VM, LU_TRACE_BEGIN, 0, NULL);
	log_state(u, t->to, what);
	(void)sd_notifyf(0, "STATUS=%s", u->info.state);
	lu_update_tell(u, *what ? what : NULL, 0, 0);
	u->news->state(u->context);
	if (!u->info.running) {
		come_to_rest(u, t->to);
		log_set_update(NULL);
	}
}

static const struct lu_engine_ops engine_ops = {
	.commit = op_commit,
	.start_effect = op_start_effect,
	.cancel_effect = op_cancel_effect,
	.arm_timer = op_arm_timer,
	.entered = op_entered,
};

/* --- start, cancel, recover --- */

int lu_update_new(struct lu_update_env *env, const struct lu_update_news *news, void *context, struct lu_update **ret)
{
	_cleanup_(lu_update_freep) struct lu_update *u = calloc(1, sizeof(*u));
	static const struct lu_error none = LU_ERROR_INIT;
	int r;

	if (!u)
		return -ENOMEM;
	u->env = env;
	u->news = news;
	u->context = context;
	u->effects = lu_effects;
	u->pkernfs_fd = -EBADF;
	u->image_fd = -EBADF;
	u->info.state = lu_state_name(LU_STATE_IDLE);
	u->info.error = &none;
	r = lu_engine_new(&engine_ops, u, &u->engine);
	for (enum lu_state s = LU_STATE_PAUSING; r >= 0 && s <= LU_STATE_SAVING; s++)
		r = lu_engine_set_limit(u->engine, s, lu_config_limit(&env->config, lu_state_row(s)->limit_sec));
	if (r >= 0)
		r = lu_engine_set_limit(
			u->engine, LU_STATE_CHECKING,
			lu_config_check_limit(&env->config, lu_state_row(LU_STATE_CHECKING)->limit_sec));
	if (r < 0)
		return r;
	*ret = steal_ptr(u);
	return 0;
}

struct lu_update *lu_update_free(struct lu_update *u)
{
	if (!u)
		return NULL;
	lu_engine_free(u->engine);
	lu_steps_forget(u);
	lu_worker_free(u->history);
	sd_event_source_disable_unref(u->timer);
	sd_event_source_disable_unref(u->budget);
	lu_journal_free(u->journal);
	lu_trace_free(u->trace);
	lu_asked_clear(&u->asked);
	lu_outcomes_free(u);
	lu_outcome_clear(&u->kept);
	free(u->kept_update);
	lu_restore_forget_left(u);
	closep(&u->pkernfs_fd);
	closep(&u->image_fd);
	free(u);
	return NULL;
}

static int new_uuid(char **ret)
{
	uint8_t b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return -EIO;
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	if (asprintf(ret, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
		     b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]) < 0)
		return -ENOMEM;
	return 0;
}

static int make_doc(const struct lu_asked *q, struct lu_request_doc *doc)
{
	struct utsname uts;
	int r = new_uuid(&doc->id);

	(void)uname(&uts);
	if (r < 0)
		return r;
	doc->vmm = q->vmm;
	doc->rehearse = q->rehearse;
	doc->kernel = strdup(q->vmm ? uts.release : q->kernel);
	doc->initrd = q->initrd ? strdup(q->initrd) : NULL;
	doc->cmdline = strdup("");
	doc->from = strdup(uts.release);
	doc->excluded = calloc(1, sizeof(char *));
	return doc->kernel && doc->cmdline && doc->from && doc->excluded && !q->initrd == !doc->initrd ? 0 : -ENOMEM;
}

int lu_update_start(struct lu_update *u, struct lu_asked *q, void *job, struct lu_error *error)
{
	struct lu_request_doc doc = { 0 };
	int r;

	if (u->info.running || u->restoring)
		return lu_error_set(error, -EBUSY, "luctl status tells how far it is", "an update is under way");
	r = make_doc(q, &doc);
	if (r < 0) {
		lu_request_doc_clear(&doc);
		return r;
	}
	lu_outcomes_free(u);
	u->doc = doc;
	u->asked = *q;
	*q = (struct lu_asked){ 0 };
	u->info.id = u->doc.id;
	u->info.kernel = u->doc.kernel;
	u->info.since_usec = lu_clock_ns(CLOCK_REALTIME) / 1000;
	u->job = job;
	r = lu_engine_start(u->engine, u->doc.vmm ? LU_EVENT_START_VMM : LU_EVENT_START, error);
	if (r < 0) {
		if (u->error.code) {
			lu_error_clear(error);
			lu_error_move(error, &u->error);
		}
		u->job = NULL;
		lu_asked_clear(&u->asked);
	}
	lu_error_clear(&u->error);
	return r;
}

int lu_update_cancel(struct lu_update *u, const char *why, struct lu_error *error)
{
	return lu_engine_cancel(u->engine, why, error);
}

/* An update that could not begin, or whose daemon died just then, has left its own beside the journal of the one before. */
static int read_request(struct lu_update *u, const char *update, struct lu_error *e)
{
	int r = lu_request_doc_read(u->pkernfs_fd, &u->doc, e);

	if (r < 0 || !strcmp(u->doc.id, update))
		return r;
	lu_request_doc_clear(&u->doc);
	return lu_error_set(e, -ESTALE, NULL, "update/request.json is of another update");
}

static int recover(struct lu_update *u, struct lu_error *error)
{
	struct lu_journal_record last;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	char boot_id[37];
	int r;

	if (faccessat(u->pkernfs_fd, JOURNAL_PATH, F_OK, 0) < 0)
		return 0;
	r = lu_boot_id(boot_id);
	if (r == 0)
		r = lu_journal_open(u->pkernfs_fd, JOURNAL_PATH, NULL, &u->journal, &last, error);
	if (r == 0)
		r = read_request(u, lu_journal_info(u->journal)->update, &e);
	if (r < 0 && u->journal) {
		(void)log_failure(r, &e, "the last update's request; its VMs' records tell which they are");
		lu_error_clear(&e);
		r = lu_outcomes_guess_request(u, lu_journal_info(u->journal)->update);
		u->doc.vmm = last.state == LU_STATE_EXAMINING || last.state == LU_STATE_REPLACING;
	}
	if (r < 0)
		return r;
	if (lu_trace_open(u->pkernfs_fd, TRACE_PATH, NULL, LU_TRACE_LUCTLD, &u->trace, &e) < 0)
		log_warning("update/trace: %s; the report will lack times", e.what ?: "can't be opened");
	u->info.id = u->doc.id;
	u->info.kernel = u->doc.kernel;
	u->info.since_usec = lu_journal_info(u->journal)->stamp.realtime_ns / 1000;
	log_set_update(u->doc.id);
	u->outcomes = calloc(u->doc.n_vms ?: 1, sizeof(*u->outcomes));
	if (!u->outcomes)
		return -ENOMEM;
	lu_outcomes_find(u);
	lu_left_find(u);
	r = lu_engine_recover(u->engine, last.seq ? &last : NULL, last.seq && !strcmp(last.boot_id, boot_id));
	if (r >= 0 && lu_engine_state(u->engine) == LU_STATE_DEGRADED &&
	    !strcmp(lu_journal_info(u->journal)->boot_id, boot_id))
		(void)lu_engine_undo_again(u->engine);
	if (!u->info.running) {
		log_set_update(NULL);
		u->info.state = lu_state_name(lu_engine_state(u->engine));
		u->info.result = result_of(u, lu_engine_state(u->engine));
		lu_journal_free(u->journal);
		u->journal = NULL;
		lu_trace_free(u->trace);
		u->trace = NULL;
		lu_history_keep_last(u);
	}
	return r;
}

int lu_update_recover(struct lu_update *u, struct lu_error *error)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int r = lu_update_open_pkernfs(u, &e);

	if (r < 0)
		return 0;
	r = recover(u, error);
	u->found = u->info.running;
	if (r >= 0 && !u->found)
		lu_restore_take_up(u);
	return r;
}

const struct lu_update_info *lu_update_info(struct lu_update *u)
{
	return &u->info;
}
