// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What SAVE and RESUME do otherwise for a VM with passed-through devices, and how another QEMU takes
 * a guest over in this kernel.
 *
 * SAVE	QEMU tells its descriptors and its state (transfer.h). Then, with the guest
 *	standing still, the kernel is asked what is set up behind them, which becomes
 *	the journal of calls and devices.json (daemon/devices); QEMU's memfds (firmware, video memory) go into a session of
 *	the live update orchestrator, so that their pages stay what devices may write to.
 *	With files of a legacy container among them neither is done, and can't be: only this kernel can go on with
 *	those, and they go as they are to the next QEMU, which gives its own addresses to what is mapped
 *	(VFIO_UPDATE_VADDR).
 * VERIFY	asks the kernel again: does the same come of it?
 * RESUME	a QEMU that has gone through cpr-transfer has given its devices' interrupts away and
 *	dies if it is continued (CPR: vfio_cpr_pci_notifier()). So it is ended and the same guest goes
 *	on in a new one, which gets the descriptors that we hold: no device is closed in between.
 *	systemd holds them too (sd_notify: FDSTORE), for the daemon that comes after one that died, and with
 *	them what it needs to receive the rest of the state (transfer.h).
 * REPLACE	does the same with any VM. The program of the QEMU that is ended is held like the descriptors: it is
 *	what is started if the one that stands at its path by now does not take the guest over.
 *
 * The devices do DMA all the time; what they write is in the guest's memory whichever QEMU has it.
 */
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "devices.h"
#include "luo.h"
#include "vm-internal.h"

#define POLL_USEC 2000u
#define SILENCE_TRIES 100u /* as long as a QEMU may take to end */
#define SILENCE_USEC 20000u
#define LUO_TRIES 500u /* times POLL_USEC: others open it for moments */

/*
 * @transfer: NULL in a daemon that has @fds from its predecessor
 * @session: its memfds are preserved while it is open
 * @fds: the CPR state in its exec form and then its descriptors, as lu-init's --fds wants them
 * @kept: from the predecessor, until a transfer goes on with it
 */
struct lu_passthrough {
	struct lu_transfer *transfer;
	struct lu_luo session;
	struct lu_launch launch; /* says which numbers the files get */
	int *fds;
	size_t n_fds;
	int kept[LU_TRANSFER_FDS];
	int exe_fd, pidfd; /* only among those that no VM has claimed */
	char uuid[37];
	struct lu_passthrough *next; /* among those that no VM has claimed */
};

void lu_passthrough_free(struct lu_passthrough *p)
{
	if (!p)
		return;
	lu_passthrough_free(p->next);
	lu_transfer_free(p->transfer);
	lu_luo_close(&p->session);
	lu_launch_clear(&p->launch);
	for (size_t i = 0; i < p->n_fds; i++)
		close(p->fds[i]);
	for (size_t i = 0; i < LU_TRANSFER_FDS; i++)
		closep(&p->kept[i]);
	closep(&p->exe_fd);
	closep(&p->pidfd);
	free(p->fds);
	free(p);
}

static struct lu_passthrough *passthrough_new(const char *uuid)
{
	struct lu_passthrough *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->session = LU_LUO_INIT;
	for (size_t i = 0; i < LU_TRANSFER_FDS; i++)
		p->kept[i] = -EBADF;
	p->exe_fd = p->pidfd = -EBADF;
	snprintf(p->uuid, sizeof(p->uuid), "%s", uuid);
	return p;
}

int lu_vm_list_fds(const struct lu_vm *vm, char **ret)
{
	const struct lu_passthrough *p = vm->passthrough;
	char *text = NULL;
	size_t size;
	FILE *f;

	if (!p || p->n_fds == 0)
		return 0;
	f = open_memstream(&text, &size);
	if (!f)
		return -ENOMEM;
	fprintf(f, "%d", (int)getpid());
	for (size_t i = 0; i < p->n_fds; i++)
		fprintf(f, "%c%d", i == 0 ? ':' : ',', p->fds[i]);
	if (fclose(f) != 0) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	return 1;
}

int lu_vm_old_program(const struct lu_vm *vm, char **ret)
{
	if (vm->exe_fd < 0)
		return 0;
	return asprintf(ret, "%d:%d", (int)getpid(), vm->exe_fd) < 0 ? -ENOMEM : 1;
}

