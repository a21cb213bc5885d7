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

#include "log.h"
#include "measured.h"
#include "outcomes.h"
#include "report.h"
#include "steps.h"

#define REPORT_PATH "update/report.json"
#define MEASURE_TIMEOUT_USEC (10 * UINT64_C(1000000))

struct report_phase {
	char *name;
	int kernel; /* index into kernels */
	uint64_t start_usec;
	uint64_t duration_usec;
};

struct report_error {
	char *what;
	char *hint;
};

struct report_clock {
	int policy; /* enum lu_vm_clock */
	int64_t behind_usec;
	struct report_error *error;
};

struct report_vm {
	char *name;
	char *uuid;
	int result;
	char *by;
	uint64_t pause_usec;
	uint64_t resume_usec;
	uint64_t blackout_usec;
	uint64_t predicted_usec;
	struct report_clock *clock;
	char *qemu_from;
	char *qemu_to;
	struct report_error *error;
};

struct report {
	char *id;
	int kind;
	int result;
	char *from;
	char *to;
	uint64_t started_realtime_usec;
	uint64_t duration_usec;
	uint64_t tsc_khz;
	uint64_t blackout_usec;  /* of the VM that waited longest */
	uint64_t predicted_usec; /* of the VM of which most was predicted */
	struct report_phase *phases;
	size_t n_phases;
	struct report_vm *vms;
	size_t n_vms;
	struct report_error *error;
};

static const char *const kinds[] = { "kernel", "vmm", NULL };
static const char *const kernels[] = { "old", "new", NULL };
static const char *const vm_results[] = { "running", "paused", "lost", NULL };
static const char *const results[] = { "success", "aborted", "degraded", NULL };

#define F(s, m) offsetof(struct s, m), LU_JSON_REQUIRED
static const struct lu_json_field error_fields[] = {
	{ "what", LU_JSON_STRING, F(report_error, what) },
	{ "hint", LU_JSON_STRING, F(report_error, hint) | LU_JSON_NULLABLE },
};
static const struct lu_json_table error_table = LU_JSON_TABLE("error", struct report_error, error_fields);

static const struct lu_json_field phase_fields[] = {
	{ "name", LU_JSON_STRING, F(report_phase, name) },
	{ "kernel", LU_JSON_ENUM, F(report_phase, kernel), .names = kernels },
	{ "start_usec", LU_JSON_UINT, F(report_phase, start_usec) },
	{ "duration_usec", LU_JSON_UINT, F(report_phase, duration_usec) },
};
static const struct lu_json_table phase_table = LU_JSON_TABLE("phase", struct report_phase, phase_fields);

static const char *const clock_policies[] = { "leave", "agent", NULL };
static const struct lu_json_field clock_fields[] = {
	{ "policy", LU_JSON_ENUM, F(report_clock, policy), .names = clock_policies },
	{ "behind_usec", LU_JSON_INT, F(report_clock, behind_usec) },
	{ "error", LU_JSON_OBJECT_PTR, F(report_clock, error) | LU_JSON_NULLABLE, .table = &error_table },
};
static const struct lu_json_table clock_table = LU_JSON_TABLE("clock", struct report_clock, clock_fields);

static const struct lu_json_field vm_fields[] = {
	{ "name", LU_JSON_STRING, F(report_vm, name) },
	{ "uuid", LU_JSON_STRING, F(report_vm, uuid) },
	{ "result", LU_JSON_ENUM, F(report_vm, result), .names = vm_results },
	{ "by", LU_JSON_STRING, F(report_vm, by) | LU_JSON_NULLABLE },
	{ "pause_usec", LU_JSON_UINT, F(report_vm, pause_usec) | LU_JSON_NULLABLE },
	{ "resume_usec", LU_JSON_UINT, F(report_vm, resume_usec) | LU_JSON_NULLABLE },
	{ "blackout_usec", LU_JSON_UINT, F(report_vm, blackout_usec) | LU_JSON_NULLABLE },
	{ "predicted_usec", LU_JSON_UINT, F(report_vm, predicted_usec) | LU_JSON_NULLABLE },
	{ "clock", LU_JSON_OBJECT_PTR, F(report_vm, clock) | LU_JSON_NULLABLE, .table = &clock_table },
	{ "qemu_from", LU_JSON_STRING, F(report_vm, qemu_from) | LU_JSON_NULLABLE },
	{ "qemu_to", LU_JSON_STRING, F(report_vm, qemu_to) | LU_JSON_NULLABLE },
	{ "error", LU_JSON_OBJECT_PTR, F(report_vm, error) | LU_JSON_NULLABLE, .table = &error_table },
};
static const struct lu_json_table vm_table = LU_JSON_TABLE("vm", struct report_vm, vm_fields);

