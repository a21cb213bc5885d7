// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The trial: does this kernel come up in that one's place? A throw-away machine boots the running kernel's image,
 * leaves files in pkernfs and a session in /dev/liveupdate, and jumps into the target's image with the target's initrd
 * and command line; lu-init (daemon/lu-init/trial.c) looks at what comes over. The host's root file system is there as
 * overlays of its disks, behind a device with the same driver, so that the target finds its root and its init as it
 * will have to. If it can't be shown, lu-init is put behind the initrd, and the verdict says so.
 *
 * A root file system that is in use is read while others write to it: whoever mounts that finds a journal to replay, and,
 * seldom, one that does not fit. So it is written out before, and a trial in which the target does not get to lu-init
 * is made once more.
 *
 * luctld starts it in a service of its own. It ends when nobody reads its standard error any more.
 */
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmdline.h"
#include "exit-codes.h"
#include "lu-init/trial-words.h"
#include "trial.h"

#define MIB (UINT64_C(1) << 20)
#define BASE_MIB 512u     /* two kernels, QEMU's firmware, what is left in pkernfs */
#define HOST_LEAVES 256u  /* MiB of what is available stay with the host */
#define SCRATCH_MAX 1024u /* MiB; more holds any image and initrd */

struct trial {
	const struct trial_options *o;
	char folder[32];
	int kernel, initrd, init;
	struct trial_disks disks;
	bool with_root; /* the host's root file system can be shown */
	char why[400];  /* it can't */
	uint64_t kernel_size, initrd_size;
	unsigned int memory_mib, scratch_mib;
	char scratch[96]; /* "kho_scratch=…" or "" */
};

static int open_file(const char *path, int *ret, uint64_t *ret_size, struct lu_error *e)
{
	struct stat st;

	*ret = open(path, O_RDONLY | O_CLOEXEC);
	if (*ret < 0 || fstat(*ret, &st) < 0)
		return lu_error_set(e, -errno, NULL, "%s: %s", path, strerror(errno));
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

/* As large as this host's: what is too small for the target here is too small there. */
static void find_scratch(struct trial *t)
{
	static const char path[] = "/sys/kernel/debug/kho/out/scratch_len";
	_cleanup_free_ char *text = NULL, *cmdline = NULL, *value = NULL;
	unsigned long long size[3] = { 0 }, sum = 0;
	const char *p;

	if (lu_read_file(AT_FDCWD, path, 1 << 16, &text, NULL) == 0) {
		p = text;
		for (int i = 0; *p; i++) {
			unsigned long long n = strtoull(p, NULL, 0);

			/* the first two are below 4 GiB and anywhere, then there is one for each node */
			n = n > SCRATCH_MAX * MIB ? SCRATCH_MAX * MIB : n;
			if (i < 3 || n > size[2])
				size[i < 3 ? i : 2] = n;
			p += strcspn(p, "\n");
			p += *p == '\n';
		}
		sum = size[0] + size[1] + size[2];
		if (sum)
			snprintf(t->scratch, sizeof(t->scratch), "kho_scratch=%lluK,%lluK,%lluK", size[0] >> 10,
				 size[1] >> 10, size[2] >> 10);
	} else if (lu_cmdline_running(AT_FDCWD, &cmdline, NULL) == 0 &&
		   lu_cmdline_get(cmdline, "kho_scratch", &value) > 0 && strlen(value) < 64) {
		snprintf(t->scratch, sizeof(t->scratch), "kho_scratch=%s", value);
		sum = SCRATCH_MAX * MIB;
	}
	t->scratch_mib = (unsigned int)(sum / MIB);
}

static int find_memory(struct trial *t, struct lu_error *e)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long available = 0;
	const char *p;

	/* in the archive, unpacked from it, loaded, and at its place; of an initrd what is unpacked of it, too */
	t->memory_mib = BASE_MIB + t->scratch_mib + (unsigned int)((4 * t->kernel_size + 12 * t->initrd_size) / MIB);
	t->memory_mib += -t->memory_mib & 63;
	if (lu_read_file(AT_FDCWD, "/proc/meminfo", 1 << 16, &text, NULL) < 0)
		return 0;
	p = strstr(text, "MemAvailable:");
	if (p && sscanf(p, "MemAvailable: %llu", &available) == 1 && available / 1024 < t->memory_mib + HOST_LEAVES)
		return lu_error_set(e, -ENOMEM, "free some memory of the host",
				    "the machine needs %u MiB, and %llu are available", t->memory_mib,
				    available / 1024);
	return 0;
}

