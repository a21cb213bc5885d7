// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * update/report.json (schema report), computed from the flight recorder and the
 * VMs' records. All times are microseconds since the update's first record, on
 * the TSC, the one clock that runs through the kexec. A phase that never ended
 * (the jump that did not come back) is left out, but the kexec itself ends where
 * the first record of the new kernel begins.
 *
 * A VM's blackout reaches from the moment that stop was sent to the moment that
 * cont returned. The VM's own guest sees a little less.
 *
 * So long its clock stood still, and by so much it is behind, unless a guest agent has set it: then what
 * the agent said afterwards counts.
 */
#include <string.h>
#include <sys/utsname.h>

#include "doc-bus.h"
#include "doc-report.h"
#include "history.h"
#include "log.h"
#include "measured.h"
#include "outcomes.h"
#include "report.h"
#include "steps.h"

#define REPORT_PATH "update/report.json"
#define MEASURE_TIMEOUT_USEC (10 * UINT64_C(1000000))

/* A TSC value on the report's time axis. */
static uint64_t at(const struct lu_trace_log *log, uint64_t tsc)
{
	uint64_t zero = log->n_records ? log->records[0].stamp.tsc : 0;

	return tsc > zero ? lu_tsc_to_usec(&log->rate, tsc - zero) : 0;
}

/* The first record that the new kernel wrote. */
static const struct lu_trace_record *first_of_new(const struct lu_trace_log *log)
{
	for (size_t i = 0; i < log->n_records; i++)
		if (log->records[i].boot != log->records[0].boot)
			return &log->records[i];
	return NULL;
}

static int add_phase(struct luctl_phase **list, size_t *n, const struct lu_trace_log *log, const char *name,
		     const struct lu_trace_record *begin, const struct lu_trace_record *end)
{
	struct luctl_phase *p = reallocarray(*list, *n + 1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	*list = p;
	p += (*n)++;
	*p = (struct luctl_phase){
		.name = strdup(name),
		.kernel = begin->boot != log->records[0].boot,
		.start = at(log, begin->stamp.tsc),
		.duration = lu_tsc_to_usec(&log->rate, end->stamp.tsc - begin->stamp.tsc),
	};
	return p->name ? 0 : -ENOMEM;
}

static int fill_phases(struct lu_doc_report *rep, const struct lu_trace_log *log)
{
	_cleanup_free_ struct lu_trace_interval *list = NULL;
	size_t n = 0;
	int r = lu_trace_intervals(log, &list, &n);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		const struct lu_trace_record *begin = list[i].begin, *end = list[i].end;
		const char *name = lu_phase_name(begin->phase);

		if (begin->phase == LU_PHASE_KEXEC && (!end || end->boot != begin->boot))
			end = end ?: first_of_new(log);
		if (begin->vm != LU_TRACE_NO_VM || begin->phase == LU_PHASE_UPDATE || !name || !end)
			continue;
		r = add_phase(&rep->phase, &rep->n_phases, log, name, begin, end);
	}
	return r;
}

/* One that was left behind has ended with its kernel; in its own it was let run again. */
static bool is_told_of(const struct lu_update *u, size_t vm, bool undone)
{
	return undone || !u->outcomes[vm].left;
}

/* Of the VM with this number in the flight recorder; NULL: nothing is told of it */
static struct luctl_vm_report *report_of(const struct lu_update *u, struct lu_doc_report *rep, size_t vm, bool undone)
{
	size_t n = 0;

	if (vm >= u->doc.n_vms || !is_told_of(u, vm, undone))
		return NULL;
	for (size_t i = 0; i < vm; i++)
		n += is_told_of(u, i, undone);
	return n < rep->n_vms ? &rep->vm[n] : NULL;
}

/* What was done to each VM. The blackout, which goes through all of it, has numbers of its own. */
static int fill_vm_phases(struct lu_update *u, struct lu_doc_report *rep, const struct lu_trace_log *log, bool undone)
{
	_cleanup_free_ struct lu_trace_interval *list = NULL;
	size_t n = 0;
	int r = lu_trace_intervals(log, &list, &n);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		const struct lu_trace_record *begin = list[i].begin, *end = list[i].end;
		const char *name = lu_phase_name(begin->phase);
		struct luctl_vm_report *v = report_of(u, rep, begin->vm, undone);

		if (!v || !name || !end || begin->phase == LU_PHASE_VM_BLACKOUT || v->n_phases == LU_DOC_VM_PHASES_MAX)
			continue;
		r = add_phase(&v->phase, &v->n_phases, log, name, begin, end);
	}
	return r;
}

