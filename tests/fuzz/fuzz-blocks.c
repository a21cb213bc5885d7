// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a QEMU tells of what is beneath its disks, and its command line. The input is query-named-block-nodes, query-block,
 * x-debug-query-block-graph and the words, a line each; one after the other, each ended by FF FE.
 */
#include <fcntl.h>
#include <unistd.h>

#include "argv.h"
#include "blocks.h"
#include "fuzz.h"

#define PARTS 4
#define WORDS_MAX 64

static struct lu_block_files *files;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	promise(lu_block_files_read(proc, getpid(), &files) == 0);
	return 0;
}

static void judge(const struct lu_blocks *b, char *text)
{
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	_cleanup_(lu_argv_freep) char **anew = NULL;
	_cleanup_free_ char *line = NULL;
	char *argv[WORDS_MAX + 2] = { (char *)"qemu" }, *save = NULL;
	size_t n = 1;
	int r;

	for (char *word = strtok_r(text, "\n", &save); word && n <= WORDS_MAX; word = strtok_r(NULL, "\n", &save))
		argv[n++] = word;
	promise(lu_blocks_judge(b, argv, files, &why) == 0);
	for (size_t i = 0; i < why.n; i++)
		promise(*why.list[i].what);
	promise(lu_blocks_text(b, files, &line) == 0);
	r = lu_blocks_rewrite(b, argv, files, &anew);
	promise(r >= 0 && (r > 0) == (anew != NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct json_object *parts[PARTS - 1] = { NULL };
	const uint8_t *end = data + size;
	struct lu_blocks *b = NULL;
	char *words = NULL;
	int r;

	for (size_t i = 0; i < PARTS; i++) {
		const uint8_t *stop = memmem(data, (size_t)(end - data), "\xff\xfe", 2);
		char *text = exact_text(data, (size_t)((stop ?: end) - data));

		data = stop ? stop + 2 : end;
		if (i == PARTS - 1) {
			words = text;
			break;
		}
		parts[i] = json_tokener_parse(text);
		free(text);
	}
	r = lu_blocks_read(parts[0], parts[1], parts[2], &b, &e);
	promise(r == 0 || (e.what && *e.what));
	if (r == 0)
		judge(b, words);
	lu_blocks_free(b);
	free(words);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		json_object_put(parts[i]);
	return 0;
}
