/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LUCTL_LUCTL_H
#define LUCTL_LUCTL_H
/*
 * libluctl: live update of a host's kernel under its guests, for programs.
 *
 *	struct luctl_ctx *ctx;
 *	struct luctl_plan *plan;
 *	struct luctl_job *job;
 *
 *	if (luctl_new(&ctx) < 0 || luctl_connect(ctx, NULL) < 0)
 *		…luctl_last_error(ctx), luctl_last_hint(ctx)…
 *	luctl_plan_new(ctx, "/boot/vmlinuz-7.3.5-lu", &plan);
 *	if (luctl_update(plan, &job) == 0)
 *		luctl_job_wait(job, on_progress, NULL, LUCTL_FOREVER);
 *
 * Rules that hold for all of it:
 *  - Functions that can fail return 0 (or what their text says) or a negative errno.
 *    After a failure luctl_last_error() has the words, until the next call on that
 *    context. Outputs ("ret_…") are written only on success.
 *  - Objects are opaque. Whoever got one from a function with "ret_" frees it with its
 *    _free(), which takes NULL. Strings and sub-objects from getters live as long as
 *    the object and are not to be freed.
 *  - Lists: _first() and _next(), NULL at the end; order is the daemon's.
 *  - Each object that came as a document gives its text by _json(); schemas are in
 *    /usr/share/luctl/schemas.
 *  - A context and what came from it belong to one thread at a time.
 *  - luctl_set_log() is the only way anything is ever written by the library.
 *  - Words that stand for one of several things ("aborted") are texts, since a later daemon may know more of them;
 *    luctl_state_of() and its like make numbers of them.
 *  - What asks the daemon waits for its answer. Jobs can be followed without waiting: luctl_fd(), luctl_process().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* To ignore what this returns would lose something. */
#if defined(__GNUC__) || defined(__clang__)
#define LUCTL_MUST_CHECK __attribute__((warn_unused_result))
#else
#define LUCTL_MUST_CHECK
#endif

#define LUCTL_FOREVER UINT64_MAX
#define LUCTL_UNKNOWN UINT64_MAX /* of a number: the document says null */

struct luctl_ctx;
struct luctl_plan;
struct luctl_job;
struct luctl_status;
struct luctl_vms;
struct luctl_vm;
struct luctl_ram;
struct luctl_check;
struct luctl_finding;
struct luctl_judgement;
struct luctl_vm_verdict;
struct luctl_device_verdict;
struct luctl_reason;
struct luctl_report;
struct luctl_reports;
struct luctl_report_entry;
struct luctl_report_damage;
struct luctl_phase;
struct luctl_vm_report;
struct luctl_left;
struct luctl_pkernfs;
struct luctl_pkernfs_fs;
struct luctl_journal;
struct luctl_call;

/* Context and connection. */

/* priority: as in syslog(3) */
typedef void (*luctl_log_fn)(void *userdata, int priority, const char *message);

int luctl_new(struct luctl_ctx **ret_ctx);
void luctl_free(struct luctl_ctx *ctx);
/* NULL: silent, as it is at first */
void luctl_set_log(struct luctl_ctx *ctx, luctl_log_fn log, void *userdata);
/* Time limit of ordinary calls, microseconds; 0: the default of 120 s */
void luctl_set_timeout(struct luctl_ctx *ctx, uint64_t usec);
/* May the daemon ask the user for a password (polkit)? At first: no */
void luctl_set_interactive(struct luctl_ctx *ctx, bool interactive);

/*
 * luctl_connect() - to the system bus, or to a D-Bus @address (not NULL)
 *
 * Does not start or contact the daemon. Connecting again drops the old connection.
 */
int luctl_connect(struct luctl_ctx *ctx, const char *address) LUCTL_MUST_CHECK;

/* What went wrong in the last failed call: object and cause. Never NULL; "" if nothing failed. */
const char *luctl_last_error(struct luctl_ctx *ctx);
/* What to try; NULL if there is no advice. */
const char *luctl_last_hint(struct luctl_ctx *ctx);
/* Its D-Bus name ("org.luctl1.Error.Refused"), NULL if it did not come over the bus. */
const char *luctl_last_error_name(struct luctl_ctx *ctx);
/* Did the last call fail because no daemon was there to answer it? */
bool luctl_last_unreachable(struct luctl_ctx *ctx);
/* Did a check of the daemon refuse it, with nothing touched? */
bool luctl_last_refused(struct luctl_ctx *ctx);

/*
 * Without waiting: the connection in an event loop of one's own.
 *
 * Poll luctl_fd() for luctl_events() until luctl_timeout(), then call luctl_process() until it returns 0; also once before
 * the first poll, since what came in during other calls waits already. Progress functions are called from there.
 * All of it is of the present connection: after luctl_connect(), and after a call that had to connect again, ask anew.
 */