/* When an aborted update, or a rehearsal, let the VM run again. */
static uint64_t resumed_in_old(const struct lu_trace_log *log, size_t vm)
{
	for (size_t i = 0; i < log->n_records; i++)
		if (log->records[i].phase == LU_PHASE_VM_RESUME && log->records[i].vm == vm &&
		    log->records[i].kind == LU_TRACE_END && log->records[i].result >= 0)
			return log->records[i].stamp.tsc;
	return 0;
}

static uint64_t paused_in_old(const struct lu_trace_log *log, size_t vm)
{
	for (size_t i = 0; i < log->n_records; i++)
		if (log->records[i].phase == LU_PHASE_VM_PAUSE && log->records[i].vm == vm &&
		    log->records[i].kind == LU_TRACE_BEGIN)
			return log->records[i].stamp.tsc;
	return 0;
}

static struct lu_doc_clock *clock_of(const struct lu_outcome *o, uint64_t blackout_usec)
{
	struct lu_doc_clock *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->behind = (int64_t)blackout_usec;
	c->policy = o->clock.update || (o->vm && lu_vm_agent(o->vm)) ? LU_VM_CLOCK_AGENT : LU_VM_CLOCK_LEAVE;
	if (o->clock.set)
		c->behind = o->clock.behind_usec;
	if (o->clock.error)
		c->error = lu_doc_error_new(o->clock.error->what, o->clock.error->hint);
	else if (c->policy == LU_VM_CLOCK_AGENT && !o->clock.update)
		c->error = lu_doc_error_new("the guest agent has not answered yet", NULL);
	return c;
}

static void fill_vm(struct lu_update *u, struct luctl_vm_report *v, const struct lu_trace_log *log, size_t i,
		    bool undone)
{
	const struct lu_outcome *o = &u->outcomes[i];
	uint64_t pause, resume;

	v->by = -1;
	v->pause = v->resume = v->blackout = UINT64_MAX;
	v->name = strdup(u->doc.vms[i].name);
	v->uuid = strdup(u->doc.vms[i].uuid);
	v->error = lu_doc_error_of(&o->error);
	v->predicted = u->doc.vms[i].predicted_usec; /* unknown is the same in both */
	v->qemu_from = o->qemu[0] ? strdup(o->qemu) : NULL;
	v->qemu_to = o->vm && lu_vm_facts(o->vm)->qemu_version ? strdup(lu_vm_facts(o->vm)->qemu_version) : NULL;
	if (u->doc.vmm && o->read && o->alive) {
		/* another QEMU took it up in this kernel; by its own stamps, as after a jump */
		pause = o->pause_tsc;
		resume = o->result.stamps.resumed;
		v->by = lu_doc_index(lu_doc_restorers, o->result.by);
		v->result = o->paused;
	} else if (undone) {
		pause = paused_in_old(log, i);
		resume = resumed_in_old(log, i);
		v->result = o->vm && lu_vm_facts(o->vm)->state == LU_VM_RUNNING ? 0 :
			    o->vm && lu_vm_facts(o->vm)->state == LU_VM_PAUSED  ? 1 :
										  2;
	} else {
		pause = o->pause_tsc;
		resume = o->read ? o->result.stamps.resumed : 0;
		v->by = o->read ? lu_doc_index(lu_doc_restorers, o->result.by) : -1;
		v->result = !o->alive ? 2 : o->paused ? 1 : 0;
	}
	if (!pause || resume <= pause)
		return;
	v->pause = at(log, pause);
	v->resume = at(log, resume);
	v->blackout = lu_tsc_to_usec(&log->rate, resume - pause);
	if (v->result == 0)
		v->clock = clock_of(o, v->blackout);
}