static const struct lu_json_field report_fields[] = {
	{ "id", LU_JSON_STRING, F(report, id) },
	{ "kind", LU_JSON_ENUM, F(report, kind), .names = kinds },
	{ "result", LU_JSON_ENUM, F(report, result), .names = results },
	{ "from", LU_JSON_STRING, F(report, from) },
	{ "to", LU_JSON_STRING, F(report, to) },
	{ "started_realtime_usec", LU_JSON_UINT, F(report, started_realtime_usec) },
	{ "duration_usec", LU_JSON_UINT, F(report, duration_usec) },
	{ "tsc_khz", LU_JSON_UINT, F(report, tsc_khz) },
	{ "blackout_usec", LU_JSON_UINT, F(report, blackout_usec) | LU_JSON_NULLABLE },
	{ "predicted_usec", LU_JSON_UINT, F(report, predicted_usec) | LU_JSON_NULLABLE },
	{ "phases", LU_JSON_OBJECTS, F(report, phases), .table = &phase_table,
	  .count_offset = offsetof(struct report, n_phases) },
	{ "vms", LU_JSON_OBJECTS, F(report, vms), .table = &vm_table, .count_offset = offsetof(struct report, n_vms) },
	{ "error", LU_JSON_OBJECT_PTR, F(report, error) | LU_JSON_NULLABLE, .table = &error_table },
};
static const struct lu_json_table report_table = LU_JSON_DOCUMENT("report", struct report, report_fields, 1);

static struct report_error *copy_error(const struct lu_error *e)
{
	struct report_error *x;

	if (!e->code)
		return NULL;
	x = calloc(1, sizeof(*x));
	if (x) {
		x->what = strdup(e->what ?: strerror(-e->code));
		x->hint = e->hint && *e->hint ? strdup(e->hint) : NULL;
	}
	return x;
}

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

static int add_phase(struct report *rep, const struct lu_trace_log *log, const char *name,
		     const struct lu_trace_record *begin, const struct lu_trace_record *end)
{
	struct report_phase *p = reallocarray(rep->phases, rep->n_phases + 1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	rep->phases = p;
	p += rep->n_phases++;
	*p = (struct report_phase){
		.name = strdup(name),
		.kernel = begin->boot != log->records[0].boot,
		.start_usec = at(log, begin->stamp.tsc),
		.duration_usec = lu_tsc_to_usec(&log->rate, end->stamp.tsc - begin->stamp.tsc),
	};
	return p->name ? 0 : -ENOMEM;
}

static int fill_phases(struct report *rep, const struct lu_trace_log *log)
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
		r = add_phase(rep, log, name, begin, end);
	}
	return r;
}

