#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A service that luctld talks to, played on the private bus: service.py ADDRESS polkit yes|no|challenge|silent|garbage LOG

Each question that polkit gets is a line of JSON in LOG.
"""

import json
import sys

from gi.repository import Gio, GLib

XML = """<node><interface name="org.freedesktop.PolicyKit1.Authority"><method name="CheckAuthorization">
<arg type="(sa{sv})" direction="in"/><arg type="s" direction="in"/><arg type="a{ss}" direction="in"/>
<arg type="u" direction="in"/><arg type="s" direction="in"/><arg type="(bba{ss})" direction="out"/></method></interface></node>"""
GARBAGE = """<node><interface name="org.freedesktop.PolicyKit1.Authority"><method name="CheckAuthorization">
<arg type="(sa{sv})" direction="in"/><arg type="s" direction="in"/><arg type="a{ss}" direction="in"/>
<arg type="u" direction="in"/><arg type="s" direction="in"/><arg type="s" direction="out"/></method></interface></node>"""
ANSWERS = {"yes": (True, False, {}), "no": (False, False, {}), "challenge": (False, True, {})}


def main():
    address, _kind, behaviour, log = sys.argv[1:]
    flags = Gio.DBusConnectionFlags
    bus = Gio.DBusConnection.new_for_address_sync(address, flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, None)

    def asked(_bus, _sender, _path, _interface, _method, args, invocation):
        subject, action, _details, interactive, _cancel = args.unpack()
        with open(log, "a") as out:
            print(json.dumps({"subject": subject[1].get("name"), "action": action, "interactive": bool(interactive)}), file=out)
        if behaviour == "garbage":
            invocation.return_value(GLib.Variant("(s)", ("yes",)))
        elif behaviour != "silent":
            invocation.return_value(GLib.Variant("((bba{ss}))", (ANSWERS[behaviour],)))

    node = Gio.DBusNodeInfo.new_for_xml(GARBAGE if behaviour == "garbage" else XML)
    bus.register_object("/org/freedesktop/PolicyKit1/Authority", node.interfaces[0], asked, None, None)
    bus.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
                  GLib.Variant("(su)", ("org.freedesktop.PolicyKit1", 0)), None, 0, -1, None)
    GLib.MainLoop().run()


main()
