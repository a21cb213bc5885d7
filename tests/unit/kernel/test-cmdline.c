// SPDX-License-Identifier: GPL-2.0-or-later
/* The target's command line: a table of lines, and the kernel's own word splitter as the oracle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cmdline.h"

#define I " init=/usr/lib/luctl/lu-init"

static void test_target(void **state)
{
	static const struct {
		const char *base;
		const char *want; /* NULL: refused */
		int code;
	} all[] = {
		{ "", "kho=on init=/usr/lib/luctl/lu-init" },
		{ "BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro quiet", "root=/dev/vda1 ro quiet kho=on" I },
		{ "  root=a\t\tro  \n", "root=a ro kho=on" I },
		{ "kho=on root=a", "kho=on root=a" I },
		{ "kho=1 kho_scratch=64M,128M,64M", "kho=1 kho_scratch=64M,128M,64M" I },
		{ "kho=off kho=y", "kho=off kho=y" I },
		{ "root=a init=/bin/bash", "root=a kho=on" I " luctl.init=/bin/bash" },
		{ "root=a init=\"/bin/bash\"", "root=a kho=on" I " luctl.init=/bin/bash" },
		{ "root=a kho=on" I " luctl.init=/lib/systemd/systemd",
		  "root=a kho=on" I " luctl.init=/lib/systemd/systemd" },
		{ "root=a kho=on" I, "root=a kho=on" I },
		{ "kho=on" I " luctl.init=/old init=/new", "kho=on" I " luctl.init=/new" },
		{ "kho=on init=/old luctl.init=/older" I, "kho=on" I " luctl.init=/old" },
		{ "luctl.debug luctl.x=\"a b\" luctlx=1 kho=on", "luctlx=1 kho=on" I },
		{ "kexec_jump_back_entry=0x1 kexec-jump-back-entry=0x2 a", "a kho=on" I },
		{ "dyndbg=\"file a.c +p\" x=\"--\"", "dyndbg=\"file a.c +p\" x=\"--\" kho=on" I },
		{ "\"root=a b\" c", "\"root=a b\" c kho=on" I },
		{ "root=a -- init=/x BOOT_IMAGE=/y  single ", "root=a kho=on" I " -- init=/x BOOT_IMAGE=/y  single" },
		{ "rdinit=/sbin/init initx=1", "rdinit=/sbin/init initx=1 kho=on" I },
		{ "=x =", "=x = kho=on" I },
		{ "a=\"b", NULL, -EINVAL },
		{ "a=\"b c\"d\" e", NULL, -EINVAL },
		{ "a\x01", NULL, -EINVAL },
		{ "a\x7f", NULL, -EINVAL },
		{ "kho=off", NULL, -EINVAL },
		{ "kho=0", NULL, -EINVAL },
		{ "kho", NULL, -EINVAL },
		{ "kho=", NULL, -EINVAL },
		{ "kho=on \"kho=n\"", NULL, -EINVAL },
		{ "init=\"/bin/my init\"", NULL, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
		_cleanup_free_ char *got = NULL, *again = NULL;
		int r = lu_cmdline_target(all[i].base, "", 0, 2016, &got, &e);

		if (!all[i].want) {
			if (r == 0)
				print_error("accepted: %s\n", all[i].base);
			assert_int_equal(r, all[i].code);
			assert_non_null(e.what);
			assert_non_null(e.hint);
			continue;
		}
		if (r < 0)
			print_error("%s: %s\n", all[i].base, e.what ?: "");
		assert_int_equal(r, 0);
		assert_string_equal(got, all[i].want);
		assert_int_equal(lu_cmdline_target(got, "", 0, 2016, &again, NULL), 0);
		assert_string_equal(again, got);
	}
}

/* The promise is ours to make, from the target's note; what somebody wrote, or the last target promised, goes. */
static void test_pkeep(void **state)
{
	static const struct {
		const char *base, *pkeep, *want;
	} all[] = {
		{ "a", "pkeep-v1", "a kho=on pkeep=1" I },
		{ "a pkeep=7 b kho=on", "pkeep-v1", "a b kho=on pkeep=1" I },
		{ "a pkeep=1", "", "a kho=on" I },
		{ "pkeep.timeout=9 pkeep=1", "pkeep-v2", "pkeep.timeout=9 kho=on pkeep=2" I },
		{ "a", "something-v1", "a kho=on" I },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		_cleanup_free_ char *got = NULL, *again = NULL;

		assert_int_equal(lu_cmdline_target(all[i].base, all[i].pkeep, 0, 2016, &got, NULL), 0);
		assert_string_equal(got, all[i].want);
		assert_int_equal(lu_cmdline_target(got, all[i].pkeep, 0, 2016, &again, NULL), 0);
		assert_string_equal(again, got);
	}
}

static void test_tsc(void **state)
{
	static const struct {
		const char *base;
		uint32_t khz;
		const char *want;
	} all[] = {
		{ "a", 2700001, "a kho=on tsc_early_khz=2700001" I },
		{ "a tsc_early_khz=1 b kho=on tsc-early-khz=2", 2700001, "a b kho=on tsc_early_khz=2700001" I },
		{ "a tsc_early_khz=1", 0, "a tsc_early_khz=1 kho=on" I },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		_cleanup_free_ char *got = NULL, *again = NULL;

		assert_int_equal(lu_cmdline_target(all[i].base, "", all[i].khz, 2016, &got, NULL), 0);
		assert_string_equal(got, all[i].want);
		assert_int_equal(lu_cmdline_target(got, "", all[i].khz, 2016, &again, NULL), 0);
		assert_string_equal(again, got);
	}
}