/* When an aborted update let the VM run again. */
static uint64_t resumed_in_old(const struct lu_trace_log *log, size_t vm)
{
	for (size_t i = log->n_records; i-- > 0;)
		if (log->records[i].phase == LU_PHASE_VM_RESUME && log->records[i].vm == vm &&
		    log->records[i].kind == LU_TRACE_END)
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

static struct report_error *new_error(const char *what, const char *hint)
{
	struct report_error *x = calloc(1, sizeof(*x));

	if (x) {
		x->what = strdup(what);
		x->hint = hint ? strdup(hint) : NULL;
	}
	return x;
}

static struct report_clock *clock_of(const struct lu_outcome *o, uint64_t blackout_usec)
{
	struct report_clock *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->behind_usec = (int64_t)blackout_usec;
	c->policy = o->clock.update || (o->vm && lu_vm_agent(o->vm)) ? LU_VM_CLOCK_AGENT : LU_VM_CLOCK_LEAVE;
	if (o->clock.set)
		c->behind_usec = o->clock.behind_usec;
	if (o->clock.error)
		c->error = new_error(o->clock.error->what, o->clock.error->hint);
	else if (c->policy == LU_VM_CLOCK_AGENT && !o->clock.update)
		c->error = new_error("the guest agent has not answered yet", NULL);
	return c;
}

static void fill_vm(struct lu_update *u, struct report_vm *v, const struct lu_trace_log *log, size_t i, bool aborted)
{
	const struct lu_outcome *o = &u->outcomes[i];
	uint64_t pause, resume;

	v->name = strdup(u->doc.vms[i].name);
	v->uuid = strdup(u->doc.vms[i].uuid);
	v->error = copy_error(&o->error);
	v->predicted_usec = u->doc.vms[i].predicted_usec == LU_MEASURED_UNKNOWN ? 0 : u->doc.vms[i].predicted_usec;
	v->qemu_from = o->qemu[0] ? strdup(o->qemu) : NULL;
	v->qemu_to = o->vm && lu_vm_facts(o->vm)->qemu_version ? strdup(lu_vm_facts(o->vm)->qemu_version) : NULL;
	if (u->doc.vmm && o->read && o->alive) {
		/* another QEMU took it up in this kernel; by its own stamps, as after a jump */
		pause = o->pause_tsc;
		resume = o->result.stamps.resumed;
		v->by = strdup(o->result.by);
		v->result = o->paused;
	} else if (aborted) {
		pause = paused_in_old(log, i);
		resume = resumed_in_old(log, i);
		v->result = o->vm && lu_vm_facts(o->vm)->state == LU_VM_RUNNING ? 0 :
			    o->vm && lu_vm_facts(o->vm)->state == LU_VM_PAUSED  ? 1 :
										  2;
	} else {
		pause = o->pause_tsc;
		resume = o->read ? o->result.stamps.resumed : 0;
		v->by = o->read ? strdup(o->result.by) : NULL;
		v->result = !o->alive ? 2 : o->paused ? 1 : 0;
	}
	if (!pause || resume <= pause)
		return;
	v->pause_usec = at(log, pause);
	v->resume_usec = at(log, resume);
	v->blackout_usec = lu_tsc_to_usec(&log->rate, resume - pause);
	if (v->result == 0)
		v->clock = clock_of(o, v->blackout_usec);
}

int lu_report_write(struct lu_update *u, const char *result, struct lu_error *e)
{
	_cleanup_(lu_trace_log_done) struct lu_trace_log log = { 0 };
	_cleanup_error_ struct lu_error trace_error = LU_ERROR_INIT;
	_cleanup_free_ char *text = NULL;
	struct lu_error cause = *lu_engine_error(u->engine);
	struct report rep = { 0 };
	struct utsname uts;
	int r;

	(void)uname(&uts);
	/* Without the recorder's file there is a report all the same, only without times. */
	(void)lu_trace_load(u->pkernfs_fd, "update/trace", &log, &trace_error);
	if (!result) {
		/* after a restore by request: what the update's own report said stays */
		result = u->info.result ?: "degraded";
	}
	for (int i = 0; results[i]; i++)
		if (!strcmp(results[i], result))
			rep.result = i;
	rep.kind = u->doc.vmm;
	rep.id = strdup(u->doc.id);
	rep.from = strdup(u->doc.from);
	rep.to = strdup(uts.release);
	rep.started_realtime_usec = u->info.since_usec;
	rep.duration_usec = log.n_records ? at(&log, lu_stamp_now().tsc) : 0;
	rep.tsc_khz = lu_tsc_rate_khz(&log.rate);
	rep.error = copy_error(&cause);
	r = fill_phases(&rep, &log);
	rep.vms = calloc(u->doc.n_vms ?: 1, sizeof(*rep.vms));
	if (r >= 0 && rep.vms) {
		rep.n_vms = u->doc.n_vms;
		for (size_t i = 0; i < rep.n_vms; i++) {
			fill_vm(u, &rep.vms[i], &log, i, rep.result == 1);
			if (rep.vms[i].blackout_usec > rep.blackout_usec)
				rep.blackout_usec = rep.vms[i].blackout_usec;
			if (rep.vms[i].predicted_usec > rep.predicted_usec)
				rep.predicted_usec = rep.vms[i].predicted_usec;
		}
		r = lu_json_encode_text(&report_table, &rep, &text, e);
	}
	if (r >= 0 && text)
		r = lu_write_file(u->pkernfs_fd, REPORT_PATH, text, strlen(text), 0644);
	lu_json_free(&report_table, &rep);
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

int lu_step_report(struct lu_update *u, struct lu_error *e)
{
	bool whole = true;
	int r;

	if (u->pkernfs_fd < 0 || !u->outcomes)
		return 1;
	for (size_t i = 0; i < u->doc.n_vms; i++)
		whole = whole && u->outcomes[i].alive;
	r = lu_report_write(u, u->effect == LU_EFFECT_UNDO ? "aborted" : whole ? "success" : "degraded", e);
	if (r < 0)
		log_warning("%s", e->what);
	/* A guest that runs is not worth less because nobody could write that down. */
	lu_error_clear(e);
	return 1;
}
