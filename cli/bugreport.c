// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * luctl bugreport: what somebody far away needs to know about this host, in one file. What luctld says, its settings, the
 * last update's records, both logs since the host came up. Nothing is asked to do anything, no guest is touched, and what
 * can't be had is a line of the archive's README: this has to work where nothing else does.
 *
 * Left out on purpose: guests' memory and saved states, and how their QEMUs are started, since command lines and
 * environments may hold passwords.
 */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "clock.h"

#define PART_MAX (16u << 20)
#define PROGRAM_SECONDS 30

struct bundle {
	struct cli *cli;
	struct archive *archive;
	char folder[96];
	time_t when;
	char *readme;
	size_t readme_size;
	FILE *list; /* writes readme */
	int r;      /* first failure to write */
};

static void put(struct bundle *b, const char *name, const void *data, size_t size)
{
	struct archive_entry *entry = archive_entry_new();
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", b->folder, name);
	if (!entry || b->r < 0) {
		b->r = b->r ?: -ENOMEM;
		archive_entry_free(entry);
		return;
	}
	archive_entry_set_pathname(entry, path);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0600);
	archive_entry_set_size(entry, (la_int64_t)size);
	archive_entry_set_mtime(entry, b->when, 0);
	if (archive_write_header(b->archive, entry) != ARCHIVE_OK ||
	    archive_write_data(b->archive, data, size) != (la_ssize_t)size)
		b->r = -(archive_errno(b->archive) ?: EIO);
	archive_entry_free(entry);
}

static void missing(struct bundle *b, const char *name, const char *why)
{
	_cleanup_free_ char *safe = cli_safe(why);

	fprintf(b->list, "- %s: not there: %s\n", name, safe ?: "?");
}

static void put_file(struct bundle *b, const char *path)
{
	_cleanup_free_ char *data = NULL;
	size_t size = 0;
	int r = lu_read_file(AT_FDCWD, path, PART_MAX, &data, &size);
	char name[PATH_MAX];

	snprintf(name, sizeof(name), "files%s", path);
	if (r < 0)
		missing(b, name, strerror(-r));
	else
		put(b, name, data, size);
}

