// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * write-image FOLDER [INCOMPAT]: a boot image that has the luctl series, and the notes of a kernel that can jump into it, as
 * FOLDER/vmlinuz and FOLDER/notes. Both know these features of pkernfs. For tests that need a target and boot nothing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "make-image.h"

static int put(const char *folder, const char *name, uint8_t *data, size_t size)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) {
		perror(path);
		return 1;
	}
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	struct test_note note = { .format = 1, .min_version = 1 };
	struct test_image image = { .release = "7.3.4-lu", .note = note };
	size_t size, note_size;
	uint8_t *data, *notes;

	if (argc != 2 && argc != 3)
		return 2;
	note.incompat = image.note.incompat = argc == 3 ? strtoull(argv[2], NULL, 0) : 0;
	data = test_bzimage(&image, &size);
	notes = test_note(&note, &note_size);
	return put(argv[1], "vmlinuz", data, size) || put(argv[1], "notes", notes, note_size);
}
