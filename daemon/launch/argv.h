/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * QEMU's command line as a list of options: which words are options and which
 * are their arguments, so that nothing is mistaken for the other.
 */
#include "reasons.h"

/** struct lu_arg - one option: argv[index], and its argument if it takes one */
struct lu_arg {
	size_t index;
	const char *name;  /* without dashes; "" for a bare word (a disk image) */
	const char *value; /* argument, or the bare word itself; NULL if it takes none */
};

/** lu_argv_next() - walk: start with @arg zeroed, argv[0] is skipped; false at the end */
bool lu_argv_next(char *const *argv, struct lu_arg *arg);

/**
 * lu_argv_restorable() - the command line with which the next QEMU starts, before lu_launch_argv() adds to it
 *
 * A copy without what concerns the start of this one process: -incoming, -loadvm,
 * -daemonize, and all that lu_launch_argv() has added in an earlier update.
 */
int lu_argv_restorable(char *const *argv, char ***ret);

/** lu_argv_property() - value of @key in "word,key=value,key=value" (QemuOpts: ",," is a comma); 1 with free()able @ret, 0 if not there */
int lu_argv_property(const char *value, const char *key, char **ret);

/**
 * lu_argv_set_romsize() - give a device its option ROM's size in bytes
 * @index: of its -device; 0: of all devices of @driver, by -global
 *
 * A QEMU that waits for a state does not read the ROM's file then (QEMU 8.1, hw/pci/pci.c: pci_add_option_rom()), whatever
 * has become of it: what is in the ROM comes with the state. A word that has the size already stays as it is.
 *
 * Return: 0, -ENOMEM.
 */
int lu_argv_set_romsize(char ***argv, size_t index, const char *driver, uint64_t size);

/** lu_argv_free() - free a NULL-terminated list of strings */
void lu_argv_free(char **argv);
DEFINE_CLEANUP(char **, lu_argv_free)

/**
 * lu_argv_check() - refuse what can't be started again from its words alone
 *
 * That is: files by their descriptors (/dev/fdset of -add-fd, "fd:"), a user
 * that QEMU changes to by itself, backends that live in hardware or another process, whatever QEMU has to connect to at
 * its start, snapshots into temporary files.
 *
 * Return: 0, also if @why has got something; -ENOMEM.
 */
int lu_argv_check(char *const *argv, struct lu_reasons *why);

/** struct lu_argv_fd - a descriptor that was inherited; the strings are argv's */
struct lu_argv_fd {
	int fd;
	const char *option, *value;
};

/** lu_argv_fds() - the numbers of inherited descriptors in options' properties (fd=, fds=, vhostfd=, …); free() @ret */
int lu_argv_fds(char *const *argv, struct lu_argv_fd **ret, size_t *ret_n);

/**
 * lu_argv_devices() - PCI functions that are passed through
 * @ret: their addresses as sysfs writes them ("0000:01:00.0"), NULL-terminated, possibly empty; also of those that @why is about
 *
 * A device is carried over if it is vfio-pci with host= (or fd=), iommufd= and id=: by these names QEMU's CPR stream
 * calls its descriptors, and only iommufd's tables can be handed over. What is behind fd= is told by
 * lu_inherited_capture().
 *
 * Return: 0, also if @why has got something; -ENOMEM.
 */
int lu_argv_devices(char *const *argv, char ***ret, struct lu_reasons *why);

/**
 * lu_argv_tpm() - is its TPM another process (-tpmdev emulator), and where does it find that?
 * @ret_chardev: its character device; free() it
 * @ret_path: that one's socket; NULL if it has none, or not by a path; free() it
 *
 * Return: 1, 0 if it has no such TPM, -ENODATA if it names no character device, -ENOMEM.
 */
int lu_argv_tpm(char *const *argv, char **ret_chardev, char **ret_path);

/** lu_argv_late() - why this command line can't be started before the host's network and services are up: taps, disks in the network; NULL if it can */
const char *lu_argv_late(char *const *argv, bool root);
