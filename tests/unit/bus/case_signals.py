# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects of jobs and VMs: what they show, what signals tell, and a client that follows by these alone."""

import json
import os
import subprocess

from world import ETC, HERE, JOB, MANAGER, PKERNFS, ROOT, VM, managed, wait_for


def busctl(world, path):
    """Name, kind, signature and flags of each member, as busctl prints them; values are left out."""
    out = subprocess.run(["busctl", f"--address={world.address}", "--no-pager", "introspect", "org.luctl1", path], check=True,
                         capture_output=True, text=True, env={"COLUMNS": "1000", "PATH": "/usr/bin:/bin", "SYSTEMD_COLORS": "0"}).stdout
    kept = []
    ours = False
    for line in out.splitlines()[1:]:
        words = line.split()
        if words[1] == "interface":
            ours = words[0].startswith("org.luctl1") or words[0].endswith("ObjectManager")
        if ours and words[1] == "property":
            kept.append(" ".join(words[:3] + [w for w in words[3:] if w in ("emits-change", "const", "writable")]))
        elif ours:
            kept.append(" ".join(words))
    return kept


def started(world):
    """An update of QEMU alone that waits for a VM that says nothing, for the ten seconds that it is given."""
    world.define("a")
    world.monitor("a", greeting=None)
    world.start()
    return world.root.call("UpdateVMM", ["a"])


def objects(world, of):
    return {path: interfaces[of] for path, interfaces in managed(world.root).items() if of in interfaces}


def test_introspect(world):
    """busctl introspect shows this, and no other, of the manager, a job and a VM."""
    job = started(world)
    vm = wait_for(lambda: next(iter(objects(world, VM)), None), "a VM's object")
    found = {"manager": busctl(world, ROOT), "job": busctl(world, job), "VM": busctl(world, vm)}
    want = json.loads((HERE / "introspect.json").read_text())
    assert found == want, json.dumps(found, indent=1)


def test_followed_by_signals(world):
    """docs/examples/follow.py is told each step of an update, what becomes of the VM, and how it ends."""
    world.define("a")
    world.qemu("a")
    world.start()
    follower = world.follow()
    assert follower.stdout.readline() == "VM a: unreachable\n"
    job = world.root.call("UpdateVMM", ["a"])
    result = world.root.finished(job)
    told = follower.stdout.read().splitlines()
    assert follower.wait(30) == 1 and told[-1] == f"job ended: {result}", told
    steps = [line for line in told if line.startswith("job: ")]
    assert steps[0] == "job: examining" and steps[1] == "job: replacing" and "job: replacing 0/1 a" in steps, told
    assert "VM a: saved" in told and told.index("VM a: saved") < len(told) - 1, told


def test_vms_come_and_go(world):
    """A VM that is declared has an object, with what is known of it; one that is removed has none any more."""
    uuid = world.define("a")
    world.monitor("a")
    world.define("broken", 2, nonsense=True)
    world.start()
    found = wait_for(lambda: len(objects(world, VM)) == 2 and objects(world, VM), "two objects")
    a, = (vm for vm in found.values() if vm["Name"] == "a")
    broken, = (vm for vm in found.values() if vm["Name"] == "broken")
    assert a["UUID"] == uuid and a["State"] == "unreachable" and a["Policy"] == "required" and a["Devices"] == [], a
    assert broken["UUID"] == "" and "nonsense" in broken["Reason"] and not broken["Updatable"], broken
    follower = world.follow()
    first = {follower.stdout.readline() for _ in range(2)}
    assert first == {"VM a: unreachable\n", "VM broken: unreachable\n"}, first
    world.root.call("AddVM", '{"version": 1, "name": "b", "uuid": "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c0003", "qmp": "/run/b"}')
    assert follower.stdout.readline() == "VM b: unreachable\n"
    world.root.document("ListVMs")      # asks them
    assert follower.stdout.readline() == "VM a: running\n"
    listed = {vm["name"]: vm for vm in world.root.document("ListVMs")["vms"]}
    a, = (vm for vm in objects(world, VM).values() if vm["Name"] == "a")
    assert (a["State"], a["Updatable"], a["Reason"], a["PID"]) == (
        listed["a"]["state"], listed["a"]["updatable"], listed["a"]["reason"]["what"].removeprefix("VM a: "), listed["a"]["pid"]), (a, listed["a"])
    world.root.call("RemoveVM", "b")
    assert follower.stdout.readline() == "VM b is gone\n"
    world.daemon.kill()
    assert follower.stdout.readline() == "luctld went away\n" and follower.wait(20) == 1


def test_texts_that_are_none(world):
    """A file name that is no UTF-8, and stands in errors, keeps no object from being shown."""
    (ETC / "vms.d").joinpath(os.fsdecode(b"bad\xff.json")).write_text("{}")
    world.start()
    bad, = wait_for(lambda: list(objects(world, VM).values()), "the VM's object")
    job = world.root.call("UpdateVMM", [bad["Name"]])
    world.root.finished(job)
    assert "/bad?.json" in bad["Reason"], bad
    assert "/bad?.json" in objects(world, JOB)[job]["What"], objects(world, JOB)


def test_the_job_under_way(world):
    """The manager says which job is under way; it is announced, and names its update."""
    job = started(world)
    assert world.root.property("Job") == job
    shown = objects(world, JOB)[job]
    assert (shown["Kind"], shown["State"], shown["Result"]) == ("update", "examining", ""), shown
    assert shown["Update"] == world.root.document("GetStatus")["update"]["id"] and shown["Begun"] > 0
    world.root.finished(job)
    shown = objects(world, JOB)[job]
    assert world.root.property("Job") == "/" and shown["What"] == world.root.document("GetStatus")["error"]["what"], shown


def test_work_that_can_not_begin(world):
    """An update that is refused at once has no job that anybody hears of."""
    job = started(world)
    assert world.root.fails("UpdateVMM", ["a"]).errno == "EBUSY"
    assert list(objects(world, JOB)) == [job]


def test_a_daemon_before_this_one(world):
    """An update that goes on after luctld was started anew has a job again, with its id."""
    started(world)
    update = json.loads((PKERNFS / "update/request.json").read_text())["id"]
    world.restart()
    job, = wait_for(lambda: objects(world, JOB), "a job")
    assert world.root.finished(job) == "aborted"
    shown = objects(world, JOB)[job]
    assert (shown["Kind"], shown["Update"]) == ("update", update), shown


def test_api(world):
    """The API has a number."""
    world.start()
    assert world.root.property("API") == 1
    assert world.root.call("GetAll", MANAGER, path=ROOT, of="org.freedesktop.DBus.Properties", kind="(s)")["Job"] == "/"
