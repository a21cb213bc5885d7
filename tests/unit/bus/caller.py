# SPDX-License-Identifier: GPL-2.0-or-later
"""One client of the bus in a process of its own, so that it can have another user's rights, wait, or be killed.

Reads calls from stdin and writes answers to stdout, one line of JSON each. Arguments and replies travel as
GVariant text. Run by `python3 -c`, since another user may not be allowed to read this file.
"""

import json
import os
import sys

from gi.repository import Gio, GLib

FLAGS = Gio.DBusConnectionFlags
bus = Gio.DBusConnection.new_for_address_sync(sys.argv[1], FLAGS.AUTHENTICATION_CLIENT | FLAGS.MESSAGE_BUS_CONNECTION, None, None)
bus.set_exit_on_close(False)
print(json.dumps({"name": bus.get_unique_name()}), flush=True)
for line in sys.stdin:
    call = json.loads(line)
    try:
        flags = Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION if call["interactive"] else Gio.DBusCallFlags.NONE
        files = Gio.UnixFDList()
        for path in call["files"]:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            files.append(fd)
            os.close(fd)
        reply, _ = bus.call_with_unix_fd_list_sync(
            call["destination"], call["path"], call["interface"], call["method"], GLib.Variant.parse(None, call["args"], None, None), None,
            flags, int(call["timeout"] * 1000), files, None)
        answer = {"reply": reply.print_(True)}
    except GLib.Error as error:
        name = Gio.DBusError.get_remote_error(error)
        text = error.message.removeprefix(f"GDBus.Error:{name}: ")
        answer = {"error": name or f"{error.domain}.{error.code}", "message": text}
    print(json.dumps(answer), flush=True)
