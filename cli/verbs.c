// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The command line as a table; see cli.h. Dispatch, --help, completion and `luctl help --json` come from it, and a
 * test holds the completion and the manual page against it. A verb is one word or two; options of
 * its own come after it, global ones anywhere.
 */
#include "cli.h"

#define PLAN_OPTIONS                                                                                       \
	{ "kernel", "KERNEL", "release or boot image of the target kernel; default: newest", false, 'k' }, \
		{ "initrd", "FILE", "its initial RAM disk; a release has its own", false },                \
		{ "no-initrd", NULL, "it is meant to have none", false },                                  \
		{ "cmdline", "TEXT", "its command line; luctl adds what it needs", false },                \
		{ "reuse-cmdline", NULL, "the running kernel's command line (the default)", false },       \
		{ "trial", NULL, "have the target come up in a throw-away machine first", false },         \
		{ "no-trial", NULL, "do without that", false },                                            \
		{ "max-blackout", "SECONDS", "no VM may stand still for longer", false },                  \
	{                                                                                                  \
		"exclude", "VM", "leave this VM out: it is not saved and ends with this kernel", true, 'x' \
	}

static const struct cli_option update_options[] = {
	PLAN_OPTIONS,
	{ "rehearse", NULL, "do all but the jump, and take it back: the guests pause and go on", false },
	{ "vmm", NULL, "replace QEMU under the VMs named, or all that run; the kernel stays", false },
	{ "yes", NULL, "do not ask", false, 'y' },
	{ 0 },
};

static const struct cli_option check_options[] = { PLAN_OPTIONS, { 0 } };

/* As PLAN_OPTIONS, but nothing is required. */
static const struct cli_option plan_options[] = {
	{ "kernel", "KERNEL", "release or boot image of the target kernel, to judge it too", false, 'k' },
	{ "initrd", "FILE", "its initial RAM disk", false },
	{ "no-initrd", NULL, "it is meant to have none", false },
	{ "cmdline", "TEXT", "its command line; luctl adds what it needs", false },
	{ "reuse-cmdline", NULL, "the running kernel's command line (the default)", false },
	{ "trial", NULL, "have the target come up in a throw-away machine, too", false },
	{ "no-trial", NULL, "do without that (the default)", false },
	{ "max-blackout", "SECONDS", "no VM may stand still for longer", false },
	{ "exclude", "VM", "as if this VM was left out", true, 'x' },
	{ 0 },
};

static const struct cli_option vm_forget_options[] = { { "yes", NULL, "do not ask", false, 'y' }, { 0 } };

static const struct cli_option status_options[] = {
	{ "wait", NULL, "wait until no update is under way", false, 'w' },
	{ "timeout", "SECONDS", "with --wait: how long at most", false, 't' },
	{ 0 },
};

#define PKERNFS_OPTION                                                                                    \
	{                                                                                                 \
		"root", "ADDRESS", "physical address of the root page, in place of looking for it", false \
	}

static const struct cli_option pkernfs_show_options[] = { PKERNFS_OPTION, { 0 } };

static const struct cli_option pkernfs_verify_options[] = {
	PKERNFS_OPTION,
	{ "save", "FILE", "write the metadata alone there, as a small image of its own", false },
	{ 0 },
};

static const struct cli_option bugreport_options[] = {
	{ "output", "FILE", "where to write it; default: a new file in the working directory", false, 'o' },
	{ 0 },
};

static const struct cli_option report_options[] = {
	{ "list", NULL, "the updates whose reports are kept, newest first", false, 'l' },
	{ "update", "ID", "of this update, not of the last one; the first characters of its id will do", false, 'u' },
	{ "plot", "FILE", "write it as a picture (SVG); - is stdout", false },
	{ "trace", "FILE", "write it as a trace (JSON) that Perfetto opens; - is stdout", false },
	{ 0 },
};

static const struct cli_option metrics_options[] = {
	{ "output", "FILE", "replace this file, in place of printing", false, 'o' },
	{ 0 },
};

static const struct cli_option journal_options[] = {
	{ "file", "FILE", "read this file in place of asking luctld", false, 'f' },
	{ 0 },
};

