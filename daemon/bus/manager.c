// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * org.luctl1.Manager, see schemas/org.luctl1.xml. Handlers that change something, and those that look at
 * a file or ask all VMs for somebody (Check, Plan),
 * go through lu_auth_then(). Check and Plan ask the VMs first and answer
 * when all have answered; a struct lu_pending keeps the call meanwhile.
 */
#include <limits.h>
#include <string.h>

#include "argv.h"
#include "auth.h"
#include "bus.h"
#include "check.h"
#include "history.h"
#include "job.h"
#include "manager.h"
#include "replies.h"
#include "update.h"
#include "vm-calls.h"
#include "vm-object.h"

#define CHECKS_MAX 8
#define HISTORIES_MAX 8
#define UPDATE_ID_MIN 4
#define UPDATE_ID_MAX 36

struct lu_manager {
	struct lu_update_env *env;
	sd_bus *bus;
	struct lu_update *update;
	struct lu_pending *pending;
	struct lu_vm_calls calls;
	struct lu_jobs jobs;
	struct lu_vm_objects *objects;
};

/* @r: what lu_document_…() returned */
static int reply_document(sd_bus_message *m, int r, char *text, const struct lu_error *e)
{
	r = r < 0 ? lu_reply_error(m, NULL, r, e) : sd_bus_reply_method_return(m, "s", text);
	free(text);
	return r;
}

/* --- Update, Check --- */

static int copy_string(sd_bus_message *m, char **ret)
{
	const char *s;
	int r = sd_bus_message_read(m, "v", "s", &s);

	if (r < 0)
		return r;
	*ret = strdup(s);
	return *ret ? 0 : -ENOMEM;
}

