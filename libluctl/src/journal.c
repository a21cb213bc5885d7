// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A VM's journal of calls, for people: read from a file without any daemon, or from luctld, which hands it out as an
 * open file (a copy in memory) together with what was committed. It is decoded and judged here, by the code that
 * lu-init executes it with; damage is a finding, not a failure.
 *
 * What luctld commits ties a journal to its devices.json: a whole journal that is not the committed one is an error, too.
 * That the kernel still tells the same is looked at by the update itself, right before the jump.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "calls.h"
#include "doc-journal.h"
#include "luctl-internal.h"

struct luctl_journal {
	struct lu_doc_journal doc;
	struct luctl_finding *findings; /* the document's texts */
	char *json;
};

/* What was committed, as luctld says; no boot id: nothing is. */
struct committed {
	const char *vm, *boot_id;
	uint64_t calls, sum;
};

static int add_finding(struct lu_doc_journal *d, enum lu_doc_journal_level level, const char *object, const char *what,
		       const char *hint)
{
	struct lu_doc_journal_finding *list = reallocarray(d->findings, d->n_findings + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	d->findings = list;
	list[d->n_findings++] = (struct lu_doc_journal_finding){
		.level = level, .object = strdup(object), .what = strdup(what), .hint = hint ? strdup(hint) : NULL
	};
	return list[d->n_findings - 1].object && list[d->n_findings - 1].what ? 0 : -ENOMEM;
}

static int add_error(struct lu_doc_journal *d, int r, const struct lu_error *e)
{
	const char *what = e->what ?: strerror(-r);
	size_t n = strlen(d->source);

	if (r == -ENOMEM)
		return r;
	/* an error names the file, which is the finding's object */
	if (!strncmp(what, d->source, n) && !strncmp(what + n, ": ", 2))
		what += n + 2;
	return add_finding(d, LU_DOC_JOURNAL_ERROR, d->source, what, e->hint);
}

/* --- one call --- */

static char *arg_text(const struct lu_calls *c, enum lu_call_format format, uint64_t v)
{
	char *text = NULL, bdf[24];
	int r = 0;

	if (format == LU_CALL_BDF) {
		lu_call_bdf(v, bdf);
		text = strdup(bdf);
	} else if (format == LU_CALL_FILE && v == LU_CALLS_NO_FILE) {
		text = strdup("none");
	} else if (format == LU_CALL_FILE && v >= c->n_files) {
		text = strdup("?");
	} else if (format == LU_CALL_FILE) {
		const struct lu_call *opener = &c->list[c->opened[v]];

		r = opener->file_id ? asprintf(&text, "%s/%d", opener->name, opener->file_id) :
				      asprintf(&text, "%s", opener->name);
	} else {
		r = format == LU_CALL_HEX ? asprintf(&text, "0x%" PRIx64, v) : asprintf(&text, "%" PRIu64, v);
	}
	return r < 0 ? NULL : text;
}

static int add_args(const struct lu_calls *c, const struct lu_call *call, struct lu_doc_call *to)
{
	const struct lu_call_type *type = &lu_call_types[call->kind];
	size_t n = type->n_args + call->n_list;

	to->args = calloc(n + 1, sizeof(*to->args));
	if (!to->args)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct lu_call_arg *arg = i < type->n_args ? &type->args[i] : &type->list;
		uint64_t v = i < type->n_args ? call->args[i] : call->list[i - type->n_args];

		to->args[i] = (struct lu_doc_call_arg){ .name = strdup(arg->name),
							.value = v,
							.text = arg_text(c, arg->format, v) };
		to->n_args++;
		if (!to->args[i].name || !to->args[i].text)
			return -ENOMEM;
	}
	return 0;
}

static char *describe(const struct lu_calls *c, size_t i)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	lu_call_describe(c, i, f);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

static int add_call(const struct lu_calls *c, size_t i, struct lu_doc_call *to)
{
	const struct lu_call *call = &c->list[i];
	const struct lu_call_type *type = &lu_call_types[call->kind];

	*to = (struct lu_doc_call){
		.number = i + 1,
		.object = strdup(call->name),
		.object_id = call->file_id,
		.file = call->file,
		.call = strdup(type->name),
		.request = type->request ?: LU_DOC_UNKNOWN,
		.id = call->expect ?: LU_DOC_UNKNOWN,
		.text = describe(c, i),
	};
	return to->object && to->call && to->text ? add_args(c, call, to) : -ENOMEM;
}

