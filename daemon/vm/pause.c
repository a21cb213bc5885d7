// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PAUSE, SAVE, RESUME and REPLACE: the part of an update in which the guest stands still.
 * As little as possible happens here; the record that PAUSE needs was written by
 * PREPARE and is written again only if the guest was paused or let run meanwhile.
 *
 * PAUSE	saved.json says truly whether the guest runs, then QMP stop.
 * SAVE		QEMU writes its device state into memory that we opened and passed
 *		(add-fd), and it is copied into the state file (state.c); with passed-through devices
 *		it sends it (passthrough.c). So its user needs no way to pkernfs. Then the file is summed
 *		up and synced, and saved.json, complete, is the commit: from there on the
 *		VM can be taken up by the next kernel.
 * REPLACE	ends this QEMU and has another one started from what was saved, as RESUME does
 *		with passed-through devices (passthrough.c).
 * RESUME	ends a migration that is under way, takes the commit back and lets the
 *		guest run if it ran before. If QEMU is gone and the commit stands, the guest has not run
 *		since: another QEMU takes it up. QEMU lets a guest without devices go on from
 *		postmigrate (measured). It works with whatever it finds: a VM never
 *		paused, a QEMU that already runs it, no record at all (then what this
 *		process remembers decides). If QEMU refuses, the commit stands again.
 * VERIFY	looks whether it still stands as it was saved: same process, not let run by
 *		somebody else, same devices, same beneath its disks, firmware of the same size, and the kernel tells of
 *		the devices what the journal was made of. The last thing before the jump.
 *
 * A guest that was paused before the update, or by somebody else during it, stays paused, however
 * often RESUME is tried: it runs a guest only if PAUSE has noted that it is going to stop it. If it was saved, QEMU
 * calls that state "postmigrate" from then on; PROBE says what that means.
 *
 * Unhappy paths of SAVE: the migration fails or is cancelled (reported with QEMU's
 * reason), the file system is full (QEMU reports it), QEMU dies. Nothing is undone
 * here; the record is not complete, which is all that matters to the next kernel.
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "vm-internal.h"

/* The migration of a paused guest takes milliseconds; each poll costs QEMU a round trip. */
#define POLL_FIRST_USEC 1000u
#define POLL_LATER_USEC 5000u
#define SUM_PIECE (8u << 20) /* of a state that is summed up at a time; some 10 ms */

static int need_saved(struct lu_vm_job *j)
{
	if (j->have_saved)
		return 0;
	return lu_error_set(&j->error, -ENOENT, NULL, "VM %s: not prepared for update %s", j->vm->name, j->update);
}

static bool runs(const struct lu_vm_job *j)
{
	return !strcmp(j->status, "running") || !strcmp(j->status, "suspended");
}

/* --- pause --- */

/* A guest whose state is elsewhere, or is being moved there, is somebody else's. */
static int judge_status(struct lu_vm_job *j)
{
	static const char *const fine[] = { "running", "suspended", "paused", "prelaunch" };

	for (size_t i = 0; i < ARRAY_SIZE(fine); i++)
		if (!strcmp(j->status, fine[i]))
			return 0;
	return lu_error_set(&j->error, -EBUSY, "somebody else manages it, too; when he is done, try again",
			    "VM %s: its QEMU is in state \"%s\", which was not so at the check", j->vm->name,
			    j->status);
}

/*
 * Durable before the stop: from here on, and not before, RESUME may let the guest run, also in another process. One
 * that was paused by somebody else is not ours to run.
 */
static int note_pause(struct lu_vm_job *j)
{
	struct lu_stamp now = lu_stamp_now();

	j->vm->ran = false;
	if (!runs(j) && !j->saved.running)
		return 0;
	j->saved.running = runs(j);
	j->saved.pause_tsc = runs(j) ? now.tsc : 0;
	j->saved.pause_realtime_usec = runs(j) ? now.realtime_ns / 1000 : 0;
	return lu_vm_job_write_saved(j);
}

static int on_stop(struct lu_vm_job *j, struct json_object *data)
{
	j->vm->facts.state = LU_VM_PAUSED;
	return 0;
}

static int stop(struct lu_vm_job *j)
{
	struct lu_stamp now = lu_stamp_now();

	j->vm->pause_tsc = now.tsc;
	j->vm->pause_realtime_usec = now.realtime_ns / 1000;
	if (!runs(j))
		return 0;
	j->vm->stopped = true;
	return lu_vm_job_command(j, "stop", NULL, on_stop);
}

/* clang-format off */
const lu_vm_step_t lu_pause_steps[] = {
	lu_vm_job_open_pkernfs,
	lu_vm_job_load_saved,
	need_saved,
	lu_vm_job_query_status,
	lu_vm_job_same_process,
	judge_status,
	note_pause,
	stop,
	NULL,
};
/* clang-format on */