/* It is not looked at here: what its file system does with a question may take long. */
static int copy_fd(sd_bus_message *m, int *ret)
{
	int fd, r = sd_bus_message_read(m, "v", "h", &fd);

	if (r < 0)
		return r;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

static int given_twice(const char *key, struct lu_error *e)
{
	return lu_error_set(e, -EINVAL, "give it once", "option %s is given twice", key);
}

static int read_trial(sd_bus_message *m, enum lu_ask_trial *ret, struct lu_error *e)
{
	static const char *const words[] = {
		[LU_ASK_TRIAL_NO] = "no", [LU_ASK_TRIAL_YES] = "yes", [LU_ASK_TRIAL_AUTO] = "auto"
	};
	const char *word;
	int r = sd_bus_message_read(m, "v", "s", &word);

	if (r < 0)
		return r;
	if (*ret != LU_ASK_TRIAL_UNSAID)
		return given_twice("trial", e);
	for (size_t i = LU_ASK_TRIAL_NO; i < ARRAY_SIZE(words); i++)
		if (!strcmp(words[i], word))
			*ret = (enum lu_ask_trial)i;
	return *ret != LU_ASK_TRIAL_UNSAID ?
		       0 :
		       lu_error_set(e, -EINVAL, "say yes, no or auto", "trial=%s is none of them", word);
}

static int read_option(sd_bus_message *m, const char *key, struct lu_asked *q, bool *reuse, struct lu_error *e)
{
	int r, b;

	if (!strcmp(key, "initrd"))
		return q->initrd ? given_twice(key, e) : copy_string(m, &q->initrd);
	if (!strcmp(key, "cmdline"))
		return q->cmdline ? given_twice(key, e) : copy_string(m, &q->cmdline);
	if (!strcmp(key, "kernel-fd"))
		return q->kernel_fd ? given_twice(key, e) : copy_fd(m, &q->kernel_fd);
	if (!strcmp(key, "initrd-fd"))
		return q->initrd_fd ? given_twice(key, e) : copy_fd(m, &q->initrd_fd);
	if (!strcmp(key, "trial"))
		return read_trial(m, &q->trial, e);
	if (!strcmp(key, "max-blackout")) {
		if (q->max_blackout_usec)
			return given_twice(key, e);
		r = sd_bus_message_read(m, "v", "t", &q->max_blackout_usec);
		return r < 0 || q->max_blackout_usec ? r :
						       lu_error_set(e, -EINVAL, "leave it out, if any will do",
								    "max-blackout: 0 is too little");
	}
	if (!strcmp(key, "reuse-cmdline") || !strcmp(key, "no-initrd") || !strcmp(key, "rehearse")) {
		r = sd_bus_message_read(m, "v", "b", &b);
		if (r >= 0)
			*(key[0] == 'n' ? &q->no_initrd : key[2] == 'h' ? &q->rehearse : reuse) = b;
		return r;
	}
	if (!strcmp(key, "exclude")) {
		if (q->exclude)
			return given_twice(key, e);
		r = sd_bus_message_enter_container(m, 'v', "as");
		if (r >= 0)
			r = sd_bus_message_read_strv(m, &q->exclude);
		return r < 0 ? r : sd_bus_message_exit_container(m);
	}
	return lu_error_set(e, -EINVAL, "luctl update --help lists the options", "unknown option %s", key);
}

/* What no file and no VM can be called does not go into documents, which bound their texts. */
static int check_names(const struct lu_asked *q, const char *kernel, struct lu_error *e)
{
	if (strlen(kernel) >= PATH_MAX || (q->initrd && strlen(q->initrd) >= PATH_MAX))
		return lu_error_set(e, -ENAMETOOLONG, "give a shorter path", "%s: its path has more than %d bytes",
				    strlen(kernel) >= PATH_MAX ? "kernel image" : "initrd", PATH_MAX - 1);
	/* one whose definition is no good is called by the name of its file */
	for (char **p = q->exclude; p && *p; p++)
		if (strlen(*p) > NAME_MAX)
			return lu_error_set(e, -ENAMETOOLONG, "see luctl vm list",
					    "no VM has a name of more than %d bytes, so none can be excluded",
					    NAME_MAX);
	return 0;
}

static int read_request(sd_bus_message *m, bool may_lack_kernel, struct lu_asked *q, struct lu_error *e)
{
	const char *kernel, *key;
	bool reuse = false;
	int r;

	r = sd_bus_message_read(m, "s", &kernel);
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = sd_bus_message_read(m, "s", &key);
		if (r >= 0)
			r = read_option(m, key, q, &reuse, e);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	if (r < 0)
		return lu_error_set(e, r, NULL, "options of the call: %s", strerror(-r));
	r = check_names(q, kernel, e);
	if (r < 0)
		return r;
	if (kernel[0] != '/' && (kernel[0] || !may_lack_kernel))
		return lu_error_set(e, -EINVAL, "give an absolute path", "kernel image %s: not an absolute path",
				    kernel);
	if (reuse && q->cmdline)
		return lu_error_set(e, -EINVAL, "give one of them",
				    "both a command line and the reuse of the running one asked for");
	if ((q->kernel_fd && !kernel[0]) || (q->initrd_fd && !q->initrd))
		return lu_error_set(e, -EINVAL, "give the path by which it was opened, too",
				    "an open file without its path");
	q->may_open = lu_auth_is_root(m);
	if (q->initrd && q->no_initrd)
		return lu_error_set(e, -EINVAL, "give one of them", "both an initrd and none asked for");
	if (!kernel[0])
		return 0;
	q->kernel = strdup(kernel);
	return q->kernel ? 0 : -ENOMEM;
}

static int cancel_update(void *userdata, struct lu_error *error)
{
	struct lu_manager *mgr = userdata;

	return lu_update_cancel(mgr->update, "cancelled by request", error);
}

/* The job is there first: the update tells it how far it is from the beginning. */
static int start_update(struct lu_manager *mgr, sd_bus_message *m, struct lu_asked *q, struct lu_error *e)
{
	_cleanup_free_ char *path = NULL;
	struct lu_job *job;
	int r;

	r = lu_job_new(&mgr->jobs, "update", cancel_update, mgr, &job);
	if (r < 0)
		return lu_reply_error(m, NULL, r, e);
	path = strdup(lu_job_path(job));
	r = path ? lu_update_start(mgr->update, q, job, e) : -ENOMEM;
	if (r < 0) {
		lu_job_drop(job);
		return lu_reply_error(m, NULL, r, e);
	}
	return sd_bus_reply_method_return(m, "o", path);
}

static int update_allowed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_(lu_asked_clear) struct lu_asked q = { 0 };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int r = read_request(m, false, &q, &e);

	return r < 0 ? lu_reply_error(m, NULL, r, &e) : start_update(userdata, m, &q, &e);
}

static int method_update(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return lu_auth_then(m, "org.luctl1.update", update_allowed, userdata, error);
}

static int update_vmm_allowed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_(lu_asked_clear) struct lu_asked q = { .vmm = true };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int r = sd_bus_message_read_strv(m, &q.only);

	if (r < 0)
		return r;
	if (q.only && !q.only[0]) {
		lu_argv_free(q.only);
		q.only = NULL;
	}
	return start_update(userdata, m, &q, &e);
}

