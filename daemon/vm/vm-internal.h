/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Shared by the files of daemon/vm only. */
#include <json-c/json.h>

#include "client.h"
#include "launch.h"
#include "store.h"
#include "transfer.h"
#include "vm.h"

struct lu_vm_job;
struct lu_back;
struct lu_passthrough;

struct lu_vm {
	struct lu_vms *vms;
	unsigned int refs; /* one is the registry's */
	struct lu_vm *next;
	char *name;           /* of the definition, or of the bad file */
	struct lu_vm_def def; /* empty if @error is set */
	struct lu_error error;
	char *origin;
	char *text;                 /* the definition as read, to see a change */
	bool seen;                  /* by the load that is under way */
	bool stored;                /* known by its record in pkernfs alone: a definition takes its place */
	struct lu_vm_domain domain; /* of libvirt; no uuid: it is none */
	bool defined_twice;         /* it has a definition, and is a guest of libvirt, too */
	unsigned int index;
	bool here;          /* the kernel stays */
	uint64_t bad_pages; /* of memory in pkernfs, when this VM's was looked through; UINT64_MAX: it was not */
	struct lu_vm_facts facts;
	struct lu_vm_facts before; /* while it is being probed: what others are told until that has ended */
	bool probing;
	struct lu_qmp *qmp;
	struct lu_vm_job *job;
	char *machine;                /* versioned machine type, by PROBE */
	bool stopped;                 /* PAUSE stopped the guest, RESUME has not let it run yet */
	bool continued;               /* RESUME let it run on */
	uint64_t pause_tsc;           /* when */
	uint64_t pause_realtime_usec; /* the same on CLOCK_REALTIME */
	int64_t fdset;                /* the state file in QEMU, by SAVE; -1: none */
	int pidfd;                    /* its QEMU, from PREPARE on; -EBADF: not known */
	pid_t pidfd_pid;              /* 0: @pidfd is from a daemon before this one */
	bool ran;                     /* QEMU has said that the guest runs, since PAUSE */
	char *plugged;                /* the devices that PROBE found, to see a change */
	char *blocks;                 /* the same of what is beneath its disks */
	char **argv;                  /* by PROBE: the next QEMU's words, if they are not its own (disks.c, roms.c) */
	char *firmware;         /* by PROBE: the file that the next QEMU takes, for a process like it; may be NULL */
	uint64_t firmware_size; /* of what it has read; 0: no such file matters */
	int exe_fd;             /* program of a QEMU that was ended for another one; until UNPREPARE */
	struct lu_passthrough *passthrough; /* by SAVE, if devices are passed through; until UNPREPARE */
};

struct lu_vms {
	sd_event *event;
	char *pkernfs;
	char *run;
	bool any_fs;
	lu_vm_restore_t restore;
	void *restore_context;
	int (*domains)(struct lu_vms *vms, struct lu_error *e);
	bool held; /* libvirt has stepped aside */
	void (*changed)(void *context);
	void *changed_context;
	struct lu_passthrough *stored; /* from systemd, of VMs that are not known yet */
	struct lu_vm *first;           /* by name */
};

/*
 * An operation is a list of steps. A step returns 0 to go on with the next, 1 if
 * it waits (a command's reply, a timer), or a negative errno. What it waits for calls
 * its handler, which returns the same. After the last step the job has succeeded.
 */
typedef int (*lu_vm_step_t)(struct lu_vm_job *j);
typedef int (*lu_vm_reply_t)(struct lu_vm_job *j, struct json_object *data);

struct lu_vm_job {
	struct lu_vm *vm;
	enum lu_vm_op op;
	const lu_vm_step_t *steps;
	const lu_vm_step_t *then; /* further ones when these are done, or NULL */
	size_t step;
	char update[37]; /* "" if none was given */
	int ending_fd;   /* pidfd of a QEMU that was killed and has not ended yet */
	unsigned int luo_tries;
	uint64_t deadline_usec;
	struct lu_error error;
	lu_vm_done_t done;
	void *userdata;
	sd_event_source *timer; /* the whole operation's limit */
	sd_event_source *again; /* the present step's pause */
	sd_event_source *defer; /* first step, or the end */
	lu_vm_reply_t reply;    /* of the command that is under way */
	unsigned int tolerant;  /* LU_TOLERATE_*: then reply gets NULL */
	int result;
	bool ended;

