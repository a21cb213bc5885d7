// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A plan: what an update shall do. The same plan can be judged, checked and then carried
 * out, so what was checked is what is asked for. It borrows its context.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "installed.h"
#include "luctl-internal.h"

static int absolute(struct luctl_ctx *ctx, const char *path, char **ret)
{
	_cleanup_free_ char *cwd = NULL;
	char *s;

	if (!*path)
		return ctx_fail(ctx, -EINVAL, NULL, "the path is empty");
	if (path[0] == '/') {
		s = strdup(path);
	} else {
		cwd = getcwd(NULL, 0);
		if (!cwd)
			return ctx_fail(ctx, -errno, "give an absolute path", "current directory: %s", strerror(errno));
		if (asprintf(&s, "%s/%s", cwd, path) < 0)
			s = NULL;
	}
	if (!s)
		return ctx_fail_oom(ctx);
	free(*ret);
	*ret = s;
	return 0;
}

PUBLIC int luctl_plan_new(struct luctl_ctx *ctx, const char *kernel, struct luctl_plan **ret_plan)
{
	struct luctl_plan *plan;
	int r;

	ctx_begin(ctx);
	plan = calloc(1, sizeof(*plan));
	if (!plan)
		return ctx_fail_oom(ctx);
	plan->ctx = ctx;
	r = kernel ? absolute(ctx, kernel, &plan->kernel) : 0;
	if (r < 0) {
		luctl_plan_free(plan);
		return r;
	}
	*ret_plan = plan;
	return 0;
}

PUBLIC int luctl_plan_new_installed(struct luctl_ctx *ctx, const char *release, struct luctl_plan **ret_plan)
{
	struct lu_installed k;
	struct luctl_plan *plan;
	int r;

	ctx_begin(ctx);
	r = lu_installed_find(AT_FDCWD, release, &k, &ctx->error);
	if (r < 0)
		return r;
	plan = calloc(1, sizeof(*plan));
	if (!plan) {
		lu_installed_clear(&k);
		return ctx_fail_oom(ctx);
	}
	plan->ctx = ctx;
	plan->kernel = steal_ptr(k.image);
	plan->initrd = steal_ptr(k.initrd);
	lu_installed_clear(&k);
	*ret_plan = plan;
	return 0;
}

PUBLIC void luctl_plan_free(struct luctl_plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; i < plan->n_exclude; i++)
		free(plan->exclude[i]);
	free(plan->exclude);
	free(plan->kernel);
	free(plan->initrd);
	free(plan->cmdline);
	free(plan);
}

PUBLIC const char *luctl_plan_kernel(const struct luctl_plan *plan)
{
	return plan->kernel;
}

PUBLIC const char *luctl_plan_initrd(const struct luctl_plan *plan)
{
	return plan->initrd;
}

PUBLIC int luctl_plan_set_initrd(struct luctl_plan *plan, const char *initrd)
{
	ctx_begin(plan->ctx);
	return absolute(plan->ctx, initrd, &plan->initrd);
}

PUBLIC int luctl_plan_set_no_initrd(struct luctl_plan *plan, bool none)
{
	ctx_begin(plan->ctx);
	plan->no_initrd = none;
	if (none)
		free(steal_ptr(plan->initrd));
	return 0;
}

static int fail_both(struct luctl_plan *plan)
{
	return ctx_fail(plan->ctx, -EINVAL, "give only one of them",
			"a command line and reuse of the running one exclude each other");
}

PUBLIC int luctl_plan_set_cmdline(struct luctl_plan *plan, const char *cmdline)
{
	char *copy;

	ctx_begin(plan->ctx);
	if (plan->reuse)
		return fail_both(plan);
	copy = strdup(cmdline);
	if (!copy)
		return ctx_fail_oom(plan->ctx);
	free(plan->cmdline);
	plan->cmdline = copy;
	return 0;
}