int luctl_fd(struct luctl_ctx *ctx);     /* or -ENOTCONN */
int luctl_events(struct luctl_ctx *ctx); /* as in poll(2), or a negative errno */
/* CLOCK_MONOTONIC in µs at which to call luctl_process() at the latest; LUCTL_FOREVER: at no time */
int luctl_timeout(struct luctl_ctx *ctx, uint64_t *ret_usec);
/* 1: something was done, call it again; 0: nothing is left to do; -ECONNRESET: the connection is gone */
int luctl_process(struct luctl_ctx *ctx) LUCTL_MUST_CHECK;

/* Words as numbers; …_OTHER: none that this library knows, or NULL. Numbers stay. */
enum luctl_state {
	LUCTL_STATE_OTHER = -1,
	LUCTL_STATE_IDLE,
	LUCTL_STATE_CHECKING,
	LUCTL_STATE_LOADING,
	LUCTL_STATE_PREPARING,
	LUCTL_STATE_PAUSING,
	LUCTL_STATE_SAVING,
	LUCTL_STATE_SEALING,
	LUCTL_STATE_JUMP,
	LUCTL_STATE_BOOTED,
	LUCTL_STATE_ADOPTING,
	LUCTL_STATE_RESTORING,
	LUCTL_STATE_RESUMING,
	LUCTL_STATE_FINISHING,
	LUCTL_STATE_DONE,
	LUCTL_STATE_ABORTING,
	LUCTL_STATE_ABORTED,
	LUCTL_STATE_DEGRADED,
	LUCTL_STATE_EXAMINING,
	LUCTL_STATE_REPLACING,
};
enum luctl_state luctl_state_of(const char *word); /* of luctl_status_state(), luctl_job_state() */
/* No update is under way in it. */
bool luctl_state_is_rest(enum luctl_state state);

enum luctl_result {
	LUCTL_RESULT_OTHER = -1,
	LUCTL_RESULT_SUCCESS,
	LUCTL_RESULT_ABORTED,
	LUCTL_RESULT_DEGRADED,
	LUCTL_RESULT_FAILED, /* of a job that is no update */
};
enum luctl_result
luctl_result_of(const char *word); /* of luctl_job_result(), luctl_status_result(), luctl_report_result() */

enum luctl_vm_state {
	LUCTL_VM_OTHER = -1,
	LUCTL_VM_RUNNING,
	LUCTL_VM_PAUSED,
	LUCTL_VM_UNREACHABLE,
	LUCTL_VM_SAVED,
	LUCTL_VM_LOST,
};
enum luctl_vm_state luctl_vm_state_of(const char *word); /* of luctl_vm_state() */

/* Version of the library, "0.1.0". */
const char *luctl_version(void);

/* Status. */

int luctl_status_get(struct luctl_ctx *ctx, struct luctl_status **ret_status);
/*
 * luctl_status_wait() - until no update is under way
 * @timeout_usec: LUCTL_FOREVER or how long at most, then -ETIMEDOUT
 *
 * Rides out a daemon that is not there (it restarts, or the host does).
 */
int luctl_status_wait(struct luctl_ctx *ctx, uint64_t timeout_usec, struct luctl_status **ret_status);
void luctl_status_free(struct luctl_status *status);
const char *luctl_status_json(const struct luctl_status *status);
const char *luctl_status_state(const struct luctl_status *status);
const char *luctl_status_result(const struct luctl_status *status); /* NULL before the first update */
const char *luctl_status_kernel(const struct luctl_status *status);
const char *luctl_status_daemon(const struct luctl_status *status);
bool luctl_status_updating(const struct luctl_status *status);
const char *luctl_status_update_id(const struct luctl_status *status);     /* NULL: no update under way */
const char *luctl_status_update_kernel(const struct luctl_status *status); /* NULL: no update under way */
uint64_t luctl_status_update_since(const struct luctl_status *status);     /* µs, CLOCK_REALTIME; 0: none */
const char *luctl_status_pkernfs_path(const struct luctl_status *status);
bool luctl_status_pkernfs_mounted(const struct luctl_status *status);
uint64_t luctl_status_pkernfs_size(const struct luctl_status *status);
uint64_t luctl_status_pkernfs_free(const struct luctl_status *status);
/* pages of 4 KiB in it that have gone bad; LUCTL_UNKNOWN: the kernel does not tell */
uint64_t luctl_status_pkernfs_bad_pages(const struct luctl_status *status);
uint64_t luctl_status_vms_total(const struct luctl_status *status);
uint64_t luctl_status_vms_updatable(const struct luctl_status *status);
const char *luctl_status_error(const struct luctl_status *status); /* NULL: none */
const char *luctl_status_hint(const struct luctl_status *status);

/* VMs. */