static void test_length(void **state)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *got = NULL;
	const size_t fixed = strlen(" kho=on" I);
	char base[101];

	memset(base, 'x', 100);
	base[100] = '\0';
	assert_int_equal(lu_cmdline_target(base, "", 0, 100 + fixed - 1, &got, &e), -E2BIG);
	assert_null(got);
	assert_int_equal(lu_cmdline_target(base, "", 0, 100 + fixed, &got, NULL), 0);
	assert_int_equal(strlen(got), 100 + fixed);
}

/* lib/cmdline.c:next_arg(), retold as the oracle: writes NULs into @args. */
static char *oracle_next(char *args, char **param, char **val)
{
	unsigned int i, equals = 0;
	int in_quote = 0, quoted = 0;

	if (*args == '"') {
		args++;
		in_quote = 1;
		quoted = 1;
	}
	for (i = 0; args[i]; i++) {
		if (isspace((unsigned char)args[i]) && !in_quote)
			break;
		if (equals == 0 && args[i] == '=')
			equals = i;
		if (args[i] == '"')
			in_quote = !in_quote;
	}
	*param = args;
	*val = NULL;
	if (equals) {
		args[equals] = '\0';
		*val = args + equals + 1;
		if (**val == '"') {
			(*val)++;
			if (args[i - 1] == '"')
				args[i - 1] = '\0';
		}
	}
	if (quoted && i > 0 && args[i - 1] == '"')
		args[i - 1] = '\0';
	if (args[i]) {
		args[i] = '\0';
		args += i + 1;
	} else {
		args += i;
	}
	while (isspace((unsigned char)*args))
		args++;
	return args;
}

static char *oracle_get(const char *line, const char *name)
{
	_cleanup_free_ char *copy = strdup(line);
	char *p = copy, *param, *val, *found = NULL;

	while (isspace((unsigned char)*p))
		p++;
	while (*p) {
		p = oracle_next(p, &param, &val);
		if (!val && strcmp(param, "--") == 0)
			break;
		if (strcmp(param, name) == 0) {
			free(found);
			found = strdup(val ?: "");
		}
	}
	return found;
}

/* Random lines over a small alphabet: our reading of a parameter is the kernel's. */
static void test_get_equals_kernel(void **state)
{
	static const char *const pieces[] = { "a", "=", "\"", " ", "b", "a=", " a=\"", "\" ", "-", "--", " -- ", "\t" };
	unsigned int seed = 7, found = 0;

	for (int round = 0; round < 200000; round++) {
		char line[128] = "";
		int n = 1 + rand_r(&seed) % 10;
		_cleanup_free_ char *want = NULL, *got = NULL;
		unsigned int quotes = 0;
		int r;

		while (n--)
			strcat(line, pieces[(size_t)rand_r(&seed) % ARRAY_SIZE(pieces)]);
		for (const char *p = line; *p; p++)
			quotes += *p == '"';
		if (quotes % 2)
			continue; /* never gets to the kernel: refused */
		want = oracle_get(line, "a");
		r = lu_cmdline_get(line, "a", &got);
		if (r != (want != NULL) || (want && strcmp(want, got) != 0))
			print_error("line {%s}: kernel {%s}, we {%s}\n", line, want ?: "(none)", got ?: "(none)");
		assert_int_equal(r, want != NULL);
		if (want)
			assert_string_equal(got, want);
		found += want != NULL;
	}
	assert_true(found > 1000);
}

static void test_get(void **state)
{
	char *v = NULL;

	assert_int_equal(lu_cmdline_get("a b=1 b=2 -- b=3", "b", &v), 1);
	assert_string_equal(v, "2");
	free(v);
	assert_int_equal(lu_cmdline_get("kho-scratch=1", "kho_scratch", &v), 1);
	assert_string_equal(v, "1");
	free(v);
	/* Only one quote comes off the end, as in the kernel. */
	assert_int_equal(lu_cmdline_get("x \"a=\"\"\" y", "a", &v), 1);
	assert_string_equal(v, "\"");
	free(v);
	assert_int_equal(lu_cmdline_get("a bb=1", "b", &v), 0);
}

static void test_without_lsm(void **state)
{
	static const struct {
		const char *line, *word; /* NULL: it is used, as far as the line says */
	} cases[] = {
		{ "root=/dev/vda quiet", NULL },
		{ "apparmor=1 security=apparmor", NULL },
		{ "apparmor=0", "apparmor=0" },
		{ "apparmor=0 apparmor=1", NULL },
		{ "security=selinux", "security=selinux" },
		{ "security=", NULL },
		{ "lsm=yama,apparmor,bpf security=selinux", NULL },
		{ "lsm=yama,bpf", "lsm=yama,bpf" },
		{ "lsm=apparmor2,bpf", "lsm=apparmor2,bpf" },
		{ "lsm=xapparmor", "lsm=xapparmor" },
		{ "lsm=bpf,apparmor", NULL },
		{ "quiet -- apparmor=0", NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *word = NULL;
		int r = lu_cmdline_without_lsm(cases[i].line, "apparmor", &word);

		if (r != (cases[i].word ? 1 : 0) || (cases[i].word && strcmp(word, cases[i].word) != 0))
			fail_msg("%s: %d, %s", cases[i].line, r, word ? word : "nothing");
		free(word);
	}
}

static void test_running(void **state)
{
	char *line = NULL;

	assert_int_equal(lu_cmdline_running(AT_FDCWD, &line, NULL), 0);
	assert_null(strchr(line, '\n'));
	free(line);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_target),
		cmocka_unit_test(test_pkeep),
		cmocka_unit_test(test_tsc),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_get_equals_kernel),
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_without_lsm),
		cmocka_unit_test(test_running),
	};

	return cmocka_run_group_tests_name("cmdline", tests, NULL, NULL);
}
