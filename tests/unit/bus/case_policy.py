# SPDX-License-Identifier: GPL-2.0-or-later
"""What an update may cost a VM, as its declaration says: a best-effort one that fails before the jump is left behind, and the others go on.

Real QEMUs, and an update that is rehearsed: all of it but the reboot call. What goes wrong is done to b by a hook, in the state that is meant.
"""

import json
import re
import subprocess

from case_saved import journal
from world import HERE, KERNEL, PKERNFS, RUN, SCRATCH, VAR, wait_for

BEFORE = "00000000-aaaa-4000-8000-000000000001"
# says something to a QEMU's other monitor
TELL = "import json, socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); f = s.makefile('rw'); f.readline()\n" \
       "for c in ('qmp_capabilities', sys.argv[2]): f.write(json.dumps({'execute': c})); f.flush(); f.readline()"


def guests(world, **of_b):
    """a is required, b is as @of_b says; b has a monitor for others, too."""
    world.define("a")
    world.define("b", number=2, **of_b)
    (SCRATCH / "tell.py").write_text(TELL)
    return world.qemu("a"), world.qemu("b", number=2, more=["-qmp", f"unix:{SCRATCH}/b2.sock,server=on,wait=off"])


def tell_b(command):
    return f"python3 {SCRATCH}/tell.py {SCRATCH}/b2.sock {command}"


def rehearsed(world, result="success", **options):
    kernel, more = world.target()
    job = world.root.call("Update", kernel, {**more, "rehearse": True, **options})
    found = world.root.finished(job, 120)
    assert found == result, (found, world.root.document("GetStatus"), world.daemon.text()[-3000:])
    return world.root.document("GetReport")


def left(report):
    return {vm["name"]: vm["what"] for vm in report["left_behind"]}


def states(world):
    return {vm["name"]: vm["state"] for vm in world.root.document("ListVMs")["vms"]}


def nothing_left(world):
    """Both run, and pkernfs has nothing of either."""
    assert states(world) == {"a": "running", "b": "running"}, states(world)
    assert not list((PKERNFS / "vm").glob("*/*")), list((PKERNFS / "vm").glob("*/*"))


def test_all_go_along(world):
    """A best-effort VM that is well goes along like any other."""
    guests(world, policy="best-effort")
    world.start()
    follower = world.follow()
    assert "VM" in follower.stdout.readline()
    report = rehearsed(world)
    assert left(report) == {} and [vm["blackout_usec"] is not None for vm in report["vms"]] == [True, True], report
    entry, = world.root.document("ListReports")["reports"]
    assert (entry["id"], entry["rehearsal"], entry["result"]) == (report["id"], True, "success"), entry
    told = follower.stdout.read().splitlines()
    assert follower.wait(30) == 0 and told[-1] == "job ended: success", told
    assert {"job: pausing 2/2 2 of 2 VMs", "job: saving 2/2 2 of 2 VMs", "VM a: running", "VM b: running"} <= set(told), told
    nothing_left(world)


def test_save_fails(world):
    """It can't be saved: it runs again while the others are saved, and the request tells the next kernel why it is not there."""
    guests(world, policy="best-effort")
    world.hook("saving", tell_b("cont"))
    world.hook("sealing", f"cp {PKERNFS}/update/request.json {SCRATCH}; ls {PKERNFS}/vm >{SCRATCH}/folders")
    world.start()
    report = rehearsed(world)
    assert list(left(report)) == ["b"] and "runs and can't be saved" in left(report)["b"], report
    assert [vm["name"] for vm in report["vms"] if vm["blackout_usec"]] == ["a", "b"], report
    request = json.loads((SCRATCH / "request.json").read_text())
    assert [vm["name"] for vm in request["left_behind"]] == ["b"] and [vm["name"] for vm in request["vms"]] == ["a", "b"], request
    assert (SCRATCH / "folders").read_text().split() == ["6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c0001"]
    nothing_left(world)


def test_save_of_a_required_one_fails(world):
    """The same with one that must go along: the update is taken back."""
    guests(world)
    world.hook("saving", tell_b("cont"))
    world.start()
    report = rehearsed(world, "aborted")
    assert left(report) == {} and "runs and can't be saved" in report["error"]["what"], report
    nothing_left(world)


