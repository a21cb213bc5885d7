// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which steps make up which effect. Hooks of the administrator are the first step; in undo they come after
 * the guests run again, which are not to wait for them. Nor are they to wait for
 * the thawing of file systems, which goes on beside them.
 */
#include "effects.h"
#include "hooks.h"
#include "leave.h"
#include "log.h"
#include "report.h"
#include "steps-after.h"
#include "steps-before.h"
#include "steps-libvirt.h"
#include "steps-vmm.h"

#define HOOK_TIMEOUT_USEC (60 * UINT64_C(1000000))
#define HOOK_BLACKOUT_TIMEOUT_USEC (10 * UINT64_C(1000000))

/* On the way back and after the jump hooks are told, not asked. */
static int hooks_result(struct lu_update *u, int r, struct lu_error *e)
{
	if (r < 0 && (u->effect == LU_EFFECT_UNDO || (u->effect > LU_EFFECT_JUMP && u->effect < LU_EFFECT_EXAMINE))) {
		(void)log_failure(r, e, "hook");
		lu_error_clear(e);
		return 1;
	}
	return r;
}

static void on_hooks(void *userdata, int r, struct lu_error *error)
{
	struct lu_update *u = userdata;

	lu_step_done(u, hooks_result(u, r, error), error);
}

static int step_hooks(struct lu_update *u, struct lu_error *e)
{
	bool paused = u->effect >= LU_EFFECT_PAUSE && u->effect <= LU_EFFECT_JUMP;
	int r;

	/* reading a directory may have to wait for the disk: not while guests stand still */
	if (!paused)
		u->hooks = lu_hooks_present();
	if (!u->hooks)
		return 1;
	r = lu_hooks_run(u->env->event, u->info.state, u->doc.id, u->doc.rehearse ? "rehearsal" : NULL,
			 paused ? HOOK_BLACKOUT_TIMEOUT_USEC : HOOK_TIMEOUT_USEC, on_hooks, u, &u->worker);
	return hooks_result(u, r, e);
}

const struct lu_effect_steps lu_effects[LU_EFFECT_MAX] = {
	[LU_EFFECT_CHECK] = { .steps = { step_hooks, lu_step_check } },
	[LU_EFFECT_LOAD] = { .steps = { step_hooks, lu_step_load } },
	[LU_EFFECT_PREPARE] = { .steps = { step_hooks, lu_step_inhibit, lu_step_hold_libvirt, lu_step_prepare_vms,
					   lu_step_note_limits, lu_step_keep_domains, lu_step_quiesce, lu_step_sync } },
	[LU_EFFECT_PAUSE] = { .steps = { step_hooks, lu_step_pause_vms } },
	[LU_EFFECT_SAVE] = { .steps = { step_hooks, lu_step_save_vms } },
	[LU_EFFECT_SEAL] = { .steps = { step_hooks, lu_step_flush, lu_step_freeze } },
	[LU_EFFECT_JUMP] = { .steps = { step_hooks, lu_step_look_again, lu_step_check_again, lu_step_leave,
					lu_step_jump } },
	[LU_EFFECT_UNDO] = { .go_on = true,
			     .steps = { lu_step_thaw, lu_step_resume_vms, lu_step_settle, lu_step_clocks,
					lu_step_thawed, step_hooks, lu_step_unload, lu_step_ask_moved,
					lu_step_wait_machines, lu_step_return_moved, lu_step_unprepare_vms,
					lu_step_release_libvirt, lu_step_unquiesce, lu_step_uninhibit } },
	[LU_EFFECT_REVIEW] = { .steps = { step_hooks, lu_step_review } },
	[LU_EFFECT_ADOPT] = { .steps = { step_hooks, lu_step_adopt, lu_step_complete_views } },
	[LU_EFFECT_RESTORE] = { .steps = { step_hooks, lu_step_restore } },
	[LU_EFFECT_RESUME] = { .steps = { step_hooks, lu_step_resume_loaded, lu_step_verify } },
	[LU_EFFECT_FINISH] = { .steps = { step_hooks, lu_step_measure, lu_step_ask_domains, lu_step_wait_machines,
					  lu_step_give_memory_back, lu_step_give_domains_back, lu_step_cleanup } },
	[LU_EFFECT_EXAMINE] = { .steps = { step_hooks, lu_step_check } },
	[LU_EFFECT_REPLACE] = { .steps = { step_hooks, lu_step_replace } },
};