/*
 * --- systemd's store: an entry "cpr-UUID-N" for each of fds; by their names what a transfer needs, and the
 * program of a QEMU that was ended, and the process (process.c) ---
 */

#define STORE_PREFIX "cpr-"
#define STORE_EXE "exe"
#define STORE_PIDFD "process"

static const char *const kept_names[LU_TRANSFER_FDS] = { "state", "out", "in", "listen", "main" };

void lu_vm_store_fd(const char *uuid, const char *what, int fd)
{
	char text[128];

	snprintf(text, sizeof(text), "%s\nFDNAME=" STORE_PREFIX "%s-%s%s", fd >= 0 ? "FDSTORE=1" : "FDSTOREREMOVE=1",
		 uuid, what, fd >= 0 ? "\nFDPOLL=0" : "");
	/* without systemd nobody starts a second daemon either */
	(void)sd_pid_notify_with_fds(0, 0, text, fd >= 0 ? &fd : NULL, fd >= 0 ? 1 : 0);
}

static void store_number(const char *uuid, size_t n, int fd)
{
	char number[24];

	snprintf(number, sizeof(number), "%zu", n);
	lu_vm_store_fd(uuid, number, fd);
}

void lu_passthrough_claim(struct lu_vms *vms, struct lu_vm *vm)
{
	for (struct lu_passthrough **p = &vms->stored; *p && vm->def.uuid; p = &(*p)->next) {
		struct lu_passthrough *found = *p;

		if (strcmp(found->uuid, vm->def.uuid) != 0)
			continue;
		*p = found->next;
		found->next = NULL;
		vm->exe_fd = steal_fd(&found->exe_fd);
		vm->pidfd = steal_fd(&found->pidfd);
		/* a VM without devices has nothing else here */
		if (found->n_fds > 0 || found->kept[LU_TRANSFER_STATE] >= 0)
			vm->passthrough = found;
		else
			lu_passthrough_free(found);
		return;
	}
}

void lu_passthrough_give_back(struct lu_vms *vms, struct lu_vm *vm)
{
	struct lu_passthrough *p = vm->passthrough;

	if (!p && vm->exe_fd < 0 && vm->pidfd < 0)
		return;
	p = p ?: passthrough_new(vm->def.uuid);
	if (!p)
		return;
	vm->passthrough = NULL;
	p->exe_fd = steal_fd(&vm->exe_fd);
	p->pidfd = steal_fd(&vm->pidfd);
	p->next = vms->stored;
	vms->stored = p;
}

/* What is kept for the VM, made if there is nothing yet. */
static struct lu_passthrough *stored_for(struct lu_vms *vms, const char *uuid)
{
	struct lu_passthrough *p = vms->stored;

	while (p && strcmp(p->uuid, uuid) != 0)
		p = p->next;
	if (p)
		return p;
	p = passthrough_new(uuid);
	if (p) {
		p->next = vms->stored;
		vms->stored = p;
	}
	return p;
}

/* The one that has this name, NULL: it is none of them. */
static int *named(struct lu_passthrough *p, const char *name)
{
	for (size_t i = 0; i < LU_TRANSFER_FDS; i++)
		if (!strcmp(name, kept_names[i]))
			return &p->kept[i];
	if (!strcmp(name, STORE_PIDFD))
		return &p->pidfd;
	return strcmp(name, STORE_EXE) ? NULL : &p->exe_fd;
}

int lu_vms_take_stored(struct lu_vms *vms, int fd, const char *name)
{
	struct lu_passthrough none = { 0 }, *p;
	char uuid[37];
	unsigned int n = 0;
	int end = 0, *fds;

	if (sscanf(name, STORE_PREFIX "%36[0-9a-fA-F-]-%n", uuid, &end) != 1 || end == 0)
		return 0;
	name += end;
	if (!named(&none, name) && (sscanf(name, "%u%n", &n, &end) != 1 || name[end] || n > LU_CPR_FDS_MAX))
		return 0;
	p = stored_for(vms, uuid);
	if (!p)
		return -ENOMEM;
	if (named(p, name)) {
		closep(named(p, name));
		*named(p, name) = fd;
		return 1;
	}
	if (n >= p->n_fds) {
		fds = reallocarray(p->fds, n + 1, sizeof(*fds));
		if (!fds)
			return -ENOMEM;
		for (size_t i = p->n_fds; i <= n; i++)
			fds[i] = -EBADF;
		p->fds = fds;
		p->n_fds = n + 1;
	}
	p->fds[n] = fd;
	return 1;
}