int luctl_vms_get(struct luctl_ctx *ctx, struct luctl_vms **ret_vms);
void luctl_vms_free(struct luctl_vms *vms);
const char *luctl_vms_json(const struct luctl_vms *vms);
const struct luctl_vm *luctl_vms_first(const struct luctl_vms *vms);
const struct luctl_vm *luctl_vms_next(const struct luctl_vms *vms, const struct luctl_vm *vm);
/* One VM by name or UUID; this one is to be freed. */
int luctl_vm_get(struct luctl_ctx *ctx, const char *name, struct luctl_vm **ret_vm);
void luctl_vm_free(struct luctl_vm *vm);
const char *luctl_vm_json(const struct luctl_vm *vm); /* NULL for one out of a list */
const char *luctl_vm_name(const struct luctl_vm *vm);
const char *luctl_vm_uuid(const struct luctl_vm *vm); /* NULL: its definition could not be read */
const char *luctl_vm_qmp(const struct luctl_vm *vm);  /* likewise */
const char *luctl_vm_unit(const struct luctl_vm *vm); /* NULL: none */
uint64_t luctl_vm_pid(const struct luctl_vm *vm);     /* 0: none */
const char *luctl_vm_state(const struct luctl_vm *vm);
bool luctl_vm_updatable(const struct luctl_vm *vm);
const char *luctl_vm_policy(const struct luctl_vm *vm); /* "required", "best-effort", "excluded" */
const char *luctl_vm_reason(const struct luctl_vm *vm); /* NULL: updatable */
const char *luctl_vm_hint(const struct luctl_vm *vm);
uint64_t luctl_vm_keeper(const struct luctl_vm *vm); /* process that keeps its devices until it is restored; 0: none */
/* Addresses of the PCI functions that are passed through, up to a NULL; the VM's, never NULL itself */
const char *const *luctl_vm_devices(const struct luctl_vm *vm);
const char *luctl_vm_restored_by(const struct luctl_vm *vm); /* NULL: not restored */
const struct luctl_ram *luctl_vm_ram_first(const struct luctl_vm *vm);
const struct luctl_ram *luctl_vm_ram_next(const struct luctl_vm *vm, const struct luctl_ram *ram);
const char *luctl_ram_path(const struct luctl_ram *ram);
uint64_t luctl_ram_size(const struct luctl_ram *ram);
/* @definition: JSON text, schema vm. Holds until the daemon restarts. */
int luctl_vm_add(struct luctl_ctx *ctx, const char *definition) LUCTL_MUST_CHECK;
int luctl_vm_remove(struct luctl_ctx *ctx, const char *name) LUCTL_MUST_CHECK;
/* Gives up the state that an update saved of a VM and that waits to be restored, for good. @name: name or UUID */
int luctl_vm_forget(struct luctl_ctx *ctx, const char *name) LUCTL_MUST_CHECK;

/* Plan, check, update. */

/*
 * @kernel: path of the image; like the initrd's, made absolute by the current directory. NULL: only luctl_judge() takes it.
 * Both files are opened in this process, by each call that takes the plan, so it must be able to read them.
 */
int luctl_plan_new(struct luctl_ctx *ctx, const char *kernel, struct luctl_plan **ret_plan);
/*
 * As luctl_plan_new() of a kernel as packages install it, /boot/vmlinuz-RELEASE or /usr/lib/modules/RELEASE/vmlinuz, with the initrd
 * beside it, if there is one. @release: NULL for the newest, by the order of strverscmp(3). -ENOENT if there is none such.
 */
int luctl_plan_new_installed(struct luctl_ctx *ctx, const char *release, struct luctl_plan **ret_plan);
void luctl_plan_free(struct luctl_plan *plan);
const char *luctl_plan_kernel(const struct luctl_plan *plan);
/* NULL: none is given. */
const char *luctl_plan_initrd(const struct luctl_plan *plan);
int luctl_plan_set_initrd(struct luctl_plan *plan, const char *initrd) LUCTL_MUST_CHECK;
/* That there is none is meant; else it is refused where the running kernel had one. Not together with the one before. */
int luctl_plan_set_no_initrd(struct luctl_plan *plan, bool none) LUCTL_MUST_CHECK;
/* Whole command line of the target; luctl adds what it needs. Not together with the next one. */
int luctl_plan_set_cmdline(struct luctl_plan *plan, const char *cmdline) LUCTL_MUST_CHECK;
/* The running kernel's command line; also the default. */
int luctl_plan_set_reuse_cmdline(struct luctl_plan *plan, bool reuse) LUCTL_MUST_CHECK;
/*
 * Shall the target be tried first, in a throw-away machine that jumps into it? It takes some ten seconds, once for each target:
 * what went well is remembered. YES: and if it can't be tried, that is an error. AUTO: as luctld's settings say.
 * DEFAULT: AUTO for luctl_update(), NO for luctl_check() and luctl_judge().
 */
