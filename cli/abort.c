// SPDX-License-Identifier: GPL-2.0-or-later
/* luctl abort */
#include <stdio.h>

#include "cli.h"

int verb_abort(struct cli *cli)
{
	int code;

	if (luctl_abort(cli->ctx) < 0) {
		code = cli_error_ctx(cli);
		return cli_outcome(cli, code, code == EXIT_UNREACHABLE ? "unreachable" : "failed",
				   luctl_last_error(cli->ctx), luctl_last_hint(cli->ctx));
	}
	if (!cli->json)
		puts("The update is being aborted; the guests go on with this kernel.");
	return cli_outcome(cli, EXIT_OK, "success", NULL, NULL);
}
