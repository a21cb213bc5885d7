// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * luctl vm forget: the one way to give up a state that an update saved. It can't be taken back, so it
 * says what is lost and asks.
 */
#include <stdio.h>

#include "cli.h"

static int fail(struct cli *cli)
{
	int code = cli_error_ctx(cli);

	return cli_outcome(cli, code, code == EXIT_UNREACHABLE ? "unreachable" : "failed", luctl_last_error(cli->ctx),
			   luctl_last_hint(cli->ctx));
}

static void tell(const struct luctl_vm *vm)
{
	_cleanup_free_ char *name = cli_safe(luctl_vm_name(vm));

	fprintf(stderr,
		"VM %s: what an update saved of it is given up for good. Its guest can't go on any more, only be started anew:\n"
		"what it had in memory and had not written to its disks is lost, as by a power cut.\n",
		name ?: "?");
	if (luctl_vm_keeper(vm))
		fprintf(stderr, "Process %llu, which keeps its devices going, is ended, and they stop.\n",
			(unsigned long long)luctl_vm_keeper(vm));
}

static int ask(struct cli *cli, const struct luctl_vm *vm)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	if (cli_flag(cli, "yes"))
		return 0;
	if (!cli->json)
		tell(vm);
	if (!isatty(STDIN_FILENO) || cli->json)
		return cli_error(cli, EXIT_USAGE, "give --yes; luctl restore brings it up instead",
				 "nobody to ask whether the saved state shall be given up");
	fputs("Forget it? [y/N] ", stderr);
	if (getline(&line, &size, stdin) > 0 && (line[0] == 'y' || line[0] == 'Y'))
		return 0;
	return cli_error(cli, EXIT_FAILED, NULL, "not confirmed, nothing was touched");
}

int verb_vm_forget(struct cli *cli)
{
	_cleanup_(luctl_vm_freep) struct luctl_vm *vm = NULL;
	int r;

	if (luctl_vm_get(cli->ctx, cli->args[0], &vm) < 0)
		return fail(cli);
	r = ask(cli, vm);
	if (r != 0)
		return r;
	if (luctl_vm_forget(cli->ctx, luctl_vm_uuid(vm) ?: cli->args[0]) < 0)
		return fail(cli);
	return cli_outcome(cli, EXIT_OK, "success", NULL, NULL);
}