static int method_update_vmm(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return lu_auth_then(m, "org.luctl1.update", update_vmm_allowed, userdata, error);
}

/* A call that waits for VMs to answer; one of the daemon's list until it is answered or the daemon ends. */
struct lu_pending {
	struct lu_pending *next;
	struct lu_manager *manager;
	sd_bus_message *message;
	struct lu_asked asked;
	struct lu_check *check;          /* Check, Plan */
	struct lu_history_call *history; /* ListReports, GetReportOf */
	bool plan;                       /* Plan, not Check */
};

static void pending_free(struct lu_pending *p)
{
	struct lu_pending **at = &p->manager->pending;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	lu_check_free(p->check);
	lu_history_call_free(p->history);
	lu_asked_clear(&p->asked);
	sd_bus_message_unref(p->message);
	free(p);
}

static struct lu_pending *pending_new(struct lu_manager *mgr, sd_bus_message *m)
{
	struct lu_pending *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->manager = mgr;
	p->message = sd_bus_message_ref(m);
	p->next = mgr->pending;
	mgr->pending = p;
	return p;
}

static void on_checked(struct lu_check *c, void *userdata)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_pending *p = userdata;
	char *text = NULL;
	int r;

	if (c->refused.code) {
		(void)lu_reply_error(p->message, NULL, c->refused.code, &c->refused);
	} else {
		r = p->plan ? lu_document_plan(c, &text, &e) : lu_document_check(c, p->asked.kernel, &text, &e);
		(void)reply_document(p->message, r, text, &e);
	}
	pending_free(p);
}

/* Each may keep a process and a copy of an image busy. */
static size_t checks(const struct lu_manager *mgr)
{
	size_t n = 0;

	for (const struct lu_pending *p = mgr->pending; p; p = p->next)
		n += p->check != NULL;
	return n;
}

static bool update_runs(void *userdata)
{
	const struct lu_pending *p = userdata;

	return lu_update_info(p->manager->update)->running;
}

static int check(sd_bus_message *m, struct lu_manager *mgr, bool plan)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_pending *p;
	int r;

	if (lu_update_info(mgr->update)->running) {
		r = lu_error_set(&e, -EBUSY, "luctl status tells how far it is", "an update is under way");
		return lu_reply_error(m, NULL, r, &e);
	}
	if (checks(mgr) >= CHECKS_MAX) {
		r = lu_error_set(&e, -EBUSY, "try again when they are done", "%d checks are under way", CHECKS_MAX);
		return lu_reply_error(m, NULL, r, &e);
	}
	p = pending_new(mgr, m);
	if (!p)
		return -ENOMEM;
	p->plan = plan;
	r = read_request(m, plan, &p->asked, &e);
	p->asked.asker = lu_auth_pid(m);
	if (r == 0 && p->asked.rehearse)
		r = lu_error_set(&e, -EINVAL, "call Update with it", "option rehearse: only an update is rehearsed");
	if (r == 0)
		r = lu_check_start(mgr->env, &p->asked, update_runs, on_checked, p, &p->check);
	if (r < 0) {
		pending_free(p);
		return lu_reply_error(m, NULL, r, &e);
	}
	return 1;
}

/*
 * A trial boots what the caller gives, with this host's disks in reach, and tells its last words: that is for those who
 * may put this kernel in charge of the host as well.
 */
static const char *action_of_check(sd_bus_message *m)
{
	const char *key, *word;
	bool trial = false;
	int r = sd_bus_message_skip(m, "s");

	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = sd_bus_message_read(m, "s", &key);
		if (r >= 0 && !strcmp(key, "trial"))
			/* what is no text is refused later */
			trial |= (r = sd_bus_message_read(m, "v", "s", &word)) >= 0 && strcmp(word, "no") != 0;
		else if (r >= 0)
			r = sd_bus_message_skip(m, "v");
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	r = sd_bus_message_rewind(m, true);
	return trial || r < 0 ? "org.luctl1.update" : "org.luctl1.check";
}

static int check_allowed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return check(m, userdata, false);
}

static int method_check(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return lu_auth_then(m, action_of_check(m), check_allowed, userdata, error);
}

static int plan_allowed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return check(m, userdata, true);
}

static int method_plan(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return lu_auth_then(m, action_of_check(m), plan_allowed, userdata, error);
}

/* --- VMs --- */

static int method_list_vms(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct lu_manager *mgr = userdata;

	return lu_vm_call_start(&mgr->calls, m, NULL);
}

