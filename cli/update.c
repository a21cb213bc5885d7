// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * luctl update: check, ask, update.
 *
 * The check comes first and on its own, so that a person sees its findings before
 * anything begins; the daemon checks again when the update starts, which is what counts.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"

int cli_plan(struct cli *cli, bool may_lack_kernel, struct luctl_plan **ret)
{
	_cleanup_(luctl_plan_freep) struct luctl_plan *plan = NULL;
	const char *kernel = cli_value(cli, "kernel"), *s;
	char hint[64];
	size_t i = 0;
	int r;

	if (!kernel && !may_lack_kernel) {
		snprintf(hint, sizeof(hint), "luctl %s --kernel /boot/vmlinuz-RELEASE", cli->verb->name);
		return cli_error(cli, EXIT_USAGE, hint, "no kernel given");
	}
	if (cli_flag(cli, "reuse-cmdline") && cli_flag(cli, "cmdline"))
		return cli_error(cli, EXIT_USAGE, "give only one of them",
				 "--cmdline and --reuse-cmdline exclude each other");
	r = luctl_plan_new(cli->ctx, kernel, &plan);
	if (r >= 0 && (s = cli_value(cli, "initrd")))
		r = luctl_plan_set_initrd(plan, s);
	if (r >= 0 && (s = cli_value(cli, "cmdline")))
		r = luctl_plan_set_cmdline(plan, s);
	if (r >= 0)
		r = luctl_plan_set_reuse_cmdline(plan, cli_flag(cli, "reuse-cmdline"));
	while (r >= 0 && (s = cli_value_each(cli, "exclude", &i)))
		r = luctl_plan_exclude(plan, s);
	if (r < 0)
		return cli_error_ctx(cli);
	*ret = steal_ptr(plan);
	return 0;
}

static int tell_refusal(struct cli *cli, const struct luctl_check *check)
{
	const struct luctl_finding *first = NULL;
	int more = 0;

	for (const struct luctl_finding *f = luctl_check_first(check); f; f = luctl_check_next(check, f)) {
		if (strcmp(luctl_finding_level(f), "error") != 0)
			continue;
		if (first)
			more++;
		else
			first = f;
		(void)cli_error(
			cli, EXIT_REFUSED, luctl_finding_hint(f), "%s%s%s",
			strncmp(luctl_finding_what(f), luctl_finding_object(f), strlen(luctl_finding_object(f))) ?
				luctl_finding_object(f) :
				"",
			strncmp(luctl_finding_what(f), luctl_finding_object(f), strlen(luctl_finding_object(f))) ?
				": " :
				"",
			luctl_finding_what(f));
	}
	(void)cli_error(cli, EXIT_REFUSED, "luctl check lists all findings", "update refused, nothing was touched");
	return cli_outcome(cli, EXIT_REFUSED, "refused", first ? luctl_finding_what(first) : NULL,
			   first ? luctl_finding_hint(first) : NULL);
}

static int ask(struct cli *cli, const struct luctl_check *check)
{
	_cleanup_free_ char *line = NULL, *kernel = cli_safe(luctl_check_kernel(check));
	size_t size = 0;

	if (cli_flag(cli, "yes"))
		return 0;
	if (!isatty(STDIN_FILENO) || cli->json)
		return cli_error(cli, EXIT_USAGE, "give --yes", "nobody to ask whether the update shall begin");
	fprintf(stderr,
		"The host's services stop, its guests pause for some seconds and go on in %s%s%s%s.\nUpdate "
		"now? [y/N] ",
		kernel ?: "?", luctl_check_release(check) ? " (" : "", luctl_check_release(check) ?: "",
		luctl_check_release(check) ? ")" : "");
	if (getline(&line, &size, stdin) > 0 && (line[0] == 'y' || line[0] == 'Y'))
		return 0;
	return cli_error(cli, EXIT_FAILED, NULL, "not confirmed, nothing was touched");
}

int verb_update(struct cli *cli)
{
	_cleanup_(luctl_plan_freep) struct luctl_plan *plan = NULL;
	_cleanup_(luctl_check_freep) struct luctl_check *check = NULL;
	_cleanup_(luctl_job_freep) struct luctl_job *job = NULL;
	int r;

	r = cli_plan(cli, false, &plan);
	if (r != 0)
		return r;
	if (luctl_check(plan, &check) < 0)
		goto fail;
	if (!luctl_check_ok(check))
		return tell_refusal(cli, check);
	r = ask(cli, check);
	if (r != 0)
		return r;
	if (luctl_update(plan, &job) < 0)
		goto fail;
	if (!cli->json) {
		puts("At the jump the connection of this terminal may go away, and this command ends with "
		     "the old kernel.\n"
		     "Afterwards 'luctl report' tells the result.");
		fflush(stdout);
	}
	return cli_job_run(cli, job);
fail:
	r = cli_error_ctx(cli);
	return cli_outcome(cli, r,
			   r == EXIT_UNREACHABLE ? "unreachable" :
			   r == EXIT_REFUSED     ? "refused" :
						   "failed",
			   luctl_last_error(cli->ctx), luctl_last_hint(cli->ctx));
}