void lu_vm_let_go(struct lu_vm *vm)
{
	for (size_t i = 0; vm->passthrough && i < vm->passthrough->n_fds; i++)
		store_number(vm->def.uuid, i, -EBADF);
	for (size_t i = 0; vm->passthrough && i < LU_TRANSFER_FDS; i++)
		lu_vm_store_fd(vm->def.uuid, kept_names[i], -EBADF);
	lu_passthrough_free(vm->passthrough);
	vm->passthrough = NULL;
	if (vm->exe_fd >= 0)
		lu_vm_store_fd(vm->def.uuid, STORE_EXE, -EBADF);
	closep(&vm->exe_fd);
	vm->exe_fd = -EBADF;
	lu_vm_drop_process(vm);
}

/* --- save --- */

/* From the moment that we have the descriptors nobody else can let this guest run. */
static int hold(void *context, struct lu_error *e)
{
	struct lu_passthrough *p = context;
	struct lu_cpr *cpr = lu_transfer_cpr(p->transfer);
	_cleanup_free_ int *numbers = calloc(cpr->n_fds ?: 1, sizeof(*numbers));
	int r;

	p->fds = calloc(cpr->n_fds + 1, sizeof(*p->fds));
	if (!numbers || !p->fds)
		return -ENOMEM;
	r = lu_cpr_number(cpr, &p->launch, numbers, e);
	if (r >= 0)
		r = lu_cpr_write_exec(cpr, numbers, &p->fds[0], e);
	if (r < 0)
		return r;
	p->n_fds = 1;
	for (size_t i = 0; i < cpr->n_fds; i++) {
		p->fds[p->n_fds] = fcntl(cpr->fds[i].fd, F_DUPFD_CLOEXEC, 3);
		if (p->fds[p->n_fds] < 0)
			return -errno;
		p->n_fds++;
	}
	for (size_t i = 0; i < p->n_fds; i++)
		store_number(p->uuid, i, p->fds[i]);
	return 0;
}

static void keep(void *context, enum lu_transfer_fd which, int fd)
{
	struct lu_passthrough *p = context;

	lu_vm_store_fd(p->uuid, kept_names[which], fd);
}

static int on_migrate(struct lu_vm_job *j, struct json_object *data)
{
	return 0;
}

static void socket_dir(const struct lu_vm_job *j, char ret[static 108])
{
	snprintf(ret, 108, "%s/cpr-%s", j->vm->vms->run, j->vm->def.uuid);
}

int lu_vm_job_transfer(struct lu_vm_job *j)
{
	_cleanup_close_ int fd = openat(j->dir_fd, "state", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct lu_transfer_keeper keeper = { .cpr = hold, .keep = keep };
	struct lu_passthrough *p;
	struct json_object *args;
	struct ucred peer;
	char dir[108];
	int r;

	if (fd < 0)
		return lu_error_set(&j->error, -errno, NULL, "pkernfs: cannot open the state file of VM %s: %s",
				    j->vm->name, strerror(errno));
	r = lu_qmp_peer(j->vm->qmp, &peer);
	if (r < 0)
		return r;
	lu_passthrough_free(j->vm->passthrough);
	p = j->vm->passthrough = passthrough_new(j->vm->def.uuid);
	if (!p)
		return -ENOMEM;
	r = lu_launch_read(j->dir_fd, &p->launch, &j->error);
	if (r < 0)
		return r;
	keeper.context = p;
	socket_dir(j, dir);
	r = lu_transfer_new(&p->transfer, j->vm->vms->event, dir, peer.uid, peer.gid, peer.pid, fd, &keeper, &j->error);
	if (r < 0)
		return r;
	args = lu_transfer_args(p->transfer);
	return args ? lu_vm_job_command(j, "migrate", args, on_migrate) : -ENOMEM;
}

/* QEMU may be done before we have read everything. */
int lu_vm_job_transferred(struct lu_vm_job *j)
{
	struct lu_passthrough *p = j->vm->passthrough;
	int r;

	if (!p)
		return 0;
	r = lu_transfer_done(p->transfer, &j->error);
	return r < 0 ? r : r > 0 ? 0 : lu_vm_job_again(j, POLL_USEC);
}

static int preserve(struct lu_passthrough *p, const struct lu_devices *d, struct lu_error *e)
{
	struct lu_cpr *cpr = lu_transfer_cpr(p->transfer);
	int r = 0;

	for (size_t i = 0; r >= 0 && i < d->n_memories; i++) {
		int entry = lu_devices_memory_fd(d, i);

		if (d->memories[i].kind == LU_MEMORY_MEMFD)
			r = entry < 0 ? entry :
					lu_luo_preserve(&p->session, d->memories[i].token, cpr->fds[entry].fd, e);
	}
	return r;
}

static int collect(struct lu_vm_job *j, struct lu_devices *ret)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
			    sys = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct lu_collect_from from = {
		.proc_fd = proc,
		.sys_fd = sys,
		.pkernfs_fd = j->pkernfs_fd,
		.pkernfs = j->vm->vms->pkernfs,
		.launch = &j->launch,
		.other = lu_vm_other_owner,
		.other_context = j->vm,
		.session = j->vm->passthrough->session.name,
		/* in this kernel devices keep what they have */
		.bad_pages = j->vm->here ? UINT64_MAX : j->vm->bad_pages,
	};

	if (proc < 0 || sys < 0)
		return -errno;
	return lu_devices_collect(lu_transfer_cpr(j->vm->passthrough->transfer), &from, ret, &j->error);
}

