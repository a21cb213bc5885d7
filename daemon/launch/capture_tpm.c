// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The TPM of a QEMU, as a process that is started before the next QEMU. What the TPM holds (its permanent, volatile and
 * saved state) QEMU asks swtpm for when it saves, and gives to the next one when it loads: all that is needed is a swtpm
 * that listens at the same socket.
 *
 * Facts of swtpm 0.7 to 0.10 (measured): it serves one QEMU at a time, and locks the directory of its state. When its
 * QEMU dies it ends if it was told to (--terminate), else it waits for the next one. A QEMU that ends in order ends it.
 *
 * Its words are kept but for two: it is not to become a daemon (whoever starts it has it as a child), and it is to end
 * with its QEMU, since nobody else ends it then. Its state is written to its directory as it changes, so a guest that is
 * started anew finds it there.
 *
 * The unit that it was started by is passed on in its environment: after an update it runs in the guest's scope.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "argv.h"
#include "capture.h"
#include "documents.h"
#include "peers.h"

#define UNIT_VARIABLE "LUCTL_UNIT"

static const char hint_start[] = "start swtpm by a unit of its own, as luctl-tpm@.service does, or exclude the VM";

static bool is_one_of(const char *word, const char *a, const char *b)
{
	return !strcmp(word, a) || !strcmp(word, b);
}

/* Options that name a descriptor: "fd=7", "pwdfd=7", "clientfd=7" */
static bool names_fd(const char *word)
{
	for (const char *p = word; (p = strstr(p, "fd=")); p++) {
		const char *start = p;

		while (start > word && start[-1] != ',')
			start--;
		if (!strncmp(start, "fd=", 3) || !strncmp(start, "pwdfd=", 6) || !strncmp(start, "clientfd=", 9))
			return true;
	}
	return false;
}

static int check_words(char *const *argv, struct lu_reasons *why)
{
	if (!argv[1] || strcmp(argv[1], "socket") != 0)
		lu_reasons_add(why, NULL, "start it as \"swtpm socket --ctrl type=unixio,path=...\"",
			       "it was not started as \"swtpm socket\"");
	for (size_t i = 1; argv[i]; i++) {
		if (names_fd(argv[i]) || is_one_of(argv[i], "-f", "--fd"))
			lu_reasons_add(why, NULL, "name the file by its path instead",
				       "an inherited file descriptor can't be opened again: %s", argv[i]);
		if (is_one_of(argv[i], "-r", "--runas") || is_one_of(argv[i], "-R", "--chroot"))
			lu_reasons_add(why, NULL, "let systemd change the user (User= of the unit)",
				       "the user it was started as is unknown (%s)", argv[i]);
	}
	return 0;
}

/* Those of the next one. */
static int take_words(struct lu_launch *l)
{
	_cleanup_(lu_argv_freep) char **words = NULL;
	size_t n = 0, used = 0;

	while (l->argv[n])
		n++;
	words = calloc(n + 2, sizeof(*words));
	if (!words)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (!is_one_of(l->argv[i], "-d", "--daemon") && !(words[used++] = strdup(l->argv[i])))
			return -ENOMEM;
	if (!lu_tpm_terminates(words) && !(words[used++] = strdup("--terminate")))
		return -ENOMEM;
	lu_argv_free(l->argv);
	l->argv = steal_ptr(words);
	return 0;
}

/* KEY=VALUE of what follows "--NAME", the last one; 0 if it is not there */
static int word_value(char *const *argv, const char *name, const char *key, char **ret)
{
	int found = 0;

	for (size_t i = 1; argv[i] && argv[i + 1]; i++) {
		_cleanup_free_ char *v = NULL;
		int r;

		if (argv[i][0] != '-' || strcmp(argv[i] + strspn(argv[i], "-"), name) != 0)
			continue;
		r = lu_argv_property(argv[i + 1], key, &v);
		if (r < 0)
			return r;
		free(*ret);
		*ret = steal_ptr(v);
		found = r;
	}
	return found;
}

/* "dir=/x", "backend-uri=dir:///x"; a file of its own it has open all the time */
static int state_directory(char *const *argv, char **ret)
{
	_cleanup_free_ char *uri = NULL;
	int r = word_value(argv, "tpmstate", "dir", ret);

	if (r != 0)
		return r < 0 ? r : 0;
	r = word_value(argv, "tpmstate", "backend-uri", &uri);
	if (r > 0 && !strncmp(uri, "dir://", 6) && !(*ret = strdup(uri + 6)))
		return -ENOMEM;
	return r < 0 ? r : 0;
}