enum luctl_trial {
	LUCTL_TRIAL_DEFAULT,
	LUCTL_TRIAL_NO,
	LUCTL_TRIAL_YES,
	LUCTL_TRIAL_AUTO,
};
int luctl_plan_set_trial(struct luctl_plan *plan, enum luctl_trial trial) LUCTL_MUST_CHECK;
/*
 * The longest blackout that will do for each VM, in microseconds; 0: any. A VM of which more is predicted can't go along, and
 * an update in which the guests would stand still for longer is undone before the jump.
 */
int luctl_plan_set_max_blackout(struct luctl_plan *plan, uint64_t usec) LUCTL_MUST_CHECK;
/* Leaves a VM out, by name or UUID: it is not saved and ends with the old kernel. */
int luctl_plan_exclude(struct luctl_plan *plan, const char *vm) LUCTL_MUST_CHECK;

/* luctl_check() - can the image take over? Pauses nothing. 0 also when it cannot: luctl_check_ok(). */
int luctl_check(struct luctl_plan *plan, struct luctl_check **ret_check);
void luctl_check_free(struct luctl_check *check);
const char *luctl_check_json(const struct luctl_check *check);
bool luctl_check_ok(const struct luctl_check *check);
const char *luctl_check_kernel(const struct luctl_check *check);
const char *luctl_check_release(const struct luctl_check *check); /* NULL: not known */
const struct luctl_finding *luctl_check_first(const struct luctl_check *check);
const struct luctl_finding *luctl_check_next(const struct luctl_check *check, const struct luctl_finding *finding);
const char *luctl_finding_level(const struct luctl_finding *finding); /* "ok", "warning", "error" */
const char *luctl_finding_object(const struct luctl_finding *finding);
const char *luctl_finding_what(const struct luctl_finding *finding);
const char *luctl_finding_hint(const struct luctl_finding *finding); /* NULL: none */

/*
 * luctl_rehearse() - all that luctl_update() does but the jump: the guests are paused and saved, then all is taken back and they go
 * on in this kernel. Success says that it came to the jump and back.
 */
int luctl_rehearse(struct luctl_plan *plan, struct luctl_job **ret_job) LUCTL_MUST_CHECK;

/*
 * luctl_judge() - what would become of each VM and each passed-through device? Pauses nothing.
 *
 * By what luctl_update() goes by. Without a kernel only this host and its VMs are judged. 0 also
 * when something can't go along: luctl_judgement_ok().
 */
int luctl_judge(struct luctl_plan *plan, struct luctl_judgement **ret_judgement);
void luctl_judgement_free(struct luctl_judgement *judgement);
const char *luctl_judgement_json(const struct luctl_judgement *judgement);
bool luctl_judgement_ok(const struct luctl_judgement *judgement);             /* would an update begin? */
const char *luctl_judgement_kernel(const struct luctl_judgement *judgement);  /* NULL: none was given */
const char *luctl_judgement_release(const struct luctl_judgement *judgement); /* NULL: not known */
/* About host and target */
const struct luctl_finding *luctl_judgement_finding_first(const struct luctl_judgement *judgement);
const struct luctl_finding *luctl_judgement_finding_next(const struct luctl_judgement *judgement,
							 const struct luctl_finding *finding);
const struct luctl_vm_verdict *luctl_judgement_vm_first(const struct luctl_judgement *judgement);
const struct luctl_vm_verdict *luctl_judgement_vm_next(const struct luctl_judgement *judgement,
						       const struct luctl_vm_verdict *vm);
uint64_t luctl_judgement_blackout(const struct luctl_judgement *judgement); /* the longest; µs or LUCTL_UNKNOWN */
const char *luctl_judgement_basis(const struct luctl_judgement *judgement); /* NULL: no VM goes along */
const char *luctl_vm_verdict_name(const struct luctl_vm_verdict *vm);
const char *luctl_vm_verdict_uuid(const struct luctl_vm_verdict *vm);    /* NULL: its definition could not be read */
const char *luctl_vm_verdict_verdict(const struct luctl_vm_verdict *vm); /* goes-along, cannot, left-out, off */
const char *luctl_vm_verdict_policy(const struct luctl_vm_verdict *vm);  /* as luctl_vm_policy() */
const char *
luctl_vm_verdict_late(const struct luctl_vm_verdict *vm); /* why it has to wait for services; NULL: it need not */
uint64_t luctl_vm_verdict_blackout(const struct luctl_vm_verdict *vm); /* predicted; µs or LUCTL_UNKNOWN */
const char *
luctl_vm_verdict_basis(const struct luctl_vm_verdict *vm); /* what that is based on; NULL: it does not go along */
const struct luctl_reason *luctl_vm_verdict_reason_first(const struct luctl_vm_verdict *vm);
const struct luctl_reason *luctl_vm_verdict_reason_next(const struct luctl_vm_verdict *vm,
							const struct luctl_reason *reason);