/* 1 while somebody else has the device open. */
static int open_session(struct lu_vm_job *j)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_close_ int device = lu_luo_open(LU_LUO_DEVICE, 0, &e);

	if (device == -EBUSY && j->luo_tries++ < LUO_TRIES)
		return lu_vm_job_again(j, POLL_USEC);
	if (device >= 0)
		return lu_luo_create(device, j->vm->def.uuid, &j->vm->passthrough->session, &j->error);
	lu_error_move(&j->error, &e);
	return device;
}

int lu_vm_job_note_devices(struct lu_vm_job *j)
{
	_cleanup_(lu_devices_clear) struct lu_devices devices = { 0 };
	struct lu_passthrough *p = j->vm->passthrough;
	uint64_t size;
	uint32_t crc;
	int r;

	if (!p)
		return 0;
	/* the kernel keeps what is set up, and no other one will set it up */
	if (j->vm->here && lu_cpr_has_container(lu_transfer_cpr(p->transfer)))
		return 0;
	r = open_session(j);
	if (r > 0)
		return r;
	if (r >= 0)
		r = lu_launch_read(j->dir_fd, &j->launch, &j->error);
	if (r >= 0)
		r = collect(j, &devices);
	if (r >= 0)
		r = preserve(p, &devices, &j->error);
	if (r >= 0)
		r = lu_devices_write(j->dir_fd, j->vm->def.uuid, &devices, &size, &crc, &j->error);
	if (r < 0)
		return r;
	j->saved.devices_size = size;
	j->saved.devices_crc32 = crc;
	return 0;
}

/*
 * Right before the jump the kernel is asked once more. Whoever has changed what is set up since the journal was written
 * would have the next kernel set up something else than what the devices use by then.
 */
int lu_vm_job_same_calls(struct lu_vm_job *j)
{
	_cleanup_(lu_devices_clear) struct lu_devices now = { 0 };
	const struct lu_passthrough *p = j->vm->passthrough;
	int r;

	if (!p || j->saved.devices_size == 0)
		return 0;
	if (!p->transfer)
		return lu_error_set(&j->error, -ENODATA, "start the update again",
				    "VM %s: what it has open is not known here any more", j->vm->name);
	r = lu_launch_read(j->dir_fd, &j->launch, &j->error);
	if (r >= 0)
		r = collect(j, &now);
	if (r >= 0)
		r = lu_devices_still(j->dir_fd, j->vm->def.uuid, j->saved.devices_size,
				     (uint32_t)j->saved.devices_crc32, &now, &j->error);
	return r;
}

/* --- resume --- */

static int set_status(struct lu_vm_job *j, const char *status)
{
	free(j->status);
	j->status = strdup(status);
	return j->status ? 0 : -ENOMEM;
}

