// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See sandbox.h. The process stays root by number: the service has no CAP_SETUID, and a user without capabilities that
 * can make no system call with them has nothing from being root.
 *
 * The filter is a list of what is admitted (seccomp(2)); what is not there fails with EPERM rather than
 * kills, since libraries try this and that. Sanitizers reserve terabytes of addresses and write their reports,
 * so a build with them has no limit of memory and may write.
 *
 * Not handled: a kernel without CONFIG_SECCOMP_FILTER; there the limits have to do.
 */
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "sandbox.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static int set_limit(int which, rlim_t value)
{
	struct rlimit rl = { value, value }, now;

	if (getrlimit((__rlimit_resource_t)which, &now) == 0 && now.rlim_max < value)
		return 0;
	return setrlimit((__rlimit_resource_t)which, &rl) < 0 ? -errno : 0;
}

static int set_limits(void)
{
	int r = SANITIZED ? 0 : set_limit(RLIMIT_AS, LU_SANDBOX_MEMORY);

	if (r >= 0)
		r = set_limit(RLIMIT_CPU, LU_SANDBOX_CPU_SEC);
	if (r >= 0)
		r = set_limit(RLIMIT_CORE, 0);
	if (r >= 0)
		r = set_limit(RLIMIT_FSIZE, 0);
	return r;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &h, none) < 0 ? -errno : 0;
}

static int set_filter(void)
{
#if defined(__x86_64__)
	static const int admitted[] = {
		SYS_read,         SYS_pread64,   SYS_lseek,         SYS_fstat,
		SYS_newfstatat,   SYS_close,     SYS_mmap,          SYS_munmap,
		SYS_mremap,       SYS_mprotect,  SYS_madvise,       SYS_brk,
		SYS_futex,        SYS_getrandom, SYS_clock_gettime, SYS_rt_sigprocmask,
		SYS_rt_sigreturn, SYS_getpid,    SYS_gettid,        SYS_sigaltstack,
		SYS_sched_yield,  SYS_exit,      SYS_exit_group,    SANITIZED ? SYS_write : SYS_exit,
	};
	enum {
		HEAD = 4,
		N = ARRAY_SIZE(admitted)
	};
	struct sock_filter code[HEAD + N + 2] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	struct sock_fprog program = { .len = ARRAY_SIZE(code), .filter = code };

	for (int i = 0; i < N; i++)
		code[HEAD + i] =
			(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (__u32)admitted[i], (__u8)(N - i), 0);
	code[HEAD + N] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	code[HEAD + N + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0 && errno != EINVAL)
		return -errno;
#endif
	return 0;
}

int lu_sandbox_enter(struct lu_error *e)
{
	int r = set_limits();

	if (r >= 0)
		r = drop_capabilities();
	if (r >= 0)
		r = set_filter();
	return r < 0 ? lu_error_set(e, r, NULL, "no sandbox for reading it: %s", strerror(-r)) : 0;
}
