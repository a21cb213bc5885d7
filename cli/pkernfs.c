// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * luctl pkernfs show, luctl pkernfs verify: the memory that survives kexec, of this host
 * or in an image of a host's memory. One document, two views: show is a table of what
 * there is, verify the list of what is wrong. luctl pkernfs set-blocks changes the size
 * of blocks. No daemon is asked: this has to work where nothing else does.
 */
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

static int parse_root(struct cli *cli, uint64_t *ret)
{
	const char *s = cli_value(cli, "root");
	unsigned long long n;
	char *end;

	*ret = LUCTL_UNKNOWN;
	if (!s)
		return 0;
	errno = 0;
	n = strtoull(s, &end, 0);
	if (errno || end == s || *end || *s < '0' || *s > '9' || n == 0 || n % 4096)
		return cli_error(cli, EXIT_USAGE, "give an address such as 0x12345000",
				 "--root %s: not the address of a page", s);
	*ret = n;
	return 0;
}

static int read_pkernfs(struct cli *cli, bool need, struct luctl_pkernfs **ret)
{
	uint64_t root;
	int r = parse_root(cli, &root);

	if (r != 0)
		return r;
	if (luctl_pkernfs_read(cli->ctx, cli->n_args ? cli->args[0] : NULL, root, cli_value(cli, "save"), need, ret) <
	    0)
		return cli_error_ctx(cli);
	return 0;
}

static void print_findings(struct cli *cli, const struct luctl_pkernfs *p)
{
	for (const struct luctl_finding *f = luctl_pkernfs_finding_next(p, NULL); f;
	     f = luctl_pkernfs_finding_next(p, f)) {
		const char *level = luctl_finding_level(f), *hint = luctl_finding_hint(f);
		_cleanup_free_ char *object = cli_safe(luctl_finding_object(f)),
				    *what = cli_safe(luctl_finding_what(f));
		enum cli_color color = strcmp(level, "error") == 0 ? COLOR_BAD :
				       strcmp(level, "ok") == 0    ? COLOR_GOOD :
								     COLOR_WARN;

		printf("%s%-8s%s %s: %s\n", cli_color(cli->color_out, color), level, cli_color_off(cli->color_out),
		       object ?: "?", what ?: "?");
		if (hint)
			printf("         hint: %s\n", hint);
	}
}

enum column {
	NAME,
	STATE,
	FORMAT,
	FEATURES,
	SEAL,
	NODE,
	LIMIT,
	POOL,
	USED,
	AVAIL,
	FILES,
	DIRS,
	OTHERS,
	HUGE_BLOCKS,
	SMALL_BLOCKS,
	METADATA,
	UNLINKED,
	BAD,
	MOUNTED,
	N_COLUMNS
};

static const struct {
	const char *name;
	bool right;
} columns[N_COLUMNS] = {
	[NAME] = { "NAME", false },         [STATE] = { "STATE", false },      [FORMAT] = { "FORMAT", true },
	[FEATURES] = { "FEATURES", false }, [SEAL] = { "SEAL", false },        [NODE] = { "NODE", true },
	[LIMIT] = { "LIMIT", true },        [POOL] = { "POOL", true },         [USED] = { "USED", true },
	[AVAIL] = { "AVAIL", true },        [FILES] = { "FILES", true },       [DIRS] = { "DIRS", true },
	[OTHERS] = { "OTHERS", true },      [HUGE_BLOCKS] = { "2M", true },    [SMALL_BLOCKS] = { "4K", true },
	[METADATA] = { "META", true },      [UNLINKED] = { "UNLINKED", true }, [BAD] = { "BAD", true },
	[MOUNTED] = { "MOUNTED", false },
};

static int set_count(struct libscols_line *ln, enum column column, uint64_t n)
{
	char text[32] = "-";

	if (n != LUCTL_UNKNOWN)
		snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	return scols_line_set_data(ln, column, text);
}

