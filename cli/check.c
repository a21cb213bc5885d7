// SPDX-License-Identifier: GPL-2.0-or-later
/* luctl check */
#include <stdio.h>
#include <string.h>

#include "cli.h"

void cli_finding(struct cli *cli, const struct luctl_finding *f)
{
	const char *level = luctl_finding_level(f), *object = luctl_finding_object(f), *what = luctl_finding_what(f);
	enum cli_color color = strcmp(level, "ok") == 0    ? COLOR_GOOD :
			       strcmp(level, "error") == 0 ? COLOR_BAD :
							     COLOR_WARN;
	bool named = strncmp(what, object, strlen(object)) == 0;
	_cleanup_free_ char *text = NULL, *safe = NULL, *folded = NULL;

	if (asprintf(&text, "%s%s%s", named ? "" : object, named ? "" : ": ", what) < 0)
		text = NULL;
	safe = text ? cli_safe(text) : NULL;
	folded = safe ? cli_folded(safe, cli->width, 9, 9) : NULL;
	printf("%s%-8s%s %s\n", cli_color(cli->color_out, color), level, cli_color_off(cli->color_out), folded ?: "?");
	if (luctl_finding_hint(f))
		cli_say(cli, 9, "hint: %s", luctl_finding_hint(f));
}

int verb_check(struct cli *cli)
{
	_cleanup_(luctl_plan_freep) struct luctl_plan *plan = NULL;
	_cleanup_(luctl_check_freep) struct luctl_check *check = NULL;
	int r;

	r = cli_plan(cli, false, &plan);
	if (r != 0)
		return r;
	if (luctl_check(plan, &check) < 0)
		return cli_error_ctx(cli);
	if (cli->json) {
		cli_print_json(luctl_check_json(check));
	} else {
		_cleanup_free_ char *kernel = cli_safe(luctl_check_kernel(check));

		for (const struct luctl_finding *f = luctl_check_first(check); f; f = luctl_check_next(check, f))
			cli_finding(cli, f);
		printf("An update to %s%s%s%s %s.\n", kernel ?: "?", luctl_check_release(check) ? " (" : "",
		       luctl_check_release(check) ?: "", luctl_check_release(check) ? ")" : "",
		       luctl_check_ok(check) ? "is possible" : "would be refused");
	}
	return luctl_check_ok(check) ? EXIT_OK : EXIT_REFUSED;
}
