# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments and files that no well-meaning caller has: the daemon says no, says why, and goes on."""

import json
import os

from gi.repository import GLib

from world import DOCUMENTS, ETC, JOB, MANAGER, BusError, interface

LONG = "x" * 100_000
TEXTS = ["", "/", "x", LONG, "/" + LONG, "/dev/null", "/proc/self/mem", "/dev/zero", "../../etc/shadow", "/nonexistent\n", "\u2028\u0085\x7f\x1b[2J",
         "%s%n%s", "{" * 5000, "\U0001f600" * 1000, "a\\", "'; rm -rf", "/sys/kernel/kexec_loaded", "/etc"]
OPTIONS = [
    {"unknown": "x"}, {"initrd": LONG}, {"initrd": ""}, {"initrd": "/dev/zero"}, {"cmdline": LONG}, {"cmdline": 'a="b'}, {"cmdline": "\n"},
    {"reuse-cmdline": True, "cmdline": "x"}, {"exclude": []}, {"exclude": ["x"] * 5000}, {"exclude": [LONG]}, {"exclude": ["", "\x01"]},
    {"initrd": GLib.Variant("i", 1)}, {"cmdline": GLib.Variant("as", ["x"])}, {"reuse-cmdline": GLib.Variant("s", "yes")},
    {"exclude": GLib.Variant("s", "x")}, {"exclude": GLib.Variant("a{sv}", {})}, {"exclude": GLib.Variant("v", GLib.Variant("as", ["x"]))},
    {"x" * 100_000: True}, {f"o{i}": "x" for i in range(2000)},
]


def told(caller, method, *args, **how):
    """The daemon answers, whatever it is; what it says is fit to be shown."""
    try:
        return (caller.document if method in DOCUMENTS else caller.call)(method, *args, **how)
    except BusError as error:
        assert error.name.startswith(("System.Error.", "org.freedesktop.DBus.Error.", "org.luctl1.Error.")), error
        assert error.what and len(error.message) < 4_000_000, error
        return error


def test_texts(world):
    """Each method that takes a text is given each of them, by root and by nobody."""
    world.define("a")
    world.monitor("a")
    world.start()
    for caller in (world.root, world.caller()):
        for text in TEXTS:
            for method in ("DescribeVM", "RemoveVM", "Restore", "AddVM"):
                assert isinstance(told(caller, method, text), BusError), (method, text[:50])
            for method in ("Check", "Plan"):
                told(caller, method, text, {})
        assert caller.document("GetStatus")["state"] == "idle"
    assert [vm["name"] for vm in world.root.document("ListVMs")["vms"]] == ["a"]


def test_options(world):
    """Options of no kind, of wrong types, in great numbers."""
    world.start()
    for caller in (world.root, world.caller()):
        for options in OPTIONS:
            for method in ("Check", "Plan", "Update"):
                told(caller, method, "/nonexistent", options)
        assert caller.document("GetStatus")["state"] in ("idle", "aborted")


def test_signatures(world):
    """Arguments of other types than the method has, and members that there are not."""
    world.start()
    for (of, name), (tag, _, _, args) in interface().items():
        if of != MANAGER or tag != "method":
            continue
        want = "(" + "".join(kind for way, kind, _ in args if way == "in") + ")"
        for kind, values in (("()", ()), ("(s)", ("x",)), ("(i)", (1,)), ("(as)", (["x"],)), ("(sa{sv}s)", ("x", {}, "y")), ("(v)", (GLib.Variant("s", "x"),))):
            if kind != want:
                error = world.root.fails(name, *values, kind=kind)
                assert error.errno == "EINVAL", (name, kind, error)
    for how in ({"of": "org.luctl1.Nope"}, {"path": "/org/luctl1/job/9"}, {"path": "/"}, {"path": "/org/luctl1/job/9", "of": JOB}):
        assert "Unknown" in world.root.fails("Cancel", kind="()", **how).name, how
    error = world.root.fails("Set", MANAGER, "State", GLib.Variant("s", "done"), of="org.freedesktop.DBus.Properties", kind="(ssv)")
    assert "ReadOnly" in error.name, error


def test_definitions(world):
    """Files in vms.d that are no definitions are listed with what is wrong, and stand in nobody's way."""
    good = world.define("good", 1)
    folder = ETC / "vms.d"
    for number, text in enumerate(["", "{}", "[" * 100_000, "null", '{"version": 2}', "\x00", "x" * 100_000, json.dumps({"version": 1, "name": "good", "uuid": good, "qmp": "/q"})]):
        (folder / f"bad{number}.json").write_text(text)
    (folder / "folder.json").mkdir()
    (folder / "nowhere.json").symlink_to("/nonexistent")
    (folder / "zero.json").symlink_to("/dev/zero")
    (folder / ".hidden.json").write_text("x")
    (folder / "README").write_text("x")
    os.chmod(folder / "bad1.json", 0)
    world.start()
    for caller in (world.root, world.caller()):
        vms = {vm["name"]: vm for vm in caller.document("ListVMs")["vms"]}
        assert {"good", "folder", "zero", "bad0", "bad7"} <= set(vms) and len(vms) >= 11, sorted(vms)
        for name, vm in vms.items():
            assert (vm["uuid"] is None) == (name != "good"), vm
            assert name == "good" or vm["reason"]["what"], vm
    world.root.document("Plan", "", {})


def test_settings(world):
    """A setting that is none: the daemon does not start, and says which it was."""
    for text, word in (("[update]\nquiesce=maybe\n", "quiesce"), ("[nope]\nx=1\n", "nope"), ("[paths]\npkernfs=relative\n", "pkernfs"), ("nonsense\n", "luctld.conf:1")):
        world.settings(text)
        daemon = world.launch()
        assert daemon.process.wait(30) == 1, text
        assert word in daemon.text() and not daemon.complaints(), (text, daemon.text())
    world.settings("")


def test_many_at_once(world):
    """Twenty callers at once, some of whom leave before they are answered; no more checks than are admitted."""
    for number in range(1, 20):
        world.define(f"vm{number}", number)
    world.start()
    callers = [world.caller(0) for _ in range(20)]
    for number, caller in enumerate(callers):
        caller.begin(*(("Plan", "", {}), ("ListVMs",), ("DescribeVM", "vm3"), ("Check", "/nonexistent", {}))[number % 4])
    for caller in callers[::3]:
        caller.process.kill()
    for number, caller in enumerate(callers):
        if number % 3:
            try:
                caller.end()
            except BusError as error:
                assert error.errno == "EBUSY" and number % 4 in (0, 3), (number, error)
    assert len(world.root.document("ListVMs")["vms"]) == 19
