// SPDX-License-Identifier: GPL-2.0-or-later
/* luctl vm add: hands a definition to the daemon, which alone judges it. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

#define DEFINITION_MAX 65536u

int verb_vm_add(struct cli *cli)
{
	_cleanup_free_ char *text = NULL;
	const char *file = cli->args[0];
	int r, code;

	r = lu_read_file(AT_FDCWD, strcmp(file, "-") == 0 ? "/dev/stdin" : file, DEFINITION_MAX, &text, NULL);
	if (r < 0)
		return cli_error(cli, EXIT_FAILED,
				 r == -EFBIG || r == -EINVAL ? "a definition is a small JSON text, see luctl-vms(5)" :
							       NULL,
				 "%s: %s", file, strerror(-r));
	if (luctl_vm_add(cli->ctx, text) < 0) {
		code = cli_error_ctx(cli);
		return cli_outcome(cli, code, code == EXIT_UNREACHABLE ? "unreachable" : "failed",
				   luctl_last_error(cli->ctx), luctl_last_hint(cli->ctx));
	}
	return cli_outcome(cli, EXIT_OK, "success", NULL, NULL);
}