def test_last_look_fails(world):
    """Somebody lets it run after it was saved: its state is taken back, and nothing of it is there at the jump."""
    guests(world, policy="best-effort")
    world.hook("jump", tell_b("cont"))
    world.start()
    report = rehearsed(world)
    assert list(left(report)) == ["b"] and "so that no longer fits its memory" in left(report)["b"], report
    nothing_left(world)


def test_taken_up_again(world):
    """Its QEMU dies after it was saved, so another one is to take it up in this kernel. The host has not been away: the administrator's
    programs that may keep a guest from going on in the next kernel are not asked."""
    _, b = guests(world, policy="best-effort")
    started = world.systemd("257.7-1")
    world.hook("jump", f"kill -KILL {b.pid}")
    world.start()
    rehearsed(world, "degraded")
    # one that is stopped is a line with its name alone
    words = [words for unit, *more in started() for words in more if unit == "luctl-restore-b.service"]
    assert words and all("--no-veto" in w for w in words), started()
    assert (PKERNFS / "vm/6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c0002/state").exists() and states(world)["a"] == "running"


def test_hangs(world):
    """Its QEMU says nothing when it is to be paused: the others wait for the time limits and no longer."""
    _, b = guests(world, policy="best-effort")
    world.hook("pausing", f"kill -STOP {b.pid}")
    world.hook("jump", f"kill -CONT {b.pid}")
    world.start()
    report = rehearsed(world)
    assert list(left(report)) == ["b"] and "took longer than its time limit" in left(report)["b"], report
    a = [vm for vm in report["vms"] if vm["name"] == "a"][0]
    assert a["blackout_usec"] < 30000000, a
    nothing_left(world)


def test_jump(world):
    """With a real jump in sight nothing of it may be left. The call fails here, and all run on."""
    _, b = guests(world, policy="best-effort")
    kernel, options = world.target()
    world.hook("pausing", f"kill -STOP {b.pid}")
    # the daemon asks whether an image is loaded right before the reboot call, and waits for the answer until somebody has looked
    loaded = KERNEL / "kexec_loaded"
    look = f"exec 3>{loaded}; ls {PKERNFS}/vm >{SCRATCH}/at; rm {loaded}; echo 0 >{loaded}; echo 0 >&3"
    world.hook("jump", f"ls {PKERNFS}/vm >{SCRATCH}/before; kill -CONT {b.pid}; rm {loaded}; mkfifo {loaded}; "
                       f"setsid sh -c '{look}' </dev/null >/dev/null 2>&1 &")
    world.start()
    assert world.root.finished(world.root.call("Update", kernel, options), 120) == "aborted"
    assert (SCRATCH / "at").read_text().split() == ["6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c0001"]
    report = world.root.document("GetReport")
    assert list(left(report)) == ["b"] and "no image is loaded" in report["error"]["what"], report
    assert "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c0002" in (SCRATCH / "before").read_text()      # UNPREPARE could not
    assert "what is left of it is removed before the jump" in world.daemon.text()
    nothing_left(world)


def test_told_before_the_jump(world):
    """What is said right before the jump is what was measured of it: 3.190 s of the kexec, 0.512 s after it."""
    from case_check import measured
    uuid = world.define("a")
    world.qemu("a")
    kernel, options = world.target()
    VAR.mkdir(parents=True, exist_ok=True)
    (VAR / "measured.json").write_text(json.dumps(measured(uuid)))
    world.start()
    with open(SCRATCH / "signals", "w") as out:
        listener = subprocess.Popen(["dbus-monitor", "--address", world.address, "type='signal',member='Progress'"], stdout=out)
        wait_for(lambda: "NameAcquired" in (SCRATCH / "signals").read_text(), "dbus-monitor listens")
        assert world.root.finished(world.root.call("Update", kernel, options), 120) == "aborted"
        listener.terminate()
        listener.wait()
    said = re.findall(r'string "jump"\s+string "(.*)"', (SCRATCH / "signals").read_text())
    assert said[0] == "guests go on in about 3.7 s", said