const struct luctl_device_verdict *luctl_vm_verdict_device_first(const struct luctl_vm_verdict *vm);
const struct luctl_device_verdict *luctl_vm_verdict_device_next(const struct luctl_vm_verdict *vm,
								const struct luctl_device_verdict *device);
const char *luctl_device_verdict_address(const struct luctl_device_verdict *device);
bool luctl_device_verdict_goes_on(const struct luctl_device_verdict *device);
const struct luctl_reason *luctl_device_verdict_reason_first(const struct luctl_device_verdict *device);
const struct luctl_reason *luctl_device_verdict_reason_next(const struct luctl_device_verdict *device,
							    const struct luctl_reason *reason);
const char *luctl_reason_what(const struct luctl_reason *reason);
const char *luctl_reason_hint(const struct luctl_reason *reason); /* NULL: none */

/*
 * luctl_update() - start the update
 *
 * If all goes well the host jumps into the other kernel and this process with it: it
 * does not come back from luctl_job_wait(). luctl_report_get() tells the result there.
 */
int luctl_update(struct luctl_plan *plan, struct luctl_job **ret_job) LUCTL_MUST_CHECK;
/*
 * luctl_update_vmm() - start an update of QEMU alone, in this kernel
 * @vms: NULL-terminated names or UUIDs; NULL: all that run
 *
 * One VM after the other goes on in the QEMU that is installed now, its devices with it.
 */
int luctl_update_vmm(struct luctl_ctx *ctx, const char *const *vms, struct luctl_job **ret_job) LUCTL_MUST_CHECK;
/* Tries again to bring up a VM whose state was kept. */
int luctl_restore(struct luctl_ctx *ctx, const char *vm, struct luctl_job **ret_job) LUCTL_MUST_CHECK;
/* Cancels the update under way; the guests go on with this kernel. */
int luctl_abort(struct luctl_ctx *ctx) LUCTL_MUST_CHECK;

/* Jobs. */

typedef void (*luctl_progress_fn)(void *userdata, const char *state, const char *detail);

/*
 * luctl_job_wait() - until the job has ended
 * @progress: called for each step; may be NULL
 * @timeout_usec: LUCTL_FOREVER or how long at most, then -ETIMEDOUT (the job goes on)
 *
 * Return: 0 (the job ended: luctl_job_result()), -ECONNRESET (the daemon or the bus
 * went away; luctl_status_wait() and luctl_report_get() tell later), or another errno.
 */
int luctl_job_wait(struct luctl_job *job, luctl_progress_fn progress, void *userdata,
		   uint64_t timeout_usec) LUCTL_MUST_CHECK;
int luctl_job_cancel(struct luctl_job *job) LUCTL_MUST_CHECK;
/*
 * luctl_job_attach() - a job that somebody else has begun, or this program before it was started anew
 * @path: luctl_job_path(); NULL: the one that is under way
 *
 * Nothing of it is lost between this call and the first luctl_job_wait() or luctl_process(). An update that goes on after
 * luctld was started anew, as after the jump, has another job than before.
 *
 * Return: 0, also if it has ended (luctl_job_result()); -ENOENT if there is no such job (any more).
 */
int luctl_job_attach(struct luctl_ctx *ctx, const char *path, struct luctl_job **ret_job) LUCTL_MUST_CHECK;
/* Called by luctl_process() for each step; NULL: none is. luctl_job_wait() sets its own */
void luctl_job_set_progress(struct luctl_job *job, luctl_progress_fn progress, void *userdata);
/* The daemon or the bus went away before it ended, as luctl_job_wait() says by -ECONNRESET */
bool luctl_job_lost(const struct luctl_job *job);
void luctl_job_free(struct luctl_job *job); /* the job itself goes on */
const char *luctl_job_path(const struct luctl_job *job);
const char *luctl_job_state(const struct luctl_job *job);  /* last one heard of; "" at first */
const char *luctl_job_result(const struct luctl_job *job); /* NULL until ended; success, aborted, degraded, failed */
const char *
luctl_job_update_id(const struct luctl_job *job); /* NULL: not heard yet, or a daemon of before does not tell */
const char *
luctl_job_detail(const struct luctl_job *job); /* of the last step, for people; "" if nothing is to be added */
/* VMs that are through with this state, of how many; 0 of 0: not counted */
uint64_t luctl_job_done(const struct luctl_job *job);
uint64_t luctl_job_total(const struct luctl_job *job);
/* Predicted, µs: before the jump the blackout, at the jump what is left of it; LUCTL_UNKNOWN: nothing is */
uint64_t luctl_job_expected(const struct luctl_job *job);
const char *luctl_job_error(const struct luctl_job *job); /* NULL: none */
const char *luctl_job_hint(const struct luctl_job *job);

/* Report of the last update. */

