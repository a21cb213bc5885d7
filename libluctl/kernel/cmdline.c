// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The target's command line.
 *
 * Words are cut as lib/cmdline.c:next_arg() of the kernel cuts them: at white space
 * outside of double quotes; there is no escape character. A word stays as it was
 * written, quotes included; only the words named in cmdline.h are dropped or added.
 * From a word "--" on, everything belongs to init and is kept untouched at the end.
 *
 * The original init: the running command line holds "init=…/lu-init luctl.init=ORIG".
 * Both are dropped and put back anew, so updates chained one after another never
 * grow the line. If somebody wrote a later init=, it is what the kernel would have
 * run, so it is the original.
 *
 * Refused: quotes that do not close (the kernel would swallow our words with the
 * rest), control characters (kexec would take them, a boot loader's log would not),
 * a kho= that does not turn KHO on, an init= with white space in it, and a result longer than kexec takes:
 * nothing is cut.
 *
 * Not handled: a bootconfig attached to the initrd; its parameters stand in
 * /proc/cmdline in front and are simply kept as words.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmdline.h"

#define PKEEP_PREFIX "pkeep-v" /* PKEEP_COMPATIBLE of <linux/pkeep.h> */

struct word {
	const char *text;
	size_t size;
};

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Cuts one word off *@line; false at the end. *@closed tells whether its quotes close. */
static bool word_next(const char **line, struct word *ret, bool *closed)
{
	const char *p = *line;
	bool quote = false;

	while (is_space(*p))
		p++;
	if (!*p)
		return false;
	ret->text = p;
	for (; *p && (quote || !is_space(*p)); p++)
		if (*p == '"')
			quote = !quote;
	ret->size = (size_t)(p - ret->text);
	*line = p;
	*closed = !quote;
	return true;
}

/*
 * If the word sets @param, points *@value and *@value_size at the value without its
 * quotes ("" for a flag). As in the kernel, '-' equals '_' in the name.
 */
static bool word_sets(const struct word *w, const char *param, const char **value, size_t *value_size)
{
	const char *p = w->text, *end = w->text + w->size, *eq, *name_end;
	bool quoted = false;

	if (p < end && *p == '"') {
		quoted = true;
		p++;
		if (p < end && end[-1] == '"')
			end--;
	}
	/* next_arg() does not count a '=' in first place. */
	eq = p < end ? memchr(p + 1, '=', (size_t)(end - p - 1)) : NULL;
	name_end = eq ?: end;
	for (; p < name_end && *param; p++, param++) {
		char a = *p == '-' ? '_' : *p, b = *param == '-' ? '_' : *param;

		if (a != b)
			return false;
	}
	if (p != name_end || *param)
		return false;
	if (!eq) {
		*value = "";
		*value_size = 0;
		return true;
	}
	eq++;
	if (eq < end && *eq == '"') {
		eq++;
		/* Only one quote comes off the end, and a leading one has taken it already. */
		if (!quoted && end > eq && end[-1] == '"')
			end--;
	}
	*value = eq;
	*value_size = (size_t)(end - eq);
	return true;
}

static bool word_is(const struct word *w, const char *s)
{
	return w->size == strlen(s) && memcmp(w->text, s, w->size) == 0;
}

/* Everything after it belongs to init. The kernel takes the quotes off before it compares. */
static bool word_is_end(const struct word *w)
{
	return word_is(w, "--") || word_is(w, "\"--\"");
}

/* Is it one of the words that never get into the next command line as they are? */
static bool word_is_ours(const struct word *w)
{
	static const char prefix[] = "luctl.";
	const char *value;
	size_t n;

	return word_sets(w, "BOOT_IMAGE", &value, &n) || word_sets(w, "kexec_jump_back_entry", &value, &n) ||
	       word_sets(w, "pkeep", &value, &n) ||
	       (w->size >= sizeof(prefix) - 1 && memcmp(w->text, prefix, sizeof(prefix) - 1) == 0);
}

static bool value_is(const char *value, size_t n, const char *s)
{
	return n == strlen(s) && memcmp(value, s, n) == 0;
}

/* As kstrtobool(). Anything it does not know leaves KHO at the kernel's default, which may be off. */
static bool value_is_on(const char *value, size_t n)
{
	if (n == 0)
		return false;
	if ((value[0] == 'o' || value[0] == 'O') && n >= 2)
		return value[1] == 'n' || value[1] == 'N';
	return strchr("yYtT1", value[0]) != NULL;
}

struct builder {
	FILE *file;
	char *text;
	size_t size;
	bool any;
};

static void builder_done(struct builder *b)
{
	if (b->file)
		fclose(b->file);
	free(b->text);
}

static void builder_add(struct builder *b, const char *text, size_t size)
{
	if (b->any)
		fputc(' ', b->file);
	fwrite(text, 1, size, b->file);
	b->any = true;
}

static int check_characters(const char *base, struct lu_error *e)
{
	for (const char *p = base; *p; p++)
		if (iscntrl((unsigned char)*p) && !is_space(*p))
			return lu_error_set(e, -EINVAL, "write the command line as plain text",
					    "command line: control character 0x%02x at byte %zu", (unsigned char)*p,
					    (size_t)(p - base));
	return 0;
}

int lu_cmdline_target(const char *base, const char *pkeep, uint32_t tsc_khz, size_t max, char **ret, struct lu_error *e)
{
	_cleanup_(builder_done) struct builder b = { 0 };
	_cleanup_free_ char *init = NULL, *old_init = NULL;
	const char *line = base, *value, *rest = NULL;
	bool closed = true, kho_there = false, kho_off = false;
	struct word w;
	size_t n;
	int r;

	r = check_characters(base, e);
	if (r < 0)
		return r;
	b.file = open_memstream(&b.text, &b.size);
	if (!b.file)
		return -ENOMEM;
	while (word_next(&line, &w, &closed)) {
		if (word_is_end(&w)) {
			rest = w.text;
			break;
		}
		if (!closed)
			return lu_error_set(e, -EINVAL, "close the quotes; the kernel knows no escape character",
					    "command line: quotes do not close in %.*s", (int)w.size, w.text);
		if (word_sets(&w, "init", &value, &n)) {
			if (!value_is(value, n, LU_INIT_PATH) && n > 0) {
				free(init);
				init = strndup(value, n);
				if (!init)
					return -ENOMEM;
			}
			continue;
		}
		if (word_sets(&w, "luctl.init", &value, &n) && n > 0) {
			free(old_init);
			old_init = strndup(value, n);
			if (!old_init)
				return -ENOMEM;
			continue;
		}
		if (word_is_ours(&w) || (tsc_khz && word_sets(&w, "tsc_early_khz", &value, &n)))
			continue;
		if (word_sets(&w, "kho", &value, &n)) {
			kho_there = true;
			kho_off = !value_is_on(value, n);
		}
		builder_add(&b, w.text, w.size);
	}
	if (kho_off)
		return lu_error_set(e, -EINVAL, "drop kho= from the command line",
				    "command line: kho= does not turn kexec handover on, so the guests' "
				    "memory would be lost");
	if (!kho_there)
		builder_add(&b, "kho=on", 6);
	if (!strncmp(pkeep, PKEEP_PREFIX, strlen(PKEEP_PREFIX)))
		fprintf(b.file, " pkeep=%s", pkeep + strlen(PKEEP_PREFIX));
	if (tsc_khz)
		fprintf(b.file, " tsc_early_khz=%" PRIu32, tsc_khz);
	builder_add(&b, "init=" LU_INIT_PATH, strlen("init=" LU_INIT_PATH));
	if (init || old_init) {
		const char *orig = init ?: old_init;

		if (orig[strcspn(orig, "\" \t\n\v\f\r")])
			return lu_error_set(e, -EINVAL, "name an init without them, such as /sbin/init",
					    "command line: init=%s holds white space or quotes", orig);
		fprintf(b.file, " luctl.init=%s", orig);
	}
	if (rest) {
		n = strlen(rest);
		while (n > 0 && is_space(rest[n - 1]))
			n--;
		builder_add(&b, rest, n);
	}
	r = ferror(b.file) ? -ENOMEM : 0;
	if (fclose(b.file) != 0)
		r = -ENOMEM;
	b.file = NULL;
	if (r < 0)
		return r;
	if (b.size > max)
		return lu_error_set(e, -E2BIG, "shorten it; see /proc/cmdline",
				    "command line: %zu characters, the target takes at most %zu", b.size, max);
	*ret = steal_ptr(b.text);
	return 0;
}

int lu_cmdline_running(int rootfd, char **ret, struct lu_error *e)
{
	_cleanup_free_ char *s = NULL;
	int r;

	r = lu_read_file(rootfd, rootfd == AT_FDCWD ? "/proc/cmdline" : "proc/cmdline", LU_CMDLINE_READ_MAX, &s, NULL);
	if (r < 0)
		return lu_error_set(e, r, "is /proc mounted?", "/proc/cmdline: %s", strerror(-r));
	s[strcspn(s, "\n")] = '\0';
	*ret = steal_ptr(s);
	return 0;
}

void lu_cmdline_each(const char *line, const char *param, void (*found)(const char *value, size_t size, void *userdata),
		     void *userdata)
{
	const char *value;
	struct word w;
	bool closed;
	size_t n;

	while (word_next(&line, &w, &closed) && !word_is_end(&w))
		if (word_sets(&w, param, &value, &n))
			found(value, n, userdata);
}

int lu_cmdline_get(const char *line, const char *param, char **ret)
{
	const char *value, *found = NULL;
	size_t n, found_n = 0;
	struct word w;
	bool closed;
	char *copy;

	while (word_next(&line, &w, &closed) && !word_is_end(&w))
		if (word_sets(&w, param, &value, &n)) {
			found = value;
			found_n = n;
		}
	if (!found)
		return 0;
	copy = strndup(found, found_n);
	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 1;
}

static bool lists(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; (p = strstr(p, name)); p += n)
		if ((p == list || p[-1] == ',') && (!p[n] || p[n] == ','))
			return true;
	return false;
}

int lu_cmdline_without_lsm(const char *line, const char *lsm, char **ret)
{
	_cleanup_free_ char *own = NULL, *list = NULL, *major = NULL;
	const char *off = NULL, *value = NULL;
	int r;

	r = lu_cmdline_get(line, lsm, &own);
	if (r >= 0)
		r = lu_cmdline_get(line, "lsm", &list);
	if (r >= 0)
		r = lu_cmdline_get(line, "security", &major);
	if (r < 0)
		return r;
	if (own && !strcmp(own, "0")) {
		off = lsm;
		value = own;
	} else if (list && !lists(list, lsm)) {
		off = "lsm";
		value = list;
	} else if (!list && major && *major && strcmp(major, lsm) != 0) {
		off = "security";
		value = major;
	}
	if (!off)
		return 0;
	if (asprintf(ret, "%s=%s", off, value) < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 1;
}
