/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* How luctl-trial ends, besides 0 (it went well) and what systemd-run has of its own; standard error says what, then a hint. */
#define LU_TRIAL_EXIT_TARGET 10 /* the target does not come up */
#define LU_TRIAL_EXIT_CANT 11   /* it can't be tried here */
#define LU_TRIAL_EXIT_PARTLY 12 /* it comes up, and its root file system was not tried */
