# SPDX-License-Identifier: GPL-2.0-or-later
"""Monitors that are silent, lie or die. One VM's monitor is no other VM's trouble, and none of them is luctld's."""

import subprocess
import sys

from world import Caller, managed, wait_for

GREETING = '{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": ""}, "capabilities": ["oob"]}}\r\n'
# No answer comes: ten seconds for all of them together.
SILENT = {
    "deaf": {"accept": False},
    "silent": {"greeting": None},
    "greets-only": {"answers": {"qmp_capabilities": "silent"}},
    "falls-silent": {"answers": {"query-uuid": "silent"}},
    "long": {"answers": {"query-status": {"raw": '{"return": "' + "x" * 100_000 + "\r\n"}}},
    "latin": {"answers": {"query-status": {"raw": '{"return": {"status": "\xe9\xff"}, "id": 2}\r\n'}}},
    "no-id": {"answers": {"query-status": {"raw": '{"return": {}}\r\n'}}},
    "half": {"answers": {"query-status": {"raw": '{"return": {"sta'}}},
    "deep": {"answers": {"query-status": {"raw": "[" * 100_000}}},
}
# Each lies in one thing.
LIARS = {
    "closes": {"greeting": "", "leave": True},
    "closes-after-greeting": {"leave": True},
    "dies": {"answers": {"query-status": "close"}},
    "no-json": {"greeting": "\x00\xff\xfe nonsense {{{\r\n"},
    "other-server": {"greeting": "220 mail.example.org ESMTP\r\n"},
    "greets-twice": {"greeting": GREETING + GREETING},
    "old": {"greeting": '{"QMP": {"version": {"qemu": {"micro": 0, "minor": 0, "major": 0}, "package": ""}, "capabilities": []}}\r\n'},
    "no-version": {"greeting": '{"QMP": {}}\r\n'},
    "wrong-id": {"answers": {"query-status": {"raw": '{"return": {}, "id": 12345678}\r\n'}}},
    "floods": {"greeting": GREETING + '{"event": "X", "timestamp": {"seconds": 1, "microseconds": 1}}\r\n' * 20_000},
    "says-running": {"answers": {"query-status": {"status": 7, "running": "yes"}}},
    "nobody": {"answers": {"query-status": None}},
    "stranger": {"answers": {"query-uuid": {"UUID": "11111111-1111-4111-8111-111111111111"}}},
    "uuid-of-no-kind": {"answers": {"query-uuid": {"UUID": ["x"] * 1000}}},
    "names": {"answers": {"qom-list /objects": [{"name": "x" * 5000, "type": "child<memory-backend-file>"}, {"name": 1}, 2, None, {}]}},
    "objects": {"answers": {"qom-list": {"not": "a list"}}},
    "blockers": {"answers": {"query-migrate": {"blocked-reasons": ["\x1b[2J\n" * 500, 1, None, {}], "status": 3}}},
    "numbers": {"answers": {"qom-list /objects": [{"name": "m", "type": "child<memory-backend-file>"}], "qom-get": -9223372036854775808}},
    "path": {"answers": {"qom-list /objects": [{"name": "m", "type": "child<memory-backend-file>"}], "qom-get": "/run/luctl/pkernfs/" + "x" * 8000}},
}


def crowd(world, behaviours):
    for number, (name, behaviour) in enumerate(behaviours.items(), 1):
        world.define(name, number)
        world.monitor(name, **behaviour)
    world.define("honest", 1000)
    world.monitor("honest")
    world.start()


def planned(world, behaviours):
    """What Plan says of each VM, after a look that none of them goes along without a reason."""
    vms = {vm["name"]: vm for vm in world.root.document("Plan", "", {}, timeout=60)["vms"]}
    assert set(vms) == set(behaviours) | {"honest"}
    for vm in vms.values():
        assert vm["verdict"] == "cannot" and vm["reasons"], vm
    return vms


def test_liars(world):
    """Each kind of lie, all at once: every VM is told with its reason, the honest one as it is."""
    crowd(world, LIARS)
    vms = {vm["name"]: vm for vm in world.root.document("ListVMs", timeout=60)["vms"]}
    assert set(vms) == set(LIARS) | {"honest"}
    assert vms["honest"]["state"] == "running" and not any(vm["updatable"] for vm in vms.values())
    plan = planned(world, LIARS)
    assert "11111111-1111" in str(plan["stranger"]["reasons"]), plan["stranger"]
    assert "memory" in str(plan["path"]["reasons"]), plan["path"]