int luctl_report_get(struct luctl_ctx *ctx, struct luctl_report **ret_report);
/* The same of a former update; @update: its id, or the first characters of that, four or more. -ENOTUNIQ: there are several such */
int luctl_report_get_of(struct luctl_ctx *ctx, const char *update, struct luctl_report **ret_report);
void luctl_report_free(struct luctl_report *report);
const char *luctl_report_json(const struct luctl_report *report);
const char *luctl_report_id(const struct luctl_report *report);
const char *luctl_report_kind(const struct luctl_report *report); /* kernel, or vmm: only QEMU was replaced */
bool luctl_report_rehearsal(const struct luctl_report *report);   /* nothing was: it was taken back at the jump */
const char *luctl_report_result(const struct luctl_report *report);
const char *luctl_report_from(const struct luctl_report *report);
const char *luctl_report_to(const struct luctl_report *report);     /* NULL: never got there */
uint64_t luctl_report_started(const struct luctl_report *report);   /* µs, CLOCK_REALTIME */
uint64_t luctl_report_duration(const struct luctl_report *report);  /* µs */
uint64_t luctl_report_blackout(const struct luctl_report *report);  /* µs or LUCTL_UNKNOWN */
uint64_t luctl_report_predicted(const struct luctl_report *report); /* µs or LUCTL_UNKNOWN */
uint64_t luctl_report_tsc_khz(const struct luctl_report *report);
const char *luctl_report_error(const struct luctl_report *report); /* NULL: none */
const char *luctl_report_hint(const struct luctl_report *report);
const struct luctl_phase *luctl_report_phase_first(const struct luctl_report *report);
const struct luctl_phase *luctl_report_phase_next(const struct luctl_report *report, const struct luctl_phase *phase);
const char *luctl_phase_name(const struct luctl_phase *phase);
bool luctl_phase_in_new_kernel(const struct luctl_phase *phase);
uint64_t luctl_phase_start(const struct luctl_phase *phase);    /* µs since the update began */
uint64_t luctl_phase_duration(const struct luctl_phase *phase); /* µs */
const struct luctl_vm_report *luctl_report_vm_first(const struct luctl_report *report);
const struct luctl_vm_report *luctl_report_vm_next(const struct luctl_report *report, const struct luctl_vm_report *vm);
const char *luctl_vm_report_name(const struct luctl_vm_report *vm);
const char *luctl_vm_report_uuid(const struct luctl_vm_report *vm);
const char *luctl_vm_report_result(const struct luctl_vm_report *vm); /* running, paused, lost */
const char *luctl_vm_report_by(const struct luctl_vm_report *vm);     /* NULL: nobody had to */
uint64_t luctl_vm_report_pause(const struct luctl_vm_report *vm);     /* µs since the update began, or LUCTL_UNKNOWN */
uint64_t luctl_vm_report_resume(const struct luctl_vm_report *vm);    /* likewise */
uint64_t luctl_vm_report_blackout(const struct luctl_vm_report *vm);  /* µs or LUCTL_UNKNOWN */
/* What was done to it and when: vm-pause, vm-save, vm-devices, vm-spawn, vm-load, vm-resume; none of an older luctld's report */
const struct luctl_phase *luctl_vm_report_phase_first(const struct luctl_vm_report *vm);
const struct luctl_phase *luctl_vm_report_phase_next(const struct luctl_vm_report *vm, const struct luctl_phase *phase);
uint64_t luctl_vm_report_predicted(const struct luctl_vm_report *vm); /* µs or LUCTL_UNKNOWN */
const char *luctl_vm_report_clock(const struct luctl_vm_report *vm);  /* "leave", "agent"; NULL: it was not stopped */
/* µs by which the guest's time of day is behind, or was ahead: as long as it stood still, or what its agent says since it set it */
int64_t luctl_vm_report_clock_behind(const struct luctl_vm_report *vm);
const char *
luctl_vm_report_clock_error(const struct luctl_vm_report *vm);           /* why the agent did not set it; NULL: none */
const char *luctl_vm_report_qemu_from(const struct luctl_vm_report *vm); /* its version before; NULL: not known */
const char *luctl_vm_report_qemu_to(const struct luctl_vm_report *vm);   /* and now */
const char *luctl_vm_report_error(const struct luctl_vm_report *vm);     /* NULL: none */
const char *luctl_vm_report_hint(const struct luctl_vm_report *vm);
/* VMs that did not go along; after a jump they have ended with the old kernel */
const struct luctl_left *luctl_report_left_first(const struct luctl_report *report);
const struct luctl_left *luctl_report_left_next(const struct luctl_report *report, const struct luctl_left *left);
const char *luctl_left_name(const struct luctl_left *left);
const char *luctl_left_uuid(const struct luctl_left *left); /* NULL: its definition could not be read */
const char *luctl_left_what(const struct luctl_left *left); /* why */
const char *luctl_left_hint(const struct luctl_left *left);

