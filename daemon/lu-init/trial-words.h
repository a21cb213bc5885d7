/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A trial jump: what lu-init, which is init of both kernels in a throw-away machine, and the program outside of it
 * (daemon/trial) say to each other. Outside to inside: the command line and files. Inside to outside: lines on the
 * second serial port.
 *
 *	first kernel	"first", "load", then "jump"; or "failed WHAT"
 *	second kernel	"second RELEASE", then "ok" or "failed WHAT"
 *
 * The machine ends after the last of them.
 */
#define LU_TRIAL_PORT "/dev/ttyS1"
#define LU_TRIAL_FIRST "luctl.trial=first" /* on the kernel's command line */
#define LU_TRIAL_SECOND "luctl.trial=second"
/* In the first kernel's root file system */
#define LU_TRIAL_KERNEL "/luctl-trial/kernel"
#define LU_TRIAL_INITRD "/luctl-trial/initrd" /* need not be there */
#define LU_TRIAL_CMDLINE "/luctl-trial/cmdline"
#define LU_TRIAL_MARK "/luctl-trial-init" /* in the second's: lu-init, put there since the host's root can't be had */
/* Words that lines begin with */
#define LU_TRIAL_SAYS_FIRST "first"
#define LU_TRIAL_SAYS_LOAD "load" /* what fails from here on is the target's doing */
#define LU_TRIAL_SAYS_JUMP "jump"
#define LU_TRIAL_SAYS_RELEASE "second "
#define LU_TRIAL_SAYS_OK "ok"
#define LU_TRIAL_SAYS_FAILED "failed "
