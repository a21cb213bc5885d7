/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Virtual machines as luctld sees them: a registry of definitions, and the
 * operations that carry one VM up to the jump or back. Everything that talks to
 * a QEMU is asynchronous on sd-event; any number of VMs work in parallel, each
 * has at most one operation at a time. Restoring after the jump is lu-init's,
 * early or as `lu-init --restore UUID`; here its result is read.
 *
 * The order of an update, per VM:
 *
 *	old kernel	PROBE → PREPARE → PAUSE → SAVE → VERIFY → (jump)
 *	same kernel	PROBE → PREPARE → PAUSE → SAVE → VERIFY → REPLACE → UNPREPARE	(another QEMU goes on)
 *	going back	RESUME → UNPREPARE	(from any point; each is idempotent)
 *	new kernel	lu_vm_result_read(), lu_vm_result_alive(), PROBE
 *	afterwards	lu_vm_clean()
 *
 * lu_vm_op_start() never calls the callback itself, it always comes from the
 * event loop, exactly once, except after lu_vm_op_cancel() or lu_vms_free(),
 * after which it never comes. The callback may start the next operation of the
 * same VM. It must not remove the VM. The registry owns the VMs; whoever keeps a pointer
 * to one beyond the call he got it in takes a reference (lu_vm_ref()) or keeps its uuid.
 */
#include <systemd/sd-event.h>

#include "doc-vm.h"
#include "reasons.h"
#include "store.h"

struct lu_vm;
struct lu_vms;

enum lu_vm_op {
	LU_VM_PROBE,   /* connect and judge; changes nothing, neither at the VM nor on disk */
	LU_VM_PREPARE, /* launch.json, record, state file and migration settings, while the guest runs */
	LU_VM_PAUSE,   /* QMP stop; remembers durably whether the guest ran */
	LU_VM_SAVE,    /* device state into pkernfs, verified and committed */
	LU_VM_RESUME, /* cont if PAUSE stopped it, in a new QEMU if need be; works before, during and after SAVE, and if it runs already */
	LU_VM_REPLACE, /* after SAVE: its QEMU is ended and another one started, in this kernel */
	LU_VM_VERIFY, /* after SAVE: does it still stand as it was saved? For the last moment before the jump or REPLACE */
	LU_VM_UNPREPARE, /* migration settings as they were, our files removed; a saved state that nobody runs stays */
	LU_VM_OP_MAX,
};

enum lu_vm_state {
	LU_VM_UNKNOWN, /* not probed yet */
	LU_VM_RUNNING,
	LU_VM_PAUSED,
	LU_VM_UNREACHABLE, /* nobody answers at its QMP socket */
	LU_VM_STATE_MAX,
};

/** struct lu_vm_ram - one RAM file */
struct lu_vm_ram {
	char *path;
	uint64_t size;
};

/** struct lu_vm_pty - a terminal that QEMU has opened for one of its character devices */
struct lu_vm_pty {
	char *name; /* of the device: "serial0" */
	char *path;
};

/** struct lu_vm_facts - what the last operation saw; all of it owned by the VM */
struct lu_vm_facts {
	enum lu_vm_state state;
	char run_state[32];        /* QEMU's own word for it, "internal-error"; "" if it was not asked */
	pid_t pid;                 /* of QEMU by SO_PEERCRED, 0 if unknown */
	char *qemu_version;        /* "11.1.3", or NULL */
	bool updatable;            /* verdict of PROBE */
	struct lu_reasons reasons; /* if not updatable: all of why */
	struct lu_reasons losses;  /* what its next QEMU will not have */
	char **devices;            /* PCI functions that are passed through and go on during the jump; NULL: none */
	bool stand_in;             /* iommufd stands in for its containers, which the target has to know of */
	bool confined;             /* by AppArmor, so it has to be in the next kernel */
	bool early; /* can be resumed before the real init; else luctld has it restored, and @late says why */
	char *late;
	struct lu_vm_ram *ram;
	size_t n_ram;
	struct lu_vm_pty *ptys;
	size_t n_ptys;
};

/** lu_vm_restored_t - a restore has ended; @r is 0 or a negative errno, @error says why */
typedef void (*lu_vm_restored_t)(void *userdata, int r, struct lu_error *error);

/**
 * lu_vm_restore_t - start lu-init for this VM in this kernel, with the descriptors that lu_vm_list_fds() tells
 *
 * Return: 0, then @done is called once; or a negative errno.
 */
typedef int (*lu_vm_restore_t)(void *context, struct lu_vm *vm, lu_vm_restored_t done, void *userdata,
			       struct lu_error *e);

/** struct lu_vm_domain_disk - what a disk of it is now: a snapshot or a copy may have given it another image */
struct lu_vm_domain_disk {
	char *alias;  /* "virtio-disk0" */
	char **nodes; /* QEMU's names of its image, NULL-terminated; empty: no medium */
};