/* Updates whose reports are kept on this host, newest first: also undone ones, of QEMU alone, and rehearsals. */
int luctl_reports_get(struct luctl_ctx *ctx, struct luctl_reports **ret_reports);
void luctl_reports_free(struct luctl_reports *reports);
const char *luctl_reports_json(const struct luctl_reports *reports);
const struct luctl_report_entry *luctl_reports_first(const struct luctl_reports *reports);
const struct luctl_report_entry *luctl_reports_next(const struct luctl_reports *reports,
						    const struct luctl_report_entry *entry);
const char *luctl_report_entry_id(const struct luctl_report_entry *entry);
/* As luctl_report_…() of the same name */
const char *luctl_report_entry_kind(const struct luctl_report_entry *entry);
bool luctl_report_entry_rehearsal(const struct luctl_report_entry *entry);
const char *luctl_report_entry_result(const struct luctl_report_entry *entry);
const char *luctl_report_entry_from(const struct luctl_report_entry *entry);
const char *luctl_report_entry_to(const struct luctl_report_entry *entry);
uint64_t luctl_report_entry_started(const struct luctl_report_entry *entry);
uint64_t luctl_report_entry_duration(const struct luctl_report_entry *entry);
uint64_t luctl_report_entry_blackout(const struct luctl_report_entry *entry);
uint64_t luctl_report_entry_vms(const struct luctl_report_entry *entry);  /* how many the report tells of */
uint64_t luctl_report_entry_lost(const struct luctl_report_entry *entry); /* how many of them did not run afterwards */
const char *luctl_report_entry_error(const struct luctl_report_entry *entry);
const char *luctl_report_entry_hint(const struct luctl_report_entry *entry);
/* Files among the reports that are none, or that can't be read */
const struct luctl_report_damage *luctl_reports_damage_first(const struct luctl_reports *reports);
const struct luctl_report_damage *luctl_reports_damage_next(const struct luctl_reports *reports,
							    const struct luctl_report_damage *damage);
const char *luctl_report_damage_file(const struct luctl_report_damage *damage);
const char *luctl_report_damage_what(const struct luctl_report_damage *damage); /* NULL: none */

/* pkernfs: the memory that survives kexec. No daemon is asked, so no connection is needed. */

enum luctl_pkernfs_number {
	LUCTL_PKERNFS_FORMAT, /* version of the format */
	LUCTL_PKERNFS_COMPAT, /* feature bits */
	LUCTL_PKERNFS_RO_COMPAT,
	LUCTL_PKERNFS_INCOMPAT,
	LUCTL_PKERNFS_NODE,      /* NUMA node of blocks; LUCTL_UNKNOWN: any */
	LUCTL_PKERNFS_LIMIT,     /* bytes; LUCTL_UNKNOWN: none */
	LUCTL_PKERNFS_POOL,      /* bytes set apart, in use or not; LUCTL_UNKNOWN: none */
	LUCTL_PKERNFS_USED,      /* bytes, with metadata */
	LUCTL_PKERNFS_AVAILABLE, /* bytes */
	LUCTL_PKERNFS_FILES,
	LUCTL_PKERNFS_DIRECTORIES,
	LUCTL_PKERNFS_OTHERS,       /* symbolic links, sockets, … */
	LUCTL_PKERNFS_UNLINKED,     /* given up by the next kernel */
	LUCTL_PKERNFS_SMALL_BLOCKS, /* 4 KiB */
	LUCTL_PKERNFS_HUGE_BLOCKS,  /* 2 MiB; one of 1 GiB counts as 512 of them */
	LUCTL_PKERNFS_METADATA_PAGES,
	LUCTL_PKERNFS_GENERATION,    /* how often it was sealed */
	LUCTL_PKERNFS_SEAL_DURATION, /* ns, the last time */
	LUCTL_PKERNFS_BAD_PAGES,     /* 4 KiB, of memory that has gone bad */
	LUCTL_PKERNFS_BAD_UNOWNED,   /* of them, in no file any more */
};

/*
 * luctl_pkernfs_read() - what there is, and what of it is damaged
 * @image: an image of a host's memory (ELF core or raw); NULL: this host's own, as root
 * @root: physical address of the root page; LUCTL_UNKNOWN: look for it
 * @save: write the metadata there as an image of its own; NULL: don't
 * @need: of this host, fail if its memory can't be read; else tell what mount table and statfs() know
 *
 * 0 also if it is damaged: luctl_pkernfs_ok().
 */
int luctl_pkernfs_read(struct luctl_ctx *ctx, const char *image, uint64_t root, const char *save, bool need,
		       struct luctl_pkernfs **ret_pkernfs);
void luctl_pkernfs_free(struct luctl_pkernfs *pkernfs);
const char *luctl_pkernfs_json(const struct luctl_pkernfs *pkernfs);
const char *luctl_pkernfs_source(const struct luctl_pkernfs *pkernfs); /* NULL: metadata was not read */
bool luctl_pkernfs_ok(const struct luctl_pkernfs *pkernfs);            /* no finding is an error */
/* @finding, @fs: the one before; NULL: the first */
const struct luctl_finding *luctl_pkernfs_finding_next(const struct luctl_pkernfs *pkernfs,
						       const struct luctl_finding *finding);