/* What the outcome hangs on. The running kernel is told by its notes, which hold the build's id. */
static int find_key(struct trial *t, char key[static TRIAL_KEY_SIZE], struct lu_error *e)
{
	_cleanup_close_ int notes = open("/sys/kernel/notes", O_RDONLY | O_CLOEXEC);
	const int fds[] = { notes, t->kernel, t->initrd, t->init };

	return trial_key(fds, ARRAY_SIZE(fds), (const char *[]){ t->o->cmdline, t->scratch, t->o->running, NULL }, key,
			 e);
}

static int open_files(struct trial *t, struct lu_error *e)
{
	uint64_t size;
	int r = open_file(t->o->kernel, &t->kernel, &t->kernel_size, e);

	if (r == 0 && t->o->initrd)
		r = open_file(t->o->initrd, &t->initrd, &t->initrd_size, e);
	if (r == 0)
		r = open_file(t->o->init, &t->init, &size, e);
	find_scratch(t);
	return r;
}

/* What a machine takes */
static int prepare(struct trial *t, struct lu_error *e)
{
	_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
	int r;

	if (access("/dev/kvm", R_OK | W_OK) < 0)
		return lu_error_set(e, -errno, NULL, "/dev/kvm: %s", strerror(errno));
	if (access(t->o->qemu, X_OK) < 0)
		return lu_error_set(e, -errno, "install qemu-system-x86", "%s: %s", t->o->qemu, strerror(errno));
	if (access(t->o->running, R_OK) < 0)
		return lu_error_set(e, -errno,
				    "name the image of the running kernel in luctld.conf: [update] trial-running=",
				    "%s: %s", t->o->running, strerror(errno));
	r = find_memory(t, e);
	if (r < 0)
		return r;
	r = trial_disks_find(AT_FDCWD, &t->disks, &why);
	if (r == 0)
		r = trial_disks_open(&t->disks, &why);
	t->with_root = r == 0;
	if (r < 0) {
		snprintf(t->why, sizeof(t->why), "%s", why.what ?: strerror(-r));
		trial_disks_close(&t->disks);
	}
	strcpy(t->folder, "/tmp/luctl-trial-XXXXXX");
	return mkdtemp(t->folder) ? 0 : lu_error_set(e, -errno, NULL, "%s: %s", t->folder, strerror(errno));
}

/* Ours stands before the host's: what comes after a "--" is not the kernel's. */
static int write_first(struct trial *t, const char *path, struct lu_error *e)
{
	_cleanup_free_ char *cmdline = NULL, *behind = NULL;
	_cleanup_close_ int both = -EBADF;
	struct trial_file files[5];
	size_t n = 0;
	int r;

	if (asprintf(&behind, "%s/second", t->folder) < 0 ||
	    asprintf(&cmdline, "console=ttyS0 panic=-1 " LU_TRIAL_SECOND "%s %s",
		     t->with_root ? "" : " rdinit=" LU_TRIAL_MARK, t->o->cmdline) < 0)
		return -ENOMEM;
	if (!t->with_root) {
		files[0] = (struct trial_file){ .path = LU_TRIAL_MARK + 1, .fd = t->init, .executable = true };
		r = trial_archive_write(behind, t->initrd, files, 1, e);
		if (r < 0)
			return r;
		both = open(behind, O_RDONLY | O_CLOEXEC);
		if (both < 0)
			return lu_error_set(e, -errno, NULL, "%s: %s", behind, strerror(errno));
	}
	files[n++] = (struct trial_file){ .path = "init", .fd = t->init, .executable = true };
	files[n++] = (struct trial_file){ .path = LU_TRIAL_KERNEL + 1, .fd = t->kernel };
	files[n++] = (struct trial_file){ .path = LU_TRIAL_CMDLINE + 1, .fd = -EBADF, .text = cmdline };
	if (both >= 0 || t->initrd >= 0)
		files[n++] = (struct trial_file){ .path = LU_TRIAL_INITRD + 1, .fd = both >= 0 ? both : t->initrd };
	return trial_archive_write(path, -EBADF, files, n, e);
}

static int hand_over(struct trial *t, const char *initramfs, uid_t *ret_uid, gid_t *ret_gid, struct lu_error *e)
{
	const struct passwd *user;
	struct stat st;

	*ret_uid = geteuid();
	*ret_gid = getegid();
	if (geteuid() != 0)
		return 0;
	user = getpwnam(t->o->user);
	if (!user || stat("/dev/kvm", &st) < 0)
		return lu_error_set(e, -ESRCH, "install luctl completely", "there is no user %s", t->o->user);
	if (chown(t->folder, user->pw_uid, user->pw_gid) < 0 || chown(initramfs, user->pw_uid, user->pw_gid) < 0 ||
	    setgroups(1, &st.st_gid) < 0)
		return lu_error_set(e, -errno, NULL, "%s: %s", t->folder, strerror(errno));
	*ret_uid = user->pw_uid;
	*ret_gid = user->pw_gid;
	return 0;
}

