// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * luctl plan: each VM and each passed-through device with its verdict, and how long guests will probably stand still, as a table;
 * then, VM by VM, all reasons of what can't go along.
 */
#include <stdio.h>
#include <string.h>

#include "table.h"

static const struct {
	const char *verdict, *text;
	enum cli_color color;
	const char *more; /* where there is room */
} verdicts[] = {
	{ "goes-along", "goes along", COLOR_GOOD },
	{ "cannot", "can't go along", COLOR_BAD },
	{ "left-out", "left out", COLOR_WARN, ": it ends with this kernel" },
	{ "off", "is not running", COLOR_DIM },
};

static size_t verdict_of(const struct luctl_vm_verdict *vm)
{
	size_t i = 0;

	while (i + 1 < ARRAY_SIZE(verdicts) && strcmp(verdicts[i].verdict, luctl_vm_verdict_verdict(vm)) != 0)
		i++;
	return i;
}

enum {
	NAME,
	VERDICT,
	BLACKOUT,
	DEVICES,
	POLICY,
	BY,
	N_COLUMNS
};

static const struct cli_column columns[N_COLUMNS] = {
	[NAME] = { "VM" },
	[VERDICT] = { "VERDICT" },
	[BLACKOUT] = { "BLACKOUT", .right = true },
	[DEVICES] = { "DEVICES", .optional = true },
	[POLICY] = { "POLICY", .optional = true },
	[BY] = { "PREDICTED BY", .optional = true, .fold = true },
};

/* "2", or "1 of 2 go on" */
static const char *devices_of(const struct luctl_vm_verdict *vm, char buf[48])
{
	unsigned int all = 0, on = 0;

	for (const struct luctl_device_verdict *d = luctl_vm_verdict_device_first(vm); d;
	     d = luctl_vm_verdict_device_next(vm, d), all++)
		on += luctl_device_verdict_goes_on(d);
	if (all == 0)
		return NULL;
	snprintf(buf, 48, on == all ? "%u" : "%u of %u go on", on, all);
	return buf;
}

static int print_table(struct cli *cli, const struct luctl_judgement *j)
{
	_cleanup_(cli_table_clear) struct cli_table t = { .cli = cli, .columns = columns, .n_columns = N_COLUMNS };
	int r = 0;

	for (const struct luctl_vm_verdict *vm = luctl_judgement_vm_first(j); r == 0 && vm;
	     vm = luctl_judgement_vm_next(j, vm)) {
		char usec[32], devices[48];
		const char *cells[N_COLUMNS] = {
			[NAME] = luctl_vm_verdict_name(vm),
			[VERDICT] = verdicts[verdict_of(vm)].text,
			[BLACKOUT] = luctl_vm_verdict_blackout(vm) != LUCTL_UNKNOWN ?
					     cli_usec(luctl_vm_verdict_blackout(vm), usec) :
				     luctl_vm_verdict_basis(vm) ? "not known" :
								  NULL,
			[DEVICES] = devices_of(vm, devices),
			/* what all others have need not be shown */
			[POLICY] = strcmp(luctl_vm_verdict_policy(vm), "required") != 0 ? luctl_vm_verdict_policy(vm) :
											  NULL,
			[BY] = luctl_vm_verdict_basis(vm),
		};

		r = cli_table_add(&t, cells, VERDICT, verdicts[verdict_of(vm)].color);
	}
	return r < 0 ? r : cli_table_print(&t);
}

static void print_reason(struct cli *cli, const struct luctl_reason *r, size_t indent)
{
	cli_say(cli, indent, "- %s", luctl_reason_what(r));
	if (luctl_reason_hint(r))
		cli_say(cli, indent + 2, "hint: %s", luctl_reason_hint(r));
}

static void print_device(struct cli *cli, const struct luctl_device_verdict *d)
{
	bool on = luctl_device_verdict_goes_on(d);

	printf("    device %s: %s%s%s\n", luctl_device_verdict_address(d),
	       cli_color(cli->color_out, on ? COLOR_GOOD : COLOR_BAD), on ? "goes on" : "can't go on",
	       cli_color_off(cli->color_out));
	for (const struct luctl_reason *r = luctl_device_verdict_reason_first(d); r;
	     r = luctl_device_verdict_reason_next(d, r))
		print_reason(cli, r, 6);
}

