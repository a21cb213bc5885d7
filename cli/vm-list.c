// SPDX-License-Identifier: GPL-2.0-or-later
/* luctl vm list */
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>

#include "cli.h"

static int add_line(struct libscols_table *tb, const struct luctl_vm *vm)
{
	struct libscols_line *ln = scols_table_new_line(tb, NULL);
	char ram[32] = "-", pid[32] = "-";
	uint64_t bytes = 0;

	if (!ln)
		return -ENOMEM;
	for (const struct luctl_ram *m = luctl_vm_ram_first(vm); m; m = luctl_vm_ram_next(vm, m))
		bytes += luctl_ram_size(m);
	if (bytes > 0)
		cli_bytes(bytes, ram);
	if (luctl_vm_pid(vm))
		snprintf(pid, sizeof(pid), "%llu", (unsigned long long)luctl_vm_pid(vm));
	if (scols_line_set_data(ln, 0, luctl_vm_name(vm)) || scols_line_set_data(ln, 1, luctl_vm_state(vm)) ||
	    scols_line_set_data(ln, 2, luctl_vm_updatable(vm) ? "yes" : "no") || scols_line_set_data(ln, 3, ram) ||
	    scols_line_set_data(ln, 4, pid) || scols_line_set_data(ln, 5, luctl_vm_reason(vm)))
		return -ENOMEM;
	return 0;
}

static int print_table(const struct luctl_vms *vms)
{
	struct libscols_table *tb = scols_new_table();
	int r = tb && scols_table_enable_minout(tb, 1) == 0 ? 0 : -ENOMEM;

	if (r == 0 &&
	    (!scols_table_new_column(tb, "VM", 0, 0) || !scols_table_new_column(tb, "STATE", 0, 0) ||
	     !scols_table_new_column(tb, "UPDATABLE", 0, 0) || !scols_table_new_column(tb, "RAM", 0, SCOLS_FL_RIGHT) ||
	     !scols_table_new_column(tb, "PID", 0, SCOLS_FL_RIGHT) ||
	     !scols_table_new_column(tb, "WHY NOT", 0, SCOLS_FL_WRAP)))
		r = -ENOMEM;
	for (const struct luctl_vm *vm = luctl_vms_first(vms); r == 0 && vm; vm = luctl_vms_next(vms, vm))
		r = add_line(tb, vm);
	if (r == 0 && scols_print_table(tb) != 0)
		r = -EIO;
	scols_unref_table(tb);
	return r;
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
	else if (print_table(vms) < 0)
		return cli_error(cli, EXIT_FAILED, NULL, "the table cannot be printed");
	return EXIT_OK;
}
