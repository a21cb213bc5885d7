// SPDX-License-Identifier: GPL-2.0-or-later
/* luctl vm list */
#include <stdio.h>
#include <string.h>

#include "table.h"

enum {
	NAME,
	STATE,
	UPDATABLE,
	RAM,
	PID,
	POLICY,
	WHY_NOT,
	N_COLUMNS
};

static const struct cli_column columns[N_COLUMNS] = {
	[NAME] = { "VM" },
	[STATE] = { "STATE" },
	[UPDATABLE] = { "UPDATABLE" },
	[RAM] = { "RAM", .right = true },
	[PID] = { "PID", .right = true },
	[POLICY] = { "POLICY", .optional = true },
	[WHY_NOT] = { "WHY NOT", .optional = true, .fold = true },
};

static enum cli_color color_of(const char *state)
{
	return strcmp(state, "running") == 0 ? COLOR_GOOD : strcmp(state, "lost") == 0 ? COLOR_BAD : COLOR_WARN;
}

static int add_line(struct cli_table *t, const struct luctl_vm *vm)
{
	const char *cells[N_COLUMNS] = {
		[NAME] = luctl_vm_name(vm),
		[STATE] = luctl_vm_state(vm),
		[UPDATABLE] = luctl_vm_updatable(vm) ? "yes" : "no",
		/* what all others have need not be shown */
		[POLICY] = strcmp(luctl_vm_policy(vm), "required") != 0 ? luctl_vm_policy(vm) : NULL,
		[WHY_NOT] = luctl_vm_reason(vm),
	};
	uint64_t bytes = 0;
	char ram[32], pid[32];

	for (const struct luctl_ram *m = luctl_vm_ram_first(vm); m; m = luctl_vm_ram_next(vm, m))
		bytes += luctl_ram_size(m);
	if (bytes > 0)
		cells[RAM] = cli_bytes(bytes, ram);
	snprintf(pid, sizeof(pid), "%llu", (unsigned long long)luctl_vm_pid(vm));
	if (luctl_vm_pid(vm))
		cells[PID] = pid;
	return cli_table_add(t, cells, STATE, color_of(luctl_vm_state(vm)));
}

static int print_table(struct cli *cli, const struct luctl_vms *vms)
{
	_cleanup_(cli_table_clear) struct cli_table t = { .cli = cli, .columns = columns, .n_columns = N_COLUMNS };
	int r = 0;

	for (const struct luctl_vm *vm = luctl_vms_first(vms); r == 0 && vm; vm = luctl_vms_next(vms, vm))
		r = add_line(&t, vm);
	return r < 0 ? r : cli_table_print(&t);
}

int verb_vm_list(struct cli *cli)
{
	_cleanup_(luctl_vms_freep) struct luctl_vms *vms = NULL;

	if (luctl_vms_get(cli->ctx, &vms) < 0)
		return cli_error_ctx(cli);
	if (cli->json)
		cli_print_json(luctl_vms_json(vms));
	else if (!luctl_vms_first(vms))
		puts("No VMs are known. Declare them in /etc/luctl/vms.d, see luctl-vms(5).");
	else if (print_table(cli, vms) < 0)
		return cli_error(cli, EXIT_FAILED, NULL, "the table cannot be printed");
	return EXIT_OK;
}