/* What does not fit into the table; nothing of a VM of which it says all. */
static void print_vm(struct cli *cli, const struct luctl_vm_verdict *vm)
{
	const char *late = luctl_vm_verdict_late(vm);

	if (!late && !luctl_vm_verdict_reason_first(vm) && !luctl_vm_verdict_device_first(vm))
		return;
	printf("\n%s: %s%s%s%s\n", luctl_vm_verdict_name(vm), cli_color(cli->color_out, verdicts[verdict_of(vm)].color),
	       verdicts[verdict_of(vm)].text, cli_color_off(cli->color_out), verdicts[verdict_of(vm)].more ?: "");
	if (late)
		cli_say(cli, 4, "only after the host's services are up: %s", late);
	for (const struct luctl_reason *r = luctl_vm_verdict_reason_first(vm); r;
	     r = luctl_vm_verdict_reason_next(vm, r))
		print_reason(cli, r, 4);
	for (const struct luctl_device_verdict *d = luctl_vm_verdict_device_first(vm); d;
	     d = luctl_vm_verdict_device_next(vm, d))
		print_device(cli, d);
}

static void print_end(struct cli *cli, const struct luctl_judgement *j)
{
	unsigned int goes = 0, cannot = 0;
	const char *exclude = NULL;
	char buf[32];

	for (const struct luctl_vm_verdict *vm = luctl_judgement_vm_first(j); vm; vm = luctl_judgement_vm_next(j, vm)) {
		goes += !strcmp(luctl_vm_verdict_verdict(vm), "goes-along");
		if (strcmp(luctl_vm_verdict_verdict(vm), "cannot") != 0)
			continue;
		if (cannot++ == 0)
			exclude = luctl_vm_verdict_name(vm);
	}
	if (luctl_judgement_vm_first(j))
		putchar('\n');
	printf("%u %s along", goes, goes == 1 ? "VM goes" : "VMs go");
	if (luctl_judgement_blackout(j) != LUCTL_UNKNOWN)
		printf(", and the longest blackout is about %s", cli_usec(luctl_judgement_blackout(j), buf));
	puts(".");
	if (cannot)
		cli_say(cli, 0,
			"%u can't: change what is said above, or leave %s out (--exclude %s%s): %s then %s with this kernel.",
			cannot, cannot == 1 ? "it" : "them", exclude, cannot == 1 ? "" : " ...",
			cannot == 1 ? "it" : "they", cannot == 1 ? "ends" : "end");
	printf("An update %s.\n", luctl_judgement_ok(j) ? "is possible" : "would be refused");
}

int verb_plan(struct cli *cli)
{
	_cleanup_(luctl_plan_freep) struct luctl_plan *plan = NULL;
	_cleanup_(luctl_judgement_freep) struct luctl_judgement *j = NULL;
	int r;

	r = cli_plan(cli, true, &plan);
	if (r != 0)
		return r;
	if (luctl_judge(plan, &j) < 0)
		return cli_error_ctx(cli);
	if (cli->json) {
		cli_print_json(luctl_judgement_json(j));
	} else {
		for (const struct luctl_finding *f = luctl_judgement_finding_first(j); f;
		     f = luctl_judgement_finding_next(j, f))
			cli_finding(cli, f);
		if (luctl_judgement_finding_first(j))
			putchar('\n');
		if (luctl_judgement_vm_first(j) && print_table(cli, j) < 0)
			return cli_error(cli, EXIT_FAILED, NULL, "the table cannot be printed");
		for (const struct luctl_vm_verdict *vm = luctl_judgement_vm_first(j); vm;
		     vm = luctl_judgement_vm_next(j, vm))
			print_vm(cli, vm);
		print_end(cli, j);
	}
	return luctl_judgement_ok(j) ? EXIT_OK : EXIT_REFUSED;
}
