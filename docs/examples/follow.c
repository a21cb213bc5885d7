/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Follows the job that is under way, whoever has begun it, in an event loop: here poll(2), and a second thing to wait
 * for beside the bus, the end of standard input. If luctld is started anew, as after the jump, it finds the next job.
 *
 *	cc follow.c $(pkg-config --cflags --libs libluctl) -o follow
 *	./follow [D-BUS-ADDRESS]
 *
 * Exit code: 0 the job ended well, 1 it did not, 2 there was nothing to follow.
 */
#include <errno.h>
#include <luctl/luctl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void on_progress(void *userdata, const char *state, const char *detail)
{
	const struct luctl_job *job = *(struct luctl_job **)userdata;

	printf("%s", state);
	if (luctl_job_total(job) > 0)
		printf(" %llu/%llu", (unsigned long long)luctl_job_done(job), (unsigned long long)luctl_job_total(job));
	if (luctl_job_expected(job) != LUCTL_UNKNOWN)
		printf(" (%.1f s)", (double)luctl_job_expected(job) / 1e6);
	printf("%s%s\n", *detail ? ": " : "", detail);
	fflush(stdout);
}

static int to_wait(struct luctl_ctx *ctx)
{
	struct timespec now;
	uint64_t usec, until;

	if (luctl_timeout(ctx, &until) < 0 || until == LUCTL_FOREVER)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &now);
	usec = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	return until <= usec ? 0 : (int)((until - usec + 999) / 1000);
}

/* Until it ends, luctld goes away, or nobody wants to know any more (-ECANCELED). */
static int follow(struct luctl_ctx *ctx, struct luctl_job *job)
{
	for (;;) {
		struct pollfd fds[2] = { { .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
		int r;

		do
			r = luctl_process(ctx);
		while (r > 0);
		if (r < 0 || luctl_job_lost(job))
			return -ECONNRESET;
		if (luctl_job_result(job))
			return 0;
		fds[0].fd = luctl_fd(ctx);
		fds[0].events = (short)luctl_events(ctx);
		if (poll(fds, 2, to_wait(ctx)) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents) {
			char c[64];

			if (read(STDIN_FILENO, c, sizeof(c)) <= 0)
				return -ECANCELED;
		}
	}
}

int main(int argc, char **argv)
{
	struct luctl_job *job = NULL;
	struct luctl_ctx *ctx;
	int r, code = 2;

	if (luctl_new(&ctx) < 0)
		return 2;
	r = luctl_connect(ctx, argc > 1 ? argv[1] : NULL);
	while (r == 0) {
		r = luctl_job_attach(ctx, NULL, &job);
		if (r < 0)
			break;
		printf("%s of %s:\n", luctl_job_path(job), luctl_job_update_id(job) ? luctl_job_update_id(job) : "?");
		/* where it is now; from here on each step is told */
		on_progress(&job, luctl_job_state(job), luctl_job_detail(job));
		luctl_job_set_progress(job, on_progress, &job);
		r = follow(ctx, job);
		if (r == 0) {
			printf("%s%s%s\n", luctl_job_result(job), luctl_job_error(job) ? ": " : "",
			       luctl_job_error(job) ? luctl_job_error(job) : "");
			code = luctl_result_of(luctl_job_result(job)) == LUCTL_RESULT_SUCCESS ? 0 : 1;
			break;
		}
		if (r == -ECONNRESET) {
			struct luctl_status *status;

			/* it is back when it answers; what became of the update says the status, if no job is under way */
			printf("luctld went away\n");
			luctl_job_free(job);
			job = NULL;
			do {
				sleep(1);
				r = luctl_status_get(ctx, &status);
			} while (r < 0 && luctl_last_unreachable(ctx));
			if (r < 0)
				break;
			if (!luctl_status_updating(status)) {
				const char *result = luctl_status_result(status);

				printf("%s\n", result ? result : "no update");
				code = luctl_result_of(result) == LUCTL_RESULT_SUCCESS ? 0 : 1;
				r = 1;
			}
			luctl_status_free(status);
		}
	}
	if (r < 0 && r != -ECANCELED)
		fprintf(stderr, "follow: %s\n", luctl_last_error(ctx));
	luctl_job_free(job);
	luctl_free(ctx);
	return code;
}