def test_check(world):
    """What speaks against it in the check is a warning, and the update begins; against a required one it is an error."""
    def judge(name="b", **options):
        plan = world.root.document("Plan", "", options)
        vm = [v for v in plan["vms"] if v["name"] == name][0]
        return plan["ok"], vm["verdict"], vm["policy"], [r["what"] for r in vm["reasons"]]

    guests(world, policy="best-effort")
    world.qemu("c", number=3)       # its memory is nowhere that survives
    world.define("c", number=3)
    world.monitor("c")
    world.start()
    assert judge()[:2] == (False, "goes-along"), judge()
    ok, verdict, policy, reasons = judge("c")
    assert (ok, verdict, policy) == (False, "cannot", "required") and reasons
    world.define("c", number=3, policy="best-effort")
    assert judge("c") == (True, "left-out", "best-effort", reasons)
    found = [f for f in world.root.document("Check", "/nonexistent", {})["findings"] if f["object"] == "VM c"]
    assert {f["level"] for f in found} == {"warning"} and "need not" in found[0]["what"], found
    assert {vm["name"]: vm["policy"] for vm in world.root.document("ListVMs")["vms"]} == {"a": "required", "b": "best-effort", "c": "best-effort"}
    assert world.root.finished(world.root.call("UpdateVMM", ["c"])) == "aborted"        # it was asked for by name
    report = rehearsed(world)
    assert list(left(report)) == ["c"] and left(report)["c"].startswith(reasons[0]), report
    assert [vm["name"] for vm in report["vms"]] == ["a", "b"], report


def test_excluded(world):
    """It is left alone, as if it were excluded by name each time."""
    _, b = guests(world, policy="excluded")
    world.hook("sealing", f"{tell_b('query-status')}; ls {PKERNFS}/vm >{SCRATCH}/folders")
    world.start()
    plan = world.root.document("Plan", "", {})
    assert [(vm["name"], vm["verdict"], vm["policy"]) for vm in plan["vms"]] == [("a", "goes-along", "required"), ("b", "left-out", "excluded")]
    assert plan["ok"]
    report = rehearsed(world)
    assert left(report) == {"b": "left out by its policy"} and [vm["name"] for vm in report["vms"]] == ["a"], report
    assert (SCRATCH / "folders").read_text().split() == ["6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c0001"]
    assert left(rehearsed_again(world, exclude=["b"])) == {"b": "left out as asked"}
    assert b.poll() is None
    nothing_left(world)


def rehearsed_again(world, **options):
    job = world.root.call("Update", str(SCRATCH / "target/vmlinuz"), {"no-initrd": True, "trial": "no", "rehearse": True, **options})
    assert world.root.finished(job, 120) == "success"
    return world.root.document("GetReport")


def test_starts_meanwhile(world):
    """One that is never to go along may be started after the check."""
    world.define("a")
    world.qemu("a")
    world.define("b", number=2, policy="excluded")
    place = world.socket_of("b")
    place.parent.mkdir(parents=True)
    (SCRATCH / "monitor.b.json").write_text(json.dumps({"socket": str(place)}))
    world.hook("saving", f"setsid python3 {HERE}/monitor.py {SCRATCH}/monitor.b.json >/dev/null 2>&1 &\nwhile [ ! -S {place} ]; do sleep 0.1; done")
    world.start()
    assert left(rehearsed(world)) == {"b": "was started since the check"}


def test_domain(world):
    """A guest of libvirt's of which libvirt knows nothing any more when that is to be kept: it is left behind, libvirt comes back for the
    others, and with one that must go along the update is taken back."""
    for policy, result in (("best-effort", "success"), ("required", "aborted")):
        world.define("a")
        a, b = world.qemu("a"), world.qemu("b", number=2, folder="libvirt/qemu/2-b")
        status = world.domain("b", 2, b, policy)
        text = status.read_text()
        world.hook("preparing", f"rm {status}")
        if policy == "best-effort":
            world.systemd("257.7-1", {"libvirtd.service": "inactive", "virtqemud.service": "inactive"})
            kernel, options = world.target()
        world.start()
        assert world.root.finished(world.root.call("Update", kernel, {**options, "rehearse": True}), 120) == result, world.daemon.text()
        report = world.root.document("GetReport")
        assert list(left(report)) == (["b"] if result == "success" else []), report
        assert "/run/libvirt/qemu/b.xml: No such file" in (left(report)["b"] if result == "success" else report["error"]["what"]), report
        assert not (RUN / "libvirt-held").exists()
        # of use to nobody after the jump, and libvirt will not know of it
        request = json.loads((PKERNFS / "update/request.json").read_text())
        assert request.get("left_memory") == (["libvirt/qemu/2-b"] if result == "success" else None), request
        status.write_text(text)
        nothing_left(world)
        world.daemon.stop()
        for qemu in (a, b):
            qemu.kill()
            qemu.wait()