/* For the journal: what became of each VM, also of those that lu-init brought over before there was a journal */
static void tell_vm(const struct luctl_vm_report *v)
{
	if (v->result == 2)
		lu_log(SD_ERR, &(struct lu_log_about){ v->name, LU_MESSAGE_VM_MISSING }, "VM %s: does not run: %s",
		       v->name, v->error ? v->error->what : "its QEMU is not there");
	else if (v->blackout == UINT64_MAX)
		log_info_vm(v->name, NULL, "was not paused");
	else
		log_info_vm(v->name, LU_MESSAGE_VM_THROUGH, "%s%s, it stood still for %.3f s",
			    v->by < 0 ? "goes on in the old kernel" : "was brought over by ",
			    v->by < 0 ? "" : lu_doc_restorers[v->by], (double)v->blackout / 1e6);
}

/* Names and reasons as the request has them. */
static int fill_left(struct lu_doc_report *rep, const struct lu_request_doc *doc)
{
	rep->left = calloc(doc->n_left ?: 1, sizeof(*rep->left));
	if (!rep->left)
		return -ENOMEM;
	for (size_t i = 0; i < doc->n_left; i++) {
		const struct luctl_left *from = &doc->left[i];
		struct luctl_left *to = &rep->left[rep->n_left++];

		*to = (struct luctl_left){ .name = strdup(from->name),
					   .uuid = from->uuid ? strdup(from->uuid) : NULL,
					   .what = strdup(from->what),
					   .hint = from->hint ? strdup(from->hint) : NULL };
		if (!to->name || !to->what)
			return -ENOMEM;
	}
	return 0;
}

/* UINT64_MAX is: not known */
static uint64_t longer(uint64_t a, uint64_t b)
{
	return a == UINT64_MAX || (b != UINT64_MAX && b > a) ? b : a;
}

/* Guests went on in the kernel in which it was begun: it was undone, or undo has not brought all of them back. */
static bool was_undone(const struct lu_update *u, const struct lu_doc_report *rep, const struct lu_trace_log *log)
{
	const char *result = lu_doc_results[rep->result];

	return u->doc.rehearse || !strcmp(result, "aborted") || (!strcmp(result, "degraded") && !first_of_new(log));
}

int lu_report_write(struct lu_update *u, const char *result, struct lu_error *e)
{
	_cleanup_(lu_trace_log_done) struct lu_trace_log log = { 0 };
	_cleanup_error_ struct lu_error trace_error = LU_ERROR_INIT;
	_cleanup_free_ char *text = NULL;
	struct lu_doc_report rep = { 0 };
	struct utsname uts;
	int r;

	(void)uname(&uts);
	/* Without the recorder's file there is a report all the same, only without times. */
	(void)lu_trace_load(u->pkernfs_fd, "update/trace", &log, &trace_error);
	/* after a restore by request: what the update's own report said stays */
	rep.result = lu_doc_index(lu_doc_results, result ?: u->info.result ?: "degraded");
	rep.kind = u->doc.vmm;
	rep.rehearsal = u->doc.rehearse;
	rep.id = strdup(u->doc.id);
	rep.from = strdup(u->doc.from);
	rep.to = strdup(uts.release);
	rep.started = u->info.since_usec;
	rep.duration = log.n_records ? at(&log, lu_stamp_now().tsc) : 0;
	rep.tsc_khz = lu_tsc_rate_khz(&log.rate);
	rep.error = lu_doc_error_of(lu_engine_error(u->engine));
	rep.blackout = rep.predicted = UINT64_MAX;
	r = fill_phases(&rep, &log);
	rep.vm = calloc(u->doc.n_vms ?: 1, sizeof(*rep.vm));
	if (r >= 0)
		r = fill_left(&rep, &u->doc);
	if (r >= 0 && rep.vm) {
		bool undone = was_undone(u, &rep, &log);

		for (size_t i = 0; i < u->doc.n_vms; i++) {
			struct luctl_vm_report *v = &rep.vm[rep.n_vms];

			if (!is_told_of(u, i, undone))
				continue;
			rep.n_vms++;
			fill_vm(u, v, &log, i, undone);
			/* of the VM that waited longest, and of the one of which most was predicted */
			rep.blackout = longer(rep.blackout, v->blackout);
			rep.predicted = longer(rep.predicted, v->predicted);
			if (result && v->name)
				tell_vm(v);
		}
		r = fill_vm_phases(u, &rep, &log, undone);
		if (r >= 0)
			r = lu_json_encode_text(&lu_doc_report_table, &rep, &text, e);
	}
	if (r >= 0 && text)
		r = lu_write_file(u->pkernfs_fd, REPORT_PATH, text, strlen(text), 0644);
	/* also if pkernfs is full */
	if (text)
		lu_history_keep(u, u->doc.id, text);
	lu_json_free(&lu_doc_report_table, &rep);
	return r < 0 ? lu_error_set(e, r, NULL, REPORT_PATH ": %s", strerror(-r)) : 0;
}

