// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is known of each VM of the update: the records that lu-init and this daemon leave in vm/<uuid>/ are read here,
 * never guessed. An outcome holds a reference of its VM; the one that is restored by request has an outcome of its own.
 */
#include <dirent.h>
#include <string.h>
#include <sys/utsname.h>

#include "filesystems.h"
#include "log.h"
#include "measured.h"
#include "outcomes.h"

int lu_update_open_pkernfs(struct lu_update *u, struct lu_error *e)
{
	if (!lu_pkernfs_mounted(u->env->config.pkernfs, NULL, NULL))
		return lu_error_set(
			e, -ENODEV,
			"boot a kernel with the luctl series and kho=on; systemctl start run-luctl-pkernfs.mount",
			"%s: pkernfs is not mounted here", u->env->config.pkernfs);
	if (u->pkernfs_fd >= 0)
		return 0;
	u->pkernfs_fd = open(u->env->config.pkernfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (u->pkernfs_fd < 0)
		return lu_error_set(e, -errno, NULL, "%s: %s", u->env->config.pkernfs, strerror(errno));
	return 0;
}

static int is_uuid_dir(const struct dirent *d)
{
	return lu_uuid_valid(d->d_name);
}

static int by_index(const void *a, const void *b)
{
	const struct lu_saved *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

/* The records of this update, by the VMs' numbers in it; those that can't be read are told by the registry. */
static int read_records(int pkernfs_fd, const char *update, struct lu_saved **ret, size_t *ret_n)
{
	struct dirent **names = NULL;
	struct lu_saved *list;
	int n = scandirat(pkernfs_fd, "vm", &names, is_uuid_dir, alphasort);
	size_t found = 0;

	if (n < 0 && errno != ENOENT)
		return -errno;
	list = calloc(n > 0 ? (size_t)n : 1, sizeof(*list));
	for (int i = 0; i < n; i++) {
		_cleanup_close_ int dir = list ? lu_store_open(pkernfs_fd, names[i]->d_name, false, NULL) : -EBADF;

		if (dir >= 0 && lu_saved_read(dir, &list[found], NULL) == 0) {
			if (!strcmp(list[found].update, update) && !strcasecmp(list[found].uuid, names[i]->d_name))
				found++;
			else
				lu_saved_clear(&list[found]);
		}
		free(names[i]);
	}
	free(names);
	if (!list)
		return -ENOMEM;
	qsort(list, found, sizeof(*list), by_index);
	*ret = list;
	*ret_n = found;
	return 0;
}

int lu_outcomes_guess_request(struct lu_update *u, const char *update)
{
	_cleanup_free_ struct lu_saved *list = NULL;
	struct lu_request_doc doc = { 0 };
	struct utsname uts;
	size_t n = 0;
	int r = read_records(u->pkernfs_fd, update, &list, &n);

	if (r < 0)
		return r;
	(void)uname(&uts);
	doc.id = strdup(update);
	doc.kernel = strdup("unknown");
	doc.cmdline = strdup("");
	doc.from = strdup(uts.release);
	doc.excluded = calloc(1, sizeof(*doc.excluded));
	doc.vms = calloc(n ?: 1, sizeof(*doc.vms));
	if (!doc.id || !doc.kernel || !doc.cmdline || !doc.from || !doc.excluded || !doc.vms)
		r = -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (r == 0) {
			doc.vms[doc.n_vms++] = (struct lu_request_vm){ steal_ptr(list[i].name), steal_ptr(list[i].uuid),
								       LU_MEASURED_UNKNOWN };
		}
		lu_saved_clear(&list[i]);
	}
	if (r < 0) {
		lu_request_doc_clear(&doc);
		return r;
	}
	u->doc = doc;
	return 0;
}

struct lu_outcome *lu_outcome(struct lu_update *u, size_t i)
{
	return i == LU_OUTCOME_KEPT ? &u->kept : &u->outcomes[i];
}

const char *lu_outcome_name(const struct lu_update *u, size_t i)
{
	return i == LU_OUTCOME_KEPT ? lu_vm_name(u->kept.vm) : u->doc.vms[i].name;
}

const char *lu_outcome_uuid(const struct lu_update *u, size_t i)
{
	return i == LU_OUTCOME_KEPT ? lu_vm_uuid(u->kept.vm) : u->doc.vms[i].uuid;
}

/* By which its state was saved. */
const char *lu_outcome_update(const struct lu_update *u, size_t i)
{
	return i == LU_OUTCOME_KEPT ? u->kept_update : u->doc.id;
}

/* Connects the VMs of the request with the registry. */
void lu_outcomes_find(struct lu_update *u)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	const struct lu_update_env *env = u->env;

	if (lu_vms_load(env->vms, env->config.vms_dir, &e) < 0)
		log_warning("%s", e.what ?: env->config.vms_dir);
	lu_error_clear(&e);
	if (lu_vms_add_saved(env->vms, u->doc.id, &e) < 0)
		log_warning("%s", e.what ?: "saved VMs can't be listed");
	for (size_t i = 0; i < u->doc.n_vms; i++)
		u->outcomes[i].vm = lu_vm_ref(lu_vms_find(env->vms, u->doc.vms[i].uuid));
}

