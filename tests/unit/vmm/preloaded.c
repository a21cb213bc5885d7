// SPDX-License-Identifier: GPL-2.0-or-later
/* What somebody may put into LD_PRELOAD: it tells as whom it runs, as soon as it runs. See test-launch.c. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void tell(void)
{
	const char *path = getenv("LU_TEST_PRELOADED");
	FILE *f = path ? fopen(path, "a") : NULL;

	if (!f)
		return;
	fprintf(f, "%d %d\n", (int)getuid(), (int)geteuid());
	fclose(f);
}