/* Counted first: a journal may have many, and each call gets its own at once. */
static int add_results(const struct lu_calls *c, struct lu_doc_journal *d)
{
	for (size_t i = 0; i < c->n_outcomes; i++)
		d->calls[c->outcomes[i].call - 1].n_results++;
	for (size_t i = 0; i < d->n_calls; i++) {
		struct lu_doc_call *call = &d->calls[i];

		if (!call->n_results)
			continue;
		call->results = calloc(call->n_results, sizeof(*call->results));
		if (!call->results)
			return -ENOMEM;
		call->n_results = 0;
	}
	for (size_t i = 0; i < c->n_outcomes; i++) {
		const struct lu_calls_outcome *o = &c->outcomes[i];
		struct lu_doc_call *call = &d->calls[o->call - 1];

		call->results[call->n_results++] = (struct lu_doc_call_result){
			.tsc = o->tsc, .boot = o->boot, .error = o->error, .id = o->id ?: LU_DOC_UNKNOWN
		};
	}
	return 0;
}

static int add_calls(const struct lu_calls *c, struct lu_doc_journal *d)
{
	d->calls = calloc(c->n + 1, sizeof(*d->calls));
	if (!d->calls)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++) {
		d->n_calls++;
		if (add_call(c, i, &d->calls[i]) < 0)
			return -ENOMEM;
	}
	return add_results(c, d);
}

/* --- the whole --- */

static int judge(const struct lu_calls *c, const struct committed *committed, struct lu_doc_journal *d)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int r = lu_calls_check(c, d->source, &e);

	if (r < 0)
		r = add_error(d, r, &e);
	if (r >= 0 && committed->vm && strcasecmp(committed->vm, c->vm) != 0)
		r = add_finding(d, LU_DOC_JOURNAL_ERROR, d->source, "is another VM's", NULL);
	if (r >= 0 && committed->boot_id &&
	    (strcasecmp(committed->boot_id, c->boot_id) != 0 || committed->calls != c->n || committed->sum != c->sum))
		r = add_finding(d, LU_DOC_JOURNAL_ERROR, d->source,
				"is not the one that was committed with devices.json", NULL);
	if (r >= 0 && c->outcomes_damaged)
		r = add_finding(d, LU_DOC_JOURNAL_ERROR, d->source,
				"what came of its calls is damaged from some place on; the calls are not",
				"it can be executed all the same, but nothing more is noted in it");
	if (r >= 0 && c->torn)
		r = add_finding(d, LU_DOC_JOURNAL_WARNING, d->source, "the last result was not written to its end",
				"whoever appends the next one cuts it off");
	return r;
}

static int fill(const void *data, size_t size, const struct committed *committed, struct lu_doc_journal *d)
{
	_cleanup_calls_ struct lu_calls c = LU_CALLS_INIT;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int r = lu_calls_decode(data, size, d->source, &c, &e);

	if (r < 0)
		return add_error(d, r, &e);
	d->vm = strdup(c.vm);
	d->boot_id = strdup(c.boot_id);
	if (!d->vm || !d->boot_id)
		return -ENOMEM;
	d->written_usec = c.stamp.realtime_ns / 1000;
	d->tsc = c.stamp.tsc;
	d->compat = c.compat;
	d->sum = c.sum;
	r = add_calls(&c, d);
	return r < 0 ? r : judge(&c, committed, d);
}

static int make(struct luctl_ctx *ctx, const char *source, const void *data, size_t size,
		const struct committed *committed, struct luctl_journal **ret)
{
	_cleanup_(luctl_journal_freep) struct luctl_journal *j = calloc(1, sizeof(*j));
	struct lu_doc_journal *d;
	int r;

	if (!j)
		return ctx_fail_oom(ctx);
	d = &j->doc;
	*d = (struct lu_doc_journal){ .source = strdup(source),
				      .written_usec = LU_DOC_UNKNOWN,
				      .tsc = LU_DOC_UNKNOWN,
				      .compat = LU_DOC_UNKNOWN,
				      .sum = LU_DOC_UNKNOWN };
	r = d->source ? fill(data, size, committed, d) : -ENOMEM;
	if (r < 0)
		return ctx_fail_oom(ctx);
	d->ok = true;
	for (size_t i = 0; i < d->n_findings; i++)
		d->ok &= d->findings[i].level != LU_DOC_JOURNAL_ERROR;
	r = lu_json_encode_text(&lu_doc_journal_table, d, &j->json, &ctx->error);
	if (r < 0)
		return r;
	j->findings = calloc(d->n_findings + 1, sizeof(*j->findings));
	if (!j->findings)
		return ctx_fail_oom(ctx);
	for (size_t i = 0; i < d->n_findings; i++)
		j->findings[i] = (struct luctl_finding){ .level = d->findings[i].level,
							 .object = d->findings[i].object,
							 .what = d->findings[i].what,
							 .hint = d->findings[i].hint };
	*ret = steal_ptr(j);
	return 0;
}

