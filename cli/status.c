// SPDX-License-Identifier: GPL-2.0-or-later
/* luctl status */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static int parse_timeout(struct cli *cli, uint64_t *ret)
{
	const char *s = cli_value(cli, "timeout");
	unsigned long long v;
	char *end;

	*ret = LUCTL_FOREVER;
	if (!s)
		return 0;
	if (!cli_flag(cli, "wait"))
		return cli_error(cli, EXIT_USAGE, "luctl status --wait --timeout SECONDS",
				 "--timeout goes with --wait");
	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno || end == s || *end || s[0] < '0' || s[0] > '9' || v > 1000000000)
		return cli_error(cli, EXIT_USAGE, "give whole seconds, such as 300",
				 "--timeout %s: not a number of seconds", s);
	*ret = v * 1000000;
	return 0;
}

static void print_status(struct cli *cli, const struct luctl_status *s)
{
	const char *result = luctl_status_result(s);
	char size[32], avail[32], when[64];

	if (result && strcmp(luctl_status_state(s), "aborted") == 0 && strcmp(result, "success") == 0)
		cli_line(cli, "State", "at rest (last update: a rehearsal that came to the jump and back)");
	else if (result)
		cli_line(cli, "State", "%s (last update: %s)", luctl_status_state(s), result);
	else
		cli_line(cli, "State", "%s", luctl_status_state(s));
	if (luctl_status_updating(s)) {
		cli_line(cli, "Update", "to %s, since %s", luctl_status_update_kernel(s),
			 cli_time(luctl_status_update_since(s), when));
		cli_line(cli, "Update ID", "%s", luctl_status_update_id(s));
	}
	cli_line(cli, "Kernel", "%s", luctl_status_kernel(s));
	cli_line(cli, "Daemon", "luctld %s", luctl_status_daemon(s));
	if (luctl_status_pkernfs_mounted(s))
		cli_line(cli, "pkernfs", "%s, %s of %s free", luctl_status_pkernfs_path(s),
			 cli_bytes(luctl_status_pkernfs_free(s), avail), cli_bytes(luctl_status_pkernfs_size(s), size));
	else
		cli_line(cli, "pkernfs", "%s, not mounted", luctl_status_pkernfs_path(s));
	if (luctl_status_pkernfs_bad_pages(s) && luctl_status_pkernfs_bad_pages(s) != LUCTL_UNKNOWN)
		cli_line(cli, "Bad memory", "%llu pages of 4 KiB; luctl pkernfs show names the files",
			 (unsigned long long)luctl_status_pkernfs_bad_pages(s));
	cli_line(cli, "VMs", "%llu, %llu of them updatable", (unsigned long long)luctl_status_vms_total(s),
		 (unsigned long long)luctl_status_vms_updatable(s));
	if (luctl_status_error(s))
		cli_line(cli, "Error", "%s", luctl_status_error(s));
	if (luctl_status_hint(s))
		cli_line(cli, "Hint", "%s", luctl_status_hint(s));
}

int verb_status(struct cli *cli)
{
	_cleanup_(luctl_status_freep) struct luctl_status *status = NULL;
	uint64_t timeout;
	int r;

	r = parse_timeout(cli, &timeout);
	if (r != 0)
		return r;
	if (cli_flag(cli, "wait"))
		r = luctl_status_wait(cli->ctx, timeout, &status);
	else
		r = luctl_status_get(cli->ctx, &status);
	if (r < 0)
		return cli_error_ctx(cli);
	if (cli->json)
		cli_print_json(luctl_status_json(status));
	else
		print_status(cli, status);
	return luctl_status_updating(status) ? EXIT_OK : cli_result(luctl_status_result(status));
}