/* --- save --- */

static int must_stand(struct lu_vm_job *j)
{
	if (!runs(j))
		return 0;
	return lu_error_set(&j->error, -EBUSY, "somebody else let the guest run: only one program may manage a VM",
			    "VM %s runs and can't be saved", j->vm->name);
}

static int on_migrate(struct lu_vm_job *j, struct json_object *data)
{
	return 0;
}

static int on_fd_added(struct lu_vm_job *j, struct json_object *data)
{
	struct json_object *id = lu_member(data, "fdset-id", json_type_int);
	char uri[48];

	if (!id)
		return lu_error_set(&j->error, -EBADMSG, NULL, "VM %s: QEMU's answer to add-fd has no fdset-id",
				    j->vm->name);
	j->vm->fdset = json_object_get_int64(id);
	snprintf(uri, sizeof(uri), "file:/dev/fdset/%lld", (long long)j->vm->fdset);
	return lu_vm_job_command(j, "migrate", lu_json_args("uri", uri, NULL), on_migrate);
}

static int migrate(struct lu_vm_job *j)
{
	_cleanup_close_ int fd = -EBADF;

	if (j->vm->facts.devices)
		return lu_vm_job_transfer(j);
	fd = lu_vm_job_open_state(j);
	if (fd < 0)
		return fd;
	return lu_vm_job_command_fd(j, "add-fd", NULL, fd, on_fd_added);
}

static int poll_again(struct lu_vm_job *j)
{
	return lu_vm_job_again(j, j->polls++ < 10 ? POLL_FIRST_USEC : POLL_LATER_USEC);
}

static int on_progress(struct lu_vm_job *j, struct json_object *data)
{
	const char *status = lu_member_string(data, "status"), *why = lu_member_string(data, "error-desc");

	if (status && !strcmp(status, "completed"))
		return 0;
	if (status && (!strcmp(status, "failed") || !strcmp(status, "cancelled")))
		return lu_error_set(&j->error, -EIO, "see the log of its QEMU; is pkernfs full?",
				    "VM %s: saving its state %s%s%s", j->vm->name, status, why ? ": " : "", why ?: "");
	return poll_again(j);
}

static int wait_completed(struct lu_vm_job *j)
{
	return lu_vm_job_command(j, "query-migrate", NULL, on_progress);
}