static int method_describe_vm(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct lu_manager *mgr = userdata;
	const char *key;
	int r = sd_bus_message_read(m, "s", &key);

	return r < 0 ? r : lu_vm_call_start(&mgr->calls, m, key);
}

static int add_vm_allowed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_manager *mgr = userdata;
	struct lu_vm *vm;
	const char *json;
	int r;

	r = sd_bus_message_read(m, "s", &json);
	if (r < 0)
		return r;
	if (lu_update_info(mgr->update)->running)
		r = lu_error_set(&e, -EBUSY, "luctl status tells how far it is",
				 "an update is under way, which it would not be part of");
	else
		r = lu_vms_add(mgr->env->vms, json, &vm, &e);
	return r < 0 ? lu_reply_error(m, NULL, r, &e) : sd_bus_reply_method_return(m, NULL);
}

static int remove_vm_allowed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_manager *mgr = userdata;
	const char *key;
	int r;

	r = sd_bus_message_read(m, "s", &key);
	if (r < 0)
		return r;
	if (lu_update_info(mgr->update)->running)
		r = lu_error_set(&e, -EBUSY, "luctl status tells how far it is", "an update is under way");
	else
		r = lu_vms_remove(mgr->env->vms, key, &e);
	return r < 0 ? lu_reply_error(m, NULL, r, &e) : sd_bus_reply_method_return(m, NULL);
}

/* What is in pkernfs decides, and that is looked at now. */
static struct lu_vm *find_saved(struct lu_manager *mgr, const char *key, struct lu_error *e)
{
	struct lu_vm *vm;

	if (!lu_update_info(mgr->update)->running)
		(void)lu_vms_load(mgr->env->vms, mgr->env->config.vms_dir, NULL);
	vm = lu_vms_find(mgr->env->vms, key);
	if (!vm)
		(void)lu_error_set(e, -ENOENT, "see luctl vm list", "VM %s: not known", key);
	return vm;
}

static int restore_allowed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *path = NULL;
	struct lu_manager *mgr = userdata;
	struct lu_job *job = NULL;
	struct lu_vm *vm;
	const char *key;
	int r;

	r = sd_bus_message_read(m, "s", &key);
	if (r < 0)
		return r;
	vm = find_saved(mgr, key, &e);
	r = vm ? lu_job_new(&mgr->jobs, "restore", NULL, NULL, &job) : e.code;
	if (r == 0) {
		path = strdup(lu_job_path(job));
		r = path ? lu_update_restore(mgr->update, vm, job, &e) : -ENOMEM;
	}
	if (r < 0) {
		if (job)
			lu_job_drop(job);
		return lu_reply_error(m, NULL, r, &e);
	}
	return sd_bus_reply_method_return(m, "o", path);
}

static int forget_allowed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_manager *mgr = userdata;
	struct lu_vm *vm;
	const char *key;
	int r;

	r = sd_bus_message_read(m, "s", &key);
	if (r < 0)
		return r;
	vm = find_saved(mgr, key, &e);
	r = vm ? lu_update_forget(mgr->update, vm, &e) : e.code;
	return r < 0 ? lu_reply_error(m, NULL, r, &e) : sd_bus_reply_method_return(m, NULL);
}

static int open_journal_allowed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_vm_journal journal = { .fd = -EBADF };
	struct lu_manager *mgr = userdata;
	struct lu_vm *vm;
	const char *key;
	int r;

	r = sd_bus_message_read(m, "s", &key);
	if (r < 0)
		return r;
	vm = find_saved(mgr, key, &e);
	r = vm ? lu_vm_open_journal(vm, &journal, &e) : e.code;
	if (r < 0)
		return lu_reply_error(m, NULL, r, &e);
	r = sd_bus_reply_method_return(m, "hsstt", journal.fd, lu_vm_uuid(vm), journal.boot_id, journal.calls,
				       journal.sum);
	close(journal.fd);
	return r;
}

/* It tells where a guest's memory is: for those who may look into files and guests. */
static int method_open_journal(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return lu_auth_then(m, "org.luctl1.check", open_journal_allowed, userdata, error);
}

static int method_add_vm(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return lu_auth_then(m, "org.luctl1.manage-vms", add_vm_allowed, userdata, error);
}

static int method_remove_vm(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return lu_auth_then(m, "org.luctl1.manage-vms", remove_vm_allowed, userdata, error);
}

static int method_restore(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return lu_auth_then(m, "org.luctl1.manage-vms", restore_allowed, userdata, error);
}