/** struct lu_vm_domain - a guest that another manager, libvirt, runs, as it has noted it */
struct lu_vm_domain {
	char *name, *uuid;
	char *monitor; /* the socket that it holds */
	char *agent;   /* socket of its guest agent's channel, or NULL */
	char *memory;  /* directory that its memory files are in, or NULL */
	pid_t pid;
	bool running;
	char **devices; /* names of what it has, NULL-terminated; NULL: not known */
	struct lu_vm_domain_disk *disks;
	size_t n_disks;
	int policy;                /* enum lu_vm_policy */
	struct lu_reasons reasons; /* what speaks against it by the manager's own notes */
	struct lu_reasons losses;  /* what it will not have any more */
};

/**
 * struct lu_vm_env - where things are
 * @pkernfs: mount point, "/run/luctl/pkernfs"
 * @run: "/run/luctl"; below it resumed/UNIT
 * @restore, @restore_context: what RESUME needs to go back with passed-through devices; may be NULL
 * @domains: called when definitions were loaded: tells by lu_vms_set_domains() which guests others run; may be NULL
 * @held: does libvirt stand aside already (lu_vms_hold_domains())?
 * @any_fs: tests only: take @pkernfs for pkernfs whatever file system it is
 */
struct lu_vm_env {
	const char *pkernfs;
	const char *run;
	lu_vm_restore_t restore;
	void *restore_context;
	int (*domains)(struct lu_vms *vms, struct lu_error *e);
	bool held;
	bool any_fs;
};

/* What the operator may do about a saved state that waits. */
#define LU_VM_WAITS_HINT "luctl restore brings it up, luctl vm forget gives it up"

/* --- registry --- */

/** lu_vms_new() - an empty registry; the strings of @env are copied */
int lu_vms_new(struct lu_vms **ret, sd_event *event, const struct lu_vm_env *env);

/** lu_vms_on_change() - @changed is called when a VM has come, gone, or ended an operation; it may not call back. NULL: nobody is */
void lu_vms_on_change(struct lu_vms *vms, void (*changed)(void *context), void *context);

/** lu_vms_free() - cancels everything and frees all VMs; NULL is fine */
void lu_vms_free(struct lu_vms *vms);
DEFINE_CLEANUP(struct lu_vms *, lu_vms_free)

/**
 * lu_vms_load() - read all NAME.json of a directory (schema vm), and what waits in pkernfs
 *
 * A file that can't be used becomes an entry of its own which carries the error
 * (lu_vm_error()) and refuses every operation, so that it is shown, not
 * forgotten; the others load. Repeatable: definitions from files that are gone
 * or have changed are replaced unless an operation is under way on them; those
 * added by lu_vms_add() stay.
 *
 * A VM whose saved state waits to be restored is known whatever became of its definition: if none is left it is
 * made of what was saved, and if its name is in use it goes by its uuid. The marker that keeps its unit from
 * starting on its memory is seen to.
 *
 * Return: 0, also if files were bad and if @dir does not exist; a negative errno if @dir can't be read.
 */
int lu_vms_load(struct lu_vms *vms, const char *dir, struct lu_error *e);

/** lu_vms_changed() - 1 if a definition in @dir was added, edited or removed since it was loaded, with its file's name (free() it); 0, or a negative errno */
int lu_vms_changed(struct lu_vms *vms, const char *dir, char **ret_file);

/** lu_vms_add() - register the VM that the document @json (schema vm) defines; -EEXIST if name, uuid or qmp is taken */
int lu_vms_add(struct lu_vms *vms, const char *json, struct lu_vm **ret, struct lu_error *e);

/**
 * lu_vms_add_saved() - register the VMs that are part of update @update, or whose state waits, and that are not known yet
 * @update: may be NULL
 *
 * They are found by vm/<uuid>/saved.json in pkernfs, so VMs that were added over the bus are
 * not lost with the daemon. A damaged record becomes an entry with an error, but with its uuid.
 */
int lu_vms_add_saved(struct lu_vms *vms, const char *update, struct lu_error *e);

/** lu_vm_ref() - for who keeps a pointer over a turn of the loop: a VM may be removed or defined anew at any time */
struct lu_vm *lu_vm_ref(struct lu_vm *vm);
/** lu_vm_unref() - NULL is fine; returns NULL */
struct lu_vm *lu_vm_unref(struct lu_vm *vm);

/** lu_vm_domain_memory() - a domain's memory directory as a path in pkernfs; NULL: it is no domain, or has none there */
const char *lu_vm_domain_memory(const struct lu_vm *vm);

/** lu_vms_remove() - forget a VM (name or uuid); -ENOENT, or -EBUSY while an operation is under way */
int lu_vms_remove(struct lu_vms *vms, const char *key, struct lu_error *e);