def test_silence(world):
    """Each kind of silence, all at once: the call is answered when their time is over."""
    crowd(world, SILENT)
    plan = planned(world, SILENT)
    assert all("honest" in name or plan[name]["reasons"][0]["what"] for name in plan)


def test_goes_and_comes_back(world):
    """A monitor that ends and one that takes its place are seen as what they are at the next question."""
    world.define("a")
    world.start()

    def state():
        return world.root.document("DescribeVM", "a")["state"]
    assert state() != "running"
    first = world.monitor("a")
    assert state() == "running"
    first.kill()
    first.wait()
    assert state() != "running"
    world.monitor("a", answers={"query-status": {"status": "paused", "running": False}})
    assert state() == "paused"


def test_asked_while_it_thinks(world):
    """While a silent monitor is waited for, everything else is answered; the daemon then stops without waiting."""
    world.define("a")
    world.monitor("a", greeting=None)
    world.start()
    waiting = world.caller()
    waiting.begin("Plan", "", {})
    for _ in range(20):
        world.root.document("GetStatus", timeout=2)
    world.daemon.stop(10)


def test_asked_at_once(world):
    """Who asks for a guest that somebody else asks for gets the same answer, and objects tell no state that it never had."""
    world.define("a")
    qemu = world.monitor("a", think=0.05)
    world.define("b", 2)
    world.monitor("b")
    world.start()
    callers = [world.caller() for _ in range(3)]
    for caller, call in zip(callers, (("DescribeVM", "a"), ("ListVMs",), ("DescribeVM", "a"))):
        caller.begin(*call)
    first, second, third = (Caller.document_of(call, caller.end()) for caller, call in zip(callers, ("DescribeVM", "ListVMs", "DescribeVM")))
    for vm in (first, second["vms"][0], third):
        assert (vm["state"], vm["pid"]) == ("running", qemu.pid), vm

    def states():
        return {of["org.luctl1.VM"]["State"] for of in managed(world.root).values() if "org.luctl1.VM" in of}
    wait_for(lambda: states() == {"running"}, "the objects tell it")
    callers[0].begin("DescribeVM", "a")
    while callers[0].waits():
        world.root.document("DescribeVM", "b")      # that something is new about b makes all objects new
        assert states() == {"running"}, states()
    callers[0].end()


def test_dies_at_each_command(world):
    """A monitor that closes at one command, for each command of a check."""
    commands = ["qmp_capabilities", "query-status", "query-uuid", "qom-get", "qom-list", "query-migrate", "query-pci", "query-commands", "query-name"]
    for number, command in enumerate(commands, 1):
        world.define(f"vm{number}", number)
        world.monitor(f"vm{number}", answers={command: "close"})
    world.start()
    for _ in range(2):
        assert len(world.root.document("ListVMs")["vms"]) == len(commands)
    job = world.root.call("UpdateVMM", [])
    assert world.root.finished(job) == "aborted"


HOLD = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.recv(1); print('held', flush=True); sys.stdin.read()"


def test_held(world):
    """A monitor that another client has: told with the process, and fine again when that one is gone."""
    world.define("a")
    world.qemu("a")
    holder = subprocess.Popen([sys.executable, "-c", HOLD, world.socket_of("a")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    world.processes.append(holder)
    assert holder.stdout.readline() == b"held\n"
    world.start()
    plan = {vm["name"]: vm for vm in world.root.document("Plan", "", {}, timeout=60)["vms"]}
    reason = plan["a"]["reasons"][0]
    assert f"is held by process {holder.pid} (python" in reason["what"] and "end that connection" in reason["hint"], reason
    holder.kill()
    holder.wait()
    assert world.root.document("Plan", "", {}, timeout=60)["vms"][0]["verdict"] == "goes-along"


def test_real_qemu(world):
    """A real QEMU with its memory in pkernfs is running, can be paused by its user, and is gone when it has been killed."""
    world.define("a")
    qemu = world.qemu("a")
    world.start()
    vm = world.root.document("DescribeVM", "a")
    assert (vm["state"], vm["pid"]) == ("running", qemu.pid), vm
    assert [ram["size"] for ram in vm["ram"]] == [16 << 20], vm
    qemu.kill()
    qemu.wait()
    wait_for(lambda: world.root.document("DescribeVM", "a")["state"] != "running", "it is seen to be gone")