static int method_forget_state(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return lu_auth_then(m, "org.luctl1.manage-vms", forget_allowed, userdata, error);
}

/* --- the rest --- */

static int abort_allowed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_manager *mgr = userdata;
	int r = lu_update_cancel(mgr->update, "aborted by request", &e);

	return r < 0 ? lu_reply_error(m, NULL, r, &e) : sd_bus_reply_method_return(m, NULL);
}

static int method_abort(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return lu_auth_then(m, "org.luctl1.update", abort_allowed, userdata, error);
}

static int method_get_status(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_manager *mgr = userdata;
	char *text = NULL;
	int r = lu_document_status(mgr->env, mgr->update, &text, &e);

	return reply_document(m, r, text, &e);
}

static int method_get_report(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *path = NULL, *text = NULL;
	struct lu_manager *mgr = userdata;
	int r;

	if (asprintf(&path, "%s/update/report.json", mgr->env->config.pkernfs) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = lu_read_file(AT_FDCWD, path, 4 << 20, &text, NULL);
	if (r == -ENOENT)
		r = lu_error_set(&e, -ENODATA, "the report is written when an update has ended", "there is no report");
	else if (r < 0)
		(void)lu_error_set(&e, r, NULL, "%s: %s", path, strerror(-r));
	return r < 0 ? lu_reply_error(m, NULL, r, &e) : sd_bus_reply_method_return(m, "s", text);
}

static void on_history(void *userdata, int r, const char *text, const struct lu_error *e)
{
	struct lu_pending *p = userdata;

	if (r < 0)
		(void)lu_reply_error(p->message, NULL, r, e);
	else
		(void)sd_bus_reply_method_return(p->message, "s", text);
	pending_free(p);
}

/* Each keeps a process busy. @id: NULL: all */
static int ask_history(struct lu_manager *mgr, sd_bus_message *m, const char *id)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_pending *p;
	size_t n = 0;
	int r;

	for (p = mgr->pending; p; p = p->next)
		n += p->history != NULL;
	if (n >= HISTORIES_MAX) {
		r = lu_error_set(&e, -EBUSY, "try again when they are done", "reports are being read for %zu callers",
				 n);
		return lu_reply_error(m, NULL, r, &e);
	}
	p = pending_new(mgr, m);
	if (!p)
		return -ENOMEM;
	r = lu_history_ask(mgr->env, id, on_history, p, &p->history);
	if (r < 0) {
		pending_free(p);
		return lu_reply_error(m, NULL, r, &e);
	}
	return 1;
}

static int method_list_reports(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return ask_history(userdata, m, NULL);
}

static int method_get_report_of(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	const char *id;
	int r = sd_bus_message_read(m, "s", &id);

	if (r < 0)
		return r;
	if (strspn(id, "0123456789abcdefABCDEF-") != strlen(id) || strlen(id) < UPDATE_ID_MIN ||
	    strlen(id) > UPDATE_ID_MAX) {
		r = lu_error_set(&e, -EINVAL, "luctl report --list names them",
				 "not the id of an update: a UUID, or its first %d characters or more", UPDATE_ID_MIN);
		return lu_reply_error(m, NULL, r, &e);
	}
	return ask_history(userdata, m, id);
}

static int get_state(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
		     void *userdata, sd_bus_error *error)
{
	struct lu_manager *mgr = userdata;

	return sd_bus_message_append(reply, "s", lu_update_info(mgr->update)->state);
}

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
		       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "s", PROJECT_VERSION);
}

static int get_api(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
		   void *userdata, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "u", LU_BUS_API);
}

static int get_job(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
		   void *userdata, sd_bus_error *error)
{
	struct lu_manager *mgr = userdata;

	return sd_bus_message_append(reply, "o", lu_jobs_running(&mgr->jobs));
}