static int set_bytes(struct libscols_line *ln, enum column column, uint64_t n)
{
	char text[32] = "-";

	return scols_line_set_data(ln, column, n == LUCTL_UNKNOWN ? text : cli_bytes(n, text));
}

static int set_features(struct libscols_line *ln, const struct luctl_pkernfs_fs *fs)
{
	uint64_t compat = luctl_pkernfs_fs_number(fs, LUCTL_PKERNFS_COMPAT);
	uint64_t ro_compat = luctl_pkernfs_fs_number(fs, LUCTL_PKERNFS_RO_COMPAT);
	uint64_t incompat = luctl_pkernfs_fs_number(fs, LUCTL_PKERNFS_INCOMPAT);
	char text[80] = "-";

	if (compat != LUCTL_UNKNOWN && (compat | ro_compat | incompat))
		snprintf(text, sizeof(text), "%#llx/%#llx/%#llx", (unsigned long long)compat,
			 (unsigned long long)ro_compat, (unsigned long long)incompat);
	return scols_line_set_data(ln, FEATURES, text);
}

static int set_seal(struct libscols_line *ln, const struct luctl_pkernfs_fs *fs)
{
	uint64_t generation = luctl_pkernfs_fs_number(fs, LUCTL_PKERNFS_GENERATION);
	char text[64];

	if (generation == LUCTL_UNKNOWN)
		return scols_line_set_data(ln, SEAL, "-");
	snprintf(text, sizeof(text), "%s %llu", luctl_pkernfs_fs_seal(fs), (unsigned long long)generation);
	return scols_line_set_data(ln, SEAL, text);
}

static int set_mounted(struct libscols_line *ln, const struct luctl_pkernfs_fs *fs)
{
	const char *const *dirs = luctl_pkernfs_fs_mounted(fs);
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *f;

	if (!dirs[0])
		return scols_line_set_data(ln, MOUNTED, "-");
	f = open_memstream(&text, &len);
	if (!f)
		return -ENOMEM;
	for (size_t i = 0; dirs[i]; i++)
		fprintf(f, "%s%s", i ? " " : "", dirs[i]);
	return fclose(f) == 0 ? scols_line_set_data(ln, MOUNTED, text) : -ENOMEM;
}

static int add_line(struct libscols_table *tb, const struct luctl_pkernfs_fs *fs)
{
	static const struct {
		enum column column;
		enum luctl_pkernfs_number number;
		bool bytes;
	} numbers[] = {
		{ FORMAT, LUCTL_PKERNFS_FORMAT, false },
		{ NODE, LUCTL_PKERNFS_NODE, false },
		{ LIMIT, LUCTL_PKERNFS_LIMIT, true },
		{ POOL, LUCTL_PKERNFS_POOL, true },
		{ USED, LUCTL_PKERNFS_USED, true },
		{ AVAIL, LUCTL_PKERNFS_AVAILABLE, true },
		{ FILES, LUCTL_PKERNFS_FILES, false },
		{ DIRS, LUCTL_PKERNFS_DIRECTORIES, false },
		{ OTHERS, LUCTL_PKERNFS_OTHERS, false },
		{ HUGE_BLOCKS, LUCTL_PKERNFS_HUGE_BLOCKS, false },
		{ SMALL_BLOCKS, LUCTL_PKERNFS_SMALL_BLOCKS, false },
		{ METADATA, LUCTL_PKERNFS_METADATA_PAGES, false },
		{ UNLINKED, LUCTL_PKERNFS_UNLINKED, false },
		{ BAD, LUCTL_PKERNFS_BAD_PAGES, false },
	};
	struct libscols_line *ln = scols_table_new_line(tb, NULL);
	const char *name = luctl_pkernfs_fs_name(fs);
	int r = ln ? scols_line_set_data(ln, NAME, *name ? name : "\"\"") : -ENOMEM;

	if (r == 0)
		r = scols_line_set_data(ln, STATE, luctl_pkernfs_fs_state(fs));
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(numbers); i++) {
		uint64_t n = luctl_pkernfs_fs_number(fs, numbers[i].number);

		r = numbers[i].bytes ? set_bytes(ln, numbers[i].column, n) : set_count(ln, numbers[i].column, n);
	}
	if (r == 0)
		r = set_features(ln, fs);
	if (r == 0)
		r = set_seal(ln, fs);
	return r ?: set_mounted(ln, fs);
}