PUBLIC int luctl_plan_set_reuse_cmdline(struct luctl_plan *plan, bool reuse)
{
	ctx_begin(plan->ctx);
	if (reuse && plan->cmdline)
		return fail_both(plan);
	plan->reuse = reuse;
	return 0;
}

PUBLIC int luctl_plan_set_trial(struct luctl_plan *plan, enum luctl_trial trial)
{
	ctx_begin(plan->ctx);
	plan->trial = trial;
	return 0;
}

PUBLIC int luctl_plan_set_max_blackout(struct luctl_plan *plan, uint64_t usec)
{
	ctx_begin(plan->ctx);
	plan->max_blackout = usec;
	return 0;
}

PUBLIC int luctl_plan_exclude(struct luctl_plan *plan, const char *vm)
{
	char **list, *copy;

	ctx_begin(plan->ctx);
	copy = strdup(vm);
	list = reallocarray(plan->exclude, plan->n_exclude + 1, sizeof(*list));
	if (list)
		plan->exclude = list;
	if (!copy || !list) {
		free(copy);
		return ctx_fail_oom(plan->ctx);
	}
	plan->exclude[plan->n_exclude++] = copy;
	return 0;
}

static int append_exclude(sd_bus_message *m, const struct luctl_plan *plan)
{
	int r;

	r = sd_bus_message_open_container(m, 'e', "sv");
	if (r >= 0)
		r = sd_bus_message_append(m, "s", "exclude");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'v', "as");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "s");
	for (size_t i = 0; r >= 0 && i < plan->n_exclude; i++)
		r = sd_bus_message_append(m, "s", plan->exclude[i]);
	for (int i = 0; r >= 0 && i < 3; i++)
		r = sd_bus_message_close_container(m);
	return r;
}

/*
 * The file as we may open it: luctld opens none by itself but for root. What can't be opened here is left out, and
 * luctld says of the path what it has to say.
 */
static int append_file(sd_bus_message *m, const char *option, const char *path)
{
	_cleanup_close_ int fd = lu_open_regular(AT_FDCWD, path);

	return fd < 0 ? 0 : sd_bus_message_append(m, "{sv}", option, "h", fd);
}

int plan_append(const struct luctl_plan *plan, bool rehearse, sd_bus_message *m)
{
	static const char *const trials[] = {
		[LUCTL_TRIAL_NO] = "no", [LUCTL_TRIAL_YES] = "yes", [LUCTL_TRIAL_AUTO] = "auto"
	};
	int r;

	r = sd_bus_message_append(m, "s", plan->kernel ?: "");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "{sv}");
	if (r >= 0 && plan->initrd)
		r = sd_bus_message_append(m, "{sv}", "initrd", "s", plan->initrd);
	if (r >= 0 && plan->kernel)
		r = append_file(m, "kernel-fd", plan->kernel);
	if (r >= 0 && plan->initrd)
		r = append_file(m, "initrd-fd", plan->initrd);
	if (r >= 0 && plan->no_initrd)
		r = sd_bus_message_append(m, "{sv}", "no-initrd", "b", 1);
	plan->ctx->slow = plan->trial == LUCTL_TRIAL_YES || plan->trial == LUCTL_TRIAL_AUTO;
	if (r >= 0 && plan->trial != LUCTL_TRIAL_DEFAULT)
		r = sd_bus_message_append(m, "{sv}", "trial", "s", trials[plan->trial]);
	if (r >= 0 && plan->cmdline)
		r = sd_bus_message_append(m, "{sv}", "cmdline", "s", plan->cmdline);
	if (r >= 0 && plan->reuse)
		r = sd_bus_message_append(m, "{sv}", "reuse-cmdline", "b", 1);
	if (r >= 0 && plan->max_blackout)
		r = sd_bus_message_append(m, "{sv}", "max-blackout", "t", plan->max_blackout);
	if (r >= 0 && rehearse)
		r = sd_bus_message_append(m, "{sv}", "rehearse", "b", 1);
	if (r >= 0 && plan->n_exclude > 0)
		r = append_exclude(m, plan);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r < 0)
		return ctx_fail(plan->ctx, r, "paths, command line and names must be UTF-8 text",
				"the plan cannot be sent: %s", strerror(-r));
	return 0;
}