static const sd_bus_vtable manager_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("Update", SD_BUS_ARGS("s", kernel, "a{sv}", options), SD_BUS_RESULT("o", job),
				method_update, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("UpdateVMM", SD_BUS_ARGS("as", vms), SD_BUS_RESULT("o", job), method_update_vmm,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Check", SD_BUS_ARGS("s", kernel, "a{sv}", options), SD_BUS_RESULT("s", result),
				method_check, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Plan", SD_BUS_ARGS("s", kernel, "a{sv}", options), SD_BUS_RESULT("s", result),
				method_plan, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Abort", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_abort, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("GetStatus", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", status), method_get_status,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ListVMs", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", vms), method_list_vms,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("DescribeVM", SD_BUS_ARGS("s", vm), SD_BUS_RESULT("s", info), method_describe_vm,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("AddVM", SD_BUS_ARGS("s", definition), SD_BUS_NO_RESULT, method_add_vm,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("RemoveVM", SD_BUS_ARGS("s", vm), SD_BUS_NO_RESULT, method_remove_vm,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Restore", SD_BUS_ARGS("s", vm), SD_BUS_RESULT("o", job), method_restore,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ForgetState", SD_BUS_ARGS("s", vm), SD_BUS_NO_RESULT, method_forget_state,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("OpenJournal", SD_BUS_ARGS("s", vm),
				SD_BUS_RESULT("h", journal, "s", uuid, "s", boot_id, "t", calls, "t", sum),
				method_open_journal, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("GetReport", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", report), method_get_report,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ListReports", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", reports), method_list_reports,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("GetReportOf", SD_BUS_ARGS("s", update), SD_BUS_RESULT("s", report),
				method_get_report_of, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("API", "u", get_api, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Job", "o", get_job, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_SIGNAL_WITH_ARGS("JobNew", SD_BUS_ARGS("o", job, "s", kind), 0),
	SD_BUS_SIGNAL_WITH_ARGS("JobRemoved", SD_BUS_ARGS("o", job, "s", kind, "s", result), 0),
	SD_BUS_VTABLE_END,
};

/* --- what the update tells --- */

static void news_state(void *context)
{
	struct lu_manager *mgr = context;

	(void)sd_bus_emit_properties_changed(mgr->bus, LU_BUS_PATH, LU_BUS_MANAGER, "State", NULL);
	/* what has become of the VMs is told before the job's end */
	lu_vm_objects_flush(mgr->objects);
}

static void news_progress(void *job, const struct lu_progress *progress)
{
	lu_job_progress(job, progress);
}

/* Whoever wants to know how an update ends that outlives the daemon, or came with the jump, finds a job all the same. */
static void *news_adopted(void *context)
{
	struct lu_manager *mgr = context;
	struct lu_job *job;

	return lu_job_new(&mgr->jobs, "update", cancel_update, mgr, &job) < 0 ? NULL : job;
}

static void news_finished(void *job, const char *result, const struct lu_error *error)
{
	lu_job_finish(job, result, error);
}

const struct lu_update_news lu_manager_news = {
	.state = news_state,
	.adopted = news_adopted,
	.progress = news_progress,
	.finished = news_finished,
};

/* --- life --- */

static void jobs_changed(struct lu_jobs *jobs)
{
	(void)sd_bus_emit_properties_changed(jobs->bus, LU_BUS_PATH, LU_BUS_MANAGER, "Job", NULL);
}

static void vms_changed(void *context)
{
	struct lu_manager *mgr = context;

	lu_vm_objects_refresh(mgr->objects);
}

int lu_manager_new(struct lu_update_env *env, sd_bus *bus, struct lu_manager **ret)
{
	struct lu_manager *mgr = calloc(1, sizeof(*mgr));

	if (!mgr)
		return -ENOMEM;
	mgr->env = env;
	mgr->bus = bus;
	mgr->jobs = (struct lu_jobs){ .event = env->event, .bus = bus, .changed = jobs_changed };
	*ret = mgr;
	return 0;
}

int lu_manager_export(struct lu_manager *mgr, struct lu_update *update)
{
	int r;

	mgr->update = update;
	mgr->calls = (struct lu_vm_calls){ .env = mgr->env, .update = update };
	r = sd_bus_add_object_manager(mgr->bus, NULL, LU_BUS_PATH);
	if (r >= 0)
		r = sd_bus_add_object_vtable(mgr->bus, NULL, LU_BUS_PATH, LU_BUS_MANAGER, manager_vtable, mgr);
	if (r >= 0)
		r = lu_vm_objects_new(mgr->env, update, mgr->bus, &mgr->objects);
	if (r >= 0)
		lu_vms_on_change(mgr->env->vms, vms_changed, mgr);
	return r;
}

struct lu_manager *lu_manager_free(struct lu_manager *mgr)
{
	if (!mgr)
		return NULL;
	while (mgr->pending)
		pending_free(mgr->pending);
	lu_vm_calls_clear(&mgr->calls);
	lu_jobs_clear(&mgr->jobs);
	lu_vms_on_change(mgr->env->vms, NULL, NULL);
	lu_vm_objects_free(mgr->objects);
	free(mgr);
	return NULL;
}
