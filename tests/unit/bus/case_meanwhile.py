# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that come while others, or an update, wait for a VM's answer."""

import re
import time

from world import JOB, SCRATCH, managed, wait_for

LATE = '{"version": 1, "name": "late", "uuid": "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c0009", "qmp": "/run/late.sock"}'


def waiting(world):
    """VM a says nothing for the ten seconds that it is given; VM b has answered already."""
    world.define("a")
    world.monitor("a", greeting=None)
    world.define("b", number=2)
    world.monitor("b")
    world.start()
    world.polkit("yes")


def test_removed(world):
    """A VM that was looked at is removed while another one is waited for."""
    waiting(world)
    plan = world.caller()
    plan.begin("Plan", "", {})
    time.sleep(1)
    world.root.call("RemoveVM", "b")
    assert [vm["name"] for vm in plan.document_of("Plan", plan.end())["vms"]] == ["a", "b"]


def test_edited(world):
    """Its definition is edited, and the definitions are read again."""
    waiting(world)
    plan, lister = world.caller(), world.caller()
    plan.begin("Plan", "", {})
    time.sleep(1)
    world.define("b", number=2, qmp="/run/b2.sock")
    lister.begin("ListVMs")
    assert [vm["name"] for vm in plan.document_of("Plan", plan.end())["vms"]] == ["a", "b"]
    lister.end()


def test_added_during_an_update(world):
    """A VM that an update does not know of would end with the kernel: it is refused."""
    waiting(world)
    world.root.call("UpdateVMM", ["a"])
    error = world.root.fails("AddVM", LATE)
    assert error.errno == "EBUSY" and "update" in error.what, error
    wait_for(lambda: world.root.property("State") == "aborted", "the update's end")
    world.root.call("AddVM", LATE)


def test_plans_before_an_update(world):
    """Plans that wait for their turn when an update begins give way, whoever asked: the update is not kept waiting for each."""
    waiting(world)
    plans = [world.caller() for _ in range(4)]
    for plan in plans:
        plan.begin("Plan", "", {}, timeout=60)
    time.sleep(1)
    begun = time.monotonic()
    job = world.root.call("UpdateVMM", ["a"])
    world.root.finished(job)
    took = time.monotonic() - begun
    answers = [plan.outcome() for plan in plans]
    assert sum("EBUSY" in str(a) for a in answers) >= 3, answers
    assert took < 25, took      # one plan that was at it, then the update's own check: ten seconds each


def test_cancelled_when_it_is_gone(world):
    """Somebody who is asked whether a job may be cancelled answers when its object is gone."""
    world.start()
    world.polkit("later")
    job = world.root.call("UpdateVMM", ["nobody"])
    assert world.root.finished(job) == "aborted"
    other = world.caller()
    other.begin("Cancel", path=job, of=JOB, timeout=200)
    wait_for(lambda: job not in managed(world.root), "its object goes", 90)
    (SCRATCH / "polkit.yes").touch()
    assert other.outcome() == "EALREADY"


def test_a_job_goes_away(world):
    """A minute after a job has finished its object goes, and that is told; until then it can be asked."""
    world.start()
    told = SCRATCH / "told"
    with open(told, "w") as out:
        world.run(["dbus-monitor", "--address", world.address, "type='signal',path_namespace='/org/luctl1'"], stdout=out)
    wait_for(lambda: told.read_text(), "the listener")
    job = world.root.call("UpdateVMM", ["nobody"])
    assert world.root.finished(job) == "aborted"
    begun = time.monotonic()
    wait_for(lambda: job not in managed(world.root), "its object goes", 90)
    assert time.monotonic() - begun > 50
    wait_for(lambda: {"JobNew", "JobRemoved", "InterfacesAdded", "InterfacesRemoved"} <= set(re.findall(r"member=(\w+)", told.read_text())), "all is told")
    assert world.root.property("Job") == "/"