	/* what steps leave for later ones; all freed with the job */
	struct lu_saved saved;
	bool have_saved;
	struct lu_launch launch;
	char *status;                                                 /* query-status, as of the last query */
	struct json_object *names;                                    /* probe: objects still to be looked at */
	struct json_object *cpus;                                     /* prepare: query-cpus-fast */
	struct json_object *devices;                                  /* probe: /machine/peripheral */
	struct json_object *anonymous;                                /* probe: /machine/peripheral-anon */
	struct json_object *block_nodes, *block_fronts, *block_edges; /* disks.c */
	size_t i;
	int pkernfs_fd, dir_fd;
	char mode[33];                                 /* migration mode found; "" if QEMU has none */
	struct json_object *capabilities, *parameters; /* settings.c */
	struct lu_settings settings;
	unsigned int polls;
	int state_fd;         /* save: memory that QEMU writes its state into */
	uint64_t copied;      /* of that, into the state file */
	struct lu_sum sum;    /* of the state file, until it is committed */
	struct lu_back *back; /* resume, replace: the restore that is under way */
	bool went_back;       /* and it has ended well */
	bool took_back;       /* resume: the commit was taken back by this job */
	bool bad_record;      /* resume: there is one, but it can't be read */
	char *refused;        /* QEMU's words, of the last command that it refused and that was tried only */
	unsigned int tries;   /* to reach a QEMU that lives */
};

#define LU_TOLERATE_REFUSAL 1u /* QEMU refuses the command */
#define LU_TOLERATE_DEATH 2u   /* nobody is there any more */

extern const lu_vm_step_t lu_probe_steps[], lu_prepare_steps[], lu_unprepare_steps[], lu_pause_steps[], lu_save_steps[],
	lu_resume_steps[], lu_replace_steps[], lu_verify_steps[], lu_domain_probe_steps[];

/** lu_vm_job_command() - send a command and wait; @args is taken over. To be returned by a step or handler */
int lu_vm_job_command(struct lu_vm_job *j, const char *name, struct json_object *args, lu_vm_reply_t reply);

/** lu_vm_job_try() - the same, but what @tolerate says is no error: then @reply gets NULL */
int lu_vm_job_try(struct lu_vm_job *j, const char *name, struct json_object *args, unsigned int tolerate,
		  lu_vm_reply_t reply);

/** lu_vm_job_command_fd() - the same with a file descriptor */
int lu_vm_job_command_fd(struct lu_vm_job *j, const char *name, struct json_object *args, int fd, lu_vm_reply_t reply);

/** lu_vm_job_again() - run the present step again after a pause. To be returned by a step or handler */
int lu_vm_job_again(struct lu_vm_job *j, uint64_t usec);

/** lu_vm_job_query_status() - a step: query-status into j->status and facts.state */
int lu_vm_job_query_status(struct lu_vm_job *j);

/** lu_vm_job_open_pkernfs() - a step: open pkernfs (checked) into pkernfs_fd */
int lu_vm_job_open_pkernfs(struct lu_vm_job *j);

/** lu_vm_job_load_saved() - a step: saved.json of this update into j->saved, have_saved; none is fine */
int lu_vm_job_load_saved(struct lu_vm_job *j);

int lu_vm_job_write_saved(struct lu_vm_job *j);

/** lu_vm_job_note_peer() - facts.pid and version from the connection */
int lu_vm_job_note_peer(struct lu_vm_job *j);

void lu_vm_job_cancel(struct lu_vm_job *j);

/** lu_vm_job_continue() - go on after a step that waits for something that is no command and no timer; @r is what the step would return */
void lu_vm_job_continue(struct lu_vm_job *j, int r);

/** lu_vm_job_open_state() - a descriptor for QEMU to write its state into; lu_vm_job_take_state() - a step: then into pkernfs */
int lu_vm_job_open_state(struct lu_vm_job *j);
int lu_vm_job_take_state(struct lu_vm_job *j);

/** lu_vm_job_commit() - a step: sum up the state file and write saved.json, complete */
int lu_vm_job_commit(struct lu_vm_job *j);

/* Steps for passed-through devices (passthrough.c); each does nothing for other VMs, but for the last three. */
int lu_vm_job_transfer(struct lu_vm_job *j);     /* in place of writing the state into a file */
int lu_vm_job_transferred(struct lu_vm_job *j);  /* wait until all of it was received */
int lu_vm_job_note_devices(struct lu_vm_job *j); /* journal of calls, devices.json, LUO session */
int lu_vm_job_same_calls(struct lu_vm_job *j);   /* does the kernel still tell what the journal was made of? */
int lu_vm_job_go_back(struct lu_vm_job *j);      /* another QEMU in place of one that can't be continued */
/* query-status; "gone" if its QEMU has ended, "silent" if it must be ended; lu_vm_job_answers(): neither */
int lu_vm_job_query_or_gone(struct lu_vm_job *j);
bool lu_vm_job_answers(const struct lu_vm_job *j);
void lu_vm_job_forget_back(struct lu_vm_job *j);

