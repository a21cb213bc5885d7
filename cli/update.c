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

/* "2.5": microseconds; 0 if nothing was said */
static int parse_blackout(struct cli *cli, uint64_t *ret)
{
	const char *s = cli_value(cli, "max-blackout");
	double v;
	char *end;

	*ret = 0;
	if (!s)
		return 0;
	v = strtod(s, &end);
	if (end == s || *end || strspn(s, "0123456789.") != strlen(s) || !(v >= 0.001 && v <= 1e6))
		return cli_error(cli, EXIT_USAGE, "give seconds, such as 2.5",
				 "--max-blackout %s: not a number of seconds from 0.001 to 1000000", s);
	*ret = (uint64_t)(v * 1e6 + 0.5);
	return 0;
}

int cli_plan(struct cli *cli, bool may_lack_kernel, struct luctl_plan **ret)
{
	_cleanup_(luctl_plan_freep) struct luctl_plan *plan = NULL;
	const char *kernel = cli_value(cli, "kernel"), *s;
	bool installed = kernel ? !strchr(kernel, '/') : !may_lack_kernel;
	uint64_t most;
	size_t i = 0;
	int r;

	r = parse_blackout(cli, &most);
	if (r != 0)
		return r;
	if (cli_flag(cli, "reuse-cmdline") && cli_flag(cli, "cmdline"))
		return cli_error(cli, EXIT_USAGE, "give only one of them",
				 "--cmdline and --reuse-cmdline exclude each other");
	if (cli_flag(cli, "no-initrd") && cli_flag(cli, "initrd"))
		return cli_error(cli, EXIT_USAGE, "give only one of them",
				 "--initrd and --no-initrd exclude each other");
	if (cli_flag(cli, "trial") && cli_flag(cli, "no-trial"))
		return cli_error(cli, EXIT_USAGE, "give only one of them", "--trial and --no-trial exclude each other");
	r = installed ? luctl_plan_new_installed(cli->ctx, kernel, &plan) : luctl_plan_new(cli->ctx, kernel, &plan);
	if (r >= 0 && (s = cli_value(cli, "initrd")))
		r = luctl_plan_set_initrd(plan, s);
	if (r >= 0)
		r = luctl_plan_set_no_initrd(plan, cli_flag(cli, "no-initrd"));
	if (r >= 0 && (s = cli_value(cli, "cmdline")))
		r = luctl_plan_set_cmdline(plan, s);
	if (r >= 0)
		r = luctl_plan_set_reuse_cmdline(plan, cli_flag(cli, "reuse-cmdline"));
	if (r >= 0 && (cli_flag(cli, "trial") || cli_flag(cli, "no-trial")))
		r = luctl_plan_set_trial(plan, cli_flag(cli, "trial") ? LUCTL_TRIAL_YES : LUCTL_TRIAL_NO);
	if (r >= 0)
		r = luctl_plan_set_max_blackout(plan, most);
	while (r >= 0 && (s = cli_value_each(cli, "exclude", &i)))
		r = luctl_plan_exclude(plan, s);
	if (r < 0)
		return cli_error_ctx(cli);
	if (installed && !cli->json)
		fprintf(stderr, "Kernel %s, %s%s\n", luctl_plan_kernel(plan),
			luctl_plan_initrd(plan) ? "initrd " : "no initrd", luctl_plan_initrd(plan) ?: "");
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
	if (cli_flag(cli, "rehearse"))
		fputs("The host's services stop, its guests pause for some seconds, and all go on in this kernel.\n"
		      "Rehearse now? [y/N] ",
		      stderr);
	else
		fprintf(stderr,
			"The host's services stop, its guests pause for some seconds and go on in %s%s%s%s.\nUpdate "
			"now? [y/N] ",
			kernel ?: "?", luctl_check_release(check) ? " (" : "", luctl_check_release(check) ?: "",
			luctl_check_release(check) ? ")" : "");
	if (getline(&line, &size, stdin) > 0 && (line[0] == 'y' || line[0] == 'Y'))
		return 0;
	return cli_error(cli, EXIT_FAILED, NULL, "not confirmed, nothing was touched");
}

static int fail(struct cli *cli)
{
	int r = cli_error_ctx(cli);

	return cli_outcome(cli, r,
			   r == EXIT_UNREACHABLE ? "unreachable" :
			   r == EXIT_REFUSED     ? "refused" :
						   "failed",
			   luctl_last_error(cli->ctx), luctl_last_hint(cli->ctx));
}

