// SPDX-License-Identifier: GPL-2.0-or-later
/* luctl-trial: the command line; trial.c does it. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmdline.h"
#include "exit-codes.h"
#include "trial.h"

static int usage(void)
{
	fprintf(stderr,
		"usage: luctl-trial --running IMAGE --kernel IMAGE [--initrd FILE] --cmdline TEXT [--seconds N]\n"
		"                   [--remember FOLDER] [--qemu PROGRAM] [--user NAME] [--init FILE]\n");
	return LU_TRIAL_EXIT_CANT;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "running", required_argument, NULL, 'r' },  { "kernel", required_argument, NULL, 'k' },
		{ "initrd", required_argument, NULL, 'i' },   { "cmdline", required_argument, NULL, 'c' },
		{ "seconds", required_argument, NULL, 's' },  { "qemu", required_argument, NULL, 'q' },
		{ "user", required_argument, NULL, 'u' },     { "init", required_argument, NULL, 'I' },
		{ "remember", required_argument, NULL, 'm' }, { NULL, 0, NULL, 0 },
	};
	struct trial_options o = {
		.qemu = "/usr/bin/qemu-system-x86_64", .user = "luctl-vm", .init = LU_INIT_PATH, .seconds = 120
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case 'r':
			o.running = optarg;
			break;
		case 'k':
			o.kernel = optarg;
			break;
		case 'i':
			o.initrd = optarg;
			break;
		case 'c':
			o.cmdline = optarg;
			break;
		case 'q':
			o.qemu = optarg;
			break;
		case 'u':
			o.user = optarg;
			break;
		case 'I':
			o.init = optarg;
			break;
		case 'm':
			o.remember = optarg;
			break;
		case 's':
			o.seconds = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		default:
			return usage();
		}
	}
	if (optind != argc || !o.running || !o.kernel || !o.cmdline || !o.seconds)
		return usage();
	return trial_run(&o);
}
