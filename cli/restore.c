// SPDX-License-Identifier: GPL-2.0-or-later
/* luctl restore */
#include "cli.h"

int verb_restore(struct cli *cli)
{
	_cleanup_(luctl_job_freep) struct luctl_job *job = NULL;
	int code;

	if (luctl_restore(cli->ctx, cli->args[0], &job) < 0) {
		code = cli_error_ctx(cli);
		return cli_outcome(cli, code, code == EXIT_UNREACHABLE ? "unreachable" : "failed",
				   luctl_last_error(cli->ctx), luctl_last_hint(cli->ctx));
	}
	return cli_job_run(cli, job);
}