static int read_fd(struct luctl_ctx *ctx, const char *source, int fd, const struct committed *committed,
		   struct luctl_journal **ret)
{
	_cleanup_free_ char *data = NULL;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return ctx_fail(ctx, -errno, NULL, "%s: %s", source, strerror(errno));
	if (st.st_size > LU_CALLS_FILE_MAX)
		return ctx_fail(ctx, -EFBIG, NULL, "%s: too large for a journal of calls", source);
	data = malloc((size_t)st.st_size + 1);
	if (!data)
		return ctx_fail_oom(ctx);
	/* it may grow meanwhile, by whole results; what is there now counts */
	n = pread(fd, data, (size_t)st.st_size, 0);
	if (n < 0)
		return ctx_fail(ctx, -errno, NULL, "%s: %s", source, strerror(errno));
	return make(ctx, source, data, (size_t)n, committed, ret);
}

PUBLIC int luctl_journal_read(struct luctl_ctx *ctx, const char *vm, const char *file, struct luctl_journal **ret)
{
	_cleanup_message_ sd_bus_message *m = NULL, *reply = NULL;
	struct committed committed = { 0 };
	char source[128];
	int fd, r;

	ctx_begin(ctx);
	if (file) {
		_cleanup_close_ int opened = lu_open_regular(AT_FDCWD, file);

		if (opened < 0)
			return ctx_fail(ctx, opened, NULL, "%s: %s", file, strerror(-opened));
		return read_fd(ctx, file, opened, &committed, ret);
	}
	r = call_new(ctx, LU_BUS_PATH, LU_BUS_MANAGER, "OpenJournal", true, &m);
	if (r >= 0 && (r = sd_bus_message_append(m, "s", vm)) < 0)
		return ctx_fail_bus(ctx, r, NULL);
	if (r >= 0)
		r = call_send(ctx, m, &reply);
	if (r < 0)
		return r;
	r = sd_bus_message_read(reply, "hsstt", &fd, &committed.vm, &committed.boot_id, &committed.calls,
				&committed.sum);
	if (r < 0)
		return ctx_fail_bus(ctx, r, NULL);
	if (!committed.boot_id[0])
		committed.boot_id = NULL;
	snprintf(source, sizeof(source), "journal of VM %s", vm);
	return read_fd(ctx, source, fd, &committed, ret);
}

PUBLIC void luctl_journal_free(struct luctl_journal *journal)
{
	if (!journal)
		return;
	lu_json_free(&lu_doc_journal_table, &journal->doc);
	free(journal->findings);
	free(journal->json);
	free(journal);
}

PUBLIC const char *luctl_journal_json(const struct luctl_journal *journal)
{
	return journal->json;
}

PUBLIC const char *luctl_journal_source(const struct luctl_journal *journal)
{
	return journal->doc.source;
}

PUBLIC bool luctl_journal_ok(const struct luctl_journal *journal)
{
	return journal->doc.ok;
}

PUBLIC const char *luctl_journal_vm(const struct luctl_journal *journal)
{
	return journal->doc.vm;
}

PUBLIC const char *luctl_journal_boot_id(const struct luctl_journal *journal)
{
	return journal->doc.boot_id;
}

PUBLIC uint64_t luctl_journal_written(const struct luctl_journal *journal)
{
	return journal->doc.written_usec;
}

PUBLIC const struct luctl_finding *luctl_journal_finding_next(const struct luctl_journal *journal,
							      const struct luctl_finding *finding)
{
	size_t i = finding ? (size_t)(finding - journal->findings) + 1 : 0;

	return i < journal->doc.n_findings ? &journal->findings[i] : NULL;
}

/* The public name of the document's struct */
static const struct lu_doc_call *of(const struct luctl_call *call)
{
	return (const struct lu_doc_call *)call;
}

PUBLIC const struct luctl_call *luctl_journal_call_next(const struct luctl_journal *journal,
							const struct luctl_call *call)
{
	size_t i = call ? (size_t)(of(call) - journal->doc.calls) + 1 : 0;

	return i < journal->doc.n_calls ? (const struct luctl_call *)&journal->doc.calls[i] : NULL;
}

PUBLIC uint64_t luctl_call_number(const struct luctl_call *call)
{
	return of(call)->number;
}

PUBLIC const char *luctl_call_object(const struct luctl_call *call, int *ret_id)
{
	if (ret_id)
		*ret_id = of(call)->object_id;
	return of(call)->object;
}

PUBLIC const char *luctl_call_name(const struct luctl_call *call)
{
	return of(call)->call;
}

PUBLIC const char *luctl_call_arg(const struct luctl_call *call, unsigned int index, const char **ret_name)
{
	if (index >= of(call)->n_args)
		return NULL;
	if (ret_name)
		*ret_name = of(call)->args[index].name;
	return of(call)->args[index].text;
}

PUBLIC uint64_t luctl_call_id(const struct luctl_call *call)
{
	return of(call)->id;
}

PUBLIC unsigned int luctl_call_tries(const struct luctl_call *call)
{
	return (unsigned int)of(call)->n_results;
}

PUBLIC int luctl_call_error(const struct luctl_call *call)
{
	return of(call)->n_results ? (int)of(call)->results[of(call)->n_results - 1].error : 0;
}