int lu_vm_job_commit(struct lu_vm_job *j)
{
	_cleanup_close_ int fd = openat(j->dir_fd, "state", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int r;

	r = fd < 0 || fsync(fd) < 0 ? -errno : lu_store_sum_some(fd, SUM_PIECE, &j->sum);
	if (r == 0) /* others want to be heard, too */
		return lu_vm_job_again(j, 1);
	j->saved.size = j->sum.size;
	if (r >= 0 && j->saved.size == 0)
		r = -ENODATA;
	if (r < 0)
		return lu_error_set(&j->error, r, NULL, "pkernfs: the state file of VM %s: %s", j->vm->name,
				    strerror(-r));
	j->saved.crc32 = j->sum.crc32;
	j->saved.complete = true;
	if (j->vm->pause_tsc) {
		/* else a daemon before this one has paused it, and noted when */
		j->saved.pause_tsc = j->vm->pause_tsc;
		j->saved.pause_realtime_usec = j->vm->pause_realtime_usec;
	}
	j->saved.saved_tsc = lu_stamp_now().tsc;
	return lu_vm_job_write_saved(j);
}

/* clang-format off */
const lu_vm_step_t lu_save_steps[] = {
	lu_vm_job_open_pkernfs,
	lu_vm_job_load_saved,
	need_saved,
	lu_vm_job_query_status,
	lu_vm_job_same_process,
	must_stand,
	migrate,
	wait_completed,
	lu_vm_job_take_state,
	lu_vm_job_transferred,
	lu_vm_job_note_devices,
	lu_vm_job_commit,
	NULL,
};
/* clang-format on */

/* --- resume --- */

static int take_back(struct lu_vm_job *j)
{
	if (!j->have_saved || !j->saved.complete)
		return 0;
	j->saved.complete = false;
	j->took_back = true;
	if (lu_vm_job_write_saved(j) < 0) {
		/* then the state itself goes: a sum without its file is no commit either */
		lu_error_clear(&j->error);
		(void)unlinkat(j->dir_fd, "state", 0);
		j->took_back = false;
	}
	return 0;
}

/* QEMU refused to let it run, so it has not: what was saved of it is worth what it was before. */
static void put_commit_back(struct lu_vm_job *j)
{
	if (!j->took_back)
		return;
	j->saved.complete = true;
	(void)lu_vm_job_write_saved(j);
	lu_error_clear(&j->error);
}

/* The record, if it can be had. Not having it must not keep a guest from running. */
static int load_record(struct lu_vm_job *j)
{
	int r;

	r = lu_vm_job_open_pkernfs(j);
	if (r >= 0)
		r = lu_vm_job_load_saved(j);
	j->bad_record = r < 0;
	if (r < 0)
		lu_error_clear(&j->error);
	/* also if a daemon before this one has done it; until check_running() */
	if (j->have_saved && j->saved.running && j->saved.pause_tsc)
		j->vm->stopped = true;
	return 0;
}

/* If there was another QEMU to be started, its word counts. */
static int query_new(struct lu_vm_job *j)
{
	return j->went_back ? lu_vm_job_query_status(j) : 0;
}

/* Only if we stopped it: whoever else did, by a pause or by a migration to elsewhere, lets it run or does not. */
static int wanted_running(const struct lu_vm_job *j)
{
	return j->vm->stopped;
}

static int on_cancelled(struct lu_vm_job *j, struct json_object *data)
{
	return lu_vm_job_again(j, POLL_LATER_USEC);
}

static int on_migration_state(struct lu_vm_job *j, struct json_object *data)
{
	static const char *const busy[] = { "setup", "active", "device", "pre-switchover", "wait-unplug" };
	const char *status = lu_member_string(data, "status");

	if (status && !strcmp(status, "cancelling"))
		return lu_vm_job_again(j, POLL_LATER_USEC);
	for (size_t i = 0; status && i < ARRAY_SIZE(busy); i++)
		if (!strcmp(status, busy[i]))
			return lu_vm_job_try(j, "migrate_cancel", NULL, LU_TOLERATE_REFUSAL, on_cancelled);
	return 0;
}

static int end_migration(struct lu_vm_job *j)
{
	if (runs(j) || !lu_vm_job_answers(j))
		return 0;
	return lu_vm_job_command(j, "query-migrate", NULL, on_migration_state);
}

static int on_settled(struct lu_vm_job *j, struct json_object *data);

static int settle(struct lu_vm_job *j)
{
	if (runs(j) || !lu_vm_job_answers(j))
		return 0;
	return lu_vm_job_command(j, "query-status", NULL, on_settled);
}

/* Between "completed" and postmigrate lies a moment in which cont is refused. */
static int on_settled(struct lu_vm_job *j, struct json_object *data)
{
	const char *status = lu_member_string(data, "status");

	if (!status)
		return -EBADMSG;
	if (!strcmp(status, "finish-migrate"))
		return poll_again(j);
	free(j->status);
	j->status = strdup(status);
	return j->status ? 0 : -ENOMEM;
}

static int on_announced(struct lu_vm_job *j, struct json_object *data)
{
	return 0;
}

/* Switches may have forgotten it while it stood still. A QEMU that refuses has told nobody, nothing else. */
static int on_cont(struct lu_vm_job *j, struct json_object *data)
{
	if (!data) {
		put_commit_back(j);
		return lu_error_set(&j->error, -EREMOTEIO,
				    "remove the cause, then let it run by its monitor (QMP cont)",
				    "VM %s: QEMU does not let it run: %s", j->vm->name, j->refused ?: "");
	}
	j->vm->continued = true;
	return lu_vm_job_try(j, "announce-self", json_tokener_parse(LU_LAUNCH_ANNOUNCE), LU_TOLERATE_REFUSAL,
			     on_announced);
}

static int cont(struct lu_vm_job *j)
{
	/* let run by somebody, and paused again: it is in his hands */
	if (j->vm->ran && !strcmp(j->status, "paused"))
		j->vm->stopped = false;
	if (runs(j) || !wanted_running(j))
		return 0;
	return lu_vm_job_try(j, "cont", NULL, LU_TOLERATE_REFUSAL, on_cont);
}

/* It is as it was: what somebody does to the guest from now on is not ours to undo. In the next kernel the report needs the stamp. */
static void forget_pause(struct lu_vm_job *j)
{
	if (j->op != LU_VM_RESUME || !j->have_saved || !j->saved.pause_tsc ||
	    faccessat(j->dir_fd, "result.json", F_OK, 0) == 0)
		return;
	j->saved.pause_tsc = j->saved.pause_realtime_usec = 0;
	(void)lu_vm_job_write_saved(j);
	lu_error_clear(&j->error);
}

static int check_running(struct lu_vm_job *j)
{
	if (wanted_running(j) && !runs(j))
		return lu_error_set(&j->error, -EIO, "see the log of its QEMU",
				    "VM %s: QEMU does not let it run, it is in state \"%s\"", j->vm->name, j->status);
	if (j->bad_record && !runs(j) && !j->vm->stopped && !strcmp(j->status, "postmigrate"))
		return lu_error_set(
			&j->error, -EBADMSG, "if it is to run, and runs nowhere else: QMP cont",
			"VM %s: its state was saved and its record can't be read, so nobody knows whether it ran before: "
			"it stays paused",
			j->vm->name);
	j->vm->stopped = false;
	forget_pause(j);
	return 0;
}

static int on_removed(struct lu_vm_job *j, struct json_object *data)
{
	return 0;
}

/* The state file that QEMU still holds. If our connection was lost meanwhile, QEMU has dropped it by itself. */
static int drop_fd(struct lu_vm_job *j)
{
	struct json_object *args;
	int64_t fdset = j->vm->fdset;

	if (fdset < 0)
		return 0;
	j->vm->fdset = -1;
	args = json_object_new_object();
	if (!args || lu_json_add_int(args, "fdset-id", fdset) < 0) {
		json_object_put(args);
		return -ENOMEM;
	}
	return lu_vm_job_try(j, "remove-fd", args, LU_TOLERATE_REFUSAL, on_removed);
}

/* clang-format off */
const lu_vm_step_t lu_resume_steps[] = {
	load_record,
	lu_vm_job_query_or_gone,
	end_migration,
	settle,
	lu_vm_job_go_back,
	query_new,
	take_back, /* before the guest runs, and not before: a QEMU that had to be started is started from the commit */
	cont,
	lu_vm_job_query_status,
	check_running,
	drop_fd,
	NULL,
};
/* clang-format on */

/* --- verify --- */

static int must_be_saved(struct lu_vm_job *j)
{
	if (j->have_saved && j->saved.complete)
		return 0;
	return lu_error_set(&j->error, -ENODATA, NULL, "VM %s: no state of it was saved", j->vm->name);
}

/* What came over a connection that is lost nobody knows. */
static int must_be_connected(struct lu_vm_job *j)
{
	if (lu_qmp_connected(j->vm->qmp))
		return 0;
	return lu_error_set(&j->error, -ECONNRESET, "see the log of its QEMU",
			    "VM %s: the connection to its monitor was lost since its state was saved", j->vm->name);
}

static int settle_saved(struct lu_vm_job *j)
{
	return strcmp(j->status, "finish-migrate") ? 0 : settle(j);
}

/* Whoever lets a saved guest run makes its memory newer than its state, also if he pauses it again. */
static int must_stand_saved(struct lu_vm_job *j)
{
	if (!j->vm->ran && (!strcmp(j->status, "postmigrate") || !lu_vm_job_answers(j)))
		return 0;
	return lu_error_set(&j->error, -EBUSY, "somebody else let the guest run: only one program may manage a VM",
			    "VM %s: %s since its state was saved, so that no longer fits its memory", j->vm->name,
			    !strcmp(j->status, "postmigrate") ? "it has run" : "its QEMU is not as it was");
}

static int on_devices(struct lu_vm_job *j, struct json_object *data)
{
	_cleanup_free_ char *now = NULL;
	int r = lu_probe_plugged(data, &now);

	if (r < 0 || !j->vm->plugged || !strcmp(now, j->vm->plugged))
		return r;
	return lu_error_set(&j->error, -EBUSY, "do not plug devices during an update; try again",
			    "VM %s: a device was plugged in or out since the check (now: %s; then: %s)", j->vm->name,
			    now, j->vm->plugged);
}

static int same_devices(struct lu_vm_job *j)
{
	return lu_vm_job_try(j, "qom-list", lu_json_args("path", "/machine/peripheral", NULL), LU_TOLERATE_REFUSAL,
			     on_devices);
}

/* clang-format off */
const lu_vm_step_t lu_verify_steps[] = {
	lu_vm_job_open_pkernfs,
	lu_vm_job_load_saved,
	must_be_saved,
	must_be_connected,
	lu_vm_job_query_status,
	lu_vm_job_same_process,
	settle_saved,
	must_stand_saved,
	same_devices,
	lu_disks_ask_nodes,
	lu_disks_ask_fronts,
	lu_disks_ask_edges,
	lu_disks_same,
	lu_roms_same,
	lu_vm_job_same_calls,
	NULL,
};
/* clang-format on */

/* --- replace --- */

/* clang-format off */
const lu_vm_step_t lu_replace_steps[] = {
	lu_vm_job_open_pkernfs,
	lu_vm_job_load_saved,
	must_be_saved,
	lu_vm_job_query_or_gone,
	settle_saved,
	must_stand_saved,
	lu_vm_job_go_back,
	query_new,
	take_back,
	check_running,
	NULL,
};
/* clang-format on */
