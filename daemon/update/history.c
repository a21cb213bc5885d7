// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See history.h. All of it but what starts the children runs in them.
 *
 * Unhappy paths: 1. the disk is full or read-only: the report is not kept, and what is there stays as it is; 2. the disk
 * does not answer: the child is killed at its time limit, the next update's child is another one; 3. the daemon or the
 * host goes down meanwhile: the file is there whole or not at all, and what was left beside it goes with the next report;
 * 4. a file that is no report: named in the list, never removed but for its age; 5. another name than ID.json:
 * named, and never removed.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "doc-bus.h"
#include "doc-report.h"
#include "history.h"
#include "log.h"
#include "update-internal.h"
#include "worker.h"

#define KEEP_TIMEOUT_USEC (60 * UINT64_C(1000000))
#define ASK_TIMEOUT_USEC (30 * UINT64_C(1000000))
#define LAST_REPORT "update/report.json"

/* --- files --- */

struct entry {
	char name[NAME_MAX + 1];
	struct timespec time;
	off_t size;
	bool regular;
};

static int newest_first(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->time.tv_sec != y->time.tv_sec)
		return x->time.tv_sec > y->time.tv_sec ? -1 : 1;
	if (x->time.tv_nsec != y->time.tv_nsec)
		return x->time.tv_nsec > y->time.tv_nsec ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* @id: of 37 bytes */
static bool is_report(const char *name, char *id)
{
	if (strlen(name) != 36 + strlen(".json") || strcmp(name + 36, ".json") != 0)
		return false;
	memcpy(id, name, 36);
	id[36] = '\0';
	return lu_uuid_valid(id);
}

/* What lu_write_file() leaves if it is killed. */
static bool is_left_over(const char *name)
{
	return name[0] == '.' && strlen(name) > 4 && !strcmp(name + strlen(name) - 4, ".tmp");
}