void lu_outcome_fail(struct lu_outcome *o, const char *hint, const char *what)
{
	lu_error_clear(&o->error);
	(void)lu_error_set(&o->error, -EIO, hint, "%s", what);
}

/* What its guest agent said, if it was asked in this update. */
void lu_outcome_read_clock(struct lu_update *u, size_t i)
{
	struct lu_clock *clock = &lu_outcome(u, i)->clock;
	_cleanup_close_ int dir = lu_store_open(u->pkernfs_fd, lu_outcome_uuid(u, i), false, NULL);

	lu_clock_clear(clock);
	if (dir < 0 || lu_clock_read(dir, clock, NULL) < 0)
		return;
	if (strcmp(clock->update, lu_outcome_update(u, i)) != 0)
		lu_clock_clear(clock);
}

/* Reads what is on record about one VM; returns 1 if its QEMU is alive, else 0. */
int lu_outcome_read(struct lu_update *u, size_t i)
{
	struct lu_outcome *o = lu_outcome(u, i);
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_(lu_saved_clear) struct lu_saved saved = { 0 };
	_cleanup_close_ int dir = -EBADF;

	if (!o->vm) {
		lu_outcome_fail(o, "look into vm/ in pkernfs", "its record is gone");
		return 0;
	}
	dir = lu_store_open(u->pkernfs_fd, lu_outcome_uuid(u, i), false, &e);
	if (dir >= 0 && lu_saved_read(dir, &saved, &e) == 0) {
		o->pause_tsc = saved.pause_tsc;
		o->paused = !saved.running;
	}
	if (o->read)
		lu_result_clear(&o->result);
	lu_error_clear(&e);
	o->read = lu_vm_result_read(o->vm, lu_outcome_update(u, i), &o->result, &e) == 0;
	o->alive = o->read && lu_result_alive(&o->result);
	if (!o->read)
		lu_outcome_fail(o, "luctl restore tries again", e.what ?: "it was not restored");
	else if (o->result.error)
		lu_outcome_fail(o, o->result.error->hint, o->result.error->what);
	else if (!o->alive)
		lu_outcome_fail(o, "see its log in /run/luctl/vm", "its QEMU has ended");
	else
		lu_error_clear(&o->error);
	lu_outcome_read_clock(u, i);
	return o->alive;
}

void lu_outcome_clear(struct lu_outcome *o)
{
	lu_error_clear(&o->error);
	lu_clock_clear(&o->clock);
	if (o->read)
		lu_result_clear(&o->result);
	lu_vm_unref(o->vm);
	*o = (struct lu_outcome){ 0 };
}

void lu_outcomes_free(struct lu_update *u)
{
	for (size_t i = 0; u->outcomes && i < u->doc.n_vms; i++)
		lu_outcome_clear(&u->outcomes[i]);
	free(u->outcomes);
	u->outcomes = NULL;
	lu_request_doc_clear(&u->doc);
}