/*
 * Nobody answers. A QEMU that is ending is given the time for it. One that lives on without a monitor may have let
 * the guest run; only if it gave its devices away it has not, for it can't.
 */
static int on_silence(struct lu_vm_job *j)
{
	struct lu_vm *vm = j->vm;

	if (!lu_vm_lives(vm))
		return set_status(j, "gone");
	if (j->tries++ < SILENCE_TRIES)
		return lu_vm_job_again(j, SILENCE_USEC);
	if (vm->passthrough && vm->passthrough->n_fds > 0 && j->op != LU_VM_REPLACE)
		return set_status(j, "silent");
	vm->facts.state = LU_VM_UNREACHABLE;
	return lu_error_set(
		&j->error, -EHOSTUNREACH,
		"if that process does not run the guest, end it, then luctl restore; its saved state is kept",
		"VM %s: nobody answers at %s, but its QEMU, process %d, lives", vm->name, vm->def.qmp,
		(int)lu_vm_process(vm));
}

static int on_status(struct lu_vm_job *j, struct json_object *data)
{
	return data ? set_status(j, lu_member_string(data, "status") ?: "") : on_silence(j);
}

/* An earlier attempt may have ended QEMU already; what was committed can be taken up by another one. */
int lu_vm_job_query_or_gone(struct lu_vm_job *j)
{
	return j->vm->passthrough || (j->have_saved && j->saved.complete) ?
		       lu_vm_job_try(j, "query-status", NULL, LU_TOLERATE_DEATH, on_status) :
		       lu_vm_job_query_status(j);
}

bool lu_vm_job_answers(const struct lu_vm_job *j)
{
	return strcmp(j->status, "gone") != 0 && strcmp(j->status, "silent") != 0;
}

/* In place of a daemon that died while it received. Returns 1 while there is something to wait for. */
static int receive_rest(struct lu_vm_job *j)
{
	struct lu_passthrough *p = j->vm->passthrough;
	bool alive = lu_vm_job_answers(j) && lu_vm_job_note_peer(j) >= 0;
	char dir[108];
	int r = 0;

	if (!p->transfer && p->kept[LU_TRANSFER_STATE] >= 0) {
		socket_dir(j, dir);
		r = lu_transfer_resume(&p->transfer, j->vm->vms->event, dir, alive ? j->vm->facts.pid : 0, p->kept,
				       &j->error);
	}
	if (r < 0 || !p->transfer)
		return r;
	r = lu_transfer_done(p->transfer, &j->error);
	return r < 0 ? r : r > 0 ? 0 : lu_vm_job_again(j, POLL_USEC);
}

static bool must_go_back(const struct lu_vm_job *j)
{
	const struct lu_passthrough *p = j->vm->passthrough;
	bool gone = !lu_vm_job_answers(j);

	if (j->op == LU_VM_REPLACE)
		return true;
	if (!p)
		return gone && j->have_saved && j->saved.complete;
	return p->n_fds > 0 && (gone || !strcmp(j->status, "postmigrate"));
}

/* The job may end before the restore does, by its time limit. */
struct lu_back {
	struct lu_vm_job *job;
};

void lu_vm_job_forget_back(struct lu_vm_job *j)
{
	if (j->back)
		j->back->job = NULL;
	j->back = NULL;
}

static void on_restored(void *userdata, int r, struct lu_error *error)
{
	struct lu_back *back = userdata;
	struct lu_vm_job *j = back->job;

	free(back);
	if (!j)
		return;
	j->back = NULL;
	if (r < 0)
		lu_error_set(&j->error, r, error ? error->hint : NULL, "%s",
			     error && error->what ? error->what : strerror(-r));
	j->vm->facts.state = LU_VM_UNKNOWN;
	j->went_back = r >= 0;
	if (j->went_back)
		lu_vm_drop_process(j->vm);
	lu_vm_job_continue(j, r);
}

/* Before it is ended: by now another program may stand at its path. Without it there is one try less. */
static void hold_program(struct lu_vm_job *j)
{
	char path[32];

	if (j->vm->exe_fd >= 0 || !strcmp(j->status, "gone"))
		return;
	if (lu_vm_job_answers(j) && lu_vm_job_note_peer(j) < 0)
		return;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)j->vm->facts.pid);
	j->vm->exe_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (j->vm->exe_fd >= 0)
		lu_vm_store_fd(j->vm->def.uuid, STORE_EXE, j->vm->exe_fd);
}