/* As whose it is known: by its variable, or by where it runs. */
static int note_unit(const struct lu_capture_from *from, pid_t pid, struct lu_launch_tpm *tpm)
{
	struct lu_launch *l = &tpm->process;
	struct lu_launch_var *env;

	for (size_t i = 0; i < l->n_env; i++)
		if (!strcmp(l->env[i].name, UNIT_VARIABLE)) {
			if (lu_unit_valid(l->env[i].value))
				tpm->unit = strdup(l->env[i].value);
			return !lu_unit_valid(l->env[i].value) || tpm->unit ? 0 : -ENOMEM;
		}
	tpm->unit = lu_peers_unit(from->proc_fd, pid);
	if (!tpm->unit || !lu_unit_valid(tpm->unit))
		return 0;
	env = reallocarray(l->env, l->n_env + 1, sizeof(*env));
	if (!env)
		return -ENOMEM;
	l->env = env;
	env[l->n_env++] = (struct lu_launch_var){ .name = strdup(UNIT_VARIABLE), .value = strdup(tpm->unit) };
	return env[l->n_env - 1].name && env[l->n_env - 1].value ? 0 : -ENOMEM;
}

/* What a record of it does not have. */
static void forget_rest(struct lu_launch *l)
{
	lu_argv_free(l->features);
	lu_argv_free(l->modules);
	free(l->cgroup);
	free(l->late);
	l->features = l->modules = NULL;
	l->cgroup = l->late = NULL;
}

static int capture(const struct lu_capture_from *from, pid_t pid, struct lu_launch_tpm *tpm, struct lu_reasons *why)
{
	_cleanup_free_ char *state = NULL, *pidfile = NULL;
	struct lu_launch *l = &tpm->process;
	_cleanup_close_ int root = -EBADF;
	const char *name;
	int r = lu_capture_process(from, pid, l, &root, why);

	if (r < 0)
		return r;
	name = strrchr(l->exe, '/');
	if (strcmp(name ? name + 1 : l->exe, "swtpm") != 0) {
		lu_reasons_add(why, NULL, "use swtpm", "it is %s, which is not known here", l->exe);
		return 0;
	}
	r = check_words(l->argv, why);
	if (r >= 0)
		r = state_directory(l->argv, &state);
	if (r >= 0)
		r = word_value(l->argv, "pid", "file", &pidfile);
	if (r >= 0)
		r = lu_capture_tpm_identity(from, pid, l);
	if (r >= 0)
		r = lu_capture_tpm_files(from, pid, root, l, state, pidfile, why);
	if (r >= 0)
		r = take_words(l);
	return r < 0 ? r : note_unit(from, pid, tpm);
}

/* The process, by QEMU's own connection to it; 0 with a reason. */
static int find_server(const struct lu_capture_from *from, pid_t pid, const char *path, pid_t *ret,
		       struct lu_reasons *why)
{
	struct lu_peers peers;
	int r = lu_peers_find(from->proc_fd, pid, &peers);

	*ret = 0;
	if (r == -EPERM) {
		lu_reasons_add(why, NULL, "luctld needs CAP_SYS_PTRACE to read about other users' processes",
			       "whom it is connected to can't be read: %s", strerror(EPERM));
		return 0;
	}
	if (r < 0)
		return r;
	*ret = lu_peers_server(&peers, path);
	lu_peers_clear(&peers);
	if (*ret <= 0)
		lu_reasons_add(why, NULL, hint_start, "its TPM: no single process serves %s, to which it is connected",
			       path);
	return 0;
}

int lu_capture_tpm(const struct lu_capture_from *from, pid_t pid, struct lu_launch *l, struct lu_reasons *why)
{
	_cleanup_reasons_ struct lu_reasons own = { 0 };
	_cleanup_free_ char *chardev = NULL, *path = NULL;
	struct lu_launch_tpm *tpm;
	pid_t server;
	int r = lu_argv_tpm(l->argv, &chardev, &path);

	if (r == 0 || r == -ENOMEM)
		return r;
	if (!path || path[0] != '/') {
		lu_reasons_add(why, NULL, hint_start,
			       "its TPM is served by another process (swtpm), not at a socket with an absolute path");
		return 0;
	}
	r = find_server(from, pid, path, &server, why);
	if (r < 0 || server <= 0)
		return r;
	l->tpm = tpm = calloc(1, sizeof(*tpm));
	if (!tpm || !(tpm->socket = strdup(path)))
		return -ENOMEM;
	r = capture(from, server, tpm, &own);
	for (size_t i = 0; i < own.n; i++)
		lu_reasons_add(why, NULL, own.list[i].hint, "its TPM, process %d: %s", (int)server, own.list[i].what);
	if (r >= 0 && tpm->process.late && !l->late && asprintf(&l->late, "its TPM: %s", tpm->process.late) < 0) {
		l->late = NULL;
		r = -ENOMEM;
	}
	forget_rest(&tpm->process);
	/* an older luctl knows the TPM, not this of it */
	if (r >= 0 && tpm->process.task)
		r = lu_launch_add_feature(l, LU_LAUNCH_TASK);
	return r < 0 ? r : lu_launch_add_feature(l, LU_LAUNCH_TPM);
}
