/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A QMP server in a thread, for what a real QEMU does not do on demand. It plays a
 * script: one line per thing to do.
 *
 *	send TEXT	write TEXT and CRLF
 *	raw TEXT	write TEXT as it is
 *	greet		write QEMU's greeting
 *	expect NAME	read one command, fail unless it is NAME and known to the recorded
 *			query-qmp-schema with just these arguments; remembers its id
 *	reply TEXT	answer the last command: {"return": TEXT, "id": id}
 *	replyto N TEXT	answer the N-th command since greet (0 = qmp_capabilities)
 *	error CLASS DESC	refuse the last command
 *	hello		greet, expect qmp_capabilities, reply {}
 *	huge		begin a message that never ends
 *	file PATH	write into a file that is there
 *	save		write into what the last add-fd brought, as QEMU does when it saves
 *	wait		until the client closes
 *	sleep MS
 *	close		close the connection
 *	accept		wait for the next one
 *
 * A script that can't be played to its end, or a command that was not in it, is a
 * failure that mock_end() reports.
 */
#include <json-c/json.h>

struct mock;

struct mock *mock_start(const char *path, const char *script);

/** mock_end() - wait for the script's end; NULL if it was played, else why not (static text) */
const char *mock_end(struct mock *m);

/** mock_schema() - use the recorded schema of this file to judge commands from now on; NULL: do not judge */
void mock_schema(const char *file);
