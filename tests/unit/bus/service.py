#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A service that luctld talks to, played on the private bus:

service.py ADDRESS polkit yes|no|challenge|silent|garbage|later LOG  later: yes, once there is a file LOG.yes; each question is a line of JSON in LOG
service.py ADDRESS logind INHIBITORS                             INHIBITORS: JSON, a list of [what, who, why, mode, pid]
service.py ADDRESS systemd VERSION STORES LOG UNITS              what systemd keeps for units; each transient unit that is asked for is a
                                                                 line of JSON in LOG, its name and its words, and refused (of a scope:
                                                                 its processes, and there is one then); UNITS is a file of JSON, unit →
                                                                 ActiveState; one that is stopped is a line of LOG with its name alone
"""

import fnmatch
import json
import os
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
SYSTEMD = """<node><interface name="org.freedesktop.systemd1.Manager"><method name="ListUnitsByPatterns">
<arg type="as" direction="in"/><arg type="as" direction="in"/><arg type="a(ssssssouso)" direction="out"/></method>
<method name="StartTransientUnit"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="a(sv)" direction="in"/>
<arg type="a(sa(sv))" direction="in"/><arg type="o" direction="out"/></method>
<method name="StopUnit"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="o" direction="out"/></method>
<property name="Version" type="s" access="read"/></interface><interface name="org.freedesktop.systemd1.Service">
<property name="NFileDescriptorStore" type="u" access="read"/><property name="FileDescriptorStorePreserve" type="s" access="read"/>
</interface><interface name="org.freedesktop.systemd1.Unit"><property name="ActiveState" type="s" access="read"/>
<property name="Job" type="(uo)" access="read"/></interface></node>"""
ANSWERS = {"yes": (True, False, {}), "no": (False, False, {}), "challenge": (False, True, {})}


def own(bus, name):
    bus.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", GLib.Variant("(su)", (name, 0)), None, 0, -1, None)
    GLib.MainLoop().run()


def serve(bus, name, path, xml, asked):
    bus.register_object(path, Gio.DBusNodeInfo.new_for_xml(xml).interfaces[0], asked, None, None)
    own(bus, name)


def logind(bus, inhibitors):
    rows = [(what, who, why, mode, 0, pid) for what, who, why, mode, pid in json.loads(inhibitors)]

    def asked(_bus, _sender, _path, _interface, _method, _args, invocation):
        invocation.return_value(GLib.Variant("(a(ssssuu))", (rows,)))

    serve(bus, "org.freedesktop.login1", "/org/freedesktop/login1", LOGIND, asked)


def systemd(bus, version, stores, log, units):
    """@stores: JSON, {unit: [number of descriptors, FileDescriptorStorePreserve]}"""
    manager, service, unit_of = Gio.DBusNodeInfo.new_for_xml(SYSTEMD).interfaces
    root = "/org/freedesktop/systemd1"
    job = GLib.Variant("(o)", (f"{root}/job/1",))
    paths = {f"{root}/unit/u{i}": (unit, *of) for i, (unit, of) in enumerate(json.loads(stores).items())}

    def states():
        with open(units) as f:
            return json.load(f)

    def note(*line):
        with open(log, "a") as out:
            print(json.dumps(line), file=out)

    def asked(_bus, _sender, _path, _interface, method, args, invocation):
        if method == "StartTransientUnit":
            unit, _mode, properties, _more = args.unpack()
            note(unit, *[command[1] for name, value in properties if name == "ExecStart" for command in value],
                 *[value for name, value in properties if name == "PIDs"])
            if unit.endswith(".scope"):
                invocation.return_value(job)
            else:
                invocation.return_dbus_error("org.freedesktop.DBus.Error.Failed", "nothing is started in this test")
        elif method == "StopUnit":
            note(args.unpack()[0])
            invocation.return_value(job)
        else:
            rows = [(unit, "", "loaded", "active", "running", "", path, 0, "", "/") for path, (unit, _, _) in paths.items()]
            rows += [(unit, "", "loaded", state, "", "", f"{root}/unit/none", 0, "", "/") for unit, state in states().items()]
            patterns = args.unpack()[1]
            rows = [row for row in rows if any(fnmatch.fnmatch(row[0], pattern) for pattern in patterns)]
            invocation.return_value(GLib.Variant("(a(ssssssouso))", (rows,)))

    def read(_bus, _sender, path, _interface, name):
        if name == "Version":
            return GLib.Variant("s", version)
        return GLib.Variant("u", paths[path][1]) if name == "NFileDescriptorStore" else GLib.Variant("s", paths[path][2])

    def read_unit(_bus, _sender, path, _interface, name):
        if name == "Job":
            return GLib.Variant("(uo)", (0, "/"))
        return GLib.Variant("s", {escaped(unit): state for unit, state in states().items()}[path.rpartition("/")[2]])

    def escaped(unit):
        return "".join(c if c.isalnum() else f"_{ord(c):02x}" for c in unit)

    for path in paths:
        bus.register_object(path, service, None, read, None)
    for unit in states():
        bus.register_object(f"{root}/unit/{escaped(unit)}", unit_of, None, read_unit, None)
    bus.register_object(root, manager, asked, read, None)
    own(bus, "org.freedesktop.systemd1")


def polkit(bus, behaviour, log):

    def asked(_bus, _sender, _path, _interface, _method, args, invocation):
        subject, action, _details, interactive, _cancel = args.unpack()
        with open(log, "a") as out:
            print(json.dumps({"subject": subject[1].get("name"), "action": action, "interactive": bool(interactive)}), file=out)
        if behaviour == "later":
            GLib.timeout_add(100, lambda: not os.path.exists(log + ".yes") or invocation.return_value(GLib.Variant("((bba{ss}))", (ANSWERS["yes"],))) or False)
        elif behaviour == "garbage":
            invocation.return_value(GLib.Variant("(s)", ("yes",)))
        elif behaviour != "silent":
            invocation.return_value(GLib.Variant("((bba{ss}))", (ANSWERS[behaviour],)))

    serve(bus, "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority", GARBAGE if behaviour == "garbage" else XML, asked)


def main():
    address, kind, *more = sys.argv[1:]
    flags = Gio.DBusConnectionFlags
    bus = Gio.DBusConnection.new_for_address_sync(address, flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, None)
    {"polkit": polkit, "logind": logind, "systemd": systemd}[kind](bus, *more)


main()