/* A guest's memory takes its time to be unmapped, and others wait for their turn: 1 while it has not ended. */
static int wait_for_end(struct lu_vm_job *j)
{
	if (poll(&(struct pollfd){ .fd = j->ending_fd, .events = POLLIN }, 1, 0) == 1)
		return 0;
	return lu_vm_job_again(j, POLL_USEC);
}

static int kill_old(struct lu_vm_job *j)
{
	_cleanup_close_ int fd = -EBADF;

	if (j->ending_fd >= 0)
		return wait_for_end(j);
	if (!strcmp(j->status, "gone"))
		return 0;
	if (lu_vm_job_answers(j) && (lu_vm_job_note_peer(j) < 0 || j->vm->facts.pid <= 0))
		return -ESRCH;
	/* the one that is silent, or that was prepared, by the descriptor that is held of it */
	if (!lu_vm_job_answers(j) || lu_vm_process(j->vm) == j->vm->facts.pid)
		fd = j->vm->pidfd >= 0 ? fcntl(j->vm->pidfd, F_DUPFD_CLOEXEC, 3) : pidfd_open(lu_vm_process(j->vm), 0);
	else
		fd = pidfd_open(j->vm->facts.pid, 0);
	if (fd < 0)
		return errno == ESRCH ? 0 : -errno;
	if (pidfd_send_signal(fd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return -errno;
	j->ending_fd = steal_fd(&fd);
	return wait_for_end(j);
}

/* Its own, and its TPM's, which may end with this QEMU. */
static int mark_units(struct lu_vm_job *j)
{
	_cleanup_(lu_launch_clear) struct lu_launch launch = { 0 };

	(void)lu_launch_read(j->dir_fd, &launch, NULL);
	return lu_marker_write(j->vm->vms->run, j->vm->def.unit, launch.tpm ? launch.tpm->unit : NULL, &j->error);
}

/*
 * The state is whole, so it is made a commit if it is none yet: lu-init takes nothing else. The
 * unit is marked first, since it must not start a QEMU when it sees the old one end.
 */
int lu_vm_job_go_back(struct lu_vm_job *j)
{
	int r = 0;

	if (!must_go_back(j))
		return 0;
	if (!j->vm->vms->restore)
		return -EOPNOTSUPP;
	/* somebody let it run after it was saved, and then it ended: nobody shall take up what was */
	if (j->vm->ran) {
		j->saved.complete = false;
		if (j->have_saved)
			(void)lu_vm_job_write_saved(j);
		return lu_error_set(&j->error, -ESTALE, "start the guest afresh from its disks",
				    "VM %s: it has run since its state was saved, so that no longer fits its memory",
				    j->vm->name);
	}
	if (!j->saved.complete)
		r = receive_rest(j);
	if (r > 0)
		return r;
	if (r >= 0 && !j->saved.complete && !j->vm->passthrough->transfer)
		return lu_error_set(&j->error, -ENODATA, "start the guest afresh from its disks",
				    "VM %s: its QEMU gave its devices away, but its state did not arrive", j->vm->name);
	if (r >= 0 && !j->saved.complete)
		r = lu_vm_job_commit(j);
	if (r > 0)
		return r;
	if (r >= 0 && j->vm->def.unit && j->ending_fd < 0)
		r = mark_units(j);
	if (r >= 0) {
		hold_program(j);
		r = kill_old(j);
		if (r > 0)
			return r;
	}
	if (r >= 0 && j->vm->pidfd >= 0 && lu_vm_lives(j->vm))
		r = lu_error_set(&j->error, -EBUSY, "only one program may manage a VM",
				 "VM %s: its QEMU, process %d, lives, and so does another one, process %d", j->vm->name,
				 (int)lu_vm_process(j->vm), (int)j->vm->facts.pid);
	if (r < 0)
		return r;
	lu_qmp_close(j->vm->qmp);
	j->back = calloc(1, sizeof(*j->back));
	if (!j->back)
		return -ENOMEM;
	j->back->job = j;
	r = j->vm->vms->restore(j->vm->vms->restore_context, j->vm, on_restored, j->back, &j->error);
	if (r >= 0)
		return 1;
	free(j->back);
	j->back = NULL;
	return r;
}