static int print_table(const struct luctl_pkernfs *p)
{
	struct libscols_table *tb = scols_new_table();
	int r = tb && scols_table_enable_minout(tb, 1) == 0 ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < N_COLUMNS; i++)
		if (!scols_table_new_column(tb, columns[i].name, 0, columns[i].right ? SCOLS_FL_RIGHT : 0))
			r = -ENOMEM;
	for (const struct luctl_pkernfs_fs *fs = luctl_pkernfs_fs_next(p, NULL); r == 0 && fs;
	     fs = luctl_pkernfs_fs_next(p, fs))
		r = add_line(tb, fs);
	if (r == 0 && scols_print_table(tb) != 0)
		r = -EIO;
	scols_unref_table(tb);
	return r;
}

int verb_pkernfs_show(struct cli *cli)
{
	_cleanup_(luctl_pkernfs_freep) struct luctl_pkernfs *p = NULL;
	int r = read_pkernfs(cli, false, &p);

	if (r != 0)
		return r;
	if (cli->json) {
		cli_print_json(luctl_pkernfs_json(p));
		return luctl_pkernfs_ok(p) ? EXIT_OK : EXIT_REFUSED;
	}
	print_findings(cli, p);
	if (!luctl_pkernfs_fs_next(p, NULL))
		puts("There is no pkernfs. A mount makes one: mount -t pkernfs pkernfs /run/luctl/pkernfs");
	else if (print_table(p) < 0)
		return cli_error(cli, EXIT_FAILED, NULL, "the table cannot be printed");
	return luctl_pkernfs_ok(p) ? EXIT_OK : EXIT_REFUSED;
}

int verb_pkernfs_verify(struct cli *cli)
{
	_cleanup_(luctl_pkernfs_freep) struct luctl_pkernfs *p = NULL;
	unsigned int n = 0;
	int r = read_pkernfs(cli, true, &p);

	if (r != 0)
		return r;
	if (cli->json) {
		cli_print_json(luctl_pkernfs_json(p));
	} else {
		_cleanup_free_ char *source = cli_safe(luctl_pkernfs_source(p) ?: "?");

		for (const struct luctl_pkernfs_fs *fs = luctl_pkernfs_fs_next(p, NULL); fs;
		     fs = luctl_pkernfs_fs_next(p, fs))
			n++;
		print_findings(cli, p);
		printf("%s: %u filesystem%s, %s\n", source ?: "?", n, n == 1 ? "" : "s",
		       luctl_pkernfs_ok(p) ? "no damage found" : "damaged");
	}
	return luctl_pkernfs_ok(p) ? EXIT_OK : EXIT_REFUSED;
}

int verb_pkernfs_set_blocks(struct cli *cli)
{
	static const struct {
		const char *name;
		uint64_t size;
	} sizes[] = { { "4K", 4096 }, { "2M", 2 << 20 }, { "1G", 1 << 30 }, { "default", 0 } };
	size_t i = 0;

	while (i < ARRAY_SIZE(sizes) && strcasecmp(cli->args[0], sizes[i].name) != 0)
		i++;
	if (i == ARRAY_SIZE(sizes))
		return cli_error(cli, EXIT_USAGE, "4K, 2M, 1G or default", "%s: not a size of blocks", cli->args[0]);
	if (luctl_pkernfs_set_blocks(cli->ctx, cli->args[1], sizes[i].size) < 0)
		return cli_outcome(cli, cli_error_ctx(cli), "failed", luctl_last_error(cli->ctx),
				   luctl_last_hint(cli->ctx));
	return cli_outcome(cli, EXIT_OK, "success", NULL, NULL);
}