def test_next_kernel(world):
    """After the jump: the one that was left behind is not missing, and the report says why it is not there."""
    folder = PKERNFS / "update"
    folder.mkdir(mode=0o700)
    uuid = world.define("b", number=2, policy="best-effort")
    why = {"name": "b", "uuid": uuid, "what": "it runs and can't be saved", "hint": None}
    request = world.example("request", "valid-one", id=BEFORE, vms=[{"name": "b", "uuid": uuid, "predicted_usec": None}], minor=2, left_behind=[why])
    (folder / "request.json").write_text(json.dumps(request))
    (folder / "journal").write_bytes(journal(BEFORE, 7, 2, same_boot=False))
    world.start()
    wait_for(lambda: world.root.property("State") == "done", "the update's end", 60)
    report = world.root.document("GetReport")
    assert report["result"] == "success" and report["vms"] == [] and report["left_behind"] == [why], report
    assert "VM b was left behind: it runs and can't be saved" in world.daemon.text()


def test_memory_in_the_next_kernel(world):
    """Memory of domains that were left behind is given back after the jump, but what somebody has by then."""
    folder = PKERNFS / "update"
    folder.mkdir(mode=0o700)
    used, unused = "libvirt/qemu/1-a", "libvirt/qemu/2-b"
    world.qemu("a", folder=used)
    (PKERNFS / unused).mkdir()
    (PKERNFS / unused / "pc.ram").write_bytes(bytes(1 << 20))
    (PKERNFS / "libvirt/qemu/3-c").mkdir()
    request = world.example("request", "valid-one", id=BEFORE, vms=[], minor=3, left_memory=[used, "libvirt/qemu/4-d", unused])
    (folder / "request.json").write_text(json.dumps(request))
    (folder / "journal").write_bytes(journal(BEFORE, 7, 2, same_boot=False))
    world.start()
    wait_for(lambda: world.root.property("State") == "done", "the update's end", 60)
    assert [p.name for p in sorted((PKERNFS / "libvirt/qemu").iterdir())] == ["1-a", "3-c"], world.daemon.text()
    assert (PKERNFS / used / "a").exists() and not (folder / "memory").exists()
    assert f"{used} in pkernfs, memory of a guest that was left behind, stays: process" in world.daemon.text()


def test_blackout(world):
    """A limit of its own: predicted longer, a required VM is refused, and a best-effort one goes along all the same."""
    from case_check import measured
    uuid = world.define("a", max_blackout_usec=3911999)
    world.qemu("a")
    world.start()
    VAR.mkdir(parents=True, exist_ok=True)
    (VAR / "measured.json").write_text(json.dumps(measured(uuid)))

    def plan():
        document = world.root.document("Plan", "", {})
        (vm,) = document["vms"]
        return vm["verdict"], [r["what"] for r in vm["reasons"]], world.root.document("Check", "/nonexistent", {})["findings"]

    verdict, reasons, _ = plan()
    assert verdict == "cannot" and "3.912 s, is longer than the 3.912 s that will do for it" in reasons[0], reasons
    world.define("a", max_blackout_usec=3911999, policy="best-effort")
    verdict, reasons, findings = plan()
    assert verdict == "goes-along" and not reasons
    assert [f for f in findings if "goes along (best effort), though its predicted blackout" in f["what"]], findings
    world.define("a", max_blackout_usec=3912000)
    assert plan()[0] == "goes-along"
