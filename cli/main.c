// SPDX-License-Identifier: GPL-2.0-or-later
/* luctl: parse, connect, run the verb, see that what was printed has arrived. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cli.h"

static bool wants_color(FILE *f)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return isatty(fileno(f)) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

/* Of the terminal; 0: it is none, and whoever reads it wants lines as they are. */
static size_t width_of(FILE *f)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	unsigned long n;

	if (!isatty(fileno(f)))
		return 0;
	if (ioctl(fileno(f), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	n = columns ? strtoul(columns, NULL, 10) : 0;
	return n > 0 && n < 10000 ? n : 80;
}

static int run(struct cli *cli)
{
	if (cli_flag(cli, "version")) {
		printf("luctl %s\n", luctl_version());
		return EXIT_OK;
	}
	if (cli_flag(cli, "help")) {
		cli_help(cli);
		return EXIT_OK;
	}
	if (cli->helped)
		return EXIT_OK;
	if (!cli->verb)
		return cli_error(cli, EXIT_USAGE, "luctl --help", "no verb given");
	if (luctl_new(&cli->ctx) < 0)
		return cli_error(cli, EXIT_FAILED, NULL, "out of memory");
	luctl_set_interactive(cli->ctx, isatty(STDIN_FILENO));
	if (!cli->verb->no_bus && luctl_connect(cli->ctx, cli_value(cli, "bus")) < 0)
		return cli_error_ctx(cli);
	return cli->verb->run(cli);
}

int main(int argc, char **argv)
{
	_cleanup_(cli_clear) struct cli cli = {
		.color_out = wants_color(stdout),
		.color_err = wants_color(stderr),
		.width = width_of(stdout),
		.width_err = width_of(stderr),
	};
	int code;

	(void)setlocale(LC_ALL, "");
	/* numbers are read and written with a point: --max-blackout 2.5, metrics */
	(void)setlocale(LC_NUMERIC, "C");
	/* A closed pipe is a write error, told as such; it must not kill an update's watcher silently. */
	(void)signal(SIGPIPE, SIG_IGN);
	code = cli_parse(&cli, argc, argv);
	if (code == 0)
		code = run(&cli);
	if (fflush(stdout) != 0 || ferror(stdout))
		return cli_error(&cli, code ?: EXIT_FAILED, NULL, "standard output: %s", strerror(errno));
	return code;
}