static void put_files(struct bundle *b, const char *pattern)
{
	glob_t found = { 0 };

	if (glob(pattern, 0, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			put_file(b, found.gl_pathv[i]);
	else
		missing(b, pattern, "no such file");
	globfree(&found);
}

/* A document of the library's, or what it says instead */
static void put_json(struct bundle *b, const char *name, int r, const char *json)
{
	char file[64];

	snprintf(file, sizeof(file), "luctl/%s.json", name);
	if (r < 0)
		missing(b, file, luctl_last_error(b->cli->ctx) ?: strerror(-r));
	else
		put(b, file, json, strlen(json));
}

static void put_documents(struct bundle *b)
{
	_cleanup_(luctl_judgement_freep) struct luctl_judgement *judgement = NULL;
	_cleanup_(luctl_pkernfs_freep) struct luctl_pkernfs *pkernfs = NULL;
	_cleanup_(luctl_status_freep) struct luctl_status *status = NULL;
	_cleanup_(luctl_report_freep) struct luctl_report *report = NULL;
	_cleanup_(luctl_vms_freep) struct luctl_vms *vms = NULL;
	_cleanup_(luctl_plan_freep) struct luctl_plan *plan = NULL;
	int r = luctl_connect(b->cli->ctx, cli_value(b->cli, "bus"));

	if (r < 0) {
		missing(b, "luctl", luctl_last_error(b->cli->ctx) ?: strerror(-r));
	} else {
		r = luctl_status_get(b->cli->ctx, &status);
		put_json(b, "status", r, r < 0 ? NULL : luctl_status_json(status));
		r = luctl_vms_get(b->cli->ctx, &vms);
		put_json(b, "vm-list", r, r < 0 ? NULL : luctl_vms_json(vms));
		r = luctl_report_get(b->cli->ctx, &report);
		put_json(b, "report", r, r < 0 ? NULL : luctl_report_json(report));
		r = luctl_plan_new(b->cli->ctx, NULL, &plan);
		if (r >= 0)
			r = luctl_judge(plan, &judgement);
		put_json(b, "plan", r, r < 0 ? NULL : luctl_judgement_json(judgement));
	}
	r = luctl_pkernfs_read(b->cli->ctx, NULL, LUCTL_UNKNOWN, NULL, false, &pkernfs);
	put_json(b, "pkernfs", r, r < 0 ? NULL : luctl_pkernfs_json(pkernfs));
}

/* What a program prints, both streams, up to a limit of size and of time */
static void put_program(struct bundle *b, const char *name, const char *const *argv)
{
	uint64_t end = lu_clock_ns(CLOCK_MONOTONIC) + PROGRAM_SECONDS * UINT64_C(1000000000);
	_cleanup_free_ char *data = malloc(PART_MAX);
	size_t size = 0;
	int p[2], status;
	pid_t pid;

	if (!data || pipe2(p, O_CLOEXEC) < 0) {
		missing(b, name, strerror(errno));
		return;
	}
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 0);
		dup2(p[1], 1);
		dup2(p[1], 2);
		(void)signal(SIGPIPE, SIG_DFL);
		execvp(argv[0], (char *const *)argv);
		fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(p[1]);
	while (pid > 0 && size < PART_MAX) {
		int64_t left = (int64_t)(end - lu_clock_ns(CLOCK_MONOTONIC)) / 1000000;
		ssize_t n;

		if (left <= 0 || poll(&(struct pollfd){ .fd = p[0], .events = POLLIN }, 1, (int)left) != 1)
			break;
		n = read(p[0], data + size, PART_MAX - size);
		if (n <= 0)
			break;
		size += (size_t)n;
	}
	close(p[0]);
	if (pid > 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
	}
	put(b, name, data, size);
}

static void put_all(struct bundle *b)
{
	static const char *const patterns[] = {
		"/etc/os-release",
		"/proc/cmdline",
		"/proc/version",
		"/proc/meminfo",
		"/proc/mounts",
		"/etc/luctl/luctld.conf",
		"/etc/luctl/luctld.conf.d/*",
		"/etc/luctl/vms.d/*",
		"/var/lib/luctl/measured.json",
		"/var/lib/luctl/reports/*",
		"/run/luctl/pkernfs/update/*",
		"/run/luctl/pkernfs/vm/*/result.json",
	};
	static const char *const log[] = { "journalctl", "--no-pager",     "-b", "-o",      "short-monotonic",
					   "-u",         "luctld.service", "-u", "luctl-*", NULL };
	static const char *const kernel[] = { "journalctl", "--no-pager", "-b", "-k", "-o", "short-monotonic", NULL };
	static const char *const units[] = { "systemctl", "--no-pager", "--all", "list-units", "luctl*", NULL };

	put_documents(b);
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
		put_files(b, patterns[i]);
	put_program(b, "log-luctl.txt", log);
	put_program(b, "log-kernel.txt", kernel);
	put_program(b, "units.txt", units);
}

static int begin(struct bundle *b, char path[static PATH_MAX], int *ret_fd)
{
	const char *output = cli_value(b->cli, "output");
	struct utsname host;
	struct tm tm;
	char when[32];

	b->when = time(NULL);
	uname(&host);
	if (!gmtime_r(&b->when, &tm) || strftime(when, sizeof(when), "%Y%m%d-%H%M%S", &tm) == 0)
		strcpy(when, "now");
	snprintf(b->folder, sizeof(b->folder), "luctl-%.40s-%s", host.nodename, when);
	if (output)
		snprintf(path, PATH_MAX, "%s", output);
	else
		snprintf(path, PATH_MAX, "%s.tar.gz", b->folder);
	/* an older one is not lost by a slip */
	*ret_fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (*ret_fd < 0)
		return -errno;
	b->archive = archive_write_new();
	if (!b->archive || archive_write_add_filter_gzip(b->archive) != ARCHIVE_OK ||
	    archive_write_set_format_pax_restricted(b->archive) != ARCHIVE_OK ||
	    archive_write_open_fd(b->archive, *ret_fd) != ARCHIVE_OK)
		return -ENOMEM;
	b->list = open_memstream(&b->readme, &b->readme_size);
	return b->list ? 0 : -ENOMEM;
}

int verb_bugreport(struct cli *cli)
{
	struct bundle b = { .cli = cli };
	_cleanup_close_ int fd = -EBADF;
	char path[PATH_MAX];
	int r = begin(&b, path, &fd);

	if (r >= 0) {
		fprintf(b.list,
			"Made by luctl %s. Guests' memory, their saved states and how their QEMUs are started are left out.\n"
			"Look through it before you give it away: it names hosts, guests, files and users.\n\n",
			luctl_version());
		put_all(&b);
		fclose(b.list);
		put(&b, "README", b.readme, b.readme_size);
		r = b.r;
	}
	free(b.readme);
	if (b.archive && archive_write_close(b.archive) != ARCHIVE_OK && r >= 0)
		r = -EIO;
	archive_write_free(b.archive);
	if (r < 0) {
		if (fd >= 0)
			(void)unlink(path);
		return cli_error(cli, EXIT_FAILED,
				 r == -EEXIST ? "give another name by --output" : "give a place by --output", "%s: %s",
				 path, strerror(-r));
	}
	/* for scripts: the name alone */
	puts(path);
	fputs("Look through it before you give it away: it names hosts, guests, files and users.\n", stderr);
	return EXIT_OK;
}