const struct luctl_pkernfs_fs *luctl_pkernfs_fs_next(const struct luctl_pkernfs *pkernfs,
						     const struct luctl_pkernfs_fs *fs);
const char *luctl_pkernfs_fs_name(const struct luctl_pkernfs_fs *fs);
const char *luctl_pkernfs_fs_state(const struct luctl_pkernfs_fs *fs); /* "intact", "damaged", "unusable", "unknown" */
const char *luctl_pkernfs_fs_seal(const struct luctl_pkernfs_fs *fs);  /* "open", "sealed", "unknown" */
/* Where it is mounted, up to a NULL; never NULL itself */
const char *const *luctl_pkernfs_fs_mounted(const struct luctl_pkernfs_fs *fs);
/* LUCTL_UNKNOWN: not known */
uint64_t luctl_pkernfs_fs_number(const struct luctl_pkernfs_fs *fs, enum luctl_pkernfs_number number);

/*
 * luctl_pkernfs_set_blocks() - the size of the blocks of a file without contents, or of all that is made in a directory
 * @path: in pkernfs, of this host; a symbolic link is not followed
 * @size: in bytes: 4 KiB, 2 MiB or 1 GiB, as far as this kernel has them; 0: as where nobody has said anything
 *
 * Takes its owner or root. 0, -EOPNOTSUPP (not in pkernfs), -EINVAL (no such size, or the file has blocks of another)
 * or what the kernel answered. The kernel's side is FS_IOC_FSSETXATTR: Documentation/filesystems/pkernfs.rst.
 */
int luctl_pkernfs_set_blocks(struct luctl_ctx *ctx, const char *path, uint64_t size);

/* A VM's journal of calls: what sets its passed-through devices up again, and what came of that. */

/*
 * luctl_journal_read() - by VM (name or UUID), from luctld; or by the path of a file, without it
 * @file: not NULL: @vm is not looked at
 *
 * 0 also if it is damaged: luctl_journal_ok(). -ENOENT if the VM has none: no device is passed through to it, or no
 * update has saved it.
 */
int luctl_journal_read(struct luctl_ctx *ctx, const char *vm, const char *file, struct luctl_journal **ret_journal);
void luctl_journal_free(struct luctl_journal *journal);
const char *luctl_journal_json(const struct luctl_journal *journal);
const char *luctl_journal_source(const struct luctl_journal *journal); /* for people */
bool luctl_journal_ok(const struct luctl_journal *journal);            /* no finding is an error */
const char *luctl_journal_vm(const struct luctl_journal *journal);     /* UUID; NULL: can't be read */
const char *
luctl_journal_boot_id(const struct luctl_journal *journal); /* of the kernel it was written in; NULL likewise */
uint64_t luctl_journal_written(const struct luctl_journal *journal); /* CLOCK_REALTIME in µs; LUCTL_UNKNOWN */
/* @finding, @call: the one before; NULL: the first */
const struct luctl_finding *luctl_journal_finding_next(const struct luctl_journal *journal,
						       const struct luctl_finding *finding);
const struct luctl_call *luctl_journal_call_next(const struct luctl_journal *journal, const struct luctl_call *call);
uint64_t luctl_call_number(const struct luctl_call *call); /* from 1 */
/* QEMU's name of what it is made on, or a path in pkernfs; @ret_id (may be NULL): the number that goes with the name */
const char *luctl_call_object(const struct luctl_call *call, int *ret_id);
const char *luctl_call_name(const struct luctl_call *call); /* "IOMMU_IOAS_MAP_FILE" */
/* An argument's value as text, its name in @ret_name (may be NULL); NULL: there are no more. A list has one name for all */
const char *luctl_call_arg(const struct luctl_call *call, unsigned int index, const char **ret_name);
uint64_t luctl_call_id(const struct luctl_call *call);        /* that the object must get; LUCTL_UNKNOWN: makes none */
unsigned int luctl_call_tries(const struct luctl_call *call); /* how often it was made so far */
int luctl_call_error(const struct luctl_call *call);          /* of the last time: 0 or a negative errno */

/* Lists: LUCTL_FOREACH(vm, luctl_vms, vms) stands for luctl_vms_first() and luctl_vms_next(); @item: a pointer that was declared */
#define LUCTL_FOREACH(item, list, of) for ((item) = list##_first(of); (item); (item) = list##_next(of, item))
/* The same of lists whose _next() takes NULL for the first */
#define LUCTL_FOREACH_NEXT(item, list, of) for ((item) = list##_next(of, NULL); (item); (item) = list##_next(of, item))

#ifdef __cplusplus
}
#endif
#endif