/** lu_devices_marked() - PCI functions of this host that are marked to go on over the jump, by LU_VM_PREPARE or somebody else */
void lu_devices_marked(void (*marked)(const char *address, void *userdata), void *userdata);

/** lu_vms_find() - by name or uuid; NULL if there is none */
struct lu_vm *lu_vms_find(struct lu_vms *vms, const char *key);

/** lu_vms_first(), lu_vm_next() - in order of names; removing invalidates the iteration */
struct lu_vm *lu_vms_first(struct lu_vms *vms);
struct lu_vm *lu_vm_next(struct lu_vm *vm);
size_t lu_vms_count(struct lu_vms *vms);

/* --- guests of libvirt --- */

void lu_vm_domain_clear(struct lu_vm_domain *d);

/**
 * lu_vms_set_domains() - these guests are run by libvirt now; those that were told before and are not among them are forgotten
 * @list: its members are taken over
 *
 * Each becomes a VM without a definition. One on which an operation is under way stays as it is.
 */
int lu_vms_set_domains(struct lu_vms *vms, struct lu_vm_domain *list, size_t n);

/** lu_vms_hold_domains() - has libvirt stepped aside, so that their monitors are ours? */
void lu_vms_hold_domains(struct lu_vms *vms, bool held);
bool lu_vms_domains_held(const struct lu_vms *vms);

bool lu_vm_is_domain(const struct lu_vm *vm);
/** lu_vm_domain() - what libvirt has noted of it; without a uuid if it is no domain */
const struct lu_vm_domain *lu_vm_domain(const struct lu_vm *vm);

/* --- one VM --- */

const char *lu_vm_name(const struct lu_vm *vm);
const char *lu_vm_uuid(const struct lu_vm *vm); /* may be NULL for an entry with an error */
const char *lu_vm_qmp(const struct lu_vm *vm);  /* NULL for an entry with an error */
const char *lu_vm_unit(const struct lu_vm *vm); /* NULL if it has none */
/** lu_vm_agent() - socket of the guest agent that is to set the guest's clock; NULL: the clock is left as it is */
const char *lu_vm_agent(const struct lu_vm *vm);

/** lu_vm_policy() - must it go along? One whose definition can't be read must */
enum lu_vm_policy lu_vm_policy(const struct lu_vm *vm);
/** lu_vm_max_blackout() - the longest that will do for it, in microseconds; 0: any */
uint64_t lu_vm_max_blackout(const struct lu_vm *vm);

/** lu_vm_continued() - did RESUME let the guest run on in its old QEMU, in the update that is under way? */
bool lu_vm_continued(const struct lu_vm *vm);
/** lu_vm_stored() - is it known by its record in pkernfs alone? */
bool lu_vm_stored(const struct lu_vm *vm);
/** lu_vm_listens() - does anybody listen at its socket? Asks nothing; not for a VM whose monitor is in use here */
bool lu_vm_listens(const struct lu_vm *vm);
const char *lu_vm_origin(const struct lu_vm *vm); /* file that defines it, or NULL if from the bus */

/** lu_vm_error() - why the definition can't be used, NULL if it can */
const struct lu_error *lu_vm_error(const struct lu_vm *vm);

/** lu_vm_facts() - what the last PROBE that has ended found, and what was done since; never NULL */
const struct lu_vm_facts *lu_vm_facts(const struct lu_vm *vm);

/** lu_vm_set_index() - number of the VM in the flight recorder (trace.h); to be set before PREPARE, else 0xffff */
void lu_vm_set_index(struct lu_vm *vm, unsigned int index);

/** lu_vm_set_here() - does the kernel stay in the update that is coming? Then what keeps from another one only is no reason. Before PREPARE */
void lu_vm_set_here(struct lu_vm *vm, bool here);

/** lu_vm_set_bad_pages() - its memory was looked through for pages that have gone bad, when there were so many in pkernfs; UINT64_MAX: it was not */
void lu_vm_set_bad_pages(struct lu_vm *vm, uint64_t pages);

const char *lu_vm_op_to_string(enum lu_vm_op op);          /* "probe", … */
const char *lu_vm_state_to_string(enum lu_vm_state state); /* as in schema vm-info; "unreachable" for unknown */

/**
 * lu_vm_done_t - an operation has ended
 * @r: 0 or a negative errno; PROBE: 0 also for a VM that can't be updated (facts.updatable, facts.reasons),
 *	negative only if it could not be judged at all (it does not answer)
 * @e: the error in words if @r is negative, NULL otherwise; valid during the call
 */
typedef void (*lu_vm_done_t)(struct lu_vm *vm, int r, const struct lu_error *e, void *userdata);