/*
 * Which process is the VM's QEMU, and does it live (process.c)? Two steps after query-status: remember it, from now on;
 * is it still that one?
 */
int lu_vm_job_hold_process(struct lu_vm_job *j);
int lu_vm_job_same_process(struct lu_vm_job *j);

/** lu_vm_lives() - does any process have the guest, whether or not its monitor can be reached? */
bool lu_vm_lives(const struct lu_vm *vm);

/** lu_vm_process() - which; 0: not known */
pid_t lu_vm_process(const struct lu_vm *vm);

/** lu_vms_user_of_memory() - who has the memory of a VM mapped; 0: nobody */
pid_t lu_vms_user_of_memory(const struct lu_vms *vms, const char *uuid);
void lu_vm_drop_process(struct lu_vm *vm);

/** lu_vm_store_fd() - have systemd keep a descriptor of the VM for a daemon after this one; @fd negative: no more */
void lu_vm_store_fd(const char *uuid, const char *what, int fd);

/** lu_passthrough_claim() - a VM that has become known gets what systemd kept of it */
void lu_passthrough_claim(struct lu_vms *vms, struct lu_vm *vm);

/** lu_passthrough_give_back() - what is held of a VM that is going to be forgotten, for the next that has its uuid */
void lu_passthrough_give_back(struct lu_vms *vms, struct lu_vm *vm);

/** lu_passthrough_free() - close the descriptors and the session; NULL is fine */
void lu_passthrough_free(struct lu_passthrough *p);

/** lu_vm_job_capture() - /proc's part of launch.json of the VM's QEMU; @reasons as in struct lu_capture_from */
int lu_vm_job_capture(struct lu_vm_job *j, struct lu_reasons *reasons, struct lu_launch *ret, struct lu_error *e);

/** lu_vm_job_judge_process() - a step: the same into the job, with what it says of the VM in its facts; refuses the VM if it can't be had */
int lu_vm_job_judge_process(struct lu_vm_job *j);

/** lu_vm_job_set_mode() - migrate-set-parameters mode=@mode; lu_vm_job_set_ignore_shared() - the capability */
int lu_vm_job_set_mode(struct lu_vm_job *j, const char *mode, unsigned int tolerate, lu_vm_reply_t reply);
int lu_vm_job_set_ignore_shared(struct lu_vm_job *j, bool on, unsigned int tolerate, lu_vm_reply_t reply);

/** lu_device_mark() - mark a function to go on over the jump, or take the mark away */
int lu_device_mark(const char *device, bool on, struct lu_error *e);

/**
 * lu_devices_unmark() - take the marks of these functions away, but for those that another VM's record in pkernfs needs
 * @uuid: of the VM whose they were
 *
 * All are tried. Return: 0, also for functions that are gone; or a negative errno of one.
 */
int lu_devices_unmark(int pkernfs_fd, const char *uuid, char *const *devices, struct lu_error *e);

/** lu_vm_mode() - the migration mode by which it is saved */
const char *lu_vm_mode(const struct lu_vm *vm);

struct stat;

/** lu_vm_other_owner() - the name of another VM than @vm to which a file belongs, or NULL; @path is below pkernfs' root */
const char *lu_vm_other_owner(void *vm, const char *path, const struct stat *st);

/** lu_vm_memory_owner() - the same with a whole path */
const char *lu_vm_memory_owner(struct lu_vm *vm, const char *path, const struct stat *st);

/** lu_vm_in_other_hands() - is it libvirt that holds its monitor now? */
bool lu_vm_in_other_hands(const struct lu_vm *vm);

/** lu_vm_domain_lives() - is it a guest of libvirt, and there? */
bool lu_vm_domain_lives(const struct lu_vm *vm);

/** lu_domain_steps() - the steps of an operation on a VM whose monitor is in other hands, else NULL */
const lu_vm_step_t *lu_domain_steps(const struct lu_vm *vm, enum lu_vm_op op);

int lu_domain_ask_ptys(struct lu_vm_job *j); /* a step */