static const struct lu_trace_record *begin_of_kexec(const struct lu_trace_log *log)
{
	for (size_t i = log->n_records; i-- > 0;)
		if (log->records[i].phase == LU_PHASE_KEXEC && log->records[i].kind == LU_TRACE_BEGIN)
			return &log->records[i];
	return NULL;
}

static void measure_vm(struct lu_update *u, size_t i, const struct lu_trace_log *log, uint64_t jump, uint64_t boot,
		       struct lu_measured *m)
{
	const struct lu_outcome *o = &u->outcomes[i];
	struct lu_measured_vm vm = { .at_usec = m->at_usec };
	char **devices = o->vm ? lu_vm_facts(o->vm)->devices : NULL;

	if (!o->alive || !o->read || o->pause_tsc == 0 || o->pause_tsc > jump || o->result.stamps.resumed < boot)
		return;
	vm.name = strdup(u->doc.vms[i].name);
	vm.uuid = strdup(u->doc.vms[i].uuid);
	vm.before_usec = lu_tsc_to_usec(&log->rate, jump - o->pause_tsc);
	vm.after_usec = lu_tsc_to_usec(&log->rate, o->result.stamps.resumed - boot);
	for (; devices && *devices; devices++)
		vm.devices++;
	(void)lu_measured_note(m, &vm);
}

/* What this update took, for the prediction of the next one. A host that can't keep it only predicts nothing. In a child: it is kept on a disk. */
static int do_measure(void *arg, struct lu_error *error)
{
	struct lu_update *u = arg;
	_cleanup_(lu_trace_log_done) struct lu_trace_log log = { 0 };
	_cleanup_(lu_measured_clear) struct lu_measured m = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	const struct lu_trace_record *jump, *boot;
	struct utsname uts;

	if (lu_trace_load(u->pkernfs_fd, "update/trace", &log, NULL) < 0 || !lu_tsc_rate_khz(&log.rate))
		return 0;
	jump = begin_of_kexec(&log);
	boot = first_of_new(&log);
	if (!jump || !boot || boot->stamp.tsc <= jump->stamp.tsc)
		return 0;
	if (lu_measured_read(AT_FDCWD, LU_MEASURED_PATH, &m, &e) < 0)
		log_warning("%s; it is begun anew", e.what ?: LU_MEASURED_PATH);
	lu_error_clear(&e);
	(void)uname(&uts);
	free(m.kernel);
	m.kernel = strdup(uts.release);
	m.at_usec = u->info.since_usec;
	m.kexec_usec = lu_tsc_to_usec(&log.rate, boot->stamp.tsc - jump->stamp.tsc);
	m.vms_then = u->doc.n_vms;
	for (size_t i = 0; i < u->doc.n_vms; i++)
		measure_vm(u, i, &log, jump->stamp.tsc, boot->stamp.tsc, &m);
	if (lu_mkdir_p(AT_FDCWD, LU_MEASURED_DIR, 0755) < 0 ||
	    lu_measured_write(AT_FDCWD, LU_MEASURED_PATH, &m, &e) < 0)
		return lu_error_set(error, -EIO, NULL, "%s", e.what ?: LU_MEASURED_PATH);
	return 0;
}

static void on_measured(void *userdata, int r, struct lu_error *error)
{
	if (r < 0)
		log_warning("%s; the next blackout can't be predicted", error->what ?: LU_MEASURED_PATH);
	lu_step_done(userdata, 0, NULL);
}

int lu_step_measure(struct lu_update *u, struct lu_error *e)
{
	if (u->pkernfs_fd < 0 || !u->outcomes)
		return 1;
	return lu_worker_call(u->env->event, do_measure, u, MEASURE_TIMEOUT_USEC, on_measured, u, &u->worker);
}

void lu_report_at_rest(struct lu_update *u, const char *result)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	if (u->pkernfs_fd < 0 || !u->outcomes)
		return;
	/* A guest that runs is not worth less because nobody could write that down. */
	if (lu_report_write(u, result, &e) < 0)
		log_warning("%s", e.what ?: REPORT_PATH);
}
