// SPDX-License-Identifier: GPL-2.0-or-later
/* lu-init called by luctld, or by a test: what its options are, and one VM or some agents. As init: main.c. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "lu-init.h"

int lu_init_command(struct lu_init *i, int argc, char **argv)
{
	enum {
		RESTORE = 256,
		SIGHT,
		CLOCK,
		PAUSED,
		FDS,
		EXE,
		NO_KEEPER,
		NO_VETO,
		VETO,
		EARLY,
		PKERNFS,
		RUN,
		ANY_FS
	};
	static const struct option options[] = {
		{ "restore", required_argument, NULL, RESTORE },
		{ "sight", required_argument, NULL, SIGHT },
		{ "clock", no_argument, NULL, CLOCK },
		{ "paused", no_argument, NULL, PAUSED },
		{ "fds", required_argument, NULL, FDS },
		{ "exe", required_argument, NULL, EXE },
		{ "no-keeper", no_argument, NULL, NO_KEEPER },
		{ "no-veto", no_argument, NULL, NO_VETO },
		{ "veto", required_argument, NULL, VETO },
		{ "early", no_argument, NULL, EARLY },
		{ "pkernfs", required_argument, NULL, PKERNFS },
		{ "run", required_argument, NULL, RUN },
		{ "any-fs", no_argument, NULL, ANY_FS },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_close_ int root = -EBADF;
	const char *uuid = NULL, *sight = NULL;
	bool clock = false;
	int c, r;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case RESTORE:
			uuid = optarg;
			break;
		case SIGHT:
			sight = optarg;
			break;
		case CLOCK:
			clock = true;
			break;
		case PAUSED:
			i->keep_paused = true;
			break;
		case FDS:
			i->fds = optarg;
			break;
		case EXE:
			i->exe = optarg;
			break;
		case NO_KEEPER:
			i->no_keeper = true;
			break;
		case NO_VETO:
		case VETO:
			i->veto = c == VETO ? optarg : NULL;
			break;
		case EARLY:
			i->early = true;
			break;
		case PKERNFS:
			i->pkernfs = optarg;
			break;
		case RUN:
			i->run = optarg;
			break;
		case ANY_FS:
			i->any_fs = true;
			break;
		case 'V':
			puts("lu-init " PROJECT_VERSION);
			return 0;
		default:
			return 2;
		}
	}
	if ((optind != argc) != clock || (uuid != NULL) + (sight != NULL) + clock + i->early != 1) {
		fprintf(stderr,
			"usage: lu-init --restore UUID [--paused] [--fds PID:FD,...] [--exe PID:FD] [--no-keeper] [--no-veto] | --clock UUID... | --sight UUID\n"
			"for tests: --early, --pkernfs DIR, --run DIR, --veto DIR, --any-fs\n");
		return 2;
	}
	if (i->early)
		return lu_early(i) < 0 ? 1 : 0;
	root = lu_open_pkernfs(i, &e);
	r = root;
	if (r >= 0 && clock) {
		r = lu_agent_clocks(i, root, argv + optind, &e);
	} else if (r >= 0 && sight) {
		r = lu_sight_complete(i, root, sight, &e);
	} else if (r >= 0) {
		/* the recorder is a witness: without it the VM is restored just as well */
		if (lu_trace_open(root, "update/trace", NULL, LU_TRACE_LU_INIT, &i->trace, NULL) < 0)
			i->trace = NULL;
		r = lu_restore_vm(i, root, uuid, NULL, &e);
	}
	lu_trace_free(steal_ptr(i->trace));
	if (r < 0)
		fprintf(stderr, "%s\n%s%s", e.what ?: strerror(-r), e.hint ?: "", e.hint ? "\n" : "");
	return r < 0 ? (i->kept ? LU_INIT_KEPT : 1) : 0;
}
