// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * luctl plan: each VM and each passed-through device with its verdict, all reasons of what
 * can't go along, and how long guests will probably stand still.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static void print_reason(const struct luctl_reason *r, const char *indent)
{
	_cleanup_free_ char *what = cli_safe(luctl_reason_what(r)),
			    *hint = luctl_reason_hint(r) ? cli_safe(luctl_reason_hint(r)) : NULL;

	printf("%s- %s\n", indent, what ?: "?");
	if (hint)
		printf("%s  hint: %s\n", indent, hint);
}

static void print_device(struct cli *cli, const struct luctl_device_verdict *d)
{
	bool on = luctl_device_verdict_goes_on(d);

	printf("    device %s: %s%s%s\n", luctl_device_verdict_address(d),
	       cli_color(cli->color_out, on ? COLOR_GOOD : COLOR_BAD), on ? "goes on" : "can't go on",
	       cli_color_off(cli->color_out));
	for (const struct luctl_reason *r = luctl_device_verdict_reason_first(d); r;
	     r = luctl_device_verdict_reason_next(d, r))
		print_reason(r, "      ");
}

static const struct {
	const char *verdict, *text;
	enum cli_color color;
} verdicts[] = {
	{ "goes-along", "goes along", COLOR_GOOD },
	{ "cannot", "can't go along", COLOR_BAD },
	{ "left-out", "left out: it ends with this kernel", COLOR_WARN },
	{ "off", "is not running", COLOR_DIM },
};

static void print_vm(struct cli *cli, const struct luctl_vm_verdict *vm)
{
	_cleanup_free_ char *late = luctl_vm_verdict_late(vm) ? cli_safe(luctl_vm_verdict_late(vm)) : NULL;
	char buf[32];
	size_t i = 0;

	while (i + 1 < ARRAY_SIZE(verdicts) && strcmp(verdicts[i].verdict, luctl_vm_verdict_verdict(vm)) != 0)
		i++;
	printf("%s: %s%s%s", luctl_vm_verdict_name(vm), cli_color(cli->color_out, verdicts[i].color), verdicts[i].text,
	       cli_color_off(cli->color_out));
	if (luctl_vm_verdict_blackout(vm) != LUCTL_UNKNOWN)
		printf(", blackout about %s", cli_usec(luctl_vm_verdict_blackout(vm), buf));
	else if (luctl_vm_verdict_basis(vm))
		printf(", blackout not known");
	putchar('\n');
	if (luctl_vm_verdict_basis(vm))
		printf("    by: %s\n", luctl_vm_verdict_basis(vm));
	if (late)
		printf("    only after the host's services are up: %s\n", late);
	for (const struct luctl_reason *r = luctl_vm_verdict_reason_first(vm); r;
	     r = luctl_vm_verdict_reason_next(vm, r))
		print_reason(r, "    ");
	for (const struct luctl_device_verdict *d = luctl_vm_verdict_device_first(vm); d;
	     d = luctl_vm_verdict_device_next(vm, d))
		print_device(cli, d);
}

static void print_end(const struct luctl_judgement *j)
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
		printf("%u can't: change what is said above, or leave %s out (--exclude %s%s): %s then %s with this kernel.\n",
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
		for (const struct luctl_vm_verdict *vm = luctl_judgement_vm_first(j); vm;
		     vm = luctl_judgement_vm_next(j, vm))
			print_vm(cli, vm);
		print_end(j);
	}
	return luctl_judgement_ok(j) ? EXIT_OK : EXIT_REFUSED;
}
