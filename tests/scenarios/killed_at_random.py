# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon is killed at 200 random moments of updates, and 100 updates are aborted at random moments: every guest runs after each.

The reboot call is forbidden to the daemon, so each update is taken back at the last moment before the jump: one host VM is enough, and undo is met, too. Moments
are drawn evenly over the time that such an update takes from its start to its rest. LUCTL_SEED=N draws those of an earlier run again.
"""

import collections
import json
import os
import random
import time

KERNELS = ["7.3"]
LIMIT = 3 * 3600

KILLS, ABORTS = 200, 100
MEASURED = 3        # undisturbed updates, for the time that one takes
WHOLE = 25          # rounds, after which everything that guests said is looked at, and the host
WAIT = 60           # seconds in which each guest has to tick once the daemon has come to rest

DROPIN = "/etc/systemd/system/luctld.service.d/no-reboot.conf"
RELOAD = "systemctl daemon-reload && systemctl restart luctld"
# {what} happens {wait} seconds after an update has begun; prints the exit codes of both
DISTURBED = """{update} > /run/update.out 2>&1 & update=$!
sleep {wait}
{what} > /run/what.out 2>&1; echo $?
wait $update; echo $?
"""
ACTS = {"kill": "kill -KILL $(systemctl show -p MainPID --value luctld)", "abort": "luctl abort"}


def units(host):
    return set(host.run("systemctl list-units --state=active --plain --no-legend | awk '{print $1}' | grep -v -e 'scope$' -e 'device$'").out.split())


def at_rest(lab, host, boot):
    """The daemon answers, and has taken everything back."""
    host.run(f"for i in $(seq {WAIT}); do systemctl is-active luctld && exit; sleep 1; done; systemctl is-active luctld", timeout=2 * WAIT)
    lab.luctl(host, "status --wait", check=False, timeout=180)     # its exit code is that of the update
    status = lab.ask(host, "status")
    lab.expect(status["state"] in ("aborted", "idle"), f"state is {status['state']}: {status}")
    seen = host.run("cat /proc/sys/kernel/random/boot_id /sys/kernel/kexec_loaded; touch /root/writable && sync").out.split()
    lab.expect(seen == [boot, "0"], f"the host was rebooted or an image is still loaded: {seen}")


def all_tick(host, guests):
    """Each guest says something new."""
    marks = [(host.guest[guest.line], len(host.guest[guest.line].lines)) for guest in guests]
    for console, mark in marks:
        console.wait(r"^T(ICK)? \d+", WAIT, mark)


def met(lab, host, id_before):
    """In which state the update was when it was taken back; its id."""
    report = lab.luctl(host, "report --json", check=False)
    if report.code:
        return "no update", id_before
    report = json.loads(report.out)
    if report["id"] == id_before:
        return "no update", id_before
    names = [phase["name"] for phase in report["phases"]]
    forward = names[:names.index("aborting")] if "aborting" in names else names
    return (forward[-1] if forward else "none") + (", undone twice" if names.count("aborting") > 1 else ""), report["id"]


def a_round(lab, host, three, update, boot, what, wait):
    out = host.run(DISTURBED.format(update=update, wait=f"{wait:.3f}", what=ACTS[what]), timeout=300).out.split()
    lab.expect(len(out) == 2, f"not what a round says: {out}")
    lab.expect(out[1] not in ("0", "2"), f"luctl update exited with {out[1]}")
    at_rest(lab, host, boot)
    all_tick(host, three)
    return out[0] == "0"


def run(lab):
    seed = int(os.environ.get("LUCTL_SEED") or random.randrange(1 << 32))
    lab.say(f"LUCTL_SEED={seed}")
    moments = random.Random(seed)
    with lab.host() as host:
        three = lab.three_guests(host)
        before, boot, begin = units(host), host.boot_id(), host.pump.clock()
        host.run(f"mkdir -p {os.path.dirname(DROPIN)}")
        host.put(DROPIN, "[Service]\nSystemCallFilter=~reboot\n")
        host.run(RELOAD)
        update = f"luctl update --kernel {lab.image_of('7.3')} --yes"

        took = []
        for _ in range(MEASURED):
            start = time.monotonic()
            code = host.run(update, check=False, timeout=240).code
            took.append(time.monotonic() - start)
            lab.expect(code == 5, f"an update that may not reboot was to be aborted, luctl exited with {code}")
            at_rest(lab, host, boot)
        lab.say(f"an update that is taken back at the jump takes {min(took):.1f} to {max(took):.1f} s")

        order = ["kill"] * KILLS + ["abort"] * ABORTS
        moments.shuffle(order)
        counts, last = {what: collections.Counter() for what in ACTS}, None
        for number, what in enumerate(order, 1):
            wait = moments.uniform(0, max(took))
            try:
                done = a_round(lab, host, three, update, boot, what, wait)
                state, last = met(lab, host, last)
                counts[what][state if done else "too late"] += 1
                if number % WHOLE == 0 or number == len(order):
                    lab.witness(host, three, begin)
                    begin = host.pump.clock()
                    lost = before - units(host)
                    lab.expect(not lost, f"units are gone: {sorted(lost)}")
                    lab.say(f"{number} rounds: all guests run, all units are there")
            except Exception as error:
                raise AssertionError(f"round {number}, {what} after {wait:.3f} s: {error}") from error
        for what, states in counts.items():
            lab.say(f"{what}: " + "; ".join(f"{state} {times}" for state, times in states.most_common()))
        states = {state.split(",")[0] for state in counts["kill"]}
        lab.expect(states >= {"checking", "loading", "preparing", "saving"}, f"kills met only {sorted(states)}")

        host.run(f"rm {DROPIN} && {RELOAD}")
        start = lab.update(host, "7.3")
        lab.witness(host, three, start)
