// SPDX-License-Identifier: GPL-2.0-or-later
/* luctl vm show */
#include <stdio.h>
#include <string.h>

#include "cli.h"

int verb_vm_show(struct cli *cli)
{
	_cleanup_(luctl_vm_freep) struct luctl_vm *vm = NULL;

	if (luctl_vm_get(cli->ctx, cli->args[0], &vm) < 0)
		return cli_error_ctx(cli);
	if (cli->json) {
		cli_print_json(luctl_vm_json(vm));
		return EXIT_OK;
	}
	cli_line(cli, "Name", "%s", luctl_vm_name(vm));
	cli_line(cli, "UUID", "%s", luctl_vm_uuid(vm) ?: "-");
	cli_line(cli, "State", "%s", luctl_vm_state(vm));
	cli_line(cli, "Updatable", "%s", luctl_vm_updatable(vm) ? "yes" : "no");
	if (luctl_vm_reason(vm))
		cli_line(cli, "Why not", "%s", luctl_vm_reason(vm));
	if (luctl_vm_hint(vm))
		cli_line(cli, "Hint", "%s", luctl_vm_hint(vm));
	if (strcmp(luctl_vm_policy(vm), "required") != 0)
		cli_line(cli, "Policy", "%s", luctl_vm_policy(vm));
	cli_line(cli, "QMP", "%s", luctl_vm_qmp(vm) ?: "-");
	if (luctl_vm_unit(vm))
		cli_line(cli, "Unit", "%s", luctl_vm_unit(vm));
	if (luctl_vm_pid(vm))
		cli_line(cli, "PID", "%llu", (unsigned long long)luctl_vm_pid(vm));
	for (const struct luctl_ram *m = luctl_vm_ram_first(vm); m; m = luctl_vm_ram_next(vm, m)) {
		char buf[32];

		cli_line(cli, "RAM", "%s, %s", luctl_ram_path(m), cli_bytes(luctl_ram_size(m), buf));
	}
	for (const char *const *p = luctl_vm_devices(vm); *p; p++)
		cli_line(cli, "Device", "%s, goes on during an update", *p);
	if (luctl_vm_keeper(vm))
		cli_line(cli, "Kept by", "process %llu, until luctl restore %s",
			 (unsigned long long)luctl_vm_keeper(vm), luctl_vm_name(vm));
	if (luctl_vm_restored_by(vm))
		cli_line(cli, "Restored", "by %s", luctl_vm_restored_by(vm));
	return EXIT_OK;
}
