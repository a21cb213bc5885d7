#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A service that luctld talks to, played on the private bus:

service.py ADDRESS polkit yes|no|challenge|silent|garbage LOG    each question is a line of JSON in LOG
service.py ADDRESS logind INHIBITORS                             INHIBITORS: JSON, a list of [what, who, why, mode, pid]
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
LOGIND = """<node><interface name="org.freedesktop.login1.Manager"><method name="ListInhibitors">
<arg type="a(ssssuu)" direction="out"/></method></interface></node>"""
ANSWERS = {"yes": (True, False, {}), "no": (False, False, {}), "challenge": (False, True, {})}


def serve(bus, name, path, xml, asked):
    bus.register_object(path, Gio.DBusNodeInfo.new_for_xml(xml).interfaces[0], asked, None, None)
    bus.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", GLib.Variant("(su)", (name, 0)), None, 0, -1, None)
    GLib.MainLoop().run()


def logind(bus, inhibitors):
    rows = [(what, who, why, mode, 0, pid) for what, who, why, mode, pid in json.loads(inhibitors)]

    def asked(_bus, _sender, _path, _interface, _method, _args, invocation):
        invocation.return_value(GLib.Variant("(a(ssssuu))", (rows,)))

    serve(bus, "org.freedesktop.login1", "/org/freedesktop/login1", LOGIND, asked)


def polkit(bus, behaviour, log):

    def asked(_bus, _sender, _path, _interface, _method, args, invocation):
        subject, action, _details, interactive, _cancel = args.unpack()
        with open(log, "a") as out:
            print(json.dumps({"subject": subject[1].get("name"), "action": action, "interactive": bool(interactive)}), file=out)
        if behaviour == "garbage":
            invocation.return_value(GLib.Variant("(s)", ("yes",)))
        elif behaviour != "silent":
            invocation.return_value(GLib.Variant("((bba{ss}))", (ANSWERS[behaviour],)))

    serve(bus, "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority", GARBAGE if behaviour == "garbage" else XML, asked)


def main():
    address, kind, *more = sys.argv[1:]
    flags = Gio.DBusConnectionFlags
    bus = Gio.DBusConnection.new_for_address_sync(address, flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, None)
    {"polkit": polkit, "logind": logind}[kind](bus, *more)


main()