static int list_files(int dirfd, struct entry **ret, size_t *ret_n)
{
	struct dirent **names = NULL;
	struct entry *list;
	size_t found = 0;
	int n = scandirat(dirfd, ".", &names, NULL, alphasort);

	if (n < 0)
		return -errno;
	list = calloc(n ? (size_t)n : 1, sizeof(*list));
	for (int i = 0; i < n; i++) {
		struct stat st;

		if (list && strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0 &&
		    fstatat(dirfd, names[i]->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			snprintf(list[found].name, sizeof(list[found].name), "%s", names[i]->d_name);
			list[found].time = st.st_mtim;
			list[found].regular = S_ISREG(st.st_mode);
			list[found++].size = st.st_size;
		}
		free(names[i]);
	}
	free(names);
	if (!list)
		return -ENOMEM;
	qsort(list, found, sizeof(*list), newest_first);
	*ret = list;
	*ret_n = found;
	return 0;
}

static void trim(int dirfd)
{
	_cleanup_free_ struct entry *list = NULL;
	size_t n = 0, kept = 0;
	uint64_t bytes = 0;
	char id[37];

	if (list_files(dirfd, &list, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		bool ours = list[i].regular && is_report(list[i].name, id);

		if (!list[i].regular || (!ours && !is_left_over(list[i].name)))
			continue;
		bytes += ours ? (uint64_t)list[i].size : 0;
		if (ours && (kept == 0 || (kept < LU_HISTORY_MAX && bytes <= LU_HISTORY_BYTES_MAX)))
			kept++;
		else
			(void)unlinkat(dirfd, list[i].name, 0);
	}
}

/* --- keeping --- */

struct keep {
	char name[48];
	const char *text;
};

static int do_keep(void *arg, struct lu_error *error)
{
	const struct keep *k = arg;
	_cleanup_free_ char *there = NULL;
	_cleanup_close_ int dirfd = -EBADF;
	int r = lu_mkdir_p(AT_FDCWD, LU_HISTORY_DIR, 0755);

	if (r < 0)
		return r;
	dirfd = open(LU_HISTORY_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return -errno;
	/* each daemon that starts finds the last one's */
	if (lu_read_file(dirfd, k->name, LU_DOCUMENT_MAX, &there, NULL) < 0 || strcmp(there, k->text) != 0)
		r = lu_write_file(dirfd, k->name, k->text, strlen(k->text), 0644);
	trim(dirfd);
	return r;
}

static void on_kept(void *userdata, int r, struct lu_error *error)
{
	struct lu_update *u = userdata;

	u->history = lu_worker_free(u->history);
	if (r < 0)
		log_warning("the report is not kept in " LU_HISTORY_DIR
			    ": %s; luctl report shows it until the next update",
			    error->what ?: strerror(-r));
}

void lu_history_keep(struct lu_update *u, const char *id, const char *text)
{
	struct keep k = { .text = text };
	int r;

	if (!lu_uuid_valid(id))
		return;
	snprintf(k.name, sizeof(k.name), "%s.json", id);
	/* one that still writes an older report has waited for its disk since then */
	lu_worker_free(u->history);
	u->history = NULL;
	r = lu_worker_call(u->env->event, do_keep, &k, KEEP_TIMEOUT_USEC, on_kept, u, &u->history);
	if (r < 0)
		log_warning("the report is not kept in " LU_HISTORY_DIR ": %s", strerror(-r));
}

void lu_history_keep_last(struct lu_update *u)
{
	struct lu_doc_report doc = { 0 };
	_cleanup_free_ char *text = NULL;

	if (lu_read_file(u->pkernfs_fd, LAST_REPORT, LU_DOCUMENT_MAX, &text, NULL) < 0 ||
	    lu_json_decode_text(text, strlen(text), LU_DOCUMENT_MAX, LAST_REPORT, &lu_doc_report_table, &doc, NULL) < 0)
		return;
	lu_history_keep(u, doc.id, text);
	lu_json_free(&lu_doc_report_table, &doc);
}

/* --- asking --- */

struct lu_history_call {
	const struct lu_update_env *env;
	char *id;
	int memfd; /* the answer */
	struct lu_worker *worker;
	lu_history_told_t told;
	void *userdata;
};

static void add_damage(struct lu_doc_reports *list, const char *file, const char *what)
{
	if (list->n_damaged < LU_DOC_REPORTS_MAX)
		list->damaged[list->n_damaged++] = (struct luctl_report_damage){ strdup(file), strdup(what) };
}

static void add_entry(struct lu_doc_reports *list, struct lu_doc_report *doc)
{
	struct luctl_report_entry *x;

	for (size_t i = 0; i < list->n_reports; i++)
		if (!strcasecmp(list->report[i].id, doc->id))
			return;
	if (list->n_reports == LU_DOC_REPORTS_MAX)
		return;
	x = &list->report[list->n_reports++];
	*x = (struct luctl_report_entry){
		.id = steal_ptr(doc->id),
		.from = steal_ptr(doc->from),
		.to = steal_ptr(doc->to),
		.kind = doc->kind,
		.result = doc->result,
		.rehearsal = doc->rehearsal,
		.started = doc->started,
		.duration = doc->duration,
		.blackout = doc->blackout,
		.vms = doc->n_vms,
		.error = steal_ptr(doc->error),
	};
	for (size_t i = 0; i < doc->n_vms; i++)
		x->lost += !strcmp(lu_doc_vm_results[doc->vm[i].result], "lost");
}

/* @file: NULL: the last update's, which need not be there */
static void add_file(struct lu_doc_reports *list, int dirfd, const char *path, const char *file)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_doc_report doc = { 0 };
	int r = lu_json_load(dirfd, path, LU_DOCUMENT_MAX, &lu_doc_report_table, &doc, &e);

	if (r < 0 && file)
		add_damage(list, file, e.what ?: strerror(-r));
	if (r < 0)
		return;
	if (file && strncasecmp(doc.id, file, 36) != 0)
		add_damage(list, file, "it is the report of another update");
	else
		add_entry(list, &doc);
	lu_json_free(&lu_doc_report_table, &doc);
}

static int later_first(const void *a, const void *b)
{
	const struct luctl_report_entry *x = a, *y = b;

	return x->started > y->started ? -1 : x->started < y->started;
}

static int answer(int memfd, const char *text)
{
	return lu_write_all(memfd, text, strlen(text));
}

static int tell_all(const struct lu_history_call *c, int pkernfs_fd, int dirfd, struct lu_error *error)
{
	struct lu_doc_reports list = { .report = calloc(LU_DOC_REPORTS_MAX, sizeof(*list.report)),
				       .damaged = calloc(LU_DOC_REPORTS_MAX, sizeof(*list.damaged)) };
	_cleanup_free_ struct entry *files = NULL;
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	char id[37];
	int r;

	if (!list.report || !list.damaged)
		return -ENOMEM; /* the process ends */
	/* after a restore by request it is newer than what is kept, until that is written */
	add_file(&list, pkernfs_fd, LAST_REPORT, NULL);
	r = dirfd < 0 ? 0 : list_files(dirfd, &files, &n);
	for (size_t i = 0; i < n; i++) {
		if (!files[i].regular)
			add_damage(&list, files[i].name, "it is no file");
		else if (is_report(files[i].name, id))
			add_file(&list, dirfd, files[i].name, files[i].name);
		else if (!is_left_over(files[i].name))
			add_damage(&list, files[i].name, "its name is not that of a report, ID.json");
	}
	qsort(list.report, list.n_reports, sizeof(*list.report), later_first);
	if (r == 0)
		r = lu_json_encode_text(&lu_doc_reports_table, &list, &text, error);
	if (r == 0)
		r = answer(c->memfd, text);
	lu_json_free(&lu_doc_reports_table, &list);
	return r;
}

static int tell_file(const struct lu_history_call *c, int dirfd, const char *path, struct lu_error *error)
{
	struct lu_doc_report doc = { 0 };
	_cleanup_free_ char *text = NULL;
	int r = lu_read_file(dirfd, path, LU_DOCUMENT_MAX, &text, NULL);

	if (r == 0)
		r = lu_json_decode_text(text, strlen(text), LU_DOCUMENT_MAX, path, &lu_doc_report_table, &doc, error);
	if (r == 0)
		r = answer(c->memfd, text);
	lu_json_free(&lu_doc_report_table, &doc);
	return r < 0 ? lu_error_set(error, r, "it may be removed", "%s: %s", path, strerror(-r)) : 0;
}

static bool begins(const char *id, const char *with)
{
	return !strncasecmp(id, with, strlen(with));
}

static int tell_one(const struct lu_history_call *c, int pkernfs_fd, int dirfd, struct lu_error *error)
{
	_cleanup_free_ struct entry *files = NULL;
	struct lu_doc_report last = { 0 };
	const char *found = NULL;
	size_t n = 0, matches = 0;
	char id[37];
	int r = dirfd < 0 ? 0 : list_files(dirfd, &files, &n);

	if (r < 0)
		return r;
	(void)lu_json_load(pkernfs_fd, LAST_REPORT, LU_DOCUMENT_MAX, &lu_doc_report_table, &last, NULL);
	for (size_t i = 0; i < n; i++) {
		if (!files[i].regular || !is_report(files[i].name, id) || !begins(id, c->id) ||
		    (last.id && !strcasecmp(id, last.id)))
			continue;
		found = files[i].name;
		matches++;
	}
	if (last.id && begins(last.id, c->id)) {
		found = NULL;
		matches++;
	}
	if (matches == 0)
		r = lu_error_set(error, -ENODATA, "luctl report --list names those that are kept",
				 "there is no report of an update %s", c->id);
	else if (matches > 1)
		r = lu_error_set(error, -ENOTUNIQ, "give more of its id: luctl report --list",
				 "%zu updates have an id that begins with %s", matches, c->id);
	else
		r = tell_file(c, found ? dirfd : pkernfs_fd, found ?: LAST_REPORT, error);
	lu_json_free(&lu_doc_report_table, &last);
	return r;
}

static int do_ask(void *arg, struct lu_error *error)
{
	const struct lu_history_call *c = arg;
	_cleanup_close_ int pkernfs_fd = -EBADF, dirfd = -EBADF;

	/* guests may stand still: they come first */
	(void)setpriority(PRIO_PROCESS, 0, 19);
	pkernfs_fd = open(c->env->config.pkernfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dirfd = open(LU_HISTORY_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0 && errno != ENOENT)
		return lu_error_set(error, -errno, NULL, LU_HISTORY_DIR ": %s", strerror(errno));
	return c->id ? tell_one(c, pkernfs_fd, dirfd, error) : tell_all(c, pkernfs_fd, dirfd, error);
}

static void on_answered(void *userdata, int r, struct lu_error *error)
{
	struct lu_history_call *c = userdata;
	_cleanup_free_ char *text = NULL;
	char path[32];

	if (r == 0) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", c->memfd);
		r = lu_read_file(AT_FDCWD, path, LU_DOCUMENT_MAX, &text, NULL);
	}
	c->told(c->userdata, r, text, error);
}

int lu_history_ask(const struct lu_update_env *env, const char *id, lu_history_told_t told, void *userdata,
		   struct lu_history_call **ret)
{
	struct lu_history_call *c = calloc(1, sizeof(*c));
	int r = 0;

	if (!c)
		return -ENOMEM;
	*c = (struct lu_history_call){ .env = env, .told = told, .userdata = userdata };
	c->memfd = memfd_create("reports", MFD_CLOEXEC);
	if (c->memfd < 0)
		r = -errno;
	if (r == 0 && id) {
		c->id = strdup(id);
		r = c->id ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = lu_worker_call(env->event, do_ask, c, ASK_TIMEOUT_USEC, on_answered, c, &c->worker);
	if (r < 0) {
		lu_history_call_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

struct lu_history_call *lu_history_call_free(struct lu_history_call *c)
{
	if (!c)
		return NULL;
	lu_worker_free(c->worker);
	closep(&c->memfd);
	free(c->id);
	free(c);
	return NULL;
}