/*
 * What is beneath its disks (disks.c), five steps: ask, ask, ask, and judge it by the command line in j->launch, or look
 * whether it is still what was judged.
 */
int lu_disks_ask_nodes(struct lu_vm_job *j);
int lu_disks_ask_fronts(struct lu_vm_job *j);
int lu_disks_ask_edges(struct lu_vm_job *j);
int lu_disks_judge(struct lu_vm_job *j);
int lu_disks_same(struct lu_vm_job *j);

/*
 * How QEMU migrates (settings.c), steps of PREPARE and UNPREPARE: ask; note it durably, with what saved.json says of it; set
 * what the save needs; put all of it back.
 */
int lu_settings_ask_capabilities(struct lu_vm_job *j);
int lu_settings_ask_parameters(struct lu_vm_job *j);
int lu_settings_note(struct lu_vm_job *j);
int lu_settings_set_capabilities(struct lu_vm_job *j);
int lu_settings_set_parameters(struct lu_vm_job *j);
int lu_settings_put_parameters_back(struct lu_vm_job *j);
int lu_settings_put_capabilities_back(struct lu_vm_job *j);

/* What no command line knows (runtime.c), steps of PROBE. The bitmaps and those after it ask nothing. */
int lu_runtime_ask_jobs(struct lu_vm_job *j);
int lu_runtime_ask_exports(struct lu_vm_job *j);
int lu_runtime_ask_cpus(struct lu_vm_job *j);
int lu_runtime_judge_bitmaps(struct lu_vm_job *j);
int lu_runtime_judge_anonymous(struct lu_vm_job *j);
int lu_runtime_note_passwords(struct lu_vm_job *j);

/* The word that makes a device without an id, and is it of this kind? What follows "child<" is @type. */
struct lu_arg;
int lu_runtime_made_by(const struct lu_arg *arg, char **ret);
bool lu_runtime_is_kind(const char *type, size_t len, const char *driver);

/* What comes from files that QEMU has read at its start (roms.c): two steps of PROBE, and a look whether it is still so. */
int lu_roms_carry(struct lu_vm_job *j);
int lu_roms_judge_firmware(struct lu_vm_job *j);
int lu_roms_same(struct lu_vm_job *j);

/* Parts of PROBE (probe.c) that need no monitor */
const char *lu_probe_memory_hint(const struct lu_vm *vm);
void lu_probe_judge_file(struct lu_vm *vm, const struct lu_vm_ram *ram);
void lu_probe_judge_device(struct lu_vm *vm, const char *name, const char *type, size_t len);

/** lu_probe_judge_functions() - can its passed-through ones go on, and what its files of vfio and iommufd stand for? A step, once the process is known */
int lu_probe_judge_functions(struct lu_vm_job *j);

/** lu_probe_judge_rules() - do AppArmor's rules let the next QEMU open what it will open? A step, once memory and process are known */
int lu_probe_judge_rules(struct lu_vm_job *j);

/** lu_vm_refuse() - a reason against it; returns 0, as probing goes on */
int lu_vm_refuse(struct lu_vm *vm, const char *hint, const char *fmt, ...) _printf_(3, 4);

/** lu_probe_plugged() - an answer to qom-list as text that can be compared; free() it */
int lu_probe_plugged(struct json_object *data, char **ret);

/** lu_probe_too_old() - is a QEMU of this version too old for passed-through devices? Not if it says none */
bool lu_probe_too_old(const char *version);

void lu_vm_facts_clear(struct lu_vm_facts *f);
/** lu_vm_facts_begin() - from here on facts are collected anew */
void lu_vm_facts_begin(struct lu_vm *vm);
/** lu_vm_facts_end() - the new ones are all there; not @whole: those before are put back. Does nothing if none were begun */
void lu_vm_facts_end(struct lu_vm *vm, bool whole);
/** lu_vms_tell() - something about the VMs may have changed */
void lu_vms_tell(const struct lu_vms *vms);

/** lu_vms_pkernfs() - an fd of the mount point, -ENODEV with @e if it is not pkernfs */
int lu_vms_pkernfs(const struct lu_vms *vms, struct lu_error *e);

/* JSON members by type; NULL if absent or of another type */
const char *lu_member_string(struct json_object *obj, const char *key);
struct json_object *lu_member(struct json_object *obj, const char *key, enum json_type type);

/** lu_json_args() - object from (key, value) strings, NULL-terminated; NULL if out of memory */
struct json_object *lu_json_args(const char *key, ...);
