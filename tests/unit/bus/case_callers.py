# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may call what: root, others without polkit, and with a polkit that says yes, no, nothing or nonsense."""

from gi.repository import GLib

from world import JOB, MANAGER, NOBODY, PROPERTIES, ROOT, BusError, interface, managed, wait_for

# methods that change something, or have luctld look at files and VMs: arguments, polkit's action, the answer to somebody who may
CHANGING = {
    "Update": (("/nonexistent", {}), "org.luctl1.update", None),
    "UpdateVMM": ((["a"],), "org.luctl1.update", None),
    "Abort": ((), "org.luctl1.update", "ENOENT"),
    "AddVM": (("{}",), "org.luctl1.manage-vms", "EBADMSG"),
    "RemoveVM": (("nope",), "org.luctl1.manage-vms", "ENOENT"),
    "Restore": (("nope",), "org.luctl1.manage-vms", "ENOENT"),
    "Check": (("/nonexistent", {}), "org.luctl1.check", None),
    "Plan": (("", {}), "org.luctl1.check", None),
    "OpenJournal": (("nope",), "org.luctl1.check", "ENOENT"),
    "ForgetState": (("nope",), "org.luctl1.manage-vms", "ENOENT"),
}
READING = {"GetStatus": (), "ListVMs": (), "DescribeVM": ("a",), "GetReport": (), "ListReports": (), "GetReportOf": ("abcd",)}


def answer(caller, method, args, **how):
    try:
        caller.call(method, *args, **how)
        return None
    except BusError as error:
        return error.errno


def at_rest(world):
    wait_for(lambda: world.root.property("State") in ("idle", "aborted"), "the update is over")


def test_every_method_is_one_or_the_other(_world):
    """A method of the XML that is in neither table would be asked by nobody here."""
    methods = {name for (of, name), member in interface().items() if of == MANAGER and member[0] == "method"}
    assert methods == set(CHANGING) | set(READING), methods ^ (set(CHANGING) | set(READING))


def test_reading_is_open(world):
    """What others can read is what root can; nobody is asked."""
    world.define("a")
    world.monitor("a")
    asked = world.polkit("no")
    world.start()
    nobody = world.caller()
    for method, args in READING.items():
        assert answer(nobody, method, args) == answer(world.root, method, args), method
    assert not asked()


def test_without_polkit(world):
    """No polkit on the bus: only root may change things, and others are told so at once."""
    world.define("a")
    world.start()
    nobody = world.caller()
    for method, (args, _action, _) in CHANGING.items():
        error = nobody.fails(method, *args, timeout=10)
        assert error.errno == "EACCES" and error.hint, (method, error)
    assert world.root.property("State") == "idle"
    assert [vm["name"] for vm in world.root.document("ListVMs")["vms"]] == ["a"]


def test_polkit_says_yes(world):
    """polkit's yes is root's rights, for the one call and the action that was asked."""
    world.define("a")
    world.start()
    asked = world.polkit("yes")
    nobody = world.caller()
    for number, (method, (args, action, want)) in enumerate(CHANGING.items(), 1):
        assert answer(nobody, method, args) == want, method
        at_rest(world)
        assert len(asked()) == number and asked()[-1] == {"subject": nobody.name, "action": action, "interactive": False}, (method, asked())
    answer(nobody, "Abort", (), interactive=True)
    assert asked()[-1]["interactive"]
    answer(world.root, "Abort", ())
    assert len(asked()) == len(CHANGING) + 1, "root isn't asked for"


def test_polkit_says_no(world):
    """polkit's no, a challenge that nobody met, and an answer that is none are all no."""
    world.define("a")
    world.start()
    for say in ("no", "challenge", "garbage"):
        world.polkit(say)
        nobody = world.caller()
        for method, (args, _action, _) in CHANGING.items():
            assert answer(nobody, method, args) == "EACCES", (say, method)
        world.processes[-2].kill()      # this polkit; the next one takes its name
        world.processes[-2].wait()
    assert world.root.property("State") == "idle"


def test_caller_leaves_while_polkit_thinks(world):
    """A caller who has gone when polkit answers, a polkit that dies, a daemon that stops while polkit is silent."""
    world.start()
    world.polkit("silent")
    for _ in range(3):
        nobody = world.caller()
        nobody.begin("Update", "/nonexistent", {})
        nobody.process.kill()
    polkit = world.processes[-4]
    waits = world.caller()
    waits.begin("RemoveVM", "nope")
    polkit.kill()
    try:
        waits.end()
        raise AssertionError("allowed by a polkit that has died")
    except BusError as error:
        assert error.errno == "EACCES", error
    world.polkit("silent")
    world.caller().begin("Update", "/nonexistent", {})
    world.root.document("GetStatus")
    world.daemon.stop()


def test_objects(world):
    """What objects show is open to all, as the methods are; nobody can set it, make it up or call what is not his."""
    world.define("a")
    world.monitor("a", greeting=None)
    asked = world.polkit("no")
    world.start()
    job = world.root.call("UpdateVMM", [])
    nobody = world.caller()
    wait_for(lambda: len(managed(world.root)) == 2, "a job and a VM")
    assert managed(nobody) == managed(world.root)
    for path, interfaces in {**managed(world.root), ROOT: {MANAGER: world.root.call("GetAll", MANAGER, path=ROOT, of=PROPERTIES, kind="(s)")}}.items():
        for of, properties in interfaces.items():
            for name in properties if of.startswith("org.luctl1") else ():
                assert nobody.property(name, path, of) == world.root.property(name, path, of), (path, of, name)
                for caller in (nobody, world.root):
                    error = caller.fails("Set", of, name, GLib.Variant("s", "x"), path=path, of=PROPERTIES, kind="(ssv)")
                    assert error.name in ("org.freedesktop.DBus.Error.PropertyReadOnly", "org.freedesktop.DBus.Error.AccessDenied"), (of, name, error)
    assert not asked()
    assert nobody.fails("Cancel", path=job, of=JOB).errno == "EACCES" and len(asked()) == 1
    assert world.root.property("Result", job, JOB) == ""


def test_job_of_somebody_else(world):
    """Reading a job is open, cancelling it is not."""
    world.define("a")
    world.monitor("a", greeting=None)
    world.start()
    job = world.root.call("UpdateVMM", [])
    nobody = world.caller(NOBODY)
    assert nobody.property("State", job, JOB) == "examining"
    assert nobody.fails("Cancel", path=job, of=JOB).errno == "EACCES"
    world.root.call("Cancel", path=job, of=JOB)
    assert world.root.finished(job) == "aborted"