static int ask_vmm(struct cli *cli)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	if (cli_flag(cli, "yes"))
		return 0;
	if (!isatty(STDIN_FILENO) || cli->json)
		return cli_error(cli, EXIT_USAGE, "give --yes", "nobody to ask whether the update shall begin");
	fprintf(stderr,
		"%s, one after the other, will pause for a moment and go on in the QEMU that is installed now.\n"
		"Update now? [y/N] ",
		cli->n_args ? "The guests named" : "All guests that run");
	if (getline(&line, &size, stdin) > 0 && (line[0] == 'y' || line[0] == 'Y'))
		return 0;
	return cli_error(cli, EXIT_FAILED, NULL, "not confirmed, nothing was touched");
}

/* The kernel stays: nothing of what says which kernel belongs here. */
static int update_vmm(struct cli *cli)
{
	static const char *const others[] = { "kernel", "initrd",   "no-initrd", "cmdline",  "reuse-cmdline",
					      "trial",  "no-trial", "exclude",   "rehearse", "max-blackout" };
	_cleanup_(luctl_job_freep) struct luctl_job *job = NULL;
	_cleanup_free_ const char **vms = NULL;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (cli_flag(cli, others[i]))
			return cli_error(cli, EXIT_USAGE, "luctl update --help", "--vmm and --%s exclude each other",
					 others[i]);
	r = ask_vmm(cli);
	if (r != 0)
		return r;
	vms = calloc((size_t)cli->n_args + 1, sizeof(*vms));
	if (!vms)
		return cli_error(cli, EXIT_FAILED, NULL, "out of memory");
	for (int i = 0; i < cli->n_args; i++)
		vms[i] = cli->args[i];
	if (luctl_update_vmm(cli->ctx, cli->n_args ? vms : NULL, &job) >= 0)
		return cli_job_run(cli, job);
	return fail(cli);
}

/* How long this host was away the last time */
static void learn_back(struct cli *cli)
{
	_cleanup_(luctl_report_freep) struct luctl_report *rep = NULL;
	uint64_t jump = LUCTL_UNKNOWN, back = LUCTL_UNKNOWN;

	if (luctl_report_get(cli->ctx, &rep) < 0)
		return;
	for (const struct luctl_phase *p = luctl_report_phase_first(rep); p; p = luctl_report_phase_next(rep, p)) {
		/* the jump is never told to have ended, if it came off; kexec is */
		if (!luctl_phase_in_new_kernel(p) &&
		    (strcmp(luctl_phase_name(p), "jump") == 0 || strcmp(luctl_phase_name(p), "kexec") == 0))
			jump = luctl_phase_start(p);
		if (luctl_phase_in_new_kernel(p) && strcmp(luctl_phase_name(p), "adopting") == 0)
			back = luctl_phase_start(p);
	}
	if (jump != LUCTL_UNKNOWN && back != LUCTL_UNKNOWN && back > jump)
		cli->back_usec = back - jump;
}

int verb_update(struct cli *cli)
{
	_cleanup_(luctl_plan_freep) struct luctl_plan *plan = NULL;
	_cleanup_(luctl_check_freep) struct luctl_check *check = NULL;
	_cleanup_(luctl_job_freep) struct luctl_job *job = NULL;
	int r;

	if (cli_flag(cli, "vmm"))
		return update_vmm(cli);
	if (cli->n_args)
		return cli_error(cli, EXIT_USAGE, "luctl update --help", "unexpected argument: %s", cli->args[0]);
	r = cli_plan(cli, false, &plan);
	if (r != 0)
		return r;
	/* the check is to say all that an update would */
	if (!cli_flag(cli, "trial") && !cli_flag(cli, "no-trial") && luctl_plan_set_trial(plan, LUCTL_TRIAL_AUTO) < 0)
		return fail(cli);
	if (luctl_check(plan, &check) < 0)
		return fail(cli);
	if (!luctl_check_ok(check))
		return tell_refusal(cli, check);
	r = ask(cli, check);
	if (r != 0)
		return r;
	if (!cli_flag(cli, "rehearse"))
		learn_back(cli);
	r = cli_flag(cli, "rehearse") ? luctl_rehearse(plan, &job) : luctl_update(plan, &job);
	return r < 0 ? fail(cli) : cli_job_run(cli, job);
}
