# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks for somebody who is not root: what is opened for him, and what others' names do to the answer."""

import json
import os
import pathlib
import select
import subprocess

from gi.repository import GLib

from world import ETC, NOBODY, SCRATCH, VAR, BusError

FD = GLib.Variant("h", 0)


def finding(document, name):
    found = [f for f in document["findings"] if f["object"] == str(name)]
    assert len(found) == 1, (name, document["findings"])
    return found[0]["what"]


def of_nobody(name, data=b"x"):
    path = pathlib.Path("/run") / name
    path.write_bytes(data)
    os.chown(path, NOBODY, NOBODY)
    path.chmod(0o600)
    return path


def test_no_oracle(world):
    """Somebody who may have checks made learns nothing of a file that he can't open: it looks like none."""
    secret = SCRATCH / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    world.polkit("yes")
    world.start()
    nobody = world.caller()
    for path in (secret, "/nonexistent", "/run", "/dev/null"):
        document = nobody.document("Check", str(path), {"initrd": str(path)})
        assert not document["ok"]
        found = [f["what"] for f in document["findings"] if f["object"] == str(path)]
        assert found == ["is not there, or not readable for the one who asks"] * 2, (path, found)
    assert "not a Linux boot image" in finding(world.root.document("Check", str(secret), {}), secret)


def test_as_the_caller(world):
    """A file that he opened himself is read, whatever stands at its path by now."""
    mine = of_nobody("mine", b"no kernel")
    world.polkit("yes")
    world.start()
    nobody = world.caller()
    for method in ("Check", "Plan"):
        document = nobody.document(method, str(mine), {"kernel-fd": FD}, files=[mine])
        assert "not a Linux boot image" in finding(document, mine), document
    document = nobody.document("Check", "/nonexistent", {"kernel-fd": FD, "initrd": "/nowhere", "initrd-fd": FD}, files=[mine])
    assert "not a Linux boot image" in finding(document, "/nonexistent")
    assert not [f for f in document["findings"] if f["object"] == "/nowhere"], document


def test_no_file(world):
    """Descriptors of devices, folders and FIFOs are refused; so are ones that nothing is said of."""
    os.mkfifo("/run/fifo", 0o666)
    world.polkit("yes")
    world.start()
    nobody = world.caller()
    for path in ("/dev/null", "/run", "/run/fifo"):
        document = nobody.document("Check", path, {"kernel-fd": FD, "initrd": path, "initrd-fd": FD}, files=[path])
        found = [f["what"] for f in document["findings"] if f["object"] == path]
        assert found == ["is not a regular file that is open for reading"] * 2, (path, found)
    os.unlink("/run/fifo")
    assert world.root.fails("Plan", "", {"kernel-fd": FD}, files=["/dev/null"]).errno == "EINVAL"
    assert world.root.fails("Check", "/x", {"initrd-fd": FD}, files=["/dev/null"]).errno == "EINVAL"
    assert world.root.fails("Check", "/x", {"kernel-fd": "x"}).errno


