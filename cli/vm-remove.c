// SPDX-License-Identifier: GPL-2.0-or-later
/* luctl vm remove */
#include "cli.h"

int verb_vm_remove(struct cli *cli)
{
	int code;

	if (luctl_vm_remove(cli->ctx, cli->args[0]) < 0) {
		code = cli_error_ctx(cli);
		return cli_outcome(cli, code, code == EXIT_UNREACHABLE ? "unreachable" : "failed",
				   luctl_last_error(cli->ctx), luctl_last_hint(cli->ctx));
	}
	return cli_outcome(cli, EXIT_OK, "success", NULL, NULL);
}