PUBLIC int luctl_check(struct luctl_plan *plan, struct luctl_check **ret_check)
{
	_cleanup_message_ sd_bus_message *m = NULL;
	struct luctl_check *check;
	int r;

	ctx_begin(plan->ctx);
	r = call_new(plan->ctx, LU_BUS_PATH, LU_BUS_MANAGER, "Check", true, &m);
	if (r < 0)
		return r;
	r = plan_append(plan, false, m);
	if (r < 0)
		return r;
	check = calloc(1, sizeof(*check));
	if (!check)
		return ctx_fail_oom(plan->ctx);
	r = call_document(plan->ctx, m, &lu_doc_check_table, &check->doc, &check->json);
	if (r < 0) {
		free(check);
		return r;
	}
	*ret_check = check;
	return 0;
}

static int start_update(struct luctl_plan *plan, bool rehearse, struct luctl_job **ret_job)
{
	_cleanup_message_ sd_bus_message *m = NULL;
	int r;

	ctx_begin(plan->ctx);
	r = call_new(plan->ctx, LU_BUS_PATH, LU_BUS_MANAGER, "Update", true, &m);
	if (r < 0)
		return r;
	r = plan_append(plan, rehearse, m);
	if (r < 0)
		return r;
	return job_call(plan->ctx, m, ret_job);
}

PUBLIC int luctl_update(struct luctl_plan *plan, struct luctl_job **ret_job)
{
	return start_update(plan, false, ret_job);
}

PUBLIC int luctl_rehearse(struct luctl_plan *plan, struct luctl_job **ret_job)
{
	return start_update(plan, true, ret_job);
}

PUBLIC int luctl_update_vmm(struct luctl_ctx *ctx, const char *const *vms, struct luctl_job **ret_job)
{
	_cleanup_message_ sd_bus_message *m = NULL;
	int r;

	ctx_begin(ctx);
	r = call_new(ctx, LU_BUS_PATH, LU_BUS_MANAGER, "UpdateVMM", true, &m);
	if (r < 0)
		return r;
	r = sd_bus_message_append_strv(m, (char **)vms);
	if (r < 0)
		return ctx_fail(ctx, r, "names must be UTF-8 text", "the names cannot be sent: %s", strerror(-r));
	return job_call(ctx, m, ret_job);
}

PUBLIC void luctl_check_free(struct luctl_check *check)
{
	if (!check)
		return;
	lu_json_free(&lu_doc_check_table, &check->doc);
	free(check->json);
	free(check);
}

PUBLIC const char *luctl_check_json(const struct luctl_check *check)
{
	return check->json;
}

PUBLIC bool luctl_check_ok(const struct luctl_check *check)
{
	return check->doc.ok;
}

PUBLIC const char *luctl_check_kernel(const struct luctl_check *check)
{
	return check->doc.kernel;
}

PUBLIC const char *luctl_check_release(const struct luctl_check *check)
{
	return check->doc.release;
}

PUBLIC const struct luctl_finding *luctl_check_first(const struct luctl_check *check)
{
	return check->doc.n > 0 ? check->doc.finding : NULL;
}

PUBLIC const struct luctl_finding *luctl_check_next(const struct luctl_check *check,
						    const struct luctl_finding *finding)
{
	size_t i = (size_t)(finding - check->doc.finding) + 1;

	return i < check->doc.n ? &check->doc.finding[i] : NULL;
}

PUBLIC const char *luctl_finding_level(const struct luctl_finding *finding)
{
	return lu_doc_levels[finding->level];
}

PUBLIC const char *luctl_finding_object(const struct luctl_finding *finding)
{
	return finding->object;
}

PUBLIC const char *luctl_finding_what(const struct luctl_finding *finding)
{
	return finding->what;
}

PUBLIC const char *luctl_finding_hint(const struct luctl_finding *finding)
{
	return finding->hint;
}