def test_option_twice(world):
    """An option that is there twice is an error, and its first value is not forgotten: LeakSanitizer judges."""
    world.start()
    env = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": world.address}
    head = ["busctl", "--system", "call", "org.luctl1", "/org/luctl1", "org.luctl1.Manager", "Check", "sa{sv}", "/nonexistent", "2"]
    done = subprocess.run([*head[:-1], "1", "rehearse", "b", "true"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "only an update is rehearsed" in done.stderr, done
    for option in (["exclude", "as", "1", "a" * 200], ["initrd", "s", "/" + "i" * 200], ["cmdline", "s", "c" * 200], ["trial", "s", "no"]):
        done = subprocess.run([*head, *option, *option], env=env, capture_output=True, text=True, check=False)
        assert done.returncode != 0 and f"option {option[0]} is given twice" in done.stderr, (option, done)
    world.daemon.stop()


def test_trial(world):
    """A trial boots what the caller gives with the host's disks in reach, so it is for those who may update the host; other words are refused."""
    asked = world.polkit("no")
    world.start()
    nobody = world.caller()
    for options, action in (({}, "check"), ({"trial": "no"}, "check"), ({"trial": "yes"}, "update"), ({"trial": "auto"}, "update"),
                            ({"no-initrd": True, "exclude": ["a"], "trial": "yes"}, "update")):
        for method in ("Check", "Plan"):
            assert nobody.fails(method, "/nonexistent", options).name.endswith("AccessDenied"), (method, options)
            assert asked()[-1]["action"] == f"org.luctl1.{action}", (options, asked()[-1])
    error = world.root.fails("Check", "/nonexistent", {"trial": "maybe"})
    assert "trial=maybe" in error.what, error


def test_too_many(world):
    """So many checks at a time and no more; the others are told to come later, and everything else goes on."""
    world.define("a")
    world.monitor("a", greeting=None)
    world.start()
    callers = {c.process.stdout: c for c in (world.caller(0) for _ in range(10))}
    for caller in callers.values():
        caller.begin("Plan", "", {}, timeout=60)
    refused = set()
    while len(refused) < 2:
        ready, _, _ = select.select(set(callers) - refused, [], [], 5)
        assert ready, f"only {len(refused)} were refused"
        for stdout in ready:
            try:
                callers[stdout].end()
            except BusError as error:
                assert error.errno == "EBUSY" and "checks are under way" in error.what, error
            else:
                raise AssertionError("a silent VM was judged")
            refused.add(stdout)
    assert len(refused) == 2 and not select.select(set(callers) - refused, [], [], 0.5)[0]
    assert world.root.document("GetStatus")["state"] == "idle"


def test_names_that_are_no_text(world):
    """A file that is not called in UTF-8 spoils no answer about the others."""
    (ETC / "vms.d").joinpath(os.fsdecode(b"bad\xff\n.json")).write_text("{}")
    world.define("a")
    world.monitor("a")
    world.start()
    assert [vm["name"] for vm in world.root.document("ListVMs")["vms"]] == ["a", "bad__"]
    assert world.root.document("DescribeVM", "a")["name"] == "a"
    for method in ("Check", "Plan"):
        assert not world.root.document(method, "/nonexistent", {})["ok"]
    assert "/bad? .json: " in world.root.document("DescribeVM", "bad__")["reason"]["what"]


def measured(uuid):
    """What updates before have taken: 3.912 s for VM a."""
    return {"version": 1, "at_usec": 1795269724000000, "kexec_usec": 3190000, "kernel": "7.3.5-lu", "vms_then": 1,
            "vms": [{"name": "a", "uuid": uuid, "at_usec": 1795269724000000, "before_usec": 210000, "after_usec": 512000, "devices": 0}]}


def test_blackout(world):
    """A VM of which a longer blackout is predicted than was asked for is refused; if nobody knows, that is said."""
    uuid = world.define("a")
    world.qemu("a")
    world.start()

    def plan(**options):
        document = world.root.document("Plan", "", options)
        (vm,) = document["vms"]
        return vm["verdict"], [reason["what"] for reason in vm["reasons"]], [f["what"] for f in document["findings"]]

    assert plan()[0] == "goes-along", plan()
    verdict, _, findings = plan(**{"max-blackout": GLib.Variant("t", 3000000)})
    assert verdict == "goes-along" and any("longer than 3.000 s can't be said beforehand" in f for f in findings), findings
    VAR.mkdir(parents=True, exist_ok=True)
    (VAR / "measured.json").write_text(json.dumps(measured(uuid)))
    verdict, reasons, _ = plan(**{"max-blackout": GLib.Variant("t", 3911999)})
    assert verdict == "cannot" and any("its predicted blackout, 3.912 s, is longer than the 3.912 s" in r for r in reasons), (verdict, reasons)
    assert plan(**{"max-blackout": GLib.Variant("t", 3912000)})[0] == "goes-along"
    assert world.root.fails("Plan", "", {"max-blackout": GLib.Variant("t", 0)}).errno == "EINVAL"


def test_two_with_one_function(world):
    """A function that two VMs name: the second one is refused, by that name, before anything is paused."""
    for number, name in enumerate("abc", 1):
        world.define(name, number=number)
        world.monitor(name, words=["-device", f"vfio-pci,host=0000:00:1f.{7 if name < 'c' else 6},id=card"])
    world.start()
    reasons = {vm["name"]: [(d["address"], r["what"]) for d in vm["devices"] for r in d["reasons"] if r["what"].endswith(", too")]
               for vm in world.root.document("Plan", "", {})["vms"]}
    assert reasons == {"a": [], "b": [("0000:00:1f.7", "it is passed through to VM a, too")], "c": []}, reasons