/**
 * lu_vm_op_start() - start an operation
 * @update: UUID of the update; may be NULL for PROBE; written into the VM's record by PREPARE and
 *	compared by all others, so that a record left by another update is never acted on
 * @timeout_usec: limit for the whole operation, 0: the operation's own default
 *
 * Return: 0; -EBUSY if one is under way; -ENOMEM. All other failures arrive through @done.
 */
int lu_vm_op_start(struct lu_vm *vm, enum lu_vm_op op, const char *update, uint64_t timeout_usec, lu_vm_done_t done,
		   void *userdata);

/** lu_vm_op_cancel() - stop the operation where it is, without a callback; RESUME and UNPREPARE bring the VM back */
void lu_vm_op_cancel(struct lu_vm *vm);

bool lu_vm_op_busy(const struct lu_vm *vm);

/** lu_vm_disconnect() - give the monitor back (QMP admits one client); a later operation connects again */
void lu_vm_disconnect(struct lu_vm *vm);

/* --- passed-through devices --- */

/** lu_vm_list_fds() - 1 with the argument of lu-init's --fds (free() it) if descriptors of the VM are held here, else 0 */
int lu_vm_list_fds(const struct lu_vm *vm, char **ret);

/** lu_vm_old_program() - 1 with the argument of lu-init's --exe (free() it) if the program of the QEMU that was ended is held here, else 0 */
int lu_vm_old_program(const struct lu_vm *vm, char **ret);

/** lu_vms_take_stored() - a descriptor that systemd kept for a daemon before this one; 1 if it was taken over */
int lu_vms_take_stored(struct lu_vms *vms, int fd, const char *name);

/** lu_vm_let_go() - close what is held of the VM, here and at systemd */
void lu_vm_let_go(struct lu_vm *vm);

/* --- after the jump --- */

/** lu_vm_result_read() - vm/<uuid>/result.json (store.h) as written for @update; -ENOENT if nobody has touched the VM since the jump */
int lu_vm_result_read(struct lu_vm *vm, const char *update, struct lu_result *ret, struct lu_error *e);

/**
 * lu_vm_leave() - it ends with this kernel: nothing of the update shall be left about it for the next one
 *
 * For a VM that RESUME and UNPREPARE were tried on, with whatever success. Takes away what UNPREPARE could not:
 * marks of its devices, its folder. -EBUSY if a saved state of it waits, which is not ours to give up.
 */
int lu_vm_leave(struct lu_vm *vm, struct lu_error *e);

/** lu_vm_result_alive() - is the process of @result, of this boot, still there (pid and start time)? */
bool lu_vm_result_alive(const struct lu_result *result);

/** lu_vm_waits() - does a saved state of it wait that may still be loaded (or can't be judged)? @ret_devices: with devices that go on; may be NULL */
bool lu_vm_waits(struct lu_vm *vm, bool *ret_devices);

/**
 * lu_vm_saved_by() - the update that saved the state that waits; free() it. NULL if none waits, or its record can't be read
 */
char *lu_vm_saved_by(struct lu_vm *vm);

/** lu_vm_taken_up() - has a QEMU that still lives taken its saved state up, by what its result says? */
bool lu_vm_taken_up(struct lu_vm *vm);

/**
 * struct lu_vm_journal - a VM's journal of calls, for others to read
 * @fd: a copy in memory that nobody can change
 * @boot_id, @calls, @sum: of the one that was committed; no boot id: none is
 */
struct lu_vm_journal {
	int fd;
	char boot_id[37];
	uint64_t calls, sum;
};

/** lu_vm_open_journal() - the one that waits, or that the last update executed; -ENOENT: there is none */
int lu_vm_open_journal(struct lu_vm *vm, struct lu_vm_journal *ret, struct lu_error *e);

/** lu_vm_forget() - by the operator's word: give up the saved state of @vm and all that is held for it; -ENODATA if none waits */
int lu_vm_forget(struct lu_vm *vm, struct lu_error *e);

/** lu_vm_keeper() - the process that keeps its devices after a restore that failed: it listens and serves who says a word, so we say none; 0: none */
pid_t lu_vm_keeper(const struct lu_vm *vm);

/** lu_memory_user() - who has a file of a directory of memory files mapped; 0: nobody. Return: 0 or a negative errno */
int lu_memory_user(int dir_fd, pid_t *ret);

/** lu_vm_process_lives() - the process that has the guest, as far as is known, or 0 */
pid_t lu_vm_process_lives(const struct lu_vm *vm);

/** lu_vm_clean() - remove the VM's directory in pkernfs, not its RAM; to be called once its report is written */
int lu_vm_clean(struct lu_vm *vm, struct lu_error *e);

/** lu_vm_unmark() - remove /run/luctl/resumed/UNIT, so that the unit may be started again; when its QEMU has ended */
int lu_vm_unmark(struct lu_vm *vm, struct lu_error *e);
