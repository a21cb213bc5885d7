/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* A real QEMU and a monitor of it, for tests that change something while it runs. One at a time. */
#include <json-c/json.h>
#include <sys/types.h>

extern const char *qemu_case; /* what a failure is called */
extern pid_t qemu_pid;

/** qemu_start() - execute @argv in @dir and connect to the monitor at @dir/qmp, which it must have */
void qemu_start(const char *dir, char *const *argv);

/** qemu_connect() - to the monitor at @dir/qmp of one that somebody else has started; qemu_end() leaves that one alone */
void qemu_connect(const char *dir);

/** qemu_end() - kill it; for a teardown, too */
int qemu_end(void **state);

struct json_object *qemu_query(const char *name, const char *arguments);

/** qemu_command() - a command in JSON; "!…" of the shell; "@ready", "@gone": wait for a block job, for none */
void qemu_command(const char *command);

#define CMD(_name, _args) "{\"execute\": \"" _name "\", \"arguments\": {" _args "}}"