const struct cli_option cli_global_options[] = {
	{ "json", NULL, "print JSON", false, 'j' },
	{ "bus", "ADDRESS", "D-Bus address in place of the system bus", false },
	{ "help", NULL, "print help and exit", false, 'h' },
	{ "version", NULL, "print the version and exit", false, 'V' },
	{ 0 },
};

const struct cli_exit_code cli_exit_codes[] = {
	{ EXIT_OK, "success" },
	{ EXIT_FAILED, "failure" },
	{ EXIT_USAGE, "wrong usage" },
	{ EXIT_REFUSED, "refused by a check; nothing was touched" },
	{ EXIT_UNREACHABLE, "luctld cannot be reached" },
	{ EXIT_ABORTED, "the update was aborted; the guests run on the old kernel" },
	{ EXIT_DEGRADED, "the update ended, but a guest does not run" },
	{ EXIT_DENIED, "denied: the caller may not do this" },
	{ 0 },
};

const struct cli_verb cli_verbs[] = {
	{ .name = "update",
	  .args = "[--kernel KERNEL] | --vmm [VM]...",
	  .max_args = CLI_ARGS_MAX,
	  .run = verb_update,
	  .options = update_options,
	  .help = "replace the host's kernel under its running guests",
	  .about = "First checks as 'luctl check' does, asks, then updates. Ctrl-C before the jump aborts.\n"
		   "KERNEL is a release as it is installed in /boot or /usr/lib/modules, which brings its initrd,\n"
		   "or the path of an image. Without --kernel it is the newest that is installed.\n"
		   "At the jump this host's kernel is replaced and this command with it; then\n"
		   "'luctl report' tells the result, 'luctl status --wait' waits for it.\n"
		   "With --rehearse the guests are paused and saved as for the jump, then all is taken back and they\n"
		   "go on in this kernel; 'luctl report' says how long they stood still.\n"
		   "With --vmm one VM after the other goes on in the QEMU that is installed now, in this kernel\n"
		   "and with its devices. If that does not take a guest over it goes on in the old one." },
	{ .name = "check",
	  .args = "[--kernel KERNEL]",
	  .run = verb_check,
	  .options = check_options,
	  .help = "can this kernel take over? Touches nothing" },
	{ .name = "plan",
	  .args = "[--kernel KERNEL]",
	  .run = verb_plan,
	  .options = plan_options,
	  .help = "which VMs and devices go along, which can't and why, and the blackout. Touches nothing",
	  .about = "Names all reasons, not the first one. 'luctl update' goes by the same verdicts. Without --kernel\n"
		   "only this host and its VMs are judged. The predicted blackout is made of parts that were\n"
		   "measured in earlier updates, and says of which." },
	{ .name = "status",
	  .run = verb_status,
	  .options = status_options,
	  .help = "state of the daemon and of the update under way",
	  .about = "If no update is under way, the exit code is the last one's: 0, 5 (aborted) or 6 (degraded)." },
	{ .name = "report",
	  .run = verb_report,
	  .options = report_options,
	  .help = "what happened in the last update, or in a former one, and when",
	  .about =
		  "The exit code is that of the update: 0, 5 (aborted) or 6 (degraded). The picture shows the time around\n"
		  "the blackout: = a phase in the old kernel, # in the new one, x a VM stands still. With --list the exit\n"
		  "code says whether there is a list." },
	{ .name = "abort",
	  .run = verb_abort,
	  .help = "cancel the update under way; the guests go on with this kernel" },
	{ .name = "restore",
	  .args = "VM",
	  .run = verb_restore,
	  .min_args = 1,
	  .max_args = 1,
	  .help = "bring up a VM that an update left with its state kept" },
	{ .name = "vm list", .run = verb_vm_list, .help = "all known VMs" },
	{ .name = "vm show",
	  .args = "VM",
	  .run = verb_vm_show,
	  .min_args = 1,
	  .max_args = 1,
	  .help = "one VM, by name or UUID" },
	{ .name = "vm add",
	  .args = "FILE",
	  .run = verb_vm_add,
	  .min_args = 1,
	  .max_args = 1,
	  .help = "declare a VM until the daemon restarts; FILE as in /etc/luctl/vms.d, - for stdin" },
	{ .name = "vm remove",
	  .args = "VM",
	  .run = verb_vm_remove,
	  .min_args = 1,
	  .max_args = 1,
	  .help = "take back the declaration of a VM; it is not touched" },
	{ .name = "vm forget",
	  .args = "VM",
	  .run = verb_vm_forget,
	  .min_args = 1,
	  .max_args = 1,
	  .options = vm_forget_options,
	  .help = "give up a state that an update saved and that waits to be restored",
	  .about = "Nothing else removes such a state, and an update of the kernel is refused while one waits.\n"
		   "Its guest can only be started anew then, as after a power cut; its disks and memory files stay." },
	{ .name = "pkernfs show",
	  .args = "[IMAGE]",
	  .run = verb_pkernfs_show,
	  .max_args = 1,
	  .no_bus = true,
	  .options = pkernfs_show_options,
	  .help = "what is in the memory that survives kexec",
	  .about =
		  "Of this host, or of IMAGE, an image of a host's memory: an ELF core (QEMU's dump-guest-memory,\n"
		  "/proc/vmcore) or a raw one. What stands in this host's memory only root can tell. The exit code is\n"
		  "3 if an error is shown." },
	{ .name = "pkernfs verify",
	  .args = "[IMAGE]",
	  .run = verb_pkernfs_verify,
	  .max_args = 1,
	  .no_bus = true,
	  .options = pkernfs_verify_options,
	  .help = "is it whole? Names what is damaged; changes nothing",
	  .about = "IMAGE as for 'luctl pkernfs show'. The exit code is 3 if something is damaged." },
	{ .name = "pkernfs set-blocks",
	  .args = "SIZE PATH",
	  .run = verb_pkernfs_set_blocks,
	  .min_args = 2,
	  .max_args = 2,
	  .no_bus = true,
	  .help = "of which size a file's blocks are to be: 4K, 2M, 1G or default",
	  .about =
		  "PATH is a file in pkernfs that has no contents yet, or a directory: then it is said of all that is\n"
		  "made in it from now on. Where nothing is said a file gets blocks of 2M if its first size is as large,\n"
		  "else of 4K; 1G comes from what pkernfs.pool_1g= on the kernel's command line sets apart." },
	{ .name = "metrics",
	  .run = verb_metrics,
	  .no_bus = true, /* that there is none is a sample */
	  .options = metrics_options,
	  .help = "state, VMs, pkernfs and last update in Prometheus' text format",
	  .about =
		  "With --output for node-exporter's textfile collector: the file is replaced in one step. A luctld that\n"
		  "does not answer is told by luctl_up 0, and by the exit code." },
	{ .name = "bugreport",
	  .run = verb_bugreport,
	  .no_bus = true,
	  .options = bugreport_options,
	  .help = "collect in one file what is known about this host and its last update",
	  .about =
		  "What luctld says, its settings, the records of the last update, and the logs since the host came up.\n"
		  "Without guests' memory and states, and without how their QEMUs are started. Best done by root." },
	{ .name = "journal show",
	  .args = "VM | --file FILE",
	  .run = verb_journal_show,
	  .max_args = 1,
	  .no_bus = true,
	  .options = journal_options,
	  .help = "the calls that set a VM's devices up again in the next kernel, and what came of them",
	  .about =
		  "Written when an update saves a VM with passed-through devices, executed by the next kernel's early\n"
		  "init, and kept until the next update begins. The exit code is 3 if an error is shown." },
	{ .name = "journal verify",
	  .args = "VM | --file FILE",
	  .run = verb_journal_verify,
	  .max_args = 1,
	  .no_bus = true,
	  .options = journal_options,
	  .help = "is it whole, and could it be executed? Changes nothing",
	  .about = "Checks chain and seal, executes the calls in a model, and compares with what was committed.\n"
		   "The exit code is 3 if an error is found." },
	{ .name = "help",
	  .args = "[VERB]",
	  .run = verb_help,
	  .max_args = 2,
	  .no_bus = true,
	  .help = "print help; with --json the whole command line as data" },
	{ 0 },
};