static int judge(const struct trial *t, const struct trial_result *r)
{
	const char *end = r->late ? " and was ended at the time limit" : "";
	const char *hint = r->late ?
				   "boot it by hand, give it more time (trial-timeout, luctld(8)), or say --no-trial" :
				   "boot it by hand, or say --no-trial if you know better";

	switch (r->stage) {
	case TRIAL_OK:
		if (t->with_root)
			return EXIT_SUCCESS;
		fprintf(stderr,
			"the target (%s) comes up, but whether it finds its root file system was not tried: %s\n",
			r->release, t->why);
		return LU_TRIAL_EXIT_PARTLY;
	case TRIAL_NOTHING:
		fprintf(stderr,
			"the running kernel's image does not come up in a machine of its own%s; its console says: %s\n",
			end, *r->last ? r->last : "nothing");
		return LU_TRIAL_EXIT_CANT;
	case TRIAL_FIRST:
		fprintf(stderr, "the running kernel's image%s: %s\nis %s that of the kernel that runs?\n", end,
			*r->failed ? r->failed : r->last, t->o->running);
		return LU_TRIAL_EXIT_CANT;
	case TRIAL_LOAD:
		fprintf(stderr, "the target can't be jumped to%s: %s\n%s\n", end, *r->failed ? r->failed : r->last,
			hint);
		return LU_TRIAL_EXIT_TARGET;
	case TRIAL_JUMP:
		fprintf(stderr, "the target does not get to lu-init%s; its console says: %s\n%s\n", end,
			*r->last ? r->last : "nothing", hint);
		return LU_TRIAL_EXIT_TARGET;
	default:
		fprintf(stderr, "the target (%s) comes up, but %s%s\n%s\n", r->release,
			*r->failed ? r->failed : "lu-init says no more", end, hint);
		return LU_TRIAL_EXIT_TARGET;
	}
}

static int attempt(struct trial *t, int *ret, struct lu_error *e)
{
	_cleanup_free_ char *initramfs = NULL, *cmdline = NULL;
	struct trial_machine m = { .qemu = t->o->qemu,
				   .folder = t->folder,
				   .kernel = t->o->running,
				   .memory_mib = t->memory_mib,
				   .disks = &t->disks,
				   .seconds = t->o->seconds };
	struct trial_result result;
	int r;

	if (asprintf(&initramfs, "%s/first", t->folder) < 0 ||
	    asprintf(&cmdline, "console=ttyS0 panic=-1 kho=on liveupdate=on " LU_TRIAL_FIRST " %s", t->scratch) < 0)
		return -ENOMEM;
	m.initrd = initramfs;
	m.cmdline = cmdline;
	r = write_first(t, initramfs, e);
	if (r == 0)
		r = hand_over(t, initramfs, &m.uid, &m.gid, e);
	for (int i = 0; r == 0 && i < 2; i++) {
		sync();
		r = trial_machine_run(&m, &result, e);
		if (!t->with_root || result.stage != TRIAL_JUMP || result.late)
			break;
	}
	if (r == 0)
		*ret = judge(t, &result);
	return r;
}

static void remove_folder(const struct trial *t)
{
	static const char *const names[] = { "first", "second", "console", "qemu" };
	char path[64];

	for (size_t i = 0; *t->folder && i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", t->folder, names[i]);
		(void)unlink(path);
	}
	if (*t->folder)
		(void)rmdir(t->folder);
}

int trial_run(const struct trial_options *o)
{
	struct trial t = { .o = o, .kernel = -EBADF, .initrd = -EBADF, .init = -EBADF };
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	int code = LU_TRIAL_EXIT_CANT, r;
	char key[TRIAL_KEY_SIZE];

	r = open_files(&t, &e);
	if (r == 0)
		r = find_key(&t, key, &e);
	if (r == 0 && trial_remembered(o->remember, key)) {
		code = EXIT_SUCCESS;
	} else if (r == 0) {
		r = prepare(&t, &e);
		if (r == 0)
			r = attempt(&t, &code, &e);
		if (r == 0 && code == EXIT_SUCCESS)
			trial_remember(o->remember, key);
	}
	if (r < 0)
		fprintf(stderr, "%s\n%s%s", e.what ?: strerror(-r), e.hint ?: "", e.hint ? "\n" : "");
	remove_folder(&t);
	trial_disks_close(&t.disks);
	closep(&t.kernel);
	closep(&t.initrd);
	closep(&t.init);
	return code;
}
