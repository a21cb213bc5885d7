// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The two decisions that must never be wrong, without any I/O.
 *
 * lu_decide(): an update is ours to go on with only if its journal ends in `jump` and
 * that record was written by another kernel. Everything else is somebody else's:
 * this kernel's own jump that came back, an update that was aborted before, one that
 * luctld or an earlier lu-init has taken up already.
 *
 * lu_may_restore(): a state fits its RAM until the guest runs. result.json says
 * "loaded" before cont is sent; from then on, if the process is gone, the RAM may have
 * moved on and loading the state again would give a guest whose memory and devices
 * disagree. "failed" with retry was written by somebody who knows that it never ran.
 */
#include <string.h>

#include "lu-init.h"

bool lu_decide(const struct lu_journal_record *last, const char *boot_id, const char **ret_why)
{
	if (last->state != LU_STATE_JUMP) {
		*ret_why = last->state == LU_STATE_BOOTED ? "the update was taken up already" :
							    "no update is on its way";
		return false;
	}
	if (!strcmp(last->boot_id, boot_id)) {
		*ret_why = "the jump did not take place";
		return false;
	}
	*ret_why = "an update jumped into this kernel";
	return true;
}

enum lu_may lu_may_restore(const struct lu_saved *saved, const struct lu_result *result, bool alive)
{
	if (!saved->complete)
		return LU_MAY_NOT_INCOMPLETE;
	if (!result || strcmp(result->update, saved->update) != 0)
		return LU_MAY_RESTORE;
	if (alive)
		return LU_MAY_NOT_ALIVE;
	return result->status == LU_RESULT_FAILED && result->retry ? LU_MAY_RESTORE : LU_MAY_NOT_STALE;
}

bool lu_turn_free(const uint64_t *begun_ns, size_t n, size_t limit, uint64_t now_ns)
{
	size_t busy = 0;

	for (size_t i = 0; i < n; i++)
		busy += now_ns - begun_ns[i] < LU_INIT_TURN_MS * 1000000ULL;
	return busy < limit;
}

int lu_real_init(const char *cmdline, char **ret)
{
	static const char key[] = "luctl.init=";
	int found = 0;

	/* words as the kernel splits them: blanks, unless between double quotes; the last one wins */
	for (const char *p = cmdline; *p;) {
		const char *start;
		bool quoted = false;

		p += strspn(p, " \t\n");
		start = p;
		for (; *p && (quoted || !strchr(" \t\n", *p)); p++)
			quoted ^= *p == '"';
		/* what follows is for the init, not for us */
		if (p - start == 2 && !strncmp(start, "--", 2))
			break;
		if (strncmp(start, key, strlen(key)) != 0 || start[strlen(key)] != '/')
			continue;
		start += strlen(key);
		if (found)
			free(*ret);
		*ret = strndup(start, (size_t)(p - start));
		if (!*ret)
			return -ENOMEM;
		found = 1;
	}
	return found;
}
